//! Runs small pieces of code and says what they cost: instructions and cache misses by callgrind, which are the same
//! every time, and wall time, which is not.
//!
//! A bench program runs itself: once for wall time, and once a case under valgrind with `--count NAME`, where only what
//! [`counted_region`] calls is counted. It is a folder of modules and no crate, so that a crate's benches see its
//! internals without a crate for benches that everything would depend on; `server/benches` includes this file.
//!
//! The figures of callgrind are those of a processor that fetches nothing ahead, so its misses are the lines that an
//! operation touches for the first time: what prefetching must hide, whether it does or not.
// Benches print: that is what they are for.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long one case is measured at most.
const CASE_TIME: Duration = Duration::from_millis(600);

/// The fewest and the most samples of a case.
const SAMPLES: std::ops::RangeInclusive<usize> = 3..=60;

/// Something that can be measured again and again.
pub trait Bench {
    /// Gets ready for a run; not measured.
    fn prepare(&mut self) {}

    /// What is measured.
    fn run(&mut self);
}

impl<F: FnMut()> Bench for F {
    fn run(&mut self) {
        self();
    }
}

/// A bench that is prepared before each run.
pub struct Prepared<S, P: FnMut(&mut S), R: FnMut(&mut S)> {
    pub state: S,
    pub prepare: P,
    pub run: R,
}

impl<S, P: FnMut(&mut S), R: FnMut(&mut S)> Bench for Prepared<S, P, R> {
    fn prepare(&mut self) {
        (self.prepare)(&mut self.state);
    }

    fn run(&mut self) {
        (self.run)(&mut self.state);
    }
}

/// What a case yields.
enum What<'a> {
    /// Time and instructions for so many operations a run.
    Cost { operations: u64, counted: bool, make: Box<dyn Fn() -> Box<dyn Bench> + 'a> },
    /// A figure that is measured otherwise, in this unit.
    Figure { unit: &'static str, measure: Box<dyn Fn() -> f64 + 'a> },
}

/// The cases of a program.
#[derive(Default)]
pub struct Cases<'a>(Vec<(&'static str, What<'a>)>);

impl<'a> Cases<'a> {
    /// A case of so many operations a run; `make` sets it up.
    pub fn add<B: Bench + 'static>(&mut self, name: &'static str, operations: u64, make: impl Fn() -> B + 'a) {
        let make = Box::new(move || Box::new(make()) as Box<dyn Bench>);
        self.0.push((name, What::Cost { operations, counted: true, make }));
    }

    /// The same for what is too large for callgrind or has several threads: wall time only.
    pub fn add_timed<B: Bench + 'static>(&mut self, name: &'static str, operations: u64, make: impl Fn() -> B + 'a) {
        let make = Box::new(move || Box::new(make()) as Box<dyn Bench>);
        self.0.push((name, What::Cost { operations, counted: false, make }));
    }

    /// A figure that is no cost of an operation.
    pub fn add_figure(&mut self, name: &'static str, unit: &'static str, measure: impl Fn() -> f64 + 'a) {
        self.0.push((name, What::Figure { unit, measure: Box::new(measure) }));
    }

    /// Runs what the command line asks for.
    pub fn run(self, program: &str) {
        let mut options = Options::read();
        if let Some(name) = &options.count {
            return self.count(name);
        }
        options.count_instructions &= valgrind_is_there();
        println!("\n{program:<44}{:>10}{:>9}{:>9}{:>11}{:>11}", "instr/op", "L1 miss", "LL miss", "ns/op", "best ns");
        let mut results = Vec::new();
        for (name, what) in &self.0 {
            if !name.contains(options.filter.as_str()) {
                continue;
            }
            let result = match what {
                What::Figure { unit, measure } => {
                    let value = measure();
                    println!("{name:<44}{value:>30.1} {unit}");
                    format!("\"{name}\":{{\"{unit}\":{value:.2}}}")
                }
                What::Cost { operations, counted, make } => {
                    let events = (*counted && options.count_instructions).then(|| count_in_child(name, *operations));
                    let (median, best) = time(make().as_mut(), *operations);
                    row(name, events, median, best)
                }
            };
            results.push(result);
        }
        if let Some(path) = &options.record {
            record(path, program, &results);
        }
    }

    /// In the child: runs one case under callgrind.
    fn count(self, name: &str) {
        let (_, what) = self.0.iter().find(|case| case.0 == name).expect("the parent asks for a case that there is");
        if let What::Cost { make, .. } = what {
            let mut bench = make();
            bench.prepare();
            bench.run();
            bench.prepare();
            counted_region(bench.as_mut());
        }
    }
}

