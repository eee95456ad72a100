//! Commands that the process answers: connection, clients, settings, counters, and what concerns all shards.
//!
//! What needs other cores asks them by letter and leaves the session waiting ([`Then`] says for what); a core answers
//! from its own state alone.

pub mod client;
pub mod cluster;
pub mod command_log;
pub mod config;
pub mod connection;
pub mod debug;
pub mod function;
pub mod info;
pub mod keys;
pub mod latency;
pub mod lolwut;
pub mod memory;
pub mod script;
pub mod server;
pub mod shutdown;
pub mod watch;

use crate::mailbox::letter::{Answer, DebugOrder, Question};
use crate::session::{Gathering, Pending, Session};
use crate::state::{Later, State};
use crate::tracking::setup::{self, Wanted};
use crate::wishes::is_wish;
use ringkey_cluster::Change;
use ringkey_core::command::{Admin, Names, docs};
use ringkey_core::observe::LogKind;
use ringkey_core::resp::{Args, CommandError, Reply};
use std::collections::HashMap;
use std::sync::Arc;

/// What a session does with the answers it waits for.
pub enum Then {
    /// INFO with these sections.
    Info(info::Sections),
    /// A command that answers with the sum of counts.
    Sum,
    /// MEMORY STATS.
    MemoryStats,
    /// MEMORY DOCTOR.
    MemoryDoctor,
    /// A page of SCAN.
    Scan(Box<keys::Scanning>),
    /// A command that answers `OK`, or the first refusal.
    Ok,
    /// DEBUG CLIENT-EVICTION.
    ClientGroups,
    /// DEBUG HTSTATS.
    Tables {
        /// With what takes long to find out?
        is_full: bool,
    },
    /// DEBUG DIGEST.
    Digest,
    /// DEBUG DIGEST-VALUE of so many keys.
    DigestValues(usize),
    /// CLUSTER COUNTKEYSINSLOT or GETKEYSINSLOT.
    SlotKeys,
    /// A change of the node that needs empty databases.
    IfEmpty(Change),
    /// A line of text, or a refusal.
    Text,
    /// A name as a string, or a refusal.
    Name,
    /// MONITOR.
    Monitor,
    /// PUBSUB CHANNELS or SHARDCHANNELS.
    Channels,
    /// PUBSUB NUMSUB or SHARDNUMSUB of these.
    Listeners(Arc<Vec<Vec<u8>>>),
    /// A subcommand of COMMANDLOG or SLOWLOG.
    CommandLog(LogKind, command_log::LogOrder),
    /// CLIENT TRACKING, which needs to know if there is a client to be redirected to.
    Redirect(Box<Wanted>),
    /// The same, when all cores know its prefixes.
    Track(Box<Wanted>),
    /// A subcommand of LATENCY.
    Latency(latency::Wanted),
}

/// Marks tickets of errands, which no session has.
const ERRAND: u64 = 1 << 63;

/// Answers that this core collects on behalf of another.
#[derive(Default)]
pub struct Errands {
    next: u64,
    open: HashMap<u64, Errand>,
}

struct Errand {
    asker: Option<usize>,
    ticket: u64,
    missing: usize,
    /// What the asker hears at the end.
    done: Answer,
}

