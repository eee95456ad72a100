//! Scripts and functions, as far as they can be told without an interpreter: what the handlers of EVAL and FCALL need of the
//! process, which has one.
//!
//! The interpreter has state of its own and is no business of this crate. It comes in as functions, plain ones without
//! state, with the rules, as [`crate::codec`] does.

pub mod declared;
pub mod library;
pub mod source;

use crate::command::Admin;
use crate::commands::{Context, within};
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use std::fmt;

/// The functions.
#[derive(Clone, Copy)]
pub struct Scripting {
    /// Carries a call of EVAL, EVALSHA or FCALL out, or goes on with one that was interrupted, and writes its reply. Where
    /// [`Context::unfinished`] is set afterwards it has not ended, and nothing is written.
    pub run: fn(&mut Context<'_>, Entry, &Args<'_>, &mut Reply<'_>) -> Result<Outcome, CommandError>,
    /// Answers a command of the process within a script, if that is possible where the script runs.
    pub answer: fn(&mut Context<'_>, Admin, &Args<'_>, &mut Reply<'_>) -> Result<Answered, CommandError>,
}

/// Who answers a command of the process within a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It was answered at once.
    Here,
    /// The process is to be asked, which takes a while. Nothing is written.
    ByProcess,
}

/// By which command a script is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// EVAL: the words bring the script.
    Eval,
    /// EVAL_RO.
    EvalRo,
    /// EVALSHA: it was loaded before.
    EvalSha,
    /// EVALSHA_RO.
    EvalShaRo,
    /// FCALL: a function of a library.
    Fcall,
    /// FCALL_RO.
    FcallRo,
}

impl Entry {
    /// Must the script not write?
    pub const fn is_read_only(self) -> bool {
        matches!(self, Self::EvalRo | Self::EvalShaRo | Self::FcallRo)
    }
}

impl Scripting {
    /// For where there is no interpreter.
    pub const ABSENT: &'static Self =
        &Self { run: |_, _, _, _| Err(CommandError::text("no interpreter")), answer: within::unanswered };
}

impl PartialEq for Scripting {
    /// Is the function at the same place?
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.run, other.run)
    }
}

impl Eq for Scripting {}

impl fmt::Debug for Scripting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripting")
    }
}
