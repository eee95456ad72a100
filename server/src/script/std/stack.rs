#![allow(unsafe_code)]
//! Lua's stack as the libraries see it, and the way into them: the one place where they touch the interpreter's memory.
//!
//! A library is a table of functions from a [`Call`] to a number of results, or to a [`Raise`]. They never raise an error
//! of Lua themselves, which is a jump past everything that is alive: they hand a `Raise` back, and [`enter`] jumps when
//! nothing is left to be dropped. The one exception is Lua running out of memory; the frames that such a jump leaves own
//! nothing, because what grows lies in a [`Scratch`], which the next call then replaces.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::{ptr, slice};

use mlua::ffi;

use super::cjson::Settings;
use super::scratch::Scratch;

/// A function that scripts may call: takes its arguments from the stack, leaves its results on top and says how many.
pub(super) type Native = fn(&mut Call<'_>) -> Result<usize, Raise>;

/// What a library has besides functions.
pub(super) enum Constant {
    Text(&'static CStr),
    /// A light userdata of the null pointer, which stands for JSON's null.
    Null,
}

/// A table that becomes a global of scripts.
pub(super) struct Library {
    pub name: &'static CStr,
    pub functions: &'static [(&'static CStr, Native)],
    pub constants: &'static [(&'static CStr, Constant)],
}

/// What a function is given.
pub(super) struct Call<'c> {
    pub stack: Stack<'c>,
    pub settings: &'c Cell<Settings>,
    pub scratch: &'c mut Scratch,
}

/// An error for the script. Behind a pointer, so that results stay small.
#[derive(Debug)]
pub(super) struct Raise(Box<Trouble>);

#[derive(Debug)]
enum Trouble {
    /// The text behind the place in the script that called.
    Placed(Vec<u8>),
    /// The text alone.
    Bare(&'static str),
    /// `bad argument #n to 'name' (text)`.
    Argument(c_int, Vec<u8>),
    /// `bad argument #n to 'name' (type expected, got ..)`.
    Expected(c_int, &'static CStr),
}

impl Raise {
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self(Box::new(Trouble::Placed(text.into())))
    }

    pub fn bare(text: &'static str) -> Self {
        Self(Box::new(Trouble::Bare(text)))
    }

    pub fn argument(position: c_int, text: impl Into<Vec<u8>>) -> Self {
        Self(Box::new(Trouble::Argument(position, text.into())))
    }

    fn expected(position: c_int, type_name: &'static CStr) -> Self {
        Self(Box::new(Trouble::Expected(position, type_name)))
    }

    /// More stack was needed than Lua gives a function.
    pub fn overflow(place: &str) -> Self {
        Self::text(format!("stack overflow ({place})"))
    }

    pub fn out_of_memory() -> Self {
        Self::bare("not enough memory")
    }
}

/// The types of Lua's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Nil,
    Boolean,
    LightUserdata,
    Number,
    Text,
    Table,
    /// Functions, threads, userdata; `None` where no argument was given.
    Other,
}

/// The part of Lua's stack that belongs to one call of a function. Indices are Lua's: from 1, or from -1 at the top.
///
/// What its methods ask for: indices exist (or are arguments, for those that say so), and there is room for what is
/// pushed; a call has 20 places beyond its arguments, more after [`Stack::has_room`].
#[derive(Clone, Copy)]
pub(super) struct Stack<'c> {
    state: *mut ffi::lua_State,
    call: PhantomData<&'c ()>,
}

// SAFETY of the blocks below, where nothing else is said: `state` is the state that Lua handed to `enter` for the call that
// is under way, and the callers keep to the conditions above. None of these functions of Lua calls into a script: tables
// are read and written raw, and there are no finalizers in Lua 5.1 but those of the host.
impl<'c> Stack<'c> {
    /// How many values there are.
    pub fn top(self) -> c_int {
        // SAFETY: see above.
        unsafe { ffi::lua_gettop(self.state) }
    }

