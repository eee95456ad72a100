//! Who waits for which keys of a shard, in the order of arrival, and which of these keys have got something.
//!
//! Where nobody waits, all this costs one look at an empty table. Whoever waits is a number here; what it waits with is
//! the business of the site.

use super::entry::ValueKind;
use super::slot::Key;
use crate::units::DbIndex;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::{BTreeMap, VecDeque};

/// Somebody who waits: the number that the caller gave, and what a key must hold for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// Its number.
    pub number: u64,
    /// What it waits for.
    pub kind: ValueKind,
}

/// Those who wait for one key.
#[derive(Debug)]
struct Queue {
    hash: u64,
    db: DbIndex,
    key: Box<[u8]>,
    /// By the number of their arrival.
    waiters: BTreeMap<u64, Waiter>,
    /// Is the key among those that are ready?
    is_ready: bool,
}

/// A key that has got something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Its database.
    pub db: DbIndex,
    /// The key.
    pub key: Box<[u8]>,
    hash: u64,
}

/// All who wait for keys of one shard.
#[derive(Debug, Default)]
pub struct Waiting {
    queues: HashTable<Queue>,
    /// Keys that have got something, in the order in which they did.
    ready: VecDeque<Filled>,
    /// Is every key noted, because those who wait are elsewhere?
    notes_all: bool,
}

impl Waiting {
    /// Nobody waits here, but every key that gets something is to be ready, for those who wait elsewhere.
    pub fn noting() -> Self {
        Self { notes_all: true, ..Self::default() }
    }

    /// Does nobody wait?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// For how many keys somebody waits.
    pub fn keys(&self) -> usize {
        self.queues.len()
    }

    /// Has any key got something that is not yet given out?
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many keys have.
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    fn find(&mut self, db: DbIndex, hash: u64, key: &[u8]) -> Option<&mut Queue> {
        self.queues.find_mut(hash, |queue| queue.db == db && *queue.key == *key)
    }

    /// Adds a waiter to the queue of a key. `arrival` tells who came first: later ones have larger numbers.
    pub fn add(&mut self, db: DbIndex, key: &Key<'_>, arrival: u64, waiter: Waiter) {
        let hash = key.hash.hash;
        let same = |queue: &Queue| queue.db == db && *queue.key == *key.bytes;
        match self.queues.entry(hash, same, |queue| queue.hash) {
            Entry::Occupied(mut queue) => {
                queue.get_mut().waiters.insert(arrival, waiter);
            }
            Entry::Vacant(vacant) => {
                let waiters = BTreeMap::from([(arrival, waiter)]);
                vacant.insert(Queue { hash, db, key: key.bytes.into(), waiters, is_ready: false });
            }
        }
    }

    /// Takes the waiter that arrived with this number out of the queue of a key.
    pub fn remove(&mut self, db: DbIndex, key: &Key<'_>, arrival: u64) {
        let same = |queue: &Queue| queue.db == db && *queue.key == *key.bytes;
        let Ok(mut queue) = self.queues.find_entry(key.hash.hash, same) else { return };
        queue.get_mut().waiters.remove(&arrival);
        if queue.get().waiters.is_empty() {
            queue.remove();
            if self.queues.is_empty() {
                self.queues.shrink_to(0, |queue| queue.hash);
            }
        }
    }

    /// A key has got something: it is ready if anybody waits for it.
    #[inline]
    pub fn fill(&mut self, db: DbIndex, key: &Key<'_>) {
        if !self.is_empty() || self.notes_all {
            self.fill_waited(db, key);
        }
    }

    #[cold]
    fn fill_waited(&mut self, db: DbIndex, key: &Key<'_>) {
        let hash = key.hash.hash;
        if self.notes_all {
            return self.ready.push_back(Filled { db, key: key.bytes.into(), hash });
        }
        let Some(queue) = self.find(db, hash, key.bytes) else { return };
        if !std::mem::replace(&mut queue.is_ready, true) {
            self.ready.push_back(Filled { db, key: key.bytes.into(), hash });
        }
    }

