//! The row of a command: everything that is known about it, in one place.
//!
//! The words are Valkey's (flags, ACL categories, tips, key specifications), so that its documentation explains our
//! table and COMMAND can answer from it.

use super::keys::{KeyRule, KeySpec};
use super::wait::WaitRule;
use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};

/// A command or a subcommand.
#[derive(Debug)]
pub struct Command {
    /// Its number: numbers run from 0 without gaps over all rows, so that counters of a command lie in an array.
    pub id: u16,
    /// The name in lower case; a subcommand carries its parent: `config|get`.
    pub name: &'static str,
    /// How many words a call has, the name (and the subcommand) included; negative: at least so many.
    pub arity: i16,
    /// How it behaves.
    pub flags: Flags,
    /// Its ACL categories.
    pub acl: Acl,
    /// The family it belongs to.
    pub group: Group,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Where the keys of a call are when the specifications do not tell all.
    pub key_rule: KeyRule,
    /// Command tips for clients.
    pub tips: &'static [&'static str],
    /// The version of Redis OSS or Valkey that brought it.
    pub since: &'static str,
    /// Is it for the servers among themselves?
    pub system: bool,
    /// Since when another command is to be used in its place.
    pub deprecated: Option<Deprecated>,
    /// Its cost in words of the field; empty where none can be named.
    pub complexity: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// What changed since it came: version and change.
    pub history: &'static [(&'static str, &'static str)],
    /// Its arguments.
    pub arguments: &'static [Argument],
    /// Its subcommands, for a container.
    pub subcommands: &'static [Command],
    /// What it does when its keys live on several shards.
    pub spread: Spread,
    /// Who carries it out.
    pub run: Run,
    /// What a call waits for that finds nothing, for commands that block their clients.
    pub waits: Option<WaitRule>,
    /// Which of its keys count as changed, for those who watch them.
    pub touches: Touches,
}

impl Command {
    /// The name without its parent.
    pub fn own_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }

    /// The subcommands that exist.
    pub fn existing_subcommands(&self) -> impl Iterator<Item = &'static Command> + use<> {
        self.subcommands.iter().filter(|row| !row.is_missing())
    }

    /// Does a call of `words` words fit the arity?
    #[inline]
    pub fn accepts(&self, words: usize) -> bool {
        if self.arity >= 0 { words == self.arity as usize } else { words >= self.arity.unsigned_abs() as usize }
    }

    /// Does it stand in the table only for what is to come?
    pub const fn is_missing(&self) -> bool {
        matches!(self.run, Run::Missing)
    }

    /// May this call touch keys of any shard, so that it needs all of them?
    #[inline]
    pub fn needs_every_shard(&self, args: &Args<'_>) -> bool {
        matches!(self.spread, Spread::Everything { may_touch_any_key } if may_touch_any_key(args))
    }

    /// May it leave something for replicas: a write, or one of those that do not look like it?
    pub fn may_replicate(&self) -> bool {
        const OTHERS: &[&str] = &["cluster|setslot", "eval", "evalsha", "fcall", "pfcount", "publish", "spublish"];
        self.flags.has(Flags::WRITE) || OTHERS.contains(&self.name)
    }

    /// The start of a row; rows name only what differs.
    pub const DEFAULT: Command = Command {
        id: u16::MAX,
        name: "",
        arity: 1,
        flags: Flags::NONE,
        acl: Acl::NONE,
        group: Group::Generic,
        keys: &[],
        key_rule: KeyRule::Specs,
        tips: &[],
        since: "",
        system: false,
        deprecated: None,
        complexity: "",
        summary: "",
        history: &[],
        arguments: &[],
        subcommands: &[],
        spread: Spread::Gather,
        run: Run::Missing,
        waits: None,
        touches: Touches::Written,
    };
}

/// Since when a command is no longer to be used, and what is to be used.
#[derive(Debug, Clone, Copy)]
pub struct Deprecated {
    /// The version.
    pub since: &'static str,
    /// The command in its place, as Markdown code.
    pub replaced_by: &'static str,
}

/// A handler that runs on the shard of its keys.
pub type Handler = fn(&mut Context<'_>, &Args<'_>, &mut Reply<'_>) -> Result<Outcome, CommandError>;

/// Who carries a command out.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// Nobody yet: it answers as an unknown command and is in no listing.
    Missing,
    /// Only its subcommands do anything.
    Container,
    /// The shard that owns its keys.
    OnShard(Handler),
    /// The process: sessions, settings, counters, or all shards together.
    Admin(Admin),
}

