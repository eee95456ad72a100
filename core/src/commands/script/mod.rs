//! Commands for scripts and functions. What needs an interpreter comes from the process ([`crate::script`]).

pub mod rows;

use super::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::script::Entry;

/// EVAL
///
/// # Errors
/// What the interpreter says.
pub fn eval(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    (ctx.rules.scripting.run)(ctx, Entry::Eval, args, reply)
}

/// EVAL_RO
///
/// # Errors
/// What the interpreter says.
pub fn eval_ro(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    (ctx.rules.scripting.run)(ctx, Entry::EvalRo, args, reply)
}

/// EVALSHA
///
/// # Errors
/// What the interpreter says.
pub fn evalsha(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    (ctx.rules.scripting.run)(ctx, Entry::EvalSha, args, reply)
}

/// EVALSHA_RO
///
/// # Errors
/// What the interpreter says.
pub fn evalsha_ro(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    (ctx.rules.scripting.run)(ctx, Entry::EvalShaRo, args, reply)
}

/// FCALL
///
/// # Errors
/// What the interpreter says.
pub fn fcall(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    (ctx.rules.scripting.run)(ctx, Entry::Fcall, args, reply)
}

/// FCALL_RO
///
/// # Errors
/// What the interpreter says.
pub fn fcall_ro(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    (ctx.rules.scripting.run)(ctx, Entry::FcallRo, args, reply)
}
