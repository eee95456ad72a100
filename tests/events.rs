//! Keyspace events as those who subscribe to them get them: call by call as a real Valkey tells them, on one core and on several,
//! and before whatever the caller publishes next.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::{encoded, words};
use ringkey_tests::reply::Reply;
use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::{Client, Server};

const TABLES: [&str; 2] =
    [include_str!("../core/tests/data/events.txt"), include_str!("../core/tests/data/events_collections.txt")];
const MARKS: &str = "marks";

struct Cases {
    actors: [Client; 2],
    listener: Client,
}

impl Cases {
    fn new(server: &Server) -> Self {
        let client = |db: usize| {
            let mut client = server.client();
            assert_eq!(client.run(&format!("SELECT {db}")).lines(), ["+OK"]);
            client
        };
        let (mut actors, mut listener) = ([client(0), client(1)], server.client());
        actors[0].run("DEBUG SET-ACTIVE-EXPIRE 0");
        listener.run(&format!("SUBSCRIBE {MARKS}"));
        listener.run("PSUBSCRIBE __keyspace@*");
        Self { actors, listener }
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

    /// What is told of a call.
    fn events_of(&mut self, before: &str, call: &str) -> Vec<String> {
        self.listen("");
        self.run("FLUSHALL");
        before.split("; ").filter(|line| !line.is_empty()).for_each(|line| self.run(line));
        self.listen("KEAmn");
        self.run(call);
        self.actors[0].command(&["PUBLISH", MARKS, "end"]);
        let mut events = Vec::new();
        loop {
            let reply = self.listener.read_reply().unwrap();
            let texts: Vec<String> = reply.elements().iter().map(|word| word.text()).collect();
            let [.., channel, message] = texts.as_slice() else { panic!("not a message: {texts:?}") };
            if channel == MARKS {
                return events;
            }
            let (db, key) = channel.strip_prefix("__keyspace@").unwrap().split_once("__:").unwrap();
            events.push(if db == "0" { format!("{message} {key}") } else { format!("{message} {db}:{key}") });
        }
    }
}

fn check_cases(server: &Server) {
    let mut cases = Cases::new(server);
    let mut wrong = Vec::new();
    let lines = TABLES.iter().flat_map(|table| table.lines());
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '='])) {
        let spaced = format!(" {line} ");
        let parts: Vec<&str> = spaced.split(" | ").map(str::trim).collect();
        let [before, call, expected] = parts[..] else { panic!("not a case: {line}") };
        let events = cases.events_of(before, call).join(", ");
        if events != expected {
            wrong.push(format!("{line} <> {events}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_tells_what_the_cases_say() {
    if peer("valkey-server").is_none() {
        return skip("no valkey-server to compare with");
    }
    check_cases(&Setup::of(Kind::Reference).option("enable-debug-command", "yes").start());
}

#[test]
fn calls_bring_the_events_of_the_cases() {
    for cores in [1, 4] {
        check_cases(&Setup::new().cores(cores).option("enable-debug-command", "yes").start());
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

/// One that listens to what becomes of all keys.
fn follower(server: &Server) -> Client {
    let mut client = server.client();
    client.run("PSUBSCRIBE __keyspace@0__:*");
    client
}

/// Sends calls at once.
fn send_lines(client: &mut Client, lines: &[String]) {
    let requests: Vec<Vec<u8>> = lines.iter().map(|line| encoded(&words(line))).collect();
    client.send(&requests.concat()).unwrap();
}

/// The next events that it hears, as `event key`.
fn hear(client: &mut Client, count: usize) -> Vec<String> {
    let event = |client: &mut Client| {
        let words: Vec<String> = client.read_reply().unwrap().elements().iter().map(|word| word.text()).collect();
        let [.., channel, name] = words.as_slice() else { panic!("not a message: {words:?}") };
        format!("{name} {}", channel.strip_prefix("__keyspace@0__:").unwrap())
    };
    (0..count).map(|_| event(client)).collect()
}

/// The ways of one client to do something to many keys: what is sent, how many replies there are, the events.
fn ways(prefix: &str) -> Vec<(Vec<String>, usize, Vec<String>)> {
    let keys: Vec<String> = (0..16).map(|number| format!("{prefix}:{number}")).collect();
    let all = |command: &str, suffix: &str| {
        let words: Vec<String> = keys.iter().map(|key| format!("{key}{suffix}")).collect();
        format!("{command} {}", words.join(" "))
    };
    let each = |line: &dyn Fn(&String) -> String| keys.iter().map(line).collect::<Vec<_>>();
    let events = |names: &[&str]| -> Vec<String> {
        keys.iter().flat_map(|key| names.iter().map(move |name| format!("{name} {key}"))).collect()
    };
    let transaction = |lines: Vec<String>| [vec!["MULTI".to_owned()], lines, vec!["EXEC".to_owned()]].concat();
    let pairs: Vec<String> = keys.chunks(2).map(|pair| format!("RENAME {} {}", pair[0], pair[1])).collect();
    let renamed =
        keys.chunks(2).flat_map(|pair| [format!("rename_from {}", pair[0]), format!("rename_to {}", pair[1])]);
    let script = "for i = 1, #KEYS do redis.call('incr', KEYS[i]) end";
    vec![
        (vec![all("MSET", " 1")], 1, events(&["set"])),
        (vec![all("MGET", "")], 1, vec![]),
        (each(&|key| format!("INCR {key}")), 16, events(&["incrby"])),
        (each(&|key| format!("APPEND {key} x")).into_iter().rev().collect(), 16, {
            let mut events = events(&["append"]);
            events.reverse();
            events
        }),
        (transaction(each(&|key| format!("SETRANGE {key} 1 abc"))), 18, events(&["setrange"])),
        (vec![all("DEL", "")], 1, events(&["del"])),
        (each(&|key| format!("MSET {key} 1")), 16, events(&["set"])),
        (vec![format!("EVAL \"{script}\" 16 {}", keys.join(" "))], 1, events(&["incrby"])),
        (each(&|key| format!("EVAL \"redis.call('incr', KEYS[1])\" 1 {key}")), 16, events(&["incrby"])),
        (transaction(pairs), 10, renamed.collect()),
        (vec![all("UNLINK", "")], 1, keys.iter().skip(1).step_by(2).map(|key| format!("del {key}")).collect()),
        (vec![all("MGET", "")], 1, events(&["keymiss"])),
    ]
}

#[test]
fn what_one_client_makes_of_keys_of_all_cores_is_told_in_its_order() {
    for classes in ["KAm", "KA"] {
        tells_in_order(&Setup::new().cores(CORES).option("notify-keyspace-events", classes).start(), classes);
        if peer("valkey-server").is_some() {
            tells_in_order(&Setup::of(Kind::Reference).option("notify-keyspace-events", classes).start(), classes);
        }
    }
    if peer("valkey-server").is_none() {
        skip("no valkey-server to compare with");
    }
}

fn tells_in_order(server: &Server, classes: &str) {
    // Listeners and writers on every core.
    let mut listeners: Vec<Client> = (0..CORES).map(|_| follower(server)).collect();
    let mut writers: Vec<Client> = (0..CORES).map(|_| server.client()).collect();
    for round in 0..20 {
        for (at, writer) in writers.iter_mut().enumerate() {
            for (lines, replies, mut expected) in ways(&format!("k{round}:{at}")) {
                expected.retain(|event| classes.contains('m') || !event.starts_with("keymiss"));
                send_lines(writer, &lines);
                for _ in 0..replies {
                    let reply = writer.read_reply().unwrap();
                    assert!(reply.error().is_none(), "{lines:?}: {reply:?}");
                }
                for (core, listener) in listeners.iter_mut().enumerate() {
                    assert_eq!(hear(listener, expected.len()), expected, "{lines:?} from core {at} to core {core}");
                }
            }
        }
    }
}

/// Many clients write to the same keys at once: of each key it is told what is possible in this order.
#[test]
fn what_many_make_of_one_key_is_told_in_the_order_in_which_it_happened() {
    const WRITERS: usize = 8;
    const TURNS: usize = 400;
    let server = Setup::new().cores(CORES).option("notify-keyspace-events", "KA").start();
    let mut listeners: Vec<Client> = (0..CORES).map(|_| follower(&server)).collect();
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut client = server.client();
            scope.spawn(move || {
                let mut rng = ringkey_tests::rng::Rng::new(writer as u64);
                for _ in 0..TURNS {
                    let mut key = || keys[rng.below(keys.len())];
                    let (one, two, three) = (key(), key(), key());
                    let lines = match rng.below(5) {
                        0 => vec![format!("SADD {one} x"), format!("SADD {two} x"), format!("DEL {three} {one}")],
                        1 => vec![format!("DEL {one} {two} {three}")],
                        2 => vec![format!("SMOVE {one} {two} x")],
                        3 => ["MULTI".into(), format!("SADD {one} x"), format!("SREM {two} x"), "EXEC".into()].into(),
                        _ => vec![format!("SREM {one} x"), format!("SADD {two} x"), format!("SADD {three} x")],
                    };
                    send_lines(&mut client, &lines);
                    lines.iter().for_each(|_| drop(client.read_reply().unwrap()));
                }
            });
        }
    });
    let mut last = server.client();
    last.run("SET end 1");
    for listener in &mut listeners {
        let mut there = [false; 8];
        let mut count = 0;
        loop {
            let [event] = &hear(listener, 1)[..] else { panic!("one was asked for") };
            let (name, key) = event.split_once(' ').unwrap();
            let Some(at) = keys.iter().position(|known| *known == key) else { break };
            count += 1;
            match name {
                "sadd" => assert!(!std::mem::replace(&mut there[at], true), "{event}, where it was already ({count})"),
                "srem" => assert!(there[at], "{event}, where there was nothing ({count})"),
                "del" => assert!(std::mem::take(&mut there[at]), "{event}, where there was nothing ({count})"),
                other => panic!("{other}"),
            }
        }
        assert!(count > WRITERS * TURNS, "{count}");
        for (key, there) in keys.iter().zip(there) {
            assert_eq!(last.run(&format!("EXISTS {key}")).lines(), [format!(":{}", u8::from(there))]);
        }
    }
}

/// A client that does something to keys and listens to what becomes of them hears of it behind the reply.
fn hears_behind_the_reply(server: &Server) {
    for core in 0..CORES {
        let mut client = server.client();
        assert!(client.command(&["HELLO", "3"]).error().is_none());
        client.listen("PSUBSCRIBE __keyspace@0__:*");
        for (lines, _, expected) in (0..20).flat_map(|round| ways(&format!("k{round}:{core}"))) {
            // A pipeline is sent call by call: only then it is certain which events come behind which reply.
            let count = if lines[0] == "MULTI" { 1 } else { lines.len() };
            let events = expected.len() / count;
            for (at, lines) in lines.chunks(lines.len() / count).enumerate() {
                send_lines(&mut client, lines);
                for _ in lines {
                    let reply = client.read_reply().unwrap();
                    assert!(!matches!(reply, Reply::Push(_)) && reply.error().is_none(), "{lines:?}: {reply:?}");
                }
                assert_eq!(hear(&mut client, events), expected[at * events..][..events], "{lines:?}");
            }
        }
    }
}

#[test]
fn who_does_it_hears_of_it_behind_the_reply() {
    hears_behind_the_reply(&Setup::new().cores(CORES).option("notify-keyspace-events", "KAm").start());
    if peer("valkey-server").is_none() {
        return skip("no valkey-server to compare with");
    }
    hears_behind_the_reply(&Setup::of(Kind::Reference).option("notify-keyspace-events", "KAm").start());
}
