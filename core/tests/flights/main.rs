//! Transactions over shards, simulated: every run is one seed, which decides what the clients ask for and in which
//! order letters arrive. Whatever the order, every flight lands, nothing stays locked, lent or waiting, and the answers
//! and the final state are those of some serial order that respects each client's program and real time.
//!
//! `RINGKEY_SEED=n` runs that seed alone; `RINGKEY_SEEDS=n` runs so many seeds in each test.
#![allow(clippy::unwrap_used)]

mod events;
mod model;
mod units;
mod waiting;
mod world;

use model::{Event, History, Op, Search, State, Value, Verdict};
use ringkey_core::keyspace::slot::{ShardMap, slot_of};
use ringkey_core::prng::Prng;
use ringkey_core::resp::Protocol;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use world::{Tally, World};

/// Runs `test` with each seed; tells the seed where it fails.
fn for_seeds(count: u64, mut test: impl FnMut(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("RINGKEY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RINGKEY_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
            panic!("RINGKEY_SEED={seed}: {}", text.unwrap_or("it panicked"));
        }
    }
}

/// Draws what clients ask for.
struct Lot {
    prng: Prng,
    /// The first of the keys that are drawn, and how many these are.
    first: usize,
    keys: usize,
    values: u64,
    has_large_values: bool,
    /// Do clients use lists, and wait for them?
    has_lists: bool,
    /// The keys of each shard.
    of_shards: Vec<Vec<usize>>,
}

impl Lot {
    fn new(seed: u64, keys: usize) -> Self {
        let (first, values, has_large_values, has_lists, of_shards) = (0, 0, false, false, Vec::new());
        Self { prng: Prng::new(seed), first, keys, values, has_large_values, has_lists, of_shards }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.prng.below(bound as u64) as usize
    }

    fn key(&mut self) -> usize {
        self.first + self.below(self.keys)
    }

    fn keys(&mut self) -> Vec<usize> {
        let count = 1 + self.below(5);
        (0..count).map(|_| self.key()).collect()
    }

    /// Each value is drawn once, so that it tells who wrote it.
    fn value(&mut self) -> Rc<[u8]> {
        self.values += 1;
        let text = self.values.to_string();
        match self.has_large_values && self.below(3) == 0 {
            true => text.repeat(20_000).into_bytes().into(),
            false => text.into_bytes().into(),
        }
    }

    fn pairs(&mut self) -> Vec<(usize, Rc<[u8]>)> {
        let keys = self.keys();
        keys.into_iter().map(|key| (key, self.value())).collect()
    }

    fn simple(&mut self) -> Op {
        let key = self.key();
        match self.below(8) {
            0..=2 => Op::Set(key, self.value()),
            3 | 4 => Op::Get(key),
            5 => Op::Incr(key),
            6 => Op::Append(key, self.value()),
            _ => Op::GetDel(key),
        }
    }

    fn op(&mut self) -> Op {
        let (one, other) = (self.key(), self.key());
        match self.below(26) {
            0..=11 => self.simple(),
            12 | 13 => Op::MSet(self.pairs()),
            14 | 15 => Op::MGet(self.keys()),
            16 => Op::Del(self.keys()),
            17 => Op::Exists(self.keys()),
            18 => Op::MSetNx(self.pairs()),
            19 | 20 => Op::Rename(one, other),
            21 => Op::RenameNx(one, other),
            22 => Op::Copy(one, other, self.below(2)),
            23 if !self.has_large_values => Op::Lcs(one, other),
            23 | 24 => Op::DbSize,
            _ => match self.below(7) {
                0 => Op::FlushAll,
                1 => Op::Keys,
                2 => Op::Index,
                3 => Op::Sort,
                4 => Op::SortInto(one),
                _ => {
                    let shard = self.below(self.of_shards.len());
                    Op::Look(shard, self.of_shards[shard].clone())
                }
            },
        }
    }

    /// Operations on lists, some of which wait.
    fn list_op(&mut self) -> Op {
        let (one, other) = (self.key(), self.key());
        match self.below(20) {
            0..=4 => Op::RPush(one, (0..1 + self.below(3)).map(|_| self.value()).collect()),
            5 => Op::LPop(one),
            6 => Op::LMove(one, other),
            7 | 8 => Op::LRange(one),
            9..=12 => Op::BLPop(vec![one]),
            13 | 14 => Op::BLPop(self.keys()),
            15 | 16 => Op::BLMove(one, other),
            _ => self.op(),
        }
    }

