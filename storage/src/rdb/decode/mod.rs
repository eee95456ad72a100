//! Reading values.
//!
//! What a value becomes here, packed or large, follows the limits as they are now, to the letter of Valkey's rules, which
//! differ from type to type: clients see the result by OBJECT ENCODING. Large values are filled as they are read; nothing
//! is collected first.

mod hash;
mod list;
mod packing;
mod pairs;
mod set;
mod stream;
mod zset;

use super::format::{FormatError, Type};
use super::read::{Read, Reader, Text};
use bytes::Bytes;
use ringkey_core::codec::{RestoreRules, Restored};
use ringkey_core::number::parse_integer;
use ringkey_core::value::Element;

/// Longest text that may be an integer.
const INTEGER_TEXT_BYTES_MAX: usize = 20;

const TWICE: FormatError = FormatError("an element that is there twice");

/// Reads the value of this type.
///
/// # Errors
/// The bytes are no such value.
pub fn value(reader: &mut Reader<'_>, kind: Type, rules: &RestoreRules<'_>) -> Read<Restored> {
    let mut unpacked = Vec::new();
    match kind {
        Type::String => string(reader),
        Type::List => list::elements(reader, rules),
        Type::ListListpacks => list::listpacks(reader, rules),
        Type::ListZiplists => list::ziplists(reader, rules),
        Type::ListZiplist => list::ziplist(reader.blob(&mut unpacked)?, rules),
        Type::Set => set::members(reader, rules),
        Type::SetIntset => set::intset(reader.blob(&mut unpacked)?, rules),
        Type::SetListpack => set::listpack(reader.blob(&mut unpacked)?, rules),
        Type::SortedSetText => zset::members(reader, rules, 2, Reader::score_text),
        Type::SortedSet => zset::members(reader, rules, 9, Reader::score),
        Type::SortedSetListpack => zset::packed(&mut pairs::Listpack(reader.blob(&mut unpacked)?), rules),
        Type::SortedSetZiplist => zset::packed(&mut pairs::Ziplist(reader.blob(&mut unpacked)?), rules),
        Type::Hash => hash::fields(reader, rules),
        Type::HashExpiring => hash::expiring(reader, rules),
        Type::HashListpack => hash::packed(&mut pairs::Listpack(reader.blob(&mut unpacked)?), rules, false),
        Type::HashZiplist => hash::packed(&mut pairs::Ziplist(reader.blob(&mut unpacked)?), rules, false),
        Type::HashZipmap => hash::packed(&mut pairs::Zipmap(reader.blob(&mut unpacked)?), rules, true),
        Type::Stream1 | Type::Stream2 | Type::Stream3 => stream::stream(reader, kind),
    }
}

fn string(reader: &mut Reader<'_>) -> Read<Restored> {
    let integer = |text: &[u8]| match text.len() {
        1..=INTEGER_TEXT_BYTES_MAX => parse_integer(text).map(Restored::Int),
        _ => None,
    };
    Ok(match reader.text()? {
        Text::Int(value) => Restored::Int(value),
        Text::Here(text) => integer(text).unwrap_or_else(|| Restored::Bytes(Bytes::copy_from_slice(text))),
        Text::Unpacked(text) => integer(&text).unwrap_or_else(|| Restored::Bytes(Bytes::from(text))),
    })
}

/// An element in its shortest form.
#[inline]
fn shortest(element: Element<'_>) -> Element<'_> {
    match element {
        Element::Bytes(text) => Element::of(text),
        Element::Int(_) => element,
    }
}

/// Has the text more bytes?
#[inline]
fn is_longer(element: &Element<'_>, than: usize) -> bool {
    match element {
        Element::Bytes(text) => text.len() > than,
        Element::Int(_) => than < INTEGER_TEXT_BYTES_MAX && element.text_len() > than,
    }
}
