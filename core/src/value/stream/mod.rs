//! Streams: entries in the order of their ids, which are appended, read from any id on, and dropped from the old end; and
//! groups of consumers that share the entries among themselves.
//!
//! A stream is one structure whatever its size. One without entries is still there, for what it remembers: the last
//! id, and its groups.

pub mod id;

pub use id::StreamId;

/// A stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    len: u64,
    /// The largest id that was ever given, or set by XSETID.
    last_id: StreamId,
    /// The largest id among entries that were deleted.
    max_deleted_id: StreamId,
    /// How many entries were ever added.
    entries_added: u64,
}

impl Stream {
    /// A stream without entries.
    pub fn new() -> Box<Self> {
        Box::default()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Is there no entry?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The largest id that was ever given.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The largest id among entries that were deleted.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Frees about so many entries, those of groups' lists among them. The answer: is nothing left?
    pub fn free_some(&mut self, _budget: usize) -> bool {
        true
    }

    /// A copy.
    pub fn copy(&self) -> Box<Self> {
        Box::new(self.clone())
    }

    /// Memory in bytes. So many nodes are measured and stand for all of them; 0: each.
    pub fn memory_bytes(&self, _samples: usize) -> usize {
        size_of::<Self>()
    }
}
