//! A small blocking client that hides nothing: it sends the bytes it is given, reads one reply at a
//! time, and never waits without a limit.

use crate::reply::Reply;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a read or a write may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes read at once while looking for the end of a reply.
const READ_CHUNK: usize = 64 * 1024;

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn set_read_timeout(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Self::Unix(stream) => stream.set_read_timeout(Some(limit)),
        }
    }

    fn set_write_timeout(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(Some(limit)),
            Self::Unix(stream) => stream.set_write_timeout(Some(limit)),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }
}

/// One connection.
pub struct Client {
    stream: Stream,
    /// Bytes that were read and not yet taken start at `at`.
    buffer: Vec<u8>,
    at: usize,
}

impl Client {
    /// Connects, with [`PATIENCE`] as the limit of every read and write.
    pub fn connect(address: &Address) -> io::Result<Self> {
        let stream = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        let client = Self { stream, buffer: Vec::new(), at: 0 };
        client.set_patience(PATIENCE)?;
        client.stream.set_write_timeout(PATIENCE)?;
        Ok(client)
    }

    /// Takes over a TCP stream whose options the test has chosen itself.
    pub fn from_tcp(stream: TcpStream) -> io::Result<Self> {
        let client = Self { stream: Stream::Tcp(stream), buffer: Vec::new(), at: 0 };
        client.set_patience(PATIENCE)?;
        client.stream.set_write_timeout(PATIENCE)?;
        Ok(client)
    }

    /// Changes how long a read may take.
    pub fn set_patience(&self, limit: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(limit)
    }

    /// Says that nothing more will be sent; replies can still be read.
    pub fn finish_sending(&self) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends one command and reads its reply. A failure of the connection fails the test.
    pub fn command<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        match self.try_command(args) {
            Ok(reply) => reply,
            Err(error) => panic!("{}: {error}", shown(args)),
        }
    }

    /// Sends one command and reads its reply.
    pub fn try_command<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Reply> {
        self.send(&encoded(args))?;
        self.read_reply()
    }

    /// Sends one command given as words between blanks; for commands without blanks in them.
    pub fn run(&mut self, words: &str) -> Reply {
        self.command(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Reads until the server closes, however many replies come before; fails if it does not close in time.
    pub fn wait_for_close(&mut self, limit: Duration) -> io::Result<Vec<Reply>> {
        let end = Instant::now() + limit;
        let mut replies = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.set_patience(left)?;
            match self.read_reply()? {
                Reply::Closed => break,
                reply => replies.push(reply),
            }
        }
        self.set_patience(PATIENCE)?;
        Ok(replies)
    }

    /// Reads one reply; a connection closed by the server gives [`Reply::Closed`].
    pub fn read_reply(&mut self) -> io::Result<Reply> {
        match self.parse() {
            Err(error) if is_close(&error) => Ok(Reply::Closed),
            other => other,
        }
    }

    /// True if no reply comes within `limit`.
    pub fn is_quiet_for(&mut self, limit: Duration) -> io::Result<bool> {
        if self.at < self.buffer.len() {
            return Ok(false);
        }
        self.set_patience(limit)?;
        let result = self.fill();
        self.set_patience(PATIENCE)?;
        match result {
            Ok(()) => Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn parse(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let Some((&kind, rest)) = line.split_first() else { return Err(broken("an empty reply line")) };
        let rest = rest.to_vec();
        Ok(match kind {
            b'+' => Reply::Simple(rest),
            b'-' => Reply::Error(rest),
            b':' => Reply::Integer(number(&rest)?),
            b',' => Reply::Double(rest),
            b'(' => Reply::BigNumber(rest),
            b'_' => Reply::Null,
            b'#' => Reply::Boolean(rest == b"t"),
            b'$' => match number(&rest)? {
                -1 => Reply::NullBulk,
                length => Reply::Bulk(self.body(length)?),
            },
            b'!' => {
                let length = number(&rest)?;
                Reply::BulkError(self.body(length)?)
            }
            b'=' => {
                let length = number(&rest)?;
                let body = self.body(length)?;
                let (format, text) = body.split_at_checked(3).ok_or_else(|| broken("a short verbatim string"))?;
                Reply::Verbatim(format.to_vec(), text.get(1..).unwrap_or_default().to_vec())
            }
            b'*' => match number(&rest)? {
                -1 => Reply::NullArray,
                length => Reply::Array(self.sequence(length)?),
            },
            b'~' => {
                let length = number(&rest)?;
                Reply::Set(self.sequence(length)?)
            }
            b'>' => {
                let length = number(&rest)?;
                Reply::Push(self.sequence(length)?)
            }
            b'%' => {
                let length = number(&rest)?;
                Reply::Map(self.pairs(length)?)
            }
            b'|' => {
                let length = number(&rest)?;
                let pairs = self.pairs(length)?;
                Reply::Attribute(pairs, Box::new(self.parse()?))
            }
            other => return Err(broken(&format!("a reply that starts with byte {other:#x}"))),
        })
    }

    fn sequence(&mut self, length: i64) -> io::Result<Vec<Reply>> {
        (0..length).map(|_| self.parse()).collect()
    }

    fn pairs(&mut self, length: i64) -> io::Result<Vec<(Reply, Reply)>> {
        (0..length).map(|_| Ok((self.parse()?, self.parse()?))).collect()
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut searched = self.at;
        loop {
            if let Some(found) = self.buffer[searched..].iter().position(|&byte| byte == b'\n') {
                let end = searched + found;
                if end == self.at || self.buffer[end - 1] != b'\r' {
                    return Err(broken("a reply line that does not end in CRLF"));
                }
                let line = self.buffer[self.at..end - 1].to_vec();
                self.at = end + 1;
                return Ok(line);
            }
            let taken = self.at;
            searched = self.buffer.len();
            self.fill()?;
            // `fill` moves what is left to the front.
            searched -= taken - self.at;
        }
    }

    fn body(&mut self, length: i64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(length).map_err(|_| broken("a negative length"))?;
        let have = (self.buffer.len() - self.at).min(length + 2);
        let mut body = Vec::with_capacity(length + 2);
        body.extend_from_slice(&self.buffer[self.at..self.at + have]);
        self.at += have;
        let mut filled = body.len();
        body.resize(length + 2, 0);
        while filled < body.len() {
            match self.stream.read(&mut body[filled..])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        if !body.ends_with(b"\r\n") {
            return Err(broken("a bulk string that does not end in CRLF"));
        }
        body.truncate(length);
        Ok(body)
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let have = self.buffer.len();
        self.buffer.resize(have + READ_CHUNK, 0);
        let result = self.stream.read(&mut self.buffer[have..]);
        self.buffer.truncate(have + *result.as_ref().unwrap_or(&0));
        match result? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The words of a line; quotes keep spaces together.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// A command as the bytes of a multibulk request.
pub fn encoded<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn shown<A: AsRef<[u8]>>(args: &[A]) -> String {
    let mut text = args.iter().map(|arg| crate::reply::escaped(arg.as_ref())).collect::<Vec<_>>().join(" ");
    text.truncate(200);
    text
}

fn is_close(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn number(digits: &[u8]) -> io::Result<i64> {
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or_else(|| broken("a bad number"))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the server sent {what}"))
}
