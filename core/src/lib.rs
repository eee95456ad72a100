//! The data store as a library: protocol, command table, data types, the shard of one core, and the
//! state machines that tie several shards together.
//!
//! Invariants, all of them deliberate absences:
//! - a command runs to its end: nothing here waits, blocks or is `async`;
//! - no socket, file, thread, clock, atomic or global state: bytes, `now`, randomness and settings come in as
//!   arguments, replies and effects leave as values, so the same inputs give the same outputs;
//! - a [`keyspace::shard::Shard`] has one owner and is `Send`;
//! - input from a client cannot cause a panic.

pub mod access;
pub mod codec;
pub mod command;
pub mod commands;
pub mod double;
pub mod glob;
pub mod keyspace;
pub mod limits;
pub mod long_double;
pub mod number;
pub mod observe;
pub mod outcome;
pub mod prng;
pub mod resp;
pub mod script;
pub mod settings;
pub mod txn;
pub mod units;
pub mod value;
pub mod wide;
pub mod words;
