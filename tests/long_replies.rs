//! Replies that tell collections of very many elements: they come piece by piece, whole and in order, and neither a slow reader
//! nor one that vanishes keeps anybody else.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::{PATIENCE, encoded};
use ringkey_tests::server::Setup;
use ringkey_tests::{Client, Reply, Server};
use socket2::{Domain, Socket, Type};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MEGABYTE: usize = 1 << 20;

/// More than enough to be told in pieces.
const MANY: usize = 200_000;

/// A connection that can hold little in its receive buffer and reads nothing by itself.
fn slow_reader(server: &Server) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&server.tcp_address().into()).unwrap();
    Client::from_tcp(socket.into()).unwrap()
}

fn element(number: usize) -> String {
    format!("element:{number:010}")
}

/// Adds so many elements to a key with a command that takes many; `words` are those of one element.
fn fill(server: &Server, command: &str, key: &str, count: usize, words: impl Fn(usize) -> Vec<String>) {
    const AT_ONCE: usize = 1000;
    let mut client = server.client();
    for start in (0..count).step_by(AT_ONCE) {
        let mut args = vec![command.to_owned(), key.to_owned()];
        args.extend((start..count.min(start + AT_ONCE)).flat_map(&words));
        let reply = client.command(&args);
        assert!(reply.error().is_none(), "{reply}");
    }
}

fn fill_list(server: &Server, key: &str, count: usize) {
    fill(server, "RPUSH", key, count, |number| vec![element(number)]);
}

fn fill_hash(server: &Server, key: &str, count: usize) {
    fill(server, "HSET", key, count, |number| vec![element(number), number.to_string()]);
}

fn fill_set(server: &Server, key: &str, count: usize) {
    fill(server, "SADD", key, count, |number| vec![element(number)]);
}

fn fill_sorted_set(server: &Server, key: &str, count: usize) {
    fill(server, "ZADD", key, count, |number| vec![(number + 2).to_string(), element(number)]);
}

fn used_memory(client: &mut Client) -> usize {
    let text = client.run("INFO memory").text();
    text.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
}

/// Are these the elements of a list from the first on?
fn assert_elements(reply: &Reply, count: usize) {
    let elements = reply.elements();
    assert_eq!(elements.len(), count);
    for (number, found) in elements.iter().enumerate() {
        assert_eq!(found.bytes(), element(number).as_bytes());
    }
}

fn numbers_of(reply: &Reply) -> Vec<String> {
    let mut all: Vec<String> = reply.elements().iter().map(Reply::text).collect();
    all.sort_unstable();
    all
}

fn all_elements(count: usize) -> Vec<String> {
    (0..count).map(element).collect()
}

#[test]
fn a_slow_reader_costs_no_copy_on_one_core() {
    a_slow_reader_costs_no_copy(1);
}

#[test]
fn a_slow_reader_costs_no_copy_on_four_cores() {
    a_slow_reader_costs_no_copy(4);
}

/// Readers on all cores ask for 2 million elements and do not read: memory stays, others are served, a writer does not wait
/// for them, and they get what was there when they asked.
fn a_slow_reader_costs_no_copy(cores: usize) {
    const COUNT: usize = 2_000_000;
    let server = Setup::new().cores(cores).start();
    fill_list(&server, "list", COUNT);
    let mut other = server.client();
    let before = used_memory(&mut other);
    let mut readers: Vec<Client> = (0..cores).map(|_| slow_reader(&server)).collect();
    for reader in &mut readers {
        reader.send(&encoded(&["LRANGE", "list", "0", "-1"])).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    let growth = used_memory(&mut other).saturating_sub(before);
    assert!(
        growth < (4 * cores + 4) * MEGABYTE,
        "{cores} replies of 50 MB are under way, {growth} bytes more are used"
    );
    assert_eq!(other.run("PING").lines(), ["+PONG"]);
    assert_eq!(other.run("LINDEX list 5").text(), element(5));
    assert_eq!(other.run("RPUSH list last").integer(), COUNT as i64 + 1);
    for reader in &mut readers {
        assert_elements(&reader.read_reply().unwrap(), COUNT);
        assert_eq!(reader.run("LINDEX list -1").text(), "last");
    }
    server.assert_alive();
}

/// Whoever vanishes in the middle of a reply leaves no lock behind.
#[test]
fn a_reader_that_vanishes_is_forgotten() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        fill_hash(&server, "hash", MANY);
        for _ in 0..2 * cores {
            let mut reader = slow_reader(&server);
            reader.send(&encoded(&["HGETALL", "hash"])).unwrap();
            std::thread::sleep(Duration::from_millis(30));
        }
        let mut client = server.client();
        let before = used_memory(&mut client);
        for round in 0..20 {
            assert_eq!(client.command(&["HSET", "hash", &format!("new{round}"), "x"]).integer(), 1);
        }
        assert_eq!(client.run("HLEN hash").integer(), MANY as i64 + 20);
        assert!(used_memory(&mut client) < before + 4 * MEGABYTE, "replies for clients that are gone are still there");
        assert_eq!(client.run("FLUSHALL").lines(), ["+OK"]);
    }
}

