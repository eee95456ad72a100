//! Random places and searches among them: what is found, in which order, and every digit of the numbers.
//!
//! Where places lie is chosen so that it matters: all over the map, around a town, at its edges and on the date line, at
//! points of a lattice (so that many are equally far away), and scores that no place has.

use crate::Pair;
use crate::agree::shortened;
use ringkey_tests::client::encoded;
use ringkey_tests::rng::Rng;
use ringkey_tests::{Client, Reply};
use std::time::{Duration, Instant};

/// Searches in a round, and how many are sent together.
const BATCHES: usize = 40;
const BATCH: usize = 20;

const KEYS: &[&str] = &["p1", "p2", "{t}p3"];
const TARGETS: &[&str] = &["d1", "d2", "{t}d3", "p3"];

/// The limits of the map.
const LATITUDE_MAX: f64 = 85.051_128_78;

const ODD_SCORES: &[&str] =
    &["inf", "-inf", "1e300", "-1e300", "-5", "1.5", "4503599627370495.5", "4503599627370496", "0"];

const ODD_LENGTHS: &[&str] = &[
    "0", "-0", "-1", "inf", "-inf", "nan", "x", "", "1e-320", "1e-3", "0.5", "1e6", "6378.1", "20037.8", "20000000",
    "1e9", "1e300",
];

const UNITS: &[&str] = &["m", "km", "KM", "ft", "mi"];

/// Where the places of a round lie.
#[derive(Clone, Copy)]
enum Spread {
    World,
    Town { longitude: f64, latitude: f64, degrees: f64 },
    Lattice { degrees: f64 },
}

struct Round<'a> {
    clients: [Client; 2],
    rng: &'a mut Rng,
    spread: Spread,
    members: usize,
}

/// Compares for so long, and returns how many commands were compared.
pub fn compare(pair: &Pair, seed: u64, time: Duration) -> u64 {
    let mut rng = Rng::new(seed);
    let end = Instant::now() + time;
    let mut compared = 0;
    while Instant::now() < end {
        let spread = spread(&mut rng);
        let members = 1 + *rng.pick(&[3, 20, 100, 100, 200, 200, 1000, 1000, 3000, 20_000]);
        let mut round = Round { clients: pair.clients(), rng: &mut rng, spread, members };
        compared += round.play(end, seed);
    }
    compared
}

fn spread(rng: &mut Rng) -> Spread {
    match rng.below(4) {
        0 => Spread::World,
        1 => Spread::Lattice { degrees: *rng.pick(&[0.001, 0.1, 5.0, 30.0]) },
        _ => Spread::Town {
            longitude: *rng.pick(&[0.0, 13.4, -74.0, 180.0, -180.0, 90.0]),
            latitude: *rng.pick(&[0.0, 52.5, -33.9, LATITUDE_MAX, -LATITUDE_MAX, 70.0]),
            degrees: *rng.pick(&[0.01, 0.3, 2.0, 20.0]),
        },
    }
}

/// The latitude to which the sum of the directions of these places points.
fn middle_latitude(places: &[(f64, f64)]) -> f64 {
    let sum = places.iter().fold((0.0, 0.0, 0.0), |(x, y, z), (longitude, latitude)| {
        let (longitude, latitude) = (longitude.to_radians(), latitude.to_radians());
        (x + latitude.cos() * longitude.cos(), y + latitude.cos() * longitude.sin(), z + latitude.sin())
    });
    sum.2.atan2(sum.0.hypot(sum.1)).to_degrees()
}

