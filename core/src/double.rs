//! Floating point numbers as Valkey reads and prints them.
//!
//! Valkey prints a double with Grisu2 (Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with
//! Integers", PLDI 2010). Its text always reads back as the same number, but once in some hundreds to thousands of numbers it has
//! a digit more than the shortest one, which the standard library would print. Clients and other servers see these texts, so
//! the same algorithm is used here.

use std::fmt;

/// A text of a double.
#[derive(Clone, Copy)]
pub struct DoubleText {
    bytes: [u8; DOUBLE_BYTES_MAX],
    len: u8,
}

const DOUBLE_BYTES_MAX: usize = DoubleText::LEN_MAX;

impl Default for DoubleText {
    fn default() -> Self {
        Self { bytes: [0; DOUBLE_BYTES_MAX], len: 0 }
    }
}

impl DoubleText {
    /// The longest text: a sign, 17 digits with zeros on one side, a point, or an exponent.
    pub const LEN_MAX: usize = 32;

    /// The text of a number. It is not NaN anywhere in the data; should it be, it is `nan`.
    #[inline]
    pub fn of(value: f64) -> Self {
        let mut text = Self::default();
        // The sign of -0 would be lost.
        match as_integer(value).filter(|integer| *integer != 0 || value.is_sign_positive()) {
            Some(integer) => text.push(itoa::Buffer::new().format(integer).as_bytes()),
            None => text.write(value),
        }
        text
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).expect("digits are ASCII")
    }

    /// The text as bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn push(&mut self, bytes: &[u8]) {
        let len = usize::from(self.len);
        self.bytes[len..len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    fn push_zeros(&mut self, count: usize) {
        self.push(&[b'0'; DOUBLE_BYTES_MAX][..count]);
    }

    #[cold]
    fn write_special(&mut self, value: f64) {
        self.push(if value.is_nan() {
            b"nan"
        } else if value == 0.0 {
            if value.is_sign_negative() { b"-0" } else { b"0" }
        } else if value < 0.0 {
            b"-inf"
        } else {
            b"inf"
        });
    }

    fn write(&mut self, value: f64) {
        if value == 0.0 || !value.is_finite() {
            return self.write_special(value);
        }
        if value < 0.0 {
            self.push(b"-");
        }
        let mut digits = Digits::default();
        // The number is `digits * 10^exponent`.
        let exponent = digits.make(value.abs());
        let digits = digits.as_bytes();
        let count = digits.len() as i32;
        // The exponent in scientific notation.
        let scientific = exponent + count - 1;
        if exponent >= 0 && scientific < count + 7 {
            self.push(digits);
            self.push_zeros(exponent as usize);
        } else if exponent < 0 && (exponent > -7 || scientific.abs() < 4) {
            let whole = count + exponent;
            if whole <= 0 {
                self.push(b"0.");
                self.push_zeros(-whole as usize);
                self.push(digits);
            } else {
                self.push(&digits[..whole as usize]);
                self.push(b".");
                self.push(&digits[whole as usize..]);
            }
        } else {
            self.push(&digits[..1]);
            if digits.len() > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if scientific < 0 { b"e-" } else { b"e+" });
            self.push(itoa::Buffer::new().format(scientific.unsigned_abs()).as_bytes());
        }
    }
}

impl fmt::Debug for DoubleText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number as an integer, if it is one of at most half the range of integers. -0 is 0.
#[inline]
pub fn as_integer(value: f64) -> Option<i64> {
    let integer = value as i64;
    (integer as f64 == value && value.abs() <= (i64::MAX / 2) as f64).then_some(integer)
}

/// A number `significand * 2^exponent`.
#[derive(Clone, Copy)]
struct Scaled {
    significand: u64,
    exponent: i32,
}

impl Scaled {
    fn normalized(self) -> Self {
        let shift = self.significand.leading_zeros();
        Self { significand: self.significand << shift, exponent: self.exponent - shift as i32 }
    }

