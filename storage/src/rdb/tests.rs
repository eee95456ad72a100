//! Values that come back, from every form and under all limits; and forms that are damaged.
#![allow(clippy::unwrap_used)]

use super::encode::{Encoder, Pieces, type_of};
use super::format::Type;
use super::read::Reader;
use super::ziplist::sample;
use super::{decode, listpack, write};
use crate::dump::CODEC;
use proptest::prelude::*;
use ringkey_core::codec::{DumpRules, Refused, RestoreRules};
use ringkey_core::keyspace::{EntryRef, Form, KeyHasher, Large, NewValue, OwnedEntry, Value};
use ringkey_core::units::Millis;
use ringkey_core::value::hash::HashRef;
use ringkey_core::value::list::ListRef;
use ringkey_core::value::set::SetRef;
use ringkey_core::value::stream::{Groups, Stream, StreamId, group::Group};
use ringkey_core::value::zset::SortedSetRef;
use ringkey_core::value::{Element, Limits};
use std::collections::{BTreeMap, BTreeSet};

const DUMP: DumpRules = DumpRules { compresses: true, now: Millis(1) };

fn hasher() -> KeyHasher {
    KeyHasher::new([1, 2, 3, 4])
}

/// Limits under which hardly anything is packed.
fn narrow() -> Limits {
    Limits {
        hash_entries: 2,
        hash_value_bytes: 3,
        set_intset_entries: 2,
        set_entries: 2,
        set_value_bytes: 3,
        zset_entries: 2,
        zset_value_bytes: 3,
        list_size: 3,
        list_plain_from: 50,
        ..Limits::default()
    }
}

/// An entry with the value of these bytes: type and value.
fn read(bytes: &[u8], limits: &Limits) -> Result<OwnedEntry, Refused> {
    let rules = RestoreRules { limits, hasher: &hasher(), any_version: false, skips_checksum: false, now: Millis(1) };
    let mut reader = Reader::new(&bytes[1..]);
    let kind = Type::of(bytes[0]).ok_or_else(|| Refused::Format(String::new()))?;
    let mut value = decode::value(&mut reader, kind, &rules).map_err(|error| Refused::Format(error.to_string()))?;
    assert!(reader.rest().is_empty(), "everything is read");
    Ok(OwnedEntry::new(b"key", value.as_new().unwrap(), None))
}

fn refuses(bytes: &[u8]) {
    for limits in [Limits::default(), narrow()] {
        assert!(read(bytes, &limits).is_err(), "{bytes:x?}");
    }
}

type Text = Vec<u8>;

/// What a value says, whatever its form.
#[derive(Debug, Clone, PartialEq)]
enum Contents {
    String(Text),
    List(Vec<Text>),
    Set(BTreeSet<Text>),
    Hash(BTreeMap<Text, (Text, Option<Millis>)>),
    SortedSet(Vec<(Text, f64)>),
    Stream(Box<Stream>),
}

fn text(element: Element<'_>) -> Text {
    element.text(&mut itoa::Buffer::new()).to_vec()
}

