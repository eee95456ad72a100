//! Integers of any width at any place of a string.

use super::bit_offset;
use crate::command::options::{integer, is};
use crate::commands::Context;
use crate::commands::string::{Text, string};
use crate::keyspace::Key;
use crate::keyspace::events::EventClass;
use crate::number::parse_integer;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use smallvec::SmallVec;

/// An integer of 64 bits that begins in the midst of a byte reaches into so many.
const WINDOW_BYTES: usize = 9;

/// `BITFIELD key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] SET encoding offset value |
/// INCRBY encoding offset increment ...]`
pub fn bitfield(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let steps = parse(ctx, args)?;
    let Some(end) = steps.iter().filter(|step| step.writes()).map(Step::end).max() else {
        return read(ctx, args, &steps, reply);
    };
    let last = ((end - 1) / 8) as usize;
    let key = ctx.key(args, 1);
    let (found, old, is_settled) = match ctx.find(&key) {
        None => (false, None, false),
        Some(entry) => (true, Text::of(&string(&entry)?).get(last).copied(), entry.encoding() == "raw"),
    };
    if old.is_none() || !is_settled {
        // The string grows, and is raw, even if nothing comes to be written.
        ctx.make_room();
        ctx.database().write_range(&key, last, &[old.unwrap_or(0)]);
    }
    if !found {
        let fresh = ctx.fresh_access();
        ctx.database().touch(&key, fresh);
        ctx.notify_new(&key);
    }
    let grew = old.is_none();
    reply.array(steps.len());
    let mut changes = 0;
    for step in &steps {
        match step.carry_out(ctx, &key) {
            None => reply.null(),
            Some((answer, changed)) => {
                reply.integer(answer);
                changes += u32::from(step.writes() && (changed || grew));
            }
        }
    }
    if changes > 0 {
        ctx.touch(&key);
        ctx.notify(EventClass::STRING, "setbit", &key);
    }
    // Where each write failed the string may have grown nevertheless, which a journal must know; Valkey tells nobody.
    Ok(Outcome::changed(changes.max(grew.into())))
}

/// `BITFIELD_RO key [GET encoding offset ...]`
pub fn bitfield_ro(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let steps = parse(ctx, args)?;
    if steps.iter().any(Step::writes) {
        return Err(CommandError::text("BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, args, &steps, reply)
}

/// Carries out steps of which none writes.
fn read(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    steps: &[Step],
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let text = match ctx.read(&key) {
        None => Text::Bytes(&[]),
        Some(entry) => Text::of(&string(&entry)?),
    };
    reply.array(steps.len());
    for Step { frame, offset, .. } in steps {
        reply.integer(frame.read(&Window::of(&text, *offset), *offset));
    }
    Ok(Outcome::unchanged())
}

/// What happens to a result that an integer has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overflow {
    /// Its higher bits are lost.
    Wrap,
    /// The nearest integer that there is room for takes its place.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// What is done with an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// One operation of a call.
#[derive(Debug, Clone, Copy)]
struct Step {
    frame: Frame,
    offset: u64,
    action: Action,
    overflow: Overflow,
}

/// The operations of a call.
fn parse(ctx: &Context<'_>, args: &Args<'_>) -> Result<SmallVec<[Step; 4]>, CommandError> {
    let mut steps = SmallVec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let (word, left) = (args.get(at), args.len() - at - 1);
        let (make, words): (fn(i64) -> Action, usize) = match () {
            () if left >= 2 && is(word, "GET") => (|_| Action::Get, 3),
            () if left >= 3 && is(word, "SET") => (Action::Set, 4),
            () if left >= 3 && is(word, "INCRBY") => (Action::Add, 4),
            () if left >= 1 && is(word, "OVERFLOW") => {
                overflow = Overflow::parse(args.get(at + 1))?;
                at += 2;
                continue;
            }
            () => return Err(CommandError::Syntax),
        };
        let frame = Frame::parse(args.get(at + 1))?;
        let offset = match args.get(at + 2).strip_prefix(b"#") {
            Some(place) => bit_offset(ctx, place, i64::from(frame.bits))?,
            None => bit_offset(ctx, args.get(at + 2), 1)?,
        };
        let operand = if words > 3 { integer(args.get(at + 3))? } else { 0 };
        steps.push(Step { frame, offset, action: make(operand), overflow });
        at += words;
    }
    Ok(steps)
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match () {
            () if is(word, "WRAP") => Ok(Self::Wrap),
            () if is(word, "SAT") => Ok(Self::Saturate),
            () if is(word, "FAIL") => Ok(Self::Fail),
            () => Err(CommandError::text("Invalid OVERFLOW type specified")),
        }
    }
}

impl Step {
    fn writes(&self) -> bool {
        self.action != Action::Get
    }

    /// The bit behind the integer.
    fn end(&self) -> u64 {
        self.offset + u64::from(self.frame.bits)
    }

    /// The answer, and whether the integer is another one afterwards; nothing if it had no room and was not to be written.
    /// What is written lies within the string.
    fn carry_out(&self, ctx: &mut Context<'_>, key: &Key<'_>) -> Option<(i64, bool)> {
        let entry = ctx.database().find(key).expect("the string was made");
        let mut window = Window::of(&Text::of(&entry.value()), self.offset);
        let old = self.frame.read(&window, self.offset);
        let (wanted, base) = match self.action {
            Action::Get => return Some((old, false)),
            // An unsigned integer takes the bits of what was given.
            Action::Set(value) if self.frame.is_signed => (i128::from(value), i128::from(value)),
            Action::Set(value) => (i128::from(value as u64), i128::from(value as u64)),
            Action::Add(more) => (i128::from(old) + i128::from(more), i128::from(old)),
        };
        let new = self.frame.fit(wanted, base, self.overflow)?;
        if new != old {
            self.frame.write(&mut window, self.offset, new);
            let len = (self.offset % 8 + u64::from(self.frame.bits)).div_ceil(8) as usize;
            ctx.database().write_range(key, (self.offset / 8) as usize, &window.0[..len]);
        }
        let answer = if matches!(self.action, Action::Add(_)) { new } else { old };
        Some((answer, new != old))
    }
}

/// The bytes in which an integer lies, with zeros behind the end of the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window([u8; WINDOW_BYTES]);

impl Window {
    fn of(text: &[u8], offset: u64) -> Self {
        let mut window = [0; WINDOW_BYTES];
        let rest = usize::try_from(offset / 8).ok().and_then(|at| text.get(at..)).unwrap_or(&[]);
        let len = rest.len().min(WINDOW_BYTES);
        window[..len].copy_from_slice(&rest[..len]);
        Self(window)
    }

    /// All of it as a number, which takes the upper part of 128 bits.
    fn number(&self) -> u128 {
        let mut bytes = [0; 16];
        bytes[..WINDOW_BYTES].copy_from_slice(&self.0);
        u128::from_be_bytes(bytes)
    }
}

/// How wide an integer is, and whether it has a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    is_signed: bool,
    /// 1 to 64, or 63 without a sign.
    bits: u32,
}

