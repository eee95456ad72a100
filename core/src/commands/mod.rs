//! The commands, one folder per family: rows, handlers, unit tests.
//!
//! A handler sees the world through its [`Context`]. It finds keys there in the way Valkey looks keys up (expired
//! keys count as absent, reads count hits and misses, access times move on) and leaves the rest, such as the
//! removal of the expired keys it came across, to [`Context::run`].


#[cfg(test)]
pub(crate) mod harness;
#[cfg(test)]
mod model_tests;

use crate::command::Handler;
use crate::keyspace::{Database, EntryRef, Key, KeyHash, NewValue, Shard};
use crate::limits::SHARED_VALUE_BYTES_MIN;
use crate::outcome::{EffectCall, Outcome, Propagate};
use crate::resp::{Args, CommandError, Reply};
use crate::units::{DbIndex, Millis};
use bytes::Bytes;

/// The bits of the clock of accesses.
const ACCESS_CLOCK_MASK: u32 = 0xff_ffff;

/// The settings that handlers obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// `proto-max-bulk-len`: longest string that a command may build, in bytes.
    pub bulk_bytes_max: i64,
    /// Does `maxmemory-policy` count how often keys are used?
    pub counts_use: bool,
    /// Is this a node of a cluster, with its single database?
    pub cluster: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { bulk_bytes_max: 512 * 1024 * 1024, counts_use: false, cluster: false }
    }
}

/// What happens to keys whose time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiry {
    /// They are absent and are removed on sight: a primary.
    #[default]
    Remove,
    /// They are absent to clients, and stay until the primary removes them: a replica.
    Hide,
    /// They are as good as any other: calls that a primary or a journal makes. Such calls are also not measured
    /// against limits, for they have been accepted before.
    Ignore,
}

pub mod bitmap;
pub mod cluster;
pub mod connection;
pub mod geo;
pub mod hash;
pub mod hll;
pub mod key;
pub mod list;
pub mod pubsub;
pub mod script;
pub mod server;
pub mod set;
pub mod stream;
pub mod string;
pub mod transaction;
pub mod zset;

/// What a handler sees of the world: the shard it runs on, the database the client chose, the time.
#[derive(Debug)]
pub struct Context<'a> {
    /// The shard with all the keys of the call.
    pub shard: &'a mut Shard,
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
    /// CLIENT NO-TOUCH: reading does not count as use.
    pub no_touch: bool,
    /// Expired keys that were come across, to be removed when the handler is done.
    expired: Vec<(DbIndex, Box<[u8]>)>,
}

impl<'a> Context<'a> {
    /// A context with nothing known beforehand and nothing out of the ordinary.
    #[inline]
    pub fn new(shard: &'a mut Shard, db: DbIndex, now: Millis, rules: &'a Rules) -> Self {
        Self { shard, db, now, rules, first_key: None, expiry: Expiry::Remove, no_touch: false, expired: Vec::new() }
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
        let mut expired = std::mem::take(&mut self.expired);
        expired.sort_unstable();
        expired.dedup();
        let now = self.now;
        let mut calls = Vec::new();
        for (db, name) in &expired {
            let key = self.shard.key(name);
            let database = &mut self.shard.databases[db.index()];
            // The command may have overwritten or removed it by now.
            if database.find(&key).is_some_and(|entry| entry.is_expired(now)) {
                database.remove(&key);
            }
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

    /// Adds a call for a database that need not be the one the client chose.
    fn push_in_database(&self, calls: &mut Vec<EffectCall>, db: DbIndex, call: EffectCall) {
        if db == self.db {
            calls.push(call);
            return;
        }
        let select = |db: DbIndex| EffectCall::new([&b"SELECT"[..], itoa::Buffer::new().format(db.0).as_bytes()]);
        calls.extend([select(db), call, select(self.db)]);
    }

    /// The current time as entries keep it: seconds, going round in 24 bits.
    #[inline]
    fn access_clock(&self) -> u32 {
        self.now.as_seconds() as u32 & ACCESS_CLOCK_MASK
    }

    /// The database the client chose.
    #[inline]
    pub fn database(&mut self) -> &mut Database {
        &mut self.shard.databases[self.db.index()]
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
        match args.shared(index) {
            None => NewValue::from_bytes(args.get(index)),
            Some(bytes) if bytes.len() < SHARED_VALUE_BYTES_MIN => NewValue::from_bytes(args.get(index)),
            Some(bytes) => NewValue::from_shared(Bytes::clone(bytes)),
        }
    }

    /// Looks up a key in order to read it: counts a hit or a miss and moves the access time on.
    #[inline]
    pub fn read(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        let clock = self.access_clock();
        let touches = !self.no_touch;
        let entry = self.peek(key)?;
        if touches {
            entry.touch(clock);
        }
        Some(entry)
    }

    /// Looks up a key in order to read something about it: counts a hit or a miss, but is no use of the key.
    #[inline]
    pub fn peek(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        let entry = live(&self.shard.databases[self.db.index()], self.db, key, self.now, self.expiry, &mut self.expired);
        let stats = &mut self.shard.stats;
        match entry {
            Some(_) => stats.keyspace_hits += 1,
            None => stats.keyspace_misses += 1,
        }
        entry
    }

    /// Looks up a key in order to change it: uncounted.
    #[inline]
    pub fn find(&mut self, key: &Key<'_>) -> Option<EntryRef<'_>> {
        self.find_in(self.db, key)
    }

    /// Looks up a key of any database in order to change it.
    #[inline]
    pub fn find_in(&mut self, db: DbIndex, key: &Key<'_>) -> Option<EntryRef<'_>> {
        let clock = self.access_clock();
        let touches = !self.no_touch;
        let entry = live(&self.shard.databases[db.index()], db, key, self.now, self.expiry, &mut self.expired)?;
        if touches {
            entry.touch(clock);
        }
        Some(entry)
    }

    /// Can there be an expired key at all? Where there is none, a write need not look what it overwrites.
    #[inline]
    pub fn may_hold_expired(&self) -> bool {
        self.shard.databases[self.db.index()].volatile() > 0
    }

    /// Writes a value over whatever is there.
    #[inline]
    pub fn write(&mut self, key: &Key<'_>, value: NewValue<'_>, expire: Option<Millis>) {
        let clock = self.access_clock();
        self.database().store(key, value, expire, clock);
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
        if expiry == Expiry::Ignore || !entry.as_ref().is_expired(now) {
            return true;
        }
        // Its time had passed: that is what removed it, and this is only when it was noticed.
        self.expired.push((self.db, key.bytes.into()));
        false
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
            Expiry::Remove | Expiry::Hide => self.rules.bulk_bytes_max,
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

/// Finds a key whose time has not passed; notes down one whose time has.
#[inline]
fn live<'s>(
    database: &'s Database,
    db: DbIndex,
    key: &Key<'_>,
    now: Millis,
    expiry: Expiry,
    expired: &mut Vec<(DbIndex, Box<[u8]>)>,
) -> Option<EntryRef<'s>> {
    let entry = database.find(key)?;
    if !entry.is_expired(now) || expiry == Expiry::Ignore {
        return Some(entry);
    }
    if expiry == Expiry::Remove {
        expired.push((db, key.bytes.into()));
    }
    None
}
