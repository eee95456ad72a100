//! A server with faults on purpose, to prove that the rounds and the checker together find them.
//!
//! It keeps a few known keys in one locked table, so without a fault it is right by construction. Each
//! fault is what a server with a thread per core does when a step of its coordination is left out.

use crate::client::Address;
use crate::operations::{Op, State};
use crate::reply::Reply;
use crate::slot::core_of;
use crate::units::How;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// The calls of an EXEC are carried out one after the other, others may come between.
    TornTransactions,
    /// The same with the calls of a script.
    TornScripts,
    /// What was watched is not looked at.
    BlindToWatches,
    /// What was watched is looked at, and a moment later EXEC runs.
    LateTransactions,
}

/// How long others have between two steps of a fault.
const GAP: Duration = Duration::from_micros(20);

struct Shared {
    keys: Vec<String>,
    cores: usize,
    fault: Fault,
    now: Mutex<State>,
    before: Mutex<State>,
    clients: AtomicUsize,
}

/// What the server knows of a connection.
struct Session {
    number: usize,
    /// What MULTI has queued.
    queued: Option<Vec<Op>>,
}

/// Starts the server on a thread of its own, which lasts as long as the process.
pub fn start(keys: &[String], cores: usize, fault: Fault) -> std::io::Result<Address> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let empty = || Mutex::new(State::empty(keys.len()));
    let clients = AtomicUsize::new(0);
    let shared = Arc::new(Shared { keys: keys.to_vec(), cores, fault, now: empty(), before: empty(), clients });
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
        let mut session = Session { number: self.clients.fetch_add(1, Ordering::Relaxed), queued: None };
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
                replies[place] = self.take(&batch[place], &mut session);
            }
            output.write_all(&replies.iter().flat_map(wire).collect::<Vec<u8>>())?;
        }
    }

    fn core(&self, args: &[String]) -> usize {
        args.get(1).map_or(0, |key| core_of(key.as_bytes(), self.cores))
    }

    fn now(&self) -> MutexGuard<'_, State> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request: it is carried out, or queued.
    fn take(&self, args: &[String], session: &mut Session) -> Reply {
        let ok = Reply::Simple(b"OK".to_vec());
        match args[0].as_str() {
            "MULTI" => session.queued = Some(Vec::new()),
            "EXEC" => {
                let ops = session.queued.take().expect("the rounds begin what they end");
                return self.execute(Op::Unit(How::Exec(session.number), ops));
            }
            "FLUSHALL" => {
                let empty = State::empty(self.keys.len());
                self.before.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&empty);
                *self.now() = empty;
            }
            _ => {
                let op = match Op::parse(args, &self.keys).expect("only the operations of the rounds come here") {
                    Op::Watch(_, keys) => Op::Watch(session.number, keys),
                    op => op,
                };
                let Some(queued) = &mut session.queued else { return self.execute(op) };
                queued.push(op);
                return Reply::Simple(b"QUEUED".to_vec());
            }
        }
        ok
    }

    fn execute(&self, op: Op) -> Reply {
        let mut now = self.now();
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if self.fault == Fault::StaleReads && matches!(op, Op::Get(_)) {
            return op.apply(&mut before);
        }
        before.clone_from(&now);
        drop(before);
        if let Op::Unit(How::Exec(client), _) = op {
            match self.fault {
                Fault::BlindToWatches => drop(now.unwatch(client)),
                Fault::LateTransactions => {
                    if now.unwatch(client) {
                        return Reply::NullArray;
                    }
                    drop(now);
                    std::thread::sleep(GAP);
                    return op.apply(&mut self.now());
                }
                Fault::TornTransactions if now.unwatch(client) => return Reply::NullArray,
                _ => {}
            }
        }
        let parts = op.parts(self.fault);
        if parts.is_empty() {
            return op.apply(&mut now);
        }
        drop(now);
        let mut replies = Vec::new();
        for part in parts {
            replies.push(part.apply(&mut self.now()));
            std::thread::sleep(GAP);
        }
        if matches!(op, Op::MSet(_)) { Reply::Simple(b"OK".to_vec()) } else { Reply::Array(replies) }
    }
}

impl Op {
    /// What a server with this fault makes of it, part by part; empty if it leaves it whole.
    fn parts(&self, fault: Fault) -> Vec<Op> {
        match (fault, self) {
            (Fault::NoTransactions, Self::MSet(pairs)) => {
                pairs.iter().map(|(key, value)| Self::Set(*key, value.clone())).collect()
            }
            (Fault::NoTransactions, Self::MGet(keys)) => keys.iter().map(|key| Self::Get(*key)).collect(),
            (Fault::TornTransactions, Self::Unit(How::Exec(_), ops)) => ops.clone(),
            (Fault::TornScripts, Self::Unit(how, ops)) if !matches!(how, How::Exec(_)) => ops.clone(),
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
        Reply::NullArray => b"*-1\r\n".to_vec(),
        _ => b"$-1\r\n".to_vec(),
    }
}
