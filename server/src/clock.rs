//! The only reader of the clocks of the operating system.

use ringkey_core::units::Millis;
use std::sync::LazyLock;
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

/// The processor's counter, calibrated once; the system's clock where the processor has none that is fit.
static COUNTER: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);

/// Nanoseconds of a tick.
static TICK_NANOS: LazyLock<f64> = LazyLock::new(|| {
    const TICKS: u64 = 1 << 40;
    COUNTER.delta_as_nanos(0, TICKS) as f64 / TICKS as f64
});

/// Reads a counter that only goes up: the cheapest clock there is, for durations of commands.
#[inline]
pub fn ticks() -> u64 {
    COUNTER.raw()
}

/// A duration in ticks, in nanoseconds.
pub fn nanos_of(ticks: u64) -> u64 {
    (ticks as f64 * *TICK_NANOS) as u64
}

/// A duration in nanoseconds, in ticks.
pub fn ticks_of(nanos: u64) -> u64 {
    (nanos as f64 / *TICK_NANOS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_pass_like_time() {
        let (from, began) = (ticks(), instant());
        std::thread::sleep(Duration::from_millis(20));
        let (ticked, passed) = (nanos_of(ticks() - from), began.elapsed().as_nanos() as u64);
        assert!(ticked > passed / 2 && ticked < passed * 2, "{ticked} {passed}");
        assert!(nanos_of(ticks_of(1_000_000)).abs_diff(1_000_000) < 10);
    }
}
