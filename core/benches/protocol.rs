//! Parsing requests, finding their rows, writing replies.

use crate::harness::Cases;
use ringkey_core::command::table;
use ringkey_core::resp::request::Progress;
use ringkey_core::resp::{Protocol, Reply, ReplyBuffer, RequestLimits, RequestParser, Span};
use std::hint::black_box;

/// How many requests or replies are handled in one run.
const PIPELINE: usize = 100;

/// A request as clients send it.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        text.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        text.extend_from_slice(word);
        text.extend_from_slice(b"\r\n");
    }
    text
}

fn get() -> Vec<u8> {
    request(&[b"GET", b"key:000000012345"])
}

fn set() -> Vec<u8> {
    request(&[b"SET", b"key:000000012345", &[b'v'; 64]])
}

/// Parses all requests of a pipeline that is there as a whole.
fn parse_whole(input: &[u8], parser: &mut RequestParser, spans: &mut Vec<Span>) {
    let limits = RequestLimits::default();
    spans.clear();
    let mut at = 0;
    while at < input.len() {
        match parser.parse(&input[at..], &limits, spans) {
            Ok(Progress::Complete { consumed }) => at += consumed,
            other => panic!("the request is whole and in order: {other:?}"),
        }
    }
    black_box(spans);
}

/// Parses a request that arrives in pieces of `step` bytes.
fn parse_pieces(input: &[u8], step: usize, parser: &mut RequestParser, spans: &mut Vec<Span>) {
    let limits = RequestLimits::default();
    spans.clear();
    for end in (step..input.len()).step_by(step) {
        assert_eq!(parser.parse(&input[..end], &limits, spans), Ok(Progress::Incomplete));
    }
    assert_eq!(parser.parse(input, &limits, spans), Ok(Progress::Complete { consumed: input.len() }));
    black_box(spans);
}

fn whole(input: Vec<u8>) -> impl FnMut() {
    let (mut parser, mut spans) = (RequestParser::default(), Vec::new());
    move || parse_whole(black_box(&input), &mut parser, &mut spans)
}

/// Writes replies into a buffer that is emptied each time, as a session's is.
fn written(mut write: impl FnMut(&mut Reply<'_>)) -> impl FnMut() {
    let mut buffer = ReplyBuffer::default();
    move || {
        buffer.clear();
        for _ in 0..PIPELINE {
            write(&mut Reply::new(&mut buffer, Protocol::Resp2));
        }
        black_box(&buffer);
    }
}

pub fn add_to(cases: &mut Cases<'_>) {
    cases.add("parse GET, alone", 1, || whole(get()));
    cases.add("parse GET, pipeline of 16", 16, || whole(get().repeat(16)));
    cases.add("parse GET, pipeline of 100", 100, || whole(get().repeat(100)));
    cases.add("parse SET 64 B, pipeline of 16", 16, || whole(set().repeat(16)));
    cases.add("parse SET 64 B, pipeline of 100", 100, || whole(set().repeat(100)));
    cases.add("parse SET 64 B, in pieces of 16 bytes", 1, || {
        let (input, mut parser, mut spans) = (set(), RequestParser::default(), Vec::new());
        move || parse_pieces(black_box(&input), 16, &mut parser, &mut spans)
    });
    cases.add("find the row of a command", 4, || {
        || {
            for name in [&b"GET"[..], b"set", b"EXPIRE", b"mget"] {
                black_box(table::lookup(black_box(name)));
            }
        }
    });
    cases.add("reply OK", PIPELINE as u64, || written(|reply| reply.ok()));
    cases.add("reply 64 B", PIPELINE as u64, || {
        let value = [b'v'; 64];
        written(move |reply| reply.bulk(black_box(&value)))
    });
    cases.add("reply an integer", PIPELINE as u64, || written(|reply| reply.integer(black_box(1_234_567))));
}
