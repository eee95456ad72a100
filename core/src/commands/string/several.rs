//! Commands on several strings.

use super::{reply_value, string};
use crate::command::options::{ExpiryChange, ExpiryUnit, Options, is};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::number::parse_integer;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;

/// `MGET key [key ...]`
pub fn mget(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply.array(args.len() - 1);
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        match ctx.read(&key).as_ref().map(string) {
            Some(Ok(value)) => reply_value(reply, &value),
            // Another type counts as absent here.
            Some(Err(_)) | None => reply.null(),
        }
    }
    Ok(Outcome::unchanged())
}

/// `MSET key value [key value ...]`
pub fn mset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    check_pairs(args, "mset")?;
    let look = ctx.must_look();
    for index in (1..args.len()).step_by(2) {
        let key = ctx.key(args, index);
        if look {
            ctx.find(&key);
        }
        let value = ctx.value(args, index + 1);
        ctx.write(&key, value, None);
        ctx.notify(EventClass::STRING, "set", &key);
    }
    reply.ok();
    Ok(Outcome::changed((args.len() / 2) as u32))
}

/// `MSETNX key value [key value ...]`
pub fn msetnx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    check_pairs(args, "msetnx")?;
    for index in (1..args.len()).step_by(2) {
        let key = ctx.key(args, index);
        if ctx.find(&key).is_some() {
            reply.integer(0);
            return Ok(Outcome::unchanged());
        }
    }
    for index in (1..args.len()).step_by(2) {
        let key = ctx.key(args, index);
        let value = ctx.value(args, index + 1);
        ctx.write(&key, value, None);
        ctx.notify(EventClass::STRING, "set", &key);
    }
    reply.integer(1);
    Ok(Outcome::changed((args.len() / 2) as u32))
}

fn check_pairs(args: &Args<'_>, command: &'static str) -> Result<(), CommandError> {
    if args.len().is_multiple_of(2) { Err(CommandError::Arity(command.into())) } else { Ok(()) }
}

/// The options of MSETEX and its number of pairs.
struct Request {
    pairs: usize,
    /// NX: no key may exist (`Some(false)`); XX: all must (`Some(true)`).
    existing: Option<bool>,
    expiry: ExpiryChange,
}

impl Request {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let pairs = parse_integer(args.get(1))
            .filter(|pairs| (1..=i64::from(i32::MAX)).contains(pairs))
            .ok_or(CommandError::text("invalid numkeys value or out of range"))? as usize;
        if pairs > (args.len() - 2) / 2 {
            return Err(CommandError::Syntax);
        }
        let mut request = Self { pairs, existing: None, expiry: ExpiryChange::default() };
        let mut options = Options::new(args, 2 + 2 * pairs);
        while let Some(word) = options.word() {
            let existing = if is(word, "NX") {
                false
            } else if is(word, "XX") {
                true
            } else if request.expiry.take(word, &mut options, true)? {
                continue;
            } else {
                return Err(CommandError::Syntax);
            };
            if request.existing.is_some_and(|before| before != existing) {
                return Err(CommandError::Syntax);
            }
            request.existing = Some(existing);
        }
        Ok(request)
    }

    /// The arguments that are keys.
    fn keys(&self) -> impl Iterator<Item = usize> + use<> {
        (2..2 + 2 * self.pairs).step_by(2)
    }
}

/// `MSETEX numkeys key value [key value ...] [NX | XX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
///
/// A time that has passed already is stored like any other: the keys expire at once.
pub fn msetex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let request = Request::parse(args)?;
    let when = match request.expiry {
        ExpiryChange::To(argument) => Some(argument.resolve(args, ctx.now, "msetex")?),
        _ => None,
    };
    if let Some(wanted) = request.existing {
        for index in request.keys() {
            let key = ctx.key(args, index);
            if ctx.find(&key).is_some() != wanted {
                reply.integer(0);
                return Ok(Outcome::unchanged());
            }
        }
    }
    let look = ctx.must_look();
    for index in request.keys() {
        let key = ctx.key(args, index);
        let value = ctx.value(args, index + 1);
        let keeps = request.expiry == ExpiryChange::Keep;
        // An expired one is noticed even where nothing depends on it.
        let found = (look || keeps) && ctx.find(&key).is_some();
        if keeps && found {
            ctx.replace(&key, value);
        } else {
            ctx.write(&key, value, when);
        }
        ctx.notify_set(&key, when.is_some());
    }
    reply.integer(1);
    let changes = request.pairs as u32;
    match (request.expiry, when) {
        (ExpiryChange::To(argument), Some(when)) if argument.unit != ExpiryUnit::AtMillis => {
            Ok(ctx.effect(changes, || effect_of(args, &request, when)))
        }
        _ => Ok(Outcome::changed(changes)),
    }
}

fn effect_of(args: &Args<'_>, request: &Request, when: Millis) -> EffectCall {
    let mut digits = itoa::Buffer::new();
    let pairs = args.iter_from(1).take(1 + 2 * request.pairs);
    let condition = request.existing.map(|wanted| if wanted { &b"XX"[..] } else { b"NX" });
    EffectCall::new(
        std::iter::once(&b"MSETEX"[..])
            .chain(pairs)
            .chain([&b"PXAT"[..], digits.format(when.0).as_bytes()])
            .chain(condition),
    )
}
