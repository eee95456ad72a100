//! XREADGROUP, and what it shares with XREAD where they wait.

use super::group::{Effects, no_group, outcome_of, visit};
use super::ids::{parse_id, reply_entry, reply_id};
use super::read::{ReadRequest, id_behind};
use super::{NOT_MADE, read_stream, with_stream};
use crate::command::{Share, Undo, Wait};
use crate::commands::Context;
use crate::keyspace::{EntryRef, Value, ValueKind};
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::stream::{ConsumerIndex, Delivery, Entries, Group, Stream, StreamId};
use smallvec::SmallVec;

const BEHIND: &str = " in XREADGROUP with GROUP option";

/// What an id of XREADGROUP asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Want {
    /// `>`: entries that nobody in the group has got.
    New,
    /// What is pending for the consumer behind an id.
    History(StreamId),
}

impl Want {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let meaningless = |symbol: &str| {
            CommandError::owned(format!(
                "The {symbol} ID is meaningless in the context of XREADGROUP: you want to read the history of this \
                 consumer by specifying a proper ID, or use the > ID to get new messages. The {symbol} ID would just \
                 return an empty result set."
            ))
        };
        match word {
            b"$" => Err(meaningless("$")),
            b"+" => Err(meaningless("+")),
            b">" => Ok(Self::New),
            _ => parse_id(word, 0).map(|id| match id {
                // So it is in Valkey, which marks `>` in this way.
                StreamId::MAX => Self::New,
                id => Self::History(id),
            }),
        }
    }

    /// Is there something to answer?
    fn is_served(self, entries: &Entries, group: &Group) -> bool {
        self != Self::New || has_behind(entries, group.last_id)
    }
}

/// Are there entries behind an id?
pub(super) fn has_behind(entries: &Entries, id: StreamId) -> bool {
    !entries.is_empty() && id < entries.last_id() && id < entries.last_live_id()
}

/// What a call reads of one stream.
struct Reading<'a> {
    request: &'a ReadRequest<'a>,
    want: Want,
    now: Millis,
}

impl<'a> Reading<'a> {
    /// Answers with what the consumer gets, if there is anything. Was there?
    fn carry_out(&self, key: &[u8], stream: &mut Stream, effects: &mut Effects<'a>, reply: &mut Reply<'_>) -> bool {
        let (group_name, consumer_name) = self.request.group.unwrap_or_default();
        let Stream { entries, groups } = stream;
        let group = groups.find_mut(group_name).expect("all groups were looked for");
        let consumer = visit(group, consumer_name, self.now, effects);
        if !self.want.is_served(entries, group) {
            return false;
        }
        if !reply.is_resp3() {
            reply.array(2);
        }
        reply.bulk(key);
        match self.want {
            Want::New => self.deliver(entries, group, consumer, effects, reply),
            Want::History(id) => self.repeat(id, entries, group, consumer, effects, reply),
        }
        effects.changes += 1;
        true
    }

    /// Gives the consumer what is new in the stream.
    fn deliver(
        &self,
        entries: &Entries,
        group: &mut Group,
        consumer: ConsumerIndex,
        effects: &mut Effects<'a>,
        reply: &mut Reply<'_>,
    ) {
        let from = group.last_id.next().unwrap_or(StreamId::MAX);
        let head = reply.unsettled(false, self.request.count.min(entries.len()));
        let mut count = 0;
        for (id, fields) in entries.range(from, StreamId::MAX, false).take(self.request.count) {
            group.advance(id, entries);
            reply_entry(reply, id, fields);
            if !self.request.no_ack {
                group.deliver(id, consumer, self.now, 1);
                let delivery = Delivery { consumer: Some(consumer), time: self.now, count: 1 };
                effects.claim(id, group, delivery);
            }
            count += 1;
        }
        if !self.request.no_ack {
            group.consumer_mut(consumer).active = Some(self.now);
        }
        effects.advance(group);
        reply.settle(head, count);
    }

