//! What cores write to each other.

use crate::admin::client::pause::Pause;
use crate::admin::client::walk::{Page, Task};
use crate::admin::command_log::LogOrder;
use crate::admin::function::LibraryOrder;
use crate::admin::info::commands::Details;
use crate::admin::latency::LatencyOrder;
use crate::blocking::Ending;
use crate::listen::Ends;
use crate::long_reply::{Part, SourceOrder};
use crate::migrate::target::Errand;
use crate::monitor::MonitorLetter;
use crate::pubsub::publish::{Messages, Receipt};
use crate::pubsub::tables::{Change, Kind};
use crate::tracking::deliver::{News, Redirected};
use crate::tracking::setup::Follow;
use ringkey_cluster::{Change as NodeChange, Node};
use ringkey_core::commands::key::{DatabaseDigest, TableStats};
use ringkey_core::keyspace::Cursor;
use ringkey_core::observe::{CommandReport, LatencyEvents, LogEntry, LogKind};
use ringkey_core::settings::{Extent, Settings};
use ringkey_core::txn::batch::Batch;
use ringkey_core::txn::locks::{Mode, Owner};
use ringkey_core::units::{DbIndex, Millis, Slot};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A message from one core to another.
pub enum Letter {
    /// Calls for the receiver's shard, or calls that come home.
    Batch(Box<Batch>),
    /// Anything off the data path.
    Notice(Notice),
}

/// Messages off the data path.
pub enum Notice {
    /// A new connection for the receiver to serve.
    Adopt(Box<NewConnection>),
    /// A question; the answer carries the same ticket.
    Ask {
        /// Who waits, in the words of the sender.
        ticket: u64,
        /// The question.
        question: Question,
    },
    /// Keys of which the receiver's clients have copies that are stale.
    Stale(Box<News>),
    /// The same for a client that hears in place of another.
    Redirected(Box<Redirected>),
    /// The answer to that: there is no such client.
    RedirectGone {
        /// The client that redirects.
        client: u64,
        /// The one that is gone.
        target: u64,
    },
    /// A client of the sender does not redirect its invalidations to one of the receiver's any more, or is gone.
    StandDown {
        /// The client.
        client: u64,
        /// Is it gone?
        is_gone: bool,
    },
    /// The answer to a question.
    Answer {
        /// Who waits.
        ticket: u64,
        /// The answer.
        answer: Answer,
    },
    /// What clients of the sender listen to from now on. It waits to hear that this is known.
    Listen {
        /// The number of the announcement.
        number: u64,
        /// What has changed, in its order.
        changes: Arc<[Change]>,
    },
    /// The announcement of this number is known, and all before it.
    Heard(u64),
    /// Messages for the receiver's clients.
    Messages(Box<Messages>),
    /// What cores say to each other about monitors.
    Monitor(MonitorLetter),
    /// How many clients have got messages.
    Receipts(Vec<Receipt>),
}

/// A connection on its way to the core that will serve it.
pub struct NewConnection {
    /// The socket.
    pub fd: OwnedFd,
    /// Its client id.
    pub id: u64,
    /// Who is at its two ends.
    pub ends: Ends,
    /// Did it come through the port of the core that serves it?
    pub on_core_port: bool,
}

/// What a core asks another.
#[derive(Clone)]
pub enum Question {
    /// The counters of the core.
    Sample(Details),
    /// Describe or close sessions: one page, from this place in the table of sessions on.
    Clients(Arc<Task>, u32),
    /// Begin a pause or end it: only core 0 decides.
    ChangePause(Option<Pause>),
    /// Pause from now on, or no more. The answer comes when nothing that was admitted before is under way.
    Pause(Option<Pause>),
    /// End the waiting of the client with this id.
    Unblock(u64, Ending),
    /// All clients together hold too much: evict some. Only core 0 decides.
    EvictClients,
    /// Evict clients of this group until so many bytes are free.
    Evict {
        /// Bytes to be freed.
        bytes: usize,
        /// The group of clients by magnitude.
        group: usize,
    },
    /// Adopt these settings from now on.
    Settings(Arc<Settings>),
    /// Change settings: only core 0 decides, so that two changes never cross.
    /// The flag tells whether the client is on this machine.
    ChangeSettings(Arc<Vec<(Vec<u8>, Vec<u8>)>>, bool),
    /// Write the settings into the configuration file: core 0 sees to it.
    RewriteSettings(Extent),
    /// Set the counters of INFO to zero.
    ResetStatistics,
    /// Give unused memory of all cores back to the system.
    Purge,
    /// One page of a scan.
    Scan(Box<ScanPage>),
    /// A DEBUG subcommand for each shard.
    Debug(DebugOrder),
    /// Count or list the keys of a slot.
    SlotKeys(SlotKeys),
    /// Adopt this node of the cluster from now on.
    Node(Arc<Node>),
    /// Change the node: only core 0 decides.
    ChangeNode(Arc<NodeChange>),
    /// Change the libraries of functions by running code: core 0 sees to it.
    ChangeLibraries(LibraryOrder),
    /// The channels of a kind that clients of the core listen to, or those that match a pattern.
    Channels(Kind, Option<Vec<u8>>),
    /// How many clients of the core listen to each of these channels.
    CountListeners(Kind, Arc<Vec<Vec<u8>>>),
    /// How many clients of the core would get a message to this channel.
    CountReceivers(Kind, Arc<[u8]>),
    /// Tell or forget remarkable calls.
    CommandLog(LogKind, LogOrder),
    /// Tell or forget latency events, or tell durations of commands.
    Latency(LatencyOrder),
    /// Note calls for this core from now on.
    Monitor(usize),
    /// What has become of the client of a long reply.
    Source(Owner, SourceOrder),
    /// Has it the client with this id, to which another one redirects its invalidations? If that is certain to be allowed, it is
    /// told who.
    FindClient(u64, Option<crate::tracking::StandIn>),
    /// A client follows prefixes from now on, or no more.
    Follow(Follow),
    /// Stop serving.
    Stop,
    /// Forget that a signal asked for the end: only core 0 hears signals.
    AbortStop,
}

