//! Hashes.

use super::packing::{COUNT_MAX, Packing};
use super::pairs::{Pairs, Strings};
use super::{TWICE, is_longer};
use crate::rdb::format::{FormatError, NO_EXPIRY};
use crate::rdb::read::{Read, Reader};
use ringkey_core::codec::{RestoreRules, Restored};
use ringkey_core::keyspace::{Form, Large, NewValue};
use ringkey_core::units::Millis;
use ringkey_core::value::Element;
use ringkey_core::value::hash::Hash;

/// The least that a pair of strings takes, in bytes.
const PAIR_BYTES_MIN: usize = 2;

/// Fields as strings: packed if they are few and short.
pub fn fields(reader: &mut Reader<'_>, rules: &RestoreRules<'_>) -> Read<Restored> {
    let count = reader.some(PAIR_BYTES_MIN)?;
    packed(&mut Strings { reader, count }, rules, true)
}

/// Fields as one run of bytes: packed if they are few, and short if that matters.
pub fn packed(pairs: &mut impl Pairs, rules: &RestoreRules<'_>, minds_length: bool) -> Read<Restored> {
    let longest = if minds_length { rules.limits.hash_value_bytes } else { usize::MAX };
    let bound = pairs.bound();
    if bound <= rules.limits.hash_entries.min(COUNT_MAX) {
        let mut packing = Packing::new(bound, 0);
        let is_packed = pairs.each(|field, value| {
            let fits = !is_longer(&field, longest) && !is_longer(&value, longest) && packing.name(field);
            if fits {
                packing.value(value);
            }
            Ok(fits)
        })?;
        if is_packed {
            return some(packing.finish(rules.hasher)?);
        }
    }
    let mut hash = Hash::with_room(rules.hasher.clone(), bound);
    pairs.each(|field, value| add(&mut hash, field, value, None).map(|()| true))?;
    Ok(Restored::Large(Large::Hash(Box::new(hash))))
}

/// Fields as strings, each with its expiry time.
pub fn expiring(reader: &mut Reader<'_>, rules: &RestoreRules<'_>) -> Read<Restored> {
    let count = reader.some(PAIR_BYTES_MIN + size_of::<i64>())?;
    let mut hash = Hash::with_room(rules.hasher.clone(), count);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let field = reader.string(&mut first)?;
        let value = reader.string(&mut second)?;
        let expire = match reader.integer()? {
            NO_EXPIRY => None,
            at @ 0.. => Some(Millis(at)),
            _ => return Err(FormatError("a field that expires before all time")),
        };
        add(&mut hash, field, value, expire)?;
    }
    Ok(Restored::Large(Large::Hash(Box::new(hash))))
}

#[inline]
fn add(hash: &mut Hash, field: Element<'_>, value: Element<'_>, expire: Option<Millis>) -> Read<()> {
    let value = match value {
        Element::Bytes(text) => NewValue::from_bytes(text),
        Element::Int(value) => NewValue::Int(value),
    };
    if hash.add(field.text(&mut itoa::Buffer::new()), value, expire) { Ok(()) } else { Err(TWICE) }
}

fn some(bytes: Vec<u8>) -> Read<Restored> {
    if ringkey_core::value::is_bare(&bytes) {
        return Err(FormatError("a collection without elements"));
    }
    Ok(Restored::Packed(Form::Hash, bytes))
}
