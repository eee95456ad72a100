//! How the server starts: config file, standard input, command line, addresses; and how it refuses.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::server::{Kind, Setup, free_port, peer, skip};
use ringkey_tests::{Address, Client, Server};

fn setting(server: &Server, name: &str) -> String {
    let mut client = server.client();
    let reply = client.run(&format!("CONFIG GET {name}"));
    reply.elements()[1].text()
}

#[test]
fn the_log_says_when_it_is_ready() {
    let server = Setup::new().cores(4).unix_socket().start();
    let log = server.log();
    assert!(log.contains("Ready to accept connections tcp"), "{log}");
    assert!(log.contains("Ready to accept connections unix"), "{log}");
}

#[test]
fn mistakes_in_the_config_are_shown_with_their_line() {
    let cases = [
        ("maxclients 50\n\nnosuch yes\n", 3, "nosuch yes"),
        ("# comment\nmaxmemory abc\n", 2, "maxmemory abc"),
        ("timeout 1 2\n", 1, "timeout 1 2"),
        ("timeout\n", 1, "timeout"),
        ("timeout -1\n", 1, "timeout -1"),
        ("maxclients 50\nmaxmemory-policy nosuch\n", 2, "maxmemory-policy nosuch"),
        ("appendonly perhaps\n", 1, "appendonly perhaps"),
        ("requirepass \"open\n", 1, "requirepass \"open"),
        ("client-output-buffer-limit normal 1mb\n", 1, "client-output-buffer-limit normal 1mb"),
    ];
    for (config, line, text) in cases {
        for on_stdin in [false, true] {
            let setup = Setup::new().config(config);
            let log = if on_stdin { setup.config_on_stdin() } else { setup }.start_refused();
            // The reference counts the lines from 2 on, because it puts one of its own before them.
            let numbered = log.contains(&format!("line {line}")) || log.contains(&format!("line {}", line + 1));
            assert!(numbered && log.contains(&format!(">>> '{text}'")), "{config:?}:\n{log}");
        }
    }
}

#[test]
fn mistakes_on_the_command_line_are_shown() {
    for (name, value) in [("nosuch", "1"), ("timeout", "abc"), ("maxmemory", "12x")] {
        let log = Setup::new().option(name, value).start_refused();
        assert!(log.contains(&format!("{name} \"{value}\"")), "{log}");
    }
}

#[test]
fn a_config_file_that_is_not_there() {
    let log = Setup::new().config("include /nonexistent/other.conf\n").start_refused();
    assert!(log.contains("/nonexistent/other.conf"), "{log}");
}

const CONFIG: &str = "# A comment, then blank lines and odd spacing.\n\n   timeout    55\n\ttcp-keepalive\t120\n\
    requirepass \"pass \\x41\\\"word\"\nMAXCLIENTS 77\nmaxmemory 100mb\nmaxmemory-policy 'allkeys-lru'\n\
    client-output-buffer-limit normal 2mb 1mb 10\nclient-output-buffer-limit pubsub 3mb 0 0\n\
    databases 5\nhash-max-ziplist-entries 99\nhz 20\ntimeout 56\n";

fn judge_config(server: &Server) {
    let mut client = server.client();
    assert_eq!(client.command(&["AUTH", "pass A\"word"]).lines(), ["+OK"]);
    let mut get = |name: &str| client.run(&format!("CONFIG GET {name}")).elements()[1].text();
    assert_eq!(get("timeout"), "56", "the last one counts");
    assert_eq!(get("tcp-keepalive"), "120");
    assert_eq!(get("maxclients"), "77");
    assert_eq!(get("maxmemory"), "104857600");
    assert_eq!(get("maxmemory-policy"), "allkeys-lru");
    let limits = get("client-output-buffer-limit");
    assert!(limits.starts_with("normal 2097152 1048576 10 "), "{limits}");
    assert!(limits.ends_with(" pubsub 3145728 0 0"), "{limits}");
    assert_eq!(get("hash-max-listpack-entries"), "99");
    assert_eq!(get("databases"), "5");
    assert_eq!(client.run("SELECT 4").lines(), ["+OK"]);
    assert_eq!(client.run("SELECT 5").lines(), ["-ERR DB index is out of range"]);
}

#[test]
fn a_config_file() {
    judge_config(&Setup::new().config(CONFIG).start());
}

#[test]
fn a_config_on_standard_input() {
    judge_config(&Setup::new().config(CONFIG).config_on_stdin().start());
}

