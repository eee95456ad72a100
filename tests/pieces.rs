//! Requests cut at random places: whatever pieces the network makes of a pipeline, every request is executed once, in
//! order, and answered in order. A model of each connection says what every byte of the replies must be.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::Server;
use ringkey_tests::client::{PATIENCE, encoded};
use ringkey_tests::reply::escaped;
use ringkey_tests::rng::Rng;
use ringkey_tests::server::Setup;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Rounds of each connection; more with `RINGKEY_ROUNDS`.
fn rounds() -> usize {
    std::env::var("RINGKEY_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Replies {
    On,
    Off,
    SkipNext,
}

/// What one connection has done to its own keys, and what it must hear.
struct Model {
    name: String,
    db: usize,
    keys: HashMap<(usize, Vec<u8>), Vec<u8>>,
    replies: Replies,
    expected: Vec<u8>,
    /// Where the reply of each request of the round ends, and the request.
    history: Vec<(usize, String)>,
}

impl Model {
    fn answer(&mut self, bytes: &[u8]) {
        match self.replies {
            Replies::On => self.expected.extend_from_slice(bytes),
            Replies::Off => {}
            Replies::SkipNext => self.replies = Replies::On,
        }
    }

    fn get(&self, key: &[u8]) -> Option<&Vec<u8>> {
        self.keys.get(&(self.db, key.to_vec()))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.keys.insert((self.db, key.to_vec()), value.to_vec());
    }

    /// Executes a request as the server must, and notes its reply.
    fn execute(&mut self, words: &[Vec<u8>]) {
        let reply = match (words[0].as_slice(), &words[1..]) {
            (b"PING", []) => b"+PONG\r\n".to_vec(),
            (b"PING" | b"ECHO", [text]) => bulk(Some(text)),
            (b"GET", [key]) => bulk(self.get(key)),
            (b"GET", _) => b"-ERR wrong number of arguments for 'get' command\r\n".to_vec(),
            (b"SET", [key, value]) => {
                self.put(key, value);
                b"+OK\r\n".to_vec()
            }
            (b"SET", [key, value, _get]) => {
                let old = bulk(self.get(key));
                self.put(key, value);
                old
            }
            (b"APPEND", [key, more]) => {
                let value = [self.get(key).map_or(&[][..], Vec::as_slice), more].concat();
                self.put(key, &value);
                integer(value.len())
            }
            (b"STRLEN", [key]) => integer(self.get(key).map_or(0, Vec::len)),
            (b"INCR", [key]) => self.increment(key),
            (b"DEL" | b"UNLINK", keys) => {
                integer(keys.iter().filter(|key| self.keys.remove(&(self.db, key.to_vec())).is_some()).count())
            }
            (b"EXISTS", keys) => integer(keys.iter().filter(|key| self.get(key).is_some()).count()),
            (b"MGET", keys) => {
                let values: Vec<u8> = keys.iter().flat_map(|key| bulk(self.get(key))).collect();
                [format!("*{}\r\n", keys.len()).into_bytes(), values].concat()
            }
            (b"MSET", pairs) if pairs.len() % 2 == 0 => {
                pairs.chunks(2).for_each(|pair| self.put(&pair[0], &pair[1]));
                b"+OK\r\n".to_vec()
            }
            (b"MSET", _) => b"-ERR wrong number of arguments for 'mset' command\r\n".to_vec(),
            (b"RENAME", [from, to]) => match self.keys.remove(&(self.db, from.clone())) {
                Some(value) => {
                    self.put(to, &value);
                    b"+OK\r\n".to_vec()
                }
                None => b"-ERR no such key\r\n".to_vec(),
            },
            (b"SELECT", [index]) => match std::str::from_utf8(index).unwrap().parse::<usize>().unwrap() {
                index @ 0..16 => {
                    self.db = index;
                    b"+OK\r\n".to_vec()
                }
                _ => b"-ERR DB index is out of range\r\n".to_vec(),
            },
            (b"CLIENT", [_reply, mode]) => return self.set_replies(mode),
            (b"NOSUCH", []) => b"-ERR unknown command 'NOSUCH', with args beginning with: \r\n".to_vec(),
            _ => panic!("the model does not know {:?}", escaped(&words[0])),
        };
        self.answer(&reply);
    }

    fn increment(&mut self, key: &[u8]) -> Vec<u8> {
        let old = self.get(key).map_or(Some(0), |text| {
            let number = std::str::from_utf8(text).ok()?.parse::<i64>().ok()?;
            (number.to_string().as_bytes() == text.as_slice()).then_some(number)
        });
        let Some(new) = old.map(|old| old + 1) else {
            return b"-ERR value is not an integer or out of range\r\n".to_vec();
        };
        self.put(key, new.to_string().as_bytes());
        format!(":{new}\r\n").into_bytes()
    }

    fn set_replies(&mut self, mode: &[u8]) {
        match mode {
            b"ON" => {
                self.replies = Replies::On;
                self.answer(b"+OK\r\n");
            }
            b"OFF" => self.replies = Replies::Off,
            _ if self.replies != Replies::Off => self.replies = Replies::SkipNext,
            _ => {}
        }
    }

    fn key(&self, rng: &mut Rng) -> Vec<u8> {
        // A few keys on one core, many on all.
        let number = rng.below(24);
        if rng.chance(30) { format!("{{{}}}:{number}", self.name) } else { format!("{}:{number}", self.name) }
            .into_bytes()
    }

    fn request(&self, rng: &mut Rng, large: bool) -> Vec<Vec<u8>> {
        let word = |text: &str| text.as_bytes().to_vec();
        let (key, value) = (self.key(rng), value(rng, large));
        match rng.below(100) {
            0..4 => vec![word("PING")],
            4..8 => vec![one_of(rng, &["PING", "ECHO"]), value],
            8..30 => vec![word("GET"), key],
            30..52 => vec![word("SET"), key, value],
            52..55 => vec![word("SET"), key, value, word("GET")],
            // Bounded: values would grow for ever.
            55..58 if self.get(&key).is_none_or(|old| old.len() < 300_000) => vec![word("APPEND"), key, value],
            55..58 => vec![word("STRLEN"), key],
            58..64 => vec![word("INCR"), key],
            64..70 => {
                let mut words = vec![one_of(rng, &["DEL", "UNLINK", "EXISTS"])];
                words.extend((0..=rng.below(6)).map(|_| self.key(rng)));
                words
            }
            70..76 => {
                let mut words = vec![word("MGET")];
                words.extend((0..=rng.below(6)).map(|_| self.key(rng)));
                words
            }
            76..82 => {
                let mut words = vec![word("MSET"), key, value];
                for _ in 0..rng.below(4) {
                    words.extend([self.key(rng), self::value(rng, large)]);
                }
                words
            }
            82..86 => vec![word("RENAME"), key, self.key(rng)],
            86..90 => vec![word("SELECT"), one_of(rng, &["0", "1", "2", "99"])],
            90..95 => vec![word("CLIENT"), word("REPLY"), one_of(rng, &["ON", "ON", "OFF", "SKIP", "SKIP"])],
            95..97 => vec![word("GET"), key, value],
            97..98 => vec![word("MSET"), key],
            _ => vec![word("NOSUCH")],
        }
    }
}

fn bulk(value: Option<&Vec<u8>>) -> Vec<u8> {
    match value {
        Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
        None => b"$-1\r\n".to_vec(),
    }
}

fn one_of(rng: &mut Rng, texts: &[&str]) -> Vec<u8> {
    texts[rng.below(texts.len())].as_bytes().to_vec()
}

fn integer(number: usize) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

fn value(rng: &mut Rng, large: bool) -> Vec<u8> {
    let length = match rng.below(100) {
        0..25 => return rng.below(1000).to_string().into_bytes(),
        25..80 => rng.below(40),
        80..90 => rng.below(3_000),
        90..93 if large => 32 * 1024 - 3 + rng.below(6),
        93..97 if large => 30_000 + rng.below(60_000),
        97..100 if large => 100_000 + rng.below(400_000),
        _ => 16 * 1024 - 2 + rng.below(4),
    };
    let first = rng.next_u64();
    (0..length as u64).map(|at| (first.wrapping_add(at.wrapping_mul(0x9E37_79B9)) >> 7) as u8).collect()
}

/// The bytes of a request: as a multibulk, or as a line with quotes.
fn written(words: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let is_small = words.iter().map(Vec::len).sum::<usize>() < 10_000;
    if !is_small || rng.chance(80) {
        return encoded(words);
    }
    let mut line = Vec::new();
    for word in words {
        line.resize(line.len() + 1 + rng.below(2), b' ');
        let is_plain = !word.is_empty() && word.iter().all(u8::is_ascii_alphanumeric);
        if is_plain && rng.chance(70) {
            line.extend_from_slice(word);
        } else {
            line.extend_from_slice(format!("\"{}\"", escaped(word)).as_bytes());
        }
    }
    if line.get(1) == Some(&b'*') {
        line.insert(0, b' ');
    }
    line.extend_from_slice(&one_of(rng, &["\r\n", "\n"]));
    line
}

fn shown(word: &[u8]) -> String {
    let more = if word.len() > 30 { format!("... ({} bytes) ", word.len()) } else { " ".to_owned() };
    escaped(&word[..word.len().min(30)]) + &more
}

/// Sends `bytes` in pieces.
fn send_cut(stream: &mut TcpStream, bytes: &[u8], rng: &mut Rng) {
    let mut at = 0;
    let typical = *rng.pick(&[1, 7, 40, 500, 9_000, 70_000, 1 << 20]);
    // No more than some hundred pieces a round.
    let typical = typical.max(bytes.len() / 200);
    while at < bytes.len() {
        let end = bytes.len().min(at + 1 + rng.below(2 * typical));
        stream.write_all(&bytes[at..end]).unwrap();
        at = end;
        match rng.below(10) {
            0 => std::thread::sleep(Duration::from_micros(300)),
            1..4 => std::thread::yield_now(),
            _ => {}
        }
    }
}

fn converse(server: &Server, name: String, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut stream = TcpStream::connect(server.tcp_address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut model =
        Model { name, db: 0, keys: HashMap::new(), replies: Replies::On, expected: Vec::new(), history: Vec::new() };
    for round in 0..rounds() {
        let mut bytes = Vec::new();
        let most = *rng.pick(&[1, 3, 20, 20, 300]);
        let large = most <= 20 && rng.chance(40);
        for _ in 0..=rng.below(most) {
            // An empty request is no request.
            if rng.chance(5) && model.replies != Replies::SkipNext {
                bytes.extend_from_slice(&one_of(&mut rng, &["\r\n", "*0\r\n", "*-1\r\n", "\n"]));
            }
            let words = model.request(&mut rng, large);
            bytes.extend_from_slice(&written(&words, &mut rng));
            model.execute(&words);
            model.history.push((model.expected.len(), words.iter().map(|word| shown(word)).collect()));
        }
        send_cut(&mut stream, &bytes, &mut rng);
        let mut got = vec![0; model.expected.len()];
        let result = stream.read_exact(&mut got);
        let differs = got.iter().zip(&model.expected).position(|(got, expected)| got != expected);
        if result.is_err() || differs.is_some() {
            let from = differs.unwrap_or(0).saturating_sub(60);
            let part = |bytes: &[u8]| escaped(&bytes[from..bytes.len().min(from + 200)]);
            let at = model.history.partition_point(|(end, _)| *end <= differs.unwrap_or(0));
            panic!(
                "{} (seed {seed}), round {round}: {result:?}, at byte {differs:?} of {}: {:#?}\n got {}\n not {}",
                model.name,
                got.len(),
                &model.history[at.saturating_sub(12)..model.history.len().min(at + 3)],
                part(&got),
                part(&model.expected)
            );
        }
        model.expected.clear();
        model.history.clear();
    }
}

fn converse_with(cores: usize, connections: u64) {
    let server = Setup::new().cores(cores).start();
    let seed = std::env::var("RINGKEY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7_000);
    std::thread::scope(|scope| {
        for index in 0..connections {
            let server = &server;
            scope.spawn(move || converse(server, format!("c{index}"), seed + index));
        }
    });
    server.assert_alive();
}

#[test]
fn pieces_of_pipelines_on_one_core() {
    converse_with(1, 4);
}

#[test]
fn pieces_of_pipelines_on_four_cores() {
    converse_with(4, 8);
}
