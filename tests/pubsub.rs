//! Pub/sub over all cores: who hears what, in which order, and what is seen of writes that came before a message. What each call
//! replies is in `cases/pubsub.txt`.
//!
//! `RINGKEY_SECONDS` makes each test longer than its few seconds, `RINGKEY_TARGET=reference` shows that the tests are right.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::encoded;
use ringkey_tests::hearing::{clients_on_all_cores, message};
use ringkey_tests::rng::Rng;
use ringkey_tests::running::on_one_and_four_cores;
use ringkey_tests::server::Setup;
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Reply, Server};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CORES: usize = 4;

/// How long a test that waits for chance goes on.
fn seconds() -> Duration {
    let given = std::env::var("RINGKEY_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(given.unwrap_or(3.0))
}

fn four_cores() -> Server {
    Setup::new().cores(CORES).start()
}

fn resp3(mut client: Client) -> Client {
    client.run("HELLO 3");
    client
}

/// Sends these at once.
fn send_all(client: &mut Client, commands: &[Vec<String>]) {
    client.send(&commands.iter().flat_map(|command| encoded(command)).collect::<Vec<u8>>()).unwrap();
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn receivers_are_counted_wherever_they_are() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut clients = clients_on_all_cores(server, CORES, 3);
        let mut askers = clients.split_off(CORES);
        let mut listening = 0;
        for (number, client) in clients.iter_mut().enumerate() {
            client.listen("SUBSCRIBE a b");
            client.listen("PSUBSCRIBE a*");
            listening += 1;
            if number % 2 == 0 {
                client.listen("SSUBSCRIBE a");
            }
            // Whoever asks, and from wherever: by the reply to the subscriber all know of it.
            for asker in &mut askers {
                assert_eq!(asker.run("PUBLISH a x").integer(), listening * 2);
                assert_eq!(asker.run("PUBLISH b x").integer(), listening);
                assert_eq!(asker.run("PUBLISH ab x").integer(), listening);
                assert_eq!(asker.run("SPUBLISH a x").integer(), (listening + 1) / 2);
                assert_eq!(asker.run("PUBSUB NUMSUB a").elements()[1].integer(), listening);
                assert_eq!(asker.run("PUBSUB NUMPAT").integer(), 1);
                assert_eq!(asker.run("PUBSUB CHANNELS").elements().len(), 2);
            }
        }
        let asker = &mut askers[0];
        for command in ["MULTI", "PUBLISH a x", "PUBLISH nobody x", "SPUBLISH a x"] {
            asker.run(command);
        }
        assert_eq!(asker.run("EXEC").lines(), ["*3", "  :8", "  :0", "  :2"]);
        let script = "return {redis.call('PUBLISH', 'a', 'x'), redis.call('PUBLISH', 'b', 'x')}";
        let counted = asker.command(&["EVAL", script, "0"]);
        assert_eq!(counted.lines(), ["*2", "  :8", "  :4"]);
        for (gone, client) in clients.iter_mut().enumerate() {
            let left = 3 - gone as i64;
            client.send(&encoded(&["UNSUBSCRIBE", "a"])).unwrap();
            assert_eq!(client.read_past_messages().1.elements()[0].text(), "unsubscribe");
            for asker in &mut askers {
                assert_eq!(asker.run("PUBSUB NUMSUB a b").elements()[1].integer(), left);
                assert_eq!(asker.run("PUBLISH a x").integer(), left + 4);
            }
        }
    });
}

/// Publishes numbered messages in pipelines, on several channels, until told to end; how many those were.
fn publish_numbers(client: &mut Client, publisher: usize, over: &AtomicBool, heard: &[AtomicUsize]) -> usize {
    const PIPELINE: usize = 24;
    let slowest = || heard.iter().map(|count| count.load(Ordering::Relaxed)).min().unwrap();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        let batch: Vec<Vec<String>> = (number..number + PIPELINE)
            .map(|number| {
                let (command, channel) = match number % 3 {
                    2 => ("SPUBLISH", format!("shard{}", number % 5)),
                    _ => ("PUBLISH", format!("channel{}", number % 8)),
                };
                vec![command.to_owned(), channel, format!("{publisher} {number}")]
            })
            .collect();
        send_all(client, &batch);
        for _ in &batch {
            let receivers = client.read_reply().unwrap().integer();
            assert_eq!(receivers, CORES as i64, "whoever listens is there from the start to the end");
        }
        number += PIPELINE;
        // Not further ahead than what subscribers may be owed.
        while number > slowest() + 20_000 && !over.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    }
    number
}

