//! The commands for places, as text and against a naive search.
#![allow(clippy::unwrap_used)]

use super::scan::Search;
use crate::commands::harness::Bench;
use crate::keyspace::{Form, KeyHasher, NewValue, OwnedEntry};
use crate::prng::Prng;
use crate::value::geohash::{Outline, Position, Shape, cover};
use crate::value::zset::{Built, SortedSet, SortedSetRef, order_of};
use crate::value::{Element, Limits};

const TOWNS: &str = "geoadd k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

#[test]
fn places_are_added_and_asked_for() {
    let mut bench = Bench::new();
    bench.check(&[
        (TOWNS, ":2"),
        ("geoadd k nx ch 1 1 Palermo 13.583333 37.316667 7", ":1"),
        ("geoadd k xx 1 1 Nowhere", ":0"),
        ("geoadd k 1 91 a", "ERR invalid longitude,latitude pair 1.000000,91.000000"),
        ("geoadd k 1 1", "ERR syntax error"),
        ("geoadd k nx xx 1 1 a", "ERR syntax error"),
        ("geodist k Palermo Catania", "'166274.1516'"),
        ("geodist k Palermo Catania KM", "'166.2742'"),
        ("geodist k Palermo Nowhere", "$-1"),
        ("geodist k Palermo Catania parsec", "ERR unsupported unit provided. please use M, KM, FT, MI"),
        ("geohash k Palermo Nowhere Catania", "*3 'sqc8b49rny0' $-1 'sqdtr74hyu0'"),
        ("geopos k Palermo Nowhere", "*2 *2 '13.36138933897018433' '38.11555639549629859' *-1"),
        ("geosearch k fromlonlat 15 37 byradius 200 km asc", "*3 'Catania' '7' 'Palermo'"),
        ("geosearch k frommember 7 bybox 300 200 km desc count 1 withdist", "*1 *2 'Catania' '134.4697'"),
        (
            "geosearch k bypolygon 3 12 36 14 36 13 40 withhash",
            "*2 *2 '7' :3479030013248308 *2 'Palermo' :3479099956230698",
        ),
    ]);
}

#[test]
fn results_are_stored() {
    let mut bench = Bench::new();
    bench.check(&[
        (TOWNS, ":2"),
        ("geosearchstore d k fromlonlat 15 37 byradius 200 km storedist", ":2"),
        ("zrange d 0 -1", "*2 'Catania' 'Palermo'"),
        ("georadius k 15 37 100 km store k", ":1"),
        ("zrange k 0 -1", "*1 'Catania'"),
        ("georadius k 0 0 100 km store d", ":0"),
        ("exists d", ":0"),
        ("georadiusbymember_ro k Catania 1 km store d", "ERR syntax error"),
    ]);
    bench.shard.check();
}

#[test]
fn the_journal_holds_scores() {
    let mut bench = Bench::new();
    bench.check_journal(&[
        (TOWNS, "2 ZADD k 3479099956230698 Palermo 3479447370796909 Catania"),
        ("geoadd k nx ch 1 1 Palermo 0 0 origin", "1 ZADD k nx ch 3377822707026402 Palermo 3377699720527872 origin"),
        ("geoadd k xx 1 1 Nowhere", "0"),
        ("geosearchstore d k fromlonlat 15 37 byradius 200 km", "2 as given"),
        ("geosearchstore d k fromlonlat 0 0 byradius 1 m count 1", "1 as given"),
        ("geosearchstore d none fromlonlat 15 37 byradius 200 km", "1 as given"),
        ("geosearchstore d none fromlonlat 15 37 byradius 200 km", "0"),
        ("geosearch k fromlonlat 15 37 byradius 200 km", "0"),
    ]);
}

