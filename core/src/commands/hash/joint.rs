//! Commands that read or write fields and change their times to live, or remove them, at the same time.

use super::{BAD_FIELD_COUNT, Fields, Names, change, digits, effect_on_fields, fill, hash, removed, terms};
use crate::command::options::{ExpiryChange, Options, is};
use crate::commands::string::reply_value;
use crate::commands::{Context, value};
use crate::keyspace::ValueKind;
use crate::keyspace::events::EventClass;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::hash::{BEFORE_ALL, HashMut, Life, Terms};

/// Replies with a field, or its absence; is it there?
fn reply_field(hash: &HashMut<'_, '_>, field: &[u8], reply: &mut Reply<'_>) -> bool {
    let found = hash.find(field);
    match &found {
        Some(field) => reply_value(reply, &field.value),
        None => reply.null(),
    }
    found.is_some()
}

fn reply_nulls(reply: &mut Reply<'_>, count: usize) {
    reply.array(count);
    (0..count).for_each(|_| reply.null());
}

/// `HGETDEL key FIELDS count field...`
pub fn hgetdel(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let fields = Fields::behind_key(args)?.check(args, 1, BAD_FIELD_COUNT)?;
    let key = ctx.key(args, 1);
    let terms = terms(ctx);
    let gone = change(ctx, &key, &terms, |mut hash| {
        reply.array(fields.len);
        let names = fields.range().map(|at| args.get(at));
        names.filter(|field| reply_field(&hash, field, reply) && hash.remove(field)).collect::<Names<'_>>()
    })?;
    let Some(gone) = gone else {
        reply_nulls(reply, fields.len);
        return Ok(Outcome::unchanged());
    };
    if !gone.is_empty() {
        ctx.notify_taken(EventClass::HASH, "hdel", &key);
    }
    Ok(removed(ctx, args, &gone))
}

/// What HGETEX does to the fields it has read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Touch {
    Nothing,
    Persist,
    Expire(Millis),
    Remove,
}

/// `HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS count field...`
pub fn hgetex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let fields = Fields::find(args, 2)?;
    let mut expiry = ExpiryChange::default();
    let mut options = Options::between(args, 2, fields.word);
    while let Some(word) = options.word() {
        if !expiry.take(word, &mut options, false)? {
            return Err(CommandError::Syntax);
        }
    }
    let fields = fields.check(args, 1, BAD_FIELD_COUNT)?;
    let key = ctx.key(args, 1);
    if ctx.read(&key).is_some_and(|entry| entry.kind() != ValueKind::Hash) {
        return Err(CommandError::WrongType);
    }
    let touch = match expiry {
        ExpiryChange::To(given) => match given.resolve_from(0, args, ctx.now, "hgetex")? {
            when if ctx.has_passed(when) => Touch::Remove,
            when => Touch::Expire(when),
        },
        ExpiryChange::Persist => Touch::Persist,
        ExpiryChange::Unsaid | ExpiryChange::Keep => Touch::Nothing,
    };
    let terms = terms(ctx);
    let touched = change(ctx, &key, &terms, |mut hash| {
        reply.array(fields.len);
        let names = fields.range().map(|at| args.get(at));
        names
            .filter(|field| reply_field(&hash, field, reply) && touch_field(&mut hash, field, touch))
            .collect::<Names<'_>>()
    })?;
    let Some(touched) = touched else {
        reply_nulls(reply, fields.len);
        return Ok(Outcome::unchanged());
    };
    if touched.is_empty() {
        return Ok(Outcome::unchanged());
    }
    if touch == Touch::Remove {
        ctx.notify_taken(EventClass::HASH, "hexpired", &key);
        ctx.shard.stats.expired_fields += touched.len() as u64;
        return Ok(removed(ctx, args, &touched));
    }
    ctx.notify(EventClass::HASH, if touch == Touch::Persist { "hpersist" } else { "hexpire" }, &key);
    Ok(ctx.effect(touched.len() as u32, || match touch {
        Touch::Expire(when) => effect_on_fields("HPEXPIREAT", args.get(1), &[&digits(when)], &touched),
        Touch::Persist | Touch::Nothing | Touch::Remove => effect_on_fields("HPERSIST", args.get(1), &[], &touched),
    }))
}

/// Does to a field that is there what HGETEX is to do; has it changed?
fn touch_field(hash: &mut HashMut<'_, '_>, field: &[u8], touch: Touch) -> bool {
    match touch {
        Touch::Nothing => false,
        Touch::Expire(when) => {
            hash.set_expiry(field, Some(when));
            true
        }
        Touch::Remove => hash.remove(field),
        Touch::Persist => {
            let expires = hash.find(field).is_some_and(|field| field.expire_at.is_some());
            if expires {
                hash.set_expiry(field, None);
            }
            expires
        }
    }
}

/// The options of HSETEX.
#[derive(Debug, Default)]
struct SetOptions {
    expiry: ExpiryChange,
    /// NX or XX: must the key be absent, or there?
    key: Option<Presence>,
    /// FNX or FXX: must all the fields be absent, or there?
    fields: Option<Presence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    There,
}

