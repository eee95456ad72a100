//! One allocation per key: header, expiry time, key and value together.
//!
//! ```text
//! short values   [meta 1][access 3][expiry 8]?[key length 1|4][value length 0|1|2|4][key][value]
//! shared values  [meta 1][access 3][unused 4][expiry 8]?[Bytes 32][key length 1|4][key]
//! members        [meta 1][access 3][score 8][key length 1|4][key]
//! ```
//!
//! The value of a small collection is its packed bytes, that of a large one the address of its structure, which the entry
//! owns. Elements of large collections are entries, too: fields with their values and times, members, members with scores.
//!
//! The expiry is there only if the key has one, the key length takes four bytes only from 255 bytes on, integers
//! take 1, 2, 4 or 8 bytes and no length. Nothing stores the size of the allocation: it follows from the header and
//! the lengths. A string that grew in place ([`RAW`]) rounds its size up to the next quarter of a power of two, so
//! growing byte by byte copies each byte a bounded number of times, and the room still follows from the length.
//!
//! A [`Bytes`] lies at a multiple of eight, because callers borrow it where it is.
#![allow(unsafe_code)]

mod collection;
mod text;

pub use collection::PackedMut;

pub use super::kinds::{Form, Large, NewValue, Value, ValueKind, ValueMut};
use crate::limits::SHARED_VALUE_BYTES_MIN;
use crate::units::Millis;
use crate::value::Splice;
use crate::value::hash::Hash;
use bytes::Bytes;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

/// Meta bit: the key has an expiry time.
const EXPIRES: u8 = 1;
/// Meta bit: the key length takes four bytes.
const LONG_KEY: u8 = 2;
/// Meta bit: the string answers `raw` as its encoding, now and after any change of its expiry.
const RAW: u8 = 4;
/// The shape of the value stands above the flag bits.
const SHAPE_SHIFT: u8 = 3;

/// An integer of 1 byte; the next three shapes have 2, 4 and 8.
const INTEGER: u8 = 0;
/// A string with a length of one byte.
const SHORT: u8 = 4;
/// A string with a length of two bytes.
const MEDIUM: u8 = 5;
/// A reference-counted string.
const SHARED: u8 = 6;
/// No value, but a score: a member of a large sorted set.
const SCORED: u8 = 7;
/// A packed collection of the first form, with a length of four bytes; the shapes of the other forms follow.
const PACKED: u8 = 8;
/// The address of a large list; the next shapes are a set, a hash, a sorted set and a stream.
const LARGE: u8 = 16;
const LARGE_SET: u8 = LARGE + 1;
const LARGE_HASH: u8 = LARGE + 2;
const LARGE_SORTED_SET: u8 = LARGE + 3;
const STREAM: u8 = LARGE + 4;

/// An integer of eight bytes: takes the room of an address.
const WIDE_INTEGER: u8 = INTEGER + 3;

const _: () = assert!(SHARED_VALUE_BYTES_MIN <= u16::MAX as usize + 1, "inline lengths fit two bytes");
const _: () =
    assert!(align_of::<Bytes>() <= ALIGN && size_of::<Bytes>().is_multiple_of(8), "shared values are aligned");

/// Entries are aligned like this, which leaves the low bits of their address to [`Word`].
const ALIGN: usize = 8;

/// What an entry has besides lengths, key, value and expiry: meta and access.
pub(super) const HEADER_BYTES: usize = 4;

/// Keys from this length on have a length of four bytes.
const LONG_KEY_BYTES_MIN: usize = 255;

/// Where the score of a member is.
const SCORE_AT: usize = HEADER_BYTES;

/// Largest sum at which Valkey keeps a string in one allocation with its key, and calls it `embstr`.
const EMBEDDED_BYTES_MAX: usize = 128;

/// The smallest shape that holds an integer.
#[inline]
const fn integer_shape(value: i64) -> u8 {
    INTEGER
        + if value == value as i8 as i64 {
            0
        } else if value == value as i16 as i64 {
            1
        } else if value == value as i32 as i64 {
            2
        } else {
            3
        }
}

#[inline]
const fn string_shape(len: usize) -> u8 {
    match len {
        0..=255 => SHORT,
        256..SHARED_VALUE_BYTES_MIN => MEDIUM,
        _ => SHARED,
    }
}

