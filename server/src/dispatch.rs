//! From bytes to execution: requests are parsed in place, those for this core run at once, and stretches of a pipeline
//! that touch other cores become jobs or flights.

use crate::observe::calls::{Measure, request_bytes};
use crate::observe::crash;
use crate::script::Nature;
use crate::session::{Closing, GatheredCall, Parsed, Pending, ReplyMode, Session};
use crate::state::State;
use ringkey_core::command::keys::KeySpec;
use ringkey_core::command::{Admin, Command, Flags, Group, Run, Spread, Wait};
use ringkey_core::keyspace::slot::KeyHash;
use ringkey_core::resp::request::Progress;
use ringkey_core::resp::{Args, CommandError, Reply, RequestLimits};
use ringkey_core::txn::batch::{Call, LockRequests, Order, Reach, lock_of, push_key_locks};
use ringkey_core::txn::flight::{Flight, Shape};
use ringkey_core::txn::locks::{Mode, Owner};
use ringkey_core::txn::site::Site;
use ringkey_core::units::ShardId;
use smallvec::SmallVec;

/// Most requests of one client that are parsed ahead, and most calls of one stretch.
const AHEAD_MAX: usize = 128;

/// The table line of a key is asked for when so many further requests are parsed: by then its segment's header is there.
const LINES_BEHIND: usize = 4;

/// A client that is owed more than this executes nothing until it has read some of it, in bytes.
pub const OWED_BYTES_MAX: usize = 4 << 20;

/// So often at most is it logged that a web client was cut off, in milliseconds.
const WEB_LOG_PERIOD_MS: i64 = 60_000;

/// What became of input.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Bytes done with.
    pub consumed: usize,
    /// Bytes behind this are kept elsewhere already.
    pub end: usize,
}

/// What a call needs.
enum Plan {
    /// It runs on one shard, with its reply as it comes.
    On(ShardId),
    /// The same for a script that may turn out to need what is elsewhere: in a job of its own.
    Script(ShardId),
    /// A script that needs what is elsewhere.
    Roving,
    /// It may block the client, which ends the stretch.
    Wait(Wait),
    /// Something that ends the stretch: it is carried out on its own.
    Alone,
}

/// What became of a request.
#[derive(PartialEq, Eq)]
pub enum Done {
    /// The next one may follow.
    Next,
    /// The session waits, or ends.
    Stop,
}

impl State {
    /// Parses and executes what `input` holds, until it is used up or the session waits for something.
    pub fn drive(&mut self, session: &mut Session, input: &[u8]) -> Read {
        let (mut consumed, mut end) = (0, session.foreseen.take().unwrap_or(input.len()));
        if session.is_executing() && !self.go_on_with_exec(session) {
            return Read { consumed, end };
        }
        if !self.late_pushes.is_empty() || session.late.is_some() {
            self.push_late(session);
        }
        while session.pending.is_nothing() && session.closing == Closing::No && self.may_owe_more(session) {
            if session.next_parsed == session.parsed.len() {
                session.parsed.clear();
                session.spans.clear();
                session.next_parsed = 0;
                end = self.parse_ahead(session, &input[consumed..end]) + consumed;
                prefetch_entries(&self.site, session);
            }
            let rest = &input[consumed..end];
            self.site.watch.start();
            let first = session.next_parsed;
            let done = self.execute_parsed(session, rest);
            // A request that is held back is not consumed.
            if session.next_parsed > first {
                let used = session.parsed[session.next_parsed - 1].end;
                session.consume(used);
                consumed += used;
            } else if session.parsed.is_empty() && self.finish_stage(session) {
                break;
            }
            if done == Done::Stop {
                break;
            }
        }
        Read { consumed, end }
    }

    /// Nothing is left to execute: reports a breach of the protocol if one follows. `true` if the loop is over.
    fn finish_stage(&mut self, session: &mut Session) -> bool {
        if let Some(breach) = session.breach.take() {
            let error = CommandError::owned(breach.to_string());
            self.site.errors.note(error.code());
            Reply::new(&mut session.output.pending, session.protocol).error(&error);
            session.closing = Closing::AfterReplies;
        }
        true
    }

    fn may_owe_more(&self, session: &Session) -> bool {
        session.output.unsent() <= OWED_BYTES_MAX.max(self.tuning.output_limit(session.kind).hard as usize)
    }

