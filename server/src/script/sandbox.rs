//! What scripts see of Lua, and that they cannot change it.
//!
//! Scripts share one interpreter, so nothing that all of them see may be changed: the globals, the libraries, the metatable of
//! strings. Lua 5.1 has no such tables. A protected table is therefore an empty one, the **front**, with a metatable that
//! reads from the real one and refuses to write; the real one is in no script's reach. The functions that go around metatables
//! (`rawset`, `next`, `table.insert` and the like) are replaced by ones that know fronts.
//!
//! **What makes it sound.** All functions here are called by Lua, or by others here, while an error of Lua is caught further up
//! on the same stack. Indices name values that are there, pushes stay within the room that Lua leaves (20 values) or has been
//! asked for, and texts stay on the stack while they are looked at. An error is a jump, so nothing that would have to be dropped
//! is alive where Lua is called.
#![allow(unsafe_code)]

pub mod functions;

pub use functions::globals_of_functions;

use super::run;
use mlua::ffi::{self, lua_CFunction, lua_State};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::{mem, ptr};

/// Fields of the metatable of a front: what marks it, the real table, what `getmetatable` shows.
const MARK: c_int = 1;
const REAL: c_int = 2;
const SHOWN: c_int = 3;

/// Its address marks fronts; scripts cannot make a light userdata.
static SEAL: u8 = 0;

/// Libraries that scripts see.
const LIBRARIES: &[&CStr] =
    &[c"string", c"table", c"math", c"os", c"coroutine", c"cjson", c"cmsgpack", c"struct", c"bit", c"server"];

/// Globals of Lua that scripts do not see.
const REMOVED: &[&CStr] = &[
    c"dofile",
    c"loadfile",
    c"print",
    c"getfenv",
    c"setfenv",
    c"newproxy",
    c"require",
    c"module",
    c"package",
    c"debug",
];

/// So many quantifiers and captures in a pattern are followed; each takes stack.
const PATTERN_DEPTH_MAX: usize = 2000;

/// The longest string that `string.rep` makes, in bytes: what is longer would not fit beside the rest.
const REPEATED_BYTES_MAX: usize = super::memory::INTERPRETER_BYTES_MAX;

fn seal() -> *mut c_void {
    ptr::from_ref(&SEAL).cast_mut().cast()
}

/// Raises an error with a text as it is.
///
/// # Safety
/// Inside of a function that Lua calls, with nothing alive that would have to be dropped.
pub unsafe fn raise(state: *mut lua_State, text: &[u8]) -> ! {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
        ffi::lua_error(state)
    }
}

/// Raises an error with the place in front of the text that called this function.
///
/// # Safety
/// As for [`raise`].
pub unsafe fn raise_at(state: *mut lua_State, text: &[u8]) -> ! {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::luaL_where(state, 1);
        ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}

const READ_ONLY: &[u8] = b"Attempt to modify a readonly table";

/// Replaces the table on top of the stack by a front of it; below it lies what `getmetatable` is to show, which goes.
///
/// # Safety
/// Under protection, with room for five more values.
unsafe fn protect(state: *mut lua_State) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_createtable(state, 0, 0);
        ffi::lua_createtable(state, 3, 3);
        ffi::lua_pushlightuserdata(state, seal());
        ffi::lua_rawseti_(state, -2, MARK);
        ffi::lua_pushvalue(state, -3);
        ffi::lua_rawseti_(state, -2, REAL);
        ffi::lua_pushvalue(state, -4);
        ffi::lua_rawseti_(state, -2, SHOWN);
        ffi::lua_pushvalue(state, -3);
        ffi::lua_setfield(state, -2, c"__index".as_ptr());
        ffi::lua_pushcfunction(state, refuse_write);
        ffi::lua_setfield(state, -2, c"__newindex".as_ptr());
        ffi::lua_setmetatable(state, -2);
        // Below: what is shown, the real table, the front.
        ffi::lua_replace(state, -3);
        ffi::lua_settop(state, -2);
    }
}

