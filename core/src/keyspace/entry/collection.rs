//! Entries that hold collections, and entries that are members of sorted sets: how they are made and changed.
#![allow(unsafe_code)]

use super::{
    EXPIRES, EntryRef, LARGE, LARGE_HASH, LARGE_SET, LARGE_SORTED_SET, LONG_KEY, Large, Meta, NewValue, OwnedEntry,
    PACKED, SCORE_AT, SCORED, SHAPE_SHIFT, STREAM, Splice, ValueMut, WIDE_INTEGER, layout, prefetch,
};
use crate::keyspace::kinds::Form;
use std::alloc::{handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::{self, NonNull};

impl OwnedEntry {
    /// A member of a large sorted set.
    pub fn scored(member: &[u8], score: f64) -> Self {
        let meta = Meta::new(SCORED, member.len(), false, false);
        let mut entry = Self::allocate(meta.size(member.len(), 0));
        // SAFETY: the allocation has the size that `meta` and the length ask for, and the member lies elsewhere.
        unsafe {
            ptr::copy_nonoverlapping(member.as_ptr(), entry.at(meta.key_at()), member.len());
            entry.write_head(meta, 0, member.len(), 0, None);
        }
        entry.set_score(score);
        ManuallyDrop::into_inner(entry)
    }

    /// Gives a member another score.
    #[inline]
    pub fn set_score(&mut self, score: f64) {
        assert!(self.as_ref().meta().shape() == SCORED, "only members of sorted sets have scores");
        // SAFETY: the shape says that the score is there.
        unsafe { self.at(SCORE_AT).cast::<f64>().write_unaligned(score) };
    }

    /// Gives the key another value; key, expiry and access bits stay.
    pub fn set_value(&mut self, value: NewValue<'_>) {
        let old = self.as_ref();
        let fresh = Self::build(old.key(), value, old.expire_at(), false, old.access());
        *self = fresh;
    }

    /// The value, to be changed.
    #[inline]
    pub fn value_mut(&mut self) -> ValueMut<'_> {
        let meta = self.as_ref().meta();
        // SAFETY: each shape names the type of its structure.
        unsafe {
            match meta.shape() {
                0..PACKED => ValueMut::String,
                LARGE => ValueMut::List(self.large_mut(meta)),
                LARGE_SET => ValueMut::Set(self.large_mut(meta)),
                LARGE_HASH => ValueMut::Hash(self.large_mut(meta)),
                LARGE_SORTED_SET => ValueMut::SortedSet(self.large_mut(meta)),
                STREAM => ValueMut::Stream(self.large_mut(meta)),
                packed => ValueMut::Packed(Form::ALL[usize::from(packed - PACKED)], PackedMut { entry: self }),
            }
        }
    }

    /// # Safety
    /// The shape is that of a large collection, and `T` is its type.
    #[inline]
    unsafe fn large_mut<T>(&mut self, meta: Meta) -> &mut T {
        let entry = self.as_ref();
        let address = entry.read::<*mut T>(meta.key_at() + entry.key_len(meta));
        // SAFETY: by the caller's word a box was turned into this address; `&mut self` makes the reference the only one.
        unsafe { &mut *address }
    }

    /// Takes a large collection out; the entry holds the integer zero afterwards.
    pub fn take_large(&mut self) -> Option<Large> {
        let meta = self.as_ref().meta();
        if meta.shape() < LARGE {
            return None;
        }
        // SAFETY: each shape names the type of its structure, a box was turned into the address, and the entry forgets it
        // here. An integer of eight bytes has the same layout.
        unsafe {
            let large = match meta.shape() {
                LARGE => Large::List(self.boxed(meta)),
                LARGE_SET => Large::Set(self.boxed(meta)),
                LARGE_HASH => Large::Hash(self.boxed(meta)),
                LARGE_SORTED_SET => Large::SortedSet(self.boxed(meta)),
                _ => Large::Stream(self.boxed(meta)),
            };
            let plain = Meta(meta.0 & (EXPIRES | LONG_KEY) | WIDE_INTEGER << SHAPE_SHIFT);
            let at = self.at(meta.key_at() + self.as_ref().key_len(meta));
            self.at(0).write(plain.0);
            at.cast::<u64>().write_unaligned(0);
            Some(large)
        }
    }

    /// # Safety
    /// As for `large_mut`; the entry must forget the address.
    unsafe fn boxed<T>(&self, meta: Meta) -> Box<T> {
        let entry = self.as_ref();
        // SAFETY: by the caller's word a box was turned into this address, and nothing else will turn it back.
        unsafe { Box::from_raw(entry.read::<*mut T>(meta.key_at() + entry.key_len(meta))) }
    }
}

