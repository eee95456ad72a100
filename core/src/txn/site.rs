//! One shard, its locks and the jobs that wait for them: the place where calls from all cores are carried out.
//!
//! A pure state machine: batches and releases come in, batches that are done come out. The only queue is that of the
//! lock table, so what does not conflict never waits, and a shard without locks pays one check.

mod long;
mod noted;
mod parked;
mod slow;

use self::parked::Parked;
use self::slow::Slow;
use super::batch::{Batch, Blocking, Call, Job, Lent, Order, PutOff, Reach, lock_of, push_key_locks};
use super::locks::{Fingerprint, Grant, LockTable, Mode, Owner, Request as LockRequest, Scope};
use crate::command::{Fixed, Flags, Group, Run};
use crate::commands::within::{Here, Unfinished};
use crate::commands::{Context, Hold, Rules};
use crate::keyspace::events::Event;
use crate::keyspace::watched::noted;
use crate::keyspace::{KeyHash, Shard};
use crate::observe::{Monitored, Watch};
use crate::resp::reply::Mark;
use crate::resp::{Args, CommandError, ErrorCounts, Protocol, Reply, ReplyBuffer};
use crate::units::{DbIndex, Millis};
use hashbrown::HashMap;
use smallvec::SmallVec;

/// So many keys are fetched ahead at once: no more than the nearest caches keep until their calls are run.
pub const FORESEEN_MAX: usize = 128;

/// A shard with its locks and those who wait for them.
#[derive(Debug)]
pub struct Site {
    /// The data.
    pub shard: Shard,
    /// The settings that handlers obey.
    pub rules: Rules,
    locks: LockTable,
    waiting: HashMap<Owner, Box<Batch>, ahash::RandomState>,
    granted: Vec<Owner>,
    /// Jobs that wait for keys.
    parked: HashMap<Owner, Parked, ahash::RandomState>,
    /// How many have been parked so far.
    arrivals: u64,
    /// Keys are kept for so many of the parked, whose cores were told.
    poked: usize,
    /// Jobs that were served by calls of others, and news for those who wait; to be sent home.
    served: Vec<Box<Batch>>,
    /// Words of the call that was tried last and waits, which are others from now on.
    fixed: Option<Box<Fixed>>,
    /// What the sweep of expired keys has made of such as are locked.
    untold: Vec<Event>,
    /// Jobs to watch keys that came while the data was lent.
    late_watches: Vec<Box<Batch>>,
    /// Scripts that take long.
    slow: Vec<Slow>,
    /// Is one of them gone on with?
    is_going_on: bool,
    /// Was the last call put off?
    has_put_off: Option<PutOff>,
    /// Whose locks are no obstacle, because what it did here is done.
    acting: Option<Owner>,
    /// Are calls being run that take effect together? Then nobody is served between them.
    is_in_unit: bool,
    /// Changes made to the data set since the start.
    pub changes: u64,
    /// Calls that ended in an error reply.
    pub errors: ErrorCounts,
    /// Jobs that had to wait for a lock.
    pub lock_waits: u64,
    /// Counts and durations of commands.
    pub watch: Watch,
    /// What is noted for those who monitor, while there are any.
    pub monitored: Option<Box<Monitored>>,
    /// Where the replies of the calls of the last transaction end that ran over lent data.
    pub unit_ends: Vec<Mark>,
}

