//! Golden transcripts: commands and the replies they must get, as text that people read and edit.
//!
//! ```text
//! @option maxclients 100          an option of the server, before the first section
//! # a comment
//! == SET with an expiry           a section: fresh connections, empty databases, RESP2
//! > SET k "v\r\n" EX 10           a command, quoted as in valkey-cli
//! +OK                             its reply, in the notation of `reply.rs`
//! > TTL k
//! :{int 9..10}                    a pattern: {int}, {int a..b}, {float}, {any}; `{...}` alone takes any one reply of its depth
//! ```
//!
//! Values known only at run time: `${now+10}` and `${nowms+10}` (the clock, in seconds and milliseconds),
//! `${repeat:x:100}`, and `${name}` after `@let name COMMAND`. Directives, one a line:
//!
//! | line | meaning |
//! |---|---|
//! | `@conn name` | continue on the connection of that name |
//! | `@resp3`, `@resp2` | switch the protocol with HELLO |
//! | `@let name COMMAND` | keep the reply's text or number as `${name}` |
//! | `@unordered` | the next reply's elements come in any order; they are written sorted |
//! | `@pairs` | likewise for a flat array of names and values |
//! | `@scan SCAN ? ...` | iterate until the cursor is 0 again; the reply is the sorted set of what came |
//! | `@send COMMAND`, `@raw "bytes"` | send without reading |
//! | `@read` | read one more reply |
//! | `@quiet` | nothing may come for a moment |
//! | `@sleep ms` | wait |
//!
//! The replies are recorded from a real Valkey (`RINGKEY_BLESS=1`), never from memory.

use crate::client::{Client, encoded};
use crate::reply::Reply;
use crate::server::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Replies in transcripts come at once or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long `@quiet` listens.
const QUIET: Duration = Duration::from_millis(150);

/// How long a section waits for the connections of the one before to be gone.
const PARTING: Duration = Duration::from_secs(1);

/// Steps of one `@scan` before it counts as endless.
const SCAN_STEPS_MAX: usize = 10_000;

/// A head line and the reply lines under it.
#[derive(Debug, Clone)]
struct Item {
    line: usize,
    head: String,
    expected: Vec<String>,
}

/// One file of cases.
#[derive(Debug, Clone)]
pub struct Transcript {
    name: String,
    items: Vec<Item>,
}

/// A reply that is not the expected one.
#[derive(Debug, Clone)]
pub struct Mismatch {
    /// File and line.
    pub place: String,
    /// The command.
    pub head: String,
    /// What the file says.
    pub expected: Vec<String>,
    /// What the server said.
    pub actual: Vec<String>,
}

/// What a run of one file found.
#[derive(Debug, Default)]
pub struct Report {
    /// Commands whose replies were compared.
    pub compared: usize,
    /// Those that differ.
    pub mismatches: Vec<Mismatch>,
    /// The file with the replies of this run, patterns kept where they fit.
    pub recorded: String,
}

impl Transcript {
    /// Reads a file's text; `name` is for messages.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut items: Vec<Item> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if is_head(line) {
                items.push(Item { line: number + 1, head: line.to_owned(), expected: Vec::new() });
            } else {
                let item = items.last_mut().ok_or_else(|| format!("{name}:{}: a reply without command", number + 1))?;
                if !has_reply(&item.head) {
                    return Err(format!("{name}:{}: no reply belongs here: {line}", number + 1));
                }
                item.expected.push(line.to_owned());
            }
        }
        Ok(Self { name: name.to_owned(), items })
    }

    /// Options that the server needs for these cases.
    pub fn options(&self) -> Vec<(String, String)> {
        let option = |item: &Item| {
            let (name, value) = item.head.strip_prefix("@option ")?.split_once(' ')?;
            Some((name.to_owned(), value.to_owned()))
        };
        self.items.iter().filter_map(option).collect()
    }

    /// Plays the file on a server.
    pub fn run(&self, server: &Server) -> Report {
        let mut report = Report::default();
        let mut player = Player::new(server);
        for item in &self.items {
            let outcome = player.play(&item.head);
            let actual = match outcome {
                Ok(lines) => lines,
                Err(problem) => Some(vec![format!("(failed: {problem})")]),
            };
            let mut recorded = item.expected.clone();
            if let Some(actual) = actual {
                report.compared += 1;
                if !matches_all(&item.expected, &actual) {
                    recorded = as_recorded(&item.head, &actual);
                    report.mismatches.push(Mismatch {
                        place: format!("{}:{}", self.name, item.line),
                        head: item.head.clone(),
                        expected: item.expected.clone(),
                        actual,
                    });
                }
            }
            for line in std::iter::once(&item.head).chain(&recorded) {
                report.recorded.push_str(line);
                report.recorded.push('\n');
            }
        }
        report
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}: {}", self.place, self.head)?;
        self.expected.iter().try_for_each(|line| writeln!(f, "  - {line}"))?;
        self.actual.iter().try_for_each(|line| writeln!(f, "  + {line}"))
    }
}