impl Question {
    /// The lock on the whole shard under which it is answered, if it is about the data.
    pub fn lock(&self) -> Option<Mode> {
        match self {
            Self::Sample(_) | Self::Scan(_) | Self::SlotKeys(_) => Some(Mode::Shared),
            // What changes while the data is lent is noted only if that was wanted when it left.
            Self::Follow(_) => Some(Mode::Shared),
            Self::Debug(order) => match order {
                DebugOrder::Populate { .. } => Some(Mode::Exclusive),
                DebugOrder::Digest
                | DebugOrder::DigestValues { .. }
                | DebugOrder::Object { .. }
                | DebugOrder::Tables { .. } => Some(Mode::Shared),
                DebugOrder::ClientGroups
                | DebugOrder::Sleep(_)
                | DebugOrder::ActiveExpire(_)
                | DebugOrder::PauseCron(_)
                | DebugOrder::ListPlainFrom(_)
                | DebugOrder::LetScripts(_)
                | DebugOrder::SkipChecksums(_)
                | DebugOrder::ReplyRoom(_) => None,
            },
            _ => None,
        }
    }
}

/// Which keys of a slot are wanted.
#[derive(Clone, Copy, Debug)]
pub struct SlotKeys {
    /// In this database.
    pub db: DbIndex,
    /// Of this slot.
    pub slot: Slot,
    /// So many at most; none: their number.
    pub most: Option<usize>,
}

/// A page of SCAN to be filled by the shard that owns the cursor.
#[derive(Clone)]
pub struct ScanPage {
    /// Does the client fill the server (CLIENT IMPORT-SOURCE)?
    pub is_source: bool,
    /// The database.
    pub db: DbIndex,
    /// Where to go on.
    pub cursor: Cursor,
    /// The options.
    pub options: ringkey_core::commands::key::ScanOptions,
}

/// What DEBUG wants to know of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyLook {
    /// How it is kept, with what takes long to find out.
    Thorough,
    /// The same without that.
    Fast,
    /// The lengths of key and string.
    Lengths,
    /// The table that its value is kept in.
    Table,
}

/// DEBUG subcommands that concern every shard.
#[derive(Clone, Debug)]
pub enum DebugOrder {
    /// Be busy for so long.
    Sleep(Millis),
    /// Switch active expiry on or off.
    ActiveExpire(bool),
    /// How room for replies follows their size.
    ReplyRoom(crate::session::output::RoomRule),
    /// Stop or resume periodic work.
    PauseCron(bool),
    /// From this length on elements of large lists lie alone; 0: as the settings say.
    ListPlainFrom(usize),
    /// Any checksum of a payload is right, or again only the right one.
    SkipChecksums(bool),
    /// May scripts call what is kept from them?
    LetScripts(bool),
    /// Create keys.
    Populate {
        /// In this database.
        db: DbIndex,
        /// So many over all shards.
        count: u64,
        /// With this prefix.
        prefix: Vec<u8>,
        /// With values of this size in bytes; 0: as long as they come.
        size: usize,
    },
    /// The clients that may be evicted.
    ClientGroups,
    /// The digests of all databases.
    Digest,
    /// The digests of the values of those keys that the shard owns.
    DigestValues {
        /// In this database.
        db: DbIndex,
        /// The keys.
        keys: Vec<Vec<u8>>,
    },
    /// How a key is kept.
    Object {
        /// In this database.
        db: DbIndex,
        /// The key.
        key: Vec<u8>,
        /// What is wanted of it.
        look: KeyLook,
    },
    /// How the keys of a database lie in their tables.
    Tables {
        /// The database.
        db: DbIndex,
        /// With what takes long to find out?
        is_full: bool,
    },
}

/// What a core answers.
pub enum Answer {
    /// Its counters.
    Sample(Box<crate::admin::info::Sample>),
    /// A page of what was asked of its sessions.
    Clients(Box<Page>),
    /// Numbers, in the order of what was asked.
    Counts(Vec<u64>),
    /// A number of things done.
    Count(u64),
    /// A page of a scan: the keys, and where to go on in this shard.
    Page(Vec<Vec<u8>>, Option<Cursor>),
    /// The digests of its databases.
    Digests(Vec<DatabaseDigest>),
    /// Digests of values, with the places of their keys in the question.
    ValueDigests(Vec<(usize, [u8; 20])>),
    /// How the keys of a database lie in their tables.
    Tables(Box<TableStats>),
    /// The clients that may be evicted, by what they hold.
    ClientGroups(Vec<crate::census::Group>),
    /// A line of text.
    Text(String),
    /// A piece of a long reply.
    Part(Box<Part>),
    /// Remarkable calls, the newest first.
    LogEntries(Vec<Arc<LogEntry>>),
    /// Latency events.
    LatencyEvents(LatencyEvents),
    /// Names of things that are gone.
    Names(Vec<&'static str>),
    /// Counts and durations of commands.
    Commands(Vec<CommandReport>),
    /// What came of keys that were brought to another server.
    Delivered(Box<Errand>),
    /// Settings were refused.
    Refused(ringkey_core::resp::CommandError),
    /// Done.
    Done,
}
