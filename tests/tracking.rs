//! Client-side caching: who has a reply to a write, and asks the other client, finds it informed; no copy stays stale, whatever is read
//! and written over however many cores; and nothing is left of clients that vanish.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::encoded;
use ringkey_tests::reply::Reply;
use ringkey_tests::rng::Rng;
use ringkey_tests::server::Setup;
use ringkey_tests::{Client, Server};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A client that speaks RESP3.
fn modern(server: &Server) -> Client {
    let mut client = server.client();
    client.run("HELLO 3");
    client
}

/// The keys that a push calls stale; `None` in it: all.
fn stale(reply: &Reply) -> Option<Option<Vec<String>>> {
    let Reply::Push(words) = reply else { return None };
    assert_eq!(words[0].text(), "invalidate");
    Some((!words[1].is_null()).then(|| words[1].elements().iter().map(Reply::text).collect()))
}

/// Sends a command; gives its reply and what was pushed before.
fn ask(client: &mut Client, words: &[&str]) -> (Reply, Vec<Option<Vec<String>>>) {
    client.send(&encoded(words)).unwrap();
    let mut pushes = Vec::new();
    loop {
        let reply = client.read_reply().unwrap();
        match stale(&reply) {
            Some(keys) => pushes.push(keys),
            None => return (reply, pushes),
        }
    }
}

/// A client, and what it has heard since it last asked for it.
fn heard(client: &mut Client) -> Vec<String> {
    let (pong, pushes) = ask(client, &["PING"]);
    assert_eq!(pong.lines(), ["+PONG"]);
    let mut keys: Vec<String> = pushes.into_iter().flat_map(|keys| keys.unwrap_or(vec!["(all)".into()])).collect();
    keys.sort_unstable();
    keys
}

/// A figure of INFO.
fn figure(client: &mut Client, name: &str) -> u64 {
    let text = ask(client, &["INFO"]).0.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().parse().unwrap()
}

fn await_figure(client: &mut Client, name: &str, wanted: u64) {
    let end = Instant::now() + Duration::from_secs(20);
    while figure(client, name) != wanted {
        assert!(Instant::now() < end, "{name} is {} and not {wanted}", figure(client, name));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Calls that change `a`, and what is there before.
const WRITES: [(&str, &str); 14] = [
    ("", "SET a 1"),
    ("", "MSET b 1 a 1 c 1 d 1"),
    ("", "MSETNX a 1 e 1 f 1"),
    ("SET a 1", "DEL f a e"),
    ("SET a 1", "RENAME a g"),
    ("SET g 1", "RENAME g a"),
    ("SET a 1", "PEXPIRE a -1"),
    ("SADD h 1", "SUNIONSTORE a h i"),
    ("RPUSH j 1", "LMOVE j a LEFT LEFT"),
    ("RPUSH k 1 2", "SORT k BY w_* STORE a"),
    ("", "EVAL server.call('set',KEYS[1],1) 1 a"),
    ("", "EVAL server.call('mset','l',1,'a',1,'m',1,'n',1) 0"),
    ("", "EVAL server.call('get','l')server.call('rename',KEYS[1],'a') 1 o"),
    ("SET a 1", "FLUSHALL"),
];

fn prepare(writer: &mut Client, before: &str) {
    writer.run("FLUSHALL");
    writer.run("SET o 1");
    if !before.is_empty() {
        writer.run(before);
    }
}

#[test]
fn whoever_knows_of_a_write_finds_others_informed() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let mut writers: Vec<Client> = (0..cores).map(|_| server.client()).collect();
        let mut readers: Vec<Client> = (0..2 * cores).map(|_| modern(&server)).collect();
        for (at, reader) in readers.iter_mut().enumerate() {
            let mode: &[&str] = if at % 2 == 0 { &[] } else { &["BCAST", "PREFIX", "a"] };
            assert_eq!(ask(reader, &[&["CLIENT", "TRACKING", "ON"], mode].concat()).0.lines(), ["+OK"]);
        }
        for round in 0..20 {
            for (before, call) in WRITES {
                let writer = &mut writers[round % cores];
                prepare(writer, before);
                for (at, reader) in readers.iter_mut().enumerate() {
                    heard(reader);
                    let read: [&[&str]; 4] = [
                        &["GET", "a"],
                        &["MGET", "x", "a", "y", "z"],
                        &["EXISTS", "a"],
                        &["EVAL", "server.call('exists','a')", "0"],
                    ];
                    ask(reader, read[(at / 2 + round) % 4]);
                }
                let reply = writer.run(call);
                assert!(reply.error().is_none(), "{call}: {reply}");
                for (at, reader) in readers.iter_mut().enumerate() {
                    let heard = heard(reader);
                    let what = format!("{cores} cores, reader {at}, {call}: {heard:?}");
                    assert!(heard.iter().any(|key| key == "a" || key == "(all)"), "{what}");
                }
            }
        }
    }
}

