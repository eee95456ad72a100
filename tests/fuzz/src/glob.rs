//! Glob patterns: a pattern of literals matches its own text, case only ever widens, and without classes the matcher
//! agrees with a naive one.

use ringkey_core::glob::glob_match;

/// Input: a byte of flags, the length of the pattern, pattern and text.
pub fn run(data: &[u8]) {
    let [flags, len, rest @ ..] = data else { return };
    let nocase = flags & 1 != 0;
    let (pattern, text) = rest.split_at((*len as usize).min(rest.len()));
    let matches = glob_match(pattern, text, nocase);

    let literal: Vec<u8> = text.iter().flat_map(|byte| [b'\\', *byte]).collect();
    assert!(glob_match(&literal, text, nocase), "every byte escaped: the text itself");
    if !text.is_empty() {
        let surrounded = [b"*", literal.as_slice(), b"*"].concat();
        assert!(glob_match(&surrounded, text, nocase), "stars match nothing, too");
        assert!(glob_match(b"*", text, nocase));
    }
    if pattern.contains(&b'[') {
        return;
    }
    if matches && !nocase {
        assert!(glob_match(pattern, text, true), "where case does not matter, more matches");
    }
    let stars = pattern.iter().filter(|byte| **byte == b'*').count();
    if stars < 1_000 && pattern.len() * text.len() < 4_096 {
        assert_eq!(matches, naive(pattern, text, nocase), "{} {}", pattern.escape_ascii(), text.escape_ascii());
    }
}

/// Line by line: after so much of the pattern, which beginnings of the text match?
fn naive(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    // An oddity that clients know: stars do not match an empty text.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let mut next = vec![false; text.len() + 1];
        match pattern[at] {
            b'*' => {
                let first = reached.iter().position(|is_reached| *is_reached).unwrap_or(reached.len());
                next[first..].fill(true);
            }
            first => {
                let is_escape = first == b'\\' && at + 1 < pattern.len();
                at += usize::from(is_escape);
                let literal = pattern[at];
                for (end, byte) in text.iter().enumerate() {
                    let same = literal == *byte || nocase && literal.eq_ignore_ascii_case(byte);
                    next[end + 1] = reached[end] && (same || first == b'?');
                }
            }
        }
        reached = next;
        at += 1;
    }
    reached[text.len()]
}
