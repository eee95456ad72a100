//! A list wherever it is: [`ListRef`] to read it, [`ListMut`] to change it and to keep its encoding the one it should have.
//!
//! When a list becomes large, and small again, follows Valkey: a list about to grow is measured with the lengths of the
//! texts that are to come ([`ListMut::grow`]), one that shrank with half the limit ([`ListMut::shrink`]).

use super::entry::Needle;
use super::limit::{FRAME_BYTES, Fill};
use super::walk::{Source, packed_end};
use super::{End, Item, Items, List, NewItem, Segments, small};
use crate::keyspace::{EntryRef, Form, Large, NewValue, OwnedEntry, Value, ValueMut};
use crate::value::{Element, Limits, Splice};
use bytes::Bytes;
use smallvec::SmallVec;
use std::ops::Range;

/// Most bytes of a small list, whatever the limits allow: beyond it would cost too much to move them.
const SMALL_BYTES_MAX: usize = 1024;

/// A list to be read.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a> {
    source: Source<'a>,
}

impl<'a> ListRef<'a> {
    /// The list that an entry holds, if it holds one.
    #[inline]
    pub fn of(entry: &EntryRef<'a>) -> Option<Self> {
        let source = match entry.value() {
            Value::Packed(Form::List, bytes) => Source::Packed(small::entries(bytes), small::count(bytes)),
            Value::List(list) => Source::Nodes(&list.nodes),
            _ => return None,
        };
        Some(Self { source })
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self.source {
            Source::Packed(_, count) => count,
            Source::Nodes(nodes) => nodes.elements(),
        }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of `range`, which lies within the list, in the segments in which they lie.
    #[inline]
    pub fn segments(&self, range: Range<usize>, backward: bool) -> Segments<'a> {
        Segments::new(self.source, range, backward)
    }

    /// The elements of `range`, which lies within the list; backward, the last one comes first.
    #[inline]
    pub fn items(&self, range: Range<usize>, backward: bool) -> Items<'a> {
        Items::new(self.segments(range, backward))
    }

    /// Element `index`.
    pub fn get(&self, index: usize) -> Option<Item<'a>> {
        if index < self.len() { self.items(index..index + 1, false).next() } else { None }
    }
}

/// An element that was taken out.
#[derive(Debug)]
pub struct Taken {
    /// The text, unless it is in `shared`.
    pub text: SmallVec<[u8; 64]>,
    /// The text of a large element.
    pub shared: Option<Bytes>,
    /// What the list that it goes to is to be made ready for, in bytes. Valkey does not count what it holds as an integer,
    /// which is any out of a quicklist.
    pub weight: usize,
}

impl Taken {
    fn of(item: &Item<'_>, is_small: bool) -> Self {
        if let Item::Plain(bytes) = item {
            return Self { text: SmallVec::new(), shared: Some(Bytes::clone(bytes)), weight: bytes.len() };
        }
        let text = SmallVec::from_slice(item.text(&mut itoa::Buffer::new()));
        let is_weighed = is_small || matches!(item, Item::Packed(Element::Bytes(_)));
        let weight = if is_weighed { text.len() } else { 0 };
        Self { text, shared: None, weight }
    }

    /// It, to be put into a list.
    pub fn item(&self) -> NewItem<'_> {
        match &self.shared {
            Some(bytes) => NewItem { shared: Some(bytes), ..NewItem::of(bytes) },
            None => NewItem::of(&self.text),
        }
    }
}

/// A list to be changed: the entry that holds it, and the limits.
#[derive(Debug)]
pub struct ListMut<'e> {
    entry: &'e mut OwnedEntry,
    limits: &'e Limits,
}

impl<'e> ListMut<'e> {
    /// The list of an entry that holds one.
    #[inline]
    pub fn new(entry: &'e mut OwnedEntry, limits: &'e Limits) -> Self {
        Self { entry, limits }
    }

