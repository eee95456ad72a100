//! From a key to its hash slot, from a slot to its shard, and the one hash of a key that everything else uses.
//!
//! A key is hashed once, where its request is parsed; [`Key`] carries the result along. All cores hash alike, so
//! a key that travels to another core is not hashed again.

use crate::units::{SLOT_COUNT, ShardId, Slot};
use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

/// Bytes of a key that are summed up in one step.
const STEP: usize = 16;

/// `CRC_AT[n][byte]` is the CRC16/XMODEM of a byte with `n` bytes of zero after it. Eight KiB, which stay in the
/// first-level cache.
static CRC_AT: [[u16; 256]; STEP] = crc_tables();

const fn crc_tables() -> [[u16; 256]; STEP] {
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut row = 0;
        while row < STEP {
            let mut bit = 0;
            while bit < 8 {
                crc = crc << 1 ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 };
                bit += 1;
            }
            tables[row][byte] = crc;
            row += 1;
        }
        byte += 1;
    }
    tables
}

/// CRC16/XMODEM. The sum is linear and starts from zero, so each byte adds what it is worth at its distance from
/// the end: independent loads instead of a chain through every byte, for keys of any length.
#[inline]
fn crc16(bytes: &[u8]) -> u16 {
    if bytes.len() <= STEP { crc_step(bytes) } else { crc_long(bytes) }
}

/// At most [`STEP`] bytes; the halves of full length have no loop.
#[inline]
fn crc_step(bytes: &[u8]) -> u16 {
    let Some((head, tail)) = bytes.split_last_chunk::<8>() else { return crc_bytes(bytes, 0) };
    let head = match head.split_last_chunk::<8>() {
        Some((_, head)) => crc_eight(head, 8),
        None => crc_bytes(head, 8),
    };
    head ^ crc_eight(tail, 0)
}

/// What eight bytes are worth with `after` bytes behind them.
#[inline]
fn crc_eight(bytes: &[u8; 8], after: usize) -> u16 {
    let worth = |at: usize| CRC_AT[after + 7 - at][usize::from(bytes[at])];
    worth(0) ^ worth(1) ^ worth(2) ^ worth(3) ^ worth(4) ^ worth(5) ^ worth(6) ^ worth(7)
}

/// What fewer than eight bytes are worth with `after` bytes behind them.
#[inline]
fn crc_bytes(bytes: &[u8], after: usize) -> u16 {
    bytes.iter().rev().zip(&CRC_AT[after..]).fold(0, |crc, (byte, table)| crc ^ table[usize::from(*byte)])
}

fn crc_long(bytes: &[u8]) -> u16 {
    let (first, rest) = bytes.split_at(bytes.len() % STEP);
    let mut crc = crc_step(first);
    for block in rest.chunks_exact(STEP) {
        let [high, low] = crc.to_be_bytes();
        crc = crc_step(block) ^ CRC_AT[STEP - 1][usize::from(high)] ^ CRC_AT[STEP - 2][usize::from(low)];
    }
    crc
}

/// The hash slot of a key: CRC16 of the key, or of its hash tag if it has one (cluster specification).
#[inline]
pub fn slot_of(key: &[u8]) -> Slot {
    let text = if may_have_brace(key) { hash_tag(key) } else { key };
    Slot(crc16(text) % SLOT_COUNT)
}

/// Eight bytes at a time: does a key have a `{`? May say yes for one that has none, never no for one that has.
#[inline]
fn may_have_brace(key: &[u8]) -> bool {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let has = |part: &[u8; 8]| {
        let equal_is_zero = u64::from_ne_bytes(*part) ^ (LOW * b'{' as u64);
        equal_is_zero.wrapping_sub(LOW) & !equal_is_zero & HIGH
    };
    let Some(last) = key.last_chunk() else { return key.contains(&b'{') };
    let mut found = has(last);
    let mut rest = key;
    while let Some((part, after)) = rest.split_first_chunk() {
        found |= has(part);
        rest = after;
    }
    found != 0
}

/// What is hashed of a key: the text between the first `{` and the next `}` unless that is empty, else all of it.
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
        KeyHash { hash: hasher.finish(), slot: slot_of(bytes), trail: Trail::NONE }
    }

    /// The hash of an element of a collection; all elements are of slot 0.
    #[inline]
    pub fn element(&self, bytes: &[u8]) -> KeyHash {
        let mut hasher = self.state.build_hasher();
        hasher.write(bytes);
        KeyHash { hash: hasher.finish(), slot: Slot(0), trail: Trail::NONE }
    }

    /// A key with its hash.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hash(bytes) }
    }
}

/// Hash and slot of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyHash {
    /// 64 well mixed bits.
    pub hash: u64,
    /// The cluster slot, which also says the shard.
    pub slot: Slot,
    /// Where the key was seen.
    pub(super) trail: Trail,
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        (self.hash, self.slot) == (other.hash, other.slot)
    }
}

impl Eq for KeyHash {}

/// Where a key was seen while its entry was fetched ahead, so that the way there is gone once only.
///
/// A hint and no more: whoever follows it looks whether the key is still there, and goes the whole way if not. So
/// nothing keeps it true, and one from another shard or from long ago does no harm.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(2))] // it fits beside the slot
pub(super) struct Trail {
    /// The number of the segment.
    pub(super) segment: u32,
    /// The place of the word in its table.
    pub(super) place: u16,
}

impl Trail {
    /// Leads nowhere.
    pub(super) const NONE: Self = Self { segment: u32::MAX, place: u16::MAX };
}

const _: () = assert!(size_of::<KeyHash>() == 16, "the trail costs no room");

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
        assert_eq!(crc16(b"123456789"), 0x31C3);
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
    fn sums_of_all_lengths_are_those_of_another_implementation() {
        let other = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);
        let text: Vec<u8> = (0..200_u32).map(|at| ((at * 7919) >> 3) as u8).collect();
        for len in 0..text.len() {
            assert_eq!(crc16(&text[..len]), other.checksum(&text[..len]), "{len} bytes");
        }
    }

    #[test]
    fn a_brace_is_never_overlooked() {
        for len in 1..40 {
            for at in 0..len {
                let mut key = vec![b'z'; len];
                assert!(!may_have_brace(&key));
                key[at] = b'{';
                assert!(may_have_brace(&key));
            }
        }
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
