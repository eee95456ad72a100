//! Everything that one core owns of the data. One owner, no lock; it may be lent to another core as a whole.

use super::database::{Database, DatabaseFigures};
use super::dict::Remains;
use super::entry::EntryRef;
use super::events::{Event, EventClass, Events};
use super::expiry::{Expired, Progress, expire_some};
use super::pins::Pins;
use super::slot::{Key, KeyHasher, ShardMap};
use super::tracked::Tracked;
use super::waiting::Waiting;
use super::watched::{Presence, Touch, Watched};
use crate::prng::Prng;
use crate::units::{DbIndex, Millis, ShardId};
use std::collections::VecDeque;

/// So many refusals of payloads are kept for the log at a time.
const REFUSALS_MAX: usize = 16;

/// Counts that INFO shows, of one core.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Reads that found their key.
    pub keyspace_hits: u64,
    /// Reads that did not.
    pub keyspace_misses: u64,
    /// Keys removed because their time was past.
    pub expired_keys: u64,
    /// Fields of hashes removed, or written over, because their time was past.
    pub expired_fields: u64,
    /// Keys removed because memory was short.
    pub evicted_keys: u64,
    /// Entries of flushed databases that were freed after the flush.
    pub lazyfreed: u64,
}

impl Stats {
    /// Adds the counts of another shard.
    pub fn add(&mut self, other: &Self) {
        self.keyspace_hits += other.keyspace_hits;
        self.keyspace_misses += other.keyspace_misses;
        self.expired_keys += other.expired_keys;
        self.expired_fields += other.expired_fields;
        self.evicted_keys += other.evicted_keys;
        self.lazyfreed += other.lazyfreed;
    }
}

/// Which removals leave the freeing for later: the `lazyfree-lazy-*` settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LazyFree {
    /// Eviction.
    pub eviction: bool,
    /// Expiry.
    pub expire: bool,
    /// Values that a command replaces as a side effect.
    pub server_del: bool,
    /// DEL.
    pub user_del: bool,
    /// FLUSHDB and FLUSHALL without a word about it.
    pub user_flush: bool,
}

impl Default for LazyFree {
    fn default() -> Self {
        Self { eviction: true, expire: true, server_del: true, user_del: true, user_flush: true }
    }
}

/// All databases of one core, and what belongs to them.
#[derive(Debug)]
pub struct Shard {
    /// Which shard this is.
    pub id: ShardId,
    /// Which shard owns which slots.
    pub map: ShardMap,
    /// Hashes keys as all cores do.
    pub hasher: KeyHasher,
    /// What INFO shows.
    pub stats: Stats,
    /// The source of chance.
    pub prng: Prng,
    /// Are effects to be collected for the journal?
    pub journaling: bool,
    /// May keys be removed because their time is past? (Not on a replica, nor while loading.)
    pub active_expire: bool,
    /// Do they stay for now although they may be removed: while writing is paused, or the server is being filled?
    pub holds_expired: bool,
    /// Which removals leave the freeing for later.
    pub lazy_free: LazyFree,
    /// Who waits for keys.
    pub waiting: Waiting,
    /// Who watches keys.
    pub watched: Watched,
    /// Who has read keys and keeps copies of them.
    pub tracked: Tracked,
    /// What has become of keys, for those who subscribe to it.
    pub events: Events,
    /// Clients who stopped watching while the data was lent, and with it `watched`.
    pub(super) late_forgets: Vec<u64>,
    /// Keys that must stay for now.
    pub pins: Pins,
    /// Why payloads of values were refused, for whoever writes the log.
    pub refusals: Vec<String>,
    pub(crate) databases: Vec<Database>,
    /// Is what these hold with another core?
    pub(super) is_lent: bool,
    /// Empty ones, to stand in for those that are lent; made when that happens first.
    pub(super) vacant: Vec<Database>,
    /// What was to be seen of them when they were lent last.
    pub(super) lent_figures: Vec<DatabaseFigures>,
    pub(super) remains: VecDeque<Remains>,
    /// The database that the next tick begins with.
    next: usize,
}

const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Shard>();
};

impl Shard {
    /// An empty shard.
    pub fn new(id: ShardId, map: ShardMap, database_count: u32, hasher: KeyHasher, seed: u64) -> Self {
        assert!(id.0 < map.shards(), "a shard is one of the map");
        assert!(database_count > 0, "there is at least database 0");
        let database = |_| Database::new(hasher.clone(), map.slots_of(id));
        Self {
            id,
            map,
            databases: (0..database_count).map(database).collect(),
            hasher,
            stats: Stats::default(),
            prng: Prng::new(seed),
            journaling: false,
            active_expire: true,
            holds_expired: false,
            lazy_free: LazyFree::default(),
            waiting: Waiting::default(),
            watched: Watched::default(),
            // Of shards that are flushed together one tells.
            tracked: Tracked::new(id == ShardId(0)),
            events: Events::default(),
            late_forgets: Vec::new(),
            pins: Pins::default(),
            refusals: Vec::new(),
            is_lent: false,
            vacant: Vec::new(),
            lent_figures: Vec::new(),
            remains: VecDeque::new(),
            next: 0,
        }
    }

