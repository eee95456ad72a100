//! A node of a stream: entries behind each other, packed.
//!
//! ```text
//! count of names, names..., then for each entry:
//! length  flags  ms  seq  values...                        the names are those of the node
//! length  flags  ms  seq  count, name, value, ...          the entry has names of its own
//! ```
//!
//! Everything but length and flags is an [`Element`]. `ms` and `seq` are differences to the id of the node, which is the
//! one of its first entry. The length counts the bytes behind it: one byte, or 255 and four bytes. It lets a search pass an entry
//! without a look at its fields.
//!
//! Where nodes end shows in what approximate trimming leaves and in XINFO STREAM, so a node knows how large
//! Valkey's listpack of the same entries is, which is what the limits are about. For the same reason an entry that is
//! deleted stays, marked, until the whole node goes.

use super::StreamId;
use crate::value::element::Element;
use crate::value::{Limits, size_class};

/// The entry is deleted.
const DELETED: u8 = 1;

/// The entry has the names of the node.
const SAME_NAMES: u8 = 2;

/// A length that does not fit one byte.
const LONG: u8 = 255;

/// Head and end of a listpack in bytes.
const FRAME_BYTES: usize = 7;

/// No listpack is larger, in bytes.
const LISTPACK_BYTES_MAX: usize = 1 << 30;

/// What a node begins with if nothing is known, and the most that is guessed for one.
const ROOM_BYTES: std::ops::RangeInclusive<usize> = 64..=4096;

/// Entries that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The id of the first entry, deleted or not.
    first: StreamId,
    bytes: Vec<u8>,
    /// The size of the listpack in bytes, without its counts.
    listpack: u32,
    live: u32,
    deleted: u32,
    /// Where the first entry begins.
    entries_at: u32,
    /// Where the first entry begins that is not deleted.
    live_at: u32,
    /// Where the last entry begins, deleted or not.
    last_at: u32,
}

const _: () = assert!(size_of::<Node>() <= 64, "a node has a line of the cache");

/// How an entry begins.
#[derive(Debug, Clone, Copy)]
struct Head {
    flags: u8,
    id: StreamId,
    /// Where its fields begin.
    fields_at: usize,
    /// Where the next entry begins.
    end: usize,
}

impl Head {
    #[inline]
    fn is_live(&self) -> bool {
        self.flags & DELETED == 0
    }
}

/// An entry as it lies in a node, for whoever writes nodes to files.
#[derive(Debug, Clone)]
pub struct NodeEntry<'a> {
    /// The id.
    pub id: StreamId,
    /// Is it marked as deleted?
    pub is_deleted: bool,
    /// Are the names of its fields those of the node?
    pub same_names: bool,
    /// How many fields it has.
    pub len: usize,
    /// Their values, or names and values in turn if the names are its own: elements behind each other.
    pub encoded: &'a [u8],
    /// The fields.
    pub fields: Fields<'a>,
}

/// The fields of an entry: names and values.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    /// Where the next name of the node is, if the entry has those.
    name_at: Option<usize>,
    at: usize,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = match &mut self.name_at {
            Some(at) => {
                let (name, next) = Element::read(self.bytes, *at);
                *at = next;
                name
            }
            None => {
                let (name, next) = Element::read(self.bytes, self.at);
                self.at = next;
                name
            }
        };
        let (value, next) = Element::read(self.bytes, self.at);
        self.at = next;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// The size of an integer in a listpack.
#[inline]
const fn listpack_integer(value: i64) -> usize {
    Element::Int(value).listpack_len()
}

