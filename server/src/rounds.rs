//! Periodic work over sessions: time-outs, buffers that are larger than needed, what clients hold. One walk over the
//! table of sessions follows the other, in slices, so that many clients cost no more at once than a few.

use crate::session::output::RoomChange;
use crate::session::{Closing, Pace, Session};
use crate::state::State;
use ringkey_core::units::Millis;

/// Places in the table of sessions that one slice goes over.
const PLACES_A_SLICE: usize = 128;

/// Every session is met at least so often, in milliseconds.
const ROUND_MS: i64 = 1000;

/// How long a connection that we end may take to read its last replies, in milliseconds.
const LINGER_MS: i64 = 1000;

/// How long a client whose input buffer is larger than needed may be idle before it shrinks, in milliseconds.
const INPUT_IDLE_MS: i64 = 2000;

/// A client that did something within so many milliseconds counts as active.
const ACTIVE_MS: i64 = 100;

/// Where the walk is.
#[derive(Default)]
pub struct Rounds {
    /// The next place.
    at: usize,
    /// Active clients met in this round so far.
    met: usize,
    /// Active clients of the last whole round.
    active: usize,
}

impl Rounds {
    /// How many clients were active when they were last met.
    pub fn active(&self) -> usize {
        self.active
    }

    /// How long until the next slice, in milliseconds, with this many places: often enough that a round does not take
    /// too long. `tick`: how often periodic work is done anyway.
    pub fn period_ms(places: usize, tick: i64) -> i64 {
        let slices = places.div_ceil(PLACES_A_SLICE).max(1) as i64;
        tick.min(ROUND_MS / slices).max(1)
    }
}

impl State {
    /// Goes over some sessions.
    pub fn go_round(&mut self) {
        let places = self.sessions.len();
        self.census.turn_to(self.now);
        if self.rounds.at >= places {
            self.rounds.at = 0;
        }
        let from = self.rounds.at;
        // A server with more sessions than milliseconds in a round goes over more at once.
        let slice = PLACES_A_SLICE.max(places / ROUND_MS as usize);
        let to = places.min(from + slice);
        for index in from..to {
            let Some(mut session) = self.sessions[index].take() else { continue };
            self.look_after(&mut session);
            self.sessions[index] = Some(session);
        }
        self.rounds.at = to;
        if to == places {
            self.rounds.active = std::mem::take(&mut self.rounds.met);
        }
    }

    fn look_after(&mut self, session: &mut Session) {
        let now = self.now;
        let passed = |since: Millis| now.0 - since.0;
        let idle = passed(session.last_active);
        let timeout_ms = self.tuning.idle_timeout_s * 1000;
        self.rounds.met += usize::from(idle < ACTIVE_MS);
        let lingers_too_long = session.lingers_since.is_some_and(|since| passed(since) > LINGER_MS);
        let is_idle_too_long =
            timeout_ms > 0 && !session.is_monitor && idle > timeout_ms && session.pending.is_nothing();
        if (lingers_too_long || is_idle_too_long) && session.closing != Closing::Now {
            if is_idle_too_long {
                log::debug!("Closing idle client");
            }
            session.closing = Closing::Now;
            self.dirty.push(session.index);
        }
        if session.output.over_soft_limit_since.is_some() {
            self.dirty.push(session.index);
        }
        if session.is_direct && idle > ACTIVE_MS && session.pace == Pace::Swift {
            session.pace = Pace::Asked;
            self.dirty.push(session.index);
        }
        session.shrink_input(idle > INPUT_IDLE_MS);
        match session.output.fit_room(now, self.room_rule) {
            RoomChange::None => {}
            RoomChange::Shrunk => self.statistics.reply_rooms_shrunk += 1,
            RoomChange::Grown => self.statistics.reply_rooms_grown += 1,
        }
        if session.is_open() {
            self.count_session(session);
        }
    }
}
