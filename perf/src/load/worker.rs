//! One thread of the load: a pass takes everything that has arrived, makes the next batches, submits them all with one
//! `io_uring_enter`, which also waits.
//!
//! The clock is read twice a pass, not for each request: replies that were found in one pass have one time, and the
//! batches of a pass start when it submits them.

use super::Common;
use super::Plan;
use super::batch::Filler;
use super::cluster::Router;
use super::collector::Totals;
use super::dial::Line;
use super::pace::Pace;
use super::recorder::{Recorder, Step};
use super::replies::{NoResp, Scanner};
use super::ring::{Completion, Operation, Ring, Wait};
use super::template::Program;
use crate::PerfError;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// After the end of a run, replies are waited for at most so long.
const GRACE: Duration = Duration::from_secs(10);
/// In an open loop the thread does not sleep for less than this, in nanoseconds: timers come late. Not more, because a
/// thread that spins much is one that the scheduler makes wait when others want its processor.
const SPIN_NS: u64 = 10_000;
/// Requests that a thread claims at once, so that threads seldom meet at the common counter.
const CLAIM: u64 = 1024;
/// Provided buffers, and their bytes. Not a power of two, so that their starts fall on different cache sets.
const BUFFERS: u16 = 256;
const BUFFER_BYTES: u32 = 16 * 1024 + 192;

/// What a thread is given.
pub(super) struct Seat<'a> {
    pub index: usize,
    pub plan: &'a Plan,
    pub program: &'a Program,
    pub router: &'a Router,
    pub sender: Sender<Step>,
}

/// A connection under load.
#[derive(Debug)]
struct Connection {
    scanner: Scanner,
    node: u16,
    address: SocketAddr,
    /// Requests that are to be answered.
    in_flight: u64,
    /// Replies that have come to the next of them, if it is several commands.
    part: u64,
    /// Requests of the batch under way.
    batch: u64,
    /// When the batch was submitted.
    since: u64,
    /// Open loop: the number of the batch's first request.
    first: u64,
    /// The kernel has not said yet that the batch is sent.
    sending: bool,
}

/// One thread.
pub(super) struct Worker<'a> {
    seat: Seat<'a>,
    ring: Ring,
    filler: Filler<'a>,
    connections: Vec<Connection>,
    /// Connections with nothing under way, the one that has waited longest first.
    idle: VecDeque<usize>,
    /// Connections whose batch is being submitted.
    started: Vec<usize>,
    completions: Vec<Completion>,
    in_flight: u64,
    claimed: u64,
    totals: Totals,
}

/// What changes while a worker runs.
struct Run<'a> {
    common: &'a Common,
    recorder: Recorder,
    pace: Option<Pace>,
    /// When recording begins, when no more is sent, when waiting ends.
    from: u64,
    until: u64,
    give_up: u64,
    /// When something was heard last, or had reason to be waited for.
    heard: u64,
    cpu_at_start: Option<Duration>,
}

impl<'a> Worker<'a> {
    /// Sets up the ring and renders what can be rendered before.
    pub(super) fn new(seat: Seat<'a>, share: Vec<Line>) -> Result<Self, PerfError> {
        if let Some(cpus) = &seat.plan.cpus {
            pin(cpus[seat.index % cpus.len()])?;
        }
        let (streams, connections): (Vec<_>, Vec<_>) = share
            .into_iter()
            .map(|line| {
                let connection = Connection {
                    scanner: Scanner::default(),
                    node: line.node,
                    address: line.address,
                    in_flight: 0,
                    part: 0,
                    batch: 0,
                    since: 0,
                    first: 0,
                    sending: false,
                };
                (line.stream, connection)
            })
            .unzip();
        let pipeline = seat.plan.pipeline;
        let ring = Ring::new(streams, seat.program.max_len * pipeline, BUFFERS, BUFFER_BYTES);
        let mut ring = ring.map_err(PerfError::system("setting up io_uring"))?;
        let filler = Filler::new(seat.program, seat.router, seat.plan.seed ^ (seat.index as u64 + 1) << 32);
        for slot in 0..connections.len() {
            filler.prepare(ring.outgoing(slot), pipeline);
        }
        Ok(Self {
            idle: (0..connections.len()).collect(),
            started: Vec::with_capacity(connections.len()),
            seat,
            ring,
            filler,
            connections,
            completions: Vec::with_capacity(1024),
            in_flight: 0,
            claimed: 0,
            totals: Totals::default(),
        })
    }

