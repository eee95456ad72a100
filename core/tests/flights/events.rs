//! What is told of keys: each client's in the order of its program, and each key's in the order of what was done to it.

use crate::model::{Op, State};
use crate::world::{Tally, World};
use crate::{Lot, add, for_seeds, protocol};
use ringkey_core::keyspace::events::Event;
use std::collections::HashMap;

fn windows(lot: &mut Lot) -> Vec<Vec<Op>> {
    let ops = 4 + lot.below(12);
    let mut windows = lot.windows(ops);
    for op in windows.iter_mut().flatten() {
        match op {
            // Nothing is told of what a flush removes.
            Op::FlushAll => *op = Op::Del((lot.first..lot.first + lot.keys).collect()),
            // The index is a key of all clients.
            Op::Index | Op::Sort | Op::SortInto(_) | Op::Look(..) if lot.first > 0 => *op = Op::DbSize,
            _ if lot.below(6) == 0 => *op = lot.unit(),
            _ => {}
        }
    }
    windows
}

fn run(world: &mut World, sum: &mut Tally) {
    world.listen();
    world.run().unwrap_or_else(|trouble| panic!("{trouble}"));
    add(sum, &world.tally);
}

/// Each client has keys of its own, so what is told of these does not depend on the others: it is what one core alone tells.
fn private_run(seed: u64, sum: &mut Tally) {
    let mut lot = Lot::new(seed, 0);
    let (clients, keys, shards) = (1 + lot.below(4), 2 + lot.below(4), 2 + lot.below(7));
    lot.keys = 1 + clients * keys;
    let names = lot.names(shards);
    let mut world = World::new(shards, names.clone(), seed, false);
    let mut alone = Vec::new();
    lot.keys = keys;
    for client in 0..clients {
        lot.first = 1 + client * keys;
        let windows = windows(&mut lot);
        let protocol = protocol(&mut lot);
        let mut one = World::new(1, names.clone(), seed, false);
        one.connect(0, 0, protocol, windows.clone());
        run(&mut one, &mut Tally::default());
        alone.push(one.told);
        world.connect(lot.below(shards), 0, protocol, windows);
    }
    run(&mut world, sum);
    for (client, expected) in alone.into_iter().enumerate() {
        let mine = &names[1 + client * keys..][..keys];
        let told: Vec<&Event> =
            world.told.iter().filter(|event| mine.iter().any(|name| **name == *event.key)).collect();
        assert_eq!(told, expected.iter().collect::<Vec<_>>(), "client {client}");
    }
}

/// All have the same keys: what is told of one must be possible in this order, and lead to what there is at the end.
fn shared_run(seed: u64, sum: &mut Tally) {
    let mut lot = Lot::new(seed, 0);
    lot.keys = 2 + lot.below(5);
    let shards = 2 + lot.below(7);
    let names = lot.names(shards);
    let mut world = World::new(shards, names.clone(), seed, false);
    for _ in 0..2 + lot.below(3) {
        let windows = windows(&mut lot);
        world.connect(lot.below(shards), 0, protocol(&mut lot), windows);
    }
    run(&mut world, sum);
    let State(end) = world.state();
    let mut there: HashMap<(u32, &[u8]), bool> = HashMap::new();
    for Event { db, name, key } in &world.told {
        let is_there = there.entry((db.0, key)).or_default();
        match *name {
            // RENAME and COPY may replace a key.
            "new" => *is_there = true,
            "del" | "rename_from" => assert!(std::mem::take(is_there), "{} is gone", String::from_utf8_lossy(key)),
            _ => assert!(*is_there, "{name} of {}, which is not there", String::from_utf8_lossy(key)),
        }
    }
    for (at, value) in end.iter().enumerate() {
        let place = ((at / names.len()) as u32, names[at % names.len()].as_slice());
        assert_eq!(value.is_some(), there.get(&place).copied().unwrap_or_default(), "{place:?}");
    }
}

fn with_seeds(count: u64, mut run: impl FnMut(u64, &mut Tally)) {
    let (mut sum, mut runs) = (Tally::default(), 0);
    for_seeds(count, |seed| {
        runs += 1;
        run(seed, &mut sum);
    });
    if runs == count {
        let all = [sum.brought, sum.relays, sum.units, sum.refused];
        assert!(all.iter().all(|count| *count > runs / 4), "hardly anything went over several shards: {sum:?}");
    }
}

#[test]
fn what_a_client_makes_of_keys_is_told_in_its_order() {
    with_seeds(1_500, private_run);
}

#[test]
fn what_becomes_of_a_key_is_told_in_its_order() {
    with_seeds(1_500, shared_run);
}
