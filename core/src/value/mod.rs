//! The collections: data types that know nothing of commands or the wire.
//!
//! A small collection is packed: one run of bytes behind its key, in the same allocation, of [`element`]s, changed through
//! [`splice`]. What outgrows the settings' thresholds becomes a structure of its own. Which of the two it is stays behind
//! the types of these modules; only OBJECT ENCODING tells.

pub mod bits;
pub mod element;
pub mod geohash;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod list;
pub mod set;
pub mod splice;
pub mod stream;
pub mod zset;

pub use element::Element;
pub use splice::Splice;

/// What packed bytes begin with, whatever their form: two bytes, the count of their elements (pairs, for hashes and sorted
/// sets) in little endian. A set of integers tells its width there instead.
pub const PACKED_HEAD_BYTES: usize = 2;

/// Do packed bytes hold no element?
#[inline]
pub const fn is_bare(packed: &[u8]) -> bool {
    packed.len() <= PACKED_HEAD_BYTES
}

/// How large a packed collection may become: the `*-max-listpack-*` settings and their fellows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `hash-max-listpack-entries`: fields.
    pub hash_entries: usize,
    /// `hash-max-listpack-value`: bytes of a field or a value.
    pub hash_value_bytes: usize,
    /// `set-max-intset-entries`: members that are all integers.
    pub set_intset_entries: usize,
    /// `set-max-listpack-entries`: members.
    pub set_entries: usize,
    /// `set-max-listpack-value`: bytes of a member.
    pub set_value_bytes: usize,
    /// `zset-max-listpack-entries`: members.
    pub zset_entries: usize,
    /// `zset-max-listpack-value`: bytes of a member.
    pub zset_value_bytes: usize,
    /// `stream-node-max-bytes`: bytes of a node of a stream as a listpack; 0: no limit.
    pub stream_node_bytes: usize,
    /// `stream-node-max-entries`: entries of a node of a stream; 0: no limit.
    pub stream_node_entries: usize,
    /// `hll-sparse-max-bytes`: bytes of a sparse HyperLogLog.
    pub hll_sparse_bytes: usize,
    /// `list-max-listpack-size`: elements of a node if positive, else -1 to -5 for 4 to 64 KiB.
    pub list_size: i64,
    /// DEBUG QUICKLIST-PACKED-THRESHOLD: elements of a large list from this length on lie alone; 0: those that exceed a node.
    pub list_plain_from: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hash_entries: 512,
            hash_value_bytes: 64,
            set_intset_entries: 512,
            set_entries: 128,
            set_value_bytes: 64,
            zset_entries: 128,
            zset_value_bytes: 64,
            stream_node_bytes: 4096,
            stream_node_entries: 100,
            hll_sparse_bytes: 3000,
            list_size: -2,
            list_plain_from: 0,
        }
    }
}

/// What the allocator hands out for a request of so many bytes: multiples of 16 up to 128, then quarters of powers of two.
const fn size_class(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=128 => bytes.next_multiple_of(16),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    }
}
