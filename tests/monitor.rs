//! MONITOR: calls on every way through the cores are shown once and without secrets; the order of the lines explains every reply that
//! anybody got; who does not read is let go of.
//!
//! `RINGKEY_SECONDS` makes it longer, `RINGKEY_SEED` replays a run's choices (never its timing), `RINGKEY_TARGET=reference` shows
//! that the tests themselves are right.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::encoded;
use ringkey_tests::rng::Rng;
use ringkey_tests::running::{info, on_one_and_four_cores, wait_until};
use ringkey_tests::server::{Kind, Setup};
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Reply, Server};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Cores of the larger server.
const CORES: usize = 4;

/// Clients that write at once.
const WRITERS: usize = 8;

/// How long a connection may take to be closed.
const CLOSE: Duration = Duration::from_secs(20);

/// A key for each core.
fn keys() -> Vec<String> {
    (0..CORES).map(|core| key_on_core("key", core, CORES, 0)).collect()
}

/// A line: where it comes from, and the words as they are quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    micros: u64,
    db: String,
    from: String,
    words: String,
}

fn line_of(reply: &Reply) -> Line {
    let Reply::Simple(text) = reply else { panic!("expected a line, got {reply}") };
    let text = String::from_utf8(text.clone()).unwrap();
    let (time, rest) = text.split_once(" [").unwrap_or_else(|| panic!("no line: {text}"));
    let (seconds, micros) = time.split_once('.').unwrap();
    assert_eq!(micros.len(), 6, "{text}");
    let micros = seconds.parse::<u64>().unwrap() * 1_000_000 + micros.parse::<u64>().unwrap();
    let (place, words) = rest.split_once("] ").unwrap();
    let (db, from) = place.split_once(' ').unwrap();
    Line { micros, db: db.to_owned(), from: from.to_owned(), words: words.to_owned() }
}

/// A client that monitors.
fn monitor(server: &Server) -> Client {
    let mut monitor = server.client();
    assert_eq!(monitor.run("MONITOR"), Reply::Simple(b"OK".to_vec()));
    monitor
}

fn address_of(client: &mut Client) -> String {
    let line = client.run("CLIENT INFO").text();
    line.split(' ').find_map(|field| field.strip_prefix("addr=")).unwrap().to_owned()
}

/// The lines up to that of an `ECHO` of this word.
fn lines_until(monitor: &mut Client, word: &str) -> Vec<Line> {
    let end = format!("\"ECHO\" \"{word}\"");
    let mut lines = Vec::new();
    loop {
        let line = line_of(&monitor.read_reply().unwrap());
        if line.words == end {
            return lines;
        }
        lines.push(line);
    }
}

/// Has a client call something and tells what is shown of it: the database, whether it is from a script, and the words.
fn shown(monitor: &mut Client, client: &mut Client, calls: impl FnOnce(&mut Client)) -> Vec<String> {
    let address = address_of(client);
    client.run("ECHO begin");
    lines_until(monitor, "begin");
    calls(client);
    client.run("ECHO end");
    let lines = lines_until(monitor, "end");
    let from = |line: &Line| match line.from.as_str() {
        "lua" => "lua ",
        other => {
            assert_eq!(other, address);
            ""
        }
    };
    lines.iter().map(|line| format!("{} {}{}", line.db, from(line), line.words)).collect()
}

/// A call as it is shown.
fn quoted(words: &str) -> String {
    let words: Vec<String> = words.split(' ').map(|word| format!("\"{word}\"")).collect();
    format!("0 {}", words.join(" "))
}

