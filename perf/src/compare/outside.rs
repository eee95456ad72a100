//! The same load made by the reference's own `valkey-benchmark`: a cross-check of our generator, and a cluster client
//! that is not ours.

use super::suite::Case;
use crate::error::PerfError;
use crate::servers::{Programs, Server, ended_children_ns, on_cpus};
use crate::workload::{Distribution, Keys, ValueSize, Workload};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Digits that valkey-benchmark draws for `__rand_int__`.
const DIGITS: usize = 12;

/// How often the key space is written over to fill it, where a cluster client deals keys to nodes by lot: e^-6 of the
/// keys stay out.
const FILLS: u64 = 6;

/// What valkey-benchmark found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Requests a second.
    pub throughput: f64,
    /// Latencies in microseconds.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
    /// CPU of valkey-benchmark, exact to hundredths of a second.
    pub client_cpu_s: f64,
}

/// Runs the case for so long.
pub fn run(programs: &Programs, server: &Server, case: &Case, duration: Duration) -> Result<Found, PerfError> {
    // It knows whole seconds only.
    let seconds = duration.as_secs_f64().ceil().max(1.0);
    let mut args = vec!["--duration".to_owned(), format!("{seconds:.0}")];
    args.extend(["-P".to_owned(), case.pipeline.to_string()]);
    args.extend(["-c".to_owned(), case.connections.to_string()]);
    if case.client_threads > 1 {
        args.extend(["--threads".to_owned(), case.client_threads.to_string()]);
    }
    let words = command(&case.workload, server.setup().cluster)?;
    start(programs, server, case, args, &words)
}

/// Sets all keys, as a cluster client spreads them.
pub fn fill_cluster(programs: &Programs, server: &Server, case: &Case) -> Result<(), PerfError> {
    let nodes = u64::try_from(server.setup().threads).unwrap_or(1);
    let requests = case.workload.keys.count * FILLS * nodes;
    let args = ["-n", &requests.to_string(), "-P", "32", "-c", "16"].map(str::to_owned).to_vec();
    let fill = Workload {
        commands: vec![crate::workload::WeightedCommand::new("SET {key} {value}")],
        ..case.workload.clone()
    };
    let words = command(&fill, server.setup().cluster)?;
    start(programs, server, case, args, &words).map(|_| ())
}

fn start(
    programs: &Programs,
    server: &Server,
    case: &Case,
    args: Vec<String>,
    words: &[String],
) -> Result<Found, PerfError> {
    let program = programs.peer("valkey-benchmark")?;
    let failed = |error: std::io::Error| PerfError::Other(format!("{}: {error}", program.display()));
    let mut command = Command::new(&program);
    command.args(["--csv", "--precision", "3", "-h", "127.0.0.1", "-p", &server.address().port().to_string()]);
    command.args(["-r", &case.workload.keys.count.to_string(), "-d", &case.workload.value.max().to_string()]);
    command.args(args);
    if server.setup().cluster {
        command.arg("--cluster");
    }
    command.arg("--").args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let before = ended_children_ns();
    let child = on_cpus(case.client_cpus.as_deref(), || command.spawn())?.map_err(failed)?;
    let output = child.wait_with_output().map_err(failed)?;
    let client_cpu_s = ended_children_ns().saturating_sub(before) as f64 / 1e9;
    let text = String::from_utf8_lossy(&output.stdout);
    match parse(&text) {
        Some(found) if output.status.success() => Ok(Found { client_cpu_s, ..found }),
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(PerfError::Other(format!("valkey-benchmark gave no figures ({}): {text}{errors}", output.status)))
        }
    }
}

/// The commands with valkey-benchmark's placeholders, a weight before each and `;` between them.
fn command(workload: &Workload, cluster: bool) -> Result<Vec<String>, PerfError> {
    let cannot = |why: &str| Err(PerfError::Workload { name: workload.name.clone(), why: why.to_owned() });
    let Keys { prefix, length, distribution, .. } = &workload.keys;
    if *length != prefix.len() + DIGITS {
        return cannot("valkey-benchmark draws keys of a prefix and twelve digits only");
    }
    if *distribution != Distribution::Uniform || !matches!(workload.value, ValueSize::Fixed(_)) {
        return cannot("valkey-benchmark draws keys uniformly, and all values have one size");
    }
    if workload.commands.iter().any(|command| !command.then.is_empty()) {
        return cannot("valkey-benchmark knows no requests of several commands");
    }
    let tag = if cluster { "{tag}:" } else { "" };
    let key = format!("{prefix}{tag}__rand_int__");
    let mut words = Vec::new();
    for one in &workload.commands {
        if !words.is_empty() {
            words.push(";".to_owned());
        }
        if workload.commands.len() > 1 {
            words.push(one.weight.to_string());
        }
        let filled = one.command.replace("{key}", &key).replace("{value}", "__data__");
        words.extend(filled.replace("{number}", "__rand_int__").split_whitespace().map(str::to_owned));
    }
    Ok(words)
}

/// The last line of its CSV: `"name","rps","avg","min","p50","p95","p99","max"`, latencies in milliseconds.
fn parse(text: &str) -> Option<Found> {
    let line = text.lines().rev().find(|line| line.starts_with('"'))?;
    let fields: Vec<&str> = line.trim_matches('"').rsplitn(8, "\",\"").collect();
    let number = |from_end: usize| fields.get(from_end)?.parse::<f64>().ok();
    Some(Found {
        throughput: number(6)?,
        p50_us: number(3)? * 1e3,
        p99_us: number(1)? * 1e3,
        max_us: number(0)? * 1e3,
        client_cpu_s: 0.0,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::workload::{WeightedCommand, builtin};

    #[test]
    fn csv_is_read() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
                    \"p99_latency_ms\",\"max_latency_ms\"\n\
                    \"SET a,b __data__\",\"55865.92\",\"0.050\",\"0.016\",\"0.047\",\"0.095\",\"0.127\",\"4.079\"\n";
        let found = parse(text).unwrap();
        assert_eq!(found.throughput, 55_865.92);
        assert!((found.p50_us - 47.0).abs() < 1e-9 && (found.p99_us - 127.0).abs() < 1e-9);
        assert!((found.max_us - 4079.0).abs() < 1e-9);
        assert!(parse("Could not connect").is_none());
        assert!(parse(text.lines().next().unwrap()).is_none(), "a heading without figures");
    }

    #[test]
    fn commands_get_its_placeholders() {
        let get = builtin("get").unwrap();
        assert_eq!(command(&get, false).unwrap(), ["GET", "key:__rand_int__"]);
        assert_eq!(command(&get, true).unwrap(), ["GET", "key:{tag}:__rand_int__"]);
        let commands = vec![WeightedCommand { weight: 9, ..WeightedCommand::new("GET {key}") }];
        let mut mix = Workload { commands, ..get };
        mix.commands.push(WeightedCommand::new("SET {key} {value}"));
        let expected = ["9", "GET", "key:__rand_int__", ";", "1", "SET", "key:__rand_int__", "__data__"];
        assert_eq!(command(&mix, false).unwrap(), expected);
        mix.keys.length = 20;
        assert!(command(&mix, false).is_err());
    }
}
