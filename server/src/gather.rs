//! Calls that run at home over what other shards lend: the entries of their keys, or all data.

use crate::blocking::Blocked;
use crate::clock;
use crate::dispatch::new_call;
use crate::session::{GatheredCall, Pending, Session};
use crate::state::{Later, State};
use ringkey_core::command::{Command, Group};
use ringkey_core::commands::key::other_database;
use ringkey_core::commands::within::exec;
use ringkey_core::resp::reply::Mark;
use ringkey_core::resp::{ReplyBuffer, Request};
use ringkey_core::txn::batch::{Call, Order, PutOff, Reach};
use ringkey_core::txn::flight::{Flight, Shape};
use ringkey_core::txn::locks::{Mode, Owner};
use ringkey_core::units::{DbIndex, ShardId};
use smallvec::SmallVec;

/// So many scripts run over the data of all shards before that goes home.
const HELD_CALLS_MAX: u32 = 64;

/// And for so long, in nanoseconds.
const HELD_NANOS_MAX: u64 = 1_000_000;

/// The data of all shards between two scripts that run over it. Bringing it together costs far more than most scripts do, and
/// who calls one that needs it calls many.
pub struct Holding {
    flight: Box<Flight>,
    since: u64,
    calls: u32,
}

impl Holding {
    /// Is it time to give the data back?
    pub fn is_over(&self) -> bool {
        self.calls >= HELD_CALLS_MAX || clock::nanos_of(clock::ticks().saturating_sub(self.since)) >= HELD_NANOS_MAX
    }
}

impl State {
    /// A script has run over the data of all shards: others may follow before it goes home.
    pub fn hold_everything(&mut self, flight: Box<Flight>) {
        debug_assert!(self.holding.is_none(), "there is only one flight that has everything");
        self.holding = Some(Holding { flight, since: clock::ticks(), calls: 1 });
    }

    /// Gives the data of all shards back.
    pub fn let_go(&mut self) {
        let Some(Holding { mut flight, .. }) = self.holding.take() else { return };
        flight.give_back(&mut self.steps);
        self.carry_out_steps(&mut flight);
        flight.into_batches().for_each(|batch| self.recycle(batch));
    }

    /// What the script of a session has called counts as calls of the client.
    pub fn count_within(&mut self, session: &mut Session) {
        let within = self.site.watch.take_within();
        session.commands += within;
        self.statistics.commands += within;
    }

    /// Runs a script over the data of all shards, which is here.
    fn run_over_held(&mut self, session: &mut Session, row: &'static Command, request: Request) {
        let Some(mut holding) = self.holding.take() else { return };
        let call = new_call(row, session, None);
        let mut out = ReplyBuffer::default();
        self.site.watch.start();
        let mut lent = holding.flight.lent_batches();
        let tally = self.assembly.run(&mut self.site, self.now, &call, &request.args(), &mut lent, &mut out);
        drop(lent);
        let ticks = self.site.watch.lap();
        self.count_within(session);
        if tally.put_off == Some(PutOff::Suspended) {
            let gathered = Box::new(GatheredCall { request, call, blocked: None });
            session.pending = Pending::Flight(holding.flight, Some(gathered));
            self.holds.everything_since.get_or_insert(self.now);
            return self.later.push_back(Later::Script(session.index));
        }
        holding.calls += 1;
        self.holding = Some(holding);
        session.append_replies(&out, Mark::default(), out.mark());
        session.tracked.request = request;
        self.conclude(session, row, ticks, out.len(), tally.failed);
        for (row, count) in session.tracked.under_way.drain(..) {
            self.paths.answered(row, u64::from(count), session.tracked.arrived);
        }
        self.ready.push_back(session.index);
    }

