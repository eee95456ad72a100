//! What a process has cost: CPU of each of its threads in nanoseconds, and memory.
//!
//! `/proc/PID/stat` counts in hundredths of a second, which over a run of a second or two is too coarse to tell five
//! percent apart. The scheduler's own account of each thread, `/proc/PID/task/*/schedstat`, is exact but forgets threads
//! that have ended; the coarse one remembers them. So both are read, and the coarse one is used where a thread has ended.

use crate::error::PerfError;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Nanoseconds in one of the ticks that `/proc/PID/stat` counts in.
const TICK_NS: u64 = 10_000_000;

/// CPU that a process has used up to one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuClock {
    threads: BTreeMap<u32, u64>,
    coarse_ns: u64,
}

/// CPU used between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuSpent {
    /// Nanoseconds, user and system, of all threads.
    pub ns: u64,
    /// Threads that ended meanwhile; if there are any, `ns` is exact to hundredths of a second only.
    pub threads_ended: usize,
}

impl CpuClock {
    /// The account of a process as it stands.
    pub fn read(id: u32) -> Result<Self, PerfError> {
        let failed = |error: std::io::Error| PerfError::Other(format!("/proc/{id}: {error}"));
        let mut threads = BTreeMap::new();
        for entry in std::fs::read_dir(format!("/proc/{id}/task")).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            // A thread may end between the listing and the reading.
            let Ok(text) = std::fs::read_to_string(path.join("schedstat")) else { continue };
            if let (Some(number), Some(ns)) = (number, run_ns(&text)) {
                threads.insert(number, ns);
            }
        }
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).map_err(failed)?;
        let coarse_ns = process_ticks(&stat).unwrap_or(0) * TICK_NS;
        Ok(Self { threads, coarse_ns })
    }

    /// What was used from `earlier` to this.
    pub fn since(&self, earlier: &Self) -> CpuSpent {
        let exact: u64 = self
            .threads
            .iter()
            .map(|(thread, ns)| ns.saturating_sub(earlier.threads.get(thread).copied().unwrap_or(0)))
            .sum();
        let threads_ended = earlier.threads.keys().filter(|thread| !self.threads.contains_key(thread)).count();
        let coarse = self.coarse_ns.saturating_sub(earlier.coarse_ns);
        let ns = if threads_ended > 0 { exact.max(coarse) } else { exact };
        CpuSpent { ns, threads_ended }
    }
}

/// How long threads have waited for a processor, kept open so that it can be read thousands of times a second.
#[derive(Debug)]
pub struct WaitClock {
    files: Vec<File>,
}

impl WaitClock {
    /// Of the threads of a process that serve clients, as they are now.
    pub fn of_server(id: u32) -> Result<Self, PerfError> {
        let failed = |error: std::io::Error| PerfError::Other(format!("/proc/{id}: {error}"));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{id}/task")).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
            if !is_background(&name) {
                files.push(File::open(path.join("schedstat")).map_err(failed)?);
            }
        }
        Ok(Self { files })
    }

    /// Of the calling thread.
    pub fn of_this_thread() -> Result<Self, PerfError> {
        let file =
            File::open("/proc/thread-self/schedstat").map_err(PerfError::system("/proc/thread-self/schedstat"))?;
        Ok(Self { files: vec![file] })
    }

    /// Nanoseconds that each thread has waited so far; 0 for one that has ended.
    pub fn read(&self) -> Vec<u64> {
        let mut bytes = [0; 64];
        let mut wait = |file: &File| {
            let count = file.read_at(&mut bytes, 0).ok()?;
            wait_ns(std::str::from_utf8(&bytes[..count]).ok()?)
        };
        self.files.iter().map(|file| wait(file).unwrap_or(0)).collect()
    }
}

/// The longest wait of any thread between two readings.
pub fn longest_wait_ns(from: &[u64], to: &[u64]) -> u64 {
    from.iter().zip(to).map(|(from, to)| to.saturating_sub(*from)).max().unwrap_or(0)
}

/// Threads on which no client waits: Valkey's and Redis's background jobs, the allocator's.
fn is_background(name: &str) -> bool {
    name.starts_with("bio_") || name.starts_with("jemalloc")
}

/// The second of `RUN WAIT SLICES`.
fn wait_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

/// The first of `RUN WAIT SLICES`.
fn run_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// User and system time of the whole process, ended threads included.
fn process_ticks(stat: &str) -> Option<u64> {
    // The name of the program stands in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// CPU of the children of this process that have ended and were waited for, in nanoseconds.
pub fn ended_children_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    children_ticks(&stat).unwrap_or(0) * TICK_NS
}

fn children_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?)
}

/// Memory of a process that is in RAM, in bytes.
pub fn resident_bytes(id: u32) -> Result<u64, PerfError> {
    let path = format!("/proc/{id}/status");
    let text = std::fs::read_to_string(&path).map_err(|error| PerfError::Other(format!("{path}: {error}")))?;
    resident(&text).ok_or_else(|| PerfError::Other(format!("{path} does not tell VmRSS")))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STAT: &str = "77 (a (b) c) S 1 77 77 0 -1 4194560 100 200 0 0 150 50 30 12 20 0 4 0 100 1 2 3";

    #[test]
    fn proc_files_are_read() {
        assert_eq!(run_ns("126697 109517 2\n"), Some(126_697));
        assert_eq!(run_ns(""), None);
        assert_eq!(wait_ns("126697 109517 2\n"), Some(109_517));
        assert_eq!(process_ticks(STAT), Some(200));
        assert_eq!(children_ticks(STAT), Some(42));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    6456 kB\nThreads:\t3\n"), Some(6456 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[test]
    fn threads_that_end_are_not_forgotten() {
        let clock =
            |threads: &[(u32, u64)], coarse_ns| CpuClock { threads: threads.iter().copied().collect(), coarse_ns };
        let before = clock(&[(1, 100), (2, 50)], 0);
        let spent = clock(&[(1, 400), (2, 50), (3, 7)], TICK_NS).since(&before);
        assert_eq!(spent, CpuSpent { ns: 307, threads_ended: 0 });
        let spent = clock(&[(1, 400)], TICK_NS).since(&before);
        assert_eq!(spent, CpuSpent { ns: TICK_NS, threads_ended: 1 });
    }

    #[test]
    fn waiting_is_read_again_and_again() {
        let own = WaitClock::of_this_thread().unwrap();
        let (first, second) = (own.read(), own.read());
        assert!(first.len() == 1 && second[0] >= first[0]);
        assert!(!WaitClock::of_server(std::process::id()).unwrap().read().is_empty());
        assert_eq!(longest_wait_ns(&[5, 10], &[9, 11]), 4);
        assert!(is_background("bio_lazy_free\n") && !is_background("core-0") && !is_background("io_thd_1"));
    }

    #[test]
    fn this_process_uses_cpu() {
        let id = std::process::id();
        let before = CpuClock::read(id).unwrap();
        let mut number = 1_u64;
        for step in 0..20_000_000_u64 {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
        }
        let spent = CpuClock::read(id).unwrap().since(&before);
        assert!(spent.ns > 1_000_000, "{spent:?} for {number}");
        assert!(resident_bytes(id).unwrap() > 100_000);
    }
}
