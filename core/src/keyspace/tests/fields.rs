//! Hashes with fields that expire, through everything that may happen to their keys.
#![allow(clippy::unwrap_used)]

use super::shard_of;
use crate::keyspace::events::EventClass;
use crate::keyspace::expiry::Expired;
use crate::keyspace::{Database, Form, NewValue, OwnedEntry, Shard};
use crate::prng::Prng;
use crate::units::{DbIndex, Millis};
use crate::value::Limits;
use crate::value::hash::{BEFORE_ALL, HashMut, HashRef, Life, Terms, packed};
use std::collections::BTreeMap;

/// The fields of a hash, each with its time; and the key's.
type Fields = BTreeMap<Vec<u8>, Option<i64>>;
type Model = [BTreeMap<Vec<u8>, (Fields, Option<i64>)>; 2];

struct Pair {
    shard: Shard,
    model: Model,
    prng: Prng,
    now: i64,
}

fn db(index: usize) -> DbIndex {
    DbIndex(index as u32)
}

impl Pair {
    fn key(&mut self) -> Vec<u8> {
        format!("key:{}", self.prng.below(60)).into_bytes()
    }

    /// Writes a field of a hash, which may be new.
    fn write(&mut self, at: usize, name: &[u8]) {
        let field = format!("field:{}", self.prng.below(700)).into_bytes();
        let until = (self.prng.below(3) > 0).then(|| self.now + self.prng.below(200) as i64);
        let life = until.map_or(Life::Unbounded, |at| Life::Until(Millis(at)));
        let terms = Terms::new(&Limits::default(), &self.shard.hasher, Millis(self.now));
        let key = self.shard.hasher.key(name);
        let database = self.shard.database_mut(db(at));
        let set = |entry: &mut OwnedEntry| {
            HashMut::new(entry, &terms).set(&field, NewValue::Int(1), life);
        };
        if database.change(&key, set).is_none() {
            let mut entry = OwnedEntry::new(name, NewValue::Packed(Form::Hash, &packed::EMPTY), None);
            set(&mut entry);
            database.put(&key, entry);
        }
        self.model[at].entry(name.to_vec()).or_default().0.insert(field, until);
    }

