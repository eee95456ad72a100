//! What one connection has under way on several cores, as a pure state machine: batches come home, steps go out.
//!
//! A flight has one leg a shard, in ascending order of shards. It comes in three shapes:
//! - **calls**: a stretch of a pipeline, or the fragments of a command that falls apart by keys. Up to two legs are
//!   visited one after the other; each visit locks and runs in one, so two cores cost one hop. The locks hide what a
//!   leg did from everybody until the last leg has run. For a pipeline only those calls keep locks that run before an
//!   earlier call of another leg (program order); for fragments, and for the calls of a transaction, all do (atomicity).
//!   With three legs and more the locks are first tried on all legs at once; if all are granted, all legs run at once.
//!   If any is refused, all are given back and the legs are visited in order. Who tries never waits, who waits goes
//!   upwards only: no deadlock, and nothing that was run is ever undone.
//!   A leg of a flight over two shards needs no batch of its own: it can run in place at home ([`Flight::relay`]), or
//!   travel in a batch with what others have for that shard ([`Flight::arrived_in`]).
//! - **every shard**: the same with locks on whole shards.
//! - **gather**: the keys are locked and their entries lent to the home core leg by leg; the caller runs the command
//!   over them and the entries go back with the release. With locks on whole shards all that they have is lent: where
//!   no lock is in the way, by all of them at once.
//! - **two rounds**: a stretch of calls leg by leg that all keep their locks until the caller, who meanwhile may wait for
//!   anything, says what is run under them and ends them ([`Flight::begin_second_round`]).
//!
//! Where somebody subscribes to what becomes of keys, a flight of calls **brings the events home** ([`Flight::bring_events`]):
//! only there they can be put in program order. All its legs keep their locks until that is done, so that
//! nobody else has anything to tell of the same keys before.

use super::batch::{Batch, Call, Order, Reach};
use super::join::{Part, join_replies};
use super::locks::Owner;
use crate::command::Join;
use crate::keyspace::KeyHash;
use crate::keyspace::events::Event;
use crate::resp::reply::Mark;
use crate::resp::{Args, Protocol, ReplyBuffer};
use crate::units::ShardId;
use smallvec::SmallVec;

/// From this number of legs on, locks are first tried on all of them at once.
const LEGS_AT_ONCE_MIN: usize = 3;

/// Something that the home core has to do for a flight.
#[derive(Debug)]
pub enum Step {
    /// Bring this batch to the shard.
    Send(ShardId, Box<Batch>),
    /// Add a job for this leg to what goes to the shard anyway: [`Flight::join`].
    Join(ShardId, Order),
    /// Have the shard release the flight's locks; nobody waits for it.
    Release(ShardId),
}

/// How far a flight is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Batches are still under way.
    UnderWay,
    /// All legs are back: the replies can be assembled.
    Landed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Legs run, or lend, one after the other; this one is out.
    InTurn(usize),
    /// All legs try to take their locks; so many are out.
    Trying(usize),
    /// All legs run under their locks; so many are out.
    Running(usize),
    Landed,
}

#[derive(Debug)]
struct Leg {
    shard: ShardId,
    /// Its calls, and later their replies; away while the leg is out, unless it is merged with others.
    batch: Option<Box<Batch>>,
    /// It is out in a batch with the jobs of others, and `batch` waits at home for the replies.
    is_merged: bool,
    /// Does any of its calls keep its locks when visited in turn?
    keeps: bool,
    /// Were its locks refused when they were tried?
    is_refused: bool,
    /// Has it lent anything, or at least taken its locks to do so?
    has_lent: bool,
    /// Has it found that a key has changed which its watcher watches?
    is_stale: bool,
}

/// What becomes of the replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Each call has a reply of its own.
    Calls,
    /// The same, and all take effect together.
    Unit,
    /// All calls have one reply together.
    Joined(Join),
    /// The legs lend entries; the reply is the caller's.
    Gather,
    /// All calls keep their locks, and there is a second round under them; the reply is the caller's.
    TwoRounds,
}

