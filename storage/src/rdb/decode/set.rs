//! Sets.

use super::packing::{COUNT_MAX, Packing};
use super::{TWICE, is_longer};
use crate::rdb::format::FormatError;
use crate::rdb::listpack;
use crate::rdb::read::{Read, Reader};
use ringkey_core::codec::{RestoreRules, Restored};
use ringkey_core::keyspace::{Form, Large};
use ringkey_core::number::parse_integer;
use ringkey_core::value::set::Set;
use ringkey_core::value::{Element, PACKED_HEAD_BYTES, is_bare};

/// Sets of integers have no more members, whatever the settings say.
const INTEGERS_MAX: usize = 1 << 30;

/// Members as strings: integers if all are, and few; packed if they are few and short; else a table.
pub fn members(reader: &mut Reader<'_>, rules: &RestoreRules<'_>) -> Read<Restored> {
    let count = reader.some(1)?;
    if count <= rules.limits.set_intset_entries.min(INTEGERS_MAX) {
        for attempt in [integers, packed] {
            let mut from = *reader;
            if let Some(set) = attempt(&mut from, count, rules)? {
                *reader = from;
                return Ok(set);
            }
        }
    }
    let mut set = Set::with_room(rules.hasher, count);
    let mut unpacked = Vec::new();
    for _ in 0..count {
        add(&mut set, reader.string(&mut unpacked)?)?;
    }
    Ok(Restored::Large(Large::Set(set)))
}

fn add(set: &mut Set, member: Element<'_>) -> Read<()> {
    if set.insert(member.text(&mut itoa::Buffer::new())) { Ok(()) } else { Err(TWICE) }
}

/// The members as integers, if they are.
fn integers(reader: &mut Reader<'_>, count: usize, _rules: &RestoreRules<'_>) -> Read<Option<Restored>> {
    let mut integers = Vec::new();
    let mut unpacked = Vec::new();
    for _ in 0..count {
        let value = match reader.string(&mut unpacked)? {
            Element::Int(value) => Some(value),
            Element::Bytes(text) => parse_integer(text),
        };
        match value {
            Some(value) => integers.push(value),
            None => return Ok(None),
        }
    }
    integers.sort_unstable();
    if integers.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(TWICE);
    }
    let fits = |width: u32| integers.iter().all(|value| value << (64 - 8 * width) >> (64 - 8 * width) == *value);
    let width = if fits(2) { 2 } else { if fits(4) { 4 } else { 8 } };
    let mut bytes = Vec::with_capacity(PACKED_HEAD_BYTES + integers.len() * width);
    bytes.extend_from_slice(&[width as u8, 0]);
    integers.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()[..width]));
    Ok(Some(Restored::Packed(Form::IntSet, bytes)))
}

/// The members packed, if they fit.
fn packed(reader: &mut Reader<'_>, count: usize, rules: &RestoreRules<'_>) -> Read<Option<Restored>> {
    if count > rules.limits.set_entries.min(COUNT_MAX) {
        return Ok(None);
    }
    let mut packing = Packing::new(count, 0);
    let mut unpacked = Vec::new();
    for _ in 0..count {
        let member = reader.string(&mut unpacked)?;
        if is_longer(&member, rules.limits.set_value_bytes) || !packing.name(member) {
            return Ok(None);
        }
    }
    Ok(Some(Restored::Packed(Form::Set, packing.finish(rules.hasher)?)))
}

/// Members as a listpack: packed if they are few, else a table.
pub fn listpack(bytes: &[u8], rules: &RestoreRules<'_>) -> Read<Restored> {
    let elements = listpack::Elements::new(bytes)?;
    if elements.bound() <= rules.limits.set_entries.min(COUNT_MAX) {
        let (mut left, mut packing) = (elements.clone(), Packing::new(elements.bound(), bytes.len()));
        let mut fits = true;
        while fits && let Some(member) = left.take()? {
            fits = packing.name(member);
        }
        if fits {
            let bytes = packing.finish(rules.hasher)?;
            return if is_bare(&bytes) { Err(EMPTY) } else { Ok(Restored::Packed(Form::Set, bytes)) };
        }
    }
    let mut set = Set::with_room(rules.hasher, elements.bound());
    let mut left = elements;
    while let Some(member) = left.take()? {
        add(&mut set, member)?;
    }
    Ok(Restored::Large(Large::Set(set)))
}

const EMPTY: FormatError = FormatError("a set without members");

const WRONG: FormatError = FormatError("a set of integers is damaged");

/// Sorted integers: as they are if they are few, else a table.
pub fn intset(bytes: &[u8], rules: &RestoreRules<'_>) -> Read<Restored> {
    let mut reader = Reader::new(bytes);
    let (width, count) = (u32::from_le_bytes(reader.array()?), u32::from_le_bytes(reader.array()?) as usize);
    let integers = reader.rest();
    let is_whole = matches!(width, 2 | 4 | 8) && Some(integers.len()) == count.checked_mul(width as usize);
    if !is_whole || count == 0 {
        return Err(WRONG);
    }
    let width = width as usize;
    let values = integers.chunks_exact(width).map(|bytes| {
        let mut wide = [0; 8];
        wide[8 - width..].copy_from_slice(bytes);
        i64::from_le_bytes(wide) >> (64 - 8 * width)
    });
    if values.clone().zip(values.clone().skip(1)).any(|(one, next)| one >= next) {
        return Err(WRONG);
    }
    if count <= rules.limits.set_intset_entries.min(INTEGERS_MAX) {
        return Ok(Restored::Packed(Form::IntSet, [&[width as u8, 0], integers].concat()));
    }
    let mut set = Set::with_room(rules.hasher, count);
    values.for_each(|value| set.insert_absent(itoa::Buffer::new().format(value).as_bytes()));
    Ok(Restored::Large(Large::Set(set)))
}
