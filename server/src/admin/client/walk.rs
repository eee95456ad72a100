//! CLIENT LIST and CLIENT KILL over any number of connections: every core answers a page at a time, one page in a pass,
//! and long texts are written in pieces, so that nobody else waits for long.
//!
//! A session keeps its place in its core's table, and a page says where in the table the next one begins: who is connected all the
//! time is met exactly once.

use super::ClientFilter;
use crate::mailbox::letter::{Answer, Question};
use crate::session::view::Asker;
use crate::session::{Closing, Pending, ReplyMode, Session};
use crate::state::{Later, State};
use ringkey_core::resp::{CommandError, Protocol, Reply};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Places in the table of sessions that one page goes over.
const PLACES_A_PAGE: usize = 512;

/// Lines that one page describes at most: some 100 microseconds.
const LINES_A_PAGE: usize = 64;

/// A text is written in pieces of so many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// The next piece waits until a client is owed no more than this, in bytes.
const OWED_BYTES_MAX: usize = 256 << 10;

/// What is to be done with the connections that fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Describe them.
    List,
    /// Close them; `is_old_form`: `CLIENT KILL addr:port`.
    Kill {
        /// The old form answers with an error if nobody was killed.
        is_old_form: bool,
    },
}

/// A command over all connections.
pub struct Task {
    /// Which connections.
    pub filter: ClientFilter,
    /// What with them.
    pub deed: Deed,
    /// Who asks.
    pub asker: Asker,
}

/// What a core found in one page.
pub struct Page {
    lines: Vec<(u64, String)>,
    count: u64,
    /// Where the next page begins, if there is one.
    next: Option<u32>,
}

/// A command over all connections under way.
pub struct Walk {
    task: Arc<Task>,
    /// Cores that have not answered their last page.
    missing: usize,
    count: u64,
    /// The lines so far, by client id.
    lines: BTreeMap<u64, String>,
    line_bytes: usize,
    /// Have all answered, and is the text being written?
    is_writing: bool,
    /// Does the next piece wait until the client has read?
    is_stalled: bool,
}

impl Walk {
    /// Memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.line_bytes + self.lines.len() * size_of::<(u64, String)>()
    }

    /// Does the next piece of the text wait until the client has read? It does not any more.
    pub fn take_stalled(&mut self) -> bool {
        std::mem::take(&mut self.is_stalled)
    }
}

/// Begins a command over all connections.
pub fn begin(state: &mut State, session: &mut Session, task: Task) {
    let task = Arc::new(task);
    let cores = state.mesh.count();
    for core in 0..cores {
        state.ask(core, session.ticket(), Question::Clients(Arc::clone(&task), 0));
    }
    let lines = BTreeMap::new();
    let walk = Walk { task, missing: cores, count: 0, lines, line_bytes: 0, is_writing: false, is_stalled: false };
    session.pending = Pending::Clients(Box::new(walk));
}

/// One page of this core's sessions, from a place in its table on.
pub fn page(state: &mut State, task: &Task, from: u32) -> Page {
    let (now, me) = (state.now, state.me.index());
    let places = state.sessions.len();
    let mut page = Page { lines: Vec::new(), count: 0, next: None };
    let mut at = from as usize;
    let end = places.min(at + PLACES_A_PAGE);
    while at < end && page.lines.len() < LINES_A_PAGE {
        let place = state.sessions[at].as_deref_mut();
        at += 1;
        let Some(session) = place.filter(|session| session.is_open() && task.filter.means(session, now)) else {
            continue;
        };
        page.count += 1;
        match task.deed {
            Deed::List => page.lines.push((session.id, session.line(now, me, Some(task.asker)))),
            Deed::Kill { .. } => {
                // A client that kills itself still gets its answer.
                let is_asker = session.id == task.asker.id;
                session.closing = if is_asker { Closing::AfterReplies } else { Closing::Now };
                state.dirty.push(session.index);
            }
        }
    }
    page.next = (at < places).then_some(at as u32);
    page
}

/// Takes a page for the session that waits for it.
pub fn take_page(state: &mut State, from: usize, ticket: u64, page: Page) {
    let (index, generation) = Session::place_of(ticket);
    let Some(session) = state.session(index, generation) else { return };
    let Pending::Clients(walk) = &mut session.pending else { return };
    walk.count += page.count;
    for (id, mut line) in page.lines {
        line.push('\n');
        walk.line_bytes += line.len();
        walk.lines.insert(id, line);
    }
    if let Some(next) = page.next {
        let question = Question::Clients(Arc::clone(&walk.task), next);
        return state.ask(from, ticket, question);
    }
    walk.missing -= 1;
    if walk.missing == 0 {
        finish(state, index);
    }
}