#[test]
fn a_call_on_any_way_is_shown_once() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let (mut monitor, mut client, keys) = (monitor(server), server.client(), keys());
        let [a, b, c, d] = [&keys[0], &keys[1], &keys[2], &keys[3]];
        let single = [
            format!("SET {a} 1"),
            format!("set {b} 1"),
            format!("GET {c}"),
            format!("INCR {d}"),
            format!("LPUSH {a} 1"),
            format!("SET {a} 1 BAD"),
            format!("MSET {a} 1 {b} 2"),
            format!("MSET {a} 1 {b} 2 {c} 3 {d} 4"),
            format!("MGET {d} {c} {b} {a}"),
            format!("MGET {d} {a}"),
            format!("MSET {a} 1 {b}"),
            format!("DEL {a} {d}"),
            format!("EXISTS {a} {b} {c}"),
            format!("RENAME {b} {d}"),
            format!("COPY {d} {a}"),
            format!("RENAME {b} {d}"),
            "DBSIZE".to_owned(),
            "KEYS *".to_owned(),
            "RANDOMKEY".to_owned(),
            "SCAN 0".to_owned(),
            "SWAPDB 0 1".to_owned(),
            "SWAPDB 0 99".to_owned(),
            "FLUSHALL".to_owned(),
            format!("RPUSH {a} x y z"),
            format!("SORT {a} BY w_* GET o_* ALPHA"),
            format!("LMOVE {a} {b} LEFT RIGHT"),
            format!("BLPOP {a} 0"),
            format!("BLPOP {c} {a} 0"),
            format!("BLPOP {c} 0.01"),
            format!("BLPOP {c} {d} 0.01"),
            format!("WATCH {a} {b}"),
            "UNWATCH".to_owned(),
            "PING".to_owned(),
            "TIME".to_owned(),
            "INFO server".to_owned(),
            "CLIENT ID".to_owned(),
            "COMMAND COUNT".to_owned(),
            "PUBLISH channel message".to_owned(),
            "DISCARD".to_owned(),
            "EXEC".to_owned(),
            "HELLO 2".to_owned(),
        ];
        for call in &single {
            let lines = shown(&mut monitor, &mut client, |client| {
                client.run(call);
            });
            assert_eq!(lines, [quoted(call)], "{call}");
        }
        // About the server itself, or refused before anything was executed.
        for call in ["CONFIG GET port", "CLIENT LIST", "CONFIG SET masterauth x", "SET x", "NOSUCH x", "SLOWLOG GET"] {
            let lines = shown(&mut monitor, &mut client, |client| {
                client.run(call);
            });
            assert!(lines.is_empty(), "{call}: {lines:?}");
        }
    });
}

#[test]
fn pipelines_transactions_and_scripts_are_shown_call_by_call() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let (mut monitor, mut client, keys) = (monitor(server), server.client(), keys());
        for several in [&keys[..1], &keys[1..2], &keys[..2], &keys[1..3], &keys[..]] {
            let calls: Vec<String> = (0..12).map(|at| format!("APPEND {} {at}", several[at % several.len()])).collect();
            let bytes: Vec<u8> = calls.iter().flat_map(|call| encoded(&call.split(' ').collect::<Vec<_>>())).collect();
            let mut lines = shown(&mut monitor, &mut client, |client| {
                client.send(&bytes).unwrap();
                calls.iter().for_each(|_| drop(client.read_reply().unwrap()));
            });
            // Where calls run on several cores, the order of those on each key counts.
            let mut expected: Vec<String> = calls.iter().map(|call| quoted(call)).collect();
            let key_of = |line: &String| line.split(' ').nth(2).unwrap().to_owned();
            lines.sort_by_key(key_of);
            expected.sort_by_key(key_of);
            assert_eq!(lines, expected);
        }
        for several in [&keys[..1], &keys[..2], &keys[..]] {
            let mut calls = vec!["MULTI".to_owned(), "PING".to_owned()];
            calls.extend(several.iter().map(|key| format!("SET {key} 1")));
            calls.extend([format!("MGET {} {}", keys[0], keys[3]), "EXEC".to_owned()]);
            let lines = shown(&mut monitor, &mut client, |client| {
                calls.iter().for_each(|call| drop(client.run(call)));
            });
            assert_eq!(lines, calls.iter().map(|call| quoted(call)).collect::<Vec<_>>());
        }
        let lines = shown(&mut monitor, &mut client, |client| {
            for call in ["MULTI", "SET x", "EXEC", "MULTI", "GET x", "DISCARD"] {
                client.run(call);
            }
        });
        assert_eq!(lines, ["MULTI", "EXEC", "MULTI", "DISCARD"].map(quoted));
        // A script whose keys are declared, and one whose keys are not, on several cores.
        let script = "redis.call('SET', KEYS[1], 1) return redis.call('INCR', KEYS[2])";
        let hidden = "redis.call('SET', ARGV[1], 1) redis.call('SELECT', 2) return redis.call('INCR', ARGV[2])";
        for (first, second) in [(0, 0), (0, 1), (3, 2), (1, 3)] {
            let (first, second) = (&keys[first], &keys[second]);
            let lines = shown(&mut monitor, &mut client, |client| {
                assert_eq!(client.command(&["EVAL", script, "2", first, second]).error(), None);
                assert_eq!(client.command(&["EVAL", hidden, "0", first, second]).error(), None);
            });
            let expected = [
                format!("0 \"EVAL\" \"{script}\" \"2\" \"{first}\" \"{second}\""),
                format!("0 lua \"SET\" \"{first}\" \"1\""),
                format!("0 lua \"INCR\" \"{second}\""),
                format!("0 \"EVAL\" \"{hidden}\" \"0\" \"{first}\" \"{second}\""),
                format!("0 lua \"SET\" \"{first}\" \"1\""),
                "2 lua \"SELECT\" \"2\"".to_owned(),
                format!("2 lua \"INCR\" \"{second}\""),
            ];
            assert_eq!(lines, expected);
        }
    });
}

