//! The ring of one thread: its connections, their send buffers, and the place where it waits.
//!
//! One `io_uring_enter` a pass submits all sends and waits. A small send that succeeds tells nothing: the replies to it
//! do. So a pass wakes for replies only, and a request costs no completion besides its reply's.

#![allow(unsafe_code)]

use super::buffers::BufferRing;
use io_uring::types::{CancelBuilder, Fixed, SubmitArgs, TimeoutFlags, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Entries of the submission queue; a fuller pass enters the kernel once more.
const SUBMISSIONS: u32 = 1024;
/// `IORING_ENTER_GETEVENTS` of the kernel.
const ENTER_GETEVENTS: u32 = 1;
/// Sends up to this size fit into an empty socket buffer, so they are over when they have been submitted.
const QUIET_BYTES_MAX: usize = 16 * 1024;
/// How often the ring ticks, so that time is looked at even if nothing arrives.
const TICK: Duration = Duration::from_millis(100);

/// What an operation was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    /// Bytes arrived, or the connection ended (0 bytes).
    Receive,
    /// A large send is over, or a send has failed.
    Send,
    /// Time has passed.
    Tick,
}

/// A finished operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    /// What for.
    pub operation: Operation,
    /// Of which connection.
    pub slot: usize,
    /// A count, or a negative error number.
    pub result: i32,
    /// The provided buffer that holds what arrived.
    pub buffer: Option<u16>,
    /// Does the operation go on?
    pub more: bool,
}

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until something comes.
    Forever,
    /// Until something comes or the time is over.
    AtMost(Duration),
    /// Not at all.
    No,
}

/// A connection's send buffer.
#[derive(Debug)]
struct Outgoing {
    bytes: Box<[u8]>,
    /// The length of the send that is under way and will tell when it is over; 0: there is none.
    loud: usize,
}

/// The ring of one thread.
pub(super) struct Ring {
    ring: IoUring,
    buffers: BufferRing,
    outgoing: Vec<Outgoing>,
    streams: Vec<TcpStream>,
    /// The kernel reads it when the timeout is submitted.
    tick: Box<Timespec>,
}

impl Ring {
    /// Sets up the ring, on the thread that will use it. Each connection gets a send buffer of `outgoing_bytes`.
    pub(super) fn new(
        streams: Vec<TcpStream>,
        outgoing_bytes: usize,
        buffer_count: u16,
        buffer_bytes: u32,
    ) -> io::Result<Self> {
        let completions = (streams.len() * 2).next_power_of_two().clamp(1024, 65_536) as u32;
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_cqsize(completions)
            .setup_clamp()
            .build(SUBMISSIONS)?;
        let buffers = BufferRing::register(&ring, buffer_count, buffer_bytes)?;
        let descriptors: Vec<_> = streams.iter().map(AsRawFd::as_raw_fd).collect();
        if !descriptors.is_empty() {
            ring.submitter().register_files(&descriptors)?;
        }
        let outgoing = streams.iter().map(|_| Outgoing { bytes: vec![0; outgoing_bytes].into(), loud: 0 }).collect();
        let mut this = Self { ring, buffers, outgoing, streams, tick: Box::new(Timespec::from(TICK)) };
        for slot in 0..this.streams.len() {
            this.receive(slot);
        }
        let tick = opcode::Timeout::new(&raw const *this.tick).flags(TimeoutFlags::MULTISHOT).build();
        this.push(tick, Operation::Tick, 0);
        Ok(this)
    }

    /// Receives from a connection until it ends or there is no buffer left.
    pub(super) fn receive(&mut self, slot: usize) {
        let entry = opcode::RecvMulti::new(Fixed(slot as u32), BufferRing::GROUP).build();
        self.push(entry, Operation::Receive, slot);
    }

