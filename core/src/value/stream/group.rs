//! Groups of consumers: how far each has come in the stream, and which entries its consumers have and did not acknowledge.
//!
//! What is pending is kept twice, as it is asked for: for the group by id, with time, count and consumer, and for each consumer
//! only the ids. Consumers are numbered, so that nothing about them is repeated with each entry.

use super::StreamId;
use super::pending::ById;
use crate::units::Millis;
use std::collections::BTreeMap;

/// The number of a consumer in its group, valid while the consumer is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerIndex(u32);

/// What is known of an entry that was given to a consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Who has it; nobody only while a group is being loaded.
    pub consumer: Option<ConsumerIndex>,
    /// When it was last delivered.
    pub time: Millis,
    /// How often it was.
    pub count: u64,
}

/// A delivery in half the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed {
    time: Millis,
    consumer: u32,
    /// [`COUNT_IS_LARGE`]: it stands elsewhere.
    count: u32,
}

const _: () = assert!(size_of::<(StreamId, Packed)>() == 32, "a pending entry is 32 bytes and an id");

const COUNT_IS_LARGE: u32 = u32::MAX;

const NOBODY: u32 = u32::MAX;

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last asked for something.
    pub seen: Millis,
    /// When it last got something; none: never.
    pub active: Option<Millis>,
    pending: ById<()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries it has that are not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Their ids, in order, from one on.
    pub fn pending(&self, from: StreamId) -> impl Iterator<Item = StreamId> + '_ {
        self.pending.range(from).map(|(id, ())| id)
    }
}

/// A group of consumers.
#[derive(Debug, Clone)]
pub struct Group {
    name: Box<[u8]>,
    /// The last id that was delivered to any consumer.
    pub last_id: StreamId,
    /// How many entries the group has read since the stream began, as far as that is known.
    pub entries_read: Option<u64>,
    pending: ById<Packed>,
    /// Counts that do not fit.
    large_counts: BTreeMap<StreamId, u64>,
    /// By number.
    consumers: Vec<Option<Consumer>>,
    /// Numbers that are free.
    vacant: Vec<u32>,
    /// Numbers in the order of names.
    by_name: Vec<u32>,
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        let head = |group: &Self| (group.last_id, group.entries_read, group.pending.len());
        // Each pending entry is with one consumer, so what consumers have tells whose it is.
        let times = |group: &Self| group.pending.iter().map(|(id, packed)| (id, packed.time, packed.count)).collect();
        let (one, two): (Vec<_>, Vec<_>) = (times(self), times(other));
        self.name == other.name
            && head(self) == head(other)
            && self.large_counts == other.large_counts
            && one == two
            && self.consumers().eq(other.consumers())
    }
}

impl Eq for Group {}

