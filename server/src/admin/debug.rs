//! DEBUG: what tests and tools ask of a server that nobody asks in production.

use super::{Then, write_help};
use crate::mailbox::letter::{Answer, DebugOrder, Question};
use crate::session::Session;
use crate::session::output::RoomRule;
use crate::state::State;
use ringkey_core::commands::Context;
use ringkey_core::commands::key::{combine_digests, database_digests, debug_object, populate, value_digest};
use ringkey_core::number::parse_integer;
use ringkey_core::outcome::Outcome;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::settings::{Extent, Setting};
use ringkey_core::units::{DbIndex, Millis};

const HELP: &[&str] = &[
    "CONFIG-REWRITE-FORCE-ALL",
    "    CONFIG REWRITE with a line for every directive.",
    "DIGEST",
    "    A digest of all data; equal data have equal digests, here and on other servers.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    A digest of each value.",
    "OBJECT <key> [fast]",
    "    How a key is kept.",
    "PAUSE-CRON <0|1>",
    "    Stop or resume periodic work.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> keys <prefix>:<number>, of <size> bytes.",
    "PROTOCOL <string|integer|double|null|array|set|map|attrib|push|verbatim|true|false|bignum>",
    "    A sample reply of that type.",
    "REPLYBUFFER PEAK-RESET-TIME <milliseconds|NEVER|RESET>",
    "    After which time the largest replies of a client are forgotten, by which the room for them is kept.",
    "REPLYBUFFER RESIZING <0|1>",
    "    Stop or resume that the room kept for replies follows their size.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Stop or resume the removal of expired keys in the background.",
    "SLEEP <seconds>",
    "    Be busy on all cores for so long.",
];

