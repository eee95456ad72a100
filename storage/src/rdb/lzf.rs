//! LZF, the compression of strings in RDB: what was there less than 8 KiB before is referred to.
//!
//! ```text
//! 000lllll  l + 1 bytes as they are
//! lllooooo oooooooo           l + 2 bytes (l: 1 to 6) that begin o + 1 bytes back
//! 111ooooo llllllll oooooooo  the same with l + 9 bytes
//! ```
//!
//! What [`Compressor`] writes need not be what another compressor writes; all of them are read by [`decompress`], and by
//! every other decompressor.

use super::format::FormatError;
use std::ops::Range;

/// Most bytes of a run as they are.
const RUN_MAX: usize = 32;

/// A reference reaches back no further.
const DISTANCE_MAX: usize = 1 << 13;

/// A reference is to no more bytes.
const MATCH_MAX: usize = 264;

/// From so many bytes on, the length of a match has a byte of its own.
const LONG_MATCH_MIN: usize = 9;

/// Behind its last byte the output may be written over by as much, which makes copies short.
const SLACK: usize = 32;

/// So many bytes are copied at once.
const CHUNK: usize = 16;

/// As many bytes of input, at least, are read at once.
const WORD: usize = 8;

/// Up to this length an input makes do with the small table, which costs little to make.
const SMALL_INPUT_BYTES_MAX: usize = 512;

/// How many places the small table notes.
const SMALL_SLOTS: usize = 1 << 9;

/// How many places the large one notes.
const LARGE_SLOTS: usize = 1 << 12;

/// After so many places without a match (two to this power) every second one is looked at, then every third ...
const PATIENCE: u32 = 6;

/// Could so many compressed bytes become as many as they claim? A reference of three bytes stands for no more than 264.
pub fn is_plausible(compressed: usize, len: usize) -> bool {
    len.div_ceil(MATCH_MAX).checked_mul(3).is_some_and(|least| least <= compressed.saturating_add(3))
}

/// Decompresses into `out`, which holds these bytes and nothing else afterwards. `len` is how many there should be.
///
/// # Errors
/// The bytes are no such compression, or one of a different length.
pub fn decompress(from: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), FormatError> {
    if !is_plausible(from.len(), len) {
        return Err(FormatError("a compressed string is too short for its length"));
    }
    out.clear();
    out.resize(len + SLACK, 0);
    let done = unpack(from, len, out)?;
    out.truncate(len);
    if done == len { Ok(()) } else { Err(WRONG) }
}

const WRONG: FormatError = FormatError("a compressed string is damaged");

/// Decompresses into `out`, which has [`SLACK`] bytes more than there should be; how many are there?
fn unpack(from: &[u8], len: usize, out: &mut [u8]) -> Result<usize, FormatError> {
    let (mut at, mut end) = (0, 0);
    while let Some(&control) = from.get(at) {
        at += 1;
        if usize::from(control) < RUN_MAX {
            let run = usize::from(control) + 1;
            if run > len - end {
                return Err(WRONG);
            }
            if let (Some(wide), Some(room)) =
                (from[at..].first_chunk::<RUN_MAX>(), out[end..].first_chunk_mut::<RUN_MAX>())
            {
                *room = *wide;
            } else {
                out[end..end + run].copy_from_slice(from.get(at..at + run).ok_or(WRONG)?);
            }
            (at, end) = (at + run, end + run);
            continue;
        }
        let mut size = usize::from(control >> 5) + 2;
        if size == LONG_MATCH_MIN {
            size += usize::from(*from.get(at).ok_or(WRONG)?);
            at += 1;
        }
        let low = usize::from(*from.get(at).ok_or(WRONG)?);
        at += 1;
        let distance = (usize::from(control & 0x1f) << 8 | low) + 1;
        if distance > end || size > len - end {
            return Err(WRONG);
        }
        repeat(out, end, distance, size);
        end += size;
    }
    Ok(end)
}

/// Writes `size` bytes to `at`, which are the ones `distance` before them. May write some bytes more, for which there is room.
#[inline(always)]
fn repeat(out: &mut [u8], at: usize, distance: usize, size: usize) {
    if distance >= CHUNK {
        let mut done = 0;
        while done < size {
            let chunk: [u8; CHUNK] =
                *out[at + done - distance..].first_chunk().expect("there is slack behind the bytes");
            *out[at + done..].first_chunk_mut().expect("there is slack behind the bytes") = chunk;
            done += CHUNK;
        }
    } else if distance == 1 {
        let byte = out[at - 1];
        out[at..at + size].fill(byte);
    } else {
        // What would be read at once was written a moment ago in parts, and the processor would wait for it.
        let out = &mut out[at - distance..at + size];
        for to in distance..out.len() {
            out[to] = out[to - distance];
        }
    }
}

/// Places in the input by the hash of the first bytes there: where such were seen last, counted so that what is
/// left of earlier inputs lies before `origin`.
#[derive(Debug)]
struct Places<const SLOTS: usize> {
    last: Box<[u32; SLOTS]>,
    /// What the first byte of the next input counts as.
    origin: u32,
}

