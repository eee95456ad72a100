//! The longest single operation on collections of five million elements: built one by one, taken apart one by one, and
//! freed in the background.

use crate::harness::Cases;
use crate::longest::{Stopwatch, key_text};
use ringkey_core::keyspace::{Form, Key, KeyHasher, NewValue, OwnedEntry, Shard, ShardMap};
use ringkey_core::units::{DbIndex, Millis, ShardId};
use ringkey_core::value::hash::{HashMut, Life, Terms};
use ringkey_core::value::list::{End, ListMut, NewItem};
use ringkey_core::value::set::{SetForm, SetMut};
use ringkey_core::value::zset::SortedSetMut;
use ringkey_core::value::{Limits, PACKED_HEAD_BYTES, zset};
use std::cell::OnceCell;
use std::rc::Rc;

/// Elements at the most.
const ELEMENTS: u32 = 5_000_000;

/// How often each sequence of operations is run.
const RUNS: u32 = 3;

/// What a pass of the server spends on upkeep, in entries.
const UPKEEP_ENTRIES: usize = 1000;

const DB: DbIndex = DbIndex(0);
const NOW: Millis = Millis(1_800_000_000_000);

/// What collections are made and changed with.
struct World {
    hasher: KeyHasher,
    limits: Limits,
    terms: Terms,
}

/// One type, as a command would treat it.
#[derive(Clone, Copy)]
struct Kind {
    make: fn(&World) -> NewValue<'static>,
    add: fn(&World, &mut OwnedEntry, u32),
    take: fn(&World, &mut OwnedEntry, u32),
    limits: fn(&mut Limits),
}

const HASH: Kind = Kind {
    make: |_| NewValue::Packed(Form::Hash, &[0; PACKED_HEAD_BYTES]),
    add: |world, entry, number| {
        let text = key_text(number);
        assert!(HashMut::new(entry, &world.terms).set(&text, NewValue::Bytes(&text), Life::Unbounded));
    },
    take: |world, entry, number| assert!(HashMut::new(entry, &world.terms).remove(&key_text(number))),
    limits: |_| {},
};

const SET: Kind = Kind {
    make: |world| SetMut::empty(SetForm::Packed, &world.hasher),
    add: |world, entry, number| {
        assert!(SetMut::new(entry, &world.limits, &world.hasher).insert(&key_text(number)));
    },
    take: |world, entry, number| {
        assert!(SetMut::new(entry, &world.limits, &world.hasher).remove(&key_text(number)));
    },
    limits: |_| {},
};

const SORTED_SET: Kind = Kind {
    make: |_| NewValue::Packed(Form::SortedSet, &zset::EMPTY),
    add: |world, entry, number| {
        // Scores in no order, so that leaves split everywhere.
        let score = f64::from(number.wrapping_mul(2_654_435_761));
        SortedSetMut::new(entry, world.limits, &world.hasher).put(&key_text(number), true, |_| Some(score));
    },
    take: |world, entry, number| {
        assert!(SortedSetMut::new(entry, world.limits, &world.hasher).remove(&key_text(number)).is_some());
    },
    limits: |_| {},
};

const LIST: Kind = Kind {
    make: |_| ListMut::make(),
    add: |world, entry, number| {
        let mut list = ListMut::new(entry, &world.limits);
        list.grow(18, 1);
        list.push(End::Tail, &NewItem::of(&key_text(number)));
    },
    take: |world, entry, _| {
        let mut list = ListMut::new(entry, &world.limits);
        list.pop(End::Head);
        list.shrink();
    },
    limits: |_| {},
};

/// Each element in a node of its own, as large ones are.
const LIST_OF_NODES: Kind = Kind { limits: |limits| limits.list_size = 1, ..LIST };

/// Building, taking apart, and being unlinked and freed.
#[derive(Default)]
struct Measured {
    grown: Stopwatch,
    shrunk: Stopwatch,
    unlinked: Stopwatch,
    /// Upkeep after that.
    freed: Stopwatch,
}

