//! Calls within a unit: the commands of a script, and those of a transaction that is carried out over the data of several
//! shards. They take effect together.

use super::Context;
use crate::command::{Command, Flags, Run, table};
use crate::outcome::{EffectCall, Outcome, Propagate};
use crate::resp::{Args, CommandError, Protocol, Reply, ReplyBuffer};
use crate::units::DbIndex;

/// Which keys a call finds at the shard at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here<'a> {
    /// All that the shard owns and nobody has locked.
    Shard,
    /// Those whose entries were lent: their hashes, sorted.
    Lent(&'a [u64]),
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
    /// It was not carried out because somebody has locked a key that the unit did not name: to be tried again later.
    Locked,
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
    /// Is it certain that only the keys are touched that the call names? Then nothing need ever be undone.
    pub is_proven: bool,
    /// Has anything been written?
    pub has_written: bool,
    changes: u32,
    effects: Vec<EffectCall>,
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
            has_written: false,
            changes: 0,
            effects: Vec::new(),
        }
    }

    /// What all of it leaves behind, as one.
    pub fn into_outcome(self) -> Outcome {
        match self.effects.is_empty() {
            true => Outcome { changes: self.changes, propagate: Propagate::Nothing },
            false => Outcome::rewritten(self.changes, self.effects),
        }
    }
}

impl Context<'_> {
    /// Carries out one call of a unit and appends its reply, which may be an error.
    pub fn call_within(&mut self, unit: &mut Unit, args: &Args<'_>, out: &mut ReplyBuffer) -> Within {
        let row = match resolve(args) {
            Ok(row) => row,
            Err(error) => return fail(unit, &error, out),
        };
        let Run::OnShard(handler) = row.run else {
            return fail(unit, &CommandError::text("This Valkey command is not allowed from script"), out);
        };
        let (db, first_key) = (std::mem::replace(&mut self.db, unit.db), self.first_key.take());
        let (outcome, result) = self.run(handler, args, &mut Reply::new(out, unit.protocol));
        (self.db, self.first_key) = (db, first_key);
        unit.has_written |= row.flags.has(Flags::WRITE);
        unit.changes += outcome.changes;
        match outcome.propagate {
            Propagate::Nothing => {}
            Propagate::AsGiven if !self.shard.journaling => {}
            Propagate::AsGiven => unit.effects.push(EffectCall::new(args.iter())),
            Propagate::Calls(calls) => unit.effects.extend(calls),
        }
        match result {
            Ok(()) => Within::Done { failed: false },
            Err(error) => fail(unit, &error, out),
        }
    }

    /// Undoes what the calls of a unit did.
    pub fn roll_back(&mut self, unit: &mut Unit) {
        debug_assert!(!unit.has_written, "what was written can be undone");
    }
}

fn resolve(args: &Args<'_>) -> Result<&'static Command, CommandError> {
    table::lookup(args.get(0)).ok_or_else(|| CommandError::text("Unknown Valkey command called from script"))
}

fn fail(unit: &Unit, error: &CommandError, out: &mut ReplyBuffer) -> Within {
    Reply::new(out, unit.protocol).error(error);
    Within::Done { failed: true }
}
