//! Commands on strings.

pub mod rows;

mod counter;
mod get;
mod lcs;
mod part;
mod set;
mod several;
#[cfg(test)]
mod tests;

pub use counter::{decr, decrby, incr, incrby, incrbyfloat};
pub use get::{delifeq, get, getdel, getex, getset, strlen};
pub use lcs::lcs;
pub use part::{append, getrange, setrange, substr};
pub use set::{psetex, set, setex, setnx};
pub use several::{mget, mset, msetex, msetnx};

use crate::keyspace::{EntryRef, Value, ValueKind};
use crate::resp::{CommandError, Reply};
use std::ops::Deref;

/// The value of an entry that must be a string.
#[inline]
pub(super) fn string<'a>(entry: &EntryRef<'a>) -> Result<Value<'a>, CommandError> {
    match entry.kind() {
        ValueKind::String => Ok(entry.value()),
        _ => Err(CommandError::WrongType),
    }
}

/// Replies with a value.
#[inline]
pub fn reply_value(reply: &mut Reply<'_>, value: &Value<'_>) {
    match value {
        Value::Int(value) => reply.bulk_integer(*value),
        Value::Bytes(bytes) => reply.bulk(bytes),
        Value::Shared(bytes) => reply.bulk_shared(bytes),
        _ => debug_assert!(false, "the type was looked at"),
    }
}

/// The bytes of a value, whatever its encoding.
pub(super) enum Text<'a> {
    Bytes(&'a [u8]),
    Digits([u8; 20], usize),
}

impl<'a> Text<'a> {
    #[inline]
    pub(super) fn of(value: &Value<'a>) -> Self {
        match *value {
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Shared(bytes) => Self::Bytes(bytes),
            Value::Packed(..)
            | Value::List(_)
            | Value::Set(_)
            | Value::Hash(_)
            | Value::SortedSet(_)
            | Value::Stream(_) => Self::Bytes(&[]),
            Value::Int(value) => {
                let mut buffer = itoa::Buffer::new();
                let text = buffer.format(value).as_bytes();
                let mut digits = [0; 20];
                digits[..text.len()].copy_from_slice(text);
                Self::Digits(digits, text.len())
            }
        }
    }
}

impl Deref for Text<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Digits(digits, len) => &digits[..*len],
        }
    }
}
