//! Lists.

use super::shortest;
use crate::rdb::format::{FormatError, NODE_PACKED, NODE_PLAIN};
use crate::rdb::read::{Read, Reader, Text};
use crate::rdb::{listpack, ziplist};
use bytes::Bytes;
use ringkey_core::codec::{RestoreRules, Restored};
use ringkey_core::keyspace::{Form, Large};
use ringkey_core::value::Element;
use ringkey_core::value::list::{Builder, Built};

fn finish(builder: Builder, settles: bool) -> Read<Restored> {
    match builder.finish(settles) {
        Some(Built::Packed(bytes)) => Ok(Restored::Packed(Form::List, bytes)),
        Some(Built::Large(list)) => Ok(Restored::Large(Large::List(list))),
        None => Err(FormatError("a list without elements")),
    }
}

/// Elements as strings.
pub fn elements(reader: &mut Reader<'_>, rules: &RestoreRules<'_>) -> Read<Restored> {
    let count = reader.some(1)?;
    let (mut builder, mut unpacked) = (Builder::new(rules.limits), Vec::new());
    for _ in 0..count {
        builder.push(reader.string(&mut unpacked)?.text(&mut itoa::Buffer::new()));
    }
    finish(builder, true)
}

/// Nodes that are listpacks, or one element each.
pub fn listpacks(reader: &mut Reader<'_>, rules: &RestoreRules<'_>) -> Read<Restored> {
    let count = reader.some(2)?;
    let (mut builder, mut unpacked, mut again) = (Builder::new(rules.limits), Vec::new(), Vec::new());
    for _ in 0..count {
        match reader.number()? {
            NODE_PLAIN => builder.plain(plain(reader)?),
            NODE_PACKED => node(&mut builder, reader.blob(&mut unpacked)?, &mut again)?,
            _ => return Err(FormatError("a node of unknown form")),
        }
    }
    finish(builder, true)
}

/// One element of any length but none.
fn plain(reader: &mut Reader<'_>) -> Read<Bytes> {
    let bytes = match reader.text()? {
        Text::Here(text) => Bytes::copy_from_slice(text),
        Text::Int(value) => Bytes::copy_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Text::Unpacked(text) => Bytes::from(text),
    };
    if bytes.is_empty() { Err(FormatError("a node that is an empty element")) } else { Ok(bytes) }
}

/// The elements of a listpack as a node; one without elements is left out.
fn node(builder: &mut Builder, bytes: &[u8], again: &mut Vec<u8>) -> Read<()> {
    let mut elements = listpack::Elements::new(bytes)?;
    let (mut is_shortest, mut left) = (true, elements.body().len());
    while let Some(element) = elements.take()? {
        let size = left - elements.rest().len();
        left -= size;
        let encoded = element.encoded_len();
        is_shortest &= shortest(element) == element && encoded + listpack::back_bytes(encoded) == size;
    }
    let (body, count) = (elements.body(), elements.seen());
    if count == 0 {
        return Ok(());
    }
    if is_shortest {
        builder.node(body, count);
        return Ok(());
    }
    again.clear();
    let mut elements = listpack::Elements::new(bytes)?;
    while let Some(element) = elements.take()? {
        listpack::write(again, &shortest(element));
    }
    builder.node(again, count);
    Ok(())
}

/// Nodes that are ziplists.
pub fn ziplists(reader: &mut Reader<'_>, rules: &RestoreRules<'_>) -> Read<Restored> {
    let count = reader.some(1)?;
    let (mut builder, mut unpacked, mut again) = (Builder::new(rules.limits), Vec::new(), Vec::new());
    for _ in 0..count {
        let mut elements = ziplist::Elements::new(reader.blob(&mut unpacked)?)?;
        again.clear();
        let mut count = 0;
        while let Some(element) = elements.take()? {
            listpack::write(&mut again, &shortest(element));
            count += 1;
        }
        if count > 0 {
            builder.node(&again, count);
        }
    }
    finish(builder, true)
}

/// All elements in one ziplist. They are dealt out anew, and the list does not become a listpack, as in Valkey.
pub fn ziplist(bytes: &[u8], rules: &RestoreRules<'_>) -> Read<Restored> {
    let mut elements = ziplist::Elements::new(bytes)?;
    let mut builder = Builder::new(rules.limits);
    while let Some(element) = elements.take()? {
        let element: Element<'_> = element;
        builder.push(element.text(&mut itoa::Buffer::new()));
    }
    finish(builder, false)
}
