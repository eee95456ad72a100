//! One core's place in the mesh: its mailboxes from all others, its rings to all others, and who sleeps.
//!
//! A pass collects what it has for each core and publishes it once ([`Mesh::flush`]). A full ring never blocks and
//! never drops: letters wait in an overflow queue, in order. The queue is bounded because a session has at most one thing under
//! way; [`Mesh::is_clogged`] tells the core to look soon whether there is room again.

use super::letter::{Letter, Notice};
use super::ring::{Receiver, Sender, ring};
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// Letters that a ring holds.
const RING_CAPACITY: usize = 512;

/// What all cores see of each other; written rarely.
pub struct Cores {
    seats: Box<[Seat]>,
    /// Cores that stop and owe nobody anything any more.
    quiet: AtomicUsize,
    /// Cores on which a script holds something for long.
    holds: AtomicUsize,
    /// Letters with messages for clients so far.
    messages: AtomicU64,
}

/// One core as the others see it, on cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
struct Seat {
    sleeps: AtomicBool,
    ring_fd: AtomicI32,
    connections: AtomicU32,
    beat: AtomicI64,
    /// What its clients hold in bytes, and the group of the largest of them; kept only with `maxmemory-clients`.
    client_bytes: AtomicUsize,
    largest_client: AtomicUsize,
    /// What a script has held here for long, as a number.
    hold: AtomicU8,
    /// The owner of the locks, where it holds keys.
    hold_owner: AtomicU64,
}

/// What a script holds for longer than others are to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Hold {
    /// Nothing.
    #[default]
    Nothing,
    /// Keys of several shards, which are lent to its core.
    Keys,
    /// The shard of the core on which it runs.
    Shard,
    /// All shards.
    Everything,
}

impl Cores {
    /// Tells what a script holds on a core; it is told when that changes.
    pub fn tell_hold(&self, index: usize, hold: Hold, owner: u64) {
        self.seats[index].hold_owner.store(owner, Ordering::Release);
        let before = self.seats[index].hold.swap(hold as u8, Ordering::AcqRel);
        match (before, hold) {
            (0, Hold::Nothing) => {}
            (0, _) => {
                self.holds.fetch_add(1, Ordering::AcqRel);
            }
            (_, Hold::Nothing) => {
                self.holds.fetch_sub(1, Ordering::AcqRel);
            }
            _ => {}
        }
    }

    /// On how many cores a script holds something for long.
    #[inline]
    pub fn holds(&self) -> usize {
        self.holds.load(Ordering::Relaxed)
    }

    /// What a script holds on a core.
    pub fn hold(&self, index: usize) -> Hold {
        match self.seats[index].hold.load(Ordering::Acquire) {
            0 => Hold::Nothing,
            1 => Hold::Keys,
            2 => Hold::Shard,
            _ => Hold::Everything,
        }
    }

    /// The owner of the locks on the keys that a script on a core holds.
    pub fn hold_owner(&self, index: usize) -> u64 {
        self.seats[index].hold_owner.load(Ordering::Acquire)
    }

