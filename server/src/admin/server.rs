//! TIME, SHUTDOWN.

use crate::mailbox::letter::Question;
use crate::session::{Closing, Session};
use crate::state::State;
use ringkey_core::resp::{Args, CommandError, Reply};

/// TIME
pub fn time(session: &mut Session) -> Result<(), CommandError> {
    let micros = crate::clock::now_micros();
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.array(2);
    reply.bulk_integer(micros.div_euclid(1_000_000));
    reply.bulk_integer(micros.rem_euclid(1_000_000));
    Ok(())
}

/// SHUTDOWN
pub fn shutdown(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let (mut save, mut no_save, mut abort, mut others) = (false, false, false, false);
    for option in args.iter_from(1) {
        match option.to_ascii_lowercase().as_slice() {
            b"save" => save = true,
            b"nosave" => no_save = true,
            b"abort" => abort = true,
            b"now" | b"force" | b"safe" | b"failover" => others = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    if (save && no_save) || (abort && (save || no_save || others)) {
        return Err(CommandError::Syntax);
    }
    if abort {
        return Err(CommandError::text("No shutdown in progress."));
    }
    if save {
        return Err(CommandError::text(
            "Errors trying to SHUTDOWN: this version keeps no data on disk. Use SHUTDOWN NOSAVE.",
        ));
    }
    log::warn!("User requested shutdown...");
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
}
