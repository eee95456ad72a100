//! From a position to the number of the segment that covers it.
//!
//! One word per slot the shard owns, as long as there are two segments. A word is a segment's number; or, where one slot holds more than a segment, the
//! number of a node of eight words for the next three bits of the position, and so on down. Nodes have one size, so
//! nothing here is ever doubled or copied. Small ones keep the whole directory of a database of ten million keys, most
//! of whose slots have two segments, in a core's own cache.

use super::chunks::{CHUNK, Chunks};
use super::slot::{KeyHash, POSITION_BITS, SPREAD_BITS};
use std::ops::Range;

/// Marks a word that is a node's number.
const NODE: u32 = 1 << 31;

/// How many position bits a node takes.
const NODE_BITS: u8 = 3;

const _: () = assert!(SPREAD_BITS.is_multiple_of(NODE_BITS), "nodes divide the spread evenly");

type Node = [u32; 1 << NODE_BITS];

/// The words of a node, as the pool of nodes keeps them.
#[derive(Debug)]
struct Words(Node);

impl Default for Words {
    fn default() -> Self {
        Self([0; 1 << NODE_BITS])
    }
}

/// An aligned range of positions, `2^bits` of them from `start` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) bits: u8,
}

impl Span {
    /// All positions.
    pub(super) const ALL: Self = Self { start: 0, bits: POSITION_BITS };

    /// The position after the last.
    #[inline]
    pub(super) const fn end(self) -> u64 {
        self.start + (1 << self.bits)
    }

    pub(super) const fn contains(self, position: u64) -> bool {
        self.start <= position && position < self.end()
    }

    /// The lower and the upper half.
    pub(super) const fn halves(self) -> (Self, Self) {
        let bits = self.bits - 1;
        (Self { start: self.start, bits }, Self { start: self.start + (1 << bits), bits })
    }

    /// The other half of the range that this is one half of.
    pub(super) const fn buddy(self) -> Self {
        Self { start: self.start ^ (1 << self.bits), bits: self.bits }
    }

    /// The range that this is one half of.
    pub(super) const fn parent(self) -> Self {
        Self { start: self.start & !(1 << self.bits), bits: self.bits + 1 }
    }

    /// The slots that the range touches.
    pub(super) const fn slots(self) -> Range<u64> {
        self.start >> SPREAD_BITS..((self.end() - 1) >> SPREAD_BITS) + 1
    }
}

/// Where a word stands.
#[derive(Clone, Copy)]
enum Site {
    Slot(usize),
    Node(u32, usize),
}

/// The directory of one database, or of the elements of one value.
#[derive(Debug)]
pub(super) struct Directory<const NODES: usize = CHUNK> {
    owned: Range<u16>,
    /// Empty unless there are two segments: many databases have few keys, and 16384 words are much for those.
    slots: Box<[u32]>,
    /// The segment of all slots, as long as there are no words for them.
    only: Option<u32>,
    nodes: Chunks<Words, NODES>,
}

impl<const NODES: usize> Directory<NODES> {
    pub(super) fn new(owned: Range<u16>) -> Self {
        assert!(!owned.is_empty(), "a shard owns at least one slot");
        Self { owned, slots: Box::default(), only: None, nodes: Chunks::new() }
    }

    /// The slots of this shard.
    #[inline]
    pub(super) fn owned(&self) -> Range<u16> {
        self.owned.clone()
    }

    /// The positions of this shard.
    #[inline]
    pub(super) fn positions(&self) -> Range<u64> {
        u64::from(self.owned.start) << SPREAD_BITS..u64::from(self.owned.end) << SPREAD_BITS
    }

    /// Does the range hold a position of this shard?
    pub(super) fn touches(&self, span: Span) -> bool {
        let owned = self.positions();
        span.start < owned.end && owned.start < span.end()
    }