/// Carries out a command of the process.
///
/// # Errors
/// The refusal; nothing was written.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    match admin {
        Admin::Auth => connection::auth(state, session, args),
        Admin::Hello => connection::hello(state, session, args),
        Admin::Ping => connection::ping(session, args),
        Admin::Echo => connection::echo(session, args),
        Admin::Select => connection::select(state, session, args),
        Admin::Reset => connection::reset(state, session),
        Admin::Quit => connection::quit(session),
        Admin::ReadOnly => connection::read_only(session, true),
        Admin::ReadWrite => connection::read_only(session, false),
        Admin::Asking
        | Admin::ClusterAddSlots
        | Admin::ClusterAddSlotsRange
        | Admin::ClusterBumpEpoch
        | Admin::ClusterCountFailureReports
        | Admin::ClusterCountKeysInSlot
        | Admin::ClusterDelSlots
        | Admin::ClusterDelSlotsRange
        | Admin::ClusterFlushSlots
        | Admin::ClusterGetKeysInSlot
        | Admin::ClusterHelp
        | Admin::ClusterInfo
        | Admin::ClusterKeySlot
        | Admin::ClusterLinks
        | Admin::ClusterMyId
        | Admin::ClusterMyShardId
        | Admin::ClusterNodes
        | Admin::ClusterReplicas
        | Admin::ClusterReset
        | Admin::ClusterSaveConfig
        | Admin::ClusterSetConfigEpoch
        | Admin::ClusterShards
        | Admin::ClusterSlots => cluster::carry_out(state, session, admin, args),
        Admin::Subscribe
        | Admin::PSubscribe
        | Admin::SSubscribe
        | Admin::Unsubscribe
        | Admin::PUnsubscribe
        | Admin::SUnsubscribe
        | Admin::Publish
        | Admin::SPublish
        | Admin::PubsubChannels
        | Admin::PubsubHelp
        | Admin::PubsubNumPat
        | Admin::PubsubNumSub
        | Admin::PubsubShardChannels
        | Admin::PubsubShardNumSub => crate::pubsub::carry_out(state, session, admin, args),
        Admin::Time => server::time(session),
        Admin::Lolwut => lolwut::lolwut(state, session, args),
        Admin::ClientId
        | Admin::ClientTracking
        | Admin::ClientCaching
        | Admin::ClientGetRedir
        | Admin::ClientTrackingInfo
        | Admin::ClientInfo
        | Admin::ClientList
        | Admin::ClientKill
        | Admin::ClientSetName
        | Admin::ClientGetName
        | Admin::ClientSetInfo
        | Admin::ClientReply
        | Admin::ClientNoEvict
        | Admin::ClientNoTouch
        | Admin::ClientCapa
        | Admin::ClientImportSource
        | Admin::ClientPause
        | Admin::ClientUnpause
        | Admin::ClientUnblock
        | Admin::ClientHelp => client::carry_out(state, session, admin, args),
        Admin::Command
        | Admin::CommandCount
        | Admin::CommandList
        | Admin::CommandInfo
        | Admin::CommandDocs
        | Admin::CommandGetKeys
        | Admin::CommandGetKeysAndFlags
        | Admin::CommandHelp => tell_of_commands(state.names, session, admin, args),
        Admin::ConfigGet | Admin::ConfigSet | Admin::ConfigResetStat | Admin::ConfigRewrite | Admin::ConfigHelp => {
            config::carry_out(state, session, admin, args)
        }
        Admin::Info => info::info(state, session, args),
        Admin::MemoryDoctor
        | Admin::MemoryHelp
        | Admin::MemoryMallocStats
        | Admin::MemoryPurge
        | Admin::MemoryStats => memory::carry_out(state, session, admin),
        Admin::RandomKey => keys::random_key(state, session, args),
        Admin::Scan => keys::scan(state, session, args),
        Admin::SwapDb => keys::swap_databases(state, session, args),
        Admin::Unwatch => watch::unwatch(state, session),
        Admin::Migrate => state.migrate(session, args),
        Admin::ObjectHelp => keys::object_help(session),
        Admin::XInfoHelp => keys::stream_info_help(session),
        Admin::Monitor => crate::monitor::monitor(state, session),
        Admin::Shutdown => shutdown::shutdown(state, session, args),
        Admin::Debug => debug::debug(state, session, args),
        Admin::CommandLogGet
        | Admin::CommandLogHelp
        | Admin::CommandLogLen
        | Admin::CommandLogReset
        | Admin::SlowLogGet
        | Admin::SlowLogHelp
        | Admin::SlowLogLen
        | Admin::SlowLogReset => command_log::carry_out(state, session, admin, args),
        // They are part of how requests are dispatched.
        Admin::Multi | Admin::Exec | Admin::Discard => Ok(()),
        Admin::ScriptDebug
        | Admin::ScriptExists
        | Admin::ScriptFlush
        | Admin::ScriptHelp
        | Admin::ScriptKill
        | Admin::ScriptLoad
        | Admin::ScriptShow => script::carry_out(state, session, admin, args),
        Admin::LatencyDoctor
        | Admin::LatencyGraph
        | Admin::LatencyHelp
        | Admin::LatencyHistogram
        | Admin::LatencyHistory
        | Admin::LatencyLatest
        | Admin::LatencyReset => latency::carry_out(state, session, admin, args),
        Admin::FunctionDelete
        | Admin::FunctionDump
        | Admin::FunctionFlush
        | Admin::FunctionHelp
        | Admin::FunctionKill
        | Admin::FunctionList
        | Admin::FunctionLoad
        | Admin::FunctionRestore
        | Admin::FunctionStats => function::carry_out(state, session, admin, args),
    }
}

/// COMMAND and its subcommands.
fn tell_of_commands(names: &Names, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    let reply = &mut Reply::new(&mut session.output.pending, session.protocol);
    match admin {
        Admin::CommandCount => docs::write_count(args, names, reply),
        Admin::CommandList => docs::write_list(args, names, reply),
        Admin::CommandInfo => docs::write_info(args, names, reply),
        Admin::CommandDocs => docs::write_docs(args, names, reply),
        Admin::CommandGetKeys => docs::write_get_keys(args, names, reply),
        Admin::CommandGetKeysAndFlags => docs::write_get_keys_and_flags(args, names, reply),
        Admin::CommandHelp => docs::write_help(args, names, reply),
        _ => docs::write_all(args, names, reply),
    }
}

