//! Scripts that misbehave: they loop for ever, recurse, build huge strings, fail after they have written, call what they must
//! not; clients that vanish during a script, and caches that are emptied while scripts run. Nothing else suffers.
//!
//! `RINGKEY_TARGET=reference` shows that the tests themselves are right.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::encoded;
use ringkey_tests::running::{info, on_one_and_four_cores, wait_until};
use ringkey_tests::server::{Kind, Setup};
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Reply, Server};
use std::time::{Duration, Instant};

const CORES: usize = 4;

/// Scripts count as busy after so many milliseconds.
const BUSY_AFTER: &str = "50";

/// How long threads go on where several do.
const A_WHILE: Duration = Duration::from_secs(2);

/// The most that scripts may take of memory before one that wants more is refused.
const RESIDENT_MAX: usize = 3 << 30;

/// A stack on which a reply of thousands of nested arrays can be read.
const DEEP_STACK_BYTES: usize = 128 << 20;

fn setup() -> Setup {
    Setup::new().option("busy-reply-threshold", BUSY_AFTER)
}

fn error_of(reply: &Reply) -> String {
    reply.error().unwrap_or_else(|| panic!("expected an error, got {reply}"))
}

fn eval(client: &mut Client, source: &str, keys: &[&str]) -> Reply {
    client.command(&words(source, keys))
}