impl Frame {
    fn parse(text: &[u8]) -> Result<Self, CommandError> {
        let parsed = match text {
            [b'i', bits @ ..] => parse_integer(bits).filter(|bits| (1..=64).contains(bits)).map(|bits| (true, bits)),
            [b'u', bits @ ..] => parse_integer(bits).filter(|bits| (1..=63).contains(bits)).map(|bits| (false, bits)),
            _ => None,
        };
        let (is_signed, bits) = parsed.ok_or(CommandError::text(
            "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ))?;
        Ok(Self { is_signed, bits: bits as u32 })
    }

    /// How far the integer stands above the end of 128 bits that begin with its window.
    fn shift(self, offset: u64) -> u32 {
        128 - (offset % 8) as u32 - self.bits
    }

    fn read(self, window: &Window, offset: u64) -> i64 {
        let low = (window.number() >> self.shift(offset)) as u64;
        self.wrapped(low)
    }

    /// The integer that the low bits of a number are.
    fn wrapped(self, number: u64) -> i64 {
        let spare = 64 - self.bits;
        if self.is_signed { (number << spare) as i64 >> spare } else { (number << spare >> spare) as i64 }
    }

    fn write(self, window: &mut Window, offset: u64, value: i64) {
        let mask = u128::from(u64::MAX >> (64 - self.bits)) << self.shift(offset);
        let number = window.number() & !mask | u128::from(value as u64) << self.shift(offset) & mask;
        window.0.copy_from_slice(&number.to_be_bytes()[..WINDOW_BYTES]);
    }

    /// The smallest and the largest integer.
    fn bounds(self) -> (i128, i128) {
        let values = 1 << self.bits;
        if self.is_signed { (-values / 2, values / 2 - 1) } else { (0, values - 1) }
    }

    /// What is stored in place of a number, if anything is. `base` is what the number comes from by addition.
    fn fit(self, number: i128, base: i128, overflow: Overflow) -> Option<i64> {
        let (least, most) = self.bounds();
        // Valkey takes the distance from a signed integer to the largest for one of 64 bits, too: what is farther below
        // saturates at the top.
        let is_taken_for_large = self.is_signed && self.bits < 64 && most - base > i128::from(i64::MAX);
        let is_large = number > most || is_taken_for_large;
        if !is_large && number >= least {
            return Some(number as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.wrapped(number as u64)),
            Overflow::Saturate => Some(if is_large { most } else { least } as i64),
            Overflow::Fail => None,
        }
    }
}
