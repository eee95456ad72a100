//! What MONITOR shows: calls in the order in which they took effect. Where a call runs it is noted with a stamp, the value of a
//! counter that is the same on all cores, taken while nobody else can touch its keys; so the stamps of all calls on a key are in the
//! order of their effects, whatever cores they ran on. The words are written as they will be shown at once: that is less than a copy
//! of each, and the work lies with the core that has the call. Nothing of this is done while nobody monitors.

use super::command_log::is_secret;
use crate::command::table::ROW_COUNT;
use crate::command::{Command, Flags, Group};
use crate::resp::Args;
use crate::units::DbIndex;
use crate::words::quote;

/// The notes of one pass hold no more text than this, in bytes: whoever makes more is not shown, and the monitors are closed.
pub const TEXT_BYTES_MAX: usize = 256 << 20;

/// Of what a script calls that takes long so much is kept back at most until it ends, in bytes.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// What a line costs besides its text, about, in bytes.
const NOTE_BYTES: usize = 128;

/// What is shown in the place of a secret.
const REDACTED: &[u8] = b"\"(redacted)\"";

/// When a call is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// Never: it is about the server itself.
    Never,
    /// Before it runs, because what it calls is to follow.
    Before,
    /// When it has run.
    After,
}

/// When calls of this row are shown.
#[inline]
pub fn shown(row: &Command) -> Shown {
    match row.group {
        // What stands in no table is a part of a command that is shown by itself.
        _ if usize::from(row.id) >= ROW_COUNT => Shown::Never,
        Group::Scripting if row.flags.has(Flags::SKIP_MONITOR) => Shown::Before,
        _ if row.flags.has_any(Flags::ADMIN.with(Flags::SKIP_MONITOR)) => Shown::Never,
        _ => Shown::After,
    }
}

/// What a note is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteKind {
    /// A call of a client; its text is the words.
    Call,
    /// A call of a script.
    FromScript,
    /// A client is there from now on; its text is its address.
    Came,
    /// A client is gone: nothing more of it follows.
    Gone,
}

/// A note. Its text stands with the notes that it came with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// When it was made, in ticks.
    pub stamp: u64,
    /// The id of the client.
    pub client: u64,
    /// The database that the client has chosen.
    pub db: DbIndex,
    /// What it is about.
    pub kind: NoteKind,
    /// Where its text ends; it begins where that of the note before ends.
    pub end: usize,
}

/// Notes of one core, in the order of their stamps.
#[derive(Debug, Default)]
pub struct Notes {
    /// The notes.
    pub notes: Vec<Note>,
    /// Their texts, one behind the other.
    pub text: Vec<u8>,
    /// Were there more than can be kept?
    pub is_lost: bool,
}

impl Notes {
    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && !self.is_lost
    }

    /// What they hold, about, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.text.len() + self.notes.len() * NOTE_BYTES
    }

    /// Takes what was noted since `mark`.
    fn split_off(&mut self, mark: NoteMark) -> Self {
        let mut notes = self.notes.split_off(mark.notes.min(self.notes.len()));
        let from = mark.text.min(self.text.len());
        notes.iter_mut().for_each(|note| note.end -= from);
        Self { notes, text: self.text.split_off(from), is_lost: false }
    }

    /// Appends other notes.
    fn append(&mut self, other: Self) {
        let from = self.text.len();
        self.text.extend_from_slice(&other.text);
        self.notes.extend(other.notes.into_iter().map(|note| Note { end: note.end + from, ..note }));
    }

    /// The text of a note.
    pub fn text_of(&self, at: usize) -> &[u8] {
        let from = at.checked_sub(1).map_or(0, |before| self.notes[before].end);
        &self.text[from..self.notes[at].end]
    }
}

/// A place among the notes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoteMark {
    notes: usize,
    text: usize,
}

/// What is noted on one core while somebody monitors.
#[derive(Debug, Default)]
pub struct Monitored {
    notes: Notes,
    /// The call that is run next is gone on with, and was shown.
    pub is_again: bool,
    /// Where the calls begin that take effect together, if such are being run.
    unit: Option<NoteMark>,
    /// What scripts have called that were interrupted, by their clients: whether it happened is known when they end.
    interrupted: Vec<(u64, Notes)>,
}

