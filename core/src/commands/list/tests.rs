//! Tests of the handlers of lists: replies, errors, encodings and effects.

#![allow(clippy::unwrap_used)]

use crate::commands::harness::Bench;
use crate::prng::Prng;
use crate::resp::Protocol;

#[test]
fn elements_come_and_go_at_both_ends() {
    Bench::new().check(&[
        ("rpush k a b", ":2"),
        ("lpush k c 1", ":4"),
        ("lrange k 0 -1", "*4 '1' 'c' 'a' 'b'"),
        ("lpop k", "'1'"),
        ("rpop k 2", "*2 'b' 'a'"),
        ("lpop k 9", "*1 'c'"),
        ("exists k", ":0"),
        ("lpop k", "$-1"),
        ("rpop k 1", "*-1"),
        ("lpop k 0", "*-1"),
        ("lpushx k a", ":0"),
        ("rpush k a", ":1"),
        ("rpushx k b c", ":3"),
        ("lpop k 0", "*0"),
        ("lpop k -1", "ERR value is out of range, must be positive"),
        ("lpop k x", "ERR value is out of range, must be positive"),
        ("rpop k 1 2", "ERR wrong number of arguments for 'rpop' command"),
        ("set s text", "+OK"),
        ("lpush s a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("rpop s 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("lpop s 0", "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn positions_may_be_absurd() {
    Bench::new().check(&[
        ("rpush k a b c", ":3"),
        ("lindex k -9223372036854775808", "$-1"),
        ("lindex k 9223372036854775807", "$-1"),
        ("lrange k -9223372036854775808 9223372036854775807", "*3 'a' 'b' 'c'"),
        ("lrange k 9223372036854775807 -9223372036854775808", "*0"),
        ("lset k -9223372036854775808 x", "ERR index out of range"),
        ("lset k 4294967296 x", "ERR index out of range"),
        ("lpos k c rank -9223372036854775807", "$-1"),
        ("lpos k c rank 9223372036854775807 count 0 maxlen 9223372036854775807", "*0"),
        ("lrem k -9223372036854775807 c", ":1"),
        ("lmpop 9223372036854775807 k left", "ERR syntax error"),
        ("lpop k 9223372036854775807", "*2 'a' 'b'"),
    ]);
}

#[test]
fn a_pair_of_keys_may_be_one() {
    Bench::new().check(&[
        ("rpush k a b c", ":3"),
        ("lmove k k left right", "'a'"),
        ("lrange k 0 -1", "*3 'b' 'c' 'a'"),
        ("rpoplpush k k", "'a'"),
        ("lrange k 0 -1", "*3 'a' 'b' 'c'"),
        ("rpush one x", ":1"),
        ("expire one 100", ":1"),
        ("lmove one one left left", "'x'"),
        ("ttl one", ":100"),
        ("lmove one k left left", "'x'"),
        ("exists one", ":0"),
        ("lmove k one right right", "'c'"),
        ("ttl one", ":-1"),
    ]);
}

#[test]
fn a_list_whose_time_has_passed_is_gone() {
    let mut bench = Bench::new();
    bench.check(&[("rpush k a", ":1"), ("pexpire k 10", ":1")]);
    bench.now += 11;
    bench.check(&[("rpushx k b", ":0"), ("lpop k", "$-1"), ("rpush k c", ":1"), ("ttl k", ":-1")]);
}

#[test]
fn the_journal_gets_what_was_done() {
    Bench::new().check_journal(&[
        ("rpush k a b c d e f g h", "8 as given"),
        ("lpushx none a", "0"),
        ("lpop k", "1 as given"),
        ("rpop k 2", "2 as given"),
        ("lpop k 0", "0"),
        ("lmpop 2 none k right count 2", "2 RPOP k 2"),
        ("lmpop 1 none left", "0"),
        ("lset k 0 x", "1 as given"),
        ("linsert k after x y", "1 as given"),
        ("linsert k after none y", "0"),
        ("lrem k 0 none", "0"),
        ("lrem k 0 y", "1 as given"),
        ("ltrim k 0 -1", "0"),
        ("ltrim k 0 -2", "1 as given"),
        ("lmove k l left right", "1 as given"),
        ("lmove none l left right", "0"),
        ("lmpop 1 k left count 100", "1 LPOP k 1"),
        ("ltrim l 1 0", "1 as given"),
    ]);
}

#[test]
fn absence_in_resp3_has_one_face() {
    let mut bench = Bench::new();
    bench.protocol = Protocol::Resp3;
    bench.check(&[("lpop k", "_"), ("lpop k 1", "_"), ("lindex k 0", "_"), ("lpos k a", "_"), ("lmpop 1 k left", "_")]);
}

#[test]
fn encodings_change_where_they_should() {
    let mut bench = Bench::new();
    bench.rules.limits.list_size = 4;
    bench.check(&[
        ("rpush k a b c d", ":4"),
        ("object encoding k", "'listpack'"),
        ("rpush k e", ":5"),
        ("object encoding k", "'quicklist'"),
        ("lpop k 2", "*2 'a' 'b'"),
        ("object encoding k", "'quicklist'"),
        ("rpop k", "'e'"),
        ("object encoding k", "'listpack'"),
        ("rpush l 1 2 3 4", ":4"),
        ("lset l 9 x", "ERR index out of range"),
        ("object encoding l", "'quicklist'"),
    ]);
    // Valkey counts what the texts of a call take, not what they become: a call of empty ones makes a long listpack.
    bench.rules.limits.list_size = -2;
    let mut words = vec![&b"rpush"[..], b"m"];
    words.resize(2 + 100_000, b"");
    assert_eq!(bench.run_words(&words), ":100000");
    bench.check(&[
        ("object encoding m", "'listpack'"),
        ("llen m", ":100000"),
        ("lindex m 99999", "''"),
        ("lset m 50000 x", "+OK"),
        ("object encoding m", "'quicklist'"),
        ("lpos m x", ":50000"),
        ("lrem m 0 ''", ":99999"),
        ("object encoding m", "'listpack'"),
        ("lrange m 0 -1", "*1 'x'"),
    ]);
}

/// The same random calls with small nodes and with one large enough for everything give the same replies.
#[test]
fn limits_do_not_show_in_replies() {
    let limits = [(-2, 0), (0, 0), (1, 40), (2, 0), (7, 1), (-1, 0)];
    let mut prng = Prng::new(11);
    let bench_of = |(size, plain_from)| {
        let mut bench = Bench::new();
        (bench.rules.limits.list_size, bench.rules.limits.list_plain_from) = (size, plain_from);
        bench
    };
    let mut benches = limits.map(bench_of);
    for step in 0..3000 {
        let line = any_call(&mut prng);
        let replies = benches.each_mut().map(|bench| bench.run(&line));
        for (reply, limit) in replies.iter().zip(limits) {
            assert_eq!(*reply, replies[0], "step {step}, limits {limit:?}: {line}");
        }
    }
}

fn any_call(prng: &mut Prng) -> String {
    let mut below = |bound: u64| prng.below(bound) as i64;
    let key = |number: i64| ["a", "b", "c"][number as usize];
    let (k, l) = (key(below(3)), key(below(3)));
    let text = match below(4) {
        0 => below(1000).to_string(),
        1 => "x".repeat(below(90) as usize + 1),
        2 => "y".repeat(below(3000) as usize + 1),
        _ => ["p", "q", "17", "-3"][below(4) as usize].into(),
    };
    let (end, other) = (["left", "right"][below(2) as usize], ["left", "right"][below(2) as usize]);
    let (from, to) = (below(60) - 30, below(60) - 30);
    match below(15) {
        0..3 => format!("rpush {k} {text} p {from}"),
        3..5 => format!("lpush {k} {text} q"),
        5 => format!("lpop {k}"),
        6 => format!("rpop {k} {}", below(9)),
        7 => format!("lset {k} {from} {text}"),
        8 => format!("linsert {k} {} p {text}", if end == "left" { "before" } else { "after" }),
        9 => format!("lrem {k} {} q", below(7) - 3),
        10 => format!("lrange {k} {from} {to}"),
        11 => format!("lmove {k} {l} {end} {other}"),
        12 => format!("lmpop 2 {k} {l} {end} count {}", below(5) + 1),
        13 => format!("lpos {k} p rank {} count {}", 2 * below(3) - 3, below(4)),
        _ if below(4) == 0 => format!("ltrim {k} {} {to}", below(3)),
        _ => format!("lindex {k} {from}"),
    }
}
