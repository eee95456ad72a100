//! Counting and finding bits in a part of a string.

use crate::command::options::{integer, is};
use crate::commands::Context;
use crate::commands::string::{Text, string};
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::bits;
use std::ops::RangeInclusive;

/// A part of a string as it was given: places from `start` on, up to `end` if that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    start: i64,
    end: Option<i64>,
    /// Bits are counted, not bytes.
    in_bits: bool,
}

impl Part {
    /// `[start [end [BYTE | BIT]]]` from argument `first` on.
    fn parse(args: &Args<'_>, first: usize) -> Result<Self, CommandError> {
        let given = args.len() - first;
        let start = match given {
            0 => 0,
            1..=3 => integer(args.get(first))?,
            _ => return Err(CommandError::Syntax),
        };
        let in_bits = match given {
            3 if is(args.get(first + 2), "BIT") => true,
            3 if !is(args.get(first + 2), "BYTE") => return Err(CommandError::Syntax),
            _ => false,
        };
        let end = if given > 1 { Some(integer(args.get(first + 1))?) } else { None };
        Ok(Self { start, end, in_bits })
    }

    /// Are both ends counted from the back, the end before the start?
    fn is_reversed(self) -> bool {
        self.end.is_some_and(|end| self.start < 0 && end < 0 && self.start > end)
    }

    /// The bits that are meant in a string of `len` bytes; an empty range if there are none.
    fn bits(self, len: usize) -> RangeInclusive<u64> {
        let bits_per_place = if self.in_bits { 1 } else { 8 };
        let total = len as i64 * 8 / bits_per_place;
        let place = |at: i64| if at < 0 { (at + total).max(0) } else { at };
        let (start, end) = (place(self.start), place(self.end.unwrap_or(-1)).min(total - 1));
        if start > end {
            #[expect(clippy::reversed_empty_ranges)]
            return 1..=0;
        }
        (start * bits_per_place) as u64..=((end + 1) * bits_per_place - 1) as u64
    }
}

/// `BITCOUNT key [start [end [BYTE | BIT]]]`
pub fn bitcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let part = Part::parse(args, 2)?;
    let key = ctx.key(args, 1);
    let count = match ctx.read(&key) {
        None => 0,
        Some(entry) => {
            let text = Text::of(&string(&entry)?);
            if part.is_reversed() { 0 } else { bits::count_ones_in(&text, part.bits(text.len())) }
        }
    };
    reply.integer(count as i64);
    Ok(Outcome::unchanged())
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`
pub fn bitpos(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let wanted = match integer(args.get(2))? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::text("The bit argument must be 1 or 0.")),
    };
    let part = Part::parse(args, 3)?;
    let key = ctx.key(args, 1);
    let place = match ctx.read(&key) {
        // A string that is not there is zeros without end.
        None => (!wanted).then_some(0),
        Some(entry) => {
            let text = Text::of(&string(&entry)?);
            let range = part.bits(text.len());
            // Where no end was said, zeros follow the string; but an empty range holds nothing.
            let behind = !wanted && part.end.is_none() && !range.is_empty();
            bits::first_bit(&text, range, wanted).or(behind.then_some(text.len() as u64 * 8))
        }
    };
    reply.integer(place.map_or(-1, |place| place as i64));
    Ok(Outcome::unchanged())
}
