//! Questions about members: ZCARD, ZSCORE, ZMSCORE, ZRANK, ZCOUNT and their fellows.

use super::range::{parse_lex_range, parse_score_range};
use super::{read, reply_score};
use crate::command::options::is;
use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::zset::Bound;

/// `ZCARD key`
pub fn zcard(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let set = read(ctx, &key)?;
    reply.integer(set.map_or(0, |set| set.len() as i64));
    Ok(Outcome::unchanged())
}

/// `ZSCORE key member`
pub fn zscore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let set = read(ctx, &key)?;
    match set.and_then(|set| set.score(args.get(2))) {
        Some(score) => reply_score(reply, score),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `ZMSCORE key member [member ...]`
pub fn zmscore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let set = read(ctx, &key)?;
    reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply_score(reply, score),
            None => reply.null(),
        }
    }
    Ok(Outcome::unchanged())
}

/// `ZRANK key member [WITHSCORE]`
pub fn zrank(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    rank(ctx, args, false, "zrank", reply)
}

/// `ZREVRANK key member [WITHSCORE]`
pub fn zrevrank(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    rank(ctx, args, true, "zrevrank", reply)
}

fn rank(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    backwards: bool,
    name: &'static str,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let with_score = match args.len() {
        3 => false,
        4 if is(args.get(3), "WITHSCORE") => true,
        4 => return Err(CommandError::Syntax),
        _ => return Err(CommandError::Arity(name.into())),
    };
    let key = ctx.key(args, 1);
    let set = read(ctx, &key)?;
    let found = set.and_then(|set| set.rank(args.get(2)).map(|(rank, score)| (set.len(), rank, score)));
    match found {
        Some((len, rank, score)) => {
            if with_score {
                reply.array(2);
            }
            reply.integer(if backwards { len - 1 - rank } else { rank } as i64);
            if with_score {
                reply_score(reply, score);
            }
        }
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `ZCOUNT key min max`
pub fn zcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let range = parse_score_range(args.get(2), args.get(3))?;
    count(ctx, args, range, reply)
}

/// `ZLEXCOUNT key min max`
pub fn zlexcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let range = parse_lex_range(args.get(2), args.get(3))?;
    count(ctx, args, range, reply)
}

fn count(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    (low, high): (Bound<'_>, Bound<'_>),
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let (from, to) = read(ctx, &key)?.map_or((0, 0), |set| set.between(low, high));
    reply.integer((to - from) as i64);
    Ok(Outcome::unchanged())
}
