//! The phases: what happens to the table or to one large collection, and the probe beside it.

use super::probe::{self, Stall};
use crate::client::Reply;
use crate::error::PerfError;
use crate::load::{self, Plan, Target};
use crate::servers::{Server, WaitClock, on_cpus};
use crate::workload::{Distribution, Keys, ValueSize, WeightedCommand, Workload};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a quiet server is looked at, and how long before and after a flush.
const QUIET: Duration = Duration::from_secs(2);
const AROUND_FLUSH: Duration = Duration::from_secs(1);

/// How long the freeing of a collection that was unlinked is looked at.
const AFTER_UNLINK: Duration = Duration::from_secs(4);

/// Writers give way to the probe where both share a processor.
const NICE_OF_WRITERS: i32 = 5;

/// What happens to the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing.
    #[default]
    Quiet,
    /// New keys at full speed.
    Grow,
    /// The same keys once more: the same traffic, and the table stays as it is.
    Overwrite,
    /// All keys are deleted, one DEL each.
    Shrink,
    /// FLUSHALL SYNC of all keys.
    Flush,
    /// FLUSHALL ASYNC of all keys.
    FlushAsync,
    /// One hash gets all fields.
    BuildHash,
    /// UNLINK of it.
    UnlinkHash,
    /// One set gets all members.
    BuildSet,
    /// UNLINK of it.
    UnlinkSet,
    /// One sorted set gets all members.
    BuildSortedSet,
    /// UNLINK of it.
    UnlinkSortedSet,
    /// One list gets all elements.
    BuildList,
    /// UNLINK of it.
    UnlinkList,
}

impl Phase {
    /// What happens to the table, in the order in which it comes.
    pub const OF_KEYS: &[Self] =
        &[Self::Quiet, Self::Grow, Self::Overwrite, Self::Shrink, Self::Flush, Self::FlushAsync];

    /// What happens to large collections.
    pub const OF_COLLECTIONS: &[Self] = &[
        Self::Quiet,
        Self::BuildHash,
        Self::UnlinkHash,
        Self::BuildSet,
        Self::UnlinkSet,
        Self::BuildSortedSet,
        Self::UnlinkSortedSet,
        Self::BuildList,
        Self::UnlinkList,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Grow => "grow",
            Self::Overwrite => "overwrite",
            Self::Shrink => "shrink",
            Self::Flush => "flush",
            Self::FlushAsync => "flush-async",
            Self::BuildHash => "build-hash",
            Self::UnlinkHash => "unlink-hash",
            Self::BuildSet => "build-set",
            Self::UnlinkSet => "unlink-set",
            Self::BuildSortedSet => "build-sorted-set",
            Self::UnlinkSortedSet => "unlink-sorted-set",
            Self::BuildList => "build-list",
            Self::UnlinkList => "unlink-list",
        }
    }

    /// The phase with the same traffic in which the table stays as it is.
    pub fn twin(self) -> Option<Self> {
        match self {
            Self::Quiet | Self::Overwrite => None,
            Self::Grow | Self::Shrink => Some(Self::Overwrite),
            // What builds a collection would have a twin with the same traffic if a list could be written over.
            _ => Some(Self::Quiet),
        }
    }

    /// The command that adds an element, if that is what the phase does.
    fn adds(self) -> Option<&'static str> {
        Some(match self {
            Self::BuildHash => "HSET big field:{number} {value}",
            Self::BuildSet => "SADD big member:{number}",
            Self::BuildSortedSet => "ZADD big {number} member:{number}",
            Self::BuildList => "RPUSH big element:{number}",
            _ => return None,
        })
    }

    fn unlinks(self) -> bool {
        matches!(self, Self::UnlinkHash | Self::UnlinkSet | Self::UnlinkSortedSet | Self::UnlinkList)
    }
}

/// What was felt in a phase.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PhaseResult {
    /// The server.
    pub version: String,
    /// The phase.
    pub phase: Phase,
    /// The round, from 1.
    pub round: usize,
    /// Questions of the probe.
    pub questions: u64,
    /// Latencies in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The 99.9th.
    pub p999_ms: f64,
    /// The 99.99th.
    pub p9999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// The unexplained part of latencies, the 99.9th percentile.
    pub unexplained_p999_ms: f64,
    /// The longest unexplained part.
    pub unexplained_max_ms: f64,
    /// Speed of the writers, if there were any.
    pub requests_per_second: Option<f64>,
    /// The stalls with the longest unexplained part.
    pub longest: Vec<Stall>,
    /// Keys in the table or elements in the collection at each of them.
    pub keys_at_longest: Vec<u64>,
    /// What the server itself says of its longest steps.
    pub server_says: Vec<(String, String)>,
}

