//! The memory of an interpreter: counted, bounded, and quick where objects are small.
//!
//! Lua tells the size of what it gives back, so small objects need no header: they come from one arena, in classes of 16
//! bytes, and lie in a list of their class when they are free. What is larger, or does not fit there, comes from the
//! allocator of the process.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ffi::c_void;
use std::ptr;

/// What one interpreter may hold. A script that needs more ends with `not enough memory`.
pub const INTERPRETER_BYTES_MAX: usize = 1 << 30;

/// Small objects of so many bytes in total are quick to get.
const ARENA_BYTES: usize = 512 * 1024;

const CLASS_BYTES: usize = 16;

/// Classes of small objects: up to 256 bytes.
const CLASSES: usize = 16;

const ALIGN: usize = 16;

/// What an interpreter holds. Its address must not change while there is an interpreter that uses it.
pub struct Memory {
    used: usize,
    max: usize,
    more: usize,
    arena: *mut u8,
    carved: usize,
    free: [*mut u8; CLASSES],
}

impl Memory {
    /// Nothing yet, and at most `max` bytes.
    pub fn new(max: usize) -> Self {
        // SAFETY: the layout has a size. The arena may be null, then nothing is carved out of it.
        let arena = unsafe { alloc(layout(ARENA_BYTES)) };
        let carved = if arena.is_null() { ARENA_BYTES } else { 0 };
        Self { used: 0, max, more: 0, arena, carved, free: [ptr::null_mut(); CLASSES] }
    }

    /// How much is in use, in bytes.
    pub fn used(&self) -> usize {
        self.used
    }

    /// From now on so many bytes more may be in use.
    pub fn allow_more(&mut self, bytes: usize) {
        self.more = bytes;
    }

    /// What Lua calls to get, change and give back memory; `memory` is a [`Memory`].
    ///
    /// # Safety
    /// As Lua promises: `block` is null or came from here with `old` bytes, and nobody else is using the [`Memory`].
    pub unsafe extern "C" fn allocate(memory: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
        // SAFETY: the caller's promises are those of this function.
        let this = unsafe { &mut *memory.cast::<Self>() };
        let (block, old) = (block.cast::<u8>(), if block.is_null() { 0 } else { old });
        // SAFETY: likewise.
        unsafe { this.change(block, old, new).cast() }
    }

    /// # Safety
    /// `block` came from here with `old` bytes, or `old` is 0.
    unsafe fn change(&mut self, block: *mut u8, old: usize, new: usize) -> *mut u8 {
        if new > old && (new - old) > (self.max + self.more).saturating_sub(self.used) {
            return ptr::null_mut();
        }
        if old > 0 && new > 0 {
            if class(old) == class(new) && self.is_carved(block) {
                self.used = self.used - old + new;
                return block;
            }
            if !self.is_carved(block) && class(new) >= CLASSES {
                // SAFETY: it came from the allocator with this layout, and `new` is below the bound of a layout.
                let moved = unsafe { realloc(block, layout(old), new) };
                if !moved.is_null() {
                    self.used = self.used - old + new;
                }
                return moved;
            }
        }
        let mut moved = ptr::null_mut();
        if new > 0 {
            moved = self.take(new);
            if moved.is_null() {
                return moved;
            }
            if old > 0 {
                // SAFETY: both have at least so many bytes, and the new one is nobody else's.
                unsafe { ptr::copy_nonoverlapping(block, moved, old.min(new)) };
            }
        }
        if old > 0 {
            // SAFETY: the caller gives it up.
            unsafe { self.give_back(block, old) };
        }
        moved
    }

    #[inline]
    fn is_carved(&self, block: *mut u8) -> bool {
        (block as usize).wrapping_sub(self.arena as usize) < ARENA_BYTES && !self.arena.is_null()
    }

