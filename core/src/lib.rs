//! Placeholder crate root; see ARCHITECTURE.md for what moves in.

pub mod glob;
pub mod settings;
