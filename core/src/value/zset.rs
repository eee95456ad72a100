//! Sorted sets: members with scores, in the order of their scores and, where those are equal, of the members' bytes.
//!
//! A small one is packed: a count, then member and score of each, in order. A large one has a table and a tree
//! ([`SortedSet`]). [`SortedSetRef`] and [`SortedSetMut`] hide which it is.

mod packed;
#[cfg(test)]
mod tests;

pub use crate::keyspace::ordered::{Bound, SortedSet, SortedSetBuilder, order_of};
pub use packed::append;

use super::{Element, Limits, PACKED_HEAD_BYTES, Splice};
use crate::double::DoubleText;
use crate::keyspace::{EntryRef, Form, KeyHasher, Large, NewValue, OwnedEntry, Value, ValueMut};
use packed::Packed;

/// A packed sorted set without members.
pub const EMPTY: [u8; PACKED_HEAD_BYTES] = [0; PACKED_HEAD_BYTES];

/// The most bytes of a packed set, whatever the settings say: what a listpack holds safely.
const PACKED_BYTES_MAX: usize = 1 << 30;

/// A score where it is stored: its number or its text is made only where it is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Score<'a> {
    /// A number.
    Double(f64),
    /// An element of packed bytes: the text of the number, or an integer.
    Packed(Element<'a>),
}

impl Score<'_> {
    /// The number.
    #[inline]
    pub fn value(&self) -> f64 {
        match *self {
            Self::Double(score) => score,
            Self::Packed(element) => packed::score_of(element),
        }
    }
}

/// A sorted set to be read.
#[derive(Clone, Copy, Debug)]
pub enum SortedSetRef<'a> {
    /// A small one.
    Packed(Packed<'a>),
    /// A large one.
    Large(&'a SortedSet),
}

impl<'a> SortedSetRef<'a> {
    /// The sorted set of an entry; none if it holds another type.
    #[inline]
    pub fn of(entry: &EntryRef<'a>) -> Option<Self> {
        match entry.value() {
            Value::Packed(Form::SortedSet, bytes) => Some(Self::Packed(Packed::new(bytes))),
            Value::SortedSet(set) => Some(Self::Large(set)),
            _ => None,
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.len(),
            Self::Large(set) => set.len(),
        }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<Score<'a>> {
        match self {
            Self::Packed(packed) => packed.find(member).map(|place| Score::Packed(packed.score(&place))),
            Self::Large(set) => set.score(member).map(Score::Double),
        }
    }

    /// How many members are before this one, and its score.
    #[inline]
    pub fn rank(&self, member: &[u8]) -> Option<(usize, Score<'a>)> {
        match self {
            Self::Packed(packed) => packed.find(member).map(|place| (place.rank, Score::Packed(packed.score(&place)))),
            Self::Large(set) => set.rank(member).map(|(rank, score)| (rank, Score::Double(score))),
        }
    }

    /// The ranks between two bounds: the first and the one after the last.
    #[inline]
    pub fn between(&self, low: Bound<'_>, high: Bound<'_>) -> (usize, usize) {
        match self {
            Self::Packed(packed) => packed.between(low, high),
            Self::Large(set) => {
                let from = set.before(low);
                (from, set.before(high).max(from))
            }
        }
    }

    /// Gives `count` members from a rank on, in order; or, backwards, those ranks from the last to the first.
    #[inline]
    pub fn visit(&self, from: usize, count: usize, backwards: bool, visit: &mut impl FnMut(Element<'a>, Score<'a>)) {
        match self {
            Self::Packed(packed) => packed.visit(from, count, backwards, visit),
            Self::Large(set) => set.visit(from, count, backwards, &mut |member, score| {
                visit(Element::Bytes(member), Score::Double(score));
            }),
        }
    }

    /// Gives all members, in any order, as long as `visit` says to go on: the quickest way through all of them.
    pub fn visit_while(&self, visit: &mut impl FnMut(Element<'a>, Score<'a>) -> bool) {
        match *self {
            Self::Packed(packed) => packed.visit_while(visit),
            Self::Large(set) => {
                set.iter().all(|(member, score)| visit(Element::Bytes(member), Score::Double(score)));
            }
        }
    }

    /// Gives all members, in any order.
    pub fn visit_all(&self, visit: &mut impl FnMut(Element<'a>, Score<'a>)) {
        self.visit_while(&mut |member, score| {
            visit(member, score);
            true
        });
    }

    /// The members of these ranks, which are in order.
    pub fn pick(&self, ranks: &[usize]) -> Vec<(Element<'a>, Score<'a>)> {
        match self {
            Self::Packed(packed) => packed.pick(ranks),
            Self::Large(set) => {
                let member = |rank: &usize| set.at(*rank).expect("ranks are below the number of members");
                ranks.iter().map(member).map(|(name, score)| (Element::Bytes(name), Score::Double(score))).collect()
            }
        }
    }
}

/// A sorted set to be changed.
#[derive(Debug)]
pub struct SortedSetMut<'e> {
    entry: &'e mut OwnedEntry,
    limits: Limits,
    hasher: &'e KeyHasher,
}

impl<'e> SortedSetMut<'e> {
    /// The sorted set that `entry` holds.
    #[inline]
    pub fn new(entry: &'e mut OwnedEntry, limits: Limits, hasher: &'e KeyHasher) -> Self {
        Self { entry, limits, hasher }
    }

