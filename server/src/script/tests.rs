//! Scripts over the data of one shard.

#![allow(clippy::unwrap_used)]

use super::SCRIPTING;
use ringkey_core::command::{Run, table};
use ringkey_core::commands::within::Unfinished;
use ringkey_core::commands::{Context, Rules};
use ringkey_core::keyspace::{KeyHasher, Shard};
use ringkey_core::outcome::{Outcome, Propagate};
use ringkey_core::resp::{Protocol, Reply, ReplyBuffer, Request};
use ringkey_core::units::{DbIndex, Millis};

struct Bench {
    shard: Shard,
    rules: Rules,
    protocol: Protocol,
    client: u64,
    may_suspend: bool,
    outcome: Outcome,
    unfinished: Option<Unfinished>,
}

impl Bench {
    fn new() -> Self {
        let mut shard = Shard::scratch(16, KeyHasher::new([1, 2, 3, 4]), 5);
        shard.journaling = true;
        Self {
            shard,
            rules: Rules { scripting: &SCRIPTING, ..Rules::default() },
            protocol: Protocol::Resp2,
            client: 1,
            may_suspend: false,
            outcome: Outcome::default(),
            unfinished: None,
        }
    }

    fn call(&mut self, words: &[&[u8]]) -> String {
        let request = Request::new(words.iter().copied());
        let row = table::lookup(words[0]).unwrap();
        let Run::OnShard(handler) = row.run else { panic!("it runs on a shard") };
        let mut context = Context::new(&mut self.shard, DbIndex(0), Millis(1_000_000), &self.rules);
        (context.client, context.may_suspend) = (self.client, self.may_suspend);
        let mut out = ReplyBuffer::default();
        let (outcome, result) = context.run(handler, &request.args(), &mut Reply::new(&mut out, self.protocol));
        (self.outcome, self.unfinished) = (outcome, context.unfinished);
        if let Err(error) = result {
            assert!(out.is_empty(), "a refused call has written nothing");
            return format!("-{} {error}", error.code());
        }
        String::from_utf8_lossy(&out.to_vec()).replace("\r\n", " ").trim_end().to_owned()
    }

    fn eval(&mut self, script: &str, words: &[&str]) -> String {
        let mut all: Vec<&[u8]> = vec![b"EVAL", script.as_bytes()];
        all.extend(words.iter().map(|word| word.as_bytes()));
        self.call(&all)
    }

    fn check(&mut self, cases: &[(&str, &str)]) {
        for (script, expected) in cases {
            assert_eq!(self.eval(script, &["0"]), *expected, "{script}");
        }
    }
}

#[test]
fn values_become_replies() {
    let mut bench = Bench::new();
    bench.check(&[
        ("return 1", ":1"),
        ("return -3.99", ":-3"),
        ("return 1e300", ":-9223372036854775808"),
        ("return 'text'", "$4 text"),
        ("return true", ":1"),
        ("return false", "$-1"),
        ("return nil", "$-1"),
        ("return print == 1", "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' script: on @user_script:1."),
        ("return {1,2.9,'a',{3},nil,5}", "*4 :1 :2 $1 a *1 :3"),
        ("return {1,false,true}", "*3 :1 $-1 :1"),
        ("return {ok='a\\r\\nb'}", "+a  b"),
        ("return {err='a\\r\\n'}", "-a"),
        ("return {double=3.5}", "$3 3.5"),
        ("return {map={a=1}}", "*2 $1 a :1"),
        ("return {set={a=true}}", "*1 $1 a"),
        ("return {big_number='1\\r2'}", "$3 1 2"),
        ("return {verbatim_string={format='txt',string='abc'}}", "$3 abc"),
        ("return {verbatim_string={format='txt'}}", "*0"),
        ("return function() end", "$-1"),
        ("return redis", "*0"),
        ("redis.setresp(3) return {true, {double=1}}", "*2 :1 $1 1"),
    ]);
    bench.protocol = Protocol::Resp3;
    bench.check(&[
        ("return true", ":1"),
        ("return false", "_"),
        ("redis.setresp(3) return {true, false}", "*2 #t #f"),
        ("return {double=1/0}", ",inf"),
        ("return {map={a=1}}", "%1 $1 a :1"),
        ("return {set={a=true}}", "~1 $1 a"),
        ("return {big_number='12'}", "(12"),
        ("return {verbatim_string={format='t',string='abc'}}", "=7 t  :abc"),
    ]);
}

