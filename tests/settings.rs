//! CONFIG beside a real valkey-server: the same directives with the same defaults, and for every directive the same answer
//! to every one of many values, good and bad ones, with the same value afterwards.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::{Client, Reply, Server};
use std::collections::BTreeMap;

/// Directives that only we have.
const OUR_OWN: [&str; 2] = ["cores", "core-ports"];

/// Directives that no pattern shows.
const HIDDEN: [&str; 19] = [
    "aof-disable-auto-gc",
    "cluster-ping-interval",
    "debug-context",
    "enable-debug-assert",
    "io-threads-always-active",
    "key-load-delay",
    "loading-process-events-interval-bytes",
    "lua-enable-deprecated-api",
    "lua-enable-insecure-api",
    "min-io-threads-avoid-copy-reply",
    "min-string-size-avoid-copy-reply",
    "min-string-size-avoid-copy-reply-threaded",
    "rdb-key-save-delay",
    "use-exit-on-panic",
    "watchdog-period",
    "slot-migration-max-failover-repl-bytes",
    "nosuch",
    "commandlog-*",
    "",
];

/// Values that every directive is offered, sensible for some of them only.
const VALUES: [&str; 70] = [
    "",
    " ",
    "yes",
    "no",
    "YES",
    "true",
    "0",
    "1",
    "2",
    "10",
    "99",
    "100",
    "101",
    "500",
    "501",
    "1024",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "-2",
    "-100",
    "-2147483649",
    "-9223372036854775808",
    "07",
    "777",
    "0x10",
    " 5",
    "5 ",
    "+5",
    "1.5",
    "1b",
    "1k",
    "1Kb",
    "2mB",
    "1g",
    "3gb",
    "1t",
    "1tb",
    "k",
    "mb",
    "10%",
    "100%",
    "101%",
    "-5%",
    "%",
    "abc",
    "a b",
    "a/b",
    "a\\b",
    "\u{e4}\u{f6}",
    "50 99.9",
    "0 200 800",
    "60 1 300 10",
    "60 1 300",
    "Ex",
    "KEA",
    "10.0.0.1",
    "::1",
    "host-name.example",
    "default",
    "nosave force",
    "save nosave",
];

/// Values of one directive, besides.
const VALUES_OF: &[(&str, &[&str])] = &[
    ("acl-pubsub-default", &["allchannels", "RESETCHANNELS"]),
    ("appendfsync", &["always", "everysec", "sometimes"]),
    (
        "client-output-buffer-limit",
        &[
            "normal 1mb 2mb 60",
            "slave 1 2 3 replica 4 5 6",
            "normal 0 0 0 pubsub 1k 1kb -1",
            "normal 0 0",
            "master 0 0 0",
            "normal x 0 0",
            "normal 0 0 99999999999",
        ],
    ),
    ("cluster-announce-hostname", &["under_score", "-", "."]),
    ("cluster-announce-human-nodename", &["a,b", "a b", "a=b", "good-name"]),
    ("cluster-config-save-behavior", &["sync", "best-effort", "never"]),
    ("cluster-preferred-endpoint-type", &["ip", "hostname", "unknown-endpoint"]),
    ("latency-tracking-info-percentiles", &["0", "100.0", "50 50", "100.1", "-0.1", "nan", "99.123456789", "a"]),
    ("log-format", &["legacy", "logfmt", "json"]),
    ("log-timestamp-format", &["legacy", "iso8601", "milliseconds"]),
    ("loglevel", &["debug", "verbose", "notice", "warning", "nothing"]),
    ("maxmemory-policy", &["allkeys-lru", "volatile-ttl", "NOEVICTION"]),
    ("notify-keyspace-events", &["A", "KEg$lshzxetdnm", "g$lshzxetd", "n", "KEAn", "Q", ""]),
    ("oom-score-adj", &["relative", "absolute", "no"]),
    ("oom-score-adj-values", &["0 0 0", "-2001 0 0", "0 0 2001", "1 2", "1 2 3 4", "a b c", "3 2 1"]),
    ("proc-title-template", &["{title} {port}", "{nosuch}", "{", "{unixsocket}", "plain", "{{x"]),
    ("propagation-error-behavior", &["ignore", "panic"]),
    ("rdb-version-check", &["strict", "relaxed"]),
    ("repl-diskless-load", &["disabled", "on-empty-db", "swapdb", "flush-before-load"]),
    ("save", &["0 1", "1 -1", "x y", "900 1 900 1", "  60 1"]),
    ("shutdown-on-sigint", &["safe", "now nosave", "failover", "default save", "SAVE"]),
    ("shutdown-on-sigterm", &["safe", "now nosave", "failover", "default save", "SAVE"]),
    ("tls-auth-clients", &["optional"]),
    ("tls-auth-clients-user", &["CN", "cn", "off", "URI"]),
];