fn contents(entry: EntryRef<'_>) -> Contents {
    let string = |value: Value<'_>| value.as_bytes(&mut itoa::Buffer::new()).to_vec();
    if let Some(set) = SetRef::of(&entry) {
        return Contents::Set(set.iter().map(text).collect());
    }
    if let Some(list) = ListRef::of(&entry) {
        let items = list.items(0..list.len(), false);
        return Contents::List(items.map(|item| item.text(&mut itoa::Buffer::new()).to_vec()).collect());
    }
    if let Some(set) = SortedSetRef::of(&entry) {
        let mut all = Vec::new();
        set.visit(0, set.len(), false, &mut |member: Element<'_>, score| all.push((text(member), score.value())));
        return Contents::SortedSet(all);
    }
    match entry.value() {
        Value::Stream(stream) => {
            stream.groups.check();
            Contents::Stream(stream.copy())
        }
        Value::Hash(hash) => {
            hash.check();
            let field = |entry: EntryRef<'_>| (entry.key().to_vec(), (string(entry.value()), entry.expire_at()));
            Contents::Hash(hash.entries().map(field).collect())
        }
        value => match HashRef::of(value) {
            Some(hash) => {
                let mut all = BTreeMap::new();
                hash.for_each(Millis(1), &mut |field, value| {
                    all.insert(string(field), (string(value), None));
                });
                Contents::Hash(all)
            }
            None => Contents::String(string(value)),
        },
    }
}

/// Writes an entry and reads it again, under several limits and in pieces; checks that it is the same then.
fn comes_back(entry: &OwnedEntry) {
    let (before, value) = (contents(entry.as_ref()), entry.as_ref().value());
    let mut payload = Vec::new();
    (CODEC.dump)(entry.as_ref(), &DUMP, &mut payload);
    assert_eq!((CODEC.serialized_bytes)(entry.as_ref(), &DUMP), payload.len() - 11);
    for limits in [Limits::default(), narrow()] {
        let rules = RestoreRules {
            limits: &limits,
            hasher: &hasher(),
            any_version: false,
            skips_checksum: false,
            now: Millis(1),
        };
        let mut again = (CODEC.restore)(&payload, &rules).unwrap();
        let again = OwnedEntry::new(b"again", again.as_new().unwrap(), None);
        assert_eq!(contents(again.as_ref()), before);
        if limits == Limits::default() && matches!(value, Value::Packed(..)) {
            let mut twice = Vec::new();
            (CODEC.dump)(again.as_ref(), &DUMP, &mut twice);
            assert_eq!(twice, payload, "what is packed stays as it is");
        }
    }
    let (mut encoder, mut pieces, mut out) = (Encoder::new(true), Pieces::of(value), vec![type_of(&value) as u8]);
    let mut steps = 0;
    while !pieces.write(&mut encoder, &mut out, 7) {
        steps += 1;
        assert!(steps < payload.len());
    }
    assert_eq!(out, payload[..payload.len() - 10]);
}

fn strings(kind: Type, count: usize, texts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![kind as u8];
    write::len(&mut out, count as u64);
    texts.iter().for_each(|text| write::Strings::new(true).string(&mut out, text));
    out
}

fn blob(kind: Type, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![kind as u8];
    write::Strings::new(true).string(&mut out, bytes);
    out
}

fn pack(texts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    listpack::build(&mut out, |out| {
        texts.iter().for_each(|text| listpack::write(out, &Element::of(text)));
        texts.len()
    });
    out
}

fn zip(texts: &[&[u8]]) -> Vec<u8> {
    sample::ziplist(&texts.iter().map(|text| sample::text(text)).collect::<Vec<_>>())
}

fn intset(width: u32, integers: &[i64]) -> Vec<u8> {
    let mut out = [width.to_le_bytes(), (integers.len() as u32).to_le_bytes()].concat();
    integers.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()[..width as usize]));
    out
}

fn nodes(kind: Type, nodes: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![kind as u8];
    write::len(&mut out, nodes.len() as u64);
    for (form, node) in nodes {
        if kind == Type::ListListpacks {
            write::len(&mut out, *form);
        }
        write::Strings::new(true).string(&mut out, node);
    }
    out
}

fn scored(members: &[(&[u8], f64)]) -> Vec<u8> {
    let mut out = strings(Type::SortedSet, members.len(), &[]);
    for (member, score) in members {
        write::Strings::new(true).string(&mut out, member);
        out.extend_from_slice(&score.to_le_bytes());
    }
    out
}

fn expiring(fields: &[(&[u8], &[u8], i64)]) -> Vec<u8> {
    let mut out = strings(Type::HashExpiring, fields.len(), &[]);
    for (field, value, at) in fields {
        write::Strings::new(true).string(&mut out, field);
        write::Strings::new(true).string(&mut out, value);
        out.extend_from_slice(&at.to_le_bytes());
    }
    out
}

fn numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| write::len(out, *number));
}

fn raw_id(ms: u64, seq: u64) -> [u8; 16] {
    ((u128::from(ms) << 64) | u128::from(seq)).to_be_bytes()
}

