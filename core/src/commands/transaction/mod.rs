//! Commands for transactions.

pub mod rows;
