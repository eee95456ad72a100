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
    ("dir", "each server has its own; the calls of several pairs try it"),
    ("requirepass", "the connections of this test would have to know each password; cases/auth.txt sets it"),
    ("tls-port", "without certificates the reference cannot listen there, and we have no TLS yet"),
    ("rdma-port", "the reference needs a module for it"),
    ("rdma-bind", "the reference needs a module for it"),
    ("watchdog-period", "the reference prints its stack from then on"),
    ("use-exit-on-panic", "changes how the reference ends"),
    ("key-load-delay", "lets the reference sleep"),
    ("rdb-key-save-delay", "lets the reference sleep"),
];

/// Values of a directive that would end the test: the directive, the value, why.
const NOT_OFFERED: &[(&str, &str, &str)] = &[
    ("maxclients", "2147483647", "the reference makes room for so many at once"),
    ("maxclients", "2147483648", "likewise"),
    ("maxclients", "4294967295", "likewise"),
    ("maxclients", "65535", "hangs on the limits of the machine"),
    ("maxclients", "65536", "hangs on the limits of the machine"),
];

/// Answers that differ and may: the directive, the value, why.
const MAY_DIFFER: &[(&str, &str, &str)] = &[
    ("activedefrag", "yes", "the reference was built with an allocator that cannot; here it means nothing"),
    ("activedefrag", "YES", "likewise"),
    ("tls-cluster", "yes", "the reference wants a certificate first; here it has no effect yet"),
    ("tls-cluster", "YES", "likewise"),
    ("tls-replication", "yes", "likewise"),
    ("tls-replication", "YES", "likewise"),
];

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

/// Gives a directive the value back that CONFIG GET showed before.
fn set_back(clients: &mut [Client; 2], name: &str, before: &Reply) {
    if let [_, value] = before.elements() {
        clients.iter_mut().for_each(|client| drop(client.command(&["CONFIG", "SET", name, &value.text()])));
    }
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
            let is_it = |(of, which, _): &&(&str, &str, &str)| *of == name && which == value;
            if NOT_OFFERED.iter().any(|row| is_it(&row)) {
                continue;
            }
            offered += 1;
            let difference = offer(&mut clients, name, value);
            if MAY_DIFFER.iter().any(|row| is_it(&row)) {
                assert!(difference.is_some(), "{name} {value} need not be listed any more");
                set_back(&mut clients, name, &before);
                continue;
            }
            differing.extend(difference);
        }
        // So that it does not disturb what follows.
        set_back(&mut clients, name, &before);
    }
    assert!(offered > 10_000, "{offered} values were offered");
    let count = differing.len();
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

/// What CONFIG GET shows to several connections: they are spread over the cores.
fn on_all_cores(clients: &mut [Client], name: &str) -> String {
    let values: Vec<String> =
        clients.iter_mut().map(|client| client.command(&["CONFIG", "GET", name]).elements()[1].text()).collect();
    assert!(values.iter().all(|value| *value == values[0]), "{name}: {values:?}");
    values[0].clone()
}

