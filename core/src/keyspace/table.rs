//! A small open-addressed table of words, one cache line a bucket.
//!
//! ```text
//! line 0            line 1            ...     eight words each, filled from the front
//! [w w w w w . . .] [w w w w w w w w]
//! ```
//!
//! A word carries its tag, so a probe reads one cache line and then, almost always, exactly the entry it wants; a
//! table with control bytes beside its words would read two. The home line of a tag is `tag * lines >> 16`, which
//! works for any number of lines: a table grows by quarters of a power of two, as allocators' size classes do, and
//! stays more than eight tenths full on average where doubling would leave a third empty.
//!
//! A line that is full sends its overflow to the next one, and a probe ends at the first line that is not full.
//! Removing from a full line therefore pulls back a word that overflowed it (no tombstones).
#![allow(unsafe_code)]

use super::entry::{Word, prefetch};

/// Words per line: one cache line of 64 bytes.
const WIDTH: usize = 8;

/// A table of at most this many lines is cheap to rebuild; a dict splits rather than go beyond it.
pub(super) const LINES_MAX: usize = 64;

/// The same for elements of a collection: larger tables, because the way to an element leads through nothing else then, and
/// no key waits for its neighbours. A split reads all of them, scattered over memory, at a tenth of a microsecond each: that is
/// the longest that one element ever holds its core up.
pub(super) const ELEMENT_LINES_MAX: usize = 256;

/// The most words of a table of [`LINES_MAX`].
pub(super) const WORDS_MAX: usize = capacity_of(LINES_MAX);

/// The bits that [`Line::matches`] sets.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const TAG_BITS: u32 = 0x8888_8888;

#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
struct Line([Word; WIDTH]);

/// The size of a line.
pub(super) const LINE_BYTES: usize = size_of::<Line>();

const _: () = assert!(size_of::<Line>() == 64, "a line is a cache line");

impl Line {
    const EMPTY: Self = Self([Word::EMPTY; WIDTH]);

    #[inline]
    const fn is_full(&self) -> bool {
        !self.0[WIDTH - 1].is_empty()
    }

    /// Bit `4 * place + 3` for each place whose word has this tag; empty places may be among them for tag zero.
    ///
    /// Without a branch: at which of the places a word stands is not predictable.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn matches(&self, tag: u16) -> u32 {
        use std::arch::x86_64::{
            __m128i, _mm_cmpeq_epi16, _mm_load_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_set1_epi16,
        };
        let pairs = self.0.as_ptr().cast::<__m128i>();
        // SAFETY: SSE2 is part of the x86-64 baseline; a line is 64 bytes, aligned to 64, and so has four vectors.
        let mask = unsafe {
            let tags = _mm_set1_epi16(tag as i16);
            let equal = |at: usize| _mm_cmpeq_epi16(_mm_load_si128(pairs.add(at)), tags);
            let low = _mm_movemask_epi8(_mm_packs_epi16(equal(0), equal(1))) as u32;
            let high = _mm_movemask_epi8(_mm_packs_epi16(equal(2), equal(3))) as u32;
            low | high << 16
        };
        // Four bits a word, one for each quarter of it; the tag is the highest.
        mask & TAG_BITS
    }

    /// The same without vectors.
    #[cfg(any(test, miri, not(target_arch = "x86_64")))]
    fn matches_plainly(&self, tag: u16) -> u32 {
        let bit = |(at, word): (usize, &Word)| u32::from(word.tag() == tag) << (4 * at + 3);
        self.0.iter().enumerate().map(bit).sum()
    }

    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    #[inline]
    fn matches(&self, tag: u16) -> u32 {
        self.matches_plainly(tag)
    }

    fn len(&self) -> usize {
        self.0.iter().take_while(|word| !word.is_empty()).count()
    }
}

/// Where a word is; valid until the table changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    line: usize,
    index: usize,
}

/// The table. It does not own the entries of its words: whoever drops it must see to them first.
#[derive(Default, Debug)]
pub(super) struct Table {
    lines: Box<[Line]>,
    len: u32,
}

