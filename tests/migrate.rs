//! MIGRATE between our servers, and to and from a real Valkey: what arrives, what is replied, what other clients see
//! meanwhile, and that nothing stays locked whatever the other side does.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::reply::Reply;
use ringkey_tests::rng::Rng;
use ringkey_tests::running::{on_one_and_four_cores, wait_until};
use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Server};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn server(kind: Kind, cores: usize) -> Server {
    Setup::of(kind).cores(cores).option("enable-debug-command", "yes").start()
}

/// Ours with one core and with four, and the reference if there is one.
fn all_kinds() -> Vec<(Kind, usize)> {
    let mut kinds = vec![(Kind::Ringkey, 1), (Kind::Ringkey, 4)];
    match peer("valkey-server") {
        Some(_) => kinds.push((Kind::Reference, 1)),
        None => skip("no valkey-server: fetch the peers to bring keys to it"),
    }
    kinds
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|at| key_on_core("key", at % 4, 4, at * 100)).collect()
}

/// One key of each type, small and large.
fn fill(client: &mut Client) -> Vec<String> {
    let many = |word: &str| (0..600).map(|at| format!("{at} {word}{at:090}")).collect::<Vec<_>>().join(" ");
    let values = [
        "SET 12".to_owned(),
        "SET text".to_owned(),
        format!("SET {}", "x".repeat(100_000)),
        "RPUSH a b 3".to_owned(),
        format!("RPUSH {}", many("e")),
        "SADD 1 2 3".to_owned(),
        "SADD a b".to_owned(),
        format!("SADD {}", many("m")),
        "HSET f v g 2".to_owned(),
        format!("HSET {}", many("v")),
        "ZADD 1 a 2.5 b".to_owned(),
        format!("ZADD {}", many("z")),
    ];
    let keys = keys(values.len());
    for (key, value) in keys.iter().zip(&values) {
        let (name, words) = value.split_once(' ').unwrap();
        assert_eq!(client.run(&format!("{name} {key} {words}")).error(), None, "{name}");
    }
    keys
}

fn digests(client: &mut Client, keys: &[String]) -> Vec<String> {
    client.run(&format!("DEBUG DIGEST-VALUE {}", keys.join(" "))).elements().iter().map(Reply::text).collect()
}

fn migrate(client: &mut Client, target: &Server, key: &str, rest: &str) -> Reply {
    let port = target.port().to_string();
    let words = ["MIGRATE", "127.0.0.1", &port, key].into_iter().chain(rest.split_whitespace());
    client.command(&words.collect::<Vec<_>>())
}

