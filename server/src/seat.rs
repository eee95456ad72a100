//! What a core knows of the cluster: the node, what of it is served, and how it is shown. Here every command that names
//! keys is measured against it before it runs.
//!
//! The common case costs one flag: where every slot is served ([`State::serves_all`]), a key that lives on this core
//! needs no further look, on whatever port its client is.

use crate::session::Session;
use crate::state::State;
use ringkey_cluster::node::{Serving, Use};
use ringkey_cluster::{Announced, Node, View, Viewer};
use ringkey_core::command::{Admin, Command, Flags, Run};
use ringkey_core::keyspace::slot::{KeyHash, slot_of};
use ringkey_core::resp::{Args, CommandError};
use ringkey_core::settings::Settings;
use ringkey_core::units::Slot;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a core knows of the cluster.
pub struct Seat {
    /// The node.
    pub node: Arc<Node>,
    /// How it is reached.
    pub announced: Announced,
    /// What of it is served.
    pub serving: Serving,
}

impl Seat {
    /// The seat of one of so many cores.
    pub fn new(node: Arc<Node>, settings: &Settings, cores: u16) -> Self {
        Self { node, announced: Announced::new(settings, cores), serving: Serving::new(settings) }
    }
}

impl State {
    /// Takes part in a cluster from now on, or goes on as another node.
    pub fn take_seat(&mut self, node: Arc<Node>) {
        let before = self.seat.take().map(|seat| seat.node);
        self.serves_all = node.slots.is_full();
        self.straighten_flags();
        // It is the same node where only settings have changed: there are channels without number to be looked at.
        if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, &node)) {
            self.leave_channels(|slot| before.slots.contains(slot) && !node.slots.contains(slot));
        }
        self.seat = Some(Box::new(Seat::new(node, &self.settings, self.map.shards())));
        self.straighten_flags();
    }

    /// Follows settings that may have changed.
    pub fn straighten_seat(&mut self) {
        if let Some(seat) = &self.seat {
            let node = Arc::clone(&seat.node);
            self.take_seat(node);
        }
    }

    /// The seat, for commands that need one.
    ///
    /// # Errors
    /// This is no node of a cluster.
    pub fn seat(&self) -> Result<&Seat, CommandError> {
        self.seat.as_deref().ok_or(CommandError::text("This instance has cluster support disabled"))
    }

    /// The cluster as a session sees it.
    pub fn view<'a>(&'a self, seat: &'a Seat, session: &Session) -> View<'a> {
        let local = session.facts.ends.local.parse::<SocketAddr>().ok().map(|address| address.ip());
        let viewer = Viewer { core: session.on_core_port.then_some(self.me), local };
        View { node: &seat.node, map: self.map, announced: &seat.announced, viewer }
    }

    /// In a cluster, the keys of a command, or its shard channels, are of one slot, which is served, and on a core's port the slot is
    /// that core's.
    ///
    /// # Errors
    /// `CROSSSLOT`, `CLUSTERDOWN` or `MOVED`.
    pub fn check_slots(
        &self,
        session: &Session,
        row: &Command,
        key: Option<(u32, KeyHash)>,
        args: &Args<'_>,
    ) -> Result<(), CommandError> {
        let Some(seat) = self.seat.as_deref() else { return Ok(()) };
        let makes = match row.run {
            Run::OnShard(_) if row.flags.has(Flags::WRITE) => Use::Write,
            Run::OnShard(_) => Use::Read,
            Run::Admin(Admin::SPublish | Admin::SSubscribe | Admin::SUnsubscribe) => Use::Channel,
            _ => return Ok(()),
        };
        let slot = match key {
            Some((_, hash)) => Some(hash.slot),
            None => common_slot(row, args)?,
        };
        let Some(slot) = slot else { return Ok(()) };
        if !self.serves_all {
            seat.node.admit(slot, makes, seat.serving)?;
        }
        if session.on_core_port && self.map.shard_of(slot) != self.me {
            return Err(self.view(seat, session).moved(slot));
        }
        Ok(())
    }
}

/// The slot of all keys of a call, or of its shard channels, if it has any.
fn common_slot(row: &Command, args: &Args<'_>) -> Result<Option<Slot>, CommandError> {
    let (mut slot, mut several) = (None, false);
    let fits = row.visit_slots(args, |index| {
        let here = slot_of(args.get(index));
        several |= slot.is_some_and(|known| known != here);
        slot = Some(here);
    });
    match () {
        // The handler says what is wrong with the words.
        () if !fits => Ok(None),
        () if several => Err(CommandError::CrossSlot),
        () => Ok(slot),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringkey_core::command::table;
    use ringkey_core::resp::Request;

    fn slot(call: &str) -> Result<Option<Slot>, CommandError> {
        let request = Request::new(call.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        let args = request.args();
        common_slot(table::lookup(args.get(0)).unwrap(), &args)
    }

    #[test]
    fn keys_of_a_command_are_of_one_slot() {
        assert_eq!(slot("get foo"), Ok(Some(Slot(12_182))));
        assert_eq!(slot("mget foo {foo}2 foo"), Ok(Some(Slot(12_182))));
        assert_eq!(slot("mset foo 1 bar 2"), Err(CommandError::CrossSlot));
        assert_eq!(slot("mset foo bar {foo}2 baz"), Ok(Some(Slot(12_182))), "values have no slot");
        assert_eq!(slot("copy foo bar db 1"), Err(CommandError::CrossSlot));
        assert_eq!(slot("dbsize"), Ok(None));
        assert_eq!(slot("ssubscribe foo {foo}2"), Ok(Some(Slot(12_182))));
        assert_eq!(slot("ssubscribe foo bar"), Err(CommandError::CrossSlot));
        assert_eq!(slot("sunsubscribe"), Ok(None));
    }
}
