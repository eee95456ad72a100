//! SORT on a bench, and against the simplest way to do it.

#![allow(clippy::unwrap_used)]
use crate::commands::harness::Bench;
use crate::prng::Prng;
use std::cmp::Ordering;

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.run("RPUSH list 3 10 2 1");
    bench
}

#[test]
fn numbers_and_texts() {
    bench().check(&[
        ("SORT list", "*4 '1' '2' '3' '10'"),
        ("SORT list DESC", "*4 '10' '3' '2' '1'"),
        ("SORT list ALPHA", "*4 '1' '10' '2' '3'"),
        ("SORT list DESC ALPHA asc", "*4 '1' '10' '2' '3'"),
        ("SORT list LIMIT 1 2", "*2 '2' '3'"),
        ("SORT list LIMIT -5 1 DESC", "*1 '10'"),
        ("SORT list LIMIT 2 -9", "*2 '3' '10'"),
        ("SORT list LIMIT 4 1", "*0"),
        ("SORT list LIMIT 0 0", "*0"),
        ("SORT list LIMIT 9223372036854775807 9223372036854775807", "*0"),
        ("SORT_RO list LIMIT 0 1", "*1 '1'"),
        ("SORT nothing", "*0"),
        ("RPUSH texts b a", ":2"),
        ("SORT texts", "ERR One or more scores can't be converted into double"),
        ("SORT texts BY nothing_*", "*2 'a' 'b'"),
        ("SORT texts BY nothing_* ALPHA", "*2 'b' 'a'"),
        ("SADD set 3 1 2", ":3"),
        ("SORT set DESC", "*3 '3' '2' '1'"),
        ("SORT set BY nosort DESC LIMIT 1 1", "*1 '2'"),
        ("ZADD zset 1 c 2 b 3 a", ":3"),
        ("SORT zset ALPHA", "*3 'a' 'b' 'c'"),
        ("SORT zset BY nosort", "*3 'c' 'b' 'a'"),
        ("SORT zset BY nosort DESC LIMIT 0 2", "*2 'a' 'b'"),
        ("SORT zset BY nosort LIMIT 1 9", "*2 'b' 'a'"),
        ("SORT list BY nosort DESC LIMIT 1 2", "*2 '2' '10'"),
        ("SORT list BY nosort BY w_* DESC", "*4 '1' '2' '10' '3'"),
    ]);
}

#[test]
fn patterns() {
    bench().check(&[
        ("MSET w_1 4 w_2 3 w_3 2 w_10 1", "+OK"),
        ("MSET o_1 one o_3 three", "+OK"),
        ("HSET h_1 f x", ":1"),
        ("HSET h_2 f y g 7", ":2"),
        ("SORT list BY w_*", "*4 '10' '3' '2' '1'"),
        ("SORT list BY w_* LIMIT 0 2 DESC", "*2 '1' '2'"),
        ("SORT list GET o_* GET # GET nothing", "*12 'one' '1' $-1 $-1 '2' $-1 'three' '3' $-1 $-1 '10' $-1"),
        ("SORT list GET h_*->f GET h_*->g LIMIT 0 2", "*4 'x' $-1 'y' '7'"),
        ("SORT list BY h_*->f ALPHA DESC GET #", "*4 '2' '1' '3' '10'"),
        ("SORT list BY h_* GET h_* LIMIT 0 1", "*1 $-1"),
        ("SORT list BY w_*->f", "*4 '1' '10' '2' '3'"),
        ("SORT list GET # GET #", "*8 '1' '1' '2' '2' '3' '3' '10' '10'"),
        ("SET w_2 x", "+OK"),
        ("SORT list BY w_* GET o_*", "ERR One or more scores can't be converted into double"),
    ]);
}

