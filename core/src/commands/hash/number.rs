//! Fields as numbers.

use super::{digits, effect_on_fields, fill, hash, terms};
use crate::command::options::integer;
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{NewValue, Value};
use crate::long_double::LongDouble;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::hash::{Life, NotIncremented};

/// `HINCRBY key field increment`
pub fn hincrby(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let increment = integer(args.get(3))?;
    let key = ctx.key(args, 1);
    let terms = terms(ctx);
    let (sum, expires) = fill(ctx, &key, &terms, |mut hash| {
        let sum = hash.increment(args.get(2), increment);
        (sum, hash.as_ref().volatile() > 0)
    })?;
    let sum = sum.map_err(|refused| match refused {
        NotIncremented::NotAnInteger => CommandError::text("hash value is not an integer"),
        NotIncremented::Overflow => CommandError::text("increment or decrement would overflow"),
    })?;
    reply.integer(sum);
    ctx.notify(EventClass::HASH, "hincrby", &key);
    if !expires {
        return Ok(Outcome::changed(1));
    }
    Ok(written(ctx, args, itoa::Buffer::new().format(sum).as_bytes()))
}

/// The effect of a field having a value now, with the time that it has left.
fn written(ctx: &mut Context<'_>, args: &Args<'_>, text: &[u8]) -> Outcome {
    if !ctx.shard.journaling {
        return Outcome::changed(1);
    }
    let key = ctx.key(args, 1);
    let field = ctx.database().find(&key).and_then(|entry| {
        let hash = hash(&entry).ok()?;
        hash.find(args.get(2), Millis(i64::MIN))?.expire_at
    });
    ctx.effect(1, || match field {
        Some(at) => effect_on_pair(args.get(1), at, args.get(2), text),
        None => EffectCall::new([b"HSET", args.get(1), args.get(2), text]),
    })
}

fn effect_on_pair(key: &[u8], at: Millis, field: &[u8], value: &[u8]) -> EffectCall {
    let mut call = effect_on_fields("HSETEX", key, &[b"PXAT", &digits(at)], &[field]);
    call.words.push(value.into());
    call
}

/// `HINCRBYFLOAT key field increment`
pub fn hincrbyfloat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let increment = LongDouble::parse(args.get(3)).ok_or(CommandError::NotAFloat)?;
    if increment.is_infinite() {
        return Err(CommandError::text("value is NaN or Infinity"));
    }
    let (key, now) = (ctx.key(args, 1), ctx.field_time());
    let old = match ctx.find(&key) {
        None => None,
        Some(entry) => hash(&entry)?.find(args.get(2), now),
    };
    let old = match old.map(|field| field.value) {
        None => Some(LongDouble::from(0)),
        Some(Value::Int(value)) => Some(LongDouble::from(value)),
        Some(value) => LongDouble::parse(value.as_bytes(&mut itoa::Buffer::new())),
    };
    let old = old.ok_or(CommandError::text("hash value is not a float"))?;
    let sum = old.plus(increment).filter(|sum| !sum.is_infinite());
    let text = sum.ok_or(CommandError::text("increment would produce NaN or Infinity"))?.text();
    let terms = terms(ctx);
    fill(ctx, &key, &terms, |mut hash| hash.set(args.get(2), NewValue::from_bytes(&text), Life::Keep))?;
    reply.bulk(&text);
    ctx.notify(EventClass::HASH, "hincrbyfloat", &key);
    Ok(written(ctx, args, &text))
}
