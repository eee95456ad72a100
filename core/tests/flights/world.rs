//! Cores, rings and clients, without threads: the ways of the server, with a lot drawn wherever threads would race.
//!
//! A core works in passes as the server's do: it takes some letters from its rings, lets some clients send, settles what
//! that brought, and posts what it has for others, the collected batch with its releases first and the legs behind it.
//! A ring keeps the order of its letters; which ring is read when, and how far, is drawn by lot.

use crate::model::{DATABASES, Event, History, Op, State, split_replies, value_of};
use crate::waiting::{Blocked, NOBODY};
use ringkey_core::command::{Command, Flags, Join, Run, Spread, table};
use ringkey_core::keyspace::events::{Event as KeyEvent, EventClass};
use ringkey_core::keyspace::slot::{ShardMap, slot_of};
use ringkey_core::keyspace::{KeyHasher, Shard};
use ringkey_core::prng::Prng;
use ringkey_core::resp::reply::Mark;
use ringkey_core::resp::{Args, Protocol, Reply, ReplyBuffer, Request};
use ringkey_core::txn::assembly::Assembly;
use ringkey_core::txn::batch::{Batch, Call, LockRequests, Order, Reach, lock_of, push_key_locks};
use ringkey_core::txn::flight::{Flight, Progress, Shape, Step};
use ringkey_core::txn::locks::{Mode, Owner};
use ringkey_core::txn::site::{Site, Workbench};
use ringkey_core::units::{DbIndex, Millis, ShardId};
use std::collections::VecDeque;

/// What a client waits for.
#[derive(Debug, Default)]
pub enum Pending {
    #[default]
    Nothing,
    Job,
    Flight(Box<Flight>, Option<Gathered>),
    Blocked(Box<Blocked>),
}

/// A command whose entries are being lent.
#[derive(Debug)]
pub struct Gathered {
    /// Its words.
    pub request: Request,
    /// The call.
    pub call: Call,
    /// If it may block its client: who waits.
    pub blocked: Option<Box<Blocked>>,
}

/// A client that sends windows of commands and waits for all replies of one before it sends the next.
#[derive(Debug)]
pub struct Client {
    /// Its core.
    pub home: usize,
    db: usize,
    /// The protocol of its replies.
    pub protocol: Protocol,
    windows: VecDeque<Vec<Op>>,
    /// What is left of the window under way.
    pub window: VecDeque<Op>,
    /// What was sent off and is not answered.
    pub unanswered: VecDeque<Op>,
    invoked: u64,
    /// What it waits for.
    pub pending: Pending,
    /// Replies to what was sent off.
    pub output: ReplyBuffer,
    events: Vec<Event>,
    /// Has it hung up?
    pub is_gone: bool,
}

/// A message on its way, as the server has it: boxed, for it is moved often.
type Letter = Box<Batch>;

#[derive(Debug)]
pub struct Core {
    /// Its shard.
    pub site: Site,
    /// Where it runs commands over entries of several shards.
    pub bench: Workbench,
    /// Where it runs commands over all that the shards have.
    pub assembly: Assembly,
    outgoing: Vec<Option<Letter>>,
    legs: Vec<Vec<Letter>>,
    inbound: VecDeque<Letter>,
    homecoming: VecDeque<(usize, Letter)>,
    /// Clients that go on.
    pub ready: VecDeque<usize>,
    owners: u64,
    /// Its clock, in milliseconds.
    pub now: i64,
}

/// How often what happened, so that a test can tell that it tested something.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Commands that ran at once.
    pub direct: u64,
    /// Jobs for one shard.
    pub jobs: u64,
    /// Flights.
    pub flights: u64,
    /// Transactions.
    pub units: u64,
    /// Stretches over two shards without batches of their own.
    pub relays: u64,
    /// Commands of several shards that those who monitor were told of.
    pub noted: u64,
    /// Flights that have brought home what became of keys.
    pub brought: u64,
    /// Legs whose locks were refused when tried at once.
    pub refused: u64,
    /// Calls that ran over all that the shards have.
    pub assembled: u64,
    /// Jobs that waited.
    pub waits: u64,
    /// Calls that may block.
    pub blocking: u64,
    /// How often somebody was told that it is parked, or watches.
    pub parked: u64,
    /// Those that were served where they were parked.
    pub served: u64,
    /// Attempts of calls over several shards.
    pub tries: u64,
    /// Those whose time was over, or who hung up.
    pub given_up: u64,
    /// Replies to nobody, whose elements went back.
    pub put_back: u64,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// The cores.
    pub cores: Vec<Core>,
    /// What is under way from core `i / n` to core `i % n`.
    rings: Vec<VecDeque<Letter>>,
    /// The clients.
    pub clients: Vec<Client>,
    /// Do clients hang up while they wait?
    pub clients_vanish: bool,
    map: ShardMap,
    /// The keys.
    pub names: Vec<Vec<u8>>,
    prng: Prng,
    time: u64,
    has_clock: bool,
    /// What has become of keys, in the order in which it was told.
    pub told: Vec<KeyEvent>,
    /// What happened.
    pub tally: Tally,
}

