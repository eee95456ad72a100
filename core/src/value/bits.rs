//! Strings as rows of bits: counting, finding and combining them. The first bit of a byte is its highest.

use crate::wide::{Kernel, avx2, widest};
use std::ops::RangeInclusive;

/// As many bytes of a result as are worked on at once: they stay in the first cache while one source after another is
/// brought in.
const BLOCK_BYTES: usize = 8 * 1024;

/// Up to so many bytes, choosing the kernel is not worth while.
const SHORT_BYTES: usize = 64;

/// How many bits are one.
pub fn count_ones(bytes: &[u8]) -> u64 {
    if bytes.len() <= SHORT_BYTES {
        return count_words(bytes);
    }
    avx2::count_ones(bytes).unwrap_or_else(|| count_words(bytes))
}

/// The bit at `offset`; behind the end all are zero.
#[inline]
pub fn bit(bytes: &[u8], offset: u64) -> bool {
    let at = usize::try_from(offset / 8).ok();
    at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte >> (7 - offset % 8) & 1 != 0)
}

/// How many bits of a range are one. The range lies inside.
pub fn count_ones_in(bytes: &[u8], bits: RangeInclusive<u64>) -> u64 {
    let (start, end) = (*bits.start(), *bits.end());
    if start > end {
        return 0;
    }
    let (first, last) = ((start / 8) as usize, (end / 8) as usize);
    let outside = bytes[first] & !(0xff >> (start % 8)); // what is before the range
    let behind = bytes[last] & !(0xff_u8 << (7 - end % 8));
    count_ones(&bytes[first..=last]) - u64::from(outside.count_ones() + behind.count_ones())
}

/// The first bit of a range that is as wanted. The range lies inside.
pub fn first_bit(bytes: &[u8], bits: RangeInclusive<u64>, wanted: bool) -> Option<u64> {
    let (start, end) = (*bits.start(), *bits.end());
    if start > end {
        return None;
    }
    let (first, last) = ((start / 8) as usize, (end / 8) as usize);
    let flip = if wanted { 0 } else { 0xff };
    let head = (bytes[first] ^ flip) & 0xff >> (start % 8);
    let (at, byte) = match head {
        0 => {
            let at = first + 1 + widest(FindOther { bytes: &bytes[first + 1..=last], than: flip })?;
            (at, bytes[at] ^ flip)
        }
        head => (first, head),
    };
    Some(at as u64 * 8 + u64::from(byte.leading_zeros())).filter(|place| *place <= end)
}

/// How strings are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// What is one in all of them.
    And,
    /// What is one in any of them.
    Or,
    /// What is one in an odd number of them.
    Xor,
    /// The opposite of the one string there is.
    Not,
}

/// Combines strings, of which shorter ones count as if zeros came behind them. The result is as long as the longest.
pub fn combine(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = Vec::with_capacity(len);
    let mut at = 0;
    while at < len {
        let end = len.min(at + BLOCK_BYTES);
        let part = |source: &'_ &[u8]| at.min(source.len())..end.min(source.len());
        let (first, others) = sources.split_first().expect("what is longest is there");
        result.extend_from_slice(&first[part(first)]);
        result.resize(end, 0);
        let block = &mut result[at..];
        match others {
            [] if operation == Operation::Not => widest(Invert(block)),
            _ => others.iter().for_each(|other| widest(Merge { operation, block, with: &other[part(other)] })),
        }
        at = end;
    }
    result
}

/// Counts with what any processor has.
fn count_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let ones: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    ones + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Where the first byte is that differs.
struct FindOther<'a> {
    bytes: &'a [u8],
    than: u8,
}

impl Kernel for FindOther<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run(self) -> Option<usize> {
        let (chunks, _) = self.bytes.as_chunks::<128>();
        let same = u64::from_ne_bytes([self.than; 8]);
        let differs = |chunk: &[u8; 128]| {
            let (words, _) = chunk.as_chunks::<8>();
            words.iter().fold(0, |seen, word| seen | u64::from_ne_bytes(*word) ^ same) != 0
        };
        let start = chunks.iter().position(differs).unwrap_or(chunks.len()) * 128;
        self.bytes[start..].iter().position(|byte| *byte != self.than).map(|at| start + at)
    }
}

/// Brings one more string into a block of the result; it may end before the block does.
struct Merge<'a> {
    operation: Operation,
    block: &'a mut [u8],
    with: &'a [u8],
}

