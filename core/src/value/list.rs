//! Lists.
//!
//! A small list is packed behind its key ([`small`]). A large one is a [`List`]: nodes of packed elements ([`node`]) in a
//! deque of chunks ([`nodes`]). How elements are dealt out to nodes follows the rules of Valkey's quicklist ([`limit`],
//! [`edit`]), because clients see by OBJECT ENCODING when a list is down to one node. [`ListMut`] and [`ListRef`] hide
//! which of the two a list is.

mod access;
mod build;
mod edit;
mod entry;
mod limit;
mod node;
mod nodes;
mod small;
#[cfg(test)]
mod tests;
mod walk;

pub use access::{ListMut, ListRef, Taken};
pub use build::{Builder, Built};
pub use entry::Needle;
pub use walk::{Item, Items, Segment, Segments};

use crate::value::Element;
use bytes::Bytes;
use limit::{ENTRY_BYTES, Fill};
use node::{Node, Packed};
use nodes::Nodes;
use std::ops::Range;
use walk::Source;

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The left one, where the indices begin.
    Head,
    /// The right one.
    Tail,
}

impl End {
    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Head => Self::Tail,
            Self::Tail => Self::Head,
        }
    }
}

/// A text to be put into a list.
#[derive(Clone, Copy, Debug)]
pub struct NewItem<'a> {
    /// The text.
    pub text: &'a [u8],
    /// The same in an allocation of its own, if it has one, which is kept if the element is large.
    pub shared: Option<&'a Bytes>,
    /// From which length on it gets a node of its own; 0: if it is beyond the limit of a node.
    pub large_from: usize,
}

impl<'a> NewItem<'a> {
    /// A text that lies anywhere.
    pub const fn of(text: &'a [u8]) -> Self {
        Self { text, shared: None, large_from: 0 }
    }

    /// It alone in a node.
    fn plain(&self) -> Node {
        let shared = self.shared.filter(|shared| shared.len() == self.text.len());
        Node::Plain(Box::new(shared.map_or_else(|| Bytes::copy_from_slice(self.text), Bytes::clone)))
    }

    fn packed(&self) -> Node {
        Node::Packed(Packed::of(&Element::of(self.text)))
    }
}

/// A large list.
#[derive(Debug, Clone)]
pub struct List {
    nodes: Nodes,
    /// The limit of its nodes, as it was when the list became large.
    fill: Fill,
}

impl Default for List {
    fn default() -> Self {
        Self { nodes: Nodes::default(), fill: Fill::of_setting(-2) }
    }
}

impl List {
    /// An empty list.
    fn new(fill: Fill) -> Self {
        Self { nodes: Nodes::default(), fill: fill.of_list() }
    }

    /// A list of one node, which holds these `count` elements; none if there are none.
    fn of_packed(bytes: &[u8], count: usize, fill: Fill) -> Self {
        let mut list = Self::new(fill);
        if count > 0 {
            list.nodes.push(End::Tail, Node::Packed(Packed::from_bytes(bytes, count)));
        }
        list
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.nodes.elements()
    }

