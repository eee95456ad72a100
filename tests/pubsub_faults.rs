//! Subscribers that do not read, vanish, come and go by the thousand, or listen to very many channels: memory is bounded and
//! comes back, and nobody else is disturbed.
//!
//! `RINGKEY_TARGET=reference` shows that the tests are right.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::encoded;
use ringkey_tests::hearing::{clients_on_all_cores, message};
use ringkey_tests::rng::Rng;
use ringkey_tests::running::{info, on_one_and_four_cores, wait_until};
use ringkey_tests::server::Setup;
use ringkey_tests::{Client, Reply, Server};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const CORES: usize = 4;

/// What may be left of memory that has been given back: buffers that are kept, tables that shrink later.
const SLACK_BYTES: u64 = 4 * 1024 * 1024;

fn used(client: &mut Client) -> u64 {
    info(client, "used_memory")
}

fn await_memory(client: &mut Client, bound: u64) {
    wait_until("memory comes back", || used(client) <= bound);
}

fn await_no_channels(client: &mut Client) {
    wait_until("nobody listens any more", || {
        client.run("PUBSUB CHANNELS").elements().is_empty()
            && client.run("PUBSUB SHARDCHANNELS").elements().is_empty()
            && client.run("PUBSUB NUMPAT").integer() == 0
    });
}

#[test]
fn many_channels_take_little_and_come_back() {
    const CHANNELS: usize = 100_000;
    const CLIENTS: usize = 100;
    const EACH: usize = CHANNELS / CLIENTS;
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut asker = server.client();
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
        let before = used(&mut asker);
        for (number, client) in clients.iter_mut().enumerate() {
            let names = (number * EACH..(number + 1) * EACH).map(|channel| format!("channel:{channel}"));
            client.send(&encoded(&std::iter::once("SUBSCRIBE".to_owned()).chain(names).collect::<Vec<_>>())).unwrap();
            for place in 1..=EACH {
                assert_eq!(client.read_reply().unwrap().elements()[2].integer(), place as i64);
            }
        }
        let each = (used(&mut asker) - before) / CHANNELS as u64;
        assert!(each < 1_000, "{each} bytes a channel");
        assert_eq!(asker.run("PUBSUB CHANNELS channel:4242*").elements().len(), 11);
        assert_eq!(asker.run("PUBSUB CHANNELS").elements().len(), CHANNELS);
        let mut rng = Rng::new(7);
        for _ in 0..2_000 {
            let channel = rng.below(CHANNELS);
            let name = format!("channel:{channel}");
            assert_eq!(asker.command(&["PUBLISH", &name, "x"]).integer(), 1);
            assert_eq!(clients[channel / EACH].read_message().channel, name);
        }
        // Half of them leave channel by channel, the others just leave.
        let rest = clients.split_off(CLIENTS / 2);
        for client in &mut clients {
            client.send(&encoded(&["UNSUBSCRIBE"])).unwrap();
            for left in (0..EACH).rev() {
                assert_eq!(client.read_reply().unwrap().elements()[2].integer(), left as i64);
            }
        }
        drop(rest);
        await_no_channels(&mut asker);
        await_memory(&mut asker, before + SLACK_BYTES);
    });
}

#[test]
fn many_patterns_of_one_client_come_back() {
    const PATTERNS: usize = 5_000;
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut asker = server.client();
        let mut clients = clients_on_all_cores(server, CORES, 1);
        let before = used(&mut asker);
        for client in &mut clients {
            let names = (0..PATTERNS).map(|number| format!("news:{number}:*"));
            client.send(&encoded(&std::iter::once("PSUBSCRIBE".to_owned()).chain(names).collect::<Vec<_>>())).unwrap();
            (0..PATTERNS).for_each(|_| drop(client.read_reply().unwrap()));
        }
        assert_eq!(asker.run("PUBSUB NUMPAT").integer(), PATTERNS as i64);
        for number in [0, 17, PATTERNS - 1] {
            assert_eq!(asker.command(&["PUBLISH", &format!("news:{number}:x"), "x"]).integer(), CORES as i64);
        }
        assert_eq!(asker.run("PUBLISH news:5000:x x").integer(), 0);
        drop(clients);
        await_no_channels(&mut asker);
        await_memory(&mut asker, before + SLACK_BYTES);
    });
}

/// Publishes until it is over, and counts what is delivered.
fn publish_until_over(client: &mut Client, channel: &str, text: &str, over: &AtomicBool, delivered: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        let count = client.command(&["PUBLISH", channel, text]).integer();
        delivered.fetch_add(count as u64, Ordering::Relaxed);
    }
}

