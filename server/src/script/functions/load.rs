//! FUNCTION LOAD's own interpreter: it runs the code of a library once, to learn what it registers, and is thrown away.
//! Nothing of the server is within its reach but the log.

use crate::clock;
use mlua::{HookTriggers, Lua, LuaOptions, StdLib, Table, VmState};
use ringkey_core::resp::CommandError;
use ringkey_core::script::library::Registered;
use ringkey_core::script::source::ScriptFlags;
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Runs the code of libraries; what it gets and returns stands at its head.
pub const RUNNER: &str = include_str!("library.lua");

/// How the source of [`RUNNER`] is called where it fails.
pub const RUNNER_NAME: &CStr = c"=library";

/// The code of a library may run for so long when it is loaded.
pub const LOAD_LIMIT: Duration = Duration::from_millis(500);

/// The code of a library in a payload may run for so long: it was loaded somewhere, and that machine may be faster.
pub const RESTORE_LIMIT: Duration = Duration::from_secs(5);

/// The code of a library may use so much memory while it is loaded, in bytes.
const MEMORY_MAX: usize = 128 << 20;

/// Gives strings another `rep`, which neither counts for nothing nor fills the memory before it fails; no clock interrupts it.
const BOUNDED_REPETITION: &str = "local max = ...
    local rep = string.rep
    function string.rep(text, count)
        if #text == 0 then return '' end
        if #text * count > max then error('not enough memory', 0) end
        return rep(text, count)
    end";

/// So many instructions pass between two looks at the clock.
const INSTRUCTIONS_PER_LOOK: u32 = 100_000;

/// What libraries find in `server` besides functions.
pub const CONSTANTS: &[(&str, Constant)] = &[
    ("SERVER_NAME", Constant::Text(crate::SERVER_NAME)),
    ("REDIS_VERSION", Constant::Text(crate::REDIS_VERSION)),
    ("VALKEY_VERSION", Constant::Text(crate::COMPATIBLE_VERSION)),
    ("REDIS_VERSION_NUM", Constant::Number(version_number(crate::REDIS_VERSION))),
    ("VALKEY_VERSION_NUM", Constant::Number(version_number(crate::COMPATIBLE_VERSION))),
    ("LOG_DEBUG", Constant::Number(0)),
    ("LOG_VERBOSE", Constant::Number(1)),
    ("LOG_NOTICE", Constant::Number(2)),
    ("LOG_WARNING", Constant::Number(3)),
];

/// A constant of `server`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constant {
    /// A string.
    Text(&'static str),
    /// A number.
    Number(u32),
}

/// A version as one number, a byte for each of its parts.
const fn version_number(version: &str) -> u32 {
    let (bytes, mut at, mut part, mut number) = (version.as_bytes(), 0, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'.' => (number, part) = (number << 8 | part, 0),
            digit => part = part * 10 + (digit - b'0') as u32,
        }
        at += 1;
    }
    number << 8 | part
}

/// Writes what a library logs.
fn write_log(level: u32, text: &str) {
    match level {
        0 => log::trace!("{text}"),
        1 => log::debug!("{text}"),
        2 => log::info!("{text}"),
        _ => log::warn!("{text}"),
    }
}

/// Runs the code of a library and tells what it registered.
///
/// # Errors
/// It cannot be compiled, fails, or takes longer than `limit`.
pub fn run(code: &[u8], limit: Duration) -> Result<Vec<Registered>, CommandError> {
    let is_late = Arc::new(AtomicBool::new(false));
    match run_in(&is_late, code, limit) {
        _ if is_late.load(Ordering::Relaxed) => {
            Err(CommandError::text("Error registering functions: ERR FUNCTION LOAD timeout"))
        }
        Ok(Ok(registered)) => Ok(registered),
        Ok(Err(text)) => Err(CommandError::owned(text)),
        Err(mlua::Error::MemoryError(_)) => {
            Err(CommandError::text("Error registering functions: ERR not enough memory"))
        }
        Err(error) => Err(CommandError::owned(format!("Error registering functions: ERR {error}"))),
    }
}

fn run_in(is_late: &Arc<AtomicBool>, code: &[u8], limit: Duration) -> mlua::Result<Result<Vec<Registered>, String>> {
    let lua = Lua::new_with(StdLib::STRING | StdLib::TABLE, LuaOptions::new().catch_rust_panics(false))?;
    let constants_table = lua.create_table()?;
    for (name, value) in CONSTANTS {
        match *value {
            Constant::Text(text) => constants_table.set(*name, text)?,
            Constant::Number(number) => constants_table.set(*name, number)?,
        }
    }
    let write = lua.create_function(|_, (level, text): (u32, mlua::String)| {
        write_log(level, &text.to_string_lossy());
        Ok(())
    })?;
    lua.load(BOUNDED_REPETITION).call::<()>(MEMORY_MAX)?;
    let (runner, globals) = (lua.load(RUNNER).set_name(RUNNER_NAME.to_string_lossy()), lua.globals());
    let environment: mlua::Function = globals.get("setfenv")?;
    let runner: mlua::Function = runner.call((globals, environment, constants_table, write))?;
    lua.set_memory_limit(MEMORY_MAX)?;
    let (began, is_late) = (clock::ticks(), Arc::clone(is_late));
    let limit = clock::ticks_of(limit.as_nanos() as u64);
    lua.set_hook(HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_LOOK), move |_, _| {
        if clock::ticks().saturating_sub(began) <= limit {
            return Ok(VmState::Continue);
        }
        is_late.store(true, Ordering::Relaxed);
        Err(mlua::Error::runtime("late"))
    })?;
    let (list, refusal): (Option<Table>, Option<mlua::String>) = runner.call(lua.create_string(code)?)?;
    lua.remove_hook();
    match list {
        Some(list) => list.sequence_values().map(|one| registered(&one?)).collect::<mlua::Result<_>>().map(Ok),
        None => Ok(Err(refusal.map_or_else(String::new, |text| text.to_string_lossy()))),
    }
}

