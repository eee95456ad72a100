//! One node of a list: packed elements in an allocation with room at both ends, or one large element alone.
//!
//! Lists grow and shrink at their ends, so a node keeps where its bytes begin: neither a push nor a pop moves the others.
//! Room is made by eighths while a node grows, and taken back when it lies between others ([`Packed::trim`]).

use super::End;
use super::entry::{close_gaps, entry_bytes, next, previous, write_entry};
use super::limit::FRAME_BYTES;
use crate::value::{Element, size_class};
use bytes::Bytes;
use std::ops::Range;

/// What a node begins with.
const ROOM_BYTES_MIN: usize = 64;

/// A node.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Elements behind each other.
    Packed(Packed),
    /// One element that is too large to be among others.
    Plain(Box<Bytes>),
}

const _: () = assert!(size_of::<Node>() <= 32, "nodes are many where elements are large");

impl Node {
    /// How many elements.
    #[inline]
    pub fn count(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.count(),
            Self::Plain(_) => 1,
        }
    }

    /// The packed elements, unless it is a large one.
    #[inline]
    pub fn packed(&self) -> Option<&Packed> {
        match self {
            Self::Packed(packed) => Some(packed),
            Self::Plain(_) => None,
        }
    }

    /// Gives back room that is not used.
    pub fn trim(&mut self) {
        if let Self::Packed(packed) = self {
            packed.trim();
        }
    }

    /// What the allocator gave for what it holds, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.room.len(),
            Self::Plain(bytes) => size_class(bytes.len()) + size_class(size_of::<Bytes>()),
        }
    }
}

/// Elements behind each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Packed {
    room: Box<[u8]>,
    /// Where the elements begin in `room`.
    start: u32,
    /// How many bytes they take.
    len: u32,
    /// How many there are.
    count: u32,
}

impl Packed {
    /// A node of these bytes, which are `count` elements.
    pub fn from_bytes(bytes: &[u8], count: usize) -> Self {
        let mut packed = Self { room: room_of(bytes.len()), start: 0, len: bytes.len() as u32, count: count as u32 };
        packed.room[..bytes.len()].copy_from_slice(bytes);
        packed
    }

    /// A node of one element.
    pub fn of(element: &Element<'_>) -> Self {
        let mut packed = Self::default();
        packed.push(End::Tail, element, 0);
        packed
    }

