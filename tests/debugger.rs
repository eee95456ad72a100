//! SCRIPT DEBUG: the dialogue is that of a real server, word for word where words mean something; what is rolled back leaves nothing;
//! who leaves, or stops a script, disturbs nobody.
//!
//! `RINGKEY_TARGET=reference` shows that the tests of dialogues are right.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::{encoded, words};
use ringkey_tests::running::{info, on_one_and_four_cores, wait_until};
use ringkey_tests::server::{Kind, Setup, peer, program, skip};
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Reply, Server, program as programs};
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

const CORES: usize = 4;

/// A script with a bit of everything.
const SCRIPT: &str = "local t = {1,2,'three',{a=1,b={true,false}}}
local function f(x)
  local y = x * 2
  return y
end
redis.debug('hello', 1.5, t, nil)
redis.call('set', KEYS[1], 'v')
local a = f(21)
server.breakpoint()
local r = redis.pcall('incr', KEYS[1])
local m = redis.call('mset','a','1','b','2')
local list = redis.call('mget','a','b','nosuch')
for i = 1, 3 do
  a = a + i
end
local numbers = {1/3, 1e20, 123456789, -0.5, 1/0, 2^53}
local deep = {{{{{{{{{{{{{1}}}}}}}}}}}}}
local long = string.rep('x', 300)
return {a, ARGV[1]}";

/// Scripts and the orders that their clients give; a line of orders each.
const DIALOGUES: &[(&str, &str)] = &[
    (
        SCRIPT,
        "maxlen|maxlen 70|maxlen 10|maxlen x|maxlen 256|b 13|b 16|b -13|b 13|b 14|l|p|n|p|p t|n|n|n|l|l 3 1|l 0|w|b|b 77|b x|b -5|n|t|\
         n|t|p x|p nope|p ARGV|p KEYS|e 1+1|e return {1,2}|e x y|e error('boom')|e redis.call('get','key')|r get key|foo|redis|\
         c|c|p a|p list|c|c|n|n|b 0|v hset h a b|server ping|c",
    ),
    (SCRIPT, "b 19|c|c|p numbers|p deep|p long|p long|maxlen 0|p long|R ping|a"),
    (SCRIPT, "n|a"),
    ("x y", ""),
    ("return 1", "n"),
    ("return 1\n\n", "w|list 99|list 1 x|step"),
    ("redis.call('set','q','1')\nredis.call('lpush','q','1')\nreturn 1", "n"),
    (
        "redis.call('del','ll')\nredis.call('rpush','ll','1','2','3')\nredis.call('lrange','ll',0,-1)\nredis.call('lrange','llx',0,-1)\n\
         redis.call('get','nope')\nredis.call('mget','nope','nope')\n\
         redis.call('mset','a1','1','a2','2','a3','3','a4','4','a5','5','a6','6')\n\
         local x = redis.status_reply('fine')\nlocal y = redis.error_reply('bad')\nreturn redis.sha1hex('x')",
        "n|n|n|n|n|n|n|n|n|n|n",
    ),
    (
        "redis.setresp(3)\nredis.call('del','hh','ss','zz')\nredis.call('hset','hh','a','b')\nredis.call('hgetall','hh')\n\
         redis.call('get','nosuch')\nredis.call('sadd','ss','m')\nredis.call('smembers','ss')\nredis.call('zadd','zz','1.5','m')\n\
         redis.call('zscore','zz','m')\nreturn {double=1.5}",
        "n|n|n|n|n|n|n|n|n|n",
    ),
];