/// Writes the lines of a HELP subcommand: the usage, then each line.
pub fn write_help(session: &mut Session, command: &str, lines: &[&str]) {
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.array(lines.len() + 3);
    reply.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| reply.simple(line));
    reply.simple("HELP");
    reply.simple("    Print this help.");
}

impl State {
    /// Asks some cores and leaves the session waiting for all answers.
    pub fn gather_answers(
        &mut self,
        session: &mut Session,
        cores: impl IntoIterator<Item = usize>,
        question: &Question,
        then: Then,
    ) {
        let ticket = session.ticket();
        let mut missing = 0;
        for core in cores {
            missing += 1;
            self.ask(core, ticket, question.clone());
        }
        session.pending = Pending::Answers(Box::new(Gathering { missing, answers: Vec::new(), then }));
    }

    /// Asks all cores and leaves the session waiting for all answers.
    pub fn gather_from_all(&mut self, session: &mut Session, question: &Question, then: Then) {
        self.gather_answers(session, 0..self.mesh.count(), question, then);
    }

    /// Answers a question from this core's own state.
    pub fn answer(&mut self, from: Option<usize>, ticket: u64, question: Question) {
        let answer = match question {
            Question::Sample(details) => Answer::Sample(Box::new(info::Sample::take(self, details))),
            Question::Clients(task, at) => return self.later.push_back(Later::Page { from, ticket, task, at }),
            Question::ChangePause(change) => {
                let pause = change.map(|pause| pause.on_top_of(self.paused.pause));
                return self.spread(from, ticket, &Question::Pause(pause), Answer::Done);
            }
            Question::Pause(pause) => return self.take_pause(pause, from, ticket),
            Question::Unblock(id, how) => Answer::Count(u64::from(self.unblock(id, how))),
            Question::EvictClients => return self.begin_eviction(),
            Question::Evict { bytes, group } => self.evict(bytes, group),
            Question::Settings(settings) => {
                config::adopt(self, settings);
                Answer::Done
            }
            Question::ChangeSettings(changes, is_local) => match config::change(self, &changes, is_local) {
                Ok(settings) => return self.spread(from, ticket, &Question::Settings(settings), Answer::Done),
                Err(error) => Answer::Refused(error),
            },
            Question::RewriteSettings(extent) => match config::rewrite(self, from, ticket, extent) {
                Ok(()) => return,
                Err(error) => Answer::Refused(error),
            },
            Question::ResetStatistics => {
                self.process.scripts.reset_counts();
                self.statistics.reset();
                self.site.shard.stats = Default::default();
                self.site.errors = Default::default();
                self.site.watch.reset();
                self.paths.reset();
                Answer::Done
            }
            Question::Purge => match memory::purge(self, from, ticket) {
                Ok(()) => return,
                Err(error) => Answer::Refused(error),
            },
            Question::Scan(page) => keys::scan_page(self, &page),
            Question::Debug(order @ DebugOrder::Sleep(_)) if from.is_none() => {
                return self.later.push_back(Later::Debug { ticket, order });
            }
            Question::Debug(order) => debug::carry_out(self, &order),
            Question::SlotKeys(wanted) => cluster::slot_keys(self, &wanted),
            Question::Node(node) => {
                self.take_seat(node);
                Answer::Done
            }
            Question::ChangeNode(change) => match cluster::change(self, &change) {
                Ok((node, done)) => return self.spread(from, ticket, &Question::Node(node), done),
                Err(error) => Answer::Refused(error),
            },
            Question::ChangeLibraries(order) => match function::hand_over(self, from, ticket, order) {
                Ok(()) => return,
                Err(error) => Answer::Refused(error),
            },
            Question::Channels(kind, pattern) => crate::pubsub::commands::channels(self, kind, pattern.as_deref()),
            Question::CountReceivers(kind, channel) => crate::pubsub::commands::receivers(self, kind, &channel),
            Question::CountListeners(kind, names) => crate::pubsub::commands::listeners(self, kind, &names),
            Question::CommandLog(kind, order) => command_log::answer(self, kind, order),
            Question::Latency(order) => latency::answer(self, &order),
            Question::Monitor(core) => {
                self.note_for(core);
                Answer::Done
            }
            Question::Source(owner, order) => return self.heed_source_order(owner, order),
            Question::FindClient(id, stand_in) => self.find_client(id, stand_in),
            Question::Follow(follow) => {
                self.follow(&follow);
                Answer::Done
            }
            Question::Stop => {
                self.is_stopping = true;
                Answer::Done
            }
            Question::AbortStop => self.abort_stop(),
        };
        self.reply_to(from, ticket, answer);
    }

