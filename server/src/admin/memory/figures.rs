//! What memory is used for, in numbers: INFO, MEMORY STATS and MEMORY DOCTOR say the same.

use crate::admin::info::{Sample, expiry_bytes};
use crate::memory::{self, AllocatorView};
use crate::state::State;

/// What memory is used for, in bytes.
pub struct Figures {
    /// All that the program has allocated.
    pub used: u64,
    /// The most that was ever seen.
    pub peak: u64,
    /// Used when the server had started.
    pub startup: u64,
    /// What the machine gives to the process.
    pub resident: u64,
    /// What the allocator counts.
    pub allocator: AllocatorView,
    /// For clients.
    pub clients: u64,
    /// How many there are.
    pub client_count: u64,
    /// For the tables of keys.
    pub tables: u64,
    /// For expiry times, within entries.
    pub expiries: u64,
    /// For scripts in the cache.
    pub scripts: u64,
    /// For libraries of functions.
    pub functions: u64,
    /// All that is not data.
    pub overhead: u64,
    /// The rest.
    pub dataset: u64,
    /// All keys.
    pub keys: u64,
}

/// A quotient; zero where there is nothing to divide by.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Figures {
    /// The figures of now.
    pub fn new(state: &State, samples: &[Sample]) -> Self {
        let allocator = memory::allocator();
        let used = used_memory(state, samples, &allocator);
        let sum = |of: fn(&Sample) -> usize| samples.iter().map(of).sum::<usize>() as u64;
        let clients = sum(|s| s.clients.bytes);
        let tables = sum(|s| s.databases.iter().map(|database| database.table_bytes).sum());
        let expiries = sum(|s| s.databases.iter().map(expiry_bytes).sum());
        let startup = state.process.startup_memory().min(used);
        let of_scripts = state.process.scripts.figures();
        let (scripts, functions) = (of_scripts.script_bytes, of_scripts.functions.bytes);
        let programs = scripts + functions + of_scripts.interpreter_bytes;
        let overhead = (startup + clients + tables + expiries + programs).min(used);
        Self {
            used,
            peak: state.process.raise_peak(used),
            startup,
            resident: memory::resident() as u64,
            allocator,
            clients,
            client_count: sum(|s| s.sessions),
            tables,
            expiries,
            scripts,
            functions,
            overhead,
            dataset: used - overhead,
            keys: sum(|s| s.databases.iter().map(|database| database.keys).sum()),
        }
    }

    /// The share of the data in what was allocated since the start, in percent.
    pub fn dataset_percent(&self) -> f64 {
        (ratio(self.dataset, self.used.saturating_sub(self.startup).max(1)) * 100.0).min(100.0)
    }

    /// What is used now of the most that was ever used, in percent.
    pub fn peak_percent(&self) -> f64 {
        ratio(self.used, self.peak) * 100.0
    }

    /// Active pages for each byte allocated, and how many bytes more that is: memory lost between allocations.
    pub fn fragmentation(&self) -> (f64, i64) {
        compare(self.allocator.active as u64, self.allocator.allocated as u64)
    }

    /// Resident memory of the allocator for each byte in active pages, and how many bytes more: what it has not given back.
    pub fn held_back(&self) -> (f64, i64) {
        compare(self.allocator.resident as u64, self.allocator.active as u64)
    }

    /// Resident memory of the process for each byte of the allocator's, and how many more: code, stacks, the kernel's rings.
    pub fn beside_allocator(&self) -> (f64, i64) {
        compare(self.resident, self.allocator.resident as u64)
    }

    /// Resident memory for each byte used, and how many bytes more.
    pub fn total_fragmentation(&self) -> (f64, i64) {
        compare(self.resident, self.used)
    }
}

fn compare(more: u64, less: u64) -> (f64, i64) {
    (ratio(more, less), more as i64 - less as i64)
}

/// What the cores have allocated, and what the rest of the process holds.
fn used_memory(state: &State, samples: &[Sample], allocator: &AllocatorView) -> u64 {
    let counted = samples.iter().map(|sample| sample.memory).sum::<i64>() + state.process.main_memory();
    if counted > 0 { counted as u64 } else { allocator.allocated as u64 }
}
