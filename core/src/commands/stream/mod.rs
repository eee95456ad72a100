//! Commands for streams.

pub mod rows;
