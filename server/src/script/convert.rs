//! Replies to Lua values and back, by Valkey's rules.
//!
//! What is here runs inside of functions that Lua calls and may leave by a jump when memory is short: nothing with a destructor
//! lives in a frame of this module.
//!
//! **What makes it sound.** All functions here are called by Lua, or by others here, while an error of Lua is caught further up
//! on the same stack. Indices name values that are there, pushes stay within the room that Lua leaves (20 values) or has been
//! asked for, and texts stay on the stack while they are looked at. An error is a jump, so nothing that would have to be dropped
//! is alive where Lua is called.
#![allow(unsafe_code)]

use super::run;
use mlua::ffi::{self, lua_State};
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Protocol, Reply, ReplyBuffer, SharedPart};
use std::ffi::{CStr, c_int};
use std::slice;

/// A place in the reply of a call.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    shared: &'a [SharedPart],
}

impl<'a> Cursor<'a> {
    /// The beginning of a reply.
    pub(super) fn of(reply: &'a ReplyBuffer) -> Self {
        Self { bytes: &reply.bytes, at: 0, shared: &reply.shared }
    }

    /// The kind of what follows and the rest of its line.
    #[inline]
    pub(super) fn line(&mut self) -> (u8, &'a [u8]) {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|byte| *byte == b'\r').unwrap_or(rest.len());
        self.at += (len + 2).min(rest.len());
        rest[..len].split_first().map_or((0, &[]), |(kind, line)| (*kind, line))
    }

    /// So many bytes, and the end of their line.
    pub(super) fn payload(&mut self, len: usize) -> &'a [u8] {
        if let Some((first, others)) = self.shared.split_first()
            && first.at == self.at
        {
            self.shared = others;
            self.at += 2;
            return &first.bytes;
        }
        let payload = &self.bytes[self.at..self.at + len];
        self.at += len + 2;
        payload
    }
}

/// Is a reply an error?
pub fn is_error(reply: &ReplyBuffer) -> bool {
    reply.bytes.first() == Some(&b'-')
}

/// Pushes the value of one reply.
///
/// # Safety
/// Under protection.
pub unsafe fn push_reply(state: *mut lua_State, reply: &ReplyBuffer) {
    // SAFETY: see the head of the module.
    unsafe { push_next(state, &mut Cursor::of(reply)) }
}

unsafe fn push_bytes(state: *mut lua_State, bytes: &[u8]) {
    unsafe { ffi::lua_pushlstring_(state, bytes.as_ptr().cast(), bytes.len()) }
}

/// Sets a field of the table on top of the stack.
unsafe fn set_bytes(state: *mut lua_State, field: &CStr, bytes: &[u8]) {
    unsafe {
        push_bytes(state, field.to_bytes());
        push_bytes(state, bytes);
        ffi::lua_rawset(state, -3);
    }
}

unsafe fn push_next(state: *mut lua_State, from: &mut Cursor<'_>) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::luaL_checkstack_(state, 8, c"too deep a reply".as_ptr());
        let (kind, line) = from.line();
        match kind {
            b':' => ffi::lua_pushnumber(state, parse_integer(line).unwrap_or(0) as f64),
            b'$' => match parse_integer(line) {
                Some(len @ 0..) => push_bytes(state, from.payload(len as usize)),
                _ => ffi::lua_pushboolean(state, 0),
            },
            b'+' => {
                ffi::lua_createtable(state, 0, 1);
                set_bytes(state, c"ok", line);
            }
            b'-' => push_error(state, line),
            b'*' | b'>' => match parse_integer(line) {
                Some(len @ 0..) => push_array(state, from, len as usize),
                _ => ffi::lua_pushboolean(state, 0),
            },
            b'%' => push_map(state, from, length(line)),
            b'~' => push_set(state, from, length(line)),
            b'#' => ffi::lua_pushboolean(state, (line == b"t").into()),
            b',' => {
                ffi::lua_createtable(state, 0, 1);
                push_bytes(state, b"double");
                ffi::lua_pushnumber(state, double(line));
                ffi::lua_rawset(state, -3);
            }
            b'(' => {
                ffi::lua_createtable(state, 0, 1);
                set_bytes(state, c"big_number", line);
            }
            b'=' => {
                let text = from.payload(length(line));
                push_verbatim(state, text);
            }
            b'|' => {
                for _ in 0..2 * length(line) {
                    push_next(state, from);
                    ffi::lua_settop(state, -2);
                }
                push_next(state, from);
            }
            _ => ffi::lua_pushnil(state),
        }
    }
}

