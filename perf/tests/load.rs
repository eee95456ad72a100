//! The load generator against a small server that the test knows everything about.
#![allow(clippy::unwrap_used)]

use ringkey_perf::load::{self, Plan, Target};
use ringkey_perf::report::Report;
use ringkey_perf::workload::{Distribution, Keys, ValueSize, WeightedCommand, WeightedSize, Workload, builtin};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// What the server saw and how it behaves.
#[derive(Default)]
struct Server {
    requests: AtomicU64,
    keys: Mutex<BTreeSet<String>>,
    names: Mutex<BTreeSet<String>>,
    /// Nobody is answered for a while: from how long after the first request, and for how long.
    stall: Option<(Duration, Duration)>,
    first_request: OnceLock<Instant>,
    /// Ends connections after so many requests.
    close_after: Option<u64>,
    /// The stall has hit somebody.
    stalled: AtomicBool,
}

fn serve(server: Server) -> (SocketAddr, Arc<Server>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(server);
    let shared = Arc::clone(&server);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let server = Arc::clone(&shared);
            thread::spawn(move || client(&server, stream.unwrap()));
        }
    });
    (address, server)
}

/// Answers until the client leaves.
fn client(server: &Server, stream: TcpStream) {
    // Each reply is a write of its own, which should not wait for the client to acknowledge the one before.
    stream.set_nodelay(true).unwrap();
    let mut out = stream.try_clone().unwrap();
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    while let Some(words) = request(&mut reader) {
        if let Some((after, length)) = server.stall {
            let from = *server.first_request.get_or_init(Instant::now) + after;
            let now = Instant::now();
            if (from..from + length).contains(&now) {
                server.stalled.store(true, Ordering::Relaxed);
                thread::sleep(from + length - now);
            }
        }
        let seen = server.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if server.close_after.is_some_and(|limit| seen > limit) {
            return;
        }
        server.names.lock().unwrap().insert(words[0].clone());
        if let Some(key) = words.get(1) {
            server.keys.lock().unwrap().insert(key.clone());
        }
        let reply = match words[0].as_str() {
            "HELLO" => "%1\r\n+proto\r\n:3\r\n".to_owned(),
            "AUTH" if words.last().unwrap() == "secret" => "+OK\r\n".to_owned(),
            "AUTH" => "-WRONGPASS no\r\n".to_owned(),
            "GET" => format!(">1\r\n+noise\r\n$5000\r\n{}\r\n", "\n".repeat(5000)),
            "MGET" => format!("*{}\r\n{}", words.len() - 1, "$-1\r\n".repeat(words.len() - 1)),
            "INCR" => "-ERR value is not an integer or out of range\r\n".to_owned(),
            _ => "+OK\r\n".to_owned(),
        };
        if out.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

fn request(reader: &mut impl BufRead) -> Option<Vec<String>> {
    fn line(reader: &mut impl BufRead) -> Option<usize> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|len| *len > 0)?;
        line[1..].trim_end().parse().ok()
    }
    let count = line(reader)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; line(reader)? + 2];
        reader.read_exact(&mut word).ok()?;
        assert!(word.ends_with(b"\r\n"), "a request that is cut wrongly");
        word.truncate(word.len() - 2);
        words.push(String::from_utf8(word).unwrap());
    }
    Some(words)
}

fn run(address: SocketAddr, workload: &Workload, plan: &Plan) -> Report {
    load::run(&Target::new(address), workload, plan, &mut |_| {}).unwrap()
}

fn with_keys(name: &str, count: u64, distribution: Distribution) -> Workload {
    Workload { keys: Keys { count, distribution, ..Keys::default() }, ..builtin(name).unwrap() }
}

#[test]
fn every_request_is_sent_and_counted() {
    for (threads, connections, pipeline) in [(1, 1, 1), (1, 3, 7), (2, 5, 16), (3, 4, 1)] {
        let (address, server) = serve(Server::default());
        let plan = Plan { threads, connections, pipeline, requests: Some(3001), ..Plan::default() };
        let report = run(address, &with_keys("get", 50, Distribution::Uniform), &plan);
        assert_eq!((report.requests, report.errors, report.unanswered), (3001, 0, 0));
        assert_eq!(report.latency.len(), 3001);
        assert_eq!(report.series.iter().map(|step| step.requests).sum::<u64>(), 3001);
        assert_eq!(server.requests.load(Ordering::Relaxed), 3001);
        assert_eq!(server.keys.lock().unwrap().len(), 50);
        assert!(report.bytes_received > 3001 * 5000);
        assert_eq!(report.bytes_sent, 3001 * 36);
        assert!(report.throughput() > 0.0 && !report.elapsed.is_zero());
    }
}

#[test]
fn mixes_large_values_and_order_arrive_whole() {
    let (address, server) = serve(Server::default());
    let sizes = [(3, 50), (5000, 30), (300_000, 5)].map(|(size, weight)| WeightedSize { size, weight });
    let mix = Workload {
        commands: ["SET {key} {value}", "MGET {key} {key}", "INCR counter:{number}"].map(WeightedCommand::new).to_vec(),
        value: ValueSize::Choice(sizes.to_vec()),
        ..with_keys("get", 10, Distribution::Zipf { exponent: 1.0 })
    };
    let plan = Plan { threads: 2, connections: 4, pipeline: 5, requests: Some(1500), ..Plan::default() };
    let report = run(address, &mix, &plan);
    assert_eq!(report.requests, 1500);
    assert!(report.first_error.as_deref().unwrap().starts_with("ERR value is not"));
    assert!((300..700).contains(&report.errors) && (600..1400).contains(&report.nulls), "{report:?}");
    assert_eq!(server.names.lock().unwrap().len(), 3);

    let (address, server) = serve(Server::default());
    let large = Workload { value: ValueSize::Fixed(100_000), ..with_keys("set", 200, Distribution::Sequential) };
    run(address, &large, &Plan { threads: 2, connections: 8, pipeline: 3, requests: Some(200), ..Plan::default() });
    assert_eq!(server.keys.lock().unwrap().len(), 200);
}