#[test]
fn who_waits_is_shown_once_and_long_replies_too() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let (mut monitor, mut client, mut other, keys) = (monitor(server), server.client(), server.client(), keys());
        for several in [&keys[..1], &keys[2..3], &keys[1..3]] {
            let names = several.join(" ");
            let pop = format!("BLPOP {names} 0");
            other.send(&encoded(&pop.split(' ').collect::<Vec<_>>())).unwrap();
            wait_until("a client is blocked", || info(&mut client, "blocked_clients") == 1);
            client.run("ECHO blocked");
            let mut lines = lines_until(&mut monitor, "blocked");
            lines.retain(|line| !line.words.starts_with("\"INFO\""));
            assert_eq!(lines.iter().map(|line| format!("0 {}", line.words)).collect::<Vec<_>>(), [quoted(&pop)]);
            let push = format!("RPUSH {} x", several[0]);
            let lines = shown(&mut monitor, &mut client, |client| {
                client.run(&push);
                assert_eq!(other.read_reply().unwrap().elements().len(), 2);
            });
            assert_eq!(lines, [quoted(&push)]);
        }
        for key in &keys[..2] {
            let values: Vec<String> = (0..70_000).map(|number| number.to_string()).collect();
            let mut call = vec!["RPUSH", key];
            call.extend(values.iter().map(String::as_str));
            client.command(&call);
            let read = format!("LRANGE {key} 0 -1");
            let lines = shown(&mut monitor, &mut client, |client| {
                assert_eq!(client.run(&read).elements().len(), values.len());
            });
            assert_eq!(lines, [quoted(&read)]);
        }
    });
}