/// What one connection has under way on several cores.
#[derive(Debug)]
pub struct Flight {
    owner: Owner,
    shape: Shape,
    reach: Reach,
    protocol: Protocol,
    legs: SmallVec<[Leg; 2]>,
    /// The leg of each call, in program order.
    order: SmallVec<[u16; 32]>,
    phase: Phase,
    /// The latest leg that any call so far runs on; what goes to an earlier one overtakes it.
    latest_leg: u16,
    /// How long its parts have taken so far, in ticks.
    pub ticks: u64,
    /// Is it to be noted for those who monitor, at a moment when all its locks are held?
    is_monitored: bool,
    /// Has this moment just come?
    is_noteworthy: bool,
    /// Do its legs bring home what becomes of keys?
    brings_events: bool,
}

impl Flight {
    /// A flight to `shards`, which are in ascending order, with no calls yet. `spare` gives empty batches of the home
    /// core.
    pub fn new(
        owner: Owner,
        ticket: u64,
        shape: Shape,
        reach: Reach,
        shards: &[ShardId],
        mut spare: impl FnMut() -> Box<Batch>,
    ) -> Self {
        debug_assert!(shards.is_sorted(), "locks are taken in ascending order of shards");
        let order = if shape == Shape::Gather { Order::Lend } else { Order::Run };
        let legs = shards
            .iter()
            .map(|shard| {
                let mut batch = spare();
                batch.open_job(ticket, owner, order, reach);
                Leg {
                    shard: *shard,
                    batch: Some(batch),
                    is_merged: false,
                    keeps: false,
                    is_refused: false,
                    has_lent: false,
                    is_stale: false,
                }
            })
            .collect();
        let protocol = Protocol::default();
        let (order, phase) = (SmallVec::new(), Phase::Landed);
        let (latest_leg, ticks, is_monitored, is_noteworthy, brings_events) = (0, 0, false, false, false);
        Self {
            owner,
            shape,
            reach,
            protocol,
            legs,
            order,
            phase,
            latest_leg,
            ticks,
            is_monitored,
            is_noteworthy,
            brings_events,
        }
    }

    /// Somebody subscribes to what becomes of keys: all legs keep their locks, and bring that home, where it is to be told
    /// ([`Flight::take_events`]) before what the flight has still to be done when it lands. Before any call is pushed.
    pub fn bring_events(&mut self) {
        debug_assert!(
            self.order.is_empty() && self.reach == Reach::Keys && self.shape != Shape::Gather,
            "it has calls"
        );
        self.brings_events = true;
        for leg in &mut self.legs {
            leg.batch.as_mut().expect("a flight that has not started holds its batches").jobs[0].brings_events = true;
        }
    }

    /// Do its legs bring home what becomes of keys?
    pub fn brings_events(&self) -> bool {
        self.brings_events
    }

    /// Does its last leg keep its locks, too?
    pub fn keeps_all(&self) -> bool {
        self.is_monitored || self.brings_events
    }

    /// Somebody monitors: all legs of the command keep their locks until there is a moment at which all are held
    /// ([`Flight::take_noteworthy`]). Before any call is pushed.
    pub fn monitor(&mut self) {
        debug_assert!(self.order.is_empty() && matches!(self.shape, Shape::Joined(_)), "commands are noted as a whole");
        self.is_monitored = true;
    }

    /// Is it to be noted for those who monitor, and was not yet?
    pub fn is_monitored(&self) -> bool {
        self.is_monitored
    }

    /// Is this the moment at which all locks are held? It is told once, after a batch has come home.
    pub fn take_noteworthy(&mut self) -> bool {
        let is_noteworthy = std::mem::take(&mut self.is_noteworthy);
        self.is_monitored &= !is_noteworthy;
        is_noteworthy
    }