impl Node {
    /// A node for an entry with this id and these names, which is to be added; room is made for so many bytes.
    fn with_names<'f>(first: StreamId, names: impl ExactSizeIterator<Item = Element<'f>>, room: usize) -> Self {
        let mut bytes = Vec::with_capacity(size_class(room.clamp(*ROOM_BYTES.start(), *ROOM_BYTES.end())));
        let count = Element::Int(names.len() as i64);
        count.write(&mut bytes);
        let mut listpack = FRAME_BYTES + count.listpack_len() + listpack_integer(0);
        for name in names {
            name.write(&mut bytes);
            listpack += name.listpack_len();
        }
        let at = bytes.len() as u32;
        Self { first, bytes, listpack: listpack as u32, live: 0, deleted: 0, entries_at: at, live_at: at, last_at: at }
    }

    /// A node of one entry; `room` is how many bytes it is going to have, as far as one can tell.
    pub(super) fn of<'f, P>(id: StreamId, pairs: P, room: usize) -> Self
    where
        P: ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
    {
        let mut node = Self::with_names(id, pairs.clone().map(|(name, _)| Element::of(name)), room);
        node.add(id, true, pairs);
        node
    }

    /// The id of the first entry, deleted or not.
    #[inline]
    pub fn first_id(&self) -> StreamId {
        self.first
    }

    /// How many entries there are that are not deleted.
    #[inline]
    pub fn live(&self) -> usize {
        self.live as usize
    }

    /// How many entries are marked as deleted.
    #[inline]
    pub fn deleted(&self) -> usize {
        self.deleted as usize
    }

    /// How many names of fields the node has.
    pub fn names_len(&self) -> usize {
        self.names_head().0
    }

    /// The names of fields that the node has for its entries.
    pub fn names(&self) -> impl Iterator<Item = Element<'_>> {
        let (count, mut at) = self.names_head();
        (0..count).map(move |_| {
            let (name, next) = Element::read(&self.bytes, at);
            at = next;
            name
        })
    }

    #[inline]
    fn names_head(&self) -> (usize, usize) {
        read_count(&self.bytes, 0)
    }

    /// The entries in order, deleted ones among them.
    pub fn entries(&self) -> impl Iterator<Item = NodeEntry<'_>> {
        let mut at = self.entries_at as usize;
        std::iter::from_fn(move || {
            let head = self.head(at)?;
            at = head.end;
            let fields = self.fields(&head);
            Some(NodeEntry {
                id: head.id,
                is_deleted: !head.is_live(),
                same_names: head.flags & SAME_NAMES != 0,
                len: fields.left,
                encoded: &self.bytes[fields.at..head.end],
                fields,
            })
        })
    }

    /// The size that the listpack of these entries has, in bytes.
    #[inline]
    pub(super) fn listpack_bytes(&self) -> usize {
        self.listpack as usize + listpack_integer(self.live.into()) + listpack_integer(self.deleted.into())
    }

    /// What the allocator gave for what it holds, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_class(self.bytes.capacity())
    }

    /// How many bytes there are.
    pub(super) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// May an entry be added whose names and values have so many bytes?
    #[inline]
    pub(super) fn has_room(&self, text_bytes: usize, limits: &Limits) -> bool {
        let bytes_max = match limits.stream_node_bytes {
            0 => LISTPACK_BYTES_MAX,
            bytes => bytes.min(LISTPACK_BYTES_MAX),
        };
        if self.listpack_bytes() + text_bytes >= bytes_max {
            return false;
        }
        limits.stream_node_entries == 0 || self.live() + self.deleted() < limits.stream_node_entries
    }

    /// Adds an entry with the largest id so far.
    #[inline]
    pub(super) fn push<'f, P>(&mut self, id: StreamId, pairs: P)
    where
        P: ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
    {
        let same = self.has_names(pairs.clone().map(|(name, _)| name));
        self.add(id, same, pairs);
    }

    #[inline]
    fn add<'f>(&mut self, id: StreamId, same: bool, pairs: impl ExactSizeIterator<Item = (&'f [u8], &'f [u8])>) {
        self.add_elements(id, same, false, pairs.map(|(name, value)| (Element::of(name), Element::of(value))));
    }

    /// Are these the names of the node?
    #[inline]
    fn has_names<'f>(&self, names: impl ExactSizeIterator<Item = &'f [u8]>) -> bool {
        let (count, mut at) = self.names_head();
        if count != names.len() {
            return false;
        }
        for name in names {
            let (known, next) = Element::read(&self.bytes, at);
            if known.text(&mut itoa::Buffer::new()) != name {
                return false;
            }
            at = next;
        }
        true
    }

    /// Adds an entry; with `same`, its names are those of the node and are not written.
    #[inline]
    fn add_elements<'f>(
        &mut self,
        id: StreamId,
        same: bool,
        is_deleted: bool,
        pairs: impl ExactSizeIterator<Item = (Element<'f>, Element<'f>)>,
    ) {
        let (start, count) = (self.bytes.len(), pairs.len());
        let mut listpack = self.begin_entry(id, same, is_deleted, count);
        let mut write = |element: Element<'_>| {
            element.write(&mut self.bytes);
            listpack += element.listpack_len();
        };
        if same {
            pairs.for_each(|(_, value)| write(value));
        } else {
            for (name, value) in pairs {
                write(name);
                write(value);
            }
        }
        self.end_entry(start, is_deleted, listpack);
    }

    /// The same with elements that are encoded, and known to take so many bytes in a listpack.
    fn add_encoded(
        &mut self,
        id: StreamId,
        same: bool,
        is_deleted: bool,
        count: usize,
        encoded: &[u8],
        listpack: usize,
    ) {
        let start = self.bytes.len();
        let head = self.begin_entry(id, same, is_deleted, count);
        self.bytes.extend_from_slice(encoded);
        self.end_entry(start, is_deleted, head + listpack);
    }

    /// Writes what stands before the elements of `count` fields. The answer: what a listpack has besides them, in bytes.
    #[inline]
    fn begin_entry(&mut self, id: StreamId, same: bool, is_deleted: bool, count: usize) -> usize {
        let flags = if same { SAME_NAMES } else { 0 } | if is_deleted { DELETED } else { 0 };
        self.bytes.extend_from_slice(&[0, flags]);
        let mut listpack = listpack_integer(flags.into());
        let mut write = |value: i64| {
            let element = Element::Int(value);
            element.write(&mut self.bytes);
            listpack += element.listpack_len();
        };
        write(id.ms.wrapping_sub(self.first.ms) as i64);
        write(id.seq.wrapping_sub(self.first.seq) as i64);
        let count = count as i64;
        if same {
            return listpack + listpack_integer(3 + count);
        }
        write(count);
        listpack + listpack_integer(4 + 2 * count)
    }

    /// An entry is written that begins at `start`.
    #[inline]
    fn end_entry(&mut self, start: usize, is_deleted: bool, listpack: usize) {
        self.write_length(start);
        self.listpack += listpack as u32;
        self.last_at = start as u32;
        if is_deleted {
            self.deleted += 1;
            return;
        }
        if self.live == 0 {
            self.live_at = start as u32;
        }
        self.live += 1;
    }

    /// Writes the length of the last entry, which begins at `start`.
    #[inline]
    fn write_length(&mut self, start: usize) {
        let len = self.bytes.len() - start - 1;
        if len < usize::from(LONG) {
            self.bytes[start] = len as u8;
            return;
        }
        self.bytes[start] = LONG;
        let len = u32::try_from(len).expect("an entry is bounded far below 4 GiB");
        self.bytes.splice(start + 1..start + 1, len.to_le_bytes());
    }

    /// How the entry at `at` begins, if there is one.
    #[inline]
    fn head(&self, at: usize) -> Option<Head> {
        let (flags_at, len) = match *self.bytes.get(at)? {
            LONG => {
                let len = self.bytes[at + 1..at + 5].try_into().expect("four bytes are four bytes");
                (at + 5, u32::from_le_bytes(len) as usize)
            }
            len => (at + 1, usize::from(len)),
        };
        let (ms, seq_at) = read_integer(&self.bytes, flags_at + 1);
        let (seq, fields_at) = read_integer(&self.bytes, seq_at);
        let id = StreamId::new(self.first.ms.wrapping_add(ms as u64), self.first.seq.wrapping_add(seq as u64));
        Some(Head { flags: self.bytes[flags_at], id, fields_at, end: flags_at + len })
    }

    /// The fields of an entry.
    #[inline]
    fn fields(&self, head: &Head) -> Fields<'_> {
        let bytes = &self.bytes[..];
        if head.flags & SAME_NAMES != 0 {
            let (left, names_at) = self.names_head();
            Fields { bytes, name_at: Some(names_at), at: head.fields_at, left }
        } else {
            let (left, at) = read_count(bytes, head.fields_at);
            Fields { bytes, name_at: None, at, left }
        }
    }

    /// Where the first entry begins that is not deleted and not before `from`.
    #[inline]
    pub(super) fn seek(&self, from: StreamId) -> usize {
        let mut at = self.live_at as usize;
        while let Some(head) = self.head(at)
            && head.id < from
        {
            at = head.end;
        }
        at
    }

    /// The first entry from `at` on that is not deleted, and where to go on.
    #[inline]
    pub(super) fn next_live(&self, mut at: usize) -> Option<(StreamId, Fields<'_>, usize)> {
        loop {
            let head = self.head(at)?;
            if head.is_live() {
                return Some((head.id, self.fields(&head), head.end));
            }
            at = head.end;
        }
    }

    /// Where the entries between two ids begin that are not deleted, in order.
    pub(super) fn places(&self, from: StreamId, to: StreamId) -> Vec<u32> {
        let mut places = Vec::new();
        let mut at = self.seek(from);
        while let Some(head) = self.head(at)
            && head.id <= to
        {
            if head.is_live() {
                places.push(at as u32);
            }
            at = head.end;
        }
        places
    }

    /// Has the last entry, deleted or not, a smaller id?
    pub(super) fn ends_before(&self, id: StreamId) -> bool {
        self.head(self.last_at as usize).is_none_or(|last| last.id < id)
    }

    /// Marks an entry as deleted. The answer: was there such an entry?
    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let at = self.seek(id);
        match self.head(at) {
            Some(head) if head.id == id && head.is_live() => {
                self.mark_deleted(at);
                true
            }
            _ => false,
        }
    }

    /// Marks entries as deleted from the first one on, at most so many, and only those before an id. The answer: how many.
    pub(super) fn delete_front(&mut self, most: u64, before: Option<StreamId>) -> u64 {
        let mut count = 0;
        let mut at = self.live_at as usize;
        while count < most
            && let Some(head) = self.head(at)
            && before.is_none_or(|before| head.id < before)
        {
            if head.is_live() {
                self.mark_deleted(at);
                count += 1;
            }
            at = head.end;
        }
        count
    }

    fn mark_deleted(&mut self, at: usize) {
        let flags_at = if self.bytes[at] == LONG { at + 5 } else { at + 1 };
        self.bytes[flags_at] |= DELETED;
        self.live -= 1;
        self.deleted += 1;
        if at == self.live_at as usize {
            let mut next = at;
            while let Some(head) = self.head(next).filter(|head| !head.is_live()) {
                next = head.end;
            }
            self.live_at = next as u32;
        }
    }

    /// The last entry, if it is not deleted.
    pub(super) fn last_live(&self) -> Option<StreamId> {
        self.head(self.last_at as usize).filter(Head::is_live).map(|head| head.id)
    }

    /// Gives back room that is not used, as far as the allocator takes it.
    pub(super) fn trim_room(&mut self) {
        if size_class(self.bytes.len()) < self.bytes.capacity() {
            self.bytes.shrink_to(size_class(self.bytes.len()));
        }
    }

    /// Is everything as it should be? For tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let (mut at, mut live, mut deleted, mut last) = (self.entries_at as usize, 0, 0, 0);
        let mut live_at = self.bytes.len();
        let mut listpack = FRAME_BYTES + listpack_integer(self.names_len() as i64) + listpack_integer(0);
        listpack += self.names().map(|name| name.listpack_len()).sum::<usize>();
        while let Some(head) = self.head(at) {
            let (ms, seq) = (head.id.ms.wrapping_sub(self.first.ms), head.id.seq.wrapping_sub(self.first.seq));
            let fields = self.fields(&head);
            let count = fields.len() as i64;
            let same = head.flags & SAME_NAMES != 0;
            listpack += 2 + listpack_integer(ms as i64) + listpack_integer(seq as i64);
            listpack += if same { 0 } else { listpack_integer(count) };
            listpack += listpack_integer(if same { 3 + count } else { 4 + 2 * count });
            for (name, value) in fields {
                listpack += value.listpack_len() + if same { 0 } else { name.listpack_len() };
            }
            if head.is_live() {
                (live, live_at) = (live + 1, live_at.min(at));
            } else {
                deleted += 1;
            }
            (last, at) = (at, head.end);
        }
        assert_eq!((at, last), (self.bytes.len(), self.last_at as usize), "entries fill the bytes");
        assert_eq!((live, deleted), (self.live, self.deleted));
        assert!(live > 0, "a node goes with its last entry");
        assert_eq!(live_at, self.live_at as usize);
        assert_eq!(listpack, self.listpack as usize);
    }
}

