//! Bad input and hard conditions: whatever one client does, it gets a clear error or is closed, and
//! everyone else is served as before.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::{PATIENCE, encoded};
use ringkey_tests::rng::Rng;
use ringkey_tests::running::wait_until;
use ringkey_tests::server::Setup;
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Reply, Server};
use socket2::{Domain, Socket, Type};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MEGABYTE: usize = 1024 * 1024;

/// Sends bytes and returns everything that comes until the server closes.
fn answers_until_close(server: &Server, bytes: &[u8]) -> Vec<String> {
    let mut client = server.client();
    // The server may close before it has read everything.
    let _ = client.send(bytes);
    let replies = match client.wait_for_close(PATIENCE) {
        Ok(replies) => replies,
        Err(error) => panic!("no close after {:?}: {error}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)])),
    };
    replies.iter().flat_map(Reply::lines).collect()
}

#[test]
fn malformed_requests_are_named_and_end_the_connection() {
    let server = Setup::new().start();
    let long = "1".repeat(70_000);
    let cases: Vec<(String, &str)> = vec![
        ("*abc\r\n".into(), "invalid multibulk length"),
        ("*1x\r\n".into(), "invalid multibulk length"),
        ("* 1\r\n".into(), "invalid multibulk length"),
        ("*\r\n".into(), "invalid multibulk length"),
        ("*2147483648\r\n".into(), "invalid multibulk length"),
        ("*99999999999999999999999\r\n".into(), "invalid multibulk length"),
        ("*1\r\nfoo\r\n".into(), "expected '$', got 'f'"),
        ("*1\r\n:5\r\n".into(), "expected '$', got ':'"),
        ("*2\r\n$4\r\nPING\r\n*1\r\n".into(), "expected '$', got '*'"),
        ("*1\r\n$abc\r\n".into(), "invalid bulk length"),
        ("*1\r\n$\r\n".into(), "invalid bulk length"),
        ("*1\r\n$-1\r\n".into(), "invalid bulk length"),
        ("*1\r\n$-0\r\n".into(), "invalid bulk length"),
        ("*1\r\n$+4\r\nPING\r\n".into(), "invalid bulk length"),
        ("*1\r\n$536870913\r\n".into(), "invalid bulk length"),
        ("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n".into(), "invalid bulk length"),
        ("*1\r\n$9223372036854775807\r\n".into(), "invalid bulk length"),
        ("*1\r\n$9223372036854775808\r\n".into(), "invalid bulk length"),
        (format!("*{long}"), "too big mbulk count string"),
        (format!("*1\r\n${long}"), "too big bulk count string"),
        (long.clone(), "too big inline request"),
        ("SET \"open\r\n".into(), "unbalanced quotes in request"),
        ("SET 'open\r\n".into(), "unbalanced quotes in request"),
        ("ECHO ab\"\r\n".into(), "unbalanced quotes in request"),
        ("\"\r\n".into(), "unbalanced quotes in request"),
    ];
    for (input, text) in cases {
        let shown = &input[..input.len().min(40)];
        let got = answers_until_close(&server, input.as_bytes());
        assert_eq!(got, [format!("-ERR Protocol error: {text}")], "{shown:?}");
    }
    server.assert_alive();
}

#[test]
fn what_came_before_the_garbage_is_answered() {
    let server = Setup::new().start();
    let got = answers_until_close(&server, b"*1\r\n$4\r\nPING\r\nSET k v\r\n*1\r\n!\r\n*1\r\n$4\r\nPING\r\n");
    assert_eq!(got, ["+PONG", "+OK", "-ERR Protocol error: expected '$', got '!'"]);
    assert_eq!(server.client().run("GET k").lines(), ["\"v\""]);
}

#[test]
fn requests_of_other_protocols_are_cut_off() {
    let server = Setup::new().start();
    for request in ["POST / HTTP/1.1\r\nSET k evil\r\n", "GET / HTTP/1.1\r\nHost: x\r\nSET k evil\r\n"] {
        answers_until_close(&server, request.as_bytes());
    }
    assert_eq!(server.client().run("EXISTS k").lines(), [":0"]);
    server.assert_alive();
}

#[test]
fn odd_requests_that_are_fine() {
    let server = Setup::new().start();
    let cases: &[(&[u8], &[&str])] = &[
        (b"\r\n\r\nPING\r\n", &["+PONG"]),
        (b"*0\r\n*-1\r\n*-5\r\nPING\r\n", &["+PONG"]),
        (b"   PING   \r\n", &["+PONG"]),
        (b"PING\nPING\r\n", &["+PONG", "+PONG"]),
        (b"ECHO \"a\\x41\\r\\n\\t\\b\\a\\\"b\"\r\n", &["\"aA\\r\\n\\t\\x08\\x07\\\"b\""]),
        (b"ECHO 'a\\'b \\x41'\r\n", &["\"a'b \\\\x41\""]),
        // Quoted and plain pieces without a blank between them are one argument.
        (b"ECHO \"a\"b'c d'e\r\n", &["\"abc de\""]),
        (b"ECHO \"\"\r\n", &["\"\""]),
        (b"ECHO a\tb\r\n", &["-ERR wrong number of arguments for 'echo' command"]),
        (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", &["\"\""]),
        (b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", &["\"\\r\\n\\r\\n\""]),
        (b"$5\r\n", &["-ERR unknown command '$5', with args beginning with: "]),
        (b"+OK\r\n", &["-ERR unknown command '+OK', with args beginning with: "]),
        (b"*1\r\n$0\r\n\r\n", &["-ERR unknown command '', with args beginning with: "]),
    ];
    for (input, expected) in cases {
        let mut client = server.client();
        client.send(input).unwrap();
        for line in *expected {
            assert_eq!(client.read_reply().unwrap().lines(), [*line], "{:?}", String::from_utf8_lossy(input));
        }
        assert_eq!(client.run("PING").lines(), ["+PONG"], "{:?}", String::from_utf8_lossy(input));
    }
}

