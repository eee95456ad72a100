//! What AVX2 does in one instruction and the compiler does not find: counting bits, and registers of six bits.
//!
//! Every function here tells by its answer that the processor has no AVX2; its caller has plain code for that.
#![allow(unsafe_code)]

/// How many registers of six bits [`raise`] and [`pack`] take.
pub const REGISTERS: usize = 16384;

/// The bytes in which they lie.
pub const PACKED_BYTES: usize = REGISTERS / 4 * 3;

/// Has the processor AVX2, and counts it bits?
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn is_there() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}

/// How many bits are one.
#[inline]
pub fn count_ones(bytes: &[u8]) -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    if is_there() {
        // SAFETY: the processor has just been found to have what the function is compiled for.
        return Some(unsafe { x86::count_ones(bytes) });
    }
    let _ = bytes;
    None
}

/// Raises numbers of a byte each to those of six bits each. Was it done?
#[inline]
pub fn raise(into: &mut [u8; REGISTERS], packed: &[u8; PACKED_BYTES]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_there() {
        // SAFETY: as in `count_ones`.
        unsafe { x86::raise(into, packed) };
        return true;
    }
    let _ = (into, packed);
    false
}

/// Packs numbers below 64 of a byte each into six bits each. Was it done?
#[inline]
pub fn pack(numbers: &[u8; REGISTERS], into: &mut [u8; PACKED_BYTES]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_there() {
        // SAFETY: as in `count_ones`.
        unsafe { x86::pack(numbers, into) };
        return true;
    }
    let _ = (numbers, into);
    false
}

