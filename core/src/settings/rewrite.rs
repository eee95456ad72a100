//! CONFIG REWRITE as a transformation of text: the settings in force are written into the text of a configuration file that
//! stays the file its owner wrote.
//!
//! Comments, blank lines, order and every line that still says the truth stay as they are, to the byte. A line that no
//! longer does gets the new value in its place, behind the name and the blanks that stood there. Further lines of the same
//! directive go. What differs from the default and has no line yet is added at the end, under [`MARK`]. Lines that would
//! stop the next start (unknown names, open quotes) are kept as comments behind [`BROKEN`].

use super::parse::{Directive, parse_line};
use super::row::{Kind, Row};
use super::rows::Setting;
use super::value::{CLIENT_CLASSES, OutputLimit, Value, render};
use super::{Settings, default_value};
use crate::words::{quote, split_words};
use std::collections::BTreeMap;

/// Stands before the lines that were added.
pub const MARK: &[u8] = b"# Added by CONFIG REWRITE:";

/// Stands before a line that no server could read.
const BROKEN: &[u8] = b"# ??? ";

/// Which settings get a line although the file has none for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Those that differ from their defaults.
    Changed,
    /// All.
    All,
}

/// What becomes of a line of the old text.
enum Line<'a> {
    /// It stays as it is.
    Kept(&'a [u8]),
    /// It is kept as a comment.
    Broken(&'a [u8]),
    /// It is about this setting, which decides.
    About(Setting, &'a [u8], Directive),
    /// These stand in its place, without their ends.
    Replaced(Vec<Vec<u8>>),
}

/// The text of a configuration file that gives `settings`, made from the old text.
///
/// What `include` brings in is not looked at: such a line stays, and a setting that it brings gets a line of its own, too.
pub fn rewrite(text: &[u8], settings: &Settings, extent: Extent) -> Vec<u8> {
    let is_dos = text.split(|byte| *byte == b'\n').next().is_some_and(|line| line.ends_with(b"\r"));
    let mut lines: Vec<Line<'_>> = text.split(|byte| *byte == b'\n').zip(1..).map(read).collect();
    if matches!(lines.last(), Some(Line::Kept(b""))) {
        // Behind the end of the last line there is no line.
        lines.pop();
    }
    let mut places: BTreeMap<Setting, Vec<usize>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        if let Line::About(setting, ..) = line {
            places.entry(*setting).or_default().push(at);
        }
    }
    let mut added = Vec::new();
    for setting in Setting::ALL {
        match places.get(setting) {
            Some(places) => renew(&mut lines, *setting, places, settings),
            None => added.extend(lines_to_add(*setting, settings, extent)),
        }
    }
    let is_marked = lines.iter().any(|line| matches!(line, Line::Kept(text) if text.trim_ascii() == MARK));
    if !added.is_empty() && !is_marked {
        added.insert(0, MARK.to_vec());
    }
    let mut out = Vec::with_capacity(text.len() + 64 * added.len());
    let end: &[u8] = if is_dos { b"\r\n" } else { b"\n" };
    for line in &lines {
        match line {
            Line::Kept(text) | Line::About(_, text, _) => out.extend([text, b"\n".as_slice()].concat()),
            Line::Broken(text) => out.extend([BROKEN, text, b"\n"].concat()),
            Line::Replaced(new) => new.iter().for_each(|line| out.extend([line, end].concat())),
        }
    }
    added.iter().for_each(|line| out.extend([line, end].concat()));
    out
}

fn read((text, number): (&[u8], u32)) -> Line<'_> {
    match parse_line(text, number) {
        Ok(None) => Line::Kept(text),
        Err(_) => Line::Broken(text),
        Ok(Some(directive)) => match Setting::find(&directive.name) {
            Some((setting, _)) => Line::About(setting, text, directive),
            None if Settings::new().apply(&directive).is_err() => Line::Broken(text),
            None => Line::Kept(text),
        },
    }
}

