//! A client that asks at a fixed rate, whatever the server does, and so feels every stall as long as it was.
//!
//! It never waits for one reply before it sends the next question, and it counts from the moment a question was due
//! (no coordinated omission). The kernel's account of who waited for a processor is read with each question and each
//! reply. What of a latency the probe was late, or probe or server waited for a processor, is no stall that the server
//! made; the rest is **unexplained**, and that is what a table may be blamed for.

use crate::client::{Client, encode};
use crate::error::PerfError;
use crate::report::histogram;
use crate::servers::{WaitClock, longest_wait_ns};
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Keys that are asked for in turn, so that every core of a server is asked.
const KEYS: usize = 256;

/// Stalls that are remembered.
const LONGEST: usize = 10;

/// How long the last replies are waited for.
const LAST_REPLIES_LIMIT: Duration = Duration::from_secs(120);

/// What a probe has felt.
#[derive(Clone, Debug)]
pub struct Felt {
    /// Latencies from when a question was due, in nanoseconds.
    pub latency: Histogram<u64>,
    /// The unexplained part of each.
    pub unexplained: Histogram<u64>,
    /// The stalls with the longest unexplained part, the longest first.
    pub longest: Vec<Stall>,
}

/// A time in which nothing was answered; of the questions that waited in it, the one that waited longest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stall {
    /// When the question was due, since the start of the probe.
    pub at: Duration,
    /// From then to the reply.
    pub latency: Duration,
    /// Of this, how long the probe was late or waited for a processor.
    pub probe_waited: Duration,
    /// Of this, how long the server waited for a processor: of its threads the one that waited longest.
    pub server_waited: Duration,
    /// The rest.
    pub unexplained: Duration,
}

/// Sets the keys that the probe asks for.
pub fn set_keys(address: SocketAddr) -> Result<(), PerfError> {
    let mut client = Client::connect(address)?;
    for number in 0..KEYS {
        client.queue(&["SET", &key(number), "x"]);
    }
    client.flush().map(|_| ())
}

fn key(number: usize) -> String {
    format!("probe:{number}")
}

/// Asks `rate` times a second until it is told to stop. `server` tells how long the server's threads waited.
pub fn run(address: SocketAddr, rate: f64, server: &WaitClock, stop: &AtomicBool) -> Result<Felt, PerfError> {
    wake_precisely();
    let stream = Client::connect(address)?.into_stream();
    let lost = |error: std::io::Error| PerfError::Other(format!("the probe's connection is lost: {error}"));
    stream.set_nonblocking(true).map_err(lost)?;
    let start = Instant::now();
    let mut probe = Probe {
        stream,
        start,
        interval: Duration::from_secs_f64(1.0 / rate),
        outgoing: Vec::new(),
        incoming: Vec::new(),
        waiting: VecDeque::new(),
        sent: 0,
        last_reply: start,
        felt: Felt { latency: histogram(), unexplained: histogram(), longest: Vec::new() },
        server,
        own: WaitClock::of_this_thread()?,
        current: None,
    };
    probe.work(stop).map_err(lost)?;
    probe.close_stall();
    Ok(probe.felt)
}

/// Timers to the microsecond, and before others in the queue for a processor where that is allowed.
fn wake_precisely() {
    // Neither is necessary: without them the probe is a little late, and says so.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1000));
    let _ = rustix::process::nice(-10);
}

struct Question {
    due: Instant,
    late: Duration,
    waits: Waits,
}

/// Who has waited how long for a processor, up to a moment.
#[derive(Clone)]
struct Waits {
    server: Vec<u64>,
    own: Vec<u64>,
}

struct Probe<'a> {
    server: &'a WaitClock,
    own: WaitClock,
    stream: TcpStream,
    start: Instant,
    interval: Duration,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    waiting: VecDeque<Question>,
    sent: u32,
    last_reply: Instant,
    felt: Felt,
    current: Option<Stall>,
}