/// Is the value at `index` a front? Then its metatable's field is pushed.
unsafe fn push_of_front(state: *mut lua_State, index: c_int, field: c_int) -> bool {
    // SAFETY: see the head of the module.
    unsafe {
        if ffi::lua_type(state, index) != ffi::LUA_TTABLE || ffi::lua_getmetatable(state, index) == 0 {
            return false;
        }
        ffi::lua_rawgeti_(state, -1, MARK);
        let is_front = ffi::lua_touserdata(state, -1) == seal();
        ffi::lua_settop(state, -2);
        if is_front {
            ffi::lua_rawgeti_(state, -1, field);
            ffi::lua_replace(state, -2);
        } else {
            ffi::lua_settop(state, -2);
        }
        is_front
    }
}

/// If the first argument is a front, puts the real table in its place.
unsafe fn look_behind(state: *mut lua_State) -> bool {
    // SAFETY: see the head of the module.
    unsafe {
        let is_front = push_of_front(state, 1, REAL);
        if is_front {
            ffi::lua_replace(state, 1);
        }
        is_front
    }
}

/// The function that a wrapper stands for: its first upvalue.
unsafe fn original(state: *mut lua_State) -> lua_CFunction {
    // SAFETY: `wrap` has put a function's address there, and no script reaches upvalues.
    unsafe { mem::transmute::<*mut c_void, lua_CFunction>(ffi::lua_touserdata(state, ffi::lua_upvalueindex(1))) }
}

unsafe extern "C-unwind" fn refuse_write(state: *mut lua_State) -> c_int {
    unsafe { raise_at(state, READ_ONLY) }
}

/// For functions that change their first argument.
unsafe extern "C-unwind" fn unless_front(state: *mut lua_State) -> c_int {
    unsafe {
        if push_of_front(state, 1, MARK) {
            raise(state, READ_ONLY);
        }
        original(state)(state)
    }
}

/// For functions that only read their first argument.
unsafe extern "C-unwind" fn on_real(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        look_behind(state);
        original(state)(state)
    }
}

unsafe extern "C-unwind" fn getmetatable(state: *mut lua_State) -> c_int {
    unsafe {
        if push_of_front(state, 1, SHOWN) {
            return 1;
        }
        original(state)(state)
    }
}

/// `next` of the real table, for a loop over a front.
unsafe extern "C-unwind" fn pairs(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let is_front = push_of_front(state, 1, MARK);
        ffi::lua_settop(state, 1);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(if is_front { 2 } else { 1 }));
        ffi::lua_pushvalue(state, 1);
        ffi::lua_pushnil(state);
        3
    }
}

/// A read of a global that is not there.
unsafe extern "C-unwind" fn nonexistent(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        if ffi::lua_gettop(state) != 2 {
            raise_at(state, b"Wrong number of arguments to luaProtectedTableError");
        }
        if ffi::lua_isstring(state, 2) == 0 {
            raise_at(state, b"Second argument to luaProtectedTableError must be a string or number");
        }
        let name = ffi::lua_tolstring(state, 2, ptr::null_mut());
        ffi::luaL_error(state, c"Script attempted to access nonexistent global variable '%s'".as_ptr(), name)
    }
}

/// `pcall`, which gives the text of an error where the error is a table with one, as it was before there were such tables.
unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::luaL_checkany(state, 1);
        let status = ffi::lua_pcall(state, ffi::lua_gettop(state) - 1, ffi::LUA_MULTRET, 0);
        run::go_on(state);
        if ffi::lua_checkstack(state, 2) == 0 {
            raise_at(state, b"stack overflow");
        }
        if status != 0 && ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            ffi::lua_getfield_(state, -1, c"err".as_ptr());
            match ffi::lua_isstring(state, -1) {
                0 => ffi::lua_settop(state, -2),
                _ => ffi::lua_replace(state, -2),
            }
        }
        ffi::lua_pushboolean(state, (status == 0).into());
        ffi::lua_insert(state, 1);
        ffi::lua_gettop(state)
    }
}

/// `xpcall`, whose handler is not asked when the run is to end.
unsafe extern "C-unwind" fn xpcall(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_pushcclosure(state, handle, 1);
        ffi::lua_insert(state, 1);
        let status = ffi::lua_pcall(state, 0, ffi::LUA_MULTRET, 1);
        run::go_on(state);
        ffi::lua_pushboolean(state, (status == 0).into());
        ffi::lua_replace(state, 1);
        ffi::lua_gettop(state)
    }
}

