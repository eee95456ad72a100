//! Groups of consumers of a stream.

/// The groups of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {}

impl Groups {
    /// How many there are.
    pub fn len(&self) -> usize {
        0
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees about so many of the entries that groups remember. The answer: is nothing left?
    pub fn free_some(&mut self, _budget: usize) -> bool {
        true
    }

    /// Memory in bytes, without `Groups` itself.
    pub fn memory_bytes(&self) -> usize {
        0
    }
}
