//! Runs of scripts: each has a thread of Lua and a stack of its own, so that it can be left in its midst and others can run
//! meanwhile.
//!
//! A [`Fiber`] is both together; it is used for one run after the other. A run is resumed by [`drive`] and comes back when it
//! has ended or when it takes long: then it waits in [`Vm::suspended`] until its client's call is made again.
//!
//! Errors of Lua are jumps. They stay on the stack of their fiber, and no frame that they cross has anything to drop.
//!
//! **What makes it sound.** All functions here are called by Lua, or by others here, while an error of Lua is caught further up
//! on the same stack. Indices name values that are there, pushes stay within the room that Lua leaves (20 values) or has been
//! asked for, and texts stay on the stack while they are looked at. An error is a jump, so nothing that would have to be dropped
//! is alive where Lua is called.
#![allow(unsafe_code)]

use super::call::Buffers;
use super::convert::{self, Fields};
use super::debugger::{self, Debugger};
use super::registry::{self, Running};
use super::sandbox::raise;
use super::vm::{self, ARGV_UPVALUE, FIELDS_UPVALUE, GLOBALS_UPVALUE, KEYS_UPVALUE, UnderWay, Vm};
use crate::clock;
use crate::pubsub::from_scripts::{self, Message};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use mlua::ffi::{self, lua_Debug, lua_State};
use ringkey_core::commands::Context;
use ringkey_core::commands::within::{Unfinished, Unit};
use ringkey_core::outcome::Outcome;
use ringkey_core::resp::{Args, CommandError, Reply, ReplyBuffer};
use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use std::{mem, ptr, slice};

/// After so many steps of Lua a run looks at the clock.
pub const STEPS_PER_LOOK: c_int = 10_000;

/// A run that takes longer lets others go on, and may be stopped.
const SLOW: Duration = Duration::from_millis(10);

/// The stack of a fiber in bytes. Only what is touched takes memory. Lua bounds how deep its own functions call each other
/// (200); the deepest are replies of nested tables, and patterns with many quantifiers.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// So many fibers are kept for the next runs.
const IDLE_MAX: usize = 16;

/// Places on the stack of a thread of Lua.
const HANDLER: c_int = 1;
const ENTER: c_int = 2;
const EXPLAIN: c_int = 3;
const BASE: c_int = 3;

/// A thread of Lua, a stack, and the run that uses them.
pub struct Fiber {
    thread: *mut lua_State,
    anchor: c_int,
    coroutine: Coroutine<(), Yielded, (), DefaultStack>,
    yielder: *const Yielder<(), Yielded>,
    /// The run.
    pub run: Run,
    /// Was memory short at its end?
    was_short: bool,
}

/// Why a fiber gave way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Yielded {
    Ended,
    Interrupted,
}

/// Why a run is to end before its script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It touches what is elsewhere.
    Elsewhere,
    /// It was stopped.
    Killed,
}

/// How a script gets keys and arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// As the globals KEYS and ARGV.
    Globals,
    /// As its two arguments.
    Arguments,
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Program<'a> {
    /// The place of its function in Lua's registry.
    pub function: c_int,
    /// How it gets keys and arguments.
    pub passing: Passing,
    /// The name of the function, or the digits of the script's name.
    pub name: &'a [u8],
    /// Which words of the call are keys; those behind are the other arguments.
    pub keys: Range<usize>,
    /// Is it certain that it does not look at how many clients its messages reach?
    pub ignores_receivers: bool,
}

/// What has become of a run.
#[derive(Debug)]
pub enum Ended {
    /// It has ended, and its reply is written.
    Done(Outcome),
    /// It was interrupted and is to be resumed.
    Suspended,
    /// It touches what is elsewhere; all that it did is undone.
    Elsewhere,
}

impl Ended {
    /// What it leaves behind.
    pub fn into_outcome(self) -> Outcome {
        match self {
            Self::Done(outcome) => outcome,
            Self::Suspended | Self::Elsewhere => Outcome::unchanged(),
        }
    }
}

