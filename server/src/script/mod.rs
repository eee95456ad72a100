//! Scripts and functions: one interpreter of Lua 5.1 a core.
//!
//! | module | what it is |
//! |---|---|
//! | `registry` | what all cores share: sources, what runs |
//! | `nature` | where a script is to run |
//! | `eval` | EVAL and EVALSHA: from words to a compiled script |
//! | `functions` | libraries of functions, and FCALL |
//! | `vm` | the interpreter of a core, and its invariants |
//! | `sandbox` | what scripts see of Lua, and that they cannot change it |
//! | `memory` | the memory of an interpreter |
//! | `run` | runs: each on a stack of its own |
//! | `std` | the libraries beyond Lua's own |
//! | `call` | the table `server` |
//! | `asking` | calls that the process carries out |
//! | `convert` | replies to values of Lua and back |
//! | `debugger` | scripts that stop before a line and wait for their client |

pub mod asking;
pub mod call;
pub mod convert;
pub mod debugger;
pub mod eval;
pub mod functions;
pub mod memory;
pub mod nature;
pub mod registry;
pub mod run;
pub mod sandbox;
pub mod std;
#[cfg(test)]
mod tests;
pub mod vm;

use crate::pubsub::from_scripts;
use crate::pubsub::tables::Kind;
pub use eval::check;
pub use nature::{Nature, nature_of, note_call, note_elsewhere};
use ringkey_core::command::Admin;
use ringkey_core::commands::Context;
use ringkey_core::outcome::Outcome;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::script::{Answered, Entry, Scripting};

/// What handlers call.
pub static SCRIPTING: Scripting = Scripting { run, answer };

/// Answers commands of the process for which nothing but the script is needed.
fn answer(
    context: &mut Context<'_>,
    admin: Admin,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answered, CommandError> {
    match (admin, args.len()) {
        (Admin::Publish | Admin::SPublish, 3) => {
            let kind = if admin == Admin::Publish { Kind::Channel } else { Kind::Shard };
            let Some(count) = from_scripts::publish(context, kind, args) else { return Ok(Answered::ByProcess) };
            reply.integer(count);
            Ok(Answered::Here)
        }
        (Admin::Debug, 3) if args.get(1).eq_ignore_ascii_case(b"protocol") => {
            crate::admin::debug::protocol::write(reply, args.get(2)).map(|()| Answered::Here)
        }
        (Admin::Debug, 3) if args.get(1).eq_ignore_ascii_case(b"sleep") => {
            let seconds = ::std::str::from_utf8(args.get(2)).ok().and_then(|text| text.parse::<f64>().ok());
            let seconds = seconds.filter(|seconds| seconds.is_finite()).unwrap_or(0.0).clamp(0.0, 86_400.0);
            ::std::thread::sleep(::std::time::Duration::from_secs_f64(seconds));
            reply.ok();
            Ok(Answered::Here)
        }
        _ => Ok(Answered::ByProcess),
    }
}

/// Begins a script or a function, or goes on with the one of the same client that was interrupted.
fn run(
    context: &mut Context<'_>,
    entry: Entry,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    if run::is_suspended(context.client)
        && let Some(ended) = run::resume(context, reply)
    {
        return Ok(ended.into_outcome());
    }
    match entry {
        Entry::Eval | Entry::EvalRo | Entry::EvalSha | Entry::EvalShaRo => eval::run(context, entry, args, reply),
        Entry::Fcall | Entry::FcallRo => functions::fcall::run(context, entry, args, reply),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod proof_tests;
