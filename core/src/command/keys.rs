//! Where the keys of a command are among its arguments: Valkey's key specifications, and the finding of keys by them.

use super::row::Command;
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

/// What a command does with the keys of a specification; one of RO, RW, OW, RM and any of the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyFlags(u16);

#[allow(missing_docs)]
impl KeyFlags {
    pub const NONE: Self = Self(0);
    pub const RO: Self = Self(1);
    pub const RW: Self = Self(1 << 1);
    pub const OW: Self = Self(1 << 2);
    pub const RM: Self = Self(1 << 3);
    pub const ACCESS: Self = Self(1 << 4);
    pub const UPDATE: Self = Self(1 << 5);
    pub const INSERT: Self = Self(1 << 6);
    pub const DELETE: Self = Self(1 << 7);
    pub const NOT_KEY: Self = Self(1 << 8);
    pub const INCOMPLETE: Self = Self(1 << 9);
    pub const VARIABLE_FLAGS: Self = Self(1 << 10);

    /// Every flag with its word, in the order in which Valkey lists them.
    pub const WORDS: &'static [(Self, &'static str)] = &[
        (Self::RO, "RO"),
        (Self::RW, "RW"),
        (Self::OW, "OW"),
        (Self::RM, "RM"),
        (Self::ACCESS, "access"),
        (Self::UPDATE, "update"),
        (Self::INSERT, "insert"),
        (Self::DELETE, "delete"),
        (Self::NOT_KEY, "not_key"),
        (Self::INCOMPLETE, "incomplete"),
        (Self::VARIABLE_FLAGS, "variable_flags"),
    ];
}

impl KeyFlags {
    /// Both together; `const`, for rows.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Are all of `other` in it?
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The words of the members.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, word)| *word)
    }
}

impl KeySpec {
    /// One key at word `index`.
    pub const fn one(index: u8, flags: KeyFlags) -> Self {
        Self { flags, begin: Begin::Index(index), find: Find::Range { last: 0, step: 1, limit: 0 } }
    }

    /// Keys from word `index` to the end, `step` words apart.
    pub const fn to_end(index: u8, step: u8, flags: KeyFlags) -> Self {
        Self { flags, begin: Begin::Index(index), find: Find::Range { last: -1, step, limit: 0 } }
    }

    /// The number of keys at word `index`, the keys behind it, `step` words apart.
    pub const fn counted(index: u8, step: u8, flags: KeyFlags) -> Self {
        Self { flags, begin: Begin::Index(index), find: Find::KeyNum { number_at: 0, first: 1, step } }
    }

    /// Calls `visit` with the index of each key that this specification finds in `args`.
    /// `false` if the words do not fit the specification (a key count that is no number or too large).
    pub fn visit(&self, args: &Args<'_>, mut visit: impl FnMut(usize)) -> bool {
        let begin = match self.begin {
            Begin::Index(index) => index as usize,
            Begin::Keyword { word, from } => match keyword_at(args, word, from) {
                Some(at) => at + 1,
                None => return true,
            },
            Begin::Unknown => return true,
        };
        let words = args.len();
        if begin >= words {
            return true;
        }
        let (first, last, step) = match self.find {
            Find::Range { last, step, limit } => {
                let last = match (last >= 0, limit) {
                    (true, _) => begin + last as usize,
                    (false, 0 | 1) => (words as isize + last as isize).max(0) as usize,
                    // The rest of the call is shared out evenly, as in `XREAD STREAMS a b 0 0`.
                    (false, limit) => begin + (words - begin) / limit as usize + 1 - last.unsigned_abs() as usize - 1,
                };
                (begin, last, step)
            }
            Find::KeyNum { number_at, first, step } => {
                let Some(number) = (begin + (number_at as usize) < words).then(|| args.get(begin + number_at as usize))
                else {
                    return false;
                };
                let count = match parse_integer(number) {
                    Some(count @ 1..) if count <= words as i64 => count as usize,
                    _ => return false,
                };
                let first = begin + first as usize;
                (first, first + (count - 1) * step as usize, step)
            }
            Find::Unknown => return true,
        };
        if last >= words {
            return false;
        }
        (first..=last).step_by(step.max(1) as usize).for_each(&mut visit);
        true
    }
}

fn keyword_at(args: &Args<'_>, word: &str, from: i8) -> Option<usize> {
    let is_word = |index: &usize| args.get(*index).eq_ignore_ascii_case(word.as_bytes());
    match from {
        0.. => (from as usize..args.len()).find(is_word),
        _ => (1..(args.len() as isize + from as isize + 1).max(1) as usize).rev().find(is_word),
    }
}

impl Command {
    /// Calls `visit` with the index of each key of a call, and its specification. The arity has been checked.
    /// `false` if the words do not fit the specifications.
    pub fn visit_keys(&self, args: &Args<'_>, mut visit: impl FnMut(usize, &KeySpec)) -> bool {
        self.keys.iter().all(|spec| spec.flags.has(KeyFlags::NOT_KEY) || spec.visit(args, |index| visit(index, spec)))
    }

    /// The index of the key of a command that always has exactly one, at a fixed place.
    #[inline]
    pub fn single_key(&self) -> Option<usize> {
        match self.keys {
            [KeySpec { begin: Begin::Index(index), find: Find::Range { last: 0, .. }, .. }] => Some(*index as usize),
            _ => None,
        }
    }

    /// Does the command find its keys in a way that first, last and step cannot describe?
    pub fn has_movable_keys(&self) -> bool {
        !matches!(self.keys, [] | [KeySpec { begin: Begin::Index(_), find: Find::Range { .. }, .. }])
            && self.legacy_range() == (0, 0, 0)
    }

    /// First key, last key and step as the first fields of COMMAND INFO tell them; zeros where they cannot.
    pub fn legacy_range(&self) -> (i64, i64, i64) {
        let mut all: Option<(i64, i64, i64)> = None;
        for spec in self.keys {
            let (Begin::Index(begin), Find::Range { last, step, .. }) = (spec.begin, spec.find) else {
                return (0, 0, 0);
            };
            let first = i64::from(begin);
            let last = if last >= 0 { first + i64::from(last) } else { i64::from(last) };
            all = Some(match all {
                None => (first, last, i64::from(step)),
                // Neighbouring specifications with the same step read as one range.
                Some((low, high, width)) if high >= 0 && first == high + 1 && i64::from(step) == width => {
                    (low, last, width)
                }
                Some(_) => return (0, 0, 0),
            });
        }
        all.unwrap_or((0, 0, 0))
    }
}
