//! Strings as numbers.

use super::{Text, string};
use crate::command::options::integer;
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{NewValue, Value};
use crate::long_double::LongDouble;
use crate::number::parse_integer;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};

/// `INCR key`
pub fn incr(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    add(ctx, args, reply, 1)
}

/// `DECR key`
pub fn decr(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    add(ctx, args, reply, -1)
}

/// `INCRBY key increment`
pub fn incrby(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    add(ctx, args, reply, integer(args.get(2))?)
}

/// `DECRBY key decrement`
pub fn decrby(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let decrement = integer(args.get(2))?;
    let increment = decrement.checked_neg().ok_or(CommandError::text("decrement would overflow"))?;
    add(ctx, args, reply, increment)
}

#[inline]
fn add(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, increment: i64) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let old = match ctx.find(&key) {
        None => None,
        Some(entry) => Some(match string(&entry)? {
            Value::Int(value) => value,
            other => parse_integer(&Text::of(&other)).ok_or(CommandError::NotAnInteger)?,
        }),
    };
    let new = old.unwrap_or(0).checked_add(increment);
    let new = new.ok_or(CommandError::text("increment or decrement would overflow"))?;
    match old {
        Some(_) => {
            ctx.database().set_int(&key, new);
        }
        None => ctx.write(&key, NewValue::Int(new), None),
    }
    ctx.notify(EventClass::STRING, "incrby", &key);
    reply.integer(new);
    Ok(Outcome::changed(1))
}

/// `INCRBYFLOAT key increment`
pub fn incrbyfloat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let old = match ctx.find(&key) {
        None => None,
        Some(entry) => Some(match string(&entry)? {
            Value::Int(value) => LongDouble::from(value),
            other => LongDouble::parse(&Text::of(&other)).ok_or(CommandError::NotAFloat)?,
        }),
    };
    let increment = LongDouble::parse(args.get(2)).ok_or(CommandError::NotAFloat)?;
    let sum = old.unwrap_or(LongDouble::from(0)).plus(increment).filter(|sum| !sum.is_infinite());
    let text = sum.ok_or(CommandError::text("increment would produce NaN or Infinity"))?.text();
    // The sum is text even where it looks like an integer.
    match old {
        Some(_) => ctx.replace(&key, NewValue::Bytes(&text)),
        None => ctx.write(&key, NewValue::Bytes(&text), None),
    }
    ctx.notify(EventClass::STRING, "incrbyfloat", &key);
    reply.bulk(&text);
    Ok(ctx.effect(1, || EffectCall::new([b"SET", args.get(1), &text, b"KEEPTTL"])))
}