/// A reply as it goes into the file: times to live pass while the next run comes to the same place.
fn as_recorded(head: &str, actual: &[String]) -> Vec<String> {
    let command = head.get(2..).and_then(|text| text.split(' ').next()).unwrap_or_default();
    let number = actual[0].strip_prefix(':').and_then(|digits| digits.parse::<i64>().ok()).unwrap_or(0);
    match command {
        "TTL" if number > 0 => vec![format!(":{{int {}..{}}}", number - 5, number + 1)],
        "PTTL" if number > 0 => vec![format!(":{{int {}..{}}}", number - 5_000, number + 1)],
        _ => actual.to_vec(),
    }
}

fn is_head(line: &str) -> bool {
    let comment = line == "#" || line.starts_with("# ");
    line.is_empty() || comment || line.starts_with("> ") || line.starts_with('@') || line.starts_with("==")
}

fn has_reply(head: &str) -> bool {
    head.starts_with("> ") || head.starts_with("@scan ") || head == "@read"
}

/// How the elements of the next reply are brought into an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    AsSent,
    Sorted,
    SortedPairs,
}

struct Player<'a> {
    server: &'a Server,
    connections: BTreeMap<String, Client>,
    current: String,
    variables: BTreeMap<String, String>,
    order: Order,
}

impl<'a> Player<'a> {
    fn new(server: &'a Server) -> Self {
        let current = "main".to_owned();
        Self { server, connections: BTreeMap::new(), current, variables: BTreeMap::new(), order: Order::AsSent }
    }

