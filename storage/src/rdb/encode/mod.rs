//! Writing values, in the forms in which Valkey 9 writes them: what OBJECT ENCODING answers decides.
//!
//! A large value is written in pieces ([`Pieces::write`]), so that whoever writes a file or to a socket needs no more
//! memory than for a piece and whatever of the value cannot be divided: a node of a list or stream, an element, a packed
//! collection.

mod stream;

use super::format::{NO_EXPIRY, NODE_PACKED, NODE_PLAIN, Type};
use super::listpack;
use super::write::{Strings, len};
use ringkey_core::keyspace::elements::Iter;
use ringkey_core::keyspace::{Form, Value};
use ringkey_core::value::PACKED_HEAD_BYTES;
use ringkey_core::value::list::{Segment, Segments};
use ringkey_core::value::zset::SortedSet;
use stream::Parts;

/// So many members of a sorted set are looked for in its order at a time.
const RANKS_STEP: usize = 256;

/// Writes values; what it needs for one serves the next.
#[derive(Debug, Default)]
pub struct Encoder {
    strings: Strings,
    /// Where runs of bytes are put together before they are written as a string.
    blob: Vec<u8>,
}

impl Encoder {
    /// `compresses`: long strings are compressed where that helps.
    pub fn new(compresses: bool) -> Self {
        Self { strings: Strings::new(compresses), blob: Vec::new() }
    }

    /// Appends a whole value, without the byte of its type.
    pub fn value(&mut self, out: &mut Vec<u8>, value: Value<'_>) {
        let done = Pieces::of(value).write(self, out, usize::MAX);
        debug_assert!(done, "there is room for everything");
    }

    /// Appends a listpack as a string; `fill` gives its elements with their back lengths.
    fn listpack(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> usize) {
        self.blob.clear();
        listpack::build(&mut self.blob, fill);
        self.strings.string(out, &self.blob);
    }

    /// Appends packed elements, which have no back lengths, as a listpack.
    fn packed(&mut self, out: &mut Vec<u8>, packed: &[u8]) {
        self.listpack(out, |blob| listpack::write_all(blob, &packed[PACKED_HEAD_BYTES..]));
    }

    fn intset(&mut self, out: &mut Vec<u8>, packed: &[u8]) {
        let (width, integers) = (u32::from(packed[0]), &packed[PACKED_HEAD_BYTES..]);
        let count = integers.len() as u32 / width;
        self.blob.clear();
        self.blob.extend_from_slice(&width.to_le_bytes());
        self.blob.extend_from_slice(&count.to_le_bytes());
        self.blob.extend_from_slice(integers);
        self.strings.string(out, &self.blob);
    }

    /// Appends one node of a list.
    fn node(&mut self, out: &mut Vec<u8>, segment: Segment<'_>) {
        match segment {
            Segment::Packed { bytes, count } => {
                len(out, NODE_PACKED);
                self.listpack(out, |blob| {
                    blob.extend_from_slice(bytes);
                    count
                });
            }
            Segment::Plain(bytes) => {
                len(out, NODE_PLAIN);
                self.strings.string(out, bytes);
            }
        }
    }

    #[inline]
    fn field_value(&mut self, out: &mut Vec<u8>, value: Value<'_>) {
        match value {
            Value::Int(value) => self.strings.integer(out, value),
            value => self.strings.string(out, value.as_bytes(&mut itoa::Buffer::new())),
        }
    }
}

/// The type in which a value is written.
pub fn type_of(value: &Value<'_>) -> Type {
    match value {
        Value::Int(_) | Value::Bytes(_) | Value::Shared(_) => Type::String,
        Value::Packed(Form::List, _) | Value::List(_) => Type::ListListpacks,
        Value::Packed(Form::Set, _) => Type::SetListpack,
        Value::Packed(Form::IntSet, _) => Type::SetIntset,
        Value::Packed(Form::Hash, _) => Type::HashListpack,
        Value::Packed(Form::SortedSet, _) => Type::SortedSetListpack,
        Value::Set(_) => Type::Set,
        Value::Hash(hash) if hash.volatile() > 0 => Type::HashExpiring,
        Value::Hash(_) => Type::Hash,
        Value::SortedSet(_) => Type::SortedSet,
        Value::Stream(_) => Type::Stream3,
    }
}

