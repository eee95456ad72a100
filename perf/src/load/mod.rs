//! The load: one thread per configured thread, each with its own ring and its share of the connections.
//!
//! - `dial` opens connections and greets, in the plain blocking way, before anything is measured; `cluster` reads
//!   which node owns which slots.
//! - `template` turns a workload into bytes with holes for keys; `keys` draws the keys; `batch` fills a connection's
//!   send buffer.
//! - `worker` is a thread at work, on `ring` and `buffers`; `replies` counts what comes back; `pace` says what is due.
//! - `recorder` keeps a thread's latencies and hands them over every 100 ms; `collector` puts those of all threads
//!   together.

mod keys;
mod pace;
mod replies;

use crate::PerfError;
use crate::report::Report;
use crate::workload::Workload;
use std::net::SocketAddr;
use std::time::Duration;

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
    /// Read `CLUSTER SLOTS` and spread over all nodes in it?
    pub cluster: bool,
}

impl Target {
    /// A server without password, RESP2, no cluster.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, user: None, password: None, resp3: false, cluster: false }
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

/// Is the workload one that can be sent?
///
/// # Errors
/// Says what is wrong with it.
pub fn check(_workload: &Workload) -> Result<(), PerfError> {
    Ok(())
}

/// Makes the load and reports what it found. `progress` is called about every 100 ms.
///
/// # Errors
/// If the workload or the plan makes no sense, the server cannot be reached, refuses the greeting, ends a connection
/// or sends what is no RESP. Error replies are no failure: they are counted.
pub fn run(
    _target: &Target,
    _workload: &Workload,
    plan: &Plan,
    _progress: &mut dyn FnMut(&Progress),
) -> Result<Report, PerfError> {
    plan.check()?;
    Err(PerfError::Other("the engine is under way".into()))
}
