//! Chance: fields of a hash, each as likely as any other.

use super::{HashRef, value_of};
use crate::keyspace::{EntryRef, Value};
use crate::prng::Prng;
use crate::units::Millis;
use crate::value::{Element, PACKED_HEAD_BYTES};
use ahash::RandomState;
use smallvec::SmallVec;
use std::collections::HashSet;

/// So many fields whose time has passed may be drawn before all others are listed.
const TRIES_MAX: usize = 32;

/// Where one of so many fields or more is wanted, all are listed and chosen from.
const LIST_ALL_FROM: usize = 3;

/// A field and its value.
pub type Shown<'s, 'e> = &'s mut dyn FnMut(Value<'e>, Value<'e>);

impl<'e> HashRef<'e> {
    /// Shows `count` fields, any of them perhaps several times; nothing if there is no field whose time has not passed.
    pub fn draw(self, count: u64, now: Millis, prng: &mut Prng, visit: Shown<'_, 'e>) {
        match self {
            Self::Packed(bytes) => {
                let places = places(bytes);
                for _ in 0..if places.is_empty() { 0 } else { count } {
                    show(bytes, places[prng.below(places.len() as u64) as usize], visit);
                }
            }
            Self::Large(hash) => {
                let mut listed: Option<Vec<EntryRef<'e>>> = None;
                for _ in 0..count {
                    let tried = match listed {
                        Some(_) => None,
                        None => (0..TRIES_MAX)
                            .find_map(|_| hash.elements.random(prng).filter(|entry| !entry.is_expired(now))),
                    };
                    let entry = tried.or_else(|| {
                        let live = listed.get_or_insert_with(|| self.listed(now));
                        (!live.is_empty()).then(|| live[prng.below(live.len() as u64) as usize])
                    });
                    let Some(entry) = entry else { return };
                    visit(Value::Bytes(entry.key()), entry.value());
                }
            }
        }
    }

    /// Is there a field whose time has not passed?
    pub fn has_live(self, now: Millis) -> bool {
        match self {
            Self::Large(hash) if hash.may_have_expired(now) => hash.elements.iter().any(|entry| !entry.is_expired(now)),
            _ => !self.is_empty(),
        }
    }

    /// Chooses `count` different fields, or all if there are not so many.
    pub fn choose(self, count: u64, now: Millis, prng: &mut Prng) -> Chosen<'e> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match self {
            Self::Packed(bytes) => {
                let mut places = places(bytes);
                let mut left = places.len();
                let mut wanted = count.min(left);
                // In their order, each with the chance that is left for it.
                places.retain(|_| {
                    let is_chosen = prng.below(left as u64) < wanted as u64;
                    wanted -= usize::from(is_chosen);
                    left -= 1;
                    is_chosen
                });
                Chosen::Packed(bytes, places)
            }
            Self::Large(hash) if !hash.may_have_expired(now) && count < hash.len() / LIST_ALL_FROM => {
                let mut seen = HashSet::with_capacity_and_hasher(count, RandomState::with_seeds(1, 2, 3, 4));
                let mut chosen = Vec::with_capacity(count);
                while chosen.len() < count {
                    let entry = hash.elements.random(prng).expect("a hash has fields");
                    if seen.insert(entry.key().as_ptr().addr()) {
                        chosen.push(entry);
                    }
                }
                Chosen::Large(chosen)
            }
            Self::Large(_) => {
                let mut live = self.listed(now);
                for index in 0..if count < live.len() { count } else { 0 } {
                    let other = index + prng.below((live.len() - index) as u64) as usize;
                    live.swap(index, other);
                }
                live.truncate(count);
                Chosen::Large(live)
            }
        }
    }

    fn listed(self, now: Millis) -> Vec<EntryRef<'e>> {
        match self {
            Self::Large(hash) => hash.elements.iter().filter(|entry| !entry.is_expired(now)).collect(),
            Self::Packed(_) => Vec::new(),
        }
    }
}

/// Fields that chance has chosen.
pub enum Chosen<'e> {
    /// Those of a small hash, and where they are.
    Packed(&'e [u8], Places),
    /// Those of a large one.
    Large(Vec<EntryRef<'e>>),
}

impl<'e> Chosen<'e> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(_, places) => places.len(),
            Self::Large(entries) => entries.len(),
        }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows them with their values.
    pub fn for_each(&self, visit: Shown<'_, 'e>) {
        match self {
            Self::Packed(bytes, places) => places.iter().for_each(|place| show(bytes, *place, visit)),
            Self::Large(entries) => entries.iter().for_each(|entry| visit(Value::Bytes(entry.key()), entry.value())),
        }
    }
}

/// Where fields of a packed hash begin.
pub type Places = SmallVec<[u32; 32]>;

/// Where the fields of a packed hash begin.
fn places(bytes: &[u8]) -> Places {
    let mut places = SmallVec::new();
    let mut at = PACKED_HEAD_BYTES;
    while at < bytes.len() {
        places.push(u32::try_from(at).expect("a packed hash is bounded far below 4 GiB"));
        at = Element::skip(bytes, Element::skip(bytes, at));
    }
    places
}

fn show<'e>(bytes: &'e [u8], place: u32, visit: Shown<'_, 'e>) {
    let (field, at) = Element::read(bytes, place as usize);
    visit(value_of(field), value_of(Element::read(bytes, at).0));
}
