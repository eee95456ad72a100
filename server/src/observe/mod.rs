//! What the outside may see of the process.

pub mod log;
