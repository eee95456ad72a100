//! What the functions of a library grow while they work: kept from call to call, owned by no frame of a call.

use super::stack::Raise;

/// So many bytes an encoded value may have. Far beyond what a reply may carry; a limit, because a table that holds the same
/// string a million times is a small table.
const OUTPUT_MAX: usize = 4 << 30;

/// What is kept of the output's room from call to call.
const OUTPUT_KEPT: usize = 1 << 20;

/// What is kept of the room for levels.
const LEVELS_KEPT: usize = 8192;

/// Bytes under construction, and the tables that are open meanwhile.
#[derive(Default)]
pub(super) struct Scratch {
    pub out: Output,
    pub levels: Vec<Level>,
}

/// A table that is being read or filled. In place of a frame of a recursion: depth costs no stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    /// The next element's place (from 1), and how many there are.
    Array { at: u64, count: u64 },
    /// How many pairs were done (cjson) or are left (cmsgpack).
    Map { pairs: u64, has_key: bool },
}

impl Scratch {
    /// Makes ready for the next call.
    pub fn clear(&mut self) {
        self.out.bytes.clear();
        if self.out.bytes.capacity() > OUTPUT_KEPT {
            self.out.bytes.shrink_to(OUTPUT_KEPT);
        }
        self.levels.clear();
        if self.levels.capacity() > LEVELS_KEPT {
            self.levels.shrink_to(LEVELS_KEPT);
        }
    }
}

/// Bytes that are added at the end, up to a limit.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
}

impl Output {
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Refuses what would go beyond the limit.
    pub fn allow(&self, more: u64) -> Result<(), Raise> {
        let left = (OUTPUT_MAX - self.bytes.len()) as u64;
        if more > left { Err(Raise::out_of_memory()) } else { Ok(()) }
    }

    #[cold]
    fn grow(&mut self, more: usize) -> Result<(), Raise> {
        self.allow(more as u64)?;
        self.bytes.try_reserve(more.max(128)).map_err(|_| Raise::out_of_memory())
    }

    #[inline]
    pub fn byte(&mut self, byte: u8) -> Result<(), Raise> {
        if self.bytes.len() == self.bytes.capacity() {
            self.grow(1)?;
        }
        self.bytes.push(byte);
        Ok(())
    }

    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Raise> {
        if bytes.len() > self.bytes.capacity() - self.bytes.len() {
            self.grow(bytes.len())?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds `count` zeros.
    pub fn zeros(&mut self, count: usize) -> Result<(), Raise> {
        if count > self.bytes.capacity() - self.bytes.len() {
            self.grow(count)?;
        }
        self.bytes.resize(self.bytes.len() + count, 0);
        Ok(())
    }
}
