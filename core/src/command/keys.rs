//! Where the keys of a command are among its arguments: Valkey's key specifications, and the finding of keys by them.
//!
//! A specification answers two questions: which shards a call needs (before it runs, [`Command::visit_keys`]), and what
//! COMMAND GETKEYS tells ([`Command::strict_keys`]). The first must find every key that a handler may touch, also in a
//! call that the handler will refuse; the second refuses such calls.

use super::row::{Command, Flags, word_set};
use crate::number::parse_integer;
use crate::resp::Args;

/// One key specification.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// What the command does with these keys.
    pub flags: KeyFlags,
    /// Where the search begins.
    pub begin: Begin,
    /// How keys follow from there.
    pub find: Find,
    /// A remark for the reader of COMMAND INFO; mostly empty.
    pub notes: &'static str,
}

/// What tells the keys of a call when the specifications do not tell all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyRule {
    /// The specifications tell all.
    #[default]
    Specs,
    /// SET: with GET it reads what it overwrites.
    Set,
    /// BITFIELD: its operations tell whether it writes.
    Bitfield,
    /// SORT: the key behind the last STORE is written. Keys of BY and GET cannot be known.
    Sort,
    /// SORT_RO: as SORT, but nothing is written.
    SortRo,
    /// MIGRATE: one key, or all behind KEYS.
    Migrate,
    /// GEORADIUS and GEORADIUSBYMEMBER: the key behind the last STORE or STOREDIST is written.
    GeoRadius,
}

/// Where the search for keys begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At this word.
    Index(u8),
    /// Behind this word, searched from `from` on (negative: backwards from the end).
    Keyword {
        /// The word, in upper case.
        word: &'static str,
        /// Where to start searching.
        from: i8,
    },
    /// Nobody can tell from the words.
    Unknown,
}

/// How keys follow from the beginning of a specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// Every `step`-th word up to `last` (counted from the beginning; negative: from the end of the call, where
    /// `limit` above 1 takes only that fraction of what remains).
    Range {
        /// Last key, relative to the first; negative: relative to the end.
        last: i8,
        /// Distance from key to key.
        step: u8,
        /// 0 and 1: no limit; 2: half of the rest, and so on.
        limit: u8,
    },
    /// A word holds the number of keys.
    KeyNum {
        /// Where the number is, relative to the beginning.
        number_at: u8,
        /// Where the first key is, relative to the beginning.
        first: u8,
        /// Distance from key to key.
        step: u8,
    },
    /// Nobody can tell from the words.
    Unknown,
}

word_set! {
    /// What a command does with the keys of a specification; one of RO, RW, OW, RM and any of the others.
    pub struct KeyFlags {
        RO = 0 "RO",
        RW = 1 "RW",
        OW = 2 "OW",
        RM = 3 "RM",
        ACCESS = 4 "access",
        UPDATE = 5 "update",
        INSERT = 6 "insert",
        DELETE = 7 "delete",
        NOT_KEY = 8 "not_key",
        INCOMPLETE = 9 "incomplete",
        VARIABLE_FLAGS = 10 "variable_flags",
    }
}

impl KeySpec {
    /// A specification in full.
    pub const fn new(begin: Begin, find: Find, flags: KeyFlags) -> Self {
        Self { flags, begin, find, notes: "" }
    }

    /// One key at word `index`.
    pub const fn one(index: u8, flags: KeyFlags) -> Self {
        Self::new(Begin::Index(index), Find::Range { last: 0, step: 1, limit: 0 }, flags)
    }

    /// Keys from word `index` to the end, `step` words apart.
    pub const fn to_end(index: u8, step: u8, flags: KeyFlags) -> Self {
        Self::new(Begin::Index(index), Find::Range { last: -1, step, limit: 0 }, flags)
    }

    /// The number of keys at word `index`, the keys behind it, `step` words apart.
    pub const fn counted(index: u8, step: u8, flags: KeyFlags) -> Self {
        Self::new(Begin::Index(index), Find::KeyNum { number_at: 0, first: 1, step }, flags)
    }

    /// Keys that nobody can tell from the words.
    pub const fn unknown(flags: KeyFlags) -> Self {
        Self::new(Begin::Unknown, Find::Unknown, flags)
    }

    /// With a remark.
    pub const fn noted(self, notes: &'static str) -> Self {
        Self { notes, ..self }
    }

