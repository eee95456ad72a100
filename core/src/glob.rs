//! Glob patterns as KEYS, SCAN and PSUBSCRIBE know them: `*`, `?`, `[a-z]`, `[^a]`, `\` takes the next byte as it is.

/// Does `text` as a whole fit `pattern`?
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let fold = |byte: u8| if nocase { byte.to_ascii_lowercase() } else { byte };
    let (mut at, mut pos) = (0, 0);
    // Where to go on after a mismatch: behind the last star, one byte later in the text.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            None if pos == text.len() => return true,
            None => None,
            Some(b'*') => {
                at += 1;
                retry = Some((at, pos));
                continue;
            }
            Some(_) if pos == text.len() => return false,
            Some(b'?') => Some(at + 1),
            Some(b'[') => class_match(&pattern[at..], text[pos], &fold).map(|used| at + used),
            Some(b'\\') if at + 1 < pattern.len() => (fold(pattern[at + 1]) == fold(text[pos])).then_some(at + 2),
            Some(byte) => (fold(*byte) == fold(text[pos])).then_some(at + 1),
        };
        match (step, retry) {
            (Some(next), _) => {
                at = next;
                pos += 1;
            }
            (None, Some((star, from))) if from < text.len() => {
                retry = Some((star, from + 1));
                (at, pos) = (star, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// If `byte` is in the class at the start of `pattern`, the length of the class.
fn class_match(pattern: &[u8], byte: u8, fold: &impl Fn(u8) -> u8) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'^');
    let (mut at, mut found) = (if negated { 2 } else { 1 }, false);
    let byte = fold(byte);
    loop {
        match pattern[at..] {
            // A class without an end reaches to the end of the pattern.
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= fold(escaped) == byte;
                at += 2;
            }
            [low, b'-', high, ..] => {
                let (low, high) = (fold(low.min(high)), fold(low.max(high)));
                found |= (low..=high).contains(&byte);
                at += 3;
            }
            [one, ..] => {
                found |= fold(one) == byte;
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("?b", "ab", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("A*", "ab", false),
            ("*a*b", "xaxbxab", true),
        ] {
            assert_eq!(glob_match(pattern.as_bytes(), text.as_bytes(), false), fits, "{pattern} {text}");
        }
        assert!(glob_match(b"A[B-C]", b"ab", true));
    }
}
