//! How places and distances are told.

use crate::resp::Reply;
use crate::value::geohash::Position;

/// A coordinate has 17 digits behind the point, less the zeros at the end.
const COORDINATE_DIGITS: usize = 17;

/// A coordinate multiplied by this fits 64 bits.
const COORDINATE_SCALE: u64 = 10_u64.pow(COORDINATE_DIGITS as u32);

/// Distances have four digits behind the point.
const DISTANCE_SCALE: f64 = 10_000.0;

/// A sign, digits, a point, digits.
const TEXT_MAX: usize = 32;

/// Writes a whole number with a point before its last `digits` digits; the answer is how many bytes that is.
fn write_fixed(text: &mut [u8; TEXT_MAX], negative: bool, value: u64, digits: usize) -> usize {
    let mut buffer = itoa::Buffer::new();
    let value = buffer.format(value).as_bytes();
    let mut len = 0;
    let mut push = |bytes: &[u8]| {
        text[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    };
    if negative {
        push(b"-");
    }
    match value.len().checked_sub(digits) {
        Some(whole) if whole > 0 => {
            push(&value[..whole]);
            push(b".");
            push(&value[whole..]);
        }
        _ => {
            push(b"0.");
            push(&[b'0'; COORDINATE_DIGITS][..digits - value.len()]);
            push(value);
        }
    }
    len
}

/// A distance. What is too large to be one in units of a ten-thousandth is what the processor makes of it in Valkey.
pub(super) fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    let scaled = (distance * DISTANCE_SCALE).round_ties_even();
    let scaled = if scaled.abs() < i64::MAX as f64 { scaled as i64 } else { i64::MIN };
    let mut text = [0; TEXT_MAX];
    let len = write_fixed(&mut text, scaled < 0, scaled.unsigned_abs(), 4);
    reply.bulk(&text[..len]);
}

/// A coordinate: the digits of the exact value, rounded.
fn reply_coordinate(reply: &mut Reply<'_>, degrees: f64) {
    let bits = degrees.abs().to_bits();
    let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52) as u32);
    let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    // The value is `significand / 2^shift`; coordinates are below 256, so there are bits to be shifted out.
    let shift = 1075 - exponent.max(1);
    let product = u128::from(significand) * u128::from(COORDINATE_SCALE);
    let scaled = if shift > 120 {
        0
    } else {
        let (whole, rest) = (product >> shift, product & ((1 << shift) - 1));
        let half = 1_u128 << (shift - 1);
        (whole + u128::from(rest > half || rest == half && whole & 1 == 1)) as u64
    };
    let mut text = [0; TEXT_MAX];
    let mut len = write_fixed(&mut text, degrees < 0.0 && scaled > 0, scaled, COORDINATE_DIGITS);
    while text[len - 1] == b'0' {
        len -= 1;
    }
    if text[len - 1] == b'.' {
        len -= 1;
    }
    reply.double_text(str::from_utf8(&text[..len]).expect("digits are ASCII"));
}

/// A place: longitude and latitude.
pub(super) fn reply_position(reply: &mut Reply<'_>, place: Position) {
    reply.array(2);
    reply_coordinate(reply, place.longitude);
    reply_coordinate(reply, place.latitude);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prng::Prng;
    use crate::resp::{Protocol, ReplyBuffer};

    fn text(write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = ReplyBuffer::default();
        write(&mut Reply::new(&mut out, Protocol::Resp2));
        let text = String::from_utf8(out.to_vec()).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    }

    #[test]
    fn distances_have_four_digits() {
        for (distance, expected) in [
            (0.0, "0.0000"),
            (0.000_04, "0.0000"),
            (0.000_05, "0.0000"),
            (0.000_16, "0.0002"),
            (0.775, "0.7750"),
            (166_274.151_56, "166274.1516"),
            (12.0, "12.0000"),
            (1e300, "-922337203685477.5808"),
            (f64::NAN, "-922337203685477.5808"),
        ] {
            assert_eq!(text(|reply| reply_distance(reply, distance)), expected, "{distance}");
        }
    }

    /// The standard library prints exactly, too, but slowly.
    #[test]
    fn coordinates_are_exact() {
        let mut prng = Prng::new(11);
        let special = [0.0, -0.0, 180.0, -180.0, 85.051_128_78, 5e-324, -1e-18, 4e-18, -6e-18, 0.5, 1e-17, 2.5e-17];
        let random = (0..20_000).map(|_| {
            let degrees = (prng.next_u64() as i64 as f64) / (1_u64 << 63) as f64 * 180.0;
            degrees / (1_u64 << (prng.next_u64() % 64)) as f64
        });
        for degrees in special.into_iter().chain(random) {
            let exact = format!("{degrees:.17}");
            let short = exact.trim_end_matches('0').trim_end_matches('.');
            let expected = if short == "-0" { "0" } else { short };
            assert_eq!(text(|reply| reply_coordinate(reply, degrees)), expected, "{degrees}");
        }
    }
}
