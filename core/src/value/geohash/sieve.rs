//! Sorting out most places that are outside a shape by whole numbers alone, before any sine is computed.
//!
//! A sieve is the box of rows and columns of the finest grid around a shape, with room enough that no rounding matters.
//! What is outside is outside the shape; what is inside is looked at. Whole ranges of scores are sorted out too.

use super::shape::{Bounds, Outline, Shape};
use super::{Axis, Cell, GLOBE_RADIUS, LATITUDES, LONGITUDES, Position, RADIANS, STEPS_MAX, parts};

/// Rows or columns from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u32,
    last: u32,
}

impl Span {
    const ALL: Self = Self { first: 0, last: u32::MAX };
    const NONE: Self = Self { first: 1, last: 0 };

    /// What lies between these degrees, with some room.
    fn between(axis: Axis, low: f64, high: f64) -> Self {
        let index = |degrees: f64| (degrees - axis.min) / (axis.max - axis.min) * parts(STEPS_MAX);
        let (low, high) = (index(low) - 2.0, index(high) + 2.0);
        // Scores beyond the map mean places at its end.
        let last = if high < parts(STEPS_MAX) - 2.0 { high as u32 } else { u32::MAX };
        if low.is_nan() || high.is_nan() {
            return Self::ALL;
        }
        if high < 0.0 { Self::NONE } else { Self { first: low as u32, last } }
    }

    #[inline]
    fn holds(self, index: u32) -> bool {
        index >= self.first && index <= self.last
    }

    #[inline]
    fn touches(self, other: Self) -> bool {
        other.first <= self.last && self.first <= other.last
    }

    #[inline]
    fn encloses(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// What is around a shape.
#[derive(Clone, Copy, Debug)]
pub struct Sieve {
    rows: Span,
    /// Two, where the shape crosses the date line.
    columns: [Span; 2],
}

impl Sieve {
    /// The sieve of a shape.
    pub fn new(shape: &Shape) -> Self {
        match shape.outline() {
            Outline::Circle { radius } => {
                let reach = roomy(radius * shape.unit());
                let (rows, cosine) = rows_around(shape.centre(), reach);
                let sine = sine_of_half(reach) / ((shape.centre().latitude * RADIANS).cos() * cosine).sqrt();
                Self { rows, columns: columns_around(shape.centre(), sine) }
            }
            Outline::Rectangle { width, height } => {
                let (rows, cosine) = rows_around(shape.centre(), roomy(height * shape.unit() / 2.0));
                let sine = sine_of_half(roomy(width * shape.unit() / 2.0)) / cosine;
                Self { rows, columns: columns_around(shape.centre(), sine) }
            }
            Outline::Polygon { .. } => {
                let Bounds { west, south, east, north } = shape.bounds();
                let rows = Span::between(LATITUDES, south, north);
                Self { rows, columns: [Span::between(LONGITUDES, west, east), Span::NONE] }
            }
        }
    }

    /// May a score be that of a place inside the shape?
    #[inline]
    pub fn passes(&self, score: f64) -> Option<Position> {
        let cell = Cell::of_score(score);
        let passes = self.rows.holds(cell.row) && self.columns.iter().any(|columns| columns.holds(cell.column));
        passes.then(|| cell.middle())
    }

    /// May a place inside the cell be inside the shape?
    #[inline]
    pub fn touches(&self, cell: Cell) -> bool {
        let (columns, rows) = spans(cell);
        self.rows.touches(rows) && self.columns.iter().any(|own| own.touches(columns))
    }

    /// Do all places inside the cell pass?
    #[inline]
    pub fn encloses(&self, cell: Cell) -> bool {
        let (columns, rows) = spans(cell);
        self.rows.encloses(rows) && self.columns.iter().any(|own| own.encloses(columns))
    }
}

/// The columns and rows of a cell in the finest grid.
#[inline]
fn spans(cell: Cell) -> (Span, Span) {
    let shift = STEPS_MAX - cell.steps;
    let span = |index: u32| Span { first: index << shift, last: ((index + 1) << shift) - 1 };
    (span(cell.column), span(cell.row))
}

/// A length in metres with room for all that rounding does. Distances to the other side of the globe are the least exact ones: a
/// metre off at most.
fn roomy(metres: f64) -> f64 {
    metres * (1.0 + 1e-6) + 0.01
}

/// The sine of half the angle of a distance; one, from half way around on.
fn sine_of_half(metres: f64) -> f64 {
    (metres / GLOBE_RADIUS / 2.0).min(std::f64::consts::FRAC_PI_2).sin()
}

/// The rows so many metres to the north and south, and the least cosine of a latitude among them.
fn rows_around(centre: Position, metres: f64) -> (Span, f64) {
    let rise = metres / GLOBE_RADIUS / RADIANS;
    let (south, north) = ((centre.latitude - rise).max(LATITUDES.min), (centre.latitude + rise).min(LATITUDES.max));
    let cosine = (south * RADIANS).cos().min((north * RADIANS).cos());
    (Span::between(LATITUDES, south, north), cosine)
}

/// The columns up to where half the angle to the east or west has this sine.
fn columns_around(centre: Position, sine: f64) -> [Span; 2] {
    // A shape of no size at its own place has room enough by that of its length.
    if sine >= 1.0 || sine.is_nan() {
        return [Span::ALL, Span::NONE];
    }
    let reach = 2.0 * sine.asin() / RADIANS * (1.0 + 1e-6);
    let (west, east) = (centre.longitude - reach, centre.longitude + reach);
    let beyond = if west < LONGITUDES.min {
        Span::between(LONGITUDES, west + 360.0, LONGITUDES.max)
    } else if east > LONGITUDES.max {
        Span::between(LONGITUDES, LONGITUDES.min, east - 360.0)
    } else {
        // Both ends of the map are the same meridian.
        Span::NONE
    };
    [Span::between(LONGITUDES, west, east), beyond]
}
