//! On which processors something runs, and how many files it may open.
//!
//! Nothing here needs `unsafe`: a child inherits the processors of the thread that starts it, so a thread is pinned for
//! as long as it takes to start the child.

use crate::error::PerfError;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Does something while the calling thread may use only these processors; `None` leaves it as it is.
pub fn on_cpus<T>(cpus: Option<&[usize]>, action: impl FnOnce() -> T) -> Result<T, PerfError> {
    let Some(cpus) = cpus else { return Ok(action()) };
    let failed = |error: rustix::io::Errno| PerfError::Other(format!("cannot use processors {cpus:?}: {error}"));
    let before = sched_getaffinity(None).map_err(failed)?;
    let mut wanted = CpuSet::new();
    for &cpu in cpus {
        if cpu >= CpuSet::MAX_CPU || !before.is_set(cpu) {
            return Err(PerfError::Other(format!("there is no processor {cpu} to pin to")));
        }
        wanted.set(cpu);
    }
    sched_setaffinity(None, &wanted).map_err(failed)?;
    let result = action();
    sched_setaffinity(None, &before).map_err(failed)?;
    Ok(result)
}

/// Reads `0`, `0,2`, `0-3,5`.
pub fn parse_cpus(text: &str) -> Result<Vec<usize>, PerfError> {
    let bad = || PerfError::Usage(format!("'{text}' is no list of processors such as 0,2-3"));
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| bad())?;
        let last: usize = last.trim().parse().map_err(|_| bad())?;
        if first > last || last >= CpuSet::MAX_CPU {
            return Err(bad());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// Lets this process, and servers it starts, open at least this many files, if it may.
pub fn raise_open_files(wanted: u64) -> Result<(), PerfError> {
    let now = rustix::process::getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = now.maximum.map(|maximum| maximum.max(wanted));
    let raised = Rlimit { current: Some(wanted), maximum };
    rustix::process::setrlimit(Resource::Nofile, raised).map_err(|error| {
        let have = now.maximum.unwrap_or(0);
        PerfError::Other(format!("{wanted} open files are needed, {have} allowed ({error}); mend: ulimit -n {wanted}"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse_cpus("0").unwrap(), [0]);
        assert_eq!(parse_cpus("0,2-4").unwrap(), [0, 2, 3, 4]);
        for bad in ["", "a", "3-1", "0,", "99999999"] {
            assert!(parse_cpus(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_child_inherits_the_processor() {
        let status = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let allowed = |text: &str| text.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned();
        let before = allowed(&status());
        let inside = on_cpus(Some(&[0]), status).unwrap();
        assert!(allowed(&inside).ends_with("\t0"), "{}", allowed(&inside));
        assert_eq!(allowed(&status()), before, "and afterwards it is as it was");
        assert!(on_cpus(Some(&[1023]), || ()).is_err());
    }
}
