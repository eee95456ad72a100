//! MIGRATE: brings keys to another server, and deletes here what has arrived there.
//!
//! The keys are locked on their shards from the moment in which they are packed until the other server has answered for
//! each and those that it took are gone. Nobody sees a key at both places, and what is written meanwhile waits. With COPY,
//! when nothing is to go, others may read. Nobody else waits, unless for a whole shard. The flight goes on whatever becomes
//! of the client, and each step of the connection has a deadline, so the locks end in any case.

pub mod movers;
pub mod target;

use self::target::{End, Errand, LINE_BYTES_MAX};
use crate::dispatch::new_call;
use crate::mailbox::letter::Answer;
use crate::session::{Pending, Session};
use crate::state::State;
use ringkey_core::command::{Command, table};
use ringkey_core::commands::key::Migration;
use ringkey_core::resp::{Args, CommandError, Reply, Request};
use ringkey_core::txn::batch::{Batch, Call, Reach};
use ringkey_core::txn::flight::{Flight, Progress, Shape};
use ringkey_core::units::ShardId;
use std::sync::Arc;
use std::time::Duration;

/// A MIGRATE under way.
pub struct Migrating {
    flight: Box<Flight>,
    /// Its words.
    request: Request,
    what: Migration,
    stage: Stage,
}

/// How far it is.
enum Stage {
    /// The keys are being packed.
    Packing,
    /// They are on their way; these words name them.
    Moving(Vec<usize>),
    /// What has arrived is being deleted, and then this is the reply.
    Leaving(Result<&'static str, CommandError>),
}

impl State {
    /// MIGRATE
    ///
    /// # Errors
    /// If the words make no sense.
    pub fn migrate(&mut self, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
        let what = Migration::parse(args)?;
        let mut shards: Vec<ShardId> = what.keys.clone().map(|at| self.shard_of_key(args.get(at))).collect();
        shards.sort_unstable();
        shards.dedup();
        if shards.is_empty() {
            Reply::new(&mut session.output.pending, session.protocol).simple("NOKEY");
            return Ok(());
        }
        let mut flight = self.new_flight(session, Shape::TwoRounds, Reach::Keys, &shards);
        self.have_events_brought(&mut flight, session.last_command.into_iter());
        let verb: &[u8] = if self.seat.is_some() { b"RESTORE-ASKING" } else { b"RESTORE" };
        for at in what.keys.clone() {
            let option: Option<&[u8]> = what.replaces.then_some(b"REPLACE");
            let request = Request::new([verb, args.get(at)].into_iter().chain(option));
            self.push_part(&mut flight, session, what.packing(), &request);
        }
        self.statistics.flights += 1;
        let shard = &self.site.shard;
        flight.start(|key| shard.key(key).hash, &mut self.steps);
        self.carry_out_steps(&mut flight);
        let (request, stage) = (Request::copy_of(args), Stage::Packing);
        session.pending = Pending::Migrating(Box::new(Migrating { flight, request, what, stage }));
        Ok(())
    }

    /// Adds a part of the call to the leg of its key, which is the first of its words.
    fn push_part(&mut self, flight: &mut Flight, session: &Session, row: &'static Command, request: &Request) {
        let args = request.args();
        let hash = self.site.shard.key(args.get(1)).hash;
        let call = Call { is_part: true, ..new_call(row, session, Some((1, hash))) };
        flight.push(self.map.shard_of(hash.slot), &call, &args, None);
    }

    /// A leg of a MIGRATE has come home.
    pub fn migration_came_back(&mut self, from: usize, batch: Box<Batch>, index: u32) {
        let Some(mut session) = self.sessions[index as usize].take() else { return };
        if let Pending::Migrating(mut migrating) = std::mem::take(&mut session.pending) {
            let progress = migrating.flight.arrived(batch, ShardId(from as u16), &mut self.steps);
            if progress == Progress::Landed {
                self.tell_events_of(&mut migrating.flight);
            }
            self.carry_out_steps(&mut migrating.flight);
            match (progress, &migrating.stage) {
                (Progress::Landed, Stage::Packing) => self.send_keys(&mut session, migrating),
                (Progress::Landed, Stage::Leaving(_)) => self.migrated(&mut session, *migrating),
                _ => session.pending = Pending::Migrating(migrating),
            }
        }
        self.sessions[index as usize] = Some(session);
    }

    /// All keys are locked and packed: has them sent.
    fn send_keys(&mut self, session: &mut Session, mut migrating: Box<Migrating>) {
        if self.site.monitored.is_some()
            && let Some(row) = session.last_command
        {
            self.note_of_process(session, row, &migrating.request.args());
        }
        let mut errand = Box::new(migrating.errand());
        let (mut present, mut key) = (Vec::new(), migrating.what.keys.start);
        let Errand { requests, ends, .. } = &mut *errand;
        let mut last = requests.mark();
        migrating.flight.copy_replies(requests, |end| {
            if end != last {
                ends.push(end);
                present.push(key);
            }
            (last, key) = (end, key + 1);
        });
        if present.is_empty() {
            return self.leave(session, migrating, &[], Ok("NOKEY"));
        }
        errand.accepted = vec![false; present.len()];
        let asker = (self.me.index(), session.ticket());
        let refused = match &self.movers {
            Some(movers) => movers.give(asker, errand).err().map(|(error, _)| error.to_string()),
            None => Some("there is no thread".to_owned()),
        };
        if let Some(why) = refused {
            log::warn!("Keys cannot be brought to another server: {why}.");
            return self.leave(session, migrating, &[], Err(io_error(End::NotConnected)));
        }
        migrating.stage = Stage::Moving(present);
        session.pending = Pending::Migrating(migrating);
    }

