//! A ring of provided buffers: memory that the kernel picks from when replies arrive, whichever connection they are of.

#![allow(unsafe_code)]

use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// The buffers of one thread and the ring through which the kernel gets them.
#[derive(Debug)]
pub(super) struct BufferRing {
    entries: *mut BufRingEntry,
    entries_layout: Layout,
    memory: *mut u8,
    memory_layout: Layout,
    count: u16,
    buffer_bytes: u32,
    tail: u16,
    leaked: bool,
}

impl BufferRing {
    /// The id of the only group of buffers.
    pub(super) const GROUP: u16 = 0;

    /// Allocates `count` (a power of two) buffers of `buffer_bytes` and registers them.
    pub(super) fn register(ring: &IoUring, count: u16, buffer_bytes: u32) -> io::Result<Self> {
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
            leaked: false,
        };
        // SAFETY: the entries live until `Drop`, which comes after the ring is gone: `Ring` declares it first.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries as u64, count, Self::GROUP, 0)? };
        for id in 0..count {
            this.give_back(id);
        }
        Ok(this)
    }

    /// What the kernel wrote into buffer `id`.
    pub(super) fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(
            id < self.count && len <= self.buffer_bytes as usize,
            "the kernel names only buffers that it was given"
        );
        // SAFETY: the range lies inside the allocation, was zeroed at first, and the kernel does not write to a buffer
        // between the completion that names it and `give_back`.
        unsafe { std::slice::from_raw_parts(self.memory.add(usize::from(id) * self.buffer_bytes as usize), len) }
    }

    /// Lets the kernel use buffer `id` again. The caller holds no reference to its bytes any more.
    pub(super) fn give_back(&mut self, id: u16) {
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

    /// Keeps the memory for ever, because the kernel may still write to it.
    pub(super) fn leak(&mut self) {
        self.leaked = true;
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        if self.leaked {
            return;
        }
        // SAFETY: allocated in `register` with these layouts.
        unsafe {
            dealloc(self.entries.cast(), self.entries_layout);
            dealloc(self.memory, self.memory_layout);
        }
    }
}