    /// Parses requests ahead, hashes their keys and has their places in the table fetched. Returns where the usable
    /// input ends.
    pub fn parse_ahead(&mut self, session: &mut Session, input: &[u8]) -> usize {
        let limits =
            RequestLimits { bulk_bytes_max: self.tuning.bulk_bytes_max, unauthenticated: !session.is_authenticated };
        let mut end = input.len();
        self.lend_lists(session);
        // The limits of what follows depend on whether this request is the right password.
        let most = if session.is_authenticated { AHEAD_MAX } else { 1 };
        while session.parsed.len() < most && session.breach.is_none() {
            let start = session.parse_offset;
            let words_from = session.spans.len() as u32;
            let progress = match session.parser.parse(&input[start..end], &limits, &mut session.spans) {
                Ok(progress) => progress,
                Err(breach) => {
                    session.breach = Some(breach);
                    break;
                }
            };
            let (consumed, is_owned) = match progress {
                Progress::Complete { consumed } => (consumed, false),
                Progress::CompleteOwned { consumed } => {
                    session.owned.push_back(session.parser.take_request());
                    (consumed, true)
                }
                Progress::Incomplete => break,
                Progress::BigArgument { consumed, len } => {
                    let payload = &input[start + consumed..end];
                    end = start + consumed;
                    session.parse_offset = end;
                    session.begin_big(len, payload, self.tuning.query_limit);
                    break;
                }
            };
            session.parse_offset += consumed;
            let words = (words_from, session.spans.len() as u32);
            let parsed = Parsed { row: None, words, key: None, start, end: start + consumed, is_owned };
            session.parsed.push(parsed);
            self.look_up(session, input);
            if let Some(at) = session.parsed.len().checked_sub(LINES_BEHIND + 1) {
                self.prefetch_line(session, at);
            }
        }
        for at in session.parsed.len().saturating_sub(LINES_BEHIND)..session.parsed.len() {
            self.prefetch_line(session, at);
        }
        end
    }

    /// The look at a key has brought the header of its segment; this brings the line of its table.
    #[inline]
    fn prefetch_line(&self, session: &Session, at: usize) {
        if let Some((_, hash)) = session.parsed[at].key {
            self.site.shard.database(session.db).prefetch_line(hash);
        }
    }

    /// Finds the row and the key of the request parsed last.
    fn look_up(&mut self, session: &mut Session, input: &[u8]) {
        let parsed = *session.parsed.last().expect("a request was parsed just now");
        // Earlier requests of the pipeline may be owned, too: this one is the last of them.
        let args = session.args_at(&parsed, input, session.owned.len().saturating_sub(1));
        if args.is_empty() {
            return;
        }
        let Some(row) = self.names.lookup(args.get(0)) else { return };
        let mut key = None;
        if let Some(index) = row.single_key()
            && row.accepts(args.len())
            && index < args.len()
        {
            let mut hash = self.site.shard.key(args.get(index)).hash;
            if self.map.shard_of(hash.slot) == self.me {
                self.site.shard.database(session.db).prefetch_segment(&mut hash);
            }
            key = Some((index as u32, hash));
        }
        let last = session.parsed.last_mut().expect("a request was parsed just now");
        last.row = Some(row);
        last.key = key;
    }

    fn execute_parsed(&mut self, session: &mut Session, input: &[u8]) -> Done {
        while session.next_parsed < session.parsed.len() {
            let parsed = session.parsed[session.next_parsed];
            let done = self.execute(session, &parsed, input);
            // Of what became of keys a client hears behind the reply of the call that did it.
            self.tell_events();
            if !self.late_pushes.is_empty() || session.late.is_some() {
                self.push_late(session);
            }
            if done == Done::Stop {
                return Done::Stop;
            }
            if session.output.unsent() > OWED_BYTES_MAX && !self.may_owe_more(session) {
                return Done::Stop;
            }
        }
        Done::Next
    }