/// A client with its cache.
struct Cache {
    client: Client,
    copies: HashMap<String, Option<String>>,
    /// Reads that were sent and not answered: the keys of each.
    open: std::collections::VecDeque<Vec<String>>,
}

impl Cache {
    fn new(server: &Server) -> Self {
        let mut client = modern(server);
        assert_eq!(ask(&mut client, &["CLIENT", "TRACKING", "ON"]).0.lines(), ["+OK"]);
        Self { client, copies: HashMap::new(), open: Default::default() }
    }

    fn send(&mut self, keys: Vec<String>, how: usize) {
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let bytes = match how {
            0 if keys.len() == 1 => encoded(&["GET", names[0]]),
            0 | 1 => encoded(&[&["MGET"][..], &names].concat()),
            _ => {
                let count = names.len().to_string();
                let script =
                    "local all = {} for at, key in ipairs(KEYS) do all[at] = server.call('get', key) end return all";
                encoded(&[&["EVAL", script, &count][..], &names].concat())
            }
        };
        self.client.send(&bytes).unwrap();
        self.open.push_back(keys);
    }

    fn read(&mut self) {
        let reply = self.client.read_reply().unwrap();
        if let Some(keys) = stale(&reply) {
            match keys {
                None => self.copies.clear(),
                Some(keys) => keys.iter().for_each(|key| drop(self.copies.remove(key))),
            }
            return;
        }
        let Some(keys) = self.open.pop_front() else { panic!("nobody has asked for {reply}") };
        let values = if let Reply::Array(values) = &reply { values.clone() } else { vec![reply] };
        for (key, value) in keys.into_iter().zip(values) {
            assert!(value.error().is_none(), "{value}");
            self.copies.insert(key, (!value.is_null()).then(|| value.text()));
        }
    }

    /// Reads until nothing is owed.
    fn catch_up(&mut self) {
        while !self.open.is_empty() {
            self.read();
        }
    }
}

fn write(client: &mut Client, rng: &mut Rng, value: &mut u64, name: impl Fn(&mut Rng) -> String) {
    *value += 1;
    let (one, two, three) = (name(rng), name(rng), name(rng));
    let value = value.to_string();
    let reply = match rng.below(10) {
        0..=3 => client.command(&["SET", &one, &value]),
        4 => client.command(&["MSET", &one, &value, &two, &value, &three, &value]),
        5 => client.command(&["DEL", &one, &two]),
        6 if one != two => client.command(&["COPY", &one, &two, "REPLACE"]),
        7 => client.command(&[
            "EVAL",
            "return server.call('mset', KEYS[1], ARGV[1], KEYS[2], ARGV[1])",
            "2",
            &one,
            &two,
            &value,
        ]),
        8 if rng.chance(3) => client.command(&["FLUSHALL"]),
        _ => client.command(&["SET", &one, &value, "PX", "3"]),
    };
    assert!(reply.error().is_none(), "{reply}");
}

#[test]
fn no_copy_stays_stale() {
    for (cores, seed) in [(1, 1), (4, 2), (4, 3)] {
        let server = Setup::new().cores(cores).start();
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|number: u64| {
                    let mut client = server.client();
                    scope.spawn(move || {
                        let (mut rng, mut value) = (Rng::new(seed * 100 + number), number << 32);
                        for _ in 0..3000 {
                            write(&mut client, &mut rng, &mut value, |rng| format!("key:{}", rng.below(40)));
                        }
                    })
                })
                .collect();
            let readers: Vec<_> = (0..5)
                .map(|number: u64| {
                    let mut cache = Cache::new(&server);
                    scope.spawn(move || {
                        let mut rng = Rng::new(seed * 1000 + number);
                        for _ in 0..600 {
                            for _ in 0..1 + rng.below(4) {
                                let keys = (0..1 + rng.below(4)).map(|_| format!("key:{}", rng.below(40))).collect();
                                cache.send(keys, rng.below(3));
                            }
                            cache.catch_up();
                        }
                        cache
                    })
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            let mut caches: Vec<Cache> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
            // Keys whose time is short are gone by now, and that was told.
            std::thread::sleep(Duration::from_millis(500));
            let mut asker = server.client();
            for number in 0..40 {
                asker.command(&["EXISTS", &format!("key:{number}")]);
            }
            for cache in &mut caches {
                cache.open.push_back(Vec::new());
                cache.client.send(&encoded(&["PING"])).unwrap();
                cache.catch_up();
                for (key, copy) in &cache.copies {
                    let value = asker.command(&["GET", key]);
                    let value = (!value.is_null()).then(|| value.text());
                    assert_eq!(*copy, value, "{key} with {cores} cores, seed {seed}");
                }
            }
        });
    }
}

