//! The tests that valkey-benchmark's users know by name, with the same keys, and a few of our own.

use super::{WeightedCommand, Workload};

/// Name and command of each.
const TESTS: &[(&str, &str)] = &[
    ("ping_inline", "PING"),
    ("ping_mbulk", "PING"),
    ("ping", "PING"),
    ("set", "SET {key} {value}"),
    ("get", "GET {key}"),
    ("incr", "INCR counter:{number}"),
    ("del", "DEL {key}"),
    ("exists", "EXISTS {key}"),
    ("setex", "SET {key} {value} EX 60"),
    ("append", "APPEND {key} {value}"),
    ("lpush", "LPUSH mylist {value}"),
    ("rpush", "RPUSH mylist {value}"),
    ("lpop", "LPOP mylist"),
    ("rpop", "RPOP mylist"),
    ("sadd", "SADD myset element:{number}"),
    ("hset", "HSET myhash element:{number} {value}"),
    ("spop", "SPOP myset"),
    ("zadd", "ZADD myzset {number} element:{number}"),
    ("zpopmin", "ZPOPMIN myzset"),
    ("lrange_100", "LRANGE mylist 0 99"),
    ("lrange_300", "LRANGE mylist 0 299"),
    ("lrange_500", "LRANGE mylist 0 499"),
    ("lrange_600", "LRANGE mylist 0 599"),
    ("xadd", "XADD mystream * myfield {value}"),
];

/// How many keys the commands with many keys take.
const MANY: usize = 10;

/// The workload of that name with default keys and value size, whichever way it is capitalised.
pub fn builtin(name: &str) -> Option<Workload> {
    let name = name.to_ascii_lowercase();
    let command = match name.as_str() {
        "mset" | "mset10" => format!("MSET{}", " {key} {value}".repeat(MANY)),
        "mget" | "mget10" => format!("MGET{}", " {key}".repeat(MANY)),
        _ => TESTS.iter().find(|(test, _)| *test == name)?.1.to_owned(),
    };
    Some(Workload { name, commands: vec![WeightedCommand::new(&command)], ..Workload::default() })
}

/// All names that [`builtin`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().map(|(name, _)| *name).chain(["mset", "mset10", "mget", "mget10"])
}