    /// Drops what lies above `top`, or fills up with nil.
    pub fn set_top(self, top: c_int) {
        // SAFETY: see above.
        unsafe { ffi::lua_settop(self.state, top) }
    }

    /// Is there room for `count` more? Lua gives a function 8,000 places in all.
    pub fn has_room(self, count: usize) -> bool {
        let Ok(count) = c_int::try_from(count) else { return false };
        // SAFETY: see above; only memory can be lacking.
        unsafe { ffi::lua_checkstack(self.state, count) != 0 }
    }

    /// The type of a value; of an argument, too, that was not given.
    pub fn kind(self, index: c_int) -> Kind {
        // SAFETY: see above.
        match unsafe { ffi::lua_type(self.state, index) } {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::Text,
            ffi::LUA_TTABLE => Kind::Table,
            _ => Kind::Other,
        }
    }

    /// Was this argument not given at all?
    pub fn is_absent(self, index: c_int) -> bool {
        // SAFETY: see above.
        unsafe { ffi::lua_type(self.state, index) == ffi::LUA_TNONE }
    }

    /// Was this argument not given, or is it nil?
    pub fn is_absent_or_nil(self, index: c_int) -> bool {
        self.is_absent(index) || self.kind(index) == Kind::Nil
    }

    /// Lua's name for the type of a value.
    pub fn kind_name(self, index: c_int) -> &'static str {
        // SAFETY: see above; the names are literals of the interpreter.
        let name = unsafe { CStr::from_ptr(ffi::lua_typename(self.state, ffi::lua_type(self.state, index))) };
        name.to_str().unwrap_or("value")
    }

    /// Is a light userdata the null pointer?
    pub fn is_null(self, index: c_int) -> bool {
        // SAFETY: see above.
        unsafe { ffi::lua_touserdata(self.state, index).is_null() }
    }

    pub fn boolean(self, index: c_int) -> bool {
        // SAFETY: see above.
        unsafe { ffi::lua_toboolean(self.state, index) != 0 }
    }

    /// A number, or what a string reads as; 0 for anything else.
    pub fn number(self, index: c_int) -> f64 {
        // SAFETY: see above.
        unsafe { ffi::lua_tonumber(self.state, index) }
    }

    /// Is it a number, or a string that reads as one?
    pub fn is_number(self, index: c_int) -> bool {
        // SAFETY: see above.
        unsafe { ffi::lua_isnumber(self.state, index) != 0 }
    }

    /// The bytes of a string, for as long as it stays on the stack or in a table that does. Of anything else: none.
    pub fn bytes(self, index: c_int) -> &'c [u8] {
        if self.kind(index) != Kind::Text {
            return &[];
        }
        let mut length = 0;
        // SAFETY: see above. The value is a string, which is not converted and never moves; it lives as long as it is
        // referred to, for which the caller answers.
        unsafe {
            let start = ffi::lua_tolstring(self.state, index, &mut length);
            slice::from_raw_parts(start.cast(), length)
        }
    }

    /// The argument at `index` as a number, converted if it is a string that reads as one.
    pub fn number_argument(self, index: c_int) -> Result<f64, Raise> {
        let number = self.number(index);
        if number == 0.0 && !self.is_number(index) {
            return Err(Raise::expected(index, c"number"));
        }
        Ok(number)
    }

    /// The argument at `index` as a string; a number becomes one where it lies.
    pub fn text_argument(self, index: c_int) -> Result<&'c [u8], Raise> {
        match self.kind(index) {
            Kind::Text => {}
            // SAFETY: see above; the index is an argument's, so no traversal of a table is confused by the conversion.
            Kind::Number => unsafe {
                ffi::lua_tolstring(self.state, index, ptr::null_mut());
            },
            _ => return Err(Raise::expected(index, c"string")),
        }
        Ok(self.bytes(index))
    }

    pub fn push_nil(self) {
        // SAFETY: see above.
        unsafe { ffi::lua_pushnil(self.state) }
    }

    pub fn push_boolean(self, value: bool) {
        // SAFETY: see above.
        unsafe { ffi::lua_pushboolean(self.state, value.into()) }
    }

    pub fn push_number(self, value: f64) {
        // SAFETY: see above.
        unsafe { ffi::lua_pushnumber(self.state, value) }
    }

    /// Pushes the null pointer.
    pub fn push_null(self) {
        // SAFETY: see above.
        unsafe { ffi::lua_pushlightuserdata(self.state, ptr::null_mut()) }
    }

    /// Pushes a string.
    pub fn push_bytes(self, bytes: &[u8]) {
        // SAFETY: see above; Lua copies the bytes.
        unsafe { ffi::lua_pushlstring_(self.state, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// Pushes an empty table. It grows as Valkey's do, so that `#` and `next` see the same.
    pub fn push_table(self) {
        // SAFETY: see above.
        unsafe { ffi::lua_createtable(self.state, 0, 0) }
    }

    /// Pushes a copy of a value.
    pub fn push_copy(self, index: c_int) {
        // SAFETY: see above.
        unsafe { ffi::lua_pushvalue(self.state, index) }
    }

    /// Moves the value on top to `index`.
    pub fn insert(self, index: c_int) {
        // SAFETY: see above.
        unsafe { ffi::lua_insert(self.state, index) }
    }

    /// Replaces the key on top by the table's next key and value (the table lies below the key); false, with the key gone,
    /// at the end. The key has to be nil or one that this gave.
    pub fn next(self) -> bool {
        // SAFETY: see above.
        unsafe { ffi::lua_next(self.state, -2) != 0 }
    }

    /// Pushes element `at` of the table on top.
    pub fn push_element(self, at: c_int) {
        // SAFETY: see above.
        unsafe { ffi::lua_rawgeti_(self.state, -1, at) }
    }

    /// Makes the value on top element `at` of the table below it.
    pub fn set_element(self, at: c_int) {
        // SAFETY: see above.
        unsafe { ffi::lua_rawseti_(self.state, -2, at) }
    }

    /// Sets the key below the top to the value on top in the table below both. The key may be neither nil nor NaN.
    pub fn set_field(self) {
        // SAFETY: see above.
        unsafe { ffi::lua_rawset(self.state, -3) }
    }

    /// Pushes the table of a library, with settings and a scratch of its own.
    pub fn push_library(self, library: &Library) {
        // SAFETY: see above. The memory for the bench comes from Lua, aligned for any pointer, and is filled before the
        // finalizer is set. Each function holds the bench as its first upvalue and a pointer to what it does as the second.
        unsafe {
            let state = self.state;
            ffi::lua_createtable(state, 0, 0);
            let bench: *mut Bench = ffi::lua_newuserdata(state, size_of::<Bench>()).cast();
            bench.write(Bench { settings: Cell::new(Settings::default()), scratch: ptr::null_mut() });
            ffi::lua_createtable(state, 0, 1);
            ffi::lua_pushcclosure(state, finalize, 0);
            ffi::lua_setfield(state, -2, c"__gc".as_ptr());
            ffi::lua_setmetatable(state, -2);
            for &(name, native) in library.functions {
                ffi::lua_pushvalue(state, -1);
                ffi::lua_pushlightuserdata(state, native as *mut c_void);
                ffi::lua_pushcclosure(state, enter, 2);
                ffi::lua_setfield(state, -3, name.as_ptr());
            }
            ffi::lua_settop(state, -2);
            for (name, constant) in library.constants {
                match constant {
                    Constant::Text(text) => ffi::lua_pushstring_(state, text.as_ptr()),
                    Constant::Null => ffi::lua_pushlightuserdata(state, ptr::null_mut()),
                }
                ffi::lua_setfield(state, -2, name.as_ptr());
            }
        }
    }
}

/// What the functions of one library share.
struct Bench {
    settings: Cell<Settings>,
    /// From `Box::into_raw`; null while a call has it, and before the first.
    scratch: *mut Scratch,
}

/// Lua's way into a [`Native`].
unsafe extern "C-unwind" fn enter(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `push_library` made this closure, so its upvalues are a bench, which lives as long as the closure, and a
    // pointer to a `Native`. The scratch is taken out while it is in use: should the call never come back here, or come here
    // a second time, another one is made. At the end nothing that has to be dropped is left.
    unsafe {
        let bench: *mut Bench = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)).cast();
        let native = ffi::lua_touserdata(state, ffi::lua_upvalueindex(2));
        let native = std::mem::transmute::<*mut c_void, Native>(native);
        let mut scratch = (*bench).scratch;
        (*bench).scratch = ptr::null_mut();
        if scratch.is_null() {
            scratch = Box::into_raw(Box::default());
        }
        let stack = Stack { state, call: PhantomData };
        let outcome = native(&mut Call { stack, settings: &(*bench).settings, scratch: &mut *scratch });
        (*scratch).clear();
        if (*bench).scratch.is_null() {
            (*bench).scratch = scratch;
        } else {
            drop(Box::from_raw(scratch));
        }
        match outcome {
            Ok(results) => results as c_int,
            Err(raise) => jump(state, raise),
        }
    }
}

