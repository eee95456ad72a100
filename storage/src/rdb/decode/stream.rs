//! Streams.

use super::{TWICE, shortest};
use crate::rdb::format::{FormatError, NO_COUNT, NO_TIME, NODE_DELETED, NODE_SAME_NAMES, Type};
use crate::rdb::listpack::Elements;
use crate::rdb::read::{Read, Reader};
use ringkey_core::codec::Restored;
use ringkey_core::keyspace::Large;
use ringkey_core::units::Millis;
use ringkey_core::value::Element;
use ringkey_core::value::stream::group::Group;
use ringkey_core::value::stream::{Entries, NodeBuilder, Stream, StreamId};

/// What an id takes as bytes in its order.
const RAW_ID_BYTES: usize = 16;

/// The least that a node takes: its id as a string, and a listpack.
const NODE_BYTES_MIN: usize = 1 + RAW_ID_BYTES + 1;

/// The least that a group takes: name, id, two counts.
const GROUP_BYTES_MIN: usize = 5;

/// The least that a consumer takes: name, time, count.
const CONSUMER_BYTES_MIN: usize = 10;

/// The least that a pending entry takes: id, time, count.
const PENDING_BYTES_MIN: usize = RAW_ID_BYTES + 9;

const WRONG: FormatError = FormatError("a node of a stream is damaged");

/// A stream of one of its three types.
pub fn stream(reader: &mut Reader<'_>, kind: Type) -> Read<Restored> {
    let mut stream = Stream::new();
    let nodes = reader.count(NODE_BYTES_MIN)?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..nodes {
        let id = reader.blob(&mut first)?.try_into().map_err(|_| WRONG)?;
        let elements = Elements::new(reader.blob(&mut second)?)?;
        let node = node(from_raw(id), elements)?;
        if !stream.entries.push_node(node) {
            return Err(FormatError("a node of a stream without entries, or out of order"));
        }
    }
    memory(reader, &mut stream.entries, kind)?;
    let mut groups = Vec::new();
    for _ in 0..reader.count(GROUP_BYTES_MIN)? {
        groups.push(group(reader, &stream.entries, kind)?);
    }
    // In order, or adding them would take long.
    groups.sort_unstable_by(|one, other| one.name().cmp(other.name()));
    for group in groups {
        if !stream.groups.add(group) {
            return Err(TWICE);
        }
    }
    Ok(Restored::Large(Large::Stream(stream)))
}

fn from_raw(raw: [u8; RAW_ID_BYTES]) -> StreamId {
    let number = u128::from_be_bytes(raw);
    StreamId::new((number >> 64) as u64, number as u64)
}

fn id(reader: &mut Reader<'_>) -> Read<StreamId> {
    Ok(StreamId::new(reader.number()?, reader.number()?))
}

fn raw_id(reader: &mut Reader<'_>) -> Read<StreamId> {
    reader.array().map(from_raw)
}

/// A time. None was ever before 1970, and differences to now must not overflow.
fn time(reader: &mut Reader<'_>) -> Read<Millis> {
    reader.integer().map(|at| Millis(at.max(0)))
}

/// The next element of a node, in its shortest form.
#[inline]
fn element<'a>(elements: &mut Elements<'a>) -> Read<Element<'a>> {
    elements.take()?.map(shortest).ok_or(WRONG)
}

/// A count of elements that are still to come.
#[inline]
fn count(elements: &mut Elements<'_>) -> Read<usize> {
    let count = usize::try_from(elements.integer()?).map_err(|_| WRONG)?;
    if count > elements.rest().len() { Err(WRONG) } else { Ok(count) }
}

/// Reads a node.
fn node(first: StreamId, mut elements: Elements<'_>) -> Read<NodeBuilder> {
    let elements = &mut elements;
    let (live, deleted) = (count(elements)?, count(elements)?);
    let mut names = Vec::new();
    for _ in 0..count(elements)? {
        names.push(element(elements)?);
    }
    // Without back lengths a node takes about three quarters of its listpack.
    let mut node = NodeBuilder::new(first, names.into_iter(), elements.body().len() * 3 / 4);
    if elements.integer()? != 0 {
        return Err(WRONG);
    }
    let (mut seen, mut encoded) = ([0, 0], Vec::new());
    for _ in 0..live + deleted {
        let is_deleted = entry(first, elements, &mut node, &mut encoded)?;
        seen[usize::from(is_deleted)] += 1;
    }
    if seen != [live, deleted] || elements.take()?.is_some() {
        return Err(WRONG);
    }
    Ok(node)
}

