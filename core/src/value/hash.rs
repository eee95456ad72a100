//! Hashes: fields with a value each, and perhaps a time to live each.
//!
//! A small hash is [`packed`]. A large one is a table of entries like those of the keyspace, whose key is the field and
//! whose expiry is the field's. A hash becomes large by its size or with the first field that is to expire, and stays so.
//!
//! A field whose time has passed is absent to all who look at the hash with the time in hand, but it stays until somebody
//! writes over it or [`Hash::expire_some`] comes along; until then it is counted by [`HashRef::len`], as Valkey counts it.

pub mod packed;

mod choose;
#[cfg(test)]
mod tests;

use crate::keyspace::elements::{self, Elements};
use crate::keyspace::{Cursor, EntryRef, Form, KeyHasher, Large, NewValue, OwnedEntry, PackedMut, Value, ValueMut};
use crate::units::Millis;
use crate::value::{Element, Limits, Splice};
use std::cell::Cell;

/// A time at which no field has expired, for those who see all fields.
pub const BEFORE_ALL: Millis = Millis(i64::MIN);

/// A large hash.
#[derive(Debug)]
pub struct Hash {
    elements: Elements,
}

impl Hash {
    /// No fields, and room for some.
    pub fn with_room(hasher: KeyHasher, fields: usize) -> Self {
        Self { elements: Elements::with_room(hasher, fields) }
    }

    /// How many fields there are, those included whose time has passed.
    #[inline]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Is there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The fields, each as an entry with its value and its expiry time.
    pub fn entries(&self) -> elements::Iter<'_> {
        self.elements.iter()
    }

    /// Adds a field, unless there is one of this name; was it added?
    #[inline]
    pub fn add(&mut self, field: &[u8], value: NewValue<'_>, expire: Option<Millis>) -> bool {
        self.elements.insert_new(field, || OwnedEntry::new(field, value, expire))
    }

    /// How many fields have a time to live.
    #[inline]
    pub fn volatile(&self) -> usize {
        self.elements.volatile()
    }

    /// No field expires earlier; none if no field does. May be too early, never too late.
    #[inline]
    pub fn earliest(&self) -> Option<Millis> {
        self.elements.earliest()
    }

    /// Removes fields whose time has passed, until none is left or about `budget` fields were looked at. `removed` sees each
    /// first. The answer: is there more to do at once?
    pub fn expire_some(&mut self, now: Millis, budget: usize, removed: &mut dyn FnMut(&EntryRef<'_>)) -> bool {
        self.elements.expire_some(now, budget, removed)
    }

    /// The memory of all fields in bytes, judged by so many of them; 0: each.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        self.elements.memory_bytes(samples)
    }

    /// Frees about so many fields. The answer: is nothing left?
    pub fn free_some(&mut self, budget: usize) -> bool {
        self.elements.free_some(budget)
    }

    /// A copy.
    pub fn copy(&self) -> Box<Self> {
        Box::new(Self { elements: self.elements.copy() })
    }

    /// Checks all invariants; for tests.
    pub fn check(&self) {
        self.elements.check();
    }

    /// Has the time of a field perhaps passed?
    #[inline]
    fn may_have_expired(&self, now: Millis) -> bool {
        self.elements.volatile() > 0 && self.elements.earliest().is_some_and(|at| at < now)
    }

    #[inline]
    fn find(&self, field: &[u8], now: Millis) -> Option<EntryRef<'_>> {
        self.elements.find(field).filter(|entry| !entry.is_expired(now))
    }

    /// Gives a field a value; was it absent?
    #[inline]
    fn set(&mut self, field: &[u8], value: NewValue<'_>, life: Life, terms: &Terms) -> bool {
        let mut is_new = true;
        let given = if let Life::Until(at) = life { Some(at) } else { None };
        self.elements.upsert(field, |old| match old {
            Some(old) => {
                is_new = terms.outlives(&old.as_ref());
                let kept = if life == Life::Keep && !is_new { old.as_ref().expire_at() } else { given };
                old.rebuilt(value, kept)
            }
            None => OwnedEntry::new(field, value, given),
        });
        is_new
    }

    fn increment(&mut self, field: &[u8], by: i64, terms: &Terms) -> Result<i64, NotIncremented> {
        let mut sum = Ok(by);
        self.elements.upsert(field, |old| match old {
            Some(old) if terms.outlives(&old.as_ref()) => old.rebuilt(NewValue::Int(by), None),
            Some(old) => {
                sum = match old.as_ref().value() {
                    Value::Int(value) => value.checked_add(by).ok_or(NotIncremented::Overflow),
                    _ => Err(NotIncremented::NotAnInteger),
                };
                match sum {
                    Ok(sum) => old.with_integer(sum),
                    Err(_) => old,
                }
            }
            None => OwnedEntry::new(field, NewValue::Int(by), None),
        });
        sum
    }
}