#[test]
fn what_fails_half_way_is_taken_back_on_all_cores() {
    let server = Setup::of(Kind::Ringkey).cores(4).option("enable-protected-configs", "yes").start();
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let names = ["loglevel", "maxclients", "dir", "timeout", "port", "bind", "locale-collate", "jemalloc-bg-thread"];
    let before: Vec<String> = names.iter().map(|name| on_all_cores(&mut clients, name)).collect();
    let working_folder = || std::fs::read_link(format!("/proc/{}/cwd", server.id())).unwrap();
    let old_folder = working_folder();
    let taken = Setup::of(Kind::Ringkey).start();
    let busy = taken.port().to_string();
    for call in [
        &["maxclients", "50", "bind", "192.0.2.77"][..],
        &["bind", "192.0.2.77", "maxclients", "50", "loglevel", "debug", "jemalloc-bg-thread", "no"],
        &["timeout", "7", "dir", "/", "port", &busy],
        &["port", &busy, "dir", "/", "loglevel", "debug"],
        &["timeout", "7", "loglevel", "debug", "dir", "/nosuch"],
        &["dir", "/", "locale-collate", "nosuch"],
        &["dir", "/", "maxclients", "4294967295", "timeout", "8"],
        &["loglevel", "debug", "timeout", "x"],
        &["loglevel", "debug", "databases", "3"],
    ] {
        let words: Vec<&str> = [&["CONFIG", "SET"], call].concat();
        let reply = clients[5].command(&words);
        assert!(reply.error().is_some(), "{call:?}: {reply}");
        let after: Vec<String> = names.iter().map(|name| on_all_cores(&mut clients, name)).collect();
        assert_eq!(after, before, "{call:?}");
        assert_eq!(working_folder(), old_folder, "{call:?}");
        server.assert_alive();
    }
    assert!(!server.log().contains(" . "), "no line of the level 'debug' was logged");
    // And what is good is adopted by all.
    let good = ["CONFIG", "SET", "timeout", "9", "maxclients", "99", "loglevel", "warning", "dir", "/"];
    assert_eq!(clients[3].command(&good).lines(), ["+OK"]);
    assert_eq!(on_all_cores(&mut clients, "timeout"), "9");
    assert_eq!(on_all_cores(&mut clients, "dir"), "/");
    assert_eq!(working_folder().as_os_str(), "/");
}

#[test]
fn what_has_no_effect_is_said_when_it_is_set() {
    let server = Setup::of(Kind::Ringkey).option("maxmemory-samples", "7").start();
    let mut client = server.client();
    let shows = |text: &str| drop(server.await_log(text, |log| log.contains(text)));
    shows("'maxmemory-samples' is kept but has no effect");
    assert_eq!(client.run("CONFIG SET activedefrag yes appendonly yes").lines(), ["+OK"]);
    shows("'activedefrag' is accepted but means nothing here");
    shows("'appendonly' is kept but has no effect");
    assert!(client.run("CONFIG SET tcp-keepalive 77 hz x").error().is_some());
    assert!(client.run("CONFIG SET io-threads-always-active yes hz x").error().is_some());
    client.run("CONFIG SET activerehashing no");
    shows("'activerehashing' is accepted");
    assert!(!server.log().contains("io-threads-always-active"), "what was refused is not remarked on");
}

const FILE: &str = "# The owner's file.\n\n  timeout   55\n\nmaxmemory 100mb   \n# limits\nhash-max-ziplist-entries 99\n\
    save 900 1\nsave 300 10\n#save 1 1\nrename-command FLUSHALL \"\"\ninclude extra.conf\nclient-output-buffer-limit pubsub 1mb 0 0\n";

