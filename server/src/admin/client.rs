//! CLIENT and its subcommands.

use super::{Then, write_help};
use crate::mailbox::letter::{Answer, ClientFilter, ClientKind, Question};
use crate::session::{Closing, ReplyMode, Session, SessionView};
use crate::state::State;
use ringkey_core::command::Admin;
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Args, CommandError, Reply};
use std::sync::Arc;

const HELP: &[&str] = &[
    "GETNAME",
    "    The name of this connection.",
    "ID",
    "    The id of this connection.",
    "INFO",
    "    One line about this connection.",
    "KILL <ip:port>",
    "    Close the connection from this address.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close all connections that fit the options, which are those of LIST.",
    "    SKIPME (YES|NO) says whether this connection is spared (default: yes).",
    "LIST [options ...]",
    "    A line about each connection. Options: ID <id> [<id>...], NOT-ID <id> [<id>...], TYPE (NORMAL|PRIMARY|REPLICA|PUBSUB),",
    "    USER <name>, ADDR <ip:port>, LADDR <ip:port>, NAME <name>, LIB-NAME <name>, LIB-VER <version>, DB <index>,",
    "    IP <ip>, IDLE <seconds>, MAXAGE <seconds>, SKIPME (YES|NO).",
    "NO-EVICT (ON|OFF)",
    "    Protect this connection from being closed when memory for clients is short.",
    "NO-TOUCH (ON|OFF)",
    "    Have commands of this connection leave access times alone.",
    "REPLY (ON|OFF|SKIP)",
    "    Say which replies this connection wants.",
    "SETINFO <option> <value>",
    "    Name the client library: LIB-NAME or LIB-VER.",
    "SETNAME <name>",
    "    Name this connection.",
];

/// Carries out a CLIENT subcommand.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    match admin {
        Admin::ClientId => Reply::new(&mut session.output.pending, session.protocol).integer(session.id as i64),
        Admin::ClientInfo => {
            let line = format!("{}\n", session.view(state.now, state.me.index()).line);
            Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", line.as_bytes());
        }
        Admin::ClientList => {
            let filter = parse_filter(session, args, false, state.site.shard.database_count())?;
            // The asker is away from the table while its command runs, so the question is answered later.
            state.gather_from_all(session, &Question::Sessions(Arc::new(filter)), Then::ClientList);
        }
        Admin::ClientKill => {
            let is_old_form = args.len() == 3;
            let filter = match is_old_form {
                true => ClientFilter { addr: Some(args.get(2).to_vec()), ..ClientFilter::default() },
                false => parse_filter(session, args, true, state.site.shard.database_count())?,
            };
            state.gather_from_all(session, &Question::Kill(Arc::new(filter)), Then::ClientKill { is_old_form });
        }
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

fn parse_kind(word: &[u8]) -> Result<ClientKind, CommandError> {
    match word.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(ClientKind::Normal),
        b"replica" | b"slave" => Ok(ClientKind::Replica),
        b"primary" | b"master" => Ok(ClientKind::Primary),
        b"pubsub" => Ok(ClientKind::Pubsub),
        _ => Err(CommandError::owned(format!("Unknown client type '{}'", String::from_utf8_lossy(word)))),
    }
}

