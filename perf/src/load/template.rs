//! Requests as bytes with holes: a workload is compiled once, and a request is then a copy with some digits changed.

use super::keys::Drawer;
use crate::PerfError;
use crate::workload::{ValueSize, WeightedCommand, Workload};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::ops::Range;

/// Digits of `{number}`, as of valkey-benchmark's `__rand_int__`.
const NUMBER_DIGITS: usize = 12;

/// A number to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// Where its digits are in the chunk; only those that can change.
    pub digits: Range<usize>,
    /// The word that it is part of, if that word is a key, which then must belong to the node of the connection.
    pub key: Option<Range<usize>>,
    /// Is it the number of the hole before it, once more?
    pub again: bool,
}

/// A run of bytes of fixed length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The bytes, holes filled with zeros.
    pub bytes: Vec<u8>,
    /// The holes.
    pub holes: Vec<Hole>,
}

impl Chunk {
    /// Adds what comes right behind it.
    fn append(&mut self, more: Self) {
        let start = self.bytes.len();
        let moved = |range: Range<usize>| range.start + start..range.end + start;
        self.bytes.extend(more.bytes);
        self.holes.extend(more.holes.into_iter().map(|hole| Hole {
            digits: moved(hole.digits),
            key: hole.key.map(moved),
            again: hole.again,
        }));
    }
}

/// A piece of a request.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    /// Bytes of fixed length.
    Chunk(Chunk),
    /// A word with a value whose size is drawn.
    Sized {
        /// What stands in the word before the value.
        before: Vec<u8>,
        /// What stands after it.
        after: Vec<u8>,
    },
}

/// A command of the mix.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// Its pieces. One chunk if its length is always the same.
    pub segments: Vec<Segment>,
    /// The longest request.
    pub max_len: usize,
    /// The key, if it has no hole: such a command goes to one node only.
    pub fixed_key: Option<Vec<u8>>,
}

impl Template {
    /// The holes that are in keys, with their chunks.
    pub(super) fn keys_with_holes(&self) -> impl Iterator<Item = (&Chunk, &Hole)> {
        self.segments.iter().flat_map(|segment| {
            let chunk = match segment {
                Segment::Chunk(chunk) => Some(chunk),
                Segment::Sized { .. } => None,
            };
            let holes = chunk.into_iter().flat_map(|chunk| chunk.holes.iter().map(move |hole| (chunk, hole)));
            // What repeats a number has no say in which it is.
            holes.filter(|(_, hole)| hole.key.is_some() && !hole.again)
        })
    }
}

/// A workload, compiled.
#[derive(Debug)]
pub(super) struct Program {
    /// The commands.
    pub templates: Vec<Template>,
    /// The weights of the commands up to each, summed.
    pub weights: Vec<u64>,
    /// Draws keys.
    pub drawer: Drawer,
    /// Sizes of values.
    pub value: ValueSize,
    /// Weights of a choice of sizes, summed.
    pub size_weights: Vec<u64>,
    /// What values consist of, as long as the longest.
    pub body: Vec<u8>,
    /// The longest request.
    pub max_len: usize,
    /// Replies to each request: one, or several if it is several commands.
    pub replies: u64,
}

impl Program {
    /// # Errors
    /// Says what is wrong with the workload.
    pub(super) fn compile(workload: &Workload, seed: u64) -> Result<Self, PerfError> {
        let wrong = |why: String| PerfError::Workload { name: workload.name.clone(), why };
        let drawer = Drawer::new(workload.keys.count, workload.keys.distribution).map_err(wrong)?;
        let body = body(workload.value.max(), seed);
        let compiler = Compiler::new(workload, &body).map_err(wrong)?;
        let templates: Result<Vec<_>, String> =
            workload.commands.iter().map(|command| compiler.request(command.commands())).collect();
        let templates = templates.map_err(wrong)?;
        let replies = workload.commands.first().map_or(1, |command| command.commands().count());
        if workload.commands.iter().any(|command| command.commands().count() != replies) {
            return Err(wrong("requests of a mix are of as many commands each".into()));
        }
        let weights = summed(workload.commands.iter().map(|command| command.weight));
        if weights.last().is_none_or(|sum| *sum == 0) {
            return Err(wrong("there is no command with a weight above 0".into()));
        }
        let size_weights = match &workload.value {
            ValueSize::Choice(sizes) => summed(sizes.iter().map(|size| size.weight)),
            ValueSize::Uniform { min, max } if min > max => return Err(wrong(format!("sizes from {min} to {max}"))),
            _ => vec![1],
        };
        if size_weights.last().is_none_or(|sum| *sum == 0) {
            return Err(wrong("there is no size of values with a weight above 0".into()));
        }
        let max_len = templates.iter().map(|template| template.max_len).max().unwrap_or(0);
        let (value, replies) = (workload.value.clone(), replies as u64);
        Ok(Self { templates, weights, drawer, value, size_weights, body, max_len, replies })
    }

