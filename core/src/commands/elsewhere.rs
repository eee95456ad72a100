//! The way of a call to keys of other shards.
//!
//! A few calls learn only while they run which keys they touch: SORT, whose patterns name keys after elements. Such a call
//! runs on one core over the data of all shards ([`crate::txn::assembly`]), and goes from shard to shard here: whatever a
//! handler does by its [`Context`] concerns the shard at hand. Of a call that is not of this kind, and with one
//! core, the shard at hand has all its keys, and going costs one look.

use super::Context;
use crate::keyspace::{KeyHash, Shard};
use crate::units::{DbIndex, ShardId, Slot};

/// The shards of a call besides the one at hand.
#[derive(Debug)]
pub struct Elsewhere<'a> {
    /// By their numbers; the place of the one at hand is empty.
    shards: Vec<Option<&'a mut Shard>>,
    /// A shard without keys, where a call runs over entries of several shards; while it does, the shard that it left.
    bench: &'a mut Shard,
}

impl<'a> Elsewhere<'a> {
    /// Takes the shard at hand out of all shards.
    pub fn new(
        shards: impl IntoIterator<Item = &'a mut Shard>,
        at_hand: ShardId,
        bench: &'a mut Shard,
    ) -> (Self, &'a mut Shard) {
        let mut shards: Vec<Option<&'a mut Shard>> = shards.into_iter().map(Some).collect();
        let shard = shards[at_hand.index()].take().expect("the shard at hand is one of all");
        debug_assert_eq!(shard.id, at_hand, "shards are in the order of their numbers");
        (Self { shards, bench }, shard)
    }
}

impl Context<'_> {
    /// Makes the shard that has this key the one at hand. Every key that the call did not name itself needs this.
    #[inline]
    pub fn go_to(&mut self, hash: KeyHash) {
        if self.elsewhere.is_some() {
            self.go_to_shard(self.shard.map.shard_of(hash.slot));
        }
    }

    /// Makes this shard the one at hand.
    #[inline]
    pub fn go_to_shard(&mut self, id: ShardId) {
        let before = self.shard.id;
        if before == id {
            return;
        }
        let elsewhere = self.elsewhere.as_mut().expect("one shard has all keys of a call, unless there are others");
        let next = elsewhere.shards[id.index()].take().expect("all shards but the one at hand are elsewhere");
        let left = std::mem::replace(&mut self.shard, next);
        // What becomes of keys is noted in one order, and goes along.
        std::mem::swap(&mut self.shard.events, &mut left.events);
        elsewhere.shards[before.index()] = Some(left);
    }

    /// The shard where a call runs over entries of several.
    ///
    /// # Panics
    /// If there are no shards elsewhere.
    pub fn bench_mut(&mut self) -> &mut Shard {
        self.elsewhere.as_mut().expect("there are several shards").bench
    }

    /// Makes that shard the one at hand, or the one that was at hand before.
    pub fn exchange_bench(&mut self) {
        let elsewhere = self.elsewhere.as_mut().expect("there are several shards");
        std::mem::swap(&mut elsewhere.bench, &mut self.shard);
        std::mem::swap(&mut elsewhere.bench.events, &mut self.shard.events);
    }

    /// After a call over entries of several shards, when these are back: what it counted and replaced becomes that of the shard
    /// at hand.
    pub fn settle_bench(&mut self) {
        let elsewhere = self.elsewhere.as_mut().expect("there are several shards");
        self.shard.stats.add(&std::mem::take(&mut elsewhere.bench.stats));
        self.shard.adopt_buried(elsewhere.bench);
        debug_assert!(
            (0..elsewhere.bench.database_count()).all(|db| elsewhere.bench.database(DbIndex(db)).is_empty()),
            "every entry went back to its shard"
        );
    }

    /// The shard with the keys of a slot, only to be looked at.
    #[inline]
    pub fn shard_with(&self, slot: Slot) -> &Shard {
        match &self.elsewhere {
            None => self.shard,
            Some(elsewhere) => {
                let place = &elsewhere.shards[self.shard.map.shard_of(slot).index()];
                place.as_deref().unwrap_or(self.shard)
            }
        }
    }
}
