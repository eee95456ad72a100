//! Moving an element from one list to another, or around in one.

use super::ends::ABSENT;
use super::{end_of, find_list, pop_event, push_event};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, ValueKind};
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::list::{End, ListMut, Taken};

/// `LMOVE source destination LEFT | RIGHT LEFT | RIGHT`
pub fn lmove(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (from, to) = (end_of(args.get(3))?, end_of(args.get(4))?);
    move_or_null(ctx, args, reply, from, to)
}

/// `RPOPLPUSH source destination`
pub fn rpoplpush(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    move_or_null(ctx, args, reply, End::Tail, End::Head)
}

fn move_or_null(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    from: End,
    to: End,
) -> Result<Outcome, CommandError> {
    let (source, destination) = (ctx.key(args, 1), ctx.key(args, 2));
    if move_one(ctx, (&source, from), (&destination, to), reply)? {
        return Ok(Outcome::changed(1));
    }
    reply.null();
    Ok(Outcome::unchanged())
}

/// Moves an element from an end of a list to an end of another, or of the same, and replies with it. Is there a source?
pub(crate) fn move_one(
    ctx: &mut Context<'_>,
    (source, from): (&Key<'_>, End),
    (destination, to): (&Key<'_>, End),
    reply: &mut Reply<'_>,
) -> Result<bool, CommandError> {
    if !find_list(ctx, source)? {
        return Ok(false);
    }
    find_list(ctx, destination)?;
    let limits = &ctx.rules.limits;
    let is_same = source.bytes == destination.bytes;
    let taken = ctx.change(source, ValueKind::List, ABSENT, |entry| {
        let mut list = ListMut::new(entry, limits);
        let taken = list.take(from);
        if is_same && let Some(taken) = &taken {
            put(&mut list, taken, to);
        }
        list.shrink();
        taken
    })?;
    let Some(taken) = taken.flatten() else {
        return Ok(false);
    };
    let is_emptied = ctx.emptied;
    if !is_same {
        ctx.change(destination, ValueKind::List, Some(ListMut::make), |entry| {
            put(&mut ListMut::new(entry, limits), &taken, to);
        })?;
    }
    ctx.notify(EventClass::LIST, push_event(to), destination);
    ctx.notify(EventClass::LIST, pop_event(from), source);
    if is_emptied {
        ctx.notify_deleted(source);
    }
    match &taken {
        Taken { shared: Some(bytes), .. } => reply.bulk_shared(bytes),
        Taken { text, .. } => reply.bulk(text),
    }
    ctx.note_filled(destination);
    Ok(true)
}

fn put(list: &mut ListMut<'_>, taken: &Taken, end: End) {
    list.grow(taken.weight, 1);
    list.push(end, &taken.item());
}