#[test]
fn who_does_not_read_is_cut_off_at_the_hard_limit() {
    const LIMIT: &str = "pubsub 2mb 0 0";
    on_one_and_four_cores(&Setup::new().option("client-output-buffer-limit", LIMIT), |server| {
        let mut asker = server.client();
        let mut clients = clients_on_all_cores(server, CORES, 2);
        let mut readers = clients.split_off(CORES);
        let before = used(&mut asker);
        for client in clients.iter_mut().chain(&mut readers) {
            client.listen("SUBSCRIBE a");
        }
        let (over, delivered) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| publish_until_over(&mut server.client(), "a", &"x".repeat(2_000), &over, &delivered));
            for client in &mut readers {
                let over = &over;
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        assert_eq!(client.read_message().text.len(), 2_000);
                    }
                });
            }
            let mut most = 0;
            wait_until("those who do not read are cut off", || {
                most = most.max(used(&mut asker));
                asker.run("PUBSUB NUMSUB a").elements()[1].integer() == CORES as i64
            });
            let bound = before + 2 * CORES as u64 * 4 * 1024 * 1024;
            assert!(most < bound, "{most} bytes while {CORES} did not read, not more than {bound}");
            // Those who read go on.
            let now = delivered.load(Ordering::Relaxed);
            wait_until("messages go on", || delivered.load(Ordering::Relaxed) > now + 2_000);
            over.store(true, Ordering::Relaxed);
            // Who waits for a message learns by this one that it is over.
            asker.command(&["PUBLISH", "a", &"x".repeat(2_000)]);
        });
        assert_eq!(info(&mut asker, "client_output_buffer_limit_disconnections"), CORES as u64);
        for client in &mut clients {
            // What had been sent is there to be read, then the end.
            let end = client.wait_for_close(Duration::from_secs(10));
            assert!(end.is_ok_and(|replies| replies.iter().all(|reply| message(reply).is_some())));
        }
        drop(readers);
        await_memory(&mut asker, before + SLACK_BYTES);
    });
}

#[test]
fn who_reads_too_slowly_is_cut_off_at_the_soft_limit() {
    let setup = Setup::new().option("client-output-buffer-limit", "pubsub 0 300kb 1");
    on_one_and_four_cores(&setup, |server| {
        let mut asker = server.client();
        let mut clients = clients_on_all_cores(server, CORES, 1);
        for client in &mut clients {
            client.listen("PSUBSCRIBE *");
        }
        let text = "x".repeat(100_000);
        // More than sockets hold, then nothing: it is time that cuts them off.
        let mut left = CORES as i64;
        let owes_much = |line: &str| {
            let owed = line.split(' ').find_map(|field| field.strip_prefix("omem=")?.parse::<u64>().ok());
            owed.is_some_and(|bytes| bytes > 2 * 300 * 1024)
        };
        while left > 0 && !asker.run("CLIENT LIST TYPE pubsub").text().lines().all(owes_much) {
            left = asker.command(&["PUBLISH", "a", &text]).integer();
        }
        wait_until("all are cut off", || asker.run("PUBSUB NUMPAT").integer() == 0);
        assert_eq!(info(&mut asker, "client_output_buffer_limit_disconnections"), CORES as u64);
    });
}

#[test]
fn limits_of_others_do_not_hold_for_subscribers() {
    let setup = Setup::new().option("client-output-buffer-limit", "normal 100kb 0 0 pubsub 0 0 0");
    on_one_and_four_cores(&setup, |server| {
        let mut asker = server.client();
        let mut clients = clients_on_all_cores(server, CORES, 1);
        for client in &mut clients {
            client.listen("SUBSCRIBE a");
        }
        let text = "x".repeat(1_000_000);
        for _ in 0..20 {
            assert_eq!(asker.command(&["PUBLISH", "a", &text]).integer(), CORES as i64);
        }
        for client in &mut clients {
            (0..20).for_each(|_| assert_eq!(client.read_message().text.len(), 1_000_000));
        }
    });
}

#[test]
fn subscribers_vanish_while_messages_come() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut asker = server.client();
        let before = used(&mut asker);
        let (over, delivered) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..CORES {
                let mut publisher = server.client();
                let (over, delivered) = (&over, &delivered);
                scope.spawn(move || publish_until_over(&mut publisher, "a", &"x".repeat(500), over, delivered));
            }
            let coming: Vec<_> = (0..CORES)
                .map(|number| {
                    scope.spawn(move || {
                        for round in 0..60 {
                            let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
                            for client in &mut clients {
                                if (round + number) % 2 == 0 {
                                    client.run("HELLO 3");
                                }
                                client.send(&encoded(&["SUBSCRIBE", "a", "b"])).unwrap();
                                client.send(&encoded(&["PSUBSCRIBE", "a*"])).unwrap();
                            }
                            // Some hear a little, some nothing at all; with what is not read the connection is broken.
                            for client in &mut clients[1..] {
                                (0..20).for_each(|_| drop(client.read_reply().unwrap()));
                            }
                        }
                    })
                })
                .collect();
            coming.into_iter().for_each(|thread| thread.join().unwrap());
            over.store(true, Ordering::Relaxed);
        });
        assert!(delivered.load(Ordering::Relaxed) > 0);
        await_no_channels(&mut asker);
        await_memory(&mut asker, before + SLACK_BYTES);
    });
}

