//! What the interpreter calls while a script is debugged, and orders that need it.
//!
//! **What makes it sound.** All functions here are called by Lua, or by others here, while an error of Lua is caught further up
//! on the same stack. Indices name values that are there, pushes stay within the room that Lua leaves (20 values) or has been
//! asked for. An error is a jump, so nothing that would have to be dropped is alive where Lua is called: texts and orders belong to the
//! debugger, which stays where it is while its session lasts.
#![allow(unsafe_code)]

use super::{Debugger, LuaOrder, Mode, Next, replies, values};
use crate::clock;
use crate::script::convert;
use crate::script::run::{self, Fiber};
use crate::script::sandbox;
use crate::script::vm::{self, Vm};
use mlua::ffi::{self, lua_Debug, lua_State};
use ringkey_core::resp::{Args, ReplyBuffer};
use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;

/// How pieces of Lua are called that the client has run.
const EVAL_NAME: &CStr = c"@ldb_eval";

/// Scripts that this client calls with EVAL are debugged from now on.
pub fn enable(client: u64, mode: Mode) {
    disable(client);
    let vm = vm::current();
    // SAFETY: the interpreter is this thread's, and the reference is not held.
    unsafe {
        (*vm).debuggers.push((client, Box::new(Debugger::new(mode))));
    }
}

/// They are not any more.
pub fn disable(client: u64) {
    let vm = vm::current();
    // SAFETY: likewise. A session that has begun keeps its debugger until it ends.
    unsafe {
        (*vm).debuggers.retain(|(other, debugger)| *other != client || debugger.has_begun);
    }
}

/// Does something with the debugger of a client, if it has one.
pub fn with<T>(client: u64, act: impl FnOnce(&mut Debugger) -> T) -> Option<T> {
    let vm = vm::current();
    // SAFETY: the interpreter is this thread's, and whatever is done with a debugger does not come back here. The boxes stay where they
    // are, so what runs may have a pointer to one; it is not running now.
    unsafe {
        let debuggers = &mut (*vm).debuggers;
        debuggers.iter_mut().find(|(other, _)| *other == client).map(|(_, debugger)| act(debugger))
    }
}

/// The debugger of a client whose script is called now; null if it is not debugged.
#[inline]
pub fn begin(client: u64) -> *mut Debugger {
    let vm = vm::current();
    // SAFETY: the interpreter is this thread's, and the reference is not held.
    let debuggers = unsafe { &mut (*vm).debuggers };
    let found = debuggers.iter_mut().find(|(other, debugger)| *other == client && debugger.has_begun);
    found.map_or(ptr::null_mut(), |(_, debugger)| ptr::from_mut(&mut **debugger))
}

/// Has a thread of Lua stop at lines.
///
/// # Safety
/// It is that of a fiber whose run has a debugger.
pub unsafe fn attach(thread: *mut lua_State) {
    // SAFETY: as the head of the module says.
    unsafe { ffi::lua_sethook(thread, Some(reached), ffi::LUA_MASKCOUNT | ffi::LUA_MASKLINE, run::STEPS_PER_LOOK) };
}

/// Has it run on as others do; the run has ended.
///
/// # Safety
/// It is that of a fiber.
pub unsafe fn end(thread: *mut lua_State, debugger: *mut Debugger) {
    // SAFETY: as the head of the module says.
    unsafe {
        ffi::lua_sethook(thread, Some(run::interrupt), ffi::LUA_MASKCOUNT, run::STEPS_PER_LOOK);
        (*debugger).running = None;
    }
}

