//! A packed hash: fields and values in turn, in the order in which the fields came.
//!
//! The count of pairs stands in front ([`PACKED_HEAD_BYTES`]). Fields are found by walking: there are few, and they lie together.
//! No field of a packed hash expires.

use crate::value::element::Head;
use crate::value::{Element, PACKED_HEAD_BYTES, Splice};
use smallvec::SmallVec;

/// A hash without fields.
pub const EMPTY: [u8; PACKED_HEAD_BYTES] = [0; PACKED_HEAD_BYTES];

/// Most fields that a packed hash may have, whatever the settings say.
pub const FIELDS_MAX: usize = u16::MAX as usize;

/// Most bytes that a packed hash may have, whatever the settings say.
pub const BYTES_MAX: usize = 1 << 30;

/// Room for a pair on its way into a hash.
type Encoded = SmallVec<[u8; 160]>;

/// Where a field and its value lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Where the field begins.
    pub field: usize,
    /// Where the value begins.
    pub value: usize,
    /// Where the next field begins.
    pub end: usize,
}

impl Pair {
    #[inline]
    fn at(bytes: &[u8], field: usize) -> Self {
        let value = Element::skip(bytes, field);
        Self { field, value, end: Element::skip(bytes, value) }
    }

    /// The value.
    #[inline]
    pub fn value_of<'a>(&self, bytes: &'a [u8]) -> Element<'a> {
        Element::read(bytes, self.value).0
    }
}

/// How many fields there are.
#[inline]
pub fn len(bytes: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn set_len(bytes: &mut impl Splice, len: usize) {
    let len = u16::try_from(len).expect("a packed hash is bounded");
    bytes.bytes_mut()[..PACKED_HEAD_BYTES].copy_from_slice(&len.to_le_bytes());
}

/// The bytes that a field has if it is there.
struct Needle<'a> {
    head: Head,
    text: &'a [u8],
}

impl<'a> Needle<'a> {
    #[inline]
    fn new(field: &'a [u8]) -> Self {
        let element = Element::of(field);
        let text = if let Element::Bytes(text) = element { text } else { &[] };
        Self { head: element.head(), text }
    }

    #[inline]
    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let head = self.head.as_bytes();
        // The first byte tells most fields apart: it has the length.
        bytes[at] == head[0]
            && bytes[at..].strip_prefix(head).is_some_and(|rest| rest.len() >= self.text.len() && same(rest, self.text))
    }
}

/// Does `bytes` begin with `text`? It is not shorter. Without a call where the text is short.
#[inline]
fn same(bytes: &[u8], text: &[u8]) -> bool {
    if text.len() > 16 {
        return bytes.starts_with(text);
    }
    bytes.iter().zip(text).all(|(one, other)| one == other)
}

/// Where a field is.
#[inline]
pub fn find(bytes: &[u8], field: &[u8]) -> Option<Pair> {
    let needle = Needle::new(field);
    let mut at = PACKED_HEAD_BYTES;
    while at < bytes.len() {
        if needle.is_at(bytes, at) {
            return Some(Pair::at(bytes, at));
        }
        at = Element::skip(bytes, Element::skip(bytes, at));
    }
    None
}

/// Walks over the pairs.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let (field, value_at) = Element::read(self.bytes, self.at);
        let (value, end) = Element::read(self.bytes, value_at);
        self.at = end;
        Some((field, value))
    }
}

/// All pairs, in their order.
#[inline]
pub fn pairs(bytes: &[u8]) -> Pairs<'_> {
    Pairs { bytes, at: PACKED_HEAD_BYTES }
}

#[inline]
fn encode(element: Element<'_>, out: &mut Encoded) {
    out.extend_from_slice(element.head().as_bytes());
    if let Element::Bytes(text) = element {
        out.extend_from_slice(text);
    }
}

/// Gives a field another value.
#[inline]
pub fn replace(bytes: &mut impl Splice, pair: Pair, value: Element<'_>) {
    let head = value.head();
    let head = head.as_bytes();
    if value.encoded_len() == pair.end - pair.value {
        let place = &mut bytes.bytes_mut()[pair.value..pair.end];
        let (before, behind) = place.split_at_mut(head.len());
        before.copy_from_slice(head);
        if let Element::Bytes(text) = value {
            behind.copy_from_slice(text);
        }
        return;
    }
    let mut encoded = Encoded::new();
    encode(value, &mut encoded);
    bytes.splice(pair.value..pair.end, &encoded);
}

/// Puts in a field that is not there, behind all others.
#[inline]
pub fn append(bytes: &mut impl Splice, field: &[u8], value: Element<'_>) {
    let mut encoded = Encoded::new();
    encode(Element::of(field), &mut encoded);
    encode(value, &mut encoded);
    let (len, end) = (len(bytes.bytes()), bytes.bytes().len());
    bytes.splice(end..end, &encoded);
    set_len(bytes, len + 1);
}

/// Takes a field out.
pub fn remove(bytes: &mut impl Splice, pair: Pair) {
    let len = len(bytes.bytes());
    bytes.splice(pair.field..pair.end, &[]);
    set_len(bytes, len - 1);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prng::Prng;

    fn text(element: Element<'_>) -> Vec<u8> {
        element.text(&mut itoa::Buffer::new()).to_vec()
    }

    fn set(bytes: &mut Vec<u8>, field: &[u8], value: &[u8]) {
        match find(bytes, field) {
            Some(pair) => replace(bytes, pair, Element::of(value)),
            None => append(bytes, field, Element::of(value)),
        }
    }

    /// Texts that look alike to a careless search, of all encodings.
    fn texts() -> Vec<Vec<u8>> {
        let mut texts: Vec<Vec<u8>> =
            ["", "a", "aa", "b", "0", "1", "-1", "01", "127", "128", "4096", "70000", "-9999999"]
                .iter()
                .map(|text| text.as_bytes().to_vec())
                .collect();
        texts.extend([9_000_000_000i64, i64::MIN, i64::MAX].map(|number| number.to_string().into_bytes()));
        texts.extend([63, 64, 4095, 4096].map(|len| vec![b'x'; len]));
        texts.push(vec![0x81, b'a', 0x81, b'b']);
        texts
    }

    #[test]
    fn a_packed_hash_is_like_an_ordered_list_of_pairs() {
        let texts = texts();
        let mut prng = Prng::new(3);
        let mut bytes = EMPTY.to_vec();
        let mut model: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for _ in 0..4_000 {
            let [field, value] = [(); 2].map(|()| &texts[prng.below(texts.len() as u64) as usize]);
            let known = model.iter().position(|(name, _)| name == field);
            assert_eq!(find(&bytes, field).is_some(), known.is_some());
            if prng.below(3) == 0 {
                if let Some(at) = known {
                    let pair = find(&bytes, field).unwrap();
                    assert_eq!(text(pair.value_of(&bytes)), model[at].1);
                    remove(&mut bytes, pair);
                    model.remove(at);
                }
            } else {
                set(&mut bytes, field, value);
                match known {
                    Some(at) => model[at].1.clone_from(value),
                    None => model.push((field.clone(), value.clone())),
                }
            }
            let found: Vec<_> = pairs(&bytes).map(|(field, value)| (text(field), text(value))).collect();
            assert_eq!(found, model);
            assert_eq!(len(&bytes), model.len());
        }
    }

    #[test]
    fn small_hashes_are_small() {
        let mut bytes = EMPTY.to_vec();
        for number in 0..10 {
            set(&mut bytes, format!("field{number}").as_bytes(), format!("value:{number:07}").as_bytes());
        }
        assert_eq!(bytes.len(), 2 + 10 * (7 + 14));
    }
}
