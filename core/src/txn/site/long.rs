//! Calls whose replies are long: their first run only finds that out, the second one begins the reply under a lock, and the
//! pieces follow.

use super::{Call, Site, Tally, context_of, run_in};
use crate::commands::long_reply::{LongReply, Piece};
use crate::resp::{Args, ReplyBuffer};
use crate::txn::batch::PutOff;
use crate::txn::locks::Owner;
use crate::units::Millis;

impl Site {
    /// Was the call that ran last put off, and why? It has written nothing.
    #[inline]
    pub fn take_put_off(&mut self) -> Option<PutOff> {
        self.has_put_off.take()
    }

    #[cold]
    pub(super) fn note_put_off(&mut self, put_off: PutOff) {
        self.has_put_off = Some(put_off);
        if put_off == PutOff::Long {
            // It is looked up again.
            let hits = &mut self.shard.stats.keyspace_hits;
            *hits = hits.saturating_sub(1);
        }
    }

    /// Runs a call that was put off and for which `owner` holds the lock now. None: its reply is written, for it is not
    /// long any more. Else its key stays until [`Site::end_reply`].
    pub fn begin_reply(
        &mut self,
        now: Millis,
        owner: Owner,
        call: &Call,
        args: &Args<'_>,
        out: &mut ReplyBuffer,
    ) -> (Tally, Option<LongReply>) {
        let mut context = context_of(&mut self.shard, &self.rules, now, call);
        context.may_put_off = true;
        let tally = run_in(&mut context, call, args, out);
        let walk = context.put_off.take();
        self.tally(tally);
        if self.monitored.is_some() {
            self.watch.start();
            self.note_monitored(call, args);
        }
        let begun = walk.zip(call.first_key).map(|(walk, (index, _))| {
            let name = args.get(index as usize);
            let reply = LongReply::new(&self.shard, call.db, name, call.protocol, *walk);
            let (db, hash) = reply.place();
            self.shard.pins.add(owner.0, db, hash, reply.expire_at);
            reply
        });
        (tally, begun)
    }

    /// Writes the next piece of a reply.
    pub fn write_piece(&self, reply: &mut LongReply, out: &mut ReplyBuffer) -> Piece {
        reply.write_piece(&self.shard, out)
    }

    /// The key of a reply may go when its time has passed. The lock is still to be released.
    pub fn end_reply(&mut self, owner: Owner) {
        self.shard.pins.remove(owner.0);
    }

    /// Does anybody wait for the locks of this owner, who has them?
    pub fn is_waited_for(&self, owner: Owner) -> bool {
        self.locks.is_waited_for(owner)
    }
}
