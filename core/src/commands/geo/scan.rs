//! Finding the members that are inside a shape, in the order in which Valkey comes across them: cell by cell, and in a cell by
//! score and name.
//!
//! A cell of the grid is usually much larger than the shape. So the range of its members is quartered, as long as
//! there are many, and quarters that lie outside are left out, which changes nothing in the order.

use crate::value::Element;
use crate::value::geohash::{Cell, Shape, Sieve, cover};
use crate::value::zset::{Bound, SortedSet, SortedSetRef};
use smallvec::SmallVec;

/// So few members are looked at one by one.
const FEW: usize = 24;

/// Members are read in runs of so many at first, if only some are wanted.
const RUN: usize = 32;

/// A member inside the shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) member: Element<'a>,
    pub(super) score: f64,
    /// From the middle, in metres; nothing of use if it is not asked for.
    pub(super) distance: f64,
}

/// What is to be found.
pub(super) struct Search<'s> {
    pub(super) shape: &'s Shape,
    /// Are distances to be told?
    pub(super) measures: bool,
    /// So many are enough.
    pub(super) enough: usize,
}

impl Search<'_> {
    /// The members inside the shape.
    pub(super) fn run<'a>(&self, set: SortedSetRef<'a>) -> Vec<Found<'a>> {
        match set {
            SortedSetRef::Large(set) => self.run_over(set),
            SortedSetRef::Packed(_) => {
                let mut members: SmallVec<[(f64, Element<'a>); 128]> = SmallVec::new();
                set.visit(0, set.len(), false, &mut |member, score| members.push((score.value(), member)));
                self.run_over(members.as_slice())
            }
        }
    }

    fn run_over<'a>(&self, members: impl Members<'a>) -> Vec<Found<'a>> {
        let mut scan = Scan { search: self, sieve: Sieve::new(self.shape), members, found: Vec::new() };
        for cell in cover(self.shape) {
            if !scan.sieve.touches(cell) {
                continue;
            }
            let (low, high) = cell.scores();
            let from = members.before(low);
            // Cells without members are common.
            if from < members.count() {
                scan.cell(cell, from, members.before(high));
            }
        }
        scan.found
    }
}

/// Members in the order of their scores.
trait Members<'a>: Copy {
    fn count(self) -> usize;

    /// How many have lower scores.
    fn before(self, score: f64) -> usize;

    fn visit(self, from: usize, to: usize, visit: &mut impl FnMut(f64, Element<'a>));
}

impl<'a> Members<'a> for &'a SortedSet {
    fn count(self) -> usize {
        self.len()
    }

    fn before(self, score: f64) -> usize {
        self.before(Bound::BeforeScore(score))
    }

    fn visit(self, from: usize, to: usize, visit: &mut impl FnMut(f64, Element<'a>)) {
        self.visit(from, to - from, false, &mut |member, score| visit(score, Element::Bytes(member)));
    }
}

impl<'a> Members<'a> for &[(f64, Element<'a>)] {
    fn count(self) -> usize {
        self.len()
    }

    fn before(self, score: f64) -> usize {
        self.partition_point(|(other, _)| *other < score)
    }

    fn visit(self, from: usize, to: usize, visit: &mut impl FnMut(f64, Element<'a>)) {
        self[from..to].iter().for_each(|(score, member)| visit(*score, *member));
    }
}

struct Scan<'s, 'a, M> {
    search: &'s Search<'s>,
    sieve: Sieve,
    members: M,
    found: Vec<Found<'a>>,
}

impl<'a, M: Members<'a>> Scan<'_, 'a, M> {
    /// Looks at the members of a cell, which have these ranks.
    fn cell(&mut self, cell: Cell, from: usize, to: usize) {
        if from == to || self.found.len() >= self.search.enough || !self.sieve.touches(cell) {
            return;
        }
        match cell.quarters() {
            Some(quarters) if to - from > FEW && !self.sieve.encloses(cell) => {
                let mut start = from;
                for (index, quarter) in quarters.into_iter().enumerate() {
                    let end = if index == 3 { to } else { self.members.before(quarter.scores().1) };
                    self.cell(quarter, start, end);
                    start = end;
                }
            }
            _ => self.members(from, to),
        }
    }

    fn members(&mut self, from: usize, to: usize) {
        if self.search.enough == usize::MAX {
            return self.run(from, to);
        }
        let (mut start, mut run) = (from, RUN);
        while start < to && self.found.len() < self.search.enough {
            let end = to.min(start + run);
            self.run(start, end);
            (start, run) = (end, run * 2);
        }
    }

    fn run(&mut self, from: usize, to: usize) {
        let Search { shape, measures, enough } = *self.search;
        let (sieve, found) = (&self.sieve, &mut self.found);
        self.members.visit(from, to, &mut |score, member| {
            let Some(place) = sieve.passes(score) else { return };
            let distance = if measures { shape.distance_within(place) } else { shape.holds(place).then_some(0.0) };
            if let Some(distance) = distance
                && found.len() < enough
            {
                found.push(Found { member, score, distance });
            }
        });
    }
}
