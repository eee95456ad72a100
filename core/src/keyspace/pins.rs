//! Keys that must stay for now although their time may pass: somebody reads them piece by piece.
//!
//! A lock on such a key keeps writers away, but expiry asks for no lock, because a key whose time has passed is absent for
//! everybody else already. So expiry looks here.

use super::slot::KeyHash;
use crate::units::{DbIndex, Millis};

/// The keys that must stay. Mostly there are none.
#[derive(Debug, Default)]
pub struct Pins {
    pins: Vec<Pin>,
}

#[derive(Debug)]
struct Pin {
    number: u64,
    db: DbIndex,
    hash: u64,
    expire_at: Option<Millis>,
}

impl Pins {
    /// Has a key stay until the pin of this number is removed.
    pub fn add(&mut self, number: u64, db: DbIndex, hash: KeyHash, expire_at: Option<Millis>) {
        self.pins.push(Pin { number, db, hash: hash.hash, expire_at });
    }

    /// Removes a pin, if it is there.
    pub fn remove(&mut self, number: u64) {
        self.pins.retain(|pin| pin.number != number);
    }

    /// Must a key stay? Now and then true for another key as well.
    #[inline]
    pub fn hold(&self, db: DbIndex, hash: KeyHash) -> bool {
        self.pins.iter().any(|pin| pin.db == db && pin.hash == hash.hash)
    }

    /// Has the time of a key passed that must stay?
    #[inline]
    pub fn hold_expired(&self, now: Millis) -> bool {
        self.pins.iter().any(|pin| pin.expire_at.is_some_and(|at| at <= now))
    }
}
