//! The commands, one folder per family: rows, handlers, unit tests.

/// What a handler sees of the world: the shard it runs on, the database the client chose, the time.
#[derive(Debug)]
pub struct Context<'a> {
    _shard: &'a (),
}
