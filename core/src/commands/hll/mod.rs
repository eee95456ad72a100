//! Commands for HyperLogLogs.

pub mod rows;
