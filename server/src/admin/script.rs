//! SCRIPT: the cache of scripts, which all cores share.

use super::write_help;
use crate::script::registry::{Origin, Script};
use crate::session::Session;
use crate::state::State;
use ringkey_core::command::Admin;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::script::source::Sha;
use ringkey_core::settings::Setting;
use std::time::Duration;

const HELP: &[&str] = &[
    "DEBUG (YES|SYNC|NO) [<engine_name>]",
    "    Choose whether scripts that this client calls with EVAL are debugged: they stop",
    "    before a line and wait for orders. What they wrote is undone at the end (YES), or",
    "    stays (SYNC). Others wait meanwhile for the data. The one engine is 'lua'.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Which scripts are in the cache: 1 or 0 for each.",
    "FLUSH [ASYNC|SYNC]",
    "    Forget all scripts. Both ways are the same: each core lets go of what it",
    "    has compiled when it next uses a script.",
    "KILL",
    "    Stop scripts that have run for longer than 'busy-reply-threshold' and have",
    "    not written; if none has run so long, the one that began first.",
    "LOAD <script>",
    "    Put a script into the cache without running it, and tell its SHA1.",
    "SHOW <sha1>",
    "    The source of a script.",
];

/// Carries out a SCRIPT subcommand.
///
/// # Errors
/// There is no such script, it cannot be compiled, none can be stopped, or the words are not understood.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    let scripts = &state.process.scripts;
    let reply = &mut Reply::new(&mut session.output.pending, session.protocol);
    match admin {
        Admin::ScriptLoad => {
            let body = args.get(2);
            let sha = Sha::of(body);
            if !scripts.keep(&sha) {
                let script = Script::new(sha, body)?;
                crate::script::check(&script)?;
                scripts.insert(script, Origin::Load);
            }
            reply.bulk(sha.as_bytes());
        }
        Admin::ScriptExists => {
            reply.array(args.len() - 2);
            for word in args.iter_from(2) {
                let exists = Sha::parse(word).is_some_and(|sha| scripts.find(&sha).is_some());
                reply.integer(i64::from(exists));
            }
        }
        Admin::ScriptShow => {
            let script = Sha::parse(args.get(2)).and_then(|sha| scripts.find(&sha));
            let script = script.ok_or(CommandError::Coded("NOSCRIPT", "No matching script.".into()))?;
            reply.bulk(&script.body);
        }
        Admin::ScriptFlush => {
            let is_way = |word: &[u8]| word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async");
            if args.len() > 3 || args.len() == 3 && !is_way(args.get(2)) {
                return Err(CommandError::text("SCRIPT FLUSH only support SYNC|ASYNC option"));
            }
            scripts.flush();
            reply.ok();
        }
        Admin::ScriptKill => {
            let threshold = state.settings.int(Setting::BusyReplyThreshold).max(0) as u64;
            scripts.kill(false, Duration::from_millis(threshold))?;
            reply.ok();
        }
        Admin::ScriptDebug => {
            crate::debugging::choose(session, args)?;
            Reply::new(&mut session.output.pending, session.protocol).ok();
        }
        _ => write_help(session, "SCRIPT", HELP),
    }
    Ok(())
}
