//! Calls over entries that were lent: what they replace is freed, whoever had it.

#![allow(clippy::unwrap_used)]

mod events;

use super::{Site, Workbench};
use crate::command::table;
use crate::commands::within::exec;
use crate::keyspace::{KeyHasher, Shard, ShardMap};
use crate::resp::{Protocol, ReplyBuffer, Request};
use crate::txn::batch::{Batch, Call, Order, Reach};
use crate::txn::locks::{Mode, Owner};
use crate::units::{DbIndex, Millis, ShardId};

const NOW: Millis = Millis(1_000_000);

/// More than a small set may have.
const MEMBERS: usize = 1_000;

struct World {
    site: Site,
    workbench: Workbench,
    owners: u64,
}

fn words(line: &str) -> Request {
    Request::new(line.split(' ').map(str::as_bytes))
}

fn call_of(request: &Request) -> Call {
    let row = table::resolve(&request.args()).unwrap();
    Call { keep: true, ..Call::new(row, DbIndex(0), Protocol::Resp2, None) }
}

impl World {
    fn new() -> Self {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let shard = Shard::new(ShardId(0), ShardMap::new(1), 16, hasher.clone(), 5);
        let workbench = Workbench::new(Shard::scratch(16, hasher, 6));
        Self { site: Site::new(shard), workbench, owners: 0 }
    }

    /// Runs a call as if the keys were on several shards: they are lent, and go back.
    fn gather(&mut self, line: &str, keys: &str) -> String {
        self.owners += 1;
        let (request, keys) = (words(line), words(keys));
        let call = call_of(&request);
        let mut batch = Box::new(Batch::new(ShardId(0)));
        batch.open_job(1, Owner(self.owners), Order::Lend, Reach::Keys);
        batch.push_call(&call, &keys.args());
        let mut done = Vec::new();
        self.site.deliver(NOW, batch, &mut done);
        let (mut batch, mut out) = (done.pop().unwrap(), ReplyBuffer::default());
        self.workbench.run(&mut self.site, NOW, false, &call, &request.args(), &mut [&mut batch], &mut out);
        batch.jobs[0].order = Order::Return;
        self.site.deliver(NOW, batch, &mut done);
        assert!(self.site.is_idle());
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn run(&mut self, line: &str) {
        let (request, mut out) = (words(line), ReplyBuffer::default());
        self.site.run(NOW, &call_of(&request), &request.args(), &mut out);
    }

    /// Everything that waits to be freed is freed; so many elements and keys that was.
    fn tend(&mut self) -> u64 {
        let before = self.site.shard.stats.lazyfreed;
        while self.site.upkeep(NOW, 64) {}
        assert_eq!(self.workbench.shard_mut().waiting_to_be_freed(), 0, "nothing is buried at the workbench");
        assert_eq!(self.site.shard.waiting_to_be_freed(), 0);
        self.site.shard.stats.lazyfreed - before
    }
}

#[test]
fn large_values_that_a_gathered_call_replaces_are_freed() {
    let mut world = World::new();
    for member in 0..MEMBERS {
        world.run(&format!("SADD {} member:{member:050}", if member % 2 == 0 { "a" } else { "b" }));
    }
    assert_eq!(world.gather("SUNIONSTORE union a b", "union a b"), format!(":{MEMBERS}\r\n"));
    assert_eq!(world.tend(), 0, "there was nothing to replace");
    let calls = [
        ("SUNIONSTORE union a b", "union a b"),
        ("COPY union copy", "union copy"),
        ("COPY union copy REPLACE", "union copy"),
        ("RENAME copy union", "copy union"),
        ("SDIFFSTORE union none a", "union none a"),
    ];
    let freed: Vec<bool> = calls
        .iter()
        .map(|(line, keys)| {
            assert!(!world.gather(line, keys).starts_with('-'), "{line}");
            world.tend() > 0
        })
        .collect();
    assert_eq!(freed, [true, false, true, true, true]);
}

/// A client that watches.
const WATCHER: u64 = 7;

impl World {
    fn watch(&mut self, keys: &str) {
        let (request, mut out) = (words(&format!("WATCH {keys}")), ReplyBuffer::default());
        self.site.run(NOW, &Call { client: WATCHER, ..call_of(&request) }, &request.args(), &mut out);
        assert_eq!(out.to_vec(), b"+OK\r\n");
    }

    /// A batch with one job of `owner`, with these lines as its calls, on behalf of the client that watches.
    fn job(&mut self, owner: u64, order: Order, lines: &[&str]) -> Option<Box<Batch>> {
        let mut batch = Box::new(Batch::new(ShardId(0)));
        batch.open_job(1, Owner(owner), order, Reach::Keys);
        for line in lines {
            let request = words(line);
            // What is lent is named by keys alone.
            let call = if order == Order::Lend { call_of(&words("DEL k")) } else { call_of(&request) };
            batch.push_call(&call, &request.args());
        }
        batch.jobs[0].watcher = WATCHER;
        self.deliver(batch)
    }

