//! Transactions: MULTI, the queue of calls behind it, EXEC and DISCARD.
//!
//! The queue is packed as the calls of a job are ([`Batch`]), so that EXEC of calls that live together on another core is one
//! copy and one forward, and at home none. What a transaction needs is known when its last call is queued ([`Class`]).
//! Calls of the process (INFO, CONFIG, CLIENT ...) touch no data: those queued before the first call for the data are carried
//! out before it, those behind it after all calls for the data, which take effect at one moment; the replies stand in the order
//! of the queue.

use crate::dispatch::{Done, new_call};
use crate::observe::calls::Measure;
use crate::observe::crash;
use crate::script::Nature;
use crate::session::{Parsed, Pending, ReplyMode, Session};
use crate::state::State;
use ringkey_core::command::{Admin, Command, Flags, Group, Run, Spread};
use ringkey_core::commands::key::other_database;
use ringkey_core::commands::within::exec;
use ringkey_core::keyspace::slot::{KeyHash, slot_of};
use ringkey_core::number::parse_integer;
use ringkey_core::resp::reply::Mark;
use ringkey_core::resp::{Args, CommandError, Protocol, Reply, ReplyBuffer, Request, Span};
use ringkey_core::txn::batch::{Batch, Call, Job, LockRequests, Order, Reach, push_key_locks};
use ringkey_core::txn::flight::{Flight, Shape};
use ringkey_core::txn::locks::Mode;
use ringkey_core::units::{DbIndex, ShardId, Slot};
use smallvec::SmallVec;

/// A queue keeps no more than so many bytes, and so many calls, for the next transaction.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// See [`KEPT_BYTES_MAX`].
const KEPT_CALLS_MAX: usize = 256;

/// Queues kept for reuse.
const POOL_MAX: usize = 64;

/// A queue of more bytes than this closes its client, whatever the limit for what clients may send: places of words have 31
/// bits.
pub const QUEUE_BYTES_MAX: usize = 1 << 30;

/// What a queued call needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The shard of all its keys.
    On(ShardId),
    /// Any shard: it names no key.
    Anywhere,
    /// The shards of its keys, which are several.
    Several,
    /// All shards.
    Everywhere,
    /// None: the process answers it.
    Process,
}

/// How a transaction is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// On one shard, as one job.
    One(ShardId),
    /// On several, each call on one of them.
    Apart,
    /// Calls, or watched keys, are of several shards: all entries are brought together.
    Together,
    /// Calls need all that there is.
    Everything,
}

/// How far EXEC is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    /// Calls are being queued.
    #[default]
    Queueing,
    /// The calls for the data were not yet run.
    Before,
    /// They were.
    Behind,
}

/// A transaction of a session, from MULTI on.
#[derive(Debug, Default)]
pub struct Multi {
    /// The calls, as those of a job.
    pub queue: Batch,
    /// What each of them needs.
    pub targets: Vec<Target>,
    /// The shards of those that are on one, in ascending order.
    pub shards: SmallVec<[ShardId; 4]>,
    /// The database and the protocol of the next call.
    db: DbIndex,
    protocol: Protocol,
    /// How many calls the process answers.
    steps: usize,
    /// Is any of the calls for several shards, or for all?
    has_several: bool,
    has_everywhere: bool,
    /// Does any of the calls need the whole shard?
    needs_whole: bool,
    may_replicate: bool,
    /// Does it send messages? Whoever gets one is to find all done that the transaction does.
    publishes: bool,
    /// The words of all calls and what it costs to point at them, in bytes.
    word_bytes: usize,
    /// Was a call refused?
    is_aborted: bool,
    slot: Option<Slot>,
    crosses_slots: bool,
    stage: Stage,
    /// The next call to be answered.
    next: usize,
    /// The replies of the calls for the data, where they do not go straight to the client.
    replies: ReplyBuffer,
    ends: Vec<Mark>,
    /// How many of these were handed out.
    handed_out: usize,
    /// When EXEC began, in ticks.
    began: u64,
    /// Is the head of the reply written?
    has_head: bool,
    /// The name under which EXEC was called, if it is to be shown to those who monitor and was not yet.
    pub said: Option<Box<[u8]>>,
    /// Is only this EXEC to be silent?
    skips: bool,
}

