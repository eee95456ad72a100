//! Payloads of DUMP and RESTORE: a value as in a file, then the version of the format and a checksum of all of it.
//!
//! ```text
//! [type 1][value][version 2, little endian][CRC-64 of everything before it 8, little endian]
//! ```

use crate::rdb::crc64::crc64;
use crate::rdb::encode::{Encoder, type_of};
use crate::rdb::format::{VERSION, VERSION_SHARED_MAX};
use crate::rdb::read::Reader;
use crate::rdb::{Type, decode};
use ringkey_core::codec::{Codec, DumpRules, Refused, RestoreRules, Restored};
use ringkey_core::keyspace::EntryRef;

/// What stands behind the value.
const FOOT_BYTES: usize = 10;

/// What core calls to write and read values.
pub static CODEC: Codec = Codec { dump, restore, serialized_bytes };

/// Appends the payload of an entry's value.
pub fn dump(entry: EntryRef<'_>, rules: &DumpRules, out: &mut Vec<u8>) {
    let (from, value) = (out.len(), entry.value());
    out.push(type_of(&value) as u8);
    Encoder::new(rules.compresses).value(out, value);
    close(out, from);
}

/// How many bytes the value of an entry takes without its type and what is around it.
pub fn serialized_bytes(entry: EntryRef<'_>, rules: &DumpRules) -> usize {
    let mut out = Vec::new();
    Encoder::new(rules.compresses).value(&mut out, entry.value());
    out.len()
}

/// Reads a payload. Bytes between the value and what is behind it are ignored, as Valkey does.
///
/// # Errors
/// Version or checksum are wrong, or the value is.
pub fn restore(payload: &[u8], rules: &RestoreRules<'_>) -> Result<Restored, Refused> {
    let value = open(payload, rules.any_version, rules.skips_checksum).ok_or(Refused::VersionOrChecksum)?;
    read(value, rules).map_err(Refused::Format)
}

/// Appends the version of the format and the checksum of all from `from` on.
pub(crate) fn close(out: &mut Vec<u8>, from: usize) {
    out.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = crc64(&out[from..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// What stands before version and checksum, if both are right.
pub(crate) fn open(payload: &[u8], any_version: bool, skips_checksum: bool) -> Option<&[u8]> {
    let value = payload.get(..payload.len().checked_sub(FOOT_BYTES)?)?;
    let mut foot = Reader::new(&payload[value.len()..]);
    let version = u16::from_le_bytes(foot.array().ok()?);
    let is_known = version == VERSION || (1..=VERSION_SHARED_MAX).contains(&version);
    let checksum = u64::from_le_bytes(foot.array().ok()?);
    let is_read = is_known || any_version && version > 0;
    let is_right = || skips_checksum || crc64(&payload[..payload.len() - size_of::<u64>()]) == checksum;
    (is_read && is_right()).then_some(value)
}

/// Reads the value; or says what is wrong with it.
fn read(value: &[u8], rules: &RestoreRules<'_>) -> Result<Restored, String> {
    let mut reader = Reader::new(value);
    let number = reader.byte().map_err(|error| error.to_string())?;
    let kind = Type::of(number).ok_or_else(|| format!("type {number} is not known"))?;
    decode::value(&mut reader, kind, rules).map_err(|error| format!("{} integrity check failed: {error}", kind.name()))
}
