//! Packed collections while they are written.

use super::{TWICE, shortest};
use crate::rdb::read::Read;
use ringkey_core::keyspace::KeyHasher;
use ringkey_core::value::{Element, PACKED_HEAD_BYTES, zset};
use std::cmp::Ordering;
use std::ops::Range;

/// Most elements, or pairs, of a packed collection: two bytes count them.
pub const COUNT_MAX: usize = u16::MAX as usize - 1;

/// Most bytes of a packed collection.
const BYTES_MAX: usize = 1 << 30;

/// So many names are held against each other one by one.
const FEW_NAMES: usize = 8;

/// Packed elements behind their count, and where the names among them are: fields or members.
#[derive(Debug)]
pub struct Packing {
    bytes: Vec<u8>,
    names: Vec<Range<u32>>,
    /// The most names there may be.
    most: usize,
}

impl Packing {
    /// Nothing yet. There may be so many names, as far as their count has room, and the bytes are about so many.
    pub fn new(most: usize, bytes: usize) -> Self {
        let mut packed = Vec::with_capacity(PACKED_HEAD_BYTES + bytes);
        packed.resize(PACKED_HEAD_BYTES, 0);
        Self { bytes: packed, names: Vec::new(), most: most.min(COUNT_MAX) }
    }

    /// Adds a name, if there is room for it and for what belongs to it.
    #[inline]
    pub fn name(&mut self, name: Element<'_>) -> bool {
        if self.names.len() == self.most || self.bytes.len() > BYTES_MAX {
            return false;
        }
        let from = self.bytes.len();
        shortest(name).write(&mut self.bytes);
        self.names.push(from as u32..self.bytes.len() as u32);
        true
    }

    /// Adds the value of the field that was named last.
    #[inline]
    pub fn value(&mut self, value: Element<'_>) {
        shortest(value).write(&mut self.bytes);
    }

    /// Adds a member with its score, if there is room.
    #[inline]
    pub fn member(&mut self, name: Element<'_>, score: f64) -> bool {
        if self.names.len() == self.most || self.bytes.len() > BYTES_MAX {
            return false;
        }
        let name = shortest(name);
        let from = self.bytes.len();
        zset::append(&mut self.bytes, &name, score);
        self.names.push(from as u32..(from + name.encoded_len()) as u32);
        true
    }

    fn bytes_of(&self, name: &Range<u32>) -> &[u8] {
        &self.bytes[name.start as usize..name.end as usize]
    }

    fn are_distinct(&self, hasher: &KeyHasher) -> bool {
        if self.names.len() <= FEW_NAMES {
            return self.names.iter().enumerate().all(|(index, name)| {
                let name = self.bytes_of(name);
                self.names[..index].iter().all(|other| self.bytes_of(other) != name)
            });
        }
        let mut hashed: Vec<(u64, &[u8])> = self.names.iter().map(|name| (0, self.bytes_of(name))).collect();
        hashed.iter_mut().for_each(|(hash, name)| *hash = hasher.element(name).hash);
        hashed.sort_unstable();
        hashed.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// The packed bytes, if names are there once only.
    pub fn finish(mut self, hasher: &KeyHasher) -> Read<Vec<u8>> {
        if !self.are_distinct(hasher) {
            return Err(TWICE);
        }
        let count = u16::try_from(self.names.len()).expect("no more are let in");
        self.bytes[..PACKED_HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
        Ok(self.bytes)
    }

    /// The same for members with scores, which are put in order.
    pub fn finish_sorted(mut self, hasher: &KeyHasher, scores: &[f64]) -> Read<Vec<u8>> {
        debug_assert!(scores.len() == self.names.len());
        let name = |index: usize| Element::read(&self.bytes, self.names[index].start as usize).0;
        let compare = |a: usize, b: usize| {
            zset::order_of(scores[a]).cmp(&zset::order_of(scores[b])).then_with(|| compare(name(a), name(b)))
        };
        if !(1..scores.len()).all(|index| compare(index - 1, index).is_lt()) {
            let mut ranks: Vec<usize> = (0..scores.len()).collect();
            ranks.sort_unstable_by(|a, b| compare(*a, *b));
            let mut sorted = Self::new(self.names.len(), self.bytes.len());
            for index in ranks {
                let from = self.names[index].start as usize;
                let end = self.names.get(index + 1).map_or(self.bytes.len(), |next| next.start as usize);
                let at = sorted.bytes.len() as u32;
                sorted.bytes.extend_from_slice(&self.bytes[from..end]);
                sorted.names.push(at..at + self.names[index].len() as u32);
            }
            self = sorted;
        }
        self.finish(hasher)
    }
}

/// The order of two texts.
fn compare(a: Element<'_>, b: Element<'_>) -> Ordering {
    a.text(&mut itoa::Buffer::new()).cmp(b.text(&mut itoa::Buffer::new()))
}
