//! How clients hear that their copies are stale.
//!
//! News go from the core of the shard to those of the clients who are to hear: where a client redirects them, to the core of its
//! target, which knows of it ([`StandIn`]). They are on their way before the replies of the pass in which the change was made, so whoever
//! knows of the change by its reply, and asks the other client, finds it informed. Only of what a client read before it
//! redirected its own core is told, and passes it on.
//!
//! A client may be told only of what it has read, so it must not hear of the change before it has the reply that it was read
//! with, or it would keep that for ever. What it reads elsewhere may come home later than the news; therefore these wait while it has
//! something under way.

use super::{Mode, Redirect, StandIn};
use crate::admin::client::ClientKind;
use crate::mailbox::letter::{Letter, Notice};
use crate::session::{Closing, Pending, Session};
use crate::state::State;
use ringkey_core::keyspace::tracked::Stale;
use ringkey_core::resp::{Protocol, Reply};
use ringkey_core::units::ShardId;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The channel on which clients that speak RESP2 hear of stale keys.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// A key.
type Name = Arc<[u8]>;

/// Keys, and the client that has changed each; 0: none.
type Changes = Arc<Vec<(Name, u64)>>;

/// Keys of which copies are stale; none: all.
pub type Names = Option<SmallVec<[Name; 1]>>;

/// What has become stale, as one core tells it to another.
#[derive(Default)]
pub struct News {
    /// Keys, who has changed each, and who of the receiver's clients have read it.
    keys: Vec<(Name, u64, SmallVec<[u64; 2]>)>,
    /// Prefixes, and keys that have them, with whoever has changed each.
    prefixes: Vec<(Box<[u8]>, Changes)>,
    /// Is everything stale?
    was_flushed: bool,
}

/// What one client has another one hear in its place.
pub struct Redirected {
    /// The one who is to hear it.
    target: u64,
    /// The one who redirects it.
    client: u64,
    names: Names,
}

/// What is pushed to a client.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Message {
    /// Keys are stale.
    Stale(Names),
    /// The client to which its invalidations were redirected is gone.
    Broken(u64),
}

impl Message {
    fn write(&self, reply: &mut Reply<'_>) {
        match self {
            Self::Stale(names) => {
                if reply.is_resp3() {
                    reply.push(2);
                    reply.bulk(b"invalidate");
                } else {
                    reply.array(3);
                    reply.bulk(b"message");
                    reply.bulk(CHANNEL);
                }
                match names {
                    Some(names) => {
                        reply.array(names.len());
                        names.iter().for_each(|name| reply.bulk(name));
                    }
                    None => reply.null(),
                }
            }
            Self::Broken(target) => {
                reply.push(2);
                reply.bulk(b"tracking-redir-broken");
                reply.integer(*target as i64);
            }
        }
    }
}

/// So many messages wait for one client. If there are more, one says that all is stale.
const LATE_MAX: usize = 1024;

/// Messages that wait for the end of what their receiver has under way.
pub struct Late {
    generation: u32,
    messages: Vec<Message>,
}

impl Late {
    fn push(&mut self, message: Message) {
        if self.messages.len() >= LATE_MAX {
            self.messages.retain(|message| matches!(message, Message::Broken(_)));
            self.messages.dedup();
            self.messages.push(Message::Stale(None));
        }
        self.messages.push(message);
    }
}

/// Has the session a reply under way that may tell what it is about to hear of? Not one that waits for keys, nor one that
/// only waits for its turn.
fn may_hear(session: &Session, are_all_home: bool) -> bool {
    match &session.pending {
        Pending::Nothing | Pending::Paused => !session.is_executing(),
        Pending::Blocked(blocked) => blocked.is_waiting() && are_all_home,
        _ => false,
    }
}

impl State {
    /// At the end of a pass: tells all cores what has become stale on this core's shard, and clients what waited for the end of
    /// a reply.
    #[inline]
    pub fn tell_stale(&mut self) {
        let tracked = &self.site.shard.tracked;
        if tracked.is_active() || self.tracking.counted != 0 {
            self.keep_tracking_limit();
        }
        if self.site.shard.tracked.has_news() {
            self.post_news();
        }
        for news in std::mem::take(&mut self.tracking.own_news) {
            self.heed_news(&news);
        }
        if !self.tracking.late.is_empty() {
            self.tell_late();
        }
    }