    /// A transaction of calls with one key each, which may take elements of lists but never wait.
    fn unit(&mut self) -> Op {
        let count = 1 + self.below(6);
        let op = |lot: &mut Self| match lot.below(if lot.has_lists { 12 } else { 5 }) {
            0..=4 => lot.simple(),
            5..=7 => Op::RPush(lot.key(), (0..1 + lot.below(2)).map(|_| lot.value()).collect()),
            8 | 9 => Op::LPop(lot.key()),
            10 => Op::BLPop(vec![lot.key()]),
            _ => Op::LRange(lot.key()),
        };
        Op::Unit((0..count).map(|_| op(self)).collect())
    }

    /// What one client sends: some windows, each a pipeline.
    fn windows(&mut self, ops: usize) -> Vec<Vec<Op>> {
        let mut windows = Vec::new();
        let mut left = ops;
        while left > 0 {
            let len = (1 + self.below(6)).min(left);
            left -= len;
            let only_simple = self.below(2) == 0;
            let mut op = || match (self.has_lists, only_simple) {
                (true, _) => self.list_op(),
                (false, true) => self.simple(),
                (false, false) => self.op(),
            };
            windows.push((0..len).map(|_| op()).collect());
        }
        windows
    }

    /// Draws the names of the keys and of their index, which decide on which of so many shards they are.
    fn names(&mut self, shards: usize) -> Vec<Vec<u8>> {
        let names: Vec<Vec<u8>> =
            (0..=self.keys).map(|key| format!("{key}:{}", self.below(10_000)).into_bytes()).collect();
        let map = ShardMap::new(shards as u16);
        self.of_shards = vec![Vec::new(); shards];
        for (key, name) in names.iter().enumerate() {
            self.of_shards[map.shard_of(slot_of(name)).index()].push(key);
        }
        names
    }
}

fn protocol(lot: &mut Lot) -> Protocol {
    if lot.below(2) == 0 { Protocol::Resp2 } else { Protocol::Resp3 }
}

/// Some clients with few keys: their histories are searched for a serial order.
fn judged_run(seed: u64, has_lists: bool, sum: &mut Tally) -> Verdict {
    let mut lot = Lot::new(seed, 0);
    lot.has_large_values = seed % 64 == 63;
    lot.has_lists = has_lists;
    lot.keys = 2 + lot.below(5);
    let shards = 1 + lot.below(8);
    let names = lot.names(shards);
    let mut world = World::new(shards, names.clone(), seed, false);
    for _ in 0..2 + lot.below(3) {
        let (home, db, ops) = (lot.below(shards), usize::from(lot.below(8) == 0), 4 + lot.below(12));
        let windows = lot.windows(ops);
        world.connect(home, db, protocol(&mut lot), windows);
    }
    judge(world, &names, sum)
}

/// Runs a world to its end and searches for a serial order.
fn judge(mut world: World, names: &[Vec<u8>], sum: &mut Tally) -> Verdict {
    if names[0].len().is_multiple_of(2) {
        world.listen();
    }
    world.run().unwrap_or_else(|trouble| panic!("{trouble}"));
    add(sum, &world.tally);
    let (end, histories) = (world.state(), world.histories());
    let verdict = Search::run(&histories, names, &end);
    if verdict == Verdict::Broken {
        let histories: String = histories.iter().map(History::to_string).collect();
        panic!("no serial order for these, which ended as {end:?}:\n{histories}");
    }
    verdict
}

fn add(sum: &mut Tally, more: &Tally) {
    sum.direct += more.direct;
    sum.jobs += more.jobs;
    sum.flights += more.flights;
    sum.units += more.units;
    sum.relays += more.relays;
    sum.brought += more.brought;
    sum.refused += more.refused;
    sum.assembled += more.assembled;
    sum.waits += more.waits;
    sum.blocking += more.blocking;
    sum.parked += more.parked;
    sum.served += more.served;
    sum.tries += more.tries;
    sum.given_up += more.given_up;
    sum.put_back += more.put_back;
}