impl Multi {
    /// How many calls are queued.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// What CLIENT LIST shows as its memory: the words and what points at them, in bytes.
    pub fn word_bytes(&self) -> usize {
        self.word_bytes
    }

    /// Memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        let Batch { bytes, shared, spans, calls, .. } = &self.queue;
        size_of::<Self>()
            + bytes.capacity()
            + shared.iter().map(|word| word.len()).sum::<usize>()
            + spans.capacity() * size_of::<Span>()
            + calls.capacity() * size_of::<Call>()
            + self.targets.capacity() * size_of::<Target>()
            + self.replies.len()
    }

    /// May one of its calls leave something for replicas?
    pub fn may_replicate(&self) -> bool {
        self.may_replicate
    }

    /// Is it being carried out?
    pub fn is_executing(&self) -> bool {
        self.stage != Stage::Queueing
    }

    /// EXEC will refuse; what is queued serves no more.
    fn abort(&mut self) {
        self.is_aborted = true;
        self.empty();
    }

    fn empty(&mut self) {
        self.queue.recycle();
        self.targets.clear();
        self.shards.clear();
        (self.steps, self.word_bytes) = (0, 0);
    }

    /// For the next transaction.
    fn clear(&mut self) {
        self.empty();
        let Self { mut queue, mut targets, shards, mut replies, mut ends, .. } = std::mem::take(self);
        if queue.bytes.capacity() > KEPT_BYTES_MAX || queue.calls.capacity() > KEPT_CALLS_MAX {
            queue = Batch::default();
            targets = Vec::new();
        }
        replies.clear();
        replies.bytes.shrink_to(KEPT_BYTES_MAX);
        ends.clear();
        ends.shrink_to(KEPT_CALLS_MAX);
        *self = Self { queue, targets, shards, replies, ends, ..Self::default() };
    }

    /// Queues a call.
    fn push(&mut self, call: &Call, target: Target, args: &Args<'_>) {
        if self.is_aborted {
            return;
        }
        match target {
            Target::On(shard) => {
                if let Err(at) = self.shards.binary_search(&shard) {
                    self.shards.insert(at, shard);
                }
            }
            Target::Anywhere => {}
            Target::Several => self.has_several = true,
            Target::Everywhere => self.has_everywhere = true,
            Target::Process => {
                self.steps += 1;
                self.publishes |= matches!(call.row.run, Run::Admin(Admin::Publish | Admin::SPublish));
                self.foresee(call.row, args);
            }
        }
        self.may_replicate |= call.row.may_replicate();
        self.word_bytes += args.iter().map(<[u8]>::len).sum::<usize>() + args.len() * size_of::<usize>();
        if self.queue.jobs.is_empty() {
            self.queue.open_job(0, ringkey_core::txn::locks::Owner(0), Order::Run, Reach::Keys);
        }
        self.queue.push_call(&Call { db: self.db, protocol: self.protocol, may_put_off: false, ..call.clone() }, args);
        self.targets.push(target);
    }

    /// Has what the calls read remembered, or not. If one of them changes that, all is: who is told of a key too many reads it anew.
    fn settle_tracker(&mut self, tracker: Option<ShardId>, me: ShardId) {
        let changes = |call: &Call| matches!(call.row.run, Run::Admin(Admin::ClientTracking | Admin::ClientCaching));
        let tracker = if self.queue.calls.iter().any(changes) { Some(me) } else { tracker };
        self.queue.calls.iter_mut().for_each(|call| call.tracker = tracker);
    }

    /// What a call of the process will change for those behind it.
    fn foresee(&mut self, row: &Command, args: &Args<'_>) {
        match row.run {
            Run::Admin(Admin::Select) => {
                // Whether there is such a database was looked at by the caller.
                if let Some(index) = parse_integer(args.get(1)).and_then(|index| u32::try_from(index).ok()) {
                    self.db = DbIndex(index);
                }
            }
            Run::Admin(Admin::Hello) if args.len() > 1 => match parse_integer(args.get(1)) {
                Some(2) => self.protocol = Protocol::Resp2,
                Some(3) => self.protocol = Protocol::Resp3,
                _ => {}
            },
            _ => {}
        }
    }

    /// How it is carried out by the core `me`, if the client watches keys of these shards.
    fn class(&self, me: ShardId, watched: &[ShardId]) -> Class {
        if self.has_everywhere {
            return Class::Everything;
        }
        let of_one = match (self.shards.as_slice(), watched) {
            ([], []) => Some(me),
            ([shard], []) | ([], [shard]) => Some(*shard),
            ([shard], [other]) if shard == other => Some(*shard),
            _ => None,
        };
        match of_one {
            _ if self.has_several => Class::Together,
            Some(shard) => Class::One(shard),
            None if watched.is_empty() => Class::Apart,
            None => Class::Together,
        }
    }

    /// The calls for the data, in order, with what each of them needs.
    pub fn data_calls(&self) -> impl Iterator<Item = (&Call, Target)> {
        self.queue.calls.iter().zip(self.targets.iter().copied()).filter(|(_, target)| *target != Target::Process)
    }
}

