//! Streams: entries in the order of their ids, which are appended, read from any id on, and dropped from the old end; and
//! groups of consumers that share the entries among themselves.
//!
//! A stream is one structure whatever its size. One without entries is still there, for what it remembers: the last
//! id, and its groups. What is known of entries and what of groups lies apart, so that a group can be changed while
//! entries are read.

mod entries;
pub mod group;
pub mod id;
mod lag;
mod node;
mod nodes;
pub mod pending;
mod radix;
#[cfg(test)]
mod tests;
mod trim;

pub use entries::{Entries, Range, TEXT_BYTES_MAX};
pub use group::{Consumer, ConsumerIndex, Delivery, Group, Groups};
pub use id::StreamId;
pub use node::{Fields, Node, NodeBuilder, NodeEntry};
pub use trim::{Trim, TrimTo, Trimmed};

/// A stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// Its entries, and the ids and counts that it remembers.
    pub entries: Entries,
    /// Its groups of consumers.
    pub groups: Groups,
}

impl Stream {
    /// A stream without entries.
    pub fn new() -> Box<Self> {
        Box::default()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is there no entry? The stream may have groups nevertheless.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Frees about so many entries, those of groups' lists among them. The answer: is nothing left?
    pub fn free_some(&mut self, budget: usize) -> bool {
        self.entries.free_some(budget) && self.groups.free_some(budget)
    }

    /// A copy.
    pub fn copy(&self) -> Box<Self> {
        Box::new(self.clone())
    }

    /// Memory in bytes. So many nodes are measured and stand for all of them; 0: each.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        size_of::<Self>() + self.entries.memory_bytes(samples) + self.groups.memory_bytes(samples)
    }
}
