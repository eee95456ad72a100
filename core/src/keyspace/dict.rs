//! The keys of one database on one core: segments of bounded size over the order of positions.
//!
//! A position is the slot of a key and 24 further bits of its hash. A segment is a small table of words that covers
//! an aligned power-of-two range of positions; the [`directory`](super::directory) finds it. A segment that would
//! outgrow 480 words splits in two halves by the next bit of the position; two halves that together are small join
//! again. So no growth, no shrinkage and no deletion ever touches more than some hundred entries, whatever the size
//! of the database, and all keys of a slot stand together: they are counted, listed and sent without an index.
//!
//! Inside a segment only the tag (16 other bits of the hash) places a word, so tables are rebuilt and joined without
//! a look at the entries; only a split reads them, for their positions.
#![allow(unsafe_code)]

mod remains;

pub use remains::Remains;

use super::chunks::{CHUNK, Chunks, SMALL_CHUNK};
use super::directory::{Directory, Span};
use super::entry::{EntryRef, OwnedEntry, Times, Word, prefetch};
use super::expiry::Expired;
use super::kinds::{Large, ValueMut};
use super::slot::{Key, KeyHash, KeyHasher, SPREAD_BITS, Trail};
use super::table::{ELEMENT_LINES_MAX, LINES_MAX, Place, Table, WORDS_MAX, capacity_of};
use crate::prng::Prng;
use crate::units::{Millis, SLOT_COUNT, Slot};
use smallvec::SmallVec;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;

/// After so many removals a segment looks whether it can join.
const JOIN_EVERY: usize = 16;

/// How many words ahead entries are asked for where all of a segment are read.
pub(super) const PREFETCH_AHEAD: usize = 12;

/// Tries of random places before a random key is looked for in another way.
const RANDOM_TRIES: u32 = 128;

/// Large values of at most so many elements are freed at once, as in Valkey.
const FREED_AT_ONCE_MAX: usize = 64;

/// No expiry is earlier than this.
pub(super) const NEVER: Millis = Millis(i64::MAX);

/// The words of one segment, copied out of it.
pub(super) type Words = SmallVec<[Word; WORDS_MAX]>;

/// One table and the range of positions it covers.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) table: Table,
    pub(super) span: Span,
    /// Of how many entries something expires, the key or fields of its hash.
    pub(super) volatile: u32,
    /// Nothing of the segment expires earlier. May be too early, never too late.
    pub(super) earliest: Millis,
    /// Raised by whoever writes while a snapshot walks.
    version: u64,
}

/// The size of a segment besides its table.
pub(super) const SEGMENT_BYTES: usize = size_of::<Segment>();

const _: () = assert!(size_of::<Segment>() <= 64, "a segment's header is one cache line");

impl Default for Segment {
    fn default() -> Self {
        Self { table: Table::default(), span: Span::ALL, volatile: 0, earliest: NEVER, version: 0 }
    }
}

/// What a walk over a segment in search of what has expired has come to.
pub(super) struct Swept {
    /// How many entries and fields it has looked at, about.
    pub(super) looked_at: usize,
    /// How many hashes have no field that expires any more.
    holders_gone: usize,
}

/// The keys of one database on one core; or the elements of one large value, which has small chunks.
#[derive(Debug)]
pub struct Dict<const SEGMENTS: usize = CHUNK> {
    hasher: KeyHasher,
    directory: Directory<SEGMENTS>,
    segments: Chunks<Segment, SEGMENTS>,
    /// The size of the tables of all segments, in bytes: INFO asks for it, and there may be a hundred thousand of them.
    lines_bytes: usize,
    len: usize,
    /// How many keys have an expiry time.
    volatile: usize,
    /// How many hashes have fields that expire.
    holders: usize,
    /// The sum of all expiry times, for their average.
    expiry_sum: i128,
    /// No key expires earlier. May be too early, never too late.
    pub(super) earliest: Millis,
    /// The same for what changed since the sweep for expired keys began.
    pub(super) earliest_changed: Millis,
    /// Large values of entries that are gone, to be freed in slices.
    pub(super) buried: Vec<Large>,
    /// Reads touch the access bits of entries, so a dict must not be read by two threads.
    not_sync: PhantomData<Cell<()>>,
}

impl<const SEGMENTS: usize> Dict<SEGMENTS> {
    /// An empty dict for these slots.
    pub fn new(hasher: KeyHasher, owned: Range<u16>) -> Self {
        Self {
            hasher,
            directory: Directory::new(owned),
            segments: Chunks::new(),
            lines_bytes: 0,
            len: 0,
            volatile: 0,
            holders: 0,
            expiry_sum: 0,
            earliest: NEVER,
            earliest_changed: NEVER,
            buried: Vec::new(),
            not_sync: PhantomData,
        }
    }

