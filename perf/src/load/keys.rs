//! Draws the numbers of keys.

use crate::workload::Distribution;
use rand::Rng;
use rand::distr::Distribution as _;
use rand::rngs::SmallRng;
use rand_distr::Zipf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Draws numbers below a count.
#[derive(Debug)]
pub(super) enum Drawer {
    /// There is one key.
    One,
    /// All equally often.
    Uniform(u64),
    /// Few often, most seldom.
    Zipf(Zipf<f64>),
    /// In order, for all threads together.
    Sequential(u64),
    /// A hot part.
    Hot {
        /// Keys below this are hot.
        hot: u64,
        /// All keys.
        count: u64,
        /// Draws below this share of all 64-bit numbers go to the hot part.
        share: u64,
    },
}

impl Drawer {
    /// # Errors
    /// Says which number makes no sense.
    pub(super) fn new(count: u64, distribution: Distribution) -> Result<Self, String> {
        if count == 0 {
            return Err("there must be a key".into());
        }
        Ok(match distribution {
            Distribution::Zipf { exponent } => {
                let zipf = Zipf::new(count as f64, exponent).map_err(|error| format!("zipf of {exponent}: {error}"))?;
                Self::Zipf(zipf)
            }
            Distribution::HotSet { keys_fraction, requests_fraction } => {
                let share = |fraction: f64| (0.0..=1.0).contains(&fraction);
                if !share(keys_fraction) || !share(requests_fraction) {
                    return Err("the shares of a hot set lie between 0 and 1".into());
                }
                let hot = ((count as f64 * keys_fraction).round() as u64).clamp(1, count);
                Self::Hot { hot, count, share: (requests_fraction * u64::MAX as f64) as u64 }
            }
            _ if count == 1 => Self::One,
            Distribution::Uniform => Self::Uniform(count),
            Distribution::Sequential => Self::Sequential(count),
        })
    }

    /// The next number; `order` is where the walk of a sequential drawer stands.
    pub(super) fn draw(&self, rng: &mut SmallRng, order: &AtomicU64) -> u64 {
        match self {
            Self::One => 0,
            Self::Uniform(count) => below(rng.random(), *count),
            Self::Zipf(zipf) => zipf.sample(rng) as u64 - 1,
            Self::Sequential(count) => order.fetch_add(1, Ordering::Relaxed) % count,
            Self::Hot { hot, count, share } => {
                if rng.random::<u64>() < *share || hot == count {
                    below(rng.random(), *hot)
                } else {
                    hot + below(rng.random(), count - hot)
                }
            }
        }
    }
}

/// A number below `count` from one of 64 bits. Not perfectly even, but nobody can draw often enough to see it.
pub(super) fn below(bits: u64, count: u64) -> u64 {
    ((u128::from(bits) * u128::from(count)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::SeedableRng;

    const DRAWS: usize = 100_000;

    fn histogram(count: u64, distribution: Distribution) -> Vec<usize> {
        let drawer = Drawer::new(count, distribution).unwrap();
        let mut rng = SmallRng::seed_from_u64(1);
        let order = AtomicU64::new(0);
        let mut counts = vec![0; count as usize];
        for _ in 0..DRAWS {
            counts[drawer.draw(&mut rng, &order) as usize] += 1;
        }
        counts
    }

    #[test]
    fn uniform_draws_all_alike() {
        let counts = histogram(100, Distribution::Uniform);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn zipf_follows_its_law() {
        let counts = histogram(1000, Distribution::Zipf { exponent: 1.0 });
        // The sum of 1/n up to 1000 is 7.485.
        let first = DRAWS as f64 / 7.485;
        for rank in [1, 2, 4, 8] {
            let expected = first / f64::from(rank);
            assert!((counts[rank as usize - 1] as f64 / expected - 1.0).abs() < 0.1, "{rank}: {counts:?}");
        }
    }

    #[test]
    fn a_hot_set_is_hot() {
        let counts = histogram(1000, Distribution::HotSet { keys_fraction: 0.1, requests_fraction: 0.8 });
        let hot: usize = counts[..100].iter().sum();
        assert!((79_000..81_000).contains(&hot), "{hot}");
        assert!(counts[100..].iter().any(|count| *count > 0));
        let all = histogram(10, Distribution::HotSet { keys_fraction: 1.0, requests_fraction: 0.5 });
        assert!(all.iter().all(|count| *count > 0));
    }

    #[test]
    fn order_is_kept_and_starts_again() {
        assert!(histogram(1000, Distribution::Sequential).iter().all(|count| *count == 100));
        assert_eq!(histogram(1, Distribution::Uniform), [DRAWS]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Drawer::new(0, Distribution::Uniform).is_err());
        assert!(Drawer::new(9, Distribution::Zipf { exponent: -1.0 }).is_err());
        assert!(Drawer::new(9, Distribution::HotSet { keys_fraction: 2.0, requests_fraction: 0.5 }).is_err());
    }
}
