//! MONITOR: every call of every client on every core, in one order.
//!
//! While a core has a monitor, all cores note their calls ([`ringkey_core::observe::monitored`]) and send the notes to it at the end of each
//! pass, and at once when it asks. The monitoring core holds back what may still be preceded by a note of another core ([`merge`]): it
//! asks the others (a probe), who answer with the time, behind what they had to tell. What is older than all answers is shown. With one core
//! there is nobody to ask.
//!
//! Where a client comes from is noted when it comes, and once for all when monitoring begins; the same stream tells when it is gone.
//!
//! Nothing grows without bounds: a core whose notes lie unread stops sending, notes that are held back for too long are given up,
//! and who does not read his lines is closed, in all three cases. His output has the limits of ordinary clients, as in Valkey; where these
//! are off, the one here holds.

pub mod merge;

use crate::admin::Then;
use crate::clock;
use crate::mailbox::letter::{Letter, Notice, Question};
use crate::observe::log as logger;
use crate::session::{Closing, Pending, ReplyMode, Session};
use crate::state::State;
use merge::Merge;
use ringkey_core::command::{Command, Flags};
use ringkey_core::observe::monitored::{Shown, shown};
use ringkey_core::observe::{Note, NoteKind, Notes};
use ringkey_core::resp::{Args, CommandError, Reply, Request};
use ringkey_core::settings::Setting;
use std::collections::HashMap;
use std::sync::Arc;

/// A monitor that is owed more than this is closed, whatever the limits for its class, in bytes.
const OWED_BYTES_MAX: usize = 256 << 20;

/// Notes that are held back for other cores, and those on their way from one core, hold no more than this, in bytes.
const HELD_BYTES_MAX: usize = 256 << 20;

/// What cores write to each other about monitors.
pub enum MonitorLetter {
    /// What the sender has noted.
    Notes(Arc<Notes>),
    /// Tell what you have noted, and the time. Of your notes so many bytes have come in all.
    Probe(u64),
    /// Everything up to this stamp has been told.
    Told(u64),
    /// The sender has more to tell than the receiver takes.
    Lost,
    /// The sender has no monitors any more.
    End,
}

/// A client that monitors.
struct Monitor {
    index: u32,
    generation: u32,
    /// What is older is not shown to it.
    since: u64,
}

/// What another core with monitors was sent.
#[derive(Clone, Copy, Default)]
struct Sent {
    /// Bytes of notes sent to it since the start.
    bytes: u64,
    /// And those that it is known to have taken.
    taken: u64,
}

/// What one core keeps of monitors.
#[derive(Default)]
pub struct Monitoring {
    /// The cores that have monitors.
    cores: Vec<usize>,
    /// What was sent to each core.
    sent: Vec<Sent>,
    /// What has come from each core, in bytes since the start.
    taken: Vec<u64>,
    /// The monitors of this core.
    monitors: Vec<Monitor>,
    /// Clients of this core that wait to become monitors.
    starting: usize,
    merge: Option<Merge>,
    /// Answers to the last probe that are still to come.
    missing: usize,
    /// Was something lost while clients waited?
    was_lost: bool,
    /// The addresses of clients, as lines show them.
    addresses: HashMap<u64, Box<[u8]>>,
    /// The lines of a pass.
    lines: Vec<u8>,
    /// Microseconds of the last line since the epoch.
    last_micros: i64,
}

impl Monitoring {
    /// Has this core monitors?
    #[inline]
    pub fn has_any(&self) -> bool {
        !self.monitors.is_empty()
    }
}

/// Is a command refused to those who monitor? As in Valkey, where they count as replicas.
pub fn is_refused(row: &Command) -> bool {
    row.may_replicate() || row.flags.has_any(Flags::READONLY.with(Flags::WRITE))
}

/// Why.
pub const REFUSAL: CommandError = CommandError::text("Replica can't interact with the keyspace");