impl PhaseResult {
    /// The longest pass of any core in milliseconds, if the server tells it.
    pub fn longest_pass_ms(&self) -> Option<f64> {
        let passes = self.server_says.iter().filter(|(name, _)| name.contains("longest_pass_us"));
        passes.filter_map(|(_, value)| value.parse::<f64>().ok()).map(|micros| micros / 1e3).reduce(f64::max)
    }
}

/// A server on its way through the phases.
pub struct Course<'a> {
    /// The server.
    pub server: &'a Server,
    /// What it is.
    pub version: &'a str,
    /// Keys of a full table, or elements of a collection.
    pub keys: u64,
    /// Bytes of a value.
    pub value: usize,
    /// Connections that write.
    pub connections: usize,
    /// Requests under way on each.
    pub pipeline: usize,
    /// Questions of the probe in a second.
    pub rate: f64,
    /// Processors of writers and probe.
    pub client_cpus: Option<Vec<usize>>,
    /// The round, from 1.
    pub round: usize,
}

/// How far the writers were, and when.
struct Track {
    points: Vec<(Instant, u64)>,
    requests_per_second: Option<f64>,
}

impl Course<'_> {
    /// Goes through a phase, with what must be there before; the result if it is looked at.
    pub fn run(&self, phase: Phase, looked_at: bool) -> Result<Option<PhaseResult>, PerfError> {
        if matches!(phase, Phase::Flush | Phase::FlushAsync) && looked_at {
            self.write("SET {key} {value}")?;
        }
        if !looked_at {
            if matches!(phase, Phase::Grow | Phase::Shrink) || phase.adds().is_some() || phase.unlinks() {
                self.act(phase)?;
            }
            return Ok(None);
        }
        let mut client = self.server.client()?;
        // Not every server has it, and none needs it: it only sets maxima back.
        client.ask(&["CONFIG", "RESETSTAT"])?;
        probe::set_keys(self.server.address())?;
        let waits = WaitClock::of_server(self.server.id())?;
        let stop = AtomicBool::new(false);
        let start = Instant::now();
        let (track, felt) = std::thread::scope(|scope| {
            let probe = scope.spawn(|| {
                let probing = || probe::run(self.server.address(), self.rate, &waits, &stop);
                on_cpus(self.client_cpus.as_deref(), probing).and_then(|felt| felt)
            });
            let track = self.act(phase);
            stop.store(true, Ordering::Relaxed);
            (track, probe.join().expect("the probe does not panic"))
        });
        let (track, felt) = (track?, felt?);
        let ms = |quantile: f64| felt.latency.value_at_quantile(quantile) as f64 / 1e6;
        let keys_at = |stall: &Stall| self.keys_at(phase, &track, start + stall.at + stall.latency);
        Ok(Some(PhaseResult {
            version: self.version.to_owned(),
            phase,
            round: self.round,
            questions: felt.latency.len(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            p9999_ms: ms(0.9999),
            max_ms: felt.latency.max() as f64 / 1e6,
            unexplained_p999_ms: felt.unexplained.value_at_quantile(0.999) as f64 / 1e6,
            unexplained_max_ms: felt.unexplained.max() as f64 / 1e6,
            requests_per_second: track.requests_per_second,
            keys_at_longest: felt.longest.iter().map(keys_at).collect(),
            longest: felt.longest,
            server_says: client.info()?.longest(),
        }))
    }

    fn act(&self, phase: Phase) -> Result<Track, PerfError> {
        match phase {
            Phase::Grow | Phase::Overwrite => self.write("SET {key} {value}"),
            Phase::Shrink => self.write("DEL {key}"),
            Phase::Quiet => {
                std::thread::sleep(QUIET);
                Ok(Track::empty())
            }
            Phase::Flush => self.flush("SYNC"),
            Phase::FlushAsync => self.flush("ASYNC"),
            _ => match phase.adds() {
                Some(command) => self.write(command),
                None => self.unlink(),
            },
        }
    }

    fn unlink(&self) -> Result<Track, PerfError> {
        let mut client = self.server.client()?;
        std::thread::sleep(AROUND_FLUSH);
        match client.command(&["UNLINK", "big"])? {
            Reply::Integer(1) => {}
            other => return Err(PerfError::Other(format!("UNLINK gave {other:?}"))),
        }
        std::thread::sleep(AFTER_UNLINK);
        Ok(Track::empty())
    }

    fn flush(&self, how: &str) -> Result<Track, PerfError> {
        let mut client = self.server.client()?;
        std::thread::sleep(AROUND_FLUSH);
        client.command(&["FLUSHALL", how])?;
        // What is freed in the background may be felt, too.
        std::thread::sleep(AROUND_FLUSH);
        Ok(Track::empty())
    }

    /// Sends the command once for each key, in order, at full speed.
    fn write(&self, command: &str) -> Result<Track, PerfError> {
        // A command with two numbers draws two in turn: out of an odd count, each still comes to all of them.
        let count = if command.matches("{number}").count() == 2 { self.keys | 1 } else { self.keys };
        let workload = Workload {
            name: "stall".to_owned(),
            commands: vec![WeightedCommand::new(command)],
            keys: Keys { count, distribution: Distribution::Sequential, ..Keys::default() },
            value: ValueSize::Fixed(self.value),
            ..Workload::default()
        };
        let plan = Plan {
            connections: self.connections,
            pipeline: self.pipeline,
            requests: Some(count),
            cpus: self.client_cpus.clone(),
            ..Plan::default()
        };
        let target = Target::new(self.server.address());
        let mut points = vec![(Instant::now(), 0)];
        let report = std::thread::scope(|scope| {
            let points = &mut points;
            let writers = scope.spawn(move || {
                // The threads of the load are started from here and inherit this. Without it all are equal.
                let _ = rustix::process::nice(NICE_OF_WRITERS);
                load::run(&target, &workload, &plan, &mut |progress| points.push((Instant::now(), progress.requests)))
            });
            writers.join().expect("the load does not panic")
        })?;
        points.push((Instant::now(), report.requests));
        match report.first_error {
            Some(error) => Err(PerfError::Other(format!("{command}: {error}"))),
            None => Ok(Track { points, requests_per_second: Some(report.throughput()) }),
        }
    }

    fn keys_at(&self, phase: Phase, track: &Track, moment: Instant) -> u64 {
        match phase {
            Phase::Quiet => 0,
            Phase::Shrink => self.keys.saturating_sub(track.requests_at(moment)),
            Phase::Grow => track.requests_at(moment),
            _ if phase.adds().is_some() => track.requests_at(moment),
            _ => self.keys,
        }
    }
}

