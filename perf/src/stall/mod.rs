//! `ringkey-perf stall`: the longest stalls while a table grows, shrinks and is flushed, or while a collection of millions
//! of elements is built and unlinked.
//!
//! On a machine that others share, a client sees long waits that the table has nothing to do with. Two things tell them
//! apart. The probe knows from the kernel who waited for a processor; only the rest of a latency is unexplained. And each
//! phase has a twin with the same traffic in which the table stays as it is: writing over all keys is the twin of growing
//! and shrinking, a quiet server that of flushing. What a phase has unexplained beyond its twin, the table may be blamed for.

mod phase;
mod probe;

pub use phase::{Phase, PhaseResult};

use crate::error::PerfError;
use crate::machine::Machine;
use crate::servers::{Kind, Programs, Server, Setup, parse_cpus};
use crate::statistics::Spread;
use crate::table::{Side, Table, short};
use phase::Course;
use std::fmt::Write as _;
use std::time::Duration;

/// Feels for stalls while a table grows from nothing, is overwritten, shrinks, and is flushed; or of large collections.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    programs: Programs,
    /// Servers to start.
    #[arg(long, value_enum, value_name = "KINDS", value_delimiter = ',', default_value = "ringkey,valkey")]
    servers: Vec<Kind>,
    /// Cores of ours.
    #[arg(long, value_name = "N", default_value_t = 1)]
    cores: usize,
    /// Threads of the others.
    #[arg(long, value_name = "N", default_value_t = 1)]
    io_threads: usize,
    /// Keys.
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    keys: u64,
    /// One large hash, set, sorted set and list after the other is built and unlinked, instead of a table of keys.
    #[arg(long)]
    collections: bool,
    /// Elements of each of these collections.
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    elements: u64,
    /// Bytes of each value.
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    value: usize,
    /// Connections that write.
    #[arg(long, value_name = "N", default_value_t = 4)]
    connections: usize,
    /// Requests under way on each.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pipeline: usize,
    /// Questions of the probe in a second.
    #[arg(long, value_name = "N", default_value_t = 2000.0)]
    rate: f64,
    /// Processors of the servers, such as 0; `all` for no binding.
    #[arg(long, value_name = "LIST", default_value = "0")]
    server_cpus: String,
    /// Processors of writers and probe.
    #[arg(long, value_name = "LIST", default_value = "1")]
    client_cpus: String,
    /// Only these phases; what they need is done before without being looked at.
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',')]
    phases: Vec<Phase>,
    /// How often; the servers take turns.
    #[arg(long, value_name = "N", default_value_t = 1)]
    rounds: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Options {
    fn all_phases(&self) -> &'static [Phase] {
        if self.collections { Phase::OF_COLLECTIONS } else { Phase::OF_KEYS }
    }

    /// Keys or elements.
    fn count(&self) -> u64 {
        if self.collections { self.elements } else { self.keys }
    }

    fn what(&self) -> &'static str {
        if self.collections { "elements" } else { "keys" }
    }
}

/// Feels for stalls and returns what is to be printed. `say` is told what goes on meanwhile.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> Result<String, PerfError> {
    if !(options.rate.is_finite() && options.rate >= 1.0) {
        return Err(PerfError::Usage("--rate: at least one question a second".to_owned()));
    }
    if let Some(phase) = options.phases.iter().find(|phase| !options.all_phases().contains(phase)) {
        let usage = format!(
            "--phases: {} is a phase only {} --collections",
            phase.name(),
            if options.collections { "without" } else { "with" }
        );
        return Err(PerfError::Usage(usage));
    }
    let mut results = Vec::new();
    for round in 1..=options.rounds.max(1) {
        let mut kinds = options.servers.clone();
        let by = round % kinds.len().max(1);
        kinds.rotate_left(by);
        for kind in kinds {
            results.extend(one_server(options, kind, round, say)?);
        }
    }
    if options.json {
        let all = serde_json::json!({ "machine": Machine::here(), options.what(): options.count(), "phases": results });
        return Ok(serde_json::to_string_pretty(&all).expect("all keys are strings and all numbers are numbers") + "\n");
    }
    Ok(text(options, &results))
}

