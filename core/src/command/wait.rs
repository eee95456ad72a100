//! What a call waits for that may block its client: keys, a kind of value, a time. It follows from the words alone, so the
//! core of the client and the shards of the keys find the same without telling each other.

use crate::keyspace::ValueKind;
pub use crate::keyspace::waiting::Share;
use crate::long_double::LongDouble;
use crate::outcome::EffectCall;
use crate::resp::{Args, CommandError};
use crate::units::Millis;
use std::ops::Range;

/// What a call waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Which of its words are the keys that may end the waiting.
    pub keys: Range<usize>,
    /// What such a key must hold for that.
    pub kind: ValueKind,
    /// When the client gives up; none: never.
    pub until: Option<Millis>,
    /// How what a call took is given back.
    pub undo: Undo,
    /// How it shares a key with others who wait for it.
    pub share: Share,
}

/// Words that mean something else while a call waits than they did when it was made, by their place: what they stood for then.
pub type Fixed = Vec<(usize, Box<[u8]>)>;

/// How the elements that a call took are put back where they came from, if its client is gone before it hears of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// Nothing has left the data set.
    Nothing,
    /// They were at the head of a list.
    Head,
    /// They were at the tail of a list.
    Tail,
    /// They are members of a sorted set, each with its score behind it.
    Scored,
}

impl Undo {
    /// The call that puts back what a reply shows; none if it shows nothing that was taken.
    pub fn call(self, reply: &[u8]) -> Option<EffectCall> {
        let words = words_of(reply)?;
        let (key, taken) = words.split_first().filter(|(_, taken)| !taken.is_empty())?;
        let name: &[u8] = match self {
            Self::Nothing => return None,
            Self::Head => b"LPUSH",
            Self::Tail => b"RPUSH",
            Self::Scored => b"ZADD",
        };
        // What was taken first goes back last.
        let mut back: Vec<&[u8]> = taken.iter().rev().copied().collect();
        if self == Self::Scored {
            back = taken.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        }
        Some(EffectCall::new([name, key].into_iter().chain(back)))
    }
}

/// The strings and numbers of a reply, however nested; none for an error or anything else.
fn words_of(mut reply: &[u8]) -> Option<Vec<&[u8]>> {
    let mut words = Vec::new();
    while !reply.is_empty() {
        let end = reply.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, rest) = (&reply[..end], &reply[end + 2..]);
        reply = rest;
        match line.split_first()? {
            (b'*', _) => {}
            (b',' | b':', number) => words.push(number),
            (b'$', len) => {
                let len = usize::try_from(crate::number::parse_integer(len)?).ok()?;
                words.push(reply.get(..len)?);
                reply = reply.get(len + 2..)?;
            }
            _ => return None,
        }
    }
    Some(words)
}

/// What a call of a row waits for if it finds nothing; none: its words are refused, or do not ask for it to wait.
pub type WaitRule = fn(&Args<'_>, Millis) -> Option<Wait>;

/// The end of a waiting time in seconds that begins now; none: it has no end.
///
/// # Errors
/// What is no number, negative, or too far away.
pub fn deadline(seconds: &[u8], now: Millis) -> Result<Option<Millis>, CommandError> {
    const OUT_OF_RANGE: CommandError = CommandError::text("timeout is out of range");
    let number = LongDouble::parse(seconds).ok_or(CommandError::text("timeout is not a float or out of range"))?;
    let millis = match number.thousandfold() {
        Some(millis) => millis,
        None if number.is_negative() => -1,
        None => return Err(OUT_OF_RANGE),
    };
    match millis {
        ..0 => Err(CommandError::text("timeout is negative")),
        0 => Ok(None),
        _ => now.0.checked_add(millis).map(|when| Some(Millis(when))).ok_or(OUT_OF_RANGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_goes_back_as_it_was() {
        let call = |undo: Undo, reply: &str| {
            let call = undo.call(reply.as_bytes())?;
            Some(call.words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" "))
        };
        let one = "*2\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n";
        assert_eq!(call(Undo::Head, one).as_deref(), Some("LPUSH k a\r\nb"));
        assert_eq!(call(Undo::Nothing, one), None);
        let several = "*2\r\n$1\r\nk\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n";
        assert_eq!(call(Undo::Head, several).as_deref(), Some("LPUSH k  a"));
        assert_eq!(call(Undo::Tail, several).as_deref(), Some("RPUSH k  a"));
        let scored = "*2\r\n$1\r\nk\r\n*2\r\n*2\r\n$1\r\na\r\n,1.5\r\n*2\r\n$1\r\nb\r\n,2\r\n";
        assert_eq!(call(Undo::Scored, scored).as_deref(), Some("ZADD k 1.5 a 2 b"));
        for nothing in ["*-1\r\n", "_\r\n", "-WRONGTYPE x\r\n", "$-1\r\n", ""] {
            assert_eq!(call(Undo::Head, nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn seconds_become_deadlines() {
        let after =
            |text: &str| deadline(text.as_bytes(), Millis(1000)).map(|when| when.map_or(0, |when| when.0 - 1000));
        for (text, millis) in [
            ("0", 0),
            ("-0.0", 0),
            ("-0.0001", 0),
            ("1", 1000),
            ("0.001", 1),
            ("0.0000001", 1),
            ("1.5", 1500),
            ("0.1", 100),
            ("1e-400", 1),
            ("0x10", 16_000),
            ("2.0005", 2001),
            ("1e15", 1_000_000_000_000_000_000),
        ] {
            assert_eq!(after(text), Ok(millis), "{text}");
        }
        let refused = |text: &str| after(text).err().map(|error| error.to_string());
        for (text, error) in [
            ("-1", "timeout is negative"),
            ("-0.1", "timeout is negative"),
            ("-inf", "timeout is negative"),
            ("-1e30", "timeout is negative"),
            ("inf", "timeout is out of range"),
            ("1e20", "timeout is out of range"),
            ("9223372036854775", "timeout is out of range"),
            ("9223372036854776", "timeout is out of range"),
            ("", "timeout is not a float or out of range"),
            ("nan", "timeout is not a float or out of range"),
            (" 1", "timeout is not a float or out of range"),
            ("0x10x", "timeout is not a float or out of range"),
        ] {
            assert_eq!(refused(text).as_deref(), Some(error), "{text}");
        }
    }
}
