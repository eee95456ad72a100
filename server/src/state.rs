//! Everything one core owns except its ring: shard, sessions, mailboxes, counters. Split from the ring so that requests
//! are executed in place while they lie in the ring's buffers.

mod homecoming;

use crate::admin::client::pause::Paused;
use crate::admin::client::walk::Task;
use crate::aside::Aside;
use crate::batch_wait::BatchWait;
use crate::busy::Holds;
use crate::census::Census;
use crate::clock;
use crate::gather::Holding;
use crate::listen::Listener;
use crate::long_reply::Source;
use crate::mailbox::letter::{Answer, DebugOrder, Letter, NewConnection, Notice, Question};
use crate::mailbox::mesh::Mesh;
use crate::memory::ThreadMemory;
use crate::migrate::movers::Movers;
use crate::monitor::Monitoring;
use crate::multi::Multi;
use crate::observe::crash;
use crate::process::keeper::Keeper;
use crate::pubsub::Pubsub;
use crate::rounds::Rounds;
use crate::script::registry::Registry;
use crate::seat::Seat;
use crate::session::output::RoomRule;
use crate::session::{Closing, Parsed, Pending, Session};
use crate::statistics::Statistics;
use crate::tracking::Trackings;
use crate::tuning::Tuning;
use ringkey_core::command::Names;
use ringkey_core::commands::Hold;
use ringkey_core::keyspace::events::EventClass;
use ringkey_core::keyspace::slot::ShardMap;
use ringkey_core::observe::{CommandLog, LatencyEvents, LogKind, Paths};
use ringkey_core::resp::{ReplyBuffer, Span};
use ringkey_core::settings::{Setting, Settings};
use ringkey_core::txn::assembly::Assembly;
use ringkey_core::txn::batch::{Batch, Order, Reach};
use ringkey_core::txn::flight::{Flight, Progress, Step};
use ringkey_core::txn::locks::Owner;
use ringkey_core::txn::site::{Site, Workbench};
use ringkey_core::units::{Millis, ShardId};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What all cores know of the process.
pub struct Process {
    /// The program.
    pub executable: String,
    /// The configuration file; empty if there is none.
    pub config_file: PathBuf,
    /// How commands are called.
    pub names: &'static Names,
    /// A random name of this run: 40 hexadecimal digits.
    pub run_id: String,
    /// When it started.
    pub started: Millis,
    /// The kernel, as INFO shows it.
    pub os: String,
    /// Secret seed of everything that must not be guessed.
    pub seed: u64,
    /// How many processors it may use.
    pub processors: usize,
    /// The memory of the machine, in bytes.
    pub machine_memory: u64,
    /// The scripts, and what else its cores share of them.
    pub scripts: Arc<Registry>,
    /// How often the name of its history was changed.
    histories: AtomicU64,
    /// What the cores have allocated and not freed, as of their last ticks.
    cores_memory: AtomicI64,
    peak_memory: AtomicU64,
    startup_memory: AtomicU64,
    main_memory: AtomicI64,
    clients: AtomicU64,
    log_entries: [AtomicU64; 3],
    /// How many clients are to hear of stale keys.
    pub tracking_clients: AtomicU64,
    /// How many keys the shards remember for them.
    pub tracked_keys: AtomicI64,
}

