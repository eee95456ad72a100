//! Laws of the keyspace: layouts, a model beside the real thing, scans while everything moves.
#![allow(clippy::unwrap_used)]

mod fields;
mod layout;
mod model;
mod scanning;
mod sizes;
mod trails;

use super::{KeyHasher, Shard, ShardMap};
use crate::units::ShardId;

const SEEDS: [u64; 4] = [1, 2, 3, 4];

/// One shard of `shards`, with two databases.
fn shard_of(id: u16, shards: u16) -> Shard {
    Shard::new(ShardId(id), ShardMap::new(shards), 2, KeyHasher::new(SEEDS), 5)
}
