//! Calls over entries that were lent: what they replace is freed, whoever had it.

#![allow(clippy::unwrap_used)]

use super::{Site, Workbench};
use crate::command::table;
use crate::keyspace::{KeyHasher, Shard, ShardMap};
use crate::resp::{Protocol, ReplyBuffer, Request};
use crate::txn::batch::{Batch, Call, Order, Reach};
use crate::txn::locks::Owner;
use crate::units::{DbIndex, Millis, ShardId};

const NOW: Millis = Millis(1_000_000);

/// More than a small set may have.
const MEMBERS: usize = 1_000;

struct World {
    site: Site,
    workbench: Workbench,
    owners: u64,
}

fn words(line: &str) -> Request {
    Request::new(line.split(' ').map(str::as_bytes))
}

fn call_of(request: &Request) -> Call {
    let (row, db) = (table::resolve(&request.args()).unwrap(), DbIndex(0));
    let (no_touch, is_source, keep, is_part, may_put_off) = (false, false, true, false, false);
    let (protocol, first_key) = (Protocol::Resp2, None);
    Call { row, db, protocol, words: (0, 0), first_key, no_touch, is_source, keep, is_part, may_put_off, client: 0 }
}

impl World {
    fn new() -> Self {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let shard = Shard::new(ShardId(0), ShardMap::new(1), 16, hasher.clone(), 5);
        let workbench = Workbench::new(Shard::scratch(16, hasher, 6));
        Self { site: Site::new(shard), workbench, owners: 0 }
    }

    /// Runs a call as if the keys were on several shards: they are lent, and go back.
    fn gather(&mut self, line: &str, keys: &str) -> String {
        self.owners += 1;
        let (request, keys) = (words(line), words(keys));
        let call = call_of(&request);
        let mut batch = Box::new(Batch::new(ShardId(0)));
        batch.open_job(1, Owner(self.owners), Order::Lend, Reach::Keys);
        batch.push_call(&call, &keys.args());
        let mut done = Vec::new();
        self.site.deliver(NOW, batch, &mut done);
        let (mut batch, mut out) = (done.pop().unwrap(), ReplyBuffer::default());
        self.workbench.run(&mut self.site, NOW, false, &call, &request.args(), &mut [&mut batch], &mut out);
        batch.jobs[0].order = Order::Return;
        self.site.deliver(NOW, batch, &mut done);
        assert!(self.site.is_idle());
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn run(&mut self, line: &str) {
        let (request, mut out) = (words(line), ReplyBuffer::default());
        self.site.run(NOW, &call_of(&request), &request.args(), &mut out);
    }

    /// Everything that waits to be freed is freed; so many elements and keys that was.
    fn tend(&mut self) -> u64 {
        let before = self.site.shard.stats.lazyfreed;
        while self.site.upkeep(NOW, 64) {}
        assert_eq!(self.workbench.shard_mut().waiting_to_be_freed(), 0, "nothing is buried at the workbench");
        assert_eq!(self.site.shard.waiting_to_be_freed(), 0);
        self.site.shard.stats.lazyfreed - before
    }
}

#[test]
fn large_values_that_a_gathered_call_replaces_are_freed() {
    let mut world = World::new();
    for member in 0..MEMBERS {
        world.run(&format!("SADD {} member:{member:050}", if member % 2 == 0 { "a" } else { "b" }));
    }
    assert_eq!(world.gather("SUNIONSTORE union a b", "union a b"), format!(":{MEMBERS}\r\n"));
    assert_eq!(world.tend(), 0, "there was nothing to replace");
    let calls = [
        ("SUNIONSTORE union a b", "union a b"),
        ("COPY union copy", "union copy"),
        ("COPY union copy REPLACE", "union copy"),
        ("RENAME copy union", "copy union"),
        ("SDIFFSTORE union none a", "union none a"),
    ];
    let freed: Vec<bool> = calls
        .iter()
        .map(|(line, keys)| {
            assert!(!world.gather(line, keys).starts_with('-'), "{line}");
            world.tend() > 0
        })
        .collect();
    assert_eq!(freed, [true, false, true, true, true]);
}
