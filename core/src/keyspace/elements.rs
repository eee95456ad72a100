//! The elements of one large collection: fields of a hash, members of a set or sorted set, found by their name.
//!
//! An element is an entry like those of the keyspace, whose key is the field or member. Few elements stand in one
//! segment inside the structure itself; where that would outgrow 1936 words, it becomes the first segment of a
//! [`Dict`], as it is, and the last segment of a dict that shrinks becomes the structure's own again. So growing and
//! shrinking never touch more than some thousand elements, and a scan goes on over either change.
//!
//! Elements know nothing of slots: all stand in slot 0, and their hash alone places them.

use super::chunks::SMALL_CHUNK;
use super::dict::{Dict, NEVER, Segment};
use super::entry::{EntryRef, OwnedEntry, size_class};
use super::expiry::{Expired, Progress, Sweep, sweep_some};
use super::scan::{Cursor, Walk};
use super::slot::{Key, KeyHash, KeyHasher, SPREAD_BITS};
use super::table::{ELEMENT_LINES_MAX, Table, capacity_of};
use crate::prng::Prng;
use crate::units::Millis;

/// How many lookups go side by side, so that what they wait for overlaps.
const LOOKUPS: usize = 16;

/// The elements of one collection.
#[derive(Debug)]
pub struct Elements {
    hasher: KeyHasher,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Small(Segment),
    Large(Box<Large>),
}

#[derive(Debug)]
struct Large {
    dict: Dict<SMALL_CHUNK>,
    sweep: Sweep,
}

const _: () = assert!(size_of::<Elements>() <= 96, "a collection of few elements is small");

impl Elements {
    /// No elements.
    pub fn new(hasher: KeyHasher) -> Self {
        Self { hasher, form: Form::Small(Segment::default()) }
    }

    /// No elements, and room for so many, or for as many as one step may make room for.
    pub fn with_room(hasher: KeyHasher, count: usize) -> Self {
        let mut segment = Segment::default();
        segment.table = Table::with_room_for(count.min(capacity_of(ELEMENT_LINES_MAX)));
        Self { hasher, form: Form::Small(segment) }
    }

    /// No elements, and room for about so many, all of which are to come at once.
    pub fn for_about(hasher: KeyHasher, count: usize) -> Self {
        if count <= capacity_of(ELEMENT_LINES_MAX) {
            return Self::with_room(hasher, count);
        }
        let dict = Dict::for_elements(hasher.clone(), count);
        Self { hasher, form: Form::Large(Box::new(Large { dict, sweep: Sweep::default() })) }
    }