    /// The product, rounded to 64 bits.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand);
        Self { significand: ((product + (1 << 63)) >> 64) as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

/// The decimal digits of a number.
#[derive(Default)]
struct Digits {
    bytes: [u8; 20],
    len: usize,
}

const SIGNIFICAND_BITS: u32 = f64::MANTISSA_DIGITS - 1;

impl Digits {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, digit: u64) {
        if digit != 0 || self.len > 0 {
            self.bytes[self.len] = b'0' + digit as u8;
            self.len += 1;
        }
    }

    /// Makes the digits of a positive finite number; the answer is the exponent of ten that goes with them.
    fn make(&mut self, value: f64) -> i32 {
        let bits = value.to_bits();
        let (fraction, biased) = (bits & ((1 << SIGNIFICAND_BITS) - 1), (bits >> SIGNIFICAND_BITS) as i32);
        let hidden = 1 << SIGNIFICAND_BITS;
        let (significand, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | hidden, biased - 1075) };
        // The neighbours are half a unit away, but below a power of two only a quarter.
        let upper = Scaled { significand: 2 * significand + 1, exponent: exponent - 1 }.normalized();
        let lower = if significand == hidden {
            Scaled { significand: 4 * significand - 1, exponent: exponent - 2 }
        } else {
            Scaled { significand: 2 * significand - 1, exponent: exponent - 1 }
        };
        let lower = lower.significand << (lower.exponent - upper.exponent);
        let (power, ten) = cached_power(upper.exponent);
        let scaled = Scaled { significand, exponent }.normalized().times(power);
        let lower = Scaled { significand: lower, ..upper }.times(power);
        let upper = upper.times(power);
        // One unit on either side is lost to rounding.
        let high = Scaled { significand: upper.significand - 1, ..upper };
        let delta = high.significand - (lower.significand + 1);
        let kappa = self.generate(high, delta, high.significand - scaled.significand);
        kappa - ten
    }

    /// Makes digits until what is left is within `delta`; `distance` is how far the number itself is below `high`.
    fn generate(&mut self, high: Scaled, mut delta: u64, distance: u64) -> i32 {
        let shift = high.exponent.unsigned_abs();
        let mask = (1 << shift) - 1;
        let (mut whole, mut rest) = (high.significand >> shift, high.significand & mask);
        let mut kappa = 10;
        let mut power = 1_000_000_000;
        while kappa > 0 {
            self.push(whole / power);
            whole %= power;
            kappa -= 1;
            let left = (whole << shift) + rest;
            if left <= delta {
                self.round(delta, left, power << shift, distance);
                return kappa;
            }
            power /= 10;
        }
        let mut unit = 1_u64;
        loop {
            rest *= 10;
            delta *= 10;
            unit = unit.wrapping_mul(10);
            self.push(rest >> shift);
            rest &= mask;
            kappa -= 1;
            if rest < delta {
                self.round(delta, rest, mask + 1, distance.wrapping_mul(unit));
                return kappa;
            }
        }
    }

    /// Lowers the last digit while that brings the text nearer to the number.
    fn round(&mut self, delta: u64, mut rest: u64, unit: u64, distance: u64) {
        while rest < distance
            && delta - rest >= unit
            && (rest + unit < distance || distance - rest > rest + unit - distance)
        {
            self.bytes[self.len - 1] -= 1;
            rest += unit;
        }
    }
}

/// The smallest of the powers of ten that bring a number of this binary exponent to one between -60 and -32, and its decimal
/// exponent.
fn cached_power(exponent: i32) -> (Scaled, i32) {
    // The power to be reached, or somewhat less; powers are eight apart.
    let power = (f64::from(-61 - exponent) * std::f64::consts::LOG10_2).floor() as i32;
    let mut index = ((power - POWER_FIRST) / POWER_STEP).max(0);
    while exponent + POWERS[index as usize].1 + 64 < -60 {
        index += 1;
    }
    let (significand, binary) = POWERS[index as usize];
    (Scaled { significand, exponent: binary }, POWER_FIRST + POWER_STEP * index)
}

const POWER_FIRST: i32 = -348;
const POWER_STEP: i32 = 8;

