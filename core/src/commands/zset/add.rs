//! Giving scores: ZADD, ZINCRBY.

use super::{empty, hasher};
use crate::command::options::is;
use crate::commands::Context;
use crate::double::parse_double;
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, ValueKind};
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::zset::SortedSetMut;
use smallvec::SmallVec;

const NOT_A_NUMBER: CommandError = CommandError::text("resulting score is not a number (NaN)");

/// The options of ZADD.
#[derive(Clone, Copy, Default)]
pub(in crate::commands) struct Options {
    pub(in crate::commands) only_new: bool,
    pub(in crate::commands) only_existing: bool,
    only_greater: bool,
    only_less: bool,
    pub(in crate::commands) counts_changes: bool,
    increments: bool,
}

impl Options {
    /// Takes up an option word, if it is one.
    fn take(&mut self, word: &[u8]) -> bool {
        // Most of these are scores: nothing that begins with a digit is an option.
        let option = match word {
            [b'0'..=b'9' | b'-' | b'+' | b'.', ..] => return false,
            _ if is(word, "NX") => &mut self.only_new,
            _ if is(word, "XX") => &mut self.only_existing,
            _ if is(word, "CH") => &mut self.counts_changes,
            _ if is(word, "INCR") => &mut self.increments,
            _ if is(word, "GT") => &mut self.only_greater,
            _ if is(word, "LT") => &mut self.only_less,
            _ => return false,
        };
        *option = true;
        true
    }

    fn check(&self, pairs: usize) -> Result<(), CommandError> {
        let text = if self.only_new && self.only_existing {
            "XX and NX options at the same time are not compatible"
        } else if self.only_new && (self.only_greater || self.only_less) || self.only_greater && self.only_less {
            "GT, LT, and/or NX options at the same time are not compatible"
        } else if self.increments && pairs > 1 {
            "INCR option supports a single increment-element pair"
        } else {
            return Ok(());
        };
        Err(CommandError::text(text))
    }
}

/// What became of the members.
#[derive(Default)]
struct Tally {
    added: u32,
    updated: u32,
    /// The score of the last member that was not left alone.
    score: Option<f64>,
    not_a_number: bool,
}

impl Tally {
    /// The score that a member gets, if it changes.
    #[inline]
    fn decide(&mut self, options: &Options, old: Option<f64>, given: f64) -> Option<f64> {
        let Some(old) = old else {
            self.added += 1;
            self.score = Some(given);
            return Some(given);
        };
        if options.only_new {
            return None;
        }
        let score = if options.increments { old + given } else { given };
        if score.is_nan() {
            self.not_a_number = true;
            return None;
        }
        if options.only_less && score >= old || options.only_greater && score <= old {
            return None;
        }
        self.score = Some(score);
        self.updated += u32::from(score != old);
        Some(score)
    }
}

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]`
pub fn zadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let mut options = Options::default();
    let mut first = 2;
    while first < args.len() && options.take(args.get(first)) {
        first += 1;
    }
    let words = args.len() - first;
    if words == 0 || !words.is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    options.check(words / 2)?;
    add(ctx, args, first, options, reply)
}

/// `ZINCRBY key increment member`
pub fn zincrby(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    add(ctx, args, 2, Options { increments: true, ..Options::default() }, reply)
}

/// Adds the members whose scores and names stand from argument `first` on.
fn add(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    first: usize,
    options: Options,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let mut members: Members<'_> = SmallVec::new();
    for index in (first..args.len()).step_by(2) {
        members.push((parse_double(args.get(index)).ok_or(CommandError::NotAFloat)?, args.get(index + 1)));
    }
    give(ctx, &ctx.key(args, 1), options, &members, reply)
}

/// Members and the scores that are given for them.
pub(in crate::commands) type Members<'a> = SmallVec<[(f64, &'a [u8]); 4]>;

/// Gives members their scores, and replies what became of them.
pub(in crate::commands) fn give(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    options: Options,
    members: &[(f64, &[u8])],
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let (limits, hasher) = (ctx.rules.limits, hasher(ctx));
    let make = (!options.only_existing).then_some(empty);
    let mut tally = Tally::default();
    ctx.change(key, ValueKind::SortedSet, make, |entry| {
        let mut set = SortedSetMut::new(entry, limits, &hasher);
        set.expect(members.len(), members.iter().map(|(_, member)| member.len()).max().unwrap_or(0));
        for (given, member) in members {
            set.put(member, !options.only_existing, |old| tally.decide(&options, old, *given));
        }
    })?;
    if tally.not_a_number {
        return Err(NOT_A_NUMBER);
    }
    if tally.added + tally.updated > 0 {
        ctx.notify(EventClass::ZSET, if options.increments { "zincr" } else { "zadd" }, key);
    }
    if tally.added > 0 {
        ctx.note_filled(key);
    }
    match tally.score {
        Some(score) if options.increments => reply.double(score),
        None if options.increments => reply.null(),
        _ if options.counts_changes => reply.integer((tally.added + tally.updated).into()),
        _ => reply.integer(tally.added.into()),
    }
    Ok(Outcome::changed(tally.added + tally.updated))
}
