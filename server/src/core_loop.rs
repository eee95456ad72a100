//! One core at work. A pass: reap completions, take letters, look ahead into all requests that came, execute them,
//! post what goes to other cores, send what is owed, and wait for more - all with one entry into the kernel.

use crate::aside::Aside;
use crate::blocking::Ending;
use crate::clock;
use crate::listen;
use crate::mailbox::letter::{Letter, NewConnection, Notice};
use crate::multi::QUEUE_BYTES_MAX;
use crate::observe::log as logger;
use crate::reactor::spawn::{Core, Flow};
use crate::reactor::{Completion, Operation, Ring, Token, Wait};
use crate::rounds::Rounds;
use crate::session::big::{BigArgument, FIRST_BYTES};
use crate::session::{COUNTED_AT_ONCE_BYTES, Closing, Pace, Pending, Session};
use crate::state::{Later, State};
use crate::sys::Signals;
use ringkey_core::settings::Setting;
use ringkey_core::txn::site::FORESEEN_MAX;
use ringkey_core::units::{DbIndex, Millis};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Which descriptor has an event: that of finished work. The other one is that of signals.
const BELL: u32 = 1;

/// Letters taken from one core in one pass.
const LETTERS_MAX: usize = 256;

/// A client that has sent more than this while it waits is not read from until it is served, in bytes.
const UNREAD_BYTES_MAX: usize = 1 << 20;

/// Entries that one slice of upkeep looks at: some 200 microseconds.
const UPKEEP_ENTRIES: usize = 1000;

/// How long a core with few clients looks out for the answers of other cores before it sleeps.
const LINGER: Duration = Duration::from_micros(40);

/// Looks into the mailboxes between two looks at the clock.
const LOOKS_A_GLANCE: usize = 16;

/// How long a core that stops goes on sending: its last letters, and what clients are owed.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// How long it sleeps between two looks whether all have got it.
const STOP_GLANCE: Duration = Duration::from_millis(2);

/// How often the contents of the databases are logged at the level verbose, in milliseconds.
const CONTENTS_LOG_PERIOD_MS: i64 = 5000;

/// Bytes that arrived for a session and lie in a provided buffer.
struct Arrival {
    index: u32,
    generation: u32,
    buffer: u16,
    len: usize,
}

/// One core: its ring and everything else.
pub struct CoreLoop {
    ring: Ring,
    state: State,
    /// A descriptor on which signals arrive (core 0 only).
    signals: Option<Signals>,
    completions: Vec<Completion>,
    arrivals: Vec<Arrival>,
    /// The number of the next new listener.
    next_listener: u32,
    next_tick_ms: i64,
    next_slice_ms: i64,
    last_dealt: usize,
    has_more_upkeep: bool,
    /// Commands counted at the end of the last pass.
    commands_before: u64,
    /// Listeners that accept again at the next tick: what they lack does not come back at once.
    deaf_listeners: Vec<Token>,
    stopping_since: Option<Instant>,
    is_quiet: bool,
    has_stopped: bool,
    contents_logged_at: Millis,
}

impl CoreLoop {
    /// A core that listens if it has listeners.
    pub fn new(ring: Ring, mut state: State, signals: Option<Signals>) -> Self {
        // The first connection goes to core 0.
        let last_dealt = state.mesh.count() - 1;
        state.has_min_wait = ring.has_min_wait();
        let mut this = Self {
            ring,
            state,
            signals,
            completions: Vec::new(),
            arrivals: Vec::new(),
            next_listener: 0,
            next_tick_ms: 0,
            next_slice_ms: 0,
            last_dealt,
            has_more_upkeep: false,
            commands_before: 0,
            deaf_listeners: Vec::new(),
            stopping_since: None,
            is_quiet: false,
            has_stopped: false,
            contents_logged_at: Millis(0),
        };
        this.listen();
        this.watch_signals();
        this.watch_aside();
        this
    }

    fn watch_signals(&mut self) {
        if let Some(signals) = &self.signals {
            self.ring.watch(signals.fd().as_raw_fd(), Token { operation: Operation::Event, index: 0, generation: 0 });
        }
    }

