//! Looking behind keys: OBJECT and parts of DEBUG.

use crate::commands::Context;
use crate::keyspace::{EntryRef, NewValue, Value};
use crate::number::parse_integer;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};

const USE_COUNTED: CommandError = CommandError::text(
    "An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at \
     runtime LRU and LFU data will take some time to adjust.",
);

const USE_NOT_COUNTED: CommandError = CommandError::text(
    "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between \
     policies at runtime LRU and LFU data will take some time to adjust.",
);

/// `OBJECT ENCODING key`
pub fn object_encoding(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    match ctx.peek(&key) {
        Some(entry) => reply.bulk(entry.encoding().as_bytes()),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `OBJECT REFCOUNT key`: no value is shared between keys.
pub fn object_refcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    match ctx.peek(&key) {
        Some(_) => reply.integer(1),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `OBJECT IDLETIME key`
pub fn object_idletime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    let (clock, counts_use) = (ctx.access_clock(), ctx.rules.counts_use);
    match ctx.peek(&key) {
        Some(_) if counts_use => return Err(USE_COUNTED),
        Some(entry) => reply.integer(idle_seconds(&entry, clock).into()),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `OBJECT FREQ key`
pub fn object_freq(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    let counts_use = ctx.rules.counts_use;
    match ctx.peek(&key) {
        Some(entry) if counts_use => reply.integer(i64::from(entry.access() & 0xff)),
        Some(_) => return Err(USE_NOT_COUNTED),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// The clock of accesses goes round in 24 bits.
fn idle_seconds(entry: &EntryRef<'_>, clock: u32) -> u32 {
    clock.wrapping_sub(entry.access()) & crate::commands::ACCESS_CLOCK_MASK
}

/// The text of DEBUG OBJECT; `fast` leaves out what takes long to find out. Works on expired keys.
pub fn debug_object(ctx: &mut Context<'_>, name: &[u8], fast: bool) -> Result<String, CommandError> {
    let key = ctx.shard.key(name);
    let clock = ctx.access_clock();
    let entry = ctx.database().find(&key).ok_or(CommandError::NoSuchKey)?;
    let length = if fast { String::new() } else { format!(" serializedlength:{}", saved_bytes(&entry.value())) };
    Ok(format!(
        "Value at:{:p} refcount:1 encoding:{}{length} lru:{} lru_seconds_idle:{}",
        entry.key().as_ptr(),
        entry.encoding(),
        entry.access(),
        idle_seconds(&entry, clock),
    ))
}

/// How long a string is in a saved file, uncompressed.
fn saved_bytes(value: &Value<'_>) -> usize {
    let mut buffer = itoa::Buffer::new();
    let text = value.as_bytes(&mut buffer);
    match parse_integer(text) {
        Some(-128..=127) => 2,
        Some(-32_768..=32_767) => 3,
        Some(-2_147_483_648..=2_147_483_647) => 5,
        _ => text.len() + [1, 2, 5][usize::from(text.len() > 63) + usize::from(text.len() > 16_383)],
    }
}

/// DEBUG POPULATE: creates the keys `prefix:0` to `prefix:<count - 1>` that are absent and for which `owns` is true,
/// with values `value:<n>`, cut or filled up with zero bytes to `size` unless that is 0.
pub fn populate(
    ctx: &mut Context<'_>,
    count: u64,
    prefix: &[u8],
    size: usize,
    mut owns: impl FnMut(&[u8]) -> bool,
) {
    let mut name = prefix.to_vec();
    name.push(b':');
    let stem = name.len();
    let mut value = Vec::new();
    for number in 0..count {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        name.truncate(stem);
        name.extend_from_slice(digits);
        if !owns(&name) {
            continue;
        }
        let key = ctx.shard.key(&name);
        if ctx.find(&key).is_some() {
            continue;
        }
        value.clear();
        value.extend_from_slice(b"value:");
        value.extend_from_slice(digits);
        if size > 0 {
            value.resize(size, 0);
        }
        ctx.write(&key, NewValue::Bytes(&value), None);
    }
}
