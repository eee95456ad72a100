//! SCAN: a walk over the keys in pieces that survives everything between two calls.
//!
//! The order is by range of positions, and within a range by tag. A cursor says: every key before position `start`
//! was given, and in the range that `start` begins (up to the next multiple of `2^bits`) every key with a tag below
//! `next`. Position and tag of a key never change, so whatever splits or joins happen between two calls, a key that
//! is there all the time is given exactly once; keys that come or go are given at most once.

use super::dict::{Dict, Segment, Words};
use super::entry::EntryRef;
use super::slot::{POSITION_BITS, SPREAD_BITS};
use crate::units::Slot;
use std::ops::Range;

/// How many segments one call looks at beyond those that give it keys.
const EMPTY_SEGMENTS_MAX: usize = 64;

const NEXT_BITS: u8 = 17;
const LEVEL_BITS: u8 = 6;
/// All tags are below this.
const TAG_END: u32 = 1 << 16;

const _: () = assert!(POSITION_BITS + LEVEL_BITS + NEXT_BITS < 64, "a cursor fits a word");

/// How far a scan has come. The default is the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    start: u64,
    bits: u8,
    next: u32,
}

impl Cursor {
    /// The cursor before the first key of a slot.
    pub const fn at_slot(slot: Slot) -> Self {
        Self { start: (slot.0 as u64) << SPREAD_BITS, bits: 0, next: 0 }
    }

    /// A cursor from its number. Any number is harmless.
    pub fn from_raw(raw: u64) -> Self {
        let part = |shift: u8, bits: u8| raw >> shift & ((1 << bits) - 1);
        Self {
            start: part(NEXT_BITS + LEVEL_BITS, POSITION_BITS),
            bits: (part(NEXT_BITS, LEVEL_BITS) as u8).min(POSITION_BITS),
            next: (part(0, NEXT_BITS) as u32).min(TAG_END),
        }
    }

    /// The number that stands for the cursor; zero is the start alone.
    pub const fn to_raw(self) -> u64 {
        self.start << (NEXT_BITS + LEVEL_BITS) | (self.bits as u64) << NEXT_BITS | self.next as u64
    }

    /// The slot where the scan goes on.
    pub const fn slot(self) -> Slot {
        Slot((self.start >> SPREAD_BITS) as u16)
    }

    /// Where the range ends of which a part was given.
    const fn end(self) -> u64 {
        ((self.start >> self.bits) + 1) << self.bits
    }
}

impl<const SEGMENTS: usize> Dict<SEGMENTS> {
    /// Shows about `count` entries, and says where to go on, unless that was all.
    pub fn scan(&self, cursor: Cursor, count: usize, visit: &mut dyn FnMut(EntryRef<'_>)) -> Option<Cursor> {
        let segment_at = |position| self.segment_at(position);
        Walk::new(self.positions(), segment_at, |key| self.hash(key).position()).scan(cursor, count, visit)
    }
}

/// What a scan walks over: the segments of a dict, or the one segment of few elements.
pub(super) struct Walk<S, P> {
    /// The positions there are.
    owned: Range<u64>,
    /// The segment that covers one of these positions.
    segment_at: S,
    /// The position of a key.
    position: P,
}

impl<'a, S: Fn(u64) -> Option<&'a Segment>, P: Fn(&[u8]) -> u64> Walk<S, P> {
    /// A walk over the positions that are owned, in the segments that cover them.
    pub(super) fn new(owned: Range<u64>, segment_at: S, position: P) -> Self {
        Self { owned, segment_at, position }
    }

    /// Shows about `count` entries, and says where to go on, unless that was all.
    pub(super) fn scan(&self, cursor: Cursor, count: usize, visit: &mut dyn FnMut(EntryRef<'_>)) -> Option<Cursor> {
        let owned = &self.owned;
        let mut cursor = cursor;
        if cursor.start < owned.start {
            cursor = Cursor { start: owned.start, bits: 0, next: 0 };
        }
        let (mut given, mut segments) = (0, 0);
        while cursor.start < owned.end {
            if given >= count.max(1) || segments >= given + EMPTY_SEGMENTS_MAX {
                return Some(cursor);
            }
            let end = (self.segment_at)(cursor.start)?.span.end();
            if cursor.next == 0 {
                cursor.bits = (self.segment_at)(cursor.start)?.span.bits;
            }
            // A part of the range must be given whole, or there would be two places to go on from.
            let whole = end < cursor.end();
            let bound = self.give(cursor, if whole { usize::MAX } else { count - given.min(count) }, &mut given, visit);
            segments += 1;
            cursor = match bound {
                Some(bound) => Cursor { next: bound, ..cursor },
                None if whole => Cursor { start: end, ..cursor },
                None => Cursor { start: cursor.end(), bits: 0, next: 0 },
            };
        }
        None
    }

    /// Shows the entries of the segment at the cursor's start that lie in its range and were not given yet: those of
    /// the smallest tags, about `count` of them. If some are left, their tags are not below the answer.
    fn give(
        &self,
        cursor: Cursor,
        count: usize,
        given: &mut usize,
        visit: &mut dyn FnMut(EntryRef<'_>),
    ) -> Option<u32> {
        let segment = (self.segment_at)(cursor.start)?;
        let mut words = Words::new();
        let mut bound = segment.table.page(cursor.next, count.max(1), &mut words);
        let range = cursor.start..cursor.end();
        if segment.span.start < range.start || segment.span.end() > range.end {
            words.retain(|word| range.contains(&(self.position)(segment.entry(*word).key())));
        }
        let count = count.max(1);
        if words.len() > count {
            let (_, last, _) = words.select_nth_unstable(count - 1);
            let last = last.tag();
            words.retain(|word| word.tag() <= last);
            bound = Some(u32::from(last) + 1);
        }
        for word in &words {
            visit(segment.entry(*word));
        }
        *given += words.len();
        bound
    }
}
