//! Counts and durations of commands on one core: what INFO commandstats, INFO latencystats and LATENCY HISTOGRAM show.
//!
//! This is on the path of every command, so it costs one reading of a counter and one step in a table: a call lasts from
//! the end of the call before it, and what lies between them (admission, the look at the key) counts as its own. Where
//! something else came between, [`Watch::start`] begins anew.

use crate::command::Command;
use crate::command::table::{self, ROW_COUNT};
use hdrhistogram::Histogram;

/// Durations with two significant digits, in ticks, as Valkey's are; see Tene's HdrHistogram.
pub type Durations = Histogram<u64>;

/// The longest duration that is told from longer ones, in ticks: more than ten seconds on any machine.
const TICKS_MAX: u64 = 1 << 36;

/// Digits that the durations of calls keep.
const DIGITS: u8 = 2;

/// An empty histogram of durations with so many significant digits.
pub(super) fn durations(digits: u8) -> Durations {
    Durations::new_with_bounds(1, TICKS_MAX, digits).expect("the bounds are constants that a test has seen to work")
}

/// What is known of the calls of one command.
#[derive(Clone, Debug, Default)]
struct Counts {
    calls: u64,
    ticks: u64,
    rejected: u64,
    failed: u64,
    durations: Option<Box<Durations>>,
}

/// Counts and durations of commands on one core.
#[derive(Debug)]
pub struct Watch {
    /// Reads a counter that only goes up.
    clock: fn() -> u64,
    /// When the last call ended, or something else did.
    last: u64,
    /// A call that takes as long as this is slow, in ticks.
    limit: u64,
    /// Are durations kept (`latency-tracking`)?
    tracks: bool,
    counts: Box<[Counts]>,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(|| 0)
    }
}

impl Watch {
    /// A watch that reads `clock` and regards no call as slow.
    pub fn new(clock: fn() -> u64) -> Self {
        Self { clock, last: 0, limit: u64::MAX, tracks: true, counts: vec![Counts::default(); ROW_COUNT].into() }
    }

    /// Calls of at least `limit` ticks are slow from now on; `tracks` says whether durations are kept.
    pub fn set(&mut self, limit: Option<u64>, tracks: bool) {
        self.limit = limit.unwrap_or(u64::MAX);
        self.tracks = tracks;
    }

    /// Reads the counter.
    #[inline]
    pub fn ticks(&self) -> u64 {
        (self.clock)()
    }

    /// The next call begins now.
    #[inline]
    pub fn start(&mut self) {
        self.last = (self.clock)();
    }

    /// A call has ended: how long it took, in ticks. The next one begins now.
    #[inline]
    pub fn lap(&mut self) -> u64 {
        let now = (self.clock)();
        let took = now.saturating_sub(self.last);
        self.last = now;
        took
    }

    /// Is that slow?
    #[inline]
    pub fn is_slow(&self, ticks: u64) -> bool {
        ticks >= self.limit
    }

    /// Counts a call that took so long.
    #[inline]
    pub fn record(&mut self, row: &Command, ticks: u64, has_failed: bool) {
        let counts = &mut self.counts[row.id as usize];
        counts.calls += 1;
        counts.ticks += ticks;
        counts.failed += u64::from(has_failed);
        if self.tracks {
            match &mut counts.durations {
                Some(durations) => durations.saturating_record(ticks),
                none => begin(none, ticks),
            }
        }
    }

    /// Counts a call that was refused before anything was executed.
    pub fn reject(&mut self, row: &Command) {
        self.counts[row.id as usize].rejected += 1;
    }

    /// Forgets everything, as CONFIG RESETSTAT does.
    pub fn reset(&mut self) {
        self.counts.fill(Counts::default());
    }

    /// What is known of all commands that were called or rejected; with their durations if they are wanted.
    pub fn report(&self, with_durations: bool) -> Vec<CommandReport> {
        let of = |row: &'static Command| {
            let counts = &self.counts[row.id as usize];
            (counts.calls + counts.rejected + counts.failed > 0).then(|| CommandReport {
                row,
                calls: counts.calls,
                ticks: counts.ticks,
                rejected: counts.rejected,
                failed: counts.failed,
                durations: counts.durations.as_deref().filter(|_| with_durations).cloned(),
            })
        };
        table::all().filter_map(of).collect()
    }
}

