//! COMMANDLOG and SLOWLOG: every core remembers the remarkable calls of its own clients; the answer is made of the newest of
//! all.

use super::{Then, write_help};
use crate::mailbox::letter::{Answer, Question};
use crate::session::Session;
use crate::state::State;
use ringkey_core::command::Admin;
use ringkey_core::number::parse_integer;
use ringkey_core::observe::{LogEntry, LogKind};
use ringkey_core::resp::{Args, CommandError, Reply};
use std::sync::Arc;

const HELP: &[&str] = &[
    "GET <count> <type>",
    "    The newest <count> entries of a type, or all of them for -1. An entry has an id, the time,",
    "    what made it remarkable (type slow: microseconds; large-request and large-reply: bytes),",
    "    the words of the call, the address of the client, and its name.",
    "LEN <type>",
    "    The number of entries of a type.",
    "RESET <type>",
    "    Forget the entries of a type.",
];

const SLOW_HELP: &[&str] = &[
    "GET [<count>]",
    "    The newest <count> slow calls (default: 10), or all of them for -1. An entry has an id, the time,",
    "    the duration in microseconds, the words of the call, the address of the client, and its name.",
    "LEN",
    "    The number of entries.",
    "RESET",
    "    Forget all entries.",
];

/// Entries that SLOWLOG GET shows if nobody says how many.
const DEFAULT_COUNT: usize = 10;

/// What is done with remembered calls.
#[derive(Clone, Copy, Debug)]
pub enum LogOrder {
    /// Tell the newest.
    Get(usize),
    /// Tell how many there are.
    Len,
    /// Forget them.
    Reset,
}

/// Carries out a subcommand of COMMANDLOG or SLOWLOG.
///
/// # Errors
/// An unknown type, a count that is none.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    let (kind, order) = match admin {
        Admin::SlowLogGet => (LogKind::Slow, LogOrder::Get(slow_count(args)?)),
        Admin::SlowLogLen => (LogKind::Slow, LogOrder::Len),
        Admin::SlowLogReset => (LogKind::Slow, LogOrder::Reset),
        Admin::CommandLogGet => {
            let count = parse_count(args.get(2))?;
            (parse_kind(args.get(3))?, LogOrder::Get(count))
        }
        Admin::CommandLogLen => (parse_kind(args.get(2))?, LogOrder::Len),
        Admin::CommandLogReset => (parse_kind(args.get(2))?, LogOrder::Reset),
        Admin::SlowLogHelp => {
            write_help(session, "SLOWLOG", SLOW_HELP);
            return Ok(());
        }
        _ => {
            write_help(session, "COMMANDLOG", HELP);
            return Ok(());
        }
    };
    state.gather_from_all(session, &Question::CommandLog(kind, order), Then::CommandLog(kind, order));
    Ok(())
}

fn slow_count(args: &Args<'_>) -> Result<usize, CommandError> {
    match args.len() {
        2 => Ok(DEFAULT_COUNT),
        3 => parse_count(args.get(2)),
        _ => {
            let name = String::from_utf8_lossy(args.get(1)).into_owned();
            Err(CommandError::owned(format!(
                "unknown subcommand or wrong number of arguments for '{name}'. Try SLOWLOG HELP."
            )))
        }
    }
}

fn parse_count(word: &[u8]) -> Result<usize, CommandError> {
    let count = match parse_integer(word) {
        Some(-1) => Some(usize::MAX),
        count => count.and_then(|count| usize::try_from(count).ok()),
    };
    count.ok_or(CommandError::text("count should be greater than or equal to -1"))
}

fn parse_kind(word: &[u8]) -> Result<LogKind, CommandError> {
    LogKind::find(word)
        .ok_or(CommandError::text("type should be one of the following: slow, large-request, large-reply"))
}

/// What this core remembers, or forgets.
pub fn answer(state: &mut State, kind: LogKind, order: LogOrder) -> Answer {
    let log = &mut state.command_log;
    match order {
        LogOrder::Get(count) => Answer::LogEntries(log.newest(kind, count)),
        LogOrder::Len => Answer::Count(log.len(kind) as u64),
        LogOrder::Reset => {
            log.clear(kind);
            Answer::Done
        }
    }
}

/// Writes what all cores together remember.
pub fn write(state: &State, session: &mut Session, kind: LogKind, order: LogOrder, answers: Vec<(usize, Answer)>) {
    // Each core keeps as many entries as all together may show.
    let most = state.tuning.observed.entries_max[kind as usize];
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    match order {
        LogOrder::Reset => reply.ok(),
        LogOrder::Len => {
            let of = |answer: &Answer| if let Answer::Count(count) = answer { *count } else { 0 };
            let sum: u64 = answers.iter().map(|(_, answer)| of(answer)).sum();
            reply.integer(sum.min(most as u64) as i64);
        }
        LogOrder::Get(count) => {
            let mut entries: Vec<Arc<LogEntry>> = answers
                .into_iter()
                .flat_map(|(_, answer)| if let Answer::LogEntries(entries) = answer { entries } else { Vec::new() })
                .collect();
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
            entries.truncate(count.min(most));
            reply.array(entries.len());
            entries.iter().for_each(|entry| write_entry(&mut reply, entry));
        }
    }
}

fn write_entry(reply: &mut Reply<'_>, entry: &LogEntry) {
    reply.array(6);
    reply.integer(entry.id as i64);
    reply.integer(entry.seconds);
    reply.integer(entry.value as i64);
    reply.array(entry.words.len());
    entry.words.iter().for_each(|word| reply.bulk(word));
    reply.bulk(entry.client.as_bytes());
    reply.bulk(&entry.name);
}
