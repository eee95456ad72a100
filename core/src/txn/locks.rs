//! The lock table of one shard: who may touch which keys while a command that takes several steps is under way.
//!
//! Commands that run at once and keep nothing pay one check, [`LockTable::is_idle`]; where the table is in use they ask
//! [`LockTable::is_free`]. Commands that span cores, or overtake each other across cores, hold shared or exclusive locks
//! on fingerprints of keys for a short while, or a lock on the whole shard.
//!
//! **The one rule:** an owner is granted when it is compatible with every owner that arrived earlier and still lives,
//! holder or waiter alike. All that follows only makes this rule cheap. It is fair (nobody overtakes a waiter that it
//! conflicts with, so nobody starves) and free of deadlock (an owner waits only for earlier ones).
//!
//! ```text
//!  key object   first -> S  S  X  S  X <- last      one queue for each fingerprint, in order of arrival
//!                        ----  ^                    the clear part is always a prefix: one X, or the leading Ss;
//!                       clear  first_unclear        so a departure looks at this one border and never at the others
//!
//!  the shard    keys.. W  keys.. W  keys..          whole-shard requests cut the arrivals into stretches; each counts
//!               before    before    tail            the key owners of the stretch in front of it, by mode
//! ```
//!
//! The shard itself is a lock object too. An owner of keys counts there as *shared* or *exclusive* by its strongest
//! request. Two owners of keys never conflict there; an owner of keys conflicts with a whole-shard request unless both are
//! shared. The clear whole-shard requests are a prefix as well. An owner is granted when it is clear at all its objects.
//!
//! A release costs the owner's own requests and those that it wakes. Only the departure of a whole-shard request walks
//! over later arrivals, and over each of them at most once for each mode.
//!
//! The table must never read a clock, call back, or decide by the order of a hash table: equal calls give equal answers.

mod check;
mod slab;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

use self::slab::{NONE, Slab};

/// For how many records each part of an idle table keeps its memory. 224 is what 256 buckets of a hash table hold, so
/// that a table of this size is recognised as small enough.
const KEPT_RECORDS: usize = 224;

/// Who holds or waits: chosen by the caller, unique among the live owners of this shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Owner(pub u64);

/// A hash of database and key, well mixed in all its bits. Two keys with equal fingerprints only conflict needlessly.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Fingerprint(pub u64);

/// How a lock is held. The order is that of strength.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Mode {
    /// Beside others that only read.
    Shared,
    /// Alone.
    Exclusive,
}

impl Mode {
    const fn admits(self, other: Self) -> bool {
        matches!((self, other), (Self::Shared, Self::Shared))
    }
}

/// One key that an owner asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Request {
    /// Which key.
    pub fingerprint: Fingerprint,
    /// How.
    pub mode: Mode,
}

/// What an owner asks for on this shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope<'a> {
    /// These keys. Repeated fingerprints count once, in the stronger mode. No keys at all still counts as a shared use of
    /// the shard, which an exclusive lock on the whole of it keeps out.
    Keys(&'a [Request]),
    /// Everything: shared (a count or a consistent cut) beside owners that hold keys shared, exclusive (a flush) alone.
    Whole(Mode),
}

/// The answer to [`LockTable::acquire`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Grant {
    /// The owner holds all that it asked for.
    Granted,
    /// The owner has its place in every queue; a later [`LockTable::release`] reports it.
    Waiting,
}

/// The locks of one shard.
#[derive(Debug)]
pub struct LockTable {
    /// Finds an owner's record; holds the live owners, no others.
    owners: HashTable<(Owner, u32)>,
    live: Slab<Live>,
    /// The ends of the list of live owners in order of arrival.
    oldest: u32,
    newest: u32,
    /// The number of the next arrival.
    arrivals: u64,
    /// How many of the live owners wait.
    waiting: usize,
    /// The keys that somebody holds or waits for, no others. The fingerprint is its own hash.
    objects: HashTable<Object>,
    places: Slab<Place>,
    /// The live whole-shard requests in order of arrival.
    wholes: VecDeque<Whole>,
    /// How many of `wholes`, from the front, are clear.
    wholes_clear: usize,
    /// How many of `wholes` are exclusive.
    wholes_exclusive: usize,
    /// The owners of keys that arrived after the last of `wholes`.
    tail: Tally,
}

