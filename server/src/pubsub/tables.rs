//! Who listens to what: the clients of this core by channel, and the other cores on which somebody listens, by hash of the channel.
//!
//! Every core knows of every channel on which cores it has clients, so that a message goes nowhere else and needs no detour. Of the
//! clients of others it knows nothing, and of their channels only the hash: two channels with the same hash cost a
//! letter in vain. A core announces a channel when its first client comes and takes that back when its last one has gone. A client
//! is told that it is subscribed when all cores have heard of the channel: what is published from then on, wherever, reaches it.

use super::patterns::{Pattern, Patterns};
use hashbrown::HashTable;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// What kind of channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// SUBSCRIBE.
    Channel,
    /// SSUBSCRIBE.
    Shard,
    /// PSUBSCRIBE.
    Pattern,
}

/// What other cores hear of the clients of a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody listens to a channel of this hash from now on; may it be one of keyspace events?
    Comes(Kind, u64, bool),
    /// Nobody does any more.
    Goes(Kind, u64, bool),
    /// The same for a pattern.
    PatternComes(Arc<[u8]>),
    /// The same for a pattern.
    PatternGoes(Arc<[u8]>),
}

/// A channel to which clients of this core listen, or are about to.
#[derive(Debug)]
struct Channel {
    hash: u64,
    name: Arc<[u8]>,
    kind: Kind,
    /// Places in the table of sessions, in ascending order.
    clients: Vec<u32>,
    /// How many clients wait until all cores have heard of it.
    claims: u32,
    /// The number of the announcement that tells of it.
    announced: u64,
}

/// Cores with listeners for channels of one hash.
#[derive(Debug)]
struct Elsewhere {
    hash: u64,
    cores: SmallVec<[u16; 4]>,
}

/// Who listens to what.
#[derive(Debug, Default)]
pub struct Tables {
    channels: HashTable<Channel>,
    /// Of channels and of shard channels.
    elsewhere: [HashTable<Elsewhere>; 2],
    /// How many hashes of this core's channels are also among those of others, by kind.
    both: [usize; 2],
    /// The patterns of all cores.
    pub patterns: Patterns,
    /// Announcements of patterns of this core's clients that some core may not have heard yet, and who waits for them.
    pattern_claims: HashMap<Arc<[u8]>, (u32, u64)>,
    /// How many channels and shard channels clients of this core listen to.
    pub local: [usize; 2],
    /// On how many counts somebody may listen to keyspace events.
    event_listeners: usize,
}

/// Numbers of other cores, in ascending order.
pub type OtherCores = SmallVec<[u16; 4]>;

/// Channels of keyspace events begin so.
const EVENTS: &[u8] = b"__key";

fn is_for_events(kind: Kind, name: &[u8]) -> bool {
    match kind {
        Kind::Channel => name.starts_with(EVENTS),
        Kind::Shard => false,
        Kind::Pattern => {
            let prefix = super::patterns::prefix_of(name);
            let common = prefix.len().min(EVENTS.len());
            prefix[..common] == EVENTS[..common]
        }
    }
}

/// The hash under which a channel is announced: shard channels are others than channels of that name.
pub fn hash_of(kind: Kind, name_hash: u64) -> u64 {
    if kind == Kind::Shard { name_hash ^ 0x5bd1_e995_5bd1_e995 } else { name_hash }
}

fn insert<T: Ord, A: smallvec::Array<Item = T>>(list: &mut SmallVec<A>, value: T) {
    if let Err(at) = list.binary_search(&value) {
        list.insert(at, value);
    }
}

fn remove<T: Ord, A: smallvec::Array<Item = T>>(list: &mut SmallVec<A>, value: &T) {
    if let Ok(at) = list.binary_search(value) {
        list.remove(at);
    }
}

/// Adds the other cores on which clients listen to a pattern.
pub fn add_cores(cores: &mut OtherCores, pattern: &Pattern) {
    pattern.listeners.cores.iter().for_each(|core| insert(cores, *core));
}

impl Tables {
    /// May anybody hear of keyspace events?
    pub fn hears_events(&self) -> bool {
        self.event_listeners > 0
    }

    fn position(&self, kind: Kind, hash: u64, name: &[u8]) -> Option<&Channel> {
        self.channels.find(hash, |channel| channel.kind == kind && *channel.name == *name)
    }