#[test]
fn secrets_are_redacted_and_clients_named() {
    on_one_and_four_cores(&Setup::new().unix_socket(), |server| {
        let (mut monitor, mut client) = (monitor(server), server.client());
        let lines = shown(&mut monitor, &mut client, |client| {
            for call in ["AUTH secret", "AUTH user secret", "HELLO 3 AUTH default secret SETNAME me", "HELLO 2"] {
                client.run(call);
            }
            client.run("MIGRATE 127.0.0.1 1 key 0 10 AUTH secret");
            client.run("MIGRATE 127.0.0.1 1 key 0 10 AUTH2 user secret");
            client.command(&[&b"SET"[..], b"odd", b"1\r\n\t\x07\x08\"\\'\xc2\x80\xff "]);
            client.run("SELECT 5");
            client.run("GET odd");
            client.run("SELECT 0");
        });
        let expected = [
            r#"0 "AUTH" "(redacted)""#,
            r#"0 "AUTH" "(redacted)" "(redacted)""#,
            r#"0 "HELLO" "3" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me""#,
            r#"0 "HELLO" "2""#,
            r#"0 "MIGRATE" "127.0.0.1" "1" "key" "0" "10" "AUTH" "(redacted)""#,
            r#"0 "MIGRATE" "127.0.0.1" "1" "key" "0" "10" "AUTH2" "(redacted)" "(redacted)""#,
            r#"0 "SET" "odd" "1\r\n\t\a\b\"\\'\xc2\x80\xff ""#,
            r#"5 "SELECT" "5""#,
            r#"5 "GET" "odd""#,
            r#"0 "SELECT" "0""#,
        ];
        assert_eq!(lines, expected);
        let mut local = Client::connect(&server.unix_address()).unwrap();
        local.run("ECHO here");
        let line = line_of(&monitor.read_reply().unwrap());
        assert!(line.from.starts_with("unix:/") && line.words == "\"ECHO\" \"here\"", "{line:?}");
    });
}

#[test]
fn a_monitor_sees_no_keys_and_ends_with_reset() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let (mut watcher, mut client) = (monitor(server), server.client());
        assert!(client.run("CLIENT LIST").text().contains(" flags=O "));
        assert_eq!(client.run("CLIENT LIST TYPE replica").text().trim(), "");
        let refusal = Some("ERR Replica can't interact with the keyspace".to_owned());
        for call in ["GET x", "SET x 1", "EVAL return 0", "DBSIZE", "PUBLISH a b"] {
            let call = if call.starts_with("EVAL") { "EVAL return 0" } else { call };
            assert_eq!(watcher.run(call).error(), refusal, "{call}");
        }
        // Of a pipeline, too.
        watcher
            .send(&["OBJECT HELP", "GET x", "GET y"].map(|call| encoded(&call.split(' ').collect::<Vec<_>>())).concat())
            .unwrap();
        let mut replies = Vec::new();
        while replies.len() < 4 {
            replies.push(watcher.read_reply().unwrap());
        }
        assert_eq!(replies.iter().filter(|reply| reply.error() == refusal).count(), 2, "{replies:?}");
        assert_eq!(watcher.run("RESET"), Reply::Simple(b"RESET".to_vec()));
        client.run("SET x 1");
        assert_eq!(watcher.run("GET x").text(), "1");
        assert!(!client.run("CLIENT LIST").text().contains(" flags=O "));
        assert_eq!(client.run("MULTI"), Reply::Simple(b"OK".to_vec()));
        client.run("MONITOR");
        let refused = client.run("EXEC").elements()[0].error();
        assert_eq!(refused.as_deref(), Some("ERR MONITOR isn't allowed for DENY BLOCKING client"));
        // Who wants no replies gets no lines.
        let mut silent = server.client();
        silent.send(&encoded(&["CLIENT", "REPLY", "OFF"])).unwrap();
        silent.send(&encoded(&["MONITOR"])).unwrap();
        wait_until("it monitors", || client.run("CLIENT LIST").text().contains(" flags=O "));
        client.run("PING");
        assert!(silent.is_quiet_for(Duration::from_millis(100)).unwrap());
        drop(silent);
        wait_until("it is gone", || !client.run("CLIENT LIST").text().contains(" flags=O "));
    });
}

