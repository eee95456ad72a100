//! What a client is owed: a buffer that grows, and one that is being sent and stays untouched until the kernel is done.

#![allow(unsafe_code)]

use crate::reactor::{Ring, Token};
use ringkey_core::resp::ReplyBuffer;
use ringkey_core::units::Millis;
use std::os::fd::RawFd;

/// Most pieces of one send.
const PIECES_MAX: usize = 256;

/// A buffer keeps no more than so many bytes between its uses.
const ROOM_MAX: usize = 16 * 1024;

/// And may keep at least so many.
const ROOM_MIN: usize = 1024;

/// How the room that is kept for replies follows their size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoomRule {
    /// Does it at all?
    pub follows: bool,
    /// The largest replies are forgotten after so many milliseconds; `None`: never.
    pub forgets_ms: Option<i64>,
}

/// How long the largest replies are remembered unless somebody says otherwise, in milliseconds.
pub const FORGETS_MS: i64 = 5000;

impl Default for RoomRule {
    fn default() -> Self {
        Self { follows: true, forgets_ms: Some(FORGETS_MS) }
    }
}

/// What became of the room for replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoomChange {
    /// Nothing.
    None,
    /// It is smaller.
    Shrunk,
    /// It is larger.
    Grown,
}

/// The output of one session.
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
    /// How much room is kept for replies between their uses, in bytes.
    pub room: usize,
    /// The largest replies of late, as far as they fit, in bytes.
    pub peak: usize,
    /// When the peak was last forgotten.
    peak_since: Millis,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            pending: ReplyBuffer::default(),
            sending: ReplyBuffer::default(),
            sent: 0,
            pieces: None,
            is_sending: false,
            over_soft_limit_since: None,
            total_sent: 0,
            room: ROOM_MAX,
            // Nothing is known yet: it looks as if all were needed.
            peak: ROOM_MAX,
            peak_since: Millis(0),
        }
    }
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
            self.peak = self.peak.max(self.sending.len().min(self.room));
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
            self.sending.bytes.shrink_to(self.room);
            self.sent = 0;
        }
        Ok(())
    }

    /// Has the room that is kept for replies follow their size: halved room that would have been enough is enough, and
    /// room that was full is doubled.
    pub fn fit_room(&mut self, now: Millis, rule: RoomRule) -> RoomChange {
        if self.peak_since == Millis(0) {
            self.peak_since = now;
        }
        if !rule.follows {
            return RoomChange::None;
        }
        let before = self.room;
        let (half, double) = (self.room / 2, self.room * 2);
        let mut change = RoomChange::None;
        if half >= ROOM_MIN && self.peak < half {
            self.room = ROOM_MIN.max(self.peak + 1);
            change = RoomChange::Shrunk;
        } else if double < 2 * ROOM_MAX && self.peak >= self.room {
            self.room = double.min(ROOM_MAX);
            change = RoomChange::Grown;
        }
        if rule.forgets_ms.is_some_and(|forgets| now.0 - self.peak_since.0 >= forgets) {
            self.peak = self.pending.bytes.len().min(self.room);
            self.peak_since = now;
        }
        if self.room < before {
            if self.pending.is_empty() {
                self.pending.bytes.shrink_to(self.room);
            }
            if !self.is_sending && self.sending.is_empty() {
                self.sending.bytes.shrink_to(self.room);
            }
        }
        change
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_follows_replies() {
        let mut output = Output::default();
        let rule = RoomRule { follows: true, forgets_ms: Some(100) };
        assert_eq!(output.fit_room(Millis(1000), rule), RoomChange::None, "nothing is known yet");
        assert_eq!(output.fit_room(Millis(1100), rule), RoomChange::None);
        assert_eq!(output.fit_room(Millis(1200), rule), RoomChange::Shrunk);
        assert_eq!(output.room, ROOM_MIN);
        let never = RoomRule { follows: true, forgets_ms: None };
        for room in [2048, 4096, 8192, 16384] {
            output.peak = output.room;
            assert_eq!(output.fit_room(Millis(1300), never), RoomChange::Grown);
            assert_eq!(output.room, room);
        }
        output.peak = output.room;
        assert_eq!(output.fit_room(Millis(1300), never), RoomChange::None, "more is never kept");
        output.peak = 0;
        assert_eq!(output.fit_room(Millis(1300), RoomRule { follows: false, ..never }), RoomChange::None);
    }
}
