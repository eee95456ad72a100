//! DEBUG: what tests and tools ask of a server that nobody asks in production.

mod groups;
mod orders;
pub mod protocol;
mod tables;

pub use groups::write_groups;
pub use orders::{carry_out, write_digest, write_value_digests};
pub use tables::write_tables;

use super::{Then, write_help};
use crate::mailbox::letter::{DebugOrder, KeyLook, Question};
use crate::memory;
use crate::session::Session;
use crate::session::output::RoomRule;
use crate::state::State;
use ringkey_core::keyspace::slot::slot_of;
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::settings::{Extent, Setting, parse_memory};
use ringkey_core::units::{DbIndex, Millis};

const HELP: &[&str] = &[
    "ASSERT",
    "    Fail an assertion: the server ends with a report.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    CONFIG REWRITE with a line for every directive.",
    "CHANGE-REPL-ID",
    "    Begin another history of the data, under another name.",
    "CLIENT-EVICTION",
    "    The clients that may be evicted, grouped by the memory they hold.",
    "CLIENT-ENFORCE-REPLY-LIST <0|1>",
    "    Accepted without an effect: replies have no fixed buffer here.",
    "DICT-RESIZING <0|1>",
    "    Accepted without an effect: tables grow and shrink in steps that nothing can",
    "    wait for.",
    "DIGEST",
    "    A digest of all data; equal data have equal digests, here and on other servers.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    A digest of each value.",
    "ERROR <text>",
    "    An error reply with that text, its first word included.",
    "HASHTABLE-CAN-ABORT-SHRINK <0|1>",
    "    Accepted without an effect, like DICT-RESIZING.",
    "HTSTATS <dbid> [full]",
    "    How the keys of a database lie in their tables, all cores together.",
    "HTSTATS-KEY <key> [full]",
    "    The same for the value of a key that is kept in such a table.",
    "LEAK <text>",
    "    Allocate memory for the text and never free it.",
    "LOG <message>",
    "    Write a message to the log.",
    "MALLCTL <name> [<value>]",
    "    A number of the allocator; those about giving memory back can be set.",
    "MALLCTL-STR <name>",
    "    A text of the allocator.",
    "OBJECT <key> [fast]",
    "    How a key is kept.",
    "PANIC",
    "    Panic: the server ends with a report.",
    "PAUSE-CRON <0|1>",
    "    Stop or resume periodic work.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> keys <prefix>:<number>, of <size> bytes.",
    "PROTOCOL <string|integer|double|null|array|set|map|attrib|push|verbatim|true|false|bignum>",
    "    A sample reply of that type.",
    "QUICKLIST-PACKED-THRESHOLD <bytes>",
    "    Elements of large lists from this length on lie in a node of their own; 0: those that",
    "    are larger than a node may be.",
    "SDSLEN <key>",
    "    The lengths of a key and its string, and the memory they take.",
    "REPLYBUFFER PEAK-RESET-TIME <milliseconds|NEVER|RESET>",
    "    After which time the largest replies of a client are forgotten, by which the room for them is kept.",
    "REPLYBUFFER RESIZING <0|1>",
    "    Stop or resume that the room kept for replies follows their size.",
    "SEGFAULT",
    "    Access memory that may not be accessed: the server ends with a report.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Stop or resume the removal of expired keys in the background.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Whether scripts may call commands that are kept from them.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Believe any checksum of a payload of RESTORE, or again only the right one.",
    "SLEEP <seconds>",
    "    Be busy on all cores for so long.",
    "STRUCTSIZE",
    "    The sizes of what data are made of.",
];

