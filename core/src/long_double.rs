//! Extended-precision decimals: what INCRBYFLOAT computes with.
//!
//! Valkey adds in the 80-bit format of x86 and shows 17 digits behind the point, so `3 + 1.1` is `4.1` and nothing
//! else will do. Rust has no such type. This one has its 64-bit mantissa and 15-bit exponent, is exact in parsing
//! and printing (by whole-number arithmetic), and rounds half to even as the processor does.

/// Longest text of a number that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

/// Digits behind the point that are shown.
const FRACTION_DIGITS: usize = 17;

/// Exponent of the last bit of the largest finite number.
const EXPONENT_MAX: i64 = 16_383 - 63;

/// Exponent of the last bit of the smallest numbers.
const EXPONENT_MIN: i64 = -16_445;

/// Bits below the mantissa that an addition keeps for rounding.
const GUARD_BITS: u32 = 62;

/// An extended-precision number: `mantissa * 2^exponent`, or an infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    /// Its top bit is set unless the number is zero or below the normal range.
    mantissa: u64,
    exponent: i64,
    infinite: bool,
}

impl From<i64> for LongDouble {
    fn from(value: i64) -> Self {
        Self::rounded(value < 0, u128::from(value.unsigned_abs()), 0, false)
    }
}

impl LongDouble {
    /// The number of a text, as C's `strtold` reads one that may not begin with a blank; `None` for what is no
    /// number, not a number, or out of range.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, mantissa: 0, exponent: 0, infinite: true });
        }
        let parsed = match digits {
            [b'0', b'x' | b'X', rest @ ..] => parse_hexadecimal(negative, rest)?,
            _ => parse_decimal(negative, digits)?,
        };
        (!parsed.infinite).then_some(parsed)
    }

    /// A thousand times the number, rounded up to a whole one; `None` for what does not fit. Seconds become milliseconds so.
    pub fn thousandfold(self) -> Option<i64> {
        if self.infinite {
            return None;
        }
        let product = Self::rounded(self.negative, u128::from(self.mantissa) * 1000, self.exponent, false);
        if product.infinite || product.exponent > 0 && product.mantissa != 0 {
            return None;
        }
        let shift = product.exponent.unsigned_abs().min(127) as u32;
        let whole = u128::from(product.mantissa) >> shift;
        let is_cut = whole << shift != u128::from(product.mantissa);
        // Up is towards zero for what is negative.
        let signed = if product.negative { -(whole as i128) } else { whole as i128 + i128::from(is_cut) };
        i64::try_from(signed).ok()
    }

    /// Is it negative and no zero?
    pub fn is_negative(self) -> bool {
        self.negative && (self.infinite || self.mantissa != 0)
    }

    /// Is it an infinity? Sums of parsed numbers may be.
    pub fn is_infinite(self) -> bool {
        self.infinite
    }

    /// The sum; `None` where it is not a number.
    pub fn plus(self, other: Self) -> Option<Self> {
        match (self.infinite, other.infinite) {
            (true, true) => return (self.negative == other.negative).then_some(self),
            (true, false) => return Some(self),
            (false, true) => return Some(other),
            (false, false) => {}
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if high.mantissa == 0 {
            return Some(low);
        }
        let distance = high.exponent - low.exponent;
        let a = u128::from(high.mantissa) << GUARD_BITS;
        let b = u128::from(low.mantissa) << GUARD_BITS;
        // What is shifted out survives as one lowest bit, which is enough to round by.
        let (b, lost) = match u32::try_from(distance) {
            Ok(shift @ 0..128) => (b >> shift, shift > 0 && b & ((1 << shift) - 1) != 0),
            _ => (0, b != 0),
        };
        let b = b | u128::from(lost);
        let exponent = high.exponent - i64::from(GUARD_BITS);
        Some(if high.negative == low.negative {
            Self::rounded(high.negative, a + b, exponent, false)
        } else if a >= b {
            Self::rounded(high.negative, a - b, exponent, false)
        } else {
            Self::rounded(low.negative, b - a, exponent, false)
        })
    }

    /// The number nearest to `value * 2^exponent` (a little more if `more` is set), half to even.
    fn rounded(negative: bool, value: u128, exponent: i64, more: bool) -> Self {
        let bits = 128 - i64::from(value.leading_zeros());
        // Where the last bit of the result lies relative to the last bit of `value`.
        let shift = (bits - 64).max(EXPONENT_MIN - exponent);
        let (mut mantissa, mut at) = (value, exponent);
        if shift > 0 {
            let (kept, dropped, half) = match shift {
                1..=127 => (value >> shift, value & ((1 << shift) - 1), 1 << (shift - 1)),
                _ => (0, value, u128::MAX),
            };
            let up = dropped > half || (dropped == half && (more || kept & 1 == 1));
            mantissa = kept + u128::from(up);
            at = exponent + shift;
            if mantissa >> 64 != 0 {
                (mantissa, at) = (mantissa >> 1, at + 1);
            }
        } else if value != 0 {
            let up = (-shift).min(exponent - EXPONENT_MIN).max(0);
            (mantissa, at) = (value << up, exponent - up);
        }
        if mantissa == 0 {
            return Self { negative, mantissa: 0, exponent: EXPONENT_MIN, infinite: false };
        }
        Self { negative, mantissa: mantissa as u64, exponent: at, infinite: at > EXPONENT_MAX }
    }

    /// The text with up to 17 digits behind the point and no needless zero.
    pub fn text(self) -> Vec<u8> {
        if self.infinite {
            return if self.negative { b"-inf".to_vec() } else { b"inf".to_vec() };
        }
        let mut scaled = Natural::from(u128::from(self.mantissa) * 10u128.pow(FRACTION_DIGITS as u32));
        if self.exponent >= 0 {
            scaled.shift_left(self.exponent as usize);
        } else {
            scaled.shift_right_rounded(self.exponent.unsigned_abs() as usize);
        }
        let mut digits = scaled.decimal();
        while digits.len() <= FRACTION_DIGITS {
            digits.insert(0, b'0');
        }
        digits.insert(digits.len() - FRACTION_DIGITS, b'.');
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.last() == Some(&b'.') {
            digits.pop();
        }
        if self.negative && digits != b"0" {
            digits.insert(0, b'-');
        }
        digits
    }
}

