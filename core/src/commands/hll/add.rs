//! Observing elements, and merging.

use super::{corrupt, hyperloglog, settle};
use crate::commands::Context;
use crate::keyspace::Key;
use crate::keyspace::events::EventClass;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::hyperloglog::dense::{self, Registers};
use crate::value::hyperloglog::sparse::{self, Update};
use crate::value::hyperloglog::{Draft, EMPTY, Encoding, Observation, cached_count, forget_count, forgotten};

/// `PFADD key [element ...]`
pub fn pfadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let changes = match ctx.find(&key) {
        // That it is made is news, too.
        None => observe_apart(ctx, &key, args)? + 1,
        Some(entry) => {
            let (value, encoding) = hyperloglog(&entry)?;
            match encoding {
                Encoding::Dense if !is_any_news(value, args) => 0,
                Encoding::Dense => observe_dense(ctx, &key, args),
                Encoding::Sparse if args.len() == 3 => observe_one(ctx, &key, args)?,
                Encoding::Sparse => observe_apart(ctx, &key, args)?,
            }
        }
    };
    if changes > 0 {
        ctx.notify(EventClass::STRING, "pfadd", &key);
    }
    reply.integer((changes > 0).into());
    Ok(Outcome::changed(changes))
}

fn observations<'a>(args: &Args<'a>) -> impl Iterator<Item = Observation> + use<'a> {
    args.iter_from(2).map(Observation::of)
}

/// Would an element raise a register of a dense value?
fn is_any_news(value: &[u8], args: &Args<'_>) -> bool {
    observations(args).any(|seen| dense::register(value, seen.index) < seen.rank)
}

/// Raises registers where they are. The answer: how often?
fn observe_dense(ctx: &mut Context<'_>, key: &Key<'_>, args: &Args<'_>) -> u32 {
    let raised = change_dense(ctx, key, |value| observations(args).filter(|seen| dense::raise(value, *seen)).count());
    raised as u32
}

fn change_dense<R>(ctx: &mut Context<'_>, key: &Key<'_>, change: impl FnOnce(&mut [u8]) -> R) -> R {
    let changed = ctx.database().change(key, |entry| {
        let value = entry.text_mut().expect("a dense value is stored inline");
        forget_count(value);
        change(value)
    });
    changed.expect("the key has just been found")
}

/// Takes one element in where the value is, which is sparse. The answer: 1 if that was news.
fn observe_one(ctx: &mut Context<'_>, key: &Key<'_>, args: &Args<'_>) -> Result<u32, CommandError> {
    let sparse_bytes = ctx.rules.limits.hll_sparse_bytes;
    let entry = ctx.database().find(key).expect("the key has just been found");
    let (value, _) = hyperloglog(&entry)?;
    match sparse::update(value, Observation::of(args.get(2)), sparse_bytes).map_err(corrupt)? {
        Update::Nothing => {
            settle(ctx, key);
            Ok(0)
        }
        Update::TooLarge => observe_apart(ctx, key, args),
        Update::Edit(edit) => {
            let forgotten = cached_count(value).map(|_| forgotten(value));
            let database = ctx.database();
            database.splice_text(key, edit.range(), edit.with());
            if let Some((at, byte)) = forgotten {
                database.write_range(key, at, &[byte]);
            }
            Ok(1)
        }
    }
}

/// Takes elements into a copy, which takes the place of what was there if any of them is news and none found it corrupt.
/// The answer: how many were news.
fn observe_apart(ctx: &mut Context<'_>, key: &Key<'_>, args: &Args<'_>) -> Result<u32, CommandError> {
    let sparse_bytes = ctx.rules.limits.hll_sparse_bytes;
    let (mut draft, old_len) = draft(ctx, key)?;
    let mut news = 0;
    for seen in observations(args) {
        news += u32::from(draft.observe(seen, sparse_bytes).map_err(corrupt)?);
    }
    if news == 0 && old_len.is_some() {
        settle(ctx, key);
        return Ok(0);
    }
    draft.forget_count();
    store(ctx, key, &draft, old_len);
    Ok(news)
}

/// A copy of the value of a key, and its length; an empty one if there is none.
fn draft(ctx: &mut Context<'_>, key: &Key<'_>) -> Result<(Draft, Option<usize>), CommandError> {
    match ctx.find(key) {
        None => Ok((Draft::of(&EMPTY, Encoding::Sparse), None)),
        Some(entry) => {
            let (value, encoding) = hyperloglog(&entry)?;
            Ok((Draft::of(value, encoding), Some(value.len())))
        }
    }
}

/// Stores a value, which is `raw`; the old one had `old_len` bytes, if there was one.
fn store(ctx: &mut Context<'_>, key: &Key<'_>, draft: &Draft, old_len: Option<usize>) {
    if let Some(old_len) = old_len {
        return ctx.database().splice_text(key, 0..old_len, draft.bytes());
    }
    ctx.make_room();
    let fresh = ctx.fresh_access();
    ctx.database().write_range(key, 0, draft.bytes());
    ctx.database().touch(key, fresh);
    ctx.notify_new(key);
}

/// `PFMERGE destkey [sourcekey ...]`
pub fn pfmerge(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let sparse_bytes = ctx.rules.limits.hll_sparse_bytes;
    let mut registers = Registers::new();
    let (mut is_dense, mut dest_is_dense) = (false, false);
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        let Some(entry) = ctx.read(&key) else { continue };
        let (value, encoding) = hyperloglog(&entry)?;
        registers.merge(value, encoding).map_err(corrupt)?;
        is_dense |= encoding == Encoding::Dense;
        dest_is_dense |= index == 1 && is_dense;
    }
    let key = ctx.key(args, 1);
    if dest_is_dense {
        ctx.find(&key);
        change_dense(ctx, &key, |value| dense::pack(&registers, value));
    } else {
        let (mut draft, old_len) = draft(ctx, &key)?;
        if is_dense {
            draft.make_dense().map_err(corrupt)?;
        }
        draft.raise_to(&registers, sparse_bytes).map_err(corrupt)?;
        draft.forget_count();
        store(ctx, &key, &draft, old_len);
    }
    ctx.notify(EventClass::STRING, "pfadd", &key);
    reply.ok();
    Ok(Outcome::changed(1))
}
