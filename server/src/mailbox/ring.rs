//! A bounded lock-free ring between exactly two cores, one that sends and one that receives.
//!
//! The two ends are separate types that cannot be cloned, so one sender and one receiver are facts of the type
//! system. Positions run without wrapping and are taken modulo the capacity; each side keeps a stale copy of the
//! other's position and reads the shared one only when the copy says full or empty. Sent messages become visible
//! together, when [`Sender::publish`] is called: once a pass, not once a message.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Keeps the two positions on cache lines of their own (two lines, because processors fetch them in pairs).
#[repr(align(128))]
struct Position(AtomicUsize);

struct Shared<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    /// How many messages were received.
    head: Position,
    /// How many messages were published.
    tail: Position,
}

// SAFETY: a slot is accessed by the sender before its message is published and by the receiver after that, never by
// both; the Release and Acquire operations on the positions order these accesses. Messages change threads, so they
// must be `Send`.
unsafe impl<T: Send> Sync for Shared<T> {}
// SAFETY: as above; the slots hold only `T`.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let (head, tail) = (*self.head.0.get_mut(), *self.tail.0.get_mut());
        for position in head..tail {
            let index = position & (self.slots.len() - 1);
            // SAFETY: messages from head to tail were written and not received; nobody else has access any more.
            unsafe { self.slots[index].get_mut().assume_init_drop() };
        }
    }
}

/// The sending end.
pub struct Sender<T> {
    ring: Arc<Shared<T>>,
    /// The next position to write; those up to the published tail are visible to the receiver.
    tail: usize,
    head_seen: usize,
}

/// The receiving end.
pub struct Receiver<T> {
    ring: Arc<Shared<T>>,
    head: usize,
    tail_seen: usize,
}

/// A ring of `capacity` messages, a power of two.
pub fn ring<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity.is_power_of_two(), "positions are taken modulo the capacity by a mask");
    let slots = (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let shared = Arc::new(Shared { slots, head: Position(AtomicUsize::new(0)), tail: Position(AtomicUsize::new(0)) });
    (Sender { ring: Arc::clone(&shared), tail: 0, head_seen: 0 }, Receiver { ring: shared, head: 0, tail_seen: 0 })
}

impl<T: Send> Sender<T> {
    /// Puts a message into the ring, not yet visible to the receiver.
    ///
    /// # Errors
    /// A full ring hands the message back.
    pub fn offer(&mut self, message: T) -> Result<(), T> {
        let capacity = self.ring.slots.len();
        if self.tail - self.head_seen == capacity {
            self.head_seen = self.ring.head.0.load(Ordering::Acquire);
            if self.tail - self.head_seen == capacity {
                return Err(message);
            }
        }
        let slot = &self.ring.slots[self.tail & (capacity - 1)];
        // SAFETY: the receiver has left this slot (the Acquire above pairs with its Release), and nobody else writes
        // it: `offer` takes `&mut self` and `Sender` is not `Clone`.
        unsafe { (*slot.get()).write(message) };
        self.tail += 1;
        Ok(())
    }

    /// Makes all offered messages visible.
    pub fn publish(&mut self) {
        self.ring.tail.0.store(self.tail, Ordering::Release);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // What was offered is not lost, and is dropped with the ring at the latest.
        self.ring.tail.0.store(self.tail, Ordering::Release);
    }
}

impl<T: Send> Receiver<T> {
    /// The next message, if there is one.
    pub fn take(&mut self) -> Option<T> {
        if self.head == self.tail_seen {
            self.tail_seen = self.ring.tail.0.load(Ordering::Acquire);
            if self.head == self.tail_seen {
                return None;
            }
        }
        let slot = &self.ring.slots[self.head & (self.ring.slots.len() - 1)];
        // SAFETY: the position was published (the Acquire above pairs with the sender's Release) and is read once,
        // because `take` takes `&mut self` and moves the head.
        let message = unsafe { (*slot.get()).assume_init_read() };
        self.head += 1;
        self.ring.head.0.store(self.head, Ordering::Release);
        Some(message)
    }

    /// Is a message waiting? Looks at the shared position.
    pub fn has_mail(&self) -> bool {
        self.head != self.tail_seen || self.head != self.ring.tail.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn full_hands_back_and_unpublished_is_unseen() {
        let (mut sender, mut receiver) = ring(2);
        sender.offer(Box::new(1)).unwrap();
        assert!(receiver.take().is_none());
        sender.offer(Box::new(2)).unwrap();
        assert_eq!(sender.offer(Box::new(3)), Err(Box::new(3)));
        sender.publish();
        assert!(receiver.has_mail());
        assert_eq!(receiver.take(), Some(Box::new(1)));
        sender.offer(Box::new(3)).unwrap();
        drop(sender);
        assert_eq!(receiver.take(), Some(Box::new(2)));
        // The third is dropped with the ring (Miri and leak checkers see it if not).
    }

    #[test]
    fn order_holds_between_threads() {
        let count = if cfg!(miri) { 300 } else { 200_000 };
        let (mut sender, mut receiver) = ring(8);
        let thread = std::thread::spawn(move || {
            for n in 0..count {
                let mut message = Box::new(n);
                while let Err(back) = sender.offer(message) {
                    sender.publish();
                    message = back;
                    std::thread::yield_now();
                }
                if n % 3 == 0 {
                    sender.publish();
                }
            }
        });
        let mut next = 0;
        while next < count {
            match receiver.take() {
                Some(n) => {
                    assert_eq!(*n, next);
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        thread.join().unwrap();
    }
}