    /// A client is about to listen to a channel or pattern. The number of the announcement that all cores must have heard of
    /// before it does; `next`: that of the next one.
    pub fn claim(&mut self, kind: Kind, hash: u64, name: &Arc<[u8]>, next: u64, changes: &mut Vec<Change>) -> u64 {
        if kind == Kind::Pattern {
            return self.claim_pattern(name, next, changes);
        }
        let same = |channel: &Channel| channel.kind == kind && *channel.name == **name;
        if let Some(channel) = self.channels.find_mut(hash, same) {
            channel.claims += 1;
            return channel.announced;
        }
        let is_new_hash = !self.has_hash(hash);
        let (name, clients) = (Arc::clone(name), Vec::new());
        let is_event = is_for_events(kind, &name);
        let channel = Channel { hash, name, kind, clients, claims: 1, announced: next };
        self.channels.insert_unique(hash, channel, |channel| channel.hash);
        self.local[kind as usize] += 1;
        self.event_listeners += usize::from(is_event);
        if is_new_hash {
            self.both[kind as usize] += usize::from(self.is_elsewhere(kind, hash));
            changes.push(Change::Comes(kind, hash, is_event));
        }
        next
    }

    fn claim_pattern(&mut self, text: &Arc<[u8]>, next: u64, changes: &mut Vec<Change>) -> u64 {
        if let Some((claims, announced)) = self.pattern_claims.get_mut(text) {
            *claims += 1;
            return *announced;
        }
        let is_known = self.patterns.find(text).is_some_and(|pattern| !pattern.listeners.here.is_empty());
        let announced = if is_known { 0 } else { next };
        self.pattern_claims.insert(Arc::clone(text), (1, announced));
        if !is_known {
            self.event_listeners += usize::from(is_for_events(Kind::Pattern, text));
            changes.push(Change::PatternComes(Arc::clone(text)));
        }
        announced
    }

    /// The claim of a client ends: from now on it listens, if it is still there. The name as it is kept here.
    pub fn settle(
        &mut self,
        kind: Kind,
        hash: u64,
        name: &Arc<[u8]>,
        client: Option<u32>,
        changes: &mut Vec<Change>,
    ) -> Arc<[u8]> {
        if kind == Kind::Pattern {
            if let Some((claims, _)) = self.pattern_claims.get_mut(name) {
                *claims -= 1;
                if *claims == 0 {
                    self.pattern_claims.remove(name);
                }
            }
            match client {
                Some(client) => self.patterns.change(name, |listeners| {
                    if let Err(at) = listeners.here.binary_search(&client) {
                        listeners.here.insert(at, client);
                    }
                }),
                None => self.drop_idle_pattern(name, changes),
            }
            return Arc::clone(name);
        }
        let same = |channel: &Channel| channel.kind == kind && *channel.name == **name;
        let Some(channel) = self.channels.find_mut(hash, same) else { return Arc::clone(name) };
        channel.claims -= 1;
        let kept = Arc::clone(&channel.name);
        if let Some(client) = client
            && let Err(at) = channel.clients.binary_search(&client)
        {
            channel.clients.insert(at, client);
        }
        self.drop_idle(kind, hash, name, changes);
        kept
    }

    /// A client listens no more.
    pub fn leave(&mut self, kind: Kind, hash: u64, name: &Arc<[u8]>, client: u32, changes: &mut Vec<Change>) {
        if kind == Kind::Pattern {
            let mut was_here = false;
            self.patterns.change(name, |listeners| {
                if let Ok(at) = listeners.here.binary_search(&client) {
                    listeners.here.remove(at);
                    was_here = true;
                }
            });
            if was_here {
                self.drop_idle_pattern(name, changes);
            }
            return;
        }
        let same = |channel: &Channel| channel.kind == kind && *channel.name == **name;
        if let Some(channel) = self.channels.find_mut(hash, same)
            && let Ok(at) = channel.clients.binary_search(&client)
        {
            channel.clients.remove(at);
            self.drop_idle(kind, hash, name, changes);
        }
    }

    fn drop_idle(&mut self, kind: Kind, hash: u64, name: &[u8], changes: &mut Vec<Change>) {
        let same = |channel: &Channel| channel.kind == kind && *channel.name == *name;
        let Ok(channel) = self.channels.find_entry(hash, same) else { return };
        if !channel.get().clients.is_empty() || channel.get().claims > 0 {
            return;
        }
        channel.remove();
        self.local[kind as usize] -= 1;
        let is_event = is_for_events(kind, name);
        self.event_listeners -= usize::from(is_event);
        if !self.has_hash(hash) {
            self.both[kind as usize] -= usize::from(self.is_elsewhere(kind, hash));
            changes.push(Change::Goes(kind, hash, is_event));
        }
        if self.channels.is_empty() {
            self.channels.shrink_to(0, |channel| channel.hash);
        }
    }

