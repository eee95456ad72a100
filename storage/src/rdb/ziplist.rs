//! Ziplists and zipmaps, which servers wrote before listpacks. Nothing here writes them.
//!
//! A ziplist: its size and the place of its last element, four bytes each, the count of elements in two bytes, the elements,
//! and a byte ff. An element tells the length of the one before it, in one byte or behind fe in four, and then:
//!
//! ```text
//! 00xxxxxx text           text of up to 63 bytes        11000000 xx      integer of 2 bytes
//! 01xxxxxx x text         up to 16383, big endian       11010000 xxxx    integer of 4 bytes
//! 10000000 xxxx text      longer, big endian            11100000 x ..    integer of 8 bytes
//! 11110000 xxx            integer of 3 bytes            11111110 x       integer of 1 byte
//! 1111xxxx                integer 0 to 12, as 1 to 13
//! ```
//!
//! A zipmap: the count of fields, of which 254 and more mean "unknown", then of each the length of the field, the field, the
//! length of the value, how many bytes behind the value are free, the value and those bytes; and a byte ff. A length from
//! 254 on is fe and four bytes.

use super::format::FormatError;
use super::read::{Read, Reader};
use ringkey_core::value::Element;

/// What stands before the elements.
const HEAD_BYTES: usize = 10;

/// What stands behind them.
const END: u8 = 0xff;

/// A length of four bytes follows.
const LONG: u8 = 0xfe;

/// The count that means: count yourself.
const COUNT_UNKNOWN: u16 = u16::MAX;

const WRONG: FormatError = FormatError("a ziplist is damaged");

/// The elements of a ziplist that may be damaged.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    reader: Reader<'a>,
    /// The size of the element before.
    before: usize,
    /// Where the last element begins, from the first one on.
    last: usize,
    /// How far the reader is, from the first element on.
    at: usize,
    count: Option<usize>,
    seen: usize,
}

impl<'a> Elements<'a> {
    /// The elements of these bytes.
    ///
    /// # Errors
    /// What stands before or behind the elements is wrong.
    pub fn new(bytes: &'a [u8]) -> Read<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(WRONG)?;
        let (end, body) = rest.split_last().ok_or(WRONG)?;
        let mut reader = Reader::new(head);
        let (size, last) = (u32::from_le_bytes(reader.array()?), u32::from_le_bytes(reader.array()?));
        let count = u16::from_le_bytes(reader.array()?);
        let last = (last as usize).checked_sub(HEAD_BYTES).ok_or(WRONG)?;
        if size as usize != bytes.len() || *end != END || last > body.len() {
            return Err(WRONG);
        }
        let count = (count != COUNT_UNKNOWN).then_some(usize::from(count));
        if count.is_some_and(|count| count > body.len() / 2) {
            return Err(WRONG);
        }
        Ok(Self { reader: Reader::new(body), before: 0, last, at: 0, count, seen: 0 })
    }

    /// How many elements there are at most.
    pub fn bound(&self) -> usize {
        self.count.unwrap_or(self.reader.rest().len() / 2)
    }

