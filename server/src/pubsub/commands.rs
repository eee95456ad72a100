//! SUBSCRIBE and its opposites, and PUBSUB.

use super::Subscribing;
use super::tables::{Kind, hash_of};
use crate::admin::client::ClientKind;
use crate::admin::{Then, write_help};
use crate::mailbox::letter::{Answer, Question};
use crate::session::{Closing, Pending, ReplyMode, Session};
use crate::state::State;
use ringkey_core::command::{Admin, Command, Run};
use ringkey_core::keyspace::slot::slot_of;
use ringkey_core::resp::{Args, CommandError, Protocol, Reply, ReplyBuffer};
use ringkey_core::units::Slot;
use std::collections::BTreeSet;
use std::sync::Arc;

/// So many channels of a client that has gone are left in one pass.
const LEFT_A_PASS: usize = 1000;

const HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    The channels that somebody listens to, or those that match a <pattern>.",
    "NUMPAT",
    "    How many different patterns somebody listens to.",
    "NUMSUB [<channel> ...]",
    "    How many clients listen to each of the channels; those who listen to patterns do not count.",
    "SHARDCHANNELS [<pattern>]",
    "    The shard channels that somebody listens to, or those that match a <pattern>.",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    How many clients listen to each of the shard channels.",
];

/// Which word confirms that a client listens, and which that it does no more.
fn words_of(kind: Kind) -> (&'static [u8], &'static [u8]) {
    match kind {
        Kind::Channel => (b"subscribe", b"unsubscribe"),
        Kind::Pattern => (b"psubscribe", b"punsubscribe"),
        Kind::Shard => (b"ssubscribe", b"sunsubscribe"),
    }
}

/// SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE
pub fn subscribe(state: &mut State, session: &mut Session, kind: Kind, args: &Args<'_>) {
    let next = state.pubsub.announced + 1;
    let mut needed = 0;
    let mut names = Vec::with_capacity(args.len() - 1);
    for word in args.iter_from(1) {
        let name: Arc<[u8]> = word.into();
        let hash = hash_of(kind, state.site.shard.key(word).hash.hash);
        let pubsub = &mut state.pubsub;
        needed = needed.max(pubsub.tables.borrow_mut().claim(kind, hash, &name, next, &mut pubsub.changes));
        names.push((hash, name));
    }
    let subscribing = Subscribing { kind, names };
    if state.pubsub.known_to_all(state.me.index()) >= needed {
        return state.settle_subscription(session, subscribing);
    }
    state.pubsub.waiting.push((needed, session.ticket()));
    session.pending = Pending::Subscribing(Box::new(subscribing));
}

/// UNSUBSCRIBE, PUNSUBSCRIBE, SUNSUBSCRIBE
pub fn unsubscribe(state: &mut State, session: &mut Session, kind: Kind, args: &Args<'_>) {
    let mut out = ReplyBuffer::default();
    let names: Vec<Arc<[u8]>> = match args.len() {
        1 => session
            .subscriptions
            .as_ref()
            .map_or_else(Vec::new, |own| own.names[kind as usize].iter().cloned().collect()),
        _ => args.iter_from(1).map(Arc::from).collect(),
    };
    let told = |session: &Session| session.subscriptions.as_ref().map_or(0, |own| own.told(kind));
    let mut reply = Reply::new(&mut out, session.protocol);
    for name in &names {
        state.stop_listening(session, kind, name);
        confirm(&mut reply, words_of(kind).1, Some(name), told(session));
    }
    if names.is_empty() {
        confirm(&mut reply, words_of(kind).1, None, told(session));
    }
    state.note_listening(session);
    owe(session, &out);
}

fn confirm(reply: &mut Reply<'_>, word: &[u8], name: Option<&[u8]>, count: usize) {
    reply.push(3);
    reply.bulk(word);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(count as i64);
}

/// Confirmations are pushed: CLIENT REPLY does not silence them.
fn owe(session: &mut Session, out: &ReplyBuffer) {
    let end = out.mark();
    if session.reply_mode == ReplyMode::On {
        session.output.pending.append_range(out, Default::default(), end);
    } else {
        session.late.get_or_insert_default().append_range(out, Default::default(), end);
    }
}