#[test]
fn the_table_stays_within_its_limit() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let mut asker = server.client();
        assert_eq!(asker.run("CONFIG SET tracking-table-max-keys 100").lines(), ["+OK"]);
        let mut reader = modern(&server);
        ask(&mut reader, &["CLIENT", "TRACKING", "ON"]);
        let mut heard_of = Vec::new();
        for number in 0..1000 {
            let (_, pushes) = ask(&mut reader, &["GET", &format!("key:{number}")]);
            heard_of.extend(pushes.into_iter().flatten().flatten());
        }
        await_figure(&mut asker, "tracking_total_keys", 100);
        heard_of.extend(heard(&mut reader));
        heard_of.sort_unstable();
        heard_of.dedup();
        assert_eq!(heard_of.len(), 900, "whatever is forgotten is told, once");
        assert_eq!(asker.run("CONFIG SET tracking-table-max-keys 7").lines(), ["+OK"]);
        await_figure(&mut asker, "tracking_total_keys", 7);
        assert_eq!(heard(&mut reader).len(), 93);
    }
}

#[test]
fn nothing_is_left_of_those_who_vanish() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let mut asker = server.client();
        for round in 0..3 {
            let mut clients: Vec<Client> = (0..8).map(|_| modern(&server)).collect();
            for (at, client) in clients.iter_mut().enumerate() {
                let prefix = format!("p{at}:");
                let mode: &[&str] = if at % 2 == 0 { &["BCAST", "PREFIX", &prefix] } else { &["NOLOOP"] };
                assert_eq!(ask(client, &[&["CLIENT", "TRACKING", "ON"], mode].concat()).0.lines(), ["+OK"]);
                ask(client, &["MGET", "a", "b", "c", "d"]);
            }
            await_figure(&mut asker, "tracking_clients", 8);
            await_figure(&mut asker, "tracking_total_prefixes", 4);
            assert_eq!(figure(&mut asker, "tracking_total_keys"), 4);
            assert_eq!(figure(&mut asker, "tracking_total_items"), 16);
            match round {
                0 => drop(clients),
                1 => clients.iter_mut().for_each(|client| drop(client.run("RESET"))),
                _ => clients.iter_mut().for_each(|client| drop(client.run("CLIENT TRACKING OFF"))),
            }
            await_figure(&mut asker, "tracking_clients", 0);
            await_figure(&mut asker, "tracking_total_prefixes", 0);
            asker.run("MSET a 1 b 1 c 1 d 1 p0: 1");
            assert_eq!(figure(&mut asker, "tracking_total_items"), 0, "ids go when their keys change");
        }
    }
}

/// What a connection has heard in place of others.
fn heard_instead(hearer: &mut Client) -> Vec<String> {
    hearer.send(&encoded(&["PING"])).unwrap();
    let mut keys = Vec::new();
    loop {
        let message = hearer.read_reply().unwrap();
        let words = message.elements();
        if words[0].text() == "pong" {
            return keys;
        }
        match words[2].is_null() {
            true => keys.push("(all)".into()),
            false => keys.extend(words[2].elements().iter().map(Reply::text)),
        }
    }
}

/// As in [`whoever_knows_of_a_write_finds_others_informed`], where another connection hears, on whatever core it is.
#[test]
fn whoever_knows_of_a_write_finds_those_informed_who_hear_for_others() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let mut writers: Vec<Client> = (0..cores).map(|_| server.client()).collect();
        let mut hearers: Vec<Client> = (0..cores).map(|_| server.client()).collect();
        let ids: Vec<i64> = hearers.iter_mut().map(|hearer| hearer.run("CLIENT ID").integer()).collect();
        hearers.iter_mut().for_each(|hearer| drop(hearer.run("SUBSCRIBE __redis__:invalidate")));
        // From each core to each core.
        let mut readers: Vec<Client> = (0..2 * cores * cores).map(|_| server.client()).collect();
        let target = |at: usize| at / 2 / cores;
        for (at, reader) in readers.iter_mut().enumerate() {
            let mode = if at % 2 == 0 { "" } else { " BCAST PREFIX a" };
            let id = ids[target(at)];
            assert_eq!(reader.run(&format!("CLIENT TRACKING ON REDIRECT {id}{mode}")).lines(), ["+OK"]);
        }
        for round in 0..2 * cores {
            for (before, call) in WRITES {
                let writer = &mut writers[round % cores];
                prepare(writer, before);
                readers.iter_mut().for_each(|reader| drop(reader.run("MGET x a y z")));
                hearers.iter_mut().for_each(|hearer| drop(heard_instead(hearer)));
                let reply = writer.run(call);
                assert!(reply.error().is_none(), "{call}: {reply}");
                for (at, hearer) in hearers.iter_mut().enumerate() {
                    let count = heard_instead(hearer).iter().filter(|key| *key == "a" || *key == "(all)").count();
                    assert!(count >= 2 * cores, "{cores} cores, hearer {at}, {call}: {count}");
                }
            }
        }
    }
}

