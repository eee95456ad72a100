//! What travels between cores: calls, packed so that everything one pass has for another core is one message.
//!
//! A batch goes to a shard, is carried out there, and comes home with the replies written into it; its buffers serve
//! again. It holds jobs of several connections; a job is what one connection (or one leg of a transaction) has for the
//! shard, and holds calls in program order.

use super::locks::{Fingerprint, Mode, Owner, Request as LockRequest};
use crate::command::{Command, Fixed, Flags, Group};
use crate::keyspace::events::Event;
use crate::keyspace::tracked::Trackers;
use crate::keyspace::watched::Touch;
use crate::keyspace::{KeyHash, Loan, OwnedEntry};
use crate::resp::reply::Mark;
use crate::resp::{Args, Protocol, ReplyBuffer, Span};
use crate::units::{DbIndex, ShardId};
use bytes::Bytes;
use smallvec::SmallVec;

/// What a shard is to do with a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Run the calls as soon as no lock forbids it.
    Run,
    /// The same, and keep the locks of the calls marked so until they are released.
    RunAndKeep,
    /// Take all locks if that needs no waiting; run nothing.
    TryLock,
    /// The locks are held: run the calls and release them.
    RunHeld,
    /// The locks are held: run the calls, and keep the locks until they are released.
    RunHeldAndKeep,
    /// Lock the keys exclusively and hand their entries over; or the whole shard, and hand over all that it has.
    Lend,
    /// The locks are held: hand over.
    LendHeld,
    /// Take back what was lent and release the locks. Nobody waits for an answer.
    Return,
    /// Keep the locks: the core itself looks at the shard between transactions, and releases them.
    Visit,
    /// The same for the only call of the job, whose reply the core writes piece by piece.
    Stay,
    /// Note who waits for the keys of its call that this shard owns, and tell its core when one of them has got something.
    /// Nobody waits for an answer.
    Watch,
    /// An answer to [`Order::Watch`]: a key has got something.
    Poke,
}

/// How a job that may block its client stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocking {
    /// It may not.
    No,
    /// It waits if it finds nothing.
    May,
    /// It waits at the shard, and the reply comes later.
    Parked,
    /// It has been carried out.
    Served,
    /// Nobody waits for it any more, or: it was given up, and nothing was done.
    Cancelled,
}

/// Why a call was put off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PutOff {
    /// Its reply would be so long that it is to be written piece by piece.
    Long,
    /// It is a script that touches keys of other shards, and has been undone.
    Elsewhere,
    /// It is a script that takes long: its shard goes on with it, and its reply comes later in a batch of its own.
    Suspended,
}

/// What a job locks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The keys of its calls.
    Keys,
    /// The whole shard.
    Whole(Mode),
}

/// One command for the shard.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its row.
    pub row: &'static Command,
    /// The database the client has chosen.
    pub db: DbIndex,
    /// The protocol of the reply.
    pub protocol: Protocol,
    /// Its words: a range of the batch's spans.
    pub words: (u32, u32),
    /// The place and hash of its first key, if known.
    pub first_key: Option<(u32, KeyHash)>,
    /// Does it leave access times alone (CLIENT NO-TOUCH)?
    pub no_touch: bool,
    /// Does its client fill the server (CLIENT IMPORT-SOURCE)?
    pub is_source: bool,
    /// Must its keys stay locked until the transaction ends?
    pub keep: bool,
    /// Is it only a part of what the client asked for? Then its home core counts the whole.
    pub is_part: bool,
    /// May its reply be put off, to be written piece by piece, if it is long? Not where other calls wait for its end.
    pub may_put_off: bool,
    /// The id of its client.
    pub client: u64,
    /// The core of the client, if it keeps copies of what it reads: its keys are remembered.
    pub tracker: Option<ShardId>,
}

impl Call {
    /// A call with nothing out of the ordinary, of no client in particular; it has no words yet.
    pub fn new(row: &'static Command, db: DbIndex, protocol: Protocol, first_key: Option<(u32, KeyHash)>) -> Self {
        Self {
            row,
            db,
            protocol,
            words: (0, 0),
            first_key,
            no_touch: false,
            is_source: false,
            keep: false,
            is_part: false,
            may_put_off: false,
            client: 0,
            tracker: None,
        }
    }
}

