//! Clients that a command has blocked, as their own core sees them: what they wait for, until when, and how that ends.
//!
//! Where all keys belong to one shard, the call waits there and the shard decides: a client goes on only when the shard has
//! said whether it was served or given up, so nothing is both delivered and lost. Where they belong to several, this core
//! decides: it is poked by a shard, has the entries lent, and tries the whole command. Where that a key is there does not mean
//! that it has something (streams), it does so before the client waits at all, and what words such as `$` mean is settled then.

use crate::dispatch::{Done, new_call};
use crate::observe::calls::{Measure, request_bytes};
use crate::observe::crash;
use crate::session::{Closing, GatheredCall, Parsed, Pending, ReplyMode, Session};
use crate::state::State;
use ringkey_core::command::{Command, Group, Undo, Wait, table};
use ringkey_core::commands::within::exec;
use ringkey_core::resp::reply::Mark;
use ringkey_core::resp::{Args, CommandError, Reply, ReplyBuffer, Request};
use ringkey_core::txn::batch::{Batch, Blocking, Call, Order, PutOff};
use ringkey_core::txn::flight::Flight;
use ringkey_core::txn::locks::Owner;
use ringkey_core::txn::site::{Tally, Tried};
use ringkey_core::units::{DbIndex, Millis, ShardId};
use smallvec::SmallVec;

/// The ticket of a job for which no session waits: no session has this generation.
const NOBODY: u64 = u64::MAX;

/// After so long, in milliseconds, shards have said if there was something when a client began to wait.
const UNHEARD_MS: i64 = 1000;

/// Where a call waits.
enum Place {
    /// At the shard of all its keys.
    Shard(ShardId),
    /// In the queues of these, once they are told.
    Several {
        /// Which.
        shards: SmallVec<[ShardId; 4]>,
        /// Have they been told?
        is_told: bool,
    },
}

/// How the waiting ends without what it was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The time is over.
    TimeOut,
    /// CLIENT UNBLOCK with an error.
    Error,
    /// The client is gone.
    Gone,
}

/// A client that a command blocks, or that has sent one to another core that may.
pub struct Blocked {
    owner: Owner,
    call: Call,
    /// The words, where this core tries the command.
    request: Request,
    until: Option<Millis>,
    undo: Undo,
    place: Place,
    /// Is it known to wait?
    is_waiting: bool,
    /// How it ends, once that has begun.
    ending: Option<Ending>,
    /// Is it to be tried when the pause ends?
    is_due: bool,
    /// Has this core tried it?
    was_tried: bool,
    /// Until then the shards may not have said yet that there is something already.
    unheard_until: Millis,
}

impl Blocked {
    /// Is it known to wait?
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }
}

/// A reply to a blocking command that is not yet with the kernel: where it is in the output, and how what it shows would be put
/// back.
pub struct Returnable {
    from: Mark,
    to: Mark,
    undo: Undo,
    db: DbIndex,
}

/// What became of a call over what a flight has brought.
pub enum Ran {
    /// It is over.
    Over,
    /// The same, and what the flight has brought may serve others before it goes home.
    Stays,
    /// It waits for keys.
    Waits(Box<Blocked>),
    /// It touches keys that were not brought, and has been undone.
    Elsewhere(Box<GatheredCall>),
    /// It takes long and is to be gone on with.
    Suspended(Box<GatheredCall>),
}

