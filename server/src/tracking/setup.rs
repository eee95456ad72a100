//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO, and the end of clients that track.

use super::{Caching, Mode, Redirect, StandIn, Tracking};
use crate::admin::Then;
use crate::mailbox::letter::{Answer, Letter, Notice, Question};
use crate::session::Session;
use crate::state::State;
use ringkey_core::command::Command;
use ringkey_core::keyspace::tracked::Tracker;
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::units::ShardId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The ticket of questions whose answers nobody waits for: no session has it, nor an errand.
const NOBODY: u64 = u64::MAX - 1;

/// What CLIENT TRACKING asks for.
#[derive(Debug, Default)]
pub struct Wanted {
    is_on: bool,
    is_broadcast: bool,
    is_opt_in: bool,
    is_opt_out: bool,
    no_loop: bool,
    redirect: Option<u64>,
    /// The core of that client, when it has been found.
    redirect_core: Option<ShardId>,
    prefixes: Vec<Vec<u8>>,
}

/// Which prefixes a client follows from now on, or no more.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Who.
    pub tracker: Tracker,
    /// The prefixes.
    pub prefixes: Arc<[Vec<u8>]>,
    /// Does it follow them?
    pub follows: bool,
}

const NO_TARGET: CommandError = CommandError::text("The client ID you want redirect to does not exist");
const NOT_TRACKING: CommandError = CommandError::text(
    "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);
const OTHER_BROADCAST: CommandError = CommandError::text(
    "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
);
const OTHER_CHOICE: CommandError = CommandError::text(
    "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
);

impl Wanted {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut wanted = Self::default();
        let mut next = 3;
        while next < args.len() {
            let has_more = next + 1 < args.len();
            match args.get(next).to_ascii_lowercase().as_slice() {
                b"redirect" if has_more => {
                    next += 1;
                    if wanted.redirect.is_some() {
                        return Err(CommandError::text("A client can only redirect to a single other client"));
                    }
                    let id = parse_integer(args.get(next)).ok_or(CommandError::NotAnInteger)?;
                    wanted.redirect = Some(u64::try_from(id).ok().filter(|id| *id > 0).ok_or(NO_TARGET)?);
                }
                b"bcast" => wanted.is_broadcast = true,
                b"optin" => wanted.is_opt_in = true,
                b"optout" => wanted.is_opt_out = true,
                b"noloop" => wanted.no_loop = true,
                b"prefix" if has_more => {
                    next += 1;
                    wanted.prefixes.push(args.get(next).to_vec());
                }
                _ => return Err(CommandError::Syntax),
            }
            next += 1;
        }
        Ok(wanted)
    }

    /// Does it fit together, and to what the client has asked for before?
    fn check(&self, tracking: Option<&Tracking>) -> Result<(), CommandError> {
        if !self.is_broadcast && !self.prefixes.is_empty() {
            return Err(CommandError::text("PREFIX option requires BCAST mode to be enabled"));
        }
        if tracking.is_some_and(|tracking| (tracking.mode == Mode::Broadcast) != self.is_broadcast) {
            return Err(OTHER_BROADCAST);
        }
        if self.is_broadcast && (self.is_opt_in || self.is_opt_out) {
            return Err(CommandError::text("OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if self.is_opt_in && self.is_opt_out {
            return Err(CommandError::text("You can't specify both OPTIN mode and OPTOUT mode"));
        }
        let mode = tracking.map(|tracking| tracking.mode);
        if self.is_opt_in && mode == Some(Mode::OptOut) || self.is_opt_out && mode == Some(Mode::OptIn) {
            return Err(OTHER_CHOICE);
        }
        self.check_prefixes(tracking)
    }

    /// No two prefixes of a client are prefixes of the same key.
    fn check_prefixes(&self, tracking: Option<&Tracking>) -> Result<(), CommandError> {
        let none = BTreeSet::new();
        let existing = tracking.map_or(&none, |tracking| &tracking.prefixes);
        let refusal = |one: &[u8], what: &str, other: &[u8]| {
            let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
            CommandError::owned(format!(
                "Prefix '{one}' overlaps with {what} prefix '{other}'. Prefixes for a single client must not overlap."
            ))
        };
        let Some(first) = first_overlap(&self.prefixes, existing) else { return Ok(()) };
        let prefix = &self.prefixes[first];
        let overlaps = |other: &&Vec<u8>| prefix.starts_with(other) || other.starts_with(prefix);
        if let Some(other) = existing.iter().find(overlaps) {
            return Err(refusal(prefix, "an existing", other));
        }
        let other = self.prefixes[first + 1..].iter().find(overlaps).map_or(&[][..], Vec::as_slice);
        Err(refusal(prefix, "another provided", other))
    }

    fn mode(&self) -> Mode {
        match (self.is_broadcast, self.is_opt_in, self.is_opt_out) {
            (true, ..) => Mode::Broadcast,
            (_, true, _) => Mode::OptIn,
            (_, _, true) => Mode::OptOut,
            _ => Mode::All,
        }
    }
}

/// The first of `prefixes` that begins as one behind it, or as one of `existing`, or the other way round. There may be a hundred
/// thousand, so they are not compared each with each.
fn first_overlap(prefixes: &[Vec<u8>], existing: &BTreeSet<Vec<u8>>) -> Option<usize> {
    // Of several that overlap the shortest is the beginning of all that come behind it in their order, up to the next one here.
    let mut shortest: BTreeSet<&[u8]> = existing.iter().map(Vec::as_slice).collect();
    let mut all = shortest.clone();
    let mut first = None;
    for (at, prefix) in prefixes.iter().enumerate().rev() {
        let prefix = prefix.as_slice();
        let is_longer = shortest.range(..=prefix).next_back().is_some_and(|other| prefix.starts_with(other));
        let is_shorter = all.range(prefix..).next().is_some_and(|other| other.starts_with(prefix));
        if is_longer || is_shorter {
            first = Some(at);
        }
        if !is_longer {
            while let Some(longer) = shortest.range(prefix..).next().copied().filter(|other| other.starts_with(prefix))
            {
                shortest.remove(longer);
            }
            shortest.insert(prefix);
        }
        all.insert(prefix);
    }
    first
}

/// CLIENT TRACKING
pub fn tracking(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let mut wanted = Wanted::parse(args)?;
    wanted.is_on = match args.get(2).to_ascii_lowercase().as_slice() {
        b"on" => true,
        b"off" => false,
        _ => return Err(CommandError::Syntax),
    };
    match wanted.redirect {
        Some(id) => {
            let is_allowed = wanted.is_on && wanted.check(session.tracking.as_deref()).is_ok();
            let stand_in = is_allowed.then_some(StandIn {
                client: session.id,
                core: state.me,
                is_broadcast: wanted.is_broadcast,
                no_loop: wanted.no_loop,
                target: Some(id),
            });
            if stand_in.is_some() && state.mesh.count() > 1 {
                state.tracking.noted_elsewhere.insert(session.id);
            }
            state.gather_from_all(session, &Question::FindClient(id, stand_in), Then::Redirect(Box::new(wanted)));
            Ok(())
        }
        None => decide(state, session, wanted),
    }
}

/// All cores have told whether they have the client to which invalidations are to be redirected.
///
/// # Errors
/// None has, or what is asked for does not fit together.
pub fn redirect(
    state: &mut State,
    session: &mut Session,
    mut wanted: Wanted,
    answers: &[(usize, Answer)],
) -> Result<(), CommandError> {
    let found = answers.iter().find(|(_, answer)| matches!(answer, Answer::Count(count) if *count > 0));
    let (core, _) = found.ok_or(NO_TARGET)?;
    wanted.redirect_core = Some(ShardId(*core as u16));
    decide(state, session, wanted)
}

fn decide(state: &mut State, session: &mut Session, mut wanted: Wanted) -> Result<(), CommandError> {
    if !wanted.is_on {
        state.end_tracking(session);
        Reply::new(&mut session.output.pending, session.protocol).ok();
        return Ok(());
    }
    wanted.check(session.tracking.as_deref())?;
    if !wanted.is_broadcast {
        begin(state, session, wanted);
        return Ok(());
    }
    if wanted.prefixes.is_empty() {
        wanted.prefixes.push(Vec::new());
    }
    let core = wanted.redirect_core.unwrap_or(state.me);
    if let Some(tracking) = session.tracking.as_deref().filter(|tracking| tracking.hearer(state.me) != core) {
        // Another core is to hear of all its prefixes from now on.
        wanted.prefixes.extend(tracking.prefixes.iter().cloned());
        state.follow_no_more(session.id, tracking);
    }
    let tracker = Tracker { core, client: session.id };
    let follow = Follow { tracker, prefixes: wanted.prefixes.clone().into(), follows: true };
    // The client hears of it when every core notes what changes.
    state.gather_from_all(session, &Question::Follow(follow), Then::Track(Box::new(wanted)));
    Ok(())
}

/// From now on the client hears of stale keys.
pub fn begin(state: &mut State, session: &mut Session, wanted: Wanted) {
    if session.tracking.is_none() {
        state.tracking.clients.insert(session.id, session.index);
        state.process.tracking_clients.fetch_add(1, Ordering::Relaxed);
    }
    if let Some(tracking) = session.tracking.as_deref() {
        let hearer = tracking.hearer(state.me);
        if wanted.redirect_core.unwrap_or(state.me) != hearer {
            state.need_no_stand_in(session.id, hearer);
        }
    }
    let tracking = session.tracking.get_or_insert_default();
    tracking.mode = wanted.mode();
    tracking.no_loop = wanted.no_loop;
    tracking.is_broken = false;
    let core = wanted.redirect_core;
    tracking.redirect = wanted.redirect.and_then(|id| core.map(|core| Redirect { id, core }));
    tracking.prefixes.extend(wanted.prefixes);
    session.settle_tracker(state.me);
    Reply::new(&mut session.output.pending, session.protocol).ok();
}

/// CLIENT CACHING
pub fn caching(state: &State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let is_executing = session.is_executing();
    let Some(tracking) = &mut session.tracking else { return Err(NOT_TRACKING) };
    match args.get(2).to_ascii_lowercase().as_slice() {
        b"yes" if tracking.mode != Mode::OptIn => {
            return Err(CommandError::text("CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."));
        }
        b"no" if tracking.mode != Mode::OptOut => {
            return Err(CommandError::text("CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."));
        }
        b"yes" | b"no" => {}
        _ => return Err(CommandError::Syntax),
    }
    // Within a transaction it is about the rest of it.
    tracking.caching = if is_executing { Caching::Now } else { Caching::Next };
    session.settle_tracker(state.me);
    Reply::new(&mut session.output.pending, session.protocol).ok();
    Ok(())
}

/// CLIENT GETREDIR
pub fn redirection(session: &mut Session) {
    let redirect = session.redirection();
    Reply::new(&mut session.output.pending, session.protocol).integer(redirect);
}

/// CLIENT TRACKINGINFO
pub fn info(session: &mut Session) {
    let redirect = session.redirection();
    let mut flags = Vec::new();
    match &session.tracking {
        None => flags.push("off"),
        Some(tracking) => {
            flags.push("on");
            let is_given = tracking.caching != Caching::No;
            match tracking.mode {
                Mode::All => {}
                Mode::Broadcast => flags.push("bcast"),
                Mode::OptIn => flags.push("optin"),
                Mode::OptOut => flags.push("optout"),
            }
            match tracking.mode {
                Mode::OptIn if is_given => flags.push("caching-yes"),
                Mode::OptOut if is_given => flags.push("caching-no"),
                _ => {}
            }
            flags.extend(tracking.no_loop.then_some("noloop"));
            flags.extend(tracking.is_broken.then_some("broken_redirect"));
        }
    }
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirect);
    reply.bulk(b"prefixes");
    match &session.tracking {
        Some(tracking) => {
            reply.array(tracking.prefixes.len());
            tracking.prefixes.iter().for_each(|prefix| reply.bulk(prefix));
        }
        None => reply.array(0),
    }
}

impl State {
    /// A request of a client that tracks begins.
    #[cold]
    pub fn begin_tracked(&self, session: &mut Session, row: Option<&'static Command>) {
        if session.multi.is_none()
            && let Some(tracking) = session.tracking.as_mut().filter(|tracking| tracking.picks())
        {
            tracking.begin(row);
            session.settle_tracker(self.me);
        }
    }

    /// A client hears of stale keys no more: CLIENT TRACKING OFF, RESET, its end.
    pub fn end_tracking(&mut self, session: &mut Session) {
        let Some(tracking) = session.tracking.take() else { return };
        session.tracker = None;
        self.tracking.clients.remove(&session.id);
        self.process.tracking_clients.fetch_sub(1, Ordering::Relaxed);
        if !tracking.prefixes.is_empty() {
            self.follow_no_more(session.id, &tracking);
        }
        self.need_no_stand_in(session.id, tracking.hearer(self.me));
    }

    /// Tells all cores that a client of this one follows no prefix any more.
    fn follow_no_more(&mut self, client: u64, tracking: &Tracking) {
        let tracker = Tracker { core: tracking.hearer(self.me), client };
        let prefixes = tracking.prefixes.iter().cloned().collect();
        let follow = Follow { tracker, prefixes, follows: false };
        let me = self.me.index();
        for core in (0..self.mesh.count()).filter(|core| *core != me) {
            self.ask(core, NOBODY, Question::Follow(follow.clone()));
        }
        self.follow(&follow);
    }

    /// A session ends: neither does it hear of stale keys any more, nor does anybody have it hear of them.
    pub fn forget_tracking(&mut self, session: &mut Session) {
        self.end_tracking(session);
        if !self.tracking.targets.is_empty() {
            self.tracking.targets.remove(&session.id);
        }
        if self.tracking.noted_elsewhere.is_empty() || !self.tracking.noted_elsewhere.remove(&session.id) {
            return;
        }
        for core in (0..self.mesh.count()).filter(|core| *core != self.me.index()) {
            let notice = Notice::StandDown { client: session.id, is_gone: true };
            self.mesh.post(core, Letter::Notice(notice));
        }
    }

    /// A client of this core redirects to none of core `hearer` any more.
    fn need_no_stand_in(&mut self, client: u64, hearer: ShardId) {
        if hearer != self.me {
            let notice = Notice::StandDown { client, is_gone: false };
            self.mesh.post(hearer.index(), Letter::Notice(notice));
        }
    }

    /// A client of another core redirects to none of this core's any more, or is gone.
    pub fn stand_down(&mut self, client: u64, is_gone: bool) {
        if is_gone {
            self.tracking.stand_ins.remove(&client);
        } else if let Some(stand_in) = self.tracking.stand_ins.get_mut(&client) {
            stand_in.target = None;
        }
    }

    /// A client of some core follows prefixes, or does so no more.
    pub fn follow(&mut self, follow: &Follow) {
        for prefix in &*follow.prefixes {
            match follow.follows {
                true => self.tracking.prefixes.add(prefix, follow.tracker),
                false => self.tracking.prefixes.remove(prefix, follow.tracker),
            }
        }
        self.site.shard.tracked.broadcasts = !self.tracking.prefixes.is_empty();
    }

    /// Has this core this client? It is asked because somebody will redirect invalidations there.
    pub fn find_client(&mut self, id: u64, stand_in: Option<StandIn>) -> Answer {
        let is_there = |session: &&Session| session.id == id && session.is_open();
        let found = self.sessions.iter().flatten().map(|session| &**session).find(is_there);
        if let Some(session) = found {
            self.tracking.targets.insert(id, session.index);
            if let Some(stand_in) = stand_in.filter(|stand_in| stand_in.core != self.me) {
                self.tracking.stand_ins.insert(stand_in.client, stand_in);
            }
        }
        Answer::Count(u64::from(found.is_some()))
    }
}

impl Session {
    /// Has what the command under way reads remembered, or not.
    pub fn settle_tracker(&mut self, me: ShardId) {
        let remembers = self.tracking.as_ref().filter(|tracking| tracking.remembers());
        self.tracker = remembers.map(|tracking| tracking.hearer(me));
    }

    /// Does what it reads depend on CLIENT CACHING, so that its commands are carried out one by one?
    pub fn picks(&self) -> bool {
        self.tracking.as_ref().is_some_and(|tracking| tracking.picks())
    }

    /// The id of the client that hears in its place; 0: it hears itself; -1: nobody hears.
    pub fn redirection(&self) -> i64 {
        self.tracking.as_ref().map_or(-1, |tracking| tracking.redirect.map_or(0, |redirect| redirect.id as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_found_as_by_comparing_each_with_each() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut found = [0, 0];
        for _ in 0..3_000 {
            let letters = 2 + random.u8(..20);
            let mut words = |count: usize| -> Vec<Vec<u8>> {
                (0..count).map(|_| (0..random.usize(1..5)).map(|_| b'a' + random.u8(..letters)).collect()).collect()
            };
            let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
            let mut existing: BTreeSet<Vec<u8>> = BTreeSet::new();
            for word in words(3) {
                if !existing.iter().any(|other| overlap(&word, other)) {
                    existing.insert(word);
                }
            }
            let prefixes = words(4);
            let is_first = |at: &usize| {
                let mut others = existing.iter().chain(&prefixes[at + 1..]);
                others.any(|other| overlap(&prefixes[*at], other))
            };
            let expected = (0..prefixes.len()).find(is_first);
            assert_eq!(first_overlap(&prefixes, &existing), expected, "{prefixes:?}, {existing:?}");
            found[usize::from(expected.is_some())] += 1;
        }
        assert!(found.iter().all(|count| *count > 300), "{found:?}");
    }
}
