//! Tests of the handlers of keys: replies, errors, expiry and effects.

#![allow(clippy::unwrap_used)]

use super::{
    ScanOptions, combine_digests, database_digests, debug_object, parse_cursor, populate, random_key, scan_page,
    value_digest,
};
use crate::access::AccessRule;
use crate::commands::harness::Bench;
use crate::keyspace::Cursor;
use crate::outcome::Outcome;
use crate::resp::{CommandError, Request};
use crate::units::DbIndex;

#[test]
fn existence() {
    Bench::new().check(&[
        ("mset a 1 b 2 c 3", "+OK"),
        ("exists a b a nope", ":3"),
        ("touch a nope", ":1"),
        ("type a", "+string"),
        ("type nope", "+none"),
        ("dbsize", ":3"),
        ("del a nope a", ":1"),
        ("unlink b", ":1"),
        ("keys *", "*1 'c'"),
        ("keys d*", "*0"),
        ("flushdb now", "ERR syntax error"),
        ("flushdb async", "+OK"),
        ("dbsize", ":0"),
        ("flushall SYNC", "+OK"),
    ]);
}

#[test]
fn expiry_times() {
    Bench::new().check(&[
        ("ttl a", ":-2"),
        ("expire a 10", ":0"),
        ("set a 1", "+OK"),
        ("ttl a", ":-1"),
        ("expire a 10 xx", ":0"),
        ("expire a 10 gt", ":0"),
        ("expire a 10 nx", ":1"),
        ("expire a 10 nx", ":0"),
        ("expire a 9 gt", ":0"),
        ("expire a 11 gt", ":1"),
        ("expire a 12 lt", ":0"),
        ("expire a 5 lt", ":1"),
        ("expire a 6 xx gt", ":1"),
        ("pttl a", ":6000"),
        ("pexpiretime a", ":1006000"),
        ("expiretime a", ":1006"),
        ("pexpire a 1499", ":1"),
        ("ttl a", ":1"),
        ("pexpire a 1500", ":1"),
        ("ttl a", ":2"),
        ("persist a", ":1"),
        ("persist a", ":0"),
        ("persist nope", ":0"),
        ("expire a 1 lt", ":1"),
        ("expire a 1 nx xx", "ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("expire a 1 gt lt", "ERR GT and LT options at the same time are not compatible"),
        ("expire a x foo", "ERR Unsupported option foo"),
        ("expire a x", "ERR value is not an integer or out of range"),
        ("expire a 9223372036854775807", "ERR invalid expire time in 'expire' command"),
        ("pexpire a 9223372036854775807", "ERR invalid expire time in 'pexpire' command"),
        ("expireat a -9223372036854775808", "ERR invalid expire time in 'expireat' command"),
        ("pexpireat a 9223372036854775807", ":1"),
        ("pexpiretime a", ":9223372036854775807"),
        ("expireat a 1000", ":1"),
        ("exists a", ":0"),
    ]);
}

#[test]
fn renaming_and_copying() {
    Bench::new().check(&[
        ("rename a a", "ERR no such key"),
        ("set a 1 ex 10", "+OK"),
        ("rename a a", "+OK"),
        ("renamenx a a", ":0"),
        ("set b 2", "+OK"),
        ("renamenx a b", ":0"),
        ("rename a b", "+OK"),
        ("ttl b", ":10"),
        ("copy b b", "ERR source and destination objects are the same"),
        ("copy b b db 16", "ERR DB index is out of range"),
        ("copy b b db x", "ERR value is not an integer or out of range"),
        ("copy b c db", "ERR syntax error"),
        ("copy b c db 99999999999", "ERR value is out of range, value must between -2147483648 and 2147483647"),
        ("copy nope c", ":0"),
        ("copy b c", ":1"),
        ("copy b c", ":0"),
        ("copy b c replace", ":1"),
        ("ttl c", ":10"),
        ("copy b b db 1", ":1"),
        ("move b 1", ":0"),
        ("move b 0", "ERR source and destination objects are the same"),
        ("move b -1", "ERR DB index is out of range"),
        ("move nope 1", ":0"),
        ("move c 1", ":1"),
        ("keys *", "*1 'b'"),
    ]);
}

#[test]
fn objects() {
    let mut bench = Bench::new();
    bench.run("set a 1");
    bench.now += 5_000;
    bench.check(&[
        ("object encoding nope", "$-1"),
        ("object encoding a", "'int'"),
        ("object refcount a", ":1"),
        ("object idletime a", ":5"),
        ("exists a", ":1"),
        ("object idletime a", ":5"),
        ("get a", "'1'"),
        ("object idletime a", ":0"),
        ("object freq nope", "$-1"),
    ]);
    assert!(bench.run("object freq a").starts_with("ERR An LFU maxmemory policy is not selected"));
    bench.now += 7_000;
    let text = debug_object(&mut bench.context(), b"a", false).unwrap();
    assert!(text.contains(" refcount:1 encoding:int serializedlength:0 lru:1005 lru_seconds_idle:7"), "{text}");
    assert_eq!(debug_object(&mut bench.context(), b"nope", true), Err(CommandError::NoSuchKey));
    let request = Request::new([&b"GET"[..], b"a"]);
    let mut context = bench.context();
    context.no_touch = true;
    let key = context.key(&request.args(), 1);
    context.read(&key).unwrap();
    bench.check(&[("object idletime a", ":7"), ("set a 2", "+OK"), ("object idletime a", ":0")]);
    bench.rules.access = AccessRule::Count { log_factor: 0, decay_minutes: 1 };
    bench.check(&[
        ("set new 1", "+OK"),
        ("object freq new", ":5"),
        ("get new", "'1'"),
        ("set new 2", "+OK"),
        ("object freq new", ":7"),
    ]);
    assert!(bench.run("object idletime a").starts_with("ERR An LFU maxmemory policy is selected"));
}

#[test]
fn the_journal_gets_absolute_times() {
    Bench::new().check_journal(&[
        ("del a", "0"),
        ("mset a 1 b 2", "2 as given"),
        ("expire a 10", "1 PEXPIREAT a 1010000"),
        ("expire a 10 nx", "0"),
        ("expire a 20 xx GT", "1 PEXPIREAT a 1020000 xx GT"),
        ("persist a", "1 as given"),
        ("persist a", "0"),
        ("expireat a 7", "1 UNLINK a"),
        ("rename b b", "0"),
        ("rename b c", "1 as given"),
        ("copy c d", "1 as given"),
        ("move d 1", "1 as given"),
        ("del c nope", "1 as given"),
        ("flushdb", "0 as given"),
        ("flushall", "1 as given"),
    ]);
    let mut bench = Bench::new();
    bench.shard.lazy_free.expire = false;
    bench.check_journal(&[("set a 1", "1 as given"), ("expire a -1", "1 DEL a")]);
}

#[test]
fn an_expired_key_in_another_database_is_named_there() {
    let mut bench = Bench::new();
    bench.db = DbIndex(1);
    bench.run("set a 1 px 10");
    bench.db = DbIndex(0);
    bench.run("set a 2");
    bench.now += 11;
    bench.check_journal(&[("move a 1", "1 SELECT 1; UNLINK a; SELECT 0; move a 1")]);
}

#[test]
fn digests_are_those_of_valkey() {
    let mut bench = Bench::new();
    let hex = |digest: [u8; 20]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let total = |bench: &mut Bench| hex(combine_digests([database_digests(&mut bench.context()).as_slice()]));
    assert_eq!(total(&mut bench), "0".repeat(40));
    populate(&mut bench.context(), 2, b"foo", 20, |_| true);
    assert_eq!(hex(value_digest(&mut bench.context(), b"foo:1")), "8c4826742fd0dcf962fcc3939bf6132aabbe7a38");
    assert_eq!(hex(value_digest(&mut bench.context(), b"nope")), "0".repeat(40));
    bench.check(&[("flushall", "+OK"), ("set b 1", "+OK")]);
    assert_eq!(total(&mut bench), "1fbd4c933fdc33432ddf57c8585b36cd806fedfe");
    bench.db = DbIndex(1);
    bench.run("set q 1");
    assert_eq!(total(&mut bench), "011af59604f2e14e877a1557e4a370909da35a87");
}

#[test]
fn populating_skips_what_exists_or_lives_elsewhere() {
    let mut bench = Bench::new();
    bench.run("set k:1 mine");
    populate(&mut bench.context(), 4, b"k", 0, |name| name != b"k:3");
    bench.check(&[("mget k:0 k:1 k:2 k:3", "*4 'value:0' 'mine' 'value:2' $-1")]);
    populate(&mut bench.context(), 1, b"cut", 3, |_| true);
    populate(&mut bench.context(), 1, b"long", 9, |_| true);
    bench.check(&[("mget cut:0 long:0", "*2 'val' 'value:0\\x00\\x00'")]);
}

#[test]
fn scan_arguments() {
    let parse = |line: &str| ScanOptions::parse(&Request::new(line.split(' ').map(str::as_bytes)).args());
    assert_eq!(parse("scan 0 count 5 match a* type string").unwrap().page.count, 5);
    for (line, error) in [
        ("scan 0 count 0", CommandError::Syntax),
        ("scan 0 count", CommandError::Syntax),
        ("scan 0 count x", CommandError::NotAnInteger),
        ("scan 0 type foo", CommandError::text("unknown type name 'foo'")),
        ("scan 0 novalues", CommandError::text("NOVALUES option can only be used in HSCAN")),
        ("scan 0 nope", CommandError::Syntax),
    ] {
        assert_eq!(parse(line), Err(error), "{line}");
    }
    assert_eq!(parse_cursor(b"18446744073709551615"), Ok(u64::MAX));
    assert_eq!(parse_cursor(b"007"), Ok(7));
    for text in ["", "-1", "x", "1x", "18446744073709551616"] {
        assert_eq!(parse_cursor(text.as_bytes()), Err(CommandError::text("invalid cursor")), "{text}");
    }
}

#[test]
fn a_scan_gives_every_key_that_fits_once() {
    let mut bench = Bench::new();
    populate(&mut bench.context(), 500, b"k", 0, |_| true);
    bench.run("set k:7 x px 5");
    bench.run("set k:8 x px 5");
    bench.now += 6;
    let request = Request::new([&b"scan"[..], b"0", b"match", b"k:?", b"count", b"20"]);
    let options = ScanOptions::parse(&request.args()).unwrap();
    let (mut cursor, mut names, mut pages) = (Some(Cursor::default()), Vec::new(), 0);
    let mut context = bench.context();
    context.shard.journaling = true;
    while let Some(at) = cursor {
        cursor = scan_page(&mut context, at, &options, &mut names);
        pages += 1;
    }
    let outcome = context.settle(Outcome::unchanged(), &request.args());
    assert!(pages > 5, "a page shows about as many keys as it was asked for");
    names.sort();
    let text: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    assert_eq!(text, ["k:0", "k:1", "k:2", "k:3", "k:4", "k:5", "k:6", "k:9"]);
    bench.last = outcome;
    assert_eq!(bench.journal(), "0 UNLINK k:7; UNLINK k:8");
    bench.check(&[("dbsize", ":498")]);
}

#[test]
fn a_random_key_is_one_that_is_there() {
    let mut bench = Bench::new();
    assert_eq!(random_key(&mut bench.context()), None);
    bench.run("mset a 1 b 2");
    bench.run("pexpire b 5");
    bench.now += 6;
    for _ in 0..20 {
        assert_eq!(random_key(&mut bench.context()).as_deref(), Some(&b"a"[..]));
    }
    bench.run("del a");
    assert_eq!(random_key(&mut bench.context()), None);
}

#[test]
fn a_hash_known_from_routing_is_used() {
    let mut bench = Bench::new();
    let request = Request::new([&b"GET"[..], b"a", b"b"]);
    let hash = bench.shard.key(b"a").hash;
    let mut context = bench.context();
    context.first_key = Some((1, hash));
    assert_eq!(context.key(&request.args(), 1).hash, hash);
    assert_ne!(context.key(&request.args(), 2).hash, hash);
}
