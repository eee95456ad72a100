//! CLIENT over many connections and cores: lists and kills against a model, pauses under load, who is evicted.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::PATIENCE;
use ringkey_tests::rng::Rng;
use ringkey_tests::running::{self, info, wait_until};
use ringkey_tests::server::Setup;
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The lines of CLIENT LIST with these options, by client id.
fn list(client: &mut Client, options: &str) -> BTreeMap<u64, String> {
    let text = client.run(&format!("CLIENT LIST {options}")).text();
    let lines: Vec<(u64, String)> = text.lines().map(|line| (number(line, "id"), line.to_owned())).collect();
    assert!(lines.is_sorted_by_key(|(id, _)| *id), "the lines are sorted by id");
    let count = lines.len();
    let lines: BTreeMap<u64, String> = lines.into_iter().collect();
    assert_eq!(lines.len(), count, "nobody is listed twice");
    lines
}

/// A number in a line of CLIENT LIST.
fn number(line: &str, field: &str) -> u64 {
    let word = line.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    word.unwrap_or_else(|| panic!("no {field} in {line}")).parse().unwrap()
}

fn on_one_and_four_cores(test: impl Fn(&Server)) {
    running::on_one_and_four_cores(&Setup::new().option("enable-debug-command", "yes"), test);
}