/// Has the lines of a setting say what is in force. Lines that do so stay.
fn renew(lines: &mut [Line<'_>], setting: Setting, places: &[usize], settings: &Settings) {
    let value = settings.value(setting);
    let kind = setting.row().kind;
    let adds_up = matches!(kind, Kind::SavePoints | Kind::OutputLimits);
    // Of a directive of which only the last line counts one line is enough.
    let considered = if adds_up { places } else { &places[..1] };
    let (mut read, mut is_read) = (Settings::new(), true);
    for at in considered {
        if let Line::About(_, _, directive) = &lines[*at] {
            is_read &= read.apply(directive).is_ok();
        }
    }
    let is_absent = stands_for_nothing(setting.row(), value);
    let is_true = is_read && read.value(setting) == value && !is_absent;
    let mut new = match () {
        () if is_true => Vec::new(),
        () if is_absent => Vec::new(),
        () => arguments(setting, value, Some(&read)),
    };
    let replaceable = if is_true { &places[considered.len()..] } else { places };
    let count = replaceable.len();
    for (index, at) in replaceable.iter().enumerate() {
        // The last line takes what is left.
        let take = if index + 1 == count { new.len() } else { new.len().min(1) };
        let taken: Vec<Vec<u8>> = new.drain(..take).collect();
        let Line::About(_, text, _) = &lines[*at] else { continue };
        let head = head_of(text);
        lines[*at] = Line::Replaced(taken.iter().map(|args| [head, b" ", args].concat()).collect());
    }
}

/// The blanks before the name, and the name, as they stand in a line.
fn head_of(line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c);
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let len = line[start..].iter().position(is_blank).unwrap_or(line.len() - start);
    &line[..start + len]
}

fn lines_to_add(setting: Setting, settings: &Settings, extent: Extent) -> Vec<Vec<u8>> {
    let (row, value) = (setting.row(), settings.value(setting));
    let is_wanted = extent == Extent::All || *value != default_value(row);
    if !is_wanted || stands_for_nothing(row, value) {
        return Vec::new();
    }
    let whole = (extent == Extent::All).then_some(settings);
    arguments(setting, value, whole).iter().map(|args| [row.name.as_bytes(), b" ", args].concat()).collect()
}

/// Can a value be had only by no line at all?
fn stands_for_nothing(row: &Row, value: &Value) -> bool {
    match value {
        Value::Text(text) => text.is_empty() && row.default.is_empty(),
        Value::Words(words) => matches!(row.kind, Kind::Primary) && words.is_empty(),
        _ => false,
    }
}

/// What stands behind the name, for each line that the setting needs. `mentioned` are the limits that the old lines gave:
/// a class of clients that stood there stays there.
fn arguments(setting: Setting, value: &Value, mentioned: Option<&Settings>) -> Vec<Vec<u8>> {
    match value {
        Value::Limits(limits) => {
            let defaults = default_value(setting.row());
            let Value::Limits(defaults) = defaults else { unreachable!("a default is of the kind of its row") };
            let stood = mentioned.map_or(defaults, Settings::output_limits);
            let is_all = mentioned.is_some_and(|settings| settings.value(setting) == value);
            let is_needed =
                |class: usize| is_all || limits[class] != defaults[class] || stood[class] != defaults[class];
            (0..limits.len()).filter(|class| is_needed(*class)).map(|class| limit_line(class, limits[class])).collect()
        }
        Value::Words(words) => vec![words_line(words)],
        Value::Numbers(numbers) if numbers.is_empty() => vec![b"\"\"".to_vec()],
        Value::Text(text) => vec![word(text)],
        Value::Number(number) => vec![number_line(setting.row().kind, *number)],
        Value::Flag(_) | Value::Numbers(_) => vec![render(setting.row().kind, value)],
    }
}

fn limit_line(class: usize, limit: OutputLimit) -> Vec<u8> {
    let name = if CLIENT_CLASSES[class] == "slave" { "replica" } else { CLIENT_CLASSES[class] };
    format!("{name} {} {} {}", memory(limit.hard), memory(limit.soft), limit.soft_seconds).into_bytes()
}

fn number_line(kind: Kind, number: i64) -> Vec<u8> {
    match kind {
        Kind::Memory { plain_negative: false, .. } => memory(number as u64).into_bytes(),
        Kind::Memory { plain_negative: true, .. } | Kind::MemoryOrPercent if number >= 0 => {
            memory(number as u64).into_bytes()
        }
        _ => render(kind, &Value::Number(number)),
    }
}

/// An amount of memory in the largest unit that divides it.
fn memory(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{}gb", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}mb", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}kb", bytes >> 10),
        _ => bytes.to_string(),
    }
}

fn words_line(words: &[Box<[u8]>]) -> Vec<u8> {
    match words {
        [] => b"\"\"".to_vec(),
        // A single argument is split once more when it is read.
        [single] if needs_quotes(single) => {
            let mut inner = Vec::new();
            quote(single, &mut inner);
            word(&inner)
        }
        words => words.iter().map(|text| word(text)).collect::<Vec<_>>().join(&b' '),
    }
}

/// A word, in quotes if it needs them.
fn word(text: &[u8]) -> Vec<u8> {
    if !needs_quotes(text) {
        return text.to_vec();
    }
    let mut out = Vec::new();
    quote(text, &mut out);
    out
}

fn needs_quotes(text: &[u8]) -> bool {
    let is_plain = text.iter().all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\' | b'#'));
    !is_plain || split_words(text).is_none_or(|words| words.len() != 1)
}