impl Site {
    /// A site around `shard`.
    pub fn new(shard: Shard) -> Self {
        Self {
            shard,
            rules: Rules::default(),
            locks: LockTable::new(),
            // Owners are made by cores, not by clients: fixed keys are no risk.
            waiting: HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)),
            granted: Vec::new(),
            parked: HashMap::with_hasher(ahash::RandomState::with_seeds(5, 6, 7, 8)),
            arrivals: 0,
            poked: 0,
            served: Vec::new(),
            fixed: None,
            untold: Vec::new(),
            late_watches: Vec::new(),
            has_put_off: None,
            slow: Vec::new(),
            is_going_on: false,
            acting: None,
            is_in_unit: false,
            changes: 0,
            errors: ErrorCounts::default(),
            lock_waits: 0,
            watch: Watch::default(),
            monitored: None,
            unit_ends: Vec::new(),
        }
    }

    /// One slice of what no command asks for: expired keys go, flushed databases are freed. `true` if there is more.
    pub fn upkeep(&mut self, now: Millis, budget_entries: usize) -> bool {
        // Locks do not matter: a key whose time has passed is absent for everybody already.
        // Nor is it a change that anybody would want saved for.
        if self.shard.is_lent() {
            return false;
        }
        let told = self.shard.events.len();
        let has_more = self.shard.tick(now, budget_entries, &mut |_, _| {});
        if self.shard.events.len() > told && !self.locks.is_idle() {
            self.keep_untold(told);
        }
        self.serve_beside(now, None);
        has_more
    }

    /// Whoever holds a key may have something to tell of it still: of what was noted since there were `told` events, that of such keys
    /// is told when their locks end.
    #[cold]
    fn keep_untold(&mut self, told: usize) {
        let events = self.shard.events.take_from(told);
        let is_held = |event: &Event| {
            let key = self.shard.key(&event.key);
            self.locks.is_held(&[shared_lock(key.hash.hash)], None)
        };
        let (held, free): (Vec<_>, Vec<_>) = events.into_iter().partition(is_held);
        self.untold.extend(held);
        self.shard.events.extend(free);
    }

    /// The locks of `owner` are about to end: tells what has waited for them, and for no others.
    #[cold]
    fn tell_untold(&mut self, owner: Owner) {
        for event in std::mem::take(&mut self.untold) {
            let lock = [shared_lock(self.shard.key(&event.key).hash.hash)];
            if self.locks.is_held(&lock, Some(owner)) {
                self.untold.push(event);
            } else {
                self.shard.events.extend([event]);
            }
        }
    }

    /// May a call run at once, without keeping anything?
    #[inline]
    pub fn admits(&self, call: &Call, args: &Args<'_>) -> bool {
        self.locks.is_idle() || self.is_free_for(call, args)
    }

    fn is_free_for(&self, call: &Call, args: &Args<'_>) -> bool {
        // Only commands with one key bring the hash of their first one along.
        if let Some((_, hash)) = call.first_key {
            return self.locks.is_free(Scope::Keys(&[lock_of(call.row, hash)]));
        }
        let mut requests = SmallVec::new();
        push_key_locks(call.row, args, call.first_key, |key| self.shard.key(key).hash, &mut requests);
        self.locks.is_free(Scope::Keys(&requests))
    }

    /// Takes the locks that calls about to run here must keep, if nothing stands in the way of any of them. `all`: what
    /// the calls touch, `kept`: what must stay locked.
    pub fn try_keep(&mut self, owner: Owner, all: &[LockRequest], kept: &[LockRequest]) -> bool {
        if !self.locks.is_free(Scope::Keys(all)) {
            return false;
        }
        if !kept.is_empty() {
            let grant = self.locks.acquire(owner, Scope::Keys(kept));
            assert_eq!(grant, Grant::Granted, "what is free can be taken");
        }
        true
    }

    /// Has the places of the keys of a small batch fetched while it waits for its turn.
    pub fn foresee(&self, batch: &mut Batch) {
        if batch.calls.len() <= FORESEEN_MAX {
            self.prefetch_lines(&mut batch.calls);
        }
    }

    fn prefetch_lines(&self, calls: &mut [Call]) {
        keys_of(calls).for_each(|(db, hash)| self.shard.database(db).prefetch_segment(hash));
        keys_of(calls).for_each(|(db, hash)| self.shard.database(db).prefetch_line(*hash));
    }

    /// Before call `next` of a batch is run: has the keys of some calls from there on fetched, so that their cache misses
    /// overlap, but of no more than the nearest caches keep until they are run. Returns up to where.
    fn prefetch(&self, batch: &mut Batch, next: usize) -> usize {
        let count = batch.calls.len();
        let end = count.min(next + FORESEEN_MAX);
        let calls = &mut batch.calls[next..end];
        if count > FORESEEN_MAX {
            self.prefetch_lines(calls);
        }
        keys_of(calls).for_each(|(db, hash)| self.shard.database(db).prefetch_entry(hash));
        end
    }

    /// Are there neither locks nor waiting jobs?
    pub fn is_idle(&self) -> bool {
        self.locks.is_idle()
    }

    /// How many jobs wait for locks.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Runs one call that was admitted; tells how long it took since the watch was started or the last call ended, in ticks.
    #[inline]
    pub fn run(&mut self, now: Millis, call: &Call, args: &Args<'_>, out: &mut ReplyBuffer) -> u64 {
        if call.row.group == Group::Scripting {
            return self.run_script(now, call, args, out);
        }
        let tally = run_call(&mut self.shard, &self.rules, now, call, args, out);
        self.tally(tally);
        let ticks = self.watch.lap();
        if let Some(put_off) = tally.put_off {
            self.note_put_off(put_off);
        } else if !call.is_part {
            self.watch.record(call.row, ticks, tally.failed);
        }
        if self.monitored.is_some() && tally.put_off.is_none() {
            self.note_monitored(call, args);
        }
        if self.shard.waiting.minded_keys() > 0 && call.row.flags.has(Flags::WRITE) {
            self.note_gone(call, args);
        }
        if self.shard.waiting.has_ready() && !self.is_in_unit {
            self.serve(now);
        }
        ticks
    }

    /// Runs a call of a flight, which was admitted, in place: `leg` takes its reply, and what becomes of keys if that is to be
    /// brought home.
    #[inline]
    pub fn run_in_leg(&mut self, now: Millis, call: &Call, args: &Args<'_>, leg: &mut Batch) -> u64 {
        let told = self.shard.events.len();
        let ticks = self.run(now, call, args, &mut leg.replies);
        if leg.jobs[0].brings_events {
            self.bring_events(told, leg.ends.len(), &mut leg.events);
        }
        leg.ends.push(leg.replies.mark());
        ticks
    }

    /// What was noted since there were `told` events is of call `at`, and goes home with its reply.
    fn bring_events(&mut self, told: usize, at: usize, events: &mut Vec<(u32, Event)>) {
        events.extend(self.shard.events.take_from(told).into_iter().map(|event| (at as u32, event)));
    }

    /// The calls that are run from now on take effect together: who waits for what they bring is served at their end.
    #[inline]
    pub fn begin_unit(&mut self) {
        self.is_in_unit = true;
        if let Some(monitored) = &mut self.monitored {
            monitored.begin_unit();
        }
    }

    /// They were run.
    #[inline]
    pub fn end_unit(&mut self, now: Millis) {
        self.is_in_unit = false;
        if let Some(monitored) = &mut self.monitored {
            monitored.end_unit(self.watch.last());
        }
        self.serve_beside(now, self.acting);
    }

    /// Adds up what a call did.
    #[inline]
    pub fn tally(&mut self, tally: Tally) {
        self.changes += tally.changes;
        if let Some(code) = tally.error {
            self.errors.note(code);
        }
    }

    /// Carries out a batch as far as locks permit. Batches that are done are appended to `done`: the given one with the
    /// jobs that could run, and those whose turn came by what it released.
    pub fn deliver(&mut self, now: Millis, batch: Box<Batch>, done: &mut Vec<Box<Batch>>) {
        self.work_through(now, batch, done);
        // Behind the batch that tells their cores that they wait.
        done.append(&mut self.served);
    }

    #[allow(clippy::vec_box)]
    fn work_through(&mut self, now: Millis, mut batch: Box<Batch>, done: &mut Vec<Box<Batch>>) {
        for client in batch.unwatches.drain(..) {
            self.shard.forget_watcher(client);
        }
        for index in 0..batch.releases.len() {
            self.end_locks(now, batch.releases[index], done);
        }
        batch.releases.clear();
        let alone = batch.jobs.len() == 1;
        let (mut index, mut foreseen) = (0, 0);
        while index < batch.jobs.len() {
            let (from, to) = batch.jobs[index].calls;
            if to as usize > foreseen {
                foreseen = self.prefetch(&mut batch, from as usize);
            }
            if self.admit(&mut batch, index) {
                if batch.jobs[index].blocking == Blocking::May && self.try_job(now, &mut batch, index) {
                    batch = self.park_job(now, batch, index);
                } else {
                    self.carry_out(now, &mut batch, index, done);
                }
                index += 1;
                continue;
            }
            self.lock_waits += 1;
            let owner = batch.jobs[index].owner;
            if alone {
                let cancels = std::mem::take(&mut batch.cancels);
                self.waiting.insert(owner, batch);
                return cancels.into_iter().for_each(|owner| self.cancel(now, owner));
            }
            self.waiting.insert(owner, batch.split_off(index));
            batch.jobs.remove(index);
        }
        for index in 0..batch.cancels.len() {
            self.cancel(now, batch.cancels[index]);
        }
        batch.is_answer = true;
        done.push(batch);
    }

    /// Ends the locks of `owner` and carries out what waited for them.
    pub fn release(&mut self, now: Millis, owner: Owner, done: &mut Vec<Box<Batch>>) {
        self.end_locks(now, owner, done);
        done.append(&mut self.served);
    }

    #[allow(clippy::vec_box)]
    fn end_locks(&mut self, now: Millis, owner: Owner, done: &mut Vec<Box<Batch>>) {
        if !self.untold.is_empty() {
            self.tell_untold(owner);
        }
        // What the owner brought belongs to those who wait for it, before anybody who waits for the lock.
        self.serve_beside(now, Some(owner));
        let mut granted = std::mem::take(&mut self.granted);
        self.locks.release(owner, &mut granted);
        let mut next = 0;
        while next < granted.len() {
            let owner = granted[next];
            next += 1;
            if self.is_slow(owner) {
                continue;
            }
            let mut batch = self.waiting.remove(&owner).expect("who waits for a lock is in the list of those who wait");
            let runs = batch.jobs[0].order == Order::Run;
            self.acting = runs.then_some(owner);
            let waits = match batch.jobs[0].blocking {
                Blocking::No => {
                    self.run_order(now, &mut batch, 0);
                    false
                }
                _ => self.try_job(now, &mut batch, 0),
            };
            self.acting = None;
            // A script that was interrupted keeps what it has.
            if runs && !self.is_slow(owner) {
                self.locks.release(owner, &mut granted);
            }
            if waits {
                batch = self.park_job(now, batch, 0);
            }
            batch.is_answer = true;
            done.push(batch);
        }
        granted.clear();
        self.granted = granted;
        self.serve_beside(now, None);
    }

    /// Decides whether a job may be carried out now, and takes the locks that it keeps.
    fn admit(&mut self, batch: &mut Batch, index: usize) -> bool {
        let job = &batch.jobs[index];
        let idle = self.locks.is_idle();
        match job.order {
            Order::Run if idle => return true,
            Order::RunHeld | Order::RunHeldAndKeep | Order::LendHeld => return true,
            Order::Return | Order::Watch | Order::Poke => return true,
            Order::Run if job.reach == Reach::Keys && job.watcher == 0 && self.are_free(batch, job) => return true,
            _ => {}
        }
        let (owner, order, reach, watcher) = (job.owner, job.order, job.reach, job.watcher);
        let requests = match reach {
            Reach::Whole(_) => SmallVec::new(),
            Reach::Keys => {
                let shard = &self.shard;
                let only_kept = idle && order == Order::RunAndKeep;
                let mut requests = batch.lock_requests(job, only_kept, |key| shard.key(key).hash);
                requests.extend(shard.watched.hashes_of(job.watcher).map(shared_lock));
                requests
            }
        };
        let has_script = || {
            let calls = &batch.calls[batch.jobs[index].calls.0 as usize..batch.jobs[index].calls.1 as usize];
            calls.iter().any(|call| call.row.group == Group::Scripting)
        };
        let scope = match reach {
            Reach::Whole(mode) => Scope::Whole(mode),
            // A script that must wait for its turn gets the whole shard then: others wait behind it, and it may touch more than it
            // names.
            Reach::Keys if order == Order::Run && watcher == 0 && has_script() => Scope::Whole(Mode::Exclusive),
            // With the data, what its client watches is away: nobody knows which keys it is to lock.
            Reach::Keys if watcher != 0 && self.shard.is_lent() => Scope::Whole(Mode::Exclusive),
            Reach::Keys => Scope::Keys(&requests),
        };
        match order {
            Order::Run if (reach != Reach::Keys || watcher != 0) && self.locks.is_free(scope) => true,
            Order::TryLock => {
                batch.jobs[index].refused = !self.locks.try_acquire(owner, scope);
                true
            }
            _ => self.locks.acquire(owner, scope) == Grant::Granted,
        }
    }

    fn are_free(&self, batch: &Batch, job: &Job) -> bool {
        batch.calls[job.calls.0 as usize..job.calls.1 as usize]
            .iter()
            .all(|call| self.is_free_for(call, &batch.args(call)))
    }

    // The boxes are what travels; they come and go as they are.
    #[allow(clippy::vec_box)]
    fn carry_out(&mut self, now: Millis, batch: &mut Batch, index: usize, done: &mut Vec<Box<Batch>>) {
        let (order, owner) = (batch.jobs[index].order, batch.jobs[index].owner);
        if order == Order::RunHeld {
            self.acting = Some(owner);
        }
        self.run_order(now, batch, index);
        self.acting = None;
        if matches!(order, Order::RunHeld | Order::Return) {
            self.end_locks(now, owner, done);
        }
    }

    fn run_order(&mut self, now: Millis, batch: &mut Batch, index: usize) {
        if batch.jobs[index].watcher != 0 && self.is_stale(now, batch, index) {
            return;
        }
        match batch.jobs[index].order {
            _ if batch.jobs[index].blocking == Blocking::Served => {}
            Order::Run | Order::RunAndKeep | Order::RunHeld | Order::RunHeldAndKeep => self.run_job(now, batch, index),
            Order::TryLock | Order::Visit | Order::Stay | Order::Poke => {}
            Order::Watch if self.shard.is_lent() => self.late_watches.push(batch.split_off(index)),
            Order::Watch => self.keep_watch(now, batch.split_off(index)),
            Order::Lend | Order::LendHeld => self.lend(batch, index),
            Order::Return => self.take_back(now, batch),
        }
    }

    /// Has a key changed that the watcher of a job watches? Then its calls have no replies. A job that runs at once ends
    /// the watch in any case.
    #[cold]
    fn is_stale(&mut self, now: Millis, batch: &mut Batch, index: usize) -> bool {
        let Batch { jobs, ends, replies, calls, .. } = batch;
        let job = &mut jobs[index];
        if matches!(job.order, Order::Return) || job.refused {
            return false;
        }
        job.is_stale = self.shard.has_changed_for(job.watcher, now);
        if job.order == Order::Run {
            self.shard.forget_watcher(job.watcher);
        }
        if job.is_stale {
            job.refused = job.order != Order::TryLock;
            job.replies_from = replies.mark();
            job.part_ticks = 0;
            ends.resize(calls.len(), replies.mark());
            ends[job.calls.0 as usize..job.calls.1 as usize].fill(replies.mark());
        }
        job.is_stale
    }

    fn run_job(&mut self, now: Millis, batch: &mut Batch, index: usize) {
        if !batch.jobs[index].is_unit {
            return self.run_calls(now, batch, index);
        }
        self.begin_unit();
        self.run_calls(now, batch, index);
        self.end_unit(now);
    }

    fn run_calls(&mut self, now: Millis, batch: &mut Batch, index: usize) {
        let Batch { bytes, shared, spans, calls, jobs, ends, replies, slow, events, .. } = batch;
        let job: &mut Job = &mut jobs[index];
        job.replies_from = replies.mark();
        job.part_ticks = 0;
        self.watch.take_within();
        self.watch.start();
        ends.resize(calls.len(), replies.mark());
        for at in job.calls.0 as usize..job.calls.1 as usize {
            let call = &calls[at];
            let args = Args::new(bytes, &spans[call.words.0 as usize..call.words.1 as usize], shared);
            let told = self.shard.events.len();
            let ticks = self.run(now, call, &args, replies);
            ends[at] = replies.mark();
            if job.brings_events {
                self.bring_events(told, at, events);
            }
            if self.has_put_off.is_some()
                && let Some(put_off) = self.take_put_off()
            {
                job.put_off = Some((at as u32, put_off));
                ends[at..job.calls.1 as usize].fill(replies.mark());
                break;
            }
            if call.is_part {
                job.part_ticks += ticks;
            } else if self.watch.is_slow(ticks) {
                slow.push((at as u32, ticks));
            }
        }
        batch.jobs[index].within = self.watch.take_within();
        if let Some((at, PutOff::Suspended)) = batch.jobs[index].put_off {
            let alone = batch.split_off_call(index, at);
            self.suspend(now, alone);
        }
    }

    /// Hands over everything, or the entries of the keys. Then the job has one call for each database, whose words are all
    /// keys.
    fn lend(&mut self, batch: &mut Batch, index: usize) {
        if batch.jobs[index].reach != Reach::Keys {
            batch.loan = Some(self.shard.lend());
            return;
        }
        batch.is_watched = self.shard.watched.is_active();
        let (from, to) = batch.jobs[index].calls;
        for at in from..to {
            let (db, words) = (batch.calls[at as usize].db, batch.calls[at as usize].words);
            for word in words.0..words.1 {
                let key = self.shard.key(batch.word(word));
                let entry = self.shard.database_mut(db).remove(&key);
                let trackers = self.shard.tracked.take(&key);
                batch.lent.push(Lent { db, key: word, entry, touch: None, trackers });
            }
        }
    }

    fn take_back(&mut self, now: Millis, batch: &mut Batch) {
        if let Some(loan) = batch.loan.take() {
            self.shard.take_back(loan);
            std::mem::take(&mut self.late_watches).into_iter().for_each(|late| self.keep_watch(now, late));
            return;
        }
        lay_out(&mut self.shard, batch);
        for Lent { db, key, touch, .. } in &batch.lent {
            if let Some(touch) = touch {
                let key = self.shard.key(batch.word(*key));
                self.shard.watched.touch(*db, &key, *touch);
            }
        }
        batch.lent.clear();
        self.attempt_is_over(batch.jobs[0].owner);
    }
}