impl<const SLOTS: usize> Default for Places<SLOTS> {
    fn default() -> Self {
        let last = vec![0; SLOTS].into_boxed_slice().try_into().expect("there are as many slots");
        Self { last, origin: 1 }
    }
}

impl<const SLOTS: usize> Places<SLOTS> {
    const SHIFT: u32 = 64 - SLOTS.ilog2();

    /// Makes ready for an input of this length and says where it begins.
    fn begin(&mut self, len: u32) -> u32 {
        if self.origin.checked_add(len).is_none_or(|end| end == u32::MAX) {
            *self = Self::default();
        }
        let origin = self.origin;
        self.origin += len + 1;
        origin
    }

    /// Notes a place by so many bits of what is there, and says which one was noted for the same, or for others of the same
    /// hash.
    #[inline(always)]
    fn note<const BITS: u32>(&mut self, word: u64, place: u32) -> u32 {
        let slot = ((word << (64 - BITS)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> Self::SHIFT) as usize;
        std::mem::replace(&mut self.last[slot % SLOTS], place)
    }
}

/// A compressor, which keeps its tables from one string to the next.
#[derive(Debug, Default)]
pub struct Compressor {
    small: Option<Places<SMALL_SLOTS>>,
    large: Option<Places<LARGE_SLOTS>>,
}

impl Compressor {
    /// Appends the compressed bytes to `out` if they are no more than `most`. The answer: how many they are.
    pub fn compress(&mut self, from: &[u8], most: usize, out: &mut Vec<u8>) -> Option<usize> {
        let start = out.len();
        out.resize(start + most + SLACK, 0);
        let size = if from.len() <= SMALL_INPUT_BYTES_MAX {
            search::<SMALL_SLOTS, 32>(from, self.small.get_or_insert_default(), &mut out[start..], most)
        } else {
            search::<LARGE_SLOTS, 40>(from, self.large.get_or_insert_default(), &mut out[start..], most)
        };
        out.truncate(start + size.unwrap_or(0));
        size
    }
}

/// Writes bytes as they are to `out` from `end` on; where do they end, if there is room for them up to `most`?
#[inline(always)]
fn write_runs(out: &mut [u8], mut end: usize, most: usize, from: &[u8], runs: Range<usize>) -> Option<usize> {
    let mut at = runs.start;
    while at < runs.end {
        let run = (runs.end - at).min(RUN_MAX);
        if end + 1 + run > most {
            return None;
        }
        out[end] = (run - 1) as u8;
        match (from[at..].first_chunk::<CHUNK>(), out[end + 1..].first_chunk_mut::<CHUNK>()) {
            (Some(chunk), Some(room)) if run <= CHUNK => *room = *chunk,
            _ => out[end + 1..end + 1 + run].copy_from_slice(&from[at..at + run]),
        }
        (at, end) = (at + run, end + 1 + run);
    }
    Some(end)
}

/// The same for what is mostly a short run, or none, of which nobody knows which it will be: without a jump.
#[inline(always)]
fn write_short_run(out: &mut [u8], end: usize, most: usize, from: &[u8], run: Range<usize>) -> Option<usize> {
    let len = run.len();
    match (from[run.start..].first_chunk::<CHUNK>(), out[end..].first_chunk_mut::<{ CHUNK + 1 }>()) {
        (Some(chunk), Some(room)) if len <= CHUNK && end + 1 + len <= most => {
            room[0] = (len as u8).wrapping_sub(1);
            room[1..].copy_from_slice(chunk);
            Some(end + len + usize::from(len > 0))
        }
        _ => write_runs(out, end, most, from, run),
    }
}

/// Writes a reference likewise.
#[inline(always)]
fn write_reference(out: &mut [u8], end: usize, most: usize, distance: usize, size: usize) -> Option<usize> {
    if end + 3 > most {
        return None;
    }
    let (high, low) = (((distance - 1) >> 8) as u8, (distance - 1) as u8);
    let room = out[end..].first_chunk_mut::<3>()?;
    if size < LONG_MATCH_MIN {
        *room = [((size - 2) as u8) << 5 | high, low, 0];
        return Some(end + 2);
    }
    *room = [0xe0 | high, (size - LONG_MATCH_MIN) as u8, low];
    Some(end + 3)
}

/// The word that begins at a place.
#[inline(always)]
fn word(from: &[u8], at: usize) -> Option<u64> {
    from.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Compresses into `out`, which has room for `most` and [`SLACK`] bytes; how many are needed, if no more than that?
///
/// Three equal bytes could be a match. But looking for four, or five in what is longer, meets those that go on for longer, so it
/// takes less time and the result is shorter.
#[inline(never)]
fn search<const SLOTS: usize, const SIGNIFICANT_BITS: u32>(
    from: &[u8],
    places: &mut Places<SLOTS>,
    out: &mut [u8],
    most: usize,
) -> Option<usize> {
    let origin = places.begin(u32::try_from(from.len()).ok()?);
    let (mut at, mut run_from, mut end) = (0, 0, 0);
    let mut misses = 0_u32;
    while let Some(here) = word(from, at) {
        let place = origin + at as u32;
        let distance = (place - places.note::<SIGNIFICANT_BITS>(here, place)) as usize;
        let there = if distance <= at.min(DISTANCE_MAX) { word(from, at - distance) } else { None };
        let Some(different) = there.map(|there| here ^ there).filter(|bits| bits << (64 - SIGNIFICANT_BITS) == 0)
        else {
            at += 1 + (misses >> PATIENCE) as usize;
            misses += 1;
            continue;
        };
        let size = match different {
            0 => match_len(from, at - distance, at),
            _ => different.trailing_zeros() as usize / WORD,
        };
        end = write_short_run(out, end, most, from, run_from..at)?;
        end = write_reference(out, end, most, distance, size)?;
        at += size;
        run_from = at;
        misses = 0;
    }
    write_runs(out, end, most, from, run_from..from.len())
}

/// How many bytes are the same from both places on; the first eight are.
#[inline]
fn match_len(from: &[u8], before: usize, at: usize) -> usize {
    let most = MATCH_MAX.min(from.len() - at);
    let mut size = WORD;
    while let (Some(there), Some(here)) = (word(from, before + size), word(from, at + size)) {
        let different = there ^ here;
        if different != 0 {
            size += different.trailing_zeros() as usize / WORD;
            return size.min(most);
        }
        size += WORD;
        if size >= most {
            return most;
        }
    }
    while size < most && from[before + size] == from[at + size] {
        size += 1;
    }
    size
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn comes_back(compressor: &mut Compressor, bytes: &[u8]) -> Option<usize> {
        let mut out = b"before".to_vec();
        let size = compressor.compress(bytes, bytes.len(), &mut out);
        assert_eq!(out.len(), 6 + size.unwrap_or(0));
        if size.is_some() {
            let mut again = b"rubbish".to_vec();
            decompress(&out[6..], bytes.len(), &mut again).unwrap();
            assert!(again == bytes);
            for len in [bytes.len() + 1, bytes.len().wrapping_sub(1), 0, usize::MAX] {
                assert!(decompress(&out[6..], len, &mut again).is_err() || bytes.len() == len);
            }
        }
        size
    }

    #[test]
    fn what_repeats_is_short() {
        let mut compressor = Compressor::default();
        for (len, most) in [(21, 14), (100, 14), (1000, 30), (100_000, 1300)] {
            assert!(comes_back(&mut compressor, &vec![b'x'; len]).unwrap() <= most, "{len}");
        }
        let text: Vec<u8> = (0..2000).flat_map(|n| format!("field:{n} value:{};", n * 7).into_bytes()).collect();
        assert!(comes_back(&mut compressor, &text).unwrap() < text.len() * 6 / 10);
    }

    #[test]
    fn what_does_not_repeat_is_left_alone() {
        let bytes: Vec<u8> =
            (0..70_000_u32).map(|at| (at.wrapping_mul(at).wrapping_mul(2_654_435_761) >> 23) as u8).collect();
        let mut compressor = Compressor::default();
        for len in [1, 4, 8, 9, 33, 1000] {
            assert!(compressor.compress(&bytes[..len], len.saturating_sub(4), &mut Vec::new()).is_none(), "{len}");
        }
    }

    #[test]
    fn places_of_other_strings_are_forgotten() {
        let mut compressor = Compressor::default();
        for len in [3000, 300, 30_000, 9, 8, 7, 100_000] {
            comes_back(&mut compressor, &b"abcdefghijklmnopqrstuvwxyz"[..].repeat(len / 26 + 1)[..len]);
        }
        compressor.small.as_mut().unwrap().origin = u32::MAX - 100;
        comes_back(&mut compressor, &[7; 50]);
        comes_back(&mut compressor, &[7; 500]);
    }

    #[test]
    fn the_documented_bytes_are_read() {
        let mut out = Vec::new();
        decompress(&[1, 97, 97, 0xe0, 0x57, 0, 1, 97, 97], 100, &mut out).unwrap();
        assert_eq!(out, [97; 100]);
        decompress(&[2, b'a', b'b', b'c', 0x20, 2, 0x40, 1], 10, &mut out).unwrap();
        assert_eq!(out, b"abcabcbcbc");
        for damaged in [&[0x20, 0][..], &[0, 97, 0x20], &[0, 97, 0xe0], &[0, 97, 0x20, 1], &[31, 0], &[0, 97, 0xe0, 1]]
        {
            for len in 0..600 {
                assert!(decompress(damaged, len, &mut out).is_err(), "{damaged:?} {len}");
            }
        }
        assert!(decompress(&[], 0, &mut out).is_ok());
    }

    proptest! {
        #[test]
        fn everything_comes_back(
            words in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 1..30_usize), 0..40)
        ) {
            let bytes: Vec<u8> = words.iter().flat_map(|(word, times)| word.repeat(*times)).collect();
            comes_back(&mut Compressor::default(), &bytes);
        }

        #[test]
        fn rubbish_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..300), len in 0..5000_usize) {
            let mut out = Vec::new();
            if decompress(&bytes, len, &mut out).is_ok() {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
