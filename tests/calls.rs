//! What is observed of commands, on one core and on four: every call is counted exactly once, wherever it ran and whatever
//! way it took; slow calls are remembered with their client and their words.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::encoded;
use ringkey_tests::rng::Rng;
use ringkey_tests::server::Setup;
use ringkey_tests::{Client, Server};
use std::collections::BTreeMap;

fn on_every_number_of_cores(test: impl Fn(Server, usize)) {
    for cores in [1, 4] {
        test(Setup::new().cores(cores).option("enable-debug-command", "yes").start(), cores);
    }
}

/// The lines of a section as name and fields.
fn lines(client: &mut Client, section: &str, prefix: &str) -> BTreeMap<String, BTreeMap<String, f64>> {
    let text = client.run(&format!("INFO {section}")).text();
    let line = |line: &str| {
        let (name, fields) = line.strip_prefix(prefix)?.trim_end().split_once(':')?;
        let field = |field: &str| field.split_once('=').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
        Some((name.to_owned(), fields.split(',').filter_map(field).collect()))
    };
    text.lines().filter_map(line).collect()
}

/// Random calls, in pipelines of random length; what is to be counted of each: calls, failures, refusals.
#[derive(Default)]
struct Sent {
    calls: BTreeMap<&'static str, (u64, u64, u64)>,
}

impl Sent {
    fn note(&mut self, name: &'static str, (calls, failed, rejected): (u64, u64, u64)) {
        let known = self.calls.entry(name).or_default();
        *known = (known.0 + calls, known.1 + failed, known.2 + rejected);
    }

    fn call(&mut self, rng: &mut Rng) -> Vec<u8> {
        let mut key = || format!("key:{}", rng.below(200));
        let (a, b, c) = (key(), key(), key());
        let (one, failed, rejected) = ((1, 0, 0), (1, 1, 0), (0, 0, 1));
        let (name, outcome, words): (&str, _, Vec<&str>) = match rng.below(14) {
            0..3 => ("get", one, vec!["GET", &a]),
            3..5 => ("set", one, vec!["SET", &a, "value"]),
            5 => ("mset", one, vec!["MSET", &a, "1", &b, "2", &c, "3"]),
            6 => ("mget", one, vec!["MGET", &a, &b, &c]),
            7 => ("del", one, vec!["DEL", &a, &b]),
            8 => ("copy", one, vec!["COPY", &a, &b, "REPLACE"]),
            9 => ("dbsize", one, vec!["DBSIZE"]),
            10 => ("set", failed, vec!["SET", &a, "value", "NOSUCH"]),
            11 => ("get", rejected, vec!["GET"]),
            12 => ("config|set", failed, vec!["CONFIG", "SET", "hz", "no-number"]),
            _ => ("client|id", one, vec!["CLIENT", "ID"]),
        };
        self.note(name, outcome);
        encoded(&words)
    }
}

#[test]
fn every_call_is_counted_once() {
    on_every_number_of_cores(|server, cores| {
        let mut clients: Vec<Client> = (0..5).map(|_| server.client()).collect();
        let mut watcher = server.client();
        watcher.run("CONFIG RESETSTAT");
        let (mut rng, mut sent) = (Rng::new(7), Sent::default());
        for _ in 0..300 {
            let client = &mut clients[rng.below(5)];
            let count = rng.below(20) + 1;
            let bytes: Vec<u8> = (0..count).flat_map(|_| sent.call(&mut rng)).collect();
            client.send(&bytes).unwrap();
            (0..count).for_each(|_| drop(client.read_reply().unwrap()));
        }
        let counted = lines(&mut watcher, "commandstats", "cmdstat_");
        for (name, (calls, failed, rejected)) in &sent.calls {
            let line = &counted[*name];
            let counts = (line["calls"] as u64, line["failed_calls"] as u64, line["rejected_calls"] as u64);
            assert_eq!(counts, (*calls, *failed, *rejected), "{name} on {cores} cores");
            assert!(line["calls"] == 0.0 || line["usec"] > 0.0, "{name} took time");
        }
        let latencies = lines(&mut watcher, "latencystats", "latency_percentiles_usec_");
        let paths = lines(&mut watcher, "commandpaths", "path_");
        let histogram = watcher.run("LATENCY HISTOGRAM");
        let mut hops = 0.0;
        for (name, (calls, ..)) in sent.calls.iter().filter(|(_, (calls, ..))| *calls > 0) {
            assert!(latencies[*name]["p50"] <= latencies[*name]["p99.9"], "{name}");
            let path = &paths[*name];
            assert_eq!(path["answers"] as u64, *calls, "{name} on {cores} cores");
            assert!(path["answer_usec_p99"] > 0.0, "{name}");
            hops += path.get("hops").copied().unwrap_or(0.0);
            let of_name = histogram.elements().chunks(2).find(|pair| pair[0].bytes() == name.as_bytes()).unwrap();
            assert_eq!(of_name[1].elements()[1].integer() as u64, *calls, "{name}");
        }
        assert_eq!(hops > 0.0, cores > 1, "{hops} hops on {cores} cores");
    });
}

#[test]
fn a_call_does_not_answer_for_the_one_before() {
    on_every_number_of_cores(|server, cores| {
        let mut client = server.client();
        client.run("CONFIG RESETSTAT");
        // COMMAND writes a hundred kilobytes, GET next to nothing.
        let pipeline: Vec<u8> =
            ["PING", "COMMAND", "GET key"].into_iter().flat_map(|call| encoded(&words(call))).collect();
        for _ in 0..30 {
            client.send(&pipeline).unwrap();
            (0..3).for_each(|_| drop(client.read_reply().unwrap()));
        }
        let latencies = lines(&mut client, "latencystats", "latency_percentiles_usec_");
        let (command, get) = (latencies["command"]["p50"], latencies["get"]["p50"]);
        assert!(get * 2.0 < command, "GET {get}, COMMAND {command} on {cores} cores");
    });
}

