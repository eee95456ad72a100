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

/// How those who wait for a key share what it has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// What one takes is gone for the others, so they are served in turn. Any collection of the right kind has something.
    Take,
    /// Everybody reads what is new (XREAD).
    Read,
    /// What is new goes to one of each group (XREADGROUP). The waiting ends, too, when there is no group any more.
    Consume,
}

impl Share {
    /// Can what is waited for be there and nevertheless have nothing for a call? Then the call is tried before it waits.
    pub fn is_of_news(self) -> bool {
        self != Self::Take
    }

    /// Does one of those who wait like this have a better right than another who comes later?
    pub fn is_in_turn(self) -> bool {
        self != Self::Read
    }
}

/// Somebody who waits: the number that the caller gave, and what a key must hold for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// Its number.
    pub number: u64,
    /// What it waits for.
    pub kind: ValueKind,
    /// How it shares that with others.
    pub share: Share,
}

impl Waiter {
    /// Does its waiting end when the key is gone?
    fn minds_absence(&self) -> bool {
        self.share == Share::Consume
    }
}

/// Those who wait for one key.
#[derive(Debug)]
struct Queue {
    hash: u64,
    db: DbIndex,
    key: Box<[u8]>,
    /// By the number of their arrival.
    waiters: BTreeMap<u64, Waiter>,
    /// How many of them have to hear if the key is gone.
    minding: usize,
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
    /// How many keys must not go unnoticed.
    minded: usize,
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

    /// For how many of them it is to be said if they are gone.
    #[inline]
    pub fn minded_keys(&self) -> usize {
        self.minded
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
        let mut queue = match self.queues.entry(hash, same, |queue| queue.hash) {
            Entry::Occupied(queue) => queue,
            Entry::Vacant(vacant) => {
                let (waiters, key) = (BTreeMap::new(), key.bytes.into());
                vacant.insert(Queue { hash, db, key, waiters, minding: 0, is_ready: false })
            }
        };
        let queue = queue.get_mut();
        // A key that a call names twice is waited for once.
        if queue.waiters.insert(arrival, waiter).is_none() && waiter.minds_absence() {
            self.minded += usize::from(queue.minding == 0);
            queue.minding += 1;
        }
    }

    /// Takes the waiter that arrived with this number out of the queue of a key.
    pub fn remove(&mut self, db: DbIndex, key: &Key<'_>, arrival: u64) {
        let same = |queue: &Queue| queue.db == db && *queue.key == *key.bytes;
        let Ok(mut queue) = self.queues.find_entry(key.hash.hash, same) else { return };
        let of_key = queue.get_mut();
        if of_key.waiters.remove(&arrival).is_some_and(|waiter| waiter.minds_absence()) {
            of_key.minding -= 1;
            self.minded -= usize::from(of_key.minding == 0);
        }
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
        self.make_ready(db, key, |_| true);
    }

    /// A key may be gone, or hold something else than before: it is ready if that ends the waiting of anybody.
    #[inline]
    pub fn note_gone(&mut self, db: DbIndex, key: &Key<'_>) {
        if self.minded > 0 || self.notes_all {
            self.make_ready(db, key, |queue| queue.minding > 0);
        }
    }

    #[cold]
    fn make_ready(&mut self, db: DbIndex, key: &Key<'_>, is_concerned: impl Fn(&Queue) -> bool) {
        let hash = key.hash.hash;
        if self.notes_all {
            return self.ready.push_back(Filled { db, key: key.bytes.into(), hash });
        }
        let Some(queue) = self.find(db, hash, key.bytes).filter(|queue| is_concerned(queue)) else { return };
        if !std::mem::replace(&mut queue.is_ready, true) {
            self.ready.push_back(Filled { db, key: key.bytes.into(), hash });
        }
    }

    /// All keys of a database may have got something.
    pub fn fill_database(&mut self, db: DbIndex) {
        self.make_all_ready(db, |_| true);
    }

    /// All keys of a database are gone.
    pub fn note_all_gone(&mut self, db: DbIndex) {
        if self.minded > 0 {
            self.make_all_ready(db, |queue| queue.minding > 0);
        }
    }

    fn make_all_ready(&mut self, db: DbIndex, is_concerned: impl Fn(&Queue) -> bool) {
        for queue in self.queues.iter_mut().filter(|queue| queue.db == db && !queue.is_ready && is_concerned(queue)) {
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

    /// Does it end the waiting of anybody that a key is not there?
    pub fn is_minded(&self, filled: &Filled) -> bool {
        let queue = self.queues.find(filled.hash, |queue| queue.db == filled.db && queue.key == filled.key);
        queue.is_some_and(|queue| queue.minding > 0)
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
        Waiter { number, kind: ValueKind::List, share: Share::Take }
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

    #[test]
    fn who_minds_hears_that_a_key_is_gone() {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let (key, other) = (hasher.key(b"key"), hasher.key(b"other"));
        let consumer = Waiter { number: 2, kind: ValueKind::Stream, share: Share::Consume };
        let mut waiting = Waiting::default();
        waiting.add(DB, &key, 1, waiter(1));
        waiting.note_gone(DB, &key);
        waiting.note_all_gone(DB);
        assert!(!waiting.has_ready(), "nobody minds");
        waiting.add(DB, &key, 2, consumer);
        waiting.add(DB, &key, 2, consumer);
        waiting.add(DB, &other, 3, waiter(3));
        assert_eq!((waiting.keys(), waiting.minded_keys()), (2, 1));
        waiting.note_gone(DB, &other);
        waiting.note_all_gone(DB);
        assert_eq!(waiting.ready_len(), 1);
        let filled = waiting.take_ready().unwrap();
        assert!(waiting.is_minded(&filled));
        waiting.remove(DB, &key, 2);
        assert!(!waiting.is_minded(&filled));
        assert_eq!((waiting.keys(), waiting.minded_keys()), (2, 0));
    }
}
