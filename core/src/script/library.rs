//! Libraries of functions: what their first line says, and the set of all that are loaded.
//!
//! ```text
//! #!lua name=counters
//! server.register_function('bump', function(keys, args) return server.call('INCR', keys[1]) end)
//! ```
//!
//! The set is changed as a whole or not at all: a change makes a new set, or a refusal and nothing else.

use super::source::ScriptFlags;
use crate::resp::CommandError;
use crate::words::split_words;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The engine that libraries are written for, as FUNCTION LIST calls it.
pub const ENGINE: &str = "LUA";

const BAD_LIBRARY_NAME: &str =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";
const BAD_FUNCTION_NAME: &str =
    "Function names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// What the first line of a library says.
#[derive(Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The library's name.
    pub name: String,
    /// What the interpreter gets: all behind that line, from its end on, so that lines keep their numbers. It ends at the
    /// first zero byte.
    pub code: &'a [u8],
}

/// One function of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// By which it is called, in any case.
    pub name: String,
    /// What the library says of it, up to the first zero byte.
    pub description: Option<Vec<u8>>,
    /// Its flags.
    pub flags: ScriptFlags,
}

/// A library, as it was loaded.
#[derive(Debug, PartialEq, Eq)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// All of its source, with the first line.
    pub source: Vec<u8>,
    /// Its functions, as it registered them.
    pub functions: Vec<Function>,
}

/// A function in the set of all libraries.
#[derive(Debug, Clone)]
pub struct Place {
    /// The library.
    pub library: Arc<Library>,
    /// Which of its functions.
    pub index: usize,
}

/// All libraries.
#[derive(Debug, Clone, Default)]
pub struct Libraries {
    by_name: BTreeMap<String, Arc<Library>>,
    /// By names in lower case.
    functions: HashMap<Box<[u8]>, Place>,
    function_count: usize,
}

/// What becomes of the libraries that there are when others come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// They stay, and none may come twice.
    Append,
    /// They give way to those of the same name.
    Replace,
    /// They go.
    Flush,
}

/// A function as the code of a library registers it: nothing of it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its name.
    pub name: Vec<u8>,
    /// What is said of it.
    pub description: Option<Vec<u8>>,
    /// Its flags.
    pub flags: ScriptFlags,
}

/// Reads the first line of a library.
///
/// # Errors
/// It is not understood, or names another engine.
pub fn read(source: &[u8]) -> Result<Header<'_>, CommandError> {
    const INVALID: CommandError = CommandError::text("Invalid library metadata");
    if !source.starts_with(b"#!") {
        return Err(CommandError::text("Missing library metadata"));
    }
    // Texts end at a zero byte, as they do for those who wrote down these rules.
    let end = source.iter().position(|byte| matches!(byte, b'\n' | 0)).filter(|end| source[*end] == b'\n');
    let end = end.ok_or(INVALID)?;
    let words = split_words(&source[..end]).ok_or(INVALID)?;
    let (first, metadata) = words.split_first().ok_or(INVALID)?;
    let engine = &first[2.min(first.len())..];
    let mut name = None;
    for word in metadata {
        let given = word.split_at_checked(5).filter(|(key, _)| key.eq_ignore_ascii_case(b"name="));
        let Some((_, given)) = given else {
            return Err(CommandError::owned(format!("Invalid metadata value given: {}", shown(word))));
        };
        if name.replace(given).is_some() {
            return Err(CommandError::text("Invalid metadata value, name argument was given multiple times"));
        }
    }
    let name = name.ok_or(CommandError::text("Library name was not given"))?;
    let name = checked_name(name).ok_or(CommandError::text(BAD_LIBRARY_NAME))?;
    if !engine.eq_ignore_ascii_case(ENGINE.as_bytes()) {
        return Err(CommandError::owned(format!("Engine '{}' not found", shown(engine))));
    }
    let code = &source[end..];
    Ok(Header { name, code: code.split(|byte| *byte == 0).next().unwrap_or(code) })
}

/// A name that libraries and functions may have.
fn checked_name(name: &[u8]) -> Option<String> {
    let is_right = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_name = !name.is_empty() && name.iter().all(is_right);
    is_name.then(|| String::from_utf8_lossy(name).into_owned())
}

