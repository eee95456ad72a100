//! Random commands against a naive model, and laws that hold for any command.

use super::Expiry;
use super::harness::{Bench, handler};
use super::key::{combine_digests, database_digests};
use crate::outcome::{EffectCall, Outcome, Propagate};
use crate::resp::{Protocol, Reply, ReplyBuffer, Request};
use crate::units::DbIndex;
use std::collections::BTreeMap;

/// A small generator of random numbers; the same seed gives the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

const KEYS: &[&str] = &["a", "b", "c", "d"];

/// The integer that has exactly this text.
fn canonical(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|value| value.to_string() == text)
}

/// What a plain program would do.
#[derive(Default)]
struct Model {
    keys: BTreeMap<String, (String, Option<i64>)>,
}

impl Model {
    fn expire(&mut self, now: i64) {
        self.keys.retain(|_, (_, expire)| expire.is_none_or(|at| at >= now));
    }

    fn bulk(value: Option<&(String, Option<i64>)>) -> String {
        value.map_or("$-1".into(), |(value, _)| format!("'{value}'"))
    }

    /// Runs a command of the subset that [`random_command`] makes.
    fn run(&mut self, words: &[String], now: i64) -> String {
        self.expire(now);
        let number = |index: usize| words[index].parse::<i64>().expect("the generator writes numbers here");
        let key = words[1].clone();
        let old = self.keys.get(&key).cloned();
        match words[0].as_str() {
            "get" => Self::bulk(old.as_ref()),
            "set" => self.set(words, now),
            "getdel" => Self::bulk(self.keys.remove(&key).as_ref()),
            "getset" => Self::bulk(self.keys.insert(key, (words[2].clone(), None)).as_ref()),
            "append" => {
                let entry = self.keys.entry(key).or_default();
                entry.0.push_str(&words[2]);
                format!(":{}", entry.0.len())
            }
            "strlen" => format!(":{}", old.map_or(0, |(value, _)| value.len())),
            "incrby" => match old.as_ref().map_or(Some(0), |(value, _)| canonical(value)) {
                Some(value) => {
                    let sum = value + number(2);
                    self.keys.entry(key).or_default().0 = sum.to_string();
                    format!(":{sum}")
                }
                None => "ERR value is not an integer or out of range".into(),
            },
            "del" => format!(":{}", i64::from(self.keys.remove(&key).is_some())),
            "exists" => format!(":{}", i64::from(old.is_some())),
            "pttl" => match old {
                None => ":-2".into(),
                Some((_, None)) => ":-1".into(),
                Some((_, Some(at))) => format!(":{}", at - now),
            },
            "persist" => match self.keys.get_mut(&key) {
                Some((_, expire @ Some(_))) => {
                    *expire = None;
                    ":1".into()
                }
                _ => ":0".into(),
            },
            "pexpire" => self.pexpire(words, now),
            "rename" => match self.keys.remove(&key) {
                Some(entry) => {
                    self.keys.insert(words[2].clone(), entry);
                    "+OK".into()
                }
                None => "ERR no such key".into(),
            },
            other => panic!("the model does not know {other}"),
        }
    }

    fn set(&mut self, words: &[String], now: i64) -> String {
        let old = self.keys.get(&words[1]).cloned();
        let has = |option: &str| words[3..].iter().any(|word| word == option);
        let holds = !(has("nx") && old.is_some() || has("xx") && old.is_none());
        let mut expire = if has("keepttl") { old.as_ref().and_then(|(_, expire)| *expire) } else { None };
        if let Some(at) = words.iter().position(|word| word == "px") {
            expire = words[at + 1].parse::<i64>().ok().map(|millis| now + millis);
        }
        if holds {
            self.keys.insert(words[1].clone(), (words[2].clone(), expire));
        }
        match (has("get"), holds) {
            (true, _) => Self::bulk(old.as_ref()),
            (false, true) => "+OK".into(),
            (false, false) => "$-1".into(),
        }
    }

