//! CLIENT and its subcommands.

pub mod eviction;
pub mod filter;
pub mod pause;
pub mod walk;

use super::{Then, write_help};
use crate::blocking::Ending;
use crate::mailbox::letter::{Answer, Question};
use crate::session::view::Asker;
use crate::session::{ReplyMode, Session};
use crate::state::State;
use crate::tracking::setup;
pub use filter::{ClientFilter, ClientKind};
use pause::Pause;
use ringkey_core::command::Admin;
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::settings::Setting;
use ringkey_core::units::Millis;
use walk::{Deed, Task};

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Say whether the keys of the next command are tracked, with OPTIN or OPTOUT.",
    "CAPA <option> [<option> ...]",
    "    Say what this connection can handle: REDIRECT (it follows redirections to another server).",
    "GETNAME",
    "    The name of this connection.",
    "GETREDIR",
    "    The id of the connection that hears of stale keys in place of this one.",
    "ID",
    "    The id of this connection.",
    "IMPORT-SOURCE (ON|OFF)",
    "    Mark this connection as one that fills a server in import mode: it sees expired keys.",
    "INFO",
    "    One line about this connection.",
    "KILL <ip:port>",
    "    Close the connection from this address.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close all connections that fit the options, which are those of LIST.",
    "    SKIPME (YES|NO) says whether this connection is spared (default: yes).",
    "LIST [options ...]",
    "    A line about each connection that fits all options: ID <id> [<id> ...], TYPE (NORMAL|PRIMARY|REPLICA|PUBSUB),",
    "    USER <name>, ADDR <ip:port>, LADDR <ip:port>, IP <ip>, NAME <name>, LIB-NAME <name>, LIB-VER <version>,",
    "    DB <index>, FLAGS <flags>, CAPA <capa>, each also as NOT-ID, NOT-TYPE, ...; IDLE <seconds>, MAXAGE <seconds>,",
    "    SKIPME (YES|NO).",
    "NO-EVICT (ON|OFF)",
    "    Protect this connection from being closed when memory for clients is short.",
    "NO-TOUCH (ON|OFF)",
    "    Have commands of this connection leave access times alone.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Hold back all commands, or those that write, for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Say which replies this connection wants.",
    "SETINFO <option> <value>",
    "    Name the client library: LIB-NAME or LIB-VER.",
    "SETNAME <name>",
    "    Name this connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
    "    Have this connection told which keys that it has read are stale, or no more.",
    "TRACKINGINFO",
    "    What TRACKING has set up for this connection.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    End the waiting of a connection that a command has blocked.",
    "UNPAUSE",
    "    End what PAUSE began.",
];

/// Carries out a CLIENT subcommand.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    match admin {
        Admin::ClientId => Reply::new(&mut session.output.pending, session.protocol).integer(session.id as i64),
        Admin::ClientInfo => {
            let line = format!("{}\n", session.line(state.now, state.me.index(), Some(asker(session, args))));
            Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", line.as_bytes());
        }
        Admin::ClientList | Admin::ClientKill => {
            let is_kill = admin == Admin::ClientKill;
            let is_old_form = is_kill && args.len() == 3;
            let filter = match is_old_form {
                true => ClientFilter::of_address(args.get(2)),
                false => ClientFilter::parse(session.id, args, is_kill, state.site.shard.database_count())?,
            };
            let deed = if is_kill { Deed::Kill { is_old_form } } else { Deed::List };
            // The asker is away from the table while its command runs, so the question is answered later.
            walk::begin(state, session, Task { filter, deed, asker: asker(session, args) });
        }
        Admin::ClientPause => pause(state, session, args)?,
        Admin::ClientUnpause => state.gather_answers(session, [0], &Question::ChangePause(None), Then::Ok),
        Admin::ClientUnblock => unblock(state, session, args)?,
        Admin::ClientCapa => {
            // What we do not know of may be of use elsewhere.
            session.facts.follows_redirects |= args.iter_from(2).any(|word| word.eq_ignore_ascii_case(b"redirect"));
            Reply::new(&mut session.output.pending, session.protocol).ok();
        }
        Admin::ClientImportSource => import_source(state, session, args)?,
        Admin::ClientTracking => setup::tracking(state, session, args)?,
        Admin::ClientCaching => setup::caching(state, session, args)?,
        Admin::ClientGetRedir => setup::redirection(session),
        Admin::ClientTrackingInfo => setup::info(session),
        Admin::ClientSetName => {
            check_name(args.get(2))?;
            session.facts.name = args.get(2).to_vec();
            Reply::new(&mut session.output.pending, session.protocol).ok();
        }
        Admin::ClientGetName => {
            let mut reply = Reply::new(&mut session.output.pending, session.protocol);
            if session.facts.name.is_empty() { reply.null() } else { reply.bulk(&session.facts.name) }
        }
        Admin::ClientSetInfo => set_info(session, args)?,
        Admin::ClientReply => reply_mode(session, args)?,
        Admin::ClientNoEvict => {
            session.facts.no_evict = on_or_off(args.get(2))?;
            state.count_session(session);
            Reply::new(&mut session.output.pending, session.protocol).ok();
        }
        Admin::ClientNoTouch => {
            session.facts.no_touch = on_or_off(args.get(2))?;
            Reply::new(&mut session.output.pending, session.protocol).ok();
        }
        _ => write_help(session, "CLIENT", HELP),
    }
    Ok(())
}

