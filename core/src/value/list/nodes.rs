//! The nodes of a list. The outermost two lie in the list itself, because most commands want them and nothing else; those
//! between them are a deque of chunks of nodes, so that growth copies pointers to chunks only, and a place in the midst is
//! found by the sums of the chunks.

use super::End;
use super::node::Node;
use std::collections::VecDeque;

/// Most nodes of a chunk. With fewer the deque of chunks of millions of nodes would be long to copy when it grows.
#[cfg(not(test))]
const CHUNK_NODES: usize = 256;
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

/// The nodes between the outermost two.
#[derive(Debug, Clone, Default)]
struct Middle {
    /// None is empty.
    chunks: VecDeque<Chunk>,
    nodes: usize,
}

/// The place of a node. It holds until a node before it, or the last node, comes or goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The first one.
    Front,
    /// In the midst.
    Midst {
        /// The chunk.
        chunk: usize,
        /// The node in it.
        node: usize,
    },
    /// The last one, if it is not the first.
    Back,
}

/// All nodes of a list.
#[derive(Debug, Clone, Default)]
pub(super) struct Nodes {
    /// There unless there is no node.
    front: Option<Node>,
    /// There if there are two or more.
    back: Option<Node>,
    /// There from three on; it stays when it is empty.
    middle: Option<Box<Middle>>,
    elements: usize,
}

impl Middle {
    /// Adds a node at an end.
    fn push(&mut self, end: End, node: Node) {
        let elements = node.count();
        let chunk = match end {
            End::Head => self.chunks.front(),
            End::Tail => self.chunks.back(),
        };
        if chunk.is_none_or(|chunk| chunk.nodes.len() == CHUNK_NODES) {
            match end {
                End::Head => self.chunks.push_front(Chunk::default()),
                End::Tail => self.chunks.push_back(Chunk::default()),
            }
        }
        let at = if end == End::Head { 0 } else { self.chunks.len() - 1 };
        let chunk = &mut self.chunks[at];
        match end {
            End::Head => chunk.nodes.push_front(node),
            End::Tail => chunk.nodes.push_back(node),
        }
        chunk.elements += elements;
        self.nodes += 1;
    }

    /// Removes the node at an end.
    fn pop(&mut self, end: End) -> Option<Node> {
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
        self.nodes -= 1;
        if chunk.nodes.is_empty() {
            self.chunks.remove(at);
        }
        Some(node)
    }

    /// The place of the outermost node.
    fn end(&self, end: End) -> Option<Place> {
        let chunk = match end {
            End::Head => 0,
            End::Tail => self.chunks.len().checked_sub(1)?,
        };
        let last = self.chunks.get(chunk)?.nodes.len() - 1;
        Some(Place::Midst { chunk, node: if end == End::Head { 0 } else { last } })
    }

    /// The place behind.
    fn after(&self, chunk: usize, node: usize) -> Option<Place> {
        if node + 1 < self.chunks[chunk].nodes.len() {
            return Some(Place::Midst { chunk, node: node + 1 });
        }
        (chunk + 1 < self.chunks.len()).then_some(Place::Midst { chunk: chunk + 1, node: 0 })
    }

    /// The place before.
    fn before(&self, chunk: usize, node: usize) -> Option<Place> {
        if let Some(node) = node.checked_sub(1) {
            return Some(Place::Midst { chunk, node });
        }
        let chunk = chunk.checked_sub(1)?;
        Some(Place::Midst { chunk, node: self.chunks[chunk].nodes.len() - 1 })
    }

    /// Where the element is that has `left` others of these nodes before it (behind it, from the tail): its node, and how
    /// many of them are in the same.
    fn find(&self, mut left: usize, from: End) -> Option<(Place, usize)> {
        let (chunk, node);
        if from == End::Head {
            chunk = self.chunks.iter().position(|chunk| skip(&mut left, chunk.elements))?;
            node = self.chunks[chunk].nodes.iter().position(|node| skip(&mut left, node.count()))?;
        } else {
            chunk = self.chunks.iter().rposition(|chunk| skip(&mut left, chunk.elements))?;
            node = self.chunks[chunk].nodes.iter().rposition(|node| skip(&mut left, node.count()))?;
        }
        Some((Place::Midst { chunk, node }, left))
    }

