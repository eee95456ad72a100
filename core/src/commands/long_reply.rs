//! Replies that tell a whole collection of many elements, piece by piece.
//!
//! A handler that finds that its reply would be long does not write it: it says how the collection is to be walked over
//! ([`super::Context::put_off`]). The core of the shard then holds a shared lock on the key and has pieces written as the
//! client reads them, so that nobody else waits for long, and memory holds no copy of the collection.

use crate::commands::hash::Part;
use crate::commands::list::reply_segments;
use crate::keyspace::{Cursor, EntryRef, Key, KeyHash, Shard};
use crate::resp::{Protocol, Reply, ReplyBuffer};
use crate::units::{DbIndex, Millis};
use crate::value::hash::{BEFORE_ALL, HashRef};
use crate::value::list::ListRef;
use crate::value::set::SetRef;
use std::ops::Range;

/// A piece has about so many elements at most: some 100 microseconds.
const PIECE_ELEMENTS: usize = 1024;

/// A piece that has reached this size gets nothing more, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// So many elements are written between two looks at the size.
const STEP_ELEMENTS: usize = 128;

/// How a collection is walked over, and how far that has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Walk {
    /// These elements of a list.
    List(Range<usize>),
    /// The members of a large set, from here on.
    Members(Cursor),
    /// The fields of a large hash of which none expires, from here on, and what is shown of them.
    Fields(Cursor, Part),
}

/// What became of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece {
    /// There are more.
    More,
    /// It was the last one.
    Last,
    /// The collection is not what it was when the reply began, against all locks: the reply cannot be ended.
    Lost,
}

/// A reply under way.
#[derive(Debug)]
pub struct LongReply {
    db: DbIndex,
    key: Box<[u8]>,
    hash: KeyHash,
    protocol: Protocol,
    walk: Walk,
    has_head: bool,
    /// When the time of the key passes.
    pub expire_at: Option<Millis>,
}

impl LongReply {
    /// A reply of which nothing is written, about a key that is there.
    pub fn new(shard: &Shard, db: DbIndex, name: &[u8], protocol: Protocol, walk: Walk) -> Self {
        let key = shard.key(name);
        let expire_at = shard.database(db).find(&key).and_then(|entry| entry.expire_at());
        Self { db, key: name.into(), hash: key.hash, protocol, walk, has_head: false, expire_at }
    }

    /// The database and the hash of the key.
    pub fn place(&self) -> (DbIndex, KeyHash) {
        (self.db, self.hash)
    }

    /// Writes the next piece.
    pub fn write_piece(&mut self, shard: &Shard, out: &mut ReplyBuffer) -> Piece {
        let key = Key { bytes: &self.key, hash: self.hash };
        let Some(entry) = shard.database(self.db).find(&key) else { return Piece::Lost };
        let mut reply = Reply::new(out, self.protocol);
        if !std::mem::replace(&mut self.has_head, true) {
            self.walk.write_head(&entry, &mut reply);
        }
        let before = reply.buffer().len();
        let mut written = 0;
        while written < PIECE_ELEMENTS && reply.buffer().len() - before < PIECE_BYTES {
            match self.walk.write_step(&entry, &mut reply, &mut written) {
                Piece::More => {}
                end => return end,
            }
        }
        Piece::More
    }
}

impl Walk {
    fn write_head(&self, entry: &EntryRef<'_>, reply: &mut Reply<'_>) {
        match self {
            Self::List(range) => reply.array(range.len()),
            Self::Members(_) => reply.set(SetRef::of(entry).map_or(0, SetRef::len)),
            Self::Fields(_, part) => part.reply_head(reply, HashRef::of(entry.value()).map_or(0, HashRef::len)),
        }
    }

    /// Writes some elements and adds their number to `written`.
    fn write_step(&mut self, entry: &EntryRef<'_>, reply: &mut Reply<'_>, written: &mut usize) -> Piece {
        match self {
            Self::List(range) => {
                let Some(list) = ListRef::of(entry).filter(|list| range.end <= list.len()) else { return Piece::Lost };
                let step = range.start..range.end.min(range.start + STEP_ELEMENTS);
                range.start = step.end;
                *written += step.len();
                reply_segments(reply, list.segments(step, false));
                if range.start == range.end { Piece::Last } else { Piece::More }
            }
            Self::Members(cursor) => {
                let Some(SetRef::Large(set)) = SetRef::of(entry) else { return Piece::Lost };
                let next = set.members().scan(*cursor, STEP_ELEMENTS, &mut |member| {
                    *written += 1;
                    reply.bulk(member.key());
                });
                follow(cursor, next)
            }
            Self::Fields(cursor, part) => {
                let Some(hash) = HashRef::of(entry.value()) else { return Piece::Lost };
                let next = hash.scan(*cursor, STEP_ELEMENTS, BEFORE_ALL, &mut |field, value| {
                    *written += 1;
                    part.reply(reply, &field, &value);
                });
                follow(cursor, next)
            }
        }
    }
}

/// Moves a cursor to where the walk goes on, if it does.
fn follow(cursor: &mut Cursor, next: Option<Cursor>) -> Piece {
    match next {
        Some(next) => {
            *cursor = next;
            Piece::More
        }
        None => Piece::Last,
    }
}
