//! Calls of a unit to which the data of all shards is at hand: where the keys of one are on several shards, their entries are
//! brought together for as long as it runs.

use crate::command::{Command, Group, Spread};
use crate::commands::Context;
use crate::commands::key::other_database;
use crate::keyspace::Key;
use crate::keyspace::watched::Touched;
use crate::outcome::Outcome;
use crate::resp::reply::Mark;
use crate::resp::{Args, CommandError, Protocol, ReplyBuffer};
use crate::txn::join::{Part, join_replies};
use crate::units::{DbIndex, ShardId};
use smallvec::SmallVec;

impl Context<'_> {
    /// Runs a call on the shard that has its keys, or over their entries if there are several.
    pub(super) fn run_where_keys_are(
        &mut self,
        row: &'static Command,
        args: &Args<'_>,
        keys: &[Key<'_>],
        protocol: Protocol,
        out: &mut ReplyBuffer,
    ) -> (Outcome, Result<(), CommandError>) {
        let Some(first) = keys.first() else { return self.run_here(row, args, protocol, out) };
        let home = self.shard.map.shard_of(first.hash.slot);
        // A script finds its way by itself, call by call.
        let goes_itself = row.needs_every_shard(args) || matches!(row.group, Group::Scripting);
        if goes_itself || keys.iter().all(|key| self.shard.map.shard_of(key.hash.slot) == home) {
            self.go_to_shard(home);
            return self.run_here(row, args, protocol, out);
        }
        let mut databases: SmallVec<[DbIndex; 2]> = SmallVec::from_slice(&[self.db]);
        databases.extend(other_database(row, args, self.shard.database_count()).filter(|db| *db != self.db));
        let mut places: SmallVec<[(DbIndex, &Key<'_>); 8]> = SmallVec::new();
        for key in keys {
            for db in &databases {
                if !places.iter().any(|(known, other)| known == db && other.bytes == key.bytes) {
                    places.push((*db, key));
                }
            }
        }
        for (db, key) in &places {
            self.go_to(key.hash);
            let trackers = self.shard.tracked.take(key);
            if let Some(entry) = self.shard.database_mut(*db).remove(key) {
                self.bench_mut().database_mut(*db).put(key, entry);
            }
            self.bench_mut().tracked.put(key, &trackers);
        }
        self.bench_mut().watched.note_all(true);
        self.exchange_bench();
        let ran = self.run_here(row, args, protocol, out);
        self.exchange_bench();
        for Touched { db, key, touch } in self.bench_mut().watched.take_notes() {
            let key = self.shard.key(&key);
            self.go_to(key.hash);
            self.shard.watched.touch(db, &key, touch);
        }
        let changed = ran.0.changes > 0;
        for (db, key) in &places {
            self.go_to(key.hash);
            let trackers = self.bench_mut().tracked.take(key);
            self.shard.tracked.put(key, &trackers);
            match self.bench_mut().database_mut(*db).remove(key) {
                Some(entry) => {
                    self.shard.database_mut(*db).put(key, entry);
                    if changed {
                        self.shard.waiting.fill(*db, key);
                    }
                }
                None => self.shard.waiting.note_gone(*db, key),
            }
        }
        self.settle_bench();
        ran
    }

    /// Runs a call on every shard and joins the replies.
    pub(super) fn run_on_all(
        &mut self,
        row: &'static Command,
        args: &Args<'_>,
        protocol: Protocol,
        out: &mut ReplyBuffer,
    ) -> (Outcome, Result<(), CommandError>) {
        let Spread::EveryShard { join, .. } = row.spread else { return self.run_here(row, args, protocol, out) };
        let mut replies = ReplyBuffer::default();
        let mut marks: SmallVec<[Mark; 16]> = SmallVec::from_slice(&[replies.mark()]);
        let (mut changes, mut propagate) = (0, None);
        for id in 0..self.shard.map.shards() {
            self.go_to_shard(ShardId(id));
            let (outcome, result) = self.run_here(row, args, protocol, &mut replies);
            if let Err(error) = result {
                // Words that are wrong are wrong everywhere: nothing has been done.
                return (outcome, Err(error));
            }
            changes += outcome.changes;
            propagate.get_or_insert(outcome.propagate);
            marks.push(replies.mark());
        }
        let parts = marks.windows(2).map(|pair| Part { replies: &replies, from: pair[0], to: pair[1] });
        join_replies(join, protocol, parts, self.shard.prng.next_u64(), out);
        (Outcome { changes, propagate: propagate.unwrap_or_default() }, Ok(()))
    }
}
