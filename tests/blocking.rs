//! Commands that wait: who is served first, that each element goes to exactly one client however clients come, go and are
//! killed, and what ends the waiting.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::reply::Reply;
use ringkey_tests::rng::Rng;
use ringkey_tests::running::{self, info, wait_until};
use ringkey_tests::server::Setup;
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Server};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Keys of the tests, on all cores.
const CORES: usize = 4;

fn await_blocked(asker: &mut Client, count: u64) {
    wait_until(&format!("{count} clients are blocked"), || info(asker, "blocked_clients") == count);
}

/// And after the test nobody waits for anything any more.
fn on_one_and_four_cores(test: impl Fn(&Server)) {
    running::on_one_and_four_cores(&Setup::new(), |server| {
        test(server);
        let mut asker = server.client();
        await_blocked(&mut asker, 0);
        assert_eq!(info(&mut asker, "total_blocking_keys"), 0, "nobody is left in a queue");
        assert_eq!(info(&mut asker, "clients_in_timeout_table"), 0);
    });
}

/// A key for each core.
fn keys() -> Vec<String> {
    (0..CORES).map(|core| key_on_core("list", core, CORES, 0)).collect()
}

fn send(client: &mut Client, words: &str) {
    let words: Vec<&str> = words.split_whitespace().collect();
    client.send(&ringkey_tests::client::encoded(&words)).unwrap();
}

/// The texts in a reply, however nested.
fn texts(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Array(elements) => elements.iter().flat_map(texts).collect(),
        Reply::Bulk(_) => vec![reply.text()],
        other => panic!("expected elements, got {other}"),
    }
}

fn next(client: &mut Client) -> Vec<String> {
    texts(&client.read_reply().unwrap())
}

fn id_of(client: &mut Client) -> i64 {
    client.run("CLIENT ID").integer()
}

#[test]
fn who_came_first_is_served_first() {
    on_one_and_four_cores(|server| {
        let (mut asker, keys) = (server.client(), keys());
        for key in &keys {
            // Every third waits for all keys, so that its core decides, and the others stand behind it.
            let mut waiting: Vec<Client> = (0..12).map(|_| server.client()).collect();
            for (at, client) in waiting.iter_mut().enumerate() {
                let all = keys.join(" ");
                send(client, &format!("BLPOP {} 0", if at % 3 == 1 { &all } else { key }));
                await_blocked(&mut asker, at as u64 + 1);
            }
            assert_eq!(asker.run(&format!("RPUSH {key} 0")).integer(), 1);
            assert_eq!(next(&mut waiting[0]), [key.as_str(), "0"]);
            asker.run(&format!("RPUSH {key} 1 2 3 4 5"));
            asker.run(&format!("RPUSH {key} 6"));
            for (at, client) in waiting.iter_mut().enumerate().take(7).skip(1) {
                assert_eq!(next(client), [key.as_str(), &at.to_string()]);
            }
            for at in 7..12 {
                asker.run(&format!("RPUSH {key} {at}"));
            }
            for (at, client) in waiting.iter_mut().enumerate().skip(7) {
                assert_eq!(next(client), [key.as_str(), &at.to_string()]);
            }
            assert_eq!(asker.run(&format!("EXISTS {key}")).integer(), 0);
        }
    });
}

#[test]
fn who_pushes_sees_that_the_element_is_gone() {
    on_one_and_four_cores(|server| {
        let (mut asker, mut pusher) = (server.client(), server.client());
        for key in keys() {
            for _ in 0..20 {
                let mut waiting = server.client();
                send(&mut waiting, &format!("BLPOP {key} 0"));
                await_blocked(&mut asker, 1);
                send(&mut pusher, &format!("RPUSH {key} a b"));
                send(&mut pusher, &format!("LRANGE {key} 0 -1"));
                send(&mut pusher, &format!("DEL {key}"));
                assert_eq!(pusher.read_reply().unwrap().integer(), 2);
                assert_eq!(next(&mut pusher), ["b"]);
                assert_eq!(pusher.read_reply().unwrap().integer(), 1);
                assert_eq!(next(&mut waiting), [key.as_str(), "a"]);
            }
        }
    });
}

