//! Medians, spreads and ratios over rounds.
//!
//! A mean over rounds is spoilt by one round in which the machine did something else; a median is not. And a ratio is
//! formed within each round, between neighbours in time, before the median is taken: what slowed the whole round cancels.

use serde::Serialize;

/// The middle, and how far the rounds lay apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle of the values; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many there were.
    pub count: usize,
}

impl Spread {
    /// Of these values; none if there are none. What is not a number is left out.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { median, min, max, count: values.len() })
    }

    /// Ratios `ours / theirs` of rounds that both have.
    pub fn of_ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        Self::of(pairs.into_iter().map(|(ours, theirs)| ours / theirs))
    }

    /// Differences `ours - theirs` of rounds that both have.
    pub fn of_differences(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        Self::of(pairs.into_iter().map(|(ours, theirs)| ours - theirs))
    }
}

/// The geometric mean of numbers above zero; none if there are none.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}

/// A straight line through points, by least squares: `(value at 0, slope)`. Needs two different places.
pub fn straight_line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|point| (point.0 - mean_x).powi(2)).sum();
    if points.len() < 2 || spread < 1e-12 {
        return None;
    }
    let slope = points.iter().map(|point| (point.0 - mean_x) * (point.1 - mean_y)).sum::<f64>() / spread;
    Some((mean_y - slope * mean_x, slope))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_median_ignores_the_outlier() {
        let spread = Spread::of([3.0, 100.0, 1.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max, spread.count), (3.0, 1.0, 100.0, 3));
        assert_eq!(Spread::of([1.0, 2.0, 3.0, 10.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([7.0]).unwrap().median, 7.0);
        assert!(Spread::of([]).is_none());
        assert!(Spread::of([f64::NAN, f64::INFINITY]).is_none());
    }

    #[test]
    fn ratios_are_formed_within_a_round() {
        // The machine was twice as slow in the second round; the ratio does not feel it.
        let ratio = Spread::of_ratios([(5.0, 10.0), (10.0, 20.0), (4.9, 10.0)]).unwrap();
        assert_eq!(ratio.median, 0.5);
        assert!((ratio.min - 0.49).abs() < 1e-9);
        assert!(Spread::of_ratios([(1.0, 0.0)]).is_none(), "nothing to compare with");
        assert_eq!(Spread::of_differences([(5.0, 3.0)]).unwrap().median, 2.0);
    }

    #[test]
    fn a_line_goes_through_its_points() {
        let (start, slope) = straight_line(&[(0.0, 1.0), (0.5, 2.0), (0.75, 2.5)]).unwrap();
        assert!((start - 1.0).abs() < 1e-9 && (slope - 2.0).abs() < 1e-9);
        assert!(straight_line(&[(0.5, 1.0), (0.5, 2.0)]).is_none());
        assert!(straight_line(&[]).is_none());
    }
}