#[test]
fn who_does_not_read_is_let_go() {
    let setup = Setup::new().option("client-output-buffer-limit", "normal 1mb 0 0");
    on_one_and_four_cores(&setup, |server| {
        let (mut slow, mut quick, mut client) = (monitor(server), monitor(server), server.client());
        let value = "v".repeat(4096);
        let bytes: Vec<u8> = (0..256).flat_map(|at| encoded(&["SET", &format!("key{at}"), &value])).collect();
        let mut rounds = 0;
        wait_until("the slow monitor is closed", || {
            client.send(&bytes).unwrap();
            (0..256).for_each(|_| assert_eq!(client.read_reply().unwrap(), Reply::Simple(b"OK".to_vec())));
            client.command(&["ECHO", &format!("round{rounds}")]);
            assert_eq!(lines_until(&mut quick, &format!("round{rounds}")).len(), 256 + usize::from(rounds > 0));
            rounds += 1;
            info(&mut client, "client_output_buffer_limit_disconnections") == 1
        });
        // What was sent before may still be read, and then the connection ends.
        let lines = slow.wait_for_close(CLOSE).unwrap_or_default();
        assert!(lines.len() < 257 * rounds, "{} lines of a monitor that was closed", lines.len());
        assert_eq!(client.run("PING"), Reply::Simple(b"PONG".to_vec()));
    });
}

/// What the keys hold.
type Model = BTreeMap<String, String>;

/// Carries a call out on the model, and tells its reply.
fn apply(model: &mut Model, words: &[String]) -> Reply {
    let text = |value: Option<&String>| value.map_or(Reply::NullBulk, |value| Reply::Bulk(value.clone().into()));
    match words[0].to_uppercase().as_str() {
        "INCRBY" => {
            let value = model.entry(words[1].clone()).or_insert_with(|| "0".to_owned());
            let sum = value.parse::<i64>().unwrap() + words[2].parse::<i64>().unwrap();
            *value = sum.to_string();
            Reply::Integer(sum)
        }
        "GET" => text(model.get(&words[1])),
        "GETDEL" => text(model.remove(&words[1]).as_ref()),
        "MGET" => Reply::Array(words[1..].iter().map(|key| text(model.get(key))).collect()),
        "MSET" => {
            words[1..].chunks(2).for_each(|pair| drop(model.insert(pair[0].clone(), pair[1].clone())));
            Reply::Simple(b"OK".to_vec())
        }
        "DEL" => Reply::Integer(words[1..].iter().filter(|key| model.remove(*key).is_some()).count() as i64),
        "DBSIZE" => Reply::Integer(model.len() as i64),
        "COPY" if words[1] == words[2] => Reply::Error(b"ERR source and destination objects are the same".to_vec()),
        "COPY" => match model.get(&words[1]).cloned() {
            Some(value) if !model.contains_key(&words[2]) => {
                model.insert(words[2].clone(), value);
                Reply::Integer(1)
            }
            _ => Reply::Integer(0),
        },
        other => panic!("the model does not know {other}"),
    }
}

const DECLARED: &str = "redis.call('INCRBY',KEYS[1],1) return redis.call('INCRBY',KEYS[2],1)";
const HIDDEN: &str = "redis.call('INCRBY',ARGV[1],1) return redis.call('INCRBY',ARGV[2],1)";

/// One client's calls until the time is over: their replies, in order.
fn write(server: &Server, seed: u64, keys: &[String], until: Instant) -> (String, Vec<Reply>) {
    let (mut client, mut rng) = (server.client(), Rng::new(seed));
    let (address, mut replies) = (address_of(&mut client), Vec::new());
    while Instant::now() < until {
        let [one, two, three] = [(); 3].map(|()| rng.pick(keys).clone());
        let more = 1 + rng.below(9);
        let call = match rng.below(100) {
            0..30 => format!("INCRBY {one} {more}"),
            30..40 => format!("GET {one}"),
            40..50 => format!("MGET {one} {two} {three}"),
            50..60 => format!("MSET {one} {more} {two} {more}1 {three} {more}2"),
            60..65 => format!("MSET {one} {more} {two} {more}1"),
            65..70 => format!("DEL {one} {two}"),
            70..73 => format!("GETDEL {one}"),
            73..77 => format!("COPY {one} {two}"),
            77..80 => "DBSIZE".to_owned(),
            80..85 => format!("EVAL|{DECLARED}|2|{one}|{two}"),
            85..88 => format!("EVAL|{HIDDEN}|0|{one}|{two}"),
            _ => {
                client.run("MULTI");
                for call in [format!("INCRBY {one} 1"), format!("INCRBY {two} 1"), format!("GET {three}")] {
                    client.run(&call);
                }
                replies.push(client.run("EXEC"));
                continue;
            }
        };
        let words: Vec<&str> = call.split(if call.starts_with("EVAL") { '|' } else { ' ' }).collect();
        replies.push(client.command(&words));
    }
    (address, replies)
}

