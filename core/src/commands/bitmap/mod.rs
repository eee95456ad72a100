//! Commands for strings as rows of bits.

pub mod rows;
