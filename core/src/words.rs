//! How a line becomes words: one rule for inline requests, the lines of configuration files and settings of several
//! words, so that what is quoted for one can be pasted into another.

use std::ops::Range;

/// The blanks before a word: those of the C library, which are more than those that end a word.
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Does this byte end a word outside quotes?
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The words of a line that has no quotes, as ranges of it.
pub fn bare_words(line: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next + line[next..].iter().position(|byte| !is_blank(*byte))?;
        let end = line[start..].iter().position(|byte| ends_word(*byte)).map_or(line.len(), |len| start + len);
        next = end;
        Some(start..end)
    })
}

/// Splits a line into words; nothing when quotes are not balanced.
///
/// Within `"` there are `\n`, `\r`, `\t`, `\b`, `\a`, `\xHH` and `\` before any other byte; within `'` only `\'`.
/// A word may be made of quoted and bare parts (`a"b c"d`).
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
    }
}

fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return Some(rest),
            [byte, ..] if ends_word(*byte) => return Some(rest),
            [b'"', behind @ ..] => rest = take_double_quoted(behind, word)?,
            [b'\'', behind @ ..] => rest = take_single_quoted(behind, word)?,
            [byte, behind @ ..] => {
                word.push(*byte);
                rest = behind;
            }
        }
    }
}

fn take_double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', behind @ ..] => return Some(behind),
            // At the very end a quote closes, even behind a backslash.
            [b'\\', b'"'] => {
                word.push(b'\\');
                return Some(&[]);
            }
            [b'\\', b'x', high, low, behind @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex_value(*high) << 4 | hex_value(*low));
                rest = behind;
            }
            [b'\\', escaped, behind @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = behind;
            }
            [byte, behind @ ..] => {
                word.push(*byte);
                rest = behind;
            }
        }
    }
}

fn take_single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', behind @ ..] => return Some(behind),
            [b'\\', b'\''] => {
                word.push(b'\\');
                return Some(&[]);
            }
            [b'\\', b'\'', behind @ ..] => {
                word.push(b'\'');
                rest = behind;
            }
            [byte, behind @ ..] => {
                word.push(*byte);
                rest = behind;
            }
        }
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

fn hex_digit(value: u8) -> u8 {
    b"0123456789abcdef"[usize::from(value)]
}

/// Appends `word` in double quotes, so that `split_words` gives it back.
pub fn quote(word: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = word;
    // Most words are plain from the beginning to the end.
    while let Some(at) = rest.iter().position(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        let byte = &rest[at];
        rest = &rest[at + 1..];
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            _ => out.extend([b'\\', b'x', hex_digit(byte >> 4), hex_digit(byte & 15)]),
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn split(line: &[u8]) -> Option<Vec<String>> {
        split_words(line).map(|words| words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect())
    }

    #[test]
    fn quoting() {
        assert_eq!(split(br#" a  "b c" 'd\'e' "\x41\n\q" "" "#).unwrap(), ["a", "b c", "d'e", "A\nq", ""]);
        assert_eq!(split(br#""a"b 'c'"d""#).unwrap(), ["ab", "cd"]);
        assert_eq!(split(br#"a"b c""#).unwrap(), ["ab c"]);
        assert_eq!(split(br#""\x4" "\xzz""#).unwrap(), ["x4", "xzz"]);
        assert_eq!(split(br#""a\""#).unwrap(), ["a\\"]);
        assert_eq!(split(b"'a"), None);
        assert_eq!(split(b"\"a"), None);
    }

    #[test]
    fn more_blanks_precede_a_word_than_end_it() {
        for line in [&b" \x0b a\x0bb \x0cc\rd\te "[..], b"\x0b", b"", b"a"] {
            let bare: Vec<&[u8]> = bare_words(line).map(|range| &line[range]).collect();
            assert_eq!(split_words(line).unwrap(), bare, "{line:?}");
        }
        assert_eq!(split(b"\x0ba\x0bb \x0cc").unwrap(), ["a\x0bb", "c"]);
    }
}
