//! Many texts in one run of bytes: what is sorted must outlive the look at the collection, and costs no allocation each.

use super::options::up_to_zero;
use crate::double::parse_double;

/// Many texts, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    /// No texts, and room for so many.
    pub fn with_room(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count.saturating_mul(8)), ends: Vec::with_capacity(count) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes they have in sum.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a text.
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    /// Adds a text made of three.
    #[inline]
    pub fn push_joined(&mut self, parts: [&[u8]; 3]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.ends.push(self.bytes.len());
    }

    /// A text.
    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// Forgets all texts and keeps their room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// The number that a text is, to sort by. What stands behind a zero byte is not seen.
#[inline]
pub fn score_of(text: &[u8]) -> Option<f64> {
    parse_double(text).or_else(|| parse_double(up_to_zero(text)))
}

/// A number as an integer of the same order; both zeros are the same.
#[inline]
pub fn rank_of_score(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    // Of negative numbers all bits are turned, of others the sign.
    bits ^ ((bits as i64 >> 63) as u64 | 1 << 63)
}

/// The first eight bytes of a text as an integer: where it differs, it tells the order of two texts.
#[inline]
pub fn rank_of_text(text: &[u8]) -> u64 {
    if let Some(first) = text.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut bytes = [0; 8];
    bytes[..text.len()].copy_from_slice(text);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn texts_are_kept_apart() {
        let mut texts = Texts::with_room(2);
        texts.push(b"one");
        texts.push(b"");
        texts.push_joined([b"a", b"b", b"c"]);
        assert_eq!((0..texts.len()).map(|index| texts.get(index)).collect::<Vec<_>>(), [&b"one"[..], b"", b"abc"]);
        texts.clear();
        texts.push(b"two");
        assert_eq!((texts.len(), texts.get(0)), (1, &b"two"[..]));
    }

    #[test]
    fn ranks_have_the_order_of_what_they_stand_for() {
        let scores = [f64::NEG_INFINITY, -1e308, -1.5, -5e-324, 0.0, 5e-324, 1.0, 1e308, f64::INFINITY];
        assert!(scores.map(rank_of_score).is_sorted_by(|one, two| one < two));
        assert_eq!(rank_of_score(0.0), rank_of_score(-0.0));
        let texts = ["", "a", "a\u{1}", "ab", "abcdefgh", "abcdefgi", "b"];
        assert!(texts.map(|text| rank_of_text(text.as_bytes())).is_sorted());
        assert_eq!(rank_of_text(b"abcdefgh"), rank_of_text(b"abcdefghi"));
    }

    #[test]
    fn scores_are_read_as_in_valkey() {
        for (text, score) in [
            (&b"12"[..], Some(12.0)),
            (b"-12.5", Some(-12.5)),
            (b"12\0abc", Some(12.0)),
            (b"+inf", Some(f64::INFINITY)),
            (b"", None),
            (b"\x005", None),
            (b" 1", None),
            (b"0x10", None),
            (b"nan", None),
            (b"1e400", None),
        ] {
            assert_eq!(score_of(text), score, "{}", text.escape_ascii());
        }
    }
}
