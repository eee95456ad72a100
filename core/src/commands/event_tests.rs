//! Which events calls bring, and in which order: the same as in Valkey, call by call.

#![allow(clippy::unwrap_used)]

use super::harness::Bench;
use crate::units::DbIndex;

/// Written by a real server, see there.
const CASES: &str =
    concat!(include_str!("../../tests/data/events.txt"), include_str!("../../tests/data/events_collections.txt"));

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
fn cases() -> impl Iterator<Item = [String; 3]> {
    CASES.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '='])).map(|line| {
        let line = format!(" {line} ");
        let parts: Vec<String> = line.split(" | ").map(|part| part.trim().to_owned()).collect();
        parts.try_into().unwrap_or_else(|_| panic!("not a case: {line}"))
    })
}

#[test]
fn calls_bring_events() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for [before, call, expected] in cases() {
        let events = events_of(&before, &call, "KEAmn");
        count += 1;
        if events != expected {
            wrong.push(format!("{before} | {call} | {expected} <> {events}"));
        }
    }
    assert!(count > 100 && wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn events_are_of_classes() {
    let mut classes = 0;
    for line in CASES.lines().filter_map(|line| line.strip_prefix("= ")) {
        let (class, names) = line.split_once(' ').unwrap_or((line, ""));
        let names: Vec<&str> = names.split(' ').collect();
        classes += 1;
        for [before, call, all] in cases() {
            let expected: Vec<&str> =
                all.split(", ").filter(|event| names.contains(&event.split(' ').next().unwrap())).collect();
            assert_eq!(events_of(&before, &call, class), expected.join(", "), "{class}: {before} | {call}");
        }
    }
    assert_eq!(classes, 12);
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
