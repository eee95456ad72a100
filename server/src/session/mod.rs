//! One client: its socket, what it has sent, what it is owed, and what it has chosen.
//!
//! A session has at most one thing under way away from its core ([`Pending`]); until that is back it executes nothing
//! further, so replies keep the order of requests and memory in flight is bounded by the number of clients.

pub mod big;
pub mod output;
pub mod requests;
pub mod view;

use crate::admin::client::ClientKind;
use crate::admin::client::walk::Walk;
use crate::admin::watch::Watching;
use crate::blocking::{Blocked, Returnable};
use crate::listen::Ends;
use crate::long_reply::Sink;
use crate::mailbox::letter::{Answer, NewConnection};
use crate::migrate::Migrating;
use crate::multi::Multi;
use crate::observe::calls::Tracked;
use crate::pubsub::publish::Publishing;
use crate::pubsub::{Subscribing, Subscriptions};
use crate::tracking::Tracking;
use big::BigArgument;
use output::Output;
use ringkey_core::command::Command;
use ringkey_core::keyspace::slot::KeyHash;
use ringkey_core::resp::reply::Mark;
use ringkey_core::resp::request::ProtocolError;
use ringkey_core::resp::{Protocol, ReplyBuffer, Request, RequestParser, Span};
use ringkey_core::txn::flight::Flight;
use ringkey_core::units::{DbIndex, Millis, ShardId};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// An empty input buffer keeps no more than so many bytes.
const KEPT_INPUT_BYTES_MAX: usize = 16 * 1024;

/// So much output is no concern of limits, and CLIENT LIST shows more as a list of replies, in bytes.
pub const SHORT_OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// Who holds more than this is counted whenever something happens to it, others in the rounds, in bytes.
pub const COUNTED_AT_ONCE_BYTES: usize = 32 * 1024;

/// No room is kept for a large argument of more than so many bytes.
const KEPT_ROOM_BYTES_MAX: usize = 1 << 20;

/// A request that was parsed and waits for its turn in the pass.
#[derive(Clone, Copy)]
pub struct Parsed {
    /// Its row, if the name is known.
    pub row: Option<&'static Command>,
    /// Where its words are in the session's spans, which count from the start of the request.
    pub words: (u32, u32),
    /// The place and hash of its only key, for commands that have one at a fixed place.
    pub key: Option<(u32, KeyHash)>,
    /// Where the request starts in the input, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Does it lie in `Session::owned` instead of the input?
    pub is_owned: bool,
}

/// What a session waits for.
#[derive(Default)]
pub enum Pending {
    /// Nothing.
    #[default]
    Nothing,
    /// The replies of calls sent to one other core.
    Remote,
    /// A flight over several cores.
    Flight(Box<Flight>, Option<Box<GatheredCall>>),
    /// Answers of other cores.
    Answers(Box<Gathering>),
    /// Pages of a command over all connections, or the client, which is to read their text.
    Clients(Box<Walk>),
    /// The pieces of a long reply.
    LongReply(Box<Sink>),
    /// The calls of a transaction, which are all on one shard.
    Unit,
    /// The end of a pause (CLIENT PAUSE).
    Paused,
    /// Keys that have nothing for it, or the news whether they have.
    Blocked(Box<Blocked>),
    /// All cores, which are to hear what it listens to.
    Subscribing(Box<Subscribing>),
    /// The cores of those who get its messages.
    Publishing(Box<Publishing>),
    /// Another server, to which keys are brought (MIGRATE), or the shards of these keys.
    Migrating(Box<Migrating>),
}

impl Pending {
    /// Does the session wait for nothing?
    #[inline]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// The command that runs over lent entries.
pub struct GatheredCall {
    /// Its words.
    pub request: Request,
    /// The call.
    pub call: ringkey_core::txn::batch::Call,
    /// What it goes back to if it finds nothing and may wait.
    pub blocked: Option<Box<Blocked>>,
}

/// Questions to other cores whose answers are still to come.
pub struct Gathering {
    /// How many answers are missing.
    pub missing: usize,
    /// Those that came, with the core that gave them.
    pub answers: Vec<(usize, Answer)>,
    /// What is to be done with them.
    pub then: crate::admin::Then,
}

impl Gathering {
    /// Takes an answer; are all there now?
    pub fn take(&mut self, from: usize, answer: Answer) -> bool {
        self.answers.push((from, answer));
        self.missing -= 1;
        self.missing == 0
    }
}

/// CLIENT REPLY.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ReplyMode {
    /// Every command is answered.
    #[default]
    On,
    /// No command is answered.
    Off,
    /// The next command is not answered.
    SkipNext,
    /// This command is not answered.
    Skip,
}