impl Session {
    /// The shards of the keys that it watches, in ascending order.
    pub fn watched_shards(&self) -> SmallVec<[ShardId; 4]> {
        let mut shards = self.watching.as_ref().map_or_else(SmallVec::new, |watching| watching.shards.clone());
        shards.sort_unstable();
        shards
    }

    /// Is EXEC under way?
    #[inline]
    pub fn is_executing(&self) -> bool {
        self.multi.as_ref().is_some_and(|multi| multi.is_executing())
    }

    /// The transaction under way, if there is one, will be refused by EXEC.
    pub fn abort_transaction(&mut self) {
        if let Some(multi) = self.multi.as_mut().filter(|multi| !multi.is_executing()) {
            multi.abort();
        }
    }
}

impl State {
    /// A request of a session for which MULTI was called: queues it, unless it ends the transaction.
    pub fn execute_in_multi(&mut self, session: &mut Session, parsed: &Parsed, input: &[u8]) -> Done {
        let args = session.args_of(parsed, input);
        let row = match self.admit(session, parsed.row, &args) {
            Ok(row) => row,
            Err(error) => return self.refuse(session, parsed, &error, input),
        };
        if self.holds.any
            && let Err(error) = self.check_held_in_multi(session, row, parsed.key, &args)
        {
            return self.refuse(session, parsed, &error, input);
        }
        if let Err(error) = self.check_queued(session, row, parsed.key, &args) {
            return self.refuse(session, parsed, &error, input);
        }
        if self.holds_back(session, row) {
            return Done::Stop;
        }
        match row.run {
            Run::Admin(Admin::Multi | Admin::Exec | Admin::Discard) => self.transact(session, parsed, row, input),
            Run::Admin(Admin::Quit | Admin::Reset) => self.carry_out_alone(session, row, parsed, input),
            _ => {
                self.queue_call(session, parsed, row, input);
                Done::Next
            }
        }
    }

    /// The same as [`State::check_held`]; EXEC needs what the queued calls need.
    #[cold]
    fn check_held_in_multi(
        &self,
        session: &Session,
        row: &Command,
        key: Option<(u32, KeyHash)>,
        args: &Args<'_>,
    ) -> Result<(), CommandError> {
        self.check_held(session, row, key, args)?;
        let Some(multi) = session.multi.as_deref().filter(|_| matches!(row.run, Run::Admin(Admin::Exec))) else {
            return Ok(());
        };
        multi
            .queue
            .calls
            .iter()
            .try_for_each(|call| self.check_held(session, call.row, call.first_key, &multi.queue.args(call)))
    }

    /// Must the session wait for the end of a pause before this command?
    fn holds_back(&mut self, session: &mut Session, row: &Command) -> bool {
        let Some(pause) = self.paused.pause else { return false };
        let writes = matches!(row.run, Run::Admin(Admin::Exec))
            && session.multi.as_ref().is_some_and(|multi| multi.may_replicate());
        let holds = pause.holds(row) || writes;
        if holds {
            self.hold_back(session);
        }
        holds
    }

    /// What keeps a call from being queued.
    fn check_queued(
        &self,
        session: &Session,
        row: &Command,
        key: Option<(u32, KeyHash)>,
        args: &Args<'_>,
    ) -> Result<(), CommandError> {
        if matches!(row.run, Run::Admin(Admin::Debug)) {
            crate::admin::debug::check_allowed(self, session)?;
        }
        if row.flags.has(Flags::NO_MULTI) {
            return Err(CommandError::owned(format!("Command '{}' not allowed inside a transaction", row.name)));
        }
        self.check_slots(session, row, key, args)
    }

