//! Can a script be compiled?

use super::registry::Script;
use mlua::ChunkMode;
use ringkey_core::resp::CommandError;

/// Compiles a script and throws the result away.
///
/// # Errors
/// Why it cannot be compiled, with the line.
pub fn check(script: &Script) -> Result<(), CommandError> {
    let lua = mlua::Lua::new_with(mlua::StdLib::NONE, mlua::LuaOptions::new());
    let compiled = lua.and_then(|lua| {
        lua.load(script.code()).set_name("@user_script").set_mode(ChunkMode::Text).into_function().map(drop)
    });
    compiled.map_err(|error| match error {
        mlua::Error::SyntaxError { message, .. } => {
            CommandError::owned(format!("Error compiling script (new function): {message}"))
        }
        other => CommandError::owned(format!("Error compiling script (new function): {other}")),
    })
}
