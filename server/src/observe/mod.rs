//! What the outside may see of the process.

pub mod calls;
pub mod log;
