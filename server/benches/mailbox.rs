//! The ring between two cores: on one thread for its instructions, between two for what the cache lines cost.

use crate::harness::Cases;
use ringkey_server::mailbox::ring::{Receiver, Sender, ring};
use std::hint::black_box;

/// Messages of one run between threads.
const MESSAGES: u64 = 100_000;

/// What travels is a pointer.
type Letter = Box<u64>;

/// Sends `messages` in batches, each made visible at once, while `receiver` is emptied by another thread.
fn send(sender: &mut Sender<Letter>, messages: u64, batch: u64) {
    for number in 0..messages {
        let mut letter = Box::new(number);
        while let Err(back) = sender.offer(letter) {
            sender.publish();
            letter = back;
            std::thread::yield_now();
        }
        if (number + 1).is_multiple_of(batch) {
            sender.publish();
        }
    }
    sender.publish();
}

fn receive(receiver: &mut Receiver<Letter>, messages: u64) {
    let mut sum = 0;
    for _ in 0..messages {
        let letter = loop {
            match receiver.take() {
                Some(letter) => break letter,
                None => std::hint::spin_loop(),
            }
        };
        sum += *letter;
    }
    assert_eq!(sum, messages * (messages - 1) / 2);
}

pub fn add_to(cases: &mut Cases<'_>) {
    cases.add("ring: offer 16, publish, take 16", 16, || {
        let (mut sender, mut receiver) = ring(512);
        move || {
            for number in 0..16u64 {
                assert!(sender.offer(number).is_ok());
            }
            sender.publish();
            while let Some(number) = receiver.take() {
                black_box(number);
            }
        }
    });
    cases.add("ring: look at an empty one", 1000, || {
        let (sender, receiver) = ring::<Letter>(512);
        move || {
            black_box(&sender);
            for _ in 0..1000 {
                black_box(black_box(&receiver).has_mail());
            }
        }
    });
    for (name, batch) in [("ring, two threads, published singly", 1), ("ring, two threads, batches of 16", 16)] {
        cases.add_timed(name, MESSAGES, move || {
            let (mut sender, mut receiver) = ring(512);
            move || {
                std::thread::scope(|scope| {
                    scope.spawn(|| send(&mut sender, MESSAGES, batch));
                    receive(&mut receiver, MESSAGES);
                });
            }
        });
    }
}