    /// Executes the next request, or the stretch of requests that it begins; moves behind it.
    fn execute(&mut self, session: &mut Session, parsed: &Parsed, input: &[u8]) -> Done {
        if parsed.words.0 == parsed.words.1 && !parsed.is_owned {
            session.next_parsed += 1;
            if session.reply_mode == ReplyMode::Skip {
                // As elsewhere, an empty request uses the skip up.
                session.reply_mode = ReplyMode::On;
            }
            return Done::Next;
        }
        if session.tracking.is_some() {
            self.begin_tracked(session, parsed.row);
        }
        if session.multi.is_some() {
            return self.execute_in_multi(session, parsed, input);
        }
        let args = session.args_of(parsed, input);
        let row = match self.admit(session, parsed.row, &args) {
            Ok(row) => row,
            Err(error) => return self.refuse(session, parsed, &error, input),
        };
        // The path of most requests: one key, at home, nothing locked.
        if let (Some(key), Run::OnShard(_)) = (parsed.key, row.run)
            && self.map.shard_of(key.1.slot) == self.me
            && self.is_plain
        {
            let call = new_call(row, session, parsed.key);
            if self.site.admits(&call, &args) {
                return self.run_one_here(session, parsed, &call, input);
            }
        }
        if self.seat.is_some()
            && let Err(error) = self.check_slots(session, row, parsed.key, &args)
        {
            return self.refuse(session, parsed, &error, input);
        }
        if self.holds.any
            && let Err(error) = self.check_held(session, row, parsed.key, &args)
        {
            return self.refuse(session, parsed, &error, input);
        }
        if self.paused.pause.is_some_and(|pause| pause.holds(row)) {
            self.hold_back(session);
            return Done::Stop;
        }
        if matches!(row.run, Run::Admin(Admin::Publish | Admin::SPublish)) {
            return self.publish_all(session, input);
        }
        if matches!(row.run, Run::Admin(Admin::Multi | Admin::Exec | Admin::Discard)) {
            return self.transact(session, parsed, row, input);
        }
        if session.is_debugging && crate::debugging::concerns(row, &args) {
            return self.debug(session, parsed, row, input);
        }
        let plan = self.plan(row, parsed.key, &args);
        if let Ok(Plan::On(shard) | Plan::Script(shard)) = plan
            && shard == self.me
        {
            let call = new_call(row, session, parsed.key);
            if self.site.admits(&call, &args) {
                return self.run_one_here(session, parsed, &call, input);
            }
        }
        match plan {
            Ok(Plan::On(shard)) if shard == self.me => self.begin_stretch(session, input),
            Ok(Plan::Script(shard)) => self.send_away(session, parsed, row, shard, input),
            Ok(Plan::On(shard)) if session.next_parsed + 1 == session.parsed.len() => {
                self.send_away(session, parsed, row, shard, input)
            }
            Ok(Plan::On(_)) => self.begin_stretch(session, input),
            Ok(Plan::Alone) => self.carry_out_alone(session, row, parsed, input),
            Ok(Plan::Roving) => {
                crate::script::note_call(row, &args);
                let request = session.take_request(parsed, input);
                session.note_command(row);
                self.statistics.commands += 1;
                session.tracked.leaves(row);
                self.gather_everything(session, row, request);
                Done::Stop
            }
            Ok(Plan::Wait(wait)) => self.begin_wait(session, parsed, row, wait, input),
            Err(error) => self.refuse(session, parsed, &error, input),
        }
    }

