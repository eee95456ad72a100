//! The libraries that Valkey gives to scripts beyond Lua's own: `cjson`, `cmsgpack`, `struct` and `bit`.
//!
//! Their results, limits and error texts are those of Valkey 9.1.2, recorded in `recorded.txt` from the real server.
//! `stack` is the way in from Lua and the only place with unsafe code; no function recurses, so none needs more of a
//! script's stack for deeper values.

mod bit;
mod cjson;
mod cmsgpack;
mod number;
mod scratch;
mod stack;
mod structs;
#[cfg(test)]
mod tests;

/// Puts the four libraries into the globals. They keep no state but the settings of `cjson`, and work from tables that
/// are protected against changes.
///
/// # Errors
/// When Lua cannot allocate.
pub fn install(lua: &mlua::Lua) -> mlua::Result<()> {
    stack::install(lua, &[&cjson::LIBRARY, &cmsgpack::LIBRARY, &structs::LIBRARY, &bit::LIBRARY])
}