#[test]
fn a_push_of_a_served_move_serves_the_next() {
    on_one_and_four_cores(|server| {
        let mut asker = server.client();
        let keys = keys();
        // A ring of moves over all cores, and at its end somebody who takes.
        let mut movers: Vec<Client> = (1..keys.len()).map(|_| server.client()).collect();
        for round in 0..20 {
            let rotated: Vec<&String> = (0..keys.len()).map(|at| &keys[(at + round) % keys.len()]).collect();
            for (at, mover) in movers.iter_mut().enumerate() {
                let command = format!("BLMOVE {} {} LEFT RIGHT 0", rotated[at], rotated[at + 1]);
                send(
                    mover,
                    &if at % 2 == 0 { command } else { format!("BRPOPLPUSH {} {} 0", rotated[at], rotated[at + 1]) },
                );
            }
            let mut last = server.client();
            send(&mut last, &format!("BLMPOP 0 1 {} RIGHT COUNT 5", rotated[keys.len() - 1]));
            await_blocked(&mut asker, keys.len() as u64);
            asker.run(&format!("LPUSH {} element", rotated[0]));
            assert_eq!(next(&mut last), [rotated[keys.len() - 1].as_str(), "element"]);
            for mover in &mut movers {
                assert_eq!(mover.read_reply().unwrap().text(), "element");
            }
            assert_eq!(asker.run("DBSIZE").integer(), 0);
        }
    });
}

#[test]
fn time_ends_waiting_and_never_too_early() {
    on_one_and_four_cores(|server| {
        let keys = keys();
        let mut client = server.client();
        for words in keys.iter().cloned().chain([keys.join(" ")]) {
            for (seconds, millis) in [("0.001", 1), ("0.05", 50), ("0.0501", 51)] {
                let began = Instant::now();
                assert_eq!(client.run(&format!("BRPOP {words} {seconds}")), Reply::NullArray);
                assert!(began.elapsed() >= Duration::from_millis(millis), "{seconds} took {:?}", began.elapsed());
            }
        }
        // What nothing came to in time goes to nobody.
        assert_eq!(client.run(&format!("LPUSH {} x", keys[0])).integer(), 1);
        assert_eq!(client.run(&format!("LLEN {}", keys[0])).integer(), 1);
        // Who pipelines gets its replies in order.
        send(&mut client, "PING");
        send(&mut client, &format!("BLPOP {} 0.02", keys[1]));
        send(&mut client, &format!("BLPOP {} 0", keys[0]));
        send(&mut client, "PING");
        assert_eq!(client.read_reply().unwrap().text(), "PONG");
        assert!(client.read_reply().unwrap().is_null());
        assert_eq!(next(&mut client), [keys[0].as_str(), "x"]);
        assert_eq!(client.read_reply().unwrap().text(), "PONG");
    });
}

#[test]
fn unblock_ends_waiting() {
    on_one_and_four_cores(|server| {
        let keys = keys();
        let (mut asker, mut client) = (server.client(), server.client());
        let id = id_of(&mut client);
        assert_eq!(asker.run(&format!("CLIENT UNBLOCK {id}")).integer(), 0);
        for words in keys.iter().cloned().chain([keys.join(" ")]) {
            for (how, is_error) in [("", false), ("TIMEOUT", false), ("ERROR", true)] {
                send(&mut client, &format!("BLPOP {words} 100"));
                await_blocked(&mut asker, 1);
                let list = asker.run("CLIENT LIST").text();
                let line = list.lines().find(|line| line.starts_with(&format!("id={id} "))).unwrap();
                assert!(line.contains(" flags=b ") && line.contains(" cmd=blpop "), "{line}");
                assert_eq!(asker.run(&format!("CLIENT UNBLOCK {id} {how}")).integer(), 1);
                let reply = client.read_reply().unwrap();
                match is_error {
                    true => assert_eq!(reply.error().unwrap(), "UNBLOCKED client unblocked via CLIENT UNBLOCK"),
                    false => assert!(reply.is_null()),
                }
                assert_eq!(asker.run(&format!("CLIENT UNBLOCK {id}")).integer(), 0);
                let key = words.split(' ').next().unwrap();
                asker.run(&format!("RPUSH {key} x"));
                assert_eq!(texts(&client.run(&format!("BLPOP {words} 1"))), [key, "x"]);
            }
        }
    });
}

