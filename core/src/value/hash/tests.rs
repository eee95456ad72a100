//! Hashes beside a `BTreeMap` with times to live, over both forms and the way between them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::prng::Prng;
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

struct Pair {
    entry: OwnedEntry,
    limits: Limits,
    hasher: KeyHasher,
    model: Model,
    prng: Prng,
    now: i64,
}

fn text(value: &Value<'_>) -> Vec<u8> {
    value.as_bytes(&mut itoa::Buffer::new()).to_vec()
}

impl Pair {
    fn new(seed: u64, limits: Limits) -> Self {
        Self {
            entry: OwnedEntry::new(b"key", NewValue::Packed(Form::Hash, &packed::EMPTY), Some(Millis(77))),
            limits,
            hasher: KeyHasher::new([1, 2, 3, 4]),
            model: Model::new(),
            prng: Prng::new(seed),
            now: 1_000,
        }
    }

    fn change<R>(&mut self, change: impl FnOnce(&mut HashMut<'_, '_>) -> R) -> R {
        let terms = Terms::new(&self.limits, &self.hasher, Millis(self.now));
        change(&mut HashMut::new(&mut self.entry, &terms))
    }

    fn hash(&self) -> HashRef<'_> {
        HashRef::of(self.entry.as_ref().value()).unwrap()
    }

    fn is_live(&self, expire: Option<i64>) -> bool {
        expire.is_none_or(|at| at >= self.now)
    }

    fn live(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let live = self.model.iter().filter(|(_, (_, expire))| self.is_live(*expire));
        live.map(|(field, (value, _))| (field.clone(), value.clone())).collect()
    }

    fn some_value(&mut self) -> Vec<u8> {
        match self.prng.below(6) {
            0 if self.prng.below(20) == 0 => vec![b'v'; self.prng.below(20_000) as usize],
            1 => vec![b'v'; self.prng.below(70) as usize],
            2 => b"007".to_vec(),
            bits => (self.prng.next_u64() as i64 >> (bits * 12)).to_string().into_bytes(),
        }
    }

    fn step(&mut self, fields: u64) {
        self.now += self.prng.below(3) as i64;
        let field = format!("field:{}", self.prng.below(fields)).into_bytes();
        let known = self.model.get(&field).cloned();
        let live = known.clone().filter(|(_, expire)| self.is_live(*expire));
        match self.prng.below(8) {
            0..3 => {
                let value = self.some_value();
                let until = self.now + self.prng.below(300) as i64;
                let (life, expire) = match self.prng.below(6) {
                    0 => (Life::Until(Millis(until)), Some(until)),
                    1 => (Life::Keep, live.as_ref().and_then(|(_, expire)| *expire)),
                    _ => (Life::Unbounded, None),
                };
                let is_new = self.change(|hash| hash.set(&field, NewValue::from_bytes(&value), life));
                assert_eq!(is_new, live.is_none());
                self.model.insert(field, (value, expire));
            }
            3 => {
                let by = self.prng.next_u64() as i64 >> self.prng.below(60);
                let sum = self.change(|hash| hash.increment(&field, by));
                let old = live.as_ref().map_or(Some(0), |(value, _)| crate::number::parse_integer(value));
                let expected = old.ok_or(NotIncremented::NotAnInteger);
                let expected = expected.and_then(|old| old.checked_add(by).ok_or(NotIncremented::Overflow));
                assert_eq!(sum, expected);
                if let Ok(sum) = sum {
                    self.model.insert(field, (sum.to_string().into_bytes(), live.and_then(|(_, expire)| expire)));
                }
            }
            4 => {
                assert_eq!(self.change(|hash| hash.remove(&field)), live.is_some());
                if live.is_some() {
                    self.model.remove(&field);
                }
            }
            5 if live.is_some() => {
                let at = (self.prng.below(2) == 0).then(|| self.now + self.prng.below(200) as i64);
                self.change(|hash| hash.set_expiry(&field, at.map(Millis)));
                self.model.get_mut(&field).unwrap().1 = at;
            }
            6 if self.prng.below(40) == 0 => self.expire(),
            _ => {
                let found = self.hash().find(&field, Millis(self.now));
                let found = found.map(|field| (text(&field.value), field.expire_at.map(|at| at.0)));
                assert_eq!(found, live);
            }
        }
        assert_eq!(self.hash().len(), self.model.len());
        assert_eq!(self.hash().volatile(), self.model.values().filter(|(_, expire)| expire.is_some()).count());
    }

    fn expire(&mut self) {
        let now = Millis(self.now);
        let mut gone = BTreeSet::new();
        if let ValueMut::Hash(hash) = self.entry.value_mut() {
            while hash.expire_some(now, 50, &mut |field| assert!(gone.insert(field.key().to_vec()))) {}
            assert!(hash.earliest().is_none_or(|at| at >= now));
            hash.check();
        }
        let due: BTreeSet<_> = self
            .model
            .iter()
            .filter(|(_, (_, expire))| !self.is_live(*expire))
            .map(|(field, _)| field.clone())
            .collect();
        assert_eq!(gone, due);
        self.model.retain(|field, _| !due.contains(field));
    }

    /// Looks at everything in all ways.
    fn check(&mut self) {
        let (now, live) = (Millis(self.now), self.live());
        let hash = HashRef::of(self.entry.as_ref().value()).unwrap();
        let mut all = BTreeMap::new();
        hash.for_each(now, &mut |field, value| assert!(all.insert(text(&field), text(&value)).is_none()));
        assert_eq!(all, live);
        assert_eq!((hash.live(now), hash.has_live(now)), (live.len(), !live.is_empty()));
        let mut scanned = BTreeMap::new();
        let mut cursor = Some(Cursor::default());
        while let Some(from) = cursor {
            cursor = hash.scan(from, 7, now, &mut |field, value| {
                assert!(scanned.insert(text(&field), text(&value)).is_none());
            });
        }
        assert_eq!(scanned, live);
        for count in [0, 1, live.len() as u64 / 4, live.len() as u64, u64::MAX] {
            let chosen = hash.choose(count, now, &mut self.prng);
            assert_eq!(chosen.len() as u64, count.min(live.len() as u64));
            let mut seen = BTreeSet::new();
            chosen.for_each(&mut |field, value| {
                assert_eq!(live[&text(&field)], text(&value));
                assert!(seen.insert(text(&field)), "a field is chosen once");
            });
        }
        let mut drawn = 0;
        hash.draw(50, now, &mut self.prng, &mut |field, value| {
            assert_eq!(live[&text(&field)], text(&value));
            drawn += 1;
        });
        assert_eq!(drawn, if live.is_empty() { 0 } else { 50 });
        let mut seen = BTreeMap::new();
        hash.for_each(BEFORE_ALL, &mut |field, value| assert!(seen.insert(text(&field), text(&value)).is_none()));
        assert_eq!(seen.len(), self.model.len(), "who sees all sees what has expired, too");
        let copy = self.entry.as_ref().copied_under(b"copy");
        let copy = HashRef::of(copy.as_ref().value()).unwrap();
        for (field, (value, expire)) in &self.model {
            let found = copy.find(field, BEFORE_ALL).unwrap();
            assert_eq!((&text(&found.value), found.expire_at), (value, expire.map(Millis)));
        }
        assert_eq!(self.entry.as_ref().expire_at(), Some(Millis(77)), "that of the key is another matter");
    }
}