    /// An empty shard that covers all slots, for running a command over entries that several shards lend.
    pub fn scratch(database_count: u32, hasher: KeyHasher, seed: u64) -> Self {
        Self::new(ShardId(0), ShardMap::new(1), database_count, hasher, seed)
    }

    /// A key with its hash.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        self.hasher.key(bytes)
    }

    /// Is the key's slot one of this shard?
    #[inline]
    pub fn owns(&self, key: &Key<'_>) -> bool {
        self.map.shard_of(key.hash.slot) == self.id
    }

    /// Notes why a payload was refused.
    pub fn note_refusal(&mut self, reason: String) {
        if self.refusals.len() < REFUSALS_MAX {
            self.refusals.push(reason);
        }
    }

    /// How many databases there are.
    pub fn database_count(&self) -> u32 {
        self.databases.len() as u32
    }

    /// A database.
    #[inline]
    pub fn database(&self, index: DbIndex) -> &Database {
        &self.databases[index.index()]
    }

    /// A database, to be changed.
    #[inline]
    pub fn database_mut(&mut self, index: DbIndex) -> &mut Database {
        &mut self.databases[index.index()]
    }

    /// Two different databases, to be changed.
    pub fn two_databases_mut(&mut self, one: DbIndex, other: DbIndex) -> Option<(&mut Database, &mut Database)> {
        let (one, other) = (one.index(), other.index());
        let (low, high) = (one.min(other), one.max(other));
        if low == high || high >= self.databases.len() {
            return None;
        }
        let (front, back) = self.databases.split_at_mut(high);
        let pair = (&mut front[low], &mut back[0]);
        Some(if one == low { pair } else { (pair.1, pair.0) })
    }

    /// A random entry of a database.
    pub fn random(&mut self, index: DbIndex) -> Option<EntryRef<'_>> {
        self.databases[index.index()].random(&mut self.prng)
    }

    /// Has anybody to hear of changes of keys: who watches them, or keeps copies?
    #[inline]
    pub fn is_heard(&self) -> bool {
        self.watched.is_active() || self.tracked.is_active()
    }

    /// Something has become of a key, by this client: whoever watches it or has read it is to know.
    #[inline]
    pub fn touch(&mut self, db: DbIndex, key: &Key<'_>, touch: Touch, writer: u64) {
        if self.is_heard() {
            self.tell_touched(db, key, touch, writer);
        }
    }

    #[cold]
    fn tell_touched(&mut self, db: DbIndex, key: &Key<'_>, touch: Touch, writer: u64) {
        if self.watched.holds(db, key, touch) {
            return;
        }
        self.watched.touch(db, key, touch);
        // That a time has passed is nobody's doing.
        self.tracked.touch(key, if touch == Touch::Expired { 0 } else { writer });
    }

    /// A client watches a key from now on.
    pub fn watch(&mut self, client: u64, db: DbIndex, key: &Key<'_>, now: Millis) {
        let is_expired = self.presence(db, key, now) == Presence::Expired;
        self.watched.watch(client, db, key, is_expired);
    }

    /// A client watches nothing any more.
    pub fn forget_watcher(&mut self, client: u64) {
        if self.is_lent {
            self.late_forgets.push(client);
        } else {
            self.watched.forget(client);
        }
    }

    /// Has any key that a client watches changed, or has its time passed, since the client began to watch it?
    pub fn has_changed_for(&self, client: u64, now: Millis) -> bool {
        debug_assert!(!self.is_lent, "nobody knows while the data is away");
        let is_past = |(db, key): (DbIndex, Key<'_>)| self.presence(db, &key, now) == Presence::Expired;
        self.watched.has_changed(client) || self.watched.keys_of(client).any(is_past)
    }

    fn presence(&self, db: DbIndex, key: &Key<'_>, now: Millis) -> Presence {
        presence(self.database(db), key, now)
    }

    /// Exchanges the contents of two databases.
    pub fn swap_databases(&mut self, one: DbIndex, other: DbIndex, now: Millis) {
        if self.watched.is_active() && one != other {
            let Self { watched, databases, .. } = &mut *self;
            let databases = &*databases;
            for (db, with) in [(one, other), (other, one)] {
                let look = |db: DbIndex| move |key: &Key<'_>| presence(&databases[db.index()], key, now);
                watched.replace(db, look(db), look(with));
            }
        }
        self.databases.swap(one.index(), other.index());
        // Who waits for a key waits for whatever the database of that number holds.
        self.waiting.fill_database(one);
        self.waiting.fill_database(other);
    }

    /// Empties one database or all. `lazily` leaves the freeing to [`Shard::tick`]. The answer: how many keys went.
    pub fn flush(&mut self, index: Option<DbIndex>, lazily: bool) -> usize {
        let range = match index {
            Some(index) => index.index()..index.index() + 1,
            None => 0..self.databases.len(),
        };
        let mut keys = 0;
        range.clone().for_each(|index| self.waiting.note_all_gone(DbIndex(index as u32)));
        self.tracked.flush();
        if self.watched.is_active() {
            let Self { watched, databases, .. } = &mut *self;
            for index in range.clone() {
                // Whoever watches a key whose time is past knows by itself if that is a change.
                let before = |key: &Key<'_>| presence(&databases[index], key, Millis(i64::MIN));
                watched.replace(DbIndex(index as u32), before, |_| Presence::Absent);
            }
        }
        for database in &mut self.databases[range] {
            keys += database.len();
            let remains = database.clear();
            if lazily {
                self.remains.push_back(remains);
            }
        }
        keys
    }

    /// How many entries wait to be freed.
    pub fn waiting_to_be_freed(&self) -> usize {
        let buried = self.databases.iter().map(Database::buried).sum::<usize>();
        self.remains.iter().map(Remains::len).sum::<usize>() + buried
    }

    /// What waits to be freed, for a caller that frees elsewhere.
    pub fn take_remains(&mut self) -> Option<Remains> {
        self.remains.pop_front()
    }

    /// Does what no command asks for, about `budget_entries` entries of it: removes expired keys and fields, frees what is
    /// left of flushed databases. `expired` sees each before it goes. The answer: is there more to do at once?
    pub fn tick(&mut self, now: Millis, budget_entries: usize, expired: &mut dyn FnMut(DbIndex, Expired<'_>)) -> bool {
        let mut more = false;
        if self.active_expire && !self.holds_expired && !self.pins.hold_expired(now) {
            more |= self.expire(now, budget_entries, expired);
            if !self.lazy_free.expire {
                self.databases.iter_mut().filter(|database| database.buried() > 0).for_each(Database::free_buried);
            }
        }
        self.collect_buried();
        if let Some(remains) = self.remains.front_mut() {
            let before = remains.len();
            let is_done = remains.free_some(budget_entries);
            self.stats.lazyfreed += (before - remains.len()) as u64;
            if is_done {
                self.remains.pop_front();
            }
            more |= !self.remains.is_empty();
        }
        more
    }

    /// Large values that lost their entries join what waits to be freed.
    fn collect_buried(&mut self) {
        Self::collect_from(&mut self.databases, &mut self.remains);
    }

    /// The same for those of a scratch shard, which nobody tends.
    pub fn adopt_buried(&mut self, scratch: &mut Shard) {
        Self::collect_from(&mut scratch.databases, &mut self.remains);
    }

    fn collect_from(databases: &mut [Database], remains: &mut VecDeque<Remains>) {
        for database in databases.iter_mut().filter(|database| database.buried() > 0) {
            remains.push_back(Remains::of_values(database.take_buried()));
        }
    }

    fn expire(&mut self, now: Millis, budget_entries: usize, expired: &mut dyn FnMut(DbIndex, Expired<'_>)) -> bool {
        // Whatever runs out of budget is first the next time, so no database waits for another one for ever.
        for step in 0..self.databases.len() {
            let index = (self.next + step) % self.databases.len();
            let db = DbIndex(index as u32);
            let (mut keys, mut fields) = (0, 0);
            let Self { databases, waiting, watched, tracked, events, hasher, .. } = &mut *self;
            let mut seen = |one: Expired<'_>| {
                match one {
                    Expired::Key(entry) => {
                        keys += 1;
                        events.note(EventClass::EXPIRED, "expired", db, entry.key());
                        if waiting.minded_keys() > 0 || watched.is_active() || tracked.is_active() {
                            let key = hasher.key(entry.key());
                            waiting.note_gone(db, &key);
                            watched.touch(db, &key, Touch::Expired);
                            tracked.touch(&key, 0);
                        }
                    }
                    Expired::Field { key, .. } => {
                        fields += 1;
                        // Once for all fields of a hash that go together.
                        let is_same = |last: &Event| last.name == "hexpired" && last.db == db && *last.key == *key;
                        if !events.last().is_some_and(is_same) {
                            events.note(EventClass::HASH, "hexpired", db, key);
                        }
                        if watched.is_active() || tracked.is_active() {
                            let key = hasher.key(key);
                            watched.touch(db, &key, Touch::Changed);
                            tracked.touch(&key, 0);
                        }
                    }
                    Expired::Emptied(entry) => events.note(EventClass::GENERIC, "del", db, entry.key()),
                }
                expired(db, one);
            };
            let progress = expire_some(&mut databases[index], now, budget_entries, &mut seen);
            self.stats.expired_keys += keys;
            self.stats.expired_fields += fields;
            if progress == Progress::More {
                self.next = (index + 1) % self.databases.len();
                return true;
            }
        }
        false
    }

    /// Checks all invariants; for tests.
    pub fn check(&self) {
        for database in &self.databases {
            assert_eq!(database.dict().owned(), self.map.slots_of(self.id), "databases cover the shard's slots");
            database.check();
        }
    }
}

fn presence(database: &Database, key: &Key<'_>, now: Millis) -> Presence {
    match database.find(key) {
        None => Presence::Absent,
        Some(entry) if entry.is_expired(now) => Presence::Expired,
        Some(_) => Presence::Present,
    }
}
