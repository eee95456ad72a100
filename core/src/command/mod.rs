//! What a command is: one declarative row each, from which dispatch, arity errors, key extraction and the answers of
//! COMMAND are derived.

pub mod keys;
pub mod row;

pub use row::{Admin, Argument, Command, Flags, Group, Handler, Join, Run, Spread};
