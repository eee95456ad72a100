//! The interpreter of a core: one state of Lua, made when the first script comes, and what belongs to it.
//!
//! What Lua calls is sound as [`super::sandbox`] says.
#![allow(unsafe_code)]

use super::call::{self, Buffers};
use super::convert::FIELDS;
use super::debugger::Debugger;
use super::memory::{INTERPRETER_BYTES_MAX, Memory};
use super::run::{self, Fiber};
use super::sandbox;
use mlua::ffi::{self, lua_State};
use ringkey_core::commands::Context;
use ringkey_core::resp::Reply;
use ringkey_core::resp::reply::Mark;
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

/// An interpreter and the runs in it.
///
/// It is used through a raw pointer, because what Lua calls comes back to it while a run is under way. What makes that sound:
/// it belongs to one thread and is never freed; no reference to a part of it is held across a call of a function of Lua, or
/// across [`run::drive`]; and the pointers of [`UnderWay`] are set only while a run is resumed, and are the only way by which
/// what Lua calls reaches context and reply.
pub struct Vm {
    /// The first thread of Lua: compiles, and makes other threads. No script runs in it.
    pub state: *mut lua_State,
    /// What a call within a script needs.
    pub buffers: Buffers,
    /// The run that is resumed.
    pub under_way: UnderWay,
    /// Fibers without a run.
    pub idle: Vec<*mut Fiber>,
    /// Runs that were interrupted, with their clients.
    pub suspended: Vec<(u64, *mut Fiber)>,
    /// The debuggers of clients that want to debug what they call.
    #[allow(clippy::vec_box, reason = "runs have pointers to them")]
    pub debuggers: Vec<(u64, Box<Debugger>)>,
    /// Where the registry of Lua has the real table of the globals.
    pub globals: c_int,
    /// Where it has the function that handles errors, the one that begins a run, and the one that explains an error.
    pub functions: [c_int; 3],
    /// How many runs have ended.
    pub runs: u64,
    /// The state of `math.random`.
    pub chance: u64,
    memory: Box<Memory>,
}

/// What a run sees of the world while it is resumed; null otherwise.
#[derive(Clone, Copy)]
pub struct UnderWay {
    /// The run and its stack.
    pub fiber: *mut Fiber,
    /// The context of the call by which it is resumed.
    pub context: *mut Context<'static>,
    /// Where the reply of the script goes.
    pub reply: *mut Reply<'static>,
    /// Where it begins there.
    pub mark: Mark,
}

impl UnderWay {
    /// Nothing runs.
    pub const NOTHING: Self = Self {
        fiber: ptr::null_mut(),
        context: ptr::null_mut(),
        reply: ptr::null_mut(),
        mark: Mark { bytes: 0, shared: 0 },
    };
}

thread_local! {
    static CURRENT: Cell<*mut Vm> = const { Cell::new(ptr::null_mut()) };
}

/// The interpreter of this thread.
#[inline]
pub fn current() -> *mut Vm {
    let vm = CURRENT.get();
    if vm.is_null() { first() } else { vm }
}

/// The memory that the interpreter of this thread uses, in bytes; 0 if there is none yet.
pub fn memory_used() -> usize {
    let vm = CURRENT.get();
    // SAFETY: it is never freed, and belongs to this thread.
    if vm.is_null() { 0 } else { unsafe { (*vm).memory.used() } }
}

/// Compiles a source and keeps the function; the number is its place in Lua's registry.
///
/// # Errors
/// What the compiler says. `name` is how places in it are called.
pub fn compile(code: &[u8], name: &CStr) -> Result<c_int, Vec<u8>> {
    // SAFETY: the interpreter is this thread's, and compiling does not come back here.
    unsafe { (*current()).compile(code, name) }
}

/// Lets go of a function that [`compile`] kept. A run of it goes on.
pub fn forget(function: c_int) {
    // SAFETY: likewise.
    unsafe { (*current()).forget(function) }
}

#[cold]
fn first() -> *mut Vm {
    let vm = Box::into_raw(Box::new(Vm::new()));
    CURRENT.set(vm);
    vm
}

/// Where the function that begins a run has the globals, and the names under which keys and arguments stand there; from the
/// fourth upvalue on there are the names of [`FIELDS`].
pub const GLOBALS_UPVALUE: c_int = 1;
/// The name of the global with the keys.
pub const KEYS_UPVALUE: c_int = 2;
/// The name of the global with the other arguments.
pub const ARGV_UPVALUE: c_int = 3;
/// The first name of [`FIELDS`].
pub const FIELDS_UPVALUE: c_int = 4;

