//! Sorted sets against a map, over changes of their form.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::prng::Prng;
use std::collections::BTreeMap;

const LIMITS: Limits = Limits {
    hash_entries: 0,
    hash_value_bytes: 0,
    set_intset_entries: 0,
    set_entries: 0,
    set_value_bytes: 0,
    zset_entries: 12,
    zset_value_bytes: 20,
    list_size: -2,
    list_plain_from: 0,
    hll_sparse_bytes: 0,
    stream_node_bytes: 0,
    stream_node_entries: 0,
};

/// What the set must be: scores by member, and the order from sorting.
#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, f64>);

impl Model {
    fn sorted(&self) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> = self.0.iter().map(|(member, score)| (member.clone(), *score)).collect();
        all.sort_by(|(a, x), (b, y)| x.partial_cmp(y).unwrap().then_with(|| a.cmp(b)));
        all
    }
}

fn text(element: Element<'_>) -> Vec<u8> {
    element.text(&mut itoa::Buffer::new()).to_vec()
}

fn seen(set: SortedSetRef<'_>, from: usize, count: usize, backwards: bool) -> Vec<(Vec<u8>, f64)> {
    let mut seen = Vec::new();
    set.visit(from, count, backwards, &mut |member, score| seen.push((text(member), score.value())));
    seen
}

fn check_all(set: SortedSetRef<'_>, model: &Model, prng: &mut Prng) {
    match set {
        SortedSetRef::Packed(packed) => packed::check(packed.bytes()),
        SortedSetRef::Large(set) => set.check(),
    }
    let sorted = model.sorted();
    assert_eq!(seen(set, 0, sorted.len(), false), sorted);
    for (rank, (member, score)) in sorted.iter().enumerate() {
        assert_eq!(set.score(member).map(|score| score.value()), Some(*score));
        let (found, _) = set.rank(member).unwrap();
        assert_eq!(found, rank);
    }
    assert!(set.score(b"absent").is_none() && set.rank(b"absent").is_none());
    let len = sorted.len() as u64;
    let from = prng.below(len + 1) as usize;
    let count = prng.below(len + 1 - from as u64) as usize;
    let mut part = sorted[from..from + count].to_vec();
    assert_eq!(seen(set, from, count, false), part);
    part.reverse();
    assert_eq!(seen(set, from, count, true), part);
    let (low, high) = (prng.below(8) as f64 - 4.0, prng.below(8) as f64 - 4.0);
    let below = |test: &dyn Fn(f64) -> bool| sorted.iter().filter(|(_, score)| test(*score)).count();
    let (from, to) = set.between(Bound::AfterScore(low), Bound::AfterScore(high));
    assert_eq!((from, to), (below(&|score| score <= low), below(&|score| score <= high).max(from)));
    let (from, to) = set.between(Bound::BeforeScore(low), Bound::BeforeScore(high));
    assert_eq!((from, to), (below(&|score| score < low), below(&|score| score < high).max(from)));
    let ranks: Vec<_> = (0..sorted.len()).filter(|_| prng.below(3) == 0).collect();
    let picked: Vec<_> = set.pick(&ranks).iter().map(|(member, score)| (text(*member), score.value())).collect();
    assert_eq!(picked, ranks.iter().map(|rank| sorted[*rank].clone()).collect::<Vec<_>>());
}

fn member(prng: &mut Prng) -> Vec<u8> {
    match prng.below(12) {
        0 => Vec::new(),
        1 => vec![b'l'; 18 + prng.below(4) as usize],
        2..=6 => prng.below(30).to_string().into_bytes(),
        7 => (prng.next_u64() as i64 >> prng.below(60)).to_string().into_bytes(),
        _ => format!("m{}", prng.below(25)).into_bytes(),
    }
}

fn score(prng: &mut Prng) -> f64 {
    let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, 1e18, -9.3e18, 0.1, 1e300];
    match prng.below(4) {
        0 => special[prng.below(special.len() as u64) as usize],
        1 => prng.below(100) as f64 / 8.0,
        _ => prng.below(8) as f64 - 4.0,
    }
}

