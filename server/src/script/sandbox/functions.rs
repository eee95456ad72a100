//! What functions of libraries see of Lua: what scripts see, but for keys and arguments, which they are given, and for what
//! belongs to EVAL alone.
#![allow(unsafe_code)]

use super::{REAL, nonexistent, protect, push_of_front};
use mlua::ffi::{self, lua_State};
use std::ffi::{CStr, c_int};

/// Globals of scripts that functions do not have, or have of their own.
const NOT_FOR_FUNCTIONS: &[&CStr] =
    &[c"KEYS", c"ARGV", c"_G", c"server", c"redis", c"__redis__err__handler", c"__server__err__handler"];

/// What of the table `server` is for scripts alone.
const SERVER_OF_SCRIPTS: &[&CStr] = &[c"breakpoint", c"debug", c"replicate_commands"];

/// Puts a copy of the table on top of the stack in its place, without these names.
unsafe fn copy_without(state: *mut lua_State, names: &[&CStr]) {
    // SAFETY: on the stack there are the table, its copy, and a key with its value.
    unsafe {
        let table = ffi::lua_gettop(state);
        ffi::lua_createtable(state, 0, 48);
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, table) != 0 {
            ffi::lua_pushvalue(state, -2);
            ffi::lua_insert(state, -2);
            ffi::lua_rawset(state, table + 1);
        }
        for name in names {
            ffi::lua_pushlstring_(state, name.as_ptr(), name.to_bytes().len());
            ffi::lua_pushnil(state);
            ffi::lua_rawset(state, table + 1);
        }
        ffi::lua_replace(state, table);
    }
}

/// Puts the globals that functions see in the place of the table on top of the stack, the real one of those that scripts see.
/// They are the real table, too: no function may reach it but through what is `_G` in it.
///
/// # Safety
/// Under protection, with room for eight more values, once the globals of scripts are protected.
pub unsafe fn globals_of_functions(state: *mut lua_State) {
    // SAFETY: what is expected on the stack is said at each step.
    unsafe {
        let globals: c_int = ffi::lua_gettop(state);
        ffi::lua_getfield_(state, globals, c"server".as_ptr());
        copy_without_globals(state, globals);
        // The table `server`: behind its front.
        if push_of_front(state, -1, REAL) {
            ffi::lua_replace(state, -2);
        }
        copy_without(state, SERVER_OF_SCRIPTS);
        ffi::lua_pushnil(state);
        ffi::lua_insert(state, -2);
        protect(state);
        for name in [c"server", c"redis"] {
            ffi::lua_pushvalue(state, -1);
            ffi::lua_setfield(state, globals, name.as_ptr());
        }
        ffi::lua_settop(state, globals);
        // Reading a global that is not there is an error; what the metatable shows is a front of itself.
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_pushcclosure(state, nonexistent, 0);
        ffi::lua_setfield(state, -2, c"__index".as_ptr());
        ffi::lua_pushvalue(state, -1);
        ffi::lua_setmetatable(state, globals);
        ffi::lua_pushnil(state);
        ffi::lua_insert(state, -2);
        protect(state);
        ffi::lua_pushvalue(state, globals);
        protect(state);
        ffi::lua_pushlstring_(state, c"_G".as_ptr(), 2);
        ffi::lua_insert(state, -2);
        ffi::lua_rawset(state, globals);
    }
}

/// Replaces the globals at `globals` by a copy for functions; what is above stays.
unsafe fn copy_without_globals(state: *mut lua_State, globals: c_int) {
    // SAFETY: the copy is made on top and then put in its place.
    unsafe {
        ffi::lua_pushvalue(state, globals);
        copy_without(state, NOT_FOR_FUNCTIONS);
        ffi::lua_replace(state, globals);
    }
}
