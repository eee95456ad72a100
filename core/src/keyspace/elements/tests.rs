//! Elements beside a `BTreeMap`, over both forms and the ways between them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::keyspace::entry::NewValue;
use std::collections::BTreeMap;

fn elements() -> Elements {
    Elements::new(KeyHasher::new([1, 2, 3, 4]))
}

fn entry(name: &[u8], value: i64, expire: Option<Millis>) -> OwnedEntry {
    OwnedEntry::new(name, NewValue::Int(value), expire)
}

fn value_of(entry: EntryRef<'_>) -> i64 {
    match entry.value() {
        crate::keyspace::Value::Int(value) => value,
        other => panic!("{other:?} is no integer"),
    }
}

fn name(number: u64) -> Vec<u8> {
    format!("element:{number}").into_bytes()
}

fn filled(count: u64) -> Elements {
    let mut elements = elements();
    (0..count).for_each(|number| elements.insert(entry(&name(number), number as i64, None)));
    elements
}

/// Elements and what they should be.
struct Pair {
    elements: Elements,
    model: BTreeMap<Vec<u8>, (i64, Option<Millis>)>,
    prng: Prng,
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self { elements: elements(), model: BTreeMap::new(), prng: Prng::new(seed) }
    }

    /// `growth` of a hundred steps put something in.
    fn step(&mut self, names: u64, growth: u64) {
        let name = name(self.prng.below(names));
        let value = self.prng.below(1 << 40) as i64;
        let expire = (self.prng.below(3) == 0).then(|| Millis(self.prng.below(1_000) as i64));
        let dice = self.prng.below(100);
        match (dice < growth, dice % 6) {
            (true, 0..3) => {
                let there = self.elements.upsert(&name, |_| entry(&name, value, expire));
                assert_eq!(there, self.model.insert(name, (value, expire)).is_some());
            }
            (true, _) => {
                let put_in = self.elements.insert_new(&name, || entry(&name, value, expire));
                assert_eq!(put_in, !self.model.contains_key(&name));
                self.model.entry(name).or_insert((value, expire));
            }
            (false, 0) => {
                let old = self.elements.update(&name, |old| {
                    let before = value_of(old.as_ref());
                    (old.rebuilt(NewValue::Int(value), expire), before)
                });
                let model = self.model.get_mut(&name).map(|at| std::mem::replace(at, (value, expire)).0);
                assert_eq!(old, model);
            }
            (false, 1) => {
                if let Some(taken) = self.elements.take_random(&mut self.prng) {
                    let model = self.model.remove(taken.as_ref().key()).unwrap();
                    assert_eq!((value_of(taken.as_ref()), taken.as_ref().expire_at()), model);
                }
            }
            (false, _) => {
                let removed = self.elements.remove(&name).map(|entry| value_of(entry.as_ref()));
                assert_eq!(removed, self.model.remove(&name).map(|(value, _)| value));
            }
        }
        assert_eq!(self.elements.len(), self.model.len());
    }

    fn compare(&self) {
        same_as(&self.elements, &self.model);
        let names: Vec<Vec<u8>> = self.model.keys().cloned().chain([b"nothing".to_vec()]).collect();
        let mut at = 0;
        self.elements.find_each(names.iter().map(Vec::as_slice), |name, found| {
            assert_eq!(name, names[at]);
            at += 1;
            assert_eq!(found.map(value_of), self.model.get(name).map(|(value, _)| *value));
            true
        });
        assert_eq!(at, names.len());
    }

    fn expire(&mut self, now: Millis, budget: usize) {
        let model = &mut self.model;
        let mut steps = 0;
        while self.elements.expire_some(now, budget, &mut |entry| {
            assert!(model.remove(entry.key()).unwrap().1.unwrap() < now);
        }) {
            steps += 1;
            assert!(steps < 10_000, "a sweep comes to its end");
        }
        assert!(self.model.values().all(|(_, at)| at.is_none_or(|at| at >= now)), "all that was due is gone");
        assert!(self.elements.earliest().is_none_or(|at| at >= now), "the hint says so");
    }
}

