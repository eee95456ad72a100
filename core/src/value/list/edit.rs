//! Changes in the middle of a large list, and what they do to its nodes: where one is split, and which are joined again.

use super::entry::{Needle, find_all, next, read, seek};
use super::limit::{ENTRY_BYTES, FRAME_BYTES};
use super::node::Node;
use super::nodes::Place;
use super::{End, List, NewItem, has_room};
use crate::value::Element;

/// Most bytes of a node that elements are replaced in: what a listpack's head can tell.
const NODE_BYTES_MAX: usize = u32::MAX as usize;

/// Where an element is: its node, its index there, and where its bytes begin.
#[derive(Clone, Copy, Debug)]
struct Spot {
    place: Place,
    index: usize,
    at: usize,
}

impl List {
    /// Puts an element before (`Head`) or behind (`Tail`) the first one that equals the pivot. Is there one?
    pub fn insert_beside(&mut self, pivot: &Needle<'_>, side: End, item: &NewItem<'_>) -> bool {
        let Some(spot) = self.spot_of(pivot) else {
            return false;
        };
        self.insert_at(spot, side, item);
        true
    }

    fn spot_of(&self, needle: &Needle<'_>) -> Option<Spot> {
        let mut place = self.nodes.first();
        while let Some(node) = place {
            match self.nodes.get(node) {
                Node::Plain(bytes) if **bytes == needle.text => return Some(Spot { place: node, index: 0, at: 0 }),
                Node::Plain(_) => {}
                Node::Packed(packed) => {
                    let (bytes, mut at, mut index) = (packed.bytes(), 0, 0);
                    while at < bytes.len() {
                        let (element, next) = read(bytes, at);
                        if element == needle.element {
                            return Some(Spot { place: node, index, at });
                        }
                        (at, index) = (next, index + 1);
                    }
                }
            }
            place = self.nodes.after(node);
        }
        None
    }

    /// May this element be put into the node at a place?
    fn allows(&self, place: Option<Place>, item: &NewItem<'_>) -> bool {
        let packed = self.nodes.get_at(place).and_then(Node::packed);
        !self.is_large(item) && packed.is_some_and(|packed| has_room(self.fill, packed, item.text.len()))
    }

    fn insert_at(&mut self, spot: Spot, side: End, item: &NewItem<'_>) {
        let Spot { place, index, at } = spot;
        let node = self.nodes.get(place);
        let is_border = match side {
            End::Head => index == 0,
            End::Tail => index + 1 == node.count(),
        };
        if self.allows(Some(place), item) {
            let (element, most) = (Element::of(item.text), self.fill.bytes_max());
            self.nodes.edit(place, |node| {
                if let Node::Packed(packed) = node {
                    let at = if side == End::Head { at } else { next(packed.bytes(), at) };
                    packed.insert(at, &element, most);
                }
            });
        } else if is_border {
            self.insert_at_border(place, side, item);
        } else {
            self.insert_into_full(spot, side, item);
        }
    }

    /// Puts an element beside a node that it does not fit into. The answer: where that node is now.
    fn insert_at_border(&mut self, place: Place, side: End, item: &NewItem<'_>) -> Place {
        let neighbour = match side {
            End::Head => self.nodes.before(place),
            End::Tail => self.nodes.after(place),
        };
        if self.is_large(item) {
            return self.nodes.insert(place, side, item.plain()).0;
        }
        match neighbour.filter(|_| self.allows(neighbour, item)) {
            Some(neighbour) => {
                self.push_into(neighbour, side.other(), item);
                place
            }
            None => self.nodes.insert(place, side, item.packed()).0,
        }
    }

    /// Puts an element into the midst of a node that has no room for it: between its halves if it is large, else to the
    /// end of one of them. The other half is the middle of what is joined then.
    fn insert_into_full(&mut self, spot: Spot, side: End, item: &NewItem<'_>) {
        let (left, right) = self.split(spot, side);
        if self.is_large(item) {
            self.nodes.insert(left, End::Tail, item.plain());
            return;
        }
        match side {
            End::Head => {
                self.push_into(left, End::Tail, item);
                self.join_around(right);
            }
            End::Tail => {
                self.push_into(right, End::Head, item);
                self.join_around(left);
            }
        }
    }

    fn push_into(&mut self, place: Place, end: End, item: &NewItem<'_>) {
        let (element, most) = (Element::of(item.text), self.fill.bytes_max());
        self.nodes.edit(place, |node| match node {
            Node::Packed(packed) => packed.push(end, &element, most),
            Node::Plain(_) => debug_assert!(false, "a large element is alone"),
        });
    }

    /// Splits a node of packed elements before or behind one of them, neither half being empty. The answer: both places.
    fn split(&mut self, spot: Spot, side: End) -> (Place, Place) {
        let right = self.nodes.edit(spot.place, |node| match node {
            Node::Packed(packed) => {
                let (at, index) = match side {
                    End::Head => (spot.at, spot.index),
                    End::Tail => (next(packed.bytes(), spot.at), spot.index + 1),
                };
                packed.split_off(at, index)
            }
            Node::Plain(_) => unreachable!("a large element is not split"),
        });
        self.nodes.insert(spot.place, End::Tail, Node::Packed(right))
    }

