//! What is left of a dict that was cleared: freed in slices, so that a flush holds nobody up.

use super::Segment;
use crate::keyspace::chunks::{CHUNK, Chunks};
use crate::keyspace::kinds::Large;

/// What was in a dict that was cleared, or large values alone. Dropping it frees everything at once.
#[derive(Debug)]
pub struct Remains<const SEGMENTS: usize = CHUNK> {
    /// Those in the segments.
    pub(super) entries: usize,
    pub(super) segments: Chunks<Segment, SEGMENTS>,
    /// What is freed before the next segment is.
    pub(super) larges: Vec<Large>,
}

impl<const SEGMENTS: usize> Remains<SEGMENTS> {
    /// Large values that are to be freed.
    pub(in crate::keyspace) fn of_values(larges: Vec<Large>) -> Self {
        Self { entries: 0, segments: Chunks::new(), larges }
    }

    /// How many entries, or values of entries, are still there.
    pub fn len(&self) -> usize {
        self.entries + self.larges.len()
    }

    /// Is everything freed?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees about so many entries. The answer: is everything freed?
    pub fn free_some(&mut self, budget_entries: usize) -> bool {
        let mut freed = 0;
        while freed < budget_entries {
            if let Some(large) = self.larges.last_mut() {
                // Elements are entries, scattered like those of keys.
                let budget = budget_entries - freed;
                let len = large.len();
                if large.free_some(budget) {
                    self.larges.pop();
                }
                freed += len.min(budget).max(1);
                continue;
            }
            let Some(segment) = self.segments.last_mut() else { return true };
            let entries = segment.free_some(budget_entries - freed, &mut self.larges);
            self.entries -= entries;
            if segment.table.len() == 0 {
                self.segments.pop();
            }
            // A segment costs something even if it is empty.
            freed += entries.max(8);
        }
        false
    }
}

impl<const SEGMENTS: usize> Drop for Remains<SEGMENTS> {
    fn drop(&mut self) {
        while !self.free_some(usize::MAX) {}
    }
}
