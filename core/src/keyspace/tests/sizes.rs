//! Large databases: growth in one slot and over all, and the way back to nothing.

use super::shard_of;
use crate::keyspace::entry::NewValue;
use crate::units::DbIndex;

const DB: DbIndex = DbIndex(0);
const KEYS: usize = 200_000;

fn grow_and_shrink(prefix: &str, id: u16, shards: u16) {
    let mut shard = shard_of(id, shards);
    let owned = |number: &usize| shard.owns(&shard.key(format!("{prefix}{number}").as_bytes()));
    let numbers: Vec<usize> = (0..KEYS).filter(owned).collect();
    assert!(!numbers.is_empty());
    for number in &numbers {
        let key = format!("{prefix}{number}");
        let key = shard.hasher.key(key.as_bytes());
        assert!(!shard.database_mut(DB).set(&key, NewValue::Int(*number as i64), None));
    }
    shard.check();
    let dict = shard.database(DB).dict();
    assert_eq!(dict.len(), numbers.len());
    if numbers.len() > 10_000 {
        let words = (dict.table_bytes() - 64 * 1024) / numbers.len();
        assert!(words < 15, "{words} bytes a key besides its entry");
        assert!(dict.segments() > numbers.len() / 481);
    }
    for number in &numbers {
        let key = format!("{prefix}{number}");
        assert!(shard.database(DB).contains(&shard.key(key.as_bytes())));
    }
    for (done, number) in numbers.iter().enumerate() {
        let key = format!("{prefix}{number}");
        let key = shard.hasher.key(key.as_bytes());
        assert!(shard.database_mut(DB).remove(&key).is_some());
        if done % 50_000 == 0 {
            shard.check();
        }
    }
    shard.check();
    let dict = shard.database(DB).dict();
    assert_eq!((dict.len(), dict.segments()), (0, 1), "everything joined again");
    assert!(dict.table_bytes() <= 128, "no word of a slot is left");
}

#[test]
fn all_slots_grow_and_shrink() {
    grow_and_shrink("key:", 0, 1);
}

#[test]
fn one_slot_grows_and_shrinks() {
    grow_and_shrink("{one}:", 0, 1);
}

#[test]
fn a_part_of_the_slots_grows_and_shrinks() {
    grow_and_shrink("key:", 1, 3);
    grow_and_shrink("key:", 255, 256);
}
