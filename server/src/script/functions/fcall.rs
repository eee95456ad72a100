//! FCALL: from the words of a call to a function that this core has compiled.
//!
//! The first call of a library's function on a core runs the library's code once more, in the interpreter of that core. What
//! the code keeps in local variables is each core's own, therefore.
#![allow(unsafe_code)]

use super::super::run::{self, Passing, Program};
use super::super::vm::{self, Vm};
use super::super::{convert, eval, registry, sandbox};
use super::load::{self, Constant};
use mlua::ffi::{self, lua_State};
use ringkey_core::commands::Context;
use ringkey_core::outcome::Outcome;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::script::Entry;
use ringkey_core::script::library::{self, Libraries, Library};
use ringkey_core::script::source::ScriptFlags;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

/// So many names are remembered as they were called; in each name any letter may be in either case.
const NAMES_MAX: usize = 10_000;

/// A function that this core has compiled.
struct Compiled {
    /// Its place in Lua's registry.
    function: c_int,
    name: Box<[u8]>,
    flags: ScriptFlags,
}

/// What this core has compiled of libraries.
#[derive(Default)]
struct Cache {
    epoch: u64,
    libraries: Arc<Libraries>,
    /// The libraries that were run here, with the places of their functions.
    compiled: Vec<(Arc<Library>, Vec<c_int>)>,
    by_name: HashMap<Box<[u8]>, Rc<Compiled>>,
    last: Option<(Box<[u8]>, Rc<Compiled>)>,
    /// Where Lua's registry has what runs libraries.
    runner: Option<c_int>,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

impl Cache {
    /// Drops what belongs to libraries that are gone, if anything has changed.
    #[inline]
    fn refresh(&mut self) {
        let epoch = registry::epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.take_libraries();
        }
    }

    #[cold]
    fn take_libraries(&mut self) {
        let libraries = registry::with(registry::Registry::libraries);
        if Arc::ptr_eq(&libraries, &self.libraries) {
            return;
        }
        self.libraries = libraries;
        self.by_name.clear();
        self.last = None;
        let libraries = &self.libraries;
        self.compiled.retain(|(library, functions)| {
            let stays = libraries.library(&library.name).is_some_and(|other| Arc::ptr_eq(library, other));
            if !stays {
                functions.iter().for_each(|function| vm::forget(*function));
            }
            stays
        });
    }

    /// Is there such a function?
    fn has(&self, name: &[u8]) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| **last == *name) || self.libraries.function(name).is_some()
    }

    /// The function of this name, which is there, compiled.
    #[inline]
    fn compiled(&mut self, name: &[u8]) -> Result<Rc<Compiled>, CommandError> {
        if let Some((last, compiled)) = &self.last
            && **last == *name
        {
            return Ok(Rc::clone(compiled));
        }
        let compiled = match self.by_name.get(name) {
            Some(known) => Rc::clone(known),
            None => self.compile(name)?,
        };
        self.last = Some((name.into(), Rc::clone(&compiled)));
        Ok(compiled)
    }

    #[cold]
    fn compile(&mut self, name: &[u8]) -> Result<Rc<Compiled>, CommandError> {
        let place = self.libraries.function(name).ok_or(MISSING)?.clone();
        let known = self.compiled.iter().position(|(library, _)| Arc::ptr_eq(library, &place.library));
        let at = match known {
            Some(at) => at,
            None => {
                let functions = self.run_library(&place.library)?;
                self.compiled.push((Arc::clone(&place.library), functions));
                self.compiled.len() - 1
            }
        };
        let function = &place.library.functions[place.index];
        let compiled = Rc::new(Compiled {
            function: self.compiled[at].1[place.index],
            name: function.name.as_bytes().into(),
            flags: function.flags,
        });
        if self.by_name.len() >= NAMES_MAX {
            self.by_name.clear();
        }
        self.by_name.insert(name.into(), Rc::clone(&compiled));
        Ok(compiled)
    }

    /// Runs the code of a library in the interpreter of this core; returns the places of its functions.
    fn run_library(&mut self, library: &Library) -> Result<Vec<c_int>, CommandError> {
        // SAFETY: the interpreter is this thread's, and no run is resumed while a call is only beginning.
        unsafe {
            let vm = vm::current();
            let runner = match self.runner {
                Some(runner) => runner,
                None => *self.runner.insert(make_runner(vm)?),
            };
            let header = library::read(&library.source)?;
            let functions = Vec::with_capacity(library.functions.len());
            let mut order = LibraryRun { runner, code: header.code, functions };
            let status = ffi::lua_cpcall((*vm).state, run_library, ptr::from_mut(&mut order).cast());
            if status == 0 && order.functions.len() == library.functions.len() {
                return Ok(order.functions);
            }
            order.functions.iter().for_each(|function| vm::forget(*function));
            Err(failure_on(vm, status))
        }
    }
}

const MISSING: CommandError = CommandError::text("Function not found");

/// The error that lies on the stack of the first thread, if something failed there.
unsafe fn failure_on(vm: *mut Vm, status: c_int) -> CommandError {
    // SAFETY: the message is copied before it is taken from the stack.
    unsafe {
        let mut len = 0;
        let message = match status {
            0 => ptr::null(),
            _ => ffi::lua_tolstring((*vm).state, -1, &mut len),
        };
        let text = match message.is_null() {
            true => "it registers other functions than when it was loaded".into(),
            false => String::from_utf8_lossy(std::slice::from_raw_parts(message.cast(), len)).into_owned(),
        };
        ffi::lua_settop((*vm).state, 0);
        CommandError::owned(format!("Cannot run the library of the function: {text}"))
    }
}