/// A stream of one node with three entries, of which the second is deleted; one group, one consumer, one entry pending.
fn stream(kind: Type) -> Vec<u8> {
    // Counts, the name, the end of the names; 5-1 with a field; 5-2, deleted; 7-0 with names of its own.
    let node = ["2 1 1 a 0", "2 0 0 b 4", "3 0 1 c 4", "0 2 -1 2 x 1 y long-long-text 8"].join(" ");
    let node: Vec<&[u8]> = node.split(' ').map(str::as_bytes).collect();
    let mut out = vec![kind as u8];
    numbers(&mut out, &[1]);
    write::Strings::new(true).string(&mut out, &raw_id(5, 1));
    write::Strings::new(true).string(&mut out, &pack(&node));
    numbers(&mut out, &[2, 7, 0]);
    if kind != Type::Stream1 {
        numbers(&mut out, &[5, 1, 5, 2, 3]);
    }
    numbers(&mut out, &[1]);
    write::Strings::new(true).string(&mut out, b"group");
    numbers(&mut out, &[7, 0]);
    if kind != Type::Stream1 {
        numbers(&mut out, &[3]);
    }
    numbers(&mut out, &[1]);
    out.extend_from_slice(&raw_id(7, 0));
    out.extend_from_slice(&1000_i64.to_le_bytes());
    numbers(&mut out, &[2, 1]);
    write::Strings::new(true).string(&mut out, b"bob");
    out.extend_from_slice(&2000_i64.to_le_bytes());
    if kind == Type::Stream3 {
        out.extend_from_slice(&3000_i64.to_le_bytes());
    }
    numbers(&mut out, &[1]);
    out.extend_from_slice(&raw_id(7, 0));
    out
}

/// A value of each type and form, with what OBJECT ENCODING answers.
fn samples() -> Vec<(Vec<u8>, &'static str)> {
    let long = [b'x'; 70];
    let zipmap = b"\x02\x01a\x01\x00b\x01c\x02\x01dd\x00\xff";
    vec![
        (strings(Type::String, 5, &[])[..1].iter().copied().chain(*b"\x05hello").collect(), "embstr"),
        (vec![0, 0xc1, 0x7f, 0xff], "int"),
        (vec![0, 0], "embstr"),
        (blob(Type::String, &[b'a'; 1000]), "raw"),
        (strings(Type::List, 3, &[b"a", b"12", &long]), "listpack"),
        (nodes(Type::ListListpacks, &[(2, pack(&[b"a", b"1"])), (1, long.to_vec()), (2, pack(&[b"b"]))]), "quicklist"),
        (nodes(Type::ListListpacks, &[(2, pack(&[b"a", b"1"])), (2, pack(&[]))]), "listpack"),
        (nodes(Type::ListListpacks, &[(1, b"5".to_vec())]), "quicklist"),
        (nodes(Type::ListZiplists, &[(0, zip(&[b"a", b"1"])), (0, zip(&[&long]))]), "quicklist"),
        (nodes(Type::ListZiplists, &[(0, zip(&[b"a", b"1"]))]), "listpack"),
        (blob(Type::ListZiplist, &zip(&[b"a", b"1"])), "quicklist"),
        (strings(Type::Set, 3, &[b"3", b"-1", b"70000"]), "intset"),
        (strings(Type::Set, 3, &[b"3", b"a", b"b"]), "listpack"),
        (strings(Type::Set, 3, &[b"3", b"a", &long]), "hashtable"),
        (blob(Type::SetIntset, &intset(2, &[-5, 0, 7])), "intset"),
        (blob(Type::SetIntset, &intset(8, &[i64::MIN, 0, 7])), "intset"),
        (blob(Type::SetListpack, &pack(&[b"a", b"12", &long])), "listpack"),
        (strings(Type::Hash, 2, &[b"a", b"1", b"b", b"x"]), "listpack"),
        (strings(Type::Hash, 2, &[b"a", b"1", b"b", &long]), "hashtable"),
        (blob(Type::HashListpack, &pack(&[b"a", b"1", b"b", &long])), "listpack"),
        (blob(Type::HashZiplist, &zip(&[b"a", b"1", b"b", &long])), "listpack"),
        (blob(Type::HashZipmap, zipmap), "listpack"),
        (expiring(&[(b"a", b"1", -1), (b"b", b"2", 9_999_999_999_999)]), "hashtable"),
        (scored(&[(b"b", 2.5), (b"a", -1.0)]), "listpack"),
        (scored(&[(b"b", f64::INFINITY), (&long, 0.1)]), "skiplist"),
        (b"\x03\x02\x01a\x031.5\x01b\xff".to_vec(), "listpack"),
        (blob(Type::SortedSetListpack, &pack(&[b"a", b"1", b"b", b"2.5"])), "listpack"),
        (blob(Type::SortedSetListpack, &pack(&[b"b", b"inf", b"a", b"-inf"])), "listpack"),
        (blob(Type::SortedSetZiplist, &zip(&[b"a", b"1", b"b", b"2.5"])), "listpack"),
        (stream(Type::Stream1), "stream"),
        (stream(Type::Stream2), "stream"),
        (stream(Type::Stream3), "stream"),
        (b"\x15\0\0\0\0\0\0\0\0\0\0".to_vec(), "stream"),
    ]
}