    /// On core 0, hears of slow work that is done.
    fn watch_aside(&mut self) {
        if let Some(aside) = &self.state.aside {
            self.ring.watch(aside.bell(), Token { operation: Operation::Event, index: BELL, generation: 0 });
        }
    }

    fn work_was_done(&mut self) {
        let done = self.state.aside.as_mut().map(Aside::done).unwrap_or_default();
        for ((asker, ticket), answer) in done {
            self.state.reply_to(asker, ticket, answer);
        }
        self.state.pass_on_deliveries();
    }

    /// Accepts from listeners that are new.
    fn listen(&mut self) {
        for listener in self.state.listeners.iter_mut().filter(|listener| listener.id.is_none()) {
            let id = self.next_listener;
            self.next_listener += 1;
            listener.id = Some(id);
            self.ring.accept(listener.fd(), Token { operation: Operation::Accept, index: id, generation: 0 });
        }
    }

    fn complete(&mut self, completion: Completion) {
        let Completion { token, result, accepted, buffer, more } = completion;
        match token.operation {
            Operation::Accept => self.accepted(token, accepted.ok_or(result), more),
            Operation::Receive => self.received(token, result, buffer, more),
            Operation::Send => self.sent(token, result),
            Operation::Event if token.index == BELL => {
                self.work_was_done();
                if !more {
                    self.watch_aside();
                }
            }
            Operation::Event => {
                self.signalled();
                if !more {
                    self.watch_signals();
                }
            }
            Operation::Wake | Operation::Cancel => {}
        }
    }

    fn accepted(&mut self, token: Token, accepted: Result<OwnedFd, i32>, more: bool) {
        // One that CONFIG SET has closed is no longer among them.
        let listener = self.state.listeners.iter().position(|listener| listener.id == Some(token.index));
        let error = accepted.as_ref().err().map(|error| -error);
        match (accepted, listener) {
            (Ok(fd), Some(listener)) if !self.state.is_stopping => self.deal(fd, listener),
            (Err(error), Some(_)) if error != -libc::ECANCELED => {
                log::warn!("Accepting a connection failed: {}", std::io::Error::from_raw_os_error(-error));
            }
            _ => {}
        }
        if more || listener.is_none() {
            return;
        }
        // Without descriptors or memory the next attempt would fail like this one, again and again, at full speed.
        if matches!(error, Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) {
            self.deaf_listeners.push(token);
        } else {
            self.accept_on(token);
        }
    }

    fn accept_on(&mut self, token: Token) {
        if let Some(listener) = self.state.listeners.iter().find(|listener| listener.id == Some(token.index)) {
            self.ring.accept(listener.fd(), token);
        }
    }

    /// Gives a new connection to the core that has the fewest, or keeps one that came to the port of this core.
    fn deal(&mut self, fd: OwnedFd, listener: usize) {
        let Some(listener) = self.state.listeners.get(listener) else { return };
        let cores = self.state.mesh.cores().clone();
        let connected: u32 = (0..cores.count()).map(|core| cores.connections(core).load(Ordering::Relaxed)).sum();
        if connected >= self.state.tuning.clients_max {
            self.state.statistics.connections_rejected += 1;
            return listen::turn_away(&fd, b"-ERR max number of clients reached\r\n");
        }
        let ends = listen::ends(&fd, listener);
        if !ends.is_local && listen::is_protected(&self.state.settings) {
            self.state.statistics.connections_rejected += 1;
            return listen::turn_away(&fd, listen::PROTECTED);
        }
        if !ends.is_unix {
            listen::prepare(&fd, self.state.settings.int(Setting::TcpKeepalive));
        }
        let on_core_port = listener.is_of_core;
        let core = match on_core_port {
            true => self.state.me.index(),
            false => {
                self.last_dealt = cores.least_connected(self.last_dealt);
                self.last_dealt
            }
        };
        cores.connections(core).fetch_add(1, Ordering::Relaxed);
        let new = NewConnection { fd, id: self.state.process.next_client(), ends, on_core_port };
        if core == self.state.me.index() {
            self.state.adopt(new);
        } else {
            self.state.mesh.post(core, Letter::Notice(Notice::Adopt(Box::new(new))));
        }
    }

