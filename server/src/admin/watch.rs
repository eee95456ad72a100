//! WATCH and UNWATCH, as far as the client's own core is concerned: it knows which shards have something of it to forget.

use crate::session::Session;
use crate::state::State;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::units::{DbIndex, ShardId};
use smallvec::SmallVec;
use std::collections::HashSet;

/// What a client watches.
#[derive(Default)]
pub struct Watching {
    /// The shards of its keys.
    pub shards: SmallVec<[ShardId; 4]>,
    /// Its keys.
    keys: HashSet<(DbIndex, Box<[u8]>)>,
    bytes: usize,
}

impl Watching {
    /// How many keys it watches.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Memory that this takes here, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.bytes + self.keys.capacity() * size_of::<(DbIndex, Box<[u8]>)>()
    }
}

impl State {
    /// A client is about to watch the keys of a call.
    pub fn note_watching(&mut self, session: &mut Session, args: &Args<'_>) {
        let db = session.db;
        self.watching += usize::from(session.watching.is_none());
        let watching = session.watching.get_or_insert_default();
        for key in args.iter_from(1) {
            if watching.keys.insert((db, key.into())) {
                watching.bytes += key.len();
                let shard = self.shard_of_key(key);
                if !watching.shards.contains(&shard) {
                    watching.shards.push(shard);
                }
            }
        }
    }

    /// A client watches nothing any more: UNWATCH, the end of a transaction, the end of the client.
    pub fn end_watching(&mut self, session: &mut Session) {
        let Some(watching) = session.watching.take() else { return };
        self.watching -= 1;
        for shard in watching.shards {
            if shard == self.me {
                self.site.shard.forget_watcher(session.id);
            } else {
                self.outgoing(shard).unwatches.push(session.id);
            }
        }
    }
}

/// UNWATCH
pub fn unwatch(state: &mut State, session: &mut Session) -> Result<(), CommandError> {
    state.end_watching(session);
    Reply::new(&mut session.output.pending, session.protocol).ok();
    Ok(())
}