/// Hears messages until all publishers have said that they have ended; the number of messages of each.
fn hear_numbers(client: &mut Client, heard: &AtomicUsize) -> Vec<usize> {
    let mut next = vec![0; CORES];
    let mut open = CORES;
    while open > 0 {
        let message = client.read_message();
        let (publisher, number) = message.text.split_once(' ').unwrap();
        if number == "end" {
            open -= 1;
            continue;
        }
        let publisher: usize = publisher.parse().unwrap();
        let number: usize = number.parse().unwrap();
        assert_eq!(number, next[publisher], "of publisher {publisher} came {message:?}");
        next[publisher] += 1;
        heard.store(*next.iter().min().unwrap(), Ordering::Relaxed);
    }
    next
}

/// On every core a publisher, and a subscriber that hears all of them.
fn keeps_order(server: &Server) {
    let mut clients = clients_on_all_cores(server, CORES, 2);
    let mut publishers = clients.split_off(CORES);
    let shards = (0..5).map(|number| format!(" shard{number}")).collect::<String>();
    let channels = (0..8).map(|number| format!(" channel{number}")).collect::<String>();
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 2 == 0 {
            client.run("HELLO 3");
        }
        match number {
            0 | 1 => client.listen(&format!("SUBSCRIBE{channels}")),
            2 => client.listen("PSUBSCRIBE channel*"),
            _ => client.listen("PSUBSCRIBE channel[0-3] *[4-7]"),
        }
        client.listen(&format!("SSUBSCRIBE{shards} ends"));
    }
    let over = AtomicBool::new(false);
    let progress: Vec<AtomicUsize> = (0..CORES).map(|_| AtomicUsize::new(0)).collect();
    let (said, heard) = thread::scope(|scope| {
        let hears = |(client, heard)| scope.spawn(move || hear_numbers(client, heard));
        let hearing: Vec<_> = clients.iter_mut().zip(&progress).map(hears).collect();
        let saying: Vec<_> = publishers
            .iter_mut()
            .enumerate()
            .map(|(publisher, client)| {
                let (over, progress) = (&over, &progress);
                scope.spawn(move || {
                    let count = publish_numbers(client, publisher, over, progress);
                    client.command(&["SPUBLISH", "ends", &format!("{publisher} end")]);
                    count
                })
            })
            .collect();
        thread::sleep(seconds());
        over.store(true, Ordering::Relaxed);
        let said: Vec<usize> = saying.into_iter().map(|thread| thread.join().unwrap()).collect();
        let heard: Vec<Vec<usize>> = hearing.into_iter().map(|thread| thread.join().unwrap()).collect();
        (said, heard)
    });
    assert!(said.iter().all(|count| *count > 100), "{said:?}");
    heard.iter().for_each(|counts| assert_eq!(*counts, said, "everything was heard"));
}

#[test]
fn each_publisher_keeps_its_order_for_every_subscriber() {
    keeps_order(&four_cores());
}

/// How a publisher writes, and then tells.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// One request after the other, in one pipeline.
    Pipeline,
    /// One command for all keys, then a message.
    Many,
    /// Together in a transaction.
    Transaction,
    /// The same, but the message stands before the writes: nobody may see what is between.
    ToldFirst,
    /// Together in a script that declares its keys.
    Script,
    /// Together in a script that does not.
    Undeclared,
    /// Each waits for the reply to the one before.
    Turns,
}

const WAYS: &[Way] = &[Way::Pipeline, Way::Many, Way::Transaction, Way::Script, Way::Undeclared, Way::Turns];

const WRITES_AND_TELLS: &str = "for i = 3, #ARGV do redis.call('SET', ARGV[i], ARGV[2]) end \
    return redis.call('PUBLISH', ARGV[1], ARGV[2])";

