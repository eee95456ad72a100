//! Elements of lists where they are packed: each is followed by the length of its encoding, so that they can be walked over
//! from both ends. The bytes are those of a listpack without its head and end.
//!
//! The back length has seven bits a byte, the highest first; all its bytes but the first have the top bit set, so it is
//! read from its end.

use crate::value::Element;
use crate::value::element::back_bytes;
use smallvec::SmallVec;
use std::ops::Range;

/// An element on its way; most are short enough to stay off the heap.
pub(super) type EntryBytes = SmallVec<[u8; 96]>;

/// How many bytes an element takes.
#[inline]
pub(super) const fn entry_bytes(element: &Element<'_>) -> usize {
    element.listpack_len()
}

/// What stands before the text: all of an integer.
#[inline]
fn head(element: &Element<'_>) -> ([u8; 9], usize) {
    let mut head = [0; 9];
    let len = match *element {
        Element::Bytes(text) => match text.len() {
            len @ 0..=63 => {
                head[0] = 0x80 | len as u8;
                1
            }
            len @ 64..=4095 => {
                head[..2].copy_from_slice(&[0xe0 | (len >> 8) as u8, len as u8]);
                2
            }
            len => {
                head[0] = 0xf0;
                head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
                5
            }
        },
        Element::Int(value) => {
            let bytes = value.to_le_bytes();
            let len = element.encoded_len();
            match len {
                1 => head[0] = value as u8,
                2 => head[..2].copy_from_slice(&[0xc0 | (value >> 8 & 0x1f) as u8, value as u8]),
                _ => {
                    head[0] = [0xf1, 0xf2, 0xf3, 0xf4][len.min(6) - 3];
                    head[1..len].copy_from_slice(&bytes[..len - 1]);
                }
            }
            len
        }
    };
    (head, len)
}

/// Writes an element into `slot`, which is as long as it ([`entry_bytes`]).
#[inline]
pub(super) fn write_entry(slot: &mut [u8], element: &Element<'_>) {
    let (head, mut len) = head(element);
    slot[..len].copy_from_slice(&head[..len]);
    if let Element::Bytes(text) = element {
        slot[len..len + text.len()].copy_from_slice(text);
        len += text.len();
    }
    let back = &mut slot[len..];
    if let [only] = back {
        *only = len as u8;
        return;
    }
    for (place, byte) in back.iter_mut().rev().enumerate() {
        *byte = (len >> (7 * place)) as u8 | 0x80;
    }
    back[0] &= 0x7f;
}

/// An element as bytes of its own.
#[inline]
pub(super) fn entry_of(element: &Element<'_>) -> EntryBytes {
    let mut bytes = EntryBytes::new();
    bytes.resize(entry_bytes(element), 0);
    write_entry(&mut bytes, element);
    bytes
}

/// Where the element behind the one at `at` begins.
#[inline]
pub(super) fn next(bytes: &[u8], at: usize) -> usize {
    let end = Element::skip(bytes, at);
    end + back_bytes(end - at)
}

/// Where the element begins that ends before `end`.
#[inline]
pub(super) fn previous(bytes: &[u8], end: usize) -> usize {
    let mut byte = bytes[end - 1];
    if byte < 0x80 {
        return end - 1 - usize::from(byte);
    }
    let (mut len, mut read) = (0, 0);
    loop {
        len |= usize::from(byte & 0x7f) << (7 * read);
        read += 1;
        if byte < 0x80 {
            return end - read - len;
        }
        byte = bytes[end - 1 - read];
    }
}

/// The element at `at`, and where the next one begins.
#[inline]
pub(super) fn read(bytes: &[u8], at: usize) -> (Element<'_>, usize) {
    let (element, end) = Element::read(bytes, at);
    (element, end + back_bytes(end - at))
}

/// Where element `index` of `count` begins, which may be the end; walks from the nearer side.
pub(super) fn seek(bytes: &[u8], count: usize, index: usize) -> usize {
    debug_assert!(index <= count);
    if index <= count / 2 {
        (0..index).fold(0, |at, _| next(bytes, at))
    } else {
        (index..count).fold(bytes.len(), |end, _| previous(bytes, end))
    }
}

/// An element to be looked for, recognised in either shape.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    /// The text.
    pub text: &'a [u8],
    /// What it is where elements are packed.
    pub element: Element<'a>,
}

impl<'a> Needle<'a> {
    /// The needle of this text.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, element: Element::of(text) }
    }
}

