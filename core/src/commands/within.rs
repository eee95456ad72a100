//! Calls within a unit: the commands of a script, and those of a transaction that is carried out over the data of several
//! shards. They take effect together.
//!
//! A unit runs on one core. Where that has not all data at hand, a call may turn out to need a key that is elsewhere: then
//! what the unit has written is undone ([`undo`]) and it is begun anew on a core to which all shards have lent what they have.
//! There a call whose keys live on several shards runs over them as if there were one ([`spread`]).

pub mod exec;
mod process;
mod spread;
#[cfg(test)]
mod tests;
mod undo;

use super::key::other_database;
use super::{Context, Rules};
use crate::command::keys::KeyFlags;
use crate::command::{Admin, Command, Flags, Group, Names, Run, Spread, table};
use crate::keyspace::Key;
use crate::keyspace::events::Event;
use crate::keyspace::watched::Touched;
use crate::observe::monitored::{Shown, shown};
use crate::outcome::{EffectCall, Outcome, Propagate};
use crate::resp::{Args, CommandError, Protocol, Reply, ReplyBuffer};
use crate::txn::batch::push_key_locks;
use crate::txn::locks::{LockTable, Owner, Scope};
use crate::units::DbIndex;
pub(crate) use process::unanswered;
use smallvec::SmallVec;
use undo::Saved;

/// Which keys a call finds at the shard at hand.
#[derive(Debug, Clone, Copy)]
pub enum Here<'a> {
    /// All that the shard owns.
    Shard,
    /// The same, while others have locked some of them.
    Contended {
        /// Who has locked what.
        locks: &'a LockTable,
        /// The hashes of the keys that the call names: for these it was admitted.
        named: &'a [u64],
        /// Who runs it, if that is somebody whose own locks are no obstacle, nor who waits behind them.
        owner: Option<Owner>,
    },
    /// Those whose entries were lent: their databases and hashes, sorted.
    Lent(&'a [(DbIndex, u64)]),
    /// All keys that there are.
    Everything,
}

/// Why a call has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// It touches keys that are elsewhere. All that it did is undone; it is to be begun anew over the data of all shards.
    Elsewhere,
    /// It takes long and was interrupted: it is to be called again, with the same words.
    Suspended,
}

/// What becomes of a call within a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// It has replied; was it with an error?
    Done {
        /// Yes.
        failed: bool,
    },
    /// It was not carried out because it needs what is elsewhere: the unit is to be rolled back and begun anew.
    Elsewhere,
    /// It was not carried out because somebody has locked a key that the unit did not name: to be tried again later, or to be
    /// taken for [`Within::Elsewhere`].
    Locked,
    /// It was not carried out because the process must do that, which takes a while; nothing was written.
    ByProcess,
}

/// What calls within a unit may do, and what they have done so far.
#[derive(Debug)]
pub struct Unit {
    /// The database that the calls are about: SELECT changes it.
    pub db: DbIndex,
    /// The protocol of their replies.
    pub protocol: Protocol,
    /// Are they those of a script? Then some commands are refused.
    pub is_script: bool,
    /// May they only read?
    pub reads_only: bool,
    /// May they find the memory full?
    pub allows_oom: bool,
    /// May their keys be of several slots in a cluster?
    pub allows_several_slots: bool,
    /// Is it certain that only keys are touched that the unit names? Then nothing need ever be undone.
    pub is_proven: bool,
    /// Is all that they do to be undone at the end, however large it is?
    pub is_trial: bool,
    /// Has anything been written?
    pub has_written: bool,
    changes: u32,
    effects: Vec<EffectCall>,
    /// The database that the effects so far are about.
    effects_db: DbIndex,
    saved: Vec<Saved>,
    /// What is to be told to those who watch keys when it is certain that nothing will be undone.
    touched: Vec<Touched>,
    /// The same for those who subscribe to events.
    events: Vec<Event>,
    /// The slot of the keys so far, in a cluster.
    slot: Option<crate::units::Slot>,
}

