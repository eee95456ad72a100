//! Clients that a command blocks, as the server's core has them: parked at a shard, or watching several of them; served, out
//! of time at any moment, or gone, in which case what they took goes back.

use crate::model::Op;
use crate::world::{Core, Gathered, Pending, World};
use ringkey_core::command::{Command, Undo, table};
use ringkey_core::resp::reply::Mark;
use ringkey_core::resp::{ReplyBuffer, Request};
use ringkey_core::txn::batch::{Batch, Blocking, Call, Order, Reach};
use ringkey_core::txn::flight::Flight;
use ringkey_core::txn::locks::Owner;
use ringkey_core::txn::site::Tried;
use ringkey_core::units::{Millis, ShardId};

/// The ticket of a job for which no client waits.
pub const NOBODY: u64 = u64::MAX;

/// A client that a command blocks, or that has sent one to another core that may.
#[derive(Debug)]
pub struct Blocked {
    owner: Owner,
    call: Call,
    request: Request,
    undo: Undo,
    place: Place,
    /// Is its time over, or is it gone?
    has_ended: bool,
    /// Has its core tried it?
    was_tried: bool,
}

#[derive(Debug, Clone)]
enum Place {
    Shard(usize),
    Several(Vec<usize>),
}

impl World {
    /// Carries out a command that may block its client.
    pub fn begin_wait(&mut self, client: usize, row: &'static Command, request: Request) {
        self.tally.blocking += 1;
        let home = self.clients[client].home;
        let args = request.args();
        let wait = row.waits.expect("it may block")(&args, Millis(self.cores[home].now)).expect("its words are right");
        let mut shards: Vec<usize> = Vec::new();
        row.visit_keys(&args, |index, _| shards.push(self.shard_of(args.get(index))));
        shards.sort_unstable();
        shards.dedup();
        let call = Call { first_key: None, ..self.call(client, row, &args) };
        let op = self.clients[client].window.pop_front();
        self.clients[client].unanswered.extend(op);
        let (owner, ticket) = (self.new_owner(home), client as u64);
        let blocked = |place: Place, call: Call| {
            let (request, undo) = (request.clone(), wait.undo);
            Box::new(Blocked { owner, call, request, undo, place, has_ended: false, was_tried: false })
        };
        if shards == [home] && self.cores[home].site.admits(&call, &args) {
            let Core { site, now, .. } = &mut self.cores[home];
            if site.run_or_wait(Millis(*now), &call, &args, &mut self.clients[client].output).is_some() {
                return self.answered(client);
            }
            let mut batch = Box::new(Batch::new(ShardId(home as u16)));
            batch.open_job(ticket, owner, Order::Run, Reach::Keys);
            batch.jobs[0].blocking = Blocking::May;
            batch.push_call(&call, &args);
            site.park(Millis(*now), batch);
            self.clients[client].pending = Pending::Blocked(blocked(Place::Shard(home), call));
            return;
        }
        if let [shard] = shards.as_slice() {
            let batch = self.outgoing(home, *shard);
            batch.open_job(ticket, owner, Order::Run, Reach::Keys);
            batch.push_call(&call, &args);
            batch.jobs.last_mut().expect("it was opened just now").blocking = Blocking::May;
            self.clients[client].pending = Pending::Blocked(blocked(Place::Shard(*shard), call));
            return;
        }
        let mut watched: Vec<usize> = wait.keys.map(|index| self.shard_of(args.get(index))).collect();
        watched.sort_unstable();
        watched.dedup();
        for shard in &watched {
            let batch = self.outgoing(home, *shard);
            batch.open_job(ticket, owner, Order::Watch, Reach::Keys);
            batch.push_call(&call, &args);
        }
        self.clients[client].pending = Pending::Blocked(blocked(Place::Several(watched), call));
    }

    /// Is the client blocked, and has its waiting not begun to end?
    pub fn may_give_up(&self, client: usize) -> bool {
        match &self.clients[client].pending {
            Pending::Blocked(blocked) => !blocked.has_ended,
            Pending::Flight(_, Some(Gathered { blocked: Some(blocked), .. })) => !blocked.has_ended,
            _ => false,
        }
    }

    /// The time of a client is over, or it is gone.
    pub fn give_up(&mut self, client: usize, is_gone: bool) {
        self.tally.given_up += 1;
        self.clients[client].is_gone |= is_gone;
        match std::mem::take(&mut self.clients[client].pending) {
            Pending::Blocked(mut blocked) => {
                blocked.has_ended = true;
                match &blocked.place {
                    // The shards may not have been heard of yet.
                    Place::Several(_) if !blocked.was_tried && !is_gone => return self.try_again(client, blocked),
                    Place::Several(_) => return self.end(client, &blocked),
                    Place::Shard(shard) => self.cancel(self.clients[client].home, *shard, blocked.owner),
                }
                self.clients[client].pending = Pending::Blocked(blocked);
            }
            Pending::Flight(flight, Some(mut gathered)) => {
                gathered.blocked.as_mut().expect("only who is blocked gives up").has_ended = true;
                self.clients[client].pending = Pending::Flight(flight, Some(gathered));
            }
            _ => unreachable!("only who is blocked gives up"),
        }
    }

