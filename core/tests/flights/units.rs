//! Transactions whose calls have one key each, as the server's sessions carry them out.

use crate::model::Op;
use crate::world::{Pending, World, row_of};
use ringkey_core::resp::{Reply, Request};
use ringkey_core::txn::batch::{Call, Order, Reach};
use ringkey_core::txn::flight::Shape;
use ringkey_core::units::{Millis, ShardId};

impl World {
    /// EXEC of the transaction that a client sends next.
    pub fn begin_unit(&mut self, client: usize) {
        let Some(op) = self.clients[client].window.pop_front() else { return };
        let Op::Unit(ops) = &op else { unreachable!("only transactions come here") };
        let calls: Vec<(usize, Request)> = ops
            .iter()
            .map(|op| {
                let request = op.request(&self.names);
                (self.shard_of(request.args().get(1)), request)
            })
            .collect();
        self.clients[client].unanswered.push_back(op);
        self.tally.units += 1;
        let protocol = self.clients[client].protocol;
        Reply::new(&mut self.clients[client].output, protocol).array(calls.len());
        let mut shards: Vec<ShardId> = calls.iter().map(|(shard, _)| ShardId(*shard as u16)).collect();
        shards.sort_unstable();
        shards.dedup();
        if let [shard] = shards.as_slice() {
            return self.unit_on(client, shard.index(), &calls);
        }
        let owner = self.new_owner(self.clients[client].home);
        let mut flight = self.flight(client, owner, Shape::Unit, Reach::Keys, &shards);
        if shards.len() == 2 && self.relay(client, &mut flight, &calls) {
            self.tally.relays += 1;
            self.clients[client].pending = Pending::Flight(Box::new(flight), None);
            return;
        }
        for (shard, request) in &calls {
            let call = self.call(client, row_of(&request.args()), &request.args());
            flight.push(ShardId(*shard as u16), &call, &request.args(), None);
        }
        self.take_off(client, flight, None);
    }

    fn unit_on(&mut self, client: usize, shard: usize, calls: &[(usize, Request)]) {
        let home = self.clients[client].home;
        let calls: Vec<(Call, &Request)> = calls
            .iter()
            .map(|(_, request)| (self.call(client, row_of(&request.args()), &request.args()), request))
            .collect();
        let site = &mut self.cores[home].site;
        if shard == home && calls.iter().all(|(call, request)| site.admits(call, &request.args())) {
            let now = Millis(self.cores[home].now);
            let site = &mut self.cores[home].site;
            site.begin_unit();
            for (call, request) in &calls {
                site.run(now, call, &request.args(), &mut self.clients[client].output);
            }
            site.end_unit(now);
            self.tell(home);
            return self.answered(client);
        }
        let owner = self.new_owner(home);
        let batch = self.outgoing(home, shard);
        batch.open_job(client as u64, owner, Order::Run, Reach::Keys);
        batch.jobs.last_mut().unwrap().is_unit = true;
        for (call, request) in &calls {
            self.outgoing(home, shard).push_call(call, &request.args());
        }
        self.clients[client].pending = Pending::Job;
    }
}
