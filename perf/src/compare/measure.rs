//! One run of one case on one server, and what is done to the server before: filling it and weighing the keys.

use super::figure::Figure;
use super::hand_over;
use super::listeners::{Listeners, Listening};
use super::outside;
use super::record::Raw;
use super::suite::{Case, ClientKind, Measure};
use crate::client::{Client, Reply};
use crate::error::PerfError;
use crate::load::{self, Plan, Target};
use crate::machine::stolen_seconds;
use crate::servers::{CpuClock, Programs, Server, on_cpus, raise_open_files};
use crate::workload::{Distribution, WeightedCommand, Workload};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Bytes of requests under way on a connection while a server is filled.
const FILL_BYTES: usize = 256 * 1024;

/// The part of a run that comes before it as a warm-up.
const WARM_UP_PART: u64 = 5;

/// Open files besides those of the connections that are counted.
pub const FILES_BESIDE: u64 = 1000;

/// What a run found.
pub type Figures = BTreeMap<Figure, f64>;

/// Sets all keys of the case once, in order, and returns what each costs. Or fills in what the case says.
pub fn fill(programs: &Programs, server: &Server, case: &Case) -> Result<Figures, PerfError> {
    if !case.refill {
        fill_in(server, case)?;
    }
    if !case.prefill {
        return Ok(Figures::new());
    }
    let count = case.workload.keys.count;
    let (used_before, resident_before) = server.settled_memory()?;
    if case.client == ClientKind::ValkeyBenchmark && server.setup().cluster {
        outside::fill_cluster(programs, server, case)?;
    } else {
        fill_ourselves(server, case)?;
    }
    let (used, resident) = server.settled_memory()?;
    let keys = key_count(server)?;
    if keys * 100 < count * 99 {
        return Err(PerfError::Other(format!("{}: {keys} of {count} keys are there after the filling", case.name)));
    }
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / keys.max(1) as f64;
    Ok(Figures::from([
        (Figure::UsedPerKey, each(used, used_before)),
        (Figure::ResidentPerKey, each(resident, resident_before)),
    ]))
}

fn fill_in(server: &Server, case: &Case) -> Result<(), PerfError> {
    if case.fill.is_empty() {
        return Ok(());
    }
    case.fill.iter().try_for_each(|step| step.run(server, case.workload.value.max()))?;
    server.settled_memory().map(|_| ())
}

fn fill_ourselves(server: &Server, case: &Case) -> Result<(), PerfError> {
    let mut workload = Workload { commands: vec![WeightedCommand::new("SET {key} {value}")], ..case.workload.clone() };
    workload.keys.distribution = Distribution::Sequential;
    let plan = Plan {
        connections: 8,
        pipeline: (FILL_BYTES / workload.value.max().max(1)).clamp(1, 100),
        requests: Some(workload.keys.count),
        ..Plan::default()
    };
    // Not as a cluster: nodes that go through their keys at different speeds would not end together.
    let report = load::run(&Target::new(server.address()), &workload, &plan, &mut |_| {})?;
    match report.first_error {
        Some(error) => Err(PerfError::Other(format!("filling for {}: {error}", case.name))),
        None => Ok(()),
    }
}

fn key_count(server: &Server) -> Result<u64, PerfError> {
    match server.client()?.command(&["DBSIZE"])? {
        Reply::Integer(count) => Ok(u64::try_from(count).unwrap_or(0)),
        other => Err(PerfError::Other(format!("DBSIZE gave {other:?}"))),
    }
}

fn target(server: &Server, case: &Case) -> Target {
    let (resp3, greeting) = (case.resp3, case.greeting.clone());
    Target { cluster: server.setup().cluster, resp3, greeting, ..Target::new(server.address()) }
}

/// Runs the case once, after a warm-up that is not measured.
pub fn run(programs: &Programs, server: &Server, case: &Case, round: usize) -> Result<(Figures, Raw), PerfError> {
    if case.refill {
        server.client()?.command(&["FLUSHALL", "SYNC"])?;
        fill_in(server, case)?;
    }
    match case.measure {
        Measure::Idle => idle(server, case),
        Measure::Connections => connections(server, case),
        Measure::HandOver => hand_over(server, case),
        Measure::Load => match case.client {
            ClientKind::Ringkey => with_ours(server, case, round),
            ClientKind::ValkeyBenchmark => with_theirs(programs, server, case),
        },
    }
}

/// What is read before and after a run.
struct Before {
    cpu: CpuClock,
    info: crate::servers::Info,
    stolen: f64,
}

impl Before {
    fn read(server: &Server) -> Result<Self, PerfError> {
        let info = server.info()?;
        Ok(Self { cpu: server.cpu()?, info, stolen: stolen_seconds() })
    }