#[test]
fn random_bytes_harm_nobody() {
    let server = Setup::new().cores(4).start();
    let mut rng = Rng::new(2024);
    let pieces: &[&[u8]] = &[
        b"*", b"$", b"\r\n", b"\n", b"\r", b"3", b"-1", b"999999", b"SET", b"GET", b"k", b" ", b"\"", b"\0", b"'",
        b"\xff",
    ];
    for _ in 0..400 {
        let mut client = server.client();
        let mut bytes = Vec::new();
        for _ in 0..1 + rng.below(60) {
            if rng.chance(70) {
                bytes.extend_from_slice(pieces[rng.below(pieces.len())]);
            } else {
                bytes.push(rng.next_u64() as u8);
            }
        }
        let _ = client.send(&bytes);
        if rng.chance(30) {
            let _ = client.finish_sending();
        }
    }
    server.assert_alive();
}

#[test]
fn requests_in_pieces() {
    let server = Setup::new().start();
    let request = encoded(&["SET", "piece", "by\r\npiece"]);
    let mut client = server.client();
    for byte in &request {
        client.send(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(client.read_reply().unwrap().lines(), ["+OK"]);
    // Many clients that all stop in the middle; then each is completed.
    let mut halves: Vec<(Client, usize)> = (0..100).map(|place| (server.client(), place % request.len())).collect();
    for (client, cut) in &mut halves {
        client.send(&request[..*cut]).unwrap();
    }
    server.assert_alive();
    for (client, cut) in &mut halves {
        client.send(&request[*cut..]).unwrap();
        assert_eq!(client.read_reply().unwrap().lines(), ["+OK"], "cut at {cut}");
    }
}

#[test]
fn a_large_argument_in_pieces_among_small_ones() {
    let server = Setup::new().cores(4).start();
    let value: Vec<u8> = (0..300_000_u32).map(|place| (place % 251) as u8).collect();
    let mut bytes = encoded(&["SET", "small", "1"]);
    bytes.extend(encoded(&[b"SET".as_slice(), b"large", &value]));
    bytes.extend(encoded(&["INCR", "small"]));
    for size in [1_000, 16_384, 65_535, 100_001] {
        let mut client = server.client();
        for piece in bytes.chunks(size) {
            client.send(piece).unwrap();
            std::thread::sleep(Duration::from_micros(300));
        }
        let replies: Vec<String> = (0..3).flat_map(|_| client.read_reply().unwrap().lines()).collect();
        assert_eq!(replies, ["+OK", "+OK", ":2"]);
        assert!(client.run("GET large").bytes() == value, "the value came back changed");
    }
}

#[test]
fn half_closed_connections_get_their_replies() {
    let server = Setup::new().start();
    let mut client = server.client();
    client.send(b"SET k v\r\nGET k\r\n").unwrap();
    client.finish_sending().unwrap();
    let replies = client.wait_for_close(PATIENCE).unwrap();
    assert_eq!(replies.iter().flat_map(Reply::lines).collect::<Vec<_>>(), ["+OK", "\"v\""]);
}

#[test]
fn proto_max_bulk_len() {
    let server = Setup::new().option("proto-max-bulk-len", "1mb").start();
    let mut client = server.client();
    let value = vec![b'x'; MEGABYTE];
    assert_eq!(client.command(&[b"SET".as_slice(), b"k", &value]).lines(), ["+OK"]);
    assert_eq!(client.run("STRLEN k").integer(), MEGABYTE as i64);
    let refused = ["-ERR string exceeds maximum allowed size (proto-max-bulk-len)"];
    assert_eq!(client.run("APPEND k y").lines(), refused);
    assert_eq!(client.run("SETRANGE k 1048576 y").lines(), refused);
    assert_eq!(client.run("SETRANGE other 1048575 yy").lines(), refused);
    let request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", MEGABYTE + 1);
    assert_eq!(answers_until_close(&server, request.as_bytes()), ["-ERR Protocol error: invalid bulk length"]);
    server.assert_alive();
}

#[test]
fn limits_before_authentication() {
    let server = Setup::new().option("requirepass", "secret").start();
    assert_eq!(answers_until_close(&server, b"*11\r\n"), ["-ERR Protocol error: unauthenticated multibulk length"]);
    let bulk = b"*2\r\n$3\r\nGET\r\n$16385\r\n";
    assert_eq!(answers_until_close(&server, bulk), ["-ERR Protocol error: unauthenticated bulk length"]);
    let mut client = server.client();
    let words: Vec<String> = (0..10).map(|place| format!("w{place}")).collect();
    assert_eq!(client.command(&words).lines(), ["-NOAUTH Authentication required."]);
    let key = vec![b'k'; 16_384];
    assert_eq!(client.command(&[b"GET", key.as_slice()]).lines(), ["-NOAUTH Authentication required."]);
    assert_eq!(client.run("AUTH secret").lines(), ["+OK"]);
    assert_eq!(client.run("MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7").lines(), ["+OK"]);
    assert_eq!(client.command(&[b"SET", vec![b'k'; 20_000].as_slice(), b"v"]).lines(), ["+OK"]);
    // Authentication and a long request in one write.
    let mut client = server.client();
    let mut bytes = encoded(&["AUTH", "secret"]);
    bytes.extend(encoded(&[b"ECHO".as_slice(), &vec![b'e'; 20_000]]));
    client.send(&bytes).unwrap();
    assert_eq!(client.read_reply().unwrap().lines(), ["+OK"]);
    assert_eq!(client.read_reply().unwrap().bytes().len(), 20_000);
}

/// A connection that can hold little in its receive buffer and reads nothing by itself.
fn slow_reader(server: &Server) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&server.tcp_address().into()).unwrap();
    Client::from_tcp(socket.into()).unwrap()
}

