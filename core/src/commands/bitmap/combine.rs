//! Combining strings bit by bit.

use crate::command::options::is;
use crate::commands::Context;
use crate::commands::string::{Text, string};
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, NewValue};
use crate::limits::SHARED_VALUE_BYTES_MIN;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::bits::{Operation, combine};
use bytes::Bytes;
use smallvec::SmallVec;

/// `BITOP AND | OR | XOR | NOT destkey key [key ...]`
pub fn bitop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let operation = operation(args.get(1))?;
    if operation == Operation::Not && args.len() != 4 {
        return Err(CommandError::text("BITOP NOT must be called with a single source key."));
    }
    let result = {
        let texts = read_texts(ctx, args)?;
        let sources: SmallVec<[&[u8]; 8]> = texts.iter().map(|text| &**text).collect();
        combine(operation, &sources)
    };
    let destination = ctx.key(args, 2);
    let len = result.len();
    let changed = if len == 0 {
        ctx.store_nothing(&destination)
    } else {
        // An expired one is noticed.
        ctx.find(&destination);
        store(ctx, &destination, result);
        ctx.notify(EventClass::STRING, "set", &destination);
        true
    };
    reply.integer(len as i64);
    Ok(Outcome::changed(changed.into()))
}

fn operation(word: &[u8]) -> Result<Operation, CommandError> {
    match () {
        () if is(word, "AND") => Ok(Operation::And),
        () if is(word, "OR") => Ok(Operation::Or),
        () if is(word, "XOR") => Ok(Operation::Xor),
        () if is(word, "NOT") => Ok(Operation::Not),
        () => Err(CommandError::Syntax),
    }
}

/// The strings of the source keys; absent ones are empty. The first of another type ends it.
fn read_texts<'c>(ctx: &'c mut Context<'_>, args: &Args<'_>) -> Result<SmallVec<[Text<'c>; 4]>, CommandError> {
    let mut keys: SmallVec<[Option<Key<'_>>; 4]> = SmallVec::with_capacity(args.len() - 3);
    for index in 3..args.len() {
        let key = ctx.key(args, index);
        let found = ctx.read(&key).as_ref().map(string).transpose()?.is_some();
        keys.push(found.then_some(key));
    }
    let database = ctx.shard.database(ctx.db);
    let text = |key: Option<Key<'_>>| Some(Text::of(&database.find(&key?)?.value()));
    Ok(keys.into_iter().map(|key| text(key).unwrap_or(Text::Bytes(&[]))).collect())
}

/// Stores a result, which is `raw` however short it is and never an integer.
fn store(ctx: &mut Context<'_>, key: &Key<'_>, result: Vec<u8>) {
    if result.len() >= SHARED_VALUE_BYTES_MIN {
        return ctx.write(key, NewValue::Shared(Bytes::from(result)), None);
    }
    ctx.write(key, NewValue::Bytes(&[]), None);
    ctx.database().write_range(key, 0, &result);
}