/// The same, where most of what clients ask for needs all shards or writes what that reads.
fn assembled_run(seed: u64, sum: &mut Tally) -> Verdict {
    let mut lot = Lot::new(seed, 0);
    lot.keys = 2 + lot.below(5);
    let shards = 1 + lot.below(8);
    let names = lot.names(shards);
    let mut world = World::new(shards, names.clone(), seed, false);
    for _ in 0..2 + lot.below(3) {
        let ops = |lot: &mut Lot| match lot.below(17) {
            0 => Op::Index,
            1..=4 => Op::Sort,
            5 | 6 => Op::SortInto(lot.key()),
            7 => Op::MSet(lot.pairs()),
            8 => Op::Rename(lot.key(), lot.key()),
            9 => Op::DbSize,
            10..=13 => lot.list_op(),
            _ => lot.simple(),
        };
        let mut windows = vec![vec![Op::Index]];
        for _ in 0..1 + lot.below(5) {
            windows.push((0..1 + lot.below(4)).map(|_| ops(&mut lot)).collect());
        }
        world.connect(lot.below(shards), 0, protocol(&mut lot), windows);
    }
    judge(world, &names, sum)
}

#[test]
fn calls_over_all_data_have_their_place_in_the_order() {
    let (mut sum, mut runs, mut undecided) = (Tally::default(), 0, 0);
    for_seeds(1_500, |seed| {
        runs += 1;
        undecided += u64::from(assembled_run(seed, &mut sum) == Verdict::Undecided);
    });
    assert!(undecided * 50 <= runs, "{undecided} of {runs} histories are too tangled to judge");
    if runs > 1_000 {
        let all = [sum.assembled, sum.refused, sum.waits, sum.served, sum.tries];
        assert!(all.iter().all(|count| *count > runs / 4), "hardly any conflict: {sum:?}");
    }
}

/// The same, where about a third of what clients ask for are transactions.
fn run_with_units(seed: u64, sum: &mut Tally) -> Verdict {
    let mut lot = Lot::new(seed, 0);
    lot.has_lists = seed.is_multiple_of(2);
    lot.keys = 2 + lot.below(6);
    let shards = 1 + lot.below(8);
    let names = lot.names(shards);
    let mut world = World::new(shards, names.clone(), seed, false);
    for _ in 0..2 + lot.below(3) {
        let (home, db, ops) = (lot.below(shards), usize::from(lot.below(8) == 0), 4 + lot.below(8));
        let mut windows = lot.windows(ops);
        for op in windows.iter_mut().flatten() {
            if lot.below(3) == 0 {
                *op = lot.unit();
            }
        }
        world.connect(home, db, protocol(&mut lot), windows);
    }
    judge(world, &names, sum)
}

#[test]
fn transactions_are_one_step_of_a_serial_order() {
    let (mut sum, mut runs, mut undecided) = (Tally::default(), 0, 0);
    for_seeds(2_000, |seed| {
        runs += 1;
        undecided += u64::from(run_with_units(seed, &mut sum) == Verdict::Undecided);
    });
    assert!(undecided * 50 <= runs, "{undecided} of {runs} histories are too tangled to judge");
    if runs > 1_000 {
        let all = [sum.units, sum.flights, sum.relays, sum.refused, sum.waits, sum.served];
        assert!(all.iter().all(|count| *count > runs / 4), "hardly any conflict: {sum:?}");
    }
}

#[test]
fn every_history_is_that_of_a_serial_order() {
    let (mut sum, mut runs, mut undecided) = (Tally::default(), 0, 0);
    for_seeds(3_000, |seed| {
        runs += 1;
        undecided += u64::from(judged_run(seed, false, &mut sum) == Verdict::Undecided);
    });
    assert!(undecided * 50 <= runs, "{undecided} of {runs} histories are too tangled to judge");
    if runs > 1_000 {
        let all = [sum.direct, sum.jobs, sum.flights, sum.relays, sum.refused, sum.waits];
        assert!(all.iter().all(|count| *count > runs / 4), "hardly any conflict: {sum:?}");
    }
}

#[test]
fn calls_that_wait_are_part_of_a_serial_order() {
    let (mut sum, mut runs, mut undecided) = (Tally::default(), 0, 0);
    for_seeds(1_000, |seed| {
        runs += 1;
        undecided += u64::from(judged_run(seed, true, &mut sum) == Verdict::Undecided);
    });
    assert!(undecided * 50 <= runs, "{undecided} of {runs} histories are too tangled to judge");
    if runs > 900 {
        let all = [sum.blocking, sum.parked, sum.served, sum.tries, sum.given_up];
        assert!(all.iter().all(|count| *count > runs / 4), "hardly anybody waited: {sum:?}");
    }
}

