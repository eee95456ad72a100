//! One numbered database on one core: the operations that commands are made of.
//!
//! Nothing here looks at the time: whether an expired key still counts is the caller's business, who also tells the
//! journal about it.

use super::dict::{Dict, Remains};
use super::entry::{EntryRef, OwnedEntry};
use super::expiry::Sweep;
use super::kinds::{Large, NewValue};
use super::scan::Cursor;
use super::slot::{Key, KeyHash, KeyHasher};
use crate::prng::Prng;
use crate::units::{Millis, Slot};
use std::ops::Range;

/// What operators see of a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatabaseFigures {
    /// Its number.
    pub index: u32,
    /// Its keys.
    pub keys: usize,
    /// Those with an expiry time.
    pub volatile: usize,
    /// Hashes with fields that have an expiry time.
    pub holders: usize,
    /// When the keys with an expiry time expire, in the mean, in milliseconds since 1970.
    pub mean_expiry: i64,
    /// Memory of its tables, in bytes.
    pub table_bytes: usize,
}

/// The keys of one database on one core.
#[derive(Debug)]
pub struct Database {
    pub(super) dict: Dict,
    pub(super) sweep: Sweep,
}

impl Database {
    /// An empty database for these slots.
    pub fn new(hasher: KeyHasher, owned: Range<u16>) -> Self {
        Self { dict: Dict::new(hasher, owned), sweep: Sweep::default() }
    }

