//! Places on the globe as scores of a sorted set, and searches among them.
//!
//! The map is halved 26 times in each direction. The bits of the row and the column in which a place lies are
//! interleaved to a whole number of 52 bits, which a double holds exactly. What lies in one cell of a coarser grid has scores
//! that follow each other, so a search reads a few ranges of scores ([`cover`]). The map ends where that of Mercator is a
//! square, short of the poles.
//!
//! Distances are seen by clients, and they decide what is found. So every number here is computed as Valkey does it, the
//! operations in the same order and none of them fused: the results are equal to the last bit.

mod cover;
mod shape;
mod sieve;
#[cfg(test)]
mod tests;

pub use cover::cover;
pub use shape::{Outline, Shape};
pub use sieve::Sieve;

/// How often the finest grid halves the map in each direction.
pub const STEPS_MAX: u32 = 26;

/// The radius of the globe in metres.
const GLOBE_RADIUS: f64 = 6_372_797.560_856;

const RADIANS: f64 = std::f64::consts::PI / 180.0;

/// The digits of geohash texts.
const DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// One direction of a map, in degrees.
#[derive(Clone, Copy, Debug)]
struct Axis {
    min: f64,
    max: f64,
}

const LONGITUDES: Axis = Axis { min: -180.0, max: 180.0 };
const LATITUDES: Axis = Axis { min: -85.051_128_78, max: 85.051_128_78 };

/// The latitudes of the map that geohash texts mean.
const TEXT_LATITUDES: Axis = Axis { min: -90.0, max: 90.0 };

impl Axis {
    fn holds(self, degrees: f64) -> bool {
        degrees >= self.min && degrees <= self.max
    }

    /// In which of `2^steps` parts it is. The very end is one part too far.
    #[inline]
    fn index(self, degrees: f64, steps: u32) -> u32 {
        ((degrees - self.min) / (self.max - self.min) * parts(steps)) as u32
    }

    /// Where a part begins.
    #[inline]
    fn start(self, index: u32, steps: u32) -> f64 {
        self.min + (f64::from(index) / parts(steps)) * (self.max - self.min)
    }

    /// The middle of a part of the finest grid. There is nothing beyond the ends of the map.
    #[inline]
    fn middle(self, index: u32) -> f64 {
        let sum = self.start(index, STEPS_MAX) + self.start(index.wrapping_add(1), STEPS_MAX);
        (sum / 2.0).min(self.max).max(self.min)
    }
}

#[inline]
fn parts(steps: u32) -> f64 {
    (1_u64 << steps) as f64
}

/// Puts zeros between the bits.
#[inline]
const fn spread(bits: u32) -> u64 {
    let mut bits = bits as u64;
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & 0x5555_5555_5555_5555
}

/// Takes every other bit.
#[inline]
const fn gather(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    (bits | bits >> 16) as u32
}

/// A score as whole bits. Members need not have been added as places, so any double comes here: what does not fit
/// 64 bits becomes what an x86 processor makes of it in Valkey.
#[inline]
fn bits_of_score(score: f64) -> u64 {
    const HALF: f64 = (1_u64 << 63) as f64;
    if score < HALF {
        score as i64 as u64
    } else if score < 2.0 * HALF {
        score as u64
    } else {
        0
    }
}

/// A cell of a grid. Places at the very end of the map are in a row or column one beyond the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    column: u32,
    row: u32,
    steps: u32,
}

impl Cell {
    /// The cell of the finest grid that a score means.
    #[inline]
    fn of_score(score: f64) -> Self {
        let bits = bits_of_score(score);
        Self { column: gather(bits >> 1), row: gather(bits), steps: STEPS_MAX }
    }

    const fn bits(self) -> u64 {
        spread(self.row) | spread(self.column) << 1
    }

