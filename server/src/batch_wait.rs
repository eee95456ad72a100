//! How long a core waits for a small batch before it serves what has come.
//!
//! Serving eight requests in one pass costs far less than eight passes. A client that is alone must not pay for that, nor
//! must many clients that send little. So a core looks at how many clients were active lately and at how fast requests
//! came: it waits as long as it takes for a few more to come, and not at all where they would not come soon.

use crate::reactor::Wait;
use ringkey_core::units::Millis;
use std::time::Duration;

/// The wait of one core.
#[derive(Debug, Default)]
pub struct BatchWait {
    active: usize,
    /// Arrivals from clients and other cores in a second, lately.
    rate: u64,
    /// Arrivals since the last observation, and when that was.
    arrivals: u64,
    since: Millis,
}

/// From this number of active clients on a core waits for a batch.
const ACTIVE_MIN: usize = 6;

/// So many arrivals are worth waiting for.
const WORTHWHILE: u64 = 6;

/// With fewer than this to be expected in the longest wait, a core does not wait.
const EXPECTED_MIN: u64 = 2;

/// No batch is waited for longer, in microseconds.
const MIN_WAIT_US_MAX: u64 = 120;

/// A wait of less than this is not worth a timer, in microseconds.
const MIN_WAIT_US_MIN: u64 = 20;

/// No batch is larger, however many clients there are.
const BATCH_MAX: usize = 32;

impl BatchWait {
    /// Counts something that a core can wait for: input of a client, a letter.
    #[inline]
    pub fn arrived(&mut self) {
        self.arrivals += 1;
    }

    /// Takes note of how many clients were active since the last call, at `now`.
    pub fn observe(&mut self, active: usize, now: Millis) {
        let passed_ms = (now.0 - self.since.0).clamp(1, 10_000) as u64;
        self.active = active;
        self.rate = std::mem::take(&mut self.arrivals) * 1000 / passed_ms;
        self.since = now;
    }

    /// How to wait now, at the latest until `timeout` has passed.
    pub fn wait(&self, timeout: Duration) -> Wait {
        let at_once = Wait { want: 1, timeout, min_wait: Duration::ZERO };
        let expected = self.rate * MIN_WAIT_US_MAX / 1_000_000;
        if self.has_few_clients() || expected < EXPECTED_MIN {
            return at_once;
        }
        let micros = (WORTHWHILE * 1_000_000 / self.rate).clamp(MIN_WAIT_US_MIN, MIN_WAIT_US_MAX);
        Wait { want: (self.active / 2).min(BATCH_MAX), timeout, min_wait: Duration::from_micros(micros) }
    }

    /// Are so few clients active that each waits for itself alone?
    pub fn has_few_clients(&self) -> bool {
        self.active < ACTIVE_MIN
    }

    /// Arrivals in a second, as last observed.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Active clients, as last observed.
    pub fn active(&self) -> usize {
        self.active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(active: usize, rate: u64) -> (usize, u128) {
        let mut wait = BatchWait { since: Millis(5_000), ..BatchWait::default() };
        (0..rate / 10).for_each(|_| wait.arrived());
        wait.observe(active, Millis(5_100));
        assert_eq!(wait.rate(), rate);
        let wait = wait.wait(Duration::from_millis(100));
        (wait.want, wait.min_wait.as_micros())
    }

    #[test]
    fn a_lone_client_never_waits_however_fast_it_is() {
        assert_eq!(wait(0, 0), (1, 0));
        assert_eq!(wait(1, 200_000), (1, 0));
    }

    #[test]
    fn clients_that_send_little_are_served_at_once() {
        assert_eq!(wait(10_000, 1_000), (1, 0));
    }

    #[test]
    fn the_wait_is_bounded_and_shorter_the_faster_requests_come() {
        assert_eq!(wait(50, 50_000), (25, 120));
        assert_eq!(wait(50, 100_000), (25, 60));
        assert_eq!(wait(10_000, 10_000_000), (BATCH_MAX, 20));
    }
}