/// The shape that a value is stored in.
#[inline]
fn shape_of(value: &NewValue<'_>) -> u8 {
    match value {
        NewValue::Int(value) => integer_shape(*value),
        NewValue::Bytes(bytes) => string_shape(bytes.len()),
        NewValue::Shared(bytes) => string_shape(bytes.len()),
        NewValue::Packed(form, _) => PACKED + *form as u8,
        NewValue::Large(Large::List(_)) => LARGE,
        NewValue::Large(Large::Set(_)) => LARGE_SET,
        NewValue::Large(Large::Hash(_)) => LARGE_HASH,
        NewValue::Large(Large::SortedSet(_)) => LARGE_SORTED_SET,
        NewValue::Large(Large::Stream(_)) => STREAM,
    }
}

/// Is this the shape of text, which may be `raw`?
#[inline]
const fn is_text(shape: u8) -> bool {
    matches!(shape, SHORT | MEDIUM | SHARED)
}

/// Would Valkey store this string apart from its key? A key of 32 bytes or more costs it two bytes more of header.
#[inline]
const fn is_raw(key_len: usize, value_len: usize, expires: bool) -> bool {
    let key_bytes = key_len + if key_len < 32 { 3 } else { 5 };
    let expiry_bytes = if expires { 8 } else { 0 };
    8 + expiry_bytes + key_bytes + value_len + 4 > EMBEDDED_BYTES_MAX
}

/// Would Valkey move a string that gets an expiry time to an allocation with room for it? Where key and expiry alone do not
/// fit into one, it leaves the string where it is.
#[inline]
const fn moves_for_expiry(key_len: usize) -> bool {
    key_len <= EMBEDDED_BYTES_MAX - 8 - 8 - 5
}

/// The first byte of an entry, and what follows from it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Meta(u8);

impl Meta {
    #[inline]
    const fn new(shape: u8, key_len: usize, expires: bool, raw: bool) -> Self {
        let long = if key_len >= LONG_KEY_BYTES_MIN { LONG_KEY } else { 0 };
        let expires = if expires { EXPIRES } else { 0 };
        let raw = if raw { RAW } else { 0 };
        Self(shape << SHAPE_SHIFT | long | expires | raw)
    }

    #[inline]
    const fn shape(self) -> u8 {
        self.0 >> SHAPE_SHIFT
    }

    #[inline]
    const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    #[inline]
    const fn is_shared(self) -> bool {
        self.shape() == SHARED
    }

    /// Does the value have an allocation of its own, which must be freed?
    #[inline]
    const fn owns(self) -> bool {
        self.is_shared() || self.shape() >= LARGE
    }

    #[inline]
    const fn is_packed(self) -> bool {
        self.shape() >= PACKED && self.shape() < LARGE
    }

    /// Where the expiry is, if there is one.
    #[inline]
    const fn expiry_at(self) -> usize {
        if self.is_shared() { 8 } else { 4 }
    }

    /// Where a shared value is.
    #[inline]
    const fn shared_at(self) -> usize {
        self.expiry_at() + if self.has(EXPIRES) { 8 } else { 0 }
    }

    /// Where the key length is.
    #[inline]
    const fn key_len_at(self) -> usize {
        self.shared_at()
            + match self.shape() {
                SHARED => size_of::<Bytes>(),
                SCORED => size_of::<f64>(),
                _ => 0,
            }
    }

    /// Where the value length is.
    #[inline]
    const fn value_len_at(self) -> usize {
        self.key_len_at() + if self.has(LONG_KEY) { 4 } else { 1 }
    }

    /// Where the key is. Every lookup asks this of an entry that is not in the cache, so it is a load, not a sum.
    #[inline]
    fn key_at(self) -> usize {
        KEY_AT[self.0 as usize] as usize
    }

    const fn key_at_computed(self) -> usize {
        let value_len_bytes = match self.shape() {
            SHORT => 1,
            MEDIUM => 2,
            PACKED..LARGE => 4,
            _ => 0,
        };
        self.value_len_at() + value_len_bytes
    }