/// Reads an entry; is it deleted? `encoded` is room for its fields.
#[inline]
fn entry(first: StreamId, elements: &mut Elements<'_>, node: &mut NodeBuilder, encoded: &mut Vec<u8>) -> Read<bool> {
    let from = elements.seen();
    let flags = elements.integer()?;
    let (ms, seq) = (elements.integer()?, elements.integer()?);
    let id = StreamId::new(first.ms.wrapping_add(ms as u64), first.seq.wrapping_add(seq as u64));
    let (is_deleted, has_same) = (flags & NODE_DELETED != 0, flags & NODE_SAME_NAMES != 0);
    let len = if has_same { node.names_len() } else { count(elements)? };
    if len == 0 {
        return Err(WRONG);
    }
    encoded.clear();
    let mut listpack = 0;
    for _ in 0..if has_same { len } else { 2 * len } {
        listpack += elements.carry(encoded)?;
    }
    node.push_encoded(id, is_deleted, has_same, len, encoded, listpack);
    let written = elements.seen() - from;
    if usize::try_from(elements.integer()?) == Ok(written) { Ok(is_deleted) } else { Err(WRONG) }
}

/// Reads what the stream remembers, which must go with its entries.
fn memory(reader: &mut Reader<'_>, entries: &mut Entries, kind: Type) -> Read<()> {
    let len = reader.number()?;
    let last = id(reader)?;
    let (mut max_deleted, mut added) = (StreamId::MIN, len);
    if kind != Type::Stream1 {
        let _first = id(reader)?;
        max_deleted = id(reader)?;
        added = reader.number()?;
    }
    if len != entries.len() as u64 || last < entries.last_id() || added < len {
        return Err(FormatError("ids or counts that do not go with the entries of the stream"));
    }
    entries.set_last_id(last);
    entries.set_max_deleted_id(max_deleted);
    entries.set_entries_added(added);
    Ok(())
}

fn group(reader: &mut Reader<'_>, entries: &Entries, kind: Type) -> Read<Box<Group>> {
    let mut unpacked = Vec::new();
    let name = reader.blob(&mut unpacked)?;
    let last = id(reader)?;
    let read = match kind {
        Type::Stream1 => entries.count_up_to(last),
        _ => Some(reader.number()?).filter(|&count| count != NO_COUNT),
    };
    let mut group = Group::new(name, last, read);
    for _ in 0..reader.count(PENDING_BYTES_MIN)? {
        let (id, at, count) = (raw_id(reader)?, time(reader)?, reader.number()?);
        if !group.load_pending(id, at, count.min(i64::MAX as u64)) {
            return Err(TWICE);
        }
    }
    consumers(reader, &mut group, kind)?;
    if group.is_assigned() { Ok(group) } else { Err(FormatError("a pending entry that nobody has")) }
}

/// A consumer, and where its entries are read.
struct Loaded<'a> {
    name: Vec<u8>,
    seen: Millis,
    active: Option<Millis>,
    count: usize,
    ids: Reader<'a>,
}

fn consumers(reader: &mut Reader<'_>, group: &mut Group, kind: Type) -> Read<()> {
    let (mut all, mut unpacked) = (Vec::new(), Vec::new());
    for _ in 0..reader.count(CONSUMER_BYTES_MIN)? {
        let name = reader.blob(&mut unpacked)?.to_vec();
        let seen = time(reader)?;
        let active = match kind {
            Type::Stream3 => reader.integer().map(|at| (at != NO_TIME).then_some(Millis(at.max(0))))?,
            _ => Some(seen),
        };
        let count = reader.count(RAW_ID_BYTES)?;
        all.push(Loaded { name, seen, active, count, ids: *reader });
        reader.take(count * RAW_ID_BYTES)?;
    }
    // In order, or adding them would take long.
    all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    for Loaded { name, seen, active, count, mut ids } in all {
        let (index, is_new) = group.make_consumer(&name, seen);
        if !is_new {
            return Err(FormatError("Duplicate stream consumer detected"));
        }
        group.consumer_mut(index).active = active;
        for _ in 0..count {
            if !group.assign(raw_id(&mut ids)?, index) {
                return Err(FormatError("a consumer has what is not pending, or what another one has"));
            }
        }
    }
    Ok(())
}