/// How many words fit into so many lines: fifteen sixteenths. Fewer would cost memory, a byte a key at seven eighths; more
/// would make those probes long that find nothing, because they end at a line that is not full: at fifteen sixteenths they
/// read more than ten lines, at three quarters less than two. Larger tables, which hold elements, are filled a very little
/// more: halves of a million would else mostly be just too much for a table of 16 KiB.
pub(super) const fn capacity_of(lines: usize) -> usize {
    if lines > LINES_MAX { lines * LARGE_FILL / 16 } else { lines * (2 * WIDTH - 1) / 2 }
}

/// Words in sixteen lines of a large table.
const LARGE_FILL: usize = 121;

/// The next larger number of lines.
const fn more_lines(lines: usize) -> usize {
    if lines < 8 { lines + 1 } else { lines + (1 << (lines.ilog2() - 2)) }
}

/// The smallest number of lines for so many words.
const fn lines_for(words: usize) -> usize {
    let need = match (2 * words).div_ceil(2 * WIDTH - 1) {
        small if small <= LINES_MAX => small,
        _ if words <= capacity_of(LINES_MAX + 1) => LINES_MAX + 1,
        _ => (16 * words).div_ceil(LARGE_FILL),
    };
    if need < 8 { need } else { need.next_multiple_of(1 << (need.ilog2() - 2)) }
}

impl Table {
    /// An empty table with room for so many words.
    pub(super) fn with_room_for(words: usize) -> Self {
        Self { lines: vec![Line::EMPTY; lines_for(words)].into_boxed_slice(), len: 0 }
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.len as usize >= capacity_of(self.lines.len())
    }

    /// Has it as many lines as this?
    #[inline]
    pub(super) const fn has_lines(&self, lines: usize) -> bool {
        self.lines.len() >= lines
    }

    /// The memory of the table in bytes.
    pub(super) const fn allocated_bytes(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }

    #[inline]
    fn home(&self, tag: u16) -> usize {
        (usize::from(tag) * self.lines.len()) >> 16
    }