/// Makes a node of entries that come from a file.
#[derive(Debug)]
pub struct NodeBuilder {
    node: Node,
    names_len: usize,
    last: Option<StreamId>,
    is_ordered: bool,
}

impl NodeBuilder {
    /// A node with this id, to which those of its entries are relative, and with these names of fields.
    /// It is going to have about so many bytes.
    pub fn new<'f>(first: StreamId, names: impl ExactSizeIterator<Item = Element<'f>>, bytes: usize) -> Self {
        let names_len = names.len();
        Self { node: Node::with_names(first, names, bytes), names_len, last: None, is_ordered: true }
    }

    /// How many names of fields the node has.
    pub fn names_len(&self) -> usize {
        self.names_len
    }

    /// Adds an entry of `len` fields. `encoded` are their values as elements in their shortest form, behind each other; or names and
    /// values in turn, unless the entry has the `same` names as the node. `listpack` is the size of these elements in a listpack.
    ///
    /// # Panics
    /// If the names are those of the node, and their number is another one.
    pub fn push_encoded(
        &mut self,
        id: StreamId,
        is_deleted: bool,
        same: bool,
        len: usize,
        encoded: &[u8],
        listpack: usize,
    ) {
        assert!(!same || len == self.names_len, "an entry has a value for each name");
        self.note(id);
        self.node.add_encoded(id, same, is_deleted, len, encoded, listpack);
    }

    fn note(&mut self, id: StreamId) {
        self.is_ordered &= self.last.map_or(id >= self.node.first, |last| id > last);
        self.last = Some(id);
    }

    /// The node, and the id of its last entry; none if no entry is left in it or the entries are not in order.
    pub(super) fn build(mut self) -> Option<(Node, StreamId)> {
        let last = self.last.filter(|_| self.is_ordered && self.node.live > 0)?;
        self.node.trim_room();
        Some((self.node, last))
    }
}

/// The integer at `at`, and where the next element begins. Whatever else stands there counts as 0.
#[inline]
fn read_integer(bytes: &[u8], at: usize) -> (i64, usize) {
    match Element::read(bytes, at) {
        (Element::Int(value), next) => (value, next),
        (Element::Bytes(_), next) => (0, next),
    }
}

/// The count at `at`, and where the next element begins.
#[inline]
fn read_count(bytes: &[u8], at: usize) -> (usize, usize) {
    let (count, next) = read_integer(bytes, at);
    (count as usize, next)
}
