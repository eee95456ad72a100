//! WATCH: which calls change a watched key, case by case as a real Valkey has it; what becomes of a watch when its client
//! ends; and that transactions which depend on what they have read never lose an update.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::{encoded, words};
use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::{Client, Server};
use std::time::{Duration, Instant};

const CASES: &str = include_str!("../core/tests/data/touches.txt");
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

struct Cases {
    actors: [Client; 2],
    watchers: Vec<(usize, &'static str, Client)>,
}

impl Cases {
    fn new(server: &Server) -> Self {
        let client = |db: usize| {
            let mut client = server.client();
            assert_eq!(client.run(&format!("SELECT {db}")).lines(), ["+OK"]);
            client
        };
        let watchers = [0, 1].into_iter().flat_map(|db| NAMES.map(|name| (db, name, client(db)))).collect();
        Self { actors: [client(0), client(1)], watchers }
    }

    fn run(&mut self, line: &str) {
        let (db, line) = line.strip_prefix("1:").map_or((0, line), |line| (1, line));
        self.actors[db].command(&words(line));
    }

    fn touched(&mut self, before: &str, call: &str) -> String {
        self.run("FLUSHALL");
        before.split("; ").filter(|line| !line.is_empty()).for_each(|line| self.run(line));
        for (_, name, client) in &mut self.watchers {
            assert_eq!(client.command(&["WATCH", name]).lines(), ["+OK"]);
        }
        self.run(call);
        let mut touched = Vec::new();
        for (db, name, client) in &mut self.watchers {
            client.run("MULTI");
            client.run("PING");
            if client.run("EXEC").is_null() {
                touched.push(if *db == 0 { (*name).to_owned() } else { format!("{db}:{name}") });
            }
        }
        touched.join(" ")
    }
}

fn check_cases(server: &Server) {
    let mut cases = Cases::new(server);
    let mut wrong = Vec::new();
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let line = format!(" {line} ");
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [before, call, expected] = parts[..] else { panic!("not a case: {line}") };
        let name = call.split(' ').next().unwrap();
        if cases.actors[0].command(&["COMMAND", "INFO", name]).elements()[0].is_null() {
            continue;
        }
        let touched = cases.touched(before, call);
        if touched != expected {
            wrong.push(format!("{before} | {call} | {expected} <> {touched}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_changes_what_the_cases_say() {
    if peer("valkey-server").is_none() {
        return skip("no valkey-server to compare with");
    }
    check_cases(&Setup::of(Kind::Reference).option("enable-debug-command", "yes").start());
}

#[test]
fn calls_change_what_the_cases_say() {
    for cores in [1, 4] {
        check_cases(&Setup::new().cores(cores).start());
    }
}

/// A figure of INFO clients.
fn figure(client: &mut Client, name: &str) -> u64 {
    let text = client.run("INFO clients").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().parse().unwrap()
}

fn await_nobody_watches(client: &mut Client) {
    let end = Instant::now() + Duration::from_secs(20);
    while figure(client, "total_watched_keys") + figure(client, "watching_clients") > 0 {
        assert!(Instant::now() < end, "somebody still watches");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_watch_ends_with_its_client() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let mut asker = server.client();
        let ends: [&[&str]; 8] = [
            &["UNWATCH"],
            &["MULTI", "DISCARD"],
            &["MULTI", "EXEC"],
            &["MULTI", "SET one 1", "SET two 2", "EXEC"],
            &["MULTI", "NONSENSE", "EXEC"],
            &["RESET"],
            &["QUIT"],
            &[],
        ];
        for lines in ends {
            let mut client = server.client();
            let id = client.run("CLIENT ID").lines()[0].trim_start_matches(':').to_owned();
            assert_eq!(client.run("WATCH a b c d e f g h a").lines(), ["+OK"]);
            assert_eq!(client.run("WATCH a i").lines(), ["+OK"]);
            assert_eq!((figure(&mut asker, "total_watched_keys"), figure(&mut asker, "watching_clients")), (9, 1));
            assert!(client.run("CLIENT INFO").text().contains(" watch=9 "));
            lines.iter().for_each(|line| drop(client.run(line)));
            if lines.is_empty() {
                asker.run(&format!("CLIENT KILL ID {id}"));
            }
            await_nobody_watches(&mut asker);
        }
    }
}

#[test]
fn time_that_passes_changes_keys() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).option("enable-debug-command", "yes").start();
        let (mut watcher, mut other) = (server.client(), server.client());
        for active in ["0", "1"] {
            other.run(&format!("DEBUG SET-ACTIVE-EXPIRE {active}"));
            let mut exec = |before: &[&str], waits: bool, behind: &[&str]| {
                other.run("FLUSHALL");
                other.run("SET k 1 PX 40");
                let pause = || std::thread::sleep(Duration::from_millis(60));
                if !waits {
                    pause();
                }
                before.iter().for_each(|line| drop(other.run(line)));
                watcher.run("WATCH k");
                if waits {
                    pause();
                }
                behind.iter().for_each(|line| drop(other.run(line)));
                watcher.run("MULTI");
                watcher.run("GET k");
                watcher.run("EXEC").is_null()
            };
            assert!(exec(&[], true, &[]), "its time has passed meanwhile");
            assert!(exec(&[], true, &["GET k"]), "the same, and it was noticed");
            assert!(exec(&[], true, &["FLUSHALL"]), "the same, and all is gone");
            assert!(!exec(&[], false, &[]), "its time had passed already");
            assert!(!exec(&[], false, &["GET k", "DEL k", "PERSIST k", "FLUSHALL"]), "nor is this a change");
            assert!(exec(&[], false, &["SET k 2"]), "but this is");
            assert!(exec(&["GET k"], false, &["SETNX k 2"]), "and this");
        }
    }
}

#[test]
fn those_who_block_change_what_they_get_later() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let (mut watcher, mut blocked, mut other) = (server.client(), server.client(), server.client());
        for (call, changed) in [
            ("BLPOP q r 0", "q"),
            ("BLMOVE q t LEFT LEFT 0", "q t"),
            ("BRPOPLPUSH q t 0", "q t"),
            ("BLMPOP 0 3 r q s LEFT", "q"),
        ] {
            for key in ["q", "r", "s", "t"] {
                other.run("FLUSHALL");
                blocked.send(&ringkey_tests::client::encoded(&call.split(' ').collect::<Vec<_>>())).unwrap();
                let end = Instant::now() + Duration::from_secs(20);
                while figure(&mut other, "blocked_clients") == 0 {
                    assert!(Instant::now() < end, "{call} does not block");
                }
                watcher.run(&format!("WATCH {key}"));
                other.run("RPUSH q 1");
                blocked.read_reply().unwrap();
                watcher.run("MULTI");
                assert_eq!(watcher.run("EXEC").is_null(), changed.split(' ').any(|one| one == key), "{call}: {key}");
            }
        }
    }
}

