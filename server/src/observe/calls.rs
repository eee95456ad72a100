//! Calls observed: what is remembered of those that were slow or large, and the end of those that are more than one
//! step. The counting itself is done where calls run ([`ringkey_core::observe::Watch`]).

use crate::clock;
use crate::session::Session;
use crate::state::State;
use ringkey_core::command::{Command, Flags, table};
use ringkey_core::observe::command_log::{is_exempt, words_to_keep};
use ringkey_core::observe::{LogEntry, LogKind};
use ringkey_core::resp::{Args, Request};
use ringkey_core::txn::batch::{Batch, Call, Job};
use smallvec::SmallVec;

/// Requests under way that follow each other, by command: a pipeline seldom mixes many.
pub type UnderWay = SmallVec<[(u16, u32); 2]>;

/// What of a call may be worth remembering; 0: not looked at here.
#[derive(Clone, Copy, Default, Debug)]
pub struct Measure {
    /// How long it took, in ticks.
    pub ticks: u64,
    /// Its request in bytes.
    pub request: usize,
    /// Its reply in bytes.
    pub reply: usize,
}

/// What is kept of a session's requests until they are answered.
#[derive(Default)]
pub struct Tracked {
    /// When the bytes of the requests under way arrived, in ticks.
    pub arrived: u64,
    /// When the command under way began, in ticks.
    pub began: u64,
    /// Requests that run elsewhere.
    pub under_way: UnderWay,
    /// The words of a command that takes several steps.
    pub request: Request,
}

impl Tracked {
    /// Notes a request that runs elsewhere.
    #[inline]
    pub fn leaves(&mut self, row: &Command) {
        match self.under_way.last_mut() {
            Some((id, count)) if *id == row.id => *count += 1,
            _ => self.under_way.push((row.id, 1)),
        }
    }
}

impl State {
    /// Is a request of so many bytes one to be remembered? One with an allocation of its own is looked at in any case.
    #[inline]
    pub fn is_large_request(&self, bytes: usize, is_owned: bool) -> bool {
        bytes >= self.tuning.observed.request_bytes || is_owned
    }

    /// Looks whether a call is to be remembered.
    #[inline]
    pub fn note_call(&mut self, session: &Session, row: &'static Command, args: &Args<'_>, measure: Measure) {
        let observed = &self.tuning.observed;
        let is_large = measure.reply >= observed.reply_bytes || measure.request >= observed.request_bytes;
        if is_large || self.site.watch.is_slow(measure.ticks) {
            self.remember(session, row, args, measure);
        }
    }

    /// Remembers a call if it is slow or large enough for that.
    #[cold]
    #[inline(never)]
    pub fn remember(&mut self, session: &Session, row: &'static Command, args: &Args<'_>, measure: Measure) {
        let observed = self.tuning.observed;
        let micros = clock::nanos_of(measure.ticks) / 1000;
        let is_slow = |limit: Option<u64>| limit.is_some_and(|limit| measure.ticks > 0 && micros >= limit);
        if is_slow(observed.latency_ms.map(|limit| limit.saturating_mul(1000))) {
            let event = if row.flags.has(Flags::FAST) { "fast-command" } else { "command" };
            self.latency_events.note(event, self.now.as_seconds(), micros / 1000);
        }
        if is_exempt(row) {
            return;
        }
        let is_over = |bytes: usize, limit: usize| bytes > 0 && bytes >= limit;
        let over = [
            (LogKind::Slow, is_slow(observed.slow_micros), micros),
            (LogKind::LargeRequest, is_over(measure.request, observed.request_bytes), measure.request as u64),
            (LogKind::LargeReply, is_over(measure.reply, observed.reply_bytes), measure.reply as u64),
        ];
        for (kind, _, value) in
            over.into_iter().filter(|(kind, is_over, _)| *is_over && observed.entries_max[*kind as usize] > 0)
        {
            let entry = LogEntry {
                id: self.process.next_log_entry(kind),
                seconds: self.now.as_seconds(),
                value,
                words: words_to_keep(row, args),
                client: session.facts.ends.peer.clone(),
                name: session.facts.name.clone(),
            };
            self.command_log.push(kind, entry);
        }
    }

