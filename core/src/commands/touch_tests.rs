//! Which keys of a call count as changed for those who watch them: the same as in Valkey, call by call.

#![allow(clippy::unwrap_used)]

use super::Context;
use super::harness::Bench;
use crate::command::{Run, table};
use crate::resp::{Reply, ReplyBuffer, Request};
use crate::units::{DbIndex, Millis};

const CASES: &str = include_str!("../../tests/data/touches.txt");
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn run(bench: &mut Bench, line: &str) {
    let (db, line) = line.strip_prefix("1:").map_or((DbIndex(0), line), |line| (DbIndex(1), line));
    let words = crate::words::split_words(line.as_bytes()).unwrap();
    let request = Request::new(words.iter().map(Vec::as_slice));
    let args = request.args();
    let row = table::resolve(&args).unwrap_or_else(|_| panic!("no such call: {line}"));
    let Run::OnShard(handler) = row.run else { panic!("{line} does not run on a shard") };
    let mut out = ReplyBuffer::default();
    let mut context = Context::new(&mut bench.shard, db, Millis(bench.now), &bench.rules);
    let (outcome, _) = context.run(handler, &args, &mut Reply::new(&mut out, bench.protocol));
    context.note_touched(row, &args, &outcome);
}

/// Clients of their own watch each key; those that hear of a change are told as the cases tell keys.
fn touched_by(before: &str, call: &str) -> String {
    let mut bench = Bench::new();
    before.split(';').map(str::trim).filter(|line| !line.is_empty()).for_each(|line| run(&mut bench, line));
    let watched: Vec<(DbIndex, &str)> = [0, 1].iter().flat_map(|db| NAMES.map(|name| (DbIndex(*db), name))).collect();
    for (client, (db, name)) in watched.iter().enumerate() {
        let key = bench.shard.hasher.clone().key(name.as_bytes());
        bench.shard.watch(client as u64 + 1, *db, &key, Millis(bench.now));
    }
    run(&mut bench, call);
    let now = Millis(bench.now);
    let told = watched.iter().enumerate().filter(|(client, _)| bench.shard.has_changed_for(*client as u64 + 1, now));
    let shown = told.map(|(_, (db, name))| if db.0 == 0 { (*name).to_owned() } else { format!("{}:{name}", db.0) });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_counts_as_a_change() {
    let mut wrong = Vec::new();
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts: Vec<&str> = format!(" {line} ").leak().split(" | ").map(str::trim).collect();
        let [before, call, expected] = parts[..] else { panic!("not a case: {line}") };
        let name = call.split(' ').next().unwrap();
        // The process carries these out, and tests of the process come to them.
        if ["SWAPDB", "EVAL"].contains(&name) {
            continue;
        }
        let touched = touched_by(before, call);
        if touched != expected {
            wrong.push(format!("{before} | {call} | {expected} <> {touched}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An empty result takes the place of what was there. Of a key whose time had passed already that is no change.
#[test]
fn clearing_away_what_has_expired_is_no_change() {
    for (before, call) in [
        ("SADD c 1", "SUNIONSTORE c a b"),
        ("SADD c 1", "SDIFFSTORE c a b"),
        ("ZADD c 1 x", "ZUNIONSTORE c 1 a"),
        ("ZADD c 1 x", "ZRANGESTORE c a 0 -1"),
        ("SET c 1", "BITOP AND c a b"),
        ("SET c 1", "SORT a STORE c"),
        ("SET c 1", "GEOSEARCHSTORE c a FROMLONLAT 1 1 BYRADIUS 1 m"),
    ] {
        for was_expired in [false, true] {
            let mut bench = Bench::new();
            run(&mut bench, before);
            run(&mut bench, "PEXPIRE c 5");
            bench.now += if was_expired { 10 } else { 0 };
            let key = bench.shard.hasher.clone().key(b"c");
            bench.shard.watch(1, DbIndex(0), &key, Millis(bench.now));
            bench.now += 10;
            run(&mut bench, call);
            assert_eq!(bench.shard.has_changed_for(1, Millis(bench.now)), !was_expired, "{call}");
            assert!(bench.shard.database(DbIndex(0)).find(&key).is_none(), "{call}");
        }
    }
}
