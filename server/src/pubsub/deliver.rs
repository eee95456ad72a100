//! What reaches a client that has not asked: messages, and whatever else is pushed.
//!
//! It stands behind what the client is owed, never in the midst of a reply. Where a reply is under way, or the client itself is calling,
//! on whatever core, it waits until that reply is complete: so a client that has something become of a key hears of it behind its reply.

use super::patterns::Pattern;
use super::tables::Kind;
use crate::session::{Pending, Session};
use crate::state::State;
use bytes::Bytes;
use ringkey_core::limits::SHARED_VALUE_BYTES_MIN;
use ringkey_core::resp::reply::Mark;
use ringkey_core::resp::{Protocol, Reply, ReplyBuffer};
use ringkey_core::units::ShardId;

/// A message as it is written to those who listen.
struct Frame {
    /// As RESP3 has it; RESP2 differs in the first byte.
    bytes: Vec<u8>,
    /// The same in both protocols to be shared, if it is large.
    shared: Option<[Bytes; 2]>,
}

impl Frame {
    fn new(words: &[&[u8]]) -> Self {
        let mut out = ReplyBuffer::default();
        out.bytes.reserve(words.iter().map(|word| word.len() + 16).sum::<usize>() + 8);
        let mut reply = Reply::new(&mut out, Protocol::Resp3);
        reply.push(words.len());
        words.iter().for_each(|word| reply.bulk(word));
        let bytes = out.to_vec();
        let shared = (bytes.len() >= SHARED_VALUE_BYTES_MIN).then(|| {
            let mut old = bytes.clone();
            old[0] = b'*';
            [Bytes::from(old), Bytes::from(bytes.clone())]
        });
        Self { bytes, shared }
    }

    #[inline]
    fn write(&self, out: &mut ReplyBuffer, protocol: Protocol) {
        if let Some([old, new]) = &self.shared {
            return out.push_shared(if protocol == Protocol::Resp3 { new.clone() } else { old.clone() });
        }
        let at = out.bytes.len();
        out.bytes.extend_from_slice(&self.bytes);
        if protocol == Protocol::Resp2 {
            out.bytes[at] = b'*';
        }
    }
}

/// Is a part of its reply written and a part not, or are calls of its under way elsewhere? It is to hear of what these do behind their replies.
fn is_mid_reply(session: &Session) -> bool {
    let is_away =
        matches!(session.pending, Pending::Remote | Pending::Flight(..) | Pending::Unit | Pending::Migrating(_));
    is_away
        || session.is_executing()
        || matches!(session.pending, Pending::LongReply(_) | Pending::Clients(_) | Pending::Publishing(_))
}

/// Those to whom something is pushed.
struct Targets<'a> {
    sessions: &'a mut [Option<Box<Session>>],
    dirty: &'a mut Vec<u32>,
    late: &'a mut Vec<(u32, ReplyBuffer)>,
    /// Not those on the port of their core, for whom other cores are other nodes.
    only_common: bool,
}

impl Targets<'_> {
    /// `write` writes one push message, which RESP2 has as an array.
    #[inline]
    fn push(&mut self, index: u32, write: impl FnOnce(&mut Reply<'_>)) {
        match self.sessions.get_mut(index as usize) {
            Some(Some(session)) if session.is_open() && !(self.only_common && session.on_core_port) => {
                if is_mid_reply(session) {
                    let late = session.late.get_or_insert_default();
                    write(&mut Reply::new(late, session.protocol));
                } else {
                    if session.late.is_some() {
                        session.take_late();
                    }
                    write(&mut Reply::new(&mut session.output.pending, session.protocol));
                }
                note_pushed(self.dirty, session);
            }
            Some(None) => {
                let mut bytes = ReplyBuffer::default();
                write(&mut Reply::new(&mut bytes, Protocol::Resp3));
                self.late.push((index, bytes));
            }
            _ => {}
        }
    }

    #[inline]
    fn push_frame(&mut self, index: u32, frame: &Frame) {
        self.push(index, |reply| {
            let protocol = reply.protocol();
            frame.write(reply.buffer(), protocol);
        });
    }
}