    /// The owner of its locks.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// What becomes of its replies.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Adds a call, the next in program order, to the leg of `shard`: all its words, or its name and some of them.
    pub fn push(&mut self, shard: ShardId, call: &Call, args: &Args<'_>, words: Option<std::ops::Range<usize>>) {
        let (at, keep) = self.note(shard, call.protocol);
        let batch = self.legs[at].batch.as_mut().expect("a flight that has not started holds its batches");
        let call = Call { keep, may_put_off: false, ..call.clone() };
        match words {
            None => batch.push_call(&call, args),
            Some(words) => batch.push_fragment(&call, args, words),
        }
    }

    /// Notes that the next call in program order goes to `shard`, by whatever way. Returns its leg, and whether it must
    /// keep its locks.
    pub fn note(&mut self, shard: ShardId, protocol: Protocol) -> (usize, bool) {
        let at = self.legs.iter().position(|leg| leg.shard == shard).expect("the flight was made with all its shards");
        let leg = at as u16;
        let keep = match self.shape {
            Shape::Calls => leg < self.latest_leg || self.brings_events,
            Shape::Joined(_) | Shape::Unit => at + 1 < self.legs.len() || self.keeps_all(),
            Shape::Gather | Shape::TwoRounds => true,
        };
        self.latest_leg = self.latest_leg.max(leg);
        self.protocol = protocol;
        self.legs[at].keeps |= keep;
        self.order.push(leg);
        (at, keep)
    }

    /// Does any call of a leg keep its locks?
    pub fn keeps(&self, leg: usize) -> bool {
        self.legs[leg].keeps
    }

    /// The shard of a leg.
    pub fn shard(&self, leg: usize) -> ShardId {
        self.legs[leg].shard
    }

    /// The batch of a leg that is at home: what waits for its turn, or where the replies of what runs in place are
    /// written, the end of each to `ends`.
    pub fn batch_of(&mut self, leg: usize) -> &mut Batch {
        self.legs[leg].batch.as_mut().expect("a leg that runs in place is at home")
    }

    /// Forgets the calls noted so far, none of which was pushed.
    pub fn forget(&mut self) {
        self.order.clear();
        self.latest_leg = 0;
        self.legs.iter_mut().for_each(|leg| leg.keeps = false);
    }

    /// Takes off with `leg` on its way in a batch of its home core; of the legs before it, the replies are there.
    pub fn relay(&mut self, leg: usize) {
        debug_assert!(self.legs.len() < LEGS_AT_ONCE_MIN && self.joins(), "only flights over two shards do so");
        for leg in &mut self.legs[..leg] {
            let batch = leg.batch.as_mut().expect("a leg that ran in place is at home");
            batch.jobs[0].calls = (0, batch.ends.len() as u32);
        }
        self.legs[leg].is_merged = true;
        self.phase = Phase::InTurn(leg);
    }

    /// Does the leg of `shard` travel in a batch with the jobs of others?
    pub fn is_merged(&self, shard: ShardId) -> bool {
        self.legs.iter().any(|leg| leg.shard == shard && leg.is_merged)
    }

    /// Adds keys to be lent by `shard`: words of `args`, without its name.
    pub fn push_keys(&mut self, shard: ShardId, call: &Call, keys: &Args<'_>) {
        let leg = self.legs.iter_mut().find(|leg| leg.shard == shard).expect("the flight was made with all its shards");
        leg.keeps = true;
        leg.batch.as_mut().expect("a flight that has not started holds its batches").push_call(call, keys);
    }

    /// Has a key changed that its client watches? Then what it was to do is not to be done; what was lent goes back.
    pub fn is_stale(&self) -> bool {
        self.legs.iter().any(|leg| leg.is_stale)
    }

    /// Takes off. `hash` hashes keys.
    pub fn start(&mut self, hash: impl Fn(&[u8]) -> KeyHash, steps: &mut Vec<Step>) {
        let waits_in_turn = self.legs.len() < LEGS_AT_ONCE_MIN || self.shape == Shape::TwoRounds;
        if waits_in_turn || (self.shape == Shape::Gather && self.reach == Reach::Keys) {
            return self.send_in_turn(0, steps);
        }
        if self.joins() {
            for leg in &mut self.legs {
                leg.batch.as_mut().expect("a flight that has not started holds its batches").fill_locks(&hash);
            }
        }
        self.phase = Phase::Trying(self.legs.len());
        self.send_all(Order::TryLock, steps);
    }

