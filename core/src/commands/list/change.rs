//! Commands that change a list at some place.

use super::ends::ABSENT;
use super::{changes_of, find_list, place_of, range_of};
use crate::command::options::{integer, is};
use crate::commands::Context;
use crate::keyspace::ValueKind;
use crate::keyspace::events::EventClass;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::list::{End, ListMut, NewItem};

/// The refusal of the one number that has no opposite.
pub(super) const BEYOND_RANGE: &str =
    "value is out of range, value must between -9223372036854775807 and 9223372036854775807";

/// `LINSERT key BEFORE | AFTER pivot element`
pub fn linsert(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let word = args.get(2);
    let side = if is(word, "BEFORE") {
        End::Head
    } else if is(word, "AFTER") {
        End::Tail
    } else {
        return Err(CommandError::Syntax);
    };
    let key = ctx.key(args, 1);
    let limits = &ctx.rules.limits;
    let item = NewItem { shared: args.shared(4), ..NewItem::of(args.get(4)) };
    let len = ctx.change(&key, ValueKind::List, ABSENT, |entry| {
        let mut list = ListMut::new(entry, limits);
        list.insert_beside(args.get(3), side, &item).then(|| list.len())
    })?;
    match len {
        Some(Some(len)) => {
            reply.integer(len as i64);
            ctx.notify(EventClass::LIST, "linsert", &key);
            return Ok(Outcome::changed(1));
        }
        Some(None) => reply.integer(-1),
        None => reply.integer(0),
    }
    Ok(Outcome::unchanged())
}

/// `LSET key index element`
///
/// Valkey 9.1 looks at the lowest 32 bits of the index only, so that 4294967296 changes the first element. Here it is out of
/// range, as it is for LINDEX in both.
pub fn lset(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    // The index is looked at only if there is a list.
    if !find_list(ctx, &key)? {
        return Err(CommandError::NoSuchKey);
    }
    let index = integer(args.get(2))?;
    let limits = &ctx.rules.limits;
    let item = NewItem { shared: args.shared(3), ..NewItem::of(args.get(3)) };
    let done = ctx.change(&key, ValueKind::List, ABSENT, |entry| {
        let mut list = ListMut::new(entry, limits);
        let place = place_of(index, list.len());
        list.set(place, &item)
    })?;
    if done != Some(true) {
        return Err(CommandError::text("index out of range"));
    }
    reply.ok();
    ctx.notify(EventClass::LIST, "lset", &key);
    Ok(Outcome::changed(1))
}

/// `LTRIM key start stop`
pub fn ltrim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (start, stop) = (integer(args.get(2))?, integer(args.get(3))?);
    let key = ctx.key(args, 1);
    let limits = &ctx.rules.limits;
    let trimmed = ctx.change(&key, ValueKind::List, ABSENT, |entry| {
        let mut list = ListMut::new(entry, limits);
        let len = list.len();
        let kept = range_of(start, stop, len);
        let (front, back) = if kept.is_empty() { (len, 0) } else { (kept.start, len - kept.end) };
        let gone = [list.cut(End::Head, front), list.cut(End::Tail, back)];
        list.shrink();
        (front + back, gone)
    })?;
    reply.ok();
    let Some((count, gone)) = trimmed else {
        return Ok(Outcome::unchanged());
    };
    ctx.notify_taken(EventClass::LIST, "ltrim", &key);
    for part in gone.into_iter().flatten() {
        ctx.database().discard_part(part);
    }
    Ok(Outcome::changed(changes_of(count)))
}

/// `LREM key count element`
pub fn lrem(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let count = integer(args.get(2))?;
    if count == i64::MIN {
        return Err(CommandError::text(BEYOND_RANGE));
    }
    let key = ctx.key(args, 1);
    let limits = &ctx.rules.limits;
    let (from, most) = match count {
        0 => (End::Head, usize::MAX),
        _ => (if count < 0 { End::Tail } else { End::Head }, count.unsigned_abs() as usize),
    };
    let removed = ctx.change(&key, ValueKind::List, ABSENT, |entry| {
        ListMut::new(entry, limits).remove_equal(args.get(3), most, from)
    })?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        ctx.notify_taken(EventClass::LIST, "lrem", &key);
    }
    reply.integer(removed as i64);
    Ok(Outcome::changed(changes_of(removed)))
}