/// A pipeline in which long replies stand between others, on keys of all cores.
#[test]
fn replies_keep_their_order() {
    for cores in [1, 2, 4] {
        let server = Setup::new().cores(cores).start();
        let keys: Vec<String> = (0..4).map(|number| format!("k{number}")).collect();
        for key in &keys {
            fill_list(&server, &format!("{{{key}}}list"), MANY);
            fill_set(&server, &format!("{{{key}}}set"), MANY);
            fill_hash(&server, &format!("{{{key}}}hash"), MANY);
            fill_sorted_set(&server, &format!("{{{key}}}zset"), MANY);
        }
        let all = all_elements(MANY);
        for protocol in ["2", "3"] {
            for key in &keys {
                let mut client = server.client();
                client.command(&["HELLO", protocol]);
                let commands: Vec<Vec<String>> = [
                    "SET {}s 1",
                    "LRANGE {}list 0 -1",
                    "INCR {}s",
                    "SMEMBERS {}set",
                    "RPUSH {}list last",
                    "HGETALL {}hash",
                    "LRANGE {}list 100 -1",
                    "RPOP {}list",
                    "HKEYS {}hash",
                    "INCR {}s",
                    "HVALS {}hash",
                    "GET {}s",
                    "ZRANGE {}zset 0 -1 REV",
                    "ZADD {}zset 1 first",
                ]
                .iter()
                .map(|text| text.replace("{}", &format!("{{{key}}}")).split(' ').map(str::to_owned).collect())
                .collect();
                client.send(&commands.iter().flat_map(|args| encoded(args)).collect::<Vec<u8>>()).unwrap();
                let replies: Vec<Reply> = commands.iter().map(|_| client.read_reply().unwrap()).collect();
                assert_eq!(replies[0].lines(), ["+OK"]);
                assert_elements(&replies[1], MANY);
                assert_eq!(replies[2].integer(), 2);
                assert_eq!(numbers_of(&replies[3]), all);
                assert_eq!(matches!(replies[3], Reply::Set(_)), protocol == "3");
                assert_eq!(replies[4].integer(), MANY as i64 + 1);
                assert_eq!(pairs_of(&replies[5]), MANY);
                assert_eq!(replies[6].elements().len(), MANY + 1 - 100);
                assert_eq!(replies[6].elements()[0].text(), element(100));
                assert_eq!(replies[7].text(), "last");
                assert_eq!(numbers_of(&replies[8]), all);
                assert_eq!(replies[9].integer(), 3);
                assert_eq!(replies[10].elements().len(), MANY);
                assert_eq!(replies[11].text(), "3");
                let members: Vec<String> = replies[12].elements().iter().rev().map(Reply::text).collect();
                assert_eq!(members, all);
                assert_eq!(replies[13].integer(), 1);
                assert_eq!(client.command(&["ZREM", &format!("{{{key}}}zset"), "first"]).integer(), 1);
            }
        }
    }
}

