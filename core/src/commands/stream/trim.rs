//! Dropping the oldest entries, by XTRIM or after XADD; and XDEL.

use super::ids::parse_id;
use super::{NOT_MADE, with_stream};
use crate::command::options::{integer, is};
use crate::commands::{Context, Expiry};
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, Large, ValueKind};
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::value::stream::{Entries, StreamId, Trim, TrimTo, Trimmed};

/// Bounds for the number of entries that approximate trimming drops if nothing is said about it.
const LIMITS_DEFAULT: std::ops::RangeInclusive<u64> = 1..=1_000_000;

/// The same where nodes are not limited.
const LIMIT_WITHOUT_NODES: u64 = 10_000;

/// The id that an entry is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: what the time says.
    Auto,
    /// `ms-*`: the next one in this millisecond.
    In(u64),
    /// This one.
    Exactly(StreamId),
}

impl NewId {
    /// The id that a word means, other than `*` alone.
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match word {
            [ms @ .., b'-', b'*'] if !ms.contains(&b'-') => parse_id(ms, 0).map(|id| Self::In(id.ms)),
            _ => parse_id(word, 0).map(Self::Exactly),
        }
    }
}

/// What stands between the key and the fields of XADD, or behind the key of XTRIM.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrimRequest {
    /// How the stream is trimmed, if it is.
    pub trim: Option<Trim>,
    /// The index of the argument that says what to.
    pub threshold_index: usize,
    /// Does XADD leave alone what does not exist?
    pub no_make: bool,
    /// The id of XADD and the index of its argument.
    pub id: NewId,
    pub id_index: usize,
}