    /// Is there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In how many nodes they are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// What OBJECT ENCODING answers: a list that had to become large only for us is still a listpack to clients.
    pub fn encoding(&self) -> &'static str {
        if self.fill == Fill::WHOLE { "listpack" } else { "quicklist" }
    }

    /// The memory of the list in bytes, judged by so many of its nodes; 0: each.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let mut place = self.nodes.first();
        let (mut bytes, mut seen) = (0, 0);
        while let Some(at) = place
            && (samples == 0 || seen < samples)
        {
            bytes += self.nodes.get(at).memory_bytes();
            seen += 1;
            place = self.nodes.after(at);
        }
        let all = bytes as u128 * self.nodes.len() as u128 / seen.max(1) as u128;
        size_of::<Self>() + self.nodes.frame_bytes() + all as usize
    }

    /// Frees about so many elements, but a node at least. The answer: is nothing left?
    pub fn free_some(&mut self, budget: usize) -> bool {
        let mut freed = 0;
        loop {
            let Some(node) = self.nodes.pop(End::Tail) else {
                return true;
            };
            freed += node.count();
            if freed >= budget {
                return self.is_empty();
            }
        }
    }

    /// A copy. Large elements are shared with it.
    pub fn copy(&self) -> Box<Self> {
        Box::new(self.clone())
    }

    /// The element at an end.
    #[inline]
    pub fn end(&self, end: End) -> Option<Item<'_>> {
        end_of(&self.nodes, end)
    }

    /// The size of the listpacks of all nodes, of which there are few.
    fn framed_bytes(&self) -> usize {
        let mut place = self.nodes.first();
        std::iter::from_fn(|| {
            let at = place?;
            place = self.nodes.after(at);
            Some(match self.nodes.get(at) {
                Node::Packed(packed) => packed.framed_bytes(),
                Node::Plain(bytes) => bytes.len(),
            })
        })
        .sum()
    }

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, item: &NewItem<'_>) {
        if self.fill.is_large(item.text.len(), item.large_from) {
            return self.nodes.push(end, item.plain());
        }
        let (fill, most) = (self.fill, self.fill.bytes_max());
        let pushed = self.nodes.edit_end(end, |node| match node {
            Node::Packed(packed) if has_room(fill, packed, item.text.len()) => {
                packed.push(end, &Element::of(item.text), most);
                true
            }
            _ => false,
        });
        if pushed != Some(true) {
            self.nodes.push(end, item.packed());
        }
    }

    /// Removes the element at an end; nothing happens if there is none.
    pub fn pop(&mut self, end: End) {
        let popped = self.nodes.edit_end(end, |node| match node {
            Node::Packed(packed) if packed.count() > 1 => {
                packed.pop(end);
                true
            }
            _ => false,
        });
        if popped == Some(false) {
            self.nodes.pop(end);
        }
    }

    /// Removes so many elements from an end. Whole nodes among them come back as a list, for whoever frees them in steps.
    #[must_use]
    pub fn cut(&mut self, end: End, count: usize) -> Option<Box<Self>> {
        let mut gone = Self::new(self.fill);
        let left = self.nodes.cut(end, count, &mut gone.nodes);
        if left > 0 {
            self.nodes.edit_end(end, |node| {
                if let Node::Packed(packed) = node
                    && left < packed.count()
                {
                    let all = packed.count();
                    let at = entry::seek(packed.bytes(), all, if end == End::Head { left } else { all - left });
                    let range = if end == End::Head { 0..at } else { at..packed.bytes().len() };
                    packed.remove(range, left);
                }
            });
        }
        (!gone.is_empty()).then(|| Box::new(gone))
    }

    /// The elements of `range`, which lies within the list, in the segments in which they lie.
    pub fn segments(&self, range: Range<usize>, backward: bool) -> Segments<'_> {
        Segments::new(Source::Nodes(&self.nodes), range, backward)
    }

    /// The elements of `range`, which lies within the list; backward, the last one comes first.
    pub fn items(&self, range: Range<usize>, backward: bool) -> Items<'_> {
        Items::new(self.segments(range, backward))
    }

    /// Is everything as it should be? For tests.
    #[cfg(test)]
    pub fn check(&self) {
        self.nodes.check();
    }
}

/// May a text of this length be added to a node?
#[inline]
fn has_room(fill: Fill, packed: &Packed, text_len: usize) -> bool {
    !fill.is_exceeded(packed.framed_bytes() + text_len + ENTRY_BYTES, packed.count() + 1)
}

/// The element at an end.
#[inline]
fn end_of(nodes: &Nodes, end: End) -> Option<Item<'_>> {
    Some(match nodes.end(end)? {
        Node::Packed(packed) => Item::Packed(packed.end(end)),
        Node::Plain(bytes) => Item::Plain(bytes),
    })
}
