//! ZRANDMEMBER.

use super::{read, reply_head, reply_member, reply_pair};
use crate::command::options::is;
use crate::commands::Context;
use crate::number::parse_integer;
use crate::outcome::Outcome;
use crate::prng::Prng;
use crate::resp::{Args, CommandError, Reply};
use crate::value::zset::SortedSetRef;
use std::collections::BTreeSet;

/// The most members that a negative count gives: the same member may come any number of times, and the reply has to fit memory.
const REPEATED_MAX: u64 = 1 << 24;

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub fn zrandmember(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let count = match args.len() {
        2 => None,
        _ => Some(parse_integer(args.get(2)).ok_or(CommandError::NotAnInteger)?),
    };
    if count == Some(i64::MIN) {
        return Err(CommandError::text(
            "value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let with_scores = match args.len() {
        ..=3 => false,
        4 if is(args.get(3), "WITHSCORES") => true,
        _ => return Err(CommandError::Syntax),
    };
    if with_scores && count.is_some_and(|count| count.unsigned_abs() > i64::MAX as u64 / 2) {
        return Err(CommandError::text("value is out of range"));
    }
    let key = ctx.key(args, 1);
    // The chance of the shard, which the set's borrow would keep out of reach.
    let mut prng = Prng::new(ctx.shard.prng.next_u64());
    let set = read(ctx, &key)?;
    match (set, count) {
        (None, None) => reply.null(),
        (None, Some(_)) | (_, Some(0)) => reply.array(0),
        (Some(set), None) => {
            let rank = prng.below(set.len() as u64) as usize;
            set.visit(rank, 1, false, &mut |member, _| reply_member(reply, member));
        }
        (Some(set), Some(count @ 1..)) => reply_distinct(reply, set, count as usize, with_scores, &mut prng),
        (Some(set), Some(count)) => {
            let count = count.unsigned_abs();
            if count > REPEATED_MAX {
                return Err(CommandError::text("value is out of range"));
            }
            reply_repeated(reply, set, count as usize, with_scores, &mut prng);
        }
    }
    Ok(Outcome::unchanged())
}

/// Up to `count` members, none twice.
fn reply_distinct(reply: &mut Reply<'_>, set: SortedSetRef<'_>, count: usize, with_scores: bool, prng: &mut Prng) {
    let len = set.len();
    if count >= len {
        reply_head(reply, len, with_scores);
        return set.visit(0, len, false, &mut |member, score| reply_pair(reply, member, score, with_scores));
    }
    let ranks = distinct_ranks(len, count, prng);
    reply_head(reply, count, with_scores);
    for (member, score) in set.pick(&ranks) {
        reply_pair(reply, member, score, with_scores);
    }
}

/// `count` different numbers below `len`, in order; each choice is as likely as any other (Robert Floyd's algorithm).
fn distinct_ranks(len: usize, count: usize, prng: &mut Prng) -> Vec<usize> {
    let mut chosen = BTreeSet::new();
    for last in len - count..len {
        let drawn = prng.below(last as u64 + 1) as usize;
        if !chosen.insert(drawn) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().collect()
}

/// `count` members, each drawn from all.
fn reply_repeated(reply: &mut Reply<'_>, set: SortedSetRef<'_>, count: usize, with_scores: bool, prng: &mut Prng) {
    reply_head(reply, count, with_scores);
    let len = set.len() as u64;
    match set {
        SortedSetRef::Packed(_) => {
            let mut all = Vec::with_capacity(set.len());
            set.visit(0, set.len(), false, &mut |member, score| all.push((member, score)));
            for _ in 0..count {
                let (member, score) = all[prng.below(len) as usize];
                reply_pair(reply, member, score, with_scores);
            }
        }
        SortedSetRef::Large(_) => {
            for _ in 0..count {
                let rank = prng.below(len) as usize;
                set.visit(rank, 1, false, &mut |member, score| reply_pair(reply, member, score, with_scores));
            }
        }
    }
}