/// Who is to hear changes while shards know of what was read before.
#[test]
fn nothing_is_missed_where_the_one_who_hears_changes() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let mut writer = server.client();
        let mut hearers: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let ids: Vec<i64> = hearers.iter_mut().map(|hearer| hearer.run("CLIENT ID").integer()).collect();
        hearers.iter_mut().for_each(|hearer| drop(hearer.run("SUBSCRIBE __redis__:invalidate")));
        for home in 0..4 {
            let mut reader = server.client();
            for (from, to) in (0..4).flat_map(|from| (0..4).map(move |to| (from, to))) {
                for mode in ["", " NOLOOP", " BCAST PREFIX a: PREFIX b:"] {
                    reader.run("CLIENT TRACKING OFF");
                    let begin = format!("CLIENT TRACKING ON REDIRECT {}{mode}", ids[from]);
                    assert_eq!(reader.run(&begin).lines(), ["+OK"]);
                    reader.run("MGET a:1 a:2 b:1 b:2");
                    let mode = mode.replace("a:", "c:").replace("b:", "d:");
                    let again = format!("CLIENT TRACKING ON REDIRECT {}{mode}", ids[to]);
                    assert_eq!(reader.run(&again).lines(), ["+OK"]);
                    reader.run("MGET c:1 d:1");
                    hearers.iter_mut().for_each(|hearer| drop(heard_instead(hearer)));
                    reader.run("SET d:1 1");
                    writer.run("MSET a:1 1 a:2 1 b:1 1 b:2 1 c:1 1");
                    let wanted = if mode == " NOLOOP" { 5 } else { 6 };
                    let mut keys = Vec::new();
                    let end = Instant::now() + Duration::from_secs(20);
                    while keys.len() < wanted {
                        assert!(Instant::now() < end, "core {home}, {from} to {to}, {mode}: {keys:?}");
                        keys.extend(heard_instead(&mut hearers[to]));
                    }
                    keys.sort_unstable();
                    let all = ["a:1", "a:2", "b:1", "b:2", "c:1", "d:1"];
                    assert_eq!(keys, all[..wanted], "core {home}, {from} to {to}, {mode}");
                }
            }
        }
        for hearer in &mut hearers {
            assert_eq!(heard_instead(hearer), Vec::<String>::new(), "each hears when it is its turn");
        }
    }
}

/// A client as libraries for RESP2 make it: one connection asks, another one hears.
#[test]
fn another_connection_hears_in_place_of_the_first() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let mut writer = server.client();
        let mut pairs = Vec::new();
        for _ in 0..2 * cores {
            let (mut asker, mut hearer) = (server.client(), server.client());
            let id = hearer.run("CLIENT ID").integer();
            hearer.run("SUBSCRIBE __redis__:invalidate");
            assert_eq!(asker.run(&format!("CLIENT TRACKING ON REDIRECT {id}")).lines(), ["+OK"]);
            assert_eq!(asker.run("CLIENT GETREDIR").integer(), id);
            pairs.push((asker, hearer));
        }
        for round in 0..50 {
            let name = format!("key:{round}");
            for (asker, _) in &mut pairs {
                asker.command(&["GET", &name]);
            }
            writer.command(&["SET", &name, "1"]);
            for (_, hearer) in &mut pairs {
                let message = hearer.read_reply().unwrap();
                let words = message.elements();
                assert_eq!((words[0].text(), words[1].text()), ("message".into(), "__redis__:invalidate".into()));
                assert_eq!(words[2].elements()[0].text(), name);
            }
        }
        for (asker, hearer) in &mut pairs {
            drop(std::mem::replace(hearer, server.client()));
            asker.run("GET a");
        }
        await_figure(&mut writer, "connected_clients", 4 * cores as u64 + 1);
        for (asker, _) in &mut pairs {
            writer.run("SET a 1");
            let end = Instant::now() + Duration::from_secs(20);
            while !asker.run("CLIENT INFO").text().contains("flags=tR ") {
                assert!(Instant::now() < end, "nobody has noticed that the other connection is gone");
                asker.run("GET a");
                writer.run("SET a 1");
            }
        }
    }
}
