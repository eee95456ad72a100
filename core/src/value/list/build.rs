//! A list out of parts that come in order: nodes as they were elsewhere, or elements.

use super::limit::{FRAME_BYTES, Fill};
use super::node::{Node, Packed};
use super::{End, List, NewItem, small};
use crate::value::Limits;
use bytes::Bytes;

/// Most bytes of elements that become a small list.
const SMALL_BYTES_MAX: usize = 1024 - FRAME_BYTES;

/// A list that is being made.
#[derive(Debug)]
pub struct Builder {
    list: List,
    large_from: usize,
}

/// A list that was made.
#[derive(Debug)]
pub enum Built {
    /// A small one.
    Packed(Vec<u8>),
    /// A large one.
    Large(Box<List>),
}

impl Builder {
    /// No elements yet.
    pub fn new(limits: &Limits) -> Self {
        Self { list: List::new(Fill::of_setting(limits.list_size)), large_from: limits.list_plain_from }
    }

    /// Adds a node as it is, even if it is larger than nodes become here. Its bytes are `count` elements, at least one,
    /// each in its shortest form and followed by its back length, as in a listpack.
    pub fn node(&mut self, bytes: &[u8], count: usize) {
        debug_assert!(count > 0, "no node is empty");
        self.list.nodes.push(End::Tail, Node::Packed(Packed::from_bytes(bytes, count)));
    }

    /// Adds a node that is one element alone.
    pub fn plain(&mut self, bytes: Bytes) {
        self.list.nodes.push(End::Tail, Node::Plain(Box::new(bytes)));
    }

    /// Adds an element to the last node, or to a new one.
    pub fn push(&mut self, text: &[u8]) {
        self.list.push(End::Tail, &NewItem { large_from: self.large_from, ..NewItem::of(text) });
    }

    /// The list, if it has an element. `settles`: it becomes small, or at least a listpack in the eyes of clients, if it is one
    /// node within the limit.
    pub fn finish(mut self, settles: bool) -> Option<Built> {
        if self.list.is_empty() {
            return None;
        }
        if settles
            && let Some(packed) = self.list.nodes.only().and_then(Node::packed)
            && !self.list.fill.is_exceeded(packed.framed_bytes(), packed.count())
        {
            if packed.bytes().len() <= SMALL_BYTES_MAX && packed.count() <= small::COUNT_MAX {
                return Some(Built::Packed(small::of_entries(packed.bytes(), packed.count())));
            }
            self.list.fill = Fill::WHOLE;
        }
        Some(Built::Large(Box::new(self.list)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::value::Element;
    use crate::value::list::entry::entry_of;

    fn texts(list: &List) -> Vec<Vec<u8>> {
        let items = list.items(0..list.len(), false);
        items.map(|item| item.text(&mut itoa::Buffer::new()).to_vec()).collect()
    }

    #[test]
    fn one_node_within_the_limit_settles() {
        let node: Vec<u8> = [&b"a"[..], b"17"].iter().flat_map(|text| entry_of(&Element::of(text))).collect();
        let build = |settles: bool, times: usize| {
            let mut builder = Builder::new(&Limits::default());
            builder.node(&node.repeat(times), 2 * times);
            builder.finish(settles).unwrap()
        };
        let Built::Packed(bytes) = build(true, 1) else { panic!("it is small") };
        assert_eq!(bytes[..2], [2, 0]);
        assert_eq!(bytes[2..], node);
        let Built::Large(list) = build(false, 1) else { panic!("it may not settle") };
        assert_eq!((list.encoding(), texts(&list)), ("quicklist", vec![b"a".to_vec(), b"17".to_vec()]));
        let Built::Large(list) = build(true, 300) else { panic!("it is too large to be small") };
        assert_eq!((list.encoding(), list.len()), ("listpack", 600));
        let Built::Large(list) = build(true, 3000) else { panic!("it is too large for a node") };
        assert_eq!((list.encoding(), list.len()), ("quicklist", 6000));
    }

    #[test]
    fn parts_come_in_order() {
        let mut builder = Builder::new(&Limits::default());
        builder.plain(Bytes::from_static(b"x"));
        (0..3000).for_each(|number| builder.push(format!("element {number}").as_bytes()));
        builder.push(&[b'y'; 9000]);
        let Built::Large(list) = builder.finish(true).unwrap() else { panic!("it is large") };
        list.check();
        let texts = texts(&list);
        assert_eq!((texts.len(), &texts[0][..], &texts[3000][..]), (3002, &b"x"[..], &b"element 2999"[..]));
        assert_eq!(texts[3001].len(), 9000);
        assert!(Builder::new(&Limits::default()).finish(true).is_none());
    }
}