    /// Do its legs travel as jobs in batches with those of others? Lent entries, whole shards and what may be long go alone.
    fn joins(&self) -> bool {
        self.reach == Reach::Keys && !matches!(self.shape, Shape::Gather | Shape::TwoRounds)
    }

    /// Adds the job of a leg to a batch for its shard, as [`Step::Join`] asks.
    pub fn join(&mut self, shard: ShardId, order: Order, batch: &mut Batch) {
        let owner = self.owner;
        let leg = self.leg_of(shard);
        let packed = leg.batch.as_deref().expect("a leg that joins others waits at home");
        batch.open_job(packed.jobs[0].ticket, owner, order, Reach::Keys);
        if order == Order::TryLock {
            batch.push_locks_of(packed);
        } else {
            batch.push_calls_of(packed);
        }
        leg.is_merged = true;
        self.mark(batch);
    }

    /// Has the job that was opened last in a batch be one of this flight.
    pub fn mark(&self, batch: &mut Batch) {
        let job = batch.jobs.last_mut().expect("it was opened just now");
        (job.is_unit, job.brings_events) = (self.shape == Shape::Unit, self.brings_events);
    }

    /// A batch has come home.
    pub fn arrived(&mut self, batch: Box<Batch>, from: ShardId, steps: &mut Vec<Step>) -> Progress {
        let leg = self.leg_of(from);
        debug_assert!(leg.batch.is_none(), "a leg comes home once");
        leg.is_refused = batch.jobs[0].refused;
        leg.is_stale = batch.jobs[0].is_stale;
        let ticks = batch.jobs[0].part_ticks;
        leg.batch = Some(batch);
        self.ticks += ticks;
        self.advance(steps)
    }

    /// Job `job` of a batch that has come home was a leg.
    pub fn arrived_in(&mut self, batch: &Batch, job: usize, from: ShardId, steps: &mut Vec<Step>) -> Progress {
        let is_trying = matches!(self.phase, Phase::Trying(_));
        let leg = self.leg_of(from);
        assert!(std::mem::take(&mut leg.is_merged), "a leg comes home once");
        leg.is_refused = batch.jobs[job].refused;
        if !is_trying {
            leg.batch.as_mut().expect("it has waited at home").take_replies(batch, job);
            self.ticks += batch.jobs[job].part_ticks;
        }
        self.advance(steps)
    }

    fn leg_of(&mut self, shard: ShardId) -> &mut Leg {
        self.legs.iter_mut().find(|leg| leg.shard == shard).expect("only legs of the flight come home")
    }

    fn advance(&mut self, steps: &mut Vec<Step>) -> Progress {
        match self.phase {
            Phase::InTurn(at) if at + 1 < self.legs.len() && !self.legs[at].is_stale => {
                self.send_in_turn(at + 1, steps)
            }
            Phase::InTurn(_) => self.land(true, steps),
            Phase::Trying(1) => self.tried(steps),
            Phase::Running(1) => self.land(false, steps),
            Phase::Trying(out) => self.phase = Phase::Trying(out - 1),
            Phase::Running(out) => self.phase = Phase::Running(out - 1),
            Phase::Landed => debug_assert!(false, "nothing is under way"),
        }
        if self.phase == Phase::Landed { Progress::Landed } else { Progress::UnderWay }
    }

    /// All have answered whether they got their locks.
    fn tried(&mut self, steps: &mut Vec<Step>) {
        if self.legs.iter().all(|leg| !leg.is_refused && !leg.is_stale) {
            self.phase = Phase::Running(self.legs.len());
            self.is_noteworthy = self.is_monitored;
            let order = if self.shape == Shape::Gather { Order::LendHeld } else { self.order_of_held() };
            return self.send_all(order, steps);
        }
        for leg in &mut self.legs {
            if !leg.is_refused {
                steps.push(Step::Release(leg.shard));
            }
        }
        if self.is_stale() {
            self.phase = Phase::Landed;
            return;
        }
        self.send_in_turn(0, steps);
    }

