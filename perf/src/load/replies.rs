//! Counts replies without looking at what they say: RESP2 and RESP3, cut anywhere, bodies skipped by their length.
//!
//! No stack is needed for nesting: an aggregate of `n` members is one value less and `n` values more to come, and a
//! reply is whole when none is to come.

/// Longest part of a line that is kept when a line is cut; the rest of an error's text is not worth memory.
const STASH_MAX: usize = 512;

/// What was found in some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Whole replies.
    pub replies: u32,
    /// Errors, those inside of replies too.
    pub errors: u32,
    /// Nulls, those inside of replies too.
    pub nulls: u32,
}

/// What is no RESP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoResp(pub String);

/// The state between two pieces of a connection's input.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Values still to come until the reply is whole; 0 between replies.
    pending: u64,
    /// Bytes still to come of a body, its line end included.
    skip: u64,
    /// Is what comes a push, which answers nothing?
    push: bool,
    /// The start of a line that was cut.
    stash: Vec<u8>,
    /// The text of the first error.
    pub first_error: Option<String>,
}

impl Scanner {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Found, NoResp> {
        let mut found = Found::default();
        let mut at = 0;
        while at < bytes.len() {
            if self.skip > 0 {
                let step = self.skip.min((bytes.len() - at) as u64);
                self.skip -= step;
                at += step as usize;
                if self.skip == 0 {
                    self.value(&mut found);
                }
                continue;
            }
            let rest = &bytes[at..];
            if self.stash.is_empty() {
                // The most frequent replies by far.
                if rest.starts_with(b"+OK\r\n") {
                    self.open();
                    self.value(&mut found);
                    at += 5;
                    continue;
                }
                if let Some(length) = short_bulk(rest) {
                    self.open();
                    self.value(&mut found);
                    at += length;
                    continue;
                }
            }
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.keep(rest);
                break;
            };
            at += end + 1;
            if self.stash.is_empty() {
                self.line(&rest[..end], &mut found)?;
            } else {
                self.keep(&rest[..end]);
                let line = std::mem::take(&mut self.stash);
                self.line(&line, &mut found)?;
                self.stash = line;
                self.stash.clear();
            }
        }
        Ok(found)
    }

    fn keep(&mut self, part: &[u8]) {
        let room = STASH_MAX.saturating_sub(self.stash.len());
        self.stash.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// A value begins; it may be the first of a reply.
    fn open(&mut self) {
        if self.pending == 0 {
            self.pending = 1;
            self.push = false;
        }
    }

    /// A value is whole.
    fn value(&mut self, found: &mut Found) {
        self.pending -= 1;
        if self.pending == 0 && !self.push {
            found.replies += 1;
        }
    }

    /// More values are to come.
    fn expect(&mut self, count: i64, each: u64) -> Result<(), NoResp> {
        let more = u64::try_from(count).ok().and_then(|count| count.checked_mul(each));
        let sum = more.and_then(|more| self.pending.checked_add(more));
        self.pending = sum.ok_or_else(|| NoResp(format!("an aggregate of {count} values")))?;
        Ok(())
    }

    /// A line without its `\n`.
    fn line(&mut self, line: &[u8], found: &mut Found) -> Result<(), NoResp> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some((&kind, text)) = line.split_first() else {
            return Err(NoResp("an empty line".into()));
        };
        self.open();
        match kind {
            b'+' | b':' | b',' | b'#' | b'(' => self.value(found),
            b'_' => {
                found.nulls += 1;
                self.value(found);
            }
            b'-' => {
                self.error(text, found);
                self.value(found);
            }
            b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|' => self.counted(kind, number(line)?, found)?,
            _ => return Err(NoResp(format!("a line {:?}", String::from_utf8_lossy(&line[..line.len().min(60)])))),
        }
        Ok(())
    }

    fn counted(&mut self, kind: u8, count: i64, found: &mut Found) -> Result<(), NoResp> {
        if count == -1 && matches!(kind, b'$' | b'*') {
            found.nulls += 1;
            self.value(found);
            return Ok(());
        }
        match kind {
            b'$' | b'=' | b'!' => {
                let length = u64::try_from(count).map_err(|_| NoResp(format!("a body of {count} bytes")))?;
                self.skip = length + 2;
                if kind == b'!' {
                    self.error(b"an error with a body", found);
                }
                return Ok(());
            }
            b'%' => self.expect(count, 2)?,
            // Attributes come before the value that they belong to and do not stand for it.
            b'|' => return self.expect(count, 2),
            _ => {
                self.push |= kind == b'>' && self.pending == 1;
                self.expect(count, 1)?;
            }
        }
        self.value(found);
        Ok(())
    }

    fn error(&mut self, text: &[u8], found: &mut Found) {
        found.errors += 1;
        if self.first_error.is_none() {
            self.first_error = Some(String::from_utf8_lossy(&text[..text.len().min(STASH_MAX)]).into_owned());
        }
    }
}

