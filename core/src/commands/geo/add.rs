//! Adding places: GEOADD, which is ZADD with other words for the scores.

use super::position;
use crate::command::options::is;
use crate::commands::Context;
use crate::commands::zset::add::{Members, Options, give};
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use smallvec::SmallVec;

/// `GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]`
pub fn geoadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let mut options = Options::default();
    let mut first = 2;
    while first < args.len() {
        let option = match args.get(first) {
            word if is(word, "NX") => &mut options.only_new,
            word if is(word, "XX") => &mut options.only_existing,
            word if is(word, "CH") => &mut options.counts_changes,
            _ => break,
        };
        *option = true;
        first += 1;
    }
    let words = args.len() - first;
    if words == 0 || !words.is_multiple_of(3) || options.only_new && options.only_existing {
        return Err(CommandError::Syntax);
    }
    let mut members: Members<'_> = SmallVec::new();
    for at in (first..args.len()).step_by(3) {
        members.push((position(args, at)?.score(), args.get(at + 2)));
    }
    let outcome = give(ctx, &ctx.key(args, 1), options, &members, reply)?;
    if outcome.changes == 0 {
        return Ok(outcome);
    }
    Ok(ctx.effect(outcome.changes, || as_zadd(args, first, &members)))
}

/// What the journal holds: the options as they were given, and the scores.
fn as_zadd(args: &Args<'_>, first: usize, members: &[(f64, &[u8])]) -> EffectCall {
    let mut call = EffectCall::new(std::iter::once(&b"ZADD"[..]).chain((1..first).map(|index| args.get(index))));
    for (score, member) in members {
        let score = itoa::Buffer::new().format(*score as i64).as_bytes().into();
        call.words.extend([score, Box::from(*member)]);
    }
    call
}
