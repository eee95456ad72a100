//! Random commands on strings and keys, batch by batch, and the digest of all data at the end of each round.

use crate::Pair;
use ringkey_tests::client::encoded;
use ringkey_tests::reply::escaped;
use ringkey_tests::rng::Rng;
use ringkey_tests::{Client, Reply};
use std::time::{Duration, Instant};

const KEYS: &[&str] = &["a", "b", "c", "d", "{t}1", "{t}2", "", "e\r\n"];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "7",
    "10",
    "007",
    "+5",
    " 1",
    "1 ",
    "1.5",
    "-0.25",
    "1e3",
    "3.0e-2",
    "inf",
    "nan",
    "0x10",
    "abc",
    "ohmytext",
    "mynewtext",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "4294967296",
    "\0\u{7f}",
    "forty-four bytes of text, which is a limit..",
    "forty-five bytes of text, which is over it...",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "-3",
    "5",
    "10",
    "100",
    "-100",
    "1000",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "",
    "x",
    "1.5",
    "+1",
    "01",
    " 1",
];

const FLOATS: &[&str] = &[
    "0", "1", "0.1", "-0.1", "1.5", "1e10", "1e-5", "3.14159", "100.50", "inf", "-inf", "nan", "", "x", "1e400", " 1",
];

/// Times of expiry that no run ever comes near, and some that are long past or refused.
const TIMES: &[&str] =
    &["33177117420", "33177117421", "4000000000", "1", "0", "-1", "x", "9223372036854775807", "99999999999999"];

const OPTIONS: &[&str] =
    &["NX", "XX", "GET", "KEEPTTL", "EX", "PX", "EXAT", "PXAT", "IFEQ", "PERSIST", "GT", "LT", "nx", "FOO"];

struct Maker {
    rng: Rng,
}

impl Maker {
    fn word(&mut self, words: &[&str]) -> String {
        words[self.rng.below(words.len())].to_owned()
    }

    fn key(&mut self) -> String {
        self.word(KEYS)
    }

    fn value(&mut self) -> String {
        if self.rng.chance(5) { "long".repeat(self.rng.below(300)) } else { self.word(VALUES) }
    }

    /// Up to two options, with whatever might follow them.
    fn options(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        for _ in 0..self.rng.below(3) {
            let option = self.word(OPTIONS);
            match option.as_str() {
                // Relative times are refused here or far away; a reply never depends on the clock.
                "EX" | "PX" => words.extend([option, self.word(&["0", "-1", "x", "9223372036854775807"])]),
                "EXAT" => words.extend([option, self.word(TIMES)]),
                "PXAT" => words.extend([option, self.word(&["33177117420123", "1", "-1", "x"])]),
                "IFEQ" => {
                    let value = self.value();
                    words.extend([option, value]);
                }
                _ => words.push(option),
            }
        }
        words
    }

    fn pairs(&mut self) -> Vec<String> {
        (0..1 + self.rng.below(4)).flat_map(|_| [self.key(), self.value()]).collect()
    }

    fn several(&mut self) -> Vec<String> {
        (0..1 + self.rng.below(4)).map(|_| self.key()).collect()
    }

