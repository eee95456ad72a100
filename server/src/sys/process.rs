//! Calls of the operating system about the process as a whole: going into the background, its title, the processors and
//! pages that it uses, the system's log.

#![allow(unsafe_code)]

use log::Level;
use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// So much fits into a pipe that is ready for writing, in bytes.
const PIPE_BYTES: usize = 4096;

/// Which process one is after going into the background.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The one that was started; it should end.
    Front,
    /// The one that goes on.
    Background,
}

/// Leaves terminal, session and parent: the process that goes on is nobody's child and can never get a terminal.
///
/// To be called while there is one thread.
///
/// # Errors
/// What the system refuses; this is the process that was started then.
pub fn daemonize() -> io::Result<Side> {
    // SAFETY: there is one thread, so that the children are whole; the calls take no memory of ours but the status,
    // which lives on the stack.
    unsafe {
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {}
            child => {
                let mut status = 0;
                libc::waitpid(child, &raw mut status, 0);
                let went_on = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
                return if went_on { Ok(Side::Front) } else { Err(io::Error::other("the second fork failed")) };
            }
        }
        libc::setsid();
        match libc::fork() {
            -1 => libc::_exit(1),
            0 => {}
            _ => libc::_exit(0),
        }
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        if null >= 0 {
            (0..=2).for_each(|fd| {
                libc::dup2(null, fd);
            });
            if null > 2 {
                libc::close(null);
            }
        }
    }
    Ok(Side::Background)
}

/// Stops this process until somebody continues it: how upstart is told that a service is ready.
pub fn stop_until_continued() {
    // SAFETY: the call takes no memory.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Has the kernel give this process no huge pages of its own accord.
///
/// # Errors
/// What the kernel refuses.
pub fn disable_huge_pages() -> io::Result<()> {
    const PR_SET_THP_DISABLE: libc::c_int = 41;
    // SAFETY: the call takes numbers only.
    match unsafe { libc::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Lets the calling thread, and those that it starts, run on these processors only.
///
/// # Errors
/// What the kernel refuses.
pub fn run_on(processors: &[usize]) -> io::Result<()> {
    // SAFETY: the set lives on the stack, a set of zeros is valid, and the indexes stay below its size.
    let result = unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        let fits = |processor: &&usize| **processor < libc::CPU_SETSIZE as usize;
        processors.iter().filter(fits).for_each(|processor| libc::CPU_SET(*processor, &mut set));
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The kernel's number of the calling thread.
pub fn thread_id() -> i32 {
    // SAFETY: the call takes no memory.
    unsafe { libc::gettid() }
}

/// Writes to a descriptor as much as it takes within `limit`. Neither allocates nor locks: crash reports come this way.
pub fn write_within(fd: RawFd, bytes: &[u8], limit: Duration) {
    let end = Instant::now() + limit;
    let mut rest = bytes;
    while !rest.is_empty() {
        let left = end.saturating_duration_since(Instant::now()).as_millis() as libc::c_int;
        let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
        // SAFETY: the record lives on the stack, and one is passed.
        let ready = unsafe { libc::poll(&raw mut poll, 1, left) };
        if ready < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted && left > 0 {
            continue;
        }
        if ready <= 0 {
            return;
        }
        let chunk = &rest[..rest.len().min(PIPE_BYTES)];
        // SAFETY: the chunk is valid for its length.
        let written = unsafe { libc::write(fd, chunk.as_ptr().cast(), chunk.len()) };
        match written {
            1.. => rest = &rest[written as usize..],
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

/// The memory in which the system keeps the command line that `ps` shows, and behind it the environment.
#[derive(Debug)]
pub struct TitleArea {
    start: *mut u8,
    /// Bytes of the command line.
    line_len: usize,
    /// Bytes with those of the environment.
    len: usize,
}

// SAFETY: the area belongs to this value alone, and it is written through `&mut self` only.
unsafe impl Send for TitleArea {}

impl TitleArea {
    /// Takes the area over; the environment moves elsewhere. The arguments must have been read, and there must be one
    /// thread.
    pub fn take() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // Behind the name of the program, which may hold anything, come fields from the third on.
        let fields: Vec<usize> = stat
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .skip(45)
            .take(4)
            .filter_map(|field| field.parse().ok())
            .collect();
        let [start, line_end, environment, end] = fields.as_slice() else { return None };
        let line_len = line_end.checked_sub(*start).filter(|len| *len > 1)?;
        let len = if environment == line_end { end.checked_sub(*start)? } else { line_len };
        for (name, value) in std::env::vars_os() {
            // SAFETY: there is one thread, so nobody reads the environment meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
        Some(Self { start: std::ptr::with_exposed_provenance_mut(*start), line_len, len: len.max(line_len) })
    }

    /// Puts a title there, as much of it as fits.
    pub fn write(&mut self, title: &str) {
        let title = &title.as_bytes()[..title.len().min(self.len - 1)];
        // SAFETY: the kernel put the strings of the command line and of the environment between these addresses when
        // it started the program; the pages are private and writable, the environment's strings have been copied
        // away, and the arguments are not read any more. All writes stay within the area.
        unsafe {
            self.start.write_bytes(0, self.len);
            self.start.copy_from_nonoverlapping(title.as_ptr(), title.len());
            if title.len() + 1 < self.line_len {
                // Where the last byte of the line is not zero, the kernel shows what stands before the first zero.
                self.start.add(self.line_len - 1).write(b'.');
            }
        }
    }
}

/// An open connection to the system's log.
#[derive(Debug)]
pub struct Syslog(());

impl Syslog {
    /// Opens it under a name and a facility (`user`, `local0` to `local7`).
    pub fn open(ident: &[u8], facility: &str) -> Self {
        let number = match facility.strip_prefix("local").and_then(|digit| digit.parse::<libc::c_int>().ok()) {
            Some(digit) => libc::LOG_LOCAL0 + (digit << 3),
            None => libc::LOG_USER,
        };
        // The library keeps the pointer, so the name lives for ever.
        let ident = Box::leak(CString::new(ident).unwrap_or_default().into_boxed_c_str());
        // SAFETY: the name ends with a zero and is never freed.
        unsafe { libc::openlog(ident.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT, number) };
        Self(())
    }

    /// Writes a message.
    pub fn write(&self, level: Level, message: &str) {
        let priority = match level {
            Level::Error | Level::Warn => libc::LOG_WARNING,
            Level::Info => libc::LOG_NOTICE,
            Level::Debug => libc::LOG_INFO,
            Level::Trace => libc::LOG_DEBUG,
        };
        let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
        // SAFETY: the format asks for one string, which ends with a zero.
        unsafe { libc::syslog(priority, c"%s".as_ptr(), message.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_pipe_that_nobody_empties_holds_nobody_up() {
        let (mut reader, writer) = io::pipe().unwrap();
        write_within(writer.as_raw_fd(), &vec![b'x'; 1 << 20], Duration::from_millis(50));
        drop(writer);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        assert!(!got.is_empty() && got.len() < 1 << 20);
    }

    #[test]
    fn a_thread_runs_where_it_is_told() {
        let first = crate::sys::processors()[0];
        std::thread::spawn(move || {
            run_on(&[first]).unwrap();
            assert_eq!(crate::sys::processors(), [first]);
        })
        .join()
        .unwrap();
    }
}