/// Locks to be asked for; most stretches need no allocation for them.
pub type LockRequests = SmallVec<[LockRequest; 16]>;

/// May calls of this row write? What a script does is not known, unless its command says that it only reads.
#[inline]
pub fn may_write(row: &Command) -> bool {
    row.flags.has(Flags::WRITE) || (row.group == Group::Scripting && !row.flags.has(Flags::READONLY))
}

/// The lock that a command needs on one key: exclusive if it writes.
#[inline]
pub fn lock_of(row: &Command, hash: KeyHash) -> LockRequest {
    let mode = if may_write(row) { Mode::Exclusive } else { Mode::Shared };
    LockRequest { fingerprint: Fingerprint(hash.hash), mode }
}

/// What one connection has for the shard.
#[derive(Clone, Debug)]
pub struct Job {
    /// Who waits for it, in the words of its home core.
    pub ticket: u64,
    /// The owner of its locks.
    pub owner: Owner,
    /// What to do.
    pub order: Order,
    /// What it locks.
    pub reach: Reach,
    /// Its calls: a range of the batch's calls.
    pub calls: (u32, u32),
    /// The locks it asks for, for [`Order::TryLock`] without calls: a range of the batch's locks.
    pub locks: (u32, u32),
    /// Was it not done (or were its locks refused, for [`Order::TryLock`])?
    pub refused: bool,
    /// Has a key of its watcher changed? Then nothing was run or lent; the locks that it asks for it has nevertheless.
    pub is_stale: bool,
    /// Where its replies begin.
    pub replies_from: Mark,
    /// How long its calls took that are parts, in ticks.
    pub part_ticks: u64,
    /// How many calls the scripts among its calls have made.
    pub within: u64,
    /// May it wait for keys, or does it?
    pub blocking: Blocking,
    /// The call that was put off, and why: neither it nor those behind it were run to the end.
    pub put_off: Option<(u32, PutOff)>,
    /// May it be answered with an error instead of being run, if it would have to wait for too long? Not what is a part of something.
    pub may_be_turned_away: bool,
    /// Do its calls take effect together? Then nobody else is served between them.
    pub is_unit: bool,
    /// Does what its calls make of keys go home with the replies, to be told there in the order of all its client's calls?
    pub brings_events: bool,
    /// Has its call waited for keys already? Then those who monitor have seen it.
    pub is_noted: bool,
    /// The client whose watched keys are looked at before anything is run or lent: the job is stale if one has changed.
    /// What it watches is locked for reading, too, so that nobody who changes it is half done. None: 0.
    pub watcher: u64,
}

impl Job {
    /// Does its return bring replies or entries for whoever sent it, and no news of somebody who waits for keys?
    #[inline]
    pub fn is_of_calls(&self) -> bool {
        self.blocking == Blocking::No && !matches!(self.order, Order::Watch | Order::Poke)
    }
}

/// An entry that travels: its database, its key's word, and what the shard had there.
#[derive(Debug)]
pub struct Lent {
    /// The database.
    pub db: DbIndex,
    /// The index of the span with the key.
    pub key: u32,
    /// The entry, if the key exists.
    pub entry: Option<OwnedEntry>,
    /// What became of it meanwhile, for those who watch the key at home.
    pub touch: Option<Touch>,
    /// Who has read the key.
    pub trackers: Trackers,
}

