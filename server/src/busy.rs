//! Who holds shards for long: scripts that run for longer than `busy-reply-threshold`. Clients that need what one holds are
//! answered BUSY instead of waiting; all others are served.

use crate::mailbox::mesh::Hold;
use crate::script::{Nature, registry};
use crate::session::Session;
use crate::state::State;
use ringkey_core::command::{Admin, Command, Flags, Run, Spread};
use ringkey_core::keyspace::slot::KeyHash;
use ringkey_core::resp::{Args, CommandError};
use ringkey_core::txn::locks::Owner;
use ringkey_core::units::{Millis, ShardId};

/// What a core knows of scripts that hold shards.
#[derive(Debug, Default)]
pub struct Holds {
    /// Is anything held for long, anywhere?
    pub any: bool,
    /// Since when a script has had the data of all shards here.
    pub everything_since: Option<Millis>,
    /// Since when one has had keys of several shards here, and the owner of their locks.
    pub keys_since: Option<(Millis, Owner)>,
    told: Hold,
    /// What each core has told.
    of: Vec<Hold>,
}

impl State {
    /// Tells the others what a script holds here, and hears what scripts hold elsewhere. Once a pass.
    pub fn check_holds(&mut self) {
        if !self.site.has_slow() {
            self.holds.told_nothing_slow(self.later.is_empty() && self.debugged.is_none());
        }
        let mine = self.hold();
        let cores = self.mesh.cores();
        if mine != self.holds.told {
            self.holds.told = mine;
            cores.tell_hold(self.me.index(), mine, self.holds.keys_since.map_or(0, |(_, owner)| owner.0));
        }
        let any = cores.holds() > 0;
        if any {
            self.holds.of = (0..cores.count()).map(|core| cores.hold(core)).collect();
            if self.site.waiting() > 0 {
                self.turn_away(mine);
            }
        }
        if any != self.holds.any {
            self.holds.any = any;
            self.straighten_flags();
        }
    }

    /// Those who wait here for the shard began to before it was known that a script holds it.
    fn turn_away(&mut self, mine: Hold) {
        let mut done = std::mem::take(&mut self.done);
        if mine == Hold::Shard || self.holds.of.contains(&Hold::Everything) {
            self.site.turn_away(self.now, None, &busy(), &mut done);
        }
        for core in 0..self.holds.of.len() {
            if self.holds.of[core] == Hold::Keys {
                let owner = Owner(self.mesh.cores().hold_owner(core));
                self.site.turn_away(self.now, Some(owner), &busy(), &mut done);
            }
        }
        self.send_done(done);
    }

    /// What a script has held here for too long.
    fn hold(&self) -> Hold {
        let threshold = self.tuning.busy_ms;
        let is_long =
            |since: Option<Millis>| threshold > 0 && since.is_some_and(|since| self.now.0 - since.0 >= threshold);
        if is_long(self.holds.everything_since) {
            return Hold::Everything;
        }
        match is_long(self.site.slow_since()) {
            true if self.map.shards() == 1 => Hold::Everything,
            true => Hold::Shard,
            false if is_long(self.holds.keys_since.map(|(since, _)| since)) => Hold::Keys,
            false => Hold::Nothing,
        }
    }

    /// Why a command cannot be carried out now, if a script holds what it needs.
    #[cold]
    pub fn check_held(
        &self,
        session: &Session,
        row: &Command,
        key: Option<(u32, KeyHash)>,
        args: &Args<'_>,
    ) -> Result<(), CommandError> {
        let of = &self.holds.of;
        let is_held = |shard: ShardId| of.get(shard.index()) == Some(&Hold::Shard);
        let everything = of.contains(&Hold::Everything) || of.iter().all(|hold| *hold == Hold::Shard);
        let needs_all = || {
            let of_all = matches!(row.spread, Spread::EveryShard { .. })
                || matches!(row.run, Run::Admin(Admin::RandomKey | Admin::Scan | Admin::SwapDb));
            of_all && !session.on_core_port
                || self.needs_every_shard(row, args)
                || self.nature_of(row, args) == Nature::Roving
        };
        let is_refused = !row.flags.has(Flags::ALLOW_BUSY)
            && match key {
                _ if everything => true,
                Some((_, hash)) => is_held(self.map.shard_of(hash.slot)),
                None if needs_all() => true,
                None => {
                    let mut any = false;
                    row.visit_keys(args, |index, _| any |= is_held(self.shard_of_key(args.get(index))));
                    any
                }
            };
        match is_refused {
            true => Err(busy()),
            false => Ok(()),
        }
    }
}

fn busy() -> CommandError {
    registry::with(|registry| registry::busy(registry.running().iter().any(|running| running.is_function)))
}

impl Holds {
    fn told_nothing_slow(&mut self, is_idle: bool) {
        if is_idle {
            (self.everything_since, self.keys_since) = (None, None);
        }
    }
}
