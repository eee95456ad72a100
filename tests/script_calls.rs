//! What scripts call that no shard can answer: commands of the process, with the help of all cores; and how what fails in scripts is
//! counted.
//!
//! `RINGKEY_TARGET=reference` shows that the tests themselves are right.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::encoded;
use ringkey_tests::hearing::clients_on_all_cores;
use ringkey_tests::running::{info, on_one_and_four_cores, wait_until};
use ringkey_tests::server::{Kind, Setup, program, skip};
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Server};
use std::time::Duration;

const CORES: usize = 4;

fn eval(client: &mut Client, source: &str, keys: &[&str]) -> String {
    let count = keys.len().to_string();
    let words: Vec<&str> = ["EVAL", source, &count].into_iter().chain(keys.iter().copied()).collect();
    client.command(&words).lines().join(" ")
}

#[test]
fn scripts_ask_the_process() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut clients = clients_on_all_cores(server, CORES, 2);
        let mut askers = clients.split_off(CORES);
        for client in &mut clients {
            client.listen("SUBSCRIBE a b");
            client.listen("PSUBSCRIBE a*");
        }
        for (asker, core) in askers.iter_mut().zip(0..) {
            let key = key_on_core("k", core % CORES, CORES, 0);
            let mut answer = |source: &str| eval(asker, source, &[&key]);
            assert_eq!(answer("return redis.call('pubsub', 'numsub', 'a')[2]"), ":4");
            assert_eq!(answer("return #redis.call('pubsub', 'channels')"), ":2");
            assert_eq!(answer("return redis.call('pubsub', 'numpat')"), ":1");
            assert_eq!(
                answer("return {redis.call('publish', 'a', 'x'), redis.call('publish', 'b', 'x')}"),
                "*2   :8   :4"
            );
            assert_eq!(
                answer("return string.match(redis.call('info', 'clients'), 'connected_clients:(%d+)')"),
                "\"8\""
            );
            assert_eq!(answer("return redis.call('cluster', 'keyslot', 'k')"), ":7629");
            assert_eq!(
                answer("return redis.call('cluster', 'info')"),
                "-ERR This instance has cluster support disabled script: on @user_script:1."
            );
            assert_eq!(answer("return redis.call('slowlog', 'reset')"), "+OK");
            assert_eq!(
                answer("return redis.call('slowlog', 'get', 'x')"),
                "-ERR count should be greater than or equal to -1 script: on @user_script:1."
            );
            assert_eq!(
                answer("return redis.pcall('pubsub', 'nosuch').err"),
                "\"ERR unknown subcommand 'nosuch'. Try PUBSUB HELP.\""
            );
            assert_eq!(answer("return #redis.call('object', 'help') > 3"), ":1");
            // What it has written is there when it goes on, whatever it has called meanwhile; and so are its keys and arguments.
            let source = "redis.call('set', KEYS[1], 'mine') redis.call('info') return redis.call('get', KEYS[1])";
            assert_eq!(answer(source), "\"mine\"");
            // Undeclared keys on all cores.
            let source = "for i = 1, 40 do redis.call('set', 'u' .. i, i) end
              local n = #redis.call('command', 'list') > 100 and redis.call('exists', 'u1', 'u2', 'u40')
              return {n, redis.call('dbsize') > 0}";
            assert_eq!(answer(source), "*2   :3   :1");
        }
        assert_eq!(askers[0].run("PUBSUB NUMSUB a").elements()[1].integer(), 4);
    });
}

#[test]
fn functions_and_pipelines_ask_the_process() {
    on_one_and_four_cores(&Setup::new(), |server| {
        let mut client = server.client();
        let library = "#!lua name=asking\nserver.register_function('numpat', function() return server.call('pubsub', 'numpat') end)";
        client.command(&["FUNCTION", "LOAD", library]);
        let mut listener = server.client();
        listener.listen("PSUBSCRIBE x*");
        assert_eq!(client.run("FCALL numpat 0").integer(), 1);
        // Many at once, between plain calls, with keys on all cores.
        let script =
            "redis.call('incr', KEYS[1]) return redis.call('pubsub', 'numpat') + redis.call('publish', 'xy', '1')";
        let mut sent = Vec::new();
        for number in 0..60 {
            let key = key_on_core("n", number % CORES, CORES, 0);
            sent.extend(encoded(&["EVAL", script, "1", &key]));
            sent.extend(encoded(&["GET", &key]));
        }
        client.send(&sent).unwrap();
        for number in 0..60 {
            assert_eq!(client.read_reply().unwrap().integer(), 2);
            assert_eq!(client.read_reply().unwrap().text(), (number / CORES + 1).to_string());
        }
        for _ in 0..60 {
            assert_eq!(listener.read_message().text, "1");
        }
        // Who does not look at how many clients hear of it need not wait for that.
        let script =
            "redis.call('set', KEYS[1], 'v') redis.call('publish', 'xy', '2') return redis.call('get', KEYS[1])";
        for number in 0..20 {
            assert_eq!(eval(&mut client, script, &[&key_on_core("p", number % CORES, CORES, 0)]), "\"v\"");
            assert_eq!(listener.read_message().text, "2");
        }
    });
}

