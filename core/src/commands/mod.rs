//! The commands, one folder per family: rows, handlers, unit tests.
//!
//! A handler sees the world through its [`Context`]. It finds keys there in the way Valkey looks keys up (expired
//! keys count as absent, reads count hits and misses, access times move on) and leaves the rest, such as the
//! removal of the expired keys it came across, to [`Context::run`].

#[cfg(test)]
mod event_tests;
#[cfg(test)]
pub(crate) mod harness;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod touch_tests;

use crate::access::AccessRule;
use crate::codec::Codec;
use crate::command::keys::KeyFlags;
use crate::command::{Command, Fixed, Flags, Group, Handler, Names, Touches};
use crate::keyspace::events::{EventClass, Events};
use crate::keyspace::tracked::Tracker;
use crate::keyspace::watched::Touch;
use crate::keyspace::{Database, EntryRef, Key, KeyHash, NewValue, OwnedEntry, Shard, ValueKind};
use crate::limits::{LONG_REPLY_ELEMENTS_MIN, SHARED_VALUE_BYTES_MIN};
use crate::observe::{Monitored, Watch};
use crate::outcome::{EffectCall, Outcome, Propagate};
use crate::resp::reply::Mark;
use crate::resp::{Args, CommandError, ErrorCounts, Reply};
use crate::script::Scripting;
use crate::units::{DbIndex, Millis, ShardId};
use crate::value::Limits;
use bytes::Bytes;
use std::collections::BTreeSet;

/// The settings that handlers obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// `proto-max-bulk-len`: longest string that a command may build, in bytes.
    pub bulk_bytes_max: i64,
    /// How large a packed collection may become.
    pub limits: Limits,
    /// What is kept about the use of keys.
    pub access: AccessRule,
    /// Is it put off to remove keys whose time has passed?
    pub hold: Hold,
    /// How values become bytes and back.
    pub codec: &'static Codec,
    /// `rdbcompression`: are payloads of DUMP compressed?
    pub compresses: bool,
    /// `rdb-version-check relaxed`: are payloads of any version tried?
    pub any_version: bool,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: is any checksum of a payload right?
    pub skips_checksum: bool,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: may scripts call what is kept from them?
    pub lets_scripts: bool,
    /// Is this a node of a cluster? Then all keys of a call are of one slot.
    pub is_clustered: bool,
    /// Who carries scripts out.
    pub scripting: &'static Scripting,
    /// How scripts call the commands.
    pub names: &'static Names,
}

/// Why keys whose time has passed stay for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    /// They do not.
    #[default]
    No,
    /// Writing is paused: nothing changes but by a write that was under way.
    Paused,
    /// The server is being filled from another one (`import-mode`), which is the one to say what goes.
    Importing,
}

impl Rules {
    /// What happens to expired keys in a call; `is_source`: its client fills the server.
    #[inline]
    pub fn expiry(&self, is_source: bool) -> Expiry {
        match self.hold {
            Hold::No => Expiry::Remove,
            Hold::Importing if is_source => Expiry::Show,
            Hold::Paused | Hold::Importing => Expiry::Hide,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 * 1024 * 1024,
            limits: Limits::default(),
            access: AccessRule::default(),
            hold: Hold::No,
            is_clustered: false,
            lets_scripts: false,
            scripting: Scripting::ABSENT,
            names: Names::unchanged(),
            codec: Codec::ABSENT,
            compresses: true,
            any_version: false,
            skips_checksum: false,
        }
    }
}

/// What happens to keys whose time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiry {
    /// They are absent and are removed on sight: a primary.
    #[default]
    Remove,
    /// They are absent to clients, and stay until the primary removes them, or a write takes their place: a replica.
    Hide,
    /// They are as good as any other: a client that fills the server sees what it has brought.
    Show,
    /// The same, for calls that a primary or a journal makes. Such calls are also not measured against limits, for they
    /// have been accepted before.
    Ignore,
}

impl Expiry {
    /// Are expired keys as good as any other?
    #[inline]
    pub fn shows(self) -> bool {
        matches!(self, Self::Show | Self::Ignore)
    }
}

