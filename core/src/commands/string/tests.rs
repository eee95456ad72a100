//! Tests of the handlers of strings: replies, errors, expiry and effects.

#![allow(clippy::unwrap_used)]

use crate::commands::harness::Bench;
use crate::limits::SHARED_VALUE_BYTES_MIN;
use crate::resp::{Protocol, Reply, ReplyBuffer, Request};
use bytes::Bytes;

#[test]
fn set_and_its_options() {
    Bench::new().check(&[
        ("set a 1", "+OK"),
        ("set a 2 nx", "$-1"),
        ("set b 2 xx", "$-1"),
        ("set a 2 XX GET", "'1'"),
        ("set b 9 nx get", "$-1"),
        ("set b 8 nx get", "'9'"),
        ("get b", "'9'"),
        ("set a 3 ifeq 2", "+OK"),
        ("set a 4 ifeq 2", "$-1"),
        ("set a 4 ifeq 2 get", "'3'"),
        ("set a 3 ifeq 3 get ex 10", "'3'"),
        ("ttl a", ":10"),
        ("set a 5 keepttl", "+OK"),
        ("ttl a", ":10"),
        ("set a 5", "+OK"),
        ("ttl a", ":-1"),
        ("set none 5 ifeq 3 get", "$-1"),
        ("exists none", ":0"),
        ("set a 1 nx xx", "ERR syntax error"),
        ("set a 1 nx ifeq 1", "ERR syntax error"),
        ("set a 1 ifeq", "ERR syntax error"),
        ("set a 1 ex 1 px 1", "ERR syntax error"),
        ("set a 1 ex 0 nonsense", "ERR syntax error"),
        ("set a 1 ex 0", "ERR invalid expire time in 'set' command"),
        ("set a 1 px x", "ERR value is not an integer or out of range"),
        ("get a", "'5'"),
        ("set a 1 exat 1", "+OK"),
        ("exists a", ":0"),
        ("set a 1 get exat 1", "$-1"),
        ("setnx a 1", ":1"),
        ("setnx a 2", ":0"),
        ("setex a 0 v", "ERR invalid expire time in 'setex' command"),
        ("psetex a 1500 v", "+OK"),
        ("pttl a", ":1500"),
        ("getset a w", "'v'"),
        ("ttl a", ":-1"),
    ]);
}

#[test]
fn get_and_change() {
    Bench::new().check(&[
        ("getex a", "$-1"),
        ("getex a ex 0", "ERR invalid expire time in 'getex' command"),
        ("getex a keepttl", "ERR syntax error"),
        ("set a 1", "+OK"),
        ("getex a ex 100", "'1'"),
        ("ttl a", ":100"),
        ("getex a persist", "'1'"),
        ("ttl a", ":-1"),
        ("getex a pxat 5", "'1'"),
        ("getex a", "$-1"),
        ("set a 10", "+OK"),
        ("delifeq a 1", ":0"),
        ("delifeq a 10", ":1"),
        ("delifeq a 10", ":0"),
        ("set a x", "+OK"),
        ("getdel a", "'x'"),
        ("getdel a", "$-1"),
        ("strlen a", ":0"),
        ("set a -123", "+OK"),
        ("strlen a", ":4"),
    ]);
}

#[test]
fn numbers() {
    Bench::new().check(&[
        ("incr n", ":1"),
        ("decrby n 3", ":-2"),
        ("incrby n 9223372036854775807", ":9223372036854775805"),
        ("incrby n 3", "ERR increment or decrement would overflow"),
        ("decrby n -9223372036854775808", "ERR decrement would overflow"),
        ("incrby n 1.5", "ERR value is not an integer or out of range"),
        ("set n ' 1'", "+OK"),
        ("incr n", "ERR value is not an integer or out of range"),
        ("set n 3 ex 10", "+OK"),
        ("incrbyfloat n 1.1", "'4.1'"),
        ("ttl n", ":10"),
        ("incrbyfloat n -0.1", "'4'"),
        ("object encoding n", "'embstr'"),
        ("incr n", ":5"),
        ("object encoding n", "'int'"),
        ("incrbyfloat n x", "ERR value is not a valid float"),
        ("incrbyfloat n inf", "ERR increment would produce NaN or Infinity"),
        ("set s x", "+OK"),
        ("incrbyfloat s y", "ERR value is not a valid float"),
        ("incrbyfloat new 5.0e3", "'5000'"),
    ]);
}

