//! Is every command atomic, on however many cores its keys live, and does every connection's own order
//! hold for those who watch? Histories of random rounds go to the checker; targeted tests watch
//! for the faults that a sharded server is most likely to have.
//!
//! `RINGKEY_SECONDS` makes each test longer than its few seconds, `RINGKEY_SEED` replays a run's choices
//! (never its timing), `RINGKEY_TARGET=reference` shows that the tests themselves are right.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::careless::{self, Fault};
use ringkey_tests::client::{Address, encoded};
use ringkey_tests::linear::Verdict;
use ringkey_tests::rng::Rng;
use ringkey_tests::runner::{Runner, Workload};
use ringkey_tests::server::Setup;
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Reply, Server, linear};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

const CORES: usize = 4;

/// These tests measure orders, so each has the machine to itself.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn seconds() -> Duration {
    let seconds = std::env::var("RINGKEY_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5.0);
    Duration::from_secs_f64(seconds)
}

fn seed() -> u64 {
    let given = std::env::var("RINGKEY_SEED").ok().and_then(|text| text.parse().ok());
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    given.unwrap_or(clock as u64)
}

/// One key on each core.
fn keys(prefix: &str) -> Vec<String> {
    (0..CORES).map(|core| key_on_core(prefix, core, CORES, 0)).collect()
}

/// Plays rounds until time is up or one of them is refused; the number of rounds or the refusal.
fn play_rounds(address: &Address, workload: &Workload, time: Duration) -> Result<usize, String> {
    let seed = seed();
    let mut rng = Rng::new(seed);
    let mut runner = Runner::new(address, workload);
    let end = Instant::now() + time;
    let (mut rounds, mut undecided) = (0, 0);
    while Instant::now() < end {
        let history = runner.round(&workload.scripts(&mut rng));
        rounds += 1;
        match linear::check(&history, &workload.keys) {
            Verdict::Linearizable => {}
            Verdict::Undecided => undecided += 1,
            Verdict::Refused(why) => return Err(format!("round {rounds} of seed {seed} is not linearizable: {why}")),
        }
    }
    assert!(undecided * 20 <= rounds, "{undecided} of {rounds} rounds were too tangled to judge");
    Ok(rounds)
}

fn judge_rounds(workload: &Workload) {
    let _alone = alone();
    let server = Setup::new().cores(CORES).start();
    match play_rounds(&server.address(), workload, seconds()) {
        Ok(rounds) => assert!(rounds >= 5, "only {rounds} rounds in {:?}", seconds()),
        Err(refusal) => panic!("{refusal}"),
    }
}

/// The rounds must find what is wrong with a wrong server, and nothing wrong with a right one.
#[test]
fn careless_servers_are_found_out() {
    let _alone = alone();
    let single = Workload { keys: keys("c"), clients: 8, groups: 6, group_max: 1, lists: false, units: false };
    let pipelines = Workload { keys: keys("c"), clients: 6, groups: 2, group_max: 6, lists: false, units: false };
    let faults = [
        (Fault::NoTransactions, &single),
        (Fault::NoTransactions, &pipelines),
        (Fault::NoProgramOrder, &pipelines),
        (Fault::StaleReads, &single),
    ];
    let units = Workload { keys: keys("c"), clients: 6, groups: 4, group_max: 2, lists: false, units: true };
    let faults = faults.into_iter().chain([
        (Fault::TornTransactions, &units),
        (Fault::TornScripts, &units),
        (Fault::BlindToWatches, &units),
        (Fault::LateTransactions, &units),
    ]);
    for (fault, workload) in faults {
        let address = careless::start(&workload.keys, CORES, fault).unwrap();
        let result = play_rounds(&address, workload, Duration::from_secs(20));
        assert!(result.is_err(), "{fault:?} was not found in {result:?} rounds");
    }
    for workload in [&single, &pipelines, &units] {
        let address = careless::start(&workload.keys, CORES, Fault::None).unwrap();
        play_rounds(&address, workload, Duration::from_secs(1)).unwrap();
    }
}

