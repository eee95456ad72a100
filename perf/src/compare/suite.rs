//! Suites: which servers, which workloads, what is hoped for. One TOML file each, the ones in `perf/suites/` built in.
//!
//! An entry may give several commands, pipelines or value sizes; each combination is a workload of its own, so that a
//! table of the README is one entry here.

use super::figure::Figure;
use super::filling::FillStep;
use super::listeners::Listeners;
use super::mean::Mean;
use crate::error::PerfError;
use crate::servers::Setup;
use crate::workload::{Distribution, Keys, ValueSize, WeightedCommand, Workload, builtin};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// The suites that come with the program.
pub const SHIPPED: &[(&str, &str)] = &[
    ("figures", include_str!("../../suites/figures.toml")),
    ("collections", include_str!("../../suites/collections.toml")),
    ("types", include_str!("../../suites/types.toml")),
    ("atomic", include_str!("../../suites/atomic.toml")),
    ("messages", include_str!("../../suites/messages.toml")),
    ("strings", include_str!("../../suites/strings.toml")),
    ("cores", include_str!("../../suites/cores.toml")),
    ("smoke", include_str!("../../suites/smoke.toml")),
];

/// A suite, its combinations written out.
#[derive(Clone, Debug)]
pub struct Suite {
    /// What results call it.
    pub name: String,
    /// Why one would run it.
    pub about: String,
    /// Rounds, if the command line does not say.
    pub rounds: usize,
    /// The servers by name.
    pub servers: BTreeMap<String, Setup>,
    /// What is run on them.
    pub cases: Vec<Case>,
    /// What is hoped for of several cases together.
    pub means: Vec<Mean>,
}

/// One workload on several servers.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name: the entry's, and what tells it from the other combinations.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// What is measured.
    pub measure: Measure,
    /// What is sent.
    pub workload: Workload,
    /// The scripts of the suite, by name.
    pub scripts: BTreeMap<String, String>,
    /// Requests under way on each connection.
    pub pipeline: usize,
    /// Connections.
    pub connections: usize,
    /// Does the load speak RESP3?
    pub resp3: bool,
    /// Commands that each connection of the load sends before it begins.
    pub greeting: Vec<String>,
    /// Who listens to what the load publishes.
    pub listeners: Option<Listeners>,
    /// Threads of the client.
    pub client_threads: usize,
    /// Processors of the client; none: all.
    pub client_cpus: Option<Vec<usize>>,
    /// Which program makes the load.
    pub client: ClientKind,
    /// Are all keys set before?
    pub prefill: bool,
    /// What is filled in before, instead.
    pub fill: Vec<FillStep>,
    /// Is everything removed and filled in anew before each run, because the load uses it up?
    pub refill: bool,
    /// How long a run is.
    pub duration: Duration,
    /// End after so many requests, if that is earlier.
    pub requests: Option<u64>,
    /// Names of the servers.
    pub servers: Vec<String>,
    /// The one the others are compared with.
    pub baseline: String,
    /// What is hoped for.
    pub targets: Vec<Target>,
}

/// What is measured in a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// A load.
    #[default]
    Load,
    /// CPU of a server that nobody talks to.
    Idle,
    /// Memory of connections that do nothing.
    Connections,
    /// Pairs of clients that hand elements to each other through lists.
    HandOver,
}

/// Which program makes the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    /// This one.
    #[default]
    Ringkey,
    /// The reference's.
    ValkeyBenchmark,
}

/// A figure that is hoped for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Of what.
    pub figure: Figure,
    /// Which server has to reach it; none: every server of ours that is not the baseline.
    #[serde(default)]
    pub server: Option<String>,
    /// Only with this pipeline.
    #[serde(default)]
    pub pipeline: Option<usize>,
    /// Upper bound of the ratio to the baseline.
    #[serde(default)]
    pub ratio_at_most: Option<f64>,
    /// Lower bound of the ratio to the baseline.
    #[serde(default)]
    pub ratio_at_least: Option<f64>,
    /// Upper bound of the difference to the baseline.
    #[serde(default)]
    pub more_at_most: Option<f64>,
    /// Upper bound of the figure itself.
    #[serde(default)]
    pub at_most: Option<f64>,
    /// Upper bound of what the server takes of its own other self, beside what two others take of each other.
    #[serde(default)]
    pub change_at_most: Option<Change>,
}