impl State {
    /// Carries out a command that may block its client.
    pub fn begin_wait(
        &mut self,
        session: &mut Session,
        parsed: &Parsed,
        row: &'static Command,
        wait: Wait,
        input: &[u8],
    ) -> Done {
        let args = session.args_of(parsed, input);
        let mut shards: SmallVec<[ShardId; 4]> = SmallVec::new();
        row.visit_keys(&args, |index, _| shards.push(self.shard_of_key(args.get(index))));
        shards.sort_unstable();
        shards.dedup();
        let call = Call { may_put_off: false, ..new_call(row, session, None) };
        if let [shard] = shards.as_slice()
            && *shard == self.me
            && self.site.admits(&call, &args)
        {
            return self.run_or_park(session, parsed, call, wait, input);
        }
        let owner = self.new_owner();
        let ticket = session.ticket();
        let mut blocked = Blocked::new(owner, call, &wait, Place::Shard(self.me));
        if let [shard] = shards.as_slice() {
            blocked.place = Place::Shard(*shard);
            // The shard's word that it waits may come late.
            self.note_deadline(&blocked, ticket);
            let batch = self.open_remote_job(*shard, ticket, owner, Order::Run);
            batch.push_call(&blocked.call, &args);
            batch.jobs.last_mut().expect("it was opened just now").blocking = Blocking::May;
        } else {
            // What it waits for may be on fewer shards than what it touches.
            let mut watched: SmallVec<[ShardId; 4]> =
                wait.keys.map(|index| self.shard_of_key(args.get(index))).collect();
            watched.sort_unstable();
            watched.dedup();
            blocked.request = Request::copy_of(&args);
            blocked.place = Place::Several { shards: watched, is_told: false };
            blocked.unheard_until = Millis(self.now.0 + UNHEARD_MS);
        }
        let is_several = matches!(blocked.place, Place::Several { .. });
        if self.is_large_request(parsed.end - parsed.start, parsed.is_owned) {
            let request = request_bytes(&args);
            self.remember(session, row, &args, Measure { request, ..Measure::default() });
        }
        if is_several && self.site.monitored.is_some() {
            self.note_of_process(session, row, &args);
        }
        session.leave_behind(parsed);
        session.note_command(row);
        self.statistics.commands += 1;
        let mut blocked = Box::new(blocked);
        if is_several && wait.share.is_of_news() {
            self.try_again(session, blocked);
            return Done::Stop;
        }
        if is_several {
            self.watch(ticket, &mut blocked);
            self.note_waiting(session.id, session.index, ticket, &mut blocked);
        }
        session.pending = Pending::Blocked(blocked);
        Done::Stop
    }

    /// Has the shards of a call over several say when there is something for it.
    fn watch(&mut self, ticket: u64, blocked: &mut Blocked) {
        let Blocked { owner, call, request, place, .. } = blocked;
        if let Place::Several { shards, is_told } = place
            && !std::mem::replace(is_told, true)
        {
            for shard in shards {
                self.open_remote_job(*shard, ticket, *owner, Order::Watch).push_call(call, &request.args());
            }
        }
    }

    /// Runs a call whose keys are all here, or leaves it with the shard if it finds nothing.
    fn run_or_park(&mut self, session: &mut Session, parsed: &Parsed, call: Call, wait: Wait, input: &[u8]) -> Done {
        let (before, len) = (session.output.pending.mark(), session.output.pending.len());
        // The request is taken apart from the session while its replies are written there.
        let spans = std::mem::take(&mut session.spans);
        let owned = if parsed.is_owned { session.owned.pop_front() } else { None };
        let args = match &owned {
            Some(request) => request.args(),
            None => crate::session::requests::in_place(&spans, parsed, input),
        };
        crash::note_command(call.row, &args);
        let ticks = self.site.run_or_wait(self.now, &call, &args, &mut session.output.pending);
        crash::done();
        let request = request_bytes(&args);
        let reply = session.output.pending.len() - len;
        self.note_call(session, call.row, &args, Measure { ticks: ticks.unwrap_or(0), request, reply });
        session.note_command(call.row);
        self.statistics.commands += 1;
        session.next_parsed += 1;
        let done = if ticks.is_some() {
            self.paths.answered(call.row.id, 1, session.tracked.arrived);
            session.apply_reply_mode(before);
            session.keep_returnable(before, wait.undo, call.db);
            Done::Next
        } else {
            let (owner, ticket) = (self.new_owner(), session.ticket());
            let mut batch = self.take_batch();
            batch.open_job(ticket, owner, Order::Run, ringkey_core::txn::batch::Reach::Keys);
            batch.jobs[0].blocking = Blocking::May;
            batch.push_call(&call, &args);
            self.site.park(self.now, batch);
            let mut blocked = Blocked::new(owner, call, &wait, Place::Shard(self.me));
            self.note_waiting(session.id, session.index, ticket, &mut blocked);
            session.pending = Pending::Blocked(Box::new(blocked));
            Done::Stop
        };
        session.spans = spans;
        done
    }

