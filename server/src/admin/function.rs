//! FUNCTION: libraries of functions, which all cores share.
//!
//! Their code is run when they come, on the thread for slow work: no core waits for it.

use super::{Then, write_help};
use crate::listen;
use crate::mailbox::letter::{Answer, Question};
use crate::script::registry::{Registry, Running, busy};
use crate::session::Session;
use crate::state::State;
use ringkey_core::command::Admin;
use ringkey_core::glob::glob_match;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::script::library::{ENGINE, Function, Join, Library};
use ringkey_core::settings::Setting;
use ringkey_storage::functions::Rules;
use std::sync::Arc;
use std::time::Duration;

const HELP: &[&str] = &[
    "DELETE <library-name>",
    "    Removes a library with its functions.",
    "DUMP",
    "    All libraries as bytes that RESTORE understands.",
    "FLUSH [ASYNC|SYNC]",
    "    Removes all libraries.",
    "KILL",
    "    Stops the functions that run for long, unless they have written.",
    "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
    "    The libraries whose names match, with their functions and, if wanted, their source.",
    "LOAD [REPLACE] <source>",
    "    Makes a library of its source, whose first line is '#!lua name=<library-name>'.",
    "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
    "    Brings the libraries of DUMP back: beside those that there are (APPEND, the default), in the place of those of",
    "    the same name (REPLACE), or in the place of all (FLUSH). If names are taken, nothing is changed.",
    "STATS",
    "    The function that runs for long now, if there is one, and the number of libraries and functions.",
];

/// A change of the libraries that runs code.
#[derive(Clone, Debug)]
pub enum LibraryOrder {
    /// FUNCTION LOAD
    Load {
        /// The source.
        source: Arc<[u8]>,
        /// May it take the place of another?
        replaces: bool,
    },
    /// FUNCTION RESTORE
    Restore {
        /// What FUNCTION DUMP wrote.
        payload: Arc<[u8]>,
        /// What becomes of those that there are.
        join: Join,
        /// What of the payload's foot does not matter.
        rules: Rules,
    },
}

impl LibraryOrder {
    fn carry_out(self, registry: &Registry) -> Answer {
        let done = match self {
            Self::Load { source, replaces } => registry.load_library(&source, replaces).map(Answer::Text),
            Self::Restore { payload, join, rules } => {
                registry.restore_libraries(&payload, rules, join).map(|()| Answer::Done)
            }
        };
        done.unwrap_or_else(Answer::Refused)
    }
}

/// Carries out a subcommand of FUNCTION.
///
/// # Errors
/// The refusal; nothing was written.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    let registry = Arc::clone(&state.process.scripts);
    match admin {
        Admin::FunctionLoad => {
            let order = parse_load(args)?;
            change(state, session, order, Then::Name);
            return Ok(());
        }
        Admin::FunctionRestore => {
            let rules = &state.site.rules;
            let rules = Rules { any_version: rules.any_version, skips_checksum: rules.skips_checksum };
            let order = parse_restore(args, rules)?;
            change(state, session, order, Then::Ok);
            return Ok(());
        }
        Admin::FunctionList => {
            let wanted = Wanted::parse(args)?;
            return list(&registry, session, &wanted);
        }
        Admin::FunctionStats => return stats(state, &registry, session),
        Admin::FunctionHelp => {
            write_help(session, "FUNCTION", HELP);
            return Ok(());
        }
        Admin::FunctionDump => {
            let payload = registry.dump_libraries(state.site.rules.compresses);
            Reply::new(&mut session.output.pending, session.protocol).bulk_shared(&payload.into());
            return Ok(());
        }
        Admin::FunctionDelete => registry.delete_library(args.get(2))?,
        Admin::FunctionKill => registry.kill(true, patience(state))?,
        _ => {
            parse_flush(args)?;
            registry.flush_libraries();
        }
    }
    Reply::new(&mut session.output.pending, session.protocol).ok();
    Ok(())
}

fn parse_load(args: &Args<'_>) -> Result<LibraryOrder, CommandError> {
    let options = 2..args.len() - 1;
    let replaces = !options.is_empty();
    for index in options {
        if !args.get(index).eq_ignore_ascii_case(b"replace") {
            return Err(CommandError::owned(format!("Unknown option given: {}", shown(args.get(index)))));
        }
    }
    Ok(LibraryOrder::Load { source: args.get(args.len() - 1).into(), replaces })
}

fn parse_restore(args: &Args<'_>, rules: Rules) -> Result<LibraryOrder, CommandError> {
    let join = match args.len() {
        3 => Join::Append,
        4 => match &args.get(3).to_ascii_lowercase()[..] {
            b"append" => Join::Append,
            b"replace" => Join::Replace,
            b"flush" => Join::Flush,
            _ => {
                return Err(CommandError::text(
                    "Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
                ));
            }
        },
        _ => return Err(wrong_arguments(args)),
    };
    Ok(LibraryOrder::Restore { payload: args.get(2).into(), join, rules })
}