fn length(line: &[u8]) -> usize {
    parse_integer(line).map_or(0, |len| len.max(0) as usize)
}

fn double(line: &[u8]) -> f64 {
    match line {
        b"inf" => f64::INFINITY,
        b"-inf" => f64::NEG_INFINITY,
        _ => str::from_utf8(line).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
    }
}

unsafe fn push_array(state: *mut lua_State, from: &mut Cursor<'_>, len: usize) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_createtable(state, c_int::try_from(len).unwrap_or(c_int::MAX), 0);
        for index in 1..=len {
            push_next(state, from);
            ffi::lua_rawseti_(state, -2, index as c_int);
        }
    }
}

unsafe fn push_map(state: *mut lua_State, from: &mut Cursor<'_>, len: usize) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        push_bytes(state, b"map");
        ffi::lua_createtable(state, 0, c_int::try_from(len).unwrap_or(c_int::MAX));
        for _ in 0..len {
            push_next(state, from);
            push_next(state, from);
            ffi::lua_rawset(state, -3);
        }
        ffi::lua_rawset(state, -3);
    }
}

unsafe fn push_set(state: *mut lua_State, from: &mut Cursor<'_>, len: usize) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        push_bytes(state, b"set");
        ffi::lua_createtable(state, 0, c_int::try_from(len).unwrap_or(c_int::MAX));
        for _ in 0..len {
            push_next(state, from);
            ffi::lua_pushboolean(state, 1);
            ffi::lua_rawset(state, -3);
        }
        ffi::lua_rawset(state, -3);
    }
}

unsafe fn push_verbatim(state: *mut lua_State, text: &[u8]) {
    // SAFETY: see the head of the module.
    unsafe {
        let (format, text) = text.split_at(text.len().min(4));
        ffi::lua_createtable(state, 0, 1);
        push_bytes(state, b"verbatim_string");
        ffi::lua_createtable(state, 0, 2);
        set_bytes(state, c"string", text);
        set_bytes(state, c"format", &format[..format.len().min(3)]);
        ffi::lua_rawset(state, -3);
    }
}

/// Pushes the table for an error reply, given without its mark and its end. Such an error was counted when it was made.
unsafe fn push_error(state: *mut lua_State, line: &[u8]) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_createtable(state, 0, 2);
        push_bytes(state, b"err");
        push_coded(state, line);
        ffi::lua_rawset(state, -3);
        push_bytes(state, b"ignore_error_stats_update");
        ffi::lua_pushboolean(state, 1);
        ffi::lua_rawset(state, -3);
    }
}

/// Pushes the text of an error that begins with its code; one of a single word gets one.
unsafe fn push_coded(state: *mut lua_State, text: &[u8]) {
    // SAFETY: see the head of the module.
    unsafe {
        match text.iter().position(|byte| *byte == b' ') {
            Some(at) => {
                let (code, rest) = text.split_at(at);
                push_bytes(state, code);
                push_bytes(state, b" ");
                push_bytes(state, trim_line_ends(&rest[1..]));
                ffi::lua_concat(state, 3);
            }
            None => {
                push_bytes(state, b"ERR ");
                push_bytes(state, trim_line_ends(text));
                ffi::lua_concat(state, 2);
            }
        }
    }
}

/// Pushes the table for an error of the code `ERR`.
///
/// # Safety
/// Under protection.
pub unsafe fn push_error_of(state: *mut lua_State, text: &[u8]) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::luaL_checkstack_(state, 6, c"stack overflow".as_ptr());
        ffi::lua_createtable(state, 0, 1);
        push_bytes(state, b"err");
        push_bytes(state, b"ERR ");
        push_bytes(state, trim_line_ends(text));
        ffi::lua_concat(state, 2);
        ffi::lua_rawset(state, -3);
    }
}

/// The same for a text that begins with its code.
///
/// # Safety
/// Under protection.
pub unsafe fn push_coded_error(state: *mut lua_State, text: &[u8]) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::luaL_checkstack_(state, 6, c"stack overflow".as_ptr());
        ffi::lua_createtable(state, 0, 1);
        push_bytes(state, b"err");
        push_coded(state, text);
        ffi::lua_rawset(state, -3);
    }
}

