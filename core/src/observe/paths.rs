//! The way of requests through the cores: how long it took from the bytes in the socket to the reply in the kernel's
//! hands, and how long calls were away on other cores. Valkey has no such figures; with many cores they tell what a hop
//! costs, and what waiting for a fuller batch does.
//!
//! All requests that one pass answers and one pass received have the same end and the same beginning. They are counted
//! as runs of one command, and a run goes into its histogram at once.

use super::watch::{Durations, durations, merge_durations};
use crate::command::Command;
use crate::command::table::{self, ROW_COUNT};

/// Digits that these durations keep: steps of 6 percent at most.
const DIGITS: u8 = 1;

/// Requests of one command that arrived together.
#[derive(Clone, Copy, Debug)]
struct Run {
    row: u16,
    count: u64,
    arrived: u64,
}

#[derive(Clone, Debug, Default)]
struct Ways {
    answers: Option<Box<Durations>>,
    hops: Option<Box<Durations>>,
}

/// The ways of the requests of one core's clients.
#[derive(Debug)]
pub struct Paths {
    /// Are they kept (`latency-tracking`)?
    pub tracks: bool,
    runs: Vec<Run>,
    ways: Box<[Ways]>,
}

impl Default for Paths {
    fn default() -> Self {
        Self { tracks: true, runs: Vec::new(), ways: vec![Ways::default(); ROW_COUNT].into() }
    }
}

impl Paths {
    /// A request that arrived at `arrived` is answered in this pass.
    #[inline]
    pub fn answered(&mut self, row: u16, count: u64, arrived: u64) {
        match self.runs.last_mut() {
            Some(run) if run.row == row && run.arrived == arrived => run.count += count,
            _ => self.runs.push(Run { row, count, arrived }),
        }
    }

    /// The replies of this pass are in the kernel's hands.
    pub fn written(&mut self, now: u64) {
        if self.tracks {
            for run in &self.runs {
                let took = now.saturating_sub(run.arrived);
                place(&mut self.ways[run.row as usize].answers).saturating_record_n(took, run.count);
            }
        }
        self.runs.clear();
    }

    /// `count` calls have come back from another core after so many ticks.
    #[inline]
    pub fn came_back(&mut self, row: u16, count: u64, ticks: u64) {
        if self.tracks {
            place(&mut self.ways[row as usize].hops).saturating_record_n(ticks, count);
        }
    }

    /// Forgets everything, as CONFIG RESETSTAT does.
    pub fn reset(&mut self) {
        self.ways.fill(Ways::default());
    }

    /// What is known of all commands whose requests were answered.
    pub fn report(&self) -> Vec<PathReport> {
        let of = |row: &'static Command| {
            let Ways { answers, hops } = &self.ways[row.id as usize];
            (answers.is_some() || hops.is_some()).then(|| PathReport {
                row,
                answers: answers.as_deref().cloned(),
                hops: hops.as_deref().cloned(),
            })
        };
        table::all().filter_map(of).collect()
    }
}

#[inline]
fn place(durations: &mut Option<Box<Durations>>) -> &mut Durations {
    durations.get_or_insert_with(fresh)
}

#[cold]
fn fresh() -> Box<Durations> {
    Box::new(durations(DIGITS))
}

/// The ways of the requests of one command, in ticks.
#[derive(Clone, Debug)]
pub struct PathReport {
    /// The command.
    pub row: &'static Command,
    /// From the arrival of the bytes to the reply in the kernel's hands.
    pub answers: Option<Durations>,
    /// From leaving for another core to being back.
    pub hops: Option<Durations>,
}

impl PathReport {
    /// Joins the reports of several cores, in the order of rows.
    pub fn merge(reports: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut reports: Vec<Self> = reports.into_iter().collect();
        reports.sort_by_key(|report| report.row.id);
        let mut merged: Vec<Self> = Vec::new();
        for report in reports {
            match merged.last_mut().filter(|last| last.row.id == report.row.id) {
                Some(last) => {
                    merge_durations(&mut last.answers, report.answers);
                    merge_durations(&mut last.hops, report.hops);
                }
                None => merged.push(report),
            }
        }
        merged
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_with_the_pass() {
        let (get, set) = (table::lookup(b"get").unwrap(), table::lookup(b"set").unwrap());
        let mut paths = Paths::default();
        (0..3).for_each(|_| paths.answered(get.id, 1, 100));
        paths.answered(set.id, 2, 100);
        paths.answered(get.id, 1, 50);
        assert_eq!(paths.runs.len(), 3);
        paths.written(110);
        assert!(paths.runs.is_empty());
        paths.came_back(get.id, 2, 7);
        let mut other = Paths::default();
        other.answered(get.id, 1, 0);
        other.written(1);
        let merged = PathReport::merge(paths.report().into_iter().chain(other.report()));
        assert_eq!(merged.len(), 2);
        let of_get = merged.iter().find(|report| report.row.id == get.id).unwrap();
        let answers = of_get.answers.as_ref().unwrap();
        assert_eq!((answers.len(), answers.count_at(10), answers.count_at(1)), (5, 3, 1));
        assert_eq!(of_get.hops.as_ref().unwrap().len(), 2);
    }
}
