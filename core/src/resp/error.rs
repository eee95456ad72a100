//! Refusals of a command and their words on the wire. Clients branch on the first word, so it is an interface;
//! the texts are Valkey's, because applications match on them too.

use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// Why a command was refused. A handler that returns it has written no reply and changed no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type.
    WrongType,
    /// The options do not fit together or are unknown.
    Syntax,
    /// An argument or a value is no integer, or out of the range of one.
    NotAnInteger,
    /// A value is no valid float.
    NotAFloat,
    /// The number of arguments does not fit the named command (lower case, `parent|child` for subcommands).
    Arity(Cow<'static, str>),
    /// No such key where one is needed.
    NoSuchKey,
    /// The database index is out of range.
    DbIndexOutOfRange,
    /// An expiry time that is not positive, or out of range, for the named command.
    InvalidExpire(&'static str),
    /// The client has not authenticated.
    NoAuth,
    /// User name and password do not match.
    WrongPass,
    /// HELLO asked for a protocol that does not exist.
    NoProto,
    /// Not enough memory under `maxmemory`.
    OutOfMemory,
    /// The keys belong to different hash slots.
    CrossSlot,
    /// A generic error with the code `ERR` and this text.
    Text(Cow<'static, str>),
    /// An error with a code of its own.
    Coded(&'static str, Cow<'static, str>),
}

impl CommandError {
    /// A generic error with a fixed text.
    pub const fn text(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A generic error with a text made at run time.
    pub fn owned(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    /// EXEC was refused for this reason, and the transaction dropped.
    pub fn aborted(reason: &Self) -> Self {
        let text = match reason.code() {
            "ERR" => format!("Transaction discarded because of: {reason}"),
            code => format!("Transaction discarded because of: {code} {reason}"),
        };
        Self::Coded("EXECABORT", text.into())
    }

    /// The first word on the wire.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WrongType => "WRONGTYPE",
            Self::NoAuth => "NOAUTH",
            Self::WrongPass => "WRONGPASS",
            Self::NoProto => "NOPROTO",
            Self::OutOfMemory => "OOM",
            Self::CrossSlot => "CROSSSLOT",
            Self::Coded(code, _) => code,
            Self::Syntax
            | Self::NotAnInteger
            | Self::NotAFloat
            | Self::Arity(_)
            | Self::NoSuchKey
            | Self::DbIndexOutOfRange
            | Self::InvalidExpire(_)
            | Self::Text(_) => "ERR",
        }
    }
}

impl fmt::Display for CommandError {
    /// The text behind the code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType => f.write_str("Operation against a key holding the wrong kind of value"),
            Self::Syntax => f.write_str("syntax error"),
            Self::NotAnInteger => f.write_str("value is not an integer or out of range"),
            Self::NotAFloat => f.write_str("value is not a valid float"),
            Self::Arity(name) => write!(f, "wrong number of arguments for '{name}' command"),
            Self::NoSuchKey => f.write_str("no such key"),
            Self::DbIndexOutOfRange => f.write_str("DB index is out of range"),
            Self::InvalidExpire(name) => write!(f, "invalid expire time in '{name}' command"),
            Self::NoAuth => f.write_str("Authentication required."),
            Self::WrongPass => f.write_str("invalid username-password pair or user is disabled."),
            Self::NoProto => f.write_str("unsupported protocol version"),
            Self::OutOfMemory => f.write_str("command not allowed when used memory > 'maxmemory'."),
            Self::CrossSlot => f.write_str("Keys in request don't hash to the same slot"),
            Self::Text(text) | Self::Coded(_, text) => f.write_str(text),
        }
    }
}

impl std::error::Error for CommandError {}

/// How many replies were errors, by the first word on the wire. There are few such words, and errors are rare.
#[derive(Debug, Clone, Default)]
pub struct ErrorCounts {
    counts: SmallVec<[(Cow<'static, str>, u64); 4]>,
    /// Those whose code came when there were [`KINDS_MAX`] others.
    others: u64,
}

/// So many codes are told apart: scripts may make up their own.
const KINDS_MAX: usize = 128;

impl ErrorCounts {
    /// Counts one error.
    #[cold]
    pub fn note(&mut self, code: &'static str) {
        self.count(code, || Cow::Borrowed(code));
    }

    /// Counts an error with a code that a script has made up.
    #[cold]
    pub fn note_own(&mut self, code: &str) {
        self.count(code, || Cow::Owned(code.to_owned()));
    }

    fn count(&mut self, code: &str, kept: impl FnOnce() -> Cow<'static, str>) {
        if let Some((_, count)) = self.counts.iter_mut().find(|(known, _)| *known == code) {
            *count += 1;
        } else if self.counts.len() < KINDS_MAX {
            self.counts.push((kept(), 1));
        } else {
            self.others += 1;
        }
    }

    /// The words and how often each was sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> + '_ {
        self.counts.iter().map(|(code, count)| (&**code, *count))
    }

    /// All errors.
    pub fn total(&self) -> u64 {
        self.others + self.counts.iter().map(|(_, count)| count).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_first_word() {
        let mut counts = ErrorCounts::default();
        for error in [CommandError::Syntax, CommandError::WrongType, CommandError::text("x")] {
            counts.note(error.code());
        }
        assert_eq!(counts.iter().collect::<Vec<_>>(), [("ERR", 2), ("WRONGTYPE", 1)]);
        assert_eq!(counts.total(), 3);
        for number in 0..200 {
            counts.note_own(&format!("E{number}"));
        }
        counts.note_own("E0");
        assert_eq!((counts.iter().count(), counts.total()), (KINDS_MAX, 204));
        assert!(counts.iter().any(|told| told == ("E0", 2)));
    }
}
