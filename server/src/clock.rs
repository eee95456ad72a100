//! The only reader of the clocks of the operating system.

use ringkey_core::units::Millis;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time of day; one reading serves a pass.
pub fn now() -> Millis {
    Millis(since_epoch().as_millis() as i64)
}

/// The time of day in microseconds since the Unix epoch.
pub fn now_micros() -> i64 {
    since_epoch().as_micros() as i64
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A clock that only goes forward, for durations.
pub fn instant() -> Instant {
    Instant::now()
}
