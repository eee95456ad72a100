//! The ways to stop: SHUTDOWN and its options, SIGTERM and SIGINT as `shutdown-on-sigterm` and `shutdown-on-sigint` have
//! them.
//!
//! Nothing is kept on disk in this version, so a stop that is to save first is refused unless it is forced. NOW and
//! FAILOVER are about replicas, of which there are none. The stop itself is in [`crate::core_loop`].

use super::Then;
use crate::mailbox::letter::{Answer, Question};
use crate::observe::log as logger;
use crate::session::{Closing, Session};
use crate::state::State;
use crate::sys::Signal;
use ringkey_core::resp::{Args, CommandError};
use ringkey_core::settings::Setting;

/// Ways to stop, as bits: those of the rows of `shutdown-on-sigterm` and `shutdown-on-sigint`.
const SAVE: i64 = 1;
const NO_SAVE: i64 = 2;
const NOW: i64 = 4;
const FORCE: i64 = 8;
const SAFE: i64 = 16;
const FAILOVER: i64 = 32;

/// SHUTDOWN
pub fn shutdown(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let (mut ways, mut abort) = (0, false);
    for option in args.iter_from(1) {
        ways |= match option.to_ascii_lowercase().as_slice() {
            b"save" => SAVE,
            b"nosave" => NO_SAVE,
            b"now" => NOW,
            b"force" => FORCE,
            b"safe" => SAFE,
            b"failover" => FAILOVER,
            b"abort" => {
                abort = true;
                0
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    if (ways & SAVE != 0 && ways & NO_SAVE != 0) || (abort && ways != 0) {
        return Err(CommandError::Syntax);
    }
    if abort {
        state.gather_answers(session, [0], &Question::AbortStop, Then::Ok);
        return Ok(());
    }
    let line = logger::client_line(session.line(state.now, state.me.index(), None));
    let shown = ["id=", "addr=", "laddr=", "fd=", "name=", "user=", "lib-name=", "lib-ver="];
    let words: Vec<&str> = line.split(' ').filter(|word| shown.iter().any(|start| word.starts_with(start))).collect();
    log::info!("User requested shutdown... (user request from '{}')", words.join(" "));
    state.may_stop(ways)?;
    session.closing = Closing::Now;
    state.stop_all();
    Ok(())
}

impl State {
    /// Tells all cores to stop.
    pub fn stop_all(&mut self) {
        for core in 0..self.mesh.count() {
            // Nobody waits for the answers.
            self.ask(core, u64::MAX, Question::Stop);
        }
    }

    /// Is there a reason not to stop in this way?
    fn may_stop(&self, ways: i64) -> Result<(), CommandError> {
        let is_forced = ways & FORCE != 0;
        if ways & SAVE != 0 {
            log::warn!("Error trying to save the DB, {}.", if is_forced { "exit anyway" } else { "can't exit" });
            if !is_forced {
                return Err(CommandError::text(
                    "Errors trying to SHUTDOWN: this version keeps no data on disk. Use SHUTDOWN NOSAVE.",
                ));
            }
        }
        let votes = self.seat.as_ref().is_some_and(|seat| !seat.node.slots.is_empty());
        if ways & SAFE != 0 && votes {
            log::warn!(
                "This is a voting primary. Shutting down may cause the cluster to go down. {}.",
                if is_forced { "Exit anyway" } else { "Can't exit" }
            );
            if !is_forced {
                return Err(CommandError::text("Errors trying to SHUTDOWN. Check logs."));
            }
        }
        Ok(())
    }

    /// A signal asks for the end (on core 0). It is obeyed at once, but while DEBUG PAUSE-CRON is on: then SHUTDOWN ABORT can
    /// still take it back. The second one ends the process here and now.
    pub fn asked_to_stop(&mut self, signal: Signal) {
        if self.is_stopping || self.keeper.asked.is_some() {
            log::warn!("You insist... exiting now.");
            logger::flush(logger::FLUSH_LIMIT);
            std::process::exit(1);
        }
        log::warn!("Received {} scheduling shutdown...", signal.name());
        self.keeper.asked = Some(signal);
    }

    /// Stops if a signal has asked for it.
    pub fn heed_signal(&mut self) {
        let Some(signal) = self.keeper.asked.take() else { return };
        let ways = match signal {
            Signal::Interrupt => Setting::ShutdownOnSigint,
            Signal::Terminate => Setting::ShutdownOnSigterm,
        };
        log::info!("User requested shutdown...");
        match self.may_stop(self.settings.int(ways)) {
            Ok(()) => self.stop_all(),
            Err(_) => log::warn!("Errors trying to shut down the server. Check the logs for more information."),
        }
    }

    /// SHUTDOWN ABORT, on core 0.
    pub fn abort_stop(&mut self) -> Answer {
        match self.keeper.asked.take() {
            Some(_) => {
                log::info!("Shutdown manually aborted.");
                Answer::Done
            }
            None => Answer::Refused(CommandError::text("No shutdown in progress.")),
        }
    }
}
