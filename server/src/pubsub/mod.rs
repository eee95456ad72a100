//! Channels, patterns and those who listen to them, on whatever cores they are.
//!
//! Each core has its own clients, and knows on which other cores somebody listens ([`tables`]). A message goes straight from the core of
//! its publisher to those cores and nowhere else, by the ring between them, so messages of one publisher keep their order. The
//! publisher has its reply when all these cores have told how many clients they have given it to: by then it stands behind everything those
//! clients are owed. What is published in one pass travels together, and a pipeline of PUBLISH waits once.

pub mod commands;
pub mod deliver;
pub mod events;
pub mod from_scripts;
pub mod order;
pub mod patterns;
pub mod publish;
pub mod tables;

use crate::mailbox::letter::{Letter, Notice};
use crate::session::{Pending, Session};
use crate::state::State;
use publish::Messages;
use ringkey_core::command::Admin;
use ringkey_core::resp::{Args, CommandError};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use tables::{Change, Kind, Tables};

/// What one core keeps of channels.
#[derive(Default)]
pub struct Pubsub {
    /// Who listens to what.
    pub tables: Rc<RefCell<Tables>>,
    /// What the other cores are to hear at the end of this pass.
    changes: Vec<Change>,
    /// The number of the last announcement.
    announced: u64,
    /// The last one that each core has heard.
    heard: Vec<u64>,
    /// Clients that wait until all have heard of so many announcements, by their tickets.
    waiting: Vec<(u64, u64)>,
    /// Messages for each other core that this pass has collected.
    outbox: Vec<Messages>,
    /// How many clients listen to anything.
    pub clients: usize,
}

/// The names of one kind to which a client listens.
pub type Names = HashSet<Arc<[u8]>>;

/// What a client listens to.
#[derive(Default)]
pub struct Subscriptions {
    /// Channels, shard channels and patterns, in the order of [`Kind`].
    names: [Names; 3],
    bytes: usize,
}

impl Subscriptions {
    /// How many of a kind.
    pub fn len(&self, kind: Kind) -> usize {
        self.names[kind as usize].len()
    }

    /// Does it listen to nothing?
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(HashSet::is_empty)
    }

    /// Does it listen to this?
    pub fn has(&self, kind: Kind, name: &[u8]) -> bool {
        self.names[kind as usize].contains(name)
    }

    /// The number that a confirmation tells: shard channels are counted by themselves.
    fn told(&self, kind: Kind) -> usize {
        match kind {
            Kind::Shard => self.len(Kind::Shard),
            _ => self.len(Kind::Channel) + self.len(Kind::Pattern),
        }
    }

    /// Memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        let entries: usize = self.names.iter().map(HashSet::capacity).sum();
        size_of::<Self>() + self.bytes + entries * (size_of::<Arc<[u8]>>() + 1)
    }
}

/// A client that waits until all cores have heard what it is to listen to.
pub struct Subscribing {
    kind: Kind,
    names: Vec<(u64, Arc<[u8]>)>,
}

impl Pubsub {
    /// Announcements up to this number are known to all cores.
    fn known_to_all(&self, me: usize) -> u64 {
        let others = self.heard.iter().enumerate().filter(|(core, _)| *core != me);
        others.map(|(_, heard)| *heard).min().unwrap_or(u64::MAX)
    }
}

/// Carries out a command about channels.
///
/// # Errors
/// The refusal; nothing was written.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    match admin {
        Admin::SSubscribe if session.is_executing() => {
            return Err(CommandError::text("SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
        }
        Admin::Subscribe => commands::subscribe(state, session, Kind::Channel, args),
        Admin::PSubscribe => commands::subscribe(state, session, Kind::Pattern, args),
        Admin::SSubscribe => commands::subscribe(state, session, Kind::Shard, args),
        Admin::Unsubscribe => commands::unsubscribe(state, session, Kind::Channel, args),
        Admin::PUnsubscribe => commands::unsubscribe(state, session, Kind::Pattern, args),
        Admin::SUnsubscribe => commands::unsubscribe(state, session, Kind::Shard, args),
        Admin::Publish => state.publish_one(session, Kind::Channel, args),
        Admin::SPublish => state.publish_one(session, Kind::Shard, args),
        _ => return commands::look(state, session, admin, args),
    }
    Ok(())
}

