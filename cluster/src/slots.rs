//! Sets of hash slots.

use ringkey_core::units::{SLOT_COUNT, Slot};
use std::ops::Range;

const WORDS: usize = SLOT_COUNT as usize / 64;

/// Slots from the first to the last, both of them in it.
pub type SlotRange = (u16, u16);

/// A set of hash slots.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet {
    words: Box<[u64; WORDS]>,
}

impl Default for SlotSet {
    fn default() -> Self {
        Self { words: Box::new([0; WORDS]) }
    }
}

impl SlotSet {
    /// All slots there are.
    pub fn all() -> Self {
        Self { words: Box::new([u64::MAX; WORDS]) }
    }

    /// Is the slot in it?
    #[inline]
    pub fn contains(&self, slot: Slot) -> bool {
        self.words[usize::from(slot.0) / 64] >> (slot.0 % 64) & 1 == 1
    }

    /// Puts a slot in, or takes it out.
    pub fn set(&mut self, slot: Slot, is_in: bool) {
        let bit = 1 << (slot.0 % 64);
        let word = &mut self.words[usize::from(slot.0) / 64];
        if is_in {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }

    /// How many slots are in it.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Are all slots in it?
    pub fn is_full(&self) -> bool {
        self.words.iter().all(|word| *word == u64::MAX)
    }

    /// Is no slot in it?
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Its slots among `within`, as the longest ranges, ascending.
    pub fn ranges(&self, within: Range<u16>) -> Vec<SlotRange> {
        let mut ranges: Vec<SlotRange> = Vec::new();
        for slot in within.filter(|slot| self.contains(Slot(*slot))) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }
}

impl std::fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ranges(0..SLOT_COUNT)).finish()
    }
}

/// A range as it stands in texts: `3` or `0-5460`.
pub fn range_text((first, last): SlotRange) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_are_exactly_the_set(slots in btree_set(0u16..SLOT_COUNT, 0..200), from in 0u16..SLOT_COUNT, len in 0u16..9000) {
            let mut set = SlotSet::default();
            slots.iter().for_each(|slot| set.set(Slot(*slot), true));
            prop_assert_eq!(set.count(), slots.len());
            prop_assert_eq!(set.is_empty(), slots.is_empty());
            let within = from..from.saturating_add(len).min(SLOT_COUNT);
            let ranges = set.ranges(within.clone());
            let told: Vec<u16> = ranges.iter().flat_map(|(first, last)| *first..=*last).collect();
            let expected: Vec<u16> = slots.iter().copied().filter(|slot| within.contains(slot)).collect();
            prop_assert_eq!(told, expected);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "neighbours are one range");
            slots.iter().for_each(|slot| set.set(Slot(*slot), false));
            prop_assert!(set.is_empty());
        }
    }

    #[test]
    fn all_slots() {
        assert!(SlotSet::all().is_full());
        assert_eq!(SlotSet::all().ranges(0..SLOT_COUNT), [(0, 16_383)]);
        assert_eq!(range_text((0, 16_383)), "0-16383");
        assert_eq!(range_text((7, 7)), "7");
    }
}
