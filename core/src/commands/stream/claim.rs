//! XCLAIM and XAUTOCLAIM: pending entries change hands.

use super::group::{Effects, no_group, visit};
use super::ids::{parse_id, parse_start, reply_entry, reply_id};
use super::{NOT_MADE, read_stream, with_stream};
use crate::command::options::is;
use crate::commands::Context;
use crate::keyspace::{Key, ValueKind};
use crate::number::parse_integer;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::stream::{Delivery, Entries, Fields, Group, Stream, StreamId};
use smallvec::SmallVec;

/// XAUTOCLAIM looks at so many pending entries for each that it may claim.
const TRIES: u64 = 10;

/// Greatest COUNT of XAUTOCLAIM.
const COUNT_MAX: i64 = i64::MAX / 16;

/// With a greater one Valkey finds no memory for the ids of deleted entries: they would fill its address space.
const COUNT_IN_MEMORY_MAX: i64 = 1 << 43;

fn number(word: &[u8], what: &'static str) -> Result<i64, CommandError> {
    parse_integer(word).ok_or(CommandError::text(what))
}

/// Is there this group?
fn look_for_group(ctx: &mut Context<'_>, key: &Key<'_>, name: &[u8]) -> Result<(), CommandError> {
    let group = read_stream(ctx, key)?.and_then(|stream| stream.groups.find(name));
    group.map(|_| ()).ok_or_else(|| no_group(key.bytes, name, ""))
}

/// Changes a group that is known to be there.
fn change_group<R>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    name: &[u8],
    change: impl FnOnce(&Entries, &mut Group) -> R,
) -> Result<R, CommandError> {
    let result = ctx.change(key, ValueKind::Stream, NOT_MADE, |entry| {
        with_stream(entry, |stream| {
            let Stream { entries, groups } = stream;
            groups.find_mut(name).map(|group| change(entries, group))
        })
    })?;
    result.flatten().ok_or_else(|| no_group(key.bytes, name, ""))
}

/// A call of XCLAIM.
struct Claim {
    idle_min: i64,
    ids: SmallVec<[StreamId; 8]>,
    /// When the entries count as delivered.
    time: Millis,
    count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Claim {
    fn parse(args: &Args<'_>, now: Millis) -> Result<Self, CommandError> {
        let idle_min = number(args.get(4), "Invalid min-idle-time argument for XCLAIM")?.max(0);
        let ids: SmallVec<[StreamId; 8]> = args.iter_from(5).map_while(|word| parse_id(word, 0).ok()).collect();
        let mut at = 5 + ids.len();
        let mut claim =
            Self { idle_min, ids, time: now, count: None, force: false, just_id: false, last_id: StreamId::MIN };
        let mut time = -1;
        while at < args.len() {
            let (word, more) = (args.get(at), at + 1 < args.len());
            if is(word, "FORCE") {
                claim.force = true;
            } else if is(word, "JUSTID") {
                claim.just_id = true;
            } else if is(word, "IDLE") && more {
                at += 1;
                let idle = number(args.get(at), "Invalid IDLE option argument for XCLAIM")?;
                time = now.0.wrapping_sub(idle);
            } else if is(word, "TIME") && more {
                at += 1;
                time = number(args.get(at), "Invalid TIME option argument for XCLAIM")?;
            } else if is(word, "RETRYCOUNT") && more {
                at += 1;
                let count = number(args.get(at), "Invalid RETRYCOUNT option argument for XCLAIM")?;
                claim.count = u64::try_from(count).ok();
            } else if is(word, "LASTID") && more {
                at += 1;
                claim.last_id = parse_id(args.get(at), 0)?;
            } else {
                let shown = super::group::shown(word);
                return Err(CommandError::owned(format!("Unrecognized XCLAIM option '{shown}'")));
            }
            at += 1;
        }
        // A time that cannot be right is no reason to refuse: clocks differ.
        claim.time = if time < 0 || time > now.0 { now } else { Millis(time) };
        Ok(claim)
    }

    fn carry_out<'k>(
        &self,
        entries: &Entries,
        group: &mut Group,
        (consumer, now): (&'k [u8], Millis),
        effects: &mut Effects<'k>,
        reply: &mut Reply<'_>,
    ) {
        let mut has_moved = self.last_id > group.last_id;
        if has_moved {
            group.last_id = self.last_id;
        }
        let consumer = visit(group, consumer, now, effects);
        let head = reply.unsettled(false, self.ids.len());
        let mut claimed = 0;
        for id in self.ids.iter().copied() {
            let before = group.find_pending(id);
            let Some(fields) = entries.find(id) else {
                if let Some(delivery) = before {
                    effects.claim(id, group, delivery);
                    effects.changes += 1;
                    has_moved = false;
                    group.acknowledge(id);
                }
                continue;
            };
            let count = match before {
                Some(delivery) if self.idle_min > 0 && now.0.wrapping_sub(delivery.time.0) < self.idle_min => continue,
                Some(delivery) => delivery.count,
                None if self.force => 1,
                None => continue,
            };
            let count = self.count.unwrap_or(if self.just_id { count } else { count.wrapping_add(1) });
            group.deliver(id, consumer, self.time, count);
            group.consumer_mut(consumer).active = Some(now);
            reply_claimed(reply, id, fields, self.just_id);
            claimed += 1;
            effects.claim(id, group, Delivery { consumer: Some(consumer), time: self.time, count });
            effects.changes += 1;
            has_moved = false;
        }
        if has_moved {
            effects.advance(group);
            effects.changes += 1;
        }
        reply.settle(head, claimed);
    }
}

fn reply_claimed(reply: &mut Reply<'_>, id: StreamId, fields: Fields<'_>, just_id: bool) {
    if just_id {
        reply_id(reply, id);
    } else {
        reply_entry(reply, id, fields);
    }
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE]
/// [JUSTID] [LASTID id]`
pub fn xclaim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (key, now) = (ctx.key(args, 1), ctx.now);
    look_for_group(ctx, &key, args.get(2))?;
    let claim = Claim::parse(args, now)?;
    let mut effects = Effects::new(ctx.shard.journaling, key.bytes, args.get(2));
    change_group(ctx, &key, args.get(2), |entries, group| {
        claim.carry_out(entries, group, (args.get(3), now), &mut effects, reply);
    })?;
    effects.notify(ctx, &key);
    Ok(effects.outcome())
}