fn shared_lock(hash: u64) -> LockRequest {
    LockRequest { fingerprint: Fingerprint(hash), mode: Mode::Shared }
}

fn keys_of(calls: &mut [Call]) -> impl Iterator<Item = (DbIndex, &mut KeyHash)> {
    calls.iter_mut().filter_map(|call| Some((call.db, &mut call.first_key.as_mut()?.1)))
}

/// Puts lent entries into a shard; the batch still tells whose they are.
fn lay_out(shard: &mut Shard, batch: &mut Batch) {
    for at in 0..batch.lent.len() {
        let Lent { db, key, .. } = batch.lent[at];
        if !batch.lent[at].trackers.is_empty() {
            let trackers = std::mem::take(&mut batch.lent[at].trackers);
            shard.tracked.put(&shard.hasher.key(batch.word(key)), &trackers);
        }
        if let Some(entry) = batch.lent[at].entry.take() {
            let key = shard.key(batch.word(key));
            shard.database_mut(db).put(&key, entry);
            shard.waiting.fill(db, &key);
        } else if shard.waiting.minded_keys() > 0 {
            let key = shard.key(batch.word(key));
            shard.waiting.note_gone(db, &key);
        }
    }
}

/// What a call did besides replying.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Changes to the data set.
    pub changes: u64,
    /// The code of the error, if it was refused.
    pub error: Option<&'static str>,
    /// Was it refused, or is its reply an error that was counted where it was made?
    pub failed: bool,
    /// Was its reply put off?
    pub put_off: Option<PutOff>,
}