unsafe extern "C-unwind" fn handle(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_settop(state, 1);
        if run::must_end() {
            return 1;
        }
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, 1, 1);
        1
    }
}

/// `coroutine.resume`, which does not hide that the run is to end.
unsafe extern "C-unwind" fn resume(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let results = original(state)(state);
        run::go_on(state);
        results
    }
}

/// What a chunk is read from: at most two pieces.
struct Pieces {
    pieces: [&'static [u8]; 2],
}

/// Gives Lua the next piece of a [`Pieces`].
unsafe extern "C-unwind" fn next_piece(_: *mut lua_State, pieces: *mut c_void, len: *mut usize) -> *const c_char {
    // SAFETY: `load_text` hands both over.
    let (pieces, len) = unsafe { (&mut *pieces.cast::<Pieces>(), &mut *len) };
    let piece = mem::take(pieces.pieces.iter_mut().find(|piece| !piece.is_empty()).unwrap_or(&mut &[][..]));
    *len = piece.len();
    if piece.is_empty() { ptr::null() } else { piece.as_ptr().cast() }
}

/// What bytes begin with that are no text but were compiled.
const COMPILED: u8 = 0x1b;

/// Compiles a text, never anything else, and pushes the function, or a message; the answer is Lua's status.
///
/// # Safety
/// `code` stays where it is during the call, and `name` ends with a zero byte.
pub unsafe fn load_text(state: *mut lua_State, code: &[u8], name: *const c_char) -> c_int {
    // A blank in front makes anything a text.
    let first: &[u8] = if code.first() == Some(&COMPILED) { b" " } else { b"" };
    // SAFETY: the pieces are read during the call only.
    let mut pieces = unsafe { Pieces { pieces: [first, mem::transmute::<&[u8], &'static [u8]>(code)] } };
    unsafe { ffi::lua_load(state, next_piece, ptr::from_mut(&mut pieces).cast(), name) }
}

/// What `load` and `loadstring` return.
unsafe fn loaded(state: *mut lua_State, status: c_int) -> c_int {
    unsafe {
        if status == 0 {
            return 1;
        }
        ffi::lua_pushnil(state);
        ffi::lua_insert(state, -2);
        2
    }
}

unsafe extern "C-unwind" fn loadstring(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let mut len = 0;
        let code = ffi::luaL_checklstring(state, 1, &mut len);
        let name = ffi::luaL_optlstring(state, 2, code, ptr::null_mut());
        // SAFETY: the string is on the stack, so it stays.
        let status = load_text(state, std::slice::from_raw_parts(code.cast(), len), name);
        loaded(state, status)
    }
}

unsafe extern "C-unwind" fn load(state: *mut lua_State) -> c_int {
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        let name = ffi::luaL_optlstring(state, 2, c"=(load)".as_ptr(), ptr::null_mut());
        // The function, its name, and a place for the piece under way.
        ffi::lua_settop(state, 3);
        let mut is_first = true;
        let status = ffi::lua_load(state, next_from_function, ptr::from_mut(&mut is_first).cast(), name);
        run::go_on(state);
        loaded(state, status)
    }
}

unsafe extern "C-unwind" fn next_from_function(
    state: *mut lua_State,
    is_first: *mut c_void,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: see the head of the module.
    unsafe {
        let is_first = is_first.cast::<bool>();
        ffi::luaL_checkstack_(state, 3, c"too many nested functions".as_ptr());
        ffi::lua_pushvalue(state, 1);
        ffi::lua_call(state, 0, 1);
        *len = 0;
        if ffi::lua_type(state, -1) == ffi::LUA_TNIL {
            return ptr::null();
        }
        if ffi::lua_isstring(state, -1) == 0 {
            ffi::luaL_error(state, c"reader function must return a string".as_ptr());
        }
        let piece = ffi::lua_tolstring(state, -1, len);
        if mem::take(&mut *is_first) && *len > 0 && *piece.cast::<u8>() == COMPILED {
            raise(state, b"(load):1: unexpected symbol near 'char(27)'");
        }
        ffi::lua_replace(state, 3);
        piece
    }
}

/// For functions that take a pattern as their second argument.
unsafe extern "C-unwind" fn with_pattern(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        if ffi::lua_type(state, 2) == ffi::LUA_TSTRING {
            let mut len = 0;
            let pattern = ffi::lua_tolstring(state, 2, &mut len);
            // SAFETY: the string is on the stack, so it stays.
            let pattern = std::slice::from_raw_parts(pattern.cast::<u8>(), len);
            let steps = |byte: &&u8| matches!(byte, b'*' | b'+' | b'-' | b'?' | b'(' | b')');
            if len > PATTERN_DEPTH_MAX && pattern.iter().filter(steps).count() > PATTERN_DEPTH_MAX {
                raise_at(state, b"pattern too complex");
            }
        }
        original(state)(state)
    }
}

/// `string.rep`, which neither counts to a large number for nothing nor fills the memory before it fails.
unsafe extern "C-unwind" fn rep(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let mut len = 0;
        ffi::luaL_checklstring(state, 1, &mut len);
        let count = ffi::luaL_checkinteger(state, 2) as i32;
        if len == 0 {
            ffi::lua_settop(state, 1);
            return 1;
        }
        if count > 0 && len.saturating_mul(count as usize) > REPEATED_BYTES_MAX {
            raise(state, b"not enough memory");
        }
        original(state)(state)
    }
}