    fn queue_call(&mut self, session: &mut Session, parsed: &Parsed, row: &'static Command, input: &[u8]) {
        let before = session.output.pending.mark();
        let call = new_call(row, session, parsed.key);
        let mut multi = session.multi.take().expect("it was looked at before");
        let args = session.args_of(parsed, input);
        let target = self.target_of(session, row, parsed.key, &args);
        let needs_whole = matches!(row.spread, Spread::EveryShard { .. });
        if self.seat.is_some() && target != Target::Process {
            multi.note_slots(row, parsed.key, &args);
        }
        let is_good = !matches!(row.run, Run::Admin(Admin::Select)) || self.is_database(args.get(1));
        let db = multi.db;
        multi.push(&call, target, &args);
        multi.needs_whole |= needs_whole;
        if !is_good {
            multi.db = db;
        }
        session.multi = Some(multi);
        session.last_command = Some(row);
        session.leave_behind(parsed);
        Reply::new(&mut session.output.pending, session.protocol).simple("QUEUED");
        session.apply_reply_mode(before);
    }

    fn is_database(&self, word: &[u8]) -> bool {
        parse_integer(word).is_some_and(|index| (0..i64::from(self.site.shard.database_count())).contains(&index))
    }

    /// What a call needs.
    fn target_of(
        &self,
        session: &Session,
        row: &'static Command,
        key: Option<(u32, KeyHash)>,
        args: &Args<'_>,
    ) -> Target {
        let has_one_shard = self.map.shards() == 1 || session.on_core_port;
        match row.run {
            Run::OnShard(_) => {}
            // What they are about is the data.
            Run::Admin(Admin::RandomKey | Admin::Scan | Admin::SwapDb) if !session.on_core_port => {
                return Target::Everywhere;
            }
            _ => return Target::Process,
        }
        if let Some((_, hash)) = key {
            return Target::On(self.map.shard_of(hash.slot));
        }
        if matches!(row.spread, Spread::EveryShard { .. }) {
            return if has_one_shard { Target::On(self.me) } else { Target::Everywhere };
        }
        // A script that is not known to keep to its keys may touch any, and cannot be undone in the midst of others.
        if self.needs_every_shard(row, args) || self.nature_of(row, args) != Nature::Bound {
            return Target::Everywhere;
        }
        let (mut shard, mut several) = (None, false);
        let fits = row.visit_keys(args, |index, _| {
            let here = self.shard_of_key(args.get(index));
            several |= shard.is_some_and(|known| known != here);
            shard = Some(here);
        });
        match shard {
            // The handler says what is wrong with the words.
            _ if !fits => Target::Anywhere,
            None => Target::Anywhere,
            Some(_) if several => Target::Several,
            Some(shard) => Target::On(shard),
        }
    }

    /// MULTI, EXEC and DISCARD.
    pub fn transact(&mut self, session: &mut Session, parsed: &Parsed, row: &'static Command, input: &[u8]) -> Done {
        if self.site.monitored.is_some() {
            let word: SmallVec<[u8; 8]> = SmallVec::from_slice(session.args_of(parsed, input).get(0));
            self.note_transacting(session, row, &word);
        }
        session.leave_behind(parsed);
        session.note_command(row);
        self.statistics.commands += 1;
        if matches!(row.run, Run::Admin(Admin::Exec)) {
            return self.exec(session, row);
        }
        self.site.watch.start();
        let before = session.output.pending.mark();
        let mut failed = false;
        match row.run {
            Run::Admin(Admin::Multi) => {
                let mut multi = self.multis.pop().unwrap_or_default();
                (multi.db, multi.protocol) = (session.db, session.protocol);
                multi.queue.home = self.me;
                session.multi = Some(multi);
                session.facts.has_used_multi = true;
                Reply::new(&mut session.output.pending, session.protocol).ok();
            }
            _ if session.multi.is_none() => {
                failed = true;
                self.write_error(session, &CommandError::text("DISCARD without MULTI"));
            }
            _ => {
                self.discard(session);
                Reply::new(&mut session.output.pending, session.protocol).ok();
            }
        }
        let ticks = self.site.watch.lap();
        self.site.watch.record(row, ticks, failed);
        self.paths.answered(row.id, 1, session.tracked.arrived);
        session.apply_reply_mode(before);
        Done::Next
    }

