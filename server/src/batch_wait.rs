//! How long a core waits for a small batch before it serves what has come.
//!
//! Serving eight requests in one pass costs far less than eight passes. A client that is alone must not pay for that, nor
//! must many clients that send little. So a core looks at how many clients were active lately, at how fast input came and
//! how many commands it brought: it waits as long as it takes for a few more to come, and not at all where they would not
//! come soon.

use crate::reactor::Wait;
use ringkey_core::units::Millis;
use std::time::Duration;

/// The wait of one core.
#[derive(Debug, Default)]
pub struct BatchWait {
    active: usize,
    /// Arrivals from clients and other cores in a second, lately.
    rate: u64,
    /// Commands that an arrival brought, lately.
    commands_each: u64,
    /// Arrivals since the last observation, and when that was.
    arrivals: u64,
    since: Millis,
    /// Commands counted then.
    commands: u64,
}

/// From this number of active clients on a core waits for a batch.
const ACTIVE_MIN: usize = 6;

/// How many arrivals are worth waiting for, and for how many microseconds at most.
#[derive(Clone, Copy)]
struct Patience {
    arrivals: u64,
    longest_us: u64,
}

/// If an arrival brings a command or two.
const FOR_COMMANDS: Patience = Patience { arrivals: 6, longest_us: 120 };

/// If arrivals are batches themselves.
const FOR_PIPELINES: Patience = Patience { arrivals: 3, longest_us: 60 };

/// From so many commands in an arrival on, it is a batch itself.
const PIPELINE_MIN: u64 = 4;

/// With fewer than this to be expected in the longest wait, a core does not wait.
const EXPECTED_MIN: u64 = 2;

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

    /// Takes note of how many clients were active since the last call, at `now`, and of how many commands there have been
    /// since the start.
    pub fn observe(&mut self, active: usize, commands: u64, now: Millis) {
        let passed_ms = (now.0 - self.since.0).clamp(1, 10_000) as u64;
        let arrivals = std::mem::take(&mut self.arrivals);
        self.active = active;
        self.rate = arrivals * 1000 / passed_ms;
        self.commands_each = commands.saturating_sub(self.commands) / arrivals.max(1);
        self.since = now;
        self.commands = commands;
    }

    /// How to wait now, at the latest until `timeout` has passed.
    pub fn wait(&self, timeout: Duration) -> Wait {
        let Patience { arrivals, longest_us } =
            if self.commands_each < PIPELINE_MIN { FOR_COMMANDS } else { FOR_PIPELINES };
        if self.has_few_clients() || self.rate * longest_us / 1_000_000 < EXPECTED_MIN {
            return Wait { want: 1, timeout, min_wait: Duration::ZERO };
        }
        let micros = (arrivals * 1_000_000 / self.rate).clamp(MIN_WAIT_US_MIN, longest_us);
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

    fn wait(active: usize, rate: u64, commands_each: u64) -> (usize, u128) {
        let mut wait = BatchWait { since: Millis(5_000), ..BatchWait::default() };
        (0..rate / 10).for_each(|_| wait.arrived());
        wait.observe(active, rate / 10 * commands_each, Millis(5_100));
        assert_eq!(wait.rate(), rate);
        let wait = wait.wait(Duration::from_millis(100));
        (wait.want, wait.min_wait.as_micros())
    }

    #[test]
    fn a_lone_client_never_waits_however_fast_it_is() {
        assert_eq!(wait(0, 0, 0), (1, 0));
        assert_eq!(wait(1, 200_000, 1), (1, 0));
    }

    #[test]
    fn clients_that_send_little_are_served_at_once() {
        assert_eq!(wait(10_000, 1_000, 1), (1, 0));
    }

    #[test]
    fn the_wait_is_bounded_and_shorter_the_faster_requests_come() {
        assert_eq!(wait(50, 40_000, 1), (25, 120));
        assert_eq!(wait(50, 100_000, 1), (25, 60));
        assert_eq!(wait(10_000, 10_000_000, 1), (BATCH_MAX, 20));
    }

    #[test]
    fn pipelines_are_batches_already() {
        assert_eq!(wait(50, 40_000, 16), (25, 60));
        assert_eq!(wait(50, 10_000, 100), (1, 0));
    }
}