/// A call of XAUTOCLAIM.
struct Walk {
    idle_min: i64,
    from: StreamId,
    count: u64,
    just_id: bool,
}

impl Walk {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        const COUNT: &str = "COUNT must be > 0";
        let idle_min = number(args.get(4), "Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
        let mut walk = Self { idle_min, from: parse_start(args.get(5))?, count: 100, just_id: false };
        let mut at = 6;
        while at < args.len() {
            if is(args.get(at), "COUNT") && at + 1 < args.len() {
                at += 1;
                let count = number(args.get(at), COUNT)?;
                if !(1..=COUNT_MAX).contains(&count) {
                    return Err(CommandError::text(COUNT));
                }
                walk.count = count as u64;
            } else if is(args.get(at), "JUSTID") {
                walk.just_id = true;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(walk)
    }

    fn carry_out<'k>(
        &self,
        entries: &Entries,
        group: &mut Group,
        (consumer, now): (&'k [u8], Millis),
        effects: &mut Effects<'k>,
        reply: &mut Reply<'_>,
    ) {
        let consumer = visit(group, consumer, now, effects);
        let mut next = Some(self.from);
        let (mut tries, mut count) = (self.count * TRIES, self.count);
        let mut claimed: SmallVec<[(StreamId, Fields<'_>); 8]> = SmallVec::new();
        let mut deleted: SmallVec<[StreamId; 8]> = SmallVec::new();
        while tries > 0
            && count > 0
            && let Some((id, before)) = next.and_then(|from| group.next_pending(from))
        {
            tries -= 1;
            next = id.next();
            let Some(fields) = entries.find(id) else {
                effects.claim(id, group, before);
                effects.changes += 1;
                group.acknowledge(id);
                deleted.push(id);
                count -= 1;
                continue;
            };
            if self.idle_min > 0 && now.0.wrapping_sub(before.time.0) < self.idle_min {
                continue;
            }
            let deliveries = if self.just_id { before.count } else { before.count.wrapping_add(1) };
            group.deliver(id, consumer, now, deliveries);
            group.consumer_mut(consumer).active = Some(now);
            claimed.push((id, fields));
            count -= 1;
            effects.claim(id, group, Delivery { consumer: Some(consumer), time: now, count: deliveries });
            effects.changes += 1;
        }
        let rest = next.and_then(|from| group.next_pending(from));
        reply.array(3);
        reply_id(reply, rest.map_or(StreamId::MIN, |(id, _)| id));
        reply.array(claimed.len());
        for (id, fields) in claimed {
            reply_claimed(reply, id, fields, self.just_id);
        }
        reply.array(deleted.len());
        deleted.into_iter().for_each(|id| reply_id(reply, id));
    }
}

/// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`
pub fn xautoclaim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    const TOO_MUCH: CommandError =
        CommandError::text("Insufficient memory, failed allocating transient memory, COUNT too high.");
    let (key, now) = (ctx.key(args, 1), ctx.now);
    let walk = Walk::parse(args).inspect_err(|_| {
        // The key counts as looked up before the words behind it are read: that it is not there is told even so.
        ctx.read(&key);
    })?;
    look_for_group(ctx, &key, args.get(2))?;
    if walk.count > COUNT_IN_MEMORY_MAX as u64 {
        return Err(TOO_MUCH);
    }
    let mut effects = Effects::new(ctx.shard.journaling, key.bytes, args.get(2));
    change_group(ctx, &key, args.get(2), |entries, group| {
        walk.carry_out(entries, group, (args.get(3), now), &mut effects, reply);
    })?;
    effects.notify(ctx, &key);
    Ok(effects.outcome())
}