/// 64 bits of a text, other ones for each index, the same in every version of this program.
fn seed_of(text: &[u8], index: u64) -> u64 {
    // FNV-1a, then the finish of SplitMix64.
    let start = 0xcbf2_9ce4_8422_2325 ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = text.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

impl Process {
    /// The facts, and a name for this run.
    pub fn new(config_file: PathBuf, names: Names, os: String, seed: u64) -> Self {
        let executable = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
        let mut random = fastrand::Rng::with_seed(seed);
        let run_id = (0..40).map(|_| char::from_digit(random.u32(0..16), 16).unwrap_or('0')).collect();
        Self {
            executable,
            config_file,
            // They are the same as long as the process lives, and all cores look into them.
            names: Box::leak(Box::new(names)),
            run_id,
            started: crate::clock::now(),
            os,
            seed,
            processors: crate::sys::processors().len(),
            machine_memory: crate::memory::machine(),
            scripts: Arc::default(),
            histories: AtomicU64::new(0),
            cores_memory: AtomicI64::new(0),
            peak_memory: AtomicU64::new(0),
            startup_memory: AtomicU64::new(0),
            main_memory: AtomicI64::new(0),
            clients: AtomicU64::new(0),
            log_entries: Default::default(),
            tracking_clients: AtomicU64::new(0),
            tracked_keys: AtomicI64::new(0),
        }
    }

    /// The name of the history of the data that replicas follow: 40 hexadecimal digits.
    pub fn replication_id(&self) -> String {
        let number = self.histories.load(Ordering::Relaxed) + 1;
        let mut random = fastrand::Rng::with_seed(self.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        (0..40).map(|_| char::from_digit(random.u32(0..16), 16).unwrap_or('0')).collect()
    }

    /// Begins another history under another name.
    pub fn change_replication_id(&self) {
        self.histories.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a core has so many bytes more than it said before, and with it how much is used at most.
    pub fn note_memory(&self, more: i64) {
        let by_cores = self.cores_memory.fetch_add(more, Ordering::Relaxed) + more;
        self.raise_peak((by_cores + self.main_memory()).max(0) as u64);
    }

    /// The seeds of the hash of keys, the same on all cores; drawn by lot unless `hash-seed` gives them.
    pub fn hash_seeds(&self, hash_seed: &[u8]) -> [u64; 4] {
        let mut random = fastrand::Rng::with_seed(self.seed.rotate_left(32));
        match hash_seed {
            [] => [(); 4].map(|()| random.u64(..)),
            text => std::array::from_fn(|index| seed_of(text, index as u64)),
        }
    }

    /// The id of a new client: cores that accept on ports of their own draw from one sequence.
    pub fn next_client(&self) -> u64 {
        self.clients.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The number of a new entry of the log of calls.
    pub fn next_log_entry(&self, kind: LogKind) -> u64 {
        self.log_entries[kind as usize].fetch_add(1, Ordering::Relaxed)
    }

    /// Notes how much memory is used now and returns the most that was ever seen.
    pub fn raise_peak(&self, used: u64) -> u64 {
        self.peak_memory.fetch_max(used, Ordering::Relaxed).max(used)
    }

    /// Notes how much memory the main thread uses, which does nothing from then on, and with it how much was used when the
    /// server had started: all cores have said what they use.
    pub fn set_startup_memory(&self, by_main: i64) {
        let used = self.cores_memory.load(Ordering::Relaxed) + by_main;
        self.startup_memory.store(used.max(0) as u64, Ordering::Relaxed);
        self.main_memory.store(by_main, Ordering::Relaxed);
    }

    /// Memory that the main thread allocated, in bytes.
    pub fn main_memory(&self) -> i64 {
        self.main_memory.load(Ordering::Relaxed) + crate::memory::by_log()
    }

    /// Memory used when the server had started, in bytes.
    pub fn startup_memory(&self) -> u64 {
        self.startup_memory.load(Ordering::Relaxed)
    }
}

/// Everything one core owns except its ring.
// Batches travel between cores as pointers and are reused; they never live in a list by value.
#[allow(clippy::vec_box)]
pub struct State {
    /// Which core this is.
    pub me: ShardId,
    /// Which shard owns which slot.
    pub map: ShardMap,
    /// What this core knows of the cluster, if this is a node of one.
    pub seat: Option<Box<Seat>>,
    /// Is no slot kept from clients? So it is outside of a cluster, and in one where every slot is served.
    pub serves_all: bool,
    /// Is nothing to be looked at before a request for a key at home is run: no slot that may be kept from clients, no
    /// pause?
    pub is_plain: bool,
    /// The same for a request that is part of a stretch: no cluster, no pause.
    pub stretches_plainly: bool,
    /// What is paused, and who waits for its end.
    pub paused: Paused,
    /// The shard and its locks.
    pub site: Site,
    /// Where commands run over entries lent by several shards.
    pub workbench: Workbench,
    /// Where they run over all that the shards have.
    pub assembly: Assembly,
    /// The way to the other cores.
    pub mesh: Mesh,
    /// The sessions, by index.
    pub sessions: Vec<Option<Box<Session>>>,
    generations: Vec<u32>,
    free: Vec<u32>,
    /// Sessions that may go on with requests they have sent already.
    pub ready: VecDeque<u32>,
    /// Sessions with something for the ring: output, a receive to arm or to cancel, an end.
    pub dirty: Vec<u32>,
    /// Jobs for each other core that this pass has collected.
    outgoing: Vec<Option<Box<Batch>>>,
    /// Legs of flights for each other core, sent behind `outgoing`.
    legs: Vec<Vec<Box<Batch>>>,
    /// Batches for this core's own shard.
    inbound: VecDeque<Box<Batch>>,
    /// Batches that have come home, and from where.
    homecoming: VecDeque<(usize, Box<Batch>)>,
    pool: Vec<Box<Batch>>,
    pub(crate) done: Vec<Box<Batch>>,
    /// Batches sent to other cores that are to come home.
    pub away: usize,
    /// Lists of parsed requests that no session needs now: those used last are still in the caches.
    lists: Vec<(Vec<Parsed>, Vec<Span>)>,
    /// Transactions that were carried out, for the next ones.
    pub multis: Vec<Box<Multi>>,
    /// Steps of flights to be carried out.
    pub steps: Vec<Step>,
    next_owner: u64,
    /// The time of this pass.
    pub now: Millis,
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// Those that the data path reads.
    pub tuning: Tuning,
    /// The counters of this core.
    pub statistics: Statistics,
    /// The ways of requests through the cores.
    pub paths: Paths,
    /// Calls that were slow or large.
    pub command_log: CommandLog,
    /// Latency events.
    pub latency_events: LatencyEvents,
    /// When this pass began, in ticks.
    pub pass_ticks: u64,
    /// Facts of the process.
    pub process: Arc<Process>,
    /// How commands are called.
    pub names: &'static Names,
    /// Who does slow work (core 0 only).
    pub aside: Option<Aside>,
    /// Who brings keys to other servers.
    pub movers: Option<Arc<Movers>>,
    /// Randomness for what is drawn by lot.
    pub random: fastrand::Rng,
    /// Sockets that listen: the common ones on core 0, and each core's own.
    pub listeners: Vec<Listener>,
    /// How long to wait for a small batch.
    pub batch_wait: BatchWait,
    /// What this core's thread has allocated.
    pub memory: Option<ThreadMemory>,
    /// What of it the other cores were told.
    noted_memory: i64,
    /// When this core began.
    pub started: Millis,
    /// Can the kernel wait for a batch?
    pub has_min_wait: bool,
    /// DEBUG PAUSE-CRON.
    pub is_cron_paused: bool,
    /// How room for replies follows their size (DEBUG REPLYBUFFER).
    pub room_rule: RoomRule,
    /// When a web client was last logged.
    pub web_logged_at: Millis,
    /// What core 0 keeps of the process.
    pub keeper: Keeper,
    /// The core has been told to stop.
    pub is_stopping: bool,
    /// What is done piece by piece, one a pass, so that others are served in between.
    pub later: VecDeque<Later>,
    /// Long replies that this core's shard gives.
    pub sources: HashMap<Owner, Source>,
    /// What the sessions hold.
    pub census: Census,
    /// The walk over all sessions that never ends.
    pub rounds: Rounds,
    /// Are clients being evicted (known to core 0)?
    pub is_evicting: bool,
    /// Answers that wait for the end of that.
    pub after_eviction: Vec<(Option<usize>, u64, Answer)>,
    /// How many clients watch keys.
    pub watching: usize,
    /// Who monitors.
    pub monitoring: Monitoring,
    /// Clients that are to hear of stale keys.
    pub tracking: Trackings,
    /// Who listens to which channels.
    pub pubsub: Pubsub,
    /// May anybody hear of keyspace events?
    pub hears_events: bool,
    /// What was pushed to clients that are calling, by their places in the table.
    pub late_pushes: Vec<(u32, ReplyBuffer)>,
    /// What scripts hold for long.
    pub holds: Holds,
    /// The data of all shards, while one script after the other runs over it.
    pub holding: Option<Holding>,
    /// The session whose script has stopped and waits for orders, by its place in the table.
    pub debugged: Option<u32>,
    /// Clients that a command has blocked, by id, and their places in the table of sessions.
    pub blocked: HashMap<u64, u32>,
    /// When the waiting of those ends that do not wait for ever, in milliseconds, with their tickets.
    pub deadlines: BTreeSet<(i64, u64)>,
    /// Notices of other cores that came in this pass.
    pub(crate) heard: VecDeque<(usize, Notice)>,
    /// Notices of this core to itself, so that nothing is answered while its session is away from the table.
    notices: VecDeque<Notice>,
    /// Questions about the data that wait until no transaction has the shard half done.
    visits: HashMap<Owner, Visit>,
    /// Those whose turn has come.
    admitted: VecDeque<Owner>,
    /// Answers that this core collects for others.
    pub errands: crate::admin::Errands,
    /// What scripts want to be carried out, while other cores are asked.
    pub wishes: crate::wishes::Wishes,
}

/// Something that is put off to a later pass.
pub enum Later {
    /// A page of a command over all connections.
    Page {
        /// Who asked; none: this core.
        from: Option<usize>,
        /// The ticket of the answer.
        ticket: u64,
        /// What is to be done.
        task: Arc<Task>,
        /// Where in the table of sessions the page begins.
        at: u32,
    },
    /// The next piece of a long text for the session with this ticket.
    Piece(u64),
    /// The script of the session at this place, which has under way what it runs over.
    Script(u32),
    /// The next piece of the long reply for which this owner has the lock.
    Source(Owner),
    /// Something more is to be done for the session at this place.
    Touch(u32),
    /// An order of this core's own client, which the other cores are to hear of before this one is busy with it.
    Debug {
        /// The ticket of the answer.
        ticket: u64,
        /// What is to be done.
        order: DebugOrder,
    },
}

/// A question that waits for the shard.
struct Visit {
    from: Option<usize>,
    ticket: u64,
    question: Question,
}

/// A batch with more words than this is sent at once, in bytes: the places of words are 32 bits wide.
const OUTGOING_BYTES_MAX: usize = 16 << 20;

/// Lists of parsed requests kept for reuse.
const LISTS_MAX: usize = 64;

/// And room for so many words in each.
const LISTED_SPANS_MAX: usize = 4096;

/// Batches kept for reuse.
const POOL_MAX: usize = 256;

impl State {
    /// A core with nothing to do yet.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        me: ShardId,
        map: ShardMap,
        site: Site,
        workbench: Workbench,
        mesh: Mesh,
        settings: Arc<Settings>,
        process: Arc<Process>,
        now: Millis,
    ) -> Self {
        let cores = mesh.count();
        let random = fastrand::Rng::with_seed(process.seed ^ u64::from(me.0).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self {
            me,
            map,
            seat: None,
            serves_all: true,
            is_plain: true,
            stretches_plainly: true,
            paused: Paused::default(),
            site,
            workbench,
            assembly: Assembly::default(),
            mesh,
            sessions: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            outgoing: (0..cores).map(|_| None).collect(),
            legs: (0..cores).map(|_| Vec::new()).collect(),
            inbound: VecDeque::new(),
            homecoming: VecDeque::new(),
            pool: Vec::new(),
            done: Vec::new(),
            away: 0,
            lists: Vec::new(),
            multis: Vec::new(),
            steps: Vec::new(),
            next_owner: 0,
            now,
            tuning: Tuning::new(&settings),
            settings,
            statistics: Statistics::default(),
            paths: Paths::default(),
            command_log: CommandLog::default(),
            latency_events: LatencyEvents::default(),
            pass_ticks: 0,
            names: process.names,
            aside: None,
            movers: None,
            process,
            random,
            listeners: Vec::new(),
            batch_wait: BatchWait::default(),
            memory: ThreadMemory::of_this_thread(),
            noted_memory: 0,
            started: now,
            has_min_wait: false,
            is_cron_paused: false,
            room_rule: RoomRule::default(),
            web_logged_at: Millis(0),
            keeper: Keeper::default(),
            is_stopping: false,
            later: VecDeque::new(),
            sources: HashMap::new(),
            census: Census::default(),
            rounds: Rounds::default(),
            is_evicting: false,
            after_eviction: Vec::new(),
            watching: 0,
            monitoring: Monitoring::default(),
            tracking: Trackings::default(),
            pubsub: Pubsub::default(),
            hears_events: false,
            late_pushes: Vec::new(),
            holds: Holds::default(),
            holding: None,
            debugged: None,
            blocked: HashMap::new(),
            heard: VecDeque::new(),
            deadlines: BTreeSet::new(),
            notices: VecDeque::new(),
            visits: HashMap::new(),
            admitted: VecDeque::new(),
            errands: crate::admin::Errands::default(),
            wishes: crate::wishes::Wishes::default(),
        }
    }

    /// Goes on with the script of a session, which has under way what it runs over.
    pub fn go_on_with_script(&mut self, index: u32) {
        let Some(session) = self.sessions[index as usize].as_mut() else { return };
        match std::mem::take(&mut session.pending) {
            Pending::Flight(flight, gathered) => {
                self.note_again(true);
                self.go_on(flight, gathered, Progress::Landed, index);
                self.note_again(false);
            }
            other => session.pending = other,
        }
    }

    /// Goes on with the scripts of this core's shard that take long.
    pub fn go_on_with_slow(&mut self) {
        let mut done = std::mem::take(&mut self.done);
        self.site.go_on(self.now, &mut done);
        self.send_done(done);
    }

    /// Takes a connection in and returns its index.
    pub fn adopt(&mut self, new: NewConnection) -> u32 {
        log::debug!("Accepted {}", new.ends.peer);
        let index = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.generations.push(0);
            self.sessions.len() as u32 - 1
        });
        let at = index as usize;
        self.generations[at] = (self.generations[at] + 1) & 0xff_ffff;
        let is_authenticated = !self.tuning.needs_password;
        let mut session = Session::new(new, index, self.generations[at], self.now, is_authenticated);
        self.count_session(&mut session);
        if self.site.monitored.is_some() {
            self.note_came(&session);
        }
        self.sessions[at] = Some(Box::new(session));
        self.statistics.connections_received += 1;
        self.dirty.push(index);
        index
    }

    /// The session at `index`, if it is still of this generation.
    pub fn session(&mut self, index: u32, generation: u32) -> Option<&mut Session> {
        let session = self.sessions.get_mut(index as usize)?.as_deref_mut()?;
        (session.generation == generation).then_some(session)
    }

    /// Lets the session at `index` go.
    pub fn remove(&mut self, index: u32) {
        if let Some(mut session) = self.sessions[index as usize].take() {
            self.end_watching(&mut session);
            crate::debugging::forget(&session);
            self.note_left(&mut session);
            self.forget_tracking(&mut session);
            self.free.push(index);
            self.census.forget(index);
            self.mesh.cores().connections(self.me.index()).fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len() - self.free.len()
    }

    /// Tells how much memory this core uses. Called some times a second, so that a peak is seen even if nobody asks.
    pub fn note_memory(&mut self) {
        if let Some(memory) = self.memory {
            let balance = memory.balance();
            self.process.note_memory(balance - self.noted_memory);
            self.noted_memory = balance;
        }
    }

    /// A new owner of locks, unique over all cores.
    pub fn new_owner(&mut self) -> Owner {
        self.next_owner += 1;
        Owner(u64::from(self.me.0) << 48 | self.next_owner)
    }

    /// An empty batch of this core.
    pub fn take_batch(&mut self) -> Box<Batch> {
        let mut batch = self.pool.pop().unwrap_or_default();
        batch.home = self.me;
        batch
    }

    /// Takes a batch back for its next use.
    pub fn recycle(&mut self, mut batch: Box<Batch>) {
        if self.pool.len() < POOL_MAX {
            batch.recycle();
            self.pool.push(batch);
        }
    }

    /// The batch that this pass collects for `shard`, with a job opened in it.
    pub fn open_remote_job(&mut self, shard: ShardId, ticket: u64, owner: Owner, order: Order) -> &mut Batch {
        self.send_if_full(shard);
        let batch = self.outgoing(shard);
        batch.open_job(ticket, owner, order, Reach::Keys);
        batch
    }

    /// The same for a leg of a flight.
    pub fn open_remote_leg(&mut self, flight: &Flight, leg: usize, ticket: u64, order: Order) {
        flight.mark(self.open_remote_job(flight.shard(leg), ticket, flight.owner(), order));
    }

    fn send_if_full(&mut self, shard: ShardId) {
        if let Some(full) = self.outgoing[shard.index()].take_if(|batch| batch.bytes.len() > OUTGOING_BYTES_MAX) {
            self.send_batch(shard, full);
        }
    }

    /// The batch that this pass collects for `shard`.
    pub fn outgoing(&mut self, shard: ShardId) -> &mut Batch {
        if self.outgoing[shard.index()].is_none() {
            self.outgoing[shard.index()] = Some(self.take_batch());
        }
        self.outgoing[shard.index()].as_mut().expect("it was made just now")
    }

    /// Sends a batch that travels alone, behind what this pass has for the shard.
    pub fn send_alone(&mut self, shard: ShardId, batch: Box<Batch>) {
        if shard == self.me {
            self.flush_own();
            self.inbound.push_back(batch);
        } else {
            self.legs[shard.index()].push(batch);
        }
    }

    /// Puts a batch on its way to a shard.
    fn send_batch(&mut self, shard: ShardId, mut batch: Box<Batch>) {
        if shard == self.me {
            return self.inbound.push_back(batch);
        }
        batch.sent_at = clock::ticks();
        self.away += usize::from(batch.is_awaited());
        self.statistics.hops_out += 1;
        self.statistics.calls_out += batch.calls.len() as u64;
        self.mesh.post(shard.index(), Letter::Batch(batch));
    }

    /// Carries out the steps of a flight.
    pub fn carry_out_steps(&mut self, flight: &mut Flight) {
        let owner = flight.owner();
        let mut steps = std::mem::take(&mut self.steps);
        for step in steps.drain(..) {
            match step {
                Step::Send(shard, batch) => self.send_alone(shard, batch),
                Step::Join(shard, order) => {
                    self.send_if_full(shard);
                    flight.join(shard, order, self.outgoing(shard));
                }
                Step::Release(shard) if shard == self.me => self.release_here(owner),
                Step::Release(shard) => self.outgoing(shard).releases.push(owner),
            }
        }
        self.steps = steps;
    }

    /// Puts what this core has for its own shard in front of what follows.
    fn flush_own(&mut self) {
        if let Some(batch) = self.outgoing[self.me.index()].take() {
            self.inbound.push_back(batch);
        }
    }

    /// Takes a letter from core `from`.
    pub fn receive(&mut self, from: usize, letter: Letter) {
        self.batch_wait.arrived();
        match letter {
            Letter::Batch(batch) if batch.is_answer => {
                self.away -= usize::from(!batch.is_extra && self.away > 0);
                if batch.is_news_of_waiting() {
                    // It may be older than a question that has come with it.
                    return self.come_home(from, batch);
                }
                self.homecoming.push_back((from, batch));
            }
            Letter::Batch(mut batch) => {
                self.statistics.hops_in += 1;
                self.statistics.calls_in += batch.calls.len() as u64;
                // Its turn comes after the requests of this pass: by then they are there.
                self.site.foresee(&mut batch);
                self.inbound.push_back(batch);
            }
            Letter::Notice(notice) => self.heard.push_back((from, notice)),
        }
    }

    /// Heeds what other cores have told and asked, after the letters of all of them were received.
    pub fn heed_all(&mut self) {
        self.order_messages();
        while let Some((from, notice)) = self.heard.pop_front() {
            self.heed(from, notice);
        }
    }

    fn heed(&mut self, from: usize, notice: Notice) {
        match notice {
            Notice::Adopt(new) => {
                self.adopt(*new);
            }
            Notice::Ask { ticket, question } => {
                self.answer_in_turn((from != self.me.index()).then_some(from), ticket, question);
            }
            Notice::Answer { ticket, answer } => self.take_answer(from, ticket, answer),
            Notice::Stale(news) => self.heed_news(&news),
            Notice::Redirected(redirected) => self.heed_redirected(from, *redirected),
            Notice::RedirectGone { client, target } => self.redirect_is_broken(client, target),
            Notice::StandDown { client, is_gone } => self.stand_down(client, is_gone),
            Notice::Listen { number, changes } => self.heed_listening(from, number, &changes),
            Notice::Heard(number) => self.was_heard(from, number),
            Notice::Messages(messages) => self.take_messages(from, &messages),
            Notice::Monitor(letter) => self.heed_monitor(from, letter),
            Notice::Receipts(receipts) => self.take_receipts(receipts),
        }
    }

    /// Sends an answer to core `to`, or to this one.
    pub fn reply_to(&mut self, to: Option<usize>, ticket: u64, answer: Answer) {
        match to {
            Some(to) => self.mesh.post(to, Letter::Notice(Notice::Answer { ticket, answer })),
            None => self.notices.push_back(Notice::Answer { ticket, answer }),
        }
    }

    /// Asks core `to`, which may be this one.
    pub fn ask(&mut self, to: usize, ticket: u64, question: Question) {
        if to == self.me.index() {
            self.notices.push_back(Notice::Ask { ticket, question });
        } else {
            self.mesh.post(to, Letter::Notice(Notice::Ask { ticket, question }));
        }
    }

    /// Works until nothing more can be done without hearing from elsewhere.
    pub fn settle(&mut self) {
        self.work();
        self.tell_stale();
    }

    /// Has every batch that has come home been looked at?
    pub fn are_all_home(&self) -> bool {
        self.homecoming.is_empty()
    }

    fn work(&mut self) {
        loop {
            self.tell_events();
            if self.outgoing[self.me.index()].is_some() {
                self.flush_own();
            }
            if self.site.has_served() {
                let mut done = std::mem::take(&mut self.done);
                self.site.take_served(&mut done);
                self.send_done(done);
            }
            if self.holding.as_ref().is_some_and(Holding::is_over) {
                self.let_go();
            }
            if let Some(batch) = self.inbound.pop_front() {
                self.deliver(batch);
            } else if let Some((from, batch)) = self.homecoming.pop_front() {
                self.come_home(from, batch);
            } else if let Some(notice) = self.notices.pop_front() {
                self.heed(self.me.index(), notice);
            } else if let Some(index) = self.ready.pop_front() {
                self.resume(index);
            } else if self.holding.is_some() {
                self.let_go();
            } else {
                return;
            }
        }
    }

    /// Is there something to do without hearing from anybody?
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty()
            || self.tracking.is_over
            || !self.later.is_empty()
            || self.site.has_slow()
            || !self.dirty.is_empty()
            || self.paused.is_looking(self.sessions.len())
    }

    fn deliver(&mut self, batch: Box<Batch>) {
        let mut done = std::mem::take(&mut self.done);
        crash::note_batch(batch.calls.first().map(|call| call.row), batch.calls.len(), batch.home.0);
        self.site.deliver(self.now, batch, &mut done);
        crash::batch_done();
        self.tell_ahead();
        self.send_done(done);
    }

    /// Ends locks on this core's shard and carries out what waited for them.
    pub fn release_here(&mut self, owner: Owner) {
        let mut done = std::mem::take(&mut self.done);
        self.site.release(self.now, owner, &mut done);
        self.tell_ahead();
        self.send_done(done);
    }

    // Batches travel between cores as pointers and are reused.
    #[allow(clippy::vec_box)]
    pub(crate) fn send_done(&mut self, mut done: Vec<Box<Batch>>) {
        if self.site.shard.tracked.has_news() {
            self.post_news();
        }
        loop {
            done.drain(..).for_each(|batch| self.send_home(batch));
            let Some(owner) = self.admitted.pop_front() else { break };
            if let Some(Visit { from, ticket, question }) = self.visits.remove(&owner) {
                self.answer(from, ticket, question);
            }
            self.site.release(self.now, owner, &mut done);
        }
        self.done = done;
    }

    fn send_home(&mut self, batch: Box<Batch>) {
        if let [job] = batch.jobs.as_slice()
            && job.order == Order::Visit
        {
            self.admitted.push_back(job.owner);
            return self.recycle(batch);
        }
        if let [job] = batch.jobs.as_slice()
            && job.order == Order::Stay
        {
            return self.open_source(job.owner, batch);
        }
        // Nobody waits for returned entries or releases: their buffers serve here from now on.
        if !batch.is_awaited() {
            self.recycle(batch);
        } else if batch.home == self.me {
            self.homecoming.push_back((self.me.index(), batch));
        } else if batch.is_news_of_waiting() && self.paused.pause.is_none() {
            // Its client is served, or its time over, without it.
            self.mesh.post_in_passing(batch.home.index(), Letter::Batch(batch));
        } else {
            self.mesh.post(batch.home.index(), Letter::Batch(batch));
        }
    }

    /// Answers a question; one about the data as soon as no transaction has the shard half done, or entries away.
    fn answer_in_turn(&mut self, from: Option<usize>, ticket: u64, question: Question) {
        // A script that asks has a shard half done itself, and another one may wait for it in turn.
        let waits = !self.site.is_idle() && !crate::wishes::is_wish(ticket);
        let Some(mode) = question.lock().filter(|_| waits) else {
            return self.answer(from, ticket, question);
        };
        let owner = self.new_owner();
        let mut batch = self.take_batch();
        batch.open_job(ticket, owner, Order::Visit, Reach::Whole(mode));
        self.visits.insert(owner, Visit { from, ticket, question });
        self.inbound.push_back(batch);
    }

    /// Posts what this pass has for other cores.
    pub fn post_outgoing(&mut self) {
        self.post_messages();
        for to in 0..self.mesh.count() {
            if to == self.me.index() {
                continue;
            }
            let shard = ShardId(to as u16);
            if let Some(batch) = self.outgoing[to].take() {
                self.send_batch(shard, batch);
            }
            let mut legs = std::mem::take(&mut self.legs[to]);
            legs.drain(..).for_each(|batch| self.send_batch(shard, batch));
            self.legs[to] = legs;
        }
    }

    /// Continues a session whose answers have come or whose output has left.
    pub fn resume(&mut self, index: u32) {
        self.tell_before(index);
        let Some(mut session) = self.sessions[index as usize].take() else { return };
        // A transaction is carried out to its end, whether its client is there or not.
        let goes_on = session.closing != Closing::Now || session.is_executing();
        if session.pending.is_nothing() && goes_on && !self.is_stopping {
            let mut input = std::mem::take(&mut session.input);
            let start = session.input_start;
            let read = self.drive(&mut session, &input[start..]);
            input.truncate(start + read.end);
            session.input = input;
            session.input_start += read.consumed;
            session.compact_input();
            self.take_lists(&mut session);
        }
        self.dirty.push(index);
        self.sessions[index as usize] = Some(session);
    }

    /// Looks ahead into bytes that arrived: parses requests and has the places of their keys fetched. Tells how many.
    pub fn foresee(&mut self, index: u32, generation: u32, bytes: &[u8]) -> usize {
        let Some(mut session) = self.take_session(index, generation) else { return 0 };
        let is_idle = session.pending.is_nothing() && session.closing == Closing::No && session.big.is_none();
        if is_idle && session.input.is_empty() && session.parsed.is_empty() && session.foreseen.is_none() {
            session.foreseen = Some(self.parse_ahead(&mut session, bytes));
        }
        let foreseen = session.parsed.len() - session.next_parsed;
        self.sessions[index as usize] = Some(session);
        foreseen
    }

    /// Has the entries of foreseen keys fetched.
    pub fn fetch_entries(&mut self, index: u32) {
        if let Some(session) = self.sessions[index as usize].as_deref_mut() {
            crate::dispatch::prefetch_entries(&self.site, session);
        }
    }

    /// Gives a session lists for what it parses.
    pub fn lend_lists(&mut self, session: &mut Session) {
        if session.parsed.capacity() == 0
            && let Some((parsed, spans)) = self.lists.pop()
        {
            (session.parsed, session.spans) = (parsed, spans);
        }
    }

    /// Takes the lists of a session back if nothing is in them.
    fn take_lists(&mut self, session: &mut Session) {
        if !session.parsed.is_empty() || !session.spans.is_empty() || session.parsed.capacity() == 0 {
            return;
        }
        let (parsed, spans) = (std::mem::take(&mut session.parsed), std::mem::take(&mut session.spans));
        // A request of a million words does not leave its room behind.
        if self.lists.len() < LISTS_MAX && spans.capacity() <= LISTED_SPANS_MAX {
            self.lists.push((parsed, spans));
        }
    }

    /// Takes a session out of the table, for as long as something is done with it and the rest of the core.
    pub fn take_session(&mut self, index: u32, generation: u32) -> Option<Box<Session>> {
        let place = self.sessions.get_mut(index as usize)?;
        if place.as_deref()?.generation != generation { None } else { place.take() }
    }

    /// Takes bytes that arrived for a session and executes what they complete.
    pub fn arrived(&mut self, index: u32, generation: u32, bytes: &[u8]) {
        let Some(mut session) = self.take_session(index, generation) else { return };
        session.bytes_in += bytes.len() as u64;
        session.last_active = self.now;
        if session.pending.is_nothing() {
            session.tracked.arrived = self.pass_ticks;
        }
        self.statistics.net_in += bytes.len() as u64;
        self.statistics.reads += 1;
        self.batch_wait.arrived();
        let bytes = if session.foreseen.is_some() { bytes } else { session.feed_big(bytes) };
        if session.closing == Closing::No {
            if session.input.is_empty() && session.pending.is_nothing() {
                let read = self.drive(&mut session, bytes);
                session.keep(&bytes[read.consumed..read.end]);
            } else {
                session.keep(bytes);
                if session.pending.is_nothing() {
                    self.ready.push_back(index);
                }
            }
        }
        session.foreseen = None;
        self.take_lists(&mut session);
        self.dirty.push(index);
        self.sessions[index as usize] = Some(session);
    }

    /// Logs why payloads of RESTORE were refused.
    pub fn log_refusals(&mut self) {
        for reason in self.site.shard.refusals.drain(..) {
            log::debug!("RESTORE refused a payload: {reason}");
        }
    }

    /// Has the shard and the handlers act by the settings in force.
    pub fn apply_rules(&mut self) {
        let (list_plain_from, skips_checksum) =
            (self.site.rules.limits.list_plain_from, self.site.rules.skips_checksum);
        let lets_scripts = self.site.rules.lets_scripts;
        self.site.rules = Tuning::rules(&self.settings);
        self.site.rules.names = self.names;
        self.site.rules.limits.list_plain_from = list_plain_from;
        self.site.rules.skips_checksum = skips_checksum;
        self.site.rules.lets_scripts = lets_scripts;
        if self.paused.pause.is_some() && self.site.rules.hold == Hold::No {
            self.site.rules.hold = Hold::Paused;
        }
        self.site.shard.holds_expired = self.site.rules.hold != Hold::No;
        self.follow_client_limit();
        self.site.shard.tracked.tells_flush = self.me.0 == 0 || self.settings.int(Setting::CorePorts) != 0;
        self.site.shard.lazy_free = Tuning::lazy_free(&self.settings);
        self.site.shard.events.wanted = if self.hears_events { self.tuning.key_events } else { EventClass::default() };
        self.workbench.shard_mut().lazy_free = self.site.shard.lazy_free;
        let observed = &self.tuning.observed;
        self.site.watch.set(observed.slow_ticks(), observed.tracks);
        self.paths.tracks = observed.tracks;
        self.command_log.set_most(observed.entries_max);
        self.straighten_seat();
        self.straighten_flags();
    }

    /// Has the flags of the data path say what must be looked at before a request is run.
    pub fn straighten_flags(&mut self) {
        let is_paused = self.paused.pause.is_some();
        let is_held = self.holds.any;
        self.is_plain = self.serves_all && !is_paused && !is_held;
        let is_any_monitor = self.monitoring.has_any();
        self.stretches_plainly = self.seat.is_none() && !is_paused && !is_held && !is_any_monitor;
    }
}