    fn write_error(&mut self, session: &mut Session, error: &CommandError) {
        self.site.errors.note(error.code());
        Reply::new(&mut session.output.pending, session.protocol).error(error);
    }

    /// Drops the transaction of a session, and what it watches.
    pub fn discard(&mut self, session: &mut Session) {
        self.end_watching(session);
        if let Some(mut multi) = session.multi.take()
            && self.multis.len() < POOL_MAX
        {
            multi.clear();
            self.multis.push(multi);
        }
    }

    /// EXEC: carries out what can be at once.
    fn exec(&mut self, session: &mut Session, row: &'static Command) -> Done {
        self.site.watch.start();
        let began = self.site.watch.ticks();
        let before = session.output.pending.mark();
        if let Err(error) = self.check_exec(session) {
            self.note_exec(session, row);
            self.discard(session);
            self.write_error(session, &error);
            let ticks = self.site.watch.lap();
            self.site.watch.record(row, ticks, true);
            self.paths.answered(row.id, 1, session.tracked.arrived);
            session.apply_reply_mode(before);
            return Done::Next;
        }
        let mut multi = session.multi.take().expect("it was looked at just now");
        (multi.stage, multi.began) = (Stage::Before, began);
        if multi.steps > 0 || session.tracking.is_some() {
            multi.settle_tracker(session.tracker, self.me);
        }
        // Until all calls are carried out there is no way back to where the reply began.
        multi.skips = session.reply_mode == ReplyMode::Skip;
        if multi.skips {
            session.reply_mode = ReplyMode::Off;
        }
        self.statistics.commands += multi.len() as u64;
        session.commands += multi.len() as u64;
        let watched = session.watched_shards();
        if multi.steps == 0 || multi.publishes || !watched.is_empty() {
            let is_done = self.begin_calls(session, &mut multi, &watched);
            if is_done {
                write_head(session, &mut multi);
            }
            session.multi = Some(multi);
            if !is_done {
                return Done::Stop;
            }
        } else {
            write_head(session, &mut multi);
            session.multi = Some(multi);
        }
        if self.go_on_with_exec(session) { Done::Next } else { Done::Stop }
    }

    /// What keeps a transaction from being carried out.
    fn check_exec(&self, session: &Session) -> Result<(), CommandError> {
        let Some(multi) = session.multi.as_deref() else { return Err(CommandError::text("EXEC without MULTI")) };
        if multi.is_aborted {
            return Err(CommandError::Coded("EXECABORT", "Transaction discarded because of previous errors.".into()));
        }
        if multi.crosses_slots {
            return Err(CommandError::CrossSlot);
        }
        // What is served may have changed since the calls were queued.
        multi.queue.calls.iter().try_for_each(|call| match self.seat.is_some() {
            true => self.check_slots(session, call.row, call.first_key, &multi.queue.args(call)),
            false => Ok(()),
        })
    }

    /// Has the calls for the data run. `true` if they were; else the session waits for that.
    fn begin_calls(&mut self, session: &mut Session, multi: &mut Multi, watched: &[ShardId]) -> bool {
        multi.stage = Stage::Behind;
        match multi.class(self.me, watched) {
            Class::One(shard) if shard == self.me && watched.is_empty() && self.admits_all(multi) => {
                self.run_here(session, multi);
                return true;
            }
            Class::One(shard) => self.send_unit(session, multi, shard, !watched.is_empty()),
            // What is to be shown in its order runs in its order.
            Class::Apart if self.site.monitored.is_some() => {
                self.exec_over_several(session, multi, Class::Together, watched);
            }
            Class::Apart => self.fly_apart(session, multi),
            class => self.exec_over_several(session, multi, class, watched),
        }
        false
    }

    /// May all calls run on this core's shard now?
    fn admits_all(&self, multi: &Multi) -> bool {
        self.site.is_idle()
            || !multi.needs_whole && multi.data_calls().all(|(call, _)| self.site.admits(call, &multi.queue.args(call)))
    }

