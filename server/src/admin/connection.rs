//! Commands about the connection itself: AUTH, HELLO, PING, ECHO, SELECT, RESET, QUIT, READONLY, READWRITE.

use super::client;
use crate::session::{Closing, ReplyMode, Session};
use crate::state::State;
use crate::{COMPATIBLE_VERSION, REDIS_VERSION, SERVER_NAME};
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Args, CommandError, Protocol, Reply};
use ringkey_core::settings::Setting;
use ringkey_core::units::DbIndex;

/// PING
pub fn ping(session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() > 2 {
        return Err(CommandError::Arity("ping".into()));
    }
    if session.protocol == Protocol::Resp2 && session.kind == client::ClientKind::Pubsub {
        let mut reply = Reply::new(&mut session.output.pending, session.protocol);
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(args.iter_from(1).next().unwrap_or_default());
        return Ok(());
    }
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    match args.len() {
        1 => reply.simple("PONG"),
        _ => reply.bulk(args.get(1)),
    }
    Ok(())
}

/// ECHO
pub fn echo(session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    Reply::new(&mut session.output.pending, session.protocol).bulk(args.get(1));
    Ok(())
}

/// SELECT
pub fn select(state: &State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let index = parse_integer(args.get(1)).filter(|index| i32::try_from(*index).is_ok());
    let index = index.ok_or(CommandError::NotAnInteger)?;
    if !(0..i64::from(state.site.shard.database_count())).contains(&index) {
        return Err(CommandError::DbIndexOutOfRange);
    }
    session.db = DbIndex(index as u32);
    Reply::new(&mut session.output.pending, session.protocol).ok();
    Ok(())
}

/// Does the password fit? Compares in a time that does not depend on where the first difference is.
fn password_fits(wanted: &[u8], given: &[u8]) -> bool {
    let mut difference = wanted.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        difference |= usize::from(byte ^ wanted.get(index).copied().unwrap_or(0));
    }
    difference == 0
}

fn authenticate(state: &State, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    let wanted = state.settings.text(ringkey_core::settings::Setting::RequirePass);
    if user == b"default" && (wanted.is_empty() || password_fits(wanted, password)) {
        return Ok(());
    }
    Err(CommandError::WrongPass)
}

/// AUTH
pub fn auth(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let (user, password) = match args.len() {
        2 => {
            if !state.tuning.needs_password {
                return Err(CommandError::text(
                    "AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
                ));
            }
            (&b"default"[..], args.get(1))
        }
        3 => (args.get(1), args.get(2)),
        _ => return Err(CommandError::Syntax),
    };
    if let Err(error) = authenticate(state, user, password) {
        state.statistics.auth_denied += 1;
        return Err(error);
    }
    session.is_authenticated = true;
    Reply::new(&mut session.output.pending, session.protocol).ok();
    Ok(())
}

/// HELLO
pub fn hello(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let mut protocol = session.protocol;
    let mut next = 1;
    if args.len() > 1 {
        protocol = match parse_integer(args.get(1)) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(CommandError::NoProto),
            None => return Err(CommandError::text("Protocol version is not an integer or out of range")),
        };
        next = 2;
    }
    let (mut user, mut name) = (None, None);
    while next < args.len() {
        let left = args.len() - next - 1;
        let option = args.get(next);
        if option.eq_ignore_ascii_case(b"AUTH") && left >= 2 {
            user = Some((args.get(next + 1), args.get(next + 2)));
            next += 3;
        } else if option.eq_ignore_ascii_case(b"SETNAME") && left >= 1 {
            client::check_name(args.get(next + 1))?;
            name = Some(args.get(next + 1));
            next += 2;
        } else {
            let option = String::from_utf8_lossy(option).into_owned();
            return Err(CommandError::owned(format!("Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some((user, password)) = user {
        if let Err(error) = authenticate(state, user, password) {
            state.statistics.auth_denied += 1;
            return Err(error);
        }
        session.is_authenticated = true;
    }
    if !session.is_authenticated {
        return Err(CommandError::Coded(
            "NOAUTH",
            "HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time".into(),
        ));
    }
    if let Some(name) = name {
        session.facts.name = name.to_vec();
    }
    session.protocol = protocol;
    let mut reply = Reply::new(&mut session.output.pending, protocol);
    let zone = state.settings.text(Setting::AvailabilityZone);
    reply.map(7 + usize::from(!zone.is_empty()));
    let is_redis = state.settings.bool(Setting::ExtendedRedisCompatibility);
    let (server, version) = if is_redis { ("redis", REDIS_VERSION) } else { (SERVER_NAME, COMPATIBLE_VERSION) };
    for (field, value) in [("server", server), ("version", version)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(session.id as i64);
    let mode = if state.seat.is_some() { "cluster" } else { "standalone" };
    for (field, value) in [("mode", mode), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    if !zone.is_empty() {
        reply.bulk(b"availability_zone");
        reply.bulk(zone);
    }
    Ok(())
}

/// RESET
pub fn reset(state: &mut State, session: &mut Session) -> Result<(), CommandError> {
    state.end_watching(session);
    state.discard(session);
    state.end_tracking(session);
    state.leave_all(session);
    state.end_monitor(session);
    session.protocol = Protocol::Resp2;
    session.db = DbIndex(0);
    session.is_authenticated = !state.tuning.needs_password;
    session.reply_mode = ReplyMode::On;
    session.facts.name.clear();
    session.facts.no_evict = false;
    session.facts.no_touch = false;
    session.facts.is_source = false;
    session.facts.read_only = false;
    Reply::new(&mut session.output.pending, session.protocol).simple("RESET");
    Ok(())
}

/// QUIT
pub fn quit(session: &mut Session) -> Result<(), CommandError> {
    Reply::new(&mut session.output.pending, session.protocol).ok();
    session.closing = Closing::AfterReplies;
    Ok(())
}

/// READONLY and READWRITE: what a client of a cluster says to a replica. The only node there is owns every slot, so all
/// that changes is what CLIENT LIST shows.
pub fn read_only(session: &mut Session, read_only: bool) -> Result<(), CommandError> {
    session.facts.read_only = read_only;
    Reply::new(&mut session.output.pending, session.protocol).ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits() {
        assert!(password_fits(b"secret", b"secret"));
        for wrong in [&b""[..], b"secre", b"secret1", b"Secret", b"secret\0"] {
            assert!(!password_fits(b"secret", wrong));
        }
    }
}
