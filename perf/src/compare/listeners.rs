//! Subscribers beside a load that publishes: one thread that reads whatever comes, as fast as it comes, and counts messages.
//!
//! All messages of a case are equally long, because channels have names of one length and values one size. So bytes are
//! counted, and the thread costs hardly more than the kernel's work. A publisher has its reply before a subscriber has the
//! message; a run is over when every message has arrived.

use crate::client::{Client, Reply, encode};
use crate::error::PerfError;
use crate::servers::{on_cpus, raise_open_files};
use crate::workload::{ValueSize, Workload};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use serde::Deserialize;
use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long no message may come while some are still missing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the thread looks whether it is to end while nothing comes, and how often missing messages are counted.
const LOOKS_EVERY: Duration = Duration::from_millis(20);
const COUNTS_EVERY: Duration = Duration::from_micros(100);

/// Bytes of one read, and connections told of at once.
const READ_BYTES: usize = 128 * 1024;
const EVENTS: usize = 256;

/// SUBSCRIBE commands that are sent before their replies are read.
const SUBSCRIBES_AT_ONCE: usize = 100;

/// Open files besides those of the subscribers.
const FILES_BESIDE: u64 = 1000;

/// How the number of a channel is written into its name.
const NUMBER: &str = "{number}";

/// How every message begins.
const MESSAGE: &[u8] = b"*3\r\n$7\r\nmessage\r\n";

/// Who listens while a case publishes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listeners {
    /// How many connections.
    pub connections: usize,
    /// The name of a channel; `{number}` stands for its number, in twelve digits.
    pub channel: String,
    /// How many channels. They are dealt to the connections in turn; if there are fewer, connections are dealt to them.
    #[serde(default = "one")]
    pub channels: usize,
}

fn one() -> usize {
    1
}

impl Listeners {
    /// Says what is wrong with it or with what is to be published, if anything is.
    pub fn check(&self, workload: &Workload) -> Result<(), String> {
        if self.connections == 0 || self.channels == 0 {
            return Err("listeners without connections or channels".to_owned());
        }
        if self.channels > 1 && !self.channel.contains(NUMBER) {
            return Err(format!("{}: several channels, but no {NUMBER} in their name", self.channel));
        }
        if self.channels < self.connections && !self.connections.is_multiple_of(self.channels) {
            return Err(format!("{}: some channels would have more listeners than others", self.channel));
        }
        if !matches!(workload.value, ValueSize::Fixed(_)) {
            return Err("messages of different sizes cannot be counted".to_owned());
        }
        let publishes = format!("PUBLISH {} {{value}}", self.channel);
        match workload.commands.iter().flat_map(|command| command.commands()).find(|command| *command != publishes) {
            Some(other) => Err(format!("where listeners count messages, only {publishes} can be sent, not {other}")),
            None => Ok(()),
        }
    }

    /// They in words, behind those of a load.
    pub fn describe(&self) -> String {
        let of = if self.channels == 1 { "one channel".to_owned() } else { format!("{} channels", self.channels) };
        format!("; {} connections listen to {of}", self.connections)
    }

    /// How many of them get each message.
    pub fn each_message(&self) -> u64 {
        (self.connections / self.channels).max(1) as u64
    }

    /// The names of the channels of a connection.
    fn channels_of(&self, connection: usize) -> Vec<String> {
        let name = |number: usize| self.channel.replace(NUMBER, &format!("{number:012}"));
        match self.channels < self.connections {
            true => vec![name(connection % self.channels)],
            false => (connection..self.channels).step_by(self.connections).map(name).collect(),
        }
    }

    /// What a subscriber gets of a message.
    fn message(&self, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let channel = self.channel.replace(NUMBER, &format!("{:012}", 0));
        encode(&mut bytes, &[b"message", channel.as_bytes(), value]);
        bytes
    }
}

/// Subscribers at work, until it is dropped.
#[derive(Debug)]
pub struct Listening {
    message_bytes: u64,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicU64,
    over: AtomicBool,
    /// A connection is lost: nothing can be counted any more.
    lost: AtomicBool,
}

impl Listening {
    /// Subscribes to all channels, and begins to count messages with values of so many bytes.
    pub fn begin(
        address: SocketAddr,
        listeners: &Listeners,
        value_bytes: usize,
        cpus: Option<&[usize]>,
    ) -> Result<Self, PerfError> {
        raise_open_files(listeners.connections as u64 + FILES_BESIDE)?;
        let streams = (0..listeners.connections)
            .map(|connection| subscribe(address, &listeners.channels_of(connection)))
            .collect::<Result<Vec<_>, _>>()?;
        let failed = |error: std::io::Error| PerfError::Other(format!("waiting for messages: {error}"));
        let message_bytes = listeners.message(&vec![b'v'; value_bytes]).len() as u64;
        let shared = Arc::new(Shared::default());
        let mut ear = Ear::new(streams, message_bytes, Arc::clone(&shared)).map_err(failed)?;
        let run = move || {
            if ear.listen().is_err() {
                ear.shared.lost.store(true, Ordering::Release);
            }
        };
        // A thread inherits the processors of the one that starts it.
        let thread = on_cpus(cpus, || std::thread::Builder::new().name("listeners".to_owned()).spawn(run))?;
        Ok(Self { message_bytes, shared, thread: Some(thread.map_err(failed)?) })
    }

    /// Messages that have come so far, to all of them together.
    pub fn messages(&self) -> u64 {
        self.shared.bytes.load(Ordering::Acquire) / self.message_bytes
    }