    /// Replaces element `index`. Is there one?
    pub fn set(&mut self, index: usize, item: &NewItem<'_>) -> bool {
        let Some((place, index)) = self.nodes.find(index) else {
            return false;
        };
        let large = self.is_large(item);
        match self.nodes.get(place) {
            Node::Plain(_) if large => self.nodes.edit(place, |node| *node = item.plain()),
            Node::Plain(_) => {
                // It goes in behind the large element as any other would, then that one goes.
                let place = self.insert_at_border(place, End::Tail, item);
                self.nodes.remove(place);
            }
            Node::Packed(packed) => {
                let spot = Spot { place, index, at: seek(packed.bytes(), packed.count(), index) };
                if large || packed.framed_bytes() + item.text.len() + ENTRY_BYTES > NODE_BYTES_MAX {
                    self.replace_alone(spot, if large { item.plain() } else { item.packed() });
                } else {
                    let (element, most) = (Element::of(item.text), self.fill.bytes_max());
                    self.nodes.edit(place, |node| {
                        if let Node::Packed(packed) = node {
                            packed.replace(spot.at, &element, most);
                        }
                    });
                }
            }
        }
        true
    }

    /// Replaces an element among others by one in a node of its own.
    fn replace_alone(&mut self, spot: Spot, node: Node) {
        let Spot { mut place, index, at } = spot;
        if index + 1 < self.nodes.get(place).count() {
            (place, _) = self.split(spot, End::Tail);
        }
        let (left, alone) = self.nodes.insert(place, End::Tail, node);
        if index == 0 {
            self.nodes.remove(left);
            return;
        }
        self.nodes.edit(left, |node| {
            if let Node::Packed(packed) = node {
                packed.remove(at..packed.bytes().len(), 1);
            }
        });
        self.join_around(alone);
    }

    /// Joins the two nodes before a node, the two behind it, then it with its neighbours, as far as they fit together.
    fn join_around(&mut self, mut middle: Place) {
        if let Some(left) = self.nodes.before(middle).and_then(|near| self.nodes.before(near))
            && let Some(joined) = self.join(left)
        {
            middle = self.nodes.after(joined).expect("the middle follows what was joined");
        }
        if let Some(right) = self.nodes.after(middle) {
            self.join(right);
        }
        if let Some(left) = self.nodes.before(middle)
            && let Some(joined) = self.join(left)
        {
            middle = joined;
        }
        self.join(middle);
    }

    /// Joins a node with the next one, if both are packed and fit. The answer: where it is then. Places before it stay.
    fn join(&mut self, left: Place) -> Option<Place> {
        let right = self.nodes.after(left)?;
        let (Node::Packed(a), Node::Packed(b)) = (self.nodes.get(left), self.nodes.get(right)) else {
            return None;
        };
        if self.fill.is_exceeded(a.framed_bytes() + b.framed_bytes() - FRAME_BYTES, a.count() + b.count()) {
            return None;
        }
        let (node, behind) = self.nodes.remove(right);
        let left = if behind.is_none() { self.nodes.last()? } else { left };
        if let Node::Packed(gone) = node {
            self.nodes.edit(left, |node| {
                if let Node::Packed(packed) = node {
                    packed.append(&gone);
                }
            });
        }
        Some(left)
    }

    /// Removes at most `most` elements that equal the needle, beginning at an end. The answer: how many.
    pub fn remove_equal(&mut self, needle: &Needle<'_>, most: usize, from: End) -> usize {
        let backward = from == End::Tail;
        let mut place = if backward { self.nodes.last() } else { self.nodes.first() };
        let (mut removed, mut found) = (0, Vec::new());
        while let Some(at) = place
            && removed < most
        {
            let node = self.nodes.get(at);
            let gone = match node {
                Node::Plain(bytes) => usize::from(**bytes == needle.text),
                Node::Packed(packed) => {
                    find_all(packed.bytes(), needle, most - removed, backward, &mut found);
                    found.len()
                }
            };
            let is_spent = gone == node.count();
            removed += gone;
            place = if is_spent {
                let before = self.nodes.before(at);
                match self.nodes.remove(at).1 {
                    // What was before the last one is the last one now.
                    None if backward => before.and(self.nodes.last()),
                    after => {
                        if backward {
                            before
                        } else {
                            after
                        }
                    }
                }
            } else {
                if gone > 0 {
                    self.nodes.edit(at, |node| {
                        if let Node::Packed(packed) = node {
                            packed.remove_all(&found);
                        }
                    });
                }
                if backward { self.nodes.before(at) } else { self.nodes.after(at) }
            };
        }
        removed
    }

    fn is_large(&self, item: &NewItem<'_>) -> bool {
        self.fill.is_large(item.text.len(), item.large_from)
    }
}
