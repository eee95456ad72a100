//! Times to live of fields.

use super::{BAD_FIELD_COUNT, Fields, Names, change, digits, effect_on_fields, hash, removed, terms};
use crate::command::options::{Options, integer};
use crate::commands::Context;
use crate::commands::key::{Conditions, Scale};
use crate::keyspace::events::EventClass;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::hash::HashMut;
use smallvec::SmallVec;

/// What a command answers for each field.
type Answers = SmallVec<[i64; 16]>;

/// There is no such field.
const NO_FIELD: i64 = -2;

/// The field lives on and on.
const UNBOUNDED: i64 = -1;

/// A condition was not met.
const NOT_MET: i64 = 0;

/// It was done.
const DONE: i64 = 1;

/// The field was removed, as the time had passed already.
const REMOVED: i64 = 2;

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS count field...`
pub fn hexpire(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_expiry(ctx, args, reply, Scale { seconds: true, relative: true }, "hexpire")
}

/// `HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS count field...`
pub fn hpexpire(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_expiry(ctx, args, reply, Scale { seconds: false, relative: true }, "hpexpire")
}

/// `HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS count field...`
pub fn hexpireat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_expiry(ctx, args, reply, Scale { seconds: true, relative: false }, "hexpireat")
}

/// `HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS count field...`
pub fn hpexpireat(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    set_expiry(ctx, args, reply, Scale { seconds: false, relative: false }, "hpexpireat")
}

fn set_expiry(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    scale: Scale,
    command: &'static str,
) -> Result<Outcome, CommandError> {
    let fields = Fields::find(args, 3)?;
    let conditions = Conditions::parse(Options::between(args, 3, fields.word))?;
    let fields = fields.check(args, 1, BAD_FIELD_COUNT)?;
    let given = integer(args.get(2))?;
    let when = scale.resolve(given, ctx.now, command)?;
    if given < 0 {
        return Err(CommandError::InvalidExpire(command));
    }
    let is_past = ctx.has_passed(when);
    let key = ctx.key(args, 1);
    let terms = terms(ctx);
    let answers = change(ctx, &key, &terms, |mut hash| {
        let answer = |at| expire_field(&mut hash, args.get(at), when, is_past, conditions);
        fields.range().map(answer).collect::<Answers>()
    })?;
    let answers = answers.unwrap_or_else(|| fields.range().map(|_| NO_FIELD).collect());
    reply.array(answers.len());
    answers.iter().for_each(|answer| reply.integer(*answer));
    let changed = changed_fields(args, fields, &answers);
    if changed.is_empty() {
        return Ok(Outcome::unchanged());
    }
    if is_past {
        ctx.notify_taken(EventClass::HASH, "hexpired", &key);
        ctx.shard.stats.expired_fields += changed.len() as u64;
        return Ok(removed(ctx, args, &changed));
    }
    ctx.notify(EventClass::HASH, "hexpire", &key);
    Ok(ctx.effect(changed.len() as u32, || effect_on_fields("HPEXPIREAT", args.get(1), &[&digits(when)], &changed)))
}

/// The fields of a call that were changed. An effect names no others: what was not met here may be met by a field whose time
/// has passed, where nobody looks at the time.
fn changed_fields<'a>(args: &Args<'a>, fields: Fields, answers: &[i64]) -> Names<'a> {
    let changed = fields.range().zip(answers).filter(|(_, answer)| **answer > NOT_MET);
    changed.map(|(at, _)| args.get(at)).collect()
}

fn expire_field(hash: &mut HashMut<'_, '_>, field: &[u8], when: Millis, is_past: bool, conditions: Conditions) -> i64 {
    let Some(current) = hash.find(field) else { return NO_FIELD };
    if !conditions.allow(current.expire_at, when) {
        return NOT_MET;
    }
    if is_past {
        hash.remove(field);
        return REMOVED;
    }
    hash.set_expiry(field, Some(when));
    DONE
}

/// `HPERSIST key FIELDS count field...`
pub fn hpersist(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let fields = Fields::behind_key(args)?.check(args, 1, BAD_FIELD_COUNT)?;
    let key = ctx.key(args, 1);
    let terms = terms(ctx);
    let answers = change(ctx, &key, &terms, |mut hash| {
        let answer = |at| match hash.find(args.get(at)).map(|field| field.expire_at) {
            None => NO_FIELD,
            Some(None) => UNBOUNDED,
            Some(Some(_)) => {
                hash.set_expiry(args.get(at), None);
                DONE
            }
        };
        fields.range().map(answer).collect::<Answers>()
    })?;
    let answers = answers.unwrap_or_else(|| fields.range().map(|_| NO_FIELD).collect());
    reply.array(answers.len());
    answers.iter().for_each(|answer| reply.integer(*answer));
    let changed = changed_fields(args, fields, &answers);
    if changed.is_empty() {
        return Ok(Outcome::unchanged());
    }
    ctx.notify(EventClass::HASH, "hpersist", &key);
    Ok(ctx.effect(changed.len() as u32, || effect_on_fields("HPERSIST", args.get(1), &[], &changed)))
}

/// `HTTL key FIELDS count field...`
pub fn httl(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_expiry(ctx, args, reply, Scale { seconds: true, relative: true })
}

/// `HPTTL key FIELDS count field...`
pub fn hpttl(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_expiry(ctx, args, reply, Scale { seconds: false, relative: true })
}

/// `HEXPIRETIME key FIELDS count field...`
pub fn hexpiretime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_expiry(ctx, args, reply, Scale { seconds: true, relative: false })
}

/// `HPEXPIRETIME key FIELDS count field...`
pub fn hpexpiretime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_expiry(ctx, args, reply, Scale { seconds: false, relative: false })
}

fn reply_expiry(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    scale: Scale,
) -> Result<Outcome, CommandError> {
    let fields = Fields::behind_key(args)?.check(args, 1, CommandError::Syntax)?;
    let (key, now, sight) = (ctx.key(args, 1), ctx.now, ctx.field_time());
    let hash = match ctx.read(&key) {
        Some(entry) => Some(hash(&entry)?),
        None => None,
    };
    reply.array(fields.len);
    for at in fields.range() {
        let field = hash.and_then(|hash| hash.find(args.get(at), sight));
        reply.integer(match field.map(|field| field.expire_at) {
            None => NO_FIELD,
            Some(None) => UNBOUNDED,
            Some(Some(at)) => scale.show(at, now),
        });
    }
    Ok(Outcome::unchanged())
}