/// Runs a call on a shard and writes its reply, or its error.
#[inline]
fn run_call(
    shard: &mut Shard,
    rules: &Rules,
    now: Millis,
    call: &Call,
    args: &Args<'_>,
    out: &mut ReplyBuffer,
) -> Tally {
    let mut context = context_of(shard, rules, now, call);
    run_in(&mut context, call, args, out)
}

/// Whether a call that may block its client does.
#[derive(Debug, Default)]
pub enum Tried {
    /// It has replied.
    #[default]
    Done,
    /// It waits and has written nothing. Some of its words may be others while it does.
    Waits(Option<Box<Fixed>>),
}

/// The same for a call that may block its client.
fn try_call(
    shard: &mut Shard,
    rules: &Rules,
    now: Millis,
    call: &Call,
    args: &Args<'_>,
    out: &mut ReplyBuffer,
) -> (Tally, Tried) {
    let mut context = context_of(shard, rules, now, call);
    context.may_block = true;
    let tally = run_in(&mut context, call, args, out);
    (tally, if context.waits { Tried::Waits(context.fixed.take()) } else { Tried::Done })
}

#[inline]
pub(super) fn context_of<'a>(shard: &'a mut Shard, rules: &'a Rules, now: Millis, call: &Call) -> Context<'a> {
    let mut context = Context::new(shard, call.db, now, rules);
    context.first_key = call.first_key.map(|(index, hash)| (index as usize, hash));
    context.client = call.client;
    context.tracker = call.tracker;
    context.no_touch = call.no_touch;
    context.may_put_off = call.may_put_off;
    if rules.hold != Hold::No {
        context.expiry = rules.expiry(call.is_source);
    }
    context
}

