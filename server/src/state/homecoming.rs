//! Batches that come home: whose jobs they held, and what is done with what they bring.

use super::State;
use crate::blocking::Ran;
use crate::session::{GatheredCall, Pending, Session};
use ringkey_core::command::Command;
use ringkey_core::txn::batch::{Batch, PutOff};
use ringkey_core::txn::flight::{Flight, Progress, Shape};
use ringkey_core::units::ShardId;

impl State {
    /// A batch has come home: tells those who wait for its jobs.
    pub(super) fn come_home(&mut self, from: usize, batch: Box<Batch>) {
        if let [job] = batch.jobs.as_slice()
            && job.is_of_calls()
        {
            let (index, generation) = Session::place_of(job.ticket);
            let session = self.session(index, generation);
            if session.as_ref().is_some_and(|session| matches!(session.pending, Pending::Migrating(_))) {
                return self.migration_came_back(from, batch, index);
            }
            if let Some(session) = session
                && matches!(&session.pending, Pending::Flight(flight, _) if !flight.is_merged(ShardId(from as u16)))
            {
                let Pending::Flight(flight, gathered) = std::mem::take(&mut session.pending) else { return };
                self.came_back(from, index, &batch, &batch.jobs[0]);
                return self.leg_returned(from, batch, flight, gathered, index);
            }
        }
        for (at, job) in batch.jobs.iter().enumerate() {
            if !job.is_of_calls() {
                self.take_news(&batch, at);
                continue;
            }
            let (index, generation) = Session::place_of(job.ticket);
            if self.session(index, generation).is_none() {
                continue;
            }
            self.came_back(from, index, &batch, job);
            let session = self.sessions[index as usize].as_mut().expect("it was found just now");
            match std::mem::take(&mut session.pending) {
                Pending::Flight(mut flight, gathered) => {
                    let progress = flight.arrived_in(&batch, at, ShardId(from as u16), &mut self.steps);
                    self.go_on(flight, gathered, progress, index);
                    continue;
                }
                Pending::Unit => {
                    self.unit_came_home(index, &batch, job);
                    continue;
                }
                _ => {}
            }
            session.append_replies(&batch.replies, job.replies_from, batch.end_of(job));
            if let Some((at, put_off)) = job.put_off {
                self.resume_put_off(index, &batch, job, at, put_off);
                continue;
            }
            self.requests_answered(index);
            self.ready.push_back(index);
        }
        self.recycle(batch);
    }

    fn leg_returned(
        &mut self,
        from: usize,
        batch: Box<Batch>,
        mut flight: Box<Flight>,
        gathered: Option<Box<GatheredCall>>,
        index: u32,
    ) {
        let progress = flight.arrived(batch, ShardId(from as u16), &mut self.steps);
        self.go_on(flight, gathered, progress, index);
    }

    /// A leg has come home; `progress` tells what that meant for the flight.
    pub(super) fn go_on(
        &mut self,
        mut flight: Box<Flight>,
        gathered: Option<Box<GatheredCall>>,
        progress: Progress,
        index: u32,
    ) {
        if flight.take_noteworthy() {
            self.note_flight(index);
        }
        if progress == Progress::UnderWay {
            self.carry_out_steps(&mut flight);
            let session = self.sessions[index as usize].as_mut().expect("it was found just now");
            session.pending = Pending::Flight(flight, gathered);
            return;
        }
        if flight.brings_events() {
            // To its own client it is told behind the reply.
            let session = self.sessions[index as usize].as_mut().expect("it was found just now");
            session.pending = Pending::Remote;
            self.tell_events_of(&mut flight);
        }
        let (mut waiting, mut again, mut stays) = (None, None, false);
        match gathered {
            Some(gathered) => match self.run_gathered(&mut flight, *gathered, index) {
                Ran::Over => {}
                Ran::Stays => stays = true,
                Ran::Waits(blocked) => waiting = Some(blocked),
                Ran::Elsewhere(gathered) => again = Some(gathered),
                Ran::Suspended(gathered) => {
                    let session = self.sessions[index as usize].as_mut().expect("it was found just now");
                    if flight.lends_everything() {
                        self.holds.everything_since.get_or_insert(self.now);
                    } else {
                        self.holds.keys_since.get_or_insert((self.now, flight.owner()));
                    }
                    session.pending = Pending::Flight(flight, Some(gathered));
                    return self.go_on_later(index);
                }
            },
            None if flight.shape() == Shape::Unit => self.unit_landed(&flight, index),
            None => {
                let random = self.random.u64(..);
                let session = self.sessions[index as usize].as_mut().expect("it was found just now");
                let (before, len) = (session.output.pending.mark(), session.output.pending.len());
                flight.assemble(random, &mut session.output.pending);
                let len = session.output.pending.len() - len;
                let failed = session.output.pending.bytes.get(before.bytes) == Some(&b'-');
                session.apply_reply_mode(before);
                if let (Shape::Joined(_), Some(row)) = (flight.shape(), session.last_command) {
                    self.conclude_at(index, row, flight.ticks, len, failed);
                }
            }
        }
        if stays {
            self.hold_everything(flight);
        } else {
            self.carry_out_steps(&mut flight);
            flight.into_batches().for_each(|batch| self.recycle(batch));
        }
        if let Some(blocked) = waiting {
            return self.wait_on(index, blocked);
        }
        if let Some(gathered) = again
            && let Some(mut session) = self.sessions[index as usize].take()
        {
            self.begin_put_off(&mut session, PutOff::Elsewhere, &gathered.call, gathered.request);
            self.sessions[index as usize] = Some(session);
            return;
        }
        let session = self.sessions[index as usize].as_mut().expect("it was found just now");
        session.pending = Pending::Nothing;
        self.requests_answered(index);
        self.ready.push_back(index);
    }

    /// A command of several steps, of the session at `index`, is over.
    fn conclude_at(&mut self, index: u32, row: &'static Command, ticks: u64, reply_bytes: usize, failed: bool) {
        let Some(mut session) = self.sessions[index as usize].take() else { return };
        self.conclude(&mut session, row, ticks, reply_bytes, failed);
        self.sessions[index as usize] = Some(session);
    }
}