impl Session {
    /// Puts what was pushed meanwhile behind the reply, if that is complete.
    #[cold]
    pub fn take_late(&mut self) {
        if !is_mid_reply(self)
            && let Some(late) = self.late.take()
        {
            self.output.pending.append_range(&late, Mark::default(), late.mark());
        }
    }
}

impl State {
    fn targets(&mut self) -> Targets<'_> {
        let Self { sessions, dirty, late_pushes: late, .. } = self;
        Targets { sessions, dirty, late, only_common: false }
    }

    /// Writes one push message, or one line, to the client at `index`, which has not asked for it.
    pub fn push_to(&mut self, index: u32, write: impl FnOnce(&mut Reply<'_>)) {
        self.targets().push(index, write);
    }

    /// The same for bytes that are ready; those of RESP3.
    pub fn push_bytes_to(&mut self, index: u32, bytes: &[u8]) {
        self.push_to(index, |reply| {
            let (at, is_resp3) = (reply.buffer().bytes.len(), reply.is_resp3());
            reply.buffer().bytes.extend_from_slice(bytes);
            fit(&mut reply.buffer().bytes[at..], is_resp3);
        });
    }

    /// Gives the client that was calling, and is back, what was pushed to it meanwhile.
    #[cold]
    pub fn push_late(&mut self, session: &mut Session) {
        for (index, mut bytes) in std::mem::take(&mut self.late_pushes) {
            if index == session.index {
                fit(&mut bytes.bytes, session.protocol == Protocol::Resp3);
                let late = session.late.get_or_insert_default();
                late.append_range(&bytes, Mark::default(), bytes.mark());
            } else {
                self.late_pushes.push((index, bytes));
            }
        }
        session.take_late();
    }

    /// Gives a message to those of this core's clients who listen to its channel, which has this hash; how many these are. What has become of a
    /// key of another core is told on the common port only; `owner`: whose key it is, if the message is about one. `matched` is told each
    /// pattern that the channel fits, whoever listens to it.
    pub fn deliver_message(
        &mut self,
        kind: Kind,
        hash: u64,
        channel: &[u8],
        message: &[u8],
        owner: Option<ShardId>,
        mut matched: impl FnMut(&Pattern),
    ) -> i64 {
        let is_foreign = owner.is_some_and(|owner| owner != self.me);
        let Self { pubsub, sessions, dirty, late_pushes: late, .. } = self;
        let mut targets = Targets { sessions, dirty, late, only_common: is_foreign };
        let tables = pubsub.tables.borrow();
        let clients = tables.clients(kind, hash, channel);
        let mut count = clients.len() as i64;
        if !clients.is_empty() {
            let word: &[u8] = if kind == Kind::Shard { b"smessage" } else { b"message" };
            let frame = Frame::new(&[word, channel, message]);
            clients.iter().for_each(|index| targets.push_frame(*index, &frame));
        }
        if kind != Kind::Channel || tables.patterns.is_empty() {
            return count;
        }
        for pattern in tables.patterns.matching(channel) {
            matched(pattern);
            let here = &pattern.listeners.here;
            if !here.is_empty() {
                let frame = Frame::new(&[b"pmessage", &pattern.text, channel, message]);
                count += here.len() as i64;
                here.iter().for_each(|index| targets.push_frame(*index, &frame));
            }
        }
        count
    }
}

/// What is a push message in RESP3 is an array in RESP2.
fn fit(bytes: &mut [u8], is_resp3: bool) {
    if let Some(first @ b'>') = bytes.first_mut().filter(|_| !is_resp3) {
        *first = b'*';
    }
}

fn note_pushed(dirty: &mut Vec<u32>, session: &mut Session) {
    if !std::mem::replace(&mut session.is_pushed, true) {
        dirty.push(session.index);
    }
}