    /// How many elements.
    #[inline]
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The elements.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.room[self.start as usize..][..self.len as usize]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.room[self.start as usize..][..self.len as usize]
    }

    /// The size of the listpack of these elements.
    #[inline]
    pub fn framed_bytes(&self) -> usize {
        self.len as usize + FRAME_BYTES
    }

    /// Adds an element at an end. Room for more is made up to `most` bytes.
    #[inline]
    pub fn push(&mut self, end: End, element: &Element<'_>, most: usize) {
        let need = entry_bytes(element);
        let at = match end {
            End::Head => {
                if (self.start as usize) < need {
                    self.make_room(0, need, most);
                }
                self.start -= need as u32;
                self.start as usize
            }
            End::Tail => {
                if self.room.len() < self.start as usize + self.len as usize + need {
                    self.make_room(self.len as usize, need, most);
                }
                (self.start + self.len) as usize
            }
        };
        write_entry(&mut self.room[at..at + need], element);
        self.len += need as u32;
        self.count += 1;
    }

    /// The element at an end of a node that has one.
    #[inline]
    pub fn end(&self, end: End) -> Element<'_> {
        let bytes = self.bytes();
        match end {
            End::Head => Element::read(bytes, 0).0,
            End::Tail => Element::read(bytes, previous(bytes, bytes.len())).0,
        }
    }

    /// Removes the element at an end of a node that has one.
    #[inline]
    pub fn pop(&mut self, end: End) {
        let bytes = self.bytes();
        match end {
            End::Head => {
                let gone = next(bytes, 0) as u32;
                self.start += gone;
                self.len -= gone;
            }
            End::Tail => self.len = previous(bytes, bytes.len()) as u32,
        }
        self.count -= 1;
        if (self.len as usize) < self.room.len() / 4 && self.room.len() > ROOM_BYTES_MIN {
            self.refit(2 * self.len as usize, end);
        }
    }

    /// Puts an element before the one at `at`, a place in the bytes.
    pub fn insert(&mut self, at: usize, element: &Element<'_>, most: usize) {
        let need = entry_bytes(element);
        self.open(at, need, most);
        write_entry(&mut self.bytes_mut()[at..at + need], element);
        self.count += 1;
    }

    /// Replaces the element at `at`.
    pub fn replace(&mut self, at: usize, element: &Element<'_>, most: usize) {
        let (old, new) = (next(self.bytes(), at) - at, entry_bytes(element));
        if new > old {
            self.open(at, new - old, most);
        } else {
            self.close(at..at + old - new);
        }
        write_entry(&mut self.bytes_mut()[at..at + new], element);
    }

    /// Removes the bytes of a range, which are `count` elements.
    pub fn remove(&mut self, range: Range<usize>, count: usize) {
        self.close(range);
        self.count -= count as u32;
        if (self.len as usize) < self.room.len() / 4 {
            self.trim();
        }
    }

    /// Removes several elements, given in order.
    pub fn remove_all(&mut self, ranges: &[Range<usize>]) {
        self.len = close_gaps(self.bytes_mut(), ranges) as u32;
        self.count -= ranges.len() as u32;
        self.trim();
    }

    /// Cuts off what begins at `at`, element `index`.
    pub fn split_off(&mut self, at: usize, index: usize) -> Self {
        let right = Self::from_bytes(&self.bytes()[at..], self.count() - index);
        self.len = at as u32;
        self.count = index as u32;
        self.trim();
        right
    }

    /// Adds the elements of the next node.
    pub fn append(&mut self, right: &Self) {
        let at = self.len as usize;
        self.open(at, right.len as usize, 0);
        self.bytes_mut()[at..].copy_from_slice(right.bytes());
        self.count += right.count;
    }

    /// Makes the bytes longer by `need` at `at`.
    fn open(&mut self, at: usize, need: usize, most: usize) {
        let (start, len) = (self.start as usize, self.len as usize);
        let (before, after) = (start, self.room.len() - start - len);
        if before >= need && (2 * at < len || after < need) {
            self.room.copy_within(start..start + at, start - need);
            self.start -= need as u32;
        } else if after >= need {
            self.room.copy_within(start + at..start + len, start + at + need);
        } else {
            self.make_room(at, need, most);
            return self.open(at, need, 0);
        }
        self.len += need as u32;
    }

    /// Takes a range out of the bytes.
    fn close(&mut self, range: Range<usize>) {
        let (start, len) = (self.start as usize, self.len as usize);
        if range.start < len - range.end {
            self.room.copy_within(start..start + range.start, start + range.len());
            self.start += range.len() as u32;
        } else {
            self.room.copy_within(start + range.end..start + len, start + range.start);
        }
        self.len -= range.len() as u32;
    }

    /// Makes room for `need` bytes at `at`, most of it at the nearer end. Moves the bytes if that frees much, else there is
    /// an allocation that is larger by an eighth, but not beyond `most` bytes unless they are needed.
    #[cold]
    fn make_room(&mut self, at: usize, need: usize, most: usize) {
        let (start, len) = (self.start as usize, self.len as usize);
        let total = len + need;
        let end = if at == 0 && len > 0 { End::Head } else { End::Tail };
        if self.room.len() - len >= need.max(len / 8) * 4 / 3 {
            let to = place_in(self.room.len() - len, end);
            self.room.copy_within(start..start + len, to);
            self.start = to as u32;
            return;
        }
        let wanted = (total + total / 8).min(most.max(total)).max(need * 4 / 3 + len);
        self.refit(wanted.max(ROOM_BYTES_MIN.min(2 * total)), end);
    }

    /// Moves the bytes to another allocation, with most of the room that is left over at this end.
    fn refit(&mut self, capacity: usize, room_at: End) {
        let len = self.len as usize;
        let mut room = room_of(capacity.max(len));
        let start = place_in(room.len() - len, room_at);
        room[start..start + len].copy_from_slice(self.bytes());
        self.room = room;
        self.start = start as u32;
    }

    /// Gives back the room that is not used, as far as the allocator takes it.
    pub fn trim(&mut self) {
        if size_class(self.len as usize) < self.room.len() {
            self.refit(self.len as usize, End::Tail);
        }
    }

    /// Is everything as it should be? For tests.
    #[cfg(test)]
    pub fn check(&self) {
        use super::entry::read;
        let bytes = self.bytes();
        let (mut at, mut count) = (0, 0);
        while at < bytes.len() {
            let (element, end) = read(bytes, at);
            assert_eq!(Element::of(element.text(&mut itoa::Buffer::new())), element, "integers are stored as such");
            assert_eq!(previous(bytes, end), at, "the back length leads to the beginning");
            (at, count) = (end, count + 1);
        }
        assert_eq!((at, count), (bytes.len(), self.count()), "count and length are true");
        assert!(count > 0, "no node is empty");
        assert_eq!(self.room.len(), size_class(self.room.len()), "room is what the allocator gives");
    }
}