#[test]
fn included_files_and_the_command_line() {
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("other.conf");
    std::fs::write(&path, "timeout 11\nmaxclients 88\n").unwrap();
    std::fs::write(other.path().join("a1.conf"), "hz 30\n").unwrap();
    let config =
        format!("timeout 10\ninclude {}\ninclude {}/a*.conf\nmaxclients 99\n", path.display(), other.path().display());
    let server = Setup::new().config(&config).option("tcp-keepalive", "33").start();
    assert_eq!(setting(&server, "timeout"), "11");
    assert_eq!(setting(&server, "maxclients"), "99");
    assert_eq!(setting(&server, "tcp-keepalive"), "33");
    assert_eq!(setting(&server, "hz"), "30");
    let server = Setup::new().config(&config).option("timeout", "7").start();
    assert_eq!(setting(&server, "timeout"), "7", "the command line counts more than the file");
}

#[test]
fn a_directive_of_several_words_on_the_command_line() {
    let server = Setup::new().option("client-output-buffer-limit", "normal 1mb 0 0 pubsub 2mb 0 5").start();
    let limits = setting(&server, "client-output-buffer-limit");
    assert!(limits.starts_with("normal 1048576 0 0 ") && limits.ends_with(" pubsub 2097152 0 5"), "{limits}");
}

#[test]
fn a_port_that_is_taken() {
    let first = Setup::new().start();
    let log = Setup::new().port(first.port()).start_refused();
    assert!(log.contains("ddress already in use"), "{log}");
    first.assert_alive();
}

#[test]
fn several_addresses() {
    let server = Setup::new().cores(4).bind("127.0.0.1 127.0.0.2 -192.0.2.77").start();
    for ip in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        let mut client = Client::connect(&Address::Tcp((ip, server.port()).into())).unwrap();
        assert_eq!(client.run("PING").lines(), ["+PONG"]);
    }
    let log = Setup::new().bind("127.0.0.1 192.0.2.77").start_refused();
    assert!(log.contains("192.0.2.77"), "{log}");
}

/// Does a server answer there?
fn answers(ip: [u8; 4], port: u16) -> bool {
    Client::connect(&Address::Tcp((ip, port).into()))
        .and_then(|mut client| client.try_command(&["PING"]))
        .is_ok_and(|reply| reply.lines() == ["+PONG"])
}

#[test]
fn port_and_addresses_change_while_it_runs() {
    let (one, two) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let server = Setup::new().cores(2).bind("127.0.0.1").start();
    let mut client = server.client();
    let old = server.port();
    let new = free_port();
    assert_eq!(client.run(&format!("CONFIG SET port {new}")).lines(), ["+OK"]);
    assert!(answers(one, new) && !answers(one, old), "the new port alone is open");
    let taken = Setup::new().start();
    let reply = client.run(&format!("CONFIG SET port {}", taken.port()));
    assert!(reply.error().unwrap().contains("Unable to listen on this port"), "{reply:?}");
    assert!(answers(one, new), "after a refusal nothing has changed");
    assert_eq!(client.command(&["CONFIG", "SET", "bind", "127.0.0.2"]).lines(), ["+OK"]);
    assert!(answers(two, new) && !answers(one, new));
    let reply = client.command(&["CONFIG", "SET", "bind", "192.0.2.77"]);
    assert!(reply.error().unwrap().contains("Failed to bind"), "{reply:?}");
    assert!(answers(two, new), "after a refusal nothing has changed");
    assert_eq!(client.run(&format!("CONFIG SET bind 127.0.0.1 port {old}")).lines(), ["+OK"]);
    assert!(answers(one, old) && !answers(two, new));
    // All or none: the second of these cannot take effect.
    let reply = client.run(&format!("CONFIG SET port {new} maxclients 4000000000"));
    assert!(reply.error().unwrap().contains("maxclients"), "{reply:?}");
    assert!(answers(one, old) && !answers(one, new));
    assert_eq!(client.run("CONFIG SET port 0").lines(), ["+OK"]);
    assert!(!answers(one, old));
    assert_eq!(client.run(&format!("CONFIG SET port {old}")).lines(), ["+OK"]);
    assert!(answers(one, old));
    assert_eq!(client.run("PING").lines(), ["+PONG"], "who is connected stays so");
}

#[test]
fn ports_that_cores_cannot_have() {
    let refused = |options: &[(&str, &str)]| {
        let setup = options.iter().fold(Setup::new().cores(4), |setup, (name, value)| setup.option(name, value));
        setup.start_refused()
    };
    let on = ("cluster-enabled", "yes");
    for (options, line) in [
        (
            &[("core-ports", "7000")][..],
            "core-ports shows each core as a node of a cluster and needs 'cluster-enabled yes'",
        ),
        (
            &[on, ("core-ports", "65533")],
            "core-ports 65533 with 4 cores would take the ports up to 65536; 65535 is the last",
        ),
        (
            &[on, ("core-ports", "7000"), ("port", "7003")],
            "core-ports 7000 with 4 cores takes the ports 7000 to 7003, and 7003 is the common port",
        ),
        (&[on, ("core-ports", "65536")], "argument must be 'no' or a port from 1 to 65535"),
        (&[on, ("core-ports", "0")], "argument must be 'no' or a port from 1 to 65535"),
        (&[on, ("core-ports", "yes")], "argument must be 'no' or a port from 1 to 65535"),
    ] {
        let log = refused(options);
        assert!(log.contains(line), "{options:?}:\n{log}");
    }
    let taken = Setup::new().start();
    let first = taken.port() - 2;
    let log = refused(&[on, ("core-ports", &first.to_string())]);
    assert!(log.contains("ddress already in use") || log.contains("would take the ports"), "{log}");
}