    /// From now on the client counts as blocked, and its time runs, if it did not before.
    fn note_waiting(&mut self, id: u64, index: u32, ticket: u64, blocked: &mut Blocked) {
        blocked.is_waiting = true;
        self.blocked.insert(id, index);
        self.note_deadline(blocked, ticket);
    }

    /// From now on its time runs.
    fn note_deadline(&mut self, blocked: &Blocked, ticket: u64) {
        if let Some(until) = blocked.until {
            self.deadlines.insert((until.0, ticket));
        }
    }

    fn note_waiting_over(&mut self, id: u64, ticket: u64, blocked: &Blocked) {
        if blocked.is_waiting {
            self.blocked.remove(&id);
        }
        if let Some(until) = blocked.until {
            self.deadlines.remove(&(until.0, ticket));
        }
    }

    /// When the waiting of a client of this core ends next, in milliseconds. The last one of its milliseconds is waited for to
    /// the end, because it may have begun late in the first.
    pub fn next_deadline(&self) -> i64 {
        self.deadlines.first().map_or(i64::MAX, |(until, _)| until.saturating_add(1))
    }

    /// Ends the waiting of those whose time is over.
    pub fn check_deadlines(&mut self) {
        while self.next_deadline() <= self.now.0
            && let Some((_, ticket)) = self.deadlines.pop_first()
        {
            let (index, generation) = Session::place_of(ticket);
            self.give_up_at(index, generation, Ending::TimeOut);
        }
    }

    fn give_up_at(&mut self, index: u32, generation: u32, ending: Ending) {
        let Some(mut session) = self.take_session(index, generation) else { return };
        self.give_up(&mut session, ending);
        self.sessions[index as usize] = Some(session);
    }

    /// Ends the waiting of a client that a command has blocked. `false` if this core has none with this id.
    pub fn unblock(&mut self, id: u64, ending: Ending) -> bool {
        let Some(index) = self.blocked.remove(&id) else { return false };
        let Some(mut session) = self.sessions[index as usize].take() else { return false };
        self.give_up(&mut session, ending);
        self.sessions[index as usize] = Some(session);
        true
    }

    /// Begins to end the waiting of a session, which goes on when the shard has said that it was given up.
    pub fn give_up(&mut self, session: &mut Session, ending: Ending) {
        let (id, ticket) = (session.id, session.ticket());
        match &mut session.pending {
            Pending::Flight(_, Some(gathered)) => {
                // It is being tried: what comes of that decides.
                let Some(blocked) = &mut gathered.blocked else { return };
                blocked.ending = Some(ending);
                let blocked = gathered.blocked.take().expect("it was looked at just now");
                self.note_waiting_over(id, ticket, &blocked);
                gathered.blocked = Some(blocked);
            }
            Pending::Blocked(blocked) => {
                let has_begun = blocked.ending.replace(ending).is_some();
                let Pending::Blocked(blocked) = std::mem::take(&mut session.pending) else { return };
                self.note_waiting_over(id, ticket, &blocked);
                match &blocked.place {
                    // However short the time is, what is there is taken: the shards may not have been heard of yet.
                    Place::Several { .. } if self.is_unheard(blocked.as_ref(), ending) => {
                        return self.try_again(session, blocked);
                    }
                    Place::Several { .. } => return self.end(session, &blocked),
                    Place::Shard(_) if has_begun => {}
                    Place::Shard(shard) if *shard == self.me => self.site.cancel(self.now, blocked.owner),
                    Place::Shard(shard) => self.outgoing(*shard).cancels.push(blocked.owner),
                }
                session.pending = Pending::Blocked(blocked);
            }
            _ => {}
        }
    }