#[cold]
fn begin(place: &mut Option<Box<Durations>>, ticks: u64) {
    place.insert(Box::new(durations(DIGITS))).saturating_record(ticks);
}

/// What is known of the calls of one command.
#[derive(Clone, Debug)]
pub struct CommandReport {
    /// The command.
    pub row: &'static Command,
    /// Calls executed.
    pub calls: u64,
    /// Time spent on them, in ticks.
    pub ticks: u64,
    /// Calls refused before execution.
    pub rejected: u64,
    /// Calls that ended in an error.
    pub failed: u64,
    /// How long calls took, in ticks.
    pub durations: Option<Durations>,
}

impl CommandReport {
    /// Joins the reports of several cores, in the order of rows.
    pub fn merge(reports: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::new();
        let mut places = vec![usize::MAX; ROW_COUNT];
        for report in reports {
            let place = &mut places[report.row.id as usize];
            let Some(known) = merged.get_mut(*place) else {
                *place = merged.len();
                merged.push(report);
                continue;
            };
            known.calls += report.calls;
            known.ticks += report.ticks;
            known.rejected += report.rejected;
            known.failed += report.failed;
            merge_durations(&mut known.durations, report.durations);
        }
        merged.sort_by_key(|report| report.row.id);
        merged
    }
}

/// Adds durations to others of the same bounds.
pub(super) fn merge_durations(known: &mut Option<Durations>, more: Option<Durations>) {
    match (known, more) {
        (Some(known), Some(more)) => known.add(&more).expect("all durations of a kind have the same bounds"),
        (known @ None, more) => *known = more,
        (Some(_), None) => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local!(static NOW: Cell<u64> = const { Cell::new(0) });

    fn row(name: &str) -> &'static Command {
        table::lookup_full(name.as_bytes()).unwrap()
    }

    fn pass(ticks: u64) {
        NOW.with(|now| now.set(now.get() + ticks));
    }

    #[test]
    fn a_call_lasts_from_the_end_of_the_one_before() {
        let mut watch = Watch::new(|| NOW.with(Cell::get));
        pass(1000);
        watch.start();
        pass(30);
        assert_eq!(watch.lap(), 30);
        pass(12);
        assert_eq!(watch.lap(), 12);
        assert!(!watch.is_slow(u64::MAX - 1));
        watch.set(Some(40), true);
        assert!(watch.is_slow(40) && !watch.is_slow(39));
    }

    #[test]
    fn reports_of_cores_add_up() {
        let (mut one, mut other) = (Watch::default(), Watch::default());
        one.record(row("get"), 100, false);
        one.record(row("get"), 300, true);
        one.record(row("client|id"), 5, false);
        other.record(row("get"), 1 << 60, false);
        other.reject(row("set"));
        let merged = CommandReport::merge(one.report(true).into_iter().chain(other.report(true)));
        let names: Vec<&str> = merged.iter().map(|report| report.row.name).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let get = merged.iter().find(|report| report.row.name == "get").unwrap();
        assert_eq!((get.calls, get.ticks, get.failed), (3, 400 + (1 << 60), 1));
        let durations = get.durations.as_ref().unwrap();
        assert_eq!((durations.len(), durations.value_at_percentile(50.0)), (3, 301), "two digits: 300 and 301 are one");
        let set = merged.iter().find(|report| report.row.name == "set").unwrap();
        assert!(set.calls == 0 && set.rejected == 1 && set.durations.is_none());
        one.reset();
        assert!(one.report(true).is_empty());
    }

    #[test]
    fn without_tracking_calls_are_counted_but_not_kept() {
        let mut watch = Watch::default();
        watch.set(None, false);
        watch.record(row("get"), 100, false);
        let report = &watch.report(true)[0];
        assert!(report.calls == 1 && report.durations.is_none());
    }
}