/// Replies of a session until the connection is closed, as text.
fn lead(client: &mut Client, script: &str, orders: &str) -> String {
    let mut heard = String::new();
    let mut note = |what: &str, reply: &Reply| {
        // Where values are is nobody's business, and a blank or two at the end of an error is no difference.
        let lines = reply.lines().into_iter().map(|line| match line.find("function@") {
            Some(at) => line[..at].trim_end_matches(['"', ' ']).to_owned(),
            None => line.trim_end_matches([' ', '"']).to_owned(),
        });
        writeln!(heard, "{what}\n  {}", lines.collect::<Vec<_>>().join("\n  ")).unwrap();
    };
    let mut reply = client.command(&["EVAL", script, "1", "key", "arg"]);
    note("EVAL", &reply);
    // When all is said the script goes on to its end.
    for order in orders.split('|').filter(|order| !order.is_empty()).chain(std::iter::repeat("c")) {
        if said(&reply).last().is_some_and(|line| line == "<endsession>") {
            break;
        }
        reply = client.command(&words(order));
        note(order, &reply);
    }
    for reply in client.wait_for_close(Duration::from_secs(10)).unwrap() {
        note("end", &reply);
    }
    heard
}

/// The lines of an answer.
fn said(reply: &Reply) -> Vec<String> {
    reply.elements().iter().map(Reply::text).collect()
}

fn debugging(server: &Server, mode: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.command(&["SCRIPT", "DEBUG", mode]).text(), "OK");
    client
}

#[test]
fn dialogues_are_those_of_the_reference() {
    if program(Kind::Reference).is_none() {
        return skip("there is no valkey-server to compare with");
    }
    let reference = Setup::of(Kind::Reference).start();
    on_one_and_four_cores(&Setup::of(Kind::Ringkey), |server| {
        for mode in ["sync", "yes"] {
            for each in [server, &reference] {
                each.client().command(&["FLUSHALL"]);
            }
            for (script, orders) in DIALOGUES {
                let ours = lead(&mut debugging(server, mode), script, orders);
                let theirs = lead(&mut debugging(&reference, mode), script, orders);
                assert_eq!(ours, theirs, "{mode}: {script}");
                // A fork of the reference may still be there for a moment, but has changed nothing here.
                let contents = |each: &Server| each.client().run("MGET key a b q").lines();
                assert_eq!(contents(server), contents(&reference), "{mode}: {script}");
            }
        }
    });
}

#[test]
fn words_that_are_not_understood() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut client = server.client();
        let mut error = |words: &str| client.run(words).error().unwrap_or_else(|| panic!("{words} is no error"));
        assert_eq!(error("SCRIPT DEBUG maybe"), "ERR Use SCRIPT DEBUG YES/SYNC/NO");
        let no_engine = "ERR No scripting engine found with name 'foo' to enable debug";
        assert_eq!(error("SCRIPT DEBUG yes foo"), no_engine);
        let by_name = format!("EVALSHA {} 0", "a".repeat(40));
        let mut debugged = debugging(server, "yes");
        assert_eq!(debugged.run(&by_name).error().unwrap(), "ERR Please use EVAL instead of EVALSHA for debugging");
        assert_eq!(debugged.run("SCRIPT DEBUG no").text(), "OK");
        assert_eq!(debugged.command(&["EVAL", "return 7", "0"]).integer(), 7);
        let pipeline = [encoded(&["PING"]), encoded(&["SCRIPT", "DEBUG", "yes"])].concat();
        client.send(&pipeline).unwrap();
        assert_eq!(client.read_reply().unwrap().text(), "PONG");
        let refused = client.read_reply().unwrap().error().unwrap();
        assert_eq!(refused, "ERR SCRIPT DEBUG must be called outside a pipeline");
    });
}