    /// Has the entries of all keys lent to this core and runs the command over them. If it finds nothing then and may block, it
    /// goes back to `blocked`.
    pub fn gather(
        &mut self,
        session: &mut Session,
        owner: Owner,
        row: &'static Command,
        request: Request,
        blocked: Option<Box<Blocked>>,
    ) {
        let args = request.args();
        let mut keys: Vec<(ShardId, usize)> = Vec::new();
        row.visit_keys(&args, |index, _| keys.push((self.shard_of_key(args.get(index)), index)));
        // A key that is named twice is lent once.
        keys.sort_by(|a, b| (a.0, args.get(a.1)).cmp(&(b.0, args.get(b.1))));
        keys.dedup_by(|a, b| args.get(a.1) == args.get(b.1));
        let mut shards: Vec<ShardId> = keys.iter().map(|(shard, _)| *shard).collect();
        shards.dedup();
        let shape = Shape::Gather;
        let mut flight =
            Box::new(Flight::new(owner, session.ticket(), shape, Reach::Keys, &shards, || self.take_batch()));
        let mut databases: SmallVec<[DbIndex; 2]> = SmallVec::from_slice(&[session.db]);
        databases
            .extend(other_database(row, &args, self.site.shard.database_count()).filter(|other| *other != session.db));
        let mut call = new_call(row, session, None);
        for shard in &shards {
            let words: Vec<&[u8]> = keys.iter().filter(|key| key.0 == *shard).map(|key| args.get(key.1)).collect();
            let words = Request::new(words);
            for db in &databases {
                call.db = *db;
                flight.push_keys(*shard, &call, &words.args());
            }
        }
        call.db = session.db;
        let gathered = Box::new(GatheredCall { request, call, blocked });
        self.take_off(session, flight, Some(gathered));
    }

    /// Goes on with a call that was put off on this core's shard.
    #[cold]
    pub fn begin_put_off(&mut self, session: &mut Session, put_off: PutOff, call: &Call, request: Request) {
        match put_off {
            PutOff::Long => self.begin_long_reply(session, call, request),
            PutOff::Elsewhere => {
                crate::script::note_elsewhere(call.row, &request.args());
                self.gather_everything(session, call.row, request);
            }
            PutOff::Suspended => {
                let owner = self.new_owner();
                let mut batch = self.take_batch();
                batch.open_job(session.ticket(), owner, Order::Run, Reach::Keys);
                batch.push_call(call, &request.args());
                self.site.suspend(self.now, batch);
                session.pending = Pending::Remote;
            }
        }
    }

    /// Has all that the shards have lent to this core and runs the command over it, whatever keys it touches.
    pub fn gather_everything(&mut self, session: &mut Session, row: &'static Command, request: Request) {
        if row.group == Group::Scripting && self.holding.as_ref().is_some_and(|holding| !holding.is_over()) {
            return self.run_over_held(session, row, request);
        }
        let shards: Vec<ShardId> = (0..self.map.shards()).map(ShardId).collect();
        let mut flight = self.new_flight(session, Shape::Gather, Reach::Whole(Mode::Exclusive), &shards);
        if std::ptr::eq(row, &exec::UNIT) {
            flight.set_watcher(session.id, &session.watched_shards());
        }
        let call = new_call(row, session, None);
        self.take_off(session, flight, Some(Box::new(GatheredCall { request, call, blocked: None })));
    }

    /// Has the entries of these keys lent to this core and carries a transaction out over them, in one call of its own row
    /// ([`exec`]). The keys are told with their databases; they may be told twice.
    pub fn gather_unit(
        &mut self,
        session: &mut Session,
        request: Request,
        mut places: Vec<(ShardId, DbIndex, Box<[u8]>)>,
        watched: &[ShardId],
    ) {
        places.sort_unstable();
        places.dedup();
        let mut shards: Vec<ShardId> = places.iter().map(|(shard, ..)| *shard).collect();
        shards.extend_from_slice(watched);
        shards.sort_unstable();
        shards.dedup();
        let mut flight = self.new_flight(session, Shape::Gather, Reach::Keys, &shards);
        flight.set_watcher(session.id, watched);
        // What is asked of a shard is a part of EXEC, whose row in the table is another.
        let mut call = Call { may_put_off: false, is_part: true, ..new_call(&exec::UNIT, session, None) };
        for group in places.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            call.db = group[0].1;
            let words = Request::new(group.iter().map(|(_, _, name)| &**name));
            flight.push_keys(group[0].0, &call, &words.args());
        }
        (call.db, call.is_part) = (session.db, false);
        self.take_off(session, flight, Some(Box::new(GatheredCall { request, call, blocked: None })));
    }
}