    /// The raw counts of what happened since; the clock is read first, so that the reading of INFO is not in it.
    fn until_now(&self, server: &Server) -> Result<(Raw, crate::servers::Info), PerfError> {
        let spent = server.cpu()?.since(&self.cpu);
        let stolen = stolen_seconds() - self.stolen;
        let info = server.info()?;
        let raw = Raw {
            server_cpu_s: spent.ns as f64 / 1e9,
            threads_ended: spent.threads_ended,
            stolen_s: stolen,
            cores: info.cores().since(self.info.cores()),
            ..Raw::default()
        };
        Ok((raw, info))
    }
}

/// The workload with what this server says for `{dump:KEY}` and `{script:NAME}`; the scripts are loaded by that.
fn with_answers(server: &Server, case: &Case) -> Result<Workload, PerfError> {
    let mut workload = case.workload.clone();
    for question in load::questions(&workload)? {
        let reply = match question.split_once(':') {
            Some(("script", name)) => {
                let no_such = || PerfError::Other(format!("{}: no script is called {name}", case.name));
                let source = case.scripts.get(name).ok_or_else(no_such)?;
                server.client()?.command(&["SCRIPT", "LOAD", source])?
            }
            Some((_, key)) => server.client()?.command(&["DUMP", key])?,
            None => continue,
        };
        match reply {
            Reply::Bulk(Some(answer)) => workload.answers.push((question, answer)),
            other => return Err(PerfError::Other(format!("{question} gave {other:?}"))),
        }
    }
    Ok(workload)
}

fn with_ours(server: &Server, case: &Case, round: usize) -> Result<(Figures, Raw), PerfError> {
    let plan = Plan {
        threads: case.client_threads,
        connections: case.connections,
        pipeline: case.pipeline,
        requests: case.requests,
        duration: Some(case.duration),
        cpus: case.client_cpus.clone(),
        // All servers of a round see the same keys in the same order.
        seed: round as u64,
        ..Plan::default()
    };
    let target = target(server, case);
    let workload = &with_answers(server, case)?;
    let warm_up = Plan {
        duration: Some(warm_up_of(case)),
        requests: case.requests.map(|requests| requests / WARM_UP_PART),
        // Other keys than those of the run: what is added to a collection must not be there already.
        seed: !plan.seed,
        ..plan.clone()
    };
    let audience = Audience::gather(server, case)?;
    let warmed_up = load::run(&target, workload, &warm_up, &mut |_| {})?;
    audience.wait_for(warmed_up.requests)?;
    // In order they go on.
    let plan = Plan { first_key: warmed_up.next_key, ..plan };
    let before = Before::read(server)?;
    let report = load::run(&target, workload, &plan, &mut |_| {})?;
    let late = audience.wait_for(warmed_up.requests + report.requests)?;
    let (mut raw, _) = before.until_now(server)?;
    raw.requests = report.requests;
    raw.errors = report.errors;
    raw.first_error.clone_from(&report.first_error);
    raw.nulls = report.nulls;
    raw.elapsed_s = (report.elapsed + late).as_secs_f64();
    let mut figures = of_requests(&raw);
    let delivered = audience.each_message.map(|each| (raw.requests * each) as f64 / raw.elapsed_s);
    figures.extend(delivered.map(|rate| (Figure::Delivered, rate)));
    figures.extend([
        (Figure::Throughput, report.throughput()),
        (Figure::ClientCpu, report.client_cpu_us()),
        (Figure::P50, report.quantile_us(0.5)),
        (Figure::P99, report.quantile_us(0.99)),
        (Figure::P999, report.quantile_us(0.999)),
        (Figure::Max, report.max_us()),
    ]);
    Ok((figures, raw))
}

/// Those who listen to what is published, if anybody does.
struct Audience {
    listening: Option<Listening>,
    /// How many of them get each message.
    each_message: Option<u64>,
}

impl Audience {
    fn gather(server: &Server, case: &Case) -> Result<Self, PerfError> {
        let value_bytes = case.workload.value.max();
        let begin = |listeners| Listening::begin(server.address(), listeners, value_bytes, case.client_cpus.as_deref());
        let listening = case.listeners.as_ref().map(begin).transpose()?;
        Ok(Self { listening, each_message: case.listeners.as_ref().map(Listeners::each_message) })
    }

    /// Waits until all have got so many messages; how long that took.
    fn wait_for(&self, published: u64) -> Result<Duration, PerfError> {
        let start = Instant::now();
        let (Some(listening), Some(each)) = (&self.listening, self.each_message) else { return Ok(Duration::ZERO) };
        listening.wait_for(published * each)?;
        Ok(start.elapsed())
    }
}