impl Kernel for Merge<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (both, rest) = self.block.split_at_mut(self.with.len());
        let pairs = both.iter_mut().zip(self.with);
        match self.operation {
            Operation::And => {
                pairs.for_each(|(to, from)| *to &= from);
                rest.fill(0);
            }
            Operation::Or => pairs.for_each(|(to, from)| *to |= from),
            Operation::Xor => pairs.for_each(|(to, from)| *to ^= from),
            Operation::Not => debug_assert!(false, "only one string is inverted"),
        }
    }
}

struct Invert<'a>(&'a mut [u8]);

impl Kernel for Invert<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.iter_mut().for_each(|byte| *byte = !*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).map(move |at| byte >> (7 - at) & 1 != 0)).collect()
    }

    /// Bytes in runs, so that long stretches of the same come up.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0), Just(0xff), any::<u8>()];
        let run = (byte, prop_oneof![1..4_usize, 1..700_usize]).prop_map(|(byte, len)| vec![byte; len]);
        let noise = proptest::collection::vec(any::<u8>(), 0..1200);
        proptest::collection::vec(prop_oneof![run, noise], 0..4).prop_map(|runs| runs.concat())
    }

    proptest! {
        #[test]
        fn ones_are_counted_with_any_instructions(bytes in bytes()) {
            let expected = naive(&bytes).iter().filter(|bit| **bit).count() as u64;
            prop_assert_eq!(count_ones(&bytes), expected);
            prop_assert_eq!(count_words(&bytes), expected);
            prop_assert_eq!(avx2::count_ones(&bytes).unwrap_or(expected), expected);
        }

        #[test]
        fn ranges_are_counted_and_searched(bytes in bytes(), from in any::<u64>(), len in any::<u64>(), wanted: bool) {
            prop_assume!(!bytes.is_empty());
            let bits = bytes.len() as u64 * 8;
            let start = from % bits;
            let end = start + len % (bits - start);
            let model = naive(&bytes);
            let part = &model[start as usize..=end as usize];
            prop_assert_eq!(count_ones_in(&bytes, start..=end), part.iter().filter(|bit| **bit).count() as u64);
            let expected = part.iter().position(|bit| *bit == wanted).map(|at| start + at as u64);
            prop_assert_eq!(first_bit(&bytes, start..=end, wanted), expected);
            prop_assert_eq!(bit(&bytes, start), model[start as usize]);
            let than = if wanted { 0 } else { 0xff };
            let expected = bytes.iter().position(|byte| *byte != than);
            prop_assert_eq!(FindOther { bytes: &bytes, than }.run(), expected);
        }

        #[test]
        fn strings_are_combined_as_if_zeros_followed(sources in proptest::collection::vec(bytes(), 1..5)) {
            let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let len = slices.iter().map(|source| source.len()).max().unwrap_or(0);
            let byte = |source: &[u8], at: usize| source.get(at).copied().unwrap_or(0);
            for (operation, join) in [
                (Operation::And, (|a, b| a & b) as fn(u8, u8) -> u8),
                (Operation::Or, |a, b| a | b),
                (Operation::Xor, |a, b| a ^ b),
            ] {
                let expected: Vec<u8> = (0..len)
                    .map(|at| slices.iter().map(|source| byte(source, at)).reduce(join).unwrap_or(0))
                    .collect();
                prop_assert_eq!(combine(operation, &slices), expected.clone());
                let mut block = slices[0].to_vec();
                block.resize(len, 0);
                for source in &slices[1..] {
                    Merge { operation, block: &mut block, with: source }.run();
                }
                prop_assert_eq!(block, expected);
            }
            let expected: Vec<u8> = slices[0].iter().map(|byte| !byte).collect();
            prop_assert_eq!(combine(Operation::Not, &slices[..1]), expected);
        }
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        assert_eq!(count_ones(&[]), 0);
        assert_eq!(combine(Operation::Or, &[&[], &[]]), []);
        assert_eq!(combine(Operation::Not, &[&[]]), []);
        assert!(!bit(&[0xff], 8) && !bit(&[0xff], u64::MAX));
        #[expect(clippy::reversed_empty_ranges)]
        let nothing = 1..=0;
        assert_eq!(count_ones_in(&[], nothing.clone()), 0);
        assert_eq!(first_bit(&[], nothing, true), None);
    }
}
