//! Reading and writing one bit.

use super::bit_offset;
use crate::commands::Context;
use crate::commands::string::{Text, string};
use crate::keyspace::events::EventClass;
use crate::number::parse_integer;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::bits;

/// `SETBIT key offset value`
pub fn setbit(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let offset = bit_offset(ctx, args.get(2), 1)?;
    let on = match parse_integer(args.get(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(CommandError::text("bit is not an integer or out of range")),
    };
    let at = (offset / 8) as usize;
    let mask = 0x80 >> (offset % 8);
    let key = ctx.key(args, 1);
    let (found, old, is_settled) = match ctx.find(&key) {
        None => (false, None, false),
        Some(entry) => (true, Text::of(&string(&entry)?).get(at).copied(), entry.encoding() == "raw"),
    };
    let byte = old.unwrap_or(0);
    let was_on = byte & mask != 0;
    let changes = old.is_none() || was_on != on;
    // A string that is short of being raw becomes so even where nothing changes.
    if changes || !is_settled {
        ctx.make_room();
        let byte = if on { byte | mask } else { byte & !mask };
        ctx.database().write_range(&key, at, &[byte]);
    }
    if !found {
        let fresh = ctx.fresh_access();
        ctx.database().touch(&key, fresh);
        ctx.notify_new(&key);
    }
    if changes {
        ctx.notify(EventClass::STRING, "setbit", &key);
    }
    reply.integer(was_on.into());
    Ok(Outcome::changed(changes.into()))
}

/// `GETBIT key offset`
pub fn getbit(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let offset = bit_offset(ctx, args.get(2), 1)?;
    let key = ctx.key(args, 1);
    let on = match ctx.read(&key) {
        None => false,
        Some(entry) => bits::bit(&Text::of(&string(&entry)?), offset),
    };
    reply.integer(on.into());
    Ok(Outcome::unchanged())
}
