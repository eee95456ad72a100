//! What tools read: INFO and MEMORY STATS field by field beside those of a real Valkey, and an exporter of metrics that
//! must find what it looks for.
//!
//! What is absent (Valkey's programs, the exporter: `scripts/peers` brings both) is skipped, except with `CI=true`.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::reply::Reply;
use ringkey_tests::running::{self, wait_until};
use ringkey_tests::server::{Kind, Setup, free_port, peer, skip};
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Server};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Sections that only we have.
const OWN_SECTIONS: &[&str] = &["Cores", "Ringkey", "Commandpaths", "Scripts"];

/// Sections of one line a command, which differ with what the tools that start a server call.
const BY_COMMAND: &[&str] = &["Commandstats", "Latencystats"];

/// Fields that Valkey has and we have not, or not yet.
const MISSING: &[(&str, &str)] = &[("module", "Lua is a module there")];

/// Fields of another class than Valkey's.
const OTHER_CLASS: &[(&str, &str)] =
    &[("redis_build_id", "there is no such number of our builds"), ("config_file", "a path or nothing")];

/// Fields with the same value on two servers that have just started.
const SAME: &[&str] = &[
    "redis_version",
    "server_name",
    "valkey_version",
    "valkey_release_stage",
    "server_mode",
    "os",
    "arch_bits",
    "process_supervised",
    "hz",
    "configured_hz",
    "clients_hz",
    "maxclients",
    "paused_reason",
    "paused_actions",
    "total_system_memory",
    "total_system_memory_human",
    "maxmemory",
    "maxmemory_human",
    "maxmemory_policy",
    "rdb_last_bgsave_status",
    "rdb_last_bgsave_time_sec",
    "aof_last_rewrite_time_sec",
    "aof_last_write_status",
    "role",
    "connected_slaves",
    "master_failover_state",
    "master_replid2",
    "master_repl_offset",
    "second_repl_offset",
    "repl_backlog_size",
    "cluster_enabled",
    "tls_server_cert_serial",
];

type Fields = Vec<(String, String)>;

/// Title and fields of each section.
fn sections(text: &str) -> Vec<(String, Fields)> {
    assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
    let mut found: Vec<(String, Fields)> = Vec::new();
    let mut was_blank = true;
    for line in text.split("\r\n").take(text.matches("\r\n").count()) {
        if let Some(title) = line.strip_prefix("# ") {
            assert!(was_blank, "a blank line stands before each section but the first: {text}");
            found.push((title.to_owned(), Vec::new()));
        } else if !line.is_empty() {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
            found.last_mut().unwrap().1.push((name.to_owned(), value.to_owned()));
        }
        was_blank = line.is_empty();
    }
    found
}

fn info(server: &Server, words: &str) -> Vec<(String, Fields)> {
    sections(&server.client().run(&format!("INFO {words}")).text())
}

/// What kind of value a field has: what a tool must be able to read.
fn class(value: &str) -> String {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(value.strip_prefix('-').unwrap_or(value)) {
        return "integer".to_owned();
    }
    let (number, unit) = match value.char_indices().last() {
        Some((at, unit @ ('%' | 'B' | 'K' | 'M' | 'G' | 'T'))) => (&value[..at], unit.to_string()),
        _ => (value, String::new()),
    };
    let unit = if unit.is_empty() || unit == "%" { unit } else { "size".to_owned() };
    match number.split_once('.') {
        Some((whole, part)) if digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(part) => {
            format!("decimal {} {unit}", if unit == "size" { 2 } else { part.len() })
        }
        None if digits(number) && unit == "size" => "decimal 2 size".to_owned(),
        _ if value.contains('=') => {
            let names = value.split(',').map(|pair| pair.split('=').next().unwrap_or(""));
            format!("pairs {}", names.collect::<Vec<_>>().join(" "))
        }
        _ => "text".to_owned(),
    }
}

fn pair(cores: usize, options: &[(&str, &str)]) -> Option<(Server, Server)> {
    if peer("valkey-server").is_none() {
        skip("no valkey-server to compare with");
        return None;
    }
    let start = |kind| {
        let setup = Setup::of(kind).cores(cores).option("enable-debug-command", "yes");
        options.iter().fold(setup, |setup, (name, value)| setup.option(name, value)).start()
    };
    Some((start(Kind::Ringkey), start(Kind::Reference)))
}

