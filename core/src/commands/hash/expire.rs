//! Times to live of fields.

use super::{BAD_FIELD_COUNT, Fields, change, digits, hash, terms};
use crate::command::options::{Options, integer};
use crate::commands::Context;
use crate::commands::key::{Conditions, Scale};
use crate::outcome::{EffectCall, Outcome};
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
    let changed = answers.iter().filter(|answer| **answer > NOT_MET).count() as u32;
    if changed == 0 {
        return Ok(Outcome::unchanged());
    }
    if is_past {
        ctx.shard.stats.expired_fields += u64::from(changed);
        return Ok(removed(ctx, args, fields, &answers, changed));
    }
    Ok(ctx.effect(changed, || {
        let when = digits(when);
        let head = [b"HPEXPIREAT", args.get(1), &when[..]];
        EffectCall::new(head.into_iter().chain(args.iter_from(3)))
    }))
}

/// The effect of fields having been removed.
fn removed(ctx: &Context<'_>, args: &Args<'_>, fields: Fields, answers: &[i64], changed: u32) -> Outcome {
    ctx.effect(changed, || {
        let fields = fields.range().zip(answers).filter(|(_, answer)| **answer == REMOVED);
        EffectCall::new([b"HDEL", args.get(1)].into_iter().chain(fields.map(|(at, _)| args.get(at))))
    })
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
    Ok(Outcome::changed(answers.iter().filter(|answer| **answer == DONE).count() as u32))
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
