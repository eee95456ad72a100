//! What is sent: a weighted mix of commands over keys and values of given distributions.
//!
//! A [`Workload`] comes from a scenario file, from the names that valkey-benchmark's users know ([`builtin`]), or from a
//! command on the command line. [`crate::load`] compiles it.

mod builtin;
mod scenario;

pub use builtin::{builtin, names};
pub use scenario::{load_scenario, parse_distribution};

use serde::{Deserialize, Serialize};

/// What is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// What results call it.
    pub name: String,
    /// Why one would run it.
    pub description: String,
    /// The mix.
    pub commands: Vec<WeightedCommand>,
    /// Where `{key}` and `{number}` come from.
    pub keys: Keys,
    /// How large `{value}` is.
    pub value: ValueSize,
    /// What `{dump:KEY}` and `{script:NAME}` stand for, by those texts: what the server itself says, asked before a run.
    #[serde(skip)]
    pub answers: Vec<(String, Vec<u8>)>,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            name: "get".into(),
            description: String::new(),
            commands: vec![WeightedCommand::new("GET {key}")],
            keys: Keys::default(),
            value: ValueSize::default(),
            answers: Vec::new(),
        }
    }
}

/// A command of the mix, or several that are sent at once and count as one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedCommand {
    /// Its share, relative to the weights of the others.
    #[serde(default = "one")]
    pub weight: u32,
    /// Words parted by blanks, quoted where they contain some. `{key}` stands for a key, `{value}` for a value and
    /// `{number}` for twelve digits drawn as keys are, `{digits:4}` for the last four of them; each occurrence is drawn anew.
    /// `{again}` stands for the twelve digits of the number that was drawn before it. `{dump:KEY}` stands for what DUMP says
    /// of a key, `{script:NAME}` for what SCRIPT LOAD says of a script.
    pub command: String,
    /// Commands that follow right behind it, as those of a transaction do. The request is answered when the last of
    /// them is. All requests of a mix are of as many commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<String>,
}

fn one() -> u32 {
    1
}

impl WeightedCommand {
    /// A command of weight 1.
    pub fn new(command: &str) -> Self {
        Self { weight: 1, command: command.into(), then: Vec::new() }
    }

    /// All its commands, in the order in which they are sent.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.command).chain(&self.then).map(String::as_str)
    }
}

/// The keys: `prefix` and a number, padded with zeros to `length`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// How many there are.
    pub count: u64,
    /// What each starts with; a hash tag in braces is honoured with `--cluster`.
    pub prefix: String,
    /// Bytes of a whole key.
    pub length: usize,
    /// Which of them are drawn how often.
    pub distribution: Distribution,
}

impl Default for Keys {
    fn default() -> Self {
        Self { count: 1, prefix: "key:".into(), length: 16, distribution: Distribution::Uniform }
    }
}

/// Which keys are drawn how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution {
    /// All equally often.
    #[default]
    Uniform,
    /// The n-th key in proportion to `n` to the power of `-exponent`; key 0 is the most wanted.
    Zipf {
        /// 0 is uniform; caches see 0.6 to 1.1.
        exponent: f64,
    },
    /// One after the other, then from the start again.
    Sequential,
    /// A few keys get most requests.
    HotSet {
        /// The share of the keys that is hot.
        keys_fraction: f64,
        /// The share of the requests that goes there.
        requests_fraction: f64,
    },
}

/// How large values are, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueSize {
    /// All the same.
    Fixed(usize),
    /// Any size between the two, both included.
    Uniform {
        /// The smallest.
        min: usize,
        /// The largest.
        max: usize,
    },
    /// Some sizes, each with its weight.
    Choice(Vec<WeightedSize>),
}

impl Default for ValueSize {
    /// Three bytes, as valkey-benchmark.
    fn default() -> Self {
        Self::Fixed(3)
    }
}

impl ValueSize {
    /// The largest value that comes.
    pub fn max(&self) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform { max, .. } => *max,
            Self::Choice(sizes) => sizes.iter().map(|choice| choice.size).max().unwrap_or(0),
        }
    }
}

/// A size of [`ValueSize::Choice`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedSize {
    /// Bytes.
    pub size: usize,
    /// Its share, relative to the weights of the others.
    #[serde(default = "one")]
    pub weight: u32,
}
