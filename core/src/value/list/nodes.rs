//! The nodes of a list: a deque of chunks of nodes, so that growth copies pointers to chunks only, and a place in the
//! middle is found by the sums of the chunks.

use super::End;
use super::node::Node;
use std::collections::VecDeque;

/// Most nodes of a chunk.
#[cfg(not(test))]
const CHUNK_NODES: usize = 128;
/// Small, so that tests of few elements have many chunks.
#[cfg(test)]
const CHUNK_NODES: usize = 4;

/// Nodes that follow each other.
#[derive(Debug, Clone, Default)]
struct Chunk {
    nodes: VecDeque<Node>,
    /// How many elements they hold.
    elements: usize,
}

/// The place of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    chunk: usize,
    node: usize,
}

/// All nodes of a list.
#[derive(Debug, Clone, Default)]
pub(super) struct Nodes {
    chunks: VecDeque<Chunk>,
    nodes: usize,
    elements: usize,
}

impl Nodes {
    /// How many nodes.
    #[inline]
    pub fn len(&self) -> usize {
        self.nodes
    }

    /// How many elements.
    #[inline]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The node at an end.
    #[inline]
    pub fn end(&self, end: End) -> Option<&Node> {
        match end {
            End::Head => self.chunks.front()?.nodes.front(),
            End::Tail => self.chunks.back()?.nodes.back(),
        }
    }

    /// Changes the node at an end; none may become empty.
    #[inline]
    pub fn edit_end<R>(&mut self, end: End, change: impl FnOnce(&mut Node) -> R) -> Option<R> {
        let chunk = match end {
            End::Head => self.chunks.front_mut()?,
            End::Tail => self.chunks.back_mut()?,
        };
        let node = match end {
            End::Head => chunk.nodes.front_mut()?,
            End::Tail => chunk.nodes.back_mut()?,
        };
        let before = node.count();
        let answer = change(node);
        let after = node.count();
        chunk.elements = chunk.elements + after - before;
        self.elements = self.elements + after - before;
        Some(answer)
    }

    /// Adds a node at an end. The one that was there is trimmed: it will not grow for now.
    pub fn push(&mut self, end: End, node: Node) {
        self.edit_end(end, Node::trim);
        let is_full = |chunk: Option<&Chunk>| chunk.is_none_or(|chunk| chunk.nodes.len() == CHUNK_NODES);
        let (count, chunks) = (node.count(), &mut self.chunks);
        let chunk = match end {
            End::Head => {
                if is_full(chunks.front()) {
                    chunks.push_front(Chunk::default());
                }
                &mut chunks[0]
            }
            End::Tail => {
                if is_full(chunks.back()) {
                    chunks.push_back(Chunk::default());
                }
                let last = chunks.len() - 1;
                &mut chunks[last]
            }
        };
        match end {
            End::Head => chunk.nodes.push_front(node),
            End::Tail => chunk.nodes.push_back(node),
        }
        chunk.elements += count;
        self.elements += count;
        self.nodes += 1;
    }

    /// Removes the node at an end.
    pub fn pop(&mut self, end: End) -> Option<Node> {
        let at = match end {
            End::Head => 0,
            End::Tail => self.chunks.len().checked_sub(1)?,
        };
        let chunk = self.chunks.get_mut(at)?;
        let node = match end {
            End::Head => chunk.nodes.pop_front()?,
            End::Tail => chunk.nodes.pop_back()?,
        };
        chunk.elements -= node.count();
        self.elements -= node.count();
        self.nodes -= 1;
        if chunk.nodes.is_empty() {
            self.chunks.remove(at);
        }
        Some(node)
    }

    /// The place of the first node.
    pub fn first(&self) -> Option<Place> {
        (self.nodes > 0).then_some(Place { chunk: 0, node: 0 })
    }

    /// The place of the last node.
    pub fn last(&self) -> Option<Place> {
        let chunk = self.chunks.len().checked_sub(1)?;
        Some(Place { chunk, node: self.chunks[chunk].nodes.len() - 1 })
    }

    /// The place behind.
    #[inline]
    pub fn after(&self, place: Place) -> Option<Place> {
        if place.node + 1 < self.chunks[place.chunk].nodes.len() {
            return Some(Place { node: place.node + 1, ..place });
        }
        let chunk = place.chunk + 1;
        (chunk < self.chunks.len()).then_some(Place { chunk, node: 0 })
    }

    /// The place before.
    #[inline]
    pub fn before(&self, place: Place) -> Option<Place> {
        if place.node > 0 {
            return Some(Place { node: place.node - 1, ..place });
        }
        let chunk = place.chunk.checked_sub(1)?;
        Some(Place { chunk, node: self.chunks[chunk].nodes.len() - 1 })
    }

    /// The node at a place.
    #[inline]
    pub fn get(&self, place: Place) -> &Node {
        &self.chunks[place.chunk].nodes[place.node]
    }

    /// The node at a place, if there is one.
    pub fn get_at(&self, place: Option<Place>) -> Option<&Node> {
        place.map(|place| self.get(place))
    }

    /// Changes the node at a place; the caller removes it if it is empty then.
    pub fn edit<R>(&mut self, place: Place, change: impl FnOnce(&mut Node) -> R) -> R {
        let chunk = &mut self.chunks[place.chunk];
        let node = &mut chunk.nodes[place.node];
        let before = node.count();
        let answer = change(node);
        let after = node.count();
        chunk.elements = chunk.elements + after - before;
        self.elements = self.elements + after - before;
        answer
    }