#[test]
fn every_form_is_read_and_comes_back() {
    for (bytes, encoding) in samples() {
        let entry = read(&bytes, &Limits::default()).unwrap();
        assert_eq!(entry.as_ref().encoding(), encoding, "{bytes:x?}");
        comes_back(&entry);
        let other = read(&bytes, &narrow()).unwrap();
        assert_eq!(contents(other.as_ref()), contents(entry.as_ref()));
        comes_back(&other);
    }
}

#[test]
fn whatever_is_cut_or_flipped_is_refused_or_a_value() {
    for (bytes, _) in samples() {
        for end in 1..bytes.len() {
            refuses(&bytes[..end]);
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let limits = Limits::default();
            let rules = RestoreRules {
                limits: &limits,
                hasher: &hasher(),
                any_version: false,
                skips_checksum: false,
                now: Millis(1),
            };
            if let Some(kind) = Type::of(flipped[0])
                && let Ok(mut value) = decode::value(&mut Reader::new(&flipped[1..]), kind, &rules)
            {
                comes_back(&OwnedEntry::new(b"key", value.as_new().unwrap(), None));
            }
        }
    }
}

#[test]
fn what_valkey_refuses_is_refused() {
    let element: &[u8] = b"a";
    for kind in [Type::List, Type::Set, Type::SortedSetText, Type::SortedSet, Type::Hash, Type::HashExpiring] {
        refuses(&strings(kind, 0, &[]));
        refuses(&strings(kind, usize::MAX, &[element]));
    }
    refuses(&strings(Type::Set, 2, &[element, element]));
    refuses(&strings(Type::Set, 2, &[b"1", b"1"]));
    refuses(&strings(Type::Set, 3, &[b"1", b"x", b"x"]));
    refuses(&strings(Type::Hash, 2, &[element, b"1", element, b"2"]));
    refuses(&scored(&[(element, f64::NAN)]));
    refuses(&scored(&[(element, 1.0), (element, 2.0)]));
    refuses(&expiring(&[(element, b"1", -2)]));
    refuses(&expiring(&[(element, b"1", -1), (element, b"1", 5)]));
    for (kind, bytes) in [
        (Type::SetIntset, intset(2, &[2, 1])),
        (Type::SetIntset, intset(2, &[1, 1])),
        (Type::SetIntset, intset(2, &[])),
        (Type::SetIntset, intset(3, &[1, 2])),
        (Type::SetIntset, intset(8, &[1, 2])[..20].to_vec()),
        (Type::SetListpack, pack(&[b"1", b"a", b"1"])),
        (Type::SetListpack, pack(&[])),
        (Type::HashListpack, pack(&[b"a", b"1", b"a", b"2"])),
        (Type::HashListpack, pack(&[b"a", b"1", b"b"])),
        (Type::HashListpack, pack(&[])),
        (Type::HashZiplist, zip(&[b"a", b"1", b"a", b"2"])),
        (Type::HashZiplist, zip(&[])),
        (Type::HashZipmap, b"\x02\x01a\x01\x00b\x01a\x01\x00b\xff".to_vec()),
        (Type::HashZipmap, b"\x00\xff".to_vec()),
        (Type::SortedSetListpack, pack(&[b"a", b"nan"])),
        (Type::SortedSetListpack, pack(&[b"a", b"1", b"b"])),
        (Type::SortedSetListpack, pack(&[b"a", b"1", b"a", b"2"])),
        (Type::SortedSetListpack, pack(&[])),
        (Type::SortedSetZiplist, zip(&[])),
        (Type::ListZiplist, zip(&[])),
    ] {
        refuses(&blob(kind, &bytes));
    }
    refuses(&nodes(Type::ListListpacks, &[(2, pack(&[]))]));
    refuses(&nodes(Type::ListListpacks, &[(1, Vec::new())]));
    refuses(&nodes(Type::ListListpacks, &[(3, pack(&[b"a"]))]));
    refuses(&nodes(Type::ListZiplists, &[(0, zip(&[]))]));
    for number in [6, 7, 8, 23, 255] {
        refuses(&[number, 1, 1, 1, 1, 1, 1, 1]);
    }
}

