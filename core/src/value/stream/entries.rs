//! The entries of a stream, and what it remembers of entries that are gone.

use super::StreamId;
use super::node::{Fields, Node, NodeBuilder};
use super::nodes::{Nodes, Place};
use super::radix::tree_nodes;
use crate::value::Limits;

/// Names and values of an entry together have at most so many bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 30;

/// The entries of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    pub(super) nodes: Nodes,
    pub(super) len: u64,
    /// The id of the first entry; 0-0 if there is none.
    first_id: StreamId,
    /// The largest id that was ever given, or set by XSETID.
    last_id: StreamId,
    /// The largest id among entries that were deleted.
    max_deleted_id: StreamId,
    /// How many entries were ever added.
    entries_added: u64,
}

impl Entries {
    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Is there no entry?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first entry; 0-0 if there is none.
    #[inline]
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The id of the first node, which is the one of an entry that may be deleted; none if there is no entry.
    pub fn first_node_id(&self) -> Option<StreamId> {
        self.nodes.first().map(Node::first_id)
    }

    /// The largest id that was ever given, or set by XSETID.
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The id of the last entry; 0-0 if there is none.
    pub fn last_live_id(&self) -> StreamId {
        if let Some(id) = self.nodes.last().and_then(Node::last_live) {
            return id;
        }
        self.range(StreamId::MIN, StreamId::MAX, true).next().map_or(StreamId::MIN, |(id, _)| id)
    }

    /// The largest id among entries that XDEL has deleted.
    #[inline]
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries were ever added.
    #[inline]
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Sets the largest id that counts as given. The next entry gets a larger one, so it must not be smaller than that of any entry.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.last_id = id;
    }

    /// Sets the largest id that counts as deleted.
    pub fn set_max_deleted_id(&mut self, id: StreamId) {
        self.max_deleted_id = id;
    }

    /// Sets how many entries count as ever added.
    pub fn set_entries_added(&mut self, count: u64) {
        self.entries_added = count;
    }

    /// Adds an entry. Its id is larger than all before, and it has at least one field; names and values have at most
    /// [`TEXT_BYTES_MAX`] in sum.
    #[inline]
    pub fn append<'f, P>(&mut self, id: StreamId, pairs: P, limits: &Limits)
    where
        P: ExactSizeIterator<Item = (&'f [u8], &'f [u8])> + Clone,
    {
        assert!(id > self.last_id, "ids ascend");
        let text_bytes: usize = pairs.clone().map(|(name, value)| name.len() + value.len()).sum();
        assert!(text_bytes <= TEXT_BYTES_MAX, "an entry is bounded");
        match self.nodes.last_mut() {
            Some(node) if node.has_room(text_bytes, limits) => node.push(id, pairs),
            last => {
                // Nodes are likely to be alike in size.
                let room = last.map_or(text_bytes, |node| node.bytes_len() + node.bytes_len() / 16);
                self.nodes.push(Node::of(id, pairs, room.max(text_bytes)));
            }
        }
        self.len += 1;
        // XSETID sets it to anything.
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
    }

    /// The entries from `from` to `to`, both included, in order, or with `backward` the last one first.
    pub fn range(&self, from: StreamId, to: StreamId, backward: bool) -> Range<'_> {
        if backward { Range::backward(self, from, to) } else { Range::forward(self, from, to) }
    }

    /// How many entries there are from `from` to `to`, both included.
    pub fn count(&self, from: StreamId, to: StreamId) -> usize {
        let first = self.nodes.find(from).or(self.nodes.first_place());
        let (Some(mut place), Some(last)) = (first, self.nodes.find(to)) else {
            return 0;
        };
        let mut count = self.nodes.get(place).places(from, to).len();
        while place != last
            && let Some(next) = self.nodes.after(place)
        {
            let node = self.nodes.get(next);
            count += if next == last { node.places(from, to).len() } else { node.live() };
            place = next;
        }
        count
    }

    /// The fields of an entry.
    pub fn find(&self, id: StreamId) -> Option<Fields<'_>> {
        self.range(id, id, false).next().map(|(_, fields)| fields)
    }

    /// Deletes an entry. The answer: was there one?
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some(place) = self.nodes.find(id) else {
            return false;
        };
        let node = self.nodes.get_mut(place);
        if !node.delete(id) {
            return false;
        }
        if node.live() == 0 {
            self.nodes.remove(place);
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    /// Finds out which entry is the first one now.
    pub(super) fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX, false).next();
        self.first_id = first.map_or(StreamId::MIN, |(id, _)| id);
    }

    /// The nodes, for whoever writes them to files.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// How many nodes there are.
    pub fn nodes_len(&self) -> usize {
        self.nodes.len()
    }

    /// How many nodes Valkey's radix tree over the nodes has.
    pub fn tree_nodes(&self) -> usize {
        tree_nodes(self.nodes.iter().map(Node::first_id))
    }

    /// Adds a node from a file behind all others. The ids and counts of the stream change with it, except for how many entries
    /// were ever added; set what else the file says afterwards. The answer: was it added? A node is
    /// refused that has no entry left or whose ids do not ascend, or do not come behind all others.
    #[must_use]
    pub fn push_node(&mut self, node: NodeBuilder) -> bool {
        let Some((node, last)) = node.build() else {
            return false;
        };
        if self.nodes.len() > 0 && node.first_id() <= self.last_id {
            return false;
        }
        self.len += node.live() as u64;
        self.last_id = last;
        self.nodes.push(node);
        if self.first_id == StreamId::MIN {
            self.find_first();
        }
        true
    }

    /// Frees about so many entries, but a node at least. The answer: is nothing left?
    pub fn free_some(&mut self, budget: usize) -> bool {
        let mut freed = 0;
        while freed < budget.max(1) {
            let Some(node) = self.nodes.pop_last() else {
                return true;
            };
            freed += node.live() + node.deleted();
            self.len = self.len.saturating_sub(node.live() as u64);
        }
        self.nodes.len() == 0
    }

    /// Memory in bytes, without `Entries` itself. So many nodes are measured and stand for all of them; 0: each.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let samples = if samples == 0 { usize::MAX } else { samples };
        let (mut bytes, mut seen) = (0, 0);
        for node in self.nodes.iter().take(samples) {
            bytes += node.memory_bytes();
            seen += 1;
        }
        let all = bytes as u128 * self.nodes.len() as u128 / seen.max(1);
        self.nodes.frame_bytes() + all as usize
    }

    /// Is everything as it should be? For tests.
    #[cfg(test)]
    pub fn check(&self) {
        self.nodes.check();
        let mut last = StreamId::MIN;
        let mut live = 0;
        for node in self.nodes() {
            node.check();
            for (index, entry) in node.entries().enumerate() {
                assert!(entry.id > last || entry.id == StreamId::MIN && live == 0, "ids ascend");
                assert!(index > 0 || entry.id == node.first_id());
                last = entry.id;
                live += u64::from(!entry.is_deleted);
            }
        }
        assert_eq!(live, self.len);
        assert!(last <= self.last_id);
        let first = self.range(StreamId::MIN, StreamId::MAX, false).next();
        assert_eq!(self.first_id, first.map_or(StreamId::MIN, |(id, _)| id));
    }
}