/// A run under way.
pub struct Run {
    /// What its calls may do and have done.
    pub unit: Unit,
    /// Whoever may stop it, once it takes long.
    pub running: Option<Arc<Running>>,
    /// Who is to hear of its writes: what `set_repl` was given.
    pub propagate_to: i32,
    /// The words of its call while that waits for a lock.
    pub buffers: Buffers,
    /// Is it certain that it does not look at how many clients its messages reach?
    pub ignores_receivers: bool,
    /// What it has published, which is said when it ends.
    pub messages: Vec<Message>,
    /// The number of what it wants of the process.
    pub asked: Option<u64>,
    /// The answer.
    pub answer: Option<ReplyBuffer>,
    /// The debugger of its client; null if it is not debugged.
    pub debugger: *mut Debugger,
    leave: Option<Leave>,
    function: c_int,
    passing: Passing,
    name: Vec<u8>,
    keys: Range<usize>,
    /// The words of the call by which it began; null once that is over.
    args: *const Args<'static>,
    /// When it was resumed, in ticks; 0 before its first look at the clock.
    resumed: u64,
}

impl Run {
    fn nothing() -> Self {
        Self {
            unit: Unit::new(ringkey_core::units::DbIndex(0), ringkey_core::resp::Protocol::Resp2),
            running: None,
            propagate_to: 0,
            buffers: Buffers::default(),
            ignores_receivers: false,
            messages: Vec::new(),
            asked: None,
            answer: None,
            debugger: ptr::null_mut(),
            leave: None,
            function: 0,
            passing: Passing::Globals,
            name: Vec::new(),
            keys: 0..0,
            args: ptr::null(),
            resumed: 0,
        }
    }

    /// It is to end, whatever its script does about it.
    pub fn leave(&mut self, why: Leave) {
        self.leave = Some(why);
    }

    /// Looks at the clock and at whoever may stop it; has it run for long?
    pub fn look(&mut self) -> bool {
        let now = clock::ticks();
        if self.resumed == 0 {
            self.resumed = now;
            return false;
        }
        if let Some(running) = &self.running
            && running.is_killed()
        {
            self.leave = Some(Leave::Killed);
            return false;
        }
        if now.saturating_sub(self.resumed) < clock::ticks_of(SLOW.as_nanos() as u64) {
            return false;
        }
        if self.running.is_none() {
            self.announce();
        }
        true
    }

    /// What is known of it by those who may stop it.
    pub fn announced(&mut self) -> Arc<Running> {
        if self.running.is_none() {
            self.announce();
        }
        Arc::clone(self.running.as_ref().expect("it was announced just now"))
    }

    /// Makes it known that it takes long.
    fn announce(&mut self) {
        // SAFETY: not null while the call is under way by which it began, and its words are there so long.
        let words = unsafe { self.args.as_ref() }.map(|args| args.iter().map(Box::from).collect());
        let began = clock::instant().checked_sub(SLOW).unwrap_or_else(clock::instant);
        let is_function = self.passing == Passing::Arguments;
        let running = Running::new(
            &self.name,
            words.unwrap_or_default(),
            is_function,
            began,
            self.unit.has_written && !self.unit.is_trial,
        );
        self.running = Some(registry::with(|registry| registry.begin(running)));
    }
}

/// The run that Lua calls from.
///
/// # Safety
/// In a function that Lua calls; the error where none is under way is a jump.
#[inline]
pub unsafe fn of(vm: *mut Vm, state: *mut lua_State) -> *mut Run {
    // SAFETY: see the head of the module.
    unsafe {
        let fiber = (*vm).under_way.fiber;
        if fiber.is_null() {
            raise(state, b"server functions can only be called inside a script invocation");
        }
        &raw mut (*fiber).run
    }
}

/// The context of the run under way.
///
/// # Safety
/// There is one.
#[inline]
pub unsafe fn context(vm: *mut Vm) -> *mut Context<'static> {
    // SAFETY: see the head of the module.
    unsafe { (*vm).under_way.context }
}

