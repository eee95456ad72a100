//! Commands on keys, whatever they hold.

pub mod rows;

mod digest;
mod expire;
mod inspect;
mod life;
mod listing;
mod migrate;
mod serialized;
mod sort;
#[cfg(test)]
mod tests;
mod transfer;

pub use digest::{DatabaseDigest, combine_digests, database_digests, value_digest};
pub use expire::{
    Conditions, Scale, expire, expireat, expiretime, persist, pexpire, pexpireat, pexpiretime, pttl, ttl,
};
pub use inspect::{
    TableStats, debug_object, debug_string_lengths, memory_usage, object_encoding, object_freq, object_idletime,
    object_refcount, populate,
};
pub use life::{del, exists, flushall, flushdb, key_type, touch, unlink};
pub use listing::{PageOptions, ScanOptions, dbsize, keys, parse_cursor, random_key, scan_page};
pub use migrate::Migration;
pub use serialized::{dump, dump_of, restore};
pub use sort::{may_touch_any_key, sort, sort_ro, target as sort_target};
pub use transfer::{copy, move_key, other_database, rename, renamenx};