#[test]
fn values_arrive_as_they_were() {
    let kinds = all_kinds();
    for (from, to) in [(0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (0, 2), (2, 0)] {
        let (Some(from), Some(to)) = (kinds.get(from), kinds.get(to)) else { continue };
        let (source, target) = (server(from.0, from.1), server(to.0, to.1));
        let (mut here, mut there) = (source.client(), target.client());
        let keys = fill(&mut here);
        here.run(&format!("PEXPIRE {} 100000", keys[0]));
        let before = digests(&mut here, &keys);
        // One by one to another database, then all at once, some of which are not there.
        for key in &keys[..3] {
            assert_eq!(migrate(&mut here, &target, key, "9 5000 COPY").text(), "OK");
        }
        let all = keys.join(" none ");
        assert_eq!(migrate(&mut here, &target, "", &format!("0 5000 KEYS {all}")).text(), "OK", "{from:?} {to:?}");
        assert_eq!(here.run("DBSIZE").integer(), 0);
        assert_eq!(digests(&mut there, &keys), before, "{from:?} {to:?}");
        let left = there.run(&format!("PTTL {}", keys[0])).integer();
        assert!(left > 50_000 && left <= 100_000, "{left}");
        assert_eq!(there.run(&format!("PTTL {}", keys[1])).integer(), -1);
        there.run("SELECT 9");
        assert_eq!(there.run("DBSIZE").integer(), 3);
        assert_eq!(digests(&mut there, &keys[..3]), before[..3]);
        assert_eq!(migrate(&mut here, &target, "", &format!("0 5000 KEYS {all}")).text(), "NOKEY");
        source.assert_alive();
    }
}

#[test]
fn replies_are_those_of_valkey() {
    let target = server(Kind::Ringkey, 2);
    let guarded = Setup::new().option("requirepass", "secret").start();
    let calls = [
        (&target, "k", "0 x"),
        (&target, "k", "x 100"),
        (&target, "k", "99999999999999999999 100"),
        (&target, "k", "0 100 FOO"),
        (&target, "k", "0 100 AUTH"),
        (&target, "k", "0 100 AUTH2 user"),
        (&target, "k", "0 100 KEYS k"),
        (&target, "", "0 100 KEYS"),
        (&target, "", "0 100 KEYS none nothing"),
        (&target, "none", "0 100"),
        (&target, "k", "0 0 COPY"),
        (&target, "k", "0 -5"),
        (&target, "k", "0 100 COPY REPLACE"),
        (&target, "", "0 100 KEYS k other"),
        (&target, "k", "77 100"),
        (&target, "k", "0 100 AUTH wrong"),
        (&target, "k", "0 100 AUTH2 user wrong"),
        (&guarded, "k", "0 100"),
        (&guarded, "k", "0 100 AUTH wrong"),
        (&guarded, "k", "0 100 COPY AUTH secret"),
        (&guarded, "k", "0 100 COPY REPLACE AUTH2 default secret"),
        (&guarded, "k", "0 100 REPLACE AUTH secret"),
    ];
    let mut replies: Vec<Vec<String>> = Vec::new();
    for (kind, cores) in all_kinds() {
        let source = server(kind, cores);
        let mut client = source.client();
        for target in [&target, &guarded] {
            let mut client = target.client();
            client.run("AUTH secret");
            assert_eq!(client.run("FLUSHALL").text(), "OK");
        }
        let mut said = Vec::new();
        for (target, key, rest) in &calls {
            client.run("MSET k 1 other 2");
            let reply = migrate(&mut client, target, key, rest);
            said.push(format!("{key} {rest}: {reply}, {} left", client.run("EXISTS k other")));
        }
        client.run("SET k 1");
        for host in ["127.0.0.1 1", "127.0.0.1 port", "no.such.host.invalid 6379"] {
            said.push(format!("{host}: {}", client.run(&format!("MIGRATE {host} k 0 200"))));
        }
        let stats = client.run("INFO commandstats").text();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_migrate:")).unwrap();
        let counts: Vec<&str> = line.split(',').filter(|field| !field.contains("usec")).collect();
        said.push(counts.join(","));
        replies.push(said);
    }
    for other in &replies[1..] {
        assert_eq!(replies[0], *other);
    }
}

/// Listens and does the same with each connection, on a thread of its own.
fn target_that(does: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let does = does.clone();
            std::thread::spawn(move || does(stream));
        }
    });
    port
}

/// A target that reads and then says this; and closes, or stays until the other side does.
fn target_saying(text: &'static [u8], closes: bool) -> u16 {
    target_that(move |mut stream| {
        let mut bytes = [0; 65536];
        let _ = stream.read(&mut bytes);
        let _ = stream.write_all(text);
        if !closes {
            while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
        }
    })
}

#[test]
fn targets_that_fail_lock_and_lose_nothing() {
    let failing = [
        ("closes", target_that(drop)),
        ("reads and closes", target_saying(b"", true)),
        ("says nothing", target_saying(b"", false)),
        ("half a line", target_saying(b"-ERR half", false)),
        ("half a line and closes", target_saying(b"-ERR half", true)),
        ("no reply for the second", target_saying(b"+OK\r\n+OK\r\n", true)),
        ("no reply for the second, and stays", target_saying(b"+OK\r\n+OK\r\n", false)),
        ("refuses the first", target_saying(b"+OK\r\n-ERR no\r\n+OK\r\n", false)),
        ("refuses the second and closes", target_saying(b"+OK\r\n+OK\r\n-BUSY no\r\n", true)),
        ("refuses the first, and no more", target_saying(b"+OK\r\n-ERR no\r\n", true)),
        ("refuses the database", target_saying(b"-ERR no\r\n+OK\r\n+OK\r\n", false)),
        ("nonsense", target_saying(b"what\r\nis\r\nthis\r\n", false)),
        ("empty lines", target_saying(b"\n\n\n", false)),
    ];
    let mut outcomes: Vec<Vec<String>> = Vec::new();
    for (kind, cores) in all_kinds() {
        let source = server(kind, cores);
        let mut client = source.client();
        let mut said = Vec::new();
        let (one, other) = (key_on_core("k", 0, 4, 0), key_on_core("k", 3, 4, 0));
        for (what, port) in &failing {
            client.run(&format!("MSET {one} 1 {other} 2"));
            let port = port.to_string();
            let call = ["MIGRATE", "127.0.0.1", &port, "", "3", "150", "KEYS", &one, "none", &other];
            let reply = client.command(&call);
            let left = [&one, &other].map(|key| client.run(&format!("EXISTS {key}")).to_string());
            said.push(format!("{what}: {reply} {left:?}"));
            assert_eq!(client.run(&format!("MSET {one} x {other} y")).text(), "OK", "{what}");
        }
        outcomes.push(said);
        source.assert_alive();
    }
    for other in &outcomes[1..] {
        assert_eq!(outcomes[0], *other);
    }
}

