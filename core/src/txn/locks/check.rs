//! All that must hold between two calls, computed anew from the queues alone.

use std::collections::BTreeMap;

use super::slab::NONE;
use super::{KEPT_RECORDS, LockTable, Mode, Object, Tally};

impl LockTable {
    /// Verifies every invariant of the table. Its cost grows with all that is held: for tests, simulations and debugging.
    ///
    /// # Panics
    /// If an invariant does not hold.
    pub fn check(&self) {
        let unclear_keys = self.check_objects();
        self.check_arrivals(&unclear_keys);
        self.check_wholes();
        if self.is_idle() {
            self.check_rest();
        }
    }

    /// Walks the queue of each key; returns at how many keys each owner, by slot, is not clear.
    fn check_objects(&self) -> BTreeMap<u32, u32> {
        let mut unclear = BTreeMap::new();
        let mut places = 0;
        for object in &self.objects {
            places += self.check_object(object, &mut unclear);
        }
        assert_eq!(places, self.places.len(), "each place stands in one queue");
        unclear
    }

    fn check_object(&self, object: &Object, unclear: &mut BTreeMap<u32, u32>) -> usize {
        assert_ne!(object.first, NONE, "an object without places is removed");
        let mut seen: Vec<(u64, Mode)> = Vec::new();
        let mut border = NONE;
        let mut ahead = NONE;
        let mut next = object.first;
        while next != NONE {
            let place = self.places[next];
            let arrival = self.live[place.live].arrival;
            assert_eq!(place.fingerprint, object.fingerprint);
            assert_eq!(place.ahead, ahead);
            assert!(seen.iter().all(|(earlier, _)| *earlier < arrival), "a queue is in order of arrival");
            let clear = seen.iter().all(|(_, mode)| mode.admits(place.mode));
            if !clear {
                *unclear.entry(place.live).or_default() += 1;
                border = if border == NONE { next } else { border };
            }
            assert!(clear == (border == NONE), "the clear places are a prefix");
            seen.push((arrival, place.mode));
            ahead = next;
            next = place.behind;
        }
        assert_eq!(object.last, ahead);
        assert_eq!(object.first_unclear, border);
        seen.len()
    }

    /// Walks the live owners in order of arrival.
    fn check_arrivals(&self, unclear_keys: &BTreeMap<u32, u32>) {
        let (mut owners, mut places, mut waiting) = (0, 0, 0);
        let mut passed = Tally::default();
        let mut wholes = Tally::default();
        let mut older = NONE;
        let mut next = self.oldest;
        while next != NONE {
            let live = self.live[next];
            assert_eq!(live.older, older);
            assert!(older == NONE || self.live[older].arrival < live.arrival);
            assert!(live.arrival < self.arrivals);
            assert_eq!(self.owners.find(live.owner.mixed(), |known| known.0 == live.owner), Some(&(live.owner, next)));

            let conflicts = match (live.whole, live.mode) {
                (false, Mode::Shared) => wholes.exclusive,
                (false, Mode::Exclusive) => wholes.shared + wholes.exclusive,
                (true, Mode::Shared) => wholes.exclusive + passed.exclusive,
                (true, Mode::Exclusive) => owners,
            };
            let at_keys = unclear_keys.get(&next).copied().unwrap_or(0);
            assert_eq!(live.unclear, at_keys + u32::from(conflicts > 0), "{live:?}");
            assert_eq!(live.kept_out, !live.whole && conflicts > 0);
            places += self.check_places(next);
            *(if live.whole { &mut wholes } else { &mut passed }).of(live.mode) += 1;
            owners += 1;
            waiting += usize::from(live.unclear > 0);
            older = next;
            next = live.newer;
        }
        assert_eq!(self.newest, older);
        assert_eq!((owners, owners), (self.owners.len(), self.live.len()));
        assert_eq!(places, self.places.len(), "each place belongs to one owner");
        assert_eq!(waiting, self.waiting);
        assert_eq!(self.holders() + self.waiters(), owners);
        assert!(self.is_idle() || self.holders() > 0, "the oldest owner always holds");
    }

    /// Walks the places of one owner; returns how many they are.
    fn check_places(&self, slot: u32) -> usize {
        let live = self.live[slot];
        assert!(!live.whole || live.places == NONE, "a whole-shard request stands in no queue of a key");
        let mut seen = Vec::new();
        let mut next = live.places;
        while next != NONE {
            let place = self.places[next];
            assert_eq!(place.live, slot);
            assert!(place.mode <= live.mode);
            assert!(!seen.contains(&place.fingerprint), "one place for each key");
            seen.push(place.fingerprint);
            next = place.sibling;
        }
        seen.len()
    }

    /// Counts the stretches between the whole-shard requests anew.
    fn check_wholes(&self) {
        let mut stretch = Tally::default();
        let mut at = 0;
        let mut next = self.oldest;
        while next != NONE {
            let live = self.live[next];
            if live.whole {
                let whole = &self.wholes[at];
                assert_eq!((whole.arrival, whole.live, whole.mode), (live.arrival, next, live.mode));
                assert_eq!(whole.before, stretch);
                assert_eq!(live.unclear == 0, at < self.wholes_clear, "the clear requests are a prefix");
                stretch = Tally::default();
                at += 1;
            } else {
                *stretch.of(live.mode) += 1;
            }
            next = live.newer;
        }
        assert_eq!(self.tail, stretch);
        assert_eq!(self.wholes.len(), at);
        let exclusive = self.wholes.iter().filter(|whole| whole.mode == Mode::Exclusive).count();
        assert_eq!(self.wholes_exclusive, exclusive);
    }

    /// An idle table is empty and small.
    fn check_rest(&self) {
        assert_eq!((self.oldest, self.newest), (NONE, NONE));
        assert!(self.owners.is_empty() && self.objects.is_empty() && self.wholes.is_empty());
        assert_eq!((self.live.slots(), self.places.slots()), (0, 0), "no slot is kept, not even as a free one");
        assert_eq!(self.tail, Tally::default());
        assert_eq!((self.waiting, self.wholes_clear, self.wholes_exclusive), (0, 0, 0));
        for capacity in [
            self.live.capacity(),
            self.places.capacity(),
            self.owners.capacity(),
            self.objects.capacity(),
            self.wholes.capacity(),
        ] {
            assert!(capacity <= KEPT_RECORDS, "idle, yet memory for {capacity} records is held");
        }
    }
}
