//! Scans while keys come, go and expire, and cursors that nobody gave out.

use super::shard_of;
use crate::keyspace::entry::NewValue;
use crate::keyspace::{Cursor, Shard};
use crate::prng::Prng;
use crate::units::{DbIndex, Slot};
use std::collections::BTreeMap;

const DB: DbIndex = DbIndex(0);

fn add(shard: &mut Shard, name: &str) {
    let key = shard.hasher.key(name.as_bytes());
    shard.database_mut(DB).set(&key, NewValue::Bytes(b"v"), None);
}

fn remove(shard: &mut Shard, name: &str) {
    let key = shard.hasher.key(name.as_bytes());
    shard.database_mut(DB).remove(&key);
}

/// Names of keys of the shard.
fn names(shard: &Shard, prefix: &str, count: usize) -> Vec<String> {
    let all = (0..).map(|number| format!("{prefix}{number}"));
    all.filter(|name| shard.owns(&shard.key(name.as_bytes()))).take(count).collect()
}

/// Scans with `between` called after each step, and tells how often each key was given.
fn scan(shard: &mut Shard, count: usize, mut between: impl FnMut(&mut Shard)) -> BTreeMap<String, u32> {
    let mut seen = BTreeMap::new();
    let mut cursor = Cursor::default();
    loop {
        let next = shard.database(DB).scan(cursor, count, &mut |entry| {
            *seen.entry(String::from_utf8(entry.key().to_vec()).unwrap()).or_default() += 1;
        });
        let Some(next) = next else { return seen };
        assert_ne!(next.to_raw(), 0, "zero is the start alone");
        cursor = Cursor::from_raw(next.to_raw());
        assert_eq!(cursor, next);
        between(shard);
    }
}

#[test]
fn a_quiet_scan_gives_each_key_once() {
    for (size, tag) in [(0, ""), (1, ""), (300, ""), (20_000, ""), (5_000, "{t}")] {
        let mut shard = shard_of(0, 1);
        let names = names(&shard, tag, size);
        names.iter().for_each(|name| add(&mut shard, name));
        for count in [1, 10, 1_000] {
            let seen = scan(&mut shard, count, |_| {});
            assert_eq!(seen.len(), size);
            assert!(seen.values().all(|times| *times == 1));
        }
    }
}

#[test]
fn keys_that_stay_are_given_once_whatever_happens() {
    for seed in 0..12 {
        let mut prng = Prng::new(seed);
        let mut shard = shard_of(seed as u16 % 3, 3);
        let prefix = if seed % 2 == 0 { String::new() } else { format!("{{{}}}", names(&shard, "", 1)[0]) };
        let staying = names(&shard, &format!("{prefix}stay"), 700);
        staying.iter().for_each(|name| add(&mut shard, name));
        let passing = names(&shard, &format!("{prefix}pass"), 15_000);
        // Some scans begin small and grow, some begin large and shrink, some do both.
        if seed % 4 < 2 {
            passing.iter().for_each(|name| add(&mut shard, name));
        }
        let mut step = 0;
        let seen = scan(&mut shard, 10, |shard| {
            step += 1;
            let grows = (step / 40 + seed / 4) % 2 == 0;
            for _ in 0..400 {
                let name = &passing[prng.below(passing.len() as u64) as usize];
                if grows { add(shard, name) } else { remove(shard, name) }
            }
        });
        shard.check();
        assert!(staying.iter().all(|name| seen.get(name) == Some(&1)), "seed {seed}: each key that stayed, once");
    }
}

#[test]
fn foreign_cursors_are_harmless() {
    let mut shard = shard_of(1, 3);
    let mut prng = Prng::new(1);
    for round in 0..3 {
        for _ in 0..2_000 {
            let raw = prng.next_u64() >> prng.below(64);
            let mut given = 0;
            let next = shard.database(DB).scan(Cursor::from_raw(raw), 10, &mut |_| given += 1);
            assert!(given <= 1_000, "a step is bounded");
            assert!(next.is_none_or(|next| next.slot().0 < 16_384));
        }
        names(&shard, &format!("{round}:"), 3_000 * round).iter().for_each(|name| add(&mut shard, name));
    }
    for raw in [u64::MAX, 1, 1 << 17, 63 << 17, 1 << 23] {
        shard.database(DB).scan(Cursor::from_raw(raw), 1, &mut |_| {});
    }
}

#[test]
fn slots_are_counted_and_listed() {
    let mut shard = shard_of(0, 1);
    for round in [200, 20_000, 60_000] {
        let all = names(&shard, "", round).into_iter().chain(names(&shard, "{t}", round / 4));
        let mut expected: BTreeMap<Slot, Vec<String>> = BTreeMap::new();
        for name in all {
            add(&mut shard, &name);
            expected.entry(shard.key(name.as_bytes()).hash.slot).or_default().push(name);
        }
        let database = shard.database(DB);
        for slot in (0..16_384).step_by(61).map(Slot).chain([shard.key(b"t").hash.slot]) {
            let mut names = expected.remove(&slot).unwrap_or_default();
            names.sort();
            assert_eq!(database.count_in_slot(slot), names.len());
            let mut listed = Vec::new();
            database.keys_in_slot(slot, usize::MAX, &mut |e| listed.push(String::from_utf8(e.key().to_vec()).unwrap()));
            listed.sort();
            assert_eq!(listed, names);
            let mut some = 0;
            database.keys_in_slot(slot, 3, &mut |_| some += 1);
            assert_eq!(some, names.len().min(3));
            if let Some(first) = database.scan(Cursor::at_slot(slot), 1, &mut |_| {}) {
                assert!(first.slot() >= slot);
            }
        }
    }
}

#[test]
fn random_keys_are_spread_evenly() {
    for size in [1, 5, 400, 3_000] {
        let mut shard = shard_of(0, 1);
        assert!(shard.random(DB).is_none());
        names(&shard, "", size).iter().for_each(|name| add(&mut shard, name));
        let mut seen: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for _ in 0..size * 40 {
            *seen.entry(shard.random(DB).unwrap().key().to_vec()).or_default() += 1;
        }
        assert_eq!(seen.len(), size, "40 draws a key leave none out");
        assert!(seen.values().all(|times| *times < 100 || size == 1));
        let mut sampled = 0;
        let mut prng = Prng::new(1);
        shard.database(DB).dict().sample(&mut prng, 5, false, &mut |_| sampled += 1);
        assert!(sampled > 0 && sampled <= 5);
        shard.database(DB).dict().sample(&mut prng, 5, true, &mut |_| panic!("no key expires"));
    }
}