/// What Lua calls before each line, and every so many steps.
unsafe extern "C-unwind" fn reached(state: *mut lua_State, place: *mut lua_Debug) {
    // SAFETY: as the head of the module says.
    unsafe {
        let is_count = (*place).event == ffi::LUA_HOOKCOUNT;
        if is_count {
            run::interrupt(state, place);
        }
        let vm = vm::current();
        let fiber = (*vm).under_way.fiber;
        if fiber.is_null() || (*fiber).run.debugger.is_null() || !(*run::context(vm)).may_suspend {
            return;
        }
        ffi::lua_getinfo(state, c"Sl".as_ptr(), place);
        if !is_of_script(place) {
            return;
        }
        let debugger = (*fiber).run.debugger;
        let line = usize::try_from((*place).currentline).unwrap_or(0);
        if (*debugger).reach(line, is_count).is_none() {
            return;
        }
        stay(vm, state, fiber, debugger);
        (*debugger).since = clock::ticks();
    }
}

/// Is the function that runs one of the script?
unsafe fn is_of_script(place: *const lua_Debug) -> bool {
    const NAME: &[u8] = b"user_script";
    // SAFETY: it ends with a zero.
    let name = unsafe { CStr::from_ptr((&raw const (*place).short_src).cast::<c_char>()) };
    name.to_bytes().windows(NAME.len()).any(|part| part == NAME)
}

/// Carries out orders until one says that the script is to go on.
unsafe fn stay(vm: *mut Vm, state: *mut lua_State, fiber: *mut Fiber, debugger: *mut Debugger) {
    // SAFETY: as the head of the module says.
    unsafe {
        (*debugger).running = Some((*fiber).run.announced());
        loop {
            match (*debugger).next() {
                Some(Next::GoOn) => return,
                Some(Next::Stay) => (*debugger).send(),
                Some(Next::Lua(order)) => {
                    carry_out(vm, state, debugger, order);
                    (*debugger).send();
                }
                Some(Next::End(text)) => {
                    convert::push_error_of(state, text.as_bytes());
                    ffi::lua_error(state);
                }
                None => {
                    (*debugger).is_stopped = true;
                    run::suspend(vm, state);
                    (*debugger).is_stopped = false;
                    (*fiber).run.look();
                }
            }
            run::go_on(state);
        }
    }
}

unsafe fn carry_out(vm: *mut Vm, state: *mut lua_State, debugger: *mut Debugger, order: LuaOrder) {
    // SAFETY: as the head of the module says.
    unsafe {
        let top = ffi::lua_gettop(state);
        match order {
            LuaOrder::Locals => say_locals(state, debugger),
            LuaOrder::Variable => say_variable(vm, state, debugger),
            LuaOrder::Trace => say_trace(state, debugger),
            LuaOrder::Eval => eval(state, debugger),
            LuaOrder::Call => call(vm, state, debugger),
        }
        ffi::lua_settop(state, top);
    }
}

/// A word of the order that is carried out.
unsafe fn word<'a>(debugger: *mut Debugger, index: usize) -> &'a [u8] {
    // SAFETY: the order stays until the next one is taken.
    unsafe { (*ptr::from_ref(&(*debugger).order)).args().get(index) }
}

/// Says the value on top of the stack, behind this.
unsafe fn say_value(state: *mut lua_State, debugger: *mut Debugger, label: &[u8]) {
    // SAFETY: as the head of the module says.
    unsafe {
        (*debugger).text.clear();
        (*debugger).text.extend_from_slice(label);
        let most = (*debugger).shown_bytes();
        values::append(state, ffi::lua_gettop(state), most, &raw mut (*debugger).text);
        (*debugger).say_text();
    }
}

unsafe fn say_locals(state: *mut lua_State, debugger: *mut Debugger) {
    // SAFETY: as the head of the module says.
    unsafe {
        let mut place = MaybeUninit::<lua_Debug>::zeroed().assume_init();
        let mut count = 0;
        if ffi::lua_getstack(state, 0, &mut place) != 0 {
            for index in 1.. {
                let name = ffi::lua_getlocal(state, &place, index);
                if name.is_null() {
                    break;
                }
                let name = CStr::from_ptr(name).to_bytes();
                // What the compiler keeps for itself is called so.
                if !name.starts_with(b"(") {
                    (*debugger).text.clear();
                    for part in [b"<value> ", name, b" = "] {
                        (*debugger).text.extend_from_slice(part);
                    }
                    let most = (*debugger).shown_bytes();
                    values::append(state, ffi::lua_gettop(state), most, &raw mut (*debugger).text);
                    (*debugger).say_text();
                    count += 1;
                }
                ffi::lua_settop(state, -2);
            }
        }
        if count == 0 {
            (*debugger).say("No local variables in the current context.");
        }
    }
}

