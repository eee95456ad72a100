//! From bytes to requests to rows to handlers, on a shard whose clock is part of the input.
//!
//! Each command runs on three shards: one client speaks RESP2, one RESP3, and the third is a replica that carries out
//! only what the journal says. The laws: the same data everywhere; one well-formed reply; a refused command has written
//! nothing; only commands that write, write, and only to keys that the row names; changes are counted.

use super::reply::check as check_reply;
use ringkey_core::command::{Command, Flags, Run, Spread, table};
use ringkey_core::commands::{Context, Expiry, Rules};
use ringkey_core::keyspace::expiry::Expired;
use ringkey_core::keyspace::{EntryRef, KeyHasher, Shard, Value, ValueKind};
use ringkey_core::outcome::{Outcome, Propagate};
use ringkey_core::resp::request::Progress;
use ringkey_core::resp::{Args, CommandError, Protocol, Reply, ReplyBuffer, Request, RequestLimits, RequestParser};
use ringkey_core::units::{DbIndex, Millis};
use ringkey_core::value::Limits;
use ringkey_core::value::hash::HashRef;
use ringkey_core::value::list::ListRef;
use ringkey_core::value::set::SetRef;
use ringkey_core::value::stream::{Group, StreamId};
use ringkey_core::value::zset::SortedSetRef;
use std::collections::{BTreeMap, BTreeSet};

/// Most commands of one input: what is interesting takes few.
const COMMANDS_MAX: usize = 64;

/// How long a string may be here, so that no input costs much memory; long enough for values that are shared.
const STRING_BYTES_MAX: i64 = 20 * 1024;

/// LCS takes time with the product of the lengths; longer strings teach nothing more about it.
const LCS_BYTES_MAX: usize = 1_000;

const DATABASES: u32 = 2;

/// Words that made-up commands are made of, besides the tokens of their rows.
const WORDS: &[&[u8]] = &[
    b"a",
    b"b",
    b"{a}c",
    b"",
    b"0",
    b"1",
    b"-1",
    b"2",
    b"3",
    b"10",
    b"100",
    b"1000",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"1.5",
    b"-0.25",
    b"1e400",
    b"nan",
    b"3.0e3",
    b" 1",
    b"01",
    b"value",
    b"a longer value \x00\xff",
    b"*",
    b"a*",
    b"65536",
    b"1000001",
    b"99999999999",
    b"EX",
    b"PX",
    b"NX",
    b"XX",
    b"GT",
    b"LT",
    b"GET",
    b"KEEPTTL",
    b"IFEQ",
    b"DB",
    b"REPLACE",
    b"LEN",
    b"IDX",
    b"MINMATCHLEN",
    b"WITHMATCHLEN",
    b"PERSIST",
    b"ASYNC",
    b"SYNC",
    b"CH",
    b"INCR",
    b"BYSCORE",
    b"BYLEX",
    b"REV",
    b"LIMIT",
    b"WITHSCORES",
    b"WITHVALUES",
    b"WEIGHTS",
    b"AGGREGATE",
    b"MAX",
    b"LEFT",
    b"RIGHT",
    b"BEFORE",
    b"COUNT",
    b"RANK",
    b"MAXLEN",
    b"STREAMS",
    b"GROUP",
    b"MKSTREAM",
    b"FORCE",
    b">",
    b"$",
    b"FIELDS",
    b"FNX",
    b"inf",
    b"-inf",
    b"(1",
    b"[a",
    b"+",
    b"-",
];

/// Values and expiry times by database and key.
type Dump = BTreeMap<(u32, Vec<u8>), (Vec<u8>, Option<i64>)>;

struct Bench {
    shard: Shard,
    db: DbIndex,
}

impl Bench {
    fn new() -> Self {
        Self { shard: Shard::scratch(DATABASES, KeyHasher::new([1, 2, 3, 4]), 5), db: DbIndex(0) }
    }

    /// What a client could see.
    fn live(&self, now: i64) -> Dump {
        let mut dump = Dump::new();
        for db in 0..DATABASES {
            self.shard.database(DbIndex(db)).for_each(&mut |entry| {
                if entry.is_expired(Millis(now)) {
                    return;
                }
                let value = content(&entry, Millis(now));
                dump.insert((db, entry.key().to_vec()), (value, entry.expire_at().map(|at| at.0)));
            });
        }
        dump
    }
}

