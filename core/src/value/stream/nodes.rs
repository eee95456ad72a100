//! The nodes of a stream. The last one lies in the stream itself, because what is appended goes there; those before it are a
//! deque of chunks of nodes, so that growth copies the addresses of chunks only, and an id is found by halving.

use super::StreamId;
use super::node::Node;
use std::collections::VecDeque;

/// Most nodes of a chunk.
#[cfg(not(test))]
const CHUNK_NODES: usize = 128;
/// Small, so that tests of few entries have many chunks.
#[cfg(test)]
const CHUNK_NODES: usize = 4;

/// The place of a node. It holds until a node comes or goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The chunk; the one behind the last means the last node of all.
    chunk: usize,
    /// The node in it.
    node: usize,
}

/// All nodes of a stream, in the order of their ids.
#[derive(Debug, Clone, Default)]
pub(super) struct Nodes {
    /// None is empty.
    chunks: VecDeque<VecDeque<Node>>,
    /// There unless there is no node.
    last: Option<Node>,
    /// How many nodes lie in the chunks.
    older: usize,
}

impl PartialEq for Nodes {
    /// Are the nodes the same, in whatever chunks?
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Nodes {}

impl Nodes {
    /// How many nodes.
    pub fn len(&self) -> usize {
        self.older + usize::from(self.last.is_some())
    }

    /// The last node.
    #[inline]
    pub fn last(&self) -> Option<&Node> {
        self.last.as_ref()
    }

    /// The last node, to be changed.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut Node> {
        self.last.as_mut()
    }

    /// The first node.
    pub fn first(&self) -> Option<&Node> {
        self.chunks.front().and_then(VecDeque::front).or(self.last.as_ref())
    }

    /// The first node, to be changed.
    pub fn first_mut(&mut self) -> Option<&mut Node> {
        self.chunks.front_mut().and_then(VecDeque::front_mut).or(self.last.as_mut())
    }

    /// The second node.
    pub fn second(&self) -> Option<&Node> {
        self.first_place().and_then(|place| self.after(place)).map(|place| self.get(place))
    }

    /// Adds a node at the end. The one that was the last will not grow any more and gives back its room.
    pub fn push(&mut self, node: Node) {
        if let Some(mut old) = self.last.replace(node) {
            old.trim_room();
            self.push_older(old);
        }
    }

    /// Adds a node at the end, whatever room the one before it has: both are on their way out.
    pub fn push_as_is(&mut self, node: Node) {
        if let Some(old) = self.last.replace(node) {
            self.push_older(old);
        }
    }

    fn push_older(&mut self, node: Node) {
        match self.chunks.back_mut().filter(|chunk| chunk.len() < CHUNK_NODES) {
            Some(chunk) => chunk.push_back(node),
            None => self.chunks.push_back(VecDeque::from([node])),
        }
        self.older += 1;
    }

    /// Removes the first node.
    pub fn pop_first(&mut self) -> Option<Node> {
        let Some(chunk) = self.chunks.front_mut() else {
            return self.last.take();
        };
        let node = chunk.pop_front();
        self.older -= 1;
        if chunk.is_empty() {
            self.chunks.pop_front();
            self.shrink();
        }
        node
    }

    /// How many entries the first chunk holds, and the id of the node behind it; none if there is no chunk.
    pub fn first_chunk(&self) -> Option<(u64, StreamId)> {
        let chunk = self.chunks.front()?;
        let behind = self.chunks.get(1).and_then(VecDeque::front).or(self.last.as_ref())?;
        Some((chunk.iter().map(|node| node.live() as u64).sum(), behind.first_id()))
    }

    /// Moves the first chunk into `gone`, where order does not matter any more.
    pub fn move_chunk(&mut self, gone: &mut Self) {
        let Some(mut chunk) = self.chunks.pop_front() else { return };
        self.older -= chunk.len();
        self.shrink();
        if gone.last.is_none() {
            gone.last = chunk.pop_back();
        }
        gone.older += chunk.len();
        if !chunk.is_empty() {
            gone.chunks.push_back(chunk);
        }
    }

    /// Removes the last node.
    pub fn pop_last(&mut self) -> Option<Node> {
        let node = self.last.take();
        self.refill();
        node
    }

    /// Makes the node that comes last in the chunks the last one.
    fn refill(&mut self) {
        if self.last.is_none()
            && let Some(chunk) = self.chunks.back_mut()
        {
            self.last = chunk.pop_back();
            self.older -= 1;
            if chunk.is_empty() {
                self.chunks.pop_back();
            }
        }
    }

