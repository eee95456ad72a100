//! Jobs that wait for keys: calls that found nothing and may block their clients.
//!
//! A call whose keys all belong to this shard waits here with its batch and is carried out again, by the shard itself, right
//! after the call that brought what it waits for; what it brings in turn serves the next. A call over several shards only has
//! its name in the queues: its core is poked when its turn comes at one of them, and tries the whole command. Until that is
//! decided the key is kept: blocking calls that come later line up behind it, except for those that leave what they read.

use super::{Site, Tried, try_call};
use crate::command::{Share, Wait};
use crate::commands::stream;
use crate::keyspace::EntryRef;
use crate::keyspace::waiting::{Filled, Waiter};
use crate::resp::{Args, ReplyBuffer};
use crate::txn::batch::{Batch, Blocking, Call, LockRequests, Order, Reach, push_key_locks};
use crate::txn::locks::Owner;
use crate::units::{DbIndex, Millis};

/// A job that waits for keys.
#[derive(Debug)]
pub struct Parked {
    batch: Box<Batch>,
    arrival: u64,
    /// Has its core been told that it may try?
    is_poked: bool,
    /// Has it found nothing, and did not only line up behind others?
    was_tried: bool,
}

/// What became of a key that got something.
#[derive(PartialEq, Eq)]
enum Given {
    /// Whoever could be served was.
    All,
    /// A lock is in the way.
    Locked,
}

/// What a call waits for; its words were found right by its core.
fn wait_of(call: &Call, args: &Args<'_>) -> Wait {
    // Far earlier than any call was made, so that no time that was within range then is out of range now.
    let rule = call.row.waits.expect("only calls of rows with a rule may wait");
    rule(args, Millis(0)).expect("its core has found that it waits")
}

/// Is there something for a call behind a key that it waits for?
fn is_news(wait: &Wait, args: &Args<'_>, key: &[u8], entry: Option<EntryRef<'_>>) -> bool {
    match wait.share {
        Share::Take => entry.is_some_and(|entry| entry.kind() == wait.kind),
        _ => wait.keys.clone().any(|index| args.get(index) == key && stream::is_news(wait.share, args, index, entry)),
    }
}

impl Site {
    /// How many jobs wait for keys.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Has anybody been served, or anything to be told, since it was last asked?
    #[inline]
    pub fn has_served(&self) -> bool {
        !self.served.is_empty()
    }

    /// Jobs that were served by calls of others, and pokes.
    pub fn take_served(&mut self, done: &mut Vec<Box<Batch>>) {
        done.append(&mut self.served);
    }

    /// Carries out a call that may block its client and was admitted; tells how long it took, in ticks. None: it found
    /// nothing, or others have a better right, so it is to be parked.
    pub fn run_or_wait(&mut self, now: Millis, call: &Call, args: &Args<'_>, out: &mut ReplyBuffer) -> Option<u64> {
        self.fixed = None;
        let ticks = match self.is_kept(call, args) {
            true => None,
            false => self.run_or_find_nothing(now, call, args, out),
        };
        self.note_attempt(call, args);
        ticks
    }

    fn run_or_find_nothing(&mut self, now: Millis, call: &Call, args: &Args<'_>, out: &mut ReplyBuffer) -> Option<u64> {
        self.watch.start();
        let (tally, tried) = try_call(&mut self.shard, &self.rules, now, call, args, out);
        self.tally(tally);
        if let Tried::Waits(fixed) = tried {
            self.fixed = fixed;
            return None;
        }
        let ticks = self.watch.lap();
        self.watch.record(call.row, ticks, tally.failed);
        self.serve_beside(now, self.acting);
        Some(ticks)
    }

    /// Parks a batch of one job with one call that has found nothing just now.
    pub fn park(&mut self, now: Millis, mut batch: Box<Batch>) {
        if let Some(fixed) = self.fixed.take() {
            batch.fix_words(&fixed);
        }
        batch.jobs[0].is_noted = true;
        let call = &batch.calls[0];
        let args = batch.args(call);
        let is_kept = self.is_kept(call, &args);
        let (db, owner) = (call.db, batch.jobs[0].owner);
        let wait = wait_of(call, &args);
        let arrival = self.arrivals;
        self.arrivals += 1;
        for index in wait.keys {
            let key = self.shard.key(args.get(index));
            if self.shard.owns(&key) {
                self.shard.waiting.add(
                    db,
                    &key,
                    arrival,
                    Waiter { number: owner.0, kind: wait.kind, share: wait.share },
                );
                if is_kept {
                    // Another one of its keys may have something that nobody has a better right to.
                    self.shard.waiting.fill(db, &key);
                }
            }
        }
        let before = self.parked.insert(owner, Parked { batch, arrival, is_poked: false, was_tried: !is_kept });
        debug_assert!(before.is_none(), "an owner waits once");
        self.serve_beside(now, self.acting);
    }