    /// Runs the calls for the data on this core's shard: their replies go to the client, or, if those of others stand between
    /// them, to where they are handed out from.
    fn run_here(&mut self, session: &mut Session, multi: &mut Multi) {
        let is_plain = multi.steps == 0;
        if is_plain {
            write_head(session, multi);
        }
        let before = session.output.pending.mark();
        let Multi { queue, targets, replies, ends, .. } = multi;
        self.site.begin_unit();
        for (call, target) in queue.calls.iter().zip(targets) {
            if *target == Target::Process {
                continue;
            }
            let args = queue.args(call);
            let out = if is_plain { &mut session.output.pending } else { &mut *replies };
            let len = out.len();
            crash::note_command(call.row, &args);
            let ticks = self.site.run(self.now, call, &args, out);
            let reply = out.len() - len;
            if !is_plain {
                ends.push(replies.mark());
            }
            self.note_call(session, call.row, &args, Measure { ticks, request: 0, reply });
        }
        crash::done();
        self.site.end_unit(self.now);
        if session.reply_mode == ReplyMode::Off {
            session.output.pending.rewind(before);
        }
    }

    /// Sends the calls for the data to the shard that they all are of.
    fn send_unit(&mut self, session: &mut Session, multi: &mut Multi, shard: ShardId, watches: bool) {
        let owner = self.new_owner();
        let ticket = session.ticket();
        let mut whole = None;
        let batch = if multi.needs_whole {
            let mut batch = self.take_batch();
            batch.open_job(ticket, owner, Order::Run, Reach::Whole(Mode::Exclusive));
            whole.insert(batch)
        } else {
            self.open_remote_job(shard, ticket, owner, Order::Run)
        };
        if multi.steps == 0 {
            batch.push_calls_of(&multi.queue);
        } else {
            for (call, _) in multi.data_calls() {
                batch.push_call(call, &multi.queue.args(call));
            }
        }
        let job = batch.jobs.last_mut().expect("it was opened just now");
        job.is_unit = true;
        if watches {
            job.watcher = session.id;
        }
        if let Some(whole) = whole {
            self.send_alone(shard, whole);
        }
        session.pending = Pending::Unit;
    }

    /// Has calls of several shards run at one moment, each on its own.
    fn fly_apart(&mut self, session: &mut Session, multi: &mut Multi) {
        let shards = multi.shards.clone();
        let mut flight = self.new_flight(session, Shape::Unit, Reach::Keys, &shards);
        self.have_events_brought(&mut flight, multi.data_calls().map(|(call, _)| call.row));
        if shards.len() == 2 && self.relay_unit(session, &mut flight, multi) {
            self.statistics.flights += 1;
            session.pending = Pending::Flight(flight, None);
            return;
        }
        for (call, target) in multi.data_calls() {
            flight.push(shard_of(target, shards[0]), call, &multi.queue.args(call), None);
        }
        self.take_off(session, flight, None);
    }

    /// Sends a transaction over two shards off without batches of its own: the leg that comes first runs here in place or
    /// travels with what this pass has for its shard anyway. `false` if locks are in the way; nothing is done then.
    fn relay_unit(&mut self, session: &mut Session, flight: &mut Flight, multi: &Multi) -> bool {
        let anywhere = multi.shards[0];
        let is_here = flight.shard(0) == self.me;
        if is_here {
            let mut locks = LockRequests::new();
            let shard = &self.site.shard;
            for (call, _) in multi.data_calls().filter(|(_, target)| shard_of(*target, anywhere) == self.me) {
                let args = multi.queue.args(call);
                push_key_locks(call.row, &args, call.first_key, |key| shard.key(key).hash, &mut locks);
            }
            // All stay locked until the other leg has run, so that nobody sees half of the transaction.
            if !self.site.try_keep(flight.owner(), &locks, &locks) {
                return false;
            }
        }
        let away = usize::from(is_here);
        let target = flight.shard(away);
        let order = if is_here && !flight.keeps_all() { Order::Run } else { Order::RunAndKeep };
        self.open_remote_leg(flight, away, session.ticket(), order);
        self.site.watch.start();
        self.site.begin_unit();
        for (call, on) in multi.data_calls() {
            let shard = shard_of(on, anywhere);
            let (_, keep) = flight.note(shard, call.protocol);
            let call = Call { keep, ..call.clone() };
            let args = multi.queue.args(&call);
            if shard == target {
                self.outgoing(target).push_call(&call, &args);
            } else if is_here {
                let batch = flight.batch_of(0);
                let len = batch.replies.len();
                let ticks = self.site.run_in_leg(self.now, &call, &args, batch);
                let reply = batch.replies.len() - len;
                self.note_call(session, call.row, &args, Measure { ticks, request: 0, reply });
            } else {
                flight.batch_of(1).push_call(&call, &args);
            }
        }
        self.site.end_unit(self.now);
        flight.relay(away);
        true
    }