fn compare_info(ours: &Server, reference: &Server, words: &str) {
    let is_compared = |title: &String| !OWN_SECTIONS.contains(&title.as_str()) && !BY_COMMAND.contains(&title.as_str());
    let (ours, theirs) = (info(ours, words), info(reference, words));
    let titles = |all: &[(String, Fields)]| -> Vec<String> {
        all.iter().map(|(title, _)| title.clone()).filter(is_compared).collect()
    };
    assert_eq!(titles(&ours), titles(&theirs), "sections of INFO {words}");
    for (title, theirs) in theirs.iter().filter(|(title, _)| is_compared(title)) {
        let (_, ours) = ours.iter().find(|(own, _)| own == title).unwrap();
        let names = |fields: &Fields| -> Vec<String> {
            let missing = |name: &String| MISSING.iter().any(|(missing, _)| missing == name);
            fields.iter().map(|(name, _)| name.clone()).filter(|name| !missing(name)).collect()
        };
        assert_eq!(names(ours), names(theirs), "fields of {title}, INFO {words}");
        for (name, value) in ours {
            let (_, other) = theirs.iter().find(|(other, _)| other == name).unwrap();
            if !OTHER_CLASS.iter().any(|(excepted, _)| excepted == name) {
                assert_eq!(class(value), class(other), "{name}: {value:?} here, {other:?} there");
            }
            if SAME.contains(&name.as_str()) {
                assert_eq!(value, other, "{name}");
            }
        }
    }
}

#[test]
fn info_has_the_fields_of_valkey() {
    for cores in [1, 4] {
        let Some((ours, reference)) = pair(cores, &[]) else { return };
        for server in [&ours, &reference] {
            let mut client = server.client();
            client.run("SET a 1");
            client.run("SET b 2 EX 1000");
            client.run("SELECT 3");
            client.run("SET c 3");
        }
        let words = [
            "",
            "default",
            "all",
            "everything",
            "Clients keyspace clients",
            "cpu default",
            "ERRORSTATS none tls",
            "debug",
            "none",
            "module_list scriptingengines cluster_info",
        ];
        words.iter().for_each(|words| compare_info(&ours, &reference, words));
    }
}

#[test]
fn info_of_a_node_of_a_cluster() {
    for cores in [1, 4] {
        let Some((ours, reference)) = pair(cores, &[("cluster-enabled", "yes")]) else { return };
        for words in ["", "everything", "cluster cluster_info"] {
            compare_info(&ours, &reference, words);
        }
    }
    // Each core is a node to clients: as many are known.
    let server = Setup::of(Kind::Ringkey).cores(4).core_ports().start();
    for mut client in [server.client(), server.core_client(2)] {
        let found: BTreeMap<String, String> =
            sections(&client.run("INFO everything").text()).into_iter().flat_map(|(_, fields)| fields).collect();
        assert_eq!((found["cluster_known_nodes"].as_str(), found["cores"].as_str()), ("4", "4"));
        assert!(found["core3"].contains(&format!("port={}", server.core_port(3))), "{}", found["core3"]);
    }
}

#[test]
fn counters_count_what_valkey_counts() {
    const SCRIPT: &[&str] = &[
        "CONFIG RESETSTAT",
        "SET a 1",
        "GET a",
        "GET missing",
        "INCR a b",
        "MGET a missing a",
        "LCS a b c",
        "SET a 1 EX",
        "NOSUCH",
        "GETEX a EX 100",
        "AUTH x y z",
        "HELLO 9",
        "SELECT 99",
        "EXISTS a missing",
        "APPEND a hello",
        "INCR a",
        "TTL a",
        "TOUCH a missing",
        "SET short v PX 1",
        "SETRANGE a -1 x",
        "OBJECT FREQ a",
        "DEBUG ERROR OWN",
    ];
    const COUNTERS: &[&str] = &[
        "total_commands_processed",
        "keyspace_hits",
        "keyspace_misses",
        "total_error_replies",
        "unexpected_error_replies",
        "expired_keys",
        "evicted_keys",
        "rejected_connections",
        "acl_access_denied_auth",
        "rdb_changes_since_last_save",
    ];
    for cores in [1, 4] {
        let Some((ours, reference)) = pair(cores, &[]) else { return };
        let counted = |server: &Server| {
            let mut client = server.client();
            SCRIPT.iter().for_each(|line| {
                client.run(line);
            });
            std::thread::sleep(Duration::from_millis(20));
            client.run("GET short");
            let all = sections(&client.run("INFO").text());
            let fields: BTreeMap<String, String> = all.iter().flat_map(|(_, fields)| fields.clone()).collect();
            let errors: Fields = all.into_iter().find(|(title, _)| title == "Errorstats").unwrap().1;
            let counters = COUNTERS.iter().map(|name| (*name, fields[*name].clone())).collect::<Vec<_>>();
            (counters, errors)
        };
        assert_eq!(counted(&ours), counted(&reference), "{cores} cores");
    }
}