fn one_server(
    options: &Options,
    kind: Kind,
    round: usize,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<PhaseResult>, PerfError> {
    let cpus = |text: &str| if text == "all" { Ok(None) } else { parse_cpus(text).map(Some) };
    let threads = if kind == Kind::Ringkey { options.cores } else { options.io_threads };
    let setup = Setup { threads, cpus: cpus(&options.server_cpus)?, ..Setup::plain(kind) };
    let server = Server::start(&options.programs, &setup)?;
    let version = server.info()?.version();
    let course = Course {
        server: &server,
        version: &version,
        keys: options.count(),
        value: options.value,
        connections: options.connections,
        pipeline: options.pipeline,
        rate: options.rate,
        client_cpus: cpus(&options.client_cpus)?,
        round,
    };
    let mut results = Vec::new();
    let all = options.all_phases();
    for phase in all {
        let looked_at = options.phases.is_empty() || options.phases.contains(phase);
        let wanted_later = |later: &&Phase| options.phases.is_empty() || options.phases.contains(later);
        if !all.iter().skip_while(|other| *other != phase).any(|later| wanted_later(&later)) {
            break;
        }
        if let Some(result) = course.run(*phase, looked_at)? {
            let longest = result.longest.first().map_or(Duration::ZERO, |stall| stall.unexplained);
            let (name, ms) = (phase.name(), longest.as_secs_f64() * 1e3);
            say(&format!("round {round}: {version}: {name}: longest {:.3} ms, unexplained {ms:.3} ms", result.max_ms));
            results.push(result);
        }
    }
    Ok(results)
}

fn text(options: &Options, results: &[PhaseResult]) -> String {
    let mut text = format!(
        "## Stalls, {} {}, values of {} B\n\n{}. A probe asks {} times a second; its latency counts from when a question \
         was due. Unexplained is what is left of it without the time that probe or server waited for a processor. \"Beyond\" \
         is the longest unexplained one less that of the twin phase, which has the same traffic and a table that stays as \
         it is. Milliseconds; medians over {} rounds.\n\n",
        options.count(),
        options.what(),
        options.value,
        Machine::here().describe(),
        options.rate,
        options.rounds.max(1),
    );
    text += &summary_table(results, options.all_phases()).markdown();
    let then = format!("{} then", options.what());
    for result in results {
        let _ =
            write!(text, "\n### {}, {}, round {}: the longest\n\n", result.version, result.phase.name(), result.round);
        let mut table = Table::new([
            ("ms", Side::Right),
            ("probe waited", Side::Right),
            ("server waited", Side::Right),
            ("unexplained", Side::Right),
            ("at s", Side::Right),
            (then.as_str(), Side::Right),
        ]);
        for (stall, keys) in result.longest.iter().zip(&result.keys_at_longest) {
            let ms = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
            let times = [stall.latency, stall.probe_waited, stall.server_waited, stall.unexplained].map(ms);
            let place = [format!("{:.3}", stall.at.as_secs_f64()), keys.to_string()];
            table.row(times.into_iter().chain(place));
        }
        text += &table.markdown();
        if !result.server_says.is_empty() {
            let fields: Vec<String> =
                result.server_says.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let _ = writeln!(text, "\nThe server says: {}.", fields.join(", "));
        }
    }
    text
}

fn summary_table(results: &[PhaseResult], phases: &[Phase]) -> Table {
    let numbers = [
        "questions",
        "p50",
        "p99",
        "p99.9",
        "p99.99",
        "longest",
        "unexplained p99.9",
        "unexplained",
        "beyond",
        "longest pass",
        "requests/s",
    ];
    let columns = numbers.map(|name| (name, Side::Right));
    let mut table = Table::new([("server", Side::Left), ("phase", Side::Left)].into_iter().chain(columns));
    let mut versions: Vec<&str> = results.iter().map(|result| result.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    for phase in phases {
        for version in &versions {
            let of = |phase: Phase| results.iter().filter(move |r| r.version == *version && r.phase == phase);
            if of(*phase).next().is_none() {
                continue;
            }
            let median = |value: &dyn Fn(&PhaseResult) -> f64| {
                Spread::of(of(*phase).map(value)).map_or_else(|| "-".to_owned(), |spread| short(spread.median))
            };
            // Phase and twin of the same round.
            let pairs = phase
                .twin()
                .map(|twin| of(*phase).zip(of(twin)).map(|(a, b)| a.unexplained_max_ms - b.unexplained_max_ms));
            let beyond =
                pairs.and_then(Spread::of).map_or_else(|| "-".to_owned(), |spread| short(spread.median.max(0.0)));
            table.row([
                (*version).to_owned(),
                phase.name().to_owned(),
                median(&|result| result.questions as f64),
                median(&|result| result.p50_ms),
                median(&|result| result.p99_ms),
                median(&|result| result.p999_ms),
                median(&|result| result.p9999_ms),
                median(&|result| result.max_ms),
                median(&|result| result.unexplained_p999_ms),
                median(&|result| result.unexplained_max_ms),
                beyond,
                median(&|result| result.longest_pass_ms().unwrap_or(f64::NAN)),
                median(&|result| result.requests_per_second.unwrap_or(f64::NAN)),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(version: &str, phase: Phase, round: usize, unexplained_max_ms: f64) -> PhaseResult {
        PhaseResult { version: version.to_owned(), phase, round, unexplained_max_ms, ..PhaseResult::default() }
    }

    #[test]
    fn the_twin_is_taken_off() {
        let results = [
            result("a 1", Phase::Grow, 1, 3.5),
            result("a 1", Phase::Overwrite, 1, 3.0),
            result("b 1", Phase::Grow, 1, 90.0),
            result("b 1", Phase::Overwrite, 1, 100.0),
            result("a 1", Phase::Grow, 2, 7.5),
            result("a 1", Phase::Overwrite, 2, 3.0),
        ];
        let text = summary_table(&results, Phase::OF_KEYS).markdown();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
        let cells = |line: String| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(cells(line("| a 1    | grow"))[10..12], ["5.50", "2.50"], "{text}");
        assert_eq!(cells(line("| b 1    | grow"))[11], "0.00", "less than the twin is nothing: {text}");
        assert_eq!(cells(line("| a 1    | overwrite"))[11], "-");
    }
}
