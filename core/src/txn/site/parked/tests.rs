//! Waiting and serving on one shard, job by job.

#![allow(clippy::unwrap_used, clippy::vec_box)]

use crate::command::table;
use crate::keyspace::{KeyHasher, Shard, ShardMap};
use crate::resp::{Args, Protocol, ReplyBuffer, Request};
use crate::txn::assembly::Assembly;
use crate::txn::batch::{Batch, Blocking, Call, Order, Reach};
use crate::txn::locks::{Mode, Owner};
use crate::txn::site::Site;
use crate::units::{DbIndex, Millis, ShardId};

mod streams;

const NOW: Millis = Millis(1_000_000);

struct Bench {
    site: Site,
    done: Vec<Box<Batch>>,
}

fn words(line: &str) -> Request {
    Request::new(line.split(' ').map(str::as_bytes))
}

fn call(args: &Args<'_>, keep: bool) -> Call {
    let row = table::resolve(args).unwrap();
    Call { keep, ..Call::new(row, DbIndex(0), Protocol::Resp2, None) }
}

/// Adds a job of one call to a batch.
fn add(batch: &mut Batch, owner: u64, order: Order, line: &str) {
    let request = words(line);
    let args = request.args();
    let call = call(&args, order == Order::RunAndKeep);
    batch.open_job(owner, Owner(owner), order, Reach::Keys);
    // What is lent are keys alone.
    let keys = Request::new(args.iter_from(1));
    let words = if order == Order::Lend { keys.args() } else { args };
    batch.push_call(&call, &words);
    if call.row.waits.is_some() && order == Order::Run {
        batch.jobs.last_mut().unwrap().blocking = Blocking::May;
    }
}

impl Bench {
    fn new(shards: u16) -> Self {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let shard = Shard::new(ShardId(0), ShardMap::new(shards), 16, hasher, 5);
        Self { site: Site::new(shard), done: Vec::new() }
    }

    fn deliver(&mut self, batch: Box<Batch>) -> Vec<String> {
        self.site.deliver(NOW, batch, &mut self.done);
        self.news()
    }

    /// Delivers a batch of one job and tells what went home.
    fn job(&mut self, owner: u64, order: Order, line: &str) -> Vec<String> {
        let mut batch = Box::new(Batch::new(ShardId(0)));
        add(&mut batch, owner, order, line);
        self.deliver(batch)
    }

    fn run(&mut self, owner: u64, line: &str) -> Vec<String> {
        self.job(owner, Order::Run, line)
    }

    fn release(&mut self, owner: u64) -> Vec<String> {
        self.site.release(NOW, Owner(owner), &mut self.done);
        self.news()
    }

    fn cancel(&mut self, owner: u64) -> Vec<String> {
        let mut batch = Box::new(Batch::new(ShardId(0)));
        batch.cancels.push(Owner(owner));
        self.deliver(batch)
    }

    /// Has the whole shard lent.
    fn lend_all(&mut self, owner: u64) -> Box<Batch> {
        let mut batch = Box::new(Batch::new(ShardId(0)));
        batch.open_job(owner, Owner(owner), Order::Lend, Reach::Whole(Mode::Exclusive));
        self.site.deliver(NOW, batch, &mut self.done);
        let batch = self.done.pop().unwrap();
        assert!(batch.loan.is_some() && self.site.shard.is_lent());
        batch
    }

    /// Runs a command over what was lent and gives it back.
    fn run_and_give_back(&mut self, mut batch: Box<Batch>, line: &str) -> Vec<String> {
        let request = words(line);
        let args = request.args();
        let mut out = ReplyBuffer::default();
        let mut assembly = Assembly::default();
        assembly.run(&mut self.site, NOW, &call(&args, false), &args, &mut [&mut batch], &mut out);
        assert!(!out.to_vec().starts_with(b"-"), "{line}");
        batch.jobs[0].order = Order::Return;
        batch.is_answer = false;
        let news = self.deliver(batch);
        assert!(!self.site.shard.is_lent());
        news
    }

