//! XPENDING.

use super::group::no_group;
use super::ids::{parse_end, parse_start, reply_id};
use super::read_stream;
use crate::command::options::{integer, is};
use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::stream::{Delivery, Group, StreamId};

/// Which pending entries are asked for.
struct Filter<'a> {
    idle_min: i64,
    from: StreamId,
    to: StreamId,
    count: u64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let (mut at, mut idle_min) = (3, 0);
        if is(args.get(3), "IDLE") {
            idle_min = integer(args.get(4))?;
            if args.len() < 8 {
                return Err(CommandError::Syntax);
            }
            at = 5;
        }
        let count = integer(args.get(at + 2))?.max(0) as u64;
        let (from, to) = (parse_start(args.get(at))?, parse_end(args.get(at + 1))?);
        // More words than that are passed over.
        let consumer = (at + 3 < args.len()).then(|| args.get(at + 3));
        Ok(Self { idle_min, from, to, count, consumer })
    }

    fn reply(&self, group: &Group, now: Millis, reply: &mut Reply<'_>) {
        match self.consumer.map(|name| group.find_consumer(name)) {
            None => self.reply_those(group, group.pending(self.from), now, reply),
            Some(Some(consumer)) => self.reply_those(group, group.pending_of(consumer, self.from), now, reply),
            Some(None) => reply.array(0),
        }
    }

    fn reply_those(
        &self,
        group: &Group,
        pending: impl Iterator<Item = (StreamId, Delivery)>,
        now: Millis,
        reply: &mut Reply<'_>,
    ) {
        let head = reply.unsettled(false, self.count.min(10) as usize);
        let mut shown = 0;
        for (id, delivery) in pending.take_while(|(id, _)| *id <= self.to) {
            if shown == self.count {
                break;
            }
            let idle = now.0.wrapping_sub(delivery.time.0);
            if self.idle_min != 0 && idle < self.idle_min {
                continue;
            }
            shown += 1;
            reply.array(4);
            reply_id(reply, id);
            reply.bulk(delivery.consumer.map_or(&b""[..], |index| group.consumer(index).name()));
            reply.integer(idle.max(0));
            reply.integer(delivery.count as i64);
        }
        reply.settle(head, shown as usize);
    }
}

/// `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`
pub fn xpending(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let filter = match args.len() {
        3 => None,
        6..=9 => Some(Filter::parse(args)?),
        _ => return Err(CommandError::Syntax),
    };
    let (key, now) = (ctx.key(args, 1), ctx.now);
    let group = read_stream(ctx, &key)?.and_then(|stream| stream.groups.find(args.get(2)));
    let group = group.ok_or_else(|| no_group(key.bytes, args.get(2), ""))?;
    match filter {
        Some(filter) => filter.reply(group, now, reply),
        None => reply_summary(group, reply),
    }
    Ok(Outcome::unchanged())
}

fn reply_summary(group: &Group, reply: &mut Reply<'_>) {
    reply.array(4);
    reply.integer(group.pending_len() as i64);
    let Some((first, last)) = group.pending_ends() else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    reply_id(reply, first);
    reply_id(reply, last);
    let busy = || group.consumers().filter(|consumer| consumer.pending_len() > 0);
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
    }
}
