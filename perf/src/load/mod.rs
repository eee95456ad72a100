//! The load: one thread per configured thread, each with its own ring and its share of the connections.
//!
//! - `dial` opens connections and greets, in the plain blocking way, before anything is measured; `cluster` reads
//!   which node owns which slots.
//! - `template` turns a workload into bytes with holes for keys; `keys` draws the keys; `batch` fills a connection's
//!   send buffer.
//! - `worker` is a thread at work, on `ring` and `buffers`; `replies` counts what comes back; `pace` says what is due.
//! - `recorder` keeps a thread's latencies and hands them over every 100 ms; `collector` puts those of all threads
//!   together.

mod batch;
mod buffers;
mod cluster;
mod collector;
mod dial;
mod keys;
mod pace;
mod recorder;
mod replies;
mod ring;
mod template;
mod worker;

pub(crate) use template::{questions, quote};

use crate::PerfError;
use crate::report::Report;
use crate::workload::Workload;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// Which server, and how to greet it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whom to be; needs a password.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// Speak RESP3?
    pub resp3: bool,
    /// What each connection says besides before it is used: commands, words parted by blanks.
    pub greeting: Vec<String>,
    /// Read `CLUSTER SLOTS` and spread over all nodes in it?
    pub cluster: bool,
}

impl Target {
    /// A server without password, RESP2, no cluster.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, user: None, password: None, resp3: false, greeting: Vec::new(), cluster: false }
    }
}

/// How much load, from where, for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Threads of the client.
    pub threads: usize,
    /// Connections in all.
    pub connections: usize,
    /// Requests that a connection has under way at most.
    pub pipeline: usize,
    /// End after so many requests, those of the warm-up not counted.
    pub requests: Option<u64>,
    /// End after so long, the warm-up not counted. With both, whichever comes first; with neither, 100,000 requests.
    pub duration: Option<Duration>,
    /// Open loop: so many requests a second in all, whatever the server does, and latency counts from when a request
    /// was due. Without it closed loop: a connection sends its next batch when the last reply of the one before is in.
    pub rate: Option<f64>,
    /// Load before recording starts.
    pub warm_up: Duration,
    /// Processors that the threads are bound to, in turn.
    pub cpus: Option<Vec<usize>>,
    /// The same seed draws the same keys.
    pub seed: u64,
    /// Where sequential keys begin.
    pub first_key: u64,
}

impl Default for Plan {
    /// As valkey-benchmark: 50 connections, no pipeline, 100,000 requests.
    fn default() -> Self {
        Self {
            threads: 1,
            connections: 50,
            pipeline: 1,
            requests: None,
            duration: None,
            rate: None,
            warm_up: Duration::ZERO,
            cpus: None,
            seed: 0,
            first_key: 0,
        }
    }
}

impl Plan {
    /// What ends the run if nothing is said.
    pub const DEFAULT_REQUESTS: u64 = 100_000;

    fn check(&self) -> Result<(), PerfError> {
        let usage = |what: &str| Err(PerfError::Usage(what.into()));
        if self.threads == 0 || self.connections < self.threads {
            return usage("there must be a thread, and a connection for each thread");
        }
        if self.pipeline == 0 || self.pipeline > 1 << 20 {
            return usage("a pipeline holds from 1 to 1048576 requests");
        }
        if self.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return usage("the rate must be above zero");
        }
        if self.cpus.as_ref().is_some_and(Vec::is_empty) {
            return usage("the list of processors is empty");
        }
        Ok(())
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Time since recording began.
    pub elapsed: Duration,
    /// Requests answered so far.
    pub requests: u64,
    /// The share of the run that is over, as far as it can be known.
    pub fraction: f64,
    /// Requests a second in the last step.
    pub rate: f64,
}

/// The largest batch of one connection, and of all.
const BATCH_BYTES_MAX: usize = 1 << 30;
const BUFFERS_BYTES_MAX: usize = 1 << 36;

/// What the threads of a run share.
pub(crate) struct Common {
    /// When load begins.
    pub start: Instant,
    /// When recording begins.
    pub record_from: Instant,
    /// When no more is sent.
    pub until: Option<Instant>,
    /// Requests that no thread has claimed yet.
    pub unclaimed: AtomicU64,
    /// A thread has failed: all others end.
    pub failed: AtomicBool,
}

/// Is the workload one that can be sent?
///
/// # Errors
/// Says what is wrong with it.
pub fn check(workload: &Workload) -> Result<(), PerfError> {
    template::Program::compile(workload, 0).map(|_| ())
}

/// Makes the load and reports what it found. `progress` is called about every 100 ms.
///
/// # Errors
/// If the workload or the plan makes no sense, the server cannot be reached, refuses the greeting, ends a connection
/// or sends what is no RESP. Error replies are no failure: they are counted.
pub fn run(
    target: &Target,
    workload: &Workload,
    plan: &Plan,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Report, PerfError> {
    plan.check()?;
    let program = template::Program::compile(workload, plan.seed)?;
    let batch = program.max_len.saturating_mul(plan.pipeline);
    if batch > BATCH_BYTES_MAX || batch.saturating_mul(plan.connections) > BUFFERS_BYTES_MAX {
        return Err(PerfError::Usage("the send buffers would be too large: a shorter pipeline, please".into()));
    }
    let nodes = cluster::nodes(target)?;
    if nodes.len() > plan.connections {
        return Err(PerfError::Cluster(format!("{} nodes need as many connections", nodes.len())));
    }
    let router = cluster::Router::new(&nodes, workload, &program, plan.first_key)?;
    let shares = dial::deal(target, &nodes, plan)?;
    let (sender, receiver) = mpsc::channel();
    let mut collector = collector::Collector::new(workload.name.clone(), plan);
    // All threads set up their rings, then the clock starts, then all begin.
    let barrier = Barrier::new(shares.len() + 1);
    let common = OnceLock::new();
    let outcome = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, share) in shares.into_iter().enumerate() {
            let seat = worker::Seat { index, plan, program: &program, router: &router, sender: sender.clone() };
            let (barrier, common) = (&barrier, &common);
            threads.push(scope.spawn(move || {
                let worker = worker::Worker::new(seat, share);
                barrier.wait();
                barrier.wait();
                let common: &Common = common.get().expect("set between the two waits");
                let outcome = worker.and_then(|worker| worker.run(common));
                if outcome.is_err() {
                    common.failed.store(true, Ordering::Relaxed);
                }
                outcome
            }));
        }
        drop(sender);
        barrier.wait();
        let _ = common.set(begin(plan));
        barrier.wait();
        collector.collect(&receiver, progress);
        let joined = threads.into_iter().map(|thread| thread.join().expect("a thread of the load panicked"));
        joined.collect::<Result<Vec<_>, _>>()
    });
    Ok(Report { next_key: router.next_key(), ..collector.finish(outcome?) })
}

fn begin(plan: &Plan) -> Common {
    let start = Instant::now();
    let record_from = start + plan.warm_up;
    let requests = match (plan.requests, plan.duration) {
        (Some(requests), _) => requests,
        (None, Some(_)) => u64::MAX,
        (None, None) => Plan::DEFAULT_REQUESTS,
    };
    Common {
        start,
        record_from,
        until: plan.duration.map(|duration| record_from + duration),
        unclaimed: AtomicU64::new(requests),
        failed: AtomicBool::new(false),
    }
}