/// Powers of ten from 10^-348 on, every eighth, as rounded significands of 64 bits with their binary exponents.
#[rustfmt::skip]
static POWERS: [(u64, i32); 87] = [
    (0xfa8fd5a0081c0288, -1220), (0xbaaee17fa23ebf76, -1193), (0x8b16fb203055ac76, -1166), (0xcf42894a5dce35ea, -1140),
    (0x9a6bb0aa55653b2d, -1113), (0xe61acf033d1a45df, -1087), (0xab70fe17c79ac6ca, -1060), (0xff77b1fcbebcdc4f, -1034),
    (0xbe5691ef416bd60c, -1007), (0x8dd01fad907ffc3c, -980), (0xd3515c2831559a83, -954), (0x9d71ac8fada6c9b5, -927),
    (0xea9c227723ee8bcb, -901), (0xaecc49914078536d, -874), (0x823c12795db6ce57, -847), (0xc21094364dfb5637, -821),
    (0x9096ea6f3848984f, -794), (0xd77485cb25823ac7, -768), (0xa086cfcd97bf97f4, -741), (0xef340a98172aace5, -715),
    (0xb23867fb2a35b28e, -688), (0x84c8d4dfd2c63f3b, -661), (0xc5dd44271ad3cdba, -635), (0x936b9fcebb25c996, -608),
    (0xdbac6c247d62a584, -582), (0xa3ab66580d5fdaf6, -555), (0xf3e2f893dec3f126, -529), (0xb5b5ada8aaff80b8, -502),
    (0x87625f056c7c4a8b, -475), (0xc9bcff6034c13053, -449), (0x964e858c91ba2655, -422), (0xdff9772470297ebd, -396),
    (0xa6dfbd9fb8e5b88f, -369), (0xf8a95fcf88747d94, -343), (0xb94470938fa89bcf, -316), (0x8a08f0f8bf0f156b, -289),
    (0xcdb02555653131b6, -263), (0x993fe2c6d07b7fac, -236), (0xe45c10c42a2b3b06, -210), (0xaa242499697392d3, -183),
    (0xfd87b5f28300ca0e, -157), (0xbce5086492111aeb, -130), (0x8cbccc096f5088cc, -103), (0xd1b71758e219652c, -77),
    (0x9c40000000000000, -50), (0xe8d4a51000000000, -24), (0xad78ebc5ac620000, 3), (0x813f3978f8940984, 30),
    (0xc097ce7bc90715b3, 56), (0x8f7e32ce7bea5c70, 83), (0xd5d238a4abe98068, 109), (0x9f4f2726179a2245, 136),
    (0xed63a231d4c4fb27, 162), (0xb0de65388cc8ada8, 189), (0x83c7088e1aab65db, 216), (0xc45d1df942711d9a, 242),
    (0x924d692ca61be758, 269), (0xda01ee641a708dea, 295), (0xa26da3999aef774a, 322), (0xf209787bb47d6b85, 348),
    (0xb454e4a179dd1877, 375), (0x865b86925b9bc5c2, 402), (0xc83553c5c8965d3d, 428), (0x952ab45cfa97a0b3, 455),
    (0xde469fbd99a05fe3, 481), (0xa59bc234db398c25, 508), (0xf6c69a72a3989f5c, 534), (0xb7dcbf5354e9bece, 561),
    (0x88fcf317f22241e2, 588), (0xcc20ce9bd35c78a5, 614), (0x98165af37b2153df, 641), (0xe2a0b5dc971f303a, 667),
    (0xa8d9d1535ce3b396, 694), (0xfb9b7cd9a4a7443c, 720), (0xbb764c4ca7a44410, 747), (0x8bab8eefb6409c1a, 774),
    (0xd01fef10a657842c, 800), (0x9b10a4e5e9913129, 827), (0xe7109bfba19c0c9d, 853), (0xac2820d9623bf429, 880),
    (0x80444b5e7aa7cf85, 907), (0xbf21e44003acdd2d, 933), (0x8e679c2f5e44ff8f, 960), (0xd433179d9c8cb841, 986),
    (0x9e19db92b4e31ba9, 1013), (0xeb96bf6ebadf77d9, 1039), (0xaf87023b9bf0ee6b, 1066),
];