    fn deliver(&mut self, batch: Box<Batch>) -> Option<Box<Batch>> {
        let mut done = Vec::new();
        self.site.deliver(NOW, batch, &mut done);
        done.pop()
    }

    fn read(&mut self, key: &str) -> String {
        let (request, mut out) = (words(&format!("GET {key}")), ReplyBuffer::default());
        self.site.run(NOW, &call_of(&request), &request.args(), &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }
}

#[test]
fn a_job_whose_watcher_has_lost_does_nothing() {
    let mut world = World::new();
    world.run("SET k 1");
    for (change, is_lost) in [("GET k", false), ("SET k 1", true), ("SET other 1", false), ("DEL other k", true)] {
        world.run("SET k 1");
        world.watch("other_one k");
        world.run(change);
        let batch = world.job(1, Order::Run, &["SET done 1", "GET done"]).unwrap();
        let job = &batch.jobs[0];
        assert_eq!((job.refused, job.is_stale), (is_lost, is_lost), "{change}");
        assert_eq!(batch.end_of(job) == job.replies_from, is_lost, "no call has a reply if none is run");
        assert_eq!(world.read("done") == "$-1\r\n", is_lost);
        assert_eq!(world.site.shard.watched.clients(), 0, "the watch has ended");
        world.run("DEL done");
    }
}

#[test]
fn a_key_whose_time_passes_is_lost() {
    let mut world = World::new();
    world.run(&format!("SET k 1 PXAT {}", NOW.0 + 1));
    world.watch("k");
    let is_lost = |world: &World, now: i64| world.site.shard.has_changed_for(WATCHER, Millis(now));
    assert_eq!((is_lost(&world, NOW.0), is_lost(&world, NOW.0 + 2)), (false, true));
    world.site.upkeep(Millis(NOW.0 + 2), 64);
    assert!(is_lost(&world, NOW.0), "it was removed");
}

#[test]
fn what_is_lent_waits_and_is_told_of() {
    for (line, is_lost) in [("RENAME a b", true), ("COPY a b", false), ("SINTERSTORE c b none", false)] {
        let mut world = World::new();
        world.run("SADD a 1");
        world.watch("a");
        let request = words(line);
        let mut lent = Box::new(Batch::new(ShardId(0)));
        lent.open_job(1, Owner(1), Order::Lend, Reach::Keys);
        let keys: Vec<&[u8]> = (1..request.args().len()).map(|index| request.args().get(index)).collect();
        lent.push_call(&call_of(&request), &Request::new(keys).args());
        let mut lent = world.deliver(lent).unwrap();
        // The transaction touches another key, but may not overtake who has what is watched in hand.
        let waiting = world.job(2, Order::Run, &["SET done 1"]);
        assert_eq!(waiting.is_none(), line.contains(" a "), "{line}");
        let mut out = ReplyBuffer::default();
        let World { site, workbench, .. } = &mut world;
        workbench.run(site, NOW, false, &call_of(&request), &request.args(), &mut [&mut lent], &mut out);
        lent.jobs[0].order = Order::Return;
        let mut done = Vec::new();
        world.site.deliver(NOW, lent, &mut done);
        let job = waiting.or_else(|| done.into_iter().find(|batch| batch.jobs[0].order == Order::Run));
        assert_eq!(job.unwrap().jobs[0].is_stale, is_lost, "{line}");
        assert!(world.site.is_idle());
    }
}

#[test]
fn a_stale_job_that_locks_has_its_locks() {
    for order in [Order::TryLock, Order::Lend, Order::RunAndKeep] {
        let mut world = World::new();
        world.watch("k");
        world.run("SET k 1");
        let lines = if order == Order::Lend { ["k"] } else { ["SET k 2"] };
        let batch = world.job(1, order, &lines).unwrap();
        assert!(batch.jobs[0].is_stale && batch.lent.is_empty(), "{order:?}");
        assert_eq!(batch.jobs[0].refused, order != Order::TryLock, "{order:?}");
        assert!(!world.site.is_idle(), "{order:?}");
        world.site.release(NOW, Owner(1), &mut Vec::new());
        assert!(world.site.is_idle() && world.read("k") == "$1\r\n1\r\n", "{order:?}");
        assert_eq!(world.site.shard.watched.clients(), 1, "whoever goes on elsewhere ends the watch");
    }
}

#[test]
fn lent_keys_are_told_of_call_by_call() {
    for line in include_str!("../../../tests/data/touches.txt").lines().filter(|line| !line.starts_with('#')) {
        let line = format!(" {line} ");
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [before, call, expected] = parts[..] else { continue };
        let Ok(row) = table::resolve(&words(call).args()) else { continue };
        let mut keys = 0;
        row.visit_keys(&words(call).args(), |_, _| keys += 1);
        let has_quotes = before.contains('"') || call.contains('"');
        if keys < 2 || line.contains("1:") || call.contains(" DB ") || has_quotes || row.name.starts_with("eval") {
            continue;
        }
        for name in ["a", "b", "c", "d"] {
            let mut world = World::new();
            before.split("; ").filter(|line| !line.is_empty()).for_each(|line| world.run(line));
            world.watch(name);
            world.gather(call, "a b c d");
            let is_lost = world.site.shard.has_changed_for(WATCHER, NOW);
            assert_eq!(is_lost, expected.split(' ').any(|touched| touched == name), "{before} | {call} | {name}");
        }
    }
}

#[test]
fn a_unit_over_what_is_lent_is_told_of() {
    for (lines, is_lost) in [(&["SET a 1", "SET k 1", "GET a"], true), (&["SET a 1", "GET k", "SET b 1"], false)] {
        let mut world = World::new();
        world.watch("k");
        let mut lent = Box::new(Batch::new(ShardId(0)));
        lent.open_job(1, Owner(1), Order::Lend, Reach::Keys);
        lent.push_call(&call_of(&words("DEL k")), &words("a b k").args());
        let mut lent = world.deliver(lent).unwrap();
        let mut request = exec::request();
        for line in lines {
            let call = words(line);
            exec::push(&mut request, table::resolve(&call.args()).unwrap(), DbIndex(0), &call.args());
        }
        let (unit, mut out) = (Call { row: &exec::UNIT, ..call_of(&words("GET k")) }, ReplyBuffer::default());
        let World { site, workbench, .. } = &mut world;
        workbench.run(site, NOW, false, &unit, &request.args(), &mut [&mut lent], &mut out);
        lent.jobs[0].order = Order::Return;
        world.deliver(lent);
        assert_eq!(world.site.shard.has_changed_for(WATCHER, NOW), is_lost, "{lines:?}");
    }
}

#[test]
fn a_change_is_not_known_before_whoever_made_it_has_ended() {
    let mut world = World::new();
    world.watch("k other");
    let mut batch = Box::new(Batch::new(ShardId(0)));
    batch.open_job(1, Owner(1), Order::RunAndKeep, Reach::Keys);
    let request = words("SET k 1");
    batch.push_call(&call_of(&request), &request.args());
    assert!(world.deliver(batch).is_some(), "a part of it has run");
    for order in [Order::Lend, Order::Run] {
        assert!(world.job(2, order, &["GET unrelated"]).is_none(), "{order:?}");
        world.site.release(NOW, Owner(2), &mut Vec::new());
    }
    let mut done = Vec::new();
    assert!(world.job(3, Order::Lend, &[]).is_none());
    world.site.release(NOW, Owner(1), &mut done);
    assert!(done.pop().unwrap().jobs[0].is_stale);
}

#[test]
fn what_is_watched_is_locked_although_it_was_away() {
    for order in [Order::Lend, Order::Run] {
        let mut world = World::new();
        world.watch("k");
        let mut whole = Box::new(Batch::new(ShardId(0)));
        whole.open_job(1, Owner(1), Order::Lend, Reach::Whole(Mode::Exclusive));
        let mut whole = world.deliver(whole).unwrap();
        assert!(world.job(2, order, &[]).is_none(), "the data is away");
        whole.jobs[0].order = Order::Return;
        let mut done = Vec::new();
        world.site.deliver(NOW, whole, &mut done);
        let job = done.iter().find(|batch| batch.jobs[0].owner == Owner(2)).unwrap();
        assert!(!job.jobs[0].is_stale);
        let write = world.job(3, Order::Lend, &["k"]);
        assert_eq!(write.is_none(), order == Order::Lend, "{order:?}");
    }
}

#[test]
fn a_watch_travels_with_all_data() {
    let mut world = World::new();
    let host = Shard::new(ShardId(0), ShardMap::new(1), 16, KeyHasher::new([1, 2, 3, 4]), 5);
    let mut guest = Shard::guest(ShardId(0), &host, 6);
    for (key, forgets) in [("k", false), ("other", false), ("k", true)] {
        world.watch("k");
        let mut loan = world.site.shard.lend();
        guest.lay_out(&mut loan, &host);
        let touched = guest.hasher.clone().key(key.as_bytes());
        guest.watched.touch(DbIndex(0), &touched, crate::keyspace::watched::Touch::Changed);
        if forgets {
            let mut batch = Box::new(Batch::new(ShardId(0)));
            batch.unwatches.push(WATCHER);
            world.deliver(batch);
        }
        guest.pack_up(&mut loan);
        world.site.shard.take_back(loan);
        assert_eq!(world.site.shard.has_changed_for(WATCHER, NOW), key == "k" && !forgets);
        assert_eq!(world.site.shard.watched.clients(), usize::from(!forgets));
        world.site.shard.forget_watcher(WATCHER);
    }
}
