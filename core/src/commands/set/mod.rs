//! Commands for sets.

pub mod rows;