/// Why and how a session ends.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Closing {
    /// It does not.
    #[default]
    No,
    /// As soon as everything owed has been sent.
    AfterReplies,
    /// Now.
    Now,
}

/// How fast the rest of a large argument comes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Pace {
    /// So fast that the kernel may collect it.
    #[default]
    Swift,
    /// Nothing was heard of it for a while: the kernel is to tell what it has.
    Asked,
    /// It is told whenever something comes: how much there is, and that the client is not idle, is not known otherwise.
    Slow,
}

/// One client.
pub struct Session {
    /// The socket.
    pub fd: OwnedFd,
    /// The client id.
    pub id: u64,
    /// Its place in the core's table.
    pub index: u32,
    /// Tells it from earlier users of its place.
    pub generation: u32,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// Is it on the port of its core, where it sees that core's keys alone?
    pub on_core_port: bool,
    /// The database it has chosen.
    pub db: DbIndex,
    /// What kind of client it is.
    pub kind: ClientKind,
    /// Was it large when it was last counted?
    pub is_large: bool,
    /// Is it shown all calls (MONITOR)?
    pub is_monitor: bool,
    /// Does it debug the scripts that it calls (SCRIPT DEBUG)?
    pub is_debugging: bool,
    /// Has it authenticated, or need it not?
    pub is_authenticated: bool,
    /// The transaction under way.
    pub multi: Option<Box<Multi>>,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// How it ends.
    pub closing: Closing,
    /// What it waits for.
    pub pending: Pending,
    /// Reads requests.
    pub parser: RequestParser,
    /// What came and has not been consumed; empty while everything is consumed in place.
    pub input: Vec<u8>,
    /// How much of `input` has been consumed.
    pub input_start: usize,
    /// Where the parser goes on, counted from `input_start` (or from the start of bytes read in place).
    pub parse_offset: usize,
    /// Requests that do not lie in the input (quoted words, large arguments), in order.
    pub owned: VecDeque<Request>,
    /// A breach of the protocol behind the parsed requests.
    pub breach: Option<ProtocolError>,
    /// A large argument under way.
    pub big: Option<BigArgument>,
    /// Room for the next large argument: who sent one is likely to send more of its size. The next tick without one
    /// gives it back.
    room: Vec<u8>,
    /// Has there been a large argument since the last tick?
    had_big: bool,
    /// The same, a tick longer: another one is likely.
    pub is_bulky: bool,
    /// Requests parsed and not yet executed, from `next_parsed` on.
    pub parsed: Vec<Parsed>,
    /// The next of `parsed` to be executed.
    pub next_parsed: usize,
    /// The words of `parsed`.
    pub spans: Vec<Span>,
    /// What is owed and being sent.
    pub output: Output,
    /// The keys it watches.
    pub watching: Option<Box<Watching>>,
    /// What it is to hear of keys that become stale.
    pub tracking: Option<Box<Tracking>>,
    /// Its core, if what it reads is to be remembered.
    pub tracker: Option<ShardId>,
    /// What it listens to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What was pushed while a reply was under way, and stands behind it.
    pub late: Option<Box<ReplyBuffer>>,
    /// Is it noted that something was pushed?
    pub is_pushed: bool,
    /// What of it blocking commands took out of the data set.
    pub returnable: Vec<Returnable>,
    /// Is a receive operation under way?
    pub is_receiving: bool,
    /// Does the operation write to the large argument under way?
    pub is_direct: bool,
    /// How fast the large argument under way comes.
    pub pace: Pace,
    /// Is it being cancelled because the client sends too fast?
    pub is_paused: bool,
    /// Has the client said that nothing more comes, or has the socket failed?
    pub is_deaf: bool,
    /// Since when it only waits for the client to read the end.
    pub lingers_since: Option<Millis>,
    /// The bytes that arrived were parsed ahead; this much of them is input.
    pub foreseen: Option<usize>,
    /// Has the socket been shut down?
    pub is_shut: bool,
    /// Rarely used facts.
    pub facts: Box<Facts>,
    /// When it last did anything.
    pub last_active: Millis,
    /// Its last command.
    pub last_command: Option<&'static Command>,
    /// Commands executed.
    pub commands: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// What is observed of its requests.
    pub tracked: Tracked,
}

