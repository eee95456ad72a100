//! XREAD, and the arguments that it shares with XREADGROUP.

use super::ids::parse_id;
use super::range::reply_range;
use super::read_stream;
use crate::command::options::{integer, is};
use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::stream::{Stream, StreamId};
use smallvec::SmallVec;
use std::ops::Range;

/// What a call of XREAD or XREADGROUP says. Ids are not yet looked at: what they mean depends on the streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest<'a> {
    /// Most entries of each stream.
    pub count: usize,
    /// BLOCK: until when the client waits; none: for ever.
    pub block: Option<Option<Millis>>,
    /// Which words are keys. The id of each comes as many words later as there are keys.
    pub keys: Range<usize>,
    /// GROUP: the names of the group and the consumer.
    pub group: Option<(&'a [u8], &'a [u8])>,
    /// NOACK.
    pub no_ack: bool,
}

impl<'a> ReadRequest<'a> {
    /// Reads the words of XREAD, or with `in_group` those of XREADGROUP.
    pub fn parse(args: &Args<'a>, in_group: bool, now: Millis) -> Result<Self, CommandError> {
        let mut request = Self { count: usize::MAX, block: None, keys: 0..0, group: None, no_ack: false };
        let mut at = 1;
        while at < args.len() {
            let (word, more) = (args.get(at), args.len() - 1 - at);
            if more > 0 && is(word, "BLOCK") {
                request.block = Some(block_until(args.get(at + 1), now)?);
                at += 1;
            } else if more > 0 && is(word, "COUNT") {
                let count = integer(args.get(at + 1))?;
                request.count = if count > 0 { count as usize } else { usize::MAX };
                at += 1;
            } else if more > 0 && is(word, "STREAMS") {
                request.keys = at + 1..at + 1 + more / 2;
                if more % 2 == 1 {
                    return Err(unbalanced(in_group));
                }
                break;
            } else if more > 1 && is(word, "GROUP") {
                only_in_group(in_group, "GROUP")?;
                request.group = Some((args.get(at + 1), args.get(at + 2)));
                at += 2;
            } else if is(word, "NOACK") {
                only_in_group(in_group, "NOACK")?;
                request.no_ack = true;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        if request.keys.is_empty() {
            return Err(CommandError::Syntax);
        }
        if in_group && request.group.is_none() {
            return Err(CommandError::text("Missing GROUP option for XREADGROUP"));
        }
        Ok(request)
    }

    /// The index of the id that belongs to a key.
    pub fn id_index(&self, key_index: usize) -> usize {
        key_index + self.keys.len()
    }
}

fn block_until(text: &[u8], now: Millis) -> Result<Option<Millis>, CommandError> {
    match integer(text).map_err(|_| CommandError::text("timeout is not an integer or out of range"))? {
        ..0 => Err(CommandError::text("timeout is negative")),
        0 => Ok(None),
        millis => {
            let until = now.0.checked_add(millis).ok_or(CommandError::text("timeout is out of range"))?;
            Ok(Some(Millis(until)))
        }
    }
}

fn unbalanced(in_group: bool) -> CommandError {
    let (command, symbol) = if in_group { ("xreadgroup", '>') } else { ("xread", '$') };
    CommandError::owned(format!(
        "Unbalanced '{command}' list of streams: for each stream key an ID or '{symbol}' must be specified."
    ))
}

fn only_in_group(in_group: bool, option: &str) -> Result<(), CommandError> {
    if in_group {
        return Ok(());
    }
    const INSTEAD: &str = "option is only supported by XREADGROUP. You called XREAD instead.";
    Err(CommandError::owned(format!("The {option} {INSTEAD}")))
}

/// `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]`
pub fn xread(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let request = ReadRequest::parse(args, false, ctx.now)?;
    let mut behind = SmallVec::<[StreamId; 8]>::new();
    for index in request.keys.clone() {
        let key = ctx.key(args, index);
        let stream = read_stream(ctx, &key)?;
        behind.push(id_behind(args.get(request.id_index(index)), stream)?);
    }
    if reply_streams(ctx, args, reply, &request, &behind)? {
        return Ok(Outcome::unchanged());
    }
    // Later `$` would be another id. `+` is whatever is the last entry when there is one.
    let lasts = request.keys.zip(&behind).map(|(index, id)| (index + behind.len(), id));
    let lasts = lasts.filter(|(index, _)| args.get(*index) == b"$");
    let fixed: Vec<_> = lasts.map(|(index, id)| (index, id.to_string().into_bytes().into())).collect();
    if ctx.may_block && !fixed.is_empty() {
        ctx.fixed = Some(Box::new(fixed));
    }
    Ok(ctx.wait_or(reply, |reply| reply.null_array()))
}

/// Behind which id a stream is read.
pub(super) fn id_behind(text: &[u8], stream: Option<&Stream>) -> Result<StreamId, CommandError> {
    let last = stream.map(|stream| stream.entries.last_id());
    match text {
        b"$" => Ok(last.unwrap_or_default()),
        b"+" => Ok(last.and_then(StreamId::previous).unwrap_or_default()),
        b">" => Err(CommandError::text(
            "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => parse_id(text, 0),
    }
}

/// Replies with what the streams have behind these ids. The answer: had any of them something? If not, nothing is written.
fn reply_streams(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    request: &ReadRequest<'_>,
    behind: &[StreamId],
) -> Result<bool, CommandError> {
    let mark = reply.buffer().mark();
    let is_map = reply.is_resp3();
    let mut head = None;
    let mut streams = 0;
    for (index, &behind) in request.keys.clone().zip(behind) {
        let key = ctx.key(args, index);
        let Some(stream) = read_stream(ctx, &key)? else { continue };
        let Some(from) = behind.next().filter(|_| behind < stream.entries.last_id()) else { continue };
        head.get_or_insert_with(|| reply.unsettled_pairs(request.keys.len()));
        let before = reply.buffer().mark();
        if !is_map {
            reply.array(2);
        }
        reply.bulk(key.bytes);
        if reply_range(reply, &stream.entries, (from, StreamId::MAX), request.count, false) == 0 {
            // All behind the id has been deleted.
            reply.buffer().rewind(before);
        } else {
            streams += 1;
        }
    }
    match head {
        Some(head) if streams > 0 => reply.settle(head, streams),
        _ => reply.buffer().rewind(mark),
    }
    Ok(streams > 0)
}
