//! The typed writer of replies. One verb per reply type; RESP2 or RESP3 is decided here and nowhere else.
//!
//! Replies go straight into the buffer that the session sends. Large values do not: they are referred to at their
//! place in the stream ([`ReplyBuffer::shared`]) and sent from where they lie.

use super::error::CommandError;
use crate::double::DoubleText;
use crate::limits::SHARED_VALUE_BYTES_MIN;
use bytes::Bytes;
use std::io::Write as _;

/// The protocol version that a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// RESP2, until HELLO 3.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// Bytes on their way to a client: one buffer, and large values that belong between its bytes.
#[derive(Debug, Default)]
pub struct ReplyBuffer {
    /// The small bytes, in order.
    pub bytes: Vec<u8>,
    /// Large values: each is sent after the first `at` bytes of `bytes`, in this order.
    pub shared: Vec<SharedPart>,
    /// The total size of all `shared` parts in bytes.
    pub shared_bytes: usize,
}

/// A large value and its place in the stream.
#[derive(Debug, Clone)]
pub struct SharedPart {
    /// How many bytes of the buffer go before it.
    pub at: usize,
    /// The value.
    pub bytes: Bytes,
}

/// A place in a [`ReplyBuffer`]; what was written after it can be taken back or copied elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Length of the bytes.
    pub bytes: usize,
    /// Number of shared parts.
    pub shared: usize,
}

impl ReplyBuffer {
    /// All that is to be sent, in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() + self.shared_bytes
    }

    /// Is there nothing to send?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.shared.is_empty()
    }

    /// The current end.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), shared: self.shared.len() }
    }

    /// What lies between two marks, in bytes.
    pub fn len_between(&self, from: Mark, to: Mark) -> usize {
        let shared: usize = self.shared[from.shared..to.shared].iter().map(|part| part.bytes.len()).sum();
        to.bytes - from.bytes + shared
    }

    /// Takes back everything after `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        for part in self.shared.drain(mark.shared..) {
            self.shared_bytes -= part.bytes.len();
        }
    }

    /// Empties the buffer, keeping its allocation.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.shared.clear();
        self.shared_bytes = 0;
    }

    /// Adds a large value at the end.
    pub fn push_shared(&mut self, bytes: Bytes) {
        self.shared_bytes += bytes.len();
        self.shared.push(SharedPart { at: self.bytes.len(), bytes });
    }

    /// Appends what `other` holds between two marks.
    pub fn append_range(&mut self, other: &ReplyBuffer, from: Mark, to: Mark) {
        if from.shared == to.shared {
            self.bytes.extend_from_slice(&other.bytes[from.bytes..to.bytes]);
            return;
        }
        let mut at = from.bytes;
        for part in &other.shared[from.shared..to.shared] {
            self.bytes.extend_from_slice(&other.bytes[at..part.at]);
            at = part.at;
            self.push_shared(part.bytes.clone());
        }
        self.bytes.extend_from_slice(&other.bytes[at..to.bytes]);
    }

    /// The whole stream as one vector; for tests and for small replies only.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        let mut at = 0;
        for part in &self.shared {
            all.extend_from_slice(&self.bytes[at..part.at]);
            all.extend_from_slice(&part.bytes);
            at = part.at;
        }
        all.extend_from_slice(&self.bytes[at..]);
        all
    }
}

/// The head of a reply whose length is still to come.
#[derive(Debug)]
#[must_use = "a head needs its length"]
pub struct Unsettled {
    mark: Mark,
    kind: u8,
    expected: usize,
    /// Where the elements begin.
    end: usize,
}

/// Longest line of a number: its kind, sign, digits and end.
const HEAD_BYTES_MAX: usize = 24;