    /// A command of several steps is over: counts it, and remembers it if there is reason to.
    pub fn conclude(
        &mut self,
        session: &mut Session,
        row: &'static Command,
        ticks: u64,
        reply_bytes: usize,
        failed: bool,
    ) {
        self.site.watch.record(row, ticks, failed);
        let request = std::mem::take(&mut session.tracked.request);
        let args = request.args();
        let request = request_bytes(&args);
        self.note_call(session, row, &args, Measure { ticks, request, reply: reply_bytes });
    }

    /// A command of the process that had to wait for other cores has its reply. It took as long as its client waited.
    pub fn conclude_waiting(&mut self, session: &mut Session, reply_bytes: usize, failed: bool) {
        if let Some(row) = session.last_command {
            let ticks = self.site.watch.ticks().saturating_sub(session.tracked.began);
            self.conclude(session, row, ticks, reply_bytes, failed);
        }
        for (row, count) in session.tracked.under_way.drain(..) {
            self.paths.answered(row, u64::from(count), session.tracked.arrived);
        }
    }

    /// All requests of a session that ran elsewhere have their replies.
    #[inline]
    pub fn requests_answered(&mut self, index: u32) {
        let Some(session) = self.sessions[index as usize].as_deref_mut() else { return };
        for (row, count) in session.tracked.under_way.drain(..) {
            self.paths.answered(row, u64::from(count), session.tracked.arrived);
        }
    }

    /// A job of the session at `index` is back from core `from`, which may be this one.
    #[inline]
    pub fn came_back(&mut self, from: usize, index: u32, batch: &Batch, job: &Job) {
        if job.within > 0
            && let Some(session) = self.sessions[index as usize].as_deref_mut()
        {
            session.commands += job.within;
            self.statistics.commands += job.within;
        }
        if from != self.me.index() {
            self.note_hops(index, batch, job);
        }
        if !batch.slow.is_empty() || batch.replies.len() >= self.tuning.observed.reply_bytes {
            let Some(session) = self.sessions[index as usize].take() else { return };
            self.remember_calls(&session, batch, job);
            self.sessions[index as usize] = Some(session);
        }
    }

    #[inline]
    fn note_hops(&mut self, index: u32, batch: &Batch, job: &Job) {
        let Some(session) = self.sessions[index as usize].as_deref() else { return };
        let ticks = self.pass_ticks.saturating_sub(batch.sent_at);
        let calls = &batch.calls[job.calls.0 as usize..job.calls.1 as usize];
        match (calls, session.tracked.under_way.as_slice()) {
            // The other core has written to the calls, so looking at them costs more than at what is known here.
            ([], _) => {}
            ([first, ..], [(row, _)]) if first.is_part => self.paths.came_back(*row, 1, ticks),
            (calls, [(row, _)]) => self.paths.came_back(*row, calls.len() as u64, ticks),
            (calls, _) => {
                // A row that is not in the table, such as that of a transaction over several shards, is no command.
                let counts = |call: &&Call| !call.is_part && usize::from(call.row.id) < table::ROW_COUNT;
                calls.iter().filter(counts).for_each(|call| self.paths.came_back(call.row.id, 1, ticks));
            }
        }
    }

    /// Remembers those calls of a job that were slow or have large replies.
    #[cold]
    pub fn remember_calls(&mut self, session: &Session, batch: &Batch, job: &Job) {
        for at in job.calls.0..job.calls.1 {
            let call = &batch.calls[at as usize];
            if call.is_part {
                continue;
            }
            let ticks = batch.slow.iter().find(|(slow, _)| *slow == at).map_or(0, |(_, ticks)| *ticks);
            let (from, to) = batch.reply_range(job, at);
            let reply = batch.replies.len_between(from, to);
            self.remember(session, call.row, &batch.args(call), Measure { ticks, request: 0, reply });
        }
    }
}

/// The size of a request on the wire, nearly: its words and what stands around them.
pub fn request_bytes(args: &Args<'_>) -> usize {
    args.iter().map(|word| word.len() + 5 + decimals(word.len())).sum::<usize>() + 3 + decimals(args.len())
}

fn decimals(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_requests() {
        let request = Request::new([&b"GET"[..], b"k"]);
        assert_eq!(request_bytes(&request.args()), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".len());
        let request = Request::new([&b"SET"[..], b"k", &[b'v'; 1000]]);
        assert_eq!(request_bytes(&request.args()), b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\n\r\n".len() + 1000);
    }
}