    /// The size of an integer, if the shape is one.
    #[inline]
    const fn integer_bytes(self) -> Option<usize> {
        if self.shape() < SHORT { Some(1 << self.shape()) } else { None }
    }

    /// The size of the allocation.
    #[inline]
    fn size(self, key_len: usize, inline_len: usize) -> usize {
        let value = match self.integer_bytes() {
            Some(bytes) => bytes,
            None if self.shape() >= LARGE => size_of::<usize>(),
            None => inline_len,
        };
        let size = self.key_at() + key_len + value;
        if self.has(RAW) && !self.is_shared() || self.is_packed() { roomy(size) } else { size }
    }
}

/// [`Meta::key_at`] of every first byte.
static KEY_AT: [u8; 256] = {
    let mut table = [0; 256];
    let mut meta = 0;
    while meta < table.len() {
        table[meta] = Meta(meta as u8).key_at_computed() as u8;
        meta += 1;
    }
    table
};

/// Rounds a size up to the next quarter of a power of two, or of 16 bytes below 128.
#[inline]
const fn roomy(size: usize) -> usize {
    if size <= 128 {
        return size.next_multiple_of(16);
    }
    size.next_multiple_of(1 << ((size - 1).ilog2() - 2))
}

/// What jemalloc hands out for a request of so many bytes: multiples of 16 up to 128, then quarters of powers of two, which
/// is how [`roomy`] rounds.
pub(super) const fn size_class(size: usize) -> usize {
    if size <= 8 { 8 } else { roomy(size) }
}

/// When something of an entry expires.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Times {
    /// When the key does, if ever.
    pub(super) key: Option<Millis>,
    /// No field of the hash does earlier, if any ever does. May be too early, never too late.
    pub(super) fields: Option<Millis>,
}

impl Times {
    /// The earlier of both.
    #[inline]
    pub(super) fn first(self) -> Option<Millis> {
        match (self.key, self.fields) {
            (key, None) => key,
            (None, fields) => fields,
            (Some(key), Some(fields)) => Some(key.min(fields)),
        }
    }
}

/// An entry that someone reads where it is.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    start: NonNull<u8>,
    owner: PhantomData<&'a OwnedEntry>,
}

impl<'a> EntryRef<'a> {
    #[inline]
    fn read<T: Copy>(&self, at: usize) -> T {
        // SAFETY: callers pass offsets of fields that the header says exist, so they lie within the allocation; all
        // fields read are plain numbers, and `owner` keeps the entry alive and unmoved.
        unsafe { self.start.add(at).cast::<T>().read_unaligned() }
    }

