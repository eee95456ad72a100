//! Commands on a part of a string.

use super::{Text, string};
use crate::command::options::integer;
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};

/// `APPEND key value`
pub fn append(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let tail = args.get(2);
    let old_len = match ctx.find(&key) {
        None => None,
        Some(entry) => Some(Text::of(&string(&entry)?).len()),
    };
    match old_len {
        None => {
            let value = ctx.value(args, 2);
            ctx.write(&key, value, None);
        }
        Some(len) => {
            ctx.check_string_len(len as i64, tail.len())?;
            ctx.database().append(&key, tail);
        }
    }
    ctx.notify(EventClass::STRING, "append", &key);
    reply.integer((old_len.unwrap_or(0) + tail.len()) as i64);
    Ok(Outcome::changed(1))
}

/// `SETRANGE key offset value`
pub fn setrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let offset = integer(args.get(2))?;
    if offset < 0 {
        return Err(CommandError::text("offset is out of range"));
    }
    let part = args.get(3);
    let key = ctx.key(args, 1);
    let (found, old_len) = match ctx.find(&key) {
        None => (false, 0),
        Some(entry) => (true, Text::of(&string(&entry)?).len()),
    };
    if part.is_empty() {
        reply.integer(old_len as i64);
        return Ok(Outcome::unchanged());
    }
    ctx.check_string_len(offset, part.len())?;
    let offset = offset as usize;
    ctx.make_room();
    let fresh = ctx.fresh_access();
    ctx.database().write_range(&key, offset, part);
    if !found {
        ctx.database().touch(&key, fresh);
        ctx.notify_new(&key);
    }
    ctx.notify(EventClass::STRING, "setrange", &key);
    reply.integer(old_len.max(offset + part.len()) as i64);
    Ok(Outcome::changed(1))
}

/// `GETRANGE key start end`
pub fn getrange(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (start, end) = (integer(args.get(2))?, integer(args.get(3))?);
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.read(&key) else {
        reply.bulk(b"");
        return Ok(Outcome::unchanged());
    };
    let value = string(&entry)?;
    let text = Text::of(&value);
    let range = range_of(start, end, text.len());
    match &value {
        crate::keyspace::Value::Shared(bytes) => reply.bulk_shared(&bytes.slice(range)),
        _ => reply.bulk(&text[range]),
    }
    Ok(Outcome::unchanged())
}

/// `SUBSTR key start end`
pub fn substr(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    getrange(ctx, args, reply)
}

/// The bytes from `start` to `end` inclusive, where negative places count from the end.
fn range_of(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    // Both before the beginning would be moved onto the first byte: that is not what such a range means.
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let place = |at: i64| if at < 0 { (at + len as i64).max(0) } else { at };
    let (start, end) = (place(start), place(end).min(len as i64 - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_inside() {
        for (start, end, len, expected) in [
            (0, -1, 5, 0..5),
            (-3, -1, 5, 2..5),
            (-100, -99, 5, 0..1),
            (-99, -100, 5, 0..0),
            (3, 1, 5, 0..0),
            (5, 9, 5, 0..0),
            (0, i64::MAX, 5, 0..5),
            (i64::MIN, i64::MAX, 5, 0..5),
            (0, 0, 0, 0..0),
            (0, -1, 0, 0..0),
        ] {
            assert_eq!(range_of(start, end, len), expected, "{start} {end} of {len}");
        }
    }
}