/// What is left to write of a value.
#[derive(Debug)]
pub enum Pieces<'a> {
    /// What cannot be divided.
    Whole(Value<'a>),
    /// Nodes of a list.
    List(Segments<'a>),
    /// Members of a set.
    Set(Iter<'a>),
    /// Fields of a hash, with expiry times if any field has one.
    Hash(Iter<'a>, bool),
    /// So many members of a sorted set, from the highest on.
    SortedSet(&'a SortedSet, usize),
    /// Parts of a stream.
    Stream(Parts<'a>),
    /// Nothing.
    Nothing,
}

impl<'a> Pieces<'a> {
    /// All of a value.
    pub fn of(value: Value<'a>) -> Self {
        Self::Whole(value)
    }

    /// Appends the next piece, of some more than `room` bytes at most, or all that is left. Was that all?
    pub fn write(&mut self, encoder: &mut Encoder, out: &mut Vec<u8>, room: usize) -> bool {
        let limit = out.len().saturating_add(room);
        if let Self::Whole(value) = *self {
            *self = Self::begin(value, encoder, out);
        }
        match self {
            Self::List(segments) => {
                while out.len() < limit {
                    let Some(segment) = segments.next() else { return true };
                    encoder.node(out, segment);
                }
            }
            Self::Set(members) => {
                while out.len() < limit {
                    let Some(entry) = members.next() else { return true };
                    encoder.strings.string(out, entry.key());
                }
            }
            Self::Hash(fields, expires) => {
                while out.len() < limit {
                    let Some(entry) = fields.next() else { return true };
                    encoder.strings.string(out, entry.key());
                    encoder.field_value(out, entry.value());
                    if *expires {
                        let at = entry.expire_at().map_or(NO_EXPIRY, |at| at.0);
                        out.extend_from_slice(&at.to_le_bytes());
                    }
                }
            }
            Self::SortedSet(set, left) => {
                while out.len() < limit && *left > 0 {
                    let step = RANKS_STEP.min(*left);
                    *left -= step;
                    set.visit(*left, step, true, &mut |member, score| {
                        encoder.strings.string(out, member);
                        out.extend_from_slice(&score.to_le_bytes());
                    });
                }
                return *left == 0;
            }
            Self::Stream(parts) => {
                while out.len() < limit {
                    let Some(part) = parts.next() else { return true };
                    encoder.stream_part(out, part);
                }
            }
            Self::Whole(_) | Self::Nothing => return true,
        }
        false
    }

    /// Writes what comes first: all of a small value, the count of elements of a large one.
    fn begin(value: Value<'a>, encoder: &mut Encoder, out: &mut Vec<u8>) -> Self {
        match value {
            Value::Int(_) | Value::Bytes(_) | Value::Shared(_) => encoder.field_value(out, value),
            Value::Packed(Form::List, packed) => {
                len(out, 1);
                let count = usize::from(u16::from_le_bytes([packed[0], packed[1]]));
                encoder.node(out, Segment::Packed { bytes: &packed[PACKED_HEAD_BYTES..], count });
            }
            Value::Packed(Form::IntSet, packed) => encoder.intset(out, packed),
            Value::Packed(Form::Set | Form::Hash | Form::SortedSet, packed) => encoder.packed(out, packed),
            Value::List(list) => {
                len(out, list.nodes() as u64);
                return Self::List(list.segments(0..list.len(), false));
            }
            Value::Set(set) => {
                len(out, set.len() as u64);
                return Self::Set(set.members().iter());
            }
            Value::Hash(hash) => {
                len(out, hash.len() as u64);
                return Self::Hash(hash.entries(), hash.volatile() > 0);
            }
            Value::SortedSet(set) => {
                len(out, set.len() as u64);
                return Self::SortedSet(set, set.len());
            }
            Value::Stream(stream) => {
                len(out, stream.entries.nodes_len() as u64);
                return Self::Stream(Parts::of(stream));
            }
        }
        Self::Nothing
    }
}
