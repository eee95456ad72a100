//! CLUSTER and ASKING. What the node is and says is decided in the crate `ringkey-cluster`; changes are decided on core
//! 0, one after the other, written to the configuration file and adopted by all cores before the client hears `OK`.

use super::{Then, write_help};
use crate::mailbox::letter::{Answer, Question, SlotKeys};
use crate::nodes_file;
use crate::session::Session;
use crate::state::State;
use ringkey_cluster::{Change, Node, answers};
use ringkey_core::command::Admin;
use ringkey_core::keyspace::slot::slot_of;
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::settings::Setting;
use ringkey_core::units::{SLOT_COUNT, Slot};
use std::sync::Arc;

/// Carries out a CLUSTER subcommand, or ASKING.
///
/// # Errors
/// The refusal.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    if admin == Admin::ClusterKeySlot {
        let slot = slot_of(args.get(2));
        Reply::new(&mut session.output.pending, session.protocol).integer(i64::from(slot.0));
        return Ok(());
    }
    // The node of now answers, whatever becomes of it meanwhile.
    let node = Arc::clone(&state.seat()?.node);
    match admin {
        Admin::ClusterHelp => write_help(session, "CLUSTER", answers::HELP),
        Admin::ClusterAddSlots | Admin::ClusterDelSlots => {
            let change = Change::of_slots(args.iter_from(2), admin == Admin::ClusterAddSlots)?;
            ask_for(state, session, change);
        }
        Admin::ClusterAddSlotsRange | Admin::ClusterDelSlotsRange => {
            let is_adding = admin == Admin::ClusterAddSlotsRange;
            if !args.len().is_multiple_of(2) {
                let name = if is_adding { "cluster|addslotsrange" } else { "cluster|delslotsrange" };
                return Err(CommandError::Arity(name.into()));
            }
            let words: Vec<&[u8]> = args.iter_from(2).collect();
            ask_for(state, session, Change::of_ranges(&words, is_adding)?);
        }
        Admin::ClusterFlushSlots => ask_for(state, session, Change::FlushSlots),
        Admin::ClusterReset => {
            let change = parse_reset(state, args)?;
            ask_for(state, session, change);
        }
        Admin::ClusterSaveConfig => ask_for(state, session, Change::Save),
        Admin::ClusterBumpEpoch => ask_for(state, session, Change::BumpEpoch),
        Admin::ClusterSetConfigEpoch => {
            let epoch = parse_integer(args.get(2)).ok_or(CommandError::NotAnInteger)?;
            ask_for(state, session, Change::SetEpoch(epoch));
        }
        Admin::ClusterCountKeysInSlot => {
            let slot = parse_integer(args.get(2)).ok_or(CommandError::NotAnInteger)?;
            let slot = checked_slot(slot).ok_or(CommandError::text("Invalid slot"))?;
            ask_for_keys(state, session, slot, None);
        }
        Admin::ClusterGetKeysInSlot => {
            let number = |at| parse_integer(args.get(at)).ok_or(CommandError::NotAnInteger);
            let (slot, most) = (number(2)?, number(3)?);
            let invalid = CommandError::text("Invalid slot or number of keys");
            let (Some(slot), Ok(most)) = (checked_slot(slot), usize::try_from(most)) else { return Err(invalid) };
            ask_for_keys(state, session, slot, Some(most));
        }
        _ => return tell(state, session, admin, args, &node),
    }
    Ok(())
}

fn checked_slot(number: i64) -> Option<Slot> {
    u16::try_from(number).ok().filter(|slot| *slot < SLOT_COUNT).map(Slot)
}

fn parse_reset(state: &mut State, args: &Args<'_>) -> Result<Change, CommandError> {
    let is = |word: &[u8]| args.len() == 3 && args.get(2).eq_ignore_ascii_case(word);
    match args.len() {
        2 => Ok(Change::Reset(None)),
        3 if is(b"soft") => Ok(Change::Reset(None)),
        3 if is(b"hard") => {
            let entropy = [nodes_file::twenty(&mut state.random), nodes_file::twenty(&mut state.random)];
            Ok(Change::Reset(Some(entropy)))
        }
        3 => Err(CommandError::Syntax),
        _ => Err(CommandError::text("unknown subcommand or wrong number of arguments for 'RESET'. Try CLUSTER HELP.")),
    }
}

/// What CLUSTER INFO answers on the common port, for INFO; nothing outside of a cluster.
pub fn info_text(state: &State) -> Option<String> {
    let seat = state.seat().ok()?;
    let viewer = ringkey_cluster::Viewer { core: None, local: None };
    let view = ringkey_cluster::View { node: &seat.node, map: state.map, announced: &seat.announced, viewer };
    Some(answers::info(&view, seat.serving))
}

