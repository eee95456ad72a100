//! Which clients watch which keys of a shard (WATCH), and whose keys have changed since.
//!
//! Where nobody watches, all this costs one look at an empty table after a call that has changed something. A client
//! one of whose keys has changed needs to be known for that alone: its other keys are forgotten.

use super::slot::{Key, KeyHash};
use crate::units::DbIndex;
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

/// What became of a key that may be watched.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Touch {
    /// It was removed because its time was past, which is no change for who watched it when it was past already.
    Expired,
    /// It was changed, be it to the same as before.
    Changed,
}

/// Somebody who watches a key.
#[derive(Clone, Copy, Debug)]
struct Watcher {
    client: u64,
    /// Was the time of the key past when the watch began, and is it still there?
    was_expired: bool,
}

/// Those who watch one key.
#[derive(Debug)]
struct WatchedKey {
    db: DbIndex,
    hash: KeyHash,
    key: Box<[u8]>,
    watchers: SmallVec<[Watcher; 1]>,
}

/// One who watches keys, or did until one of them changed.
#[derive(Debug, Default)]
struct Client {
    has_changed: bool,
    /// Its keys, by database and hash. Once one has changed, that one: whoever changed it may still have it locked, and then
    /// nobody may know of the change yet.
    keys: SmallVec<[(DbIndex, u64); 2]>,
}

/// A change that was noted for those who watch elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touched {
    /// The database.
    pub db: DbIndex,
    /// The key.
    pub key: Box<[u8]>,
    /// What became of it.
    pub touch: Touch,
}

/// All who watch keys of one shard.
#[derive(Debug)]
pub struct Watched {
    keys: HashTable<WatchedKey>,
    clients: HashMap<u64, Client, ahash::RandomState>,
    /// Is every change noted, because those who watch are elsewhere?
    notes_all: bool,
    notes: Vec<Touched>,
    /// Is what becomes of keys held back, because it may be undone?
    holds: bool,
    held: Vec<Touched>,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            keys: HashTable::new(),
            // Ids of clients are made by cores: fixed keys are no risk.
            clients: HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)),
            notes_all: false,
            notes: Vec::new(),
            holds: false,
            held: Vec::new(),
        }
    }
}

impl Watched {
    /// Has anybody to hear of changes?
    #[inline]
    pub fn is_active(&self) -> bool {
        !self.keys.is_empty() || self.notes_all
    }

    /// How many keys are watched.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many clients watch, or did until a key of theirs changed.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// From now on a client watches a key, unless it does so already or one of its keys has changed. `is_expired`: the key
    /// is there although its time is past.
    pub fn watch(&mut self, client: u64, db: DbIndex, key: &Key<'_>, is_expired: bool) {
        let known = self.clients.entry(client).or_default();
        if known.has_changed {
            return;
        }
        let same = |watched: &WatchedKey| watched.db == db && *watched.key == *key.bytes;
        let mut watched = match self.keys.entry(key.hash.hash, same, |watched| watched.hash.hash) {
            Entry::Occupied(watched) => watched,
            Entry::Vacant(vacant) => {
                let (hash, key, watchers) = (key.hash, key.bytes.into(), SmallVec::new());
                vacant.insert(WatchedKey { db, hash, key, watchers })
            }
        };
        let watched = watched.get_mut();
        if !watched.watchers.iter().any(|watcher| watcher.client == client) {
            watched.watchers.push(Watcher { client, was_expired: is_expired });
            known.keys.push((db, key.hash.hash));
        }
    }

    /// A client watches nothing any more, and starts afresh.
    pub fn forget(&mut self, client: u64) {
        if let Some(Client { keys, .. }) = self.clients.remove(&client) {
            self.let_go(client, &keys);
        }
        if self.clients.is_empty() {
            self.clients.shrink_to_fit();
        }
    }

