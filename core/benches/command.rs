//! Whole commands as a pass carries them out: parse all, prefetch all, run all; and the check of locks before each.

use crate::harness::Cases;
use crate::keyspace::{hasher, key_text};
use crate::protocol::request;
use ringkey_core::command::{Command, table};
use ringkey_core::keyspace::{KeyHash, NewValue, Shard, ShardMap};
use ringkey_core::prng::Prng;
use ringkey_core::resp::request::Progress;
use ringkey_core::resp::{Args, Protocol, ReplyBuffer, RequestLimits, RequestParser, Span};
use ringkey_core::txn::batch::Call;
use ringkey_core::txn::locks::LockTable;
use ringkey_core::txn::site::Site;
use ringkey_core::units::{DbIndex, Millis, ShardId};
use std::hint::black_box;

const KEYS: u32 = 100_000;
const DB: DbIndex = DbIndex(0);
const NOW: Millis = Millis(1_800_000_000_000);

/// Pipelines that differ, so that their keys come back late.
const PIPELINES: usize = 64;

/// A request that was looked up.
struct Parsed {
    row: &'static Command,
    hash: KeyHash,
    start: usize,
    words: (usize, usize),
}

/// A core without its sockets.
struct World {
    site: Site,
    parser: RequestParser,
    spans: Vec<Span>,
    parsed: Vec<Parsed>,
    out: ReplyBuffer,
    inputs: Vec<Vec<u8>>,
}

impl World {
    fn new(depth: usize, make: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let mut shard = Shard::new(ShardId(0), ShardMap::new(1), 1, hasher(), 5);
        for number in 0..KEYS {
            let text = key_text(number);
            let key = shard.key(&text);
            shard.database_mut(DB).set(&key, NewValue::Bytes(&[b'v'; 64]), None);
        }
        let mut prng = Prng::new(11);
        let mut pipeline =
            || -> Vec<u8> { (0..depth).flat_map(|_| make(&key_text(prng.below(u64::from(KEYS)) as u32))).collect() };
        Self {
            site: Site::new(shard),
            parser: RequestParser::default(),
            spans: Vec::new(),
            parsed: Vec::new(),
            out: ReplyBuffer::default(),
            inputs: (0..PIPELINES).map(|_| pipeline()).collect(),
        }
    }

    fn run(&mut self) {
        let inputs = std::mem::take(&mut self.inputs);
        for input in &inputs {
            self.run_pipeline(black_box(input));
        }
        self.inputs = inputs;
    }

    fn run_pipeline(&mut self, input: &[u8]) {
        self.spans.clear();
        self.parsed.clear();
        self.out.clear();
        let mut start = 0;
        while start < input.len() {
            let from = self.spans.len();
            let limits = RequestLimits::default();
            let Ok(Progress::Complete { consumed }) = self.parser.parse(&input[start..], &limits, &mut self.spans)
            else {
                panic!("the pipeline is whole and in order");
            };
            let words = (from, self.spans.len());
            let args = Args::new(&input[start..], &self.spans[words.0..words.1], &[]);
            let row = table::lookup(args.get(0)).expect("the command exists");
            let mut hash = self.site.shard.key(args.get(1)).hash;
            self.site.shard.database(DB).prefetch_segment(&mut hash);
            self.parsed.push(Parsed { row, hash, start, words });
            start += consumed;
        }
        self.parsed.iter().for_each(|parsed| self.site.shard.database(DB).prefetch_line(parsed.hash));
        self.parsed.iter_mut().for_each(|parsed| self.site.shard.database(DB).prefetch_entry(&mut parsed.hash));
        for parsed in &self.parsed {
            let args = Args::new(&input[parsed.start..], &self.spans[parsed.words.0..parsed.words.1], &[]);
            let first_key = Some((1, parsed.hash));
            let call = Call { may_put_off: true, ..Call::new(parsed.row, DB, Protocol::Resp2, first_key) };
            assert!(self.site.admits(&call, &args));
            self.site.run(NOW, &call, &args, &mut self.out);
        }
        black_box(&self.out);
    }
}

/// A core with two sorted sets of ten thousand members, of which half are in both.
fn unions() -> World {
    let mut world = World::new(1, |_| request(&[b"ZUNIONSTORE", b"out", b"2", b"zset:1", b"zset:2"]));
    let orders = std::mem::take(&mut world.inputs);
    for (key, first) in [(b"zset:1", 0), (b"zset:2", 5000)] {
        for number in first..first + 10_000 {
            let (score, member) = (number.to_string(), format!("member:{number}"));
            world.run_pipeline(&request(&[b"ZADD", key, score.as_bytes(), member.as_bytes()]));
        }
    }
    world.inputs = orders[..4].to_vec();
    world
}

pub fn add_to(cases: &mut Cases<'_>) {
    cases.add("ZUNIONSTORE of 2 x 10 k, and freeing", 4, || {
        let mut world = unions();
        move || {
            world.run();
            while world.site.shard.tick(NOW, 1000, &mut |_, _| {}) {}
        }
    });
    let get = |key: &[u8]| request(&[b"GET", key]);
    let set = |key: &[u8]| request(&[b"SET", key, &[b'v'; 64]]);
    for (name, depth) in [("GET, pipelines of 16, 100 k keys", 16), ("GET, pipelines of 100, 100 k keys", 100)] {
        cases.add(name, (depth * PIPELINES) as u64, move || {
            let mut world = World::new(depth, get);
            move || world.run()
        });
    }
    for (name, depth) in [("SET, pipelines of 16, 100 k keys", 16), ("SET, pipelines of 100, 100 k keys", 100)] {
        cases.add(name, (depth * PIPELINES) as u64, move || {
            let mut world = World::new(depth, set);
            move || world.run()
        });
    }
    cases.add("is a lock table idle", 1000, || {
        let locks = LockTable::new();
        move || {
            for _ in 0..1000 {
                black_box(black_box(&locks).is_idle());
            }
        }
    });
}
