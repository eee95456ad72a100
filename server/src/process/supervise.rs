//! `supervised`: telling systemd or upstart how the server is doing.
//!
//! systemd's protocol is a datagram with lines of `NAME=value` to the socket that the environment names. Besides being
//! ready and stopping, the server gives the watchdog its signs of life, but only while every core makes its passes.

use log::{debug, info, warn};
use ringkey_core::settings::{Setting, Settings};
use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The supervisor that started this process, if one did and the settings ask for it.
#[derive(Debug)]
pub enum Supervisor {
    /// Nobody, or somebody who is not told anything.
    None,
    /// upstart has been told already.
    Upstart,
    /// systemd is told through its socket.
    Systemd(Systemd),
}

/// A connection to systemd.
#[derive(Debug)]
pub struct Systemd {
    socket: UnixDatagram,
    address: SocketAddr,
    /// How often it wants a sign of life; half of the time after which it would end the server.
    pub watchdog: Option<Duration>,
}

impl Supervisor {
    /// Finds out who supervises; upstart is told at once that the server is there, by stopping until it continues us.
    pub fn find(settings: &Settings) -> Self {
        let (upstart, systemd) = (std::env::var_os("UPSTART_JOB"), std::env::var_os("NOTIFY_SOCKET"));
        match (settings.choice(Setting::Supervised), upstart, systemd) {
            ("upstart" | "auto", Some(_), _) => {
                info!("supervised by upstart, will stop to signal readiness.");
                crate::sys::process::stop_until_continued();
                Self::Upstart
            }
            ("systemd" | "auto", _, Some(name)) => match Systemd::open(&name) {
                Ok(systemd) => {
                    info!(
                        "Supervised by systemd. Please make sure that TimeoutStartSec and TimeoutStopSec in the unit are long \
                         enough."
                    );
                    systemd.tell("STATUS=Ringkey is starting");
                    Self::Systemd(systemd)
                }
                Err(error) => {
                    warn!("systemd's socket {} cannot be used: {error}", name.display());
                    Self::None
                }
            },
            ("upstart", ..) => {
                warn!("upstart supervision requested, but UPSTART_JOB not found!");
                Self::None
            }
            ("systemd", ..) => {
                warn!("systemd supervision requested, but NOTIFY_SOCKET not found!");
                Self::None
            }
            _ => {
                debug!("Not supervised.");
                Self::None
            }
        }
    }

    /// Is there a supervisor? Then the server stays in the foreground, where it is looked after.
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Its name, as INFO shows it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "no",
            Self::Upstart => "upstart",
            Self::Systemd(_) => "systemd",
        }
    }

    /// Tells systemd something, if it listens.
    pub fn tell(&self, text: &str) {
        if let Self::Systemd(systemd) = self {
            systemd.tell(text);
        }
    }

    /// How often signs of life are wanted.
    pub fn watchdog(&self) -> Option<Duration> {
        match self {
            Self::Systemd(systemd) => systemd.watchdog,
            _ => None,
        }
    }
}

impl Systemd {
    fn open(name: &OsString) -> std::io::Result<Self> {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 1);
        Self::at(name.as_bytes(), watchdog.map(|micros| Duration::from_micros(micros / 2)))
    }

    /// At the socket of this name, with signs of life so often.
    ///
    /// # Errors
    /// Where there can be no such socket.
    pub fn at(name: &[u8], watchdog: Option<Duration>) -> std::io::Result<Self> {
        let address = match name {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(OsStr::from_bytes(name))?,
        };
        let socket = UnixDatagram::unbound()?;
        // A supervisor that does not read must not stop a core.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, watchdog })
    }

    fn tell(&self, text: &str) {
        if let Err(error) = self.socket.send_to_addr(text.as_bytes(), &self.address) {
            debug!("systemd cannot be told '{text}': {error}");
        }
    }
}