#[test]
fn single_requests() {
    judge_rounds(&Workload { keys: keys("s"), clients: 8, groups: 6, group_max: 1, lists: false, units: false });
}

#[test]
fn pipelines() {
    judge_rounds(&Workload { keys: keys("p"), clients: 6, groups: 2, group_max: 6, lists: false, units: false });
}

#[test]
fn long_pipelines_of_few_clients() {
    judge_rounds(&Workload { keys: keys("l"), clients: 3, groups: 2, group_max: 12, lists: false, units: false });
}

#[test]
fn lists_and_those_who_wait_for_them() {
    judge_rounds(&Workload { keys: keys("w"), clients: 6, groups: 5, group_max: 2, lists: true, units: false });
}

#[test]
fn transactions_and_scripts() {
    judge_rounds(&Workload { keys: keys("u"), clients: 6, groups: 4, group_max: 2, lists: false, units: true });
}

#[test]
fn pipelines_of_transactions_and_scripts() {
    judge_rounds(&Workload { keys: keys("v"), clients: 4, groups: 2, group_max: 6, lists: false, units: true });
}

#[test]
fn transactions_and_scripts_over_lists_that_others_wait_for() {
    judge_rounds(&Workload { keys: keys("x"), clients: 6, groups: 4, group_max: 2, lists: true, units: true });
}

#[test]
fn transactions_and_scripts_over_two_cores() {
    let keys = [(0, 0), (3, 0), (0, 1_000)].map(|(core, start)| key_on_core("y", core, CORES, start)).to_vec();
    judge_rounds(&Workload { keys, clients: 6, groups: 4, group_max: 2, lists: false, units: true });
}

#[test]
fn two_keys_of_one_core_and_two_of_another() {
    let mut keys = vec![key_on_core("t", 0, CORES, 0), key_on_core("t", 3, CORES, 0)];
    keys.push(key_on_core("t", 0, CORES, 1_000));
    keys.push(key_on_core("t", 3, CORES, 1_000));
    judge_rounds(&Workload { keys, clients: 6, groups: 3, group_max: 3, lists: false, units: false });
}

/// Something that goes on until it is told to stop.
type Part<'a> = Box<dyn FnOnce(&dyn Fn() -> bool) + Send + 'a>;

/// Runs the parts until time is up or one of them fails.
fn side_by_side(parts: Vec<Part<'_>>, time: Duration) {
    let failed = AtomicBool::new(false);
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        for part in parts {
            let failed = &failed;
            scope.spawn(move || {
                struct Alarm<'a>(&'a AtomicBool);
                impl Drop for Alarm<'_> {
                    fn drop(&mut self) {
                        self.0.fetch_or(std::thread::panicking(), Ordering::Relaxed);
                    }
                }
                let _alarm = Alarm(failed);
                part(&|| Instant::now() < end && !failed.load(Ordering::Relaxed));
            });
        }
    });
}

fn number(reply: &Reply) -> u64 {
    if reply.is_null() { 0 } else { reply.text().parse().unwrap() }
}

/// Sends commands in one write and reads all their replies.
fn pipelined(client: &mut Client, commands: &[&[&str]]) -> Vec<Reply> {
    let bytes: Vec<u8> = commands.iter().flat_map(|words| encoded(words)).collect();
    client.send(&bytes).unwrap();
    commands.iter().map(|_| client.read_reply().unwrap()).collect()
}