    /// Plays one head line; the lines of the reply if it has one.
    fn play(&mut self, head: &str) -> Result<Option<Vec<String>>, String> {
        if let Some(command) = head.strip_prefix("> ") {
            let args = self.args(command)?;
            let reply = self.exchange(&args);
            return reply.map(|reply| Some(self.ordered(reply)));
        }
        if head.starts_with("==") {
            return self.section().map(|()| None);
        }
        let Some(directive) = head.strip_prefix('@') else { return Ok(None) };
        let (name, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        match name {
            "read" => {
                let reply = self.client()?.read_reply().map_err(text_of)?;
                return Ok(Some(self.ordered(reply)));
            }
            "scan" => return self.scan(rest).map(Some),
            "conn" => rest.clone_into(&mut self.current),
            "let" => self.keep(rest)?,
            "resp3" | "resp2" => {
                self.exchange(&[b"HELLO".to_vec(), name.as_bytes()[4..].to_vec()])?;
            }
            "unordered" => self.order = Order::Sorted,
            "pairs" => self.order = Order::SortedPairs,
            "send" => {
                let args = self.args(rest)?;
                self.client()?.send(&encoded(&args)).map_err(text_of)?;
            }
            "raw" => {
                let bytes = self.args(rest)?.concat();
                self.client()?.send(&bytes).map_err(text_of)?;
            }
            "quiet" => {
                if !self.client()?.is_quiet_for(QUIET).map_err(text_of)? {
                    return Err("something came where nothing should".to_owned());
                }
            }
            "sleep" => std::thread::sleep(Duration::from_millis(rest.parse().map_err(|_| "a bad @sleep")?)),
            "option" => {}
            other => return Err(format!("an unknown directive @{other}")),
        }
        Ok(None)
    }

    fn section(&mut self) -> Result<(), String> {
        self.connections.clear();
        self.variables.clear();
        "main".clone_into(&mut self.current);
        self.order = Order::AsSent;
        let mut client = Client::connect(&self.server.address()).map_err(text_of)?;
        client.try_command(&["FLUSHALL"]).map_err(text_of)?;
        // Those of the section before may still be served, and be heard of: as subscribers, say.
        let end = Instant::now() + PARTING;
        while Instant::now() < end {
            match client.try_command(&["CLIENT", "LIST"]).map_err(text_of)? {
                Reply::Bulk(list) if list.iter().filter(|byte| **byte == b'\n').count() > 1 => {}
                _ => break,
            }
        }
        Ok(())
    }

    fn client(&mut self) -> Result<&mut Client, String> {
        if !self.connections.contains_key(&self.current) {
            let client = Client::connect(&self.server.address()).map_err(text_of)?;
            client.set_patience(PATIENCE).map_err(text_of)?;
            self.connections.insert(self.current.clone(), client);
        }
        self.connections.get_mut(&self.current).ok_or_else(|| "no connection".to_owned())
    }

    fn exchange(&mut self, args: &[Vec<u8>]) -> Result<Reply, String> {
        let client = self.client()?;
        match client.send(&encoded(args)) {
            // The server may have closed before; what it said is still to be read.
            Ok(()) | Err(_) => client.read_reply().map_err(text_of),
        }
    }

    fn ordered(&mut self, mut reply: Reply) -> Vec<String> {
        match (self.order, &mut reply) {
            (Order::AsSent, _) => {}
            (Order::SortedPairs, Reply::Array(elements)) => {
                let mut pairs: Vec<Vec<Reply>> = elements.chunks(2).map(<[Reply]>::to_vec).collect();
                pairs.sort_by_cached_key(|pair| pair.iter().flat_map(Reply::lines).collect::<Vec<_>>());
                *elements = pairs.concat();
            }
            (_, Reply::Array(elements) | Reply::Set(elements) | Reply::Push(elements)) => {
                elements.sort_by_cached_key(Reply::lines);
            }
            (_, Reply::Map(pairs)) => pairs.sort_by_cached_key(|(key, _)| key.lines()),
            _ => {}
        }
        self.order = Order::AsSent;
        reply.lines()
    }

    fn scan(&mut self, command: &str) -> Result<Vec<String>, String> {
        let args = self.args(command)?;
        let mut cursor = b"0".to_vec();
        let mut found = BTreeSet::new();
        for _ in 0..SCAN_STEPS_MAX {
            let filled: Vec<Vec<u8>> =
                args.iter().map(|arg| if arg == b"?" { cursor.clone() } else { arg.clone() }).collect();
            match self.exchange(&filled)? {
                Reply::Array(parts) if parts.len() == 2 => {
                    cursor = parts[0].bytes().to_vec();
                    found.extend(parts[1].elements().iter().map(|key| key.bytes().to_vec()));
                }
                other => return Ok(other.lines()),
            }
            if cursor == b"0" {
                return Ok(Reply::Array(found.into_iter().map(Reply::Bulk).collect()).lines());
            }
        }
        Err("the scan does not end".to_owned())
    }

    fn keep(&mut self, rest: &str) -> Result<(), String> {
        let (name, command) = rest.split_once(' ').ok_or("@let needs a name and a command")?;
        let args = self.args(command)?;
        let value = match self.exchange(&args)? {
            Reply::Integer(number) => number.to_string(),
            text @ (Reply::Bulk(_) | Reply::Simple(_)) => text.text(),
            other => return Err(format!("@let got {other}")),
        };
        self.variables.insert(name.to_owned(), value);
        Ok(())
    }

    fn args(&self, line: &str) -> Result<Vec<Vec<u8>>, String> {
        words(&self.substituted(line)?)
    }

    fn substituted(&self, line: &str) -> Result<String, String> {
        let mut text = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after.split_once('}').ok_or("${ without }")?;
            text.push_str(before);
            text.push_str(&self.value(name)?);
            rest = tail;
        }
        text.push_str(rest);
        Ok(text)
    }

    fn value(&self, name: &str) -> Result<String, String> {
        if let Some(spec) = name.strip_prefix("repeat:") {
            let (unit, count) = spec.split_once(':').ok_or("${repeat:text:count}")?;
            return Ok(unit.repeat(count.parse().map_err(|_| "a bad count")?));
        }
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| "a clock before 1970")?;
        for (prefix, now) in [("nowms", clock.as_millis()), ("now", u128::from(clock.as_secs()))] {
            let Some(offset) = name.strip_prefix(prefix) else { continue };
            let offset: i128 = if offset.is_empty() { 0 } else { offset.parse().map_err(|_| "a bad offset")? };
            let now = i128::try_from(now).map_err(|_| "a late clock")?;
            return Ok((now + offset).to_string());
        }
        self.variables.get(name).cloned().ok_or_else(|| format!("${{{name}}} is not known"))
    }
}

fn text_of(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no reply in time".to_owned(),
        _ => error.to_string(),
    }
}