    /// All keys of a database may have got something.
    pub fn fill_database(&mut self, db: DbIndex) {
        for queue in self.queues.iter_mut().filter(|queue| queue.db == db && !queue.is_ready) {
            queue.is_ready = true;
            self.ready.push_back(Filled { db, key: queue.key.clone(), hash: queue.hash });
        }
    }

    /// The key that has been ready for longest. From now on it becomes ready anew.
    pub fn take_ready(&mut self) -> Option<Filled> {
        let filled = self.ready.pop_front()?;
        if let Some(queue) = self.find(filled.db, filled.hash, &filled.key) {
            queue.is_ready = false;
        }
        Some(filled)
    }

    /// A ready key stays ready: nobody could be served now.
    pub fn put_off(&mut self, filled: Filled) {
        if let Some(queue) = self.find(filled.db, filled.hash, &filled.key)
            && !std::mem::replace(&mut queue.is_ready, true)
        {
            self.ready.push_back(filled);
        }
    }

    /// The first waiter for a key that arrived with this number or a later one, with its number.
    pub fn next(&self, filled: &Filled, from: u64) -> Option<(u64, Waiter)> {
        let queue = self.queues.find(filled.hash, |queue| queue.db == filled.db && queue.key == filled.key)?;
        queue.waiters.range(from..).next().map(|(arrival, waiter)| (*arrival, *waiter))
    }

    /// The first waiters for a key, in order.
    pub fn waiters(&self, db: DbIndex, key: &Key<'_>) -> impl Iterator<Item = Waiter> {
        let queue = self.queues.find(key.hash.hash, |queue| queue.db == db && *queue.key == *key.bytes);
        queue.into_iter().flat_map(|queue| queue.waiters.values().copied())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keyspace::KeyHasher;

    const DB: DbIndex = DbIndex(0);

    fn waiter(number: u64) -> Waiter {
        Waiter { number, kind: ValueKind::List }
    }

    #[test]
    fn who_came_first_is_first() {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let (one, two) = (hasher.key(b"one"), hasher.key(b"two"));
        let mut waiting = Waiting::default();
        waiting.fill(DB, &one);
        assert!(!waiting.has_ready(), "nobody waits");
        waiting.add(DB, &one, 5, waiter(50));
        waiting.add(DB, &one, 3, waiter(30));
        waiting.add(DB, &two, 3, waiter(30));
        waiting.add(DbIndex(1), &two, 9, waiter(90));
        assert_eq!(waiting.keys(), 3);
        waiting.fill(DB, &one);
        waiting.fill(DB, &one);
        waiting.fill(DbIndex(1), &one);
        assert_eq!(waiting.ready_len(), 1);
        let filled = waiting.take_ready().unwrap();
        assert_eq!(waiting.next(&filled, 0), Some((3, waiter(30))));
        assert_eq!(waiting.next(&filled, 4), Some((5, waiter(50))));
        assert_eq!(waiting.next(&filled, 6), None);
        waiting.remove(DB, &one, 3);
        assert_eq!(waiting.next(&filled, 0), Some((5, waiter(50))));
        waiting.fill_database(DB);
        assert_eq!(waiting.ready_len(), 2);
    }

    #[test]
    fn what_is_put_off_stays_ready_once() {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let key = hasher.key(b"key");
        let mut waiting = Waiting::default();
        waiting.add(DB, &key, 1, waiter(1));
        waiting.fill(DB, &key);
        let filled = waiting.take_ready().unwrap();
        waiting.fill(DB, &key);
        waiting.put_off(filled.clone());
        assert_eq!(waiting.ready_len(), 1);
        waiting.remove(DB, &key, 1);
        assert!(waiting.is_empty());
        let filled = waiting.take_ready().unwrap();
        assert_eq!(waiting.next(&filled, 0), None);
        waiting.put_off(filled);
        assert!(!waiting.has_ready(), "nobody waits for it any more");
    }
}
