//! Calls of units, with all keys at hand and with only some of them.

#![allow(clippy::unwrap_used)]

use super::{Here, Unit, Within, exec};
use crate::command::table;
use crate::commands::elsewhere::Elsewhere;
use crate::commands::{Context, Rules};
use crate::keyspace::events::EventClass;
use crate::keyspace::{KeyHasher, Shard, ShardMap};
use crate::outcome::Propagate;
use crate::resp::{Protocol, Reply, ReplyBuffer, Request};
use crate::units::{DbIndex, Millis, ShardId};
use proptest::prelude::*;

const NOW: Millis = Millis(1_000_000);

struct World {
    shards: Vec<Shard>,
    bench: Shard,
    rules: Rules,
}

fn words(line: &str) -> Request {
    let words = crate::words::split_words(line.as_bytes()).unwrap();
    Request::new(words.iter().map(Vec::as_slice))
}

fn text(out: &ReplyBuffer) -> String {
    String::from_utf8_lossy(&out.to_vec()).replace("\r\n", " ").trim_end().to_owned()
}

impl World {
    fn new(count: u16) -> Self {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let map = ShardMap::new(count);
        let shard = |id| {
            let mut shard = Shard::new(ShardId(id), map, 16, hasher.clone(), 5);
            shard.journaling = true;
            shard
        };
        Self {
            shards: (0..count).map(shard).collect(),
            bench: Shard::scratch(16, hasher.clone(), 6),
            rules: Rules::default(),
        }
    }

    fn home_of(&self, key: &str) -> ShardId {
        let shard = &self.shards[0];
        shard.map.shard_of(shard.key(key.as_bytes()).hash.slot)
    }

    /// Runs calls as one unit over all shards; the replies, and how many changes there were.
    fn unit(&mut self, lines: &[&str]) -> (Vec<String>, u32) {
        let (elsewhere, shard) = Elsewhere::new(&mut self.shards, ShardId(0), &mut self.bench);
        let mut ctx = Context::new(shard, DbIndex(0), NOW, &self.rules);
        ctx.elsewhere = Some(Box::new(elsewhere));
        ctx.here = Here::Everything;
        let mut unit = Unit::new(DbIndex(0), Protocol::Resp2);
        let mut replies = Vec::new();
        for line in lines {
            let mut out = ReplyBuffer::default();
            let within = ctx.call_within(&mut unit, &words(line).args(), &mut out);
            assert!(matches!(within, Within::Done { .. }), "{line}: everything is at hand");
            replies.push(text(&out));
        }
        let changes = ctx.end_unit(unit).changes;
        drop(ctx);
        self.shards.iter().for_each(Shard::check);
        (replies, changes)
    }
}

fn alone(lines: &[&str], unit: &mut Unit, shard: &mut Shard, rules: &Rules) -> Vec<(Within, String)> {
    let mut ctx = Context::new(shard, DbIndex(0), NOW, rules);
    let mut run = |line: &&str| {
        let mut out = ReplyBuffer::default();
        (ctx.call_within(unit, &words(line).args(), &mut out), text(&out))
    };
    lines.iter().map(&mut run).collect()
}

#[test]
fn what_scripts_may_not_do() {
    let mut world = World::new(1);
    let mut unit = Unit::new(DbIndex(0), Protocol::Resp2);
    unit.is_script = true;
    let cases = [
        ("nosuch", "-ERR Unknown command called from script"),
        ("get", "-ERR Wrong number of args calling command from script"),
        ("object", "-ERR Wrong number of args calling command from script"),
        ("object nosuch x", "-ERR unknown subcommand 'nosuch'. Try OBJECT HELP."),
        ("auth word", "-ERR This Valkey command is not allowed from script"),
        ("client list", "-ERR This Valkey command is not allowed from script"),
        ("select 99", "-ERR DB index is out of range"),
        ("incr text", "-ERR value is not an integer or out of range"),
        ("ping", "+PONG"),
        ("echo hello", "$5 hello"),
        ("blpop missing 0", "*-1"),
        ("dbsize", ":1"),
        ("randomkey", "$4 text"),
    ];
    let set = alone(&["set text abc"], &mut unit, &mut world.shards[0], &world.rules);
    assert_eq!(set[0].1, "+OK");
    for (line, expected) in cases {
        assert_eq!(alone(&[line], &mut unit, &mut world.shards[0], &world.rules)[0].1, expected, "{line}");
    }
    unit.reads_only = true;
    let refused = "-ERR Write commands are not allowed from read-only scripts.";
    assert_eq!(alone(&["set a b"], &mut unit, &mut world.shards[0], &world.rules)[0].1, refused);
}