    /// What a new list begins with.
    pub fn make() -> NewValue<'static> {
        NewValue::Packed(Form::List, small::EMPTY)
    }

    /// The list, to be read.
    #[inline]
    pub fn as_ref(&self) -> ListRef<'_> {
        ListRef::of(&self.entry.as_ref()).expect("the entry holds a list")
    }

    /// What a list begins with that is put together at once, of whatever size: [`ListMut::settle`] is to be told of its end.
    pub fn make_large_by(limits: &Limits) -> NewValue<'static> {
        NewValue::Large(Large::List(Box::new(List::new(Fill::of_setting(limits.list_size)))))
    }

    /// A list that was begun as a large one has all its elements: it becomes small if that is what it is.
    pub fn settle(&mut self) {
        let fill = self.fill();
        self.shrink_node_if(|framed_bytes, count| !fill.is_exceeded(framed_bytes, count), SMALL_BYTES_MAX);
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn fill(&self) -> Fill {
        Fill::of_setting(self.limits.list_size)
    }

    /// Makes ready for `elements` texts of `bytes` in sum.
    #[inline]
    pub fn grow(&mut self, bytes: usize, elements: usize) {
        let fill = self.fill();
        match self.entry.value_mut() {
            ValueMut::Packed(_, packed) => {
                let (len, count) = (small::entries(packed.bytes()).len(), small::count(packed.bytes()));
                if fill.is_exceeded(FRAME_BYTES + len + bytes, count + elements) {
                    self.make_large(fill);
                } else if len + bytes + elements * 8 > SMALL_BYTES_MAX || count + elements > small::COUNT_MAX {
                    self.make_large(Fill::WHOLE);
                }
            }
            ValueMut::List(list) if list.fill == Fill::WHOLE => {
                let framed: usize = list.framed_bytes();
                if fill.is_exceeded(framed + bytes, list.len() + elements) {
                    list.fill = fill.of_list();
                }
            }
            _ => {}
        }
    }

    #[cold]
    fn make_large(&mut self, fill: Fill) {
        let ValueMut::Packed(_, packed) = self.entry.value_mut() else {
            return;
        };
        let bytes = packed.bytes();
        let list = List::of_packed(small::entries(bytes), small::count(bytes), fill);
        self.entry.set_value(NewValue::Large(Large::List(Box::new(list))));
    }

    /// Makes a list that lost elements small again if it is down to one node of half the size that it may have.
    #[inline]
    pub fn shrink(&mut self) {
        if let ValueMut::List(list) = self.entry.value_mut()
            && list.nodes.only().is_some()
        {
            self.shrink_node();
        }
    }

    fn shrink_node(&mut self) {
        let fill = self.fill();
        let ValueMut::List(list) = self.entry.value_mut() else {
            return;
        };
        match list.fill == Fill::WHOLE {
            true => self.shrink_node_if(|_, _| true, SMALL_BYTES_MAX / 2),
            false => self.shrink_node_if(|framed_bytes, count| fill.is_half(framed_bytes, count), SMALL_BYTES_MAX),
        }
    }

    /// Makes a list of one node a listpack to clients if the node is such, and a small one if it has at most so many bytes.
    fn shrink_node_if(&mut self, is_such: impl FnOnce(usize, usize) -> bool, most: usize) {
        let ValueMut::List(list) = self.entry.value_mut() else {
            return;
        };
        let Some(packed) = list.nodes.only().and_then(super::node::Node::packed) else {
            return;
        };
        if !is_such(packed.framed_bytes(), packed.count()) {
            return;
        }
        if packed.framed_bytes() <= most && packed.count() <= small::COUNT_MAX / 2 {
            let bytes = small::of_entries(packed.bytes(), packed.count());
            self.entry.set_value(NewValue::Packed(Form::List, &bytes));
        } else {
            list.fill = Fill::WHOLE;
        }
    }

    fn item<'a>(&self, item: &NewItem<'a>) -> NewItem<'a> {
        NewItem { large_from: self.limits.list_plain_from, ..*item }
    }

    /// Adds an element at an end; [`ListMut::grow`] has been told of it.
    #[inline]
    pub fn push(&mut self, end: End, item: &NewItem<'_>) {
        let large_from = self.limits.list_plain_from;
        match self.entry.value_mut() {
            ValueMut::Packed(_, mut packed) => small::push(&mut packed, end, &Element::of(item.text)),
            ValueMut::List(list) => list.push(end, &NewItem { large_from, ..*item }),
            _ => {}
        }
    }

    /// The element at an end.
    #[inline]
    pub fn end(&self, end: End) -> Option<Item<'_>> {
        match self.as_ref().source {
            Source::Packed(bytes, _) => packed_end(bytes, end).map(Item::Packed),
            Source::Nodes(nodes) => super::end_of(nodes, end),
        }
    }

    /// Takes the element at an end out of the list, without shrinking.
    pub fn take(&mut self, end: End) -> Option<Taken> {
        let is_small = matches!(self.as_ref().source, Source::Packed(..));
        let taken = Taken::of(&self.end(end)?, is_small);
        self.pop_only(end);
        Some(taken)
    }

    /// Removes the element at an end, and shrinks.
    #[inline]
    pub fn pop(&mut self, end: End) {
        self.pop_only(end);
        self.shrink();
    }

    /// Removes the element at an end.
    #[inline]
    pub fn pop_only(&mut self, end: End) {
        match self.entry.value_mut() {
            ValueMut::Packed(_, mut packed) if small::count(packed.bytes()) > 0 => small::pop(&mut packed, end),
            ValueMut::List(list) => list.pop(end),
            _ => {}
        }
    }

    /// Removes so many elements, at most all, from an end, without shrinking. What comes back is to be freed in steps.
    #[must_use]
    pub fn cut(&mut self, end: End, count: usize) -> Option<Large> {
        if count == 0 {
            return None;
        }
        match self.entry.value_mut() {
            ValueMut::Packed(_, mut packed) => small::cut(&mut packed, end, count),
            ValueMut::List(list) => return list.cut(end, count).map(Large::List),
            _ => {}
        }
        None
    }

    /// Puts an element before (`Head`) or behind (`Tail`) the first one that equals the pivot. Is there one?
    pub fn insert_beside(&mut self, pivot: &[u8], side: End, item: &NewItem<'_>) -> bool {
        self.grow(item.text.len(), 1);
        let (pivot, item) = (Needle::new(pivot), self.item(item));
        match self.entry.value_mut() {
            ValueMut::Packed(_, mut packed) => small::insert_beside(&mut packed, &pivot, side, &Element::of(item.text)),
            ValueMut::List(list) => list.insert_beside(&pivot, side, &item),
            _ => false,
        }
    }

    /// Replaces the element at `place`, if it is one. The list is made ready for the element in any case, as in Valkey.
    pub fn set(&mut self, place: Option<usize>, item: &NewItem<'_>) -> bool {
        self.grow(item.text.len(), 1);
        let Some(index) = place else {
            return false;
        };
        let item = self.item(item);
        let done = match self.entry.value_mut() {
            ValueMut::Packed(_, mut packed) => small::set(&mut packed, index, &Element::of(item.text)),
            ValueMut::List(list) => list.set(index, &item),
            _ => false,
        };
        if done {
            self.shrink();
        }
        done
    }

    /// Removes at most `most` elements that equal a text, beginning at an end. The answer: how many.
    pub fn remove_equal(&mut self, text: &[u8], most: usize, from: End) -> usize {
        let needle = Needle::new(text);
        let removed = match self.entry.value_mut() {
            ValueMut::Packed(_, mut packed) => small::remove_equal(&mut packed, &needle, most, from),
            ValueMut::List(list) => list.remove_equal(&needle, most, from),
            _ => 0,
        };
        if removed > 0 {
            self.shrink();
        }
        removed
    }
}