enum Plan {
    On(usize),
    Alone,
}

impl World {
    /// So many cores with nothing on them. With a clock, time goes on and each core reads it when it likes.
    pub fn new(cores: usize, names: Vec<Vec<u8>>, seed: u64, has_clock: bool) -> Self {
        let map = ShardMap::new(cores as u16);
        let hasher = KeyHasher::new([seed, 2, 3, 4]);
        let core = |at: usize| Core {
            site: Site::new(Shard::new(ShardId(at as u16), map, DATABASES as u32, hasher.clone(), seed)),
            bench: Workbench::new(Shard::scratch(DATABASES as u32, hasher.clone(), seed)),
            assembly: Assembly::default(),
            outgoing: (0..cores).map(|_| None).collect(),
            legs: (0..cores).map(|_| Vec::new()).collect(),
            inbound: VecDeque::new(),
            homecoming: VecDeque::new(),
            ready: VecDeque::new(),
            owners: 0,
            now: 1_000,
        };
        Self {
            cores: (0..cores).map(core).collect(),
            rings: (0..cores * cores).map(|_| VecDeque::new()).collect(),
            clients: Vec::new(),
            clients_vanish: false,
            map,
            names,
            prng: Prng::new(seed ^ 0x5eed),
            time: 0,
            has_clock,
            told: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// From now on somebody hears what becomes of keys.
    pub fn listen(&mut self) {
        let wanted = EventClass::parse(b"KEAn").expect("these are classes");
        self.cores.iter_mut().for_each(|core| core.site.shard.events.wanted = wanted);
    }

    /// Tells what has been noted on a core.
    pub fn tell(&mut self, core: usize) {
        self.told.extend(self.cores[core].site.shard.events.take());
    }

    /// Adds a client of a core.
    pub fn connect(&mut self, home: usize, db: usize, protocol: Protocol, windows: Vec<Vec<Op>>) {
        self.clients.push(Client {
            home,
            db,
            protocol,
            windows: windows.into(),
            window: VecDeque::new(),
            unanswered: VecDeque::new(),
            invoked: 0,
            pending: Pending::Nothing,
            output: ReplyBuffer::default(),
            events: Vec::new(),
            is_gone: false,
        });
    }

    fn below(&mut self, bound: usize) -> usize {
        self.prng.below(bound as u64) as usize
    }

    /// Lets everything run to its end. An error tells what never ended.
    pub fn run(&mut self) -> Result<(), String> {
        loop {
            let awake: Vec<usize> = (0..self.cores.len()).filter(|core| self.has_work(*core)).collect();
            if awake.is_empty() {
                return self.check_rest();
            }
            let core = awake[self.below(awake.len())];
            self.pass(core);
        }
    }

    fn has_work(&self, core: usize) -> bool {
        let count = self.cores.len();
        let letters = (0..count).any(|from| !self.rings[from * count + core].is_empty());
        let is_awake =
            |client| self.may_send(client, core) || self.clients[client].home == core && self.may_give_up(client);
        letters || (0..self.clients.len()).any(is_awake)
    }

    fn may_send(&self, client: usize, core: usize) -> bool {
        let client = &self.clients[client];
        let is_idle = client.unanswered.is_empty() && client.window.is_empty();
        client.home == core && is_idle && !client.windows.is_empty() && !client.is_gone
    }

    /// After everything has come to rest: nothing is left anywhere.
    fn check_rest(&self) -> Result<(), String> {
        for (at, client) in self.clients.iter().enumerate() {
            if !matches!(client.pending, Pending::Nothing) || !client.unanswered.is_empty() {
                return Err(format!("client {at} still waits: {:?}", client.unanswered));
            }
        }
        for (at, core) in self.cores.iter().enumerate() {
            if core.site.waiting() > 0 || !core.site.is_idle() {
                return Err(format!("shard {at} is not idle; {} jobs wait", core.site.waiting()));
            }
            if core.site.parked() > 0 || core.site.shard.waiting.keys() > 0 {
                return Err(format!("{} jobs wait for keys of shard {at}", core.site.parked()));
            }
            if core.bench.shard().waiting_to_be_freed() > 0 {
                return Err(format!("the workbench of core {at} buries what nobody frees"));
            }
            assert!(!core.site.shard.is_lent(), "the data of shard {at} is at home");
            core.site.shard.check();
            if !core.site.shard.events.is_empty() {
                return Err(format!("shard {at} has something to tell"));
            }
        }
        Ok(())
    }

    /// What the shards hold.
    pub fn state(&mut self) -> State {
        let keys = self.names.len();
        let mut state = State::empty(keys);
        for core in &self.cores {
            for db in 0..DATABASES {
                core.site.shard.database(DbIndex(db as u32)).for_each(&mut |entry| {
                    let key = self.names.iter().position(|name| name == entry.key()).expect("only known keys");
                    let place = &mut state.0[db * keys + key];
                    assert!(place.is_none(), "a key is in two places");
                    *place = Some(value_of(&entry));
                });
            }
        }
        state
    }

    /// What the clients did.
    pub fn histories(&mut self) -> Vec<History> {
        let history = |client: &mut Client| History {
            db: client.db,
            protocol: client.protocol,
            events: std::mem::take(&mut client.events),
        };
        self.clients.iter_mut().map(history).collect()
    }

    fn pass(&mut self, core: usize) {
        self.time += 1;
        if self.has_clock {
            let latest = self.cores.iter().map(|core| core.now).max().expect("there are cores");
            self.cores[core].now = latest + self.below(3) as i64;
        }
        let count = self.cores.len();
        let first = self.below(count);
        // Mostly one letter a pass, so that as much as possible happens in between; sometimes all.
        let mut most = if self.below(4) == 0 { usize::MAX } else { 1 };
        for from in (0..count).map(|step| (first + step) % count) {
            while most > 0
                && let Some(batch) = self.rings[from * count + core].pop_front()
            {
                most -= 1;
                match batch.is_answer {
                    true => self.cores[core].homecoming.push_back((from, batch)),
                    false => self.cores[core].inbound.push_back(batch),
                }
            }
        }
        if self.below(2) == 0 {
            self.settle(core);
        }
        for client in 0..self.clients.len() {
            if self.may_send(client, core) && self.below(2) == 0 {
                let window = self.clients[client].windows.pop_front().unwrap_or_default();
                self.clients[client].window = window.into();
                self.clients[client].invoked = self.time;
                self.drive(client);
            }
        }
        self.settle(core);
        for client in 0..self.clients.len() {
            if self.clients[client].home == core && self.may_give_up(client) && self.below(12) == 0 {
                let vanishes = self.clients_vanish && self.below(3) == 0;
                self.give_up(client, vanishes);
            }
        }
        self.settle(core);
        if self.below(8) == 0 {
            let now = Millis(self.cores[core].now);
            self.cores[core].site.upkeep(now, 16);
            self.tell(core);
        }
        self.post_outgoing(core);
    }

    fn settle(&mut self, core: usize) {
        loop {
            self.tell(core);
            self.flush_own(core);
            if self.cores[core].site.has_served() {
                let mut done = Vec::new();
                self.cores[core].site.take_served(&mut done);
                self.send_done(core, done.into());
            }
            if let Some(batch) = self.cores[core].inbound.pop_front() {
                self.deliver(core, batch);
            } else if let Some((from, batch)) = self.cores[core].homecoming.pop_front() {
                self.come_home(core, from, batch);
            } else if let Some(client) = self.cores[core].ready.pop_front() {
                self.drive(client);
            } else {
                return;
            }
        }
    }

    fn flush_own(&mut self, core: usize) {
        let core_ = &mut self.cores[core];
        if let Some(batch) = core_.outgoing[core].take() {
            core_.inbound.push_back(batch);
        }
    }

    fn post_outgoing(&mut self, core: usize) {
        let count = self.cores.len();
        for to in (0..count).filter(|to| *to != core) {
            let batch = self.cores[core].outgoing[to].take();
            let legs = std::mem::take(&mut self.cores[core].legs[to]);
            self.rings[core * count + to].extend(batch.into_iter().chain(legs));
        }
    }

    fn deliver(&mut self, core: usize, batch: Letter) {
        let Core { site, now, .. } = &mut self.cores[core];
        let (waits, mut done) = (site.lock_waits, Vec::new());
        site.deliver(Millis(*now), batch, &mut done);
        self.tally.waits += site.lock_waits - waits;
        self.send_done(core, done.into());
    }

    fn send_done(&mut self, core: usize, mut done: VecDeque<Letter>) {
        let count = self.cores.len();
        self.tell(core);
        while let Some(mut batch) = done.pop_front() {
            let home = batch.home.index();
            if let [job] = batch.jobs.as_slice()
                && job.order == Order::Visit
            {
                let (client, owner) = (job.ticket as usize, job.owner);
                self.look_at(core, client, &mut batch);
                let (Core { site, now, .. }, mut more) = (&mut self.cores[core], Vec::new());
                site.release(Millis(*now), owner, &mut more);
                done.extend(more);
            }
            if !batch.is_awaited() {
                let is_back = batch.lent.iter().all(|lent| lent.entry.is_none()) && batch.loan.is_none();
                assert!(is_back, "what was lent has been taken back");
            } else if home != core {
                self.rings[core * count + home].push_back(batch);
            } else {
                self.cores[core].homecoming.push_back((core, batch));
            }
        }
    }

    fn come_home(&mut self, core: usize, from: usize, batch: Letter) {
        if let [job] = batch.jobs.as_slice()
            && job.is_of_calls()
            && job.ticket != NOBODY
        {
            let client = job.ticket as usize;
            let from_shard = ShardId(from as u16);
            if matches!(&self.clients[client].pending, Pending::Flight(flight, _) if !flight.is_merged(from_shard)) {
                return self.leg_returned(core, from, batch, client);
            }
        }
        for (at, job) in batch.jobs.iter().enumerate() {
            if job.ticket == NOBODY {
                continue;
            }
            if !job.is_of_calls() {
                self.take_news(core, &batch, at);
                continue;
            }
            let client = &mut self.clients[job.ticket as usize];
            if let Pending::Flight(mut flight, gathered) = std::mem::take(&mut client.pending) {
                self.tally.refused += u64::from(job.refused);
                let mut steps = Vec::new();
                let progress = flight.arrived_in(&batch, at, ShardId(from as u16), &mut steps);
                self.go_on(core, job.ticket as usize, (flight, gathered), progress, steps);
                continue;
            }
            let end = if job.calls.1 == 0 { batch.replies.mark() } else { batch.ends[job.calls.1 as usize - 1] };
            client.output.append_range(&batch.replies, job.replies_from, end);
            client.pending = Pending::Nothing;
            self.cores[core].ready.push_back(job.ticket as usize);
            self.answered(job.ticket as usize);
        }
    }

    fn leg_returned(&mut self, core: usize, from: usize, batch: Letter, client: usize) {
        let Pending::Flight(mut flight, gathered) = std::mem::take(&mut self.clients[client].pending) else { return };
        let mut steps = Vec::new();
        let progress = flight.arrived(batch, ShardId(from as u16), &mut steps);
        self.go_on(core, client, (flight, gathered), progress, steps);
    }

    fn go_on(
        &mut self,
        core: usize,
        client: usize,
        (mut flight, gathered): (Box<Flight>, Option<Gathered>),
        progress: Progress,
        steps: Vec<Step>,
    ) {
        self.tally.noted += u64::from(flight.take_noteworthy());
        if progress == Progress::UnderWay {
            self.carry_out(core, &mut flight, steps);
            self.clients[client].pending = Pending::Flight(flight, gathered);
            return;
        }
        if flight.brings_events() {
            self.told.extend(flight.take_events());
            self.tally.brought += 1;
        }
        let mut out = ReplyBuffer::default();
        match gathered {
            Some(gathered) => {
                if !self.run_gathered(core, client, &mut flight, gathered) {
                    return;
                }
            }
            None => {
                assert!(!flight.is_monitored(), "all its locks were held at some moment");
                flight.assemble(self.prng.next_u64(), &mut out);
                self.carry_out(core, &mut flight, steps);
                self.clients[client].output.append_range(&out, Mark::default(), out.mark());
            }
        }
        self.answered(client);
        self.cores[core].ready.push_back(client);
    }

    /// All that was sent off is answered: notes which reply belongs to which command.
    pub fn answered(&mut self, client: usize) {
        let Client { output, unanswered, events, invoked, is_gone, .. } = &mut self.clients[client];
        let replies = split_replies(&output.to_vec());
        output.clear();
        if *is_gone {
            return unanswered.clear();
        }
        assert_eq!(replies.len(), unanswered.len(), "one reply for each command: {unanswered:?}");
        for (op, reply) in unanswered.drain(..).zip(replies) {
            let reply = op.normal(reply, &self.names);
            events.push(Event { op, reply, invoked: *invoked, answered: self.time });
        }
    }

    pub fn carry_out(&mut self, core: usize, flight: &mut Flight, steps: Vec<Step>) {
        let owner = flight.owner();
        for step in steps {
            match step {
                Step::Send(shard, batch) if shard.index() == core => {
                    self.flush_own(core);
                    self.cores[core].inbound.push_back(batch);
                }
                Step::Send(shard, batch) => self.cores[core].legs[shard.index()].push(batch),
                Step::Join(shard, order) => flight.join(shard, order, self.outgoing(core, shard.index())),
                Step::Release(shard) if shard.index() == core => {
                    let (Core { site, now, .. }, mut done) = (&mut self.cores[core], Vec::new());
                    site.release(Millis(*now), owner, &mut done);
                    self.send_done(core, done.into());
                }
                Step::Release(shard) => self.outgoing(core, shard.index()).releases.push(owner),
            }
        }
    }

    pub fn outgoing(&mut self, core: usize, to: usize) -> &mut Batch {
        let home = ShardId(core as u16);
        self.cores[core].outgoing[to].get_or_insert_with(|| Box::new(Batch::new(home)))
    }

    pub fn new_owner(&mut self, core: usize) -> Owner {
        self.cores[core].owners += 1;
        Owner((core as u64) << 48 | self.cores[core].owners)
    }
}

/// From commands to calls, jobs and flights, as the server's dispatch does it.
impl World {
    fn drive(&mut self, client: usize) {
        while matches!(self.clients[client].pending, Pending::Nothing) {
            let Some(op) = self.clients[client].window.front() else { return };
            if let Op::Look(shard, _) = *op {
                self.visit(client, shard);
                continue;
            }
            if matches!(op, Op::Unit(_)) {
                self.begin_unit(client);
                continue;
            }
            let request = op.request(&self.names);
            let args = request.args();
            let (row, home) = (row_of(&args), self.clients[client].home);
            if op.waits() {
                self.begin_wait(client, row, request);
                continue;
            }
            match self.plan(home, row, &args) {
                Plan::On(shard) => {
                    let call = self.call(client, row, &args);
                    if shard == home && self.cores[home].site.admits(&call, &args) {
                        self.run_here(client, &call, &args);
                    } else {
                        self.begin_stretch(client);
                    }
                }
                Plan::Alone => {
                    let op = self.clients[client].window.pop_front();
                    self.clients[client].unanswered.extend(op);
                    match row.spread {
                        Spread::EachKey { stride, join } => self.fly_each_key(client, row, &args, stride.into(), join),
                        Spread::EveryShard { join, shared } => self.fly_everywhere(client, row, &args, join, shared),
                        _ if self.needs_every_shard(row, &args) => self.gather_everything(client, row, request),
                        Spread::Gather | Spread::Everything { .. } => {
                            let owner = self.new_owner(home);
                            self.gather(client, owner, row, request, None);
                        }
                    }
                }
            }
        }
    }

    /// Has the shard looked at when no transaction has it half done.
    fn visit(&mut self, client: usize, shard: usize) {
        let home = self.clients[client].home;
        let mut batch = Box::new(Batch::new(ShardId(home as u16)));
        let owner = self.new_owner(home);
        batch.open_job(client as u64, owner, Order::Visit, Reach::Whole(Mode::Shared));
        let op = self.clients[client].window.pop_front();
        self.clients[client].unanswered.extend(op);
        self.clients[client].pending = Pending::Job;
        match shard == home {
            true => {
                self.flush_own(home);
                self.cores[home].inbound.push_back(batch);
            }
            false => self.cores[home].legs[shard].push(batch),
        }
    }

    fn look_at(&mut self, core: usize, client: usize, batch: &mut Batch) {
        let Client { db, protocol, .. } = self.clients[client];
        let database = self.cores[core].site.shard.database(DbIndex(db as u32));
        let mut reply = Reply::new(&mut batch.replies, protocol);
        reply.array(database.len());
        database.for_each(&mut |entry| reply.bulk(entry.key()));
    }

    fn run_here(&mut self, client: usize, call: &Call, args: &Args<'_>) {
        self.tally.direct += 1;
        let home = self.clients[client].home;
        let Core { site, now, .. } = &mut self.cores[home];
        site.run(Millis(*now), call, args, &mut self.clients[client].output);
        self.tell(home);
        let op = self.clients[client].window.pop_front();
        self.clients[client].unanswered.extend(op);
        self.answered(client);
    }

    pub fn call(&self, client: usize, row: &'static Command, args: &Args<'_>) -> Call {
        let Client { home, db, protocol, .. } = self.clients[client];
        let shard = &self.cores[home].site.shard;
        let first_key = row.single_key().map(|index| (index as u32, shard.key(args.get(index)).hash));
        Call::new(row, DbIndex(db as u32), protocol, first_key)
    }

    fn plan(&self, home: usize, row: &'static Command, args: &Args<'_>) -> Plan {
        if !matches!(row.run, Run::OnShard(_)) || matches!(row.spread, Spread::EveryShard { .. }) {
            return Plan::Alone;
        }
        if self.needs_every_shard(row, args) {
            return Plan::Alone;
        }
        let mut shards = Vec::new();
        row.visit_keys(args, |index, _| shards.push(self.shard_of(args.get(index))));
        shards.sort_unstable();
        shards.dedup();
        match shards.as_slice() {
            [] => Plan::On(home),
            [shard] => Plan::On(*shard),
            _ => Plan::Alone,
        }
    }

    fn needs_every_shard(&self, row: &Command, args: &Args<'_>) -> bool {
        self.map.shards() > 1 && row.needs_every_shard(args)
    }

    pub fn shard_of(&self, key: &[u8]) -> usize {
        self.map.shard_of(slot_of(key)).index()
    }

    fn begin_stretch(&mut self, client: usize) {
        let home = self.clients[client].home;
        let mut stretch = Vec::new();
        while let Some(op) = self.clients[client].window.front().filter(|op| !op.ends_stretch()) {
            let request = op.request(&self.names);
            let Plan::On(shard) = self.plan(home, row_of(&request.args()), &request.args()) else { break };
            stretch.push((shard, request));
            let op = self.clients[client].window.pop_front();
            self.clients[client].unanswered.extend(op);
        }
        let mut shards: Vec<ShardId> = stretch.iter().map(|(shard, _)| ShardId(*shard as u16)).collect();
        shards.sort_unstable();
        shards.dedup();
        let owner = self.new_owner(home);
        if let [shard] = shards.as_slice() {
            self.tally.jobs += 1;
            self.outgoing(home, shard.index()).open_job(client as u64, owner, Order::Run, Reach::Keys);
            for (_, request) in &stretch {
                let call = self.call(client, row_of(&request.args()), &request.args());
                self.outgoing(home, shard.index()).push_call(&call, &request.args());
            }
            self.clients[client].pending = Pending::Job;
            return;
        }
        let mut flight = self.flight(client, owner, Shape::Calls, Reach::Keys, &shards);
        if shards.len() == 2 && self.relay(client, &mut flight, &stretch) {
            self.tally.relays += 1;
            self.clients[client].pending = Pending::Flight(Box::new(flight), None);
            return;
        }
        for (shard, request) in &stretch {
            let call = self.call(client, row_of(&request.args()), &request.args());
            flight.push(ShardId(*shard as u16), &call, &request.args(), None);
        }
        self.take_off(client, flight, None);
    }

    /// Runs the first leg in place, or sends it with what the pass has for its shard; `false` if locks are in the way.
    pub fn relay(&mut self, client: usize, flight: &mut Flight, stretch: &[(usize, Request)]) -> bool {
        let (home, owner) = (self.clients[client].home, flight.owner());
        let protocol = self.clients[client].protocol;
        let shard_of = |shard: usize| ShardId(shard as u16);
        let keeps: Vec<bool> = stretch.iter().map(|(shard, _)| flight.note(shard_of(*shard), protocol).1).collect();
        let is_here = flight.shard(0).index() == home;
        let calls: Vec<Call> = stretch
            .iter()
            .zip(&keeps)
            .map(|((_, request), keep)| {
                let args = request.args();
                Call { keep: *keep, ..self.call(client, row_of(&args), &args) }
            })
            .collect();
        if is_here {
            let (mut all, mut kept) = (LockRequests::new(), LockRequests::new());
            let shard = &self.cores[home].site.shard;
            for (call, (_, request)) in calls.iter().zip(stretch).filter(|(_, (shard, _))| *shard == home) {
                let args = request.args();
                push_key_locks(call.row, &args, call.first_key, |key| shard.key(key).hash, &mut all);
                if call.keep {
                    push_key_locks(call.row, &args, call.first_key, |key| shard.key(key).hash, &mut kept);
                }
            }
            if !self.cores[home].site.try_keep(owner, &all, &kept) {
                flight.forget();
                return false;
            }
        }
        let away = usize::from(is_here);
        let target = flight.shard(away).index();
        let order = if flight.keeps(away) { Order::RunAndKeep } else { Order::Run };
        let batch = self.outgoing(home, target);
        batch.open_job(client as u64, owner, order, Reach::Keys);
        flight.mark(batch);
        if flight.shape() == Shape::Unit {
            self.cores[home].site.begin_unit();
        }
        for (call, (shard, request)) in calls.iter().zip(stretch) {
            if *shard == target {
                self.outgoing(home, target).push_call(call, &request.args());
            } else if is_here {
                let Core { site, now, .. } = &mut self.cores[home];
                let batch = flight.batch_of(0);
                site.run_in_leg(Millis(*now), call, &request.args(), batch);
            } else {
                flight.batch_of(1).push_call(call, &request.args());
            }
        }
        if flight.shape() == Shape::Unit {
            let Core { site, now, .. } = &mut self.cores[home];
            site.end_unit(Millis(*now));
        }
        flight.relay(away);
        true
    }

    pub fn flight(&self, client: usize, owner: Owner, shape: Shape, reach: Reach, shards: &[ShardId]) -> Flight {
        let home = ShardId(self.clients[client].home as u16);
        let mut flight = Flight::new(owner, client as u64, shape, reach, shards, || Box::new(Batch::new(home)));
        // As if somebody monitored now and then.
        if matches!(shape, Shape::Joined(_)) && owner.0.is_multiple_of(2) {
            flight.monitor();
        }
        let hears = self.cores[self.clients[client].home].site.shard.events.wanted != EventClass::default();
        if hears && shape != Shape::Gather && reach == Reach::Keys {
            flight.bring_events();
        }
        flight
    }

    pub fn take_off(&mut self, client: usize, mut flight: Flight, gathered: Option<Gathered>) {
        self.tally.flights += 1;
        let home = self.clients[client].home;
        let mut steps = Vec::new();
        let shard = &self.cores[home].site.shard;
        flight.start(|key| shard.key(key).hash, &mut steps);
        self.carry_out(home, &mut flight, steps);
        self.clients[client].pending = Pending::Flight(Box::new(flight), gathered);
    }

    fn fly_each_key(&mut self, client: usize, row: &'static Command, args: &Args<'_>, stride: usize, join: Join) {
        let shard_at = |world: &Self, index: usize| ShardId(world.shard_of(args.get(index)) as u16);
        let mut shards: Vec<ShardId> = (1..args.len()).step_by(stride).map(|index| shard_at(self, index)).collect();
        shards.sort_unstable();
        shards.dedup();
        let owner = self.new_owner(self.clients[client].home);
        let mut flight = self.flight(client, owner, Shape::Joined(join), Reach::Keys, &shards);
        let call = Call { first_key: None, ..self.call(client, row, args) };
        if shards.len() == 2 && self.relay_fragments(client, &mut flight, row, args, stride) {
            self.tally.relays += 1;
            self.clients[client].pending = Pending::Flight(Box::new(flight), None);
            return;
        }
        for from in (1..args.len()).step_by(stride) {
            flight.push(shard_at(self, from), &call, args, Some(from..from + stride));
        }
        self.take_off(client, flight, None);
    }

    /// The same as [`World::relay`] for the parts of a command that falls apart by keys.
    fn relay_fragments(
        &mut self,
        client: usize,
        flight: &mut Flight,
        row: &'static Command,
        args: &Args<'_>,
        stride: usize,
    ) -> bool {
        let (home, owner, protocol) = (self.clients[client].home, flight.owner(), self.clients[client].protocol);
        let is_here = flight.shard(0).index() == home;
        let keys = || (1..args.len()).step_by(stride);
        let hash = |world: &Self, index: usize| world.cores[home].site.shard.key(args.get(index)).hash;
        if is_here {
            let mine = keys().filter(|index| self.shard_of(args.get(*index)) == home);
            let locks: LockRequests = mine.map(|index| lock_of(row, hash(self, index))).collect();
            if !self.cores[home].site.try_keep(owner, &locks, &locks) {
                return false;
            }
        }
        let away = usize::from(is_here);
        let target = flight.shard(away).index();
        let order = if is_here && !flight.keeps_all() { Order::Run } else { Order::RunAndKeep };
        let batch = self.outgoing(home, target);
        batch.open_job(client as u64, owner, order, Reach::Keys);
        flight.mark(batch);
        for index in keys() {
            let (shard, words) = (self.shard_of(args.get(index)), index..index + stride);
            let (_, keep) = flight.note(ShardId(shard as u16), protocol);
            let first_key = Some((1, hash(self, index)));
            let call = Call { keep, first_key, ..self.call(client, row, args) };
            if shard == target {
                self.outgoing(home, target).push_fragment(&call, args, words);
            } else if is_here {
                let spans = args.fragment(words);
                let Core { site, now, .. } = &mut self.cores[home];
                let batch = flight.batch_of(0);
                site.run_in_leg(Millis(*now), &call, &args.with_spans(&spans), batch);
            } else {
                flight.batch_of(1).push_fragment(&call, args, words);
            }
        }
        flight.relay(away);
        true
    }

    fn fly_everywhere(&mut self, client: usize, row: &'static Command, args: &Args<'_>, join: Join, shared: bool) {
        assert_eq!(shared, !row.flags.has(Flags::WRITE), "what writes is alone");
        let shards: Vec<ShardId> = (0..self.map.shards()).map(ShardId).collect();
        let reach = Reach::Whole(if shared { Mode::Shared } else { Mode::Exclusive });
        let owner = self.new_owner(self.clients[client].home);
        let mut flight = self.flight(client, owner, Shape::Joined(join), reach, &shards);
        let call = self.call(client, row, args);
        shards.iter().for_each(|shard| flight.push(*shard, &call, args, None));
        self.take_off(client, flight, None);
    }

    /// Has all that the shards have lent.
    fn gather_everything(&mut self, client: usize, row: &'static Command, request: Request) {
        let shards: Vec<ShardId> = (0..self.map.shards()).map(ShardId).collect();
        let owner = self.new_owner(self.clients[client].home);
        let flight = self.flight(client, owner, Shape::Gather, Reach::Whole(Mode::Exclusive), &shards);
        let call = self.call(client, row, &request.args());
        self.take_off(client, flight, Some(Gathered { request, call, blocked: None }));
    }

    /// Has the entries of all keys of a command lent.
    pub fn gather(
        &mut self,
        client: usize,
        owner: Owner,
        row: &'static Command,
        request: Request,
        blocked: Option<Box<Blocked>>,
    ) {
        let args = request.args();
        let mut keys = Vec::new();
        row.visit_keys(&args, |index, _| keys.push((ShardId(self.shard_of(args.get(index)) as u16), args.get(index))));
        keys.sort_unstable();
        keys.dedup();
        let mut shards: Vec<ShardId> = keys.iter().map(|(shard, _)| *shard).collect();
        shards.dedup();
        let mut flight = self.flight(client, owner, Shape::Gather, Reach::Keys, &shards);
        let call = Call { first_key: None, ..self.call(client, row, &args) };
        let other =
            ringkey_core::commands::key::other_database(row, &args, DATABASES as u32).filter(|db| *db != call.db);
        for shard in &shards {
            let words = Request::new(keys.iter().filter(|key| key.0 == *shard).map(|key| key.1));
            for db in std::iter::once(call.db).chain(other) {
                flight.push_keys(*shard, &Call { db, ..call.clone() }, &words.args());
            }
        }
        self.take_off(client, flight, Some(Gathered { request: request.clone(), call, blocked }));
    }
}

pub fn row_of(args: &Args<'_>) -> &'static Command {
    table::resolve(args).expect("the clients send commands that exist")
}