    /// Gives up a job that waits for keys. If it waits here, it goes home among those that were served; else it has gone
    /// already, or goes as soon as it has the locks that it waits for.
    pub fn cancel(&mut self, now: Millis, owner: Owner) {
        if let Some((mut batch, was_tried)) = self.unpark(owner) {
            if batch.jobs[0].order != Order::Watch {
                batch.jobs[0].blocking = Blocking::Cancelled;
                if was_tried {
                    self.send_served(batch);
                } else {
                    self.try_at_last(now, batch);
                }
            }
            self.serve_beside(now, self.acting);
        } else if let Some(late) = self.late_watches.iter().position(|batch| batch.jobs[0].owner == owner) {
            self.late_watches.remove(late);
        } else if let Some(batch) = self.waiting.get_mut(&owner)
            && batch.jobs[0].blocking == Blocking::May
        {
            batch.jobs[0].blocking = Blocking::Cancelled;
        }
    }

    /// Tries a call that had lined up behind others all the time and is given up now: that there was nothing for it must have
    /// been true at some moment.
    fn try_at_last(&mut self, now: Millis, mut batch: Box<Batch>) {
        if self.admit(&mut batch, 0) {
            let _waits = self.try_job(now, &mut batch, 0);
            return self.send_served(batch);
        }
        self.lock_waits += 1;
        self.waiting.insert(batch.jobs[0].owner, batch);
    }

    /// Carries job `index` out, which may block. `true` if it waits.
    pub(super) fn try_job(&mut self, now: Millis, batch: &mut Batch, index: usize) -> bool {
        let Batch { bytes, shared, spans, calls, jobs, ends, replies, slow, .. } = batch;
        let job = &mut jobs[index];
        let at = job.calls.0 as usize;
        let call = &calls[at];
        let args = Args::new(bytes, &spans[call.words.0 as usize..call.words.1 as usize], shared);
        job.replies_from = replies.mark();
        job.part_ticks = 0;
        ends.resize(calls.len(), replies.mark());
        let ticks = match job.blocking {
            // Who is given up lines up behind nobody.
            Blocking::Cancelled => {
                let ticks = self.run_or_find_nothing(now, call, &args, replies);
                if !job.is_noted {
                    self.note_attempt(call, &args);
                }
                ticks
            }
            _ => self.run_or_wait(now, call, &args, replies),
        };
        let Some(ticks) = ticks else { return true };
        if self.watch.is_slow(ticks) {
            slow.push((at as u32, ticks));
        }
        ends[at] = replies.mark();
        job.blocking = Blocking::Served;
        false
    }

    /// Parks job `index`, which waits. What is returned goes home instead: it tells that the job waits, or that it was given
    /// up.
    pub(super) fn park_job(&mut self, now: Millis, mut batch: Box<Batch>, index: usize) -> Box<Batch> {
        if batch.jobs[index].blocking == Blocking::Cancelled {
            return batch;
        }
        let job = &batch.jobs[index];
        // Also where the other jobs of the batch have left it, because they wait for locks: their calls are still there.
        if batch.jobs.len() > 1 || batch.calls.len() > 1 {
            let alone = batch.split_off(index);
            batch.jobs[index].blocking = Blocking::Parked;
            self.park(now, alone);
            return batch;
        }
        // The batch itself waits, and what brings the news is as small as can be.
        let mut news = Box::new(Batch::new(batch.home));
        news.open_job(job.ticket, job.owner, job.order, job.reach);
        news.jobs[0].blocking = Blocking::Parked;
        news.sent_at = batch.sent_at;
        news.is_extra = std::mem::replace(&mut batch.is_extra, true);
        news.cancels = std::mem::take(&mut batch.cancels);
        self.park(now, batch);
        news
    }