/// Lines of a large collection's structure that are looked at whatever is done with it.
const STRUCTURE_LINES: usize = 2;

impl<'a> EntryRef<'a> {
    /// Asks the processor to load the structure of a large collection.
    #[inline]
    pub(in crate::keyspace) fn prefetch_value(&self) {
        let meta = self.meta();
        if meta.shape() >= LARGE {
            let address = self.read::<*const u8>(meta.key_at() + self.key_len(meta));
            (0..STRUCTURE_LINES).for_each(|line| prefetch(address.wrapping_add(64 * line)));
        }
    }

    /// Where the entry lies: a name of it for as long as it stays there, in 48 bits.
    #[inline]
    pub(in crate::keyspace) fn address(&self) -> u64 {
        self.start.as_ptr().expose_provenance() as u64
    }

    /// The entry at an address.
    ///
    /// # Safety
    /// [`EntryRef::address`] gave the address, and the entry lives there, unchanged, for `'a`.
    #[inline]
    pub(in crate::keyspace) unsafe fn at_address(address: u64) -> Self {
        let start = NonNull::new(ptr::with_exposed_provenance_mut(address as usize));
        Self { start: start.expect("no entry lies at zero"), owner: PhantomData }
    }
}

/// The bytes of a packed collection, to be changed.
#[derive(Debug)]
pub struct PackedMut<'a> {
    entry: &'a mut OwnedEntry,
}

impl PackedMut<'_> {
    /// Where the bytes begin, and how many there are.
    #[inline]
    fn place(entry: &EntryRef<'_>) -> (Meta, usize, usize) {
        let meta = entry.meta();
        (meta, meta.key_at() + entry.key_len(meta), entry.inline_len(meta))
    }

    /// Changes the size of the allocation to what `len` bytes need, those that are kept staying where they are.
    fn resize(&mut self, meta: Meta, len: usize) {
        let old = self.entry.as_ref().size();
        let new = meta.size(self.entry.as_ref().key_len(meta), len);
        if old != new {
            // SAFETY: the entry was allocated with this layout, and the new size is not zero.
            let start = unsafe { realloc(self.entry.start.as_ptr(), layout(old), new) };
            self.entry.start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout(new)));
        }
        // SAFETY: the header is there, and the allocation has the size that goes with this length.
        unsafe { self.entry.write_inline_len(meta, len) };
    }
}

