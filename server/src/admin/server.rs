//! TIME, LOLWUT.

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

/// LOLWUT: a ring of keys.
pub fn lolwut(session: &mut Session) -> Result<(), CommandError> {
    let text = format!("   .-o-.\n  o     o\n  |  *  |\n  o     o\n   '-o-'\nRingkey ver. {}\n", crate::VERSION);
    Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", text.as_bytes());
    Ok(())
}
