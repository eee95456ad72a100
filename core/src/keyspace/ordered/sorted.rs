//! A large sorted set: a table that finds members by name and owns them, and the tree that keeps their order.
//!
//! What the tree asks of its caller is kept here: an entry comes into both at once, leaves the tree before it is freed, and
//! leaves it also while its score changes.
#![allow(unsafe_code)]

use super::leaf::{Handle, order_of};
use super::{Bound, Ordered};
use crate::keyspace::elements::Elements;
use crate::keyspace::entry::{EntryRef, OwnedEntry};
use crate::keyspace::scan::Cursor;
use crate::keyspace::slot::KeyHasher;
use smallvec::SmallVec;

/// So many members of a range are removed at a time.
const RANGE_STEP: usize = 128;

/// A large sorted set.
#[derive(Debug)]
pub struct SortedSet {
    members: Elements,
    order: Ordered,
}

impl SortedSet {
    /// A set without members.
    pub fn new(hasher: KeyHasher) -> Self {
        Self { members: Elements::new(hasher), order: Ordered::default() }
    }

    /// A set of `count` members that are given in order, each once.
    pub fn from_sorted<'a>(hasher: KeyHasher, count: usize, members: impl Iterator<Item = (&'a [u8], f64)>) -> Self {
        let mut table = Elements::for_about(hasher, count);
        let mut handles = Vec::with_capacity(count);
        for (member, score) in members {
            let entry = OwnedEntry::scored(member, score);
            handles.push((order_of(score), Handle::of(&entry.as_ref())));
            table.insert(entry);
        }
        // SAFETY: the table owns the entries of all handles from here on.
        let order = unsafe { Ordered::from_sorted(handles.into_iter()) };
        Self { members: table, order }
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Is there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.find(member).map(|entry| entry.score())
    }

    /// How many members are before this one, and its score.
    #[inline]
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let entry = self.members.find(member)?;
        self.order.rank(entry).map(|rank| (rank, entry.score()))
    }

    /// Asks for a member's score: `decide` is told the one it has and says the one it gets, if that changes. `adds`: a member
    /// that is absent is added, and `decide` is asked for its score, which it must say.
    #[inline]
    pub fn put(&mut self, member: &[u8], adds: bool, decide: impl FnOnce(Option<f64>) -> Option<f64>) {
        let order = &mut self.order;
        if !adds {
            self.members.update(member, |entry| (rescored(order, entry, decide), ()));
            return;
        }
        self.members.upsert(member, |old| match old {
            Some(entry) => rescored(order, entry, decide),
            None => {
                let score = decide(None).expect("a member that is added has a score");
                let entry = OwnedEntry::scored(member, score);
                // SAFETY: the entry goes into the table, which keeps it until it is removed from both.
                unsafe { order.insert(entry.as_ref()) };
                entry
            }
        });
    }

    /// Takes a member out. The answer is its score.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let entry = self.members.remove(member)?;
        let known = self.order.remove(entry.as_ref());
        assert!(known, "what is in the table is in the tree");
        Some(entry.as_ref().score())
    }

    /// Takes out members by their ranks.
    pub fn remove_range(&mut self, from: usize, mut count: usize) {
        while count > 0 {
            let step = count.min(RANGE_STEP);
            let mut gone: SmallVec<[Handle; RANGE_STEP]> = SmallVec::new();
            self.order.visit(from, step, false, &mut |entry| gone.push(Handle::of(&entry)));
            self.order.remove_range(from, step);
            for handle in gone {
                // The table still owns the entry, so its name can be read until it comes out.
                let entry = self.members.remove(handle.entry().key());
                assert!(entry.is_some(), "what is in the tree is in the table");
            }
            count -= step;
        }
    }

    /// How many members are before a bound.
    #[inline]
    pub fn before(&self, bound: Bound<'_>) -> usize {
        self.order.before(bound)
    }

    /// The member of a rank and its score.
    #[inline]
    pub fn at(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.order.at(rank).map(|entry| (entry.key(), entry.score()))
    }

    /// Gives `count` members from a rank on, in order; or, backwards, those ranks from the last to the first.
    #[inline]
    pub fn visit<'a>(&'a self, from: usize, count: usize, backwards: bool, visit: &mut impl FnMut(&'a [u8], f64)) {
        self.order.visit(from, count, backwards, &mut |entry| visit(entry.key(), entry.score()));
    }

    /// All members in no order, which is the quickest way to all of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], f64)> {
        self.members.iter().map(|entry| (entry.key(), entry.score()))
    }

    /// The table of members; each is an entry with a score.
    pub fn members(&self) -> &Elements {
        &self.members
    }

    /// Shows about `count` members from a cursor on, and says where to go on, unless that was all.
    pub fn scan(&self, cursor: Cursor, count: usize, visit: &mut dyn FnMut(EntryRef<'_>)) -> Option<Cursor> {
        self.members.scan(cursor, count, visit)
    }

    /// The memory of all members in bytes, judged by so many of them; 0: each.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        self.members.memory_bytes(samples) + size_of::<Ordered>() + self.order.memory_bytes()
    }

    /// Frees about so many members of a set that nobody needs any more. The answer: is nothing left?
    pub fn free_some(&mut self, budget: usize) -> bool {
        // The tree goes first, and asks no entry for it.
        self.order.free_some(budget) && self.members.free_some(budget)
    }

    /// A copy.
    pub fn copy(&self) -> Box<Self> {
        let mut members = Vec::with_capacity(self.len());
        self.visit(0, self.len(), false, &mut |member, score| members.push((member, score)));
        Box::new(Self::from_sorted(self.members.hasher().clone(), members.len(), members.into_iter()))
    }

    /// Checks all invariants; for tests.
    pub fn check(&self) {
        self.members.check();
        self.order.check();
        assert_eq!(self.members.len(), self.order.len(), "table and tree have the same members");
        assert!(self.members.iter().all(|entry| self.order.rank(entry).is_some()));
    }
}

