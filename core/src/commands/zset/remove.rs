//! Taking members out by name or range.

use super::range::{parse_lex_range, parse_score_range, rank_window};
use super::{NOT_MADE, hasher};
use crate::command::options::integer;
use crate::commands::Context;
use crate::keyspace::ValueKind;
use crate::keyspace::events::EventClass;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::zset::{SortedSetMut, SortedSetRef};

/// `ZREM key member [member ...]`
pub fn zrem(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let (limits, hasher) = (ctx.rules.limits, hasher(ctx));
    let removed = ctx.change(&key, ValueKind::SortedSet, NOT_MADE, |entry| {
        let mut set = SortedSetMut::new(entry, limits, &hasher);
        args.iter_from(2).filter(|member| set.remove(member).is_some()).count()
    })?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        ctx.notify_taken(EventClass::ZSET, "zrem", &key);
    }
    reply.integer(removed as i64);
    Ok(Outcome::changed(removed as u32))
}

/// `ZREMRANGEBYRANK key start stop`
pub fn zremrangebyrank(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (start, stop) = (integer(args.get(2))?, integer(args.get(3))?);
    remove_window(ctx, args, "zremrangebyrank", reply, |set| rank_window(set.len(), start, stop))
}

/// `ZREMRANGEBYSCORE key min max`
pub fn zremrangebyscore(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let (low, high) = parse_score_range(args.get(2), args.get(3))?;
    remove_window(ctx, args, "zremrangebyscore", reply, |set| {
        let (from, to) = set.between(low, high);
        (from, to - from)
    })
}

/// `ZREMRANGEBYLEX key min max`
pub fn zremrangebylex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (low, high) = parse_lex_range(args.get(2), args.get(3))?;
    remove_window(ctx, args, "zremrangebylex", reply, |set| {
        let (from, to) = set.between(low, high);
        (from, to - from)
    })
}

/// Takes out the ranks that `window` says: the first, and how many.
fn remove_window(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    event: &'static str,
    reply: &mut Reply<'_>,
    window: impl FnOnce(SortedSetRef<'_>) -> (usize, usize),
) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let (limits, hasher) = (ctx.rules.limits, hasher(ctx));
    let removed = ctx.change(&key, ValueKind::SortedSet, NOT_MADE, |entry| {
        let mut set = SortedSetMut::new(entry, limits, &hasher);
        let (first, count) = window(set.as_ref());
        let all = count == set.as_ref().len();
        if !all {
            set.remove_range(first, count);
        }
        (count, all)
    })?;
    let (removed, all) = removed.unwrap_or((0, false));
    if removed > 0 {
        ctx.notify(EventClass::ZSET, event, &key);
    }
    if all {
        // The whole of it goes with its key, in the background if it is large.
        ctx.delete(&key);
        ctx.notify_deleted(&key);
    }
    reply.integer(removed as i64);
    Ok(Outcome::changed(removed as u32))
}