    /// Makes load until the run is over.
    pub(super) fn run(mut self, common: &Common) -> Result<Totals, PerfError> {
        let ns = |at: Instant| at.saturating_duration_since(common.start).as_nanos() as u64;
        let from = ns(common.record_from);
        let until = common.until.map_or(u64::MAX, ns);
        let share = self.connections.len() as f64 / self.seat.plan.connections as f64;
        let phase = self.seat.index as f64 / self.seat.plan.threads as f64;
        let pace = self.seat.plan.rate.map(|rate| Pace::new(rate * share, phase));
        let mut run = Run {
            common,
            recorder: Recorder::new(self.seat.index, self.seat.sender.clone(), from),
            pace: pace.filter(|_| share > 0.0),
            from,
            until,
            give_up: until.saturating_add(GRACE.as_nanos() as u64),
            heard: 0,
            cpu_at_start: (from == 0).then(thread_cpu),
        };
        let mut now = run.now();
        while !self.pass(&mut run, &mut now)? {}
        self.end(run, now)
    }

    /// One pass; true if it was the last.
    fn pass(&mut self, run: &mut Run<'_>, now: &mut u64) -> Result<bool, PerfError> {
        let over = match run.pace {
            None => self.dispatch_closed(run, *now),
            Some(_) => self.dispatch_open(run, *now),
        };
        if over && self.in_flight == 0 && self.idle.len() == self.connections.len() {
            return Ok(true);
        }
        if !self.started.is_empty() {
            let start = run.now();
            for slot in self.started.drain(..) {
                self.connections[slot].since = start;
            }
        }
        let wait = run.wait(self.idle.is_empty(), over);
        self.ring.submit_and_wait(wait).map_err(PerfError::system("io_uring_enter"))?;
        *now = run.now();
        if *now >= run.from && run.cpu_at_start.is_none() {
            run.cpu_at_start = Some(thread_cpu());
        }
        run.recorder.roll(*now);
        self.take_completions(run, *now)?;
        Ok(*now >= run.give_up || run.common.failed.load(Ordering::Relaxed))
    }

    /// Closed loop: every idle connection gets a full batch. True if there is nothing more to send.
    fn dispatch_closed(&mut self, run: &mut Run<'_>, now: u64) -> bool {
        if now >= run.until {
            return true;
        }
        while let Some(slot) = self.idle.pop_front() {
            let count = self.claim(run, self.seat.plan.pipeline as u64, now);
            if count == 0 {
                self.idle.push_back(slot);
                return true;
            }
            self.start(run, slot, count, now);
        }
        false
    }

    /// Open loop: what is due goes to the idle connections. True if nothing more will be due.
    fn dispatch_open(&mut self, run: &mut Run<'_>, now: u64) -> bool {
        let Some(mut pace) = run.pace else { return true };
        // What was due before the end is sent after it, too: it must not be lost because the server was slow.
        let mut due = pace.due(now.min(run.until.saturating_sub(1)));
        let mut over = false;
        while due > 0 && !self.idle.is_empty() {
            let fair = due.div_ceil(self.idle.len() as u64).min(self.seat.plan.pipeline as u64);
            let count = self.claim(run, fair, now);
            if count == 0 {
                over = true;
                break;
            }
            let Some(slot) = self.idle.pop_front() else { break };
            self.connections[slot].first = pace.sent;
            pace.sent += count;
            due -= count;
            self.start(run, slot, count, now);
        }
        run.pace = Some(pace);
        over || now >= run.until && due == 0
    }