fn with_theirs(programs: &Programs, server: &Server, case: &Case) -> Result<(Figures, Raw), PerfError> {
    outside::run(programs, server, case, warm_up_of(case))?;
    let before = Before::read(server)?;
    let found = outside::run(programs, server, case, case.duration)?;
    let (mut raw, info) = before.until_now(server)?;
    let commands = |info: &crate::servers::Info| info.integer("total_commands_processed").unwrap_or(0);
    raw.requests = commands(&info).saturating_sub(commands(&before.info));
    raw.elapsed_s = raw.requests as f64 / found.throughput;
    let mut figures = of_requests(&raw);
    figures.extend([
        (Figure::Throughput, found.throughput),
        (Figure::ClientCpu, found.client_cpu_s * 1e6 / raw.requests.max(1) as f64),
        (Figure::P50, found.p50_us),
        (Figure::P99, found.p99_us),
        (Figure::Max, found.max_us),
    ]);
    Ok((figures, raw))
}

/// A fifth of the run: enough for caches, tables and the adaptive waiting to settle.
fn warm_up_of(case: &Case) -> Duration {
    case.duration / WARM_UP_PART as u32
}

fn of_requests(raw: &Raw) -> Figures {
    let requests = raw.requests.max(1) as f64;
    let mut figures = Figures::from([(Figure::ServerCpu, raw.server_cpu_s * 1e6 / requests)]);
    if raw.cores.commands > 0 {
        figures.insert(Figure::HopShare, raw.cores.calls_out as f64 / requests);
    }
    if raw.cores.hops_out > 0 {
        figures.insert(Figure::CallsPerHop, raw.cores.calls_out as f64 / raw.cores.hops_out as f64);
    }
    figures
}

fn hand_over(server: &Server, case: &Case) -> Result<(Figures, Raw), PerfError> {
    let pairs = case.connections / 2;
    let handed = |duration| {
        let running = || hand_over::run(server.address(), pairs, duration);
        on_cpus(case.client_cpus.as_deref(), running).and_then(|found| found)
    };
    handed(warm_up_of(case))?;
    let before = Before::read(server)?;
    let found = handed(case.duration)?;
    let (mut raw, _) = before.until_now(server)?;
    raw.requests = found.handed_over;
    raw.elapsed_s = found.elapsed.as_secs_f64();
    let micros = |quantile: f64| found.latency.value_at_quantile(quantile) as f64 / 1e3;
    let mut figures = of_requests(&raw);
    figures.extend([
        (Figure::Throughput, raw.requests as f64 / raw.elapsed_s),
        (Figure::P50, micros(0.5)),
        (Figure::P99, micros(0.99)),
        (Figure::P999, micros(0.999)),
        (Figure::Max, found.latency.max() as f64 / 1e3),
    ]);
    Ok((figures, raw))
}

fn idle(server: &Server, case: &Case) -> Result<(Figures, Raw), PerfError> {
    // What the start left to do is not idleness.
    std::thread::sleep(Duration::from_secs(1).min(case.duration));
    let before = Before::read(server)?;
    let start = Instant::now();
    std::thread::sleep(case.duration);
    let elapsed = start.elapsed().as_secs_f64();
    let (mut raw, _) = before.until_now(server)?;
    raw.elapsed_s = elapsed;
    Ok((Figures::from([(Figure::IdleCpu, raw.server_cpu_s / elapsed * 100.0)]), raw))
}

fn connections(server: &Server, case: &Case) -> Result<(Figures, Raw), PerfError> {
    raise_open_files(case.connections as u64 + FILES_BESIDE)?;
    let (used_before, resident_before) = server.settled_memory()?;
    let before = Before::read(server)?;
    let mut open = Vec::with_capacity(case.connections);
    for _ in 0..case.connections {
        let mut client = Client::connect(server.address())?;
        client.command(&["PING"])?;
        open.push(client.into_stream());
    }
    let (used, resident) = server.settled_memory()?;
    let (mut raw, info) = before.until_now(server)?;
    raw.requests = case.connections as u64;
    let connected = info.integer("connected_clients").unwrap_or(0);
    if connected < raw.requests {
        return Err(PerfError::Other(format!("only {connected} of {} connections are open", raw.requests)));
    }
    drop(open);
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / case.connections.max(1) as f64;
    let figures = Figures::from([
        (Figure::UsedPerConnection, each(used, used_before)),
        (Figure::ResidentPerConnection, each(resident, resident_before)),
    ]);
    Ok((figures, raw))
}