/// A script that writes to keys on all cores, small and large, and is then asked for them.
#[test]
fn a_trial_leaves_nothing_behind() {
    let setup = Setup::of(Kind::Ringkey).option("notify-keyspace-events", "KEA").option("enable-debug-command", "yes");
    on_one_and_four_cores(&setup, |server| {
        let mut client = server.client();
        let keys: Vec<String> =
            (0..CORES).flat_map(|core| (0..4).map(move |at| key_on_core(&format!("k{at}:"), core, CORES, 0))).collect();
        for (at, key) in keys.iter().enumerate() {
            match at % 4 {
                0 => drop(client.command(&["SET", key, "old"])),
                1 => (0..500).for_each(|member| drop(client.command(&["ZADD", key, "1", &format!("member:{member}")]))),
                2 => drop(client.command(&["RPUSH", key, &"x".repeat(10_000), "b", "c"])),
                _ => {}
            }
        }
        let before = client.command(&["DEBUG", "DIGEST"]).text();
        let mut listener = server.client();
        listener.run("PSUBSCRIBE __key*");
        let mut waiting = server.client();
        waiting.send(&encoded(&["BLPOP", &keys[3], "0"])).unwrap();
        wait_until("the client waits", || info(&mut client, "blocked_clients") == 1);
        let script = "for i, key in ipairs(KEYS) do
          if i % 4 == 1 then redis.call('append', key, 'new') end
          if i % 4 == 2 then redis.call('zremrangebyrank', key, 0, 400) end
          if i % 4 == 3 then redis.call('rename', key, KEYS[1]) end
          if i % 4 == 0 then redis.call('rpush', key, 'a') end
        end
        redis.call('publish', '__key', 'said')
        return #redis.call('keys', '*')";
        let mut words = vec!["EVAL".to_owned(), script.to_owned(), keys.len().to_string()];
        words.extend(keys.iter().cloned());
        let mut debugged = debugging(server, "yes");
        assert_eq!(said(&debugged.command(&words))[0], "* Stopped at 1, stop reason = step over");
        assert_eq!(said(&debugged.run("b 8")).len(), 2);
        debugged.run("c");
        // The script itself sees what it has done, and what cannot be undone is refused.
        assert_eq!(said(&debugged.command(&["e", "redis.call('llen', KEYS[4])"])), ["<retval> 1"]);
        let refused = said(&debugged.command(&["r", "flushall"]));
        assert!(refused.last().unwrap().contains("cannot be undone"), "{refused:?}");
        debugged.run("c");
        assert_eq!(debugged.wait_for_close(Duration::from_secs(10)).unwrap().len(), 1);
        assert_eq!(client.command(&["DEBUG", "DIGEST"]).text(), before);
        assert!(listener.is_quiet_for(Duration::from_millis(100)).unwrap(), "nobody hears of what was undone");
        assert_eq!(client.command(&["RPUSH", &keys[3], "now"]).integer(), 1);
        assert_eq!(said(&waiting.read_reply().unwrap())[1], "now");
    });
}

/// While a script has stopped others are served as far as they need no data, and hear that it is busy otherwise. The client may leave, or be
/// made to, or somebody may stop the script.
#[test]
fn a_script_that_has_stopped_can_be_got_rid_of() {
    let setup = Setup::of(Kind::Ringkey).option("busy-reply-threshold", "50");
    on_one_and_four_cores(&setup, |server| {
        let mut other = server.client();
        let script = "redis.call('incr', 'n')\nlocal x = 1\nredis.call('incr', 'n')\nreturn 1";
        for (round, way) in ["leave", "break the protocol", "kill the script", "half"].into_iter().enumerate() {
            let mode = if way == "kill the script" { "yes" } else { "sync" };
            let mut debugged = debugging(server, mode);
            debugged.command(&["EVAL", script, "0"]);
            debugged.run("n");
            wait_until("the script counts as busy", || other.run("GET n").error().is_some());
            assert_eq!(other.run("PING").error().unwrap().split(' ').next(), Some("BUSY"));
            match way {
                "leave" => drop(debugged),
                "break the protocol" => {
                    debugged.send(b"*1\r\n!\r\n").unwrap();
                    let last = debugged.wait_for_close(Duration::from_secs(10)).unwrap();
                    let error = last.last().and_then(Reply::error).unwrap();
                    assert!(error.contains("protocol error"), "{error}");
                }
                "kill the script" => {
                    assert_eq!(other.run("SCRIPT KILL").text(), "OK");
                    let last = debugged.wait_for_close(Duration::from_secs(10)).unwrap();
                    let error = last.last().and_then(Reply::error).unwrap();
                    assert!(error.contains("killed by user"), "{error}");
                }
                _ => debugged.finish_sending().unwrap(),
            }
            wait_until("the data is free", || other.run("GET n").error().is_none());
            // Without its client a script runs to its end; one that is stopped in a trial is undone.
            let expected = ["2", "3", "3", "5"][round];
            assert_eq!(other.run("GET n").text(), expected, "{way}");
        }
        assert_eq!(other.run("PING").text(), "PONG");
    });
}

