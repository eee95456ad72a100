//! `ringkey-perf run`: flags that valkey-benchmark's users know, and ours.

use crate::PerfError;
use crate::load::{self, Plan, Progress, Target};
use crate::report::{CSV_HEADER, Report};
use crate::workload::{
    Distribution, Keys, ValueSize, WeightedCommand, Workload, builtin, load_scenario, names, parse_distribution,
};
use clap::{ArgAction, Args};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `-t` runs if nothing is said.
const DEFAULT_TESTS: &str = "set,get";

/// The flags of `run`.
#[derive(Args, Clone, Debug)]
#[command(disable_help_flag = true)]
pub struct RunArgs {
    /// Print help (-h is the host, as in valkey-benchmark)
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Host of the server
    #[arg(short = 'h', long = "host", default_value = "127.0.0.1")]
    host: String,
    /// Port of the server
    #[arg(short, long, default_value_t = 6379)]
    port: u16,
    /// Password
    #[arg(short = 'a', value_name = "PASSWORD")]
    password: Option<String>,
    /// User; needs -a
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// Speak RESP3
    #[arg(short = '3')]
    resp3: bool,
    /// Spread over the nodes of CLUSTER SLOTS; each connection sends keys of its node's slots
    #[arg(long)]
    cluster: bool,
    /// Connections in all
    #[arg(short = 'c', long, value_name = "N", default_value_t = 50)]
    connections: usize,
    /// Threads of the client
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Processors that the threads are bound to, such as 1 or 2,3 or 4-7
    #[arg(long, value_name = "LIST", value_parser = parse_cpus)]
    cpus: Option<Cpus>,
    /// Requests in all [default: 100000, or as many as go into --duration]
    #[arg(short = 'n', long, value_name = "N")]
    requests: Option<u64>,
    /// Seconds, the warm-up not counted
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    duration: Option<Duration>,
    /// Seconds of load before recording begins
    #[arg(long, visible_alias = "warmup", value_name = "SECONDS", value_parser = parse_seconds, default_value = "0")]
    warm_up: Duration,
    /// Open loop: requests a second, whatever the server does; latency counts from when each was due
    #[arg(long, visible_alias = "rps", value_name = "REQUESTS")]
    rate: Option<f64>,
    /// Requests under way on a connection
    #[arg(short = 'P', long, value_name = "N", default_value_t = 1)]
    pipeline: usize,
    /// Bytes of a value [default: 3]
    #[arg(short = 'd', long, value_name = "BYTES")]
    data_size: Option<usize>,
    /// Keys; without it there is one
    #[arg(short = 'r', long, value_name = "COUNT")]
    keys: Option<u64>,
    /// uniform, sequential, zipf[:EXPONENT] or hot[:KEYS_FRACTION:REQUESTS_FRACTION]
    #[arg(long, value_name = "LAW", value_parser = parse_distribution)]
    key_distribution: Option<Distribution>,
    /// Tests with the names of valkey-benchmark, parted by commas, run one after the other [default: set,get]
    #[arg(short = 't', long, value_name = "LIST", conflicts_with_all = ["scenario", "command"])]
    tests: Option<String>,
    /// A scenario: a TOML file, or a name in perf/scenarios
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    scenario: Option<String>,
    /// The same seed draws the same keys
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// One line a test, as of valkey-benchmark --csv
    #[arg(long)]
    csv: bool,
    /// One line a test with throughput and median
    #[arg(short, long)]
    quiet: bool,
    /// Write all results with their time series to this file ("-": to the output, instead of text)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write an HdrHistogram interval log to this file
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// A command instead of -t: words, with {key}, {number}, {value}, or __rand_int__ and __data__
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// A list of processors.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cpus(Vec<usize>);

fn parse_cpus(text: &str) -> Result<Cpus, String> {
    let number = |part: &str| part.trim().parse::<usize>().map_err(|_| format!("{part:?} is no processor"));
    let mut cpus = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            Some((first, last)) => cpus.extend(number(first)?..=number(last)?),
            None => cpus.push(number(part)?),
        }
    }
    if cpus.is_empty() { Err("the list is empty".into()) } else { Ok(Cpus(cpus)) }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl RunArgs {
    fn target(&self) -> Result<Target, PerfError> {
        let wrong = |why: String| PerfError::Usage(format!("{}:{}: {why}", self.host, self.port));
        let found = (self.host.as_str(), self.port).to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
        let mut found: Vec<SocketAddr> = found.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        let address = *found.first().ok_or_else(|| wrong("has no address".into()))?;
        Ok(Target {
            address,
            user: self.user.clone(),
            password: self.password.clone(),
            resp3: self.resp3,
            greeting: Vec::new(),
            cluster: self.cluster,
        })
    }

    fn plan(&self) -> Plan {
        Plan {
            threads: self.threads,
            connections: self.connections,
            pipeline: self.pipeline,
            requests: self.requests,
            duration: self.duration,
            rate: self.rate,
            warm_up: self.warm_up,
            cpus: self.cpus.clone().map(|cpus| cpus.0),
            seed: self.seed,
            first_key: 0,
        }
    }

    fn workloads(&self) -> Result<Vec<Workload>, PerfError> {
        let mut workloads = if let Some(scenario) = &self.scenario {
            vec![load_scenario(scenario)?]
        } else if self.command.is_empty() {
            let tests = self.tests.as_deref().unwrap_or(DEFAULT_TESTS);
            let unknown = |name: &str| {
                let known: Vec<_> = names().collect();
                PerfError::Usage(format!("there is no test {name:?}; there are {}", known.join(", ")))
            };
            let tests = tests.split(',').map(str::trim);
            tests.map(|name| builtin(name).ok_or_else(|| unknown(name))).collect::<Result<_, _>>()?
        } else {
            let commands = vec![WeightedCommand::new(&load::quote(&self.command))];
            vec![Workload { name: self.command.join(" "), commands, ..Workload::default() }]
        };
        for workload in &mut workloads {
            if let Some(count) = self.keys {
                workload.keys = Keys { count, ..workload.keys.clone() };
            }
            if let Some(distribution) = self.key_distribution {
                workload.keys.distribution = distribution;
            }
            if let Some(size) = self.data_size {
                workload.value = ValueSize::Fixed(size);
            }
        }
        Ok(workloads)
    }
}