fn registered(one: &Table) -> mlua::Result<Registered> {
    let bytes = |text: mlua::String| text.as_bytes().to_vec();
    let mut flags = ScriptFlags::NONE;
    for flag in one.get::<Table>("flags")?.sequence_values::<mlua::String>() {
        // The runner has let through what is known, and only that.
        flags = flags.with(ScriptFlags::find(&flag?.as_bytes()).unwrap_or_default());
    }
    Ok(Registered {
        name: bytes(one.get("name")?),
        description: one.get::<Option<mlua::String>>("description")?.map(bytes),
        flags,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(code: &str) -> String {
        run(format!("\n{code}").as_bytes(), LOAD_LIMIT).unwrap_err().to_string()
    }

    fn failure(code: &str) -> String {
        let text = refusal(code);
        text.strip_prefix("Error registering functions: ERR ").unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    #[test]
    fn functions_are_registered_in_both_forms() {
        let code = b"local f = function() end
            redis.register_function('a', f)
            server.register_function(1, f)
            server.register_function{FUNCTION_NAME='b', callback=f, description='d\\0e', flags={'No-Writes', 'allow-oom'}}";
        let all = run(code, LOAD_LIMIT).unwrap();
        let names: Vec<_> = all.iter().map(|one| &one.name[..]).collect();
        assert_eq!(names, [&b"a"[..], b"1", b"b"]);
        assert_eq!(all[2].description.as_deref(), Some(&b"d\0e"[..]));
        assert_eq!(all[2].flags, ScriptFlags::NO_WRITES.with(ScriptFlags::ALLOW_OOM));
        assert_eq!((all[0].flags, &all[0].description), (ScriptFlags::NONE, &None));
    }

    #[test]
    fn what_is_registered_wrongly_is_refused() {
        const NAMED: &str = "calling server.register_function with a single argument is only applicable to Lua table \
                             (representing named arguments).";
        let f = "callback=function() end";
        for (call, text) in [
            ("", "wrong number of arguments to server.register_function"),
            ("1, 2, 3", "wrong number of arguments to server.register_function"),
            ("1", NAMED),
            ("nil", NAMED),
            ("nil, 1", "first argument to server.register_function must be a string"),
            ("'a', 1", "second argument to server.register_function must be a function"),
            ("{}", "server.register_function must get a function name argument"),
            ("{function_name='a'}", "server.register_function must get a callback argument"),
            (&format!("{{{f}}}"), "server.register_function must get a function name argument"),
            ("{function_name={}}", "function_name argument given to server.register_function must be a string"),
            ("{callback=1}", "callback argument given to server.register_function must be a function"),
            ("{description={}}", "description argument given to server.register_function must be a string"),
            ("{flags=1}", "flags argument to server.register_function must be a table representing function flags"),
            ("{flags={'x'}}", "unknown flag given"),
            ("{flags={{}}}", "unknown flag given"),
            ("{foo=1}", "unknown argument given to server.register_function"),
            ("{1}", "unknown argument given to server.register_function"),
            ("{[{}]=1}", "named argument key given to server.register_function is not a string"),
        ] {
            assert_eq!(failure(&format!("redis.register_function({call})")), text, "{call}");
        }
    }

    #[test]
    fn nothing_else_is_within_reach() {
        for name in ["x", "print", "_G", "string", "KEYS", "pcall", "getmetatable", "os", "loadstring"] {
            let text = format!("user_function:2: Script attempted to access nonexistent global variable '{name}'");
            assert_eq!(failure(&format!("return {name}")), text);
        }
        for name in ["call", "pcall", "setresp", "sha1hex", "error_reply", "REPL_ALL"] {
            let text = format!("user_function:3: Script attempted to access nonexistent global variable '{name}'");
            assert_eq!(failure(&format!("\nlocal x = redis.{name}")), text);
        }
        for change in ["x = 1", "redis = 1", "redis.x = 1", "server.log = nil"] {
            assert_eq!(failure(change), "user_function:2: Attempt to modify a readonly table");
        }
    }

    #[test]
    fn code_that_is_wrong_or_takes_too_much_is_refused() {
        assert_eq!(refusal("bad script"), "Error compiling function: user_function:2: '=' expected near 'script'");
        assert_eq!(failure("local a = nil + 1"), "user_function:2: attempt to perform arithmetic on a nil value");
        assert_eq!(failure("local function f() return 1 + f() end f()"), "user_function:2: stack overflow");
        assert_eq!(failure("local x = ('x'):rep(2^31 - 1)"), "not enough memory");
        assert_eq!(failure("local x = 'x' for i = 1, 40 do x = x .. x end"), "not enough memory");
        assert_eq!(run(b"local x = (''):rep(2^31 - 1)", LOAD_LIMIT), Ok(Vec::new()));
        assert_eq!(failure("while true do end"), "FUNCTION LOAD timeout");
    }

    #[test]
    fn versions_are_numbers_too() {
        let code = b"\nif redis.REDIS_VERSION_NUM ~= 459268 or server.LOG_WARNING ~= 3 then x() end
            redis.register_function(redis.SERVER_NAME, function() end) redis.log(redis.LOG_DEBUG, 'a', 1, {})";
        assert_eq!(run(code, LOAD_LIMIT).unwrap()[0].name, b"valkey");
    }
}
