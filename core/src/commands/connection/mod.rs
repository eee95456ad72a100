//! Commands for connections.

pub mod rows;
