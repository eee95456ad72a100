//! Writing the parts of the RDB format: lengths, strings, numbers.

use super::format::{
    COMPRESSED_BYTES_MIN, COMPRESSION_GAIN_MIN, FORM_14_BITS, FORM_32_BITS, FORM_64_BITS, FORM_INT_8, FORM_INT_16,
    FORM_INT_32, FORM_LZF, INTEGER_TEXT_BYTES_MAX, LEN_6_BITS, LEN_14_BITS,
};
use super::lzf::Compressor;
use ringkey_core::number::parse_integer;

/// Appends a length, or another number that is written like one.
#[inline]
pub fn len(out: &mut Vec<u8>, len: u64) {
    match len {
        0..LEN_6_BITS => out.push(len as u8),
        LEN_6_BITS..LEN_14_BITS => out.extend_from_slice(&[FORM_14_BITS | (len >> 8) as u8, len as u8]),
        _ => match u32::try_from(len) {
            Ok(len) => {
                out.push(FORM_32_BITS);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                out.push(FORM_64_BITS);
                out.extend_from_slice(&len.to_be_bytes());
            }
        },
    }
}

/// How strings are written, and what that needs.
#[derive(Debug, Default)]
pub struct Strings {
    compressor: Option<Compressor>,
    /// Where compressed bytes wait for their length to be known.
    compressed: Vec<u8>,
}

impl Strings {
    /// `compresses`: long ones are compressed where that helps.
    pub fn new(compresses: bool) -> Self {
        Self { compressor: compresses.then(Compressor::default), compressed: Vec::new() }
    }

    /// Appends a string.
    #[inline]
    pub fn string(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        if text.len() <= INTEGER_TEXT_BYTES_MAX {
            if let Some(value) = parse_integer(text).and_then(|value| i32::try_from(value).ok()) {
                return small_integer(out, value);
            }
        } else if text.len() >= COMPRESSED_BYTES_MIN && self.compress(out, text) {
            return;
        }
        len(out, text.len() as u64);
        out.extend_from_slice(text);
    }

    /// Appends the text of an integer.
    #[inline]
    pub fn integer(&mut self, out: &mut Vec<u8>, value: i64) {
        match i32::try_from(value) {
            Ok(value) => small_integer(out, value),
            Err(_) => self.string(out, itoa::Buffer::new().format(value).as_bytes()),
        }
    }

    /// Appends a string compressed, if that makes it shorter; does it?
    fn compress(&mut self, out: &mut Vec<u8>, text: &[u8]) -> bool {
        let Some(compressor) = &mut self.compressor else { return false };
        self.compressed.clear();
        let Some(size) = compressor.compress(text, text.len() - COMPRESSION_GAIN_MIN, &mut self.compressed) else {
            return false;
        };
        out.push(FORM_LZF);
        len(out, size as u64);
        len(out, text.len() as u64);
        out.extend_from_slice(&self.compressed);
        true
    }
}

/// Appends an integer that fits one of the short forms.
#[inline]
fn small_integer(out: &mut Vec<u8>, value: i32) {
    if let Ok(value) = i8::try_from(value) {
        out.extend_from_slice(&[FORM_INT_8, value as u8]);
    } else if let Ok(value) = i16::try_from(value) {
        let [a, b] = value.to_le_bytes();
        out.extend_from_slice(&[FORM_INT_16, a, b]);
    } else {
        let [a, b, c, d] = value.to_le_bytes();
        out.extend_from_slice(&[FORM_INT_32, a, b, c, d]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rdb::read::Reader;

    #[test]
    fn lengths_come_back() {
        for shift in 0..64 {
            for near in [0, 1, u64::MAX] {
                let (mut out, value) = (Vec::new(), (1_u64 << shift).wrapping_add(near));
                len(&mut out, value);
                let mut reader = Reader::new(&out);
                assert_eq!(reader.number(), Ok(value));
                assert!(reader.rest().is_empty());
            }
        }
    }

    #[test]
    fn strings_are_written_as_valkey_does() {
        let written = |text: &[u8]| {
            let mut out = Vec::new();
            Strings::new(false).string(&mut out, text);
            out
        };
        assert_eq!(written(b"12"), b"\xc0\x0c");
        assert_eq!(written(b"-129"), b"\xc1\x7f\xff");
        assert_eq!(written(b"70000"), b"\xc2\x70\x11\x01\x00");
        assert_eq!(written(b"-2147483648"), b"\xc2\x00\x00\x00\x80");
        assert_eq!(written(b"3000000000"), b"\x0a3000000000");
        assert_eq!(written(b"01"), b"\x0201");
        assert_eq!(written(b""), b"\x00");
        let mut out = Vec::new();
        Strings::default().integer(&mut out, i64::MIN);
        assert_eq!(out, b"\x14-9223372036854775808");
    }

    #[test]
    fn strings_come_back() {
        let mut strings = Strings::new(true);
        for size in (0..200).chain([16_383, 16_384, 70_000]) {
            for text in [vec![b'x'; size], (0..size).map(|at| (at * at / 3) as u8).collect()] {
                let mut out = Vec::new();
                strings.string(&mut out, &text);
                assert!(out.len() <= text.len() + 5);
                let (mut reader, mut unpacked) = (Reader::new(&out), Vec::new());
                let read = reader.string(&mut unpacked).unwrap();
                assert_eq!(read.text(&mut itoa::Buffer::new()), text);
                assert!(reader.rest().is_empty());
            }
        }
    }
}