    /// Where element `index` is: its node, and its index there.
    pub fn find(&self, index: usize) -> Option<(Place, usize)> {
        if index >= self.elements {
            return None;
        }
        if index < self.elements / 2 {
            let mut left = index;
            let chunk = self.chunks.iter().position(|chunk| skip(&mut left, chunk.elements))?;
            let node = self.chunks[chunk].nodes.iter().position(|node| skip(&mut left, node.count()))?;
            return Some((Place { chunk, node }, left));
        }
        let mut left = self.elements - 1 - index;
        let chunk = self.chunks.iter().rposition(|chunk| skip(&mut left, chunk.elements))?;
        let node = self.chunks[chunk].nodes.iter().rposition(|node| skip(&mut left, node.count()))?;
        let place = Place { chunk, node };
        Some((place, self.get(place).count() - 1 - left))
    }

    /// Puts a node before (`Head`) or behind (`Tail`) the one at `place`. The answer: the places of both.
    pub fn insert(&mut self, mut place: Place, side: End, node: Node) -> (Place, Place) {
        if self.chunks[place.chunk].nodes.len() == CHUNK_NODES {
            self.split_chunk(place.chunk);
            if place.node >= CHUNK_NODES / 2 {
                place = Place { chunk: place.chunk + 1, node: place.node - CHUNK_NODES / 2 };
            }
        }
        let count = node.count();
        let chunk = &mut self.chunks[place.chunk];
        let at = match side {
            End::Head => place.node,
            End::Tail => place.node + 1,
        };
        chunk.nodes.insert(at, node);
        chunk.elements += count;
        self.elements += count;
        self.nodes += 1;
        if side == End::Head {
            place.node += 1;
        }
        (place, Place { node: at, ..place })
    }

    fn split_chunk(&mut self, at: usize) {
        let chunk = &mut self.chunks[at];
        let nodes = chunk.nodes.split_off(CHUNK_NODES / 2);
        let elements = nodes.iter().map(Node::count).sum();
        chunk.elements -= elements;
        self.chunks.insert(at + 1, Chunk { nodes, elements });
    }

    /// Removes the node at `place`; the answer is the place of the one that follows.
    pub fn remove(&mut self, place: Place) -> (Node, Option<Place>) {
        let chunk = &mut self.chunks[place.chunk];
        let node = chunk.nodes.remove(place.node).expect("a place is that of a node");
        chunk.elements -= node.count();
        self.elements -= node.count();
        self.nodes -= 1;
        if chunk.nodes.is_empty() {
            self.chunks.remove(place.chunk);
            let next = (place.chunk < self.chunks.len()).then_some(Place { node: 0, ..place });
            return (node, next);
        }
        self.join_chunks(place.chunk);
        let next = if place.node < self.chunks[place.chunk].nodes.len() {
            Some(place)
        } else {
            (place.chunk + 1 < self.chunks.len()).then_some(Place { chunk: place.chunk + 1, node: 0 })
        };
        (node, next)
    }

    /// Takes the next chunk into this one if both are small, so that removals in the middle leave few chunks.
    fn join_chunks(&mut self, at: usize) {
        let sum = |a: &Chunk, b: &Chunk| a.nodes.len() + b.nodes.len();
        if self.chunks.get(at + 1).is_some_and(|next| sum(&self.chunks[at], next) <= CHUNK_NODES / 2)
            && let Some(mut next) = self.chunks.remove(at + 1)
        {
            self.chunks[at].nodes.append(&mut next.nodes);
            self.chunks[at].elements += next.elements;
        }
    }

    /// Moves whole nodes from an end to `gone`, the outermost first, while they hold no more than `elements` in sum. The
    /// answer: how many of these are still to go.
    pub fn cut(&mut self, end: End, mut elements: usize, gone: &mut Nodes) -> usize {
        while let Some(node) = self.end(end) {
            let chunk = match end {
                End::Head => &self.chunks[0],
                End::Tail => &self.chunks[self.chunks.len() - 1],
            };
            let (chunk_elements, chunk_nodes) = (chunk.elements, chunk.nodes.len());
            if chunk_elements <= elements {
                let chunk = match end {
                    End::Head => self.chunks.pop_front(),
                    End::Tail => self.chunks.pop_back(),
                };
                elements -= chunk_elements;
                self.elements -= chunk_elements;
                self.nodes -= chunk_nodes;
                gone.elements += chunk_elements;
                gone.nodes += chunk_nodes;
                gone.chunks.extend(chunk);
            } else if node.count() <= elements {
                elements -= node.count();
                if let Some(node) = self.pop(end) {
                    gone.push(End::Tail, node);
                }
            } else {
                return elements;
            }
        }
        elements
    }

    /// The memory of the nodes in bytes, without what they hold.
    pub fn frame_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>()
            + self.chunks.iter().map(|chunk| chunk.nodes.capacity() * size_of::<Node>()).sum::<usize>()
    }

    /// Are the sums true? For tests.
    #[cfg(test)]
    pub fn check(&self) {
        let (mut nodes, mut elements) = (0, 0);
        for chunk in &self.chunks {
            assert!((1..=CHUNK_NODES).contains(&chunk.nodes.len()));
            assert_eq!(chunk.elements, chunk.nodes.iter().map(Node::count).sum::<usize>());
            for node in chunk.nodes.iter().filter_map(Node::packed) {
                node.check();
            }
            nodes += chunk.nodes.len();
            elements += chunk.elements;
        }
        assert_eq!((nodes, elements), (self.nodes, self.elements));
    }
}

/// Is what is left within the next `count`? If not, it goes past them.
#[inline]
fn skip(left: &mut usize, count: usize) -> bool {
    let within = *left < count;
    if !within {
        *left -= count;
    }
    within
}
