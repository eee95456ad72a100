//! Ranges of members by rank, score or name: the ZRANGE family and ZRANGESTORE.

use super::{Name, hasher, read, reply_head, reply_pair, store};
use crate::command::options::{Options, integer, is};
use crate::commands::Context;
use crate::commands::long_reply::Walk;
use crate::double::parse_lenient;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::Limits;
use crate::value::zset::{Bound, Built, SortedSetRef};

/// A bound of scores: a number, exclusive with `(` before it. `low`: is it the lower one?
fn parse_score_bound<'a>(text: &[u8], low: bool) -> Option<Bound<'a>> {
    let (text, exclusive) = match text {
        [b'(', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    let score = parse_lenient(text)?;
    Some(if exclusive == low { Bound::AfterScore(score) } else { Bound::BeforeScore(score) })
}

/// A range of scores.
pub(super) fn parse_score_range<'a>(low: &[u8], high: &[u8]) -> Result<(Bound<'a>, Bound<'a>), CommandError> {
    match (parse_score_bound(low, true), parse_score_bound(high, false)) {
        (Some(low), Some(high)) => Ok((low, high)),
        _ => Err(CommandError::text("min or max is not a float")),
    }
}

/// A bound of names: `-`, `+`, or a name after `[` or, exclusive, `(`.
fn parse_lex_bound(text: &[u8], low: bool) -> Option<Bound<'_>> {
    match text {
        b"-" => Some(Bound::BeforeScore(f64::NEG_INFINITY)),
        b"+" => Some(Bound::AfterScore(f64::INFINITY)),
        [b'[', name @ ..] => Some(if low { Bound::BeforeMember(name) } else { Bound::AfterMember(name) }),
        [b'(', name @ ..] => Some(if low { Bound::AfterMember(name) } else { Bound::BeforeMember(name) }),
        _ => None,
    }
}

/// A range of names, in a set whose scores are all equal.
pub(super) fn parse_lex_range<'a>(low: &'a [u8], high: &'a [u8]) -> Result<(Bound<'a>, Bound<'a>), CommandError> {
    match (parse_lex_bound(low, true), parse_lex_bound(high, false)) {
        (Some(low), Some(high)) => Ok((low, high)),
        _ => Err(CommandError::text("min or max not valid string range item")),
    }
}

/// Ranks from `start` to `stop`, which count from the end where they are negative: the first, and how many.
pub(super) fn rank_window(len: usize, start: i64, stop: i64) -> (usize, usize) {
    let len = len as i64;
    let absolute = |rank: i64| if rank < 0 { rank + len } else { rank };
    let (start, stop) = (absolute(start).max(0), absolute(stop).min(len - 1));
    if start > stop { (0, 0) } else { (start as usize, (stop - start + 1) as usize) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// What ZRANGE or one of its fellows asks for.
struct Query<'a> {
    range: Range<'a>,
    backwards: bool,
    with_scores: bool,
    offset: i64,
    /// Negative: no limit.
    limit: i64,
}

enum Range<'a> {
    Ranks(i64, i64),
    Between(Bound<'a>, Bound<'a>),
}

/// What the name of a command says already; what it does not, its options may say.
#[derive(Clone, Copy)]
struct Form {
    /// The argument that is the key; the range follows.
    key: usize,
    by: Option<By>,
    backwards: Option<bool>,
}

