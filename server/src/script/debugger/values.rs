//! Values of Lua as text for people, without names of types: `{1; 2; {[a]=true; }; }`.
//!
//! **What makes it sound.** Everything here runs in a function that Lua calls, with room for what is pushed; an error is a jump, and nothing
//! lives in these frames that would have to be dropped: the text belongs to the debugger.
#![allow(unsafe_code)]

use mlua::ffi::{self, lua_State};
use std::ffi::c_int;
use std::slice;

/// Tables in tables are shown so deep.
const DEPTH_MAX: usize = 10;

/// Room for a number.
const NUMBER_BYTES: usize = 32;

/// Appends the value at `index`, which is counted from the bottom of the stack; `most`: a text of about so many bytes is enough.
///
/// # Safety
/// In a function that Lua calls. `out` is not touched otherwise meanwhile.
pub unsafe fn append(state: *mut lua_State, index: c_int, most: usize, out: *mut Vec<u8>) {
    // SAFETY: as the head of the module says.
    unsafe { append_at(state, index, 0, most, out) }
}

unsafe fn append_at(state: *mut lua_State, index: c_int, depth: usize, most: usize, out: *mut Vec<u8>) {
    // SAFETY: as the head of the module says.
    unsafe {
        if depth == DEPTH_MAX {
            return (*out).extend_from_slice(b"<max recursion level reached! Nested table?>");
        }
        if (*out).len() > most {
            return;
        }
        match ffi::lua_type(state, index) {
            ffi::LUA_TNIL => (*out).extend_from_slice(b"nil"),
            ffi::LUA_TBOOLEAN => {
                let text: &[u8] = if ffi::lua_toboolean(state, index) != 0 { b"true" } else { b"false" };
                (*out).extend_from_slice(text);
            }
            ffi::LUA_TNUMBER => append_number(ffi::lua_tonumber(state, index), out),
            ffi::LUA_TSTRING => {
                let mut len = 0;
                let text = ffi::lua_tolstring(state, index, &mut len);
                let shown = len.min(most.saturating_sub((*out).len()) + 1);
                (*out).extend_from_slice(slice::from_raw_parts(text.cast(), shown));
            }
            ffi::LUA_TTABLE => append_table(state, index, depth, most, out),
            kind => append_address(state, index, kind, out),
        }
    }
}

/// Six digits, as C's `%g`.
unsafe fn append_number(number: f64, out: *mut Vec<u8>) {
    let mut text = [0_u8; NUMBER_BYTES];
    // SAFETY: it writes no more than there is room for, with a zero at the end.
    unsafe {
        let len = libc::snprintf(text.as_mut_ptr().cast(), NUMBER_BYTES, c"%g".as_ptr(), number);
        (*out).extend_from_slice(&text[..usize::try_from(len).unwrap_or(0).min(NUMBER_BYTES - 1)]);
    }
}

unsafe fn append_address(state: *mut lua_State, index: c_int, kind: c_int, out: *mut Vec<u8>) {
    let name: &[u8] = match kind {
        ffi::LUA_TFUNCTION => b"\"function@",
        ffi::LUA_TUSERDATA => b"\"userdata@",
        ffi::LUA_TTHREAD => b"\"thread@",
        _ => b"\"light-userdata@",
    };
    // SAFETY: as the head of the module says.
    let mut at = unsafe { ffi::lua_topointer(state, index) } as usize;
    let mut digits = [b'0'; 2 * size_of::<usize>()];
    let mut first = digits.len();
    while at > 0 {
        first -= 1;
        digits[first] = b"0123456789abcdef"[at % 16];
        at /= 16;
    }
    // SAFETY: likewise.
    unsafe {
        (*out).extend_from_slice(name);
        (*out).extend_from_slice(b"0x");
        (*out).extend_from_slice(&digits[first..]);
        (*out).push(b'"');
    }
}

/// Are the keys 1, 2, 3 and so on, in this order?
unsafe fn is_array(state: *mut lua_State, table: c_int) -> bool {
    // SAFETY: as the head of the module says.
    unsafe {
        let (top, mut expected) = (ffi::lua_gettop(state), 1.0);
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, table) != 0 {
            ffi::lua_settop(state, top + 1);
            if ffi::lua_type(state, top + 1) != ffi::LUA_TNUMBER || ffi::lua_tonumber(state, top + 1) != expected {
                ffi::lua_settop(state, top);
                return false;
            }
            expected += 1.0;
        }
        true
    }
}

unsafe fn append_table(state: *mut lua_State, table: c_int, depth: usize, most: usize, out: *mut Vec<u8>) {
    // SAFETY: as the head of the module says.
    unsafe {
        ffi::luaL_checkstack_(state, 4, c"too deep a table".as_ptr());
        let (top, is_array) = (ffi::lua_gettop(state), is_array(state, table));
        (*out).push(b'{');
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, table) != 0 {
            if (*out).len() > most {
                break;
            }
            if !is_array {
                (*out).push(b'[');
                append_at(state, top + 1, depth + 1, most, out);
                (*out).extend_from_slice(b"]=");
            }
            append_at(state, top + 2, depth + 1, most, out);
            (*out).extend_from_slice(b"; ");
            ffi::lua_settop(state, top + 1);
        }
        ffi::lua_settop(state, top);
        (*out).push(b'}');
    }
}
