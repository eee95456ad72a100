//! The other server of a MIGRATE, over a blocking socket with deadlines: what is sent, how its answers are understood, and
//! what is tried again.
//!
//! All of this may take as long as the client allows, so it runs on the threads of [`movers`](super::movers) only.

use ringkey_core::resp::ReplyBuffer;
use ringkey_core::resp::reply::Mark;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// Each piece of this size has the whole time.
const CHUNK_BYTES: usize = 64 * 1024;

/// So much of a line is kept; the rest is read and forgotten.
pub const LINE_BYTES_MAX: usize = 1023;

/// The longest time for a step; beyond that clocks overflow.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400 * 365);

/// What is to be brought to another server. All memory in it is the asker's, and goes back to it.
#[derive(Debug, Default)]
pub struct Errand {
    /// Its host, and its port as the client gave it.
    pub host: String,
    /// See `host`.
    pub port: String,
    /// The number of the database.
    pub db: i64,
    /// How long each step may take.
    pub timeout: Duration,
    /// The request that authenticates, if there is one.
    pub auth: Vec<u8>,
    /// The requests that restore the keys.
    pub requests: ReplyBuffer,
    /// The end of each.
    pub ends: Vec<Mark>,
    /// Which of them were carried out.
    pub accepted: Vec<bool>,
    /// How it ended.
    pub end: End,
    /// What the other server refused first, without the sign of an error.
    pub refusal: Vec<u8>,
}

/// How an errand ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// All requests were answered, and none was refused.
    #[default]
    Done,
    /// Something was refused; the text is in the errand.
    Refused,
    /// There is no connection.
    NotConnected,
    /// The requests could not be sent.
    NotWritten,
    /// The answers did not come.
    NotRead,
}

/// A connection to another server.
#[derive(Debug)]
pub struct Target {
    stream: TcpStream,
    /// The database that is selected there; -1 if that is not known.
    db: i64,
    /// Bytes that were read and not yet taken.
    read: Vec<u8>,
}

/// Where a connection failed.
struct Failure {
    end: End,
    /// May the whole be tried again, as nothing has been carried out?
    may_retry: bool,
}

impl Failure {
    fn of(end: End, error: &io::Error) -> Self {
        Self { end, may_retry: !is_timeout(error) }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

impl Errand {
    /// Carries it out, over `cached` if there is such a connection. What is returned may serve the next one.
    pub fn run(&mut self, cached: Option<Target>) -> Option<Target> {
        self.timeout = self.timeout.min(TIMEOUT_MAX);
        let mut target = cached;
        for attempt in 0..2 {
            let mut connected = match target.take().map_or_else(|| self.connect(), Ok) {
                Ok(connected) => connected,
                Err(end) => {
                    self.end = end;
                    return None;
                }
            };
            match self.deliver(&mut connected) {
                Ok(()) => return Some(connected),
                // A connection that was kept has often been closed meanwhile.
                Err(failure) if failure.may_retry && attempt == 0 => self.accepted.fill(false),
                Err(failure) => {
                    // What the other server said tells more than that it fell silent later.
                    self.end = if self.end == End::Refused { End::Refused } else { failure.end };
                    return None;
                }
            }
        }
        None
    }

    fn connect(&self) -> Result<Target, End> {
        let port = self.port.parse::<u16>().unwrap_or(0);
        let addresses = (self.host.as_str(), port).to_socket_addrs().map_err(|_| End::NotConnected)?;
        let end = Instant::now() + self.timeout;
        let mut last = End::NotConnected;
        for address in addresses {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(Target { stream, db: -1, read: Vec::new() });
                }
                // Valkey finds out that nobody listens only when it writes.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => last = End::NotWritten,
                Err(_) => last = End::NotConnected,
            }
        }
        Err(last)
    }

    fn deliver(&mut self, target: &mut Target) -> Result<(), Failure> {
        let selects = target.db != self.db;
        let mut head = self.auth.clone();
        if selects {
            let db = self.db.to_string();
            head.extend_from_slice(format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{db}\r\n", db.len()).as_bytes());
        }
        target.read.clear();
        self.write_all(target, head).map_err(|error| Failure::of(End::NotWritten, &error))?;
        let mut refused = None;
        let mut before = Vec::new();
        for _ in 0..usize::from(!self.auth.is_empty()) + usize::from(selects) {
            let line = target.line(self.timeout).map_err(|error| Failure::of(End::NotRead, &error))?;
            before.push(line);
        }
        if let Some(line) = before.iter().find(|line| line.first() == Some(&b'-')) {
            refused = Some(line.clone());
        }
        for at in 0..self.accepted.len() {
            let line = match target.line(self.timeout) {
                Ok(line) => line,
                Err(error) => {
                    let is_first = at == 0 && self.end != End::Refused;
                    return Err(Failure { end: End::NotRead, may_retry: is_first && !is_timeout(&error) });
                }
            };
            let is_refused = line.first() == Some(&b'-');
            self.accepted[at] = !is_refused && refused.is_none();
            if !self.accepted[at] && self.end != End::Refused {
                target.db = -1;
                self.end = End::Refused;
                let text = refused.as_deref().unwrap_or(&line);
                self.refusal.extend_from_slice(&text[1..]);
            }
        }
        if self.end == End::Done {
            target.db = self.db;
        }
        Ok(())
    }

    /// Sends what goes before, and the requests; what is small in as few pieces as can be.
    fn write_all(&self, target: &mut Target, mut head: Vec<u8>) -> io::Result<()> {
        let first = self.requests.shared.first().map_or(self.requests.bytes.len(), |part| part.at);
        let mut at = first.min(CHUNK_BYTES);
        head.extend_from_slice(&self.requests.bytes[..at]);
        target.write(&head, self.timeout)?;
        for part in &self.requests.shared {
            target.write(&self.requests.bytes[at..part.at], self.timeout)?;
            target.write(&part.bytes, self.timeout)?;
            at = part.at;
        }
        target.write(&self.requests.bytes[at..], self.timeout)
    }
}

impl Target {
    /// Sends bytes, each piece in time.
    fn write(&mut self, bytes: &[u8], timeout: Duration) -> io::Result<()> {
        for chunk in bytes.chunks(CHUNK_BYTES) {
            let (end, mut left) = (Instant::now() + timeout, chunk);
            while !left.is_empty() {
                self.stream.set_write_timeout(Some(remaining(end)?))?;
                match self.stream.write(left) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(count) => left = &left[count..],
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Reads a line, without its end.
    fn line(&mut self, timeout: Duration) -> io::Result<Vec<u8>> {
        let end = Instant::now() + timeout;
        let mut line = Vec::new();
        loop {
            if let Some(at) = self.read.iter().position(|byte| *byte == b'\n') {
                line.extend(self.read.drain(..=at));
                line.pop();
                line.pop_if(|byte| *byte == b'\r');
                line.truncate(LINE_BYTES_MAX);
                // No answer at all: nothing is to be deleted for that.
                return if line.is_empty() { Err(ErrorKind::InvalidData.into()) } else { Ok(line) };
            }
            let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
            line.extend(self.read.drain(..).take(room));
            self.stream.set_read_timeout(Some(remaining(end)?))?;
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.read.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What is left of a time.
fn remaining(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
