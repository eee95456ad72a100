//! Commands for sorted sets.

pub mod pop;
pub mod rows;

pub(in crate::commands) mod add;
mod blocking;
mod combine;
mod look;
mod random;
mod range;
mod remove;
mod scan;
#[cfg(test)]
mod tests;

pub use add::{zadd, zincrby};
pub use blocking::{bzmpop, bzmpop_waits, bzpop_waits, bzpopmax, bzpopmin};
pub use combine::{zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore};
pub use look::{zcard, zcount, zlexcount, zmscore, zrank, zrevrank, zscore};
pub use pop::{zmpop, zpopmax, zpopmin};
pub use random::zrandmember;
pub use range::{zrange, zrangebylex, zrangebyscore, zrangestore, zrevrange, zrevrangebylex, zrevrangebyscore};
pub use remove::{zrem, zremrangebylex, zremrangebyrank, zremrangebyscore};
pub use scan::zscan;

use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{EntryRef, Form, Key, KeyHasher, NewValue};
use crate::outcome::Outcome;
use crate::resp::{CommandError, Reply};
use crate::value::Element;
use crate::value::zset::{Built, EMPTY, Score, SortedSetRef};

/// A new sorted set.
const fn empty() -> NewValue<'static> {
    NewValue::Packed(Form::SortedSet, &EMPTY)
}

/// For changes of sorted sets that do not make one.
const NOT_MADE: Option<fn() -> NewValue<'static>> = None;

/// The sorted set of an entry that must be one.
#[inline]
fn sorted_set<'a>(entry: &EntryRef<'a>) -> Result<SortedSetRef<'a>, CommandError> {
    SortedSetRef::of(entry).ok_or(CommandError::WrongType)
}

/// Looks a sorted set up in order to read it.
#[inline]
pub(in crate::commands) fn read<'c>(
    ctx: &'c mut Context<'_>,
    key: &Key<'_>,
) -> Result<Option<SortedSetRef<'c>>, CommandError> {
    ctx.read(key).as_ref().map(sorted_set).transpose()
}

#[inline]
fn reply_score(reply: &mut Reply<'_>, score: Score<'_>) {
    match score {
        Score::Double(score) => reply.double(score),
        Score::Packed(Element::Int(score)) => reply.double_text(itoa::Buffer::new().format(score)),
        Score::Packed(Element::Bytes(text)) => reply.double_text(str::from_utf8(text).unwrap_or("nan")),
    }
}

#[inline]
pub(in crate::commands) fn reply_member(reply: &mut Reply<'_>, member: Element<'_>) {
    match member {
        Element::Bytes(bytes) => reply.bulk(bytes),
        Element::Int(integer) => reply.bulk_integer(integer),
    }
}

/// The head of a list of members. With scores it is a flat list in RESP2, and a list of pairs in RESP3.
pub(crate) fn reply_head(reply: &mut Reply<'_>, count: usize, with_scores: bool) {
    reply.array(if with_scores && !reply.is_resp3() { 2 * count } else { count });
}

/// A member of such a list.
#[inline]
pub(crate) fn reply_pair(reply: &mut Reply<'_>, member: Element<'_>, score: Score<'_>, with_scores: bool) {
    if with_scores && reply.is_resp3() {
        reply.array(2);
    }
    reply_member(reply, member);
    if with_scores {
        reply_score(reply, score);
    }
}

/// The text of a member, wherever it lies.
#[derive(Clone, Copy)]
enum Name<'a> {
    Bytes(&'a [u8]),
    Digits([u8; 20], u8),
}

impl<'a> Name<'a> {
    fn of(member: Element<'a>) -> Self {
        match member {
            Element::Bytes(bytes) => Self::Bytes(bytes),
            Element::Int(integer) => {
                let mut buffer = itoa::Buffer::new();
                let text = buffer.format(integer).as_bytes();
                let mut digits = [0; 20];
                digits[..text.len()].copy_from_slice(text);
                Self::Digits(digits, text.len() as u8)
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Digits(digits, len) => &digits[..usize::from(*len)],
        }
    }
}

/// Puts a sorted set in the place of whatever a key holds, or removes the key if there are no members, and replies with
/// their number. `event` is what those hear of it who subscribe to the key.
pub(in crate::commands) fn store(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    built: Built,
    event: &'static str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let count = built.len();
    reply.integer(count as i64);
    if built.is_empty() {
        return Outcome::changed(ctx.store_nothing(key).into());
    }
    if ctx.must_look() {
        ctx.find(key);
    }
    built.stored(|value| ctx.write(key, value, None));
    ctx.notify(EventClass::ZSET, event, key);
    ctx.note_filled(key);
    Outcome::changed(1)
}

/// The hasher of elements, apart from the shard.
pub(in crate::commands) fn hasher(ctx: &Context<'_>) -> KeyHasher {
    ctx.shard.hasher.clone()
}