    fn drop_idle_pattern(&mut self, text: &Arc<[u8]>, changes: &mut Vec<Change>) {
        let has_clients = self.patterns.find(text).is_some_and(|pattern| !pattern.listeners.here.is_empty());
        if has_clients || self.pattern_claims.contains_key(text) {
            return;
        }
        self.event_listeners -= usize::from(is_for_events(Kind::Pattern, text));
        changes.push(Change::PatternGoes(Arc::clone(text)));
    }

    /// Another core has told what its clients listen to.
    pub fn heed(&mut self, core: u16, change: &Change) {
        match change {
            Change::Comes(kind, hash, is_event) => {
                self.event_listeners += usize::from(*is_event);
                let table = &mut self.elsewhere[*kind as usize];
                match table.find_mut(*hash, |elsewhere| elsewhere.hash == *hash) {
                    Some(elsewhere) => insert(&mut elsewhere.cores, core),
                    None => {
                        let elsewhere = Elsewhere { hash: *hash, cores: SmallVec::from_slice(&[core]) };
                        table.insert_unique(*hash, elsewhere, |elsewhere| elsewhere.hash);
                        self.both[*kind as usize] += usize::from(self.has_hash(*hash));
                    }
                }
            }
            Change::Goes(kind, hash, is_event) => {
                // Of two channels with the same hash only one is announced.
                self.event_listeners = self.event_listeners.saturating_sub(usize::from(*is_event));
                let table = &mut self.elsewhere[*kind as usize];
                let Ok(mut found) = table.find_entry(*hash, |elsewhere| elsewhere.hash == *hash) else { return };
                remove(&mut found.get_mut().cores, &core);
                if !found.get().cores.is_empty() {
                    return;
                }
                found.remove();
                if table.is_empty() {
                    table.shrink_to(0, |elsewhere| elsewhere.hash);
                }
                self.both[*kind as usize] -= usize::from(self.has_hash(*hash));
            }
            Change::PatternComes(text) => {
                self.event_listeners += usize::from(is_for_events(Kind::Pattern, text));
                self.patterns.change(text, |listeners| insert(&mut listeners.cores, core));
            }
            Change::PatternGoes(text) => {
                self.event_listeners -= usize::from(is_for_events(Kind::Pattern, text));
                self.patterns.change(text, |listeners| remove(&mut listeners.cores, &core));
            }
        }
    }

    /// The clients of this core that listen to a channel.
    #[inline]
    pub fn clients(&self, kind: Kind, hash: u64, name: &[u8]) -> &[u32] {
        self.position(kind, hash, name).map_or(&[], |channel| &channel.clients)
    }

    /// How many times clients of this core get a message: once for each way in which they listen.
    pub fn receivers(&self, kind: Kind, hash: u64, name: &[u8]) -> usize {
        let matching = self.patterns.matching(name).map(|pattern| pattern.listeners.here.len());
        let by_pattern: usize = if kind == Kind::Channel { matching.sum() } else { 0 };
        self.clients(kind, hash, name).len() + by_pattern
    }

    /// The other cores that are to hear of a message.
    #[inline]
    pub fn cores(&self, kind: Kind, hash: u64, name: &[u8]) -> OtherCores {
        let mut cores = self.cores_by_name(kind, hash);
        if kind == Kind::Channel && !self.patterns.is_empty() {
            for pattern in self.patterns.matching(name) {
                add_cores(&mut cores, pattern);
            }
        }
        cores
    }

    /// The other cores on which clients listen to a channel by its name.
    #[inline]
    pub fn cores_by_name(&self, kind: Kind, hash: u64) -> OtherCores {
        let known = self.elsewhere[kind as usize].find(hash, |elsewhere| elsewhere.hash == hash);
        known.map_or_else(SmallVec::new, |elsewhere| elsewhere.cores.clone())
    }