    fn cancel(&mut self, home: usize, shard: usize, owner: Owner) {
        if shard == home {
            let Core { site, now, .. } = &mut self.cores[home];
            site.cancel(Millis(*now), owner);
        } else {
            self.outgoing(home, shard).cancels.push(owner);
        }
    }

    fn unwatch(&mut self, home: usize, blocked: &Blocked) {
        if let Place::Several(shards) = &blocked.place {
            shards.iter().for_each(|shard| self.cancel(home, *shard, blocked.owner));
        }
    }

    /// The waiting has ended for nothing.
    fn end(&mut self, client: usize, blocked: &Blocked) {
        let home = self.clients[client].home;
        self.unwatch(home, blocked);
        let protocol = self.clients[client].protocol;
        ringkey_core::resp::Reply::new(&mut self.clients[client].output, protocol).null_array();
        self.go_on_with(home, client);
    }

    fn go_on_with(&mut self, home: usize, client: usize) {
        self.clients[client].pending = Pending::Nothing;
        self.answered(client);
        self.cores[home].ready.push_back(client);
    }

    /// Job `at` of a batch that has come home tells something about a client that may be blocked.
    pub fn take_news(&mut self, core: usize, batch: &Batch, at: usize) {
        let job = &batch.jobs[at];
        let client = job.ticket as usize;
        let is_meant = matches!(&self.clients[client].pending, Pending::Blocked(blocked) if blocked.owner == job.owner);
        if !is_meant {
            return;
        }
        let Pending::Blocked(blocked) = std::mem::take(&mut self.clients[client].pending) else { return };
        match (job.order, job.blocking) {
            (Order::Poke, _) => self.try_again(client, blocked),
            (Order::Watch, _) | (_, Blocking::Parked) => {
                self.tally.parked += 1;
                self.clients[client].pending = Pending::Blocked(blocked);
            }
            (_, Blocking::Cancelled) => self.end(client, &blocked),
            _ => {
                self.tally.served += 1;
                let (from, to) = (job.replies_from, batch.end_of(job));
                if self.clients[client].is_gone {
                    let mut reply = ReplyBuffer::default();
                    reply.append_range(&batch.replies, from, to);
                    self.put_back(core, &blocked, &reply.to_vec());
                    self.clients[client].unanswered.clear();
                    return;
                }
                self.clients[client].output.append_range(&batch.replies, from, to);
                self.go_on_with(core, client);
            }
        }
    }

    fn put_back(&mut self, core: usize, blocked: &Blocked, reply: &[u8]) {
        let Some(back) = blocked.undo.call(reply) else { return };
        self.tally.put_back += 1;
        let request = Request::new(back.words.iter().map(|word| &**word));
        let args = request.args();
        let row = table::resolve(&args).expect("what is put back is put by a command that exists");
        let (owner, shard) = (self.new_owner(core), self.shard_of(args.get(1)));
        let batch = self.outgoing(core, shard);
        batch.open_job(NOBODY, owner, Order::Run, Reach::Keys);
        batch.push_call(&Call { row, first_key: None, is_part: true, ..blocked.call.clone() }, &args);
    }

    fn try_again(&mut self, client: usize, mut blocked: Box<Blocked>) {
        self.tally.tries += 1;
        blocked.was_tried = true;
        let (row, request) = (blocked.call.row, blocked.request.clone());
        self.gather(client, blocked.owner, row, request, Some(blocked));
    }

    /// All entries are lent: runs the command over them. `false`: the client goes on waiting, or its waiting has ended.
    pub fn run_gathered(&mut self, core: usize, client: usize, flight: &mut Flight, gathered: Gathered) -> bool {
        let Gathered { request, call, blocked } = gathered;
        let (mut out, mut steps) = (ReplyBuffer::default(), Vec::new());
        // For a client that is gone nothing is taken.
        let waits = self.clients[client].is_gone || {
            let (args, everything) = (request.args(), flight.lends_everything());
            let mut lent = flight.lent_batches();
            let Core { site, bench, assembly, now, .. } = &mut self.cores[core];
            if everything {
                self.tally.assembled += 1;
                assembly.run(site, Millis(*now), &call, &args, &mut lent, &mut out);
            }
            !everything && {
                let tried = bench.run(site, Millis(*now), blocked.is_some(), &call, &args, &mut lent, &mut out).1;
                matches!(tried, Tried::Waits(_))
            }
        };
        if let Some(blocked) = &blocked
            && !waits
        {
            // Before the entries are back, so that the shards do not poke in vain.
            self.unwatch(core, blocked);
        }
        flight.give_back(&mut steps);
        self.carry_out(core, flight, steps);
        if !waits {
            self.clients[client].output.append_range(&out, Mark::default(), out.mark());
            return true;
        }
        let blocked = blocked.expect("only what may block waits");
        match blocked.has_ended {
            true => self.end(client, &blocked),
            false => self.clients[client].pending = Pending::Blocked(blocked),
        }
        false
    }
}

impl Op {
    /// May it block its client?
    pub fn waits(&self) -> bool {
        matches!(self, Op::BLPop(_) | Op::BLMove(..))
    }

    /// Does a stretch of a pipeline end before it?
    pub fn ends_stretch(&self) -> bool {
        self.waits() || matches!(self, Op::Look(..) | Op::Unit(_))
    }
}
