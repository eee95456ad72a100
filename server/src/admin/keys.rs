//! Commands over the keys of all shards that need more than one reply joined: SCAN, RANDOMKEY, SWAPDB.

use super::{Then, write_help};
use crate::mailbox::letter::{Answer, Question, ScanPage};
use crate::session::Session;
use crate::state::State;
use ringkey_core::command::{Command, Flags, Join, Run, Spread};
use ringkey_core::commands::Context;
use ringkey_core::commands::key::{ScanOptions, parse_cursor, random_key as draw, scan_page as scan_shard};
use ringkey_core::keyspace::Cursor;
use ringkey_core::number::parse_integer;
use ringkey_core::outcome::Outcome;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::txn::flight::Shape;
use ringkey_core::units::{DbIndex, ShardId, Slot};

/// A SCAN under way: shards are asked in order until the page is full.
pub struct Scanning {
    page: ScanPage,
    found: Vec<Vec<u8>>,
    shard: usize,
    /// Only this shard: the client is on the port of its core.
    only_here: bool,
}

/// SCAN
pub fn scan(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let cursor = Cursor::from_raw(parse_cursor(args.get(1))?);
    let options = ScanOptions::parse(args)?;
    let page = ScanPage { is_source: session.facts.is_source, db: session.db, cursor, options };
    let only_here = session.on_core_port;
    let shard = if only_here { state.me } else { state.map.shard_of(cursor.slot()) };
    let scanning = Box::new(Scanning { page, found: Vec::new(), shard: shard.index(), only_here });
    ask_for_page(state, session, scanning);
    Ok(())
}

fn ask_for_page(state: &mut State, session: &mut Session, scanning: Box<Scanning>) {
    if scanning.shard == state.me.index() && state.site.is_idle() {
        let answer = scan_page(state, &scanning.page);
        return scanned(state, session, *scanning, vec![(state.me.index(), answer)]);
    }
    let question = Question::Scan(Box::new(scanning.page.clone()));
    state.gather_answers(session, [scanning.shard], &question, Then::Scan(scanning));
}

/// One page from this core's shard.
pub fn scan_page(state: &mut State, page: &ScanPage) -> Answer {
    let rules = state.site.rules.clone();
    let mut context = Context::new(&mut state.site.shard, page.db, state.now, &rules);
    context.expiry = rules.expiry(page.is_source);
    let mut keys = Vec::new();
    let next = scan_shard(&mut context, page.cursor, &page.options, &mut keys);
    let _ = context.settle(Outcome::unchanged(), &Args::new(&[], &[], &[]));
    Answer::Page(keys.into_iter().map(Vec::from).collect(), next)
}

/// A page has come: writes the reply, or asks the next shard for the rest.
pub fn scanned(state: &mut State, session: &mut Session, mut scanning: Scanning, answers: Vec<(usize, Answer)>) {
    let mut next = None;
    for (_, answer) in answers {
        if let Answer::Page(keys, cursor) = answer {
            scanning.found.extend(keys);
            next = cursor;
        }
    }
    let mut raw = next.map_or(0, Cursor::to_raw);
    if next.is_none() && !scanning.only_here && scanning.shard + 1 < state.mesh.count() {
        scanning.shard += 1;
        let first = state.map.slots_of(ShardId(scanning.shard as u16)).start;
        scanning.page.cursor = Cursor::at_slot(Slot(first));
        raw = scanning.page.cursor.to_raw();
        let wanted = scanning.page.options.page.count;
        if scanning.found.len() < wanted {
            scanning.page.options.page.count = wanted - scanning.found.len();
            return ask_for_page(state, session, Box::new(scanning));
        }
    }
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.array(2);
    reply.bulk(raw.to_string().as_bytes());
    reply.array(scanning.found.len());
    scanning.found.iter().for_each(|key| reply.bulk(key));
}

/// What each shard does for RANDOMKEY: its number of keys as the weight, and one key.
static RANDOM_KEY_PART: Command = Command {
    name: "randomkey",
    flags: Flags::READONLY,
    spread: Spread::EveryShard { join: Join::ByLot, shared: true },
    run: Run::OnShard(random_key_part),
    ..Command::DEFAULT
};

fn random_key_part(ctx: &mut Context<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let size = ctx.shard.database(ctx.db).len();
    let key = draw(ctx);
    // Keys that have expired weigh nothing where nothing else is left.
    reply.integer(if key.is_some() { size as i64 } else { 0 });
    match key {
        Some(key) => reply.bulk(&key),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// RANDOMKEY
pub fn random_key(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    state.fly_everywhere(session, &RANDOM_KEY_PART, args, Shape::Joined(Join::ByLot), true);
    Ok(())
}

/// What each shard does for SWAPDB, once the arguments are known to be right.
static SWAP_PART: Command = Command {
    name: "swapdb",
    flags: Flags::WRITE,
    spread: Spread::EveryShard { join: Join::Ok, shared: false },
    run: Run::OnShard(swap_part),
    ..Command::DEFAULT
};

fn swap_part(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let index = |at| parse_integer(args.get(at)).map_or(DbIndex(0), |index| DbIndex(index as u32));
    ctx.shard.swap_databases(index(1), index(2), ctx.now);
    reply.ok();
    Ok(Outcome::changed(1))
}

/// SWAPDB
pub fn swap_databases(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    if state.seat.is_some() {
        return Err(CommandError::text("SWAPDB is not allowed in cluster mode"));
    }
    let count = i64::from(state.site.shard.database_count());
    let index = |at, which: &str| {
        parse_integer(args.get(at))
            .filter(|index| i32::try_from(*index).is_ok())
            .ok_or_else(|| CommandError::owned(format!("invalid {which} DB index")))
    };
    let (one, other) = (index(1, "first")?, index(2, "second")?);
    if !(0..count).contains(&one) || !(0..count).contains(&other) {
        return Err(CommandError::DbIndexOutOfRange);
    }
    state.fly_everywhere(session, &SWAP_PART, args, Shape::Joined(Join::Ok), false);
    Ok(())
}

/// OBJECT HELP
pub fn object_help(session: &mut Session) -> Result<(), CommandError> {
    const HELP: &[&str] = &[
        "ENCODING <key>",
        "    How the value of the key is kept in memory.",
        "FREQ <key>",
        "    How often the key is used, on a logarithmic scale; needs an LFU maxmemory-policy.",
        "IDLETIME <key>",
        "    Seconds since the key was last used.",
        "REFCOUNT <key>",
        "    The number of references to the value of the key.",
    ];
    write_help(session, "OBJECT", HELP);
    Ok(())
}

/// XINFO HELP
pub fn stream_info_help(session: &mut Session) -> Result<(), CommandError> {
    const HELP: &[&str] = &[
        "CONSUMERS <key> <groupname>",
        "    The consumers of a group.",
        "GROUPS <key>",
        "    The groups of the stream.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Counts, ids and ends of the stream; with FULL also entries, groups and what they have not acknowledged.",
    ];
    write_help(session, "XINFO", HELP);
    Ok(())
}
