//! Commands that take from sorted sets and wait for a member if there is none.

use super::pop::{End, PopCall, PopShape, pop, pop_effect};
use crate::command::wait::{Share, Undo, Wait, deadline};
use crate::commands::Context;
use crate::keyspace::ValueKind;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use std::ops::Range;

fn wait(keys: Range<usize>, seconds: &[u8], now: Millis) -> Option<Wait> {
    let until = deadline(seconds, now).ok()?;
    Some(Wait { keys, kind: ValueKind::SortedSet, until, undo: Undo::Scored, share: Share::Take })
}

/// What `BZPOPMIN` and `BZPOPMAX` wait for.
pub fn bzpop_waits(args: &Args<'_>, now: Millis) -> Option<Wait> {
    let last = args.len() - 1;
    wait(1..last, args.get(last), now)
}

/// What `BZMPOP` waits for.
pub fn bzmpop_waits(args: &Args<'_>, now: Millis) -> Option<Wait> {
    wait(PopCall::parse(args, 2).ok()?.keys, args.get(1), now)
}

/// `BZPOPMIN key [key ...] timeout`
pub fn bzpopmin(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    pop_first_of(ctx, args, End::Lowest, reply)
}

/// `BZPOPMAX key [key ...] timeout`
pub fn bzpopmax(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    pop_first_of(ctx, args, End::Highest, reply)
}

fn pop_first_of(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    end: End,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let last = args.len() - 1;
    deadline(args.get(last), ctx.now)?;
    pop_first(ctx, args, PopCall { keys: 1..last, end, count: 1 }, PopShape::KeyFlat, reply)
}

/// `BZMPOP timeout numkeys key [key ...] MIN | MAX [COUNT count]`
pub fn bzmpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let call = PopCall::parse(args, 2)?;
    deadline(args.get(1), ctx.now)?;
    pop_first(ctx, args, call, PopShape::KeyPairs, reply)
}

fn pop_first(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    call: PopCall,
    shape: PopShape,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    for index in call.keys {
        let key = ctx.key(args, index);
        if let Some(count) = pop(ctx, &key, call.end, call.count, shape, reply)? {
            return Ok(pop_effect(ctx, &key, call.end, count));
        }
    }
    Ok(ctx.wait_or(reply, |reply| reply.null_array()))
}
