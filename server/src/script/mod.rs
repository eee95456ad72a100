//! Scripts and functions: one interpreter of Lua 5.1 a core.

mod compile;
pub mod functions;
pub mod nature;
pub mod registry;
pub mod std;

pub use compile::check;
pub use nature::{Nature, nature_of, note_elsewhere};
use ringkey_core::script::Scripting;

/// What handlers call.
pub static SCRIPTING: Scripting = Scripting { run: Scripting::ABSENT.run, answer: Scripting::ABSENT.answer };

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod proof_tests;
