//! Scripts and functions: one interpreter of Lua 5.1 a core.

use ringkey_core::command::Command;
use ringkey_core::resp::Args;
use ringkey_core::script::Scripting;

/// What handlers call.
pub static SCRIPTING: Scripting = Scripting { run: Scripting::ABSENT.run, answer: Scripting::ABSENT.answer };

/// What is known of a script, which decides where it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// It touches no keys but those that its call names.
    Bound,
    /// Nothing: it may touch others.
    Unknown,
    /// It has touched keys of shards that its call did not name.
    Roving,
}

/// What is known of the script that a call of EVAL, EVALSHA or FCALL names.
pub fn nature_of(_row: &Command, _args: &Args<'_>) -> Nature {
    Nature::Unknown
}