impl Way {
    /// Writes the number to all keys and tells it.
    fn tell(self, client: &mut Client, channel: &str, keys: &[String], number: usize) {
        let number = number.to_string();
        let sets = || keys.iter().map(|key| vec!["SET".to_owned(), key.clone(), number.clone()]);
        let publish = vec!["PUBLISH".to_owned(), channel.to_owned(), number.clone()];
        let head = |declared: usize| {
            let head = ["EVAL", WRITES_AND_TELLS].map(str::to_owned).to_vec();
            [head, vec![declared.to_string()], keys[..declared].to_vec()].concat()
        };
        let tail = [vec![channel.to_owned(), number.clone()], keys.to_vec()].concat();
        let all: Vec<Vec<String>> = match self {
            Self::Pipeline | Self::Turns => sets().chain([publish]).collect(),
            Self::Many => {
                let pairs = keys.iter().flat_map(|key| [key.clone(), number.clone()]);
                vec![std::iter::once("MSET".to_owned()).chain(pairs).collect(), publish]
            }
            Self::Transaction => [vec![words("MULTI")], sets().collect(), vec![publish, words("EXEC")]].concat(),
            Self::ToldFirst => [vec![words("MULTI"), publish], sets().collect(), vec![words("EXEC")]].concat(),
            Self::Script => vec![[head(keys.len()), tail].concat()],
            Self::Undeclared => vec![[head(0), tail].concat()],
        };
        let turns = match self {
            Self::Turns => all.chunks(1).map(<[_]>::to_vec).collect(),
            _ => vec![all],
        };
        for turn in turns {
            send_all(client, &turn);
            for command in &turn {
                let reply = client.read_reply().unwrap();
                assert!(reply.error().is_none(), "{command:?}: {reply}");
            }
        }
    }
}

/// Hears until told to end, and after each message reads what its publisher has written before, by itself and by another client.
fn read_what_was_told(
    client: &mut Client,
    other: &mut Client,
    keys: &[Vec<String>],
    over: &AtomicBool,
) -> BTreeMap<String, usize> {
    let mut heard = BTreeMap::new();
    let mut waiting = Vec::new();
    let mut turn = 0;
    while !over.load(Ordering::Relaxed) {
        let message = if waiting.is_empty() { client.read_message() } else { waiting.remove(0) };
        let told: usize = message.text.parse().unwrap();
        let publisher: usize = message.channel.strip_prefix("told").unwrap().parse().unwrap();
        turn += 1;
        let key = &keys[publisher][turn % CORES];
        let seen = match turn % 3 {
            0 => other.command(&["GET", key]),
            1 => {
                client.send(&encoded(&["GET", key])).unwrap();
                let (messages, reply) = client.read_past_messages();
                waiting.extend(messages);
                reply
            }
            _ => {
                // Of all cores at once.
                let all = std::iter::once("MGET").chain(keys[publisher].iter().map(String::as_str));
                let found = other.command(&all.collect::<Vec<_>>());
                let numbers = found.elements().iter().map(|reply| reply.text().parse::<usize>().unwrap());
                Reply::Bulk(numbers.min().unwrap().to_string().into_bytes())
            }
        };
        let seen: usize = if seen.is_null() { 0 } else { seen.text().parse().unwrap() };
        assert!(seen >= told, "was told {told} by publisher {publisher}, but {key} has {seen}");
        *heard.entry(message.channel).or_default() += 1;
    }
    heard
}

#[test]
fn who_reads_after_a_message_sees_what_was_written_before_it() {
    tells_what_is_written(WAYS);
}

#[test]
fn a_transaction_is_done_when_its_message_is_heard() {
    tells_what_is_written(&[Way::ToldFirst]);
}