/// A score or another double as a client gives it: decimal, or an infinity. What is too large or too small for a double
/// is refused.
#[inline]
pub fn parse_double(text: &[u8]) -> Option<f64> {
    // Most scores are short integers.
    if let Some(value) = parse_short(text) {
        return Some(value);
    }
    let value = parse_lenient(text).filter(|_| !text.is_empty())?;
    let is_zero = |digit: &u8| !matches!(digit, b'1'..=b'9');
    let significand = text.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or(text);
    let out_of_range = if value == 0.0 {
        !significand.iter().all(is_zero)
    } else {
        value.is_infinite() && text.iter().any(u8::is_ascii_digit)
    };
    (!out_of_range).then_some(value)
}

/// A bound of a range of scores: like a score, but empty text is zero, and what is out of the range of doubles is the
/// nearest there is.
pub fn parse_lenient(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

#[inline]
fn parse_short(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let number = text.iter().try_fold(0_u64, |number, byte| match byte {
        b'0'..=b'9' => Some(number * 10 + u64::from(byte - b'0')),
        _ => None,
    })?;
    Some(number as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prng::Prng;

    /// Texts that Valkey 9.1.2 prints.
    #[test]
    fn texts_are_those_of_valkey() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (2.225_073_858_507_201e-308, "2.225073858507201e-308"),
            (1e17, "100000000000000000"),
            (1e18, "1000000000000000000"),
            (1e19, "1e+19"),
            (1e20, "1e+20"),
            (1.234_567_890_123_456_7e19, "12345678901234567000"),
            (9.223_372_036_854_776e18, "9223372036854776000"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (3.000_000_000_000_000_4, "3.0000000000000004"),
            (0.1, "0.1"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.23e-6, "1.23e-6"),
            (1.2345e-4, "1.2345e-4"),
            (-1.5e-300, "-1.5e-300"),
            (1_234_567_890_123_456.7, "1234567890123456.7"),
            // Where Grisu2 misses the shortest text.
            (0.276_714_112_235_949_3, "0.27671411223594933"),
            (88.971_334_005_460_2, "88.97133400546021"),
            (-1.547_182_503_134_182e-78, "-1.5471825031341819e-78"),
            (-3.888_032_916_356_391e16, "-38880329163563912"),
            (-1.613_048_458_946_231_4e17, "-161304845894623136"),
        ] {
            assert_eq!(DoubleText::of(value).as_str(), text);
        }
    }

    #[test]
    fn every_text_reads_back() {
        let mut prng = Prng::new(3);
        for round in 0..if cfg!(miri) { 300 } else { 300_000 } {
            let bits = prng.next_u64();
            let value = match round % 3 {
                0 => f64::from_bits(bits),
                1 => (bits >> 40) as f64 / 1000.0,
                _ => f64::from_bits(bits >> 52 << 52),
            };
            if value.is_nan() || value.is_infinite() {
                continue;
            }
            let text = DoubleText::of(value);
            assert_eq!(text.as_str().parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text:?}");
            assert_eq!(parse_double(text.as_bytes()), Some(value));
        }
    }

    #[test]
    fn what_is_no_double_is_refused() {
        let refused =
            "0x10 0X1p3 infinit nan NaN -nan 1e400 -1e400 1e-400 2e-324 1e 1e+ . 1_0 1d 1f ++1 +-1 e5 inf1 .e1 - +";
        for text in refused.split(' ').chain(["", " 1", "1 ", "1\0", "1\u{663}"]) {
            assert_eq!(parse_double(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_double(&[b'1', 0xff]), None);
        for (text, value) in [
            ("01", 1.0),
            ("+1", 1.0),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            (".5", 0.5),
            ("5.", 5.0),
            ("1E5", 1e5),
            ("0e400", 0.0),
            ("0e-400", 0.0),
            ("3e-324", 5e-324),
            ("999999999999999", 999_999_999_999_999.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
        ] {
            assert_eq!(parse_double(text.as_bytes()), Some(value), "{text:?}");
        }
        assert!(parse_double(b"-0").unwrap().is_sign_negative());
    }

    #[test]
    fn bounds_are_read_leniently() {
        for (text, value) in
            [("", Some(0.0)), ("1e400", Some(f64::INFINITY)), ("1e-400", Some(0.0)), ("nan", None), ("1 ", None)]
        {
            assert_eq!(parse_lenient(text.as_bytes()), value, "{text:?}");
        }
    }
}