impl Vm {
    fn new() -> Self {
        let mut memory = Box::new(Memory::new(INTERPRETER_BYTES_MAX));
        // SAFETY: the allocator keeps Lua's rules, and its state has a stable address and lives as long as the interpreter.
        let state = unsafe { ffi::lua_newstate(Memory::allocate, ptr::from_mut(&mut *memory).cast()) };
        assert!(!state.is_null(), "there is memory for an empty interpreter");
        let mut set_up = SetUp { globals: 0, functions: [0; 3] };
        // SAFETY: each function gets what it expects, and errors in it come back as a status. The state lives as long as the
        // thread, so whoever installs libraries may keep it.
        let is_ready = unsafe {
            ffi::lua_cpcall(state, open, ptr::null_mut()) == 0
                && super::std::install(mlua::Lua::get_or_init_from_ptr(state)).is_ok()
                && ffi::lua_cpcall(state, close, ptr::from_mut(&mut set_up).cast()) == 0
        };
        assert!(is_ready, "the libraries of Lua load in a new interpreter");
        Self {
            state,
            buffers: Buffers::default(),
            under_way: UnderWay::NOTHING,
            idle: Vec::new(),
            suspended: Vec::new(),
            debuggers: Vec::new(),
            globals: set_up.globals,
            functions: set_up.functions,
            runs: 0,
            chance: call::seeded(fastrand::i32(..)),
            memory,
        }
    }

    fn compile(&mut self, code: &[u8], name: &CStr) -> Result<c_int, Vec<u8>> {
        let mut order = Compile { code, name, function: 0 };
        // SAFETY: `compile_order` gets what it expects, and errors in it come back as a status and a value on the stack.
        unsafe {
            if ffi::lua_cpcall(self.state, compile_order, ptr::from_mut(&mut order).cast()) == 0 {
                return Ok(order.function);
            }
            let mut len = 0;
            let message = ffi::lua_tolstring(self.state, -1, &mut len);
            let message = match message.is_null() {
                true => b"unknown error".to_vec(),
                false => std::slice::from_raw_parts(message.cast(), len).to_vec(),
            };
            ffi::lua_settop(self.state, 0);
            Err(message)
        }
    }

    fn forget(&mut self, function: c_int) {
        // SAFETY: it is in the registry; nothing is allocated, as its place joins the list of free places.
        unsafe { ffi::luaL_unref(self.state, ffi::LUA_REGISTRYINDEX, function) };
    }

    /// Reclaims all memory that nothing needs. What that takes itself is there, even if scripts have used up everything.
    pub fn collect(&mut self) {
        self.memory.allow_more(RESERVE_BYTES);
        // SAFETY: errors in it come back as a status.
        if unsafe { ffi::lua_cpcall(self.state, collect, ptr::null_mut()) } != 0 {
            // SAFETY: only the message lies there.
            unsafe { ffi::lua_settop(self.state, 0) };
        }
        self.memory.allow_more(0);
    }
}

/// What reclaiming memory may take.
const RESERVE_BYTES: usize = 4 * 1024 * 1024;

unsafe extern "C-unwind" fn collect(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it; no value of a script has a finalizer, so nothing of a script runs.
    unsafe { ffi::lua_gc(state, ffi::LUA_GCCOLLECT, 0) };
    0
}

struct Compile<'a> {
    code: &'a [u8],
    name: &'a CStr,
    function: c_int,
}

unsafe extern "C-unwind" fn compile_order(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it.
    unsafe {
        let order = &mut *ffi::lua_touserdata(state, 1).cast::<Compile<'_>>();
        if sandbox::load_text(state, order.code, order.name.as_ptr()) != 0 {
            ffi::lua_error(state);
        }
        order.function = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        0
    }
}

struct SetUp {
    globals: c_int,
    functions: [c_int; 3],
}

unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it.
    unsafe {
        sandbox::open_libraries(state);
        call::install(state);
        run::install(state);
        0
    }
}

unsafe extern "C-unwind" fn close(state: *mut lua_State) -> c_int {
    unsafe {
        let set_up: *mut c_void = ffi::lua_touserdata(state, 1);
        let set_up = &mut *set_up.cast::<SetUp>();
        // From now on the list of free places in the registry exists, so leaving one allocates nothing.
        ffi::lua_pushboolean(state, 1);
        let place = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        ffi::luaL_unref(state, ffi::LUA_REGISTRYINDEX, place);
        sandbox::close(state);
        // The real table of the globals, twice: for the registry, and as the first upvalue.
        ffi::lua_pushvalue(state, -1);
        set_up.globals = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        for name in [c"KEYS", c"ARGV"].iter().chain(FIELDS) {
            ffi::lua_pushlstring_(state, name.as_ptr(), name.to_bytes().len());
        }
        ffi::lua_pushcclosure(state, run::enter, 3 + FIELDS.len() as c_int);
        set_up.functions[1] = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        ffi::lua_pushcclosure(state, run::handle_error, 0);
        set_up.functions[0] = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        ffi::lua_pushcclosure(state, run::explain, 0);
        set_up.functions[2] = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        ffi::lua_sethook(state, Some(run::interrupt), ffi::LUA_MASKCOUNT, run::STEPS_PER_LOOK);
        0
    }
}