impl Group {
    /// A group without consumers.
    pub fn new(name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> Box<Self> {
        Box::new(Self {
            name: name.into(),
            last_id,
            entries_read,
            pending: ById::default(),
            large_counts: BTreeMap::new(),
            consumers: Vec::new(),
            vacant: Vec::new(),
            by_name: Vec::new(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many consumers it has.
    pub fn consumers_len(&self) -> usize {
        self.by_name.len()
    }

    /// Its consumers, in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.by_name.iter().map(|index| self.consumer(ConsumerIndex(*index)))
    }

    fn place_of(&self, name: &[u8]) -> Result<usize, usize> {
        self.by_name.binary_search_by(|index| (*self.consumer(ConsumerIndex(*index)).name).cmp(name))
    }

    /// The consumer of this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerIndex> {
        self.place_of(name).ok().map(|place| ConsumerIndex(self.by_name[place]))
    }

    /// The consumer of this name, which is made if it is not there, and seen at this time. Was it made?
    pub fn make_consumer(&mut self, name: &[u8], seen: Millis) -> (ConsumerIndex, bool) {
        let place = match self.place_of(name) {
            Ok(place) => return (ConsumerIndex(self.by_name[place]), false),
            Err(place) => place,
        };
        let consumer = Some(Consumer { name: name.into(), seen, active: None, pending: ById::default() });
        let index = match self.vacant.pop() {
            Some(index) => {
                self.consumers[index as usize] = consumer;
                index
            }
            None => {
                self.consumers.push(consumer);
                (self.consumers.len() - 1) as u32
            }
        };
        self.by_name.insert(place, index);
        (ConsumerIndex(index), true)
    }

    /// A consumer.
    pub fn consumer(&self, index: ConsumerIndex) -> &Consumer {
        self.consumers[index.0 as usize].as_ref().expect("numbers of consumers that are gone are not used")
    }

    /// A consumer, to be changed.
    pub fn consumer_mut(&mut self, index: ConsumerIndex) -> &mut Consumer {
        self.consumers[index.0 as usize].as_mut().expect("numbers of consumers that are gone are not used")
    }

    /// Removes a consumer and forgets what it has. The answer: how many entries were that?
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let place = self.place_of(name).ok()?;
        let index = self.by_name.remove(place);
        let consumer = self.consumers[index as usize].take().expect("a name leads to a consumer");
        self.vacant.push(index);
        if self.vacant.len() == self.consumers.len() {
            self.consumers = Vec::new();
            self.vacant = Vec::new();
        }
        if consumer.pending.len() > self.pending.len() / 16 {
            self.pending.retain(|_, packed| packed.consumer != index);
        } else {
            for (id, ()) in consumer.pending.iter() {
                self.pending.remove(id);
            }
        }
        if !self.large_counts.is_empty() {
            let Self { large_counts, pending, .. } = self;
            large_counts.retain(|id, _| pending.find(*id).is_some());
        }
        Some(consumer.pending.len())
    }

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The smallest and the largest id that is pending.
    pub fn pending_ends(&self) -> Option<(StreamId, StreamId)> {
        self.pending.first().zip(self.pending.last())
    }

    fn unpack(&self, id: StreamId, packed: Packed) -> Delivery {
        let count = match packed.count {
            COUNT_IS_LARGE => self.large_counts[&id],
            count => u64::from(count),
        };
        let consumer = (packed.consumer != NOBODY).then_some(ConsumerIndex(packed.consumer));
        Delivery { consumer, time: packed.time, count }
    }

    fn pack(&mut self, id: StreamId, consumer: u32, time: Millis, count: u64) -> Packed {
        let small = u32::try_from(count).unwrap_or(COUNT_IS_LARGE);
        if small == COUNT_IS_LARGE {
            self.large_counts.insert(id, count);
        } else if !self.large_counts.is_empty() {
            self.large_counts.remove(&id);
        }
        Packed { time, consumer, count: small }
    }

    /// What is pending, in the order of ids, from one on.
    pub fn pending(&self, from: StreamId) -> impl Iterator<Item = (StreamId, Delivery)> + '_ {
        self.pending.range(from).map(|(id, packed)| (id, self.unpack(id, packed)))
    }

    /// What is pending for one consumer, in the order of ids, from one on.
    pub fn pending_of(
        &self,
        consumer: ConsumerIndex,
        from: StreamId,
    ) -> impl Iterator<Item = (StreamId, Delivery)> + '_ {
        let ids = self.consumer(consumer).pending(from);
        ids.map(|id| (id, self.find_pending(id).expect("what a consumer has is pending in its group")))
    }

    /// The first that is pending with this id or a larger one.
    pub fn next_pending(&self, from: StreamId) -> Option<(StreamId, Delivery)> {
        self.pending(from).next()
    }

    /// What is known of a pending entry.
    pub fn find_pending(&self, id: StreamId) -> Option<Delivery> {
        self.pending.find(id).map(|packed| self.unpack(id, packed))
    }

    /// An entry was delivered to a consumer, whoever had it before.
    pub fn deliver(&mut self, id: StreamId, consumer: ConsumerIndex, time: Millis, count: u64) {
        let packed = self.pack(id, consumer.0, time, count);
        let before = self.pending.insert(id, packed);
        if before.is_some_and(|before| before.consumer == consumer.0) {
            return;
        }
        if let Some(before) = before
            && before.consumer != NOBODY
        {
            self.consumer_mut(ConsumerIndex(before.consumer)).pending.remove(id);
        }
        self.consumer_mut(consumer).pending.insert(id, ());
    }