/// The reply of the run under way is an error, or has one in it. Those that commands gave were counted when they were made.
pub fn note_error(text: &[u8], is_counted: bool) {
    let vm = vm::current();
    // SAFETY: the pointers are null or those of the run that is resumed; what is done here does not come back to Lua.
    unsafe {
        let context = (*vm).under_way.context;
        if context.is_null() {
            return;
        }
        (*context).failed = true;
        if !is_counted && let Some(errors) = &mut (*context).errors {
            match text.iter().position(|byte| *byte == b' ') {
                Some(end) if end > 0 => errors.note_own(&String::from_utf8_lossy(&text[..end])),
                _ => errors.note("ERR"),
            }
        }
    }
}

/// Keeps a message that the run under way publishes; may it look at how many clients that reaches?
pub fn keep_message(message: Message) -> bool {
    let vm = vm::current();
    // SAFETY: the pointer is null or that of the run that is resumed; what is done here does not come back to Lua.
    unsafe {
        let fiber = (*vm).under_way.fiber;
        match fiber.is_null() {
            true => {
                from_scripts::say(&mut vec![message]);
                true
            }
            false => {
                (*fiber).run.messages.push(message);
                !(*fiber).run.ignores_receivers
            }
        }
    }
}

/// Is the run under way to end?
pub fn must_end() -> bool {
    let vm = vm::current();
    // SAFETY: the pointer is null or that of the run that is resumed.
    unsafe {
        let fiber = (*vm).under_way.fiber;
        !fiber.is_null() && (*fiber).run.leave.is_some()
    }
}

/// Raises an error if the run is to end: to be called wherever a script might have caught the last one.
///
/// # Safety
/// In a function that Lua calls, with nothing alive that would have to be dropped.
#[inline]
pub unsafe fn go_on(state: *mut lua_State) {
    if must_end() {
        // SAFETY: see the head of the module.
        unsafe { end(state) }
    }
}

#[cold]
unsafe fn end(state: *mut lua_State) -> ! {
    unsafe {
        let fiber = (*vm::current()).under_way.fiber;
        let text: &[u8] = match (*fiber).run.passing {
            Passing::Globals => b"Script killed by user with SCRIPT KILL.",
            Passing::Arguments => b"Script killed by user with FUNCTION KILL.",
        };
        convert::push_error_of(state, text);
        ffi::lua_error(state)
    }
}

/// What Lua calls every [`STEPS_PER_LOOK`] steps.
///
/// # Safety
/// Only Lua calls it.
pub unsafe extern "C-unwind" fn interrupt(state: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: see the head of the module.
    unsafe {
        let vm = vm::current();
        let fiber = (*vm).under_way.fiber;
        if fiber.is_null() {
            return;
        }
        if (*fiber).run.look() && (*context(vm)).may_suspend {
            suspend(vm, state);
        }
        go_on(state);
    }
}

/// Waits for what somebody has locked; where that cannot be, the run is begun anew elsewhere.
///
/// # Safety
/// In a function that Lua calls, during a run, with nothing alive that would have to be dropped.
pub unsafe fn wait(vm: *mut Vm, state: *mut lua_State) {
    // SAFETY: see the head of the module.
    unsafe {
        if (*context(vm)).may_suspend {
            suspend(vm, state);
        } else {
            (*(*vm).under_way.fiber).run.leave(Leave::Elsewhere);
        }
    }
}

/// Gives way until the run is resumed. Other runs may set the globals meanwhile, so this one keeps its own.
///
/// # Safety
/// As [`wait`], where the context says that it may be.
pub unsafe fn suspend(vm: *mut Vm, state: *mut lua_State) {
    // SAFETY: see the head of the module.
    unsafe {
        let fiber = (*vm).under_way.fiber;
        let top = ffi::lua_gettop(state);
        ffi::luaL_checkstack_(state, 5, c"stack overflow".as_ptr());
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, (*vm).globals);
        for name in [c"KEYS", c"ARGV"] {
            ffi::lua_pushlstring_(state, name.as_ptr(), 4);
            ffi::lua_pushvalue(state, -1);
            ffi::lua_rawget(state, top + 1);
        }
        (*fiber).run.args = ptr::null();
        (*(*fiber).yielder).suspend(Yielded::Interrupted);
        (*fiber).run.resumed = clock::ticks();
        // Below: the globals, and two names with their values.
        ffi::lua_rawset(state, top + 1);
        ffi::lua_rawset(state, top + 1);
        ffi::lua_settop(state, top);
    }
}