/// Only what is called from here is counted: callgrind knows the function by its name.
#[inline(never)]
fn counted_region(bench: &mut dyn Bench) {
    bench.run();
    // Keeps the call from becoming a jump, after which callgrind would go on counting.
    std::hint::black_box(&bench);
}

struct Options {
    count: Option<String>,
    record: Option<String>,
    filter: String,
    count_instructions: bool,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { count: None, record: None, filter: String::new(), count_instructions: true };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--count" => options.count = args.next(),
                "--record" => options.record = args.next(),
                "--time-only" => options.count_instructions = false,
                "--bench" => {} // cargo says so
                _ => options.filter = arg,
            }
        }
        options
    }
}

fn valgrind_is_there() -> bool {
    let there = Command::new("valgrind").arg("--version").output().is_ok();
    if !there {
        eprintln!("valgrind is missing: no instructions are counted");
    }
    there
}

/// Instructions, first-level data misses and last-level data misses of one operation.
fn count_in_child(name: &str, operations: u64) -> [f64; 3] {
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--cache-sim=yes", "--collect-atstart=no"])
        // Fixed, or every processor would have other misses: 32 KiB and 1 MiB, as a core of a server has to itself.
        .args(["--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"])
        .arg("--toggle-collect=*counted_region*")
        .arg(std::env::current_exe().unwrap())
        .args(["--count", name])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{name} under valgrind: {text}");
    // "Events : Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw", then "Collected : " and as many numbers; zeros at the end are
    // left out.
    let line = text.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind ends with its sums").1;
    let sums: Vec<f64> = line.split_whitespace().map(|sum| sum.parse().unwrap()).collect();
    let each = |at: usize| sums.get(at).copied().unwrap_or_default() / operations as f64;
    [each(0), each(4) + each(5), each(7) + each(8)]
}

/// Median and minimum of the time of one operation, in nanoseconds.
fn time(bench: &mut dyn Bench, operations: u64) -> (f64, f64) {
    let mut sample = |runs: u32| {
        let mut total = Duration::ZERO;
        for _ in 0..runs {
            bench.prepare();
            let start = Instant::now();
            bench.run();
            total += start.elapsed();
        }
        total
    };
    let once = sample(1).min(sample(1)).max(Duration::from_nanos(20));
    let runs = (Duration::from_millis(2).as_nanos() / once.as_nanos()).clamp(1, 100_000) as u32;
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < *SAMPLES.start() || (begin.elapsed() < CASE_TIME && times.len() < *SAMPLES.end()) {
        times.push(sample(runs).as_nanos() as f64 / (f64::from(runs) * operations as f64));
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

fn row(name: &str, events: Option<[f64; 3]>, median: f64, best: f64) -> String {
    match events {
        Some([instructions, near, far]) => {
            println!("{name:<44}{instructions:>10.1}{near:>9.2}{far:>9.2}{median:>11.2}{best:>11.2}");
            format!(
                "\"{name}\":{{\"instructions\":{instructions:.1},\"l1_misses\":{near:.2},\"ll_misses\":{far:.2},\"ns\":{median:.2},\"best_ns\":{best:.2}}}"
            )
        }
        None => {
            println!("{name:<44}{:>28}{median:>11.2}{best:>11.2}", "");
            format!("\"{name}\":{{\"ns\":{median:.2},\"best_ns\":{best:.2}}}")
        }
    }
}

/// Adds one line to a file of results.
fn record(path: &str, program: &str, results: &[String]) {
    let commit = std::env::var("RINGKEY_COMMIT").unwrap_or_default();
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cpu = cpu.trim_start_matches([' ', '\t', ':']);
    let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let line = format!(
        "{{\"program\":\"{program}\",\"commit\":\"{commit}\",\"unix_seconds\":{seconds},\"cpu\":\"{cpu}\",\"cases\":{{{}}}}}\n",
        results.join(",")
    );
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
