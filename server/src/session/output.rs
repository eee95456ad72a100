//! What a client is owed: a buffer that grows, and one that is being sent and stays untouched until the kernel is done.

#![allow(unsafe_code)]

use crate::reactor::{Ring, Token};
use ringkey_core::resp::ReplyBuffer;
use ringkey_core::units::Millis;
use std::os::fd::RawFd;

/// Most pieces of one send.
const PIECES_MAX: usize = 256;

/// A send buffer keeps no more than so many bytes between its uses.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The output of one session.
#[derive(Default)]
pub struct Output {
    /// Replies not yet handed to the kernel.
    pub pending: ReplyBuffer,
    sending: ReplyBuffer,
    /// How much of `sending` has left.
    sent: usize,
    /// The vector of a send in several pieces.
    pieces: Option<Box<Pieces>>,
    /// Is a send under way?
    pub is_sending: bool,
    /// Since when more than the soft limit is owed.
    pub over_soft_limit_since: Option<Millis>,
    /// Bytes sent since the connection was made.
    pub total_sent: u64,
}

struct Pieces {
    message: libc::msghdr,
    vector: Vec<libc::iovec>,
}

impl Output {
    /// Bytes that have not left yet.
    #[inline]
    pub fn unsent(&self) -> usize {
        self.pending.len() + self.sending.len() - self.sent
    }

    /// Memory that the output holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.pending.bytes.capacity()
            + self.sending.bytes.capacity()
            + self.pending.shared_bytes
            + self.sending.shared_bytes
    }

    /// Pieces in which what is unsent lies.
    pub fn pieces_count(&self) -> usize {
        let pieces = |buffer: &ReplyBuffer| usize::from(!buffer.is_empty()) + 2 * buffer.shared.len();
        pieces(&self.pending) + pieces(&self.sending)
    }

    /// Submits a send if there is something to send and none is under way. `true` if it did.
    pub fn submit(&mut self, ring: &mut Ring, fd: RawFd, token: Token) -> bool {
        if self.is_sending {
            return false;
        }
        if self.sending.is_empty() {
            if self.pending.is_empty() {
                return false;
            }
            std::mem::swap(&mut self.pending, &mut self.sending);
            self.sent = 0;
        }
        self.is_sending = true;
        if self.sending.shared.is_empty() {
            // SAFETY: `sending` is not touched until the completion of this send reaches `completed`: `is_sending` keeps
            // this function from it and nothing else changes it; the session is not dropped before.
            unsafe { ring.send(fd, &self.sending.bytes[self.sent..], token) };
        } else {
            self.submit_pieces(ring, fd, token);
        }
        true
    }

    fn submit_pieces(&mut self, ring: &mut Ring, fd: RawFd, token: Token) {
        let pieces = self.pieces.get_or_insert_with(|| {
            // SAFETY: a message header of zeros is a valid empty one.
            Box::new(Pieces { message: unsafe { std::mem::zeroed() }, vector: Vec::new() })
        });
        pieces.vector.clear();
        let mut skip = self.sent;
        let mut at = 0;
        let mut add = |bytes: &[u8]| {
            let skipped = skip.min(bytes.len());
            skip -= skipped;
            if skipped < bytes.len() && pieces.vector.len() < PIECES_MAX {
                let rest = &bytes[skipped..];
                pieces.vector.push(libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() });
            }
        };
        for part in &self.sending.shared {
            add(&self.sending.bytes[at..part.at]);
            add(&part.bytes);
            at = part.at;
        }
        add(&self.sending.bytes[at..]);
        pieces.message.msg_iov = pieces.vector.as_mut_ptr();
        pieces.message.msg_iovlen = pieces.vector.len() as _;
        // SAFETY: as above for the bytes; the header and its vector live in a box that only this function changes.
        unsafe { ring.send_message(fd, &pieces.message, token) };
    }

    /// A send has ended.
    ///
    /// # Errors
    /// The error number of a failed send.
    pub fn completed(&mut self, result: i32) -> Result<(), i32> {
        self.is_sending = false;
        if result < 0 {
            return match -result {
                libc::EAGAIN | libc::EINTR => Ok(()),
                error => Err(error),
            };
        }
        self.sent += result as usize;
        self.total_sent += result as u64;
        if self.sent >= self.sending.len() {
            self.sending.clear();
            self.sending.bytes.shrink_to(KEPT_BYTES_MAX);
            self.sent = 0;
        }
        Ok(())
    }

    /// Gives memory back that holds nothing.
    pub fn shrink(&mut self) {
        if self.pending.is_empty() {
            self.pending = ReplyBuffer::default();
        }
        if !self.is_sending && self.sending.is_empty() {
            self.sending = ReplyBuffer::default();
            self.pieces = None;
        }
    }

    /// Lets go of everything that is not being sent.
    pub fn abandon(&mut self) {
        self.pending = ReplyBuffer::default();
        if !self.is_sending {
            self.sending = ReplyBuffer::default();
            self.sent = 0;
        }
    }
}