/// What a value is, whatever its encoding: the same bytes for the same value.
fn content(entry: &EntryRef<'_>, now: Millis) -> Vec<u8> {
    let mut digits = itoa::Buffer::new();
    let mut parts: Vec<Vec<u8>> = Vec::new();
    match entry.kind() {
        ValueKind::String => return entry.value().as_bytes(&mut digits).to_vec(),
        ValueKind::List => {
            let list = ListRef::of(entry).expect("it is a list");
            parts.extend(list.items(0..list.len(), false).map(|item| item.text(&mut digits).to_vec()));
        }
        ValueKind::Set => {
            parts.extend(SetRef::of(entry).expect("it is a set").iter().map(|one| one.text(&mut digits).to_vec()));
            parts.sort_unstable();
        }
        ValueKind::SortedSet => {
            let set = SortedSetRef::of(entry).expect("it is a sorted set");
            set.visit(0, set.len(), false, &mut |member, score| {
                parts.push(member.text(&mut digits).to_vec());
                parts.push(score.value().to_bits().to_be_bytes().to_vec());
            });
        }
        ValueKind::Hash => {
            let hash = HashRef::of(entry.value()).expect("it is a hash");
            hash.for_each(now, &mut |field, value| {
                let mut pair = field.as_bytes(&mut digits).to_vec();
                let expiry = hash.find(&pair, now).and_then(|field| field.expire_at);
                pair.extend([&b" = "[..], value.as_bytes(&mut itoa::Buffer::new())].concat());
                pair.extend(format!(" until {expiry:?}").into_bytes());
                parts.push(pair);
            });
            parts.sort_unstable();
        }
        ValueKind::Stream => {
            let Value::Stream(stream) = entry.value() else { unreachable!("it is a stream") };
            let entries = &stream.entries;
            let known = (entries.last_id(), entries.max_deleted_id(), entries.entries_added());
            parts.push(format!("{known:?}").into_bytes());
            for (id, fields) in entries.range(StreamId::MIN, StreamId::MAX, false) {
                parts.push(id.to_string().into_bytes());
                for (name, value) in fields {
                    parts.push(name.text(&mut digits).to_vec());
                    parts.push(value.text(&mut digits).to_vec());
                }
            }
            parts.extend(stream.groups.iter().map(|group| described(group).into_bytes()));
        }
    }
    parts.join(&b"\n"[..])
}

/// A group but for times: a replica sees them when they come, and hears of none where nothing changes hands.
fn described(group: &Group) -> String {
    let names: Vec<String> = group.consumers().map(|consumer| consumer.name().escape_ascii().to_string()).collect();
    let pending = group.pending(StreamId::MIN).map(|(id, delivery)| {
        let consumer = delivery.consumer.expect("somebody has it");
        format!("{id} {} {}", group.consumer(consumer).name().escape_ascii(), delivery.count)
    });
    let pending: Vec<String> = pending.collect();
    group.check();
    format!("{:?} {} {:?} {names:?} {pending:?}", group.name(), group.last_id, group.entries_read)
}

/// Small enough that collections change their encoding often.
const TIGHT: Limits = Limits {
    hash_entries: 3,
    hash_value_bytes: 8,
    set_intset_entries: 3,
    set_entries: 4,
    set_value_bytes: 8,
    zset_entries: 3,
    zset_value_bytes: 8,
    stream_node_bytes: 60,
    stream_node_entries: 3,
    hll_sparse_bytes: 40,
    list_size: 3,
    list_plain_from: 0,
};

struct World {
    one: Bench,
    other: Bench,
    replica: Bench,
    rules: Rules,
    now: i64,
}

/// Input: a byte of flags; then a stream of requests, or (by a flag) a stream of choices that make up requests.
pub fn run(data: &[u8]) {
    let [flags, data @ ..] = data else { return };
    let limits = if flags & 2 == 0 { Limits::default() } else { TIGHT };
    let rules = Rules { bulk_bytes_max: STRING_BYTES_MAX, limits, ..Rules::default() };
    let mut world = World { one: Bench::new(), other: Bench::new(), replica: Bench::new(), rules, now: 1_000_000 };
    world.one.shard.journaling = true;
    world.other.shard.journaling = true;
    let requests = if flags & 1 == 0 { parsed(data) } else { made_up(data) };
    for request in requests.iter().take(COMMANDS_MAX) {
        world.execute(&request.args());
    }
    world.check_all();
    world.tick(10_000);
    world.check_all();
}

