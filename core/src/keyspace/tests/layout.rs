//! Entries: every shape at every border, and the encodings that a Valkey 9.1.2 answered.

use crate::keyspace::entry::{NewValue, OwnedEntry, Value};
use crate::limits::SHARED_VALUE_BYTES_MIN;
use crate::units::Millis;
use bytes::Bytes;

const LATER: Option<Millis> = Some(Millis(1_700_000_000_000));

fn text(len: usize, from: u8) -> Vec<u8> {
    (0..len).map(|at| from.wrapping_add(at as u8)).collect()
}

fn string(entry: &OwnedEntry) -> Vec<u8> {
    entry.as_ref().value().as_bytes(&mut itoa::Buffer::new()).to_vec()
}

fn expect(entry: &OwnedEntry, key: &[u8], value: &[u8], expire: Option<Millis>) {
    assert_eq!(entry.as_ref().key(), key);
    assert_eq!(string(entry), value);
    assert_eq!(entry.as_ref().expire_at(), expire);
}

#[test]
fn every_size_comes_back() {
    for key_len in [0, 1, 16, 31, 32, 254, 255, 256, 70_000] {
        let key = text(key_len, b'k');
        for value_len in [0, 1, 44, 64, 255, 256, 257, SHARED_VALUE_BYTES_MIN - 1, SHARED_VALUE_BYTES_MIN, 100_000] {
            let value = text(value_len, b'v');
            for expire in [None, LATER] {
                let entry = OwnedEntry::new(&key, NewValue::Bytes(&value), expire);
                expect(&entry, &key, &value, expire);
                assert_eq!(
                    matches!(entry.as_ref().value(), Value::Shared(_)),
                    value_len >= SHARED_VALUE_BYTES_MIN,
                    "large values are shared"
                );
                entry.as_ref().touch(0xAB_CDEF);
                assert_eq!(entry.as_ref().access(), 0xAB_CDEF);
                let other = if expire.is_none() { LATER } else { None };
                let entry = entry.with_expiry(other);
                expect(&entry, &key, &value, other);
                assert_eq!(entry.as_ref().access(), 0xAB_CDEF);
                let copy = entry.as_ref().copied_under(b"copy");
                let entry = entry.renamed(b"another key");
                expect(&entry, b"another key", &value, other);
                drop(entry);
                expect(&copy, b"copy", &value, other);
            }
        }
    }
}

#[test]
fn integers_take_what_they_need() {
    for (value, bytes) in [
        (0, 1),
        (-128, 1),
        (128, 2),
        (i64::from(i16::MIN), 2),
        (40_000, 4),
        (i64::from(i32::MIN), 4),
        (1 << 40, 8),
        (i64::MIN, 8),
        (i64::MAX, 8),
    ] {
        let entry = OwnedEntry::new(b"0123456789abcdef", NewValue::Int(value), None);
        assert_eq!(entry.as_ref().allocated_bytes(), 4 + 1 + 16 + bytes);
        assert!(matches!(entry.as_ref().value(), Value::Int(stored) if stored == value));
        assert_eq!(entry.as_ref().encoding(), "int");
        for next in [0, -1, 300, -70_000, i64::MAX] {
            let entry = entry.as_ref().copied_under(b"k").with_integer(next);
            expect(&entry, b"k", next.to_string().as_bytes(), None);
        }
    }
}

#[test]
fn entries_are_small() {
    let size = |value: NewValue<'_>, expire| OwnedEntry::new(&[b'k'; 16], value, expire).as_ref().allocated_bytes();
    assert_eq!(size(NewValue::Bytes(&[b'v'; 64]), None), 86);
    assert_eq!(size(NewValue::Bytes(&[b'v'; 64]), LATER), 94);
    assert_eq!(size(NewValue::Int(12_345), None), 23);
}

#[test]
fn only_canonical_integers_are_taken_for_integers() {
    for (text, is_integer) in
        [("0", true), ("-7", true), ("9223372036854775807", true), ("-9223372036854775808", true), ("007", false)]
    {
        assert_eq!(matches!(NewValue::from_bytes(text.as_bytes()), NewValue::Int(_)), is_integer, "{text}");
    }
    assert!(matches!(NewValue::from_bytes(b""), NewValue::Bytes(_)));
    assert!(matches!(NewValue::from_bytes(&[b'1'; 21]), NewValue::Bytes(_)));
}

