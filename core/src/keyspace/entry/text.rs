//! Strings that are changed where they lie: grown, and written to in the midst.
#![allow(unsafe_code)]

use super::{MEDIUM, Meta, OwnedEntry, RAW, SHORT, layout, string_shape};
use crate::keyspace::kinds::NewValue;
use crate::limits::SHARED_VALUE_BYTES_MIN;
use crate::value::Splice;
use bytes::{Bytes, BytesMut};
use std::alloc::{handle_alloc_error, realloc};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::{self, NonNull};

impl OwnedEntry {
    /// The same string with `bytes` at `offset`, zeros before them where it was shorter, and its new length.
    ///
    /// The string is `raw` afterwards, and has room to grow.
    pub fn with_range(mut self, offset: usize, bytes: &[u8]) -> (Self, usize) {
        let old_len = self.as_ref().value().len();
        let new_len = old_len.max(offset + bytes.len());
        if new_len < SHARED_VALUE_BYTES_MIN {
            self = self.grown(old_len, new_len);
            self.inline_mut()[offset..][..bytes.len()].copy_from_slice(bytes);
            return (self, new_len);
        }
        let change = |mut text: BytesMut| {
            text[offset..][..bytes.len()].copy_from_slice(bytes);
            text.freeze()
        };
        if let Some(shared) = self.shared_mut() {
            *shared = change(match std::mem::take(shared).try_into_mut() {
                Ok(mut text) if !is_mostly_new(old_len, new_len) => {
                    text.resize(new_len, 0);
                    text
                }
                Ok(text) => lengthened(&text, new_len),
                // Somebody is still being sent it.
                Err(sent) => lengthened(&sent, new_len),
            });
            return (self, new_len);
        }
        let text = change(lengthened(self.as_ref().value().as_bytes(&mut itoa::Buffer::new()), new_len));
        let expire = self.as_ref().expire_at();
        (self.rebuilt(NewValue::Shared(text), expire), new_len)
    }

    /// The same string, `raw`, inline, and zeros up to `new_len`.
    fn grown(self, old_len: usize, new_len: usize) -> Self {
        debug_assert!(old_len <= new_len && new_len < SHARED_VALUE_BYTES_MIN);
        let old = self.as_ref();
        let old_meta = old.meta();
        let key_len = old.key_len(old_meta);
        let expire = old.expire_at();
        let meta = Meta::new(string_shape(new_len), key_len, expire.is_some(), true);
        let (old_size, new_size) = (old.size(), meta.size(key_len, new_len));
        let mut entry = ManuallyDrop::new(self);
        if meta.shape() != old_meta.shape() {
            let mut buffer = itoa::Buffer::new();
            let text = old_text(&entry, &mut buffer);
            let fresh = Self::allocate(new_size);
            // SAFETY: the allocation has the size that the layout asks for; key and text lie in the old one, which is
            // freed by the guard after they were copied.
            unsafe {
                let key = entry.as_ref().key();
                ptr::copy_nonoverlapping(key.as_ptr(), fresh.at(meta.key_at()), key_len);
                fresh.write_head(meta, entry.as_ref().access(), key_len, new_len, expire);
                ptr::copy_nonoverlapping(text.as_ptr(), fresh.at(meta.key_at() + key_len), text.len());
                drop(ManuallyDrop::into_inner(entry));
            }
            entry = fresh;
        } else if old_size != new_size {
            // SAFETY: the entry was allocated with this layout, and the new size is not zero. Shape and flags that
            // place the fields are the same, so everything stays where it is.
            let start = unsafe { realloc(entry.start.as_ptr(), layout(old_size), new_size) };
            entry.start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout(new_size)));
        }
        // SAFETY: header and room are those of `meta` now; the bytes from the old length on are written before
        // anyone reads them.
        unsafe {
            entry.at(0).write(meta.0);
            entry.write_inline_len(meta, new_len);
            ptr::write_bytes(entry.at(meta.key_at() + key_len + old_len), 0, new_len - old_len);
        }
        ManuallyDrop::into_inner(entry)
    }

    /// The same string with `with` in place of a range of its bytes. The string is `raw` afterwards.
    pub fn with_spliced(mut self, range: Range<usize>, with: &[u8]) -> Self {
        let old_len = self.as_ref().value().len();
        assert!(range.start <= range.end && range.end <= old_len, "what is replaced is there");
        let new_len = old_len - range.len() + with.len();
        let tail = range.start + with.len();
        if old_len.max(new_len) >= SHARED_VALUE_BYTES_MIN {
            let mut text = self.as_ref().value().as_bytes(&mut itoa::Buffer::new()).to_vec();
            Splice::splice(&mut text, range, with);
            let expire = self.as_ref().expire_at();
            return self.rebuilt(NewValue::Shared(Bytes::from(text)), expire);
        }
        self = self.grown(old_len, old_len.max(new_len));
        let text = self.inline_mut();
        text.copy_within(range.end..old_len, tail);
        text[range.start..tail].copy_from_slice(with);
        if new_len < old_len { self.cut(new_len) } else { self }
    }

    /// The same `raw` string, inline, without what is behind `new_len`.
    fn cut(mut self, new_len: usize) -> Self {
        let old = self.as_ref();
        let (meta, key_len) = (old.meta(), old.key_len(old.meta()));
        debug_assert!(meta.has(RAW) && new_len <= old.inline_len(meta));
        if meta.shape() != string_shape(new_len) {
            let mut buffer = itoa::Buffer::new();
            let text = &old.value().as_bytes(&mut buffer)[..new_len];
            return Self::build(old.key(), NewValue::Bytes(text), old.expire_at(), true, old.access());
        }
        let (old_size, new_size) = (old.size(), meta.size(key_len, new_len));
        if old_size != new_size {
            // SAFETY: the entry was allocated with this layout, and the new size is not zero. All that stays lies before
            // the bytes that go.
            let start = unsafe { realloc(self.start.as_ptr(), layout(old_size), new_size) };
            self.start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout(new_size)));
        }
        // SAFETY: the header is there, and the allocation has the size that goes with this length.
        unsafe { self.write_inline_len(meta, new_len) };
        self
    }

    /// The bytes of a string that is stored inline, to be changed where they are; an integer and a shared string have
    /// none. Its encoding stays, so this is for strings that are `raw`.
    #[inline]
    pub fn text_mut(&mut self) -> Option<&mut [u8]> {
        matches!(self.as_ref().meta().shape(), SHORT | MEDIUM).then(|| self.inline_mut())
    }

    /// The bytes of a string that is stored inline.
    fn inline_mut(&mut self) -> &mut [u8] {
        let entry = self.as_ref();
        let meta = entry.meta();
        let (at, len) = (meta.key_at() + entry.key_len(meta), entry.inline_len(meta));
        // SAFETY: the header says that the bytes are there; `&mut self` makes the reference the only one.
        unsafe { std::slice::from_raw_parts_mut(self.at(at), len) }
    }
}