fn connections_named(server: &Server, name: &str) -> usize {
    server.client().run("CLIENT LIST").text().lines().filter(|line| line.contains(&format!("name={name} "))).count()
}

#[test]
fn a_reader_over_the_hard_limit_is_closed() {
    let server = Setup::new().cores(4).option("client-output-buffer-limit", "normal 2mb 0 0").start();
    let value = vec![b'v'; 100_000];
    server.client().command(&[b"SET".as_slice(), b"k", &value]);
    let before = server.resident_bytes();
    let mut slow = slow_reader(&server);
    slow.run("CLIENT SETNAME slow");
    let _ = slow.send(&encoded(&["GET", "k"]).repeat(2_000));
    wait_until("the slow reader is closed", || connections_named(&server, "slow") == 0);
    let growth = server.resident_bytes().saturating_sub(before);
    assert!(growth < 64 * MEGABYTE, "200 MB of replies were asked for, the server grew by {growth} bytes");
    server.assert_alive();
}

#[test]
fn a_reader_over_the_soft_limit_is_closed_after_its_time() {
    let server = Setup::new().option("client-output-buffer-limit", "normal 0 500kb 2").start();
    server.client().command(&[b"SET".as_slice(), b"k", &vec![b'v'; 100_000]]);
    let mut slow = slow_reader(&server);
    slow.run("CLIENT SETNAME slow");
    slow.send(&encoded(&["GET", "k"]).repeat(100)).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(connections_named(&server, "slow"), 1, "closed before its two seconds");
    wait_until("the slow reader is closed", || connections_named(&server, "slow") == 0);
    server.assert_alive();
}