#[test]
fn each_of_many_connections_is_listed_once() {
    on_one_and_four_cores(|server| {
        let mut all: Vec<Client> = (0..1000).map(|_| server.client()).collect();
        let ids: BTreeSet<u64> = all.iter_mut().map(|client| client.run("CLIENT ID").integer() as u64).collect();
        assert_eq!(ids.len(), all.len(), "ids are unique over all cores");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Others come and go all the time.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut brief: Vec<Client> = (0..20).map(|_| server.client()).collect();
                    brief.iter_mut().for_each(|client| assert_eq!(client.run("PING").text(), "PONG"));
                }
            });
            for round in 0..10 {
                let asker = &mut all[round * 7];
                // What follows a long answer comes behind it.
                asker.send(b"CLIENT LIST\r\nPING\r\nCLIENT LIST\r\n").unwrap();
                let first = asker.read_reply().unwrap().text();
                assert_eq!(asker.read_reply().unwrap().text(), "PONG");
                let second = asker.read_reply().unwrap().text();
                for text in [first, second] {
                    let mut found: Vec<u64> = text.lines().map(|line| number(line, "id")).collect();
                    found.retain(|id| ids.contains(id));
                    assert!(found.iter().eq(&ids), "all that stay are there, once each and in order");
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// What a connection of the model is like.
struct Known {
    id: u64,
    name: &'static str,
    library: &'static str,
    db: usize,
    flags: &'static str,
    is_capable: bool,
}

impl Known {
    fn dress(client: &mut Client, random: &mut Rng) -> Self {
        let known = Self {
            id: client.run("CLIENT ID").integer() as u64,
            name: ["one", "two", "three"][random.below(3)],
            library: ["x", "y"][random.below(2)],
            db: random.below(3),
            flags: ["N", "e", "T", "eT"][random.below(4)],
            is_capable: random.chance(50),
        };
        client.run(&format!("CLIENT SETNAME {}", known.name));
        client.run(&format!("CLIENT SETINFO LIB-NAME {}", known.library));
        client.run(&format!("SELECT {}", known.db));
        if known.flags.contains('e') {
            client.run("CLIENT NO-EVICT ON");
        }
        if known.flags.contains('T') {
            client.run("CLIENT NO-TOUCH ON");
        }
        if known.is_capable {
            client.run("CLIENT CAPA REDIRECT");
        }
        known
    }
}

/// Whom a trait fits.
type Fits<'a> = Box<dyn Fn(&Known) -> bool + 'a>;

/// A trait to filter by: its option, and whom it fits.
fn draw_trait<'a>(random: &mut Rng, all: &'a [Known]) -> (String, Fits<'a>) {
    match random.below(6) {
        0 => {
            let ids: BTreeSet<u64> = (0..1 + random.below(20)).map(|_| random.pick(all).id).collect();
            let words: Vec<String> = ids.iter().map(u64::to_string).collect();
            (format!("ID {}", words.join(" ")), Box::new(move |known| ids.contains(&known.id)))
        }
        1 => {
            let name = *random.pick(&["one", "two", "three", "none"]);
            (format!("NAME {name}"), Box::new(move |known| known.name == name))
        }
        2 => {
            let library = *random.pick(&["x", "y"]);
            (format!("LIB-NAME {library}"), Box::new(move |known| known.library == library))
        }
        3 => {
            let db = random.below(4);
            (format!("DB {db}"), Box::new(move |known| known.db == db))
        }
        4 => {
            let flags = *random.pick(&["N", "e", "T", "Te", "b"]);
            (format!("FLAGS {flags}"), Box::new(move |known| flags.chars().all(|flag| known.flags.contains(flag))))
        }
        _ => ("CAPA r".to_owned(), Box::new(|known| known.is_capable)),
    }
}

#[test]
fn lists_and_kills_fit_their_filters() {
    on_one_and_four_cores(|server| {
        let mut random = Rng::new(11);
        let mut control = server.client();
        let mut clients: Vec<Client> = (0..200).map(|_| server.client()).collect();
        let mut all: Vec<Known> = clients.iter_mut().map(|client| Known::dress(client, &mut random)).collect();
        for round in 0..60 {
            let mut options = "SKIPME YES".to_owned();
            let mut fits: Vec<bool> = vec![true; all.len()];
            let mut given = BTreeSet::new();
            for _ in 0..1 + random.below(3) {
                let (option, wanted) = draw_trait(&mut random, &all);
                let not = random.chance(50);
                // The same option again would replace the first one, or add to its ids.
                if !given.insert((option.split(' ').next().unwrap().to_owned(), not)) {
                    continue;
                }
                options += &format!(" {}{option}", if not { "NOT-" } else { "" });
                for (fits, known) in fits.iter_mut().zip(&all) {
                    *fits &= wanted(known) != not;
                }
            }
            let expected: BTreeSet<u64> =
                all.iter().zip(&fits).filter(|(_, fits)| **fits).map(|(known, _)| known.id).collect();
            let found: BTreeSet<u64> = list(&mut control, &options).into_keys().collect();
            assert_eq!(found, expected, "CLIENT LIST {options}");
            if round % 6 == 5 && expected.len() < 60 {
                let killed = control.run(&format!("CLIENT KILL {options}")).integer();
                assert_eq!(killed as usize, expected.len(), "CLIENT KILL {options}");
                assert!(list(&mut control, &options).is_empty(), "who was killed is not listed");
                let is_gone: Vec<bool> = all.iter().map(|known| expected.contains(&known.id)).collect();
                for (client, is_gone) in clients.iter_mut().zip(&is_gone) {
                    if *is_gone {
                        client.wait_for_close(PATIENCE).unwrap();
                    }
                }
                let mut at = is_gone.iter();
                clients.retain(|_| !at.next().unwrap());
                all.retain(|known| !expected.contains(&known.id));
                assert!(clients.iter_mut().all(|client| client.run("PING").text() == "PONG"), "others live");
            }
        }
    });
}

#[test]
fn who_kills_itself_is_answered() {
    on_one_and_four_cores(|server| {
        let mut client = server.client();
        let line = client.run("CLIENT INFO").text();
        let addr = line.split(' ').find_map(|word| word.strip_prefix("addr=")).unwrap().to_owned();
        client.send(format!("CLIENT KILL {addr}\r\nPING\r\n").as_bytes()).unwrap();
        let replies: Vec<String> = client.wait_for_close(PATIENCE).unwrap().iter().map(|reply| reply.text()).collect();
        assert_eq!(replies, ["OK"]);
    });
}

/// Counters that writers change, and what they sum up to.
fn sum(client: &mut Client, keys: &[String]) -> u64 {
    let mget = client.run(&format!("MGET {}", keys.join(" ")));
    mget.elements().iter().map(|value| if value.is_null() { 0 } else { value.text().parse::<u64>().unwrap() }).sum()
}

#[test]
fn nothing_is_written_between_pause_and_its_end() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let keys: Vec<String> = (0..8).map(|at| key_on_core("counter", at % cores, cores, at * 1000)).collect();
        let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for writer in 0..6 {
                let (server, keys, stop, written) = (&server, &keys, &stop, &written);
                scope.spawn(move || {
                    let mut random = Rng::new(writer);
                    let mut client = server.client();
                    while !stop.load(Ordering::Relaxed) {
                        // One core, several cores in one stretch, and one command over several cores.
                        let mut sent = String::new();
                        let count = 1 + random.below(6);
                        for _ in 0..count {
                            sent += &format!("INCR {}\r\n", random.pick(keys));
                        }
                        sent += &format!("MSET {}:a{writer} 1 {}:b{writer} 2\r\n", keys[0], keys[1]);
                        client.send(sent.as_bytes()).unwrap();
                        for _ in 0..=count {
                            assert_eq!(client.read_reply().unwrap().error(), None);
                        }
                        written.fetch_add(count as u64, Ordering::Relaxed);
                    }
                });
            }
            let (mut control, mut reader) = (server.client(), server.client());
            for round in 0..20 {
                let mode = if round % 4 == 3 { "ALL" } else { "WRITE" };
                let timeout = if mode == "ALL" { 50 } else { 600_000 };
                assert_eq!(control.run(&format!("CLIENT PAUSE {timeout} {mode}")).text(), "OK");
                if mode == "WRITE" {
                    let before = sum(&mut reader, &keys);
                    for _ in 0..50 {
                        assert_eq!(sum(&mut reader, &keys), before, "a write took effect in the pause");
                    }
                    wait_until("all writers wait", || info(&mut reader, "blocked_clients") == 6);
                    assert_eq!(sum(&mut control, &keys), before);
                    assert_eq!(list(&mut control, "FLAGS b").len(), 6);
                    assert_eq!(control.run("CLIENT UNPAUSE").text(), "OK");
                }
                let before = sum(&mut reader, &keys);
                wait_until("writing goes on", || sum(&mut reader, &keys) > before);
            }
            stop.store(true, Ordering::Relaxed);
        });
        let mut client = server.client();
        assert_eq!(sum(&mut client, &keys), written.into_inner(), "every increment was carried out, once");
        assert_eq!(info(&mut client, "blocked_clients"), 0);
    }
}