fn tells_what_is_written(ways: &[Way]) {
    let server = four_cores();
    for (round, way) in ways.iter().enumerate() {
        let mut clients = clients_on_all_cores(&server, CORES, 3);
        let mut publishers = clients.split_off(2 * CORES);
        let mut others = clients.split_off(CORES);
        // The second client of a subscriber is on another core for each way.
        others.rotate_left(1 + round % (CORES - 1));
        let prefix = |publisher: usize| format!("{round}:{publisher}:");
        let keys: Vec<Vec<String>> = (0..CORES)
            .map(|publisher| (0..CORES).map(|core| key_on_core(&prefix(publisher), core, CORES, 0)).collect())
            .collect();
        for client in &mut clients {
            client.run("HELLO 3");
            client.listen("SUBSCRIBE told0 told1 told2 told3");
        }
        let over = AtomicBool::new(false);
        let heard: Vec<BTreeMap<String, usize>> = thread::scope(|scope| {
            let hearing: Vec<_> = clients
                .iter_mut()
                .zip(&mut others)
                .map(|(client, other)| scope.spawn(|| read_what_was_told(client, other, &keys, &over)))
                .collect();
            for (publisher, client) in publishers.iter_mut().enumerate() {
                let (over, keys) = (&over, &keys[publisher]);
                scope.spawn(move || {
                    let mut number = 0;
                    while !over.load(Ordering::Relaxed) {
                        number += 1;
                        way.tell(client, &format!("told{publisher}"), keys, number);
                    }
                });
            }
            thread::sleep(seconds() / WAYS.len() as u32);
            over.store(true, Ordering::Relaxed);
            // They wait for one message more.
            server.client().run("PUBLISH told0 0");
            hearing.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let complete = heard.iter().all(|heard| heard.len() == CORES);
        assert!(complete, "{way:?}: everybody hears everybody: {heard:?}");
    }
}

/// Reads until nothing of a channel may come any more, and shows that nothing does.
fn hear_the_end(client: &mut Client, command: &str, begins: &str) {
    client.send(&encoded(&words(command))).unwrap();
    let (_, reply) = client.read_past_messages();
    assert!(reply.lines().concat().contains(begins), "{command}: {reply}");
    for marker in ["one", "two"] {
        assert_eq!(client.command(&["ECHO", marker]).text(), marker, "nothing comes after {command}");
    }
}

#[test]
fn nothing_is_heard_after_the_end() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut clients = clients_on_all_cores(server, CORES, 2);
        let mut publishers = clients.split_off(CORES);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for client in &mut publishers {
                scope.spawn(|| {
                    let batch: Vec<Vec<String>> = ["PUBLISH a 1", "SPUBLISH s 2", "PUBLISH a 3"].map(words).to_vec();
                    while !over.load(Ordering::Relaxed) {
                        send_all(client, &batch);
                        batch.iter().for_each(|_| assert!(client.read_reply().unwrap().integer() <= 4));
                    }
                });
            }
            let listening: Vec<_> = clients
                .iter_mut()
                .map(|client| {
                    scope.spawn(|| {
                        let end = Instant::now() + seconds() / 2;
                        while Instant::now() < end {
                            client.run("HELLO 3");
                            for (command, ends, begins) in [
                                ("SUBSCRIBE a", "UNSUBSCRIBE a", "unsubscribe"),
                                ("PSUBSCRIBE a*", "PUNSUBSCRIBE", "punsubscribe"),
                                ("SSUBSCRIBE s", "SUNSUBSCRIBE", "sunsubscribe"),
                                ("SUBSCRIBE a", "RESET", "+RESET"),
                            ] {
                                client.listen(command);
                                (0..3).for_each(|_| drop(client.read_message()));
                                hear_the_end(client, ends, begins);
                            }
                        }
                    })
                })
                .collect();
            listening.into_iter().for_each(|thread| thread.join().unwrap());
            over.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn the_protocol_of_messages_is_that_of_their_reader() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut clients = clients_on_all_cores(server, CORES, 2);
        let mut publishers = clients.split_off(CORES);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for client in &mut publishers {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        client.run("PUBLISH a x");
                    }
                });
            }
            let listening: Vec<_> = clients
                .iter_mut()
                .map(|client| {
                    scope.spawn(|| {
                        for _ in 0..60 {
                            client.run("HELLO 3");
                            client.listen("SUBSCRIBE a");
                            for _ in 0..5 {
                                assert!(matches!(client.read_reply().unwrap(), Reply::Push(_)));
                            }
                            client.send(&encoded(&["HELLO", "2"])).unwrap();
                            while matches!(client.read_reply().unwrap(), Reply::Push(_)) {}
                            for _ in 0..5 {
                                let reply = client.read_reply().unwrap();
                                assert!(matches!(&reply, Reply::Array(_)) && message(&reply).is_some(), "{reply}");
                            }
                            client.send(&encoded(&["UNSUBSCRIBE"])).unwrap();
                            let (_, reply) = client.read_past_messages();
                            assert!(matches!(reply, Reply::Array(_)), "{reply}");
                        }
                    })
                })
                .collect();
            listening.into_iter().for_each(|thread| thread.join().unwrap());
            over.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn messages_never_tear_a_reply() {
    const LARGE: usize = 600_000;
    const AHEAD_MAX: usize = 200;
    on_one_and_four_cores(&Setup::new().option("client-output-buffer-limit", "pubsub 0 0 0"), |server| {
        let value = "v".repeat(LARGE);
        let mut clients = clients_on_all_cores(server, CORES, 2);
        let mut publishers = clients.split_off(CORES);
        let keys: Vec<String> = (0..CORES).map(|core| key_on_core("large", core, CORES, 0)).collect();
        keys.iter().for_each(|key| assert_eq!(publishers[0].command(&["SET", key, &value]).lines(), ["+OK"]));
        publishers[0]
            .command(&[vec!["RPUSH".to_owned(), "list".to_owned()], vec!["element".to_owned(); 5_000]].concat());
        let over = AtomicBool::new(false);
        // What is owed is not bounded here, so whoever publishes does not run away from who reads.
        let published = AtomicUsize::new(0);
        let heard_by: Vec<AtomicUsize> = clients.iter().map(|_| AtomicUsize::new(0)).collect();
        for client in &mut clients {
            client.run("HELLO 3");
            client.listen("SUBSCRIBE a");
        }
        thread::scope(|scope| {
            for (number, client) in publishers.iter_mut().enumerate() {
                let (over, published, heard_by) = (&over, &published, &heard_by);
                scope.spawn(move || {
                    let mut rng = Rng::new(number as u64);
                    while !over.load(Ordering::Relaxed) {
                        let least = heard_by.iter().map(|heard| heard.load(Ordering::Relaxed)).min().unwrap();
                        if published.load(Ordering::Relaxed) > least.saturating_add(AHEAD_MAX) {
                            thread::sleep(Duration::from_millis(1));
                            continue;
                        }
                        published.fetch_add(1, Ordering::Relaxed);
                        let size = *rng.pick(&[1, 10, 100, 5_000, 50_000, 200_000]);
                        client.command(&["PUBLISH", "a", &"m".repeat(size)]);
                    }
                });
            }
            let listening: Vec<_> = clients
                .iter_mut()
                .zip(&heard_by)
                .map(|(client, heard_by)| {
                    let (keys, value) = (&keys, &value);
                    scope.spawn(move || {
                        let end = Instant::now() + seconds() / 2;
                        let (mut turn, mut heard) = (0, 0);
                        while Instant::now() < end || heard == 0 {
                            turn += 1;
                            let commands =
                                [format!("GET {}", keys[turn % CORES]), "LRANGE list 0 -1".into(), "PING".into()];
                            send_all(client, &commands.each_ref().map(|command| words(command)));
                            for place in 0..commands.len() {
                                let (messages, reply) = client.read_past_messages();
                                heard += messages.len();
                                heard_by.store(heard, Ordering::Relaxed);
                                let whole = messages.iter().all(|one| one.text.bytes().all(|byte| byte == b'm'));
                                assert!(whole, "a message is torn");
                                match place {
                                    0 => assert!(reply.text() == *value, "a large value is torn"),
                                    1 => assert_eq!(reply.elements().len(), 5_000),
                                    _ => assert_eq!(reply.lines(), ["+PONG"]),
                                }
                            }
                        }
                        heard_by.store(usize::MAX, Ordering::Relaxed);
                    })
                })
                .collect();
            let ended: Vec<_> = listening.into_iter().map(|thread| thread.join()).collect();
            over.store(true, Ordering::Relaxed);
            ended.into_iter().for_each(|end| end.unwrap());
        });
    });
}

