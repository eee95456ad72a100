//! Client-side caching: which clients have read which keys of a shard and hear once of their next change.
//!
//! As in Valkey a name is tracked, in whatever database it is. A client that has gone leaves its id behind until the
//! key changes. Clients that asked for prefixes instead ([`Prefixes`]) are known to all cores; a shard knows only whether there are any.

use super::slot::Key;
use crate::prng::Prng;
use crate::units::ShardId;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Somebody who has read a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tracker {
    /// The core of the client.
    pub core: ShardId,
    /// Its id.
    pub client: u64,
}

/// All who have read a key, in order.
pub type Trackers = SmallVec<[Tracker; 1]>;

/// So many places are drawn by lot before the table is searched for what is in it.
const DRAWS_MAX: usize = 64;

#[derive(Debug)]
struct TrackedKey {
    hash: u64,
    key: Box<[u8]>,
    trackers: Trackers,
}

/// A key of which copies are stale.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stale {
    /// The key.
    pub key: Arc<[u8]>,
    /// The client that has changed it; 0: none.
    pub writer: u64,
    /// Who has read it.
    pub trackers: Trackers,
}

/// Which clients have read which keys of one shard, and what is stale of it.
#[derive(Debug, Default)]
pub struct Tracked {
    keys: HashTable<TrackedKey>,
    items: usize,
    /// Does anybody anywhere want to hear of keys by prefix? Then every change is noted.
    pub broadcasts: bool,
    /// Does this shard tell of a flush? One of those that are flushed together does.
    pub tells_flush: bool,
    stale: Vec<Stale>,
    was_flushed: bool,
}

impl Tracked {
    /// Nothing is tracked. Does the shard tell of a flush?
    pub fn new(tells_flush: bool) -> Self {
        Self { tells_flush, ..Self::default() }
    }

    /// Has anybody to hear of changes?
    #[inline]
    pub fn is_active(&self) -> bool {
        !self.keys.is_empty() || self.broadcasts
    }

    /// How many keys are tracked.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many clients track each key, summed up.
    pub fn items(&self) -> usize {
        self.items
    }

    /// A client has read a key.
    pub fn remember(&mut self, key: &Key<'_>, tracker: Tracker) {
        let same = |tracked: &TrackedKey| *tracked.key == *key.bytes;
        match self.keys.entry(key.hash.hash, same, |tracked| tracked.hash) {
            Entry::Occupied(mut tracked) => {
                let trackers = &mut tracked.get_mut().trackers;
                if let Err(at) = trackers.binary_search(&tracker) {
                    trackers.insert(at, tracker);
                    self.items += 1;
                }
            }
            Entry::Vacant(vacant) => {
                let trackers = SmallVec::from_slice(&[tracker]);
                vacant.insert(TrackedKey { hash: key.hash.hash, key: key.bytes.into(), trackers });
                self.items += 1;
            }
        }
    }

    /// Takes away who has read a key, because it goes elsewhere or has changed.
    pub fn take(&mut self, key: &Key<'_>) -> Trackers {
        if self.keys.is_empty() {
            return Trackers::new();
        }
        let same = |tracked: &TrackedKey| *tracked.key == *key.bytes;
        let Ok(found) = self.keys.find_entry(key.hash.hash, same) else { return Trackers::new() };
        let (tracked, _) = found.remove();
        self.items -= tracked.trackers.len();
        self.shrink();
        tracked.trackers
    }

    /// Puts back what [`Tracked::take`] has taken, here or elsewhere.
    pub fn put(&mut self, key: &Key<'_>, trackers: &[Tracker]) {
        trackers.iter().for_each(|tracker| self.remember(key, *tracker));
    }

    fn shrink(&mut self) {
        if self.keys.len() < self.keys.capacity() / 8 {
            self.keys.shrink_to(self.keys.len() * 2, |tracked| tracked.hash);
        }
    }

    /// A key has changed, by this client.
    pub fn touch(&mut self, key: &Key<'_>, writer: u64) {
        let trackers = self.take(key);
        if !trackers.is_empty() || self.broadcasts {
            self.stale.push(Stale { key: key.bytes.into(), writer, trackers });
        }
    }

