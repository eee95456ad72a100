//! What DEBUG has the cores do, each for its shard.

use crate::mailbox::letter::{Answer, DebugOrder, KeyLook};
use crate::session::Session;
use crate::state::State;
use ringkey_core::commands::Context;
use ringkey_core::commands::key::{
    TableStats, combine_digests, database_digests, debug_object, debug_string_lengths, populate, value_digest,
};
use ringkey_core::keyspace::slot::slot_of;
use ringkey_core::outcome::Outcome;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::units::DbIndex;

/// Carries out an order on this core.
pub fn carry_out(state: &mut State, order: &DebugOrder) -> Answer {
    let rules = state.site.rules.clone();
    let (now, me, map) = (state.now, state.me, state.map);
    let shard = &mut state.site.shard;
    match order {
        DebugOrder::Sleep(duration) => std::thread::sleep(std::time::Duration::from_millis(duration.0 as u64)),
        DebugOrder::ActiveExpire(active) => shard.active_expire = *active,
        DebugOrder::ReplyRoom(rule) => state.room_rule = *rule,
        DebugOrder::ListPlainFrom(len) => state.site.rules.limits.list_plain_from = *len,
        DebugOrder::LetScripts(lets) => state.site.rules.lets_scripts = *lets,
        DebugOrder::SkipChecksums(skips) => state.site.rules.skips_checksum = *skips,
        DebugOrder::PauseCron(paused) => state.is_cron_paused = *paused,
        DebugOrder::Populate { db, count, prefix, size } => {
            let mut context = Context::new(shard, *db, now, &rules);
            populate(&mut context, *count, prefix, *size, |key| map.shard_of(slot_of(key)) == me);
            let _ = context.settle(Outcome::unchanged(), &Args::new(&[], &[], &[]));
        }
        DebugOrder::ClientGroups => return Answer::ClientGroups(state.census.groups()),
        DebugOrder::Digest => {
            return Answer::Digests(database_digests(&mut Context::new(shard, DbIndex(0), now, &rules)));
        }
        DebugOrder::DigestValues { db, keys } => {
            let mine = keys.iter().enumerate().filter(|(_, key)| map.shard_of(slot_of(key)) == me);
            let mut found = Vec::new();
            for (at, key) in mine {
                found.push((at, value_digest(&mut Context::new(shard, *db, now, &rules), key)));
            }
            return Answer::ValueDigests(found);
        }
        DebugOrder::Object { db, key, look } => {
            let context = &mut Context::new(shard, *db, now, &rules);
            let text = match look {
                KeyLook::Thorough => debug_object(context, key, false),
                KeyLook::Fast => debug_object(context, key, true),
                KeyLook::Lengths => debug_string_lengths(context, key),
                // No type that is kept in a table exists yet.
                KeyLook::Table => debug_object(context, key, true).and(Err(CommandError::text(
                    "The value stored at the specified key is not represented using an hash table",
                ))),
            };
            return text.map_or_else(Answer::Refused, Answer::Text);
        }
        DebugOrder::Tables { db, is_full } => {
            return Answer::Tables(Box::new(TableStats::of(shard.database(*db), *is_full)));
        }
    }
    Answer::Done
}

fn hexadecimal(digest: &[u8; 20]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the answer of DEBUG DIGEST.
pub fn write_digest(session: &mut Session, answers: Vec<(usize, Answer)>) {
    let shards: Vec<_> = answers
        .into_iter()
        .filter_map(|(_, answer)| if let Answer::Digests(digests) = answer { Some(digests) } else { None })
        .collect();
    let digest = combine_digests(shards.iter().map(Vec::as_slice));
    Reply::new(&mut session.output.pending, session.protocol).simple(&hexadecimal(&digest));
}

/// Writes the answer of DEBUG DIGEST-VALUE for `count` keys.
pub fn write_value_digests(session: &mut Session, count: usize, answers: Vec<(usize, Answer)>) {
    let mut digests = vec![[0; 20]; count];
    for (_, answer) in answers {
        if let Answer::ValueDigests(found) = answer {
            found.into_iter().for_each(|(at, digest)| digests[at] = digest);
        }
    }
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.array(count);
    digests.iter().for_each(|digest| reply.simple(&hexadecimal(digest)));
}