    /// What went home: a job each, with its reply or how it stands.
    fn news(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        for batch in self.done.drain(..) {
            for job in &batch.jobs {
                let text = match (job.order, job.blocking) {
                    (Order::Poke, _) => "poke".to_owned(),
                    (Order::Watch | Order::Lend | Order::Return, _) => format!("{:?}", job.order),
                    (_, Blocking::Parked) => "parked".to_owned(),
                    (_, Blocking::Cancelled) => "cancelled".to_owned(),
                    _ => {
                        let replies = batch.replies.to_vec();
                        let reply = &replies[job.replies_from.bytes..batch.end_of(job).bytes];
                        String::from_utf8_lossy(reply).replace("\r\n", " ").trim().to_owned()
                    }
                };
                news.push(format!("{}: {text}", job.owner.0));
            }
        }
        news
    }
}

#[test]
fn the_first_is_served_first_and_chains_go_on() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.run(1, "BLPOP a b 0"), ["1: parked"]);
    assert_eq!(bench.run(2, "BLMOVE b c LEFT LEFT 0"), ["2: parked"]);
    assert_eq!(bench.run(3, "BZPOPMIN b 0"), ["3: parked"]);
    assert_eq!(bench.run(4, "BRPOP c 0"), ["4: parked"]);
    assert_eq!((bench.site.parked(), bench.site.shard.waiting.keys()), (4, 3));
    assert_eq!(
        bench.run(5, "RPUSH b x y"),
        ["5: :2", "1: *2 $1 b $1 x", "2: $1 y", "4: *2 $1 c $1 y"],
        "who waits for another type stays"
    );
    assert_eq!(bench.run(6, "ZADD b 1 m"), ["6: :1", "3: *3 $1 b $1 m $1 1"]);
    assert_eq!((bench.site.parked(), bench.site.shard.waiting.keys()), (0, 0));
    assert!(bench.site.shard.database(DbIndex(0)).is_empty());
}

#[test]
fn who_waits_is_told_before_it_is_served() {
    let mut bench = Bench::new(1);
    let mut batch = Box::new(Batch::new(ShardId(0)));
    add(&mut batch, 1, Order::Run, "BLPOP a 0");
    add(&mut batch, 2, Order::Run, "LPUSH a x");
    add(&mut batch, 3, Order::Run, "EXISTS a");
    assert_eq!(bench.deliver(batch), ["1: parked", "2: :1", "3: :0", "1: *2 $1 a $1 x"]);
    // And given up after everything else in the batch.
    let mut batch = Box::new(Batch::new(ShardId(0)));
    batch.cancels.push(Owner(4));
    add(&mut batch, 4, Order::Run, "BLPOP a 0");
    assert_eq!(bench.deliver(batch), ["4: parked", "4: cancelled"]);
    assert_eq!(bench.cancel(4), [""; 0]);
}

#[test]
fn who_waits_for_keys_is_not_mistaken_for_who_waits_for_a_lock() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.job(1, Order::RunAndKeep, "RPUSH a x"), ["1: :1"]);
    // Both came in one batch, and the first one leaves it.
    let mut batch = Box::new(Batch::new(ShardId(0)));
    add(&mut batch, 2, Order::Run, "LLEN a");
    add(&mut batch, 3, Order::Run, "BLPOP b 0");
    assert_eq!(bench.deliver(batch), ["3: parked"]);
    assert_eq!(bench.release(1), ["2: :1"]);
    assert_eq!(bench.run(4, "RPUSH b y"), ["4: :1", "3: *2 $1 b $1 y"]);
    assert_eq!((bench.site.parked(), bench.site.shard.waiting.keys()), (0, 0));
}

#[test]
fn a_lock_hides_what_was_brought_until_it_ends() {
    let mut bench = Bench::new(1);
    bench.run(1, "BLPOP a 0");
    assert_eq!(bench.job(2, Order::RunAndKeep, "RPUSH a x"), ["2: :1"]);
    // These come later and have to wait for the lock.
    assert_eq!(bench.run(3, "LPOP a"), [""; 0]);
    assert_eq!(bench.run(4, "BLPOP a 0"), [""; 0]);
    assert_eq!(bench.run(5, "BLPOP a 0"), [""; 0]);
    assert_eq!(bench.cancel(5), [""; 0], "it goes home when it has had its turn");
    assert_eq!(bench.release(2), ["3: $-1", "4: parked", "5: cancelled", "1: *2 $1 a $1 x"]);
    assert_eq!(bench.cancel(4), ["4: cancelled"]);
    assert!(bench.site.is_idle() && bench.site.shard.waiting.is_empty());
}

