//! The tree against a sorted vector.
#![allow(clippy::unwrap_used, unsafe_code)]
use super::*;
use crate::keyspace::entry::OwnedEntry;
use crate::prng::Prng;
use std::collections::HashMap;

/// A tree with a table of its elements and a model: the elements in a sorted vector.
#[derive(Default)]
struct Pair {
    tree: Ordered,
    entries: HashMap<Vec<u8>, OwnedEntry>,
    model: Vec<(f64, Vec<u8>)>,
}

impl Pair {
    fn place(&self, score: f64, member: &[u8]) -> Result<usize, usize> {
        self.model
            .binary_search_by(|(other, name)| other.partial_cmp(&score).unwrap().then_with(|| name[..].cmp(member)))
    }

    /// Adds a member or gives it another score.
    fn put(&mut self, score: f64, member: &[u8]) {
        self.take(member);
        let entry = OwnedEntry::scored(member, score);
        // SAFETY: the entry stays in the table until `take` has removed it from the tree.
        unsafe { self.tree.insert(entry.as_ref()) };
        self.entries.insert(member.to_vec(), entry);
        let at = self.place(score, member).unwrap_err();
        self.model.insert(at, (score, member.to_vec()));
    }

    fn take(&mut self, member: &[u8]) -> bool {
        let Some(entry) = self.entries.remove(member) else {
            return false;
        };
        assert!(self.tree.remove(entry.as_ref()));
        let at = self.place(entry.as_ref().score(), member).unwrap();
        self.model.remove(at);
        true
    }

    fn take_range(&mut self, from: usize, count: usize) {
        self.tree.remove_range(from, count);
        for (_, member) in self.model.drain(from..from + count) {
            assert!(self.entries.remove(&member).is_some());
        }
    }

    fn seen(&self, from: usize, count: usize, backwards: bool) -> Vec<(f64, Vec<u8>)> {
        let mut seen = Vec::new();
        self.tree.visit(from, count, backwards, &mut |entry| seen.push((entry.score(), entry.key().to_vec())));
        seen
    }

    fn check(&self) {
        self.tree.check();
        assert_eq!(self.tree.len(), self.model.len());
        assert_eq!(self.seen(0, self.model.len(), false), self.model);
    }

    /// Compares everything that can be asked about a random score, member and range.
    fn check_questions(&self, prng: &mut Prng, score: f64) {
        let len = self.model.len();
        let before = self.model.iter().filter(|(other, _)| *other < score).count();
        let upto = self.model.iter().filter(|(other, _)| *other <= score).count();
        assert_eq!(self.tree.before(Bound::BeforeScore(score)), before);
        assert_eq!(self.tree.before(Bound::AfterScore(score)), upto);
        assert!(self.tree.at(len).is_none());
        if len == 0 {
            return;
        }
        let rank = prng.below(len as u64) as usize;
        let (score, member) = &self.model[rank];
        let entry = self.tree.at(rank).unwrap();
        assert_eq!((entry.score(), entry.key()), (*score, &member[..]));
        assert_eq!(self.tree.rank(self.entries[member].as_ref()), Some(rank));
        let absent = OwnedEntry::scored(member, *score);
        assert_eq!(self.tree.rank(absent.as_ref()), None);
        let count = prng.below((len - rank) as u64 + 1) as usize;
        let mut expected = self.model[rank..rank + count].to_vec();
        assert_eq!(self.seen(rank, count, false), expected);
        expected.reverse();
        assert_eq!(self.seen(rank, count, true), expected);
    }
}

/// Scores that make all kinds of neighbourhoods.
fn score(prng: &mut Prng, kind: u64, step: u64) -> f64 {
    match kind {
        0 => 0.0,
        1 => prng.below(10) as f64,
        2 => prng.below(1_000_000) as f64,
        3 => f64::from_bits(prng.next_u64() & !(1 << 62)),
        4 => step as f64,
        5 => -(step as f64),
        6 => [f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-300, f64::MAX, f64::MIN][prng.below(7) as usize],
        _ => prng.below(1000) as f64 / 1000.0,
    }
}

