//! PUBLISH and SPUBLISH: messages on their way, and how many have got them.

use super::tables::{Kind, OtherCores, add_cores, hash_of};
use crate::dispatch::Done;
use crate::mailbox::letter::{Letter, Notice};
use crate::observe::crash;
use crate::session::{Parsed, Pending, ReplyMode, Session};
use crate::state::State;
use ringkey_core::command::{Admin, Command, Run};
use ringkey_core::resp::{Args, Reply};
use ringkey_core::units::ShardId;

/// Messages from one core to another.
#[derive(Default)]
pub struct Messages {
    /// Messages that may have come of others have a greater number than these, from whatever cores they come.
    pub number: u64,
    items: Vec<Item>,
    /// The words of all of them, one behind the other.
    bytes: Vec<u8>,
}

struct Item {
    kind: Kind,
    channel: u32,
    message: u32,
    /// Who waits to hear how many got it; 0: nobody.
    ticket: u64,
    /// Which of the messages for which that client waits.
    number: u32,
    /// If it tells what has become of a key: whose that is.
    owner: Option<ShardId>,
}

/// Who said a message.
#[derive(Clone, Copy)]
pub enum Origin {
    /// A client who hears how many got it: its ticket, and which of its messages it is.
    Client(u64, u32),
    /// A script, which has counted already.
    Script,
    /// Nobody: it tells what has become of a key of this shard.
    Event(ShardId),
}

impl Origin {
    fn owner(self) -> Option<ShardId> {
        if let Self::Event(owner) = self { Some(owner) } else { None }
    }
}

impl Messages {
    /// A letter of this number without messages.
    #[cfg(test)]
    pub fn numbered(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn push(&mut self, kind: Kind, channel: &[u8], message: &[u8], from: Origin) {
        let (ticket, number) = if let Origin::Client(ticket, number) = from { (ticket, number) } else { (0, 0) };
        let (channel_len, message_len) = (channel.len() as u32, message.len() as u32);
        let owner = from.owner();
        self.items.push(Item { kind, channel: channel_len, message: message_len, ticket, number, owner });
        self.bytes.extend_from_slice(channel);
        self.bytes.extend_from_slice(message);
    }
}

/// How many clients of a core have got a message.
pub struct Receipt {
    ticket: u64,
    number: u32,
    count: u32,
}

/// A client whose messages are on their way to other cores.
#[derive(Default)]
pub struct Publishing {
    /// How many clients got each of them, as far as is known.
    counts: Vec<i64>,
    /// Receipts that are still to come.
    missing: usize,
}

impl State {
    /// Gives a message to all who listen. The answer: how many of this core's clients these are, and how many cores were told; these
    /// answer if a client said it.
    pub fn publish(&mut self, kind: Kind, channel: &[u8], message: &[u8], from: Origin) -> (i64, usize) {
        let hash = hash_of(kind, self.site.shard.key(channel).hash.hash);
        let mut cores = OtherCores::new();
        if self.mesh.count() > 1 {
            cores = self.pubsub.tables.borrow().cores_by_name(kind, hash);
        }
        let count =
            self.deliver_message(kind, hash, channel, message, from.owner(), |pattern| add_cores(&mut cores, pattern));
        for core in &cores {
            self.pubsub.outbox[usize::from(*core)].push(kind, channel, message, from);
        }
        (count, cores.len())
    }

    /// PUBLISH and SPUBLISH as a step of a transaction.
    pub fn publish_one(&mut self, session: &mut Session, kind: Kind, args: &Args<'_>) {
        self.tell_events();
        let (count, missing) = self.publish(kind, args.get(1), args.get(2), Origin::Client(session.ticket(), 0));
        if missing == 0 {
            return Reply::new(&mut session.output.pending, session.protocol).integer(count);
        }
        session.pending = Pending::Publishing(Box::new(Publishing { counts: vec![count], missing }));
    }

