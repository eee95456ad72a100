//! XGROUP, and what commands of groups have in common.

use super::ids::{parse_bound, parse_id};
use super::{NOT_MADE, with_stream};
use crate::command::options::{integer, is};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, Large, NewValue, ValueKind};
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::stream::{ConsumerIndex, Delivery, Group, Stream, StreamId};
use std::borrow::Cow;

/// Dropping groups with more pending entries than this is left to the background.
const DROPPED_PENDING_MAX: usize = 1000;

/// The event of a consumer having been made.
const CONSUMER_MADE: &str = "xgroup-createconsumer";

/// A word in the text of an error: it ends at a zero byte, as texts of C do.
pub(super) fn shown(word: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(word.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// There is no such group, or not even the key.
#[cold]
pub(super) fn no_group(key: &[u8], group: &[u8], behind: &str) -> CommandError {
    let text = format!("No such key '{}' or consumer group '{}'{behind}", shown(key), shown(group));
    CommandError::Coded("NOGROUP", text.into())
}

/// There is no such group in the stream of the key.
#[cold]
pub(super) fn no_group_in(key: &[u8], group: &[u8]) -> CommandError {
    let text = format!("No such consumer group '{}' for key name '{}'", shown(group), shown(key));
    CommandError::Coded("NOGROUP", text.into())
}

/// The calls that a command on a group leaves in the journal; none are made where there is no journal.
pub(super) struct Effects<'k> {
    key: &'k [u8],
    group: &'k [u8],
    calls: Option<Vec<EffectCall>>,
    /// Was a consumer made that no call names?
    unnamed: Option<&'k [u8]>,
    /// Was a consumer made?
    has_made: bool,
    /// How many changes there were.
    pub changes: u32,
}

impl<'k> Effects<'k> {
    /// No effects so far.
    pub fn new(journaling: bool, key: &'k [u8], group: &'k [u8]) -> Self {
        Self { key, group, calls: journaling.then(Vec::new), unnamed: None, has_made: false, changes: 0 }
    }

    /// A consumer was made.
    pub fn made(&mut self, consumer: &'k [u8]) {
        self.changes += 1;
        self.unnamed = Some(consumer);
        self.has_made = true;
    }

    /// Tells those who subscribe to the key that it has got a consumer, if so.
    pub fn notify(&self, ctx: &mut Context<'_>, key: &Key<'_>) {
        if self.has_made {
            ctx.notify(EventClass::STREAM, CONSUMER_MADE, key);
        }
    }

    /// An entry is with a consumer, or is about to be found missing.
    pub fn claim(&mut self, id: StreamId, group: &Group, delivery: Delivery) {
        let Some(calls) = &mut self.calls else { return };
        let consumer = delivery.consumer.map_or(&b""[..], |index| group.consumer(index).name());
        if self.unnamed == Some(consumer) {
            self.unnamed = None;
        }
        let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (id, last_id) = (id.to_string(), group.last_id.to_string());
        calls.push(EffectCall::new([
            &b"XCLAIM"[..],
            self.key,
            self.group,
            consumer,
            b"0",
            id.as_bytes(),
            b"TIME",
            time.format(delivery.time.0).as_bytes(),
            b"RETRYCOUNT",
            count.format(delivery.count).as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            last_id.as_bytes(),
        ]));
    }

    /// The group has come to another place in the stream.
    pub fn advance(&mut self, group: &Group) {
        let Some(calls) = &mut self.calls else { return };
        let (id, mut read) = (group.last_id.to_string(), itoa::Buffer::new());
        let read = read.format(group.entries_read.map_or(-1, |read| read as i64));
        let place = [id.as_bytes(), b"ENTRIESREAD", read.as_bytes()];
        calls.push(EffectCall::new([&b"XGROUP"[..], b"SETID", self.key, self.group].into_iter().chain(place)));
    }

    /// All calls. A consumer that is in none of them was made nevertheless, and that comes first.
    pub fn into_calls(self) -> Vec<EffectCall> {
        let mut calls = self.calls.unwrap_or_default();
        if let Some(consumer) = self.unnamed {
            let words = [&b"XGROUP"[..], b"CREATECONSUMER", self.key, self.group, consumer];
            calls.insert(0, EffectCall::new(words));
        }
        calls
    }

    /// What the command leaves.
    pub fn outcome(self) -> Outcome {
        outcome_of(self.calls.is_some(), self.changes, self.into_calls())
    }
}

/// What a command leaves that made so many changes, with these calls where there is a journal.
pub(super) fn outcome_of(journaling: bool, changes: u32, calls: Vec<EffectCall>) -> Outcome {
    match (journaling, changes) {
        (_, 0) => Outcome::unchanged(),
        (false, changes) => Outcome::changed(changes),
        (true, changes) => Outcome::rewritten(changes, calls),
    }
}

/// The consumer of this name, which has now asked for something; it is made if it is not there.
pub(super) fn visit<'k>(group: &mut Group, name: &'k [u8], now: Millis, effects: &mut Effects<'k>) -> ConsumerIndex {
    let (consumer, is_new) = group.make_consumer(name, now);
    if is_new {
        effects.made(name);
    } else {
        group.consumer_mut(consumer).seen = now;
    }
    consumer
}

/// What follows the id in XGROUP CREATE and SETID.
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: &Args<'_>, creates: bool) -> Result<Self, CommandError> {
        let mut options = Self { make_stream: false, entries_read: None };
        let mut at = 5;
        while at < args.len() {
            if creates && is(args.get(at), "MKSTREAM") {
                options.make_stream = true;
                at += 1;
            } else if is(args.get(at), "ENTRIESREAD") && at + 1 < args.len() {
                options.entries_read = match integer(args.get(at + 1))? {
                    -1 => None,
                    read => Some(
                        u64::try_from(read)
                            .map_err(|_| CommandError::text("value for ENTRIESREAD must be positive or -1"))?,
                    ),
                };
                at += 2;
            } else {
                return Err(unknown(args));
            }
        }
        Ok(options)
    }
}