    /// The scores in this cell: from the first on, up to the second, which is not in it any more.
    #[inline]
    pub const fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS_MAX - self.steps);
        ((self.bits() << shift) as f64, ((self.bits() + 1) << shift) as f64)
    }

    /// The four cells of the next finer grid, in the order of their scores; a cell of the finest has none.
    #[inline]
    pub fn quarters(self) -> Option<[Self; 4]> {
        let quarter =
            |column, row| Self { column: 2 * self.column + column, row: 2 * self.row + row, steps: self.steps + 1 };
        (self.steps < STEPS_MAX).then(|| [quarter(0, 0), quarter(0, 1), quarter(1, 0), quarter(1, 1)])
    }

    #[inline]
    fn middle(self) -> Position {
        Position { longitude: LONGITUDES.middle(self.column), latitude: LATITUDES.middle(self.row) }
    }
}

/// A place in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// How far east.
    pub longitude: f64,
    /// How far north.
    pub latitude: f64,
}

impl Position {
    /// A place, if it is on the map.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        (LONGITUDES.holds(longitude) && LATITUDES.holds(latitude)).then_some(Self { longitude, latitude })
    }

    /// The place that a score means, whatever it is.
    #[inline]
    pub fn of_score(score: f64) -> Self {
        Cell::of_score(score).middle()
    }

    /// The score of the place, which is on the map.
    #[inline]
    pub fn score(self) -> f64 {
        self.cell(STEPS_MAX).bits() as f64
    }

    #[inline]
    fn cell(self, steps: u32) -> Cell {
        Cell { column: LONGITUDES.index(self.longitude, steps), row: LATITUDES.index(self.latitude, steps), steps }
    }

    /// The place as a geohash text, whose map reaches from pole to pole. There are digits enough for ten; the eleventh is
    /// always a zero.
    pub fn geohash(self) -> [u8; 11] {
        let row = TEXT_LATITUDES.index(self.latitude, STEPS_MAX);
        let bits = Cell { row, ..self.cell(STEPS_MAX) }.bits();
        let mut text = [DIGITS[0]; 11];
        for (index, digit) in text[..10].iter_mut().enumerate() {
            *digit = DIGITS[(bits >> (47 - 5 * index)) as usize & 31];
        }
        text
    }

    /// The distance in metres.
    pub fn distance(self, other: Self) -> f64 {
        Origin::new(self).distance(other)
    }
}

/// The distance between two latitudes in metres.
#[inline]
fn distance_of_latitudes(one: f64, other: f64) -> f64 {
    GLOBE_RADIUS * (other * RADIANS - one * RADIANS).abs()
}

/// The distance in metres that belongs to the square of the sine of half the angle.
#[inline]
fn distance_of_haversine(haversine: f64) -> f64 {
    2.0 * GLOBE_RADIUS * haversine.sqrt().asin()
}

/// A place from which distances are measured: what they have in common is computed once.
#[derive(Clone, Copy, Debug)]
struct Origin {
    place: Position,
    latitude: f64,
    longitude: f64,
    cosine: f64,
}

/// How far apart two places are.
#[derive(Clone, Copy, Debug)]
enum Apart {
    /// They are on one meridian: metres.
    Metres(f64),
    /// The square of the sine of half the angle between them.
    Haversine(f64),
}

impl Apart {
    #[inline]
    fn metres(self) -> f64 {
        match self {
            Self::Metres(metres) => metres,
            Self::Haversine(haversine) => distance_of_haversine(haversine),
        }
    }
}

impl Origin {
    fn new(place: Position) -> Self {
        let (latitude, longitude) = (place.latitude * RADIANS, place.longitude * RADIANS);
        Self { place, latitude, longitude, cosine: latitude.cos() }
    }

    #[inline]
    fn apart(&self, other: Position) -> Apart {
        let sine = ((other.longitude * RADIANS - self.longitude) / 2.0).sin();
        if sine == 0.0 {
            return Apart::Metres(distance_of_latitudes(self.place.latitude, other.latitude));
        }
        let latitude = other.latitude * RADIANS;
        let rise = ((latitude - self.latitude) / 2.0).sin();
        Apart::Haversine(rise * rise + self.cosine * latitude.cos() * sine * sine)
    }

    #[inline]
    fn distance(&self, other: Position) -> f64 {
        self.apart(other).metres()
    }
}