/// Names and classes of a reply of names and values.
fn shape(reply: &Reply) -> Vec<String> {
    let pairs: Vec<(&Reply, &Reply)> = match reply {
        Reply::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
        other => other.elements().chunks(2).map(|pair| (&pair[0], &pair[1])).collect(),
    };
    let value = |reply: &Reply| match reply {
        Reply::Integer(_) => "integer".to_owned(),
        Reply::Double(text) => format!("double {}", String::from_utf8_lossy(text).parse::<f64>().is_ok()),
        Reply::Bulk(text) => format!("text {}", String::from_utf8_lossy(text).parse::<f64>().is_ok()),
        nested => shape(nested).join(";"),
    };
    pairs.into_iter().map(|(name, reply)| format!("{}: {}", name.text(), value(reply))).collect()
}

#[test]
fn memory_stats_has_the_fields_of_valkey() {
    for cores in [1, 4] {
        let Some((ours, reference)) = pair(cores, &[]) else { return };
        for protocol in ["2", "3"] {
            let shapes = [&ours, &reference].map(|server| {
                let mut client = server.client();
                client.run(&format!("HELLO {protocol}"));
                client.run("SET a 1 EX 1000");
                client.run("SELECT 2");
                client.run("SET b 1");
                shape(&client.run("MEMORY STATS"))
            });
            assert_eq!(shapes[0], shapes[1], "{cores} cores, RESP{protocol}");
        }
    }
}

/// The number of a name in the reply of MEMORY STATS.
fn stat(client: &mut Client, name: &str) -> i64 {
    let reply = client.run("MEMORY STATS");
    let pair = reply.elements().chunks(2).find(|pair| pair[0].text() == name);
    pair.unwrap_or_else(|| panic!("no {name}"))[1].integer()
}

#[test]
fn memory_figures_follow_the_data() {
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).option("enable-debug-command", "yes").start();
        let mut client = server.client();
        let (used, tables) = (stat(&mut client, "total.allocated"), stat(&mut client, "overhead.db.hashtable.lut"));
        assert_eq!((tables, stat(&mut client, "keys.count")), (0, 0));
        client.run("DEBUG POPULATE 20000 key 1000");
        let filled = stat(&mut client, "total.allocated");
        assert!(filled - used > 20_000 * 1000, "{used} {filled}");
        assert_eq!(stat(&mut client, "keys.count"), 20_000);
        // Eight bytes a key at least, and not many more.
        let tables = stat(&mut client, "overhead.db.hashtable.lut");
        assert!((20_000 * 8..20_000 * 8 * 2 + (64 << 10)).contains(&tables), "{tables}");
        let each = stat(&mut client, "keys.bytes-per-key");
        let usage = client.run("MEMORY USAGE key:7").integer();
        assert!((1000..1300).contains(&usage) && (each - usage).abs() < 200, "{each} {usage}");
        assert!(stat(&mut client, "peak.allocated") >= filled);
        client.run("FLUSHALL SYNC");
        client.run("DEBUG POPULATE 3000 other 1000");
        let peak = stat(&mut client, "peak.allocated");
        assert!(peak >= filled, "a peak stays: {peak} {filled}");
        let report = client.run("MEMORY DOCTOR").text();
        assert!(report.contains("High peak"), "{report}");
        assert_eq!(client.run("MEMORY PURGE"), Reply::Simple(b"OK".to_vec()));
        assert!(client.run("MEMORY MALLOC-STATS").text().contains("jemalloc statistics"));
    }
}

/// What a command over several cores replaces was at a place that nobody tends, so somebody has to see to it.
#[test]
fn what_commands_over_cores_replace_does_not_pile_up() {
    let server = Setup::new().cores(4).start();
    let mut client = server.client();
    let key = |core: usize| key_on_core("set", core, 4, 0);
    let (one, other, union, copy) = (key(0), key(1), key(2), key(3));
    let members: Vec<String> = (0..60_000).map(|number| format!("member:{number:020}")).collect();
    for (set, part) in [&one, &other].into_iter().zip(members.chunks(members.len() / 2)) {
        for some in part.chunks(5_000) {
            let words: Vec<&str> = ["SADD", set].into_iter().chain(some.iter().map(String::as_str)).collect();
            assert_eq!(client.command(&words).integer(), 5_000);
        }
    }
    let store = format!("SUNIONSTORE {union} {one} {other}");
    let before = running::info(&mut client, "used_memory");
    assert_eq!(client.run(&store).integer(), 60_000);
    let value = running::info(&mut client, "used_memory") - before;
    assert!(value > 60_000 * 27, "{value}");
    assert_eq!(client.run(&format!("COPY {union} {copy}")).integer(), 1);
    let full = running::info(&mut client, "used_memory");
    for round in 0..15 {
        assert_eq!(client.run(&store).integer(), 60_000);
        match round % 5 {
            0 => assert_eq!(client.run(&format!("COPY {union} {copy} REPLACE")).integer(), 1),
            1 => {
                // What is renamed takes the place of another one.
                assert_eq!(client.run(&format!("RENAME {union} {copy}")).text(), "OK");
                assert_eq!(client.run(&format!("COPY {copy} {union}")).integer(), 1);
            }
            _ => {}
        }
    }
    let used = |client: &mut Client| running::info(client, "used_memory");
    wait_until("what was replaced is freed", || used(&mut client) < full + value / 2);
    wait_until("nothing is left to be freed", || running::info(&mut client, "lazyfree_pending_objects") == 0);
}