#[test]
fn a_slow_reader_without_limit_gets_everything() {
    let server = Setup::new().cores(4).start();
    let count = 300;
    server.client().command(&[b"SET".as_slice(), b"k", &vec![b'v'; 100_000]]);
    let mut slow = slow_reader(&server);
    slow.send(&encoded(&["GET", "k"]).repeat(count)).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.assert_alive();
    for _ in 0..count {
        assert_eq!(slow.read_reply().unwrap().bytes().len(), 100_000);
    }
    assert_eq!(slow.run("PING").lines(), ["+PONG"]);
}

#[test]
fn client_query_buffer_limit() {
    let server = Setup::new().option("client-query-buffer-limit", "1mb").start();
    let mut client = server.client();
    client.run("CLIENT SETNAME big");
    // An argument that grows over the limit long before it is whole.
    let mut sent = client.send(b"*2\r\n$3\r\nGET\r\n$50000000\r\n");
    for _ in 0..40 {
        sent = sent.and_then(|()| client.send(&vec![b'a'; 100_000]));
    }
    let closed = sent.is_err() || client.wait_for_close(PATIENCE).is_ok();
    assert!(closed, "4 MB of one request were taken");
    assert_eq!(connections_named(&server, "big"), 0);
    // A request under the limit still works.
    assert_eq!(server.client().command(&[b"SET".as_slice(), b"k", &vec![b'x'; 900_000]]).lines(), ["+OK"]);
    server.assert_alive();
}

#[test]
fn an_argument_over_the_limit_ends_the_connection_cleanly() {
    let server = Setup::new().option("client-query-buffer-limit", "1mb").start();
    let mut client = server.client();
    client.send(b"PING\r\n").unwrap();
    client.command(&["PING"]);
    // Longer than the limit by its line end, and sent as a whole.
    let _ = client.send(&encoded(&[b"SET".as_slice(), b"k", &vec![b'x'; 1 << 20]]));
    assert_eq!(client.wait_for_close(PATIENCE).unwrap().len(), 1, "the second PING, and no reply to SET");
    let stats = server.client().run("INFO stats").text();
    assert!(stats.contains("client_query_buffer_limit_disconnections:1"), "{stats}");
}

#[test]
fn errors_are_counted_until_reset() {
    let server = Setup::new().cores(4).start();
    let mut client = server.client();
    client.run("NOSUCH");
    for place in 0..8 {
        client.run(&format!("SET k{place} text"));
        client.run(&format!("INCR k{place}"));
    }
    client.run("CONFIG SET requirepass secret");
    server.client().run("GET k");
    let info = client.run("INFO").text();
    for line in ["errorstat_ERR:count=9", "errorstat_NOAUTH:count=1", "total_error_replies:10"] {
        assert!(info.contains(line), "no {line} in {info}");
    }
    client.run("CONFIG RESETSTAT");
    let info = client.run("INFO").text();
    assert!(info.contains("total_error_replies:0") && !info.contains("errorstat_ERR"), "{info}");
}