    /// Calls `visit` with the index of each key that this specification finds in `args`.
    /// `false` if the words do not fit the specification (a key count that is no number or too large).
    pub fn visit(&self, args: &Args<'_>, visit: impl FnMut(usize)) -> bool {
        match self.locate(args) {
            Located::Keys { first, last, step } => {
                (first..=last).step_by(step).for_each(visit);
                true
            }
            Located::Absent | Located::Nothing => true,
            Located::Misfit => false,
        }
    }

    fn locate(&self, args: &Args<'_>) -> Located {
        let words = args.len();
        let begin = match self.begin {
            Begin::Index(index) => index as usize,
            Begin::Keyword { word, from } => match keyword_at(args, word, from) {
                Some(at) => at + 1,
                None => return Located::Absent,
            },
            Begin::Unknown => return Located::Absent,
        };
        if begin >= words {
            return Located::Nothing;
        }
        let (first, end, step) = match self.find {
            Find::Range { last, step, limit } => {
                let end = match (last >= 0, limit) {
                    (true, _) => begin + last as usize + 1,
                    (false, 0 | 1) => (words + 1).saturating_sub(last.unsigned_abs() as usize),
                    // The rest of the call is shared out evenly, as in `XREAD STREAMS a b 0 0`.
                    (false, limit) => {
                        (begin + (words - begin) / limit as usize + 1).saturating_sub(last.unsigned_abs() as usize)
                    }
                };
                (begin, end, step)
            }
            Find::KeyNum { number_at, first, step } => {
                let number_at = begin + number_at as usize;
                if number_at >= words {
                    return Located::Misfit;
                }
                let count = match parse_integer(args.get(number_at)) {
                    Some(0) => return Located::Nothing,
                    Some(count @ 1..) if count <= words as i64 => count as usize,
                    _ => return Located::Misfit,
                };
                let first = begin + first as usize;
                (first, first + (count - 1) * step as usize + 1, step)
            }
            Find::Unknown => return Located::Absent,
        };
        match end {
            _ if end > words => Located::Misfit,
            _ if end <= first => Located::Nothing,
            _ => Located::Keys { first, last: end - 1, step: step.max(1) as usize },
        }
    }
}

/// What a specification finds in a call.
enum Located {
    /// These words.
    Keys { first: usize, last: usize, step: usize },
    /// The keyword does not occur, or nobody can tell.
    Absent,
    /// The place for keys is empty.
    Nothing,
    /// The words do not fit.
    Misfit,
}

fn keyword_at(args: &Args<'_>, word: &str, from: i8) -> Option<usize> {
    let is_word = |index: &usize| args.get(*index).eq_ignore_ascii_case(word.as_bytes());
    match from {
        // A keyword as the last word announces nothing.
        0.. => (from as usize..args.len().saturating_sub(1)).find(is_word),
        _ => (2..(args.len() + 1).saturating_sub(from.unsigned_abs() as usize).max(2)).rev().find(is_word),
    }
}

const READ: KeyFlags = KeyFlags::RO.with(KeyFlags::ACCESS);
const OVERWRITE: KeyFlags = KeyFlags::OW.with(KeyFlags::UPDATE);
const CHANGE: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE);
const TAKE: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE);

impl KeyRule {
    /// Calls `visit` with each key of a call. [`KeyRule::Specs`] knows none.
    fn visit(self, args: &Args<'_>, mut visit: impl FnMut(usize, &KeySpec)) {
        let is = |index: usize, word: &str| args.get(index).eq_ignore_ascii_case(word.as_bytes());
        match self {
            Self::Specs => {}
            Self::Set => {
                let reads = (3..args.len()).any(|index| is(index, "GET"));
                visit(1, &KeySpec::one(1, if reads { CHANGE } else { OVERWRITE }));
            }
            Self::Bitfield => visit(1, &KeySpec::one(1, if bitfield_only_reads(args) { READ } else { CHANGE })),
            Self::Sort => {
                visit(1, &KeySpec::one(1, READ));
                if let Some(index) = sort_target(args) {
                    visit(index, &KeySpec::unknown(OVERWRITE));
                }
            }
            Self::SortRo => visit(1, &KeySpec::one(1, READ)),
            Self::Migrate => match migrate_keys_option(args) {
                None => visit(3, &KeySpec::one(3, TAKE)),
                // Nothing behind KEYS: Valkey takes it for an ordinary word.
                Some(at) if at + 1 == args.len() => visit(3, &KeySpec::one(3, TAKE)),
                // KEYS needs an empty key; the handler refuses anything else.
                Some(_) if !args.get(3).is_empty() => {}
                Some(at) => (at + 1..args.len()).for_each(|index| visit(index, &KeySpec::unknown(TAKE))),
            },
            Self::GeoRadius => {
                visit(1, &KeySpec::one(1, READ));
                if let Some(index) = geo_target(args) {
                    visit(index, &KeySpec::unknown(OVERWRITE));
                }
            }
        }
    }
}

