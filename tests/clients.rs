//! Real clients: the Rust `redis` crate, redis-py and valkey-py, valkey-cli and valkey-benchmark.
//!
//! The Python libraries come from `RINGKEY_PYTHON` or `.venv/bin/python` (`requirements.txt`), the
//! Valkey programs from `RINGKEY_PEERS` or `.peers/bin`. What is absent is skipped, except with `CI=true`.

#![allow(clippy::unwrap_used, missing_docs)]

use redis::{Commands, RedisResult};
use ringkey_tests::Server;
use ringkey_tests::program::run;
use ringkey_tests::server::{Setup, peer, repository, skip};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);

fn python() -> Option<PathBuf> {
    let path = std::env::var_os("RINGKEY_PYTHON").map_or_else(|| repository().join(".venv/bin/python"), PathBuf::from);
    path.is_file().then_some(path)
}

fn python_client(module: &str, protocol: u8) {
    python_script("client.py", &[module, "PORT", &protocol.to_string()]);
}

fn python_script(name: &str, args: &[&str]) {
    let Some(python) = python() else {
        skip("no Python with the client libraries: see tests/requirements.txt");
        return;
    };
    let server = Setup::new().cores(4).start();
    let mut command = Command::new(python);
    command.arg(repository().join("tests/python").join(name));
    command.args(args.iter().map(|arg| if *arg == "PORT" { server.port().to_string() } else { (*arg).to_owned() }));
    let text = run(command, b"", LIMIT).unwrap().or_fail(&format!("{name} {args:?}"));
    assert!(text.ends_with("ok\n"), "{text}");
    server.assert_alive();
}

#[test]
fn channels_and_events_in_python() {
    for module in ["redis", "valkey"] {
        for protocol in ["2", "3"] {
            python_script("listening.py", &[module, "PORT", protocol, "channels"]);
        }
    }
}

#[test]
fn cached_reads_in_python() {
    python_script("listening.py", &["valkey", "PORT", "3", "caching"]);
}

#[test]
fn redis_py_resp2() {
    python_client("redis", 2);
}

#[test]
fn redis_py_resp3() {
    python_client("redis", 3);
}

#[test]
fn valkey_py_resp2() {
    python_client("valkey", 2);
}

#[test]
fn valkey_py_resp3() {
    python_client("valkey", 3);
}

fn rust_client(server: &Server, suffix: &str) {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/{suffix}", server.port())).unwrap();
    let mut connection = client.get_connection().unwrap();
    let _: () = redis::cmd("FLUSHALL").query(&mut connection).unwrap();
    let _: () = connection.set("k", "v").unwrap();
    let value: Option<String> = connection.get("k").unwrap();
    assert_eq!(value.as_deref(), Some("v"));
    let missing: Option<String> = connection.get("missing").unwrap();
    assert_eq!(missing, None);
    let _: () = connection.set_ex("timed", "v", 100).unwrap();
    let ttl: i64 = connection.ttl("timed").unwrap();
    assert!((98..=100).contains(&ttl), "{ttl}");
    let count: i64 = connection.incr("n", 5).unwrap();
    assert_eq!(count, 5);
    let _: () = connection.mset(&[("a", 1), ("b", 2), ("c", 3)]).unwrap();
    let values: Vec<Option<i64>> = connection.mget(&["a", "b", "missing", "c"]).unwrap();
    assert_eq!(values, [Some(1), Some(2), None, Some(3)]);
    let refused: RedisResult<i64> = connection.incr("k", 1);
    assert!(refused.unwrap_err().to_string().contains("not an integer"));
    let mut pipe = redis::pipe();
    for place in 0..500 {
        pipe.set(format!("p{place}"), place).ignore().get(format!("p{place}"));
    }
    let read: Vec<i64> = pipe.query(&mut connection).unwrap();
    assert_eq!(read, (0..500).collect::<Vec<_>>());
    let scanned: BTreeSet<String> = connection.scan_match::<_, String>("p*").unwrap().map(|key| key.unwrap()).collect();
    assert_eq!(scanned.len(), 500);
    let config: HashMap<String, String> =
        redis::cmd("CONFIG").arg("GET").arg("maxclients").query(&mut connection).unwrap();
    assert_eq!(config["maxclients"], "10000");
    let info: redis::InfoDict = redis::cmd("INFO").query(&mut connection).unwrap();
    assert!(info.get::<String>("redis_version").is_some());
    let large = vec![7_u8; 3_000_000];
    let _: () = connection.set("large", &large).unwrap();
    let back: Vec<u8> = connection.get("large").unwrap();
    assert!(back == large);
}

#[test]
fn redis_crate() {
    let server = Setup::new().cores(4).start();
    rust_client(&server, "");
    rust_client(&server, "5");
    rust_client(&server, "?protocol=resp3");
    rust_client(&server, "5?protocol=resp3");
}

