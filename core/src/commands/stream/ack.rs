//! XACK.

use super::ids::parse_id;
use super::{NOT_MADE, with_stream};
use crate::commands::Context;
use crate::keyspace::ValueKind;
use crate::keyspace::events::EventClass;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::stream::StreamId;
use smallvec::SmallVec;

/// `XACK key group id [id ...]`
pub fn xack(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let acknowledged = ctx.change(&key, ValueKind::Stream, NOT_MADE, |entry| {
        with_stream(entry, |stream| {
            let Some(group) = stream.groups.find_mut(args.get(2)) else { return Ok(0) };
            if args.len() == 4 {
                return Ok(u32::from(group.acknowledge(parse_id(args.get(3), 0)?)));
            }
            // All must be ids before anything is done.
            let ids = args.iter_from(3).map(|word| parse_id(word, 0));
            let ids: SmallVec<[StreamId; 8]> = ids.collect::<Result<_, CommandError>>()?;
            Ok(ids.into_iter().map(|id| u32::from(group.acknowledge(id))).sum())
        })
    })?;
    match acknowledged {
        Some(_) => ctx.shard.stats.keyspace_hits += 1,
        None => {
            ctx.shard.stats.keyspace_misses += 1;
            ctx.notify(EventClass::KEY_MISS, "keymiss", &key);
        }
    }
    let acknowledged = acknowledged.unwrap_or(Ok(0))?;
    reply.integer(i64::from(acknowledged));
    Ok(Outcome::changed(acknowledged))
}
