//! Commands on lists.

pub mod rows;

mod blocking;
mod change;
mod ends;
mod moves;
mod read;
#[cfg(test)]
mod tests;

pub use blocking::{
    blmove, blmove_waits, blmpop, blmpop_waits, blpop, blpop_waits, brpop, brpop_waits, brpoplpush, brpoplpush_waits,
};
pub use change::{linsert, lrem, lset, ltrim};
pub use ends::{lmpop, lpop, lpush, lpushx, rpop, rpush, rpushx};
pub use moves::{lmove, rpoplpush};
pub use read::{lindex, llen, lpos, lrange};

use crate::command::options::is;
use crate::commands::Context;
use crate::keyspace::{Key, ValueKind};
use crate::resp::{CommandError, Reply};
use crate::value::list::{End, Item, ListRef, Segment, Segments};
use std::ops::Range;

/// Replies with an element.
#[inline]
pub(crate) fn reply_item(reply: &mut Reply<'_>, item: &Item<'_>) {
    match item {
        Item::Packed(crate::value::Element::Bytes(text)) => reply.bulk(text),
        Item::Packed(crate::value::Element::Int(value)) => reply.bulk_integer(*value),
        Item::Plain(bytes) => reply.bulk_shared(bytes),
    }
}

/// Replies with a stretch of a list, one element after the other.
pub(crate) fn reply_segments(reply: &mut Reply<'_>, segments: Segments<'_>) {
    let backward = segments.is_backward();
    for segment in segments {
        match segment {
            Segment::Plain(bytes) => reply.bulk_shared(bytes),
            packed => packed.for_each_packed(backward, |element| reply_item(reply, &Item::Packed(element))),
        }
    }
}

/// The list of a key, to be read.
#[inline]
fn read_list<'c>(ctx: &'c mut Context<'_>, key: &Key<'_>) -> Result<Option<ListRef<'c>>, CommandError> {
    match ctx.read(key) {
        Some(entry) => ListRef::of(&entry).map(Some).ok_or(CommandError::WrongType),
        None => Ok(None),
    }
}

/// Is there a list under this key? It is looked up in order to be changed.
#[inline]
fn find_list(ctx: &mut Context<'_>, key: &Key<'_>) -> Result<bool, CommandError> {
    match ctx.find(key).map(|entry| entry.kind()) {
        Some(ValueKind::List) => Ok(true),
        Some(_) => Err(CommandError::WrongType),
        None => Ok(false),
    }
}

/// The end that a word names.
pub(crate) fn end_of(word: &[u8]) -> Result<End, CommandError> {
    if is(word, "LEFT") {
        Ok(End::Head)
    } else if is(word, "RIGHT") {
        Ok(End::Tail)
    } else {
        Err(CommandError::Syntax)
    }
}

/// What adding at an end is called.
#[inline]
const fn push_event(end: End) -> &'static str {
    match end {
        End::Head => "lpush",
        End::Tail => "rpush",
    }
}

/// What taking from an end is called.
#[inline]
const fn pop_event(end: End) -> &'static str {
    match end {
        End::Head => "lpop",
        End::Tail => "rpop",
    }
}

/// The places from `start` to `stop` inclusive, where negative ones count from the end.
fn range_of(start: i64, stop: i64, len: usize) -> Range<usize> {
    let place = |at: i64| if at < 0 { at.saturating_add(len as i64) } else { at };
    let (start, stop) = (place(start).max(0), place(stop).min(len as i64 - 1));
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

/// The place that an index means, if it is within the list.
fn place_of(index: i64, len: usize) -> Option<usize> {
    let place = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(place).ok().filter(|&place| place < len)
}

/// How many changes a removal of so many elements is.
pub(crate) fn changes_of(elements: usize) -> u32 {
    u32::try_from(elements).unwrap_or(u32::MAX)
}
