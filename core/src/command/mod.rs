//! What a command is: one declarative row each, from which dispatch, arity errors, key extraction and the answers of
//! COMMAND are derived.

pub mod docs;
pub mod keys;
pub mod names;
pub mod options;
pub mod row;
pub mod table;
pub mod wait;

pub use names::{Names, RenameError};
pub use row::{Admin, Argument, Command, Flags, Group, Handler, Join, Run, Spread, Touches};
pub use wait::{Fixed, Share, Undo, Wait};
