//! Long replies on their way: the core of the shard writes them piece by piece under a shared lock on the key, the core of
//! the client sends them on.
//!
//! The shard's core writes ahead of the client by no more than a window, then waits to hear that it has read; so neither
//! core holds more of the reply than that, and each pass has one piece at most. As soon as anybody waits for the lock, or the
//! time of the key has passed, it waits no more: the rest is written into the client's output, piece after piece, and the
//! lock ends. The window is the same if both are one core; then the pieces do not travel.

use crate::mailbox::letter::{Answer, Question};
use crate::session::{Closing, Pending, Session};
use crate::state::{Later, State};
use bytes::Bytes;
use ringkey_core::command::Command;
use ringkey_core::commands::long_reply::{LongReply, Piece};
use ringkey_core::keyspace::KeyHash;
use ringkey_core::limits::SHARED_VALUE_BYTES_MIN;
use ringkey_core::resp::{ReplyBuffer, Request};
use ringkey_core::txn::batch::{Batch, Call, Job, Order, PutOff, Reach};
use ringkey_core::txn::locks::Owner;
use ringkey_core::units::ShardId;

/// So much of a reply is written before its client has read, in bytes.
const WINDOW_BYTES: usize = 1 << 20;

/// The next window follows when a client is owed no more than this, in bytes.
const OWED_BYTES_MAX: usize = 256 << 10;

/// A piece gets room for as much as the one before and this part of it.
const ROOM_PART: usize = 16;

/// A long reply at the core of its shard.
pub struct Source {
    batch: Box<Batch>,
    /// The reply; none until its first piece is due.
    reply: Option<LongReply>,
    /// Bytes that may be written before the client has read.
    room: usize,
    /// Does it wait for the client to read?
    is_stalled: bool,
    /// Somebody waits for the lock: it waits for nobody any more.
    is_hurried: bool,
    /// How long the pieces have taken, in ticks.
    ticks: u64,
    /// How large the next piece is likely to be, in bytes.
    piece_bytes: usize,
}

/// A long reply at the core of its client.
pub struct Sink {
    owner: Owner,
    shard: ShardId,
    row: &'static Command,
    /// Has the first piece come? Before, the lock may still be waited for.
    has_begun: bool,
    /// Does the shard wait for the client to read?
    is_stalled: bool,
    bytes: usize,
}

/// A piece on its way to its client.
pub struct Part {
    owner: Owner,
    replies: ReplyBuffer,
    kind: PartKind,
    /// How long all pieces have taken, in ticks.
    ticks: u64,
}

/// What follows a piece.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PartKind {
    /// Another one.
    Middle,
    /// Another one, if the client has read.
    EndOfWindow,
    /// Nothing; the reply was an error if so it says.
    Last { failed: bool },
    /// Nothing, though the reply is not complete.
    Lost,
}

/// What the core of a client says to that of the shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SourceOrder {
    /// The client has read: here is another window.
    GoOn,
    /// The client is gone.
    End,
}

impl State {
    /// Has the shard of its key write the reply to a call that was put off.
    pub fn begin_long_reply(&mut self, session: &mut Session, call: &Call, request: Request) {
        let (owner, ticket) = (self.new_owner(), session.ticket());
        let mut batch = self.take_batch();
        batch.open_job(ticket, owner, Order::Stay, Reach::Keys);
        batch.push_call(call, &request.args());
        let slot = call.first_key.map(|(_, KeyHash { slot, .. })| slot);
        let shard = slot.map_or(self.me, |slot| self.map.shard_of(slot));
        self.send_alone(shard, batch);
        session.tracked.request = request;
        let (has_begun, is_stalled, bytes) = (false, false, 0);
        let sink = Sink { owner, shard, row: call.row, has_begun, is_stalled, bytes };
        session.pending = Pending::LongReply(Box::new(sink));
    }