/// A live owner.
#[derive(Clone, Copy, Debug)]
struct Live {
    owner: Owner,
    arrival: u64,
    /// Neighbours in the list of arrivals.
    older: u32,
    newer: u32,
    /// The first of its places in the queues of keys.
    places: u32,
    /// At how many of its objects, the shard among them, it is not clear. It waits unless this is 0.
    unclear: u32,
    /// For an owner of keys: a whole-shard request keeps it out. Counted in `unclear`.
    kept_out: bool,
    whole: bool,
    /// The mode in which it counts at the shard.
    mode: Mode,
}

/// The place of one owner in the queue of one key.
#[derive(Clone, Copy, Debug)]
struct Place {
    fingerprint: u64,
    live: u32,
    /// The next place of the same owner.
    sibling: u32,
    /// Neighbours in the queue.
    ahead: u32,
    behind: u32,
    mode: Mode,
}

/// A key that somebody holds or waits for.
#[derive(Debug)]
struct Object {
    fingerprint: u64,
    first: u32,
    last: u32,
    first_unclear: u32,
}

/// A live whole-shard request.
#[derive(Debug)]
struct Whole {
    arrival: u64,
    live: u32,
    mode: Mode,
    /// The owners of keys that arrived before it and after the request in front of it.
    before: Tally,
}

/// How many owners of keys, by the mode in which they count at the shard.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Tally {
    shared: usize,
    exclusive: usize,
}

/// The owners that one release has cleared everywhere, each with its arrival.
type Woken = SmallVec<[(u64, Owner); 8]>;

impl LockTable {
    /// An empty table; it allocates nothing until its first use.
    pub const fn new() -> Self {
        Self {
            owners: HashTable::new(),
            live: Slab::new(),
            oldest: NONE,
            newest: NONE,
            arrivals: 0,
            waiting: 0,
            objects: HashTable::new(),
            places: Slab::new(),
            wholes: VecDeque::new(),
            wholes_clear: 0,
            wholes_exclusive: 0,
            tail: Tally { shared: 0, exclusive: 0 },
        }
    }

    /// Nobody holds and nobody waits: the one check of the fast path.
    #[inline]
    pub const fn is_idle(&self) -> bool {
        self.oldest == NONE
    }

    /// How many owners hold all that they asked for.
    pub fn holders(&self) -> usize {
        self.owners.len() - self.waiting
    }

    /// How many owners wait.
    pub const fn waiters(&self) -> usize {
        self.waiting
    }

    /// Whether a command that runs at once and keeps nothing conflicts neither with a holder nor with a waiter.
    pub fn is_free(&self, scope: Scope<'_>) -> bool {
        if self.is_idle() {
            return true;
        }
        match scope {
            Scope::Keys(requests) => {
                if !self.wholes.is_empty() && !self.admits_keys(strongest(requests)) {
                    return false;
                }
                requests.iter().all(|request| self.admits_key(*request))
            }
            Scope::Whole(mode) => self.admits_whole(mode),
        }
    }

    /// Does anybody hold one of these keys, or the whole shard, in a way that keeps the requests out? Who waits does not
    /// count, nor does `except`.
    pub fn is_held(&self, requests: &[Request], except: Option<Owner>) -> bool {
        let holds = |live: u32| self.live[live].unclear == 0 && Some(self.live[live].owner) != except;
        let wants = strongest(requests);
        let keeps_out = |whole: &Whole| holds(whole.live) && !whole.mode.admits(wants);
        if self.wholes.iter().take(self.wholes_clear).any(keeps_out) {
            return true;
        }
        requests.iter().any(|request| {
            let hash = request.fingerprint.0;
            let Some(object) = self.objects.find(hash, |object| object.fingerprint == hash) else { return false };
            let mut next = object.first;
            while next != NONE && next != object.first_unclear {
                let place = &self.places[next];
                if holds(place.live) && !place.mode.admits(request.mode) {
                    return true;
                }
                next = place.behind;
            }
            false
        })
    }

    /// Does anybody wait for what this owner holds? Of the whole shard, whoever waits is taken to wait for it.
    pub fn is_waited_for(&self, owner: Owner) -> bool {
        let Some((_, slot)) = self.owners.find(owner.mixed(), |known| known.0 == owner) else { return false };
        if self.wholes_clear < self.wholes.len() {
            return true;
        }
        let mut place = self.live[*slot].places;
        while place != NONE {
            let Place { fingerprint, sibling, .. } = self.places[place];
            let object = self.objects.find(fingerprint, |object| object.fingerprint == fingerprint);
            if object.is_some_and(|object| object.first_unclear != NONE) {
                return true;
            }
            place = sibling;
        }
        false
    }

