//! Clients that debug scripts ([`crate::script::debugger`]): the session's part of the dialogue.
//!
//! A script that is debugged runs on the core of its client, over the data of all shards, which stays there until it ends. While it has
//! stopped, it waits as one that takes long and is not gone on with before its client wants something, or leaves.

use crate::dispatch::Done;
use crate::script::debugger::{self, Debugger, Mode};
use crate::session::{Closing, Parsed, Session};
use crate::state::{Later, State};
use ringkey_core::command::Command;
use ringkey_core::resp::{Args, CommandError, Request};
use ringkey_core::script::source::Sha;
use ringkey_core::settings::Setting;

/// A script that does not stop for so long is stopped, in milliseconds, where `busy-reply-threshold` says nothing.
const PATIENCE_MS: u64 = 5000;

/// SCRIPT DEBUG: which debugger is wanted, if any.
///
/// # Errors
/// The words are not understood.
fn wanted(args: &Args<'_>) -> Result<Option<Mode>, CommandError> {
    if args.len() > 4 {
        let word = String::from_utf8_lossy(args.get(1));
        return Err(CommandError::owned(format!(
            "unknown subcommand or wrong number of arguments for '{word}'. Try SCRIPT HELP."
        )));
    }
    if args.len() == 4 && !args.get(3).eq_ignore_ascii_case(b"lua") {
        let name = String::from_utf8_lossy(args.get(3));
        return Err(CommandError::owned(format!("No scripting engine found with name '{name}' to enable debug")));
    }
    match args.get(2).to_ascii_lowercase().as_slice() {
        b"no" => Ok(None),
        b"yes" => Ok(Some(Mode::RolledBack)),
        b"sync" => Ok(Some(Mode::Kept)),
        _ => Err(CommandError::text("Use SCRIPT DEBUG YES/SYNC/NO")),
    }
}

/// SCRIPT DEBUG.
///
/// # Errors
/// The words are not understood, or other replies are still to be sent.
pub fn choose(session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    if session.output.unsent() > 0 {
        return Err(CommandError::text("SCRIPT DEBUG must be called outside a pipeline"));
    }
    let mode = wanted(args)?;
    match mode {
        Some(mode) => debugger::enable(session.id, mode),
        None => debugger::disable(session.id),
    }
    session.is_debugging = mode.is_some();
    Ok(())
}

fn is_by_name(row: &Command) -> bool {
    matches!(row.name, "evalsha" | "evalsha_ro")
}

/// Is this call of a client that debugs one of a script? Functions are not debugged.
pub fn concerns(row: &Command, args: &Args<'_>) -> bool {
    matches!(row.name, "eval" | "eval_ro") || is_by_name(row) && args.get(1).len() == Sha::LEN
}

/// A session has ended.
pub fn forget(session: &Session) {
    if session.is_debugging {
        debugger::disable(session.id);
    }
}

impl State {
    /// A client that debugs calls a script.
    pub fn debug(&mut self, session: &mut Session, parsed: &Parsed, row: &'static Command, input: &[u8]) -> Done {
        const BY_NAME: CommandError = CommandError::text("Please use EVAL instead of EVALSHA for debugging");
        if is_by_name(row) {
            return self.refuse(session, parsed, &BY_NAME, input);
        }
        let threshold = u64::try_from(self.settings.int(Setting::BusyReplyThreshold)).unwrap_or(0);
        let patience_ms = if threshold > 0 { threshold } else { PATIENCE_MS };
        let request = session.take_request(parsed, input);
        debugger::with(session.id, |debugger| debugger.start(request.args().get(1), patience_ms));
        session.note_command(row);
        self.statistics.commands += 1;
        session.tracked.leaves(row);
        self.let_go();
        self.gather_everything(session, row, request);
        Done::Stop
    }

    /// The script of the session at `index` was interrupted: it is gone on with in the next pass, or when its client wants that.
    pub fn go_on_later(&mut self, index: u32) {
        if let Some(session) = self.sessions[index as usize].as_deref_mut()
            && session.is_debugging
            && let Some((waits, out)) = debugger::with(session.id, |debugger| (debugger.waits(), debugger.take_out()))
        {
            session.output.pending.bytes.extend_from_slice(&out);
            self.dirty.push(index);
            if waits {
                self.debugged = Some(index);
                return;
            }
        }
        self.later.push_back(Later::Script(index));
    }

    /// Has the client whose script has stopped here said how it is to go on? Once a pass.
    #[inline]
    pub fn check_debugged(&mut self) {
        if let Some(index) = self.debugged {
            self.hear_debugged(index);
        }
    }

    #[cold]
    fn hear_debugged(&mut self, index: u32) {
        let Some(mut session) = self.sessions[index as usize].take() else { return self.debugged = None };
        let order = if session.closing == Closing::No { self.next_order(&mut session) } else { None };
        let waits = debugger::with(session.id, |debugger| {
            let has_left = session.closing != Closing::No || session.is_deaf;
            match order {
                Some(order) => debugger.order(order),
                None if session.breach.take().is_some() => debugger.break_off(),
                None if has_left => debugger.leave(),
                None => {}
            }
            debugger.waits()
        });
        self.sessions[index as usize] = Some(session);
        if waits != Some(true) {
            self.debugged = None;
            self.later.push_back(Later::Script(index));
        }
    }

    /// The next request of a session whose script has stopped.
    fn next_order(&mut self, session: &mut Session) -> Option<Request> {
        let mut input = std::mem::take(&mut session.input);
        let start = session.input_start;
        let mut end = input.len();
        if session.next_parsed == session.parsed.len() {
            session.parsed.clear();
            session.spans.clear();
            session.next_parsed = 0;
            end = start + self.parse_ahead(session, &input[start..]);
        }
        let order = session.parsed.get(session.next_parsed).copied().map(|parsed| {
            let request = session.take_request(&parsed, &input[start..]);
            session.consume(parsed.end);
            session.input_start += parsed.end;
            request
        });
        input.truncate(end);
        session.input = input;
        session.compact_input();
        order
    }

    /// The script of a session is over: if it was debugged, the client hears that before the reply, and behind that the connection ends.
    pub fn end_debugging(&mut self, session: &mut Session) {
        let finish = |debugger: &mut Debugger| {
            debugger.has_begun().then(|| {
                debugger.finish();
                debugger.take_out()
            })
        };
        let Some(out) = debugger::with(session.id, finish).flatten() else { return };
        session.output.pending.bytes.extend_from_slice(&out);
        session.is_debugging = false;
        debugger::disable(session.id);
        if session.closing == Closing::No {
            session.closing = Closing::AfterReplies;
        }
    }
}