    fn received(&mut self, token: Token, result: i32, buffer: Option<u16>, more: bool) {
        let (index, generation) = (token.index, token.generation);
        if let Some(buffer) = buffer {
            if result > 0 {
                self.arrivals.push(Arrival { index, generation, buffer, len: result as usize });
            } else {
                self.ring.buffers.give_back(buffer);
            }
        }
        let (now, pass_ticks) = (self.state.now, self.state.pass_ticks);
        let Some(session) = self.state.session(index, generation) else { return };
        if std::mem::take(&mut session.is_direct) {
            session.filled_big(result.max(0) as usize);
            session.last_active = now;
            if result > 0 {
                if session.pending.is_nothing() {
                    session.tracked.arrived = pass_ticks;
                }
                session.bytes_in += result as u64;
                self.state.statistics.net_in += result as u64;
                self.state.statistics.reads += 1;
                self.state.ready.push_back(index);
            }
        }
        let Some(session) = self.state.session(index, generation) else { return };
        if !more {
            session.is_receiving = false;
            // Out of buffers: they come back in this pass, and the operation is armed again.
            match -result {
                _ if result > 0 => {}
                libc::ENOBUFS => self.ring.buffers.grow(),
                libc::EINTR | libc::EAGAIN | libc::ECANCELED => {}
                _ => session.is_deaf = true,
            }
            self.state.dirty.push(index);
        }
    }

    fn sent(&mut self, token: Token, result: i32) {
        let Some(session) = self.state.session(token.index, token.generation) else { return };
        if session.output.completed(result).is_err() {
            session.output.abandon();
            session.closing = Closing::Now;
        }
        let may_go_on = session.has_work();
        let is_stalled = if let Pending::Clients(walk) = &mut session.pending { walk.take_stalled() } else { false };
        let ticket = session.ticket();
        self.state.statistics.net_out += result.max(0) as u64;
        self.state.statistics.writes += 1;
        if may_go_on {
            self.state.ready.push_back(token.index);
        } else if is_stalled {
            self.state.later.push_back(Later::Piece(ticket));
        }
        self.state.dirty.push(token.index);
    }

    fn signalled(&mut self) {
        let Some(signals) = &self.signals else { return };
        while let Some(signal) = signals.next() {
            self.state.asked_to_stop(signal);
            // It is heeded in this pass, unless periodic work rests.
            self.next_tick_ms = 0;
        }
    }

    /// Takes what other cores have sent. Where messages for clients are among it, there may be others from which they came,
    /// directly or not: those are there by now, and are taken, too, but nothing that may have come of something else.
    fn take_letters(&mut self) {
        self.sweep(u64::MAX);
        if self.state.has_heard_messages() {
            let last = self.state.mesh.cores().last_messages();
            self.sweep(last);
        }
    }

    fn sweep(&mut self, last: u64) {
        for from in 0..self.state.mesh.count() {
            for _ in 0..LETTERS_MAX {
                let Some(letter) = self.state.mesh.take_until(from, last) else { break };
                self.state.receive(from, letter);
            }
        }
    }

    fn execute_arrivals(&mut self) {
        if self.state.is_stopping {
            // Read and dropped: a close with unread input would take from the client what it is still to get.
            return self.arrivals.drain(..).for_each(|arrival| self.ring.buffers.give_back(arrival.buffer));
        }
        // Requests are first parsed and the places of their keys fetched, so that the misses overlap; but not of more than the
        // nearest cache keeps until they are executed.
        let mut from = 0;
        while from < self.arrivals.len() {
            let (mut to, mut foreseen) = (from, 0);
            while to < self.arrivals.len() && foreseen < FORESEEN_MAX {
                let arrival = &self.arrivals[to];
                let bytes = self.ring.buffers.bytes(arrival.buffer, arrival.len);
                foreseen += self.state.foresee(arrival.index, arrival.generation, bytes);
                to += 1;
            }
            for arrival in &self.arrivals[from..to] {
                self.state.fetch_entries(arrival.index);
            }
            for arrival in &self.arrivals[from..to] {
                let bytes = self.ring.buffers.bytes(arrival.buffer, arrival.len);
                self.state.arrived(arrival.index, arrival.generation, bytes);
                self.ring.buffers.give_back(arrival.buffer);
            }
            from = to;
        }
        self.arrivals.clear();
    }

