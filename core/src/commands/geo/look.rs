//! Asking about places by name: GEODIST, GEOHASH, GEOPOS.

use super::text::{reply_distance, reply_position};
use super::unit;
use crate::commands::Context;
use crate::commands::zset::read;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::geohash::Position;
use crate::value::zset::SortedSetRef;

fn place(set: Option<SortedSetRef<'_>>, member: &[u8]) -> Option<Position> {
    set?.score(member).map(|score| Position::of_score(score.value()))
}

/// `GEODIST key member1 member2 [M | KM | FT | MI]`
pub fn geodist(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let metres = match args.len() {
        4 => 1.0,
        5 => unit(args.get(4))?,
        _ => return Err(CommandError::Syntax),
    };
    let key = ctx.key(args, 1);
    let set = read(ctx, &key)?;
    match (place(set, args.get(2)), place(set, args.get(3))) {
        (Some(one), Some(other)) => reply_distance(reply, one.distance(other) / metres),
        _ => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// Replies with what is to be told about each of the members.
fn reply_each(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    tell: impl Fn(&mut Reply<'_>, Option<Position>),
) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let set = read(ctx, &key)?;
    reply.array(args.len() - 2);
    (2..args.len()).for_each(|index| tell(reply, place(set, args.get(index))));
    Ok(Outcome::unchanged())
}

/// `GEOHASH key [member ...]`
pub fn geohash(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_each(ctx, args, reply, |reply, place| match place {
        Some(place) => reply.bulk(&place.geohash()),
        None => reply.null(),
    })
}

/// `GEOPOS key [member ...]`
pub fn geopos(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_each(ctx, args, reply, |reply, place| match place {
        Some(place) => reply_position(reply, place),
        None => reply.null_array(),
    })
}
