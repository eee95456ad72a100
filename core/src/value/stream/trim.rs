//! Dropping the oldest entries. As in Valkey, whole nodes go, and inside a node entries are marked, unless the trimming is
//! to be approximate, which leaves the node as it is.

use super::nodes::Nodes;
use super::{Entries, StreamId};

/// What a stream is trimmed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimTo {
    /// So many entries.
    Length(u64),
    /// The entries from this id on.
    Id(StreamId),
}

/// How a stream is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// What to.
    pub to: TrimTo,
    /// Do only whole nodes go?
    pub is_approximate: bool,
    /// Most entries that may go; 0: any number.
    pub limit: u64,
}

/// What became of it.
#[derive(Debug)]
pub struct Trimmed {
    /// How many entries have gone.
    pub count: u64,
    /// Many nodes that have gone, for whoever frees them in steps.
    pub gone: Option<Box<super::Stream>>,
}

/// So many nodes may be freed at once.
const NODES_AT_ONCE: usize = 64;

impl Entries {
    /// Drops the oldest entries.
    pub fn trim(&mut self, trim: &Trim) -> Trimmed {
        let mut gone = Nodes::default();
        let mut count = self.trim_chunks(trim, &mut gone);
        while let Some(node) = self.nodes.first() {
            let live = node.live() as u64;
            let (goes, most, before) = match trim.to {
                TrimTo::Length(length) if self.len <= length => break,
                TrimTo::Length(length) => (self.len - live >= length, self.len - length, None),
                TrimTo::Id(id) => {
                    // The next node tells without a walk over this one.
                    let next_is_before = self.nodes.second().is_some_and(|next| next.first_id() <= id);
                    (next_is_before || node.ends_before(id), u64::MAX, Some(id))
                }
            };
            if trim.limit > 0 && count + live > trim.limit {
                break;
            }
            if goes {
                if let Some(node) = self.nodes.pop_first() {
                    gone.push_as_is(node);
                }
                self.len -= live;
                count += live;
                continue;
            }
            if !trim.is_approximate
                && let Some(node) = self.nodes.first_mut()
            {
                let marked = node.delete_front(most, before);
                self.len -= marked;
                count += marked;
            }
            break;
        }
        if count > 0 {
            self.find_first();
        }
        let gone = (gone.len() > NODES_AT_ONCE).then(|| {
            let mut stream = super::Stream::new();
            stream.entries.len = count;
            stream.entries.nodes = gone;
            stream
        });
        Trimmed { count, gone }
    }

    /// Moves chunks of nodes to `gone` as long as all of them are to go. The answer: how many entries they held.
    fn trim_chunks(&mut self, trim: &Trim, gone: &mut Nodes) -> u64 {
        let mut count = 0;
        while let Some((live, behind)) = self.nodes.first_chunk() {
            let goes = match trim.to {
                TrimTo::Length(length) => self.len - live >= length,
                TrimTo::Id(id) => behind <= id,
            };
            if !goes || trim.limit > 0 && count + live > trim.limit {
                break;
            }
            self.nodes.move_chunk(gone);
            self.len -= live;
            count += live;
        }
        count
    }
}
