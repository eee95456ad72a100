//! Values as bytes: DUMP, and RESTORE, which makes them keys again. What the bytes mean, [`crate::codec`] knows.

use crate::access::AccessRule;
use crate::codec::{DumpRules, Refused, RestoreRules, Restored};
use crate::command::options::{Options, integer, is};
use crate::commands::{Context, Rules};
use crate::keyspace::events::EventClass;
use crate::keyspace::{EntryRef, Key, OwnedEntry};
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::units::Millis;
use bytes::Bytes;

/// Frequencies of use are no larger.
const FREQUENCY_MAX: i64 = 255;

/// The bytes of DUMP for a value.
pub fn dump_of(entry: EntryRef<'_>, rules: &Rules, now: Millis) -> Vec<u8> {
    let mut payload = Vec::new();
    (rules.codec.dump)(entry, &DumpRules { compresses: rules.compresses, now }, &mut payload);
    payload
}

/// `DUMP key`
pub fn dump(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (key, rules, now) = (ctx.key(args, 1), ctx.rules, ctx.now);
    match ctx.read(&key) {
        Some(entry) => reply.bulk_shared(&Bytes::from(dump_of(entry, rules, now))),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// The options of RESTORE.
#[derive(Debug, Default, Clone, Copy)]
struct Choices {
    replace: bool,
    /// The expiry time is one, not how long it is until then.
    absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<i64>,
}

impl Choices {
    fn parse(mut options: Options<'_>) -> Result<Self, CommandError> {
        let mut choices = Self::default();
        while let Some(word) = options.word() {
            if is(word, "REPLACE") {
                choices.replace = true;
            } else if is(word, "ABSTTL") {
                choices.absolute = true;
            } else if is(word, "IDLETIME") && choices.frequency.is_none() {
                choices.idle_seconds = Some(match options.integer()? {
                    seconds @ 0.. => seconds,
                    _ => return Err(CommandError::text("Invalid IDLETIME value, must be >= 0")),
                });
            } else if is(word, "FREQ") && choices.idle_seconds.is_none() {
                choices.frequency = Some(match options.integer()? {
                    frequency @ 0..=FREQUENCY_MAX => frequency,
                    _ => return Err(CommandError::text("Invalid FREQ value, must be >= 0 and <= 255")),
                });
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(choices)
    }

    /// The access bits of the key, as far as they are told and kept.
    fn access(&self, rule: AccessRule, now: Millis) -> u32 {
        match (rule, self.idle_seconds, self.frequency) {
            (AccessRule::LastUse, Some(seconds), _) => rule.idle(seconds, now),
            (AccessRule::Count { .. }, _, Some(frequency)) => rule.used_so_often(frequency as u32, now),
            _ => rule.fresh(now),
        }
    }
}

const BUSY_KEY: CommandError =
    CommandError::Coded("BUSYKEY", std::borrow::Cow::Borrowed("Target key name already exists."));

/// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
pub fn restore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let choices = Choices::parse(Options::new(args, 4))?;
    let key = ctx.key(args, 1);
    if !choices.replace && ctx.find(&key).is_some() {
        return Err(BUSY_KEY);
    }
    let ttl = integer(args.get(2))?;
    if ttl < 0 {
        return Err(CommandError::text("Invalid TTL value, must be >= 0"));
    }
    // A time beyond the end of time lies in the past, as in Valkey.
    let expire = match ttl {
        0 => None,
        _ if choices.absolute => Some(Millis(ttl)),
        _ => Some(Millis(ttl.wrapping_add(ctx.now.0))),
    };
    let mut value = read(ctx, args.get(3))?;
    let was_there = choices.replace && ctx.clear_away(&key);
    reply.ok();
    if expire.is_some_and(|at| ctx.has_passed(at)) {
        return Ok(if was_there { removed(ctx, &key) } else { Outcome::unchanged() });
    }
    let Some(value) = value.as_new() else {
        return Ok(if was_there { removed(ctx, &key) } else { Outcome::unchanged() });
    };
    ctx.make_room();
    let entry = OwnedEntry::new(key.bytes, value, expire);
    entry.as_ref().touch(choices.access(ctx.rules.access, ctx.now));
    ctx.database().put(&key, entry);
    ctx.free_unless(ctx.shard.lazy_free.server_del);
    ctx.note_filled(&key);
    ctx.notify_new(&key);
    ctx.notify(EventClass::GENERIC, "restore", &key);
    Ok(match expire {
        Some(at) if !choices.absolute => ctx.effect(1, || with_time(args, at)),
        _ => Outcome::changed(1),
    })
}

fn read(ctx: &mut Context<'_>, payload: &[u8]) -> Result<Restored, CommandError> {
    let rules = RestoreRules {
        limits: &ctx.rules.limits,
        hasher: &ctx.shard.hasher,
        any_version: ctx.rules.any_version,
        skips_checksum: ctx.rules.skips_checksum,
        now: ctx.now,
    };
    (ctx.rules.codec.restore)(payload, &rules).map_err(|refused| match refused {
        Refused::VersionOrChecksum => CommandError::text("DUMP payload version or checksum are wrong"),
        Refused::Format(reason) => {
            ctx.shard.note_refusal(reason);
            CommandError::text("Bad data format")
        }
    })
}

/// The outcome where the key was to be replaced by one whose time has passed.
fn removed(ctx: &mut Context<'_>, key: &Key<'_>) -> Outcome {
    let lazily = ctx.shard.lazy_free.server_del;
    ctx.free_unless(lazily);
    ctx.notify(EventClass::GENERIC, "del", key);
    ctx.effect(1, || EffectCall::new([if lazily { &b"UNLINK"[..] } else { b"DEL" }, key.bytes]))
}

/// The call with the time at which the key expires.
fn with_time(args: &Args<'_>, at: Millis) -> EffectCall {
    let mut digits = itoa::Buffer::new();
    let at = digits.format(at.0).as_bytes();
    let words = args.iter().enumerate().map(|(index, word)| if index == 2 { at } else { word });
    EffectCall::new(words.chain([&b"ABSTTL"[..]]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::access::AccessRule;
    use crate::codec::Codec;
    use crate::commands::harness::Bench;
    use crate::value::PACKED_HEAD_BYTES;

    /// Strings are `=` and their text, everything else is refused.
    static SIMPLE: Codec = Codec {
        dump: |entry, rules, out| {
            out.push(if rules.compresses { b'=' } else { b'-' });
            out.extend_from_slice(entry.value().as_bytes(&mut itoa::Buffer::new()));
        },
        restore: |payload, _| match payload {
            [b'=', text @ ..] => Ok(Restored::Bytes(Bytes::copy_from_slice(text))),
            [b'l'] => {
                let list = [&[1, 0][..PACKED_HEAD_BYTES], b"\x81x\x02"].concat();
                Ok(Restored::Packed(crate::keyspace::Form::List, list))
            }
            [b'?', ..] => Err(Refused::Format("it says so".to_owned())),
            _ => Err(Refused::VersionOrChecksum),
        },
        serialized_bytes: |_, _| 7,
    };

    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.rules.codec = &SIMPLE;
        bench
    }

    #[test]
    fn values_become_bytes_and_come_back() {
        let mut bench = bench();
        bench.check(&[
            ("dump a", "$-1"),
            ("set a text", "+OK"),
            ("dump a", "'=text'"),
            ("restore b 0 =text", "+OK"),
            ("get b", "'text'"),
            ("restore l 0 l", "+OK"),
            ("lrange l 0 -1", "*1 'x'"),
            ("restore-asking c 5000 =t", "+OK"),
            ("pttl c", ":5000"),
            ("restore c 1009000 =t replace absttl", "+OK"),
            ("pttl c", ":9000"),
        ]);
        bench.rules.compresses = false;
        assert_eq!(bench.run("dump a"), "'-text'");
    }

    #[test]
    fn refusals_come_in_order() {
        let mut bench = bench();
        let long = "Invalid FREQ value, must be >= 0 and <= 255";
        bench.check(&[
            ("set k v", "+OK"),
            ("restore k x bad foo", "ERR syntax error"),
            ("restore k x bad idletime", "ERR syntax error"),
            ("restore k x bad idletime x", "ERR value is not an integer or out of range"),
            ("restore k x bad idletime -1", "ERR Invalid IDLETIME value, must be >= 0"),
            ("restore k x bad freq 256", &format!("ERR {long}")),
            ("restore k x bad freq 1 idletime 1", "ERR syntax error"),
            ("restore k x bad idletime 1 freq 1", "ERR syntax error"),
            ("restore k x bad idletime 1 idletime 2", "BUSYKEY Target key name already exists."),
            ("restore k x bad replace", "ERR value is not an integer or out of range"),
            ("restore k -1 bad replace", "ERR Invalid TTL value, must be >= 0"),
            ("restore k 0 bad replace", "ERR DUMP payload version or checksum are wrong"),
            ("restore k 0 ?bad replace", "ERR Bad data format"),
            ("get k", "'v'"),
        ]);
        assert_eq!(bench.shard.refusals, ["it says so"]);
        (0..100).for_each(|_| drop(bench.run("restore k 0 ?bad replace")));
        assert!(bench.shard.refusals.len() < 100, "there is an end to it");
    }

    #[test]
    fn use_is_told() {
        let mut bench = bench();
        bench.check(&[
            ("restore a 0 =x idletime 50", "+OK"),
            ("object idletime a", ":50"),
            ("restore a 0 =x replace idletime 9223372036854775807", "+OK"),
            ("object idletime a", ":16777215"),
            ("restore a 0 =x replace freq 9", "+OK"),
            ("object idletime a", ":0"),
        ]);
        bench.rules.access = AccessRule::Count { log_factor: 10, decay_minutes: 1 };
        bench.check(&[
            ("restore a 0 =x replace freq 9", "+OK"),
            ("object freq a", ":9"),
            ("restore a 0 =x replace", "+OK"),
            ("object freq a", ":5"),
        ]);
    }

    #[test]
    fn events_are_those_of_a_key_that_is_made() {
        let mut bench = bench();
        bench.want_events("KEAmn");
        for (before, line, events) in [
            ("del b", "restore b 0 =x", "new b, restore b"),
            ("set b 1", "restore b 0 =x", ""),
            ("set b 1", "restore b 0 =x replace", "new b, restore b"),
            ("del b", "restore b 1 =x absttl", ""),
            ("set b 1", "restore b 1 =x absttl replace", "del b"),
            ("set b 1 px 1", "restore b 0 =x", "expired b, new b, restore b"),
            ("set b 1 px 1", "restore b 0 =x replace", "new b, restore b"),
            ("set b 1 px 1", "restore b 1 =x absttl replace", "del b"),
            ("set b 1 px 1", "restore b 1 =x absttl", "expired b"),
        ] {
            bench.run(before);
            bench.now += 5;
            bench.events();
            bench.run(line);
            assert_eq!(bench.events(), events, "{before}; {line}");
        }
    }

    #[test]
    fn the_journal_gets_times_not_durations() {
        bench().check_journal(&[
            ("restore a 0 =x", "1 as given"),
            ("restore a 0 =x", "0"),
            ("restore a 70 =x replace", "1 restore a 1000070 =x replace ABSTTL"),
            ("restore b 1000070 =x absttl", "1 as given"),
            ("restore c 5 =x absttl", "0"),
            ("restore a 5 =x replace absttl", "1 UNLINK a"),
            ("restore b 9223372036854775807 =x replace", "1 UNLINK b"),
            ("restore b 9223372036854775807 =x absttl", "1 as given"),
            ("dump b", "0"),
        ]);
    }
}
