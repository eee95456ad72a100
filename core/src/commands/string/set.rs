//! SET and the commands that are SET by another name.

use super::{Text, reply_value, string};
use crate::command::options::{ExpiryArgument, ExpiryChange, ExpiryUnit, Options, is};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;

/// Under which condition a value is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Condition {
    #[default]
    Always,
    /// NX
    Absent,
    /// XX
    Present,
    /// IFEQ: the key holds the value of this argument.
    Equal(usize),
}

/// The options of SET.
#[derive(Debug, Clone, Copy, Default)]
struct Request {
    condition: Condition,
    /// GET: the reply is the old value.
    get: bool,
    expiry: ExpiryChange,
}

impl Request {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut request = Self::default();
        let mut options = Options::new(args, 3);
        while let Some(word) = options.word() {
            let condition = if is(word, "NX") {
                Condition::Absent
            } else if is(word, "XX") {
                Condition::Present
            } else if is(word, "GET") {
                request.get = true;
                continue;
            } else if is(word, "IFEQ") {
                Condition::Equal(options.value_index()?)
            } else if request.expiry.take(word, &mut options, true)? {
                continue;
            } else {
                return Err(CommandError::Syntax);
            };
            if request.condition != Condition::Always && request.condition != condition {
                return Err(CommandError::Syntax);
            }
            request.condition = condition;
        }
        Ok(request)
    }
}

/// `SET key value [NX | XX | IFEQ value] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub fn set(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    if args.len() == 3 && !ctx.must_look() {
        // Nothing to decide and nothing to find out: most of all writes.
        let key = ctx.key(args, 1);
        let value = ctx.value(args, 2);
        ctx.write(&key, value, None);
        ctx.notify(EventClass::STRING, "set", &key);
        reply.ok();
        return Ok(Outcome::changed(1));
    }
    let request = Request::parse(args)?;
    let when = match request.expiry {
        ExpiryChange::To(argument) => Some(argument.resolve(args, ctx.now, "set")?),
        _ => None,
    };
    let outcome = carry_out(ctx, args, reply, &request, when)?;
    let Some(changed) = outcome else {
        if !request.get {
            reply.null();
        }
        return Ok(Outcome::unchanged());
    };
    if !request.get {
        reply.ok();
    }
    match changed {
        Changed::Value if ctx.shard.journaling => Ok(effect_of(args, &request, when)),
        Changed::Value => Ok(Outcome::changed(1)),
        Changed::Deleted => Ok(ctx.deleted(args.get(1))),
        Changed::Nothing => Ok(Outcome::unchanged()),
    }
}

/// What a SET whose condition holds did.
enum Changed {
    Value,
    /// The expiry time had passed already.
    Deleted,
    Nothing,
}

/// Checks the condition and writes; `None` if it does not hold. Writes the old value as reply if it is asked for.
fn carry_out(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    request: &Request,
    when: Option<Millis>,
) -> Result<Option<Changed>, CommandError> {
    let key = ctx.key(args, 1);
    let entry = if request.get { ctx.read(&key) } else { ctx.find(&key) };
    let found = entry.is_some();
    let mut holds = match request.condition {
        Condition::Always | Condition::Equal(_) => true,
        Condition::Absent => !found,
        Condition::Present => found,
    };
    if let Condition::Equal(index) = request.condition {
        holds = match &entry {
            Some(entry) => *Text::of(&string(entry)?) == *args.get(index),
            None => false,
        };
    }
    if request.get {
        match &entry {
            Some(entry) => reply_value(reply, &string(entry)?),
            None => reply.null(),
        }
    }
    if !holds {
        return Ok(None);
    }
    if when.is_some_and(|when| ctx.has_passed(when)) {
        if !found || !ctx.delete(&key) {
            return Ok(Some(Changed::Nothing));
        }
        ctx.notify(EventClass::EXPIRED, "expired", &key);
        return Ok(Some(Changed::Deleted));
    }
    let value = ctx.value(args, 2);
    if found && request.expiry == ExpiryChange::Keep {
        ctx.replace(&key, value);
    } else {
        ctx.write(&key, value, when);
    }
    ctx.notify_set(&key, when.is_some());
    Ok(Some(Changed::Value))
}

/// The canonical effect of a SET that wrote.
fn effect_of(args: &Args<'_>, request: &Request, when: Option<Millis>) -> Outcome {
    let at_millis = matches!(request.expiry, ExpiryChange::To(argument) if argument.unit == ExpiryUnit::AtMillis);
    match when {
        Some(when) if !at_millis => return Outcome::rewritten(1, [set_until(args.get(1), args.get(2), when)]),
        None if request.get => {}
        _ => return Outcome::changed(1),
    }
    // As given, without GET.
    let mut words: Vec<&[u8]> = vec![b"SET", args.get(1), args.get(2)];
    match request.condition {
        Condition::Always => {}
        Condition::Absent => words.push(b"NX"),
        Condition::Present => words.push(b"XX"),
        Condition::Equal(index) => words.extend([&b"IFEQ"[..], args.get(index)]),
    }
    if request.expiry == ExpiryChange::Keep {
        words.push(b"KEEPTTL");
    }
    Outcome::rewritten(1, [EffectCall::new(words)])
}

/// `SET key value PXAT when`
fn set_until(key: &[u8], value: &[u8], when: Millis) -> EffectCall {
    EffectCall::new([b"SET", key, value, b"PXAT", itoa::Buffer::new().format(when.0).as_bytes()])
}

/// `SETNX key value`
pub fn setnx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    if ctx.find(&key).is_some() {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    }
    let value = ctx.value(args, 2);
    ctx.write(&key, value, None);
    ctx.notify(EventClass::STRING, "set", &key);
    reply.integer(1);
    Ok(Outcome::changed(1))
}

/// `SETEX key seconds value`
pub fn setex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_for(ctx, args, reply, ExpiryUnit::Seconds, "setex")
}

/// `PSETEX key milliseconds value`
pub fn psetex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_for(ctx, args, reply, ExpiryUnit::Millis, "psetex")
}

fn set_for(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    unit: ExpiryUnit,
    command: &'static str,
) -> Result<Outcome, CommandError> {
    let when = ExpiryArgument { unit, index: 2 }.resolve(args, ctx.now, command)?;
    let key = ctx.key(args, 1);
    if ctx.must_look() {
        // Only to notice an expired value before it is overwritten.
        ctx.find(&key);
    }
    let value = ctx.value(args, 3);
    ctx.write(&key, value, Some(when));
    ctx.notify_set(&key, true);
    reply.ok();
    Ok(if ctx.shard.journaling {
        Outcome::rewritten(1, [set_until(args.get(1), args.get(3), when)])
    } else {
        Outcome::changed(1)
    })
}
