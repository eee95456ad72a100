//! The process: executors, the reactor, connections, dispatch, the mesh between cores, settings, counters. It carries;
//! what decides lives in the crates below.
//!
//! Invariants:
//! - no rule of the data is decided here;
//! - a core shares nothing with another but the rings of [`mailbox`] and the seats by which sleepers are woken;
//! - only [`reactor`] names io_uring and glommio, so another driver would replace that folder and nothing else.

pub mod admin;
pub mod aside;
pub mod batch_wait;
pub mod blocking;
pub mod boot;
pub mod busy;
pub mod census;
pub mod clock;
pub mod configuration;
pub mod core_loop;
pub mod debugging;
pub mod dispatch;
pub mod gather;
pub mod listen;
pub mod long_reply;
pub mod mailbox;
pub mod memory;
pub mod migrate;
pub mod monitor;
pub mod multi;
pub mod nodes_file;
pub mod observe;
pub mod process;
pub mod pubsub;
pub mod reactor;
pub mod rounds;
pub mod script;
pub mod seat;
pub mod self_check;
pub mod session;
pub mod settings_effect;
pub mod state;
pub mod statistics;
pub mod sys;
pub mod tracking;
pub mod tuning;
pub mod wishes;

/// Our own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of Valkey whose behaviour we have; what clients read to find out what we can do.
pub const COMPATIBLE_VERSION: &str = "9.1.2";

/// The version of Redis OSS that clients take us for where they know no other name.
pub const REDIS_VERSION: &str = "7.2.4";

/// The server name of the protocol we speak, in HELLO and INFO.
pub const SERVER_NAME: &str = "valkey";
