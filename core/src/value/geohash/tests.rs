//! The grid, and the sieve against the shapes themselves.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::prng::Prng;

fn share(prng: &mut Prng) -> f64 {
    prng.next_u64() as i64 as f64 / (1_u64 << 63) as f64
}

fn anywhere(prng: &mut Prng) -> Position {
    let edge = match prng.next_u64() % 8 {
        0 => 1.0,
        1 => -1.0,
        _ => share(prng),
    };
    let (longitude, latitude) = (edge * LONGITUDES.max, share(prng) * LATITUDES.max);
    Position::new(longitude, if prng.next_u64().is_multiple_of(8) { edge * LATITUDES.max } else { latitude }).unwrap()
}

/// A place some degrees away, around the globe if need be.
fn near(prng: &mut Prng, place: Position, degrees: f64) -> Position {
    let longitude = place.longitude + share(prng) * degrees;
    let longitude = if longitude.abs() > 180.0 { longitude - longitude.signum() * 360.0 } else { longitude };
    let latitude = (place.latitude + share(prng) * degrees).clamp(LATITUDES.min, LATITUDES.max);
    Position { longitude, latitude }
}

fn shape(prng: &mut Prng) -> Shape {
    let centre = anywhere(prng);
    let length = |prng: &mut Prng| match prng.next_u64() % 12 {
        0 => 0.0,
        1 => 20_015.0 + share(prng) * 30.0,
        2 => f64::INFINITY,
        exponent => share(prng).abs() * 10_f64.powi(exponent as i32 - 6),
    };
    match prng.next_u64() % 3 {
        0 => Shape::around(centre, Outline::Circle { radius: length(prng) }, 1000.0),
        1 => Shape::around(centre, Outline::Rectangle { width: length(prng), height: length(prng) }, 1000.0),
        _ => {
            let degrees = 10_f64.powi((prng.next_u64() % 5) as i32 - 2);
            let count = 3 + prng.next_u64() % 6;
            Shape::polygon((0..count).map(|_| near(prng, centre, degrees)).collect())
        }
    }
}

#[test]
fn places_and_scores() {
    let palermo = Position::new(13.361389, 38.115556).unwrap();
    assert_eq!(palermo.score(), 3_479_099_956_230_698.0);
    let stored = Position::of_score(palermo.score());
    assert_eq!((stored.longitude, stored.latitude), (13.361_389_338_970_184, 38.115_556_395_496_3));
    assert_eq!(&stored.geohash(), b"sqc8b49rny0");
    for (longitude, latitude) in
        [(180.1, 0.0), (-180.1, 0.0), (0.0, 85.06), (0.0, -85.06), (f64::NAN, 0.0), (0.0, f64::NAN)]
    {
        assert_eq!(Position::new(longitude, latitude), None);
    }
}

#[test]
fn every_score_is_a_place_on_the_map() {
    let mut prng = Prng::new(1);
    let odd = [
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e300,
        -1e300,
        -1.0,
        -0.0,
        0.5,
        2_f64.powi(63),
        2_f64.powi(64),
        2_f64.powi(52),
    ];
    let random = (0..10_000).map(|_| f64::from_bits(prng.next_u64())).filter(|score| !score.is_nan());
    for score in odd.into_iter().chain(random) {
        let place = Position::of_score(score);
        assert!(Position::new(place.longitude, place.latitude).is_some(), "{score}");
    }
}

