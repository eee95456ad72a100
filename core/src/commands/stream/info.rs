//! XINFO STREAM.

use super::ids::{reply_entry, reply_id};
use super::info_groups::reply_groups;
use super::range::reply_range;
use super::read_stream;
use crate::command::options::{integer, is};
use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::stream::{Entries, Stream, StreamId};

/// Entries that FULL shows of a stream and of each group if it is not told otherwise.
const FULL_COUNT_DEFAULT: usize = 10;

/// `XINFO STREAM key [FULL [COUNT count]]`
pub fn xinfo_stream(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    let stream = read_stream(ctx, &key)?.ok_or(CommandError::NoSuchKey)?;
    match full_count(args)? {
        None => reply_short(reply, stream),
        Some(count) => reply_full(reply, stream, count),
    }
    Ok(Outcome::unchanged())
}

/// How many entries FULL shows, if it is said.
fn full_count(args: &Args<'_>) -> Result<Option<usize>, CommandError> {
    let options = args.len() - 3;
    if options == 0 {
        return Ok(None);
    }
    let fits = matches!(options, 1 | 3) && is(args.get(3), "FULL") && (options == 1 || is(args.get(4), "COUNT"));
    if !fits {
        let name = String::from_utf8_lossy(args.get(1)).into_owned();
        const UNKNOWN: &str = "unknown subcommand or wrong number of arguments for";
        return Err(CommandError::owned(format!("{UNKNOWN} '{name}'. Try XINFO HELP.")));
    }
    if options == 1 {
        return Ok(Some(FULL_COUNT_DEFAULT));
    }
    Ok(Some(match integer(args.get(5))? {
        ..0 => FULL_COUNT_DEFAULT,
        0 => usize::MAX,
        count => count as usize,
    }))
}

/// What both forms begin with.
fn reply_counters(reply: &mut Reply<'_>, entries: &Entries) {
    let mut number = |name: &str, value: usize| {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    };
    number("length", entries.len());
    number("radix-tree-keys", entries.nodes_len());
    number("radix-tree-nodes", entries.tree_nodes());
    let mut id = |name: &str, id: StreamId| {
        reply.bulk(name.as_bytes());
        reply_id(reply, id);
    };
    id("last-generated-id", entries.last_id());
    id("max-deleted-entry-id", entries.max_deleted_id());
    reply.bulk(b"entries-added");
    reply.integer(entries.entries_added() as i64);
    reply.bulk(b"recorded-first-entry-id");
    reply_id(reply, entries.first_id());
}

fn reply_full(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.map(9);
    reply_counters(reply, &stream.entries);
    reply.bulk(b"entries");
    reply_range(reply, &stream.entries, (StreamId::MIN, StreamId::MAX), count, false);
    reply.bulk(b"groups");
    reply_groups(reply, stream, count);
}

fn reply_short(reply: &mut Reply<'_>, stream: &Stream) {
    let entries = &stream.entries;
    reply.map(10);
    reply_counters(reply, entries);
    reply.bulk(b"groups");
    reply.integer(stream.groups.len() as i64);
    for (name, backward) in [("first-entry", false), ("last-entry", true)] {
        reply.bulk(name.as_bytes());
        match entries.range(StreamId::MIN, StreamId::MAX, backward).next() {
            Some((id, fields)) => reply_entry(reply, id, fields),
            None => reply.null(),
        }
    }
}