#[test]
fn a_unit_that_needs_what_is_elsewhere_leaves_no_trace() {
    let mut world = World::new(2);
    let names: Vec<String> = (0..100).map(|number| format!("k{number}")).collect();
    let (mine, other): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| world.home_of(name) == ShardId(0));
    let (a, b, c) = (mine[0], mine[1], mine[2]);
    let mut unit = Unit::new(DbIndex(0), Protocol::Resp2);
    let (shard, rules) = (&mut world.shards[0], &world.rules);
    let before = [format!("set {a} old px 5000"), format!("rpush {b} x y")];
    alone(&[&before[0], &before[1]], &mut Unit::new(DbIndex(0), Protocol::Resp2), shard, rules);
    let writes = [
        format!("append {a} more"),
        format!("persist {a}"),
        format!("del {b}"),
        format!("sadd {c} member"),
        "select 3".to_owned(),
        format!("set {c} elsewhere"),
        format!("get {}", other[0]),
    ];
    let lines: Vec<&str> = writes.iter().map(String::as_str).collect();
    let done = alone(&lines, &mut unit, shard, rules);
    assert!(done[..6].iter().all(|(within, _)| *within == Within::Done { failed: false }), "{done:?}");
    assert_eq!(done[6], (Within::Elsewhere, String::new()));
    assert!(unit.has_written);
    Context::new(shard, DbIndex(0), NOW, rules).roll_back(&mut unit);
    shard.check();
    assert_eq!(Context::new(shard, DbIndex(0), NOW, rules).end_unit(unit).changes, 0);
    let looks =
        [format!("get {a}"), format!("pttl {a}"), format!("lrange {b} 0 -1"), format!("exists {c}"), "dbsize".into()];
    let mut unit = Unit::new(DbIndex(0), Protocol::Resp2);
    let seen: Vec<String> =
        looks[..4].iter().map(|line| alone(&[line], &mut unit, shard, rules)[0].1.clone()).collect();
    assert_eq!(seen, ["$3 old", ":5000", "*2 $1 x $1 y", ":0"]);
    assert_eq!(shard.database(DbIndex(3)).len(), 0);
    assert_eq!(alone(&[&looks[4]], &mut unit, shard, rules)[0].0, Within::Elsewhere, "it is about all shards");
}

fn events_of(shard: &mut Shard) -> Vec<String> {
    let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    shard.events.take().into_iter().map(|event| format!("{} {}", event.name, text(&event.key))).collect()
}