    fn let_go(&mut self, client: u64, keys: &[(DbIndex, u64)]) {
        for (db, hash) in keys {
            let is_watcher = |watcher: &Watcher| watcher.client == client;
            let same = |watched: &WatchedKey| watched.db == *db && watched.watchers.iter().any(is_watcher);
            let Ok(mut watched) = self.keys.find_entry(*hash, same) else { continue };
            watched.get_mut().watchers.retain(|watcher| !is_watcher(watcher));
            if watched.get().watchers.is_empty() {
                watched.remove();
            }
        }
        if self.keys.is_empty() {
            self.keys.shrink_to(0, |watched| watched.hash.hash);
        }
    }

    /// Has any key of a client changed since it began to watch?
    pub fn has_changed(&self, client: u64) -> bool {
        self.clients.get(&client).is_some_and(|client| client.has_changed)
    }

    /// The keys that a client watches, except those whose time was past already when it began to.
    pub fn keys_of(&self, client: u64) -> impl Iterator<Item = (DbIndex, Key<'_>)> {
        let keys = self.clients.get(&client).into_iter().flat_map(|client| &client.keys);
        keys.filter_map(move |(db, hash)| {
            let counts = |watcher: &Watcher| watcher.client == client && !watcher.was_expired;
            let same = |watched: &WatchedKey| watched.db == *db && watched.watchers.iter().any(counts);
            let watched = self.keys.find(*hash, same)?;
            Some((*db, Key { bytes: &watched.key, hash: watched.hash }))
        })
    }

    /// The hashes of all keys that a client watches, or of the one that has changed.
    pub fn hashes_of(&self, client: u64) -> impl Iterator<Item = u64> {
        self.clients.get(&client).into_iter().flat_map(|client| client.keys.iter().map(|(_, hash)| *hash))
    }

    /// Something has become of a key: whoever watches it is to know.
    #[inline]
    pub fn touch(&mut self, db: DbIndex, key: &Key<'_>, touch: Touch) {
        if self.is_active() {
            self.touch_watched(db, key, touch);
        }
    }

    /// Is what becomes of keys held back? Then this is kept with the rest.
    pub(super) fn holds(&mut self, db: DbIndex, key: &Key<'_>, touch: Touch) -> bool {
        if self.holds {
            self.held.push(Touched { db, key: key.bytes.into(), touch });
        }
        self.holds
    }

    #[cold]
    fn touch_watched(&mut self, db: DbIndex, key: &Key<'_>, touch: Touch) {
        if self.holds(db, key, touch) {
            return;
        }
        if self.notes_all {
            return self.notes.push(Touched { db, key: key.bytes.into(), touch });
        }
        let same = |watched: &WatchedKey| watched.db == db && *watched.key == *key.bytes;
        let Some(watched) = self.keys.find_mut(key.hash.hash, same) else { return };
        let mut changed = Changed::new();
        for watcher in &mut watched.watchers {
            if touch == Touch::Changed || !watcher.was_expired {
                changed.push(watcher.client);
            }
            watcher.was_expired = false;
        }
        self.note_changed(&changed, Some((db, key.hash.hash)));
    }

    /// A key of these clients has changed: `key`, or some of a database that nobody else has any part of.
    fn note_changed(&mut self, changed: &[u64], key: Option<(DbIndex, u64)>) {
        for client in changed {
            let Some(known) = self.clients.get_mut(client) else { continue };
            known.has_changed = true;
            let keys = std::mem::replace(&mut known.keys, key.into_iter().collect());
            self.let_go(*client, &keys);
        }
    }

