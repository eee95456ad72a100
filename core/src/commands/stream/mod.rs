//! Commands for streams.

pub mod ids;
pub mod rows;

mod ack;
mod add;
mod claim;
mod group;
#[cfg(test)]
mod group_tests;
mod info;
mod info_groups;
mod pending;
mod range;
mod read;
mod read_group;
mod set_id;
#[cfg(test)]
mod tests;
mod trim;

pub use ack::xack;
pub use add::xadd;
pub use claim::{xautoclaim, xclaim};
pub use group::{xgroup_create, xgroup_createconsumer, xgroup_delconsumer, xgroup_destroy, xgroup_help, xgroup_setid};
pub use info::xinfo_stream;
pub use info_groups::{xinfo_consumers, xinfo_groups};
pub use pending::xpending;
pub use range::{xlen, xrange, xrevrange};
pub use read::{ReadRequest, xread};
pub use read_group::{is_news, xread_waits, xreadgroup, xreadgroup_waits};
pub use set_id::xsetid;
pub use trim::{xdel, xtrim};

use crate::commands::Context;
use crate::keyspace::{Key, NewValue, OwnedEntry, Value, ValueKind, ValueMut};
use crate::resp::CommandError;
use crate::value::stream::Stream;

/// For changes of streams that do not make one.
const NOT_MADE: Option<fn() -> NewValue<'static>> = None;

/// The stream of a key, to be read.
#[inline]
pub(crate) fn read_stream<'c>(ctx: &'c mut Context<'_>, key: &Key<'_>) -> Result<Option<&'c Stream>, CommandError> {
    match ctx.read(key).map(|entry| entry.value()) {
        Some(Value::Stream(stream)) => Ok(Some(stream)),
        Some(_) => Err(CommandError::WrongType),
        None => Ok(None),
    }
}

/// Is there a stream under this key? It is looked up in order to be changed.
#[inline]
pub(crate) fn find_stream(ctx: &mut Context<'_>, key: &Key<'_>) -> Result<bool, CommandError> {
    match ctx.find(key).map(|entry| entry.kind()) {
        Some(ValueKind::Stream) => Ok(true),
        Some(_) => Err(CommandError::WrongType),
        None => Ok(false),
    }
}

/// Changes the stream of an entry that holds one.
#[inline]
pub(crate) fn with_stream<R>(entry: &mut OwnedEntry, change: impl FnOnce(&mut Stream) -> R) -> R {
    match entry.value_mut() {
        ValueMut::Stream(stream) => change(stream),
        _ => unreachable!("the kind was looked at"),
    }
}
