//! ZSCAN.

use super::{read, reply_member, reply_score};
use crate::command::options::{Options, is};
use crate::commands::Context;
use crate::commands::key::parse_cursor;
use crate::glob::glob_match;
use crate::keyspace::Cursor;
use crate::outcome::Outcome;
use crate::resp::reply::Mark;
use crate::resp::{Args, CommandError, Protocol, Reply, ReplyBuffer};
use crate::value::Element;
use crate::value::zset::{Score, SortedSetRef};

struct ScanCall<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    with_scores: bool,
}

impl<'a> ScanCall<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut call = Self { count: 10, pattern: None, with_scores: true };
        let mut options = Options::new(args, 3);
        while let Some(word) = options.word() {
            if is(word, "COUNT") {
                let count = options.integer()?;
                call.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(CommandError::Syntax)?;
            } else if is(word, "MATCH") {
                let pattern = options.value()?;
                call.pattern = (pattern != b"*").then_some(pattern);
            } else if is(word, "NOSCORES") {
                call.with_scores = false;
            } else if is(word, "NOVALUES") {
                return Err(CommandError::text("NOVALUES option can only be used in HSCAN"));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(call)
    }
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]`
pub fn zscan(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let cursor = parse_cursor(args.get(2))?;
    let key = ctx.key(args, 1);
    let set = read(ctx, &key)?;
    let Some(set) = set else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(Outcome::unchanged());
    };
    let call = ScanCall::parse(args)?;
    // The number of members goes in front, but is known only at the end. Scores are bulk strings here in RESP3, too.
    let mut found = ReplyBuffer::default();
    let mut members = Reply::new(&mut found, Protocol::Resp2);
    let mut count = 0;
    let mut give = |member: Element<'_>, score: Score<'_>| {
        let is_wanted = |text: &[u8]| call.pattern.is_none_or(|pattern| glob_match(pattern, text, false));
        if is_wanted(member.text(&mut itoa::Buffer::new())) {
            count += 1;
            reply_member(&mut members, member);
            if call.with_scores {
                count += 1;
                reply_score(&mut members, score);
            }
        }
    };
    let next = match set {
        SortedSetRef::Packed(_) => {
            set.visit(0, set.len(), false, &mut give);
            None
        }
        SortedSetRef::Large(set) => set.scan(Cursor::from_raw(cursor), call.count, &mut |entry| {
            give(Element::Bytes(entry.key()), Score::Double(entry.score()));
        }),
    };
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next.map_or(0, Cursor::to_raw)).as_bytes());
    reply.array(count);
    let end = found.mark();
    reply.buffer().append_range(&found, Mark::default(), end);
    Ok(Outcome::unchanged())
}