    /// Has no key come yet?
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.only.is_none()
    }

    /// Points everything at the first segment.
    pub(super) fn open(&mut self, segment: u32) {
        debug_assert!(self.slots.is_empty());
        self.only = Some(segment);
    }

    /// The segment of a key; none if there is no segment yet, or the slot is not of this shard.
    #[inline]
    pub(super) fn segment(&self, hash: KeyHash) -> Option<u32> {
        let slot = usize::from(hash.slot.0.wrapping_sub(self.owned.start));
        let Some(word) = self.slots.get(slot).copied() else { return self.only_segment(slot) };
        if word & NODE == 0 { Some(word) } else { Some(self.below(word, hash.spread())) }
    }

    /// The segment of a slot that has no word.
    fn only_segment(&self, slot: usize) -> Option<u32> {
        self.only.filter(|_| slot < self.owned.len())
    }

    /// The segment that covers a position of this shard.
    pub(super) fn segment_at(&self, position: u64) -> Option<u32> {
        let slot = (position >> SPREAD_BITS).checked_sub(u64::from(self.owned.start))?;
        let Some(word) = self.slots.get(slot as usize).copied() else { return self.only_segment(slot as usize) };
        Some(if word & NODE == 0 { word } else { self.below(word, position as u32 & ((1 << SPREAD_BITS) - 1)) })
    }

    /// The segment below a node of a slot.
    fn below(&self, mut word: u32, spread: u32) -> u32 {
        let mut bits = SPREAD_BITS;
        while word & NODE != 0 {
            bits -= NODE_BITS;
            word = self.nodes.get(word & !NODE).0[(spread >> bits) as usize % (1 << NODE_BITS)];
        }
        word
    }

    /// Points an aligned range at a segment. The range was one segment's, or the two halves of it two segments'.
    pub(super) fn point(&mut self, span: Span, segment: u32) {
        debug_assert!(segment & NODE == 0, "segments are numbered far below two billion");
        let owned = self.positions();
        if span.start <= owned.start && owned.end <= span.end() {
            *self = Self { only: Some(segment), ..Self::new(self.owned()) };
            return;
        }
        if let Some(only) = self.only.take() {
            self.slots = vec![only; self.owned.len()].into_boxed_slice();
        }
        if span.bits >= SPREAD_BITS {
            let first = u64::from(self.owned.start);
            let slots = span.slots();
            for slot in slots.start.max(first)..slots.end.min(u64::from(self.owned.end)) {
                self.write(Site::Slot((slot - first) as usize), segment);
            }
            return;
        }
        let mut site = Site::Slot(((span.start >> SPREAD_BITS) - u64::from(self.owned.start)) as usize);
        let mut bits = SPREAD_BITS;
        loop {
            let node = self.node_at(site);
            bits -= NODE_BITS;
            let index = (span.start >> bits) as usize % (1 << NODE_BITS);
            if span.bits >= bits {
                for index in index..index + (1 << (span.bits - bits)) {
                    self.write(Site::Node(node, index), segment);
                }
                return;
            }
            site = Site::Node(node, index);
        }
    }

    /// The node a word names; if it names a segment, it gets a node that names that segment all over.
    fn node_at(&mut self, site: Site) -> u32 {
        let word = *self.word_mut(site);
        if word & NODE != 0 {
            return word & !NODE;
        }
        let node = self.nodes.add(Words([word; 1 << NODE_BITS]));
        *self.word_mut(site) = node | NODE;
        node
    }

    /// Writes a segment's number; a node that stood there is no longer needed, because one segment covers all of it.
    fn write(&mut self, site: Site, segment: u32) {
        let old = std::mem::replace(self.word_mut(site), segment);
        if old & NODE != 0 {
            let words = self.nodes.take(old & !NODE);
            debug_assert!(words.0.iter().all(|word| word & NODE == 0), "only whole nodes are joined");
        }
    }

    fn word_mut(&mut self, site: Site) -> &mut u32 {
        match site {
            Site::Slot(index) => &mut self.slots[index],
            Site::Node(node, index) => &mut self.nodes.get_mut(node).0[index],
        }
    }

    /// Memory in bytes.
    pub(super) fn allocated_bytes(&self) -> usize {
        size_of_val(&*self.slots) + self.nodes.live() * size_of::<Node>()
    }
}