    /// The only command, if all requests are of one length: then a send buffer is rendered once and only holes change.
    pub(super) fn only_chunk(&self) -> Option<&Chunk> {
        match self.templates.as_slice() {
            [Template { segments, .. }] => match segments.as_slice() {
                [Segment::Chunk(chunk)] => Some(chunk),
                _ => None,
            },
            _ => None,
        }
    }
}

fn summed(weights: impl Iterator<Item = u32>) -> Vec<u64> {
    weights
        .scan(0, |sum, weight| {
            *sum += u64::from(weight);
            Some(*sum)
        })
        .collect()
}

/// Printable bytes without a pattern, so that a server that compresses has nothing to gain.
fn body(len: usize, seed: u64) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut rng = SmallRng::seed_from_u64(seed);
    (0..len).map(|_| LETTERS[usize::from(rng.random::<u8>() & 63)]).collect()
}

struct Compiler<'a> {
    prefix: &'a [u8],
    answers: &'a [(String, Vec<u8>)],
    /// Digits of a key.
    key_digits: usize,
    /// Digits that can be other than zero.
    changing: usize,
    body: &'a [u8],
    /// Are all values of one size?
    fixed_value: bool,
    max_value: usize,
}

/// A part of a word.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part<'a> {
    Text(&'a str),
    Key,
    Number,
    /// The last so many digits of a number.
    Digits(usize),
    /// The number that was drawn last, again.
    Again,
    Value,
    /// What the server says: `dump:KEY`, `script:NAME`.
    Answer(&'a str),
}

impl Part<'_> {
    fn is_drawn(self) -> bool {
        matches!(self, Self::Key | Self::Number | Self::Digits(_) | Self::Again)
    }
}

impl<'a> Compiler<'a> {
    fn new(workload: &'a Workload, body: &'a [u8]) -> Result<Self, String> {
        let keys = &workload.keys;
        let changing = (keys.count - 1).max(1).ilog10() as usize + 1;
        let key_digits = keys.length.saturating_sub(keys.prefix.len());
        if key_digits < changing || changing > NUMBER_DIGITS {
            return Err(format!(
                "{} keys do not fit into {} bytes that start with {:?}, or into {NUMBER_DIGITS} digits",
                keys.count, keys.length, keys.prefix
            ));
        }
        let fixed_value = matches!(workload.value, ValueSize::Fixed(_));
        let max_value = workload.value.max();
        let prefix = keys.prefix.as_bytes();
        Ok(Self { prefix, answers: &workload.answers, key_digits, changing, body, fixed_value, max_value })
    }

