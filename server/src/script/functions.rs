//! Libraries of functions, as all cores share them.
//!
//! All of them are one value that is never changed: whoever changes something puts another in its place, under a lock, so that
//! all cores see every change whole and from the same moment on. A core looks at the epoch when it is about to call a
//! function; where that has moved, it takes the set of now, and compiles what it calls.

pub mod fcall;
pub mod load;

use super::registry::{FunctionFigures, Registry};
use ringkey_core::resp::CommandError;
use ringkey_core::script::library::{self, Join, Libraries, Library};
use ringkey_storage::functions::{self as payload, Refused, Rules};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Where the libraries stand.
#[derive(Debug, Default)]
pub struct Shelf(RwLock<Arc<Libraries>>);

/// Why a payload did not become libraries.
struct Failed(CommandError);

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self(CommandError::owned(refused.to_string()))
    }
}

impl Registry {
    /// The libraries of now.
    pub fn libraries(&self) -> Arc<Libraries> {
        Arc::clone(&self.shelf.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a library of its source and adds it; returns its name. Takes as long as its code runs.
    ///
    /// # Errors
    /// The source is wrong, its code fails, or names are taken.
    pub fn load_library(&self, source: &[u8], replaces: bool) -> Result<String, CommandError> {
        let header = library::read(source)?;
        self.libraries().check_name(&header.name, replaces)?;
        let library = made(header, source, load::LOAD_LIMIT)?;
        let name = library.name.clone();
        self.change_libraries(|libraries| libraries.with(library, replaces))?;
        Ok(name)
    }

    /// Removes the library of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn delete_library(&self, name: &[u8]) -> Result<(), CommandError> {
        const MISSING: CommandError = CommandError::text("Library not found");
        let name = str::from_utf8(name).map_err(|_| MISSING)?;
        self.change_libraries(|libraries| libraries.without(name).ok_or(MISSING))
    }

    /// Removes all libraries.
    pub fn flush_libraries(&self) {
        let _ = self.change_libraries(|_| Ok(Libraries::default()));
    }

    /// The payload that brings all libraries back.
    pub fn dump_libraries(&self, compresses: bool) -> Vec<u8> {
        payload::dump(self.libraries().iter().map(|library| &library.source[..]), compresses)
    }

    /// Brings the libraries of a payload back, all or none. Takes as long as their code runs.
    ///
    /// # Errors
    /// The payload is wrong, one of its libraries is, or names are taken.
    pub fn restore_libraries(&self, payload: &[u8], rules: Rules, join: Join) -> Result<(), CommandError> {
        let mut restored = Libraries::default();
        payload::restore(payload, rules, |source| {
            let header = library::read(source).map_err(Failed)?;
            restored.check_name(&header.name, false).map_err(Failed)?;
            let library = made(header, source, load::RESTORE_LIMIT).map_err(Failed)?;
            restored.add(library, false).map_err(Failed)
        })
        .map_err(|Failed(error)| error)?;
        self.change_libraries(|libraries| libraries.joined(&restored, join))
    }

    /// Puts another set in the place of that of now, for all cores at once.
    fn change_libraries(
        &self,
        change: impl FnOnce(&Libraries) -> Result<Libraries, CommandError>,
    ) -> Result<(), CommandError> {
        let mut libraries = self.shelf.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = Arc::new(change(&libraries)?);
        self.set_functions(FunctionFigures {
            libraries: changed.iter().len() as u64,
            functions: changed.function_count() as u64,
            bytes: changed.iter().map(|library| bytes_of(library) as u64).sum(),
        });
        let old = std::mem::replace(&mut *libraries, changed);
        // Who sees the new epoch finds the new set.
        self.move_epoch();
        drop(libraries);
        drop(old);
        Ok(())
    }
}

/// Runs the code of a library.
fn made(header: library::Header<'_>, source: &[u8], limit: Duration) -> Result<Library, CommandError> {
    let registered = load::run(header.code, limit)?;
    Library::new(header.name, source, registered)
}

/// What a library takes, in bytes.
fn bytes_of(library: &Library) -> usize {
    let functions = library.functions.iter().map(|function| {
        let texts = 3 * function.name.len() + function.description.as_ref().map_or(0, Vec::len);
        texts + size_of::<library::Function>() + size_of::<library::Place>() + size_of::<Box<[u8]>>()
    });
    size_of::<Library>() + 2 * library.name.len() + library.source.len() + functions.sum::<usize>()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(name: &str, functions: &str) -> Vec<u8> {
        let register = |name| format!("server.register_function('{name}', function() return 1 end)\n");
        let all: String = functions.split(' ').map(register).collect();
        format!("#!lua name={name}\n{all}").into_bytes()
    }

    fn names(registry: &Registry) -> Vec<String> {
        registry.libraries().iter().map(|library| library.name.clone()).collect()
    }

    #[test]
    fn a_change_moves_the_epoch_and_a_refusal_does_not() {
        let registry = Registry::default();
        assert_eq!(registry.load_library(&source("x", "a b"), false), Ok("x".to_owned()));
        let epoch = registry.epoch();
        assert_eq!(registry.figures().functions.functions, 2);
        for refused in [source("x", "c"), source("y", "B"), source("y", "a-b"), b"#!lua name=y\nz()".to_vec()] {
            assert!(registry.load_library(&refused, false).is_err());
        }
        assert!(registry.delete_library(b"X").is_err() && registry.delete_library(b"\xff").is_err());
        assert_eq!((registry.epoch(), names(&registry)), (epoch, vec!["x".to_owned()]));
        registry.load_library(&source("x", "c"), true).unwrap();
        assert_ne!(registry.epoch(), epoch);
        assert_eq!(registry.figures().functions.functions, 1);
        registry.delete_library(b"x").unwrap();
        assert!(registry.libraries().is_empty());
        assert_eq!(registry.figures().functions, FunctionFigures::default());
    }

    #[test]
    fn what_was_dumped_comes_back_whole_or_not_at_all() {
        let registry = Registry::default();
        registry.load_library(&source("x", "a"), false).unwrap();
        registry.load_library(&source("y", "b"), false).unwrap();
        let restore = |payload: &[u8], join| registry.restore_libraries(payload, Rules::default(), join);
        let payload = registry.dump_libraries(true);
        registry.delete_library(b"y").unwrap();
        assert_eq!(restore(&payload, Join::Append).unwrap_err().to_string(), "Library x already exists");
        assert_eq!(names(&registry), ["x"]);
        restore(&payload, Join::Replace).unwrap();
        assert_eq!(names(&registry), ["x", "y"]);
        registry.flush_libraries();
        registry.load_library(&source("z", "A"), false).unwrap();
        assert_eq!(restore(&payload, Join::Replace).unwrap_err().to_string(), "Function a already exists");
        restore(&payload, Join::Flush).unwrap();
        assert_eq!(names(&registry), ["x", "y"]);
        let broken = payload::dump([&source("q", "q")[..], b"#!lua name=r\nz()"].into_iter(), true);
        assert!(restore(&broken, Join::Append).unwrap_err().to_string().starts_with("Error registering functions"));
        let twice = payload::dump([&source("q", "q")[..], &source("q", "r")].into_iter(), true);
        assert_eq!(restore(&twice, Join::Flush).unwrap_err().to_string(), "Library 'q' already exists");
        assert_eq!(restore(b"x", Join::Flush).unwrap_err().to_string(), "DUMP payload version or checksum are wrong");
        assert_eq!(names(&registry), ["x", "y"]);
    }

    #[test]
    fn changes_at_once_are_one_after_the_other() {
        let registry = Registry::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let registry = &registry;
                scope.spawn(move || {
                    for number in 0..5 {
                        let name = format!("l{thread}_{number}");
                        registry.load_library(&source(&name, &name), false).unwrap();
                    }
                });
            }
        });
        assert_eq!(names(&registry).len(), 20);
        assert_eq!(registry.figures().functions.functions, 20);
    }
}