/// How many fields a reply to HGETALL has, each with its own value.
fn pairs_of(reply: &Reply) -> usize {
    let is_right = |field: &Reply, value: &Reply| field.text() == element(value.text().parse().unwrap());
    match reply {
        Reply::Map(pairs) => {
            assert!(pairs.iter().all(|(field, value)| is_right(field, value)));
            pairs.len()
        }
        other => {
            assert!(other.elements().chunks(2).all(|pair| is_right(&pair[0], &pair[1])));
            other.elements().len() / 2
        }
    }
}

/// While a writer adds elements without a pause, each reply shows the list as it was at one moment.
#[test]
fn replies_show_one_moment() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        fill_list(&server, "list", MANY);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut client = server.client();
                let mut next = MANY;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.command(&["RPUSH", "list", &element(next)]).integer(), next as i64 + 1);
                    next += 1;
                }
                next
            });
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = server.client();
                        for _ in 0..5 {
                            let reply = client.run("LRANGE list 0 -1");
                            assert_elements(&reply, reply.elements().len());
                        }
                    })
                })
                .collect();
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            stop.store(true, Ordering::Relaxed);
            assert!(writer.join().unwrap() > MANY, "the writer came to its turn");
        });
    }
}

/// A key whose time passes while it is read is gone for everybody else, and the reader gets all of it.
#[test]
fn a_key_may_expire_while_it_is_read() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        fill_set(&server, "set", MANY);
        let mut other = server.client();
        let mut reader = slow_reader(&server);
        assert_eq!(other.run("PEXPIRE set 400").integer(), 1);
        reader.send(&encoded(&["SMEMBERS", "set"])).unwrap();
        let end = Instant::now() + PATIENCE;
        while other.run("EXISTS set").integer() == 1 {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(other.run("SCARD set").integer(), 0);
        assert_eq!(numbers_of(&reader.read_reply().unwrap()), all_elements(MANY));
        while other.run("DBSIZE").integer() == 1 {
            assert!(Instant::now() < end, "the key never goes");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(reader.run("PING").lines(), ["+PONG"]);
    }
}

/// What concerns all keys does not wait for slow readers either.
#[test]
fn a_flush_does_not_wait_for_slow_readers() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        fill_list(&server, "list", MANY);
        let mut readers: Vec<Client> = (0..3).map(|_| slow_reader(&server)).collect();
        for reader in &mut readers {
            reader.send(&encoded(&["LRANGE", "list", "0", "-1"])).unwrap();
        }
        std::thread::sleep(Duration::from_millis(200));
        let mut other = server.client();
        assert_eq!(other.run("DBSIZE").integer(), 1);
        assert_eq!(other.run("FLUSHALL").lines(), ["+OK"]);
        assert_eq!(other.run("EXISTS list").integer(), 0);
        for reader in &mut readers {
            assert_elements(&reader.read_reply().unwrap(), MANY);
            assert_eq!(reader.run("LLEN list").integer(), 0);
        }
    }
}

/// Without replies, and in the output limit, all is as with short ones.
#[test]
fn limits_and_reply_modes_hold() {
    let server = Setup::new().cores(4).option("client-output-buffer-limit", "normal 2mb 0 0").start();
    fill_list(&server, "list", MANY);
    let mut client = server.client();
    client.send(&encoded(&["CLIENT", "REPLY", "OFF"])).unwrap();
    client.send(&encoded(&["LRANGE", "list", "0", "-1"])).unwrap();
    client.send(&encoded(&["CLIENT", "REPLY", "ON"])).unwrap();
    assert_eq!(client.read_reply().unwrap().lines(), ["+OK"]);
    // A reader that takes what it is offered is never over the limit, however long the reply.
    assert_elements(&client.run("LRANGE list 0 -1"), MANY);
    // One that does not is closed when a writer cannot wait.
    let mut slow = slow_reader(&server);
    slow.run("CLIENT SETNAME slow");
    slow.send(&encoded(&["LRANGE", "list", "0", "-1"])).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(client.run("CLIENT LIST").text().contains("name=slow "), "closed while nobody waits for it");
    assert_eq!(client.run("RPUSH list x").integer(), MANY as i64 + 1);
    server.assert_alive();
}
