//! Streams against a naive model.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::prng::Prng;
use crate::value::{Element, Limits};
use std::collections::BTreeMap;

/// Names and values of an entry.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn pairs_of(fields: Fields<'_>) -> Pairs {
    let text = |element: Element<'_>| element.text(&mut itoa::Buffer::new()).to_vec();
    let len = fields.len();
    let pairs: Pairs = fields.map(|(name, value)| (text(name), text(value))).collect();
    assert_eq!(pairs.len(), len);
    pairs
}

fn append(stream: &mut Stream, id: StreamId, pairs: &Pairs, limits: &Limits) {
    stream.entries.append(id, pairs.iter().map(|(name, value)| (&name[..], &value[..])), limits);
}

/// A stream beside a map of all its entries.
struct Pair {
    stream: Stream,
    model: BTreeMap<StreamId, Pairs>,
    limits: Limits,
    prng: Prng,
    added: u64,
    max_deleted: StreamId,
}

impl Pair {
    fn new(seed: u64, node_bytes: usize, node_entries: usize) -> Self {
        let limits = Limits { stream_node_bytes: node_bytes, stream_node_entries: node_entries, ..Limits::default() };
        let (stream, model) = Default::default();
        Self { stream, model, limits, prng: Prng::new(seed), added: 0, max_deleted: StreamId::MIN }
    }

    fn text(&mut self) -> Vec<u8> {
        match self.prng.below(6) {
            0 => self.prng.below(1000).to_string().into_bytes(),
            1 => (self.prng.next_u64() as i64).to_string().into_bytes(),
            2 => vec![b'x'; self.prng.below(300) as usize],
            _ => vec![b'a' + self.prng.below(3) as u8; self.prng.below(3) as usize],
        }
    }

    fn next_id(&mut self) -> StreamId {
        let last = self.stream.entries.last_id();
        match self.prng.below(4) {
            0 => StreamId::new(last.ms + 1 + self.prng.below(5), self.prng.below(3)),
            1 => StreamId::new(last.ms + self.prng.below(100_000), last.seq + 1),
            2 => StreamId::new(last.ms, last.seq + 1 + self.prng.below(300)),
            _ => last.next().unwrap(),
        }
    }

    fn add(&mut self) {
        let id = self.next_id();
        let mut pairs = vec![(b"a".to_vec(), self.text()), (b"12".to_vec(), self.text())];
        if self.prng.below(4) == 0 {
            let count = 1 + self.prng.below(4);
            pairs = (0..count).map(|_| (self.text(), self.text())).collect();
        }
        append(&mut self.stream, id, &pairs, &self.limits);
        self.model.insert(id, pairs);
        self.added += 1;
    }

    /// An id of an entry, or near one.
    fn some_id(&mut self) -> StreamId {
        let index = self.prng.below(self.model.len() as u64 + 2) as usize;
        let id = self.model.keys().nth(index).copied().unwrap_or(self.stream.entries.last_id());
        match self.prng.below(6) {
            0 => id.next().unwrap(),
            1 => id.previous().unwrap_or(id),
            2 => StreamId::new(id.ms, 0),
            _ => id,
        }
    }

    fn delete(&mut self) {
        let id = self.some_id();
        let there = self.model.remove(&id).is_some();
        assert_eq!(self.stream.entries.delete(id), there);
        if there {
            self.max_deleted = self.max_deleted.max(id);
        }
    }

    fn trim(&mut self) {
        let is_approximate = self.prng.below(2) == 0;
        let to = match self.prng.below(2) {
            0 => TrimTo::Length(self.prng.below(self.model.len() as u64 + 3)),
            _ => TrimTo::Id(self.some_id()),
        };
        let limit = if is_approximate { self.prng.below(3) * 5 } else { 0 };
        let trimmed = self.stream.entries.trim(&Trim { to, is_approximate, limit });
        let too_many = match to {
            TrimTo::Length(length) => (self.model.len() as u64).saturating_sub(length),
            TrimTo::Id(id) => self.model.range(..id).count() as u64,
        };
        assert!(limit == 0 || trimmed.count <= limit);
        assert!(if is_approximate { trimmed.count <= too_many } else { trimmed.count == too_many });
        if let Some(gone) = trimmed.gone {
            assert_eq!(gone.len() as u64, trimmed.count);
        }
        for _ in 0..trimmed.count {
            self.model.pop_first();
        }
    }

