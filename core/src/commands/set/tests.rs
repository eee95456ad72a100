//! Tests of the handlers of sets: effects, chance, and combinations beside a plain model.
#![allow(clippy::unwrap_used)]

use crate::commands::harness::Bench;
use crate::prng::Prng;
use crate::value::Limits;
use std::collections::{BTreeMap, BTreeSet};

type Texts = BTreeSet<String>;

/// The bulk strings of a reply.
fn bulks(reply: &str) -> Vec<String> {
    reply.split(' ').filter_map(|word| word.strip_prefix('\'')?.strip_suffix('\'')).map(str::to_owned).collect()
}

fn fill(bench: &mut Bench, key: &str, count: usize) {
    for number in 0..count {
        bench.run(&format!("SADD {key} member:{number}"));
    }
}

fn words(set: &Texts) -> String {
    set.iter().map(|text| format!(" {text}")).collect()
}

#[test]
fn effects_are_canonical() {
    let mut bench = Bench::new();
    bench.shard.lazy_free.server_del = false;
    bench.check_journal(&[
        ("SADD s a b c", "3 as given"),
        ("SADD s a", "0"),
        ("SREM s zz", "0"),
        ("SREM s a zz", "1 as given"),
        ("SMOVE s t b", "2 as given"),
        ("SADD t c", "1 as given"),
        ("SMOVE s t c", "1 as given"),
        ("SMOVE t t b", "0"),
        ("SINTERSTORE d t missing", "0"),
        ("SUNIONSTORE d t", "1 as given"),
        ("SINTERSTORE d t missing", "1 as given"),
        ("SDIFFSTORE d t", "1 as given"),
        ("SADD one x", "1 as given"),
        ("SPOP one", "1 SREM one x"),
        ("SPOP one", "0"),
        ("SPOP one 3", "0"),
        ("SADD one x", "1 as given"),
        ("SPOP one 0", "0"),
        ("SPOP one 2", "1 DEL one"),
        ("SRANDMEMBER t -4", "0"),
    ]);
    bench.shard.lazy_free.server_del = true;
    bench.check_journal(&[("SADD one x", "1 as given"), ("SPOP one 2", "1 UNLINK one")]);
}

#[test]
fn popping_many_is_told_in_calls_of_bounded_size() {
    for (limit, count) in [(0, 1_500), (0, 2_990), (5_000, 1_500), (5_000, 2_990)] {
        let mut bench = Bench::new();
        bench.rules.limits.set_entries = limit;
        fill(&mut bench, "s", 3_000);
        bench.shard.journaling = true;
        let popped: Texts = bulks(&bench.run(&format!("SPOP s {count}"))).into_iter().collect();
        assert_eq!(popped.len(), count);
        let journal = bench.journal();
        let (changes, calls) = journal.split_once(' ').unwrap();
        assert_eq!(changes, count.to_string());
        let mut told = Texts::new();
        for call in calls.split("; ") {
            let members = call.strip_prefix("SREM s ").unwrap();
            assert!(members.split(' ').count() <= 1_024);
            told.extend(members.split(' ').map(str::to_owned));
        }
        assert_eq!(told, popped);
        let left: Texts = bulks(&bench.run("SMEMBERS s")).into_iter().collect();
        assert_eq!(left.len(), 3_000 - count);
        assert!(left.is_disjoint(&popped));
    }
}

#[test]
fn a_key_goes_with_its_last_member() {
    let mut bench = Bench::new();
    bench.check(&[
        ("SADD s a", ":1"),
        ("SREM s a b", ":1"),
        ("EXISTS s", ":0"),
        ("SADD s a", ":1"),
        ("SPOP s", "'a'"),
        ("EXISTS s", ":0"),
        ("SADD s a", ":1"),
        ("SMOVE s t a", ":1"),
        ("EXISTS s t", ":1"),
        ("SREM missing a", ":0"),
        ("EXISTS missing", ":0"),
    ]);
    bench.rules.limits.set_entries = 0;
    bench.check(&[("SADD s a", ":1"), ("OBJECT encoding s", "'hashtable'"), ("SPOP s", "'a'"), ("EXISTS s", ":0")]);
}

#[test]
fn absurd_counts_are_refused() {
    let mut bench = Bench::new();
    let range = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    bench.check(&[
        ("SADD s a", ":1"),
        ("SRANDMEMBER s -9223372036854775808", range),
        ("SRANDMEMBER s -9223372036854775807", range),
        ("SRANDMEMBER s -9223372036854775809", "ERR value is not an integer or out of range"),
        ("SRANDMEMBER s 9223372036854775807", "*1 'a'"),
        ("SPOP s -1", "ERR value is out of range, must be positive"),
        ("SPOP s 9223372036854775808", "ERR value is out of range, must be positive"),
        ("SPOP s 9223372036854775807", "*1 'a'"),
    ]);
}

