//! Values by id, in order: the entries that a group has given to consumers and that are not acknowledged yet.
//!
//! Such a list grows at its end and is emptied from its beginning, mostly. So it is a deque of leaves, each a deque of up to
//! [`LEAF_MAX`] ids: both ends are reached without a search, a full list has no slack, and nothing that is done to one id
//! moves more than half a leaf, or half of the row of leaves.

use super::StreamId;
use std::collections::VecDeque;

/// Most ids of a leaf.
#[cfg(not(test))]
const LEAF_MAX: usize = 128;
/// Small, so that tests of few ids have many leaves.
#[cfg(test)]
const LEAF_MAX: usize = 8;

/// Leaves with together no more than this become one.
const JOINED_MAX: usize = LEAF_MAX / 2;

/// A leaf of room for so many ids or fewer keeps it.
const ROOM_MIN: usize = 4;

/// Ids that follow each other.
#[derive(Debug, Clone)]
struct Leaf<V> {
    /// No id of this leaf is smaller, and those of the leaf before are.
    from: StreamId,
    /// Empty only if this is the only leaf.
    items: VecDeque<(StreamId, V)>,
}

/// Values by id.
#[derive(Debug, Clone)]
pub struct ById<V> {
    leaves: VecDeque<Leaf<V>>,
    len: usize,
}

impl<V> Default for ById<V> {
    fn default() -> Self {
        Self { leaves: VecDeque::new(), len: 0 }
    }
}

impl<V: Copy + PartialEq> PartialEq for ById<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<V: Copy + Eq> Eq for ById<V> {}

impl<V: Copy> ById<V> {
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The leaf in which an id is, if it is there; none if it is smaller than all.
    #[inline]
    fn leaf_of(&self, id: StreamId) -> Option<usize> {
        // What is asked for is mostly the newest or the oldest.
        let last = self.leaves.len().checked_sub(1)?;
        if self.leaves[last].from <= id {
            return Some(last);
        }
        if self.leaves.get(1).is_none_or(|second| second.from > id) {
            return (self.leaves[0].from <= id).then_some(0);
        }
        Some(self.leaves.partition_point(|leaf| leaf.from <= id) - 1)
    }