/// Does a BITFIELD call do nothing but GET? In doubt it writes.
fn bitfield_only_reads(args: &Args<'_>) -> bool {
    let mut index = 2;
    while index < args.len() {
        let (word, left) = (args.get(index), args.len() - index - 1);
        index += match () {
            () if word.eq_ignore_ascii_case(b"get") && left >= 2 => 3,
            () if word.eq_ignore_ascii_case(b"overflow") && left >= 1 => 2,
            () => return false,
        };
    }
    true
}

/// The word behind the last STORE of a SORT call.
fn sort_target(args: &Args<'_>) -> Option<usize> {
    let (mut index, mut target) = (2, None);
    while index < args.len() {
        let word = args.get(index);
        index += match () {
            () if word.eq_ignore_ascii_case(b"limit") => 3,
            () if word.eq_ignore_ascii_case(b"get") || word.eq_ignore_ascii_case(b"by") => 2,
            () if word.eq_ignore_ascii_case(b"store") && index + 1 < args.len() => {
                target = Some(index + 1);
                // What is stored to may bear the name of an option; Valkey looks at it again, and so do we.
                1
            }
            () => 1,
        };
    }
    target
}

/// The word behind the last STORE or STOREDIST of a GEORADIUS or GEORADIUSBYMEMBER call.
fn geo_target(args: &Args<'_>) -> Option<usize> {
    let (mut index, mut target) = (5, None);
    while index + 1 < args.len() {
        let word = args.get(index);
        index += 1;
        if word.eq_ignore_ascii_case(b"store") || word.eq_ignore_ascii_case(b"storedist") {
            target = Some(index);
            index += 1;
        }
    }
    target
}

/// Where KEYS stands as an option in a MIGRATE call (and not as a password).
fn migrate_keys_option(args: &Args<'_>) -> Option<usize> {
    let mut index = 6;
    while index < args.len() {
        let word = args.get(index);
        index += match () {
            () if word.eq_ignore_ascii_case(b"keys") => return Some(index),
            () if word.eq_ignore_ascii_case(b"auth") => 2,
            () if word.eq_ignore_ascii_case(b"auth2") => 3,
            () => 1,
        };
    }
    None
}

/// Why COMMAND GETKEYS tells no keys of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKeys;

impl Command {
    /// Can a call have keys at all?
    pub fn has_keys(&self) -> bool {
        self.key_rule != KeyRule::Specs || self.keys.iter().any(|spec| !spec.flags.has(KeyFlags::NOT_KEY))
    }

    /// Calls `visit` with the index of each key of a call, and the specification that holds for it. The arity has been
    /// checked. `false` if the words do not fit the specifications; the handler will refuse the call.
    pub fn visit_keys(&self, args: &Args<'_>, mut visit: impl FnMut(usize, &KeySpec)) -> bool {
        if self.key_rule != KeyRule::Specs {
            self.key_rule.visit(args, &mut visit);
            if self.key_rule == KeyRule::Sort {
                // What COMMAND GETKEYS tells need not be what SORT writes, if a key is called like an option.
                let target =
                    crate::commands::key::sort_target(args).filter(|target| Some(*target) != sort_target(args));
                target.into_iter().for_each(|target| visit(target, &KeySpec::unknown(OVERWRITE)));
            }
            return true;
        }
        self.real_keys().all(|spec| spec.visit(args, |index| visit(index, spec)))
    }

    /// Calls `visit` with the index of each word of a call that names a slot: its keys, or its shard channels. The answer is that of
    /// [`Command::visit_keys`].
    pub fn visit_slots(&self, args: &Args<'_>, mut visit: impl FnMut(usize)) -> bool {
        self.visit_keys(args, |index, _| visit(index))
            && self
                .keys
                .iter()
                .filter(|spec| spec.flags.has(KeyFlags::NOT_KEY))
                .all(|spec| spec.visit(args, &mut visit))
    }

