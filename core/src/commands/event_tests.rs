//! Which events calls bring, and in which order: the same as in Valkey, call by call.

#![allow(clippy::unwrap_used)]

use super::harness::Bench;
use crate::units::DbIndex;

/// Written by a real server, see there.
const FILES: [&str; 2] =
    [include_str!("../../tests/data/events.txt"), include_str!("../../tests/data/events_collections.txt")];

fn run(bench: &mut Bench, line: &str) {
    if let Some(millis) = line.strip_prefix("wait ") {
        bench.now += millis.parse::<i64>().unwrap() + 1;
        return;
    }
    let (db, line) = line.strip_prefix("1:").map_or((DbIndex(0), line), |line| (DbIndex(1), line));
    bench.db = db;
    bench.run(line);
}

fn events_of(before: &str, call: &str, classes: &str) -> String {
    let mut bench = Bench::new();
    before.split(';').map(str::trim).filter(|line| !line.is_empty()).for_each(|line| run(&mut bench, line));
    bench.want_events(classes);
    run(&mut bench, call);
    bench.events()
}

/// What comes before, the call, its events.
fn cases(file: &str) -> impl Iterator<Item = [String; 3]> {
    file.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '='])).map(|line| {
        let line = format!(" {line} ");
        let parts: Vec<String> = line.split(" | ").map(|part| part.trim().to_owned()).collect();
        parts.try_into().unwrap_or_else(|_| panic!("not a case: {line}"))
    })
}

#[test]
fn calls_bring_events() {
    for file in FILES {
        let mut wrong = Vec::new();
        let mut count = 0;
        for [before, call, expected] in cases(file) {
            let events = events_of(&before, &call, "KEAmn");
            count += 1;
            if events != expected {
                wrong.push(format!("{before} | {call} | {expected} <> {events}"));
            }
        }
        assert!(count > 100 && wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
fn events_are_of_classes() {
    for file in FILES {
        let mut classes = 0;
        for line in file.lines().filter_map(|line| line.strip_prefix("= ")) {
            let (class, names) = line.split_once(' ').unwrap_or((line, ""));
            let names: Vec<&str> = names.split(' ').collect();
            classes += 1;
            for [before, call, all] in cases(file) {
                let expected: Vec<&str> =
                    all.split(", ").filter(|event| names.contains(&event.split(' ').next().unwrap())).collect();
                assert_eq!(events_of(&before, &call, class), expected.join(", "), "{class}: {before} | {call}");
            }
        }
        assert_eq!(classes, 12);
    }
}

/// A hundred and more elements lie in tables and trees of their own, which go in other ways than a few side by side.
#[test]
fn large_collections_bring_the_same_events() {
    let words = |part: &dyn Fn(usize) -> String| (0..1000).map(part).collect::<Vec<_>>().join(" ");
    let members = words(&|at| format!("m{at}"));
    let list = format!("RPUSH a {members}");
    let set = format!("SADD a {members}");
    let sorted = format!("ZADD a {}", words(&|at| format!("{at} m{at}")));
    let hash = format!("HSET a {}", words(&|at| format!("m{at} v")));
    let short_lived = format!("{hash}; HPEXPIRE a 1 FIELDS 1000 {members}; wait 2");
    for (before, call, expected) in [
        (&list, "LTRIM a 1 0".to_owned(), "ltrim a, del a"),
        (&list, "LTRIM a 5 7".to_owned(), "ltrim a"),
        (&list, "LPOP a 999".to_owned(), "lpop a"),
        (&list, "RPOP a 1000".to_owned(), "rpop a, del a"),
        (&list, "LMOVE a b LEFT LEFT".to_owned(), "new b, lpush b, lpop a"),
        (&set, format!("SREM a {members}"), "srem a, del a"),
        (&set, "SPOP a 10".to_owned(), "spop a"),
        (&set, "SPOP a 990".to_owned(), "spop a"),
        (&set, "SPOP a 1000".to_owned(), "spop a, del a"),
        (&set, "SUNIONSTORE b a".to_owned(), "new b, sunionstore b"),
        (&set, "SDIFFSTORE a a a".to_owned(), "del a"),
        (&sorted, format!("ZREM a {members}"), "zrem a, del a"),
        (&sorted, "ZREMRANGEBYRANK a 0 -1".to_owned(), "zremrangebyrank a, del a"),
        (&sorted, "ZREMRANGEBYSCORE a 1 5".to_owned(), "zremrangebyscore a"),
        (&sorted, "ZPOPMAX a 1000".to_owned(), "zpopmax a, del a"),
        (&sorted, "ZPOPMIN a 999".to_owned(), "zpopmin a"),
        (&hash, format!("HDEL a {members}"), "hdel a, del a"),
        (&hash, format!("HGETDEL a FIELDS 1000 {members}"), "hdel a, del a"),
        (&hash, format!("HEXPIRE a 0 FIELDS 1000 {members}"), "hexpired a, del a"),
        (&short_lived, format!("HDEL a {members}"), ""),
        (&short_lived, "HSET a m1 1 m2 2".to_owned(), "hexpired a, hset a"),
    ] {
        assert_eq!(events_of(before, &call, "KEAmn"), expected, "{}", &call[..call.len().min(40)]);
    }
}

#[test]
fn nothing_is_noted_that_nobody_wants() {
    let mut bench = Bench::new();
    bench.run("SET a 1 EX 100");
    assert_eq!(bench.events(), "");
    bench.want_events("E$");
    bench.run("SET b 1 EX 100");
    bench.run("GET c");
    bench.run("DEL a b");
    assert_eq!(bench.events(), "set b");
    bench.want_events("Kmx");
    bench.run("SET a 1 PX 1");
    bench.now += 10;
    bench.run("GET a");
    assert_eq!(bench.events(), "expired a, keymiss a");
}