/// A message between cores.
#[derive(Debug, Default)]
pub struct Batch {
    /// The core to which it comes home.
    pub home: ShardId,
    /// Is it on its way home?
    pub is_answer: bool,
    /// The words of all calls.
    pub bytes: Vec<u8>,
    /// Large words.
    pub shared: Vec<Bytes>,
    /// Where the words are.
    pub spans: Vec<Span>,
    /// The calls.
    pub calls: Vec<Call>,
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Locks that jobs ask for.
    pub locks: Vec<LockRequest>,
    /// The end of each call's reply.
    pub ends: Vec<Mark>,
    /// The replies.
    pub replies: ReplyBuffer,
    /// Entries on their way to or from a borrower.
    pub lent: Vec<Lent>,
    /// Does anybody watch keys of the shard that lends?
    pub is_watched: bool,
    /// What calls have made of keys, for those who subscribe to it: the index of the call, and the event. Of jobs that bring
    /// theirs home.
    pub events: Vec<(u32, Event)>,
    /// All data of a shard on its way to or from a borrower.
    pub loan: Option<Loan>,
    /// Owners whose locks are to be released before anything else is done.
    pub releases: Vec<Owner>,
    /// Clients who watch nothing any more: forgotten before anything else is done.
    pub unwatches: Vec<u64>,
    /// Jobs that wait for keys and are given up, after everything else is done.
    pub cancels: Vec<Owner>,
    /// Does it come home besides the batch that brought its job?
    pub is_extra: bool,
    /// Calls that were slow, and how long they took, in ticks.
    pub slow: Vec<(u32, u64)>,
    /// When it left its home core, in ticks.
    pub sent_at: u64,
}

/// A batch keeps no more than so many bytes of buffers between its uses.
const RECYCLED_BYTES_MAX: usize = 256 * 1024;

/// And room for so many calls, words and the like.
const RECYCLED_PARTS_MAX: usize = 4096;

impl Batch {
    /// An empty batch of core `home`.
    pub fn new(home: ShardId) -> Self {
        Self { home, ..Self::default() }
    }

    /// Empties it for its next use; lets go of overlarge buffers.
    pub fn recycle(&mut self) {
        debug_assert!(self.loan.is_none(), "the data of a shard goes home");
        self.is_answer = false;
        self.is_extra = false;
        self.is_watched = false;
        self.cancels.clear();
        self.unwatches.clear();
        self.shared.clear();
        self.spans.clear();
        self.calls.clear();
        self.jobs.clear();
        self.locks.clear();
        self.ends.clear();
        self.lent.clear();
        self.events.clear();
        self.releases.clear();
        self.slow.clear();
        self.bytes.clear();
        self.replies.clear();
        self.shared.shrink_to(RECYCLED_PARTS_MAX);
        self.spans.shrink_to(RECYCLED_PARTS_MAX);
        self.calls.shrink_to(RECYCLED_PARTS_MAX);
        self.jobs.shrink_to(RECYCLED_PARTS_MAX);
        self.locks.shrink_to(RECYCLED_PARTS_MAX);
        self.ends.shrink_to(RECYCLED_PARTS_MAX);
        self.lent.shrink_to(RECYCLED_PARTS_MAX);
        self.events.shrink_to(RECYCLED_PARTS_MAX);
        self.releases.shrink_to(RECYCLED_PARTS_MAX);
        self.replies.shared.shrink_to(RECYCLED_PARTS_MAX);
        self.bytes.shrink_to(RECYCLED_BYTES_MAX);
        self.replies.bytes.shrink_to(RECYCLED_BYTES_MAX);
    }

