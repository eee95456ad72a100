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

/// Most bytes of a run as they are.
const RUN_MAX: usize = 32;

/// A reference reaches back no further.
const DISTANCE_MAX: usize = 1 << 13;

/// A reference is to no fewer bytes.
const MATCH_MIN: usize = 3;

/// A reference is to no more bytes.
const MATCH_MAX: usize = 264;

/// From so many bytes on, the length of a match has a byte of its own.
const LONG_MATCH_MIN: usize = 9;

/// Behind its last byte the output may be written over by as much, which makes copies short.
const SLACK: usize = 32;

/// As many bytes of input, at least, are read at once.
const WORD: usize = 8;

/// The table of places has no more slots than two to this power.
const BITS_MAX: u32 = 13;

/// No fewer either.
const BITS_MIN: u32 = 8;

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
    out.truncate(len);
    if end == len { Ok(()) } else { Err(WRONG) }
}

const WRONG: FormatError = FormatError("a compressed string is damaged");

/// Writes `size` bytes to `at`, which are the ones `distance` before them. May write [`SLACK`] bytes more.
#[inline]
fn repeat(out: &mut [u8], at: usize, distance: usize, size: usize) {
    if distance >= 16 {
        let mut done = 0;
        while done < size {
            let chunk: [u8; 16] = *out[at + done - distance..].first_chunk().expect("there is slack behind the bytes");
            *out[at + done..].first_chunk_mut().expect("there is slack behind the bytes") = chunk;
            done += 16;
        }
    } else if distance == 1 {
        let byte = out[at - 1];
        out[at..at + size].fill(byte);
    } else {
        for to in at..at + size {
            out[to] = out[to - distance];
        }
    }
}

/// A compressor, which keeps its table from one string to the next.
#[derive(Debug, Default)]
pub struct Compressor {
    /// By the hash of three bytes, where they were seen last, counted from `origin`.
    places: Vec<u32>,
    /// What the first byte of the next input is counted as, so that what the table has from earlier inputs lies before it.
    origin: u32,
}

impl Compressor {
    /// Appends the compressed bytes to `out` if they are no more than `most`. The answer: how many they are.
    pub fn compress(&mut self, from: &[u8], most: usize, out: &mut Vec<u8>) -> Option<usize> {
        let len = u32::try_from(from.len()).ok()?;
        let bits = from.len().next_power_of_two().ilog2().clamp(BITS_MIN, BITS_MAX);
        if self.places.len() < 1 << bits || self.origin.checked_add(len).is_none_or(|end| end == u32::MAX) {
            self.places.clear();
            self.places.resize(1 << bits, 0);
            self.origin = 1;
        }
        let start = out.len();
        out.resize(start + most + SLACK, 0);
        let mut writer = Writer { out: &mut out[start..], at: 0, most };
        let done = search(from, &mut self.places, self.origin, &mut writer);
        let size = writer.at;
        self.origin += len + 1;
        out.truncate(start + if done { size } else { 0 });
        done.then_some(size)
    }
}

/// Where compressed bytes go.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    most: usize,
}

impl Writer<'_> {
    /// Writes bytes as they are; is there room for them?
    #[inline]
    fn runs(&mut self, from: &[u8], mut at: usize, end: usize) -> bool {
        while at < end {
            let run = (end - at).min(RUN_MAX);
            if self.at + 1 + run > self.most {
                return false;
            }
            self.out[self.at] = (run - 1) as u8;
            let room = &mut self.out[self.at + 1..];
            if let (Some(wide), Some(room)) = (from[at..].first_chunk::<RUN_MAX>(), room.first_chunk_mut::<RUN_MAX>()) {
                *room = *wide;
            } else {
                room[..run].copy_from_slice(&from[at..at + run]);
            }
            (at, self.at) = (at + run, self.at + 1 + run);
        }
        true
    }

    /// Writes a reference; is there room for it?
    #[inline]
    fn reference(&mut self, distance: usize, size: usize) -> bool {
        if self.at + 3 > self.most {
            return false;
        }
        let (high, low) = (((distance - 1) >> 8) as u8, (distance - 1) as u8);
        let room = &mut self.out[self.at..self.at + 3];
        if size < LONG_MATCH_MIN {
            room[0] = ((size - 2) as u8) << 5 | high;
            room[1] = low;
            self.at += 2;
        } else {
            room.copy_from_slice(&[0xe0 | high, (size - LONG_MATCH_MIN) as u8, low]);
            self.at += 3;
        }
        true
    }
}

/// The word that begins at a place.
#[inline]
fn word(from: &[u8], at: usize) -> Option<u64> {
    from.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The slot for three bytes.
#[inline]
fn slot(word: u64, shift: u32) -> usize {
    ((word << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift) as usize
}

/// Compresses; was there room for the result?
fn search(from: &[u8], places: &mut [u32], origin: u32, writer: &mut Writer<'_>) -> bool {
    let shift = 64 - places.len().ilog2();
    let mask = places.len() - 1;
    let (mut at, mut run_from) = (0, 0);
    let mut misses = 0_u32;
    while let Some(here) = word(from, at) {
        let seen = std::mem::replace(&mut places[slot(here, shift) & mask], origin + at as u32);
        let before = seen.wrapping_sub(origin) as usize;
        if before < at
            && at - before <= DISTANCE_MAX
            && let Some(there) = word(from, before)
            && (here ^ there) << 40 == 0
        {
            let size = match_len(from, before, at);
            if !writer.runs(from, run_from, at) || !writer.reference(at - before, size) {
                return false;
            }
            at += size;
            run_from = at;
            misses = 0;
            for place in [at - 2, at - 1] {
                if let Some(word) = word(from, place) {
                    places[slot(word, shift) & mask] = origin + place as u32;
                }
            }
        } else {
            at += 1 + (misses >> PATIENCE) as usize;
            misses += 1;
        }
    }
    writer.runs(from, run_from, from.len())
}

/// How many bytes are the same from both places on; three are.
#[inline]
fn match_len(from: &[u8], before: usize, at: usize) -> usize {
    let most = MATCH_MAX.min(from.len() - at);
    let mut size = 0;
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

const _: () = assert!(MATCH_MIN == 3, "three bytes are hashed, and compared");

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
        compressor.origin = u32::MAX - 100;
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