/// Is most of a string that grows what it grows by?
fn is_mostly_new(old_len: usize, new_len: usize) -> bool {
    old_len <= new_len / 2
}

/// A text with zeros behind it. The system hands out large memory as zeros that take no room yet, so one bit far behind the
/// end does not cost as much as all the bytes before it.
fn lengthened(text: &[u8], new_len: usize) -> BytesMut {
    if is_mostly_new(text.len(), new_len) {
        let mut long = BytesMut::zeroed(new_len);
        long[..text.len()].copy_from_slice(text);
        return long;
    }
    let mut long = BytesMut::with_capacity(new_len + new_len / 4);
    long.extend_from_slice(text);
    long.resize(new_len, 0);
    long
}

/// The text of a string that is stored inline.
fn old_text<'a>(entry: &'a OwnedEntry, buffer: &'a mut itoa::Buffer) -> &'a [u8] {
    entry.as_ref().value().as_bytes(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;
    use crate::units::Millis;

    fn text(entry: &OwnedEntry) -> Vec<u8> {
        entry.as_ref().value().as_bytes(&mut itoa::Buffer::new()).to_vec()
    }

    #[test]
    fn a_string_is_spliced_like_a_vector() {
        let mut prng = Prng::new(3);
        for (first, expire) in [(NewValue::Int(1234), None), (NewValue::Bytes(b"some"), Some(Millis(77)))] {
            let mut entry = OwnedEntry::new(b"key", first, expire);
            let mut model = text(&entry);
            entry.as_ref().touch(0xabcdef);
            for step in 0..3000_u64 {
                let from = prng.below(model.len() as u64 + 1) as usize;
                let most = if step % 100 == 0 { 20_000 } else { 40 };
                let to = from + prng.below((model.len() - from) as u64 + 1).min(most) as usize;
                let with = vec![step as u8; prng.below(if step % 100 == 50 { 20_000 } else { 40 }) as usize];
                Splice::splice(&mut model, from..to, &with);
                entry = entry.with_spliced(from..to, &with);
                if let (Some(text), Some(byte)) = (entry.text_mut(), model.last_mut()) {
                    *byte = 7;
                    text[text.len() - 1] = 7;
                }
                assert_eq!(text(&entry), model);
                assert_eq!((entry.as_ref().encoding(), entry.as_ref().expire_at()), ("raw", expire));
            }
            assert_eq!((entry.as_ref().key(), entry.as_ref().access()), (&b"key"[..], 0xabcdef));
        }
    }

    #[test]
    fn a_byte_far_behind_the_end_is_written() {
        for first in [NewValue::Bytes(b"some"), NewValue::Bytes(&[1; 20_000])] {
            let entry = OwnedEntry::new(b"key", first, None);
            let mut model = text(&entry);
            model.resize(70_000, 0);
            model.push(9);
            let (entry, len) = entry.with_range(70_000, &[9]);
            assert_eq!(len, 70_001);
            assert_eq!(text(&entry), model);
        }
    }
}