/// The requests that a stream holds, up to its first breach.
fn parsed(data: &[u8]) -> Vec<Request> {
    let limits = RequestLimits { bulk_bytes_max: STRING_BYTES_MAX, unauthenticated: false };
    let (mut parser, mut requests, mut at) = (RequestParser::default(), Vec::new(), 0);
    loop {
        let mut spans = Vec::new();
        match parser.parse(&data[at..], &limits, &mut spans) {
            Ok(Progress::Complete { consumed }) => {
                requests.push(Request::copy_of(&Args::new(&data[at..at + consumed], &spans, &[])));
                at += consumed;
            }
            Ok(Progress::CompleteOwned { consumed }) => {
                requests.push(parser.take_request());
                at += consumed;
            }
            Ok(Progress::Incomplete | Progress::BigArgument { .. }) | Err(_) => return requests,
        }
    }
}

/// Every byte is a choice: a command, how many words, which words.
fn made_up(data: &[u8]) -> Vec<Request> {
    let mut rows: Vec<&'static Command> =
        table::existing().filter(|row| matches!(row.run, Run::OnShard(_) | Run::Container)).collect();
    rows.sort_by_key(|row| row.name);
    let mut choices = data.iter().map(|byte| *byte as usize);
    let mut requests = Vec::new();
    while let Some(choice) = choices.next() {
        let time = choices.next().unwrap_or(0);
        if choice >= 250 {
            requests.push(Request::new([&b"TICK"[..], (time * time).to_string().as_bytes()]));
            continue;
        }
        // There are more commands than bytes.
        let row = rows[(choice | (time & 1) << 8) % rows.len()];
        let mut request = Request::new([row.name.as_bytes()]);
        let parts: Vec<&'static Command> = row.existing_subcommands().collect();
        let row = if parts.is_empty() { row } else { parts[time / 2 % parts.len()] };
        if !parts.is_empty() {
            request.push(row.own_name().as_bytes());
        }
        let tokens: Vec<&str> = row
            .arguments
            .iter()
            .flat_map(|one| one.arguments.iter().chain([one]))
            .filter_map(|one| one.token)
            .collect();
        let least = row.arity.unsigned_abs() as usize - request.args().len();
        let count = if row.arity > 0 { least } else { least + time % 7 };
        for _ in 0..count {
            let word = choices.next().unwrap_or(0);
            match word.checked_sub(200) {
                Some(token) if !tokens.is_empty() => request.push(tokens[token % tokens.len()].as_bytes()),
                _ => request.push(WORDS[word % WORDS.len()]),
            }
        }
        requests.push(request);
    }
    requests
}

/// What one run of a handler gave.
struct Ran {
    outcome: Outcome,
    result: Result<(), CommandError>,
    reply: Vec<u8>,
}

fn run_on(
    bench: &mut Bench,
    row: &Command,
    args: &Args<'_>,
    rules: &Rules,
    now: i64,
    protocol: Protocol,
    expiry: Expiry,
) -> Option<Ran> {
    let Run::OnShard(handler) = row.run else { return None };
    let mut context = Context::new(&mut bench.shard, bench.db, Millis(now), rules);
    context.expiry = expiry;
    let mut out = ReplyBuffer::default();
    let (outcome, result) = context.run(handler, args, &mut Reply::new(&mut out, protocol));
    if let Err(error) = &result {
        assert!(out.is_empty(), "a refused command has written nothing");
        Reply::new(&mut out, protocol).error(error);
    }
    let reply = out.to_vec();
    check_reply(&reply, protocol);
    Some(Ran { outcome, result, reply })
}

impl World {
    fn execute(&mut self, args: &Args<'_>) {
        if args.is_empty() {
            return;
        }
        match (args.get(0), args.len()) {
            (b"TICK", 2) => {
                let by = std::str::from_utf8(args.get(1)).ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(1);
                return self.tick(i64::from(by));
            }
            (b"SELECT", 2) => {
                let db = args.get(1).first().map_or(0, |byte| u32::from(*byte) % DATABASES);
                for bench in [&mut self.one, &mut self.other, &mut self.replica] {
                    bench.db = DbIndex(db);
                }
                return;
            }
            _ => {}
        }
        match table::resolve(args) {
            Ok(row) => self.execute_row(row, args),
            Err(error) => {
                let mut out = ReplyBuffer::default();
                Reply::new(&mut out, Protocol::Resp2).error(&error);
                check_reply(&out.to_vec(), Protocol::Resp2);
            }
        }
    }