#[test]
fn who_waits_or_queues_hears_messages() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut clients: Vec<Client> = clients_on_all_cores(server, CORES, 1).into_iter().map(resp3).collect();
        let mut other = server.client();
        for client in &mut clients {
            client.listen("SUBSCRIBE a");
        }
        let heard = |client: &mut Client, other: &mut Client, text: &str| {
            assert_eq!(other.command(&["PUBLISH", "a", text]).integer(), CORES as i64);
            assert_eq!(client.read_message().text, text);
        };
        for at in 0..CORES {
            let mut quiet = clients.split_off(at + 1);
            let client = clients.last_mut().unwrap();
            let list = key_on_core("list", at, CORES, 0);
            client.send(&encoded(&["BLPOP", "none", &list, "0"])).unwrap();
            ringkey_tests::running::wait_until("somebody waits", || {
                ringkey_tests::running::info(&mut other, "blocked_clients") == 1
            });
            heard(client, &mut other, "while it waits");
            heard(client, &mut other, "once more");
            other.command(&["RPUSH", &list, "element"]);
            assert_eq!(client.read_reply().unwrap().elements()[1].text(), "element");
            assert_eq!(client.run("MULTI").lines(), ["+OK"]);
            heard(client, &mut other, "while it queues");
            assert_eq!(client.command(&["GET", &list]).lines(), ["+QUEUED"]);
            heard(client, &mut other, "between");
            assert_eq!(client.run("EXEC").lines(), ["*1", "  _"]);
            heard(client, &mut other, "afterwards");
            // The others have heard the same.
            let told = clients[..at].iter_mut().chain(&mut quiet);
            told.for_each(|client| (0..5).for_each(|_| drop(client.read_message())));
            clients.append(&mut quiet);
        }
    });
}

