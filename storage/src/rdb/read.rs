//! Reading the parts of the RDB format: lengths, strings, numbers.
//!
//! Nothing that is read is believed: a length is held against the bytes that are left before anything is made of it.

use super::format::{
    FORM_32_BITS, FORM_64_BITS, FORM_INT_8, FORM_INT_16, FORM_INT_32, FORM_LZF, FormatError, SCORE_INFINITE, SCORE_NAN,
    SCORE_NEGATIVE_INFINITE,
};
use super::lzf;
use ringkey_core::value::Element;

/// No string is longer, in bytes, whatever it was compressed to.
const STRING_BYTES_MAX: usize = u32::MAX as usize;

const CUT: FormatError = FormatError("the bytes end too early");

/// What is read or why it is not.
pub type Read<T> = Result<T, FormatError>;

/// Bytes, and how far they are read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

/// A string where it lies, or apart from it.
#[derive(Debug)]
pub enum Text<'a> {
    /// As it was written.
    Here(&'a [u8]),
    /// The text of an integer.
    Int(i64),
    /// Decompressed.
    Unpacked(Vec<u8>),
}

/// A length, or what stands in the place of one.
enum Length {
    Plain(u64),
    /// The byte that says what follows.
    Special(u8),
}

impl<'a> Reader<'a> {
    /// Begins to read.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(CUT)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// The next bytes, as many as the caller wants.
    #[inline]
    pub fn array<const LEN: usize>(&mut self) -> Read<[u8; LEN]> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(CUT)?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Read<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    fn length(&mut self) -> Read<Length> {
        let first = self.byte()?;
        Ok(match first {
            0..=0x3f => Length::Plain(first.into()),
            0x40..=0x7f => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            FORM_32_BITS => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            FORM_64_BITS => Length::Plain(u64::from_be_bytes(self.array()?)),
            0xc0.. => Length::Special(first),
            _ => return Err(FormatError("a length of unknown form")),
        })
    }

    /// A length, or another number that is written like one. Where a string could stand, too, a number stands for its form.
    #[inline]
    pub fn number(&mut self) -> Read<u64> {
        match self.length()? {
            Length::Plain(len) => Ok(len),
            Length::Special(first) => Ok(u64::from(first & 0x3f)),
        }
    }

    /// How many things follow, each of which takes `least` bytes or more.
    #[inline]
    pub fn count(&mut self, least: usize) -> Read<usize> {
        let count = usize::try_from(self.number()?).map_err(|_| CUT)?;
        if count > self.bytes.len() / least { Err(CUT) } else { Ok(count) }
    }

    /// The same where there must be one.
    #[inline]
    pub fn some(&mut self, least: usize) -> Read<usize> {
        match self.count(least)? {
            0 => Err(FormatError("a collection without elements")),
            count => Ok(count),
        }
    }

    /// A string. One that was compressed is in `unpacked`; text that could be written as an integer need not be one.
    #[inline]
    pub fn string<'b>(&mut self, unpacked: &'b mut Vec<u8>) -> Read<Element<'b>>
    where
        'a: 'b,
    {
        match self.length()? {
            Length::Plain(len) => self.plain(len).map(Element::Bytes),
            Length::Special(FORM_LZF) => {
                self.compressed(unpacked)?;
                Ok(Element::Bytes(unpacked))
            }
            Length::Special(form) => self.small_integer(form).map(Element::Int),
        }
    }

    /// A string, as it is.
    pub fn text(&mut self) -> Read<Text<'a>> {
        match self.length()? {
            Length::Plain(len) => self.plain(len).map(Text::Here),
            Length::Special(FORM_LZF) => {
                let mut unpacked = Vec::new();
                self.compressed(&mut unpacked)?;
                Ok(Text::Unpacked(unpacked))
            }
            Length::Special(form) => self.small_integer(form).map(Text::Int),
        }
    }

    /// A string as bytes, which are in `unpacked` unless they lie as they are in what is read.
    pub fn blob<'b>(&mut self, unpacked: &'b mut Vec<u8>) -> Read<&'b [u8]>
    where
        'a: 'b,
    {
        match self.length()? {
            Length::Plain(len) => return self.plain(len),
            Length::Special(FORM_LZF) => self.compressed(unpacked)?,
            Length::Special(form) => {
                let value = self.small_integer(form)?;
                unpacked.clear();
                unpacked.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
        }
        Ok(unpacked)
    }

    #[inline]
    fn plain(&mut self, len: u64) -> Read<&'a [u8]> {
        self.take(usize::try_from(len).map_err(|_| CUT)?)
    }

    fn small_integer(&mut self, form: u8) -> Read<i64> {
        Ok(match form {
            FORM_INT_8 => i8::from_le_bytes(self.array()?).into(),
            FORM_INT_16 => i16::from_le_bytes(self.array()?).into(),
            FORM_INT_32 => i32::from_le_bytes(self.array()?).into(),
            _ => return Err(FormatError("a string of unknown form")),
        })
    }

    fn compressed(&mut self, unpacked: &mut Vec<u8>) -> Read<()> {
        let (compressed, len) = (self.number()?, self.number()?);
        let len = usize::try_from(len).ok().filter(|len| *len <= STRING_BYTES_MAX);
        let len = len.ok_or(FormatError("a string is too long"))?;
        lzf::decompress(self.plain(compressed)?, len, unpacked)
    }

    /// An integer of eight bytes.
    #[inline]
    pub fn integer(&mut self) -> Read<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A score of eight bytes.
    #[inline]
    pub fn score(&mut self) -> Read<f64> {
        real(f64::from_le_bytes(self.array()?))
    }

    /// A score as text, its length in one byte, of which the largest stand for what has no digits.
    pub fn score_text(&mut self) -> Read<f64> {
        match self.byte()? {
            SCORE_NAN => Err(NOT_A_NUMBER),
            SCORE_INFINITE => Ok(f64::INFINITY),
            SCORE_NEGATIVE_INFINITE => Ok(f64::NEG_INFINITY),
            len => score_of(self.take(len.into())?),
        }
    }
}