    #[inline]
    fn slice(&self, at: usize, len: usize) -> &'a [u8] {
        // SAFETY: as for `read`; the bytes are initialised when the entry is made and change only through the owner,
        // which `'a` borrows. `touch` writes the access field alone, which no slice covers.
        unsafe { std::slice::from_raw_parts(self.start.add(at).as_ptr(), len) }
    }

    #[inline]
    fn meta(&self) -> Meta {
        Meta(self.read(0))
    }

    #[inline]
    fn key_len(&self, meta: Meta) -> usize {
        if meta.has(LONG_KEY) {
            self.read::<u32>(meta.key_len_at()) as usize
        } else {
            usize::from(self.read::<u8>(meta.key_len_at()))
        }
    }

    /// The length of a string that is stored inline.
    #[inline]
    fn inline_len(&self, meta: Meta) -> usize {
        match meta.shape() {
            SHORT => usize::from(self.read::<u8>(meta.value_len_at())),
            MEDIUM => usize::from(self.read::<u16>(meta.value_len_at())),
            PACKED..LARGE => self.read::<u32>(meta.value_len_at()) as usize,
            _ => 0,
        }
    }

    /// The structure of a large collection.
    ///
    /// # Safety
    /// The shape is that of a large collection, and `T` is its type.
    #[inline]
    unsafe fn large<T>(&self, meta: Meta) -> &'a T {
        let address = self.read::<*const T>(meta.key_at() + self.key_len(meta));
        // SAFETY: by the caller's word a box was turned into this address; the entry owns it, and `'a` borrows the entry.
        unsafe { &*address }
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        let meta = self.meta();
        self.slice(meta.key_at(), self.key_len(meta))
    }

    /// Is this the key?
    #[inline]
    pub(super) fn has_key(&self, key: &[u8]) -> bool {
        same_bytes(self.key(), key)
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> Value<'a> {
        let meta = self.meta();
        if meta.is_shared() {
            // SAFETY: the shape says that a `Bytes` was written at this offset, a multiple of eight from an aligned
            // start; it lives as long as the entry, which `'a` borrows.
            return Value::Shared(unsafe { self.start.add(meta.shared_at()).cast::<Bytes>().as_ref() });
        }
        let at = meta.key_at() + self.key_len(meta);
        match meta.integer_bytes() {
            Some(1) => Value::Int(self.read::<i8>(at).into()),
            Some(2) => Value::Int(self.read::<i16>(at).into()),
            Some(4) => Value::Int(self.read::<i32>(at).into()),
            Some(_) => Value::Int(self.read::<i64>(at)),
            None if meta.shape() >= PACKED => self.collection(meta),
            None => Value::Bytes(self.slice(at, self.inline_len(meta))),
        }
    }

    /// The value, which is a collection.
    fn collection(&self, meta: Meta) -> Value<'a> {
        // SAFETY: each shape names the type of its structure.
        unsafe {
            match meta.shape() {
                LARGE => Value::List(self.large(meta)),
                LARGE_SET => Value::Set(self.large(meta)),
                LARGE_HASH => Value::Hash(self.large(meta)),
                LARGE_SORTED_SET => Value::SortedSet(self.large(meta)),
                STREAM => Value::Stream(self.large(meta)),
                packed => {
                    let form = Form::ALL[usize::from(packed - PACKED)];
                    Value::Packed(form, self.slice(meta.key_at() + self.key_len(meta), self.inline_len(meta)))
                }
            }
        }
    }

    /// The type of the value.
    #[inline]
    pub fn kind(&self) -> ValueKind {
        match self.meta().shape() {
            0..PACKED => ValueKind::String,
            LARGE => ValueKind::List,
            LARGE_SET => ValueKind::Set,
            LARGE_HASH => ValueKind::Hash,
            LARGE_SORTED_SET => ValueKind::SortedSet,
            STREAM => ValueKind::Stream,
            packed => Form::ALL[usize::from(packed - PACKED)].kind(),
        }
    }

    /// Is it a collection without elements, which no key may hold? A stream may be empty.
    pub fn is_bare(&self) -> bool {
        match self.value() {
            Value::Packed(_, bytes) => crate::value::is_bare(bytes),
            Value::List(list) => list.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::SortedSet(set) => set.is_empty(),
            Value::Stream(_) | Value::Int(_) | Value::Bytes(_) | Value::Shared(_) => false,
        }
    }

    /// The score of a member of a large sorted set.
    #[inline]
    pub fn score(&self) -> f64 {
        let meta = self.meta();
        assert!(meta.shape() == SCORED, "only members of sorted sets have scores");
        self.read(SCORE_AT)
    }

    /// When the key expires, if ever.
    #[inline]
    pub fn expire_at(&self) -> Option<Millis> {
        let meta = self.meta();
        meta.has(EXPIRES).then(|| Millis(self.read(meta.expiry_at())))
    }

    /// Is the expiry time past?
    #[inline]
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expire_at().is_some_and(|at| at < now)
    }

    /// When something of the entry expires.
    #[inline]
    pub(super) fn times(&self) -> Times {
        let meta = self.meta();
        let fields = match meta.shape() {
            // SAFETY: the shape names the type of the structure.
            LARGE_HASH => unsafe { self.large::<Hash>(meta) }.earliest(),
            _ => None,
        };
        Times { key: self.expire_at(), fields }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        let meta = self.meta();
        if meta.shape() >= PACKED {
            match meta.shape() {
                LARGE => match self.value() {
                    Value::List(list) => list.encoding(),
                    _ => "quicklist",
                },
                LARGE_SET | LARGE_HASH => "hashtable",
                LARGE_SORTED_SET => "skiplist",
                STREAM => "stream",
                packed => Form::ALL[usize::from(packed - PACKED)].encoding(),
            }
        } else if meta.integer_bytes().is_some() {
            "int"
        } else if meta.has(RAW) || meta.is_shared() {
            "raw"
        } else {
            "embstr"
        }
    }

    /// The 24 bits about the last access: LRU clock or LFU counter.
    #[inline]
    pub fn access(&self) -> u32 {
        self.read::<u32>(0) >> 8
    }

    /// Sets the access bits (24). A read does this too, so it takes no exclusive access.
    #[inline]
    pub fn touch(&self, access: u32) {
        let header = u32::from(self.meta().0) | access << 8;
        // SAFETY: the first four bytes are the header. No reference ever covers them, and neither entries nor what
        // holds them are `Sync`, so nobody reads them at the same time.
        unsafe { self.start.cast::<u32>().write(header) };
    }

    /// The size of the allocation, and of a shared string's own one, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        let shared = match self.value() {
            Value::Shared(bytes) => bytes.len(),
            _ => 0,
        };
        self.size() + shared
    }

    /// What the allocator hands out for the entry alone, in bytes.
    pub fn entry_bytes(&self) -> usize {
        size_class(self.size())
    }

    /// What the allocator hands out for the entry, and for a shared string, in bytes. A large collection tells itself how
    /// much it takes.
    pub fn memory_bytes(&self) -> usize {
        let size = self.size();
        match self.allocated_bytes() - size {
            0 => self.entry_bytes(),
            shared => self.entry_bytes() + size_class(shared),
        }
    }

    /// The size of the allocation.
    #[inline]
    fn size(&self) -> usize {
        let meta = self.meta();
        meta.size(self.key_len(meta), self.inline_len(meta))
    }

    /// A copy of the entry under another key, with the same value and expiry. A shared value stays shared.
    pub fn copied_under(&self, key: &[u8]) -> OwnedEntry {
        let value = match self.value() {
            Value::Int(value) => NewValue::Int(value),
            Value::Bytes(bytes) => NewValue::Bytes(bytes),
            Value::Shared(bytes) => NewValue::Shared(bytes.clone()),
            Value::Packed(form, bytes) => NewValue::Packed(form, bytes),
            Value::List(list) => NewValue::Large(Large::List(list.copy())),
            Value::Set(set) => NewValue::Large(Large::Set(set.copy())),
            Value::Hash(hash) => NewValue::Large(Large::Hash(hash.copy())),
            Value::SortedSet(set) => NewValue::Large(Large::SortedSet(set.copy())),
            Value::Stream(stream) => NewValue::Large(Large::Stream(stream.copy())),
        };
        OwnedEntry::build(key, value, self.expire_at(), self.meta().has(RAW), self.access())
    }

    /// Asks the processor to load the entry.
    #[inline]
    fn prefetch(&self) {
        prefetch(self.start.as_ptr());
        prefetch(self.start.as_ptr().wrapping_add(64));
    }
}

