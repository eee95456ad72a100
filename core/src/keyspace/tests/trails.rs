//! Keys are found by trails of any age, or as if there were none, whatever happened to the tables in between.

use super::shard_of;
use crate::keyspace::entry::NewValue;
use crate::keyspace::{Database, Key, KeyHash};
use crate::prng::Prng;
use crate::units::DbIndex;
use std::collections::HashMap;

const NUMBERS: u64 = 6_000;

fn text(number: u64) -> String {
    // One slot gets nodes, the others share segments.
    if number.is_multiple_of(2) { format!("{{one}}:{number}") } else { format!("key:{number}") }
}

/// What a pass does before it executes; the hash keeps the trail.
fn fetch(database: &Database, hash: &mut KeyHash) {
    database.prefetch_segment(hash);
    database.prefetch_line(*hash);
    database.prefetch_entry(hash);
}

fn step(database: &mut Database, model: &mut HashMap<u64, i64>, number: u64, hash: KeyHash, prng: &mut Prng) {
    let text = text(number);
    let key = Key { bytes: text.as_bytes(), hash };
    let found = database.find(&key).map(|entry| (entry.key().to_vec(), entry.value().len()));
    let expected = model.get(&number).map(|value| (text.clone().into_bytes(), value.to_string().len()));
    assert_eq!(found, expected, "{text}");
    match prng.below(3) {
        0 => assert_eq!(database.remove(&key).is_some(), model.remove(&number).is_some()),
        _ => {
            let value = prng.below(1 << 40) as i64;
            let existed = database.set(&key, NewValue::Int(value), None);
            assert_eq!(existed, model.insert(number, value).is_some());
        }
    }
}

#[test]
fn stale_trails_never_mislead() {
    let mut shard = shard_of(0, 1);
    let hasher = shard.hasher.clone();
    let mut hashes: Vec<KeyHash> = (0..NUMBERS).map(|number| hasher.hash(text(number).as_bytes())).collect();
    let mut models = [HashMap::new(), HashMap::new()];
    let mut prng = Prng::new(3);
    let rounds = if cfg!(miri) { 300 } else { 150_000 };
    for round in 0..rounds {
        // Trails lead into either database: the one they come from is not known to them.
        let db = prng.below(2) as usize;
        let database = shard.database_mut(DbIndex(db as u32));
        // The part of the keys in use grows and shrinks, so that segments split and join.
        let bound = 1 + NUMBERS * (round % 40_000).min(40_000 - round % 40_000) / 20_000;
        let number = prng.below(bound.min(NUMBERS));
        let other = prng.below(NUMBERS) as usize;
        fetch(database, &mut hashes[other]);
        step(database, &mut models[db], number, hashes[number as usize], &mut prng);
        if round % 30_000 == 29_999 {
            database.check();
            models[db].clear();
            shard.flush(Some(DbIndex(db as u32)), false);
        }
        if round % 7_000 == 6_999 {
            shard.swap_databases(DbIndex(0), DbIndex(1), crate::units::Millis(0));
            models.swap(0, 1);
        }
    }
}
