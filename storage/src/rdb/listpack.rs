//! Listpacks: six bytes of head (size and count), elements each followed by the length of its encoding, and a byte ff.
//!
//! Elements are encoded as [`Element`]s are, but need not be in their shortest form; values have them only in that form.

use super::format::FormatError;
use super::read::Read;
use ringkey_core::number::parse_integer;
use ringkey_core::value::Element;

/// What stands before the elements.
pub const HEAD_BYTES: usize = 6;

/// What stands behind them.
const END: u8 = 0xff;

/// The count that means: count yourself.
const COUNT_UNKNOWN: u16 = u16::MAX;

const WRONG: FormatError = FormatError("a listpack is damaged");

/// How many bytes tell the length of an encoding from behind.
#[inline]
pub const fn back_bytes(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Appends the length of an encoding as it is read from behind.
#[inline]
pub fn write_back(out: &mut Vec<u8>, len: usize) {
    if len < 128 {
        return out.push(len as u8);
    }
    let count = back_bytes(len);
    for place in (0..count).rev() {
        let seven = (len >> (7 * place)) as u8 & 0x7f;
        out.push(if place + 1 == count { seven } else { seven | 0x80 });
    }
}

/// So many bytes are copied at once.
const CHUNK: usize = 16;

/// Appends the elements that are encoded behind each other, each with its back length. The answer: how many are they?
pub fn write_all(out: &mut Vec<u8>, encoded: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < encoded.len() {
        let end = Element::skip(encoded, at);
        let len = end - at;
        match encoded[at..].first_chunk::<CHUNK>() {
            // One copy of a length that is known, for the element and its back length.
            Some(chunk) if len < CHUNK => {
                let (mut chunk, from) = (*chunk, out.len());
                chunk[len] = len as u8;
                out.extend_from_slice(&chunk);
                out.truncate(from + len + 1);
            }
            _ => {
                out.extend_from_slice(&encoded[at..end]);
                write_back(out, len);
            }
        }
        (at, count) = (end, count + 1);
    }
    count
}

/// Appends an element with its back length.
pub fn write(out: &mut Vec<u8>, element: &Element<'_>) {
    let from = out.len();
    element.write(out);
    let len = out.len() - from;
    write_back(out, len);
}

/// The same for an integer, which is mostly a small one.
#[inline(always)]
pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    match value {
        0..=127 => out.extend_from_slice(&[value as u8, 1]),
        -4096..=4095 => out.extend_from_slice(&[0xc0 | (value >> 8 & 0x1f) as u8, value as u8, 2]),
        _ => write(out, &Element::Int(value)),
    }
}

/// Appends a listpack of the elements that `fill` appends and counts.
pub fn build(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> usize) {
    let from = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    let count = fill(out);
    out.push(END);
    let size = u32::try_from(out.len() - from).expect("packed values are far below 4 GiB");
    let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
    let head = &mut out[from..from + HEAD_BYTES];
    head[..4].copy_from_slice(&size.to_le_bytes());
    head[4..].copy_from_slice(&count.to_le_bytes());
}

/// May it be the text of an integer?
#[inline]
fn looks_like_integer(text: &[u8]) -> bool {
    match text {
        [] => false,
        [first, rest @ ..] => (first.is_ascii_digit() || *first == b'-') && rest.iter().all(u8::is_ascii_digit),
    }
}