#[test]
fn only_the_right_type_serves() {
    on_one_and_four_cores(|server| {
        let keys = keys();
        let (mut asker, mut client) = (server.client(), server.client());
        for key in &keys {
            for words in [key.clone(), keys.join(" ")] {
                send(&mut client, &format!("BLPOP {words} 0"));
                await_blocked(&mut asker, 1);
                asker.run(&format!("SET {key} text"));
                asker.run(&format!("DEL {key}"));
                asker.run(&format!("SADD {key} member"));
                assert_eq!(info(&mut asker, "blocked_clients"), 1);
                asker.run(&format!("DEL {key}"));
                asker.run(&format!("RPUSH {key} x"));
                assert_eq!(next(&mut client), [key.as_str(), "x"]);
            }
            asker.run(&format!("SET {key} text"));
            let reply = client.run(&format!("BLPOP {} 0", keys.join(" ")));
            assert!(reply.error().unwrap().starts_with("WRONGTYPE"), "{reply}");
            asker.run(&format!("DEL {key}"));
        }
        // Nobody looks at the target before there is something to move.
        asker.run(&format!("SET {} text", keys[3]));
        send(&mut client, &format!("BLMOVE {} {} LEFT LEFT 0", keys[0], keys[3]));
        await_blocked(&mut asker, 1);
        asker.run(&format!("RPUSH {} x", keys[0]));
        assert!(client.read_reply().unwrap().error().unwrap().starts_with("WRONGTYPE"));
        assert_eq!(asker.run(&format!("LLEN {}", keys[0])).integer(), 1);
    });
}

#[test]
fn whatever_makes_a_list_appear_serves() {
    on_one_and_four_cores(|server| {
        let keys = keys();
        let (mut asker, mut client) = (server.client(), server.client());
        for target in &keys {
            let source = &keys[1];
            let mut makers = vec![format!("LPUSH {target} x"), format!("RPUSH {target} x")];
            if source != target {
                makers.push(format!("RENAME {source} {target}"));
                makers.push(format!("RENAMENX {source} {target}"));
                makers.push(format!("COPY {source} {target}"));
                makers.push(format!("LMOVE {source} {target} LEFT LEFT"));
                makers.push(format!("RPOPLPUSH {source} {target}"));
            }
            for maker in makers {
                for words in [target.clone(), format!("{target} other another third")] {
                    asker.run("FLUSHALL");
                    asker.run(&format!("RPUSH {source}x x"));
                    asker.run(&format!("RENAME {source}x {source}y"));
                    send(&mut client, &format!("BLPOP {words} 0"));
                    await_blocked(&mut asker, 1);
                    let maker = maker.replace(&format!("{source} {target}"), &format!("{source}y {target}"));
                    assert_eq!(asker.run(&maker).error(), None, "{maker}");
                    assert_eq!(next(&mut client), [target.as_str(), "x"], "{maker}");
                }
            }
            // Another database.
            asker.run("FLUSHALL");
            for maker in [format!("MOVE {target} 9"), "SWAPDB 0 9".to_owned(), format!("COPY {target} {target} DB 9")] {
                client.run("SELECT 9");
                send(&mut client, &format!("BLPOP {target} 0"));
                await_blocked(&mut asker, 1);
                asker.run(&format!("RPUSH {target} x"));
                assert_eq!(asker.run(&maker).error(), None);
                assert_eq!(next(&mut client), [target.as_str(), "x"], "{maker}");
                asker.run("FLUSHALL");
            }
            client.run("SELECT 0");
        }
    });
}