    /// Puts a node beside another one. The answer: the places of both.
    fn insert(&mut self, mut chunk: usize, mut beside: usize, side: End, node: Node) -> (Place, Place) {
        if self.chunks[chunk].nodes.len() == CHUNK_NODES {
            self.split_chunk(chunk);
            if beside >= CHUNK_NODES / 2 {
                (chunk, beside) = (chunk + 1, beside - CHUNK_NODES / 2);
            }
        }
        let target = &mut self.chunks[chunk];
        target.elements += node.count();
        self.nodes += 1;
        let at = if side == End::Head { beside } else { beside + 1 };
        target.nodes.insert(at, node);
        let old = if side == End::Head { beside + 1 } else { beside };
        (Place::Midst { chunk, node: old }, Place::Midst { chunk, node: at })
    }

    fn split_chunk(&mut self, at: usize) {
        let chunk = &mut self.chunks[at];
        let nodes = chunk.nodes.split_off(CHUNK_NODES / 2);
        let elements = nodes.iter().map(Node::count).sum();
        chunk.elements -= elements;
        self.chunks.insert(at + 1, Chunk { nodes, elements });
    }

    /// Removes a node; the second answer is the place of the one that follows.
    fn remove(&mut self, chunk: usize, at: usize) -> (Node, Option<Place>) {
        let target = &mut self.chunks[chunk];
        let node = target.nodes.remove(at).expect("a place is that of a node");
        target.elements -= node.count();
        self.nodes -= 1;
        if target.nodes.is_empty() {
            self.chunks.remove(chunk);
            return (node, (chunk < self.chunks.len()).then_some(Place::Midst { chunk, node: 0 }));
        }
        self.join_chunks(chunk);
        if at < self.chunks[chunk].nodes.len() {
            return (node, Some(Place::Midst { chunk, node: at }));
        }
        (node, (chunk + 1 < self.chunks.len()).then_some(Place::Midst { chunk: chunk + 1, node: 0 }))
    }

    /// Takes the next chunk into this one if both are small, so that removals in the midst leave few chunks.
    fn join_chunks(&mut self, at: usize) {
        let sum = |a: &Chunk, b: &Chunk| a.nodes.len() + b.nodes.len();
        if self.chunks.get(at + 1).is_some_and(|next| sum(&self.chunks[at], next) <= CHUNK_NODES / 2)
            && let Some(mut next) = self.chunks.remove(at + 1)
        {
            self.chunks[at].nodes.append(&mut next.nodes);
            self.chunks[at].elements += next.elements;
        }
    }

    /// Removes a whole chunk at an end if it has at most so many elements.
    fn pop_chunk(&mut self, end: End, most: usize) -> Option<Chunk> {
        let chunk = match end {
            End::Head => self.chunks.front(),
            End::Tail => self.chunks.back(),
        };
        if chunk?.elements > most {
            return None;
        }
        let chunk = match end {
            End::Head => self.chunks.pop_front(),
            End::Tail => self.chunks.pop_back(),
        }?;
        self.nodes -= chunk.nodes.len();
        Some(chunk)
    }
}

impl Nodes {
    /// How many nodes.
    pub fn len(&self) -> usize {
        usize::from(self.front.is_some())
            + usize::from(self.back.is_some())
            + self.middle.as_ref().map_or(0, |middle| middle.nodes)
    }

    /// The node, if there is only one.
    #[inline]
    pub fn only(&self) -> Option<&Node> {
        if self.back.is_none() { self.front.as_ref() } else { None }
    }

    /// How many elements.
    #[inline]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The node at an end.
    #[inline]
    pub fn end(&self, end: End) -> Option<&Node> {
        match (end, &self.back) {
            (End::Tail, Some(back)) => Some(back),
            _ => self.front.as_ref(),
        }
    }

    /// Changes the node at an end; none may become empty.
    #[inline]
    pub fn edit_end<R>(&mut self, end: End, change: impl FnOnce(&mut Node) -> R) -> Option<R> {
        let node = match (end, &mut self.back) {
            (End::Tail, Some(back)) => back,
            _ => self.front.as_mut()?,
        };
        let before = node.count();
        let answer = change(node);
        self.elements = self.elements + node.count() - before;
        Some(answer)
    }

    /// Adds a node at an end. The one that was there is trimmed: it will not grow for now.
    pub fn push(&mut self, end: End, node: Node) {
        self.elements += node.count();
        let Some(front) = &mut self.front else {
            self.front = Some(node);
            return;
        };
        match (end, &mut self.back) {
            (End::Head, _) => front.trim(),
            (End::Tail, Some(back)) => back.trim(),
            (End::Tail, None) => front.trim(),
        }
        match (end, self.back.is_some()) {
            (End::Head, true) => {
                let old = std::mem::replace(front, node);
                self.middle.get_or_insert_default().push(End::Head, old);
            }
            (End::Head, false) => self.back = self.front.replace(node),
            (End::Tail, _) => {
                if let Some(old) = self.back.replace(node) {
                    self.middle.get_or_insert_default().push(End::Tail, old);
                }
            }
        }
    }