/// Collects where packed elements equal `needle`, at most `most`, from the front or from the back.
pub(super) fn find_all(bytes: &[u8], needle: &Needle<'_>, most: usize, backward: bool, found: &mut Vec<Range<usize>>) {
    found.clear();
    if backward {
        let mut end = bytes.len();
        while end > 0 && found.len() < most {
            let at = previous(bytes, end);
            if read(bytes, at).0 == needle.element {
                found.push(at..end);
            }
            end = at;
        }
        found.reverse();
    } else {
        let mut at = 0;
        while at < bytes.len() && found.len() < most {
            let (element, next) = read(bytes, at);
            if element == needle.element {
                found.push(at..next);
            }
            at = next;
        }
    }
}

/// Takes ranges (in order) out of the bytes; what is left stands in front, and its length is the answer.
pub(super) fn close_gaps(bytes: &mut [u8], gaps: &[Range<usize>]) -> usize {
    let Some(first) = gaps.first() else {
        return bytes.len();
    };
    let mut end = first.start;
    for (index, gap) in gaps.iter().enumerate() {
        let until = gaps.get(index + 1).map_or(bytes.len(), |next| next.start);
        bytes.copy_within(gap.end..until, end);
        end += until - gap.end;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(texts: &[&[u8]]) -> Vec<u8> {
        texts.iter().flat_map(|text| entry_of(&Element::of(text))).collect()
    }

    #[test]
    fn entries_are_those_of_a_listpack() {
        assert_eq!(packed(&[b"7"]), [7, 1]);
        assert_eq!(packed(&[b"ab"]), [0x82, b'a', b'b', 3]);
        assert_eq!(packed(&[b"-1", b"300"]), [0xdf, 0xff, 2, 0xc1, 0x2c, 2]);
        let long = packed(&[&[b'x'; 200]]);
        assert_eq!(long[..2], [0xe0, 200]);
        assert_eq!(long[202..], [1, 202 - 128 + 128]);
    }

    #[test]
    fn integers_are_written_as_elements_write_themselves() {
        for shift in 0..64 {
            for near in -2..=2_i64 {
                for value in [(1_i64 << shift).wrapping_add(near), (-1_i64 << shift).wrapping_add(near)] {
                    let mut expected = Vec::new();
                    Element::Int(value).write(&mut expected);
                    let entry = entry_of(&Element::Int(value));
                    assert_eq!(entry[..entry.len() - 1], expected);
                    assert_eq!(usize::from(entry[entry.len() - 1]), expected.len());
                }
            }
        }
    }

    #[test]
    fn walked_over_from_both_ends() {
        let lens = [0, 1, 62, 63, 64, 125, 126, 127, 4095, 4096, 16_377, 16_378, 16_379, 2_097_145, 2_097_147];
        let texts: Vec<Vec<u8>> = lens.iter().map(|&len| vec![b'x'; len]).collect();
        let bytes = packed(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut starts = vec![0];
        for text in &texts {
            let (element, next) = read(&bytes, starts[starts.len() - 1]);
            assert_eq!(element, Element::Bytes(text));
            assert_eq!(next, super::next(&bytes, starts[starts.len() - 1]));
            starts.push(next);
        }
        assert_eq!(starts[texts.len()], bytes.len());
        for (index, &start) in starts.iter().enumerate() {
            assert_eq!(seek(&bytes, texts.len(), index), start);
            if index > 0 {
                assert_eq!(previous(&bytes, start), starts[index - 1]);
            }
        }
    }

    #[test]
    fn what_equals_is_taken_out() {
        let bytes = packed(&[b"1", b"x", b"1", b"yy", b"1"]);
        let without = |most: usize, backward: bool| {
            let (mut bytes, mut found) = (bytes.clone(), Vec::new());
            find_all(&bytes, &Needle::new(b"1"), most, backward, &mut found);
            let len = close_gaps(&mut bytes, &found);
            bytes.truncate(len);
            bytes
        };
        assert_eq!(without(usize::MAX, false), packed(&[b"x", b"yy"]));
        assert_eq!(without(usize::MAX, true), packed(&[b"x", b"yy"]));
        assert_eq!(without(2, false), packed(&[b"x", b"yy", b"1"]));
        assert_eq!(without(1, true), packed(&[b"1", b"x", b"1", b"yy"]));
        assert_eq!(without(0, true), bytes);
    }
}
