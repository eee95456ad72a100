//! Transactions whose clients vanish, and what their queues cost: nothing is half applied, and what is queued counts.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::encoded;
use ringkey_tests::reply::Reply;
use ringkey_tests::running::{info, on_one_and_four_cores, wait_until};
use ringkey_tests::server::Setup;
use ringkey_tests::slot::key_on_core;
use std::time::Duration;

/// Keys of the tests, on all cores.
const CORES: usize = 4;

/// How long a connection may take to be closed.
const CLOSE: Duration = Duration::from_secs(10);

/// A key for each core.
fn keys() -> Vec<String> {
    (0..CORES).map(|core| key_on_core("part", core, CORES, 0)).collect()
}

fn transaction(keys: &[String], value: usize, between: &str) -> Vec<u8> {
    let mut bytes = encoded(&["MULTI"]);
    for key in keys {
        bytes.extend(encoded(&["SET", key, &value.to_string()]));
        if !between.is_empty() {
            bytes.extend(encoded(&between.split(' ').collect::<Vec<_>>()));
        }
    }
    bytes.extend(encoded(&["EXEC"]));
    bytes
}

/// The values of the keys, which must be one.
fn common_value(reply: Reply) -> i64 {
    let Reply::Array(values) = reply else { panic!("expected values, got {reply}") };
    let values: Vec<String> = values.iter().map(Reply::text).collect();
    assert!(values.iter().all(|value| *value == values[0]), "half a transaction: {values:?}");
    values[0].parse().unwrap()
}

#[test]
fn clients_that_vanish_leave_all_of_a_transaction_or_nothing() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let (mut asker, keys) = (server.client(), keys());
        let read = format!("MGET {}", keys.join(" "));
        asker.command(&["MSET", &keys[0], "0", &keys[1], "0", &keys[2], "0", &keys[3], "0"]);
        for value in 1..=120 {
            let mut client = server.client();
            // The calls of the process take the session through several steps, before, between and behind the others.
            let between = ["", "PING", "CLIENT LIST", "CONFIG GET hz"][value % 4];
            let bytes = transaction(&keys, value, between);
            // A part of it, all but the last byte, or all.
            let len = match value % 3 {
                0 => bytes.len() * (value % 7) / 8,
                1 => bytes.len() - 1,
                _ => bytes.len(),
            };
            client.send(&bytes[..len]).unwrap();
            drop(client);
            let found = common_value(asker.run(&read));
            assert!(found <= value as i64, "a value from the future");
        }
        wait_until("all clients are gone", || info(&mut asker, "connected_clients") == 1);
        let last = common_value(asker.run(&read));
        assert_eq!(last, 119, "the last transaction that was sent as a whole");
        server.assert_alive();
    });
}

#[test]
fn a_client_killed_by_its_own_transaction_is_answered() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let (mut client, mut asker, keys) = (server.client(), server.client(), keys());
        client.run("MULTI");
        client.run(&format!("SET {} 1", keys[0]));
        client.run("CLIENT KILL TYPE normal SKIPME no");
        client.run(&format!("SET {} 1", keys[1]));
        client.send(&encoded(&["EXEC"])).unwrap();
        let replies = client.wait_for_close(CLOSE).unwrap();
        assert!(replies.len() <= 1, "{replies:?}");
        let mut asker = match asker.try_command(&["PING"]) {
            Ok(Reply::Simple(_)) => asker,
            _ => server.client(),
        };
        assert_eq!(common_value(asker.run(&format!("MGET {} {}", keys[0], keys[1]))), 1);
    });
}

#[test]
fn a_queue_counts_as_what_its_client_has_sent() {
    let setup = Setup::new().option("client-query-buffer-limit", "2mb");
    on_one_and_four_cores(&setup, |server| {
        let mut client = server.client();
        client.run("MULTI");
        let value = "v".repeat(20_000);
        let mut is_closed = false;
        for _ in 0..200 {
            if client.try_command(&["SET", "k", &value]).is_err() {
                is_closed = true;
                break;
            }
        }
        assert!(is_closed, "a queue of 4 MB is more than a client may send at once");
        let mut asker = server.client();
        assert_eq!(asker.run("EXISTS k").integer(), 0);
        server.await_log("the client is closed", |log| log.contains("max query buffer length"));
    });
}

#[test]
fn queues_are_memory_of_clients() {
    on_one_and_four_cores(&Setup::new().option("maxmemory-clients", "3mb"), |server| {
        let mut asker = server.client();
        asker.run("CLIENT NO-EVICT on");
        let mut client = server.client();
        client.run("MULTI");
        client.command(&["SET", "k", &"v".repeat(30_000)]);
        let line = asker.run("CLIENT LIST").text();
        let line = line.lines().find(|line| line.contains("multi=1 ")).unwrap().to_owned();
        let field = |name: &str| -> usize {
            let start = line.find(&format!(" {name}=")).unwrap() + name.len() + 2;
            line[start..].split(' ').next().unwrap().parse().unwrap()
        };
        assert!((30_000..31_000).contains(&field("multi-mem")), "{line}");
        assert!(field("tot-mem") > 30_000, "{line}");
        let closed = (0..300).any(|_| client.try_command(&["SET", "k", &"v".repeat(30_000)]).is_err());
        assert!(closed, "a client that holds too much is closed");
        wait_until("it was evicted", || info(&mut asker, "evicted_clients") >= 1);
    });
}

#[test]
fn queues_give_their_memory_back() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
        let mut asker = server.client();
        let before = info(&mut asker, "used_memory");
        for client in &mut clients {
            client.run("MULTI");
            (0..20).for_each(|_| drop(client.command(&["SET", "k", &"v".repeat(30_000)])));
            client.run("EXEC");
        }
        wait_until("queues are gone", || info(&mut asker, "used_memory") < before + 3_000_000);
    });
}