/// Scripts that ask, of several clients at once, some of which vanish; everybody else goes on.
#[test]
fn who_asks_disturbs_nobody() {
    on_one_and_four_cores(&Setup::of(Kind::Ringkey), |server| {
        std::thread::scope(|scope| {
            for core in 0..CORES {
                scope.spawn(move || {
                    let key = key_on_core("k", core, CORES, 0);
                    for round in 0..50 {
                        let mut client = server.client();
                        let source =
                            "for i = 1, 5 do redis.call('info', 'stats') redis.call('incr', KEYS[1]) end return 1";
                        if round % 5 == 4 {
                            client.send(&encoded(&["EVAL", source, "1", &key])).unwrap();
                        } else {
                            assert_eq!(eval(&mut client, source, &[&key]), ":1");
                        }
                    }
                });
            }
            let mut plain = server.client();
            for number in 0..500 {
                let key = key_on_core("plain", number % CORES, CORES, 0);
                assert_eq!(plain.command(&["SET", &key, "v"]).text(), "OK");
            }
        });
        let mut client = server.client();
        wait_until("all scripts have ended", || info(&mut client, "connected_clients") == 1);
        for core in 0..CORES {
            // All of a script, or nothing of it.
            let count: u64 = client.command(&["GET", &key_on_core("k", core, CORES, 0)]).text().parse().unwrap();
            assert!(count.is_multiple_of(5) && count >= 200, "{count}");
        }
        // In a transaction nothing is interrupted, so what would have to be asked for is refused.
        for command in ["MULTI", "SET k 1"] {
            client.run(command);
        }
        client.command(&["EVAL", "return redis.call('info')", "0"]);
        let replies = client.run("EXEC");
        assert_eq!(replies.elements()[0].text(), "OK");
        let refused = replies.elements()[1].error().unwrap();
        assert!(refused.contains("not allowed from script"), "{refused}");
        assert!(client.is_quiet_for(Duration::from_millis(20)).unwrap());
    });
}

/// A script that takes long and touches keys of all cores is interrupted in its midst; what it did before is not forgotten.
#[test]
fn who_waits_hears_of_slow_scripts() {
    let setup = Setup::of(Kind::Ringkey).option("notify-keyspace-events", "KEA");
    on_one_and_four_cores(&setup, |server| {
        let keys: Vec<String> = (0..CORES).map(|core| key_on_core("list", core, CORES, 0)).collect();
        let mut waiting: Vec<Client> = keys.iter().map(|_| server.client()).collect();
        for (client, key) in waiting.iter_mut().zip(&keys) {
            client.send(&encoded(&["BLPOP", key, "0"])).unwrap();
        }
        let mut client = server.client();
        wait_until("all wait", || info(&mut client, "blocked_clients") == CORES as u64);
        let mut listener = server.client();
        listener.listen("PSUBSCRIBE __keyspace*");
        // Between the keys it is interrupted, because it asks the process and because it takes long.
        let source = "for i, key in ipairs(ARGV) do
          redis.call('rpush', key, i)
          if i % 2 == 0 then redis.call('info', 'server') end
          local x = 0
          for j = 1, 1000000 do x = x + j end
        end
        return string.match(redis.call('info', 'keyspace'), 'db0:keys=(%d+)') or 'none'";
        let mut words = vec!["EVAL", source, "0"];
        words.extend(keys.iter().map(String::as_str));
        assert_eq!(client.command(&words).error(), None);
        for (number, client) in waiting.iter_mut().enumerate() {
            assert_eq!(client.read_reply().unwrap().elements()[1].text(), (number + 1).to_string());
        }
        let pushed = (0..3 * CORES).map(|_| listener.read_message().text).filter(|text| text == "rpush").count();
        assert_eq!(pushed, CORES);
    });
}

/// How errors and calls are counted after a script was run once.
fn counts(server: &Server, source: &str) -> Vec<String> {
    let mut client = server.client();
    client.run("SET s text");
    client.run("CONFIG RESETSTAT");
    client.command(&["EVAL", source, "0"]);
    let told = client.run("INFO errorstats commandstats stats").text();
    let is_about = |line: &&str| {
        line.starts_with("errorstat_")
            || line.starts_with("total_error_replies")
            || line.starts_with("cmdstat_") && !line.starts_with("cmdstat_config")
    };
    let counts_only = |line: &str| match line.strip_prefix("cmdstat_").and_then(|rest| rest.split_once(':')) {
        None => line.to_owned(),
        Some((name, fields)) => {
            let counts = fields.split(',').filter(|field| field.contains("calls"));
            format!("{name} {}", counts.collect::<Vec<_>>().join(" "))
        }
    };
    let mut lines: Vec<String> = told.lines().filter(is_about).map(counts_only).collect();
    lines.sort();
    lines
}

#[test]
fn errors_in_scripts_are_counted_as_by_the_reference() {
    if program(Kind::Reference).is_none() {
        return skip("there is no valkey-server to compare with");
    }
    let reference = Setup::of(Kind::Reference).start();
    on_one_and_four_cores(&Setup::of(Kind::Ringkey), |server| {
        for source in [
            "return redis.error_reply('MY_ERR x')",
            "return redis.error_reply('x')",
            "redis.call('set','s','1') return redis.call('lpush','s','a')",
            "return redis.pcall('lpush','s','a')",
            "redis.pcall('lpush','s','a') return 1",
            "redis.pcall('lpush','s','a') redis.call('lpush','s','a')",
            "error('boom')",
            "error({err='MY_ERR x'})",
            "return {err='FOO bar'}",
            "return {err='bar'}",
            "redis.call('set','s','1') return {err='FOO bar'}",
            "redis.call('set','s','1') error('x')",
            "redis.call('nosuch')",
            "return redis.pcall('nosuch')",
            "x y",
            "local t = {} return t.a.b",
            "redis.call('get')",
            "return {1, {err='A b'}, {err='B c'}}",
            "return redis.pcall('eval','return 1','0')",
            "return {err='A b', ignore_error_stats_update=true}",
            "return {err='-A b'}",
            "return redis.error_reply('-A b')",
        ] {
            assert_eq!(counts(server, source), counts(&reference, source), "{source}");
        }
    });
}