    /// Carries out the PUBLISH or SPUBLISH that is next, and all that follow it.
    pub fn publish_all(&mut self, session: &mut Session, input: &[u8]) -> Done {
        let mut publishing = Publishing::default();
        self.tell_events();
        while let Some(parsed) = session.parsed.get(session.next_parsed).copied() {
            let Some((row, kind)) = self.publishes(session, &parsed, input) else { break };
            let spans = std::mem::take(&mut session.spans);
            let owned = if parsed.is_owned { session.owned.pop_front() } else { None };
            let args = match &owned {
                Some(request) => request.args(),
                None => crate::session::requests::in_place(&spans, &parsed, input),
            };
            crash::note_command(row, &args);
            let from = Origin::Client(session.ticket(), publishing.counts.len() as u32);
            let (count, missing) = self.publish(kind, args.get(1), args.get(2), from);
            crash::done();
            let ticks = self.site.watch.lap();
            self.site.watch.record(row, ticks, false);
            if self.site.monitored.is_some() {
                self.note_of_process(session, row, &args);
            }
            if self.site.watch.is_slow(ticks) || self.is_large_request(parsed.end - parsed.start, parsed.is_owned) {
                let request = crate::observe::calls::request_bytes(&args);
                self.remember(session, row, &args, crate::observe::calls::Measure { ticks, request, reply: 4 });
            }
            drop(owned);
            session.spans = spans;
            session.note_command(row);
            self.statistics.commands += 1;
            session.next_parsed += 1;
            publishing.missing += missing;
            if publishing.missing == 0 {
                self.paths.answered(row.id, 1, session.tracked.arrived);
                write_count(session, count);
            } else {
                session.tracked.leaves(row);
                publishing.counts.push(count);
            }
            if !self.late_pushes.is_empty() && publishing.missing == 0 {
                self.push_late(session);
            }
        }
        if publishing.missing == 0 {
            return Done::Next;
        }
        session.pending = Pending::Publishing(Box::new(publishing));
        Done::Stop
    }

    /// The row of a request that publishes and may be carried out.
    fn publishes(&mut self, session: &Session, parsed: &Parsed, input: &[u8]) -> Option<(&'static Command, Kind)> {
        let args = session.args_of(parsed, input);
        if args.is_empty() {
            return None;
        }
        let row = self.admit(session, parsed.row, &args).ok()?;
        let kind = match row.run {
            Run::Admin(Admin::Publish) => Kind::Channel,
            Run::Admin(Admin::SPublish) => Kind::Shard,
            _ => return None,
        };
        if self.seat.is_some() && self.check_slots(session, row, parsed.key, &args).is_err() {
            return None;
        }
        let is_held = self.holds.any && self.check_held(session, row, parsed.key, &args).is_err();
        let is_paused = self.paused.pause.is_some_and(|pause| pause.holds(row));
        (!is_held && !is_paused).then_some((row, kind))
    }

    /// Messages of another core have come.
    pub fn take_messages(&mut self, from: usize, messages: &Messages) {
        let mut receipts = Vec::new();
        let mut at = 0;
        for Item { kind, channel, message, ticket, number, owner } in &messages.items {
            let middle = at + *channel as usize;
            let end = middle + *message as usize;
            let (channel, message) = (&messages.bytes[at..middle], &messages.bytes[middle..end]);
            at = end;
            let hash = hash_of(*kind, self.site.shard.key(channel).hash.hash);
            let count = self.deliver_message(*kind, hash, channel, message, *owner, |_| {}) as u32;
            if *ticket != 0 {
                receipts.push(Receipt { ticket: *ticket, number: *number, count });
            }
        }
        if !receipts.is_empty() {
            self.mesh.post(from, Letter::Notice(Notice::Receipts(receipts)));
        }
    }

    /// Another core tells how many of its clients have got messages of this core's clients.
    pub fn take_receipts(&mut self, receipts: Vec<Receipt>) {
        for Receipt { ticket, number, count } in receipts {
            let (index, generation) = Session::place_of(ticket);
            let Some(session) = self.session(index, generation) else { continue };
            let Pending::Publishing(publishing) = &mut session.pending else { continue };
            if let Some(known) = publishing.counts.get_mut(number as usize) {
                *known += i64::from(count);
            }
            publishing.missing -= 1;
            if publishing.missing == 0 {
                self.all_are_told(index);
            }
        }
    }

    fn all_are_told(&mut self, index: u32) {
        let Some(mut session) = self.sessions[index as usize].take() else { return };
        if let Pending::Publishing(publishing) = std::mem::take(&mut session.pending) {
            if session.is_executing() {
                let before = session.output.pending.mark();
                publishing.counts.iter().for_each(|count| {
                    Reply::new(&mut session.output.pending, session.protocol).integer(*count);
                });
                self.conclude_waiting(&mut session, 4, false);
                session.apply_reply_mode(before);
            } else {
                publishing.counts.iter().for_each(|count| write_count(&mut session, *count));
                for (row, count) in session.tracked.under_way.drain(..) {
                    self.paths.answered(row, u64::from(count), session.tracked.arrived);
                }
            }
            self.push_late(&mut session);
        }
        self.sessions[index as usize] = Some(session);
        self.ready.push_back(index);
    }
}

fn write_count(session: &mut Session, count: i64) {
    let before = session.output.pending.mark();
    Reply::new(&mut session.output.pending, session.protocol).integer(count);
    if session.reply_mode != ReplyMode::On {
        session.apply_reply_mode(before);
    }
}