fn run(seed: u64, kind: u64, steps: u64, names: u64) {
    let mut prng = Prng::new(seed);
    let mut pair = Pair::default();
    for step in 0..steps {
        // Phases of growth and of decline.
        let grows = (step / (steps / 4)).is_multiple_of(2);
        let member = format!("m{}", prng.below(names)).into_bytes();
        let score = score(&mut prng, kind, step);
        match prng.below(20) {
            0 if !grows && !pair.model.is_empty() => {
                let len = pair.model.len() as u64;
                let from = prng.below(len);
                pair.take_range(from as usize, prng.below((len - from).min(names / 8 + 1) + 1) as usize);
            }
            1..=3 => drop(pair.take(&member)),
            4..=13 if !grows => drop(pair.take(&member)),
            _ => pair.put(score, &member),
        }
        pair.check_questions(&mut prng, score);
        if step % 64 == 0 || pair.model.len() < 20 {
            pair.check();
        }
    }
    pair.check();
    let len = pair.model.len();
    pair.take_range(0, len);
    pair.check();
    assert_eq!(pair.tree.memory_bytes(), 0);
}

#[test]
fn it_does_what_a_sorted_vector_does() {
    let (steps, names) = if cfg!(miri) { (300, 150) } else { (6_000, 2_000) };
    for kind in 0..8 {
        run(kind, kind, steps, names);
    }
}

#[test]
fn members_bound_ranges_where_scores_are_equal() {
    let mut pair = Pair::default();
    let names: Vec<_> = (0..500).map(|number| format!("{:04}", number * 2).into_bytes()).collect();
    for name in names.iter().rev() {
        pair.put(7.0, name);
    }
    pair.check();
    for number in 0..1000 {
        let name = format!("{number:04}").into_bytes();
        let before = names.iter().filter(|other| **other < name).count();
        assert_eq!(pair.tree.before(Bound::BeforeMember(&name)), before);
        let there = usize::from(number % 2 == 0);
        assert_eq!(pair.tree.before(Bound::AfterMember(&name)), before + there);
    }
}

/// Bytes of the tree for each of so many members put in this order.
fn bytes_each(count: u64, score: impl Fn(u64) -> f64) -> f64 {
    let mut pair = (Ordered::default(), Vec::new());
    for number in 0..count {
        let entry = OwnedEntry::scored(format!("{number}").as_bytes(), score(number));
        // SAFETY: the vector keeps the entry as long as the tree is used.
        unsafe { pair.0.insert(entry.as_ref()) };
        pair.1.push(entry);
    }
    pair.0.check();
    pair.0.memory_bytes() as f64 / count as f64
}

#[test]
fn scores_that_rise_or_fall_leave_full_leaves() {
    let count = if cfg!(miri) { 500 } else { 50_000 };
    let (rising, falling) = (bytes_each(count, |n| n as f64), bytes_each(count, |n| -(n as f64)));
    assert!(rising < 9.2 && falling < 9.2, "{rising} {falling}");
    let mixed = bytes_each(count, |n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as f64);
    assert!(mixed < 14.0, "{mixed}");
}

fn placed(entry: &OwnedEntry) -> (u64, Handle) {
    (order_of(entry.as_ref().score()), Handle::of(&entry.as_ref()))
}

#[test]
fn it_is_built_from_sorted_elements() {
    for count in [0_usize, 1, 61, 62, 63, 124, 62 * 31, 62 * 31 + 1, 5000] {
        let entries: Vec<_> = (0..count)
            .map(|number| OwnedEntry::scored(format!("{number:05}").as_bytes(), (number / 3) as f64))
            .collect();
        // SAFETY: the vector outlives the tree.
        let tree = unsafe { Ordered::from_sorted(entries.iter().map(placed)) };
        tree.check();
        assert_eq!(tree.len(), count);
        for (rank, entry) in entries.iter().enumerate() {
            assert_eq!(tree.rank(entry.as_ref()), Some(rank));
        }
    }
}

#[test]
fn it_is_freed_in_steps() {
    let entries: Vec<_> = (0..10_000).map(|number| OwnedEntry::scored(b"same", f64::from(number))).collect();
    // SAFETY: the vector outlives the tree.
    let mut tree = unsafe { Ordered::from_sorted(entries.iter().map(placed)) };
    drop(entries);
    let mut steps = 0;
    while !tree.free_some(10) {
        steps += 1;
    }
    assert!((15..=18).contains(&steps), "{steps}");
    assert_eq!(tree.memory_bytes(), 0);
}
