//! HyperLogLogs: strings from which the number of different elements is estimated, in Valkey's format to the byte.
//!
//! ```text
//! "HYLL" [encoding 1][unused 3][count 8] then the 16384 registers, [`dense`] or [`sparse`]
//! ```
//!
//! An element's hash chooses a register by its lower 14 bits; the rank of the rest, the place of its lowest one, is what the
//! register keeps the largest of. The count is the estimate as it was last computed; its highest bit says that registers
//! have changed since.

pub mod dense;
pub mod estimate;
pub mod sparse;

use super::Splice;
use dense::Registers;

/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;

/// What stands before the registers, in bytes.
pub const HEAD_BYTES: usize = 16;

/// The size of a dense HyperLogLog.
pub const DENSE_BYTES: usize = HEAD_BYTES + REGISTERS * REGISTER_BITS / 8;

/// The largest rank that a hash can have.
pub const RANK_MAX: u8 = (64 - INDEX_BITS + 1) as u8;

/// The bits of a hash that choose a register.
const INDEX_BITS: u32 = 14;

/// The bits of a register that is dense.
const REGISTER_BITS: usize = 6;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
/// Where the estimate is kept.
pub const COUNT_AT: usize = 8;

/// The highest byte of the count, and its bit that says that it is old.
const STALE_AT: usize = HEAD_BYTES - 1;
const STALE: u8 = 0x80;

/// A sparse HyperLogLog whose runs do not make up all registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

/// How registers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense = 0,
    /// As runs of equal ones.
    Sparse = 1,
}

impl Encoding {
    /// The encoding of a string, if it is a HyperLogLog by its head and its length.
    #[inline]
    pub fn of(value: &[u8]) -> Option<Self> {
        if value.len() < HEAD_BYTES || !value.starts_with(MAGIC) {
            return None;
        }
        match value[ENCODING_AT] {
            0 if value.len() == DENSE_BYTES => Some(Self::Dense),
            1 => Some(Self::Sparse),
            _ => None,
        }
    }

    /// The name that PFDEBUG ENCODING answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// A HyperLogLog that has seen nothing.
pub const EMPTY: [u8; HEAD_BYTES + 2] = *b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff";

/// The estimate as it was computed since the registers changed last.
#[inline]
pub fn cached_count(value: &[u8]) -> Option<u64> {
    let count = value[COUNT_AT..HEAD_BYTES].try_into().expect("the head has eight bytes for it");
    (value[STALE_AT] & STALE == 0).then(|| u64::from_le_bytes(count))
}

/// Keeps an estimate.
pub fn cache_count(value: &mut [u8], count: u64) {
    value[COUNT_AT..HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Notes that the estimate is old.
#[inline]
pub fn forget_count(value: &mut [u8]) {
    value[STALE_AT] |= STALE;
}

/// Where a byte is that changes when the estimate is old, and what it becomes.
pub fn forgotten(value: &[u8]) -> (usize, u8) {
    (STALE_AT, value[STALE_AT] | STALE)
}

/// A dense HyperLogLog that has seen nothing.
pub fn dense_of_nothing() -> Vec<u8> {
    let mut value = EMPTY[..HEAD_BYTES].to_vec();
    value[ENCODING_AT] = Encoding::Dense as u8;
    value.resize(DENSE_BYTES, 0);
    value
}

/// What an element leaves: the register that is its own, and its rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Which register; less than [`REGISTERS`].
    pub index: usize,
    /// 1 to [`RANK_MAX`].
    pub rank: u8,
}

impl Observation {
    /// Of this element.
    #[inline]
    pub fn of(element: &[u8]) -> Self {
        let hash = murmur64(element, 0xadc8_3b19);
        // A one above all bits ends the search for one.
        let rest = hash >> INDEX_BITS | 1 << (64 - INDEX_BITS);
        Self { index: hash as usize % REGISTERS, rank: rest.trailing_zeros() as u8 + 1 }
    }
}

/// MurmurHash64A (Austin Appleby).
#[inline]
fn murmur64(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

/// A HyperLogLog that is being changed, apart from where it is stored.
#[derive(Debug, Clone)]
pub struct Draft {
    bytes: Vec<u8>,
    encoding: Encoding,
}

impl Draft {
    /// A copy of a value; it has been found to be one of this encoding.
    pub fn of(value: &[u8], encoding: Encoding) -> Self {
        debug_assert_eq!(Encoding::of(value), Some(encoding));
        Self { bytes: value.to_vec(), encoding }
    }

    /// The value.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How it is stored.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Takes an observation in; is that news? A sparse one that would need more than `sparse_bytes` becomes dense.
    ///
    /// # Errors
    /// [`Corrupt`] if the register is missing, or any when it becomes dense.
    pub fn observe(&mut self, seen: Observation, sparse_bytes: usize) -> Result<bool, Corrupt> {
        if self.encoding == Encoding::Sparse {
            match sparse::update(&self.bytes, seen, sparse_bytes)? {
                sparse::Update::Nothing => return Ok(false),
                sparse::Update::Edit(edit) => {
                    Splice::splice(&mut self.bytes, edit.range(), edit.with());
                    return Ok(true);
                }
                sparse::Update::TooLarge => self.make_dense()?,
            }
        }
        Ok(dense::raise(&mut self.bytes, seen))
    }

    /// Makes it dense.
    ///
    /// # Errors
    /// [`Corrupt`] if its runs do not make up all registers.
    pub fn make_dense(&mut self) -> Result<(), Corrupt> {
        if self.encoding == Encoding::Sparse {
            self.bytes = sparse::to_dense(&self.bytes)?;
            self.encoding = Encoding::Dense;
        }
        Ok(())
    }

    /// Takes in all registers, none of which is less than its own.
    ///
    /// # Errors
    /// As [`Draft::observe`].
    pub fn raise_to(&mut self, registers: &Registers, sparse_bytes: usize) -> Result<(), Corrupt> {
        for (index, rank) in registers.0.iter().enumerate() {
            if self.encoding == Encoding::Dense {
                dense::pack(registers, &mut self.bytes);
                break;
            }
            if *rank > 0 {
                self.observe(Observation { index, rank: *rank }, sparse_bytes)?;
            }
        }
        Ok(())
    }

    /// Notes that the estimate is old.
    pub fn forget_count(&mut self) {
        forget_count(&mut self.bytes);
    }
}

/// The estimate of one HyperLogLog, computed anew.
///
/// # Errors
/// [`Corrupt`] if the runs of a sparse one do not make up all registers.
pub fn count(value: &[u8], encoding: Encoding) -> Result<u64, Corrupt> {
    let histogram = match encoding {
        Encoding::Sparse => sparse::histogram(value)?,
        Encoding::Dense => {
            let mut registers = Registers::new();
            registers.merge_dense(value);
            estimate::histogram(&registers)
        }
    };
    Ok(estimate::estimate(&histogram))
}

#[cfg(test)]
mod tests;
