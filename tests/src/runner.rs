//! Plays rounds of concurrent operations against a server and writes down what happened.

use crate::client::{Address, Client, encoded};
use crate::linear::{Event, History};
use crate::operations::{Key, Op};
use crate::rng::Rng;
use crate::units::{How, SCRIPTS, one_key};
use std::sync::Barrier;
use std::time::Instant;

/// What one client does in a round: groups of operations, each group sent in one write.
pub type Script = Vec<Vec<Op>>;

/// How rounds are made.
#[derive(Debug, Clone)]
pub struct Workload {
    /// The keys; choose them on different cores.
    pub keys: Vec<String>,
    /// Connections, each with a thread of its own.
    pub clients: usize,
    /// Groups that each client sends in a round.
    pub groups: usize,
    /// The longest group; 1 means no pipelines.
    pub group_max: usize,
    /// Mostly lists, and clients that wait for them.
    pub lists: bool,
    /// Mostly transactions, with and without WATCH, and scripts.
    pub units: bool,
}

/// The longest unit.
const UNIT_MAX: usize = 4;

impl Workload {
    /// A script for each client. Values are unique in a round, so that a reply tells whose write it saw.
    pub fn scripts(&self, rng: &mut Rng) -> Vec<Script> {
        let mut value = 0;
        let mut script = |client: usize| {
            let mut watches = false;
            let mut group = || {
                let length = 1 + rng.below(self.group_max);
                (0..length).map(|_| self.step(client, &mut watches, rng, &mut value)).collect()
            };
            let mut groups: Script = (0..self.groups).map(|_| group()).collect();
            // The next round begins with nothing watched.
            groups.extend(watches.then(|| vec![self.unit(How::Exec(client), rng, &mut value)]));
            groups
        };
        (0..self.clients).map(&mut script).collect()
    }

    /// An operation or a unit of them.
    fn step(&self, client: usize, watches: &mut bool, rng: &mut Rng, value: &mut u32) -> Op {
        if !self.units || rng.chance(25) {
            return self.op(rng, value);
        }
        if !*watches && rng.chance(25) {
            *watches = true;
            let keys = if rng.chance(50) { vec![rng.below(self.keys.len())] } else { self.several(rng) };
            return Op::Watch(client, keys);
        }
        let is_exec = rng.chance(if *watches { 70 } else { 40 });
        *watches &= !is_exec;
        self.unit(if is_exec { How::Exec(client) } else { *rng.pick(SCRIPTS) }, rng, value)
    }

    /// Some operations as one; now and then all about one key.
    fn unit(&self, how: How, rng: &mut Rng, value: &mut u32) -> Op {
        let count = 1 + rng.below(UNIT_MAX);
        let only = rng.chance(25).then(|| rng.below(self.keys.len()));
        let ops = (0..count).filter_map(|_| {
            let op = self.op(rng, value);
            only.map_or(Some(op.clone()), |key| one_key(op, key))
        });
        Op::Unit(how, ops.collect())
    }

    fn op(&self, rng: &mut Rng, value: &mut u32) -> Op {
        let mut fresh = || {
            *value += 1;
            value.to_string()
        };
        let one = rng.below(self.keys.len());
        let several = self.several(rng);
        if self.lists && rng.chance(80) {
            return match rng.below(9) {
                0..=2 => Op::RPush(one, (0..1 + rng.below(2)).map(|_| fresh()).collect()),
                3 => Op::LPop(one),
                4 => Op::LRange(one),
                5 => Op::LMove(several[0], several[1]),
                6 => Op::BLPop(vec![one], "0.001"),
                _ => Op::BLPop(several, ["0.001", "0.003"][rng.below(2)]),
            };
        }
        match rng.below(20) {
            0..=2 => Op::Set(one, fresh()),
            3..=5 => Op::Get(one),
            6 => Op::Incr(one),
            7 => Op::Append(one, fresh()),
            8 => Op::GetSet(one, fresh()),
            9 => Op::Del(vec![one]),
            10..=11 => Op::MSet(several.into_iter().map(|key| (key, fresh())).collect()),
            12..=14 => Op::MGet(several),
            15 => Op::MSetNx(several.into_iter().map(|key| (key, fresh())).collect()),
            16 => Op::Del(several),
            17 => Op::Exists(several),
            18 => match rng.below(3) {
                0 => Op::Rename(several[0], several[1]),
                1 => Op::RenameNx(several[0], several[1]),
                _ => Op::Copy(several[0], several[1]),
            },
            _ => Op::DbSize,
        }
    }

    /// At least two different keys, in any order.
    fn several(&self, rng: &mut Rng) -> Vec<Key> {
        let mut all: Vec<Key> = (0..self.keys.len()).collect();
        for place in (1..all.len()).rev() {
            all.swap(place, rng.below(place + 1));
        }
        let length = 2 + rng.below(all.len() - 1);
        all.truncate(length.min(all.len()));
        all
    }
}

/// Connections that play one round after the other.
pub struct Runner {
    clients: Vec<Client>,
    keys: Vec<String>,
}

impl Runner {
    /// Connects the clients of the workload.
    pub fn new(address: &Address, workload: &Workload) -> Self {
        let connect = || Client::connect(address).expect("the server takes connections");
        let clients = (0..workload.clients).map(|_| connect()).collect();
        Self { clients, keys: workload.keys.clone() }
    }

    /// Empties the keyspace, plays the scripts at the same time and returns what each client saw.
    pub fn round(&mut self, scripts: &[Script]) -> History {
        let flushed = self.clients[0].command(&["FLUSHALL"]);
        assert_eq!(flushed.lines(), ["+OK"]);
        let barrier = Barrier::new(scripts.len());
        let keys = &self.keys;
        let start = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .clients
                .iter_mut()
                .zip(scripts)
                .map(|(client, script)| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        play(client, script, keys, start)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a client failed")).collect()
        })
    }
}

fn play(client: &mut Client, script: &Script, keys: &[String], start: Instant) -> Vec<Event> {
    let mut events = Vec::new();
    for (number, group) in script.iter().enumerate() {
        let requests: Vec<Vec<Vec<String>>> = group.iter().map(|op| op.requests(keys)).collect();
        let mut bytes: Vec<u8> = requests.iter().flatten().flat_map(|words| encoded(words)).collect();
        let invoked = start.elapsed();
        // Now and then what comes first is sent alone, so that a transaction waits for its EXEC.
        if number % 2 == 1 && requests.len() == 1 && requests[0].len() > 1 {
            let rest = bytes.split_off(bytes.len() - encoded(&["EXEC"]).len());
            client.send(&bytes).expect("the server takes requests");
            std::thread::yield_now();
            bytes = rest;
        }
        client.send(&bytes).expect("the server takes requests");
        for (op, requests) in group.iter().zip(&requests) {
            for words in &requests[1..] {
                let reply = client.read_reply().expect("the server answers");
                assert!(Op::is_queued(&reply), "before {}: {reply}", words.join(" "));
            }
            let reply = op.told(client.read_reply().expect("the server answers"));
            events.push(Event { op: op.clone(), reply, invoked, responded: start.elapsed() });
        }
    }
    events
}