    /// Has a transaction whose calls, or watched keys, span shards by themselves carried out here, in one call over what the
    /// shards lend: the entries of its keys, or all that they have.
    fn exec_over_several(&mut self, session: &mut Session, multi: &Multi, class: Class, watched: &[ShardId]) {
        let mut request = exec::request();
        for (call, target) in multi.data_calls() {
            let args = multi.queue.args(call);
            if target == Target::Everywhere && call.row.group == Group::Scripting {
                crate::script::note_call(call.row, &args);
            }
            exec::push(&mut request, call.row, call.db, &args);
        }
        if class == Class::Everything {
            return self.gather_everything(session, &exec::UNIT, request);
        }
        let mut places = Vec::new();
        for (call, _) in multi.data_calls() {
            let args = multi.queue.args(call);
            let other = other_database(call.row, &args, self.site.shard.database_count());
            call.row.visit_keys(&args, |index, _| {
                let name = args.get(index);
                for db in std::iter::once(call.db).chain(other) {
                    places.push((self.shard_of_key(name), db, Box::from(name)));
                }
            });
        }
        self.gather_unit(session, request, places, watched);
    }

    /// The calls for the data were carried out over what shards had lent, or a watched key has changed.
    pub fn unit_gathered(&mut self, index: u32, replies: Option<&ReplyBuffer>) {
        let ends = std::mem::take(&mut self.site.unit_ends);
        let Some(session) = self.sessions[index as usize].as_deref_mut() else { return };
        let Some(mut multi) = session.multi.take() else { return };
        match replies {
            None => {
                multi.next = multi.len();
                if session.reply_mode == ReplyMode::On {
                    Reply::new(&mut session.output.pending, session.protocol).null_array();
                }
            }
            Some(replies) => {
                write_head(session, &mut multi);
                if multi.steps > 0 {
                    multi.replies.append_range(replies, Mark::default(), replies.mark());
                    multi.ends.extend(ends);
                } else if session.reply_mode == ReplyMode::On {
                    session.output.pending.append_range(replies, Mark::default(), replies.mark());
                }
            }
        }
        session.multi = Some(multi);
    }

    /// The calls for the data have come back from the one shard that they all are of.
    pub fn unit_came_home(&mut self, index: u32, batch: &Batch, job: &Job) {
        let Some(mut session) = self.sessions[index as usize].take() else { return };
        session.pending = Pending::Nothing;
        if let Some(mut multi) = session.multi.take() {
            let (from, to) = (job.replies_from, batch.end_of(job));
            if job.refused {
                // A watched key has changed.
                multi.next = multi.len();
                if session.reply_mode == ReplyMode::On {
                    Reply::new(&mut session.output.pending, session.protocol).null_array();
                }
            } else if multi.steps == 0 {
                write_head(&mut session, &mut multi);
                session.append_replies(&batch.replies, from, to);
            } else {
                for at in job.calls.0..job.calls.1 {
                    let (from, to) = batch.reply_range(job, at);
                    multi.replies.append_range(&batch.replies, from, to);
                    multi.ends.push(multi.replies.mark());
                }
                write_head(&mut session, &mut multi);
            }
            session.multi = Some(multi);
        }
        self.sessions[index as usize] = Some(session);
        self.ready.push_back(index);
    }

    /// The calls for the data have come back from several shards.
    pub fn unit_landed(&mut self, flight: &Flight, index: u32) {
        let Some(session) = self.sessions[index as usize].as_deref_mut() else { return };
        let Some(mut multi) = session.multi.take() else { return };
        write_head(session, &mut multi);
        if multi.steps > 0 {
            let Multi { replies, ends, .. } = &mut *multi;
            flight.copy_replies(replies, |end| ends.push(end));
        } else if session.reply_mode == ReplyMode::On {
            flight.assemble(0, &mut session.output.pending);
        }
        session.multi = Some(multi);
    }

