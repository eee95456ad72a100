//! Expiry times.

use crate::command::options::{Options, integer, is};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;

/// When an expiry time may be set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl Conditions {
    /// Reads them from the words that are left.
    pub fn parse(mut options: Options<'_>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        while let Some(word) = options.word() {
            let condition = if is(word, "NX") {
                &mut conditions.absent
            } else if is(word, "XX") {
                &mut conditions.present
            } else if is(word, "GT") {
                &mut conditions.greater
            } else if is(word, "LT") {
                &mut conditions.less
            } else {
                // The text ends where a C string would.
                let word = word.split(|byte| *byte == 0).next().unwrap_or_default();
                return Err(CommandError::owned(format!("Unsupported option {}", String::from_utf8_lossy(word))));
            };
            *condition = true;
        }
        if conditions.absent && (conditions.present || conditions.greater || conditions.less) {
            return Err(CommandError::text("NX and XX, GT or LT options at the same time are not compatible"));
        }
        if conditions.greater && conditions.less {
            return Err(CommandError::text("GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Do they allow `new` in place of `current`, where no expiry time is later than any?
    pub fn allow(self, current: Option<Millis>, new: Millis) -> bool {
        !(self.absent && current.is_some()
            || self.present && current.is_none()
            || self.greater && current.is_none_or(|current| new <= current)
            || self.less && current.is_some_and(|current| new >= current))
    }
}

/// How an expiry time is given.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// In seconds, else in milliseconds.
    pub seconds: bool,
    /// From now, else Unix time.
    pub relative: bool,
}

impl Scale {
    /// The point in time that a number means, for the command of this name.
    pub fn resolve(self, given: i64, now: Millis, command: &'static str) -> Result<Millis, CommandError> {
        let millis = if self.seconds { given.checked_mul(1000) } else { Some(given) };
        let when = millis.and_then(|millis| millis.checked_add(if self.relative { now.0 } else { 0 }));
        when.map(Millis).ok_or(CommandError::InvalidExpire(command))
    }

    /// The number that tells a point in time; seconds are rounded to the nearest.
    pub fn show(self, at: Millis, now: Millis) -> i64 {
        let millis = if self.relative { at.0.saturating_sub(now.0) } else { at.0 }.max(0);
        if self.seconds { millis / 1000 + i64::from(millis % 1000 >= 500) } else { millis }
    }
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub fn expire(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_expiry(ctx, args, reply, Scale { seconds: true, relative: true }, "expire")
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
pub fn pexpire(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_expiry(ctx, args, reply, Scale { seconds: false, relative: true }, "pexpire")
}

/// `EXPIREAT key unix-time-seconds [NX | XX | GT | LT]`
pub fn expireat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_expiry(ctx, args, reply, Scale { seconds: true, relative: false }, "expireat")
}

/// `PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]`
pub fn pexpireat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_expiry(ctx, args, reply, Scale { seconds: false, relative: false }, "pexpireat")
}

fn set_expiry(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    scale: Scale,
    command: &'static str,
) -> Result<Outcome, CommandError> {
    let conditions = Conditions::parse(Options::new(args, 3))?;
    let when = scale.resolve(integer(args.get(2))?, ctx.now, command)?;
    let key = ctx.key(args, 1);
    let allowed = ctx.find(&key).is_some_and(|entry| conditions.allow(entry.expire_at(), when));
    reply.integer(allowed.into());
    if !allowed {
        return Ok(Outcome::unchanged());
    }
    if ctx.has_passed(when) {
        ctx.delete(&key);
        ctx.notify(EventClass::EXPIRED, "expired", &key);
        return Ok(ctx.deleted(args.get(1)));
    }
    ctx.database().set_expiry(&key, Some(when));
    ctx.notify(EventClass::GENERIC, "expire", &key);
    Ok(ctx.effect(1, || {
        let mut digits = itoa::Buffer::new();
        let head = [b"PEXPIREAT", args.get(1), digits.format(when.0).as_bytes()];
        EffectCall::new(head.into_iter().chain(args.iter_from(3)))
    }))
}

/// `PERSIST key`
pub fn persist(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let expires = ctx.find(&key).is_some_and(|entry| entry.expire_at().is_some());
    if expires {
        ctx.database().set_expiry(&key, None);
        ctx.notify(EventClass::GENERIC, "persist", &key);
    }
    reply.integer(expires.into());
    Ok(Outcome::changed(expires.into()))
}

/// `TTL key`
pub fn ttl(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_expiry(ctx, args, reply, Scale { seconds: true, relative: true })
}

/// `PTTL key`
pub fn pttl(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_expiry(ctx, args, reply, Scale { seconds: false, relative: true })
}

/// `EXPIRETIME key`
pub fn expiretime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_expiry(ctx, args, reply, Scale { seconds: true, relative: false })
}

/// `PEXPIRETIME key`
pub fn pexpiretime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_expiry(ctx, args, reply, Scale { seconds: false, relative: false })
}

fn reply_expiry(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    scale: Scale,
) -> Result<Outcome, CommandError> {
    let now = ctx.now;
    let key = ctx.key(args, 1);
    reply.integer(match ctx.peek(&key).map(|entry| entry.expire_at()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => scale.show(at, now),
    });
    Ok(Outcome::unchanged())
}
