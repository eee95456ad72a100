//! How much memory is used: the allocator counts it, thread by thread.
//!
//! jemalloc keeps exact counters of what each thread has allocated and freed. A core reads its own; what moved between
//! cores is negative on one and positive on the other, and the sum is right.

use tikv_jemalloc_ctl::{background_thread, epoch, max_background_threads, stats, thread};

/// Counters of the calling thread.
#[derive(Clone, Copy)]
pub struct ThreadMemory {
    allocated: thread::ThreadLocal<u64>,
    freed: thread::ThreadLocal<u64>,
}

impl ThreadMemory {
    /// The counters of this thread; `None` where another allocator runs (under a checker).
    pub fn of_this_thread() -> Option<Self> {
        let allocated = thread::allocatedp::read().ok()?;
        let freed = thread::deallocatedp::read().ok()?;
        Some(Self { allocated, freed })
    }

    /// Bytes allocated and not freed by this thread; negative if it freed what others allocated.
    pub fn balance(&self) -> i64 {
        self.allocated.get() as i64 - self.freed.get() as i64
    }
}

/// What the allocator holds, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocatorView {
    /// Allocated by the program.
    pub allocated: usize,
    /// In active pages.
    pub active: usize,
    /// In physical memory.
    pub resident: usize,
}

/// Asks the allocator.
pub fn allocator() -> AllocatorView {
    // Counters are only brought up to date when the epoch advances.
    if epoch::advance().is_err() {
        return AllocatorView::default();
    }
    AllocatorView {
        allocated: stats::allocated::read().unwrap_or(0),
        active: stats::active::read().unwrap_or(0),
        resident: stats::resident::read().unwrap_or(0),
    }
}

/// Has a thread of the allocator give unused memory back to the system, or the cores themselves whenever they free something,
/// which can take them milliseconds. The thread runs on the processors of the caller.
pub fn purge_in_background(yes: bool) {
    let done = max_background_threads::write(1).and_then(|()| background_thread::write(yes));
    if done.is_err() && yes {
        log::warn!("The allocator has no background thread: giving memory back may delay commands by milliseconds");
    }
}

/// Resident memory of the process in bytes.
pub fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// Physical memory of the machine in bytes.
pub fn machine() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
