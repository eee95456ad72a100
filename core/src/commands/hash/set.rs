//! Commands that write and remove fields.

use super::{Names, change, fill, removed, terms};
use crate::commands::{Context, value};
use crate::keyspace::events::EventClass;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::value::hash::Life;

/// `HSET key field value...`
pub fn hset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (added, outcome) = write_all(ctx, args, "hset")?;
    reply.integer(added as i64);
    Ok(outcome)
}

/// `HMSET key field value...`
pub fn hmset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (_, outcome) = write_all(ctx, args, "hmset")?;
    reply.ok();
    Ok(outcome)
}

/// Writes the pairs of a call; how many fields were absent?
#[inline]
fn write_all(ctx: &mut Context<'_>, args: &Args<'_>, command: &'static str) -> Result<(usize, Outcome), CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Arity(command.into()));
    }
    let key = ctx.key(args, 1);
    let terms = terms(ctx);
    let count = (args.len() - 2) / 2;
    let pairs = (2..args.len()).step_by(2).map(|at| (args.get(at), value(args, at + 1)));
    let added = fill(ctx, &key, &terms, |mut hash| {
        // What is too long for a small hash makes it large before anything is written.
        hash.prepare(count, args.iter_from(2).map(<[u8]>::len).max().unwrap_or(0));
        if count > 1 && hash.as_ref().is_empty() {
            return hash.fill(pairs);
        }
        pairs.map(|(field, value)| usize::from(hash.set(field, value, Life::Unbounded))).sum()
    })?;
    ctx.notify(EventClass::HASH, "hset", &key);
    Ok((added, Outcome::changed(count as u32)))
}

/// `HSETNX key field value`
pub fn hsetnx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let terms = terms(ctx);
    let (is_new, expires) = fill(ctx, &key, &terms, |mut hash| {
        let field = args.get(2);
        if hash.find(field).is_some() {
            return (false, false);
        }
        let expires = hash.as_ref().volatile() > 0;
        (hash.set(field, value(args, 3), Life::Unbounded), expires)
    })?;
    reply.integer(is_new.into());
    if is_new {
        ctx.notify(EventClass::HASH, "hset", &key);
    }
    Ok(match (is_new, expires) {
        (false, _) => Outcome::unchanged(),
        (true, false) => Outcome::changed(1),
        // The field may have been there and expired, which others need not have noticed.
        (true, true) => ctx.effect(1, || EffectCall::new([b"HSET", args.get(1), args.get(2), args.get(3)])),
    })
}

/// `HDEL key field...`
pub fn hdel(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let terms = terms(ctx);
    let gone = change(ctx, &key, &terms, |mut hash| {
        args.iter_from(2).filter(|field| hash.remove(field)).collect::<Names<'_>>()
    })?;
    let gone = gone.unwrap_or_default();
    reply.integer(gone.len() as i64);
    if !gone.is_empty() {
        ctx.notify_taken(EventClass::HASH, "hdel", &key);
    }
    if gone.len() == args.len() - 2 {
        return Ok(Outcome::changed(gone.len() as u32));
    }
    Ok(removed(ctx, args, &gone))
}
