//! Commands on hashes.

pub mod rows;

mod expire;
mod field;
mod joint;
mod number;
mod set;
#[cfg(test)]
mod tests;
mod whole;

pub use expire::{hexpire, hexpireat, hexpiretime, hpersist, hpexpire, hpexpireat, hpexpiretime, hpttl, httl};
pub use field::{hexists, hget, hlen, hmget, hstrlen};
pub use joint::{hgetdel, hgetex, hsetex};
pub use number::{hincrby, hincrbyfloat};
pub use set::{hdel, hmset, hset, hsetnx};
pub use whole::{Part, hgetall, hkeys, hrandfield, hscan, hvals};

use crate::command::options::{integer, is};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{EntryRef, Form, Key, NewValue, ValueKind};
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError};
use crate::units::Millis;
use crate::value::hash::{HashMut, HashRef, Terms, packed};
use smallvec::SmallVec;
use std::ops::Range;

/// What is wrong with the number of fields in front of them.
const BAD_FIELD_COUNT: CommandError =
    CommandError::text("numfields should be greater than 0 and match the provided number of fields");

/// A key that is made in order to get fields.
const NEW: NewValue<'static> = NewValue::Packed(Form::Hash, &packed::EMPTY);

/// The hash of an entry that must hold one.
#[inline]
fn hash<'e>(entry: &EntryRef<'e>) -> Result<HashRef<'e>, CommandError> {
    HashRef::of(entry.value()).ok_or(CommandError::WrongType)
}

/// What one must know to change hashes in this call.
#[inline]
fn terms(ctx: &Context<'_>) -> Terms {
    Terms::new(&ctx.rules.limits, &ctx.shard.hasher, ctx.field_time())
}

/// Changes the hash of a key, which is made if there is none.
#[inline]
fn fill<R>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    terms: &Terms,
    change: impl FnOnce(HashMut<'_, '_>) -> R,
) -> Result<R, CommandError> {
    let made = ctx.change(key, ValueKind::Hash, Some(|| NEW), |entry| change(HashMut::new(entry, terms)))?;
    if terms.outlived() > 0 {
        ctx.shard.stats.expired_fields += terms.outlived();
        ctx.notify(EventClass::HASH, "hexpired", key);
    }
    Ok(made.expect("a key that is missing is made"))
}

/// Changes the hash of a key, if there is one.
#[inline]
fn change<R>(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    terms: &Terms,
    change: impl FnOnce(HashMut<'_, '_>) -> R,
) -> Result<Option<R>, CommandError> {
    let make = None::<fn() -> NewValue<'static>>;
    ctx.change(key, ValueKind::Hash, make, |entry| change(HashMut::new(entry, terms)))
}

/// The fields of a call that names them behind `FIELDS` and their number.
#[derive(Debug, Clone, Copy)]
struct Fields {
    /// Where `FIELDS` stands.
    word: usize,
    /// Where the first field stands.
    first: usize,
    /// How many arguments there are from there on.
    len: usize,
}

impl Fields {
    /// Finds `FIELDS` behind options that begin at argument `from`.
    fn find(args: &Args<'_>, from: usize) -> Result<Self, CommandError> {
        let behind_options = from..args.len() - 1;
        let word = behind_options.clone().find(|at| is(args.get(*at), "FIELDS")).ok_or(BAD_FIELD_COUNT)?;
        Ok(Self { word, first: word + 2, len: args.len() - word - 2 })
    }

    /// Finds `FIELDS` right behind the key.
    fn behind_key(args: &Args<'_>) -> Result<Self, CommandError> {
        if !is(args.get(2), "FIELDS") {
            return Err(CommandError::Syntax);
        }
        Ok(Self { word: 2, first: 4, len: args.len() - 4 })
    }

    /// Is their number, with `width` arguments each, the one that is told?
    fn check(self, args: &Args<'_>, width: i64, wrong: CommandError) -> Result<Self, CommandError> {
        let count = integer(args.get(self.word + 1))?;
        if count > 0 && count.checked_mul(width) == Some(self.len as i64) { Ok(self) } else { Err(wrong) }
    }

    /// Where they stand.
    fn range(self) -> Range<usize> {
        self.first..self.first + self.len
    }
}

/// Fields of a call, for its effect.
type Names<'a> = SmallVec<[&'a [u8]; 8]>;

/// The outcome of these fields having been removed.
fn removed(ctx: &Context<'_>, args: &Args<'_>, fields: &[&[u8]]) -> Outcome {
    match fields.len() as u32 {
        0 => Outcome::unchanged(),
        changes => {
            let call = || EffectCall::new([b"HDEL", args.get(1)].into_iter().chain(fields.iter().copied()));
            ctx.effect(changes, call)
        }
    }
}

/// The decimal text of a point in time.
fn digits(at: Millis) -> Vec<u8> {
    itoa::Buffer::new().format(at.0).as_bytes().to_vec()
}

/// The effect `NAME key WORDS... FIELDS count fields...`.
fn effect_on_fields(name: &str, key: &[u8], words: &[&[u8]], fields: &[&[u8]]) -> EffectCall {
    let count = fields.len().to_string();
    let head = [name.as_bytes(), key].into_iter().chain(words.iter().copied());
    EffectCall::new(head.chain([b"FIELDS", count.as_bytes()]).chain(fields.iter().copied()))
}
