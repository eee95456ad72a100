//! Random operations on a shard and on a `BTreeMap` beside it.

use super::shard_of;
use crate::keyspace::entry::NewValue;
use crate::keyspace::expiry::Expired;
use crate::keyspace::{Database, Shard};
use crate::prng::Prng;
use crate::units::{DbIndex, Millis};
use std::collections::BTreeMap;

const DB: DbIndex = DbIndex(0);

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<Millis>)>;

struct Pair {
    shard: Shard,
    model: Model,
    prng: Prng,
    keys: u64,
}

impl Pair {
    fn new(id: u16, shards: u16, seed: u64, keys: u64) -> Self {
        Self { shard: shard_of(id, shards), model: Model::new(), prng: Prng::new(seed), keys }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.prng.below(bound)
    }

    /// A key of the shard; half of them share a slot.
    fn key(&mut self) -> Vec<u8> {
        loop {
            let number = self.below(self.keys);
            let key = match number % 2 {
                0 => format!("key:{number}"),
                _ => format!("{{tag:{}}}:{number}", self.shard.id.0),
            };
            if self.shard.owns(&self.shard.key(key.as_bytes())) {
                return key.into_bytes();
            }
            // The tag itself may belong elsewhere.
            self.keys += 1;
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let len = match self.below(20) {
            0 => 16_000 + self.below(1_000),
            1..4 => self.below(400),
            4..8 => return self.below(1 << 40).to_string().into_bytes(),
            _ => self.below(40),
        };
        vec![b'a' + (len % 26) as u8; len as usize]
    }

    fn time(&mut self) -> Option<Millis> {
        (self.below(2) == 0).then(|| Millis(self.below(1_000) as i64))
    }

    /// `growth` of a hundred steps set, the others do the rest.
    fn step(&mut self, growth: u64) {
        let bytes = self.key();
        let (value, time) = (self.value(), self.time());
        let key = self.shard.hasher.key(&bytes);
        let dice = self.below(100);
        let database = self.shard.database_mut(DB);
        if dice < growth {
            let existed = database.set(&key, NewValue::from_bytes(&value), time);
            assert_eq!(existed, self.model.insert(bytes, (value, time)).is_some());
            return;
        }
        match dice % 9 {
            0..3 => {
                let removed = database.remove(&key);
                assert_eq!(removed.is_some(), self.model.remove(&bytes).is_some());
            }
            3 => {
                let exists = database.set_expiry(&key, time);
                assert_eq!(exists, self.model.get_mut(&bytes).map(|entry| entry.1 = time).is_some());
            }
            4 => {
                database.replace_value(&key, NewValue::Bytes(&value));
                self.model.entry(bytes).or_default().0 = value;
            }
            5 => {
                let integer = value.len() as i64 * 77 - 300;
                database.set_int(&key, integer);
                self.model.entry(bytes).or_default().0 = integer.to_string().into_bytes();
            }
            6 => {
                let len = database.append(&key, &value);
                let entry = self.model.entry(bytes).or_default();
                entry.0.extend_from_slice(&value);
                assert_eq!(len, entry.0.len());
            }
            7 => {
                let offset = value.len() / 2;
                database.write_range(&key, offset, b"range");
                let entry = self.model.entry(bytes).or_default();
                entry.0.resize(entry.0.len().max(offset + 5), 0);
                entry.0[offset..][..5].copy_from_slice(b"range");
            }
            _ => self.rename(&bytes),
        }
    }

    fn rename(&mut self, from: &[u8]) {
        let to = self.key();
        let (from_key, to_key) = (self.shard.hasher.key(from), self.shard.hasher.key(&to));
        let database = self.shard.database_mut(DB);
        if let Some(entry) = database.remove(&from_key) {
            database.put(&to_key, Database::rename_entry(entry, &to));
        }
        if let Some(entry) = self.model.remove(from) {
            self.model.insert(to, entry);
        }
    }

    fn compare(&self) {
        self.shard.check();
        let database = self.shard.database(DB);
        let mut left = self.model.clone();
        database.for_each(&mut |entry| {
            let (value, expire) = left.remove(entry.key()).expect("the key is in the model");
            assert_eq!(entry.value().as_bytes(&mut itoa::Buffer::new()), value);
            assert_eq!(entry.expire_at(), expire);
        });
        assert!(left.is_empty());
        assert_eq!(database.len(), self.model.len());
        let volatile: Vec<_> = self.model.values().filter_map(|entry| entry.1).collect();
        assert_eq!(database.volatile(), volatile.len());
    }

    fn find_all(&self) {
        for (bytes, (value, _)) in &self.model {
            let entry = self.shard.database(DB).find(&self.shard.key(bytes)).expect("the key is there");
            assert_eq!(entry.value().as_bytes(&mut itoa::Buffer::new()), value);
        }
    }

    fn expire(&mut self, now: Millis, budget: usize) {
        let mut expired = Vec::new();
        while self.shard.tick(now, budget, &mut |db, one| {
            assert_eq!(db, DB);
            let Expired::Key(entry) = one else { panic!("there are no hashes") };
            expired.push(entry.key().to_vec());
        }) {
            self.shard.check();
        }
        for key in expired {
            let (_, at) = self.model.remove(&key).expect("an expired key is in the model");
            assert!(at.is_some_and(|at| at < now));
        }
        assert!(self.model.values().all(|entry| entry.1.is_none_or(|at| at >= now)), "all that was due is gone");
    }
}

#[test]
fn a_small_database_is_like_a_map_at_every_step() {
    for seed in 0..8 {
        let mut pair = Pair::new(0, 1, seed, 60);
        for step in 0..600 {
            pair.step(if (step / 100) % 2 == 0 { 60 } else { 10 });
            pair.compare();
        }
    }
}

#[test]
fn a_database_that_splits_and_joins_is_like_a_map() {
    for (id, shards) in [(0, 1), (1, 3), (2, 3), (100, 256)] {
        let mut pair = Pair::new(id, shards, u64::from(shards), 6_000);
        for step in 0..30_000_u32 {
            pair.step(if step % 10_000 < 5_000 { 80 } else { 5 });
            if step % 1_000 == 0 {
                pair.compare();
            }
        }
        pair.find_all();
        pair.compare();
    }
}

#[test]
fn expiry_takes_exactly_what_is_due() {
    let mut pair = Pair::new(0, 2, 3, 20_000);
    for now in [0, 10, 10, 400, 401, 990, 2_000] {
        for _ in 0..4_000 {
            pair.step(90);
        }
        pair.expire(Millis(now), 1 + now as usize % 300);
        pair.compare();
        assert_eq!(pair.shard.stats.expired_keys > 0, now > 0);
    }
    assert_eq!(pair.shard.database(DB).volatile(), 0);
    let figures = pair.shard.figures();
    assert!(figures.iter().all(|database| database.mean_expiry == 0), "{figures:?}");
}

#[test]
fn swapping_and_flushing_keep_the_books() {
    let mut pair = Pair::new(0, 1, 9, 5_000);
    for _ in 0..5_000 {
        pair.step(100);
    }
    let len = pair.model.len();
    let bytes = pair.model.keys().next().unwrap().clone();
    pair.shard.swap_databases(DB, DbIndex(1), Millis(0));
    assert_eq!((pair.shard.database(DB).len(), pair.shard.database(DbIndex(1)).len()), (0, len));
    let key = pair.shard.hasher.key(&bytes);
    let (one, other) = pair.shard.two_databases_mut(DbIndex(1), DB).unwrap();
    let entry = one.remove(&key).unwrap();
    assert!(!other.put(&key, entry));
    pair.shard.check();
    assert!(pair.shard.two_databases_mut(DB, DB).is_none());
    assert!(pair.shard.two_databases_mut(DB, DbIndex(2)).is_none());
    assert_eq!(pair.shard.flush(Some(DbIndex(1)), true), len - 1);
    assert_eq!(pair.shard.database(DbIndex(1)).len(), 0);
    let mut slices = 1;
    while pair.shard.tick(Millis(0), 500, &mut |_, _| {}) {
        slices += 1;
    }
    assert!(slices > 4, "the freeing comes in slices");
    assert!(pair.shard.take_remains().is_none());
    assert_eq!(pair.shard.flush(None, false), 1);
    pair.shard.check();
}
