//! The bodies of the fuzz targets (`tests/fuzz`), fed with a few fixed inputs and many that a seed makes of them: so
//! they keep compiling on the stable toolchain, and what they check is checked on every run.
//!
//! `RINGKEY_FUZZ_ROUNDS=n` makes n inputs for each target.
#![allow(clippy::unwrap_used)]

#[path = "../../tests/fuzz/src/lib.rs"]
mod bodies;

use ringkey_core::prng::Prng;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a body over the seeds and over mixtures and distortions of them; shows the input at which it fails.
fn feed(seeds: &[&[u8]], rounds: u64, body: fn(&[u8])) {
    let rounds = std::env::var("RINGKEY_FUZZ_ROUNDS").map_or(rounds, |text| text.parse().unwrap());
    let mut prng = Prng::new(1);
    let try_one = |input: &[u8]| {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| body(input))) {
            let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
            panic!("b\"{}\": {}", input.escape_ascii(), text.unwrap_or("it panicked"));
        }
    };
    seeds.iter().for_each(|seed| try_one(seed));
    for _ in 0..rounds {
        try_one(&distorted(seeds, &mut prng));
    }
}

/// Bytes that mean something to somebody.
const LIKELY: &[u8] = b"*$\r\n\\[]?'\" 0-";

fn distorted(seeds: &[&[u8]], prng: &mut Prng) -> Vec<u8> {
    let mut below = |bound: usize| prng.below(bound.max(1) as u64) as usize;
    let mut input = match below(4) {
        0 => (0..below(64)).map(|_| below(256) as u8).collect(),
        _ => seeds[below(seeds.len())].to_vec(),
    };
    for _ in 0..below(6) {
        let at = below(input.len());
        match below(5) {
            0 => input.truncate(at),
            1 if !input.is_empty() => input[at] = below(256) as u8,
            2 => input.insert(at, LIKELY[below(LIKELY.len())]),
            3 => {
                let other = seeds[below(seeds.len())];
                let from = below(other.len());
                input.splice(at..at, other[from..].iter().copied());
            }
            _ => {
                let end = (at + below(20)).min(input.len());
                let piece = input[at.min(end)..end].to_vec();
                input.extend(piece);
            }
        }
    }
    input.truncate(4_096);
    input
}

#[test]
fn requests() {
    let big =
        [b"\0\x01*2\r\n$3\r\nGET\r\n$40000\r\n".as_slice(), &[b'x'; 40_000], b"\r\n*1\r\n$4\r\nPING\r\n"].concat();
    let announced = b"\0\x02*1000000\r\n$500000000\r\nabc".as_slice();
    let seeds: &[&[u8]] = &[
        b"\0\0*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
        b"\0\x07PING\r\nSET a 'b c' \"d\\x41\"\r\n\r\n*0\r\n*-1\r\nGET a\n",
        b"\x01\x03*11\r\n$1\r\na\r\n",
        b"\x01\x03*2\r\n$20000\r\na\r\n",
        b"\x02\x03*2\r\n$-5\r\na\r\n",
        b"\x02\x03*2\r\n:5\r\na\r\n",
        b"\x02\x03*x\r\n",
        b"\0\0\"unbalanced\r\n",
        announced,
        &big,
    ];
    feed(seeds, 5_000, bodies::request::run);
}

#[test]
fn dispatch() {
    let made_up: Vec<u8> = std::iter::once(1).chain((0..=255).cycle().step_by(7).take(600)).collect();
    let seeds: &[&[u8]] = &[
        b"\0SET a 1\r\nINCR a\r\nGET a\r\nAPPEND a xyz\r\nGETRANGE a 0 -1\r\nSTRLEN a\r\nOBJECT ENCODING a\r\n",
        b"\0SET a 1 PX 5\r\nTICK 6\r\nGET a\r\nSET a 2 GET\r\nEXPIRE a 100 NX\r\nPERSIST a\r\nTTL a\r\n",
        b"\0MSET a 1 b 2\r\nMGET a b c\r\nRENAME a c\r\nCOPY c d DB 1 REPLACE\r\nMOVE c 1\r\nLCS b d IDX\r\nDEL a b c d\r\n",
        b"\0SET a 1 EX 10 NX GET\r\nSETRANGE a 65530 abcdefghi\r\nINCRBYFLOAT a 1e5\r\nGETEX a PERSIST\r\nSELECT 1\r\nKEYS *\r\n",
        b"\0MSETEX 2 a 1 b 2 NX PX 7\r\nTICK 9\r\nMSETNX a 1 b 2\r\nDBSIZE\r\nFLUSHALL ASYNC\r\nTOUCH a b\r\nUNLINK a\r\n",
        b"\0*3\r\n$3\r\nSET\r\n$2\r\n\xff\0\r\n$3\r\n\r\n\x01\r\nnosuch \"\\r\\n\"\r\nobject freq a\r\nobject nosuch a\r\n",
        &made_up,
    ];
    feed(seeds, 1_000, bodies::dispatch::run);
}

#[test]
fn settings() {
    let seeds: &[&[u8]] = &[
        b"port 7000\nbind 127.0.0.1 -::1\nsave 900 1 300 10\nsave \"\"\nmaxmemory 1gb\n# comment\n\nlogfile \"a b\"\0\
          maxmemory 100mb\nsave \"1 2 3 4\" hz 50\nclient-output-buffer-limit \"normal 1 2 3\"\0--port\n7000\n--save\n\n*\nma[x]*",
        b"include other.conf\nrename-command GET \"\"\nuser default on\nloadmodule x\nnosuch 1\nreplicaof no one",
        b"\0notify-keyspace-events AKE\nproc-title-template {title}\nlatency-tracking-info-percentiles \"50 99.9\"\0-\n-h\n--x",
        b"oom-score-adj-values 1 2 3\nunixsocketperm 777\nmaxmemory-clients 5%\nloglevel debug\n'unbalanced",
    ];
    feed(seeds, 600, bodies::settings::run);
}

#[test]
fn rewriting() {
    let seeds: &[&[u8]] = &[
        b"\0# a\n\n  TIMEOUT  5\r\nsave 900 1\n# b\nsave 300 10\ntimeout 6\nslowlog-max-len 5\nlogfile 'a b'\0timeout 7\n\
          save \"1 2 3 4\"\nclient-output-buffer-limit \"slave 1kb 2 3\"\nrequirepass \"a \\x00\\\"\"",
        b"\x01client-output-buffer-limit pubsub 1mb 0 0\nclient-output-buffer-limit normal 1 2 3\nbind \"'a b'\"\n# Added by \
          CONFIG REWRITE:\nbind\0maxmemory-clients 5%\nbind \"a b\"",
        b"\x02include x\nuser a on\nnosuch 'x\nrename-command a b\ndynamic-hz yes\nreplicaof a 5\0shutdown-on-sigint \"now save\"",
        b"\x03#\r\nslot-migration-max-failover-repl-bytes -1\noom-score-adj-values 1 2 3\nmaxmemory 1025\0save \"\"",
    ];
    feed(seeds, 300, bodies::rewrite::run);
}

#[test]
fn globs() {
    let seeds: &[&[u8]] = &[
        b"\0\x05a*b?caxxbyc",
        b"\x01\x08[a-c]*\\*ABx*",
        b"\0\x03[^aab",
        b"\0\x02**",
        b"\x01\x06*a*b*caaabbbccc",
        b"\0\x01\\\\",
    ];
    feed(seeds, 20_000, bodies::glob::run);
}