pub mod bitmap;
pub mod cluster;
pub mod connection;
pub(crate) mod element_scan;
pub mod elsewhere;
pub mod geo;
pub mod hash;
pub mod hll;
pub mod key;
pub mod list;
pub mod long_reply;
pub mod pubsub;
pub mod script;
pub mod server;
pub mod set;
pub mod stream;
pub mod string;
pub mod transaction;
pub mod within;
pub mod zset;

use elsewhere::Elsewhere;
use long_reply::Walk;
use within::{Here, Unfinished};

/// Why a key is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To read it: a hit or a miss, and who subscribes to misses is told.
    Read,
    /// To tell how it is kept: a hit or a miss.
    Inspect,
    /// To change it: neither.
    Change,
}

/// What a handler sees of the world: the shard it runs on, the database the client chose, the time.
#[derive(Debug)]
pub struct Context<'a> {
    /// The shard with all the keys of the call; of one that may touch any key, the shard at hand ([`Context::go_to`]).
    pub shard: &'a mut Shard,
    /// All other shards, for a call that may touch any key.
    pub elsewhere: Option<Box<Elsewhere<'a>>>,
    /// The database the client chose.
    pub db: DbIndex,
    /// The time, the same for the whole call (the whole transaction, the whole script).
    pub now: Millis,
    /// The settings.
    pub rules: &'a Rules,
    /// The hash of the argument with this index, known already from finding the shard.
    pub first_key: Option<(usize, KeyHash)>,
    /// What happens to expired keys.
    pub expiry: Expiry,
    /// The id of the client.
    pub client: u64,
    /// The core of the client, if it keeps copies of what it reads.
    pub tracker: Option<ShardId>,
    /// CLIENT NO-TOUCH: reading does not count as use.
    pub no_touch: bool,
    /// May the call make its client wait?
    pub may_block: bool,
    /// Does it?
    pub waits: bool,
    /// Has the last change of a collection taken all that was in it, so that its key went?
    pub emptied: bool,
    /// Which of its words are others while it waits.
    pub fixed: Option<Box<Fixed>>,
    /// May a long reply be put off, to be written piece by piece?
    pub may_put_off: bool,
    /// How the collection is walked over that a reply tells which was put off.
    pub put_off: Option<Box<Walk>>,
    /// Which keys a unit finds here.
    pub here: Here<'a>,
    /// Where the calls of a unit are counted.
    pub watch: Option<&'a mut Watch>,
    /// Where the errors of a unit are counted.
    pub errors: Option<&'a mut ErrorCounts>,
    /// Is the reply an error, or is one in it, that was counted already?
    pub failed: bool,
    /// Where the calls of a unit are noted for those who monitor; only together with `watch`.
    pub monitored: Option<&'a mut Monitored>,
    /// Where the replies of the calls of a transaction end, if its calls were carried out as one.
    pub unit_ends: Vec<Mark>,
    /// Is it called by a script? Then replies may not depend on the order of sets.
    pub is_in_script: bool,
    /// May the call be interrupted if it takes long?
    pub may_suspend: bool,
    /// Why the call has not ended and has written nothing.
    pub unfinished: Option<Unfinished>,
    /// Expired keys that were come across: their removal is counted and told to the journal when the handler is done.
    expired: Vec<(DbIndex, Box<[u8]>)>,
    /// How many of them have been removed already.
    removed: usize,
    /// Those that subscribers have been told of.
    told: BTreeSet<(DbIndex, Box<[u8]>)>,
}

impl<'a> Context<'a> {
    /// A context with nothing known beforehand and nothing out of the ordinary.
    #[inline]
    pub fn new(shard: &'a mut Shard, db: DbIndex, now: Millis, rules: &'a Rules) -> Self {
        Self {
            shard,
            elsewhere: None,
            db,
            now,
            rules,
            first_key: None,
            expiry: Expiry::Remove,
            client: 0,
            tracker: None,
            no_touch: false,
            may_block: false,
            waits: false,
            emptied: false,
            fixed: None,
            may_put_off: false,
            put_off: None,
            here: Here::Shard,
            watch: None,
            errors: None,
            failed: false,
            monitored: None,
            unit_ends: Vec::new(),
            is_in_script: false,
            may_suspend: false,
            unfinished: None,
            expired: Vec::new(),
            removed: 0,
            told: BTreeSet::new(),
        }
    }