/// Joins and leaves channels at random in pipelines, and checks every confirmation against a model.
fn come_and_go(client: &mut Client, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut kinds = [("SUBSCRIBE", "UNSUBSCRIBE"), ("PSUBSCRIBE", "PUNSUBSCRIBE"), ("SSUBSCRIBE", "SUNSUBSCRIBE")]
        .map(|names| (names, BTreeSet::new()));
    for _ in 0..60 {
        let mut expected = Vec::new();
        let mut bytes = Vec::new();
        for _ in 0..100 {
            let kind = rng.below(3);
            let name = format!("flood{}", rng.below(40));
            let joins = rng.chance(50);
            let (names, joined) = &mut kinds[kind];
            let command = if joins { names.0 } else { names.1 };
            match joins {
                true => joined.insert(name.clone()),
                false => joined.remove(&name),
            };
            bytes.extend(encoded(&[command, &name]));
            let count = if kind == 2 { kinds[2].1.len() } else { kinds[0].1.len() + kinds[1].1.len() };
            expected.push((command.to_lowercase(), name, count as i64));
        }
        client.send(&bytes).unwrap();
        for (command, name, count) in expected {
            let (messages, reply) = client.read_past_messages();
            assert!(messages.iter().all(|message| message.channel.starts_with("flood")));
            let told = reply.elements();
            assert_eq!((told[0].text(), told[1].text(), told[2].integer()), (command, name, count));
        }
    }
    client.send(&encoded(&["RESET"])).unwrap();
    let (_, reply) = client.read_past_messages();
    assert_eq!(reply.lines(), ["+RESET"]);
}

#[test]
fn floods_of_subscriptions_leave_nothing() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut asker = server.client();
        let before = used(&mut asker);
        let mut clients = clients_on_all_cores(server, CORES, 2);
        let mut publishers = clients.split_off(CORES);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for (number, client) in publishers.iter_mut().enumerate() {
                let over = &over;
                scope.spawn(move || {
                    let mut rng = Rng::new(number as u64);
                    while !over.load(Ordering::Relaxed) {
                        let command = *rng.pick(&["PUBLISH", "SPUBLISH"]);
                        let channel = format!("flood{}", rng.below(40));
                        // At most by its name and by a pattern of that name.
                        assert!(client.command(&[command, &channel, "x"]).integer() <= 2 * CORES as i64);
                    }
                });
            }
            let coming: Vec<_> = clients
                .iter_mut()
                .enumerate()
                .map(|(number, client)| scope.spawn(move || come_and_go(client, 100 + number as u64)))
                .collect();
            coming.into_iter().for_each(|thread| thread.join().unwrap());
            over.store(true, Ordering::Relaxed);
        });
        // By the reply to RESET nobody counts them any more.
        assert_eq!(asker.run("PUBSUB NUMPAT").integer(), 0);
        assert_eq!(asker.run("PUBSUB CHANNELS").elements().len(), 0);
        assert_eq!(asker.run("PUBSUB SHARDCHANNELS").elements().len(), 0);
        drop(clients);
        drop(publishers);
        await_memory(&mut asker, before + SLACK_BYTES);
    });
}

fn kinds_of_clients(server: &Server) -> [Vec<Client>; 2] {
    let mut clients = clients_on_all_cores(server, CORES, 4);
    let others = clients.split_off(3 * CORES);
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 2 == 0 {
            client.run("HELLO 3");
        }
        client.listen(["SUBSCRIBE a", "PSUBSCRIBE a*", "SSUBSCRIBE s"][number / CORES]);
    }
    [clients, others]
}

#[test]
fn subscribers_are_killed_by_their_type() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let [mut listeners, mut others] = kinds_of_clients(server);
        let mut killer = server.client();
        killer.run("HELLO 3");
        killer.listen("SUBSCRIBE a");
        let list = killer.run("CLIENT LIST TYPE pubsub").text();
        assert_eq!(list.lines().count(), 3 * CORES + 1, "{list}");
        assert!(list.lines().all(|line| line.contains("flags=P")), "{list}");
        assert_eq!(info(&mut killer, "pubsub_clients"), 3 * CORES as u64 + 1);
        assert_eq!(killer.run("CLIENT KILL TYPE pubsub SKIPME yes").integer(), 3 * CORES as i64);
        for client in &mut listeners {
            assert_eq!(client.read_reply().unwrap(), Reply::Closed);
        }
        others.iter_mut().for_each(|client| assert_eq!(client.run("PING").lines(), ["+PONG"]));
        assert_eq!(others[0].run("PUBLISH a x").integer(), 1);
        assert_eq!(killer.read_message().text, "x");
        assert_eq!(others[0].run("SPUBLISH s x").integer(), 0);
    });
}