    fn command(&mut self) -> Vec<String> {
        let name = self.word(&[
            "SET",
            "SET",
            "SET",
            "GET",
            "GET",
            "GETSET",
            "GETDEL",
            "GETEX",
            "SETNX",
            "SETEX",
            "PSETEX",
            "APPEND",
            "STRLEN",
            "GETRANGE",
            "SUBSTR",
            "SETRANGE",
            "INCR",
            "DECR",
            "INCRBY",
            "DECRBY",
            "INCRBYFLOAT",
            "MSET",
            "MGET",
            "MSETNX",
            "MSETEX",
            "LCS",
            "DELIFEQ",
            "DEL",
            "UNLINK",
            "EXISTS",
            "TOUCH",
            "TYPE",
            "RENAME",
            "RENAMENX",
            "COPY",
            "MOVE",
            "EXPIREAT",
            "PEXPIREAT",
            "EXPIRE",
            "EXPIRETIME",
            "PEXPIRETIME",
            "PERSIST",
            "DBSIZE",
            "OBJECT",
            "SELECT",
            "SWAPDB",
            "ECHO",
            "PING",
            "COMMAND",
            "DEBUG",
        ]);
        let mut args: Vec<String> = match name.as_str() {
            "SET" => vec![self.key(), self.value()],
            "GETEX" => vec![self.key()],
            "GET" | "GETDEL" | "STRLEN" | "INCR" | "DECR" | "TYPE" | "EXPIRETIME" | "PEXPIRETIME" | "PERSIST" => {
                vec![self.key()]
            }
            "GETSET" | "SETNX" | "APPEND" | "DELIFEQ" => vec![self.key(), self.value()],
            "SETEX" | "PSETEX" => vec![self.key(), self.word(&["0", "-1", "x", "9223372036854775807"]), self.value()],
            "GETRANGE" | "SUBSTR" => vec![self.key(), self.word(NUMBERS), self.word(NUMBERS)],
            "SETRANGE" => vec![self.key(), self.word(&["0", "1", "5", "100", "-1", "x", "536870912"]), self.value()],
            "INCRBY" | "DECRBY" => vec![self.key(), self.word(NUMBERS)],
            "INCRBYFLOAT" => vec![self.key(), self.word(FLOATS)],
            "MSET" | "MSETNX" => self.pairs(),
            "MSETEX" => {
                let mut pairs = self.pairs();
                pairs.insert(0, if self.rng.chance(90) { (pairs.len() / 2).to_string() } else { self.word(NUMBERS) });
                pairs
            }
            "MGET" | "DEL" | "UNLINK" | "EXISTS" | "TOUCH" => self.several(),
            "LCS" => vec![self.key(), self.key(), self.word(&["LEN", "IDX", "IDX", "FOO"])],
            "RENAME" | "RENAMENX" => vec![self.key(), self.key()],
            "COPY" => vec![self.key(), self.key(), self.word(&["REPLACE", "REPLACE", "FOO"])],
            "MOVE" => vec![self.key(), self.word(&["0", "1", "2", "99", "x"])],
            "EXPIREAT" => vec![self.key(), self.word(TIMES)],
            "PEXPIREAT" => vec![self.key(), self.word(&["33177117420123", "33177117420124", "1", "x"])],
            "EXPIRE" => vec![self.key(), self.word(&["0", "-1", "x", "9223372036854775807"])],
            "OBJECT" => vec!["ENCODING".to_owned(), self.key()],
            "SELECT" => vec![self.word(&["0", "0", "1", "2", "99", "x"])],
            "SWAPDB" => vec![self.word(&["0", "1"]), self.word(&["1", "2", "x"])],
            "ECHO" => vec![self.value()],
            "COMMAND" => [vec!["GETKEYS".to_owned()], vec!["MSET".to_owned()], self.pairs()].concat(),
            "DEBUG" => [vec!["DIGEST-VALUE".to_owned()], self.several()].concat(),
            _ => Vec::new(),
        };
        if matches!(name.as_str(), "SET" | "GETEX" | "MSETEX" | "EXPIREAT" | "PEXPIREAT" | "EXPIRE") {
            args.extend(self.options());
        }
        // Now and then one argument too few or too many.
        if self.rng.chance(2) {
            args.pop();
        } else if self.rng.chance(2) {
            args.push(self.value());
        }
        args.insert(0, if self.rng.chance(5) { name.to_lowercase() } else { name });
        args
    }
}

fn exchange(client: &mut Client, batch: &[Vec<String>]) -> Vec<Reply> {
    let bytes: Vec<u8> = batch.iter().flat_map(|args| encoded(args)).collect();
    client.send(&bytes).unwrap();
    batch.iter().map(|_| client.read_reply().unwrap()).collect()
}

/// Compares for so long, and returns how many commands were compared.
pub fn compare(pair: &Pair, seed: u64, time: Duration) -> u64 {
    let mut maker = Maker { rng: Rng::new(seed) };
    let end = Instant::now() + time;
    let mut compared = 0_u64;
    while Instant::now() < end {
        let mut clients = pair.clients();
        clients.iter_mut().for_each(|client| assert_eq!(client.run("FLUSHALL").lines(), ["+OK"]));
        if maker.rng.chance(50) {
            clients.iter_mut().for_each(|client| drop(client.run("HELLO 3")));
        }
        let mut before: Vec<String> = Vec::new();
        for _ in 0..30 {
            let batch: Vec<Vec<String>> = (0..1 + maker.rng.below(20)).map(|_| maker.command()).collect();
            let [left, right] = &mut clients;
            let replies = exchange(left, &batch).into_iter().zip(exchange(right, &batch));
            for (args, (ours, theirs)) in batch.iter().zip(replies) {
                let shown =
                    args.iter().map(|arg| format!("\"{}\"", escaped(arg.as_bytes()))).collect::<Vec<_>>().join(" ");
                let recent = before[before.len().saturating_sub(15)..].join("\n");
                assert_eq!(ours.lines(), theirs.lines(), "seed {seed}: {shown}\nbefore it:\n{recent}");
                before.push(shown);
                compared += 1;
            }
        }
        let digests = clients.each_mut().map(|client| client.run("DEBUG DIGEST"));
        assert_eq!(digests[0], digests[1], "seed {seed}: the data differ after\n{}", before.join("\n"));
    }
    compared
}