    /// Sends, receives, pauses and ends as the sessions that something happened to need it.
    fn tend_sessions(&mut self) {
        let mut dirty = std::mem::take(&mut self.state.dirty);
        for index in dirty.drain(..) {
            let Some(mut session) = self.state.sessions[index as usize].take() else { continue };
            let is_over = self.tend(&mut session);
            self.state.sessions[index as usize] = Some(session);
            if is_over {
                self.state.remove(index);
            }
        }
        debug_assert!(self.state.dirty.is_empty(), "tending a session concerns no other");
        self.state.dirty = dirty;
    }

    /// `true` if the session is over and nothing of it is left in the kernel.
    fn tend(&mut self, session: &mut Session) -> bool {
        session.is_pushed = false;
        if session.late.is_some() {
            // It may have begun to wait for something else than the end of a reply.
            session.take_late();
        }
        self.check_limits(session);
        if session.is_deaf && matches!(session.pending, Pending::Paused | Pending::Blocked(_)) {
            // Who does not wait for the end of a pause, or for keys, is not served any more.
            session.closing = Closing::Now;
        }
        let token = |operation| Token { operation, index: session.index, generation: session.generation };
        let (receive, send) = (token(Operation::Receive), token(Operation::Send));
        let fd = session.fd.as_raw_fd();
        let owes = session.output.unsent() > 0;
        if session.pending.is_nothing() && !owes {
            if session.closing == Closing::AfterReplies && session.lingers_since.is_none() {
                // The client reads the end after the last reply; what it still sends is read and dropped, because
                // closing with unread input would take the replies from it.
                session.lingers_since = Some(self.state.now);
                listen::shut_down(&session.fd, libc::SHUT_WR);
            }
            // Everything that came has been executed by now; the rest is half a request.
            if session.is_deaf && session.next_parsed == session.parsed.len() {
                if session.closing == Closing::No {
                    let (now, me) = (self.state.now, self.state.me.index());
                    log::debug!("Client closed connection {}", logger::client_line(session.line(now, me, None)));
                }
                session.closing = Closing::Now;
            }
        }
        if session.closing == Closing::Now && !session.is_shut {
            session.is_shut = true;
            self.state.census.forget(session.index);
            match session.pending {
                Pending::Paused => self.state.leave_pause(session),
                Pending::Clients(_) => session.pending = Pending::Nothing,
                Pending::LongReply(_) => self.state.leave_long_reply(session),
                _ => self.state.give_up(session, Ending::Gone),
            }
            if session.is_executing() && session.pending.is_nothing() {
                self.state.ready.push_back(session.index);
            }
            self.state.put_back_unsent(session);
            if session.pending.is_nothing() {
                self.state.end_watching(session);
            }
            session.late = None;
            session.output.abandon();
            listen::shut_down(&session.fd, libc::SHUT_RDWR);
            if session.is_receiving {
                self.ring.cancel(receive);
            }
        }
        if session.is_shut {
            let is_busy = !session.pending.is_nothing() || session.is_executing() || !self.has_left(session);
            return !session.is_receiving && !session.output.is_sending && !is_busy;
        }
        session.output.submit(&mut self.ring, fd, send);
        self.state.go_on_reading(session);
        if !session.returnable.is_empty() && session.output.pending.is_empty() {
            session.returnable.clear();
        }
        let too_much = self.has_sent_too_much(session);
        let wants_direct = session.big.as_ref().is_some_and(|big| big.wants_direct(session.is_bulky));
        let must_stop = too_much || (wants_direct && !session.is_direct);
        if session.is_receiving && must_stop && !session.is_paused {
            session.is_paused = true;
            self.ring.cancel(receive);
        } else if session.is_direct && session.pace == Pace::Asked {
            // What has come so far is told when the operation ends.
            session.pace = Pace::Slow;
            self.ring.cancel(receive);
        } else if !session.is_receiving && !session.is_deaf && !too_much {
            session.is_paused = false;
            session.is_receiving = true;
            let is_slow = session.pace != Pace::Swift;
            match session.big.as_mut().filter(|_| wants_direct) {
                Some(big) => {
                    session.is_direct = true;
                    let (room, len) = big.lend();
                    // SAFETY: the room stays where it is until the completion of this operation calls `filled`, and the
                    // session is not dropped before: `is_receiving` keeps it.
                    #[allow(unsafe_code)]
                    unsafe {
                        self.ring.receive_into(fd, room, len, !is_slow, receive);
                    }
                }
                None if session.is_bulky => self.ring.receive_some(fd, FIRST_BYTES, receive),
                None => self.ring.receive(fd, receive),
            }
        }
        false
    }

