//! The commands, one folder per family: rows, handlers, unit tests.

pub mod bitmap;
pub mod cluster;
pub mod connection;
pub mod geo;
pub mod hash;
pub mod hll;
pub mod key;
pub mod list;
pub mod pubsub;
pub mod script;
pub mod server;
pub mod set;
pub mod stream;
pub mod string;
pub mod transaction;
pub mod zset;

/// What a handler sees of the world: the shard it runs on, the database the client chose, the time.
#[derive(Debug)]
pub struct Context<'a> {
    _shard: &'a (),
}