    /// Is its time over before it is certain that there was nothing for it from the beginning?
    fn is_unheard(&self, blocked: &Blocked, ending: Ending) -> bool {
        let is_held = self.paused.pause.is_some_and(|pause| pause.holds(blocked.call.row));
        ending == Ending::TimeOut && !blocked.was_tried && !is_held && self.now < blocked.unheard_until
    }

    /// The waiting has ended for nothing: the client hears of it and goes on.
    fn end(&mut self, session: &mut Session, blocked: &Blocked) {
        self.unwatch(blocked);
        session.pending = Pending::Nothing;
        let before = session.output.pending.mark();
        let mut reply = Reply::new(&mut session.output.pending, session.protocol);
        match blocked.ending {
            None | Some(Ending::Gone) => return,
            Some(Ending::TimeOut) => reply.null_array(),
            Some(Ending::Error) => {
                let error = CommandError::Coded("UNBLOCKED", "client unblocked via CLIENT UNBLOCK".into());
                reply.error(&error);
                self.site.errors.note(error.code());
            }
        }
        let row = blocked.call.row;
        self.site.watch.record(row, 0, blocked.ending == Some(Ending::Error));
        self.paths.answered(row.id, 1, self.pass_ticks);
        session.apply_reply_mode(before);
        self.ready.push_back(session.index);
    }

    /// A call over several shards is to be forgotten by them.
    fn unwatch(&mut self, blocked: &Blocked) {
        let Place::Several { shards, is_told: true } = &blocked.place else { return };
        for shard in shards {
            if *shard == self.me {
                self.site.cancel(self.now, blocked.owner);
            } else {
                self.outgoing(*shard).cancels.push(blocked.owner);
            }
        }
    }

    /// Job `at` of a batch that has come home tells something about a client that may be blocked.
    pub fn take_news(&mut self, batch: &Batch, at: usize) {
        let job = &batch.jobs[at];
        let (index, generation) = Session::place_of(job.ticket);
        let Some(mut session) = self.take_session(index, generation) else { return };
        let is_meant = matches!(&session.pending, Pending::Blocked(blocked) if blocked.owner == job.owner);
        // While it is being tried, a poke tells nothing new: the entries are on their way.
        if is_meant && let Pending::Blocked(mut blocked) = std::mem::take(&mut session.pending) {
            match (job.order, job.blocking) {
                (Order::Poke, _) => self.try_again(&mut session, blocked),
                // The batch that took its name to a shard had other jobs, too.
                (Order::Watch, _) => session.pending = Pending::Blocked(blocked),
                (_, Blocking::Parked) => {
                    if blocked.ending.is_none() {
                        self.note_waiting(session.id, index, job.ticket, &mut blocked);
                    }
                    session.pending = Pending::Blocked(blocked);
                }
                (_, Blocking::Cancelled) => self.end(&mut session, &blocked),
                _ => self.served(&mut session, &blocked, batch, at),
            }
            self.dirty.push(index);
        }
        self.sessions[index as usize] = Some(session);
    }

    /// The call has been carried out at the shard of its keys.
    fn served(&mut self, session: &mut Session, blocked: &Blocked, batch: &Batch, at: usize) {
        let job = &batch.jobs[at];
        let (from, to) = (job.replies_from, batch.end_of(job));
        let Call { row, db, .. } = blocked.call;
        self.note_waiting_over(session.id, job.ticket, blocked);
        if session.closing == Closing::Now {
            let mut reply = ReplyBuffer::default();
            reply.append_range(&batch.replies, from, to);
            return self.put_back(blocked.undo, db, &reply.to_vec());
        }
        if !batch.slow.is_empty() || batch.replies.len() >= self.tuning.observed.reply_bytes {
            self.remember_calls(session, batch, job);
        }
        let before = session.output.pending.mark();
        session.append_replies(&batch.replies, from, to);
        session.keep_returnable(before, blocked.undo, db);
        let since = if blocked.is_waiting { self.pass_ticks } else { session.tracked.arrived };
        self.paths.answered(row.id, 1, since);
        self.ready.push_back(session.index);
    }