    #[inline]
    fn take(&mut self, bytes: usize) -> *mut u8 {
        let class = class(bytes);
        let block = match self.free.get(class) {
            Some(&first) if !first.is_null() => {
                // SAFETY: a free block holds the address of the next one, or null.
                self.free[class] = unsafe { first.cast::<*mut u8>().read() };
                first
            }
            Some(_) if self.carved + (class + 1) * CLASS_BYTES <= ARENA_BYTES => {
                self.carved += (class + 1) * CLASS_BYTES;
                // SAFETY: so much of the arena is there, and this piece of it was not given out yet.
                unsafe { self.arena.add(self.carved - (class + 1) * CLASS_BYTES) }
            }
            // SAFETY: `bytes` is not 0, and below the bound of a layout.
            _ => unsafe { alloc(layout(bytes)) },
        };
        if !block.is_null() {
            self.used += bytes;
        }
        block
    }

    /// # Safety
    /// `block` came from here with so many bytes, and nobody uses it any more.
    #[inline]
    unsafe fn give_back(&mut self, block: *mut u8, bytes: usize) {
        self.used -= bytes;
        if self.is_carved(block) {
            let class = class(bytes);
            // SAFETY: it has at least 16 bytes, aligned.
            unsafe { block.cast::<*mut u8>().write(self.free[class]) };
            self.free[class] = block;
        } else {
            // SAFETY: it came from the allocator with this layout.
            unsafe { dealloc(block, layout(bytes)) };
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if !self.arena.is_null() {
            // SAFETY: it came from the allocator with this layout; the interpreter has given everything back.
            unsafe { dealloc(self.arena, layout(ARENA_BYTES)) };
        }
    }
}

/// The class of a size; from [`CLASSES`] on it is no small object.
#[inline]
fn class(bytes: usize) -> usize {
    bytes.wrapping_sub(1) / CLASS_BYTES
}

fn layout(bytes: usize) -> Layout {
    debug_assert!(bytes <= isize::MAX as usize / 2, "the bound was looked at");
    // SAFETY: the alignment is a power of two, and all sizes are bounded far below `isize::MAX`.
    unsafe { Layout::from_size_align_unchecked(bytes, ALIGN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_what_is_in_them() {
        let mut memory = Memory::new(1 << 20);
        let mut blocks: Vec<(*mut u8, usize, u8)> = Vec::new();
        let mut draw = fastrand::Rng::with_seed(7);
        for step in 0..20_000_u32 {
            let seal = step as u8;
            let size = if draw.bool() { draw.usize(1..300) } else { draw.usize(1..3000) };
            let (block, old) = match blocks.len() {
                0..100 => (ptr::null_mut(), 0),
                count => {
                    let (block, old, seal) = blocks.swap_remove(draw.usize(..count));
                    // SAFETY: it was filled with its seal.
                    let whole = unsafe { std::slice::from_raw_parts(block, old) };
                    assert!(whole.iter().all(|byte| *byte == seal));
                    (block, old)
                }
            };
            // SAFETY: each block is given back with its size.
            let moved = unsafe { memory.change(block, old, size) };
            assert!(!moved.is_null());
            // SAFETY: it has so many bytes.
            unsafe { moved.write_bytes(seal, size) };
            blocks.push((moved, size, seal));
        }
        assert_eq!(memory.used(), blocks.iter().map(|block| block.1).sum::<usize>());
        for (block, size, _) in blocks {
            // SAFETY: likewise.
            assert!(unsafe { memory.change(block, size, 0) }.is_null());
        }
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn there_is_a_bound() {
        let mut memory = Memory::new(1000);
        // SAFETY: nothing is given back that was not taken.
        unsafe {
            let block = memory.change(ptr::null_mut(), 0, 900);
            assert!(!block.is_null());
            assert!(memory.change(ptr::null_mut(), 0, 101).is_null());
            assert!(memory.change(block, 900, 1001).is_null());
            assert_eq!(memory.used(), 900);
            assert!(memory.change(block, 900, 0).is_null());
        }
    }
}