#[inline]
pub(super) fn run_in(context: &mut Context<'_>, call: &Call, args: &Args<'_>, out: &mut ReplyBuffer) -> Tally {
    let Run::OnShard(handler) = call.row.run else { return refuse(out, call.protocol) };
    let before = out.mark();
    let (outcome, result) = context.run(handler, args, &mut Reply::new(out, call.protocol));
    if let Err(error) = &result {
        debug_assert_eq!(before, out.mark(), "a handler that refuses has written nothing");
        Reply::new(out, call.protocol).error(error);
    }
    context.note_touched(call.row, args, &outcome);
    context.note_read(call.row, args);
    let put_off = put_off_of(context);
    let failed = result.is_err() || context.failed;
    Tally { changes: u64::from(outcome.changes), error: result.err().map(|error| error.code()), failed, put_off }
}

/// Why a call has not ended, if it has not.
#[inline]
fn put_off_of(context: &Context<'_>) -> Option<PutOff> {
    match context.unfinished {
        None => context.put_off.as_ref().map(|_| PutOff::Long),
        Some(Unfinished::Elsewhere) => Some(PutOff::Elsewhere),
        Some(Unfinished::Suspended) => Some(PutOff::Suspended),
    }
}

#[cold]
fn refuse(out: &mut ReplyBuffer, protocol: Protocol) -> Tally {
    let error = CommandError::text("this command does not run on a shard");
    Reply::new(out, protocol).error(&error);
    Tally { changes: 0, error: Some(error.code()), failed: true, put_off: None }
}

