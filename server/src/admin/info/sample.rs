//! What a core tells of itself when it is asked: copies of its counters.
//!
//! Taking a sample costs the same whatever the core holds. What is known of commands takes more, and is told only if it is
//! wanted.

use super::commands::Details;
use crate::reactor::Wait;
use crate::state::State;
use crate::statistics::Statistics;
use crate::sys;
use ringkey_core::keyspace::DatabaseFigures;
use ringkey_core::keyspace::shard::Stats;
use ringkey_core::observe::{CommandReport, PathReport};
use ringkey_core::resp::ErrorCounts;
use ringkey_core::units::Millis;
use std::time::Duration;

/// The counters of one core.
pub struct Sample {
    /// What the process counts.
    pub statistics: Statistics,
    /// What the shard counts.
    pub stats: Stats,
    /// What is known of commands.
    pub commands: Vec<CommandReport>,
    /// What is known of the ways of requests.
    pub paths: Vec<PathReport>,
    /// Clients that wait until something lets them go on.
    pub blocked: usize,
    /// Those of them that do not wait for ever.
    pub deadlines: usize,
    /// Keys for which somebody waits.
    pub blocking_keys: usize,
    /// Keys of which somebody who waits has to hear if they are gone.
    pub minded_keys: usize,
    /// Clients who listen to channels.
    pub listening: usize,
    /// Clients who watch keys.
    pub watching: usize,
    /// Clients that are to hear of stale keys.
    pub tracking: usize,
    /// Keys remembered for them, and for how many each.
    pub tracked: (usize, usize),
    /// Prefixes that they follow, on whatever cores they are.
    pub prefixes: usize,
    /// Keys that somebody watches.
    pub watched_keys: usize,
    /// Sessions, the asker included.
    pub sessions: usize,
    /// The sums over them.
    pub clients: Clients,
    /// What the core waits for, as things are.
    pub wait: Wait,
    /// Clients that did something a moment ago.
    pub active: usize,
    /// Requests a second, as the core plans its waiting by them.
    pub arrivals: u64,
    /// Changes of the data.
    pub changes: u64,
    /// Errors by their first word.
    pub errors: ErrorCounts,
    /// Jobs that had to wait for a lock, ever.
    pub lock_waits: u64,
    /// Those that wait now.
    pub waiting: usize,
    /// Letters that found no room in a ring and wait for it.
    pub overflow: usize,
    /// Sessions that may go on with what they have sent.
    pub ready: usize,
    /// Memory allocated and not freed by the core's thread, in bytes; negative if it freed what others allocated.
    pub memory: i64,
    /// CPU time of its thread: user and system.
    pub cpu: (Duration, Duration),
    /// Who supervises the process, as core 0 knows it.
    pub supervisor: &'static str,
    /// When it began.
    pub started: Millis,
    /// Entries of flushed databases that are still to be freed.
    pub to_be_freed: usize,
    /// The databases that are in use, or were.
    pub databases: Vec<DatabaseFigures>,
}

/// Sums over the sessions of a core.
#[derive(Clone, Copy, Default)]
pub struct Clients {
    /// The largest input held for one, in bytes.
    pub largest_query: usize,
    /// The most that is owed to one, in bytes.
    pub largest_output: usize,
    /// The memory of all, in bytes.
    pub bytes: usize,
}

/// Memory that an expiry time takes in an entry, in bytes.
const EXPIRY_BYTES: usize = size_of::<i64>();

/// Memory of the expiry times of a database, which stand in the entries, in bytes.
pub fn expiry_bytes(database: &DatabaseFigures) -> usize {
    database.volatile * EXPIRY_BYTES
}

impl Sample {
    /// The counters of this core.
    pub fn take(state: &State, details: Details) -> Self {
        let shard = &state.site.shard;
        Self {
            statistics: state.statistics,
            stats: shard.stats,
            // The asker itself may be away from the table while it is served.
            sessions: state.session_count(),
            commands: match details.commands || details.durations {
                true => state.site.watch.report(details.durations),
                false => Vec::new(),
            },
            paths: if details.paths { state.paths.report() } else { Vec::new() },
            blocked: state.paused.count + state.blocked.len(),
            deadlines: state.deadlines.len(),
            blocking_keys: shard.waiting.keys(),
            minded_keys: shard.waiting.minded_keys(),
            listening: state.pubsub.clients,
            watching: state.watching,
            watched_keys: shard.watched.keys(),
            tracking: state.tracking.clients.len(),
            tracked: (shard.tracked.keys(), shard.tracked.items()),
            prefixes: state.tracking.prefixes.len(),
            clients: Clients::of(state),
            wait: state.batch_wait.wait(Duration::ZERO),
            active: state.batch_wait.active(),
            arrivals: state.batch_wait.rate(),
            changes: state.site.changes,
            errors: state.site.errors.clone(),
            lock_waits: state.site.lock_waits,
            waiting: state.site.waiting(),
            overflow: state.mesh.overflow(),
            ready: state.ready.len(),
            memory: state.memory.map_or(0, |memory| memory.balance()),
            cpu: sys::cpu_time(sys::Whose::Thread),
            supervisor: state.keeper.supervisor(),
            started: state.started,
            to_be_freed: shard.waiting_to_be_freed(),
            databases: shard.figures(),
        }
    }

    /// Has the core any key?
    pub fn has_keys(&self) -> bool {
        self.databases.iter().any(|database| database.keys > 0)
    }
}

impl Clients {
    fn of(state: &State) -> Self {
        let (largest_query, largest_output) = state.census.largest_buffers();
        Self { largest_query, largest_output, bytes: state.census.total() }
    }
}
