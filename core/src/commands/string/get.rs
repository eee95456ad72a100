//! Commands that read a whole string, and may change or remove it.

use super::{Text, reply_value, string};
use crate::command::options::{ExpiryChange, ExpiryUnit, Options};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};

/// `GET key`
pub fn get(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_string(ctx, args, reply)?;
    Ok(Outcome::unchanged())
}

/// Replies with the string at the first key; did it exist?
#[inline]
fn reply_string(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<bool, CommandError> {
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.read(&key) else {
        reply.null();
        return Ok(false);
    };
    reply_value(reply, &string(&entry)?);
    Ok(true)
}

/// `STRLEN key`
pub fn strlen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let len = match ctx.read(&key) {
        Some(entry) => Text::of(&string(&entry)?).len(),
        None => 0,
    };
    reply.integer(len as i64);
    Ok(Outcome::unchanged())
}

/// `GETSET key value`
pub fn getset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_string(ctx, args, reply)?;
    let key = ctx.key(args, 1);
    let value = ctx.value(args, 2);
    ctx.write(&key, value, None);
    ctx.notify(EventClass::STRING, "set", &key);
    Ok(ctx.effect(1, || EffectCall::new([b"SET", args.get(1), args.get(2)])))
}

/// `GETDEL key`
pub fn getdel(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    if !reply_string(ctx, args, reply)? {
        return Ok(Outcome::unchanged());
    }
    let key = ctx.key(args, 1);
    ctx.delete(&key);
    ctx.notify(EventClass::GENERIC, "del", &key);
    Ok(ctx.effect(1, || EffectCall::new([&b"DEL"[..], args.get(1)])))
}

/// `DELIFEQ key value`
pub fn delifeq(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let equal = match ctx.find(&key) {
        Some(entry) => *Text::of(&string(&entry)?) == *args.get(2),
        None => false,
    };
    if !equal {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    }
    ctx.delete(&key);
    ctx.notify(EventClass::GENERIC, "del", &key);
    reply.integer(1);
    Ok(ctx.effect(1, || EffectCall::new([&b"DEL"[..], args.get(1)])))
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub fn getex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let mut change = ExpiryChange::default();
    let mut options = Options::new(args, 2);
    while let Some(word) = options.word() {
        if !change.take(word, &mut options, false)? {
            return Err(CommandError::Syntax);
        }
    }
    let to = match change {
        ExpiryChange::To(argument) => Some((argument.resolve(args, ctx.now, "getex")?, argument.unit)),
        _ => None,
    };
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.read(&key) else {
        reply.null();
        return Ok(Outcome::unchanged());
    };
    let expires = entry.expire_at().is_some();
    reply_value(reply, &string(&entry)?);
    match to {
        Some((when, ExpiryUnit::AtSeconds | ExpiryUnit::AtMillis)) if ctx.has_passed(when) => {
            ctx.delete(&key);
            ctx.notify(EventClass::EXPIRED, "expired", &key);
            Ok(ctx.deleted(args.get(1)))
        }
        Some((when, _)) => {
            ctx.database().set_expiry(&key, Some(when));
            ctx.notify(EventClass::GENERIC, "expire", &key);
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(when.0).as_bytes();
            Ok(ctx.effect(1, || EffectCall::new([b"PEXPIREAT", args.get(1), digits])))
        }
        None if change == ExpiryChange::Persist && expires => {
            ctx.database().set_expiry(&key, None);
            ctx.notify(EventClass::GENERIC, "persist", &key);
            Ok(ctx.effect(1, || EffectCall::new([b"PERSIST", args.get(1)])))
        }
        None => Ok(Outcome::unchanged()),
    }
}
