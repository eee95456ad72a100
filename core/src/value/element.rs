//! One element of a packed collection: text, or an integer where the text is the canonical one of an integer.
//!
//! The encoding is that of a listpack entry (Valkey's `listpack.md`) without the back length, so packed collections go to
//! files and other servers without a conversion of their elements:
//!
//! ```text
//! 0xxxxxxx                        integer 0 to 127
//! 10xxxxxx text                   text of up to 63 bytes
//! 110xxxxx x                      integer of 13 bits, signed
//! 1110xxxx x text                 text of up to 4095 bytes
//! 11110000 xxxx text              longer text, its length in four bytes, little endian
//! 11110001 xx, 0010 xxx, 0011 xxxx, 0100 xxxxxxxx   integers of 2, 3, 4 and 8 bytes, little endian
//! ```

use crate::number::parse_integer;
use smallvec::SmallVec;

/// Longest text whose length fits the first byte.
const SHORT_TEXT_BYTES_MAX: usize = 63;

/// Shortest text whose length does not.
const MORE_TEXT_BYTES: usize = SHORT_TEXT_BYTES_MAX + 1;

/// Longest text whose length fits two bytes.
const MEDIUM_TEXT_BYTES_MAX: usize = 4095;

/// Longest text that may be an integer.
const INTEGER_TEXT_BYTES_MAX: usize = 20;

/// The longest head of a text, or the longest integer.
const HEAD_BYTES_MAX: usize = 9;

/// How many bytes tell the length of an encoding where a listpack is walked over backwards.
#[inline]
pub(super) const fn back_bytes(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// The bytes of an encoding before the text.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: u8,
}

impl Head {
    #[inline]
    fn set(&mut self, bytes: &[u8]) {
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        self.len = bytes.len() as u8;
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// An element as it is packed, for a search or a splice.
pub type Encoded = SmallVec<[u8; 72]>;

/// An element where it lies, or on its way there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element<'a> {
    /// Text that is not the canonical one of an integer.
    Bytes(&'a [u8]),
    /// An integer.
    Int(i64),
}

impl<'a> Element<'a> {
    /// The element for a text.
    #[inline]
    pub fn of(text: &'a [u8]) -> Self {
        match text.len() {
            1..=INTEGER_TEXT_BYTES_MAX => parse_integer(text).map_or(Self::Bytes(text), Self::Int),
            _ => Self::Bytes(text),
        }
    }

    /// How many bytes its encoding takes.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        match *self {
            Self::Bytes(text) => {
                text.len()
                    + match text.len() {
                        0..=SHORT_TEXT_BYTES_MAX => 1,
                        MORE_TEXT_BYTES..=MEDIUM_TEXT_BYTES_MAX => 2,
                        _ => 5,
                    }
            }
            Self::Int(0..=127) => 1,
            Self::Int(-4096..=4095) => 2,
            Self::Int(-0x8000..=0x7fff) => 3,
            Self::Int(-0x80_0000..=0x7f_ffff) => 4,
            Self::Int(-0x8000_0000..=0x7fff_ffff) => 5,
            Self::Int(_) => 9,
        }
    }

    /// How many bytes it takes in a listpack: its encoding and the back length.
    #[inline]
    pub const fn listpack_len(&self) -> usize {
        let len = self.encoded_len();
        len + back_bytes(len)
    }

