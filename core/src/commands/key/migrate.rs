//! MIGRATE, as far as it is about words and data: what a call asks for, and the requests that bring keys to another server.
//!
//! The process carries it out (it waits for a connection), in two rounds over the shards of the keys: first each key is
//! packed into the request that restores it elsewhere, then what has arrived there is deleted. In between the keys stay
//! locked.

use super::dump_of;
use crate::command::keys::{KeyFlags, KeySpec};
use crate::command::options::{Options, integer, is};
use crate::command::{Command, Flags, Run};
use crate::commands::Context;
use crate::limits::SHARED_VALUE_BYTES_MIN;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use bytes::Bytes;
use std::ops::Range;

/// The time for each step of the connection where the call gives none, in milliseconds.
const TIMEOUT_DEFAULT_MS: i64 = 1000;

/// What a call of MIGRATE asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The number of the database over there, not checked: the other server knows what it has.
    pub db: i64,
    /// How long each step of the connection may take, in milliseconds; above zero.
    pub timeout_ms: i64,
    /// Do the keys stay here?
    pub copies: bool,
    /// May they take the place of others over there?
    pub replaces: bool,
    /// The words of AUTH, behind its name.
    pub auth: Option<Range<usize>>,
    /// The words that are keys.
    pub keys: Range<usize>,
}

impl Migration {
    /// Reads `MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password] [KEYS key ...]`.
    ///
    /// # Errors
    /// If the words make no sense.
    pub fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let (mut copies, mut replaces, mut auth, mut keys) = (false, false, None, 3..4);
        let mut options = Options::new(args, 6);
        while let Some(word) = options.word() {
            if is(word, "COPY") {
                copies = true;
            } else if is(word, "REPLACE") {
                replaces = true;
            } else if is(word, "AUTH") {
                let password = options.value_index()?;
                auth = Some(password..password + 1);
            } else if is(word, "AUTH2") {
                let user = options.value_index()?;
                auth = Some(user..options.value_index()? + 1);
            } else if is(word, "KEYS") {
                if !args.get(3).is_empty() {
                    return Err(CommandError::text(
                        "When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                keys = options.value_index().unwrap_or(args.len())..args.len();
                break;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let timeout_ms = integer(args.get(5))?;
        let db = integer(args.get(4))?;
        let timeout_ms = if timeout_ms > 0 { timeout_ms } else { TIMEOUT_DEFAULT_MS };
        Ok(Self { db, timeout_ms, copies, replaces, auth, keys })
    }

    /// The call that packs a key: its words are those of the request without time and payload.
    pub fn packing(&self) -> &'static Command {
        // Who only copies lets others read.
        if self.copies { &PACK_COPY } else { &PACK }
    }
}

/// Packs a key that is to leave: nobody else reads or writes it until it has.
static PACK: Command = Command {
    name: "migrate",
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE))],
    run: Run::OnShard(pack),
    ..Command::DEFAULT
};

/// Packs a key that stays.
static PACK_COPY: Command = Command { flags: Flags::READONLY, keys: &[KeySpec::one(1, KeyFlags::RO)], ..PACK };

/// `RESTORE|RESTORE-ASKING key [REPLACE]`: writes that request with time and payload; nothing if there is no such key.
fn pack(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let (now, rules) = (ctx.now, ctx.rules);
    let Some(entry) = ctx.read(&key) else { return Ok(Outcome::unchanged()) };
    let ttl_ms = entry.expire_at().map_or(0, |at| (at.0 - now.0).max(1));
    let payload = dump_of(entry, rules, now);
    reply.array(args.len() + 2);
    reply.bulk(args.get(0));
    reply.bulk(args.get(1));
    reply.bulk_integer(ttl_ms);
    if payload.len() < SHARED_VALUE_BYTES_MIN {
        reply.bulk(&payload);
    } else {
        reply.bulk_shared(&Bytes::from(payload));
    }
    args.iter_from(2).for_each(|option| reply.bulk(option));
    Ok(Outcome::unchanged())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::codec::Codec;
    use crate::commands::harness::Bench;
    use crate::resp::Request;

    fn parse(line: &str) -> Result<Migration, CommandError> {
        Migration::parse(&Request::new(line.split(' ').map(str::as_bytes)).args())
    }

    #[test]
    fn words_are_read_in_their_order() {
        let plain = parse("migrate host 6379 key 0 0").unwrap();
        let expected = Migration { db: 0, timeout_ms: 1000, copies: false, replaces: false, auth: None, keys: 3..4 };
        assert_eq!(plain, expected);
        let all = parse("migrate host 6379  9 50 copy REPLACE auth2 u p keys keys copy").unwrap();
        let expected =
            Migration { db: 9, timeout_ms: 50, copies: true, replaces: true, auth: Some(9..11), keys: 12..14 };
        assert_eq!(all, expected);
        assert!(parse("migrate host 6379  9 50 keys").unwrap().keys.is_empty());
        assert_eq!(parse("migrate host 6379 k -7 -9223372036854775808").unwrap().timeout_ms, 1000);
        for line in ["migrate h 1 k 0 1 foo", "migrate h 1 k 0 1 auth", "migrate h 1 k 0 1 auth2 u"] {
            assert_eq!(parse(line), Err(CommandError::Syntax), "{line}");
        }
        assert_eq!(parse("migrate h 1 k x 1"), Err(CommandError::NotAnInteger));
        assert_eq!(parse("migrate h 1 k 0 1.5"), Err(CommandError::NotAnInteger));
        assert!(parse("migrate h 1 k x y keys k").unwrap_err().to_string().contains("must be set to the empty string"));
    }

    static CODEC: Codec = Codec { dump: |_, _, out| out.extend_from_slice(b"payload"), ..*Codec::ABSENT };

    fn packed(bench: &mut Bench, line: &str) -> String {
        let (request, mut out) =
            (Request::new(line.split(' ').map(str::as_bytes)), crate::resp::ReplyBuffer::default());
        let protocol = bench.protocol;
        pack(&mut bench.context(), &request.args(), &mut Reply::new(&mut out, protocol)).unwrap();
        String::from_utf8(out.to_vec()).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn a_key_becomes_the_request_that_restores_it() {
        let mut bench = Bench::new();
        bench.rules.codec = &CODEC;
        bench.run("set k v");
        bench.run("set t v px 5000");
        assert_eq!(packed(&mut bench, "RESTORE k"), "*4 $7 RESTORE $1 k $1 0 $7 payload ");
        let asking = packed(&mut bench, "RESTORE-ASKING t REPLACE");
        assert_eq!(asking, "*5 $14 RESTORE-ASKING $1 t $4 5000 $7 payload $7 REPLACE ");
        assert_eq!(packed(&mut bench, "RESTORE none"), "");
        bench.now += 5001;
        assert_eq!(packed(&mut bench, "RESTORE t"), "", "its time has passed");
    }
}