    /// Asks all cores on behalf of `asker`, who gets the one answer `done` when all have answered.
    fn spread(&mut self, asker: Option<usize>, ticket: u64, question: &Question, done: Answer) {
        let number = self.errands.next;
        self.errands.next += 1;
        self.errands.open.insert(number, Errand { asker, ticket, missing: self.mesh.count(), done });
        for core in 0..self.mesh.count() {
            self.ask(core, ERRAND | number, question.clone());
        }
    }

    /// Takes an answer for a session or an errand.
    pub fn take_answer(&mut self, from: usize, ticket: u64, answer: Answer) {
        if ticket == client::eviction::EVICTION {
            return self.evict_on();
        }
        if ticket & ERRAND != 0 {
            let number = ticket & !ERRAND;
            let Some(errand) = self.errands.open.get_mut(&number) else { return };
            errand.missing -= 1;
            if errand.missing == 0
                && let Some(errand) = self.errands.open.remove(&number)
            {
                self.reply_after_eviction(errand.asker, errand.ticket, errand.done);
            }
            return;
        }
        if is_wish(ticket) {
            return self.take_answer_for_wish(from, ticket, answer);
        }
        let answer = match answer {
            Answer::Clients(page) => return client::walk::take_page(self, from, ticket, *page),
            Answer::Part(part) => return self.take_part(ticket, *part),
            Answer::Delivered(errand) => return self.keys_were_sent(ticket, &errand),
            answer => answer,
        };
        let (index, generation) = Session::place_of(ticket);
        let Some(session) = self.session(index, generation) else { return };
        let Pending::Answers(gathering) = &mut session.pending else { return };
        if !gathering.take(from, answer) {
            return;
        }
        let Pending::Answers(gathering) = std::mem::take(&mut session.pending) else { return };
        let Some(mut session) = self.sessions[index as usize].take() else { return };
        self.finish(&mut session, *gathering);
        self.sessions[index as usize] = Some(session);
        self.ready.push_back(index);
    }

    fn finish(&mut self, session: &mut Session, gathering: Gathering) {
        let before = session.output.pending.mark();
        self.write_answers(session, gathering);
        if !session.pending.is_nothing() {
            return;
        }
        let failed = session.output.pending.bytes.get(before.bytes) == Some(&b'-');
        let len = session.output.pending.len_between(before, session.output.pending.mark());
        self.conclude_waiting(session, len, failed);
        session.apply_reply_mode(before);
    }

    /// Writes the reply for which answers were gathered; it may turn out that more are needed.
    pub fn write_answers(&mut self, session: &mut Session, mut gathering: Gathering) {
        gathering.answers.sort_by_key(|(from, _)| *from);
        let answers = gathering.answers;
        let is_name = matches!(gathering.then, Then::Name);
        match gathering.then {
            Then::Info(sections) => info::write(self, session, &sections, answers),
            Then::Sum => client::write_sum(session, &answers),
            Then::MemoryStats => memory::write_stats(self, session, answers),
            Then::MemoryDoctor => memory::write_report(self, session, answers),
            Then::Scan(scanning) => keys::scanned(self, session, *scanning, answers),
            Then::SlotKeys => cluster::write_keys(session, answers),
            Then::IfEmpty(change) => cluster::go_on_if_empty(self, session, change, &answers),
            Then::ClientGroups => debug::write_groups(session, answers),
            Then::Tables { is_full } => debug::write_tables(session, is_full, answers),
            Then::Monitor => self.begin_monitor(session),
            Then::Channels => crate::pubsub::commands::write_channels(session, answers),
            Then::Listeners(names) => crate::pubsub::commands::write_listeners(session, &names, &answers),
            Then::CommandLog(kind, order) => command_log::write(self, session, kind, order, answers),
            Then::Latency(wanted) => latency::write(self, session, &wanted, answers),
            Then::Redirect(wanted) => {
                if let Err(error) = setup::redirect(self, session, *wanted, &answers) {
                    self.site.errors.note(error.code());
                    Reply::new(&mut session.output.pending, session.protocol).error(&error);
                }
            }
            Then::Track(wanted) => setup::begin(self, session, *wanted),
            Then::Digest => debug::write_digest(session, answers),
            Then::DigestValues(count) => debug::write_value_digests(session, count, answers),
            Then::Text | Then::Name | Then::Ok => {
                let mut reply = Reply::new(&mut session.output.pending, session.protocol);
                for (_, answer) in &answers {
                    match answer {
                        Answer::Refused(error) => {
                            self.site.errors.note(error.code());
                            return reply.error(error);
                        }
                        Answer::Text(name) if is_name => return reply.bulk(name.as_bytes()),
                        Answer::Text(text) => return reply.simple(text),
                        _ => {}
                    }
                }
                reply.ok();
            }
        }
    }
}