impl TrimRequest {
    /// Reads the options; with `adds` up to the id, which must be there.
    pub fn parse(ctx: &Context<'_>, args: &Args<'_>, adds: bool) -> Result<Self, CommandError> {
        let mut request =
            Self { trim: None, threshold_index: 0, no_make: false, id: NewId::Auto, id_index: args.len() };
        let mut limit = None;
        let mut at = 2;
        while at < args.len() {
            let (word, more) = (args.get(at), args.len() - 1 - at);
            if adds && word == b"*" {
                request.id_index = at;
                break;
            } else if more > 0 && (is(word, "MAXLEN") || is(word, "MINID")) {
                at = request.parse_strategy(args, at)?;
            } else if more > 0 && is(word, "LIMIT") {
                limit = Some(integer(args.get(at + 1))?);
                if limit.is_some_and(|limit| limit < 0) {
                    return Err(CommandError::text("The LIMIT argument must be >= 0."));
                }
                at += 1;
            } else if adds && is(word, "NOMKSTREAM") {
                request.no_make = true;
            } else if adds {
                (request.id, request.id_index) = (NewId::parse(word)?, at);
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        request.settle(ctx, limit, adds)?;
        Ok(request)
    }

    /// Reads MAXLEN or MINID with what belongs to it. The answer: the index of its last argument.
    fn parse_strategy(&mut self, args: &Args<'_>, at: usize) -> Result<usize, CommandError> {
        if self.trim.is_some() {
            const BOTH: &str = "syntax error, MAXLEN and MINID options at the same time are not compatible";
            return Err(CommandError::text(BOTH));
        }
        let operator = (at + 2 < args.len()).then(|| args.get(at + 1)).filter(|word| matches!(word, [b'~' | b'=']));
        let index = at + 1 + usize::from(operator.is_some());
        let to = if is(args.get(at), "MAXLEN") {
            let length = integer(args.get(index))?;
            TrimTo::Length(u64::try_from(length).map_err(|_| CommandError::text("The MAXLEN argument must be >= 0."))?)
        } else {
            TrimTo::Id(parse_id(args.get(index), 0)?)
        };
        self.trim = Some(Trim { to, is_approximate: operator == Some(b"~"), limit: 0 });
        self.threshold_index = index;
        Ok(index)
    }

    /// Checks what fits together, and decides how many entries may go.
    fn settle(&mut self, ctx: &Context<'_>, limit: Option<i64>, adds: bool) -> Result<(), CommandError> {
        if self.trim.is_none() && limit.is_some_and(|limit| limit != 0) {
            const ALONE: &str = "syntax error, LIMIT cannot be used without specifying a trimming strategy";
            return Err(CommandError::text(ALONE));
        }
        if self.trim.is_none() && !adds {
            return Err(CommandError::text("syntax error, XTRIM must be called with a trimming strategy"));
        }
        // A call that was accepted elsewhere says exactly what is to go.
        if ctx.expiry == Expiry::Ignore {
            return Ok(());
        }
        let is_approximate = self.trim.is_some_and(|trim| trim.is_approximate);
        if limit.is_some() && !is_approximate {
            const EXACT: &str = "syntax error, LIMIT cannot be used without the special ~ option";
            return Err(CommandError::text(EXACT));
        }
        if let Some(trim) = &mut self.trim
            && is_approximate
        {
            trim.limit = match (limit, ctx.rules.limits.stream_node_entries as u64) {
                (Some(limit), _) => limit.unsigned_abs(),
                (None, 0) => LIMIT_WITHOUT_NODES,
                (None, entries) => entries.saturating_mul(100).clamp(*LIMITS_DEFAULT.start(), *LIMITS_DEFAULT.end()),
            };
        }
        Ok(())
    }
}

/// What approximate trimming has left, as the threshold of an exact one.
fn exact_threshold(trim: &Trim, entries: &Entries) -> Vec<u8> {
    let text = match trim.to {
        TrimTo::Length(_) => entries.len().to_string(),
        TrimTo::Id(_) => entries.first_node_id().unwrap_or(StreamId::MAX).to_string(),
    };
    text.into_bytes()
}

/// The words of a call with some of them replaced, for the journal.
#[derive(Debug, Default)]
pub(super) struct Rewriting {
    words: Vec<(usize, Vec<u8>)>,
}

impl Rewriting {
    /// Replaces the word at an index.
    pub fn replace(&mut self, index: usize, word: Vec<u8>) {
        self.words.push((index, word));
    }

    /// The trimming, exactly as it came out.
    pub fn trim(&mut self, request: &TrimRequest, entries: &Entries) {
        if let Some(trim) = request.trim.filter(|trim| trim.is_approximate) {
            self.replace(request.threshold_index - 1, b"=".to_vec());
            self.replace(request.threshold_index, exact_threshold(&trim, entries));
        }
    }

    /// The outcome of a call that made so many changes.
    pub fn outcome(self, changes: u32, args: &Args<'_>) -> Outcome {
        if self.words.is_empty() {
            return Outcome::changed(changes);
        }
        let replaced = |index| self.words.iter().find(|(at, _)| *at == index).map(|(_, word)| &word[..]);
        let words = args.iter().enumerate().map(|(index, given)| replaced(index).unwrap_or(given));
        Outcome::rewritten(changes, [EffectCall::new(words)])
    }
}

/// Leaves what was trimmed to be freed later, if it is much. The answer: how many entries it was.
pub(super) fn discard(ctx: &mut Context<'_>, trimmed: Trimmed) -> u64 {
    if let Some(gone) = trimmed.gone {
        ctx.database().discard_part(Large::Stream(gone));
    }
    trimmed.count
}

/// `XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count]`
pub fn xtrim(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let request = TrimRequest::parse(ctx, args, false)?;
    let key = ctx.key(args, 1);
    let journaling = ctx.shard.journaling;
    let trimmed = ctx.change(&key, ValueKind::Stream, NOT_MADE, |entry| {
        with_stream(entry, |stream| {
            let trimmed = stream.entries.trim(&request.trim?);
            let mut rewriting = Rewriting::default();
            if journaling {
                rewriting.trim(&request, &stream.entries);
            }
            Some((trimmed, rewriting))
        })
    })?;
    let Some((trimmed, rewriting)) = trimmed.flatten() else {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    };
    let count = discard(ctx, trimmed);
    if count > 0 {
        ctx.notify(EventClass::STREAM, "xtrim", &key);
    }
    reply.integer(count as i64);
    match u32::try_from(count).unwrap_or(u32::MAX) {
        0 => Ok(Outcome::unchanged()),
        changes => Ok(rewriting.outcome(changes, args)),
    }
}

/// `XDEL key id [id ...]`
pub fn xdel(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    // A key that holds nothing is answered before anybody looks at the ids.
    if !super::find_stream(ctx, &key)? {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    }
    for text in args.iter_from(2) {
        parse_id(text, 0)?;
    }
    let count = delete_all(ctx, &key, args)?;
    if count > 0 {
        ctx.notify(EventClass::STREAM, "xdel", &key);
    }
    reply.integer(count.into());
    Ok(Outcome::changed(count))
}

fn delete_all(ctx: &mut Context<'_>, key: &Key<'_>, args: &Args<'_>) -> Result<u32, CommandError> {
    let deleted = ctx.change(key, ValueKind::Stream, NOT_MADE, |entry| {
        with_stream(entry, |stream| {
            let ids = args.iter_from(2).filter_map(|text| parse_id(text, 0).ok());
            ids.filter(|&id| stream.entries.delete(id)).count()
        })
    })?;
    Ok(deleted.unwrap_or(0) as u32)
}