    /// Takes all of `scope`, or gives the owner its place in all the queues of it.
    ///
    /// # Panics
    /// If the owner is live already: a second request could wait for the owner's own first one.
    pub fn acquire(&mut self, owner: Owner, scope: Scope<'_>) -> Grant {
        let live = match scope {
            Scope::Keys(requests) => self.enter_keys(owner, requests),
            Scope::Whole(mode) => self.enter_whole(owner, mode),
        };
        if self.live[live].unclear == 0 {
            return Grant::Granted;
        }
        self.waiting += 1;
        Grant::Waiting
    }

    /// Takes all of `scope` if nothing conflicts with it, else leaves no trace.
    ///
    /// # Panics
    /// If the owner is live already and nothing conflicts.
    pub fn try_acquire(&mut self, owner: Owner, scope: Scope<'_>) -> bool {
        if !self.is_free(scope) {
            return false;
        }
        let grant = self.acquire(owner, scope);
        assert_eq!(grant, Grant::Granted, "what is free can be taken");
        true
    }

    /// Ends the locks of a holder or withdraws a waiter, and appends to `granted` the owners that thereby hold all that
    /// they asked for, in the order of their arrival. Returns whether the owner was live; if not, nothing changes.
    pub fn release(&mut self, owner: Owner, granted: &mut Vec<Owner>) -> bool {
        let Ok(entry) = self.owners.find_entry(owner.mixed(), |known| known.0 == owner) else { return false };
        let ((_, slot), _) = entry.remove();
        let gone = self.live[slot];
        if gone.unclear > 0 {
            self.waiting -= 1;
        }
        let mut woken = Woken::new();
        if gone.whole {
            self.leave_whole(&gone, &mut woken);
        } else {
            self.leave_keys(&gone, &mut woken);
        }
        self.unlink(slot);

        woken.sort_unstable_by_key(|(arrival, _)| *arrival);
        granted.extend(woken.iter().map(|(_, owner)| *owner));
        if self.is_idle() {
            self.rest();
        }
        true
    }

    /// Adds an owner at the end of the list of arrivals.
    fn admit(&mut self, owner: Owner, mode: Mode, whole: bool) -> u32 {
        let arrival = self.arrivals;
        let older = self.newest;
        let record =
            Live { owner, arrival, older, newer: NONE, places: NONE, unclear: 0, kept_out: false, whole, mode };
        let Entry::Vacant(vacant) = self.owners.entry(owner.mixed(), |known| known.0 == owner, |known| known.0.mixed())
        else {
            panic!("{owner:?} holds or waits already");
        };
        let slot = self.live.insert(record);
        vacant.insert((owner, slot));
        self.arrivals += 1;
        self.newest = slot;
        match older {
            NONE => self.oldest = slot,
            older => self.live[older].newer = slot,
        }
        slot
    }

    /// Takes an owner out of the list of arrivals.
    fn unlink(&mut self, slot: u32) {
        let Live { older, newer, .. } = self.live.remove(slot);
        match older {
            NONE => self.oldest = newer,
            older => self.live[older].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.live[newer].older = older,
        }
    }

    /// One more object of the owner has become clear.
    fn clear_one(live: &mut Slab<Live>, slot: u32, waiting: &mut usize, woken: &mut Woken) {
        let record = &mut live[slot];
        debug_assert!(record.unclear > 0, "cleared more often than it was unclear");
        record.unclear -= 1;
        if record.unclear == 0 {
            *waiting -= 1;
            woken.push((record.arrival, record.owner));
        }
    }

    /// Returns what an idle table does not need, and keeps a little for the next owner.
    fn rest(&mut self) {
        debug_assert!(self.owners.is_empty() && self.objects.is_empty() && self.wholes.is_empty());
        debug_assert_eq!(self.tail, Tally::default());
        self.live.reset(KEPT_RECORDS);
        self.places.reset(KEPT_RECORDS);
        if self.owners.capacity() > KEPT_RECORDS {
            self.owners.shrink_to(KEPT_RECORDS, |known| known.0.mixed());
        }
        if self.objects.capacity() > KEPT_RECORDS {
            self.objects.shrink_to(KEPT_RECORDS, |object| object.fingerprint);
        }
        if self.wholes.capacity() > KEPT_RECORDS {
            self.wholes.shrink_to(KEPT_RECORDS);
        }
    }
}

impl Default for LockTable {
    fn default() -> Self {
        Self::new()
    }
}

/// The queues of the keys.
impl LockTable {
    fn admits_key(&self, request: Request) -> bool {
        let hash = request.fingerprint.0;
        let Some(object) = self.objects.find(hash, |object| object.fingerprint == hash) else { return true };
        // Where nobody is unclear the queue is one exclusive place or shared ones only; else there is an exclusive one.
        object.first_unclear == NONE && request.mode.admits(self.places[object.first].mode)
    }

