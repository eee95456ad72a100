//! Glob patterns as the protocol knows them: KEYS, SCAN MATCH, CONFIG GET, PSUBSCRIBE and ACL rules all match with
//! these rules, oddities included, because clients have come to rely on them.
//!
//! The match is a loop that remembers only the last `*`: every other part of a pattern takes exactly one byte, so an
//! earlier `*` never has to be tried again, and the time is bounded by pattern length times text length.

/// Patterns with more `*` groups than this never match, which bounds what an abusive pattern costs.
const STAR_GROUPS_MAX: u32 = 1_000;

/// Says whether `text` matches `pattern`; with `nocase`, ASCII letters match in either case.
///
/// - `*` any run of bytes, `?` any one byte, `\x` the byte `x`.
/// - `[abc]`, `[a-z]`, `[^...]`: one byte in, or not in, the class. A class that is never closed ends with the pattern.
/// - A pattern of only `*` does not match the empty text.
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut rest = pattern;
    let mut at = 0;
    let mut star_groups = 0;
    // Where to go on after a mismatch: the pattern behind the last `*`, and the first byte that it has not tried yet.
    let mut retry: Option<(&[u8], usize)> = None;
    while at < text.len() {
        if let [b'*', ..] = rest {
            rest = skip_stars(rest);
            if rest.is_empty() {
                return true;
            }
            star_groups += 1;
            if star_groups > STAR_GROUPS_MAX {
                return false;
            }
            retry = Some((rest, at));
        }
        if let Some(behind) = match_one(rest, text[at], nocase) {
            rest = behind;
            at += 1;
            if at < text.len() || skip_stars(rest).is_empty() {
                continue;
            }
        }
        // Either this byte did not match, or the text ended before the pattern did.
        let Some((pattern_behind_star, start)) = retry else { return false };
        rest = pattern_behind_star;
        at = start + 1;
        retry = Some((rest, at));
    }
    skip_stars(rest).is_empty() && retry.is_none_or(|(_, start)| start < text.len())
}

fn skip_stars(pattern: &[u8]) -> &[u8] {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    &pattern[stars..]
}

/// Matches the first part of `pattern`, which is not a `*`, with `byte`; gives the pattern behind that part.
fn match_one(pattern: &[u8], byte: u8, nocase: bool) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', behind @ ..] => Some(behind),
        [b'[', class @ ..] => {
            let (matches, behind) = match_class(class, byte, nocase);
            matches.then_some(behind)
        }
        [b'\\', literal, behind @ ..] | [literal, behind @ ..] => same(*literal, byte, nocase).then_some(behind),
    }
}

/// Reads a class from behind its `[`; says whether `byte` is in it and what follows it.
fn match_class(class: &[u8], byte: u8, nocase: bool) -> (bool, &[u8]) {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    loop {
        match rest {
            // An escaped byte is compared as it stands, even when case does not matter.
            [b'\\', literal, behind @ ..] => {
                found |= *literal == byte;
                rest = behind;
            }
            [b']', behind @ ..] => return (found != negated, behind),
            [] => return (found != negated, rest),
            // The end of a range may be any byte, `]` too.
            [first, b'-', last, behind @ ..] => {
                found |= in_range(*first, *last, byte, nocase);
                rest = behind;
            }
            [literal, behind @ ..] => {
                found |= same(*literal, byte, nocase);
                rest = behind;
            }
        }
    }
}

fn same(left: u8, right: u8, nocase: bool) -> bool {
    left == right || (nocase && left.eq_ignore_ascii_case(&right))
}

