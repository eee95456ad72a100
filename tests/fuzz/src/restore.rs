//! Payloads of RESTORE: whatever comes is refused or becomes a value, in memory that is bounded by the payload; the value is
//! sound, and comes back from what DUMP writes of it, whatever the limits are.

use ringkey_core::codec::{DumpRules, RestoreRules};
use ringkey_core::commands::key::value_digest;
use ringkey_core::commands::{Context, Rules};
use ringkey_core::keyspace::{EntryRef, KeyHasher, OwnedEntry, Shard, Value};
use ringkey_core::units::{DbIndex, Millis};
use ringkey_core::value::Limits;
use ringkey_storage::dump::CODEC;
use ringkey_storage::rdb::crc64::crc64;

/// No payload may make as many bytes be allocated for each of its own, all in all: what is compressed may become 88 times as
/// long, and is copied on its way.
const GROWTH_MAX: u64 = 300;

/// So many bytes may be allocated besides: tables of the smallest size, room for compressing.
const ALLOCATED_MIN: u64 = 256 * 1024;

fn hasher() -> KeyHasher {
    KeyHasher::new([1, 2, 3, 4])
}

/// Limits under which next to nothing is packed.
fn narrow() -> Limits {
    Limits {
        hash_entries: 1,
        hash_value_bytes: 3,
        set_intset_entries: 2,
        set_entries: 1,
        set_value_bytes: 3,
        zset_entries: 1,
        zset_value_bytes: 3,
        list_size: 2,
        ..Limits::default()
    }
}

fn restored(payload: &[u8], limits: &Limits) -> Option<OwnedEntry> {
    let rules = RestoreRules { limits, hasher: &hasher(), any_version: false, skips_checksum: false, now: Millis(1) };
    let mut value = (CODEC.restore)(payload, &rules).ok()?;
    Some(OwnedEntry::new(b"key", value.as_new().expect("nothing expires while it is read"), None))
}

fn dump_of(entry: EntryRef<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    (CODEC.dump)(entry, &DumpRules { compresses: true, now: Millis(1) }, &mut payload);
    payload
}

/// What a value says, whatever its form.
fn digest(entry: OwnedEntry) -> [u8; 20] {
    let (mut shard, rules) = (Shard::scratch(1, hasher(), 5), Rules::default());
    let key = shard.key(b"key");
    shard.database_mut(DbIndex(0)).put(&key, entry);
    value_digest(&mut Context::new(&mut shard, DbIndex(0), Millis(1), &rules), b"key")
}

fn check(entry: &OwnedEntry) {
    match entry.as_ref().value() {
        Value::Hash(hash) => hash.check(),
        Value::SortedSet(set) => set.check(),
        Value::Set(set) => set.members().check(),
        Value::Stream(stream) => stream.groups.check(),
        _ => {}
    }
}

/// Has a member the score -0? Its sign is lost where a sorted set is packed, in Valkey, too.
fn has_negative_zero(entry: &OwnedEntry) -> bool {
    let Value::SortedSet(set) = entry.as_ref().value() else { return false };
    set.iter().any(|(_, score)| score == 0.0 && score.is_sign_negative())
}

/// Input: a byte of flags, and a payload, or what becomes one by a version and a checksum. `allocated` tells how many
/// bytes were ever allocated, if somebody counts.
pub fn run(data: &[u8], allocated: fn() -> u64) {
    let [flags, value @ ..] = data else { return };
    let mut payload = value.to_vec();
    if flags & 1 == 0 {
        payload.extend_from_slice(&80_u16.to_le_bytes());
        let checksum = crc64(&payload);
        payload.extend_from_slice(&checksum.to_le_bytes());
    }
    let limits = if flags & 2 == 0 { Limits::default() } else { narrow() };
    let before = allocated();
    let entry = restored(&payload, &limits);
    let used = allocated() - before;
    assert!(used <= ALLOCATED_MIN + GROWTH_MAX * payload.len() as u64, "{used} bytes for {} bytes", payload.len());
    let Some(entry) = entry else { return };
    check(&entry);
    if has_negative_zero(&entry) {
        return;
    }
    let written = dump_of(entry.as_ref());
    let digest_before = digest(entry);
    for limits in [Limits::default(), narrow()] {
        let again = restored(&written, &limits).expect("what is written is read");
        check(&again);
        assert_eq!(digest(again), digest_before, "what is written is the same value");
    }
}