fn same_as(elements: &Elements, model: &BTreeMap<Vec<u8>, (i64, Option<Millis>)>) {
    elements.check();
    let mut left = model.clone();
    for entry in elements.iter() {
        let (value, expire) = left.remove(entry.key()).expect("an element is in the model, once");
        assert_eq!((value_of(entry), entry.expire_at()), (value, expire));
    }
    assert!(left.is_empty());
    assert_eq!(elements.len(), model.len());
    assert_eq!(elements.volatile(), model.values().filter(|(_, at)| at.is_some()).count());
    let earliest = model.values().filter_map(|(_, at)| *at).min();
    assert_eq!(elements.earliest().is_some(), earliest.is_some());
    assert!(elements.earliest() <= earliest);
}

#[test]
fn few_elements_are_like_a_map_at_every_step() {
    for seed in 0..6 {
        let mut pair = Pair::new(seed);
        for step in 0..800 {
            pair.step(60, if (step / 100) % 2 == 0 { 70 } else { 10 });
            pair.compare();
        }
    }
}

#[test]
fn elements_that_grow_large_and_small_again_are_like_a_map() {
    for seed in 0..3 {
        let mut pair = Pair::new(seed);
        let (mut was_large, mut was_small_again) = (false, false);
        for step in 0..16_000_u64 {
            if step % 8_000 == 0 {
                (0..6_000).for_each(|_| pair.step(14_000, 100));
            }
            if step % 8_000 == 4_000 {
                let gone: Vec<Vec<u8>> = pair.model.keys().skip(400).cloned().collect();
                gone.iter().for_each(|name| {
                    assert!(pair.elements.remove(name).is_some() && pair.model.remove(name).is_some())
                });
            }
            pair.step(14_000, if step % 8_000 < 4_000 { 90 } else { 10 });
            let is_large = matches!(pair.elements.form, Form::Large(_));
            was_large |= is_large;
            was_small_again |= was_large && !is_large;
            if step % 1_000 == 0 {
                pair.compare();
            }
            if step % 3_000 == 2_999 {
                pair.expire(Millis(150 * (step / 3_000) as i64), 1 + (step % 300) as usize);
                pair.compare();
            }
        }
        assert!(was_large && was_small_again);
        same_as(&pair.elements.copy(), &pair.model);
    }
}

#[test]
fn elements_that_stay_are_scanned_once_whatever_happens() {
    for seed in 0..10_u64 {
        let mut prng = Prng::new(seed);
        let mut elements = filled(300);
        let passing = |number: u64| format!("pass:{number}").into_bytes();
        let add = |elements: &mut Elements, number| {
            elements.upsert(&passing(number), |_| entry(&passing(number), 0, None));
        };
        if seed % 2 == 0 {
            (0..8_000).for_each(|number| add(&mut elements, number));
        }
        let mut seen: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        let (mut cursor, mut step) = (Cursor::default(), 0);
        let (mut forms, count) = ([false; 2], 5 + seed as usize * 3);
        loop {
            forms[usize::from(matches!(elements.form, Form::Large(_)))] = true;
            let next = elements.scan(cursor, count, &mut |entry| *seen.entry(entry.key().to_vec()).or_default() += 1);
            let Some(next) = next else { break };
            assert_ne!(next.to_raw(), 0);
            cursor = Cursor::from_raw(next.to_raw());
            step += 1;
            for _ in 0..60 {
                let number = prng.below(8_000);
                match (step / 200 + seed) % 2 == 0 {
                    true if prng.below(4) > 0 => drop(elements.remove(&passing(number))),
                    true => {
                        let gone = elements.iter().map(|entry| entry.key().to_vec()).find(|key| key.starts_with(b"p"));
                        gone.into_iter().for_each(|key| drop(elements.remove(&key)));
                    }
                    false => add(&mut elements, number),
                }
            }
        }
        elements.check();
        assert!((0..300).all(|number| seen.get(&name(number)) == Some(&1)), "seed {seed}: each that stayed, once");
        assert!(seed != 1 || forms == [true, true], "a scan saw both forms");
    }
}

#[test]
fn foreign_cursors_are_harmless() {
    let mut prng = Prng::new(3);
    for count in [0, 1, 400, 5_000] {
        let elements = filled(count);
        for _ in 0..3_000 {
            let mut given = 0;
            elements.scan(Cursor::from_raw(prng.next_u64() >> prng.below(64)), 10, &mut |_| given += 1);
            assert!(given <= 5_000, "a step is bounded");
        }
    }
}

