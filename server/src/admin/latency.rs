//! LATENCY: events that took long, and how the durations of commands are spread.

use super::{Then, write_help};
use crate::clock;
use crate::mailbox::letter::{Answer, Question};
use crate::session::Session;
use crate::state::State;
use ringkey_core::command::{Admin, Command, table};
use ringkey_core::observe::latency_events::Series;
use ringkey_core::observe::{CommandReport, Durations, LatencyEvents};
use ringkey_core::resp::{Args, CommandError, Reply};
use std::fmt::Write as _;
use std::sync::Arc;

const HELP: &[&str] = &[
    "DOCTOR",
    "    What the recorded delays say, in plain words.",
    "GRAPH <event>",
    "    A drawing of the delays of an event.",
    "HISTOGRAM [<command> ...]",
    "    How long the calls of these commands took, or of all: how many took at most so many microseconds.",
    "HISTORY <event>",
    "    The delays of an event, with their times.",
    "LATEST",
    "    Each event with its latest delay, its longest, the sum of all and their number.",
    "RESET [<event> ...]",
    "    Forget these events, or all.",
];

/// Durations of calls are counted up to 1024 ns times powers of two, as Valkey shows them.
const FIRST_STEP_NANOS: u64 = 1024;

/// The last step holds everything that is longer.
const STEPS: usize = 21;

/// Columns of a drawing.
const COLUMNS: usize = 80;

/// Rows of a drawing.
const ROWS: usize = 4;

/// What is done with latency events.
#[derive(Clone, Debug)]
pub enum LatencyOrder {
    /// Tell them.
    Events,
    /// Forget those of these names, or all.
    Reset(Arc<Vec<Vec<u8>>>),
    /// Tell the durations of commands.
    Durations,
}

/// What a client wants to know of them.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// LATEST
    Latest,
    /// HISTORY of an event
    History(Vec<u8>),
    /// GRAPH of an event
    Graph(Vec<u8>),
    /// DOCTOR
    Doctor,
    /// RESET: how many there were
    Count,
    /// HISTOGRAM of these commands, or all
    Histogram(Option<Vec<&'static Command>>),
}

/// Carries out a subcommand of LATENCY.
///
/// # Errors
/// None: refusals come with the answers.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    let words = || args.iter_from(2).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (order, wanted) = match admin {
        Admin::LatencyDoctor => (LatencyOrder::Events, Wanted::Doctor),
        Admin::LatencyGraph => (LatencyOrder::Events, Wanted::Graph(args.get(2).to_vec())),
        Admin::LatencyHistory => (LatencyOrder::Events, Wanted::History(args.get(2).to_vec())),
        Admin::LatencyLatest => (LatencyOrder::Events, Wanted::Latest),
        Admin::LatencyReset => (LatencyOrder::Reset(Arc::new(words())), Wanted::Count),
        Admin::LatencyHistogram => (LatencyOrder::Durations, Wanted::Histogram(wanted_rows(args))),
        _ => {
            write_help(session, "LATENCY", HELP);
            return Ok(());
        }
    };
    state.gather_from_all(session, &Question::Latency(order), Then::Latency(wanted));
    Ok(())
}