/// Directives that are not set here at all, and why.
const NOT_SET: &[(&str, &str)] = &[
    ("bind", "the addresses are those of this machine; tests/startup.rs changes them"),
    ("port", "other servers run on this machine; tests/startup.rs changes it"),
    ("requirepass", "the connections of this test would have to know each password; cases/auth.txt sets it"),
    ("tls-port", "without certificates the reference cannot listen there, and we have no TLS yet"),
    ("rdma-port", "the reference needs a module for it"),
    ("rdma-bind", "the reference needs a module for it"),
    ("watchdog-period", "the reference prints its stack from then on"),
    ("use-exit-on-panic", "changes how the reference ends"),
    ("key-load-delay", "lets the reference sleep"),
    ("rdb-key-save-delay", "lets the reference sleep"),
];

/// Values of a directive that would end the test: the directive (empty: any), the value, why.
const NOT_OFFERED: &[(&str, &str, &str)] = &[
    ("maxclients", "2147483647", "the reference makes room for so many at once"),
    ("maxclients", "2147483648", "likewise"),
    ("maxclients", "4294967295", "likewise"),
    ("maxclients", "65535", "hangs on the limits of the machine"),
    ("maxclients", "65536", "hangs on the limits of the machine"),
];

/// Answers that differ and may: the directive, the value (empty: any), why.
const MAY_DIFFER: &[(&str, &str, &str)] = &[];

fn pair() -> Option<(Server, Server)> {
    if peer("valkey-server").is_none() {
        skip("no valkey-server: fetch the peers");
        return None;
    }
    Some((Setup::of(Kind::Ringkey).start(), Setup::of(Kind::Reference).start()))
}

