//! Keyspace events as those who subscribe to them get them: call by call as a real Valkey tells them, on one core and on several,
//! and before whatever the caller publishes next.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::{encoded, words};
use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::{Client, Server};
use std::collections::BTreeMap;

const TABLES: [&str; 2] =
    [include_str!("../core/tests/data/events.txt"), include_str!("../core/tests/data/events_collections.txt")];
const MARKS: &str = "marks";

struct Cases {
    actors: [Client; 2],
    listener: Client,
    may_come_late: bool,
}

impl Cases {
    fn new(server: &Server, may_come_late: bool) -> Self {
        let client = |db: usize| {
            let mut client = server.client();
            assert_eq!(client.run(&format!("SELECT {db}")).lines(), ["+OK"]);
            client
        };
        let (mut actors, mut listener) = ([client(0), client(1)], server.client());
        actors[0].run("DEBUG SET-ACTIVE-EXPIRE 0");
        listener.run(&format!("SUBSCRIBE {MARKS}"));
        listener.run("PSUBSCRIBE __keyspace@*");
        Self { actors, listener, may_come_late }
    }

    fn run(&mut self, line: &str) {
        if let Some(millis) = line.strip_prefix("wait ") {
            let millis = millis.parse::<u64>().unwrap() + 2;
            return std::thread::sleep(std::time::Duration::from_millis(millis));
        }
        let (db, line) = line.strip_prefix("1:").map_or((0, line), |line| (1, line));
        self.actors[db].command(&words(line));
    }

    fn listen(&mut self, classes: &str) {
        let reply = self.actors[0].command(&["CONFIG", "SET", "notify-keyspace-events", classes]);
        assert_eq!(reply.lines(), ["+OK"]);
    }

    /// What is told of a call, of which so many events are expected.
    fn events_of(&mut self, before: &str, call: &str, expected: usize) -> Vec<String> {
        self.listen("");
        self.run("FLUSHALL");
        before.split("; ").filter(|line| !line.is_empty()).for_each(|line| self.run(line));
        self.listen("KEAmn");
        self.run(call);
        self.actors[0].command(&["PUBLISH", MARKS, "end"]);
        let (mut events, mut has_ended) = (Vec::new(), false);
        while !has_ended || (self.may_come_late && events.len() < expected) {
            let reply = self.listener.read_reply().unwrap();
            let texts: Vec<String> = reply.elements().iter().map(|word| word.text()).collect();
            let [.., channel, message] = texts.as_slice() else { panic!("not a message: {texts:?}") };
            if channel == MARKS {
                has_ended = true;
                continue;
            }
            let (db, key) = channel.strip_prefix("__keyspace@").unwrap().split_once("__:").unwrap();
            events.push(if db == "0" { format!("{message} {key}") } else { format!("{message} {db}:{key}") });
        }
        events
    }
}

/// The events of each key, in their order.
fn by_key(events: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, key) in events.iter().map(|event| event.split_once(' ').unwrap()) {
        keys.entry(key).or_default().push(name);
    }
    keys
}

fn check_cases(server: &Server, cores: usize) {
    let mut cases = Cases::new(server, cores > 1);
    let mut wrong = Vec::new();
    let lines = TABLES.iter().flat_map(|table| table.lines());
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '='])) {
        let spaced = format!(" {line} ");
        let parts: Vec<&str> = spaced.split(" | ").map(str::trim).collect();
        let [before, call, expected] = parts[..] else { panic!("not a case: {line}") };
        let expected: Vec<String> = expected.split(", ").filter(|event| !event.is_empty()).map(str::to_owned).collect();
        let events = cases.events_of(before, call, expected.len());
        // Events of keys on several cores are told by these.
        let is_right = if cores > 1 { by_key(&events) == by_key(&expected) } else { events == expected };
        if !is_right {
            wrong.push(format!("{line} <> {}", events.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_tells_what_the_cases_say() {
    if peer("valkey-server").is_none() {
        return skip("no valkey-server to compare with");
    }
    check_cases(&Setup::of(Kind::Reference).option("enable-debug-command", "yes").start(), 1);
}

#[test]
fn calls_bring_the_events_of_the_cases() {
    for cores in [1, 4] {
        check_cases(&Setup::new().cores(cores).option("enable-debug-command", "yes").start(), cores);
    }
}

const CORES: usize = 4;
const ROUNDS: usize = 300;

/// Clients on every core write to keys of all cores and then publish; listeners on every core get the event first.
#[test]
fn an_event_comes_before_what_its_caller_publishes_next() {
    let server = Setup::new().cores(CORES).option("notify-keyspace-events", "K$").start();
    // Connections go to the core that has the fewest.
    let mut listeners: Vec<Client> = (0..CORES).map(|_| server.client()).collect();
    let mut writers: Vec<Client> = (0..CORES).map(|_| server.client()).collect();
    for listener in &mut listeners {
        listener.run(&format!("SUBSCRIBE {MARKS}"));
        listener.run("PSUBSCRIBE __keyspace@0__:*");
    }
    for (writer, client) in writers.iter_mut().enumerate() {
        for round in 0..ROUNDS {
            let key = format!("k{writer}:{round}");
            let (set, publish) = (["SET", &key, "1"], ["PUBLISH", MARKS, &key]);
            if round % 2 == 0 {
                client.send(&[encoded(&set), encoded(&publish)].concat()).unwrap();
            } else {
                client.command(&set);
                client.send(&encoded(&publish)).unwrap();
            }
            (0..=(round + 1) % 2).for_each(|_| drop(client.read_reply().unwrap()));
        }
        for (core, listener) in listeners.iter_mut().enumerate() {
            for round in 0..ROUNDS {
                let key = format!("k{writer}:{round}");
                let mut next = || listener.read_reply().unwrap().elements().last().unwrap().text();
                assert_eq!((next(), next()), ("set".to_owned(), key), "from core {writer} to core {core}");
            }
        }
    }
}
