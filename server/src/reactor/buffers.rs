//! A ring of provided buffers: memory that the kernel picks from when bytes arrive, so that an idle connection holds
//! none.

#![allow(unsafe_code)]

use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// The buffers of one core and the ring through which the kernel gets them.
pub struct BufferRing {
    entries: *mut BufRingEntry,
    entries_layout: Layout,
    memory: *mut u8,
    memory_layout: Layout,
    count: u16,
    buffer_bytes: u32,
    tail: u16,
    /// Buffers that nobody has needed yet. The kernel takes buffers in turn, so the fewer go round, the more of them
    /// are still in the caches.
    spare: Vec<u16>,
}

/// So many buffers go round at first.
const COUNT_AT_FIRST: u16 = 64;

impl BufferRing {
    /// The id of the only group of buffers.
    pub const GROUP: u16 = 0;

    /// Allocates `count` (a power of two) buffers of `buffer_bytes` and registers them.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn register(ring: &IoUring, count: u16, buffer_bytes: u32) -> io::Result<Self> {
        assert!(count.is_power_of_two(), "the kernel takes positions modulo the count by a mask");
        let layout = |bytes: usize| Layout::from_size_align(bytes, 4096).expect("a small multiple of the page size");
        let entries_layout = layout(usize::from(count) * size_of::<BufRingEntry>());
        let memory_layout = layout(usize::from(count) * buffer_bytes as usize);
        // SAFETY: both layouts have a size above zero.
        let (entries, memory) = unsafe { (alloc_zeroed(entries_layout), alloc_zeroed(memory_layout)) };
        if entries.is_null() || memory.is_null() {
            handle_alloc_error(memory_layout);
        }
        let mut this = Self {
            entries: entries.cast(),
            entries_layout,
            memory,
            memory_layout,
            count,
            buffer_bytes,
            tail: 0,
            spare: (0..count).rev().collect(),
        };
        // SAFETY: the entries live until `Drop`, which comes after the ring is gone: `Ring` declares it first.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries as u64, count, Self::GROUP, 0)? };
        this.add(COUNT_AT_FIRST);
        Ok(this)
    }

    /// The kernel has run out of buffers: from now on twice as many go round, as long as there are more.
    pub fn grow(&mut self) {
        self.add(self.count - self.spare.len() as u16);
    }

    fn add(&mut self, count: u16) {
        for _ in 0..count {
            let Some(id) = self.spare.pop() else { return };
            self.give_back(id);
        }
    }

    /// What the kernel wrote into buffer `id`.
    pub fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(
            id < self.count && len <= self.buffer_bytes as usize,
            "the kernel names only buffers that it was given"
        );
        // SAFETY: the range lies inside the allocation, was zeroed at first, and the kernel does not write to a buffer
        // between the completion that names it and `give_back`.
        unsafe { std::slice::from_raw_parts(self.memory.add(usize::from(id) * self.buffer_bytes as usize), len) }
    }

    /// Lets the kernel use buffer `id` again. The caller holds no reference to its bytes any more.
    pub fn give_back(&mut self, id: u16) {
        assert!(id < self.count, "only buffers of this ring come back");
        // SAFETY: the index is below the count of entries, which this type owns; the kernel reads an entry only after
        // the tail has moved past it. The tail lies in the first entry's reserved field, hence no reference to a whole
        // entry is made; it is written atomically because the kernel reads it at any time.
        unsafe {
            let entry = &mut *self.entries.add(usize::from(self.tail & (self.count - 1)));
            entry.set_addr(self.memory.add(usize::from(id) * self.buffer_bytes as usize) as u64);
            entry.set_len(self.buffer_bytes);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.entries).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// The size of all buffers in bytes.
    pub fn total_bytes(&self) -> usize {
        self.memory_layout.size() + self.entries_layout.size()
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with these layouts.
        unsafe {
            dealloc(self.entries.cast(), self.entries_layout);
            dealloc(self.memory, self.memory_layout);
        }
    }
}