/// The words of a line in which nothing is escaped.
fn words_of(line: &Line) -> Vec<String> {
    line.words[1..line.words.len() - 1].split("\" \"").map(str::to_owned).collect()
}

/// The replies that the order of the lines explains, by address.
fn explained(lines: &[Line]) -> HashMap<String, VecDeque<Reply>> {
    let mut model = Model::new();
    let mut replies: HashMap<String, VecDeque<Reply>> = HashMap::new();
    let mut queued: HashMap<String, Vec<Reply>> = HashMap::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        let words = words_of(line);
        let reply = match words[0].as_str() {
            "MULTI" => {
                queued.insert(line.from.clone(), Vec::new());
                continue;
            }
            "EXEC" => Reply::Array(queued.remove(&line.from).unwrap()),
            "EVAL" => {
                // What it calls follows at once.
                let mut last = None;
                for _ in 0..2 {
                    let within = lines.next().unwrap();
                    assert_eq!(within.from, "lua", "behind {line:?}");
                    last = Some(apply(&mut model, &words_of(within)));
                }
                last.unwrap()
            }
            "CLIENT" => continue,
            _ => apply(&mut model, &words),
        };
        match queued.get_mut(&line.from) {
            Some(queued) => queued.push(reply),
            None => replies.entry(line.from.clone()).or_default().push_back(reply),
        }
    }
    replies
}

#[test]
fn the_order_of_the_lines_explains_every_reply() {
    let seconds = std::env::var("RINGKEY_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let seed = std::env::var("RINGKEY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    on_one_and_four_cores(&Setup::new(), |server| {
        // Two keys of each core.
        let keys: Vec<String> =
            ["x", "y"].iter().flat_map(|name| (0..CORES).map(|core| key_on_core(name, core, CORES, 0))).collect();
        let mut monitors = [(); 3].map(|()| monitor(server));
        let mut client = server.client();
        client.run("ECHO begin");
        let until = Instant::now() + Duration::from_secs(seconds);
        let (told, streams) = std::thread::scope(|scope| {
            let readers: Vec<_> = monitors
                .iter_mut()
                .map(|monitor| {
                    scope.spawn(|| {
                        lines_until(monitor, "begin");
                        lines_until(monitor, "end")
                    })
                })
                .collect();
            let writers: Vec<_> = (0..WRITERS as u64)
                .map(|number| {
                    let keys = &keys;
                    scope.spawn(move || write(server, seed * 100 + number, keys, until))
                })
                .collect();
            let told: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
            client.run("ECHO end");
            (told, readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>())
        });
        for stream in &streams {
            assert!(stream.is_sorted_by_key(|line| line.micros), "time goes forward");
            let mut explained = explained(stream);
            let mut count = 0;
            for (address, replies) in &told {
                let expected = explained.remove(address).unwrap_or_default();
                assert_eq!(replies.len(), expected.len(), "calls of {address}, seed {seed}");
                for (at, (reply, expected)) in replies.iter().zip(expected).enumerate() {
                    assert_eq!(*reply, expected, "reply {at} of {address}, seed {seed}");
                }
                count += replies.len();
            }
            assert!(explained.is_empty(), "lines of nobody: {:?}", explained.keys());
            assert!(count > 100, "only {count} calls");
        }
        if Kind::under_test() == Kind::Ringkey {
            let words = |stream: &[Line]| stream.iter().map(|line| line.words.clone()).collect::<Vec<_>>();
            assert!(streams.iter().all(|stream| words(stream) == words(&streams[0])), "all monitors see one order");
        }
    });
}

/// Clients write to keys of all cores while `test` runs.
fn while_others_write(server: &Server, test: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    let keys: Vec<String> = (0..CORES).map(|core| key_on_core("other", core, CORES, 0)).collect();
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (is_over, keys) = (&is_over, &keys);
            scope.spawn(move || {
                let (mut client, mut rng) = (server.client(), Rng::new(number));
                while !is_over.load(Ordering::Relaxed) {
                    let (one, other) = (rng.pick(keys), rng.pick(keys));
                    client.run(&format!("INCR {one}"));
                    client.run(&format!("MSET {one} 1 {other} 2"));
                }
            });
        }
        // However it ends, the others are to stop.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        is_over.store(true, Ordering::Relaxed);
        if let Err(cause) = ended {
            std::panic::resume_unwind(cause);
        }
    });
}

