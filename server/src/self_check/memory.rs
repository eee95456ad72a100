//! `--test-memory`: writes patterns over so much memory and reads them back, pass after pass, and tells the first word that
//! came back otherwise. A test of minutes, for a machine under suspicion; what runs below all programs tests more.

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

/// How often all patterns are gone through.
const PASSES: u32 = 4;

/// Bytes of a megabyte.
const MEGABYTE: u64 = 1 << 20;

/// Why a test did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no such amount of memory to be had.
    NoMemory,
    /// A word came back otherwise.
    Wrong {
        /// What was written to all words.
        pattern: Pattern,
        /// Which word of the memory under test.
        word: usize,
        /// What was written to it.
        written: u64,
        /// What was read.
        read: u64,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => f.write_str("so much memory is not to be had"),
            Self::Wrong { pattern, word, written, read } => {
                let bits = (written ^ read).count_ones();
                write!(
                    f,
                    "word {word}, {pattern}: {written:#018x} was written, {read:#018x} was read, {bits} bits differ"
                )
            }
        }
    }
}

/// What is written to the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// To every word its place: finds lines of the address bus that stick.
    Places,
    /// The same word everywhere: all bits, none, every second one.
    Same(u64),
    /// One bit that moves on from word to word.
    Walking,
    /// Numbers of a sequence without a pattern.
    Random(u64),
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Places => f.write_str("places"),
            Self::Same(word) => write!(f, "all words {word:#018x}"),
            Self::Walking => f.write_str("a bit that moves"),
            Self::Random(_) => f.write_str("random words"),
        }
    }
}

impl Pattern {
    fn of_pass(pass: u32) -> [Self; 7] {
        let every_second = 0x5555_5555_5555_5555;
        [
            Self::Places,
            Self::Same(0),
            Self::Same(u64::MAX),
            Self::Same(every_second),
            Self::Same(!every_second),
            Self::Walking,
            Self::Random(u64::from(pass)),
        ]
    }

    fn word(self, place: usize) -> u64 {
        let place = place as u64;
        match self {
            Self::Places => place,
            Self::Same(word) => word,
            Self::Walking => 1_u64.rotate_left(place as u32 % 64),
            Self::Random(seed) => {
                let mixed = (place ^ seed << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
                mixed ^ mixed >> 32
            }
        }
    }
}

/// Tests so many megabytes, and tells of each pass by `report`.
///
/// # Errors
/// See [`Failure`].
pub fn test(megabytes: u64, mut report: impl FnMut(&str)) -> Result<(), Failure> {
    let words = megabytes.checked_mul(MEGABYTE / 8).and_then(|words| usize::try_from(words).ok());
    let words = words.ok_or(Failure::NoMemory)?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(words).map_err(|_| Failure::NoMemory)?;
    memory.resize(words, 0);
    for pass in 1..=PASSES {
        let began = Instant::now();
        for pattern in Pattern::of_pass(pass) {
            check(&mut memory, pattern, |_| {})?;
        }
        report(&format!("pass {pass} of {PASSES}: {megabytes} MiB without an error, {:.1?}", began.elapsed()));
    }
    Ok(())
}

/// Writes a pattern upwards, turns it over word by word on the way down, and reads it upwards. `disturb` is what happens to
/// the memory in between.
fn check(memory: &mut [u64], pattern: Pattern, disturb: impl Fn(&mut [u64])) -> Result<(), Failure> {
    for (place, word) in memory.iter_mut().enumerate() {
        *word = pattern.word(place);
    }
    // What the compiler cannot see through it cannot leave out.
    let memory = black_box(memory);
    disturb(memory);
    let wrong = |word, written, read| Err(Failure::Wrong { pattern, word, written, read });
    for (place, word) in memory.iter_mut().enumerate().rev() {
        let written = pattern.word(place);
        if *word != written {
            return wrong(place, written, *word);
        }
        *word = !written;
    }
    let memory = black_box(memory);
    for (place, word) in memory.iter().enumerate() {
        let written = !pattern.word(place);
        if *word != written {
            return wrong(place, written, *word);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn good_memory_passes_and_each_pass_is_told() {
        let mut told = Vec::new();
        test(1, |line| told.push(line.to_owned())).unwrap();
        assert_eq!(told.len(), PASSES as usize);
        assert!(told[0].starts_with("pass 1 of 4: 1 MiB without an error"), "{}", told[0]);
        assert_eq!(test(u64::MAX, |_| {}), Err(Failure::NoMemory));
        assert_eq!(test(1 << 40, |_| {}), Err(Failure::NoMemory));
    }

    #[test]
    fn every_pattern_finds_a_bit_that_turned() {
        for pattern in Pattern::of_pass(2) {
            let mut memory = vec![0; 1000];
            let failure = check(&mut memory, pattern, |memory| memory[777] ^= 1 << 13).unwrap_err();
            let Failure::Wrong { word, written, read, .. } = failure else { panic!("{failure:?}") };
            assert_eq!((word, written ^ read), (777, 1 << 13), "{pattern}");
            assert!(failure.to_string().contains("1 bits differ"), "{failure}");
            check(&mut memory, pattern, |_| {}).unwrap();
        }
        // A line of the address bus that sticks: two places are one.
        let mut memory = vec![0; 1000];
        assert!(check(&mut memory, Pattern::Places, |memory| memory[5] = memory[69]).is_err());
    }
}