/// How a server's figure changes, beside how another one's does: `server / from` by `theirs / theirs_from`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The same server without what is looked at.
    pub from: String,
    /// The other server with it.
    pub theirs: String,
    /// And without it.
    pub theirs_from: String,
    /// The bound.
    pub bound: f64,
}

/// A value, or several to go through.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Clone> OneOrMore<T> {
    fn all(&self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value.clone()],
            Self::Many(values) => values.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuiteText {
    name: String,
    #[serde(default)]
    about: String,
    #[serde(default = "five")]
    rounds: usize,
    #[serde(default = "three_seconds")]
    seconds: f64,
    servers: BTreeMap<String, Setup>,
    /// Fillings by name, for cases to share.
    #[serde(default)]
    fills: Fills,
    /// Scripts by name; each is loaded before a case in which `{script:NAME}` is.
    #[serde(default)]
    scripts: BTreeMap<String, String>,
    #[serde(rename = "case")]
    cases: Vec<CaseText>,
    #[serde(rename = "mean", default)]
    means: Vec<Mean>,
}

fn five() -> usize {
    5
}

fn three_seconds() -> f64 {
    3.0
}

type Fills = BTreeMap<String, Vec<FillStep>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseText {
    name: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    measure: Measure,
    /// Names of built-in workloads or commands in words; each is a case of its own.
    #[serde(default)]
    command: Option<OneOrMore<String>>,
    /// Commands of one mix, instead.
    #[serde(default)]
    mix: Vec<WeightedCommand>,
    #[serde(default)]
    pipeline: Option<OneOrMore<usize>>,
    #[serde(default)]
    value: Option<OneOrMore<usize>>,
    #[serde(default)]
    keys: Option<u64>,
    #[serde(default)]
    distribution: Distribution,
    #[serde(default)]
    connections: Option<usize>,
    #[serde(default)]
    resp3: bool,
    #[serde(default)]
    greeting: Vec<String>,
    #[serde(default)]
    listeners: Option<Listeners>,
    #[serde(default)]
    client_threads: Option<usize>,
    #[serde(default)]
    client_cpus: Option<Vec<usize>>,
    #[serde(default)]
    client: ClientKind,
    #[serde(default)]
    prefill: Option<bool>,
    /// Names of fillings.
    #[serde(default)]
    fill: Option<OneOrMore<String>>,
    #[serde(default)]
    refill: bool,
    #[serde(default)]
    seconds: Option<f64>,
    #[serde(default)]
    requests: Option<u64>,
    servers: Vec<String>,
    #[serde(default)]
    baseline: Option<String>,
    #[serde(default)]
    targets: Vec<Target>,
}