impl State {
    /// All cores know what a client is to listen to: it does, and hears that it does.
    pub(super) fn settle_subscription(&mut self, session: &mut Session, subscribing: Subscribing) {
        let Subscribing { kind, names } = subscribing;
        let is_there = session.closing != Closing::Now;
        let mut out = ReplyBuffer::default();
        let mut reply = Reply::new(&mut out, session.protocol);
        let own = session.subscriptions.get_or_insert_default();
        let pubsub = &mut self.pubsub;
        for (hash, name) in &names {
            let joins = is_there && !own.has(kind, name);
            let client = joins.then_some(session.index);
            let kept = pubsub.tables.borrow_mut().settle(kind, *hash, name, client, &mut pubsub.changes);
            if joins {
                own.bytes += kept.len();
                own.names[kind as usize].insert(kept);
            }
            confirm(&mut reply, words_of(kind).0, Some(name), own.told(kind));
        }
        self.note_listening(session);
        owe(session, &out);
    }

    /// A client listens to this no more.
    fn stop_listening(&mut self, session: &mut Session, kind: Kind, name: &Arc<[u8]>) {
        let Some(own) = &mut session.subscriptions else { return };
        let Some(kept) = own.names[kind as usize].take(name) else { return };
        own.bytes -= kept.len();
        let hash = hash_of(kind, self.site.shard.key(name).hash.hash);
        let pubsub = &mut self.pubsub;
        pubsub.tables.borrow_mut().leave(kind, hash, &kept, session.index, &mut pubsub.changes);
    }

    /// Slots go to another node: who listens to shard channels of theirs does so no more, and is told.
    pub fn leave_channels(&mut self, is_lost: impl Fn(Slot) -> bool) {
        let lost = |name: &&Arc<[u8]>| is_lost(slot_of(name));
        let names: Vec<Arc<[u8]>> = self.pubsub.tables.borrow().names(Kind::Shard).filter(lost).cloned().collect();
        for name in names {
            let hash = hash_of(Kind::Shard, self.site.shard.key(&name).hash.hash);
            let clients = self.pubsub.tables.borrow().clients(Kind::Shard, hash, &name).to_vec();
            for index in clients {
                let Some(mut session) = self.sessions[index as usize].take() else { continue };
                self.stop_listening(&mut session, Kind::Shard, &name);
                let count = session.subscriptions.as_ref().map_or(0, |own| own.told(Kind::Shard));
                self.note_listening(&mut session);
                self.sessions[index as usize] = Some(session);
                self.push_to(index, |reply| confirm(reply, words_of(Kind::Shard).1, Some(&name), count));
            }
        }
    }

    /// What kind of client it is depends on whether it listens to anything.
    fn note_listening(&mut self, session: &mut Session) {
        let listened = session.kind == ClientKind::Pubsub;
        let listens = session.subscriptions.as_ref().is_some_and(|own| !own.is_empty());
        if !listens {
            session.subscriptions = None;
        }
        if listens != listened {
            session.kind = if listens { ClientKind::Pubsub } else { ClientKind::Normal };
            self.pubsub.clients = if listens { self.pubsub.clients + 1 } else { self.pubsub.clients - 1 };
        }
    }

    /// A client listens to nothing any more: RESET, or its end.
    pub fn leave_all(&mut self, session: &mut Session) {
        while !self.leave_some(session) {}
    }

    /// The same for some of what it listens to. `true` if nothing is left.
    pub fn leave_some(&mut self, session: &mut Session) -> bool {
        let mut left = LEFT_A_PASS;
        for kind in [Kind::Channel, Kind::Shard, Kind::Pattern] {
            let Some(own) = &session.subscriptions else { break };
            let names: Vec<Arc<[u8]>> = own.names[kind as usize].iter().take(left).cloned().collect();
            left -= names.len();
            names.iter().for_each(|name| self.stop_listening(session, kind, name));
        }
        self.note_listening(session);
        session.subscriptions.is_none()
    }
}