impl Unit {
    /// Nothing done yet, and everything allowed.
    pub fn new(db: DbIndex, protocol: Protocol) -> Self {
        Self {
            db,
            protocol,
            is_script: false,
            reads_only: false,
            allows_oom: true,
            allows_several_slots: false,
            is_proven: false,
            is_trial: false,
            has_written: false,
            changes: 0,
            effects: Vec::new(),
            effects_db: db,
            saved: Vec::new(),
            touched: Vec::new(),
            events: Vec::new(),
            slot: None,
        }
    }

    fn note_effects(&mut self, propagate: Propagate, journaling: bool, args: &Args<'_>) {
        if !journaling || matches!(propagate, Propagate::Nothing) {
            return;
        }
        if self.effects_db != self.db {
            self.effects_db = self.db;
            self.effects.push(select(self.db));
        }
        match propagate {
            Propagate::Nothing => {}
            Propagate::AsGiven => self.effects.push(EffectCall::new(args.iter())),
            Propagate::Calls(calls) => self.effects.extend(calls),
        }
    }
}

fn select(db: DbIndex) -> EffectCall {
    EffectCall::new([&b"SELECT"[..], itoa::Buffer::new().format(db.0).as_bytes()])
}

/// What a script hears that calls what is not for scripts, or not where it runs.
pub const NOT_FROM_SCRIPT: CommandError = CommandError::text("This Valkey command is not allowed from script");