impl Suite {
    /// A shipped suite by its name, or a file.
    pub fn load(name: &str) -> Result<Self, PerfError> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(text, Path::new(name));
        }
        let path = Path::new(name);
        let text = std::fs::read_to_string(path).map_err(|source| {
            let names: Vec<&str> = SHIPPED.iter().map(|(shipped, _)| *shipped).collect();
            let shipped = names.join(", ");
            PerfError::Usage(format!("{name}: {source}; it is neither a file nor a suite that is built in ({shipped})"))
        })?;
        Self::parse(&text, path)
    }

    /// Reads a suite; `path` is for errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, PerfError> {
        let wrong = |why: String| PerfError::Scenario { path: path.to_owned(), why };
        let read: SuiteText = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let mut cases = Vec::new();
        for case in &read.cases {
            cases.extend(case.write_out(read.seconds, &read.fills, &read.scripts).map_err(wrong)?);
        }
        let suite = Self {
            name: read.name,
            about: read.about,
            rounds: read.rounds.max(1),
            servers: read.servers,
            cases,
            means: read.means,
        };
        suite.check().map_err(wrong)?;
        Ok(suite)
    }

    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for case in &self.cases {
            let name = &case.name;
            if !names.insert(name) {
                return Err(format!("two cases are called {name}"));
            }
            let known = case.servers.iter().chain([&case.baseline]).all(|server| self.servers.contains_key(server));
            if case.servers.is_empty() || !known {
                return Err(format!("{name}: names a server that is not among the servers, or none"));
            }
            if !case.servers.contains(&case.baseline) {
                return Err(format!("{name}: the baseline {} is not among its servers", case.baseline));
            }
            if case.targets.iter().any(|target| target.bounds().count() != 1) {
                return Err(format!("{name}: a target needs one bound"));
            }
            let changes = case.targets.iter().filter_map(|target| target.change_at_most.as_ref());
            let mut named = changes.flat_map(|change| [&change.from, &change.theirs, &change.theirs_from]);
            if let Some(other) = named.find(|server| !case.servers.contains(*server)) {
                return Err(format!("{name}: a target is about {other}, which is not among its servers"));
            }
            let mut listeners = case.listeners.iter();
            let checked = listeners.try_for_each(|listeners| listeners.check(&case.workload));
            checked.map_err(|error| format!("{name}: {error}"))?;
            case.fill.iter().try_for_each(FillStep::check).map_err(|error| format!("{name}: {error}"))?;
            if case.refill && case.fill.is_empty() {
                return Err(format!("{name}: is to be filled again, but with nothing"));
            }
            crate::load::check(&case.workload).map_err(|error| error.to_string())?;
            let questions = crate::load::questions(&case.workload).map_err(|error| error.to_string())?;
            let mut scripts = questions.iter().filter_map(|question| question.strip_prefix("script:"));
            if let Some(script) = scripts.find(|script| !case.scripts.contains_key(*script)) {
                return Err(format!("{name}: no script is called {script}"));
            }
        }
        let matches = |mean: &&Mean| self.cases.iter().any(|case| begins(&case.name, &mean.cases));
        match self.means.iter().find(|mean| !matches(mean)) {
            Some(mean) => Err(format!("the mean {} is over no case", mean.name)),
            None => Ok(()),
        }
    }

    /// Keeps the cases whose names begin like one of the patterns, and only these servers. A case that loses its baseline takes its
    /// first server; one without servers goes.
    pub fn narrow(&mut self, only: Option<&str>, servers: &[String], baseline: Option<&str>) -> Result<(), PerfError> {
        for name in servers.iter().map(String::as_str).chain(baseline) {
            if !self.servers.contains_key(name) {
                let known = self.servers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(PerfError::Usage(format!("no server is called {name}; there are {known}")));
            }
        }
        if let Some(text) = only {
            let wanted: Vec<&str> = text.split(',').collect();
            self.cases.retain(|case| wanted.iter().any(|pattern| begins(&case.name, pattern)));
        }
        for case in &mut self.cases {
            if !servers.is_empty() {
                case.servers.retain(|server| servers.contains(server));
            }
            let wanted = baseline.unwrap_or(&case.baseline);
            let kept = case.servers.iter().find(|server| *server == wanted).or_else(|| case.servers.first());
            case.baseline = kept.cloned().unwrap_or_default();
        }
        self.cases.retain(|case| !case.servers.is_empty());
        if self.cases.is_empty() {
            return Err(PerfError::Usage("no case is left to run".to_owned()));
        }
        Ok(())
    }
}

impl CaseText {
    fn write_out(&self, seconds: f64, fills: &Fills, scripts: &BTreeMap<String, String>) -> Result<Vec<Case>, String> {
        let fill = self.filling(fills)?;
        let commands = self.command.as_ref().map_or_else(|| vec![String::new()], OneOrMore::all);
        let pipelines = self.pipeline.as_ref().map_or_else(|| vec![1], OneOrMore::all);
        let values = self.value.as_ref().map_or_else(|| vec![64], OneOrMore::all);
        let mut cases = Vec::new();
        for command in &commands {
            for &pipeline in &pipelines {
                for &value in &values {
                    let mut name = self.name.clone();
                    if commands.len() > 1 {
                        name += &format!("-{}", command.split(' ').next().unwrap_or_default().to_lowercase());
                    }
                    if values.len() > 1 {
                        name += &format!("-{}", size_name(value));
                    }
                    if pipelines.len() > 1 {
                        name += &format!("-p{pipeline}");
                    }
                    let case = self.case(name, command, pipeline, value, seconds)?;
                    cases.push(Case { fill: fill.clone(), scripts: scripts.clone(), ..case });
                }
            }
        }
        Ok(cases)
    }

    /// The fillings that it names, one after the other.
    fn filling(&self, fills: &Fills) -> Result<Vec<FillStep>, String> {
        let mut steps = Vec::new();
        for name in self.fill.iter().flat_map(OneOrMore::all) {
            let fill = fills.get(&name).ok_or_else(|| format!("{}: no fill is called {name}", self.name))?;
            steps.extend(fill.iter().cloned());
        }
        Ok(steps)
    }