/// Writes the reply of one command.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut ReplyBuffer,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// A writer at the end of `out`.
    #[inline]
    pub fn new(out: &'a mut ReplyBuffer, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The protocol that is written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Is it RESP3?
    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// The buffer behind the writer, for replies that exist as bytes already.
    pub fn buffer(&mut self) -> &mut ReplyBuffer {
        self.out
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.out.bytes.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string; it must hold no line break.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a line break ends a simple string");
        self.out.bytes.push(b'+');
        self.out.bytes.extend_from_slice(text.as_bytes());
        self.out.bytes.extend_from_slice(b"\r\n");
    }

    /// An error. Line breaks in its text become blanks.
    pub fn error(&mut self, error: &CommandError) {
        self.out.bytes.push(b'-');
        self.out.bytes.extend_from_slice(error.code().as_bytes());
        self.out.bytes.push(b' ');
        let start = self.out.bytes.len();
        // Writing to a Vec cannot fail.
        let _ = write!(self.out.bytes, "{error}");
        for byte in &mut self.out.bytes[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.out.bytes.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.number_line(b':', value);
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        self.out.bytes.reserve(value.len() + HEAD_BYTES_MAX + 2);
        self.number_line(b'$', value.len() as i64);
        self.out.bytes.extend_from_slice(value);
        self.out.bytes.extend_from_slice(b"\r\n");
    }

    /// A bulk string that is sent from where it lies if it is large.
    pub fn bulk_shared(&mut self, value: &Bytes) {
        if value.len() < SHARED_VALUE_BYTES_MIN {
            return self.bulk(value);
        }
        self.number_line(b'$', value.len() as i64);
        self.out.push_shared(value.clone());
        self.out.bytes.extend_from_slice(b"\r\n");
    }

    /// A bulk string with the decimal text of an integer.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// The absence of a value.
    #[inline]
    pub fn null(&mut self) {
        self.out.bytes.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The absence of an array.
    pub fn null_array(&mut self) {
        self.out.bytes.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The head of an array of `len` elements, which must follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.number_line(b'*', len as i64);
    }

    /// The head of a map of `len` pairs; a flat array in RESP2.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.number_line(b'*', 2 * len as i64),
            Protocol::Resp3 => self.number_line(b'%', len as i64),
        }
    }

    /// The head of a set of `len` elements; an array in RESP2.
    pub fn set(&mut self, len: usize) {
        self.number_line(if self.is_resp3() { b'~' } else { b'*' }, len as i64);
    }

    /// The head of an array or a set of which only [`Reply::settle`] will know the length; `expected` is a guess, which saves
    /// work where it has as many digits. In between come the elements.
    pub fn unsettled(&mut self, is_set: bool, expected: usize) -> Unsettled {
        self.unsettled_of(if is_set && self.is_resp3() { b'~' } else { b'*' }, expected)
    }

    /// The same for a list of pairs: a map in RESP3; in RESP2 an array of arrays, whose heads come with the elements.
    pub fn unsettled_pairs(&mut self, expected: usize) -> Unsettled {
        self.unsettled_of(if self.is_resp3() { b'%' } else { b'*' }, expected)
    }

    #[inline]
    fn unsettled_of(&mut self, kind: u8, expected: usize) -> Unsettled {
        let mark = self.out.mark();
        self.number_line(kind, expected as i64);
        Unsettled { mark, kind, expected, end: self.out.bytes.len() }
    }

    /// Tells how many elements have followed a head.
    pub fn settle(&mut self, head: Unsettled, len: usize) {
        let Unsettled { mark, kind, expected, end } = head;
        if len == expected {
            return;
        }
        let mut digits = itoa::Buffer::new();
        let line = [&[kind], digits.format(len).as_bytes(), b"\r\n"].concat();
        let (old, new) = (end - mark.bytes, line.len());
        self.out.bytes.splice(mark.bytes..end, line);
        for part in &mut self.out.shared[mark.shared..] {
            part.at = part.at - old + new;
        }
    }

    /// The head of a push message of `len` elements; an array in RESP2.
    pub fn push(&mut self, len: usize) {
        self.number_line(if self.is_resp3() { b'>' } else { b'*' }, len as i64);
    }

    /// A truth value; `:1` or `:0` in RESP2.
    pub fn boolean(&mut self, value: bool) {
        self.out.bytes.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    /// A floating point number given as its text; a bulk string in RESP2.
    pub fn double_text(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.out.bytes.push(b',');
                self.out.bytes.extend_from_slice(text.as_bytes());
                self.out.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A floating point number; a bulk string in RESP2.
    #[inline]
    pub fn double(&mut self, value: f64) {
        self.double_text(DoubleText::of(value).as_str());
    }

    /// A text with a three-letter format name (`txt`, `mkd`); a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3, "the format name of a verbatim string has three letters");
        if !self.is_resp3() {
            return self.bulk(text);
        }
        self.number_line(b'=', text.len() as i64 + 4);
        self.out.bytes.extend_from_slice(format.as_bytes());
        self.out.bytes.push(b':');
        self.out.bytes.extend_from_slice(text);
        self.out.bytes.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn number_line(&mut self, kind: u8, value: i64) {
        let out = &mut self.out.bytes;
        // Most lengths and integers are short: written at one stroke, with more than is needed and that taken back.
        let digit = |digit: i64| b'0' + (digit as u16 % 10) as u8;
        match value {
            0..=9 => out.extend_from_slice(&[kind, digit(value), b'\r', b'\n']),
            10..=99 => {
                out.extend_from_slice(&[kind, digit(value / 10), digit(value), b'\r', b'\n', 0, 0, 0]);
                out.truncate(out.len() - 3);
            }
            100..=999 => {
                let hundreds = digit(value / 100);
                out.extend_from_slice(&[kind, hundreds, digit(value / 10), digit(value), b'\r', b'\n', 0, 0]);
                out.truncate(out.len() - 2);
            }
            _ => self.long_number_line(kind, value),
        }
    }

    fn long_number_line(&mut self, kind: u8, value: i64) {
        let out = &mut self.out.bytes;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value).as_bytes();
        out.reserve(digits.len() + 3);
        out.push(kind);
        out.extend_from_slice(digits);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = ReplyBuffer::default();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8_lossy(&out.to_vec()).into_owned()
    }

    #[test]
    fn both_protocols() {
        let all = |r: &mut Reply<'_>| {
            r.null();
            r.map(2);
            r.boolean(true);
            r.double_text("1.5");
            r.verbatim("txt", b"hi");
            r.integer(-12);
        };
        assert_eq!(written(Protocol::Resp2, all), "$-1\r\n*4\r\n:1\r\n$3\r\n1.5\r\n$2\r\nhi\r\n:-12\r\n");
        assert_eq!(written(Protocol::Resp3, all), "_\r\n%2\r\n#t\r\n,1.5\r\n=6\r\ntxt:hi\r\n:-12\r\n");
    }

    #[test]
    fn an_error_stays_on_its_line() {
        assert_eq!(written(Protocol::Resp2, |r| r.error(&CommandError::owned("a\r\nb"))), "-ERR a  b\r\n");
    }

    #[test]
    fn lengths_may_come_after_the_elements() {
        for (expected, len) in [(0, 0), (2, 2), (9, 2), (2, 100), (1_000, 7)] {
            for protocol in [Protocol::Resp2, Protocol::Resp3] {
                let (mut out, mut plain) = (ReplyBuffer::default(), ReplyBuffer::default());
                let large = Bytes::from(vec![b'l'; SHARED_VALUE_BYTES_MIN]);
                let elements = |reply: &mut Reply<'_>| {
                    reply.bulk_shared(&large);
                    reply.integer(1);
                    reply.bulk_shared(&large);
                };
                let mut reply = Reply::new(&mut out, protocol);
                reply.bulk_shared(&large);
                let head = reply.unsettled(true, expected);
                elements(&mut reply);
                reply.settle(head, len);
                reply.ok();
                let mut reply = Reply::new(&mut plain, protocol);
                reply.bulk_shared(&large);
                reply.set(len);
                elements(&mut reply);
                reply.ok();
                assert_eq!(out.to_vec(), plain.to_vec(), "{expected} {len}");
            }
        }
    }

    #[test]
    fn large_values_keep_their_place_through_copies() {
        let big = Bytes::from(vec![b'x'; SHARED_VALUE_BYTES_MIN]);
        let mut out = ReplyBuffer::default();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        reply.integer(1);
        reply.bulk_shared(&big);
        reply.integer(2);
        let end = out.mark();
        let mut copy = ReplyBuffer::default();
        copy.bytes.extend_from_slice(b"+head\r\n");
        copy.append_range(&out, Mark { bytes: 4, shared: 0 }, end);
        let mut expected = b"+head\r\n$16384\r\n".to_vec();
        expected.extend_from_slice(&big);
        expected.extend_from_slice(b"\r\n:2\r\n");
        assert_eq!(copy.to_vec(), expected);
        assert_eq!(copy.len(), expected.len());
        out.rewind(Mark { bytes: 4, shared: 0 });
        assert_eq!(out.to_vec(), b":1\r\n");
    }
}