/// How far counts are from being alike: the sum of squares in units of the mean.
fn chi_square(seen: &BTreeMap<String, u32>, members: usize) -> f64 {
    let mean = f64::from(seen.values().sum::<u32>()) / members as f64;
    let absent = (members - seen.len()) as f64 * mean;
    seen.values().map(|times| (f64::from(*times) - mean).powi(2) / mean).sum::<f64>() + absent
}

#[test]
fn members_are_drawn_evenly_whatever_the_form_and_the_count() {
    for limits in [Limits::default(), Limits { set_entries: 0, ..Limits::default() }] {
        for prefix in ["", "member:"] {
            let mut bench = Bench::new();
            bench.rules.limits = limits;
            (0..64).for_each(|number| drop(bench.run(&format!("SADD s {prefix}{number}"))));
            for count in ["", "1", "-1", "-7", "3", "10", "40", "63"] {
                let mut seen = BTreeMap::new();
                for _ in 0..600 {
                    let members = bulks(&bench.run(&format!("SRANDMEMBER s {count}")));
                    if !count.starts_with('-') && !count.is_empty() {
                        assert_eq!(members.iter().collect::<BTreeSet<_>>().len().to_string(), count);
                    }
                    members.into_iter().for_each(|member| *seen.entry(member).or_default() += 1);
                }
                // 63 degrees of freedom: above 130 by chance once in a million times.
                assert!(chi_square(&seen, 64) < 130.0, "count {count:?}: {}", chi_square(&seen, 64));
            }
        }
    }
}

#[test]
fn members_are_popped_evenly() {
    for (limit, count) in [(128, 1), (128, 5), (128, 30), (0, 1), (0, 5), (0, 30)] {
        let mut bench = Bench::new();
        bench.rules.limits.set_entries = limit;
        let mut seen = BTreeMap::new();
        for _ in 0..400 {
            fill(&mut bench, "s", 32);
            let members = bulks(&bench.run(&format!("SPOP s {count}")));
            assert_eq!(members.len(), count);
            members.into_iter().for_each(|member| *seen.entry(member).or_default() += 1);
        }
        // 31 degrees of freedom.
        assert!(chi_square(&seen, 32) < 82.0, "{limit} {count}: {}", chi_square(&seen, 32));
    }
}

#[test]
fn a_table_of_which_little_is_left_is_packed_again() {
    let mut bench = Bench::new();
    bench.rules.limits.set_entries = 100;
    fill(&mut bench, "s", 600);
    bench.check(&[("OBJECT encoding s", "'hashtable'")]);
    bench.run("SPOP s 450");
    bench.check(&[("OBJECT encoding s", "'hashtable'"), ("SCARD s", ":150")]);
    bench.run("SPOP s 140");
    bench.check(&[("OBJECT encoding s", "'listpack'"), ("SCARD s", ":10")]);
    bench.shard.check();
}

/// Sets under a few keys beside plain ones.
struct Pair {
    bench: Bench,
    model: BTreeMap<String, Texts>,
    prng: Prng,
    members: u64,
}

impl Pair {
    fn key(&mut self) -> String {
        format!("key:{}", self.prng.below(6))
    }

    fn member(&mut self) -> String {
        let number = self.prng.below(self.members) as i64 - 7;
        match self.prng.below(4) {
            0 => format!("text:{number}"),
            1 => (number << 33).to_string(),
            _ => number.to_string(),
        }
    }

    fn members(&mut self, count: u64) -> Texts {
        (0..count).map(|_| self.member()).collect()
    }

    fn set(&self, key: &str) -> Texts {
        self.model.get(key).cloned().unwrap_or_default()
    }

    fn store(&mut self, key: &str, set: Texts) {
        if set.is_empty() {
            self.model.remove(key)
        } else {
            self.model.insert(key.to_owned(), set)
        };
    }

    fn expect(&mut self, line: &str, expected: usize) {
        assert_eq!(self.bench.run(line), format!(":{expected}"), "{line}");
    }

    fn expect_set(&mut self, line: &str, expected: &Texts) {
        let members = bulks(&self.bench.run(line));
        assert_eq!(members.len(), expected.len(), "{line}");
        assert_eq!(members.into_iter().collect::<Texts>(), *expected, "{line}");
    }