fn come_and_go(kind: Kind) -> Measured {
    ringkey_server::memory::purge_in_background(true);
    let mut limits = Limits::default();
    (kind.limits)(&mut limits);
    let hasher = KeyHasher::new([1, 2, 3, 4]);
    let world = World { terms: Terms::new(&limits, &hasher, NOW), limits, hasher };
    let mut measured = Measured::default();
    for _ in 0..RUNS {
        measured.run(kind, &world);
        // The next run begins with fresh memory, too.
        ringkey_server::memory::purge();
    }
    measured
}

impl Measured {
    fn run(&mut self, kind: Kind, world: &World) {
        let mut shard = Shard::new(ShardId(0), ShardMap::new(1), 1, world.hasher.clone(), 5);
        let key = shard.key(b"collection");
        grow(kind, world, &mut shard, &key, &mut self.grown);
        self.shrunk.start();
        for number in 0..ELEMENTS {
            self.shrunk.time(|| shard.database_mut(DB).change(&key, |entry| (kind.take)(world, entry, number)));
        }
        drop(shard.database_mut(DB).remove(&key));
        grow(kind, world, &mut shard, &key, &mut Stopwatch::default());
        self.unlinked.start();
        self.unlinked.time(|| {
            let database = shard.database_mut(DB);
            let entry = database.remove(&key).expect("it was just filled");
            database.discard(entry);
        });
        self.freed.start();
        while self.freed.time(|| shard.tick(NOW, UPKEEP_ENTRIES, &mut |_, _| {})) {}
        assert_eq!(shard.waiting_to_be_freed(), 0);
    }
}

fn grow(kind: Kind, world: &World, shard: &mut Shard, key: &Key<'_>, watch: &mut Stopwatch) {
    shard.database_mut(DB).set(key, (kind.make)(world), None);
    watch.start();
    for number in 0..ELEMENTS {
        watch.time(|| shard.database_mut(DB).change(key, |entry| (kind.add)(world, entry, number)));
    }
}

/// The names of the figures of one type.
struct Names {
    grown: &'static str,
    shrunk: &'static str,
    unlinked: &'static str,
    freed: &'static str,
}

pub fn add_to(cases: &mut Cases<'_>) {
    let names = Names {
        grown: "longest HSET of 5 M",
        shrunk: "longest HDEL of 5 M",
        unlinked: "UNLINK of a hash of 5 M",
        freed: "longest upkeep after UNLINK of 5 M, hash",
    };
    add_kind(cases, HASH, names);
    let names = Names {
        grown: "longest SADD of 5 M",
        shrunk: "longest SREM of 5 M",
        unlinked: "UNLINK of a set of 5 M",
        freed: "longest upkeep after UNLINK of 5 M, set",
    };
    add_kind(cases, SET, names);
    let names = Names {
        grown: "longest ZADD of 5 M",
        shrunk: "longest ZREM of 5 M",
        unlinked: "UNLINK of a sorted set of 5 M",
        freed: "longest upkeep after UNLINK of 5 M, sorted set",
    };
    add_kind(cases, SORTED_SET, names);
    let names = Names {
        grown: "longest RPUSH of 5 M",
        shrunk: "longest LPOP of 5 M",
        unlinked: "UNLINK of a list of 5 M",
        freed: "longest upkeep after UNLINK of 5 M, list",
    };
    add_kind(cases, LIST, names);
    let names = Names {
        grown: "longest RPUSH of 5 M, each a node",
        shrunk: "longest LPOP of 5 M, each a node",
        unlinked: "UNLINK of a list of 5 M, each a node",
        freed: "longest upkeep after UNLINK of 5 M, each a node",
    };
    add_kind(cases, LIST_OF_NODES, names);
}

fn add_kind(cases: &mut Cases<'_>, kind: Kind, names: Names) {
    let measured: Rc<OnceCell<Measured>> = Rc::default();
    let mut figure = |name, pick: fn(&Measured) -> &Stopwatch| {
        let measured = Rc::clone(&measured);
        cases.add_figure(name, "us of CPU", move || pick(measured.get_or_init(|| come_and_go(kind))).spread().longest);
    };
    figure(names.grown, |all| &all.grown);
    figure(names.shrunk, |all| &all.shrunk);
    figure(names.unlinked, |all| &all.unlinked);
    figure(names.freed, |all| &all.freed);
}
