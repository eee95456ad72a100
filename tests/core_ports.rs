//! Ports of cores: each core is a node to cluster clients, which go straight to the core that owns a key. Shown by real
//! clients, with the counters of hops as the judge.
//!
//! What is absent (Python libraries, Valkey's programs) is skipped, except with `CI=true`, as in `clients`.

#![allow(clippy::unwrap_used, missing_docs)]

use redis::Commands;
use ringkey_tests::program::run;
use ringkey_tests::server::{Setup, peer, repository, skip};
use ringkey_tests::slot::{core_of, key_on_core, slot_of};
use ringkey_tests::{Client, Server};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);
const CORES: usize = 4;

fn server() -> Server {
    Setup::new().cores(CORES).core_ports().start()
}

/// One counter of every core.
fn counters(client: &mut Client, name: &str) -> Vec<u64> {
    let info = client.run("INFO cores").text();
    let field = |line: &str| {
        let (_, fields) = line.split_once(':')?;
        fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    info.lines().filter(|line| line.starts_with("core") && !line.starts_with("cores:")).filter_map(field).collect()
}

fn assert_no_hops(server: &Server) {
    let mut client = server.core_client(0);
    for name in ["hops_in", "hops_out", "calls_in", "calls_out"] {
        assert_eq!(counters(&mut client, name), [0; CORES], "{name}");
    }
    let commands = counters(&mut client, "commands");
    assert!(commands.iter().all(|count| *count > 100), "every core took part: {commands:?}");
}

fn python_cluster(module: &str) {
    let path = std::env::var_os("RINGKEY_PYTHON").map_or_else(|| repository().join(".venv/bin/python"), PathBuf::from);
    if !path.is_file() {
        return skip("no Python with the client libraries: see tests/requirements.txt");
    }
    let server = server();
    let mut command = Command::new(path);
    command.arg(repository().join("tests/python/cluster.py"));
    command.args([module, &server.core_port(1).to_string(), &CORES.to_string()]);
    let text = run(command, b"", LIMIT).unwrap().or_fail(module);
    assert!(text.ends_with("ok\n"), "{text}");
    assert_no_hops(&server);
}

#[test]
fn redis_py_cluster() {
    python_cluster("redis");
}

#[test]
fn valkey_py_cluster() {
    python_cluster("valkey");
}

#[test]
fn redis_crate_cluster() {
    let server = server();
    let url = format!("redis://127.0.0.1:{}/", server.core_port(2));
    let client = redis::cluster::ClusterClient::new([url]).unwrap();
    let mut connection = client.get_connection().unwrap();
    for number in 0..2000 {
        let _: () = connection.set(format!("key:{number}"), number).unwrap();
    }
    for number in 0..2000 {
        let value: i64 = connection.get(format!("key:{number}")).unwrap();
        assert_eq!(value, number);
    }
    let mut pipe = redis::cluster::cluster_pipe();
    for number in 0..500 {
        pipe.incr(format!("key:{number}"), 1).ignore().get(format!("key:{number}"));
    }
    let values: Vec<i64> = pipe.query(&mut connection).unwrap();
    assert_eq!(values, (1..=500).collect::<Vec<_>>());
    let size: i64 = redis::cmd("DBSIZE").query(&mut connection).unwrap();
    assert_eq!(size, 2000, "the sum over all nodes");
    assert_no_hops(&server);
    let _: () = redis::cmd("FLUSHALL").query(&mut connection).unwrap();
    assert_eq!(server.client().run("DBSIZE").integer(), 0);
}

#[test]
fn valkey_cli_follows_redirections() {
    let Some(program) = peer("valkey-cli") else { return skip("no valkey-cli: fetch the peers") };
    let server = server();
    let cli = |args: &[&str], input: &[u8]| {
        let mut command = Command::new(&program);
        command.args(args);
        run(command, input, LIMIT).unwrap().or_fail("valkey-cli")
    };
    let port = server.core_port(0).to_string();
    let text = cli(&["-c", "-p", &port], b"SET foo 1\nSET hello 2\nGET foo\n");
    assert!(text.ends_with("1\n") && !text.contains("MOVED"), "{text}");
    let check = cli(&["--cluster", "check", &format!("127.0.0.1:{port}")], b"");
    assert!(check.contains("All 16384 slots covered") && check.contains("2 keys in 4 primaries"), "{check}");
    let check = cli(&["--cluster", "check", &format!("127.0.0.1:{}", server.port())], b"");
    assert!(check.contains("All 16384 slots covered"), "{check}");
}

#[test]
fn valkey_benchmark_as_a_cluster_client() {
    let Some(program) = peer("valkey-benchmark") else { return skip("no valkey-benchmark: fetch the peers") };
    let server = server();
    for pipeline in ["1", "16"] {
        let mut command = Command::new(&program);
        command.args(["--cluster", "-p", &server.core_port(0).to_string(), "-q", "-n", "20000", "-c", "20"]);
        command.args(["-t", "set,get,incr", "-r", "10000", "-P", pipeline]);
        let text = run(command, b"", LIMIT).unwrap().or_fail("valkey-benchmark");
        assert_eq!(text.matches("requests per second").count(), 3, "{text}");
        assert!(!text.to_lowercase().contains("error"), "{text}");
    }
    assert_no_hops(&server);
}

#[test]
fn replies_keep_the_order_of_a_pipeline() {
    let server = server();
    let mut client = server.core_client(1);
    let keys: Vec<String> = (0..CORES).map(|core| key_on_core("k", core, CORES, 0)).collect();
    let mut expected = Vec::new();
    let mut bytes = Vec::new();
    for round in 0..200 {
        let core = round % CORES;
        let value = round.to_string();
        bytes.extend(ringkey_tests::client::encoded(&["SET", &keys[core], &value]));
        bytes.extend(ringkey_tests::client::encoded(&["GET", &keys[core]]));
        bytes.extend(ringkey_tests::client::encoded(&["PING", &value]));
        bytes.extend(ringkey_tests::client::encoded(&["MGET", &keys[core], &keys[(core + 1) % CORES]]));
        let moved = format!("-MOVED {} 127.0.0.1:{}", slot_of(keys[core].as_bytes()), server.core_port(core));
        match core {
            1 => expected.extend(["+OK".to_owned(), format!("\"{value}\"")]),
            _ => expected.extend([moved.clone(), moved]),
        }
        expected.push(format!("\"{value}\""));
        expected.push("-CROSSSLOT Keys in request don't hash to the same slot".to_owned());
    }
    client.send(&bytes).unwrap();
    for line in expected {
        assert_eq!(client.read_reply().unwrap().lines(), [line]);
    }
}

#[test]
fn a_core_port_shows_the_keys_of_its_core() {
    let server = server();
    let mut common = server.client();
    let mut expected = vec![BTreeSet::new(); CORES];
    for number in 0..400 {
        let key = format!("k{number}");
        assert_eq!(common.command(&["SET", &key, "v"]).lines(), ["+OK"], "the common port serves every key");
        expected[core_of(key.as_bytes(), CORES)].insert(key);
    }
    for (core, keys) in expected.iter().enumerate() {
        let mut client = server.core_client(core);
        assert_eq!(client.run("DBSIZE").integer(), keys.len() as i64);
        let listed: BTreeSet<String> = client.run("KEYS *").elements().iter().map(|key| key.text()).collect();
        assert_eq!(listed, *keys);
        let mut scanned = BTreeSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let page = client.command(&["SCAN", &cursor, "COUNT", "7"]);
            scanned.extend(page.elements()[1].elements().iter().map(|key| key.text()));
            cursor = page.elements()[0].text();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(scanned, *keys);
        assert!(keys.contains(&client.run("RANDOMKEY").text()));
        let other = key_on_core("other", (core + 1) % CORES, CORES, 0);
        let slot = slot_of(other.as_bytes());
        assert_eq!(common.command(&["SET", &other, "v"]).lines(), ["+OK"]);
        assert_eq!(client.run(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).integer(), 0, "a slot of another node");
        assert_eq!(client.run(&format!("CLUSTER GETKEYSINSLOT {slot} 10")).lines(), ["*0"]);
        assert!(common.run(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).integer() >= 1);
        assert_eq!(common.command(&["DEL", &other]).lines(), [":1"]);
        let local = client.run("CLIENT INFO").text();
        assert!(local.contains(&format!(" laddr=127.0.0.1:{} ", server.core_port(core))), "{local}");
        assert!(local.contains(&format!(" core={core}")), "{local}");
    }
    assert_eq!(common.run("DBSIZE").integer(), 400);
    let mut left = 400;
    for (core, keys) in expected.iter().enumerate() {
        let command = if core % 2 == 0 { "FLUSHALL" } else { "FLUSHDB ASYNC" };
        assert_eq!(server.core_client(core).run(command).lines(), ["+OK"]);
        left -= keys.len() as i64;
        assert_eq!(common.run("DBSIZE").integer(), left, "only this core's keys are gone");
    }
}

#[test]
fn the_same_view_on_every_port() {
    let server = server();
    let mut common = server.client();
    let id = common.run("CLUSTER MYID").text();
    let slots = common.run("CLUSTER SLOTS").lines();
    let plain = |text: String| text.replace("myself,", "");
    let nodes = common.run("CLUSTER NODES").text();
    let mut ids = BTreeSet::new();
    for core in 0..CORES {
        let mut client = server.core_client(core);
        let mine = client.run("CLUSTER MYID").text();
        assert_eq!(mine == id, core == 0, "the first core bears the name of the node");
        let lines = client.run("CLUSTER NODES").text();
        let my_line = lines.lines().find(|line| line.contains("myself")).unwrap();
        assert!(my_line.starts_with(&format!("{mine} 127.0.0.1:{}@", server.core_port(core))), "{my_line}");
        assert_eq!(plain(lines), plain(nodes.clone()));
        assert_eq!(client.run("CLUSTER SLOTS").lines(), slots);
        ids.insert(mine);
    }
    assert_eq!(ids.len(), CORES);
    // Whoever changes the node changes it for all.
    assert_eq!(server.core_client(2).run("CLUSTER DELSLOTS 12182").lines(), ["+OK"]);
    for core in 0..CORES {
        let error = server.core_client(core).run("GET foo").error().unwrap();
        assert_eq!(error, "CLUSTERDOWN Hash slot not served");
    }
    assert_eq!(common.run("CLUSTER ADDSLOTS 12182").lines(), ["+OK"]);
    assert_eq!(common.run("GET foo").lines(), ["(nil)"]);
}

/// Channels are the cluster's, shard channels those of the core with their slot, and of keys each core tells what becomes of its own.
#[test]
fn each_core_has_its_channels() {
    let setup = Setup::new().cores(CORES).core_ports().option("notify-keyspace-events", "KEA");
    let server = setup.start();
    let mut publisher = server.core_client(3);
    let mut listeners: Vec<Client> = (0..CORES).map(|core| server.core_client(core)).collect();
    let channel = |core: usize, number: usize| key_on_core(&format!("channel{number}"), core, CORES, 0);
    for (core, listener) in listeners.iter_mut().enumerate() {
        let (own, other) = (channel(core, 0), channel((core + 1) % CORES, 0));
        let moved = listener.command(&["SSUBSCRIBE", &other]).error().unwrap();
        let expected =
            format!("MOVED {} 127.0.0.1:{}", slot_of(other.as_bytes()), server.core_port((core + 1) % CORES));
        assert_eq!(moved, expected);
        assert_eq!(listener.command(&["SPUBLISH", &other, "x"]).error().unwrap(), expected);
        let crossing = listener.command(&["SSUBSCRIBE", &own, &channel(core, 1)]).error().unwrap();
        assert!(crossing.starts_with("CROSSSLOT"), "{crossing}");
        listener.listen(&format!("SSUBSCRIBE {own}"));
        listener.listen("SUBSCRIBE news");
        listener.listen("PSUBSCRIBE __keyevent@0__:set");
    }
    let mut common = server.client();
    common.listen("PSUBSCRIBE __keyevent@0__:set");
    assert_eq!(publisher.run("PUBLISH news x").integer(), CORES as i64);
    let mut writer = server.client();
    for core in 0..CORES {
        assert_eq!(writer.command(&["SPUBLISH", &channel(core, 0), "mine"]).integer(), 1);
        assert_eq!(writer.command(&["SET", &key_on_core("k", core, CORES, 0), "v"]).text(), "OK");
    }
    for (core, listener) in listeners.iter_mut().enumerate() {
        let key = key_on_core("k", core, CORES, 0);
        let mut heard: Vec<String> = (0..3).map(|_| listener.read_message().text).collect();
        heard.sort();
        let mut expected = ["x".to_owned(), "mine".to_owned(), key];
        expected.sort();
        assert_eq!(heard, expected);
        assert!(listener.is_quiet_for(Duration::from_millis(20)).unwrap(), "keys of other cores are not its business");
    }
    let mut all: Vec<String> = (0..CORES).map(|_| common.read_message().text).collect();
    all.sort();
    let mut keys: Vec<String> = (0..CORES).map(|core| key_on_core("k", core, CORES, 0)).collect();
    keys.sort();
    assert_eq!(all, keys, "the common port is that of the whole node");
    // A slot that goes takes its channels along.
    let lost = channel(2, 0);
    assert_eq!(writer.run(&format!("CLUSTER DELSLOTS {}", slot_of(lost.as_bytes()))).text(), "OK");
    let told = listeners[2].read_reply().unwrap();
    assert_eq!(told.lines(), ["*3", "  \"sunsubscribe\"", &format!("  \"{lost}\""), "  :0"]);
    assert_eq!(writer.run("PUBSUB SHARDCHANNELS").elements().len(), CORES - 1);
}

#[test]
fn guards_hold_on_core_ports_too() {
    let server = Setup::new().cores(2).core_ports().option("requirepass", "pass").option("maxclients", "3").start();
    let mut client = server.core_client(1);
    assert_eq!(client.run("CLUSTER SLOTS").error().unwrap(), "NOAUTH Authentication required.");
    assert_eq!(client.run("AUTH pass").lines(), ["+OK"]);
    assert_eq!(
        client.run("CONFIG SET bind 127.0.0.2").error().map(|text| text.contains("cores have ports")),
        Some(true)
    );
    let mut others: Vec<Client> = vec![server.core_client(0), server.client()];
    for other in &mut others {
        assert_eq!(other.run("AUTH pass").lines(), ["+OK"]);
    }
    let mut late = server.core_client(1);
    assert_eq!(late.read_reply().unwrap().error().unwrap(), "ERR max number of clients reached");
    // Ids are one sequence over all ports.
    let ids: BTreeSet<i64> =
        others.iter_mut().chain([&mut client]).map(|client| client.run("CLIENT ID").integer()).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn without_a_common_port() {
    // The harness waits on the common port, so the server's own client closes it.
    let server = server();
    let mut client = server.core_client(1);
    assert_eq!(client.run("CONFIG SET port 0").lines(), ["+OK"]);
    assert_eq!(server.core_client(0).run("PING").lines(), ["+PONG"]);
    assert!(Client::connect(&server.address()).is_err());
    let taken = server.core_port(2);
    let refused = client.run(&format!("CONFIG SET port {taken}"));
    assert!(refused.error().unwrap().contains("Unable to listen on this port"), "{refused:?}");
    assert_eq!(server.core_client(2).run("PING").lines(), ["+PONG"]);
}