    fn step(&mut self) {
        let (key, count) = (self.key(), 1 + self.prng.below(12));
        let (members, mut set) = (self.members(count), self.set(&key));
        match self.prng.below(8) {
            0..3 => {
                self.expect(&format!("SADD {key}{}", words(&members)), members.difference(&set).count());
                set.extend(members);
                self.store(&key, set);
            }
            3 => {
                self.expect(&format!("SREM {key}{}", words(&members)), members.intersection(&set).count());
                self.store(&key, set.difference(&members).cloned().collect());
            }
            4 => {
                let popped = bulks(&self.bench.run(&format!("SPOP {key} {count}")));
                assert_eq!(popped.len(), set.len().min(count as usize));
                assert!(popped.iter().all(|member| set.remove(member)));
                self.store(&key, set);
            }
            5 => {
                let (to, member) = (self.key(), self.member());
                let moves = set.contains(&member);
                self.expect(&format!("SMOVE {key} {to} {member}"), moves.into());
                if moves {
                    set.remove(&member);
                    self.store(&key, set);
                    let mut there = self.set(&to);
                    there.insert(member);
                    self.store(&to, there);
                }
            }
            _ => self.combine(&key),
        }
    }

    fn combine(&mut self, to: &str) {
        let keys: Vec<String> = (0..1 + self.prng.below(7)).map(|_| self.key()).collect();
        let sets: Vec<Texts> = keys.iter().map(|key| self.set(key)).collect();
        let both = |one: Texts, two: &Texts| one.intersection(two).cloned().collect::<Texts>();
        let without = |one: Texts, two: &Texts| one.difference(two).cloned().collect::<Texts>();
        let (name, result) = match self.prng.below(3) {
            0 => ("SINTER", sets[1..].iter().fold(sets[0].clone(), both)),
            1 => ("SUNION", sets.iter().flatten().cloned().collect()),
            _ => ("SDIFF", sets[1..].iter().fold(sets[0].clone(), without)),
        };
        let names = keys.join(" ");
        self.expect_set(&format!("{name} {names}"), &result);
        if name == "SINTER" {
            let (count, limit) = (keys.len(), 1 + self.prng.below(9) as usize);
            self.expect(&format!("SINTERCARD {count} {names}"), result.len());
            self.expect(&format!("SINTERCARD {count} {names} LIMIT {limit}"), result.len().min(limit));
        }
        self.expect(&format!("{name}STORE {to} {names}"), result.len());
        self.store(to, result);
    }

    fn compare(&mut self) {
        self.bench.shard.check();
        for number in 0..6 {
            let key = format!("key:{number}");
            let set = self.set(&key);
            self.expect_set(&format!("SMEMBERS {key}"), &set);
            self.expect(&format!("SCARD {key}"), set.len());
            self.expect(&format!("EXISTS {key}"), (!set.is_empty()).into());
            let asked = self.members(20);
            let known = asked.iter().map(|member| format!(" :{}", u8::from(set.contains(member)))).collect::<String>();
            let line = format!("SMISMEMBER {key}{}", words(&asked));
            assert_eq!(self.bench.run(&line), format!("*{}{known}", asked.len()));
        }
    }
}

#[test]
fn sets_are_like_plain_sets_through_all_commands() {
    for seed in 0..40 {
        let mut prng = Prng::new(seed);
        let mut bench = Bench::new();
        let mut limit = |max| prng.below(max) as usize;
        bench.rules.limits = Limits {
            set_intset_entries: limit(30),
            set_entries: limit(30),
            set_value_bytes: 4 + limit(20),
            ..Limits::default()
        };
        let mut pair = Pair { bench, model: BTreeMap::new(), prng, members: 5 + 20 * (seed % 5) };
        for step in 0..250 {
            pair.step();
            if step % 10 == 0 {
                pair.compare();
            }
        }
        pair.compare();
    }
}

#[test]
fn a_scan_gives_every_member_that_stays() {
    let mut bench = Bench::new();
    fill(&mut bench, "s", 2_000);
    let (mut seen, mut cursor, mut step) = (Texts::new(), "0".to_owned(), 0);
    loop {
        let reply = bulks(&bench.run(&format!("SSCAN s {cursor} COUNT 50")));
        let (next, members) = reply.split_first().unwrap();
        members.iter().for_each(|member| assert!(seen.insert(member.clone()), "each once"));
        if next == "0" {
            break;
        }
        cursor.clone_from(next);
        // Half of them go meanwhile, and others come.
        for number in 1_000 + step * 40..1_000 + step * 40 + 40 {
            bench.run(&format!("SREM s member:{number}"));
            bench.run(&format!("SADD s other:{number}"));
        }
        step += 1;
    }
    assert!((0..1_000).all(|number| seen.contains(&format!("member:{number}"))));
    bench.check(&[("SSCAN s 0 COUNT 9223372036854775807 MATCH member:7", "*2 '0' *1 'member:7'")]);
}