impl Splice for PackedMut<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        let entry = self.entry.as_ref();
        let (_, at, len) = Self::place(&entry);
        entry.slice(at, len)
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        let (_, at, len) = Self::place(&self.entry.as_ref());
        // SAFETY: the header says that the bytes are there; `&mut self` makes the reference the only one.
        unsafe { std::slice::from_raw_parts_mut(self.entry.at(at), len) }
    }

    fn splice(&mut self, range: Range<usize>, with: &[u8]) {
        let (meta, at, len) = Self::place(&self.entry.as_ref());
        assert!(range.start <= range.end && range.end <= len, "what is replaced is there");
        let new_len = len - range.len() + with.len();
        assert!(new_len <= u32::MAX as usize, "packed collections are bounded far below 4 GiB");
        let tail = len - range.end;
        if new_len > len {
            self.resize(meta, new_len);
        }
        // SAFETY: before and after the move the bytes lie within the allocation, which has room for the longer of both
        // lengths here; `with` lies elsewhere, as the entry is borrowed mutably.
        unsafe {
            let start = self.entry.at(at);
            ptr::copy(start.add(range.end), start.add(range.start + with.len()), tail);
            ptr::copy_nonoverlapping(with.as_ptr(), start.add(range.start), with.len());
        }
        if new_len < len {
            self.resize(meta, new_len);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keyspace::{KeyHasher, Value, ValueKind};
    use crate::prng::Prng;
    use crate::units::Millis;
    use crate::value::set::Set;

    fn packed(entry: &OwnedEntry) -> Vec<u8> {
        match entry.as_ref().value() {
            Value::Packed(Form::Hash, bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packed_bytes_change_like_a_vector() {
        let mut prng = Prng::new(1);
        for expire in [None, Some(Millis(77))] {
            let mut model = b"some".to_vec();
            let mut entry = OwnedEntry::new(b"key", NewValue::Packed(Form::Hash, &model), expire);
            entry.as_ref().touch(0xabcdef);
            for step in 0..2000_u64 {
                let from = prng.below(model.len() as u64 + 1) as usize;
                let to = from + prng.below((model.len() - from) as u64 + 1).min(40) as usize;
                let with = vec![step as u8; prng.below(60) as usize];
                Splice::splice(&mut model, from..to, &with);
                let ValueMut::Packed(Form::Hash, mut bytes) = entry.value_mut() else { panic!("it is packed") };
                bytes.splice(from..to, &with);
                if !model.is_empty() {
                    bytes.bytes_mut()[0] = 7;
                    model[0] = 7;
                }
                assert_eq!(packed(&entry), model);
                assert_eq!((entry.as_ref().key(), entry.as_ref().expire_at()), (&b"key"[..], expire));
            }
            assert_eq!(entry.as_ref().access(), 0xabcdef);
            assert_eq!(entry.as_ref().kind(), ValueKind::Hash);
            let entry = entry.with_expiry(Some(Millis(5))).renamed(b"other");
            assert_eq!(packed(&entry), model);
            assert_eq!((entry.as_ref().key(), entry.as_ref().expire_at()), (&b"other"[..], Some(Millis(5))));
        }
    }

    #[test]
    fn a_large_value_is_moved_and_taken() {
        let large = || NewValue::Large(Large::Set(Set::with_room(&KeyHasher::new([0; 4]), 0)));
        let entry = OwnedEntry::new(b"key", large(), None).with_expiry(Some(Millis(9))).renamed(&[b'k'; 300]);
        assert_eq!(entry.as_ref().kind(), ValueKind::Set);
        assert_eq!(entry.as_ref().encoding(), "hashtable");
        let mut copy = entry.as_ref().copied_under(b"copy");
        assert!(matches!(copy.take_large(), Some(Large::Set(_))));
        assert!(copy.take_large().is_none());
        assert_eq!((copy.as_ref().kind(), copy.as_ref().expire_at()), (ValueKind::String, Some(Millis(9))));
        let entry = entry.rebuilt(NewValue::Bytes(b"text"), None);
        assert_eq!(entry.as_ref().value().len(), 4);
        let mut entry = entry.rebuilt(large(), None);
        entry.set_value(NewValue::Packed(Form::IntSet, &[1, 2]));
        assert_eq!((entry.as_ref().encoding(), entry.as_ref().kind()), ("intset", ValueKind::Set));
    }

    #[test]
    fn members_have_scores() {
        for len in [0, 17, 254, 255, 70_000] {
            let mut entry = OwnedEntry::scored(&vec![b'm'; len], -1.5);
            assert_eq!((entry.as_ref().score(), entry.as_ref().key().len()), (-1.5, len));
            entry.set_score(f64::INFINITY);
            assert_eq!((entry.as_ref().score(), entry.as_ref().key()), (f64::INFINITY, &vec![b'm'; len][..]));
        }
        assert_eq!(OwnedEntry::scored(&[b'm'; 17], 1.0).as_ref().entry_bytes(), 32);
    }
}
