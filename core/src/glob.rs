//! Glob patterns, as KEYS, SCAN and CONFIG GET match them.

/// Does `pattern` match the whole of `text`? `*`, `?`, `[a-z]`, `[^a]` and `\x` are special.
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let fold = |byte: u8| if nocase { byte.to_ascii_lowercase() } else { byte };
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            None if t == text.len() => return true,
            None => None,
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(_) if t == text.len() => return false,
            Some(b'?') => Some(p + 1),
            Some(b'[') => {
                let (end, hit) = class(&pattern[p + 1..], fold(text[t]), fold);
                hit.then_some(p + 1 + end)
            }
            Some(b'\\') if p + 1 < pattern.len() => (fold(pattern[p + 1]) == fold(text[t])).then_some(p + 2),
            Some(byte) => (fold(*byte) == fold(text[t])).then_some(p + 1),
        };
        match (step, &mut retry) {
            (Some(next), _) => (p, t) = (next, t + 1),
            (None, Some((after, from))) if *from < text.len() => {
                *from += 1;
                (p, t) = (*after, *from);
            }
            (None, _) => return false,
        }
    }
}

/// The length of a character class behind its `[`, and whether `byte` belongs to it.
fn class(pattern: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> (usize, bool) {
    let negated = pattern.first() == Some(&b'^');
    let (mut at, mut hit) = (usize::from(negated), false);
    while at < pattern.len() {
        match &pattern[at..] {
            [b'\\', escaped, ..] => {
                hit |= fold(*escaped) == byte;
                at += 2;
            }
            [b']', ..] => return (at + 1, hit != negated),
            [low, b'-', high, ..] => {
                let (low, high) = (fold(*low.min(high)), fold(*low.max(high)));
                hit |= (low..=high).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                hit |= fold(*literal) == byte;
                at += 1;
            }
            [] => break,
        }
    }
    (pattern.len(), hit != negated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("h?llo", "hello", true),
            ("h[a-e]llo", "hello", true),
            ("h[^e]llo", "hello", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("\\*", "*", true),
            ("user:*", "user:", true),
        ] {
            assert_eq!(glob_match(pattern.as_bytes(), text.as_bytes(), false), expected, "{pattern} {text}");
        }
    }
}