/// The subcommands that tell what this core knows.
fn tell(
    state: &State,
    session: &mut Session,
    admin: Admin,
    args: &Args<'_>,
    node: &Arc<Node>,
) -> Result<(), CommandError> {
    let seat = state.seat()?;
    let view = ringkey_cluster::View { node, ..state.view(seat, session) };
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    match admin {
        Admin::ClusterInfo => reply.verbatim("txt", answers::info(&view, seat.serving).as_bytes()),
        Admin::ClusterNodes => reply.verbatim("txt", answers::nodes(&view).as_bytes()),
        Admin::ClusterSlots => answers::slots(&view, &mut reply),
        Admin::ClusterShards => answers::shards(&view, &mut reply),
        Admin::ClusterMyId => reply.bulk(view.my_id().as_str().as_bytes()),
        Admin::ClusterMyShardId => reply.bulk(view.my_shard_id().as_str().as_bytes()),
        Admin::ClusterLinks => reply.array(0),
        Admin::ClusterReplicas | Admin::ClusterCountFailureReports => {
            let name = args.get(2);
            if !view.knows(name) {
                return Err(CommandError::owned(format!("Unknown node {}", String::from_utf8_lossy(name))));
            }
            if admin == Admin::ClusterReplicas {
                reply.array(0);
            } else {
                reply.integer(0);
            }
        }
        // No slot is ever on its way in, so there is nothing that it would let through.
        _ => reply.ok(),
    }
    Ok(())
}

/// Counts or lists the keys of a slot where they live. A core's port knows the slots of that core alone.
fn ask_for_keys(state: &mut State, session: &mut Session, slot: Slot, most: Option<usize>) {
    let owner = state.map.shard_of(slot);
    if session.on_core_port && owner != state.me {
        let nothing = if most.is_some() { Answer::Page(Vec::new(), None) } else { Answer::Count(0) };
        return write_keys(session, vec![(owner.index(), nothing)]);
    }
    let question = Question::SlotKeys(SlotKeys { db: session.db, slot, most });
    state.gather_answers(session, [owner.index()], &question, Then::SlotKeys);
}

/// The keys of a slot of this core, or how many they are.
pub fn slot_keys(state: &State, wanted: &SlotKeys) -> Answer {
    let database = state.site.shard.database(wanted.db);
    let Some(most) = wanted.most else { return Answer::Count(database.count_in_slot(wanted.slot) as u64) };
    let mut keys = Vec::new();
    database.keys_in_slot(wanted.slot, most, &mut |entry| keys.push(entry.key().to_vec()));
    Answer::Page(keys, None)
}

/// Writes the answer of COUNTKEYSINSLOT or GETKEYSINSLOT.
pub fn write_keys(session: &mut Session, answers: Vec<(usize, Answer)>) {
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    match answers.into_iter().next() {
        Some((_, Answer::Count(count))) => reply.integer(count as i64),
        Some((_, Answer::Page(keys, _))) => {
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
        _ => reply.array(0),
    }
}

/// Has core 0 decide a change; one that needs empty databases when it is known that they are. A key that is set in
/// between stays, as after DELSLOTS, and is served again when its slot is.
fn ask_for(state: &mut State, session: &mut Session, change: Change) {
    if change.needs_empty().is_some() {
        return state.gather_from_all(session, &Question::Sample(Default::default()), Then::IfEmpty(change));
    }
    state.gather_answers(session, [0], &Question::ChangeNode(Arc::new(change)), Then::Ok);
}

/// All cores have told how many keys they have: goes on with the change, or refuses it.
pub fn go_on_if_empty(state: &mut State, session: &mut Session, change: Change, answers: &[(usize, Answer)]) {
    let has_keys = |answer: &Answer| matches!(answer, Answer::Sample(sample) if sample.has_keys());
    if let Some(error) = change.needs_empty().filter(|_| answers.iter().any(|(_, answer)| has_keys(answer))) {
        state.site.errors.note(error.code());
        return Reply::new(&mut session.output.pending, session.protocol).error(&error);
    }
    state.gather_answers(session, [0], &Question::ChangeNode(Arc::new(change)), Then::Ok);
}

/// Decides a change (on core 0): the node that all cores are to adopt, and what the client hears.
///
/// # Errors
/// The refusal; nothing has changed.
pub fn change(state: &mut State, change: &Change) -> Result<(Arc<Node>, Answer), CommandError> {
    let (node, line) = state.seat()?.node.changed(change)?;
    if let Err(error) = nodes_file::save(&node, &state.settings, state.map.shards()) {
        let reason = crate::listen::plain(&error);
        let may_go_on = state.settings.choice(Setting::ClusterConfigSaveBehavior) == "best-effort";
        if !may_go_on || *change == Change::Save {
            return Err(CommandError::owned(format!("error saving the cluster node config: {reason}")));
        }
        log::warn!("The cluster config file could not be written, and the change will not survive a restart: {reason}");
    }
    let node = Arc::new(node);
    // The next change, which may be decided before the letters have gone round, builds on this one.
    state.take_seat(Arc::clone(&node));
    Ok((node, line.map_or(Answer::Done, Answer::Text)))
}
