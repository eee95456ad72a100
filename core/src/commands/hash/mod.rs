//! Commands for hashes.

pub mod rows;
