//! How CLIENT LIST shows a session.

use super::{Closing, Pending, SHORT_OUTPUT_BYTES_MAX, Session};
use crate::pubsub::tables::Kind;
use crate::tracking::Mode;
use ringkey_core::resp::Protocol;
use ringkey_core::units::Millis;
use std::fmt::Write as _;

/// A client whose command is looking at itself: what its line shows of that command.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// Its client id.
    pub id: u64,
    /// How many words its command has.
    pub words: usize,
    /// Their lengths together, in bytes.
    pub words_len: usize,
}

impl Asker {
    /// Memory that the command holds while it runs, in bytes.
    fn held_bytes(self) -> usize {
        self.words_len + self.words * size_of::<ringkey_core::resp::Span>()
    }
}

impl Session {
    /// Its flags, as letters.
    pub fn flags(&self) -> String {
        let facts = &self.facts;
        let all = [
            ('O', self.is_monitor),
            ('b', self.is_blocked()),
            ('P', self.subscriptions.is_some()),
            ('x', self.multi.is_some()),
            ('t', self.tracking.is_some()),
            ('R', self.tracking.as_ref().is_some_and(|tracking| tracking.is_broken)),
            ('B', self.tracking.as_ref().is_some_and(|tracking| tracking.mode == Mode::Broadcast)),
            ('c', self.closing == Closing::AfterReplies),
            ('A', self.closing == Closing::Now),
            ('U', facts.ends.is_unix),
            ('r', facts.read_only),
            ('e', facts.no_evict),
            ('T', facts.no_touch),
            ('I', facts.is_source),
        ];
        let flags: String = all.iter().filter(|(_, is_set)| *is_set).map(|(letter, _)| *letter).collect();
        if flags.is_empty() { "N".to_owned() } else { flags }
    }

    /// Does it wait for keys, or for the end of a pause?
    fn is_blocked(&self) -> bool {
        match &self.pending {
            Pending::Paused => true,
            Pending::Blocked(blocked) => blocked.is_waiting(),
            _ => false,
        }
    }

    /// What it is capable of, as letters.
    pub fn capabilities(&self) -> &'static str {
        if self.facts.follows_redirects { "r" } else { "" }
    }

    /// How many calls it has queued; -1 if it has never begun a transaction.
    fn listens_to(&self, kind: Kind) -> usize {
        self.subscriptions.as_ref().map_or(0, |own| own.len(kind))
    }

    fn queued(&self) -> i64 {
        let none = if self.facts.has_used_multi { 0 } else { -1 };
        self.multi.as_ref().map_or(none, |multi| multi.len() as i64)
    }

    /// The line of CLIENT LIST about it.
    pub fn line(&self, now: Millis, core: usize, asker: Option<Asker>) -> String {
        let facts = &self.facts;
        let asker = asker.filter(|asker| asker.id == self.id);
        let unsent = self.output.unsent();
        // Valkey keeps so much in a buffer of fixed size, and the rest in a list, which is what `oll` and `omem` show.
        let is_short = unsent <= SHORT_OUTPUT_BYTES_MAX;
        let words = self.parser.held_bytes() + self.begun_bytes();
        let mut line = String::with_capacity(384);
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} capa={} db={} sub={} psub={} ssub={} multi={} watch={} \
             qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={} cmd={} \
             user=default redir={} resp={} lib-name={} lib-ver={} tot-net-in={} tot-net-out={} tot-cmds={} core={}",
            self.id,
            facts.ends.peer,
            facts.ends.local,
            std::os::fd::AsRawFd::as_raw_fd(&self.fd),
            String::from_utf8_lossy(&facts.name),
            (now.0 - facts.since.0).max(0) / 1000,
            (now.0 - self.last_active.0).max(0) / 1000,
            self.flags(),
            self.capabilities(),
            self.db.0,
            self.listens_to(Kind::Channel),
            self.listens_to(Kind::Pattern),
            self.listens_to(Kind::Shard),
            self.queued(),
            self.watching.as_ref().map_or(0, |watching| watching.keys()),
            self.query_bytes().saturating_sub(words),
            self.query_room(),
            asker.map_or(words, |asker| asker.words_len),
            self.multi.as_ref().map_or(0, |multi| multi.word_bytes()),
            self.output.room,
            self.output.peak,
            if is_short { unsent } else { 0 },
            if is_short { 0 } else { self.output.pieces_count() },
            if is_short { 0 } else { self.output.held_bytes() },
            self.held_bytes() + asker.map_or(0, |asker| asker.held_bytes()),
            if unsent > 0 { "rw" } else { "r" },
            if self.is_executing() { "exec" } else { self.last_command.map_or("NULL", |row| row.name) },
            self.redirection(),
            if self.protocol == Protocol::Resp3 { 3 } else { 2 },
            String::from_utf8_lossy(&facts.lib_name),
            String::from_utf8_lossy(&facts.lib_version),
            self.bytes_in,
            self.output.total_sent,
            // A command counts when it is done.
            self.commands - u64::from(asker.is_some() || matches!(self.pending, Pending::Blocked(_))),
            core,
        );
        line
    }
}
