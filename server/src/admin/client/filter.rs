//! Which connections CLIENT LIST and CLIENT KILL mean.

use crate::session::Session;
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Args, CommandError};
use ringkey_core::units::Millis;

/// The letters that CLIENT LIST may show as flags.
const FLAGS: &[u8] = b"OSMPxbtRBdcuAUreTINEi";

/// The letters of what clients may be capable of.
const CAPABILITIES: &[u8] = b"r";

/// The only user there is.
const USER: &[u8] = b"default";

/// The types of clients that filters and limits know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientKind {
    /// Ordinary clients.
    #[default]
    Normal,
    /// Replicas.
    Replica,
    /// Subscribers.
    Pubsub,
    /// The primary's link.
    Primary,
}

/// What a connection must be like, or must not be like. What is not given says nothing.
#[derive(Clone, Debug, Default)]
struct Traits {
    /// In order.
    ids: Option<Vec<u64>>,
    kind: Option<ClientKind>,
    user: Option<Vec<u8>>,
    addr: Option<Vec<u8>>,
    laddr: Option<Vec<u8>>,
    ip: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    lib_name: Option<Vec<u8>>,
    lib_version: Option<Vec<u8>>,
    db: Option<i64>,
    flags: Option<Vec<u8>>,
    capabilities: Option<Vec<u8>>,
}

/// Which sessions CLIENT KILL and CLIENT LIST mean.
#[derive(Clone, Debug, Default)]
pub struct ClientFilter {
    wanted: Traits,
    unwanted: Traits,
    /// Idle for so long at least, in seconds.
    idle_s: Option<i64>,
    /// At least so old, in seconds.
    max_age_s: Option<i64>,
    /// Not this client (SKIPME).
    skip: Option<u64>,
}

impl Traits {
    /// What each trait that was given says of a session; `lacks`: what is said where none was given.
    fn each(&self, session: &Session, lacks: bool) -> [bool; 12] {
        let facts = &session.facts;
        let text = |wanted: &Option<Vec<u8>>, have: &[u8]| {
            // Who has no name has no empty one either.
            wanted.as_ref().map_or(lacks, |wanted| !have.is_empty() && wanted == have)
        };
        let letters = |wanted: &Option<Vec<u8>>, have: &dyn Fn() -> String| {
            wanted.as_ref().map_or(lacks, |wanted| {
                let have = have();
                wanted.iter().all(|letter| have.as_bytes().contains(letter))
            })
        };
        [
            self.ids.as_ref().map_or(lacks, |ids| ids.binary_search(&session.id).is_ok()),
            self.kind.map_or(lacks, |kind| kind == session.kind),
            self.user.as_ref().map_or(lacks, |user| user == USER),
            text(&self.addr, facts.ends.peer.as_bytes()),
            text(&self.laddr, facts.ends.local.as_bytes()),
            text(&self.ip, ip_of(&facts.ends.peer).as_bytes()),
            text(&self.name, &facts.name),
            text(&self.lib_name, &facts.lib_name),
            text(&self.lib_version, &facts.lib_version),
            self.db.map_or(lacks, |db| db == i64::from(session.db.0)),
            letters(&self.flags, &|| session.flags()),
            letters(&self.capabilities, &|| session.capabilities().to_owned()),
        ]
    }
}

/// An address without its port.
fn ip_of(address: &str) -> &str {
    let ip = address.rsplit_once(':').map_or(address, |(ip, _)| ip);
    ip.trim_start_matches('[').trim_end_matches(']')
}

impl ClientFilter {
    /// The client with this address (the old form of CLIENT KILL).
    pub fn of_address(address: &[u8]) -> Self {
        let wanted = Traits { addr: Some(address.to_vec()), ..Traits::default() };
        Self { wanted, ..Self::default() }
    }

    /// Does it mean this session?
    pub fn means(&self, session: &Session, now: Millis) -> bool {
        let seconds = |since: Millis| (now.0 - since.0) / 1000;
        self.skip != Some(session.id)
            && self.idle_s.is_none_or(|idle| seconds(session.last_active) >= idle)
            && self.max_age_s.is_none_or(|age| seconds(session.facts.since) >= age)
            && self.wanted.each(session, true).iter().all(|fits| *fits)
            && !self.unwanted.each(session, false).iter().any(|fits| *fits)
    }

