//! Replies that tell a whole collection of many elements, piece by piece.
//!
//! A handler that finds that its reply would be long does not write it: it says how the collection is to be walked over
//! ([`super::Context::put_off`]). The core of the shard then holds a shared lock on the key and has pieces written as the
//! client reads them, so that nobody else waits for long, and memory holds no copy of the collection.

use crate::commands::hash::Part;
use crate::commands::list::reply_segments;
use crate::commands::stream::ids::reply_entry;
use crate::commands::zset::{reply_head, reply_pair};
use crate::keyspace::{Cursor, EntryRef, Key, KeyHash, Shard, Value};
use crate::resp::{Protocol, Reply, ReplyBuffer};
use crate::units::{DbIndex, Millis};
use crate::value::hash::{BEFORE_ALL, HashRef};
use crate::value::list::ListRef;
use crate::value::set::SetRef;
use crate::value::stream::StreamId;
use crate::value::zset::SortedSetRef;
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
    /// Members of a sorted set.
    Ranks {
        /// Their ranks, counted from the lowest member.
        ranks: Range<usize>,
        /// Does the highest one come first?
        backwards: bool,
        /// Are their scores shown?
        with_scores: bool,
    },
    /// Entries of a stream.
    Entries {
        /// The smallest id that is still to come.
        from: StreamId,
        /// The largest one.
        to: StreamId,
        /// How many entries are.
        left: usize,
        /// Does the largest id come first?
        backward: bool,
    },
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
            Self::Ranks { ranks, with_scores, .. } => reply_head(reply, ranks.len(), *with_scores),
            Self::Fields(_, part) => part.reply_head(reply, HashRef::of(entry.value()).map_or(0, HashRef::len)),
            Self::Entries { left, .. } => reply.array(*left),
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
            Self::Ranks { ranks, backwards, with_scores } => {
                let set = SortedSetRef::of(entry).filter(|set| ranks.end <= set.len());
                let Some(set) = set else { return Piece::Lost };
                let count = ranks.len().min(STEP_ELEMENTS);
                let first = if *backwards { ranks.end - count } else { ranks.start };
                set.visit(first, count, *backwards, &mut |member, score| {
                    reply_pair(reply, member, score, *with_scores);
                });
                *ranks = if *backwards { ranks.start..first } else { first + count..ranks.end };
                *written += count;
                if ranks.start == ranks.end { Piece::Last } else { Piece::More }
            }
            Self::Fields(cursor, part) => {
                let Some(hash) = HashRef::of(entry.value()) else { return Piece::Lost };
                let next = hash.scan(*cursor, STEP_ELEMENTS, BEFORE_ALL, &mut |field, value| {
                    *written += 1;
                    part.reply(reply, &field, &value);
                });
                follow(cursor, next)
            }
            Self::Entries { .. } => self.write_entries(entry, reply, written),
        }
    }

    /// Writes some entries of a stream.
    fn write_entries(&mut self, entry: &EntryRef<'_>, reply: &mut Reply<'_>, written: &mut usize) -> Piece {
        let (Self::Entries { from, to, left, backward }, Value::Stream(stream)) = (self, entry.value()) else {
            return Piece::Lost;
        };
        let before = reply.buffer().len();
        let mut range = stream.entries.range(*from, *to, *backward);
        for _ in 0..STEP_ELEMENTS.min(*left) {
            let Some((id, fields)) = range.next() else { return Piece::Lost };
            *written += fields.len();
            *left -= 1;
            reply_entry(reply, id, fields);
            let next = if *backward { id.previous() } else { id.next() };
            match (next, *left) {
                (_, 0) => return Piece::Last,
                (None, _) => return Piece::Lost,
                (Some(next), _) => *(if *backward { &mut *to } else { &mut *from }) = next,
            }
            if reply.buffer().len() - before >= PIECE_BYTES {
                break;
            }
        }
        Piece::More
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::commands::harness::{Bench, handler};
    use crate::limits::LONG_REPLY_ELEMENTS_MIN;
    use crate::resp::Request;

    const COUNT: usize = LONG_REPLY_ELEMENTS_MIN + 1000;

    fn fill(bench: &mut Bench, command: &str, words: impl Fn(usize) -> String) {
        for start in (0..COUNT).step_by(1000) {
            let elements: Vec<String> = (start..COUNT.min(start + 1000)).map(&words).collect();
            bench.run(&format!("{command} {}", elements.join(" ")));
        }
    }

    fn bench() -> Bench {
        let mut bench = Bench::new();
        fill(&mut bench, "RPUSH list", |number| format!("e{number}"));
        fill(&mut bench, "SADD set", |number| format!("m{number}"));
        fill(&mut bench, "HSET hash", |number| format!("f{number} {number}"));
        fill(&mut bench, "ZADD zset", |number| format!("{} m{number}", number % 1000));
        bench
    }

    /// The whole reply, and how its walk begins if it is put off.
    fn replies(bench: &mut Bench, line: &str) -> (Vec<u8>, Option<Walk>) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let (request, protocol) = (Request::new(words.iter().copied()), bench.protocol);
        let (mut whole, mut nothing) = (ReplyBuffer::default(), ReplyBuffer::default());
        let run = handler(&words);
        run(&mut bench.context(), &request.args(), &mut Reply::new(&mut whole, protocol)).unwrap();
        let mut context = bench.context();
        context.may_put_off = true;
        run(&mut context, &request.args(), &mut Reply::new(&mut nothing, protocol)).unwrap();
        let walk = context.put_off.take().map(|walk| *walk);
        assert_eq!(nothing.is_empty(), walk.is_some(), "what is put off has written nothing");
        (whole.to_vec(), walk)
    }

    /// The pieces, together, and how many there were.
    fn pieces(bench: &Bench, key: &str, walk: Walk) -> (Vec<u8>, usize) {
        let mut reply = LongReply::new(&bench.shard, bench.db, key.as_bytes(), bench.protocol, walk);
        let (mut all, mut count) = (Vec::new(), 0);
        loop {
            let mut out = ReplyBuffer::default();
            let piece = reply.write_piece(&bench.shard, &mut out);
            assert!(out.len() < 2 * PIECE_BYTES, "{} bytes in a piece", out.len());
            all.extend(out.to_vec());
            count += 1;
            match piece {
                Piece::More => {}
                Piece::Last => return (all, count),
                Piece::Lost => panic!("nothing has changed"),
            }
        }
    }

    #[test]
    fn entries_of_a_stream_come_in_pieces() {
        let mut bench = Bench::new();
        for number in 0..COUNT {
            bench.run(&format!("XADD stream {number}-1 a {number} name value"));
        }
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            bench.protocol = protocol;
            for line in [
                "XRANGE stream - +",
                "XREVRANGE stream + -",
                "XRANGE stream (3-1 66000 COUNT 65600",
                "XREVRANGE stream 66000 8 COUNT 65600",
            ] {
                let (whole, walk) = replies(&mut bench, line);
                let (together, count) = pieces(&bench, "stream", walk.expect(line));
                assert!(together == whole && count > 50, "{line}: {count} pieces");
            }
        }
        for line in ["XRANGE stream - + COUNT 65535", "XRANGE stream 0 65000", "XRANGE none - +"] {
            assert_eq!(replies(&mut bench, line).1, None, "{line}");
        }
        let walk = replies(&mut bench, "XRANGE stream - +").1.unwrap();
        let mut reply = LongReply::new(&bench.shard, bench.db, b"stream", bench.protocol, walk);
        assert_eq!(reply.write_piece(&bench.shard, &mut ReplyBuffer::default()), Piece::More);
        bench.run("XTRIM stream MAXLEN 100");
        while reply.write_piece(&bench.shard, &mut ReplyBuffer::default()) == Piece::More {}
        assert_eq!(reply.write_piece(&bench.shard, &mut ReplyBuffer::default()), Piece::Lost);
    }

    /// The elements of a reply of bulk strings, `at_once` together, in order.
    fn sorted(reply: &[u8], at_once: usize) -> (String, Vec<String>) {
        let text = str::from_utf8(reply).unwrap();
        let (head, rest) = text.split_once("\r\n").unwrap();
        let lines: Vec<&str> = rest.split_terminator("\r\n").collect();
        let mut elements: Vec<String> = lines.chunks(2 * at_once).map(|lines| lines.join(" ")).collect();
        elements.sort_unstable();
        (head.to_owned(), elements)
    }

    #[test]
    fn pieces_make_the_whole() {
        let mut bench = bench();
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            bench.protocol = protocol;
            for line in [
                "LRANGE list 0 -1",
                "LRANGE list 3 -900",
                "ZRANGE zset 0 -1",
                "ZRANGE zset 0 -1 WITHSCORES",
                "ZRANGE zset 7 -20 REV WITHSCORES",
                "ZREVRANGEBYSCORE zset +inf 1 WITHSCORES",
                "ZRANGEBYSCORE zset -inf +inf LIMIT 5 66000",
            ] {
                let (whole, walk) = replies(&mut bench, line);
                let key = line.split(' ').nth(1).unwrap();
                let (together, count) = pieces(&bench, key, walk.expect(line));
                assert!(together == whole && count > 50, "{line}: {count} pieces");
            }
            for (line, at_once) in [("SMEMBERS set", 1), ("HGETALL hash", 2), ("HKEYS hash", 1), ("HVALS hash", 1)] {
                let (whole, walk) = replies(&mut bench, line);
                let key = line.split(' ').nth(1).unwrap();
                let (together, count) = pieces(&bench, key, walk.expect(line));
                assert!(sorted(&together, at_once) == sorted(&whole, at_once) && count > 50, "{line}: {count} pieces");
            }
        }
    }

    #[test]
    fn only_long_replies_are_put_off_and_changes_are_noticed() {
        // Filling takes long: one bench for all.
        let mut bench = bench();
        bench.run("HEXPIREAT hash 33177117420 FIELDS 1 f1");
        let short = ["LRANGE list 0 65534", "LRANGE none 0 -1", "ZRANGE zset 0 65534", "HGETALL hash", "SMEMBERS none"];
        for line in short {
            assert_eq!(replies(&mut bench, line).1, None, "{line}");
        }
        bench.run("HPERSIST hash FIELDS 1 f1");
        a_pinned_key_outlives_its_time(&mut bench);
        for (line, change) in [
            ("LRANGE list 0 -1", "LPOP list 100"),
            ("ZRANGE zset 0 -1", "ZPOPMIN zset 100"),
            ("HGETALL hash", "SET hash x"),
        ] {
            let walk = replies(&mut bench, line).1.expect(line);
            let key = line.split(' ').nth(1).unwrap();
            let mut reply = LongReply::new(&bench.shard, bench.db, key.as_bytes(), bench.protocol, walk);
            assert_eq!(reply.write_piece(&bench.shard, &mut ReplyBuffer::default()), Piece::More);
            bench.run(change);
            assert_eq!(reply.write_piece(&bench.shard, &mut ReplyBuffer::default()), Piece::Lost, "{line}");
        }
    }

    fn a_pinned_key_outlives_its_time(bench: &mut Bench) {
        bench.run("PEXPIRE set 100");
        let walk = replies(bench, "SMEMBERS set").1.unwrap();
        let mut reply = LongReply::new(&bench.shard, bench.db, b"set", bench.protocol, walk);
        let (db, hash) = reply.place();
        bench.shard.pins.add(1, db, hash, reply.expire_at);
        bench.now += 200;
        bench.check(&[("EXISTS set", ":0"), ("SCARD set", ":0"), ("DBSIZE", ":4")]);
        bench.shard.tick(Millis(bench.now), 1000, &mut |_, _| panic!("nothing goes"));
        assert_eq!(reply.write_piece(&bench.shard, &mut ReplyBuffer::default()), Piece::More);
        bench.shard.pins.remove(1);
        bench.check(&[("EXISTS set", ":0"), ("DBSIZE", ":3")]);
        assert_eq!(reply.write_piece(&bench.shard, &mut ReplyBuffer::default()), Piece::Lost);
    }
}