    /// Tells the other cores what has become stale on this core's shard. They can see it when this returns: whatever else this pass
    /// has for them comes later.
    #[cold]
    pub fn post_news(&mut self) {
        let (stale, was_flushed) = self.site.shard.tracked.take_stale();
        let mut news: Vec<Option<Box<News>>> = (0..self.mesh.count()).map(|_| None).collect();
        let any = self.process.tracking_clients.load(Ordering::Relaxed) > 0;
        if was_flushed && any {
            news.iter_mut().for_each(|news| news.get_or_insert_default().was_flushed = true);
        }
        if !self.tracking.prefixes.is_empty() {
            self.sort_by_prefix(&stale, &mut news);
        }
        for Stale { key, writer, trackers } in stale {
            for of_core in trackers.chunk_by(|one, other| one.core == other.core) {
                let clients = of_core.iter().map(|tracker| tracker.client).collect();
                news[of_core[0].core.index()].get_or_insert_default().keys.push((key.clone(), writer, clients));
            }
        }
        for (core, news) in news.into_iter().enumerate() {
            match news {
                None => {}
                Some(news) if core == self.me.index() => self.tracking.own_news.push(news),
                Some(news) => self.mesh.post_first(core, Letter::Notice(Notice::Stale(news))),
            }
        }
    }

    /// As in Valkey, keys that have changed together are told together to those who follow their prefixes.
    fn sort_by_prefix(&self, stale: &[Stale], news: &mut [Option<Box<News>>]) {
        let mut by_prefix: BTreeMap<&[u8], BTreeMap<&Name, u64>> = BTreeMap::new();
        for one in stale {
            for (prefix, _) in self.tracking.prefixes.of_key(&one.key) {
                // If several have changed it, the last one counts.
                by_prefix.entry(prefix).or_default().insert(&one.key, one.writer);
            }
        }
        for (prefix, keys) in by_prefix {
            let Some(followers) = self.tracking.prefixes.followers(prefix) else { continue };
            let keys: Changes = Arc::new(keys.into_iter().map(|(key, writer)| (key.clone(), writer)).collect());
            for core in followers.cores() {
                news[core.index()].get_or_insert_default().prefixes.push((prefix.into(), Arc::clone(&keys)));
            }
        }
    }

    /// Tells this core's clients what has become stale.
    pub fn heed_news(&mut self, news: &News) {
        for (key, writer, clients) in &news.keys {
            for client in clients {
                self.invalidate(*client, false, *writer, || Some(SmallVec::from_elem(key.clone(), 1)));
            }
        }
        for (prefix, keys) in &news.prefixes {
            let followers = self.tracking.prefixes.followers(prefix);
            let clients: Vec<u64> = followers.map_or_else(Vec::new, |followers| followers.on(self.me).collect());
            for client in clients {
                self.invalidate_some(client, keys);
            }
        }
        if news.was_flushed {
            let clients: Vec<u64> = self.tracking.clients.keys().copied().collect();
            for client in clients {
                if self.hears_here(client) {
                    self.tell_client(client, None);
                }
            }
            let stand_ins: Vec<StandIn> = self.tracking.stand_ins.values().copied().collect();
            for StandIn { client, core, target, .. } in stand_ins {
                if let Some(target) = target {
                    self.tell_target(core, target, client, None);
                }
            }
        }
    }

    /// Is this core told of what this client of its own has read?
    fn hears_here(&self, client: u64) -> bool {
        let tracking = self.tracking_session(client).and_then(|session| session.tracking.as_deref());
        tracking.is_none_or(|tracking| tracking.hearer(self.me) == self.me)
    }