/// Longest value that Valkey 9.1.2 calls `embstr`, by length of the key, without and with an expiry.
#[test]
fn encodings_are_those_of_valkey() {
    for (key_len, without, with) in [
        (1, 112, 104),
        (2, 111, 103),
        (8, 105, 97),
        (16, 97, 89),
        (31, 82, 74),
        (32, 79, 71),
        (40, 71, 63),
        (60, 51, 43),
        (100, 11, 3),
    ] {
        for (longest, expire) in [(without, None), (with, LATER)] {
            let encoding = |len: usize| {
                let entry = OwnedEntry::new(&text(key_len, b'k'), NewValue::Bytes(&text(len, b'v')), expire);
                entry.as_ref().encoding()
            };
            assert_eq!((encoding(longest), encoding(longest + 1)), ("embstr", "raw"), "key of {key_len}, {expire:?}");
        }
    }
    for key_len in [112, 300] {
        let entry = OwnedEntry::new(&text(key_len, b'k'), NewValue::Bytes(b""), None);
        assert_eq!(entry.as_ref().encoding(), "raw");
    }
}

#[test]
fn raw_stays_raw_until_it_is_set_again() {
    let key = text(16, b'k');
    let entry = OwnedEntry::new(&key, NewValue::Bytes(&text(93, b'v')), LATER);
    let entry = entry.with_expiry(None);
    assert_eq!(entry.as_ref().encoding(), "raw");
    let entry = entry.rebuilt(NewValue::Bytes(&text(93, b'v')), None);
    assert_eq!(entry.as_ref().encoding(), "embstr");
    let entry = entry.renamed(&text(40, b'k')).renamed(b"k");
    assert_eq!(entry.as_ref().encoding(), "raw");
    let (entry, len) = OwnedEntry::new(b"k", NewValue::Int(5), None).with_range(1, b"7");
    assert_eq!((entry.as_ref().encoding(), string(&entry), len), ("raw", b"57".to_vec(), 2));
    // In place of a key with an expiry, Valkey measures as if the expiry stayed.
    let entry = OwnedEntry::new(&key, NewValue::Bytes(b""), LATER).rebuilt(NewValue::Bytes(&text(97, b'v')), None);
    assert_eq!(entry.as_ref().encoding(), "raw");
}

#[test]
fn strings_grow_through_all_shapes() {
    for expire in [None, LATER] {
        for step in [1, 7, 300, 5_000] {
            let mut entry = OwnedEntry::new(b"key", NewValue::Int(42), expire);
            let mut expected = b"42".to_vec();
            while expected.len() < 2 * SHARED_VALUE_BYTES_MIN {
                let tail = text(step, expected.len() as u8);
                let len;
                (entry, len) = entry.with_range(expected.len(), &tail);
                expected.extend_from_slice(&tail);
                assert_eq!(len, expected.len());
            }
            expect(&entry, b"key", &expected, expire);
        }
    }
}

#[test]
fn ranges_are_padded_and_overwrite() {
    for (before, offset, bytes) in [
        (0, 0, 0),
        (0, 5, 3),
        (10, 2, 3),
        (10, 8, 300),
        (250, 255, 1),
        (300, 20_000, 10),
        (20_000, 5, 5),
        (20_000, 30_000, 5),
    ] {
        let (old, new) = (text(before, 1), text(bytes, 99));
        let (entry, len) = OwnedEntry::new(b"k", NewValue::Bytes(&old), LATER).with_range(offset, &new);
        let mut expected = old;
        expected.resize(expected.len().max(offset + bytes), 0);
        expected[offset..][..bytes].copy_from_slice(&new);
        assert_eq!(len, expected.len());
        expect(&entry, b"k", &expected, LATER);
    }
}

#[test]
fn a_shared_value_under_way_is_never_changed() {
    let bytes = Bytes::from(text(50_000, 3));
    let entry = OwnedEntry::new(b"k", NewValue::from_shared(bytes.clone()), None);
    let Value::Shared(sent) = entry.as_ref().value() else { panic!("large values are shared") };
    assert_eq!(sent.as_ptr(), bytes.as_ptr(), "stored without a copy");
    let sent = sent.clone();
    let (entry, _) = entry.with_range(0, b"changed");
    assert_eq!(&sent[..], &text(50_000, 3)[..]);
    assert_eq!(&string(&entry)[..7], b"changed");
    let entry = entry.renamed(b"other");
    let Value::Shared(moved) = entry.as_ref().value() else { panic!("large values are shared") };
    let moved = moved.as_ptr();
    let (entry, _) = entry.with_range(0, b"CHANGED");
    let Value::Shared(now) = entry.as_ref().value() else { panic!("large values are shared") };
    assert_eq!(now.as_ptr(), moved, "changed in place when nobody else holds it");
}

#[test]
fn rebuilding_uses_the_allocation_again() {
    let mut entry = OwnedEntry::new(b"key", NewValue::Bytes(&text(20, 0)), None);
    for round in 0..300_u16 {
        let value = text(usize::from(round % 70), round as u8);
        let expire = (round % 3 == 0).then_some(Millis(i64::from(round)));
        entry = entry.rebuilt(NewValue::Bytes(&value), expire);
        expect(&entry, b"key", &value, expire);
        if round % 5 == 0 {
            entry = entry.with_integer(i64::from(round));
            expect(&entry, b"key", round.to_string().as_bytes(), expire);
        }
    }
}
