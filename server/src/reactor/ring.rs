//! The ring of one core: every socket operation is submitted here, and the core waits here.
//!
//! One `io_uring_enter` a pass submits everything and waits. Receives are multishot into a ring of provided buffers;
//! what arrived is read in place and the buffer goes back in the same pass.

#![allow(unsafe_code)]

use super::buffers::BufferRing;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Entries of the submission queue; a fuller pass enters the kernel once more.
const SUBMISSIONS: u32 = 1024;
/// Entries of the completion queue.
const COMPLETIONS: u32 = 8192;

/// `IORING_ENTER_GETEVENTS` of the kernel.
const ENTER_GETEVENTS: u32 = 1;

/// What an operation was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Operation {
    /// A connection was accepted on listener `index`.
    Accept = 1,
    /// Bytes of session `index` arrived.
    Receive = 2,
    /// Bytes of session `index` left.
    Send = 3,
    /// Another core has put something into a mailbox.
    Wake = 4,
    /// An operation was cancelled.
    Cancel = 5,
    /// A signal or another event of the process (a readable descriptor).
    Event = 6,
}

/// Names the operation of a completion: what for, for whom, and of which generation of that place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// What for.
    pub operation: Operation,
    /// The index of the session or listener.
    pub index: u32,
    /// Tells the present user of the index from earlier ones; 24 bits.
    pub generation: u32,
}

impl Token {
    fn pack(self) -> u64 {
        (self.operation as u64) << 56 | u64::from(self.generation & 0xff_ffff) << 32 | u64::from(self.index)
    }

    fn unpack(bits: u64) -> Option<Self> {
        let operation = match (bits >> 56) as u8 {
            1 => Operation::Accept,
            2 => Operation::Receive,
            3 => Operation::Send,
            4 => Operation::Wake,
            5 => Operation::Cancel,
            6 => Operation::Event,
            _ => return None,
        };
        Some(Self { operation, index: bits as u32, generation: (bits >> 32) as u32 & 0xff_ffff })
    }
}

/// A finished operation.
#[derive(Debug)]
pub struct Completion {
    /// Which.
    pub token: Token,
    /// Its result: a count, or a negative error number.
    pub result: i32,
    /// The connection that was accepted.
    pub accepted: Option<OwnedFd>,
    /// The provided buffer that holds what arrived.
    pub buffer: Option<u16>,
    /// Does the operation go on (multishot)?
    pub more: bool,
}

/// How long to wait and for how much.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// Wake for so many completions, 0: do not wait.
    pub want: usize,
    /// Wake at the latest after this time, whatever came.
    pub timeout: Duration,
    /// Wake after this time if anything came (kernel 6.12 and later), else at once.
    pub min_wait: Duration,
}

/// The ring of one core.
pub struct Ring {
    ring: IoUring,
    /// Where received bytes lie.
    pub buffers: BufferRing,
    has_min_wait: bool,
    /// How often the kernel was entered.
    pub enters: u64,
}