impl State {
    /// Makes room for what goes to each other core.
    pub fn open_pubsub(&mut self) {
        let cores = self.mesh.count();
        self.pubsub.heard = vec![0; cores];
        from_scripts::share(&self.pubsub.tables);
        self.pubsub.outbox = (0..cores).map(|_| Messages::default()).collect();
    }

    /// Sends what this pass has for other cores: what is listened to, and messages.
    pub fn post_messages(&mut self) {
        self.tell_events();
        if !self.pubsub.changes.is_empty() {
            let changes: Arc<[Change]> = std::mem::take(&mut self.pubsub.changes).into();
            self.follow_listeners();
            if self.mesh.count() > 1 {
                self.pubsub.announced += 1;
                let number = self.pubsub.announced;
                for core in (0..self.mesh.count()).filter(|core| *core != self.me.index()) {
                    let changes = Arc::clone(&changes);
                    self.mesh.post(core, Letter::Notice(Notice::Listen { number, changes }));
                }
            }
        }
        self.post_outbox();
    }

    /// Sends the messages that are there for other cores. They can be seen before anything else that this pass has for others, or
    /// somebody could hear sooner of what comes of it.
    fn post_outbox(&mut self) {
        if self.pubsub.outbox.iter().all(Messages::is_empty) {
            return;
        }
        let number = self.mesh.cores().number_messages();
        for core in 0..self.pubsub.outbox.len() {
            if !self.pubsub.outbox[core].is_empty() {
                let mut messages = std::mem::take(&mut self.pubsub.outbox[core]);
                messages.number = number;
                self.mesh.post_first(core, Letter::Notice(Notice::Messages(Box::new(messages))));
            }
        }
    }

    /// Tells what the calls of other cores' clients have made of keys, ahead of the replies to these calls.
    #[inline]
    pub fn tell_ahead(&mut self) {
        if !self.site.shard.events.is_empty() || from_scripts::mark() > 0 {
            self.tell_events();
            self.post_outbox();
        }
    }

    /// Another core tells what its clients listen to from now on.
    pub fn heed_listening(&mut self, from: usize, number: u64, changes: &[Change]) {
        let tables = &self.pubsub.tables;
        changes.iter().for_each(|change| tables.borrow_mut().heed(from as u16, change));
        self.follow_listeners();
        self.mesh.post(from, Letter::Notice(Notice::Heard(number)));
    }

    /// Another core has heard what the clients of this one listen to.
    pub fn was_heard(&mut self, from: usize, number: u64) {
        self.pubsub.heard[from] = number;
        let known = self.pubsub.known_to_all(self.me.index());
        let mut due = Vec::new();
        self.pubsub.waiting.retain(|(number, ticket)| {
            let waits = *number > known;
            if !waits {
                due.push(*ticket);
            }
            waits
        });
        due.into_iter().for_each(|ticket| self.subscription_is_known(ticket));
    }

    fn subscription_is_known(&mut self, ticket: u64) {
        let (index, generation) = Session::place_of(ticket);
        let Some(mut session) = self.take_session(index, generation) else { return };
        if let Pending::Subscribing(subscribing) = std::mem::take(&mut session.pending) {
            let before = session.output.pending.mark();
            self.settle_subscription(&mut session, *subscribing);
            let len = session.output.pending.len_between(before, session.output.pending.mark());
            self.conclude_waiting(&mut session, len, false);
            session.apply_reply_mode(session.output.pending.mark());
            self.push_late(&mut session);
        }
        self.sessions[index as usize] = Some(session);
        self.ready.push_back(index);
    }

    /// Has keyspace events noted if anybody may hear of them.
    pub fn follow_listeners(&mut self) {
        let hears = self.pubsub.tables.borrow().hears_events();
        if self.hears_events != hears {
            self.hears_events = hears;
            self.apply_rules();
        }
    }
}
