//! The table of keys: hashing, finding one by one and in batches, growth and shrinkage, memory.

use crate::harness::{Cases, Prepared};
use ringkey_core::keyspace::slot::slot_of;
use ringkey_core::keyspace::{Database, Key, KeyHash, KeyHasher, NewValue};
use ringkey_core::prng::Prng;
use ringkey_core::units::{Millis, SLOT_COUNT};
use std::cell::{LazyCell, RefCell};
use std::hint::black_box;
use std::rc::Rc;

/// Keys of a small database, which nearly fits the caches.
const FEW: u32 = 100_000;

/// Keys of a large one.
const MANY: u32 = 10_000_000;

/// Lookups of one run: few enough that some run is not interrupted on a machine that others use, too.
const LOOKUPS: usize = 16_384;

/// So many are there for the large database, run by run, that keys do not come back while they are in a cache.
const LOOKUPS_MANY: usize = 1 << 20;

const VALUE: [u8; 64] = [b'v'; 64];

pub type KeyText = [u8; 16];

/// The key of a number, as `valkey-benchmark` writes it.
pub fn key_text(number: u32) -> KeyText {
    let mut text = *b"key:000000000000";
    let mut rest = number;
    for digit in text[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

pub fn hasher() -> KeyHasher {
    KeyHasher::new([1, 2, 3, 4])
}

fn empty() -> Database {
    Database::new(hasher(), 0..SLOT_COUNT)
}

/// A database with keys of these numbers.
fn filled(count: u32) -> Database {
    let (mut database, hasher) = (empty(), hasher());
    for number in 0..count {
        insert(&mut database, &hasher, number);
    }
    database
}

fn insert(database: &mut Database, hasher: &KeyHasher, number: u32) {
    let text = key_text(number);
    database.set(&hasher.key(&text), NewValue::Bytes(&VALUE), None);
}

/// Keys that are looked for, in random order, hashed as requests hash theirs.
#[derive(Clone)]
pub struct Wanted {
    keys: Rc<[(KeyText, KeyHash)]>,
    run: usize,
}

impl Wanted {
    /// So many keys with numbers from `first` on, below `first + of`.
    fn new(first: u32, of: u32, count: usize) -> Self {
        let (mut prng, hasher) = (Prng::new(7), hasher());
        let mut one = || {
            let text = key_text(first + prng.below(u64::from(of)) as u32);
            (text, hasher.hash(&text))
        };
        Self { keys: (0..count).map(|_| one()).collect(), run: 0 }
    }

    /// The keys of the next run.
    fn next(&mut self) -> &[(KeyText, KeyHash)] {
        self.run += 1;
        let runs = self.keys.len() / LOOKUPS;
        &self.keys[self.run % runs * LOOKUPS..][..LOOKUPS]
    }
}

/// Finds keys one after the other, each depending on the one before, as single requests do.
fn find_serially(database: &Database, wanted: &[(KeyText, KeyHash)]) -> usize {
    let (mut found, mut at) = (0, 0);
    while at < wanted.len() {
        let (text, hash) = &wanted[at];
        let key = Key { bytes: black_box(text), hash: *hash };
        let len = database.find(&key).map_or(0, |entry| black_box(entry.value().len()));
        found += len;
        // Always the next one, which the processor does not know before it has seen the value.
        at += 1 + (len & !VALUE.len());
    }
    found
}

/// Finds keys as a pass of the server does: prefetched in batches.
fn find_in_batches(database: &Database, wanted: &[(KeyText, KeyHash)], batch: usize) -> usize {
    let mut found = 0;
    let mut batch = wanted[..batch].to_vec();
    for keys in wanted.chunks(batch.len()) {
        let batch = &mut batch[..keys.len()];
        batch.copy_from_slice(keys);
        batch.iter_mut().for_each(|(_, hash)| database.prefetch_segment(hash));
        batch.iter().for_each(|(_, hash)| database.prefetch_line(*hash));
        batch.iter_mut().for_each(|(_, hash)| database.prefetch_entry(hash));
        for (text, hash) in batch {
            let key = Key { bytes: black_box(text), hash: *hash };
            found += database.find(&key).map_or(0, |entry| black_box(entry.value().len()));
        }
    }
    found
}

/// A database too large for any cache, made when it is first asked for and shared by the cases.
pub struct Large(LazyCell<(Rc<RefCell<Database>>, Wanted)>);

impl Default for Large {
    fn default() -> Self {
        Self(LazyCell::new(|| (Rc::new(RefCell::new(filled(MANY))), Wanted::new(0, MANY, LOOKUPS_MANY))))
    }
}

impl Large {
    fn get(&self) -> (Rc<RefCell<Database>>, Wanted) {
        (*self.0).clone()
    }
}

/// Memory of the allocator for a key, in bytes.
fn bytes_a_key(count: u32, store: impl Fn(&mut Database, &KeyHasher, u32)) -> f64 {
    let (allocated, freed) = (
        tikv_jemalloc_ctl::thread::allocatedp::read().expect("the allocator counts"),
        tikv_jemalloc_ctl::thread::deallocatedp::read().expect("the allocator counts"),
    );
    let before = allocated.get().wrapping_sub(freed.get());
    let (mut database, hasher) = (empty(), hasher());
    (0..count).for_each(|number| store(&mut database, &hasher, number));
    let after = allocated.get().wrapping_sub(freed.get());
    black_box(database.len());
    after.wrapping_sub(before) as f64 / f64::from(count)
}

pub fn add_to<'a>(cases: &mut Cases<'a>, large: &'a Large) {
    add_hashing(cases);
    add_finding(cases, large);
    add_changing(cases, large);
    for (name, count) in [
        ("memory, 64 B, 0.8 M keys", 800_000),
        ("memory, 64 B, 1 M keys", 1_000_000),
        ("memory, 64 B, 1.3 M keys", 1_300_000),
        ("memory, 64 B, 1.6 M keys", 1_600_000),
    ] {
        cases.add_figure(name, "bytes/key", move || bytes_a_key(count, insert));
    }
    cases.add_figure("memory, 64 B with TTL, 1 M keys", "bytes/key", || {
        bytes_a_key(1_000_000, |database, hasher, number| {
            let text = key_text(number);
            database.set(&hasher.key(&text), NewValue::Bytes(&VALUE), Some(Millis(1_800_000_000_000)));
        })
    });
    cases.add_figure("memory, small integer, 1 M keys", "bytes/key", || {
        bytes_a_key(1_000_000, |database, hasher, number| {
            let text = key_text(number);
            database.set(&hasher.key(&text), NewValue::Int(i64::from(number % 10_000)), None);
        })
    });
}

fn add_hashing(cases: &mut Cases<'_>) {
    let texts = || -> Vec<KeyText> { (0..1000).map(key_text).collect() };
    cases.add("slot of a key of 16 bytes", 1000, move || {
        let texts = texts();
        move || {
            for text in &texts {
                black_box(slot_of(black_box(text)));
            }
        }
    });
    cases.add("slot of a key of 40 bytes", 1000, || {
        let text = [b'k'; 40];
        move || {
            for _ in 0..1000 {
                black_box(slot_of(black_box(&text)));
            }
        }
    });
    cases.add("hash and slot of a key of 16 bytes", 1000, move || {
        let (texts, hasher) = (texts(), hasher());
        move || {
            for text in &texts {
                black_box(hasher.hash(black_box(text)));
            }
        }
    });
}

fn add_finding<'a>(cases: &mut Cases<'a>, large: &'a Large) {
    let few = |first: u32| (filled(FEW), Wanted::new(first, FEW, LOOKUPS));
    let lookups = LOOKUPS as u64;
    cases.add("find, one by one, 100 k keys", lookups, move || {
        let (database, mut wanted) = few(0);
        move || assert_eq!(find_serially(&database, wanted.next()), LOOKUPS * VALUE.len())
    });
    cases.add("find what is absent, 100 k keys", lookups, move || {
        let (database, mut wanted) = few(FEW);
        move || assert_eq!(find_serially(&database, wanted.next()), 0)
    });
    for (name, batch) in [("find, batches of 32, 100 k keys", 32), ("find, batches of 128, 100 k keys", 128)] {
        cases.add(name, lookups, move || {
            let (database, mut wanted) = few(0);
            move || assert_eq!(find_in_batches(&database, wanted.next(), batch), LOOKUPS * VALUE.len())
        });
    }
    cases.add_timed("find, one by one, 10 M keys", lookups, || {
        let (database, mut wanted) = large.get();
        move || assert_eq!(find_serially(&database.borrow(), wanted.next()), LOOKUPS * VALUE.len())
    });
    for (name, batch) in [("find, batches of 32, 10 M keys", 32), ("find, batches of 128, 10 M keys", 128)] {
        cases.add_timed(name, lookups, move || {
            let (database, mut wanted) = large.get();
            move || assert_eq!(find_in_batches(&database.borrow(), wanted.next(), batch), LOOKUPS * VALUE.len())
        });
    }
}