#[test]
fn refusals_in_order() {
    bench().check(&[
        ("SET string x", "+OK"),
        ("SORT string", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SORT string LIMIT 0", "ERR syntax error"),
        ("SORT string LIMIT a 1", "ERR value is not an integer or out of range"),
        ("SORT list BY", "ERR syntax error"),
        ("SORT list GET", "ERR syntax error"),
        ("SORT list STORE", "ERR syntax error"),
        ("SORT list ALPHA x", "ERR syntax error"),
        ("SORT_RO list STORE x", "ERR syntax error"),
    ]);
    let mut bench = bench();
    bench.rules.is_clustered = true;
    const BY: &str =
        "ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.";
    bench.check(&[
        ("SORT list BY w_* x", BY),
        ("SORT list x BY w_*", "ERR syntax error"),
        ("SORT list BY nosort GET #", "*4 '3' '10' '2' '1'"),
        ("SORT list BY {list}w_* GET {list}* GET list LIMIT 0 0", "*0"),
    ]);
    assert_eq!(bench.run("SORT list GET other"), BY.replace("BY option", "GET option"));
}

#[test]
fn store() {
    let mut bench = bench();
    bench.check(&[
        ("SORT list STORE out", ":4"),
        ("LRANGE out 0 -1", "*4 '1' '2' '3' '10'"),
        ("OBJECT ENCODING out", "'listpack'"),
        ("SET o_1 one EX 100", "+OK"),
        ("SET out x EX 100", "+OK"),
        ("SORT list GET o_* LIMIT 0 2 STORE out", ":2"),
        ("LRANGE out 0 -1", "*2 'one' ''"),
        ("TTL out", ":-1"),
        ("SORT list LIMIT 4 1 STORE out", ":0"),
        ("EXISTS out", ":0"),
        ("SORT nothing STORE list", ":0"),
        ("EXISTS list", ":0"),
        ("SADD set 30 4 x", ":3"),
        ("SORT set BY nosort STORE set", ":3"),
        ("LRANGE set 0 -1", "*3 '30' '4' 'x'"),
        ("SORT set STORE limit STORE other ALPHA", ":3"),
        ("EXISTS limit other", ":1"),
    ]);
    bench.check_journal(&[
        ("SORT set ALPHA", "0"),
        ("SORT set ALPHA STORE out", "3 as given"),
        ("SORT nothing STORE out", "1 as given"),
        ("SORT nothing STORE out", "0"),
    ]);
}

#[test]
fn what_has_expired_is_absent() {
    let mut bench = bench();
    bench.run("SET w_1 9 PX 10");
    bench.run("SET gone x PX 10");
    bench.now += 20;
    bench.shard.journaling = true;
    assert_eq!(bench.run("SORT list BY w_* LIMIT 0 1"), "*1 '1'");
    assert_eq!(bench.journal(), "0 UNLINK w_1");
    assert_eq!(bench.run("SORT list STORE gone"), ":4");
    assert_eq!(bench.journal(), "4 UNLINK gone; SORT list STORE gone");
    assert_eq!(bench.run("TTL gone"), ":-1");
    assert_eq!(bench.shard.stats.expired_keys, 2);
}

#[test]
fn an_expired_field_is_absent() {
    let mut bench = bench();
    bench.run("HSET h_1 f 5 g 6");
    bench.run("HPEXPIRE h_1 10 FIELDS 1 f");
    assert_eq!(bench.run("SORT list GET h_*->f LIMIT 0 1"), "*1 '5'");
    bench.now += 20;
    assert_eq!(bench.run("SORT list GET h_*->f GET h_*->g LIMIT 0 1"), "*2 $-1 '6'");
}

#[test]
fn a_stored_list_has_the_encoding_that_single_pushes_give_it() {
    let mut bench = Bench::new();
    for (count, encoding) in [(2044, "'listpack'"), (2045, "'quicklist'")] {
        let numbers: Vec<String> = (0..count).map(|number| (10_000 + number).to_string()).collect();
        bench.run("DEL numbers");
        bench.run(&format!("RPUSH numbers {}", numbers.join(" ")));
        assert_eq!(bench.run("SORT numbers STORE out"), format!(":{count}"));
        assert_eq!(bench.run("OBJECT ENCODING out"), encoding, "{count}");
    }
}

#[test]
fn zero_bytes_end_texts_in_the_order_of_c() {
    let mut bench = Bench::new();
    bench.run_words(&[b"RPUSH", b"list", b"a\0c", b"b", b"a\0b", b"a"]);
    assert_eq!(bench.run("SORT list ALPHA"), r"*4 'a\x00c' 'a\x00b' 'a' 'b'");
    bench.run("SORT list ALPHA STORE out");
    assert_eq!(bench.run("LRANGE out 0 -1"), r"*4 'a' 'a\x00b' 'a\x00c' 'b'");
}

/// Random lists, options and keys, against a sort that does everything the long way.
#[test]
fn random_calls_agree_with_a_simple_model() {
    let mut prng = Prng::new(11);
    for _ in 0..if cfg!(miri) { 2 } else { 60 } {
        let mut bench = Bench::new();
        let count = prng.below(40);
        let elements: Vec<String> = (0..count).map(|_| prng.below(30).to_string()).collect();
        if count > 0 {
            bench.run(&format!("RPUSH list {}", elements.join(" ")));
        }
        let mut weights = vec![None; 30];
        for (number, weight) in weights.iter_mut().enumerate() {
            if prng.below(4) > 0 {
                let value = prng.below(8) as i64 - 4;
                bench.run(&format!("SET w_{number} {value}"));
                *weight = Some(value.to_string());
            }
        }
        for _ in 0..20 {
            let (by, alpha, desc) = (prng.below(2) == 0, prng.below(2) == 0, prng.below(2) == 0);
            let (offset, limit) = (prng.below(45) as usize, prng.below(45) as usize);
            let limited = prng.below(2) == 0;
            let mut line = "SORT list".to_owned();
            for (has, word) in [(by, " BY w_*"), (alpha, " ALPHA"), (desc, " DESC")] {
                line += if has { word } else { "" };
            }
            if limited {
                line += &format!(" LIMIT {offset} {limit}");
            }
            let mut expected = elements.clone();
            expected.sort_by(|one, two| {
                let order = compare(one, two, &weights, by, alpha);
                if desc { order.reverse() } else { order }
            });
            if limited {
                expected = expected.into_iter().skip(offset).take(limit).collect();
            }
            let reply = expected.iter().fold(format!("*{}", expected.len()), |reply, one| format!("{reply} '{one}'"));
            assert_eq!(bench.run(&line), reply, "{line} of {elements:?} with {weights:?}");
        }
    }
}

fn compare(one: &String, two: &String, weights: &[Option<String>], by: bool, alpha: bool) -> Ordering {
    let weight = |element: &String| weights[element.parse::<usize>().unwrap()].as_ref();
    let number = |text: &String| text.parse::<i64>().unwrap();
    match (by, alpha) {
        (false, false) => number(one).cmp(&number(two)),
        (false, true) => one.cmp(two),
        (true, true) => weight(one).cmp(&weight(two)),
        (true, false) => {
            let weights = [one, two].map(|element| weight(element).map_or(0, number));
            weights[0].cmp(&weights[1]).then_with(|| one.cmp(two))
        }
    }
}