/// Clients that wait and hang up meanwhile: whatever is pushed is in one reply or left.
fn vanishing_run(seed: u64, sum: &mut Tally) {
    let mut lot = Lot::new(seed, 5);
    let shards = 1 + lot.below(8);
    let names = lot.names(shards);
    let mut world = World::new(shards, names.clone(), seed, false);
    world.clients_vanish = true;
    for client in 0..12 {
        let windows = (0..12)
            .map(|_| match (client % 3, lot.below(4)) {
                (0, _) => vec![Op::RPush(lot.key(), (0..1 + lot.below(3)).map(|_| lot.value()).collect())],
                (_, 0) => vec![Op::BLMove(lot.key(), lot.key())],
                (_, 1) => vec![Op::BLPop(lot.keys())],
                _ => vec![Op::BLPop(vec![lot.key()])],
            })
            .collect();
        world.connect(lot.below(shards), 0, protocol(&mut lot), windows);
    }
    world.run().unwrap_or_else(|trouble| panic!("{trouble}"));
    add(sum, &world.tally);
    let mut seen = vec![0; lot.values as usize + 1];
    let mut note = |text: &[u8]| seen[integer_in(text) as usize] += 1;
    for value in world.state().0.iter().flatten() {
        let Value::List(list) = value else { panic!("only lists were made") };
        list.iter().for_each(|text| note(text));
    }
    for Event { op, reply, .. } in world.histories().iter().flat_map(|history| &history.events) {
        if matches!(op, Op::BLPop(_)) && reply.starts_with(b"*2") {
            note(reply);
        }
    }
    assert!(seen[1..].iter().all(|count| *count == 1), "each element is in one place: {seen:?}");
}

#[test]
fn clients_that_vanish_lose_and_double_nothing() {
    let (mut sum, mut runs) = (Tally::default(), 0);
    for_seeds(300, |seed| {
        runs += 1;
        vanishing_run(seed, &mut sum);
    });
    assert!(runs < 300 || sum.put_back > runs / 4 && sum.tries > runs, "hardly anything was put back: {sum:?}");
}

/// Laws that can be told from a history at sight, for long runs with many clients.
///
/// Keys 0 to 3 are written by MSET only, all with one value; 4 to 6 hold one thing that is renamed from one to another;
/// 7 and 8 are written in this order by pipelines of one client; 9 to 11 are counters.
fn long_run(seed: u64) {
    let mut lot = Lot::new(seed, 12);
    let shards = 1 + lot.below(8);
    let names = lot.names(shards);
    let mut world = World::new(shards, names, seed, false);
    let fill: Vec<(usize, Rc<[u8]>)> =
        (0..12).filter(|key| ![5, 6].contains(key)).map(|key| (key, number(0))).collect();
    world.connect(0, 0, Protocol::Resp2, vec![vec![Op::MSet(fill)]]);
    world.run().unwrap_or_else(|trouble| panic!("{trouble}"));
    for client in 0..10 {
        let windows = (1..40).map(|turn| long_window(&mut lot, client, turn)).collect();
        world.connect(lot.below(shards), 0, Protocol::Resp2, windows);
    }
    world.run().unwrap_or_else(|trouble| panic!("{trouble}"));
    let histories = world.histories();
    for history in &histories {
        check_long_history(history);
    }
    let count =
        |key: usize| histories.iter().flat_map(|one| &one.events).filter(|event| event.op == Op::Incr(key)).count();
    let State(end) = world.state();
    for (key, value) in (9..12).zip(&end[9..]) {
        assert_eq!(*value, Some(Value::Text(number(count(key)))), "counter {key}");
    }
    assert_eq!(end[4..7].iter().flatten().count(), 1, "what is renamed is neither lost nor doubled");
}

fn number(number: usize) -> Rc<[u8]> {
    number.to_string().into_bytes().into()
}

fn long_window(lot: &mut Lot, client: usize, turn: usize) -> Vec<Op> {
    match client {
        0 => return vec![Op::Set(7, number(turn)), Op::Set(8, number(turn))],
        1 => return vec![Op::Get(8), Op::Get(7), Op::MGet(vec![8, 7])],
        _ => {}
    }
    let thing = [4, 5, 6][lot.below(3)];
    let other = [4, 5, 6][lot.below(3)];
    match lot.below(8) {
        0 => {
            let value = lot.value();
            vec![Op::MSet([2, 0, 3, 1].map(|key| (key, value.clone())).into())]
        }
        1 => vec![Op::MGet(vec![0, 1, 2, 3])],
        2 => vec![Op::Rename(thing, other)],
        3 => vec![Op::Exists(vec![4, 5, 6]), Op::DbSize],
        4 => vec![Op::RenameNx(thing, other), Op::DbSize, Op::Exists(vec![6, 5, 4])],
        5 => vec![Op::Lcs(0, 3), Op::MSetNx(vec![(9, number(9)), (10, number(9))])],
        _ => (0..1 + lot.below(8)).map(|_| Op::Incr(9 + lot.below(3))).collect(),
    }
}

