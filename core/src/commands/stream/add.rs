//! XADD.

use super::ids::reply_id;
use super::trim::{NewId, Rewriting, TrimRequest, discard};
use super::with_stream;
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, Large, NewValue, OwnedEntry};
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::Limits;
use crate::value::stream::{Entries, Stream, StreamId, TEXT_BYTES_MAX, Trimmed};

const NOT_LARGER: CommandError =
    CommandError::text("The ID specified in XADD is equal or smaller than the target stream top item");

const EXHAUSTED: CommandError =
    CommandError::text("The stream has exhausted the last possible ID, unable to add more items");

/// What a call adds.
#[derive(Clone, Copy)]
struct Addition<'a> {
    request: TrimRequest,
    args: &'a Args<'a>,
    now: Millis,
    limits: &'a Limits,
    journaling: bool,
}

/// What came of it.
struct Added {
    id: StreamId,
    trimmed: Option<Trimmed>,
    rewriting: Rewriting,
}

/// `XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value [field value ...]`
pub fn xadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let request = TrimRequest::parse(ctx, args, true)?;
    let fields = args.len().saturating_sub(request.id_index + 1);
    if fields == 0 || fields % 2 == 1 {
        return Err(CommandError::Arity("xadd".into()));
    }
    if request.id == NewId::Exactly(StreamId::MIN) {
        return Err(CommandError::text("The ID specified in XADD must be greater than 0-0"));
    }
    let key = ctx.key(args, 1);
    let (now, limits, journaling) = (ctx.now, &ctx.rules.limits, ctx.shard.journaling);
    let addition = Addition { request, args, now, limits, journaling };
    let exists = super::find_stream(ctx, &key)?;
    if !exists && request.no_make {
        reply.null();
        return Ok(Outcome::unchanged());
    }
    let added = if exists { add_to(ctx, &key, &addition)? } else { add_new(ctx, &key, &addition)? };
    reply_id(reply, added.id);
    ctx.notify(EventClass::STREAM, "xadd", &key);
    if let Some(trimmed) = added.trimmed
        && discard(ctx, trimmed) > 0
    {
        ctx.notify(EventClass::STREAM, "xtrim", &key);
    }
    ctx.note_filled(&key);
    Ok(added.rewriting.outcome(1, args))
}

fn add_to(ctx: &mut Context<'_>, key: &Key<'_>, addition: &Addition<'_>) -> Result<Added, CommandError> {
    let added = ctx.database().change(key, |entry| with_stream(entry, |stream| addition.add(&mut stream.entries)));
    added.expect("the stream has just been found")
}

fn add_new(ctx: &mut Context<'_>, key: &Key<'_>, addition: &Addition<'_>) -> Result<Added, CommandError> {
    let mut stream = Stream::new();
    let added = addition.add(&mut stream.entries)?;
    ctx.make_room();
    let entry = OwnedEntry::new(key.bytes, NewValue::Large(Large::Stream(stream)), None);
    entry.as_ref().touch(ctx.fresh_access());
    ctx.database().put(key, entry);
    ctx.notify_new(key);
    Ok(added)
}

impl Addition<'_> {
    /// Adds the entry and trims the stream. An error has changed nothing.
    #[inline]
    fn add(&self, entries: &mut Entries) -> Result<Added, CommandError> {
        let last = entries.last_id();
        let id = self.id_after(last)?;
        let first = self.request.id_index + 1;
        let args = self.args;
        let pairs = (first..args.len()).step_by(2).map(|index| (args.get(index), args.get(index + 1)));
        if args.iter_from(first).map(<[u8]>::len).sum::<usize>() > TEXT_BYTES_MAX {
            return Err(CommandError::text("Elements are too large to be stored"));
        }
        entries.append(id, pairs, self.limits);
        let trimmed = self.request.trim.map(|trim| entries.trim(&trim));
        let mut rewriting = Rewriting::default();
        if self.journaling {
            if !matches!(self.request.id, NewId::Exactly(_)) {
                rewriting.replace(self.request.id_index, id.to_string().into_bytes());
            }
            rewriting.trim(&self.request, entries);
        }
        Ok(Added { id, trimmed, rewriting })
    }

    /// The id that the entry gets behind the last one.
    #[inline]
    fn id_after(&self, last: StreamId) -> Result<StreamId, CommandError> {
        let next = last.next().ok_or(EXHAUSTED)?;
        let id = match self.request.id {
            NewId::Auto => {
                let now = self.now.0.max(0) as u64;
                if now > last.ms { StreamId::new(now, 0) } else { next }
            }
            NewId::In(ms) if ms == last.ms => {
                if next.ms != ms {
                    return Err(NOT_LARGER);
                }
                next
            }
            NewId::In(ms) => StreamId::new(ms, 0),
            NewId::Exactly(id) => id,
        };
        if id > last { Ok(id) } else { Err(NOT_LARGER) }
    }
}