#[test]
fn equal_names_are_noticed_in_whatever_shape() {
    let twice = |bytes: &[u8]| refuses(&blob(Type::SetListpack, bytes));
    // The same integer, as text and as integers of several sizes.
    for other in [&b"\x8212\x03"[..], b"\xc0\x0c\x02", b"\xf1\x0c\x00\x03", b"\xf4\x0c\0\0\0\0\0\0\0\x09"] {
        let body = [b"\x0c\x01", other].concat();
        let size = (7 + body.len()) as u8;
        twice(&[&[size, 0, 0, 0, 2, 0][..], &body, b"\xff"].concat());
    }
    // Many names, the last of them that of the first.
    let names: Vec<Vec<u8>> = (0..100).map(|number| format!("name {number}").into_bytes()).collect();
    let mut names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    assert!(read(&blob(Type::SetListpack, &pack(&names)), &Limits::default()).is_ok());
    names.push(b"name 0");
    twice(&pack(&names));
}

#[test]
fn elements_get_their_shortest_shape() {
    let bytes = b"\x15\0\0\0\x02\0\x8212\x03\xf4\x03\0\0\0\0\0\0\0\x09\xff".to_vec();
    let list = read(&nodes(Type::ListListpacks, &[(2, bytes)]), &Limits::default()).unwrap();
    assert_eq!(contents(list.as_ref()), Contents::List(vec![b"12".to_vec(), b"3".to_vec()]));
    assert!(matches!(list.as_ref().value(), Value::Packed(Form::List, b"\x02\0\x0c\x01\x03\x01")));
}

#[test]
fn sorted_sets_are_put_in_order() {
    let bytes = blob(Type::SortedSetListpack, &pack(&[b"b", b"5", b"a", b"5", b"c", b"-1"]));
    let in_order = |limits: &Limits| contents(read(&bytes, limits).unwrap().as_ref());
    let member = |name: &str, score: f64| (name.as_bytes().to_vec(), score);
    let expected = Contents::SortedSet(vec![member("c", -1.0), member("a", 5.0), member("b", 5.0)]);
    assert_eq!(in_order(&Limits::default()), expected);
    assert_eq!(in_order(&narrow()), expected);
}

#[test]
fn payloads_tell_versions_and_checksums() {
    let entry = OwnedEntry::new(b"key", NewValue::from_bytes(b"hello"), None);
    let mut payload = Vec::new();
    (CODEC.dump)(entry.as_ref(), &DUMP, &mut payload);
    assert_eq!(payload, b"\x00\x05hello\x50\x00\xac\x58\x16\xe7\xfb\x66\x47\xfe", "as Valkey writes it");
    let limits = Limits::default();
    let restore = |payload: &[u8], any_version: bool| {
        let rules =
            RestoreRules { limits: &limits, hasher: &hasher(), any_version, skips_checksum: false, now: Millis(1) };
        (CODEC.restore)(payload, &rules).map(|_| ())
    };
    for end in 0..payload.len() {
        assert_eq!(restore(&payload[..end], true), Err(Refused::VersionOrChecksum));
    }
    for bit in 0..payload.len() * 8 {
        let mut flipped = payload.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(restore(&flipped, true), Err(Refused::VersionOrChecksum));
    }
    for version in [0_u16, 1, 11, 12, 79, 80, 81, 65535] {
        let mut other = [&payload[..7], &version.to_le_bytes()].concat();
        let checksum = super::crc64::crc64(&other);
        other.extend_from_slice(&checksum.to_le_bytes());
        let is_known = matches!(version, 1..=11 | 80);
        assert_eq!(restore(&other, false).is_ok(), is_known, "{version}");
        assert_eq!(restore(&other, true).is_ok(), version > 0, "{version}");
    }
}