    /// Notes a call over several shards in the queues of those of its keys that are here.
    pub(super) fn keep_watch(&mut self, now: Millis, batch: Box<Batch>) {
        let call = &batch.calls[0];
        let (db, owner, args) = (call.db, batch.jobs[0].owner, batch.args(call));
        let wait = wait_of(call, &args);
        let mut filled: Vec<Box<[u8]>> = Vec::new();
        let mut has_other = false;
        for index in wait.keys.clone() {
            let key = self.shard.key(args.get(index));
            if !self.shard.owns(&key) {
                continue;
            }
            let entry = self.shard.database(db).find(&key).filter(|entry| !entry.is_expired(now));
            has_other |= entry.is_some_and(|entry| entry.kind() != wait.kind);
            if is_news(&wait, &args, key.bytes, entry) {
                filled.push(key.bytes.into());
            }
        }
        // Its words were settled when it was tried, by its core.
        self.fixed = None;
        self.park(now, batch);
        if has_other {
            // The command is refused for that, whoever else waits.
            return self.poke(owner);
        }
        filled.iter().for_each(|key| self.shard.waiting.fill(db, &self.shard.hasher.key(key)));
        self.serve_beside(now, self.acting);
    }

    /// The core of a call over several shards has tried it and gives the entries back: it may be poked again.
    pub(super) fn attempt_is_over(&mut self, owner: Owner) {
        if self.poked > 0
            && let Some(parked) = self.parked.get_mut(&owner)
        {
            self.poked -= usize::from(std::mem::take(&mut parked.is_poked));
        }
    }

    /// A call may have removed its keys, or put something else in their place: tells those whose waiting that ends.
    #[cold]
    pub(super) fn note_gone(&mut self, call: &Call, args: &Args<'_>) {
        let shard = &mut self.shard;
        call.row.visit_keys(args, |index, _| {
            let key = shard.hasher.key(args.get(index));
            shard.waiting.note_gone(call.db, &key);
        });
    }

    /// Serves who waits for what is ready, as if the locks of `acting` were no obstacle.
    pub(super) fn serve_beside(&mut self, now: Millis, acting: Option<Owner>) {
        if self.shard.waiting.has_ready() {
            let before = std::mem::replace(&mut self.acting, acting);
            self.serve(now);
            self.acting = before;
        }
    }

    /// Serves who waits for what is ready, until nothing is ready any more or locks are in the way.
    #[cold]
    pub(super) fn serve(&mut self, now: Millis) {
        if self.shard.is_lent() {
            // What is ready now is so still when the data is back.
            return;
        }
        let mut put_off = Vec::new();
        while let Some(filled) = self.shard.waiting.take_ready() {
            if self.give(now, &filled) == Given::Locked {
                put_off.push(filled);
            }
        }
        put_off.into_iter().for_each(|filled| self.shard.waiting.put_off(filled));
        // The next call does not answer for what this took.
        self.watch.start();
    }

    /// Gives what a key has got to those who wait for it, in the order of their arrival.
    fn give(&mut self, now: Millis, filled: &Filled) -> Given {
        // Those who wait now, each once: whoever finds nothing stays where it is.
        let (mut from, mut is_kept) = (0, false);
        while let Some((arrival, waiter)) = self.shard.waiting.next(filled, from) {
            from = arrival + 1;
            let key = self.shard.key(&filled.key);
            let entry = self.shard.database(filled.db).find(&key).filter(|entry| !entry.is_expired(now));
            if entry.is_none() && !self.shard.waiting.is_minded(filled) {
                return Given::All;
            }
            let is_of_kind = entry.is_some_and(|entry| entry.kind() == waiter.kind);
            if !is_of_kind && waiter.share != Share::Consume || is_kept && waiter.share.is_in_turn() {
                continue;
            }
            let owner = Owner(waiter.number);
            let parked = self.parked.get(&owner).expect("who is in a queue is parked");
            if parked.batch.jobs[0].order == Order::Watch {
                if waiter.share == Share::Take {
                    self.poke(owner);
                    return Given::All;
                }
                let (call, batch) = (&parked.batch.calls[0], &parked.batch);
                let args = batch.args(call);
                if parked.is_poked || is_news(&wait_of(call, &args), &args, key.bytes, entry) {
                    self.poke(owner);
                    is_kept |= waiter.share.is_in_turn();
                }
                continue;
            }
            if self.is_locked(owner) {
                return Given::Locked;
            }
            self.retry(now, owner);
        }
        Given::All
    }