    /// Takes up to `count` requests of those that the run is to make; the warm-up's are free.
    fn claim(&mut self, run: &Run<'_>, count: u64, now: u64) -> u64 {
        if now < run.from {
            return count;
        }
        if self.claimed == 0 {
            let unclaimed = &run.common.unclaimed;
            let take = |left: u64| Some(left - left.min(if left < 64 * CLAIM { count } else { CLAIM.max(count) }));
            let before = unclaimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_else(|left| left);
            self.claimed = before - take(before).unwrap_or(before);
        }
        let count = count.min(self.claimed);
        self.claimed -= count;
        count
    }

    fn start(&mut self, run: &mut Run<'_>, slot: usize, count: u64, now: u64) {
        let connection = &mut self.connections[slot];
        let len = self.filler.fill(self.ring.outgoing(slot), count as usize, connection.node);
        connection.sending = self.ring.send(slot, len);
        connection.in_flight = count;
        connection.batch = count;
        if self.in_flight == 0 {
            run.heard = now;
        }
        self.in_flight += count;
        if now >= run.from {
            self.totals.sent += len as u64;
        }
        self.started.push(slot);
    }

    fn take_completions(&mut self, run: &mut Run<'_>, now: u64) -> Result<(), PerfError> {
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.reap(&mut completions);
        for completion in completions.drain(..) {
            match completion.operation {
                Operation::Receive => self.received(run, completion, now)?,
                Operation::Send => self.sent(completion)?,
                Operation::Tick => {}
            }
        }
        self.completions = completions;
        Ok(())
    }

    fn sent(&mut self, completion: Completion) -> Result<(), PerfError> {
        let Completion { slot, result, .. } = completion;
        let connection = &mut self.connections[slot];
        if !self.ring.sent(slot, result) {
            let why = if result < 0 { system_text(result) } else { format!("only {result} bytes could be sent") };
            return Err(PerfError::Lost { address: connection.address, why });
        }
        connection.sending = false;
        if connection.in_flight == 0 {
            self.idle.push_back(slot);
        }
        Ok(())
    }

    fn received(&mut self, run: &mut Run<'_>, completion: Completion, now: u64) -> Result<(), PerfError> {
        let Completion { slot, result, buffer, more, .. } = completion;
        let connection = &mut self.connections[slot];
        let address = connection.address;
        if let Some(buffer) = buffer {
            let bytes = self.ring.arrived(buffer, result.max(0) as usize);
            let found = connection.scanner.feed(bytes);
            self.ring.give_back(buffer);
            let found = found.map_err(|NoResp(why)| PerfError::Protocol { address, why })?;
            if now >= run.from {
                self.totals.received += result.max(0) as u64;
            }
            if found.errors > 0 || found.nulls > 0 {
                self.count(run, slot, found.errors, found.nulls);
            }
            if found.replies > 0 {
                self.answered(run, slot, u64::from(found.replies), now)?;
            }
        }
        if result == 0 || result < 0 && -result != libc::ENOBUFS {
            let why = if result == 0 { "it was closed".to_owned() } else { system_text(result) };
            return Err(PerfError::Lost { address, why });
        }
        if !more {
            self.ring.receive(slot);
        }
        Ok(())
    }

    #[cold]
    fn count(&mut self, run: &Run<'_>, slot: usize, errors: u32, nulls: u32) {
        let connection = &mut self.connections[slot];
        if errors > 0 && self.totals.first_error.is_none() {
            self.totals.first_error = connection.scanner.first_error.take();
        }
        let since = run.pace.map_or(connection.since, |pace| pace.due_at(connection.first));
        if since >= run.from {
            self.totals.errors += u64::from(errors);
            self.totals.nulls += u64::from(nulls);
        }
    }

