//! Commands that read lists.

use super::{place_of, range_of, read_list, reply_item, reply_segments};
use crate::command::options::{Options, integer, is};
use crate::commands::Context;
use crate::commands::long_reply::Walk;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::list::{ListRef, Needle};

/// `LLEN key`
pub fn llen(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    reply.integer(read_list(ctx, &key)?.map_or(0, |list| list.len() as i64));
    Ok(Outcome::unchanged())
}

/// `LINDEX key index`
pub fn lindex(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    // The index is looked at only if there is a list.
    let Some(list) = read_list(ctx, &key)? else {
        reply.null();
        return Ok(Outcome::unchanged());
    };
    let index = integer(args.get(2))?;
    match place_of(index, list.len()).and_then(|place| list.get(place)) {
        Some(item) => reply_item(reply, &item),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `LRANGE key start stop`
pub fn lrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (start, stop) = (integer(args.get(2))?, integer(args.get(3))?);
    let key = ctx.key(args, 1);
    let long_from = ctx.long_from();
    let Some(list) = read_list(ctx, &key)? else {
        reply.array(0);
        return Ok(Outcome::unchanged());
    };
    let range = range_of(start, stop, list.len());
    if range.len() >= long_from {
        return Ok(ctx.put_off(Walk::List(range)));
    }
    reply.array(range.len());
    reply_segments(reply, list.segments(range, false));
    Ok(Outcome::unchanged())
}

/// The options of LPOS.
struct Search {
    /// How many matches are passed over.
    skipped: usize,
    backward: bool,
    /// COUNT, 0: all; without it one place is the answer, and not an array.
    count: Option<usize>,
    /// At most so many elements are looked at.
    most: usize,
}

impl Search {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut search = Self { skipped: 0, backward: false, count: None, most: usize::MAX };
        let mut options = Options::new(args, 3);
        while let Some(word) = options.word() {
            if is(word, "RANK") {
                search.set_rank(options.integer()?)?;
            } else if is(word, "COUNT") {
                search.count = Some(super::ends::at_least(options.value()?, 0, "COUNT can't be negative")?);
            } else if is(word, "MAXLEN") {
                let most = super::ends::at_least(options.value()?, 0, "MAXLEN can't be negative")?;
                search.most = if most == 0 { usize::MAX } else { most };
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(search)
    }

    fn set_rank(&mut self, rank: i64) -> Result<(), CommandError> {
        const ZERO: &str = "RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                            or use negative to start from the end of the list";
        match rank {
            0 => return Err(CommandError::text(ZERO)),
            i64::MIN => return Err(CommandError::text(super::change::BEYOND_RANGE)),
            _ => {}
        }
        self.backward = rank < 0;
        self.skipped = rank.unsigned_abs() as usize - 1;
        Ok(())
    }

    /// The places of the matches.
    fn matches<'a>(&self, list: ListRef<'a>, needle: Needle<'a>) -> impl Iterator<Item = i64> + use<'a> {
        let (len, backward) = (list.len(), self.backward);
        list.items(0..len, backward)
            .take(self.most)
            .enumerate()
            .filter(move |(_, item)| item.is(&needle))
            .map(move |(step, _)| if backward { len - 1 - step } else { step } as i64)
            .skip(self.skipped)
    }
}

/// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]`
pub fn lpos(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let search = Search::parse(args)?;
    let key = ctx.key(args, 1);
    let list = read_list(ctx, &key)?;
    let needle = Needle::new(args.get(2));
    let mut matches = list.into_iter().flat_map(|list| search.matches(list, needle));
    match search.count {
        None => match matches.next() {
            Some(place) => reply.integer(place),
            None => reply.null(),
        },
        Some(count) => {
            let places: Vec<i64> = matches.take(if count == 0 { usize::MAX } else { count }).collect();
            reply.array(places.len());
            places.iter().for_each(|&place| reply.integer(place));
        }
    }
    Ok(Outcome::unchanged())
}
