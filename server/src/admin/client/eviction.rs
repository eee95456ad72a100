//! `maxmemory-clients`: when all clients together hold more than that, those that hold most are closed until they do not.
//!
//! Each core knows what its own clients hold and shows the sum to the others; the one that sees the limit passed tells core 0,
//! which has clients evicted core by core, so that never one too many goes.

use crate::mailbox::letter::{Answer, Question};
use crate::session::{Closing, Session};
use crate::state::State;

/// Clients that one order evicts at most.
const CLIENTS_AN_ORDER: usize = 64;

/// The ticket of answers about evictions, which no session has.
pub const EVICTION: u64 = u64::MAX;

impl State {
    /// Counts what a session holds.
    pub fn count_session(&mut self, session: &mut Session) {
        let (bytes, input, output) = (session.held_bytes(), session.query_bytes(), session.output.unsent());
        session.is_large = bytes > crate::session::COUNTED_AT_ONCE_BYTES;
        self.census.count(session.index, bytes, !session.facts.no_evict);
        self.census.note_buffers(self.now, input, output);
    }

    /// Counts all sessions anew if the limit has changed: what was counted in the rounds may be a second old.
    pub fn follow_client_limit(&mut self) {
        let limit = self.tuning.client_memory_max;
        if std::mem::replace(&mut self.census.limit, limit) == limit {
            return;
        }
        if limit == 0 {
            return self.mesh.cores().show_client_memory(self.me.index(), 0, 0);
        }
        for index in 0..self.sessions.len() {
            if let Some(mut session) = self.sessions[index].take() {
                if session.is_open() {
                    self.count_session(&mut session);
                }
                self.sessions[index] = Some(session);
            }
        }
        self.census.has_changed = true;
        self.show_client_memory();
    }

    /// Shows the other cores what the clients of this one hold, and tells core 0 if all together hold too much.
    pub fn check_client_memory(&mut self) {
        if self.tuning.client_memory_max == 0 || !std::mem::take(&mut self.census.has_changed) {
            return;
        }
        self.show_client_memory();
        let (bytes, group) = self.mesh.cores().client_memory();
        if bytes >= self.tuning.client_memory_max && group > 0 {
            self.ask(0, EVICTION, Question::EvictClients);
        }
    }

    fn show_client_memory(&mut self) {
        self.mesh.cores().show_client_memory(self.me.index(), self.census.total(), self.census.largest_group());
    }

    /// Has clients evicted (on core 0) if too much is held, unless that is under way.
    pub fn begin_eviction(&mut self) {
        if !self.is_evicting {
            self.evict_on();
        }
    }

    /// Answers (from core 0) when no client is left to be evicted: a limit that was changed is kept by then.
    pub fn reply_after_eviction(&mut self, to: Option<usize>, ticket: u64, answer: Answer) {
        self.begin_eviction();
        if self.is_evicting {
            self.after_eviction.push((to, ticket, answer));
        } else {
            self.reply_to(to, ticket, answer);
        }
    }

    /// Has the next clients evicted until no more than allowed is held.
    pub fn evict_on(&mut self) {
        let cores = self.mesh.cores();
        let (bytes, group) = cores.client_memory();
        let limit = self.tuning.client_memory_max;
        self.is_evicting = limit != 0 && bytes >= limit && group > 0;
        if self.is_evicting {
            let core = cores.of_largest_client();
            return self.ask(core, EVICTION, Question::Evict { bytes: bytes - limit + 1, group });
        }
        for (to, ticket, answer) in std::mem::take(&mut self.after_eviction) {
            self.reply_to(to, ticket, answer);
        }
    }

    /// Evicts clients of one group until so many bytes are free.
    pub fn evict(&mut self, bytes: usize, group: usize) -> Answer {
        let (mut freed, mut count) = (0, 0);
        while freed < bytes && count < CLIENTS_AN_ORDER {
            let Some(index) = self.census.first_of(group) else { break };
            freed += self.census.bytes_of(index);
            self.census.forget(index);
            count += 1;
            let (now, me) = (self.now, self.me.index());
            let Some(session) = self.sessions[index as usize].as_deref_mut() else { continue };
            log::info!("Evicting client: {}", crate::observe::log::client_line(session.line(now, me, None)));
            session.closing = Closing::Now;
            self.dirty.push(index);
            self.statistics.clients_evicted += 1;
        }
        self.show_client_memory();
        Answer::Done
    }
}