    /// What legs are to do that hold their locks already.
    fn order_of_held(&self) -> Order {
        if self.brings_events { Order::RunHeldAndKeep } else { Order::RunHeld }
    }

    fn send_all(&mut self, order: Order, steps: &mut Vec<Step>) {
        for at in 0..self.legs.len() {
            self.send(at, order, steps);
        }
    }

    fn send(&mut self, at: usize, order: Order, steps: &mut Vec<Step>) {
        let joins = self.joins();
        let leg = &mut self.legs[at];
        leg.has_lent |= matches!(order, Order::Lend | Order::LendHeld);
        steps.push(if joins { Step::Join(leg.shard, order) } else { leg.take(order) });
    }

    fn send_in_turn(&mut self, at: usize, steps: &mut Vec<Step>) {
        self.phase = Phase::InTurn(at);
        let last = at + 1 == self.legs.len();
        let order = match self.shape {
            Shape::Gather => Order::Lend,
            Shape::TwoRounds => Order::RunAndKeep,
            _ if self.legs[at].keeps && (!last || self.keeps_all()) => Order::RunAndKeep,
            _ => Order::Run,
        };
        self.send(at, order, steps);
    }

    fn land(&mut self, was_in_turn: bool, steps: &mut Vec<Step>) {
        self.phase = Phase::Landed;
        if !was_in_turn && self.brings_events {
            return self.release_all(steps);
        }
        if was_in_turn && !matches!(self.shape, Shape::Gather | Shape::TwoRounds) {
            self.is_noteworthy = self.is_monitored;
            if self.keeps_all() {
                return self.release_all(steps);
            }
            let (_, others) = self.legs.split_last().expect("a flight has legs");
            steps.extend(others.iter().filter(|leg| leg.keeps).map(|leg| Step::Release(leg.shard)));
        }
    }

    fn release_all(&self, steps: &mut Vec<Step>) {
        steps.extend(self.legs.iter().map(|leg| Step::Release(leg.shard)));
    }

    /// Do its legs lend all that their shards have?
    pub fn lends_everything(&self) -> bool {
        self.shape == Shape::Gather && self.reach != Reach::Keys
    }

    /// The shards of `watched` are to lend nothing if a key has changed that this client watches. Those keys are locked for
    /// reading. For what is lent only: whatever runs leg by leg might be half done when that turns out.
    pub fn set_watcher(&mut self, client: u64, watched: &[ShardId]) {
        debug_assert!(self.shape == Shape::Gather && self.phase == Phase::Landed, "it has not started");
        for leg in self.legs.iter_mut().filter(|leg| watched.contains(&leg.shard)) {
            let batch = leg.batch.as_mut().expect("a flight that has not started holds its batches");
            batch.jobs[0].watcher = client;
        }
    }

    /// The batches with the lent entries, in the order of the shards.
    pub fn lent_batches(&mut self) -> SmallVec<[&mut Batch; 4]> {
        self.legs.iter_mut().filter_map(|leg| leg.batch.as_deref_mut()).collect()
    }

    /// Sends back what was lent; the locks end with their arrival.
    pub fn give_back(&mut self, steps: &mut Vec<Step>) {
        debug_assert!(self.shape == Shape::Gather && self.phase == Phase::Landed, "entries go back after the command");
        for at in 0..self.legs.len() {
            if self.legs[at].has_lent {
                self.send(at, Order::Return, steps);
            }
        }
    }