    /// How many keys there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.dict.len()
    }

    /// Is there no key?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.dict.is_empty()
    }

    /// How many keys have an expiry time.
    #[inline]
    pub fn volatile(&self) -> usize {
        self.dict.volatile()
    }

    /// How many hashes have fields with an expiry time.
    #[inline]
    pub fn holders(&self) -> usize {
        self.dict.holders()
    }

    /// What operators see of it, which is database number `index`; none if there is nothing of it.
    pub fn figures(&self, index: u32) -> Option<DatabaseFigures> {
        let (keys, volatile, table_bytes) = (self.len(), self.volatile(), self.dict.table_bytes());
        let mean_expiry = (self.dict.expiry_sum() / volatile.max(1) as i128) as i64;
        let holders = self.holders();
        (keys > 0 || table_bytes > 0).then_some(DatabaseFigures {
            index,
            keys,
            volatile,
            holders,
            mean_expiry,
            table_bytes,
        })
    }

    /// The table of keys, for what needs more than the operations here.
    pub fn dict(&self) -> &Dict {
        &self.dict
    }

    /// The entry of a key.
    #[inline]
    pub fn find(&self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.dict.find(key)
    }

    /// Is there such a key?
    #[inline]
    pub fn contains(&self, key: &Key<'_>) -> bool {
        self.dict.find(key).is_some()
    }

    /// First step for the keys of a batch: asks for what leads to the table of a key.
    #[inline]
    pub fn prefetch_segment(&self, hash: &mut KeyHash) {
        self.dict.prefetch_segment(hash);
    }

    /// Second step for the keys of a batch: asks for the table line of a key.
    #[inline]
    pub fn prefetch_line(&self, hash: KeyHash) {
        self.dict.prefetch_line(hash);
    }

    /// Third step for the keys of a batch: asks for the entry of a key.
    #[inline]
    pub fn prefetch_entry(&self, hash: &mut KeyHash) {
        self.dict.prefetch_entry(hash);
    }

    /// Fourth step, for keys of commands on collections: asks for the structure of a large one.
    #[inline]
    pub fn prefetch_value(&self, hash: &KeyHash) {
        self.dict.prefetch_value(hash);
    }

    /// Stores value and expiry in place of whatever the key had. The answer: did the key exist?
    #[inline]
    pub fn set(&mut self, key: &Key<'_>, value: NewValue<'_>, expire: Option<Millis>) -> bool {
        self.replacing(key, |old| match old {
            Some(old) => old.rebuilt(value, expire),
            None => OwnedEntry::new(key.bytes, value, expire),
        })
    }

    /// Puts in the entry that `make` makes of what was there, whose large value is left to be freed later.
    #[inline]
    fn replacing(&mut self, key: &Key<'_>, make: impl FnOnce(Option<OwnedEntry>) -> OwnedEntry) -> bool {
        let mut large = None;
        let existed = self.dict.upsert(key, |mut old| {
            large = old.as_mut().and_then(OwnedEntry::take_large);
            make(old)
        });
        if let Some(large) = large {
            self.dict.bury(large);
        }
        existed
    }

    /// Like [`Database::set`]; the entry, new or not, has these access bits afterwards.
    #[inline]
    pub fn store(&mut self, key: &Key<'_>, value: NewValue<'_>, expire: Option<Millis>, access: u32) -> bool {
        self.replacing(key, |old| {
            let entry = match old {
                Some(old) => old.rebuilt(value, expire),
                None => OwnedEntry::new(key.bytes, value, expire),
            };
            entry.as_ref().touch(access);
            entry
        })
    }

    /// Stores a value and keeps the expiry the key has, if it exists. The answer: did it?
    #[inline]
    pub fn replace_value(&mut self, key: &Key<'_>, value: NewValue<'_>) -> bool {
        self.replacing(key, |old| match old {
            Some(old) => {
                let expire = old.as_ref().expire_at();
                old.rebuilt(value, expire)
            }
            None => OwnedEntry::new(key.bytes, value, None),
        })
    }

    /// Sets or removes the expiry of a key. The answer: does the key exist?
    pub fn set_expiry(&mut self, key: &Key<'_>, at: Option<Millis>) -> bool {
        self.dict.update(key, |entry| (entry.with_expiry(at), ())).is_some()
    }

    /// Stores an integer and keeps the expiry; in place where the key holds an integer of the same size or larger.
    pub fn set_int(&mut self, key: &Key<'_>, value: i64) -> bool {
        self.dict.upsert(key, |old| match old {
            Some(old) => old.with_integer(value),
            None => OwnedEntry::new(key.bytes, NewValue::Int(value), None),
        })
    }

    /// Adds bytes at the end of a string, or makes one of them. The answer is the new length.
    pub fn append(&mut self, key: &Key<'_>, bytes: &[u8]) -> usize {
        let mut len = bytes.len();
        self.dict.upsert(key, |old| match old {
            Some(old) => {
                let offset = old.as_ref().value().len();
                let (new, new_len) = old.with_range(offset, bytes);
                len = new_len;
                new
            }
            None => OwnedEntry::new(key.bytes, NewValue::from_bytes(bytes), None),
        });
        len
    }

    /// Writes bytes into a string at an offset, with zeros before them where it is shorter. The answer is the new
    /// length.
    pub fn write_range(&mut self, key: &Key<'_>, offset: usize, bytes: &[u8]) -> usize {
        let mut len = 0;
        self.dict.upsert(key, |old| {
            let old = old.unwrap_or_else(|| OwnedEntry::new(key.bytes, NewValue::Bytes(&[]), None));
            let (new, new_len) = old.with_range(offset, bytes);
            len = new_len;
            new
        });
        len
    }

    /// Puts bytes in place of a range of those of a string, which exists.
    pub fn splice_text(&mut self, key: &Key<'_>, range: Range<usize>, with: &[u8]) {
        self.dict.update(key, |entry| (entry.with_spliced(range, with), ()));
    }

    /// Takes a key out. Dropping the entry frees it.
    pub fn remove(&mut self, key: &Key<'_>) -> Option<OwnedEntry> {
        self.dict.remove(key)
    }

    /// Puts in an entry from another database or core under its own key, in place of what was there. The answer: did
    /// the key exist?
    pub fn put(&mut self, key: &Key<'_>, entry: OwnedEntry) -> bool {
        assert_eq!(entry.as_ref().key(), key.bytes, "an entry goes under its own key");
        self.replacing(key, |_| entry)
    }

    /// Changes the entry of a key, if it has one; the key must stay the same.
    #[inline]
    pub fn change<R>(&mut self, key: &Key<'_>, change: impl FnOnce(&mut OwnedEntry) -> R) -> Option<R> {
        self.dict.update(key, |mut entry| {
            let result = change(&mut entry);
            (entry, result)
        })
    }

    /// Has the large value of an entry that was taken out freed later; the rest is freed at once.
    pub fn discard(&mut self, mut entry: OwnedEntry) {
        if let Some(large) = entry.take_large() {
            self.dict.bury(large);
        }
    }

    /// Frees the large values that wait for it at once: somebody set the directive that says so.
    #[cold]
    pub fn free_buried(&mut self) {
        drop(self.take_buried());
    }

    /// Has a part of a large value that left it freed later.
    pub fn discard_part(&mut self, part: Large) {
        self.dict.bury(part);
    }

    /// How many large values wait to be freed.
    #[inline]
    pub fn buried(&self) -> usize {
        self.dict.buried.len()
    }

    /// The large values that wait to be freed.
    pub(super) fn take_buried(&mut self) -> Vec<Large> {
        std::mem::take(&mut self.dict.buried)
    }

    /// The same value and expiry under another key, ready for [`Database::put`].
    pub fn rename_entry(entry: OwnedEntry, key: &[u8]) -> OwnedEntry {
        entry.renamed(key)
    }

    /// A copy of an entry under another key, ready for [`Database::put`].
    pub fn copy_entry(entry: &EntryRef<'_>, key: &[u8]) -> OwnedEntry {
        entry.copied_under(key)
    }

    /// Sets the access bits of a key. Whoever holds its entry calls [`EntryRef::touch`] instead.
    pub fn touch(&mut self, key: &Key<'_>, access: u32) {
        if let Some(entry) = self.find(key) {
            entry.touch(access);
        }
    }

    /// Shows about `count` entries from a cursor on, and says where to go on, unless that was all of this core.
    pub fn scan(&self, cursor: Cursor, count: usize, visit: &mut dyn FnMut(EntryRef<'_>)) -> Option<Cursor> {
        self.dict.scan(cursor, count, visit)
    }

    /// Shows all entries.
    pub fn for_each(&self, visit: &mut dyn FnMut(EntryRef<'_>)) {
        self.dict.for_each(visit);
    }

    /// A random entry.
    pub fn random(&self, prng: &mut Prng) -> Option<EntryRef<'_>> {
        self.dict.random(prng)
    }

    /// How many keys a slot has.
    pub fn count_in_slot(&self, slot: Slot) -> usize {
        self.dict.count_in_slot(slot)
    }

    /// Shows at most `max` entries of a slot.
    pub fn keys_in_slot(&self, slot: Slot, max: usize, visit: &mut dyn FnMut(EntryRef<'_>)) {
        self.dict.keys_in_slot(slot, max, visit);
    }

    /// Empties the database at once; what was in it is freed later.
    pub fn clear(&mut self) -> Remains {
        self.sweep = Sweep::default();
        self.dict.clear()
    }

    /// Checks all invariants; for tests.
    pub fn check(&self) {
        self.dict.check();
    }
}