fn add_changing<'a>(cases: &mut Cases<'a>, large: &'a Large) {
    cases.add("insert, growing to 100 k keys", u64::from(FEW), || Prepared {
        state: (empty(), hasher()),
        prepare: |(database, _)| *database = empty(),
        run: |(database, hasher)| (0..FEW).for_each(|number| insert(database, hasher, number)),
    });
    cases.add("delete, shrinking from 100 k keys", u64::from(FEW), || Prepared {
        state: (empty(), hasher()),
        prepare: |(database, _)| *database = filled(FEW),
        run: |(database, hasher)| {
            (0..FEW).for_each(|number| drop(database.remove(&hasher.key(&key_text(number)))));
        },
    });
    cases.add("overwrite, 100 k keys", LOOKUPS as u64, || {
        let (mut database, mut wanted) = (filled(FEW), Wanted::new(0, FEW, LOOKUPS));
        move || overwrite(&mut database, wanted.next())
    });
    cases.add_timed("overwrite, 10 M keys", LOOKUPS as u64, || {
        let (database, mut wanted) = large.get();
        move || overwrite(&mut database.borrow_mut(), wanted.next())
    });
}

fn overwrite(database: &mut Database, wanted: &[(KeyText, KeyHash)]) {
    for (text, hash) in wanted {
        let key = Key { bytes: black_box(text), hash: *hash };
        assert!(database.set(&key, NewValue::Bytes(&VALUE), None));
    }
}