    /// The next element; its text may be that of an integer.
    ///
    /// # Errors
    /// It is none.
    pub fn take(&mut self) -> Read<Option<Element<'a>>> {
        let left = self.reader.rest().len();
        if left == 0 {
            let is_last = self.at == self.last + self.before;
            return if is_last && self.count.is_none_or(|count| count == self.seen) { Ok(None) } else { Err(WRONG) };
        }
        let before = match self.reader.byte()? {
            END => return Err(WRONG),
            LONG => u32::from_le_bytes(self.reader.array()?) as usize,
            short => short.into(),
        };
        if before != self.before {
            return Err(WRONG);
        }
        let element = self.element()?;
        self.before = left - self.reader.rest().len();
        self.at += self.before;
        self.seen += 1;
        Ok(Some(element))
    }

    fn element(&mut self) -> Read<Element<'a>> {
        let reader = &mut self.reader;
        let first = reader.byte()?;
        Ok(Element::Int(match first {
            0..=0x3f => return reader.take(first.into()).map(Element::Bytes),
            0x40..=0x7f => {
                let len = usize::from(first & 0x3f) << 8 | usize::from(reader.byte()?);
                return reader.take(len).map(Element::Bytes);
            }
            0x80 => {
                let len = u32::from_be_bytes(reader.array()?) as usize;
                return reader.take(len).map(Element::Bytes);
            }
            0xc0 => i16::from_le_bytes(reader.array()?).into(),
            0xd0 => i32::from_le_bytes(reader.array()?).into(),
            0xe0 => i64::from_le_bytes(reader.array()?),
            0xf0 => {
                let [a, b, c] = reader.array()?;
                (i32::from_le_bytes([0, a, b, c]) >> 8).into()
            }
            0xf1..=0xfd => i64::from(first & 0x0f) - 1,
            0xfe => i8::from_le_bytes(reader.array()?).into(),
            _ => return Err(WRONG),
        }))
    }

    /// The next two elements.
    ///
    /// # Errors
    /// They are none, or there is only one.
    pub fn pair(&mut self) -> Read<Option<(Element<'a>, Element<'a>)>> {
        let Some(first) = self.take()? else { return Ok(None) };
        let second = self.take()?.ok_or(FormatError("a pair of which one half is missing"))?;
        Ok(Some((first, second)))
    }
}

/// The fields of a zipmap that may be damaged.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    reader: Reader<'a>,
    count: Option<usize>,
    seen: usize,
}

const WRONG_MAP: FormatError = FormatError("a zipmap is damaged");

impl<'a> Fields<'a> {
    /// The fields of these bytes.
    ///
    /// # Errors
    /// What stands before or behind the fields is wrong.
    pub fn new(bytes: &'a [u8]) -> Read<Self> {
        let (count, rest) = bytes.split_first().ok_or(WRONG_MAP)?;
        let (end, body) = rest.split_last().ok_or(WRONG_MAP)?;
        if *end != END {
            return Err(WRONG_MAP);
        }
        Ok(Self { reader: Reader::new(body), count: (*count < LONG).then_some(usize::from(*count)), seen: 0 })
    }

    /// How many fields there are at most.
    pub fn bound(&self) -> usize {
        self.count.unwrap_or(self.reader.rest().len() / 3)
    }

    /// The next field and its value.
    ///
    /// # Errors
    /// There is none, though there should be one, or it is cut.
    pub fn take(&mut self) -> Read<Option<(&'a [u8], &'a [u8])>> {
        if self.reader.rest().is_empty() {
            return if self.count.is_none_or(|count| count == self.seen) { Ok(None) } else { Err(WRONG_MAP) };
        }
        let len = self.len()?;
        let field = self.reader.take(len)?;
        let len = self.len()?;
        let free = self.reader.byte()?;
        let value = self.reader.take(len)?;
        self.reader.take(free.into())?;
        self.seen += 1;
        Ok(Some((field, value)))
    }

    fn len(&mut self) -> Read<usize> {
        match self.reader.byte()? {
            END => Err(WRONG_MAP),
            LONG => Ok(u32::from_le_bytes(self.reader.array()?) as usize),
            short => Ok(short.into()),
        }
    }
}

/// Ziplists for tests.
#[cfg(test)]
pub mod sample {
    use super::{END, HEAD_BYTES};

    /// Appends an element of this encoding to a ziplist's body.
    fn push(body: &mut Vec<u8>, before: &mut usize, encoding: &[u8]) {
        let from = body.len();
        match u8::try_from(*before) {
            Ok(short) if short < 254 => body.push(short),
            _ => {
                body.push(254);
                body.extend_from_slice(&(*before as u32).to_le_bytes());
            }
        }
        body.extend_from_slice(encoding);
        *before = body.len() - from;
    }

    /// The encoding of a text.
    pub fn text(text: &[u8]) -> Vec<u8> {
        let mut out = match text.len() {
            len @ 0..=63 => vec![len as u8],
            len @ 64..=16_383 => vec![0x40 | (len >> 8) as u8, len as u8],
            len => [&[0x80][..], &(len as u32).to_be_bytes()].concat(),
        };
        out.extend_from_slice(text);
        out
    }

