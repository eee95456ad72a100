//! What the outside may see of the process.

pub mod calls;
pub mod crash;
pub mod line;
pub mod log;
pub mod sink;