/// Runs a script or a transaction over lent entries.
#[inline(never)]
fn run_unit(
    shard: &mut Shard,
    home: &mut Site,
    now: Millis,
    call: &Call,
    args: &Args<'_>,
    legs: &[&mut Batch],
    out: &mut ReplyBuffer,
) -> Tally {
    let all = legs.iter().flat_map(|batch| batch.lent.iter().map(|lent| (lent.db, batch.word(lent.key))));
    let mut lent: SmallVec<[(DbIndex, u64); 16]> = all.map(|(db, name)| (db, shard.key(name).hash.hash)).collect();
    lent.sort_unstable();
    let mut context = context_of(shard, &home.rules, now, call);
    context.here = Here::Lent(&lent);
    context.watch = Some(&mut home.watch);
    context.errors = Some(&mut home.errors);
    context.monitored = home.monitored.as_deref_mut();
    context.may_suspend = call.may_put_off && call.row.group == Group::Scripting;
    let tally = run_in(&mut context, call, args, out);
    home.unit_ends = std::mem::take(&mut context.unit_ends);
    tally
}

/// Runs a call over entries that several shards have lent.
#[derive(Debug)]
pub struct Workbench {
    shard: Shard,
}

impl Workbench {
    /// A workbench around a shard made by [`Shard::scratch`].
    pub fn new(scratch: Shard) -> Self {
        Self { shard: scratch }
    }