/// All cores have answered.
fn finish(state: &mut State, index: u32) {
    let Some(mut session) = state.sessions[index as usize].take() else { return };
    let before = session.output.pending.mark();
    if let Pending::Clients(mut walk) = std::mem::take(&mut session.pending) {
        let wants_reply = matches!(session.reply_mode, ReplyMode::On);
        match walk.task.deed {
            Deed::List if wants_reply => {
                write_header(&mut session, walk.line_bytes);
                walk.is_writing = true;
                session.pending = Pending::Clients(walk);
                write_piece(&mut session);
            }
            Deed::List => {}
            Deed::Kill { is_old_form } => write_killed(state, &mut session, walk.count, is_old_form),
        }
    }
    if session.pending.is_nothing() {
        let len = session.output.pending.len_between(before, session.output.pending.mark());
        let failed = session.output.pending.bytes.get(before.bytes) == Some(&b'-');
        state.conclude_waiting(&mut session, len, failed);
        session.apply_reply_mode(before);
        state.ready.push_back(index);
    } else {
        state.later.push_back(Later::Piece(session.ticket()));
    }
    state.dirty.push(index);
    state.sessions[index as usize] = Some(session);
}

/// The head of a text of so many bytes, whose pieces follow.
fn write_header(session: &mut Session, len: usize) {
    let mut head = String::new();
    let _ = match session.protocol {
        Protocol::Resp2 => write!(head, "${len}\r\n"),
        Protocol::Resp3 => write!(head, "={}\r\ntxt:", len + 4),
    };
    session.output.pending.bytes.extend_from_slice(head.as_bytes());
}

/// Writes the next piece of the text; after the last one the session waits for nothing.
fn write_piece(session: &mut Session) {
    let Pending::Clients(walk) = &mut session.pending else { return };
    let bytes = &mut session.output.pending.bytes;
    let mut written = 0;
    while let Some((_, line)) = walk.lines.pop_first() {
        bytes.extend_from_slice(line.as_bytes());
        written += line.len();
        if written >= PIECE_BYTES {
            break;
        }
    }
    walk.line_bytes -= written;
    if walk.lines.is_empty() {
        bytes.extend_from_slice(b"\r\n");
        session.pending = Pending::Nothing;
    }
}

/// Goes on writing for the session with this ticket.
pub fn go_on(state: &mut State, ticket: u64) {
    let (index, generation) = Session::place_of(ticket);
    let Some(session) = state.session(index, generation) else { return };
    let owed = session.output.unsent();
    let Pending::Clients(walk) = &mut session.pending else { return };
    if !walk.is_writing {
        return;
    }
    if owed > OWED_BYTES_MAX {
        walk.is_stalled = true;
        return;
    }
    write_piece(session);
    let is_done = session.pending.is_nothing();
    state.dirty.push(index);
    if is_done {
        state.conclude_list(index);
        state.ready.push_back(index);
    } else {
        state.later.push_back(Later::Piece(ticket));
    }
}

fn write_killed(state: &mut State, session: &mut Session, count: u64, is_old_form: bool) {
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    match (is_old_form, count) {
        (true, 0) => {
            let error = CommandError::text("No such client");
            state.site.errors.note(error.code());
            reply.error(&error);
        }
        (true, _) => reply.ok(),
        (false, _) => reply.integer(count as i64),
    }
}

impl State {
    /// The last piece of a list is written.
    fn conclude_list(&mut self, index: u32) {
        let Some(mut session) = self.sessions[index as usize].take() else { return };
        let len = session.output.pending.len();
        self.conclude_waiting(&mut session, len, false);
        self.sessions[index as usize] = Some(session);
    }

    /// Does one piece of what was put off: the pages and pieces of commands over all connections. The others are served in
    /// between.
    pub fn work_later(&mut self) {
        self.check_holds();
        if self.site.has_slow() {
            self.go_on_with_slow();
            if !self.site.has_slow() {
                // Whoever it held up is served at once.
                self.check_holds();
            }
        }
        match self.later.pop_front() {
            None => {}
            Some(Later::Page { from, ticket, task, at }) => {
                let page = page(self, &task, at);
                self.reply_to(from, ticket, Answer::Clients(Box::new(page)));
            }
            Some(Later::Piece(ticket)) => go_on(self, ticket),
            Some(Later::Source(owner)) => self.write_piece(owner),
            Some(Later::Script(index)) => self.go_on_with_script(index),
            Some(Later::Touch(index)) => self.dirty.push(index),
            Some(Later::Debug { ticket, order }) => {
                let answer = crate::admin::debug::carry_out(self, &order);
                self.reply_to(None, ticket, answer);
            }
        }
    }
}