    #[inline]
    fn place_of(&self, id: StreamId) -> Option<(usize, usize)> {
        let leaf = self.leaf_of(id)?;
        let items = &self.leaves[leaf].items;
        // The oldest one is acknowledged first, mostly.
        if items.front().is_some_and(|(first, _)| *first == id) {
            return Some((leaf, 0));
        }
        items.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| (leaf, at))
    }

    /// The value of an id.
    #[inline]
    pub fn find(&self, id: StreamId) -> Option<V> {
        let (leaf, at) = self.place_of(id)?;
        Some(self.leaves[leaf].items[at].1)
    }

    /// The value of an id, to be changed.
    #[inline]
    pub fn find_mut(&mut self, id: StreamId) -> Option<&mut V> {
        let (leaf, at) = self.place_of(id)?;
        Some(&mut self.leaves[leaf].items[at].1)
    }

    /// Puts in a value; gives back the one that was there.
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        let Some(at) = self.leaf_of(id) else {
            self.insert_first(id, value);
            return None;
        };
        let is_last = at + 1 == self.leaves.len();
        let items = &mut self.leaves[at].items;
        if is_last && items.back().is_none_or(|(last, _)| *last < id) {
            if items.len() < LEAF_MAX {
                items.push_back((id, value));
            } else {
                self.leaves.push_back(Leaf { from: id, items: VecDeque::from([(id, value)]) });
            }
            self.len += 1;
            return None;
        }
        match items.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => Some(std::mem::replace(&mut items[at].1, value)),
            Err(place) => {
                self.insert_into(at, place, id, value);
                None
            }
        }
    }

    /// An id that is smaller than all others.
    fn insert_first(&mut self, id: StreamId, value: V) {
        self.len += 1;
        match self.leaves.front_mut() {
            Some(leaf) if leaf.items.len() < LEAF_MAX => {
                leaf.from = id;
                leaf.items.push_front((id, value));
            }
            None => {
                self.leaves.reserve_exact(1);
                self.leaves.push_front(Leaf { from: id, items: VecDeque::from([(id, value)]) });
            }
            Some(_) => self.leaves.push_front(Leaf { from: id, items: VecDeque::from([(id, value)]) }),
        }
    }

    fn insert_into(&mut self, at: usize, place: usize, id: StreamId, value: V) {
        self.len += 1;
        let items = &mut self.leaves[at].items;
        if items.len() < LEAF_MAX {
            return items.insert(place, (id, value));
        }
        let mut upper = items.split_off(LEAF_MAX / 2);
        match place.checked_sub(LEAF_MAX / 2) {
            Some(place) if place > 0 => upper.insert(place, (id, value)),
            _ => items.insert(place, (id, value)),
        }
        self.leaves.insert(at + 1, Leaf { from: upper[0].0, items: upper });
    }

    /// Takes an id out.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let (at, place) = self.place_of(id)?;
        let items = &mut self.leaves[at].items;
        let (_, value) = items.remove(place)?;
        self.len -= 1;
        self.tidy_up(at);
        Some(value)
    }

    /// A leaf has lost ids.
    #[inline]
    fn tidy_up(&mut self, at: usize) {
        let leaves = self.leaves.len();
        let items = &mut self.leaves[at].items;
        let (len, room) = (items.len(), items.capacity());
        if len == 0 && leaves > 1 {
            self.leaves.remove(at);
            return self.shrink_row();
        }
        if len * 4 > room || room <= ROOM_MIN {
            return;
        }
        items.shrink_to((room / 2).max(ROOM_MIN));
        for first in [at.wrapping_sub(1), at] {
            if first < self.leaves.len() && first + 1 < self.leaves.len() {
                let (one, other) = (self.leaves[first].items.len(), self.leaves[first + 1].items.len());
                if one + other <= JOINED_MAX
                    && let Some(mut next) = self.leaves.remove(first + 1)
                {
                    self.leaves[first].items.append(&mut next.items);
                    return self.shrink_row();
                }
            }
        }
    }

    fn shrink_row(&mut self) {
        if self.leaves.len() * 4 < self.leaves.capacity() {
            self.leaves.shrink_to(self.leaves.capacity() / 2);
        }
    }

    /// Keeps only what `keep` wants, in one walk over all.
    pub fn retain(&mut self, mut keep: impl FnMut(StreamId, V) -> bool) {
        for leaf in &mut self.leaves {
            leaf.items.retain(|(id, value)| keep(*id, *value));
        }
        let mut rest = Self::default();
        for (id, value) in self.leaves.iter().flat_map(|leaf| &leaf.items) {
            rest.insert(*id, *value);
        }
        *self = rest;
    }

    /// The smallest id.
    pub fn first(&self) -> Option<StreamId> {
        self.leaves.front()?.items.front().map(|(id, _)| *id)
    }

    /// The largest id.
    pub fn last(&self) -> Option<StreamId> {
        self.leaves.back()?.items.back().map(|(id, _)| *id)
    }

    /// All from an id on, in order.
    pub fn range(&self, from: StreamId) -> impl Iterator<Item = (StreamId, V)> + '_ {
        let leaf = self.leaf_of(from).unwrap_or(0);
        let skipped = self.leaves.get(leaf).map_or(0, |leaf| leaf.items.partition_point(|(id, _)| *id < from));
        self.leaves.range(leaf.min(self.leaves.len())..).flat_map(|leaf| &leaf.items).skip(skipped).copied()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (StreamId, V)> + '_ {
        self.leaves.iter().flat_map(|leaf| &leaf.items).copied()
    }

    /// Frees about `budget` ids, which is lowered by as many. The answer: is none left?
    pub fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0
            && let Some(leaf) = self.leaves.pop_back()
        {
            self.len -= leaf.items.len();
            *budget = budget.saturating_sub(leaf.items.len().max(1));
        }
        self.leaves.is_empty()
    }

    /// Memory behind this structure in bytes. Full leaves are taken to have no slack, so it costs the same however long the
    /// list is.
    pub fn memory_bytes(&self) -> usize {
        let item = size_of::<(StreamId, V)>();
        let ends = match (self.leaves.front(), self.leaves.back()) {
            (Some(front), Some(back)) if self.leaves.len() > 1 => {
                front.items.capacity() - front.items.len() + back.items.capacity() - back.items.len()
            }
            (Some(only), _) => only.items.capacity() - only.items.len(),
            _ => 0,
        };
        self.leaves.capacity() * size_of::<Leaf<V>>() + (self.len + ends) * item
    }

    /// Checks all invariants; for tests.
    pub fn check(&self) {
        let mut count = 0;
        let mut before: Option<StreamId> = None;
        for leaf in &self.leaves {
            assert!(!leaf.items.is_empty() || self.leaves.len() == 1, "no leaf but an only one is empty");
            assert!(leaf.items.len() <= LEAF_MAX, "leaves are bounded");
            assert!(before.is_none_or(|before| before < leaf.from), "leaves are in order");
            for (id, _) in &leaf.items {
                assert!(*id >= leaf.from && before.is_none_or(|before| before < *id), "ids are in order");
                before = Some(*id);
                count += 1;
            }
        }
        assert_eq!(count, self.len, "all are counted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;
    use std::collections::BTreeMap;

    fn same(ours: &ById<u32>, model: &BTreeMap<StreamId, u32>) {
        ours.check();
        assert_eq!(ours.len(), model.len());
        assert_eq!(ours.is_empty(), model.is_empty());
        assert!(ours.iter().eq(model.iter().map(|(id, value)| (*id, *value))));
        assert_eq!(ours.first(), model.keys().next().copied());
        assert_eq!(ours.last(), model.keys().next_back().copied());
    }

    /// How likely ids come at the end and go from the beginning, of 10.
    fn play(seed: u64, orderly: u64) {
        let mut prng = Prng::new(seed);
        let mut ours = ById::default();
        let mut model = BTreeMap::new();
        let mut next: u64 = 1000;
        let mut grows = true;
        for step in 0..4000u32 {
            let bound = next + 2;
            let any = |prng: &mut Prng| StreamId::new(prng.below(3), prng.below(bound));
            if model.len() > 300 || prng.below(100) == 0 {
                grows = !grows && model.len() <= 300;
            }
            let is_orderly = prng.below(10) < orderly;
            if prng.below(10) < if grows { 7 } else { 3 } {
                next += 1;
                let id = if is_orderly { StreamId::new(1, next) } else { any(&mut prng) };
                assert_eq!(ours.insert(id, step), model.insert(id, step));
            } else {
                let oldest = model.keys().next().copied();
                let id = oldest.filter(|_| is_orderly).unwrap_or_else(|| any(&mut prng));
                assert_eq!(ours.remove(id), model.remove(&id));
            }
            let id = any(&mut prng);
            assert_eq!(ours.find(id), model.get(&id).copied());
            if let Some(value) = ours.find_mut(id) {
                *value += 1;
                *model.get_mut(&id).expect("both have it") += 1;
            }
            let ours_from: Vec<_> = ours.range(id).take(12).collect();
            assert!(ours_from.iter().copied().eq(model.range(id..).take(12).map(|(id, value)| (*id, *value))));
            if step % 50 == 0 {
                same(&ours, &model);
            }
            if step % 1000 == 999 {
                ours.retain(|id, value| id.seq % 3 != 0 || value % 2 == 0);
                model.retain(|id, value| id.seq % 3 != 0 || *value % 2 == 0);
                same(&ours, &model);
            }
        }
        let mut last = ours.len();
        while !ours.free_some(&mut 5) {
            assert!(ours.len() < last, "each slice frees something");
            last = ours.len();
            ours.check();
        }
        assert!(ours.is_empty());
    }

    #[test]
    fn it_does_what_a_plain_map_does() {
        for seed in 0..12 {
            play(seed, seed % 3 * 5);
        }
    }

    #[test]
    fn what_grows_at_the_end_and_goes_from_the_front_has_no_slack() {
        let mut list = ById::default();
        for seq in 0..800 {
            list.insert(StreamId::new(1, seq), seq as u32);
        }
        assert_eq!(list.leaves.len(), 800 / LEAF_MAX);
        for seq in 0..799 {
            list.remove(StreamId::new(1, seq));
            list.check();
        }
        assert_eq!(list.leaves.len(), 1);
        list.remove(StreamId::new(1, 799));
        assert!(list.leaves[0].items.capacity() <= 2 * ROOM_MIN, "an empty list is small");
        assert_eq!(list.first(), None);
        list.insert(StreamId::new(0, 1), 1);
        list.check();
        assert_eq!(list.find(StreamId::new(0, 1)), Some(1));
    }

    #[test]
    fn leaves_that_are_sparse_are_joined() {
        let mut list = ById::default();
        for seq in 0..800 {
            list.insert(StreamId::new(1, seq), ());
        }
        for seq in (0..800).filter(|seq| seq % 8 != 0) {
            list.remove(StreamId::new(1, seq));
        }
        list.check();
        assert!(list.leaves.len() <= 2 * 100 / JOINED_MAX + 1, "{} leaves of 100 ids", list.leaves.len());
    }
}
