//! Keys under another name or in another database.

use crate::command::Command;
use crate::command::options::{Options, integer, is};
use crate::commands::Context;
use crate::keyspace::Database;
use crate::keyspace::events::EventClass;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::units::DbIndex;

/// `RENAME key newkey`
pub fn rename(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let renamed = carry_over(ctx, args, true)?;
    reply.ok();
    Ok(Outcome::changed(u32::from(renamed == Renamed::Moved)))
}

/// `RENAMENX key newkey`
pub fn renamenx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let moved = carry_over(ctx, args, false)? == Renamed::Moved;
    reply.integer(moved.into());
    Ok(Outcome::changed(moved.into()))
}

#[derive(PartialEq, Eq)]
enum Renamed {
    Moved,
    SameName,
    Occupied,
}

fn carry_over(ctx: &mut Context<'_>, args: &Args<'_>, replace: bool) -> Result<Renamed, CommandError> {
    let (from, to) = (ctx.key(args, 1), ctx.key(args, 2));
    if ctx.find(&from).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if from.bytes == to.bytes {
        return Ok(Renamed::SameName);
    }
    if ctx.find(&to).is_some() && !replace {
        return Ok(Renamed::Occupied);
    }
    let entry = ctx.database().remove(&from).expect("the key has just been found");
    ctx.database().put(&to, Database::rename_entry(entry, to.bytes));
    ctx.free_unless(ctx.shard.lazy_free.server_del);
    ctx.note_filled(&to);
    // New it is even where there was another one, which had to go first.
    ctx.notify_new(&to);
    ctx.notify(EventClass::GENERIC, "rename_from", &from);
    ctx.notify(EventClass::GENERIC, "rename_to", &to);
    Ok(Renamed::Moved)
}

/// `MOVE key db`
pub fn move_key(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let target = database_index(ctx, args.get(2))?;
    if target == ctx.db {
        return Err(SAME_OBJECT);
    }
    let key = ctx.key(args, 1);
    let moves = ctx.find(&key).is_some() && ctx.find_in(target, &key).is_none();
    if moves {
        let entry = ctx.database().remove(&key).expect("the key has just been found");
        ctx.shard.database_mut(target).put(&key, entry);
        ctx.note_filled_in(target, &key);
        ctx.touch(&key);
        ctx.touch_in(target, &key);
        ctx.notify_in(target, EventClass::NEW, "new", &key);
        ctx.notify(EventClass::GENERIC, "move_from", &key);
        ctx.notify_in(target, EventClass::GENERIC, "move_to", &key);
    }
    reply.integer(moves.into());
    Ok(Outcome::changed(moves.into()))
}

const SAME_OBJECT: CommandError = CommandError::text("source and destination objects are the same");

/// The database that an argument names.
fn database_index(ctx: &Context<'_>, text: &[u8]) -> Result<DbIndex, CommandError> {
    let index = integer(text)?;
    if i32::try_from(index).is_err() {
        return Err(CommandError::text("value is out of range, value must between -2147483648 and 2147483647"));
    }
    match u32::try_from(index) {
        Ok(index) if index < ctx.shard.database_count() => Ok(DbIndex(index)),
        _ => Err(CommandError::DbIndexOutOfRange),
    }
}

/// The other of `databases` databases that a call touches, if its words name one: the target of COPY or MOVE. One that does
/// not exist has no keys; the handler says so.
pub fn other_database(row: &Command, args: &Args<'_>, databases: u32) -> Option<DbIndex> {
    let at = match row.name {
        "copy" => (3..args.len()).find(|at| is(args.get(*at), "DB"))? + 1,
        "move" => 2,
        _ => return None,
    };
    let index = u32::try_from(integer(args.iter_from(at).next()?).ok()?).ok()?;
    (index < databases).then_some(DbIndex(index))
}

/// `COPY source destination [DB db] [REPLACE]`
pub fn copy(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (mut target, mut replace) = (ctx.db, false);
    let mut options = Options::new(args, 3);
    while let Some(word) = options.word() {
        if is(word, "REPLACE") {
            replace = true;
        } else if is(word, "DB") {
            target = database_index(ctx, options.value()?)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let (from, to) = (ctx.key(args, 1), ctx.key(args, 2));
    if target == ctx.db && from.bytes == to.bytes {
        return Err(SAME_OBJECT);
    }
    let Some(copy) = ctx.read(&from).map(|entry| entry.copied_under(to.bytes)) else {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    };
    if ctx.find_in(target, &to).is_some() && !replace {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    }
    copy.as_ref().touch(ctx.fresh_access());
    ctx.shard.database_mut(target).put(&to, copy);
    ctx.note_filled_in(target, &to);
    ctx.touch_in(target, &to);
    ctx.notify_in(target, EventClass::NEW, "new", &to);
    ctx.notify_in(target, EventClass::GENERIC, "copy_to", &to);
    reply.integer(1);
    Ok(Outcome::changed(1))
}