impl Monitored {
    /// Notes a call.
    pub fn note(&mut self, stamp: u64, client: u64, db: DbIndex, row: &Command, args: &Args<'_>, is_from_script: bool) {
        let notes = &mut self.notes;
        let more: usize = args.iter().map(<[u8]>::len).sum();
        if notes.is_lost || notes.held_bytes().saturating_add(more) > TEXT_BYTES_MAX {
            return self.lose();
        }
        for at in 0..args.len() {
            if at > 0 {
                notes.text.push(b' ');
            }
            match is_secret(row, args, at) {
                true => notes.text.extend_from_slice(REDACTED),
                false => quote(args.get(at), &mut notes.text),
            }
        }
        let kind = if is_from_script { NoteKind::FromScript } else { NoteKind::Call };
        notes.notes.push(Note { stamp, client, db, kind, end: notes.text.len() });
    }

    /// Notes that a client is there.
    pub fn note_came(&mut self, stamp: u64, client: u64, address: &str) {
        self.notes.text.extend_from_slice(address.as_bytes());
        let end = self.notes.text.len();
        self.notes.notes.push(Note { stamp, client, db: DbIndex(0), kind: NoteKind::Came, end });
    }

    /// Notes that a client is gone.
    pub fn note_gone(&mut self, stamp: u64, client: u64) {
        let end = self.notes.text.len();
        self.notes.notes.push(Note { stamp, client, db: DbIndex(0), kind: NoteKind::Gone, end });
    }

    #[cold]
    fn lose(&mut self) {
        self.notes = Notes { is_lost: true, ..Notes::default() };
        self.unit = self.unit.map(|_| NoteMark::default());
    }

    /// Where the next note will stand.
    pub fn mark(&self) -> NoteMark {
        NoteMark { notes: self.notes.notes.len(), text: self.notes.text.len() }
    }

    /// What was noted since `mark` did not happen.
    pub fn forget_since(&mut self, mark: NoteMark) {
        self.notes.notes.truncate(mark.notes);
        self.notes.text.truncate(mark.text);
    }

    /// The script of this client was interrupted: what was noted of it since `mark` is kept until it ends, as far as there is room;
    /// if there is none, it happens now.
    pub fn keep_since(&mut self, mark: NoteMark, client: u64, stamp: u64) {
        let mut kept = self.take_kept(client).unwrap_or_default();
        kept.append(self.notes.split_off(mark));
        match kept.held_bytes() > KEPT_BYTES_MAX {
            true => {
                let mark = self.mark();
                self.notes.append(kept);
                self.unite_since(mark, stamp);
            }
            false => self.interrupted.push((client, kept)),
        }
    }

    /// It was undone.
    pub fn forget_kept(&mut self, client: u64) {
        self.take_kept(client);
    }

    /// It has ended: what was kept comes before what was noted since `mark`.
    pub fn bring_kept(&mut self, mark: NoteMark, client: u64) {
        if let Some(mut kept) = self.take_kept(client) {
            kept.append(self.notes.split_off(mark));
            self.notes.append(kept);
        }
    }

    fn take_kept(&mut self, client: u64) -> Option<Notes> {
        let at = self.interrupted.iter().position(|(of, _)| *of == client)?;
        Some(self.interrupted.swap_remove(at).1)
    }

    /// What was noted since `mark` happened at one moment.
    pub fn unite_since(&mut self, mark: NoteMark, stamp: u64) {
        self.notes.notes.iter_mut().skip(mark.notes).for_each(|note| note.stamp = stamp);
    }

    /// Calls that take effect together follow.
    pub fn begin_unit(&mut self) {
        self.unit = Some(self.mark());
    }

    /// They were run.
    pub fn end_unit(&mut self, stamp: u64) {
        if let Some(mark) = self.unit.take() {
            self.unite_since(mark, stamp);
        }
    }

    /// Is there anything to be taken?
    pub fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    /// Takes all notes.
    pub fn take(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;
    use crate::resp::Request;

    fn row(name: &str) -> &'static Command {
        table::all().find(|row| row.name == name).expect("the command is in the table")
    }

    fn text_of(name: &str, words: &[&[u8]]) -> String {
        let mut monitored = Monitored::default();
        let request = Request::new(words.iter().copied());
        monitored.note(1, 2, DbIndex(3), row(name), &request.args(), false);
        let notes = monitored.take();
        assert_eq!(notes.notes.len(), 1);
        String::from_utf8_lossy(notes.text_of(0)).into_owned()
    }