/// May this client call DEBUG?
///
/// # Errors
/// It may not.
pub fn check_allowed(state: &State, session: &Session) -> Result<(), CommandError> {
    if state.settings.allows(Setting::EnableDebugCommand, session.is_local()) {
        return Ok(());
    }
    Err(CommandError::text(
        "DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

/// DEBUG
///
/// # Errors
/// The refusal.
pub fn debug(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    check_allowed(state, session)?;
    let subcommand = args.get(1).to_ascii_lowercase();
    let found = on_all_cores(state, session, &subcommand, args)?
        || about_keys(state, session, &subcommand, args)?
        || here(state, session, &subcommand, args)?;
    if found {
        return Ok(());
    }
    Err(unknown(args))
}

/// DEBUG REPLYBUFFER: how the room that is kept for replies follows their size.
fn reply_room(state: &State, args: &Args<'_>) -> Result<RoomRule, CommandError> {
    let (option, value) = (args.get(2).to_ascii_lowercase(), args.get(3));
    let mut rule = state.room_rule;
    match option.as_slice() {
        b"peak-reset-time" => {
            rule.forgets_ms = match value.to_ascii_lowercase().as_slice() {
                b"never" => None,
                b"reset" => RoomRule::default().forgets_ms,
                _ => Some(parse_integer(value).ok_or(CommandError::NotAnInteger)?),
            }
        }
        b"resizing" => rule.follows = value != b"0",
        _ => return Err(unknown(args)),
    }
    Ok(rule)
}

fn unknown(args: &Args<'_>) -> CommandError {
    let name = String::from_utf8_lossy(args.get(1));
    CommandError::owned(format!("unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."))
}

/// What every core does or tells. `false`: it is nothing of that kind.
fn on_all_cores(
    state: &mut State,
    session: &mut Session,
    subcommand: &[u8],
    args: &Args<'_>,
) -> Result<bool, CommandError> {
    let (order, then) = match (subcommand, args.len()) {
        (b"sleep", 3) => {
            // What is no number is no time, as elsewhere.
            let seconds = std::str::from_utf8(args.get(2)).ok().and_then(|text| text.parse::<f64>().ok());
            let seconds = seconds.filter(|seconds| seconds.is_finite()).unwrap_or(0.0).clamp(0.0, 86_400.0);
            (DebugOrder::Sleep(Millis((seconds * 1000.0) as i64)), Then::Ok)
        }
        (b"replybuffer", 4) => (DebugOrder::ReplyRoom(reply_room(state, args)?), Then::Ok),
        (b"set-active-expire", 3) => (DebugOrder::ActiveExpire(args.get(2) != b"0"), Then::Ok),
        (b"pause-cron", 3) => (DebugOrder::PauseCron(args.get(2) != b"0"), Then::Ok),
        (b"quicklist-packed-threshold", 3) => (DebugOrder::ListPlainFrom(parse_plain_from(args)?), Then::Ok),
        (b"set-disable-deny-scripts", 3) => (DebugOrder::LetScripts(args.get(2) != b"0"), Then::Ok),
        (b"set-skip-checksum-validation", 3) => (DebugOrder::SkipChecksums(args.get(2) != b"0"), Then::Ok),
        (b"populate", 3..=5) => (parse_populate(session, args)?, Then::Ok),
        (b"client-eviction", 2) if state.tuning.client_memory_max == 0 => {
            return Err(CommandError::text("maxmemory-clients is disabled."));
        }
        (b"client-eviction", 2) => (DebugOrder::ClientGroups, Then::ClientGroups),
        (b"digest", 2) => (DebugOrder::Digest, Then::Digest),
        (b"digest-value", _) => {
            let keys = args.iter_from(2).map(<[u8]>::to_vec).collect();
            (DebugOrder::DigestValues { db: session.db, keys }, Then::DigestValues(args.len() - 2))
        }
        (b"htstats", 3 | 4) => {
            let index = parse_integer(args.get(2)).ok_or(CommandError::NotAnInteger)?;
            let count = i64::from(state.site.shard.database_count());
            if !(0..count).contains(&index) {
                return Err(CommandError::text("Out of range database"));
            }
            let is_full = args.len() == 4 && args.get(3).eq_ignore_ascii_case(b"full");
            (DebugOrder::Tables { db: DbIndex(index as u32), is_full }, Then::Tables { is_full })
        }
        _ => return Ok(false),
    };
    state.gather_from_all(session, &Question::Debug(order), then);
    Ok(true)
}

fn parse_populate(session: &Session, args: &Args<'_>) -> Result<DebugOrder, CommandError> {
    let number = |at: usize| {
        let number = parse_integer(args.get(at)).filter(|number| *number >= 0);
        number.ok_or_else(|| CommandError::text("value is out of range, must be positive"))
    };
    Ok(DebugOrder::Populate {
        db: session.db,
        count: number(2)? as u64,
        prefix: if args.len() > 3 { args.get(3).to_vec() } else { b"key".to_vec() },
        size: if args.len() > 4 { number(4)? as usize } else { 0 },
    })
}

/// The length from which on elements of lists lie alone, as memory is written in settings.
fn parse_plain_from(args: &Args<'_>) -> Result<usize, CommandError> {
    const MAX: u64 = (1 << 32) - (1 << 20);
    let len = parse_memory(args.get(2)).filter(|&len| len <= MAX);
    len.map(|len| len as usize)
        .ok_or(CommandError::text("argument must be a memory value bigger than 1 and smaller than 4gb"))
}

/// What the core tells that owns a key. `false`: it is nothing of that kind.
fn about_keys(
    state: &mut State,
    session: &mut Session,
    subcommand: &[u8],
    args: &Args<'_>,
) -> Result<bool, CommandError> {
    let look = match (subcommand, args.len()) {
        (b"object", 4) if args.get(3).eq_ignore_ascii_case(b"fast") => KeyLook::Fast,
        (b"object", 3 | 4) => KeyLook::Thorough,
        (b"sdslen", 3) => KeyLook::Lengths,
        (b"htstats-key", 3 | 4) => KeyLook::Table,
        _ => return Ok(false),
    };
    let shard = state.map.shard_of(slot_of(args.get(2))).index();
    let order = DebugOrder::Object { db: session.db, key: args.get(2).to_vec(), look };
    state.gather_answers(session, [shard], &Question::Debug(order), Then::Text);
    Ok(true)
}

/// What any core does by itself. `false`: it is nothing of that kind.
fn here(state: &mut State, session: &mut Session, subcommand: &[u8], args: &Args<'_>) -> Result<bool, CommandError> {
    if subcommand == b"config-rewrite-force-all" && args.len() == 2 {
        state.gather_answers(session, [0], &Question::RewriteSettings(Extent::All), Then::Ok);
        return Ok(true);
    }
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    match (subcommand, args.len()) {
        (b"help", 2) => write_help(session, "DEBUG", HELP),
        (b"change-repl-id", 2) => {
            state.process.change_replication_id();
            reply.ok();
        }
        (b"client-enforce-reply-list" | b"dict-resizing" | b"hashtable-can-abort-shrink", 3) => reply.ok(),
        (b"error", 3) => {
            let text: Vec<u8> =
                args.get(2).iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect();
            reply.buffer().bytes.extend_from_slice(&[b"-", text.as_slice(), b"\r\n"].concat());
        }
        (b"leak", 3) => {
            std::mem::forget(args.get(2).to_vec());
            reply.ok();
        }
        (b"log", 3) => {
            log::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.get(2)));
            reply.ok();
        }
        (b"assert", 2) => panic!("=== ASSERTION FAILED === DEBUG ASSERT was called"),
        (b"panic", 2) => panic!("DEBUG PANIC was called"),
        (b"segfault", 2) => crate::sys::crash::fault(),
        (b"mallctl", 3 | 4) => reply.integer(allocator_number(args)? as i64),
        (b"mallctl-str", 3) => {
            let text = memory::text(&String::from_utf8_lossy(args.get(2)));
            reply.bulk(text.ok_or(CommandError::text("No such file or directory"))?.as_bytes());
        }
        (b"protocol", 3) => protocol::protocol(session, args.get(2))?,
        (b"structsize", 2) => reply.bulk(tables::sizes().as_bytes()),
        (b"reload" | b"loadaof", _) => {
            return Err(CommandError::text("this version keeps no data on disk that it could load again"));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn allocator_number(args: &Args<'_>) -> Result<u64, CommandError> {
    let name = String::from_utf8_lossy(args.get(2));
    if args.len() == 4 {
        let value = parse_integer(args.get(3)).ok_or(CommandError::NotAnInteger)?;
        memory::set_number(&name, value).map_err(CommandError::text)?;
    }
    memory::number(&name).ok_or(CommandError::text("No such file or directory"))
}
