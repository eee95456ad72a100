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

    /// The name of the supervisor, as INFO shows it.
    pub fn supervisor(&self) -> &'static str {
        self.supervisor.name()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::process::supervise::Systemd;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::time::Duration;

    #[test]
    fn signs_of_life_come_while_all_cores_live() {
        let name = format!("ringkey-keeper-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let said = || {
            let mut text = [0; 64];
            socket.recv(&mut text).map(|length| String::from_utf8_lossy(&text[..length]).into_owned()).ok()
        };
        let systemd = Systemd::at(format!("@{name}").as_bytes(), Some(Duration::from_secs(1))).unwrap();
        let mut keeper = Keeper::new(Supervisor::Systemd(systemd), OomScore::default());
        let cores = Cores::new(2);
        let beat = |core: usize, at: i64| cores.beat(core).store(at, Ordering::Relaxed);
        (0..2).for_each(|core| beat(core, 10_000));
        keeper.sign(Millis(10_000), &cores);
        assert_eq!(said().as_deref(), Some("WATCHDOG=1"));
        keeper.sign(Millis(10_100), &cores);
        assert_eq!(said(), None, "not due yet");
        beat(0, 11_100);
        keeper.sign(Millis(11_100), &cores);
        assert_eq!(said(), None, "core 1 is stuck");
        beat(1, 11_150);
        keeper.sign(Millis(11_200), &cores);
        assert_eq!(said().as_deref(), Some("WATCHDOG=1"));
        keeper.tell_stopping();
        assert!(said().is_some_and(|text| text.starts_with("STOPPING=1")));
    }
}