#[test]
fn replies_become_values() {
    let mut bench = Bench::new();
    bench.check(&[
        ("return redis.call('set', 'k', 1.5).ok", "$2 OK"),
        ("return type(redis.call('get', 'missing'))", "$7 boolean"),
        ("return redis.call('incr', 'n') + 1", ":2"),
        ("return redis.call('rpush', 'l', 1, 2^53, 0.1, 1e20)", ":4"),
        ("return redis.call('lrange', 'l', 0, -1)", "*4 $1 1 $16 9007199254740992 $3 0.1 $5 1e+20"),
        ("return redis.call('hset', 'h', 'f', 'v')", ":1"),
        ("redis.setresp(3) return redis.call('hgetall', 'h').map.f", "$1 v"),
        ("redis.setresp(3) return redis.call('get', 'missing') == nil", ":1"),
        (
            "redis.call('zadd', 'z', 2.5, 'm') redis.setresp(3) return tostring(redis.call('zscore', 'z', 'm').double)",
            "$3 2.5",
        ),
        ("redis.call('sadd', 's', 'm') redis.setresp(3) return {next(redis.call('smembers', 's').set)}", "*2 $1 m :1"),
        ("return redis.pcall('get').err", "$52 ERR Wrong number of args calling command from script"),
        ("return redis.call('set', 'big', string.rep('x', 100000)) and #redis.call('get', 'big')", ":100000"),
    ]);
}