impl Context<'_> {
    /// The unit is over: what all of it leaves behind, as one.
    pub fn end_unit(&mut self, mut unit: Unit) -> Outcome {
        for Touched { db, key, touch } in std::mem::take(&mut unit.touched) {
            let key = self.shard.key(&key);
            self.shard.touch(db, &key, touch, self.client);
        }
        self.shard.events.extend(std::mem::take(&mut unit.events));
        if unit.effects.is_empty() {
            return Outcome { changes: unit.changes, propagate: Propagate::Nothing };
        }
        if unit.effects_db != self.db {
            unit.effects.push(select(self.db));
        }
        Outcome::rewritten(unit.changes, unit.effects)
    }

    /// Carries out one call of a unit and appends its reply, which may be an error.
    pub fn call_within(&mut self, unit: &mut Unit, args: &Args<'_>, out: &mut ReplyBuffer) -> Within {
        match resolve(self.rules.names, args).and_then(|row| check(self.rules, unit, row).map(|()| row)) {
            Ok(row) => self.run_within(unit, row, args, out),
            Err(error) => {
                if let (Some(watch), Some(row)) = (&mut self.watch, self.rules.names.find(args)) {
                    watch.reject(row);
                }
                self.fail(unit, &error, out)
            }
        }
    }

    /// The same for a call that has been looked up and may be carried out.
    pub fn run_within(
        &mut self,
        unit: &mut Unit,
        row: &'static Command,
        args: &Args<'_>,
        out: &mut ReplyBuffer,
    ) -> Within {
        if let Some(watch) = &mut self.watch {
            watch.start();
            if unit.is_script {
                watch.note_within();
            }
        }
        let shown = if self.monitored.is_some() { shown(row) } else { Shown::Never };
        if shown == Shown::Before {
            self.note_monitored(unit, row, args);
        }
        let within = match row.run {
            Run::OnShard(_) => self.run_on_shard(unit, row, args, out),
            Run::Admin(admin) => self.run_of_process(unit, row, admin, args, out),
            Run::Missing | Run::Container => self.fail(unit, &table::unknown(args, self.rules.names), out),
        };
        if let (Some(watch), Within::Done { failed }) = (&mut self.watch, within) {
            let ticks = watch.lap();
            watch.record(row, ticks, failed);
            if shown == Shown::After {
                self.note_monitored(unit, row, args);
            }
        }
        within
    }

    #[cold]
    fn note_monitored(&mut self, unit: &Unit, row: &'static Command, args: &Args<'_>) {
        if let (Some(monitored), Some(watch)) = (&mut self.monitored, &self.watch) {
            monitored.note(watch.last(), self.client, unit.db, row, args, unit.is_script);
        }
    }

    fn run_on_shard(
        &mut self,
        unit: &mut Unit,
        row: &'static Command,
        args: &Args<'_>,
        out: &mut ReplyBuffer,
    ) -> Within {
        let of_all = matches!(row.spread, Spread::EveryShard { .. });
        let needs_all = of_all || row.needs_every_shard(args);
        if needs_all && !self.has_everything() {
            return Within::Elsewhere;
        }
        let keys = self.keys_of(row, args);
        if let Err(error) = self.check_slots(unit, &keys) {
            return self.fail(unit, &error, out);
        }
        if let Some(missing) = self.find_missing(row, args, unit.db, &keys) {
            return missing;
        }
        let writes = row.flags.has(Flags::WRITE);
        let is_uncertain = !unit.is_proven && !self.has_everything();
        let may_be_undone = writes && is_uncertain;
        if (may_be_undone || writes && unit.is_trial) && !self.save(unit, row, args, &keys) {
            return Within::Elsewhere;
        }
        let holds_back = may_be_undone && self.shard.is_heard();
        if holds_back {
            self.shard.watched.hold_back();
        }
        let events_before = self.shard.events.len();
        let (db, first_key) = (std::mem::replace(&mut self.db, unit.db), self.first_key.take());
        let (may_block, may_put_off) = (self.may_block, self.may_put_off);
        (self.may_block, self.may_put_off) = (false, false);
        let was_in_script = std::mem::replace(&mut self.is_in_script, unit.is_script);
        let (outcome, result) = match &self.elsewhere {
            Some(_) if of_all => self.run_on_all(row, args, unit.protocol, out),
            Some(_) => self.run_where_keys_are(row, args, &keys, unit.protocol, out),
            None => self.run_here(row, args, unit.protocol, out),
        };
        self.note_touched(row, args, &outcome);
        self.note_read(row, args);
        if holds_back {
            unit.touched.append(&mut self.shard.watched.take_held());
        }
        if is_uncertain && self.shard.events.len() > events_before {
            unit.events.append(&mut self.shard.events.take_from(events_before));
        }
        (self.db, self.first_key) = (db, first_key);
        (self.may_block, self.may_put_off) = (may_block, may_put_off);
        self.is_in_script = was_in_script;
        self.waits = false;
        if writes && self.elsewhere.is_none() && self.shard.waiting.minded_keys() > 0 {
            keys.iter().for_each(|key| self.shard.waiting.note_gone(unit.db, key));
        }
        unit.has_written |= writes;
        unit.changes += outcome.changes;
        unit.note_effects(outcome.propagate, self.shard.journaling, args);
        match result {
            Ok(()) => Within::Done { failed: std::mem::take(&mut self.failed) },
            Err(error) => self.fail(unit, &error, out),
        }
    }

    /// Runs a call on the shard at hand.
    fn run_here(
        &mut self,
        row: &'static Command,
        args: &Args<'_>,
        protocol: Protocol,
        out: &mut ReplyBuffer,
    ) -> (Outcome, Result<(), CommandError>) {
        let Run::OnShard(handler) = row.run else { return (Outcome::unchanged(), Err(NOT_FROM_SCRIPT)) };
        self.run(handler, args, &mut Reply::new(out, protocol))
    }

    /// Are all keys that there are at hand?
    pub fn has_everything(&self) -> bool {
        match self.here {
            Here::Everything => true,
            Here::Lent(_) => false,
            Here::Shard | Here::Contended { .. } => self.shard.map.shards() == 1,
        }
    }

    /// A call has failed.
    pub(super) fn fail(&mut self, unit: &Unit, error: &CommandError, out: &mut ReplyBuffer) -> Within {
        if let Some(errors) = &mut self.errors {
            errors.note(error.code());
        }
        Reply::new(out, unit.protocol).error(error);
        Within::Done { failed: true }
    }

    fn keys_of<'k>(&self, row: &Command, args: &Args<'k>) -> SmallVec<[Key<'k>; 4]> {
        let mut keys = SmallVec::new();
        row.visit_keys(args, |index, _| keys.push(self.shard.key(args.get(index))));
        keys
    }

    /// In a cluster, the keys of a script are of one slot, which is one of this node, unless the script says otherwise.
    fn check_slots(&self, unit: &mut Unit, keys: &[Key<'_>]) -> Result<(), CommandError> {
        if !self.rules.is_clustered || !unit.is_script || unit.allows_several_slots {
            return Ok(());
        }
        for key in keys {
            if *unit.slot.get_or_insert(key.hash.slot) != key.hash.slot {
                return Err(CommandError::text("Script attempted to access keys that do not hash to the same slot"));
            }
        }
        Ok(())
    }

    /// Is a key of a call not at hand?
    fn find_missing(&self, row: &Command, args: &Args<'_>, db: DbIndex, keys: &[Key<'_>]) -> Option<Within> {
        match self.here {
            Here::Everything => None,
            Here::Shard | Here::Contended { .. } if keys.iter().any(|key| !self.shard.owns(key)) => {
                Some(Within::Elsewhere)
            }
            Here::Shard => None,
            Here::Contended { locks, named, owner } => {
                let mut requests = SmallVec::new();
                push_key_locks(row, args, None, |key| self.shard.key(key).hash, &mut requests);
                requests.retain(|request| !named.contains(&request.fingerprint.0));
                let is_free = match owner {
                    None => locks.is_free(Scope::Keys(&requests)),
                    Some(_) => !locks.is_held(&requests, owner),
                };
                (!requests.is_empty() && !is_free).then_some(Within::Locked)
            }
            Here::Lent(lent) => {
                let is_lent = |key: &Key<'_>, db| lent.binary_search(&(db, key.hash.hash)).is_ok();
                let other = other_database(row, args, self.shard.database_count());
                let all = keys.iter().all(|key| is_lent(key, db) && other.is_none_or(|other| is_lent(key, other)));
                (!all).then_some(Within::Elsewhere)
            }
        }
    }
}