    #[inline]
    fn after(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    /// The first word with this tag that `is_it` says yes to, and where it is.
    #[inline(always)]
    pub(super) fn find(&self, tag: u16, mut is_it: impl FnMut(Word) -> bool) -> Option<(Place, Word)> {
        let mut at = self.home(tag);
        for _ in 0..self.lines.len() {
            let line = &self.lines[at];
            let mut matches = line.matches(tag);
            while matches != 0 {
                let index = matches.trailing_zeros() as usize / 4;
                let word = line.0[index];
                if !word.is_empty() && is_it(word) {
                    return Some((Place { line: at, index }, word));
                }
                matches &= matches - 1;
            }
            if !line.is_full() {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    #[inline]
    pub(super) fn word(&self, place: Place) -> Word {
        self.lines[place.line].0[place.index]
    }

    /// Takes the word of a place while its entry is changed; [`Table::set`] must follow. Until then the table does
    /// not name the entry, so that nobody frees it twice should the change panic.
    #[inline]
    pub(super) fn vacate(&mut self, place: Place) -> Word {
        std::mem::replace(&mut self.lines[place.line].0[place.index], Word::EMPTY)
    }

    /// Puts a word of the same tag in the place of another.
    #[inline]
    pub(super) fn set(&mut self, place: Place, word: Word) {
        debug_assert!(!word.is_empty());
        self.lines[place.line].0[place.index] = word;
    }

    /// Adds a word; there must be room.
    #[inline]
    pub(super) fn insert(&mut self, word: Word) {
        debug_assert!(!self.is_full());
        let mut at = self.home(word.tag());
        while self.lines[at].is_full() {
            at = self.after(at);
        }
        let line = &mut self.lines[at].0;
        let index = line.iter().position(|word| word.is_empty()).expect("the line is not full");
        line[index] = word;
        self.len += 1;
    }

    /// Takes a word out.
    pub(super) fn remove(&mut self, place: Place) -> Word {
        let removed = self.word(place);
        debug_assert!(!removed.is_empty());
        self.len -= 1;
        let mut hole = place;
        while let Some(next) = self.fill(hole) {
            hole = next;
        }
        removed
    }

    /// Closes a hole. The answer is the new hole, where the word came from that closed this one.
    fn fill(&mut self, hole: Place) -> Option<Place> {
        let line = &mut self.lines[hole.line];
        let was_full = line.is_full();
        let last = line.len() - 1;
        line.0.swap(hole.index, last);
        line.0[last] = Word::EMPTY;
        if !was_full {
            return None;
        }
        let mut from = self.after(hole.line);
        while from != hole.line {
            for index in 0..WIDTH {
                let word = self.lines[from].0[index];
                if word.is_empty() {
                    return None;
                }
                if self.overflowed(word, hole.line, from) {
                    self.lines[hole.line].0[last] = word;
                    return Some(Place { line: from, index });
                }
            }
            from = self.after(from);
        }
        None
    }

    /// Did this word, found in line `at`, pass `line` on its way there?
    fn overflowed(&self, word: Word, line: usize, at: usize) -> bool {
        let back = |to: usize| if to <= at { at - to } else { at + self.lines.len() - to };
        back(self.home(word.tag())) >= back(line)
    }

    /// Makes room for more words, and says how many bytes it took.
    pub(super) fn grow(&mut self) -> usize {
        let before = self.allocated_bytes();
        self.rebuild(more_lines(self.lines.len()));
        self.allocated_bytes() - before
    }

    /// Gives memory back if much more than half of it is unused, and says how many bytes.
    #[inline]
    pub(super) fn shrink_if_roomy(&mut self) -> usize {
        let before = self.allocated_bytes();
        if self.lines.len() > 1 && self.len() * 8 < self.lines.len() * WIDTH * 3 {
            self.rebuild(lines_for(self.len() + self.len() / 4));
        } else if self.len == 0 {
            self.lines = Box::default();
        }
        before - self.allocated_bytes()
    }

    /// Takes at most so many words out, of a table in which nothing will be looked for any more.
    pub(super) fn empty_some(&mut self, max: usize) -> impl Iterator<Item = Word> + '_ {
        let mut taken = 0;
        let mut at = self.lines.len();
        std::iter::from_fn(move || {
            while taken < max && self.len > 0 {
                let line = &mut self.lines[at.checked_sub(1)?].0;
                if let Some(word) = line.iter_mut().find(|word| !word.is_empty()) {
                    (taken, self.len) = (taken + 1, self.len - 1);
                    return Some(std::mem::replace(word, Word::EMPTY));
                }
                at -= 1;
                if let Some(ahead) = at.checked_sub(2) {
                    self.lines[ahead].0.iter().filter(|word| !word.is_empty()).for_each(|word| word.prefetch());
                }
            }
            None
        })
    }

    /// Adds at least `count` words to `out`, those of the smallest tags from `first` on. If some are left, their tags are
    /// not below the answer.
    pub(super) fn page(&self, first: u32, count: usize, out: &mut impl Extend<Word>) -> Option<u32> {
        let lines = self.lines.len();
        let (Ok(first), true) = (u16::try_from(first), lines > 0) else { return None };
        let mut given = 0;
        for home in self.home(first)..lines {
            let mut at = home;
            for _ in 0..lines {
                // What belongs here, or would have if there had been room.
                let line = &self.lines[at];
                let words = line.0.into_iter().take_while(|word| !word.is_empty());
                out.extend(
                    words.filter(|word| self.home(word.tag()) == home && word.tag() >= first).inspect(|_| given += 1),
                );
                if !line.is_full() {
                    break;
                }
                at = self.after(at);
            }
            if given >= count && home + 1 < lines {
                return Some((((home + 1) << 16).div_ceil(lines)) as u32);
            }
        }
        None
    }

    fn rebuild(&mut self, lines: usize) {
        let old = std::mem::replace(&mut self.lines, vec![Line::EMPTY; lines].into_boxed_slice());
        let len = self.len;
        self.len = 0;
        for word in words(&old) {
            self.insert(word);
        }
        assert_eq!(self.len, len, "a rebuilt table has the same words");
    }

    /// All words.
    #[inline]
    pub(super) fn words(&self) -> impl Iterator<Item = Word> + '_ {
        words(&self.lines)
    }

    /// How many places there are, for sampling.
    #[inline]
    pub(super) const fn places(&self) -> usize {
        self.lines.len() * WIDTH
    }

    /// The word at a place below [`Table::places`], if there is one.
    #[inline]
    pub(super) fn at(&self, place: usize) -> Option<Word> {
        let word = self.lines.get(place / WIDTH)?.0[place % WIDTH];
        (!word.is_empty()).then_some(word)
    }

    /// The place of a number below [`Table::places`], if a word stands there.
    #[inline]
    pub(super) fn place(&self, place: usize) -> Option<Place> {
        self.at(place).map(|_| Place { line: place / WIDTH, index: place % WIDTH })
    }

    /// The next word at or after a place, which moves behind it. Asks for the entries of the next line ahead.
    #[inline]
    pub(super) fn next_word(&self, place: &mut usize) -> Option<Word> {
        loop {
            let at = *place / WIDTH;
            let line = self.lines.get(at)?;
            if place.is_multiple_of(WIDTH) {
                let ahead = self.lines.get(at + 1).into_iter().chain((at == 0).then_some(line));
                ahead.flat_map(|line| line.0).filter(|word| !word.is_empty()).for_each(Word::prefetch);
            }
            let word = line.0[*place % WIDTH];
            if !word.is_empty() {
                *place += 1;
                return Some(word);
            }
            *place = (at + 1) * WIDTH;
        }
    }

    /// Asks the processor to load the line where a tag is looked for first.
    #[inline]
    pub(super) fn prefetch_line(&self, tag: u16) {
        prefetch(self.lines.as_ptr().wrapping_add(self.home(tag)));
    }

    /// Asks the processor to load the entries that a tag may mean, and tells the place of the last, as a number below
    /// [`Table::places`].
    #[inline]
    pub(super) fn prefetch_entry(&self, tag: u16) -> Option<usize> {
        let mut at = self.home(tag);
        let mut seen = None;
        for _ in 0..self.lines.len() {
            let line = &self.lines[at];
            let mut matches = line.matches(tag);
            while matches != 0 {
                let index = matches.trailing_zeros() as usize / 4;
                if !line.0[index].is_empty() {
                    line.0[index].prefetch();
                    seen = Some(at * WIDTH + index);
                }
                matches &= matches - 1;
            }
            // One is nearly always the one, even if others may have gone on to the next line.
            if seen.is_some() || !line.is_full() {
                break;
            }
            at = self.after(at);
        }
        seen
    }

    /// The word of this tag at a place as [`Table::prefetch_entry`] tells it, if it is still there.
    #[inline]
    pub(super) fn seen_at(&self, place: u16, tag: u16) -> Option<(Place, Word)> {
        let place = Place { line: usize::from(place) / WIDTH, index: usize::from(place) % WIDTH };
        let word = self.lines.get(place.line)?.0[place.index];
        (word.tag() == tag && !word.is_empty()).then_some((place, word))
    }

    /// Checks what the probes rely on.
    pub(super) fn check(&self) {
        assert_eq!(self.words().count(), self.len(), "words are counted");
        assert!(self.len() <= capacity_of(self.lines.len()), "a table is never overfull");
        for (at, line) in self.lines.iter().enumerate() {
            assert!(line.0[line.len()..].iter().all(|word| word.is_empty()), "lines are filled from the front");
            for word in &line.0[..line.len()] {
                let mut passed = self.home(word.tag());
                while passed != at {
                    assert!(self.lines[passed].is_full(), "a word that overflowed passed full lines only");
                    passed = self.after(passed);
                }
            }
        }
    }
}

fn words(lines: &[Line]) -> impl Iterator<Item = Word> + '_ {
    lines.iter().flat_map(|line| line.0.iter().copied().take_while(|word| !word.is_empty()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keyspace::entry::{NewValue, OwnedEntry};
    use crate::prng::Prng;

    #[test]
    fn vectors_match_what_a_plain_loop_matches() {
        let mut prng = Prng::new(1);
        for filled in 0..=WIDTH {
            for _ in 0..200 {
                let mut line = Line::EMPTY;
                for word in &mut line.0[..filled] {
                    let tag = [0, 1, 0x8000, 0xFFFF][prng.below(4) as usize];
                    *word = OwnedEntry::new(b"k", NewValue::Int(1), None).into_word(tag);
                }
                for tag in [0, 1, 2, 0x8000, 0xFFFF] {
                    assert_eq!(line.matches(tag), line.matches_plainly(tag));
                }
                for word in &line.0[..filled] {
                    // SAFETY: the word was made above and is not used again.
                    drop(unsafe { word.into_entry() });
                }
            }
        }
    }
}