    fn enter_keys(&mut self, owner: Owner, requests: &[Request]) -> u32 {
        let mode = strongest(requests);
        let live = self.admit(owner, mode, false);
        let kept_out = !self.admits_keys(mode);
        *self.tail.of(mode) += 1;

        let mut unclear = u32::from(kept_out);
        let mut places = NONE;
        for request in requests {
            unclear += u32::from(self.enter_key(live, *request, &mut places));
        }
        let record = &mut self.live[live];
        record.places = places;
        record.kept_out = kept_out;
        record.unclear = unclear;
        live
    }

    /// Gives an owner its place in the queue of one key and puts it in front of the owner's other `places`. Returns
    /// whether this adds an object at which the owner is not clear.
    fn enter_key(&mut self, live: u32, request: Request, places: &mut u32) -> bool {
        let Request { fingerprint: Fingerprint(fingerprint), mode } = request;
        let mut place = Place { fingerprint, live, sibling: *places, ahead: NONE, behind: NONE, mode };
        let same = |object: &Object| object.fingerprint == fingerprint;
        match self.objects.entry(fingerprint, same, |object| object.fingerprint) {
            Entry::Vacant(vacant) => {
                let slot = self.places.insert(place);
                vacant.insert(Object { fingerprint, first: slot, last: slot, first_unclear: NONE });
                *places = slot;
                false
            }
            Entry::Occupied(occupied) => {
                let object = occupied.into_mut();
                // Nobody else can have arrived since the owner's earlier request for the same key.
                if self.places[object.last].live == live {
                    return object.strengthen_last(&mut self.places, mode);
                }
                place.ahead = object.last;
                let slot = self.places.insert(place);
                self.places[object.last].behind = slot;
                object.last = slot;
                *places = slot;
                let clear = object.first_unclear == NONE && mode.admits(self.places[object.first].mode);
                if !clear && object.first_unclear == NONE {
                    object.first_unclear = slot;
                }
                !clear
            }
        }
    }

    fn leave_keys(&mut self, gone: &Live, woken: &mut Woken) {
        let mut next = gone.places;
        while next != NONE {
            let place = self.places.remove(next);
            self.leave_key(next, &place, woken);
            next = place.sibling;
        }

        let stretch = self.wholes.partition_point(|whole| whole.arrival < gone.arrival);
        match self.wholes.get_mut(stretch) {
            None => *self.tail.of(gone.mode) -= 1,
            Some(whole) => {
                *whole.before.of(gone.mode) -= 1;
                self.clear_wholes(woken);
            }
        }
    }

    fn leave_key(&mut self, slot: u32, place: &Place, woken: &mut Woken) {
        let hash = place.fingerprint;
        let Place { ahead, behind, .. } = *place;
        let Ok(mut entry) = self.objects.find_entry(hash, |object| object.fingerprint == hash) else {
            unreachable!("a place belongs to an object");
        };
        if ahead == NONE && behind == NONE {
            entry.remove();
            return;
        }
        let object = entry.get_mut();
        match ahead {
            NONE => object.first = behind,
            ahead => self.places[ahead].behind = behind,
        }
        match behind {
            NONE => object.last = ahead,
            behind => self.places[behind].ahead = ahead,
        }
        if object.first_unclear == slot {
            object.first_unclear = behind;
        }
        while object.first_unclear != NONE && object.may_clear(&self.places) {
            let Place { live, behind, .. } = self.places[object.first_unclear];
            object.first_unclear = behind;
            Self::clear_one(&mut self.live, live, &mut self.waiting, woken);
        }
    }
}

/// The queue of the shard as a whole.
impl LockTable {
    /// Whether an owner of keys that arrives now gets past all the whole-shard requests.
    fn admits_keys(&self, mode: Mode) -> bool {
        match mode {
            Mode::Shared => self.wholes_exclusive == 0,
            Mode::Exclusive => self.wholes.is_empty(),
        }
    }

    /// Whether a whole-shard request that arrives now is compatible with every live owner.
    fn admits_whole(&self, mode: Mode) -> bool {
        match mode {
            Mode::Exclusive => self.is_idle(),
            // An exclusive owner of keys in front of a shared request would show in the request's not being clear.
            Mode::Shared => {
                self.wholes_exclusive == 0 && self.wholes_clear == self.wholes.len() && self.tail.exclusive == 0
            }
        }
    }