/// Without line ends at both ends.
fn trim_line_ends(text: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let from = text.iter().position(|byte| !is_end(byte)).unwrap_or(text.len());
    let to = text.iter().rposition(|byte| !is_end(byte)).map_or(from, |last| last + 1);
    &text[from..to]
}

/// The fields of tables that are more than arrays, as upvalues of the function that writes the reply. The number is the
/// upvalue's.
#[derive(Clone, Copy)]
pub struct Fields {
    first: c_int,
}

/// The names, in the order of their upvalues.
pub const FIELDS: &[&CStr] = &[
    c"err",
    c"ok",
    c"double",
    c"big_number",
    c"verbatim_string",
    c"map",
    c"set",
    c"format",
    c"string",
    c"ignore_error_stats_update",
];

const ERR: c_int = 0;
const OK: c_int = 1;
const DOUBLE: c_int = 2;
const BIG_NUMBER: c_int = 3;
const VERBATIM: c_int = 4;
const MAP: c_int = 5;
const SET: c_int = 6;
const FORMAT: c_int = 7;
const STRING: c_int = 8;
const IS_COUNTED: c_int = 9;

impl Fields {
    /// Fields whose names begin with upvalue `first`.
    pub const fn from(first: c_int) -> Self {
        Self { first }
    }

    /// Pushes a field of the table on top of the stack if it is of this type.
    #[inline]
    unsafe fn push(self, state: *mut lua_State, field: c_int, kind: c_int) -> bool {
        // SAFETY: see the head of the module.
        unsafe {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(self.first + field));
            ffi::lua_rawget(state, -2);
            if ffi::lua_type(state, -1) == kind {
                return true;
            }
            ffi::lua_settop(state, -2);
            false
        }
    }
}

/// The bytes of the string at `index`, which must stay where it is.
unsafe fn bytes_at<'a>(state: *mut lua_State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: the value is a string, so nothing is made and nothing moves.
    unsafe {
        let bytes = ffi::lua_tolstring(state, index, &mut len);
        slice::from_raw_parts(bytes.cast(), len)
    }
}

/// Up to the first zero byte, as C reads a text.
fn c_text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Writes a line that begins with `kind`; line ends in it become blanks.
pub fn write_line(reply: &mut Reply<'_>, kind: u8, text: &[u8]) {
    let out = &mut reply.buffer().bytes;
    out.push(kind);
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.extend_from_slice(b"\r\n");
}

/// Writes the value on top of the stack as a reply, and takes it off. `within` is the protocol that the script has chosen.
///
/// # Safety
/// Under protection, in the function whose upvalues `fields` names.
pub unsafe fn write_value(state: *mut lua_State, fields: Fields, within: Protocol, reply: &mut Reply<'_>) {
    // SAFETY: see the head of the module.
    unsafe {
        if ffi::lua_checkstack(state, 4) == 0 {
            reply.buffer().bytes.extend_from_slice(b"-ERR reached lua stack limit\r\n");
            return ffi::lua_settop(state, -2);
        }
        match ffi::lua_type(state, -1) {
            ffi::LUA_TSTRING => reply.bulk(bytes_at(state, -1)),
            ffi::LUA_TBOOLEAN => match (within, ffi::lua_toboolean(state, -1) != 0) {
                (Protocol::Resp2, true) => reply.integer(1),
                (Protocol::Resp2, false) => reply.null(),
                (Protocol::Resp3, value) => reply.boolean(value),
            },
            ffi::LUA_TNUMBER => reply.integer(truncated(ffi::lua_tonumber(state, -1))),
            ffi::LUA_TTABLE => {
                if !write_special(state, fields, within, reply) {
                    write_array(state, fields, within, reply);
                }
            }
            _ => reply.null(),
        }
        ffi::lua_settop(state, -2);
    }
}