    /// Tells the consumer again what it has.
    fn repeat(
        &self,
        behind: StreamId,
        entries: &Entries,
        group: &mut Group,
        consumer: ConsumerIndex,
        effects: &mut Effects<'a>,
        reply: &mut Reply<'_>,
    ) {
        let mut from = behind.next();
        let head = reply.unsettled(false, self.request.count.min(group.consumer(consumer).pending_len()));
        let mut count = 0;
        while count < self.request.count
            && let Some(next) = from
        {
            // A stretch at a time, because what is pending changes with each entry.
            let ids: SmallVec<[StreamId; 64]> =
                group.consumer(consumer).pending(next).take((self.request.count - count).min(64)).collect();
            for id in &ids {
                match entries.find(*id) {
                    Some(fields) => {
                        reply_entry(reply, *id, fields);
                        let before = group.find_pending(*id).map_or(0, |delivery| delivery.count);
                        let again = before.wrapping_add(1);
                        group.deliver(*id, consumer, self.now, again);
                        let delivery = Delivery { consumer: Some(consumer), time: self.now, count: again };
                        effects.claim(*id, group, delivery);
                    }
                    None => {
                        reply.array(2);
                        reply_id(reply, *id);
                        reply.null_array();
                    }
                }
            }
            count += ids.len();
            from = ids.last().and_then(|last| last.next());
        }
        reply.settle(head, count);
    }
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]`
pub fn xreadgroup(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let request = ReadRequest::parse(args, true, ctx.now)?;
    let (group_name, _) = request.group.unwrap_or_default();
    // Everything is looked at before anything is read.
    let mut wants = SmallVec::<[Want; 4]>::new();
    for index in request.keys.clone() {
        let key = ctx.key(args, index);
        let group = read_stream(ctx, &key)?.and_then(|stream| stream.groups.find(group_name));
        if group.is_none() {
            return Err(no_group(key.bytes, group_name, BEHIND));
        }
        wants.push(Want::parse(args.get(request.id_index(index)))?);
    }
    let (mark, now, journaling) = (reply.buffer().mark(), ctx.now, ctx.shard.journaling);
    let head = reply.unsettled_pairs(wants.len());
    let (mut served, mut changes, mut calls) = (0, 0, Vec::new());
    for (index, want) in request.keys.clone().zip(wants) {
        let key = ctx.key(args, index);
        let mut effects = Effects::new(journaling, key.bytes, group_name);
        let reading = Reading { request: &request, want, now };
        let read = ctx.change(&key, ValueKind::Stream, NOT_MADE, |entry| {
            with_stream(entry, |stream| reading.carry_out(key.bytes, stream, &mut effects, reply))
        });
        served += usize::from(read?.unwrap_or(false));
        changes += effects.changes;
        effects.notify(ctx, &key);
        calls.extend(effects.into_calls());
    }
    let outcome = outcome_of(journaling, changes, calls);
    if served > 0 {
        reply.settle(head, served);
        return Ok(outcome);
    }
    reply.buffer().rewind(mark);
    ctx.wait_or(reply, |reply| reply.null_array());
    Ok(outcome)
}

fn waits(args: &Args<'_>, now: Millis, share: Share) -> Option<Wait> {
    let request = ReadRequest::parse(args, share == Share::Consume, now).ok()?;
    let until = request.block?;
    Some(Wait { keys: request.keys, kind: ValueKind::Stream, until, undo: Undo::Nothing, share })
}

/// What `XREAD` waits for.
pub fn xread_waits(args: &Args<'_>, now: Millis) -> Option<Wait> {
    waits(args, now, Share::Read)
}

/// What `XREADGROUP` waits for.
pub fn xreadgroup_waits(args: &Args<'_>, now: Millis) -> Option<Wait> {
    waits(args, now, Share::Consume)
}

/// Does what lies under the key at `index` end the waiting of a call? For one that consumes also that nothing can come any more.
pub fn is_news(share: Share, args: &Args<'_>, index: usize, entry: Option<EntryRef<'_>>) -> bool {
    let stream = match entry.map(|entry| entry.value()) {
        Some(Value::Stream(stream)) => stream,
        _ => return share == Share::Consume,
    };
    let Ok(request) = ReadRequest::parse(args, share == Share::Consume, Millis(0)) else { return true };
    let word = args.get(request.id_index(index));
    match (share, request.group) {
        (Share::Consume, Some((group, _))) => match (stream.groups.find(group), Want::parse(word)) {
            (Some(group), Ok(want)) => want.is_served(&stream.entries, group),
            _ => true,
        },
        _ => id_behind(word, Some(stream)).map_or(true, |id| has_behind(&stream.entries, id)),
    }
}
