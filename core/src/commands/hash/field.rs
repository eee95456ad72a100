//! Commands that read single fields.

use super::hash;
use crate::commands::Context;
use crate::commands::string::reply_value;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};

/// `HGET key field`
pub fn hget(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (key, now) = (ctx.key(args, 1), ctx.field_time());
    let field = match ctx.read(&key) {
        Some(entry) => hash(&entry)?.find(args.get(2), now),
        None => None,
    };
    match field {
        Some(field) => reply_value(reply, &field.value),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `HMGET key field...`
pub fn hmget(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (key, now) = (ctx.key(args, 1), ctx.field_time());
    let hash = match ctx.read(&key) {
        Some(entry) => Some(hash(&entry)?),
        None => None,
    };
    reply.array(args.len() - 2);
    match hash {
        None => (2..args.len()).for_each(|_| reply.null()),
        Some(hash) => hash.find_each(args.iter_from(2), now, |field| match field {
            Some(field) => reply_value(reply, &field.value),
            None => reply.null(),
        }),
    }
    Ok(Outcome::unchanged())
}

/// `HSTRLEN key field`
pub fn hstrlen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (key, now) = (ctx.key(args, 1), ctx.field_time());
    let len = match ctx.read(&key) {
        Some(entry) => hash(&entry)?.find(args.get(2), now).map_or(0, |field| field.value.len()),
        None => 0,
    };
    reply.integer(len as i64);
    Ok(Outcome::unchanged())
}

/// `HEXISTS key field`
pub fn hexists(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (key, now) = (ctx.key(args, 1), ctx.field_time());
    let exists = match ctx.read(&key) {
        Some(entry) => hash(&entry)?.find(args.get(2), now).is_some(),
        None => false,
    };
    reply.integer(exists.into());
    Ok(Outcome::unchanged())
}

/// `HLEN key`
pub fn hlen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let len = match ctx.read(&key) {
        Some(entry) => hash(&entry)?.len(),
        None => 0,
    };
    reply.integer(len as i64);
    Ok(Outcome::unchanged())
}
