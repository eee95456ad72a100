//! What scripts want of the process ([`crate::script::asking`]): commands that are carried out as for a client, but for one without a connection.

use crate::admin;
use crate::mailbox::letter::{Answer, NewConnection, Question};
use crate::pubsub::tables::Kind;
use crate::script::asking::{self, Wish};
use crate::session::{Pending, Session};
use crate::state::State;
use ringkey_core::command::{Admin, Run};
use ringkey_core::commands::within::NOT_FROM_SCRIPT;
use ringkey_core::resp::{CommandError, Reply};
use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

/// Marks places of sessions that are in no table.
const WISH: u32 = 1 << 31;

/// Wishes for which answers of other cores are still to come.
#[derive(Default)]
pub struct Wishes {
    next: u32,
    open: HashMap<u32, Open>,
}

struct Open {
    number: u64,
    session: Box<Session>,
}

/// Is this the ticket of a wish?
pub fn is_wish(ticket: u64) -> bool {
    Session::place_of(ticket).0 & WISH != 0
}

impl State {
    /// Carries out what scripts want. Once a pass.
    pub fn grant_wishes(&mut self) {
        while let Some(wish) = asking::next() {
            self.grant(&wish);
        }
    }

    fn grant(&mut self, wish: &Wish) {
        self.wishes.next = (self.wishes.next + 1) & !WISH;
        let place = WISH | self.wishes.next;
        let Some(mut session) = self.session_of(wish, place) else {
            let mut reply = Default::default();
            Reply::new(&mut reply, wish.protocol).error(&CommandError::text("no file is left to be opened"));
            return asking::answer(wish.number, wish.client, reply);
        };
        let args = wish.request.args();
        let began = self.site.watch.ticks();
        let row = self.names.find(&args);
        let result = match row.map(|row| row.run) {
            Some(Run::Admin(admin @ (Admin::Publish | Admin::SPublish))) => {
                let kind = if admin == Admin::Publish { Kind::Channel } else { Kind::Shard };
                let question = Question::CountReceivers(kind, Arc::from(args.get(1)));
                self.gather_from_all(&mut session, &question, admin::Then::Sum);
                Ok(())
            }
            Some(Run::Admin(admin)) => admin::carry_out(self, &mut session, admin, &args),
            _ => Err(NOT_FROM_SCRIPT),
        };
        if let Err(error) = &result {
            self.site.errors.note(error.code());
            Reply::new(&mut session.output.pending, session.protocol).error(error);
        }
        if let Some(row) = row {
            let ticks = self.site.watch.ticks().saturating_sub(began);
            self.site.watch.record(row, ticks, result.is_err());
        }
        self.keep_or_answer(place, Open { number: wish.number, session });
    }

    /// A session for a script, at a place that no table has.
    fn session_of(&self, wish: &Wish, place: u32) -> Option<Box<Session>> {
        let fd = File::open("/dev/null").ok()?.into();
        let new = NewConnection { fd, id: wish.client, ends: Default::default(), on_core_port: false };
        let mut session = Box::new(Session::new(new, place, 0, self.now, true));
        (session.db, session.protocol) = (wish.db, wish.protocol);
        Some(session)
    }

    fn keep_or_answer(&mut self, place: u32, mut open: Open) {
        if matches!(open.session.pending, Pending::Answers(_)) {
            self.wishes.open.insert(place, open);
            return;
        }
        let session = &mut open.session;
        if !session.pending.is_nothing() {
            // Only DEBUG lets scripts call what waits for anything but answers.
            Reply::new(&mut session.output.pending, session.protocol).error(&NOT_FROM_SCRIPT);
        }
        asking::answer(open.number, session.id, std::mem::take(&mut session.output.pending));
    }

    /// Takes an answer for a wish.
    pub fn take_answer_for_wish(&mut self, from: usize, ticket: u64, answer: Answer) {
        let (place, _) = Session::place_of(ticket);
        let Some(mut open) = self.wishes.open.remove(&place) else { return };
        if let Pending::Answers(gathering) = &mut open.session.pending
            && gathering.take(from, answer)
            && let Pending::Answers(gathering) = std::mem::take(&mut open.session.pending)
        {
            self.write_answers(&mut open.session, *gathering);
        }
        self.keep_or_answer(place, open);
    }
}