    /// The channels of a kind to which clients of this core listen.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &Arc<[u8]>> {
        let listed = move |channel: &&Channel| channel.kind == kind && !channel.clients.is_empty();
        self.channels.iter().filter(listed).map(|channel| &channel.name)
    }

    /// How many different channels of a kind clients of all cores listen to.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Pattern => self.patterns.len(),
            _ => self.elsewhere[kind as usize].len() + self.local[kind as usize] - self.both[kind as usize],
        }
    }

    fn has_hash(&self, hash: u64) -> bool {
        self.channels.find(hash, |channel| channel.hash == hash).is_some()
    }

    fn is_elsewhere(&self, kind: Kind, hash: u64) -> bool {
        self.elsewhere[kind as usize].find(hash, |elsewhere| elsewhere.hash == hash).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn the_first_and_the_last_are_announced() {
        let mut tables = Tables::default();
        let mut changes = Vec::new();
        let a = name("a");
        assert_eq!(tables.claim(Kind::Channel, 5, &a, 1, &mut changes), 1);
        assert_eq!(tables.claim(Kind::Channel, 5, &a, 2, &mut changes), 1, "who comes second waits for the same");
        assert_eq!(changes, [Change::Comes(Kind::Channel, 5, false)]);
        assert!(tables.clients(Kind::Channel, 5, b"a").is_empty(), "nobody hears before all cores know");
        tables.settle(Kind::Channel, 5, &a, Some(9), &mut changes);
        tables.settle(Kind::Channel, 5, &a, None, &mut changes);
        assert_eq!(tables.clients(Kind::Channel, 5, b"a"), [9]);
        assert!(tables.clients(Kind::Shard, 5, b"a").is_empty() && tables.clients(Kind::Channel, 5, b"b").is_empty());
        changes.clear();
        let b = name("b");
        tables.claim(Kind::Channel, 5, &b, 3, &mut changes);
        assert!(changes.is_empty(), "a channel with the same hash is announced already");
        tables.leave(Kind::Channel, 5, &a, 9, &mut changes);
        assert!(changes.is_empty(), "the other one is still there");
        tables.settle(Kind::Channel, 5, &b, None, &mut changes);
        assert_eq!(changes, [Change::Goes(Kind::Channel, 5, false)]);
        assert_eq!(tables.local, [0, 0]);
    }

    #[test]
    fn patterns_are_announced_too() {
        let mut tables = Tables::default();
        let mut changes = Vec::new();
        let (all, some) = (name("*"), name("user:*"));
        tables.claim(Kind::Pattern, 0, &all, 1, &mut changes);
        tables.settle(Kind::Pattern, 0, &all, Some(2), &mut changes);
        assert!(tables.hears_events());
        assert_eq!(tables.claim(Kind::Pattern, 0, &all, 2, &mut changes), 0, "all know of it");
        tables.settle(Kind::Pattern, 0, &all, None, &mut changes);
        assert_eq!(changes.as_slice(), [Change::PatternComes(Arc::clone(&all))]);
        tables.heed(3, &Change::PatternComes(Arc::clone(&some)));
        tables.heed(3, &Change::Comes(Kind::Channel, 8, false));
        tables.heed(1, &Change::Comes(Kind::Channel, 8, false));
        let eight = name("eight");
        tables.claim(Kind::Channel, 8, &eight, 2, &mut changes);
        assert_eq!((tables.count(Kind::Channel), tables.count(Kind::Pattern)), (1, 2), "each counts once");
        tables.settle(Kind::Channel, 8, &eight, None, &mut changes);
        assert_eq!((tables.count(Kind::Channel), tables.count(Kind::Shard)), (1, 0));
        assert_eq!(tables.cores(Kind::Channel, 8, b"user:1").as_slice(), [1, 3]);
        assert_eq!(tables.cores(Kind::Channel, 9, b"user:1").as_slice(), [3]);
        assert!(tables.cores(Kind::Shard, 9, b"user:1").is_empty(), "patterns hear nothing of shard channels");
        tables.leave(Kind::Pattern, 0, &all, 2, &mut changes);
        assert_eq!(changes.last(), Some(&Change::PatternGoes(Arc::clone(&all))));
        tables.heed(3, &Change::PatternGoes(some));
        tables.heed(3, &Change::Goes(Kind::Channel, 8, false));
        assert_eq!(tables.cores(Kind::Channel, 8, b"user:1").as_slice(), [1]);
        assert!(tables.patterns.is_empty() && !tables.hears_events());
    }

    #[test]
    fn listeners_of_events_are_known() {
        for (kind, text, hears) in [
            (Kind::Channel, "__keyspace@0__:a", true),
            (Kind::Channel, "news", false),
            (Kind::Pattern, "__key*", true),
            (Kind::Pattern, "*", true),
            (Kind::Pattern, "_*", true),
            (Kind::Pattern, "__keyevent@0__:*", true),
            (Kind::Pattern, "news*", false),
            (Kind::Shard, "__keyspace@0__:a", false),
        ] {
            let (mut tables, mut changes) = (Tables::default(), Vec::new());
            tables.claim(kind, 1, &name(text), 1, &mut changes);
            assert_eq!(tables.hears_events(), hears, "{text}");
            let mut other = Tables::default();
            changes.iter().for_each(|change| other.heed(1, change));
            assert_eq!(other.hears_events(), hears, "{text}");
            changes.clear();
            tables.settle(kind, 1, &name(text), None, &mut changes);
            changes.iter().for_each(|change| other.heed(1, change));
            assert!(!tables.hears_events() && !other.hears_events(), "{text}");
        }
    }
}