impl std::fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key().escape_ascii().to_string())
            .field("value", &self.value())
            .field("expire_at", &self.expire_at())
            .finish()
    }
}

/// Asks the processor to load a cache line; any address will do.
#[inline]
pub(super) fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the instruction is part of the x86-64 baseline and never faults, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// Equality for short keys without a call.
#[inline]
fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() || one.len() > 32 {
        return one == other;
    }
    let (Some(last), Some(other_last)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) else {
        return one.iter().zip(other).all(|(a, b)| a == b);
    };
    let same = one.chunks_exact(8).zip(other.chunks_exact(8)).all(|(a, b)| a == b);
    same & (last == other_last)
}

/// An entry and the right to change and free it.
pub struct OwnedEntry {
    start: NonNull<u8>,
}

// SAFETY: an entry is plain bytes and perhaps a `Bytes` or a `Large`, which are `Send`; nothing else points into it.
unsafe impl Send for OwnedEntry {}

impl OwnedEntry {
    /// An entry of these parts.
    pub fn new(key: &[u8], value: NewValue<'_>, expire: Option<Millis>) -> Self {
        Self::build(key, value, expire, false, 0)
    }

    /// `raw` makes a string `raw` even if it is small.
    fn build(key: &[u8], value: NewValue<'_>, expire: Option<Millis>, raw: bool, access: u32) -> Self {
        let (shape, inline_len) = (shape_of(&value), value.inline_len());
        let moves = expire.is_some() && moves_for_expiry(key.len());
        let raw = is_text(shape) && (raw || is_raw(key.len(), inline_len, moves));
        let meta = Meta::new(shape, key.len(), expire.is_some(), raw);
        let entry = Self::allocate(meta.size(key.len(), inline_len));
        // SAFETY: the allocation has the size that `meta` and the lengths ask for, and `key` lies elsewhere.
        unsafe {
            ptr::copy_nonoverlapping(key.as_ptr(), entry.at(meta.key_at()), key.len());
            entry.write_head(meta, access, key.len(), inline_len, expire);
            entry.write_value(meta, key.len(), value);
        }
        ManuallyDrop::into_inner(entry)
    }

