//! From text to directives: the words of a line with their quotes, the lines of a file, and what is said when one of
//! them is wrong. Reading files is the server's business; so is what stands behind `include`.

use crate::words::split_words;
use std::fmt;

/// One line of a file or one option of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The number of the line, from 1.
    pub line: u32,
    /// The first word, in lower case.
    pub name: Vec<u8>,
    /// The words behind it.
    pub args: Vec<Vec<u8>>,
    /// The line without the blanks around it.
    pub raw: Vec<u8>,
}

impl Directive {
    /// The error that this directive is wrong.
    pub fn error(&self, reason: impl Into<String>) -> ConfigError {
        ConfigError { place: Some((self.line, self.raw.clone())), reason: reason.into() }
    }
}

/// Why the settings cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The line and its number, unless the error is in how lines go together.
    pub place: Option<(u32, Vec<u8>)>,
    /// What is wrong, as Valkey says it.
    pub reason: String,
}

impl ConfigError {
    /// An error that belongs to no line.
    pub fn general(reason: impl Into<String>) -> Self {
        Self { place: None, reason: reason.into() }
    }

    /// The block to print before the process ends, in Valkey's form; `version` is ours.
    pub fn block(&self, version: &str) -> String {
        let place = match &self.place {
            Some((line, raw)) => {
                let raw = String::from_utf8_lossy(raw);
                format!("Reading the configuration file, at line {line}\n>>> '{raw}'\n")
            }
            None => String::new(),
        };
        format!("\n*** FATAL CONFIG FILE ERROR (Version {version}) ***\n{place}{}\n", self.reason)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some((line, raw)) => write!(out, "line {line}: {}: {}", String::from_utf8_lossy(raw), self.reason),
            None => out.write_str(&self.reason),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The directives of a text, one by one, so that a wrong line is met after all lines before it were used.
pub fn directives(text: &[u8]) -> impl Iterator<Item = Result<Directive, ConfigError>> + '_ {
    text.split(|byte| *byte == b'\n').zip(1..).filter_map(|(line, number)| parse_line(line, number).transpose())
}

/// All directives of a text, or its first error.
pub fn parse_text(text: &[u8]) -> Result<Vec<Directive>, ConfigError> {
    directives(text).collect()
}

/// The directive of a line, if it holds one.
pub(super) fn parse_line(line: &[u8], number: u32) -> Result<Option<Directive>, ConfigError> {
    let raw = trim(line);
    if raw.is_empty() || raw[0] == b'#' {
        return Ok(None);
    }
    let wrong = |reason: &str| ConfigError { place: Some((number, raw.to_vec())), reason: reason.to_owned() };
    if raw.contains(&0) {
        return Err(wrong("NUL byte in configuration line"));
    }
    let mut words = split_words(raw).ok_or_else(|| wrong("Unbalanced quotes in configuration line"))?;
    if words.is_empty() {
        return Ok(None);
    }
    let name = words.remove(0).to_ascii_lowercase();
    Ok(Some(Directive { line: number, name, args: words, raw: raw.to_vec() }))
}

fn trim(line: &[u8]) -> &[u8] {
    let is_kept = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = line.iter().position(is_kept).unwrap_or(line.len());
    let end = line.iter().rposition(is_kept).map_or(start, |last| last + 1);
    &line[start..end]
}
