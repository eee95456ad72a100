//! Sorted sets.

/// A large sorted set.
#[derive(Debug, Default)]
pub struct SortedSet {}

impl SortedSet {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        0
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory of all elements in bytes, judged by so many of them; 0: each.
    pub fn memory_bytes(&self, _samples: usize) -> usize {
        size_of::<Self>()
    }

    /// Frees about so many elements. The answer: is nothing left?
    pub fn free_some(&mut self, _budget: usize) -> bool {
        true
    }

    /// A copy.
    pub fn copy(&self) -> Box<Self> {
        Box::default()
    }
}
