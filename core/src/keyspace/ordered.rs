//! The order of a large sorted set: a B+tree over entries that a hash table owns, which knows how many elements are where.
//!
//! ```text
//! inner   [first order, first element, count, child] * up to 31
//! leaf    [tag, address of an entry] * up to 62
//! ```
//!
//! The order is by score, then by the bytes of the member. An inner node keeps of each child how many elements are below it,
//! and the first of them with its score, so a descent reads entries only where scores are equal. Ranks are sums
//! of counts on the way down, and the way down to a rank is the same sums the other way.
//!
//! A node that is full splits: in halves, but at the ends of the whole tree so that the old node stays full, since scores that
//! only ever rise (times, sequence numbers) would otherwise leave half of the memory empty. A node that has become
//! small joins a neighbour if both fit into three quarters of one. So no step touches more than a few nodes.
//!
//! The tree names entries that it does not own. What makes that sound stands at [`Ordered::insert`].
#![allow(unsafe_code)]

mod leaf;
mod sorted;
#[cfg(test)]
mod tests;

pub use leaf::order_of;
pub use sorted::{SortedSet, SortedSetBuilder};

use super::entry::EntryRef;
use leaf::{Edge, Handle, LEAF_MAX, Leaf};

/// The most children of an inner node, which then fills a size class of 1280 bytes.
const FANOUT: usize = 31;

/// A node with fewer elements or children than a quarter joins a neighbour if both fit into three quarters.
const SMALL: usize = 4;

/// A tree over the elements of a sorted set.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    root: Option<Node>,
    len: usize,
}

/// A bound of a range of elements, as the place between two of them.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a> {
    /// Before all elements of this score.
    BeforeScore(f64),
    /// After all elements of this score.
    AfterScore(f64),
    /// Before this member, in a set whose scores are all equal.
    BeforeMember(&'a [u8]),
    /// After this member, in a set whose scores are all equal.
    AfterMember(&'a [u8]),
}

impl<'a> Bound<'a> {
    #[inline]
    fn edge(self) -> Edge<'a> {
        match self {
            Self::BeforeScore(score) => Edge::BeforeScore(order_of(score)),
            Self::AfterScore(score) => Edge::AfterScore(order_of(score)),
            Self::BeforeMember(member) => Edge::BeforeMember(member),
            Self::AfterMember(member) => Edge::AfterMember(member),
        }
    }
}

/// All nodes of a level are of the same kind.
#[derive(Debug)]
enum Node {
    Leaf(Box<Leaf>),
    Inner(Box<Inner>),
}

#[derive(Debug)]
struct Inner {
    len: usize,
    /// The order of the first element of each child.
    orders: [u64; FANOUT],
    /// The first element of each child.
    firsts: [Handle; FANOUT],
    /// How many elements each child has.
    counts: [usize; FANOUT],
    children: [Option<Node>; FANOUT],
}

const _: () = assert!(size_of::<Inner>() <= 1280, "an inner node is a size class");

/// A child as its parent keeps it.
struct Child {
    order: u64,
    first: Handle,
    count: usize,
    node: Node,
}

/// Where a node lies in the tree: is nothing before it, or after it?
#[derive(Clone, Copy)]
struct Ends {
    left: bool,
    right: bool,
}

impl Child {
    fn of(node: Node) -> Self {
        let (order, first) = node.first();
        Self { order, first, count: node.count(), node }
    }
}

