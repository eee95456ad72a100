//! Commands for sorted sets.

pub mod rows;
