//! A server with faults on purpose, to prove that the rounds and the checker together find them.
//!
//! It keeps a few known keys in one locked table, so without a fault it is right by construction. Each
//! fault is what a server with a thread per core does when a step of its coordination is left out.

use crate::client::Address;
use crate::linear::{Op, State};
use crate::reply::Reply;
use crate::slot::core_of;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Commands over several keys take them one after the other, others may come between.
    NoTransactions,
    /// The commands of a pipeline run core by core; replies are in order all the same.
    NoProgramOrder,
    /// Reads are answered from what was there a moment ago.
    StaleReads,
}

struct Shared {
    keys: Vec<String>,
    cores: usize,
    fault: Fault,
    now: Mutex<State>,
    before: Mutex<State>,
}

/// Starts the server on a thread of its own, which lasts as long as the process.
pub fn start(keys: &[String], cores: usize, fault: Fault) -> std::io::Result<Address> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let empty = || Mutex::new(vec![None; keys.len()]);
    let shared = Arc::new(Shared { keys: keys.to_vec(), cores, fault, now: empty(), before: empty() });
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.serve(stream));
        }
    });
    Ok(Address::Tcp(address))
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut output = stream.try_clone()?;
        let mut input = BufReader::new(stream);
        loop {
            let mut batch = vec![request(&mut input)?];
            while !input.buffer().is_empty() {
                batch.push(request(&mut input)?);
            }
            let mut order: Vec<usize> = (0..batch.len()).collect();
            if self.fault == Fault::NoProgramOrder {
                order.sort_by_key(|place| std::cmp::Reverse(self.core(&batch[*place])));
            }
            let mut replies = vec![Reply::Null; batch.len()];
            for place in order {
                replies[place] = self.execute(&batch[place]);
            }
            output.write_all(&replies.iter().flat_map(wire).collect::<Vec<u8>>())?;
        }
    }

    fn core(&self, args: &[String]) -> usize {
        args.get(1).map_or(0, |key| core_of(key.as_bytes(), self.cores))
    }

    fn execute(&self, args: &[String]) -> Reply {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if args[0] == "FLUSHALL" {
            now.fill(None);
            before.fill(None);
            return Reply::Simple(b"OK".to_vec());
        }
        let op = Op::parse(args, &self.keys).expect("only the operations of the rounds come here");
        if self.fault == Fault::StaleReads && matches!(op, Op::Get(_)) {
            return op.apply(&mut before);
        }
        before.clone_from(&now);
        let parts = if self.fault == Fault::NoTransactions { op.parts() } else { Vec::new() };
        if parts.is_empty() {
            return op.apply(&mut now);
        }
        drop((now, before));
        let mut replies = Vec::new();
        for part in parts {
            replies.push(part.apply(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner)));
            std::thread::sleep(Duration::from_micros(20));
        }
        if matches!(op, Op::MGet(_)) { Reply::Array(replies) } else { Reply::Simple(b"OK".to_vec()) }
    }
}

impl Op {
    /// The single-key commands that a careless server makes of it; empty if it leaves it whole.
    fn parts(&self) -> Vec<Op> {
        match self {
            Self::MSet(pairs) => pairs.iter().map(|(key, value)| Self::Set(*key, value.clone())).collect(),
            Self::MGet(keys) => keys.iter().map(|key| Self::Get(*key)).collect(),
            _ => Vec::new(),
        }
    }
}

fn request(input: &mut impl BufRead) -> std::io::Result<Vec<String>> {
    let count = header(input)?;
    let mut args = Vec::with_capacity(count);
    for _ in 0..count {
        let mut bytes = vec![0; header(input)? + 2];
        input.read_exact(&mut bytes)?;
        bytes.truncate(bytes.len() - 2);
        args.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(args)
}

fn header(input: &mut impl BufRead) -> std::io::Result<usize> {
    let mut line = String::new();
    input.take(64).read_line(&mut line)?;
    let digits = line.trim_end().get(1..).and_then(|digits| digits.parse().ok());
    digits.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

fn wire(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Simple(text) => [b"+", text.as_slice(), b"\r\n"].concat(),
        Reply::Error(text) => [b"-", text.as_slice(), b"\r\n"].concat(),
        Reply::Integer(number) => format!(":{number}\r\n").into_bytes(),
        Reply::Bulk(bytes) => [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
        Reply::Array(elements) => {
            let mut bytes = format!("*{}\r\n", elements.len()).into_bytes();
            elements.iter().for_each(|element| bytes.extend(wire(element)));
            bytes
        }
        _ => b"$-1\r\n".to_vec(),
    }
}