impl Probe<'_> {
    fn work(&mut self, stop: &AtomicBool) -> std::io::Result<()> {
        let mut give_up = None;
        loop {
            let now = Instant::now();
            let stopping = stop.load(Ordering::Relaxed);
            if stopping {
                let end = *give_up.get_or_insert(now + LAST_REPLIES_LIMIT);
                if self.waiting.is_empty() {
                    return Ok(());
                }
                if now > end {
                    return Err(std::io::Error::new(ErrorKind::TimedOut, "the last replies do not come"));
                }
            } else {
                self.ask_what_is_due(now);
            }
            self.send()?;
            let next = self.start + self.interval * self.sent;
            let pause =
                if stopping { Duration::from_millis(50) } else { next.saturating_duration_since(Instant::now()) };
            if self.wait(pause)? {
                self.receive()?;
            }
        }
    }

    fn waits(&self) -> Waits {
        Waits { server: self.server.read(), own: self.own.read() }
    }

    fn ask_what_is_due(&mut self, now: Instant) {
        let due_of = |probe: &Self| probe.start + probe.interval * probe.sent;
        if due_of(self) > now {
            return;
        }
        let waits = self.waits();
        loop {
            let due = due_of(self);
            if due > now {
                return;
            }
            encode(&mut self.outgoing, &["GET", &key(self.sent as usize % KEYS)]);
            self.waiting.push_back(Question { due, late: now - due, waits: waits.clone() });
            self.sent += 1;
        }
    }

    fn send(&mut self) -> std::io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// True if there is something to read.
    fn wait(&self, pause: Duration) -> std::io::Result<bool> {
        let mut flags = PollFlags::IN;
        if !self.outgoing.is_empty() {
            flags |= PollFlags::OUT;
        }
        let mut sockets = [PollFd::new(&self.stream, flags)];
        let pause =
            Timespec { tv_sec: i64::try_from(pause.as_secs()).unwrap_or(1), tv_nsec: pause.subsec_nanos().into() };
        match poll(&mut sockets, Some(&pause)) {
            Ok(_) => Ok(!sockets[0].revents().difference(PollFlags::OUT).is_empty()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&mut self) -> std::io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.incoming.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let now = Instant::now();
        let waits = self.waits();
        let mut used = 0;
        while let Some(length) = reply_length(&self.incoming[used..]) {
            used += length;
            let Some(question) = self.waiting.pop_front() else {
                return Err(std::io::Error::new(ErrorKind::InvalidData, "a reply that nobody asked for"));
            };
            self.note(&question, now, &waits);
        }
        self.incoming.drain(..used);
        Ok(())
    }

    fn note(&mut self, question: &Question, now: Instant, waits: &Waits) {
        let latency = now.saturating_duration_since(question.due);
        let waited = |from: &[u64], to: &[u64]| Duration::from_nanos(longest_wait_ns(from, to));
        let probe_waited = question.late + waited(&question.waits.own, &waits.own);
        let server_waited = waited(&question.waits.server, &waits.server);
        let unexplained = latency.saturating_sub(probe_waited + server_waited);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // The histograms grow as they need to, so nothing is refused.
        let _ = self.felt.latency.record(nanos(latency));
        let _ = self.felt.unexplained.record(nanos(unexplained));
        // What comes in one burst has waited for one and the same stall.
        let same = now.saturating_duration_since(self.last_reply) < self.interval / 2;
        self.last_reply = now;
        if !same {
            self.close_stall();
        }
        if self.current.is_none_or(|current| unexplained > current.unexplained) {
            let at = question.due - self.start;
            self.current = Some(Stall { at, latency, probe_waited, server_waited, unexplained });
        }
    }

    fn close_stall(&mut self) {
        let Some(stall) = self.current.take() else { return };
        let longest = &mut self.felt.longest;
        if longest.len() == LONGEST && longest.last().is_some_and(|last| last.unexplained >= stall.unexplained) {
            return;
        }
        let place = longest.partition_point(|other| other.unexplained >= stall.unexplained);
        longest.insert(place, stall);
        longest.truncate(LONGEST);
    }
}

/// Length of the first reply if all of it is there: a bulk or nothing, or an error.
fn reply_length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let length: Option<usize> = match bytes.first() {
        Some(b'$') => std::str::from_utf8(&bytes[1..line - 2]).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    let whole = line + length.map_or(0, |length| length + 2);
    (bytes.len() >= whole).then_some(whole)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn replies_are_told_apart() {
        assert_eq!(reply_length(b"$1\r\nx\r\n$-1\r\n"), Some(7));
        assert_eq!(reply_length(b"$-1\r\n"), Some(5));
        assert_eq!(reply_length(b"-ERR no\r\n$1"), Some(9));
        for part in [&b""[..], b"$1", b"$1\r\nx", b"$1\r\nx\r"] {
            assert_eq!(reply_length(part), None);
        }
    }

    /// A server that answers everything at once but sleeps once.
    fn sleepy(listener: &TcpListener, sleep: Duration) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 65536];
        let mut asked = 0;
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            let questions = bytes[..count].iter().filter(|byte| **byte == b'*').count();
            let before = asked;
            asked += questions;
            if before < 50 && asked >= 50 {
                std::thread::sleep(sleep);
            }
            if stream.write_all(&b"$1\r\nx\r\n".repeat(questions)).is_err() {
                return;
            }
        }
    }

    #[test]
    fn a_stall_is_felt_once_and_in_full() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = AtomicBool::new(false);
        let server = WaitClock::of_server(std::process::id()).unwrap();
        let felt = std::thread::scope(|scope| {
            scope.spawn(|| sleepy(&listener, Duration::from_millis(120)));
            let probe = scope.spawn(|| run(address, 500.0, &server, &stop));
            std::thread::sleep(Duration::from_millis(500));
            stop.store(true, Ordering::Relaxed);
            probe.join().unwrap().unwrap()
        });
        // They come by what is unexplained, of which a busy machine explains more for one than for another.
        assert!(felt.longest.is_sorted_by(|one, other| one.unexplained >= other.unexplained), "{:?}", felt.longest);
        let in_full = felt.latency.len() - felt.latency.count_between(0, 115_000_000);
        assert!(felt.longest.len() > 1 && in_full > 0, "{:?}", felt.longest);
        // About sixty questions fell due in the stall, and all of them count.
        let slow = felt.latency.len() - felt.latency.count_between(0, 20_000_000);
        assert!(slow >= 40, "{slow} of {}", felt.latency.len());
    }
}
