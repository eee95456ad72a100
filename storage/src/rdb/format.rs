//! The bytes of the RDB format that stand for something, in one table.
//!
//! A value is the byte of its type and what that type lays down. Most of it is lengths and strings:
//!
//! ```text
//! 00xxxxxx                     a length below 64
//! 01xxxxxx x                   a length below 16384, high bits first
//! 10000000 xxxx                a length of 32 bits, big endian
//! 10000001 xxxxxxxx            a length of 64 bits, big endian
//! 11000000 x                   a string that is the text of an integer of 8 bits
//! 11000001 xx, 11000010 xxxx   the same with 16 and 32 bits, little endian
//! 11000011 packed, length, ... a string compressed with LZF, and both its lengths
//! ```
//!
//! A string is its length and its bytes, unless it is one of the last three.

/// The version that is written: that of Valkey 9.
pub const VERSION: u16 = 80;

/// The versions below this one that are read were written by Redis up to 7.2 and by Valkey up to 8.
pub const VERSION_SHARED_MAX: u16 = 11;

/// Stands where a type could: the source of a library of functions follows, as a string.
pub const FUNCTION: u8 = 245;
/// The same as release candidates of Redis 7.0 wrote it, which nobody reads.
pub const FUNCTION_EARLY: u8 = 246;

/// Where lengths go over to the next form.
pub const LEN_6_BITS: u64 = 1 << 6;
/// The same for the second form.
pub const LEN_14_BITS: u64 = 1 << 14;

/// The two bits that tell a length of 14 bits.
pub const FORM_14_BITS: u8 = 0x40;
/// A length of 32 bits follows.
pub const FORM_32_BITS: u8 = 0x80;
/// A length of 64 bits follows.
pub const FORM_64_BITS: u8 = 0x81;
/// An integer of one byte follows.
pub const FORM_INT_8: u8 = 0xc0;
/// An integer of two bytes follows.
pub const FORM_INT_16: u8 = 0xc1;
/// An integer of four bytes follows.
pub const FORM_INT_32: u8 = 0xc2;
/// A compressed string follows.
pub const FORM_LZF: u8 = 0xc3;

/// No longer string is looked at whether it is the text of an integer.
pub const INTEGER_TEXT_BYTES_MAX: usize = 11;

/// No shorter string is compressed.
pub const COMPRESSED_BYTES_MIN: usize = 21;

/// Compression must save as many bytes.
pub const COMPRESSION_GAIN_MIN: usize = 4;

/// A node of a list that holds one element, as it is.
pub const NODE_PLAIN: u64 = 1;
/// A node of a list that is a listpack.
pub const NODE_PACKED: u64 = 2;

/// A field of a hash that does not expire.
pub const NO_EXPIRY: i64 = -1;

/// A consumer that never got anything.
pub const NO_TIME: i64 = -1;

/// A group of which is not known how many entries it has read.
pub const NO_COUNT: u64 = u64::MAX;

/// In a node of a stream: the entry is deleted.
pub const NODE_DELETED: i64 = 1;

/// In a node of a stream: the names of the entry's fields are those of the node.
pub const NODE_SAME_NAMES: i64 = 2;

/// In the old form of scores, a length that means "not a number".
pub const SCORE_NAN: u8 = 253;
/// In the old form of scores, a length that means infinity.
pub const SCORE_INFINITE: u8 = 254;
/// In the old form of scores, a length that means negative infinity.
pub const SCORE_NEGATIVE_INFINITE: u8 = 255;

/// What kinds of values there are, by the number that stands before each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Type {
    /// A string.
    String = 0,
    /// Elements of a list. Not written any more.
    List = 1,
    /// Members of a set.
    Set = 2,
    /// Members of a sorted set, with scores as text. Not written any more.
    SortedSetText = 3,
    /// Fields of a hash with their values.
    Hash = 4,
    /// Members of a sorted set, the highest first, with binary scores.
    SortedSet = 5,
    /// A hash of Redis up to 2.4. Not written any more; nor are the ziplists.
    HashZipmap = 9,
    /// A list as a ziplist.
    ListZiplist = 10,
    /// Sorted integers.
    SetIntset = 11,
    /// A sorted set as a ziplist.
    SortedSetZiplist = 12,
    /// A hash as a ziplist.
    HashZiplist = 13,
    /// Nodes of a list, each a ziplist.
    ListZiplists = 14,
    /// A stream without the counters that came later.
    Stream1 = 15,
    /// A hash as a listpack.
    HashListpack = 16,
    /// A sorted set as a listpack.
    SortedSetListpack = 17,
    /// Nodes of a list, each a listpack or one element.
    ListListpacks = 18,
    /// A stream that knows its first and its largest removed id, and how many entries it ever had.
    Stream2 = 19,
    /// A set as a listpack.
    SetListpack = 20,
    /// A stream whose consumers know when they were active.
    Stream3 = 21,
    /// Fields of a hash with their values and expiry times.
    HashExpiring = 22,
}

impl Type {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::String,
        Self::List,
        Self::Set,
        Self::SortedSetText,
        Self::Hash,
        Self::SortedSet,
        Self::HashZipmap,
        Self::ListZiplist,
        Self::SetIntset,
        Self::SortedSetZiplist,
        Self::HashZiplist,
        Self::ListZiplists,
        Self::Stream1,
        Self::HashListpack,
        Self::SortedSetListpack,
        Self::ListListpacks,
        Self::Stream2,
        Self::SetListpack,
        Self::Stream3,
        Self::HashExpiring,
    ];

    /// What a log calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::List => "List",
            Self::Set => "Set",
            Self::SortedSetText | Self::SortedSet => "Zset",
            Self::Hash | Self::HashExpiring => "Hash",
            Self::HashZipmap => "Zipmap",
            Self::ListZiplist => "List ziplist",
            Self::SetIntset => "Intset",
            Self::SortedSetZiplist => "Zset ziplist",
            Self::HashZiplist => "Hash ziplist",
            Self::ListZiplists => "Ziplist",
            Self::HashListpack => "Hash listpack",
            Self::SortedSetListpack => "Zset listpack",
            Self::ListListpacks => "Listpack",
            Self::SetListpack => "Set listpack",
            Self::Stream1 | Self::Stream2 | Self::Stream3 => "Stream listpack",
        }
    }

    /// The type of a number, if there is one. Values of modules have numbers, too; there are no modules.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| *one as u8 == number)
    }
}

/// Why bytes are not what they should be, in words for a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormatError(pub &'static str);

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for FormatError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_lead_to_their_types() {
        for number in 0..=u8::MAX {
            match Type::of(number) {
                Some(one) => assert_eq!(one as u8, number),
                None => assert!(matches!(number, 6..=8 | 23..)),
            }
        }
    }
}
