//! Calls of a unit that are not about one shard's keys: what can be answered where the unit runs.

use super::{NOT_FROM_SCRIPT, Unit, Within};
use crate::command::{Admin, Command};
use crate::commands::Context;
use crate::commands::key::{ScanOptions, parse_cursor, random_key, scan_page};
use crate::keyspace::Cursor;
use crate::number::parse_integer;
use crate::outcome::{Outcome, Propagate};
use crate::resp::{Args, CommandError, Reply, ReplyBuffer};
use crate::script::Answered;
use crate::units::{DbIndex, ShardId, Slot};

impl Context<'_> {
    /// Carries out a call that the process would carry out for a client.
    pub(super) fn run_of_process(
        &mut self,
        unit: &mut Unit,
        row: &'static Command,
        admin: Admin,
        args: &Args<'_>,
        out: &mut ReplyBuffer,
    ) -> Within {
        if matches!(admin, Admin::Scan | Admin::RandomKey | Admin::SwapDb) && !self.has_everything() {
            return Within::Elsewhere;
        }
        let db = std::mem::replace(&mut self.db, unit.db);
        let result = self.answer(unit, admin, args, &mut Reply::new(out, unit.protocol));
        self.db = db;
        match result {
            Ok(None) => Within::ByProcess,
            Ok(Some(outcome)) => {
                unit.has_written |= outcome.changes > 0;
                unit.changes += outcome.changes;
                unit.note_effects(outcome.propagate, self.shard.journaling, args);
                Within::Done { failed: false }
            }
            Err(error) => {
                debug_assert!(!row.name.is_empty(), "every command has a name");
                self.fail(unit, &error, out)
            }
        }
    }

    fn answer(
        &mut self,
        unit: &mut Unit,
        admin: Admin,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<Option<Outcome>, CommandError> {
        match admin {
            Admin::Ping => match args.len() {
                1 => reply.simple("PONG"),
                2 => reply.bulk(args.get(1)),
                _ => return Err(CommandError::Arity("ping".into())),
            },
            Admin::Echo => reply.bulk(args.get(1)),
            Admin::Select => {
                unit.db = self.database_named(args.get(1))?;
                reply.ok();
            }
            Admin::Time => {
                reply.array(2);
                let text = |number: i64| itoa::Buffer::new().format(number).to_owned();
                reply.bulk(text(self.now.0 / 1000).as_bytes());
                reply.bulk(text(self.now.0 % 1000 * 1000).as_bytes());
            }
            Admin::RandomKey => self.answer_random_key(reply),
            Admin::Scan => self.answer_scan(args, reply)?,
            Admin::SwapDb => return self.answer_swap(args, reply).map(Some),
            _ if (self.rules.scripting.answer)(self, admin, args, reply)? == Answered::ByProcess => return Ok(None),
            _ => {}
        }
        Ok(Some(Outcome::unchanged()))
    }

    fn database_named(&self, text: &[u8]) -> Result<DbIndex, CommandError> {
        let index = parse_integer(text).ok_or(CommandError::text("value is not an integer or out of range"))?;
        match u32::try_from(index) {
            Ok(db) if db < self.shard.database_count() => {
                if db > 0 && self.rules.is_clustered {
                    return Err(CommandError::text("SELECT is not allowed in cluster mode"));
                }
                Ok(DbIndex(db))
            }
            _ => Err(CommandError::DbIndexOutOfRange),
        }
    }

    fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shard.map.shards()).map(ShardId)
    }

    /// A shard is drawn by the number of its keys, and then one of them.
    fn answer_random_key(&mut self, reply: &mut Reply<'_>) {
        let mut drawn = None;
        let mut total = 0;
        for id in self.shards() {
            self.go_to_shard(id);
            let size = self.shard.database(self.db).len() as u64;
            let Some(key) = random_key(self) else { continue };
            total += size;
            if self.shard.prng.next_u64() % total < size {
                drawn = Some(key);
            }
        }
        match drawn {
            Some(key) => reply.bulk(&key),
            None => reply.null(),
        }
    }

    fn answer_scan(&mut self, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), CommandError> {
        let cursor = Cursor::from_raw(parse_cursor(args.get(1))?);
        let options = ScanOptions::parse(args)?;
        let wanted = options.page.count;
        let (mut keys, mut next) = (Vec::new(), Some(cursor));
        // The next shard where one has ended, until there are enough.
        while let Some(cursor) = next.take() {
            let shard = self.shard.map.shard_of(cursor.slot());
            self.go_to_shard(shard);
            next = scan_page(self, cursor, &options, &mut keys);
            if next.is_some() {
                break;
            }
            if shard.0 + 1 < self.shard.map.shards() {
                next = Some(Cursor::at_slot(Slot(self.shard.map.slots_of(ShardId(shard.0 + 1)).start)));
            }
            if keys.len() >= wanted {
                break;
            }
        }
        let raw = next.map_or(0, Cursor::to_raw);
        reply.array(2);
        reply.bulk(itoa::Buffer::new().format(raw).as_bytes());
        reply.array(keys.len());
        keys.iter().for_each(|key| reply.bulk(key));
        Ok(())
    }

    fn answer_swap(&mut self, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
        if self.rules.is_clustered {
            return Err(CommandError::text("SWAPDB is not allowed in cluster mode"));
        }
        let index = |at, which: &str| {
            parse_integer(args.get(at))
                .filter(|index| i32::try_from(*index).is_ok())
                .ok_or_else(|| CommandError::owned(format!("invalid {which} DB index")))
        };
        let (one, other) = (index(1, "first")?, index(2, "second")?);
        let count = i64::from(self.shard.database_count());
        if !(0..count).contains(&one) || !(0..count).contains(&other) {
            return Err(CommandError::DbIndexOutOfRange);
        }
        for id in self.shards() {
            self.go_to_shard(id);
            self.shard.swap_databases(DbIndex(one as u32), DbIndex(other as u32), self.now);
        }
        reply.ok();
        Ok(Outcome { changes: 1, propagate: Propagate::AsGiven })
    }
}

/// For where the process has nothing to say.
pub(crate) fn unanswered(
    _: &mut Context<'_>,
    _: Admin,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answered, CommandError> {
    Err(NOT_FROM_SCRIPT)
}
