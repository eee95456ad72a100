//! Client-side caching: what clients have asked for, and how they hear that their copies are stale.
//!
//! A shard remembers who has read its keys ([`ringkey_core::keyspace::tracked`]); prefixes are known to all cores. At the end of a
//! pass what has become stale goes to the cores of those who are to hear of it ([`deliver`]), before the replies
//! of the pass do.

pub mod deliver;
pub mod limit;
pub mod setup;

use deliver::{Late, News};
use ringkey_core::command::Command;
use ringkey_core::keyspace::tracked::Prefixes;
use ringkey_core::units::ShardId;
use std::collections::{BTreeSet, HashMap, HashSet};

/// CLIENT CACHING.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Caching {
    /// Not called.
    #[default]
    No,
    /// It is about the next command.
    Next,
    /// It is about the command under way.
    Now,
}

/// Which keys a client keeps copies of.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Mode {
    /// Those that it reads.
    #[default]
    All,
    /// Those that the command behind CLIENT CACHING YES reads.
    OptIn,
    /// Those that it reads, unless CLIENT CACHING NO came before.
    OptOut,
    /// Whatever has one of its prefixes.
    Broadcast,
}

/// The client to which another one has its invalidations sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// Its id.
    pub id: u64,
    /// Its core.
    pub core: ShardId,
}

/// A client of another core that redirects its invalidations to one of this core's clients. Shards tell this core of what it has read, not
/// its own: whoever knows of a change and asks the target then finds it informed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StandIn {
    /// The client that redirects.
    pub client: u64,
    /// Its core.
    pub core: ShardId,
    /// Does it follow prefixes?
    pub is_broadcast: bool,
    /// Does it not want to hear of what it has changed itself?
    pub no_loop: bool,
    /// The client that is to hear; none: it redirects to nobody here any more, but shards may know of what it read while it did.
    pub target: Option<u64>,
}

/// What one client has asked for (CLIENT TRACKING).
#[derive(Clone, Default, Debug)]
pub struct Tracking {
    /// Which keys it is about.
    pub mode: Mode,
    /// Does it not want to hear of what it has changed itself?
    pub no_loop: bool,
    /// Who is to hear in its place.
    pub redirect: Option<Redirect>,
    /// Was that one found gone?
    pub is_broken: bool,
    /// CLIENT CACHING.
    pub caching: Caching,
    /// Its prefixes.
    pub prefixes: BTreeSet<Vec<u8>>,
}

impl Tracking {
    /// The core that is to be told of what the client has read, which is one of core `me`.
    pub fn hearer(&self, me: ShardId) -> ShardId {
        self.redirect.map_or(me, |redirect| redirect.core)
    }

    /// Does what it reads depend on CLIENT CACHING?
    pub fn picks(&self) -> bool {
        matches!(self.mode, Mode::OptIn | Mode::OptOut)
    }

    /// Is what the command under way reads to be remembered?
    pub fn remembers(&self) -> bool {
        match self.mode {
            Mode::All => true,
            Mode::OptIn => self.caching != Caching::No,
            Mode::OptOut => self.caching == Caching::No,
            Mode::Broadcast => false,
        }
    }

    /// The next command begins; it is one of this row, if there is such a row. CLIENT and its subcommands do not count.
    pub fn begin(&mut self, row: Option<&'static Command>) {
        if row.is_some_and(|row| row.name == "client" || row.name.starts_with("client|")) {
            return;
        }
        self.caching = match self.caching {
            Caching::Next => Caching::Now,
            Caching::No | Caching::Now => Caching::No,
        };
    }

    /// The command was not carried out and begins again later.
    pub fn begin_again(&mut self) {
        if self.caching == Caching::Now {
            self.caching = Caching::Next;
        }
    }

    /// Memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.prefixes.iter().map(|prefix| prefix.len() + size_of::<Vec<u8>>()).sum::<usize>()
    }
}

/// What one core knows of the clients that keep copies.
#[derive(Default)]
pub struct Trackings {
    /// Its clients that do, by id, and their places in the table of sessions.
    pub clients: HashMap<u64, u32>,
    /// Its clients that were asked for as redirections, in the same way.
    targets: HashMap<u64, u32>,
    /// Clients of other cores that redirect to these, by their ids.
    stand_ins: HashMap<u64, StandIn>,
    /// This core's clients of which another one may have such a note.
    noted_elsewhere: HashSet<u64>,
    /// The prefixes that clients of all cores follow.
    pub prefixes: Prefixes,
    /// What is to be told once a reply under way is complete.
    late: HashMap<u32, Late>,
    /// News of this core's shard for its own clients, until the end of the pass.
    own_news: Vec<Box<News>>,
    /// The keys in the table of this core's shard that are counted in the sum of all cores.
    counted: i64,
    /// Are there more keys than there may be?
    pub is_over: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringkey_core::command::table;

    #[test]
    fn caching_is_about_the_next_command() {
        let row = |name: &[u8]| table::lookup(name);
        for (mode, before) in [(Mode::OptIn, false), (Mode::OptOut, true), (Mode::All, true), (Mode::Broadcast, false)]
        {
            let mut tracking = Tracking { mode, ..Tracking::default() };
            tracking.begin(row(b"get"));
            assert_eq!(tracking.remembers(), before, "{mode:?}");
            if !tracking.picks() {
                continue;
            }
            tracking.caching = Caching::Next;
            tracking.begin(row(b"client"));
            assert_eq!(tracking.caching, Caching::Next, "CLIENT does not count");
            for (again, expected) in [(true, !before), (false, !before)] {
                tracking.begin(row(b"get"));
                assert_eq!(tracking.remembers(), expected, "{mode:?}");
                if again {
                    tracking.begin_again();
                }
            }
            tracking.begin(None);
            assert_eq!(tracking.remembers(), before, "{mode:?}");
        }
    }
}