/// A walk over entries.
#[derive(Debug, Clone)]
pub struct Range<'a> {
    nodes: &'a Nodes,
    from: StreamId,
    to: StreamId,
    /// The node and its place; none when the walk is over.
    node: Option<(&'a Node, Place)>,
    /// Forward: where the next entry is searched.
    at: usize,
    /// Backward: where the entries of the node begin that are still to come.
    places: Vec<u32>,
    is_backward: bool,
}

impl<'a> Range<'a> {
    fn forward(entries: &'a Entries, from: StreamId, to: StreamId) -> Self {
        let nodes = &entries.nodes;
        let place = nodes.find(from).or(nodes.first_place());
        let node = place.map(|place| (nodes.get(place), place));
        let at = node.map_or(0, |(node, _)| node.seek(from));
        Self { nodes, from, to, node, at, places: Vec::new(), is_backward: false }
    }

    fn backward(entries: &'a Entries, from: StreamId, to: StreamId) -> Self {
        let nodes = &entries.nodes;
        let node = nodes.find(to).map(|place| (nodes.get(place), place));
        let places = node.map_or(Vec::new(), |(node, _)| node.places(from, to));
        Self { nodes, from, to, node, at: 0, places, is_backward: true }
    }

    #[inline]
    fn next_forward(&mut self) -> Option<(StreamId, Fields<'a>)> {
        loop {
            let (node, place) = self.node?;
            if let Some((id, fields, next)) = node.next_live(self.at) {
                if id > self.to {
                    self.node = None;
                    return None;
                }
                self.at = next;
                return Some((id, fields));
            }
            self.node = self.nodes.after(place).map(|place| (self.nodes.get(place), place));
            self.at = self.node.map_or(0, |(node, _)| node.seek(self.from));
        }
    }

    fn next_backward(&mut self) -> Option<(StreamId, Fields<'a>)> {
        loop {
            let (node, place) = self.node?;
            if let Some(at) = self.places.pop() {
                return node.next_live(at as usize).map(|(id, fields, _)| (id, fields));
            }
            self.node = None;
            if node.first_id() > self.from {
                self.node = self.nodes.before(place).map(|place| (self.nodes.get(place), place));
            }
            if let Some((node, _)) = self.node {
                self.places = node.places(self.from, self.to);
            }
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = (StreamId, Fields<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_backward { self.next_backward() } else { self.next_forward() }
    }
}