#[test]
fn a_pause_holds_those_who_bring_and_those_who_come() {
    on_one_and_four_cores(|server| {
        let keys = keys();
        let (mut asker, mut pusher) = (server.client(), server.client());
        let mut waiting: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for (at, client) in waiting.iter_mut().enumerate() {
            let words = if at % 2 == 0 { keys[at / 2].clone() } else { keys.join(" ") };
            send(client, &format!("BLPOP {words} 0"));
            await_blocked(&mut asker, at as u64 + 1);
        }
        asker.run("CLIENT PAUSE 100000 WRITE");
        keys.iter().for_each(|key| send(&mut pusher, &format!("RPUSH {key} a b")));
        let mut late = server.client();
        send(&mut late, &format!("BLPOP {} 0", keys[0]));
        await_blocked(&mut asker, 10);
        asker.run("CLIENT UNPAUSE");
        waiting.iter_mut().for_each(|client| assert_eq!(next(client).len(), 2));
        asker.run(&format!("RPUSH {} c", keys[0]));
        assert_eq!(next(&mut late).len(), 2);
    });
}

/// A blocking command with the shortest of times, on lists or on sorted sets; whether what it replies is gone from them.
fn impatient(rng: &mut Rng, lists: &[String], sets: &[String]) -> (String, bool) {
    let seconds = ["0.001", "0.002", "0.005"][rng.below(3)];
    let (one, other) = (rng.pick(lists).clone(), rng.pick(lists).clone());
    match rng.below(6) {
        0 => (format!("BLMOVE {one} {other} RIGHT LEFT {seconds}"), false),
        1 => (format!("BLMPOP {seconds} {} {} LEFT COUNT 2", lists.len(), lists.join(" ")), true),
        2 => (format!("BLPOP {} {seconds}", lists.join(" ")), true),
        3 => (format!("BRPOP {one} {seconds}"), true),
        4 => (format!("BZMPOP {seconds} {} {} MAX COUNT 2", sets.len(), sets.join(" ")), true),
        _ => (format!("BZPOPMIN {} {seconds}", rng.pick(sets)), true),
    }
}

/// Deadlines that come while pokes, entries and cancels are on their way.
#[test]
fn the_shortest_times_lose_nothing_and_nobody_hangs() {
    on_one_and_four_cores(|server| {
        let lists = keys();
        let sets: Vec<String> = (0..CORES).map(|core| key_on_core("zset", core, CORES, 0)).collect();
        let book = Book::default();
        std::thread::scope(|scope| {
            let consumers: Vec<_> = (0..8)
                .map(|seed| {
                    let (book, lists, sets) = (&book, &lists, &sets);
                    scope.spawn(move || {
                        let (mut rng, mut client, mut served) = (Rng::new(seed), server.client(), 0);
                        while !book.is_over.load(Ordering::Relaxed) {
                            let (command, takes) = impatient(&mut rng, lists, sets);
                            let reply = client.run(&command);
                            assert_eq!(reply.error(), None, "{command}");
                            if !reply.is_null() {
                                served += 1;
                                if takes {
                                    book.note(texts(&reply));
                                }
                            }
                        }
                        served
                    })
                })
                .collect();
            let producers: Vec<_> = (0..3)
                .map(|seed| {
                    let (book, lists, sets) = (&book, &lists, &sets);
                    scope.spawn(move || {
                        let (mut rng, mut client) = (Rng::new(100 + seed), server.client());
                        for _ in 0..600 {
                            let element = format!("e{}", book.pushed.fetch_add(1, Ordering::Relaxed));
                            let reply = match rng.below(3) {
                                0 => client.run(&format!("ZADD {} {} {element}", rng.pick(sets), rng.below(9))),
                                _ => client.run(&format!("LPUSH {} {element}", rng.pick(lists))),
                            };
                            assert!(reply.integer() > 0);
                            if rng.chance(50) {
                                std::thread::sleep(Duration::from_micros(rng.below(2_500) as u64));
                            }
                        }
                    })
                })
                .collect();
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            book.is_over.store(true, Ordering::Relaxed);
            let served: usize = consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum();
            assert!(served > 0, "somebody was served");
        });
        let mut asker = server.client();
        lists.iter().for_each(|key| book.note(texts(&asker.run(&format!("LRANGE {key} 0 -1")))));
        sets.iter().for_each(|key| book.note(texts(&asker.run(&format!("ZRANGE {key} 0 -1")))));
        let (delivered, pushed) = (book.delivered.into_inner().unwrap(), book.pushed.into_inner());
        let wrong: Vec<String> =
            (0..pushed).map(|at| format!("e{at}")).filter(|text| delivered.get(text) != Some(&1)).collect();
        assert!(wrong.is_empty(), "{wrong:?} are lost or went to several");
    });
}