#[test]
fn over_maxclients_new_connections_are_refused() {
    let server = Setup::new().cores(4).option("maxclients", "20").start();
    // The connection that waited for the start may still be closing.
    wait_until("only one client", || server.client().run("CLIENT LIST").text().lines().count() == 1);
    let mut inside: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut inside {
        if client.run("PING").error().is_some() {
            // The connection of the last check may not be gone yet.
            std::thread::sleep(Duration::from_millis(100));
            *client = server.client();
            assert_eq!(client.run("PING").lines(), ["+PONG"]);
        }
    }
    for _ in 0..200 {
        let mut outside = server.client();
        let replies = outside.wait_for_close(PATIENCE).unwrap();
        assert_eq!(replies.iter().flat_map(Reply::lines).collect::<Vec<_>>(), ["-ERR max number of clients reached"]);
    }
    for client in &mut inside {
        assert_eq!(client.run("PING").lines(), ["+PONG"]);
    }
    inside.truncate(5);
    wait_until("room again", || server.client().try_command(&["PING"]).unwrap().error().is_none());
    server.assert_alive();
}

#[test]
fn clients_that_vanish_in_mid_pipeline() {
    let server = Setup::new().cores(4).start();
    let keys: Vec<String> = (0..4).map(|core| key_on_core("v", core, 4, 0)).collect();
    let mut pipeline = Vec::new();
    for place in 0..2_000 {
        pipeline.extend(encoded(&["INCR", &keys[place % 4]]));
        pipeline.extend(encoded(&["MGET", &keys[0], &keys[1], &keys[2], &keys[3]]));
    }
    pipeline.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$4\r\nha");
    for round in 0..60 {
        let mut client = server.client();
        let _ = client.send(&pipeline);
        if round % 3 == 0 {
            let _ = client.read_reply();
        }
    }
    wait_until("all are gone", || server.client().run("CLIENT LIST").text().lines().count() == 1);
    server.assert_alive();
    // No lock of a vanished client is left behind.
    let mut client = server.client();
    assert_eq!(client.command(&["MSET", &keys[0], "1", &keys[1], "2", &keys[2], "3", &keys[3], "4"]).lines(), ["+OK"]);
    assert_eq!(client.run("DBSIZE").integer(), 4);
}

#[test]
fn a_pipeline_of_100_000() {
    let server = Setup::new().cores(4).start();
    let count = 100_000;
    let keys: Vec<String> = (0..7).map(|place| format!("p{place}")).collect();
    let bytes: Vec<u8> = (0..count).flat_map(|place| encoded(&["INCR", &keys[place % keys.len()]])).collect();
    let mut client = server.client();
    // Nothing is read until everything is written: the server must not need a reader to go on reading.
    client.send(&bytes).unwrap();
    for place in 0..count {
        let expected = (place / keys.len() + 1) as i64;
        assert_eq!(client.read_reply().unwrap().integer(), expected, "reply {place}");
    }
    assert_eq!(client.run("PING").lines(), ["+PONG"]);
}

#[test]
fn values_of_100_and_512_megabytes() {
    let server = Setup::new().start();
    let mut client = server.client();
    for (size, other_core) in [(100 * MEGABYTE, "b"), (512 * MEGABYTE, "a")] {
        let mut value = vec![b'x'; size];
        for place in (0..size).step_by(4_093) {
            value[place] = (place / 4_093) as u8;
        }
        let header = format!("*3\r\n$3\r\nSET\r\n${}\r\n{other_core}\r\n${size}\r\n", other_core.len());
        client.send(header.as_bytes()).unwrap();
        for piece in value.chunks(4 * MEGABYTE) {
            client.send(piece).unwrap();
        }
        client.send(b"\r\n").unwrap();
        assert_eq!(client.read_reply().unwrap().lines(), ["+OK"]);
        assert_eq!(client.command(&["STRLEN", other_core]).integer(), size as i64);
        server.assert_alive();
        let back = client.command(&["GET", other_core]);
        assert!(back.bytes() == value, "{size} bytes came back changed");
    }
    assert_eq!(client.run("APPEND a x").lines(), ["-ERR string exceeds maximum allowed size (proto-max-bulk-len)"]);
    let tail = format!("GETRANGE a {} -1", 512 * MEGABYTE - 10);
    assert_eq!(client.run(&tail).bytes().len(), 10);
    assert_eq!(client.run("DEL a b").integer(), 2);
    let after = || server.resident_bytes() < 300 * MEGABYTE;
    wait_until("the memory is given back", after);
}

