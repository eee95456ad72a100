//! Bytes to arguments: incremental, bounded, without copying.
//!
//! The parser looks at bytes that begin with a request and answers with spans into them, so the arguments of a
//! request that arrived whole are never copied. It remembers how far it came, so a request that arrives in many
//! pieces costs its length once. An argument of [`BIG_ARGUMENT_BYTES_MIN`] or more that is still under way is
//! asked for as an allocation of its own ([`Progress::BigArgument`]): it is filled by the caller and becomes the
//! stored value without another copy.

use crate::limits::{
    ARGS_MAX, BIG_ARGUMENT_BYTES_MIN, INLINE_BYTES_MAX, UNAUTHENTICATED_ARGS_MAX, UNAUTHENTICATED_BULK_BYTES_MAX,
};
use crate::number::parse_integer;
use crate::words::{bare_words, split_words};
use bytes::Bytes;
use smallvec::SmallVec;
use std::fmt;

/// The place of one argument: in the bytes of its request, or in a list of large arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

/// So many bytes at most stand between two arguments that are copied as one piece: a line end, a length, a line end.
const GAP_BYTES_MAX: usize = 16;

/// Marks a span that is an index into the list of large arguments.
const IN_SHARED: u32 = 1 << 31;

/// Requests of more arguments are not looked for in one piece.
const WHOLE_ARGS_MAX: usize = 1024;

/// Longer numbers take the general path.
const SHORT_DIGITS_MAX: usize = 8;

impl Span {
    /// An argument inside the bytes.
    #[inline]
    pub fn new(start: usize, len: usize) -> Self {
        debug_assert!(start <= u32::MAX as usize && len < IN_SHARED as usize, "requests are bounded far below 2 GiB");
        Self { start: start as u32, len: len as u32 }
    }

    /// An argument in the list of large arguments.
    pub fn shared(index: usize) -> Self {
        Self { start: index as u32, len: IN_SHARED }
    }

    /// The index into the list of large arguments, if it is one of them.
    #[inline]
    pub fn shared_index(self) -> Option<usize> {
        (self.len & IN_SHARED != 0).then_some(self.start as usize)
    }

    /// The same argument when what lay at `from` lies at `to`; it is inside the bytes.
    #[inline]
    pub fn moved(self, from: usize, to: usize) -> Self {
        Self { start: (self.start as usize - from + to) as u32, len: self.len }
    }

    /// The same argument when everything before it has grown by `by` bytes, or the list by `shared` entries.
    pub fn shifted(self, by: usize, shared: usize) -> Self {
        match self.shared_index() {
            Some(index) => Self::shared(index + shared),
            None => Self::new(self.start as usize + by, self.len as usize),
        }
    }
}

/// The arguments of one command, its name first.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
    shared: &'a [Bytes],
}

impl<'a> Args<'a> {
    /// Arguments from spans into `bytes` and `shared`.
    #[inline]
    pub fn new(bytes: &'a [u8], spans: &'a [Span], shared: &'a [Bytes]) -> Self {
        Self { bytes, spans, shared }
    }

    /// All arguments with what little stands between them, where that begins, and their places, if they lie close together
    /// inside the bytes, as they come from a client.
    #[inline]
    pub fn in_one_piece(&self) -> Option<(&'a [u8], usize, &'a [Span])> {
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        let mut wasted = 0;
        let mut end = first.start;
        for span in self.spans {
            if span.len & IN_SHARED != 0 || span.start < end {
                return None;
            }
            wasted += span.start - end;
            end = span.start + span.len;
        }
        if wasted as usize > GAP_BYTES_MAX * self.spans.len() {
            return None;
        }
        let from = first.start as usize;
        Some((&self.bytes[from..(last.start + last.len) as usize], from, self.spans))
    }

    /// The places of the name and of the arguments of `words`: the arguments of a part of the command.
    pub fn fragment(&self, words: std::ops::Range<usize>) -> SmallVec<[Span; 4]> {
        std::iter::once(self.spans[0]).chain(self.spans[words].iter().copied()).collect()
    }

