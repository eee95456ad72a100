//! Undoing what a unit wrote, so that it can be begun anew elsewhere. Nobody has seen it: nothing else ran in between.
//!
//! Before the first write to a key its entry is copied. Small entries only: a unit that is to write to a large one before it is
//! known to find all its keys here is begun anew at once. A trial, which is undone in the end whatever it did, has everything at hand and copies
//! whatever it writes to.

use super::Unit;
use crate::command::Command;
use crate::commands::Context;
use crate::commands::key::other_database;
use crate::keyspace::events::Event;
use crate::keyspace::{EntryRef, Key, OwnedEntry, Value};
use crate::resp::Args;
use crate::units::DbIndex;

/// Larger entries are not copied, in bytes.
const SAVED_BYTES_MAX: usize = 4096;

/// So many keys are saved at most.
const SAVED_KEYS_MAX: usize = 256;

/// A key as it was before the unit first wrote to it.
#[derive(Debug)]
pub(super) struct Saved {
    db: DbIndex,
    name: Box<[u8]>,
    hash: u64,
    entry: Option<OwnedEntry>,
}

impl Context<'_> {
    /// Saves the keys that a call is about to write to. `false`: it cannot be undone.
    pub(super) fn save(&mut self, unit: &mut Unit, row: &Command, args: &Args<'_>, keys: &[Key<'_>]) -> bool {
        let other = other_database(row, args, self.shard.database_count());
        for key in keys {
            if unit.is_trial {
                self.go_to(key.hash);
            }
            for db in std::iter::once(unit.db).chain(other) {
                let is_known =
                    |saved: &Saved| saved.hash == key.hash.hash && saved.db == db && *saved.name == *key.bytes;
                if unit.saved.iter().any(is_known) {
                    continue;
                }
                let entry = self.shard.database(db).find(key);
                let is_too_much = unit.saved.len() == SAVED_KEYS_MAX || entry.is_some_and(|entry| !is_cheap(&entry));
                if is_too_much && !unit.is_trial {
                    return false;
                }
                let entry = entry.map(|entry| entry.copied_under(key.bytes));
                unit.saved.push(Saved { db, name: key.bytes.into(), hash: key.hash.hash, entry });
            }
        }
        true
    }

    /// Undoes what the calls of a unit did.
    pub fn roll_back(&mut self, unit: &mut Unit) {
        // A read that came across an expired key has removed it for good, and nobody will come across it again.
        let removed_by_a_read = |event: &Event| {
            event.name == "expired" && !unit.saved.iter().any(|saved| saved.db == event.db && saved.name == event.key)
        };
        unit.events.retain(removed_by_a_read);
        self.shard.events.extend(unit.events.drain(..));
        if unit.is_trial {
            self.forget_events();
        }
        for Saved { db, name, entry, .. } in unit.saved.drain(..) {
            let key = self.shard.key(&name);
            self.go_to(key.hash);
            let database = self.shard.database_mut(db);
            if let Some(now) = database.remove(&key) {
                database.discard(now);
            }
            if let Some(entry) = entry {
                database.put(&key, entry);
            }
        }
        (unit.has_written, unit.changes) = (false, 0);
        unit.effects.clear();
        unit.touched.clear();
    }
}

impl Context<'_> {
    /// Nobody is told what became of keys since this was said last, or the data was brought here.
    pub fn forget_events(&mut self) {
        self.shard.events.take();
    }
}

fn is_cheap(entry: &EntryRef<'_>) -> bool {
    match entry.value() {
        Value::Int(_) | Value::Shared(_) => true,
        Value::Bytes(_) | Value::Packed(..) => entry.entry_bytes() <= SAVED_BYTES_MAX,
        Value::List(_) | Value::Set(_) | Value::Hash(_) | Value::SortedSet(_) | Value::Stream(_) => false,
    }
}