    /// Seats for `count` cores.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            seats: (0..count).map(|_| Seat::default()).collect(),
            quiet: AtomicUsize::new(0),
            holds: AtomicUsize::new(0),
            messages: AtomicU64::new(0),
        })
    }

    /// The number of a new letter with messages for clients: greater than that of any which its core may have seen the effect of.
    pub fn number_messages(&self) -> u64 {
        self.messages.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The greatest such number so far.
    pub fn last_messages(&self) -> u64 {
        self.messages.load(Ordering::Acquire)
    }

    /// How many cores there are.
    pub fn count(&self) -> usize {
        self.seats.len()
    }

    /// Announces the ring under which core `index` is woken.
    pub fn announce(&self, index: usize, ring_fd: RawFd) {
        self.seats[index].ring_fd.store(ring_fd, Ordering::Release);
    }

    /// When core `index` last ticked, in milliseconds since the epoch.
    pub fn beat(&self, index: usize) -> &AtomicI64 {
        &self.seats[index].beat
    }

    /// How many cores that stop owe nobody anything any more.
    pub fn quiet(&self) -> &AtomicUsize {
        &self.quiet
    }

    /// The number of connections of core `index`.
    pub fn connections(&self, index: usize) -> &AtomicU32 {
        &self.seats[index].connections
    }

    /// Shows what the clients of core `index` hold: their sum in bytes, and the group of the largest that may be evicted.
    pub fn show_client_memory(&self, index: usize, bytes: usize, largest: usize) {
        self.seats[index].client_bytes.store(bytes, Ordering::Relaxed);
        self.seats[index].largest_client.store(largest, Ordering::Relaxed);
    }

    /// What the clients of all cores hold: their sum in bytes, and the group of the largest; 0: none may be evicted.
    pub fn client_memory(&self) -> (usize, usize) {
        let bytes = self.seats.iter().map(|seat| seat.client_bytes.load(Ordering::Relaxed)).sum();
        let largest = self.seats.iter().map(|seat| seat.largest_client.load(Ordering::Relaxed)).max();
        (bytes, largest.unwrap_or(0))
    }

    /// The core with the largest client that may be evicted.
    pub fn of_largest_client(&self) -> usize {
        let largest = |index: &usize| self.seats[*index].largest_client.load(Ordering::Relaxed);
        (0..self.count()).max_by_key(largest).unwrap_or(0)
    }

    /// The core with the fewest connections; among equals the next after `after`.
    pub fn least_connected(&self, after: usize) -> usize {
        let count = self.count();
        (1..=count)
            .map(|step| (after + step) % count)
            .min_by_key(|index| self.seats[*index].connections.load(Ordering::Relaxed))
            .unwrap_or(0)
    }
}

/// One core's ends of all rings.
pub struct Mesh {
    me: usize,
    cores: Arc<Cores>,
    outgoing: Vec<Option<Outgoing>>,
    incoming: Vec<Option<Receiver<Letter>>>,
    /// A letter from each core that was taken out of its ring before its time.
    held: Vec<Option<Letter>>,
}

struct Outgoing {
    ring: Sender<Letter>,
    overflow: VecDeque<Letter>,
    /// Is there something to publish?
    is_dirty: bool,
    /// Is there something for which the other one is woken?
    is_urgent: bool,
}

