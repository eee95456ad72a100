//! Numbered slots for small records that point at each other.
//!
//! The queues of the lock table are linked lists, because an owner leaves from the middle of them. Links are slot numbers
//! instead of pointers: that needs no unsafe code, half the space, and no allocation once the slab has grown.

use std::ops::{Index, IndexMut};

/// The link that leads nowhere.
pub(super) const NONE: u32 = u32::MAX;

/// Records by slot number. A slot is reused after its removal; the slab does not notice a stale number.
#[derive(Debug)]
pub(super) struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T: Copy> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, item: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.items[slot as usize] = item;
            return slot;
        }
        let slot = u32::try_from(self.items.len()).expect("memory ends before 2^32 records do");
        assert!(slot != NONE);
        self.items.push(item);
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) -> T {
        self.free.push(slot);
        self.items[slot as usize]
    }

    /// Forgets the free slots of an empty slab and returns the memory beyond `kept` records.
    pub(super) fn reset(&mut self, kept: usize) {
        debug_assert_eq!(self.len(), 0, "records would be lost");
        self.items.clear();
        self.free.clear();
        if self.items.capacity() > kept {
            self.items.shrink_to(kept);
        }
        if self.free.capacity() > kept {
            self.free.shrink_to(kept);
        }
    }

    /// How many slots there are, used and free: a bound for slot numbers.
    pub(super) fn slots(&self) -> usize {
        self.items.len()
    }

    /// For how many records memory is held.
    pub(super) fn capacity(&self) -> usize {
        self.items.capacity().max(self.free.capacity())
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.items[slot as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.items[slot as usize]
    }
}