    fn execute_row(&mut self, row: &'static Command, args: &Args<'_>) {
        let mut keys: BTreeSet<&[u8]> = BTreeSet::new();
        let fits = row.visit_keys(args, |index, _| {
            keys.insert(args.get(index));
        });
        // If it is refused or not: COMMAND GETKEYS must be able to look at it.
        let _ = row.strict_keys(args);
        let before = self.one.live(self.now);
        if row.name == "lcs" && before.values().any(|(value, _)| value.len() > LCS_BYTES_MAX) {
            return;
        }
        let (now, rules) = (self.now, &self.rules);
        let Some(ran) = run_on(&mut self.one, row, args, rules, now, Protocol::Resp2, Expiry::Remove) else { return };
        let Some(twin) = run_on(&mut self.other, row, args, rules, now, Protocol::Resp3, Expiry::Remove) else {
            return;
        };
        let after = self.one.live(now);
        assert_eq!(after, self.other.live(now), "the protocol of the reply changes nothing");
        assert_eq!(ran.result, twin.result);
        assert_eq!(ran.outcome.changes, twin.outcome.changes);
        assert!(ran.result.is_ok() || before == after, "{}: a refused command changed something", row.name);
        assert!(fits || ran.result.is_err(), "{}: words whose keys cannot be found were taken", row.name);
        if before != after {
            assert!(row.flags.has(Flags::WRITE), "{} writes", row.name);
            assert!(ran.outcome.changes > 0, "{} does not count what it changed", row.name);
        }
        if !matches!(row.spread, Spread::EveryShard { .. }) {
            for (db, key) in before.keys().chain(after.keys()) {
                let place = (*db, key.clone());
                let is_named = keys.contains(key.as_slice());
                assert!(
                    is_named || before.get(&place) == after.get(&place),
                    "{}: key not named: {}",
                    row.name,
                    key.escape_ascii()
                );
            }
        }
        assert!(!ran.reply.is_empty());
        self.replay(&ran.outcome, args);
        self.one.shard.check();
    }

    /// The replica does what the journal says and has the same data then.
    fn replay(&mut self, outcome: &Outcome, args: &Args<'_>) {
        let home = self.replica.db;
        match &outcome.propagate {
            Propagate::Nothing => {}
            Propagate::AsGiven => self.replay_call(args),
            Propagate::Calls(calls) => {
                for call in calls {
                    let request = Request::new(call.words.iter().map(|word| &**word));
                    self.replay_call(&request.args());
                }
            }
        }
        assert_eq!(self.replica.db, home, "the journal is in the client's database again");
        assert_eq!(
            self.one.live(self.now),
            self.replica.live(self.now),
            "the journal tells all: {:?}",
            outcome.propagate
        );
    }

    fn replay_call(&mut self, args: &Args<'_>) {
        if args.get(0) == b"SELECT" {
            let db = std::str::from_utf8(args.get(1)).ok().and_then(|text| text.parse().ok());
            self.replica.db = DbIndex(db.expect("a database number in the journal"));
            return;
        }
        let row = table::resolve(args).expect("the journal holds commands that exist");
        let ran = run_on(&mut self.replica, row, args, &self.rules, self.now, Protocol::Resp2, Expiry::Ignore);
        assert!(ran.is_some_and(|ran| ran.result.is_ok()), "{} of the journal is taken", row.name);
    }

    /// Time passes, and upkeep runs; the replica is told what goes.
    fn tick(&mut self, by: i64) {
        self.now += by;
        let mut gone = Vec::new();
        for bench in [&mut self.one, &mut self.other] {
            while bench.shard.tick(Millis(self.now), 16, &mut |db, expired| match expired {
                Expired::Key(entry) => {
                    assert!(entry.expire_at().is_some_and(|at| at.0 <= self.now), "only what is past goes");
                    gone.push((db, entry.key().to_vec(), None));
                }
                Expired::Field { key, field } => gone.push((db, key.to_vec(), Some(field.to_vec()))),
                Expired::Emptied(entry) => gone.push((db, entry.key().to_vec(), None)),
            }) {}
        }
        let home = self.replica.db;
        for (db, name, field) in gone {
            self.replica.db = db;
            match field {
                Some(field) => self.replay_call(&Request::new([&b"HDEL"[..], &name, &field]).args()),
                None => self.replay_call(&Request::new([&b"DEL"[..], &name]).args()),
            }
        }
        self.replica.db = home;
    }

    fn check_all(&self) {
        for bench in [&self.one, &self.other, &self.replica] {
            bench.shard.check();
        }
        assert_eq!(self.one.live(self.now), self.replica.live(self.now));
    }
}
