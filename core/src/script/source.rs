//! The source of a script: its name, which is its SHA1, and its first line, which may name an engine and flags.
//!
//! ```text
//! #!lua flags=no-writes,allow-stale
//! return server.call('GET', KEYS[1])
//! ```

use crate::resp::CommandError;
use crate::words::split_words;
use sha1::{Digest as _, Sha1};
use std::fmt;
use std::hash::{Hash, Hasher};

/// The name of a script: the SHA1 of its source, as 40 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha([u8; 40]);

impl Sha {
    /// How many digits there are.
    pub const LEN: usize = 40;

    /// The name of the script with this source.
    pub fn of(body: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 40];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(Sha1::digest(body)) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(digits)
    }

    /// The name that a client gives, in upper or lower case; nothing if no script can have it.
    #[inline]
    pub fn parse(word: &[u8]) -> Option<Self> {
        let mut digits: [u8; 40] = word.try_into().ok()?;
        digits.make_ascii_lowercase();
        Some(Self(digits))
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bits of the name that tell scripts apart: a hash that is there already.
    #[inline]
    pub fn bits(&self) -> u64 {
        let (first, second) = (self.0.first_chunk::<8>(), self.0[8..].first_chunk::<8>());
        let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        // Of each byte the low bits differ most: the product brings them into the high ones.
        (word(first) ^ word(second).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Hash for Sha {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.bits());
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Made of digits, or of what a client gave for them.
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a script or a function says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScriptFlags(u8);

impl ScriptFlags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// It does not write.
    pub const NO_WRITES: Self = Self(1);
    /// It may run when the memory is full.
    pub const ALLOW_OOM: Self = Self(2);
    /// It may run where the data may be old.
    pub const ALLOW_STALE: Self = Self(4);
    /// It is not for a cluster.
    pub const NO_CLUSTER: Self = Self(8);
    /// Its keys may be of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Self = Self(16);

    /// Every flag with its word, in the order in which they are listed.
    pub const WORDS: &'static [(Self, &'static str)] = &[
        (Self::NO_WRITES, "no-writes"),
        (Self::ALLOW_OOM, "allow-oom"),
        (Self::ALLOW_STALE, "allow-stale"),
        (Self::NO_CLUSTER, "no-cluster"),
        (Self::ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
    ];

    /// The flag with this word; case matters.
    pub fn find(word: &[u8]) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| known.as_bytes() == word).map(|(flag, _)| *flag)
    }

    /// Both together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Are all of `other` in it?
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The words of those in it.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, word)| *word)
    }
}

/// A script as its source tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source<'a> {
    /// Has it a first line that names the engine? One without is held to fewer rules.
    pub has_shebang: bool,
    /// Its flags; none without such a line.
    pub flags: ScriptFlags,
    /// What the interpreter gets: all behind that line, from its end on, so that lines keep their numbers.
    pub code: &'a [u8],
}

/// Reads the first line of a script.
///
/// # Errors
/// The line is not understood.
pub fn read(body: &[u8]) -> Result<Source<'_>, CommandError> {
    if !body.starts_with(b"#!") {
        return Ok(Source { has_shebang: false, flags: ScriptFlags::NONE, code: body });
    }
    // Texts end at a zero byte, as they do for those who wrote down these rules.
    let end = body.iter().position(|byte| matches!(byte, b'\n' | 0)).filter(|end| body[*end] == b'\n');
    let end = end.ok_or(CommandError::text("Invalid script shebang"))?;
    let words = split_words(&body[2..end]).ok_or(CommandError::text("Invalid engine in script shebang"))?;
    let (engine, options) = match &body[2..end] {
        // The engine's name is what touches the mark: there it is empty.
        [] => (&[][..], &words[..]),
        [blank, ..] if crate::words::is_blank(*blank) => (&[][..], &words[..]),
        _ => words.split_first().map_or((&[][..], &words[..]), |(engine, options)| (&engine[..], options)),
    };
    let mut flags = ScriptFlags::NONE;
    for option in options {
        let Some(list) = option.strip_prefix(b"flags=") else {
            return Err(refusal("Unknown lua shebang option: ", option));
        };
        for word in list.split(|byte| *byte == b',').filter(|_| !list.is_empty()) {
            let flag = ScriptFlags::find(word).ok_or_else(|| refusal("Unexpected flag in script shebang: ", word))?;
            flags = flags.with(flag);
        }
    }
    if !engine.eq_ignore_ascii_case(b"lua") {
        let name = String::from_utf8_lossy(engine);
        return Err(CommandError::owned(format!("Could not find scripting engine '{name}'")));
    }
    Ok(Source { has_shebang: true, flags, code: &body[end..] })
}