/// `collectgarbage`, which may not change how memory is reclaimed.
unsafe extern "C-unwind" fn collectgarbage(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let mut len = 0;
        let option = ffi::luaL_optlstring(state, 1, c"collect".as_ptr(), &mut len);
        // SAFETY: the string is on the stack, or fixed.
        match std::slice::from_raw_parts(option.cast::<u8>(), len) {
            b"stop" | b"restart" | b"setpause" | b"setstepmul" => {
                ffi::lua_pushinteger(state, 0);
                1
            }
            _ => original(state)(state),
        }
    }
}

/// Replaces a function of the table on top of the stack.
unsafe fn wrap(state: *mut lua_State, name: &CStr, with: lua_CFunction) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_getfield_(state, -1, name.as_ptr());
        let Some(function) = ffi::lua_tocfunction(state, -1) else {
            return ffi::lua_settop(state, -2);
        };
        ffi::lua_settop(state, -2);
        ffi::lua_pushlightuserdata(state, function as *mut c_void);
        ffi::lua_pushcclosure(state, with, 1);
        ffi::lua_setfield(state, -2, name.as_ptr());
    }
}

unsafe fn wrap_globals(state: *mut lua_State) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_pushvalue(state, ffi::LUA_GLOBALSINDEX);
        ffi::lua_getfield_(state, -1, c"next".as_ptr());
        for (name, with) in [
            (c"rawset", unless_front as lua_CFunction),
            (c"setmetatable", unless_front),
            (c"rawget", on_real),
            (c"getmetatable", getmetatable),
            (c"collectgarbage", collectgarbage),
            (c"loadstring", loadstring),
            (c"load", load),
            (c"pcall", pcall),
            (c"xpcall", xpcall),
        ] {
            ffi::lua_pushvalue(state, -2);
            wrap(state, name, with);
            ffi::lua_settop(state, -2);
        }
        ffi::lua_pushvalue(state, -2);
        wrap(state, c"next", on_real);
        // `pairs` knows both functions that go to the next pair.
        ffi::lua_pushvalue(state, -2);
        ffi::lua_getfield_(state, -2, c"next".as_ptr());
        ffi::lua_pushcclosure(state, pairs, 2);
        ffi::lua_setfield(state, -2, c"pairs".as_ptr());
        ffi::lua_settop(state, -4);
    }
}

unsafe fn wrap_libraries(state: *mut lua_State) {
    let wrappers: &[(&CStr, &[&CStr], lua_CFunction)] = &[
        (c"table", &[c"insert", c"remove", c"sort", c"setn"], unless_front),
        (c"table", &[c"foreach", c"maxn"], on_real),
        (c"string", &[c"find", c"match", c"gmatch", c"gfind", c"gsub"], with_pattern),
        (c"string", &[c"rep"], rep),
        (c"coroutine", &[c"resume"], resume),
    ];
    for (library, names, with) in wrappers {
        // SAFETY: see the head of the module.
        unsafe {
            ffi::lua_getfield_(state, ffi::LUA_GLOBALSINDEX, library.as_ptr());
            names.iter().for_each(|name| wrap(state, name, *with));
            ffi::lua_settop(state, -2);
        }
    }
}