unsafe fn say_variable(vm: *mut Vm, state: *mut lua_State, debugger: *mut Debugger) {
    // SAFETY: as the head of the module says.
    unsafe {
        let wanted = word(debugger, 1);
        let mut place = MaybeUninit::<lua_Debug>::zeroed().assume_init();
        let mut level = 0;
        while ffi::lua_getstack(state, level, &mut place) != 0 {
            for index in 1.. {
                let name = ffi::lua_getlocal(state, &place, index);
                if name.is_null() {
                    break;
                }
                if CStr::from_ptr(name).to_bytes() == wanted {
                    return say_value(state, debugger, b"<value> ");
                }
                ffi::lua_settop(state, -2);
            }
            level += 1;
        }
        if matches!(wanted, b"KEYS" | b"ARGV") {
            ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, (*vm).globals);
            ffi::lua_pushlstring_(state, wanted.as_ptr().cast(), wanted.len());
            ffi::lua_rawget(state, -2);
            return say_value(state, debugger, b"<value> ");
        }
        (*debugger).say("No such variable.");
    }
}

unsafe fn say_trace(state: *mut lua_State, debugger: *mut Debugger) {
    // SAFETY: as the head of the module says.
    unsafe {
        let mut place = MaybeUninit::<lua_Debug>::zeroed().assume_init();
        let mut level = 0;
        while ffi::lua_getstack(state, level, &mut place) != 0 {
            ffi::lua_getinfo(state, c"Snl".as_ptr(), &mut place);
            if is_of_script(&place) {
                let name: &[u8] = match place.name.is_null() {
                    true => b"top level",
                    false => CStr::from_ptr(place.name).to_bytes(),
                };
                (*debugger).text.clear();
                for part in [if level == 0 { &b"In "[..] } else { b"From " }, name, b":"] {
                    (*debugger).text.extend_from_slice(part);
                }
                (*debugger).say_text();
                (*debugger).say_line(usize::try_from(place.currentline).unwrap_or(0));
            }
            level += 1;
        }
    }
}

/// Runs a piece of Lua: as an expression if it is one. It has a thread of its own, so that it can be interrupted and stopped as scripts can.
unsafe fn eval(state: *mut lua_State, debugger: *mut Debugger) {
    const RETURN: &[u8] = b"return ";
    // SAFETY: as the head of the module says.
    unsafe {
        let thread = ffi::lua_newthread(state);
        ffi::lua_sethook(thread, Some(run::interrupt), ffi::LUA_MASKCOUNT, run::STEPS_PER_LOOK);
        (*debugger).text.clear();
        (*debugger).text.extend_from_slice(RETURN);
        let order: *const _ = &raw const (*debugger).order;
        for index in 1..(*order).args().len() {
            if index > 1 {
                (*debugger).text.push(b' ');
            }
            (*debugger).text.extend_from_slice(word(debugger, index));
        }
        let code: *const [u8] = (*debugger).text.as_slice();
        if sandbox::load_text(thread, &*code, EVAL_NAME.as_ptr()) != 0 {
            ffi::lua_settop(thread, 0);
            if sandbox::load_text(thread, &(&*code)[RETURN.len()..], EVAL_NAME.as_ptr()) != 0 {
                return say_value(thread, debugger, b"Error compiling code: ");
            }
        }
        match ffi::lua_pcall(thread, 0, 1, 0) {
            0 => say_value(thread, debugger, b"<retval> "),
            _ => say_value(thread, debugger, b"<error> "),
        }
    }
}