    /// Runs a handler. The outcome holds also what happened besides: the removal of expired keys. It counts even
    /// if the command was refused.
    #[inline]
    pub fn run(
        &mut self,
        handler: Handler,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> (Outcome, Result<(), CommandError>) {
        let (outcome, result) = match handler(self, args, reply) {
            Ok(outcome) => (outcome, Ok(())),
            Err(error) => (Outcome::unchanged(), Err(error)),
        };
        if self.expired.is_empty() {
            return (outcome, result);
        }
        (self.settle(outcome, args), result)
    }

    /// Removes the expired keys that were come across and puts their removal before the effect of the command.
    /// For calls that are not made through [`Context::run`]; `args` is the call that `outcome` may refer to.
    #[cold]
    pub fn settle(&mut self, outcome: Outcome, args: &Args<'_>) -> Outcome {
        self.told.clear();
        if self.expiry != Expiry::Remove {
            self.removed = 0;
            self.expired.clear();
            return outcome;
        }
        self.remove_expired();
        self.removed = 0;
        let mut expired = std::mem::take(&mut self.expired);
        expired.sort_unstable();
        expired.dedup();
        let mut calls = Vec::new();
        for (db, name) in &expired {
            self.shard.stats.expired_keys += 1;
            if self.shard.journaling {
                self.push_in_database(&mut calls, *db, self.removal_of(name));
            }
        }
        if calls.is_empty() {
            return outcome;
        }
        match outcome.propagate {
            Propagate::Nothing => {}
            Propagate::AsGiven => calls.push(EffectCall::new(args.iter())),
            Propagate::Calls(own) => calls.extend(own),
        }
        Outcome::rewritten(outcome.changes, calls)
    }

    /// Removes the expired keys that were come across since the last time.
    #[cold]
    fn remove_expired(&mut self) {
        let (at_hand, expired) = (self.shard.id, std::mem::take(&mut self.expired));
        for (db, name) in &expired[self.removed..] {
            let key = self.shard.key(name);
            self.go_to(key.hash);
            let database = self.shard.database_mut(*db);
            // It may be gone already: keys are named as often as they are come across.
            if database.find(&key).is_some_and(|entry| entry.is_expired(self.now))
                && let Some(entry) = database.remove(&key)
            {
                database.discard(entry);
                self.shard.waiting.note_gone(*db, &key);
                self.shard.touch(*db, &key, Touch::Expired, 0);
            }
        }
        self.removed = expired.len();
        self.expired = expired;
        self.go_to_shard(at_hand);
    }

    /// Makes room for a new value where [`Context::find`] found nothing: an expired key may still lie there.
    #[inline]
    pub fn make_room(&mut self) {
        if self.removed < self.expired.len() {
            self.remove_expired();
        }
    }

    /// Adds a call for a database that need not be the one the client chose.
    fn push_in_database(&self, calls: &mut Vec<EffectCall>, db: DbIndex, call: EffectCall) {
        if db == self.db {
            calls.push(call);
            return;
        }
        let select = |db: DbIndex| EffectCall::new([&b"SELECT"[..], itoa::Buffer::new().format(db.0).as_bytes()]);
        calls.extend([select(db), call, select(self.db)]);
    }

    /// The database the client chose.
    #[inline]
    pub fn database(&mut self) -> &mut Database {
        self.shard.database_mut(self.db)
    }

    /// Argument `index` as a key.
    #[inline]
    pub fn key<'k>(&self, args: &Args<'k>, index: usize) -> Key<'k> {
        match self.first_key {
            Some((known, hash)) if known == index => Key { bytes: args.get(index), hash },
            _ => self.shard.key(args.get(index)),
        }
    }

    /// Argument `index` as a value to store: as an integer where it looks like one, without a copy where it
    /// arrived in an allocation of its own.
    #[inline]
    pub fn value<'k>(&self, args: &Args<'k>, index: usize) -> NewValue<'k> {
        value(args, index)
    }

    /// The time that tells which fields of hashes have expired; for those who see expired keys, none has.
    #[inline]
    pub fn field_time(&self) -> Millis {
        if self.expiry.shows() { crate::value::hash::BEFORE_ALL } else { self.now }
    }

    /// Looks up a key in order to read it: counts a hit or a miss and is a use of the key.
    #[inline]
    pub fn read(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        let uses = !self.no_touch;
        self.look_up(self.db, key, Purpose::Read, uses)
    }

    /// Looks up a key in order to read something about it: counts a hit or a miss, but is no use of the key.
    #[inline]
    pub fn peek(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.look_up(self.db, key, Purpose::Read, false)
    }

    /// Looks up a key in order to tell something about how it is kept: the same, but nobody is told that it is not there.
    #[inline]
    pub fn inspect(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.look_up(self.db, key, Purpose::Inspect, false)
    }

    /// Looks up a key in order to change it: no hit, no miss, but a use.
    #[inline]
    pub fn find(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find_in(self.db, key)
    }

    /// Looks up a key of any database in order to change it.
    #[inline]
    pub fn find_in(&mut self, db: DbIndex, key: &Key<'_>) -> Option<EntryRef<'_>> {
        let uses = !self.no_touch;
        self.look_up(db, key, Purpose::Change, uses)
    }

    /// Finds a key unless its time has passed; notes down one whose time has.
    #[inline(always)]
    fn look_up(&mut self, db: DbIndex, key: &Key<'_>, purpose: Purpose, uses: bool) -> Option<EntryRef<'_>> {
        let (counts, tells) = (purpose != Purpose::Change, purpose == Purpose::Read);
        let Shard { databases, stats, prng, pins, events, .. } = &mut *self.shard;
        let mut entry = databases[db.index()].find(key);
        if entry.is_some_and(|entry| entry.is_expired(self.now)) && !self.expiry.shows() {
            entry = None;
            // One that is read piece by piece stays as long as that takes.
            if !pins.hold(db, key.hash) {
                if events.wanted.has(EventClass::EXPIRED) && self.expiry == Expiry::Remove {
                    tell_expired(&mut self.told, events, db, key.bytes);
                }
                self.expired.push((db, key.bytes.into()));
            }
        }
        match entry {
            Some(_) if counts => stats.keyspace_hits += 1,
            None if counts => {
                stats.keyspace_misses += 1;
                if tells {
                    events.note(EventClass::KEY_MISS, "keymiss", db, key.bytes);
                }
            }
            _ => {}
        }
        let entry = entry?;
        if uses {
            entry.touch(self.rules.access.used(entry.access(), self.now, prng));
        }
        Some(entry)
    }

    /// Must a write look at what it overwrites, even if it does not depend on it? It may be an expired key, whose end
    /// is to be noticed, or it may carry a count of uses.
    #[inline]
    pub fn must_look(&self) -> bool {
        self.rules.access != AccessRule::LastUse || self.shard.database(self.db).volatile() > 0
    }

    /// Writes a value over whatever is there.
    #[inline]
    pub fn write(&mut self, key: &Key<'_>, value: NewValue<'_>, expire: Option<Millis>) {
        self.make_room();
        let fresh = self.fresh_access();
        let access = self.rules.access;
        let database = self.database();
        let existed = match access {
            AccessRule::LastUse => database.store(key, value, expire, fresh),
            AccessRule::Count { .. } => {
                let existed = database.set(key, value, expire);
                if !existed {
                    database.touch(key, fresh);
                }
                existed
            }
        };
        if !existed {
            self.notify_new(key);
        }
        self.free_unless(self.shard.lazy_free.server_del);
    }

    /// Frees what was removed or replaced at once, unless that is to be done `lazily`.
    #[inline]
    pub fn free_unless(&mut self, lazily: bool) {
        if !lazily && self.database().buried() > 0 {
            self.database().free_buried();
        }
    }

    /// The access bits of a key that is made now.
    #[inline]
    pub fn fresh_access(&self) -> u32 {
        self.rules.access.fresh(self.now)
    }

    /// Gives a key that exists another value; its expiry time stays.
    #[inline]
    pub fn replace(&mut self, key: &Key<'_>, value: NewValue<'_>) {
        self.database().replace_value(key, value);
    }

    /// Removes a key that [`Context::find`] has found, or would find; was there one?
    #[inline]
    pub fn delete(&mut self, key: &Key<'_>) -> bool {
        let (now, expiry) = (self.now, self.expiry);
        let Some(entry) = self.database().remove(key) else {
            return false;
        };
        let was_alive = expiry != Expiry::Remove || !entry.as_ref().is_expired(now);
        self.database().discard(entry);
        if was_alive {
            return true;
        }
        // Its time had passed: that is what removed it, and this is only when it was noticed.
        self.come_across_expired(self.db, key.bytes.into());
        self.shard.touch(self.db, key, Touch::Expired, 0);
        false
    }

    /// A key was come across whose time has passed. It is removed when the call is done, if it still is there.
    #[cold]
    pub(crate) fn come_across_expired(&mut self, db: DbIndex, name: Box<[u8]>) {
        if self.shard.events.wanted.has(EventClass::EXPIRED) && self.expiry == Expiry::Remove {
            tell_expired(&mut self.told, &mut self.shard.events, db, &name);
        }
        self.expired.push((db, name));
    }

    /// Removes a key, even one whose time has passed, as if it had not; was there one? For what is written over without a
    /// look at its time.
    #[inline]
    pub fn clear_away(&mut self, key: &Key<'_>) -> bool {
        let Some(entry) = self.database().remove(key) else {
            return false;
        };
        self.database().discard(entry);
        true
    }

    /// Puts a result that turns out to be empty in the place of what a key holds: the key goes. Was there one?
    ///
    /// Valkey does not look at times there: those who subscribe to the key hear that it was removed even if its time has
    /// passed. For all others it goes for its time: who watched it when that had passed sees no change.
    pub fn store_nothing(&mut self, key: &Key<'_>) -> bool {
        // One that the call has come across before is as good as gone.
        if self.expired.iter().any(|(db, name)| *db == self.db && **name == *key.bytes) {
            return false;
        }
        let now = self.now;
        let Some(is_past) = self.database().find(key).map(|entry| entry.is_expired(now)) else {
            return false;
        };
        let is_expired = is_past && self.expiry == Expiry::Remove;
        self.notify_deleted(key);
        if is_expired {
            if self.shard.events.wanted.has(EventClass::EXPIRED) {
                self.told.insert((self.db, key.bytes.into()));
            }
            self.expired.push((self.db, key.bytes.into()));
            return false;
        }
        self.clear_away(key)
    }

    /// Changes the collection of a key, which is made by `make` if there is none; the key goes with its last element. The
    /// answer is what `change` says, unless there is nothing to change.
    ///
    /// # Errors
    /// [`CommandError::WrongType`] if the key holds something else.
    #[inline]
    pub fn change<'v, R>(
        &mut self,
        key: &Key<'_>,
        kind: ValueKind,
        make: Option<impl FnOnce() -> NewValue<'v>>,
        change: impl FnOnce(&mut OwnedEntry) -> R,
    ) -> Result<Option<R>, CommandError> {
        match self.find(key) {
            Some(entry) if entry.kind() != kind => return Err(CommandError::WrongType),
            Some(_) => {}
            None => return Ok(make.map(|make| self.change_new(key, make(), change))),
        }
        let changed = self.database().change(key, |entry| {
            let result = change(entry);
            (result, entry.as_ref().is_bare())
        });
        let (result, is_bare) = changed.expect("the key has just been found");
        self.emptied = is_bare;
        if is_bare && let Some(entry) = self.database().remove(key) {
            self.database().discard(entry);
        }
        Ok(Some(result))
    }

    /// Makes a collection and changes it; it stays if it has an element then.
    fn change_new<R>(&mut self, key: &Key<'_>, value: NewValue<'_>, change: impl FnOnce(&mut OwnedEntry) -> R) -> R {
        self.make_room();
        let mut entry = OwnedEntry::new(key.bytes, value, None);
        entry.as_ref().touch(self.fresh_access());
        let result = change(&mut entry);
        if !entry.as_ref().is_bare() {
            self.database().put(key, entry);
            self.notify_new(key);
        }
        result
    }

    /// Tells that a key has got elements, for which somebody may wait.
    #[inline]
    pub fn note_filled(&mut self, key: &Key<'_>) {
        self.shard.waiting.fill(self.db, key);
    }

    /// The same for a key of any database.
    #[inline]
    pub fn note_filled_in(&mut self, db: DbIndex, key: &Key<'_>) {
        self.shard.waiting.fill(db, key);
    }

    /// A key has changed in a way that counts for those who watch it. For calls of rows that say so ([`Touches::Told`]).
    #[inline]
    pub fn touch(&mut self, key: &Key<'_>) {
        self.touch_in(self.db, key);
    }

    /// The same for a key of any database.
    #[inline]
    pub fn touch_in(&mut self, db: DbIndex, key: &Key<'_>) {
        self.shard.touch(db, key, Touch::Changed, self.client);
    }

    /// Something has become of a key of the database at hand, for those who subscribe to such events. To be told where Valkey
    /// tells it.
    #[inline]
    pub fn notify(&mut self, class: EventClass, event: &'static str, key: &Key<'_>) {
        self.shard.events.note(class, event, self.db, key.bytes);
    }

    /// The same for a key of any database.
    #[inline]
    pub fn notify_in(&mut self, db: DbIndex, class: EventClass, event: &'static str, key: &Key<'_>) {
        self.shard.events.note(class, event, db, key.bytes);
    }

    /// Something was taken from a collection by [`Context::change`]: that, and that nothing is left if so.
    #[inline]
    pub fn notify_taken(&mut self, class: EventClass, event: &'static str, key: &Key<'_>) {
        self.notify(class, event, key);
        if self.emptied {
            self.notify_deleted(key);
        }
    }

    /// A key of the database at hand is no more.
    #[inline]
    pub fn notify_deleted(&mut self, key: &Key<'_>) {
        self.notify(EventClass::GENERIC, "del", key);
    }

    /// A string was set, perhaps with an expiry time.
    #[inline]
    pub fn notify_set(&mut self, key: &Key<'_>, expires: bool) {
        self.notify(EventClass::STRING, "set", key);
        if expires {
            self.notify(EventClass::GENERIC, "expire", key);
        }
    }

    /// A key of the database at hand has been made. [`Context::write`] and [`Context::change`] tell it themselves.
    #[inline]
    pub fn notify_new(&mut self, key: &Key<'_>) {
        self.notify(EventClass::NEW, "new", key);
    }

    /// After each call: tells those who watch its keys what it has changed.
    #[inline]
    pub fn note_touched(&mut self, row: &Command, args: &Args<'_>, outcome: &Outcome) {
        if outcome.changes > 0 && row.touches == Touches::Written && (self.shard.is_heard() || self.elsewhere.is_some())
        {
            self.touch_written(row, args);
        }
    }

    #[cold]
    fn touch_written(&mut self, row: &Command, args: &Args<'_>) {
        let at_hand = self.shard.id;
        row.visit_keys(args, |index, spec| {
            if !spec.flags.has(KeyFlags::RO) {
                let key = self.shard.key(args.get(index));
                self.go_to(key.hash);
                self.touch(&key);
            }
        });
        self.go_to_shard(at_hand);
    }

    /// After each call of a client that keeps copies of what it reads: remembers what this call has read.
    #[inline]
    pub fn note_read(&mut self, row: &Command, args: &Args<'_>) {
        if let Some(core) = self.tracker
            && row.flags.has(Flags::READONLY)
            && row.group != Group::Scripting
        {
            self.remember_read(row, args, Tracker { core, client: self.client });
        }
    }

    #[cold]
    fn remember_read(&mut self, row: &Command, args: &Args<'_>, tracker: Tracker) {
        let at_hand = self.shard.id;
        row.visit_keys(args, |index, _| {
            let key = self.key(args, index);
            self.go_to(key.hash);
            self.shard.tracked.remember(&key, tracker);
        });
        self.go_to_shard(at_hand);
    }

    /// A call has found nothing that it could take: its client waits if it may, and else gets `nothing` as its reply.
    pub fn wait_or(&mut self, reply: &mut Reply<'_>, nothing: impl FnOnce(&mut Reply<'_>)) -> Outcome {
        self.waits = self.may_block;
        if !self.waits {
            nothing(reply);
        }
        Outcome::unchanged()
    }

    /// From this number of elements on, the reply to the call is to be put off.
    #[inline]
    pub fn long_from(&self) -> usize {
        if self.may_put_off { LONG_REPLY_ELEMENTS_MIN } else { usize::MAX }
    }

    /// Puts off the reply, which tells the collection of the first key; nothing of it may be written.
    #[cold]
    pub fn put_off(&mut self, walk: Walk) -> Outcome {
        debug_assert!(self.may_put_off, "only a reply for which nobody else waits is put off");
        self.put_off = Some(Box::new(walk));
        Outcome::unchanged()
    }

    /// Has this time passed, so that a key is removed rather than given it?
    #[inline]
    pub fn has_passed(&self, when: Millis) -> bool {
        when <= self.now && self.expiry == Expiry::Remove
    }

    /// May a string grow to the sum of these lengths?
    pub fn check_string_len(&self, len: i64, more: usize) -> Result<(), CommandError> {
        // A call that was accepted elsewhere is bounded by what a string can be at all.
        let max = match self.expiry {
            Expiry::Ignore => i64::from(u32::MAX),
            Expiry::Remove | Expiry::Hide | Expiry::Show => self.rules.bulk_bytes_max,
        };
        match len.checked_add(more as i64) {
            Some(total) if total <= max => Ok(()),
            _ => Err(CommandError::text("string exceeds maximum allowed size (proto-max-bulk-len)")),
        }
    }

    /// The outcome with a canonical effect, which is made only if there is a journal.
    #[inline]
    pub fn effect(&self, changes: u32, call: impl FnOnce() -> EffectCall) -> Outcome {
        if self.shard.journaling { Outcome::rewritten(changes, [call()]) } else { Outcome::changed(changes) }
    }

    /// The outcome of a removal by an expiry time in the past.
    pub fn deleted(&self, name: &[u8]) -> Outcome {
        self.effect(1, || self.removal_of(name))
    }

    fn removal_of(&self, name: &[u8]) -> EffectCall {
        EffectCall::new([if self.shard.lazy_free.expire { &b"UNLINK"[..] } else { b"DEL" }, name])
    }
}

/// Tells of a key that was come across after its time, unless that has been told.
#[cold]
fn tell_expired(told: &mut BTreeSet<(DbIndex, Box<[u8]>)>, events: &mut Events, db: DbIndex, name: &[u8]) {
    if told.insert((db, name.into())) {
        events.note(EventClass::EXPIRED, "expired", db, name);
    }
}

/// An argument as a value to store: as an integer where it looks like one, without a copy where it arrived in an
/// allocation of its own.
#[inline]
pub fn value<'k>(args: &Args<'k>, index: usize) -> NewValue<'k> {
    match args.shared(index) {
        None => NewValue::from_bytes(args.get(index)),
        Some(bytes) if bytes.len() < SHARED_VALUE_BYTES_MIN => NewValue::from_bytes(args.get(index)),
        Some(bytes) => NewValue::from_shared(Bytes::clone(bytes)),
    }
}
