//! Commands for lists.

pub mod rows;