/// Runs what the flags say; results go to `out`.
///
/// # Errors
/// As of [`load::run`], and if a file cannot be written.
pub fn run(args: &RunArgs, out: &mut dyn Write) -> Result<(), PerfError> {
    let target = args.target()?;
    let plan = args.plan();
    let workloads = args.workloads()?;
    let to_output = args.json.as_deref() == Some(Path::new("-"));
    let output = |source| PerfError::File { path: "(output)".into(), source };
    if args.csv && !to_output {
        writeln!(out, "{CSV_HEADER}").map_err(output)?;
    }
    let mut reports = Vec::new();
    for workload in &workloads {
        load::check(workload)?;
    }
    for workload in &workloads {
        let bar = bar(&workload.name);
        let report = load::run(&target, workload, &plan, &mut |progress| show(&bar, progress));
        bar.finish_and_clear();
        let report = report?;
        if !to_output {
            let text = if args.csv {
                report.csv() + "\n"
            } else if args.quiet {
                report.line() + "\n"
            } else {
                report.text()
            };
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(output)?;
        }
        reports.push(report);
    }
    write_files(args, &reports, out)
}

fn write_files(args: &RunArgs, reports: &[Report], out: &mut dyn Write) -> Result<(), PerfError> {
    if let Some(path) = &args.json {
        let all: Vec<_> = reports.iter().map(Report::to_json).collect();
        let write = |out: &mut dyn Write| {
            serde_json::to_writer(&mut *out, &all)?;
            out.write_all(b"\n")
        };
        if path == Path::new("-") { write(out) } else { to_file(path, write) }
            .map_err(|source| PerfError::File { path: path.clone(), source })?;
    }
    if let Some(path) = &args.hdr {
        to_file(path, |out| reports.iter().try_for_each(|report| report.write_hdr_log(out)))
            .map_err(|source| PerfError::File { path: path.clone(), source })?;
    }
    Ok(())
}