/// Loops can be interrupted and stopped, also in pieces of Lua that the client has run.
#[test]
fn endless_loops_stop() {
    let setup = Setup::of(Kind::Ringkey).option("busy-reply-threshold", "50");
    on_one_and_four_cores(&setup, |server| {
        let mut debugged = debugging(server, "yes");
        debugged.command(&["EVAL", "local x = 0\nwhile true do x = x + 1 end", "0"]);
        let stopped = said(&debugged.run("c"));
        assert_eq!(stopped[0], "* Stopped at 2, stop reason = timeout reached, infinite loop?");
        debugged.send(&encoded(&["e", "while true do end"])).unwrap();
        let mut other = server.client();
        wait_until("it counts as busy", || other.run("GET n").error().is_some());
        assert_eq!(other.run("SCRIPT KILL").text(), "OK");
        debugged.wait_for_close(Duration::from_secs(10)).unwrap();
        wait_until("the data is free", || other.run("GET n").error().is_none());
    });
}

/// What a script shows is bounded; its end is told nevertheless.
#[test]
fn who_shows_too_much_is_cut_short() {
    let server = Setup::of(Kind::Ringkey).cores(2).start();
    let mut debugged = debugging(&server, "yes");
    let before = server.resident_bytes();
    let script = "local x = string.rep('x', 1000000)\nfor i = 1, 2000 do redis.debug(x) end\nreturn 1";
    debugged.command(&["EVAL", script, "0"]);
    debugged.send(&encoded(&["c"])).unwrap();
    let shown = said(&debugged.read_reply().unwrap());
    assert!(shown.len() < 100 && shown.last().unwrap() == "<endsession>", "{} lines", shown.len());
    assert!(shown[shown.len() - 2].starts_with("<hint> "), "{}", shown[shown.len() - 2]);
    assert_eq!(debugged.read_reply().unwrap().integer(), 1);
    assert!(server.resident_bytes() < before + (512 << 20));
}

#[test]
fn a_thousand_sessions_leave_nothing_behind() {
    on_one_and_four_cores(&Setup::of(Kind::Ringkey), |server| {
        let mut last = 0;
        for round in 0..4 {
            for at in 0..250 {
                let mut debugged = debugging(server, if at % 2 == 0 { "yes" } else { "sync" });
                debugged.command(&["EVAL", "local x = {}\nredis.call('set', KEYS[1], 'v')\nreturn 1", "1", "key"]);
                // Some leave without a word.
                if at % 3 > 0 {
                    debugged.run("c");
                }
            }
            let mut client = server.client();
            wait_until("all have left", || info(&mut client, "connected_clients") == 1);
            let now = server.resident_bytes();
            assert!(round < 2 || now < last + (8 << 20), "memory grows: {last} to {now} bytes");
            last = now;
        }
    });
}

#[test]
fn valkey_cli_leads_a_session() {
    let Some(cli) = peer("valkey-cli") else { return skip("there is no valkey-cli") };
    let server = Setup::of(Kind::Ringkey).cores(2).start();
    let script = server.dir().join("debugged.lua");
    std::fs::write(&script, "local x = redis.call('incr', KEYS[1])\nreturn x + 40\n").unwrap();
    let mut command = Command::new(cli);
    command.args(["-p", &server.port().to_string(), "--ldb", "--eval"]).arg(&script).arg("counter");
    let printed = programs::run(command, b"n\np x\nc\n", Duration::from_secs(30)).unwrap().or_fail("valkey-cli --ldb");
    for what in ["Stopped at 1", "Stopped at 2", "<value> 1", "(integer) 41", "dataset changes rolled back"] {
        assert!(printed.contains(what), "{what:?} is missing: {printed}");
    }
    assert!(server.client().run("GET counter").is_null());
}
