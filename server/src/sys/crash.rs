//! Signals that mean a crash: caught on a stack of their own, reported by whoever is installed, and then left to the
//! system, so that the exit status is right and a core dump is possible.
//!
//! What runs here interrupts the program anywhere: no allocation and no lock, but for the last step, the symbols of the
//! backtrace, which is tried when all else has been written and which an alarm ends if it hangs.

#![allow(unsafe_code)]

use crate::sys::process::write_within;
use std::fmt;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::time::Duration;

/// The signals that are reported.
const SIGNALS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// The stack of a handler in bytes: finding symbols takes some.
const STACK_BYTES: usize = 512 * 1024;

/// Frames of a backtrace.
const FRAMES_MAX: usize = 100;

/// How long a report may take in seconds.
const REPORT_LIMIT_S: libc::c_uint = 10;

/// How long a write of a report waits for its reader.
const WRITE_LIMIT: Duration = Duration::from_millis(500);

/// What happened.
#[derive(Debug)]
pub struct Crash {
    /// The signal.
    pub signal: i32,
    /// Its `si_code`.
    pub code: i32,
    /// The address that was accessed, for faults.
    pub address: usize,
    /// The process and user that sent the signal, if somebody did.
    pub sender: Option<(i32, u32)>,
    /// Where the program was, and its stack.
    pub instruction: usize,
    /// The stack pointer.
    pub stack: usize,
}

impl Crash {
    /// The name of the signal.
    pub fn name(&self) -> &'static str {
        match self.signal {
            libc::SIGSEGV => "SIGSEGV",
            libc::SIGBUS => "SIGBUS",
            libc::SIGFPE => "SIGFPE",
            libc::SIGILL => "SIGILL",
            _ => "SIGABRT",
        }
    }
}

/// Who reports.
#[derive(Clone, Copy, Debug)]
pub struct Reporters {
    /// A crash; the process ends afterwards.
    pub crash: fn(&Crash),
    /// SIGALRM came from outside: somebody wants to know where the threads are.
    pub alarm: fn(),
    /// The same, on a thread that another one has asked.
    pub asked: fn(),
}

static REPORTERS: AtomicPtr<Reporters> = AtomicPtr::new(std::ptr::null_mut());
/// The thread that reports a crash, 0: none.
static REPORTING: AtomicI32 = AtomicI32::new(0);
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static IS_ALARMING: AtomicBool = AtomicBool::new(false);
static ANSWERS: AtomicUsize = AtomicUsize::new(0);