    /// Are keys of a parked call locked by somebody who is half done?
    fn is_locked(&self, owner: Owner) -> bool {
        if self.locks.is_idle() {
            return false;
        }
        let batch = &self.parked[&owner].batch;
        let call = &batch.calls[0];
        let mut requests = LockRequests::new();
        push_key_locks(call.row, &batch.args(call), None, |key| self.shard.key(key).hash, &mut requests);
        self.locks.is_held(&requests, self.acting)
    }

    /// Carries a parked call out again; it goes home unless it still finds nothing.
    fn retry(&mut self, now: Millis, owner: Owner) {
        let Some(parked) = self.parked.get_mut(&owner) else { return };
        let Batch { bytes, shared, spans, calls, jobs, ends, replies, slow, .. } = &mut *parked.batch;
        let call = &calls[0];
        let args = Args::new(bytes, &spans[call.words.0 as usize..call.words.1 as usize], shared);
        self.watch.start();
        replies.clear();
        let (tally, tried) = try_call(&mut self.shard, &self.rules, now, call, &args, replies);
        if matches!(tried, Tried::Waits(_)) {
            parked.was_tried = true;
            return self.tally(tally);
        }
        let ticks = self.watch.lap();
        self.watch.record(call.row, ticks, tally.failed);
        slow.clear();
        if self.watch.is_slow(ticks) {
            slow.push((0, ticks));
        }
        jobs[0].replies_from = crate::resp::reply::Mark::default();
        jobs[0].blocking = Blocking::Served;
        ends.clear();
        ends.push(replies.mark());
        self.tally(tally);
        if let Some((batch, _)) = self.unpark(owner) {
            self.send_served(batch);
        }
    }

    /// Tells the core of a call over several shards that its turn has come here.
    fn poke(&mut self, owner: Owner) {
        let Some(parked) = self.parked.get_mut(&owner) else { return };
        if std::mem::replace(&mut parked.is_poked, true) {
            return;
        }
        self.poked += 1;
        let mut poke = Box::new(Batch::new(parked.batch.home));
        poke.open_job(parked.batch.jobs[0].ticket, owner, Order::Poke, Reach::Keys);
        poke.is_extra = true;
        self.send_served(poke);
    }

    fn send_served(&mut self, mut batch: Box<Batch>) {
        batch.is_answer = true;
        self.served.push(batch);
    }

    /// Takes a job out of all queues, and tells if it was tried. If a key was kept for it, the next ones may have it.
    fn unpark(&mut self, owner: Owner) -> Option<(Box<Batch>, bool)> {
        let Parked { batch, arrival, is_poked, was_tried } = self.parked.remove(&owner)?;
        self.poked -= usize::from(is_poked);
        let call = &batch.calls[0];
        let (db, args) = (call.db, batch.args(call));
        for index in wait_of(call, &args).keys {
            let key = self.shard.key(args.get(index));
            self.shard.waiting.remove(db, &key, arrival);
            if is_poked {
                self.shard.waiting.fill(db, &key);
            }
        }
        Some((batch, was_tried))
    }

    /// Is one of the keys that a new call would look at kept for a call over several shards?
    fn is_kept(&self, call: &Call, args: &Args<'_>) -> bool {
        if self.poked == 0 {
            return false;
        }
        let wait = wait_of(call, args);
        wait.share.is_in_turn() && wait.keys.clone().any(|index| self.is_key_kept(call.db, args.get(index), &wait))
    }

    fn is_key_kept(&self, db: DbIndex, key: &[u8], wait: &Wait) -> bool {
        let key = self.shard.key(key);
        let is_poked = |waiter: &Waiter| self.parked.get(&Owner(waiter.number)).is_some_and(|parked| parked.is_poked);
        let mut rivals = self
            .shard
            .waiting
            .waiters(db, &key)
            .filter(|waiter| (waiter.kind, waiter.share) == (wait.kind, wait.share));
        match wait.share {
            // Who comes first takes all there is.
            Share::Take => rivals.next().as_ref().is_some_and(is_poked),
            _ => rivals.any(|waiter| is_poked(&waiter)),
        }
    }
}

#[cfg(test)]
mod tests;
