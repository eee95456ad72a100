//! Ids of entries as words of commands and in replies, and entries in replies.

use crate::number::{parse_integer, parse_unsigned};
use crate::resp::{CommandError, Reply};
use crate::value::element::Element;
use crate::value::stream::{Fields, StreamId};

/// Longer words are no ids.
const ID_TEXT_BYTES_MAX: usize = 127;

const INVALID: CommandError = CommandError::text("Invalid stream ID specified as stream command argument");

/// Half of an id. Besides canonical numbers Valkey takes what the C library's `strtoull` does: blanks and a sign before the
/// digits, and leading zeros; a number with a minus sign counts down from 2^64.
fn half(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_unsigned(text) {
        return Some(number);
    }
    if parse_integer(text).is_some() {
        return None;
    }
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"\x0b").map_or(text, |rest| rest.trim_ascii_start());
    let (is_negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if is_negative { number.wrapping_neg() } else { number })
}

/// An id: milliseconds and a number, or milliseconds alone, to which `number` is added.
///
/// # Errors
/// Whatever else.
pub fn parse_id(word: &[u8], number: u64) -> Result<StreamId, CommandError> {
    if word.len() > ID_TEXT_BYTES_MAX {
        return Err(INVALID);
    }
    // As in C, the text ends at a zero byte.
    let text = word.split(|byte| *byte == 0).next().unwrap_or_default();
    let id = match text.iter().position(|byte| *byte == b'-') {
        None => half(text).map(|ms| StreamId::new(ms, number)),
        Some(at) => half(&text[..at]).zip(half(&text[at + 1..])).map(|(ms, seq)| StreamId::new(ms, seq)),
    };
    id.ok_or(INVALID)
}

/// An id, or `-` for the smallest and `+` for the largest one.
///
/// # Errors
/// Whatever else.
pub fn parse_bound(word: &[u8], number: u64) -> Result<StreamId, CommandError> {
    match word {
        b"-" | [b'-', 0, ..] => Ok(StreamId::MIN),
        b"+" | [b'+', 0, ..] => Ok(StreamId::MAX),
        _ => parse_id(word, number),
    }
}

/// Where a range begins; `(` before an id leaves that one out.
///
/// # Errors
/// What is no id, and that there is no id after it.
pub fn parse_start(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        [b'(', rest @ ..] if !rest.is_empty() => {
            parse_id(rest, 0)?.next().ok_or(CommandError::text("invalid start ID for the interval"))
        }
        _ => parse_bound(word, 0),
    }
}

/// Where a range ends; `(` before an id leaves that one out.
///
/// # Errors
/// What is no id, and that there is no id before it.
pub fn parse_end(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        [b'(', rest @ ..] if !rest.is_empty() => {
            parse_id(rest, u64::MAX)?.previous().ok_or(CommandError::text("invalid end ID for the interval"))
        }
        _ => parse_bound(word, u64::MAX),
    }
}

/// The text of an id.
pub struct IdText {
    bytes: [u8; 41],
    len: usize,
}

impl IdText {
    /// The text of this id.
    #[inline]
    pub fn of(id: StreamId) -> Self {
        let mut text = Self { bytes: [0; 41], len: 0 };
        let mut buffer = itoa::Buffer::new();
        text.push(buffer.format(id.ms).as_bytes());
        text.push(b"-");
        text.push(buffer.format(id.seq).as_bytes());
        text
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Writes an id.
#[inline]
pub fn reply_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(IdText::of(id).as_bytes());
}

/// Writes an entry: its id, and its names and values.
#[inline]
pub fn reply_entry(reply: &mut Reply<'_>, id: StreamId, fields: Fields<'_>) {
    reply.array(2);
    reply_id(reply, id);
    reply.array(2 * fields.len());
    for (name, value) in fields {
        for element in [name, value] {
            match element {
                Element::Bytes(text) => reply.bulk(text),
                Element::Int(number) => reply.bulk_integer(number),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_valkey_reads_them() {
        let id = |word: &str| parse_id(word.as_bytes(), 9).ok().map(|id| (id.ms, id.seq));
        for (word, expected) in [
            ("5", Some((5, 9))),
            ("5-3", Some((5, 3))),
            ("+5", Some((5, 9))),
            (" 5", Some((5, 9))),
            ("\u{b}\t5-\n\r+3", Some((5, 3))),
            ("007-0", Some((7, 0))),
            ("5- -3", Some((5, u64::MAX - 2))),
            ("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX))),
            ("5\0-7x", Some((5, 9))),
            ("18446744073709551616", None),
            ("5--3", None),
            ("-3", None),
            ("5-", None),
            ("5-*", None),
            ("5-3-2", None),
            ("", None),
            ("-", None),
            ("+", None),
            ("*", None),
            ("1e3", None),
            ("5 ", None),
        ] {
            assert_eq!(id(word), expected, "{word:?}");
        }
        assert!(parse_id(&[b'0'; 127], 0).is_ok());
        assert!(parse_id(&[b'0'; 128], 0).is_err());
    }

    #[test]
    fn ranges_may_leave_out_their_ends() {
        let text = |result: Result<StreamId, CommandError>| match result {
            Ok(id) => id.to_string(),
            Err(error) => error.to_string(),
        };
        for (word, start, end) in [
            ("-", "0-0", "0-0"),
            ("+", "18446744073709551615-18446744073709551615", "18446744073709551615-18446744073709551615"),
            ("5", "5-0", "5-18446744073709551615"),
            ("(5", "5-1", "5-18446744073709551614"),
            ("(0-0", "0-1", "invalid end ID for the interval"),
            (
                "(18446744073709551615-18446744073709551615",
                "invalid start ID for the interval",
                "18446744073709551615-18446744073709551614",
            ),
            (
                "(",
                "Invalid stream ID specified as stream command argument",
                "Invalid stream ID specified as stream command argument",
            ),
            (
                "(-",
                "Invalid stream ID specified as stream command argument",
                "Invalid stream ID specified as stream command argument",
            ),
        ] {
            assert_eq!(text(parse_start(word.as_bytes())), start, "{word}");
            assert_eq!(text(parse_end(word.as_bytes())), end, "{word}");
        }
    }
}
