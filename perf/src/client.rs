//! A plain blocking client: what the instrument itself asks a server (INFO, PING), and how `memory` fills one.
//!
//! It is not what load is measured with; that is `load`.

use crate::error::PerfError;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may take to answer anything; a FLUSHALL of many keys may take a while.
const REPLY_LIMIT: Duration = Duration::from_secs(120);

/// How deep arrays may nest before a server counts as mad.
const DEPTH_MAX: usize = 16;

/// A reply as RESP2 gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Status(String),
    /// `-ERR ...`
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$5`, or nothing.
    Bulk(Option<Vec<u8>>),
    /// `*2`, or nothing, which reads as empty.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text of a status or bulk.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Status(text) => Some(text.clone()),
            Self::Bulk(Some(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
    outgoing: Vec<u8>,
    waiting: usize,
}

impl Client {
    /// Connects to a server.
    pub fn connect(address: SocketAddr) -> Result<Self, PerfError> {
        let describe = |error| PerfError::Other(format!("no connection to {address}: {error}"));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).map_err(describe)?;
        stream.set_nodelay(true).map_err(describe)?;
        stream.set_read_timeout(Some(REPLY_LIMIT)).map_err(describe)?;
        stream.set_write_timeout(Some(REPLY_LIMIT)).map_err(describe)?;
        Ok(Self { reader: BufReader::with_capacity(64 * 1024, stream), outgoing: Vec::new(), waiting: 0 })
    }

    /// Sends one command and returns its reply, whatever it is.
    pub fn ask<S: AsRef<[u8]>>(&mut self, words: &[S]) -> Result<Reply, PerfError> {
        self.queue(words);
        let mut replies = self.flush()?;
        replies.pop().ok_or_else(|| PerfError::Other("no reply".to_owned()))
    }

    /// Sends one command; an error reply is an error.
    pub fn command<S: AsRef<[u8]>>(&mut self, words: &[S]) -> Result<Reply, PerfError> {
        match self.ask(words)? {
            Reply::Error(text) => {
                let name = words.first().map(|word| String::from_utf8_lossy(word.as_ref()).into_owned());
                Err(PerfError::Other(format!("{}: {text}", name.unwrap_or_default())))
            }
            reply => Ok(reply),
        }
    }

    /// The whole of INFO, sections that are shown only on request included.
    pub fn info(&mut self) -> Result<crate::servers::Info, PerfError> {
        let reply = self.command(&["INFO", "everything"])?;
        let text = reply.text().ok_or_else(|| PerfError::Other("INFO gave no text".to_owned()))?;
        Ok(crate::servers::Info::parse(&text))
    }

    /// Adds a command to what the next [`Client::flush`] sends.
    pub fn queue<S: AsRef<[u8]>>(&mut self, words: &[S]) {
        encode(&mut self.outgoing, words);
        self.waiting += 1;
    }

    /// Takes back what was queued, as the bytes that would have been sent.
    pub fn take_queued(&mut self) -> Vec<u8> {
        self.waiting = 0;
        std::mem::take(&mut self.outgoing)
    }

    /// Sends what was queued and returns its replies. The replies must be small beside the sockets' buffers: nothing is
    /// read before everything is sent.
    pub fn flush(&mut self) -> Result<Vec<Reply>, PerfError> {
        let lost = |error: std::io::Error| PerfError::Other(format!("connection lost: {error}"));
        self.reader.get_mut().write_all(&self.outgoing).map_err(lost)?;
        self.outgoing.clear();
        let count = std::mem::take(&mut self.waiting);
        (0..count).map(|_| read_reply(&mut self.reader, 0).map_err(lost)).collect()
    }

    /// The socket, for those who want to wait for it.
    pub fn into_stream(self) -> TcpStream {
        self.reader.into_inner()
    }
}

/// Writes a command as the protocol has it.
pub fn encode<S: AsRef<[u8]>>(out: &mut Vec<u8>, words: &[S]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn read_reply(reader: &mut impl Read, depth: usize) -> std::io::Result<Reply> {
    let bad = |text: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, text.to_owned());
    if depth > DEPTH_MAX {
        return Err(bad("a reply nests too deep"));
    }
    let line = read_line(reader)?;
    let text = line.get(1..).unwrap_or_default();
    let number = || text.parse::<i64>().map_err(|_| bad("a reply that is no RESP2"));
    match line.as_bytes().first() {
        Some(b'+') => Ok(Reply::Status(text.to_owned())),
        Some(b'-') => Ok(Reply::Error(text.to_owned())),
        Some(b':') => Ok(Reply::Integer(number()?)),
        Some(b'$') => {
            let Ok(length) = usize::try_from(number()?) else { return Ok(Reply::Bulk(None)) };
            let mut bytes = vec![0; length + 2];
            reader.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(Reply::Bulk(Some(bytes)))
        }
        Some(b'*') => {
            let count = number()?.max(0);
            Ok(Reply::Array((0..count).map(|_| read_reply(reader, depth + 1)).collect::<Result<_, _>>()?))
        }
        _ => Err(bad("a reply that is no RESP2")),
    }
}

fn read_line(reader: &mut impl Read) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        reader.read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => break,
            b'\r' => {}
            other => line.push(other),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn commands_are_encoded() {
        let mut out = Vec::new();
        encode(&mut out, &["SET", "a", ""]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n");
    }

    #[test]
    fn replies_are_read() {
        let mut bytes = &b"*3\r\n:12\r\n$-1\r\n$2\r\nab\r\n-ERR no\r\n+OK\r\n"[..];
        let expected = vec![Reply::Integer(12), Reply::Bulk(None), Reply::Bulk(Some(b"ab".to_vec()))];
        assert_eq!(read_reply(&mut bytes, 0).unwrap(), Reply::Array(expected));
        assert_eq!(read_reply(&mut bytes, 0).unwrap(), Reply::Error("ERR no".to_owned()));
        assert_eq!(read_reply(&mut bytes, 0).unwrap().text().unwrap(), "OK");
        assert!(read_reply(&mut &b"?\r\n"[..], 0).is_err());
        assert!(read_reply(&mut b"*1\r\n".repeat(40).as_slice(), 0).is_err());
    }
}