    /// A database was emptied. Whatever is tracked is forgotten: as in Valkey everybody is told that all is stale.
    pub fn flush(&mut self) {
        self.keys = HashTable::new();
        self.items = 0;
        self.was_flushed |= self.tells_flush;
    }

    /// Forgets a key that chance chooses, as if it had changed. `false` if there is none.
    pub fn drop_random(&mut self, prng: &mut Prng) -> bool {
        let drawn = (0..DRAWS_MAX).find_map(|_| Some(self.keys.find_entry(prng.next_u64(), |_| true).ok()?.remove().0));
        let dropped = drawn.or_else(|| {
            let hash = self.keys.iter().next()?.hash;
            Some(self.keys.find_entry(hash, |_| true).ok()?.remove().0)
        });
        let Some(TrackedKey { key, trackers, .. }) = dropped else { return false };
        self.items -= trackers.len();
        self.shrink();
        self.stale.push(Stale { key: key.into(), writer: 0, trackers });
        true
    }

    /// Is there something that [`Tracked::take_stale`] would give?
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.stale.is_empty() || self.was_flushed
    }

    /// Takes the keys that have become stale, in the order of their changes, and whether all have.
    pub fn take_stale(&mut self) -> (Vec<Stale>, bool) {
        (std::mem::take(&mut self.stale), std::mem::take(&mut self.was_flushed))
    }

    /// Takes over what has become stale elsewhere.
    pub fn adopt_stale(&mut self, from: &mut Self) {
        self.stale.append(&mut from.stale);
        self.was_flushed |= std::mem::take(&mut from.was_flushed);
    }

    /// Hands over what is tracked, and stays with what is to be told and with its settings.
    pub fn lend(&mut self) -> Self {
        let (keys, items) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.items));
        let (broadcasts, tells_flush) = (self.broadcasts, self.tells_flush);
        Self { keys, items, broadcasts, tells_flush, ..Self::default() }
    }

    /// Takes back what was lent.
    pub fn take_back(&mut self, mut lent: Self) {
        debug_assert!(self.keys.is_empty(), "nobody reads what is away");
        self.adopt_stale(&mut lent);
        (self.keys, self.items) = (lent.keys, lent.items);
    }
}

/// Who wants to hear of all keys with a prefix.
#[derive(Clone, Debug, Default)]
pub struct Followers {
    /// In order.
    trackers: Vec<Tracker>,
    /// Their cores, and how many are on each.
    cores: SmallVec<[(ShardId, u32); 4]>,
}

impl Followers {
    /// The cores on which there are any.
    pub fn cores(&self) -> impl Iterator<Item = ShardId> {
        self.cores.iter().map(|(core, _)| *core)
    }

    /// Those on one core.
    pub fn on(&self, core: ShardId) -> impl Iterator<Item = u64> {
        let from = self.trackers.partition_point(|tracker| tracker.core < core);
        self.trackers[from..].iter().take_while(move |tracker| tracker.core == core).map(|tracker| tracker.client)
    }
}

/// The prefixes that clients follow, found by the lengths that they have.
#[derive(Debug, Default)]
pub struct Prefixes {
    all: BTreeMap<Box<[u8]>, Followers>,
    /// The lengths of prefixes, in order, and how many have each.
    lengths: Vec<(usize, usize)>,
}