    /// The keys of a call with their flags, as COMMAND GETKEYS tells them.
    ///
    /// # Errors
    /// [`NoKeys`] if there are none where there must be some.
    pub fn strict_keys(&self, args: &Args<'_>) -> Result<Vec<(usize, KeyFlags)>, NoKeys> {
        let mut found = Vec::new();
        let fits = || self.real_keys().all(|spec| !matches!(spec.locate(args), Located::Nothing | Located::Misfit));
        if self.key_rule != KeyRule::Specs {
            self.key_rule.visit(args, |index, spec| found.push((index, spec.flags)));
        } else if fits() {
            self.visit_keys(args, |index, spec| found.push((index, spec.flags)));
        }
        if found.is_empty() {
            found = self.loosely_counted_keys(args);
        }
        if found.is_empty() && !self.flags.has(Flags::NO_MANDATORY_KEYS) { Err(NoKeys) } else { Ok(found) }
    }

    /// Where the number of keys is no proper number, Valkey takes the digits that it begins with, knows nothing of what is done
    /// with those keys, and names a destination last.
    fn loosely_counted_keys(&self, args: &Args<'_>) -> Vec<(usize, KeyFlags)> {
        let counted = self.real_keys().find_map(|spec| match (spec.begin, spec.find) {
            (Begin::Index(begin), Find::KeyNum { number_at, first, step: 1 }) => {
                Some((begin + number_at, begin + first))
            }
            _ => None,
        });
        let Some((number_at, first)) = counted.map(|(at, first)| (usize::from(at), usize::from(first))) else {
            return Vec::new();
        };
        let room = args.len().saturating_sub(first);
        let count = if number_at < args.len() { leading_integer(args.get(number_at)) } else { 0 };
        let Some(count) = usize::try_from(count).ok().filter(|count| (1..=room).contains(count)) else {
            return Vec::new();
        };
        let destination = self.real_keys().find_map(|spec| match (spec.begin, spec.find) {
            (Begin::Index(at), Find::Range { .. }) => Some(usize::from(at)),
            _ => None,
        });
        (first..first + count).chain(destination).map(|at| (at, KeyFlags::NONE)).collect()
    }

    fn real_keys(&self) -> impl Iterator<Item = &'static KeySpec> + use<> {
        self.keys.iter().filter(|spec| !spec.flags.has(KeyFlags::NOT_KEY))
    }

    /// The index of the key of a command that always has exactly one, at a fixed place.
    #[inline]
    pub fn single_key(&self) -> Option<usize> {
        match self.keys {
            [KeySpec { begin: Begin::Index(index), find: Find::Range { last: 0, .. }, flags, .. }]
                if !flags.has(KeyFlags::NOT_KEY) =>
            {
                Some(*index as usize)
            }
            _ => None,
        }
    }

    /// Does the command find keys in a way that first, last and step cannot describe?
    pub fn has_movable_keys(&self) -> bool {
        self.plain_range().1
    }

    /// First key, last key and step as the first fields of COMMAND INFO tell them; zeros where they cannot.
    pub fn legacy_range(&self) -> (i64, i64, i64) {
        self.plain_range().0
    }

    /// What first, last and step can tell of the keys, and whether there is more to it.
    fn plain_range(&self) -> ((i64, i64, i64), bool) {
        let incomplete = self.keys.iter().any(|spec| spec.flags.has(KeyFlags::INCOMPLETE));
        if let [KeySpec { begin: Begin::Index(first), find: Find::Range { last, step, .. }, .. }] = self.keys {
            return ((i64::from(*first), absolute(*first, *last), i64::from(*step)), incomplete);
        }
        let (mut range, mut more) = (None, incomplete);
        for spec in self.keys {
            range = match (spec.begin, spec.find, range) {
                (Begin::Index(at), Find::Range { last, step: 1, .. }, None) => {
                    Some((i64::from(at), absolute(at, last)))
                }
                // Neighbours read as one range.
                (Begin::Index(at), Find::Range { last, step: 1, .. }, Some((first, end)))
                    if i64::from(at) == end + 1 =>
                {
                    Some((first, absolute(at, last)))
                }
                _ => {
                    more = true;
                    range
                }
            };
        }
        (range.map_or((0, 0, 0), |(first, last)| (first, last, 1)), more)
    }
}

/// The last key of a range, counted from the start of the call; negative: from its end.
fn absolute(first: u8, last: i8) -> i64 {
    if last >= 0 { i64::from(first) + i64::from(last) } else { i64::from(last) }
}

/// The number that a text begins with, as C's `atoi` reads it: blanks, a sign, digits; 32 bits are left of it.
fn leading_integer(text: &[u8]) -> i32 {
    let (negative, digits) = match text.trim_ascii_start() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0_i64, |value, byte| value.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    (if negative { -value } else { value }) as i32
}