impl Node {
    fn count(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::Inner(inner) => inner.counts[..inner.len].iter().sum(),
        }
    }

    /// The first element and its order.
    #[inline]
    fn first(&self) -> (u64, Handle) {
        match self {
            Self::Leaf(leaf) => {
                let first = leaf.handle(0);
                (first.order(), first)
            }
            Self::Inner(inner) => (inner.orders[0], inner.firsts[0]),
        }
    }

    /// Elements of a leaf, children of an inner node.
    #[inline]
    const fn width(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::Inner(inner) => inner.len,
        }
    }

    const fn width_max(&self) -> usize {
        match self {
            Self::Leaf(_) => LEAF_MAX,
            Self::Inner(_) => FANOUT,
        }
    }

    /// How many elements are before the edge.
    #[inline]
    fn before(&self, edge: &Edge<'_>) -> usize {
        let (mut node, mut before) = (self, 0);
        loop {
            match node {
                Self::Leaf(leaf) => return before + leaf.position(edge),
                Self::Inner(inner) => {
                    let index = inner.child_at(edge);
                    before += inner.counts[..index].iter().sum::<usize>();
                    node = inner.child(index);
                }
            }
        }
    }

    /// Adds an element. The answer is a new node to the right of this one, if this one was split.
    fn insert(&mut self, order: u64, handle: Handle, edge: &Edge<'_>, ends: Ends) -> Option<Self> {
        match self {
            Self::Leaf(leaf) => insert_into_leaf(leaf, order, handle, edge, ends).map(Self::Leaf),
            Self::Inner(inner) => inner.insert(order, handle, edge, ends).map(Self::Inner),
        }
    }

    /// Takes an element out. The answer: was it the first, or `None` if it is not there.
    fn remove(&mut self, order: u64, handle: Handle, edge: &Edge<'_>) -> Option<bool> {
        match self {
            Self::Leaf(leaf) => {
                let at = leaf.find(order, handle)?;
                leaf.remove(at, 1);
                Some(at == 0)
            }
            Self::Inner(inner) => inner.remove(order, handle, edge),
        }
    }

    /// Takes out elements by their ranks. All may go.
    fn remove_range(&mut self, from: usize, count: usize) {
        match self {
            Self::Leaf(leaf) => leaf.remove(from, count),
            Self::Inner(inner) => inner.remove_range(from, count),
        }
    }

    /// Gives elements by their ranks, in order or backwards.
    fn visit(&self, from: usize, count: usize, backwards: bool, visit: &mut impl FnMut(Handle)) {
        match self {
            Self::Leaf(leaf) => leaf.visit(from, from + count, backwards, visit),
            Self::Inner(inner) => inner.visit(from, from + count, backwards, visit),
        }
    }

    /// Adds all of a node of the same level to the right; there must be room.
    fn join(&mut self, right: Self) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => left.join(&right),
            (Self::Inner(left), Self::Inner(mut right)) => {
                for index in 0..right.len {
                    let child = right.take(index);
                    left.put(left.len, child);
                    left.len += 1;
                }
            }
            _ => unreachable!("all nodes of a level are of the same kind"),
        }
    }

    /// Frees nodes until the budget is used up. The answer: is the node itself to go now?
    fn free_some(&mut self, budget: &mut usize) -> bool {
        let Self::Inner(inner) = self else {
            *budget = budget.saturating_sub(1);
            return true;
        };
        while let Some(last) = inner.len.checked_sub(1) {
            if *budget == 0 {
                return false;
            }
            if inner.children[last].as_mut().is_none_or(|child| child.free_some(budget)) {
                inner.children[last] = None;
                inner.len = last;
            }
        }
        true
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Leaf(_) => size_of::<Leaf>(),
            Self::Inner(inner) => {
                let below = match inner.child(0) {
                    Self::Leaf(_) => inner.len * size_of::<Leaf>(),
                    Self::Inner(_) => (0..inner.len).map(|index| inner.child(index).memory_bytes()).sum(),
                };
                below + size_of::<Inner>().next_multiple_of(256)
            }
        }
    }

    /// Checks a subtree and gives its height.
    fn check(&self) -> usize {
        assert!(self.width() > 0, "no node is empty");
        let Self::Inner(inner) = self else {
            let Self::Leaf(leaf) = self else { unreachable!("there are two kinds") };
            leaf.check();
            return 1;
        };
        let height = inner.child(0).check();
        for index in 0..inner.len {
            let child = inner.child(index);
            assert!(index == 0 || child.check() == height, "all leaves are equally deep");
            assert_eq!(inner.counts[index], child.count(), "elements are counted");
            assert_eq!((inner.orders[index], inner.firsts[index]), child.first(), "the first elements are known");
            assert_eq!(inner.orders[index], inner.firsts[index].order());
        }
        assert!(inner.children[inner.len..].iter().all(Option::is_none));
        height + 1
    }
}

/// Adds an element to a leaf. The answer is a new leaf to the right, if this one was split.
fn insert_into_leaf(
    leaf: &mut Box<Leaf>,
    order: u64,
    handle: Handle,
    edge: &Edge<'_>,
    ends: Ends,
) -> Option<Box<Leaf>> {
    let at = leaf.position(edge);
    if !leaf.is_full() {
        leaf.insert(at, order, handle);
        return None;
    }
    if ends.right && at == LEAF_MAX {
        return Some(Leaf::of(std::iter::once((order, handle))));
    }
    if ends.left && at == 0 {
        return Some(std::mem::replace(leaf, Leaf::of(std::iter::once((order, handle)))));
    }
    let mut right = leaf.split(LEAF_MAX / 2);
    match at.checked_sub(leaf.len()) {
        // At the border the left leaf takes it: the parent knows the right one by its first element.
        None | Some(0) => leaf.insert(at, order, handle),
        Some(at) => right.insert(at, order, handle),
    }
    Some(right)
}