fn to_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write(&mut file)?;
    file.flush()
}

/// A progress bar on a terminal, nothing elsewhere.
fn bar(name: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent}% {msg}");
    let bar = ProgressBar::with_draw_target(Some(1000), target).with_prefix(name.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(bar: &ProgressBar, progress: &Progress) {
    if !bar.is_hidden() {
        bar.set_position((progress.fraction * 1000.0) as u64);
        bar.set_message(format!("{:.0} requests/s", progress.rate));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    fn parse(flags: &str) -> Result<RunArgs, clap::Error> {
        Line::try_parse_from(["run"].into_iter().chain(flags.split_whitespace())).map(|line| line.run)
    }

    #[test]
    fn flags_of_valkey_benchmark_are_understood() {
        let flags = "-h localhost -p 7000 -c 10 -n 500 -d 64 -r 100000 -P 16 -t set,GET --threads 2 -a pw --user me -3 \
            --cluster --csv -q --seed 7";
        let args = parse(flags).unwrap();
        let target = args.target().unwrap();
        assert_eq!((target.address.port(), target.resp3, target.cluster), (7000, true, true));
        assert_eq!((target.user.as_deref(), target.password.as_deref()), (Some("me"), Some("pw")));
        let plan = args.plan();
        assert_eq!((plan.connections, plan.pipeline, plan.threads, plan.seed), (10, 16, 2, 7));
        assert_eq!(plan.requests, Some(500));
        let workloads = args.workloads().unwrap();
        assert_eq!(workloads.iter().map(|workload| workload.name.as_str()).collect::<Vec<_>>(), ["set", "get"]);
        assert_eq!((workloads[0].keys.count, &workloads[0].value), (100_000, &ValueSize::Fixed(64)));
    }

    #[test]
    fn our_own_flags_are_understood() {
        let args = parse(
            "--duration 1.5 --rate 1000 --warm-up 0.5 --cpus 1,3-5 --key-distribution zipf:1.2 --scenario cache -r 10",
        );
        let args = args.unwrap();
        let plan = args.plan();
        assert_eq!((plan.duration, plan.warm_up), (Some(Duration::from_millis(1500)), Duration::from_millis(500)));
        assert_eq!((plan.rate, plan.cpus), (Some(1000.0), Some(vec![1, 3, 4, 5])));
        let workload = &args.workloads().unwrap()[0];
        assert_eq!((workload.name.as_str(), workload.keys.count), ("cache", 10));
        assert_eq!(workload.keys.distribution, Distribution::Zipf { exponent: 1.2 });
        assert!(matches!(workload.value, ValueSize::Choice(_)));
    }

    #[test]
    fn a_command_can_be_given_freely() {
        let args = parse("-r 1000 -d 8 ZADD z __rand_int__ -x").unwrap();
        let workload = &args.workloads().unwrap()[0];
        assert_eq!(workload.name, "ZADD z __rand_int__ -x");
        load::check(workload).unwrap();
    }

    #[test]
    fn contradictions_are_refused() {
        for flags in ["-t get --scenario x", "--user x", "--cpus x", "--duration -1", "--scenario x GET a", "--tls"] {
            assert!(parse(flags).is_err(), "{flags}");
        }
        assert!(parse("-t nothing").unwrap().workloads().is_err());
        assert!(parse("--help").is_err_and(|error| error.kind() == clap::error::ErrorKind::DisplayHelp));
    }
}
