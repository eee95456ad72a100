//! XSETID.

use super::ids::parse_id;
use super::{NOT_MADE, with_stream};
use crate::command::options::{Options, is};
use crate::commands::Context;
use crate::keyspace::ValueKind;
use crate::keyspace::events::EventClass;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::stream::{Entries, StreamId};

/// What a call sets.
struct Setting {
    id: StreamId,
    entries_added: Option<u64>,
    max_deleted_id: Option<StreamId>,
}

/// `XSETID key last-id [ENTRIESADDED count] [MAXDELETEDID id]`
pub fn xsetid(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let setting = Setting::parse(args)?;
    let key = ctx.key(args, 1);
    let set = ctx.change(&key, ValueKind::Stream, NOT_MADE, |entry| {
        with_stream(entry, |stream| setting.apply(&mut stream.entries))
    })?;
    set.ok_or(CommandError::NoSuchKey)??;
    ctx.notify(EventClass::STREAM, "xsetid", &key);
    reply.ok();
    Ok(Outcome::changed(1))
}

impl Setting {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut setting = Self { id: parse_id(args.get(2), 0)?, entries_added: None, max_deleted_id: None };
        let mut options = Options::new(args, 3);
        while let Some(word) = options.word() {
            if is(word, "ENTRIESADDED") {
                let count = u64::try_from(options.integer()?);
                let count = count.map_err(|_| CommandError::text("entries_added must be positive"))?;
                setting.entries_added = Some(count);
            } else if is(word, "MAXDELETEDID") {
                let id = parse_id(options.value()?, 0)?;
                if setting.id < id {
                    const SMALLER: &str =
                        "The ID specified in XSETID is smaller than the provided max_deleted_entry_id";
                    return Err(CommandError::text(SMALLER));
                }
                setting.max_deleted_id = Some(id);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(setting)
    }

    /// An error has changed nothing.
    fn apply(&self, entries: &mut Entries) -> Result<(), CommandError> {
        if self.id < entries.max_deleted_id() {
            const SMALLER: &str = "The ID specified in XSETID is smaller than current max_deleted_entry_id";
            return Err(CommandError::text(SMALLER));
        }
        if !entries.is_empty() {
            if self.id < entries.last_live_id() {
                const SMALLER: &str = "The ID specified in XSETID is smaller than the target stream top item";
                return Err(CommandError::text(SMALLER));
            }
            if self.entries_added.is_some_and(|count| count < entries.len() as u64) {
                const FEWER: &str = "The entries_added specified in XSETID is smaller than the target stream length";
                return Err(CommandError::text(FEWER));
            }
        }
        entries.set_last_id(self.id);
        if let Some(count) = self.entries_added {
            entries.set_entries_added(count);
        }
        if let Some(id) = self.max_deleted_id.filter(|&id| id != StreamId::MIN) {
            entries.set_max_deleted_id(id);
        }
        Ok(())
    }
}
