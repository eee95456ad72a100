//! MessagePack to values. No count or length in the text is believed: nothing is allocated before the bytes are there.

use std::ffi::c_int;

use super::super::number::to_i64;
use super::super::scratch::Level;
use super::super::stack::{Call, Kind, Raise, Stack};

/// `cmsgpack.unpack(text)`: all values.
pub(super) fn unpack(call: &mut Call<'_>) -> Result<usize, Raise> {
    values(call, 0, 0)
}

/// `cmsgpack.unpack_one(text, offset)`: where to go on, or -1, and one value.
pub(super) fn unpack_one(call: &mut Call<'_>) -> Result<usize, Raise> {
    let offset = offset(call, 2)?;
    keep_text(call);
    values(call, 1, offset)
}

/// `cmsgpack.unpack_limit(text, limit, offset)`: where to go on, or -1, and up to so many values; all of them if both are 0.
pub(super) fn unpack_limit(call: &mut Call<'_>) -> Result<usize, Raise> {
    let limit = to_i64(call.stack.number_argument(2)?);
    let offset = offset(call, 3)?;
    keep_text(call);
    values(call, limit, offset)
}

fn offset(call: &Call<'_>, index: c_int) -> Result<i64, Raise> {
    if call.stack.is_absent_or_nil(index) { Ok(0) } else { Ok(to_i64(call.stack.number_argument(index)?)) }
}

/// Leaves the first argument alone on the stack, if there is one.
fn keep_text(call: &Call<'_>) {
    call.stack.set_top(call.stack.top().min(1));
}

fn values(call: &mut Call<'_>, limit: i64, offset: i64) -> Result<usize, Raise> {
    let stack = call.stack;
    let text = stack.text_argument(1)?;
    // The texts show 32 bits of what is an offset and a length.
    let shown = (offset as i32, text.len() as i32);
    if offset < 0 || limit < 0 {
        let (offset, length) = shown;
        return Err(Raise::text(format!("Invalid request to unpack with offset of {offset} and limit of {length}.")));
    }
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let Some(rest) = text.get(start..) else {
        let (offset, length) = shown;
        return Err(Raise::text(format!("Start offset {offset} greater than input length {length}.")));
    };
    let gives_all = limit == 0 && offset == 0;
    let mut reader = Reader { rest };
    let mut count = 0;
    while !reader.rest.is_empty() && (gives_all || count < limit) {
        value(stack, &mut reader, &mut call.scratch.levels)?;
        count += 1;
    }
    if gives_all {
        return Ok(count as usize);
    }
    if !stack.has_room(1) {
        return Err(Raise::overflow("in function mp_unpack_full"));
    }
    let next = if reader.rest.is_empty() { -1.0 } else { (text.len() - reader.rest.len()) as f64 };
    stack.push_number(next);
    stack.insert(2);
    Ok(count as usize + 1)
}

struct Reader<'t> {
    rest: &'t [u8],
}

impl<'t> Reader<'t> {
    fn take(&mut self, count: usize) -> Result<&'t [u8], Raise> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Raise::text("Missing bytes in input."));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Raise> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    /// A number of `width` bytes, 8 at most.
    fn unsigned(&mut self, width: usize) -> Result<u64, Raise> {
        Ok(self.take(width)?.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }
}

/// What a byte, and those that belong to it, begin.
enum Item {
    /// A value, which was pushed.
    Whole,
    Array(u64),
    Map(u64),
}

/// Pushes the next value.
fn value(stack: Stack<'_>, reader: &mut Reader<'_>, levels: &mut Vec<Level>) -> Result<(), Raise> {
    // In Valkey an open array has a second place on the stack, for its index. So that as many tables fit into each other here
    // and there, it is counted.
    let mut indices = 0;
    loop {
        match item(stack, reader, indices)? {
            Item::Array(count) => {
                if !stack.has_room(2 + indices) {
                    return Err(Raise::overflow("in function mp_decode_to_lua_array"));
                }
                stack.push_table();
                if count > 0 {
                    levels.push(Level::Array { at: 0, count });
                    indices += 1;
                    continue;
                }
            }
            Item::Map(pairs) => {
                stack.push_table();
                if pairs > 0 {
                    levels.push(Level::Map { pairs, has_key: false });
                    continue;
                }
            }
            Item::Whole => {}
        }
        // A value is complete, and on top.
        loop {
            match levels.last_mut() {
                None => return Ok(()),
                Some(Level::Array { at, count }) => {
                    *at += 1;
                    stack.set_element(*at as c_int);
                    if at < count {
                        break;
                    }
                    indices -= 1;
                }
                Some(Level::Map { has_key, .. }) if !*has_key => {
                    *has_key = true;
                    break;
                }
                Some(Level::Map { pairs, has_key }) => {
                    check_key(stack)?;
                    stack.set_field();
                    *has_key = false;
                    *pairs -= 1;
                    if *pairs > 0 {
                        break;
                    }
                }
            }
            levels.pop();
        }
    }
}

/// Refuses a key, below the top, that no table takes.
fn check_key(stack: Stack<'_>) -> Result<(), Raise> {
    match stack.kind(-2) {
        Kind::Nil => Err(Raise::bare("table index is nil")),
        Kind::Number if stack.number(-2).is_nan() => Err(Raise::bare("table index is NaN")),
        _ => Ok(()),
    }
}

fn item(stack: Stack<'_>, reader: &mut Reader<'_>, indices: usize) -> Result<Item, Raise> {
    let kind = reader.unsigned(1)? as u8;
    if !stack.has_room(1 + indices) {
        return Err(Raise::overflow("too many return values at once; use unpack_one or unpack_limit instead."));
    }
    match kind {
        0x00..=0x7f | 0xe0..=0xff => stack.push_number((kind as i8).into()),
        0x80..=0x8f => return Ok(Item::Map((kind & 0x0f).into())),
        0x90..=0x9f => return Ok(Item::Array((kind & 0x0f).into())),
        0xa0..=0xbf => stack.push_bytes(reader.take((kind & 0x1f).into())?),
        0xc0 => stack.push_nil(),
        0xc2 | 0xc3 => stack.push_boolean(kind == 0xc3),
        0xca => stack.push_number(f32::from_be_bytes(reader.array()?).into()),
        0xcb => stack.push_number(f64::from_be_bytes(reader.array()?)),
        // Those of 8 bytes are read as signed, though they are not.
        0xcc..=0xcf => stack.push_number(reader.unsigned(1 << (kind - 0xcc))? as i64 as f64),
        0xd0..=0xd3 => {
            let width = 1 << (kind - 0xd0);
            let unused = 64 - 8 * width as u32;
            stack.push_number(((reader.unsigned(width)? << unused) as i64 >> unused) as f64);
        }
        0xd9..=0xdb => {
            let length = reader.unsigned(1 << (kind - 0xd9))?;
            stack.push_bytes(reader.take(length as usize)?);
        }
        0xdc | 0xdd => return Ok(Item::Array(reader.unsigned(2 << (kind - 0xdc))?)),
        0xde | 0xdf => return Ok(Item::Map(reader.unsigned(2 << (kind - 0xde))?)),
        // Never used, binary, extensions.
        0xc1 | 0xc4..=0xc9 | 0xd4..=0xd8 => return Err(Raise::text("Bad data format in input.")),
    }
    Ok(Item::Whole)
}
