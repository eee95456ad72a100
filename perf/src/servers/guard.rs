//! Ends a server when this process is gone, however it went: killed, interrupted at the terminal, crashed.
//!
//! `Drop` does not run then. A shell that waits for the end of a pipe does: the pipe closes with its last holder, and that
//! is this process. It needs no signal handler here and no code between fork and exec.

use crate::error::PerfError;
use std::process::{Child, Command, Stdio};

/// Lets a server that stands still go on, or it would not hear that it is to end.
const SCRIPT: &str = r#"trap '' INT TERM HUP; read -r _; kill -CONT "$1"; kill -TERM "$1"; sleep 10; kill -KILL "$1""#;

/// Watches over one server for as long as it lives itself.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
}

impl Guard {
    /// Watches over the process of this id, which must be a child that nobody has waited for.
    pub fn over(id: u32) -> Result<Self, PerfError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "guard", &id.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { shell: command.spawn().map_err(PerfError::system("/bin/sh"))? })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Killed before the pipe closes, so that it never signals an id that somebody else has got by then.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn the_end_of_the_pipe_ends_the_server() {
        let mut server = Command::new("sleep").arg("60").spawn().unwrap();
        let mut guard = Guard::over(server.id()).unwrap();
        drop(guard.shell.stdin.take());
        let end = Instant::now() + Duration::from_secs(5);
        while server.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "it is still running");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn without_its_guard_a_server_goes_on() {
        let mut server = Command::new("sleep").arg("60").spawn().unwrap();
        drop(Guard::over(server.id()).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        assert!(server.try_wait().unwrap().is_none());
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