/// Splits off an exponent behind one of `marks`: its value, limited to what can matter.
fn split_exponent(text: &[u8], marks: [u8; 2]) -> Option<(&[u8], i64)> {
    let Some(at) = text.iter().position(|byte| marks.contains(byte)) else {
        return Some((text, 0));
    };
    let (negative, digits) = match &text[at + 1..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1_000_000));
    Some((&text[..at], if negative { -value } else { value }))
}

/// The digits of both sides of the point without leading zeros, and how many stand behind it.
fn split_point(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> Option<(Vec<u8>, i64)> {
    let at = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match at {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[][..]),
    };
    let digits = || whole.iter().chain(fraction);
    if whole.is_empty() && fraction.is_empty() || !digits().all(is_digit) {
        return None;
    }
    Some((digits().skip_while(|digit| **digit == b'0').copied().collect(), fraction.len() as i64))
}

fn parse_decimal(negative: bool, text: &[u8]) -> Option<LongDouble> {
    let (text, exponent) = split_exponent(text, *b"eE")?;
    let (digits, behind) = split_point(text, u8::is_ascii_digit)?;
    if digits.is_empty() {
        return Some(LongDouble::rounded(negative, 0, 0, false));
    }
    let exponent = exponent - behind;
    // Far outside of the range of the format: no need to compute, and no way to make us compute for long.
    let magnitude = digits.len() as i64 + exponent;
    if !(-5_000..=5_000).contains(&magnitude) {
        return None;
    }
    let mut numerator = Natural::default();
    for chunk in digits.chunks(9) {
        let value = chunk.iter().fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
        numerator.multiply_add(10u32.pow(chunk.len() as u32), value);
    }
    let mut denominator = Natural::from(1u128);
    let scaled = if exponent >= 0 { &mut numerator } else { &mut denominator };
    scaled.multiply_by_power_of_5(exponent.unsigned_abs() as usize);
    let number = quotient(negative, numerator, &denominator, exponent);
    // A number too small to be anything but zero is out of range.
    (number.mantissa != 0).then_some(number)
}

/// `numerator / denominator * 2^exponent`, rounded.
fn quotient(negative: bool, mut numerator: Natural, denominator: &Natural, exponent: i64) -> LongDouble {
    const QUOTIENT_BITS: i64 = 70;
    let mut denominator = denominator.clone();
    // Both are brought to where the quotient has the wanted number of bits, or one less.
    let shift = QUOTIENT_BITS - (numerator.bits() as i64 - denominator.bits() as i64);
    // The division goes bit by bit from the top, so the denominator starts at the place of the highest bit.
    let aligned = numerator.bits() as i64 - denominator.bits() as i64;
    if aligned >= 0 {
        denominator.shift_left(aligned as usize);
    } else {
        numerator.shift_left(aligned.unsigned_abs() as usize);
    }
    let mut value = 0u128;
    for _ in 0..=QUOTIENT_BITS {
        value <<= 1;
        if numerator.subtract_if_not_less(&denominator) {
            value |= 1;
        }
        numerator.shift_left(1);
    }
    LongDouble::rounded(negative, value << 1 | u128::from(!numerator.is_zero()), exponent - shift - 1, false)
}

fn parse_hexadecimal(negative: bool, text: &[u8]) -> Option<LongDouble> {
    let (text, exponent) = split_exponent(text, *b"pP")?;
    let (digits, behind) = split_point(text, u8::is_ascii_hexdigit)?;
    let (mut value, mut exponent, mut more) = (0u128, exponent - 4 * behind, false);
    for digit in &digits {
        let digit = u128::from(char::from(*digit).to_digit(16).unwrap_or(0));
        if value >> 120 == 0 {
            value = value << 4 | digit;
        } else {
            exponent += 4;
            more |= digit != 0;
        }
    }
    let number = LongDouble::rounded(negative, value | u128::from(more), exponent, more);
    (number.mantissa != 0 || digits.is_empty()).then_some(number)
}

