//! XINFO GROUPS and CONSUMERS, and what XINFO STREAM FULL tells of groups.

use super::group::no_group_in;
use super::ids::reply_id;
use super::read_stream;
use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::stream::{Consumer, Delivery, Entries, Group, Stream, StreamId};

fn reply_number(reply: &mut Reply<'_>, name: &str, number: Option<i64>) {
    reply.bulk(name.as_bytes());
    match number {
        Some(number) => reply.integer(number),
        None => reply.null(),
    }
}

fn reply_name(reply: &mut Reply<'_>, name: &[u8]) {
    reply.bulk(b"name");
    reply.bulk(name);
}

/// Where a group is in its stream.
fn reply_place(reply: &mut Reply<'_>, group: &Group, entries: &Entries) {
    reply.bulk(b"last-delivered-id");
    reply_id(reply, group.last_id);
    reply_number(reply, "entries-read", group.entries_read.map(|read| read as i64));
    reply_number(reply, "lag", group.lag(entries));
}

/// `XINFO GROUPS key`
pub fn xinfo_groups(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    let stream = read_stream(ctx, &key)?.ok_or(CommandError::NoSuchKey)?;
    reply.array(stream.groups.len());
    for group in stream.groups.iter() {
        reply.map(6);
        reply_name(reply, group.name());
        reply_number(reply, "consumers", Some(group.consumers_len() as i64));
        reply_number(reply, "pending", Some(group.pending_len() as i64));
        reply_place(reply, group, &stream.entries);
    }
    Ok(Outcome::unchanged())
}

/// `XINFO CONSUMERS key group`
pub fn xinfo_consumers(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (key, now) = (ctx.key(args, 2), ctx.now);
    let stream = read_stream(ctx, &key)?.ok_or(CommandError::NoSuchKey)?;
    let group = stream.groups.find(args.get(3)).ok_or_else(|| no_group_in(key.bytes, args.get(3)))?;
    reply.array(group.consumers_len());
    for consumer in group.consumers() {
        reply.map(4);
        reply_name(reply, consumer.name());
        reply_number(reply, "pending", Some(consumer.pending_len() as i64));
        reply_number(reply, "idle", Some(now.0.wrapping_sub(consumer.seen.0).max(0)));
        let inactive = consumer.active.map_or(-1, |active| now.0.wrapping_sub(active.0));
        reply_number(reply, "inactive", Some(inactive));
    }
    Ok(Outcome::unchanged())
}

/// What XINFO STREAM FULL tells of the groups, with at most `count` pending entries of each group and each consumer.
pub(super) fn reply_groups(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.array(stream.groups.len());
    for group in stream.groups.iter() {
        reply.map(7);
        reply_name(reply, group.name());
        reply_place(reply, group, &stream.entries);
        reply_number(reply, "pel-count", Some(group.pending_len() as i64));
        reply.bulk(b"pending");
        reply.array(count.min(group.pending_len()));
        for (id, delivery) in group.pending(StreamId::MIN).take(count) {
            reply.array(4);
            reply_id(reply, id);
            reply.bulk(delivery.consumer.map_or(&b""[..], |index| group.consumer(index).name()));
            reply_delivery(reply, delivery);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumers_len());
        for consumer in group.consumers() {
            reply_consumer(reply, group, consumer, count);
        }
    }
}

fn reply_delivery(reply: &mut Reply<'_>, delivery: Delivery) {
    reply.integer(delivery.time.0);
    reply.integer(delivery.count as i64);
}

fn reply_consumer(reply: &mut Reply<'_>, group: &Group, consumer: &Consumer, count: usize) {
    reply.map(5);
    reply_name(reply, consumer.name());
    reply_number(reply, "seen-time", Some(consumer.seen.0));
    reply_number(reply, "active-time", Some(consumer.active.map_or(-1, |active| active.0)));
    reply_number(reply, "pel-count", Some(consumer.pending_len() as i64));
    reply.bulk(b"pending");
    reply.array(count.min(consumer.pending_len()));
    for id in consumer.pending(StreamId::MIN).take(count) {
        reply.array(3);
        reply_id(reply, id);
        let delivery = group.find_pending(id).expect("what a consumer has is pending in its group");
        reply_delivery(reply, delivery);
    }
}
