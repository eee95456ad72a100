//! Whether keys exist, and their end.

use crate::command::options::is;
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::outcome::{Outcome, Propagate};
use crate::resp::{Args, CommandError, Reply};
use crate::units::DbIndex;

/// `DEL key [key ...]`
pub fn del(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let outcome = unlink(ctx, args, reply);
    ctx.free_unless(ctx.shard.lazy_free.user_del);
    outcome
}

/// `UNLINK key [key ...]`
pub fn unlink(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let mut removed = 0;
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        if ctx.delete(&key) {
            removed += 1;
            ctx.touch(&key);
            ctx.notify(EventClass::GENERIC, "del", &key);
        }
    }
    reply.integer(removed.into());
    Ok(Outcome::changed(removed))
}

/// `EXISTS key [key ...]`
pub fn exists(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let mut found = 0;
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        found += i64::from(ctx.peek(&key).is_some());
    }
    reply.integer(found);
    Ok(Outcome::unchanged())
}

/// `TOUCH key [key ...]`
pub fn touch(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    // This command is meant as use of the keys, whatever the client said about its others.
    let no_touch = std::mem::take(&mut ctx.no_touch);
    let mut found = 0;
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        found += i64::from(ctx.read(&key).is_some());
    }
    ctx.no_touch = no_touch;
    reply.integer(found);
    Ok(Outcome::unchanged())
}

/// `TYPE key`
pub fn key_type(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    reply.simple(match ctx.peek(&key) {
        Some(entry) => entry.kind().name(),
        None => "none",
    });
    Ok(Outcome::unchanged())
}

/// `FLUSHDB [ASYNC | SYNC]`
pub fn flushdb(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    flush(ctx, args, reply, Some(ctx.db))
}

/// `FLUSHALL [ASYNC | SYNC]`
pub fn flushall(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    flush(ctx, args, reply, None)
}

fn flush(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    db: Option<DbIndex>,
) -> Result<Outcome, CommandError> {
    let lazily = match args.len() {
        1 => ctx.shard.lazy_free.user_flush,
        2 if is(args.get(1), "SYNC") => false,
        2 if is(args.get(1), "ASYNC") => true,
        _ => return Err(CommandError::Syntax),
    };
    let removed = ctx.shard.flush(db, lazily);
    reply.ok();
    // A flush goes to the journal even if there was nothing to flush.
    Ok(Outcome { changes: u32::try_from(removed).unwrap_or(u32::MAX), propagate: Propagate::AsGiven })
}