/// What a client told about itself and where it comes from.
#[derive(Default)]
pub struct Facts {
    /// Who is at the two ends.
    pub ends: Ends,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: Vec<u8>,
    /// When it connected.
    pub since: Millis,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// CLIENT IMPORT-SOURCE.
    pub is_source: bool,
    /// CLIENT CAPA REDIRECT.
    pub follows_redirects: bool,
    /// READONLY.
    pub read_only: bool,
    /// Has it ever called MULTI?
    pub has_used_multi: bool,
}

impl Session {
    /// A session for a new connection.
    pub fn new(new: NewConnection, index: u32, generation: u32, now: Millis, is_authenticated: bool) -> Self {
        Self {
            fd: new.fd,
            id: new.id,
            index,
            generation,
            protocol: Protocol::Resp2,
            on_core_port: new.on_core_port,
            db: DbIndex(0),
            kind: ClientKind::Normal,
            is_large: false,
            is_monitor: false,
            is_debugging: false,
            is_authenticated,
            multi: None,
            reply_mode: ReplyMode::On,
            closing: Closing::No,
            pending: Pending::Nothing,
            parser: RequestParser::default(),
            input: Vec::new(),
            input_start: 0,
            parse_offset: 0,
            owned: VecDeque::new(),
            breach: None,
            next_parsed: 0,
            big: None,
            room: Vec::new(),
            had_big: false,
            is_bulky: false,
            parsed: Vec::new(),
            spans: Vec::new(),
            output: Output::default(),
            watching: None,
            tracking: None,
            tracker: None,
            subscriptions: None,
            late: None,
            is_pushed: false,
            returnable: Vec::new(),
            is_receiving: false,
            is_direct: false,
            pace: Pace::Swift,
            is_paused: false,
            is_deaf: false,
            lingers_since: None,
            foreseen: None,
            is_shut: false,
            facts: Box::new(Facts { ends: new.ends, since: now, ..Facts::default() }),
            last_active: now,
            last_command: None,
            commands: 0,
            bytes_in: 0,
            tracked: Tracked::default(),
        }
    }

    /// Is the client on this machine?
    pub fn is_local(&self) -> bool {
        self.facts.ends.is_local
    }

    /// Is there something that it could execute, were it not waiting?
    pub fn has_work(&self) -> bool {
        self.pending.is_nothing()
            && self.closing == Closing::No
            && (self.next_parsed < self.parsed.len()
                || self.breach.is_some()
                || self.parse_offset < self.input.len() - self.input_start)
    }

    /// Keeps bytes that were not consumed in place.
    pub fn keep(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.input.capacity() == 0 {
            // The rest of a request seldom comes alone.
            self.input.reserve_exact(KEPT_INPUT_BYTES_MAX.max(bytes.len()));
        }
        self.input.extend_from_slice(bytes);
    }

    /// Gives memory of the input buffer back; `is_idle`: nothing has come for a while.
    pub fn shrink_input(&mut self, is_idle: bool) {
        let used = self.input.len() - self.input_start;
        if self.input.capacity() > KEPT_INPUT_BYTES_MAX.max(2 * used) || (is_idle && self.input.capacity() > used) {
            self.input.drain(..self.input_start);
            self.input_start = 0;
            self.input.shrink_to_fit();
        }
        self.is_bulky = std::mem::take(&mut self.had_big);
        if !self.is_bulky && self.room.capacity() > 0 {
            self.room = Vec::new();
        }
        if !is_idle {
            return;
        }
        if let Some(big) = &mut self.big {
            big.shrink();
        }
        self.parser.shrink();
        if self.parsed.is_empty() {
            self.parsed = Vec::new();
            self.spans = Vec::new();
            self.owned.shrink_to_fit();
        }
        self.output.shrink();
    }

    /// Room in buffers for what the client may send next, in bytes.
    fn query_room(&self) -> usize {
        let free = |buffer: &Vec<u8>| buffer.capacity() - buffer.len();
        free(&self.input) + self.room.capacity() + self.big.as_ref().map_or(0, |big| big.held_bytes() - big.come())
    }

