//! How long a core waits for a small batch before it serves what has come.
//!
//! Serving eight requests in one pass costs far less than eight passes. A client that is alone must not pay for that,
//! so the wait depends on how many clients were active lately: none of it up to a few, then more and more.

use crate::reactor::Wait;
use std::time::Duration;

/// The wait of one core.
#[derive(Debug, Default)]
pub struct BatchWait {
    active: usize,
}

/// From this number of active clients on a core waits for a batch.
const ACTIVE_MIN: usize = 6;

/// Clients for which a batch is never held back longer, in microseconds.
const MIN_WAIT_US: u64 = 20;

/// The same with many clients.
const MIN_WAIT_MANY_US: u64 = 50;

/// From this number of active clients on the longer wait applies.
const ACTIVE_MANY: usize = 24;

/// No batch is larger, however many clients there are.
const BATCH_MAX: usize = 32;

impl BatchWait {
    /// Takes note of how many clients were active since the last call.
    pub fn observe(&mut self, active: usize) {
        self.active = active;
    }

    /// How to wait now, at the latest until `timeout` has passed.
    pub fn wait(&self, timeout: Duration) -> Wait {
        if self.active < ACTIVE_MIN {
            return Wait { want: 1, timeout, min_wait: Duration::ZERO };
        }
        let micros = if self.active < ACTIVE_MANY { MIN_WAIT_US } else { MIN_WAIT_MANY_US };
        Wait { want: (self.active / 2).min(BATCH_MAX), timeout, min_wait: Duration::from_micros(micros) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_client_never_waits_and_a_batch_is_bounded() {
        let mut wait = BatchWait::default();
        let timeout = Duration::from_millis(100);
        assert_eq!((wait.wait(timeout).want, wait.wait(timeout).min_wait), (1, Duration::ZERO));
        wait.observe(10_000);
        assert_eq!(wait.wait(timeout).want, BATCH_MAX);
        assert!(wait.wait(timeout).min_wait <= Duration::from_micros(100));
    }
}
