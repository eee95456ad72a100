//! The few calls of the operating system that the standard library lacks, behind functions that cannot be misused: the
//! reactor apart, nothing else of the process needs `unsafe` for them.

#![allow(unsafe_code)]

pub mod crash;
pub mod names;
pub mod note;
pub mod process;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Whose CPU time is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Of the calling thread.
    Thread,
    /// Of the process.
    Process,
}

/// CPU time spent: user and system.
pub fn cpu_time(whose: Whose) -> (Duration, Duration) {
    let who = if whose == Whose::Thread { libc::RUSAGE_THREAD } else { libc::RUSAGE_SELF };
    // SAFETY: a usage record of zeros is valid, and the call only fills it.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(who, &raw mut usage);
        usage
    };
    let duration = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    (duration(usage.ru_utime), duration(usage.ru_stime))
}

/// A moment as the calendar of the machine shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalTime {
    /// Since the year 0.
    pub year: i32,
    /// 0 to 11.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// Seconds ahead of Greenwich.
    pub offset_s: i32,
}

/// The local time so many seconds after the Unix epoch.
pub fn local_time(seconds: i64) -> LocalTime {
    let seconds = seconds as libc::time_t;
    // SAFETY: a broken-down time of zeros is valid; the call reads the first and fills the second argument.
    let parts = unsafe {
        let mut parts = std::mem::zeroed::<libc::tm>();
        libc::localtime_r(&raw const seconds, &raw mut parts);
        parts
    };
    LocalTime {
        year: parts.tm_year + 1900,
        month: parts.tm_mon as u8,
        day: parts.tm_mday as u8,
        hour: parts.tm_hour as u8,
        minute: parts.tm_min as u8,
        second: parts.tm_sec as u8,
        offset_s: parts.tm_gmtoff as i32,
    }
}

/// Raises the limit of open files to `wanted` where it is lower, as far as that is allowed; returns the limit in force.
pub fn raise_open_files(wanted: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls read or fill the record that they are given.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        if limit.rlim_cur < wanted {
            let mut raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max.max(wanted) };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) != 0 {
                raised = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised);
            }
            libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        }
    }
    limit.rlim_cur
}

/// The processors that this process may use.
pub fn processors() -> Vec<usize> {
    // SAFETY: the set lives on the stack, a set of zeros is valid, and the call fills at most its size.
    let set = unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
        set
    };
    // SAFETY: the index stays below the size of the set.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

/// The descriptor on which the signals that end the process arrive.
#[derive(Debug)]
pub struct Signals(OwnedFd);

/// A signal that ends the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

impl Signals {
    /// Blocks SIGTERM and SIGINT in this thread and those it starts, so that they arrive here; ignores SIGPIPE and
    /// SIGHUP.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn take() -> io::Result<Self> {
        // SAFETY: the set lives on the stack and is filled by sigemptyset; the calls take no other memory of ours; the
        // descriptor is new and owned by nobody else.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            match libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(Self(OwnedFd::from_raw_fd(fd))),
            }
        }
    }

    /// The descriptor, to be watched.
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// The next signal that has arrived.
    pub fn next(&self) -> Option<Signal> {
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: a record of zeros is valid, and the kernel writes at most its size.
        let (info, read) = unsafe {
            let mut info = std::mem::zeroed::<libc::signalfd_siginfo>();
            let read = libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size);
            (info, read)
        };
        let is_interrupt = info.ssi_signo as libc::c_int == libc::SIGINT;
        (read == size as isize).then_some(if is_interrupt { Signal::Interrupt } else { Signal::Terminate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_plausible() {
        assert!(!processors().is_empty());
        assert!(raise_open_files(0) > 0);
        let (user, system) = cpu_time(Whose::Process);
        let (own_user, own_system) = cpu_time(Whose::Thread);
        assert!(own_user <= user + Duration::from_secs(1) && own_system <= system + Duration::from_secs(1));
        // 2001-09-09, some hours to either side.
        let time = local_time(1_000_000_000);
        assert_eq!((time.year, time.month), (2001, 8));
    }
}