impl Inner {
    fn new() -> Box<Self> {
        Box::new(Self {
            len: 0,
            orders: [0; FANOUT],
            firsts: [Handle::default(); FANOUT],
            counts: [0; FANOUT],
            children: [const { None }; FANOUT],
        })
    }

    #[inline]
    fn child(&self, index: usize) -> &Node {
        self.children[index].as_ref().expect("there are as many children as the length says")
    }

    #[inline]
    fn child_mut(&mut self, index: usize) -> &mut Node {
        self.children[index].as_mut().expect("there are as many children as the length says")
    }

    /// The child in which an edge is.
    #[inline]
    fn child_at(&self, edge: &Edge<'_>) -> usize {
        let (mut from, mut to) = (1, self.len);
        while from < to {
            let middle = from.midpoint(to);
            if edge.passes(self.orders[middle], self.firsts[middle]) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        from - 1
    }

    /// The child that has the element of a rank, and how many elements are before that child.
    #[inline]
    fn child_of_rank(&self, rank: usize) -> (usize, usize) {
        let mut before = 0;
        for (index, count) in self.counts[..self.len].iter().enumerate() {
            if rank < before + count {
                return (index, before);
            }
            before += count;
        }
        unreachable!("ranks are below the number of elements")
    }

    /// Writes a child into a free place.
    fn put(&mut self, at: usize, child: Child) {
        self.orders[at] = child.order;
        self.firsts[at] = child.first;
        self.counts[at] = child.count;
        self.children[at] = Some(child.node);
    }

    /// Takes a child out of its place, which stays free.
    fn take(&mut self, at: usize) -> Child {
        let node = self.children[at].take().expect("there are as many children as the length says");
        Child { order: self.orders[at], first: self.firsts[at], count: self.counts[at], node }
    }

    /// Makes a free place at `at`; there must be room.
    fn open(&mut self, at: usize) {
        let len = self.len;
        self.orders.copy_within(at..len, at + 1);
        self.firsts.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.children[at..=len].rotate_right(1);
        self.len += 1;
    }

    /// Closes the free places from `at` on.
    fn close(&mut self, at: usize, count: usize) {
        let len = self.len;
        self.orders.copy_within(at + count..len, at);
        self.firsts.copy_within(at + count..len, at);
        self.counts.copy_within(at + count..len, at);
        self.children[at..len].rotate_left(count);
        self.len -= count;
    }

    /// Writes down the first element of a child.
    #[inline]
    fn renew_first(&mut self, index: usize) {
        (self.orders[index], self.firsts[index]) = self.child(index).first();
    }

    fn insert(&mut self, order: u64, handle: Handle, edge: &Edge<'_>, ends: Ends) -> Option<Box<Self>> {
        let index = self.child_at(edge);
        if index == 0 && !edge.passes(self.orders[0], self.firsts[0]) {
            (self.orders[0], self.firsts[0]) = (order, handle);
        }
        self.counts[index] += 1;
        let below = Ends { left: ends.left && index == 0, right: ends.right && index + 1 == self.len };
        let right = self.child_mut(index).insert(order, handle, edge, below)?;
        // Only the splits of a leaf and of the nodes above it come here.
        let right = Child::of(right);
        self.counts[index] -= right.count;
        self.add(index + 1, right, ends)
    }

    /// Adds a child at its place. The answer is a new node to the right, if this one was split.
    fn add(&mut self, at: usize, child: Child, ends: Ends) -> Option<Box<Self>> {
        if self.len < FANOUT {
            self.open(at);
            self.put(at, child);
            return None;
        }
        let cut = match at {
            FANOUT if ends.right => FANOUT,
            1 if ends.left => 1,
            _ => FANOUT / 2,
        };
        let mut right = Self::new();
        for index in cut..FANOUT {
            let moved = self.take(index);
            right.put(index - cut, moved);
        }
        (right.len, self.len) = (FANOUT - cut, cut);
        let (node, at) = if at > cut || cut == FANOUT { (&mut *right, at - cut) } else { (self, at) };
        node.open(at);
        node.put(at, child);
        Some(right)
    }

    fn remove(&mut self, order: u64, handle: Handle, edge: &Edge<'_>) -> Option<bool> {
        let index = self.child_at(edge);
        let child = self.child_mut(index);
        let first_went = child.remove(order, handle, edge)?;
        let (width, small) = (child.width(), child.width_max() / SMALL);
        self.counts[index] -= 1;
        if width == 0 {
            self.children[index] = None;
            self.close(index, 1);
            return Some(index == 0);
        }
        if first_went {
            self.renew_first(index);
        }
        if width < small {
            self.join_around(index);
        }
        Some(first_went && index == 0)
    }

    fn remove_range(&mut self, from: usize, count: usize) {
        let (first, before) = self.child_of_rank(from);
        let (mut index, mut from, mut left) = (first, from - before, count);
        while left > 0 {
            let here = left.min(self.counts[index] - from);
            if here == self.counts[index] {
                self.children[index] = None;
            } else {
                self.child_mut(index).remove_range(from, here);
            }
            self.counts[index] -= here;
            (index, from, left) = (index + 1, 0, left - here);
        }
        let end = index;
        let gone = (first..end).filter(|index| self.counts[*index] == 0).count();
        let kept_first = usize::from(self.counts[first] > 0);
        self.close_gone(first + kept_first, gone);
        for index in first..(first + 2).min(self.len) {
            self.renew_first(index);
        }
        // At most the two children at the ends of the range have become small; the second may have joined the first.
        for index in [first + 1, first] {
            if index < self.len && self.child(index).width() < self.child(index).width_max() / SMALL {
                self.join_around(index);
            }
        }
    }

    /// Closes the places of children that are gone.
    fn close_gone(&mut self, at: usize, count: usize) {
        if count > 0 {
            self.close(at, count);
        }
    }

    /// Joins a small child with a neighbour, if there is room.
    fn join_around(&mut self, index: usize) {
        let fits = |left: usize| {
            left + 1 < self.len && {
                let (left, right) = (self.child(left), self.child(left + 1));
                left.width() + right.width() <= left.width_max() - left.width_max() / SMALL
            }
        };
        let left = match index.checked_sub(1) {
            Some(left) if fits(left) => left,
            _ if fits(index) => index,
            _ => return,
        };
        let right = self.take(left + 1);
        self.close(left + 1, 1);
        self.counts[left] += right.count;
        self.child_mut(left).join(right.node);
    }

    fn visit(&self, from: usize, to: usize, backwards: bool, visit: &mut impl FnMut(Handle)) {
        if from == to {
            return;
        }
        let (mut index, mut before) = self.child_of_rank(if backwards { to - 1 } else { from });
        loop {
            let (start, end) = (before, before + self.counts[index]);
            let (low, high) = (from.max(start), to.min(end));
            self.child(index).visit(low - start, high - low, backwards, visit);
            if backwards {
                if start <= from {
                    return;
                }
                index -= 1;
                before -= self.counts[index];
            } else {
                if end >= to {
                    return;
                }
                index += 1;
                before = end;
            }
        }
    }
}

impl Ordered {
    /// A tree of these entries, which are in order, each with the order of its score. The leaves are full.
    ///
    /// # Safety
    /// As for [`Ordered::insert`], for each of them.
    unsafe fn from_sorted(entries: impl Iterator<Item = (u64, Handle)>) -> Self {
        let mut entries = entries.peekable();
        let (mut level, mut len) = (Vec::new(), 0);
        while entries.peek().is_some() {
            let leaf = Leaf::of(entries.by_ref().take(LEAF_MAX));
            len += leaf.len();
            level.push(Child::of(Node::Leaf(leaf)));
        }
        while level.len() > 1 {
            let mut below = level.into_iter().peekable();
            level = Vec::new();
            while below.peek().is_some() {
                let mut inner = Inner::new();
                for child in below.by_ref().take(FANOUT) {
                    inner.put(inner.len, child);
                    inner.len += 1;
                }
                level.push(Child::of(Node::Inner(inner)));
            }
        }
        Self { root: level.pop().map(|child| child.node), len }
    }