    /// The send buffer of a connection, to be filled while nothing of it is under way.
    pub(super) fn outgoing(&mut self, slot: usize) -> &mut [u8] {
        let outgoing = &mut self.outgoing[slot];
        assert_eq!(outgoing.loud, 0, "a send buffer is filled only when its last send is over");
        &mut outgoing.bytes
    }

    /// Sends the first `len` bytes of a connection's send buffer. True: a completion will tell that it is over.
    pub(super) fn send(&mut self, slot: usize, len: usize) -> bool {
        let outgoing = &mut self.outgoing[slot];
        let bytes = &outgoing.bytes[..len];
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let entry = opcode::Send::new(Fixed(slot as u32), bytes.as_ptr(), len as u32).flags(flags).build();
        let loud = len > QUIET_BYTES_MAX;
        outgoing.loud = if loud { len } else { 0 };
        let entry = if loud { entry } else { entry.flags(squeue::Flags::SKIP_SUCCESS) };
        self.push(entry, Operation::Send, slot);
        loud
    }

    /// A completion of a send has come: was all of it sent?
    pub(super) fn sent(&mut self, slot: usize, result: i32) -> bool {
        let loud = std::mem::take(&mut self.outgoing[slot].loud);
        loud > 0 && usize::try_from(result) == Ok(loud)
    }

    fn push(&mut self, entry: squeue::Entry, operation: Operation, slot: usize) {
        let entry = entry.user_data((operation as u64) << 32 | slot as u64);
        loop {
            // SAFETY: what entries point to - send buffers, the time of the tick, provided buffers - is allocated once,
            // never moves, and is freed only after `Drop` has ended all operations. A send buffer is filled anew only
            // when the replies to what it held are in, and a large send also has completed (`outgoing`).
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            if let Err(error) = self.ring.submit()
                && !is_passing(&error)
            {
                panic!("io_uring refuses submissions: {error}");
            }
        }
    }

    /// Submits everything and waits.
    pub(super) fn submit_and_wait(&mut self, wait: Wait) -> io::Result<()> {
        let result = match wait {
            Wait::Forever => self.ring.submit_and_wait(1),
            Wait::AtMost(time) => {
                let timeout = Timespec::from(time);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout))
            }
            Wait::No => {
                let count = self.ring.submission().len() as u32;
                // Deferred task work - all that arrives - runs only when events are asked for, were it none.
                // SAFETY: no argument is passed, and the entries are as `push` was given them.
                unsafe { self.ring.submitter().enter::<libc::sigset_t>(count, 0, ENTER_GETEVENTS, None) }
            }
        };
        match result {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves all completions to `out`.
    pub(super) fn reap(&mut self, out: &mut Vec<Completion>) {
        out.extend(self.ring.completion().map(|entry| {
            let bits = entry.user_data();
            let operation = match bits >> 32 {
                0 => Operation::Receive,
                1 => Operation::Send,
                _ => Operation::Tick,
            };
            Completion {
                operation,
                slot: bits as u32 as usize,
                result: entry.result(),
                buffer: cqueue::buffer_select(entry.flags()),
                more: cqueue::more(entry.flags()),
            }
        }));
    }

    /// What arrived in a provided buffer.
    pub(super) fn arrived(&self, buffer: u16, len: usize) -> &[u8] {
        self.buffers.bytes(buffer, len)
    }

    /// Gives a provided buffer back.
    pub(super) fn give_back(&mut self, buffer: u16) {
        self.buffers.give_back(buffer);
    }
}

/// Errors after which one simply goes on.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

impl Drop for Ring {
    fn drop(&mut self) {
        for stream in &self.streams {
            // Already closed by the other side: all the better.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // The kernel must not touch our memory when it is freed. It waits here until everything has ended.
        let ended = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
        if ended.is_err_and(|error| error.raw_os_error() != Some(libc::ENOENT)) {
            self.buffers.leak();
            for outgoing in &mut self.outgoing {
                std::mem::forget(std::mem::take(&mut outgoing.bytes));
            }
        }
    }
}