/// How often each number below 64 occurs.
#[inline]
pub fn histogram(numbers: &[u8; REGISTERS]) -> Option<[u32; 64]> {
    #[cfg(target_arch = "x86_64")]
    if is_there() {
        // SAFETY: as in `count_ones`.
        return Some(unsafe { x86::histogram(numbers) });
    }
    let _ = numbers;
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{PACKED_BYTES, REGISTERS};
    use std::arch::x86_64::*;

    /// Bytes of a register of the processor.
    const WIDTH: usize = 32;

    /// As many are counted together.
    const GROUP: usize = 16;

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; WIDTH]) -> __m256i {
        // SAFETY: the bytes are there; the instruction asks for no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(bytes: &mut [u8; WIDTH], value: __m256i) {
        // SAFETY: as for `load`.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), value) };
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_half(bytes: &[u8; WIDTH / 2]) -> __m128i {
        // SAFETY: as for `load`.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    /// The sum of the four words.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn sum(words: __m256i) -> u64 {
        let halves = _mm_add_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
        (_mm_extract_epi64::<0>(halves) as u64).wrapping_add(_mm_extract_epi64::<1>(halves) as u64)
    }

    /// How many bits of each word are one.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn ones_by_word(value: __m256i) -> __m256i {
        let counts = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        let nibble = _mm256_set1_epi8(15);
        let low = _mm256_shuffle_epi8(counts, _mm256_and_si256(value, nibble));
        let high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16::<4>(value), nibble));
        _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256())
    }

    /// Adds two rows of binary digits to a sum; what is answered is carried to the next digit.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(to: &mut __m256i, one: __m256i, other: __m256i) -> __m256i {
        let half = _mm256_xor_si256(*to, one);
        let carried = _mm256_or_si256(_mm256_and_si256(*to, one), _mm256_and_si256(half, other));
        *to = _mm256_xor_si256(half, other);
        carried
    }

    /// Harley and Seal's way: bits are added up as binary numbers, a digit in a register, so that only every sixteenth
    /// register is really counted.
    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn count_ones(bytes: &[u8]) -> u64 {
        let zero = _mm256_setzero_si256();
        let (mut ones, mut twos, mut fours, mut eights, mut sixteens) = (zero, zero, zero, zero, zero);
        let (blocks, rest) = bytes.as_chunks::<WIDTH>();
        let (groups, single) = blocks.as_chunks::<GROUP>();
        for group in groups {
            let mut carried = [zero; 4];
            for (carried, quartet) in carried.iter_mut().zip(group.as_chunks::<4>().0) {
                let a = add(&mut ones, load(&quartet[0]), load(&quartet[1]));
                let b = add(&mut ones, load(&quartet[2]), load(&quartet[3]));
                *carried = add(&mut twos, a, b);
            }
            let a = add(&mut fours, carried[0], carried[1]);
            let b = add(&mut fours, carried[2], carried[3]);
            let c = add(&mut eights, a, b);
            sixteens = _mm256_add_epi64(sixteens, ones_by_word(c));
        }
        let mut total = 16 * sum(sixteens);
        for (digit, weight) in [(eights, 8), (fours, 4), (twos, 2), (ones, 1)] {
            total += weight * sum(ones_by_word(digit));
        }
        total += single.iter().map(|block| sum(ones_by_word(load(block)))).sum::<u64>();
        total + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
    }

    /// In each half of a register there come to lie twelve bytes, three of them to a word of four, and each word's four
    /// numbers are moved apart.
    #[target_feature(enable = "avx2")]
    pub(super) fn raise(into: &mut [u8; REGISTERS], packed: &[u8; PACKED_BYTES]) {
        // The first half begins with its bytes; the second is loaded four bytes early, so that nothing behind is read.
        let places = _mm256_setr_epi8(
            0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15,
            -1,
        );
        let first = _mm256_set1_epi32(0x3f);
        for (to, from) in into.as_chunks_mut::<WIDTH>().0.iter_mut().zip(packed.as_chunks::<24>().0) {
            let low = load_half(from.first_chunk().expect("the first of 24 bytes"));
            let high = load_half(from.last_chunk().expect("the last of 24 bytes"));
            let words = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), places);
            let a = _mm256_and_si256(words, first);
            let b = _mm256_and_si256(_mm256_slli_epi32::<2>(words), _mm256_slli_epi32::<8>(first));
            let c = _mm256_and_si256(_mm256_slli_epi32::<4>(words), _mm256_slli_epi32::<16>(first));
            let d = _mm256_and_si256(_mm256_slli_epi32::<6>(words), _mm256_slli_epi32::<24>(first));
            let numbers = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
            store(to, _mm256_max_epu8(load(to), numbers));
        }
    }

    /// The way back: two numbers become twelve bits by a multiplication, four of them 24 by another.
    #[target_feature(enable = "avx2")]
    pub(super) fn pack(numbers: &[u8; REGISTERS], into: &mut [u8; PACKED_BYTES]) {
        let places = _mm256_setr_epi8(
            0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1,
            -1,
        );
        let pairs = _mm256_set1_epi16(0x4001);
        let quartets = _mm256_set1_epi32(0x1000_0001);
        for (to, from) in into.as_chunks_mut::<24>().0.iter_mut().zip(numbers.as_chunks::<WIDTH>().0) {
            let words = _mm256_madd_epi16(_mm256_maddubs_epi16(load(from), pairs), quartets);
            let mut halves = [0; WIDTH];
            store(&mut halves, _mm256_shuffle_epi8(words, places));
            to[..12].copy_from_slice(&halves[..12]);
            to[12..].copy_from_slice(&halves[16..28]);
        }
    }

    /// Numbers that are counted in one passage.
    const AT_ONCE: usize = 4;

    /// Most registers of the processor that a count of a byte each bears.
    const BLOCK: usize = 128;

    /// Few numbers occur, and they lie close together: from the smallest on, a few of them are counted in each passage, until
    /// all have been met.
    #[target_feature(enable = "avx2")]
    pub(super) fn histogram(numbers: &[u8; REGISTERS]) -> [u32; 64] {
        let mut counts = [0; 64];
        let zero = _mm256_setzero_si256();
        let blocks = numbers.as_chunks::<WIDTH>().0;
        let least = blocks.iter().fold(_mm256_set1_epi8(-1), |least, block| _mm256_min_epu8(least, load(block)));
        let mut bytes = [0; WIDTH];
        store(&mut bytes, least);
        let mut number = usize::from(bytes.into_iter().min().unwrap_or(0)) & 63;
        let mut left = REGISTERS as u32;
        while left > 0 && number < 64 {
            let wanted: [__m256i; AT_ONCE] = std::array::from_fn(|more| _mm256_set1_epi8((number + more) as i8));
            let mut totals = [zero; AT_ONCE];
            for block in blocks.as_chunks::<BLOCK>().0 {
                let mut found = [zero; AT_ONCE];
                for bytes in block {
                    let bytes = load(bytes);
                    for (found, wanted) in found.iter_mut().zip(wanted) {
                        // What is equal is minus one.
                        *found = _mm256_sub_epi8(*found, _mm256_cmpeq_epi8(bytes, wanted));
                    }
                }
                for (total, found) in totals.iter_mut().zip(found) {
                    *total = _mm256_add_epi64(*total, _mm256_sad_epu8(found, zero));
                }
            }
            for (count, total) in counts[number..].iter_mut().zip(totals) {
                *count = sum(total) as u32;
                left -= *count;
            }
            number += AT_ONCE;
        }
        counts
    }
}
