//! INFO of commands: `commandstats` and `latencystats` as Valkey has them, and `commandpaths`, which tells how long requests
//! took from the socket to the reply and how long calls were away on other cores.

use super::Sample;
use crate::clock;
use crate::state::State;
use ringkey_core::observe::{CommandReport, Durations, PathReport};
use ringkey_core::settings::Setting;
use std::fmt::Write as _;

/// What INFO shows of commands needs more than counters, so a core tells it only if it is wanted.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Details {
    /// Counts (section `commandstats`).
    pub commands: bool,
    /// Durations (section `latencystats`).
    pub durations: bool,
    /// Ways (section `commandpaths`).
    pub paths: bool,
}

/// Section `commandstats`.
pub fn counts(text: &mut String, _: &State, samples: &[Sample]) {
    write_counts(text, &merged(samples));
}

/// Section `latencystats`.
pub fn percentiles(text: &mut String, state: &State, samples: &[Sample]) {
    write_percentiles(text, &merged(samples), state.settings.words(Setting::LatencyTrackingInfoPercentiles));
}

/// Section `commandpaths`.
pub fn paths(text: &mut String, state: &State, samples: &[Sample]) {
    let reports = PathReport::merge(samples.iter().flat_map(|sample| sample.paths.iter().cloned()));
    write_paths(text, &reports, state.settings.words(Setting::LatencyTrackingInfoPercentiles));
}

fn merged(samples: &[Sample]) -> Vec<CommandReport> {
    CommandReport::merge(samples.iter().flat_map(|sample| sample.commands.iter().cloned()))
}

/// Lines `cmdstat_NAME`.
fn write_counts(text: &mut String, reports: &[CommandReport]) {
    for report in reports {
        let micros = clock::nanos_of(report.ticks) as f64 / 1000.0;
        let average = if report.calls == 0 { 0.0 } else { micros / report.calls as f64 };
        let _ = write!(
            text,
            "cmdstat_{}:calls={},usec={},usec_per_call={average:.2},rejected_calls={},failed_calls={}\r\n",
            report.row.name, report.calls, micros as u64, report.rejected, report.failed
        );
    }
}

/// Lines `latency_percentiles_usec_NAME`.
fn write_percentiles(text: &mut String, reports: &[CommandReport], percentiles: &[Box<[u8]>]) {
    for report in reports {
        if let Some(durations) = &report.durations {
            let _ = write!(text, "latency_percentiles_usec_{}:{}\r\n", report.row.name, shown(durations, percentiles));
        }
    }
}

/// Lines `path_NAME`: answers and hops, each with their number and percentiles.
fn write_paths(text: &mut String, reports: &[PathReport], percentiles: &[Box<[u8]>]) {
    for report in reports {
        let parts = [("answer", &report.answers), ("hop", &report.hops)];
        let parts: Vec<String> = parts
            .into_iter()
            .filter_map(|(name, durations)| {
                let durations = durations.as_ref()?;
                let mut part = format!("{name}s={}", durations.len());
                for (percentile, micros) in values(durations, percentiles) {
                    let _ = write!(part, ",{name}_usec_p{percentile}={micros:.3}");
                }
                Some(part)
            })
            .collect();
        let _ = write!(text, "path_{}:{}\r\n", report.row.name, parts.join(","));
    }
}

fn shown(durations: &Durations, percentiles: &[Box<[u8]>]) -> String {
    let parts: Vec<String> =
        values(durations, percentiles).map(|(percentile, micros)| format!("p{percentile}={micros:.3}")).collect();
    parts.join(",")
}

/// Percentiles as the settings write them, with their values in microseconds.
fn values<'a>(durations: &'a Durations, percentiles: &'a [Box<[u8]>]) -> impl Iterator<Item = (&'a str, f64)> {
    percentiles.iter().filter_map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        let ticks = durations.value_at_percentile(word.parse().ok()?);
        Some((word, clock::nanos_of(ticks) as f64 / 1000.0))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringkey_core::command::table;
    use ringkey_core::observe::{Paths, Watch};

    #[test]
    fn lines_of_a_command() {
        let get = table::lookup(b"get").unwrap();
        let mut watch = Watch::default();
        watch.record(get, clock::ticks_of(3000), false);
        watch.record(get, clock::ticks_of(1000), true);
        let mut text = String::new();
        write_counts(&mut text, &watch.report(false));
        assert!(
            text.starts_with("cmdstat_get:calls=2,usec=3,usec_per_call=2.00,") || text.contains("usec=4,"),
            "{text}"
        );
        assert!(text.ends_with("rejected_calls=0,failed_calls=1\r\n"), "{text}");
        let percentiles = [Box::from(&b"50"[..]), Box::from(&b"99.9"[..])];
        let mut text = String::new();
        write_percentiles(&mut text, &watch.report(true), &percentiles);
        assert!(text.starts_with("latency_percentiles_usec_get:p50=1.0") && text.contains(",p99.9=3.0"), "{text}");
        let mut paths = Paths::default();
        paths.answered(get.id, 4, 0);
        paths.written(clock::ticks_of(10_000));
        paths.came_back(get.id, 1, clock::ticks_of(5_000));
        let mut text = String::new();
        write_paths(&mut text, &paths.report(), &percentiles);
        assert!(text.starts_with("path_get:answers=4,answer_usec_p50="), "{text}");
        assert!(text.contains(",hops=1,hop_usec_p50="), "{text}");
    }
}