    /// The checks before a command, in order.
    pub fn admit(
        &mut self,
        session: &Session,
        row: Option<&'static Command>,
        args: &Args<'_>,
    ) -> Result<&'static Command, CommandError> {
        // Who has not said the password does not even learn which commands there are.
        if !session.is_authenticated && !self.names.find(args).is_some_and(|row| row.flags.has(Flags::NO_AUTH)) {
            return Err(CommandError::NoAuth);
        }
        let row = match row {
            Some(row) if row.subcommands.is_empty() && row.accepts(args.len()) && !row.is_missing() => row,
            _ => self.names.resolve(args)?,
        };
        session.check_listening(row)?;
        if session.is_monitor && crate::monitor::is_refused(row) {
            return Err(crate::monitor::REFUSAL);
        }
        Ok(row)
    }

    /// Answers a request with an error and moves behind it; a transaction under way is lost by that.
    #[cold]
    pub fn refuse(&mut self, session: &mut Session, parsed: &Parsed, error: &CommandError, input: &[u8]) -> Done {
        if is_of_the_web(&session.args_of(parsed, input)) {
            return self.cut_off(session);
        }
        session.abort_transaction();
        let row = self.names.find(&session.args_of(parsed, input));
        let mut aborted = None;
        if let Some(row) = row {
            self.site.watch.reject(row);
            if matches!(row.run, Run::Admin(Admin::Exec)) {
                self.note_of_process(session, row, &session.args_of(parsed, input));
                self.discard(session);
                aborted = Some(CommandError::aborted(error));
            }
        }
        let error = aborted.as_ref().unwrap_or(error);
        self.site.errors.note(error.code());
        session.next_parsed += 1;
        if parsed.is_owned {
            session.owned.pop_front();
        }
        let before = session.output.pending.mark();
        Reply::new(&mut session.output.pending, session.protocol).error(error);
        session.apply_reply_mode(before);
        Done::Next
    }

    /// Ends a connection through which somebody makes a web client speak to us: what follows may be commands of theirs.
    fn cut_off(&mut self, session: &mut Session) -> Done {
        if self.now.0 - self.web_logged_at.0 >= WEB_LOG_PERIOD_MS {
            self.web_logged_at = self.now;
            log::warn!(
                "Possible SECURITY ATTACK detected. A request of another protocol (POST or Host:) came from {}: somebody may \
                 be making a web client send commands to this server. The connection was closed.",
                session.facts.ends.peer
            );
        }
        session.closing = Closing::Now;
        Done::Stop
    }

    #[inline]
    fn run_one_here(&mut self, session: &mut Session, parsed: &Parsed, call: &Call, input: &[u8]) -> Done {
        let (before, len) = (session.output.pending.mark(), session.output.pending.len());
        // The request is taken apart from the session while its replies are written there.
        let spans = std::mem::take(&mut session.spans);
        let owned = if parsed.is_owned { session.owned.pop_front() } else { None };
        let args = match &owned {
            Some(request) => request.args(),
            None => crate::session::requests::in_place(&spans, parsed, input),
        };
        crash::note_command(call.row, &args);
        let ticks = self.site.run(self.now, call, &args, &mut session.output.pending);
        crash::done();
        if call.row.group == Group::Scripting {
            self.count_within(session);
        }
        if let Some(put_off) = self.site.take_put_off() {
            let request = ringkey_core::resp::Request::copy_of(&args);
            session.spans = spans;
            session.next_parsed += 1;
            session.note_command(call.row);
            self.statistics.commands += 1;
            session.tracked.leaves(call.row);
            self.begin_put_off(session, put_off, call, request);
            return Done::Stop;
        }
        let reply = session.output.pending.len() - len;
        let is_large = reply >= self.tuning.observed.reply_bytes;
        if self.site.watch.is_slow(ticks)
            || is_large
            || self.is_large_request(parsed.end - parsed.start, parsed.is_owned)
        {
            self.remember(session, call.row, &args, Measure { ticks, request: request_bytes(&args), reply });
        }
        session.spans = spans;
        session.note_command(call.row);
        self.paths.answered(call.row.id, 1, session.tracked.arrived);
        self.statistics.commands += 1;
        session.apply_reply_mode(before);
        session.next_parsed += 1;
        Done::Next
    }

    /// Where a call is to be executed.
    fn plan(&self, row: &'static Command, key: Option<(u32, KeyHash)>, args: &Args<'_>) -> Result<Plan, CommandError> {
        let is_of_session = row.group == Group::Transactions;
        if !matches!(row.run, Run::OnShard(_)) || matches!(row.spread, Spread::EveryShard { .. }) || is_of_session {
            return Ok(Plan::Alone);
        }
        if let Some((_, hash)) = key {
            return Ok(Plan::On(self.map.shard_of(hash.slot)));
        }
        if self.needs_every_shard(row, args) {
            return Ok(Plan::Alone);
        }
        if let Some(wait) = row.waits.and_then(|rule| rule(args, self.now)) {
            return Ok(Plan::Wait(wait));
        }
        let nature = self.nature_of(row, args);
        if nature == Nature::Roving {
            return Ok(Plan::Roving);
        }
        let mut shard = None;
        let mut several = false;
        let fits = row.visit_keys(args, |index, _: &KeySpec| {
            let here = self.shard_of_key(args.get(index));
            several |= shard.is_some_and(|known| known != here);
            shard = Some(here);
        });
        match shard {
            // Words that do not fit, or no key at all: the handler says what is wrong.
            _ if !fits => Ok(Plan::On(self.me)),
            _ if several => Ok(Plan::Alone),
            _ if nature == Nature::Unknown => Ok(Plan::Script(shard.unwrap_or(self.me))),
            None => Ok(Plan::On(self.me)),
            Some(shard) => Ok(Plan::On(shard)),
        }
    }

    /// Must all shards lend what they have for this call? Not in a cluster, where all keys of a call are of one slot.
    pub fn needs_every_shard(&self, row: &Command, args: &Args<'_>) -> bool {
        matches!(row.spread, Spread::Everything { .. })
            && self.map.shards() > 1
            && self.seat.is_none()
            && row.needs_every_shard(args)
    }

    /// What is known of the script that a call names. With one shard there is nothing to be known.
    pub fn nature_of(&self, row: &Command, args: &Args<'_>) -> Nature {
        if row.group != Group::Scripting || self.map.shards() == 1 {
            return Nature::Bound;
        }
        match crate::script::nature_of(row, args) {
            // In a cluster all its keys are of one slot.
            Nature::Roving if self.seat.is_some() => Nature::Unknown,
            nature => nature,
        }
    }

    /// The shard of a key.
    pub fn shard_of_key(&self, key: &[u8]) -> ShardId {
        if self.map.shards() == 1 { self.me } else { self.map.shard_of(ringkey_core::keyspace::slot::slot_of(key)) }
    }

    /// Sends one request to the shard that owns its keys.
    fn send_away(
        &mut self,
        session: &mut Session,
        parsed: &Parsed,
        row: &'static Command,
        shard: ShardId,
        input: &[u8],
    ) -> Done {
        let owner = self.new_owner();
        let call = new_call(row, session, parsed.key);
        let batch = self.open_remote_job(shard, session.ticket(), owner, Order::Run);
        batch.jobs.last_mut().expect("it was opened just now").may_be_turned_away = true;
        batch.push_call(&call, &session.args_of(parsed, input));
        self.send_off(session, parsed, row, input);
        session.pending = Pending::Remote;
        session.note_command(row);
        self.statistics.commands += 1;
        Done::Stop
    }

    /// Moves behind a request whose words have been copied, because it runs elsewhere.
    #[inline]
    fn send_off(&mut self, session: &mut Session, parsed: &Parsed, row: &'static Command, input: &[u8]) {
        session.tracked.leaves(row);
        if self.is_large_request(parsed.end - parsed.start, parsed.is_owned) {
            let args = session.args_of(parsed, input);
            let request = request_bytes(&args);
            self.remember(session, row, &args, Measure { request, ..Measure::default() });
        }
        session.leave_behind(parsed);
    }

    /// Collects the requests from the next one on that run on one shard each, and sends them there: as a job if it is
    /// one shard for all, else as a flight that keeps program order.
    fn begin_stretch(&mut self, session: &mut Session, input: &[u8]) -> Done {
        let mut targets: SmallVec<[ShardId; AHEAD_MAX]> = SmallVec::new();
        let mut rows: SmallVec<[&'static Command; AHEAD_MAX]> = SmallVec::new();
        let mut shards: SmallVec<[ShardId; 8]> = SmallVec::new();
        let most = if session.reply_mode == ReplyMode::On && !session.picks() { AHEAD_MAX } else { 1 };
        let first = session.next_parsed;
        let mut owned = 0;
        for at in first..session.parsed.len().min(first + most) {
            let parsed = &session.parsed[at];
            let Some((row, shard)) = self.stretches_to(session, parsed, input, owned) else { break };
            // What scripts publish is told where they run, and comes behind what they do.
            let is_single = row.group == Group::Scripting && self.is_followed();
            if is_single && !rows.is_empty() {
                break;
            }
            owned += usize::from(parsed.is_owned);
            targets.push(shard);
            rows.push(row);
            if !shards.contains(&shard) {
                shards.push(shard);
            }
            if is_single {
                break;
            }
        }
        shards.sort_unstable();
        if let [shard] = shards.as_slice() {
            let shard = *shard;
            let owner = self.new_owner();
            let batch = self.open_remote_job(shard, session.ticket(), owner, Order::Run);
            batch.jobs.last_mut().expect("it was opened just now").may_be_turned_away = true;
            for (at, row) in rows.iter().enumerate() {
                let parsed = session.parsed[first + at];
                let call = new_call(row, session, parsed.key);
                self.outgoing(shard).push_call(&call, &session.args_of(&parsed, input));
                self.send_off(session, &parsed, row, input);
            }
            session.pending = Pending::Remote;
        } else {
            let mut flight = self.new_flight(session, Shape::Calls, Reach::Keys, &shards);
            self.have_events_brought(&mut flight, rows.iter().copied());
            if shards.len() > 2 || !self.relay(session, &mut flight, &rows, &targets, input) {
                for (at, row) in rows.iter().enumerate() {
                    let parsed = session.parsed[first + at];
                    let call = new_call(row, session, parsed.key);
                    flight.push(targets[at], &call, &session.args_of(&parsed, input), None);
                    self.send_off(session, &parsed, row, input);
                }
                self.take_off(session, flight, None);
            } else {
                self.statistics.flights += 1;
                session.pending = Pending::Flight(flight, None);
            }
        }
        session.note_command(rows.last().expect("a stretch has at least one request"));
        session.commands += rows.len() as u64 - 1;
        self.statistics.commands += rows.len() as u64;
        Done::Stop
    }

    /// The row of a parsed request and the one shard on which it runs, if a stretch can go on with it.
    #[inline]
    fn stretches_to(
        &mut self,
        session: &Session,
        parsed: &Parsed,
        input: &[u8],
        owned_before: usize,
    ) -> Option<(&'static Command, ShardId)> {
        // Most requests: a known command with one key, of a client that may do everything.
        if let (Some(row), Some((_, hash))) = (parsed.row, parsed.key)
            && matches!(row.run, Run::OnShard(_))
            && row.subcommands.is_empty()
            && session.is_authenticated
            && self.stretches_plainly
        {
            return Some((row, self.map.shard_of(hash.slot)));
        }
        let args = session.args_at(parsed, input, owned_before);
        if args.is_empty() {
            return None;
        }
        let row = self.admit(session, parsed.row, &args).ok()?;
        if self.seat.is_some() && self.check_slots(session, row, parsed.key, &args).is_err() {
            return None;
        }
        if self.paused.pause.is_some_and(|pause| pause.holds(row)) {
            return None;
        }
        if self.holds.any && self.check_held(session, row, parsed.key, &args).is_err() {
            return None;
        }
        match self.plan(row, parsed.key, &args) {
            Ok(Plan::On(shard)) => Some((row, shard)),
            _ => None,
        }
    }

    /// A flight of a session to these shards, which are in ascending order.
    pub fn new_flight(&mut self, session: &Session, shape: Shape, reach: Reach, shards: &[ShardId]) -> Box<Flight> {
        let owner = self.new_owner();
        let mut flight = Box::new(Flight::new(owner, session.ticket(), shape, reach, shards, || self.take_batch()));
        if self.site.monitored.is_some() && matches!(shape, Shape::Joined(_)) {
            flight.monitor();
        }
        flight
    }

    /// Sends a stretch over two shards off without batches of its own: the leg that comes first runs here in place or
    /// travels with what this pass has for its shard anyway. `false` if locks are in the way; nothing is done then.
    fn relay(
        &mut self,
        session: &mut Session,
        flight: &mut Flight,
        rows: &[&'static Command],
        targets: &[ShardId],
        input: &[u8],
    ) -> bool {
        let (first, calls) = (session.next_parsed, session.parsed.len());
        debug_assert!(first + rows.len() <= calls, "a stretch lies within what was parsed");
        let lower = *targets.iter().min().expect("a stretch has calls");
        let keeps: SmallVec<[bool; AHEAD_MAX]> =
            targets.iter().map(|shard| flight.note(*shard, session.protocol).1).collect();
        let is_here = lower == self.me;
        if is_here && !self.keep_locks(session, flight.owner(), rows, targets, &keeps, input) {
            flight.forget();
            return false;
        }
        let away = if is_here { 1 } else { 0 };
        let order = if flight.keeps(away) { Order::RunAndKeep } else { Order::Run };
        let target = flight.shard(away);
        self.open_remote_leg(flight, away, session.ticket(), order);
        for (at, row) in rows.iter().enumerate() {
            let parsed = session.parsed[first + at];
            let call = Call { keep: keeps[at], may_put_off: false, ..new_call(row, session, parsed.key) };
            let args = session.args_of(&parsed, input);
            if targets[at] == target {
                let batch = self.outgoing(target);
                batch.push_call(&call, &args);
            } else if is_here {
                let batch = flight.batch_of(0);
                let len = batch.replies.len();
                self.site.watch.start();
                let ticks = self.site.run_in_leg(self.now, &call, &args, batch);
                let reply = batch.replies.len() - len;
                self.note_call(session, row, &args, Measure { ticks, request: 0, reply });
            } else {
                flight.batch_of(1).push_call(&call, &args);
            }
            self.send_off(session, &parsed, row, input);
        }
        flight.relay(away);
        true
    }

    /// Takes the locks that the calls of a stretch on this core's shard must keep, if none of them would have to wait.
    fn keep_locks(
        &mut self,
        session: &Session,
        owner: Owner,
        rows: &[&'static Command],
        targets: &[ShardId],
        keeps: &[bool],
        input: &[u8],
    ) -> bool {
        let (mut all, mut kept) = (LockRequests::new(), LockRequests::new());
        let mut owned = 0;
        for (at, row) in rows.iter().enumerate() {
            let parsed = session.parsed[session.next_parsed + at];
            let owned_before = owned;
            owned += usize::from(parsed.is_owned);
            if targets[at] != self.me {
                continue;
            }
            let from = all.len();
            let args = session.args_at(&parsed, input, owned_before);
            let shard = &self.site.shard;
            push_key_locks(row, &args, parsed.key, |key| shard.key(key).hash, &mut all);
            if keeps[at] {
                kept.extend_from_slice(&all[from..]);
            }
        }
        self.site.try_keep(owner, &all, &kept)
    }

    /// Begins a flight, for which the session then waits.
    pub fn take_off(&mut self, session: &mut Session, mut flight: Box<Flight>, gathered: Option<Box<GatheredCall>>) {
        self.statistics.flights += 1;
        let shard = &self.site.shard;
        flight.start(|key| shard.key(key).hash, &mut self.steps);
        self.carry_out_steps(&mut flight);
        session.pending = Pending::Flight(flight, gathered);
    }

    /// Carries out what ends a stretch: commands of the process, and calls that span shards by themselves.
    pub fn carry_out_alone(
        &mut self,
        session: &mut Session,
        row: &'static Command,
        parsed: &Parsed,
        input: &[u8],
    ) -> Done {
        // Rare enough to copy, which frees the session for whatever the command does with it.
        let request = session.take_request(parsed, input);
        session.note_command(row);
        self.statistics.commands += 1;
        let args = request.args();
        let (before, len) = (session.output.pending.mark(), session.output.pending.len());
        let mut failed = false;
        session.tracked.began = self.site.watch.ticks();
        crash::note_command(row, &args);
        match (row.run, row.spread) {
            (Run::Admin(admin), _) => {
                if let Err(error) = self.administer(session, admin, &args) {
                    failed = true;
                    session.output.pending.rewind(before);
                    self.site.errors.note(error.code());
                    Reply::new(&mut session.output.pending, session.protocol).error(&error);
                }
            }
            (_, Spread::EachKey { stride, join }) => {
                if row.group == Group::Transactions {
                    self.note_watching(session, &args);
                }
                self.fly_each_key(session, row, &args, stride, Shape::Joined(join))
            }
            (_, Spread::EveryShard { join, shared }) => {
                self.fly_everywhere(session, row, &args, Shape::Joined(join), shared);
            }
            (_, Spread::Gather | Spread::Everything { .. }) => {
                session.tracked.leaves(row);
                if self.needs_every_shard(row, &args) {
                    self.gather_everything(session, row, request);
                } else {
                    let owner = self.new_owner();
                    self.gather(session, owner, row, request, None);
                }
                crash::done();
                return Done::Stop;
            }
        }
        crash::done();
        if self.site.monitored.is_some() {
            self.note_alone(session, row, &args);
        }
        session.tracked.request = request;
        if session.pending.is_nothing() {
            if matches!(row.run, Run::Admin(_)) {
                let ticks = self.site.watch.ticks().saturating_sub(session.tracked.began);
                self.conclude(session, row, ticks, session.output.pending.len() - len, failed);
            }
            self.paths.answered(row.id, 1, session.tracked.arrived);
            session.apply_reply_mode(before);
            // The next call does not begin where the last one that was watched ended.
            self.site.watch.start();
            return if session.closing == Closing::No { Done::Next } else { Done::Stop };
        }
        session.tracked.leaves(row);
        Done::Stop
    }

    /// Runs a call on this core that might have spanned several.
    fn run_alone(&mut self, session: &mut Session, call: &Call, args: &Args<'_>) {
        let len = session.output.pending.len();
        self.site.watch.start();
        let ticks = self.site.run(self.now, call, args, &mut session.output.pending);
        let reply = session.output.pending.len() - len;
        self.note_call(session, call.row, args, Measure { ticks, request: 0, reply });
    }

    fn fly_each_key(
        &mut self,
        session: &mut Session,
        row: &'static Command,
        args: &Args<'_>,
        stride: u8,
        shape: Shape,
    ) {
        let stride = stride as usize;
        if !(args.len() - 1).is_multiple_of(stride) {
            // Words that do not pair up: the handler on this core says so and touches nothing.
            let call = new_call(row, session, None);
            return self.run_alone(session, &call, args);
        }
        let hashes: SmallVec<[KeyHash; 16]> =
            (1..args.len()).step_by(stride).map(|index| self.site.shard.key(args.get(index)).hash).collect();
        let mut shards: SmallVec<[ShardId; 8]> = SmallVec::new();
        for hash in &hashes {
            let shard = self.map.shard_of(hash.slot);
            if !shards.contains(&shard) {
                shards.push(shard);
            }
        }
        shards.sort_unstable();
        if shards.as_slice() == [self.me] {
            let call = new_call(row, session, None);
            if self.site.admits(&call, args) {
                return self.run_alone(session, &call, args);
            }
        }
        let mut flight = self.new_flight(session, shape, Reach::Keys, &shards);
        self.have_events_brought(&mut flight, std::iter::once(row));
        if shards.len() == 2 && self.relay_fragments(session, &mut flight, row, args, stride, &hashes) {
            self.statistics.flights += 1;
            session.pending = Pending::Flight(flight, None);
            return;
        }
        for (at, hash) in hashes.iter().enumerate() {
            let from = 1 + at * stride;
            let call = new_fragment(row, session, *hash);
            flight.push(self.map.shard_of(hash.slot), &call, args, Some(from..from + stride));
        }
        self.take_off(session, flight, None);
    }

    /// Sends a command that falls apart by keys off to two shards, as [`State::relay`] does with a stretch. `false` if locks are
    /// in the way; nothing is done then.
    fn relay_fragments(
        &mut self,
        session: &mut Session,
        flight: &mut Flight,
        row: &'static Command,
        args: &Args<'_>,
        stride: usize,
        hashes: &[KeyHash],
    ) -> bool {
        let is_here = flight.shard(0) == self.me;
        if is_here {
            let mine = hashes.iter().filter(|hash| self.map.shard_of(hash.slot) == self.me);
            let locks: LockRequests = mine.map(|hash| lock_of(row, *hash)).collect();
            // All stay locked until the other leg has run, so that nobody sees half of the command.
            if !self.site.try_keep(flight.owner(), &locks, &locks) {
                return false;
            }
        }
        let away = usize::from(is_here);
        let target = flight.shard(away);
        let order = if is_here && !flight.keeps_all() { Order::Run } else { Order::RunAndKeep };
        self.site.watch.start();
        self.open_remote_leg(flight, away, session.ticket(), order);
        for (at, hash) in hashes.iter().enumerate() {
            let words = 1 + at * stride..1 + (at + 1) * stride;
            let shard = self.map.shard_of(hash.slot);
            let (_, keep) = flight.note(shard, session.protocol);
            let call = Call { keep, ..new_fragment(row, session, *hash) };
            if shard == target {
                self.outgoing(target).push_fragment(&call, args, words);
            } else if is_here {
                let batch = flight.batch_of(0);
                let spans = args.fragment(words);
                let ticks = self.site.run_in_leg(self.now, &call, &args.with_spans(&spans), batch);
                flight.ticks += ticks;
            } else {
                flight.batch_of(1).push_fragment(&call, args, words);
            }
        }
        flight.relay(away);
        true
    }

    /// Runs a command on every shard, at one moment; for a client on the port of this core, on its shard alone.
    pub fn fly_everywhere(
        &mut self,
        session: &mut Session,
        row: &'static Command,
        args: &Args<'_>,
        shape: Shape,
        shared: bool,
    ) {
        let call = new_call(row, session, None);
        let shards: Vec<ShardId> = match session.on_core_port {
            true => vec![self.me],
            false => (0..self.map.shards()).map(ShardId).collect(),
        };
        if shards == [self.me]
            && self.site.is_idle()
            && !matches!(shape, Shape::Joined(ringkey_core::command::Join::ByLot))
        {
            // A row that is not in the table carries out a part of one that is, which is counted by itself.
            let call = Call { is_part: usize::from(row.id) >= ringkey_core::command::table::ROW_COUNT, ..call };
            return self.run_alone(session, &call, args);
        }
        let call = Call { is_part: true, ..call };
        let reach = Reach::Whole(if shared { Mode::Shared } else { Mode::Exclusive });
        let mut flight = self.new_flight(session, shape, reach, &shards);
        for shard in shards {
            flight.push(shard, &call, args, None);
        }
        self.take_off(session, flight, None);
    }

    /// Carries out a command that the process answers, from the table's row.
    fn administer(&mut self, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
        crate::admin::carry_out(self, session, admin, args)
    }
}

/// The first looks at the keys have brought their table lines; this one brings their entries. Keys of other cores were not
/// looked at, and lead nowhere.
pub fn prefetch_entries(site: &Site, session: &mut Session) {
    let database = site.shard.database(session.db);
    let mut collections = false;
    for parsed in &mut session.parsed[session.next_parsed..] {
        if let Some((_, hash)) = &mut parsed.key {
            database.prefetch_entry(hash);
            collections |= parsed.row.is_some_and(|row| row.group.has_collections());
        }
    }
    if !collections {
        return;
    }
    // Large ones have a structure beside their entry.
    for parsed in &session.parsed[session.next_parsed..] {
        if let (Some((_, hash)), Some(row)) = (&parsed.key, parsed.row)
            && row.group.has_collections()
        {
            database.prefetch_value(hash);
        }
    }
}

/// A call of `row` by `session`.
#[inline]
pub fn new_call(row: &'static Command, session: &Session, first_key: Option<(u32, KeyHash)>) -> Call {
    Call {
        no_touch: session.facts.no_touch,
        is_source: session.facts.is_source,
        may_put_off: session.reply_mode == ReplyMode::On,
        client: session.id,
        tracker: session.tracker,
        ..Call::new(row, session.db, session.protocol, first_key)
    }
}

/// A call of a part of a command: the name and one key, with its value if it has one.
fn new_fragment(row: &'static Command, session: &Session, hash: KeyHash) -> Call {
    Call { is_part: true, may_put_off: false, ..new_call(row, session, Some((1, hash))) }
}

/// Is this a line of HTTP?
fn is_of_the_web(args: &Args<'_>) -> bool {
    !args.is_empty() && (args.get(0).eq_ignore_ascii_case(b"post") || args.get(0).eq_ignore_ascii_case(b"host:"))
}