    /// How many keys there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is there no key?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many keys have an expiry time.
    #[inline]
    pub fn volatile(&self) -> usize {
        self.volatile
    }

    /// How many hashes have fields that expire.
    #[inline]
    pub(super) fn holders(&self) -> usize {
        self.holders
    }

    /// The sum of all expiry times in milliseconds.
    pub(super) fn expiry_sum(&self) -> i128 {
        self.expiry_sum
    }

    /// The slots of this dict.
    pub(super) fn owned(&self) -> Range<u16> {
        self.directory.owned()
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.segments.live()
    }

    /// Memory besides the entries, in bytes.
    pub fn table_bytes(&self) -> usize {
        self.lines_bytes + self.segments.live() * size_of::<Segment>() + self.directory.allocated_bytes()
    }

    /// How many keys the tables have room for as they are.
    pub fn room(&self) -> usize {
        self.lines_bytes / size_of::<Word>()
    }

    /// How many segments are at most so full, in eighths of what a segment may hold: for DEBUG HTSTATS, which may take long.
    pub fn fill(&self) -> [usize; 8] {
        let mut eighths = [0; 8];
        for segment in self.segments.iter().filter(|segment| segment.table.len() > 0) {
            eighths[((segment.table.len() - 1) * 8 / WORDS_MAX).min(7)] += 1;
        }
        eighths
    }

    /// A dict of elements that begins with one segment over all positions.
    pub(super) fn of_elements(hasher: KeyHasher, first: Segment) -> Self {
        debug_assert!(SEGMENTS == SMALL_CHUNK && first.span == Span::ALL);
        let mut dict = Self::new(hasher, 0..1);
        dict.lines_bytes = first.table.allocated_bytes();
        dict.len = first.table.len();
        dict.volatile = first.volatile as usize;
        dict.earliest = first.earliest;
        let volatile = first.table.words().filter(|word| word.is_volatile());
        dict.expiry_sum = volatile.filter_map(|word| first.entry(word).expire_at()).map(|at| i128::from(at.0)).sum();
        let index = dict.segments.add(first);
        dict.directory.open(index);
        dict
    }

    /// An empty dict of elements whose segments have room for about so many, so that none splits or grows before they have
    /// come.
    pub(super) fn for_elements(hasher: KeyHasher, count: usize) -> Self {
        let mut dict = Self::new(hasher, 0..1);
        let segments = count.div_ceil(capacity_of(Self::LINES_MAX) * 7 / 8).next_power_of_two().min(1 << SPREAD_BITS);
        let bits = SPREAD_BITS - segments.ilog2() as u8;
        // Far from full, probes are short; and some get more than others.
        let room = count / segments * 9 / 8;
        for number in 0..segments as u64 {
            let (table, span) = (Table::with_room_for(room), Span { start: number << bits, bits });
            dict.lines_bytes += table.allocated_bytes();
            let index = dict.segments.add(Segment { table, span, ..Segment::default() });
            if number == 0 {
                dict.directory.open(index);
            }
            dict.directory.point(span, index);
        }
        dict
    }

    /// Takes the one segment that holds everything out, if there is only one.
    pub(super) fn take_single(&mut self) -> Option<Segment> {
        if self.segments.live() != 1 {
            return None;
        }
        // Alone, it covers all positions, whatever it covered when it was joined.
        let segment = Segment { span: Span::ALL, ..self.segments.pop()? };
        *self = Self::new(self.hasher.clone(), self.owned());
        Some(segment)
    }

    /// No table of a segment has more lines, unless all its keys have one position.
    const LINES_MAX: usize = if SEGMENTS == SMALL_CHUNK { ELEMENT_LINES_MAX } else { LINES_MAX };

    /// Two halves with at most this many words together join. Far below what splits, so that neither undoes the other.
    const JOIN_WORDS_MAX: usize = capacity_of(Self::LINES_MAX) * 7 / 16;