    /// How many elements there are.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Adds an element that is not there.
    ///
    /// # Safety
    /// The entry has a score. Until the element is removed, or the tree is dropped or being freed
    /// ([`Ordered::free_some`]), the entry stays alive at its address, and its score and key do not change.
    pub(super) unsafe fn insert(&mut self, entry: EntryRef<'_>) {
        let (order, handle) = (order_of(entry.score()), Handle::of(&entry));
        self.len += 1;
        let Some(root) = &mut self.root else {
            self.root = Some(Node::Leaf(Leaf::of(std::iter::once((order, handle)))));
            return;
        };
        let ends = Ends { left: true, right: true };
        if let Some(right) = root.insert(order, handle, &Edge::Before(order, entry.key()), ends) {
            let mut above = Inner::new();
            let left = self.root.take().expect("the tree has a root here");
            above.put(0, Child::of(left));
            above.put(1, Child::of(right));
            above.len = 2;
            self.root = Some(Node::Inner(above));
        }
    }

    /// Takes an element out, whose entry still has the score that it had; was it there?
    pub(super) fn remove(&mut self, entry: EntryRef<'_>) -> bool {
        let (order, handle) = (order_of(entry.score()), Handle::of(&entry));
        let Some(root) = &mut self.root else {
            return false;
        };
        if root.remove(order, handle, &Edge::After(order, entry.key())).is_none() {
            return false;
        }
        self.len -= 1;
        self.lower_root();
        true
    }

