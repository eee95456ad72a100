//! Requests as bytes with holes: a workload is compiled once, and a request is then a copy with some digits changed.

use super::keys::Drawer;
use crate::PerfError;
use crate::workload::{ValueSize, Workload};
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
}

/// A run of bytes of fixed length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The bytes, holes filled with zeros.
    pub bytes: Vec<u8>,
    /// The holes.
    pub holes: Vec<Hole>,
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
            holes.filter(|(_, hole)| hole.key.is_some())
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
            workload.commands.iter().map(|command| compiler.command(&command.command)).collect();
        let templates = templates.map_err(wrong)?;
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
        Ok(Self { templates, weights, drawer, value: workload.value.clone(), size_weights, body, max_len })
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
    dumps: &'a [(String, Vec<u8>)],
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
    Value,
    /// What DUMP says of a key.
    Dump(&'a str),
}

impl Part<'_> {
    fn is_drawn(self) -> bool {
        matches!(self, Self::Key | Self::Number | Self::Digits(_))
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
        Ok(Self { prefix, dumps: &workload.dumps, key_digits, changing, body, fixed_value, max_value })
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
                Part::Dump(key) => {
                    // Before a server has been asked it is empty.
                    let dump = self.dumps.iter().find(|(name, _)| name == key);
                    text.extend(dump.map(|(_, payload)| payload.as_slice()).unwrap_or_default());
                }
                Part::Key | Part::Number | Part::Digits(_) => {
                    let (digits, changing) = match part {
                        Part::Key => {
                            text.extend(self.prefix);
                            (self.key_digits, self.changing)
                        }
                        Part::Digits(digits) => (*digits, *digits),
                        _ => (NUMBER_DIGITS, self.changing),
                    };
                    text.resize(text.len() + digits, b'0');
                    holes.push(text.len() - changing..text.len());
                }
            }
        }
        chunk.bytes.extend(format!("${}\r\n", text.len()).bytes());
        let start = chunk.bytes.len();
        chunk.bytes.extend(&text);
        chunk.bytes.extend(b"\r\n");
        let key = is_key.then(|| start..start + text.len());
        chunk.holes.extend(
            holes.into_iter().map(|hole| Hole { digits: start + hole.start..start + hole.end, key: key.clone() }),
        );
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
            Part::Key | Part::Number | Part::Digits(_) | Part::Dump(_) => values = 2,
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
        ("{value}", Part::Value),
        ("__rand_int__", Part::Number),
        ("__data__", Part::Value),
    ];
    if let Some((name, part)) = NAMES.iter().find(|(name, _)| text.starts_with(name)) {
        return Some((name.len(), *part));
    }
    let inner = text.strip_prefix('{')?;
    let (name, argument) = inner[..inner.find('}')?].split_once(':')?;
    let part = match name {
        "digits" => Part::Digits(argument.parse().ok().filter(|digits| (1..=NUMBER_DIGITS).contains(digits))?),
        "dump" => Part::Dump(argument),
        _ => return None,
    };
    Some((name.len() + argument.len() + 3, part))
}

/// The keys of which the commands of a workload have the dump.
pub(crate) fn dumped_keys(workload: &Workload) -> Result<Vec<String>, PerfError> {
    let wrong = |why: String| PerfError::Workload { name: workload.name.clone(), why };
    let mut keys = Vec::new();
    for command in &workload.commands {
        for word in split(&command.command).map_err(wrong)? {
            keys.extend(parse(&word).map_err(wrong)?.iter().filter_map(|part| match part {
                Part::Dump(key) => Some((*key).to_owned()),
                _ => None,
            }));
        }
    }
    Ok(keys)
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
    use crate::workload::{Keys, WeightedCommand};

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
        assert_eq!(chunk.holes, [Hole { digits: 31..34, key: Some(18..34) }]);
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
        assert_eq!(dumped_keys(&workload).unwrap(), ["big"]);
        workload.dumps = vec![("big".to_owned(), vec![0, 255])];
        let program = Program::compile(&workload, 0).unwrap();
        let chunk = program.only_chunk().unwrap();
        assert_eq!(chunk.bytes, b"*4\r\n$1\r\nX\r\n$10\r\n{t}10.0000\r\n$2\r\n\0\xff\r\n$17\r\n{digits:13}{dump}\r\n");
        assert_eq!(
            chunk.holes,
            [Hole { digits: 20..21, key: Some(16..26) }, Hole { digits: 22..26, key: Some(16..26) }]
        );
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