/// The value of a field where it is stored, and when the field expires.
#[derive(Clone, Copy, Debug)]
pub struct Field<'e> {
    /// The value: a string.
    pub value: Value<'e>,
    /// When the field expires, if ever.
    pub expire_at: Option<Millis>,
}

/// The text of an element as a value.
#[inline]
fn value_of(element: Element<'_>) -> Value<'_> {
    match element {
        Element::Bytes(text) => Value::Bytes(text),
        Element::Int(value) => Value::Int(value),
    }
}

/// A hash, to be read.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'e> {
    /// A small one.
    Packed(&'e [u8]),
    /// A large one.
    Large(&'e Hash),
}

impl<'e> HashRef<'e> {
    /// The hash that a value is, if it is one.
    #[inline]
    pub fn of(value: Value<'e>) -> Option<Self> {
        match value {
            Value::Packed(Form::Hash, bytes) => Some(Self::Packed(bytes)),
            Value::Hash(hash) => Some(Self::Large(hash)),
            _ => None,
        }
    }

    /// How many fields there are, those included whose time has passed.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed(bytes) => packed::len(bytes),
            Self::Large(hash) => hash.len(),
        }
    }

    /// Is there none?
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// How many fields there are whose time has not passed.
    pub fn live(self, now: Millis) -> usize {
        match self {
            Self::Large(hash) if hash.may_have_expired(now) => {
                hash.elements.iter().filter(|entry| !entry.is_expired(now)).count()
            }
            _ => self.len(),
        }
    }

    /// How many fields have a time to live.
    #[inline]
    pub fn volatile(self) -> usize {
        match self {
            Self::Packed(_) => 0,
            Self::Large(hash) => hash.volatile(),
        }
    }

    /// A field.
    #[inline]
    pub fn find(self, field: &[u8], now: Millis) -> Option<Field<'e>> {
        match self {
            Self::Packed(bytes) => {
                let pair = packed::find(bytes, field)?;
                Some(Field { value: value_of(pair.value_of(bytes)), expire_at: None })
            }
            Self::Large(hash) => {
                let entry = hash.find(field, now)?;
                Some(Field { value: entry.value(), expire_at: entry.expire_at() })
            }
        }
    }

    /// Looks up several fields and shows what was found of each, in their order.
    pub fn find_each<'a>(
        self,
        fields: impl IntoIterator<Item = &'a [u8]>,
        now: Millis,
        mut visit: impl FnMut(Option<Field<'_>>),
    ) {
        match self {
            Self::Packed(_) => fields.into_iter().for_each(|field| visit(self.find(field, now))),
            Self::Large(hash) => hash.elements.find_each(fields, |_, entry| {
                let entry = entry.filter(|entry| !entry.is_expired(now));
                visit(entry.map(|entry| Field { value: entry.value(), expire_at: entry.expire_at() }));
                true
            }),
        }
    }

    /// Shows all fields with their values.
    #[inline]
    pub fn for_each(self, now: Millis, visit: &mut impl FnMut(Value<'_>, Value<'_>)) {
        match self {
            Self::Packed(bytes) => {
                packed::pairs(bytes).for_each(|(field, value)| visit(value_of(field), value_of(value)));
            }
            Self::Large(hash) => {
                for entry in hash.elements.iter().filter(|entry| !entry.is_expired(now)) {
                    visit(Value::Bytes(entry.key()), entry.value());
                }
            }
        }
    }

    /// Shows about `count` fields with their values from a cursor on, and says where to go on, unless that was all. A small
    /// hash is shown at once.
    pub fn scan(
        self,
        cursor: Cursor,
        count: usize,
        now: Millis,
        visit: &mut impl FnMut(Value<'_>, Value<'_>),
    ) -> Option<Cursor> {
        match self {
            Self::Packed(_) => {
                self.for_each(now, visit);
                None
            }
            Self::Large(hash) => hash.elements.scan(cursor, count, &mut |entry| {
                if !entry.is_expired(now) {
                    visit(Value::Bytes(entry.key()), entry.value());
                }
            }),
        }
    }
}

