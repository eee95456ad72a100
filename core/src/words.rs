//! A line of text as words: inline requests, lines of the configuration and arguments of the command line follow the
//! same rules of blanks and quotes.

/// The blanks between words: those of C's `isspace`, which are more than those that end a word.
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
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

/// Does this byte end a word outside quotes?
pub fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_quotes() {
        let words = |line: &str| {
            let words = split_words(line.as_bytes())?;
            Some(words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>())
        };
        let some = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(""), some(&[]));
        assert_eq!(words("  a\t b  "), some(&["a", "b"]));
        // More blanks are skipped before a word than end one.
        assert_eq!(words("\x0ba\x0bb\x0c c\x0b"), some(&["a\\x0bb\\x0c", "c\\x0b"]));
        assert_eq!(words(r#""a b" 'c d' """#), some(&["a b", "c d", ""]));
        assert_eq!(words(r#""\x41\n\r\t\b\a\q\"\\""#), some(&["A\\n\\r\\t\\x08\\x07q\\\"\\\\"]));
        assert_eq!(words(r#""\xZZ""#), some(&["xZZ"]));
        assert_eq!(words(r#"'it\'s' '\n'"#), some(&["it\\'s", "\\\\n"]));
        assert_eq!(words(r#"foo"bar baz" x"#), some(&["foobar baz", "x"]));
        assert_eq!(words(r#""a"b 'a'b "a""b" "a"'b c' a'b'"c"d"#), some(&["ab", "ab", "ab", "ab c", "abcd"]));
        assert_eq!(words(r#""x "\"""#), some(&["x \\\\"]));
        assert_eq!(words(r#"a\ b \n"#), some(&["a\\\\", "b", "\\\\n"]));
        assert_eq!(words(r#""ab\""#), some(&["ab\\\\"]));
        assert_eq!(words(r#""\\\""#), some(&["\\\\\\\\"]));
        assert_eq!(words(r#"'\'"#), some(&["\\\\"]));
        assert_eq!(words(r#"'\' '"#), some(&["\\' "]));
        for unbalanced in ["\"", "'", "\"a", "'a", "a\"", "\"a\\", "\"a\\\" x", "a\\\"b", "\"a\" \""] {
            assert_eq!(words(unbalanced), None, "{unbalanced}");
        }
    }
}