    /// Reads it.
    #[inline]
    pub fn as_ref(&self) -> SortedSetRef<'_> {
        SortedSetRef::of(&self.entry.as_ref()).expect("the entry holds a sorted set")
    }

    /// Chooses the large form at once if so many members, of which the longest has so many bytes, would be too much for the small
    /// one, whether they turn out to be new or not.
    pub fn expect(&mut self, count: usize, longest: usize) {
        if count > self.limits.zset_entries || longest > self.limits.zset_value_bytes {
            self.enlarge();
        }
    }

    /// Makes a packed set a large one.
    #[cold]
    fn enlarge(&mut self) {
        let SortedSetRef::Packed(packed) = self.as_ref() else { return };
        let large = packed.enlarged(self.hasher);
        self.entry.set_value(NewValue::Large(Large::SortedSet(Box::new(large))));
    }

    /// Asks for a member's score: `decide` is told the one it has and says the one it gets, if that changes. `adds`: a member
    /// that is absent is added, and `decide` is asked for its score, which it must say.
    #[inline]
    pub fn put(&mut self, member: &[u8], adds: bool, decide: impl FnOnce(Option<f64>) -> Option<f64>) {
        match self.entry.value_mut() {
            ValueMut::SortedSet(set) => set.put(member, adds, decide),
            ValueMut::Packed(_, mut bytes) => {
                let packed = Packed::new(bytes.bytes());
                let survey = packed.survey(member);
                if let Some(place) = survey.found {
                    let old = packed::score_of(packed.score(&place));
                    match decide(Some(old)) {
                        Some(new) if new != old => packed::rescore(&mut bytes, &survey, &place, member, new),
                        _ => {}
                    }
                } else if adds {
                    let score = decide(None).expect("a member that is added has a score");
                    let fits = packed.len() < self.limits.zset_entries.min(usize::from(u16::MAX))
                        && member.len() <= self.limits.zset_value_bytes
                        && packed.bytes().len() + member.len() < PACKED_BYTES_MAX;
                    if fits {
                        packed::insert(&mut bytes, &survey, member, score);
                    } else {
                        self.enlarge();
                        self.add_to_large(member, score);
                    }
                }
            }
            _ => unreachable!("the entry holds a sorted set"),
        }
    }

    fn add_to_large(&mut self, member: &[u8], score: f64) {
        if let ValueMut::SortedSet(set) = self.entry.value_mut() {
            set.put(member, true, |_| Some(score));
        }
    }

    /// Takes a member out. The answer is its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.entry.value_mut() {
            ValueMut::SortedSet(set) => set.remove(member),
            ValueMut::Packed(_, mut bytes) => {
                let packed = Packed::new(bytes.bytes());
                let place = packed.find(member)?;
                let score = packed::score_of(packed.score(&place));
                packed::remove_range(&mut bytes, place.rank, 1);
                Some(score)
            }
            _ => unreachable!("the entry holds a sorted set"),
        }
    }

    /// Takes out members by their ranks.
    pub fn remove_range(&mut self, from: usize, count: usize) {
        match self.entry.value_mut() {
            ValueMut::SortedSet(set) => set.remove_range(from, count),
            ValueMut::Packed(_, mut bytes) => packed::remove_range(&mut bytes, from, count),
            _ => unreachable!("the entry holds a sorted set"),
        }
    }
}

/// A sorted set that is made to be stored.
#[derive(Debug)]
pub enum Built {
    /// A small one.
    Packed(Vec<u8>),
    /// A large one.
    Large(Box<SortedSet>),
}

impl Built {
    /// A set of members that are given in order, each once.
    pub fn from_sorted<'a>(
        members: impl ExactSizeIterator<Item = (&'a [u8], f64)> + Clone,
        limits: &Limits,
        hasher: &KeyHasher,
    ) -> Self {
        let count = members.len();
        let is_small = count <= limits.zset_entries.min(usize::from(u16::MAX))
            && members.clone().all(|(member, _)| member.len() <= limits.zset_value_bytes)
            && members.clone().map(|(member, _)| member.len() + DoubleText::LEN_MAX).sum::<usize>() < PACKED_BYTES_MAX;
        if is_small {
            Self::Packed(packed::from_sorted(members))
        } else {
            Self::Large(Box::new(SortedSet::from_sorted(hasher.clone(), count, members)))
        }
    }

    /// A set of members that were put together in any order.
    pub fn from_builder(mut members: SortedSetBuilder, limits: &Limits, hasher: &KeyHasher) -> Self {
        if members.len() > limits.zset_entries {
            return Self::Large(members.finish());
        }
        members.sort();
        Self::from_sorted(members.iter(), limits, hasher)
    }

    /// Is there no member?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(bytes) => Packed::new(bytes).len(),
            Self::Large(set) => set.len(),
        }
    }

    /// Hands it to `store` as a value.
    pub fn stored<R>(self, store: impl FnOnce(NewValue<'_>) -> R) -> R {
        match self {
            Self::Packed(bytes) => store(NewValue::Packed(Form::SortedSet, &bytes)),
            Self::Large(set) => store(NewValue::Large(Large::SortedSet(set))),
        }
    }
}