    /// An entry is pending no more. Was it?
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(packed) = self.pending.remove(id) else { return false };
        if packed.count == COUNT_IS_LARGE {
            self.large_counts.remove(&id);
        }
        if packed.consumer != NOBODY {
            self.consumer_mut(ConsumerIndex(packed.consumer)).pending.remove(id);
        }
        true
    }

    /// For loading: an entry is pending, it is not yet said for whom. `false` if it is already.
    pub fn load_pending(&mut self, id: StreamId, time: Millis, count: u64) -> bool {
        if self.pending.find(id).is_some() {
            return false;
        }
        let packed = self.pack(id, NOBODY, time, count);
        self.pending.insert(id, packed);
        true
    }

    /// For loading: a pending entry that nobody has is this consumer's. `false` if there is none.
    pub fn assign(&mut self, id: StreamId, consumer: ConsumerIndex) -> bool {
        let Some(packed) = self.pending.find_mut(id).filter(|packed| packed.consumer == NOBODY) else { return false };
        packed.consumer = consumer.0;
        self.consumer_mut(consumer).pending.insert(id, ());
        true
    }

    /// For loading: does somebody have each pending entry?
    pub fn is_assigned(&self) -> bool {
        self.consumers().map(Consumer::pending_len).sum::<usize>() == self.pending.len()
    }

    /// Frees about `budget` entries of lists, which is lowered by as many. The answer: is none left?
    pub fn free_some(&mut self, budget: &mut usize) -> bool {
        self.by_name.clear();
        if !self.pending.free_some(budget) {
            return false;
        }
        while *budget > 0
            && let Some(last) = self.consumers.last_mut()
        {
            if last.as_mut().is_none_or(|consumer| consumer.pending.free_some(budget)) {
                self.consumers.pop();
                *budget = budget.saturating_sub(1);
            }
        }
        self.consumers.is_empty()
    }

    /// Memory in bytes. So many consumers are measured and stand for all of them; 0: each.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let own = |consumer: &Consumer| consumer.name.len() + consumer.pending.memory_bytes();
        let count = self.by_name.len();
        let measured = if samples == 0 { count } else { samples.min(count) };
        let sum: usize = self.consumers().take(measured).map(own).sum();
        let of_consumers = if measured == 0 { 0 } else { (sum as u128 * count as u128 / measured as u128) as usize };
        size_of::<Self>()
            + self.name.len()
            + self.pending.memory_bytes()
            + self.large_counts.len() * size_of::<(StreamId, u64)>()
            + self.consumers.capacity() * size_of::<Option<Consumer>>()
            + (self.vacant.capacity() + self.by_name.capacity()) * size_of::<u32>()
            + of_consumers
    }

    /// Checks all invariants; for tests.
    pub fn check(&self) {
        self.pending.check();
        let mut count = 0;
        for index in &self.by_name {
            let consumer = self.consumer(ConsumerIndex(*index));
            consumer.pending.check();
            count += consumer.pending.len();
            for (id, ()) in consumer.pending.iter() {
                let packed = self.pending.find(id).expect("what a consumer has is pending in its group");
                assert_eq!(packed.consumer, *index, "an entry is with whom the group says");
            }
        }
        let unassigned = self.pending.iter().filter(|(_, packed)| packed.consumer == NOBODY).count();
        assert_eq!(count + unassigned, self.pending.len(), "each pending entry is with one consumer");
        assert!(self.consumers().is_sorted_by(|one, other| one.name < other.name), "names are in order");
        assert_eq!(self.consumers.iter().flatten().count(), self.by_name.len(), "each consumer has a name");
        let large = self.pending.iter().filter(|(_, packed)| packed.count == COUNT_IS_LARGE).map(|(id, _)| id);
        assert!(large.eq(self.large_counts.keys().copied()), "large counts are those of pending entries");
    }
}

/// The groups of a stream, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    list: Vec<Box<Group>>,
}

impl Groups {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn place_of(&self, name: &[u8]) -> Result<usize, usize> {
        self.list.binary_search_by(|group| (*group.name).cmp(name))
    }

    /// The group of this name.
    pub fn find(&self, name: &[u8]) -> Option<&Group> {
        self.place_of(name).ok().map(|place| &*self.list[place])
    }

    /// The group of this name, to be changed.
    pub fn find_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.place_of(name).ok().map(|place| &mut *self.list[place])
    }

    /// Adds a group. `false` if there is one of this name.
    pub fn add(&mut self, group: Box<Group>) -> bool {
        match self.place_of(&group.name) {
            Ok(_) => false,
            Err(place) => {
                self.list.insert(place, group);
                true
            }
        }
    }

    /// Takes a group out.
    pub fn remove(&mut self, name: &[u8]) -> Option<Box<Group>> {
        self.place_of(name).ok().map(|place| self.list.remove(place))
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.list.iter().map(|group| &**group)
    }

    /// Frees about `budget` of the entries that groups remember. The answer: is nothing left?
    pub fn free_some(&mut self, mut budget: usize) -> bool {
        while budget > 0
            && let Some(last) = self.list.last_mut()
        {
            if last.free_some(&mut budget) {
                self.list.pop();
                budget = budget.saturating_sub(1);
            }
        }
        self.list.is_empty()
    }

    /// Memory behind this structure in bytes. So many consumers of each group are measured and stand for all; 0: each.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let groups: usize = self.iter().map(|group| group.memory_bytes(samples)).sum();
        self.list.capacity() * size_of::<Box<Group>>() + groups
    }

    /// Checks all invariants; for tests.
    pub fn check(&self) {
        assert!(self.list.is_sorted_by(|one, other| one.name < other.name), "names are in order");
        self.iter().for_each(Group::check);
    }
}

#[cfg(test)]
mod tests;