/// Which keys of a call that has changed something count as changed (WATCH).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touches {
    /// All that it names for writing.
    Written,
    /// Those that its handler tells ([`Context::touch`]), because it may change only some, others than it names, or, as in
    /// Valkey, something about them that does not count.
    Told,
}

/// What happens to a command whose keys live on several shards.
#[derive(Debug, Clone, Copy)]
pub enum Spread {
    /// The keys are locked and lent to one shard, which runs the command as if it were alone.
    Gather,
    /// The same, but for calls that may read or write any key: all shards are locked and lend their data to one core, which
    /// runs the command over them ([`crate::txn::assembly`]).
    Everything {
        /// Is this such a call? It need not be one that will be carried out, and its keys may be on one shard.
        may_touch_any_key: fn(&Args<'_>) -> bool,
    },
    /// It falls apart into one call for each key with the `stride - 1` words behind it, atomically;
    /// the replies are joined.
    EachKey {
        /// Words a key takes: 1 for `DEL a b`, 2 for `MSET a 1 b 2`.
        stride: u8,
        /// How the replies become one.
        join: Join,
    },
    /// Every shard runs it, at one moment; the replies are joined.
    EveryShard {
        /// How the replies become one.
        join: Join,
        /// Does it only read?
        shared: bool,
    },
}

/// How the replies of several shards or keys become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// The sum of integers.
    Sum,
    /// One `OK`.
    Ok,
    /// Arrays of one element each become one array in the order of the keys.
    InOrder,
    /// Arrays become one array, in the order of the shards.
    Concat,
    /// Each part is an integer, its weight, and a reply behind it; one of those is drawn by lot.
    ByLot,
}

/// Commands that the process carries out, matched exhaustively in the server.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admin {
    Auth,
    Hello,
    Ping,
    Echo,
    Select,
    Reset,
    Quit,
    ReadOnly,
    ReadWrite,
    Asking,
    ClusterAddSlots,
    ClusterAddSlotsRange,
    ClusterBumpEpoch,
    ClusterCountFailureReports,
    ClusterCountKeysInSlot,
    ClusterDelSlots,
    ClusterDelSlotsRange,
    ClusterFlushSlots,
    ClusterGetKeysInSlot,
    ClusterHelp,
    ClusterInfo,
    ClusterKeySlot,
    ClusterLinks,
    ClusterMyId,
    ClusterMyShardId,
    ClusterNodes,
    ClusterReplicas,
    ClusterReset,
    ClusterSaveConfig,
    ClusterSetConfigEpoch,
    ClusterShards,
    ClusterSlots,
    Subscribe,
    PSubscribe,
    SSubscribe,
    Unsubscribe,
    PUnsubscribe,
    SUnsubscribe,
    Publish,
    SPublish,
    PubsubChannels,
    PubsubHelp,
    PubsubNumPat,
    PubsubNumSub,
    PubsubShardChannels,
    PubsubShardNumSub,
    Time,
    Lolwut,
    ClientId,
    ClientInfo,
    ClientList,
    ClientKill,
    ClientSetName,
    ClientGetName,
    ClientSetInfo,
    ClientReply,
    ClientNoEvict,
    ClientNoTouch,
    ClientCapa,
    ClientImportSource,
    ClientPause,
    ClientUnpause,
    ClientUnblock,
    ClientTracking,
    ClientTrackingInfo,
    ClientCaching,
    ClientGetRedir,
    ClientHelp,
    Command,
    CommandCount,
    CommandList,
    CommandInfo,
    CommandDocs,
    CommandGetKeys,
    CommandGetKeysAndFlags,
    CommandHelp,
    ConfigGet,
    ConfigSet,
    ConfigResetStat,
    ConfigRewrite,
    ConfigHelp,
    Info,
    MemoryDoctor,
    MemoryHelp,
    MemoryMallocStats,
    MemoryPurge,
    MemoryStats,
    RandomKey,
    Scan,
    SwapDb,
    Unwatch,
    Shutdown,
    Debug,
    ObjectHelp,
    Migrate,
    Monitor,
    XInfoHelp,
    Multi,
    Exec,
    Discard,
    CommandLogGet,
    CommandLogHelp,
    CommandLogLen,
    CommandLogReset,
    SlowLogGet,
    SlowLogHelp,
    SlowLogLen,
    SlowLogReset,
    LatencyDoctor,
    LatencyGraph,
    LatencyHelp,
    LatencyHistogram,
    LatencyHistory,
    LatencyLatest,
    LatencyReset,
    FunctionDelete,
    FunctionDump,
    FunctionFlush,
    FunctionHelp,
    FunctionKill,
    FunctionList,
    FunctionLoad,
    FunctionRestore,
    FunctionStats,
    ScriptDebug,
    ScriptExists,
    ScriptFlush,
    ScriptHelp,
    ScriptKill,
    ScriptLoad,
    ScriptShow,
}