impl<'a> Query<'a> {
    fn parse(args: &Args<'a>, form: Form) -> Result<Self, CommandError> {
        let mut options = Options::new(args, form.key + 3);
        let stores = form.key > 1;
        let (mut by, mut backwards, mut with_scores, mut offset, mut limit) = (form.by, form.backwards, false, 0, -1);
        let mut left = args.len() - (form.key + 3);
        while let Some(word) = options.word() {
            left -= 1;
            if !stores && is(word, "WITHSCORES") {
                with_scores = true;
            } else if left >= 2 && is(word, "LIMIT") {
                (offset, limit) = (options.integer()?, options.integer()?);
                left -= 2;
            } else if form.backwards.is_none() && backwards.is_none() && is(word, "REV") {
                backwards = Some(true);
            } else if by.is_none() && is(word, "BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && is(word, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let (by, backwards) = (by.unwrap_or(By::Rank), backwards.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(CommandError::text(
                "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(CommandError::text("syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (start, stop) = (args.get(form.key + 1), args.get(form.key + 2));
        let (low, high) = if backwards { (stop, start) } else { (start, stop) };
        let range = match by {
            By::Rank => Range::Ranks(integer(start)?, integer(stop)?),
            By::Score => parse_score_range(low, high).map(|(low, high)| Range::Between(low, high))?,
            By::Lex => parse_lex_range(low, high).map(|(low, high)| Range::Between(low, high))?,
        };
        Ok(Self { range, backwards, with_scores, offset, limit })
    }

    /// The ranks that are asked for, counted from the lowest member: the first, and how many.
    fn window(&self, set: &SortedSetRef<'_>) -> (usize, usize) {
        let (first, count) = match self.range {
            Range::Ranks(start, stop) => {
                let (first, count) = rank_window(set.len(), start, stop);
                return (if self.backwards { set.len() - first - count } else { first }, count);
            }
            Range::Between(low, high) => {
                let (from, to) = set.between(low, high);
                (from, to - from)
            }
        };
        let skipped = match usize::try_from(self.offset) {
            Ok(offset) => offset,
            // As in Valkey, a negative offset finds nothing in a small set and counts from the end of the range in a large one.
            Err(_) => match (set, usize::try_from(self.offset.unsigned_abs())) {
                (SortedSetRef::Large(_), Ok(back)) if back <= count => count - back,
                _ => return (0, 0),
            },
        };
        let Some(left) = count.checked_sub(skipped) else { return (0, 0) };
        let wanted = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        (if self.backwards { first + left - wanted } else { first + skipped }, wanted)
    }
}

fn reply_range(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    form: Form,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let query = Query::parse(args, form)?;
    let (key, long_from) = (ctx.key(args, form.key), ctx.long_from());
    let Some(set) = read(ctx, &key)? else {
        reply.array(0);
        return Ok(Outcome::unchanged());
    };
    let (first, count) = query.window(&set);
    if count >= long_from {
        let (backwards, with_scores) = (query.backwards, query.with_scores);
        return Ok(ctx.put_off(Walk::Ranks { ranks: first..first + count, backwards, with_scores }));
    }
    reply_head(reply, count, query.with_scores);
    set.visit(first, count, query.backwards, &mut |member, score| {
        reply_pair(reply, member, score, query.with_scores);
    });
    Ok(Outcome::unchanged())
}

/// `ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub fn zrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_range(ctx, args, Form { key: 1, by: None, backwards: None }, reply)
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub fn zrevrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_range(ctx, args, Form { key: 1, by: Some(By::Rank), backwards: Some(true) }, reply)
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub fn zrangebyscore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_range(ctx, args, Form { key: 1, by: Some(By::Score), backwards: Some(false) }, reply)
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub fn zrevrangebyscore(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    reply_range(ctx, args, Form { key: 1, by: Some(By::Score), backwards: Some(true) }, reply)
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub fn zrangebylex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_range(ctx, args, Form { key: 1, by: Some(By::Lex), backwards: Some(false) }, reply)
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub fn zrevrangebylex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_range(ctx, args, Form { key: 1, by: Some(By::Lex), backwards: Some(true) }, reply)
}

/// Valkey stores one member after the other, and until it changes to the large form, the sign of a score of -0 is lost.
fn lose_signs_of_zero(members: &mut [(Name<'_>, f64)], backwards: bool, limits: &Limits) {
    let fit = |member: &&mut (Name<'_>, f64)| member.0.as_bytes().len() <= limits.zset_value_bytes;
    if backwards {
        members.iter_mut().rev().take(limits.zset_entries).take_while(fit).for_each(|(_, score)| *score += 0.0);
    } else {
        members.iter_mut().take(limits.zset_entries).take_while(fit).for_each(|(_, score)| *score += 0.0);
    }
}

/// `ZRANGESTORE destination source start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count]`
pub fn zrangestore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let query = Query::parse(args, Form { key: 2, by: None, backwards: None })?;
    let (destination, source) = (ctx.key(args, 1), ctx.key(args, 2));
    let (limits, hasher) = (ctx.rules.limits, hasher(ctx));
    let mut members = Vec::new();
    if let Some(set) = read(ctx, &source)? {
        let (first, count) = query.window(&set);
        members.reserve_exact(count);
        set.visit(first, count, false, &mut |member, score| members.push((Name::of(member), score.value())));
        let small_at_first = !matches!(query.range, Range::Ranks(..)) || count <= limits.zset_entries;
        if small_at_first {
            lose_signs_of_zero(&mut members, query.backwards, &limits);
        }
    }
    let sorted = members.iter().map(|(name, score)| (name.as_bytes(), *score));
    let built = Built::from_sorted(sorted, &limits, &hasher);
    Ok(store(ctx, &destination, built, "zrangestore", reply))
}