/// The sum of the squares of what differs from the same number each, in units of its mean: about `len`, and its
/// deviation is `sqrt(2 len)`.
fn chi_square(seen: &BTreeMap<Vec<u8>, u32>, draws: f64, len: f64) -> f64 {
    let expected = draws / len;
    let met: f64 = seen.values().map(|times| (f64::from(*times) - expected).powi(2) / expected).sum();
    met + (len - seen.len() as f64) * expected
}

#[test]
fn random_elements_are_as_likely_as_any_other() {
    let mut prng = Prng::new(9);
    let mut shrunk = filled(60_000);
    (700..60_000).for_each(|number| drop(shrunk.remove(&name(number))));
    let few = |keep: u64| {
        let mut elements = filled(300);
        (keep..300).for_each(|number| drop(elements.remove(&name(number))));
        elements
    };
    for elements in [filled(1), filled(2), filled(20), filled(400), filled(3_000), shrunk, few(3), few(50)] {
        elements.check();
        let len = elements.len();
        let mut seen: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        let draws = len * 50;
        for _ in 0..draws {
            *seen.entry(elements.random(&mut prng).unwrap().key().to_vec()).or_default() += 1;
        }
        let chi = chi_square(&seen, draws as f64, len as f64);
        assert!(chi < len as f64 + 5.0 * (2.0 * len as f64).sqrt(), "{len} elements: {chi}");
    }
    assert!(elements().random(&mut prng).is_none());
    assert!(elements().take_random(&mut prng).is_none());
}

#[test]
fn taking_all_at_random_leaves_nothing_behind() {
    let mut prng = Prng::new(4);
    let mut elements = filled(20_000);
    for left in (0..20_000).rev() {
        elements.take_random(&mut prng).unwrap();
        assert_eq!(elements.len(), left);
        if left % 997 == 0 {
            elements.check();
        }
    }
    assert_eq!(elements.table_bytes(), Elements::new(KeyHasher::new([0; 4])).table_bytes());
}

#[test]
fn memory_follows_the_elements() {
    assert!(filled(1).table_bytes() <= 112 + 64);
    for count in [481_u64, 5_000, 100_000] {
        let elements = filled(count);
        let table = elements.table_bytes() as f64 / count as f64;
        assert!(table < 13.0, "{count} elements: {table} bytes each");
        let (all, some) = (elements.memory_bytes(0) as f64, elements.memory_bytes(100) as f64);
        assert!((0.8..1.25).contains(&(all / some)));
    }
    let mut elements = filled(100_000);
    (100..100_000).for_each(|number| drop(elements.remove(&name(number))));
    assert!(elements.table_bytes() < 6_000, "{}", elements.table_bytes());
    assert!(Elements::with_room(KeyHasher::new([0; 4]), usize::MAX).table_bytes() < 40_000);
}

#[test]
fn room_made_beforehand_is_room_and_no_more() {
    for (expected, count) in [(0, 3_u64), (1936, 1936), (1937, 10), (15_000, 0), (15_000, 15_000), (15_000, 40_000)] {
        let mut elements = Elements::for_about(KeyHasher::new([1, 2, 3, 4]), expected);
        elements.check();
        let before = elements.table_bytes();
        (0..count).for_each(|number| elements.insert(entry(&name(number), number as i64, None)));
        elements.check();
        assert!(count as usize > expected || elements.table_bytes() == before, "{count} of {expected} find room");
        assert!((0..count).all(|number| elements.find(&name(number)).map(value_of) == Some(number as i64)));
        assert!(elements.find(b"absent").is_none() && elements.iter().count() as u64 == count);
        (0..count).for_each(|number| assert!(elements.remove(&name(number)).is_some()));
        assert!(elements.is_empty() && (count == 0 || elements.table_bytes() < 1000), "{}", elements.table_bytes());
    }
}

#[test]
fn freeing_comes_in_slices() {
    let mut elements = filled(20_000);
    let mut slices = 1;
    while !elements.free_some(500) {
        slices += 1;
        assert!(elements.find(b"element:1").is_none());
    }
    assert!(slices > 20, "{slices}");
    assert!(elements.is_empty());
    elements.insert(entry(b"again", 1, None));
    assert_eq!(elements.len(), 1);
    let mut few = filled(100);
    assert!(!few.free_some(1));
    assert_eq!(few.len(), 99);
    assert!(few.free_some(100));
    assert!(few.is_empty());
}