impl Mesh {
    /// The places of all cores.
    pub fn build(cores: &Arc<Cores>) -> Vec<Mesh> {
        let count = cores.count();
        let mut all: Vec<Mesh> = (0..count)
            .map(|me| Mesh {
                me,
                cores: Arc::clone(cores),
                outgoing: (0..count).map(|_| None).collect(),
                incoming: (0..count).map(|_| None).collect(),
                held: (0..count).map(|_| None).collect(),
            })
            .collect();
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                let (sender, receiver) = ring(RING_CAPACITY);
                let overflow = VecDeque::new();
                all[from].outgoing[to] = Some(Outgoing { ring: sender, overflow, is_dirty: false, is_urgent: false });
                all[to].incoming[from] = Some(receiver);
            }
        }
        all
    }

    /// What all cores see of each other.
    pub fn cores(&self) -> &Arc<Cores> {
        &self.cores
    }

    /// How many cores there are.
    pub fn count(&self) -> usize {
        self.incoming.len()
    }

    /// Puts a letter on its way; it becomes visible with the next [`Mesh::flush`].
    pub fn post(&mut self, to: usize, letter: Letter) {
        let lane = self.outgoing[to].as_mut().expect("a core sends no letter to itself");
        (lane.is_dirty, lane.is_urgent) = (true, true);
        if !lane.overflow.is_empty() {
            lane.overflow.push_back(letter);
        } else if let Err(letter) = lane.ring.offer(letter) {
            lane.overflow.push_back(letter);
        }
    }

    /// The same for a letter that can wait until its receiver wakes for something else, which it does at every tick. Only
    /// where the ring is full it is woken, to make room.
    pub fn post_in_passing(&mut self, to: usize, letter: Letter) {
        let lane = self.outgoing[to].as_mut().expect("a core sends no letter to itself");
        let is_urgent = lane.is_urgent;
        self.post(to, letter);
        if let Some(lane) = &mut self.outgoing[to] {
            lane.is_urgent = is_urgent || !lane.overflow.is_empty();
        }
    }

    /// The same for a letter that can be seen at once, and so before any that this pass still has for other cores.
    pub fn post_first(&mut self, to: usize, letter: Letter) {
        self.post(to, letter);
        if let Some(lane) = &mut self.outgoing[to] {
            lane.ring.publish();
        }
    }

    /// Are letters waiting for room in a ring?
    pub fn is_clogged(&self) -> bool {
        self.outgoing.iter().flatten().any(|lane| !lane.overflow.is_empty())
    }

    /// How many letters wait for room in a ring.
    pub fn overflow(&self) -> usize {
        self.outgoing.iter().flatten().map(|lane| lane.overflow.len()).sum()
    }

    /// Publishes what was posted and calls `wake` for each receiver that sleeps and is to hear of it now, with the descriptor
    /// of its ring.
    pub fn flush(&mut self, mut wake: impl FnMut(RawFd)) {
        let mut any = false;
        for lane in self.outgoing.iter_mut().flatten() {
            while let Some(letter) = lane.overflow.pop_front() {
                if let Err(letter) = lane.ring.offer(letter) {
                    lane.overflow.push_front(letter);
                    break;
                }
                (lane.is_dirty, lane.is_urgent) = (true, true);
            }
            if std::mem::take(&mut lane.is_dirty) {
                lane.ring.publish();
            }
            any |= lane.is_urgent;
        }
        if !any {
            return;
        }
        // Either this core sees that the other sleeps, or the other, which looks at its mailboxes after announcing its
        // sleep, sees the letters: both fences order the store before the load.
        fence(Ordering::SeqCst);
        for (to, lane) in self.outgoing.iter_mut().enumerate() {
            let Some(lane) = lane else { continue };
            if std::mem::take(&mut lane.is_urgent) {
                let seat = &self.cores.seats[to];
                if seat.sleeps.load(Ordering::Relaxed) && seat.sleeps.swap(false, Ordering::Relaxed) {
                    wake(seat.ring_fd.load(Ordering::Acquire));
                }
            }
        }
    }

    /// Has anything come from any core?
    pub fn has_mail(&self) -> bool {
        self.incoming.iter().flatten().any(Receiver::has_mail) || self.held.iter().any(Option::is_some)
    }

    /// The next letter from core `from`.
    pub fn take(&mut self, from: usize) -> Option<Letter> {
        self.held[from].take().or_else(|| self.incoming[from].as_mut()?.take())
    }

    /// The same, unless it is one of messages with a greater number than `last`: that one, and those behind it, stay for later.
    pub fn take_until(&mut self, from: usize, last: u64) -> Option<Letter> {
        let letter = self.take(from)?;
        match &letter {
            Letter::Notice(Notice::Messages(messages)) if messages.number > last => {
                self.held[from] = Some(letter);
                None
            }
            _ => Some(letter),
        }
    }

    /// Announces that this core is about to sleep. `false` if there is mail: then it must not.
    pub fn announce_sleep(&self) -> bool {
        let seat = &self.cores.seats[self.me];
        seat.sleeps.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.has_mail() {
            seat.sleeps.store(false, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Announces that this core is awake.
    pub fn announce_awake(&self) {
        self.cores.seats[self.me].sleeps.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mailbox::letter::Answer;
    use crate::pubsub::publish::Messages;

    fn numbered(number: u64) -> Letter {
        Letter::Notice(Notice::Answer { ticket: number, answer: Answer::Done })
    }

    fn number(letter: Letter) -> u64 {
        match letter {
            Letter::Notice(Notice::Answer { ticket, .. }) => ticket,
            _ => panic!("only answers are sent here"),
        }
    }

    #[test]
    fn overflow_keeps_order_and_loses_nothing() {
        let cores = Cores::new(2);
        let mut mesh = Mesh::build(&cores);
        let (mut one, mut zero) = (mesh.pop().unwrap(), mesh.pop().unwrap());
        let count = 3 * RING_CAPACITY as u64;
        for n in 0..count {
            zero.post(1, numbered(n));
        }
        assert!(zero.is_clogged());
        let mut seen = 0;
        while seen < count {
            zero.flush(|_| panic!("nobody sleeps"));
            while let Some(letter) = one.take(0) {
                assert_eq!(number(letter), seen);
                seen += 1;
            }
        }
        assert!(!zero.is_clogged());
    }

    #[test]
    fn messages_behind_a_number_stay_with_all_behind_them() {
        let cores = Cores::new(2);
        let mut mesh = Mesh::build(&cores);
        let (mut one, mut zero) = (mesh.pop().unwrap(), mesh.pop().unwrap());
        let messages = |number| Letter::Notice(Notice::Messages(Box::new(Messages::numbered(number))));
        assert_eq!((cores.number_messages(), cores.number_messages(), cores.last_messages()), (1, 2, 2));
        zero.post(1, messages(1));
        zero.post(1, numbered(7));
        zero.post(1, messages(2));
        zero.post(1, numbered(8));
        zero.flush(|_| {});
        assert!(one.take_until(0, 1).is_some());
        assert_eq!(one.take_until(0, 1).map(number), Some(7));
        assert!(one.take_until(0, 1).is_none() && one.take_until(0, 1).is_none());
        assert!(one.has_mail() && !one.announce_sleep());
        assert!(matches!(one.take(0), Some(Letter::Notice(Notice::Messages(messages))) if messages.number == 2));
        assert_eq!(one.take(0).map(number), Some(8));
        assert!(one.take(0).is_none() && !one.has_mail());
    }

    #[test]
    fn only_sleepers_are_woken_and_only_once() {
        let cores = Cores::new(2);
        cores.announce(1, 77);
        let mut mesh = Mesh::build(&cores);
        let (one, mut zero) = (mesh.pop().unwrap(), mesh.pop().unwrap());
        assert!(one.announce_sleep());
        let mut woken = Vec::new();
        zero.post(1, numbered(1));
        zero.flush(|fd| woken.push(fd));
        zero.post(1, numbered(2));
        zero.flush(|fd| woken.push(fd));
        assert_eq!(woken, [77]);
        assert!(!one.announce_sleep(), "there is mail");
    }

    #[test]
    fn what_can_wait_wakes_nobody_unless_the_ring_is_full() {
        let cores = Cores::new(2);
        let mut mesh = Mesh::build(&cores);
        let (mut one, mut zero) = (mesh.pop().unwrap(), mesh.pop().unwrap());
        assert!(one.announce_sleep());
        let mut wakes = 0;
        for n in 0..RING_CAPACITY as u64 {
            zero.post_in_passing(1, numbered(n));
            zero.flush(|_| wakes += 1);
        }
        assert_eq!(wakes, 0);
        assert!(!one.announce_sleep(), "it is there, though");
        assert_eq!(one.take(0).map(number), Some(0));
        one.cores.seats[1].sleeps.store(true, Ordering::Relaxed);
        for n in 0..2 {
            zero.post_in_passing(1, numbered(RING_CAPACITY as u64 + n));
            zero.flush(|_| wakes += 1);
        }
        assert_eq!(wakes, 1, "the second one found no room");
        let rest = std::iter::from_fn(|| {
            let letter = one.take(0);
            zero.flush(|_| {});
            letter
        });
        assert!(rest.map(number).eq(1..RING_CAPACITY as u64 + 2), "nothing is lost or overtaken");
    }

    #[test]
    fn urgent_letters_wake_for_those_that_could_wait() {
        let cores = Cores::new(2);
        let mut mesh = Mesh::build(&cores);
        let (one, mut zero) = (mesh.pop().unwrap(), mesh.pop().unwrap());
        for urgent_first in [false, true] {
            assert!(one.announce_sleep() || one.has_mail());
            one.cores.seats[1].sleeps.store(true, Ordering::Relaxed);
            let mut wakes = 0;
            for is_urgent in [urgent_first, !urgent_first] {
                if is_urgent { zero.post(1, numbered(0)) } else { zero.post_in_passing(1, numbered(1)) }
            }
            zero.flush(|_| wakes += 1);
            assert_eq!(wakes, 1);
        }
    }

    #[test]
    fn the_least_connected_core_comes_next() {
        let cores = Cores::new(3);
        assert_eq!(cores.least_connected(0), 1);
        cores.connections(1).store(5, Ordering::Relaxed);
        assert_eq!(cores.least_connected(0), 2);
        cores.connections(2).store(9, Ordering::Relaxed);
        assert_eq!(cores.least_connected(0), 0);
    }
}