/// A sorted set that is being made of members in any order; the quickest are those in which sets are sorted, or backwards.
/// None is ever taken out, so all handles are those of entries that the table owns.
#[derive(Debug)]
pub struct SortedSetBuilder {
    members: Elements,
    /// All of them, in the order in which they came, with the orders that their scores had then.
    order: Vec<(u64, Handle)>,
}

impl SortedSetBuilder {
    /// No members, and room for so many, or for as many as one step may make room for.
    pub fn with_room(hasher: KeyHasher, count: usize) -> Self {
        Self { members: Elements::with_room(hasher, count), order: Vec::with_capacity(count) }
    }

    /// No members, and room for about so many, which are sure to come.
    pub fn for_about(hasher: KeyHasher, count: usize) -> Self {
        Self { members: Elements::for_about(hasher, count), order: Vec::with_capacity(count) }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member, unless there is one of this name; was it added?
    #[inline]
    pub fn add(&mut self, member: &[u8], score: f64) -> bool {
        let order = &mut self.order;
        self.members.insert_new(member, || placed(order, member, score))
    }

    /// Adds a member; if it is there already, `join` makes a new score of its own and this one.
    #[inline]
    pub fn join(&mut self, member: &[u8], score: f64, join: impl FnOnce(f64, f64) -> f64) {
        let order = &mut self.order;
        self.members.upsert(member, |old| match old {
            Some(mut entry) => {
                entry.set_score(join(entry.as_ref().score(), score));
                entry
            }
            None => placed(order, member, score),
        });
    }

    /// Puts all in the order of a sorted set.
    pub fn sort(&mut self) {
        // What came in order, and still has its score, is in order: the sort finds such runs. The others go behind it.
        let mut moved = Vec::new();
        self.order.retain(|(order, handle)| {
            let now = handle.order();
            if now != *order {
                moved.push((now, *handle));
            }
            now == *order
        });
        self.order.append(&mut moved);
        self.order.sort_by(|(order, handle), (other_order, other)| {
            order.cmp(other_order).then_with(|| handle.entry().key().cmp(other.entry().key()))
        });
    }

    /// All members with their scores; in order, if they were sorted and none came afterwards.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], f64)> + Clone {
        // The entries live as long as the table, which is borrowed with the handles.
        self.order.iter().map(|(_, handle)| (handle.entry().key(), handle.entry().score()))
    }

    /// The set.
    pub fn finish(mut self) -> Box<SortedSet> {
        self.sort();
        // SAFETY: the table owns the entries of all handles and goes into the set with the tree.
        let order = unsafe { Ordered::from_sorted(self.order.into_iter()) };
        Box::new(SortedSet { members: self.members, order })
    }
}

/// A new member's entry, whose handle is noted.
#[inline]
fn placed(order: &mut Vec<(u64, Handle)>, member: &[u8], score: f64) -> OwnedEntry {
    let entry = OwnedEntry::scored(member, score);
    order.push((order_of(score), Handle::of(&entry.as_ref())));
    entry
}

/// Gives an entry another score, if `decide` says so.
#[inline]
fn rescored(order: &mut Ordered, mut entry: OwnedEntry, decide: impl FnOnce(Option<f64>) -> Option<f64>) -> OwnedEntry {
    let old = entry.as_ref().score();
    match decide(Some(old)) {
        Some(new) if new != old => {
            let known = order.remove(entry.as_ref());
            assert!(known, "what is in the table is in the tree");
            entry.set_score(new);
            // SAFETY: the entry goes back to its place in the table, which keeps it until it is removed from both.
            unsafe { order.insert(entry.as_ref()) };
        }
        _ => {}
    }
    entry
}