    /// Waits until so many messages have come in all.
    pub fn wait_for(&self, messages: u64) -> Result<(), PerfError> {
        let (mut last, mut since) = (self.messages(), Instant::now());
        while last < messages {
            if self.shared.lost.load(Ordering::Acquire) {
                return Err(PerfError::Other(
                    "a subscriber was cut off, or got something else than its messages".to_owned(),
                ));
            }
            std::thread::sleep(COUNTS_EVERY);
            let now = self.messages();
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                return Err(PerfError::Other(format!("{last} messages came of {messages}")));
            }
        }
        match self.messages() {
            more if more > messages => Err(PerfError::Other(format!("{more} messages came instead of {messages}"))),
            _ => Ok(()),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // What it found is told already.
            let _ = thread.join();
        }
    }
}

fn subscribe(address: SocketAddr, channels: &[String]) -> Result<TcpStream, PerfError> {
    let mut client = Client::connect(address)?;
    for some in channels.chunks(SUBSCRIBES_AT_ONCE) {
        some.iter().for_each(|channel| client.queue(&["SUBSCRIBE", channel]));
        for reply in client.flush()? {
            if !matches!(reply, Reply::Array(_)) {
                return Err(PerfError::Other(format!("SUBSCRIBE gave {reply:?}")));
            }
        }
    }
    Ok(client.into_stream())
}

/// What the thread has.
struct Ear {
    streams: Vec<TcpStream>,
    /// How many bytes of its last message each connection has got.
    parts: Vec<u64>,
    epoll: rustix::fd::OwnedFd,
    message_bytes: u64,
    shared: Arc<Shared>,
}

impl Ear {
    fn new(streams: Vec<TcpStream>, message_bytes: u64, shared: Arc<Shared>) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, stream) in streams.iter().enumerate() {
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, stream, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
        }
        Ok(Self { parts: vec![0; streams.len()], streams, epoll, message_bytes, shared })
    }

    fn listen(&mut self) -> std::io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        let mut bytes = vec![0; READ_BYTES];
        let limit = Timespec { tv_sec: 0, tv_nsec: LOOKS_EVERY.subsec_nanos().into() };
        while !self.shared.over.load(Ordering::Acquire) {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&limit)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut came = 0;
            for event in &events {
                came += self.read(event.data.u64() as usize, &mut bytes)?;
            }
            self.shared.bytes.fetch_add(came, Ordering::Release);
        }
        Ok(())
    }

    /// Reads what there is on a connection, up to as much as fits; how much that was.
    fn read(&mut self, number: usize, bytes: &mut [u8]) -> std::io::Result<u64> {
        let count = match self.streams[number].read(bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(0),
            Err(error) => return Err(error),
        };
        let part = &mut self.parts[number];
        if *part == 0 && !bytes.starts_with(&MESSAGE[..MESSAGE.len().min(count)]) {
            return Err(ErrorKind::InvalidData.into());
        }
        *part = (*part + count as u64) % self.message_bytes;
        Ok(count as u64)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::workload::WeightedCommand;
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    fn listeners(connections: usize, channels: usize) -> Listeners {
        Listeners { connections, channel: "channel:{number}".to_owned(), channels }
    }

    fn publishing(command: &str) -> Workload {
        Workload { commands: vec![WeightedCommand::new(command)], ..Workload::default() }
    }

    #[test]
    fn channels_are_dealt() {
        let few = listeners(6, 2);
        assert_eq!((few.each_message(), few.channels_of(5)), (3, vec!["channel:000000000001".to_owned()]));
        let many = listeners(2, 5);
        assert_eq!(many.each_message(), 1);
        assert_eq!((many.channels_of(0).len(), many.channels_of(1).len()), (3, 2));
        assert_eq!(many.channels_of(1)[1], "channel:000000000003");
    }

    #[test]
    fn nonsense_is_refused() {
        let workload = publishing("PUBLISH channel:{number} {value}");
        listeners(6, 2).check(&workload).unwrap();
        for wrong in [listeners(0, 1), listeners(1, 0), listeners(5, 2)] {
            wrong.check(&workload).unwrap_err();
        }
        let nameless = Listeners { channel: "channel".to_owned(), ..listeners(1, 2) };
        nameless.check(&publishing("PUBLISH channel {value}")).unwrap_err();
        listeners(1, 1).check(&publishing("GET {key}")).unwrap_err();
        let sizes = ValueSize::Uniform { min: 1, max: 2 };
        listeners(1, 1).check(&Workload { value: sizes, ..workload }).unwrap_err();
    }

    /// A server for one subscriber of one channel, who is then sent these bytes in pieces.
    fn serve(listener: &TcpListener, bytes: &[u8], listens: &Receiver<()>) {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(b"*3\r\n$9\r\nsubscribe\r\n$20\r\nchannel:000000000000\r\n:1\r\n").unwrap();
        listens.recv().unwrap();
        for piece in bytes.chunks(50) {
            // Who is done listens no more.
            let _ = stream.write_all(piece);
            std::thread::sleep(Duration::from_millis(1));
        }
        // Until the other side is done.
        let _ = stream.read(&mut [0; 1]);
    }

    fn hear(bytes: Vec<u8>, messages: u64) -> Result<u64, PerfError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (begins, listens) = channel();
        let server = std::thread::spawn(move || serve(&listener, &bytes, &listens));
        let listening = Listening::begin(address, &listeners(1, 1), 7, None).unwrap();
        begins.send(()).unwrap();
        let outcome = listening.wait_for(messages).map(|()| listening.messages());
        drop(listening);
        server.join().unwrap();
        outcome
    }

    #[test]
    fn messages_are_counted_wherever_they_are_cut() {
        let message = listeners(1, 1).message(b"vvvvvvv");
        assert_eq!(hear(message.repeat(9), 9).unwrap(), 9);
        assert!(hear(b"-ERR no\r\n".repeat(30), 1).unwrap_err().to_string().contains("cut off"));
    }
}