/// Pushes a table of words.
unsafe fn push_words(state: *mut lua_State, args: &Args<'_>, words: Range<usize>) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_createtable(state, words.len() as c_int, 0);
        for (index, word) in words.enumerate() {
            let word = args.get(word);
            ffi::lua_pushlstring_(state, word.as_ptr().cast(), word.len());
            ffi::lua_rawseti_(state, -2, index as c_int + 1);
        }
    }
}

/// Runs the script of the run under way, from handing over its arguments to writing its reply.
///
/// # Safety
/// Only Lua calls it.
pub unsafe extern "C-unwind" fn enter(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let vm = vm::current();
        let fiber = (*vm).under_way.fiber;
        let (passing, function) = ((*fiber).run.passing, (*fiber).run.function);
        let keys = (*fiber).run.keys.start..(*fiber).run.keys.end;
        let args = &*(*fiber).run.args;
        let others = keys.end..args.len();
        let given = match passing {
            Passing::Globals => {
                ffi::lua_pushvalue(state, ffi::lua_upvalueindex(KEYS_UPVALUE));
                push_words(state, args, keys);
                ffi::lua_rawset(state, ffi::lua_upvalueindex(GLOBALS_UPVALUE));
                ffi::lua_pushvalue(state, ffi::lua_upvalueindex(ARGV_UPVALUE));
                push_words(state, args, others);
                ffi::lua_rawset(state, ffi::lua_upvalueindex(GLOBALS_UPVALUE));
                ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, function);
                0
            }
            Passing::Arguments => {
                ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, function);
                push_words(state, args, keys);
                push_words(state, args, others);
                2
            }
        };
        ffi::lua_call(state, given, 1);
        go_on(state);
        // The reply may be another than at the beginning, if the run was interrupted.
        let (reply, within) = (&mut *(*vm).under_way.reply, (*fiber).run.unit.protocol);
        convert::write_value(state, Fields::from(FIELDS_UPVALUE), within, reply);
        0
    }
}

/// Makes of any error a table with its text and the place in the script that was running.
///
/// # Safety
/// Only Lua calls it.
pub unsafe extern "C-unwind" fn handle_error(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_settop(state, 1);
        let mut place = MaybeUninit::<lua_Debug>::zeroed().assume_init();
        let mut is_known =
            ffi::lua_getstack(state, 1, &mut place) != 0 && ffi::lua_getinfo(state, c"nSl".as_ptr(), &mut place) != 0;
        if is_known && *place.what == b'C' as c_char {
            is_known = ffi::lua_getstack(state, 2, &mut place) != 0
                && ffi::lua_getinfo(state, c"nSl".as_ptr(), &mut place) != 0;
        }
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
            push_text_of(state);
            ffi::lua_createtable(state, 0, 3);
            ffi::lua_insert(state, -2);
            ffi::lua_setfield(state, -2, c"err".as_ptr());
        }
        if is_known {
            ffi::lua_pushstring_(state, place.source);
            ffi::lua_setfield(state, -2, c"source".as_ptr());
            ffi::lua_pushnumber(state, f64::from(place.currentline));
            ffi::lua_setfield(state, -2, c"line".as_ptr());
        }
        1
    }
}

/// Pushes the text for an error that is no table, the only value on the stack.
unsafe fn push_text_of(state: *mut lua_State) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_pushlstring_(state, c"ERR ".as_ptr(), 4);
        match ffi::lua_type(state, 1) {
            ffi::LUA_TSTRING | ffi::LUA_TNUMBER => ffi::lua_pushvalue(state, 1),
            ffi::LUA_TNIL => ffi::lua_pushlstring_(state, c"nil".as_ptr(), 3),
            ffi::LUA_TBOOLEAN => {
                let text = if ffi::lua_toboolean(state, 1) != 0 { c"true" } else { c"false" };
                ffi::lua_pushlstring_(state, text.as_ptr(), text.to_bytes().len());
            }
            kind => {
                let (name, at) = (ffi::lua_typename(state, kind), ffi::lua_topointer(state, 1));
                ffi::lua_pushfstring(state, c"%s: %p".as_ptr(), name, at);
            }
        }
        ffi::lua_concat(state, 2);
    }
}