fn refusal(text: &str, word: &[u8]) -> CommandError {
    let shown = word.split(|byte| *byte == 0).next().unwrap_or(word);
    CommandError::owned(format!("{text}{}", String::from_utf8_lossy(shown)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn flags(body: &str) -> Vec<&'static str> {
        let source = read(body.as_bytes()).unwrap();
        assert!(source.has_shebang && source.code.starts_with(b"\n"), "{body:?}");
        source.flags.words().collect()
    }

    fn error(body: &[u8]) -> String {
        read(body).unwrap_err().to_string()
    }

    #[test]
    fn names_are_sha1_in_hexadecimal() {
        assert_eq!(Sha::of(b"").to_string(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let sha = Sha::of(b"return 1");
        assert_eq!(sha.to_string(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(Sha::parse(b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), Some(sha));
        assert_eq!(Sha::parse(b"e0e1f9fabfc9d4800c877a703b823ac0578ff8d"), None);
        assert_ne!(sha.bits(), Sha::of(b"return 2").bits());
        assert_eq!(Sha::parse(&[0xff; 40]).unwrap().as_bytes(), [0xff; 40]);
    }

    #[test]
    fn without_a_first_line_all_is_code() {
        for body in ["", "return 1", "#", "# comment\nreturn 1", " #!lua\n", "\n#!lua flags=x\n"] {
            let source = read(body.as_bytes()).unwrap();
            assert_eq!(source, Source { has_shebang: false, flags: ScriptFlags::NONE, code: body.as_bytes() });
        }
    }

    #[test]
    fn flags_are_read() {
        assert_eq!(read(b"#!lua\nreturn 1\n2").unwrap().code, b"\nreturn 1\n2");
        for body in ["#!lua\n", "#!LUA\n", "#!lua\r\n", "#!lua flags=\n", "#!\"lua\"\n", "#!lua \t \n"] {
            assert_eq!(flags(body), <[&str; 0]>::default(), "{body:?}");
        }
        assert_eq!(flags("#!lua flags=no-writes,allow-stale\nx"), ["no-writes", "allow-stale"]);
        assert_eq!(flags("#!lua\tflags=no-cluster\r\n"), ["no-cluster"]);
        assert_eq!(flags("#!lua  'flags=allow-cross-slot-keys'  \n"), ["allow-cross-slot-keys"]);
        assert_eq!(flags("#!lua flags=no-writes flags=allow-oom\nx"), ["no-writes", "allow-oom"]);
        assert_eq!(flags("#!lua flags=\"no-writes,allow-oom\"\n"), ["no-writes", "allow-oom"]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for body in [&b"#!"[..], b"#!lua", b"#!lua flags=x", b"#!lua\0\nreturn 1"] {
            assert_eq!(error(body), "Invalid script shebang");
        }
        for body in ["#!lua \"flags=no-writes\n", "#!lua 'a\nb'\n"] {
            assert_eq!(error(body.as_bytes()), "Invalid engine in script shebang");
        }
        assert_eq!(error(b"#!foo\n"), "Could not find scripting engine 'foo'");
        assert_eq!(error(b"#!\nreturn 1"), "Could not find scripting engine ''");
        assert_eq!(error(b"#!lua\x0bflags=\n"), "Could not find scripting engine 'lua\x0bflags='");
        assert_eq!(error(b"#! lua\n"), "Unknown lua shebang option: lua");
        assert_eq!(error(b"#!foo bar\n"), "Unknown lua shebang option: bar");
        assert_eq!(error(b"#!lua name=x\n"), "Unknown lua shebang option: name=x");
        assert_eq!(error(b"#!lua FLAGS=no-writes\n"), "Unknown lua shebang option: FLAGS=no-writes");
        for (list, word) in [("bad", "bad"), ("No-Writes", "No-Writes"), ("no-writes,bad", "bad"), ("bad,worse", "bad")]
        {
            let text = error(format!("#!lua flags={list}\n").as_bytes());
            assert_eq!(text, format!("Unexpected flag in script shebang: {word}"));
        }
        for list in [",", "no-writes,", "no-writes,,allow-oom", "no-writes, allow-oom"] {
            assert_eq!(error(format!("#!lua flags={list}\n").as_bytes()), "Unexpected flag in script shebang: ");
        }
        assert_eq!(error(b"#!foo flags=a\"\\x00\"b\n"), "Unexpected flag in script shebang: a");
    }
}
