//! What streams leave in the journal, and what their commands do under limits. Replies are compared in `tests/cases`.
#![allow(clippy::unwrap_used)]
use crate::commands::harness::Bench;
use crate::commands::{Context, Expiry};
use crate::keyspace::Value;
use crate::prng::Prng;
use crate::resp::{Reply, ReplyBuffer, Request};

#[test]
fn ids_follow_the_clock_and_never_go_back() {
    let mut bench = Bench::new();
    bench.check(&[("XADD k * a b", "'1000000-0'"), ("XADD k * a b", "'1000000-1'")]);
    bench.now -= 10;
    bench.check(&[("XADD k * a b", "'1000000-2'"), ("XADD k 999999-* a b", NOT_LARGER)]);
    bench.now += 11;
    bench.check(&[("XADD k * a b", "'1000001-0'"), ("XADD k 1000001-* a b", "'1000001-1'")]);
    bench.now = -5;
    bench.check(&[("XADD new * a b", "'0-1'"), ("XADD new * a b", "'0-2'")]);
}

const NOT_LARGER: &str = "ERR The ID specified in XADD is equal or smaller than the target stream top item";

#[test]
fn the_journal_holds_what_came_out() {
    let mut bench = Bench::new();
    bench.rules.limits.stream_node_entries = 2;
    bench.check_journal(&[
        ("XADD k * a b", "1 XADD k 1000000-0 a b"),
        ("XADD k 1000001-* a b", "1 XADD k 1000001-0 a b"),
        ("XADD k 1000001-1 a b", "1 as given"),
        ("XADD k 1000002 a b", "1 as given"),
        ("XADD k 1 a b", "0"),
        ("XADD none NOMKSTREAM * a b", "0"),
        ("XADD k MAXLEN 5 * a b", "1 XADD k MAXLEN 5 1000002-1 a b"),
        ("XADD k MAXLEN ~ 4 LIMIT 9 * a b", "1 XADD k MAXLEN = 4 LIMIT 9 1000002-2 a b"),
        ("XADD k MAXLEN ~ 1 LIMIT 2 1000003-0 a b", "1 XADD k MAXLEN = 3 LIMIT 2 1000003-0 a b"),
        ("XADD k MINID ~ 1000003 1000004-0 a b", "1 XADD k MINID = 1000003-0 1000004-0 a b"),
        ("XTRIM k MAXLEN ~ 9", "0"),
        ("XTRIM k MAXLEN ~ 0 LIMIT 1", "0"),
        ("XTRIM k MAXLEN ~ 0", "2 XTRIM k MAXLEN = 0"),
        ("XADD k 1000005 a b", "1 as given"),
        ("XADD k 1000006 a b", "1 as given"),
        ("XTRIM k MAXLEN = 1", "1 as given"),
        ("XTRIM k MINID ~ 2000000", "1 XTRIM k MINID = 18446744073709551615-18446744073709551615"),
        ("XADD k 1000007 a b", "1 as given"),
        ("XDEL k 1 1000007 1000007", "1 as given"),
        ("XDEL k 1000007", "0"),
        ("XSETID k 1000008", "1 as given"),
        ("XSETID k 1", "0"),
        ("XREAD STREAMS k 0", "0"),
    ]);
}

#[test]
fn a_call_that_was_accepted_elsewhere_has_no_limit() {
    let mut bench = Bench::new();
    for id in 1..=5 {
        bench.run(&format!("XADD k {id} a b"));
    }
    let words: Vec<&[u8]> = b"XTRIM k MAXLEN = 2 LIMIT 1".split(|&byte| byte == b' ').collect();
    let request = Request::new(words.iter().copied());
    let mut out = ReplyBuffer::default();
    let protocol = bench.protocol;
    let mut context: Context<'_> = bench.context();
    context.expiry = Expiry::Ignore;
    super::xtrim(&mut context, &request.args(), &mut Reply::new(&mut out, protocol)).unwrap();
    assert_eq!(out.to_vec(), b":3\r\n");
    bench.check(&[("XLEN k", ":2")]);
}

#[test]
fn approximate_trimming_has_a_limit_of_its_own() {
    let mut bench = Bench::new();
    for (entries, gone) in [(1, ":100"), (2, ":200"), (0, ":0")] {
        bench.rules.limits.stream_node_entries = entries;
        for number in 1..=300 {
            bench.run(&format!("XADD k{entries} {number} a b"));
        }
        let key = format!("k{entries}");
        bench.check(&[(&format!("XTRIM {key} MAXLEN ~ 1"), gone)]);
    }
}

/// What a replica holds that carries out the journal alone.
#[test]
fn the_journal_makes_the_same_stream() {
    let mut prng = Prng::new(3);
    let (mut bench, mut replica) = (Bench::new(), Bench::new());
    bench.shard.journaling = true;
    for rules in [&mut bench.rules, &mut replica.rules] {
        rules.limits.stream_node_entries = 4;
    }
    for step in 0..2000_i64 {
        bench.now += prng.below(3) as i64;
        let id = 1_000_000 + prng.below(step as u64 + 1);
        let count = prng.below(20);
        let line = match prng.below(12) {
            0 => format!("XDEL k {id}-0 {id}-1"),
            1 => format!("XTRIM k MAXLEN ~ {count}"),
            2 => format!("XTRIM k MINID ~ {id}"),
            3 => format!("XADD k MAXLEN ~ {count} LIMIT 4 * a {count}"),
            4 => format!("XADD k MINID ~ {id} * a {count}"),
            5 => format!("XADD k MAXLEN {count} * b {count}"),
            _ => format!("XADD k * a {count}"),
        };
        bench.run(&line);
        let journal = bench.journal();
        let calls = journal.split_once(' ').map_or("", |(_, calls)| calls);
        let calls = if calls == "as given" { &line } else { calls };
        if !calls.is_empty() {
            let words: Vec<&[u8]> = calls.split(' ').map(str::as_bytes).collect();
            let request = Request::new(words.iter().copied());
            let mut context = replica.context();
            context.expiry = Expiry::Ignore;
            let handler = crate::commands::harness::handler(&words);
            let mut out = ReplyBuffer::default();
            let protocol = crate::resp::Protocol::Resp2;
            handler(&mut context, &request.args(), &mut Reply::new(&mut out, protocol)).unwrap();
        }
        let stream = |bench: &mut Bench| {
            let key = bench.shard.key(b"k");
            match bench.shard.database(bench.db).find(&key).map(|entry| entry.value()) {
                Some(Value::Stream(stream)) => Some(stream.copy()),
                _ => None,
            }
        };
        assert_eq!(stream(&mut bench), stream(&mut replica), "{step}: {line}");
    }
}
