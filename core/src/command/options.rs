//! Reading the options behind the fixed arguments of a command, with the errors that Valkey gives for them.

use crate::number::parse_integer;
use crate::resp::{Args, CommandError};
use crate::units::Millis;

/// Walks over the options of a call.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    args: Args<'a>,
    next: usize,
    end: usize,
}

impl<'a> Options<'a> {
    /// The options from argument `first` on.
    #[inline]
    pub fn new(args: &Args<'a>, first: usize) -> Self {
        Self { args: *args, next: first, end: args.len() }
    }

    /// The options from argument `first` on, which end before argument `end`.
    #[inline]
    pub fn between(args: &Args<'a>, first: usize, end: usize) -> Self {
        Self { args: *args, next: first, end: end.min(args.len()) }
    }

    /// The word of the next option.
    #[inline]
    pub fn word(&mut self) -> Option<&'a [u8]> {
        let index = self.next;
        (index < self.end).then(|| {
            self.next += 1;
            self.args.get(index)
        })
    }

    /// The index of the value that belongs to the option just read. An option without its value is a syntax error.
    pub fn value_index(&mut self) -> Result<usize, CommandError> {
        let index = self.next;
        if index >= self.end {
            return Err(CommandError::Syntax);
        }
        self.next += 1;
        Ok(index)
    }

    /// The value that belongs to the option just read.
    pub fn value(&mut self) -> Result<&'a [u8], CommandError> {
        self.value_index().map(|index| self.args.get(index))
    }

    /// The integer that belongs to the option just read.
    pub fn integer(&mut self) -> Result<i64, CommandError> {
        integer(self.value()?)
    }
}

/// Is `word` this option? Options are written in upper case here and matched in any case.
#[inline]
pub fn is(word: &[u8], option: &str) -> bool {
    word.eq_ignore_ascii_case(option.as_bytes())
}

/// An argument as an integer.
#[inline]
pub fn integer(text: &[u8]) -> Result<i64, CommandError> {
    parse_integer(text).ok_or(CommandError::NotAnInteger)
}

/// The four ways in which an expiry time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryUnit {
    /// EX: seconds from now.
    Seconds,
    /// PX: milliseconds from now.
    Millis,
    /// EXAT: seconds of Unix time.
    AtSeconds,
    /// PXAT: milliseconds of Unix time.
    AtMillis,
}

/// An expiry time as it was given: checked only when the rest of the call has been understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiryArgument {
    /// How it is meant.
    pub unit: ExpiryUnit,
    /// The index of the argument that holds the number.
    pub index: usize,
}

impl ExpiryArgument {
    /// The unit that a word names.
    fn unit(word: &[u8]) -> Option<ExpiryUnit> {
        // Two or four letters: everything else is sorted out at once.
        match word.len() {
            2 if is(word, "EX") => Some(ExpiryUnit::Seconds),
            2 if is(word, "PX") => Some(ExpiryUnit::Millis),
            4 if is(word, "EXAT") => Some(ExpiryUnit::AtSeconds),
            4 if is(word, "PXAT") => Some(ExpiryUnit::AtMillis),
            _ => None,
        }
    }

    /// The point in time that it means, for the command of this name.
    pub fn resolve(self, args: &Args<'_>, now: Millis, command: &'static str) -> Result<Millis, CommandError> {
        self.resolve_from(1, args, now, command)
    }

    /// The same; no number may be less than `least`.
    pub fn resolve_from(
        self,
        least: i64,
        args: &Args<'_>,
        now: Millis,
        command: &'static str,
    ) -> Result<Millis, CommandError> {
        let given = integer(args.get(self.index))?;
        let millis = match self.unit {
            ExpiryUnit::Seconds | ExpiryUnit::AtSeconds => given.checked_mul(1000),
            ExpiryUnit::Millis | ExpiryUnit::AtMillis => Some(given),
        };
        let when = match self.unit {
            ExpiryUnit::Seconds | ExpiryUnit::Millis => millis.and_then(|millis| millis.checked_add(now.0)),
            ExpiryUnit::AtSeconds | ExpiryUnit::AtMillis => millis,
        };
        match when {
            Some(when) if given >= least => Ok(Millis(when)),
            _ => Err(CommandError::InvalidExpire(command)),
        }
    }
}