/// The text of a field of the first value, which stays on the stack.
unsafe fn field<'a>(state: *mut lua_State, name: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_getfield_(state, 1, name);
        if ffi::lua_isstring(state, -1) == 0 {
            return None;
        }
        let mut len = 0;
        let text = ffi::lua_tolstring(state, -1, &mut len);
        let text: &[u8] = slice::from_raw_parts(text.cast(), len);
        Some(text.split(|byte| *byte == 0).next().unwrap_or_default())
    }
}

/// Writes the reply for an error that ended a script.
///
/// # Safety
/// Only Lua calls it.
pub unsafe extern "C-unwind" fn explain(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let vm = vm::current();
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
            let mut len = 0;
            let text = ffi::lua_tolstring(state, 1, &mut len);
            let text: &[u8] = match text.is_null() {
                true => b"execution failure",
                false => slice::from_raw_parts(text.cast(), len.min(100)),
            };
            write_failure(vm, text);
            return 0;
        }
        let err = field(state, c"err".as_ptr());
        let source = field(state, c"source".as_ptr());
        let line = field(state, c"line".as_ptr());
        ffi::lua_getfield_(state, 1, c"ignore_error_stats_update".as_ptr());
        let is_counted = ffi::lua_type(state, -1) != ffi::LUA_TNIL;
        note_error(err.unwrap_or_default(), is_counted);
        write_error(&mut *(*vm).under_way.reply, err, source.zip(line));
        0
    }
}

/// Writes the reply for an error without a place. Nothing of Lua is called here.
unsafe fn write_failure(vm: *mut Vm, text: &[u8]) {
    // SAFETY: a run is under way.
    let (fiber, reply) = unsafe { (&*(*vm).under_way.fiber, &mut *(*vm).under_way.reply) };
    note_error(b"ERR", false);
    let line = [b"ERR Error running script ", fiber.run.name.as_slice(), b", ", text].concat();
    convert::write_line(reply, b'-', &line);
}

/// Writes the reply for an error with its place. Nothing of Lua is called here.
fn write_error(reply: &mut Reply<'_>, err: Option<&[u8]>, place: Option<(&[u8], &[u8])>) {
    let mut line = err.unwrap_or(b"ERR unknown error").to_vec();
    if let Some((source, number)) = place {
        for part in [b" script: on ", source, b":", number, b"."] {
            line.extend_from_slice(part);
        }
    }
    convert::write_line(reply, b'-', &line);
}

/// Carries one run out, on the stack of its fiber.
unsafe fn execute(fiber: *mut Fiber) {
    // SAFETY: see the head of the module.
    unsafe {
        let (vm, state) = (vm::current(), (*fiber).thread);
        ffi::lua_pushvalue(state, ENTER);
        let status = ffi::lua_pcall(state, 0, 0, HANDLER);
        if status != 0 {
            (*fiber).was_short = status == ffi::LUA_ERRMEM;
            if (*fiber).run.leave != Some(Leave::Elsewhere) {
                (*(*vm).under_way.reply).buffer().rewind((*vm).under_way.mark);
                ffi::lua_pushvalue(state, EXPLAIN);
                ffi::lua_insert(state, -2);
                if ffi::lua_pcall(state, 1, 0, 0) != 0 {
                    write_failure(vm, b"execution failure");
                }
            }
        }
        ffi::lua_settop(state, BASE);
    }
}