    /// Job `job` of the session at `index` has come home with a call put off: it is begun anew or gone on with, and what follows it
    /// is to be executed after it.
    pub fn resume_put_off(&mut self, index: u32, batch: &Batch, job: &Job, at: u32, put_off: PutOff) {
        let Some(mut session) = self.sessions[index as usize].take() else { return };
        let request = |call: &Call| Request::copy_of(&batch.args(call));
        let (call, rest) =
            batch.calls[at as usize..job.calls.1 as usize].split_first().expect("it is one of the job's");
        session.put_back_requests(rest.iter().map(|call| (call.row, call.first_key, request(call))));
        // They are counted when they are executed.
        let again = rest.len() as u64;
        session.commands = session.commands.saturating_sub(again);
        self.statistics.commands = self.statistics.commands.saturating_sub(again);
        match put_off {
            // The shard goes on with it; its reply comes in a batch of its own.
            PutOff::Suspended => session.pending = Pending::Remote,
            _ => self.begin_put_off(&mut session, put_off, call, request(call)),
        }
        self.sessions[index as usize] = Some(session);
    }

    /// The lock for a long reply is there: its pieces follow.
    pub fn open_source(&mut self, owner: Owner, batch: Box<Batch>) {
        let (is_stalled, is_hurried, ticks, piece_bytes) = (false, false, 0, 0);
        let source = Source { batch, reply: None, room: WINDOW_BYTES, is_stalled, is_hurried, ticks, piece_bytes };
        self.sources.insert(owner, source);
        self.later.push_back(Later::Source(owner));
    }

    /// Writes a piece of a long reply and sends it to its client.
    pub fn write_piece(&mut self, owner: Owner) {
        let Some(mut source) = self.sources.remove(&owner) else { return };
        let mut replies = ReplyBuffer::default();
        replies.bytes.reserve(source.piece_bytes);
        self.site.watch.start();
        let kind = self.piece_of(owner, &mut source, &mut replies);
        source.ticks += self.site.watch.lap();
        source.room = source.room.saturating_sub(replies.len());
        source.piece_bytes = replies.bytes.len() + replies.bytes.len() / ROOM_PART;
        let kind = match kind {
            PartKind::Middle if source.room == 0 && !source.is_hurried => PartKind::EndOfWindow,
            kind => kind,
        };
        let (home, ticket) = (source.batch.home, source.batch.jobs[0].ticket);
        let part = Part { owner, replies, kind, ticks: source.ticks };
        self.reply_to((home != self.me).then_some(home.index()), ticket, Answer::Part(Box::new(part)));
        match kind {
            PartKind::Middle => {
                self.sources.insert(owner, source);
                self.later.push_back(Later::Source(owner));
            }
            PartKind::EndOfWindow => {
                source.is_stalled = true;
                self.sources.insert(owner, source);
            }
            PartKind::Last { .. } | PartKind::Lost => self.close_source(owner, source),
        }
    }

    fn piece_of(&mut self, owner: Owner, source: &mut Source, out: &mut ReplyBuffer) -> PartKind {
        if source.reply.is_none() {
            let call = &source.batch.calls[0];
            let (tally, reply) = self.site.begin_reply(self.now, owner, call, &source.batch.args(call), out);
            source.reply = reply;
            if source.reply.is_none() {
                return PartKind::Last { failed: tally.failed };
            }
        }
        let Some(reply) = &mut source.reply else { return PartKind::Lost };
        match self.site.write_piece(reply, out) {
            Piece::More => PartKind::Middle,
            Piece::Last => PartKind::Last { failed: false },
            Piece::Lost => PartKind::Lost,
        }
    }

    fn close_source(&mut self, owner: Owner, source: Source) {
        self.site.end_reply(owner);
        self.recycle(source.batch);
        self.release_here(owner);
    }

    /// Long replies for whose locks somebody waits, or whose keys' time has passed, wait for their clients no longer.
    pub fn hurry_sources(&mut self) {
        for (owner, source) in &mut self.sources {
            let is_due = source.reply.as_ref().is_some_and(|reply| reply.expire_at.is_some_and(|at| at <= self.now));
            if !source.is_hurried && (is_due || self.site.is_waited_for(*owner)) {
                source.is_hurried = true;
                if std::mem::take(&mut source.is_stalled) {
                    self.later.push_back(Later::Source(*owner));
                }
            }
        }
    }