#[test]
fn a_hash_is_like_a_map_with_times_to_live() {
    for seed in 0..12 {
        let limits = match seed % 3 {
            0 => Limits::default(),
            1 => Limits { hash_entries: 3, ..Limits::default() },
            _ => Limits { hash_entries: usize::MAX, hash_value_bytes: usize::MAX, ..Limits::default() },
        };
        let mut pair = Pair::new(seed, limits);
        let fields = [4, 40, 900][seed as usize / 4];
        for step in 0..3_000 {
            pair.step(fields);
            if step % 250 == 0 {
                pair.check();
            }
        }
        pair.expire();
        pair.check();
    }
}

#[test]
fn a_hash_becomes_large_where_valkeys_does() {
    let mut pair = Pair::new(1, Limits { hash_entries: 3, hash_value_bytes: 5, ..Limits::default() });
    let limits = pair.limits;
    let mut is_large = |pairs: &[(&[u8], &[u8])]| {
        pair = Pair::new(1, limits);
        for (field, value) in pairs {
            pair.change(|hash| hash.set(field, NewValue::from_bytes(value), Life::Keep));
        }
        matches!(pair.hash(), HashRef::Large(_))
    };
    assert!(!is_large(&[(b"a", b"1"), (b"b", b"2"), (b"c", b"12345"), (b"a", b"abcde")]));
    assert!(is_large(&[(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")]));
    assert!(is_large(&[(b"a", b"123456")]));
    assert!(is_large(&[(b"a", b"abcdef")]));
    assert!(is_large(&[(b"abcdef", b"")]));
    let mut pair = Pair::new(1, limits);
    pair.change(|hash| hash.increment(b"a", 99_999).unwrap());
    assert!(matches!(pair.hash(), HashRef::Packed(_)));
    pair.change(|hash| hash.increment(b"a", 1).unwrap());
    assert!(matches!(pair.hash(), HashRef::Large(_)), "an integer is as long as its text");
    let mut pair = Pair::new(1, Limits::default());
    pair.change(|hash| hash.set(b"a", NewValue::Int(1), Life::Until(Millis(5_000))));
    pair.change(|hash| hash.set_expiry(b"a", None));
    assert!(matches!(pair.hash(), HashRef::Large(_)), "and stays so when no field expires any more");
}

#[test]
fn many_fields_at_once_are_as_if_they_came_one_after_the_other() {
    for (count, limits) in [
        (5, Limits::default()),
        (600, Limits::default()),
        (5, Limits { hash_entries: 2, ..Limits::default() }),
        (5, Limits { hash_value_bytes: 1, ..Limits::default() }),
    ] {
        let texts: Vec<_> = (0..count).map(|number| (format!("field{}", number % 400), format!("{number}!"))).collect();
        let mut pair = Pair::new(1, limits);
        let len = pair.change(|hash| {
            hash.prepare(count, 8);
            hash.fill(texts.iter().map(|(field, value)| (field.as_bytes(), NewValue::from_bytes(value.as_bytes()))))
        });
        for (field, value) in &texts {
            pair.model.insert(field.clone().into_bytes(), (value.clone().into_bytes(), None));
        }
        assert_eq!(len, pair.model.len());
        pair.check();
    }
}

/// Each of `fields` comes about as often, in draws and choices.
fn is_fair(fields: usize, limits: Limits) {
    let mut pair = Pair::new(9, limits);
    for field in 0..fields {
        pair.change(|hash| hash.set(field.to_string().as_bytes(), NewValue::Int(1), Life::Unbounded));
    }
    // Fields whose time has passed are not in the way.
    if matches!(pair.hash(), HashRef::Large(_)) {
        for field in fields..fields * 2 {
            pair.change(|hash| hash.set(field.to_string().as_bytes(), NewValue::Int(1), Life::Until(Millis(1))));
        }
    }
    let now = Millis(pair.now);
    let hash = HashRef::of(pair.entry.as_ref().value()).unwrap();
    let mut counts = [vec![0u32; fields], vec![0u32; fields]];
    let index = |field: Value<'_>| String::from_utf8(text(&field)).unwrap().parse::<usize>().unwrap();
    let rounds = 400 * fields as u64;
    hash.draw(rounds, now, &mut pair.prng, &mut |field, _| counts[0][index(field)] += 1);
    for _ in 0..rounds / 2 {
        hash.choose(2, now, &mut pair.prng).for_each(&mut |field, _| counts[1][index(field)] += 1);
    }
    for counts in counts {
        assert!(counts.iter().all(|count| (280..520).contains(count)), "{counts:?}");
    }
}

#[test]
fn chance_is_fair() {
    is_fair(7, Limits::default());
    is_fair(7, Limits { hash_entries: 0, ..Limits::default() });
    is_fair(40, Limits { hash_entries: 0, ..Limits::default() });
}