#[test]
fn an_idle_client_is_closed_after_timeout() {
    let server = Setup::new().option("timeout", "1").start();
    let mut idle = server.client();
    let mut busy = server.client();
    assert_eq!(idle.run("PING").lines(), ["+PONG"]);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(3_500) {
        assert_eq!(busy.run("PING").lines(), ["+PONG"], "a busy client was closed");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(idle.read_reply().unwrap(), Reply::Closed);
}

#[test]
fn timeout_can_be_set_while_running() {
    let server = Setup::new().start();
    let mut idle = server.client();
    assert_eq!(idle.run("PING").lines(), ["+PONG"]);
    assert!(idle.is_quiet_for(Duration::from_millis(1_500)).unwrap());
    assert_eq!(server.client().run("CONFIG SET timeout 1").lines(), ["+OK"]);
    idle.wait_for_close(PATIENCE).unwrap();
    server.assert_alive();
}

#[test]
fn nothing_after_quit_is_run() {
    let server = Setup::new().cores(4).start();
    let mut client = server.client();
    client.send(b"SET k v\r\nQUIT\r\nSET k after\r\nSET other after\r\n").unwrap();
    let replies = client.wait_for_close(PATIENCE).unwrap();
    assert_eq!(replies.iter().flat_map(Reply::lines).collect::<Vec<_>>(), ["+OK", "+OK"]);
    assert_eq!(server.client().run("MGET k other").lines(), ["*2", "  \"v\"", "  (nil)"]);
}

#[test]
fn databases_are_apart_on_every_core() {
    let server = Setup::new().cores(4).start();
    let mut zero = server.client();
    let mut three = server.client();
    assert_eq!(three.run("SELECT 3").lines(), ["+OK"]);
    for place in 0..200 {
        let key = format!("k{place}");
        zero.command(&["SET", &key, "zero"]);
        three.command(&["SET", &key, "three"]);
    }
    zero.run("SET only zero");
    assert_eq!(zero.run("DBSIZE").integer(), 201);
    assert_eq!(three.run("DBSIZE").integer(), 200);
    assert_eq!(
        three.run("MGET k1 k2 k3 k4 only").lines(),
        ["*5", "  \"three\"", "  \"three\"", "  \"three\"", "  \"three\"", "  (nil)"]
    );
    // In one pipeline, SELECT counts for what follows it and for nothing before.
    zero.send(b"GET k5\r\nSELECT 3\r\nGET k5\r\nSELECT 0\r\nGET k5\r\n").unwrap();
    let lines: Vec<String> = (0..5).flat_map(|_| zero.read_reply().unwrap().lines()).collect();
    assert_eq!(lines, ["\"zero\"", "+OK", "\"three\"", "+OK", "\"zero\""]);
    assert_eq!(zero.run("SWAPDB 0 3").lines(), ["+OK"]);
    assert_eq!(three.run("GET k7").lines(), ["\"zero\""]);
    assert_eq!(three.run("DBSIZE").integer(), 201);
    assert_eq!(three.run("FLUSHDB").lines(), ["+OK"]);
    assert_eq!(three.run("DBSIZE").integer(), 0);
    assert_eq!(zero.run("DBSIZE").integer(), 200);
}

#[test]
fn unix_socket() {
    let server = Setup::new().cores(4).unix_socket().start();
    let mut client = Client::connect(&server.unix_address()).unwrap();
    assert_eq!(client.run("SET k v").lines(), ["+OK"]);
    assert_eq!(server.client().run("GET k").lines(), ["\"v\""]);
    let info = client.run("CLIENT INFO").text();
    assert!(info.contains("/socket:0") && info.contains(" flags=U "), "{info}");
    let bytes = encoded(&["INCR", "n"]).repeat(10_000);
    client.send(&bytes).unwrap();
    let last = (0..10_000).map(|_| client.read_reply().unwrap().integer()).last();
    assert_eq!(last, Some(10_000));
    assert_eq!(answers_through(&server, b"*1\r\n!\r\n"), ["-ERR Protocol error: expected '$', got '!'"]);
    assert_eq!(client.run("QUIT").lines(), ["+OK"]);
    assert_eq!(client.read_reply().unwrap(), Reply::Closed);
}

fn answers_through(server: &Server, bytes: &[u8]) -> Vec<String> {
    let mut client = Client::connect(&server.unix_address()).unwrap();
    client.send(bytes).unwrap();
    client.wait_for_close(PATIENCE).unwrap().iter().flat_map(Reply::lines).collect()
}

#[test]
fn sigterm_ends_the_server_with_clients_connected() {
    let mut server = Setup::new().cores(4).start();
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.run("PING").lines(), ["+PONG"]);
    }
    // One of them in the middle of a request, one not reading its replies.
    clients[0].send(b"*2\r\n$4\r\nEC").unwrap();
    clients[1].send(&encoded(&["PING"]).repeat(10_000)).unwrap();
    let status = server.terminate().expect("ends in time");
    assert!(status.success(), "{status}\n{}", server.log());
}

