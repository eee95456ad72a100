//! What core 0 keeps of the process: its supervisor, its score with the kernel, and whether a signal asked it to stop.

use super::oom::OomScore;
use super::supervise::Supervisor;
use crate::mailbox::mesh::Cores;
use crate::sys::Signal;
use ringkey_core::units::Millis;
use std::sync::atomic::Ordering;

/// The keeper; those of other cores keep nothing.
#[derive(Debug)]
pub struct Keeper {
    supervisor: Supervisor,
    /// `oom-score-adj`.
    pub oom: OomScore,
    /// A signal that asked the server to stop and waits for the next tick.
    pub asked: Option<Signal>,
    signed_at: Millis,
}

impl Default for Keeper {
    fn default() -> Self {
        Self::new(Supervisor::None, OomScore::default())
    }
}

impl Keeper {
    /// With what the start has found.
    pub fn new(supervisor: Supervisor, oom: OomScore) -> Self {
        Self { supervisor, oom, asked: None, signed_at: Millis(0) }
    }

    /// Tells the supervisor that clients are served.
    pub fn tell_ready(&self) {
        self.supervisor.tell("READY=1\nSTATUS=Ready to accept connections");
    }

    /// Tells the supervisor that the end has come.
    pub fn tell_stopping(&self) {
        self.supervisor.tell("STOPPING=1\nSTATUS=Shutting down");
    }

    /// Gives the watchdog a sign of life if one is due and every core has ticked lately.
    pub fn sign(&mut self, now: Millis, cores: &Cores) {
        let Some(period) = self.supervisor.watchdog() else { return };
        let period = period.as_millis() as i64;
        // Ticks come several times a second: the first one that would be late next time is in time.
        let is_due = now.0 < self.signed_at.0 || now.0 - self.signed_at.0 >= (period - 100).max(1);
        let are_alive = || (0..cores.count()).all(|core| now.0 - cores.beat(core).load(Ordering::Relaxed) <= period);
        if is_due && are_alive() {
            self.signed_at = now;
            self.supervisor.tell("WATCHDOG=1");
        }
    }
}