    /// Goes on with EXEC as far as it can without waiting. `true` if it is over.
    pub fn go_on_with_exec(&mut self, session: &mut Session) -> bool {
        while session.pending.is_nothing() {
            let Some(multi) = session.multi.as_deref_mut() else { return true };
            let Some(target) = multi.targets.get(multi.next).filter(|_| multi.steps > 0) else {
                self.finish_exec(session);
                return true;
            };
            if *target == Target::Process {
                self.carry_out_step(session);
                continue;
            }
            if multi.stage == Stage::Before {
                let mut multi = session.multi.take().expect("it was looked at just now");
                let is_done = self.begin_calls(session, &mut multi, &[]);
                session.multi = Some(multi);
                if !is_done {
                    return false;
                }
                continue;
            }
            let at = multi.handed_out;
            let from = if at == 0 { Mark::default() } else { multi.ends[at - 1] };
            if session.reply_mode == ReplyMode::On {
                session.output.pending.append_range(&multi.replies, from, multi.ends[at]);
            }
            multi.handed_out += 1;
            multi.next += 1;
        }
        false
    }

    /// Carries out the next call, which is one of the process.
    fn carry_out_step(&mut self, session: &mut Session) {
        let Some(multi) = session.multi.as_deref_mut() else { return };
        let call = &multi.queue.calls[multi.next];
        let (row, request) = (call.row, Request::copy_of(&multi.queue.args(call)));
        multi.next += 1;
        let Run::Admin(admin) = row.run else { return };
        let args = request.args();
        let (before, len) = (session.output.pending.mark(), session.output.pending.len());
        session.tracked.began = self.site.watch.ticks();
        crash::note_command(row, &args);
        let result = crate::admin::carry_out(self, session, admin, &args);
        crash::done();
        if let Err(error) = &result {
            session.output.pending.rewind(before);
            self.write_error(session, error);
        }
        if self.site.monitored.is_some() {
            self.note_alone(session, row, &args);
        }
        session.tracked.request = request;
        if session.pending.is_nothing() {
            let ticks = self.site.watch.ticks().saturating_sub(session.tracked.began);
            self.conclude(session, row, ticks, session.output.pending.len() - len, result.is_err());
            session.apply_reply_mode(before);
        } else {
            // Under this name it is counted when its answers are there.
            session.last_command = Some(row);
            session.tracked.leaves(row);
        }
    }

    /// All calls are answered.
    fn finish_exec(&mut self, session: &mut Session) {
        let Some(multi) = session.multi.as_deref() else { return };
        let (began, skips) = (multi.began, multi.skips);
        if skips {
            session.reply_mode = ReplyMode::On;
        }
        let row = exec_row();
        self.note_exec(session, row);
        self.discard(session);
        session.last_command = Some(row);
        let ticks = self.site.watch.ticks().saturating_sub(began);
        self.conclude(session, row, ticks, 0, false);
        self.paths.answered(row.id, 1, session.tracked.arrived);
        self.site.watch.start();
    }
}

impl Multi {
    /// Notes the slots of a call's keys: in a cluster all keys of a transaction are of one.
    fn note_slots(&mut self, row: &Command, key: Option<(u32, KeyHash)>, args: &Args<'_>) {
        let Self { slot, crosses_slots, .. } = self;
        let mut note = |here: Slot| *crosses_slots |= *slot.get_or_insert(here) != here;
        match key {
            Some((_, hash)) => note(hash.slot),
            None => {
                row.visit_keys(args, |index, _| note(slot_of(args.get(index))));
            }
        }
    }
}

/// The shard on which a call runs; one that may run anywhere runs on `anywhere`.
fn shard_of(target: Target, anywhere: ShardId) -> ShardId {
    if let Target::On(shard) = target { shard } else { anywhere }
}

fn exec_row() -> &'static Command {
    ringkey_core::command::table::lookup(b"exec").expect("the table has EXEC")
}

/// Writes the head of the reply to a transaction, once.
fn write_head(session: &mut Session, multi: &mut Multi) {
    if !std::mem::replace(&mut multi.has_head, true) && session.reply_mode == ReplyMode::On {
        Reply::new(&mut session.output.pending, session.protocol).array(multi.len());
    }
}
