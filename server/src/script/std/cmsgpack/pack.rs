//! Values to MessagePack.

use std::ffi::c_int;

use super::super::number::as_integer;
use super::super::scratch::{Level, Output, Scratch};
use super::super::stack::{Call, Kind, Raise, Stack};

/// Tables in so many others are written as nil, which is also where cycles end.
const DEPTH_MAX: usize = 16;

/// `cmsgpack.pack(value, ...)`.
pub(super) fn pack(call: &mut Call<'_>) -> Result<usize, Raise> {
    let stack = call.stack;
    let arguments = stack.top();
    if arguments == 0 {
        return Err(Raise::argument(0, "MessagePack pack needs input."));
    }
    // Valkey puts the text of each on the stack before it joins them.
    if !stack.has_room(arguments as usize) {
        return Err(Raise::argument(0, "Too many arguments for MessagePack pack."));
    }
    let Scratch { out, levels } = &mut *call.scratch;
    for index in 1..=arguments {
        if stack.kind(index) != Kind::Table {
            scalar(stack, index, out)?;
            continue;
        }
        stack.push_copy(index);
        table(stack, out, levels)?;
        stack.set_top(arguments);
    }
    stack.push_bytes(out.as_bytes());
    Ok(1)
}

/// Writes the table on top with all that is in it.
fn table(stack: Stack<'_>, out: &mut Output, levels: &mut Vec<Level>) -> Result<(), Raise> {
    loop {
        // On top lies the next value to write; it goes when it is written, unless it is the first.
        if stack.kind(-1) == Kind::Table && levels.len() < DEPTH_MAX {
            open(stack, out, levels)?;
        } else {
            scalar(stack, -1, out)?;
            stack.set_top(-2);
        }
        loop {
            match levels.last_mut() {
                None => return Ok(()),
                Some(Level::Array { at, count }) if *at < *count => {
                    *at += 1;
                    stack.push_element(*at as c_int);
                    break;
                }
                Some(Level::Map { has_key, .. }) if *has_key => {
                    // A copy of the key is written and gone: now the value.
                    *has_key = false;
                    break;
                }
                Some(Level::Map { has_key, .. }) if stack.next() => {
                    if stack.kind(-2) == Kind::Table {
                        *has_key = true;
                        stack.push_copy(-2);
                    } else {
                        scalar(stack, -2, out)?;
                    }
                    break;
                }
                Some(Level::Array { .. } | Level::Map { .. }) => {}
            }
            levels.pop();
            if !levels.is_empty() {
                stack.set_top(-2);
            }
        }
    }
}

/// Begins with the table on top.
fn open(stack: Stack<'_>, out: &mut Output, levels: &mut Vec<Level>) -> Result<(), Raise> {
    // A table, a key, a value and a copy of the key.
    if !stack.has_room(4) {
        return Err(Raise::overflow("in function mp_encode_lua_table_as_map"));
    }
    let (pairs, is_array) = survey(stack);
    if is_array {
        header(out, pairs, 0x90, 0xdc)?;
        levels.push(Level::Array { at: 0, count: pairs });
    } else {
        header(out, pairs, 0x80, 0xde)?;
        stack.push_nil();
        levels.push(Level::Map { pairs, has_key: false });
    }
    Ok(())
}

/// How many pairs the table on top has, and whether their keys are the numbers from 1 on.
fn survey(stack: Stack<'_>) -> (u64, bool) {
    let (mut pairs, mut highest, mut is_array) = (0, 0, true);
    stack.push_nil();
    while stack.next() {
        pairs += 1;
        if is_array {
            let key = if stack.kind(-2) == Kind::Number { as_integer(stack.number(-2)) } else { None };
            match key {
                Some(key @ 1..) => highest = highest.max(key as u64),
                _ => is_array = false,
            }
        }
        stack.set_top(-2);
    }
    (pairs, is_array && highest == pairs)
}

/// Writes how many elements or pairs follow: up to 15 in one byte, else in 2 or 4 bytes of their own.
fn header(out: &mut Output, count: u64, short: u8, long: u8) -> Result<(), Raise> {
    if count <= 15 {
        out.byte(short | count as u8)
    } else if let Ok(count) = u16::try_from(count) {
        out.byte(long)?;
        out.bytes(&count.to_be_bytes())
    } else {
        out.byte(long + 1)?;
        out.bytes(&(count as u32).to_be_bytes())
    }
}

/// Writes a value; what MessagePack has no form for, and a table that is too deep, as nil.
fn scalar(stack: Stack<'_>, index: c_int, out: &mut Output) -> Result<(), Raise> {
    match stack.kind(index) {
        Kind::Text => text(stack.bytes(index), out),
        Kind::Number => number(stack.number(index), out),
        Kind::Boolean => out.byte(if stack.boolean(index) { 0xc3 } else { 0xc2 }),
        _ => out.byte(0xc0),
    }
}

fn text(bytes: &[u8], out: &mut Output) -> Result<(), Raise> {
    match bytes.len() {
        length @ 0..32 => out.byte(0xa0 | length as u8)?,
        length @ 32..=0xff => out.bytes(&[0xd9, length as u8])?,
        length @ 0x100..=0xffff => {
            out.byte(0xda)?;
            out.bytes(&(length as u16).to_be_bytes())?;
        }
        length => {
            out.byte(0xdb)?;
            out.bytes(&(length as u32).to_be_bytes())?;
        }
    }
    out.bytes(bytes)
}

fn number(number: f64, out: &mut Output) -> Result<(), Raise> {
    if let Some(integer) = as_integer(number) {
        return self::integer(integer, out);
    }
    let short = number as f32;
    if f64::from(short) == number {
        out.byte(0xca)?;
        out.bytes(&short.to_be_bytes())
    } else {
        out.byte(0xcb)?;
        out.bytes(&number.to_be_bytes())
    }
}

fn integer(value: i64, out: &mut Output) -> Result<(), Raise> {
    // One byte for the type and 1, 2, 4 or 8 of the number's last.
    let (kind, width) = match value {
        -32..=0x7f => return out.byte(value as u8),
        0x80..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..-32 => (0xd0, 1),
        -0x8000..-0x80 => (0xd1, 2),
        -0x8000_0000..-0x8000 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.byte(kind)?;
    out.bytes(&value.to_be_bytes()[8 - width..])
}
