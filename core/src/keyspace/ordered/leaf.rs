//! A leaf of the tree: up to [`LEAF_MAX`] elements in their order, each as the address of its entry and a tag.
//!
//! A tag is a coarse picture of the score, in 16 bits, on a scale of the leaf's own. Tags stand together, so a search reads
//! two cache lines of them and then, mostly, none or one of the entries: scores themselves are in the entries alone.
//! Tags never decide anything: where two are equal, the entries are asked. A tag that does not fit the scale is its
//! lowest or highest value, which is in order, too.
#![allow(unsafe_code)]

use crate::keyspace::entry::{EntryRef, prefetch};

/// The most elements of a leaf, which then fills 512 bytes.
pub(super) const LEAF_MAX: usize = 62;

/// Tags are read in whole vectors; those behind the last element are [`TAG_MAX`].
const TAGS: usize = 64;

const TAG_MAX: u16 = u16::MAX;

/// A fresh scale spreads the tags over this much of their range, in the middle of it.
const SPREAD_BITS: u32 = 14;

/// When a leaf is cut in two, the halves keep their scale if their tags are at least so far apart.
const SPREAD_MIN: u16 = 1 << 9;

/// So many entries ahead are loaded while a leaf is walked.
const AHEAD: usize = 6;

/// The score as an integer of the same order; `-0` and `0` are the same.
#[inline]
pub fn order_of(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// The name of an element's entry, which lives as long as the tree names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Handle(u64);

impl Handle {
    #[inline]
    pub(super) fn of(entry: &EntryRef<'_>) -> Self {
        Self(entry.address())
    }

    /// The entry.
    #[inline]
    pub(super) fn entry<'a>(self) -> EntryRef<'a> {
        debug_assert!(self.0 != 0, "a handle that a tree holds is an entry's");
        // SAFETY: handles are made by `Ordered::insert` and `Ordered::from_sorted` from entries that, by their caller's
        // word, stay alive where they are until the tree names them no more. Only trees hand out handles and entries, for
        // as long as they are borrowed.
        unsafe { EntryRef::at_address(self.0) }
    }

    #[inline]
    pub(super) fn order(self) -> u64 {
        order_of(self.entry().score())
    }

    #[inline]
    fn prefetch(self) {
        prefetch(self.0 as *const u8);
    }
}

/// A place between elements.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge<'a> {
    /// Before an element, or where it would be.
    Before(u64, &'a [u8]),
    /// After an element.
    After(u64, &'a [u8]),
    /// Before all elements of a score.
    BeforeScore(u64),
    /// After all elements of a score.
    AfterScore(u64),
    /// Before a member, where all scores are equal.
    BeforeMember(&'a [u8]),
    /// After a member, where all scores are equal.
    AfterMember(&'a [u8]),
}

impl Edge<'_> {
    /// Is the element of this order and handle before the edge?
    #[inline]
    pub(super) fn passes(&self, order: u64, handle: Handle) -> bool {
        match *self {
            Self::Before(own, member) => order < own || order == own && handle.entry().key() < member,
            Self::After(own, member) => order < own || order == own && handle.entry().key() <= member,
            Self::BeforeScore(own) => order < own,
            Self::AfterScore(own) => order <= own,
            Self::BeforeMember(member) => handle.entry().key() < member,
            Self::AfterMember(member) => handle.entry().key() <= member,
        }
    }

    #[inline]
    const fn order(&self) -> Option<u64> {
        match *self {
            Self::Before(order, _) | Self::After(order, _) | Self::BeforeScore(order) | Self::AfterScore(order) => {
                Some(order)
            }
            Self::BeforeMember(_) | Self::AfterMember(_) => None,
        }
    }
}

/// The leaf.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Leaf {
    /// The order that tag 0 stands for.
    base: u64,
    tags: [u16; TAGS],
    /// The addresses of the entries: 48 bits each.
    low: [u32; LEAF_MAX],
    high: [u16; LEAF_MAX],
    len: u8,
    /// How many low bits of the order a tag leaves out.
    shift: u8,
}

const _: () = assert!(size_of::<Leaf>() == 512, "a leaf is a size class");

impl Leaf {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { base: 0, tags: [TAG_MAX; TAGS], low: [0; LEAF_MAX], high: [0; LEAF_MAX], len: 0, shift: 0 })
    }

    /// A leaf of these elements, which are in order and at most [`LEAF_MAX`].
    pub(super) fn of(elements: impl Iterator<Item = (u64, Handle)>) -> Box<Self> {
        let mut leaf = Self::new();
        let mut orders = [0; LEAF_MAX];
        for (order, handle) in elements {
            orders[leaf.len()] = order;
            leaf.put(leaf.len(), handle);
            leaf.len += 1;
        }
        leaf.fit_to(|_, index| orders[index]);
        leaf
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.len() == LEAF_MAX
    }

    #[inline]
    pub(super) fn handle(&self, index: usize) -> Handle {
        debug_assert!(index < self.len());
        Handle(u64::from(self.high[index]) << 32 | u64::from(self.low[index]))
    }

    #[inline]
    fn put(&mut self, index: usize, handle: Handle) {
        assert!(handle.0 >> 48 == 0, "user space addresses have 48 bits");
        self.low[index] = handle.0 as u32;
        self.high[index] = (handle.0 >> 32) as u16;
    }

    /// The tag of an order on this leaf's scale.
    #[inline]
    fn tag(&self, order: u64) -> u16 {
        (order.saturating_sub(self.base) >> self.shift).min(u64::from(TAG_MAX)) as u16
    }

    /// Is the order within what the scale can tell apart?
    #[inline]
    fn fits(&self, order: u64) -> bool {
        order >= self.base && (order - self.base) >> self.shift < u64::from(TAG_MAX)
    }

    /// How many tags are below this one.
    #[inline]
    fn below(&self, tag: u16) -> usize {
        usize::from(self.tags.iter().map(|other| u16::from(*other < tag)).sum::<u16>())
    }

    /// The elements of the same tag as this order.
    #[inline]
    fn alike(&self, order: u64) -> (usize, usize) {
        let tag = self.tag(order);
        let to = if tag == TAG_MAX { self.len() } else { self.below(tag + 1) };
        // Mostly there is no element of the same tag, or one.
        let mut from = to;
        while from > 0 && self.tags[from - 1] == tag {
            from -= 1;
            if to - from > 4 {
                return (self.below(tag), to);
            }
        }
        (from, to)
    }

    /// How many elements are before the edge.
    #[inline]
    pub(super) fn position(&self, edge: &Edge<'_>) -> usize {
        let (mut from, mut to) = match edge.order() {
            Some(order) => self.alike(order),
            None => (0, self.len()),
        };
        while from < to {
            let middle = from.midpoint(to);
            let handle = self.handle(middle);
            if edge.passes(handle.order(), handle) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        from
    }

    /// Where an element of this order is.
    #[inline]
    pub(super) fn find(&self, order: u64, handle: Handle) -> Option<usize> {
        let (from, to) = self.alike(order);
        (from..to).find(|index| self.handle(*index) == handle)
    }

    /// Adds an element at its place; there must be room.
    pub(super) fn insert(&mut self, at: usize, order: u64, handle: Handle) {
        let len = self.len();
        debug_assert!(at <= len && len < LEAF_MAX);
        self.tags.copy_within(at..len, at + 1);
        self.low.copy_within(at..len, at + 1);
        self.high.copy_within(at..len, at + 1);
        self.put(at, handle);
        self.tags[at] = self.tag(order);
        self.len += 1;
        if !self.fits(order) {
            self.fit();
        }
    }

    /// Takes elements out.
    pub(super) fn remove(&mut self, from: usize, count: usize) {
        let len = self.len();
        self.tags.copy_within(from + count..len, from);
        self.low.copy_within(from + count..len, from);
        self.high.copy_within(from + count..len, from);
        self.truncate(len - count);
    }

    fn truncate(&mut self, len: usize) {
        self.tags[len..].fill(TAG_MAX);
        self.len = len as u8;
    }

    /// Cuts the leaf in two and gives the second part, the elements from `at` on.
    pub(super) fn split(&mut self, at: usize) -> Box<Self> {
        let mut right = Self::new();
        let moved = self.len() - at;
        right.tags[..moved].copy_from_slice(&self.tags[at..at + moved]);
        right.low[..moved].copy_from_slice(&self.low[at..]);
        right.high[..moved].copy_from_slice(&self.high[at..]);
        (right.base, right.shift, right.len) = (self.base, self.shift, moved as u8);
        self.truncate(at);
        self.fit_if_coarse();
        right.fit_if_coarse();
        right
    }

    /// Adds all elements of the leaf to the right; there must be room.
    pub(super) fn join(&mut self, right: &Self) {
        let (len, more) = (self.len(), right.len());
        self.low[len..len + more].copy_from_slice(&right.low[..more]);
        self.high[len..len + more].copy_from_slice(&right.high[..more]);
        self.len += right.len;
        self.fit();
    }

    /// Makes a new scale if the one in use tells too few elements apart and a finer one is possible.
    fn fit_if_coarse(&mut self) {
        let Some(last) = self.len().checked_sub(1) else {
            return;
        };
        if self.shift > 0 && self.tags[last] - self.tags[0] < SPREAD_MIN {
            self.fit();
        }
    }

    /// Makes the scale that fits the elements, with room on both sides, and all tags.
    fn fit(&mut self) {
        self.fit_to(|leaf, index| leaf.handle(index).order());
    }

    /// The same for elements whose orders are told.
    #[inline]
    fn fit_to(&mut self, order: impl Fn(&Self, usize) -> u64) {
        let Some(last) = self.len().checked_sub(1) else {
            return;
        };
        let low = order(self, 0);
        let range = order(self, last) - low;
        self.shift = (u64::BITS - range.leading_zeros()).saturating_sub(SPREAD_BITS) as u8;
        let room = u64::from((TAG_MAX - (1 << SPREAD_BITS)) / 2) << self.shift;
        self.base = low.saturating_sub(room);
        for index in 0..=last {
            self.tags[index] = self.tag(order(self, index));
        }
    }

    /// Gives the elements of a range to `visit`, in order or backwards.
    #[inline]
    pub(super) fn visit(&self, from: usize, to: usize, backwards: bool, visit: &mut impl FnMut(Handle)) {
        if backwards {
            for index in (from..to).rev() {
                if index >= AHEAD {
                    self.handle(index - AHEAD).prefetch();
                }
                visit(self.handle(index));
            }
        } else {
            for index in from..to {
                if index + AHEAD < self.len() {
                    self.handle(index + AHEAD).prefetch();
                }
                visit(self.handle(index));
            }
        }
    }

    /// Checks what searches rely on.
    pub(super) fn check(&self) {
        let len = self.len();
        assert!(self.tags[len..].iter().all(|tag| *tag == TAG_MAX), "no tag behind the elements stops a search");
        for index in 0..len {
            assert_eq!(self.tags[index], self.tag(self.handle(index).order()), "tags are those of the scores");
            if index > 0 {
                let (before, this) = (self.handle(index - 1), self.handle(index));
                let order = |handle: Handle| (handle.order(), handle.entry().key());
                assert!(order(before) < order(this), "elements are in order");
            }
        }
    }
}