    /// Nothing to do and nothing to release?
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.releases.is_empty() && self.cancels.is_empty() && self.unwatches.is_empty()
    }

    /// Does anybody wait for its return? Not of releases, returned entries, and those who want to be told later.
    pub fn is_awaited(&self) -> bool {
        self.jobs.iter().any(|job| !matches!(job.order, Order::Return | Order::Watch | Order::Stay))
    }

    /// Does it only tell that its jobs wait for keys? Nobody needs to wake for that.
    pub fn is_news_of_waiting(&self) -> bool {
        self.is_answer && self.jobs.iter().all(|job| job.blocking == Blocking::Parked) && !self.jobs.is_empty()
    }

    /// Opens a job; the calls pushed from now on are its calls.
    pub fn open_job(&mut self, ticket: u64, owner: Owner, order: Order, reach: Reach) {
        let at = self.calls.len() as u32;
        let locks = (0, 0);
        let replies_from = Mark::default();
        let (calls, refused, part_ticks, blocking, put_off) = ((at, at), false, 0, Blocking::No, None);
        self.jobs.push(Job {
            ticket,
            owner,
            order,
            reach,
            calls,
            locks,
            refused,
            is_stale: false,
            replies_from,
            part_ticks,
            within: 0,
            blocking,
            put_off,
            may_be_turned_away: false,
            is_unit: false,
            brings_events: false,
            is_noted: false,
            watcher: 0,
        });
    }

    /// Copies the calls of `other` into the job opened last.
    pub fn push_calls_of(&mut self, other: &Batch) {
        let (bytes, shared, spans) = (self.bytes.len(), self.shared.len(), self.spans.len() as u32);
        self.bytes.extend_from_slice(&other.bytes);
        self.shared.extend_from_slice(&other.shared);
        self.spans.extend(other.spans.iter().map(|span| span.shifted(bytes, shared)));
        let shift = |call: &Call| Call { words: (call.words.0 + spans, call.words.1 + spans), ..call.clone() };
        self.calls.extend(other.calls.iter().map(shift));
        let job = self.jobs.last_mut().expect("a job is opened before its calls are pushed");
        job.calls.1 = self.calls.len() as u32;
    }

    /// Has the job opened last ask for the locks of `other`.
    pub fn push_locks_of(&mut self, other: &Batch) {
        let from = self.locks.len() as u32;
        self.locks.extend_from_slice(&other.locks);
        let job = self.jobs.last_mut().expect("a job is opened before its locks are pushed");
        job.locks = (from, self.locks.len() as u32);
    }

    /// Copies one call of `other` into the job opened last.
    pub fn push_call_of(&mut self, other: &Batch, call: &Call) {
        self.push_call(call, &other.args(call));
    }

    /// Notes the locks that its only job needs.
    pub fn fill_locks(&mut self, hash: impl Fn(&[u8]) -> KeyHash) {
        self.locks.clear();
        let requests = self.lock_requests(&self.jobs[0], false, hash);
        self.locks.extend_from_slice(&requests);
    }

    /// Copies a call into the job opened last.
    pub fn push_call(&mut self, call: &Call, args: &Args<'_>) {
        let from = self.spans.len() as u32;
        match args.in_one_piece() {
            Some((bytes, start, spans)) => {
                let at = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                self.spans.extend(spans.iter().map(|span| span.moved(start, at)));
            }
            None => (0..args.len()).for_each(|index| self.push_word(args, index)),
        }
        self.close_call(call, from);
    }

    /// Copies a call made of some of the words of `args`: the name and `words`.
    pub fn push_fragment(&mut self, call: &Call, args: &Args<'_>, words: std::ops::Range<usize>) {
        let from = self.spans.len() as u32;
        self.push_word(args, 0);
        words.for_each(|index| self.push_word(args, index));
        self.close_call(call, from);
    }

    fn push_word(&mut self, args: &Args<'_>, index: usize) {
        match args.shared(index) {
            Some(bytes) => {
                self.spans.push(Span::shared(self.shared.len()));
                self.shared.push(bytes.clone());
            }
            None => {
                let word = args.get(index);
                self.spans.push(Span::new(self.bytes.len(), word.len()));
                self.bytes.extend_from_slice(word);
            }
        }
    }

    fn close_call(&mut self, call: &Call, from: u32) {
        self.calls.push(Call { words: (from, self.spans.len() as u32), ..call.clone() });
        let job = self.jobs.last_mut().expect("a job is opened before its calls are pushed");
        job.calls.1 = self.calls.len() as u32;
    }

    /// The words of a call.
    pub fn args(&self, call: &Call) -> Args<'_> {
        Args::new(&self.bytes, &self.spans[call.words.0 as usize..call.words.1 as usize], &self.shared)
    }

    /// Gives the only call other words in some places.
    pub fn fix_words(&mut self, fixed: &Fixed) {
        let from = self.calls[0].words.0 as usize;
        for (index, word) in fixed {
            self.spans[from + index] = Span::new(self.bytes.len(), word.len());
            self.bytes.extend_from_slice(word);
        }
    }

    /// The word at `index` of the spans.
    pub fn word(&self, index: u32) -> &[u8] {
        let at = index as usize;
        Args::new(&self.bytes, &self.spans[at..=at], &self.shared).get(0)
    }

    /// The reply of call `index`, as a range of the replies.
    pub fn reply_range(&self, job: &Job, index: u32) -> (Mark, Mark) {
        let from = if index == job.calls.0 { job.replies_from } else { self.ends[index as usize - 1] };
        (from, self.ends[index as usize])
    }

    /// Takes the replies of job `index` of `other` over, as those of its own job.
    pub fn take_replies(&mut self, other: &Batch, index: usize) {
        let job = &other.jobs[index];
        let (from, base) = (job.calls.0 as usize, job.replies_from);
        self.replies.clear();
        self.ends.clear();
        let moved = |end: &Mark| Mark { bytes: end.bytes - base.bytes, shared: end.shared - base.shared };
        self.ends.extend(other.ends[from..job.calls.1 as usize].iter().map(moved));
        self.replies.append_range(&other.replies, base, other.end_of(job));
        self.jobs[0].calls = (0, self.ends.len() as u32);
        self.jobs[0].replies_from = Mark::default();
        let own = other.events.iter().filter(|(call, _)| (job.calls.0..job.calls.1).contains(call));
        self.events.extend(own.map(|(call, event)| (call - job.calls.0, event.clone())));
    }

    /// Where the replies of a job end.
    pub fn end_of(&self, job: &Job) -> Mark {
        if job.calls.0 == job.calls.1 { job.replies_from } else { self.ends[job.calls.1 as usize - 1] }
    }

    /// Moves job `index` into a batch of its own, because it must wait.
    pub fn split_off(&self, index: usize) -> Box<Batch> {
        let job = &self.jobs[index];
        let mut alone = Box::new(Batch::new(self.home));
        alone.sent_at = self.sent_at;
        alone.is_extra = true;
        alone.open_job(job.ticket, job.owner, job.order, job.reach);
        alone.jobs[0].blocking = job.blocking;
        alone.jobs[0].may_be_turned_away = job.may_be_turned_away;
        (alone.jobs[0].is_unit, alone.jobs[0].watcher) = (job.is_unit, job.watcher);
        alone.jobs[0].brings_events = job.brings_events;
        for call in &self.calls[job.calls.0 as usize..job.calls.1 as usize] {
            alone.push_call(call, &self.args(call));
        }
        alone
    }

    /// Copies a call of job `index` into a batch of its own.
    pub fn split_off_call(&self, index: usize, at: u32) -> Box<Batch> {
        let (job, call) = (&self.jobs[index], &self.calls[at as usize]);
        let mut alone = Box::new(Batch::new(self.home));
        alone.sent_at = self.sent_at;
        alone.is_extra = true;
        alone.open_job(job.ticket, job.owner, Order::Run, Reach::Keys);
        alone.push_call(call, &self.args(call));
        alone
    }

    /// The locks of a job: of all its calls, or only of those that keep theirs.
    pub fn lock_requests(&self, job: &Job, only_kept: bool, hash: impl Fn(&[u8]) -> KeyHash) -> LockRequests {
        if job.locks.0 != job.locks.1 {
            return self.locks[job.locks.0 as usize..job.locks.1 as usize].iter().copied().collect();
        }
        let mut requests = LockRequests::new();
        for call in &self.calls[job.calls.0 as usize..job.calls.1 as usize] {
            if only_kept && !call.keep {
                continue;
            }
            let args = self.args(call);
            if job.order == Order::Lend {
                let keys = args
                    .iter()
                    .map(|key| LockRequest { fingerprint: Fingerprint(hash(key).hash), mode: Mode::Exclusive });
                requests.extend(keys);
                continue;
            }
            push_key_locks(call.row, &args, call.first_key, &hash, &mut requests);
        }
        requests
    }
}

/// The locks that a call needs: exclusive for commands that write, else shared.
pub fn push_key_locks(
    row: &Command,
    args: &Args<'_>,
    first_key: Option<(u32, KeyHash)>,
    hash: impl Fn(&[u8]) -> KeyHash,
    requests: &mut LockRequests,
) {
    // Only calls with one key bring its hash along.
    if let Some((_, known)) = first_key {
        return requests.push(lock_of(row, known));
    }
    row.visit_keys(args, |index, _| requests.push(lock_of(row, hash(args.get(index)))));
}
