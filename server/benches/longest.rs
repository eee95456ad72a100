//! The longest single operation while a large table grows from nothing and shrinks to nothing.
//!
//! In processor time of the thread, so that what other programs take is not counted; the fault of a fresh page is.

use crate::harness::Cases;
use ringkey_core::keyspace::{Database, KeyHasher, NewValue};
use ringkey_core::units::SLOT_COUNT;
use rustix::time::{ClockId, clock_gettime};
use std::cell::OnceCell;
use std::rc::Rc;

/// Keys at the most.
const KEYS: u32 = 20_000_000;

/// The processor time that this thread has used, in microseconds.
fn used() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

pub fn key_text(number: u32) -> [u8; 16] {
    let mut text = *b"key:000000000000";
    let mut rest = number;
    for digit in text[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

/// How long operations took.
#[derive(Clone, Copy, Default)]
pub struct Spread {
    pub longest: f64,
    pub over_100_us: u32,
}

/// Takes the time of operations that follow each other. The same sequence may be run several times: an operation then counts
/// with its shortest time, because interrupts, which are nobody's, meet any of them.
#[derive(Default)]
pub struct Stopwatch {
    before: f64,
    /// The operations' times in the runs so far, in microseconds.
    times: Vec<f32>,
    at: usize,
}

impl Stopwatch {
    /// Begins a run.
    pub fn start(&mut self) {
        self.at = 0;
        self.before = used();
    }

    pub fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        let result = operation();
        let after = used();
        let took = (after - self.before) as f32;
        match self.times.get_mut(self.at) {
            Some(best) => *best = took.min(*best),
            None => self.times.push(took),
        }
        self.at += 1;
        // What the notes took is not the next operation's.
        self.before = used();
        result
    }

    pub fn spread(&self) -> Spread {
        let longest = self.times.iter().copied().fold(0.0, f32::max);
        let over_100_us = self.times.iter().filter(|time| **time > 100.0).count() as u32;
        Spread { longest: longest.into(), over_100_us }
    }
}

fn measure(mut operation: impl FnMut(&[u8])) -> Spread {
    let mut spread = Spread::default();
    let mut before = used();
    for number in 0..KEYS {
        operation(&key_text(number));
        let after = used();
        let took = after - before;
        before = after;
        spread.longest = spread.longest.max(took);
        spread.over_100_us += u32::from(took > 100.0);
    }
    spread
}

/// Insertions, overwriting, which neither grows nor shrinks the table, and removals.
struct Measured {
    grown: Spread,
    overwritten: Spread,
    shrunk: Spread,
}

fn come_and_go() -> Measured {
    // As in the server: else it is the allocator that takes longest, giving memory back.
    ringkey_server::memory::purge_in_background(true);
    let hasher = KeyHasher::new([1, 2, 3, 4]);
    let mut database = Database::new(hasher.clone(), 0..SLOT_COUNT);
    let grown = measure(|text| {
        database.set(&hasher.key(text), NewValue::Bytes(&[b'v'; 64]), None);
    });
    let overwritten = measure(|text| {
        database.set(&hasher.key(text), NewValue::Bytes(&[b'w'; 64]), None);
    });
    let shrunk = measure(|text| drop(database.remove(&hasher.key(text))));
    assert!(database.is_empty());
    Measured { grown, overwritten, shrunk }
}

pub fn add_to(cases: &mut Cases<'_>) {
    let measured: Rc<OnceCell<Measured>> = Rc::default();
    let mut figure = |name, unit, pick: fn(&Measured) -> f64| {
        let measured = Rc::clone(&measured);
        cases.add_figure(name, unit, move || pick(measured.get_or_init(come_and_go)));
    };
    figure("longest insertion of 20 M", "us of CPU", |all| all.grown.longest);
    figure("insertions of 20 M over 100 us", "operations", |all| all.grown.over_100_us.into());
    figure("longest overwriting of 20 M", "us of CPU", |all| all.overwritten.longest);
    figure("overwritings of 20 M over 100 us", "operations", |all| all.overwritten.over_100_us.into());
    figure("longest removal of 20 M", "us of CPU", |all| all.shrunk.longest);
    figure("removals of 20 M over 100 us", "operations", |all| all.shrunk.over_100_us.into());
}
