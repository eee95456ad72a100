//! Registers of six bits side by side, each above the one before it: four in three bytes. And registers of a byte each, in
//! which HyperLogLogs are merged.

use super::{Corrupt, DENSE_BYTES, Encoding, HEAD_BYTES, Observation, REGISTER_BITS, REGISTERS, sparse};
use crate::wide::avx2::{self, PACKED_BYTES};

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
///
/// # Panics
/// If the value has not the length of a dense one.
pub fn pack(registers: &Registers, value: &mut [u8]) {
    let packed: &mut [u8; PACKED_BYTES] = (&mut value[HEAD_BYTES..]).try_into().expect(EXACT);
    if !avx2::pack(&registers.0, packed) {
        pack_plainly(registers, packed);
    }
}

/// The same with what any processor has.
pub(super) fn pack_plainly(registers: &Registers, packed: &mut [u8; PACKED_BYTES]) {
    let (ranks, _) = registers.0.as_chunks::<4>();
    let (triples, _) = packed.as_chunks_mut::<3>();
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
        let packed = value[HEAD_BYTES..].try_into().expect(EXACT);
        if !avx2::raise(&mut self.0, packed) {
            raise_plainly(&mut self.0, value.try_into().expect(EXACT));
        }
    }
}

/// Eight registers lie in so many bytes.
const OCTET_BYTES: usize = 8 * REGISTER_BITS / 8;

/// Raises registers of a byte each to dense ones, with what any processor has.
///
/// Eight registers are loaded with the two bytes before them, which are always there, and spread over the bytes of a word in
/// three steps: halves, quarters, eighths.
pub(super) fn raise_plainly(into: &mut [u8; REGISTERS], value: &[u8; DENSE_BYTES]) {
    const LEAD: usize = 8 - OCTET_BYTES;
    for (index, octet) in into.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let source = &value[HEAD_BYTES + index * OCTET_BYTES - LEAD..][..8];
        let mut word = u64::from_le_bytes(source.try_into().expect("eight bytes")) >> (8 * LEAD);
        word = word & 0x0000_0000_00ff_ffff | (word & 0x0000_ffff_ff00_0000) << 8;
        word = word & 0x0000_0fff_0000_0fff | (word & 0x00ff_f000_00ff_f000) << 4;
        word = word & 0x003f_003f_003f_003f | (word & 0x0fc0_0fc0_0fc0_0fc0) << 2;
        for (to, from) in octet.iter_mut().zip(word.to_le_bytes()) {
            *to = (*to).max(from);
        }
    }
}