    /// The hash of a key of this dict.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        if SEGMENTS == SMALL_CHUNK { self.hasher.element(key) } else { self.hasher.hash(key) }
    }

    /// The entry of a word.
    #[inline]
    pub(super) fn entry(&self, word: Word) -> EntryRef<'_> {
        // SAFETY: words are made by `into_word` alone and handed on inside this module's tables; the callers, in
        // this module and its siblings, pass words that they just read from a table of this dict, which owns the
        // entry. Taking an entry out or changing it needs `&mut self`.
        unsafe { word.entry() }
    }

    /// Puts in an entry whose key is not there.
    #[inline]
    pub(super) fn insert(&mut self, hash: KeyHash, entry: OwnedEntry) {
        let index = self.segment_for(hash);
        self.insert_new(index, hash, entry);
    }

    /// The segment of a number.
    #[inline]
    pub(super) fn segment(&self, index: u32) -> &Segment {
        self.segments.get(index)
    }

    /// The segment that covers a position of this shard.
    pub(super) fn segment_at(&self, position: u64) -> Option<&Segment> {
        Some(self.segments.get(self.directory.segment_at(position)?))
    }

    /// The positions of this shard.
    pub(super) fn positions(&self) -> Range<u64> {
        self.directory.positions()
    }

    /// Segments are numbered below this; some numbers may be free, their segments are empty.
    pub(super) fn segment_bound(&self) -> u32 {
        self.segments.bound()
    }

    /// Where a key is: where it was seen a moment ago, or else where it must be.
    #[inline(always)]
    fn seek(&self, key: &Key<'_>) -> Option<(u32, Place, Word)> {
        match self.follow_trail(key) {
            None => self.search(key),
            found => found,
        }
    }

    /// A key is in one place at most, so whoever meets it has found it, whatever led there.
    #[inline(always)]
    fn follow_trail(&self, key: &Key<'_>) -> Option<(u32, Place, Word)> {
        let Trail { segment, place } = key.hash.trail;
        let (place, word) = self.segments.try_get(segment)?.table.seen_at(place, key.hash.tag())?;
        self.entry(word).has_key(key.bytes).then_some((segment, place, word))
    }

    #[inline]
    fn search(&self, key: &Key<'_>) -> Option<(u32, Place, Word)> {
        let index = self.directory.segment(key.hash)?;
        let (place, word) = self.locate(index, key)?;
        Some((index, place, word))
    }

    #[inline(always)]
    fn locate(&self, index: u32, key: &Key<'_>) -> Option<(Place, Word)> {
        self.segments.get(index).locate(key)
    }

    /// The entry of a key.
    #[inline]
    pub fn find(&self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.seek(key).map(|(_, _, word)| self.entry(word))
    }

    /// Asks the processor to load the header of a key's segment. The first of three steps for the keys of a batch, each
    /// taken for all or at least several keys before the next, so that the misses of one step overlap.
    #[inline]
    pub fn prefetch_segment(&self, hash: &mut KeyHash) {
        if let Some(index) = self.directory.segment(*hash) {
            hash.trail.segment = index;
            prefetch(self.segments.get(index));
        }
    }

    /// Asks the processor to load the table line of a key. The second step.
    #[inline]
    pub fn prefetch_line(&self, hash: KeyHash) {
        if let Some(segment) = self.segments.try_get(hash.trail.segment) {
            segment.table.prefetch_line(hash.tag());
        }
    }

    /// Asks the processor to load the entry of a key, if it has one. The third step.
    #[inline]
    pub fn prefetch_entry(&self, hash: &mut KeyHash) {
        if let Some(segment) = self.segments.try_get(hash.trail.segment) {
            let place = segment.table.prefetch_entry(hash.tag());
            hash.trail.place = place.and_then(|place| u16::try_from(place).ok()).unwrap_or(Trail::NONE.place);
        }
    }

    /// Asks the processor to load the structure of a large collection, if the key holds one. The fourth step, for commands
    /// on collections: it reads the entry.
    #[inline]
    pub fn prefetch_value(&self, hash: &KeyHash) {
        let Trail { segment, place } = hash.trail;
        if let Some((_, word)) = self.segments.try_get(segment).and_then(|one| one.table.seen_at(place, hash.tag())) {
            self.entry(word).prefetch_value();
        }
    }

    /// Changes the entry of a key, if it has one. The key must stay the same.
    #[inline]
    pub fn update<R>(&mut self, key: &Key<'_>, change: impl FnOnce(OwnedEntry) -> (OwnedEntry, R)) -> Option<R> {
        let (index, place, _) = self.seek(key)?;
        Some(self.change(index, place, change))
    }

    /// Puts in the entry that `make` makes of what was there. The answer: was there one?
    #[inline]
    pub fn upsert(&mut self, key: &Key<'_>, make: impl FnOnce(Option<OwnedEntry>) -> OwnedEntry) -> bool {
        if let Some((index, place, _)) = self.seek(key) {
            self.change(index, place, |old| (make(Some(old)), ()));
            return true;
        }
        let index = self.segment_for(key.hash);
        let entry = make(None);
        assert_eq!(entry.as_ref().key(), key.bytes, "an entry goes under its own key");
        self.insert_new(index, key.hash, entry);
        false
    }

    fn insert_new(&mut self, index: u32, hash: KeyHash, entry: OwnedEntry) {
        let index = self.with_room(index, hash);
        let times = entry.as_ref().times();
        self.segments.get_mut(index).table.insert(entry.into_word(hash.tag()));
        self.len += 1;
        self.account(index, Times::default(), times);
    }

    #[inline]
    fn change<R>(&mut self, index: u32, place: Place, change: impl FnOnce(OwnedEntry) -> (OwnedEntry, R)) -> R {
        let (before, after, result) = self.segments.get_mut(index).change(place, change);
        if before != after {
            self.account(index, before, after);
        }
        result
    }

    /// Takes the entry of a key out.
    pub fn remove(&mut self, key: &Key<'_>) -> Option<OwnedEntry> {
        let (index, place, _) = self.seek(key)?;
        let entry = self.take(index, place);
        self.tidy(index);
        Some(entry)
    }

    /// Takes a random entry out; every one is as likely as any other.
    pub(super) fn take_random(&mut self, prng: &mut Prng) -> Option<OwnedEntry> {
        let (index, place) = self.random_place(prng)?;
        let place = self.segments.get(index).table.place(place)?;
        let entry = self.take(index, place);
        self.tidy(index);
        Some(entry)
    }

    fn take(&mut self, index: u32, place: Place) -> OwnedEntry {
        let entry = self.segments.get_mut(index).take(place);
        self.len -= 1;
        self.account(index, entry.as_ref().times(), Times::default());
        entry
    }

    /// Notes a large value that is to be freed later, unless that is as quickly done.
    #[cold]
    pub(super) fn bury(&mut self, large: Large) {
        if large.len() > FREED_AT_ONCE_MAX {
            self.buried.push(large);
        }
    }

    /// Keeps the counts of keys that expire, and the hints of when.
    #[inline]
    fn account(&mut self, index: u32, before: Times, after: Times) {
        if before == Times::default() && after == Times::default() {
            return;
        }
        self.segments.get_mut(index).account(before.first(), after.first());
        self.holders = self.holders + usize::from(after.fields.is_some()) - usize::from(before.fields.is_some());
        if let Some(at) = before.key {
            self.volatile -= 1;
            self.expiry_sum -= i128::from(at.0);
        }
        if let Some(at) = after.key {
            self.volatile += 1;
            self.expiry_sum += i128::from(at.0);
        }
        if let Some(at) = after.first() {
            self.note_earliest(at);
        }
    }

    fn note_earliest(&mut self, at: Millis) {
        self.earliest = self.earliest.min(at);
        self.earliest_changed = self.earliest_changed.min(at);
    }

    fn segment_for(&mut self, hash: KeyHash) -> u32 {
        if self.directory.is_empty() {
            let index = self.segments.add(Segment::default());
            self.directory.open(index);
        }
        self.directory.segment(hash).expect("a key is stored by the shard that owns its slot")
    }

    /// Makes room for one more word where the key belongs, and tells the segment.
    #[inline]
    fn with_room(&mut self, mut index: u32, hash: KeyHash) -> u32 {
        loop {
            let segment = self.segments.get_mut(index);
            if !segment.table.is_full() {
                return index;
            }
            if !segment.table.has_lines(Self::LINES_MAX) || segment.span.bits == 0 {
                self.lines_bytes += segment.table.grow();
                return index;
            }
            self.split(index);
            index = self.segment_for(hash);
        }
    }

    /// Divides a segment by the next bit of the position.
    #[cold]
    fn split(&mut self, index: u32) {
        let (lower, upper) = self.segments.get(index).span.halves();
        if !self.directory.touches(upper) {
            self.segments.get_mut(index).span = lower;
            return;
        }
        if !self.directory.touches(lower) {
            self.segments.get_mut(index).span = upper;
            return;
        }
        let table = &self.segments.get(index).table;
        let mut words = Words::with_capacity(table.len());
        words.extend(table.words());
        let (mut stay, mut leave) = (Words::with_capacity(words.len()), Words::with_capacity(words.len()));
        for (at, word) in words.iter().enumerate() {
            if let Some(ahead) = words.get(at + PREFETCH_AHEAD) {
                ahead.prefetch();
            }
            let position = self.hash(self.entry(*word).key()).position();
            if position < upper.start { stay.push(*word) } else { leave.push(*word) }
        }
        let segment = self.segments.get_mut(index);
        let (earliest, version) = (segment.earliest, segment.version);
        self.lines_bytes -= segment.table.allocated_bytes();
        *segment = Segment::of(&stay, lower, earliest, version);
        let other = Segment::of(&leave, upper, earliest, version);
        self.lines_bytes += segment.table.allocated_bytes() + other.table.allocated_bytes();
        let new = self.segments.add(other);
        self.directory.point(upper, new);
        self.earliest_changed = self.earliest_changed.min(earliest);
    }

    /// After a removal: gives back what a segment no longer needs.
    #[inline]
    fn tidy(&mut self, index: u32) {
        let table = &mut self.segments.get_mut(index).table;
        self.lines_bytes -= table.shrink_if_roomy();
        if table.len() <= Self::JOIN_WORDS_MAX && table.len().is_multiple_of(JOIN_EVERY) {
            self.join(index);
        }
    }

    /// Joins a segment with the other half of its range, and the result again, as long as both are small.
    fn join(&mut self, mut index: u32) {
        loop {
            self.widen(index);
            let span = self.segments.get(index).span;
            if span.bits == Span::ALL.bits {
                return;
            }
            let buddy = span.buddy();
            let position = buddy.start.max(self.positions().start);
            let other = self.directory.segment_at(position).expect("all positions of this shard are covered");
            self.widen(other);
            let joined = self.segments.get(index).table.len() + self.segments.get(other).table.len();
            if self.segments.get(other).span != buddy || joined > Self::JOIN_WORDS_MAX {
                return;
            }
            let from = self.take_segment(other);
            if index == self.segments.bound() {
                index = other;
            }
            let into = self.segments.get_mut(index);
            let words: Words = into.table.words().chain(from.table.words()).collect();
            let earliest = into.earliest.min(from.earliest);
            self.lines_bytes -= into.table.allocated_bytes() + from.table.allocated_bytes();
            *into = Segment::of(&words, span.parent(), earliest, into.version.min(from.version));
            self.lines_bytes += into.table.allocated_bytes();
            self.directory.point(span.parent(), index);
            self.earliest_changed = self.earliest_changed.min(earliest);
        }
    }

    /// Takes a segment out of the numbered ones; that with the highest number gets its number, so that all stay in use.
    fn take_segment(&mut self, index: u32) -> Segment {
        let (taken, has_moved) = self.segments.swap_remove(index);
        if has_moved {
            let moved = self.segments.get(index);
            self.directory.point(moved.span, index);
            // A sweep may have passed this number, and then will not come to the one it had.
            self.earliest_changed = self.earliest_changed.min(moved.earliest);
        }
        taken
    }

    /// Lets a segment cover the other half of its range where no slot of this shard is.
    fn widen(&mut self, index: u32) {
        let mut span = self.segments.get(index).span;
        while span.bits < Span::ALL.bits && !self.directory.touches(span.buddy()) {
            span = span.parent();
        }
        self.segments.get_mut(index).span = span;
    }

    /// Removes what has expired in a segment, about `budget` keys and fields, and says how many entries and fields it looked at.
    /// `expired` sees each first.
    pub(super) fn expire_segment(
        &mut self,
        index: u32,
        now: Millis,
        budget: usize,
        expired: &mut dyn FnMut(Expired<'_>),
    ) -> usize {
        let (mut taken, mut volatile, mut sum, mut larges) = (0, 0, 0, Vec::new());
        let swept = self.segments.get_mut(index).expire(now, budget, expired, &mut |mut entry| {
            taken += 1;
            if let Some(at) = entry.as_ref().expire_at() {
                volatile += 1;
                sum += i128::from(at.0);
            }
            larges.extend(entry.take_large());
        });
        larges.into_iter().for_each(|large| self.bury(large));
        self.len -= taken;
        self.volatile -= volatile;
        self.holders -= swept.holders_gone;
        self.expiry_sum -= sum;
        self.lines_bytes -= self.segments.get_mut(index).table.shrink_if_roomy();
        self.join_if_small(index);
        swept.looked_at
    }

    fn join_if_small(&mut self, index: u32) {
        if self.segments.get(index).table.len() <= Self::JOIN_WORDS_MAX {
            self.join(index);
        }
    }

    /// The segments that hold keys of a slot, in the order of positions.
    fn segments_of(&self, slot: Slot) -> impl Iterator<Item = &Segment> {
        let span = Span { start: u64::from(slot.0) << super::slot::SPREAD_BITS, bits: super::slot::SPREAD_BITS };
        let mut position = span.start;
        std::iter::from_fn(move || {
            let segment = self.segment_at(position).filter(|_| position < span.end())?;
            position = segment.span.end();
            Some(segment)
        })
    }

    /// Is the segment's every key of one slot?
    fn is_of_one_slot(segment: &Segment) -> bool {
        segment.span.bits <= super::slot::SPREAD_BITS
    }

    /// How many keys a slot has.
    pub fn count_in_slot(&self, slot: Slot) -> usize {
        let count = |segment: &Segment| match Self::is_of_one_slot(segment) {
            true => segment.table.len(),
            false => self.entries_of(segment, slot).count(),
        };
        self.segments_of(slot).map(count).sum()
    }

    fn entries_of<'a>(&'a self, segment: &'a Segment, slot: Slot) -> impl Iterator<Item = EntryRef<'a>> {
        let all = Self::is_of_one_slot(segment);
        let entries = segment.table.words().map(|word| self.entry(word));
        entries.filter(move |entry| all || super::slot::slot_of(entry.key()) == slot)
    }

    /// Shows at most `max` entries of a slot.
    pub fn keys_in_slot(&self, slot: Slot, max: usize, visit: &mut dyn FnMut(EntryRef<'_>)) {
        self.segments_of(slot).flat_map(|segment| self.entries_of(segment, slot)).take(max).for_each(visit);
    }

    /// Shows all entries.
    pub fn for_each(&self, visit: &mut dyn FnMut(EntryRef<'_>)) {
        for segment in self.segments.iter() {
            segment.table.words().for_each(|word| visit(self.entry(word)));
        }
    }

    /// A random entry; every key is as likely as any other, except in a dict that is nearly empty for its size.
    pub fn random(&self, prng: &mut Prng) -> Option<EntryRef<'_>> {
        let (index, place) = self.random_place(prng)?;
        self.segments.get(index).table.at(place).map(|word| self.entry(word))
    }

    /// Shows `count` entries, or fewer, that stand together at random places; if asked, only those that expire.
    pub fn sample(&self, prng: &mut Prng, count: usize, only_volatile: bool, visit: &mut dyn FnMut(EntryRef<'_>)) {
        let mut left = count;
        for _ in 0..count.min(RANDOM_TRIES as usize) {
            let Some((index, first)) = self.random_place(prng) else { return };
            let table = &self.segments.get(index).table;
            for place in first..table.places().min(first + 2 * count) {
                if left == 0 {
                    return;
                }
                if let Some(word) = table.at(place).filter(|word| !only_volatile || word.is_volatile()) {
                    visit(self.entry(word));
                    left -= 1;
                }
            }
        }
    }

    /// The place of a random word: any place of any segment, until one is taken.
    fn random_place(&self, prng: &mut Prng) -> Option<(u32, usize)> {
        if self.len == 0 {
            return None;
        }
        let bound = self.segments.bound();
        let largest = match bound {
            1 => self.segments.get(0).table.places(),
            _ => capacity_of(Self::LINES_MAX).next_power_of_two(),
        };
        for _ in 0..RANDOM_TRIES {
            let index = prng.below(u64::from(bound)) as u32;
            let place = prng.below(largest as u64) as usize;
            if self.segments.get(index).table.at(place).is_some() {
                return Some((index, place));
            }
        }
        let first = prng.below(u64::from(bound)) as u32;
        let index = (first..bound).chain(0..first).find(|index| self.segments.get(*index).table.len() > 0)?;
        let table = &self.segments.get(index).table;
        let nth = prng.below(table.len() as u64) as usize;
        Some((index, (0..table.places()).filter(|place| table.at(*place).is_some()).nth(nth)?))
    }

    /// The version of the segment a key belongs to.
    pub fn segment_version(&self, hash: KeyHash) -> u64 {
        self.directory.segment(hash).map_or(0, |index| self.segments.get(index).version)
    }

    /// Raises the version of the segment a key belongs to.
    pub fn set_segment_version(&mut self, hash: KeyHash, version: u64) {
        let index = self.segment_for(hash);
        self.segments.get_mut(index).version = version;
    }

    /// Empties the dict at once; what was in it is freed later, in slices or elsewhere.
    pub fn clear(&mut self) -> Remains<SEGMENTS> {
        let remains = self.take_segments();
        *self = Self::new(self.hasher.clone(), self.owned());
        remains
    }

    fn take_segments(&mut self) -> Remains<SEGMENTS> {
        let segments = std::mem::replace(&mut self.segments, Chunks::new());
        Remains { entries: self.len, segments, larges: std::mem::take(&mut self.buried) }
    }

    /// Frees about so many entries; the dict may be asked for its length and for this afterwards, until it is freed.
    /// The answer: is everything freed?
    pub(super) fn free_some(&mut self, budget_entries: usize) -> bool {
        let mut remains = self.take_segments();
        let is_done = remains.free_some(budget_entries);
        let (len, segments) = (remains.entries, std::mem::replace(&mut remains.segments, Chunks::new()));
        *self = Self::new(self.hasher.clone(), self.owned());
        (self.len, self.segments) = (len, segments);
        is_done
    }

    /// Checks all invariants; for tests.
    pub fn check(&self) {
        let (mut len, mut volatile, mut holders, mut sum, mut covered) = (0, 0, 0, 0, 0);
        let mut position = self.positions().start;
        while let Some(segment) = self.segment_at(position).filter(|_| position < self.positions().end) {
            assert!(segment.span.contains(position), "the directory names the segment of a position");
            assert!(segment.span.start <= position && self.directory.touches(segment.span));
            self.check_segment(segment);
            len += segment.table.len();
            covered += 1;
            position = segment.span.end();
        }
        self.for_each(&mut |entry| {
            let times = entry.times();
            volatile += usize::from(times.key.is_some());
            holders += usize::from(times.fields.is_some());
            sum += times.key.map_or(0, |at| i128::from(at.0));
        });
        assert_eq!(covered, self.segments.live(), "every segment is in the directory");
        assert_eq!((len, volatile, sum), (self.len, self.volatile, self.expiry_sum), "keys are counted");
        assert_eq!(holders, self.holders, "hashes with fields that expire are counted");
        let lines: usize = self.segments.iter().map(|segment| segment.table.allocated_bytes()).sum();
        assert_eq!(lines, self.lines_bytes, "the bytes of all tables are counted");
    }

    fn check_segment(&self, segment: &Segment) {
        segment.check(|key| self.hash(key));
        let first = segment.table.words().filter_map(|word| self.entry(word).times().first()).min();
        assert!(first.is_none_or(|at| self.earliest <= at), "no key expires before the hint of all");
        assert!(u32::from(SLOT_COUNT) >= segment.span.slots().count() as u32);
    }
}

impl Segment {
    fn of(words: &[Word], span: Span, earliest: Millis, version: u64) -> Self {
        let mut table = Table::with_room_for(words.len() + 1);
        let mut volatile = 0;
        for word in words {
            table.insert(*word);
            volatile += u32::from(word.is_volatile());
        }
        Self { table, span, volatile, earliest: if volatile == 0 { NEVER } else { earliest }, version }
    }

    /// Checks what a segment promises about its keys, whose hashes the caller knows.
    pub(super) fn check(&self, hash: impl Fn(&[u8]) -> KeyHash) {
        self.table.check();
        let mut volatile = 0;
        for word in self.table.words() {
            let entry = self.entry(word);
            let hash = hash(entry.key());
            assert_eq!(word.tag(), hash.tag(), "the word carries the tag of its key");
            assert!(self.span.contains(hash.position()), "a key is in the segment of its position");
            let first = entry.times().first();
            assert_eq!(word.is_volatile(), first.is_some());
            if let Some(at) = first {
                volatile += 1;
                assert!(self.earliest <= at, "no key expires before the hint");
            }
        }
        assert_eq!(self.volatile, volatile, "keys that expire are counted");
    }

    /// The place of a random word; each is as likely as any other.
    pub(super) fn random_place(&self, prng: &mut Prng) -> Option<Place> {
        let places = self.table.places() as u64;
        if self.table.len() == 0 {
            return None;
        }
        let tried = (0..RANDOM_TRIES).find_map(|_| self.table.place(prng.below(places) as usize));
        let nth = |prng: &mut Prng| {
            let nth = prng.below(self.table.len() as u64) as usize;
            (0..self.table.places()).filter_map(|place| self.table.place(place)).nth(nth)
        };
        tried.or_else(|| nth(prng))
    }

    /// The entry of a word of this segment's table.
    #[inline]
    pub(super) fn entry(&self, word: Word) -> EntryRef<'_> {
        // SAFETY: the callers, in this module and its siblings, pass words that they just read from this segment's table,
        // which owns the entry. Taking an entry out or changing it needs `&mut self`.
        unsafe { word.entry() }
    }

    /// Where a key is.
    #[inline(always)]
    pub(super) fn locate(&self, key: &Key<'_>) -> Option<(Place, Word)> {
        self.table.find(key.hash.tag(), |word| self.entry(word).has_key(key.bytes))
    }

    /// Changes the entry at a place, whose key must stay the same, and says what expired of it before and expires now. The
    /// caller accounts for that.
    #[inline]
    pub(super) fn change<R>(
        &mut self,
        place: Place,
        change: impl FnOnce(OwnedEntry) -> (OwnedEntry, R),
    ) -> (Times, Times, R) {
        let word = self.table.vacate(place);
        // SAFETY: the word was this segment's and has just left its table.
        let old = unsafe { word.into_entry() };
        let before = old.as_ref().times();
        let (new, result) = change(old);
        let after = new.as_ref().times();
        self.table.set(place, new.into_word(word.tag()));
        (before, after, result)
    }

    /// Takes the entry at a place out. The caller accounts for its expiry.
    #[inline]
    pub(super) fn take(&mut self, place: Place) -> OwnedEntry {
        let word = self.table.remove(place);
        // SAFETY: the word was this segment's and has just left its table.
        unsafe { word.into_entry() }
    }

    /// Keeps the count of entries of which something expires, and the hint of when.
    #[inline]
    pub(super) fn account(&mut self, before: Option<Millis>, after: Option<Millis>) {
        self.volatile = self.volatile + u32::from(after.is_some()) - u32::from(before.is_some());
        if let Some(at) = after {
            self.earliest = self.earliest.min(at);
        } else if self.volatile == 0 {
            self.earliest = NEVER;
        }
    }

    /// Removes what has expired, about `budget` keys and fields. `expired` sees each first, `taken` gets the entries.
    pub(super) fn expire(
        &mut self,
        now: Millis,
        budget: usize,
        expired: &mut dyn FnMut(Expired<'_>),
        taken: &mut dyn FnMut(OwnedEntry),
    ) -> Swept {
        let words: Words = self.table.words().filter(|word| word.is_volatile()).collect();
        let (mut earliest, mut visited) = (NEVER, words.len());
        let mut swept = Swept { looked_at: 0, holders_gone: 0 };
        for (at, word) in words.iter().enumerate() {
            if let Some(ahead) = words.get(at + PREFETCH_AHEAD) {
                ahead.prefetch();
            }
            let entry = self.entry(*word);
            let times = entry.times();
            let first = times.first().unwrap_or(NEVER);
            if first >= now {
                earliest = earliest.min(first);
                continue;
            }
            if swept.looked_at >= budget {
                (earliest, visited) = (self.earliest, at);
                break;
            }
            let (place, _) = self.table.find(word.tag(), |other| other == *word).expect("the word was just read there");
            let mut left = Times::default();
            let mut is_gone = entry.is_expired(now);
            if is_gone {
                expired(Expired::Key(entry));
                swept.looked_at += 1;
            } else {
                (left, is_gone) = self.expire_fields(place, now, budget, &mut swept, expired);
            }
            if is_gone {
                taken(self.take(place));
            }
            swept.holders_gone += usize::from(times.fields.is_some() && left.fields.is_none());
            self.volatile -= u32::from(left.first().is_none());
            earliest = earliest.min(left.first().unwrap_or(NEVER));
        }
        self.earliest = earliest;
        swept.looked_at += visited;
        swept
    }

    /// Removes fields whose time has passed from the hash at a place, until `swept` counts so many. The answer: what expires
    /// of the entry now, and is no field left?
    fn expire_fields(
        &mut self,
        place: Place,
        now: Millis,
        budget: usize,
        swept: &mut Swept,
        expired: &mut dyn FnMut(Expired<'_>),
    ) -> (Times, bool) {
        let budget = budget - swept.looked_at;
        let (_, left, is_gone) = self.change(place, |mut entry| {
            let key: SmallVec<[u8; 64]> = entry.as_ref().key().into();
            if let ValueMut::Hash(hash) = entry.value_mut() {
                hash.expire_some(now, budget, &mut |field| {
                    swept.looked_at += 1;
                    expired(Expired::Field { key: &key, field: field.key() });
                });
                swept.looked_at += 1;
            }
            let is_gone = entry.as_ref().is_bare();
            if is_gone {
                expired(Expired::Emptied(entry.as_ref()));
            }
            (entry, is_gone)
        });
        (if is_gone { Times::default() } else { left }, is_gone)
    }

    /// Frees at most so many entries of a segment that nobody needs any more, but for large values, which come to
    /// `larges`. The answer: how many.
    pub(super) fn free_some(&mut self, budget: usize, larges: &mut Vec<Large>) -> usize {
        let before = self.table.len();
        for word in self.table.empty_some(budget) {
            // SAFETY: the segment owned the entry, and the word has just left its table.
            larges.extend(unsafe { word.into_entry() }.take_large());
        }
        before - self.table.len()
    }
}

impl<const SEGMENTS: usize> Drop for Dict<SEGMENTS> {
    fn drop(&mut self) {
        drop(self.take_segments());
    }
}
