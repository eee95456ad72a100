//! Calls worth remembering (COMMANDLOG, SLOWLOG): those that took long, and those with large requests or replies.
//!
//! Each core remembers the calls of its own clients; the number of an entry is drawn from one sequence for all cores, so
//! that the newest of all are found by number.

use crate::command::Command;
use crate::resp::Args;
use crate::settings::Setting;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most words of a call that an entry keeps.
const WORDS_MAX: usize = 32;

/// Most bytes of a word that an entry keeps.
const WORD_BYTES_MAX: usize = 128;

/// What stands in the place of a secret.
const REDACTED: &[u8] = b"(redacted)";

/// Why a call is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogKind {
    /// It took long; its value is microseconds.
    Slow,
    /// Its request was large; its value is bytes.
    LargeRequest,
    /// Its reply was large; its value is bytes.
    LargeReply,
}

impl LogKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Slow, Self::LargeRequest, Self::LargeReply];

    /// The kind of this name, in any case of letters.
    pub fn find(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::LargeRequest => "large-request",
            Self::LargeReply => "large-reply",
        }
    }
}

/// A remembered call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number among the entries of its kind.
    pub id: u64,
    /// When it was made, in seconds of Unix time.
    pub seconds: i64,
    /// Microseconds or bytes.
    pub value: u64,
    /// Its words, shortened and without secrets.
    pub words: Vec<Vec<u8>>,
    /// The address of the client.
    pub client: String,
    /// The name of the client.
    pub name: Vec<u8>,
}

/// Remembered calls of one core's clients, the newest first.
#[derive(Debug, Default)]
pub struct CommandLog {
    kinds: [VecDeque<Arc<LogEntry>>; 3],
    most: [usize; 3],
}

impl CommandLog {
    /// Keeps `most` entries of each kind from now on.
    pub fn set_most(&mut self, most: [usize; 3]) {
        self.most = most;
        for (entries, most) in self.kinds.iter_mut().zip(most) {
            entries.truncate(most);
        }
    }

    /// Remembers a call.
    pub fn push(&mut self, kind: LogKind, entry: LogEntry) {
        let (entries, most) = (&mut self.kinds[kind as usize], self.most[kind as usize]);
        entries.push_front(Arc::new(entry));
        entries.truncate(most);
    }

    /// The newest `count` entries.
    pub fn newest(&self, kind: LogKind, count: usize) -> Vec<Arc<LogEntry>> {
        self.kinds[kind as usize].iter().take(count).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self, kind: LogKind) -> usize {
        self.kinds[kind as usize].len()
    }

    /// Are there none of any kind?
    pub fn is_empty(&self) -> bool {
        self.kinds.iter().all(VecDeque::is_empty)
    }

    /// Forgets them.
    pub fn clear(&mut self, kind: LogKind) {
        self.kinds[kind as usize].clear();
    }
}