    /// Uninitialised memory, which must not be dropped as an entry before it is one.
    #[inline]
    fn allocate(size: usize) -> ManuallyDrop<Self> {
        let layout = layout(size);
        // SAFETY: every entry has at least its header, so the size is not zero.
        let start = unsafe { alloc(layout) };
        match NonNull::new(start) {
            Some(start) => ManuallyDrop::new(Self { start }),
            None => handle_alloc_error(layout),
        }
    }

    #[inline]
    fn at(&self, offset: usize) -> *mut u8 {
        self.start.as_ptr().wrapping_add(offset)
    }

    /// Writes everything before the key.
    ///
    /// # Safety
    /// The allocation has room for what `meta` and the lengths describe.
    #[inline]
    unsafe fn write_head(&self, meta: Meta, access: u32, key_len: usize, inline_len: usize, expire: Option<Millis>) {
        assert!(key_len <= u32::MAX as usize, "keys are bounded far below 4 GiB");
        debug_assert_eq!(meta.has(EXPIRES), expire.is_some());
        // SAFETY: the caller vouches for the room; all offsets come from `meta`.
        unsafe {
            self.at(0).cast::<u32>().write(u32::from(meta.0) | access << 8);
            if let Some(expire) = expire {
                self.at(meta.expiry_at()).cast::<i64>().write_unaligned(expire.0);
            }
            if meta.has(LONG_KEY) {
                self.at(meta.key_len_at()).cast::<u32>().write_unaligned(key_len as u32);
            } else {
                self.at(meta.key_len_at()).write(key_len as u8);
            }
            self.write_inline_len(meta, inline_len);
        }
    }

    /// # Safety
    /// The allocation has a header of this `meta`.
    #[inline]
    unsafe fn write_inline_len(&self, meta: Meta, inline_len: usize) {
        let at = self.at(meta.value_len_at());
        // SAFETY: the shapes name the size of the length field, which is there by the caller's word.
        unsafe {
            match meta.shape() {
                SHORT => at.write(inline_len as u8),
                MEDIUM => at.cast::<u16>().write_unaligned(inline_len as u16),
                PACKED..LARGE => at.cast::<u32>().write_unaligned(inline_len as u32),
                _ => {}
            }
        }
    }

