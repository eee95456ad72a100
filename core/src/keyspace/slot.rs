//! From a key to its hash slot, from a slot to its shard, and the one hash of a key that everything else uses.
//!
//! A key is hashed once, where its request is parsed; [`Key`] carries the result along. All cores hash alike, so
//! a key that travels to another core is not hashed again.

use crate::units::{SLOT_COUNT, ShardId, Slot};
use ahash::RandomState;
use crc::{CRC_16_XMODEM, Crc, Table};
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

/// Sixteen bytes a step: keys are short, and the tables (8 KiB) stay in the first-level cache.
static CRC16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// The hash slot of a key: CRC16 of the key, or of its hash tag if it has one (cluster specification).
#[inline]
pub fn slot_of(key: &[u8]) -> Slot {
    Slot(CRC16.checksum(hash_tag(key)) % SLOT_COUNT)
}

/// What is hashed of a key: the text between the first `{` and the next `}` unless that is empty, else all of it.
#[inline]
fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|byte| *byte == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

/// Which shard owns which slots: contiguous ranges of nearly equal size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardMap {
    shards: u16,
}

impl ShardMap {
    /// A map over this many shards, 1 to 16384.
    pub fn new(shards: u16) -> Self {
        assert!((1..=SLOT_COUNT).contains(&shards), "each shard owns at least one slot");
        Self { shards }
    }

    /// How many shards there are.
    #[inline]
    pub const fn shards(self) -> u16 {
        self.shards
    }

    /// The shard that owns a slot.
    #[inline]
    pub const fn shard_of(self, slot: Slot) -> ShardId {
        ShardId((slot.0 as u32 * self.shards as u32 / SLOT_COUNT as u32) as u16)
    }

    /// The slots that a shard owns.
    pub const fn slots_of(self, shard: ShardId) -> Range<u16> {
        self.first_slot(shard.0)..self.first_slot(shard.0 + 1)
    }

    const fn first_slot(self, shard: u16) -> u16 {
        (shard as u32 * SLOT_COUNT as u32).div_ceil(self.shards as u32) as u16
    }
}

/// Hashes keys, alike on all cores of a process.
#[derive(Clone, Debug)]
pub struct KeyHasher {
    state: RandomState,
}

impl KeyHasher {
    /// A hasher with these seeds; they must be unpredictable for clients.
    pub fn new(seeds: [u64; 4]) -> Self {
        Self { state: RandomState::with_seeds(seeds[0], seeds[1], seeds[2], seeds[3]) }
    }

    /// Hash and slot of a key.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> KeyHash {
        let mut hasher = self.state.build_hasher();
        hasher.write(bytes);
        KeyHash { hash: hasher.finish(), slot: slot_of(bytes) }
    }

    /// A key with its hash.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hash(bytes) }
    }
}

/// Hash and slot of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyHash {
    /// 64 well mixed bits.
    pub hash: u64,
    /// The cluster slot, which also says the shard.
    pub slot: Slot,
}

/// How many bits of the hash spread the keys of one slot.
pub(super) const SPREAD_BITS: u8 = 24;

/// How many bits a position has: the slot, then the spread.
pub(super) const POSITION_BITS: u8 = 14 + SPREAD_BITS;

impl KeyHash {
    /// The 24 bits that order the keys within their slot.
    #[inline]
    pub(super) const fn spread(self) -> u32 {
        (self.hash >> (64 - SPREAD_BITS)) as u32
    }

    /// The 16 bits that tell keys of one segment apart; independent of the spread.
    #[inline]
    pub(super) const fn tag(self) -> u16 {
        self.hash as u16
    }

    /// The place of the key in the order of all keys: slot first, then spread.
    #[inline]
    pub(super) const fn position(self) -> u64 {
        (self.slot.0 as u64) << SPREAD_BITS | self.spread() as u64
    }
}

/// A key with its hash.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The key itself.
    pub bytes: &'a [u8],
    /// Its hash and slot.
    pub hash: KeyHash,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        // The value the specification gives for its test text.
        assert_eq!(CRC16.checksum(b"123456789"), 0x31C3);
        for (key, slot) in [("", 0), ("foo", 12182), ("hello", 866), ("{}foo", slot_of(b"{}foo").0)] {
            assert_eq!(slot_of(key.as_bytes()), Slot(slot), "{key}");
        }
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
        assert_eq!(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"));
        assert_eq!(hash_tag(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(hash_tag(b"foo{bar"), b"foo{bar");
        assert_eq!(hash_tag(b"foo}bar{"), b"foo}bar{");
    }

    #[test]
    fn the_two_directions_of_the_map_agree() {
        for shards in 1..=256 {
            let map = ShardMap::new(shards);
            let mut next = 0;
            for shard in 0..shards {
                let range = map.slots_of(ShardId(shard));
                assert_eq!(range.start, next);
                assert!(!range.is_empty());
                for slot in range.clone() {
                    assert_eq!(map.shard_of(Slot(slot)), ShardId(shard));
                }
                next = range.end;
            }
            assert_eq!(next, SLOT_COUNT);
        }
    }
}
