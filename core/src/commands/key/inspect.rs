//! Looking behind keys: OBJECT, MEMORY USAGE and parts of DEBUG.

use crate::access::AccessRule;
use crate::codec::DumpRules;
use crate::commands::Context;
use crate::keyspace::{Database, EntryRef, NewValue, Value};
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
    match ctx.inspect(&key) {
        Some(entry) => reply.bulk(entry.encoding().as_bytes()),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `OBJECT REFCOUNT key`: no value is shared between keys.
pub fn object_refcount(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    match ctx.inspect(&key) {
        Some(_) => reply.integer(1),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `OBJECT IDLETIME key`
pub fn object_idletime(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    let (rule, now) = (ctx.rules.access, ctx.now);
    match ctx.inspect(&key) {
        Some(entry) => reply.integer(rule.idle_seconds(entry.access(), now).ok_or(USE_COUNTED)?.into()),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// `OBJECT FREQ key`
pub fn object_freq(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 2);
    let (rule, now) = (ctx.rules.access, ctx.now);
    match ctx.inspect(&key) {
        Some(entry) => reply.integer(rule.frequency(entry.access(), now).ok_or(USE_NOT_COUNTED)?.into()),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// Elements that MEMORY USAGE looks at where it is not told otherwise.
const SAMPLES_DEFAULT: i64 = 5;

/// `MEMORY USAGE key [SAMPLES count]`: looks at the entry alone, so it is no use of the key, no hit and no miss, and a key
/// whose time has passed counts as long as it lies there.
pub fn memory_usage(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let mut samples = SAMPLES_DEFAULT;
    let mut at = 3;
    while at < args.len() {
        if !args.get(at).eq_ignore_ascii_case(b"samples") || at + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        samples = parse_integer(args.get(at + 1)).ok_or(CommandError::NotAnInteger)?;
        if samples < 0 {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let key = ctx.key(args, 2);
    match ctx.database().find(&key) {
        Some(entry) => reply.integer(memory_of(&entry, samples as usize) as i64),
        None => reply.null(),
    }
    Ok(Outcome::unchanged())
}

/// The memory of an entry with its value in bytes. Of a large collection so many elements are measured and stand for all
/// of them; 0: each.
fn memory_of(entry: &EntryRef<'_>, samples: usize) -> usize {
    let large = match entry.value() {
        Value::Int(_) | Value::Bytes(_) | Value::Shared(_) | Value::Packed(..) => 0,
        Value::List(list) => list.memory_bytes(samples),
        Value::Set(set) => set.memory_bytes(samples),
        Value::Hash(hash) => hash.memory_bytes(samples),
        Value::SortedSet(set) => set.memory_bytes(samples),
        Value::Stream(stream) => stream.memory_bytes(samples),
    };
    entry.memory_bytes() + large
}

/// The text of DEBUG SDSLEN: how long key and value are, and what they take.
pub fn debug_string_lengths(ctx: &mut Context<'_>, name: &[u8]) -> Result<String, CommandError> {
    let key = ctx.shard.key(name);
    let entry = ctx.database().find(&key).ok_or(CommandError::NoSuchKey)?;
    let value = match entry.value() {
        value @ (Value::Bytes(_) | Value::Shared(_)) => value.len(),
        _ => return Err(CommandError::text("Not an sds encoded string.")),
    };
    // The value lies in the entry, or in an allocation of its own.
    let own = if matches!(entry.value(), Value::Shared(_)) { entry.memory_bytes() - entry.entry_bytes() } else { 0 };
    Ok(format!(
        "key_sds_len:{} key_sds_avail:0 obj_alloc:{} val_sds_len:{value} val_sds_avail:{} val_alloc:{own}",
        name.len(),
        entry.entry_bytes(),
        entry.memory_bytes() - entry.allocated_bytes(),
    ))
}

/// What DEBUG HTSTATS tells of one database on one core; sums over cores are sums of these.
#[derive(Debug, Clone, Copy, Default)]
pub struct TableStats {
    /// Keys.
    pub keys: usize,
    /// Those with an expiry time.
    pub volatile: usize,
    /// How many keys the tables have room for as they are.
    pub room: usize,
    /// Tables.
    pub segments: usize,
    /// Memory besides the entries, in bytes.
    pub bytes: usize,
    /// How many tables are at most so full, in eighths of what a table may hold.
    pub fill: [usize; 8],
}

impl TableStats {
    /// The statistics of a database; those of `fill` only if wanted, for they take longer.
    pub fn of(database: &Database, fill: bool) -> Self {
        let dict = database.dict();
        Self {
            keys: dict.len(),
            volatile: dict.volatile(),
            room: dict.room(),
            segments: dict.segments(),
            bytes: dict.table_bytes(),
            fill: if fill { dict.fill() } else { [0; 8] },
        }
    }

    /// Adds those of another core.
    pub fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.volatile += other.volatile;
        self.room += other.room;
        self.segments += other.segments;
        self.bytes += other.bytes;
        self.fill.iter_mut().zip(other.fill).for_each(|(sum, count)| *sum += count);
    }
}

/// The text of DEBUG OBJECT; `fast` leaves out what takes long to find out. Works on expired keys.
pub fn debug_object(ctx: &mut Context<'_>, name: &[u8], fast: bool) -> Result<String, CommandError> {
    let key = ctx.shard.key(name);
    let (rules, now) = (ctx.rules, ctx.now);
    let dump_rules = DumpRules { compresses: rules.compresses, now };
    let entry = ctx.database().find(&key).ok_or(CommandError::NoSuchKey)?;
    let length = match fast {
        true => String::new(),
        false => format!(" serializedlength:{}", (rules.codec.serialized_bytes)(entry, &dump_rules)),
    };
    Ok(format!(
        "Value at:{:p} refcount:1 encoding:{}{length} lru:{} lru_seconds_idle:{}",
        entry.key().as_ptr(),
        entry.encoding(),
        entry.access(),
        AccessRule::LastUse.idle_seconds(entry.access(), now).unwrap_or(0),
    ))
}

/// DEBUG POPULATE: creates the keys `prefix:0` to `prefix:<count - 1>` that are absent and for which `owns` is true,
/// with values `value:<n>`, cut or filled up with zero bytes to `size` unless that is 0.
pub fn populate(ctx: &mut Context<'_>, count: u64, prefix: &[u8], size: usize, mut owns: impl FnMut(&[u8]) -> bool) {
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
