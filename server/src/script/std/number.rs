//! Numbers as C makes them of each other and writes them: what Lua 5.1's libraries inherit from it.

use std::fmt::Write;

/// Two to the 63rd.
const BEYOND_I64: f64 = 9_223_372_036_854_775_808.0;

/// A number without its fraction. What does not fit (NaN as well) becomes `i64::MIN`, as the processors that Valkey runs on
/// have it.
pub(super) fn to_i64(number: f64) -> i64 {
    if number >= -BEYOND_I64 && number < BEYOND_I64 { number as i64 } else { i64::MIN }
}

/// The same for unsigned numbers: negative ones wrap around, what is too large becomes 0.
pub(super) fn to_u64(number: f64) -> u64 {
    if number >= BEYOND_I64 { to_i64(number - BEYOND_I64) as u64 ^ (1 << 63) } else { to_i64(number) as u64 }
}

/// The lower 32 bits of [`to_i64`], signed.
pub(super) fn to_i32(number: f64) -> i32 {
    to_i64(number) as i32
}

/// The integer that a number is, if it is one of 64 bits.
pub(super) fn as_integer(number: f64) -> Option<i64> {
    let integer = to_i64(number);
    (integer as f64 == number && number < BEYOND_I64).then_some(integer)
}

/// A number's text: 17 digits, sign, point, exponent, and the zeros before the first digit.
pub(super) struct Text {
    bytes: [u8; 40],
    length: usize,
}

impl Text {
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if text.len() > self.bytes.len() - self.length {
            return Err(std::fmt::Error);
        }
        self.push(text.as_bytes());
        Ok(())
    }
}

/// A number as `printf("%.*g")` writes it, with 1 to 17 digits.
pub(super) fn general(number: f64, digits: usize) -> Text {
    let mut text = Text { bytes: [0; 40], length: 0 };
    if !number.is_finite() {
        let sign: &[u8] = if number.is_sign_negative() { b"-" } else { b"" };
        text.push(sign);
        text.push(if number.is_nan() { b"nan" } else { b"inf" });
        return text;
    }
    if number.is_sign_negative() {
        text.push(b"-");
    }
    // One digit before the point, the others behind it, and an exponent: rounded as C rounds.
    let mut scientific = Text { bytes: [0; 40], length: 0 };
    write!(scientific, "{:.*e}", digits - 1, number.abs()).expect("17 digits and an exponent fit");
    let (mantissa, exponent) = std::str::from_utf8(scientific.as_bytes())
        .ok()
        .and_then(|text| text.split_once('e'))
        .expect("this format has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a small number");
    let mut kept = [0; 17];
    let mut count = 0;
    for digit in mantissa.bytes().filter(u8::is_ascii_digit) {
        kept[count] = digit;
        count += 1;
    }
    while count > 1 && kept[count - 1] == b'0' {
        count -= 1;
    }
    let kept = &kept[..count];
    if exponent < -4 || exponent >= digits as i32 {
        text.push(&kept[..1]);
        if count > 1 {
            text.push(b".");
            text.push(&kept[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(text, "e{sign}{:02}", exponent.unsigned_abs()).expect("an exponent has three digits at most");
    } else if exponent < 0 {
        text.push(b"0.");
        text.push(&b"000"[..(-exponent - 1) as usize]);
        text.push(kept);
    } else {
        let whole = exponent as usize + 1;
        text.push(&kept[..whole.min(count)]);
        for _ in count..whole {
            text.push(b"0");
        }
        if count > whole {
            text.push(b".");
            text.push(&kept[whole..]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_read_as_c_writes_them() {
        let cases: &[(f64, usize, &str)] = &[
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (0.1, 14, "0.1"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1e14, 14, "1e+14"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (99_999_999_999_999.5, 14, "1e+14"),
            (1e-5, 14, "1e-05"),
            (0.000_123, 14, "0.000123"),
            (5e-324, 14, "4.9406564584125e-324"),
            (f64::MAX, 17, "1.7976931348623157e+308"),
            (999.9, 3, "1e+03"),
            (123.456, 1, "1e+02"),
            (100.0, 3, "100"),
            (-1234.5, 14, "-1234.5"),
            (f64::INFINITY, 14, "inf"),
            (-f64::NAN, 14, "-nan"),
        ];
        for &(number, digits, text) in cases {
            assert_eq!(std::str::from_utf8(general(number, digits).as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn conversions_wrap_as_the_processor_does() {
        assert_eq!((to_i64(-1.9), to_i64(f64::NAN), to_i64(1e300)), (-1, i64::MIN, i64::MIN));
        assert_eq!((to_u64(-1.0), to_u64(1e300), to_u64(1.8e19)), (u64::MAX, 0, 18_000_000_000_000_000_000));
        assert_eq!(to_u64(f64::NAN), 1 << 63);
        assert_eq!((as_integer(BEYOND_I64), as_integer(-BEYOND_I64), as_integer(0.5)), (None, Some(i64::MIN), None));
        assert_eq!(as_integer(f64::NAN), None);
    }
}