/// What the consumers of a storm got, and what was pushed.
#[derive(Default)]
struct Book {
    delivered: Mutex<HashMap<String, usize>>,
    pushed: AtomicUsize,
    is_over: AtomicBool,
}

impl Book {
    fn note(&self, elements: impl IntoIterator<Item = String>) {
        let mut delivered = self.delivered.lock().unwrap();
        elements
            .into_iter()
            .filter(|text| text.starts_with("e"))
            .for_each(|text| *delivered.entry(text).or_default() += 1);
    }
}

fn produce(server: &Server, book: &Book, keys: &[String], seed: u64, count: usize) {
    let (mut rng, mut client) = (Rng::new(seed), server.client());
    for _ in 0..count {
        let burst = 1 + rng.below(4);
        let first = book.pushed.fetch_add(burst, Ordering::Relaxed);
        let elements: Vec<String> = (first..first + burst).map(|number| format!("e{number}")).collect();
        let key = rng.pick(keys);
        match rng.below(3) {
            0 => client.run(&format!("LPUSH {key} {}", elements.join(" "))),
            1 => client.run(&format!("RPUSH {key} {}", elements.join(" "))),
            _ => {
                // In a pipeline over two cores, behind and before something else.
                let other = rng.pick(keys);
                send(&mut client, &format!("SET string{} 1", rng.below(10)));
                send(&mut client, &format!("RPUSH {key} {}", elements.join(" ")));
                send(&mut client, &format!("LLEN {other}"));
                (0..2).for_each(|_| assert_eq!(client.read_reply().unwrap().error(), None));
                client.read_reply().unwrap()
            }
        };
    }
}

/// One command of a consumer, and whether what it replies is out of the lists.
fn consuming(rng: &mut Rng, keys: &[String]) -> (String, bool) {
    let (one, other) = (rng.pick(keys).clone(), rng.pick(keys).clone());
    let seconds = ["0.001", "0.01", "0.03", "5"][rng.below(4)];
    match rng.below(8) {
        0 | 1 => (format!("BLPOP {one} {seconds}"), true),
        2 => (format!("BRPOP {one} {other} {seconds}"), true),
        3 => (format!("BLPOP {} {seconds}", keys.join(" ")), true),
        4 => (format!("BLMPOP {seconds} 2 {one} {other} LEFT COUNT 3"), true),
        5 => (format!("BLMOVE {one} {other} LEFT RIGHT {seconds}"), false),
        6 => (format!("BRPOPLPUSH {one} {other} {seconds}"), false),
        _ => (format!("LMOVE {one} {other} RIGHT LEFT"), false),
    }
}

fn consume(server: &Server, book: &Book, ids: &Mutex<Vec<i64>>, keys: &[String], seed: u64) {
    let mut rng = Rng::new(seed);
    while !book.is_over.load(Ordering::Relaxed) {
        let mut client = server.client();
        ids.lock().unwrap().push(id_of(&mut client));
        for _ in 0..1 + rng.below(40) {
            let (command, takes) = consuming(&mut rng, keys);
            if client.send(&ringkey_tests::client::encoded(&command.split(' ').collect::<Vec<_>>())).is_err() {
                break;
            }
            // Some hang up while they wait, and read what was on its way.
            let leaves = rng.chance(10);
            if leaves {
                std::thread::sleep(Duration::from_micros(rng.below(3000) as u64));
                let _ = client.finish_sending();
            }
            match client.read_reply() {
                Ok(reply @ (Reply::Array(_) | Reply::Bulk(_))) if takes => book.note(texts(&reply)),
                Ok(Reply::Closed) | Err(_) => break,
                Ok(_) => {}
            }
            if leaves {
                break;
            }
        }
    }
}

