//! One node of a cluster: its names, its slots, its epochs; what may be changed of them, and which keys it serves.
//!
//! The refusals are Valkey's, word for word: tools that set up clusters read them.

use crate::id::NodeId;
use crate::slots::{SlotRange, SlotSet};
use ringkey_core::resp::CommandError;
use ringkey_core::settings::{Setting, Settings};
use ringkey_core::units::{SLOT_COUNT, Slot};

/// What names a node and its shard, drawn by lot.
pub type Entropy = [[u8; 20]; 2];

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// The name of its shard.
    pub shard_id: NodeId,
    /// The slots it serves.
    pub slots: SlotSet,
    /// The highest epoch it knows of.
    pub current_epoch: u64,
    /// The epoch of its own configuration.
    pub config_epoch: u64,
    /// The epoch in which it last voted.
    pub last_vote_epoch: u64,
}

/// A change of the node that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Take these slots, or let go of them.
    Slots {
        /// Which.
        ranges: Vec<SlotRange>,
        /// Take them?
        take: bool,
    },
    /// Let go of all slots. The databases must be empty.
    FlushSlots,
    /// Let go of all slots, and with chance given become another node. The databases must be empty.
    Reset(Option<Entropy>),
    /// Set the configuration epoch of a new node.
    SetEpoch(i64),
    /// Raise the configuration epoch, unless it is the highest already.
    BumpEpoch,
    /// None: write the configuration file.
    Save,
}

impl Change {
    /// Must all databases be empty? If so, the refusal for when they are not.
    pub fn needs_empty(&self) -> Option<CommandError> {
        match self {
            Self::FlushSlots => Some(CommandError::text("DB must be empty to perform CLUSTER FLUSHSLOTS.")),
            Self::Reset(_) => {
                Some(CommandError::text("CLUSTER RESET can't be called with master nodes containing keys"))
            }
            _ => None,
        }
    }

    /// `CLUSTER ADDSLOTS|DELSLOTS slot ...`: the words behind the subcommand.
    ///
    /// # Errors
    /// A word that is no slot.
    pub fn of_slots<'a>(words: impl Iterator<Item = &'a [u8]>, take: bool) -> Result<Self, CommandError> {
        let ranges = words.map(|word| slot_of_word(word).map(|slot| (slot, slot))).collect::<Result<_, _>>()?;
        Ok(Self::Slots { ranges, take })
    }

    /// `CLUSTER ADDSLOTSRANGE|DELSLOTSRANGE first last ...`: the words behind the subcommand, an even number of them.
    ///
    /// # Errors
    /// A word that is no slot, or a range that ends before it starts.
    pub fn of_ranges(words: &[&[u8]], take: bool) -> Result<Self, CommandError> {
        let mut ranges = Vec::with_capacity(words.len() / 2);
        for pair in words.chunks_exact(2) {
            let (first, last) = (slot_of_word(pair[0])?, slot_of_word(pair[1])?);
            if first > last {
                let text = format!("start slot number {first} is greater than end slot number {last}");
                return Err(CommandError::owned(text));
            }
            ranges.push((first, last));
        }
        Ok(Self::Slots { ranges, take })
    }
}

fn slot_of_word(word: &[u8]) -> Result<u16, CommandError> {
    ringkey_core::number::parse_integer(word)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|slot| *slot < SLOT_COUNT)
        .ok_or(CommandError::text("Invalid or out of range slot"))
}

/// What of its slots a node serves, by the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// `cluster-require-full-coverage`: nothing is served unless every slot is.
    pub full_coverage: bool,
    /// `cluster-allow-reads-when-down`.
    pub reads_when_down: bool,
    /// `cluster-allow-pubsubshard-when-down`.
    pub channels_when_down: bool,
}

/// What a command does with the slot that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It reads keys of it.
    Read,
    /// It changes keys of it.
    Write,
    /// It is about a shard channel.
    Channel,
}

impl Serving {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Self {
        Self {
            full_coverage: settings.bool(Setting::ClusterRequireFullCoverage),
            reads_when_down: settings.bool(Setting::ClusterAllowReadsWhenDown),
            channels_when_down: settings.bool(Setting::ClusterAllowPubsubshardWhenDown),
        }
    }
}

