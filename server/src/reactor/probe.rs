//! Is what we need here? Asked at start, so that a machine that cannot run us says so in one line, with the mend.

use io_uring::{IoUring, Probe, cqueue, opcode, squeue};
use std::fmt;

/// Something that the machine lacks.
#[derive(Debug)]
pub struct Missing {
    /// What is missing.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.what, self.mend)
    }
}

fn missing(what: impl Into<String>, mend: impl Into<String>) -> Missing {
    Missing { what: what.into(), mend: mend.into() }
}

/// Oldest kernel with everything that the reactor uses.
const KERNEL_MIN: (u32, u32) = (6, 1);

/// Locked memory that an executor's rings need, in bytes.
const LOCKED_BYTES_MIN: u64 = 512 * 1024;

/// Checks kernel, io_uring, its operations, and locked memory.
///
/// # Errors
/// The first thing that is missing.
pub fn check() -> Result<(), Missing> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    check_kernel(release.trim())?;
    check_ring()?;
    check_locked_memory()
}

/// Can the kernel wait for a small batch of events (6.12 and later)?
pub fn has_min_wait() -> bool {
    IoUring::<squeue::Entry, cqueue::Entry>::builder().build(8).is_ok_and(|ring| ring.params().is_feature_min_timeout())
}

/// The first two numbers of a kernel's release.
pub fn version_of(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Is the kernel new enough?
///
/// # Errors
/// It is not.
pub fn check_kernel(release: &str) -> Result<(), Missing> {
    if version_of(release) < KERNEL_MIN {
        let (major, minor) = KERNEL_MIN;
        return Err(missing(
            format!("Linux {release} is too old: io_uring has what we need from {major}.{minor} on"),
            "Install a newer kernel.",
        ));
    }
    Ok(())
}

/// Can a ring be set up, with all operations that are used?
///
/// # Errors
/// It cannot, and why.
pub fn check_ring() -> Result<(), Missing> {
    let built = IoUring::<squeue::Entry, cqueue::Entry>::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .build(8);
    let ring = match built {
        Ok(ring) => ring,
        Err(error) => return Err(explain(&error)),
    };
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| {
        missing(format!("io_uring cannot be asked what it supports: {error}"), "Install a newer kernel.")
    })?;
    let needed = [
        (opcode::AcceptMulti::CODE, "accept"),
        (opcode::RecvMulti::CODE, "recv"),
        (opcode::Send::CODE, "send"),
        (opcode::SendMsg::CODE, "sendmsg"),
        (opcode::MsgRingData::CODE, "msg_ring"),
        (opcode::AsyncCancel::CODE, "cancel"),
        (opcode::PollAdd::CODE, "poll"),
    ];
    match needed.iter().find(|(code, _)| !probe.is_supported(*code)) {
        Some((_, name)) => {
            Err(missing(format!("io_uring of this kernel does not support {name}"), "Install a newer kernel."))
        }
        None => Ok(()),
    }
}

fn explain(error: &std::io::Error) -> Missing {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    match (error.raw_os_error(), disabled.trim()) {
        (_, "1" | "2") => missing(
            "io_uring is disabled on this machine",
            "Run 'sysctl -w kernel.io_uring_disabled=0' and put 'kernel.io_uring_disabled = 0' into /etc/sysctl.conf.",
        ),
        (Some(libc::EPERM | libc::ENOSYS), _) => missing(
            "io_uring is forbidden to this process",
            "In a container, allow io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile.",
        ),
        (Some(libc::ENOMEM), _) => missing(
            "io_uring gets no locked memory",
            "Raise the limit: 'ulimit -l unlimited', or 'LimitMEMLOCK=infinity' in the systemd unit.",
        ),
        (Some(libc::EINVAL), _) => {
            missing("io_uring of this kernel lacks deferred task work", "Install Linux 6.1 or newer.")
        }
        _ => missing(format!("io_uring cannot be set up: {error}"), "See 'man io_uring_setup' for this error."),
    }
}

/// May enough memory be locked? Raises the limit where that is allowed.
///
/// # Errors
/// It may not.
#[allow(unsafe_code)]
pub fn check_locked_memory() -> Result<(), Missing> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills the record that it is given, or sets the limit it contains.
    unsafe {
        libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit);
        if limit.rlim_cur < LOCKED_BYTES_MIN && limit.rlim_max >= LOCKED_BYTES_MIN {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit);
        }
    }
    if limit.rlim_cur >= LOCKED_BYTES_MIN {
        return Ok(());
    }
    Err(missing(
        format!(
            "Only {} KiB of memory may be locked, {} KiB are needed",
            limit.rlim_cur / 1024,
            LOCKED_BYTES_MIN / 1024
        ),
        "Raise the limit: 'ulimit -l unlimited', or 'LimitMEMLOCK=infinity' in the systemd unit.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_are_told_so() {
        assert!(check_kernel("6.18.44-fc-v595").is_ok());
        assert!(check_kernel("6.1.0-13-amd64").is_ok());
        let text = check_kernel("5.15.0").map_or_else(|missing| missing.to_string(), |()| String::new());
        assert!(text.contains("5.15.0") && text.contains("newer kernel"), "{text}");
    }
}
