//! Tests of the handlers of HyperLogLogs: effects, encodings, what a refusal leaves.

#![allow(clippy::unwrap_used)]

use crate::commands::harness::Bench;

const HEAD: &[u8] = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80";
const CORRUPT: &str = "INVALIDOBJ Corrupted HLL object detected";

fn sparse(runs: &[u8]) -> Vec<u8> {
    [HEAD, runs].concat()
}

#[test]
fn what_the_journal_gets() {
    Bench::new().check_journal(&[
        ("pfadd k", "1 as given"),
        ("pfadd k", "0"),
        ("pfadd k a", "1 as given"),
        ("pfadd k a", "0"),
        ("pfadd k a b c", "2 as given"),
        ("pfcount k", "1 as given"),
        ("pfcount k", "0"),
        ("pfcount k k", "0"),
        ("pfadd new a b", "3 as given"),
        ("pfmerge d k new", "1 as given"),
        ("pfmerge d", "1 as given"),
        ("pfdebug todense d", "1 as given"),
        ("pfdebug todense d", "0"),
        ("pfadd d a b c", "0"),
        ("pfadd d d e", "2 as given"),
        ("pfdebug getreg k", "1 as given"),
        ("pfdebug getreg k", "0"),
        ("pfdebug encoding k", "0"),
    ]);
}

#[test]
fn the_count_is_kept_until_something_is_news() {
    let mut bench = Bench::new();
    bench.run("pfadd k a b c");
    assert!(bench.run("get k").contains(r"\x80`"));
    assert_eq!(bench.run("pfcount k"), ":3");
    let kept = bench.run("get k");
    assert!(kept.contains(r"HYLL\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"));
    assert_eq!(bench.run("pfadd k a"), ":0");
    assert_eq!(bench.run("get k"), kept);
    assert_eq!(bench.run("pfadd k d"), ":1");
    assert!(bench.run("get k").contains(r"HYLL\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x80"));
    assert_eq!(bench.run("pfcount k"), ":4");
    assert_eq!(bench.run("pfdebug todense k"), ":1");
    assert_eq!(bench.run("pfadd k e"), ":1");
    assert_eq!(bench.run("pfcount k"), ":5");
    assert_eq!(bench.run("pfcount k none"), ":5");
}

#[test]
fn a_value_is_raw_once_it_was_looked_at_for_a_change() {
    let mut bench = Bench::new();
    for command in ["pfadd k", "pfadd k a", "pfcount k", "pfmerge k", "pfdebug encoding k", "pfdebug todense k"] {
        bench.run_words(&[b"set", b"k", &sparse(b"\x60\xf3\x80\x5f\x0a")]);
        bench.run("expire k 100");
        assert_eq!(bench.run("object encoding k"), "'embstr'");
        bench.run(command);
        assert_eq!(bench.run("object encoding k"), "'raw'", "{command}");
        assert_eq!(bench.run("ttl k"), ":100");
    }
    bench.run("pfadd new a");
    assert_eq!(bench.run("object encoding new"), "'raw'");
}

#[test]
fn a_refusal_changes_nothing() {
    let mut bench = Bench::new();
    for runs in [&b"\x60\xf3"[..], b"", b"\x7f\xff\0"] {
        let value = sparse(runs);
        bench.run_words(&[b"set", b"bad", &value]);
        let before = bench.run("get bad");
        bench.run("pfadd good x");
        for command in ["pfcount bad", "pfcount good bad", "pfmerge d bad", "pfmerge bad good", "pfdebug todense bad"] {
            assert_eq!(bench.run(command), CORRUPT, "{command}");
            assert_eq!((bench.run("get bad"), bench.run("exists d")), (before.clone(), ":0".into()));
        }
        if runs.len() < 3 {
            // "a" has its register among those that are there, if any are; "b" has not.
            assert_eq!(bench.run("pfadd bad a b"), CORRUPT);
            assert_eq!(bench.run("get bad"), before);
        }
    }
}

#[test]
fn a_sparse_value_of_any_length_is_changed() {
    let mut bench = Bench::new();
    bench.rules.limits.hll_sparse_bytes = 1 << 20;
    let elements: Vec<Vec<u8>> = (0..4000_u32).map(|number| number.to_le_bytes().to_vec()).collect();
    for part in elements.chunks(100) {
        let mut words: Vec<&[u8]> = vec![b"pfadd", b"many"];
        words.extend(part.iter().map(Vec::as_slice));
        bench.run_words(&words);
    }
    for element in &elements {
        bench.run_words(&[b"pfadd", b"one", element]);
    }
    assert_eq!(bench.run("pfdebug encoding one"), "+sparse");
    assert_eq!(bench.run("get one"), bench.run("get many"));
    // Whoever had the registers in another order joined other runs.
    assert_eq!(bench.run("pfmerge dest one"), "+OK");
    assert_eq!(bench.run("pfdebug encoding dest"), "+sparse");
    assert_eq!(bench.run("pfcount one"), bench.run("pfcount dest many"));
    assert_eq!(bench.run("pfdebug getreg dest"), bench.run("pfdebug getreg one"));
}