    /// Writes the value after the key, or where shared values are.
    ///
    /// # Safety
    /// The allocation has room for a value of this kind, and holds none that needs dropping.
    #[inline]
    unsafe fn write_value(&self, meta: Meta, key_len: usize, value: NewValue<'_>) {
        let at = self.at(meta.key_at() + key_len);
        // SAFETY: the caller vouches for the room; inline bytes come from outside this allocation.
        unsafe {
            match value {
                NewValue::Int(value) => self.write_integer(meta, at, value),
                NewValue::Bytes(bytes) if meta.is_shared() => self.write_shared(meta, Bytes::copy_from_slice(bytes)),
                NewValue::Bytes(bytes) => ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()),
                NewValue::Shared(bytes) if meta.is_shared() => self.write_shared(meta, bytes),
                NewValue::Shared(bytes) => ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()),
                NewValue::Packed(_, bytes) => ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()),
                NewValue::Large(Large::List(list)) => write_address(at, list),
                NewValue::Large(Large::Set(set)) => write_address(at, set),
                NewValue::Large(Large::Hash(hash)) => write_address(at, hash),
                NewValue::Large(Large::SortedSet(set)) => write_address(at, set),
                NewValue::Large(Large::Stream(stream)) => write_address(at, stream),
            }
        }
    }

    /// # Safety
    /// The shape is an integer's, and `at` is where it goes.
    #[inline]
    unsafe fn write_integer(&self, meta: Meta, at: *mut u8, value: i64) {
        let text = value.to_le_bytes();
        #[cfg(target_endian = "big")]
        compile_error!("the low bytes of an integer are taken from the front of its bytes");
        let len = meta.integer_bytes().expect("only integers come here");
        // SAFETY: the shape says that `len` bytes follow; `len` is at most eight.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), at, len) };
    }

    /// # Safety
    /// The shape is a shared value's, and its place holds none yet.
    #[inline]
    unsafe fn write_shared(&self, meta: Meta, bytes: Bytes) {
        // SAFETY: the shape says that there is room; the offset is a multiple of eight.
        unsafe { self.at(meta.shared_at()).cast::<Bytes>().write(bytes) };
    }

    /// Reads the entry.
    #[inline]
    pub fn as_ref(&self) -> EntryRef<'_> {
        EntryRef { start: self.start, owner: PhantomData }
    }

    /// The same key with another value and expiry; uses the allocation again where it fits.
    pub fn rebuilt(self, value: NewValue<'_>, expire: Option<Millis>) -> Self {
        let old = self.as_ref();
        let (old_meta, access) = (old.meta(), old.access());
        let key_len = old.key_len(old_meta);
        let (shape, inline_len) = (shape_of(&value), value.inline_len());
        // A value that takes the place of one with an expiry is laid out as if it had one, as in Valkey.
        let expires = old_meta.has(EXPIRES) || expire.is_some() && moves_for_expiry(key_len);
        let raw = is_text(shape) && is_raw(key_len, inline_len, expires);
        let meta = Meta::new(shape, key_len, expire.is_some(), raw);
        if old.size() != meta.size(key_len, inline_len) || old_meta.owns() || meta.owns() {
            return Self::build(old.key(), value, expire, raw, access);
        }
        // SAFETY: the allocation has the size that the new layout asks for. The key moves before anything is written
        // over its old place, and neither value needs dropping, as neither has an allocation of its own.
        unsafe {
            ptr::copy(self.at(old_meta.key_at()), self.at(meta.key_at()), key_len);
            self.write_head(meta, access, key_len, inline_len, expire);
            self.write_value(meta, key_len, value);
        }
        self
    }

    /// The same entry with another expiry. A string that was `raw` stays so.
    pub fn with_expiry(self, expire: Option<Millis>) -> Self {
        let meta = self.as_ref().meta();
        match (meta.has(EXPIRES), expire) {
            (false, None) => self,
            (true, Some(at)) => {
                // SAFETY: the header says that the expiry is there.
                unsafe { self.at(meta.expiry_at()).cast::<i64>().write_unaligned(at.0) };
                self
            }
            _ => self.moved_to(None, expire),
        }
    }

    /// The same value and expiry under another key. A shared value moves without a copy.
    pub fn renamed(self, key: &[u8]) -> Self {
        let expire = self.as_ref().expire_at();
        self.moved_to(Some(key), expire)
    }

    /// Moves the value to a new entry with this key (or the same) and expiry.
    fn moved_to(mut self, key: Option<&[u8]>, expire: Option<Millis>) -> Self {
        let shared = self.shared_mut().map(std::mem::take);
        let raw = self.as_ref().meta().has(RAW);
        let large = self.take_large();
        let old = self.as_ref();
        let value = match (shared, large, old.value()) {
            (Some(bytes), _, _) => NewValue::Shared(bytes),
            (_, Some(large), _) => NewValue::Large(large),
            (_, _, Value::Int(value)) => NewValue::Int(value),
            (_, _, Value::Bytes(bytes)) => NewValue::Bytes(bytes),
            (_, _, Value::Packed(form, bytes)) => NewValue::Packed(form, bytes),
            _ => unreachable!("values with an allocation of their own were taken above"),
        };
        Self::build(key.unwrap_or(old.key()), value, expire, raw, old.access())
    }

    /// The shared value, if it is one.
    #[inline]
    fn shared_mut(&mut self) -> Option<&mut Bytes> {
        let meta = self.as_ref().meta();
        if !meta.is_shared() {
            return None;
        }
        // SAFETY: the shape says that a `Bytes` is there, aligned; `&mut self` makes the reference the only one.
        Some(unsafe { &mut *self.at(meta.shared_at()).cast::<Bytes>() })
    }

    /// The same string as an integer; in place if it is one that has room for it.
    pub fn with_integer(self, value: i64) -> Self {
        let old = self.as_ref();
        let meta = old.meta();
        if meta.integer_bytes().is_none() || meta.shape() < integer_shape(value) {
            let expire = old.expire_at();
            return self.rebuilt(NewValue::Int(value), expire);
        }
        // SAFETY: the shape is an integer's that holds the value, and this is its place.
        unsafe { self.write_integer(meta, self.at(meta.key_at() + old.key_len(meta)), value) };
        self
    }

    /// Gives the entry away as a word of a table.
    #[inline]
    pub(super) fn into_word(self, tag: u16) -> Word {
        let volatile = u64::from(self.as_ref().times().first().is_some());
        let address = ManuallyDrop::new(self).start.as_ptr().expose_provenance() as u64;
        assert!(address >> 48 == 0, "user space addresses have 48 bits");
        Word(u64::from(tag) << 48 | address | volatile)
    }
}