fn kill(server: &Server, book: &Book, ids: &Mutex<Vec<i64>>, seed: u64) {
    let (mut rng, mut client) = (Rng::new(seed), server.client());
    while !book.is_over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(rng.below(8) as u64));
        let id = {
            let ids = ids.lock().unwrap();
            if ids.is_empty() { continue } else { *rng.pick(&ids[ids.len().saturating_sub(12)..]) }
        };
        match rng.below(3) {
            0 => client.run(&format!("CLIENT KILL ID {id}")),
            1 => client.run(&format!("CLIENT UNBLOCK {id} ERROR")),
            _ => client.run(&format!("CLIENT UNBLOCK {id}")),
        };
    }
}

#[test]
fn each_element_goes_to_one_client_or_stays() {
    let seed = std::env::var("RINGKEY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7_u64);
    let rounds: usize =
        std::env::var("RINGKEY_BLOCKING_PUSHES").ok().and_then(|text| text.parse().ok()).unwrap_or(1500);
    on_one_and_four_cores(|server| {
        let keys = keys();
        let (book, ids) = (Book::default(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            let producers: Vec<_> = (0..3)
                .map(|at| {
                    let (book, keys) = (&book, &keys);
                    scope.spawn(move || produce(server, book, keys, seed * 100 + at, rounds))
                })
                .collect();
            for at in 0..10 {
                let (book, keys, ids) = (&book, &keys, &ids);
                scope.spawn(move || consume(server, book, ids, keys, seed * 1000 + at));
            }
            scope.spawn(|| kill(server, &book, &ids, seed));
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            std::thread::sleep(Duration::from_millis(100));
            book.is_over.store(true, Ordering::Relaxed);
        });
        let mut asker = server.client();
        await_blocked(&mut asker, 0);
        // A client that was killed may not have heard of what was put back a moment ago.
        std::thread::sleep(Duration::from_millis(50));
        let mut delivered = book.delivered.into_inner().unwrap();
        let mut left = 0;
        for key in &keys {
            for text in texts(&asker.run(&format!("LRANGE {key} 0 -1"))) {
                *delivered.entry(text).or_default() += 1;
                left += 1;
            }
        }
        let twice: Vec<_> = delivered.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "seed {seed}: {twice:?} went to several");
        let pushed = book.pushed.load(Ordering::Relaxed);
        let lost: Vec<_> =
            (0..pushed).map(|at| format!("e{at}")).filter(|text| !delivered.contains_key(text)).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?} are lost; {left} of {pushed} are left");
        assert!(left < pushed, "somebody was served");
    });
}

/// An entry's id and its only value, from a reply of XREAD or XREADGROUP about one stream.
fn entries(reply: &Reply) -> Vec<(String, String)> {
    let texts = texts(reply);
    texts[1..].chunks_exact(3).map(|entry| (entry[0].clone(), entry[2].clone())).collect()
}

fn streams() -> Vec<String> {
    (0..CORES).map(|core| key_on_core("stream", core, CORES, 0)).collect()
}

/// `key key ... id id ...`
fn each(keys: &[String], id: &str) -> String {
    format!("{} {}", keys.join(" "), vec![id; keys.len()].join(" "))
}