    /// A database is about to be emptied, or to be exchanged for what `after` tells of: what will be there under a key.
    /// `before` tells what is there now.
    pub fn replace(
        &mut self,
        db: DbIndex,
        mut before: impl FnMut(&Key<'_>) -> Presence,
        mut after: impl FnMut(&Key<'_>) -> Presence,
    ) {
        let mut changed = Changed::new();
        for watched in self.keys.iter_mut().filter(|watched| watched.db == db) {
            let key = Key { bytes: &watched.key, hash: watched.hash };
            let (before, after) = (before(&key), after(&key));
            if (before, after) == (Presence::Absent, Presence::Absent) {
                continue;
            }
            for watcher in &mut watched.watchers {
                // To clients a key whose time is past is not there, so that it goes or comes is no change.
                match (watcher.was_expired, before, after) {
                    (true, _, Presence::Absent) => watcher.was_expired = false,
                    (true, _, Presence::Expired) => {}
                    (false, Presence::Absent, Presence::Expired) => watcher.was_expired = true,
                    _ => changed.push(watcher.client),
                }
            }
        }
        self.note_changed(&changed, None);
    }

    /// What becomes of keys from now on may be undone: it is kept until [`Watched::take_held`], and nobody hears of it.
    pub fn hold_back(&mut self) {
        self.holds = true;
    }

    /// Holds nothing back any more. What was held back, in its order; to be told once it is certain.
    pub fn take_held(&mut self) -> Vec<Touched> {
        self.holds = false;
        std::mem::take(&mut self.held)
    }

    /// For as long as calls run over keys of other shards: is every change to be noted for those who watch there?
    pub fn note_all(&mut self, notes_all: bool) {
        debug_assert!(self.keys.is_empty() && self.notes.is_empty(), "nobody watches what belongs to others");
        self.notes_all = notes_all;
    }

    /// What was noted, by database and key, the greatest change of each last.
    pub fn take_notes(&mut self) -> Vec<Touched> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.sort_unstable();
        notes
    }
}

type Changed = SmallVec<[u64; 8]>;

/// Is a key in a database?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// No.
    Absent,
    /// Yes, but its time is past.
    Expired,
    /// Yes.
    Present,
}