/// Gives a box away as an address.
///
/// # Safety
/// There is room for an address at `at`.
#[inline]
unsafe fn write_address<T>(at: *mut u8, large: Box<T>) {
    // SAFETY: the caller vouches for the room.
    unsafe { at.cast::<*mut T>().write_unaligned(Box::into_raw(large)) };
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, ALIGN).expect("a size that fits memory")
}

impl Drop for OwnedEntry {
    #[inline]
    fn drop(&mut self) {
        if self.as_ref().meta().owns() {
            drop(self.take_large());
        }
        let size = self.as_ref().size();
        if let Some(shared) = self.shared_mut() {
            // SAFETY: the value is there, and nothing reads it afterwards.
            unsafe { ptr::drop_in_place(shared) };
        }
        // SAFETY: this is the layout it was allocated with, which follows from header and lengths at all times.
        unsafe { dealloc(self.start.as_ptr(), layout(size)) };
    }
}

impl std::fmt::Debug for OwnedEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// An owned entry as a table keeps it: tag (16 bits), address (48 bits), and in its lowest bit "something of it expires".
///
/// Whoever holds the word in a table owns the entry; copies of the word are only names of it.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Word(u64);

impl Word {
    /// No entry.
    pub(super) const EMPTY: Self = Self(0);

    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The 16 bits of the key's hash. They are the highest bits, so words sort by tag.
    #[inline]
    pub(super) const fn tag(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Does something of the entry expire: the key, or fields of its hash?
    #[inline]
    pub(super) const fn is_volatile(self) -> bool {
        self.0 & 1 != 0
    }

    #[inline]
    fn start(self) -> NonNull<u8> {
        debug_assert!(!self.is_empty());
        let address = self.0 & (u64::MAX >> 16) & !(ALIGN as u64 - 1);
        let start = ptr::with_exposed_provenance_mut(address as usize);
        NonNull::new(start).expect("a word is made from an entry")
    }

    /// The entry, to be read.
    ///
    /// # Safety
    /// The word is in a table (or was just taken from it), so its entry lives, and stays unchanged for `'a`.
    #[inline]
    pub(super) unsafe fn entry<'a>(self) -> EntryRef<'a> {
        EntryRef { start: self.start(), owner: PhantomData }
    }

    /// The entry, owned again.
    ///
    /// # Safety
    /// The word is a live entry's, has left its table, and no other copy of it is used afterwards.
    #[inline]
    pub(super) unsafe fn into_entry(self) -> OwnedEntry {
        OwnedEntry { start: self.start() }
    }

    /// Asks the processor to load the entry.
    #[inline]
    pub(super) fn prefetch(self) {
        EntryRef { start: self.start(), owner: PhantomData }.prefetch();
    }
}
