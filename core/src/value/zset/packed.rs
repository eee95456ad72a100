//! Packed sorted sets: the count of members in two bytes, then each member with its score, in order.
//!
//! Members and scores are [`Element`]s. A score that is an integer is stored as one (so the sign of -0 is lost, as in
//! Valkey), others as the text that replies show.

use super::{Bound, Element, KeyHasher, PACKED_HEAD_BYTES, Score, SortedSet, Splice};
use crate::double::{DoubleText, as_integer};
use smallvec::SmallVec;
use std::cmp::Ordering;

/// The bytes of a packed sorted set.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    bytes: &'a [u8],
}

/// Where a member is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) rank: usize,
    start: usize,
    score_at: usize,
    end: usize,
}

/// Where all members begin and where their scores are, and the place of the one that was looked for.
pub(super) struct Survey {
    starts: SmallVec<[(u32, u32); 128]>,
    pub(super) found: Option<Place>,
}

/// A score as an element; the text lies in `text`.
fn element_of(score: f64, text: &mut DoubleText) -> Element<'_> {
    match as_integer(score) {
        Some(integer) => Element::Int(integer),
        None => {
            *text = DoubleText::of(score);
            Element::Bytes(text.as_bytes())
        }
    }
}

/// The score that an element stands for.
#[inline]
pub(super) fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Int(integer) => integer as f64,
        Element::Bytes(text) => parse_own(text),
    }
}

fn parse_own(text: &[u8]) -> f64 {
    let score = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    score.expect("packed sets hold only scores that were printed here")
}

/// Compares a member where it lies with a text.
fn compare(element: Element<'_>, text: &[u8]) -> Ordering {
    match element {
        Element::Bytes(bytes) => bytes.cmp(text),
        Element::Int(integer) => itoa::Buffer::new().format(integer).as_bytes().cmp(text),
    }
}

/// The two elements of a member, as they are stored.
fn encoded(member: &[u8], score: f64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(member.len() + 32);
    Element::of(member).write(&mut bytes);
    element_of(score, &mut DoubleText::default()).write(&mut bytes);
    bytes
}

impl<'a> Packed<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[0], self.bytes[1]]))
    }

    /// The places of all members.
    #[inline]
    fn places(&self) -> impl Iterator<Item = Place> + use<'a> {
        let (bytes, mut at) = (self.bytes, PACKED_HEAD_BYTES);
        (0..self.len()).map(move |rank| {
            let start = at;
            let score_at = Element::skip(bytes, start);
            at = Element::skip(bytes, score_at);
            Place { rank, start, score_at, end: at }
        })
    }

    #[inline]
    fn member(&self, place: &Place) -> Element<'a> {
        Element::read(self.bytes, place.start).0
    }

    #[inline]
    pub(super) fn score(&self, place: &Place) -> Element<'a> {
        Element::read(self.bytes, place.score_at).0
    }

    /// The place of a member.
    #[inline]
    pub(super) fn find(&self, member: &[u8]) -> Option<Place> {
        let wanted = Element::of(member).encoded();
        self.places().find(|place| self.bytes[place.start..place.score_at] == wanted[..])
    }

    /// The places of all members, and which of them is this one's.
    #[inline]
    pub(super) fn survey(&self, member: &[u8]) -> Survey {
        let wanted = Element::of(member).encoded();
        let mut survey = Survey { starts: SmallVec::new(), found: None };
        for place in self.places() {
            if survey.found.is_none() && self.bytes[place.start..place.score_at] == wanted[..] {
                survey.found = Some(place);
            }
            survey.starts.push((place.start as u32, place.score_at as u32));
        }
        survey
    }

    /// The rank at which a member of this score belongs, and where that begins.
    fn position(&self, survey: &Survey, member: &[u8], score: f64) -> (usize, usize) {
        let rank = survey.starts.partition_point(|(start, score_at)| {
            let other = score_of(Element::read(self.bytes, *score_at as usize).0);
            other < score || other == score && compare(Element::read(self.bytes, *start as usize).0, member).is_le()
        });
        (rank, survey.starts.get(rank).map_or(self.bytes.len(), |(start, _)| *start as usize))
    }

    fn is_before(&self, place: &Place, bound: Bound<'_>) -> bool {
        match bound {
            Bound::BeforeScore(score) => score_of(self.score(place)) < score,
            Bound::AfterScore(score) => score_of(self.score(place)) <= score,
            Bound::BeforeMember(member) => compare(self.member(place), member).is_lt(),
            Bound::AfterMember(member) => compare(self.member(place), member).is_le(),
        }
    }

    /// The ranks between two bounds: the first and the one after the last.
    ///
    /// Members are looked through one by one, because names may be in no order if scores differ.
    pub(super) fn between(&self, low: Bound<'_>, high: Bound<'_>) -> (usize, usize) {
        let mut places = self.places().skip_while(|place| self.is_before(place, low)).peekable();
        let from = places.peek().map_or(self.len(), |place| place.rank);
        (from, from + places.take_while(|place| self.is_before(place, high)).count())
    }

    /// Gives `count` members from a rank on, in order; or, backwards, those ranks from the last to the first.
    #[inline]
    pub(super) fn visit(
        &self,
        from: usize,
        count: usize,
        backwards: bool,
        visit: &mut impl FnMut(Element<'a>, Score<'a>),
    ) {
        if backwards {
            let places: SmallVec<[Place; 32]> = self.places().skip(from).take(count).collect();
            places.iter().rev().for_each(|place| visit(self.member(place), Score::Packed(self.score(place))));
            return;
        }
        let mut at = (0..2 * from).fold(PACKED_HEAD_BYTES, |at, _| Element::skip(self.bytes, at));
        for _ in 0..count {
            let (member, score_at) = Element::read(self.bytes, at);
            let (score, end) = Element::read(self.bytes, score_at);
            visit(member, Score::Packed(score));
            at = end;
        }
    }

    /// Gives the members as long as `visit` says to go on.
    pub(super) fn visit_while(&self, visit: &mut impl FnMut(Element<'a>, Score<'a>) -> bool) {
        self.places().all(|place| visit(self.member(&place), Score::Packed(self.score(&place))));
    }

    /// The members of these ranks, which are in order.
    pub(super) fn pick(&self, ranks: &[usize]) -> Vec<(Element<'a>, Score<'a>)> {
        let mut picked = Vec::with_capacity(ranks.len());
        let mut ranks = ranks.iter().peekable();
        for place in self.places() {
            while ranks.next_if(|rank| **rank == place.rank).is_some() {
                picked.push((self.member(&place), Score::Packed(self.score(&place))));
            }
        }
        picked
    }

    /// The same members as a large set.
    pub(super) fn enlarged(&self, hasher: &KeyHasher) -> SortedSet {
        let mut digits = Vec::with_capacity(self.len());
        digits.resize(self.len(), itoa::Buffer::new());
        let members = self.places().zip(&mut digits).map(|(place, digits)| {
            let member: &[u8] = match self.member(&place) {
                Element::Bytes(bytes) => bytes,
                Element::Int(integer) => digits.format(integer).as_bytes(),
            };
            (member, score_of(self.score(&place)))
        });
        SortedSet::from_sorted(hasher.clone(), self.len(), members)
    }
}

