//! Taking the lowest or highest members: ZPOPMIN, ZPOPMAX, ZMPOP, and what their blocking fellows share with them.

use super::{NOT_MADE, hasher, reply_member, reply_score};
use crate::command::options::{Options, is};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, ValueKind};
use crate::number::parse_integer;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::value::zset::SortedSetMut;

/// Which members go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Those of the lowest scores.
    Lowest,
    /// Those of the highest scores.
    Highest,
}

/// How the members are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PopShape {
    /// Member and score in one list (ZPOPMIN).
    Flat,
    /// A list of pairs (ZPOPMIN with a count, in RESP3).
    Pairs,
    /// The key before member and score, in one list (BZPOPMIN).
    KeyFlat,
    /// The key and a list of pairs (ZMPOP).
    KeyPairs,
}

impl PopShape {
    fn reply_head(self, reply: &mut Reply<'_>, key: &Key<'_>, count: usize) {
        match self {
            Self::Flat => reply.array(2 * count),
            Self::Pairs => reply.array(count),
            Self::KeyFlat => {
                reply.array(2 * count + 1);
                reply.bulk(key.bytes);
            }
            Self::KeyPairs => {
                reply.array(2);
                reply.bulk(key.bytes);
                reply.array(count);
            }
        }
    }
}

/// Takes up to `count` members, at least one, from an end of a sorted set and replies with them. The answer is their number;
/// none, and no reply, if there is no such key.
pub fn pop(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    end: End,
    count: usize,
    shape: PopShape,
    reply: &mut Reply<'_>,
) -> Result<Option<usize>, CommandError> {
    let (limits, hasher) = (ctx.rules.limits, hasher(ctx));
    let popped = ctx.change(key, ValueKind::SortedSet, NOT_MADE, |entry| {
        let mut set = SortedSetMut::new(entry, limits, &hasher);
        let len = set.as_ref().len();
        let count = count.min(len);
        let first = if end == End::Highest { len - count } else { 0 };
        shape.reply_head(reply, key, count);
        set.as_ref().visit(first, count, end == End::Highest, &mut |member, score| {
            if matches!(shape, PopShape::Pairs | PopShape::KeyPairs) {
                reply.array(2);
            }
            reply_member(reply, member);
            reply_score(reply, score);
        });
        if count < len {
            set.remove_range(first, count);
        }
        (count, count == len)
    })?;
    if popped.is_some() {
        ctx.notify(EventClass::ZSET, if end == End::Highest { "zpopmax" } else { "zpopmin" }, key);
    }
    if let Some((_, true)) = popped {
        // The whole of it goes with its key, in the background if it is large.
        ctx.delete(key);
        ctx.notify_deleted(key);
    }
    Ok(popped.map(|(count, _)| count))
}

/// What the journal takes for a pop that need not find the same key again.
pub fn pop_effect(ctx: &mut Context<'_>, key: &Key<'_>, end: End, count: usize) -> Outcome {
    ctx.touch(key);
    ctx.effect(count as u32, || {
        let name = if end == End::Highest { &b"ZPOPMAX"[..] } else { b"ZPOPMIN" };
        EffectCall::new([name, key.bytes, itoa::Buffer::new().format(count).as_bytes()])
    })
}

/// `ZPOPMIN key [count]`
pub fn zpopmin(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    pop_one_key(ctx, args, End::Lowest, reply)
}

/// `ZPOPMAX key [count]`
pub fn zpopmax(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    pop_one_key(ctx, args, End::Highest, reply)
}

fn pop_one_key(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    end: End,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let count = match args.len() {
        2 => None,
        3 => Some(positive(args.get(2), 0, "value is out of range, must be positive")?),
        _ => return Err(CommandError::Syntax),
    };
    let key = ctx.key(args, 1);
    if count == Some(0) {
        match ctx.find(&key) {
            Some(entry) if entry.kind() != ValueKind::SortedSet => return Err(CommandError::WrongType),
            _ => reply.array(0),
        }
        return Ok(Outcome::unchanged());
    }
    let shape = if count.is_some() && reply.is_resp3() { PopShape::Pairs } else { PopShape::Flat };
    match pop(ctx, &key, end, count.unwrap_or(1), shape, reply)? {
        Some(count) => Ok(Outcome::changed(count as u32)),
        None => {
            reply.array(0);
            Ok(Outcome::unchanged())
        }
    }
}

/// An argument that is an integer of at least `least`.
fn positive(text: &[u8], least: i64, refusal: &'static str) -> Result<usize, CommandError> {
    let number = parse_integer(text).filter(|number| *number >= least);
    number.and_then(|number| usize::try_from(number).ok()).ok_or(CommandError::text(refusal))
}

/// The arguments of ZMPOP, and of BZMPOP behind its timeout: `numkeys key [key ...] <MIN | MAX> [COUNT count]`.
#[derive(Debug)]
pub struct PopCall {
    /// The arguments that are keys.
    pub keys: std::ops::Range<usize>,
    /// Which members go.
    pub end: End,
    /// How many at most.
    pub count: usize,
}

impl PopCall {
    /// Reads the arguments from `first` on.
    pub fn parse(args: &Args<'_>, first: usize) -> Result<Self, CommandError> {
        let keys = positive(args.get(first), 1, "numkeys should be greater than 0")?;
        let Some(after) = (first + 1).checked_add(keys).filter(|after| *after < args.len()) else {
            return Err(CommandError::Syntax);
        };
        let mut options = Options::new(args, after);
        let end = match options.word() {
            Some(word) if is(word, "MIN") => End::Lowest,
            Some(word) if is(word, "MAX") => End::Highest,
            _ => return Err(CommandError::Syntax),
        };
        let mut count = None;
        while let Some(word) = options.word() {
            if count.is_some() || !is(word, "COUNT") {
                return Err(CommandError::Syntax);
            }
            count = Some(positive(options.value()?, 1, "count should be greater than 0")?);
        }
        Ok(Self { keys: first + 1..after, end, count: count.unwrap_or(1) })
    }
}

/// `ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]`
pub fn zmpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let call = PopCall::parse(args, 1)?;
    for index in call.keys {
        let key = ctx.key(args, index);
        if let Some(count) = pop(ctx, &key, call.end, call.count, PopShape::KeyPairs, reply)? {
            return Ok(pop_effect(ctx, &key, call.end, count));
        }
    }
    reply.null_array();
    Ok(Outcome::unchanged())
}