    /// Removes the node at an end.
    pub fn pop(&mut self, end: End) -> Option<Node> {
        let node = match end {
            End::Tail if self.back.is_some() => self.back.take(),
            _ => self.front.take(),
        }?;
        self.elements -= node.count();
        self.refill();
        Some(node)
    }

    /// Puts the outermost two nodes back where they belong.
    fn refill(&mut self) {
        let mut middle = self.middle.as_mut();
        if self.front.is_none() {
            self.front = middle.as_mut().and_then(|middle| middle.pop(End::Head)).or_else(|| self.back.take());
        }
        if self.back.is_none() {
            self.back = middle.and_then(|middle| middle.pop(End::Tail));
        }
    }

    /// The place of the first node.
    pub fn first(&self) -> Option<Place> {
        self.front.as_ref().map(|_| Place::Front)
    }

    /// The place of the last node.
    pub fn last(&self) -> Option<Place> {
        if self.back.is_some() { Some(Place::Back) } else { self.first() }
    }

    fn back_place(&self) -> Option<Place> {
        self.back.as_ref().map(|_| Place::Back)
    }

    fn midst(&self) -> &Middle {
        self.middle.as_ref().expect("a place in the midst is in a chunk")
    }

    fn midst_mut(&mut self) -> &mut Middle {
        self.middle.as_mut().expect("a place in the midst is in a chunk")
    }

    /// The place behind.
    pub fn after(&self, place: Place) -> Option<Place> {
        match place {
            Place::Front => self.middle.as_ref().and_then(|middle| middle.end(End::Head)).or(self.back_place()),
            Place::Midst { chunk, node } => self.midst().after(chunk, node).or(self.back_place()),
            Place::Back => None,
        }
    }

    /// The place before.
    pub fn before(&self, place: Place) -> Option<Place> {
        match place {
            Place::Front => None,
            Place::Midst { chunk, node } => self.midst().before(chunk, node).or(Some(Place::Front)),
            Place::Back => self.middle.as_ref().and_then(|middle| middle.end(End::Tail)).or(Some(Place::Front)),
        }
    }

    /// The node at a place.
    pub fn get(&self, place: Place) -> &Node {
        let node = match place {
            Place::Front => self.front.as_ref(),
            Place::Midst { chunk, node } => self.midst().chunks[chunk].nodes.get(node),
            Place::Back => self.back.as_ref(),
        };
        node.expect("a place is that of a node")
    }

    /// The node at a place, if there is one.
    pub fn get_at(&self, place: Option<Place>) -> Option<&Node> {
        place.map(|place| self.get(place))
    }

    /// Changes the node at a place; it must not become empty.
    pub fn edit<R>(&mut self, place: Place, change: impl FnOnce(&mut Node) -> R) -> R {
        let Place::Midst { chunk, node } = place else {
            let end = if place == Place::Front { End::Head } else { End::Tail };
            return self.edit_end(end, change).expect("a place is that of a node");
        };
        let chunk = &mut self.midst_mut().chunks[chunk];
        let node = &mut chunk.nodes[node];
        let before = node.count();
        let answer = change(node);
        let after = node.count();
        chunk.elements = chunk.elements + after - before;
        self.elements = self.elements + after - before;
        answer
    }

    /// Where element `index` is: its node, and its index there.
    pub fn find(&self, index: usize) -> Option<(Place, usize)> {
        let behind = self.elements.checked_sub(index)?.checked_sub(1)?;
        let (first, last) = (self.front.as_ref()?.count(), self.back.as_ref().map_or(0, Node::count));
        if index < first {
            return Some((Place::Front, index));
        }
        if behind < last {
            return Some((Place::Back, last - 1 - behind));
        }
        let middle = self.middle.as_ref()?;
        if index - first <= behind - last {
            return middle.find(index - first, End::Head);
        }
        let (place, left) = middle.find(behind - last, End::Tail)?;
        Some((place, self.get(place).count() - 1 - left))
    }

