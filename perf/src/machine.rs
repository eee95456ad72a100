//! What a figure was measured on: without it, a number in a results file means nothing a month later.

use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Machine {
    /// The processor's name as the kernel tells it.
    pub cpu: String,
    /// Processors that this process may use.
    pub processors: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Memory, in MiB.
    pub memory_mib: u64,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu: cpu_name(&read("/proc/cpuinfo")),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: memory_mib(&read("/proc/meminfo")),
        }
    }

    /// One line for the head of a report.
    pub fn describe(&self) -> String {
        format!(
            "{}, {} processors, {:.1} GiB, kernel {}",
            self.cpu,
            self.processors,
            self.memory_mib as f64 / 1024.0,
            self.kernel
        )
    }
}

fn cpu_name(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim());
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

fn memory_mib(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

/// The commit of the tree that a program was built in, `-dirty` behind it if the tree had changes; empty if it lies in
/// no tree.
pub fn commit_of(program: &Path) -> String {
    let Some(folder) = program.parent() else { return String::new() };
    let output =
        Command::new("git").arg("-C").arg(folder).args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => String::new(),
    }
}

/// Time that the hypervisor gave to others since boot, over all processors, in seconds. A run in which it grew is a
/// run on a smaller machine.
pub fn stolen_seconds() -> f64 {
    stolen(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn stolen(stat: &str) -> f64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    // user nice system idle iowait irq softirq steal, in ticks of which Linux shows a hundred a second
    line.split_whitespace().nth(7).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0) / 100.0
}

/// Today, as `2026-01-31`, in UTC.
pub fn today() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    date(seconds / 86_400)
}

/// The date of a day since 1970-01-01 (the algorithm counts years from March, so that leap days come last).
fn date(day: u64) -> String {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        assert_eq!(cpu_name("processor\t: 0\nmodel name\t: Fast(R) 9 @ 2GHz\n"), "Fast(R) 9 @ 2GHz");
        assert_eq!(memory_mib("MemTotal:       25276514 kB\nMemFree: 1 kB\n"), 24_684);
        assert!((stolen("cpu  1 2 3 4 5 6 7 850 9 10\ncpu0 1\n") - 8.5).abs() < 1e-9);
        assert!(Machine::here().processors > 0);
    }

    #[test]
    fn dates_are_right() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_779), "2026-11-22");
    }
}
