//! Sets of integers, packed: sorted, all of one width, found by halving.
//!
//! ```text
//! [width 1: 2, 4 or 8][0][integers, little endian, ascending ...]
//! ```

use super::{PACKED_HEAD_BYTES, Splice};
use std::ops::Range;

/// Such a set without members.
pub const EMPTY: [u8; PACKED_HEAD_BYTES] = [2, 0];

/// The bytes of one integer as they lie in a set of this width.
type Wide = [u8; 8];

/// How many bytes an integer takes.
const fn width_of(value: i64) -> usize {
    if value == value as i16 as i64 {
        2
    } else if value == value as i32 as i64 {
        4
    } else {
        8
    }
}

#[inline]
fn width(bytes: &[u8]) -> usize {
    usize::from(bytes[0])
}

/// How many members there are.
#[inline]
pub fn len(bytes: &[u8]) -> usize {
    (bytes.len() - PACKED_HEAD_BYTES) / width(bytes)
}

#[inline]
fn range(width: usize, index: usize) -> Range<usize> {
    let at = PACKED_HEAD_BYTES + index * width;
    at..at + width
}

#[inline]
fn read<const WIDTH: usize>(bytes: &[u8], index: usize) -> i64 {
    let raw: [u8; WIDTH] = bytes[range(WIDTH, index)].try_into().expect("the range is that wide");
    let mut wide: Wide = [0; 8];
    wide[8 - WIDTH..].copy_from_slice(&raw);
    i64::from_le_bytes(wide) >> (64 - 8 * WIDTH)
}

/// The member with this number in ascending order; there must be one.
#[inline]
pub fn at(bytes: &[u8], index: usize) -> i64 {
    match width(bytes) {
        2 => read::<2>(bytes, index),
        4 => read::<4>(bytes, index),
        _ => read::<8>(bytes, index),
    }
}

/// All members, ascending.
pub fn iter(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    (0..len(bytes)).map(|index| at(bytes, index))
}

/// The number of a member, or the number it would have.
pub fn search(bytes: &[u8], value: i64) -> Result<usize, usize> {
    match width(bytes) {
        2 => halve::<2>(bytes, value),
        4 => halve::<4>(bytes, value),
        _ => halve::<8>(bytes, value),
    }
}

#[inline]
fn halve<const WIDTH: usize>(bytes: &[u8], value: i64) -> Result<usize, usize> {
    let count = (bytes.len() - PACKED_HEAD_BYTES) / WIDTH;
    // Sets are often filled in ascending order.
    if count == 0 || read::<WIDTH>(bytes, count - 1) < value {
        return Err(count);
    }
    let (mut low, mut rest) = (0, count);
    while rest > 1 {
        let half = rest / 2;
        if read::<WIDTH>(bytes, low + half) <= value {
            low += half;
        }
        rest -= half;
    }
    match read::<WIDTH>(bytes, low).cmp(&value) {
        std::cmp::Ordering::Equal => Ok(low),
        std::cmp::Ordering::Less => Err(low + 1),
        std::cmp::Ordering::Greater => Err(low),
    }
}

/// Is it a member?
#[inline]
pub fn contains(bytes: &[u8], value: i64) -> bool {
    search(bytes, value).is_ok()
}

/// Adds a member; was it absent?
pub fn insert(set: &mut impl Splice, value: i64) -> bool {
    let (old, needed) = (width(set.bytes()), width_of(value));
    if needed > old {
        widen(set, needed);
    }
    let index = match search(set.bytes(), value) {
        Ok(_) => return false,
        Err(index) => index,
    };
    let width = width(set.bytes());
    let at = range(width, index).start;
    set.splice(at..at, &value.to_le_bytes()[..width]);
    true
}

/// Gives all members this width.
#[cold]
fn widen(set: &mut impl Splice, width: usize) {
    let mut wide = Vec::with_capacity(PACKED_HEAD_BYTES + len(set.bytes()) * width);
    wide.extend_from_slice(&[width as u8, 0]);
    for value in iter(set.bytes()) {
        wide.extend_from_slice(&value.to_le_bytes()[..width]);
    }
    let all = 0..set.bytes().len();
    set.splice(all, &wide);
}

/// Removes a member; was it one?
pub fn remove(set: &mut impl Splice, value: i64) -> bool {
    let Ok(index) = search(set.bytes(), value) else { return false };
    remove_at(set, index);
    true
}

/// Removes the member with this number.
pub fn remove_at(set: &mut impl Splice, index: usize) {
    let range = range(width(set.bytes()), index);
    set.splice(range, &[]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prng::Prng;
    use std::collections::BTreeSet;

    #[test]
    fn integers_of_all_widths_are_like_a_set() {
        for seed in 0..20 {
            let mut prng = Prng::new(seed);
            let mut model = BTreeSet::new();
            let mut set = EMPTY.to_vec();
            for step in 0..600 {
                // Later steps bring larger numbers.
                let bits = 4 + prng.below(1 + step / 10);
                let value = (prng.next_u64() as i64) >> (64 - bits.min(64));
                if prng.below(3) > 0 {
                    assert_eq!(insert(&mut set, value), model.insert(value));
                } else {
                    assert_eq!(remove(&mut set, value), model.remove(&value));
                }
                assert_eq!(contains(&set, value), model.contains(&value));
                assert!(iter(&set).eq(model.iter().copied()));
                assert_eq!(len(&set), model.len());
            }
        }
    }

    #[test]
    fn the_bounds_of_widths_are_kept() {
        let mut set = EMPTY.to_vec();
        for (value, bytes) in [
            (i64::from(i16::MAX), 2 + 2),
            (i64::from(i16::MIN), 2 + 4),
            (i64::from(i16::MAX) + 1, 2 + 12),
            (i64::from(i32::MIN), 2 + 16),
            (i64::from(i32::MIN) - 1, 2 + 40),
            (i64::MAX, 2 + 48),
            (i64::MIN, 2 + 56),
        ] {
            assert!(insert(&mut set, value));
            assert!(!insert(&mut set, value));
            assert_eq!(set.len(), bytes, "{value}");
        }
        assert!(iter(&set).is_sorted());
        assert_eq!(at(&set, 0), i64::MIN);
        while len(&set) > 0 {
            let half = len(&set) / 2;
            remove_at(&mut set, half);
        }
        assert_eq!(set, [8, 0]);
    }
}