/// Installs the handlers.
pub fn install(reporters: Reporters) {
    REPORTERS.store(Box::leak(Box::new(reporters)), Ordering::Release);
    prepare_thread();
    load_unwinder();
    for signal in SIGNALS.into_iter().chain([libc::SIGALRM]) {
        // SAFETY: a record of zeros is valid, and the handler has the form that SA_SIGINFO asks for.
        unsafe {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_signal;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Leaves the signals to the system.
pub fn uninstall() {
    SIGNALS.into_iter().for_each(leave_to_system);
}

/// Has the next SIGABRT end the process without a report, because there has been one.
pub fn let_abort() {
    leave_to_system(libc::SIGABRT);
}

fn leave_to_system(signal: libc::c_int) {
    // SAFETY: the call takes no memory.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Gives the calling thread a stack for handlers; it is kept for as long as the process lives.
pub fn prepare_thread() {
    let stack = Box::leak(vec![0u8; STACK_BYTES].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: the memory is never freed, and this thread alone uses it.
    unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
}

/// The first backtrace loads a library, which must not happen in a handler.
fn load_unwinder() {
    let mut frames = [std::ptr::null_mut(); 4];
    // SAFETY: the array has room for so many frames.
    unsafe { libc::backtrace(frames.as_mut_ptr(), 4) };
}

extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: reporters are stored once and never freed.
    let Some(reporters) = (unsafe { REPORTERS.load(Ordering::Acquire).as_ref() }) else { return };
    // SAFETY: the kernel passes a valid record.
    let code = unsafe { (*info).si_code };
    if signal == libc::SIGALRM {
        return on_alarm(reporters, code);
    }
    // SAFETY: the call takes no memory.
    let me = unsafe { libc::gettid() };
    match REPORTING.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {}
        // The report itself crashed: that is all there will be.
        Err(reporter) if reporter == me => return end_by(signal),
        // Another thread is about to end the process.
        Err(_) => loop {
            // SAFETY: the call takes no memory.
            unsafe { libc::pause() };
        },
    }
    SIGNAL.store(signal, Ordering::Relaxed);
    // SAFETY: the call takes no memory; what arrives is handled above.
    unsafe { libc::alarm(REPORT_LIMIT_S) };
    // SAFETY: the kernel passes a valid record, of a kind that has these fields.
    let (address, sender) = unsafe {
        let is_sent = code <= 0;
        let sender = is_sent.then(|| ((*info).si_pid(), (*info).si_uid()));
        (if is_sent { 0 } else { (*info).si_addr().addr() }, sender)
    };
    let (instruction, stack) = registers(context);
    (reporters.crash)(&Crash { signal, code, address, sender, instruction, stack });
    end_by(signal);
}

/// Has the system end the process, as if nobody had caught the signal.
fn end_by(signal: libc::c_int) {
    leave_to_system(signal);
    // SAFETY: the call takes no memory. The signal is blocked here and strikes when the handler returns.
    unsafe { libc::raise(signal) };
}

fn on_alarm(reporters: &Reporters, code: libc::c_int) {
    if REPORTING.load(Ordering::Acquire) != 0 {
        if code > 0 {
            // The report hangs.
            let signal = SIGNAL.load(Ordering::Relaxed);
            leave_to_system(signal);
            // SAFETY: the sets and numbers live on the stack.
            unsafe {
                let mut set = std::mem::zeroed::<libc::sigset_t>();
                libc::sigemptyset(&raw mut set);
                libc::sigaddset(&raw mut set, signal);
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
                libc::raise(signal);
            }
        }
        return;
    }
    if code == libc::SI_TKILL {
        (reporters.asked)();
        ANSWERS.fetch_add(1, Ordering::Release);
    } else if !IS_ALARMING.swap(true, Ordering::AcqRel) {
        (reporters.alarm)();
        IS_ALARMING.store(false, Ordering::Release);
    }
}

/// Has a thread report where it is, and waits a little until it has.
pub fn ask_thread(thread: i32) {
    let before = ANSWERS.load(Ordering::Acquire);
    // SAFETY: the call takes no memory.
    let asked = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGALRM) };
    for _ in 0..200 {
        if asked != 0 || ANSWERS.load(Ordering::Acquire) != before {
            return;
        }
        nap();
    }
}

/// Waits for a millisecond, in a handler.
pub fn nap() {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    // SAFETY: the record lives on the stack.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

/// Instruction and stack pointer where the signal struck.
fn registers(context: *mut libc::c_void) -> (usize, usize) {
    // SAFETY: the kernel passes a context of this type.
    let context = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    return (context.gregs[libc::REG_RIP as usize] as usize, context.gregs[libc::REG_RSP as usize] as usize);
    #[cfg(target_arch = "aarch64")]
    return (context.pc as usize, context.sp as usize);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = context;
        (0, 0)
    }
}

/// Where a report goes: a descriptor, and a small buffer on the stack before it.
#[derive(Debug)]
pub struct Report {
    fd: RawFd,
    is_own: bool,
    buffer: [u8; 512],
    len: usize,
}

impl Report {
    /// Writes to a file of this name, which ends with a zero, or to the standard output.
    pub fn open(path: Option<&std::ffi::CStr>) -> Option<Self> {
        let Some(path) = path else { return Some(Self { fd: 1, is_own: false, buffer: [0; 512], len: 0 }) };
        let flags = libc::O_APPEND | libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC;
        // SAFETY: the name ends with a zero.
        let fd = unsafe { libc::open(path.as_ptr(), flags, 0o644 as libc::c_uint) };
        (fd >= 0).then_some(Self { fd, is_own: true, buffer: [0; 512], len: 0 })
    }

    /// Hands over what the buffer holds.
    pub fn flush(&mut self) {
        write_within(self.fd, &self.buffer[..self.len], WRITE_LIMIT);
        self.len = 0;
    }

    /// The addresses of the calls under way on this thread, with the names that the dynamic linker knows.
    pub fn addresses(&mut self) {
        self.flush();
        let mut frames = [std::ptr::null_mut(); FRAMES_MAX];
        // SAFETY: the array has room for so many frames, and as many are passed on as were filled.
        unsafe {
            let count = libc::backtrace(frames.as_mut_ptr(), FRAMES_MAX as libc::c_int);
            libc::backtrace_symbols_fd(frames.as_ptr(), count, self.fd);
        }
    }
}

impl fmt::Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.len == self.buffer.len() {
                self.flush();
            }
            self.buffer[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.flush();
        if self.is_own {
            // SAFETY: the descriptor was opened for this value.
            unsafe { libc::close(self.fd) };
        }
    }
}

/// Writes where nothing may be written: DEBUG SEGFAULT.
pub fn fault() {
    // SAFETY: the page is ours and nobody else's; that writing to it ends the process is what the caller wants.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, flags, -1, 0);
        page.cast::<u8>().write_volatile(b'x');
    }
}

/// Seconds since the Unix epoch, in a handler.
pub fn now_s() -> i64 {
    // SAFETY: the call takes no memory.
    unsafe { libc::time(std::ptr::null_mut()) }
}