/// All that CONFIG GET shows, by name.
fn all(client: &mut Client) -> BTreeMap<String, String> {
    let reply = client.run("CONFIG GET *");
    reply.elements().chunks(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
}

#[test]
fn the_same_directives_with_the_same_defaults() {
    let Some((ours, reference)) = pair() else { return };
    let (ours, reference) = (all(&mut ours.client()), all(&mut reference.client()));
    let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
    let mut own = ours.clone();
    own.retain(|name, _| !OUR_OWN.contains(&name.as_str()));
    assert_eq!(names(&own), names(&reference));
    let differing: Vec<&String> = own.keys().filter(|name| own[*name] != reference[*name]).collect();
    assert_eq!(differing, ["dir", "port"], "the rest has been given to both, or is a default");
}

/// Offers one value to both and tells how the answers differ.
fn offer(clients: &mut [Client; 2], name: &str, value: &str) -> Option<String> {
    let mut ask = |args: &[&str]| clients.each_mut().map(|client| client.command(args));
    let set = ask(&["CONFIG", "SET", name, value]);
    let got = ask(&["CONFIG", "GET", name]);
    (set[0] != set[1] || got[0] != got[1]).then(|| {
        format!("CONFIG SET {name} {value:?}\n  ours: {} {}\n  reference: {} {}\n", set[0], got[0], set[1], got[1])
    })
}

#[test]
fn every_directive_takes_and_refuses_the_same_values() {
    let Some((ours, reference)) = pair() else { return };
    let mut clients = [ours.client(), reference.client()];
    let shown = all(&mut clients[1]);
    let names = shown.keys().map(String::as_str).chain(HIDDEN);
    let (mut offered, mut differing) = (0, Vec::new());
    for name in names.filter(|name| NOT_SET.iter().all(|(not_set, _)| not_set != name)) {
        let before = clients[1].command(&["CONFIG", "GET", name]);
        let own = VALUES_OF.iter().filter(|(of, _)| *of == name).flat_map(|(_, values)| values.iter());
        for value in VALUES.iter().chain(own) {
            let is_it = |(of, which, _): &&(&str, &str, &str)| {
                (of.is_empty() || *of == name) && (which.is_empty() || which == value)
            };
            if NOT_OFFERED.iter().any(|row| is_it(&row)) {
                continue;
            }
            offered += 1;
            let difference = offer(&mut clients, name, value);
            if MAY_DIFFER.iter().any(|row| is_it(&row)) {
                continue;
            }
            differing.extend(difference);
        }
        // As it was, so that it does not disturb what follows.
        if let [_, value] = before.elements() {
            clients.iter_mut().for_each(|client| drop(client.command(&["CONFIG", "SET", name, &value.text()])));
        }
    }
    assert!(offered > 10_000, "{offered} values were offered");
    let count = differing.len();
    std::fs::write("/tmp/cfg/diff", differing.concat()).unwrap();
    assert!(count == 0, "{count} of {offered} answers differ:\n{}", differing.concat());
}

#[test]
fn calls_of_several_pairs_are_answered_alike() {
    let Some((ours, reference)) = pair() else { return };
    let mut clients = [ours.client(), reference.client()];
    for words in [
        &["SET", "timeout", "5", "hz", "11"][..],
        &["SET", "timeout", "6", "hz", "x"],
        &["SET", "timeout", "7", "nosuch", "x", "hz", "12"],
        &["SET", "nosuch", "7", "databases", "x"],
        &["SET", "databases", "7", "nosuch", "x"],
        &["SET", "timeout", "7", "TIMEOUT", "8"],
        &["SET", "slowlog-max-len", "7", "commandlog-slow-execution-max-len", "8"],
        &["SET", "hash-max-ziplist-entries", "7", "hash-max-ziplist-entries", "8"],
        &["SET", "dir", "/", "timeout", "9"],
        &["SET", "timeout", "9", "bind", "192.0.2.77"],
        &["SET", "bind", "192.0.2.77", "timeout", "9"],
        &["SET", "timeout", "9", "loglevel", "debug", "bind", "192.0.2.77"],
        &["SET", "timeout", "9", "maxmemory", "1", "maxmemory", "2"],
        &["SET", "timeout", "9", "maxmemory"],
        &["SET", "save", "60 1", "appendfsync", "always", "hz", "0"],
        &["GET"],
        &["GET", "nosuch"],
        &["GET", "time*", "hz", "h?", "[m-n]axmemory", "maxmemory"],
        &["GET", "slave-*", "replica-p*"],
        &["GET", "hz", "HZ", "hZ"],
        &["GET", "*", "lua-enable-insecure-api"],
        &["GET", "lua-*"],
        &["RESETSTAT", "x"],
        &["REWRITE", "x"],
        &["NOSUCH"],
        &["HELP", "x"],
    ] {
        let call: Vec<&str> = [&["CONFIG"], words].concat();
        let answers = clients.each_mut().map(|client| sorted(client.command(&call)));
        let both = |name: &str| answers.iter().all(|pairs| pairs.iter().any(|pair| pair.contains(name)));
        let differ = ["dir", "port"].iter().filter(|name| both(name)).count() + OUR_OWN.len();
        let different = answers[0].iter().filter(|pair| !answers[1].contains(pair)).count();
        assert!(answers[0] == answers[1] || (answers[1].len() > 200 && different <= differ), "{call:?}: {answers:#?}");
        for name in ["timeout", "hz", "bind", "maxclients", "loglevel", "save", "maxmemory"] {
            let values = clients.each_mut().map(|client| client.command(&["CONFIG", "GET", name]));
            assert_eq!(values[0], values[1], "{name} after {call:?}");
        }
    }
}

/// Names and values in the order of names; anything else as it is.
fn sorted(reply: Reply) -> Vec<String> {
    match &reply {
        Reply::Array(words) if words.len() % 2 == 0 => {
            let mut pairs: Vec<String> = words.chunks(2).map(|pair| format!("{} = {}", pair[0], pair[1])).collect();
            pairs.sort();
            pairs
        }
        other => vec![other.to_string()],
    }
}