    /// Appends its encoding.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        // Most integers are small, and then a length that is known saves a call.
        match *self {
            Self::Int(value @ 0..=127) => return out.push(value as u8),
            Self::Int(value @ -4096..=4095) => {
                return out.extend_from_slice(&[0xc0 | (value >> 8 & 0x1f) as u8, value as u8]);
            }
            _ => {}
        }
        out.extend_from_slice(self.head().as_bytes());
        if let Self::Bytes(text) = self {
            out.extend_from_slice(text);
        }
    }

    /// Its encoding. Equal elements that [`Element::of`] makes have equal bytes.
    #[inline]
    pub fn encoded(&self) -> Encoded {
        let mut out = Encoded::from_slice(self.head().as_bytes());
        if let Self::Bytes(text) = self {
            out.extend_from_slice(text);
        }
        out
    }

    /// What its encoding has before the text, or all of an integer's.
    #[inline]
    pub fn head(&self) -> Head {
        let mut head = Head { bytes: [0; HEAD_BYTES_MAX], len: 1 };
        match *self {
            Self::Bytes(text) => match text.len() {
                len @ 0..=SHORT_TEXT_BYTES_MAX => head.bytes[0] = 0x80 | len as u8,
                len @ MORE_TEXT_BYTES..=MEDIUM_TEXT_BYTES_MAX => head.set(&[0xe0 | (len >> 8) as u8, len as u8]),
                len => {
                    assert!(len <= u32::MAX as usize, "strings are bounded far below 4 GiB");
                    let [a, b, c, d] = (len as u32).to_le_bytes();
                    head.set(&[0xf0, a, b, c, d]);
                }
            },
            Self::Int(value @ 0..=127) => head.bytes[0] = value as u8,
            Self::Int(value @ -4096..=4095) => head.set(&[0xc0 | (value >> 8 & 0x1f) as u8, value as u8]),
            Self::Int(value) => {
                let kind = match self.encoded_len() {
                    3 => 0xf1,
                    4 => 0xf2,
                    5 => 0xf3,
                    _ => 0xf4,
                };
                head.bytes[0] = kind;
                head.bytes[1..].copy_from_slice(&value.to_le_bytes());
                head.len = self.encoded_len() as u8;
            }
        }
        head
    }

    /// The element whose encoding begins at `at`, and where the next one begins.
    ///
    /// The bytes are ones that [`Element::write`] wrote; others end in a panic, never in a wrong access.
    #[inline]
    pub fn read(bytes: &'a [u8], at: usize) -> (Self, usize) {
        let first = bytes[at];
        let text = |from: usize, len: usize| (Self::Bytes(&bytes[from..from + len]), from + len);
        match first {
            0..=0x7f => (Self::Int(first.into()), at + 1),
            0x80..=0xbf => text(at + 1, usize::from(first & 0x3f)),
            0xc0..=0xdf => {
                let raw = i64::from(first & 0x1f) << 8 | i64::from(bytes[at + 1]);
                (Self::Int(raw << 51 >> 51), at + 2)
            }
            0xe0..=0xef => text(at + 2, usize::from(first & 0x0f) << 8 | usize::from(bytes[at + 1])),
            0xf0 => {
                let len = u32::from_le_bytes(bytes[at + 1..at + 5].try_into().expect("four bytes are four bytes"));
                text(at + 5, len as usize)
            }
            0xf1 => read_integer::<2>(bytes, at),
            0xf2 => read_integer::<3>(bytes, at),
            0xf3 => read_integer::<4>(bytes, at),
            _ => read_integer::<8>(bytes, at),
        }
    }

    /// Where the element after the one at `at` begins.
    #[inline]
    pub fn skip(bytes: &[u8], at: usize) -> usize {
        let first = bytes[at];
        at + match first {
            0..=0x7f => 1,
            0x80..=0xbf => 1 + usize::from(first & 0x3f),
            0xc0..=0xdf => 2,
            0xe0..=0xef => 2 + (usize::from(first & 0x0f) << 8 | usize::from(bytes[at + 1])),
            0xf0 => {
                5 + u32::from_le_bytes(bytes[at + 1..at + 5].try_into().expect("four bytes are four bytes")) as usize
            }
            0xf1 => 3,
            0xf2 => 4,
            0xf3 => 5,
            _ => 9,
        }
    }

    /// The text; that of an integer is written into `buffer`.
    #[inline]
    pub fn text<'b>(&self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Self::Bytes(text) => text,
            Self::Int(value) => buffer.format(value).as_bytes(),
        }
    }

    /// How long the text is, in bytes.
    pub fn text_len(&self) -> usize {
        match *self {
            Self::Bytes(text) => text.len(),
            Self::Int(value) => itoa::Buffer::new().format(value).len(),
        }
    }
}

/// The integer of so many bytes behind the one at `at`. The length is known where this is compiled, so it is one load.
#[inline]
fn read_integer<const LEN: usize>(bytes: &[u8], at: usize) -> (Element<'_>, usize) {
    let mut wide = [0; 8];
    wide[8 - LEN..].copy_from_slice(&bytes[at + 1..at + 1 + LEN]);
    (Element::Int(i64::from_le_bytes(wide) >> (64 - 8 * LEN)), at + 1 + LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back(text: &[u8]) {
        let element = Element::of(text);
        let mut bytes = vec![0xaa; 3];
        element.write(&mut bytes);
        assert_eq!(bytes.len(), 3 + element.encoded_len(), "{text:?}");
        bytes.push(0xff);
        let (read, next) = Element::read(&bytes, 3);
        assert_eq!(read, element);
        assert_eq!(read.text(&mut itoa::Buffer::new()), text);
        assert_eq!(read.text_len(), text.len());
        assert_eq!(next, bytes.len() - 1);
        assert_eq!(Element::skip(&bytes, 3), next);
    }

    #[test]
    fn texts_come_back() {
        for len in [0, 1, 19, 20, 21, 62, 63, 64, 65, 4094, 4095, 4096, 4097, 70_000] {
            comes_back(&vec![b'x'; len]);
            comes_back(&vec![b'1'; len]);
        }
        for text in ["-0", "+1", "01", " 1", "1 ", "-", "9223372036854775808", "-9223372036854775809"] {
            assert!(matches!(Element::of(text.as_bytes()), Element::Bytes(_)), "{text}");
            comes_back(text.as_bytes());
        }
    }

    #[test]
    fn integers_come_back() {
        for shift in 0..64 {
            for near in -2..=2_i64 {
                for value in [(1_i64 << shift).wrapping_add(near), (-1_i64 << shift).wrapping_add(near)] {
                    comes_back(value.to_string().as_bytes());
                    assert_eq!(Element::of(value.to_string().as_bytes()), Element::Int(value));
                }
            }
        }
    }

    #[test]
    fn encodings_are_those_of_a_listpack() {
        let encoded = |text: &str| {
            let mut bytes = Vec::new();
            Element::of(text.as_bytes()).write(&mut bytes);
            bytes
        };
        assert_eq!(encoded("7"), [7]);
        assert_eq!(encoded("-1"), [0xdf, 0xff]);
        assert_eq!(encoded("128"), [0xc0, 0x80]);
        assert_eq!(encoded("-4096"), [0xd0, 0]);
        assert_eq!(encoded("4096"), [0xf1, 0, 0x10]);
        assert_eq!(encoded("40000"), [0xf2, 0x40, 0x9c, 0]);
        assert_eq!(encoded("a"), [0x81, b'a']);
        assert_eq!(encoded("")[..], [0x80]);
    }
}