impl Ring {
    /// Sets up the ring; to be called on the thread that will use it.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn new(buffer_count: u16, buffer_bytes: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_cqsize(COMPLETIONS)
            .setup_clamp()
            .build(SUBMISSIONS)?;
        let has_min_wait = ring.params().is_feature_min_timeout();
        let buffers = BufferRing::register(&ring, buffer_count, buffer_bytes)?;
        Ok(Self { ring, buffers, has_min_wait, enters: 0 })
    }

    /// The descriptor under which other cores wake this one.
    pub fn fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// Can the kernel wait for a small batch?
    pub fn has_min_wait(&self) -> bool {
        self.has_min_wait
    }

    /// Accepts connections on `fd` until cancelled.
    pub fn accept(&mut self, fd: RawFd, token: Token) {
        self.push(opcode::AcceptMulti::new(types::Fd(fd)).flags(libc::SOCK_CLOEXEC).build(), token);
    }

    /// Receives from `fd` into provided buffers until cancelled or out of buffers.
    pub fn receive(&mut self, fd: RawFd, token: Token) {
        self.push(opcode::RecvMulti::new(types::Fd(fd), BufferRing::GROUP).build(), token);
    }

    /// Receives once, at most `len` bytes, into a provided buffer.
    pub fn receive_some(&mut self, fd: RawFd, len: u32, token: Token) {
        let entry = opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), len).buf_group(BufferRing::GROUP).build();
        self.push(entry.flags(squeue::Flags::BUFFER_SELECT), token);
    }

    /// Receives once, into memory of the caller; `all`: completes when that is full.
    ///
    /// # Safety
    /// `buffer` must stay valid and untouched until the operation completes.
    pub unsafe fn receive_into(&mut self, fd: RawFd, buffer: *mut u8, len: u32, all: bool, token: Token) {
        let flags = if all { libc::MSG_WAITALL } else { 0 };
        self.push(opcode::Recv::new(types::Fd(fd), buffer, len).flags(flags).build(), token);
    }

    /// Sends one run of bytes.
    ///
    /// # Safety
    /// The bytes must stay valid and unchanged until the operation completes.
    pub unsafe fn send(&mut self, fd: RawFd, bytes: &[u8], token: Token) {
        let len = bytes.len().min(1 << 30) as u32;
        self.push(
            opcode::Send::new(types::Fd(fd), bytes.as_ptr(), len).flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL).build(),
            token,
        );
    }

    /// Sends several runs of bytes.
    ///
    /// # Safety
    /// The message, its vector and all bytes must stay valid and unchanged until the operation completes.
    pub unsafe fn send_message(&mut self, fd: RawFd, message: *const libc::msghdr, token: Token) {
        let flags = (libc::MSG_NOSIGNAL | libc::MSG_WAITALL) as u32;
        self.push(opcode::SendMsg::new(types::Fd(fd), message).flags(flags).build(), token);
    }

    /// Waits until `fd` is readable, again and again.
    pub fn watch(&mut self, fd: RawFd, token: Token) {
        self.push(opcode::PollAdd::new(types::Fd(fd), libc::POLLIN as u32).multi(true).build(), token);
    }

    /// Cancels the operation of `target`.
    pub fn cancel(&mut self, target: Token) {
        let token = Token { operation: Operation::Cancel, ..target };
        self.push(opcode::AsyncCancel::new(target.pack()).build(), token);
    }

    /// Wakes the core whose ring is `ring_fd`.
    pub fn wake(&mut self, ring_fd: RawFd) {
        let there = Token { operation: Operation::Wake, index: 0, generation: 0 }.pack();
        let entry = opcode::MsgRingData::new(types::Fd(ring_fd), 0, there, None).build();
        // Nobody needs to hear that the message was delivered.
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        self.push(entry, Token { operation: Operation::Cancel, index: 0, generation: 0 });
    }

    fn push(&mut self, entry: squeue::Entry, token: Token) {
        let entry = entry.user_data(token.pack());
        loop {
            // SAFETY: the callers of the unsafe operations promise that what the entry points to outlives it; the
            // other operations point to nothing.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            self.enters += 1;
            if let Err(error) = self.ring.submit()
                && !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN))
            {
                panic!("io_uring refuses submissions: {error}");
            }
        }
    }

    /// Submits everything and waits.
    ///
    /// # Errors
    /// What the kernel refuses; a time-out or a signal is no error.
    pub fn submit_and_wait(&mut self, wait: Wait) -> io::Result<()> {
        self.enters += 1;
        let result = if wait.want == 0 {
            let count = self.ring.submission().len() as u32;
            // Deferred task work - all that arrives - runs only when events are asked for, were it none.
            // SAFETY: no argument is passed, and the entries are as `push` was given them.
            unsafe { self.ring.submitter().enter::<libc::sigset_t>(count, 0, ENTER_GETEVENTS, None) }
        } else {
            let timeout = types::Timespec::from(wait.timeout);
            let mut args = types::SubmitArgs::new().timespec(&timeout);
            let mut want = wait.want;
            if self.has_min_wait && !wait.min_wait.is_zero() {
                args = args.min_wait_usec(wait.min_wait.as_micros() as u32);
            } else {
                want = 1;
            }
            self.ring.submitter().submit_with_args(want, &args)
        };
        match result {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Moves all completions to `out`.
    pub fn reap(&mut self, out: &mut Vec<Completion>) {
        for entry in self.ring.completion() {
            let Some(token) = Token::unpack(entry.user_data()) else { continue };
            let result = entry.result();
            let accepted = (token.operation == Operation::Accept && result >= 0).then(|| {
                // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
                unsafe { OwnedFd::from_raw_fd(result) }
            });
            out.push(Completion {
                token,
                result,
                accepted,
                buffer: cqueue::buffer_select(entry.flags()),
                more: cqueue::more(entry.flags()),
            });
        }
    }

    /// Has anything completed?
    pub fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        let token = Token { operation: Operation::Send, index: u32::MAX, generation: 0xff_ffff };
        assert_eq!(Token::unpack(token.pack()), Some(token));
        assert_eq!(Token::unpack(0), None);
    }
}