fn parse_flush(args: &Args<'_>) -> Result<(), CommandError> {
    match args.len() {
        2 => Ok(()),
        3 if [&b"sync"[..], b"async"].iter().any(|word| args.get(2).eq_ignore_ascii_case(word)) => Ok(()),
        3 => Err(CommandError::text("FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => Err(wrong_arguments(args)),
    }
}

fn wrong_arguments(args: &Args<'_>) -> CommandError {
    let name = shown(args.get(1));
    CommandError::owned(format!("unknown subcommand or wrong number of arguments for '{name}'. Try FUNCTION HELP."))
}

/// A word as an error shows it: up to its first zero byte.
fn shown(word: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(word.split(|byte| *byte == 0).next().unwrap_or(word))
}

/// Has core 0 see to a change.
fn change(state: &mut State, session: &mut Session, order: LibraryOrder, then: Then) {
    state.gather_answers(session, [0], &Question::ChangeLibraries(order), then);
}

/// Hands a change over to the thread for slow work (core 0 only); whoever asked hears of its end.
///
/// # Errors
/// There is nobody to do it.
pub fn hand_over(state: &mut State, from: Option<usize>, ticket: u64, order: LibraryOrder) -> Result<(), CommandError> {
    let registry = Arc::clone(&state.process.scripts);
    let work = move || order.carry_out(&registry);
    let given = match &mut state.aside {
        Some(aside) => aside.give((from, ticket), work),
        None => Err(std::io::ErrorKind::NotFound.into()),
    };
    given.map_err(|error| CommandError::owned(format!("Cannot load functions: {}", listen::plain(&error))))
}

/// What FUNCTION LIST is to tell.
struct Wanted<'a> {
    pattern: Option<&'a [u8]>,
    with_source: bool,
}

impl<'a> Wanted<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut wanted = Self { pattern: None, with_source: false };
        let mut index = 2;
        while index < args.len() {
            let word = args.get(index);
            if !wanted.with_source && word.eq_ignore_ascii_case(b"withcode") {
                wanted.with_source = true;
            } else if wanted.pattern.is_none() && word.eq_ignore_ascii_case(b"libraryname") {
                index += 1;
                if index == args.len() {
                    return Err(CommandError::text("library name argument was not given"));
                }
                wanted.pattern = Some(args.get(index));
            } else {
                return Err(CommandError::owned(format!("Unknown argument {}", shown(word))));
            }
            index += 1;
        }
        Ok(wanted)
    }
}

fn list(registry: &Registry, session: &mut Session, wanted: &Wanted<'_>) -> Result<(), CommandError> {
    let libraries = registry.libraries();
    let matches = |library: &&Arc<Library>| {
        wanted.pattern.is_none_or(|pattern| glob_match(pattern, library.name.as_bytes(), true))
    };
    let found: Vec<_> = libraries.iter().filter(matches).collect();
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.array(found.len());
    for library in found {
        reply.map(if wanted.with_source { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(library.name.as_bytes());
        reply.bulk(b"engine");
        reply.bulk(ENGINE.as_bytes());
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        library.functions.iter().for_each(|function| write_function(&mut reply, function));
        if wanted.with_source {
            reply.bulk(b"library_code");
            reply.bulk(&library.source);
        }
    }
    Ok(())
}

fn write_function(reply: &mut Reply<'_>, function: &Function) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(function.name.as_bytes());
    reply.bulk(b"description");
    match &function.description {
        Some(description) => reply.bulk(description),
        None => reply.null(),
    }
    reply.bulk(b"flags");
    reply.set(function.flags.words().count());
    function.flags.words().for_each(|word| reply.simple(word));
}

/// `busy-reply-threshold`
fn patience(state: &State) -> Duration {
    Duration::from_millis(state.settings.int(Setting::BusyReplyThreshold).max(0) as u64)
}

fn stats(state: &State, registry: &Registry, session: &mut Session) -> Result<(), CommandError> {
    let running = registry.running();
    let function = running.iter().find(|running| running.is_function);
    let is_late = |running: &Arc<Running>| running.began.elapsed() >= patience(state);
    if function.is_none() && running.iter().any(is_late) {
        return Err(busy(false));
    }
    let libraries = registry.libraries();
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.map(2);
    reply.bulk(b"running_script");
    match function {
        Some(function) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&function.name);
            reply.bulk(b"command");
            reply.array(function.words.len());
            function.words.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            reply.integer(function.began.elapsed().as_millis() as i64);
        }
        None => reply.null(),
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(ENGINE.as_bytes());
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.integer(libraries.iter().len() as i64);
    reply.bulk(b"functions_count");
    reply.integer(libraries.function_count() as i64);
    Ok(())
}