/// What becomes of a field's time to live when it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// The field lives on.
    Unbounded,
    /// The time stays as it is.
    Keep,
    /// The field lives until then.
    Until(Millis),
}

/// Why a field was not incremented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotIncremented {
    /// Its value is no integer.
    NotAnInteger,
    /// The sum is no integer of 64 bits.
    Overflow,
}

/// What one must know to change a hash.
#[derive(Debug)]
pub struct Terms {
    fields_max: usize,
    value_bytes_max: usize,
    hasher: KeyHasher,
    now: Millis,
    /// How many fields were written over whose time had passed.
    outlived: Cell<u64>,
}

impl Terms {
    /// The terms of these settings; fields whose time is before `now` are absent.
    #[inline]
    pub fn new(limits: &Limits, hasher: &KeyHasher, now: Millis) -> Self {
        Self {
            fields_max: limits.hash_entries.min(packed::FIELDS_MAX - 1),
            value_bytes_max: limits.hash_value_bytes,
            hasher: hasher.clone(),
            now,
            outlived: Cell::new(0),
        }
    }

    /// How many fields were written over on these terms whose time had passed.
    #[inline]
    pub fn outlived(&self) -> u64 {
        self.outlived.get()
    }

    /// Has the time of an element passed, which is written over now?
    #[inline]
    fn outlives(&self, old: &EntryRef<'_>) -> bool {
        let outlives = old.is_expired(self.now);
        if outlives {
            self.outlived.set(self.outlived.get() + 1);
        }
        outlives
    }
}

/// A hash, to be changed.
#[derive(Debug)]
pub struct HashMut<'e, 't> {
    entry: &'e mut OwnedEntry,
    terms: &'t Terms,
}