    /// The core of a client says something about its long reply.
    pub fn heed_source_order(&mut self, owner: Owner, order: SourceOrder) {
        match order {
            SourceOrder::GoOn => {
                let Some(source) = self.sources.get_mut(&owner) else { return };
                source.room = WINDOW_BYTES;
                if std::mem::take(&mut source.is_stalled) {
                    self.later.push_back(Later::Source(owner));
                }
            }
            SourceOrder::End => {
                if let Some(source) = self.sources.remove(&owner) {
                    self.close_source(owner, source);
                }
            }
        }
    }

    /// Takes a piece for the session that waits for it.
    pub fn take_part(&mut self, ticket: u64, part: Part) {
        let (index, generation) = Session::place_of(ticket);
        let Some(mut session) = self.take_session(index, generation) else { return };
        self.append_part(&mut session, part);
        self.dirty.push(index);
        self.sessions[index as usize] = Some(session);
    }

    fn append_part(&mut self, session: &mut Session, part: Part) {
        let Part { owner, replies, kind, ticks } = part;
        let Pending::LongReply(sink) = &mut session.pending else { return };
        if sink.owner != owner {
            return;
        }
        sink.has_begun = true;
        sink.bytes += replies.len();
        let (row, bytes) = (sink.row, sink.bytes);
        if session.closing != Closing::Now {
            append(&mut session.output.pending, replies);
        }
        match kind {
            PartKind::Middle if session.closing != Closing::Now => {}
            PartKind::EndOfWindow if session.closing != Closing::Now => {
                sink.is_stalled = true;
                self.go_on_reading(session);
            }
            PartKind::Middle | PartKind::EndOfWindow => self.leave_long_reply(session),
            PartKind::Lost => {
                log::warn!("The collection of a long reply changed under its lock; its client is disconnected");
                session.pending = Pending::Nothing;
                session.closing = Closing::Now;
            }
            PartKind::Last { failed } => {
                session.pending = Pending::Nothing;
                self.conclude(session, row, ticks, bytes, failed);
                for (row, count) in session.tracked.under_way.drain(..) {
                    self.paths.answered(row, u64::from(count), session.tracked.arrived);
                }
                self.ready.push_back(session.index);
            }
        }
    }

    /// Asks for the next window of a long reply if the shard waits for that and the client has read enough.
    pub fn go_on_reading(&mut self, session: &mut Session) {
        let owed = session.output.unsent();
        if let Pending::LongReply(sink) = &mut session.pending
            && sink.is_stalled
            && owed <= OWED_BYTES_MAX
        {
            sink.is_stalled = false;
            let (shard, owner) = (sink.shard, sink.owner);
            self.ask(shard.index(), session.ticket(), Question::Source(owner, SourceOrder::GoOn));
        }
    }

    /// The client of a long reply ends before it: so does the reply, at once if its lock is there, else when it comes.
    pub fn leave_long_reply(&mut self, session: &mut Session) {
        if let Pending::LongReply(sink) = &session.pending
            && sink.has_begun
        {
            let (shard, owner) = (sink.shard, sink.owner);
            session.pending = Pending::Nothing;
            self.ask(shard.index(), session.ticket(), Question::Source(owner, SourceOrder::End));
        }
    }
}

/// Adds a piece to what a client is owed: as it is, without a copy, if it is large, so that no buffer grows with the reply.
fn append(out: &mut ReplyBuffer, piece: ReplyBuffer) {
    if piece.shared.is_empty() && piece.bytes.len() >= SHARED_VALUE_BYTES_MIN {
        out.push_shared(Bytes::from(piece.bytes));
    } else {
        out.append_range(&piece, Default::default(), piece.mark());
    }
}
