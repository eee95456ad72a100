//! DEBUG DIGEST: one number for all data, the same on every server that holds the same data.
//!
//! Keys have no order, so their digests are combined by XOR; what has an order is mixed instead. The databases are
//! mixed in their order, each behind the XOR of its keys, so several shards combine per database first.

use crate::commands::Context;
use crate::double::DoubleText;
use crate::keyspace::{EntryRef, Value, ValueKind};
use crate::units::Millis;
use crate::value::hash::HashRef;
use crate::value::list::ListRef;
use crate::value::set::SetRef;
use crate::value::stream::StreamId;
use crate::value::zset::SortedSetRef;
use sha1::{Digest as _, Sha1};

/// A digest of data.
pub type Digest = [u8; 20];

/// What one shard holds of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatabaseDigest {
    /// Number of keys; an empty database leaves no trace in the digest of all.
    pub keys: usize,
    /// The digests of all keys.
    pub digest: Digest,
}

fn xor(digest: &mut Digest, data: &[u8]) {
    xor_digest(digest, &Sha1::digest(data).into());
}

fn xor_digest(digest: &mut Digest, other: &Digest) {
    for (byte, other) in digest.iter_mut().zip(other) {
        *byte ^= other;
    }
}

fn mix(digest: &mut Digest, data: &[u8]) {
    xor(digest, data);
    *digest = Sha1::digest(*digest).into();
}

/// The number of a type in digests.
const fn type_number(kind: ValueKind) -> u32 {
    match kind {
        ValueKind::String => 0,
        ValueKind::List => 1,
        ValueKind::Set => 2,
        ValueKind::SortedSet => 3,
        ValueKind::Hash => 4,
        ValueKind::Stream => 6,
    }
}

/// Fields of a hash whose time has passed at `now` are left out; when a field's time passes does not matter.
fn mix_value(digest: &mut Digest, entry: &EntryRef<'_>, now: Millis) {
    mix(digest, &type_number(entry.kind()).to_be_bytes());
    match entry.kind() {
        ValueKind::List => mix_list(digest, entry),
        ValueKind::Set => xor_set(digest, entry),
        ValueKind::SortedSet => xor_sorted_set(digest, entry),
        ValueKind::Hash => xor_hash(digest, entry, now),
        ValueKind::String => mix(digest, entry.value().as_bytes(&mut itoa::Buffer::new())),
        ValueKind::Stream => mix_stream(digest, entry),
    }
    if entry.expire_at().is_some() {
        xor(digest, b"!!expire!!");
    }
}

fn mix_list(digest: &mut Digest, entry: &EntryRef<'_>) {
    let list = ListRef::of(entry).expect("the kind was looked at");
    for item in list.items(0..list.len(), false) {
        mix(digest, item.text(&mut itoa::Buffer::new()));
    }
}

fn mix_stream(digest: &mut Digest, entry: &EntryRef<'_>) {
    let Value::Stream(stream) = entry.value() else {
        return;
    };
    let mut digits = itoa::Buffer::new();
    for (id, fields) in stream.entries.range(StreamId::MIN, StreamId::MAX, false) {
        mix(digest, format!("{}.{}", id.ms, id.seq).as_bytes());
        for (name, value) in fields {
            mix(digest, name.text(&mut digits));
            mix(digest, value.text(&mut digits));
        }
    }
}

fn xor_set(digest: &mut Digest, entry: &EntryRef<'_>) {
    for member in SetRef::of(entry).expect("the kind was looked at").iter() {
        xor(digest, member.text(&mut itoa::Buffer::new()));
    }
}

fn xor_sorted_set(digest: &mut Digest, entry: &EntryRef<'_>) {
    let set = SortedSetRef::of(entry).expect("the kind was looked at");
    set.visit(0, set.len(), false, &mut |member, score| {
        let mut one = Digest::default();
        mix(&mut one, member.text(&mut itoa::Buffer::new()));
        mix(&mut one, DoubleText::of(score.value()).as_bytes());
        xor(digest, &one);
    });
}

fn xor_hash(digest: &mut Digest, entry: &EntryRef<'_>, now: Millis) {
    let hash = HashRef::of(entry.value()).expect("the kind was looked at");
    hash.for_each(now, &mut |field, value| {
        let mut one = Digest::default();
        mix(&mut one, field.as_bytes(&mut itoa::Buffer::new()));
        mix(&mut one, value.as_bytes(&mut itoa::Buffer::new()));
        xor(digest, &one);
    });
}

/// The digests of all databases of this shard, expired keys included.
pub fn database_digests(ctx: &mut Context<'_>) -> Vec<DatabaseDigest> {
    let now = ctx.now;
    let databases = ctx.shard.databases.iter();
    databases
        .map(|database| {
            let mut sum = DatabaseDigest::default();
            database.for_each(&mut |entry| {
                let mut digest = Digest::default();
                mix(&mut digest, entry.key());
                mix_value(&mut digest, &entry, now);
                xor(&mut sum.digest, &digest);
                sum.keys += 1;
            });
            sum
        })
        .collect()
}

/// The digest of all data from the digests of all shards.
pub fn combine_digests<'d>(shards: impl IntoIterator<Item = &'d [DatabaseDigest]>) -> Digest {
    let mut databases: Vec<DatabaseDigest> = Vec::new();
    for shard in shards {
        databases.resize(databases.len().max(shard.len()), DatabaseDigest::default());
        for (sum, part) in databases.iter_mut().zip(shard) {
            sum.keys += part.keys;
            xor_digest(&mut sum.digest, &part.digest);
        }
    }
    let mut total = Digest::default();
    for (index, database) in databases.iter().enumerate().filter(|(_, database)| database.keys > 0) {
        mix(&mut total, &(index as u32).to_be_bytes());
        xor_digest(&mut total, &database.digest);
    }
    total
}

/// DEBUG DIGEST-VALUE: the digest of the value of a key, expired or not; zeros if there is none.
pub fn value_digest(ctx: &mut Context<'_>, name: &[u8]) -> Digest {
    let (key, now) = (ctx.shard.key(name), ctx.now);
    ctx.database().find(&key).map_or(Digest::default(), |entry| entry_digest(&entry, now))
}

/// The digest of a value.
fn entry_digest(entry: &EntryRef<'_>, now: Millis) -> Digest {
    let mut digest = Digest::default();
    mix_value(&mut digest, entry, now);
    digest
}