impl Fiber {
    /// A fiber without a run.
    ///
    /// # Errors
    /// There is no memory for it.
    unsafe fn new(vm: *mut Vm) -> Result<*mut Self, CommandError> {
        let short = || CommandError::text("not enough memory for another script");
        let stack = DefaultStack::new(STACK_BYTES).map_err(|_| short())?;
        // SAFETY: see the head of the module.
        unsafe {
            let mut thread: (*mut lua_State, c_int) = (ptr::null_mut(), 0);
            if ffi::lua_cpcall((*vm).state, make_thread, (&raw mut thread).cast()) != 0 {
                ffi::lua_settop((*vm).state, 0);
                return Err(short());
            }
            let fiber = Box::into_raw(Box::<MaybeUninit<Self>>::new(MaybeUninit::uninit())).cast::<Self>();
            let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), Yielded>, ()| {
                // SAFETY: the fiber was written before it is resumed for the first time, and stays as long as its stack.
                (*fiber).yielder = yielder;
                loop {
                    execute(fiber);
                    yielder.suspend(Yielded::Ended);
                }
            });
            let (thread, anchor) = thread;
            let yielder = ptr::null();
            fiber.write(Self { thread, anchor, coroutine, yielder, run: Run::nothing(), was_short: false });
            Ok(fiber)
        }
    }

    /// Frees a fiber, whether it runs or not.
    unsafe fn free(vm: *mut Vm, fiber: *mut Self) {
        // SAFETY: see the head of the module.
        unsafe {
            // No frame on its stack has anything to drop.
            (*fiber).coroutine.force_reset();
            ffi::luaL_unref((*vm).state, ffi::LUA_REGISTRYINDEX, (*fiber).anchor);
            drop(Box::from_raw(fiber));
        }
    }
}

/// Makes a thread of Lua with the three functions on its stack.
unsafe extern "C-unwind" fn make_thread(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let made = &mut *ffi::lua_touserdata(state, 1).cast::<(*mut lua_State, c_int)>();
        let thread = ffi::lua_newthread(state);
        for function in (*vm::current()).functions {
            ffi::lua_rawgeti_(thread, ffi::LUA_REGISTRYINDEX, function);
        }
        *made = (thread, ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX));
        0
    }
}

