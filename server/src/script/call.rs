//! What scripts call: the functions of the table `server`, which is also called `redis`.
//!
//! A call of a command costs no allocation where words and reply are short: the words go into one buffer, the handler of the
//! command writes its reply into another, and the reply is read from there. Both belong to the interpreter, because a function
//! that Lua calls may be left by a jump: nothing with a destructor lives in such a frame.
//!
//! **What makes it sound.** All functions here are called by Lua, or by others here, while an error of Lua is caught further up
//! on the same stack. Indices name values that are there, pushes stay within the room that Lua leaves (20 values) or has been
//! asked for, and texts stay on the stack while they are looked at. An error is a jump, so nothing that would have to be dropped
//! is alive where Lua is called.
#![allow(unsafe_code)]

use super::asking;
use super::convert;
use super::debugger;
use super::run::{self, Run};
use super::sandbox::raise_at;
use super::vm::{self, Vm};
use mlua::ffi::{self, lua_CFunction, lua_State};
use ringkey_core::command::Flags;
use ringkey_core::command::table;
use ringkey_core::commands::within::{NOT_FROM_SCRIPT, Within};
use ringkey_core::double::DoubleText;
use ringkey_core::resp::{Args, Protocol, Reply, ReplyBuffer, Span};
use ringkey_core::script::source::Sha;
use std::ffi::{CStr, c_int};
use std::slice;

/// The words of one call have so many bytes at most.
const WORDS_BYTES_MAX: usize = 1 << 30;

/// Buffers that are larger after a call are given back.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Words and reply of a call.
#[derive(Default)]
pub struct Buffers {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// The reply of the last call.
    pub reply: ReplyBuffer,
}

impl Buffers {
    fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    fn push(&mut self, word: &[u8]) {
        self.spans.push(Span::new(self.bytes.len(), word.len()));
        self.bytes.extend_from_slice(word);
    }

    /// The words.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans, &[])
    }

    /// The call is not for scripts, where this one is.
    pub fn refuse(&mut self, protocol: Protocol) {
        self.reply.clear();
        Reply::new(&mut self.reply, protocol).error(&NOT_FROM_SCRIPT);
    }

    /// Gives back what an unusual call needed.
    fn shrink(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
        if self.reply.bytes.capacity() > KEPT_BYTES_MAX {
            self.reply.bytes = Vec::new();
        }
        self.reply.clear();
    }
}

/// Why there are no words.
enum NoWords {
    /// None were given.
    None,
    /// One is neither string nor number.
    NotWords,
    /// They are too many bytes.
    TooLong,
}

impl NoWords {
    fn text(&self) -> &'static [u8] {
        match self {
            Self::None => b"Please specify at least one argument for this call",
            Self::NotWords => b"Command arguments must be strings or integers",
            Self::TooLong => b"Command arguments are too long",
        }
    }
}

/// Copies the arguments of the function that runs. Nothing here can leave by a jump.
unsafe fn take_words(state: *mut lua_State, buffers: &mut Buffers) -> Result<(), NoWords> {
    buffers.clear();
    // SAFETY: indices up to the top are there; strings are not changed by being looked at.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count == 0 {
            return Err(NoWords::None);
        }
        for index in 1..=count {
            match ffi::lua_type(state, index) {
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let word = ffi::lua_tolstring(state, index, &mut len);
                    if buffers.bytes.len() + len > WORDS_BYTES_MAX {
                        return Err(NoWords::TooLong);
                    }
                    buffers.push(slice::from_raw_parts(word.cast(), len));
                }
                ffi::LUA_TNUMBER => push_number(buffers, ffi::lua_tonumber(state, index)),
                _ => return Err(NoWords::NotWords),
            }
        }
    }
    Ok(())
}

/// Adds a number as a word: as an integer where it is one.
fn push_number(buffers: &mut Buffers, value: f64) {
    match value {
        // What has no digits behind the point, -0 included.
        _ if value == 0.0 => buffers.push(b"0"),
        _ if value.is_nan() => buffers.push(if value.is_sign_negative() { b"-nan" } else { b"nan" }),
        _ => buffers.push(DoubleText::of(value).as_bytes()),
    }
}

unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        if carry_out(state) {
            return 1;
        }
        ffi::lua_error(state)
    }
}

unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    unsafe {
        carry_out(state);
        1
    }
}

/// Carries a call out and pushes its reply; is it no error?
unsafe fn carry_out(state: *mut lua_State) -> bool {
    let vm = vm::current();
    // SAFETY: see the head of the module.
    unsafe {
        let run = run::of(vm, state);
        run::go_on(state);
        if let Err(error) = take_words(state, &mut (*vm).buffers) {
            convert::push_error_of(state, error.text());
            return false;
        }
        debugger::tell_call(run, &(*vm).buffers.args());
        // The words are copied: their places are enough for the reply.
        ffi::lua_settop(state, 0);
        loop {
            match perform(vm, run) {
                Within::Done { .. } => break,
                Within::Elsewhere => (*run).leave(run::Leave::Elsewhere),
                Within::ByProcess => {
                    asking::ask(vm, run, state);
                    run::go_on(state);
                    break;
                }
                Within::Locked => {
                    // While it waits others may call: it takes its words along.
                    std::mem::swap(&mut (*vm).buffers, &mut (*run).buffers);
                    run::wait(vm, state);
                    std::mem::swap(&mut (*vm).buffers, &mut (*run).buffers);
                }
            }
            run::go_on(state);
        }
        debugger::tell_reply(run, &(*vm).buffers.reply);
        let is_error = convert::is_error(&(*vm).buffers.reply);
        convert::push_reply(state, &(*vm).buffers.reply);
        (*vm).buffers.shrink();
        !is_error
    }
}

/// Has the command carried out whose words are in the buffers. No function of Lua is called here, so values with destructors
/// may live.
unsafe fn perform(vm: *mut Vm, run: *mut Run) -> Within {
    // SAFETY: a run is under way, so its context is there; handlers know nothing of interpreters and do not come back here.
    unsafe {
        let context = run::context(vm);
        let Buffers { bytes, spans, reply } = &mut (*vm).buffers;
        reply.clear();
        let args = Args::new(bytes, spans, &[]);
        if let Some(running) = &(*run).running
            && table::lookup(args.get(0)).is_some_and(|row| row.flags.has(Flags::WRITE))
            && !(*run).unit.is_trial
            && !running.may_write()
        {
            (*run).leave(run::Leave::Killed);
            return Within::Done { failed: true };
        }
        (*context).call_within(&mut (*run).unit, &args, reply)
    }
}

/// Pushes an error with this text and raises it.
unsafe fn refuse(state: *mut lua_State, text: &[u8]) -> ! {
    // SAFETY: see the head of the module.
    unsafe {
        convert::push_error_of(state, text);
        ffi::lua_error(state)
    }
}

/// The string at `index`, or the text of the number.
unsafe fn text_at<'a>(state: *mut lua_State, index: c_int) -> Option<&'a [u8]> {
    let mut len = 0;
    unsafe {
        let text = ffi::lua_tolstring(state, index, &mut len);
        (!text.is_null()).then(|| slice::from_raw_parts(text.cast(), len))
    }
}

unsafe extern "C-unwind" fn sha1hex(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            refuse(state, b"wrong number of arguments");
        }
        let sha = Sha::of(text_at(state, 1).unwrap_or_default());
        ffi::lua_pushlstring_(state, sha.as_bytes().as_ptr().cast(), sha.as_bytes().len());
        1
    }
}

/// Is the only argument a string?
unsafe fn is_one_string(state: *mut lua_State) -> bool {
    // SAFETY: see the head of the module.
    unsafe { ffi::lua_gettop(state) == 1 && ffi::lua_type(state, 1) == ffi::LUA_TSTRING }
}

unsafe extern "C-unwind" fn error_reply(state: *mut lua_State) -> c_int {
    unsafe {
        if !is_one_string(state) {
            convert::push_error_of(state, b"wrong number or type of arguments");
            return 1;
        }
        let text = text_at(state, 1).unwrap_or_default();
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        debugger::tell_error(text);
        convert::push_coded_error(state, text.strip_prefix(b"-").unwrap_or(text));
        1
    }
}

