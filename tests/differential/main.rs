//! The same random commands on our server and on a real Valkey: every reply must be the same, and the
//! digest of all data at the end too. Finds what nobody thought of writing into `cases/`.
//!
//! - `strings`: strings, keys and their expiry;
//! - `collections`: lists, sets, hashes, sorted sets and streams under limits that change, so that encodings do; its commands
//!   are `commands`, told in the notation of `template` with the words of `words`; `agree` knows which replies may differ.
//!   With clients that watch keys, also which of these a command has changed for them;
//! - `events`: the keyspace events of such commands;
//! - `places`: searches of all shapes among random places;
//! - `transactions`: MULTI, WATCH and EXEC around commands of all families, with a second connection that comes between;
//! - `scripts`: scripts of such commands, and what Lua makes of their replies.
//!
//! `RINGKEY_SECONDS` makes it longer, `RINGKEY_SEED` repeats a run exactly, `RINGKEY_KEEP_GOING` does not end at the first
//! difference (`rounds`) but tells all that are found, one for each command. `RINGKEY_COMMANDS=X` takes only commands on
//! collections whose names begin so.

#![allow(clippy::unwrap_used, missing_docs)]

mod agree;
mod collections;
mod commands;
mod events;
mod places;
mod rounds;
mod scripts;
mod strings;
mod template;
mod transactions;
mod words;

use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::{Client, Server};
use std::io::Write as _;
use std::time::{Duration, SystemTime};

/// Our server and the reference.
pub struct Pair {
    ours: Server,
    reference: Server,
}

impl Pair {
    fn start(cores: usize) -> Option<Self> {
        if peer("valkey-server").is_none() {
            skip("no valkey-server to compare with");
            return None;
        }
        let start = |kind| Setup::of(kind).cores(cores).option("enable-debug-command", "yes").start();
        let pair = Self { ours: start(Kind::under_test()), reference: start(Kind::Reference) };
        for client in &mut pair.clients() {
            // A key stored with a time that is past counts in DBSIZE and in the digest until the next sweep removes it.
            assert_eq!(client.run("DEBUG SET-ACTIVE-EXPIRE 0").lines(), ["+OK"]);
        }
        Some(pair)
    }

    /// A new client of ours, and one of the reference.
    pub fn clients(&self) -> [Client; 2] {
        [self.ours.client(), self.reference.client()]
    }

    /// So many of each.
    pub fn groups(&self, count: usize) -> [Vec<Client>; 2] {
        [&self.ours, &self.reference].map(|server| (0..count).map(|_| server.client()).collect())
    }
}

/// Compares for a while, and says how much that was.
fn judge(cores: usize, what: &str, seconds: f64, compare: fn(&Pair, u64, Duration) -> u64) {
    let Some(pair) = Pair::start(cores) else { return };
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var("RINGKEY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(clock);
    let given = std::env::var("RINGKEY_SECONDS").ok().and_then(|text| text.parse().ok());
    let compared = compare(&pair, seed, Duration::from_secs_f64(given.unwrap_or(seconds)));
    let _ = writeln!(std::io::stderr(), "{what}, {cores} cores, seed {seed}: {compared} commands compared");
    assert!(compared > 500, "only {compared} commands were compared");
}

#[test]
fn strings_on_one_core() {
    judge(1, "strings", 4.0, strings::compare);
}

#[test]
fn strings_on_four_cores() {
    judge(4, "strings", 4.0, strings::compare);
}

#[test]
fn collections_on_one_core() {
    judge(1, "collections", 20.0, collections::compare);
}

#[test]
fn collections_on_four_cores() {
    judge(4, "collections", 20.0, collections::compare);
}

#[test]
fn watched_keys_on_one_core() {
    judge(1, "watched keys", 8.0, collections::compare_watched);
}

#[test]
fn watched_keys_on_four_cores() {
    judge(4, "watched keys", 8.0, collections::compare_watched);
}

#[test]
fn places_on_one_core() {
    judge(1, "places", 6.0, places::compare);
}

#[test]
fn places_on_four_cores() {
    judge(4, "places", 6.0, places::compare);
}

#[test]
fn transactions_on_one_core() {
    judge(1, "transactions", 8.0, transactions::compare);
}

#[test]
fn transactions_on_four_cores() {
    judge(4, "transactions", 8.0, transactions::compare);
}

#[test]
fn scripts_on_one_core() {
    judge(1, "scripts", 8.0, scripts::compare);
}

#[test]
fn scripts_on_four_cores() {
    judge(4, "scripts", 8.0, scripts::compare);
}

#[test]
fn events_on_one_core() {
    judge(1, "events", 10.0, events::compare);
}

#[test]
fn events_on_four_cores() {
    judge(4, "events", 10.0, events::compare_by_key);
}