#[test]
fn shutdown_command() {
    for command in ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN NOW", "SHUTDOWN NOSAVE NOW FORCE"] {
        let mut server = Setup::new().start();
        let mut client = server.client();
        client.send(&encoded(&command.split(' ').collect::<Vec<_>>())).unwrap();
        assert_eq!(client.read_reply().unwrap(), Reply::Closed, "{command}");
        let status = server.wait(PATIENCE).expect("ends in time");
        assert!(status.success(), "{command}: {status}");
        let refused = Client::connect(&server.address()).err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
    }
}

#[test]
fn client_kill_reaches_clients_of_every_core() {
    let server = Setup::new().cores(4).start();
    let mut killer = server.client();
    let mut clients: Vec<Client> = (0..16).map(|_| server.client()).collect();
    let ids: Vec<i64> = clients.iter_mut().map(|client| client.run("CLIENT ID").integer()).collect();
    for id in &ids[..8] {
        assert_eq!(killer.run(&format!("CLIENT KILL ID {id}")).integer(), 1);
    }
    for (place, client) in clients.iter_mut().enumerate() {
        let closed = matches!(client.try_command(&["PING"]), Ok(Reply::Closed) | Err(_));
        assert_eq!(closed, place < 8, "client {place}");
    }
    let listed = killer.run("CLIENT LIST").text();
    assert_eq!(listed.lines().count(), 9, "{listed}");
    assert_eq!(killer.run("CLIENT KILL TYPE normal").integer(), 8);
    wait_until("only the killer is left", || connections_named(&server, "") <= 2);
}

#[test]
fn a_flood_of_connections_comes_and_goes() {
    let server = Setup::new().cores(4).start();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    assert_eq!(server.client().run("PING").lines(), ["+PONG"]);
                }
            });
        }
    });
    wait_until("all are gone", || server.client().run("CLIENT LIST").text().lines().count() == 1);
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    assert!(open < 200, "{open} descriptors are open with no client left");
}

