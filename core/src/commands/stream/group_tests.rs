//! What commands on groups leave in the journal, and that this gives the same groups again.
#![allow(clippy::unwrap_used)]

use crate::commands::harness::Bench;
use crate::keyspace::Value;
use crate::outcome::Propagate;
use crate::prng::Prng;
use crate::value::stream::{Stream, StreamId};

#[test]
fn the_journal_holds_what_consumers_got() {
    let mut bench = Bench::new();
    bench.check_journal(&[
        ("XGROUP CREATE s g 0 MKSTREAM", "1 as given"),
        ("XGROUP CREATE s g 0", "0"),
        ("XADD s 1-0 a b", "1 as given"),
        ("XADD s 2-0 a b", "1 as given"),
        ("XADD s 3-0 a b", "1 as given"),
        (
            "XREADGROUP GROUP g alice COUNT 1 STREAMS s >",
            "2 XCLAIM s g alice 0 1-0 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-0; XGROUP SETID s g 1-0 ENTRIESREAD 1",
        ),
        (
            "XREADGROUP GROUP g bob NOACK COUNT 1 STREAMS s >",
            "2 XGROUP CREATECONSUMER s g bob; XGROUP SETID s g 2-0 ENTRIESREAD 2",
        ),
        ("XREADGROUP GROUP g carl STREAMS s 0", "2 XGROUP CREATECONSUMER s g carl"),
        (
            "XREADGROUP GROUP g alice STREAMS s 0",
            "1 XCLAIM s g alice 0 1-0 TIME 1000000 RETRYCOUNT 2 FORCE JUSTID LASTID 2-0",
        ),
        ("XREADGROUP GROUP g carl STREAMS s 0", "1"),
        ("XCLAIM s g bob 0 1-0 IDLE 7", "1 XCLAIM s g bob 0 1-0 TIME 999993 RETRYCOUNT 3 FORCE JUSTID LASTID 2-0"),
        ("XCLAIM s g bob 100 1-0", "0"),
        ("XCLAIM s g dora 100 1-0 LASTID 3-0", "2 XGROUP CREATECONSUMER s g dora; XGROUP SETID s g 3-0 ENTRIESREAD 2"),
        ("XDEL s 1-0", "1 as given"),
        (
            "XAUTOCLAIM s g alice 0 0",
            "1 XCLAIM s g bob 0 1-0 TIME 999993 RETRYCOUNT 3 FORCE JUSTID LASTID 3-0",
        ),
        ("XACK s g 1-0", "0"),
        ("XGROUP SETID s g 0", "1 as given"),
        ("XGROUP CREATECONSUMER s g bob", "0"),
        ("XGROUP DELCONSUMER s g bob", "1 as given"),
        ("XGROUP DELCONSUMER s g bob", "0"),
        ("XGROUP DESTROY s g", "1 as given"),
        ("XGROUP DESTROY s g", "0"),
    ]);
}

#[test]
fn a_call_that_waits_has_made_its_consumer() {
    let mut bench = Bench::new();
    bench.check(&[("XGROUP CREATE s g 0 MKSTREAM", "+OK"), ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "*-1")]);
    assert_eq!(bench.last.changes, 1);
    assert_eq!(bench.run("XGROUP CREATECONSUMER s g c"), ":0");
}

fn stream(bench: &mut Bench) -> Option<Box<Stream>> {
    let key = bench.shard.key(b"s");
    let entry = bench.shard.database(bench.db).find(&key)?;
    match entry.value() {
        Value::Stream(stream) => Some(stream.copy()),
        other => panic!("{other:?} is no stream"),
    }
}

/// All that is told of groups, but times.
fn told(bench: &mut Bench) -> Vec<String> {
    let Some(stream) = stream(bench) else { return Vec::new() };
    stream.groups.check();
    let of_group = |group: &crate::value::stream::Group| {
        let pending: Vec<_> = group
            .pending(StreamId::MIN)
            .map(|(id, delivery)| {
                let name = group.consumer(delivery.consumer.unwrap()).name().escape_ascii().to_string();
                format!("{id} {name} {}", delivery.count)
            })
            .collect();
        let names: Vec<_> = group.consumers().map(|consumer| consumer.name().escape_ascii().to_string()).collect();
        let (last, read) = (group.last_id, group.entries_read);
        format!("{} {last} {read:?} {names:?} {pending:?}", group.name().escape_ascii())
    };
    stream.groups.iter().map(of_group).collect()
}

fn any_call(prng: &mut Prng) -> String {
    let mut one = |of: &[&str]| of[prng.below(of.len() as u64) as usize].to_owned();
    let (group, consumer) = (one(&["g", "h"]), one(&["a", "b", "c"]));
    let (id, other) = (one(&["1", "2", "3", "4", "5-1", "6"]), one(&["0", "2", "3", "5-1", "7", "$"]));
    let count = one(&["1", "2", "3", "100"]);
    let idle = one(&["0", "0", "3", "50"]);
    match prng.below(20) {
        0..3 => format!("XADD s * f {count}"),
        3 => format!("XDEL s {id}"),
        4 => format!("XTRIM s MAXLEN {count}"),
        5 => format!("XGROUP CREATE s {group} {other} MKSTREAM"),
        6 => format!("XGROUP SETID s {group} {other}"),
        7 => format!("XGROUP DELCONSUMER s {group} {consumer}"),
        8 => format!("XACK s {group} {id} 1000001 1000003-1"),
        9..12 => format!("XREADGROUP GROUP {group} {consumer} COUNT {count} STREAMS s >"),
        12 => format!("XREADGROUP GROUP {group} {consumer} NOACK COUNT {count} STREAMS s s > 0"),
        13 => format!("XREADGROUP GROUP {group} {consumer} COUNT {count} STREAMS s 0"),
        14 => format!("XCLAIM s {group} {consumer} {idle} {id} {id} 1000002 FORCE"),
        15 => format!("XCLAIM s {group} {consumer} {idle} 1000001 {id} JUSTID RETRYCOUNT {count} LASTID {id}"),
        16 | 17 => format!("XAUTOCLAIM s {group} {consumer} {idle} 0 COUNT {count}"),
        18 => format!("XADD s {id} f v"),
        _ => format!("XGROUP CREATECONSUMER s {group} {consumer}"),
    }
}

#[test]
fn the_journal_gives_the_same_groups() {
    for seed in 0..20 {
        let mut prng = Prng::new(seed);
        let (mut one, mut replica) = (Bench::new(), Bench::new());
        one.shard.journaling = true;
        let mut calls = 0;
        for step in 0..400 {
            one.now += prng.below(5) as i64;
            replica.now = one.now;
            let call = any_call(&mut prng);
            let reply = one.run(&call);
            let outcome = std::mem::take(&mut one.last);
            match outcome.propagate {
                Propagate::Nothing => {}
                Propagate::AsGiven => {
                    replica.run(&call);
                }
                Propagate::Calls(made) => {
                    for made in made {
                        calls += 1;
                        let words: Vec<&[u8]> = made.words.iter().map(|word| &**word).collect();
                        let reply = replica.run_words(&words);
                        assert!(!reply.starts_with("ERR"), "{words:?} of {call}: {reply}");
                    }
                }
            }
            assert_eq!(told(&mut one), told(&mut replica), "seed {seed}, step {step}: {call} -> {reply}");
        }
        assert!(calls > 20, "groups are used");
    }
}