struct LibraryRun<'a> {
    runner: c_int,
    code: &'a [u8],
    /// Has room for all functions that are expected.
    functions: Vec<c_int>,
}

/// Runs a library and keeps its functions.
unsafe extern "C-unwind" fn run_library(state: *mut lua_State) -> c_int {
    // SAFETY: called by `lua_cpcall` with a `LibraryRun`, whose owner is outside of the jumps of errors; what is pushed into
    // its list has room there, so nothing is allocated in this frame.
    unsafe {
        let order = &mut *ffi::lua_touserdata(state, 1).cast::<LibraryRun<'_>>();
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, order.runner);
        ffi::lua_pushlstring_(state, order.code.as_ptr().cast(), order.code.len());
        ffi::lua_call(state, 1, 2);
        if ffi::lua_type(state, -2) != ffi::LUA_TTABLE {
            ffi::lua_error(state);
        }
        ffi::lua_settop(state, -2);
        let list = ffi::lua_gettop(state);
        for index in 1..=ffi::lua_objlen(state, list) {
            if order.functions.len() == order.functions.capacity() {
                break;
            }
            ffi::lua_rawgeti_(state, list, index as c_int);
            ffi::lua_getfield_(state, -1, c"callback".as_ptr());
            let function = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            order.functions.push(function);
            ffi::lua_settop(state, list);
        }
        0
    }
}

struct RunnerSetUp {
    globals: c_int,
    runner: c_int,
}

/// Makes what runs libraries in an interpreter.
unsafe fn make_runner(vm: *mut Vm) -> Result<c_int, CommandError> {
    // SAFETY: `install` gets what it expects, and errors in it come back as a status.
    unsafe {
        let mut set_up = RunnerSetUp { globals: (*vm).globals, runner: 0 };
        match ffi::lua_cpcall((*vm).state, install, ptr::from_mut(&mut set_up).cast()) {
            0 => Ok(set_up.runner),
            status => Err(failure_on(vm, status)),
        }
    }
}

unsafe extern "C-unwind" fn install(state: *mut lua_State) -> c_int {
    // SAFETY: called by `lua_cpcall` with a `RunnerSetUp`; the stack is held within the room that Lua guarantees.
    unsafe {
        let set_up = &mut *ffi::lua_touserdata(state, 1).cast::<RunnerSetUp>();
        ffi::lua_settop(state, 0);
        if sandbox::load_text(state, load::RUNNER.as_bytes(), load::RUNNER_NAME.as_ptr()) != 0 {
            ffi::lua_error(state);
        }
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, set_up.globals);
        ffi::lua_pushcclosure(state, set_environment, 0);
        ffi::lua_createtable(state, 0, 16);
        for (name, value) in load::CONSTANTS {
            ffi::lua_pushlstring_(state, name.as_ptr().cast(), name.len());
            match *value {
                Constant::Text(text) => ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len()),
                Constant::Number(number) => ffi::lua_pushnumber(state, f64::from(number)),
            }
            ffi::lua_rawset(state, -3);
        }
        ffi::lua_pushnil(state);
        ffi::lua_pushvalue(state, 2);
        sandbox::functions::globals_of_functions(state);
        ffi::lua_pushcclosure(state, guarded, 0);
        sandbox::functions::push_refusals(state);
        ffi::lua_call(state, 8, 1);
        set_up.runner = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        0
    }
}

/// `setfenv`, which scripts do not have.
unsafe extern "C-unwind" fn set_environment(state: *mut lua_State) -> c_int {
    // SAFETY: only the runner has it, which gives a function and a table.
    unsafe { ffi::lua_setfenv(state, 1) };
    0
}

/// Makes of a function and a condition, both of the runner, a function that registers. It is one of C, so that an error has
/// the place in the library that called it.
unsafe extern "C-unwind" fn guarded(state: *mut lua_State) -> c_int {
    // SAFETY: only the runner has it, which gives two functions.
    unsafe { ffi::lua_pushcclosure(state, register, 2) };
    1
}

unsafe extern "C-unwind" fn register(state: *mut lua_State) -> c_int {
    // SAFETY: there is room for two values more; what the arguments are is for the runner's function to see.
    unsafe {
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
        ffi::lua_call(state, 0, 1);
        if ffi::lua_toboolean(state, -1) == 0 {
            convert::push_error_of(state, b"server.register_function can only be called on FUNCTION LOAD command");
            ffi::lua_error(state);
        }
        ffi::lua_settop(state, -2);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, ffi::lua_gettop(state) - 1, 0);
        0
    }
}

/// Runs the function of a call.
///
/// # Errors
/// There is no such function, or the words are not understood.
pub fn run(
    context: &mut Context<'_>,
    entry: Entry,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let (keys, compiled) = CACHE.with_borrow_mut(|cache| {
        cache.refresh();
        if !cache.has(args.get(1)) {
            return Err(MISSING);
        }
        let keys = eval::keys(args, CommandError::text("Bad number of keys provided"))?;
        Ok((keys, cache.compiled(args.get(1))?))
    })?;
    let unit = eval::unit(context, Some(compiled.flags), entry)?;
    let (passing, name) = (Passing::Arguments, &compiled.name);
    let program = Program { function: compiled.function, passing, name, keys, ignores_receivers: false };
    Ok(run::begin(context, &program, unit, args, reply)?.into_outcome())
}