#[test]
fn paused_commands_go_on_in_order() {
    on_one_and_four_cores(|server| {
        let mut control = server.client();
        let mut clients: Vec<Client> = (0..12).map(|_| server.client()).collect();
        control.run("CLIENT PAUSE 600000 WRITE");
        for (at, client) in clients.iter_mut().enumerate() {
            client
                .send(
                    format!("APPEND all {at}.\r\nAPPEND own:{at} a\r\nAPPEND own:{at} b\r\nGET own:{at}\r\n")
                        .as_bytes(),
                )
                .unwrap();
            wait_until("it waits", || info(&mut control, "blocked_clients") == at as u64 + 1);
        }
        // Who leaves is served no more, and not counted.
        drop(clients.pop());
        wait_until("it is gone", || info(&mut control, "blocked_clients") == 11);
        assert!(control.run("GET all").is_null());
        control.run("CLIENT UNPAUSE");
        for client in &mut clients {
            let replies: Vec<String> = (0..4).map(|_| client.read_reply().unwrap().lines().concat()).collect();
            assert_eq!(replies[1..], [":1", ":2", "\"ab\""]);
        }
        let all = control.run("GET all").text();
        let mut numbers: Vec<usize> = all.split_terminator('.').map(|word| word.parse().unwrap()).collect();
        if list(&mut control, "").values().all(|line| line.ends_with("core=0")) {
            assert!(numbers.is_sorted(), "on one core they go on in the order in which they came: {all}");
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..11), "all were carried out but that of the one who left: {all}");
    });
}