/// The length of a bulk string with up to four digits that is whole.
fn short_bulk(bytes: &[u8]) -> Option<usize> {
    if bytes.first() != Some(&b'$') {
        return None;
    }
    let mut length = 0;
    for (at, &byte) in bytes.iter().enumerate().take(6).skip(1) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let whole = at + 2 + length + 2;
            return (byte == b'\r' && at > 1 && whole <= bytes.len()).then_some(whole);
        }
        length = length * 10 + usize::from(digit);
    }
    None
}

/// The number of a line after its first byte.
fn number(line: &[u8]) -> Result<i64, NoResp> {
    let text = std::str::from_utf8(&line[1..]).ok();
    let wrong = || NoResp(format!("a count {:?}", String::from_utf8_lossy(&line[..line.len().min(60)])));
    text.filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Replies as a tree, and how they look on the wire.
    #[derive(Clone, Debug)]
    enum Reply {
        Simple(String),
        Error(String),
        Number(i64),
        Bulk(Vec<u8>),
        Null(&'static str),
        Scalar(&'static str),
        Many(u8, Vec<Reply>),
        Map(Vec<(Reply, Reply)>),
        WithAttribute(Vec<(Reply, Reply)>, Box<Reply>),
    }

    impl Reply {
        fn write(&self, out: &mut Vec<u8>) {
            let pairs = |kind: char, pairs: &[(Self, Self)], out: &mut Vec<u8>| {
                out.extend(format!("{kind}{}\r\n", pairs.len()).bytes());
                for (key, value) in pairs {
                    key.write(out);
                    value.write(out);
                }
            };
            match self {
                Self::Simple(text) => out.extend(format!("+{text}\r\n").bytes()),
                Self::Error(text) => out.extend(format!("-{text}\r\n").bytes()),
                Self::Number(number) => out.extend(format!(":{number}\r\n").bytes()),
                Self::Bulk(body) => {
                    out.extend(format!("${}\r\n", body.len()).bytes());
                    out.extend(body);
                    out.extend(b"\r\n");
                }
                Self::Null(text) | Self::Scalar(text) => out.extend(text.bytes()),
                Self::Many(kind, members) => {
                    out.extend(format!("{}{}\r\n", char::from(*kind), members.len()).bytes());
                    members.iter().for_each(|member| member.write(out));
                }
                Self::Map(members) => pairs('%', members, out),
                Self::WithAttribute(attributes, reply) => {
                    pairs('|', attributes, out);
                    reply.write(out);
                }
            }
        }

        /// Errors and nulls in it.
        fn count(&self) -> (u32, u32) {
            let pairs = |pairs: &[(Self, Self)]| {
                pairs.iter().flat_map(|(key, value)| [key.count(), value.count()]).fold((0, 0), add)
            };
            match self {
                Self::Error(_) => (1, 0),
                Self::Null(_) => (0, 1),
                Self::Many(_, members) => members.iter().map(Self::count).fold((0, 0), add),
                Self::Map(members) => pairs(members),
                Self::WithAttribute(attributes, reply) => add(pairs(attributes), reply.count()),
                _ => (0, 0),
            }
        }
    }

    fn add(a: (u32, u32), b: (u32, u32)) -> (u32, u32) {
        (a.0 + b.0, a.1 + b.1)
    }

    fn reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            Just(Reply::Simple("OK".into())),
            "[a-z ]{0,40}".prop_map(Reply::Simple),
            "ERR [a-z]{0,700}".prop_map(Reply::Error),
            any::<i64>().prop_map(Reply::Number),
            prop::collection::vec(any::<u8>(), 0..50).prop_map(Reply::Bulk),
            (9_990..10_010_usize).prop_map(|size| Reply::Bulk(vec![b'\n'; size])),
            prop::sample::select(vec!["$-1\r\n", "*-1\r\n", "_\r\n"]).prop_map(Reply::Null),
            prop::sample::select(vec!["#t\r\n", ",1.5e9\r\n", "(12345\r\n", "=7\r\ntxt:a\nb\r\n"])
                .prop_map(Reply::Scalar),
        ];
        leaf.prop_recursive(3, 30, 5, |inner| {
            let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
            prop_oneof![
                (prop::sample::select(vec![b'*', b'~']), prop::collection::vec(inner.clone(), 0..5))
                    .prop_map(|(kind, members)| Reply::Many(kind, members)),
                pairs.clone().prop_map(Reply::Map),
                (pairs, inner).prop_map(|(attributes, reply)| Reply::WithAttribute(attributes, Box::new(reply))),
            ]
        })
    }

    proptest! {
        #[test]
        fn replies_are_counted_wherever_they_are_cut(
            replies in prop::collection::vec((reply(), any::<bool>()), 0..12),
            cuts in prop::collection::vec(1..200_usize, 1..60),
        ) {
            let mut bytes = Vec::new();
            let mut sum = (0, 0);
            for (reply, push_before) in &replies {
                if *push_before {
                    bytes.extend(b">2\r\n$5\r\nhello\r\n*1\r\n:1\r\n");
                }
                reply.write(&mut bytes);
                sum = add(sum, reply.count());
            }
            let mut scanner = Scanner::default();
            let mut total = Found::default();
            let mut rest = bytes.as_slice();
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                let found = scanner.feed(piece).unwrap();
                total.replies += found.replies;
                total.errors += found.errors;
                total.nulls += found.nulls;
                rest = after;
            }
            let expected = Found { replies: replies.len() as u32, errors: sum.0, nulls: sum.1 };
            prop_assert_eq!(total, expected);
            prop_assert_eq!(Scanner::default().feed(&bytes), Ok(expected));
            prop_assert_eq!((scanner.pending, scanner.skip, scanner.stash.len()), (0, 0, 0));
            prop_assert_eq!(scanner.first_error.is_some(), sum.0 > 0);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(prop::sample::select(b"$*%|>-+:_1239\r\n".to_vec()), 0..80)) {
            let mut scanner = Scanner::default();
            for byte in bytes {
                if scanner.feed(&[byte]).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn the_first_error_is_kept() {
        let mut scanner = Scanner::default();
        let found = scanner.feed(b"+OK\r\n-ERR one\r\n-ERR two\r\n").unwrap();
        assert_eq!(found, Found { replies: 3, errors: 2, nulls: 0 });
        assert_eq!(scanner.first_error.as_deref(), Some("ERR one"));
    }

    #[test]
    fn other_protocols_are_noticed() {
        for wrong in ["HTTP/1.1 400\r\n", "\r\n", "$x\r\n", "$-2\r\n", "*-7\r\n", "%9223372036854775807\r\n*3\r\n"] {
            assert!(Scanner::default().feed(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }
}