    #[test]
    fn words_are_quoted_and_secrets_redacted() {
        assert_eq!(text_of("set", &[b"SET", b"a", b""]), r#""SET" "a" """#);
        let odd = b"1\r\n\t\x07\x08\"\\'\xc2\x80 ~\x7f\x00";
        assert_eq!(text_of("set", &[b"set", odd]), r#""set" "1\r\n\t\a\b\"\\'\xc2\x80 ~\x7f\x00""#);
        assert_eq!(text_of("auth", &[b"AUTH", b"u", b"p"]), r#""AUTH" "(redacted)" "(redacted)""#);
        let hello: &[&[u8]] = &[b"HELLO", b"3", b"AUTH", b"default", b"x", b"SETNAME", b"n"];
        assert_eq!(text_of("hello", hello), r#""HELLO" "3" "AUTH" "(redacted)" "(redacted)" "SETNAME" "n""#);
    }

    #[test]
    fn what_is_shown() {
        let cases = [
            ("get", Shown::After),
            ("multi", Shown::After),
            ("exec", Shown::After),
            ("client|id", Shown::After),
            ("client|list", Shown::Never),
            ("config|get", Shown::Never),
            ("monitor", Shown::Never),
            ("debug", Shown::Never),
            ("eval", Shown::Before),
            ("evalsha_ro", Shown::Before),
            ("fcall", Shown::Before),
            ("script|load", Shown::After),
        ];
        for (name, expected) in cases {
            assert_eq!(shown(row(name)), expected, "{name}");
        }
        assert_eq!(shown(&crate::commands::within::exec::UNIT), Shown::Never);
    }

    #[test]
    fn notes_are_taken_back_and_united() {
        let mut monitored = Monitored::default();
        let request = Request::new([&b"get"[..], b"k"]);
        let args = request.args();
        let note = |monitored: &mut Monitored, stamp| {
            monitored.note(stamp, 1, DbIndex(0), row("get"), &args, false);
        };
        note(&mut monitored, 1);
        monitored.begin_unit();
        note(&mut monitored, 2);
        let mark = monitored.mark();
        note(&mut monitored, 3);
        monitored.forget_since(mark);
        note(&mut monitored, 4);
        monitored.end_unit(5);
        note(&mut monitored, 6);
        let notes = monitored.take();
        let stamps: Vec<u64> = notes.notes.iter().map(|note| note.stamp).collect();
        assert_eq!(stamps, [1, 5, 5, 6]);
        assert!((0..4).all(|at| notes.text_of(at) == br#""get" "k""#));
        assert!(!monitored.has_notes());
    }

    #[test]
    fn what_an_interrupted_script_calls_is_shown_at_its_end() {
        let mut monitored = Monitored::default();
        let note = |monitored: &mut Monitored, stamp, word: &[u8]| {
            let request = Request::new([word]);
            monitored.note(stamp, 1, DbIndex(0), row("get"), &request.args(), false);
        };
        note(&mut monitored, 1, b"before");
        let mark = monitored.mark();
        note(&mut monitored, 2, b"first");
        note(&mut monitored, 3, b"second");
        monitored.keep_since(mark, 7, 9);
        note(&mut monitored, 4, b"other");
        let mark = monitored.mark();
        note(&mut monitored, 5, b"third");
        monitored.keep_since(mark, 7, 9);
        monitored.keep_since(monitored.mark(), 8, 9);
        let mark = monitored.mark();
        note(&mut monitored, 6, b"last");
        monitored.bring_kept(mark, 7);
        monitored.unite_since(mark, 6);
        monitored.forget_kept(8);
        let notes = monitored.take();
        let all: Vec<(u64, &[u8])> =
            notes.notes.iter().enumerate().map(|(at, note)| (note.stamp, notes.text_of(at))).collect();
        let expected: [(u64, &[u8]); 6] = [
            (1, br#""before""#),
            (4, br#""other""#),
            (6, br#""first""#),
            (6, br#""second""#),
            (6, br#""third""#),
            (6, br#""last""#),
        ];
        assert_eq!(all, expected);
        assert!(monitored.interrupted.is_empty());
    }

    #[test]
    fn too_much_is_lost() {
        let mut monitored = Monitored::default();
        let request = Request::new([&b"get"[..], b"k"]);
        // Zeros, which take no memory before they are written.
        monitored.notes.text = vec![0; TEXT_BYTES_MAX - NOTE_BYTES];
        monitored.note(1, 1, DbIndex(0), row("get"), &request.args(), false);
        assert!(!monitored.notes.is_lost);
        monitored.note(2, 1, DbIndex(0), row("get"), &request.args(), false);
        let notes = monitored.take();
        assert!(notes.is_lost && notes.notes.is_empty() && notes.text.is_empty());
        monitored.note(3, 1, DbIndex(0), row("get"), &request.args(), false);
        assert_eq!(monitored.take().notes.len(), 1, "what comes later is noted again");
    }
}
