//! When requests are due in an open loop: at fixed times, whatever the server does.
//!
//! Nothing is stored for a request that waits: its number tells when it was due. So a server that stalls makes no
//! request disappear, and latency counts from when it was due, not from when it could be sent. Times are nanoseconds
//! since the load began.

/// The timetable of one thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: f64,
    offset: f64,
    /// Requests that were sent; the number of the next one.
    pub sent: u64,
}

impl Pace {
    /// `rate` requests a second; `phase` in 0..1 shifts them, so that threads do not send at the same moments.
    pub(super) fn new(rate: f64, phase: f64) -> Self {
        let interval = 1e9 / rate;
        Self { interval, offset: interval * phase, sent: 0 }
    }

    /// When request number `index` is due.
    pub(super) fn due_at(&self, index: u64) -> u64 {
        (self.offset + self.interval * index as f64) as u64
    }

    /// How many requests that are due at `now` have not been sent.
    pub(super) fn due(&self, now: u64) -> u64 {
        let since = now as f64 - self.offset;
        let all = if since < 0.0 { 0 } else { (since / self.interval) as u64 + 1 };
        all.saturating_sub(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_due_in_time_and_wait() {
        let mut pace = Pace::new(1000.0, 0.5);
        assert_eq!(pace.due(0), 0);
        assert_eq!((pace.due_at(0), pace.due_at(1)), (500_000, 1_500_000));
        assert_eq!(pace.due(500_000), 1);
        assert_eq!(pace.due(200_500_000), 201);
        pace.sent = 201;
        assert_eq!((pace.due(200_500_000), pace.due(201_500_000)), (0, 1));
    }
}