    /// Memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of::<Facts>()
            + self.input.capacity()
            + self.big.as_ref().map_or(0, BigArgument::held_bytes)
            + self.room.capacity()
            + self.parser.held_bytes()
            + self.parsed.capacity() * size_of::<Parsed>()
            + self.spans.capacity() * size_of::<Span>()
            + self.output.held_bytes()
            + self.watching.as_ref().map_or(0, |watching| watching.held_bytes())
            + self.tracking.as_ref().map_or(0, |tracking| tracking.held_bytes())
            + self.subscriptions.as_ref().map_or(0, |own| own.held_bytes())
            + self.late.as_ref().map_or(0, |late| late.len())
            + self.multi.as_ref().map_or(0, |multi| multi.held_bytes())
            + if let Pending::Clients(walk) = &self.pending { walk.held_bytes() } else { 0 }
    }

    /// Is it neither ending nor ended?
    pub fn is_open(&self) -> bool {
        self.closing != Closing::Now && !self.is_shut
    }

    /// The ticket under which batches and answers find this session again.
    pub fn ticket(&self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The index and generation of the session that a ticket names.
    pub fn place_of(ticket: u64) -> (u32, u32) {
        (ticket as u32, (ticket >> 32) as u32)
    }

    /// Begins a large argument of `len` bytes, of which `payload` has come; a client may send `limit` bytes.
    pub fn begin_big(&mut self, len: usize, payload: &[u8], limit: usize) {
        let whole = len + 2;
        if whole > limit {
            let swallow = whole.min(limit + KEPT_INPUT_BYTES_MAX).saturating_sub(payload.len());
            self.big = Some(BigArgument::refused(len, swallow));
            return;
        }
        let mut big = BigArgument::new(len, std::mem::take(&mut self.room));
        big.take(payload);
        self.big = Some(big);
    }

    /// Takes bytes for the large argument under way; returns what is left of `bytes`.
    pub fn feed_big<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(big) = &mut self.big else { return bytes };
        let rest = big.take(bytes);
        self.finish_big();
        rest
    }

    /// The kernel has written `count` bytes to the large argument under way.
    pub fn filled_big(&mut self, count: usize) {
        if let Some(big) = &mut self.big {
            big.filled(count);
            self.finish_big();
        }
    }

    fn finish_big(&mut self) {
        if let Some(big) = self.big.take_if(|big| big.is_complete()) {
            if big.payload_len() <= KEPT_ROOM_BYTES_MAX {
                self.room = Vec::with_capacity(big.payload_len() + 2);
            }
            self.had_big = true;
            self.pace = Pace::Swift;
            self.is_bulky = true;
            self.parser.supply(big.into_payload());
        }
    }

    /// Appends replies that came from elsewhere, unless the client wants none.
    pub fn append_replies(&mut self, from: &ReplyBuffer, start: Mark, end: Mark) {
        if self.reply_mode == ReplyMode::On {
            self.output.pending.append_range(from, start, end);
        } else if self.reply_mode == ReplyMode::Skip {
            self.reply_mode = ReplyMode::On;
        }
    }

    /// Puts requests back that are to be executed before all others.
    pub fn put_back_requests(
        &mut self,
        requests: impl DoubleEndedIterator<Item = (&'static Command, Option<(u32, KeyHash)>, Request)>,
    ) {
        let at = self.next_parsed;
        for (row, key, request) in requests.rev() {
            self.owned.push_front(request);
            let parsed = Parsed { row: Some(row), words: (0, 0), key, start: 0, end: 0, is_owned: true };
            self.parsed.insert(at, parsed);
        }
    }

    /// Notes that `consumed` bytes at the front of the input are done with.
    pub fn consume(&mut self, consumed: usize) {
        self.parse_offset -= consumed;
        for parsed in &mut self.parsed[self.next_parsed..] {
            parsed.start -= consumed;
            parsed.end -= consumed;
        }
        if self.next_parsed == self.parsed.len() {
            self.parsed.clear();
            self.spans.clear();
            self.next_parsed = 0;
        }
    }

    /// Lets go of consumed input.
    pub fn compact_input(&mut self) {
        if self.input_start == self.input.len() {
            self.input.clear();
            self.input_start = 0;
            self.input.shrink_to(KEPT_INPUT_BYTES_MAX);
        } else if self.input_start > self.input.len() / 2 {
            self.input.drain(..self.input_start);
            self.input_start = 0;
        }
    }

    /// Bytes at the front of the input that belong to a request whose large argument is under way.
    pub fn begun_bytes(&self) -> usize {
        let begun = self.parsed.last().map_or(0, |parsed| parsed.end);
        if self.big.is_some() { self.parse_offset.saturating_sub(begun) } else { 0 }
    }

    /// What the client has sent and we hold, in bytes.
    pub fn query_bytes(&self) -> usize {
        self.input.len() - self.input_start + self.big.as_ref().map_or(0, BigArgument::come) + self.parser.held_bytes()
    }
}