impl Prefixes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// A client follows a prefix from now on.
    pub fn add(&mut self, prefix: &[u8], tracker: Tracker) {
        if !self.all.contains_key(prefix) {
            self.all.insert(prefix.into(), Followers::default());
            match self.lengths.binary_search_by_key(&prefix.len(), |(len, _)| *len) {
                Ok(at) => self.lengths[at].1 += 1,
                Err(at) => self.lengths.insert(at, (prefix.len(), 1)),
            }
        }
        let Some(followers) = self.all.get_mut(prefix) else { return };
        let Err(at) = followers.trackers.binary_search(&tracker) else { return };
        followers.trackers.insert(at, tracker);
        match followers.cores.iter_mut().find(|(core, _)| *core == tracker.core) {
            Some((_, count)) => *count += 1,
            None => followers.cores.push((tracker.core, 1)),
        }
    }

    /// A client follows a prefix no more.
    pub fn remove(&mut self, prefix: &[u8], tracker: Tracker) {
        let Some(followers) = self.all.get_mut(prefix) else { return };
        let Ok(at) = followers.trackers.binary_search(&tracker) else { return };
        followers.trackers.remove(at);
        followers.cores.iter_mut().filter(|(core, _)| *core == tracker.core).for_each(|(_, count)| *count -= 1);
        followers.cores.retain(|(_, count)| *count > 0);
        if !followers.trackers.is_empty() {
            return;
        }
        self.all.remove(prefix);
        if let Ok(at) = self.lengths.binary_search_by_key(&prefix.len(), |(len, _)| *len) {
            self.lengths[at].1 -= 1;
            self.lengths.retain(|(_, count)| *count > 0);
        }
    }

    /// Who follows a prefix.
    pub fn followers(&self, prefix: &[u8]) -> Option<&Followers> {
        self.all.get(prefix)
    }

    /// The prefixes of a key that somebody follows, the shortest first.
    pub fn of_key(&self, key: &[u8]) -> impl Iterator<Item = (&[u8], &Followers)> {
        let fits = self.lengths.iter().take_while(move |(len, _)| *len <= key.len());
        fits.filter_map(move |(len, _)| self.all.get_key_value(&key[..*len]).map(|(prefix, all)| (&**prefix, all)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keyspace::KeyHasher;
    use std::collections::BTreeSet;

    fn key(bytes: &[u8]) -> Key<'_> {
        KeyHasher::new([1, 2, 3, 4]).key(bytes)
    }

    fn tracker(core: u16, client: u64) -> Tracker {
        Tracker { core: ShardId(core), client }
    }

    #[test]
    fn whoever_has_read_hears_of_it_once() {
        let mut tracked = Tracked::default();
        tracked.touch(&key(b"a"), 9);
        assert!(!tracked.is_active() && !tracked.has_news());
        for (core, client) in [(1, 7), (0, 8), (1, 7)] {
            tracked.remember(&key(b"a"), tracker(core, client));
        }
        tracked.remember(&key(b"b"), tracker(0, 8));
        assert_eq!((tracked.keys(), tracked.items()), (2, 3));
        tracked.touch(&key(b"a"), 9);
        tracked.touch(&key(b"a"), 9);
        let (stale, was_flushed) = tracked.take_stale();
        let trackers: Trackers = [tracker(0, 8), tracker(1, 7)].into_iter().collect();
        assert_eq!(stale, [Stale { key: b"a"[..].into(), writer: 9, trackers }]);
        assert!(!was_flushed && !tracked.has_news());
        assert_eq!((tracked.keys(), tracked.items()), (1, 1));
    }

    #[test]
    fn where_somebody_follows_prefixes_every_change_is_noted() {
        let mut tracked = Tracked { broadcasts: true, ..Tracked::default() };
        tracked.touch(&key(b"a"), 1);
        tracked.touch(&key(b"a"), 0);
        let writers: Vec<u64> = tracked.take_stale().0.iter().map(|stale| stale.writer).collect();
        assert_eq!(writers, [1, 0]);
    }

    #[test]
    fn a_flush_forgets_all_and_is_told_by_one() {
        for tells_flush in [false, true] {
            let mut tracked = Tracked { tells_flush, ..Tracked::default() };
            tracked.remember(&key(b"a"), tracker(0, 1));
            tracked.flush();
            assert_eq!((tracked.keys(), tracked.items(), tracked.has_news()), (0, 0, tells_flush));
            assert_eq!(tracked.take_stale(), (Vec::new(), tells_flush));
        }
    }

    #[test]
    fn what_is_lent_comes_back_and_what_is_to_be_told_stays() {
        let mut home = Tracked { tells_flush: true, ..Tracked::default() };
        for name in [b"a", b"b", b"c"] {
            home.remember(&key(name), tracker(0, 1));
        }
        home.touch(&key(b"a"), 0);
        let mut lent = home.lend();
        assert!(home.has_news() && !home.is_active() && home.tells_flush);
        lent.touch(&key(b"b"), 0);
        lent.remember(&key(b"d"), tracker(1, 2));
        home.take_back(lent);
        assert_eq!((home.keys(), home.items()), (2, 2));
        let names: Vec<_> = home.take_stale().0.into_iter().map(|stale| stale.key).collect();
        assert_eq!(names, [b"a"[..].into(), b"b"[..].into()] as [Arc<[u8]>; 2]);
    }

    /// Random steps on a table and on a plain map of sets.
    #[test]
    fn it_does_what_a_map_of_sets_does() {
        let mut prng = Prng::new(77);
        let mut tracked = Tracked::default();
        let mut model: BTreeMap<Vec<u8>, BTreeSet<Tracker>> = BTreeMap::new();
        for _ in 0..20_000 {
            let name = format!("key:{}", prng.below(200)).into_bytes();
            let key = key(&name);
            match prng.below(20) {
                0..=12 => {
                    let who = tracker(prng.below(3) as u16, prng.below(9));
                    tracked.remember(&key, who);
                    model.entry(name.clone()).or_default().insert(who);
                }
                13..=16 => {
                    tracked.touch(&key, 5);
                    let expected = model.remove(&name).unwrap_or_default();
                    let (stale, _) = tracked.take_stale();
                    let told: Vec<Tracker> = stale.iter().flat_map(|stale| stale.trackers.iter().copied()).collect();
                    assert!(stale.iter().all(|stale| *stale.key == *name && stale.writer == 5));
                    assert_eq!(told, expected.into_iter().collect::<Vec<_>>());
                }
                17 => {
                    let trackers = tracked.take(&key);
                    tracked.put(&key, &trackers);
                }
                18 => assert_eq!(tracked.drop_random(&mut prng), !model.is_empty()),
                _ => {
                    let lent = tracked.lend();
                    assert_eq!(tracked.keys(), 0);
                    tracked.take_back(lent);
                }
            }
            for stale in tracked.take_stale().0 {
                let expected = model.remove(&*stale.key).unwrap();
                assert_eq!(stale.trackers.to_vec(), expected.into_iter().collect::<Vec<_>>());
            }
            let items: usize = model.values().map(BTreeSet::len).sum();
            assert_eq!((tracked.keys(), tracked.items()), (model.len(), items));
        }
        while tracked.drop_random(&mut prng) {}
        assert_eq!((tracked.keys(), tracked.items(), tracked.take_stale().0.len()), (0, 0, model.len()));
    }

    /// Random prefixes, against a look at all of them.
    #[test]
    fn prefixes_are_found_as_by_a_look_at_all() {
        let mut prng = Prng::new(78);
        let mut prefixes = Prefixes::default();
        let mut model: BTreeSet<(Vec<u8>, Tracker)> = BTreeSet::new();
        let text = |prng: &mut Prng| -> Vec<u8> { (0..prng.below(5)).map(|_| b'a' + prng.below(2) as u8).collect() };
        for _ in 0..5_000 {
            let (prefix, who) = (text(&mut prng), tracker(prng.below(3) as u16, prng.below(4)));
            if prng.below(2) == 0 {
                prefixes.add(&prefix, who);
                model.insert((prefix, who));
            } else {
                prefixes.remove(&prefix, who);
                model.remove(&(prefix, who));
            }
            let key = text(&mut prng);
            let expected: BTreeSet<(Vec<u8>, Tracker)> =
                model.iter().filter(|(prefix, _)| key.starts_with(prefix)).cloned().collect();
            let mut found = BTreeSet::new();
            for (prefix, followers) in prefixes.of_key(&key) {
                for core in followers.cores() {
                    found.extend(followers.on(core).map(|client| (prefix.to_vec(), Tracker { core, client })));
                }
            }
            assert_eq!(found, expected);
            let names: BTreeSet<&[u8]> = model.iter().map(|(prefix, _)| prefix.as_slice()).collect();
            assert_eq!((prefixes.len(), prefixes.is_empty()), (names.len(), names.is_empty()));
        }
    }
}
