//! Scripts: how they run on a shard, and what happens with those that take long.
//!
//! A script that takes long is interrupted, so that its core can serve others. Until it ends it has the whole shard locked: what
//! it has written is half done. Those who had locks before it go on; whatever comes later waits behind it. They never wait for
//! it in turn, because it has asked for nothing but this shard, and who holds locks here waits only for higher ones.

use super::{Site, context_of, run_in};
use crate::commands::within::Here;
use crate::resp::{Args, CommandError, Reply, ReplyBuffer};
use crate::txn::batch::{Batch, Call, PutOff};
use crate::txn::locks::Mode;
use crate::txn::locks::{Grant, Owner, Scope};
use crate::units::Millis;
use smallvec::SmallVec;

/// Owners with this bit are scripts that take long; the rest of the number is that of the client.
const SLOW: u64 = 1 << 63;

/// A script that takes long.
#[derive(Debug)]
pub struct Slow {
    /// Its call, alone.
    batch: Box<Batch>,
    owner: Owner,
    /// Has it got the whole shard?
    has_shard: bool,
    /// When it was interrupted first.
    since: Millis,
    /// How long it has run so far, in ticks.
    ticks: u64,
}

impl Site {
    /// Runs a call of a script that was admitted.
    #[inline(never)]
    pub(super) fn run_script(&mut self, now: Millis, call: &Call, args: &Args<'_>, out: &mut ReplyBuffer) -> u64 {
        let mut named: SmallVec<[u64; 8]> = SmallVec::new();
        if !self.locks.is_idle() {
            call.row.visit_keys(args, |index, _| named.push(self.shard.key(args.get(index)).hash.hash));
        }
        let (put_off, ticks) = self.run_as_unit(now, call, args, &named, self.acting, out);
        if let Some(put_off) = put_off {
            self.note_put_off(put_off);
        }
        if self.shard.waiting.has_ready() && !self.is_in_unit {
            self.serve(now);
        }
        ticks
    }

    fn run_as_unit(
        &mut self,
        now: Millis,
        call: &Call,
        args: &Args<'_>,
        named: &[u64],
        owner: Option<Owner>,
        out: &mut ReplyBuffer,
    ) -> (Option<PutOff>, u64) {
        let is_again = self.is_going_on;
        let began = self.watch.ticks();
        let mark = self.begin_noting_script(call, args, is_again);
        let mut context = context_of(&mut self.shard, &self.rules, now, call);
        context.here = match self.locks.is_idle() {
            true => Here::Shard,
            false => Here::Contended { locks: &self.locks, named, owner },
        };
        context.watch = Some(&mut self.watch);
        context.errors = Some(&mut self.errors);
        context.monitored = self.monitored.as_deref_mut();
        context.may_suspend = call.may_put_off;
        let tally = run_in(&mut context, call, args, out);
        self.tally(tally);
        let ticks = self.watch.ticks().saturating_sub(began);
        if tally.put_off.is_none() && !call.is_part && !is_again {
            self.watch.record(call.row, ticks, tally.failed);
        }
        self.watch.start();
        self.end_noting(mark, call, args, &tally, true);
        (tally.put_off, ticks)
    }

    /// Keeps a script that was interrupted just now, with its call alone in a batch: it is gone on with, and goes home among those
    /// that were served.
    pub fn suspend(&mut self, now: Millis, batch: Box<Batch>) {
        let (owner, has_shard) = match batch.jobs[0].owner {
            // It had to wait for its turn and has had the whole shard from its beginning.
            owner if self.acting == Some(owner) => (owner, true),
            _ => {
                let owner = Owner(SLOW | batch.calls[0].client);
                (owner, self.locks.acquire(owner, Scope::Whole(Mode::Exclusive)) == Grant::Granted)
            }
        };
        self.slow.push(Slow { batch, owner, has_shard, since: now, ticks: 0 });
    }

    /// Are there scripts to be gone on with?
    #[inline]
    pub fn has_slow(&self) -> bool {
        !self.slow.is_empty()
    }