/// Sends an argument of so many bytes but for its end.
fn fill(client: &mut Client, bytes: usize) {
    client.send(format!("*2\r\n$4\r\nECHO\r\n${bytes}\r\n").as_bytes()).unwrap();
    // The server may close meanwhile.
    let _ = client.send(&vec![b'x'; bytes - 1]);
}

#[test]
fn the_clients_that_hold_most_are_evicted() {
    on_one_and_four_cores(|server| {
        let mut control = server.client();
        control.run("CLIENT NO-EVICT ON");
        let sizes = [100_000, 300_000, 700_000, 1_500_000, 3_500_000];
        let mut clients = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            for spared in [false, true] {
                let mut client = server.client();
                client.run(&format!("CLIENT SETNAME {}{at}", if spared { "spared" } else { "small" }));
                if spared {
                    client.run("CLIENT NO-EVICT ON");
                }
                fill(&mut client, *size);
                clients.push(client);
            }
        }
        let memory = |control: &mut Client, name: &str| -> u64 {
            list(control, &format!("NAME {name}")).values().map(|line| number(line, "tot-mem")).sum()
        };
        for (at, size) in sizes.iter().enumerate() {
            for name in ["spared", "small"] {
                wait_until("it is held", || memory(&mut control, &format!("{name}{at}")) >= *size as u64);
            }
        }
        wait_until("it is counted", || info(&mut control, "mem_clients_normal") > 2 * 6_100_000);
        // Room for all but the largest that may go.
        let all: u64 = list(&mut control, "").values().map(|line| number(line, "tot-mem")).sum();
        let limit = all - memory(&mut control, "small4") + 50_000;
        control.run(&format!("CONFIG SET maxmemory-clients {limit}"));
        wait_until("the largest goes", || memory(&mut control, "small4") == 0);
        let limit = limit - 1_500_000;
        control.run(&format!("CONFIG SET maxmemory-clients {limit}"));
        wait_until("the next one goes", || memory(&mut control, "small3") == 0);
        let left: Vec<String> = list(&mut control, "").into_values().collect();
        let is_left = |name: &str| left.iter().any(|line| line.contains(&format!("name={name} ")));
        for name in ["small0", "small1", "small2", "spared0", "spared1", "spared2", "spared3", "spared4"] {
            assert!(is_left(name), "{name} is not among the largest, or is spared: {left:#?}");
        }
        assert_eq!(info(&mut control, "evicted_clients"), 2);
    });
}

#[test]
fn a_long_list_waits_for_its_reader() {
    on_one_and_four_cores(|server| {
        let mut others: Vec<Client> = (0..300).map(|_| server.client()).collect();
        let name = "n".repeat(4000);
        for client in &mut others {
            client.run(&format!("CLIENT SETNAME {name}"));
        }
        // 1.3 MB each, read only at the end.
        let mut slow = server.client();
        let id = slow.run("CLIENT ID").integer() as u64;
        slow.send(b"HELLO 3\r\nCLIENT LIST\r\nCLIENT LIST\r\nCLIENT REPLY SKIP\r\nCLIENT LIST\r\nPING\r\n").unwrap();
        let mut control = server.client();
        for _ in 0..20 {
            assert_eq!(list(&mut control, &format!("ID {id}")).len(), 1, "others are served");
        }
        slow.read_reply().unwrap();
        for _ in 0..2 {
            let text = slow.read_reply().unwrap().text();
            assert_eq!(text.lines().filter(|line| line.contains(&name)).count(), others.len());
        }
        assert_eq!(slow.read_reply().unwrap().text(), "PONG");
        // Who closes before it has read everything leaves nothing behind.
        let mut brief = server.client();
        brief.send(b"CLIENT LIST\r\nCLIENT LIST\r\nCLIENT LIST\r\n").unwrap();
        drop(brief);
        wait_until("it is gone", || info(&mut control, "connected_clients") == 302);
    });
}