/// What comes while a blocking call looks whether its keys, on several cores, have got something is heard although they have not.
#[test]
fn who_goes_on_waiting_hears_what_came_meanwhile() {
    let server = four_cores();
    let mut writer = server.client();
    let mut publisher = server.client();
    let mut waiting = resp3(server.client());
    waiting.listen("SUBSCRIBE a");
    let keys: Vec<String> = (0..8).map(|number| format!("k{number}")).collect();
    let wait = [words("BLPOP"), keys.clone(), words("0")].concat();
    send_all(&mut waiting, std::slice::from_ref(&wait));
    for round in 0..500 {
        // Filled, and mostly empty again when the one that waits comes to look.
        let key = &keys[round % keys.len()];
        let commands = [format!("RPUSH {key} x"), format!("LPOP {key}")].map(|line| words(&line));
        send_all(&mut writer, &commands);
        publisher.command(&["PUBLISH", "a", &round.to_string()]);
        let mut next = waiting.read_reply().unwrap();
        if !matches!(next, Reply::Push(_)) {
            assert_eq!(next.elements()[1].text(), "x");
            send_all(&mut waiting, std::slice::from_ref(&wait));
            next = waiting.read_reply().unwrap();
        }
        assert_eq!(next.elements()[2].text(), round.to_string());
        commands.iter().for_each(|_| drop(writer.read_reply().unwrap()));
    }
}

#[test]
fn what_a_client_tells_itself_comes_behind_the_reply() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut clients: Vec<Client> = clients_on_all_cores(server, CORES, 1).into_iter().map(resp3).collect();
        let mut expected = Vec::new();
        for at in 0..CORES {
            clients[at].listen("SUBSCRIBE a");
            clients[at].listen("SSUBSCRIBE s");
            let commands: Vec<Vec<String>> = (0..30)
                .map(|number| match number % 3 {
                    0 => vec!["PUBLISH".to_owned(), "a".to_owned(), number.to_string()],
                    1 => vec!["SET".to_owned(), format!("k{number}"), "v".to_owned()],
                    _ => vec!["SPUBLISH".to_owned(), "s".to_owned(), number.to_string()],
                })
                .collect();
            send_all(&mut clients[at], &commands);
            let mut told = Vec::new();
            for (number, command) in commands.iter().enumerate() {
                let (messages, reply) = clients[at].read_past_messages();
                told.extend(messages.into_iter().map(|message| message.text.parse::<usize>().unwrap()));
                assert!(told.iter().all(|told| *told < number), "before its reply: {told:?} at {number}");
                match number % 3 {
                    1 => assert_eq!(reply.lines(), ["+OK"], "{command:?}"),
                    _ => assert_eq!(reply.integer(), at as i64 + 1, "{command:?}"),
                }
            }
            while told.len() < 20 {
                told.push(clients[at].read_message().text.parse().unwrap());
            }
            let own = |number: usize| number % 3 != 1;
            expected.push((0..30).filter(|number| own(*number)).collect::<Vec<_>>());
            assert_eq!(Some(&told), expected.last());
            for earlier in &mut clients[..at] {
                for number in expected.last().unwrap() {
                    assert_eq!(earlier.read_message().text, number.to_string());
                }
            }
        }
    });
}