    fn enter_whole(&mut self, owner: Owner, mode: Mode) -> u32 {
        let clear = self.admits_whole(mode);
        let live = self.admit(owner, mode, true);
        let record = &mut self.live[live];
        record.unclear = u32::from(!clear);
        let before = std::mem::take(&mut self.tail);
        self.wholes.push_back(Whole { arrival: record.arrival, live, mode, before });
        self.wholes_exclusive += usize::from(mode == Mode::Exclusive);
        if clear {
            self.wholes_clear += 1;
            debug_assert_eq!(self.wholes_clear, self.wholes.len(), "only what is all clear admits one more");
        }
        live
    }

    fn leave_whole(&mut self, gone: &Live, woken: &mut Woken) {
        let at = self.wholes.partition_point(|whole| whole.arrival < gone.arrival);
        let whole = self.wholes.remove(at).expect("a live whole-shard request is in its queue");
        debug_assert_eq!(whole.arrival, gone.arrival);
        let stretch = self.wholes.get_mut(at).map_or(&mut self.tail, |next| &mut next.before);
        stretch.shared += whole.before.shared;
        stretch.exclusive += whole.before.exclusive;
        self.wholes_exclusive -= usize::from(whole.mode == Mode::Exclusive);
        self.wholes_clear -= usize::from(at < self.wholes_clear);
        self.clear_wholes(woken);
        self.let_in(gone, at, woken);
    }

    /// Moves the border between the clear whole-shard requests and the others as far as it goes.
    fn clear_wholes(&mut self, woken: &mut Woken) {
        while let Some(next) = self.wholes.get(self.wholes_clear) {
            let first = self.wholes_clear == 0;
            // In front of clear requests no owner of keys conflicts, so the stretch since the last of them decides.
            let clear = match next.mode {
                Mode::Shared => next.before.exclusive == 0 && (first || self.wholes[0].mode == Mode::Shared),
                Mode::Exclusive => next.before == Tally::default() && first,
            };
            if !clear {
                return;
            }
            self.wholes_clear += 1;
            Self::clear_one(&mut self.live, next.live, &mut self.waiting, woken);
        }
    }

    /// Lets in the owners of keys that only the departed whole-shard request, once the `at`-th, kept out.
    fn let_in(&mut self, gone: &Live, at: usize, woken: &mut Woken) {
        let mut any_ahead = at > 0;
        let mut exclusive_ahead = self.wholes.iter().take(at).any(|whole| whole.mode == Mode::Exclusive);
        let mut next = gone.newer;
        // A departed shared request kept out exclusive owners only.
        while next != NONE && !exclusive_ahead && !(any_ahead && gone.mode == Mode::Shared) {
            let Live { newer, whole, mode, kept_out, .. } = self.live[next];
            if whole {
                any_ahead = true;
                exclusive_ahead = mode == Mode::Exclusive;
            } else if kept_out && (mode == Mode::Shared || !any_ahead) {
                self.live[next].kept_out = false;
                Self::clear_one(&mut self.live, next, &mut self.waiting, woken);
            }
            next = newer;
        }
    }
}

impl Object {
    /// Whether the first place that is not clear may become so: alone at the front, or shared behind shared ones.
    fn may_clear(&self, places: &Slab<Place>) -> bool {
        self.first_unclear == self.first || places[self.first].mode.admits(places[self.first_unclear].mode)
    }

    /// Merges a second request of the owner of the last place. Returns whether the place was clear and no longer is.
    fn strengthen_last(&mut self, places: &mut Slab<Place>, mode: Mode) -> bool {
        let place = &mut places[self.last];
        if mode <= place.mode {
            return false;
        }
        place.mode = mode;
        if self.first_unclear != NONE || self.first == self.last {
            return false;
        }
        self.first_unclear = self.last;
        true
    }
}

impl Tally {
    const fn of(&mut self, mode: Mode) -> &mut usize {
        match mode {
            Mode::Shared => &mut self.shared,
            Mode::Exclusive => &mut self.exclusive,
        }
    }
}

impl Owner {
    /// Owners differ in few bits and not in random ones; the hash table looks at the lowest and the highest.
    const fn mixed(self) -> u64 {
        let wide = self.0 as u128 * 0x9e37_79b9_7f4a_7c15;
        (wide as u64) ^ ((wide >> 64) as u64)
    }
}

/// The mode in which an owner of these keys counts at the shard.
fn strongest(requests: &[Request]) -> Mode {
    requests.iter().map(|request| request.mode).max().unwrap_or(Mode::Shared)
}
