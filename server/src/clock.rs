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

/// CPU time of the calling thread: user and system.
pub fn thread_cpu_time() -> (Duration, Duration) {
    usage(libc::RUSAGE_THREAD)
}

/// CPU time of the process: user and system.
pub fn process_cpu_time() -> (Duration, Duration) {
    usage(libc::RUSAGE_SELF)
}

#[allow(unsafe_code)]
fn usage(who: libc::c_int) -> (Duration, Duration) {
    // SAFETY: a usage record of zeros is valid, and the call only fills it.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(who, &mut usage);
        usage
    };
    let duration = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    (duration(usage.ru_utime), duration(usage.ru_stime))
}