/// What is to become of the expiry time of a key that is written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExpiryChange {
    /// No word of it.
    #[default]
    Unsaid,
    /// KEEPTTL: it stays.
    Keep,
    /// PERSIST: it goes.
    Persist,
    /// It becomes this.
    To(ExpiryArgument),
}

impl ExpiryChange {
    /// Takes up the expiry option `word`, if it is one that may follow what was said before; the same may be said
    /// twice. KEEPTTL belongs to commands that write values, PERSIST to the others.
    pub fn take(&mut self, word: &[u8], options: &mut Options<'_>, writes: bool) -> Result<bool, CommandError> {
        let next = if let Some(unit) = ExpiryArgument::unit(word) {
            let fits = match *self {
                Self::Unsaid => true,
                Self::To(before) => before.unit == unit,
                Self::Keep | Self::Persist => false,
            };
            if !fits {
                return Err(CommandError::Syntax);
            }
            Self::To(ExpiryArgument { unit, index: options.value_index()? })
        } else if writes && is(word, "KEEPTTL") {
            Self::Keep
        } else if !writes && is(word, "PERSIST") {
            Self::Persist
        } else {
            return Ok(false);
        };
        let fits = matches!((*self, next), (Self::Unsaid, _) | (Self::To(_), Self::To(_))) || *self == next;
        *self = next;
        if fits { Ok(true) } else { Err(CommandError::Syntax) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::resp::Request;

    fn change(words: &str, writes: bool) -> Result<ExpiryChange, CommandError> {
        let request = Request::new(words.split(' ').map(str::as_bytes));
        let mut options = Options::new(&request.args(), 0);
        let mut change = ExpiryChange::default();
        while let Some(word) = options.word() {
            if !change.take(word, &mut options, writes)? {
                return Err(CommandError::Syntax);
            }
        }
        Ok(change)
    }

    #[test]
    fn one_way_to_expire() {
        let to = |unit, index| Ok(ExpiryChange::To(ExpiryArgument { unit, index }));
        assert_eq!(change("ex 1", true), to(ExpiryUnit::Seconds, 1));
        assert_eq!(change("EX 1 ex 2", true), to(ExpiryUnit::Seconds, 3));
        assert_eq!(change("pxat ex", true), to(ExpiryUnit::AtMillis, 1));
        assert_eq!(change("keepttl KeepTTL", true), Ok(ExpiryChange::Keep));
        assert_eq!(change("persist persist", false), Ok(ExpiryChange::Persist));
        for (words, writes) in [
            ("ex", true),
            ("ex 1 px 1", true),
            ("ex 1 keepttl", true),
            ("keepttl ex 1", true),
            ("persist", true),
            ("keepttl", false),
            ("persist ex 1", false),
            ("ex 1 persist", false),
        ] {
            assert_eq!(change(words, writes), Err(CommandError::Syntax), "{words}");
        }
    }

    #[test]
    fn times_are_checked_for_overflow() {
        let resolve = |unit, text: &str| {
            let request = Request::new([text.as_bytes()]);
            ExpiryArgument { unit, index: 0 }.resolve(&request.args(), Millis(5), "set")
        };
        let invalid = Err(CommandError::InvalidExpire("set"));
        assert_eq!(resolve(ExpiryUnit::Seconds, "2"), Ok(Millis(2005)));
        assert_eq!(resolve(ExpiryUnit::AtMillis, "2"), Ok(Millis(2)));
        assert_eq!(resolve(ExpiryUnit::Millis, "0"), invalid);
        assert_eq!(resolve(ExpiryUnit::Millis, "-1"), invalid);
        assert_eq!(resolve(ExpiryUnit::Millis, "9223372036854775807"), invalid);
        assert_eq!(resolve(ExpiryUnit::AtSeconds, "9223372036854776"), invalid);
        assert_eq!(resolve(ExpiryUnit::AtMillis, "9223372036854775807"), Ok(Millis(i64::MAX)));
        assert_eq!(resolve(ExpiryUnit::Seconds, "x"), Err(CommandError::NotAnInteger));
    }
}