#[test]
fn a_locked_target_puts_a_move_off() {
    let mut bench = Bench::new(1);
    bench.run(1, "BLMOVE a b LEFT LEFT 0");
    assert_eq!(bench.job(2, Order::RunAndKeep, "RPUSH b x"), ["2: :1"]);
    assert_eq!(bench.run(3, "RPUSH a y"), ["3: :1"]);
    assert_eq!(bench.site.parked(), 1);
    assert_eq!(bench.release(2), ["1: $1 y"]);
}

#[test]
fn a_key_is_kept_for_a_call_over_several_shards() {
    let mut bench = Bench::new(2);
    let key = (0..).map(|at| format!("k{at}")).find(|key| bench.site.shard.owns(&bench.site.shard.key(key.as_bytes())));
    let other =
        (0..).map(|at| format!("k{at}")).find(|key| !bench.site.shard.owns(&bench.site.shard.key(key.as_bytes())));
    let (key, other) = (key.unwrap(), other.unwrap());
    let watch = format!("BLPOP {other} {key} 0");
    assert_eq!(bench.job(1, Order::Watch, &watch), ["1: Watch"]);
    assert_eq!(bench.site.shard.waiting.keys(), 1, "the other key is another shard's");
    assert_eq!(bench.run(2, &format!("RPUSH {key} x y")), ["2: :2", "1: poke"]);
    assert_eq!(bench.run(3, &format!("BLPOP {key} 0")), ["3: parked"], "it came later");
    assert_eq!(bench.run(4, &format!("RPUSH {key} z")), ["4: :3"], "one poke is enough");
    // Its core takes the key away, finds what it wants, and gives the rest back.
    let mut lend = Box::new(Batch::new(ShardId(0)));
    add(&mut lend, 1, Order::Lend, &format!("TOUCH {key}"));
    bench.site.deliver(NOW, lend, &mut bench.done);
    let mut lent = bench.done.pop().unwrap();
    assert!(lent.lent.iter().any(|lent| lent.entry.is_some()));
    assert_eq!(bench.cancel(1), [""; 0], "the key is away");
    lent.jobs[0].order = Order::Return;
    assert_eq!(bench.deliver(lent), ["1: Return", &format!("3: *2 ${} {key} $1 x", key.len())]);
    // A new one is poked at once if there is something, and passes its turn on if it is given up.
    assert_eq!(bench.job(5, Order::Watch, &watch), ["5: Watch", "5: poke"]);
    assert_eq!(bench.run(6, &format!("BLPOP {key} 0")), ["6: parked"]);
    assert_eq!(bench.cancel(5), [format!("6: *2 ${} {key} $1 y", key.len())]);
    assert_eq!(bench.run(7, &format!("SET {key} text")), ["7: +OK"]);
    assert_eq!(bench.job(8, Order::Watch, &watch), ["8: Watch", "8: poke"], "it is to be refused");
}

#[test]
fn while_the_data_is_lent_everything_waits_in_order() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.run(1, "RPUSH list b"), ["1: :1"]);
    assert_eq!(bench.run(2, "BLPOP a b 0"), ["2: parked"]);
    let lent = bench.lend_all(3);
    assert_eq!(bench.run(4, "LLEN list"), [""; 0]);
    assert_eq!(bench.run(5, "RPUSH b 1"), [""; 0]);
    assert_eq!(bench.run(6, "BLPOP b list 0"), [""; 0]);
    assert!(!bench.site.upkeep(NOW, 100));
    // What is stored belongs to the one who waits for it; then come those who waited for the lock.
    assert_eq!(
        bench.run_and_give_back(lent, "SORT list ALPHA STORE a"),
        ["4: :1", "5: :1", "6: *2 $1 b $1 1", "3: Return", "2: *2 $1 a $1 b"]
    );
    assert_eq!(bench.run(7, "EXISTS a b list"), ["7: :1"]);
    assert!(bench.site.is_idle());
}

