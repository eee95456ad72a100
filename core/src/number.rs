//! Numbers in requests and replies: the strict decimal integers of the protocol.
//!
//! Valkey accepts only the canonical text of an integer where it stores or counts one (no sign `+`, no leading
//! zero, no blank), because the text must come back unchanged from an integer-encoded string.

use atoi::FromRadix10SignedChecked;

/// Parses the canonical decimal text of an `i64`; anything else is `None`.
#[inline]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = match text {
        [b'-', rest @ ..] => rest,
        rest => rest,
    };
    match digits {
        [b'0'] => return (text.len() == 1).then_some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => {}
        _ => return None,
    }
    match i64::from_radix_10_signed_checked(text) {
        (Some(value), used) if used == text.len() => Some(value),
        _ => None,
    }
}

/// Parses the canonical decimal text of a `u64`; anything else is `None`.
pub fn parse_unsigned(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_text_is_an_integer() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0", None),
            ("01", None),
            ("+1", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("1 ", None),
            ("1a", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn unsigned_reaches_the_top() {
        assert_eq!(parse_unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_unsigned(b"18446744073709551616"), None);
        assert_eq!(parse_unsigned(b"-1"), None);
    }
}