    /// A ziplist of these encodings.
    pub fn ziplist(encodings: &[Vec<u8>]) -> Vec<u8> {
        let (mut body, mut before) = (Vec::new(), 0);
        encodings.iter().for_each(|encoding| push(&mut body, &mut before, encoding));
        let size = HEAD_BYTES + body.len() + 1;
        let last = HEAD_BYTES + body.len() - before;
        let mut out = [(size as u32).to_le_bytes(), (last as u32).to_le_bytes()].concat();
        out.extend_from_slice(&(encodings.len() as u16).to_le_bytes());
        out.extend_from_slice(&body);
        out.push(END);
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(bytes: &[u8]) -> Read<Vec<Vec<u8>>> {
        let (mut elements, mut texts) = (Elements::new(bytes)?, Vec::new());
        while let Some(element) = elements.take()? {
            texts.push(element.text(&mut itoa::Buffer::new()).to_vec());
        }
        Ok(texts)
    }

    #[test]
    fn elements_of_all_encodings() {
        let long = [vec![b'x'; 64], vec![b'y'; 16_383], vec![b'z'; 16_384]];
        let encodings = [
            sample::text(b""),
            sample::text(&[b'w'; 63]),
            sample::text(&long[0]),
            sample::text(&long[1]),
            vec![0xf1],
            vec![0xfd],
            vec![0xfe, 0x80],
            vec![0xc0, 0x00, 0x80],
            vec![0xf0, 0x00, 0x00, 0x80],
            vec![0xd0, 0x00, 0x00, 0x00, 0x80],
            sample::text(&long[2]),
            vec![0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80],
        ];
        let read = texts(&sample::ziplist(&encodings)).unwrap();
        let integers = |range: std::ops::Range<usize>| -> Vec<i64> {
            read[range].iter().map(|text| str::from_utf8(text).unwrap().parse().unwrap()).collect()
        };
        assert_eq!(read.len(), encodings.len());
        assert_eq!((&read[0][..], &read[1][..]), (&b""[..], &[b'w'; 63][..]));
        assert_eq!((&read[2], &read[3], &read[10]), (&long[0], &long[1], &long[2]));
        assert_eq!(integers(4..10), [0, 12, -128, -32_768, -8_388_608, -2_147_483_648]);
        assert_eq!(integers(11..12), [i64::MIN]);
    }

    #[test]
    fn whatever_is_cut_or_flipped_is_refused_or_read() {
        let bytes = sample::ziplist(&[sample::text(b"abc"), vec![0xfe, 7], sample::text(&[b'x'; 300]), vec![0xf5]]);
        assert_eq!(texts(&bytes).unwrap().len(), 4);
        for end in 0..bytes.len() {
            assert!(texts(&bytes[..end]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = texts(&flipped);
        }
        let mut wrong = bytes.clone();
        wrong[4] ^= 1;
        assert!(texts(&wrong).is_err(), "the place of the last element");
        assert!(texts(&sample::ziplist(&[])).unwrap().is_empty());
    }

    #[test]
    fn zipmaps() {
        let fields = |bytes: &[u8]| -> Read<Vec<(Vec<u8>, Vec<u8>)>> {
            let (mut fields, mut all) = (Fields::new(bytes)?, Vec::new());
            while let Some((field, value)) = fields.take()? {
                all.push((field.to_vec(), value.to_vec()));
            }
            Ok(all)
        };
        let two = b"\x02\x01a\x01\x00b\x01c\x02\x01dd\x00\xff";
        let pair = |field: &[u8], value: &[u8]| (field.to_vec(), value.to_vec());
        assert_eq!(fields(two).unwrap(), [pair(b"a", b"b"), pair(b"c", b"dd")]);
        for end in 0..two.len() {
            assert!(fields(&two[..end]).is_err());
        }
        let mut long = b"\xfe\xfe\x2c\x01\0\0".to_vec();
        long.extend([b'x'; 300]);
        long.extend(b"\x00\x00\xff");
        assert_eq!(fields(&long).unwrap(), [pair(&[b'x'; 300], b"")]);
        assert!(fields(b"\x01\xff").is_err() && fields(b"\x00\xff").unwrap().is_empty());
    }
}