#[test]
fn streams_are_what_was_written() {
    let entry = read(&stream(Type::Stream3), &Limits::default()).unwrap();
    let Value::Stream(stream) = entry.as_ref().value() else { panic!("it is a stream") };
    let id = StreamId::new;
    let entries = &stream.entries;
    assert_eq!((entries.len(), entries.first_id(), entries.last_id()), (2, id(5, 1), id(7, 0)));
    assert_eq!((entries.max_deleted_id(), entries.entries_added()), (id(5, 2), 3));
    let all: Vec<(StreamId, Vec<(Text, Text)>)> = entries
        .range(StreamId::MIN, StreamId::MAX, false)
        .map(|(id, fields)| (id, fields.map(|(name, value)| (text(name), text(value))).collect()))
        .collect();
    let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let last = vec![pair("x", "1"), pair("y", "long-long-text")];
    assert_eq!(all, [(id(5, 1), vec![pair("a", "b")]), (id(7, 0), last)]);
    let group = stream.groups.find(b"group").unwrap();
    assert_eq!((group.last_id, group.entries_read, group.pending_len()), (id(7, 0), Some(3), 1));
    let bob = group.consumer(group.find_consumer(b"bob").unwrap());
    assert_eq!((bob.seen, bob.active, bob.pending_len()), (Millis(2000), Some(Millis(3000)), 1));
    let delivery = group.find_pending(id(7, 0)).unwrap();
    assert_eq!((delivery.time, delivery.count), (Millis(1000), 2));
}

#[test]
fn large_streams_come_back() {
    let mut stream = Stream::new();
    let limits = Limits::default();
    for number in 1..=3000_u64 {
        let (name, value) = (format!("field {}", number % 3), format!("value {number}"));
        let pairs = [(name.as_bytes(), value.as_bytes()), (&b"n"[..], &b"17"[..])];
        let id = StreamId::new(number / 7 * 1_000_000_007, number);
        stream.entries.append(id, pairs[..1 + number as usize % 2].iter().copied(), &limits);
        if number % 5 == 0 {
            assert!(stream.entries.delete(id));
        }
    }
    for name in [&b"b"[..], b"a", b"12"] {
        let mut group = Group::new(name, StreamId::new(5, 5), None);
        for (at, consumer) in [&b"z"[..], b"y", b"nobody has seen it"].iter().enumerate() {
            let (index, _) = group.make_consumer(consumer, Millis(at as i64));
            for number in 0..100 * at as u64 {
                group.deliver(StreamId::new(number, at as u64), index, Millis(7), number << 30);
            }
        }
        assert!(stream.groups.add(group));
    }
    let entry = |stream: Box<Stream>| OwnedEntry::new(b"key", NewValue::Large(Large::Stream(stream)), None);
    comes_back(&entry(stream.copy()));
    // Counters that were set to the largest number and went on from there.
    let above = i64::MAX as u64 + 2;
    stream.entries.set_entries_added(above);
    assert!(stream.groups.add(Group::new(b"far", StreamId::new(5, 5), Some(above))));
    comes_back(&entry(stream.copy()));
    stream.groups = Groups::default();
    comes_back(&entry(stream));
}

#[test]
fn damaged_streams_are_refused() {
    let whole = stream(Type::Stream3);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        assert_ne!(bytes, whole);
        refuses(&bytes);
    };
    // Behind the node: 2 entries, last id 7-0, first 5-1, deleted 5-2, 3 added, then the group.
    let at = whole.windows(8).position(|part| part == [2, 7, 0, 5, 1, 5, 2, 3]).unwrap();
    with(&|bytes| bytes[at] = 3);
    with(&|bytes| bytes[at + 1] = 6);
    with(&|bytes| bytes[at + 7] = 1);
    let ids: Vec<usize> = (at..whole.len()).filter(|at| whole[*at..].starts_with(&raw_id(7, 0))).collect();
    assert_eq!(ids.len(), 2);
    // Nobody has what is pending, or a consumer has what is not.
    with(&|bytes| bytes[ids[0] + 15] = 1);
    with(&|bytes| bytes[ids[1] + 15] = 1);
    with(&|bytes| {
        bytes.truncate(ids[1] - 1);
        bytes.push(0);
    });
}