    /// Does a client that has gone listen to nothing any more? Some of what it listened to is left in each pass.
    fn has_left(&mut self, session: &mut Session) -> bool {
        if session.subscriptions.is_none() || self.state.leave_some(session) {
            return true;
        }
        self.state.later.push_back(Later::Touch(session.index));
        false
    }

    /// Has a client that is not being served sent more than we care to hold?
    fn has_sent_too_much(&self, session: &Session) -> bool {
        let held = session.input.len() - session.input_start;
        if held <= UNREAD_BYTES_MAX {
            return false;
        }
        if session.output.unsent() > crate::dispatch::OWED_BYTES_MAX {
            // It may be writing a long pipeline before it reads: it gets as much room as one request could take.
            return held > self.state.tuning.query_limit / 2;
        }
        !session.pending.is_nothing()
    }

    fn check_limits(&mut self, session: &mut Session) {
        if session.is_shut {
            return;
        }
        let (now, me) = (self.state.now, self.state.me.index());
        let queued = session.multi.as_ref().map_or(0, |multi| multi.word_bytes());
        let query = session.query_bytes() + queued;
        let is_large = query + session.output.unsent() > COUNTED_AT_ONCE_BYTES || session.big.is_some();
        if (is_large || session.is_large || self.state.census.limit != 0) && session.closing != Closing::Now {
            self.state.count_session(session);
        }
        let tuning = &self.state.tuning;
        let is_refused = session.big.as_ref().is_some_and(BigArgument::is_over);
        let limit = if queued > QUEUE_BYTES_MAX { QUEUE_BYTES_MAX } else { tuning.query_limit };
        if (is_refused || query > limit) && session.closing != Closing::Now {
            let line = logger::client_line(session.line(now, me, None));
            log::warn!("Closing client that reached max query buffer length: {line}");
            self.state.statistics.query_limit_closed += 1;
            session.closing = Closing::Now;
        }
        // As in Valkey a short output is under any limit.
        let unsent = session.output.unsent() + session.late.as_ref().map_or(0, |late| late.len());
        let unsent = if unsent <= crate::session::SHORT_OUTPUT_BYTES_MAX { 0 } else { unsent };
        let limit = tuning.output_limit(session.kind);
        let over = |limit: u64| limit != 0 && unsent as u64 > limit;
        let mut is_over = over(limit.hard);
        if over(limit.soft) {
            let since = *session.output.over_soft_limit_since.get_or_insert(now);
            is_over |= now.0 - since.0 > i64::from(limit.soft_seconds) * 1000;
        } else {
            session.output.over_soft_limit_since = None;
        }
        if is_over && session.closing != Closing::Now {
            let line = logger::client_line(session.line(now, me, None));
            log::warn!("Client {line} scheduled to be closed ASAP for overcoming of output buffer limits.");
            self.state.statistics.output_limit_closed += 1;
            session.closing = Closing::Now;
        }
    }

    /// Periodic work. `true` if it is time for upkeep of the data, too.
    fn tick(&mut self) -> bool {
        let now = self.state.now;
        let tick_ms = 1000 / self.state.tuning.hz;
        // What is far away was planned before the clock was set back.
        let is_due = |at: i64| now.0 >= at || at - now.0 > 1000;
        if is_due(self.next_slice_ms) {
            self.next_slice_ms = now.0 + Rounds::period_ms(self.state.sessions.len(), tick_ms);
            if !self.state.is_cron_paused {
                self.state.go_round();
            }
        }
        if !is_due(self.next_tick_ms) {
            return false;
        }
        self.next_tick_ms = now.0 + tick_ms;
        let began = clock::instant();
        let upkeep = self.work_of_tick(now);
        self.state.statistics.cron_nanos += began.elapsed().as_nanos() as u64;
        upkeep
    }

