//! Sorted sets.

use super::packing::{COUNT_MAX, Packing};
use super::pairs::Pairs;
use super::{TWICE, is_longer};
use crate::rdb::format::FormatError;
use crate::rdb::read::{Read, Reader, score_of};
use ringkey_core::codec::{RestoreRules, Restored};
use ringkey_core::keyspace::{Form, Large};
use ringkey_core::value::zset::SortedSetBuilder;
use ringkey_core::value::{Element, is_bare};

/// Members as strings, each with a score: packed if they are few and short. `least` is what both take at least, in bytes.
pub fn members<'a>(
    reader: &mut Reader<'a>,
    rules: &RestoreRules<'_>,
    least: usize,
    score: fn(&mut Reader<'a>) -> Read<f64>,
) -> Read<Restored> {
    let count = reader.some(least)?;
    let mut unpacked = Vec::new();
    if count <= rules.limits.zset_entries.min(COUNT_MAX) {
        let (mut from, mut scores) = (*reader, Vec::with_capacity(count));
        let mut packing = Packing::new(count, 0);
        while scores.len() < count {
            let member = from.string(&mut unpacked)?;
            let score = score(&mut from)?;
            if is_longer(&member, rules.limits.zset_value_bytes) || !packing.member(member, score) {
                break;
            }
            scores.push(score);
        }
        if scores.len() == count {
            *reader = from;
            return Ok(Restored::Packed(Form::SortedSet, packing.finish_sorted(rules.hasher, &scores)?));
        }
    }
    let mut set = SortedSetBuilder::for_about(rules.hasher.clone(), count);
    for _ in 0..count {
        let member = reader.string(&mut unpacked)?;
        add(&mut set, member, score(reader)?)?;
    }
    Ok(Restored::Large(Large::SortedSet(set.finish())))
}

#[inline]
fn add(set: &mut SortedSetBuilder, member: Element<'_>, score: f64) -> Read<()> {
    if set.add(member.text(&mut itoa::Buffer::new()), score) { Ok(()) } else { Err(TWICE) }
}

/// The score that an element stands for.
fn score(element: Element<'_>) -> Read<f64> {
    match element {
        Element::Int(score) => Ok(score as f64),
        Element::Bytes(text) => score_of(text),
    }
}

/// Members and scores as one run of bytes: packed if they are few.
pub fn packed(pairs: &mut impl Pairs, rules: &RestoreRules<'_>) -> Read<Restored> {
    let bound = pairs.bound();
    if bound <= rules.limits.zset_entries.min(COUNT_MAX) {
        let (mut packing, mut scores) = (Packing::new(bound, 0), Vec::with_capacity(bound));
        let is_packed = pairs.each(|member, text| {
            let score = score(text)?;
            scores.push(score);
            Ok(packing.member(member, score))
        })?;
        if is_packed {
            let bytes = packing.finish_sorted(rules.hasher, &scores)?;
            let empty = FormatError("a sorted set without members");
            return if is_bare(&bytes) { Err(empty) } else { Ok(Restored::Packed(Form::SortedSet, bytes)) };
        }
    }
    let mut set = SortedSetBuilder::for_about(rules.hasher.clone(), bound);
    pairs.each(|member, text| add(&mut set, member, score(text)?).map(|()| true))?;
    Ok(Restored::Large(Large::SortedSet(set.finish())))
}