/// A writer's pipeline `SET first i`, `SET second i`: whoever sees i in the second finds it in the first.
fn watch_pair(server: &Server, first: &str, second: &str, time: Duration) {
    server.client().command(&["DEL", first, second]);
    let writer = |goes_on: &dyn Fn() -> bool| {
        let mut client = server.client();
        let mut i = 0_u64;
        while goes_on() {
            // Several pairs in one write now and then, so that batches of many commands meet readers.
            let pairs = 1 + i % 4;
            let texts: Vec<String> = (0..pairs).map(|more| (i + 1 + more).to_string()).collect();
            let commands: Vec<[&str; 3]> =
                texts.iter().flat_map(|text| [["SET", first, text], ["SET", second, text]]).collect();
            let commands: Vec<&[&str]> = commands.iter().map(<[&str; 3]>::as_slice).collect();
            pipelined(&mut client, &commands);
            i += pairs;
        }
        assert!(i > 10, "the writer hardly ran");
    };
    let compare = |later: u64, earlier: u64, how: &str| {
        assert!(earlier >= later, "{how}: {second} was {later} and after that {first} was only {earlier}");
    };
    let separate = |goes_on: &dyn Fn() -> bool| {
        let mut client = server.client();
        while goes_on() {
            let later = number(&client.command(&["GET", second]));
            compare(later, number(&client.command(&["GET", first])), "separate reads");
        }
    };
    let in_one_write = |goes_on: &dyn Fn() -> bool| {
        let mut client = server.client();
        while goes_on() {
            let replies = pipelined(&mut client, &[&["GET", second], &["GET", first]]);
            compare(number(&replies[0]), number(&replies[1]), "pipelined reads");
            let both = client.command(&["MGET", second, first]);
            compare(number(&both.elements()[0]), number(&both.elements()[1]), "MGET");
        }
    };
    let from_two_connections = |goes_on: &dyn Fn() -> bool| {
        let mut one = server.client();
        let mut other = server.client();
        while goes_on() {
            let later = number(&one.command(&["GET", second]));
            compare(later, number(&other.command(&["GET", first])), "two connections");
        }
    };
    let parts: Vec<Part> =
        vec![Box::new(writer), Box::new(separate), Box::new(in_one_write), Box::new(from_two_connections)];
    side_by_side(parts, time);
}

#[test]
fn nobody_sees_the_effect_before_the_cause() {
    let _alone = alone();
    let server = Setup::new().cores(CORES).start();
    let pairs = CORES * (CORES - 1);
    let keys = keys("cause");
    for first in 0..CORES {
        for second in (0..CORES).filter(|second| *second != first) {
            watch_pair(&server, &keys[first], &keys[second], 2 * seconds() / pairs as u32);
        }
    }
}

#[test]
fn multi_key_writes_are_all_or_nothing() {
    let _alone = alone();
    let server = Setup::new().cores(CORES).start();
    let keys = keys("all");
    let writer = |name: usize| {
        let (server, keys) = (&server, &keys);
        move |goes_on: &dyn Fn() -> bool| {
            let mut client = server.client();
            let mut rng = Rng::new(name as u64);
            let mut round = 0_u64;
            while goes_on() {
                round += 1;
                let value = format!("{name}-{round}");
                let kind = rng.below(3);
                let mut words = vec![if kind == 0 { "MSETNX" } else { "MSET" }];
                // Every writer starts from another key, so that lock orders differ.
                let order = (0..CORES).map(|step| &keys[(step + name) % CORES]);
                words.extend(order.flat_map(|key| [key.as_str(), value.as_str()]));
                let mut commands = vec![words.as_slice()];
                let delete: Vec<&str> = std::iter::once("DEL").chain(keys.iter().map(String::as_str)).collect();
                if kind == 0 {
                    commands.insert(0, &delete);
                }
                let replies = pipelined(&mut client, &commands);
                if kind == 0 {
                    let gone = replies[0].integer();
                    assert!(gone == 0 || gone == CORES as i64, "DEL met {gone} of the {CORES} keys");
                }
            }
        }
    };
    let reader = |pipelines: bool| {
        let (server, keys) = (&server, &keys);
        move |goes_on: &dyn Fn() -> bool| {
            let mut client = server.client();
            let read: Vec<&str> = std::iter::once("MGET").chain(keys.iter().rev().map(String::as_str)).collect();
            let exist: Vec<&str> = std::iter::once("EXISTS").chain(keys.iter().map(String::as_str)).collect();
            while goes_on() {
                let commands: &[&[&str]] = if pipelines { &[&read, &exist, &read] } else { &[&read] };
                for reply in pipelined(&mut client, commands) {
                    match reply {
                        Reply::Integer(count) => assert!(count == 0 || count == CORES as i64, "{count} keys exist"),
                        Reply::Array(values) => {
                            assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "torn: {}", Reply::Array(values));
                        }
                        other => panic!("{other}"),
                    }
                }
            }
        }
    };
    let mut parts: Vec<Part> = Vec::new();
    (0..3).for_each(|name| parts.push(Box::new(writer(name))));
    [false, true, false].into_iter().for_each(|pipelines| parts.push(Box::new(reader(pipelines))));
    side_by_side(parts, seconds());
}