#[test]
fn every_reader_gets_an_entry_and_one_of_each_group() {
    on_one_and_four_cores(|server| {
        let (mut asker, keys) = (server.client(), streams());
        for key in &keys {
            asker.run(&format!("XGROUP CREATE {key} g $ MKSTREAM"));
            asker.run(&format!("XGROUP CREATE {key} h $ MKSTREAM"));
        }
        for (round, key) in keys.iter().enumerate() {
            let mut readers: Vec<Client> = (0..6).map(|_| server.client()).collect();
            for (at, reader) in readers.iter_mut().enumerate() {
                // Every other one waits for all keys.
                let keys = if at % 2 == 0 { std::slice::from_ref(key) } else { &keys };
                send(reader, &format!("XREAD BLOCK 0 STREAMS {}", each(keys, "$")));
            }
            let mut consumers: Vec<Client> = (0..8).map(|_| server.client()).collect();
            for (at, consumer) in consumers.iter_mut().enumerate() {
                let keys = if at % 3 == 1 { &keys } else { std::slice::from_ref(key) };
                let group = if at % 2 == 0 { "g" } else { "h" };
                let call = format!("XREADGROUP GROUP {group} c{at} BLOCK 0 STREAMS {}", each(keys, ">"));
                send(consumer, &call);
                await_blocked(&mut asker, 7 + at as u64);
            }
            wait_until("keys are watched", || info(&mut asker, "total_blocking_keys") == CORES as u64);
            let id = format!("{}-1", round + 1);
            assert_eq!(asker.run(&format!("XADD {key} {id} f first")).text(), id);
            for reader in &mut readers {
                let reply = reader.read_reply().unwrap();
                assert_eq!(entries(&reply), [(id.clone(), "first".to_owned())]);
            }
            // The first two of the consumers are the first of their groups.
            for consumer in &mut consumers[..2] {
                let reply = consumer.read_reply().unwrap();
                assert_eq!(entries(&reply), [(id.clone(), "first".to_owned())]);
            }
            for at in (2..8).step_by(2) {
                let id = format!("{}-{at}", round + 1);
                asker.run(&format!("XADD {key} {id} f next"));
                for consumer in &mut consumers[at..at + 2] {
                    let reply = consumer.read_reply().unwrap();
                    assert_eq!(entries(&reply), [(id.clone(), "next".to_owned())]);
                }
            }
            await_blocked(&mut asker, 0);
        }
    });
}

#[test]
fn who_waits_in_a_group_hears_that_a_key_is_gone() {
    on_one_and_four_cores(|server| {
        let (mut asker, keys) = (server.client(), streams());
        let ends = ["DEL", "SET", "XGROUP DESTROY", "FLUSHALL", "PEXPIRE"];
        for (at, end) in ends.iter().enumerate() {
            keys.iter().for_each(|key| {
                asker.run(&format!("XGROUP CREATE {key} g $ MKSTREAM"));
            });
            let key = &keys[at % keys.len()];
            let (mut one, mut all, mut reader) = (server.client(), server.client(), server.client());
            send(&mut one, &format!("XREADGROUP GROUP g one BLOCK 0 STREAMS {key} >"));
            send(&mut all, &format!("XREADGROUP GROUP g all BLOCK 0 STREAMS {}", each(&keys, ">")));
            send(&mut reader, &format!("XREAD BLOCK 0 STREAMS {}", each(&keys, "$")));
            await_blocked(&mut asker, 3);
            wait_until("keys are watched", || info(&mut asker, "total_blocking_keys_on_nokey") == CORES as u64);
            let code = if *end == "SET" { "WRONGTYPE" } else { "NOGROUP" };
            let words = match *end {
                "SET" => format!("SET {key} x"),
                "XGROUP DESTROY" => format!("XGROUP DESTROY {key} g"),
                "FLUSHALL" => "FLUSHALL".to_owned(),
                "PEXPIRE" => format!("PEXPIRE {key} 1"),
                _ => format!("{end} {key}"),
            };
            asker.run(&words);
            for client in [&mut one, &mut all] {
                let reply = client.read_reply().unwrap();
                assert!(reply.error().is_some_and(|error| error.contains(code)), "{words}: {reply}");
            }
            // Who only reads goes on waiting.
            await_blocked(&mut asker, 1);
            asker.run(&format!("DEL {key}"));
            asker.run(&format!("XADD {key} 99-{at} f v"));
            assert_eq!(entries(&reader.read_reply().unwrap()), [(format!("99-{at}"), "v".to_owned())]);
            asker.run("FLUSHALL");
        }
    });
}

