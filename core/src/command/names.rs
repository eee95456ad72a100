//! Under which names clients reach the commands: those of the table, unless `rename-command` gave others.
//!
//! The table is made while compiling, and a server without renames looks into nothing else. With renames a map is asked
//! first. A command keeps the name of its row in whatever is told about it, as in Valkey; only how it is called differs.

use super::row::Command;
use super::table;
use crate::resp::{Args, CommandError};
use std::collections::HashMap;

/// The names of the commands of a server.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// What differs from the table, by names in lower case; nothing stands for a name that was taken away.
    changed: Option<HashMap<Vec<u8>, Option<&'static Command>>>,
    /// The commands that no name leads to any more.
    gone: Vec<&'static Command>,
}

/// Why a command cannot be renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameError {
    /// No command has this name, now.
    NoSuchCommand,
    /// A command has the new name already.
    NameTaken,
}

impl RenameError {
    /// The reason, as Valkey gives it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoSuchCommand => "No such command in rename-command",
            Self::NameTaken => "Target command name already exists",
        }
    }
}

impl PartialEq for Names {
    /// Are they the same ones?
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Names {}

/// The table's names.
static UNCHANGED: Names = Names { changed: None, gone: Vec::new() };

impl Names {
    /// Every command has the name that it has in the table.
    pub fn unchanged() -> &'static Self {
        &UNCHANGED
    }

    /// Gives the command that is called `from` now the name `to`, or none if that is empty.
    ///
    /// Commands that this version does not have may be renamed as well, so that a configuration stays good.
    ///
    /// # Errors
    /// See [`RenameError`].
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), RenameError> {
        let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
        let row = self.any(&from).ok_or(RenameError::NoSuchCommand)?;
        if !to.is_empty() && to != from && self.any(&to).is_some() {
            return Err(RenameError::NameTaken);
        }
        let changed = self.changed.get_or_insert_default();
        changed.insert(from, None);
        if to.is_empty() {
            self.gone.push(row);
        } else {
            changed.insert(to, Some(row));
        }
        Ok(())
    }

    /// The row of this name, missing ones included.
    fn any(&self, name: &[u8]) -> Option<&'static Command> {
        match self.changed.as_ref().and_then(|changed| changed.get(name)) {
            Some(row) => *row,
            None => table::FAMILIES.iter().flat_map(|rows| rows.iter()).find(|row| row.name.as_bytes() == name),
        }
    }

    /// The command of this name in any case, if it exists.
    #[inline]
    pub fn lookup(&self, name: &[u8]) -> Option<&'static Command> {
        match &self.changed {
            None => table::lookup(name),
            Some(changed) => look_up(changed, name),
        }
    }

    /// The command or subcommand of this name, with `|` between parent and child, if it exists.
    pub fn lookup_full(&self, name: &[u8]) -> Option<&'static Command> {
        match name.iter().position(|byte| *byte == b'|') {
            None => self.lookup(name),
            Some(at) => table::lookup_subcommand(self.lookup(&name[..at])?, &name[at + 1..]),
        }
    }

    /// The commands that can be called, without subcommands.
    pub fn existing(&self) -> impl Iterator<Item = &'static Command> + Clone {
        table::existing().filter(|row| !self.gone.iter().any(|gone| std::ptr::eq(*gone, *row)))
    }

    /// The row of a call, with its arity checked.
    ///
    /// # Errors
    /// There is no such command or subcommand, or the number of words does not fit.
    #[inline]
    pub fn resolve(&self, args: &Args<'_>) -> Result<&'static Command, CommandError> {
        match self.find(args) {
            Some(row) if row.accepts(args.len()) => Ok(row),
            Some(row) => Err(CommandError::Arity(row.name.into())),
            None => Err(table::unknown(args, self)),
        }
    }

    /// The row of a call, whatever its arity.
    #[inline]
    pub fn find(&self, args: &Args<'_>) -> Option<&'static Command> {
        let row = if args.is_empty() { None } else { self.lookup(args.get(0)) }?;
        if row.subcommands.is_empty() || args.len() == 1 {
            Some(row)
        } else {
            table::lookup_subcommand(row, args.get(1))
        }
    }
}

#[cold]
fn look_up(changed: &HashMap<Vec<u8>, Option<&'static Command>>, name: &[u8]) -> Option<&'static Command> {
    match changed.get(&name.to_ascii_lowercase()) {
        Some(row) => row.filter(|row| !row.is_missing()),
        None => table::lookup(name),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name_of(names: &Names, name: &str) -> Option<&'static str> {
        names.lookup(name.as_bytes()).map(|row| row.name)
    }

    #[test]
    fn names_are_given_taken_and_swapped() {
        let mut names = Names::default();
        assert_eq!(name_of(&names, "GET"), Some("get"));
        assert_eq!(names.rename(b"nosuch", b"x"), Err(RenameError::NoSuchCommand));
        assert_eq!(names.rename(b"config|set", b"x"), Err(RenameError::NoSuchCommand));
        assert_eq!(names.rename(b"get", b"SET"), Err(RenameError::NameTaken));
        assert_eq!(names.rename(b"get", b"zadd"), Err(RenameError::NameTaken), "a command that is to come");
        assert_eq!(name_of(&names, "get"), Some("get"), "a refusal changes nothing");
        names.rename(b"GET", b"Fetch It").unwrap();
        assert_eq!((name_of(&names, "get"), name_of(&names, "FETCH IT")), (None, Some("get")));
        assert_eq!(names.rename(b"get", b"y"), Err(RenameError::NoSuchCommand));
        names.rename(b"set", b"get").unwrap();
        names.rename(b"fetch it", b"set").unwrap();
        assert_eq!((name_of(&names, "get"), name_of(&names, "set")), (Some("set"), Some("get")));
        names.rename(b"set", b"SET").unwrap();
        assert_eq!(name_of(&names, "Set"), Some("get"));
        let count = names.existing().count();
        names.rename(b"set", b"").unwrap();
        assert_eq!(name_of(&names, "set"), None);
        assert_eq!(names.existing().count(), count - 1);
        assert!(names.existing().all(|row| row.name != "get") && names.existing().any(|row| row.name == "set"));
        names.rename(b"config", b"cfg").unwrap();
        assert_eq!(names.lookup_full(b"CFG|get").unwrap().name, "config|get");
        assert!(names.lookup_full(b"config|get").is_none());
    }

    #[test]
    fn a_command_that_is_to_come_may_be_renamed_already() {
        let missing = table::all().find(|row| row.is_missing() && !row.name.contains('|'));
        let Some(missing) = missing else { return };
        let mut names = Names::default();
        names.rename(missing.name.as_bytes(), b"other").unwrap();
        assert_eq!((name_of(&names, missing.name), name_of(&names, "other")), (None, None));
        assert_eq!(names.rename(b"get", b"other"), Err(RenameError::NameTaken));
        names.rename(b"get", missing.name.as_bytes()).unwrap();
        assert_eq!(name_of(&names, missing.name), Some("get"));
    }
}
