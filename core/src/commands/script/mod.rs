//! Commands for scripts and functions.

pub mod rows;