    /// The same bytes with other places in them.
    pub fn with_spans<'b>(&self, spans: &'b [Span]) -> Args<'b>
    where
        'a: 'b,
    {
        Args { bytes: self.bytes, spans, shared: self.shared }
    }

    /// How many there are, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Are there none at all?
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`; the name is 0. The caller has checked the arity.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        match span.shared_index() {
            None => &self.bytes[span.start as usize..][..span.len as usize],
            Some(at) => &self.shared[at],
        }
    }

    /// Argument `index` as a reference-counted value, if it arrived as one.
    #[inline]
    pub fn shared(&self, index: usize) -> Option<&'a Bytes> {
        self.spans[index].shared_index().map(|at| &self.shared[at])
    }

    /// The arguments from `first` on.
    pub fn iter_from(&self, first: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let args = *self;
        (first.min(self.len())..self.len()).map(move |index| args.get(index))
    }

    /// The arguments from `first` on, as a call of their own.
    pub fn skip(&self, first: usize) -> Self {
        Self { spans: &self.spans[first.min(self.len())..], ..*self }
    }

    /// The first `count` arguments, or all that there are, as a call of their own.
    pub fn first(&self, count: usize) -> Self {
        Self { spans: &self.spans[..count.min(self.len())], ..*self }
    }

    /// All arguments, the name first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.iter_from(0)
    }

    /// The spans, for copying a call elsewhere.
    pub fn spans(&self) -> &'a [Span] {
        self.spans
    }

    /// The sum of the lengths of all arguments, in bytes.
    pub fn total_bytes(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }
}

/// A request that owns its bytes; for tests, and for calls that the server makes itself.
#[derive(Debug, Clone, Default)]
pub struct Request {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    shared: Vec<Bytes>,
}

impl Request {
    /// A request of these words.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut request = Self::default();
        for word in words {
            request.push(word);
        }
        request
    }

    /// A copy of arguments that live elsewhere; large ones are referred to, not copied.
    pub fn copy_of(args: &Args<'_>) -> Self {
        let mut request = Self::default();
        for index in 0..args.len() {
            match args.shared(index) {
                Some(bytes) => {
                    request.spans.push(Span::shared(request.shared.len()));
                    request.shared.push(bytes.clone());
                }
                None => request.push(args.get(index)),
            }
        }
        request
    }

    /// Adds a word.
    pub fn push(&mut self, word: &[u8]) {
        self.spans.push(Span::new(self.bytes.len(), word.len()));
        self.bytes.extend_from_slice(word);
    }

    /// Adds a word that is a reference-counted value.
    pub fn push_shared(&mut self, word: Bytes) {
        self.spans.push(Span::shared(self.shared.len()));
        self.shared.push(word);
    }

    /// Puts another word in the place of word `index`.
    pub fn replace(&mut self, index: usize, word: &[u8]) {
        self.spans[index] = Span::new(self.bytes.len(), word.len());
        self.bytes.extend_from_slice(word);
    }

    /// Its arguments.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans, &self.shared)
    }
}

/// What a request may be at most; read from the settings and the state of the client.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// `proto-max-bulk-len` in bytes.
    pub bulk_bytes_max: i64,
    /// Has the client still to authenticate?
    pub unauthenticated: bool,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { bulk_bytes_max: 512 * 1024 * 1024, unauthenticated: false }
    }
}

/// A breach of the protocol. The text is what follows `-ERR Protocol error: `; the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The count of arguments is no number or too large.
    InvalidMultibulkLength,
    /// More arguments than a client may send before it authenticates.
    UnauthenticatedMultibulkLength,
    /// The line with the count of arguments does not end.
    MultibulkCountTooLong,
    /// The line with the length of an argument does not end.
    BulkCountTooLong,
    /// An argument must begin with `$`, but began with this byte.
    ExpectedBulk(u8),
    /// The length of an argument is no number or over the limit.
    InvalidBulkLength,
    /// A longer argument than a client may send before it authenticates.
    UnauthenticatedBulkLength,
    /// An inline request does not end.
    InlineTooLong,
    /// The quotes of an inline request do not match.
    UnbalancedQuotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::InvalidMultibulkLength => f.write_str("invalid multibulk length"),
            Self::UnauthenticatedMultibulkLength => f.write_str("unauthenticated multibulk length"),
            Self::MultibulkCountTooLong => f.write_str("too big mbulk count string"),
            Self::BulkCountTooLong => f.write_str("too big bulk count string"),
            Self::ExpectedBulk(byte) => write!(f, "expected '$', got '{}'", char::from(*byte)),
            Self::InvalidBulkLength => f.write_str("invalid bulk length"),
            Self::UnauthenticatedBulkLength => f.write_str("unauthenticated bulk length"),
            Self::InlineTooLong => f.write_str("too big inline request"),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
        }
    }
}

/// How far the parser came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A request is complete and lies in the input; its spans have been appended. A request without arguments (an
    /// empty line, `*0`) is complete, too.
    Complete {
        /// The length of the request in the input, in bytes.
        consumed: usize,
    },
    /// A request is complete that does not lie in the input as it is (quoted words, large arguments); take it with
    /// [`RequestParser::take_request`].
    CompleteOwned {
        /// How much of the input belonged to it, in bytes.
        consumed: usize,
    },
    /// More input is needed.
    Incomplete,
    /// A large argument is under way. Its payload begins after `consumed` bytes of the input: collect `len` bytes of
    /// payload and the line end behind it, hand the payload to [`RequestParser::supply`], and go on with what follows.
    BigArgument {
        /// Where its payload starts in the input, in bytes.
        consumed: usize,
        /// The length of its payload in bytes, without the line end.
        len: usize,
    },
}

/// The parser of one connection. Between calls it holds only the position inside the request under way.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Arguments still to come; 0 between requests.
    missing: i64,
    /// Offset of the next unread byte, from the start of the input.
    next: usize,
    /// The length of the argument under way, once known.
    bulk_len: Option<usize>,
    /// How much of an inline request was searched for its end.
    searched: usize,
    /// Spans of the arguments read so far of a request that is not complete.
    partial: Vec<Span>,
    /// The request under way, once a large argument forbids leaving it in the input.
    owned: Option<Request>,
}

impl RequestParser {
    /// Is a request under way?
    pub fn is_mid_request(&self) -> bool {
        self.missing > 0 || self.searched > 0
    }

    /// Bytes that the parser itself holds for the request under way.
    pub fn held_bytes(&self) -> usize {
        let owned =
            self.owned.as_ref().map_or(0, |r| r.bytes.capacity() + r.shared.iter().map(Bytes::len).sum::<usize>());
        owned + self.partial.len() * size_of::<Span>()
    }

    /// Gives memory back that the request under way does not need.
    pub fn shrink(&mut self) {
        self.partial.shrink_to_fit();
    }

    /// Takes the request that [`Progress::CompleteOwned`] announced.
    pub fn take_request(&mut self) -> Request {
        self.owned.take().unwrap_or_default()
    }

    /// Gives the payload that [`Progress::BigArgument`] asked for. The input must go on behind its line end.
    pub fn supply(&mut self, payload: Bytes) {
        let request = self.owned.get_or_insert_default();
        request.spans.push(Span::shared(request.shared.len()));
        request.shared.push(payload);
        self.missing -= 1;
    }

    /// Looks at `input`, which begins with the request under way or with what follows a large argument of it.
    ///
    /// Spans of a complete request are appended to `spans`, counted from the start of `input`.
    ///
    /// # Errors
    /// A breach of the protocol; the parser must not be used again.
    #[inline]
    pub fn parse(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        spans: &mut Vec<Span>,
    ) -> Result<Progress, ProtocolError> {
        if self.missing == 0 && self.owned.is_none() {
            match input.first() {
                None => return Ok(Progress::Incomplete),
                Some(b'*') if self.searched == 0 => {}
                Some(_) => return self.parse_inline(input, spans),
            }
            if let Some(consumed) = parse_whole(input, limits, spans) {
                return Ok(Progress::Complete { consumed });
            }
            let Some((line, next)) = line_at(input, 1, ProtocolError::MultibulkCountTooLong)? else {
                return Ok(Progress::Incomplete);
            };
            let count = parse_integer(line).filter(|c| *c <= ARGS_MAX).ok_or(ProtocolError::InvalidMultibulkLength)?;
            if limits.unauthenticated && count > UNAUTHENTICATED_ARGS_MAX {
                return Err(ProtocolError::UnauthenticatedMultibulkLength);
            }
            if count <= 0 {
                return Ok(Progress::Complete { consumed: next });
            }
            self.missing = count;
            self.next = next;
        }
        self.parse_arguments(input, limits, spans)
    }

    fn parse_arguments(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        spans: &mut Vec<Span>,
    ) -> Result<Progress, ProtocolError> {
        let first = spans.len();
        if first == 0 {
            // Millions of small arguments come in thousands of pieces: not to be copied each time.
            std::mem::swap(spans, &mut self.partial);
        } else {
            spans.append(&mut self.partial);
        }
        while self.missing > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => match self.bulk_length(input, limits)? {
                    Some(len) => len,
                    None => return Ok(self.pause(first, spans)),
                },
            };
            let end = self.next + len;
            if input.len() < end + 2 {
                if len >= BIG_ARGUMENT_BYTES_MIN {
                    return Ok(self.detach(input, len, first, spans));
                }
                self.bulk_len = Some(len);
                return Ok(self.pause(first, spans));
            }
            match &mut self.owned {
                None => spans.push(Span::new(self.next, len)),
                Some(request) => request.push(&input[self.next..end]),
            }
            self.next = end + 2;
            self.bulk_len = None;
            self.missing -= 1;
        }
        let consumed = std::mem::take(&mut self.next);
        Ok(if self.owned.is_some() { Progress::CompleteOwned { consumed } } else { Progress::Complete { consumed } })
    }

    /// Reads the line with the length of the next argument and moves behind it.
    #[inline]
    fn bulk_length(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Option<usize>, ProtocolError> {
        let Some((line, next)) = line_at(input, self.next, ProtocolError::BulkCountTooLong)? else {
            return Ok(None);
        };
        let Some((b'$', digits)) = line.split_first() else {
            return Err(ProtocolError::ExpectedBulk(line.first().copied().unwrap_or(b'\r')));
        };
        let len = parse_integer(digits)
            .filter(|len| (0..=limits.bulk_bytes_max.min(i64::from(i32::MAX))).contains(len))
            .ok_or(ProtocolError::InvalidBulkLength)?;
        if limits.unauthenticated && len > UNAUTHENTICATED_BULK_BYTES_MAX {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        self.next = next;
        Ok(Some(len as usize))
    }

    fn pause(&mut self, first: usize, spans: &mut Vec<Span>) -> Progress {
        if first == 0 {
            std::mem::swap(spans, &mut self.partial);
        } else {
            self.partial.extend(spans.drain(first..));
        }
        Progress::Incomplete
    }

    /// Copies the words read so far out of the input, so that it can be handed on.
    fn detach(&mut self, input: &[u8], len: usize, first: usize, spans: &mut Vec<Span>) -> Progress {
        let request = self.owned.get_or_insert_default();
        for span in spans.drain(first..) {
            request.push(&input[span.start as usize..][..span.len as usize]);
        }
        self.bulk_len = None;
        Progress::BigArgument { consumed: std::mem::take(&mut self.next), len }
    }

    fn parse_inline(&mut self, input: &[u8], spans: &mut Vec<Span>) -> Result<Progress, ProtocolError> {
        let Some(at) = input[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = input.len();
            return if input.len() > INLINE_BYTES_MAX {
                Err(ProtocolError::InlineTooLong)
            } else {
                Ok(Progress::Incomplete)
            };
        };
        let end = std::mem::take(&mut self.searched) + at;
        if end > INLINE_BYTES_MAX {
            return Err(ProtocolError::InlineTooLong);
        }
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        let consumed = end + 1;
        if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
            let words = split_words(line).ok_or(ProtocolError::UnbalancedQuotes)?;
            self.owned = Some(Request::new(words.iter().map(Vec::as_slice)));
            return Ok(Progress::CompleteOwned { consumed });
        }
        spans.extend(bare_words(line).map(|word| Span::new(word.start, word.len())));
        Ok(Progress::Complete { consumed })
    }
}

/// The path of most requests: all of it is there, and nothing about it is out of the ordinary. Anything else is `None`,
/// and the general parser looks at the request from its start: once, because from then on it is under way.
#[inline]
fn parse_whole(input: &[u8], limits: &RequestLimits, spans: &mut Vec<Span>) -> Option<usize> {
    let (count, mut at) = short_number(input, 1)?;
    if count == 0 || count > WHOLE_ARGS_MAX || limits.unauthenticated {
        return None;
    }
    let first = spans.len();
    spans.reserve(count);
    for _ in 0..count {
        let argument = whole_argument(input, at).filter(|span| i64::from(span.len) <= limits.bulk_bytes_max);
        let Some(span) = argument else {
            spans.truncate(first);
            return None;
        };
        spans.push(span);
        at = span.start as usize + span.len as usize + 2;
    }
    Some(at)
}

/// The argument whose length stands at `at`, if all of it is there.
#[inline]
fn whole_argument(input: &[u8], at: usize) -> Option<Span> {
    if *input.get(at)? != b'$' {
        return None;
    }
    let (len, start) = short_number(input, at + 1)?;
    (start + len + 2 <= input.len()).then(|| Span::new(start, len))
}

/// A canonical number of at most [`SHORT_DIGITS_MAX`] digits that starts at `from`, and where the next line starts.
#[inline]
fn short_number(input: &[u8], from: usize) -> Option<(usize, usize)> {
    let rest = input.get(from..)?;
    // As everywhere, the byte after the carriage return must have come, whatever it is.
    if let [first, second, third, _, ..] = *rest {
        let (high, low) = (first.wrapping_sub(b'0'), second.wrapping_sub(b'0'));
        if second == b'\r' && high <= 9 {
            return Some((usize::from(high), from + 3));
        }
        if third == b'\r' && low <= 9 && matches!(high, 1..=9) {
            return Some((usize::from(high) * 10 + usize::from(low), from + 4));
        }
    }
    longer_number(rest).map(|(value, used)| (value, from + used))
}

fn longer_number(rest: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in rest.iter().take(SHORT_DIGITS_MAX + 1).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let ends = *byte == b'\r' && at > 0 && at + 1 < rest.len() && (rest[0] != b'0' || at == 1);
            return ends.then_some((value, at + 2));
        }
        value = value * 10 + usize::from(digit);
    }
    None
}

/// The line that starts at `from`, without its end, and where the next one starts; `None` if it has not ended yet.
#[inline]
fn line_at(input: &[u8], from: usize, too_long: ProtocolError) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    let rest = input.get(from..).unwrap_or_default();
    match rest.iter().position(|byte| *byte == b'\r') {
        // The byte after the carriage return must have come, whatever it is.
        Some(at) if at + 1 < rest.len() => Ok(Some((&rest[..at], from + at + 2))),
        Some(_) => Ok(None),
        None if rest.len() > INLINE_BYTES_MAX => Err(too_long),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(args: Args<'_>) -> Vec<String> {
        args.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    /// Feeds `bytes` in pieces of `step` and returns all requests, or the error at the end.
    fn parse_all(bytes: &[u8], step: usize, limits: &RequestLimits) -> Result<Vec<Vec<String>>, ProtocolError> {
        let (mut parser, mut buffer, mut requests) = (RequestParser::default(), Vec::new(), Vec::new());
        let mut big: Option<(usize, Vec<u8>)> = None;
        for piece in bytes.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                if let Some((len, payload)) = &mut big {
                    let take = (*len + 2 - payload.len()).min(buffer.len());
                    payload.extend(buffer.drain(..take));
                    if payload.len() < *len + 2 {
                        break;
                    }
                    payload.truncate(*len);
                    parser.supply(Bytes::from(std::mem::take(payload)));
                    big = None;
                }
                let mut spans = Vec::new();
                match parser.parse(&buffer, limits, &mut spans)? {
                    Progress::Complete { consumed } => {
                        assert_eq!(parser.held_bytes(), 0, "between requests nothing is held");
                        requests.push(words(Args::new(&buffer, &spans, &[])));
                        buffer.drain(..consumed);
                    }
                    Progress::CompleteOwned { consumed } => {
                        requests.push(words(parser.take_request().args()));
                        buffer.drain(..consumed);
                    }
                    Progress::Incomplete => break,
                    Progress::BigArgument { consumed, len } => {
                        buffer.drain(..consumed);
                        big = Some((len, Vec::new()));
                    }
                }
            }
        }
        Ok(requests)
    }

    #[test]
    fn any_split_gives_the_same_requests() {
        let big = "b".repeat(BIG_ARGUMENT_BYTES_MIN + 5);
        let text = format!(
            "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\nPING \"a b\"\r\n*0\r\n*4\r\n$3\r\nSET\r\n$0\r\n\r\n${}\r\n{big}\r\n$2\r\nNX\r\nget x\n*1\r\n$4\r\nPING\r\n",
            big.len()
        );
        let expected: Vec<Vec<String>> = [
            vec!["GET", "k"],
            vec![],
            vec!["PING", "a b"],
            vec![],
            vec!["SET", "", &big, "NX"],
            vec!["get", "x"],
            vec!["PING"],
        ]
        .into_iter()
        .map(|request| request.into_iter().map(String::from).collect())
        .collect();
        for step in [1, 2, 3, 7, 100, 5000, 40_000, 1 << 20] {
            assert_eq!(parse_all(text.as_bytes(), step, &RequestLimits::default()).unwrap(), expected, "step {step}");
        }
    }

    #[test]
    fn breaches_are_named() {
        let limits = RequestLimits { bulk_bytes_max: 1024, unauthenticated: false };
        let strict = RequestLimits { unauthenticated: true, ..limits };
        let long = "1".repeat(INLINE_BYTES_MAX + 2);
        for (text, limits, error) in [
            ("*x\r\n", limits, ProtocolError::InvalidMultibulkLength),
            ("*3000000000\r\n", limits, ProtocolError::InvalidMultibulkLength),
            ("*1\r\nPING\r\n", limits, ProtocolError::ExpectedBulk(b'P')),
            ("*1\r\n$-1\r\n", limits, ProtocolError::InvalidBulkLength),
            ("*1\r\n$1025\r\n", limits, ProtocolError::InvalidBulkLength),
            ("*11\r\n", strict, ProtocolError::UnauthenticatedMultibulkLength),
            (
                "*1\r\n$16385\r\n",
                RequestLimits { unauthenticated: true, ..RequestLimits::default() },
                ProtocolError::UnauthenticatedBulkLength,
            ),
            ("get \"x\r\n", limits, ProtocolError::UnbalancedQuotes),
            (&long, limits, ProtocolError::InlineTooLong),
            (&format!("*{long}"), limits, ProtocolError::MultibulkCountTooLong),
            (&format!("*1\r\n${long}"), limits, ProtocolError::BulkCountTooLong),
        ] {
            assert_eq!(parse_all(text.as_bytes(), 1 << 20, &limits), Err(error), "{:.40}", text);
        }
    }
}
