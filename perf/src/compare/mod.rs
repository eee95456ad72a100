//! `ringkey-perf compare`: servers against each other under the same load, interleaved over rounds.
//!
//! - `suite` says what is compared, `figure` what is measured, `filling` what is there before;
//! - `session` goes through rounds and servers, `measure` makes one run, `outside` makes it with valkey-benchmark,
//!   `hand_over` with pairs of clients that wait for each other, `listeners` read what a load publishes;
//! - `record` keeps every run as a line of a file, `summary` says what the runs say, `mean` what several cases say together.

mod figure;
mod filling;
mod hand_over;
mod listeners;
mod mean;
mod measure;
mod outside;
mod record;
mod session;
mod suite;
mod summary;

pub use figure::Figure;
pub use filling::FillStep;
pub use listeners::Listeners;
pub use mean::Mean;
pub use record::Record;
pub use suite::{Case, Change, ClientKind, SHIPPED, Suite};
pub use summary::{CaseSummary, ServerSummary, Verdict};

use crate::error::PerfError;
use crate::machine::{Machine, today};
use crate::servers::{Programs, parse_cpus};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Keys of a case with `--quick`, at most.
const QUICK_KEYS_MAX: u64 = 200_000;

/// Rounds and length of a run with `--quick`.
const QUICK_ROUNDS: usize = 2;
const QUICK_DURATION: Duration = Duration::from_millis(700);

/// Compares servers: starts them, interleaves them over rounds, prints medians, ratios and their spread.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    programs: Programs,
    /// A TOML file, or a suite that is built in; `list` lists those.
    #[arg(long, value_name = "FILE|NAME", default_value = "figures")]
    suite: String,
    /// Only cases whose names begin like this, or like one of these with commas between; `*` stands for any text.
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Only these servers of the suite.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    servers: Vec<String>,
    /// Compare with this server instead.
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// How often everything is run.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long each run is, in seconds.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// Which program makes the load.
    #[arg(long, value_enum)]
    client: Option<ClientKind>,
    /// Use the servers as a cluster, whatever the suite says.
    #[arg(long)]
    cluster: bool,
    /// Processors of the client, such as 1 or 2-3; `all` for no binding.
    #[arg(long, value_name = "LIST")]
    client_cpus: Option<String>,
    /// Threads of the client.
    #[arg(long, value_name = "N")]
    client_threads: Option<usize>,
    /// Few keys, short runs, two rounds: for looking, not for quoting.
    #[arg(long)]
    quick: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    /// Where the line of each run goes; it is added to what is there. [default: perf/results/SUITE-DATE.jsonl]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Run nothing: read the runs of this file and print the summary.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Compares, or reads what was compared, and returns what is to be printed. `say` is told what goes on meanwhile.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> Result<String, PerfError> {
    if options.suite == "list" {
        return list();
    }
    let mut suite = Suite::load(&options.suite)?;
    if let Some(path) = &options.from {
        let records = record::read(path)?;
        return Ok(report(&suite, &records, options.json));
    }
    prepare(&mut suite, options)?;
    let default = || PathBuf::from(format!("perf/results/{}-{}.jsonl", suite.name, today()));
    let path = options.out.clone().unwrap_or_else(default);
    let mut results = record::Results::open(&path)?;
    let rounds = options.rounds.unwrap_or(if options.quick { QUICK_ROUNDS } else { suite.rounds }).max(1);
    say(&format!("{}; every run is a line of {}", Machine::here().describe(), path.display()));
    let session = session::Session { suite: &suite, programs: &options.programs, rounds, results: &mut results, say };
    let outcome = session.run()?;
    for failure in &outcome.failures {
        say(&format!("NOT RUN: {failure}"));
    }
    let mut text = report(&suite, &outcome.records, options.json);
    if !outcome.failures.is_empty() && !options.json {
        let _ = write!(text, "\n### Not run\n\n");
        for failure in &outcome.failures {
            let _ = writeln!(text, "- {}", failure.lines().collect::<Vec<_>>().join(" "));
        }
    }
    Ok(text)
}

fn list() -> Result<String, PerfError> {
    let mut text = String::new();
    for (name, _) in SHIPPED {
        let suite = Suite::load(name)?;
        let _ = writeln!(text, "{name}: {} ({} cases, {} rounds)", suite.about, suite.cases.len(), suite.rounds);
        for case in &suite.cases {
            let _ = writeln!(text, "  {}: {} [{}]", case.name, case.describe(), case.servers.join(" "));
        }
    }
    Ok(text)
}

fn prepare(suite: &mut Suite, options: &Options) -> Result<(), PerfError> {
    suite.narrow(options.only.as_deref(), &options.servers, options.baseline.as_deref())?;
    if options.cluster {
        suite.servers.values_mut().for_each(|setup| setup.cluster = true);
    }
    let duration = match options.duration {
        Some(seconds) => Some(
            Duration::try_from_secs_f64(seconds)
                .map_err(|error| PerfError::Usage(format!("--duration {seconds}: {error}")))?,
        ),
        None => options.quick.then_some(QUICK_DURATION),
    };
    let cpus = match options.client_cpus.as_deref() {
        Some("all") => Some(None),
        Some(text) => Some(Some(parse_cpus(text)?)),
        None => None,
    };
    for case in &mut suite.cases {
        case.duration = duration.unwrap_or(case.duration);
        case.client = options.client.unwrap_or(case.client);
        case.client_threads = options.client_threads.unwrap_or(case.client_threads);
        if let Some(cpus) = &cpus {
            case.client_cpus.clone_from(cpus);
        }
        if options.quick {
            // Where there are fillings, the keys are those.
            if case.fill.is_empty() {
                case.workload.keys.count = case.workload.keys.count.min(QUICK_KEYS_MAX);
            }
        }
    }
    Ok(())
}

fn report(suite: &Suite, records: &[Record], json: bool) -> String {
    let targets = |name: &str| {
        let case = suite.cases.iter().find(|case| case.name == name);
        case.map(|case| case.targets.clone()).unwrap_or_default()
    };
    let cases = summary::sum_up(records, &targets);
    if json {
        return serde_json::to_string_pretty(&cases).expect("all keys are strings and all numbers are numbers") + "\n";
    }
    let mut text = head(records);
    for case in &cases {
        let _ = write!(text, "\n{}", summary::case_text(case));
    }
    let ratios = summary::ratio_table(&cases);
    if !ratios.is_empty() {
        let _ =
            write!(text, "\n### Ratios to the baseline\n\nMedian (smallest - largest) over the rounds.\n\n{ratios}");
    }
    let means = mean::mean_table(&suite.means, &cases);
    if !means.is_empty() {
        let _ = write!(text, "\n### Geometric means of the median ratios\n\n{means}");
    }
    let cores = summary::cores_text(&cases);
    if !cores.is_empty() {
        let line = "A line through cost against share of hops, drawn on to 15 hops in 16 calls.";
        let _ = write!(text, "\n### Cost against cores\n\n{line}\n\n{cores}");
    }
    text
}

fn head(records: &[Record]) -> String {
    let Some(first) = records.first() else { return "No runs.\n".to_owned() };
    let mut versions: Vec<String> = records
        .iter()
        .map(|record| match record.commit.as_str() {
            "" => record.version.clone(),
            commit => format!("{} ({commit})", record.version),
        })
        .collect();
    versions.sort();
    versions.dedup();
    let rounds = records.iter().map(|record| record.round).max().unwrap_or(0);
    format!(
        "## {}, {}\n\n{}. {}. {rounds} rounds.\n",
        first.suite,
        first.date,
        first.machine.describe(),
        versions.join(", ")
    )
}