#[test]
fn a_renamed_key_is_never_lost_nor_doubled() {
    let _alone = alone();
    let server = Setup::new().cores(CORES).start();
    let keys = keys("ball");
    server.client().command(&["SET", &keys[0], "ball"]);
    let player = |offset: usize| {
        let (server, keys) = (&server, &keys);
        move |goes_on: &dyn Fn() -> bool| {
            let mut client = server.client();
            let mut rng = Rng::new(offset as u64);
            while goes_on() {
                let from = rng.below(CORES);
                let to = (from + 1 + rng.below(CORES - 1)) % CORES;
                let command = *rng.pick(&["RENAME", "RENAMENX"]);
                let reply = client.command(&[command, &keys[from], &keys[to]]);
                let fine = matches!(&reply, Reply::Simple(_) | Reply::Integer(1)) || reply.error().is_some();
                assert!(fine, "{command}: two keys hold the ball: {reply}");
            }
        }
    };
    let watcher = || {
        let (server, keys) = (&server, &keys);
        move |goes_on: &dyn Fn() -> bool| {
            let mut client = server.client();
            let exist: Vec<&str> = std::iter::once("EXISTS").chain(keys.iter().map(String::as_str)).collect();
            let read: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
            while goes_on() {
                let replies = pipelined(&mut client, &[&exist, &["DBSIZE"], &read]);
                assert_eq!(replies[0].integer(), 1, "EXISTS");
                assert_eq!(replies[1].integer(), 1, "DBSIZE");
                let holders = replies[2].elements().iter().filter(|value| !value.is_null()).count();
                assert_eq!(holders, 1, "MGET: {}", replies[2]);
            }
        }
    };
    let parts: Vec<Part> =
        vec![Box::new(player(0)), Box::new(player(1)), Box::new(player(2)), Box::new(watcher()), Box::new(watcher())];
    side_by_side(parts, seconds());
}

/// Patterns of SORT name keys of all cores: what one call sees is what was there at one moment.
#[test]
fn sorting_by_keys_of_all_cores_sees_one_moment() {
    let _alone = alone();
    let server = Setup::new().cores(CORES).start();
    let keys = keys("weight");
    let mut push = vec!["RPUSH", "all"];
    push.extend(keys.iter().map(String::as_str));
    server.client().command(&push);
    let zeros: Vec<&str> = std::iter::once("MSET").chain(keys.iter().flat_map(|key| [key.as_str(), "0"])).collect();
    server.client().command(&zeros);
    let writer = |name: usize| {
        let (server, keys) = (&server, &keys);
        move |goes_on: &dyn Fn() -> bool| {
            let mut client = server.client();
            let mut turn = name;
            while goes_on() {
                turn += 3;
                let value = turn.to_string();
                let words: Vec<&str> =
                    std::iter::once("MSET").chain(keys.iter().flat_map(|key| [key.as_str(), &value])).collect();
                assert_eq!(client.command(&words).text(), "OK");
            }
        }
    };
    let reader = |stores: bool| {
        let (server, count) = (&server, keys.len());
        move |goes_on: &dyn Fn() -> bool| {
            let mut client = server.client();
            while goes_on() {
                let replies = match stores {
                    false => pipelined(&mut client, &[&["SORT", "all", "BY", "*", "GET", "*"]]),
                    true => {
                        let sort = ["SORT", "all", "BY", "*", "DESC", "GET", "*", "STORE", "stored"];
                        pipelined(&mut client, &[&["LRANGE", "stored", "0", "-1"], &sort])
                    }
                };
                let values = replies[0].elements();
                assert!(values.len() == count || (stores && values.is_empty()), "{}", replies[0]);
                assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "a torn MSET: {}", replies[0]);
            }
        }
    };
    let mut parts: Vec<Part> = Vec::new();
    (0..3).for_each(|name| parts.push(Box::new(writer(name))));
    [false, true, false].into_iter().for_each(|stores| parts.push(Box::new(reader(stores))));
    side_by_side(parts, seconds());
}

