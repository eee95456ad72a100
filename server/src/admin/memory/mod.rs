//! MEMORY, but for what it tells of single keys, which their shards answer.

mod doctor;
mod figures;

pub use figures::Figures;

use super::info::Sample;
use super::{Then, info, write_help};
use crate::mailbox::letter::{Answer, Question};
use crate::session::Session;
use crate::state::State;
use crate::{listen, memory};
use ringkey_core::command::Admin;
use ringkey_core::resp::{CommandError, Reply};

const HELP: &[&str] = &[
    "DOCTOR",
    "    What is out of the ordinary about the use of memory, and what to do.",
    "MALLOC-STATS",
    "    What the allocator counts.",
    "PURGE",
    "    Give memory back that the allocator holds and nobody uses.",
    "STATS",
    "    What memory is used for, in numbers.",
    "USAGE <key> [SAMPLES <count>]",
    "    The memory of a key with its value in bytes. Of a collection <count>",
    "    elements are measured (5 unless told otherwise, 0: all).",
];

/// Carries out a MEMORY subcommand.
///
/// # Errors
/// None today.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin) -> Result<(), CommandError> {
    match admin {
        Admin::MemoryStats => state.gather_from_all(session, &Question::Sample(Default::default()), Then::MemoryStats),
        Admin::MemoryDoctor => {
            state.gather_from_all(session, &Question::Sample(Default::default()), Then::MemoryDoctor)
        }
        // Core 0 has the thread for it.
        Admin::MemoryPurge => state.gather_answers(session, [0], &Question::Purge, Then::Ok),
        Admin::MemoryMallocStats => {
            let mut reply = Reply::new(&mut session.output.pending, session.protocol);
            reply.verbatim("txt", &memory::report());
        }
        _ => write_help(session, "MEMORY", HELP),
    }
    Ok(())
}

/// Has unused memory given back (on core 0), by the thread for slow work: for gigabytes it takes seconds. The answer comes
/// when it has ended.
///
/// # Errors
/// There is no such thread.
pub fn purge(state: &mut State, asker: Option<usize>, ticket: u64) -> Result<(), CommandError> {
    let work = || {
        memory::purge();
        Answer::Done
    };
    let given = match &mut state.aside {
        Some(aside) => aside.give((asker, ticket), work),
        None => Err(std::io::ErrorKind::NotFound.into()),
    };
    given.map_err(|error| CommandError::owned(format!("Cannot give memory back: {}", listen::plain(&error))))
}

/// Writes the answer of MEMORY DOCTOR.
pub fn write_report(state: &State, session: &mut Session, answers: Vec<(usize, Answer)>) {
    let text = doctor::report(&Figures::new(state, &info::samples(answers)));
    Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", text.as_bytes());
}

/// Writes the answer of MEMORY STATS.
pub fn write_stats(state: &State, session: &mut Session, answers: Vec<(usize, Answer)>) {
    let samples = info::samples(answers);
    let figures = Figures::new(state, &samples);
    let databases = databases(&samples);
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.map(34 + databases.len());
    let integer = |reply: &mut Reply<'_>, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    };
    integer(&mut reply, "peak.allocated", figures.peak);
    integer(&mut reply, "total.allocated", figures.used);
    integer(&mut reply, "startup.allocated", figures.startup);
    for name in ["replication.backlog", "replicas.repl.buffer", "clients.slaves"] {
        integer(&mut reply, name, 0);
    }
    integer(&mut reply, "clients.normal", figures.clients);
    for name in ["cluster.links", "cluster.slot_import", "cluster.slot_export", "aof.buffer"] {
        integer(&mut reply, name, 0);
    }
    integer(&mut reply, "lua.caches", figures.scripts);
    integer(&mut reply, "functions.caches", figures.functions);
    for (index, tables, expiries) in databases {
        reply.bulk(format!("db.{index}").as_bytes());
        reply.map(2);
        integer(&mut reply, "overhead.hashtable.main", tables as u64);
        integer(&mut reply, "overhead.hashtable.expires", expiries as u64);
    }
    integer(&mut reply, "overhead.db.hashtable.lut", figures.tables);
    integer(&mut reply, "overhead.db.hashtable.rehashing", 0);
    integer(&mut reply, "overhead.total", figures.overhead);
    integer(&mut reply, "db.dict.rehashing.count", 0);
    integer(&mut reply, "keys.count", figures.keys);
    integer(&mut reply, "keys.bytes-per-key", figures.dataset.checked_div(figures.keys).unwrap_or(0));
    integer(&mut reply, "dataset.bytes", figures.dataset);
    write_allocator(&mut reply, &figures);
}

fn write_allocator(reply: &mut Reply<'_>, figures: &Figures) {
    fn double(reply: &mut Reply<'_>, name: &str, value: f64) {
        reply.bulk(name.as_bytes());
        // With as many digits as a number of half the size has, like elsewhere.
        reply.double_text(&f64::from(value as f32).to_string());
    }
    fn integer(reply: &mut Reply<'_>, name: &str, value: i64) {
        reply.bulk(name.as_bytes());
        reply.integer(value);
    }
    double(reply, "dataset.percentage", figures.dataset_percent());
    double(reply, "peak.percentage", figures.peak_percent());
    integer(reply, "allocator.allocated", figures.allocator.allocated as i64);
    integer(reply, "allocator.active", figures.allocator.active as i64);
    integer(reply, "allocator.resident", figures.allocator.resident as i64);
    integer(reply, "allocator.muzzy", figures.allocator.muzzy as i64);
    for (ratio_name, bytes_name, (ratio, bytes)) in [
        ("allocator-fragmentation.ratio", "allocator-fragmentation.bytes", figures.fragmentation()),
        ("allocator-rss.ratio", "allocator-rss.bytes", figures.held_back()),
        ("rss-overhead.ratio", "rss-overhead.bytes", figures.beside_allocator()),
        ("fragmentation", "fragmentation.bytes", figures.total_fragmentation()),
    ] {
        double(reply, ratio_name, ratio);
        integer(reply, bytes_name, bytes);
    }
}

/// The databases in use: number, bytes of their tables, bytes of their expiry times.
fn databases(samples: &[Sample]) -> Vec<(u32, usize, usize)> {
    let mut sums = std::collections::BTreeMap::new();
    for database in samples.iter().flat_map(|sample| &sample.databases) {
        let (tables, expiries) = sums.entry(database.index).or_insert((0, 0));
        *tables += database.table_bytes;
        *expiries += info::expiry_bytes(database);
    }
    sums.into_iter().map(|(index, (tables, expiries))| (index, tables, expiries)).collect()
}