/// Splits a command line into arguments, with valkey-cli's quoting.
fn words(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut args = Vec::new();
    let mut rest = line.as_bytes();
    loop {
        while let Some(b' ') = rest.first() {
            rest = &rest[1..];
        }
        let mut word = Vec::new();
        match rest.first() {
            None => return Ok(args),
            Some(b'"') => rest = double_quoted(&rest[1..], &mut word)?,
            Some(b'\'') => {
                let end = rest[1..].iter().position(|&byte| byte == b'\'').ok_or("an open quote")?;
                word.extend_from_slice(&rest[1..=end]);
                rest = &rest[end + 2..];
            }
            Some(_) => {
                let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
                word.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            }
        }
        args.push(word);
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], String> {
    loop {
        match rest {
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'x', high, low, tail @ ..] => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).map_err(|_| "a bad \\x")?;
                word.push(u8::from_str_radix(digits, 16).map_err(|_| "a bad \\x")?);
                rest = tail;
            }
            [b'\\', letter, tail @ ..] => {
                word.push(match letter {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
            [] => return Err("an open quote".to_owned()),
        }
    }
}

/// True if the reply is as expected; no expectation at all never fits. A line `{...}` takes one whole
/// reply of its depth, elements included.
fn matches_all(expected: &[String], actual: &[String]) -> bool {
    if actual.first().is_some_and(|line| line.starts_with("(failed")) {
        return false;
    }
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut lines = actual.iter().peekable();
    for pattern in expected {
        let Some(line) = lines.next() else { return false };
        if pattern.trim_start() != "{...}" {
            if !matches(pattern, line) {
                return false;
            }
            continue;
        }
        if depth(line) != depth(pattern) {
            return false;
        }
        while lines.next_if(|next| depth(next) > depth(pattern)).is_some() {}
    }
    lines.next().is_none()
}

/// Matches one line against a pattern.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((before, kind, after)) = next_hole(pattern) else { return pattern == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    // The longest piece first; lines are short, so trying all of them costs nothing.
    (0..=rest.len())
        .rev()
        .filter(|&end| rest.is_char_boundary(end))
        .any(|end| fits(kind, &rest[..end]) && matches(after, &rest[end..]))
}

/// The first placeholder of a pattern: what is before it, its inside, what is after it. Other braces
/// are plain text, hash tags above all.
fn next_hole(pattern: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = pattern[from..].find('{') {
        let open = from + open;
        let close = open + pattern[open..].find('}')?;
        let inside = &pattern[open + 1..close];
        if inside == "any" || inside == "float" || inside == "int" || inside.starts_with("int ") {
            return Some((&pattern[..open], inside, &pattern[close + 1..]));
        }
        from = open + 1;
    }
    None
}

fn fits(kind: &str, text: &str) -> bool {
    match kind.split_once(' ') {
        None if kind == "any" => true,
        None if kind == "float" => text.parse::<f64>().is_ok(),
        None => text.parse::<i128>().is_ok(),
        Some((_, range)) => {
            let Some((low, high)) = range.split_once("..") else { return false };
            let (Ok(low), Ok(high)) = (low.parse::<i128>(), high.parse::<i128>()) else { return false };
            text.parse::<i128>().is_ok_and(|number| (low..=high).contains(&number))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(words(r#"SET "a b" 'c"d' "\x00\n" """#).unwrap(), [b"SET" as &[u8], b"a b", b"c\"d", b"\0\n", b""]);
        assert!(words("\"open").is_err());
    }

    #[test]
    fn patterns() {
        assert!(matches(":{int 9..10}", ":10"));
        assert!(!matches(":{int 9..10}", ":11"));
        assert!(matches("\"{any}name=x {any}\"", "\"id=3 name=x age=0\""));
        assert!(matches("\"{user}1\"", "\"{user}1\""));
        assert!(!matches(":{int}", ":"));
        assert!(matches("\"{float}\"", "\"0.25\""));
    }

    #[test]
    fn a_whole_reply_by_pattern() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(matches_all(&lines("*2\n  {...}\n  :1"), &lines("*2\n  *1\n    :5\n  :1")));
        assert!(!matches_all(&lines("*2\n  {...}\n  :1"), &lines("*2\n  *1\n    :5\n  :2")));
        assert!(matches_all(&lines("{...}"), &lines("*1\n  :5")));
        assert!(!matches_all(&[], &lines(":5")));
    }

    #[test]
    fn replies_belong_to_commands() {
        let text = "# note\n== section\n> GET k\n(nil)\n\n> EXISTS k\n:0\n";
        let transcript = Transcript::parse("t", text).unwrap();
        assert_eq!(transcript.items.len(), 5);
        assert_eq!(transcript.items[2].expected, ["(nil)"]);
        assert!(Transcript::parse("t", "+OK\n").is_err());
        assert!(Transcript::parse("t", "@sleep 5\n+OK\n").is_err());
    }
}
