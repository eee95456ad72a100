//! Commands on sets.

pub mod rows;

mod combine;
mod gather;
mod member;
mod random;
#[cfg(test)]
mod tests;

pub use combine::{sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore};
pub use member::{sadd, scard, sismember, smembers, smismember, smove, srem, sscan};
pub use random::{spop, srandmember};

use crate::commands::Context;
use crate::keyspace::{Key, NewValue};
use crate::resp::{CommandError, Reply};
use crate::value::set::{Member, SetRef};

/// What `make` is where nothing is made.
const ABSENT: Option<fn() -> NewValue<'static>> = None;

/// Replies with a member.
#[inline]
fn reply_member(reply: &mut Reply<'_>, member: Member<'_>) {
    match member {
        Member::Bytes(text) => reply.bulk(text),
        Member::Int(value) => reply.bulk_integer(value),
    }
}

/// The set of a key, to be read.
#[inline]
fn read_set<'c>(ctx: &'c mut Context<'_>, key: &Key<'_>) -> Result<Option<SetRef<'c>>, CommandError> {
    match ctx.read(key) {
        Some(entry) => SetRef::of(&entry).map(Some).ok_or(CommandError::WrongType),
        None => Ok(None),
    }
}

/// How many changes are counted for so many members.
fn changes_of(members: usize) -> u32 {
    u32::try_from(members).unwrap_or(u32::MAX)
}
