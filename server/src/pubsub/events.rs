//! Keyspace events become messages: on the channel of the key what has happened, on the channel of what has happened the key.

use super::publish::Origin;
use super::tables::Kind;
use crate::state::State;
use ringkey_core::keyspace::events::{Event, EventClass};
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

    #[cold]
    fn publish_events(&mut self) {
        let wanted = self.tuning.key_events;
        let mut channel = Vec::new();
        for Event { db, name, key } in self.site.shard.events.take() {
            // Writing to a Vec cannot fail.
            if wanted.has(EventClass::KEYSPACE) {
                channel.clear();
                let _ = write!(channel, "__keyspace@{}__:", db.0);
                channel.extend_from_slice(&key);
                self.publish(Kind::Channel, &channel, name.as_bytes(), Origin::Event);
            }
            if wanted.has(EventClass::KEYEVENT) {
                channel.clear();
                let _ = write!(channel, "__keyevent@{}__:{name}", db.0);
                self.publish(Kind::Channel, &channel, &key, Origin::Event);
            }
        }
    }
}