#[test]
fn meanwhile_others_go_on_and_the_keys_wait() {
    on_one_and_four_cores(&Setup::new(), |source| {
        let silent = target_saying(b"", false);
        let (mut mover, mut user, mut other) = (source.client(), source.client(), source.client());
        let keys = keys(4);
        keys.iter().for_each(|key| drop(user.run(&format!("SET {key} 1"))));
        let text = format!("MIGRATE 127.0.0.1 {silent} \"\" 0 700 KEYS {}\r\n", keys.join(" "));
        mover.send(text.as_bytes()).unwrap();
        assert!(mover.is_quiet_for(Duration::from_millis(100)).unwrap(), "the target is silent");
        user.send(format!("GET {}\r\n", keys[3]).as_bytes()).unwrap();
        for at in 0..100 {
            assert_eq!(other.run(&format!("SET free{at} 1")).text(), "OK");
            assert_eq!(other.run(&format!("MGET free{at} free{}", at / 2)).elements().len(), 2);
        }
        assert!(user.is_quiet_for(Duration::from_millis(20)).unwrap(), "the key is locked");
        let refused = mover.read_reply().unwrap().error().unwrap();
        assert_eq!(refused, "IOERR error or timeout reading to target instance");
        assert_eq!(user.read_reply().unwrap().text(), "1", "it has stayed");
        // What is only copied may be read.
        mover.send(text.replace(" KEYS", " COPY KEYS").as_bytes()).unwrap();
        assert!(mover.is_quiet_for(Duration::from_millis(100)).unwrap());
        assert_eq!(user.run(&format!("MGET {}", keys.join(" "))).elements().len(), 4);
        assert_eq!(user.run("DBSIZE").integer(), 104);
        user.send(format!("INCR {}\r\n", keys[0]).as_bytes()).unwrap();
        assert!(user.is_quiet_for(Duration::from_millis(20)).unwrap(), "but not written");
        assert!(mover.read_reply().unwrap().error().is_some());
        assert_eq!(user.read_reply().unwrap().integer(), 2);
        // Who hangs up leaves nothing locked, either.
        for _ in 0..20 {
            let mut brief = source.client();
            brief.send(text.replace(" 700 ", " 60 ").as_bytes()).unwrap();
        }
        assert_eq!(user.run(&format!("INCR {}", keys[0])).integer(), 3);
        wait_until("all have given up", || source.client().run("CLIENT LIST").text().lines().count() == 4);
        assert_eq!(user.run(&format!("DEL {}", keys.join(" "))).integer(), 4);
    });
}

#[test]
fn what_is_written_meanwhile_is_here_or_there() {
    on_one_and_four_cores(&Setup::new(), |source| {
        let target = Setup::new().cores(2).start();
        let keys = keys(4);
        let is_over = AtomicBool::new(false);
        let pushed: usize = std::thread::scope(|scope| {
            let mover = scope.spawn(|| {
                let (mut here, mut there) = (source.client(), target.client());
                let mut parts = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let reply = migrate(&mut here, &target, "", &format!("0 5000 KEYS {}", keys.join(" ")));
                    assert!(["OK", "NOKEY"].contains(&reply.text().as_str()), "{reply}");
                    for key in &keys {
                        if there.run(&format!("EXISTS {key}")).integer() == 1 {
                            parts += 1;
                            there.run(&format!("RENAME {key} part:{parts}"));
                        }
                    }
                }
                assert!(parts > 20, "it hardly moved anything");
            });
            let writers: Vec<_> = (0..4_usize)
                .map(|writer| {
                    let keys = &keys;
                    scope.spawn(move || {
                        let (mut rng, mut client) = (Rng::new(writer as u64), source.client());
                        for at in 0..1_500 {
                            assert!(client.run(&format!("RPUSH {} {writer}:{at}", rng.pick(keys))).integer() > 0);
                        }
                        1_500
                    })
                })
                .collect();
            let pushed = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
            is_over.store(true, Ordering::Relaxed);
            mover.join().unwrap();
            pushed
        });
        let mut found = Vec::new();
        for server in [source, &target] {
            let mut client = server.client();
            for key in client.run("KEYS *").elements() {
                found.extend(client.run(&format!("LRANGE {} 0 -1", key.text())).elements().iter().map(Reply::text));
            }
        }
        let count = found.len();
        found.sort();
        found.dedup();
        assert_eq!((count, found.len()), (pushed, pushed), "each element is at one place");
    });
}