unsafe extern "C-unwind" fn status_reply(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        if !is_one_string(state) {
            convert::push_error_of(state, b"wrong number or type of arguments");
            return 1;
        }
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_setfield(state, -2, c"ok".as_ptr());
        1
    }
}

/// Which of AOF and replicas hear of the writes to come: kept in the run.
unsafe extern "C-unwind" fn set_repl(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            refuse(state, b"server.set_repl() requires one argument.");
        }
        let targets = ffi::lua_tonumber(state, 1) as i32;
        if targets & !REPL_ALL != 0 {
            refuse(state, b"Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
        }
        (*run::of(vm::current(), state)).propagate_to = targets;
        0
    }
}

unsafe extern "C-unwind" fn setresp(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            refuse(state, b"server.setresp() requires one argument.");
        }
        let protocol = match ffi::lua_tonumber(state, 1) as i32 {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => refuse(state, b"RESP version must be 2 or 3."),
        };
        (*run::of(vm::current(), state)).unit.protocol = protocol;
        0
    }
}

unsafe extern "C-unwind" fn log(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count < 2 {
            refuse(state, b"server.log() requires two arguments or more.");
        }
        if ffi::lua_isnumber(state, 1) == 0 {
            refuse(state, b"First argument must be a number (log level).");
        }
        let level = match ffi::lua_tonumber(state, 1) as i32 {
            0 => log::Level::Trace,
            1 => log::Level::Debug,
            2 => log::Level::Info,
            3 => log::Level::Warn,
            _ => refuse(state, b"Invalid log level."),
        };
        if level > log::max_level() {
            return 0;
        }
        for index in 2..=count {
            // Numbers become strings now, which may fail; nothing is held yet.
            ffi::lua_tolstring(state, index, std::ptr::null_mut());
        }
        write_log(state, level, count);
        0
    }
}

/// Writes the words from the second to number `count` to the log. They are strings already, or of no interest.
unsafe fn write_log(state: *mut lua_State, level: log::Level, count: c_int) {
    // SAFETY: strings are only looked at.
    let words = (2..=count).filter_map(|index| unsafe { text_at(state, index) });
    let line = words.map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    log::log!(level, "{line}");
}

unsafe extern "C-unwind" fn acl_check_cmd(state: *mut lua_State) -> c_int {
    unsafe {
        let vm = vm::current();
        run::of(vm, state);
        if let Err(error) = take_words(state, &mut (*vm).buffers) {
            refuse(state, error.text());
        }
        if !is_known(&(*vm).buffers) {
            refuse(state, b"Invalid command passed to server.acl_check_cmd()");
        }
        ffi::lua_pushboolean(state, 1);
        1
    }
}

/// Is there such a command, whatever its arguments?
fn is_known(buffers: &Buffers) -> bool {
    let args = buffers.args();
    let Some(row) = table::lookup(args.get(0)) else { return false };
    row.subcommands.is_empty() || args.len() < 2 || table::lookup_subcommand(row, args.get(1)).is_some()
}

unsafe extern "C-unwind" fn breakpoint(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let stops = debugger::stop_next();
        ffi::lua_pushboolean(state, stops.into());
    }
    1
}

unsafe extern "C-unwind" fn debug(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe { debugger::show(state) };
    0
}

unsafe extern "C-unwind" fn replicate_commands(state: *mut lua_State) -> c_int {
    unsafe { ffi::lua_pushboolean(state, 1) };
    1
}

/// Draws 31 bits, as `lrand48` does from 48 bits of state.
fn draw(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & ((1 << 48) - 1);
    (*state >> 17) as u32
}

/// The state of the source of chance for a seed.
pub const fn seeded(seed: i32) -> u64 {
    ((seed as u32 as u64) << 16) | 0x330E
}