    /// A shard says that a call over several may find something: has the entries lent and tries it.
    fn try_again(&mut self, session: &mut Session, mut blocked: Box<Blocked>) {
        if self.paused.pause.is_some_and(|pause| pause.holds(blocked.call.row)) {
            blocked.is_due = true;
            session.pending = Pending::Blocked(blocked);
            return;
        }
        blocked.is_due = false;
        blocked.was_tried = true;
        let request = std::mem::take(&mut blocked.request);
        let (owner, row) = (blocked.owner, blocked.call.row);
        self.gather(session, owner, row, request, Some(blocked));
    }

    /// The pause is over: tries what it has put off.
    pub fn try_what_is_due(&mut self) {
        let indices: Vec<u32> = self.blocked.values().copied().collect();
        for index in indices {
            let Some(mut session) = self.sessions[index as usize].take() else { continue };
            session.pending = match std::mem::take(&mut session.pending) {
                Pending::Blocked(blocked) if blocked.is_due => {
                    self.try_again(&mut session, blocked);
                    std::mem::take(&mut session.pending)
                }
                other => other,
            };
            self.sessions[index as usize] = Some(session);
        }
    }

    /// All entries are lent: runs the command over them. What is returned goes on waiting.
    pub fn run_gathered(&mut self, flight: &mut Flight, mut gathered: GatheredCall, index: u32) -> Ran {
        let is_gone = self.sessions[index as usize].as_ref().is_none_or(|session| session.closing == Closing::Now);
        if flight.is_stale() {
            flight.give_back(&mut self.steps);
            self.unit_gathered(index, None);
            return Ran::Over;
        }
        let blocked = gathered.blocked.take();
        let mut out = ReplyBuffer::default();
        let args = gathered.request.args();
        self.site.watch.start();
        let (tally, tried) = match &blocked {
            // For a client that is gone nothing is taken.
            Some(_) if is_gone => (Default::default(), Tried::Waits(None)),
            _ => self.run_over_lent(flight, blocked.is_some(), &gathered.call, &args, &mut out),
        };
        let ticks = self.site.watch.lap();
        if let Some(mut session) = self.sessions[index as usize].take() {
            self.count_within(&mut session);
            self.sessions[index as usize] = Some(session);
        }
        match tally.put_off {
            Some(PutOff::Suspended) => return Ran::Suspended(Box::new(gathered)),
            Some(PutOff::Elsewhere) => {
                flight.give_back(&mut self.steps);
                return Ran::Elsewhere(Box::new(gathered));
            }
            Some(PutOff::Long) | None => {}
        }
        let GatheredCall { mut request, call, .. } = gathered;
        if let Tried::Waits(fixed) = tried {
            flight.give_back(&mut self.steps);
            for (index, word) in fixed.into_iter().flat_map(|fixed| *fixed) {
                request.replace(index, &word);
            }
            let Some(mut blocked) = blocked else { return Ran::Over };
            blocked.request = request;
            return Ran::Waits(blocked);
        }
        if let Some(blocked) = &blocked {
            // Before the entries are back, so that the shards do not poke in vain.
            self.unwatch(blocked);
        }
        let stays = flight.lends_everything() && call.row.group == Group::Scripting;
        if !stays {
            flight.give_back(&mut self.steps);
        }
        if std::ptr::eq(call.row, &exec::UNIT) {
            self.unit_gathered(index, Some(&out));
            return Ran::Over;
        }
        let over = if stays { Ran::Stays } else { Ran::Over };
        let Some(mut session) = self.sessions[index as usize].take() else { return over };
        if session.is_debugging {
            self.end_debugging(&mut session);
        }
        let before = session.output.pending.mark();
        session.append_replies(&out, Mark::default(), out.mark());
        if let Some(blocked) = &blocked {
            self.note_waiting_over(session.id, session.ticket(), blocked);
            session.keep_returnable(before, blocked.undo, call.db);
            self.paths.answered(call.row.id, 1, self.pass_ticks);
        }
        session.tracked.request = request;
        self.conclude(&mut session, call.row, ticks, out.len(), tally.failed);
        self.sessions[index as usize] = Some(session);
        over
    }