/// A set of flags that have words on the wire: constants, both directions, nothing else.
macro_rules! word_set {
    ($(#[$doc:meta])* pub struct $name:ident { $($flag:ident = $bit:literal $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $name(u32);

        #[allow(missing_docs)]
        impl $name {
            pub const NONE: Self = Self(0);
            $(pub const $flag: Self = Self(1 << $bit);)+
        }

        impl $name {
            /// Every member with its word on the wire, in the order in which Valkey lists them.
            pub const WORDS: &'static [(Self, &'static str)] = &[$((Self::$flag, $word)),+];

            /// Both sets together; `const`, for rows.
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Are all of `other` in it?
            #[inline]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Is any of `other` in it?
            #[inline]
            pub const fn has_any(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The words of the members.
            pub fn words(self) -> impl Iterator<Item = &'static str> + Clone {
                Self::WORDS.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, word)| *word)
            }
        }
    };
}
pub(super) use word_set;

word_set! {
    /// How a command behaves: Valkey's command flags.
    pub struct Flags {
        WRITE = 0 "write",
        READONLY = 1 "readonly",
        DENYOOM = 2 "denyoom",
        ADMIN = 3 "admin",
        PUBSUB = 4 "pubsub",
        NOSCRIPT = 5 "noscript",
        BLOCKING = 6 "blocking",
        LOADING = 7 "loading",
        STALE = 8 "stale",
        SKIP_MONITOR = 9 "skip_monitor",
        SKIP_COMMANDLOG = 10 "skip_commandlog",
        ASKING = 11 "asking",
        FAST = 12 "fast",
        NO_AUTH = 13 "no_auth",
        NO_MANDATORY_KEYS = 14 "no_mandatory_keys",
        NO_ASYNC_LOADING = 15 "no_async_loading",
        NO_MULTI = 16 "no_multi",
        ALLOW_BUSY = 17 "allow_busy",
        MOVABLEKEYS = 18 "movablekeys",
    }
}

word_set! {
    /// The ACL categories of a command.
    pub struct Acl {
        KEYSPACE = 0 "@keyspace",
        READ = 1 "@read",
        WRITE = 2 "@write",
        SET = 3 "@set",
        SORTEDSET = 4 "@sortedset",
        LIST = 5 "@list",
        HASH = 6 "@hash",
        STRING = 7 "@string",
        BITMAP = 8 "@bitmap",
        HYPERLOGLOG = 9 "@hyperloglog",
        GEO = 10 "@geo",
        STREAM = 11 "@stream",
        PUBSUB = 12 "@pubsub",
        ADMIN = 13 "@admin",
        FAST = 14 "@fast",
        SLOW = 15 "@slow",
        BLOCKING = 16 "@blocking",
        DANGEROUS = 17 "@dangerous",
        CONNECTION = 18 "@connection",
        TRANSACTION = 19 "@transaction",
        SCRIPTING = 20 "@scripting",
    }
}

/// The family of a command, in the words of COMMAND DOCS.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Pubsub,
    Transactions,
    Connection,
    Server,
    Scripting,
    Hyperloglog,
    Cluster,
    Sentinel,
    Geo,
    Stream,
    Bitmap,
}

impl Group {
    /// Do its commands work on collections?
    #[inline]
    pub const fn has_collections(self) -> bool {
        matches!(self, Self::List | Self::Set | Self::SortedSet | Self::Hash | Self::Geo | Self::Stream)
    }