enum Changing<'e> {
    Packed(PackedMut<'e>),
    Large(&'e mut Hash),
}

impl<'e, 't> HashMut<'e, 't> {
    /// The hash of an entry that holds one.
    #[inline]
    pub fn new(entry: &'e mut OwnedEntry, terms: &'t Terms) -> Self {
        Self { entry, terms }
    }

    #[inline]
    fn changing(&mut self) -> Changing<'_> {
        match self.entry.value_mut() {
            ValueMut::Packed(Form::Hash, bytes) => Changing::Packed(bytes),
            ValueMut::Hash(hash) => Changing::Large(hash),
            other => unreachable!("the caller has seen that it is a hash, not {other:?}"),
        }
    }

    /// The hash, to be read.
    #[inline]
    pub fn as_ref(&self) -> HashRef<'_> {
        HashRef::of(self.entry.as_ref().value()).expect("the caller has seen that it is a hash")
    }

    /// The field, unless its time has passed.
    #[inline]
    pub fn find(&self, field: &[u8]) -> Option<Field<'_>> {
        self.as_ref().find(field, self.terms.now)
    }

    /// Becomes large at once if `fields` more fields will be written, or texts of up to `text_bytes`, and these are too many or
    /// too long for a small hash.
    #[inline]
    pub fn prepare(&mut self, fields: usize, text_bytes: usize) {
        if fields > self.terms.fields_max || text_bytes > self.terms.value_bytes_max {
            self.enlarge(fields);
        }
    }

    /// Becomes large, with room for so many more fields.
    #[cold]
    fn enlarge(&mut self, room: usize) {
        let Changing::Packed(packed) = self.changing() else { return };
        let bytes = packed.bytes().to_vec();
        let mut hash = Hash::with_room(self.terms.hasher.clone(), packed::len(&bytes) + room);
        let mut digits = itoa::Buffer::new();
        for (field, value) in packed::pairs(&bytes) {
            let value = match value {
                Element::Bytes(text) => NewValue::Bytes(text),
                Element::Int(value) => NewValue::Int(value),
            };
            hash.elements.insert(OwnedEntry::new(field.text(&mut digits), value, None));
        }
        self.entry.set_value(NewValue::Large(Large::Hash(Box::new(hash))));
    }

    /// Is a text, or a value, too long for a small hash?
    #[inline]
    fn is_long(&self, field: &[u8], value: &NewValue<'_>) -> bool {
        let max = self.terms.value_bytes_max;
        let value_len = match value {
            NewValue::Bytes(text) => text.len(),
            NewValue::Shared(text) => text.len(),
            // Few settings make it worth asking.
            NewValue::Int(value) if max < 20 => Element::Int(*value).text_len(),
            _ => 0,
        };
        field.len() > max || value_len > max
    }

    /// Gives a field a value; was it absent?
    #[inline]
    pub fn set(&mut self, field: &[u8], value: NewValue<'_>, life: Life) -> bool {
        if let Life::Until(_) = life {
            self.enlarge(1);
        }
        let is_long = self.is_long(field, &value);
        let terms = self.terms;
        match self.changing() {
            Changing::Large(hash) => hash.set(field, value, life, terms),
            Changing::Packed(packed) if is_long || packed.bytes().len() > packed::BYTES_MAX => {
                self.enlarge(1);
                self.set(field, value, life)
            }
            Changing::Packed(mut packed) => {
                let element = match &value {
                    NewValue::Int(value) => Element::Int(*value),
                    NewValue::Bytes(text) => Element::Bytes(text),
                    NewValue::Shared(text) => Element::Bytes(text),
                    NewValue::Packed(..) | NewValue::Large(_) => unreachable!("values of fields are strings"),
                };
                let place = packed::find(packed.bytes(), field);
                match place {
                    Some(pair) => packed::replace(&mut packed, pair, element),
                    None => packed::append(&mut packed, field, element),
                }
                // Nor does one stay small that was made under wider limits.
                if packed::len(packed.bytes()) > terms.fields_max {
                    self.enlarge(1);
                }
                place.is_none()
            }
        }
    }

    /// Puts many fields into a hash that has none yet, and says how many there are then.
    pub fn fill<'a>(&mut self, pairs: impl Iterator<Item = (&'a [u8], NewValue<'a>)>) -> usize {
        let mut packed = packed::EMPTY.to_vec();
        let mut rest = pairs;
        if let Changing::Packed(_) = self.changing() {
            for (field, value) in rest.by_ref() {
                let element = match &value {
                    NewValue::Int(value) => Element::Int(*value),
                    NewValue::Bytes(text) => Element::Bytes(text),
                    _ => {
                        self.entry.set_value(NewValue::Packed(Form::Hash, &packed));
                        self.set(field, value, Life::Unbounded);
                        packed.clear();
                        break;
                    }
                };
                match packed::find(&packed, field) {
                    Some(pair) => packed::replace(&mut packed, pair, element),
                    None => packed::append(&mut packed, field, element),
                }
            }
            if !packed.is_empty() {
                self.entry.set_value(NewValue::Packed(Form::Hash, &packed));
            }
        }
        for (field, value) in rest {
            self.set(field, value, Life::Unbounded);
        }
        self.as_ref().len()
    }

    /// Removes a field; was there one whose time has not passed?
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let now = self.terms.now;
        match self.changing() {
            Changing::Packed(mut packed) => {
                let pair = packed::find(packed.bytes(), field);
                if let Some(pair) = pair {
                    packed::remove(&mut packed, pair);
                }
                pair.is_some()
            }
            Changing::Large(hash) => {
                if hash.may_have_expired(now) && hash.find(field, now).is_none() {
                    return false;
                }
                hash.elements.remove(field).is_some()
            }
        }
    }

    /// Lets a field that is there live until a time, or on and on.
    pub fn set_expiry(&mut self, field: &[u8], at: Option<Millis>) {
        if at.is_some() {
            self.enlarge(0);
        }
        if let Changing::Large(hash) = self.changing() {
            hash.elements.update(field, |entry| (entry.with_expiry(at), ()));
        }
    }

    /// Adds to the integer of a field, which is zero if it is absent, and says the sum.
    ///
    /// # Errors
    /// The value is no integer, or the sum is none of 64 bits.
    #[inline]
    pub fn increment(&mut self, field: &[u8], by: i64) -> Result<i64, NotIncremented> {
        let terms = self.terms;
        let mut packed = match self.changing() {
            Changing::Large(hash) => return hash.increment(field, by, terms),
            Changing::Packed(packed) => packed,
        };
        let Some(pair) = packed::find(packed.bytes(), field) else {
            self.set(field, NewValue::Int(by), Life::Unbounded);
            return Ok(by);
        };
        let Element::Int(old) = pair.value_of(packed.bytes()) else { return Err(NotIncremented::NotAnInteger) };
        let sum = old.checked_add(by).ok_or(NotIncremented::Overflow)?;
        packed::replace(&mut packed, pair, Element::Int(sum));
        if packed::len(packed.bytes()) > terms.fields_max || self.is_long(field, &NewValue::Int(sum)) {
            self.enlarge(0);
        }
        Ok(sum)
    }
}
