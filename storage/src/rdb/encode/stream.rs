//! Streams: nodes as listpacks, what the stream remembers, and its groups with what is pending in them.
//!
//! The parts come one after the other, none larger than a node.

use super::Encoder;
use crate::rdb::format::{NO_COUNT, NO_TIME, NODE_DELETED, NODE_SAME_NAMES};
use crate::rdb::listpack;
use crate::rdb::write::len;
use ringkey_core::value::stream::group::{Consumer, Delivery, Group};
use ringkey_core::value::stream::{Node, NodeEntry, Stream, StreamId};
use std::fmt;

/// What is written at a time.
pub enum Part<'a> {
    /// Entries that lie together.
    Node(&'a Node),
    /// Ids and counts that the stream remembers, and how many groups there are.
    Memory(&'a Stream),
    /// The head of a group.
    Group(&'a Group),
    /// An entry that is pending in the group.
    Pending(StreamId, Delivery),
    /// How many consumers follow.
    ConsumersOf(&'a Group),
    /// The head of a consumer.
    Consumer(&'a Consumer),
    /// An entry that the consumer has.
    PendingOfConsumer(StreamId),
}

/// The parts of a stream behind the count of its nodes.
pub struct Parts<'a>(Box<dyn Iterator<Item = Part<'a>> + 'a>);

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts")
    }
}

impl<'a> Parts<'a> {
    /// All of a stream.
    pub fn of(stream: &'a Stream) -> Self {
        let nodes = stream.entries.nodes().map(Part::Node);
        let memory = std::iter::once(Part::Memory(stream));
        Self(Box::new(nodes.chain(memory).chain(stream.groups.iter().flat_map(parts_of_group))))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        self.0.next()
    }
}

fn parts_of_group(group: &Group) -> impl Iterator<Item = Part<'_>> {
    let pending = group.pending(StreamId::MIN).map(|(id, delivery)| Part::Pending(id, delivery));
    let consumers = group.consumers().flat_map(|consumer| {
        let pending = consumer.pending(StreamId::MIN).map(Part::PendingOfConsumer);
        std::iter::once(Part::Consumer(consumer)).chain(pending)
    });
    std::iter::once(Part::Group(group)).chain(pending).chain(std::iter::once(Part::ConsumersOf(group))).chain(consumers)
}

/// An id as two numbers.
fn id(out: &mut Vec<u8>, id: StreamId) {
    len(out, id.ms);
    len(out, id.seq);
}

/// An id as bytes that are in its order.
fn raw_id(id: StreamId) -> [u8; 16] {
    let mut raw = [0; 16];
    raw[..8].copy_from_slice(&id.ms.to_be_bytes());
    raw[8..].copy_from_slice(&id.seq.to_be_bytes());
    raw
}

impl Encoder {
    pub(super) fn stream_part(&mut self, out: &mut Vec<u8>, part: Part<'_>) {
        match part {
            Part::Node(node) => self.stream_node(out, node),
            Part::Memory(Stream { entries, groups }) => {
                len(out, entries.len() as u64);
                id(out, entries.last_id());
                id(out, entries.first_id());
                id(out, entries.max_deleted_id());
                len(out, entries.entries_added());
                len(out, groups.len() as u64);
            }
            Part::Group(group) => {
                self.strings.string(out, group.name());
                id(out, group.last_id);
                len(out, group.entries_read.unwrap_or(NO_COUNT));
                len(out, group.pending_len() as u64);
            }
            Part::Pending(id, delivery) => {
                out.extend_from_slice(&raw_id(id));
                out.extend_from_slice(&delivery.time.0.to_le_bytes());
                len(out, delivery.count);
            }
            Part::ConsumersOf(group) => len(out, group.consumers_len() as u64),
            Part::Consumer(consumer) => {
                self.strings.string(out, consumer.name());
                out.extend_from_slice(&consumer.seen.0.to_le_bytes());
                out.extend_from_slice(&consumer.active.map_or(NO_TIME, |at| at.0).to_le_bytes());
                len(out, consumer.pending_len() as u64);
            }
            Part::PendingOfConsumer(id) => out.extend_from_slice(&raw_id(id)),
        }
    }

    /// A node: its id, and a listpack of counts, the names that its entries share, and the entries.
    fn stream_node(&mut self, out: &mut Vec<u8>, node: &Node) {
        self.strings.string(out, &raw_id(node.first_id()));
        self.listpack(out, |blob| write_node(Written { blob, count: 0 }, node));
    }
}

/// Elements of a listpack, counted.
struct Written<'a> {
    blob: &'a mut Vec<u8>,
    count: usize,
}

impl Written<'_> {
    #[inline(always)]
    fn integer(&mut self, value: i64) {
        listpack::write_integer(self.blob, value);
        self.count += 1;
    }
}

/// Writes the elements of a node; how many are they?
fn write_node(mut to: Written<'_>, node: &Node) -> usize {
    let first = node.first_id();
    to.integer(node.live() as i64);
    to.integer(node.deleted() as i64);
    to.integer(node.names_len() as i64);
    for name in node.names() {
        listpack::write(to.blob, &name);
        to.count += 1;
    }
    to.integer(0);
    for NodeEntry { id, is_deleted, same_names, len, encoded, .. } in node.entries() {
        let from = to.count;
        to.integer(if same_names { NODE_SAME_NAMES } else { 0 } | if is_deleted { NODE_DELETED } else { 0 });
        to.integer(id.ms.wrapping_sub(first.ms) as i64);
        to.integer(id.seq.wrapping_sub(first.seq) as i64);
        if !same_names {
            to.integer(len as i64);
        }
        to.count += listpack::write_all(to.blob, encoded);
        // How many elements to skip on the way back.
        to.integer((to.count - from) as i64);
    }
    to.count
}