    fn pexpire(&mut self, words: &[String], now: i64) -> String {
        let when = now + words[2].parse::<i64>().expect("the generator writes numbers here");
        let Some((_, expire)) = self.keys.get_mut(&words[1]) else {
            return ":0".into();
        };
        // No expiry time is later than any.
        let current = expire.unwrap_or(i64::MAX);
        let allowed = match words.get(3).map(String::as_str) {
            Some("nx") => expire.is_none(),
            Some("xx") => expire.is_some(),
            Some("gt") => when > current,
            Some("lt") => when < current,
            _ => true,
        };
        if allowed && when <= now {
            self.keys.remove(&words[1]);
        } else if allowed {
            *expire = Some(when);
        }
        format!(":{}", i64::from(allowed))
    }
}

fn random_command(random: &mut Random) -> Vec<String> {
    let name = random.pick(&[
        "get", "set", "set", "set", "getdel", "getset", "append", "strlen", "incrby", "incrby", "del", "exists",
        "pttl", "persist", "pexpire", "pexpire", "rename",
    ]);
    let mut words = vec![name.to_owned(), random.pick(KEYS).to_owned()];
    match name {
        "set" => {
            words.push(random.pick(&["1", "20", "x", "", "-7", "007"]).to_owned());
            match random.below(4) {
                0 => words.extend(["px".to_owned(), (1 + random.below(40)).to_string()]),
                1 => words.push("keepttl".into()),
                _ => {}
            }
            words.push(random.pick(&["nx", "xx", "get", "get"]).to_owned());
            if random.below(2) == 0 {
                words.truncate(words.len() - 1);
            }
        }
        "getset" | "append" => words.push(random.pick(&["1", "5", "y", ""]).to_owned()),
        "incrby" => words.push((random.below(100) as i64 - 50).to_string()),
        "pexpire" => {
            words.push((random.below(60) as i64 - 10).to_string());
            if random.below(2) == 0 {
                words.push(random.pick(&["nx", "xx", "gt", "lt"]).to_owned());
            }
        }
        "rename" => words.push(random.pick(KEYS).to_owned()),
        _ => {}
    }
    words
}

#[test]
fn random_commands_do_what_the_model_does() {
    for seed in 1..=20 {
        let (mut random, mut bench, mut model) = (Random(seed * 0x9e37_79b9), Bench::new(), Model::default());
        for step in 0..2_000 {
            bench.now += random.below(6) as i64;
            let words = random_command(&mut random);
            let bytes: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let expected = model.run(&words, bench.now);
            assert_eq!(bench.run_words(&bytes), expected, "seed {seed} step {step}: {words:?}");
        }
    }
}

/// All words that mean something anywhere, and some that never do.
const SALAD: &[&str] = &[
    "a", "b", "c", "0", "1", "2", "-1", "7.5", "x", "", "nx", "xx", "get", "ifeq", "keepttl", "persist", "ex", "px",
    "exat", "pxat", "gt", "lt", "db", "replace", "idx", "len", "100", "1500", "9223372036854775807",
];

/// Commands with their smallest and largest number of words.
const COMMANDS: &[(&str, u64, u64)] = &[
    ("append", 3, 3),
    ("decr", 2, 2),
    ("decrby", 3, 3),
    ("delifeq", 3, 3),
    ("get", 2, 2),
    ("getdel", 2, 2),
    ("getex", 2, 4),
    ("getrange", 4, 4),
    ("getset", 3, 3),
    ("incr", 2, 2),
    ("incrby", 3, 3),
    ("incrbyfloat", 3, 3),
    ("lcs", 3, 6),
    ("mget", 2, 4),
    ("mset", 3, 6),
    ("msetex", 4, 8),
    ("msetnx", 3, 6),
    ("psetex", 4, 4),
    ("set", 3, 7),
    ("setex", 4, 4),
    ("setnx", 3, 3),
    ("setrange", 4, 4),
    ("copy", 3, 6),
    ("del", 2, 4),
    ("expire", 3, 5),
    ("expireat", 3, 5),
    ("move", 3, 3),
    ("persist", 2, 2),
    ("pexpire", 3, 5),
    ("pexpireat", 3, 5),
    ("rename", 3, 3),
    ("renamenx", 3, 3),
    ("touch", 2, 3),
    ("unlink", 2, 3),
    ("flushdb", 1, 2),
];