/// The rows that LATENCY HISTOGRAM names: a container stands for its subcommands.
fn wanted_rows(args: &Args<'_>) -> Option<Vec<&'static Command>> {
    if args.len() == 2 {
        return None;
    }
    let rows = args.iter_from(2).filter_map(table::lookup_full);
    Some(rows.flat_map(|row| std::iter::once(row).chain(row.existing_subcommands())).collect())
}

/// What this core has seen.
pub fn answer(state: &mut State, order: &LatencyOrder) -> Answer {
    match order {
        LatencyOrder::Events => Answer::LatencyEvents(state.latency_events.clone()),
        LatencyOrder::Reset(events) => Answer::Names(state.latency_events.reset(events)),
        LatencyOrder::Durations => Answer::Commands(state.site.watch.report(true)),
    }
}

/// Writes what all cores have seen.
pub fn write(state: &mut State, session: &mut Session, wanted: &Wanted, answers: Vec<(usize, Answer)>) {
    let (mut events, mut names, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    for (_, answer) in answers {
        match answer {
            Answer::LatencyEvents(of_core) => events.push(of_core),
            Answer::Names(of_core) => names.extend(of_core),
            Answer::Commands(of_core) => reports.extend(of_core),
            _ => {}
        }
    }
    let events = LatencyEvents::merge(events);
    let reply = &mut Reply::new(&mut session.output.pending, session.protocol);
    match wanted {
        Wanted::Latest => write_latest(reply, &events),
        Wanted::History(event) => {
            let samples = events.find(event).map_or(&[][..], |(_, series)| &series.samples);
            reply.array(samples.len());
            for sample in samples {
                reply.array(2);
                reply.integer(sample.seconds);
                reply.integer(sample.millis as i64);
            }
        }
        Wanted::Graph(event) => match events.find(event) {
            Some((name, series)) => reply.verbatim("txt", graph(name, series, state.now.as_seconds()).as_bytes()),
            None => {
                let event = String::from_utf8_lossy(event).into_owned();
                let error = CommandError::owned(format!("No samples available for event '{event}'"));
                state.site.errors.note(error.code());
                reply.error(&error);
            }
        },
        Wanted::Doctor => {
            let text = doctor(&events, state.tuning.observed.latency_ms, state.tuning.observed.slow_micros);
            reply.verbatim("txt", text.as_bytes());
        }
        Wanted::Count => {
            names.sort_unstable();
            names.dedup();
            reply.integer(names.len() as i64);
        }
        Wanted::Histogram(rows) => write_histograms(reply, &CommandReport::merge(reports), rows.as_deref()),
    }
}

fn write_latest(reply: &mut Reply<'_>, events: &LatencyEvents) {
    reply.array(events.iter().count());
    for (event, series) in events.iter() {
        let latest = series.latest();
        reply.array(6);
        reply.bulk(event.as_bytes());
        reply.integer(latest.map_or(0, |sample| sample.seconds));
        reply.integer(latest.map_or(0, |sample| sample.millis as i64));
        reply.integer(series.worst as i64);
        reply.integer(series.sum as i64);
        reply.integer(series.count as i64);
    }
}

fn write_histograms(reply: &mut Reply<'_>, reports: &[CommandReport], rows: Option<&[&Command]>) {
    let known = |row: &Command| reports.iter().find(|report| report.row.id == row.id && report.durations.is_some());
    let shown: Vec<&CommandReport> = match rows {
        Some(rows) => rows.iter().filter_map(|row| known(row)).collect(),
        None => reports.iter().filter(|report| report.durations.is_some()).collect(),
    };
    reply.map(shown.len());
    for report in shown {
        let Some(durations) = &report.durations else { continue };
        reply.bulk(report.row.name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(durations.len() as i64);
        reply.bulk(b"histogram_usec");
        let steps = steps(durations);
        reply.map(steps.len());
        for (micros, count) in steps {
            reply.integer(micros as i64);
            reply.integer(count as i64);
        }
    }
}

/// How many calls took at most so many microseconds, for those steps that add some.
fn steps(durations: &Durations) -> Vec<(u64, u64)> {
    // Two significant digits: a step reaches as far as what cannot be told from its end.
    let ends: [u64; STEPS] = std::array::from_fn(|step| (FIRST_STEP_NANOS << step) * 129 / 128 - 1);
    let mut counts = [0; STEPS];
    for value in durations.iter_recorded() {
        let nanos = clock::nanos_of(value.value_iterated_to());
        let step = ends.partition_point(|end| *end < nanos).min(STEPS - 1);
        counts[step] += value.count_since_last_iteration();
    }
    let mut sum = 0;
    let mut steps = Vec::new();
    for (step, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        sum += count;
        let end = if step == STEPS - 1 { FIRST_STEP_NANOS << step } else { ends[step] };
        steps.push((end / 1000, sum));
    }
    steps
}

/// Bars, the latest on the right, and under each how long ago it was.
fn graph(event: &str, series: &Series, now: i64) -> String {
    let samples = &series.samples[series.samples.len().saturating_sub(COLUMNS)..];
    let high = samples.iter().map(|sample| sample.millis).max().unwrap_or(0);
    let low = samples.iter().map(|sample| sample.millis).min().unwrap_or(0);
    let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", series.worst);
    let _ = writeln!(text, "{}", "-".repeat(COLUMNS));
    // Half rows: a bar ends in a low or a high mark.
    let top = (2 * ROWS) as u64;
    let heights: Vec<usize> = samples
        .iter()
        .map(|sample| (((sample.millis - low) * (top - 1)).checked_div(high - low).unwrap_or(top - 1) + 1) as usize)
        .collect();
    for row in (0..ROWS).rev() {
        let marks = heights.iter().map(|height| match height.saturating_sub(2 * row) {
            0 => ' ',
            1 => '.',
            2 => ':',
            _ => '|',
        });
        let _ = writeln!(text, "{}", marks.collect::<String>().trim_end());
    }
    text.push('\n');
    let ages: Vec<String> = samples.iter().map(|sample| age((now - sample.seconds).max(0))).collect();
    for row in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        let line: String = ages.iter().map(|age| age.chars().nth(row).unwrap_or(' ')).collect();
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// A time span in its largest unit: `59s`, `3m`, `2h`, `7d`.
fn age(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// What an operator should know and look at.
fn doctor(events: &LatencyEvents, threshold_ms: Option<u64>, slow_micros: Option<u64>) -> String {
    let Some(threshold) = threshold_ms else {
        return "Delays are not recorded: the latency monitor is disabled. 'CONFIG SET latency-monitor-threshold <milliseconds>' \
                switches it on.\n"
            .to_owned();
    };
    if events.iter().next().is_none() {
        return format!("Nothing has taken {threshold} ms or longer so far. All is well.\n");
    }
    let mut text = String::from("Some things took long on this server:\n\n");
    for (at, (event, series)) in events.iter().enumerate() {
        let count = series.samples.len().max(1) as u64;
        let average = series.samples.iter().map(|sample| sample.millis).sum::<u64>() / count;
        let deviation = series.samples.iter().map(|sample| sample.millis.abs_diff(average)).sum::<u64>() / count;
        let span = match (series.samples.first(), series.samples.last()) {
            (Some(first), Some(last)) => last.seconds - first.seconds,
            _ => 0,
        };
        let _ = writeln!(
            text,
            "{}. {event}: {} delays in {count} seconds out of {span} (average {average} ms, mean deviation {deviation} ms). Longest: {} ms.",
            at + 1,
            series.count,
            series.worst
        );
    }
    text.push_str("\nWhat may help:\n\n");
    let has = |event: &str| events.find(event.as_bytes()).is_some();
    if has("command") || has("fast-command") {
        match slow_micros {
            Some(micros) if micros <= threshold.saturating_mul(1000) => {
                text.push_str("- SLOWLOG GET names the calls that took so long.\n");
            }
            _ => text.push_str(
                "- 'CONFIG SET slowlog-log-slower-than <microseconds>' with a value below the threshold has SLOWLOG tell which calls they are.\n",
            ),
        }
        text.push_str(
            "- A call that touches very many elements or bytes keeps its core from all others: split it, or the key.\n",
        );
    }
    if has("fast-command") {
        text.push_str(
            "- Even calls that take constant time were slow: look whether the machine swaps, is overcommitted, or runs more busy threads than \
             it has processors (INFO cores shows how busy each core is).\n",
        );
    }
    if has("expire-cycle") {
        text.push_str("- Very large values expire at once: 'lazyfree-lazy-expire yes' frees them in small steps.\n");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_valkey() {
        let mut durations = Durations::new_with_bounds(1, 1 << 40, 2).unwrap();
        for nanos in [1, 1000, 5_000, 16_400, 20_000, 900_000, 5_000_000_000] {
            durations.saturating_record(clock::ticks_of(nanos).max(1));
        }
        let steps = steps(&durations);
        assert_eq!(steps, [(1, 2), (8, 3), (16, 4), (33, 5), (1056, 6), (1_073_741, 7)]);
    }

    #[test]
    fn a_drawing_has_its_numbers() {
        let mut events = LatencyEvents::default();
        for (second, millis) in [(1, 300), (5, 500), (70, 400)] {
            events.note("command", second, millis);
        }
        let (name, series) = events.find(b"command").unwrap();
        let text = graph(name, series, 71);
        assert!(text.starts_with("command - high 500 ms, low 300 ms (all time high 500 ms)\n"), "{text}");
        assert!(text.ends_with("111\nmms\n"), "{text}");
        assert!(doctor(&events, Some(100), Some(10)).contains("command: 3 delays"));
        assert!(doctor(&events, None, None).contains("disabled"));
    }
}
