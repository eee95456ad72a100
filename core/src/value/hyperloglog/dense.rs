//! Registers of six bits side by side, each above the one before it: four in three bytes. And registers of a byte each, in
//! which HyperLogLogs are merged.

use super::{Corrupt, DENSE_BYTES, Encoding, HEAD_BYTES, Observation, REGISTER_BITS, REGISTERS, sparse};
use crate::wide::{Kernel, widest};

/// The largest number that a register holds.
const REGISTER_MASK: u16 = (1 << REGISTER_BITS) - 1;

/// The dense form of a HyperLogLog is no other size.
const EXACT: &str = "the length of a dense HyperLogLog was looked at";

/// Where a register begins: a byte, and a bit of it. The last register ends with the last byte.
#[inline]
fn place(index: usize) -> (usize, usize) {
    let bit = index * REGISTER_BITS;
    // The byte before the registers is the head's, so a pair of bytes that ends with the register is there for each.
    let at = HEAD_BYTES + (bit + REGISTER_BITS - 1) / 8 - 1;
    (at, bit + 8 * HEAD_BYTES - at * 8)
}

#[inline]
fn pair(value: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([value[at], value[at + 1]])
}

/// A register.
#[inline]
pub fn register(value: &[u8], index: usize) -> u8 {
    let (at, bit) = place(index);
    (pair(value, at) >> bit & REGISTER_MASK) as u8
}

/// Raises a register to a rank, unless it is as large; was it less?
#[inline]
pub fn raise(value: &mut [u8], seen: Observation) -> bool {
    let is_news = register(value, seen.index) < seen.rank;
    if is_news {
        put(value, seen.index, seen.rank);
    }
    is_news
}

/// Writes a register.
#[inline]
pub fn put(value: &mut [u8], index: usize, rank: u8) {
    let (at, bit) = place(index);
    let bits = pair(value, at) & !(REGISTER_MASK << bit) | u16::from(rank) << bit;
    value[at..at + 2].copy_from_slice(&bits.to_le_bytes());
}

/// Writes all registers of a dense value.
pub fn pack(registers: &Registers, value: &mut [u8]) {
    let (ranks, _) = registers.0.as_chunks::<4>();
    let (triples, _) = value[HEAD_BYTES..].as_chunks_mut::<3>();
    for (triple, ranks) in triples.iter_mut().zip(ranks) {
        let bits = ranks.iter().rev().fold(0_u32, |bits, rank| bits << REGISTER_BITS | u32::from(*rank));
        triple.copy_from_slice(&bits.to_le_bytes()[..3]);
    }
}

/// All registers, a byte each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(align(64))]
pub struct Registers(pub(super) [u8; REGISTERS]);

impl Default for Registers {
    fn default() -> Self {
        Self::new()
    }
}

impl Registers {
    /// All zero.
    pub const fn new() -> Self {
        Self([0; REGISTERS])
    }

    /// Each register by itself.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u8> + '_ {
        self.0.iter().copied()
    }

    /// Raises each register to that of a HyperLogLog, which has been found to be one of this encoding.
    ///
    /// # Errors
    /// [`Corrupt`] if the runs of a sparse one do not make up all registers.
    pub fn merge(&mut self, value: &[u8], encoding: Encoding) -> Result<(), Corrupt> {
        match encoding {
            Encoding::Sparse => sparse::merge(value, self),
            Encoding::Dense => {
                self.merge_dense(value);
                Ok(())
            }
        }
    }

    pub(super) fn merge_dense(&mut self, value: &[u8]) {
        widest(Merge { value: value.try_into().expect(EXACT), into: &mut self.0 });
    }
}

/// Raises registers of a byte each to dense ones.
pub(super) struct Merge<'a> {
    pub(super) value: &'a [u8; DENSE_BYTES],
    pub(super) into: &'a mut [u8; REGISTERS],
}

/// Registers that are unpacked together, and the bytes in which they lie.
const GROUP: usize = 32;
const GROUP_BYTES: usize = GROUP * REGISTER_BITS / 8;

/// Eight registers lie in so many bytes.
const OCTET_BYTES: usize = 8 * REGISTER_BITS / 8;

impl Kernel for Merge<'_> {
    type Output = ();

    /// Eight registers are loaded with the two bytes before them, which are always there, and spread over the bytes of a
    /// word in three steps: halves, quarters, eighths.
    #[inline(always)]
    fn run(self) {
        const LEAD: usize = 8 - OCTET_BYTES;
        let (groups, _) = self.into.as_chunks_mut::<GROUP>();
        for (index, group) in groups.iter_mut().enumerate() {
            let source = &self.value[HEAD_BYTES + index * GROUP_BYTES - LEAD..][..GROUP_BYTES + LEAD];
            let octet =
                |at: usize| u64::from_le_bytes(source[at * OCTET_BYTES..][..8].try_into().expect("eight bytes"));
            let mut words = [octet(0), octet(1), octet(2), octet(3)];
            for word in &mut words {
                *word >>= 8 * LEAD;
                *word = *word & 0x0000_0000_00ff_ffff | (*word & 0x0000_ffff_ff00_0000) << 8;
                *word = *word & 0x0000_0fff_0000_0fff | (*word & 0x00ff_f000_00ff_f000) << 4;
                *word = *word & 0x003f_003f_003f_003f | (*word & 0x0fc0_0fc0_0fc0_0fc0) << 2;
            }
            let mut ranks = [0; GROUP];
            for (ranks, word) in ranks.as_chunks_mut::<8>().0.iter_mut().zip(words) {
                *ranks = word.to_le_bytes();
            }
            for (to, from) in group.iter_mut().zip(ranks) {
                *to = (*to).max(from);
            }
        }
    }
}
