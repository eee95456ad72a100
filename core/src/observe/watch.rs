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
const TICKS_MAX: u64 = (1 << 36) - 1;

/// Digits that the durations of calls keep.
const DIGITS: u8 = 2;

/// Bits of a duration that are kept: as many as two digits need.
const KEPT_BITS: u32 = 8;

/// Buckets up to the longest duration.
const BUCKETS: usize = (36 - KEPT_BITS as usize + 2) << (KEPT_BITS - 1);

/// An empty histogram of durations with so many significant digits.
pub(super) fn durations(digits: u8) -> Durations {
    Durations::new_with_bounds(1, TICKS_MAX, digits).expect("the bounds are constants that a test has seen to work")
}

/// The same buckets as those of [`Durations`], and nothing but them: counting a call takes a fifth of the instructions.
#[derive(Clone, Debug)]
struct Buckets(Box<[u64; BUCKETS]>);

impl Buckets {
    fn new() -> Self {
        let counts = vec![0; BUCKETS].into_boxed_slice();
        Self(counts.try_into().expect("a slice of this length was made"))
    }

    /// The bucket of a duration.
    #[inline]
    fn of(ticks: u64) -> usize {
        let ticks = ticks.min(TICKS_MAX);
        let shift = 64 - KEPT_BITS - (ticks | ((1 << KEPT_BITS) - 1)).leading_zeros();
        ((shift as usize) << (KEPT_BITS - 1)) + (ticks >> shift) as usize
    }

    /// The shortest duration in a bucket.
    fn start(bucket: usize) -> u64 {
        let half = 1 << (KEPT_BITS - 1);
        let shift = (bucket / half).saturating_sub(1);
        ((bucket - shift * half) as u64) << shift
    }

    fn durations(&self) -> Durations {
        let mut durations = durations(DIGITS);
        for (bucket, count) in self.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            durations.saturating_record_n(Self::start(bucket), *count);
        }
        durations
    }
}

/// What is known of the calls of one command.
#[derive(Clone, Debug, Default)]
struct Counts {
    calls: u64,
    ticks: u64,
    rejected: u64,
    failed: u64,
    durations: Option<Buckets>,
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
    /// Calls of scripts that nobody has asked for.
    within: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(|| 0)
    }
}

impl Watch {
    /// A watch that reads `clock` and regards no call as slow.
    pub fn new(clock: fn() -> u64) -> Self {
        Self {
            clock,
            last: 0,
            limit: u64::MAX,
            tracks: true,
            counts: vec![Counts::default(); ROW_COUNT].into(),
            within: 0,
        }
    }

    /// A script calls something.
    #[inline]
    pub fn note_within(&mut self) {
        self.within += 1;
    }

    /// How many calls scripts have made since this was asked last: they count as calls of their client.
    #[inline]
    pub fn take_within(&mut self) -> u64 {
        std::mem::take(&mut self.within)
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

    /// When the last call ended, or the next one begins, in ticks.
    #[inline]
    pub fn last(&self) -> u64 {
        self.last
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
            counts.durations.get_or_insert_with(begin).0[Buckets::of(ticks)] += 1;
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
                durations: counts.durations.as_ref().filter(|_| with_durations).map(Buckets::durations),
            })
        };
        table::all().filter_map(of).collect()
    }
}

#[cold]
fn begin() -> Buckets {
    Buckets::new()
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
        assert_eq!(durations.max() >> 28, TICKS_MAX >> 28, "what is longer than all counts as the longest");
        let set = merged.iter().find(|report| report.row.name == "set").unwrap();
        assert!(set.calls == 0 && set.rejected == 1 && set.durations.is_none());
        one.reset();
        assert!(one.report(true).is_empty());
    }

    #[test]
    fn buckets_are_those_of_the_histogram() {
        let histogram = durations(DIGITS);
        let near = (0..36).flat_map(|bit: u32| [-1, 0, 1].map(|off: i64| ((1_i64 << bit) + off).max(0) as u64));
        for ticks in near.chain(0..3000).chain((0..1000).map(|at| at * 68_719_476)) {
            let ticks = ticks.min(TICKS_MAX);
            let start = Buckets::start(Buckets::of(ticks));
            assert!(start <= ticks && histogram.equivalent(start, ticks), "{ticks} is put to {start}");
            assert_eq!(Buckets::of(start), Buckets::of(ticks));
        }
        assert!(Buckets::of(u64::MAX) == BUCKETS - 1);
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
