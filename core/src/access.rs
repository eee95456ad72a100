//! The access bits of an entry: when it was last used, or how often, as eviction and OBJECT want to know it.

use crate::prng::Prng;
use crate::units::Millis;

/// The access bits of an entry.
const BITS_MASK: u32 = 0xff_ffff;

/// The count that a new key begins with, so that it is not evicted before it can prove itself.
const FRESH_COUNT: u32 = 5;

/// The largest count.
const COUNT_MAX: u32 = 255;

/// What the access bits hold: the choice of `maxmemory-policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessRule {
    /// The second of the last use, going round in 24 bits.
    #[default]
    LastUse,
    /// The minute of the last use in 16 bits, and below it a logarithmic count of uses in 8.
    Count {
        /// `lfu-log-factor`: how many uses it takes to be counted.
        log_factor: u32,
        /// `lfu-decay-time`: after so many minutes without use the count falls by one; 0: never.
        decay_minutes: u32,
    },
}

impl AccessRule {
    /// The bits of a new entry.
    #[inline]
    pub fn fresh(self, now: Millis) -> u32 {
        match self {
            Self::LastUse => seconds(now),
            Self::Count { .. } => minutes(now) << 8 | FRESH_COUNT,
        }
    }

    /// The bits of an entry that was last used so many seconds ago, where that is what is kept.
    pub fn idle(self, ago: i64, now: Millis) -> u32 {
        (now.as_seconds().wrapping_sub(ago) as u32) & BITS_MASK
    }

    /// The bits of an entry with this count of uses (255 at most), where counts are kept.
    pub fn used_so_often(self, count: u32, now: Millis) -> u32 {
        minutes(now) << 8 | count.min(COUNT_MAX)
    }

    /// The bits of an entry after it has been used.
    #[inline]
    pub fn used(self, bits: u32, now: Millis, prng: &mut Prng) -> u32 {
        match self {
            Self::LastUse => seconds(now),
            Self::Count { log_factor, .. } => {
                let count = self.frequency(bits, now).unwrap_or(0);
                // The more uses a key has, the rarer one is counted.
                let odds = u64::from(count.saturating_sub(FRESH_COUNT)) * u64::from(log_factor) + 1;
                let counted = count < COUNT_MAX && prng.below(odds) == 0;
                minutes(now) << 8 | (count + u32::from(counted))
            }
        }
    }

    /// For how many seconds the entry has not been used, if that is kept.
    pub fn idle_seconds(self, bits: u32, now: Millis) -> Option<u32> {
        match self {
            Self::LastUse => Some(seconds(now).wrapping_sub(bits) & BITS_MASK),
            Self::Count { .. } => None,
        }
    }

    /// The count of uses as of now, if that is kept.
    pub fn frequency(self, bits: u32, now: Millis) -> Option<u32> {
        let Self::Count { decay_minutes, .. } = self else {
            return None;
        };
        let elapsed = minutes(now).wrapping_sub(bits >> 8) & 0xffff;
        let fallen = elapsed.checked_div(decay_minutes).unwrap_or(0);
        Some((bits & COUNT_MAX).saturating_sub(fallen))
    }
}

fn seconds(now: Millis) -> u32 {
    now.as_seconds() as u32 & BITS_MASK
}

fn minutes(now: Millis) -> u32 {
    now.as_seconds().div_euclid(60) as u32 & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn idle_time_goes_round() {
        let rule = AccessRule::LastUse;
        let bits = rule.fresh(Millis(0xff_fffe * 1000));
        assert_eq!(rule.idle_seconds(bits, Millis(0x100_0001 * 1000)), Some(3));
        assert_eq!(rule.frequency(bits, Millis(0)), None);
    }

    #[test]
    fn counts_rise_slowly_and_fall() {
        let rule = AccessRule::Count { log_factor: 10, decay_minutes: 1 };
        let (mut prng, mut bits) = (Prng::new(1), rule.fresh(Millis(0)));
        let mut after = |uses: u32| {
            for _ in 0..uses {
                bits = rule.used(bits, Millis(0), &mut prng);
            }
            (bits, rule.frequency(bits, Millis(0)).unwrap_or(0))
        };
        assert!((6..=20).contains(&after(100).1));
        assert!((100..=200).contains(&after(100_000).1));
        let (bits, count) = after(0);
        assert_eq!(rule.frequency(bits, Millis(7 * MINUTE)), Some(count - 7));
        assert_eq!(rule.frequency(bits, Millis(1_000 * MINUTE)), Some(0));
        assert_eq!(rule.idle_seconds(bits, Millis(0)), None);
        let eternal = AccessRule::Count { log_factor: 0, decay_minutes: 0 };
        assert_eq!(eternal.frequency(bits, Millis(1_000 * MINUTE)), Some(count));
        assert_eq!(eternal.used(bits, Millis(0), &mut prng) & COUNT_MAX, count + 1);
    }
}