/// Raises an error of Lua: does not come back.
unsafe fn jump(state: *mut ffi::lua_State, raise: Raise) -> c_int {
    // SAFETY: Lua copies the texts before they are dropped, and they are dropped before Lua jumps. What the call had on
    // the stack goes first, but for arguments whose type is named: it may have been full.
    unsafe {
        if !matches!(*raise.0, Trouble::Expected(..)) {
            ffi::lua_settop(state, 0);
        }
        match *raise.0 {
            Trouble::Placed(text) => {
                ffi::luaL_where(state, 1);
                ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
                drop(text);
                ffi::lua_concat(state, 2);
                ffi::lua_error(state)
            }
            Trouble::Bare(text) => {
                ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
                ffi::lua_error(state)
            }
            Trouble::Argument(position, text) => {
                ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
                drop(text);
                let text: *const c_char = ffi::lua_tolstring(state, -1, ptr::null_mut());
                ffi::luaL_argerror(state, position, text)
            }
            Trouble::Expected(position, name) => ffi::luaL_typerror(state, position, name.as_ptr()),
        }
    }
}

/// Drops a bench's scratch when Lua collects the bench.
unsafe extern "C-unwind" fn finalize(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: only benches have this finalizer, in a metatable that no script can reach, and Lua calls it once.
    unsafe {
        let bench: *mut Bench = ffi::lua_touserdata(state, 1).cast();
        let scratch = (*bench).scratch;
        (*bench).scratch = ptr::null_mut();
        if !scratch.is_null() {
            drop(Box::from_raw(scratch));
        }
    }
    0
}

/// Makes globals of libraries.
pub(super) fn install(lua: &mlua::Lua, libraries: &[&Library]) -> mlua::Result<()> {
    // SAFETY: the closure runs where errors of Lua are caught, uses a few places of the stack and owns nothing.
    unsafe {
        lua.exec_raw::<()>((), |state| {
            let stack = Stack { state, call: PhantomData };
            for library in libraries {
                stack.push_library(library);
                ffi::lua_setglobal(state, library.name.as_ptr());
            }
        })
    }
}

/// What C's `strtod` reads at the start of a text, and how many bytes it is: the hexadecimal numbers, infinities and NaNs of
/// C, which Rust does not read.
pub(super) fn c_number(text: &CStr) -> (f64, usize) {
    let mut end: *mut c_char = ptr::null_mut();
    // SAFETY: the text ends with a NUL, and `end` is set to a place within it.
    unsafe {
        let number = libc::strtod(text.as_ptr(), &mut end);
        (number, end.offset_from(text.as_ptr()) as usize)
    }
}