fn check_long_history(history: &History) {
    let mut counters = [0; 12];
    for window in history.events.chunk_by(|a, b| a.invoked == b.invoked) {
        if let [Event { op: Op::Get(8), reply: newer, .. }, Event { op: Op::Get(7), reply: older, .. }, ..] = window {
            assert!(integer_in(newer) <= integer_in(older), "a later SET was seen before an earlier one: {window:?}");
        }
    }
    for Event { op, reply, .. } in &history.events {
        let reply = String::from_utf8_lossy(reply);
        match op {
            Op::MGet(keys) => {
                let items: Vec<&str> = reply.lines().skip(2).step_by(2).collect();
                match keys.as_slice() {
                    [8, 7] => assert!(items[0].parse::<u32>().unwrap() <= items[1].parse().unwrap(), "{reply}"),
                    _ => assert!(items.iter().all(|item| *item == items[0]), "a torn MSET: {reply}"),
                }
            }
            Op::Exists(_) => assert_eq!(reply, ":1\r\n", "what is renamed is always in one place"),
            Op::DbSize => assert_eq!(reply, ":10\r\n", "nobody adds or removes keys"),
            Op::MSetNx(_) => assert_eq!(reply, ":0\r\n"),
            Op::Lcs(..) => assert_ne!(reply, ":0\r\n", "both keys have one value"),
            Op::Incr(key) => {
                let now = integer_in(reply.as_bytes());
                assert!(now > counters[*key], "a counter fell");
                counters[*key] = now;
            }
            _ => {}
        }
    }
}

/// The number in a reply that is one, as an integer or as a bulk string.
fn integer_in(reply: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(reply);
    let line = text.lines().last().unwrap();
    line.trim_start_matches(':').parse().unwrap()
}

#[test]
fn long_runs_keep_the_laws_that_can_be_seen() {
    for_seeds(40, long_run);
}

/// With a clock that goes on, and keys that expire at any moment: also under locks, on the workbench, between legs.
fn timed_run(seed: u64) {
    let mut lot = Lot::new(seed, 6);
    let shards = 1 + lot.below(8);
    let names = lot.names(shards);
    let mut world = World::new(shards, names, seed, true);
    for _ in 0..6 {
        let home = lot.below(shards);
        let mut windows = lot.windows(24);
        for op in windows.iter_mut().flatten() {
            if let Op::Set(key, value) = op {
                *op = Op::SetFor(*key, value.clone(), 1 + lot.below(60) as u32);
            }
        }
        world.connect(home, lot.below(2), protocol(&mut lot), windows);
    }
    world.run().unwrap_or_else(|trouble| panic!("{trouble}"));
    world.state();
}

#[test]
fn keys_that_expire_leave_nothing_locked() {
    for_seeds(300, timed_run);
}

#[test]
fn the_search_tells_right_from_wrong() {
    let event = |op: Op, reply: &str, invoked: u64, answered: u64| Event { op, reply: reply.into(), invoked, answered };
    let client = |events: Vec<Event>| History { db: 0, protocol: Protocol::Resp2, events };
    let names = vec![b"a".to_vec(), b"b".to_vec()];
    let set = |answered| client(vec![event(Op::MSet(vec![(0, number(1)), (1, number(1))]), "+OK\r\n", 0, answered)]);
    let mut end = State::empty(2);
    end.0[..2].fill(Some(Value::Text(number(1))));
    let judge = |histories: &[History]| Search::run(histories, &names, &end);
    let none = "*2\r\n$-1\r\n$-1\r\n";
    let read = |reply: &str| client(vec![event(Op::MGet(vec![0, 1]), reply, 2, 3)]);
    assert_eq!(judge(&[set(2), read(none)]), Verdict::Serial);
    assert_eq!(judge(&[set(1), read(none)]), Verdict::Broken, "it had been answered before");
    assert_eq!(judge(&[set(2), read("*2\r\n$1\r\n1\r\n$1\r\n1\r\n")]), Verdict::Serial);
    assert_eq!(judge(&[set(2), read("*2\r\n$-1\r\n$1\r\n1\r\n")]), Verdict::Broken, "torn");
    assert_eq!(judge(&[]), Verdict::Broken, "the final state counts");
}