    /// The other server has answered, or not.
    pub fn keys_were_sent(&mut self, ticket: u64, errand: &Errand) {
        let (index, generation) = Session::place_of(ticket);
        let Some(mut session) = self.take_session(index, generation) else { return };
        if let Pending::Migrating(mut migrating) = std::mem::take(&mut session.pending) {
            let present = match &mut migrating.stage {
                Stage::Moving(present) => std::mem::take(present),
                Stage::Packing | Stage::Leaving(_) => Vec::new(),
            };
            let arrived =
                present.iter().zip(&errand.accepted).filter(|(_, accepted)| **accepted && !migrating.what.copies);
            let arrived: Vec<usize> = arrived.map(|(key, _)| *key).collect();
            let reply = match errand.end {
                End::Done => Ok("OK"),
                End::Refused => {
                    let text = String::from_utf8_lossy(&errand.refusal);
                    Err(CommandError::owned(format!("Target instance replied with error: {text}")))
                }
                end => Err(io_error(end)),
            };
            self.leave(&mut session, migrating, &arrived, reply);
        }
        self.sessions[index as usize] = Some(session);
    }

    /// Deletes the keys that these words name and ends all locks; the reply comes then.
    fn leave(
        &mut self,
        session: &mut Session,
        mut migrating: Box<Migrating>,
        arrived: &[usize],
        reply: Result<&'static str, CommandError>,
    ) {
        migrating.flight.begin_second_round();
        let delete = table::lookup(b"del").expect("the table has DEL");
        for key in arrived {
            let words = Request::new([&b"DEL"[..], migrating.request.args().get(*key)]);
            self.push_part(&mut migrating.flight, session, delete, &words);
        }
        migrating.stage = Stage::Leaving(reply);
        let progress = migrating.flight.run_second_round(&mut self.steps);
        self.carry_out_steps(&mut migrating.flight);
        match progress {
            Progress::Landed => self.migrated(session, *migrating),
            Progress::UnderWay => session.pending = Pending::Migrating(migrating),
        }
    }

    /// Everything is done and nothing is locked any more: replies.
    fn migrated(&mut self, session: &mut Session, migrating: Migrating) {
        let Migrating { flight, stage, .. } = migrating;
        flight.into_batches().for_each(|batch| self.recycle(batch));
        let Stage::Leaving(result) = stage else { return };
        let (before, len) = (session.output.pending.mark(), session.output.pending.len());
        let mut reply = Reply::new(&mut session.output.pending, session.protocol);
        match &result {
            Ok(text) => reply.simple(text),
            Err(error) => {
                reply.error(error);
                self.site.errors.note(error.code());
            }
        }
        let len = session.output.pending.len() - len;
        self.conclude_waiting(session, len, result.is_err());
        session.apply_reply_mode(before);
        self.dirty.push(session.index);
        self.ready.push_back(session.index);
    }

    /// How many connections to other servers are kept.
    pub fn kept_connections(&self) -> usize {
        self.movers.as_ref().map_or(0, |movers| movers.kept())
    }

    /// On core 0, passes on what other servers have answered.
    pub fn pass_on_deliveries(&mut self) {
        let Some(movers) = self.movers.as_ref().map(Arc::clone) else { return };
        while let Some(((core, ticket), errand)) = movers.next_done() {
            let to = (core != self.me.index()).then_some(core);
            self.reply_to(to, ticket, Answer::Delivered(errand));
        }
    }
}

impl Migrating {
    /// What is to be sent, but for the keys.
    fn errand(&self) -> Errand {
        let args = self.request.args();
        let text = |at: usize| String::from_utf8_lossy(args.get(at)).into_owned();
        let auth = match &self.what.auth {
            None => Vec::new(),
            Some(words) => {
                let words: Vec<&[u8]> = words.clone().map(|at| args.get(at)).collect();
                request_of(&[&[&b"AUTH"[..]], words.as_slice()].concat())
            }
        };
        let timeout = Duration::from_millis(self.what.timeout_ms.unsigned_abs());
        let refusal = Vec::with_capacity(LINE_BYTES_MAX);
        Errand { host: text(1), port: text(2), db: self.what.db, timeout, auth, refusal, ..Errand::default() }
    }
}

/// A request as it is sent.
fn request_of(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn io_error(end: End) -> CommandError {
    let what = match end {
        End::NotConnected => "connecting to the client",
        End::NotWritten => "writing to target instance",
        _ => "reading to target instance",
    };
    CommandError::Coded("IOERR", format!("error or timeout {what}").into())
}