/// A word as an error shows it: up to its first zero byte.
fn shown(word: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(word.split(|byte| *byte == 0).next().unwrap_or(word))
}

impl Library {
    /// A library whose code has been run.
    ///
    /// # Errors
    /// Something is wrong with the functions' names, or there is none.
    pub fn new(name: String, source: &[u8], registered: Vec<Registered>) -> Result<Self, CommandError> {
        let mut functions: Vec<Function> = Vec::with_capacity(registered.len());
        let mut names = std::collections::HashSet::new();
        for Registered { name, description, flags } in registered {
            let name = checked_name(&name).ok_or(CommandError::text(BAD_FUNCTION_NAME))?;
            if !names.insert(name.clone()) {
                return Err(CommandError::text("Function already exists in the library"));
            }
            let description = description.map(|text| text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
            functions.push(Function { name, description, flags });
        }
        if functions.is_empty() {
            return Err(CommandError::text("No functions registered"));
        }
        Ok(Self { name, source: source.to_vec(), functions })
    }
}

impl Libraries {
    /// All of them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    /// How many functions there are.
    pub fn function_count(&self) -> usize {
        self.function_count
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The library of that name.
    pub fn library(&self, name: &str) -> Option<&Arc<Library>> {
        self.by_name.get(name)
    }

    /// The function that is called by this name, in any case.
    pub fn function(&self, name: &[u8]) -> Option<&Place> {
        match name.iter().any(u8::is_ascii_uppercase) {
            true => self.functions.get(&name.to_ascii_lowercase()[..]),
            false => self.functions.get(name),
        }
    }

    /// May a library of this name be loaded?
    ///
    /// # Errors
    /// There is one that is not to be replaced.
    pub fn check_name(&self, name: &str, replaces: bool) -> Result<(), CommandError> {
        match self.by_name.contains_key(name) && !replaces {
            true => Err(CommandError::owned(format!("Library '{name}' already exists"))),
            false => Ok(()),
        }
    }

    /// With one more library.
    ///
    /// # Errors
    /// There is one of that name that is not to be replaced, or another has a function of the same name.
    pub fn with(&self, library: Library, replaces: bool) -> Result<Self, CommandError> {
        let mut changed = self.clone();
        changed.add(library, replaces)?;
        Ok(changed)
    }

    /// Adds one more library, where nobody sees what is left behind a refusal.
    ///
    /// # Errors
    /// As [`Libraries::with`].
    pub fn add(&mut self, library: Library, replaces: bool) -> Result<(), CommandError> {
        self.check_name(&library.name, replaces)?;
        self.remove(&library.name);
        self.check_functions(&library)?;
        self.insert(Arc::new(library));
        Ok(())
    }

    /// Without the library of that name; nothing if there is none.
    pub fn without(&self, name: &str) -> Option<Self> {
        let mut changed = self.clone();
        changed.remove(name).then_some(changed)
    }

    /// Together with others.
    ///
    /// # Errors
    /// Names of libraries or of functions are in both.
    pub fn joined(&self, others: &Self, join: Join) -> Result<Self, CommandError> {
        let mut all = match join {
            Join::Flush => Self::default(),
            Join::Append | Join::Replace => self.clone(),
        };
        for library in others.iter() {
            if all.remove(&library.name) && join == Join::Append {
                return Err(CommandError::owned(format!("Library {} already exists", library.name)));
            }
        }
        others.iter().try_for_each(|library| all.check_functions(library))?;
        others.iter().for_each(|library| all.insert(Arc::clone(library)));
        Ok(all)
    }

    fn check_functions(&self, library: &Library) -> Result<(), CommandError> {
        match library.functions.iter().find(|function| self.function(function.name.as_bytes()).is_some()) {
            Some(function) => Err(CommandError::owned(format!("Function {} already exists", function.name))),
            None => Ok(()),
        }
    }

    fn insert(&mut self, library: Arc<Library>) {
        for (index, function) in library.functions.iter().enumerate() {
            // Of those whose names differ in case only, the first is called.
            let name = function.name.to_ascii_lowercase().into_bytes().into_boxed_slice();
            self.functions.entry(name).or_insert_with(|| Place { library: Arc::clone(&library), index });
        }
        self.function_count += library.functions.len();
        self.by_name.insert(library.name.clone(), library);
    }

    fn remove(&mut self, name: &str) -> bool {
        let Some(library) = self.by_name.remove(name) else { return false };
        for function in &library.functions {
            self.functions.remove(function.name.to_ascii_lowercase().as_bytes());
        }
        self.function_count -= library.functions.len();
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn refusal(source: &[u8]) -> String {
        read(source).unwrap_err().to_string()
    }

    fn library(name: &str, functions: &[&str]) -> Library {
        let registered =
            |name: &&str| Registered { name: name.as_bytes().to_vec(), description: None, flags: ScriptFlags::NONE };
        Library::new(name.to_owned(), b"source", functions.iter().map(registered).collect()).unwrap()
    }

    fn names(libraries: &Libraries) -> Vec<&str> {
        libraries.iter().map(|library| &library.name[..]).collect()
    }

    #[test]
    fn the_first_line_names_the_library() {
        let header = read(b"#!lua name=x\nreturn 1\n2").unwrap();
        assert_eq!(header, Header { name: "x".to_owned(), code: b"\nreturn 1\n2" });
        for (line, name) in [
            ("#!LUA NAME=ab", "ab"),
            ("#!lua\tname=tt\r", "tt"),
            ("#!lua 'name=a_1'  ", "a_1"),
            ("#!lua name=\"t\\x41\"", "tA"),
            ("#!l\"u\"a name=_", "_"),
        ] {
            assert_eq!(read(format!("{line}\n").as_bytes()).unwrap().name, name);
        }
        assert_eq!(read(b"#!lua name=x\nab\0cd").unwrap().code, b"\nab");
    }

    #[test]
    fn a_first_line_that_is_wrong_is_refused() {
        for source in [&b""[..], b"return 1", b"\x1bLua", b" #!lua name=x\n", b"#"] {
            assert_eq!(refusal(source), "Missing library metadata");
        }
        for source in [&b"#!"[..], b"#!lua name=x", b"#!lua name=\"a\n", b"#!lua name=a\0b\n"] {
            assert_eq!(refusal(source), "Invalid library metadata");
        }
        assert_eq!(refusal(b"#!\n"), "Library name was not given");
        assert_eq!(refusal(b"#!foo\n"), "Library name was not given");
        assert_eq!(refusal(b"#! lua name=a\n"), "Invalid metadata value given: lua");
        assert_eq!(refusal(b"#!lua name=a flags=x\n"), "Invalid metadata value given: flags=x");
        assert_eq!(refusal(b"#!lua b=\"x\\x00y\"\n"), "Invalid metadata value given: b=x");
        let twice = "Invalid metadata value, name argument was given multiple times";
        assert_eq!(refusal(b"#!lua name=a name=b foo\n"), twice);
        assert_eq!(refusal(b"#!foo name=ab\n"), "Engine 'foo' not found");
        assert_eq!(refusal(b"# !lua name=ab\n"), "Missing library metadata");
        for name in ["", "a-b", "a\"\\x00\"b", "\u{e4}", "a.b"] {
            assert_eq!(refusal(format!("#!lua name={name}\n").as_bytes()), BAD_LIBRARY_NAME);
        }
    }

    #[test]
    fn functions_need_names_that_are_right() {
        let registered = |name: &str| Registered {
            name: name.as_bytes().to_vec(),
            description: None,
            flags: ScriptFlags::NO_WRITES,
        };
        let refusal = |names: &[&str]| {
            let all = names.iter().map(|name| registered(name)).collect();
            Library::new("x".to_owned(), b"", all).unwrap_err().to_string()
        };
        assert_eq!(refusal(&[]), "No functions registered");
        assert_eq!(refusal(&["a", ""]), BAD_FUNCTION_NAME);
        assert_eq!(refusal(&["a", "b c", "a"]), BAD_FUNCTION_NAME);
        assert_eq!(refusal(&["a", "a", "b c"]), "Function already exists in the library");
    }

    #[test]
    fn a_function_is_called_in_any_case_and_the_first_of_two_wins() {
        let all = Libraries::default().with(library("x", &["a", "A", "Bc"]), false).unwrap();
        assert_eq!((all.function(b"A").unwrap().index, all.function(b"a").unwrap().index), (0, 0));
        assert_eq!(all.function(b"bC").unwrap().index, 2);
        assert_eq!(all.function_count(), 3);
        let none = all.without("x").unwrap();
        assert!(none.is_empty() && none.function(b"a").is_none() && none.function_count() == 0);
    }

    #[test]
    fn what_collides_is_refused_and_nothing_changes() {
        let all = Libraries::default().with(library("x", &["a"]), false).unwrap();
        let refused = |library, replaces| all.with(library, replaces).unwrap_err().to_string();
        assert_eq!(refused(library("x", &["b"]), false), "Library 'x' already exists");
        assert_eq!(refused(library("y", &["c", "A"]), true), "Function A already exists");
        assert_eq!(names(&all.with(library("X", &["c"]), false).unwrap()), ["X", "x"]);
        let replaced = all.with(library("x", &["b"]), true).unwrap();
        assert!(replaced.function(b"a").is_none() && replaced.function(b"b").is_some());
        assert!(all.without("X").is_none());
    }

    #[test]
    fn sets_join_as_they_are_told() {
        let mine = Libraries::default().with(library("x", &["a"]), false).unwrap();
        let mine = mine.with(library("y", &["b"]), false).unwrap();
        let others = Libraries::default().with(library("x", &["c"]), false).unwrap();
        let refused = |others: &Libraries, join| mine.joined(others, join).unwrap_err().to_string();
        assert_eq!(refused(&others, Join::Append), "Library x already exists");
        assert_eq!(names(&mine.joined(&others, Join::Replace).unwrap()), ["x", "y"]);
        assert_eq!(names(&mine.joined(&others, Join::Flush).unwrap()), ["x"]);
        let colliding = others.with(library("z", &["B"]), false).unwrap();
        assert_eq!(refused(&colliding, Join::Replace), "Function B already exists");
    }

    proptest! {
        #[test]
        fn any_first_line_is_read(source in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut line = b"#!".to_vec();
            line.extend_from_slice(&source);
            if let Ok(header) = read(&line) {
                prop_assert!(header.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
            }
        }

        /// A list of libraries with their functions is the model.
        #[test]
        fn the_set_is_as_a_list_of_libraries(
            steps in proptest::collection::vec((0..3u8, 0..4usize, proptest::collection::vec(0..6usize, 1..3)), 0..40)
        ) {
            const NAMES: [&str; 6] = ["a", "B", "b", "c", "d", "D"];
            let (mut all, mut model) = (Libraries::default(), Vec::<(&str, Vec<&str>)>::new());
            for (step, name, mut functions) in steps {
                functions.dedup();
                let (name, wanted) = (NAMES[name], functions.iter().map(|index| NAMES[*index]).collect::<Vec<_>>());
                if step == 0 {
                    let known = model.iter().position(|(one, _)| *one == name);
                    prop_assert_eq!(all.without(name).is_some(), known.is_some());
                    all = all.without(name).unwrap_or(all);
                    known.map(|at| model.remove(at));
                    continue;
                }
                let rest: Vec<_> = model.iter().filter(|(one, _)| *one != name).cloned().collect();
                let collides = |function: &&&str| {
                    rest.iter().flat_map(|one| &one.1).any(|other| other.eq_ignore_ascii_case(function))
                };
                let is_free = rest.len() == model.len() || step == 2;
                let fits = is_free && !wanted.iter().any(|function| collides(&function));
                match all.with(library(name, &wanted), step == 2) {
                    Ok(changed) => {
                        prop_assert!(fits);
                        all = changed;
                        model = rest;
                        model.push((name, wanted));
                    }
                    Err(_) => prop_assert!(!fits),
                }
                prop_assert_eq!(all.function_count(), model.iter().map(|one| one.1.len()).sum::<usize>());
                for name in NAMES {
                    let owner = model.iter().find(|one| one.1.iter().any(|other| other.eq_ignore_ascii_case(name)));
                    let found = all.function(name.as_bytes());
                    prop_assert_eq!(found.map(|place| &place.library.name[..]), owner.map(|one| one.0));
                }
            }
        }
    }
}