    fn answered(&mut self, run: &mut Run<'_>, slot: usize, replies: u64, now: u64) -> Result<(), PerfError> {
        let connection = &mut self.connections[slot];
        let replies = match self.seat.program.replies {
            1 => replies,
            each => {
                let sum = connection.part + replies;
                connection.part = sum % each;
                sum / each
            }
        };
        if replies == 0 {
            run.heard = now;
            return Ok(());
        }
        if replies > connection.in_flight {
            let why = format!("{replies} replies to {} requests", connection.in_flight);
            return Err(PerfError::Protocol { address: connection.address, why });
        }
        let done = connection.batch - connection.in_flight;
        connection.in_flight -= replies;
        self.in_flight -= replies;
        match run.pace {
            None => run.recorder.answered(connection.since, now, replies),
            Some(pace) => {
                for index in connection.first + done..connection.first + done + replies {
                    run.recorder.answered(pace.due_at(index), now, 1);
                }
            }
        }
        if connection.in_flight == 0 && !connection.sending {
            self.idle.push_back(slot);
        }
        let gap = Duration::from_nanos(now - run.heard);
        if gap > self.totals.stall && now > run.from {
            self.totals.stall = gap;
            self.totals.stall_at = Duration::from_nanos(run.heard.saturating_sub(run.from));
        }
        run.heard = now;
        Ok(())
    }

    /// Counts what is left and hands over the totals.
    fn end(mut self, mut run: Run<'_>, now: u64) -> Result<Totals, PerfError> {
        let mut left = 0;
        for connection in self.connections.iter().filter(|connection| connection.in_flight > 0) {
            for index in connection.batch - connection.in_flight..connection.batch {
                let since = run.pace.map_or(connection.since, |pace| pace.due_at(connection.first + index));
                left += run.recorder.unanswered(since, now);
            }
        }
        let unlimited = run.common.unclaimed.load(Ordering::Relaxed) > 0;
        if let Some(pace) = run.pace.filter(|_| unlimited && run.until != u64::MAX) {
            let due = pace.due(run.until.saturating_sub(1));
            left +=
                (pace.sent..pace.sent + due).map(|index| run.recorder.unanswered(pace.due_at(index), now)).sum::<u64>();
        }
        self.totals.unanswered = left;
        self.totals.requests = run.recorder.requests;
        let last = if left > 0 { now } else { run.heard };
        self.totals.last_reply = Duration::from_nanos(last.saturating_sub(run.from));
        self.totals.cpu = run.cpu_at_start.map_or(Duration::ZERO, |start| thread_cpu().saturating_sub(start));
        Ok(self.totals)
    }
}

impl Run<'_> {
    /// Nanoseconds since the load began.
    fn now(&self) -> u64 {
        self.common.start.elapsed().as_nanos() as u64
    }

    /// How long to wait: until replies come, in an open loop until the next request is due if somebody can send it.
    fn wait(&self, all_busy: bool, over: bool) -> Wait {
        let Some(pace) = self.pace.filter(|_| !all_busy && !over) else { return Wait::Forever };
        let next = pace.due_at(pace.sent).min(self.until);
        match next.saturating_sub(self.now()) {
            soon if soon < SPIN_NS => Wait::No,
            later => Wait::AtMost(Duration::from_nanos(later - SPIN_NS / 2)),
        }
    }
}

/// What a negative result of an operation says.
fn system_text(result: i32) -> String {
    std::io::Error::from_raw_os_error(-result).to_string()
}

/// CPU time of this thread, user and system.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Binds this thread to a processor.
fn pin(cpu: usize) -> Result<(), PerfError> {
    let mut set = rustix::thread::CpuSet::new();
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(PerfError::Usage(format!("there is no processor {cpu}")));
    }
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| PerfError::System { what: "binding a thread to its processor", source: error.into() })
}
