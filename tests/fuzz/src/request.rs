//! The request parser: bytes in any pieces give the same requests and the same breach as in one piece, and what is
//! announced costs nothing before it comes.

use ringkey_core::limits::{UNAUTHENTICATED_ARGS_MAX, UNAUTHENTICATED_BULK_BYTES_MAX};
use ringkey_core::resp::request::{Progress, ProtocolError};
use ringkey_core::resp::{Args, RequestLimits, RequestParser};

/// A large argument on its way.
struct Big {
    len: usize,
    data: Vec<u8>,
}

/// One connection, as the server feeds it.
struct Connection {
    parser: RequestParser,
    limits: RequestLimits,
    /// What has come of the request under way.
    input: Vec<u8>,
    big: Option<Big>,
    requests: Vec<Vec<Vec<u8>>>,
    breach: Option<ProtocolError>,
    received: usize,
}

impl Connection {
    fn new(limits: RequestLimits) -> Self {
        Self {
            parser: RequestParser::default(),
            limits,
            input: Vec::new(),
            big: None,
            requests: Vec::new(),
            breach: None,
            received: 0,
        }
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        self.received += bytes.len();
        if let Some(big) = &mut self.big {
            let take = (big.len + 2 - big.data.len()).min(bytes.len());
            big.data.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if big.data.len() < big.len + 2 {
                return;
            }
            let Some(mut big) = self.big.take() else { return };
            big.data.truncate(big.len);
            self.parser.supply(big.data.into());
        }
        self.input.extend_from_slice(bytes);
        let mut at = 0;
        let mut spans = Vec::new();
        while self.breach.is_none() {
            spans.clear();
            match self.parser.parse(&self.input[at..], &self.limits, &mut spans) {
                Err(breach) => self.breach = Some(breach),
                Ok(Progress::Incomplete) => break,
                Ok(Progress::Complete { consumed }) => {
                    let args = Args::new(&self.input[at..at + consumed], &spans, &[]);
                    self.requests.push(args.iter().map(<[u8]>::to_vec).collect());
                    at += consumed;
                }
                Ok(Progress::CompleteOwned { consumed }) => {
                    let request = self.parser.take_request();
                    self.requests.push(request.args().iter().map(<[u8]>::to_vec).collect());
                    at += consumed;
                }
                Ok(Progress::BigArgument { consumed, len }) => {
                    let data = self.input[at + consumed..].to_vec();
                    assert!(data.len() < len + 2, "a large argument that has come is taken as it lies");
                    self.big = Some(Big { len, data });
                    at = self.input.len();
                    break;
                }
            }
        }
        self.input.drain(..at);
        assert!(self.parser.held_bytes() <= 1024 + 64 * self.received, "what has not come is not allocated");
    }
}

/// Input: a byte of flags, a seed for the pieces, and the stream.
pub fn run(data: &[u8]) {
    let [flags, seed, stream @ ..] = data else { return };
    let limits = RequestLimits {
        unauthenticated: flags & 1 != 0,
        bulk_bytes_max: if flags & 2 != 0 { 64 * 1024 } else { 512 * 1024 * 1024 },
    };
    let mut whole = Connection::new(limits);
    whole.feed(stream);
    let mut pieces = Connection::new(limits);
    let (mut rest, mut state) = (stream, u32::from(*seed) | 0x100);
    while !rest.is_empty() {
        // Mostly a few bytes, at times a lot.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let most = if state >> 30 == 0 { 40_000 } else { 16 };
        let len = (1 + (state >> 8) as usize % most).min(rest.len());
        pieces.feed(&rest[..len]);
        rest = &rest[len..];
    }
    assert_eq!(whole.requests, pieces.requests, "requests do not depend on the pieces in which they come");
    assert_eq!(whole.breach, pieces.breach, "nor does a breach");
    if whole.breach.is_none() {
        assert_eq!(
            whole.parser.is_mid_request() || whole.big.is_some(),
            pieces.parser.is_mid_request() || pieces.big.is_some()
        );
    }
    for request in whole.requests.iter().filter(|_| stream.first() == Some(&b'*')) {
        assert!(request.iter().all(|word| word.len() as i64 <= limits.bulk_bytes_max));
    }
    if let (true, [request, ..], Some(b'*')) = (limits.unauthenticated, whole.requests.as_slice(), stream.first()) {
        assert!(request.len() as i64 <= UNAUTHENTICATED_ARGS_MAX);
        assert!(request.iter().all(|word| word.len() as i64 <= UNAUTHENTICATED_BULK_BYTES_MAX));
    }
}