    /// Rates, memory, listeners, how long to wait.
    fn work_of_tick(&mut self, now: Millis) -> bool {
        self.state.statistics.sample(now.0);
        self.state.note_memory();
        for token in std::mem::take(&mut self.deaf_listeners) {
            self.accept_on(token);
        }
        if self.state.is_cron_paused {
            return false;
        }
        self.state.mesh.cores().beat(self.state.me.index()).store(now.0, Ordering::Relaxed);
        self.tend_process();
        let statistics = &self.state.statistics;
        let commands = statistics.commands + statistics.calls_in;
        self.state.batch_wait.observe(self.state.rounds.active(), commands, now);
        true
    }

    /// The part of a tick that is about the process: signals, the supervisor, the log.
    fn tend_process(&mut self) {
        let state = &mut self.state;
        let now = state.now;
        state.heed_signal();
        state.keeper.sign(now, state.mesh.cores());
        if !log::log_enabled!(log::Level::Debug)
            || (0..CONTENTS_LOG_PERIOD_MS).contains(&(now.0 - self.contents_logged_at.0))
        {
            return;
        }
        self.contents_logged_at = now;
        let core = state.me.index();
        for db in 0..state.site.shard.database_count() {
            let database = state.site.shard.database(DbIndex(db));
            if !database.is_empty() {
                log::debug!("DB {db}: {} keys ({} volatile) on core {core}.", database.len(), database.volatile());
            }
        }
        log::trace!("Total: {} clients connected to core {core}", state.session_count());
    }

    /// A pass of a core that stops: nothing is read or executed any more, but what is owed to clients and other cores
    /// still leaves, for a bounded time.
    fn stop(&mut self, began: Instant) -> Flow {
        let is_first = self.stopping_since.is_none();
        let since = *self.stopping_since.get_or_insert(began);
        let cores = self.state.mesh.cores().clone();
        if is_first {
            self.state.keeper.tell_stopping();
            if self.state.listeners.iter().any(listen::Listener::is_unix) {
                log::info!("Removing the unix socket file.");
            }
            self.state.listeners.clear();
        }
        let mut owes = self.state.mesh.is_clogged();
        for index in 0..self.state.sessions.len() {
            let Some(session) = self.state.sessions[index].as_deref_mut() else { continue };
            if matches!(session.pending, Pending::Paused | Pending::Blocked(_)) && session.closing != Closing::Now {
                session.closing = Closing::Now;
                self.state.dirty.push(index as u32);
            } else if session.closing == Closing::No {
                session.closing = Closing::AfterReplies;
                self.state.dirty.push(index as u32);
            }
            owes |= session.closing != Closing::Now && (session.output.unsent() > 0 || !session.pending.is_nothing());
        }
        if !owes && !self.is_quiet {
            self.is_quiet = true;
            cores.quiet().fetch_add(1, Ordering::AcqRel);
        }
        self.tend_sessions();
        if cores.quiet().load(Ordering::Acquire) >= cores.count() || since.elapsed() > STOP_LIMIT {
            self.has_stopped = true;
            crate::sys::note::unregister();
            // What is owed is handed to the kernel; the sockets close with the process.
            self.enter(Wait { want: 0, timeout: Duration::ZERO, min_wait: Duration::ZERO });
            return Flow::Stop;
        }
        self.enter(Wait { want: 1, timeout: STOP_GLANCE, min_wait: Duration::ZERO });
        Flow::Continue
    }

