//! What the golden cases cannot see: the journal, the clock, who sees what has expired.
#![allow(clippy::unwrap_used)]

use crate::command::Run;
use crate::command::table;
use crate::commands::harness::Bench;
use crate::commands::{Context, Expiry};
use crate::resp::{Protocol, Reply, ReplyBuffer, Request};
use crate::units::Millis;

/// Runs a line as a call of a primary or a journal.
fn run_as_told(bench: &mut Bench, line: &str) {
    let request = Request::new(line.split(' ').map(str::as_bytes));
    let Run::OnShard(handler) = table::resolve(&request.args()).unwrap().run else { panic!("{line}") };
    let mut out = ReplyBuffer::default();
    let mut context = Context::new(&mut bench.shard, bench.db, Millis(bench.now), &bench.rules);
    context.expiry = Expiry::Ignore;
    let (_, result) = context.run(handler, &request.args(), &mut Reply::new(&mut out, Protocol::Resp2));
    result.unwrap();
}

#[test]
fn the_journal_holds_absolute_times_and_final_values() {
    let mut bench = Bench::new();
    bench.check_journal(&[
        ("hset h a 1 b 2 c 3", "3 as given"),
        ("hsetnx h d 4", "1 as given"),
        ("hsetnx h d 4", "0"),
        ("hincrby h a 1", "1 as given"),
        ("hincrbyfloat h a 0.5", "1 HSET h a 2.5"),
        ("hexpire h 10 fields 2 a x", "1 HPEXPIREAT h 1010000 FIELDS 1 a"),
        ("hpexpire h 10 nx fields 2 a b", "1 HPEXPIREAT h 1000010 FIELDS 1 b"),
        ("hexpireat h 2000 xx fields 1 c", "0"),
        ("hincrbyfloat h a 0.5", "1 HSETEX h PXAT 1010000 FIELDS 1 a 3"),
        ("hincrby h a 2", "1 HSETEX h PXAT 1010000 FIELDS 1 a 5"),
        ("hincrby h c 2", "1 HSET h c 5"),
        ("hsetnx h e 4", "1 HSET h e 4"),
        ("hpersist h fields 3 a c x", "1 HPERSIST h FIELDS 1 a"),
        ("hgetex h ex 5 fields 2 c x", "1 HPEXPIREAT h 1005000 FIELDS 1 c"),
        ("hgetex h fields 1 c", "0"),
        ("hgetex h persist fields 2 a c", "1 HPERSIST h FIELDS 1 c"),
        ("hgetex h exat 1 fields 2 c x", "1 HDEL h c"),
        ("hsetex h fnx px 7 FIELDS 1 f 1", "1 HSETEX h PXAT 1000007 FIELDS 1 f 1"),
        ("hsetex h keepttl FIELDS 2 f 1 g 2", "2 HSETEX h KEEPTTL FIELDS 2 f 1 g 2"),
        ("hsetex h xx FIELDS 1 f 1", "1 HSETEX h FIELDS 1 f 1"),
        ("hsetex h pxat 1 fields 2 y 1 f 2", "1 HDEL h f"),
        ("hsetex h fxx fields 1 zz 1", "0"),
        ("hexpire h 0 fields 2 g x", "1 HDEL h g"),
        ("hgetdel h fields 2 e x", "1 HDEL h e"),
        ("hdel h a", "1 as given"),
        ("hdel h b x", "1 HDEL h b"),
        ("hdel h d", "1 as given"),
        ("exists h", "0"),
        ("hmset h a 1 b 2", "2 as given"),
    ]);
}

#[test]
fn what_has_expired_is_absent_until_written_over() {
    let mut bench = Bench::new();
    bench.check(&[("hset h a 1 b 2 c 3 d 4", ":4"), ("hpexpire h 10 fields 3 a b c", "*3 :1 :1 :1")]);
    bench.now += 10;
    bench.check(&[("hpttl h fields 2 a d", "*2 :0 :-1"), ("hget h a", "'1'")]);
    bench.now += 1;
    bench.check(&[
        ("hget h a", "$-1"),
        ("hlen h", ":4"),
        ("hgetall h", "*2 'd' '4'"),
        ("hdel h a", ":0"),
        ("hset h a 5", ":1"),
        ("hincrby h b 5", ":5"),
        ("httl h fields 3 a b c", "*3 :-1 :-1 :-2"),
    ]);
    assert_eq!(bench.shard.stats.expired_fields, 2);
    bench.check_journal(&[
        ("hsetex h keepttl FIELDS 2 c 1 d 1", "2 HDEL h c; HSETEX h KEEPTTL FIELDS 2 c 1 d 1"),
        ("hpexpire h 10 fields 1 c", "1 HPEXPIREAT h 1000021 FIELDS 1 c"),
    ]);
    bench.now += 11;
    bench.check_journal(&[
        ("hpersist h fields 2 c d", "0"),
        ("hexpire h 5 fields 2 c d", "1 HPEXPIREAT h 1005022 FIELDS 1 d"),
        ("hdel h c d", "1 HDEL h d"),
        ("hsetnx h c 6", "1 HSET h c 6"),
        ("hpexpire h 10 fields 1 c", "1 HPEXPIREAT h 1000032 FIELDS 1 c"),
    ]);
    bench.now += 11;
    // What is written for no time is written over what has expired, too.
    let expired_before = bench.shard.stats.expired_fields;
    bench.check_journal(&[
        ("hset h b 1 e 1", "2 as given"),
        ("hsetex h pxat 1 fields 3 c 1 e 1 f 1", "2 HDEL h c e"),
        ("hsetex h pxat 1 fields 1 f 1", "0"),
    ]);
    assert_eq!(bench.shard.stats.expired_fields, expired_before + 4);
    bench.check(&[("hkeys h", "*2 'a' 'b'")]);
}

#[test]
fn who_follows_a_primary_keeps_what_has_expired() {
    let mut bench = Bench::new();
    run_as_told(&mut bench, "hset h a 1 b 2");
    run_as_told(&mut bench, "hpexpireat h 5 fields 1 a");
    bench.check(&[("hget h a", "$-1"), ("hlen h", ":2")]);
    run_as_told(&mut bench, "hincrby h a 5");
    run_as_told(&mut bench, "hsetex h pxat 7 fields 1 b 3");
    run_as_told(&mut bench, "hpersist h fields 1 a");
    bench.check(&[("hget h a", "'6'"), ("hget h b", "$-1"), ("hlen h", ":2")]);
    run_as_told(&mut bench, "hdel h a b");
    bench.check(&[("exists h", ":0")]);
}

#[test]
fn absurd_counts_are_refused() {
    let mut bench = Bench::new();
    bench.check(&[("hset h a 1", ":1"), ("hrandfield h -9223372036854775807", "ERR value is out of range")]);
    assert_eq!(bench.run("hrandfield h -3 withvalues"), "*6 'a' '1' 'a' '1' 'a' '1'");
}
