//! What an entry may hold: the types of values, as they are seen where they lie, changed, and handed over to be stored.

use super::entry::PackedMut;
use crate::limits::SHARED_VALUE_BYTES_MIN;
use crate::number::parse_integer;
use crate::value::hash::Hash;
use crate::value::list::List;
use crate::value::set::Set;
use crate::value::stream::Stream;
use crate::value::zset::SortedSet;
use bytes::Bytes;

/// The type of a value, as TYPE answers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueKind {
    /// A string.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
}

impl ValueKind {
    /// The name that TYPE answers and SCAN's TYPE option takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }
}

/// What packed bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Form {
    /// Elements of a list, each with its back length.
    List,
    /// Members of a set.
    Set,
    /// Integers of a set, sorted, all of one width.
    IntSet,
    /// Fields of a hash, each with its value.
    Hash,
    /// Members of a sorted set in their order, each with its score.
    SortedSet,
}

impl Form {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 5] = [Self::List, Self::Set, Self::IntSet, Self::Hash, Self::SortedSet];

    /// The type of the value.
    pub const fn kind(self) -> ValueKind {
        match self {
            Self::List => ValueKind::List,
            Self::Set | Self::IntSet => ValueKind::Set,
            Self::Hash => ValueKind::Hash,
            Self::SortedSet => ValueKind::SortedSet,
        }
    }

    /// What OBJECT ENCODING answers.
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::IntSet => "intset",
            Self::List | Self::Set | Self::Hash | Self::SortedSet => "listpack",
        }
    }
}

/// A value where it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A string that is the canonical text of an integer.
    Int(i64),
    /// A string.
    Bytes(&'a [u8]),
    /// A large string that may be sent without copying.
    Shared(&'a Bytes),
    /// A small collection.
    Packed(Form, &'a [u8]),
    /// A large list.
    List(&'a List),
    /// A large set.
    Set(&'a Set),
    /// A large hash.
    Hash(&'a Hash),
    /// A large sorted set.
    SortedSet(&'a SortedSet),
    /// A stream.
    Stream(&'a Stream),
}

impl<'a> Value<'a> {
    /// The bytes of a string; an integer's text is written into `buffer`. A collection has none.
    #[inline]
    pub fn as_bytes<'b>(&self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Self::Int(value) => buffer.format(value).as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            _ => {
                debug_assert!(false, "only strings have bytes");
                &[]
            }
        }
    }

    /// The length of a string in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes(&mut itoa::Buffer::new()).len()
    }

    /// Is the string empty?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A value where it is stored, to be changed. Strings are changed by operations on their entry.
#[derive(Debug)]
pub enum ValueMut<'a> {
    /// A string.
    String,
    /// A small collection.
    Packed(Form, PackedMut<'a>),
    /// A large list.
    List(&'a mut List),
    /// A large set.
    Set(&'a mut Set),
    /// A large hash.
    Hash(&'a mut Hash),
    /// A large sorted set.
    SortedSet(&'a mut SortedSet),
    /// A stream.
    Stream(&'a mut Stream),
}

/// A value to be stored.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// A string, stored as it is.
    Bytes(&'a [u8]),
    /// A string that is stored without a copy if it is large.
    Shared(Bytes),
    /// A string that is the canonical text of this integer.
    Int(i64),
    /// A small collection.
    Packed(Form, &'a [u8]),
    /// A large collection.
    Large(Large),
}

impl<'a> NewValue<'a> {
    /// Text that may be an integer.
    #[inline]
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        match bytes.len() {
            1..=20 => parse_integer(bytes).map_or(Self::Bytes(bytes), Self::Int),
            _ => Self::Bytes(bytes),
        }
    }

    /// Bytes that have an allocation of their own.
    pub fn from_shared(bytes: Bytes) -> Self {
        Self::Shared(bytes)
    }

    /// The length of the bytes that are stored inline.
    #[inline]
    pub(super) fn inline_len(&self) -> usize {
        match self {
            Self::Bytes(bytes) if bytes.len() < SHARED_VALUE_BYTES_MIN => bytes.len(),
            Self::Shared(bytes) if bytes.len() < SHARED_VALUE_BYTES_MIN => bytes.len(),
            Self::Packed(_, bytes) => bytes.len(),
            Self::Bytes(_) | Self::Shared(_) | Self::Int(_) | Self::Large(_) => 0,
        }
    }
}

/// A collection with a structure of its own.
#[derive(Debug)]
pub enum Large {
    /// A list.
    List(Box<List>),
    /// A set.
    Set(Box<Set>),
    /// A hash.
    Hash(Box<Hash>),
    /// A sorted set.
    SortedSet(Box<SortedSet>),
    /// A stream.
    Stream(Box<Stream>),
}

const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Large>();
};

impl Large {
    /// How many elements it has.
    pub fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::Hash(hash) => hash.len(),
            Self::SortedSet(set) => set.len(),
            Self::Stream(stream) => stream.len(),
        }
    }

    /// Has it no element?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees about so many elements. The answer: is nothing left?
    pub fn free_some(&mut self, budget: usize) -> bool {
        match self {
            Self::List(list) => list.free_some(budget),
            Self::Set(set) => set.free_some(budget),
            Self::Hash(hash) => hash.free_some(budget),
            Self::SortedSet(set) => set.free_some(budget),
            Self::Stream(stream) => stream.free_some(budget),
        }
    }
}