    /// Since when has a script taken long here?
    pub fn slow_since(&self) -> Option<Millis> {
        self.slow.iter().map(|slow| slow.since).min()
    }

    /// Answers those who wait here for a lock, and may be answered so, with an error: a script has held the shard for too long, or
    /// the keys that this holder has locked.
    pub fn turn_away(&mut self, now: Millis, holder: Option<Owner>, error: &CommandError, done: &mut Vec<Box<Batch>>) {
        let waits_for = |batch: &Batch, holder| {
            let requests = batch.lock_requests(&batch.jobs[0], false, |key| self.shard.key(key).hash);
            self.locks.is_held(&requests, None) && !self.locks.is_held(&requests, Some(holder))
        };
        let may_be =
            |batch: &Batch| batch.jobs[0].may_be_turned_away && holder.is_none_or(|holder| waits_for(batch, holder));
        let owners: SmallVec<[Owner; 8]> =
            self.waiting.iter().filter(|(_, batch)| may_be(batch)).map(|(owner, _)| *owner).collect();
        for owner in owners {
            let Some(mut batch) = self.waiting.remove(&owner) else { continue };
            let Batch { calls, replies, ends, jobs, .. } = &mut *batch;
            (jobs[0].replies_from, jobs[0].put_off) = (replies.mark(), None);
            ends.clear();
            for call in calls {
                Reply::new(replies, call.protocol).error(error);
                self.errors.note(error.code());
                self.watch.reject(call.row);
                ends.push(replies.mark());
            }
            batch.is_answer = true;
            self.served.push(batch);
            self.end_locks(now, owner, done);
        }
        done.append(&mut self.served);
    }

    pub(super) fn is_slow(&mut self, owner: Owner) -> bool {
        let slow = self.slow.iter_mut().find(|slow| slow.owner == owner);
        slow.map(|slow| slow.has_shard = true).is_some()
    }

    /// Goes on with scripts for a while. Those that end go home; what waited for them is carried out.
    pub fn go_on(&mut self, now: Millis, done: &mut Vec<Box<Batch>>) {
        for _ in 0..self.slow.len() {
            let mut slow = self.slow.remove(0);
            if !slow.has_shard {
                // Whoever came before it may not see it half done.
                self.slow.push(slow);
                continue;
            }
            let Slow { batch, owner, .. } = &mut slow;
            let (call, owner) = (batch.calls[0].clone(), *owner);
            let mut out = std::mem::take(&mut batch.replies);
            let args = batch.args(&call);
            let mut named: SmallVec<[u64; 8]> = SmallVec::new();
            call.row.visit_keys(&args, |index, _| named.push(self.shard.key(args.get(index)).hash.hash));
            self.is_going_on = true;
            self.watch.take_within();
            let (put_off, ticks) = self.run_as_unit(now, &call, &args, &named, Some(owner), &mut out);
            self.is_going_on = false;
            slow.ticks += ticks;
            slow.batch.jobs[0].within += self.watch.take_within();
            slow.batch.replies = out;
            match put_off {
                Some(PutOff::Suspended) => self.slow.push(slow),
                put_off => self.end_slow(now, slow, put_off, done),
            }
        }
    }

    fn end_slow(&mut self, now: Millis, slow: Slow, put_off: Option<PutOff>, done: &mut Vec<Box<Batch>>) {
        let Slow { mut batch, owner, ticks, .. } = slow;
        if put_off.is_none() {
            let failed = batch.replies.bytes.first() == Some(&b'-');
            self.watch.record(batch.calls[0].row, ticks, failed);
        }
        batch.jobs[0].put_off = put_off.map(|put_off| (0, put_off));
        batch.ends.clear();
        batch.ends.push(batch.replies.mark());
        if self.watch.is_slow(ticks) {
            batch.slow.push((0, ticks));
        }
        batch.is_answer = true;
        self.served.push(batch);
        self.end_locks(now, owner, done);
        done.append(&mut self.served);
    }
}
