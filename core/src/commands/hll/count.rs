//! Estimating how many different elements there were.

use super::{corrupt, hyperloglog, settle};
use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::hyperloglog::dense::Registers;
use crate::value::hyperloglog::{COUNT_AT, cached_count, count, estimate};

/// `PFCOUNT key [key ...]`
pub fn pfcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    if args.len() == 2 {
        return count_one(ctx, args, reply);
    }
    let mut registers = Registers::new();
    for index in 1..args.len() {
        let key = ctx.key(args, index);
        if let Some(entry) = ctx.read(&key) {
            let (value, encoding) = hyperloglog(&entry)?;
            registers.merge(value, encoding).map_err(corrupt)?;
        }
    }
    reply.integer(estimate::estimate(&estimate::histogram(&registers)) as i64);
    Ok(Outcome::unchanged())
}

/// The estimate of one, which is kept in its head; to renew it there is a change, which a journal takes as the call that
/// made it.
fn count_one(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.read(&key) else {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    };
    let (value, encoding) = hyperloglog(&entry)?;
    let (number, is_new) = match cached_count(value) {
        Some(number) => (number, false),
        None => (count(value, encoding).map_err(corrupt)?, true),
    };
    if is_new {
        ctx.database().write_range(&key, COUNT_AT, &number.to_le_bytes());
    } else {
        settle(ctx, &key);
    }
    reply.integer(number as i64);
    Ok(Outcome::changed(is_new.into()))
}