/// All keys that a scan from end to end finds.
fn scanned(client: &mut Client) -> Vec<String> {
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    loop {
        let page = client.command(&["SCAN", &cursor, "COUNT", "2"]);
        found.extend(page.elements()[1].elements().iter().map(Reply::text));
        cursor = page.elements()[0].text();
        if cursor == "0" {
            return found;
        }
    }
}

/// A command over keys of several cores has them in its hands for a moment. Nobody may miss them meanwhile: not a scan
/// of another client, and not the next command of the same one.
#[test]
fn keys_at_work_elsewhere_are_not_missed() {
    let _alone = alone();
    let server = Setup::new().cores(CORES).option("enable-debug-command", "yes").start();
    let keys = keys("lent");
    server.client().command(&["SET", &keys[0], "stays"]);
    let copier = |to: usize| {
        let (server, keys) = (&server, &keys);
        move |goes_on: &dyn Fn() -> bool| {
            let mut client = server.client();
            while goes_on() {
                assert_eq!(client.command(&["COPY", &keys[0], &keys[to], "REPLACE"]).integer(), 1);
            }
        }
    };
    let scanner = |goes_on: &dyn Fn() -> bool| {
        let mut client = server.client();
        while goes_on() {
            let found = scanned(&mut client);
            assert!(found.contains(&keys[0]), "{} was always there, a scan found {found:?}", keys[0]);
        }
    };
    let mover = |goes_on: &dyn Fn() -> bool| {
        let mut client = server.client();
        let own: Vec<String> = (0..CORES).map(|core| key_on_core("own", core, CORES, 0)).collect();
        client.command(&["SET", &own[0], "own"]);
        let digest = client.command(&["DEBUG", "DIGEST-VALUE", &own[0]]);
        for step in 0.. {
            if !goes_on() {
                break;
            }
            let (from, to) = (&own[step % CORES], &own[(step + 1) % CORES]);
            assert_eq!(client.command(&["RENAME", from, to]).text(), "OK");
            match step % 3 {
                0 => assert!(scanned(&mut client).contains(to), "a scan misses the key that was just renamed"),
                1 => assert_eq!(client.command(&["DEBUG", "DIGEST-VALUE", to]), digest),
                _ => assert_eq!(client.command(&["EXISTS", to, from]).integer(), 1),
            }
        }
    };
    let parts: Vec<Part> =
        vec![Box::new(copier(1)), Box::new(copier(3)), Box::new(scanner), Box::new(scanner), Box::new(mover)];
    side_by_side(parts, seconds());
}

#[test]
fn counters_lose_nothing() {
    let _alone = alone();
    let server = Setup::new().cores(CORES).start();
    let keys = keys("count");
    let threads = 6;
    let pipeline = 100;
    let rounds = 20;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut client = server.client();
                let commands: Vec<[&str; 2]> =
                    (0..pipeline).map(|place| ["INCR", keys[place % CORES].as_str()]).collect();
                let commands: Vec<&[&str]> = commands.iter().map(<[&str; 2]>::as_slice).collect();
                let mut last = [0; CORES];
                for _ in 0..rounds {
                    for (place, reply) in pipelined(&mut client, &commands).iter().enumerate() {
                        assert!(reply.integer() > last[place % CORES], "a counter went back");
                        last[place % CORES] = reply.integer();
                    }
                }
            });
        }
    });
    let expected = (threads * rounds * pipeline / CORES) as u64;
    for key in &keys {
        assert_eq!(number(&server.client().command(&["GET", key])), expected);
    }
}