    /// Tells what has become stale of what a client of another core has read.
    fn tell_instead(&mut self, stand_in: StandIn, of_prefix: bool, writer: u64, names: Names) {
        let StandIn { client, core, is_broadcast, no_loop, target } = stand_in;
        match target {
            Some(target) if is_broadcast == of_prefix && !(no_loop && writer == client) => {
                self.tell_target(core, target, client, names);
            }
            Some(_) => {}
            None if of_prefix => {}
            None => {
                let keys = names.into_iter().flatten().map(|name| (name, writer, SmallVec::from_elem(client, 1)));
                let news = News { keys: keys.collect(), ..News::default() };
                self.mesh.post_first(core.index(), Letter::Notice(Notice::Stale(Box::new(news))));
            }
        }
    }

    /// Tells a client that a key is stale, unless it wants to hear of prefixes, or not of this.
    fn invalidate(&mut self, client: u64, of_prefix: bool, writer: u64, names: impl FnOnce() -> Names) {
        let Some(session) = self.tracking_session(client) else {
            if let Some(stand_in) = self.tracking.stand_ins.get(&client) {
                self.tell_instead(*stand_in, of_prefix, writer, names());
            }
            return;
        };
        let Some(tracking) = &session.tracking else { return };
        let is_own = tracking.no_loop && writer == client;
        if !is_own && (tracking.mode == Mode::Broadcast) == of_prefix {
            self.tell_client(client, names());
        }
    }

    /// The same for the keys of a prefix, without those that the client has changed itself if it does not want to hear of
    /// these.
    fn invalidate_some(&mut self, client: u64, keys: &[(Name, u64)]) {
        let tracking = self.tracking_session(client).and_then(|session| session.tracking.as_deref());
        let stand_in = self.tracking.stand_ins.get(&client);
        let no_loop = match (tracking, stand_in) {
            (Some(tracking), _) => tracking.no_loop,
            (None, Some(stand_in)) => stand_in.no_loop,
            (None, None) => return,
        };
        let counts = |writer: u64| !no_loop || writer != client;
        let names: SmallVec<[Name; 1]> =
            keys.iter().filter(|(_, writer)| counts(*writer)).map(|(key, _)| key.clone()).collect();
        if !names.is_empty() {
            self.invalidate(client, true, 0, || Some(names));
        }
    }

    fn tracking_session(&self, client: u64) -> Option<&Session> {
        let index = *self.tracking.clients.get(&client)?;
        self.sessions[index as usize].as_deref().filter(|session| session.id == client)
    }

    fn tell_client(&mut self, client: u64, names: Names) {
        let Some(session) = self.tracking_session(client) else { return };
        let (index, is_resp3) = (session.index, session.protocol == Protocol::Resp3);
        match session.tracking.as_ref().and_then(|tracking| tracking.redirect) {
            Some(Redirect { id, core }) if core == self.me => self.tell_target(core, id, client, names),
            Some(Redirect { id, core }) => {
                let redirected = Box::new(Redirected { target: id, client, names });
                self.mesh.post_first(core.index(), Letter::Notice(Notice::Redirected(redirected)));
            }
            None if is_resp3 => self.tell(index, Message::Stale(names)),
            // RESP2 has no messages beside replies.
            None => {}
        }
    }

    /// Takes what a client of core `from` has one of this core's clients hear.
    pub fn heed_redirected(&mut self, from: usize, redirected: Redirected) {
        let Redirected { target, client, names } = redirected;
        self.tell_target(ShardId(from as u16), target, client, names);
    }

    fn tell_target(&mut self, from: ShardId, target: u64, client: u64, names: Names) {
        let index = self.tracking.targets.get(&target).copied();
        let session = index.and_then(|index| self.sessions[index as usize].as_deref());
        match session.filter(|session| session.id == target && session.closing == Closing::No && !session.is_shut) {
            Some(session) => {
                let listens = session.protocol == Protocol::Resp3 || session.kind == ClientKind::Pubsub;
                if listens {
                    self.tell(session.index, Message::Stale(names));
                }
            }
            None if from == self.me => self.redirect_is_broken(client, target),
            None => {
                let gone = Notice::RedirectGone { client, target };
                self.mesh.post_first(from.index(), Letter::Notice(gone));
            }
        }
    }