#[test]
fn what_a_slow_script_calls_follows_it() {
    const CALLS: usize = 30_000;
    on_one_and_four_cores(&Setup::new(), |server| {
        let (mut monitor, mut client, keys) = (monitor(server), server.client(), keys());
        let declared = format!("for i = 1, {CALLS} do redis.call('INCR', KEYS[1]) end");
        // It finds out late that it needs another core, and has to begin anew.
        let hidden = format!("for i = 1, {} do redis.call('INCR', KEYS[1]) end redis.call('INCR', ARGV[1])", CALLS - 1);
        while_others_write(server, || {
            for (key, other) in [(&keys[0], &keys[2]), (&keys[1], &keys[3]), (&keys[3], &keys[0])] {
                client.run("ECHO begin");
                assert!(client.command(&["EVAL", &declared, "1", key]).is_null());
                assert!(client.command(&["EVAL", &hidden, "1", key, other]).is_null());
                client.run("ECHO end");
                lines_until(&mut monitor, "begin");
                let lines = lines_until(&mut monitor, "end");
                for script in [&declared, &hidden] {
                    let is_it = |line: &Line| line.words.starts_with(&format!("\"EVAL\" \"{script}\""));
                    assert_eq!(lines.iter().filter(|line| is_it(line)).count(), 1);
                    let at = lines.iter().position(is_it).unwrap();
                    let within = lines[at + 1..].iter().take_while(|line| line.from == "lua").count();
                    assert_eq!(within, CALLS, "of {} lines", lines.len());
                }
                assert_eq!(lines.iter().filter(|line| line.from == "lua").count(), 2 * CALLS);
            }
        });
    });
}

#[test]
fn monitors_that_come_and_go_see_a_part_of_the_same_order() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let (mut lasting, mut client) = (monitor(server), server.client());
        let mut parts = Vec::new();
        while_others_write(server, || {
            for round in 0..40 {
                let mut other = monitor(server);
                let part: Vec<Line> = (0..50 * (round % 4)).map(|_| line_of(&other.read_reply().unwrap())).collect();
                if round % 2 == 0 {
                    other.send(&encoded(&["RESET"])).unwrap();
                }
                parts.push(part);
            }
        });
        client.run("ECHO end");
        let all = lines_until(&mut lasting, "end");
        let texts =
            |lines: &[Line]| lines.iter().map(|line| format!("{} {}", line.from, line.words)).collect::<Vec<_>>();
        let (all, mut from) = (texts(&all), 0);
        for part in parts.iter().map(|part| texts(part)).filter(|part| !part.is_empty()) {
            // The first lines alone are in many places.
            let at = (from..all.len()).find(|at| all[*at..].starts_with(&part));
            from = at.unwrap_or_else(|| panic!("{} lines that nobody else has seen so: {:?}", part.len(), &part[..3]));
        }
        wait_until("they are gone", || client.run("CLIENT LIST").text().matches(" flags=O ").count() == 1);
        drop(lasting);
        wait_until("the last one is gone", || !client.run("CLIENT LIST").text().contains(" flags=O "));
    });
}