impl SetOptions {
    fn parse(mut options: Options<'_>) -> Result<Self, CommandError> {
        let mut set = Self::default();
        while let Some(word) = options.word() {
            let (condition, wanted) = if is(word, "NX") {
                (&mut set.key, Presence::Absent)
            } else if is(word, "XX") {
                (&mut set.key, Presence::There)
            } else if is(word, "FNX") {
                (&mut set.fields, Presence::Absent)
            } else if is(word, "FXX") {
                (&mut set.fields, Presence::There)
            } else if set.expiry.take(word, &mut options, true)? {
                continue;
            } else {
                return Err(CommandError::Syntax);
            };
            if condition.is_some_and(|before| before != wanted) {
                return Err(CommandError::Syntax);
            }
            *condition = Some(wanted);
        }
        Ok(set)
    }

    /// Is the key as it must be, and are the fields?
    fn are_met<'a>(
        &self,
        ctx: &mut Context<'_>,
        args: &Args<'a>,
        mut names: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(bool, bool), CommandError> {
        let (key, now) = (ctx.key(args, 1), ctx.field_time());
        let Some(entry) = ctx.find(&key) else {
            return Ok((self.key != Some(Presence::There), self.fields != Some(Presence::There)));
        };
        let hash = hash(&entry)?;
        let mut is_met = |wanted| names.all(|name| hash.find(name, now).is_some() == (wanted == Presence::There));
        Ok((self.key != Some(Presence::Absent), self.fields.is_none_or(&mut is_met)))
    }
}

/// `HSETEX key [NX | XX] [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] FIELDS count field value...`
pub fn hsetex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let fields = Fields::find(args, 2)?;
    let options = SetOptions::parse(Options::between(args, 2, fields.word))?;
    let fields = fields.check(args, 2, BAD_FIELD_COUNT)?;
    let names = || fields.range().step_by(2).map(|at| args.get(at));
    let (key_is_met, fields_are_met) = options.are_met(ctx, args, names())?;
    // A time that is none is an error only where the key is as it must be, and whatever the fields are.
    let life = match options.expiry {
        _ if !key_is_met => Life::Keep,
        ExpiryChange::To(given) => Life::Until(given.resolve_from(0, args, ctx.now, "hsetex")?),
        ExpiryChange::Keep => Life::Keep,
        ExpiryChange::Unsaid | ExpiryChange::Persist => Life::Unbounded,
    };
    let is_done = key_is_met && fields_are_met;
    reply.integer(is_done.into());
    if !is_done {
        return Ok(Outcome::unchanged());
    }
    if let Life::Until(when) = life
        && ctx.has_passed(when)
    {
        return set_for_no_time(ctx, args, names());
    }
    let (key, terms) = (ctx.key(args, 1), terms(ctx));
    let mut outlived = Names::new();
    fill(ctx, &key, &terms, |mut hash| {
        for at in fields.range().step_by(2) {
            let before = terms.outlived();
            hash.set(args.get(at), value(args, at + 1), life);
            if terms.outlived() > before {
                outlived.push(args.get(at));
            }
        }
    })?;
    ctx.notify(EventClass::HASH, "hset", &key);
    if matches!(life, Life::Until(_)) {
        ctx.notify(EventClass::HASH, "hexpire", &key);
    }
    if !ctx.shard.journaling {
        return Ok(Outcome::changed(fields.len as u32 / 2));
    }
    let mut calls = Vec::new();
    if life == Life::Keep && !outlived.is_empty() {
        // Their time is not one to be kept.
        calls.push(EffectCall::new([b"HDEL", args.get(1)].into_iter().chain(outlived)));
    }
    calls.push(set_effect(args, fields, life));
    Ok(Outcome::rewritten(fields.len as u32 / 2, calls))
}

/// HSETEX with a time that has passed: as if the fields were written, and left at once.
fn set_for_no_time<'a>(
    ctx: &mut Context<'_>,
    args: &Args<'a>,
    names: impl Iterator<Item = &'a [u8]>,
) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    // Fields whose time had passed before are written over, too.
    let terms = Terms::new(&ctx.rules.limits, &ctx.shard.hasher, BEFORE_ALL);
    let mut count = 0;
    let gone = change(ctx, &key, &terms, |mut hash| {
        let names = names.inspect(|_| count += 1);
        names.filter(|name| hash.remove(name)).collect::<Names<'_>>()
    })?;
    // They came and went, and those who subscribe hear of both, even of a key that was there for them only.
    if gone.is_none() {
        ctx.notify(EventClass::NEW, "new", &key);
    }
    ["hset", "hexpire", "hexpired"].into_iter().for_each(|event| ctx.notify(EventClass::HASH, event, &key));
    if gone.is_none() || ctx.emptied {
        ctx.notify_deleted(&key);
    }
    ctx.shard.stats.expired_fields += count;
    Ok(removed(ctx, args, &gone.unwrap_or_default()))
}

/// The effect of fields having been set.
fn set_effect(args: &Args<'_>, fields: Fields, life: Life) -> EffectCall {
    let when = if let Life::Until(when) = life { digits(when) } else { Vec::new() };
    let how: &[&[u8]] = match life {
        Life::Until(_) => &[b"PXAT", &when],
        Life::Keep => &[b"KEEPTTL"],
        Life::Unbounded => &[],
    };
    let head = [b"HSETEX", args.get(1)].into_iter().chain(how.iter().copied());
    EffectCall::new(head.chain(args.iter_from(fields.word)))
}
