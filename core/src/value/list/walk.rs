//! Reading a stretch of a list, in either direction, from where it lies.

use super::End;
use super::entry::{Needle, previous, read, seek};
use super::node::Node;
use super::nodes::{Nodes, Place};
use crate::value::Element;
use bytes::Bytes;
use std::ops::Range;

/// An element of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// One among others.
    Packed(Element<'a>),
    /// A large one.
    Plain(&'a Bytes),
}

impl<'a> Item<'a> {
    /// The text; that of an integer is written into `buffer`.
    #[inline]
    pub fn text<'b>(&self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Packed(element) => element.text(buffer),
            Self::Plain(bytes) => bytes,
        }
    }

    /// Does it equal what is looked for?
    #[inline]
    pub fn is(&self, needle: &Needle<'_>) -> bool {
        match self {
            Self::Packed(element) => *element == needle.element,
            Self::Plain(bytes) => ***bytes == *needle.text,
        }
    }
}

/// Elements of a list that lie together.
#[derive(Clone, Copy, Debug)]
pub enum Segment<'a> {
    /// The bytes begin (or end, if read backward) with the first of `count` elements that are meant.
    Packed {
        /// The bytes, of which not all need to be meant.
        bytes: &'a [u8],
        /// How many elements are meant.
        count: usize,
    },
    /// A large element.
    Plain(&'a Bytes),
}

impl<'a> Segment<'a> {
    /// Shows each packed element to `each`, in order, from the front or, if it was read backward, from the back.
    #[inline]
    pub fn for_each_packed(self, backward: bool, mut each: impl FnMut(Element<'a>)) {
        let Segment::Packed { bytes, count } = self else {
            return;
        };
        if backward {
            let mut end = bytes.len();
            for _ in 0..count {
                end = previous(bytes, end);
                each(Element::read(bytes, end).0);
            }
        } else {
            let mut at = 0;
            for _ in 0..count {
                let (element, next) = read(bytes, at);
                at = next;
                each(element);
            }
        }
    }
}

/// Where a list keeps its elements.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// In one run of bytes, which is given with the count of elements.
    Packed(&'a [u8], usize),
    /// In nodes.
    Nodes(&'a Nodes),
}

/// The segments of a stretch of a list.
#[derive(Debug)]
pub struct Segments<'a> {
    nodes: Option<&'a Nodes>,
    /// The node to go on with.
    place: Option<Place>,
    /// What is given next, if it is no whole node.
    first: Option<Segment<'a>>,
    left: usize,
    backward: bool,
}

impl<'a> Segments<'a> {
    /// The elements of `range`, which lies within the list; backward, the last one comes first.
    pub(super) fn new(source: Source<'a>, range: Range<usize>, backward: bool) -> Self {
        let left = range.len();
        let mut segments = Self { nodes: None, place: None, first: None, left, backward };
        if left == 0 {
            return segments;
        }
        let start = if backward { range.end - 1 } else { range.start };
        match source {
            Source::Packed(bytes, count) => segments.begin(bytes, count, start),
            Source::Nodes(nodes) => {
                let (place, index) = nodes.find(start).expect("the range is within the list");
                segments.nodes = Some(nodes);
                match nodes.get(place) {
                    Node::Packed(packed) => segments.begin(packed.bytes(), packed.count(), index),
                    Node::Plain(bytes) => segments.first = Some(Segment::Plain(bytes)),
                }
                segments.place = segments.following(place);
            }
        }
        segments
    }

    fn begin(&mut self, bytes: &'a [u8], count: usize, index: usize) {
        self.first = Some(if self.backward {
            Segment::Packed { bytes: &bytes[..seek(bytes, count, index + 1)], count: index + 1 }
        } else {
            Segment::Packed { bytes: &bytes[seek(bytes, count, index)..], count: count - index }
        });
    }

    fn following(&self, place: Place) -> Option<Place> {
        let nodes = self.nodes?;
        if self.backward { nodes.before(place) } else { nodes.after(place) }
    }
}

impl Segments<'_> {
    /// Are they read backward?
    pub fn is_backward(&self) -> bool {
        self.backward
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        if self.left == 0 {
            return None;
        }
        let mut segment = match self.first.take() {
            Some(first) => first,
            None => {
                let place = self.place?;
                self.place = self.following(place);
                match self.nodes?.get(place) {
                    Node::Packed(packed) => Segment::Packed { bytes: packed.bytes(), count: packed.count() },
                    Node::Plain(bytes) => Segment::Plain(bytes),
                }
            }
        };
        match &mut segment {
            Segment::Packed { count, .. } => {
                *count = (*count).min(self.left);
                self.left -= *count;
            }
            Segment::Plain(_) => self.left -= 1,
        }
        Some(segment)
    }
}

/// The elements of a stretch of a list, one after the other.
#[derive(Debug)]
pub struct Items<'a> {
    segments: Segments<'a>,
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Items<'a> {
    pub(super) fn new(segments: Segments<'a>) -> Self {
        Self { segments, bytes: &[], count: 0 }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.count == 0 {
            match self.segments.next()? {
                Segment::Plain(bytes) => return Some(Item::Plain(bytes)),
                Segment::Packed { bytes, count } => (self.bytes, self.count) = (bytes, count),
            }
        }
        self.count -= 1;
        let bytes = self.bytes;
        if self.segments.backward {
            let at = previous(bytes, bytes.len());
            self.bytes = &bytes[..at];
            Some(Item::Packed(Element::read(bytes, at).0))
        } else {
            let (element, next) = read(bytes, 0);
            self.bytes = &bytes[next..];
            Some(Item::Packed(element))
        }
    }
}

/// The element at an end of packed bytes.
pub(super) fn packed_end(bytes: &[u8], end: End) -> Option<Element<'_>> {
    if bytes.is_empty() {
        return None;
    }
    let at = match end {
        End::Head => 0,
        End::Tail => previous(bytes, bytes.len()),
    };
    Some(Element::read(bytes, at).0)
}