fn resolve(names: &Names, args: &Args<'_>) -> Result<&'static Command, CommandError> {
    const UNKNOWN: CommandError = CommandError::text("Unknown command called from script");
    const ARITY: CommandError = CommandError::text("Wrong number of args calling command from script");
    match names.find(args) {
        Some(row) if row.is_missing() => Err(UNKNOWN),
        Some(row) if !matches!(row.run, Run::Container) && row.accepts(args.len()) => Ok(row),
        Some(_) => Err(ARITY),
        None if args.len() > 1 && names.lookup(args.get(0)).is_some() => Err(table::unknown(args, names)),
        None => Err(UNKNOWN),
    }
}

fn check(rules: &Rules, unit: &Unit, row: &Command) -> Result<(), CommandError> {
    if unit.is_script && row.flags.has(Flags::NOSCRIPT) && !rules.lets_scripts {
        return Err(NOT_FROM_SCRIPT);
    }
    // A script within a script, or a transaction: its rows are all marked so, in case a new one is not.
    if matches!(row.group, Group::Transactions) || matches!(row.run, Run::Admin(Admin::Migrate)) {
        return Err(NOT_FROM_SCRIPT);
    }
    // PFCOUNT is no write, but may change its key.
    let may_change = row.may_replicate() || row.keys.iter().any(|keys| keys.flags.has(KeyFlags::RW));
    let of_all = matches!(row.spread, Spread::EveryShard { .. }) || matches!(row.run, Run::Admin(_));
    if unit.is_trial && of_all && row.flags.has(Flags::WRITE) {
        return Err(CommandError::text("What this command does cannot be undone at the end: use SCRIPT DEBUG SYNC"));
    }
    if unit.reads_only && may_change {
        return Err(CommandError::text("Write commands are not allowed from read-only scripts."));
    }
    Ok(())
}