fn words(call: &str) -> Vec<&str> {
    call.split(' ').collect()
}

#[test]
fn slow_calls_are_remembered_with_their_client() {
    on_every_number_of_cores(|server, cores| {
        let (mut client, mut watcher) = (server.client(), server.client());
        client.run("CLIENT SETNAME slow-one");
        watcher.run("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 1000");
        watcher.run("SLOWLOG RESET");
        let calls: Vec<Vec<String>> = (0..100)
            .map(|at| match at % 4 {
                0 => vec!["SET".to_owned(), format!("key:{at}"), "v".to_owned()],
                1 => vec!["MGET".to_owned(), format!("key:{at}"), format!("key:{}", at * 7)],
                2 => vec!["COPY".to_owned(), format!("key:{}", at - 2), format!("copy:{at}")],
                _ => vec!["CLIENT".to_owned(), "ID".to_owned()],
            })
            .collect();
        client.send(&calls.iter().flat_map(|call| encoded(call)).collect::<Vec<_>>()).unwrap();
        calls.iter().for_each(|_| drop(client.read_reply().unwrap()));
        watcher.run("CONFIG SET slowlog-log-slower-than -1");
        let entries = watcher.run("SLOWLOG GET -1");
        let mut found: Vec<Vec<String>> = entries
            .elements()
            .iter()
            .filter(|entry| entry.elements()[5].bytes() == b"slow-one")
            .map(|entry| entry.elements()[3].elements().iter().map(|word| word.text()).collect())
            .collect();
        let ids: Vec<i64> = entries.elements().iter().map(|entry| entry.elements()[0].integer()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "the newest come first: {ids:?}");
        let mut calls = calls;
        calls.sort();
        found.sort();
        assert_eq!(found, calls, "{cores} cores");
        assert_eq!(watcher.run("SLOWLOG LEN").integer() as usize, entries.elements().len());
        watcher.run("CONFIG SET slowlog-max-len 3");
        assert_eq!(watcher.run("SLOWLOG LEN").integer(), 3);
        assert_eq!(watcher.run("SLOWLOG GET 10").elements().len(), 3);
    });
}

#[test]
fn large_requests_and_replies_are_remembered() {
    on_every_number_of_cores(|server, cores| {
        let mut client = server.client();
        client.run("CONFIG SET commandlog-request-larger-than 2000 commandlog-reply-larger-than 2000");
        let (value, large) = ("v".repeat(3000), "w".repeat(100_000));
        for at in 0..20 {
            client.command(&["SET", &format!("key:{at}"), if at % 2 == 0 { &value } else { &large }]);
            client.command(&["GET", &format!("key:{at}")]);
            client.command(&["GET", "none"]);
        }
        let names: Vec<String> = (0..20).map(|at| format!("key:{at}")).collect();
        let mut mget = vec!["MGET"];
        mget.extend(names.iter().map(String::as_str));
        client.command(&mget);
        let mut all = |kind: &str| {
            let reply = client.run(&format!("COMMANDLOG GET -1 {kind}"));
            let of = |entry: &ringkey_tests::Reply| {
                (entry.elements()[3].elements()[0].text(), entry.elements()[2].integer())
            };
            reply.elements().iter().map(of).collect::<Vec<_>>()
        };
        let requests = all("large-request");
        assert_eq!(requests.len(), 20, "{cores} cores: {requests:?}");
        assert!(requests.iter().all(|(name, bytes)| name == "SET" && *bytes > 2000), "{requests:?}");
        let replies = all("large-reply");
        assert_eq!(replies.iter().filter(|(name, _)| name == "GET").count(), 20, "{cores} cores: {replies:?}");
        let mget = replies.iter().find(|(name, _)| name == "MGET").unwrap();
        assert!(mget.1 > 10 * 103_000, "{mget:?}");
        // A limit of 0 means all, each once, wherever it ran.
        client.run(
            "CONFIG SET commandlog-request-larger-than 0 commandlog-reply-larger-than 0 slowlog-log-slower-than 0",
        );
        let pipeline: Vec<u8> = (0..40).flat_map(|at| encoded(&["GETSET", &format!("key:{at}"), "v"])).collect();
        client.send(&pipeline).unwrap();
        (0..40).for_each(|_| drop(client.read_reply().unwrap()));
        for kind in ["slow", "large-request", "large-reply"] {
            let reply = client.run(&format!("COMMANDLOG GET -1 {kind}"));
            let of = |entry: &&ringkey_tests::Reply| entry.elements()[3].elements()[0].bytes() == b"GETSET";
            assert_eq!(reply.elements().iter().filter(of).count(), 40, "{kind} on {cores} cores");
        }
    });
}

#[test]
fn delays_become_latency_events() {
    on_every_number_of_cores(|server, cores| {
        let mut client = server.client();
        client.run("CONFIG SET latency-monitor-threshold 50");
        client.run("DEBUG SLEEP 0.1");
        let latest = client.run("LATENCY LATEST");
        let event = latest.elements().iter().find(|event| event.elements()[0].bytes() == b"command").unwrap();
        let worst = event.elements()[3].integer();
        assert!(worst >= 100, "{worst} ms on {cores} cores");
        assert_eq!(client.run("LATENCY HISTORY command").elements().len(), 1);
        assert!(client.run("LATENCY GRAPH command").text().contains("all time high"));
        assert!(client.run("LATENCY DOCTOR").text().contains("1. command: 1 delays"));
        assert_eq!(client.run("LATENCY RESET command nothing").integer(), 1);
        assert!(client.run("LATENCY LATEST").elements().is_empty());
    });
}