#[test]
fn a_scan_sees_what_stays_while_tables_grow_and_shrink() {
    let server = Setup::new().cores(4).start();
    let stable: BTreeSet<String> = (0..3_000).map(|place| format!("stable:{place}")).collect();
    let set: Vec<u8> = stable.iter().flat_map(|key| encoded(&["SET", key, "v"])).collect();
    let mut client = server.client();
    client.send(&set).unwrap();
    (0..stable.len()).for_each(|_| assert_eq!(client.read_reply().unwrap().lines(), ["+OK"]));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut changer = server.client();
            // Grows far over the stable keys and shrinks again, over and over.
            let end = Instant::now() + 2 * PATIENCE;
            for round in (0..).take_while(|_| !done.load(Ordering::Relaxed) && Instant::now() < end) {
                let command = if round % 2 == 0 { ["SET", "v"] } else { ["UNLINK", "other"] };
                let bytes: Vec<u8> = (0..20_000)
                    .flat_map(|place| encoded(&[command[0], &format!("passing:{place}"), command[1]]))
                    .collect();
                changer.send(&bytes).unwrap();
                (0..20_000).for_each(|_| drop(changer.read_reply().unwrap()));
            }
        });
        for count in ["10", "100", "1000", "10", "333"] {
            let mut seen = BTreeSet::new();
            let mut cursor = "0".to_owned();
            loop {
                let reply = client.command(&["SCAN", &cursor, "MATCH", "stable:*", "COUNT", count]);
                seen.extend(reply.elements()[1].elements().iter().map(Reply::text));
                cursor = reply.elements()[0].text();
                if cursor == "0" {
                    break;
                }
            }
            let missing: Vec<_> = stable.difference(&seen).collect();
            done.fetch_or(!missing.is_empty(), Ordering::Relaxed);
            assert!(missing.is_empty(), "COUNT {count}: {} keys were never returned", missing.len());
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn expired_keys_go_without_being_asked_for() {
    let server = Setup::new().cores(4).start();
    let mut client = server.client();
    for place in 0..2_000 {
        client.command(&["SET", &format!("short:{place}"), "v", "PX", "50"]);
        client.command(&["SET", &format!("long:{place}"), "v", "EX", "1000"]);
    }
    wait_until("all short-lived keys are gone", || server.client().run("DBSIZE").integer() == 2_000);
    let info = client.run("INFO stats").text();
    assert!(info.contains("\r\nexpired_keys:2000\r\n"), "{info}");
}

#[test]
fn used_memory_follows_the_data() {
    let server = Setup::new().cores(4).start();
    let mut client = server.client();
    let used = |client: &mut Client| {
        let info = client.run("INFO memory").text();
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        line.parse::<usize>().unwrap()
    };
    let before = used(&mut client);
    client.run("DEBUG POPULATE 20000 filler 1000");
    for place in 0..20 {
        client.command(&[b"SET", format!("large{place}").as_bytes(), &vec![b'x'; MEGABYTE]]);
    }
    let full = used(&mut client);
    assert!(full > before + 20 * MEGABYTE, "{before} -> {full}");
    client.run("FLUSHALL SYNC");
    let end = Instant::now() + PATIENCE;
    while used(&mut client) > before + 8 * MEGABYTE {
        assert!(Instant::now() < end, "{before} -> {full} -> {}", used(&mut client));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn listening_survives_addresses_that_cannot_be_had() {
    let server = Setup::new().start();
    let mut client = server.client();
    assert_eq!(client.command(&["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2"]).lines(), ["+OK"]);
    server.assert_alive();
    // An address of documentation networks, which no machine has.
    for _ in 0..2 {
        let error = client.command(&["CONFIG", "SET", "bind", "192.0.2.1"]).error().unwrap();
        assert!(error.contains("Failed to bind to specified addresses"), "{error}");
        server.assert_alive();
    }
    assert_eq!(client.command(&["CONFIG", "SET", "bind", "127.0.0.1"]).lines(), ["+OK"]);
    server.assert_alive();
}

#[test]
fn what_follows_auth_in_a_pipeline_has_the_limits_of_an_authenticated_client() {
    let server = Setup::new().option("requirepass", "secret").start();
    let mut client = server.client();
    let value = vec![b'v'; 20_000];
    let set = encoded(&[&b"SET"[..], b"k", &value]);
    client.send(&[&b"AUTH secret\r\n"[..], &set].concat()).unwrap();
    assert_eq!(client.read_reply().unwrap().lines(), ["+OK"]);
    assert_eq!(client.read_reply().unwrap().lines(), ["+OK"]);
    assert_eq!(client.command(&["GET", "k"]).bytes(), value);
}

#[test]
fn clients_are_served_while_a_large_database_is_freed() {
    let server = Setup::new().option("enable-debug-command", "yes").start();
    let mut client = server.client();
    assert_eq!(client.command(&["DEBUG", "POPULATE", "100000", "key", "100"]).lines(), ["+OK"]);
    assert_eq!(client.command(&["FLUSHALL", "ASYNC"]).lines(), ["+OK"]);
    client.set_patience(Duration::from_secs(5)).unwrap();
    for _ in 0..500 {
        assert_eq!(client.command(&["PING"]).lines(), ["+PONG"]);
    }
}