#[test]
fn a_cluster_config_file_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.conf");
    let path_text = path.display().to_string();
    let (id, other) = ("c919cd3e157f5246d0542f2219cb1bd5b95047ca", "eb9beb5fd7ba52a5a68d470446d8ed37e1f07560");
    let me = format!("{id} :1@2 myself,master - 0 0 0 connected 0-5\n");
    for (text, reason) in [
        ("garbage\n".to_owned(), "line 1 is corrupt"),
        (format!("{me}{other} :3@4 master - 0 0 0 connected 6-16383\n"), "line 2 names another node"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let log =
            Setup::new().option("cluster-enabled", "yes").option("cluster-config-file", &path_text).start_refused();
        assert!(log.contains(&path_text) && log.contains(reason), "{log}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "the file is left as it was");
    }
}

#[test]
fn a_node_is_itself_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.conf").display().to_string();
    let start = || Setup::new().option("cluster-enabled", "yes").option("cluster-config-file", &path).start();
    let first = start();
    let mut client = first.client();
    let id = client.run("CLUSTER MYID").text();
    let shard_id = client.run("CLUSTER MYSHARDID").text();
    assert_eq!(client.run("CLUSTER ADDSLOTSRANGE 0 99 200 300").lines(), ["+OK"]);
    assert_eq!(client.run("CLUSTER BUMPEPOCH").lines(), ["+BUMPED 1"]);
    drop(first);
    let second = start();
    let mut client = second.client();
    assert_eq!(client.run("CLUSTER MYID").text(), id);
    assert_eq!(client.run("CLUSTER MYSHARDID").text(), shard_id);
    let nodes = client.run("CLUSTER NODES").text();
    assert!(nodes.ends_with(" myself,master - 0 0 1 connected 0-99 200-300\n"), "{nodes}");
    // A change that cannot be written is refused, and nothing has changed.
    drop(folder);
    let refused = client.run("CLUSTER ADDSLOTS 500");
    assert!(refused.error().unwrap().contains("error saving the cluster node config"), "{refused:?}");
    assert_eq!(client.run("CLUSTER NODES").text(), nodes);
    assert_eq!(client.run("CONFIG SET cluster-config-save-behavior best-effort").lines(), ["+OK"]);
    assert_eq!(client.run("CLUSTER ADDSLOTS 500").lines(), ["+OK"]);
}

#[test]
fn the_cluster_config_file_is_that_of_valkey() {
    if peer("valkey-server").is_none() {
        return skip("no valkey-server: fetch the peers");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.conf").display().to_string();
    let start = |kind| Setup::of(kind).option("cluster-enabled", "yes").option("cluster-config-file", &path).start();
    let names = |server: &Server| {
        let mut client = server.client();
        let nodes = client.run("CLUSTER NODES").text();
        let (_, slots) = nodes.split_once(" connected").unwrap();
        (client.run("CLUSTER MYID").text(), client.run("CLUSTER MYSHARDID").text(), slots.to_owned())
    };
    let ours = start(Kind::Ringkey);
    assert_eq!(ours.client().run("CLUSTER ADDSLOTSRANGE 0 99 200 300").lines(), ["+OK"]);
    let known = names(&ours);
    drop(ours);
    let reference = start(Kind::Reference);
    assert_eq!(names(&reference), known);
    assert_eq!(reference.client().run("CLUSTER ADDSLOTS 150").lines(), ["+OK"]);
    let known = names(&reference);
    drop(reference);
    assert_eq!(names(&start(Kind::Ringkey)), known);
}

#[test]
fn every_number_of_cores() {
    for cores in [1, 2, 3, 4, 8] {
        let server = Setup::new().cores(cores).start();
        let mut client = server.client();
        for place in 0..100 {
            assert_eq!(client.command(&["SET", &format!("k{place}"), "v"]).lines(), ["+OK"]);
        }
        assert_eq!(client.run("DBSIZE").integer(), 100);
        assert_eq!(client.run("KEYS k*").elements().len(), 100);
        server.assert_alive();
    }
}