    fn compare_range(&mut self) {
        let (mut from, mut to) = (self.some_id(), self.some_id());
        if self.prng.below(4) == 0 {
            (from, to) = (StreamId::MIN, StreamId::MAX);
        }
        let expected: Vec<_> = match from <= to {
            true => self.model.range(from..=to).map(|(id, pairs)| (*id, pairs.clone())).collect(),
            false => Vec::new(),
        };
        for backward in [false, true] {
            let mut found: Vec<_> =
                self.stream.entries.range(from, to, backward).map(|(id, fields)| (id, pairs_of(fields))).collect();
            if backward {
                found.reverse();
            }
            assert_eq!(found, expected, "{from} {to} {backward}");
        }
        assert_eq!(self.stream.entries.find(from).map(pairs_of).as_ref(), self.model.get(&from));
    }

    fn check(&self) {
        let entries = &self.stream.entries;
        entries.check();
        assert_eq!(entries.len(), self.model.len());
        assert_eq!(entries.entries_added(), self.added);
        assert_eq!(entries.max_deleted_id(), self.max_deleted);
        assert_eq!(entries.last_live_id(), self.model.keys().last().copied().unwrap_or(StreamId::MIN));
        for node in entries.nodes() {
            assert!(
                self.limits.stream_node_entries == 0 || node.live() + node.deleted() <= self.limits.stream_node_entries
            );
        }
    }

    /// What a file holds of the stream, read again.
    fn written_and_read(&self) -> Stream {
        let mut read = Stream::default();
        for node in self.stream.entries.nodes() {
            let names: Vec<_> = node.names().collect();
            assert_eq!(names.len(), node.names_len());
            let mut builder = NodeBuilder::new(node.first_id(), names.into_iter(), 100);
            for entry in node.entries() {
                let mut elements = Vec::new();
                for (name, value) in entry.fields {
                    elements.extend((!entry.same_names).then_some(name));
                    elements.push(value);
                }
                let mut encoded = Vec::new();
                elements.iter().for_each(|element| element.write(&mut encoded));
                assert_eq!(encoded, entry.encoded);
                let listpack = elements.iter().map(Element::listpack_len).sum();
                let NodeEntry { id, is_deleted, same_names, len, .. } = entry;
                builder.push_encoded(id, is_deleted, same_names, len, &encoded, listpack);
            }
            assert!(read.entries.push_node(builder));
        }
        read.entries.set_last_id(self.stream.entries.last_id());
        read.entries.set_entries_added(self.stream.entries.entries_added());
        read.entries.set_max_deleted_id(self.stream.entries.max_deleted_id());
        read
    }
}

#[test]
fn is_a_map_of_entries() {
    for (seed, bytes, entries) in
        [(1, 0, 0), (2, 4096, 100), (3, 0, 1), (4, 0, 3), (5, 100, 0), (6, 300, 7), (7, 0, 200), (8, 1, 100)]
    {
        let mut pair = Pair::new(seed, bytes, entries);
        for step in 0..3000 {
            match pair.prng.below(20) {
                0..=11 => pair.add(),
                12..=16 => pair.delete(),
                17 if step % 5 == 0 => pair.trim(),
                _ => pair.compare_range(),
            }
            if step % 10 == 0 {
                pair.check();
            }
            if step % 500 == 0 {
                pair.written_and_read().entries.check();
                assert_eq!(pair.written_and_read(), pair.stream);
                assert_eq!(*pair.stream.copy(), pair.stream);
            }
        }
        let mut steps = 0;
        while !pair.stream.free_some(10) {
            steps += 1;
        }
        assert!(steps > 0 || entries == 0, "many nodes go in several steps");
        assert!(pair.stream.is_empty());
    }
}

#[test]
fn nodes_from_files_are_looked_at() {
    let node = |first: u64, ids: &[u64], is_deleted: bool| {
        let mut builder = NodeBuilder::new(StreamId::new(first, 0), [Element::Bytes(b"a")].into_iter(), 0);
        for &id in ids {
            builder.push_encoded(StreamId::new(id, 0), is_deleted, true, 1, &[1], 2);
        }
        builder
    };
    let mut entries = Entries::default();
    for (builder, is_good) in [
        (node(1, &[], false), false),
        (node(1, &[1], true), false),
        (node(1, &[1, 1], false), false),
        (node(5, &[4], false), false),
        (node(1, &[1, 2], false), true),
        (node(2, &[2], false), false),
        (node(3, &[3, 9], false), true),
        (node(8, &[10], false), false),
    ] {
        assert_eq!(entries.push_node(builder), is_good);
        entries.check();
    }
    assert_eq!((entries.len(), entries.last_id()), (4, StreamId::new(9, 0)));
}
