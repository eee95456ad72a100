//! How much memory is used: the allocator counts it, thread by thread.
//!
//! jemalloc keeps exact counters of what each thread has allocated and freed. A core reads its own; what moved between
//! cores is negative on one and positive on the other, and the sum is right.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicI64, Ordering};
use tikv_jemalloc_ctl::{background_thread, epoch, max_background_threads, raw, stats, stats_print, thread};

/// The allocator, as INFO names it.
pub const NAME: &str = "jemalloc-5.3.0";

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

/// What the thread that writes the log has allocated and not freed: it frees what cores allocated.
static BY_LOG: AtomicI64 = AtomicI64::new(0);

/// Notes the balance of the thread that writes the log.
pub fn note_log(balance: i64) {
    BY_LOG.store(balance, Ordering::Relaxed);
}

/// Bytes allocated and not freed by the thread that writes the log; negative where cores allocated them.
pub fn by_log() -> i64 {
    BY_LOG.load(Ordering::Relaxed)
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
    /// Offered to the system, which has not taken it yet.
    pub muzzy: usize,
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
        muzzy: match (number("stats.arenas.4096.pmuzzy"), number("arenas.page")) {
            (Some(pages), Some(page)) => (pages * page) as usize,
            _ => 0,
        },
    }
}

/// A number that the allocator shows by this name, whatever its size is there; 0 or 1 for what is on or off.
pub fn number(name: &str) -> Option<u64> {
    let name = with_end(name);
    // SAFETY: any bytes are a valid number, and the allocator refuses a read of another size than the value has.
    let number = unsafe {
        raw::read::<u64>(&name)
            .or_else(|_| raw::read::<u32>(&name).map(u64::from))
            .or_else(|_| raw::read::<u8>(&name).map(u64::from))
    };
    number.ok()
}

/// Texts that the allocator shows; asked for as a text, any other name would be an address that is none.
const TEXTS: &[&str] = &[
    "version",
    "config.malloc_conf",
    "opt.dss",
    "opt.metadata_thp",
    "opt.percpu_arena",
    "opt.thp",
    "opt.zero_realloc",
    "opt.junk",
    "arena.0.dss",
];

/// A text that the allocator shows by this name.
pub fn text(name: &str) -> Option<String> {
    let name = TEXTS.iter().find(|known| **known == name)?;
    // SAFETY: these names are texts that live as long as the process and end in a zero byte.
    let text = unsafe { raw::read_str(&with_end(name)) }.ok()?;
    Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
}

/// Numbers of the allocator that may be set, all of them times in milliseconds after which unused memory is given back.
const CHANGEABLE: &[&str] = &["arenas.dirty_decay_ms", "arenas.muzzy_decay_ms"];

/// Sets a number of the allocator.
///
/// # Errors
/// It has no such number, or it is not to be set.
pub fn set_number(name: &str, value: i64) -> Result<(), &'static str> {
    if name == "epoch" {
        return epoch::advance().map(|_| ()).map_err(|_| "Operation not permitted");
    }
    if !CHANGEABLE.contains(&name) {
        return Err("Operation not permitted");
    }
    // SAFETY: these names are signed numbers of this size, and the allocator refuses values that make no sense.
    unsafe { raw::write::<isize>(&with_end(name), value as isize) }.map_err(|_| "Invalid argument")
}

fn with_end(name: &str) -> Vec<u8> {
    // A zero byte within would end the name there.
    let name = name.split('\0').next().unwrap_or("");
    [name.as_bytes(), &[0]].concat()
}

/// All that the allocator counts, as text for people.
pub fn report() -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = stats_print::stats_print(&mut text, stats_print::Options::default());
    text
}

/// Gives unused memory of all cores back to the system; this may take long.
pub fn purge() {
    // SAFETY: the name ends in a zero byte, and this one neither takes nor gives a value. 4096 means all arenas.
    unsafe {
        tikv_jemalloc_sys::mallctl(
            c"arena.4096.purge".as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_answers_by_name() {
        assert_eq!(number("arenas.page"), Some(4096));
        assert_eq!(number("config.stats"), Some(1));
        assert_eq!((number("no.such.name"), number(""), number("a\0b")), (None, None, None));
        assert!(text("version").is_some_and(|version| version.starts_with("5.")));
        assert_eq!(text("arenas.page"), None);
        assert_eq!(set_number("epoch", 1), Ok(()));
        assert!(set_number("arena.0.extent_hooks", 1).is_err());
        assert!(set_number("arenas.dirty_decay_ms", -7).is_err());
        assert!(String::from_utf8_lossy(&report()).contains("jemalloc statistics"));
        purge();
    }
}