/// DEBUG
///
/// # Errors
/// The refusal.
pub fn debug(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    if !state.settings.allows(Setting::EnableDebugCommand, session.is_local()) {
        return Err(CommandError::text(
            "DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
        ));
    }
    let subcommand = args.get(1).to_ascii_lowercase();
    match (subcommand.as_slice(), args.len()) {
        (b"help", 2) => write_help(session, "DEBUG", HELP),
        (b"sleep", 3) => {
            let seconds = std::str::from_utf8(args.get(2)).ok().and_then(|text| text.parse::<f64>().ok());
            let seconds = seconds.filter(|s| (0.0..=86_400.0).contains(s)).ok_or(CommandError::NotAFloat)?;
            let order = DebugOrder::Sleep(Millis((seconds * 1000.0) as i64));
            state.gather_from_all(session, &Question::Debug(order), Then::Ok);
        }
        (b"set-active-expire", 3) => {
            let order = DebugOrder::ActiveExpire(args.get(2) != b"0");
            state.gather_from_all(session, &Question::Debug(order), Then::Ok);
        }
        (b"pause-cron", 3) => {
            let order = DebugOrder::PauseCron(args.get(2) != b"0");
            state.gather_from_all(session, &Question::Debug(order), Then::Ok);
        }
        (b"replybuffer", 4) => {
            let order = DebugOrder::ReplyRoom(reply_room(state, args)?);
            state.gather_from_all(session, &Question::Debug(order), Then::Ok);
        }
        (b"populate", 3..=5) => {
            let number = |at: usize| {
                let number = parse_integer(args.get(at)).filter(|number| *number >= 0);
                number.ok_or_else(|| CommandError::text("value is out of range, must be positive"))
            };
            let order = DebugOrder::Populate {
                db: session.db,
                count: number(2)? as u64,
                prefix: if args.len() > 3 { args.get(3).to_vec() } else { b"key".to_vec() },
                size: if args.len() > 4 { number(4)? as usize } else { 0 },
            };
            state.gather_from_all(session, &Question::Debug(order), Then::Ok);
        }
        (b"digest", 2) => state.gather_from_all(session, &Question::Debug(DebugOrder::Digest), Then::Digest),
        (b"digest-value", _) => {
            let keys = args.iter_from(2).map(<[u8]>::to_vec).collect();
            let order = DebugOrder::DigestValues { db: session.db, keys };
            state.gather_from_all(session, &Question::Debug(order), Then::DigestValues(args.len() - 2));
        }
        (b"object", 3 | 4) => {
            let shard = state.map.shard_of(ringkey_core::keyspace::slot::slot_of(args.get(2))).index();
            let fast = args.len() == 4 && args.get(3).eq_ignore_ascii_case(b"fast");
            let order = DebugOrder::Object { db: session.db, key: args.get(2).to_vec(), fast };
            state.gather_answers(session, [shard], &Question::Debug(order), Then::Text);
        }
        (b"config-rewrite-force-all", 2) => {
            state.gather_answers(session, [0], &Question::RewriteSettings(Extent::All), Then::Ok);
        }
        (b"protocol", 3) => protocol(session, args.get(2))?,
        _ => {
            return Err(unknown(args));
        }
    }
    Ok(())
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

/// Carries out an order on this core.
pub fn carry_out(state: &mut State, order: &DebugOrder) -> Answer {
    let rules = state.site.rules.clone();
    let (now, me, map) = (state.now, state.me, state.map);
    let shard = &mut state.site.shard;
    match order {
        DebugOrder::Sleep(duration) => std::thread::sleep(std::time::Duration::from_millis(duration.0 as u64)),
        DebugOrder::ActiveExpire(active) => shard.active_expire = *active,
        DebugOrder::ReplyRoom(rule) => state.room_rule = *rule,
        DebugOrder::PauseCron(paused) => state.is_cron_paused = *paused,
        DebugOrder::Populate { db, count, prefix, size } => {
            let mut context = Context::new(shard, *db, now, &rules);
            populate(&mut context, *count, prefix, *size, |key| {
                map.shard_of(ringkey_core::keyspace::slot::slot_of(key)) == me
            });
            let _ = context.settle(Outcome::unchanged(), &Args::new(&[], &[], &[]));
        }
        DebugOrder::Digest => {
            return Answer::Digests(database_digests(&mut Context::new(shard, DbIndex(0), now, &rules)));
        }
        DebugOrder::DigestValues { db, keys } => {
            let mine = keys
                .iter()
                .enumerate()
                .filter(|(_, key)| map.shard_of(ringkey_core::keyspace::slot::slot_of(key)) == me);
            let mut found = Vec::new();
            for (at, key) in mine {
                found.push((at, value_digest(&mut Context::new(shard, *db, now, &rules), key)));
            }
            return Answer::ValueDigests(found);
        }
        DebugOrder::Object { db, key, fast } => {
            return match debug_object(&mut Context::new(shard, *db, now, &rules), key, *fast) {
                Ok(text) => Answer::Text(text),
                Err(error) => Answer::Refused(error),
            };
        }
    }
    Answer::Done
}

fn hexadecimal(digest: &[u8; 20]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the answer of DEBUG DIGEST.
pub fn write_digest(session: &mut Session, answers: Vec<(usize, Answer)>) {
    let shards: Vec<_> = answers
        .into_iter()
        .filter_map(|(_, answer)| if let Answer::Digests(digests) = answer { Some(digests) } else { None })
        .collect();
    let digest = combine_digests(shards.iter().map(Vec::as_slice));
    Reply::new(&mut session.output.pending, session.protocol).simple(&hexadecimal(&digest));
}

/// Writes the answer of DEBUG DIGEST-VALUE for `count` keys.
pub fn write_value_digests(session: &mut Session, count: usize, answers: Vec<(usize, Answer)>) {
    let mut digests = vec![[0; 20]; count];
    for (_, answer) in answers {
        if let Answer::ValueDigests(found) = answer {
            found.into_iter().for_each(|(at, digest)| digests[at] = digest);
        }
    }
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.array(count);
    digests.iter().for_each(|digest| reply.simple(&hexadecimal(digest)));
}

/// DEBUG PROTOCOL: one reply of each type.
fn protocol(session: &mut Session, kind: &[u8]) -> Result<(), CommandError> {
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double_text("3.141"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.integer(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.buffer().bytes.extend_from_slice(b"|1\r\n");
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"bignum" => {
            let digits = "1234567999999999999999999999999999999";
            if reply.is_resp3() {
                reply.buffer().bytes.extend_from_slice(format!("({digits}\r\n").as_bytes());
            } else {
                reply.bulk(digits.as_bytes());
            }
        }
        _ => {
            return Err(CommandError::text(
                "Wrong protocol type name. Please use one of the following: string|integer|double|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}
