//! Commands for transactions.

pub mod rows;
mod watch;

pub use watch::watch;