const NOT_A_NUMBER: FormatError = FormatError("a score that is no number");

fn real(score: f64) -> Read<f64> {
    if score.is_nan() { Err(NOT_A_NUMBER) } else { Ok(score) }
}

/// The score that a text stands for.
pub fn score_of(text: &[u8]) -> Read<f64> {
    let text = str::from_utf8(text).map_err(|_| NOT_A_NUMBER)?;
    real(text.trim_start().parse().map_err(|_| NOT_A_NUMBER)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lengths_in_all_forms() {
        for (bytes, len) in [
            (&[0x3f][..], 63),
            (&[0x40, 0x40], 64),
            (&[0x7f, 0xff], 16_383),
            (&[0x80, 0, 0, 0x40, 0], 16_384),
            (&[0x81, 0, 0, 0, 1, 0, 0, 0, 0], 1 << 32),
        ] {
            assert_eq!(Reader::new(bytes).number(), Ok(len));
            for end in 0..bytes.len() {
                assert!(Reader::new(&bytes[..end]).number().is_err());
            }
        }
        assert!(Reader::new(&[0x82, 0, 0, 0, 0]).number().is_err());
        assert!(Reader::new(&[0x05, 1, 2, 3, 4]).count(1).is_err());
        assert_eq!(Reader::new(&[0x04, 1, 2, 3, 4]).count(1), Ok(4));
        assert!(Reader::new(&[0x03, 1, 2, 3, 4]).count(2).is_err());
        assert!(Reader::new(&[0]).some(1).is_err());
    }

    #[test]
    fn strings_in_all_forms() {
        let read = |bytes: &[u8]| {
            let mut unpacked = Vec::new();
            Reader::new(bytes).string(&mut unpacked).map(|text| text.text(&mut itoa::Buffer::new()).to_vec())
        };
        let blob = |bytes: &[u8]| Reader::new(bytes).blob(&mut Vec::new()).map(<[u8]>::to_vec);
        for (bytes, text) in [
            (&b"\x03abc"[..], &b"abc"[..]),
            (b"\x00", b""),
            (b"\xc0\xff", b"-1"),
            (b"\xc1\x00\x80", b"-32768"),
            (b"\xc2\xff\xff\xff\x7f", b"2147483647"),
            (b"\xc3\x04\x06\x00a\x60\x00", b"aaaaaa"),
        ] {
            assert_eq!(read(bytes).unwrap(), text);
            assert_eq!(blob(bytes).unwrap(), text);
            for end in 0..bytes.len() {
                assert!(read(&bytes[..end]).is_err() && blob(&bytes[..end]).is_err(), "{bytes:?} {end}");
            }
        }
        assert!(read(b"\xc4\x00").is_err());
        assert!(read(b"\xc3\x04\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00a\x60\x00").is_err());
    }

    #[test]
    fn scores() {
        assert_eq!(Reader::new(b"\x031.5").score_text(), Ok(1.5));
        assert_eq!(Reader::new(b"\x03 12").score_text(), Ok(12.0));
        assert_eq!(Reader::new(b"\xfe").score_text(), Ok(f64::INFINITY));
        assert_eq!(Reader::new(b"\xff").score_text(), Ok(f64::NEG_INFINITY));
        for wrong in [&b"\xfd"[..], b"\x00", b"\x03nan", b"\x041.5x", b"\x041.5"] {
            assert!(Reader::new(wrong).score_text().is_err(), "{wrong:?}");
        }
        assert!(Reader::new(&f64::NAN.to_le_bytes()).score().is_err());
        assert_eq!(Reader::new(&(-0.5_f64).to_le_bytes()).score(), Ok(-0.5));
    }
}
