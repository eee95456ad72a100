//! Active expiry: keys and fields of hashes whose time is past leave in budgeted slices, without anyone asking for them.
//!
//! A sweep walks the segments in order of number and opens only those whose hint says that something is due, so a
//! sweep over keys that are not due costs a look at each header, and nothing at all while the database's own hint
//! lies ahead. Hints may be too early, never too late.

use super::database::Database;
use super::dict::{Dict, NEVER};
use super::entry::EntryRef;
use crate::units::Millis;

/// So many segment headers cost about as much as one entry.
const HEADERS_PER_ENTRY: usize = 8;

/// How far the sweep of a database has come.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// The number of the next segment; zero between two sweeps.
    segment: u32,
    /// No key of the segments passed so far expires earlier.
    earliest: Millis,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { segment: 0, earliest: NEVER }
    }
}

/// Is there more to do at once?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing is due.
    Done,
    /// The budget ran out first.
    More,
}

/// What leaves because its time is past, seen before it goes.
#[derive(Clone, Copy, Debug)]
pub enum Expired<'a> {
    /// A key.
    Key(EntryRef<'a>),
    /// A field of a hash.
    Field {
        /// The key of the hash.
        key: &'a [u8],
        /// The field.
        field: &'a [u8],
    },
    /// The key of a hash of which no field is left.
    Emptied(EntryRef<'a>),
}

/// Removes expired keys and fields until nothing is due or about `budget_entries` of them were looked at. `expired` sees
/// each before it goes.
pub fn expire_some(
    database: &mut Database,
    now: Millis,
    budget_entries: usize,
    expired: &mut dyn FnMut(Expired<'_>),
) -> Progress {
    let Database { dict, sweep } = database;
    sweep_some(dict, sweep, now, budget_entries, expired)
}

/// The same for a table of keys, or of elements.
pub(super) fn sweep_some<const SEGMENTS: usize>(
    dict: &mut Dict<SEGMENTS>,
    sweep: &mut Sweep,
    now: Millis,
    budget_entries: usize,
    expired: &mut dyn FnMut(Expired<'_>),
) -> Progress {
    if sweep.segment == 0 {
        if dict.earliest >= now {
            return Progress::Done;
        }
        dict.earliest_changed = NEVER;
        sweep.earliest = NEVER;
    }
    let (mut entries, mut headers) = (0, 0);
    while entries + headers / HEADERS_PER_ENTRY < budget_entries {
        if sweep.segment >= dict.segment_bound() {
            dict.earliest = sweep.earliest.min(dict.earliest_changed);
            *sweep = Sweep::default();
            // A segment that is due may have taken a number that the sweep had passed.
            return if dict.earliest < now { Progress::More } else { Progress::Done };
        }
        if dict.segment(sweep.segment).earliest < now {
            let budget = budget_entries.saturating_sub(entries).max(1);
            entries += dict.expire_segment(sweep.segment, now, budget, expired);
        }
        headers += 1;
        if sweep.segment < dict.segment_bound() {
            if dict.segment(sweep.segment).earliest < now {
                // Another segment joined it or took its number, or fields are left.
                continue;
            }
            sweep.earliest = sweep.earliest.min(dict.segment(sweep.segment).earliest);
        }
        sweep.segment += 1;
    }
    Progress::More
}
