//! Commands for places.

pub mod rows;