#[cold]
fn unknown(args: &Args<'_>) -> CommandError {
    let name = shown(&args.get(1)[..args.get(1).len().min(128)]).into_owned();
    CommandError::owned(format!("unknown subcommand or wrong number of arguments for '{name}'. Try XGROUP HELP."))
}

const NO_KEY: CommandError = CommandError::text(
    "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to \
     create an empty stream automatically.",
);

/// Changes the stream of the key of an XGROUP call.
fn change<R>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    change: impl FnOnce(&mut Stream) -> Result<R, CommandError>,
) -> Result<R, CommandError> {
    let result = ctx.change(key, ValueKind::Stream, NOT_MADE, |entry| with_stream(entry, change))?;
    result.unwrap_or(Err(NO_KEY))
}

/// The same for a group that must exist.
fn change_group<R>(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    how: impl FnOnce(&mut Group, StreamId) -> Result<R, CommandError>,
) -> Result<R, CommandError> {
    let key = ctx.key(args, 2);
    change(ctx, &key, |stream| {
        let last_id = stream.entries.last_id();
        match stream.groups.find_mut(args.get(3)) {
            Some(group) => how(group, last_id),
            None => Err(no_group_in(key.bytes, args.get(3))),
        }
    })
}

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD entries-read]`
pub fn xgroup_create(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    const BUSY: CommandError = CommandError::Coded("BUSYGROUP", Cow::Borrowed("Consumer Group name already exists"));
    let options = Options::parse(args, true)?;
    let key = ctx.key(args, 2);
    let add = |stream: &mut Stream| {
        if args.len() > 8 {
            return Err(unknown(args));
        }
        let id = match args.get(4) {
            b"$" => stream.entries.last_id(),
            word => parse_id(word, 0)?,
        };
        let is_new = stream.groups.add(Group::new(args.get(3), id, options.entries_read));
        if is_new { Ok(()) } else { Err(BUSY) }
    };
    match ctx.find(&key).map(|entry| entry.kind()) {
        None if options.make_stream => {
            let mut stream = Stream::new();
            add(&mut stream)?;
            ctx.write(&key, NewValue::Large(Large::Stream(stream)), None);
            ctx.note_filled(&key);
            // Only that there is a key now counts, not the group.
            ctx.touch(&key);
        }
        _ => change(ctx, &key, add)?,
    }
    ctx.notify(EventClass::STREAM, "xgroup-create", &key);
    reply.ok();
    Ok(Outcome::changed(1))
}

/// `XGROUP SETID key group id|$ [ENTRIESREAD entries-read]`
pub fn xgroup_setid(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let options = Options::parse(args, false)?;
    change_group(ctx, args, |group, last_id| {
        if !matches!(args.len(), 5 | 7) {
            return Err(unknown(args));
        }
        group.last_id = match args.get(4) {
            b"$" => last_id,
            word => parse_bound(word, 0)?,
        };
        group.entries_read = options.entries_read;
        Ok(())
    })?;
    ctx.notify(EventClass::STREAM, "xgroup-setid", &ctx.key(args, 2));
    reply.ok();
    Ok(Outcome::changed(1))
}

/// `XGROUP DESTROY key group`
pub fn xgroup_destroy(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    let Some(group) = change(ctx, &key, |stream| Ok(stream.groups.remove(args.get(3))))? else {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    };
    if group.pending_len() > DROPPED_PENDING_MAX {
        let mut rest = Stream::new();
        rest.groups.add(group);
        ctx.database().discard_part(Large::Stream(rest));
        ctx.free_unless(ctx.shard.lazy_free.server_del);
    }
    ctx.notify(EventClass::STREAM, "xgroup-destroy", &key);
    // Its consumers wait in vain.
    ctx.note_filled(&key);
    reply.integer(1);
    Ok(Outcome::changed(1))
}

/// `XGROUP CREATECONSUMER key group consumer`
pub fn xgroup_createconsumer(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let now = ctx.now;
    let is_new = change_group(ctx, args, |group, _| Ok(group.make_consumer(args.get(4), now).1))?;
    if is_new {
        ctx.notify(EventClass::STREAM, CONSUMER_MADE, &ctx.key(args, 2));
    }
    reply.integer(i64::from(is_new));
    Ok(Outcome::changed(u32::from(is_new)))
}

/// `XGROUP DELCONSUMER key group consumer`
pub fn xgroup_delconsumer(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let pending = change_group(ctx, args, |group, _| Ok(group.remove_consumer(args.get(4))))?;
    if pending.is_some() {
        ctx.notify(EventClass::STREAM, "xgroup-delconsumer", &ctx.key(args, 2));
    }
    reply.integer(pending.unwrap_or(0) as i64);
    Ok(Outcome::changed(u32::from(pending.is_some())))
}

/// `XGROUP HELP`
pub fn xgroup_help(_: &mut Context<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    const HELP: &[&str] = &[
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Makes a group that begins behind an id; $ is the last one of the stream.",
        "    * MKSTREAM",
        "      Makes the stream, too, if it is not there.",
        "    * ENTRIESREAD entries_read",
        "      Sets how many entries the group counts as having read.",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Makes a consumer in a group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Removes a consumer and what is pending for it.",
        "DESTROY <key> <groupname>",
        "    Removes a group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Has a group go on behind an id.",
        "HELP",
        "    Print this help.",
    ];
    reply.array(HELP.len());
    HELP.iter().for_each(|line| reply.simple(line));
    Ok(Outcome::unchanged())
}