#[test]
fn events_of_what_is_undone_are_not_told() {
    let mut world = World::new(2);
    let names: Vec<String> = (0..100).map(|number| format!("k{number}")).collect();
    let mine: Vec<&String> = names.iter().filter(|name| world.home_of(name) == ShardId(0)).collect();
    let (a, b, c, d) = (mine[0], mine[1], mine[2], mine[3]);
    let (shard, rules) = (&mut world.shards[0], &world.rules);
    let past = NOW.0 - 1;
    for line in [format!("set {b} 1 px 5"), format!("set {c} 1 px 5"), format!("set {d} 1")] {
        alone(&[&line], &mut Unit::new(DbIndex(0), Protocol::Resp2), shard, rules);
    }
    for name in [b, c] {
        let key = shard.hasher.clone().key(name.as_bytes());
        shard.database_mut(DbIndex(0)).set_expiry(&key, Some(Millis(past)));
    }
    shard.events.wanted = EventClass::parse(b"KEAmn").unwrap();
    let lines = [format!("set {a} 1"), format!("get {b}"), format!("set {c} 2"), format!("del {d}")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut unit = Unit::new(DbIndex(0), Protocol::Resp2);
    alone(&lines, &mut unit, shard, rules);
    assert!(shard.events.is_empty(), "nobody hears of it before the end");
    Context::new(shard, DbIndex(0), NOW, rules).roll_back(&mut unit);
    Context::new(shard, DbIndex(0), NOW, rules).end_unit(unit);
    assert_eq!(events_of(shard), [format!("expired {b}")], "that one will not be there when the unit is begun anew");
    let mut unit = Unit::new(DbIndex(0), Protocol::Resp2);
    alone(&lines, &mut unit, shard, rules);
    Context::new(shard, DbIndex(0), NOW, rules).end_unit(unit);
    let expected = format!("new {a}, set {a}, keymiss {b}, expired {c}, new {c}, set {c}, del {d}");
    assert_eq!(events_of(shard).join(", "), expected);
    let mut unit = Unit::new(DbIndex(0), Protocol::Resp2);
    unit.is_proven = true;
    alone(&[&format!("append {a} 2")], &mut unit, shard, rules);
    assert_eq!(events_of(shard), [format!("append {a}")], "nothing of it will ever be undone");
}

#[test]
fn what_becomes_of_keys_of_several_shards_is_noted_in_one_order() {
    let mut world = World::new(5);
    assert_ne!(world.home_of("a"), world.home_of("b"));
    world
        .shards
        .iter_mut()
        .chain([&mut world.bench])
        .for_each(|shard| shard.events.wanted = EventClass::NEW.with(EventClass::GENERIC));
    world.unit(&["set a 1", "rename a b", "copy b a", "del b a"]);
    let told: Vec<Vec<String>> = world.shards.iter_mut().map(events_of).filter(|told| !told.is_empty()).collect();
    let expected = ["new a", "new b", "rename_from a", "rename_to b", "new a", "copy_to a", "del b", "del a"];
    assert_eq!(told, [expected], "the shard that was at hand last has all");
    assert!(world.bench.events.is_empty());
}

#[test]
fn what_cannot_be_undone_is_not_begun() {
    let mut world = World::new(2);
    let key = (0..).map(|number| format!("k{number}")).find(|name| world.home_of(name) == ShardId(0)).unwrap();
    let members: Vec<String> = (0..1000).map(|number| format!("member:{number}")).collect();
    let fill = format!("sadd {key} {}", members.join(" "));
    let (shard, rules) = (&mut world.shards[0], &world.rules);
    let mut unit = Unit::new(DbIndex(0), Protocol::Resp2);
    unit.is_proven = true;
    assert_eq!(alone(&[&fill], &mut unit, shard, rules)[0].1, ":1000");
    let more = format!("sadd {key} another");
    let mut unit = Unit::new(DbIndex(0), Protocol::Resp2);
    assert_eq!(alone(&[&more], &mut unit, shard, rules)[0].0, Within::Elsewhere);
    assert!(!unit.has_written);
    unit.is_proven = true;
    assert_eq!(alone(&[&more], &mut unit, shard, rules)[0].1, ":1");
}

#[test]
fn a_transaction_as_one_call() {
    let mut world = World::new(4);
    let mut request = exec::request();
    let lines =
        ["mset a 1 b 2 c 3 d 4", "incr a", "lpush a x", "sunionstore t a", "dbsize", "mget a b c d", "rename b z"];
    for line in lines {
        let words = words(line);
        exec::push(&mut request, table::resolve(&words.args()).unwrap(), DbIndex(0), &words.args());
    }
    let words_3 = words("set in three");
    exec::push(&mut request, table::resolve(&words_3.args()).unwrap(), DbIndex(3), &words_3.args());
    let (elsewhere, shard) = Elsewhere::new(&mut world.shards, ShardId(0), &mut world.bench);
    let mut ctx = Context::new(shard, DbIndex(0), NOW, &world.rules);
    ctx.elsewhere = Some(Box::new(elsewhere));
    ctx.here = Here::Everything;
    let crate::command::Run::OnShard(handler) = exec::UNIT.run else { panic!("it runs on shards") };
    let mut out = ReplyBuffer::default();
    let (outcome, result) = ctx.run(handler, &request.args(), &mut Reply::new(&mut out, Protocol::Resp2));
    result.unwrap();
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(text(&out), format!("+OK :2 {wrong} {wrong} :4 *4 $1 2 $1 2 $1 3 $1 4 +OK +OK"));
    drop(ctx);
    let Propagate::Calls(calls) = outcome.propagate else { panic!("there are several") };
    let name = |call: &crate::outcome::EffectCall| String::from_utf8_lossy(&call.words[0]).into_owned();
    assert_eq!(calls.iter().map(name).collect::<Vec<_>>(), ["mset", "incr", "rename", "SELECT", "set", "SELECT"]);
    assert_eq!(world.unit(&["select 3", "get in"]).0, ["+OK", "$5 three"]);
}

fn arbitrary_call() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["a", "b", "c", "d", "e", "f", "g"]);
    prop_oneof![
        (key(), 0..5).prop_map(|(key, value)| format!("set {key} {value}")),
        (key(), key()).prop_map(|(one, two)| format!("rename {one} {two}")),
        (key(), key()).prop_map(|(one, two)| format!("copy {one} {two}")),
        (key(), key()).prop_map(|(one, two)| format!("copy {one} {two} db 1 replace")),
        (key(), key(), 0..9).prop_map(|(one, two, value)| format!("mset {one} {value} {two} 7")),
        (key(), key()).prop_map(|(one, two)| format!("msetnx {one} 1 {two} 2")),
        (key(), key(), key()).prop_map(|(one, two, three)| format!("mget {one} {two} {three}")),
        (key(), key()).prop_map(|(one, two)| format!("del {one} {two}")),
        (key(), 0..9).prop_map(|(key, value)| format!("sadd {key} {value}")),
        (key(), key(), key()).prop_map(|(one, two, three)| format!("sinterstore {one} {two} {three}")),
        (key(), key(), 0..9).prop_map(|(one, two, value)| format!("smove {one} {two} {value}")),
        (key(), 0..9).prop_map(|(key, value)| format!("rpush {key} {value}")),
        (key(), key()).prop_map(|(one, two)| format!("lmove {one} {two} left right")),
        (key(), key()).prop_map(|(one, two)| format!("blmpop 0 2 {one} {two} left")),
        (key(), 0..3).prop_map(|(key, db)| format!("move {key} {db}")),
        (0..3).prop_map(|db| format!("select {db}")),
        Just("dbsize".to_owned()),
        Just("swapdb 0 1".to_owned()),
        Just("flushdb".to_owned()),
        key().prop_map(|key| format!("sort {key} by nosort get #")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    /// Over many shards as over one.
    #[test]
    fn shards_do_not_matter(lines in prop::collection::vec(arbitrary_call(), 1..60)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (mut one, mut many) = (World::new(1), World::new(5));
        let expected = one.unit(&lines);
        prop_assert_eq!(many.unit(&lines), expected);
    }
}