/// How much of the spare room lies in front, if it is wanted at this end: the other end gets a quarter, so that a list that
/// grows at both does not move with every element.
fn place_in(spare: usize, room_at: End) -> usize {
    match room_at {
        End::Head => spare - spare / 4,
        End::Tail => spare / 4,
    }
}

/// An allocation with room for so many bytes, all of what the allocator gives for that.
fn room_of(bytes: usize) -> Box<[u8]> {
    vec![0; size_class(bytes)].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::super::entry::read;
    use super::*;

    fn texts(node: &Packed) -> Vec<Vec<u8>> {
        let (bytes, mut at, mut texts) = (node.bytes(), 0, Vec::new());
        while at < bytes.len() {
            let (element, next) = read(bytes, at);
            texts.push(element.text(&mut itoa::Buffer::new()).to_vec());
            at = next;
        }
        texts
    }

    #[test]
    fn grows_and_shrinks_at_both_ends() {
        let mut node = Packed::of(&Element::of(b"0"));
        let mut model = std::collections::VecDeque::from([b"0".to_vec()]);
        for step in 1..4000_usize {
            let end = if step / 7 % 2 == 0 { End::Head } else { End::Tail };
            if step % 11 < 4 && model.len() > 1 || step > 2000 && model.len() > 1 {
                assert_eq!(
                    node.end(end).text(&mut itoa::Buffer::new()),
                    if end == End::Head { &model[0] } else { &model[model.len() - 1] }
                );
                node.pop(end);
                if end == End::Head {
                    model.pop_front()
                } else {
                    model.pop_back()
                };
            } else {
                let text = "x".repeat(step % 9).into_bytes();
                node.push(end, &Element::of(&text), 8185);
                if end == End::Head {
                    model.push_front(text)
                } else {
                    model.push_back(text)
                };
            }
            node.check();
            assert!(node.room.len() <= 4 * node.bytes().len().max(16) + 64, "room goes back");
        }
        assert_eq!(texts(&node), Vec::from(model));
    }

    #[test]
    fn changes_in_the_middle() {
        let mut node = Packed::default();
        for text in [&b"a"[..], b"bb", b"100", b"d"] {
            node.push(End::Tail, &Element::of(text), 100);
        }
        let at = next(node.bytes(), 0);
        node.insert(at, &Element::of(&[b'x'; 300]), 0);
        node.check();
        node.replace(at, &Element::of(b"17"), 0);
        node.check();
        assert_eq!(texts(&node), [&b"a"[..], b"17", b"bb", b"100", b"d"]);
        let mut right = node.split_off(at, 1);
        right.check();
        node.check();
        assert_eq!((texts(&node).len(), texts(&right).len()), (1, 4));
        node.append(&right);
        node.check();
        assert_eq!(texts(&node), [&b"a"[..], b"17", b"bb", b"100", b"d"]);
        let end = next(right.bytes(), 0);
        right.remove(0..end, 1);
        right.check();
        assert_eq!(texts(&right), [&b"bb"[..], b"100", b"d"]);
    }
}
