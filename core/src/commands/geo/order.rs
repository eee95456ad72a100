//! The order of what was found: by distance, and which of those at the same distance comes first.
//!
//! All of them are sorted stably. But where only the nearest are wanted, Valkey sorts with a quicksort that leaves alone what is
//! beyond them (the one of Bentley and McIlroy, "Engineering a Sort Function", Software: Practice and Experience, 1993), and
//! that is not stable: of places at the same distance, its pivots decide which are among the first. So the same algorithm is
//! used here, on small keys.

/// A key by which it is sorted, and which of the found it is.
pub(super) type Ranked = (u64, u32);

/// So often the wanted part may be divided. A sequence that is made to spoil the pivots is sorted otherwise from there on.
const DIVISIONS_MAX: u32 = 128;

/// So few are sorted by insertion.
const FEW: usize = 7;

/// From so many on, a pivot is the middle of nine.
const MANY: usize = 40;

/// The key of a distance, which is not negative.
#[inline]
pub(super) fn key(distance: f64, descends: bool) -> u64 {
    // The sign is that of no number at all, if any.
    let bits = distance.abs().to_bits();
    if descends { !bits } else { bits }
}

/// Brings the first `wanted` to the front, in order.
pub(super) fn sort_first(found: &mut [Ranked], wanted: usize) {
    if wanted >= found.len() {
        found.sort_unstable();
    } else {
        divide(found, wanted, DIVISIONS_MAX);
    }
}

fn divide(mut found: &mut [Ranked], mut wanted: usize, mut divisions: u32) {
    loop {
        let len = found.len();
        if len < FEW {
            return insert(found);
        }
        if divisions == 0 {
            return found.sort_unstable();
        }
        divisions -= 1;
        let (lower, upper) = partition(found);
        let (rest, above) = found.split_at_mut(len - upper);
        if lower > 1 {
            divide(&mut rest[..lower], wanted, divisions);
        }
        let start = len - upper;
        if upper <= 1 || wanted <= start {
            return;
        }
        (found, wanted) = (above, wanted - start);
    }
}

fn insert(found: &mut [Ranked]) {
    for end in 1..found.len() {
        let mut at = end;
        while at > 0 && found[at - 1].0 > found[at].0 {
            found.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// The one in the middle of three.
fn median(found: &[Ranked], one: usize, two: usize, three: usize) -> usize {
    let [a, b, c] = [one, two, three].map(|index| found[index].0);
    if a < b {
        if b < c {
            two
        } else if a < c {
            three
        } else {
            one
        }
    } else if b > c {
        two
    } else if a < c {
        one
    } else {
        three
    }
}

fn pivot(found: &[Ranked]) -> usize {
    let len = found.len();
    let (first, middle, last) = (0, len / 2, len - 1);
    if len == FEW {
        return middle;
    }
    if len <= MANY {
        return median(found, first, middle, last);
    }
    let step = len / 8;
    let first = median(found, first, first + step, first + 2 * step);
    let middle = median(found, middle - step, middle, middle + step);
    let last = median(found, last - 2 * step, last - step, last);
    median(found, first, middle, last)
}

/// Brings what is less than a pivot to the front and what is greater to the end. The answer is how many these are.
fn partition(found: &mut [Ranked]) -> (usize, usize) {
    let len = found.len();
    found.swap(0, pivot(found));
    let pivot = found[0].0;
    // Those equal to the pivot gather at both ends at first: before `left`, and behind `right`.
    let (mut left, mut low) = (1, 1);
    let (mut right, mut high) = (len - 1, len - 1);
    loop {
        while low <= high && found[low].0 <= pivot {
            if found[low].0 == pivot {
                found.swap(left, low);
                left += 1;
            }
            low += 1;
        }
        while low <= high && found[high].0 >= pivot {
            if found[high].0 == pivot {
                found.swap(high, right);
                right -= 1;
            }
            high -= 1;
        }
        if low > high {
            break;
        }
        found.swap(low, high);
        low += 1;
        high -= 1;
    }
    exchange(found, 0, low, left.min(low - left));
    exchange(found, low, len, (right - high).min(len - 1 - right));
    (low - left, right - high)
}

/// Exchanges the first `count` from `start` on with the last `count` before `end`.
fn exchange(found: &mut [Ranked], start: usize, end: usize, count: usize) {
    for index in 0..count {
        found.swap(start + index, end - count + index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;

    fn ranked(keys: impl Iterator<Item = u64>) -> Vec<Ranked> {
        keys.zip(0..).collect()
    }

    fn check(found: Vec<Ranked>, wanted: usize) {
        let (mut sorted, mut first) = (found.clone(), found.clone());
        sorted.sort_unstable();
        sort_first(&mut first, wanted);
        let keys = |found: &[Ranked]| found[..wanted].iter().map(|(key, _)| *key).collect::<Vec<_>>();
        assert_eq!(keys(&first), keys(&sorted), "{wanted} of {found:?}");
        first.sort_unstable();
        assert_eq!(first, sorted, "nothing is lost");
    }

    #[test]
    fn the_first_are_in_order() {
        let mut prng = Prng::new(17);
        for round in 0..2000_usize {
            let (len, kinds) = (1 + round % 300, 1 + prng.next_u64() % 500);
            let found = ranked((0..len).map(|_| prng.next_u64() % kinds));
            check(found, 1 + (prng.next_u64() as usize) % len);
        }
        for len in [6, 7, 8, 40, 41, 500] {
            check(ranked((0..len).rev()), 3);
            check(ranked(0..len), 3);
            check(ranked((0..len).map(|_| 1)), 3);
            check(ranked((0..len).map(|key| key % 2)), len as usize - 1);
        }
    }

    /// Keys that make every pivot the worst one: the classic adversary, which decides on keys as they are compared, would need the
    /// algorithm to ask it; organ pipes come near.
    #[test]
    fn bad_pivots_end() {
        let len = 20_000_u64;
        check(ranked((0..len).map(|key| key.min(len - key))), 19_999);
        let mut found = ranked((0..len).map(|key| key ^ 1));
        divide(&mut found, 19_999, 0);
        assert!(found.is_sorted());
    }

    #[test]
    fn keys_have_the_order_of_distances() {
        assert!(key(1.0, false) < key(2.0, false) && key(1.0, true) > key(2.0, true));
        assert!(key(f64::MAX, false) < key(-f64::NAN, false));
    }
}