    /// Runs a call over what its flight has brought: entries, or all that the shards have. Tells also whether it waits.
    fn run_over_lent(
        &mut self,
        flight: &mut Flight,
        may_block: bool,
        call: &Call,
        args: &Args<'_>,
        out: &mut ReplyBuffer,
    ) -> (Tally, Tried) {
        let everything = flight.lends_everything();
        let mut lent = flight.lent_batches();
        if everything {
            return (self.assembly.run(&mut self.site, self.now, call, args, &mut lent, out), Tried::Done);
        }
        self.workbench.run(&mut self.site, self.now, may_block, call, args, &mut lent, out)
    }

    /// A call over several shards was tried and found nothing.
    pub fn wait_on(&mut self, index: u32, mut blocked: Box<Blocked>) {
        let Some(mut session) = self.sessions[index as usize].take() else { return };
        if blocked.ending.is_some() || session.closing == Closing::Now {
            self.note_waiting_over(session.id, session.ticket(), &blocked);
            self.end(&mut session, &blocked);
        } else {
            if !blocked.is_waiting {
                self.watch(session.ticket(), &mut blocked);
                self.note_waiting(session.id, session.index, session.ticket(), &mut blocked);
            }
            session.pending = Pending::Blocked(blocked);
        }
        self.dirty.push(index);
        self.sessions[index as usize] = Some(session);
    }

    /// What blocking commands took for a client that ends, and what it was not yet sent, goes back where it came from.
    pub fn put_back_unsent(&mut self, session: &mut Session) {
        for Returnable { from, to, undo, db } in std::mem::take(&mut session.returnable) {
            let mut reply = ReplyBuffer::default();
            reply.append_range(&session.output.pending, from, to);
            self.put_back(undo, db, &reply.to_vec());
        }
    }

    fn put_back(&mut self, undo: Undo, db: DbIndex, reply: &[u8]) {
        let Some(back) = undo.call(reply) else { return };
        let request = Request::new(back.words.iter().map(|word| &**word));
        let args = request.args();
        let Ok(row) = table::resolve(&args) else { return };
        let hash = self.site.shard.key(args.get(1)).hash;
        let call = Call { is_part: true, ..Call::new(row, db, Default::default(), Some((1, hash))) };
        let owner = self.new_owner();
        self.open_remote_job(self.map.shard_of(hash.slot), NOBODY, owner, Order::Run).push_call(&call, &args);
    }
}

impl Blocked {
    fn new(owner: Owner, call: Call, wait: &Wait, place: Place) -> Self {
        let (until, undo) = (wait.until, wait.undo);
        let request = Request::default();
        Self {
            owner,
            call,
            request,
            until,
            undo,
            place,
            is_waiting: false,
            ending: None,
            is_due: false,
            was_tried: false,
            unheard_until: Millis(0),
        }
    }
}

impl Session {
    /// Remembers how what the reply since `before` shows would be put back, until the kernel has it.
    fn keep_returnable(&mut self, before: Mark, undo: Undo, db: DbIndex) {
        let to = self.output.pending.mark();
        if undo != Undo::Nothing && self.reply_mode == ReplyMode::On {
            self.returnable.push(Returnable { from: before, to, undo, db });
        }
    }
}