impl Round<'_> {
    fn play(&mut self, end: Instant, seed: u64) -> u64 {
        let protocol = if self.rng.chance(50) { "3" } else { "2" };
        let entries = *self.rng.pick(&["0", "128", "128", "1000"]);
        for client in &mut self.clients {
            client.run("FLUSHALL");
            client.command(&["HELLO", protocol]);
            client.command(&["CONFIG", "SET", "zset-max-listpack-entries", entries]);
        }
        let mut compared = 0;
        for key in KEYS {
            for start in (0..self.members).step_by(100) {
                let mut add = vec!["GEOADD".to_owned(), (*key).to_owned()];
                for number in start..(start + 100).min(self.members) {
                    add.extend(self.place());
                    add.push(self.member(number));
                }
                compared += self.both(&[add], seed);
            }
        }
        for _ in 0..BATCHES {
            if Instant::now() >= end {
                break;
            }
            let batch: Vec<Vec<String>> = (0..BATCH).map(|_| self.command()).collect();
            compared += self.both(&batch, seed);
        }
        compared
    }

    /// Sends commands to both and compares the replies.
    fn both(&mut self, batch: &[Vec<String>], seed: u64) -> u64 {
        let bytes: Vec<u8> = batch.iter().flat_map(|args| encoded(args)).collect();
        self.clients.iter_mut().for_each(|client| client.send(&bytes).unwrap());
        for args in batch {
            let [ours, theirs]: [Reply; 2] = self.clients.each_mut().map(|client| client.read_reply().unwrap());
            assert!(
                ours == theirs,
                "seed {seed}: {}\nours:\n{}\nthe reference:\n{}\nthe first that differs: {:?}",
                args.join(" "),
                shortened(&ours),
                shortened(&theirs),
                ours.lines().iter().zip(theirs.lines()).find(|(one, other)| *one != other),
            );
        }
        batch.len() as u64
    }

    fn member(&mut self, number: usize) -> String {
        if number.is_multiple_of(3) { number.to_string() } else { format!("place:{number}") }
    }

    /// From -1 to 1.
    fn share(&mut self) -> f64 {
        (self.rng.next_u64() as i64) as f64 / (1_u64 << 63) as f64
    }

    /// Longitude and latitude, on the map.
    fn position(&mut self) -> (f64, f64) {
        let (longitude, latitude) = match self.spread {
            Spread::World => (self.share() * 180.0, self.share() * LATITUDE_MAX),
            Spread::Town { longitude, latitude, degrees } => {
                (longitude + self.share() * degrees, latitude + self.share() * degrees)
            }
            Spread::Lattice { degrees } => {
                ((self.share() * 6.0).round() * degrees, (self.share() * 3.0).round() * degrees)
            }
        };
        // Around the globe to the other side of the date line; or up to it.
        let longitude = match longitude {
            180.0.. if self.rng.chance(50) => longitude - 360.0,
            ..-180.0 if self.rng.chance(50) => longitude + 360.0,
            _ => longitude,
        };
        (longitude.clamp(-180.0, 180.0), latitude.clamp(-LATITUDE_MAX, LATITUDE_MAX))
    }

    fn place(&mut self) -> [String; 2] {
        let (longitude, latitude) = self.position();
        [longitude.to_string(), latitude.to_string()]
    }

    /// A place, seldom one that is none.
    fn any_place(&mut self) -> [String; 2] {
        if self.rng.chance(2) {
            return [(*self.rng.pick(ODD_LENGTHS)).to_owned(), "90.5".to_owned()];
        }
        self.place()
    }

    fn length(&mut self) -> String {
        if self.rng.chance(8) {
            return (*self.rng.pick(ODD_LENGTHS)).to_owned();
        }
        let scale = match self.spread {
            Spread::World => 3e6,
            Spread::Town { degrees, .. } | Spread::Lattice { degrees } => degrees * 111_000.0,
        };
        let length = self.share().abs() * scale * *self.rng.pick(&[0.02, 0.3, 1.0, 3.0]);
        format!("{length:.3}")
    }

    fn known_member(&mut self) -> String {
        let number = self.rng.below(self.members + 1);
        self.member(number)
    }

    fn key(&mut self) -> String {
        if self.rng.chance(3) { "missing".to_owned() } else { (*self.rng.pick(KEYS)).to_owned() }
    }

    fn polygon(&mut self) -> Vec<String> {
        let corners = *self.rng.pick(&[3, 3, 4, 5, 9, 2, 40]);
        let places: Vec<(f64, f64)> = (0..corners).map(|_| self.position()).collect();
        if middle_latitude(&places).abs() > LATITUDE_MAX - 0.001 {
            // Beyond the map: what the reference finds then is left to chance.
            return self.polygon();
        }
        let mut args = vec!["BYPOLYGON".to_owned(), corners.to_string()];
        args.extend(places.iter().flat_map(|(longitude, latitude)| [longitude.to_string(), latitude.to_string()]));
        args
    }

    fn area(&mut self) -> Vec<String> {
        if self.rng.chance(25) {
            return self.polygon();
        }
        let mut args = if self.rng.chance(40) {
            vec!["FROMMEMBER".to_owned(), self.known_member()]
        } else {
            [vec!["FROMLONLAT".to_owned()], self.any_place().to_vec()].concat()
        };
        if self.rng.chance(50) {
            args.extend(["BYRADIUS".to_owned(), self.length()]);
        } else {
            args.extend(["BYBOX".to_owned(), self.length(), self.length()]);
        }
        args.push((*self.rng.pick(&["m", "M", "m", "m"])).to_owned());
        args
    }

    fn options(&mut self, stores: bool) -> Vec<String> {
        let mut args = Vec::new();
        let mut push = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
        if self.rng.chance(50) {
            push(&[*self.rng.pick(&["ASC", "DESC"])]);
        }
        if self.rng.chance(50) {
            push(&[
                "COUNT",
                *self.rng.pick(&["1", "2", "7", "30", "150", "100000", "9223372036854775807", "0", "-1", "x"]),
            ]);
            if self.rng.chance(40) {
                push(&["ANY"]);
            }
        }
        for option in ["WITHDIST", "WITHHASH", "WITHCOORD"] {
            if self.rng.chance(if stores { 1 } else { 40 }) {
                push(&[option]);
            }
        }
        args
    }

    fn around(&mut self) -> Vec<String> {
        let [longitude, latitude] = self.any_place();
        vec![longitude, latitude, self.length(), (*self.rng.pick(UNITS)).to_owned()]
    }

    fn around_member(&mut self) -> Vec<String> {
        vec![self.known_member(), self.length(), (*self.rng.pick(UNITS)).to_owned()]
    }

    fn command(&mut self) -> Vec<String> {
        let (key, target) = (self.key(), (*self.rng.pick(TARGETS)).to_owned());
        let stores = self.rng.chance(30);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let store = match stores {
            true => words(&[*self.rng.pick(&["STORE", "STOREDIST"]), &target]),
            false => Vec::new(),
        };
        match self.rng.below(16) {
            0 => [words(&["GEORADIUS", &key]), self.around(), self.options(stores), store].concat(),
            1 => [words(&["GEORADIUS_RO", &key]), self.around(), self.options(false)].concat(),
            2 => [words(&["GEORADIUSBYMEMBER", &key]), self.around_member(), self.options(stores), store].concat(),
            3 => [words(&["GEORADIUSBYMEMBER_RO", &key]), self.around_member(), self.options(false)].concat(),
            4 | 5 => {
                let by_distance = if stores { words(&["STOREDIST"]) } else { Vec::new() };
                [words(&["GEOSEARCHSTORE", &target, &key]), self.area(), self.options(true), by_distance].concat()
            }
            6 => words(&["ZRANGE", &target, "0", "-1", "WITHSCORES"]),
            7 => words(&["GEODIST", &key, &self.known_member(), &self.known_member(), *self.rng.pick(UNITS)]),
            8 => words(&["GEOPOS", &key, &self.known_member(), &self.known_member()]),
            9 => words(&["GEOHASH", &key, &self.known_member(), &self.known_member()]),
            10 => {
                let [longitude, latitude] = self.any_place();
                let option = *self.rng.pick(&["NX", "XX", "CH"]);
                words(&["GEOADD", &key, option, &longitude, &latitude, &self.known_member()])
            }
            11 if self.rng.chance(20) => words(&["ZADD", &key, *self.rng.pick(ODD_SCORES), &self.known_member()]),
            _ => [words(&["GEOSEARCH", &key]), self.area(), self.options(false)].concat(),
        }
    }
}