/// Carries out a command as the script would, and tells of it.
unsafe fn call(vm: *mut Vm, state: *mut lua_State, debugger: *mut Debugger) {
    // SAFETY: as the head of the module says.
    unsafe {
        let order: *const _ = &raw const (*debugger).order;
        let len = (*order).args().len();
        if ffi::lua_checkstack(state, c_int::try_from(len).unwrap_or(c_int::MAX).saturating_add(4)) == 0 {
            return (*debugger).say("<error> max lua stack reached");
        }
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, (*vm).globals);
        ffi::lua_getfield_(state, -1, c"server".as_ptr());
        ffi::lua_getfield_(state, -1, c"call".as_ptr());
        for index in 1..len {
            let word = word(debugger, index);
            ffi::lua_pushlstring_(state, word.as_ptr().cast(), word.len());
        }
        (*debugger).is_stepping = true;
        ffi::lua_pcall(state, len as c_int - 1, 1, 0);
        (*debugger).is_stepping = false;
    }
}

/// The debugger of the run under way; null if there is none.
fn current() -> *mut Debugger {
    let vm = vm::current();
    // SAFETY: the fiber is null or that of the run that is resumed.
    unsafe {
        let fiber = (*vm).under_way.fiber;
        if fiber.is_null() { ptr::null_mut() } else { (*fiber).run.debugger }
    }
}

/// Is this run told of, call by call?
#[inline]
unsafe fn tells(run: *mut run::Run) -> Option<*mut Debugger> {
    // SAFETY: as the head of the module says.
    unsafe {
        let debugger = (*run).debugger;
        (!debugger.is_null() && (*debugger).is_stepping).then_some(debugger)
    }
}

/// The script is about to make a call.
///
/// # Safety
/// The run is under way.
#[inline]
pub unsafe fn tell_call(run: *mut run::Run, args: &Args<'_>) {
    // SAFETY: as the head of the module says.
    unsafe {
        if let Some(debugger) = tells(run) {
            (*debugger).say_call(args);
        }
    }
}

/// The call has replied.
///
/// # Safety
/// The run is under way.
#[inline]
pub unsafe fn tell_reply(run: *mut run::Run, reply: &ReplyBuffer) {
    // SAFETY: as the head of the module says.
    unsafe {
        let Some(debugger) = tells(run) else { return };
        (*debugger).say_cut(replies::describe(reply, (*debugger).shown_bytes()));
        if convert::is_error(reply) {
            let line = reply.bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
            // What is refused because it comes from a script is told without its code.
            let text = match line.ends_with(b" script") {
                true => line.strip_prefix(b"-ERR ").unwrap_or(line),
                false => line,
            };
            (*debugger).say([b"<error> ", text].concat());
        }
    }
}

/// The script makes an error of its own.
pub fn tell_error(text: &[u8]) {
    let debugger = current();
    // SAFETY: it is null or stays where it is while the run is under way.
    unsafe {
        if !debugger.is_null() && (*debugger).is_stepping {
            (*debugger).say([b"<error> -", text].concat());
        }
    }
}

/// The script shows the values on the stack.
///
/// # Safety
/// In a function that Lua has called.
pub unsafe fn show(state: *mut lua_State) {
    // SAFETY: as the head of the module says.
    unsafe {
        let debugger = current();
        if debugger.is_null() {
            return;
        }
        let mut line = itoa::Buffer::new();
        let line = line.format((*debugger).line).as_bytes();
        (*debugger).text.clear();
        for part in [b"<debug> line ", line, b": "] {
            (*debugger).text.extend_from_slice(part);
        }
        for index in 1..=ffi::lua_gettop(state) {
            if index > 1 {
                (*debugger).text.extend_from_slice(b", ");
            }
            values::append(state, index, super::UNLIMITED_BYTES, &raw mut (*debugger).text);
        }
        let text = std::mem::take(&mut (*debugger).text);
        (*debugger).say(text);
    }
}

/// The script is to stop before its next line; is it debugged?
pub fn stop_next() -> bool {
    let debugger = current();
    // SAFETY: it is null or stays where it is while the run is under way.
    unsafe {
        if !debugger.is_null() {
            (*debugger).was_called = true;
        }
    }
    !debugger.is_null()
}