/// Begins a run. Its unit says what its calls may do.
///
/// # Errors
/// There is no memory for its stack.
pub fn begin(
    context: &mut Context<'_>,
    program: &Program<'_>,
    unit: Unit,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Ended, CommandError> {
    let vm = vm::current();
    // SAFETY: the interpreter is this thread's. No reference into it is held.
    unsafe {
        let fiber = match (*vm).idle.pop() {
            Some(fiber) => fiber,
            None => Fiber::new(vm)?,
        };
        let run = &mut (*fiber).run;
        run.unit = unit;
        run.running = None;
        run.propagate_to = 3;
        run.leave = None;
        run.function = program.function;
        run.passing = program.passing;
        run.name.clear();
        run.name.extend_from_slice(program.name);
        run.keys = program.keys.clone();
        run.args = ptr::from_ref(args).cast();
        run.resumed = 0;
        (run.asked, run.answer) = (None, None);
        run.ignores_receivers = program.ignores_receivers;
        run.debugger = debugger::begin(context.client);
        if !run.debugger.is_null() {
            run.unit.is_trial = (*run.debugger).is_rolled_back();
            debugger::attach((*fiber).thread);
        }
        Ok(drive(vm, fiber, context, reply))
    }
}

/// Is there an interrupted run of this client?
#[inline]
pub fn is_suspended(client: u64) -> bool {
    let vm = vm::current();
    // SAFETY: the interpreter is this thread's, and the reference is not held.
    unsafe { (*vm).suspended.iter().any(|(other, _)| *other == client) }
}

/// Goes on with the interrupted run of the context's client.
pub fn resume(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Option<Ended> {
    let vm = vm::current();
    // SAFETY: the interpreter is this thread's, and no reference into it is held when the run is resumed.
    unsafe {
        let suspended = &mut (*vm).suspended;
        let at = suspended.iter().position(|(client, _)| *client == context.client)?;
        let (_, fiber) = suspended.swap_remove(at);
        Some(drive(vm, fiber, context, reply))
    }
}

/// Throws the interrupted run of a client away. What it did is undone by whoever has its context: the unit is returned.
pub fn abandon(client: u64) -> Option<Unit> {
    let vm = vm::current();
    // SAFETY: likewise; the fiber is in no list any more.
    unsafe {
        let suspended = &mut (*vm).suspended;
        let at = suspended.iter().position(|(other, _)| *other == client)?;
        let (_, fiber) = suspended.swap_remove(at);
        let run = mem::replace(&mut (*fiber).run, Run::nothing());
        Fiber::free(vm, fiber);
        if let Some(running) = run.running {
            registry::with(|registry| registry.end(&running));
        }
        Some(run.unit)
    }
}

/// Resumes a run until it ends or gives way.
unsafe fn drive(vm: *mut Vm, fiber: *mut Fiber, context: &mut Context<'_>, reply: &mut Reply<'_>) -> Ended {
    let mark = reply.buffer().mark();
    // SAFETY: both pointers are taken away again below, before the borrows end from which they are made.
    let yielded = unsafe {
        let under_way =
            UnderWay { fiber, context: ptr::from_mut(context).cast(), reply: ptr::from_mut(reply).cast(), mark };
        let before = mem::replace(&mut (*vm).under_way, under_way);
        let result = (*fiber).coroutine.resume(());
        (*vm).under_way = before;
        match result {
            CoroutineResult::Yield(yielded) => yielded,
            CoroutineResult::Return(()) => Yielded::Ended,
        }
    };
    if yielded == Yielded::Interrupted {
        reply.buffer().rewind(mark);
        context.unfinished = Some(Unfinished::Suspended);
        // SAFETY: the interpreter is this thread's, and the fiber does not run.
        unsafe {
            if (*fiber).run.unit.is_trial {
                context.forget_events();
            }
            (*vm).suspended.push((context.client, fiber));
        }
        return Ended::Suspended;
    }
    // SAFETY: the fiber is not running; it is this function's until it is put into the list.
    let (mut unit, mut messages, leave, was_short) = unsafe {
        let run = &mut (*fiber).run;
        if let Some(running) = run.running.take() {
            registry::with(|registry| registry.end(&running));
        }
        let unit = mem::replace(&mut run.unit, Unit::new(context.db, reply.protocol()));
        let debugger = mem::replace(&mut run.debugger, ptr::null_mut());
        if !debugger.is_null() {
            debugger::end((*fiber).thread, debugger);
        }
        (unit, mem::take(&mut run.messages), run.leave, mem::take(&mut (*fiber).was_short))
    };
    // SAFETY: likewise.
    unsafe { put_away(vm, fiber, was_short) };
    if leave == Some(Leave::Elsewhere) {
        reply.buffer().rewind(mark);
        context.roll_back(&mut unit);
        context.unfinished = Some(Unfinished::Elsewhere);
        return Ended::Elsewhere;
    }
    if unit.is_trial {
        context.roll_back(&mut unit);
    } else if !messages.is_empty() {
        from_scripts::say(&mut messages);
    }
    Ended::Done(context.end_unit(unit))
}

/// Keeps a fiber for the next run.
unsafe fn put_away(vm: *mut Vm, fiber: *mut Fiber, was_short: bool) {
    const RUNS_PER_NOTE: u64 = 256;
    // SAFETY: see the head of the module.
    unsafe {
        if (*vm).idle.len() < IDLE_MAX {
            (*vm).idle.push(fiber);
        } else {
            Fiber::free(vm, fiber);
        }
        (*vm).runs += 1;
        if was_short {
            (*vm).collect();
        }
        if was_short || (*vm).runs % RUNS_PER_NOTE == 1 {
            registry::note_interpreter_memory(vm::memory_used());
        }
    }
}

/// Adds what the interpreter itself has to the globals of scripts: the names by which scripts of old know the handler of errors.
///
/// # Safety
/// Under protection, before the globals are protected.
pub unsafe fn install(state: *mut lua_State) {
    // SAFETY: see the head of the module.
    unsafe {
        for name in [c"__redis__err__handler", c"__server__err__handler"] {
            ffi::lua_pushcclosure(state, handle_error, 0);
            ffi::lua_setfield(state, ffi::LUA_GLOBALSINDEX, name.as_ptr());
        }
    }
}
