//! The keys of one core: hash slots, entries, the table that finds them, databases, expiry, the shard.
//!
//! From the bottom up: an [`entry`] is one allocation that holds key, expiry and value; a [`table`] is a small
//! open-addressed table of tagged entry pointers; a [`dict`] divides the positions of one database over many such
//! tables, so that no growth or shrinkage ever touches more than a few hundred entries at once; a [`database`]
//! gives the typed operations of commands; a [`shard`] is all databases of one core.

pub mod database;
pub mod dict;
pub mod elements;
pub mod entry;
pub mod events;
pub mod expiry;
pub mod loan;
pub mod pins;
pub mod scan;
pub mod shard;
pub mod slot;
pub mod tracked;
pub mod waiting;
pub mod watched;

mod chunks;
mod directory;
mod kinds;
pub mod ordered;
mod table;

#[cfg(test)]
mod tests;

pub use database::{Database, DatabaseFigures};
pub use elements::Elements;
pub use entry::{EntryRef, Form, Large, NewValue, OwnedEntry, PackedMut, Value, ValueKind, ValueMut};
pub use loan::Loan;
pub use scan::Cursor;
pub use shard::Shard;
pub use slot::{Key, KeyHash, KeyHasher, ShardMap};

/// The sizes in bytes of what the keyspace is made of, for DEBUG STRUCTSIZE.
pub const fn sizes() -> [(&'static str, usize); 5] {
    [
        ("entry_header", entry::HEADER_BYTES),
        ("word", size_of::<entry::Word>()),
        ("line", table::LINE_BYTES),
        ("segment", dict::SEGMENT_BYTES),
        ("database", size_of::<Database>()),
    ]
}
