//! CLIENT PAUSE: core 0 decides, every core stops admitting at once and says so when nothing that it admitted before is
//! still under way. So after `OK` nothing paused takes effect anywhere.

use crate::mailbox::letter::Answer;
use crate::session::{Pending, Session};
use crate::state::State;
use ringkey_core::command::{Command, Flags};
use ringkey_core::units::Millis;
use std::collections::VecDeque;

/// Sessions that are looked at in one pass to see what is under way.
const PLACES_A_PASS: usize = 1024;

/// What is paused, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    /// It ends by itself at this time.
    pub until: Millis,
    /// All commands, not only those that may write.
    pub all: bool,
}

impl Pause {
    /// A pause on top of another one: neither is shortened or weakened.
    pub fn on_top_of(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self { until: self.until.max(other.until), all: self.all || other.all })
    }

    /// Does it hold this command back?
    pub fn holds(&self, row: &Command) -> bool {
        self.all || row.may_replicate()
    }
}

/// A command that was under way when the pause began: its session, and how many commands that had begun.
struct Straggler {
    index: u32,
    generation: u32,
    commands: u64,
}

/// Somebody who wants to hear that nothing is under way any more.
struct Drain {
    asker: Option<usize>,
    ticket: u64,
    /// How many sessions have been looked at.
    seen: usize,
    stragglers: Vec<Straggler>,
}

/// What a core has paused.
#[derive(Default)]
pub struct Paused {
    /// The pause in force.
    pub pause: Option<Pause>,
    /// The sessions that wait for its end, in order, by ticket.
    waiting: VecDeque<u64>,
    /// How many of them still do.
    pub count: usize,
    drains: Vec<Drain>,
}

impl Paused {
    /// Must the core look again soon without being woken?
    pub fn is_looking(&self, places: usize) -> bool {
        self.drains.iter().any(|drain| drain.seen < places)
    }
}

fn is_under_way(session: &Session) -> bool {
    match &session.pending {
        Pending::Remote | Pending::Unit | Pending::Flight(..) | Pending::Migrating(_) => true,
        // Such as SWAPDB.
        Pending::Answers(_) => session.last_command.is_some_and(|row| row.flags.has(Flags::WRITE)),
        // Who waits takes nothing while nothing is written, and is not tried before the end of the pause.
        Pending::Blocked(blocked) => !blocked.is_waiting(),
        Pending::Publishing(_) => true,
        Pending::Nothing | Pending::Clients(_) | Pending::LongReply(_) | Pending::Paused | Pending::Subscribing(_) => {
            false
        }
    }
}

impl State {
    /// Adopts a pause and answers when nothing that was admitted before is under way; or ends it and answers at once.
    pub fn take_pause(&mut self, pause: Option<Pause>, asker: Option<usize>, ticket: u64) {
        self.paused.pause = pause;
        self.straighten_pause();
        if pause.is_some() {
            self.paused.drains.push(Drain { asker, ticket, seen: 0, stragglers: Vec::new() });
        } else {
            self.end_pause();
            self.reply_to(asker, ticket, Answer::Done);
        }
    }

    /// Ends a pause whose time is over.
    pub fn check_pause(&mut self) {
        if self.paused.pause.is_some_and(|pause| self.now >= pause.until) {
            self.end_pause();
        }
    }

    fn end_pause(&mut self) {
        self.paused.pause = None;
        self.straighten_pause();
        for ticket in std::mem::take(&mut self.paused.waiting) {
            let (index, generation) = Session::place_of(ticket);
            if let Some(session) = self.session(index, generation)
                && matches!(session.pending, Pending::Paused)
            {
                session.pending = Pending::Nothing;
                self.ready.push_back(index);
            }
        }
        self.paused.count = 0;
        self.try_what_is_due();
    }

    /// Has the flags of the data path say what is paused.
    fn straighten_pause(&mut self) {
        self.apply_rules();
    }

    /// Makes a session wait for the end of the pause; its next request stays where it is.
    pub fn hold_back(&mut self, session: &mut Session) {
        session.pending = Pending::Paused;
        if let Some(tracking) = &mut session.tracking {
            tracking.begin_again();
        }
        self.paused.waiting.push_back(session.ticket());
        self.paused.count += 1;
    }

    /// A session that waits for the end of the pause ends before.
    pub fn leave_pause(&mut self, session: &mut Session) {
        debug_assert!(matches!(session.pending, Pending::Paused), "it waits");
        session.pending = Pending::Nothing;
        self.paused.count -= 1;
    }

    /// Looks whether what was under way when a pause began is done, and tells those who wait for it.
    pub fn watch_drains(&mut self) {
        if self.paused.drains.is_empty() {
            return;
        }
        let mut drains = std::mem::take(&mut self.paused.drains);
        drains.retain_mut(|drain| {
            let end = self.sessions.len().min(drain.seen + PLACES_A_PASS);
            for session in self.sessions[drain.seen.min(end)..end].iter().flatten() {
                if is_under_way(session) {
                    let (index, generation, commands) = (session.index, session.generation, session.commands);
                    drain.stragglers.push(Straggler { index, generation, commands });
                }
            }
            drain.seen = end;
            drain.stragglers.retain(|straggler| {
                let session = self.session(straggler.index, straggler.generation);
                session.is_some_and(|session| session.commands == straggler.commands && is_under_way(session))
            });
            let is_done = drain.stragglers.is_empty() && end == self.sessions.len();
            if is_done {
                self.reply_to(drain.asker, drain.ticket, Answer::Done);
            }
            !is_done
        });
        self.paused.drains = drains;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_pause_never_shortens_or_weakens() {
        let long = Pause { until: Millis(500), all: false };
        let strict = Pause { until: Millis(100), all: true };
        let both = Pause { until: Millis(500), all: true };
        assert_eq!(strict.on_top_of(Some(long)), both);
        assert_eq!(long.on_top_of(Some(strict)), both);
        assert_eq!(long.on_top_of(None), long);
    }
}
