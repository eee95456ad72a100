//! Commands for the cluster.

pub mod rows;
