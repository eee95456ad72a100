//! Opens connections and greets, one request after the other, before anything is measured.

use super::cluster::Node;
use super::{Plan, Target};
use crate::PerfError;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the server may take for a connection or an answer before the load.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection of the load and the node it leads to.
#[derive(Debug)]
pub(super) struct Line {
    /// The connection, greeted.
    pub stream: TcpStream,
    /// The index of its node.
    pub node: u16,
    /// The node's address.
    pub address: SocketAddr,
}

/// Opens all connections and deals them to the threads, so that each has some to every node.
pub(super) fn deal(target: &Target, nodes: &[Node], plan: &Plan) -> Result<Vec<Vec<Line>>, PerfError> {
    raise_descriptor_limit();
    let mut shares: Vec<Vec<Line>> = (0..plan.threads).map(|_| Vec::new()).collect();
    for index in 0..plan.connections {
        let node = index % nodes.len();
        let address = nodes[node].address;
        let stream = Dialled::new(target, address)?.into_stream()?;
        shares[index / nodes.len() % plan.threads].push(Line { stream, node: node as u16, address });
    }
    Ok(shares)
}

/// Thousands of connections need more descriptors than shells allow by default.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it is refused, connecting says which limit was met.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// A reply as a tree, for the few that are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Any text; numbers of other kinds, too.
    Text(String),
    /// An error.
    Error(String),
    /// An integer.
    Number(i64),
    /// Nothing.
    Null,
    /// An array, a set; a map as keys and values in turn.
    Many(Vec<Value>),
}

impl Value {
    pub(super) fn members(&self) -> Option<&[Self]> {
        match self {
            Self::Many(members) => Some(members),
            _ => None,
        }
    }
}

/// A connection that speaks in turns.
pub(super) struct Dialled {
    reader: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Dialled {
    /// Connects and greets.
    pub(super) fn new(target: &Target, address: SocketAddr) -> Result<Self, PerfError> {
        let connect = || -> io::Result<TcpStream> {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let stream = connect().map_err(|source| PerfError::Connect { address, source })?;
        let mut this = Self { reader: BufReader::new(stream), address };
        this.greet(target)?;
        Ok(this)
    }

    fn greet(&mut self, target: &Target) -> Result<(), PerfError> {
        let (user, password) = (target.user.as_deref(), target.password.as_deref());
        match (target.resp3, password) {
            (true, Some(password)) => self.ask(&["HELLO", "3", "AUTH", user.unwrap_or("default"), password])?,
            (true, None) => self.ask(&["HELLO", "3"])?,
            (false, Some(password)) => match user {
                Some(user) => self.ask(&["AUTH", user, password])?,
                None => self.ask(&["AUTH", password])?,
            },
            (false, None) => Value::Null,
        };
        for command in &target.greeting {
            self.ask(&command.split_whitespace().collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Sends a request and reads its reply.
    pub(super) fn ask(&mut self, words: &[&str]) -> Result<Value, PerfError> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let lost = |error: io::Error| PerfError::Lost { address: self.address, why: error.to_string() };
        self.reader.get_mut().write_all(request.as_bytes()).map_err(lost)?;
        match read_value(&mut self.reader, 0).map_err(lost)? {
            // The password is none of a log's business.
            Value::Error(reply) => {
                Err(PerfError::Refused { address: self.address, request: words[0].to_owned(), reply })
            }
            value => Ok(value),
        }
    }

    fn into_stream(self) -> Result<TcpStream, PerfError> {
        let address = self.address;
        if !self.reader.buffer().is_empty() {
            return Err(PerfError::Protocol { address, why: "bytes that nobody asked for".into() });
        }
        let stream = self.reader.into_inner();
        stream.set_read_timeout(None).map_err(|source| PerfError::Connect { address, source })?;
        Ok(stream)
    }
}

fn read_value(reader: &mut impl BufRead, depth: usize) -> io::Result<Value> {
    let strange = |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("no RESP: {line:?}"));
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() || !line.is_char_boundary(1) || depth > 16 {
        return Err(strange(line));
    }
    let (kind, text) = line.split_at(1);
    let count = || text.parse::<i64>().map_err(|_| strange(line));
    let many = |each: i64, reader: &mut _| -> io::Result<Value> {
        let count = count()?;
        if count < 0 {
            return Ok(Value::Null);
        }
        (0..count * each).map(|_| read_value(reader, depth + 1)).collect::<io::Result<_>>().map(Value::Many)
    };
    match kind {
        "-" => Ok(Value::Error(text.to_owned())),
        ":" => count().map(Value::Number),
        "+" | "," | "#" | "(" => Ok(Value::Text(text.to_owned())),
        "_" => Ok(Value::Null),
        "$" | "=" => {
            let Ok(length) = usize::try_from(count()?) else { return Ok(Value::Null) };
            let mut body = Vec::new();
            reader.take(length as u64 + 2).read_to_end(&mut body)?;
            if body.len() < length + 2 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            body.truncate(length);
            Ok(Value::Text(String::from_utf8_lossy(&body).into_owned()))
        }
        "*" | "~" => many(1, reader),
        "%" => many(2, reader),
        _ => Err(strange(line)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn replies_become_trees() {
        let mut bytes: &[u8] = b"*3\r\n:7\r\n%1\r\n+a\r\n$3\r\nb\r\n\r\n*-1\r\n";
        let inner = Value::Many(vec![Value::Text("a".into()), Value::Text("b\r\n".into())]);
        let expected = Value::Many(vec![Value::Number(7), inner, Value::Null]);
        assert_eq!(read_value(&mut bytes, 0).unwrap(), expected);
        assert!(read_value(&mut bytes, 0).is_err());
        assert!(read_value(&mut b"hello\r\n".as_slice(), 0).is_err());
        assert!(read_value(&mut b"$9\r\nhello".as_slice(), 0).is_err());
        assert!(read_value(&mut "*1\r\n".repeat(99).as_bytes(), 0).is_err());
    }
}