fn run(seed: u64, steps: u64) -> (usize, usize) {
    let mut prng = Prng::new(seed);
    let hasher = KeyHasher::new([1, 2, 3, seed]);
    let mut entry = OwnedEntry::new(b"key", NewValue::Packed(Form::SortedSet, &EMPTY), None);
    let mut model = Model::default();
    let (mut small, mut large) = (0, 0);
    for step in 0..steps {
        let name = member(&mut prng);
        let wanted = score(&mut prng);
        let mut set = SortedSetMut::new(&mut entry, LIMITS, &hasher);
        let must_be_large = model.0.len() > LIMITS.zset_entries || model.0.keys().any(|name| name.len() > 20);
        match prng.below(10) {
            0..=4 => {
                let mut told = None;
                set.put(&name, true, |old| {
                    told = Some(old);
                    Some(wanted)
                });
                let old = model.0.get(&name).copied();
                assert_eq!(told, Some(old));
                if old != Some(wanted) {
                    model.0.insert(name, wanted);
                }
            }
            5 => {
                let mut told = None;
                set.put(&name, false, |old| {
                    told = old;
                    old.map(|old| -old)
                });
                assert_eq!(told, model.0.get(&name).copied());
                model.0.entry(name).and_modify(|old| *old = -*old);
            }
            6 => set.put(&name, true, |old| {
                if old.is_some() {
                    None
                } else {
                    model.0.insert(name.clone(), 1.0);
                    Some(1.0)
                }
            }),
            7 if step % 50 == 0 => {
                let count = prng.below(model.0.len() as u64 + 1) as usize;
                let from = prng.below((model.0.len() - count) as u64 + 1) as usize;
                let gone: Vec<_> = model.sorted()[from..from + count].to_vec();
                set.remove_range(from, count);
                model.0.retain(|name, _| gone.iter().all(|(other, _)| other != name));
            }
            _ => assert_eq!(set.remove(&name), model.0.remove(&name)),
        }
        check_all(set.as_ref(), &model, &mut prng);
        match entry.as_ref().encoding() {
            "listpack" => {
                assert!(!must_be_large);
                small += 1;
            }
            _ => large += 1,
        }
        if step % 20 == 19 {
            // Often back to a packed one, else to what a STORE command makes of it.
            while step % 40 == 39 && model.0.len() > 5 {
                let (name, _) = model.0.pop_last().unwrap();
                SortedSetMut::new(&mut entry, LIMITS, &hasher).remove(&name);
            }
            let sorted = model.sorted();
            let members = sorted.iter().map(|(name, score)| (&name[..], *score));
            Built::from_sorted(members, &LIMITS, &hasher).stored(|value| entry.set_value(value));
            let is_small = sorted.len() <= 12 && sorted.iter().all(|(name, _)| name.len() <= 20);
            assert_eq!(entry.as_ref().encoding() == "listpack", is_small);
            check_all(SortedSetRef::of(&entry.as_ref()).unwrap(), &model, &mut prng);
        }
    }
    (small, large)
}

#[test]
fn it_does_what_a_sorted_vector_does_over_changes_of_form() {
    let (mut small, mut large) = (0, 0);
    for seed in 0..6 {
        let (one, other) = run(seed, if cfg!(miri) { 120 } else { 1500 });
        (small, large) = (small + one, large + other);
    }
    assert!(small > 300 || cfg!(miri), "both forms are met: {small} {large}");
    assert!(large > 300 || cfg!(miri), "both forms are met: {small} {large}");
}

#[test]
fn scores_are_stored_as_integers_or_as_their_text() {
    let bytes = packed::from_sorted([(&b"a"[..], -0.0), (b"b", 1.5), (b"c", 300.0), (b"5", 1e21)].into_iter());
    assert_eq!(bytes, b"\x04\0\x81a\0\x81b\x831.5\x81c\xc1\x2c\x05\x851e+21");
}

#[test]
fn any_order_of_entries_becomes_a_set() {
    let hasher = KeyHasher::new([1, 2, 3, 4]);
    for count in [0_u64, 1, 12, 13, 2000] {
        let mut members = SortedSetBuilder::for_about(hasher.clone(), count as usize / 2);
        let mut model = Model::default();
        let mut prng = Prng::new(count);
        for number in 0..count {
            let (name, score) = (format!("m{number}"), prng.below(50) as f64);
            members.join(name.as_bytes(), score, |_, _| unreachable!("each comes once"));
            model.0.insert(name.into_bytes(), score);
        }
        // Half of them come once more.
        for number in (0..count).step_by(2) {
            let name = format!("m{number}");
            let more = prng.below(50) as f64;
            members.join(name.as_bytes(), more, |one, other| one.max(other) + 1.0);
            let score = model.0.get_mut(name.as_bytes()).unwrap();
            *score = score.max(more) + 1.0;
        }
        let built = Built::from_builder(members, &LIMITS, &hasher);
        assert_eq!((built.len(), matches!(built, Built::Packed(_))), (count as usize, count <= 12));
        let entry = built.stored(|value| OwnedEntry::new(b"key", value, None));
        check_all(SortedSetRef::of(&entry.as_ref()).unwrap(), &model, &mut prng);
        if let Value::SortedSet(set) = entry.as_ref().value() {
            let copy = set.copy();
            check_all(SortedSetRef::Large(&copy), &model, &mut prng);
        }
    }
}

#[test]
fn hints_choose_the_large_form() {
    let hasher = KeyHasher::new([1, 2, 3, 4]);
    for (count, longest, expected) in [(12, 20, "listpack"), (13, 0, "skiplist"), (1, 21, "skiplist")] {
        let mut entry = OwnedEntry::new(b"key", NewValue::Packed(Form::SortedSet, &EMPTY), None);
        let mut set = SortedSetMut::new(&mut entry, LIMITS, &hasher);
        set.put(b"7", true, |_| Some(2.5));
        set.expect(count, longest);
        assert_eq!(seen(set.as_ref(), 0, 1, false), [(b"7".to_vec(), 2.5)]);
        assert_eq!(entry.as_ref().encoding(), expected);
    }
}