    /// After the first of two rounds: forgets its calls and replies. What is pushed from now on runs under the locks.
    pub fn begin_second_round(&mut self) {
        debug_assert!(self.shape == Shape::TwoRounds && self.phase == Phase::Landed, "it follows the first round");
        self.order.clear();
        let (owner, order) = (self.owner, self.order_of_held());
        for leg in &mut self.legs {
            let batch = leg.batch.as_mut().expect("all legs are back");
            let ticket = batch.jobs[0].ticket;
            batch.recycle();
            batch.open_job(ticket, owner, order, Reach::Keys);
            batch.jobs[0].brings_events = self.brings_events;
        }
    }

    /// Runs what was pushed for the second round, and ends the locks everywhere.
    pub fn run_second_round(&mut self, steps: &mut Vec<Step>) -> Progress {
        let mut out = 0;
        for at in 0..self.legs.len() {
            let batch = self.legs[at].batch.as_deref().expect("all legs are at home");
            if !batch.calls.is_empty() {
                out += 1;
                self.send(at, self.order_of_held(), steps);
            } else if !self.brings_events {
                steps.push(Step::Release(self.legs[at].shard));
            }
        }
        if out == 0 {
            self.land(false, steps);
            return Progress::Landed;
        }
        self.phase = Phase::Running(out);
        Progress::UnderWay
    }

    /// Takes what its calls have made of keys, in program order. It is to be told before the locks end.
    pub fn take_events(&mut self) -> Vec<Event> {
        let all = self.legs.iter_mut().map(|leg| {
            let batch = leg.batch.as_deref_mut().expect("all legs are back");
            (std::mem::take(&mut batch.events).into_iter().peekable(), 0)
        });
        let mut legs: SmallVec<[_; 8]> = all.collect();
        let mut events = Vec::new();
        for leg in &self.order {
            let (noted, next) = &mut legs[*leg as usize];
            events.extend(std::iter::from_fn(|| noted.next_if(|(call, _)| call == next)).map(|(_, event)| event));
            *next += 1;
        }
        debug_assert!(legs.iter_mut().all(|(noted, _)| noted.peek().is_none()), "each event is of one of its calls");
        events
    }

    /// Copies the reply of each call, in program order, and tells its end.
    pub fn copy_replies(&self, out: &mut ReplyBuffer, mut ended: impl FnMut(Mark)) {
        for part in self.parts() {
            part.copy_to(out);
            ended(out.mark());
        }
    }

    /// The replies of all calls, in program order.
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut next: SmallVec<[u32; 8]> = SmallVec::from_elem(0, self.legs.len());
        self.order.iter().map(move |leg| {
            let leg = *leg as usize;
            let batch = self.legs[leg].batch.as_deref().expect("all legs are back");
            let (from, to) = batch.reply_range(&batch.jobs[0], next[leg]);
            next[leg] += 1;
            Part { replies: &batch.replies, from, to }
        })
    }

    /// Writes the replies of all calls, in program order, or the one that they have together. `random` decides where a
    /// reply is drawn by lot.
    pub fn assemble(&self, random: u64, out: &mut ReplyBuffer) {
        let replies = self.parts();
        if let Shape::Joined(join) = self.shape {
            return join_replies(join, self.protocol, replies, random, out);
        }
        // What follows each other in a leg is copied as one.
        let mut run: Option<Part<'_>> = None;
        for part in replies {
            match &mut run {
                Some(run) if std::ptr::eq(run.replies, part.replies) => run.to = part.to,
                _ => {
                    if let Some(run) = run.replace(part) {
                        run.copy_to(out);
                    }
                }
            }
        }
        if let Some(run) = run {
            run.copy_to(out);
        }
    }

    /// Gives the batches back for reuse.
    pub fn into_batches(self) -> impl Iterator<Item = Box<Batch>> {
        self.legs.into_iter().filter_map(|leg| leg.batch)
    }
}

impl Leg {
    fn take(&mut self, order: Order) -> Step {
        let mut batch = self.batch.take().expect("a leg is sent while it is at home");
        batch.jobs[0].order = order;
        (batch.jobs[0].refused, batch.jobs[0].is_stale) = (false, false);
        batch.is_answer = false;
        Step::Send(self.shard, batch)
    }
}
