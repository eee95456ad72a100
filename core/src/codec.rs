//! How values become bytes and back: what the crate for storage gives to the handlers of DUMP and RESTORE.
//!
//! That crate knows the formats and imports this one, so it cannot be called by name here. It gives functions, plain
//! ones without state, which come in with the rules.

use crate::keyspace::{EntryRef, Form, KeyHasher, Large, NewValue};
use crate::units::Millis;
use crate::value::Limits;
use bytes::Bytes;
use std::fmt;

/// The functions.
#[derive(Clone, Copy)]
pub struct Codec {
    /// Appends the payload of DUMP for a value.
    pub dump: fn(EntryRef<'_>, &DumpRules, &mut Vec<u8>),
    /// Reads such a payload, whoever made it. It may hold anything.
    pub restore: fn(&[u8], &RestoreRules<'_>) -> Result<Restored, Refused>,
    /// How many bytes the value itself takes in a file, without type and checksum: `serializedlength` of DEBUG OBJECT.
    pub serialized_bytes: fn(EntryRef<'_>, &DumpRules) -> usize,
}

/// What matters when a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpRules {
    /// `rdbcompression`: is LZF worth a try?
    pub compresses: bool,
    /// The time, which tells the fields of hashes that have expired.
    pub now: Millis,
}

/// What matters when a value is read.
#[derive(Debug, Clone, Copy)]
pub struct RestoreRules<'a> {
    /// How large a packed collection may become.
    pub limits: &'a Limits,
    /// Hashes elements as all cores do.
    pub hasher: &'a KeyHasher,
    /// `rdb-version-check relaxed`: are versions of the future tried as well?
    pub any_version: bool,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: is any checksum right?
    pub skips_checksum: bool,
    /// The time: fields of hashes that have expired are left out.
    pub now: Millis,
}

/// A value that was read.
#[derive(Debug)]
pub enum Restored {
    /// A string.
    Bytes(Bytes),
    /// A string that is the canonical text of an integer.
    Int(i64),
    /// A small collection.
    Packed(Form, Vec<u8>),
    /// A large collection, or a stream.
    Large(Large),
    /// A collection of which nothing is left, as all of it had expired.
    Nothing,
}

impl Restored {
    /// The value, to be stored, if anything is left of it.
    pub fn as_new(&mut self) -> Option<NewValue<'_>> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Bytes(bytes) => Some(NewValue::Shared(bytes)),
            Self::Int(value) => Some(NewValue::Int(value)),
            Self::Large(large) => Some(NewValue::Large(large)),
            Self::Packed(form, bytes) => {
                *self = Self::Packed(form, bytes);
                let Self::Packed(form, bytes) = self else { return None };
                Some(NewValue::Packed(*form, bytes))
            }
            Self::Nothing => None,
        }
    }
}

/// Why a payload was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Its version or its checksum is wrong.
    VersionOrChecksum,
    /// What it holds is no value; why, in words for the log.
    Format(String),
}

impl Codec {
    /// For tests of handlers that need no bytes: writes nothing and refuses everything.
    pub const ABSENT: &'static Self =
        &Self { dump: |_, _, _| {}, restore: |_, _| Err(Refused::VersionOrChecksum), serialized_bytes: |_, _| 0 };
}

impl PartialEq for Codec {
    /// Are the functions at the same places?
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.dump, other.dump) && std::ptr::fn_addr_eq(self.restore, other.restore)
    }
}

impl Eq for Codec {}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}