#[test]
fn large_values_come_back() {
    let names: Vec<Vec<u8>> =
        (0..12_000).map(|number| format!("name {}", number * 7919 % 12_000).into_bytes()).collect();
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let members: Vec<(&[u8], f64)> = names.iter().enumerate().map(|(at, name)| (*name, at as f64 / 3.0)).collect();
    for bytes in [
        strings(Type::List, names.len(), &names),
        strings(Type::Set, names.len(), &names),
        strings(Type::Hash, names.len() / 2, &names),
        scored(&members),
        scored(&members.iter().rev().copied().collect::<Vec<_>>()),
        blob(Type::HashListpack, &pack(&names)),
        blob(Type::SortedSetListpack, &pack(&[&names[..1], &[b"1"]].concat())),
        blob(Type::SetIntset, &intset(4, &(0..2000).collect::<Vec<_>>())),
    ] {
        comes_back(&read(&bytes, &Limits::default()).unwrap());
    }
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        (-200..200_i64).prop_map(|value| value.to_string().into_bytes()),
        (any::<u8>(), 0..300_usize).prop_map(|(byte, len)| vec![byte; len]),
        prop::collection::vec(any::<u8>(), 60..70),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn collections_come_back(texts in prop::collection::vec(any_text(), 1..160), is_narrow in any::<bool>()) {
        let limits = if is_narrow { narrow() } else { Limits::default() };
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let unique: Vec<&[u8]> = texts.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let list = read(&strings(Type::List, texts.len(), &texts), &limits).unwrap();
        prop_assert_eq!(contents(list.as_ref()), Contents::List(texts.iter().map(|text| text.to_vec()).collect()));
        let packed = nodes(Type::ListListpacks, &[(2, pack(&texts))]);
        prop_assert_eq!(contents(read(&packed, &limits).unwrap().as_ref()), contents(list.as_ref()));
        comes_back(&list);
        let set = read(&strings(Type::Set, unique.len(), &unique), &limits).unwrap();
        prop_assert_eq!(contents(set.as_ref()), Contents::Set(unique.iter().map(|text| text.to_vec()).collect()));
        let packed = blob(Type::SetListpack, &pack(&unique));
        prop_assert_eq!(contents(read(&packed, &limits).unwrap().as_ref()), contents(set.as_ref()));
        comes_back(&set);
        let pairs: Vec<&[u8]> = unique.iter().enumerate().flat_map(|(at, name)| [*name, texts[at]]).collect();
        let hash = read(&strings(Type::Hash, unique.len(), &pairs), &limits).unwrap();
        let packed = blob(Type::HashListpack, &pack(&pairs));
        prop_assert_eq!(contents(read(&packed, &limits).unwrap().as_ref()), contents(hash.as_ref()));
        let zipped = blob(Type::HashZiplist, &zip(&pairs));
        prop_assert_eq!(contents(read(&zipped, &limits).unwrap().as_ref()), contents(hash.as_ref()));
        comes_back(&hash);
    }

    #[test]
    fn scores_and_times_come_back(
        members in prop::collection::btree_map(any_text(), (any::<f64>(), 0..i64::MAX), 1..160),
        is_narrow in any::<bool>()
    ) {
        let limits = if is_narrow { narrow() } else { Limits::default() };
        let scores: Vec<(&[u8], f64)> =
            members.iter().map(|(name, (score, _))| (&name[..], if score.is_nan() { 1.0 } else { *score })).collect();
        comes_back(&read(&scored(&scores), &limits).unwrap());
        let fields: Vec<(&[u8], &[u8], i64)> = members.iter().map(|(name, (_, at))| (&name[..], &name[..], *at)).collect();
        comes_back(&read(&expiring(&fields), &limits).unwrap());
    }

    #[test]
    fn rubbish_is_refused_or_a_value(kind in 0..23_u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let limits = narrow();
        let rules = RestoreRules { limits: &limits, hasher: &hasher(), any_version: false, skips_checksum: false, now: Millis(1) };
        if let Some(kind) = Type::of(kind)
            && let Ok(mut value) = decode::value(&mut Reader::new(&bytes), kind, &rules)
        {
            comes_back(&OwnedEntry::new(b"key", value.as_new().unwrap(), None));
        }
    }
}