impl Session {
    /// May it call this? Whoever listens by RESP2 may not mix replies with messages.
    ///
    /// # Errors
    /// It may not.
    #[inline]
    pub fn check_listening(&self, row: &Command) -> Result<(), CommandError> {
        if self.kind != ClientKind::Pubsub || self.protocol == Protocol::Resp3 {
            return Ok(());
        }
        check_listener(row)
    }
}

#[cold]
fn check_listener(row: &Command) -> Result<(), CommandError> {
    match row.run {
        Run::Admin(
            Admin::Subscribe
            | Admin::PSubscribe
            | Admin::SSubscribe
            | Admin::Unsubscribe
            | Admin::PUnsubscribe
            | Admin::SUnsubscribe
            | Admin::Ping
            | Admin::Quit
            | Admin::Reset,
        ) => Ok(()),
        _ => Err(CommandError::owned(format!(
            "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            row.name
        ))),
    }
}

/// PUBSUB and its subcommands.
pub fn look(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    let kind = match admin {
        Admin::PubsubShardChannels | Admin::PubsubShardNumSub => Kind::Shard,
        _ => Kind::Channel,
    };
    match admin {
        Admin::PubsubChannels | Admin::PubsubShardChannels => {
            if args.len() > 3 {
                return Err(CommandError::owned(format!(
                    "unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB HELP.",
                    String::from_utf8_lossy(args.get(1))
                )));
            }
            let pattern = args.iter_from(2).next().map(<[u8]>::to_vec);
            state.gather_from_all(session, &Question::Channels(kind, pattern), Then::Channels);
        }
        Admin::PubsubNumSub | Admin::PubsubShardNumSub => {
            let names: Arc<Vec<Vec<u8>>> = Arc::new(args.iter_from(2).map(<[u8]>::to_vec).collect());
            let question = Question::CountListeners(kind, Arc::clone(&names));
            state.gather_from_all(session, &question, Then::Listeners(names));
        }
        Admin::PubsubNumPat => {
            let count = state.pubsub.tables.borrow().count(Kind::Pattern) as i64;
            Reply::new(&mut session.output.pending, session.protocol).integer(count);
        }
        _ => write_help(session, "PUBSUB", HELP),
    }
    Ok(())
}

/// The channels of a kind to which clients of this core listen.
pub fn channels(state: &State, kind: Kind, pattern: Option<&[u8]>) -> Answer {
    let fits = |name: &&Arc<[u8]>| pattern.is_none_or(|pattern| ringkey_core::glob::glob_match(pattern, name, false));
    Answer::Page(state.pubsub.tables.borrow().names(kind).filter(fits).map(|name| name.to_vec()).collect(), None)
}

/// How many clients of this core listen to each channel.
pub fn listeners(state: &State, kind: Kind, names: &[Vec<u8>]) -> Answer {
    let count = |name: &Vec<u8>| {
        let hash = hash_of(kind, state.site.shard.key(name).hash.hash);
        state.pubsub.tables.borrow().clients(kind, hash, name).len() as u64
    };
    Answer::Counts(names.iter().map(count).collect())
}

/// How many clients of this core would get a message to a channel.
pub fn receivers(state: &State, kind: Kind, channel: &[u8]) -> Answer {
    let hash = hash_of(kind, state.site.shard.key(channel).hash.hash);
    Answer::Count(state.pubsub.tables.borrow().receivers(kind, hash, channel) as u64)
}

/// Writes the channels of all cores.
pub fn write_channels(session: &mut Session, answers: Vec<(usize, Answer)>) {
    let mut all = BTreeSet::new();
    for (_, answer) in answers {
        if let Answer::Page(names, _) = answer {
            all.extend(names);
        }
    }
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.array(all.len());
    all.iter().for_each(|name| reply.bulk(name));
}

/// Writes how many clients listen to each channel.
pub fn write_listeners(session: &mut Session, names: &[Vec<u8>], answers: &[(usize, Answer)]) {
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.array(2 * names.len());
    for (at, name) in names.iter().enumerate() {
        let of_core = |(_, answer): &(usize, Answer)| match answer {
            Answer::Counts(counts) => counts.get(at).copied().unwrap_or(0),
            _ => 0,
        };
        reply.bulk(name);
        reply.integer(answers.iter().map(of_core).sum::<u64>() as i64);
    }
}
