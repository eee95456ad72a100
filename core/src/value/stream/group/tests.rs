//! Groups against plain maps.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::prng::Prng;
use std::collections::BTreeSet;

#[derive(Default)]
struct Model {
    consumers: BTreeSet<Vec<u8>>,
    pending: BTreeMap<StreamId, (Vec<u8>, i64, u64)>,
}

impl Model {
    fn of(&self, name: &[u8]) -> usize {
        self.pending.values().filter(|(consumer, ..)| consumer == name).count()
    }

    fn same(&self, group: &Group) {
        group.check();
        assert!(group.consumers().map(|consumer| consumer.name().to_vec()).eq(self.consumers.iter().cloned()));
        assert_eq!(group.consumers_len(), self.consumers.len());
        let ours = group.pending(StreamId::MIN).map(|(id, delivery)| {
            let name = group.consumer(delivery.consumer.unwrap()).name().to_vec();
            (id, (name, delivery.time.0, delivery.count))
        });
        assert!(ours.eq(self.pending.iter().map(|(id, delivery)| (*id, delivery.clone()))));
        let ends = self.pending.keys().next().copied().zip(self.pending.keys().next_back().copied());
        assert_eq!(group.pending_ends(), ends);
        for name in &self.consumers {
            let index = group.find_consumer(name).unwrap();
            assert_eq!(group.consumer(index).pending_len(), self.of(name));
            let from = StreamId::new(1, 20);
            let own = self.pending.range(from..).filter(|(_, (consumer, ..))| consumer == name);
            let own: Vec<_> = own.map(|(id, (_, time, count))| (*id, *time, *count)).collect();
            let ours = group.pending_of(index, from).map(|(id, delivery)| (id, delivery.time.0, delivery.count));
            assert_eq!(ours.collect::<Vec<_>>(), own);
        }
    }
}

#[test]
fn a_group_does_what_maps_do() {
    for seed in 0..10 {
        let mut prng = Prng::new(seed);
        let mut group = Group::new(b"group", StreamId::MIN, None);
        let mut model = Model::default();
        for step in 0..3000 {
            let name = format!("consumer {}", prng.below(6)).into_bytes();
            let id = StreamId::new(1, prng.below(60));
            match prng.below(100) {
                0..40 => {
                    let time = step;
                    let count = [1, 2, u64::from(u32::MAX) - 1, u64::from(u32::MAX), i64::MAX as u64];
                    let count = count[prng.below(5) as usize];
                    let (index, is_new) = group.make_consumer(&name, Millis(time));
                    assert_eq!(is_new, model.consumers.insert(name.clone()));
                    group.deliver(id, index, Millis(time), count);
                    model.pending.insert(id, (name, time, count));
                }
                40..94 => assert_eq!(group.acknowledge(id), model.pending.remove(&id).is_some()),
                94..97 => {
                    let count = model.of(&name);
                    let removed = model.consumers.remove(&name).then_some(count);
                    assert_eq!(group.remove_consumer(&name), removed);
                    model.pending.retain(|_, (consumer, ..)| *consumer != name);
                }
                _ => model.same(&group),
            }
            let found = group.find_pending(id).map(|delivery| (delivery.time.0, delivery.count));
            assert_eq!(found, model.pending.get(&id).map(|(_, time, count)| (*time, *count)));
        }
        let mut copy = group.clone();
        model.same(&copy);
        assert_eq!(copy, group);
        while !copy.free_some(&mut 3) {}
        model.same(&group);
    }
}

#[test]
fn what_is_loaded_belongs_to_somebody_in_the_end() {
    let mut group = Group::new(b"group", StreamId::MIN, Some(2));
    let (one, two) = (StreamId::new(1, 0), StreamId::new(2, 0));
    assert!(group.load_pending(one, Millis(5), 1));
    assert!(group.load_pending(two, Millis(6), u64::MAX));
    assert!(!group.load_pending(two, Millis(7), 1), "an id is pending once");
    group.check();
    let (alice, _) = group.make_consumer(b"alice", Millis(1));
    let (bob, _) = group.make_consumer(b"bob", Millis(1));
    assert!(group.assign(one, alice));
    assert!(!group.assign(one, bob), "somebody has it");
    assert!(!group.assign(StreamId::new(3, 0), bob), "it is not pending");
    assert!(!group.is_assigned());
    assert!(group.assign(two, bob));
    assert!(group.is_assigned());
    group.check();
    assert_eq!(group.find_pending(two), Some(Delivery { consumer: Some(bob), time: Millis(6), count: u64::MAX }));
}

#[test]
fn a_consumer_with_little_goes_without_a_walk_over_all() {
    let mut group = Group::new(b"group", StreamId::MIN, None);
    let (many, _) = group.make_consumer(b"many", Millis(1));
    let (few, _) = group.make_consumer(b"few", Millis(1));
    (0..500).for_each(|seq| group.deliver(StreamId::new(1, seq), many, Millis(1), 1));
    (100..103).for_each(|seq| group.deliver(StreamId::new(1, seq), few, Millis(1), 1));
    assert_eq!(group.remove_consumer(b"few"), Some(3));
    assert_eq!(group.pending_len(), 497);
    group.check();
    let (again, _) = group.make_consumer(b"again", Millis(1));
    assert_eq!(again, few, "numbers are used again");
    assert_eq!(group.remove_consumer(b"many"), Some(497));
    assert_eq!(group.pending_len(), 0);
    group.check();
}

#[test]
fn groups_are_found_by_name() {
    let mut groups = Groups::default();
    assert!(groups.is_empty());
    for name in ["b", "", "a", "ab"] {
        assert!(groups.add(Group::new(name.as_bytes(), StreamId::MIN, None)));
    }
    assert!(!groups.add(Group::new(b"ab", StreamId::MAX, None)), "a name is taken once");
    let names: Vec<&[u8]> = groups.iter().map(Group::name).collect();
    assert_eq!(names, [&b""[..], b"a", b"ab", b"b"]);
    assert_eq!(groups.find(b"ab").map(|group| group.last_id), Some(StreamId::MIN));
    groups.find_mut(b"a").unwrap().last_id = StreamId::MAX;
    assert_eq!(groups.remove(b"a").unwrap().last_id, StreamId::MAX);
    assert!(groups.remove(b"a").is_none());
    assert_eq!(groups.len(), 3);
    groups.check();
    assert!(groups.memory_bytes(0) > 3 * size_of::<Group>());
    while !groups.free_some(1) {}
    assert!(groups.is_empty());
}
