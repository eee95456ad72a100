//! A large argument under way: its payload is collected in an allocation of its own, which becomes the stored value.
//!
//! The first bytes come through the provided buffers, like everything. When more than a little is missing, the kernel
//! is given the allocation itself and writes the rest there: no copy but its own. Of a client that sent a large argument
//! a moment ago, only a little is received at once ([`FIRST_BYTES`]), so that little of the next one needs copying.

#![allow(unsafe_code)]

use bytes::Bytes;

/// Memory that the announced length of an argument is trusted with, in bytes; what is longer grows as it comes.
const BYTES_AT_ONCE: usize = 4 << 20;

/// So much must be missing to have the kernel write to the allocation itself, in bytes.
const DIRECT_MISSING_MIN: usize = 64 << 10;

/// The same for a client that sent a large argument a moment ago.
const DIRECT_MISSING_AGAIN_MIN: usize = 8 << 10;

/// Most bytes of one receive, as long as a client is likely to send another large argument.
pub const FIRST_BYTES: u32 = 2 << 10;

/// So much must have come before, in bytes: a client that sends little by little keeps its memory small.
const DIRECT_COME_MIN: usize = 8 << 10;

/// Most bytes of one receive: how long a client was idle and what it has sent is known only in between.
const DIRECT_BYTES_MAX: usize = 16 << 20;

/// The line end behind the payload.
const LINE_END: usize = 2;

/// A large argument under way.
pub struct BigArgument {
    len: usize,
    data: Vec<u8>,
    /// The kernel holds the address of `data`: it must not move.
    is_lent: bool,
    /// It is longer than a client may send: nothing of it is kept, and when so many bytes more have come, the client is
    /// closed. Closing with unread input would look like a failure of the network.
    swallow: Option<usize>,
}

impl BigArgument {
    /// An argument of `len` bytes, of which none has come; `room` is used if it fits.
    pub fn new(len: usize, room: Vec<u8>) -> Self {
        let whole = len + LINE_END;
        // Room much larger than the argument would stay with the value that it becomes.
        let fits = room.is_empty() && (whole..=whole + whole / 16).contains(&room.capacity());
        let data = if fits { room } else { Vec::with_capacity(whole.min(BYTES_AT_ONCE)) };
        Self { len, data, is_lent: false, swallow: None }
    }

    /// An argument that is longer than a client may send; `swallow` bytes of it are read and dropped.
    pub fn refused(len: usize, swallow: usize) -> Self {
        Self { len, data: Vec::new(), is_lent: false, swallow: Some(swallow) }
    }

    /// Is it longer than a client may send, and enough of it has been dropped?
    pub fn is_over(&self) -> bool {
        self.swallow == Some(0)
    }

    /// Its length without the line end, in bytes.
    pub fn payload_len(&self) -> usize {
        self.len
    }

    /// Has everything come?
    pub fn is_complete(&self) -> bool {
        self.swallow.is_none() && self.missing() == 0
    }

    /// Bytes that are missing, the line end included.
    pub fn missing(&self) -> usize {
        self.len + LINE_END - self.data.len()
    }

    /// Takes what belongs to it from the front of `bytes` and returns the rest.
    pub fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        debug_assert!(!self.is_lent, "only one receive is under way");
        if let Some(swallow) = &mut self.swallow {
            *swallow = swallow.saturating_sub(bytes.len());
            return &[];
        }
        let (mine, rest) = bytes.split_at(self.missing().min(bytes.len()));
        self.data.extend_from_slice(mine);
        rest
    }

    /// The payload, when nothing is missing.
    pub fn into_payload(mut self) -> Bytes {
        self.data.truncate(self.len);
        Bytes::from(self.data)
    }

    /// Is it worth while to have the kernel write here? `again`: the client sent a large argument a moment ago.
    pub fn wants_direct(&self, again: bool) -> bool {
        let (missing, come) = if again { (DIRECT_MISSING_AGAIN_MIN, 1) } else { (DIRECT_MISSING_MIN, DIRECT_COME_MIN) };
        self.swallow.is_none() && self.missing() >= missing && self.data.len() >= come
    }

    /// Room for the kernel to write to, until [`BigArgument::filled`] is called.
    pub fn lend(&mut self) -> (*mut u8, u32) {
        let wanted = self.missing().min(self.data.len().max(BYTES_AT_ONCE));
        self.data.reserve(wanted);
        self.is_lent = true;
        let room = self.data.spare_capacity_mut();
        (room.as_mut_ptr().cast(), room.len().min(wanted).min(DIRECT_BYTES_MAX) as u32)
    }

    /// The kernel has written `count` bytes where [`BigArgument::lend`] pointed.
    pub fn filled(&mut self, count: usize) {
        assert!(
            self.is_lent && count <= self.data.capacity() - self.data.len(),
            "the kernel keeps to what it was lent"
        );
        self.is_lent = false;
        // SAFETY: the kernel has initialised `count` bytes behind the length, within the capacity (asserted above);
        // the vector has not moved since, because `is_lent` keeps every other method from changing it.
        unsafe { self.data.set_len(self.data.len() + count) };
    }

    /// Gives memory back that is not needed for what has come.
    pub fn shrink(&mut self) {
        if !self.is_lent {
            self.data.shrink_to_fit();
        }
    }

    /// Bytes that have come.
    pub fn come(&self) -> usize {
        self.data.len()
    }

    /// Memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.data.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_roads_lead_to_the_payload() {
        let mut big = BigArgument::new(200_000, Vec::new());
        assert!(!big.wants_direct(false));
        assert!(big.take(&[b'x'; 10_000]).is_empty());
        assert!(big.wants_direct(false));
        let (room, len) = big.lend();
        assert!(len as usize >= 190_002);
        // SAFETY: the room was lent just now and is as long as it says.
        unsafe { room.write_bytes(b'y', 190_000) };
        big.filled(190_000);
        assert_eq!(big.take(b"\r\nrest"), b"rest");
        assert_eq!(big.missing(), 0);
        let payload = big.into_payload();
        assert_eq!(payload.len(), 200_000);
        assert_eq!((payload[9_999], payload[10_000], payload[199_999]), (b'x', b'y', b'y'));
    }
}