#[test]
fn a_place_is_found_again() {
    let mut prng = Prng::new(2);
    for _ in 0..10_000 {
        let place = anywhere(&mut prng);
        let stored = Position::of_score(place.score());
        assert!(place.distance(stored) < 1.0, "{place:?} {stored:?}");
        // All cells around it hold its score, and the quarters of one share its scores out.
        let mut cell = place.cell(1);
        for steps in 1..STEPS_MAX {
            assert_eq!(cell, place.cell(steps));
            let (low, high) = cell.scores();
            assert!(low <= place.score() && place.score() < high);
            let quarters = cell.quarters().unwrap();
            assert_eq!((quarters[0].scores().0, quarters[3].scores().1), (low, high));
            assert!(quarters.windows(2).all(|pair| pair[0].scores().1 == pair[1].scores().0));
            // Who is beyond the map has rows and columns that the quarters of the last ones do not have.
            let next = place.cell(steps + 1);
            if !quarters.contains(&next) {
                break;
            }
            cell = next;
        }
        assert_eq!(place.cell(STEPS_MAX).quarters(), None);
    }
}

/// What is inside a shape passes its sieve, and so do all cells around it.
#[test]
fn sieves_keep_what_is_inside() {
    let mut prng = Prng::new(3);
    let (mut inside, mut sorted_out) = (0, 0);
    for _ in 0..if cfg!(miri) { 50 } else { 30_000 } {
        let shape = shape(&mut prng);
        let sieve = Sieve::new(&shape);
        let degrees = 10_f64.powi((prng.next_u64() % 8) as i32 - 5);
        let place = match prng.next_u64() % 4 {
            0 => anywhere(&mut prng),
            _ => near(&mut prng, shape.centre(), degrees),
        };
        let Some(place) = Position::new(place.longitude, place.latitude) else { continue };
        let score = place.score();
        let stored = Position::of_score(score);
        let distance = shape.distance_within(stored);
        assert_eq!(shape.holds(stored), distance.is_some(), "{shape:?} {place:?}");
        let passed = sieve.passes(score);
        if let Some(distance) = distance {
            assert_eq!(passed, Some(stored), "{shape:?} {place:?}");
            assert_eq!(distance.to_bits(), shape.centre().distance(stored).to_bits());
            assert!((1..=STEPS_MAX).all(|steps| sieve.touches(place.cell(steps))), "{shape:?} {place:?}");
            inside += 1;
        }
        for steps in 1..=STEPS_MAX {
            let cell = place.cell(steps);
            assert!(!sieve.encloses(cell) || passed.is_some());
        }
        sorted_out += usize::from(passed.is_none());
    }
    assert!(cfg!(miri) || inside > 3000 && sorted_out > 3000, "{inside} inside, {sorted_out} sorted out");
}

#[test]
fn the_cells_of_a_shape() {
    let circle = |longitude, latitude, radius| {
        cover(&Shape::around(Position::new(longitude, latitude).unwrap(), Outline::Circle { radius }, 1.0))
    };
    // In the coarsest grid four cells are all there is.
    let all = circle(0.0, 0.0, 2e7);
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|cell| cell.steps == 1));
    // Nothing is left out or searched twice.
    let mut prng = Prng::new(4);
    for _ in 0..2000 {
        let place = anywhere(&mut prng);
        let cells = circle(place.longitude, place.latitude, 10_f64.powi((prng.next_u64() % 9) as i32 - 1));
        assert!(!cells.is_empty() && cells.len() <= 9);
        for (index, cell) in cells.iter().enumerate() {
            assert!(!cells[..index].contains(cell), "{place:?} {cells:?}");
        }
    }
    assert_eq!(circle(1.0, 1.0, 0.0)[0].steps, STEPS_MAX);
}

/// The middle of a polygon may be beyond the map.
#[test]
fn a_polygon_around_a_pole() {
    let corner = |longitude, latitude| Position::new(longitude, latitude).unwrap();
    let shape = Shape::polygon(vec![corner(-180.0, 80.0), corner(0.0, 84.0), corner(180.0, 80.0), corner(90.0, 80.0)]);
    assert!(shape.centre().latitude > 80.0);
    assert!(!cover(&shape).is_empty());
    let pole = Shape::polygon(vec![corner(-90.0, 85.0), corner(0.0, 85.0), corner(90.0, 85.0), corner(180.0, 85.0)]);
    assert!(pole.centre().latitude > 89.0);
    assert_eq!(cover(&pole).len(), 4);
}
