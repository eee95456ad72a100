//! Calls that may touch any key, over the data of all shards.
//!
//! Most calls name their keys, and what they need is locked or lent before they run. A few find out only while they run: SORT
//! with patterns that name keys after elements. For such a call every shard locks the whole of itself and lends its data to the core of
//! the client ([`Order::Lend`](super::batch::Order::Lend) with [`Reach::Whole`](super::batch::Reach::Whole)): some addresses
//! travel, whatever they lead to. There the call runs as if there were one core, its [`Context`](crate::commands::Context) going from shard to
//! shard, and what was lent goes home.
//!
//! Nobody sees anything half done, because all shards are locked from before they lend until they have their data back. A core
//! whose shard is lent goes on with all else: calls wait in the queue of its lock table as they do behind a flush, and what needs no
//! lock (who waits for keys, upkeep, settings) either touches no data or is put off.

use super::batch::{Batch, Call};
use super::site::{Site, Tally, context_of, run_in};
use crate::command::Group;
use crate::commands::elsewhere::Elsewhere;
use crate::commands::within::Here;
use crate::keyspace::Shard;
use crate::resp::{Args, ReplyBuffer};
use crate::units::{Millis, ShardId};

/// Where one core runs calls over the data of all shards.
#[derive(Debug, Default)]
pub struct Assembly {
    /// One for each shard, made when they are needed first; the data in them is lent.
    guests: Vec<Shard>,
    /// Where a call runs over entries of several of them.
    bench: Option<Box<Shard>>,
}

impl Assembly {
    /// Runs a call over what all shards have lent to the core of `site`, a batch from each in their order, and packs it up for its way home. What the call did counts as done there.
    pub fn run(
        &mut self,
        site: &mut Site,
        now: Millis,
        call: &Call,
        args: &Args<'_>,
        legs: &mut [&mut Batch],
        out: &mut ReplyBuffer,
    ) -> Tally {
        let mark = site.begin_noting(call, args);
        let host = &mut site.shard;
        if self.guests.is_empty() {
            for id in 0..host.map.shards() {
                let seed = host.prng.next_u64();
                self.guests.push(Shard::guest(ShardId(id), host, seed));
            }
        }
        for (guest, leg) in self.guests.iter_mut().zip(legs.iter_mut()) {
            guest.lay_out(leg.loan.as_mut().expect("every shard has lent its data"), host);
        }
        let at_hand = first_shard(host, call, args);
        let bench = self.bench.get_or_insert_with(|| {
            let seed = host.prng.next_u64();
            Box::new(Shard::scratch(host.database_count(), host.hasher.clone(), seed))
        });
        (bench.journaling, bench.lazy_free) = (host.journaling, host.lazy_free);
        bench.events.wanted = host.events.wanted;
        bench.tracked.broadcasts = host.tracked.broadcasts;
        let (elsewhere, shard) = Elsewhere::new(&mut self.guests, at_hand, bench);
        let mut context = context_of(shard, &site.rules, now, call);
        context.elsewhere = Some(Box::new(elsewhere));
        context.here = Here::Everything;
        context.watch = Some(&mut site.watch);
        context.errors = Some(&mut site.errors);
        context.monitored = site.monitored.as_deref_mut();
        context.may_suspend = call.may_put_off && call.row.group == Group::Scripting;
        let tally = run_in(&mut context, call, args, out);
        site.unit_ends = std::mem::take(&mut context.unit_ends);
        drop(context);
        let guests = &mut self.guests;
        // One of them has all, in their order: told here, before the data is at home.
        guests.iter_mut().for_each(|guest| host.events.extend(guest.events.take()));
        call.row.visit_keys(args, |index, _| {
            let key = host.hasher.key(args.get(index));
            guests[host.map.shard_of(key.hash.slot).index()].waiting.note_gone(call.db, &key);
        });
        for (guest, leg) in self.guests.iter_mut().zip(legs) {
            // Who has read what changed is to hear of it before the reply is seen, not when all is at home.
            host.tracked.adopt_stale(&mut guest.tracked);
            host.stats.add(&guest.pack_up(leg.loan.as_mut().expect("every shard has lent its data")));
        }
        if let Some(bench) = &mut self.bench {
            host.tracked.adopt_stale(&mut bench.tracked);
        }
        site.tally(tally);
        site.end_noting(mark, call, args, &tally, false);
        tally
    }
}

/// The shard with the first key that a call names.
fn first_shard(host: &Shard, call: &Call, args: &Args<'_>) -> ShardId {
    let mut first = None;
    call.row.visit_keys(args, |index, _| {
        first.get_or_insert_with(|| host.map.shard_of(host.key(args.get(index)).hash.slot));
    });
    first.unwrap_or(host.id)
}