impl Node {
    /// A new node, with all slots or with none.
    pub fn new(entropy: Entropy, has_all_slots: bool) -> Self {
        Self {
            id: NodeId::from_entropy(entropy[0]),
            shard_id: NodeId::from_entropy(entropy[1]),
            slots: if has_all_slots { SlotSet::all() } else { SlotSet::default() },
            current_epoch: 0,
            config_epoch: 0,
            last_vote_epoch: 0,
        }
    }

    /// Is the cluster up, as far as this node knows?
    pub fn is_up(&self, serving: Serving) -> bool {
        if serving.full_coverage { self.slots.is_full() } else { !self.slots.is_empty() }
    }

    /// May a command that makes this use of a slot run?
    ///
    /// # Errors
    /// The slot is nobody's, or the cluster is down.
    pub fn admit(&self, slot: Slot, makes: Use, serving: Serving) -> Result<(), CommandError> {
        let down = |text: &'static str| Err(CommandError::Coded("CLUSTERDOWN", text.into()));
        match () {
            () if !self.slots.contains(slot) => down("Hash slot not served"),
            () if self.is_up(serving) => Ok(()),
            () if makes == Use::Channel && serving.channels_when_down => Ok(()),
            () if !serving.reads_when_down => down("The cluster is down"),
            () if makes == Use::Write => down("The cluster is down and only accepts read commands"),
            () => Ok(()),
        }
    }

    /// The node after a change, and the line that says so if it is not `OK`.
    ///
    /// # Errors
    /// The refusal.
    pub fn changed(&self, change: &Change) -> Result<(Self, Option<String>), CommandError> {
        let mut node = self.clone();
        let mut line = None;
        match change {
            Change::Slots { ranges, take } => node.change_slots(ranges, *take)?,
            Change::FlushSlots | Change::Reset(None) => node.slots = SlotSet::default(),
            Change::Reset(Some(entropy)) => node = Self::new(*entropy, false),
            Change::SetEpoch(epoch) => node.set_epoch(*epoch)?,
            Change::BumpEpoch => line = Some(node.bump_epoch()),
            Change::Save => {}
        }
        Ok((node, line))
    }

    fn change_slots(&mut self, ranges: &[SlotRange], take: bool) -> Result<(), CommandError> {
        let mut seen = SlotSet::default();
        let slots = || ranges.iter().flat_map(|(first, last)| *first..=*last).map(Slot);
        for slot in slots() {
            let number = slot.0;
            if self.slots.contains(slot) == take {
                let state = if take { "busy" } else { "unassigned" };
                return Err(CommandError::owned(format!("Slot {number} is already {state}")));
            }
            if seen.contains(slot) {
                return Err(CommandError::owned(format!("Slot {number} specified multiple times")));
            }
            seen.set(slot, true);
        }
        slots().for_each(|slot| self.slots.set(slot, take));
        Ok(())
    }

    fn set_epoch(&mut self, epoch: i64) -> Result<(), CommandError> {
        let Ok(wanted) = u64::try_from(epoch) else {
            return Err(CommandError::owned(format!("Invalid config epoch specified: {epoch}")));
        };
        if self.config_epoch != 0 {
            return Err(CommandError::text("Node config epoch is already non-zero"));
        }
        self.config_epoch = wanted;
        self.current_epoch = self.current_epoch.max(wanted);
        Ok(())
    }

