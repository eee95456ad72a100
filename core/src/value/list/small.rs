//! A small list: a count in two bytes, then the elements as a node has them.

use super::End;
use super::entry::{Needle, close_gaps, entry_bytes, entry_of, find_all, next, previous, read, seek, write_entry};
use crate::value::{Element, PACKED_HEAD_BYTES, Splice};

/// Most elements of a small list. Lists that may hold more in one node of Valkey's are large here, and do not tell.
pub(super) const COUNT_MAX: usize = u16::MAX as usize;

/// A small list without elements.
pub(super) const EMPTY: &[u8] = &[0; PACKED_HEAD_BYTES];

/// How many elements there are.
#[inline]
pub(super) fn count(packed: &[u8]) -> usize {
    usize::from(packed[0]) | usize::from(packed[1]) << 8
}

/// The elements.
#[inline]
pub(super) fn entries(packed: &[u8]) -> &[u8] {
    &packed[PACKED_HEAD_BYTES..]
}

fn add_to_count(packed: &mut impl Splice, change: isize) {
    let head = &mut packed.bytes_mut()[..PACKED_HEAD_BYTES];
    let count = (usize::from(head[0]) | usize::from(head[1]) << 8).wrapping_add_signed(change);
    debug_assert!(count <= COUNT_MAX);
    head.copy_from_slice(&(count as u16).to_le_bytes());
}

/// Adds an element at an end.
#[inline]
pub(super) fn push(packed: &mut impl Splice, end: End, element: &Element<'_>) {
    let at = match end {
        End::Head => PACKED_HEAD_BYTES,
        End::Tail => packed.bytes().len(),
    };
    let need = entry_bytes(element);
    let mut short = [0; 64];
    match short.get_mut(..need) {
        Some(entry) => {
            write_entry(entry, element);
            packed.splice(at..at, entry);
        }
        None => packed.splice(at..at, &entry_of(element)),
    }
    add_to_count(packed, 1);
}

/// Removes the element at an end of a list that has one.
#[inline]
pub(super) fn pop(packed: &mut impl Splice, end: End) {
    add_to_count(packed, -1);
    let bytes = packed.bytes();
    let range = match end {
        End::Head => PACKED_HEAD_BYTES..PACKED_HEAD_BYTES + next(entries(bytes), 0),
        End::Tail => PACKED_HEAD_BYTES + previous(entries(bytes), bytes.len() - PACKED_HEAD_BYTES)..bytes.len(),
    };
    packed.splice(range, &[]);
}

/// Removes so many elements, at most all, from an end.
pub(super) fn cut(packed: &mut impl Splice, end: End, elements: usize) {
    let bytes = packed.bytes();
    let all = count(bytes);
    let range = match end {
        End::Head => PACKED_HEAD_BYTES..PACKED_HEAD_BYTES + seek(entries(bytes), all, elements),
        End::Tail => PACKED_HEAD_BYTES + seek(entries(bytes), all, all - elements)..bytes.len(),
    };
    packed.splice(range, &[]);
    add_to_count(packed, -(elements as isize));
}

/// Puts an element before (`Head`) or behind (`Tail`) the first one that equals the pivot. Is there one?
pub(super) fn insert_beside(packed: &mut impl Splice, pivot: &Needle<'_>, side: End, element: &Element<'_>) -> bool {
    let bytes = entries(packed.bytes());
    let mut at = 0;
    while at < bytes.len() {
        let (found, next) = read(bytes, at);
        if found == pivot.element {
            let at = PACKED_HEAD_BYTES + if side == End::Head { at } else { next };
            packed.splice(at..at, &entry_of(element));
            add_to_count(packed, 1);
            return true;
        }
        at = next;
    }
    false
}

/// Replaces element `index`. Is there one?
pub(super) fn set(packed: &mut impl Splice, index: usize, element: &Element<'_>) -> bool {
    let (bytes, all) = (packed.bytes(), count(packed.bytes()));
    if index >= all {
        return false;
    }
    let at = seek(entries(bytes), all, index);
    let end = next(entries(bytes), at);
    packed.splice(PACKED_HEAD_BYTES + at..PACKED_HEAD_BYTES + end, &entry_of(element));
    true
}

/// Removes at most `most` elements that equal the needle, beginning at an end. The answer: how many.
pub(super) fn remove_equal(packed: &mut impl Splice, needle: &Needle<'_>, most: usize, from: End) -> usize {
    let mut found = Vec::new();
    find_all(entries(packed.bytes()), needle, most, from == End::Tail, &mut found);
    if !found.is_empty() {
        let left = close_gaps(&mut packed.bytes_mut()[PACKED_HEAD_BYTES..], &found);
        let end = packed.bytes().len();
        packed.splice(PACKED_HEAD_BYTES + left..end, &[]);
        add_to_count(packed, -(found.len() as isize));
    }
    found.len()
}

/// A small list of these elements.
pub(super) fn of_entries(entries: &[u8], count: usize) -> Vec<u8> {
    debug_assert!(count <= COUNT_MAX);
    let mut packed = Vec::with_capacity(PACKED_HEAD_BYTES + entries.len());
    packed.extend_from_slice(&(count as u16).to_le_bytes());
    packed.extend_from_slice(entries);
    packed
}