fn asker(session: &Session, args: &Args<'_>) -> Asker {
    Asker { id: session.id, words: args.len(), words_len: args.iter_from(0).map(<[u8]>::len).sum() }
}

fn pause(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let all = match args.len() {
        4 => match args.get(3).to_ascii_lowercase().as_slice() {
            b"write" => false,
            b"all" => true,
            _ => return Err(CommandError::text("CLIENT PAUSE mode must be WRITE or ALL")),
        },
        _ => true,
    };
    let timeout = parse_integer(args.get(2)).ok_or(CommandError::text("timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(CommandError::text("timeout is negative"));
    }
    let until = timeout.checked_add(state.now.0).ok_or(CommandError::text("timeout is out of range"))?;
    let pause = Pause { until: Millis(until), all };
    state.gather_answers(session, [0], &Question::ChangePause(Some(pause)), Then::Ok);
    Ok(())
}

fn unblock(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let how = match args.len() {
        4 => match args.get(3).to_ascii_lowercase().as_slice() {
            b"timeout" => Ending::TimeOut,
            b"error" => Ending::Error,
            _ => return Err(CommandError::text("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        },
        _ => Ending::TimeOut,
    };
    let id = parse_integer(args.get(2)).ok_or(CommandError::NotAnInteger)?;
    state.gather_from_all(session, &Question::Unblock(id as u64, how), Then::Sum);
    Ok(())
}

/// Writes how many cores or sessions did what was asked.
pub fn write_sum(session: &mut Session, answers: &[(usize, Answer)]) {
    let sum: u64 = answers.iter().map(|(_, answer)| if let Answer::Count(count) = answer { *count } else { 0 }).sum();
    Reply::new(&mut session.output.pending, session.protocol).integer(sum as i64);
}

fn import_source(state: &State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let word = args.get(2);
    if !state.settings.bool(Setting::ImportMode) && !word.eq_ignore_ascii_case(b"off") {
        return Err(CommandError::text("Server is not in import mode"));
    }
    session.facts.is_source = on_or_off(word)?;
    Reply::new(&mut session.output.pending, session.protocol).ok();
    Ok(())
}

fn on_or_off(word: &[u8]) -> Result<bool, CommandError> {
    match word.to_ascii_lowercase().as_slice() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

/// A name may hold only printable characters without blanks.
///
/// # Errors
/// Where it holds others.
pub fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(());
    }
    Err(CommandError::text("Client names cannot contain spaces, newlines or special characters."))
}

fn set_info(session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let (option, value) = (args.get(2), args.get(3));
    let place = match option.to_ascii_lowercase().as_slice() {
        b"lib-name" => &mut session.facts.lib_name,
        b"lib-ver" => &mut session.facts.lib_version,
        _ => {
            let option = String::from_utf8_lossy(option).into_owned();
            return Err(CommandError::owned(format!("Unrecognized option '{option}'")));
        }
    };
    if check_name(value).is_err() {
        let field = String::from_utf8_lossy(option);
        return Err(CommandError::owned(format!("{field} cannot contain spaces, newlines or special characters.")));
    }
    *place = value.to_vec();
    Reply::new(&mut session.output.pending, session.protocol).ok();
    Ok(())
}

fn reply_mode(session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    match args.get(2).to_ascii_lowercase().as_slice() {
        b"on" => {
            session.reply_mode = ReplyMode::On;
            Reply::new(&mut session.output.pending, session.protocol).ok();
        }
        b"off" => session.reply_mode = ReplyMode::Off,
        b"skip" if session.reply_mode == ReplyMode::Off => {}
        b"skip" => session.reply_mode = ReplyMode::SkipNext,
        _ => return Err(CommandError::Syntax),
    }
    Ok(())
}