unsafe extern "C-unwind" fn random(state: *mut lua_State) -> c_int {
    const RANGE: u32 = i32::MAX as u32;
    // SAFETY: see the head of the module.
    unsafe {
        let r = f64::from(draw(&mut (*vm::current()).chance) % RANGE) / f64::from(RANGE);
        let value = match ffi::lua_gettop(state) {
            0 => r,
            1 => {
                let most = ffi::luaL_checkinteger(state, 1) as i32;
                if most < 1 {
                    ffi::luaL_argerror(state, 1, c"interval is empty".as_ptr());
                }
                (r * f64::from(most)).floor() + 1.0
            }
            2 => {
                let (least, most) = (ffi::luaL_checkinteger(state, 1) as i32, ffi::luaL_checkinteger(state, 2) as i32);
                if least > most {
                    ffi::luaL_argerror(state, 2, c"interval is empty".as_ptr());
                }
                (r * f64::from(most.wrapping_sub(least).wrapping_add(1))).floor() + f64::from(least)
            }
            _ => raise_at(state, b"wrong number of arguments"),
        };
        ffi::lua_pushnumber(state, value);
        1
    }
}

unsafe extern "C-unwind" fn randomseed(state: *mut lua_State) -> c_int {
    // SAFETY: see the head of the module.
    unsafe {
        let seed = ffi::luaL_checkinteger(state, 1) as i32;
        (*vm::current()).chance = seeded(seed);
        0
    }
}

const REPL_ALL: i32 = 3;

const FUNCTIONS: &[(&CStr, lua_CFunction)] = &[
    (c"call", call),
    (c"pcall", pcall),
    (c"log", log),
    (c"setresp", setresp),
    (c"sha1hex", sha1hex),
    (c"error_reply", error_reply),
    (c"status_reply", status_reply),
    (c"set_repl", set_repl),
    (c"acl_check_cmd", acl_check_cmd),
    (c"breakpoint", breakpoint),
    (c"debug", debug),
    (c"replicate_commands", replicate_commands),
];

const NUMBERS: &[(&CStr, i32)] = &[
    (c"LOG_DEBUG", 0),
    (c"LOG_VERBOSE", 1),
    (c"LOG_NOTICE", 2),
    (c"LOG_WARNING", 3),
    (c"REPL_NONE", 0),
    (c"REPL_AOF", 1),
    (c"REPL_SLAVE", 2),
    (c"REPL_REPLICA", 2),
    (c"REPL_ALL", REPL_ALL),
];

/// A version as a number: a byte for each part.
fn version_number(version: &str) -> i32 {
    version.split('.').filter_map(|part| part.parse::<i32>().ok()).fold(0, |number, part| number << 8 | part)
}

unsafe fn set_text(state: *mut lua_State, name: &CStr, text: &str) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
        ffi::lua_setfield(state, -2, name.as_ptr());
    }
}

/// Makes the table `server`, and gives Lua's library of numbers our source of chance.
///
/// # Safety
/// Under protection, before the globals are protected.
pub unsafe fn install(state: *mut lua_State) {
    // SAFETY: see the head of the module.
    unsafe {
        ffi::lua_createtable(state, 0, 32);
        for (name, function) in FUNCTIONS {
            ffi::lua_pushcfunction(state, *function);
            ffi::lua_setfield(state, -2, name.as_ptr());
        }
        let versions = [
            (c"REDIS_VERSION_NUM", version_number(crate::REDIS_VERSION)),
            (c"VALKEY_VERSION_NUM", version_number(crate::COMPATIBLE_VERSION)),
        ];
        for (name, number) in NUMBERS.iter().copied().chain(versions) {
            ffi::lua_pushnumber(state, f64::from(number));
            ffi::lua_setfield(state, -2, name.as_ptr());
        }
        set_text(state, c"REDIS_VERSION", crate::REDIS_VERSION);
        set_text(state, c"VALKEY_VERSION", crate::COMPATIBLE_VERSION);
        set_text(state, c"SERVER_NAME", crate::SERVER_NAME);
        ffi::lua_setfield(state, ffi::LUA_GLOBALSINDEX, c"server".as_ptr());
        ffi::lua_getfield_(state, ffi::LUA_GLOBALSINDEX, c"math".as_ptr());
        ffi::lua_pushcfunction(state, random);
        ffi::lua_setfield(state, -2, c"random".as_ptr());
        ffi::lua_pushcfunction(state, randomseed);
        ffi::lua_setfield(state, -2, c"randomseed".as_ptr());
        ffi::lua_settop(state, -2);
    }
}