    /// Takes out elements by their ranks.
    pub(super) fn remove_range(&mut self, from: usize, count: usize) {
        assert!(from.checked_add(count).is_some_and(|end| end <= self.len), "the range is within the set");
        if count == self.len {
            self.root = None;
        } else if let Some(root) = &mut self.root
            && count > 0
        {
            root.remove_range(from, count);
        }
        self.len -= count;
        self.lower_root();
    }

    /// Removes root nodes that have only one child, or nothing.
    fn lower_root(&mut self) {
        while let Some(root) = &mut self.root {
            match root {
                Node::Leaf(leaf) if leaf.len() == 0 => self.root = None,
                Node::Inner(inner) if inner.len == 1 => self.root = Some(inner.take(0).node),
                Node::Inner(inner) if inner.len == 0 => self.root = None,
                Node::Leaf(_) | Node::Inner(_) => return,
            }
        }
    }

    /// How many elements are before an element.
    pub(super) fn rank(&self, entry: EntryRef<'_>) -> Option<usize> {
        let (order, handle) = (order_of(entry.score()), Handle::of(&entry));
        let edge = Edge::After(order, entry.key());
        let (mut node, mut before) = (self.root.as_ref()?, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.find(order, handle).map(|at| before + at),
                Node::Inner(inner) => {
                    let index = inner.child_at(&edge);
                    before += inner.counts[..index].iter().sum::<usize>();
                    node = inner.child(index);
                }
            }
        }
    }

    /// How many elements are before a bound.
    pub(super) fn before(&self, bound: Bound<'_>) -> usize {
        self.root.as_ref().map_or(0, |root| root.before(&bound.edge()))
    }

    /// The element of a rank.
    pub(super) fn at(&self, rank: usize) -> Option<EntryRef<'_>> {
        if rank >= self.len {
            return None;
        }
        let (mut node, mut rank) = (self.root.as_ref()?, rank);
        loop {
            match node {
                Node::Leaf(leaf) => return Some(leaf.handle(rank).entry()),
                Node::Inner(inner) => {
                    let (index, before) = inner.child_of_rank(rank);
                    rank -= before;
                    node = inner.child(index);
                }
            }
        }
    }

    /// Gives `count` elements from a rank on, in order; or, backwards, those ranks from the last to the first.
    pub(super) fn visit<'a>(
        &'a self,
        from: usize,
        count: usize,
        backwards: bool,
        visit: &mut impl FnMut(EntryRef<'a>),
    ) {
        assert!(from.checked_add(count).is_some_and(|end| end <= self.len), "the range is within the set");
        if let Some(root) = &self.root
            && count > 0
        {
            root.visit(from, count, backwards, &mut |handle| visit(handle.entry()));
        }
    }

    /// Frees about so many nodes, without a look at any entry, and is of no other use afterwards. The answer: is nothing left?
    pub(super) fn free_some(&mut self, budget: usize) -> bool {
        let mut budget = budget.max(1);
        self.len = 0;
        if self.root.as_mut().is_none_or(|root| root.free_some(&mut budget)) {
            self.root = None;
        }
        self.root.is_none()
    }

    /// The memory of all nodes in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.root.as_ref().map_or(0, Node::memory_bytes)
    }

    /// Checks all invariants.
    pub(super) fn check(&self) {
        if let Some(root) = &self.root {
            root.check();
        }
        assert_eq!(self.len, self.root.as_ref().map_or(0, Node::count), "elements are counted");
    }
}