#[test]
fn flushed_in_the_background_is_counted() {
    let server = Setup::new().cores(2).option("enable-debug-command", "yes").start();
    let mut client = server.client();
    client.run("DEBUG POPULATE 100000");
    client.run("FLUSHALL ASYNC");
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let fields: BTreeMap<String, String> = info(&server, "memory").remove(0).1.into_iter().collect();
        let number = |name: &str| fields[name].parse::<u64>().unwrap();
        let (pending, freed) = (number("lazyfree_pending_objects"), number("lazyfreed_objects"));
        assert_eq!(pending + freed, 100_000);
        if pending == 0 {
            break;
        }
        assert!(Instant::now() < end, "{pending} are still to be freed");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program that runs until the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What an HTTP server answers, without its head.
fn fetch(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

#[test]
fn an_exporter_finds_what_it_looks_for() {
    let Some(exporter) = peer("prometheus-redis-exporter") else {
        return skip("no prometheus-redis-exporter");
    };
    for cores in [1, 4] {
        let server = Setup::new().cores(cores).start();
        let mut client = server.client();
        (0..300).for_each(|number| {
            client.command(&["SET", &format!("key:{number}"), "value"]);
        });
        client.run("SET timed v EX 1000");
        client.run("GET key:1");
        client.run("GET missing");
        let port = free_port();
        let log_path = server.dir().join("exporter.log");
        let log = File::create(&log_path).unwrap();
        let mut command = Command::new(&exporter);
        command
            .args(["-redis.addr", &format!("redis://127.0.0.1:{}", server.port())])
            .args(["-web.listen-address", &format!("127.0.0.1:{port}")])
            .args(["-export-client-list", "-include-system-metrics", "-include-config-metrics"])
            .args(["-check-keys", "db0=key:1*", "-count-keys", "db0=key:*"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let _running = Running(command.spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(30);
        let metrics = loop {
            match fetch(port, "/metrics") {
                Ok(text) if !text.is_empty() => break text,
                other => assert!(Instant::now() < end, "no metrics: {other:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let metric = |name: &str| -> f64 {
            let mut lines = metrics.lines().filter(|line| !line.starts_with('#'));
            let line = lines.find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
            let line = line.unwrap_or_else(|| panic!("no {name} in:\n{metrics}"));
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert_eq!((metric("redis_up"), metric("redis_exporter_last_scrape_error")), (1.0, 0.0));
        assert!(metric("redis_connected_clients") >= 2.0);
        assert!(metric("redis_commands_processed_total") > 300.0);
        assert!(metric("redis_memory_used_bytes") > 1e5);
        assert!(metric("redis_total_system_memory_bytes") > 1e8);
        assert_eq!(metric("redis_db_keys{db=\"db0\"}"), 301.0);
        assert_eq!(metric("redis_db_keys_expiring{db=\"db0\"}"), 1.0);
        assert_eq!(metric("redis_keyspace_hits_total"), 1.0);
        assert_eq!(metric("redis_keys_count"), 300.0);
        assert!(metrics.contains("redis_config_key_value"), "every setting is shown");
        let said = std::fs::read_to_string(&log_path).unwrap();
        let complaints: Vec<&str> =
            said.lines().filter(|line| line.contains("level=err") || line.contains("level=warn")).collect();
        assert!(complaints.is_empty(), "{said}");
    }
}

#[test]
fn the_comparison_finds_what_it_is_for() {
    let one = sections("# A\r\nx:1\r\n\r\n# B\r\n");
    assert_eq!(one, [("A".to_owned(), vec![("x".to_owned(), "1".to_owned())]), ("B".to_owned(), Vec::new())]);
    for (value, expected) in [
        ("-1", "integer"),
        ("1.00", "decimal 2 "),
        ("0.000000", "decimal 6 "),
        ("98.35%", "decimal 2 %"),
        ("0B", "decimal 2 size"),
        ("965.78K", "decimal 2 size"),
        ("keys=1,expires=0", "pairs keys expires"),
        ("", "text"),
        ("none", "text"),
    ] {
        assert_eq!(class(value), expected, "{value}");
    }
}
