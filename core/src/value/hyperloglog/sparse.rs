//! Registers as runs: most of a HyperLogLog that has seen little is zero.
//!
//! ```text
//! 00llllll           l + 1 registers that are zero
//! 01llllll llllllll  the same, up to all of them
//! 1rrrrrll           l + 1 registers of rank r + 1
//! ```
//!
//! The bytes that a change leaves depend on the order of changes: a run is split where a register differs, and what is
//! equal joins only close to it. All of that follows Valkey's steps, so that equal commands leave equal bytes.

use super::dense::{self, Registers};
use super::estimate::Histogram;
use super::{Corrupt, DENSE_BYTES, ENCODING_AT, Encoding, HEAD_BYTES, Observation, REGISTERS};
use smallvec::SmallVec;
use std::ops::Range;

/// The largest rank of a run.
const RANK_MAX: u8 = 32;
/// Registers of a run with a rank.
const RANKED_MAX: usize = 4;
/// Registers of a run of zeros in one byte.
const SHORT_MAX: usize = 64;
/// How many runs, from the one before the change on, may join.
const JOIN_RUNS: usize = 5;

/// Registers of one number that stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Their number, 0 to 32.
    pub rank: u8,
    /// How many there are.
    pub len: usize,
    /// Does it take two bytes?
    pub is_long: bool,
}

impl Run {
    /// The run that begins at a byte. Where its second byte is missing, that counts as zero.
    #[inline]
    fn at(bytes: &[u8], at: usize) -> Self {
        let byte = bytes[at];
        match byte >> 6 {
            0 => Self { rank: 0, len: usize::from(byte & 0x3f) + 1, is_long: false },
            1 => {
                let low = bytes.get(at + 1).copied().unwrap_or(0);
                Self { rank: 0, len: (usize::from(byte & 0x3f) << 8 | usize::from(low)) + 1, is_long: true }
            }
            _ => Self { rank: (byte >> 2 & 0x1f) + 1, len: usize::from(byte & 3) + 1, is_long: false },
        }
    }

    /// A run of zeros, in its shortest form.
    fn zeros(len: usize) -> Self {
        Self { rank: 0, len, is_long: len > SHORT_MAX }
    }

    fn ranked(rank: u8, len: usize) -> Self {
        debug_assert!((1..=RANK_MAX).contains(&rank) && len <= RANKED_MAX);
        Self { rank, len, is_long: false }
    }

    #[inline]
    fn bytes(self) -> usize {
        1 + usize::from(self.is_long)
    }

    fn write(self, into: &mut Edited) {
        let len = self.len - 1;
        match self {
            Self { rank: 0, is_long: true, .. } => into.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
            Self { rank: 0, .. } => into.push(len as u8),
            Self { rank, .. } => into.push(0x80 | (rank - 1) << 2 | len as u8),
        }
    }
}

/// The runs of a value.
pub fn runs(value: &[u8]) -> impl Iterator<Item = Run> + '_ {
    let mut at = HEAD_BYTES;
    std::iter::from_fn(move || {
        let run = (at < value.len()).then(|| Run::at(value, at))?;
        at += run.bytes();
        Some(run)
    })
}

/// Shows each run that is not zero with the first of its registers. That all are made up is known at the end.
fn for_each(value: &[u8], mut visit: impl FnMut(Range<usize>, u8)) -> Result<(), Corrupt> {
    let mut index = 0;
    for run in runs(value) {
        let end = index + run.len;
        if end > REGISTERS {
            return Err(Corrupt);
        }
        if run.rank > 0 {
            visit(index..end, run.rank);
        }
        index = end;
    }
    if index == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// Counts registers by their numbers.
pub(super) fn histogram(value: &[u8]) -> Result<Histogram, Corrupt> {
    let mut histogram = [0; 64];
    let mut zeros = REGISTERS;
    for_each(value, |run, rank| {
        histogram[usize::from(rank)] += run.len() as u32;
        zeros -= run.len();
    })?;
    histogram[0] = zeros as u32;
    Ok(histogram)
}

/// Raises registers to those of a value.
pub(super) fn merge(value: &[u8], into: &mut Registers) -> Result<(), Corrupt> {
    for_each(value, |run, rank| into.0[run].iter_mut().for_each(|register| *register = rank.max(*register)))
}

/// The dense form of a value, with the same head.
pub(super) fn to_dense(value: &[u8]) -> Result<Vec<u8>, Corrupt> {
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEAD_BYTES].copy_from_slice(&value[..HEAD_BYTES]);
    dense[ENCODING_AT] = Encoding::Dense as u8;
    for_each(value, |run, rank| run.for_each(|index| dense::put(&mut dense, index, rank)))?;
    Ok(dense)
}