#[test]
fn errors_tell_their_place() {
    let mut bench = Bench::new();
    let at = " script: on @user_script:1.";
    for (script, expected) in [
        ("error('x')", "ERR user_script:1: x"),
        ("error({err='My x'})", "My x"),
        ("error({})", "ERR unknown error"),
        ("error(nil)", "ERR nil"),
        ("error('x', 0)", "ERR x"),
        ("return redis.call()", "ERR Please specify at least one argument for this call"),
        ("return redis.call('get', {})", "ERR Command arguments must be strings or integers"),
        ("return redis.call('nosuch')", "ERR Unknown command called from script"),
        (
            "redis.call('lpush','a',1) redis.call('get','a')",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("math.random(0)", "ERR user_script:1: bad argument #1 to 'random' (interval is empty)"),
        ("local function f() return f()+1 end return f()", "ERR user_script:1: stack overflow"),
        (
            "coroutine.wrap(function() return redis.call('get') end)()",
            "ERR Wrong number of args calling command from script",
        ),
        ("return redis.setresp(4)", "ERR RESP version must be 2 or 3."),
    ] {
        assert_eq!(bench.eval(script, &["0"]), format!("-{expected}{at}"), "{script}");
    }
    bench.check(&[
        ("return (", "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'"),
        ("\n\nerror('x')", "-ERR user_script:3: x script: on @user_script:3."),
        ("#!lua\nfoo()", "-ERR user_script:2: Script attempted to access nonexistent global variable 'foo' script: on @user_script:2."),
        ("\x1bLua", "-ERR Error compiling script (new function): user_script:1: unexpected symbol near 'char(27)'"),
        ("return {pcall(redis.call, 'get')}", "*2 $-1 $52 ERR Wrong number of args calling command from script"),
        ("return {xpcall(function() error('x') end, function(e) return 'handled ' .. e end)}", "*2 $-1 $24 handled user_script:1: x"),
        ("return {pcall(error, {err='a b'})}", "*2 $-1 $3 a b"),
        ("return select(2, loadstring(string.dump(function() end)))", "$53 [string \"\x1bLuaQ\"]:1: unexpected symbol near 'char(27)'"),
    ]);
}

#[test]
fn what_scripts_share_cannot_be_changed() {
    let mut bench = Bench::new();
    let plain = "-ERR Attempt to modify a readonly table script: on @user_script:1.";
    let placed = "-ERR user_script:1: Attempt to modify a readonly table script: on @user_script:1.";
    for (script, expected) in [
        ("a = 1", placed),
        ("KEYS = {}", placed),
        ("redis.call = 1", placed),
        ("redis.x = 1", placed),
        ("string.rep = 1", placed),
        ("getmetatable('').__index = 1", placed),
        ("getmetatable(_G).__index = 1", placed),
        ("_G.x = 1", placed),
        ("setmetatable(_G, {})", plain),
        ("setmetatable(redis, {})", plain),
        ("rawset(_G, 'a', 1)", plain),
        ("rawset(redis, 'a', 1)", plain),
        ("table.insert(redis, 1)", plain),
    ] {
        assert_eq!(bench.eval(script, &["0"]), expected, "{script}");
    }
    bench.check(&[
        ("return getmetatable(redis) == nil", ":1"),
        ("return getmetatable('').__index == string", ":1"),
        ("return ('x'):rep(3)", "$3 xxx"),
        ("return type(rawget(redis, 'call'))", "$8 function"),
        ("local n = 0 for k in pairs(redis) do n = n + 1 end return n", ":26"),
        ("return type(next(_G))", "$6 string"),
        ("KEYS[1] = 3 return KEYS[1]", ":3"),
        ("local t = setmetatable({}, {__index = function(_, k) return k end}) return t.abc", "$3 abc"),
        ("local t = {} for k in pairs({3, 4}) do t[k] = k end return t", "*2 :1 :2"),
        ("local t = {} for k in pairs(os) do t[#t + 1] = k end return t", "*1 $5 clock"),
    ]);
}

#[test]
fn keys_and_arguments_are_globals_of_each_run() {
    let mut bench = Bench::new();
    let script = "return {#KEYS, KEYS[1], #ARGV, ARGV[1]}";
    assert_eq!(bench.eval(script, &["1", "k", "a", "b"]), "*4 :1 $1 k :2 $1 a");
    assert_eq!(bench.eval(script, &["0"]), "*1 :0");
    assert_eq!(bench.eval(script, &["x"]), "-ERR value is not an integer or out of range");
    assert_eq!(bench.eval(script, &["1"]), "-ERR Number of keys can't be greater than number of args");
    assert_eq!(bench.eval(script, &["-1"]), "-ERR Number of keys can't be negative");
    let sha = ringkey_core::script::source::Sha::of(script.as_bytes()).to_string();
    assert_eq!(bench.call(&[b"EVALSHA", sha.to_uppercase().as_bytes(), b"1", b"k"]), "*3 :1 $1 k :0");
    assert_eq!(bench.call(&[b"EVALSHA", b"abc", b"x"]), "-NOSCRIPT No matching script.");
    super::registry::with(super::registry::Registry::flush);
    assert_eq!(bench.call(&[b"EVALSHA", sha.as_bytes(), b"0"]), "-NOSCRIPT No matching script.");
}

#[test]
fn chance_goes_on_from_a_seed() {
    let mut bench = Bench::new();
    let script = "math.randomseed(0) return {tostring(math.random()), tostring(math.random())}";
    assert_eq!(bench.eval(script, &["0"]), "*2 $16 0.17082803611217 $16 0.74990198051087");
    bench.check(&[
        ("math.randomseed(7) return math.random(1000000)", ":266445"),
        ("return math.random(1000000)", ":682036"),
    ]);
}

#[test]
fn effects_are_those_of_the_calls() {
    let mut bench = Bench::new();
    bench.eval("redis.call('set', 'a', 1) redis.call('expire', 'a', 10) redis.call('get', 'a') error('x')", &["0"]);
    assert_eq!(bench.outcome.changes, 2);
    let Propagate::Calls(calls) = &bench.outcome.propagate else { panic!("two calls") };
    assert_eq!(calls.len(), 2);
    bench.eval("return redis.call('get', 'a')", &["0"]);
    assert!(bench.outcome.changes == 0 && matches!(bench.outcome.propagate, Propagate::Nothing));
    let writes = "return redis.call('set', 'a', 2)";
    let refused = "-ERR Write commands are not allowed from read-only scripts. script: on @user_script:1.";
    assert_eq!(bench.call(&[b"EVAL_RO", writes.as_bytes(), b"0"]), refused);
    assert_eq!(
        bench.call(&[b"EVAL_RO", b"#!lua\nreturn 1", b"0"]),
        "-ERR Can not execute a script with write flag using *_ro command."
    );
}

#[test]
fn memory_is_bounded() {
    let mut bench = Bench::new();
    assert!(bench.eval("return string.rep('x', 2^30, 'y')", &["0"]).contains("not enough memory"));
    let grows = "local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 2^20) .. i end";
    assert!(bench.eval(grows, &["0"]).contains("not enough memory"));
    bench.check(&[
        ("return string.rep('', 2^31 - 1)", "$0"),
        ("return #string.rep('ab', 10)", ":20"),
        (
            "local p = string.rep('a?', 3000) return string.find('aaa', p)",
            "-ERR user_script:1: pattern too complex script: on @user_script:1.",
        ),
    ]);
}

#[test]
fn deep_values_end() {
    let mut bench = Bench::new();
    let reply = bench.eval("local a = {} a[1] = a return a", &["0"]);
    assert!(reply.ends_with("*1 -ERR reached lua stack limit"));
    let nested = "local function f(n) if n > 0 then return (string.gsub('a', 'a', function() return f(n - 1) end)) end return 'x' end return f(150)";
    assert_eq!(bench.eval(nested, &["0"]), "$1 x");
    let too_deep = nested.replace("150", "100000");
    assert!(bench.eval(&too_deep, &["0"]).contains("overflow"));
}

/// A script that runs for a while.
const SLOW: &str = "local n = 0 for i = 1, 3e7 do n = n + 1 end return {KEYS[1], ARGV[1], n}";

#[test]
fn others_run_while_one_waits() {
    let mut bench = Bench::new();
    bench.may_suspend = true;
    assert_eq!(bench.eval(SLOW, &["1", "key", "word"]), "");
    assert_eq!(bench.unfinished, Some(Unfinished::Suspended));
    assert_eq!(super::registry::with(|registry| registry.running().len()), 1);
    bench.client = 2;
    assert_eq!(bench.eval("return {KEYS[1], ARGV[1]}", &["1", "a", "b"]), "*2 $1 a $1 b");
    bench.client = 3;
    assert_eq!(bench.eval(SLOW, &["1", "other", "one"]), "");
    let mut done = Vec::new();
    for client in [1, 3].into_iter().cycle() {
        if done.iter().any(|(one, _)| *one == client) {
            continue;
        }
        bench.client = client;
        let reply = bench.eval(SLOW, &["0"]);
        if bench.unfinished.is_none() {
            done.push((client, reply));
        }
        if done.len() == 2 {
            break;
        }
    }
    done.sort_unstable();
    assert_eq!(done[0].1, "*3 $3 key $4 word :30000000");
    assert_eq!(done[1].1, "*3 $5 other $3 one :30000000");
    assert!(super::registry::with(|registry| registry.running().is_empty()));
}

#[test]
fn what_is_stopped_ends_whatever_it_does() {
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "local c = coroutine.wrap(function() while true do end end) while true do pcall(c) end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "while true do pcall(string.gsub, 'aaaa', 'a', function() while true do end end) end",
    ] {
        let mut bench = Bench::new();
        bench.may_suspend = true;
        assert_eq!(bench.eval(script, &["0"]), "", "{script}");
        assert_eq!(bench.unfinished, Some(Unfinished::Suspended));
        super::registry::with(|registry| registry.kill(false, std::time::Duration::ZERO)).unwrap();
        let reply = bench.eval(script, &["0"]);
        assert!(
            reply.starts_with("-ERR Script killed by user with SCRIPT KILL. script: on @user_script:1."),
            "{reply}"
        );
        bench.check(&[("return 1", ":1")]);
    }
}

#[test]
fn who_is_abandoned_leaves_nothing() {
    let mut bench = Bench::new();
    bench.may_suspend = true;
    for _ in 0..50 {
        assert_eq!(bench.eval("redis.call('set', 'a', 1) while true do end", &["0"]), "");
        let unit = super::run::abandon(bench.client).unwrap();
        assert!(unit.has_written);
    }
    assert!(super::registry::with(|registry| registry.running().is_empty()));
    bench.check(&[("return redis.call('get', 'a')", "$1 1")]);
}