    /// What hashes their names.
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Small(segment) => segment.table.len(),
            Form::Large(large) => large.dict.len(),
        }
    }

    /// Is there no element?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many elements have an expiry time.
    #[inline]
    pub fn volatile(&self) -> usize {
        match &self.form {
            Form::Small(segment) => segment.volatile as usize,
            Form::Large(large) => large.dict.volatile(),
        }
    }

    /// No element expires earlier; none if there is none that does. May be too early, never too late.
    pub fn earliest(&self) -> Option<Millis> {
        let earliest = match &self.form {
            Form::Small(segment) => segment.earliest,
            Form::Large(large) => large.dict.earliest,
        };
        (self.volatile() > 0 && earliest != NEVER).then_some(earliest)
    }

    /// An element's name with its hash.
    #[inline]
    pub fn key<'a>(&self, name: &'a [u8]) -> Key<'a> {
        Key { bytes: name, hash: self.hasher.element(name) }
    }

    /// The element of a name.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<EntryRef<'_>> {
        self.find_key(&self.key(name))
    }

    /// The element of a name that is hashed already.
    #[inline]
    pub fn find_key(&self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        match &self.form {
            Form::Small(segment) => segment.locate(key).map(|(_, word)| segment.entry(word)),
            Form::Large(large) => large.dict.find(key),
        }
    }

    /// Asks the processor to load the table line of an element. Nothing waits for it but [`Elements::prefetch_entry`].
    #[inline]
    pub fn prefetch_line(&self, hash: &mut KeyHash) {
        match &self.form {
            Form::Small(segment) => segment.table.prefetch_line(hash.tag()),
            Form::Large(large) => {
                large.dict.prefetch_segment(hash);
                large.dict.prefetch_line(*hash);
            }
        }
    }

    /// Asks the processor to load the element itself.
    #[inline]
    pub fn prefetch_entry(&self, hash: &mut KeyHash) {
        match &self.form {
            Form::Small(segment) => {
                segment.table.prefetch_entry(hash.tag());
            }
            Form::Large(large) => large.dict.prefetch_entry(hash),
        }
    }

    /// Looks many names up, several at a time, and shows each with what was found, in their order. `visit` says whether
    /// to go on.
    pub fn find_each<'a>(
        &self,
        names: impl IntoIterator<Item = &'a [u8]>,
        mut visit: impl FnMut(&'a [u8], Option<EntryRef<'_>>) -> bool,
    ) {
        let mut names = names.into_iter();
        loop {
            let mut keys: smallvec::SmallVec<[Key<'_>; LOOKUPS]> = smallvec::SmallVec::new();
            keys.extend(names.by_ref().take(LOOKUPS).map(|name| self.key(name)));
            if keys.is_empty() {
                return;
            }
            keys.iter_mut().for_each(|key| self.prefetch_line(&mut key.hash));
            keys.iter_mut().for_each(|key| self.prefetch_entry(&mut key.hash));
            if !keys.iter().all(|key| visit(key.bytes, self.find_key(key))) {
                return;
            }
        }
    }

    /// Puts in an element whose name is not there.
    pub fn insert(&mut self, entry: OwnedEntry) {
        let hash = self.hasher.element(entry.as_ref().key());
        self.insert_hashed(hash, entry);
    }

    #[inline]
    fn insert_hashed(&mut self, hash: KeyHash, entry: OwnedEntry) {
        let name = entry.as_ref();
        debug_assert!(self.find(name.key()).is_none(), "an element is inserted once");
        if self.is_full() {
            self.grow();
        }
        match &mut self.form {
            Form::Small(segment) => {
                segment.account(None, entry.as_ref().expire_at());
                segment.table.insert(entry.into_word(hash.tag()));
            }
            Form::Large(large) => large.dict.insert(hash, entry),
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        matches!(&self.form, Form::Small(segment) if segment.table.is_full())
    }

    /// Makes room in the small form, or leaves it.
    #[cold]
    fn grow(&mut self) {
        let Form::Small(segment) = &mut self.form else { return };
        if !segment.table.has_lines(ELEMENT_LINES_MAX) {
            segment.table.grow();
            return;
        }
        let dict = Dict::of_elements(self.hasher.clone(), std::mem::take(segment));
        self.form = Form::Large(Box::new(Large { dict, sweep: Sweep::default() }));
    }

    /// Changes the element of a name, if there is one. The name must stay the same.
    #[inline]
    pub fn update<R>(&mut self, name: &[u8], change: impl FnOnce(OwnedEntry) -> (OwnedEntry, R)) -> Option<R> {
        let key = self.key(name);
        match &mut self.form {
            Form::Small(segment) => {
                let (place, _) = segment.locate(&key)?;
                let (before, after, result) = segment.change(place, change);
                segment.account(before.first(), after.first());
                Some(result)
            }
            Form::Large(large) => large.dict.update(&key, change),
        }
    }

    /// Puts in the element that `make` makes of what was there. The answer: was there one?
    #[inline]
    pub fn upsert(&mut self, name: &[u8], make: impl FnOnce(Option<OwnedEntry>) -> OwnedEntry) -> bool {
        let key = self.key(name);
        match &mut self.form {
            Form::Small(segment) => {
                if let Some((place, _)) = segment.locate(&key) {
                    let (before, after, ()) = segment.change(place, |old| (make(Some(old)), ()));
                    segment.account(before.first(), after.first());
                    return true;
                }
            }
            Form::Large(large) => return large.dict.upsert(&key, make),
        }
        let entry = make(None);
        assert_eq!(entry.as_ref().key(), name, "an element goes under its own name");
        self.insert_hashed(key.hash, entry);
        false
    }

    /// Puts in the element that `make` makes unless there is one of this name. The answer: was it put in?
    #[inline]
    pub fn insert_new(&mut self, name: &[u8], make: impl FnOnce() -> OwnedEntry) -> bool {
        let key = self.key(name);
        if self.find_key(&key).is_some() {
            return false;
        }
        let entry = make();
        assert_eq!(entry.as_ref().key(), name, "an element goes under its own name");
        self.insert_hashed(key.hash, entry);
        true
    }

    /// Takes the element of a name out.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> Option<OwnedEntry> {
        let key = self.key(name);
        match &mut self.form {
            Form::Small(segment) => {
                let (place, _) = segment.locate(&key)?;
                let entry = segment.take(place);
                segment.account(entry.as_ref().expire_at(), None);
                segment.table.shrink_if_roomy();
                Some(entry)
            }
            Form::Large(large) => {
                let entry = large.dict.remove(&key)?;
                self.become_small();
                Some(entry)
            }
        }
    }

    /// Takes a random element out; each is as likely as any other.
    pub fn take_random(&mut self, prng: &mut Prng) -> Option<OwnedEntry> {
        match &mut self.form {
            Form::Small(segment) => {
                let place = segment.random_place(prng)?;
                let entry = segment.take(place);
                segment.account(entry.as_ref().expire_at(), None);
                segment.table.shrink_if_roomy();
                Some(entry)
            }
            Form::Large(large) => {
                let entry = large.dict.take_random(prng);
                self.become_small();
                entry
            }
        }
    }

    /// Takes the last segment of a dict back.
    #[inline]
    fn become_small(&mut self) {
        if let Form::Large(large) = &mut self.form
            && large.dict.segments() == 1
            && let Some(segment) = large.dict.take_single()
        {
            self.form = Form::Small(segment);
        }
    }

    /// A random element; each is as likely as any other.
    pub fn random(&self, prng: &mut Prng) -> Option<EntryRef<'_>> {
        match &self.form {
            Form::Small(segment) => {
                let place = segment.random_place(prng)?;
                Some(segment.entry(segment.table.word(place)))
            }
            Form::Large(large) => large.dict.random(prng),
        }
    }

    /// Shows about `count` elements from a cursor on, and says where to go on, unless that was all. An element that is
    /// there during all of a scan is given exactly once.
    pub fn scan(&self, cursor: Cursor, count: usize, visit: &mut dyn FnMut(EntryRef<'_>)) -> Option<Cursor> {
        match &self.form {
            Form::Small(segment) => {
                let position = |name: &[u8]| self.hasher.element(name).position();
                Walk::new(0..1 << SPREAD_BITS, |_| Some(segment), position).scan(cursor, count, visit)
            }
            Form::Large(large) => large.dict.scan(cursor, count, visit),
        }
    }

    /// Shows all elements.
    pub fn for_each(&self, visit: &mut dyn FnMut(EntryRef<'_>)) {
        self.iter().for_each(visit);
    }

    /// All elements.
    pub fn iter(&self) -> Iter<'_> {
        Iter { elements: self, segment: self.segment(0), next_segment: 1, place: 0 }
    }

    fn segment(&self, index: u32) -> Option<&Segment> {
        match &self.form {
            Form::Small(segment) => (index == 0).then_some(segment),
            Form::Large(large) => (index < large.dict.segment_bound()).then(|| large.dict.segment(index)),
        }
    }

    /// Removes elements whose time is past until none is due or about `budget` elements were looked at. `removed` sees
    /// each before it goes. The answer: is there more to do at once?
    pub fn expire_some(&mut self, now: Millis, budget: usize, removed: &mut dyn FnMut(&EntryRef<'_>)) -> bool {
        let mut seen = |expired: Expired<'_>| {
            if let Expired::Key(element) = expired {
                removed(&element);
            }
        };
        match &mut self.form {
            Form::Small(segment) => {
                if segment.earliest < now {
                    segment.expire(now, budget, &mut seen, &mut drop);
                    segment.table.shrink_if_roomy();
                }
                segment.earliest < now
            }
            Form::Large(large) => {
                let progress = sweep_some(&mut large.dict, &mut large.sweep, now, budget, &mut seen);
                self.become_small();
                progress == Progress::More
            }
        }
    }

    /// Frees about so many elements of a collection that nobody needs any more. The answer: is nothing left?
    pub fn free_some(&mut self, budget: usize) -> bool {
        match &mut self.form {
            Form::Small(segment) => {
                segment.free_some(budget, &mut Vec::new());
                let is_done = segment.table.len() == 0;
                if is_done {
                    *segment = Segment::default();
                }
                is_done
            }
            Form::Large(large) => large.dict.free_some(budget),
        }
    }

    /// Memory in bytes, with what the allocator rounds up to: the elements' mean size is that of the first `samples`, or of
    /// all if that is zero.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let limit = if samples == 0 { usize::MAX } else { samples };
        let (count, bytes) =
            self.iter().take(limit).fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.memory_bytes()));
        let entries =
            if count == self.len() { bytes } else { (bytes as f64 / count as f64 * self.len() as f64) as usize };
        self.table_bytes() + entries
    }

    /// Memory besides the elements, in bytes.
    pub fn table_bytes(&self) -> usize {
        size_class(size_of::<Self>())
            + match &self.form {
                Form::Small(segment) => segment.table.allocated_bytes(),
                Form::Large(large) => size_class(size_of::<Large>()) + large.dict.table_bytes(),
            }
    }

    /// The same elements, with expiry times, once more.
    pub fn copy(&self) -> Self {
        let mut copy = Self::for_about(self.hasher.clone(), self.len());
        self.iter().for_each(|entry| copy.insert(entry.copied_under(entry.key())));
        copy
    }

    /// Checks all invariants; for tests.
    pub fn check(&self) {
        match &self.form {
            Form::Small(segment) => segment.check(|name| self.hasher.element(name)),
            Form::Large(large) => {
                large.dict.check();
                assert!(large.dict.segments() > 1, "what is small is stored so");
            }
        }
    }
}

impl Drop for Elements {
    fn drop(&mut self) {
        if let Form::Small(segment) = &mut self.form {
            segment.free_some(usize::MAX, &mut Vec::new());
        }
    }
}

/// All elements, segment by segment. What comes next is fetched ahead.
#[derive(Debug)]
pub struct Iter<'a> {
    elements: &'a Elements,
    segment: Option<&'a Segment>,
    next_segment: u32,
    place: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = EntryRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<EntryRef<'a>> {
        loop {
            let segment = self.segment?;
            match segment.table.next_word(&mut self.place) {
                Some(word) => return Some(segment.entry(word)),
                None => {
                    self.segment = self.elements.segment(self.next_segment);
                    self.next_segment += 1;
                    self.place = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