/// The whole part of a number, as the processor makes it; what is out of range is the least integer.
fn truncated(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

/// Writes a table that stands for something; is it one? It stays on the stack.
unsafe fn write_special(state: *mut lua_State, fields: Fields, within: Protocol, reply: &mut Reply<'_>) -> bool {
    // SAFETY: see the head of the module.
    unsafe {
        if fields.push(state, ERR, ffi::LUA_TSTRING) {
            let text = trim_line_ends(c_text(bytes_at(state, -1)));
            write_line(reply, b'-', text);
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(fields.first + IS_COUNTED));
            ffi::lua_rawget(state, -3);
            run::note_error(text, ffi::lua_type(state, -1) != ffi::LUA_TNIL);
            ffi::lua_settop(state, -2);
        } else if fields.push(state, OK, ffi::LUA_TSTRING) {
            write_line(reply, b'+', c_text(bytes_at(state, -1)));
        } else if fields.push(state, DOUBLE, ffi::LUA_TNUMBER) {
            reply.double(ffi::lua_tonumber(state, -1));
        } else if fields.push(state, BIG_NUMBER, ffi::LUA_TSTRING) {
            write_big_number(reply, c_text(bytes_at(state, -1)));
        } else if write_verbatim(state, fields, reply) {
            return true;
        } else if fields.push(state, MAP, ffi::LUA_TTABLE) {
            write_pairs(state, fields, within, reply, true);
        } else if fields.push(state, SET, ffi::LUA_TTABLE) {
            write_pairs(state, fields, within, reply, false);
        } else {
            return false;
        }
        ffi::lua_settop(state, -2);
        true
    }
}

fn write_big_number(reply: &mut Reply<'_>, text: &[u8]) {
    if reply.is_resp3() {
        return write_line(reply, b'(', text);
    }
    reply.bulk(text);
    let (bytes, len) = (&mut reply.buffer().bytes, text.len());
    let end = bytes.len() - 2;
    for byte in &mut bytes[end - len..end] {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}

unsafe fn write_verbatim(state: *mut lua_State, fields: Fields, reply: &mut Reply<'_>) -> bool {
    // SAFETY: see the head of the module.
    unsafe {
        if !fields.push(state, VERBATIM, ffi::LUA_TTABLE) {
            return false;
        }
        let top = ffi::lua_gettop(state);
        let has_format = fields.push(state, FORMAT, ffi::LUA_TSTRING);
        if has_format {
            // The format lies above the table.
            ffi::lua_insert(state, -2);
        }
        let is_whole = has_format && fields.push(state, STRING, ffi::LUA_TSTRING);
        if is_whole {
            let (format, text) = (c_text(bytes_at(state, -3)), bytes_at(state, -1));
            if reply.is_resp3() {
                let mut name = [b' '; 3];
                let len = format.len().min(3);
                name[..len].copy_from_slice(&format[..len]);
                let out = &mut reply.buffer().bytes;
                out.push(b'=');
                write_decimal(out, text.len() + 4);
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(&name);
                out.push(b':');
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            } else {
                reply.bulk(text);
            }
        }
        ffi::lua_settop(state, top - 1);
        is_whole
    }
}

fn write_decimal(out: &mut Vec<u8>, mut value: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// Writes the pairs, or the keys, of the table on top of the stack.
unsafe fn write_pairs(state: *mut lua_State, fields: Fields, within: Protocol, reply: &mut Reply<'_>, is_map: bool) {
    // SAFETY: see the head of the module.
    unsafe {
        let mut count = 0;
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            ffi::lua_settop(state, -2);
            count += 1;
        }
        if is_map {
            reply.map(count)
        } else {
            reply.set(count)
        }
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            if is_map {
                ffi::lua_pushvalue(state, -2);
                write_value(state, fields, within, reply);
                write_value(state, fields, within, reply);
            } else {
                ffi::lua_settop(state, -2);
                ffi::lua_pushvalue(state, -1);
                write_value(state, fields, within, reply);
            }
        }
    }
}

/// Writes the elements of the table on top of the stack, up to the first that is nil.
unsafe fn write_array(state: *mut lua_State, fields: Fields, within: Protocol, reply: &mut Reply<'_>) {
    // SAFETY: see the head of the module.
    unsafe {
        let mut len = 0;
        loop {
            ffi::lua_rawgeti_(state, -1, len + 1);
            let is_end = ffi::lua_type(state, -1) == ffi::LUA_TNIL;
            ffi::lua_settop(state, -2);
            if is_end {
                break;
            }
            len += 1;
        }
        reply.array(len as usize);
        for index in 1..=len {
            ffi::lua_rawgeti_(state, -1, index);
            write_value(state, fields, within, reply);
        }
    }
}