#[test]
fn redis_crate_with_a_password() {
    let server = Setup::new().option("requirepass", "pass").start();
    for (user, right) in [(":pass", true), ("default:pass", true), (":wrong", false)] {
        for suffix in ["", "?protocol=resp3"] {
            let url = format!("redis://{user}@127.0.0.1:{}/{suffix}", server.port());
            let connected = redis::Client::open(url).unwrap().get_connection().is_ok();
            assert_eq!(connected, right, "{user} {suffix}");
        }
    }
}

/// Runs valkey-cli; `None` if it is not there.
fn cli(server: &Server, args: &[&str], input: &[u8]) -> Option<String> {
    let Some(program) = peer("valkey-cli") else {
        skip("no valkey-cli: fetch the peers");
        return None;
    };
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &server.port().to_string()]).args(args);
    Some(run(command, input, LIMIT).unwrap().or_fail(&format!("valkey-cli {args:?}")))
}

#[test]
fn valkey_cli_commands() {
    let server = Setup::new().cores(4).start();
    if cli(&server, &["PING"], b"").is_none() {
        return;
    }
    let one = |args: &[&str]| cli(&server, args, b"").unwrap();
    assert_eq!(one(&["PING"]), "PONG\n");
    assert_eq!(one(&["SET", "k", "a b"]), "OK\n");
    assert_eq!(one(&["GET", "k"]), "a b\n");
    assert_eq!(one(&["--no-raw", "GET", "k"]), "\"a b\"\n");
    assert_eq!(one(&["-3", "--no-raw", "GET", "missing"]), "(nil)\n");
    assert_eq!(one(&["-3", "--no-raw", "CONFIG", "GET", "maxclients"]), "1# \"maxclients\" => \"10000\"\n");
    assert_eq!(one(&["-n", "3", "SET", "k3", "v"]), "OK\n");
    assert_eq!(one(&["-n", "3", "DBSIZE"]), "1\n");
    assert_eq!(one(&["--json", "-3", "MGET", "k", "missing"]), "[\"a b\",null]\n");
    let many = cli(&server, &[], b"SET a 1\nINCR a\nGET a\nSELECT 3\nDBSIZE\n").unwrap();
    assert_eq!(many, "OK\n2\n2\nOK\n1\n");
    let repeated = one(&["-r", "5", "INCR", "r"]);
    assert_eq!(repeated, "1\n2\n3\n4\n5\n");
    assert!(one(&["INFO", "server"]).contains("redis_version:"));
    let from_stdin = cli(&server, &["-x", "SET", "piped"], b"from input").unwrap();
    assert_eq!(from_stdin, "OK\n");
    assert_eq!(one(&["GET", "piped"]), "from input\n");
}

#[test]
fn valkey_cli_scan_pipe_and_bigkeys() {
    let server = Setup::new().cores(4).start();
    let load: Vec<u8> = (0..3_000)
        .flat_map(|place| ringkey_tests::client::encoded(&["SET", &format!("bulk:{place}"), "value"]))
        .collect();
    let Some(piped) = cli(&server, &["--pipe"], &load) else { return };
    assert!(piped.contains("errors: 0, replies: 3000"), "{piped}");
    let all = cli(&server, &["--scan"], b"").unwrap();
    assert_eq!(all.lines().collect::<BTreeSet<_>>().len(), 3_000);
    let some = cli(&server, &["--scan", "--pattern", "bulk:29??"], b"").unwrap();
    assert_eq!(some.lines().collect::<BTreeSet<_>>().len(), 100);
    let in_large_steps = cli(&server, &["--scan", "--count", "500"], b"").unwrap();
    assert_eq!(in_large_steps.lines().collect::<BTreeSet<_>>().len(), 3_000);
    cli(&server, &["SETRANGE", "heavy", "99999", "x"], b"").unwrap();
    let big = cli(&server, &["--bigkeys"], b"").unwrap();
    assert!(big.contains("heavy") && big.contains("100000 bytes"), "{big}");
    let latency = cli(&server, &["-i", "1", "--latency"], b"").unwrap();
    assert!(!latency.trim().is_empty(), "--latency printed nothing");
}

#[test]
fn valkey_benchmark() {
    let Some(program) = peer("valkey-benchmark") else {
        skip("no valkey-benchmark: fetch the peers");
        return;
    };
    let server = Setup::new().cores(4).start();
    for (pipeline, protocol) in [("1", &[][..]), ("16", &[]), ("16", &["-3"])] {
        let mut command = Command::new(&program);
        command.args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-q", "-n", "20000", "-c", "20"]);
        command.args(["-t", "ping,set,get,incr,mset", "-r", "10000", "-P", pipeline]).args(protocol);
        let text = run(command, b"", LIMIT).unwrap().or_fail("valkey-benchmark");
        let finished = text.matches("requests per second").count();
        assert_eq!(finished, 6, "PING twice, SET, GET, INCR, MSET:\n{text}");
        assert!(!text.to_lowercase().contains("error"), "{text}");
    }
    server.assert_alive();
}