#[test]
fn parts() {
    Bench::new().check(&[
        ("append a 12", ":2"),
        ("append a 34", ":4"),
        ("object encoding a", "'raw'"),
        ("getrange a 1 -2", "'23'"),
        ("substr a 0 -1", "'1234'"),
        ("getrange a 5 9", "''"),
        ("getrange none 0 -1", "''"),
        ("getrange none x -1", "ERR value is not an integer or out of range"),
        ("setrange a 6 x", ":7"),
        ("get a", "'1234\\x00\\x00x'"),
        ("setrange b 0 ''", ":0"),
        ("exists b", ":0"),
        ("setrange a 1 ''", ":7"),
        ("setrange b 2 hi", ":4"),
        ("setrange b -1 hi", "ERR offset is out of range"),
        ("setrange b 536870911 hi", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("setrange b 9223372036854775807 hi", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("set n 15", "+OK"),
        ("setrange n 1 9", ":2"),
        ("incr n", ":20"),
        ("append n 1", ":3"),
        ("incr n", ":202"),
    ]);
    let mut bench = Bench::new();
    bench.rules.bulk_bytes_max = 4;
    bench.check(&[
        ("append a 12345", ":5"),
        ("append a 6", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
    ]);
}

#[test]
fn several() {
    Bench::new().check(&[
        ("mset a 1 b 2 a 3", "+OK"),
        ("mget a b c", "*3 '3' '2' $-1"),
        ("mset a 1 b", "ERR wrong number of arguments for 'mset' command"),
        ("msetnx c 1 b 1", ":0"),
        ("msetnx c 1 d 1 c 2", ":1"),
        ("get c", "'2'"),
        ("msetex x a 1", "ERR invalid numkeys value or out of range"),
        ("msetex 0 a 1", "ERR invalid numkeys value or out of range"),
        ("msetex 2 a 1", "ERR syntax error"),
        ("msetex 1 a 1 nx xx", "ERR syntax error"),
        ("msetex 1 a 1 ex 0", "ERR invalid expire time in 'msetex' command"),
        ("msetex 2 a 1 q 1 xx", ":0"),
        ("msetex 2 a 1 q 1 nx", ":0"),
        ("msetex 2 a 7 b 8 xx px 1700", ":1"),
        ("pttl b", ":1700"),
        ("msetex 2 a 7 e 8 keepttl", ":1"),
        ("pttl a", ":1700"),
        ("pttl e", ":-1"),
        ("msetex 1 a 7 pxat 1", ":1"),
        ("exists a", ":0"),
    ]);
}

#[test]
fn longest_common_subsequence() {
    let mut bench = Bench::new();
    bench.check(&[
        ("mset a ohmytext b mynewtext n 15", "+OK"),
        ("lcs a b", "'mytext'"),
        ("lcs a b len", ":6"),
        ("lcs a b idx", "*4 'matches' *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 'len' :6"),
        ("lcs a b idx minmatchlen 3 withmatchlen", "*4 'matches' *1 *3 *2 :4 :7 *2 :5 :8 :4 'len' :6"),
        ("lcs a none", "''"),
        ("lcs n n", "'15'"),
        ("lcs a b len idx", "ERR If you want both the length and indexes, please just use IDX."),
        ("lcs a b minmatchlen", "ERR syntax error"),
    ]);
    bench.protocol = Protocol::Resp3;
    bench.check(&[("lcs n n idx", "%2 'matches' *1 *2 *2 :0 :1 *2 :0 :1 'len' :2")]);
    bench.rules.bulk_bytes_max = 100;
    bench.check(&[("lcs a b", "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")]);
}

#[test]
fn the_journal_gets_canonical_effects() {
    Bench::new().check_journal(&[
        ("set a 1", "1 as given"),
        ("set a 1 ex 10", "1 SET a 1 PXAT 1010000"),
        ("set a 1 nx px 10", "0"),
        ("set a 2 xx px 10", "1 SET a 2 PXAT 1000010"),
        ("set a 1 exat 5000 get", "1 SET a 1 PXAT 5000000"),
        ("set a 3 get keepttl xx", "1 SET a 3 XX KEEPTTL"),
        ("set a get ifeq 3 get", "1 SET a get IFEQ 3"),
        ("set a 1 pxat 99999999", "1 as given"),
        ("set a 1 pxat 5", "1 UNLINK a"),
        ("set a 1 pxat 5", "0"),
        ("setex a 10 1", "1 SET a 1 PXAT 1010000"),
        ("getset a 2", "1 SET a 2"),
        ("getex a", "0"),
        ("getex a persist", "0"),
        ("getex a ex 10", "1 PEXPIREAT a 1010000"),
        ("getex a persist", "1 PERSIST a"),
        ("getex a exat 1", "1 UNLINK a"),
        ("incrbyfloat a 1.5", "1 SET a 1.5 KEEPTTL"),
        ("delifeq a 1", "0"),
        ("delifeq a 1.5", "1 DEL a"),
        ("append a 1", "1 as given"),
        ("setrange a 0 ''", "0"),
        ("getdel a", "1 DEL a"),
        ("getdel a", "0"),
        ("mset a 1 b 2", "2 as given"),
        ("msetnx a 1 b 2", "0"),
        ("msetex 2 a 1 b 2", "2 as given"),
        ("msetex 2 a 1 b 2 ex 10 xx", "2 MSETEX 2 a 1 b 2 PXAT 1010000 XX"),
        ("msetex 2 a 1 b 2 pxat 99999999", "2 as given"),
        ("incr a", "1 as given"),
    ]);
}

#[test]
fn expired_keys_leave_before_the_command_takes_effect() {
    let mut bench = Bench::new();
    for (line, journal) in [
        ("get a", "0 UNLINK a"),
        ("mget a a", "0 UNLINK a"),
        ("set a 2", "1 UNLINK a; set a 2"),
        ("set a 2 xx", "0 UNLINK a"),
        ("set a 2 ex 10", "1 UNLINK a; SET a 2 PXAT 1010100"),
        ("mset a 1 a 2", "2 UNLINK a; mset a 1 a 2"),
        ("incr a", "1 UNLINK a; incr a"),
        ("append a x", "1 UNLINK a; append a x"),
        ("setrange a 1 x", "1 UNLINK a; setrange a 1 x"),
        ("msetex 1 a 2 pxat 1", "1 UNLINK a; msetex 1 a 2 pxat 1"),
        ("setex a 10 x", "1 UNLINK a; SET a x PXAT 1010100"),
        ("del a", "0 UNLINK a"),
        ("rename a b", "0 UNLINK a"),
    ] {
        bench.now = 1_000_000;
        bench.run("flushall");
        bench.run("set a old px 50");
        bench.now = 1_000_050;
        assert_eq!(bench.run("exists a"), ":1", "a key lives through its last millisecond");
        bench.now = 1_000_100;
        let before = bench.shard.stats.expired_keys;
        bench.check_journal(&[(line, journal)]);
        assert_eq!(bench.shard.stats.expired_keys, before + 1, "{line}");
    }
}

#[test]
fn reads_are_counted_as_hits_and_misses() {
    let mut bench = Bench::new();
    bench.run("set a 1");
    let mut counted = |line: &str| {
        let before = (bench.shard.stats.keyspace_hits, bench.shard.stats.keyspace_misses);
        bench.run(line);
        (bench.shard.stats.keyspace_hits - before.0, bench.shard.stats.keyspace_misses - before.1)
    };
    for (line, hits, misses) in [
        ("get a", 1, 0),
        ("get b", 0, 1),
        ("mget a b c", 1, 2),
        ("set a 1", 0, 0),
        ("set a 1 get", 1, 0),
        ("set a 1 xx", 0, 0),
        ("incr a", 0, 0),
        ("exists a b", 1, 1),
        ("ttl a", 1, 0),
        ("getex a", 1, 0),
        ("append a 1", 0, 0),
        ("strlen a", 1, 0),
        ("del b", 0, 0),
        ("object encoding a", 1, 0),
        ("copy a c", 1, 0),
        ("touch a b", 1, 1),
        ("type a", 1, 0),
        ("rename a b", 0, 0),
        ("getdel b", 1, 0),
    ] {
        assert_eq!(counted(line), (hits, misses), "{line}");
    }
}

#[test]
fn large_arguments_are_stored_and_sent_without_a_copy() {
    let mut bench = Bench::new();
    let big = Bytes::from(vec![b'x'; SHARED_VALUE_BYTES_MIN]);
    let mut words = Request::new([&b"SET"[..], b"k"]);
    words.push_shared(big.clone());
    let mut out = ReplyBuffer::default();
    let (_, result) = bench.context().run(super::set, &words.args(), &mut Reply::new(&mut out, Protocol::Resp2));
    result.unwrap();
    out.clear();
    let get = Request::new([&b"GET"[..], b"k"]);
    bench.context().run(super::get, &get.args(), &mut Reply::new(&mut out, Protocol::Resp2)).1.unwrap();
    assert_eq!(out.shared[0].bytes.as_ptr(), big.as_ptr());
    assert_eq!(bench.run("getrange k 1 2"), "'xx'");
    assert_eq!(bench.run("append k y"), format!(":{}", SHARED_VALUE_BYTES_MIN + 1));
    assert_eq!(big.len(), SHARED_VALUE_BYTES_MIN, "the argument itself has not changed");
}