    /// Waits for the next thing to do.
    fn wait(&mut self) {
        let pause = self.state.paused.pause.map_or(i64::MAX, |pause| pause.until.0);
        let next = self.next_tick_ms.min(self.next_slice_ms).min(pause).min(self.state.next_deadline());
        let until_tick = (next - clock::now().0).clamp(0, 1000) as u64;
        let mut wait = self.state.batch_wait.wait(Duration::from_millis(until_tick.max(1)));
        if self.has_more_upkeep || self.state.has_more() {
            wait.want = 0;
        } else if self.state.mesh.is_clogged() {
            wait.timeout = Duration::from_micros(100);
            wait.want = 1;
        }
        let has_peers = self.state.mesh.count() > 1;
        if wait.want == 1 && self.state.away > 0 && self.state.batch_wait.has_few_clients() {
            self.enter(Wait { want: 0, ..wait });
            if self.linger() {
                return;
            }
        }
        if has_peers && wait.want > 0 && !self.state.mesh.announce_sleep() {
            wait.want = 0;
        }
        self.enter(wait);
        if has_peers {
            self.state.mesh.announce_awake();
        }
    }

    fn enter(&mut self, wait: Wait) {
        if let Err(error) = self.ring.submit_and_wait(wait) {
            panic!("waiting for io_uring failed: {error}");
        }
    }

    /// With few clients, answers of other cores come sooner than this core could fall asleep and be woken: looks out for
    /// them a little. `true` if there is mail.
    fn linger(&mut self) -> bool {
        let until = clock::instant() + LINGER;
        while clock::instant() < until {
            for _ in 0..LOOKS_A_GLANCE {
                if self.state.mesh.has_mail() {
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        false
    }

    fn note_busy(&mut self, began: Instant) {
        let nanos = began.elapsed().as_nanos() as u64;
        let statistics = &mut self.state.statistics;
        statistics.passes += 1;
        let executed = statistics.commands.saturating_sub(self.commands_before);
        self.commands_before = statistics.commands;
        statistics.most_commands = statistics.most_commands.max(executed);
        statistics.busy_nanos += nanos;
        statistics.longest_pass_micros = statistics.longest_pass_micros.max(nanos / 1000);
    }
}

impl Core for CoreLoop {
    fn pass(&mut self) -> Flow {
        if self.has_stopped {
            return Flow::Stop;
        }
        let began = clock::instant();
        self.state.now = clock::now();
        self.state.pass_ticks = clock::ticks();
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.reap(&mut completions);
        completions.drain(..).for_each(|completion| self.complete(completion));
        self.completions = completions;
        self.take_letters();
        self.state.heed_all();
        self.state.check_pause();
        self.state.check_deadlines();
        self.state.work_later();
        let executing = clock::instant();
        self.execute_arrivals();
        self.state.check_debugged();
        self.state.grant_wishes();
        self.state.settle();
        self.state.tell_events();
        self.state.log_refusals();
        self.state.statistics.command_nanos += executing.elapsed().as_nanos() as u64;
        let ticked = self.tick();
        self.listen();
        self.state.tell_monitors();
        self.tend_sessions();
        self.state.check_client_memory();
        self.state.watch_drains();
        self.state.settle();
        self.state.hurry_sources();
        self.state.post_outgoing();
        self.state.tell_monitors();
        let Self { ring, state, .. } = self;
        let mut wakes = 0;
        state.mesh.flush(|peer| {
            wakes += 1;
            ring.wake(peer);
        });
        state.statistics.wakes += wakes;
        state.paths.written(clock::ticks());
        if self.state.is_stopping {
            return self.stop(began);
        }
        self.note_busy(began);
        self.wait();
        if ticked { Flow::Upkeep } else { Flow::Continue }
    }

    fn upkeep(&mut self) -> bool {
        self.state.now = clock::now();
        let budget = UPKEEP_ENTRIES;
        let began = clock::ticks();
        self.has_more_upkeep = self.state.site.upkeep(self.state.now, budget);
        let nanos = clock::nanos_of(clock::ticks().saturating_sub(began));
        self.state.statistics.upkeep_nanos += nanos;
        let millis = nanos / 1_000_000;
        if self.state.tuning.observed.latency_ms.is_some_and(|limit| millis >= limit) {
            self.state.latency_events.note("expire-cycle", self.state.now.as_seconds(), millis);
        }
        self.has_more_upkeep
    }
}