#[test]
fn a_file_that_is_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let extra = folder.path().join("extra.conf");
    std::fs::write(&extra, "hz 25\n").unwrap();
    let text = FILE.replace("extra.conf", &extra.display().to_string());
    let server = Setup::of(Kind::Ringkey).cores(4).config(&text).start();
    let path = server.dir().join("test.conf");
    let (mut client, mut other) = (server.client(), server.client());
    let set = ["CONFIG", "SET", "timeout", "56", "maxmemory", "104857600", "requirepass", "a \"b\" \n", "save", "60 5"];
    assert_eq!(client.command(&set).lines(), ["+OK"]);
    let set = ["CONFIG", "SET", "loglevel", "verbose", "client-output-buffer-limit", "slave 1gb 3 4"];
    assert_eq!(other.command(&set).lines(), ["+OK"]);
    assert_eq!(other.run("CONFIG REWRITE").lines(), ["+OK"]);
    let written = std::fs::read_to_string(&path).unwrap();
    let (kept, added) = written.split_once("# Added by CONFIG REWRITE:\n").unwrap();
    let expected = text
        .replace("  timeout   55", "  timeout 56")
        .replace("save 900 1\nsave 300 10\n", "save 60 5\n")
        .replace("limit pubsub 1mb 0 0\n", "limit replica 1gb 3 4\nclient-output-buffer-limit pubsub 1mb 0 0\n");
    assert_eq!(kept, expected);
    assert!(added.contains("requirepass \"a \\\"b\\\" \\n\"\n") && added.contains("loglevel verbose\n"), "{added}");
    assert_eq!(client.run("CONFIG REWRITE").lines(), ["+OK"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written, "a second time changes nothing");
    let before = all(&mut client);
    assert_eq!(std::fs::read_dir(server.dir()).unwrap().filter(is_temporary).count(), 0);
    // A start with that file gives the same settings.
    let again = Setup::of(Kind::Ringkey).cores(4).config(&written).start();
    let mut client = again.client();
    assert_eq!(client.command(&["AUTH", "a \"b\" \n"]).lines(), ["+OK"]);
    let after = all(&mut client);
    let own = ["bind", "dir", "port", "save", "cores"];
    for (name, value) in before.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        assert_eq!(after[name], *value, "{name}");
    }
    assert!(client.run("FLUSHALL").error().is_some());
}

fn is_temporary(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_name().to_string_lossy().contains(".tmp")
}

#[test]
fn a_file_that_cannot_be_rewritten() {
    let mut both = vec![Kind::Ringkey];
    both.extend(peer("valkey-server").map(|_| Kind::Reference));
    for kind in both {
        let server = Setup::of(kind).start();
        let refused = ["-ERR The server is running without a config file"];
        assert_eq!(server.client().run("CONFIG REWRITE").lines(), refused, "{kind:?}");

        let server = Setup::of(kind).config("timeout 5\n").start();
        let mut client = server.client();
        assert_eq!(client.run("CONFIG SET timeout 6").lines(), ["+OK"]);
        let (path, away) = (server.dir().join("test.conf"), server.dir().join("away"));
        std::fs::rename(&path, &away).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(client.run("CONFIG REWRITE").error().unwrap().starts_with("ERR Rewriting config file: "), "{kind:?}");
        assert_eq!(std::fs::read_dir(server.dir()).unwrap().filter(is_temporary).count(), 0);
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&away).unwrap(), "timeout 5\n", "the old file is as it was");
        // Who took the file away gets a new one.
        assert_eq!(client.run("CONFIG REWRITE").lines(), ["+OK"], "{kind:?}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("timeout 6\n"), "{kind:?}");
        server.assert_alive();
    }
}

#[test]
fn answers_as_of_redis_and_the_zone() {
    let Some((ours, reference)) = pair() else { return };
    let mut clients = [ours.client(), reference.client()];
    for call in [
        &["HELLO", "2"][..],
        &["CONFIG", "SET", "extended-redis-compatibility", "yes"],
        &["HELLO", "3"],
        &["CONFIG", "SET", "availability-zone", "eu west\"", "extended-redis-compatibility", "no"],
        &["HELLO", "2"],
        &["HELLO", "3"],
        &["CONFIG", "SET", "availability-zone", ""],
        &["HELLO", "3"],
    ] {
        // Apart from the id of the client and the modules of the reference.
        let answers = clients.each_mut().map(|client| {
            let mut lines = client.command(call).lines();
            assert!(!lines[0].starts_with('-'), "{call:?}: {lines:?}");
            let names: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains("\"id\"")).collect();
            names.iter().for_each(|at| drop(lines.remove(at + 1)));
            let from = lines.iter().position(|line| line.contains("\"modules\"")).unwrap_or(lines.len());
            let to = lines.iter().position(|line| line.contains("availability")).unwrap_or(lines.len());
            lines.drain(from.min(to)..to);
            lines
        });
        assert_eq!(answers[0], answers[1], "{call:?}");
    }
}
