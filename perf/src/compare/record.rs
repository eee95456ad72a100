//! One line of a results file: everything about one run, so that tables can be made again from the file alone.

use super::figure::Figure;
use crate::error::PerfError;
use crate::machine::Machine;
use crate::servers::{CoreCounts, Setup};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The day, UTC.
    pub date: String,
    /// The suite.
    pub suite: String,
    /// The case.
    pub case: String,
    /// The case in words.
    pub about: String,
    /// What was sent, over how many connections and keys.
    pub load: String,
    /// The program that made the load.
    pub client: String,
    /// Processors of the client.
    pub client_cpus: Option<Vec<usize>>,
    /// Rounds are numbered from 1.
    pub round: usize,
    /// The server's name in the suite.
    pub server: String,
    /// The server that the case compares with.
    pub baseline: String,
    /// How the server was started.
    pub setup: Setup,
    /// What the server says it is.
    pub version: String,
    /// The commit that the server was built from, if it was built here.
    pub commit: String,
    /// Where.
    pub machine: Machine,
    /// The figures.
    pub figures: BTreeMap<Figure, f64>,
    /// What the figures come from.
    pub raw: Raw,
}

/// Counts behind the figures, and what makes a run doubtful.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Raw {
    /// Requests answered.
    pub requests: u64,
    /// Error replies.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// Replies without a value: keys that were not there.
    pub nulls: u64,
    /// From the first request to the last reply.
    pub elapsed_s: f64,
    /// CPU of the server.
    pub server_cpu_s: f64,
    /// Threads of the server that ended meanwhile: if there are any, its CPU is exact to hundredths of a second only.
    pub threads_ended: usize,
    /// Our server's counters of all cores, what the run added to them.
    pub cores: CoreCounts,
    /// Time that the hypervisor gave to others meanwhile, over all processors.
    pub stolen_s: f64,
}

impl Record {
    /// The line.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("all keys are strings and all numbers are numbers")
    }
}

/// Where lines go.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    file: File,
}

impl Results {
    /// Opens the file for adding lines, and makes its folder.
    pub fn open(path: &Path) -> Result<Self, PerfError> {
        let failed = |source| PerfError::File { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds a line at once, so that a run that is broken off leaves what it has.
    pub fn add(&mut self, record: &Record) -> Result<(), PerfError> {
        let line = record.line() + "\n";
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|source| PerfError::File { path: self.path.clone(), source })
    }
}

/// Reads the lines of a results file.
pub fn read(path: &Path) -> Result<Vec<Record>, PerfError> {
    let text = std::fs::read_to_string(path).map_err(|source| PerfError::File { path: path.to_owned(), source })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let why = |error| format!("line {}: {error}", number + 1);
            serde_json::from_str(line).map_err(|error| PerfError::Scenario { path: path.to_owned(), why: why(error) })
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::servers::Kind;

    /// A run of a server in a round with these figures.
    pub(crate) fn example(server: &str, round: usize, figures: &[(Figure, f64)]) -> Record {
        Record {
            date: "2026-01-31".into(),
            suite: "t".into(),
            case: "get".into(),
            about: "reads".into(),
            load: "GET {key}".into(),
            client: "ringkey-perf".into(),
            client_cpus: Some(vec![1]),
            round,
            server: server.into(),
            baseline: "theirs".into(),
            setup: Setup::plain(if server == "theirs" { Kind::Valkey } else { Kind::Ringkey }),
            version: "valkey 9.1.2".into(),
            commit: "0123456789ab".into(),
            machine: Machine::here(),
            figures: figures.iter().copied().collect(),
            raw: Raw::default(),
        }
    }

    #[test]
    fn lines_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/results.jsonl");
        let records = [example("ours", 1, &[(Figure::P999, 12.5)]), example("theirs", 1, &[(Figure::Throughput, 1e5)])];
        let mut results = Results::open(&path).unwrap();
        records.iter().for_each(|record| results.add(record).unwrap());
        assert_eq!(read(&path).unwrap(), records);
        assert!(records[0].line().contains("\"p999\":12.5"));
        std::fs::write(&path, "{}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1"));
    }
}
