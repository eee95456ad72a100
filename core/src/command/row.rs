//! The row of a command: everything that is known about it, in one place.
//!
//! The words are Valkey's (flags, ACL categories, tips, key specifications), so that its documentation explains our
//! table and COMMAND can answer from it.

use super::keys::{KeyRule, KeySpec};
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

/// What happens to a command whose keys live on several shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// The keys are locked and lent to one shard, which runs the command as if it were alone.
    Gather,
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
    ConfigHelp,
    Info,
    RandomKey,
    Scan,
    SwapDb,
    Shutdown,
    Debug,
    ObjectHelp,
}

/// How a command behaves: Valkey's command flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u32);

#[allow(missing_docs)]
impl Flags {
    pub const NONE: Self = Self(0);
    pub const WRITE: Self = Self(1 << 0);
    pub const READONLY: Self = Self(1 << 1);
    pub const DENYOOM: Self = Self(1 << 2);
    pub const ADMIN: Self = Self(1 << 3);
    pub const PUBSUB: Self = Self(1 << 4);
    pub const NOSCRIPT: Self = Self(1 << 5);
    pub const BLOCKING: Self = Self(1 << 6);
    pub const LOADING: Self = Self(1 << 7);
    pub const STALE: Self = Self(1 << 8);
    pub const SKIP_MONITOR: Self = Self(1 << 9);
    pub const SKIP_COMMANDLOG: Self = Self(1 << 10);
    pub const ASKING: Self = Self(1 << 11);
    pub const FAST: Self = Self(1 << 12);
    pub const NO_AUTH: Self = Self(1 << 13);
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 14);
    pub const NO_ASYNC_LOADING: Self = Self(1 << 15);
    pub const NO_MULTI: Self = Self(1 << 16);
    pub const ALLOW_BUSY: Self = Self(1 << 17);
    pub const MOVABLEKEYS: Self = Self(1 << 18);

    /// Every member with its word on the wire, in the order in which Valkey lists them.
    pub const WORDS: &'static [(Self, &'static str)] = &[
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::PUBSUB, "pubsub"),
        (Self::NOSCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::SKIP_MONITOR, "skip_monitor"),
        (Self::SKIP_COMMANDLOG, "skip_commandlog"),
        (Self::ASKING, "asking"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (Self::NO_ASYNC_LOADING, "no_async_loading"),
        (Self::NO_MULTI, "no_multi"),
        (Self::ALLOW_BUSY, "allow_busy"),
        (Self::MOVABLEKEYS, "movablekeys"),
    ];
}

impl Flags {
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

/// The ACL categories of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Acl(u32);

#[allow(missing_docs)]
impl Acl {
    pub const NONE: Self = Self(0);
    pub const KEYSPACE: Self = Self(1 << 0);
    pub const READ: Self = Self(1 << 1);
    pub const WRITE: Self = Self(1 << 2);
    pub const SET: Self = Self(1 << 3);
    pub const SORTEDSET: Self = Self(1 << 4);
    pub const LIST: Self = Self(1 << 5);
    pub const HASH: Self = Self(1 << 6);
    pub const STRING: Self = Self(1 << 7);
    pub const BITMAP: Self = Self(1 << 8);
    pub const HYPERLOGLOG: Self = Self(1 << 9);
    pub const GEO: Self = Self(1 << 10);
    pub const STREAM: Self = Self(1 << 11);
    pub const PUBSUB: Self = Self(1 << 12);
    pub const ADMIN: Self = Self(1 << 13);
    pub const FAST: Self = Self(1 << 14);
    pub const SLOW: Self = Self(1 << 15);
    pub const BLOCKING: Self = Self(1 << 16);
    pub const DANGEROUS: Self = Self(1 << 17);
    pub const CONNECTION: Self = Self(1 << 18);
    pub const TRANSACTION: Self = Self(1 << 19);
    pub const SCRIPTING: Self = Self(1 << 20);

    /// Every member with its word on the wire, in the order in which Valkey lists them.
    pub const WORDS: &'static [(Self, &'static str)] = &[
        (Self::KEYSPACE, "@keyspace"),
        (Self::READ, "@read"),
        (Self::WRITE, "@write"),
        (Self::SET, "@set"),
        (Self::SORTEDSET, "@sortedset"),
        (Self::LIST, "@list"),
        (Self::HASH, "@hash"),
        (Self::STRING, "@string"),
        (Self::BITMAP, "@bitmap"),
        (Self::HYPERLOGLOG, "@hyperloglog"),
        (Self::GEO, "@geo"),
        (Self::STREAM, "@stream"),
        (Self::PUBSUB, "@pubsub"),
        (Self::ADMIN, "@admin"),
        (Self::FAST, "@fast"),
        (Self::SLOW, "@slow"),
        (Self::BLOCKING, "@blocking"),
        (Self::DANGEROUS, "@dangerous"),
        (Self::CONNECTION, "@connection"),
        (Self::TRANSACTION, "@transaction"),
        (Self::SCRIPTING, "@scripting"),
    ];
}

impl Acl {
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