/// MONITOR
///
/// # Errors
/// In a transaction.
pub fn monitor(state: &mut State, session: &mut Session) -> Result<(), CommandError> {
    if session.is_executing() {
        return Err(CommandError::text("MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // Who monitors already hears nothing of it.
    if !session.is_monitor {
        session.is_monitor = true;
        state.monitoring.starting += 1;
        state.gather_from_all(session, &Question::Monitor(state.me.index()), Then::Monitor);
    }
    Ok(())
}

impl State {
    /// All cores note their calls: from now on the client is shown them.
    pub fn begin_monitor(&mut self, session: &mut Session) {
        self.monitoring.starting -= 1;
        let (index, generation, since) = (session.index, session.generation, clock::ticks());
        self.monitoring.monitors.push(Monitor { index, generation, since });
        if self.monitoring.was_lost {
            session.closing = Closing::Now;
        }
        self.monitoring.was_lost &= self.monitoring.starting > 0;
        self.straighten_flags();
        Reply::new(&mut session.output.pending, session.protocol).ok();
    }

    /// A client does not monitor any more.
    pub fn end_monitor(&mut self, session: &mut Session) {
        if !std::mem::take(&mut session.is_monitor) {
            return;
        }
        let place = (session.index, session.generation);
        self.monitoring.monitors.retain(|monitor| (monitor.index, monitor.generation) != place);
        self.stop_if_unheard();
        self.straighten_flags();
    }

    /// Has nobody note anything for this core if it has no monitors.
    fn stop_if_unheard(&mut self) {
        let me = self.me.index();
        if !self.monitoring.monitors.is_empty() || self.monitoring.starting > 0 {
            return;
        }
        self.monitoring.merge = None;
        self.monitoring.missing = 0;
        self.monitoring.addresses = HashMap::new();
        self.monitoring.lines = Vec::new();
        self.note_no_more(me);
        for core in (0..self.mesh.count()).filter(|core| *core != me) {
            self.mesh.post(core, Letter::Notice(Notice::Monitor(MonitorLetter::End)));
        }
    }

    /// Notes calls for a core from now on.
    pub fn note_for(&mut self, core: usize) {
        let cores = self.mesh.count();
        self.monitoring.sent.resize(cores, Sent::default());
        self.monitoring.taken.resize(cores, 0);
        if core == self.me.index() && self.monitoring.merge.is_none() {
            self.monitoring.merge = Some(Merge::new(cores));
        }
        self.post_notes();
        if !self.monitoring.cores.contains(&core) {
            self.monitoring.cores.push(core);
            let sent = &mut self.monitoring.sent[core];
            sent.taken = sent.bytes;
        }
        let stamp = clock::ticks();
        let unix = self.unix_address();
        let monitored = self.site.monitored.get_or_insert_default();
        for session in self.sessions.iter().flatten() {
            monitored.note_came(stamp, session.id, address_of(session, &unix));
        }
    }

    fn unix_address(&self) -> String {
        format!("unix:{}", String::from_utf8_lossy(self.settings.text(Setting::UnixSocket)))
    }

    /// No core notes for this one any more.
    fn note_no_more(&mut self, core: usize) {
        self.monitoring.cores.retain(|other| *other != core);
        if self.monitoring.cores.is_empty() {
            self.site.monitored = None;
        }
    }

    /// A client has come.
    #[cold]
    pub fn note_came(&mut self, session: &Session) {
        let unix = self.unix_address();
        if let Some(monitored) = &mut self.site.monitored {
            monitored.note_came(clock::ticks(), session.id, address_of(session, &unix));
        }
    }

    /// A client is gone.
    pub fn note_left(&mut self, session: &mut Session) {
        if let Some(monitored) = &mut self.site.monitored {
            monitored.note_gone(clock::ticks(), session.id);
        }
        self.end_monitor(session);
    }

    /// Notes a call that this core carries out for a client, and not on its shard.
    #[cold]
    pub fn note_of_process(&mut self, session: &Session, row: &Command, args: &Args<'_>) {
        if let Some(monitored) = &mut self.site.monitored
            && shown(row) != Shown::Never
        {
            monitored.note(clock::ticks(), session.id, session.db, row, args, false);
        }
    }

    /// The same after a command that ended a stretch was begun: what flies is noted when all its locks are held, and what ran on this
    /// core's shard was noted there.
    #[cold]
    pub fn note_alone(&mut self, session: &Session, row: &Command, args: &Args<'_>) {
        match &session.pending {
            Pending::Flight(..) | Pending::Migrating(_) => {}
            _ if matches!(row.run, ringkey_core::command::Run::Admin(_)) => self.note_of_process(session, row, args),
            _ => {}
        }
    }

    /// The command of several shards that a session has under way has all its locks now.
    #[cold]
    pub fn note_flight(&mut self, index: u32) {
        let Some(session) = self.sessions[index as usize].take() else { return };
        if let Some(row) = session.last_command {
            self.note_of_process(&session, row, &session.tracked.request.args());
        }
        self.sessions[index as usize] = Some(session);
    }

    /// MULTI, EXEC or DISCARD is about to be carried out. EXEC is noted when its calls have run.
    #[cold]
    pub fn note_transacting(&mut self, session: &mut Session, row: &'static Command, word: &[u8]) {
        let is_exec = matches!(row.run, ringkey_core::command::Run::Admin(ringkey_core::command::Admin::Exec));
        match &mut session.multi {
            Some(multi) if is_exec => multi.said = Some(word.into()),
            _ => self.note_of_process(session, row, &Request::new([word]).args()),
        }
    }

    /// EXEC is over.
    #[cold]
    pub fn note_exec(&mut self, session: &mut Session, row: &'static Command) {
        if let Some(word) = session.multi.as_mut().and_then(|multi| multi.said.take()) {
            self.note_of_process(session, row, &Request::new([&*word]).args());
        }
    }

    /// Is the call that is run next gone on with, so that its line was shown?
    pub fn note_again(&mut self, is_again: bool) {
        if let Some(monitored) = &mut self.site.monitored {
            monitored.is_again = is_again;
        }
    }

    /// Sends what was noted to the cores that have monitors.
    fn post_notes(&mut self) {
        let Some(monitored) = self.site.monitored.as_mut().filter(|monitored| monitored.has_notes()) else { return };
        let notes = Arc::new(monitored.take());
        let bytes = notes.held_bytes() as u64;
        for core in self.monitoring.cores.clone() {
            if core == self.me.index() {
                self.take_notes(core, Arc::clone(&notes));
                continue;
            }
            let sent = &mut self.monitoring.sent[core];
            let is_lost = notes.is_lost || sent.bytes - sent.taken > HELD_BYTES_MAX as u64;
            let letter = if is_lost { MonitorLetter::Lost } else { MonitorLetter::Notes(Arc::clone(&notes)) };
            sent.bytes += if is_lost { 0 } else { bytes };
            self.mesh.post(core, Letter::Notice(Notice::Monitor(letter)));
            if is_lost {
                self.note_no_more(core);
            }
        }
    }

    fn take_notes(&mut self, from: usize, notes: Arc<Notes>) {
        if notes.is_lost {
            return self.lose_monitors();
        }
        if let Some(merge) = &mut self.monitoring.merge {
            merge.take(from, notes);
        }
    }

    /// Heeds what another core says about monitors.
    pub fn heed_monitor(&mut self, from: usize, letter: MonitorLetter) {
        match letter {
            MonitorLetter::Notes(notes) => {
                if let Some(taken) = self.monitoring.taken.get_mut(from) {
                    *taken += notes.held_bytes() as u64;
                }
                self.take_notes(from, notes);
            }
            MonitorLetter::Probe(taken) => {
                if let Some(sent) = self.monitoring.sent.get_mut(from) {
                    sent.taken = taken.max(sent.taken);
                }
                self.post_notes();
                let told = MonitorLetter::Told(clock::ticks());
                self.mesh.post(from, Letter::Notice(Notice::Monitor(told)));
            }
            MonitorLetter::Told(stamp) => {
                self.monitoring.missing = self.monitoring.missing.saturating_sub(1);
                if let Some(merge) = &mut self.monitoring.merge {
                    merge.note_floor(from, stamp);
                }
            }
            MonitorLetter::Lost => self.lose_monitors(),
            MonitorLetter::End => self.note_no_more(from),
        }
    }

    /// Something cannot be shown: all monitors of this core are closed.
    #[cold]
    fn lose_monitors(&mut self) {
        if let Some(merge) = &mut self.monitoring.merge {
            merge.clear();
        }
        self.monitoring.was_lost = self.monitoring.starting > 0;
        for at in 0..self.monitoring.monitors.len() {
            let Monitor { index, generation, .. } = self.monitoring.monitors[at];
            self.close_monitor(index, generation);
        }
    }

    #[cold]
    fn close_monitor(&mut self, index: u32, generation: u32) {
        let (now, me) = (self.now, self.me.index());
        let Some(session) = self.session(index, generation).filter(|session| session.closing != Closing::Now) else {
            return;
        };
        let line = logger::client_line(session.line(now, me, None));
        session.closing = Closing::Now;
        log::warn!("Client {line} is closed: it monitors and reads too slowly.");
        self.statistics.output_limit_closed += 1;
        self.dirty.push(index);
    }

    /// Sends what was noted, and shows the monitors of this core what may be shown. In each pass.
    #[inline]
    pub fn tell_monitors(&mut self) {
        if self.site.monitored.is_some() {
            self.tell_noted();
        }
    }

    #[cold]
    fn tell_noted(&mut self) {
        self.post_notes();
        let me = self.me.index();
        let Some(mut merge) = self.monitoring.merge.take() else { return };
        merge.note_floor(me, clock::ticks());
        if merge.held_bytes() > HELD_BYTES_MAX {
            merge.clear();
            self.lose_monitors();
        }
        self.show(&mut merge);
        let others = self.mesh.count() - 1;
        if !merge.is_empty() && self.monitoring.missing == 0 && others > 0 {
            self.monitoring.missing = others;
            for core in (0..=others).filter(|core| *core != me) {
                let probe = MonitorLetter::Probe(self.monitoring.taken[core]);
                self.mesh.post(core, Letter::Notice(Notice::Monitor(probe)));
            }
        }
        self.monitoring.merge = Some(merge);
    }

    /// Writes what may be shown.
    fn show(&mut self, merge: &mut Merge) {
        let Monitoring { monitors, addresses, lines, last_micros, .. } = &mut self.monitoring;
        lines.clear();
        // Where the lines begin that are not for everybody: those of a monitor that has come a moment ago.
        let newest = monitors.iter().map(|monitor| monitor.since).max().unwrap_or(u64::MAX);
        let (mut begins, mut rest): (Vec<(u64, usize)>, usize) = (Vec::new(), 0);
        let (now_micros, now_ticks) = (clock::now_micros(), clock::ticks());
        merge.release(|note, text| match note.kind {
            NoteKind::Came => {
                addresses.insert(note.client, text.into());
            }
            NoteKind::Gone => {
                addresses.remove(&note.client);
            }
            NoteKind::Call | NoteKind::FromScript => {
                let begin = lines.len();
                let age = clock::nanos_of(now_ticks.saturating_sub(note.stamp)) / 1000;
                *last_micros = (now_micros - age as i64).max(*last_micros);
                let address = addresses.get(&note.client).map_or(&b"?"[..], |address| address);
                write_line(lines, *last_micros, note, address, text);
                if note.stamp < newest {
                    begins.push((note.stamp, begin));
                    rest = lines.len();
                }
            }
        });
        if lines.is_empty() {
            return;
        }
        let lines = std::mem::take(lines);
        for at in 0..self.monitoring.monitors.len() {
            let Monitor { index, generation, since } = self.monitoring.monitors[at];
            let hidden = begins.partition_point(|(stamp, _)| *stamp < since);
            let from = begins.get(hidden).map_or(rest, |(_, begin)| *begin);
            self.push_lines(index, generation, &lines[from..]);
        }
        self.monitoring.lines = lines;
        self.monitoring.lines.shrink_to(1 << 20);
    }

    fn push_lines(&mut self, index: u32, generation: u32, lines: &[u8]) {
        let limit = self.tuning.output_limit(crate::admin::client::ClientKind::Normal).hard;
        let Some(session) = self.session(index, generation) else { return };
        let is_over = session.closing != Closing::No || session.reply_mode == ReplyMode::Off;
        if lines.is_empty() || is_over {
            return;
        }
        let late = session.late.as_ref().map_or(0, |late| late.len());
        if limit == 0 && session.output.unsent() + late + lines.len() > OWED_BYTES_MAX {
            return self.close_monitor(index, generation);
        }
        self.push_bytes_to(index, lines);
    }
}

fn address_of<'a>(session: &'a Session, unix: &'a str) -> &'a str {
    if session.facts.ends.is_unix { unix } else { &session.facts.ends.peer }
}

/// Writes a line: the time, the database and the client, the words.
fn write_line(out: &mut Vec<u8>, micros: i64, note: &Note, address: &[u8], words: &[u8]) {
    let mut number = itoa::Buffer::new();
    out.push(b'+');
    out.extend_from_slice(number.format(micros / 1_000_000).as_bytes());
    out.push(b'.');
    let rest = number.format(micros % 1_000_000).as_bytes();
    out.extend_from_slice(&b"000000"[rest.len()..]);
    out.extend_from_slice(rest);
    out.extend_from_slice(b" [");
    out.extend_from_slice(number.format(note.db.0).as_bytes());
    out.push(b' ');
    out.extend_from_slice(if note.kind == NoteKind::FromScript { b"lua" } else { address });
    out.extend_from_slice(b"] ");
    out.extend_from_slice(words);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringkey_core::command::table;
    use ringkey_core::units::DbIndex;

    #[test]
    fn lines_look_as_in_valkey() {
        let mut out = Vec::new();
        let note = Note { stamp: 1, client: 2, db: DbIndex(3), kind: NoteKind::Call, end: 0 };
        write_line(&mut out, 1_700_000_000_000_456, &note, b"127.0.0.1:1234", br#""set" "a" "1""#);
        assert_eq!(out, b"+1700000000.000456 [3 127.0.0.1:1234] \"set\" \"a\" \"1\"\r\n");
        out.clear();
        let note = Note { kind: NoteKind::FromScript, ..note };
        write_line(&mut out, 1_700_000_000_123_456, &note, b"x", br#""get" "a""#);
        assert_eq!(out, b"+1700000000.123456 [3 lua] \"get\" \"a\"\r\n");
    }

    #[test]
    fn what_monitors_may_call() {
        let row = |name: &str| table::all().find(|row| row.name == name).expect("the command is in the table");
        for name in ["get", "set", "eval", "eval_ro", "publish", "dbsize", "blpop", "pfcount"] {
            assert!(is_refused(row(name)), "{name}");
        }
        for name in ["ping", "select", "multi", "exec", "client|list", "info", "quit", "reset", "subscribe", "watch"] {
            assert!(!is_refused(row(name)), "{name}");
        }
    }
}
