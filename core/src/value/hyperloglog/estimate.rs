//! The estimate, from how often each rank occurs: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
//! sketches" (arXiv:1702.01284), the improved raw estimator.

use super::dense::Registers;
use super::{RANK_MAX, REGISTERS};
use crate::wide::avx2;

/// How many registers have each number. A register that is no hash's may hold one above all ranks.
pub type Histogram = [u32; 64];

/// One half by the natural logarithm of two.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// Tables that are filled in turn: equal registers lie side by side, and adding to one number waits for the last addition
/// to it.
const TABLES: usize = 4;

/// Counts registers by their numbers.
pub fn histogram(registers: &Registers) -> Histogram {
    avx2::histogram(&registers.0).unwrap_or_else(|| count_plainly(registers))
}

/// The same with what any processor has.
pub(super) fn count_plainly(registers: &Registers) -> Histogram {
    let mut tables = [[0_u32; 64]; TABLES];
    let (quads, _) = registers.0.as_chunks::<TABLES>();
    for quad in quads {
        for (table, rank) in tables.iter_mut().zip(quad) {
            table[usize::from(*rank) % 64] += 1;
        }
    }
    std::array::from_fn(|rank| tables.iter().map(|table| table[rank]).sum())
}

/// How many different elements there were. What is beyond 63 bits is 2^63, as in Valkey.
pub fn estimate(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let last = usize::from(RANK_MAX);
    let mut sum = registers * tau((registers - f64::from(histogram[last])) / registers);
    for count in histogram[1..last].iter().rev() {
        sum = (sum + f64::from(*count)) * 0.5;
    }
    sum += registers * sigma(f64::from(histogram[0]) / registers);
    let estimate = (ALPHA * registers * registers / sum).round();
    const LIMIT: f64 = (1_u64 << 63) as f64;
    if estimate < LIMIT { estimate as u64 } else { 1 << 63 }
}

/// The share of registers that have seen nothing, weighed.
fn sigma(mut share: f64) -> f64 {
    if share == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, share);
    loop {
        share *= share;
        let before = sum;
        sum += share * weight;
        weight += weight;
        if before == sum {
            return sum;
        }
    }
}

/// The share of registers that are not full, weighed.
fn tau(mut share: f64) -> f64 {
    if share == 0.0 || share == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - share);
    loop {
        share = share.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - share) * (1.0 - share) * weight;
        if before == sum {
            return sum / 3.0;
        }
    }
}