    /// The client to which one of this core's redirects its invalidations is gone.
    pub fn redirect_is_broken(&mut self, client: u64, target: u64) {
        let Some(index) = self.tracking.clients.get(&client).copied() else { return };
        let Some(session) = self.sessions[index as usize].as_deref_mut() else { return };
        let Some(tracking) = &mut session.tracking else { return };
        if session.id != client || tracking.redirect.is_none_or(|redirect| redirect.id != target) {
            return;
        }
        tracking.is_broken = true;
        if session.protocol == Protocol::Resp3 {
            self.tell(index, Message::Broken(target));
        }
    }

    /// Pushes a message, as soon as nothing is under way that must reach the client before.
    fn tell(&mut self, index: u32, message: Message) {
        let are_all_home = self.are_all_home();
        let Some(session) = self.sessions[index as usize].as_deref() else { return };
        let (generation, may_hear) = (session.generation, may_hear(session, are_all_home));
        match self.tracking.late.get_mut(&index).filter(|late| late.generation == generation) {
            Some(late) => late.push(message),
            None if may_hear => self.push_to(index, |reply| message.write(reply)),
            None => {
                self.tracking.late.insert(index, Late { generation, messages: vec![message] });
            }
        }
    }

    /// Tells what has waited for the end of replies that are complete.
    fn tell_late(&mut self) {
        let waiting: SmallVec<[u32; 8]> = self.tracking.late.keys().copied().collect();
        waiting.into_iter().for_each(|index| self.tell_late_to(index));
    }

    /// The same for the session at `index`, which is about to go on.
    #[inline]
    pub fn tell_before(&mut self, index: u32) {
        if !self.tracking.late.is_empty() {
            self.tell_late_to(index);
        }
    }

    fn tell_late_to(&mut self, index: u32) {
        let are_all_home = self.are_all_home();
        let Some(late) = self.tracking.late.get(&index) else { return };
        match self.sessions[index as usize].as_deref().filter(|session| session.generation == late.generation) {
            Some(session) if !may_hear(session, are_all_home) => {}
            is_there => {
                let is_there = is_there.is_some();
                let Some(late) = self.tracking.late.remove(&index).filter(|_| is_there) else { return };
                late.messages.iter().for_each(|message| self.push_to(index, |reply| message.write(reply)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringkey_core::resp::ReplyBuffer;

    fn key(name: &str) -> Message {
        Message::Stale(Some(SmallVec::from_elem(name.as_bytes().into(), 1)))
    }

    #[test]
    fn messages_are_as_valkey_writes_them() {
        let written = |message: &Message, protocol| {
            let mut out = ReplyBuffer::default();
            message.write(&mut Reply::new(&mut out, protocol));
            String::from_utf8(out.to_vec()).unwrap()
        };
        let cases = [
            (key("a"), ">2|$10|invalidate|*1|$1|a|", "*3|$7|message|$20|__redis__:invalidate|*1|$1|a|"),
            (Message::Stale(None), ">2|$10|invalidate|_|", "*3|$7|message|$20|__redis__:invalidate|$-1|"),
        ];
        for (message, new, old) in cases {
            assert_eq!(written(&message, Protocol::Resp3), new.replace('|', "\r\n"));
            assert_eq!(written(&message, Protocol::Resp2), old.replace('|', "\r\n"));
        }
        let broken = ">2|$21|tracking-redir-broken|:7|".replace('|', "\r\n");
        assert_eq!(written(&Message::Broken(7), Protocol::Resp3), broken);
    }

    #[test]
    fn too_many_messages_become_one() {
        let mut late = Late { generation: 0, messages: vec![Message::Broken(1), Message::Broken(1)] };
        for number in 0..10 * LATE_MAX {
            late.push(key(&number.to_string()));
            assert!(late.messages.len() <= LATE_MAX, "they are bounded");
        }
        assert_eq!(late.messages[..2], [Message::Broken(1), Message::Stale(None)]);
        assert_eq!(late.messages.last(), Some(&key(&(10 * LATE_MAX - 1).to_string())));
    }
}