/// Bytes of a few runs.
type Edited = SmallVec<[u8; 24]>;

/// What an observation changes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Nothing: the register is as large already.
    Nothing,
    /// These bytes.
    Edit(Edit),
    /// It has to become dense.
    TooLarge,
}

/// Bytes that take the place of others. That the count is old is for the caller to note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    at: usize,
    old_len: usize,
    with: Edited,
}

impl Edit {
    /// What is replaced.
    pub fn range(&self) -> Range<usize> {
        self.at..self.at + self.old_len
    }

    /// What takes its place.
    pub fn with(&self) -> &[u8] {
        &self.with
    }
}

/// What a value becomes by an observation, if it may take no more than `bytes_max`.
pub fn update(value: &[u8], seen: Observation, bytes_max: usize) -> Result<Update, Corrupt> {
    if seen.rank > RANK_MAX {
        return Ok(Update::TooLarge);
    }
    let found = find(value, seen.index).ok_or(Corrupt)?;
    let run = found.run;
    if run.rank >= seen.rank {
        return Ok(Update::Nothing);
    }
    let mut with = Edited::new();
    with.extend_from_slice(&value[found.before..found.at]);
    let part = |len: usize| if run.rank == 0 { Run::zeros(len) } else { Run::ranked(run.rank, len) };
    let head = seen.index - found.first;
    let tail = run.len - 1 - head;
    if head > 0 {
        part(head).write(&mut with);
    }
    Run::ranked(seen.rank, 1).write(&mut with);
    if tail > 0 {
        part(tail).write(&mut with);
    }
    let end = (found.at + run.bytes()).min(value.len());
    let old_len = end - found.before;
    if with.len() > old_len && value.len() + with.len() - old_len > bytes_max {
        return Ok(Update::TooLarge);
    }
    // As many bytes behind the change as the runs that may join can take.
    let end = (end + 2 * (JOIN_RUNS + 1)).min(value.len());
    with.extend_from_slice(&value[found.before + old_len..end]);
    join(&mut with);
    Ok(Update::Edit(Edit { at: found.before, old_len: end - found.before, with }))
}

/// Joins neighbours of the same rank, as far as Valkey looks for them: one step over a run, or one neighbour joined.
fn join(bytes: &mut Edited) {
    let mut at = 0;
    for _ in 0..JOIN_RUNS {
        if at >= bytes.len() {
            return;
        }
        let run = Run::at(bytes, at);
        let next = (run.rank > 0 && at + 1 < bytes.len()).then(|| Run::at(bytes, at + 1));
        match next {
            Some(next) if next.rank == run.rank && run.len + next.len <= RANKED_MAX => {
                let mut joined = Edited::new();
                Run::ranked(run.rank, run.len + next.len).write(&mut joined);
                bytes[at] = joined[0];
                bytes.remove(at + 1);
            }
            _ => at += run.bytes(),
        }
    }
}

/// The run that a register lies in.
struct Found {
    run: Run,
    at: usize,
    /// The first register of the run.
    first: usize,
    /// Where the run before it is; itself if it is the first.
    before: usize,
}

/// Looks for a register. Eight bytes are passed at once as long as none of them may begin a long run.
#[inline]
fn find(value: &[u8], index: usize) -> Option<Found> {
    let (mut at, mut first, mut before) = (HEAD_BYTES, 0, HEAD_BYTES);
    loop {
        while let Some(word) = value.get(at..at + 8) {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            match short_registers(word) {
                Some(registers) if first + registers <= index => {
                    (first, before) = (first + registers, at + 7);
                    at += 8;
                }
                _ => break,
            }
        }
        // The next eight bytes hold the register or a long run.
        for _ in 0..8 {
            if at >= value.len() {
                return None;
            }
            let run = Run::at(value, at);
            if index < first + run.len {
                return Some(Found { run, at, first, before });
            }
            (first, before) = (first + run.len, at);
            at += run.bytes();
            if run.is_long {
                break;
            }
        }
    }
}

/// How many registers eight runs of a byte make up; nothing if one of the bytes may begin a long run.
#[inline]
fn short_registers(word: u64) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let ranked = word >> 7 & ONES;
    let marked = word >> 6 & ONES;
    if marked & !ranked != 0 {
        return None;
    }
    // The length takes six bits of a run of zeros and two of one with a rank.
    let lens = (word & ((0x3f * ONES) ^ (0x3c * ranked))) + ONES;
    const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
    let pairs = (lens & EVEN) + (lens >> 8 & EVEN);
    Some((pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48) as usize)
}