/// A whole number of any size, its lowest 32 bits first, without leading zeros.
#[derive(Debug, Clone, Default)]
struct Natural(Vec<u32>);

impl From<u128> for Natural {
    fn from(value: u128) -> Self {
        let mut number = Self((0..4).map(|limb| (value >> (32 * limb)) as u32).collect());
        number.trim();
        number
    }
}

impl Natural {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| 32 * self.0.len() - top.leading_zeros() as usize)
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn multiply_by_power_of_5(&mut self, mut power: usize) {
        /// The highest power of 5 in 32 bits.
        const STEP: usize = 13;
        while power > 0 {
            let step = power.min(STEP);
            self.multiply_add(5u32.pow(step as u32), 0);
            power -= step;
        }
    }

    fn shift_left(&mut self, by: usize) {
        if self.is_zero() {
            return;
        }
        self.multiply_add(1 << (by % 32), 0);
        self.0.splice(0..0, std::iter::repeat_n(0, by / 32));
    }

    /// Shifts right, rounding half to even.
    fn shift_right_rounded(&mut self, by: usize) {
        let bit = |number: &Self, at: usize| number.0.get(at / 32).is_some_and(|limb| limb >> (at % 32) & 1 == 1);
        let half = by > 0 && bit(self, by - 1);
        let rest = by > 1 && (0..by - 1).any(|at| bit(self, at));
        let (limbs, bits) = (by / 32, by % 32);
        self.0.drain(..limbs.min(self.0.len()));
        let mut carry = 0u64;
        for limb in self.0.iter_mut().rev() {
            let wide = carry << 32 | u64::from(*limb);
            *limb = (wide >> bits) as u32;
            carry = wide & ((1 << bits) - 1);
        }
        self.trim();
        if half && (rest || bit(self, 0)) {
            // Adding one is multiplying by one with a carry to begin with.
            self.multiply_add(1, 1);
        }
    }

    /// Subtracts `other` unless it is larger.
    fn subtract_if_not_less(&mut self, other: &Self) -> bool {
        let order = self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()));
        if order.is_lt() {
            return false;
        }
        let mut borrow = 0i64;
        for (index, limb) in self.0.iter_mut().enumerate() {
            let difference = i64::from(*limb) - i64::from(other.0.get(index).copied().unwrap_or(0)) - borrow;
            *limb = difference as u32;
            borrow = i64::from(difference < 0);
        }
        self.trim();
        true
    }

    fn decimal(mut self) -> Vec<u8> {
        let mut parts = Vec::new();
        while !self.is_zero() {
            let mut rest = 0u64;
            for limb in self.0.iter_mut().rev() {
                let wide = rest << 32 | u64::from(*limb);
                *limb = (wide / 1_000_000_000) as u32;
                rest = wide % 1_000_000_000;
            }
            self.trim();
            parts.push(rest);
        }
        let mut text = String::new();
        for (index, part) in parts.iter().rev().enumerate() {
            text.push_str(&if index == 0 { part.to_string() } else { format!("{part:09}") });
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let (a, b) = (LongDouble::parse(a.as_bytes()).unwrap(), LongDouble::parse(b.as_bytes()).unwrap());
        String::from_utf8(a.plus(b).unwrap().text()).unwrap()
    }

    #[test]
    fn sums_look_as_people_expect() {
        for (a, b, expected) in [
            ("3", "1.1", "4.1"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "200", "5200"),
            ("0.1", "0.2", "0.3"),
            ("1", "-1", "0"),
            ("-0", "-0", "0"),
            ("1.5", "-2", "-0.5"),
            ("0x10", "0x.8p1", "17"),
            ("1e20", "1", "100000000000000000000"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("18446744073709551616", "3", "18446744073709551620"),
            ("1e-17", "0", "0.00000000000000001"),
            ("1e-4940", "0", "0"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in
            ["", " 1", "1 ", "1e", "e1", ".", "-", "+-1", "nan", "0x", "0xp1", "1e5000", "1e-5000", "1.2.3", "1_0"]
        {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        let infinite = LongDouble::parse(b"-Infinity").unwrap();
        assert!(infinite.is_infinite());
        assert_eq!(infinite.plus(LongDouble::parse(b"inf").unwrap()), None);
        let largest = LongDouble::parse(b"1.18e4932").unwrap();
        assert!(largest.plus(largest).unwrap().is_infinite());
    }

    #[test]
    fn integers_keep_their_text() {
        for value in [0, 1, -1, 42, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1] {
            assert_eq!(LongDouble::from(value).text(), value.to_string().into_bytes());
            assert_eq!(LongDouble::parse(value.to_string().as_bytes()).unwrap(), LongDouble::from(value));
        }
    }
}