/// Reads all streams from where it is until it is told that there is no more; gives what it read, stream by stream.
fn read_all(server: &Server, book: &Book, keys: &[String], seed: u64) -> HashMap<String, Vec<String>> {
    let (mut rng, mut client) = (Rng::new(seed), server.client());
    let mut places: HashMap<String, String> = keys.iter().map(|key| (key.clone(), "0".to_owned())).collect();
    let mut got: HashMap<String, Vec<String>> = HashMap::new();
    loop {
        let is_over = book.is_over.load(Ordering::Relaxed);
        let ids: Vec<&str> = keys.iter().map(|key| places[key].as_str()).collect();
        let (count, millis) = (1 + rng.below(5), [1, 5, 40][rng.below(3)]);
        let call = format!("XREAD COUNT {count} BLOCK {millis} STREAMS {} {}", keys.join(" "), ids.join(" "));
        match client.run(&call) {
            Reply::Array(streams) => {
                for stream in &streams {
                    let key = texts(stream)[0].clone();
                    for (id, value) in entries(stream) {
                        places.insert(key.clone(), id);
                        got.entry(key.clone()).or_default().push(value);
                    }
                }
            }
            other => {
                assert_eq!(other.error(), None, "{call}");
                if is_over {
                    return got;
                }
            }
        }
    }
}

fn consume_entries(server: &Server, book: &Book, keys: &[String], seed: u64) -> usize {
    let (mut rng, mut client, mut served) = (Rng::new(seed), server.client(), 0);
    loop {
        let is_over = book.is_over.load(Ordering::Relaxed);
        let one = [rng.pick(keys).clone()];
        let keys = if rng.chance(50) { &one[..] } else { keys };
        let (count, millis) = (1 + rng.below(3), [1, 2, 20][rng.below(3)]);
        let group = format!("GROUP g c{seed} COUNT {count} BLOCK {millis}");
        let reply = client.run(&format!("XREADGROUP {group} STREAMS {}", each(keys, ">")));
        assert_eq!(reply.error(), None);
        let Reply::Array(streams) = &reply else {
            if is_over && keys.len() > 1 {
                return served;
            }
            continue;
        };
        for stream in streams {
            let key = texts(stream)[0].clone();
            for (id, value) in entries(stream) {
                book.note([value]);
                served += 1;
                assert_eq!(client.run(&format!("XACK {key} g {id}")).integer(), 1);
            }
        }
    }
}

#[test]
fn each_entry_goes_to_every_reader_and_one_consumer() {
    on_one_and_four_cores(|server| {
        let (mut asker, keys) = (server.client(), streams());
        keys.iter().for_each(|key| {
            asker.run(&format!("XGROUP CREATE {key} g 0 MKSTREAM"));
        });
        let book = Book::default();
        let added: Mutex<HashMap<String, Vec<String>>> = Mutex::default();
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|seed| {
                    let (book, keys) = (&book, &keys);
                    scope.spawn(move || read_all(server, book, keys, seed))
                })
                .collect();
            let consumers: Vec<_> = (0..6)
                .map(|seed| {
                    let (book, keys) = (&book, &keys);
                    scope.spawn(move || consume_entries(server, book, keys, 10 + seed))
                })
                .collect();
            let producers: Vec<_> = keys
                .iter()
                .enumerate()
                .map(|(at, key)| {
                    let (book, added) = (&book, &added);
                    scope.spawn(move || {
                        let (mut rng, mut client) = (Rng::new(100 + at as u64), server.client());
                        for _ in 0..400 {
                            let value = format!("e{}", book.pushed.fetch_add(1, Ordering::Relaxed));
                            client.run(&format!("XADD {key} * f {value}")).text();
                            added.lock().unwrap().entry(key.clone()).or_default().push(value);
                            if rng.chance(40) {
                                std::thread::sleep(Duration::from_micros(rng.below(2_000) as u64));
                            }
                        }
                    })
                })
                .collect();
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            book.is_over.store(true, Ordering::Relaxed);
            let added = added.lock().unwrap();
            for reader in readers {
                assert_eq!(reader.join().unwrap(), *added, "every reader reads everything in order");
            }
            let served: usize = consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum();
            assert_eq!(served, book.pushed.load(Ordering::Relaxed), "the group gets everything once");
        });
        let delivered = book.delivered.into_inner().unwrap();
        assert!(delivered.values().all(|count| *count == 1), "nothing goes to two of a group");
        for key in &keys {
            let pending = asker.run(&format!("XPENDING {key} g"));
            assert!(matches!(&pending, Reply::Array(parts) if parts[0].integer() == 0), "{pending}");
        }
    });
}
