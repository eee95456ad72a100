//! Commands for HyperLogLogs, which are strings of a certain form.

pub mod rows;

mod add;
mod count;
mod debug;
#[cfg(test)]
mod tests;

pub use add::{pfadd, pfmerge};
pub use count::pfcount;
pub use debug::{pfdebug, pfselftest};

use crate::commands::Context;
use crate::commands::string::string;
use crate::keyspace::{EntryRef, Key, Value};
use crate::resp::CommandError;
use crate::value::hyperloglog::{Corrupt, Encoding};

/// The value of an entry that must be a HyperLogLog.
fn hyperloglog<'a>(entry: &EntryRef<'a>) -> Result<(&'a [u8], Encoding), CommandError> {
    let bytes = match string(entry)? {
        Value::Bytes(bytes) => bytes,
        Value::Shared(bytes) => bytes,
        _ => &[],
    };
    match Encoding::of(bytes) {
        Some(encoding) => Ok((bytes, encoding)),
        None => Err(CommandError::Coded("WRONGTYPE", "Key is not a valid HyperLogLog string value.".into())),
    }
}

/// A value that was looked at in order to be changed is `raw` afterwards, even if it stayed as it was.
fn settle(ctx: &mut Context<'_>, key: &Key<'_>) {
    if ctx.database().find(key).is_some_and(|entry| entry.encoding() != "raw") {
        ctx.database().write_range(key, 0, &[]);
    }
}

/// What a client is told of a value whose runs do not make up all registers.
fn corrupt(_: Corrupt) -> CommandError {
    CommandError::Coded("INVALIDOBJ", "Corrupted HLL object detected".into())
}
