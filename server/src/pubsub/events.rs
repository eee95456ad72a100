//! Keyspace events become messages: on the channel of the key what has happened, on the channel of what has happened the key.
//!
//! What one command, one transaction or one pipeline has made of keys on several cores is told by the core of its client, in program
//! order, before its reply and before anybody else may do something to these keys.

use super::publish::Origin;
use super::tables::Kind;
use crate::state::State;
use ringkey_core::command::{Command, Group};
use ringkey_core::keyspace::events::{Event, EventClass};
use ringkey_core::txn::batch::may_write;
use ringkey_core::txn::flight::Flight;
use std::io::Write as _;

impl State {
    /// Tells what has become of keys, in its order, and what scripts have published, to those who listen. Nobody waits for that.
    #[inline]
    pub fn tell_events(&mut self) {
        if !self.site.shard.events.is_empty() {
            self.publish_events();
        }
        if super::from_scripts::mark() > 0 {
            self.publish_for_scripts();
        }
    }

    /// Does anybody subscribe to what becomes of keys?
    #[inline]
    pub fn is_followed(&self) -> bool {
        self.site.shard.events.wanted != EventClass::default()
    }

    /// May a call of this row make something of keys that somebody subscribes to?
    fn may_tell(&self, row: &Command) -> bool {
        may_write(row) || self.site.shard.events.wanted.has(EventClass::KEY_MISS)
    }

    /// Has a flight of calls of these rows bring home what becomes of keys, if that may be anything. Where scripts are among them it is told
    /// where they run, as what they publish is.
    pub fn have_events_brought(&self, flight: &mut Flight, mut rows: impl Iterator<Item = &'static Command>) {
        if !self.is_followed() {
            return;
        }
        let mut may_tell = false;
        let has_scripts = rows.any(|row| {
            may_tell |= self.may_tell(row);
            row.group == Group::Scripting
        });
        if may_tell && !has_scripts {
            flight.bring_events();
        }
    }

    /// A flight has landed that brings home what has become of keys: that is told now.
    #[inline]
    pub fn tell_events_of(&mut self, flight: &mut Flight) {
        if flight.brings_events() {
            self.site.shard.events.extend(flight.take_events());
            self.tell_ahead();
        }
    }

    #[cold]
    fn publish_events(&mut self) {
        let wanted = self.tuning.key_events;
        let mut channel = Vec::new();
        for Event { db, name, key } in self.site.shard.events.take() {
            let origin = Origin::Event(self.shard_of_key(&key));
            // Writing to a Vec cannot fail.
            if wanted.has(EventClass::KEYSPACE) {
                channel.clear();
                let _ = write!(channel, "__keyspace@{}__:", db.0);
                channel.extend_from_slice(&key);
                self.publish(Kind::Channel, &channel, name.as_bytes(), origin);
            }
            if wanted.has(EventClass::KEYEVENT) {
                channel.clear();
                let _ = write!(channel, "__keyevent@{}__:{name}", db.0);
                self.publish(Kind::Channel, &channel, &key, origin);
            }
        }
    }
}