#[test]
fn no_update_is_lost() {
    const CLIENTS: usize = 6;
    const ADDED: i64 = 60;
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let mut threads = Vec::new();
        for number in 0..CLIENTS {
            let mut client = server.client();
            threads.push(std::thread::spawn(move || {
                let (mut added, mut refused) = (0, 0);
                // Each reads one key and writes to three, which are on several cores.
                let read = ["x", "y", "z"][number % 3];
                while added < ADDED {
                    client.run("WATCH x y z");
                    let value: i64 = match client.command(&["GET", read]) {
                        value if value.is_null() => 0,
                        value => value.text().parse().unwrap(),
                    };
                    client.run("MULTI");
                    for key in ["x", "y", "z"] {
                        client.run(&format!("SET {key} {}", value + 1));
                    }
                    match client.run("EXEC").is_null() {
                        true => refused += 1,
                        false => added += 1,
                    }
                }
                refused
            }));
        }
        let refused: i64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        let mut client = server.client();
        let expected = (CLIENTS as i64 * ADDED).to_string();
        let found = client.run("MGET x y z").elements().iter().map(|reply| reply.text()).collect::<Vec<_>>();
        assert_eq!(found, vec![expected; 3], "{refused} were refused");
        await_nobody_watches(&mut client);
    }
}

#[test]
fn what_is_watched_and_written_may_lie_anywhere() {
    let server = Setup::new().cores(4).start();
    let mut client = server.client();
    for round in 0..50 {
        let keys: Vec<String> = (0..6).map(|part| format!("part:{round}:{part}")).collect();
        client.command(&[vec!["WATCH".to_owned()], keys.clone()].concat());
        assert!(client.run(&format!("GET {}", keys[0])).is_null());
        // As libraries send it: all at once.
        let mut bytes = encoded(&["MULTI"]);
        keys.iter().for_each(|key| bytes.extend(encoded(&["SET", key, "1"])));
        bytes.extend(encoded(&[vec!["DEL".to_owned()], keys.clone()].concat()));
        bytes.extend(encoded(&["EXEC"]));
        client.send(&bytes).unwrap();
        for _ in 0..8 {
            client.read_reply().unwrap();
        }
        let done = client.read_reply().unwrap();
        assert_eq!(done.elements().last().unwrap().lines(), [":6"]);
    }
    server.assert_alive();
}