/// What was noted of a key.
pub fn noted(notes: &[Touched], db: DbIndex, key: &[u8]) -> Option<Touch> {
    let end = notes.partition_point(|note| (note.db, &*note.key) <= (db, key));
    notes[..end].last().filter(|note| note.db == db && *note.key == *key).map(|note| note.touch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keyspace::KeyHasher;

    const DB: DbIndex = DbIndex(0);
    const OTHER: DbIndex = DbIndex(1);

    fn key(bytes: &[u8]) -> Key<'_> {
        KeyHasher::new([1, 2, 3, 4]).key(bytes)
    }

    #[test]
    fn who_watches_hears_of_changes() {
        let mut watched = Watched::default();
        watched.touch(DB, &key(b"a"), Touch::Changed);
        assert!(!watched.is_active());
        for (client, name) in [(1, b"a"), (1, b"b"), (1, b"a"), (2, b"b"), (3, b"c")] {
            watched.watch(client, DB, &key(name), false);
        }
        watched.watch(4, OTHER, &key(b"a"), false);
        assert_eq!((watched.keys(), watched.clients()), (4, 4));
        assert_eq!(watched.keys_of(1).count(), 2, "a key is watched once");
        watched.touch(DB, &key(b"a"), Touch::Changed);
        assert_eq!([1, 2, 3, 4].map(|client| watched.has_changed(client)), [true, false, false, false]);
        assert_eq!((watched.keys(), watched.keys_of(1).count()), (3, 0), "the rest matters no more");
        watched.watch(1, DB, &key(b"a"), false);
        assert_eq!(watched.keys_of(1).count(), 0);
        assert_eq!(watched.hashes_of(1).collect::<Vec<_>>(), [key(b"a").hash.hash], "it may still be locked");
        watched.forget(1);
        watched.watch(1, DB, &key(b"a"), false);
        assert!(!watched.has_changed(1) && watched.keys_of(1).count() == 1, "it starts afresh");
        [1, 2, 3, 4, 5].into_iter().for_each(|client| watched.forget(client));
        assert!(!watched.is_active() && watched.clients() == 0);
    }

    #[test]
    fn what_was_past_already_may_go() {
        let mut watched = Watched::default();
        watched.watch(1, DB, &key(b"a"), true);
        watched.watch(2, DB, &key(b"a"), false);
        assert_eq!((watched.keys_of(1).count(), watched.keys_of(2).count()), (0, 1));
        watched.touch(DB, &key(b"a"), Touch::Expired);
        assert_eq!((watched.has_changed(1), watched.has_changed(2)), (false, true));
        assert_eq!(watched.keys_of(1).count(), 1, "what comes now has a time of its own");
        watched.touch(DB, &key(b"a"), Touch::Expired);
        assert!(watched.has_changed(1));
        watched.watch(3, DB, &key(b"a"), true);
        watched.touch(DB, &key(b"a"), Touch::Changed);
        assert!(watched.has_changed(3));
    }

    #[test]
    fn databases_are_replaced() {
        use Presence::{Absent, Expired, Present};
        let cases = [
            (false, Absent, Absent, false, false),
            (false, Present, Absent, true, false),
            (false, Expired, Absent, true, false),
            (false, Absent, Present, true, false),
            (false, Absent, Expired, false, true),
            (false, Present, Expired, true, false),
            (true, Expired, Absent, false, false),
            (true, Expired, Expired, false, true),
            (true, Expired, Present, true, false),
        ];
        for (was_expired, before, after, is_changed, is_expired) in cases {
            let mut watched = Watched::default();
            watched.watch(1, DB, &key(b"a"), was_expired);
            watched.replace(OTHER, |_| Present, |_| Absent);
            watched.replace(DB, |_| before, |_| after);
            let case = (was_expired, before, after);
            assert_eq!(watched.has_changed(1), is_changed, "{case:?}");
            let counts = !is_changed && !is_expired;
            assert_eq!(watched.keys_of(1).count(), usize::from(counts), "{case:?}");
        }
    }

    #[test]
    fn changes_are_noted_for_others() {
        let mut watched = Watched::default();
        watched.note_all(true);
        watched.touch(DB, &key(b"b"), Touch::Changed);
        watched.touch(DB, &key(b"b"), Touch::Expired);
        watched.touch(OTHER, &key(b"a"), Touch::Expired);
        let notes = watched.take_notes();
        let found = [(DB, b"a"), (DB, b"b"), (OTHER, b"a"), (OTHER, b"b")].map(|(db, key)| noted(&notes, db, key));
        assert_eq!(found, [None, Some(Touch::Changed), Some(Touch::Expired), None]);
        watched.note_all(false);
        watched.touch(DB, &key(b"a"), Touch::Changed);
        assert!(watched.take_notes().is_empty());
    }

    #[test]
    fn what_is_held_back_is_told_later_or_never() {
        for (notes_all, is_undone) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut watched = Watched::default();
            if notes_all {
                watched.note_all(true);
            } else {
                watched.watch(1, DB, &key(b"a"), false);
            }
            watched.hold_back();
            watched.touch(DB, &key(b"a"), Touch::Changed);
            assert!(!watched.has_changed(1));
            let held = watched.take_held();
            assert_eq!(held.len(), 1);
            if !is_undone {
                held.iter().for_each(|held| watched.touch(held.db, &key(&held.key), held.touch));
            }
            let is_told = if notes_all { !watched.take_notes().is_empty() } else { watched.has_changed(1) };
            assert_eq!(is_told, !is_undone);
        }
    }

    #[test]
    fn keys_of_one_hash_are_told_apart() {
        let mut watched = Watched::default();
        let (one, other) = (key(b"one"), Key { bytes: b"other", ..key(b"one") });
        watched.watch(1, DB, &one, false);
        watched.watch(1, DB, &other, false);
        watched.watch(2, DB, &other, false);
        assert_eq!(watched.keys(), 2);
        watched.touch(DB, &one, Touch::Changed);
        assert_eq!((watched.has_changed(1), watched.has_changed(2), watched.keys()), (true, false, 1));
        watched.forget(2);
        assert!(!watched.is_active());
    }
}