    /// Reads the options of CLIENT LIST or CLIENT KILL for the session with this id.
    ///
    /// # Errors
    /// The first option that is wrong.
    pub fn parse(asker: u64, args: &Args<'_>, is_kill: bool, databases: u32) -> Result<Self, CommandError> {
        let mut filter = Self::default();
        let mut skip_me = is_kill;
        if args.len() == 3 {
            return Err(CommandError::Syntax);
        }
        let mut next = 2;
        while next < args.len() {
            let option = args.get(next).to_ascii_lowercase();
            let (name, traits) = match option.strip_prefix(b"not-") {
                Some(name) => (name, &mut filter.unwanted),
                None => (option.as_slice(), &mut filter.wanted),
            };
            if name == b"id" {
                next = parse_ids(args, next + 1, traits.ids.get_or_insert_default())?;
                continue;
            }
            if next + 1 >= args.len() {
                return Err(CommandError::Syntax);
            }
            let value = args.get(next + 1);
            match option.as_slice() {
                b"maxage" => filter.max_age_s = Some(positive(value, "maxage")?),
                b"idle" => filter.idle_s = Some(positive(value, "idle")?),
                b"skipme" => {
                    skip_me = match value.to_ascii_lowercase().as_slice() {
                        b"yes" => true,
                        b"no" => false,
                        _ => return Err(CommandError::Syntax),
                    }
                }
                _ => {
                    let is_negative = name.len() < option.len();
                    traits.set(name, value, is_negative, databases)?;
                }
            }
            next += 2;
        }
        for traits in [&mut filter.wanted, &mut filter.unwanted] {
            if let Some(ids) = &mut traits.ids {
                ids.sort_unstable();
            }
        }
        filter.skip = skip_me.then_some(asker);
        Ok(filter)
    }
}

impl Traits {
    fn set(&mut self, name: &[u8], value: &[u8], is_negative: bool, databases: u32) -> Result<(), CommandError> {
        let letters = |known: &[u8], what: &str, filter: &str| {
            if value.iter().all(|letter| known.contains(letter)) {
                return Ok(Some(value.to_vec()));
            }
            let filter = if is_negative { filter } else { "provided" };
            let value = String::from_utf8_lossy(value);
            Err(CommandError::owned(format!("Unknown {what} found in the {filter} filter: {value}")))
        };
        match name {
            b"addr" => self.addr = Some(value.to_vec()),
            b"laddr" => self.laddr = Some(value.to_vec()),
            b"ip" => self.ip = Some(value.to_vec()),
            b"name" => self.name = Some(value.to_vec()),
            b"lib-name" => self.lib_name = Some(value.to_vec()),
            b"lib-ver" => self.lib_version = Some(value.to_vec()),
            b"type" => self.kind = Some(parse_kind(value)?),
            b"db" => self.db = Some(parse_db(value, if is_negative { "NOT-DB" } else { "DB" }, databases)?),
            b"flags" => self.flags = letters(FLAGS, "flags", "NOT-FLAGS")?,
            b"capa" => self.capabilities = letters(CAPABILITIES, "capa", "NOT-CAPA")?,
            b"user" if value == USER => self.user = Some(value.to_vec()),
            b"user" => {
                let user = String::from_utf8_lossy(value);
                return Err(CommandError::owned(format!("No such user '{user}'")));
            }
            _ => return Err(CommandError::Syntax),
        }
        Ok(())
    }
}

/// Reads ids as long as there are numbers; returns where the next option is.
fn parse_ids(args: &Args<'_>, mut next: usize, ids: &mut Vec<u64>) -> Result<usize, CommandError> {
    while next < args.len() {
        match parse_integer(args.get(next)) {
            Some(id) if id > 0 => ids.push(id as u64),
            Some(_) => return Err(CommandError::text("client-id should be greater than 0")),
            None => break,
        }
        next += 1;
    }
    Ok(next)
}

fn positive(value: &[u8], what: &str) -> Result<i64, CommandError> {
    match parse_integer(value) {
        Some(number) if number > 0 => Ok(number),
        Some(_) => Err(CommandError::owned(format!("{what} should be greater than 0"))),
        None => Err(CommandError::owned(format!("{what} is not an integer or out of range"))),
    }
}

fn parse_db(value: &[u8], what: &str, databases: u32) -> Result<i64, CommandError> {
    let Some(db) = parse_integer(value).filter(|db| i32::try_from(*db).is_ok()) else {
        return Err(CommandError::owned(format!("{what} is not an integer or out of range")));
    };
    if !(0..i64::from(databases)).contains(&db) {
        let last = databases - 1;
        return Err(CommandError::owned(format!("{what} number should be between 0 and {last}")));
    }
    Ok(db)
}

fn parse_kind(word: &[u8]) -> Result<ClientKind, CommandError> {
    match word.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(ClientKind::Normal),
        b"replica" | b"slave" => Ok(ClientKind::Replica),
        b"primary" | b"master" => Ok(ClientKind::Primary),
        b"pubsub" => Ok(ClientKind::Pubsub),
        _ => Err(CommandError::owned(format!("Unknown client type '{}'", String::from_utf8_lossy(word)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_no_part_of_ips() {
        assert_eq!(ip_of("127.0.0.1:50"), "127.0.0.1");
        assert_eq!(ip_of("[::1]:50"), "::1");
        assert_eq!(ip_of("/tmp/socket:0"), "/tmp/socket");
    }
}