/// Reads the filter of CLIENT LIST and CLIENT KILL.
fn parse_filter(
    session: &Session,
    args: &Args<'_>,
    is_kill: bool,
    databases: u32,
) -> Result<ClientFilter, CommandError> {
    let mut filter = ClientFilter::default();
    let mut skip_me = is_kill;
    let mut next = 2;
    while next < args.len() {
        let option = args.get(next).to_ascii_lowercase();
        if next + 1 >= args.len() {
            return Err(CommandError::Syntax);
        }
        if matches!(option.as_slice(), b"id" | b"not-id") {
            let list = if option == b"id" { &mut filter.ids } else { &mut filter.not_ids };
            next += 1;
            let first = next;
            while next < args.len() {
                match parse_integer(args.get(next)) {
                    Some(id) if id > 0 => list.push(id as u64),
                    Some(_) => return Err(CommandError::text("client-id should be greater than 0")),
                    None if next == first => return Err(CommandError::Syntax),
                    None => break,
                }
                next += 1;
            }
            continue;
        }
        let value = args.get(next + 1);
        let number = |what: &str| {
            let number = parse_integer(value)
                .ok_or_else(|| CommandError::owned(format!("{what} is not an integer or out of range")))?;
            if number < 1 && what != "DB" {
                return Err(CommandError::owned(format!("{what} should be greater than 0")));
            }
            Ok(number)
        };
        match option.as_slice() {
            b"addr" => filter.addr = Some(value.to_vec()),
            b"laddr" => filter.laddr = Some(value.to_vec()),
            b"ip" => filter.ip = Some(value.to_vec()),
            b"name" => filter.name = Some(value.to_vec()),
            b"lib-name" => filter.lib_name = Some(value.to_vec()),
            b"lib-ver" => filter.lib_version = Some(value.to_vec()),
            b"type" => filter.kind = Some(parse_kind(value)?),
            b"maxage" => filter.max_age_s = Some(number("maxage")?),
            b"idle" => filter.idle_s = Some(number("idle")?),
            b"db" => {
                let db = number("DB")?;
                if !(0..i64::from(databases)).contains(&db) {
                    let last = databases - 1;
                    return Err(CommandError::owned(format!("DB number should be between 0 and {last}")));
                }
                filter.db = Some(db);
            }
            b"user" => {
                if value != b"default" {
                    let user = String::from_utf8_lossy(value).into_owned();
                    return Err(CommandError::owned(format!("No such user '{user}'")));
                }
            }
            b"skipme" => match value.to_ascii_lowercase().as_slice() {
                b"yes" => skip_me = true,
                b"no" => skip_me = false,
                _ => return Err(CommandError::Syntax),
            },
            _ => return Err(CommandError::Syntax),
        }
        next += 2;
    }
    if skip_me {
        filter.skip = Some(session.id);
    }
    Ok(filter)
}

/// The sessions of this core that a filter means.
pub fn views(state: &State, filter: &ClientFilter) -> Vec<SessionView> {
    let (now, me) = (state.now, state.me.index());
    state
        .sessions
        .iter()
        .flatten()
        .filter(|session| session.is_open() && session.matches(filter, now))
        .map(|session| session.view(now, me))
        .collect()
}

/// Closes the sessions of this core that a filter means.
pub fn kill(state: &mut State, filter: &ClientFilter) -> u64 {
    let now = state.now;
    let mut count = 0;
    for session in state.sessions.iter_mut().flatten() {
        if session.is_open() && session.matches(filter, now) {
            // A client that kills itself still gets its answer.
            let waits = matches!(session.pending, crate::session::Pending::Answers(_));
            session.closing = if waits { Closing::AfterReplies } else { Closing::Now };
            state.dirty.push(session.index);
            count += 1;
        }
    }
    count
}

/// Writes the answer of CLIENT LIST.
pub fn write_list(session: &mut Session, answers: Vec<(usize, Answer)>) {
    let mut views: Vec<SessionView> = answers
        .into_iter()
        .flat_map(|(_, answer)| match answer {
            Answer::Sessions(views) => views,
            _ => Vec::new(),
        })
        .collect();
    views.sort_by_key(|view| view.id);
    let mut text = String::new();
    for view in &views {
        text.push_str(&view.line);
        text.push('\n');
    }
    Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", text.as_bytes());
}

/// Writes the answer of CLIENT KILL.
pub fn write_killed(state: &mut State, session: &mut Session, answers: Vec<(usize, Answer)>, is_old_form: bool) {
    let count: u64 = answers.iter().map(|(_, answer)| if let Answer::Count(count) = answer { *count } else { 0 }).sum();
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    match (is_old_form, count) {
        (true, 0) => {
            let error = CommandError::text("No such client");
            state.site.errors.note(error.code());
            reply.error(&error);
        }
        (true, _) => reply.ok(),
        (false, _) => reply.integer(count as i64),
    }
}
