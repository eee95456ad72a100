//! WATCH, as far as a shard is concerned.

use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};

/// `WATCH key [key ...]`
pub fn watch(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    for index in 1..args.len() {
        // To look a key up as commands do would be to use it.
        let key = ctx.key(args, index);
        ctx.shard.watch(ctx.client, ctx.db, &key, ctx.now);
    }
    reply.ok();
    Ok(Outcome::unchanged())
}
