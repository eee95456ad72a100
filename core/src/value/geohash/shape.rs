//! The shapes in which places are searched for.

use super::distance_of_latitudes;
use super::{Apart, GLOBE_RADIUS, LATITUDES, LONGITUDES, Origin, Position, RADIANS, distance_of_haversine};

/// What a search is bounded by; lengths in the unit of the search.
#[derive(Clone, Debug, PartialEq)]
pub enum Outline {
    /// A circle.
    Circle {
        /// From the middle to the edge.
        radius: f64,
    },
    /// A rectangle whose sides point east and north.
    Rectangle {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
    /// A polygon; its sides may cross.
    Polygon {
        /// The corners in turn.
        corners: Vec<Position>,
    },
}

/// The degrees between which a shape lies. They may be beyond the map, or, where a shape is very large, not numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub(super) west: f64,
    pub(super) south: f64,
    pub(super) east: f64,
    pub(super) north: f64,
}

/// A shape on the globe.
#[derive(Clone, Debug)]
pub struct Shape {
    origin: Origin,
    outline: Outline,
    /// Metres of the unit.
    unit: f64,
    /// A haversine up to this is surely inside a circle, and one from that on surely not.
    edge: (f64, f64),
}

impl Shape {
    /// A circle or rectangle around a place; `unit` is how many metres one of the lengths is.
    pub fn around(centre: Position, outline: Outline, unit: f64) -> Self {
        let edge = match outline {
            Outline::Circle { radius } => edge_of_circle(radius * unit),
            _ => (f64::NAN, f64::NAN),
        };
        Self { origin: Origin::new(centre), outline, unit, edge }
    }

    /// A polygon, whose middle is that of its corners.
    pub fn polygon(corners: Vec<Position>) -> Self {
        Self::around(centroid(&corners), Outline::Polygon { corners }, 1.0)
    }

    /// The place from which distances are told.
    pub fn centre(&self) -> Position {
        self.origin.place
    }

    /// What it is bounded by.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// Metres of the unit of its lengths.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// The bounds by which cells are chosen.
    pub(super) fn bounds(&self) -> Bounds {
        let (width, height) = match &self.outline {
            Outline::Circle { radius } => (self.unit * radius, self.unit * radius),
            Outline::Rectangle { width, height } => (self.unit * width / 2.0, self.unit * height / 2.0),
            Outline::Polygon { corners } => return Bounds::of(corners),
        };
        let Position { longitude, latitude } = self.origin.place;
        let rise = height / GLOBE_RADIUS / RADIANS;
        let reach_at = |latitude: f64| width / GLOBE_RADIUS / (latitude * RADIANS).cos() / RADIANS;
        let reach = if latitude < 0.0 { reach_at(latitude - rise) } else { reach_at(latitude + rise) };
        Bounds { west: longitude - reach, south: latitude - rise, east: longitude + reach, north: latitude + rise }
    }

    /// How far from the middle the shape may reach, in metres, by which the grid is chosen.
    pub(super) fn reach(&self) -> f64 {
        let reach = match &self.outline {
            Outline::Circle { radius } => *radius,
            Outline::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
            Outline::Polygon { corners } => {
                let Bounds { west, south, east, north } = Bounds::of(corners);
                let corner = |longitude, latitude| self.origin.distance(Position { longitude, latitude });
                let corners = [corner(west, north), corner(east, north), corner(west, south), corner(east, south)];
                corners.into_iter().fold(0.0, f64::max)
            }
        };
        reach * self.unit
    }

    /// The distance of a place from the middle in metres, if it is inside.
    #[inline]
    pub fn distance_within(&self, place: Position) -> Option<f64> {
        match &self.outline {
            Outline::Circle { radius } => {
                let distance = self.origin.distance(place);
                // Should the distance not be a number, the place is inside.
                if distance > radius * self.unit { None } else { Some(distance) }
            }
            Outline::Rectangle { width, height } => {
                let is_inside = self.is_in_rectangle(place, width * self.unit, height * self.unit);
                is_inside.then(|| self.origin.distance(place))
            }
            Outline::Polygon { corners } => is_in_polygon(place, corners).then(|| self.origin.distance(place)),
        }
    }

    /// Is a place inside? The same answer with less work.
    #[inline]
    pub fn holds(&self, place: Position) -> bool {
        match &self.outline {
            Outline::Circle { radius } => match self.origin.apart(place) {
                Apart::Haversine(haversine) if haversine <= self.edge.0 => true,
                Apart::Haversine(haversine) if haversine >= self.edge.1 => false,
                apart => {
                    let is_outside = apart.metres() > radius * self.unit;
                    !is_outside
                }
            },
            Outline::Rectangle { width, height } => self.is_in_rectangle(place, width * self.unit, height * self.unit),
            Outline::Polygon { corners } => is_in_polygon(place, corners),
        }
    }

    #[inline]
    fn is_in_rectangle(&self, place: Position, width: f64, height: f64) -> bool {
        if distance_of_latitudes(place.latitude, self.origin.place.latitude) > height / 2.0 {
            return false;
        }
        // Along the place's own latitude.
        let sine = ((self.origin.longitude - place.longitude * RADIANS) / 2.0).sin();
        let cosine = (place.latitude * RADIANS).cos();
        let distance = if sine == 0.0 { 0.0 } else { distance_of_haversine(cosine * cosine * sine * sine) };
        let is_outside = distance > width / 2.0;
        !is_outside
    }
}

impl Bounds {
    fn of(corners: &[Position]) -> Self {
        let none = Self { west: LONGITUDES.max, south: LATITUDES.max, east: LONGITUDES.min, north: LATITUDES.min };
        corners.iter().fold(none, |bounds, corner| Self {
            west: bounds.west.min(corner.longitude),
            south: bounds.south.min(corner.latitude),
            east: bounds.east.max(corner.longitude),
            north: bounds.north.max(corner.latitude),
        })
    }
}

/// The haversines on both sides of a circle's edge, so far from it that rounding is of no account.
fn edge_of_circle(metres: f64) -> (f64, f64) {
    let haversine = |metres: f64| (metres / GLOBE_RADIUS / 2.0).sin().powi(2);
    let (inner, outer) = (metres * (1.0 - 1e-6) - 0.01, metres * (1.0 + 1e-6) + 0.01);
    // Where the circle nears the other side of the globe haversines tell distances apart badly.
    let half = GLOBE_RADIUS * 3.0;
    (
        if inner > 0.0 && inner < half { haversine(inner) } else { -1.0 },
        if outer < half { haversine(outer) } else { f64::INFINITY },
    )
}

/// The middle of corners: where the sum of their directions points, seen from the middle of the globe.
fn centroid(corners: &[Position]) -> Position {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for corner in corners {
        let (longitude, latitude) = (corner.longitude * RADIANS, corner.latitude * RADIANS);
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    let (longitude, latitude) = (y.atan2(x), z.atan2((x * x + y * y).sqrt()));
    Position { longitude: longitude / RADIANS, latitude: latitude / RADIANS }
}

/// Does a line from the place to the east cross the outline an odd number of times?
fn is_in_polygon(place: Position, corners: &[Position]) -> bool {
    let Some(last) = corners.last() else { return false };
    let (mut is_inside, mut before) = (false, last);
    for corner in corners {
        let passes = (corner.latitude > place.latitude) != (before.latitude > place.latitude);
        if passes {
            let share = (before.longitude - corner.longitude) * (place.latitude - corner.latitude)
                / (before.latitude - corner.latitude);
            is_inside ^= place.longitude < share + corner.longitude;
        }
        before = corner;
    }
    is_inside
}
