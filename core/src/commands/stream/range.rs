//! XRANGE, XREVRANGE and XLEN.

use super::ids::{parse_end, parse_start, reply_entry};
use super::read_stream;
use crate::command::options::{Options, is};
use crate::commands::Context;
use crate::commands::long_reply::Walk;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::stream::{Entries, StreamId};

/// `XLEN key`
pub fn xlen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    reply.integer(read_stream(ctx, &key)?.map_or(0, |stream| stream.len() as i64));
    Ok(Outcome::unchanged())
}

/// `XRANGE key start end [COUNT count]`
pub fn xrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    range(ctx, args, reply, false)
}

/// `XREVRANGE key end start [COUNT count]`
pub fn xrevrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    range(ctx, args, reply, true)
}

fn range(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    backward: bool,
) -> Result<Outcome, CommandError> {
    let (first, last) = if backward { (3, 2) } else { (2, 3) };
    let (from, to) = (parse_start(args.get(first))?, parse_end(args.get(last))?);
    let mut count = usize::MAX;
    let mut options = Options::new(args, 4);
    while let Some(word) = options.word() {
        if !is(word, "COUNT") {
            return Err(CommandError::Syntax);
        }
        count = options.integer()?.max(0) as usize;
    }
    let key = ctx.key(args, 1);
    let long_from = ctx.long_from();
    let Some(stream) = read_stream(ctx, &key)? else {
        reply.array(0);
        return Ok(Outcome::unchanged());
    };
    if count == 0 {
        reply.null_array();
        return Ok(Outcome::unchanged());
    }
    if stream.len().min(count) >= long_from {
        let left = stream.entries.count(from, to).min(count);
        if left >= long_from {
            return Ok(ctx.put_off(Walk::Entries { from, to, left, backward }));
        }
    }
    reply_range(reply, &stream.entries, (from, to), count, backward);
    Ok(Outcome::unchanged())
}

/// Replies with a list of the entries between two ids, both included, but not more than `count`. The answer: how many they are.
pub(crate) fn reply_range(
    reply: &mut Reply<'_>,
    entries: &Entries,
    (from, to): (StreamId, StreamId),
    count: usize,
    backward: bool,
) -> usize {
    let head = reply.unsettled(false, entries.len().min(count));
    let mut written = 0;
    for (id, fields) in entries.range(from, to, backward).take(count) {
        reply_entry(reply, id, fields);
        written += 1;
    }
    reply.settle(head, written);
    written
}
