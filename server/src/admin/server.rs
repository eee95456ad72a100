//! TIME.

use crate::session::Session;
use ringkey_core::resp::{CommandError, Reply};

/// TIME
pub fn time(session: &mut Session) -> Result<(), CommandError> {
    let micros = crate::clock::now_micros();
    let mut reply = Reply::new(&mut session.output.pending, session.protocol);
    reply.array(2);
    reply.bulk_integer(micros.div_euclid(1_000_000));
    reply.bulk_integer(micros.rem_euclid(1_000_000));
    Ok(())
}