    /// Puts a node before (`Head`) or behind (`Tail`) the one at `place`. The answer: the places of both.
    pub fn insert(&mut self, place: Place, side: End, node: Node) -> (Place, Place) {
        let Place::Midst { chunk, node: at } = place else {
            return self.insert_outside(place, side, node);
        };
        self.elements += node.count();
        self.midst_mut().insert(chunk, at, side, node)
    }

    /// The same beside the first or the last node.
    fn insert_outside(&mut self, place: Place, side: End, node: Node) -> (Place, Place) {
        match (place, side) {
            (Place::Front, End::Tail) if self.back.is_some() => {
                self.elements += node.count();
                self.middle.get_or_insert_default().push(End::Head, node);
                (place, Place::Midst { chunk: 0, node: 0 })
            }
            (Place::Back, End::Head) => {
                self.elements += node.count();
                self.middle.get_or_insert_default().push(End::Tail, node);
                (place, self.before(place).expect("a node was put there"))
            }
            (Place::Front, End::Head) => {
                self.push(End::Head, node);
                (self.after(Place::Front).expect("the node that was first"), Place::Front)
            }
            _ => {
                self.push(End::Tail, node);
                (self.before(Place::Back).expect("the node that was last"), Place::Back)
            }
        }
    }

    /// Removes the node at `place`. The second answer is the place of the one that follows; places before stay, except that
    /// the node that becomes the last one has the last place.
    pub fn remove(&mut self, place: Place) -> (Node, Option<Place>) {
        let Place::Midst { chunk, node } = place else {
            let end = if place == Place::Front { End::Head } else { End::Tail };
            let node = self.pop(end).expect("a place is that of a node");
            return (node, if end == End::Head { self.first() } else { None });
        };
        let (node, next) = self.midst_mut().remove(chunk, node);
        self.elements -= node.count();
        (node, next.or(self.back_place()))
    }

    /// Moves whole nodes from an end to `gone`, the outermost first, while they hold no more than `elements` in sum. The
    /// answer: how many of these are still to go.
    pub fn cut(&mut self, end: End, mut elements: usize, gone: &mut Nodes) -> usize {
        while let Some(node) = self.end(end)
            && node.count() <= elements
        {
            let outermost = match end {
                End::Tail if self.back.is_some() => self.back.take(),
                _ => self.front.take(),
            };
            let mut moved = outermost.map_or(0, |node| {
                let count = node.count();
                gone.push(End::Tail, node);
                count
            });
            while let Some(middle) = &mut self.middle
                && let Some(chunk) = middle.pop_chunk(end, elements - moved)
            {
                moved += chunk.elements;
                gone.absorb(chunk);
            }
            elements -= moved;
            self.elements -= moved;
            self.refill();
        }
        elements
    }

    /// Adds the nodes of a chunk, anywhere.
    fn absorb(&mut self, chunk: Chunk) {
        if self.back.is_none() {
            chunk.nodes.into_iter().for_each(|node| self.push(End::Tail, node));
            return;
        }
        self.elements += chunk.elements;
        let middle = self.middle.get_or_insert_default();
        middle.nodes += chunk.nodes.len();
        middle.chunks.push_back(chunk);
    }

    /// The memory of the nodes in bytes, without what they hold.
    pub fn frame_bytes(&self) -> usize {
        self.middle.as_ref().map_or(0, |middle| {
            let nodes = |chunk: &Chunk| chunk.nodes.capacity() * size_of::<Node>();
            size_of::<Middle>()
                + middle.chunks.capacity() * size_of::<Chunk>()
                + middle.chunks.iter().map(nodes).sum::<usize>()
        })
    }

    /// Are the sums true? For tests.
    #[cfg(test)]
    pub fn check(&self) {
        let (mut nodes, mut elements) = (0, 0);
        let mut place = self.first();
        while let Some(at) = place {
            if let Some(packed) = self.get(at).packed() {
                packed.check();
            }
            nodes += 1;
            elements += self.get(at).count();
            assert_eq!(self.after(at).and_then(|next| self.before(next)), self.after(at).map(|_| at));
            place = self.after(at);
        }
        assert_eq!((nodes, elements), (self.len(), self.elements));
        assert_eq!(self.back.is_some(), nodes > 1, "two nodes are the outermost");
        for chunk in self.middle.iter().flat_map(|middle| &middle.chunks) {
            assert!((1..=CHUNK_NODES).contains(&chunk.nodes.len()));
            assert_eq!(chunk.elements, chunk.nodes.iter().map(Node::count).sum::<usize>());
        }
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
