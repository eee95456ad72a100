//! Pairs of clients that hand an element to each other: one pushes to a list on which the other one waits, which pushes
//! to a second list on which the first one waits by then.
//!
//! The clients of a pair connect one after the other, so a server that deals connections to its cores in turn has them on
//! different ones. Nobody ever has more than one element under way, so this measures the hand-over and not the lists.

use crate::client::{Client, encode};
use crate::error::PerfError;
use crate::report::histogram;
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long nothing may be handed over.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Elements that came to the one who waited.
    pub handed_over: u64,
    /// How long all went on.
    pub elapsed: Duration,
    /// From the sending of an element until the other client has it, in nanoseconds.
    pub latency: Histogram<u64>,
}

/// One of a pair.
struct Side {
    stream: TcpStream,
    incoming: Vec<u8>,
    /// Pushes to the other one's list, and waits at the own.
    turn: Vec<u8>,
    /// When it pushed last.
    pushed_at: Instant,
}

impl Side {
    fn new(address: SocketAddr, own: &str, other: &str) -> Result<Self, PerfError> {
        let mut client = Client::connect(address)?;
        // A pair of an earlier run may have left an element.
        client.command(&["DEL", own])?;
        let mut turn = Vec::new();
        encode(&mut turn, &["LPUSH", other, "element"]);
        encode(&mut turn, &["BLPOP", own, "0"]);
        Ok(Self { stream: client.into_stream(), incoming: Vec::new(), turn, pushed_at: Instant::now() })
    }

    fn push(&mut self) -> Result<(), PerfError> {
        self.pushed_at = Instant::now();
        self.stream.write_all(&self.turn).map_err(lost)
    }

    /// Reads what there is; true if an element was among it.
    fn receive(&mut self) -> Result<bool, PerfError> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Err(lost(ErrorKind::UnexpectedEof.into())),
            Ok(count) => self.incoming.extend_from_slice(&bytes[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(false),
            Err(error) => return Err(lost(error)),
        }
        if self.incoming.starts_with(b"-") || self.incoming.windows(3).any(|three| three == b"\n-E") {
            let text = String::from_utf8_lossy(&self.incoming).trim().to_owned();
            return Err(PerfError::Other(format!("a hand-over failed: {text}")));
        }
        let whole = self.incoming.ends_with(b"\r\nelement\r\n");
        if whole {
            self.incoming.clear();
        }
        Ok(whole)
    }
}

fn lost(error: std::io::Error) -> PerfError {
    PerfError::Other(format!("the connection of a pair is lost: {error}"))
}

/// Lets so many pairs hand over for so long.
pub fn run(address: SocketAddr, pairs: usize, duration: Duration) -> Result<Found, PerfError> {
    let mut sides = Vec::with_capacity(pairs * 2);
    for pair in 0..pairs {
        let (ping, pong) = (format!("hand-over:{pair}:ping"), format!("hand-over:{pair}:pong"));
        sides.push(Side::new(address, &pong, &ping)?);
        sides.push(Side::new(address, &ping, &pong)?);
    }
    for second in sides.iter_mut().skip(1).step_by(2) {
        // It waits first.
        let waits = second.turn.windows(2).rposition(|two| two == b"*3").unwrap_or(0);
        let turn = second.turn[waits..].to_vec();
        second.stream.write_all(&turn).map_err(lost)?;
    }
    for side in &sides {
        side.stream.set_nonblocking(true).map_err(lost)?;
    }
    let start = Instant::now();
    let mut found = Found { handed_over: 0, elapsed: Duration::ZERO, latency: histogram() };
    for first in sides.iter_mut().step_by(2) {
        first.push()?;
    }
    while start.elapsed() < duration {
        for at in readable(&sides)? {
            if !sides[at].receive()? {
                continue;
            }
            let latency = sides[at ^ 1].pushed_at.elapsed();
            // The histogram grows as it needs to, so nothing is refused.
            let _ = found.latency.record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
            found.handed_over += 1;
            sides[at].push()?;
        }
    }
    found.elapsed = start.elapsed();
    Ok(found)
}

/// Those that have something to read.
fn readable(sides: &[Side]) -> Result<Vec<usize>, PerfError> {
    let mut sockets: Vec<PollFd<'_>> = sides.iter().map(|side| PollFd::new(&side.stream, PollFlags::IN)).collect();
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    match poll(&mut sockets, Some(&patience)) {
        Ok(0) => Err(PerfError::Other(format!("nothing was handed over for {PATIENCE:?}"))),
        Ok(_) => Ok((0..sides.len()).filter(|at| !sockets[*at].revents().is_empty()).collect()),
        Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
        Err(error) => Err(lost(error.into())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    /// A server for one pair: what one pushes, the other one gets; the reply of a pop tells the name of its list.
    fn serve(listener: &TcpListener, reply: &[u8]) {
        let mut clients = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            clients.push((stream.try_clone().unwrap(), stream));
            // The DEL of each comes before the other one connects.
            let (reader, writer) = clients.last_mut().unwrap();
            assert!(reader.read(&mut [0; 4096]).unwrap() > 0);
            writer.write_all(b":0\r\n").unwrap();
        }
        let [(mut first_in, mut first_out), (mut second_in, mut second_out)] = <[_; 2]>::try_from(clients).unwrap();
        let relay = |from: &mut TcpStream, back: &mut TcpStream, to: &mut TcpStream| {
            let mut bytes = [0; 4096];
            let count = from.read(&mut bytes).unwrap_or(0);
            let pushes = bytes[..count].windows(5).filter(|word| word == b"LPUSH").count();
            for _ in 0..pushes {
                let _ = back.write_all(b":1\r\n").and_then(|()| to.write_all(reply));
            }
            count > 0
        };
        // The second one's wait, then they take turns.
        assert!(relay(&mut second_in, &mut second_out.try_clone().unwrap(), &mut first_out.try_clone().unwrap()));
        while relay(&mut first_in, &mut first_out.try_clone().unwrap(), &mut second_out)
            && relay(&mut second_in, &mut second_out.try_clone().unwrap(), &mut first_out)
        {}
    }

    fn hand_over(reply: &'static [u8]) -> Result<Found, PerfError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || serve(&listener, reply));
        let found = run(address, 1, Duration::from_millis(50));
        server.join().unwrap();
        found
    }

    #[test]
    fn what_is_pushed_comes_to_the_other_one() {
        let found = hand_over(b"*2\r\n$4\r\nlist\r\n$7\r\nelement\r\n").unwrap();
        assert!(found.handed_over > 1 && found.latency.len() == found.handed_over, "{found:?}");
        assert!(hand_over(b"-ERR no\r\n").unwrap_err().to_string().contains("ERR no"));
    }
}