    /// Lays the lent entries out, runs the call, and packs the entries up again for their way home. The call waits only if it may
    /// block. What it did counts as done at `home`, whose upkeep frees what it replaced or removed.
    #[allow(clippy::too_many_arguments)]
    pub fn run(
        &mut self,
        home: &mut Site,
        now: Millis,
        may_block: bool,
        call: &Call,
        args: &Args<'_>,
        legs: &mut [&mut Batch],
        out: &mut ReplyBuffer,
    ) -> (Tally, Tried) {
        let mark = home.begin_noting(call, args);
        legs.iter_mut().for_each(|batch| lay_out(&mut self.shard, batch));
        let is_unit = matches!(call.row.group, Group::Scripting | Group::Transactions);
        let is_watched = legs.iter().any(|batch| batch.is_watched);
        self.shard.watched.note_all(is_watched);
        self.shard.events.wanted = home.shard.events.wanted;
        self.shard.tracked.broadcasts = home.shard.tracked.broadcasts;
        let (tally, tried) = match may_block {
            _ if is_unit => (run_unit(&mut self.shard, home, now, call, args, legs, out), Tried::Done),
            true => try_call(&mut self.shard, &home.rules, now, call, args, out),
            false => (run_call(&mut self.shard, &home.rules, now, call, args, out), Tried::Done),
        };
        for batch in legs.iter_mut() {
            for at in 0..batch.lent.len() {
                let Lent { db, key, .. } = batch.lent[at];
                let key = self.shard.key(batch.word(key));
                let (entry, trackers) = (self.shard.database_mut(db).remove(&key), self.shard.tracked.take(&key));
                (batch.lent[at].entry, batch.lent[at].trackers) = (entry, trackers);
            }
        }
        if is_watched {
            self.tell_touched(legs);
        }
        // They are told here, in their order, and before the entries are at home, where others may do something to these.
        home.shard.events.extend(self.shard.events.take());
        debug_assert!(
            (0..self.shard.database_count()).all(|db| self.shard.database(DbIndex(db)).is_empty()),
            "every entry on the workbench belongs to somebody"
        );
        home.tally(tally);
        // Who may block was noted when it began to.
        home.end_noting(mark, call, args, &tally, may_block && !is_unit);
        home.shard.tracked.adopt_stale(&mut self.shard.tracked);
        home.shard.stats.add(&std::mem::take(&mut self.shard.stats));
        home.shard.adopt_buried(&mut self.shard);
        debug_assert_eq!(self.shard.waiting_to_be_freed(), 0, "nobody tends the workbench");
        (tally, tried)
    }

    /// Notes with the lent entries what became of them.
    #[cold]
    fn tell_touched(&mut self, legs: &mut [&mut Batch]) {
        let notes = self.shard.watched.take_notes();
        self.shard.watched.note_all(false);
        for batch in legs.iter_mut().filter(|batch| batch.is_watched) {
            for at in 0..batch.lent.len() {
                let Lent { db, key, .. } = batch.lent[at];
                batch.lent[at].touch = noted(&notes, db, batch.word(key));
            }
        }
    }

    /// The shard behind it.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// The shard behind it, for its settings.
    pub fn shard_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

#[cfg(test)]
mod tests;