/// The words of a call as an entry keeps them.
pub fn words_to_keep(row: &Command, args: &Args<'_>) -> Vec<Vec<u8>> {
    let is_cut = args.len() > WORDS_MAX;
    let kept = if is_cut { WORDS_MAX - 1 } else { args.len() };
    let mut words: Vec<Vec<u8>> = (0..kept)
        .map(|at| {
            if is_secret(row, args, at) {
                return REDACTED.to_vec();
            }
            let word = args.get(at);
            match word.len().checked_sub(WORD_BYTES_MAX) {
                Some(more) if more > 0 => {
                    let mut short = word[..WORD_BYTES_MAX].to_vec();
                    short.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
                    short
                }
                _ => word.to_vec(),
            }
        })
        .collect();
    if is_cut {
        words.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    words
}

/// May the word at `at` not be shown?
pub fn is_secret(row: &Command, args: &Args<'_>, at: usize) -> bool {
    let behind = |word: &str, words: usize| {
        (1..=words).any(|back| back < at && args.get(at - back).eq_ignore_ascii_case(word.as_bytes()))
    };
    match row.name {
        "auth" => at > 0,
        "hello" => at > 2 && behind("auth", 2),
        "config|set" => {
            at > 2 && at % 2 == 1 && Setting::find(args.get(at - 1)).is_some_and(|(setting, _)| setting.row().sensitive)
        }
        "acl|setuser" | "acl|getuser" | "acl|deluser" => at > 1,
        "migrate" => at > 5 && (behind("auth", 1) || behind("auth2", 2)),
        _ => false,
    }
}

/// Is a call of this row never remembered as slow?
pub fn is_exempt(row: &Command) -> bool {
    row.flags.has(crate::command::Flags::SKIP_COMMANDLOG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;
    use crate::resp::Request;

    fn kept(words: &[&str]) -> Vec<String> {
        let request = Request::new(words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        let args = request.args();
        let row =
            crate::command::Names::default().find(&args).or_else(|| any(&args)).expect("the command is in the table");
        words_to_keep(row, &args).into_iter().map(|word| String::from_utf8_lossy(&word).into_owned()).collect()
    }

    /// Rows that are still missing are found, too.
    fn any(args: &Args<'_>) -> Option<&'static Command> {
        let name = String::from_utf8_lossy(args.get(0)).to_lowercase();
        let sub = args.len().gt(&1).then(|| format!("{name}|{}", String::from_utf8_lossy(args.get(1)).to_lowercase()));
        table::all().find(|row| Some(row.name.to_owned()) == sub).or_else(|| table::all().find(|row| row.name == name))
    }

    #[test]
    fn long_calls_are_cut() {
        let long = "a".repeat(129);
        let mut words = vec!["mget"; 33];
        words[1] = &long;
        let kept = kept(&words);
        assert_eq!(kept.len(), 32);
        assert_eq!(kept[1], format!("{}... (1 more bytes)", "a".repeat(128)));
        assert_eq!(kept[31], "... (2 more arguments)");
        assert_eq!(self::kept(&vec!["mget"; 32]).last().map(String::as_str), Some("mget"));
        assert_eq!(self::kept(&["get", &"a".repeat(128)])[1].len(), 128);
    }

    #[test]
    fn secrets_are_not_kept() {
        let cases: &[(&str, &str)] = &[
            ("auth user pw", "auth (redacted) (redacted)"),
            ("hello 3 AUTH user pw setname x", "hello 3 AUTH (redacted) (redacted) setname x"),
            ("config set masterauth foo loglevel notice", "config set masterauth (redacted) loglevel notice"),
            ("config set requirepass auth", "config set requirepass (redacted)"),
            ("acl setuser bob on >pw", "acl setuser (redacted) (redacted) (redacted)"),
            ("migrate h 1 key 0 100 AUTH pw", "migrate h 1 key 0 100 AUTH (redacted)"),
            ("migrate h 1 key 0 100 AUTH2 u pw", "migrate h 1 key 0 100 AUTH2 (redacted) (redacted)"),
            ("set auth pw", "set auth pw"),
        ];
        for (call, expected) in cases {
            let words: Vec<&str> = call.split(' ').collect();
            assert_eq!(kept(&words).join(" "), *expected);
        }
    }

    #[test]
    fn the_newest_stay() {
        let mut log = CommandLog::default();
        let entry =
            |id| LogEntry { id, seconds: 0, value: 1, words: Vec::new(), client: String::new(), name: Vec::new() };
        log.push(LogKind::Slow, entry(0));
        assert_eq!(log.len(LogKind::Slow), 0, "nothing is kept where nothing may be");
        log.set_most([2, 1, 0]);
        (1..=3).for_each(|id| log.push(LogKind::Slow, entry(id)));
        let ids: Vec<u64> = log.newest(LogKind::Slow, 9).iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [3, 2]);
        log.set_most([1, 1, 1]);
        assert_eq!(log.len(LogKind::Slow), 1);
        log.clear(LogKind::Slow);
        assert!(log.is_empty());
    }
}