    /// Commands that are sent at once.
    fn request<'c>(&self, commands: impl Iterator<Item = &'c str>) -> Result<Template, String> {
        let mut request = Template { segments: Vec::new(), max_len: 0, fixed_key: None };
        for command in commands {
            let Template { segments, max_len, fixed_key } = self.command(command)?;
            request.max_len += max_len;
            request.fixed_key = request.fixed_key.or(fixed_key);
            for segment in segments {
                match (request.segments.last_mut(), segment) {
                    (Some(Segment::Chunk(before)), Segment::Chunk(chunk)) => before.append(chunk),
                    (_, segment) => request.segments.push(segment),
                }
            }
        }
        let mut chunks = request.segments.iter().filter_map(|segment| match segment {
            Segment::Chunk(chunk) => chunk.holes.first(),
            Segment::Sized { .. } => None,
        });
        match chunks.next().is_some_and(|hole| hole.again) {
            true => Err("{again} without a number before it".into()),
            false => Ok(request),
        }
    }

    fn command(&self, command: &str) -> Result<Template, String> {
        let words = split(command)?;
        if words.is_empty() {
            return Err("an empty command".into());
        }
        let parts: Vec<Vec<Part<'_>>> = words.iter().map(|word| parse(word)).collect::<Result<_, _>>()?;
        // Where the keys are: wherever `{key}` is, else right after the command's name.
        let has_key = |word: &[Part<'_>]| word.contains(&Part::Key);
        let any_key = parts.iter().any(|word| has_key(word));
        let mut segments = Vec::new();
        let mut chunk = Chunk::default();
        let mut max_len = 0;
        let mut fixed_key = None;
        chunk.bytes.extend(format!("*{}\r\n", words.len()).bytes());
        for (position, word) in parts.iter().enumerate() {
            let is_key = if any_key { has_key(word) } else { position == 1 };
            if word.contains(&Part::Value) && !self.fixed_value {
                max_len += chunk.bytes.len() + self.max_value + 32 + words[position].len();
                segments.push(Segment::Chunk(std::mem::take(&mut chunk)));
                segments.push(sized(word)?);
            } else {
                let text = self.word(word, is_key, &mut chunk);
                if is_key && !any_key && !word.iter().any(|part| part.is_drawn()) {
                    fixed_key = Some(text);
                }
            }
        }
        max_len += chunk.bytes.len();
        if !chunk.bytes.is_empty() {
            segments.push(Segment::Chunk(chunk));
        }
        Ok(Template { segments, max_len, fixed_key })
    }

    /// Appends a word of fixed length with its header; gives its text.
    fn word(&self, parts: &[Part<'_>], is_key: bool, chunk: &mut Chunk) -> Vec<u8> {
        let mut text = Vec::new();
        let mut holes = Vec::new();
        for part in parts {
            match part {
                Part::Text(literal) => text.extend(literal.bytes()),
                Part::Value => text.extend(self.body),
                Part::Answer(question) => {
                    // Before a server has been asked it is empty.
                    let answer = self.answers.iter().find(|(asked, _)| asked == question);
                    text.extend(answer.map(|(_, answer)| answer.as_slice()).unwrap_or_default());
                }
                Part::Key | Part::Number | Part::Digits(_) | Part::Again => {
                    let (digits, changing) = match part {
                        Part::Key => {
                            text.extend(self.prefix);
                            (self.key_digits, self.changing)
                        }
                        Part::Digits(digits) => (*digits, *digits),
                        _ => (NUMBER_DIGITS, self.changing),
                    };
                    text.resize(text.len() + digits, b'0');
                    holes.push((text.len() - changing..text.len(), *part == Part::Again));
                }
            }
        }
        chunk.bytes.extend(format!("${}\r\n", text.len()).bytes());
        let start = chunk.bytes.len();
        chunk.bytes.extend(&text);
        chunk.bytes.extend(b"\r\n");
        let key = is_key.then(|| start..start + text.len());
        chunk.holes.extend(holes.into_iter().map(|(hole, again)| {
            let digits = start + hole.start..start + hole.end;
            Hole { digits, key: key.clone(), again }
        }));
        text
    }
}

fn sized(parts: &[Part<'_>]) -> Result<Segment, String> {
    let mut around = [Vec::new(), Vec::new()];
    let mut values = 0;
    for part in parts {
        match part {
            Part::Text(literal) => around[values.min(1)].extend(literal.bytes()),
            Part::Value => values += 1,
            Part::Key | Part::Number | Part::Digits(_) | Part::Again | Part::Answer(_) => values = 2,
        }
    }
    if values > 1 {
        return Err("a word with a value of varying size can hold nothing else that varies".into());
    }
    let [before, after] = around;
    Ok(Segment::Sized { before, after })
}

/// Finds the placeholders of a word, ours and those of valkey-benchmark. Other braces are text: they may be hash tags.
fn parse(word: &str) -> Result<Vec<Part<'_>>, String> {
    if let Some(at) = word.find("__rand_") {
        let name: String = word[at..].chars().take(12).collect();
        if name != "__rand_int__" {
            return Err(format!("the placeholder {name:?} is not known; __rand_int__ and __data__ are"));
        }
    }
    let mut parts = Vec::new();
    let (mut text, mut rest) = (0, 0);
    while rest < word.len() {
        let Some((len, part)) = placeholder(&word[rest..]) else {
            rest += word[rest..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if rest > text {
            parts.push(Part::Text(&word[text..rest]));
        }
        parts.push(part);
        rest += len;
        text = rest;
    }
    if rest > text {
        parts.push(Part::Text(&word[text..]));
    }
    Ok(parts)
}

/// The placeholder with which a text begins, and its length.
fn placeholder(text: &str) -> Option<(usize, Part<'_>)> {
    const NAMES: &[(&str, Part<'static>)] = &[
        ("{key}", Part::Key),
        ("{number}", Part::Number),
        ("{again}", Part::Again),
        ("{value}", Part::Value),
        ("__rand_int__", Part::Number),
        ("__data__", Part::Value),
    ];
    if let Some((name, part)) = NAMES.iter().find(|(name, _)| text.starts_with(name)) {
        return Some((name.len(), *part));
    }
    let inner = text.strip_prefix('{')?;
    let inner = &inner[..inner.find('}')?];
    let (name, argument) = inner.split_once(':')?;
    let part = match name {
        "digits" => Part::Digits(argument.parse().ok().filter(|digits| (1..=NUMBER_DIGITS).contains(digits))?),
        "dump" | "script" => Part::Answer(inner),
        _ => return None,
    };
    Some((inner.len() + 2, part))
}

/// What the server is to be asked for the commands of a workload: `dump:KEY`, `script:NAME`.
pub(crate) fn questions(workload: &Workload) -> Result<Vec<String>, PerfError> {
    let wrong = |why: String| PerfError::Workload { name: workload.name.clone(), why };
    let mut questions = Vec::new();
    for command in workload.commands.iter().flat_map(WeightedCommand::commands) {
        for word in split(command).map_err(wrong)? {
            questions.extend(parse(&word).map_err(wrong)?.iter().filter_map(|part| match part {
                Part::Answer(question) => Some((*question).to_owned()),
                _ => None,
            }));
        }
    }
    Ok(questions)
}

/// Parts a command into words: blanks part them; `'` and `"` quote, and within `"` a backslash takes the next
/// character as it is.
fn split(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = command.chars().peekable();
    while let Some(first) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut word = String::new();
        let mut next = Some(first);
        while let Some(c) = next.filter(|c| !c.is_whitespace()) {
            if c == '"' || c == '\'' {
                loop {
                    match chars.next() {
                        None => return Err(format!("a quote without its end in {command:?}")),
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => word.extend(chars.next()),
                        Some(inner) => word.push(inner),
                    }
                }
            } else {
                word.push(c);
            }
            next = chars.next();
        }
        words.push(word);
    }
    Ok(words)
}

/// Makes one line of words, so that [`split`] finds them again.
pub(crate) fn quote(words: &[String]) -> String {
    let quoted = words.iter().map(|word| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")));
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::workload::Keys;

    fn compile(command: &str, value: ValueSize) -> Result<Program, PerfError> {
        let keys = Keys { count: 1000, ..Keys::default() };
        let commands = vec![WeightedCommand::new(command)];
        Program::compile(&Workload { commands, keys, value, ..Workload::default() }, 0)
    }

    #[test]
    fn a_request_is_bytes_with_holes() {
        let program = compile("SET {key} {value}", ValueSize::Fixed(3)).unwrap();
        let chunk = program.only_chunk().unwrap();
        let value = std::str::from_utf8(&program.body).unwrap();
        let expected = format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\n{value}\r\n");
        assert_eq!(std::str::from_utf8(&chunk.bytes).unwrap(), expected);
        assert_eq!(chunk.holes, [Hole { digits: 31..34, key: Some(18..34), again: false }]);
    }

    #[test]
    fn placeholders_of_valkey_benchmark_work() {
        let program = compile("ZADD z __rand_int__ \"a __data__\"", ValueSize::Fixed(2)).unwrap();
        let chunk = program.only_chunk().unwrap();
        let text = std::str::from_utf8(&chunk.bytes).unwrap();
        assert!(text.starts_with("*4\r\n$4\r\nZADD\r\n$1\r\nz\r\n$12\r\n000000000000\r\n$4\r\na "), "{text}");
        assert_eq!((chunk.holes.len(), &chunk.holes[0].key), (1, &None));
        assert_eq!(program.templates[0].fixed_key.as_deref(), Some(&b"z"[..]));
        assert!(compile("SET __rand_1st__ x", ValueSize::Fixed(2)).is_err());
    }

    #[test]
    fn digits_and_dumps_fill_in() {
        let keys = Keys { count: 1000, ..Keys::default() };
        let commands = vec![WeightedCommand::new("X {t}1{digits:1}.{digits:4} {dump:big} {digits:13}{dump}")];
        let mut workload = Workload { commands, keys, ..Workload::default() };
        assert_eq!(questions(&workload).unwrap(), ["dump:big"]);
        workload.answers = vec![("dump:big".to_owned(), vec![0, 255])];
        let program = Program::compile(&workload, 0).unwrap();
        let chunk = program.only_chunk().unwrap();
        assert_eq!(chunk.bytes, b"*4\r\n$1\r\nX\r\n$10\r\n{t}10.0000\r\n$2\r\n\0\xff\r\n$17\r\n{digits:13}{dump}\r\n");
        assert_eq!(chunk.holes, [20..21, 22..26].map(|digits| Hole { digits, key: Some(16..26), again: false }));
    }

    #[test]
    fn a_request_may_be_several_commands() {
        let then = ["SET {{number}}:a {value}", "SET {{again}}:b {script:x}", "EXEC"].map(str::to_owned).to_vec();
        let transaction = WeightedCommand { then, ..WeightedCommand::new("MULTI") };
        let keys = Keys { count: 1000, ..Keys::default() };
        let commands = vec![transaction.clone()];
        let answers = vec![("script:x".to_owned(), b"sha".to_vec())];
        let workload = Workload { commands, keys, answers, ..Workload::default() };
        assert_eq!(questions(&workload).unwrap(), ["script:x"]);
        let program = Program::compile(&workload, 0).unwrap();
        let chunk = program.only_chunk().unwrap();
        let text = std::str::from_utf8(&chunk.bytes).unwrap();
        assert_eq!(text.matches("$16\r\n{000000000000}:").count(), 2, "{text}");
        assert!(text.starts_with("*1\r\n$5\r\nMULTI\r\n*3") && text.ends_with("$3\r\nsha\r\n*1\r\n$4\r\nEXEC\r\n"));
        assert_eq!((program.replies, program.max_len), (4, chunk.bytes.len()));
        let [drawn, again] = &chunk.holes[..] else { panic!("{:?}", chunk.holes) };
        assert!(!drawn.again && again.again && chunk.bytes[again.digits.end] == b'}');
        assert_eq!(program.templates[0].keys_with_holes().count(), 1);
        // Replies are counted to requests, so all have as many; and a number can come again only if it has come.
        let mixed = Workload { commands: vec![transaction, WeightedCommand::new("PING")], ..workload.clone() };
        assert!(Program::compile(&mixed, 0).is_err());
        let first = Workload { commands: vec![WeightedCommand::new("GET {again}{number}")], ..workload };
        assert!(Program::compile(&first, 0).is_err());
    }

    #[test]
    fn values_of_varying_size_part_a_request() {
        let program = compile("SET {a}{key} x{value}y EX 9", ValueSize::Uniform { min: 1, max: 9 }).unwrap();
        assert!(program.only_chunk().is_none());
        assert!(matches!(
            &program.templates[0].segments[..],
            [Segment::Chunk(head), Segment::Sized { before, after }, Segment::Chunk(tail)]
                if head.bytes.ends_with(b"$19\r\n{a}key:000000000000\r\n")
                    && before == b"x" && after == b"y" && tail.bytes == b"$2\r\nEX\r\n$1\r\n9\r\n"
        ));
        assert!(compile("SET a {value}{key}", ValueSize::Uniform { min: 1, max: 9 }).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for command in ["", "  ", "GET 'x"] {
            assert!(compile(command, ValueSize::Fixed(1)).is_err(), "{command:?}");
        }
        assert!(compile("GET x", ValueSize::Choice(Vec::new())).is_err());
        assert!(compile("GET x", ValueSize::Uniform { min: 2, max: 1 }).is_err());
        let keys = Keys { count: 1_000_000, length: 8, ..Keys::default() };
        assert!(Program::compile(&Workload { keys, ..Workload::default() }, 0).is_err());
        assert!(Program::compile(&Workload { commands: Vec::new(), ..Workload::default() }, 0).is_err());
    }

    #[test]
    fn words_survive_quoting() {
        let words = ["SET", "a b", "", "\"q\\", "it's"].map(String::from);
        assert_eq!(split(&quote(&words)).unwrap(), words);
        assert_eq!(split(" a  'b c'd ").unwrap(), ["a", "b cd"]);
    }
}
