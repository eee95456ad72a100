//! The measuring instrument: a load generator for every server that speaks RESP, and what is built on it.
//!
//! It sees servers from outside only and imports none of our crates, so that what it says of Ringkey and of its peers
//! is said in the same way. `perf/README.md` tells how to read its numbers.

pub mod error;
pub mod load;
pub mod report;
pub mod run;
pub mod workload;

pub use error::PerfError;