/// Opens those libraries of Lua that scripts may use.
///
/// # Safety
/// Under protection, on a new interpreter.
pub unsafe fn open_libraries(state: *mut lua_State) {
    let openers: &[(&CStr, lua_CFunction)] = &[
        (c"", ffi::luaopen_base),
        (c"table", ffi::luaopen_table),
        (c"string", ffi::luaopen_string),
        (c"math", ffi::luaopen_math),
        (c"os", ffi::luaopen_os),
    ];
    for (name, open) in openers {
        // SAFETY: see the head of the module.
        unsafe {
            ffi::lua_pushcfunction(state, *open);
            ffi::lua_pushlstring_(state, name.as_ptr(), name.to_bytes().len());
            ffi::lua_call(state, 1, 0);
        }
    }
    unsafe {
        // Of the system scripts see the time that the processor has used.
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_getfield_(state, ffi::LUA_GLOBALSINDEX, c"os".as_ptr());
        ffi::lua_getfield_(state, -1, c"clock".as_ptr());
        ffi::lua_setfield(state, -3, c"clock".as_ptr());
        ffi::lua_settop(state, -2);
        ffi::lua_setfield(state, ffi::LUA_GLOBALSINDEX, c"os".as_ptr());
        for name in REMOVED {
            ffi::lua_pushnil(state);
            ffi::lua_setfield(state, ffi::LUA_GLOBALSINDEX, name.as_ptr());
        }
    }
}

/// Protects the globals and what they lead to. The real table of the globals is left on the stack; the interpreter has a front
/// of it.
///
/// # Safety
/// Under protection, once all libraries are there.
pub unsafe fn close(state: *mut lua_State) {
    // SAFETY: see the head of the module.
    unsafe {
        wrap_globals(state);
        wrap_libraries(state);
        for name in LIBRARIES {
            ffi::lua_pushnil(state);
            ffi::lua_getfield_(state, ffi::LUA_GLOBALSINDEX, name.as_ptr());
            if ffi::lua_type(state, -1) != ffi::LUA_TTABLE {
                ffi::lua_settop(state, -3);
                continue;
            }
            protect(state);
            ffi::lua_setfield(state, ffi::LUA_GLOBALSINDEX, name.as_ptr());
        }
        ffi::lua_getfield_(state, ffi::LUA_GLOBALSINDEX, c"server".as_ptr());
        ffi::lua_setfield(state, ffi::LUA_GLOBALSINDEX, c"redis".as_ptr());
        close_strings(state);
        // The globals: reading one that is not there is an error.
        ffi::lua_pushvalue(state, ffi::LUA_GLOBALSINDEX);
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_pushcfunction(state, nonexistent);
        ffi::lua_setfield(state, -2, c"__index".as_ptr());
        ffi::lua_pushvalue(state, -1);
        ffi::lua_setmetatable(state, -3);
        // What it shows: a front of that metatable.
        ffi::lua_pushnil(state);
        ffi::lua_insert(state, -2);
        protect(state);
        ffi::lua_pushvalue(state, -2);
        protect(state);
        ffi::lua_pushvalue(state, -1);
        ffi::lua_setfield(state, -3, c"_G".as_ptr());
        ffi::lua_replace(state, ffi::LUA_GLOBALSINDEX);
    }
}

/// Protects the metatable of strings.
unsafe fn close_strings(state: *mut lua_State) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_pushlstring_(state, c"".as_ptr(), 0);
        if ffi::lua_getmetatable(state, -1) == 0 {
            return ffi::lua_settop(state, -2);
        }
        ffi::lua_pushnil(state);
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_getfield_(state, ffi::LUA_GLOBALSINDEX, c"string".as_ptr());
        ffi::lua_setfield(state, -2, c"__index".as_ptr());
        protect(state);
        ffi::lua_setfield(state, -2, c"__metatable".as_ptr());
        ffi::lua_settop(state, -3);
    }
}