/// The elements of a listpack that may be damaged.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    /// All but the head and the end.
    body: &'a [u8],
    at: usize,
    /// How many the head says there are.
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
        let [a, b, c, d, low, high] = *head;
        if u32::from_le_bytes([a, b, c, d]) as usize != bytes.len() || *end != END {
            return Err(WRONG);
        }
        let count = u16::from_le_bytes([low, high]);
        let count = (count != COUNT_UNKNOWN).then_some(usize::from(count));
        // An element takes two bytes.
        if count.is_some_and(|count| count > body.len() / 2) {
            return Err(WRONG);
        }
        Ok(Self { body, at: 0, count, seen: 0 })
    }

    /// The elements as they lie, with their back lengths.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// What is left of them.
    pub fn rest(&self) -> &'a [u8] {
        &self.body[self.at..]
    }

    /// How many elements there are at most.
    pub fn bound(&self) -> usize {
        self.count.unwrap_or(self.body.len() / 2)
    }

    /// How many elements there were so far.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The next element; its text may be that of an integer.
    ///
    /// # Errors
    /// It is none.
    #[inline]
    pub fn take(&mut self) -> Read<Option<Element<'a>>> {
        let Some(&first) = self.body.get(self.at) else {
            return if self.count.is_none_or(|count| count == self.seen) { Ok(None) } else { Err(WRONG) };
        };
        let (len, head) = match first {
            0..=0x7f => (1, 1),
            0x80..=0xbf => (1 + usize::from(first & 0x3f), 1),
            0xc0..=0xdf => (2, 2),
            0xe0..=0xef => {
                let low = *self.body.get(self.at + 1).ok_or(WRONG)?;
                (2 + (usize::from(first & 0x0f) << 8 | usize::from(low)), 2)
            }
            0xf0 => {
                let len: [u8; 4] = *self.body[self.at + 1..].first_chunk().ok_or(WRONG)?;
                (5 + u32::from_le_bytes(len) as usize, 5)
            }
            0xf1 => (3, 3),
            0xf2 => (4, 4),
            0xf3 => (5, 5),
            0xf4 => (9, 9),
            _ => return Err(WRONG),
        };
        debug_assert!(head <= len);
        let end = self.at + len;
        let next = end + back_bytes(len);
        if next > self.body.len() || !self.is_back(end, len) {
            return Err(WRONG);
        }
        let (element, _) = Element::read(self.body, self.at);
        self.at = next;
        self.seen += 1;
        Ok(Some(element))
    }

    /// The next element, which is an integer.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    #[inline(always)]
    pub fn integer(&mut self) -> Read<i64> {
        match self.body[self.at..] {
            [value @ 0..=0x7f, 1, ..] => {
                self.at += 2;
                self.seen += 1;
                Ok(value.into())
            }
            [high @ 0xc0..=0xdf, low, 2, ..] => {
                self.at += 3;
                self.seen += 1;
                Ok((i64::from(high & 0x1f) << 8 | i64::from(low)) << 51 >> 51)
            }
            _ => match self.take()?.ok_or(WRONG)? {
                Element::Int(value) => Ok(value),
                Element::Bytes(text) => parse_integer(text).ok_or(WRONG),
            },
        }
    }

    /// Does the back length at `at` say that?
    #[inline]
    fn is_back(&self, at: usize, len: usize) -> bool {
        if len < 128 {
            return usize::from(self.body[at]) == len;
        }
        let count = back_bytes(len);
        let back = &self.body[at..at + count];
        back.iter().enumerate().all(|(index, byte)| {
            let seven = (len >> (7 * (count - 1 - index))) as u8 & 0x7f;
            *byte == if index == 0 { seven } else { seven | 0x80 }
        })
    }

    /// Appends the encoding of the next element in its shortest form, without its back length. The answer: how many bytes does it
    /// take in a listpack in that form?
    ///
    /// # Errors
    /// There is none, or it is damaged.
    #[inline]
    pub fn carry(&mut self, out: &mut Vec<u8>) -> Read<usize> {
        // Short text that is no integer's, and small integers, are most of what there is, and have one form.
        if let Some(chunk) = self.body[self.at..].first_chunk::<CHUNK>() {
            let len = match chunk[0] {
                0..=0x7f => 1,
                0x80..=0xbf => 1 + usize::from(chunk[0] & 0x3f),
                _ => CHUNK,
            };
            if len < CHUNK - 1 && usize::from(chunk[len]) == len && !looks_like_integer(&chunk[1..len]) {
                let from = out.len();
                out.extend_from_slice(chunk);
                out.truncate(from + len);
                self.at += len + 1;
                self.seen += 1;
                return Ok(len + 1);
            }
        }
        let element = match self.take()?.ok_or(WRONG)? {
            Element::Bytes(text) => Element::of(text),
            integer => integer,
        };
        element.write(out);
        Ok(element.listpack_len())
    }

    /// The next two elements.
    ///
    /// # Errors
    /// They are none, or there is only one.
    #[inline]
    pub fn pair(&mut self) -> Read<Option<(Element<'a>, Element<'a>)>> {
        let Some(first) = self.take()? else { return Ok(None) };
        let second = self.take()?.ok_or(FormatError("a pair of which one half is missing"))?;
        Ok(Some((first, second)))
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
        assert_eq!(elements.seen(), texts.len());
        Ok(texts)
    }

    fn packed(texts: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        build(&mut out, |out| {
            texts.iter().for_each(|text| write(out, &Element::of(text)));
            texts.len()
        });
        out
    }

    #[test]
    fn the_bytes_are_those_of_a_listpack() {
        assert_eq!(
            packed(&[b"a".to_vec(), b"1".to_vec(), b"bc".to_vec()]),
            b"\x10\0\0\0\x03\0\x81a\x02\x01\x01\x82bc\x03\xff"
        );
        assert_eq!(packed(&[]), b"\x07\0\0\0\0\0\xff");
    }

    #[test]
    fn all_lengths_come_back_and_any_cut_is_noticed() {
        let lens = [0, 1, 62, 63, 64, 125, 126, 127, 4094, 4095, 4096, 16_377, 16_378, 16_379, 2_097_145, 2_097_147];
        let all: Vec<Vec<u8>> = lens.iter().map(|len| vec![b'x'; *len]).collect();
        assert_eq!(texts(&packed(&all)).unwrap(), all);
        let integers: Vec<Vec<u8>> =
            [0, 127, 128, -1, -4096, 4095, 4096, -32_768, 8_000_000, -2_000_000_000, i64::MAX, i64::MIN]
                .iter()
                .map(|value: &i64| value.to_string().into_bytes())
                .collect();
        let bytes = packed(&integers);
        assert_eq!(texts(&bytes).unwrap(), integers);
        for end in 0..bytes.len() {
            assert!(texts(&bytes[..end]).is_err());
            let mut cut = bytes[..end].to_vec();
            if end >= 7 {
                cut[..4].copy_from_slice(&(end as u32).to_le_bytes());
                cut[end - 1] = END;
                assert!(texts(&cut).is_err(), "the count is wrong");
            }
        }
    }

    #[test]
    fn a_count_that_is_unknown_is_not_held_against_anything() {
        let mut bytes = packed(&[b"a".to_vec(), b"b".to_vec()]);
        bytes[4..6].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(texts(&bytes).unwrap().len(), 2);
        bytes[4..6].copy_from_slice(&[3, 0]);
        assert!(texts(&bytes).is_err());
        bytes[4..6].copy_from_slice(&[1, 0]);
        assert!(texts(&bytes).is_err());
    }

    #[test]
    fn every_flipped_bit_is_refused_or_read() {
        let bytes = packed(&[b"abc".to_vec(), b"-77".to_vec(), vec![b'x'; 70], b"123456789012".to_vec()]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = texts(&flipped);
        }
    }
}
