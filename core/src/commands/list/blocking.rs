//! Commands that take from lists and wait for an element if there is none.

use super::ends::{PopRequest, pop_one, pop_with_key};
use super::moves::move_one;
use super::{end_of, find_list, reply_item};
use crate::command::wait::{Share, Undo, Wait, deadline};
use crate::commands::Context;
use crate::keyspace::ValueKind;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::list::End;
use std::ops::Range;

const fn undo_of(end: End) -> Undo {
    match end {
        End::Head => Undo::Head,
        End::Tail => Undo::Tail,
    }
}

fn wait(keys: Range<usize>, seconds: &[u8], now: Millis, undo: Undo) -> Option<Wait> {
    let until = deadline(seconds, now).ok()?;
    Some(Wait { keys, kind: ValueKind::List, until, undo, share: Share::Take })
}

/// What `BLPOP` waits for.
pub fn blpop_waits(args: &Args<'_>, now: Millis) -> Option<Wait> {
    let last = args.len() - 1;
    wait(1..last, args.get(last), now, Undo::Head)
}

/// What `BRPOP` waits for.
pub fn brpop_waits(args: &Args<'_>, now: Millis) -> Option<Wait> {
    Some(Wait { undo: Undo::Tail, ..blpop_waits(args, now)? })
}

/// What `BLMOVE` waits for.
pub fn blmove_waits(args: &Args<'_>, now: Millis) -> Option<Wait> {
    end_of(args.get(3)).and_then(|_| end_of(args.get(4))).ok()?;
    wait(1..2, args.get(5), now, Undo::Nothing)
}

/// What `BRPOPLPUSH` waits for.
pub fn brpoplpush_waits(args: &Args<'_>, now: Millis) -> Option<Wait> {
    wait(1..2, args.get(3), now, Undo::Nothing)
}

/// What `BLMPOP` waits for.
pub fn blmpop_waits(args: &Args<'_>, now: Millis) -> Option<Wait> {
    let request = PopRequest::parse(args, 2).ok()?;
    wait(request.keys, args.get(1), now, undo_of(request.end))
}

/// `BLPOP key [key ...] timeout`
pub fn blpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    pop_first(ctx, args, reply, End::Head)
}

/// `BRPOP key [key ...] timeout`
pub fn brpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    pop_first(ctx, args, reply, End::Tail)
}

fn pop_first(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, end: End) -> Result<Outcome, CommandError> {
    let last = args.len() - 1;
    deadline(args.get(last), ctx.now)?;
    for index in 1..last {
        let key = ctx.key(args, index);
        let popped = pop_one(ctx, &key, end, |item| {
            reply.array(2);
            reply.bulk(key.bytes);
            reply_item(reply, item);
        })?;
        if popped {
            ctx.touch(&key);
            let name = if end == End::Head { &b"LPOP"[..] } else { b"RPOP" };
            return Ok(ctx.effect(1, || EffectCall::new([name, key.bytes])));
        }
    }
    Ok(ctx.wait_or(reply, |reply| reply.null_array()))
}

/// `BLMPOP timeout numkeys key [key ...] LEFT | RIGHT [COUNT count]`
pub fn blmpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let request = PopRequest::parse(args, 2)?;
    deadline(args.get(1), ctx.now)?;
    for index in request.keys.clone() {
        let key = ctx.key(args, index);
        if let Some(outcome) = pop_with_key(ctx, &key, &request, reply)? {
            return Ok(outcome);
        }
    }
    Ok(ctx.wait_or(reply, |reply| reply.null_array()))
}

/// `BLMOVE source destination LEFT | RIGHT LEFT | RIGHT timeout`
pub fn blmove(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (from, to) = (end_of(args.get(3))?, end_of(args.get(4))?);
    deadline(args.get(5), ctx.now)?;
    move_when_there(ctx, args, reply, (from, to), || {
        EffectCall::new([&b"LMOVE"[..], args.get(1), args.get(2), args.get(3), args.get(4)])
    })
}

/// `BRPOPLPUSH source destination timeout`
pub fn brpoplpush(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    deadline(args.get(3), ctx.now)?;
    move_when_there(ctx, args, reply, (End::Tail, End::Head), || {
        EffectCall::new([&b"RPOPLPUSH"[..], args.get(1), args.get(2)])
    })
}

fn move_when_there(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    (from, to): (End, End),
    effect: impl FnOnce() -> EffectCall,
) -> Result<Outcome, CommandError> {
    let (source, destination) = (ctx.key(args, 1), ctx.key(args, 2));
    // Nobody looks at the destination before there is something to move.
    if find_list(ctx, &source)? && move_one(ctx, (&source, from), (&destination, to), reply)? {
        return Ok(ctx.effect(1, effect));
    }
    Ok(ctx.wait_or(reply, |reply| reply.null()))
}