    /// Its word in COMMAND DOCS.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Hash => "hash",
            Self::Pubsub => "pubsub",
            Self::Transactions => "transactions",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Scripting => "scripting",
            Self::Hyperloglog => "hyperloglog",
            Self::Cluster => "cluster",
            Self::Sentinel => "sentinel",
            Self::Geo => "geo",
            Self::Stream => "stream",
            Self::Bitmap => "bitmap",
        }
    }
}

/// The kind of an argument, in the words of COMMAND DOCS.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgumentKind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl ArgumentKind {
    /// Its word in COMMAND DOCS.
    pub const fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Key => "key",
            Self::Pattern => "pattern",
            Self::UnixTime => "unix-time",
            Self::PureToken => "pure-token",
            Self::OneOf => "oneof",
            Self::Block => "block",
        }
    }
}

/// An argument of a command, as COMMAND DOCS describes it.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: ArgumentKind,
    /// How a synopsis shows it; empty if by its name.
    pub shown_as: &'static str,
    /// The literal word that announces it, or that it is.
    pub token: Option<&'static str>,
    /// For a key: the index of its key specification.
    pub key_spec: Option<u8>,
    /// A remark; mostly empty.
    pub summary: &'static str,
    /// May it be left out?
    pub optional: bool,
    /// May it come several times?
    pub multiple: bool,
    /// Does its token come each time?
    pub multiple_token: bool,
    /// The version that brought it; empty if it came with the command.
    pub since: &'static str,
    /// The version from which on it is not to be used; mostly empty.
    pub deprecated_since: &'static str,
    /// The parts of a block or the choices of a one-of.
    pub arguments: &'static [Argument],
}

impl Argument {
    const fn new(name: &'static str, kind: ArgumentKind) -> Self {
        Self {
            name,
            kind,
            shown_as: "",
            token: None,
            key_spec: None,
            summary: "",
            optional: false,
            multiple: false,
            multiple_token: false,
            since: "",
            deprecated_since: "",
            arguments: &[],
        }
    }

    /// Any bytes.
    pub const fn string(name: &'static str) -> Self {
        Self::new(name, ArgumentKind::String)
    }

    /// An integer.
    pub const fn integer(name: &'static str) -> Self {
        Self::new(name, ArgumentKind::Integer)
    }

    /// A floating point number.
    pub const fn double(name: &'static str) -> Self {
        Self::new(name, ArgumentKind::Double)
    }

    /// A glob pattern.
    pub const fn pattern(name: &'static str) -> Self {
        Self::new(name, ArgumentKind::Pattern)
    }

    /// A time in Unix time.
    pub const fn unix_time(name: &'static str) -> Self {
        Self::new(name, ArgumentKind::UnixTime)
    }

    /// A key that key specification `spec` finds.
    pub const fn key(name: &'static str, spec: u8) -> Self {
        Self::new(name, ArgumentKind::Key).key_spec(spec)
    }

    /// A literal word.
    pub const fn word(name: &'static str, word: &'static str) -> Self {
        Self::new(name, ArgumentKind::PureToken).after(word)
    }

    /// One of several.
    pub const fn one_of(name: &'static str, choices: &'static [Argument]) -> Self {
        Self { arguments: choices, ..Self::new(name, ArgumentKind::OneOf) }
    }

    /// Several, one after the other.
    pub const fn block(name: &'static str, parts: &'static [Argument]) -> Self {
        Self { arguments: parts, ..Self::new(name, ArgumentKind::Block) }
    }

    /// Behind this literal word.
    pub const fn after(self, token: &'static str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Found by key specification `spec`.
    pub const fn key_spec(self, spec: u8) -> Self {
        Self { key_spec: Some(spec), ..self }
    }

    /// Shown in a synopsis as `text`.
    pub const fn shown_as(self, text: &'static str) -> Self {
        Self { shown_as: text, ..self }
    }

    /// With a remark.
    pub const fn noted(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    /// May be left out.
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// May come several times.
    pub const fn multiple(self) -> Self {
        Self { multiple: true, ..self }
    }

    /// Its token comes each time.
    pub const fn with_token_each_time(self) -> Self {
        Self { multiple_token: true, ..self }
    }

    /// Came with this version.
    pub const fn since(self, version: &'static str) -> Self {
        Self { since: version, ..self }
    }

    /// Not to be used from this version on.
    pub const fn deprecated(self, version: &'static str) -> Self {
        Self { deprecated_since: version, ..self }
    }
}
