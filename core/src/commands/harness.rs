//! Runs commands on a shard in tests, as text.

use super::{Context, Rules};
use crate::command::{Handler, Run, table};
use crate::keyspace::events::{Event, EventClass};
use crate::keyspace::{KeyHasher, Shard};
use crate::outcome::{Outcome, Propagate};
use crate::resp::{Protocol, Reply, ReplyBuffer, Request};
use crate::units::{DbIndex, Millis};

/// A shard with a clock.
pub(crate) struct Bench {
    pub shard: Shard,
    pub db: DbIndex,
    pub now: i64,
    pub rules: Rules,
    pub protocol: Protocol,
    /// The outcome of the last command.
    pub last: Outcome,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            shard: Shard::scratch(16, KeyHasher::new([1, 2, 3, 4]), 5),
            db: DbIndex(0),
            now: 1_000_000,
            rules: Rules::default(),
            protocol: Protocol::Resp2,
            last: Outcome::default(),
        }
    }

    pub fn context(&mut self) -> Context<'_> {
        Context::new(&mut self.shard, self.db, Millis(self.now), &self.rules)
    }

    /// Runs a line, its words split as in configuration files, and gives the reply in a short notation.
    pub fn run(&mut self, line: &str) -> String {
        let words = crate::words::split_words(line.as_bytes()).expect("quotes match");
        self.run_words(&words.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    pub fn run_words(&mut self, words: &[&[u8]]) -> String {
        let request = Request::new(words.iter().copied());
        let mut out = ReplyBuffer::default();
        let protocol = self.protocol;
        let handler = handler(words);
        let (outcome, result) = self.context().run(handler, &request.args(), &mut Reply::new(&mut out, protocol));
        self.last = outcome;
        if let Err(error) = result {
            assert!(out.is_empty(), "a refused command has written no reply: {words:?}");
            return format!("{} {error}", error.code());
        }
        readable(&out.to_vec())
    }

    /// What the journal holds for the last command; the number of changes in front.
    pub fn journal(&self) -> String {
        let calls = match &self.last.propagate {
            Propagate::Nothing => String::new(),
            Propagate::AsGiven => "as given".into(),
            Propagate::Calls(calls) => {
                let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
                let call = |words: &[Box<[u8]>]| words.iter().map(|word| text(word)).collect::<Vec<_>>().join(" ");
                calls.iter().map(|one| call(&one.words)).collect::<Vec<_>>().join("; ")
            }
        };
        format!("{} {calls}", self.last.changes).trim_end().to_owned()
    }

    /// From now on events of these classes are noted.
    pub fn want_events(&mut self, classes: &str) {
        self.shard.events.wanted = EventClass::parse(classes.as_bytes()).expect("letters name classes");
    }

    /// The events since the last time: `event key, event 1:key` for databases 0 and 1.
    pub fn events(&mut self) -> String {
        let shown = self.shard.events.take().into_iter().map(|Event { db, name, key }| match db {
            DbIndex(0) => format!("{name} {}", key.escape_ascii()),
            DbIndex(db) => format!("{name} {db}:{}", key.escape_ascii()),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Runs lines and compares each reply.
    pub fn check(&mut self, lines: &[(&str, &str)]) {
        for (line, expected) in lines {
            assert_eq!(self.run(line), *expected, "{line}");
        }
    }

    /// Runs lines and compares what each leaves in the journal.
    pub fn check_journal(&mut self, lines: &[(&str, &str)]) {
        self.shard.journaling = true;
        for (line, expected) in lines {
            let reply = self.run(line);
            assert_eq!(self.journal(), *expected, "{line} -> {reply}");
        }
    }
}

/// Bulk strings without their heads, everything on one line; the rest of the protocol as it is.
fn readable(mut bytes: &[u8]) -> String {
    let mut words = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 2..];
        match line.strip_prefix('$').map(|len| len.parse::<usize>()) {
            Some(Ok(len)) => {
                words.push(format!("'{}'", bytes[..len].escape_ascii()));
                bytes = &bytes[len + 2..];
            }
            _ => words.push(line),
        }
    }
    words.join(" ")
}

/// The handler that a call names; the table has it.
pub(crate) fn handler(words: &[&[u8]]) -> Handler {
    let name = |word: &[u8]| String::from_utf8_lossy(word).to_ascii_lowercase();
    let row = table::lookup(words[0]).unwrap_or_else(|| panic!("no command {}", name(words[0])));
    let row = match (row.subcommands, words.get(1)) {
        ([], _) | (_, None) => row,
        (_, Some(word)) => {
            table::lookup_subcommand(row, word).unwrap_or_else(|| panic!("no subcommand {}", name(word)))
        }
    };
    match row.run {
        Run::OnShard(handler) => handler,
        _ => panic!("{} does not run on a shard", row.name),
    }
}