    fn case(&self, name: String, command: &str, pipeline: usize, value: usize, seconds: f64) -> Result<Case, String> {
        let load = self.measure == Measure::Load;
        if load && (command.is_empty() == self.mix.is_empty()) {
            return Err(format!("{name}: needs a command or a mix, and not both"));
        }
        let mut workload = match builtin(command) {
            Some(workload) => workload,
            None if !self.mix.is_empty() => Workload { commands: self.mix.clone(), ..Workload::default() },
            None if !load => Workload { commands: vec![WeightedCommand::new("PING")], ..Workload::default() },
            None => Workload { commands: vec![WeightedCommand::new(command)], ..Workload::default() },
        };
        workload.name.clone_from(&name);
        workload.keys =
            Keys { count: self.keys.unwrap_or(100_000), distribution: self.distribution, ..Keys::default() };
        workload.value = ValueSize::Fixed(value);
        let seconds = self.seconds.unwrap_or(seconds);
        let duration = Duration::try_from_secs_f64(seconds).map_err(|error| format!("{name}: seconds: {error}"))?;
        let targets = self.targets.iter().filter(|target| target.pipeline.is_none_or(|wanted| wanted == pipeline));
        Ok(Case {
            about: self.about.clone(),
            measure: self.measure,
            workload,
            scripts: BTreeMap::new(),
            pipeline,
            connections: self.connections.unwrap_or(50),
            resp3: self.resp3,
            greeting: self.greeting.clone(),
            listeners: self.listeners.clone(),
            client_threads: self.client_threads.unwrap_or(1),
            client_cpus: self.client_cpus.clone(),
            client: self.client,
            prefill: self.prefill.unwrap_or(load && self.fill.is_none()),
            fill: Vec::new(),
            refill: self.refill,
            duration,
            requests: self.requests,
            servers: self.servers.clone(),
            baseline: self.baseline.clone().or_else(|| self.servers.first().cloned()).unwrap_or_default(),
            targets: targets.cloned().collect(),
            name,
        })
    }
}

impl Case {
    /// May it run in the same processes as the case before it, on the same filled keys?
    pub fn shares_servers_with(&self, other: &Self) -> bool {
        let filled = |case: &Self| match case.fill.is_empty() {
            true => (case.prefill, case.workload.keys.count, case.workload.value.clone(), Vec::new()),
            // With fillings of their own, cases may differ in the keys that they draw.
            false => (case.prefill, 0, case.workload.value.clone(), case.fill.clone()),
        };
        let quiet = |case: &Self| case.measure == Measure::Load;
        self.servers == other.servers
            && filled(self) == filled(other)
            && self.refill == other.refill
            && self.client == other.client
            && quiet(self)
            && quiet(other)
    }

    /// What was run, in one line for people.
    pub fn describe(&self) -> String {
        let keys = self.workload.keys.count;
        match self.measure {
            Measure::Idle => format!("looked at for {:.0} s", self.duration.as_secs_f64()),
            Measure::Connections => format!("{} connections, a PING each", self.connections),
            Measure::HandOver => format!("{} pairs, LPUSH and BLPOP to and fro", self.connections / 2),
            Measure::Load => format!(
                "{}, {} connections{}, pipeline {}, {keys} keys, values of {}{}",
                self.commands(),
                self.connections,
                self.greeting.iter().map(|words| format!(" with {words}")).collect::<String>(),
                self.pipeline,
                size_name(self.workload.value.max()),
                self.listeners.as_ref().map(Listeners::describe).unwrap_or_default()
            ),
        }
    }

    /// The commands, a long one cut.
    pub fn commands(&self) -> String {
        let short = |command: &WeightedCommand| {
            let all: Vec<&str> = command.command.split(' ').collect();
            let words = &all[..all.len().min(4)];
            let more = if all.len() > words.len() { " .." } else { "" };
            let then = match command.then.len() {
                0 => String::new(),
                count => format!(" and {count} more at once"),
            };
            format!("{}{more}{then}", words.join(" "))
        };
        self.workload.commands.iter().map(short).collect::<Vec<_>>().join("; ")
    }
}