    /// Removes the node at a place.
    pub fn remove(&mut self, place: Place) -> Option<Node> {
        let Some(chunk) = self.chunks.get_mut(place.chunk) else {
            return self.pop_last();
        };
        let node = chunk.remove(place.node);
        self.older -= 1;
        if chunk.is_empty() {
            self.chunks.remove(place.chunk);
            self.shrink();
        } else {
            self.join_chunks(place.chunk);
        }
        node
    }

    /// Takes the next chunk into this one if both are small, so that removals in the midst leave few chunks.
    fn join_chunks(&mut self, at: usize) {
        let Some(next) = self.chunks.get(at + 1) else { return };
        if self.chunks[at].len() + next.len() <= CHUNK_NODES / 2
            && let Some(mut next) = self.chunks.remove(at + 1)
        {
            self.chunks[at].append(&mut next);
        }
    }

    /// Gives back room for chunks of which there are few left.
    fn shrink(&mut self) {
        if self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(2 * self.chunks.len());
        }
    }

    /// The place of the first node.
    pub fn first_place(&self) -> Option<Place> {
        (self.len() > 0).then_some(Place { chunk: 0, node: 0 })
    }

    /// The place of the last node.
    fn last_place(&self) -> Option<Place> {
        self.last.as_ref().map(|_| Place { chunk: self.chunks.len(), node: 0 })
    }

    /// The node at a place.
    #[inline]
    pub fn get(&self, place: Place) -> &Node {
        let node = match self.chunks.get(place.chunk) {
            Some(chunk) => chunk.get(place.node),
            None => self.last.as_ref(),
        };
        node.expect("a place is that of a node")
    }

    /// The node at a place, to be changed.
    pub fn get_mut(&mut self, place: Place) -> &mut Node {
        let node = match self.chunks.get_mut(place.chunk) {
            Some(chunk) => chunk.get_mut(place.node),
            None => self.last.as_mut(),
        };
        node.expect("a place is that of a node")
    }

    /// The place behind.
    pub fn after(&self, place: Place) -> Option<Place> {
        let chunk = self.chunks.get(place.chunk)?;
        if place.node + 1 < chunk.len() {
            return Some(Place { node: place.node + 1, ..place });
        }
        Some(Place { chunk: place.chunk + 1, node: 0 })
    }

    /// The place before.
    pub fn before(&self, place: Place) -> Option<Place> {
        if let Some(node) = place.node.checked_sub(1) {
            return Some(Place { node, ..place });
        }
        let chunk = place.chunk.checked_sub(1)?;
        Some(Place { chunk, node: self.chunks[chunk].len() - 1 })
    }

    /// The last node that does not begin behind an id: the one in which the id is if it is anywhere.
    #[inline]
    pub fn find(&self, id: StreamId) -> Option<Place> {
        if self.last.as_ref()?.first_id() <= id {
            return self.last_place();
        }
        let begins = |node: Option<&Node>| node.is_some_and(|node| node.first_id() <= id);
        let chunk = self.chunks.partition_point(|chunk| begins(chunk.front())).checked_sub(1)?;
        let node = self.chunks[chunk].partition_point(|node| begins(Some(node))) - 1;
        Some(Place { chunk, node })
    }

    /// All nodes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.chunks.iter().flatten().chain(&self.last)
    }

    /// The memory of the nodes in bytes, without what they hold.
    pub fn frame_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<VecDeque<Node>>()
            + self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<Node>()).sum::<usize>()
    }

    /// Is everything as it should be? For tests.
    #[cfg(test)]
    pub fn check(&self) {
        assert_eq!(self.older, self.chunks.iter().map(VecDeque::len).sum::<usize>());
        assert!(self.last.is_some() || self.older == 0, "the last node lies apart");
        for chunk in &self.chunks {
            assert!((1..=CHUNK_NODES).contains(&chunk.len()));
        }
        let (mut place, mut before) = (self.first_place(), None);
        for node in self.iter() {
            let at = place.expect("there are as many places as nodes");
            assert_eq!(self.get(at), node);
            assert_eq!(self.find(node.first_id()), Some(at));
            assert_eq!(self.before(at), before);
            (before, place) = (place, self.after(at));
        }
        assert_eq!((place, before), (None, self.last_place()));
    }
}