#[test]
fn a_request_of_several_commands_is_one_with_one_latency() {
    for (connections, pipeline) in [(1, 1), (4, 1), (3, 7)] {
        let (address, server) = serve(Server::default());
        let then = ["GET {again}", "MGET {again} {again}", "EXEC"].map(str::to_owned).to_vec();
        let commands = vec![WeightedCommand { then, ..WeightedCommand::new("MULTI {number}") }];
        let workload = Workload { commands, ..with_keys("get", 50, Distribution::Sequential) };
        let plan = Plan { connections, pipeline, requests: Some(500), first_key: 7, ..Plan::default() };
        let report = run(address, &workload, &plan);
        assert_eq!((report.requests, report.nulls, report.unanswered), (500, 1000, 0));
        assert_eq!(report.latency.len(), 500);
        assert_eq!(server.requests.load(Ordering::Relaxed), 2000);
        // A number was drawn once for each request.
        assert_eq!(report.next_key, 507);
    }
}

#[test]
fn greetings_are_exchanged_first() {
    let (address, _) = serve(Server::default());
    let plan = Plan { connections: 2, requests: Some(10), ..Plan::default() };
    let workload = builtin("set").unwrap();
    let resp3 = Target { resp3: true, ..Target::new(address) };
    assert_eq!(load::run(&resp3, &workload, &plan, &mut |_| {}).unwrap().requests, 10);
    let with = |password: &str| Target { password: Some(password.into()), ..Target::new(address) };
    assert_eq!(load::run(&with("secret"), &workload, &plan, &mut |_| {}).unwrap().requests, 10);
    let refused = load::run(&with("wrong"), &workload, &plan, &mut |_| {}).unwrap_err().to_string();
    assert!(refused.contains("WRONGPASS") && !refused.contains(" wrong"), "{refused}");
}

#[test]
fn a_connection_that_ends_is_an_error() {
    let (address, _) = serve(Server { close_after: Some(100), ..Server::default() });
    let plan = Plan { threads: 2, connections: 4, ..Plan::default() };
    let error = load::run(&Target::new(address), &builtin("set").unwrap(), &plan, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("ended a connection"), "{error}");
}

#[test]
fn time_ends_a_run_and_the_warm_up_is_not_counted() {
    let (address, server) = serve(Server::default());
    let warm_up = Duration::from_millis(250);
    let plan = Plan { connections: 2, duration: Some(Duration::from_millis(350)), warm_up, ..Plan::default() };
    let mut steps = 0;
    let report = load::run(&Target::new(address), &builtin("set").unwrap(), &plan, &mut |progress| {
        steps += 1;
        assert!(progress.fraction <= 1.0);
    });
    let report = report.unwrap();
    assert!(report.requests > 0 && report.requests < server.requests.load(Ordering::Relaxed));
    assert!(report.elapsed >= Duration::from_millis(300) && steps >= 3, "{report:?}");
}

/// While the server stalls for 200 ms, a thousand requests a second become due. None may be missing from the
/// histogram, and all of them waited: the first for the whole stall, the last for a moment.
#[test]
fn an_open_loop_sees_all_of_a_stall() {
    // The gap begins where the client's thread has read what came before it, and on a busy machine that may be late. All
    // else holds in every run.
    let gaps: Vec<Duration> = (0..3).map(|_| gap_of_a_stall()).collect();
    assert!(gaps.iter().any(|gap| *gap >= Duration::from_millis(180)), "{gaps:?}");
}

/// Runs an open loop through a stall of 200 ms and gives the longest gap between replies that it saw.
fn gap_of_a_stall() -> Duration {
    const RATE: u64 = 1000;
    let stall = (Duration::from_millis(300), Duration::from_millis(200));
    let (address, server) = serve(Server { stall: Some(stall), ..Server::default() });
    let duration = Duration::from_millis(900);
    let plan = Plan {
        threads: 2,
        connections: 4,
        pipeline: 4,
        rate: Some(RATE as f64),
        duration: Some(duration),
        ..Plan::default()
    };
    let report = run(address, &builtin("set").unwrap(), &plan);
    assert!(server.stalled.load(Ordering::Relaxed));
    let due = RATE * duration.as_millis() as u64 / 1000;
    assert!((due - 2..=due + 2).contains(&report.requests), "{} of {due}", report.requests);
    assert_eq!((report.unanswered, report.latency.len()), (0, report.requests));
    // Each request that became due in the first half of the stall waited for at least the second half.
    let waited = |ms: u64| report.latency.count_between(ms * 1_000_000, u64::MAX);
    assert!(waited(100) >= 90, "{} waited for 100 ms", waited(100));
    assert!(waited(10) >= 180, "{} waited for 10 ms", waited(10));
    assert!(report.latency.max() >= 190_000_000);
    report.longest_stall
}

#[test]
fn an_open_loop_keeps_its_rate_and_its_count() {
    let (address, _) = serve(Server::default());
    let plan = Plan { connections: 10, rate: Some(20_000.0), requests: Some(2_000), pipeline: 4, ..Plan::default() };
    let report = run(address, &with_keys("mget10", 100, Distribution::Uniform), &plan);
    assert_eq!((report.requests, report.nulls), (2_000, 20_000));
    // 2,000 requests at 20,000 a second are not over sooner.
    assert!(report.elapsed >= Duration::from_millis(99), "{:?}", report.elapsed);
}