impl Target {
    /// Its bounds, of which there should be one: what is judged, whether more is better, the bound.
    pub fn bounds(&self) -> impl Iterator<Item = (Judged, bool, f64)> {
        let bounds = [
            (Judged::Ratio, false, self.ratio_at_most),
            (Judged::Ratio, true, self.ratio_at_least),
            (Judged::Difference, false, self.more_at_most),
            (Judged::Value, false, self.at_most),
            (Judged::Change, false, self.change_at_most.as_ref().map(|change| change.bound)),
        ];
        bounds.into_iter().filter_map(|(judged, more, bound)| Some((judged, more, bound?)))
    }
}

/// What of a figure a target judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Its ratio to the baseline's.
    Ratio,
    /// Its difference to the baseline's.
    Difference,
    /// The figure itself.
    Value,
    /// Its ratio to that of the same server in another setting, by the ratio of two others.
    Change,
}

/// Does the name begin with the pattern, in which `*` stands for any text?
pub fn begins(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name.starts_with(pattern),
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            let mut starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            starts.any(|at| begins(&tail[at..], rest))
        }),
    }
}

/// `64 B`, `10 KB`, `1 MB`, as short as it can be; thousands, as people say them.
fn size_name(bytes: usize) -> String {
    match bytes {
        _ if bytes >= 1_000_000 && bytes.is_multiple_of(1_000_000) => format!("{}MB", bytes / 1_000_000),
        _ if bytes >= 1000 && bytes.is_multiple_of(1000) => format!("{}KB", bytes / 1000),
        _ => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = r#"
        name = "t"
        seconds = 2
        [servers.a]
        kind = "valkey"
        cpus = [0]
        [servers.b]
        kind = "ringkey"
        threads = 2
        args = ["--core-ports", "{port+1}"]
        [[case]]
        name = "base"
        command = ["get", "SET {key} {value}"]
        pipeline = [1, 16]
        servers = ["a", "b"]
        targets = [{ figure = "server_cpu", ratio_at_most = 0.9, pipeline = 16 }]
        [[case]]
        name = "idle"
        measure = "idle"
        servers = ["b"]
    "#;

    fn parse(text: &str) -> Result<Suite, PerfError> {
        Suite::parse(text, Path::new("t.toml"))
    }

    #[test]
    fn combinations_are_written_out() {
        let suite = parse(TEXT).unwrap();
        let names: Vec<&str> = suite.cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["base-get-p1", "base-get-p16", "base-set-p1", "base-set-p16", "idle"]);
        assert_eq!(suite.cases[0].baseline, "a");
        assert!(suite.cases[0].targets.is_empty() && suite.cases[1].targets.len() == 1);
        assert_eq!(suite.cases[3].duration, Duration::from_secs(2));
        assert!(suite.cases[0].prefill && !suite.cases[4].prefill);
        assert!(suite.cases[0].shares_servers_with(&suite.cases[3]));
        assert!(!suite.cases[3].shares_servers_with(&suite.cases[4]));
        assert!(suite.cases[1].describe().contains("GET {key}, 50 connections, pipeline 16, 100000 keys"));
    }

    #[test]
    fn wrong_suites_are_refused() {
        let cases = [
            ("figure = \"server_cpu\"", "figure = \"speed\""),
            ("ratio_at_most = 0.9, ", ""),
            ("servers = [\"b\"]", "servers = [\"c\"]"),
            ("servers = [\"b\"]", "servers = [\"b\"]\nbaseline = \"a\""),
            ("name = \"idle\"", "name = \"base-get-p1\""),
            ("measure = \"idle\"", "measure = \"load\""),
            ("threads = 2", "thread = 2"),
        ];
        for (from, to) in cases {
            assert!(TEXT.contains(from));
            assert!(parse(&TEXT.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn fillings_are_shared() {
        let more = r#"
            [fills]
            lists = [{ command = "RPUSH list:{number}", each = "{value}", keys = 2, elements = 3 }]
            sets = [{ command = "SADD set", each = "m:{element}", elements = 3 }]
            [[case]]
            name = "pop"
            command = "RPOP list:{number}"
            keys = 2
            servers = ["b"]
            fill = ["lists", "sets"]
            refill = true
            [[case]]
            name = "read"
            command = ["SISMEMBER set m", "SCARD set"]
            servers = ["b"]
            fill = "sets"
            [[mean]]
            name = "reads"
            cases = "read"
            figure = "server_cpu"
            ratio_at_most = 0.8
        "#;
        let suite = parse(&format!("{TEXT}{more}")).unwrap();
        let [pop, read, again] = &suite.cases[5..] else { panic!("{:?}", suite.cases) };
        assert!(pop.refill && !pop.prefill && pop.fill.len() == 2 && read.fill.len() == 1);
        assert!(read.shares_servers_with(again) && !pop.shares_servers_with(read));
        for (from, to) in [
            ("fill = \"sets\"", "fill = \"hashes\""),
            ("fill = [\"lists\", \"sets\"]", "fill = []"),
            ("elements = 3", "elements = 0"),
            ("cases = \"read\"", "cases = \"write\""),
        ] {
            assert!(more.contains(from));
            assert!(parse(&format!("{TEXT}{}", more.replace(from, to))).is_err(), "{to}");
        }
    }

    #[test]
    fn suites_are_narrowed() {
        let mut suite = parse(TEXT).unwrap();
        suite.narrow(Some("*-p16,idle"), &["b".to_owned()], None).unwrap();
        assert_eq!(suite.cases.len(), 3);
        assert_eq!(suite.cases[0].baseline, "b", "the one that is left");
        let mut suite = parse(TEXT).unwrap();
        suite.narrow(None, &[], Some("b")).unwrap();
        assert_eq!(suite.cases[0].baseline, "b");
        assert!(suite.narrow(Some("nothing"), &[], None).is_err());
        assert!(parse(TEXT).unwrap().narrow(None, &["c".to_owned()], None).is_err());
    }

    #[test]
    fn shipped_suites_are_right() {
        for (name, _) in SHIPPED {
            let suite = Suite::load(name).unwrap();
            assert_eq!(suite.name, *name);
            assert!(!suite.about.is_empty());
        }
        assert!(Suite::load("no-such-suite").unwrap_err().to_string().contains("figures"));
    }

    #[test]
    fn every_row_of_the_figures_is_there() {
        let suite = Suite::load("figures").unwrap();
        let rows = [
            "one-core-get-p1",
            "one-core-set-p1",
            "one-core-get-p16",
            "one-core-set-p16",
            "one-core-get-p100",
            "one-core-set-p100",
            "many-keys-get",
            "many-keys-set",
            "lone-client-get",
            "lone-client-set",
            "lone-pipeline-get",
            "two-cores-get-p1",
            "two-cores-get-p16",
            "hop-get-p1",
            "hop-get-p16",
            "hop-get-p100",
            "core-ports-p1",
            "ten-keys-mget10",
            "ten-keys-mset10",
            "values-get-10KB",
            "values-set-1MB",
            "idle",
            "connections",
            "cores-p1",
            "cores-p100",
        ];
        for row in rows {
            assert!(suite.cases.iter().any(|case| case.name == row), "{row}");
        }
    }

    #[test]
    fn every_row_of_the_types_is_there() {
        let suite = Suite::load("types").unwrap();
        let rows = [
            "xadd",
            "xread",
            "xreadgroup-xack",
            "bits-setbit",
            "bits-getbit",
            "bitcount",
            "bitop",
            "pfadd",
            "pfcount",
            "geoadd",
            "geosearch",
            "sort",
            "dump-restore-hash",
            "dump-restore-stream",
            "dump-restore-zset",
        ];
        for row in rows {
            let case = suite.cases.iter().find(|case| case.name == row).unwrap_or_else(|| panic!("{row}"));
            assert!(!case.targets.is_empty(), "{row}");
        }
    }

    #[test]
    fn every_row_of_transactions_and_scripts_is_there() {
        let suite = Suite::load("atomic").unwrap();
        let case = |name: &str| suite.cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("{name}"));
        for (name, server, figure, ours) in [
            ("transaction-one-tag", "valkey", Figure::ServerCpu, (Judged::Ratio, false, 0.9)),
            ("transaction-spread", "valkey-free", Figure::ServerCpu, (Judged::Ratio, false, 1.3)),
            ("limiter-one-core", "valkey", Figure::Throughput, (Judged::Ratio, true, 1.2)),
            ("release-one-core", "valkey", Figure::Throughput, (Judged::Ratio, true, 1.2)),
            ("limiter-two-cores", "valkey-io2", Figure::Throughput, (Judged::Ratio, true, 1.3)),
            ("release-two-cores", "valkey-io2", Figure::Throughput, (Judged::Ratio, true, 1.3)),
        ] {
            let case = case(name);
            assert_eq!((case.baseline.as_str(), case.connections), (server, 50), "{name}");
            assert_eq!(case.targets[0].figure, figure, "{name}");
            assert_eq!(case.targets[0].bounds().collect::<Vec<_>>(), [ours], "{name}");
        }
        for name in ["transaction-one-tag", "transaction-spread"] {
            assert_eq!(case(name).workload.commands[0].commands().count(), 7);
        }
        // A lock that is released is not there a second time.
        let release = case("release-one-core");
        let warm_up_and_run = release.requests.unwrap() * 6 / 5;
        assert!(release.refill && warm_up_and_run <= release.workload.keys.count);
        assert_eq!(release.workload.keys.count, release.fill[0].elements);
    }

    #[test]
    fn every_row_of_messages_is_there() {
        let suite = Suite::load("messages").unwrap();
        let case = |name: &str| suite.cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("{name}"));
        let ours = |name: &str| {
            let target = &case(name).targets[0];
            (target.figure, target.bounds().collect::<Vec<_>>())
        };
        for (name, connections, channels) in
            [("publish-to-one", 1, 1), ("publish-to-fifty", 50, 1), ("publish-to-many-channels", 500, 100_000)]
        {
            let listeners = case(name).listeners.as_ref().unwrap();
            assert_eq!((listeners.connections, listeners.channels), (connections, channels), "{name}");
            assert_eq!(case(name).workload.value, ValueSize::Fixed(64), "{name}");
        }
        assert_eq!(ours("publish-to-one"), (Figure::ServerCpu, vec![(Judged::Ratio, false, 0.9)]));
        assert_eq!(ours("publish-to-fifty"), (Figure::Delivered, vec![(Judged::Ratio, true, 1.3)]));
        assert_eq!(ours("publish-to-many-channels"), (Figure::ServerCpu, vec![(Judged::Ratio, false, 0.9)]));
        assert_eq!(ours("tracked-reads"), (Figure::ServerCpu, vec![(Judged::Ratio, false, 0.95)]));
        assert_eq!(ours("notifications"), (Figure::ServerCpu, vec![(Judged::Change, false, 1.0)]));
        let tracked = case("tracked-reads");
        assert!(tracked.resp3 && tracked.prefill && tracked.workload.keys.count == 10_000);
        // As many draws as channels.
        assert_eq!(case("publish-to-many-channels").workload.keys.count, 100_000);
    }

    #[test]
    fn listeners_and_changes_are_read() {
        let more = r#"
            [[case]]
            name = "publish"
            command = "PUBLISH c {value}"
            servers = ["a", "b"]
            listeners = { connections = 2, channel = "c" }
            [[case.targets]]
            figure = "server_cpu"
            server = "b"
            change_at_most = { from = "a", theirs = "a", theirs_from = "b", bound = 1 }
        "#;
        let suite = parse(&format!("{TEXT}{more}")).unwrap();
        let case = suite.cases.last().unwrap();
        assert_eq!(case.listeners.as_ref().map(Listeners::each_message), Some(2));
        assert!(case.describe().ends_with("values of 64B; 2 connections listen to one channel"), "{}", case.describe());
        for (from, to) in [
            ("theirs = \"a\"", "theirs = \"c\""),
            ("connections = 2", "connections = 0"),
            ("PUBLISH c {value}", "PUBLISH d {value}"),
        ] {
            assert!(more.contains(from));
            assert!(parse(&format!("{TEXT}{}", more.replace(from, to))).is_err(), "{to}");
        }
    }

    #[test]
    fn scripts_are_named() {
        let script = "[scripts]\nnothing = \"return 0\"\n";
        let text = TEXT
            .replace("SET {key} {value}", "EVALSHA {script:nothing} 0")
            .replace("[servers.a]", &format!("{script}[servers.a]"));
        assert_eq!(parse(&text).unwrap().cases[2].scripts["nothing"], "return 0");
        assert!(parse(&text.replace("nothing =", "something =")).is_err());
    }

    #[test]
    fn names_match_by_their_beginning() {
        assert!(begins("cores-p1", "cores") && !begins("two-cores-p1", "cores"));
        assert!(begins("two-cores-p1", "*cores") && begins("two-cores-get-p1", "two*get") && begins("x", ""));
        assert!(!begins("two-cores-get-p1", "two*set"));
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!([64, 1024, 10_000, 1_000_000].map(size_name), ["64B", "1024B", "10KB", "1MB"]);
    }
}