fn random_salad(random: &mut Random) -> Vec<&'static str> {
    let (name, min, max) = COMMANDS[random.below(COMMANDS.len() as u64) as usize];
    // A flush now and then; more often there would be nothing to look at.
    if name == "flushdb" && random.below(10) > 0 {
        return vec!["touch", "a"];
    }
    let mut words = vec![name];
    for index in 1..min + random.below(max - min + 1) {
        // Mostly a key first, and for MSETEX a number.
        words.push(match (index, name) {
            (1, "msetex") => random.pick(&["1", "1", "2", "x"]),
            (1, _) => random.pick(KEYS),
            _ => random.pick(SALAD),
        });
    }
    words
}

/// Every key of both databases with value and expiry time.
fn contents(bench: &mut Bench) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, database) in bench.shard.databases.iter().enumerate() {
        database.for_each(&mut |entry| {
            let mut digits = itoa::Buffer::new();
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            let value = text(entry.value().as_bytes(&mut digits));
            lines.push(format!("{index} {} = {value} until {:?}", text(entry.key()), entry.expire_at()));
        });
    }
    lines.sort();
    lines
}

/// Carries out what a journal holds.
fn replay(replica: &mut Bench, outcome: &Outcome, given: &[&[u8]]) {
    let given = [EffectCall::new(given.iter().copied())];
    let calls = match &outcome.propagate {
        Propagate::Nothing => &[],
        Propagate::AsGiven => &given[..],
        Propagate::Calls(calls) => calls,
    };
    for call in calls {
        let words: Vec<&[u8]> = call.words.iter().map(AsRef::as_ref).collect();
        if words[0] == b"SELECT" {
            let index = std::str::from_utf8(words[1]).ok().and_then(|text| text.parse().ok());
            replica.db = DbIndex(index.expect("a database is named by its number"));
            continue;
        }
        let request = Request::new(words.iter().copied());
        let mut out = ReplyBuffer::default();
        let mut context = replica.context();
        context.expiry = Expiry::Ignore;
        let (_, result) =
            context.run(handler(&words), &request.args(), &mut Reply::new(&mut out, Protocol::Resp2));
        assert_eq!(result, Ok(()), "the journal holds only what can be carried out: {words:?}");
    }
    assert_eq!(replica.db, DbIndex(0), "the journal comes back to its database");
}

#[test]
fn the_journal_leads_to_the_same_data_and_a_refused_command_changes_nothing() {
    for seed in 1..=20 {
        let (mut random, mut bench, mut replica) = (Random(seed * 0x51_7cc1), Bench::new(), Bench::new());
        bench.shard.journaling = true;
        for step in 0..2_000 {
            bench.now += random.below(40) as i64;
            // The replica's clock is another: effects must not depend on it.
            replica.now = 5 + random.below(10_000_000) as i64;
            let words = random_salad(&mut random);
            let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            let before = contents(&mut bench);
            let reply = bench.run_words(&bytes);
            let after = contents(&mut bench);
            if matches!(bench.last.propagate, Propagate::Nothing) {
                assert_eq!(before, after, "seed {seed} step {step}: {words:?} -> {reply} left no effect");
            }
            if reply.starts_with(|first: char| first.is_ascii_uppercase()) {
                assert_eq!(bench.last.changes, 0, "{words:?} -> {reply}");
            }
            replay(&mut replica, &bench.last, &bytes);
            let journal = bench.journal();
            assert_eq!(contents(&mut replica), after, "seed {seed} step {step}: {words:?} -> {reply}: {journal}");
        }
        let digest = |bench: &mut Bench| combine_digests([database_digests(&mut bench.context()).as_slice()]);
        assert_eq!(digest(&mut bench), digest(&mut replica));
    }
}