    fn step(&mut self) {
        self.now += 1;
        let (at, name, other) = (self.prng.below(2) as usize, self.key(), self.key());
        let (key, to) = (self.shard.hasher.key(&name), self.shard.hasher.key(&other));
        let known = self.model[at].contains_key(&name);
        match self.prng.below(100) {
            0..90 => (0..self.prng.below(20)).for_each(|_| self.write(at, &name)),
            90 if known => {
                let entry = self.shard.database_mut(db(at)).remove(&key).unwrap();
                self.shard.database_mut(db(at)).put(&to, Database::rename_entry(entry, &other));
                let fields = self.model[at].remove(&name).unwrap();
                self.model[at].insert(other, fields);
            }
            91 if known => {
                let copy = Database::copy_entry(&self.shard.database(db(at)).find(&key).unwrap(), &other);
                self.shard.database_mut(db(1 - at)).put(&to, copy);
                let fields = self.model[at][&name].clone();
                self.model[1 - at].insert(other, fields);
            }
            92 if known => {
                // Lent and brought back.
                let entry = self.shard.database_mut(db(at)).remove(&key).unwrap();
                self.shard.database_mut(db(at)).put(&key, entry);
            }
            93 if known => {
                let entry = self.shard.database_mut(db(at)).remove(&key).unwrap();
                self.shard.database_mut(db(at)).discard(entry);
                self.model[at].remove(&name);
            }
            94 if known => {
                let when = (self.prng.below(2) == 0).then(|| self.now + self.prng.below(300) as i64);
                self.shard.database_mut(db(at)).set_expiry(&key, when.map(Millis));
                self.model[at].get_mut(&name).unwrap().1 = when;
            }
            95 if known => {
                self.shard.database_mut(db(at)).set(&key, NewValue::Packed(Form::Hash, &packed::EMPTY), None);
                self.model[at].insert(name.clone(), Default::default());
                self.write(at, &name);
            }
            96 => {
                self.shard.swap_databases(db(0), db(1), Millis(0));
                self.model.swap(0, 1);
            }
            97 if self.prng.below(10) == 0 => {
                self.shard.flush(Some(db(at)), true);
                self.model[at].clear();
            }
            _ => self.expire(),
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        let mut gone: Vec<(usize, Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        let mut emptied = 0;
        while self.shard.tick(Millis(now), 7, &mut |at, one| {
            let at = at.index();
            match one {
                Expired::Key(entry) => gone.push((at, entry.key().to_vec(), None)),
                Expired::Field { key, field } => gone.push((at, key.to_vec(), Some(field.to_vec()))),
                Expired::Emptied(entry) => {
                    assert!(entry.is_bare());
                    emptied += 1;
                }
            }
        }) {
            self.shard.check();
        }
        for (at, name, field) in gone {
            match field {
                None => assert!(self.model[at].remove(&name).unwrap().1.unwrap() < now),
                Some(field) => {
                    let fields = &mut self.model[at].get_mut(&name).unwrap().0;
                    assert!(fields.remove(&field).unwrap().unwrap() < now);
                }
            }
        }
        for database in &mut self.model {
            let before = database.len();
            database.retain(|_, (fields, _)| !fields.is_empty());
            emptied -= before - database.len();
            let is_late = |at: &Option<i64>| at.is_none_or(|at| at >= now);
            assert!(database.values().all(|(fields, at)| is_late(at) && fields.values().all(is_late)));
        }
        assert_eq!(emptied, 0, "a hash whose last field goes, goes");
    }

    fn check(&self) {
        self.shard.check();
        for (at, model) in self.model.iter().enumerate() {
            let database = self.shard.database(db(at));
            assert_eq!(database.len(), model.len());
            let holders = model.values().filter(|(fields, _)| fields.values().any(Option::is_some));
            assert_eq!(database.holders(), holders.count());
            assert_eq!(database.volatile(), model.values().filter(|(_, at)| at.is_some()).count());
            for (name, (fields, expire)) in model {
                let entry = database.find(&self.shard.key(name)).unwrap();
                assert_eq!(entry.expire_at(), expire.map(Millis));
                let hash = HashRef::of(entry.value()).unwrap();
                assert_eq!(hash.len(), fields.len());
                for (field, at) in fields {
                    assert_eq!(hash.find(field, BEFORE_ALL).unwrap().expire_at, at.map(Millis));
                }
            }
        }
    }
}

#[test]
fn what_expires_within_keys_is_known_whatever_becomes_of_them() {
    for seed in 0..2 {
        let mut pair = Pair { shard: shard_of(0, 1), model: Model::default(), prng: Prng::new(seed), now: 1 };
        for step in 0..1_500 {
            pair.step();
            if step % 50 == 0 {
                pair.check();
            }
        }
        pair.now += 1_000;
        pair.expire();
        pair.check();
        assert!(pair.shard.stats.expired_fields > 1_000);
        assert!((0..2).all(|at| pair.shard.database(db(at)).holders() == 0));
    }
}

#[test]
fn a_slice_of_expiry_is_small_however_large_the_hash() {
    let mut pair = Pair { shard: shard_of(0, 1), model: Model::default(), prng: Prng::new(1), now: 1 };
    let terms = Terms::new(&Limits::default(), &pair.shard.hasher, Millis(1));
    let mut entry = OwnedEntry::new(b"key", NewValue::Packed(Form::Hash, &packed::EMPTY), None);
    for field in 0..20_000u32 {
        HashMut::new(&mut entry, &terms).set(&field.to_le_bytes(), NewValue::Int(1), Life::Until(Millis(5)));
    }
    let key = pair.shard.hasher.key(b"key");
    pair.shard.database_mut(db(0)).put(&key, entry);
    pair.shard.events.wanted = EventClass::parse(b"KA").unwrap();
    let mut slices = 0;
    loop {
        let mut fields = 0;
        let more =
            pair.shard.tick(Millis(10), 100, &mut |_, one| fields += u32::from(matches!(one, Expired::Field { .. })));
        assert!(fields < 1_000, "{fields} in one slice");
        slices += 1;
        if !more {
            break;
        }
    }
    assert!(slices > 20);
    // Nobody has taken any in between.
    let names: Vec<&str> = pair.shard.events.take().iter().map(|event| event.name).collect();
    assert_eq!(names, ["hexpired", "del"]);
    assert_eq!(pair.shard.stats.expired_fields, 20_000);
    assert_eq!(pair.shard.stats.expired_keys, 0);
    assert!(pair.shard.database(db(0)).is_empty());
}
