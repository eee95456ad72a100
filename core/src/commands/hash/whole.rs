//! Commands over all fields of a hash, or some that chance or a cursor chooses.

use super::hash;
use crate::command::options::{integer, is};
use crate::commands::Context;
use crate::commands::element_scan::{ElementScan, reply_page};
use crate::commands::key::parse_cursor;
use crate::commands::long_reply::Walk;
use crate::commands::string::reply_value;
use crate::keyspace::{Cursor, Value};
use crate::limits::DRAWN_ELEMENTS_MAX;
use crate::outcome::Outcome;
use crate::prng::Prng;
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use crate::value::hash::HashRef;

/// What is shown of each field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Its name.
    Field,
    /// Its value.
    Value,
    /// Name and value.
    Both,
}

impl Part {
    /// The head of a reply about so many fields.
    pub fn reply_head(self, reply: &mut Reply<'_>, fields: usize) {
        match self {
            Self::Both => reply.map(fields),
            Self::Field | Self::Value => reply.array(fields),
        }
    }

    /// Replies with a field.
    #[inline]
    pub fn reply(self, reply: &mut Reply<'_>, field: &Value<'_>, value: &Value<'_>) {
        if self != Self::Value {
            reply_value(reply, field);
        }
        if self != Self::Field {
            reply_value(reply, value);
        }
    }
}

/// `HGETALL key`
pub fn hgetall(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_all(ctx, args, reply, Part::Both)
}

/// `HKEYS key`
pub fn hkeys(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_all(ctx, args, reply, Part::Field)
}

/// `HVALS key`
pub fn hvals(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply_all(ctx, args, reply, Part::Value)
}

fn reply_all(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    part: Part,
) -> Result<Outcome, CommandError> {
    let (key, now, long_from) = (ctx.key(args, 1), ctx.field_time(), ctx.long_from());
    let hash = match ctx.read(&key) {
        Some(entry) => Some(hash(&entry)?),
        None => None,
    };
    // Fields that expire would have to stay as long as the reply takes.
    if hash.is_some_and(|hash| hash.len() >= long_from && hash.volatile() == 0) {
        return Ok(ctx.put_off(Walk::Fields(Cursor::default(), part)));
    }
    part.reply_head(reply, hash.map_or(0, |hash| hash.live(now)));
    if let Some(hash) = hash {
        hash.for_each(now, &mut |field, value| part.reply(reply, &field, &value));
    }
    Ok(Outcome::unchanged())
}

/// `HRANDFIELD key [count [WITHVALUES]]`
pub fn hrandfield(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let count = (args.len() > 2).then(|| Count::parse(args)).transpose()?;
    let (key, now) = (ctx.key(args, 1), ctx.field_time());
    let mut prng = Prng::new(ctx.shard.prng.next_u64());
    let found = match ctx.read(&key) {
        Some(entry) => Some(hash(&entry)?),
        None => None,
    };
    match (found, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(hash), Some(count)) => count.reply(hash, now, &mut prng, reply),
        (Some(hash), None) => {
            let mut field = None;
            hash.draw(1, now, &mut prng, &mut |name, _| field = Some(name));
            match field {
                Some(field) => reply_value(reply, &field),
                None => reply.null(),
            }
        }
    }
    Ok(Outcome::unchanged())
}

/// How many fields HRANDFIELD is to give, and what of them.
#[derive(Debug, Clone, Copy)]
struct Count {
    /// Negative: the same field may come several times.
    count: i64,
    with_values: bool,
}

impl Count {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let count = integer(args.get(2))?;
        if count == i64::MIN {
            let text = "value is out of range, value must between -9223372036854775807 and 9223372036854775807";
            return Err(CommandError::text(text));
        }
        let with_values = args.len() > 3;
        if args.len() > 4 || with_values && !is(args.get(3), "WITHVALUES") {
            return Err(CommandError::Syntax);
        }
        let pairs_max = i64::MAX / 2;
        if with_values && !(-pairs_max..=pairs_max).contains(&count)
            || count < 0 && count.unsigned_abs() > DRAWN_ELEMENTS_MAX
        {
            return Err(CommandError::text("value is out of range"));
        }
        Ok(Self { count, with_values })
    }

    fn reply(self, hash: HashRef<'_>, now: Millis, prng: &mut Prng, reply: &mut Reply<'_>) {
        let (with_values, in_pairs) = (self.with_values, self.with_values && reply.is_resp3());
        let head =
            |reply: &mut Reply<'_>, len: usize| reply.array(if with_values && !in_pairs { 2 * len } else { len });
        let part = if with_values { Part::Both } else { Part::Field };
        let pair = |reply: &mut Reply<'_>, field: Value<'_>, value: Value<'_>| {
            if in_pairs {
                reply.array(2);
            }
            part.reply(reply, &field, &value);
        };
        if self.count < 0 {
            let len = if hash.has_live(now) { self.count.unsigned_abs() } else { 0 };
            head(reply, len as usize);
            hash.draw(len, now, prng, &mut |field, value| pair(reply, field, value));
            return;
        }
        let chosen = hash.choose(self.count.unsigned_abs(), now, prng);
        head(reply, chosen.len());
        chosen.for_each(&mut |field, value| pair(reply, field, value));
    }
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`
pub fn hscan(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let cursor = Cursor::from_raw(parse_cursor(args.get(2))?);
    let (key, now) = (ctx.key(args, 1), ctx.field_time());
    let Some(entry) = ctx.read(&key) else {
        reply_page(reply, |_| (0, None));
        return Ok(Outcome::unchanged());
    };
    let hash = hash(&entry)?;
    let options = ElementScan::parse(args, "hscan")?;
    let part = if options.names_only { Part::Field } else { Part::Both };
    reply_page(reply, |page| {
        let mut len = 0;
        let next = hash.scan(cursor, options.page.count, now, &mut |field, value| {
            if options.page.matches(field.as_bytes(&mut itoa::Buffer::new())) {
                part.reply(page, &field, &value);
                len += if options.names_only { 1 } else { 2 };
            }
        });
        (len, next)
    });
    Ok(Outcome::unchanged())
}
