//! Commands for the server itself.

pub mod rows;