    fn bump_epoch(&mut self) -> String {
        let highest = self.current_epoch.max(self.config_epoch);
        if self.config_epoch != 0 && self.config_epoch == highest {
            return format!("STILL {}", self.config_epoch);
        }
        self.current_epoch = highest + 1;
        self.config_epoch = self.current_epoch;
        format!("BUMPED {}", self.config_epoch)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STRICT: Serving = Serving { full_coverage: true, reads_when_down: false, channels_when_down: true };

    fn node(has_all_slots: bool) -> Node {
        Node::new([[1; 20], [2; 20]], has_all_slots)
    }

    fn words(text: &str) -> Vec<&[u8]> {
        text.split(' ').map(str::as_bytes).collect()
    }

    fn refusal(node: &Node, change: Result<Change, CommandError>) -> String {
        change.and_then(|change| node.changed(&change).map(drop)).unwrap_err().to_string()
    }

    #[test]
    fn slots_are_taken_and_let_go() {
        let add = |text: &str| Change::of_ranges(&words(text), true);
        let (some, line) = node(false).changed(&add("0 2 5 7").unwrap()).unwrap();
        assert_eq!((some.slots.ranges(0..SLOT_COUNT), line), (vec![(0, 2), (5, 7)], None));
        assert_eq!(refusal(&some, add("3 3 2 2")), "Slot 2 is already busy");
        assert_eq!(refusal(&some, add("3 4 4 4")), "Slot 4 specified multiple times");
        assert_eq!(refusal(&some, add("5 4")), "start slot number 5 is greater than end slot number 4");
        assert_eq!(refusal(&some, add("0 16384")), "Invalid or out of range slot");
        assert_eq!(refusal(&some, add("x 1")), "Invalid or out of range slot");
        let remove = |text: &str| Change::of_slots(words(text).into_iter(), false);
        assert_eq!(refusal(&some, remove("1 3")), "Slot 3 is already unassigned");
        assert_eq!(refusal(&some, remove("1 1")), "Slot 1 specified multiple times");
        assert_eq!(refusal(&some, remove("-1")), "Invalid or out of range slot");
        let (fewer, _) = some.changed(&remove("1 7").unwrap()).unwrap();
        assert_eq!(fewer.slots.ranges(0..SLOT_COUNT), [(0, 0), (2, 2), (5, 6)]);
        assert!(fewer.changed(&Change::FlushSlots).unwrap().0.slots.is_empty());
    }

    #[test]
    fn epochs() {
        let fresh = node(false);
        assert_eq!(refusal(&fresh, Ok(Change::SetEpoch(-1))), "Invalid config epoch specified: -1");
        let (set, _) = fresh.changed(&Change::SetEpoch(5)).unwrap();
        assert_eq!((set.config_epoch, set.current_epoch), (5, 5));
        assert_eq!(refusal(&set, Ok(Change::SetEpoch(6))), "Node config epoch is already non-zero");
        assert_eq!(set.changed(&Change::BumpEpoch).unwrap().1.unwrap(), "STILL 5");
        let (bumped, line) = fresh.changed(&Change::BumpEpoch).unwrap();
        assert_eq!((bumped.config_epoch, line.unwrap().as_str()), (1, "BUMPED 1"));
        let (soft, _) = set.changed(&Change::Reset(None)).unwrap();
        assert_eq!((soft.id, soft.config_epoch), (set.id, 5));
        let (hard, _) = set.changed(&Change::Reset(Some([[3; 20], [4; 20]]))).unwrap();
        assert!(hard.id != set.id && hard.shard_id != set.shard_id);
        assert_eq!((hard.config_epoch, hard.current_epoch), (0, 0));
    }

    #[test]
    fn what_is_served() {
        let text = |result: Result<(), CommandError>| result.err().map(|error| error.to_string());
        assert_eq!(text(node(true).admit(Slot(5), Use::Write, STRICT)), None);
        let not_served = Some("Hash slot not served".to_owned());
        assert_eq!(text(node(false).admit(Slot(5), Use::Read, STRICT)), not_served);
        let (most, _) = node(true).changed(&Change::Slots { ranges: vec![(5, 5)], take: false }).unwrap();
        let reads = Serving { reads_when_down: true, ..STRICT };
        let partly = Serving { full_coverage: false, ..STRICT };
        assert_eq!(text(most.admit(Slot(6), Use::Read, STRICT)).unwrap(), "The cluster is down");
        assert_eq!(text(most.admit(Slot(6), Use::Channel, STRICT)), None);
        assert_eq!(text(most.admit(Slot(5), Use::Channel, STRICT)), not_served);
        let channels = Serving { channels_when_down: false, ..STRICT };
        assert_eq!(text(most.admit(Slot(6), Use::Channel, channels)).unwrap(), "The cluster is down");
        assert_eq!(text(most.admit(Slot(6), Use::Read, reads)), None);
        let only_reads = "The cluster is down and only accepts read commands";
        assert_eq!(text(most.admit(Slot(6), Use::Write, reads)).unwrap(), only_reads);
        assert_eq!(text(most.admit(Slot(6), Use::Write, partly)), None);
        assert_eq!(text(most.admit(Slot(5), Use::Read, partly)), not_served);
        assert!(most.is_up(partly) && !most.is_up(STRICT) && !node(false).is_up(partly));
    }
}