impl Track {
    fn empty() -> Self {
        Self { points: Vec::new(), requests_per_second: None }
    }

    /// Requests answered by then, between two points as if at an even speed.
    fn requests_at(&self, moment: Instant) -> u64 {
        let after = self.points.partition_point(|(time, _)| *time <= moment);
        let (Some(from), to) = (after.checked_sub(1).map(|at| self.points[at]), self.points.get(after)) else {
            return 0;
        };
        let Some(to) = to else { return from.1 };
        let whole = (to.0 - from.0).as_secs_f64().max(1e-9);
        let part = (moment - from.0).as_secs_f64() / whole;
        from.1 + (to.1.saturating_sub(from.1) as f64 * part) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_even_between_two_points() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let track = Track { points: vec![(at(100), 0), (at(200), 1000), (at(300), 5000)], requests_per_second: None };
        assert_eq!([0, 100, 150, 250, 900].map(|ms| track.requests_at(at(ms))), [0, 0, 500, 3000, 5000]);
        assert_eq!(Track::empty().requests_at(start), 0);
    }

    #[test]
    fn the_longest_pass_is_that_of_the_slowest_core() {
        let said = [("core0.longest_pass_usec", "310"), ("core1.longest_pass_usec", "1684"), ("longest_nap", "9999")];
        let mut result = PhaseResult::default();
        assert_eq!(result.longest_pass_ms(), None);
        result.server_says = said.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(result.longest_pass_ms(), Some(1.684));
    }

    #[test]
    fn twins_leave_the_table_alone() {
        for phase in Phase::OF_KEYS.iter().chain(Phase::OF_COLLECTIONS) {
            assert!(phase.twin().is_none_or(|twin| twin.twin().is_none()), "{}", phase.name());
        }
    }
}