/// Every member of every cell, one by one.
fn naive(members: &[(f64, String)], shape: &Shape) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for cell in cover(shape) {
        let (low, high) = cell.scores();
        for (score, member) in members.iter().filter(|(score, _)| *score >= low && *score < high) {
            if let Some(distance) = shape.distance_within(Position::of_score(*score)) {
                found.push((member.clone(), distance.to_bits()));
            }
        }
    }
    found
}

fn share(prng: &mut Prng) -> f64 {
    prng.next_u64() as i64 as f64 / (1_u64 << 63) as f64
}

fn place_near(prng: &mut Prng, degrees: f64) -> Position {
    let longitude = 179.0 + share(prng) * degrees;
    let longitude = if longitude > 180.0 { longitude - 360.0 } else { longitude };
    Position::new(longitude.max(-180.0), (40.0 + share(prng) * degrees).clamp(-85.0, 85.0)).unwrap()
}

fn random_shape(prng: &mut Prng, degrees: f64) -> Shape {
    let mut length = || share(prng).abs() * degrees * 111.0;
    let (width, height) = (length(), length());
    let centre = place_near(prng, degrees);
    match prng.next_u64() % 3 {
        0 => Shape::around(centre, Outline::Circle { radius: width }, 1000.0),
        1 => Shape::around(centre, Outline::Rectangle { width, height }, 1000.0),
        _ => Shape::polygon((0..3 + prng.next_u64() % 5).map(|_| place_near(prng, degrees)).collect()),
    }
}

#[test]
fn searches_find_what_a_naive_one_finds() {
    let mut prng = Prng::new(8);
    let hasher = KeyHasher::new([1, 2, 3, 4]);
    let mut total = 0;
    for round in 0..if cfg!(miri) { 3 } else { 60 } {
        let degrees = 10_f64.powi((prng.next_u64() % 5) as i32 - 2);
        let count = [1, 30, 128, 4000][round % 4];
        let mut members: Vec<(f64, String)> =
            (0..count).map(|number| (place_near(&mut prng, degrees).score(), format!("m{number}"))).collect();
        // Many at one place, and scores of no place.
        for number in 0..count / 4 {
            members[number].0 = members[number % 3].0 + 0.25;
        }
        members[0].0 = f64::INFINITY;
        members.sort_by(|(score, member), (other, name)| {
            order_of(*score).cmp(&order_of(*other)).then_with(|| member.cmp(name))
        });
        let sorted = || members.iter().map(|(score, member)| (member.as_bytes(), *score));
        let large = SortedSet::from_sorted(hasher.clone(), members.len(), sorted());
        let Built::Packed(packed) =
            Built::from_sorted(sorted(), &Limits { zset_entries: 5000, ..Limits::default() }, &hasher)
        else {
            unreachable!("the limits are wide");
        };
        let entry = OwnedEntry::new(b"k", NewValue::Packed(Form::SortedSet, &packed), None);
        let entry = entry.as_ref();
        let both = [SortedSetRef::Large(&large), SortedSetRef::of(&entry).unwrap()];
        for _ in 0..40 {
            let shape = random_shape(&mut prng, degrees);
            let expected = naive(&members, &shape);
            total += expected.len();
            for (set, measures, enough) in both.iter().flat_map(|set| {
                [(set, true, usize::MAX), (set, false, usize::MAX), (set, true, 1 + expected.len() / 2)]
            }) {
                let found = Search { shape: &shape, measures, enough }.run(*set);
                let name = |member: Element<'_>| {
                    let mut digits = itoa::Buffer::new();
                    String::from_utf8(member.text(&mut digits).to_vec()).unwrap()
                };
                let wanted = expected.len().min(enough);
                assert_eq!(found.len(), wanted, "{shape:?}");
                for (one, (member, distance)) in found.iter().zip(&expected) {
                    assert_eq!(name(one.member), *member, "{shape:?}");
                    assert!(!measures || one.distance.to_bits() == *distance, "{shape:?} {member}");
                }
            }
        }
    }
    assert!(cfg!(miri) || total > 10_000, "only {total} were found");
}