/// Ranges run over signed bytes and are put in order before their case is folded: both show in answers, so both stay.
fn in_range(first: u8, last: u8, byte: u8, nocase: bool) -> bool {
    let signed = |byte: u8| i8::from_ne_bytes([byte]);
    let fold = |byte: i8| if nocase { signed(byte.to_ne_bytes()[0].to_ascii_lowercase()) } else { byte };
    let (low, high) = (signed(first).min(signed(last)), signed(first).max(signed(last)));
    (fold(low)..=fold(high)).contains(&fold(signed(byte)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn check(cases: &[(&str, &str, bool)], nocase: bool) {
        for (pattern, text, expected) in cases {
            assert_eq!(glob_match(pattern.as_bytes(), text.as_bytes(), nocase), *expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn plain_parts() {
        check(
            &[
                ("", "", true),
                ("", "a", false),
                ("a", "", false),
                ("a", "a", true),
                ("a", "A", false),
                ("?", "a", true),
                ("?", "ab", false),
                ("h?llo", "hello", true),
                ("\\*", "*", true),
                ("\\*", "a", false),
                ("\\", "\\", true),
                ("a\\", "a\\", true),
            ],
            false,
        );
    }

    #[test]
    fn stars() {
        check(
            &[
                ("*", "", false),
                ("**", "", false),
                ("*", "a", true),
                ("a*", "a", true),
                ("a**", "a", true),
                ("*a", "a", true),
                ("*a", "ab", false),
                ("a*b*c", "aXbYc", true),
                ("a*b*c", "aXcYb", false),
                ("*ab", "aab", true),
                ("*a*", "bbb", false),
                ("a*?", "a", false),
                ("a*?", "ab", true),
            ],
            false,
        );
    }

    #[test]
    fn classes() {
        check(
            &[
                ("[abc]", "b", true),
                ("[abc]", "d", false),
                ("[^abc]", "d", true),
                ("[^abc]", "a", false),
                ("[a-c]", "b", true),
                ("[c-a]", "b", true),
                ("[]", "a", false),
                ("[^]", "a", true),
                ("[", "a", false),
                ("[^", "a", true),
                ("[a", "a", true),
                ("[a-", "-", true),
                ("[a-]", "b", false),
                ("[a-]b", "^", true),
                ("[a-]b", "ab", false),
                ("[\\]]", "]", true),
                ("[a\\", "\\", true),
                ("x[ab]y", "xay", true),
                ("[a]]", "a]", true),
            ],
            false,
        );
        assert!(glob_match(b"[\x80-\xff]", b"\x90", false));
        assert!(!glob_match(b"[\x00-\xff]", b"a", false), "ranges run over signed bytes");
        assert!(glob_match(b"[\x00-\xff]", b"\xff", false));
    }

    #[test]
    fn letter_case() {
        check(
            &[
                ("ABC", "abc", true),
                ("[A-C]", "b", true),
                ("[ABC]", "b", true),
                ("[\\B]", "b", false),
                ("[\\B]", "B", true),
                ("[Z-a]", "z", false),
                ("\\B", "b", true),
            ],
            true,
        );
    }

    #[test]
    fn abusive_patterns_end_quickly() {
        let pattern = b"a*".repeat(900);
        let text = b"a".repeat(5_000);
        assert!(glob_match(&pattern, &text, false));
        let mut hopeless = pattern;
        hopeless.push(b'b');
        assert!(!glob_match(&hopeless, &text, false));
        assert!(!glob_match(&b"a*".repeat(1_002), &text, false), "more stars than the limit");
    }

    /// The rules once more, by recursion and without a bound.
    fn naive(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
        if text.is_empty() {
            return pattern.is_empty();
        }
        naive_inner(pattern, text, nocase)
    }

    fn naive_inner(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
        match (pattern, text) {
            ([b'*', behind @ ..], _) => (0..=text.len()).any(|skip| naive_inner(behind, &text[skip..], nocase)),
            ([], _) => text.is_empty(),
            (_, []) => false,
            (_, [byte, text @ ..]) => {
                match_one(pattern, *byte, nocase).is_some_and(|behind| naive_inner(behind, text, nocase))
            }
        }
    }

    fn bytes_of(alphabet: &'static [u8], length_max: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(alphabet), 0..length_max)
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_model(
            pattern in bytes_of(b"**?[]^-\\abcA", 10),
            text in bytes_of(b"abcA]-\\", 8),
            nocase: bool,
        ) {
            prop_assert_eq!(glob_match(&pattern, &text, nocase), naive(&pattern, &text, nocase));
        }

        #[test]
        fn any_bytes_are_fine(pattern: Vec<u8>, text: Vec<u8>, nocase: bool) {
            glob_match(&pattern, &text, nocase);
        }
    }
}