fn words<'a>(source: &'a str, keys: &[&'a str]) -> Vec<&'a str> {
    let count = ["0", "1", "2", "3", "4"][keys.len()];
    ["EVAL", source, count].into_iter().chain(keys.iter().copied()).collect()
}

/// Begins a script that does not answer soon, and waits until it counts as busy.
fn begin(server: &Server, source: &str, keys: &[&str]) -> Client {
    let mut client = server.client();
    client.send(&encoded(&words(source, keys))).unwrap();
    let mut other = server.client();
    // Who asks for what the script holds hears that it is busy.
    wait_until("the script is busy", || {
        other.command(&["EVAL", "return 1", "1", keys.first().copied().unwrap_or("none")]).error().is_some()
            || error_of_get(&mut other, keys)
    });
    client
}

fn error_of_get(client: &mut Client, keys: &[&str]) -> bool {
    keys.iter().any(|key| client.command(&["GET", key]).error().is_some_and(|text| text.starts_with("BUSY")))
}

/// Keys on all cores, all of which answer again.
fn assert_all_keys_answer(server: &Server) {
    let mut client = server.client();
    for core in 0..CORES {
        let key = key_on_core("free", core, CORES, 0);
        assert_eq!(client.command(&["SET", &key, "1"]).lines(), ["+OK"]);
        assert_eq!(client.command(&["DEL", &key]).integer(), 1);
        assert_eq!(eval(&mut client, "return redis.call('EXISTS', KEYS[1])", &[&key]).integer(), 0);
    }
    assert_eq!(client.run("DBSIZE").error(), None);
    server.assert_alive();
}

#[test]
fn an_endless_script_is_killed() {
    on_one_and_four_cores(&setup(), |server| {
        for source in [
            "while true do end",
            "repeat until false",
            "while true do redis.call('GET', KEYS[1]) end",
            "while true do pcall(function() while true do end end) end",
            "while true do redis.pcall('NOSUCH') end",
            "local f f = function() return f() end return f()",
            "local t = setmetatable({}, {__index = function(t, k) return k end}) while true do local x = t[1] end",
            "for i = 1, math.huge do coroutine.wrap(function() for j = 1, 10 do end end)() end",
        ] {
            let mut other = server.client();
            assert_eq!(error_of(&other.run("SCRIPT KILL")), "NOTBUSY No scripts in execution right now.");
            let mut client = begin(server, source, &["held"]);
            let busy = error_of(&other.run("GET held"));
            assert!(busy.starts_with("BUSY Valkey is busy running a script."), "{source}: {busy}");
            let not_this = error_of(&other.run("FUNCTION KILL"));
            assert!(not_this.starts_with("BUSY"), "{source}: {not_this}");
            assert_eq!(other.run("SCRIPT KILL").lines(), ["+OK"], "{source}");
            let reply = error_of(&client.read_reply().unwrap());
            assert!(reply.contains("Script killed by user with SCRIPT KILL"), "{source}: {reply}");
            assert_eq!(client.run("PING").lines(), ["+PONG"]);
            assert_all_keys_answer(server);
        }
    });
}

#[test]
fn who_wants_nothing_of_an_endless_script_goes_on() {
    if Kind::under_test() == Kind::Reference {
        return;
    }
    on_one_and_four_cores(&setup(), |server| {
        let mut other = server.client();
        if info(&mut other, "cores") == 1 {
            // There it holds all that there is.
            return;
        }
        let mut client = begin(server, "while true do end", &["held"]);
        assert_eq!(other.run("PING").lines(), ["+PONG"]);
        assert!(other.run("CLIENT ID").integer() > 0);
        let core = ringkey_tests::slot::core_of(b"held", CORES);
        let elsewhere = key_on_core("free", (core + 1) % CORES, CORES, 0);
        assert_eq!(other.command(&["SET", &elsewhere, "1"]).lines(), ["+OK"]);
        assert_eq!(eval(&mut other, "return redis.call('GET', KEYS[1])", &[&elsewhere]).text(), "1");
        assert_eq!(other.run("SCRIPT KILL").lines(), ["+OK"]);
        error_of(&client.read_reply().unwrap());
    });
}

#[test]
fn what_has_written_is_not_killed() {
    on_one_and_four_cores(&setup(), |server| {
        let keys: Vec<String> = (0..CORES).map(|core| key_on_core("written", core, CORES, 0)).collect();
        // Three seconds at most, however fast the machine is; then it ends by itself.
        let source = "redis.call('SET', KEYS[1], 'by script') local function now() return tonumber(redis.call('TIME')[1]) end \
             local end_ = now() + 2 while now() < end_ do end redis.call('SET', KEYS[2], 'at last') return 'done'";
        let mut client = begin(server, source, &[&keys[0], &keys[1]]);
        let mut other = server.client();
        for kill in ["SCRIPT KILL", "FUNCTION KILL"] {
            let refused = error_of(&other.run(kill));
            let expected = if kill == "SCRIPT KILL" { "UNKILLABLE" } else { "" };
            assert!(refused.starts_with(expected), "{refused}");
        }
        let busy = error_of(&other.command(&["GET", &keys[1]]));
        assert!(busy.starts_with("BUSY"), "{busy}");
        assert_eq!(client.read_reply().unwrap().text(), "done");
        let values = other.command(&["MGET", &keys[0], &keys[1]]);
        assert_eq!(values.lines(), ["*2", "  \"by script\"", "  \"at last\""]);
        assert_all_keys_answer(server);
    });
}

#[test]
fn who_vanishes_during_a_script_takes_nothing_along() {
    on_one_and_four_cores(&setup(), |server| {
        // One that can be killed, one that has written and ends by itself.
        for source in [
            "while true do redis.call('EXISTS', KEYS[1]) end",
            "redis.call('INCR', KEYS[1]) local function now() return tonumber(redis.call('TIME')[1]) end \
             local end_ = now() + 2 while now() < end_ do end redis.call('INCR', KEYS[1])",
        ] {
            drop(begin(server, source, &["count"]));
            let mut other = server.client();
            if source.starts_with("while") {
                assert_eq!(other.run("SCRIPT KILL").lines(), ["+OK"]);
            }
            wait_until("the key is free", || other.run("GET count").error().is_none());
            assert_all_keys_answer(server);
        }
        assert_eq!(server.client().run("GET count").text(), "2");
    });
}

#[test]
fn depth_and_size_have_bounds() {
    on_one_and_four_cores(&setup(), |server| {
        let mut client = server.client();
        for (source, expected) in [
            ("local function f() return f() + 1 end return f()", "stack overflow"),
            ("local function f(n) return n > 190000 and 1 or 1 + f(n + 1) end return f(0)", "stack overflow"),
            ("return unpack({}, 1, 1e7)", "too many results to unpack"),
            ("return redis.call(unpack({}, 1, 9000))", "too many results to unpack"),
            ("return cjson.encode((function() local t = {} for i = 1, 2000 do t = {t} end return t end)())", "nesting"),
            ("return cjson.decode(string.rep('[', 5000))", "nested"),
            ("return string.rep('(', 300):find(string.rep('(', 300))", "captures"),
            ("return loadstring('return ' .. string.rep('(', 500) .. '1' .. string.rep(')', 500))()", ""),
        ] {
            let error = error_of(&eval(&mut client, source, &[]));
            assert!(error.contains(expected), "{source}: {error}");
            assert_eq!(client.run("PING").lines(), ["+PONG"]);
        }
        // A table within itself is told as deep as the stack goes; whoever reads that needs a deep one, too.
        let read = || {
            let reply = eval(&mut server.client(), "local t = {} t[1] = t return t", &[]);
            let mut inner = &reply;
            while let Reply::Array(elements) = inner {
                inner = &elements[0];
            }
            assert_eq!(error_of(inner), "ERR reached lua stack limit");
        };
        std::thread::scope(|scope| {
            std::thread::Builder::new().stack_size(DEEP_STACK_BYTES).spawn_scoped(scope, read).unwrap();
        });
        // Deep, but not too deep.
        let deep = eval(&mut client, "local t = {} for i = 1, 500 do t = {t} end return t", &[]);
        assert_eq!(deep.elements().len(), 1);
        assert_all_keys_answer(server);
    });
}

/// The reference takes whatever there is, and ends.
#[test]
fn huge_strings_are_refused() {
    if Kind::under_test() == Kind::Reference {
        return;
    }
    on_one_and_four_cores(&setup(), |server| {
        let mut client = server.client();
        for source in [
            "local s = 'x' while true do s = s .. s end",
            "local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 1e6) .. i end return #t",
            "local t = {} while true do t = {t, {}, {}} end",
            "return #table.concat({string.rep('x', 2^28), string.rep('y', 2^28), string.rep('z', 2^28)}, ',', 1, 3) > 0 \
             and #string.rep(string.rep('x', 2^20), 2^20)",
        ] {
            client.send(&encoded(&["EVAL", source, "0"])).unwrap();
            client.set_patience(Duration::from_secs(60)).unwrap();
            // What takes long may be killed as well; it must end, and cost no more than it may.
            let error = error_of(&client.read_reply().unwrap());
            assert!(error.contains("not enough memory") || error.contains("too large"), "{source}: {error}");
            let resident = server.resident_bytes();
            assert!(resident < RESIDENT_MAX, "{source}: {resident} bytes");
            assert_eq!(client.run("PING").lines(), ["+PONG"]);
            // The interpreter is as good as new.
            assert_eq!(eval(&mut client, "local t = {} for i = 1, 100 do t[i] = i end return #t", &[]).integer(), 100);
        }
        assert_all_keys_answer(server);
    });
}

#[test]
fn what_was_written_before_an_error_stays() {
    on_one_and_four_cores(&setup(), |server| {
        let keys: Vec<String> = (0..CORES).map(|core| key_on_core("stays", core, CORES, 0)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut client = server.client();
        let failures =
            ["error('late')", "redis.call('LPUSH', KEYS[1], 'x')", "redis.call('NOSUCH')", "local x = nosuch"];
        for failure in failures {
            // Declared, and named by arguments only.
            for declared in [true, false] {
                client.run("FLUSHALL");
                let set: String = (1..=CORES).map(|n| format!("redis.call('SET', KEYS[{n}], {n}) ")).collect();
                let mut source = format!("{set} {failure} redis.call('SET', KEYS[1], 'never')");
                let error = if declared {
                    eval(&mut client, &source, &keys)
                } else {
                    source = source.replace("KEYS", "ARGV");
                    client.command(&[&["EVAL", &source, "0"], &keys[..]].concat())
                };
                assert!(error_of(&error).contains("script: "), "{failure}: {error}");
                let values = client.command(&[&["MGET"], &keys[..]].concat());
                assert_eq!(values.lines(), ["*4", "  \"1\"", "  \"2\"", "  \"3\"", "  \"4\""], "{failure}, {declared}");
            }
        }
        // In a transaction, what comes behind the error runs as well.
        client.run("FLUSHALL");
        for words in [
            vec!["MULTI"],
            vec!["EVAL", "redis.call('SET', KEYS[1], 1) error('late')", "1", keys[0]],
            vec!["SET", keys[1], "2"],
        ] {
            client.command(&words);
        }
        let replies = client.run("EXEC");
        assert!(replies.elements()[0].error().is_some_and(|text| text.contains("late")), "{replies}");
        assert_eq!(client.command(&["MGET", keys[0], keys[1]]).lines(), ["*2", "  \"1\"", "  \"2\""]);
    });
}

#[test]
fn some_commands_are_denied() {
    on_one_and_four_cores(&setup(), |server| {
        let mut client = server.client();
        for call in [
            "'SHUTDOWN'",
            "'SCRIPT', 'FLUSH'",
            "'EVAL', 'return 1', '0'",
            "'FCALL', 'f', '0'",
            "'FUNCTION', 'FLUSH'",
            "'CLIENT', 'KILL', 'x'",
            "'CLIENT', 'ID'",
            "'CONFIG', 'SET', 'maxmemory', '0'",
            "'DEBUG', 'SLEEP', '0'",
            "'MULTI'",
            "'EXEC'",
            "'DISCARD'",
            "'WATCH', 'x'",
            "'UNWATCH'",
            "'HELLO'",
            "'AUTH', 'x'",
            "'RESET'",
            "'QUIT'",
        ] {
            for api in ["call", "pcall"] {
                let reply = eval(&mut client, &format!("return redis.{api}({call})"), &[]);
                let error = error_of(&reply);
                assert!(error.starts_with("ERR This Valkey command is not allowed from script"), "{call}: {error}");
            }
        }
        for (call, expected) in [
            ("'NOSUCH'", "ERR Unknown command called from script"),
            ("'CONFIG', 'NOSUCH'", "ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP."),
            ("'GET'", "ERR Wrong number of args calling command from script"),
            ("{}", "ERR Command arguments must be strings or integers"),
            ("", "ERR Please specify at least one argument for this call"),
        ] {
            let error = error_of(&eval(&mut client, &format!("return redis.call({call})"), &[]));
            assert!(error.starts_with(expected), "{call}: {error}");
        }
        let error = error_of(&client.run("EVAL_RO return{redis.call('SET','x','1')} 0"));
        assert!(error.starts_with("ERR Write commands are not allowed from read-only scripts."), "{error}");
        assert_eq!(client.run("EXISTS x").integer(), 0);
        server.assert_alive();
    });
}

/// EVALSHA while the cache is emptied and filled again gives its result or NOSCRIPT, never anything else.
#[test]
fn a_cache_that_is_emptied_while_scripts_run() {
    on_one_and_four_cores(&setup(), |server| {
        let source = "redis.call('INCR', KEYS[1]) return {KEYS[1], ARGV[1]}";
        let sha = server.client().command(&["SCRIPT", "LOAD", source]).text();
        let end = Instant::now() + A_WHILE;
        let key = |core: usize| key_on_core("runs", core, CORES, 0);
        let runner = |core: usize| {
            let (key, sha) = (key(core), sha.clone());
            move || {
                let mut client = server.client();
                let (mut ran, mut missed) = (0, 0);
                while Instant::now() < end {
                    let turn = (ran + missed).to_string();
                    let reply = client.command(&["EVALSHA", &sha, "1", &key, &turn]);
                    match reply.error() {
                        Some(error) => {
                            assert_eq!(error, "NOSCRIPT No matching script.");
                            missed += 1;
                        }
                        None => {
                            assert_eq!(reply.elements()[0].text(), key);
                            assert_eq!(reply.elements()[1].text(), turn);
                            ran += 1;
                        }
                    }
                }
                (ran, missed)
            }
        };
        let flusher = || {
            let mut client = server.client();
            for turn in 0.. {
                if Instant::now() >= end {
                    break;
                }
                let how = ["SCRIPT FLUSH", "SCRIPT FLUSH SYNC", "SCRIPT FLUSH ASYNC"][turn % 3];
                assert_eq!(client.run(how).lines(), ["+OK"]);
                // Whoever has heard that it is gone finds it gone, on whatever core.
                let gone = server.client().command(&["SCRIPT", "EXISTS", &sha]);
                assert_eq!(gone.elements()[0].integer(), 0);
                let mut other = server.client();
                let reply = other.command(&["EVALSHA", &sha, "1", &key(turn % CORES), "x"]);
                assert_eq!(error_of(&reply), "NOSCRIPT No matching script.");
                assert_eq!(client.command(&["SCRIPT", "LOAD", source]).text(), sha);
                let reply = other.command(&["EVALSHA", &sha, "1", &key((turn + 1) % CORES), "x"]);
                assert_eq!(reply.elements()[1].text(), "x");
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        std::thread::scope(|scope| {
            let runners: Vec<_> = (0..CORES).map(|core| scope.spawn(runner(core))).collect();
            scope.spawn(flusher);
            for runner in runners {
                let (ran, missed) = runner.join().unwrap();
                assert!(ran > 10 && missed > 0, "ran {ran} times, missed {missed} times");
            }
        });
        server.assert_alive();
    });
}