/// Changes the count of members.
fn recount(bytes: &mut impl Splice, change: impl FnOnce(usize) -> usize) {
    let count = change(Packed::new(bytes.bytes()).len());
    let count = u16::try_from(count).expect("packed sets are bounded");
    bytes.bytes_mut()[..PACKED_HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Adds a member that is not there.
pub(super) fn insert(bytes: &mut impl Splice, survey: &Survey, member: &[u8], score: f64) {
    let (_, at) = Packed::new(bytes.bytes()).position(survey, member, score);
    bytes.splice(at..at, &encoded(member, score));
    recount(bytes, |count| count + 1);
}

/// Gives a member another score.
pub(super) fn rescore(bytes: &mut impl Splice, survey: &Survey, place: &Place, member: &[u8], score: f64) {
    let packed = Packed::new(bytes.bytes());
    let (rank, at) = packed.position(survey, member, score);
    let mut fresh = Vec::new();
    let range = if rank == place.rank || rank == place.rank + 1 {
        // It stays between the same neighbours.
        element_of(score, &mut DoubleText::default()).write(&mut fresh);
        place.score_at..place.end
    } else if rank < place.rank {
        fresh = encoded(member, score);
        fresh.extend_from_slice(&packed.bytes()[at..place.start]);
        at..place.end
    } else {
        fresh.extend_from_slice(&packed.bytes()[place.end..at]);
        fresh.extend_from_slice(&encoded(member, score));
        place.start..at
    };
    bytes.splice(range, &fresh);
}

/// Takes out members by their ranks.
pub(super) fn remove_range(bytes: &mut impl Splice, from: usize, count: usize) {
    if count == 0 {
        return;
    }
    let (start, end) = {
        let mut places = Packed::new(bytes.bytes()).places().skip(from);
        let first = places.next().expect("the range is within the set");
        let last = if count == 1 { first } else { places.nth(count - 2).expect("the range is within the set") };
        (first.start, last.end)
    };
    bytes.splice(start..end, &[]);
    recount(bytes, |len| len - count);
}

/// Appends a member and its score to packed elements; the count of them is the caller's to keep.
pub fn append(bytes: &mut Vec<u8>, member: &Element<'_>, score: f64) {
    member.write(bytes);
    element_of(score, &mut DoubleText::default()).write(bytes);
}

/// The bytes of members that are given in order.
pub(super) fn from_sorted<'a>(members: impl ExactSizeIterator<Item = (&'a [u8], f64)>) -> Vec<u8> {
    let count = u16::try_from(members.len()).expect("packed sets are bounded");
    let mut bytes = count.to_le_bytes().to_vec();
    for (member, score) in members {
        Element::of(member).write(&mut bytes);
        element_of(score, &mut DoubleText::default()).write(&mut bytes);
    }
    bytes
}

/// Checks bytes; for tests.
#[cfg(test)]
pub(super) fn check(bytes: &[u8]) {
    let packed = Packed::new(bytes);
    let places: Vec<_> = packed.places().collect();
    assert_eq!(places.last().map_or(PACKED_HEAD_BYTES, |place| place.end), bytes.len(), "members are counted");
    for (rank, place) in places.iter().enumerate() {
        let mut digits = itoa::Buffer::new();
        let member = packed.member(place);
        let member = member.text(&mut digits);
        assert_eq!(packed.find(member).map(|found| found.rank), Some(rank), "members are told apart");
        let (after, _) = packed.position(&packed.survey(member), member, score_of(packed.score(place)));
        assert_eq!(after, rank + 1, "members are in order");
    }
}