#[test]
fn a_cancel_does_not_wait_for_lent_data() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.run(1, "RPUSH list b"), ["1: :1"]);
    assert_eq!(bench.run(2, "BLPOP a 0"), ["2: parked"]);
    assert_eq!(bench.run(3, "BLPOP a 0"), ["3: parked"]);
    let lent = bench.lend_all(4);
    assert_eq!(bench.cancel(2), ["2: cancelled"]);
    assert_eq!(bench.run_and_give_back(lent, "SORT list ALPHA STORE a"), ["4: Return", "3: *2 $1 a $1 b"]);
}

#[test]
fn who_comes_to_watch_lent_data_misses_nothing() {
    let mut bench = Bench::new(2);
    let key = ["a", "b", "c", "d"].into_iter().find(|key| bench.site.shard.owns(&bench.site.shard.key(key.as_bytes())));
    let key = key.unwrap();
    let lent = bench.lend_all(1);
    assert_eq!(bench.job(2, Order::Watch, "BLPOP a b c d 0"), ["2: Watch"]);
    assert_eq!(bench.job(3, Order::Watch, "BLPOP a b c d 0"), ["3: Watch"]);
    assert_eq!(bench.site.parked(), 0);
    assert_eq!(bench.cancel(2), [""; 0]);
    // Another shard is not needed for what this one has.
    let mut other = Shard::new(ShardId(1), ShardMap::new(2), 16, KeyHasher::new([1, 2, 3, 4]), 5);
    let mut second = Box::new(Batch::new(ShardId(0)));
    second.loan = Some(other.lend());
    let request = words(&format!("RPUSH {key} x"));
    let (args, mut first) = (request.args(), lent);
    let (mut assembly, mut out) = (Assembly::default(), ReplyBuffer::default());
    let mut legs = [&mut *first, &mut *second];
    assembly.run(&mut bench.site, NOW, &call(&args, false), &args, &mut legs, &mut out);
    other.take_back(second.loan.take().unwrap());
    first.jobs[0].order = Order::Return;
    first.is_answer = false;
    assert_eq!(bench.deliver(first), ["1: Return", "3: poke"]);
    assert_eq!(bench.site.parked(), 1);
}

#[test]
fn who_only_lined_up_is_tried_before_it_is_given_up() {
    let mut bench = Bench::new(2);
    let owned = |bench: &Bench, key: &str| bench.site.shard.owns(&bench.site.shard.key(key.as_bytes()));
    let name = |is_ours: bool| (0..).map(|at| format!("k{at}")).find(|key| owned(&bench, key) == is_ours).unwrap();
    let (key, other) = (name(true), name(false));
    let taken = |owner: u32, text: &str| format!("{owner}: *2 ${} {key} $1 {text}", key.len());
    bench.run(1, &format!("RPUSH {key} x y"));
    assert_eq!(bench.job(2, Order::Watch, &format!("BLPOP {other} {key} 0")), ["2: Watch", "2: poke"]);
    assert_eq!(bench.run(3, &format!("BLPOP {key} 0")), ["3: parked"]);
    assert_eq!(bench.run(4, &format!("BLPOP {key} 0")), ["4: parked"]);
    assert_eq!(bench.cancel(3), [taken(3, "x")], "there was something all the time");
    // While the entries are away nobody can tell whether there is something.
    let mut lend = Box::new(Batch::new(ShardId(0)));
    add(&mut lend, 2, Order::Lend, &format!("TOUCH {key}"));
    bench.site.deliver(NOW, lend, &mut bench.done);
    let mut lent = bench.done.pop().unwrap();
    assert_eq!(bench.cancel(4), [""; 0]);
    assert_eq!(bench.cancel(4), [""; 0], "once is enough");
    lent.jobs[0].order = Order::Return;
    // The poke is in vain, and who was poked finds out.
    assert_eq!(bench.deliver(lent), [&*taken(4, "y"), "2: Return", "2: poke"]);
    assert_eq!(bench.cancel(2), [""; 0]);
    assert_eq!((bench.site.parked(), bench.site.waiting(), bench.site.shard.waiting.keys()), (0, 0, 0));
    assert!(bench.site.is_idle());
}
