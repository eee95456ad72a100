//! Sets: sorted integers, packed members, or a table of elements, and the ways from one to the next.
//!
//! When a set changes its form is Valkey's, because OBJECT ENCODING tells it: integers stay integers up to
//! `set-max-intset-entries`; other small sets are packed as long as no member is longer, and there are no more of them, than
//! `set-max-listpack-value` and `set-max-listpack-entries` allow; all else is a table. No set goes back.
//!
//! Packed members stand in the order in which they came, behind their count.

use super::{Element, Limits, PACKED_HEAD_BYTES, Splice, intset};
use crate::keyspace::elements::Iter as EntryIter;
use crate::keyspace::{Elements, EntryRef, Form, KeyHasher, Large, NewValue, OwnedEntry, Value, ValueMut};
use crate::number::parse_integer;
use crate::prng::Prng;
use std::ops::Range;

/// No more members are packed, whatever the settings say: their count has two bytes.
const PACKED_MEMBERS_MAX: usize = u16::MAX as usize;

/// Packed sets have no more bytes, whatever the settings say.
const PACKED_BYTES_MAX: usize = 1 << 30;

/// No more integers are packed, whatever the settings say.
const INTEGERS_MAX: usize = 1 << 30;

/// A packed set without members.
const EMPTY: [u8; PACKED_HEAD_BYTES] = [0, 0];

/// A member on its way: a large set gives all of them as bytes, even integers.
pub type Member<'a> = Element<'a>;

/// A large set.
#[derive(Debug)]
pub struct Set {
    members: Elements,
}

impl Set {
    /// A set without members that has room for about so many.
    pub fn with_room(hasher: &KeyHasher, count: usize) -> Box<Self> {
        Box::new(Self { members: Elements::with_room(hasher.clone(), count) })
    }

    /// A set without members that has room for about so many, all of which are to come at once.
    pub fn for_about(hasher: &KeyHasher, count: usize) -> Box<Self> {
        Box::new(Self { members: Elements::for_about(hasher.clone(), count) })
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Is there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members.
    #[inline]
    pub fn members(&self) -> &Elements {
        &self.members
    }

    /// Adds a member; was it absent?
    #[inline]
    pub fn insert(&mut self, member: &[u8]) -> bool {
        self.members.insert_new(member, || entry(member))
    }

    /// Adds a member that is absent.
    #[inline]
    pub fn insert_absent(&mut self, member: &[u8]) {
        self.members.insert(entry(member));
    }

    /// The memory of all members in bytes, judged by so many of them; 0: each.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        self.members.memory_bytes(samples)
    }

    /// Frees about so many members. The answer: is nothing left?
    pub fn free_some(&mut self, budget: usize) -> bool {
        self.members.free_some(budget)
    }

    /// A copy.
    pub fn copy(&self) -> Box<Self> {
        Box::new(Self { members: self.members.copy() })
    }
}

/// A member of a large set.
#[inline]
fn entry(member: &[u8]) -> OwnedEntry {
    OwnedEntry::new(member, NewValue::Bytes(&[]), None)
}

/// How many members are packed.
#[inline]
fn count(packed: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([packed[0], packed[1]]))
}

fn set_count(packed: &mut impl Splice, count: usize) {
    packed.bytes_mut()[..PACKED_HEAD_BYTES].copy_from_slice(&(count as u16).to_le_bytes());
}

/// Where a packed member is.
#[inline]
fn find(set: &[u8], member: &[u8]) -> Option<Range<usize>> {
    let mut at = PACKED_HEAD_BYTES;
    while at < set.len() {
        if set[at..].starts_with(member) {
            return Some(at..at + member.len());
        }
        at = Element::skip(set, at);
    }
    None
}

fn append(set: &mut impl Splice, member: &[u8]) {
    let end = set.bytes().len();
    let members = count(set.bytes()) + 1;
    set.splice(end..end, member);
    set_count(set, members);
}

fn cut(set: &mut impl Splice, member: Range<usize>) {
    let members = count(set.bytes()) - 1;
    set.splice(member, &[]);
    set_count(set, members);
}

/// Where the packed member with this number is.
fn nth(set: &[u8], index: usize) -> usize {
    (0..index).fold(PACKED_HEAD_BYTES, |at, _| Element::skip(set, at))
}

/// A set where it is stored.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Packed integers.
    Integers(&'a [u8]),
    /// Packed members.
    Packed(&'a [u8]),
    /// A table.
    Large(&'a Set),
}

impl<'a> SetRef<'a> {
    /// The set of an entry, if it is one.
    #[inline]
    pub fn of(entry: &EntryRef<'a>) -> Option<Self> {
        match entry.value() {
            Value::Packed(Form::IntSet, bytes) => Some(Self::Integers(bytes)),
            Value::Packed(Form::Set, bytes) => Some(Self::Packed(bytes)),
            Value::Set(set) => Some(Self::Large(set)),
            _ => None,
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Integers(bytes) => intset::len(bytes),
            Self::Packed(bytes) => count(bytes),
            Self::Large(set) => set.len(),
        }
    }

    /// Is there none?
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Is this a member?
    #[inline]
    pub fn contains(self, text: &[u8]) -> bool {
        match self {
            Self::Integers(bytes) => parse_integer(text).is_some_and(|value| intset::contains(bytes, value)),
            Self::Packed(bytes) => find(bytes, &Element::of(text).encoded()).is_some(),
            Self::Large(set) => set.members.find(text).is_some(),
        }
    }

    /// Is this a member?
    #[inline]
    pub fn contains_member(self, member: Member<'_>) -> bool {
        match (self, member) {
            (_, Member::Bytes(text)) => self.contains(text),
            (Self::Integers(bytes), Member::Int(value)) => intset::contains(bytes, value),
            (Self::Packed(bytes), Member::Int(_)) => find(bytes, &member.encoded()).is_some(),
            (Self::Large(set), Member::Int(_)) => set.members.find(member.text(&mut itoa::Buffer::new())).is_some(),
        }
    }

    /// All members, in no order that means something.
    #[inline]
    pub fn iter(self) -> Members<'a> {
        match self {
            Self::Integers(bytes) => Members::Integers(bytes, 0),
            Self::Packed(bytes) => Members::Packed(bytes, PACKED_HEAD_BYTES),
            Self::Large(set) => Members::Large(set.members.iter()),
        }
    }

    /// A random member; each is as likely as any other. An empty set has none.
    pub fn random(self, prng: &mut Prng) -> Option<Member<'a>> {
        let index = |len: usize, prng: &mut Prng| (len > 0).then(|| prng.below(len as u64) as usize);
        match self {
            Self::Integers(bytes) => index(self.len(), prng).map(|index| Member::Int(intset::at(bytes, index))),
            Self::Packed(bytes) => index(self.len(), prng).map(|index| Element::read(bytes, nth(bytes, index)).0),
            Self::Large(set) => set.members.random(prng).map(|entry| Member::Bytes(entry.key())),
        }
    }

    /// In which form a set is to which all these members are added, one after the other.
    pub fn form_of_copy(self, limits: &Limits) -> SetForm {
        if let Self::Integers(_) = self {
            return if self.len() <= integers_max(limits) { SetForm::Integers } else { SetForm::Large };
        }
        let (mut first_text, mut fits) = (None, true);
        for (index, member) in self.iter().enumerate() {
            let is_integer = match member {
                Member::Int(_) => true,
                Member::Bytes(text) => parse_integer(text).is_some(),
            };
            if !is_integer {
                first_text.get_or_insert(index);
            }
            fits &= member.text_len() <= limits.set_value_bytes;
        }
        // The integers before the first text are added to a set of integers, which may become too large for one.
        if first_text.unwrap_or(self.len()) > integers_max(limits) {
            SetForm::Large
        } else if first_text.is_none() {
            SetForm::Integers
        } else if fits && self.len() <= packed_max(limits) {
            SetForm::Packed
        } else {
            SetForm::Large
        }
    }
}

/// The three forms of a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetForm {
    /// Packed integers.
    Integers,
    /// Packed members.
    Packed,
    /// A table.
    Large,
}

fn integers_max(limits: &Limits) -> usize {
    limits.set_intset_entries.min(INTEGERS_MAX)
}

fn packed_max(limits: &Limits) -> usize {
    limits.set_entries.min(PACKED_MEMBERS_MAX)
}

/// The members of a set.
#[derive(Debug)]
pub enum Members<'a> {
    /// Packed integers, and the number of the next one.
    Integers(&'a [u8], usize),
    /// Packed members, and where the next one is.
    Packed(&'a [u8], usize),
    /// A table.
    Large(EntryIter<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    #[inline]
    fn next(&mut self) -> Option<Member<'a>> {
        match self {
            Self::Integers(bytes, next) => {
                let index = *next;
                (index < intset::len(bytes)).then(|| {
                    *next += 1;
                    Member::Int(intset::at(bytes, index))
                })
            }
            Self::Packed(bytes, next) => (*next < bytes.len()).then(|| {
                let (member, after) = Element::read(bytes, *next);
                *next = after;
                member
            }),
            Self::Large(entries) => entries.next().map(|entry| Member::Bytes(entry.key())),
        }
    }
}

/// What became of an attempt to add to a packed form.
enum Attempt {
    Done(bool),
    Becomes(SetForm),
}

/// A set in its entry, to be changed.
#[derive(Debug)]
pub struct SetMut<'e> {
    entry: &'e mut OwnedEntry,
    limits: &'e Limits,
    hasher: &'e KeyHasher,
}

impl<'e> SetMut<'e> {
    /// The set of this entry.
    #[inline]
    pub fn new(entry: &'e mut OwnedEntry, limits: &'e Limits, hasher: &'e KeyHasher) -> Self {
        Self { entry, limits, hasher }
    }

    /// A value for a new set that will have this member and about `count` in all.
    pub fn fresh(member: &[u8], count: usize, limits: &Limits, hasher: &KeyHasher) -> NewValue<'static> {
        if count <= limits.set_intset_entries && parse_integer(member).is_some() {
            Self::empty(SetForm::Integers, hasher)
        } else if count <= limits.set_entries {
            Self::empty(SetForm::Packed, hasher)
        } else {
            NewValue::Large(Large::Set(Set::with_room(hasher, count)))
        }
    }

    /// A value for a new set of this form.
    pub fn empty(form: SetForm, hasher: &KeyHasher) -> NewValue<'static> {
        match form {
            SetForm::Integers => NewValue::Packed(Form::IntSet, &intset::EMPTY),
            SetForm::Packed => NewValue::Packed(Form::Set, &EMPTY),
            SetForm::Large => NewValue::Large(Large::Set(Set::with_room(hasher, 0))),
        }
    }

    /// The set as it is.
    #[inline]
    pub fn as_ref(&self) -> SetRef<'_> {
        SetRef::of(&self.entry.as_ref()).expect("the entry holds a set")
    }

    /// Lets a packed set become a table at once if as many members are to come as it may have at all.
    pub fn expect(&mut self, coming: usize) {
        let max = match self.as_ref() {
            SetRef::Integers(_) => self.limits.set_intset_entries,
            SetRef::Packed(_) => self.limits.set_entries,
            SetRef::Large(_) => return,
        };
        if coming > max {
            self.become_large(coming);
        }
    }

    /// Adds a member; was it absent?
    #[inline]
    pub fn insert(&mut self, text: &[u8]) -> bool {
        let attempt = match self.entry.value_mut() {
            ValueMut::Set(set) => return set.insert(text),
            ValueMut::Packed(Form::IntSet, mut set) => match parse_integer(text) {
                Some(value) => insert_integer(&mut set, value, self.limits),
                None => Attempt::Becomes(form_beside(set.bytes(), text, self.limits)),
            },
            ValueMut::Packed(_, mut set) => insert_packed(&mut set, Element::of(text), text.len(), self.limits),
            other => unreachable!("the entry holds a set, not {other:?}"),
        };
        match attempt {
            Attempt::Done(inserted) => inserted,
            Attempt::Becomes(form) => {
                self.become_form(form);
                self.insert_absent(text)
            }
        }
    }

    /// The same for a member of another set.
    pub fn insert_member(&mut self, member: Member<'_>) -> bool {
        let value = match member {
            Member::Bytes(text) => return self.insert(text),
            Member::Int(value) => value,
        };
        let attempt = match self.entry.value_mut() {
            ValueMut::Packed(Form::IntSet, mut set) => insert_integer(&mut set, value, self.limits),
            ValueMut::Packed(_, mut set) => insert_packed(&mut set, member, member.text_len(), self.limits),
            _ => return self.insert(member.text(&mut itoa::Buffer::new())),
        };
        match attempt {
            Attempt::Done(inserted) => inserted,
            Attempt::Becomes(form) => {
                self.become_form(form);
                self.insert_absent(member.text(&mut itoa::Buffer::new()))
            }
        }
    }

    /// Adds a member that is absent and may be in this form.
    fn insert_absent(&mut self, text: &[u8]) -> bool {
        match self.entry.value_mut() {
            ValueMut::Set(set) => set.insert_absent(text),
            ValueMut::Packed(Form::Set, mut set) => append(&mut set, &Element::of(text).encoded()),
            other => unreachable!("the set has just changed its form to {other:?}"),
        }
        true
    }

    /// Removes a member; was it one?
    #[inline]
    pub fn remove(&mut self, text: &[u8]) -> bool {
        match self.entry.value_mut() {
            ValueMut::Set(set) => set.members.remove(text).is_some(),
            ValueMut::Packed(Form::IntSet, mut set) => {
                parse_integer(text).is_some_and(|value| intset::remove(&mut set, value))
            }
            ValueMut::Packed(_, mut set) => match find(set.bytes(), &Element::of(text).encoded()) {
                Some(place) => {
                    cut(&mut set, place);
                    true
                }
                None => false,
            },
            other => unreachable!("the entry holds a set, not {other:?}"),
        }
    }

    /// Takes a random member out and shows it; each is as likely as any other.
    pub fn take_random<R>(&mut self, prng: &mut Prng, show: impl FnOnce(Member<'_>) -> R) -> Option<R> {
        match self.entry.value_mut() {
            ValueMut::Set(set) => set.members.take_random(prng).map(|entry| show(Member::Bytes(entry.as_ref().key()))),
            ValueMut::Packed(form, mut set) => {
                let bytes = set.bytes();
                let len = if form == Form::IntSet { intset::len(bytes) } else { count(bytes) };
                if len == 0 {
                    return None;
                }
                let index = prng.below(len as u64) as usize;
                if form == Form::IntSet {
                    let shown = show(Member::Int(intset::at(bytes, index)));
                    intset::remove_at(&mut set, index);
                    return Some(shown);
                }
                let at = nth(bytes, index);
                let (member, next) = Element::read(bytes, at);
                let shown = show(member);
                cut(&mut set, at..next);
                Some(shown)
            }
            other => unreachable!("the entry holds a set, not {other:?}"),
        }
    }

    /// Takes so many random members out of a packed set, which has more, and shows each.
    pub fn take_some(&mut self, count: usize, prng: &mut Prng, show: &mut impl FnMut(Member<'_>)) {
        let ValueMut::Packed(form, mut set) = self.entry.value_mut() else {
            unreachable!("a table's members are taken one by one")
        };
        let bytes = set.bytes();
        let (mut rest, members) = match form {
            Form::IntSet => (vec![bytes[0], 0], Members::Integers(bytes, 0)),
            _ => (EMPTY.to_vec(), Members::Packed(bytes, PACKED_HEAD_BYTES)),
        };
        let mut left = if form == Form::IntSet { intset::len(bytes) } else { self::count(bytes) };
        let mut needed = count;
        for member in members {
            if prng.below(left as u64) < needed as u64 {
                show(member);
                needed -= 1;
            } else if let (Form::IntSet, Member::Int(value)) = (form, member) {
                intset::insert(&mut rest, value);
            } else {
                append(&mut rest, &member.encoded());
            }
            left -= 1;
        }
        let all = 0..bytes.len();
        set.splice(all, &rest);
    }

    /// Hands the value of an entry over that is no longer needed.
    pub fn take_value<R>(entry: &mut OwnedEntry, store: impl FnOnce(NewValue<'_>) -> R) -> R {
        match entry.take_large() {
            Some(large) => store(NewValue::Large(large)),
            None => match entry.as_ref().value() {
                Value::Packed(form, bytes) => store(NewValue::Packed(form, bytes)),
                other => unreachable!("the entry holds a set, not {other:?}"),
            },
        }
    }

    /// Becomes a set of integers if all members are, and there are not too many. Only sets that commands have put together
    /// do this.
    pub fn settle(&mut self) {
        let set = self.as_ref();
        if matches!(set, SetRef::Integers(_)) || set.len() > integers_max(self.limits) {
            return;
        }
        let mut integers = Vec::with_capacity(set.len());
        for member in set.iter() {
            match member {
                Member::Int(value) => integers.push(value),
                Member::Bytes(text) => match parse_integer(text) {
                    Some(value) => integers.push(value),
                    None => return,
                },
            }
        }
        integers.sort_unstable();
        let mut bytes = intset::EMPTY.to_vec();
        integers.iter().for_each(|value| {
            intset::insert(&mut bytes, *value);
        });
        self.entry.set_value(NewValue::Packed(Form::IntSet, &bytes));
    }

    fn become_form(&mut self, form: SetForm) {
        match form {
            SetForm::Large => self.become_large(self.as_ref().len() + 1),
            SetForm::Packed | SetForm::Integers => self.become_packed(),
        }
    }

    fn become_large(&mut self, count: usize) {
        let mut large = Set::with_room(self.hasher, count);
        for member in self.as_ref().iter() {
            large.insert_absent(member.text(&mut itoa::Buffer::new()));
        }
        self.entry.set_value(NewValue::Large(Large::Set(large)));
    }

    fn become_packed(&mut self) {
        let mut bytes = EMPTY.to_vec();
        for member in self.as_ref().iter() {
            append(&mut bytes, &member.encoded());
        }
        self.entry.set_value(NewValue::Packed(Form::Set, &bytes));
    }
}

#[inline]
fn insert_integer(set: &mut impl Splice, value: i64, limits: &Limits) -> Attempt {
    let bytes = set.bytes();
    if intset::len(bytes) >= integers_max(limits) && !intset::contains(bytes, value) {
        return Attempt::Becomes(SetForm::Large);
    }
    Attempt::Done(intset::insert(set, value))
}

#[inline]
fn insert_packed(set: &mut impl Splice, member: Member<'_>, text_len: usize, limits: &Limits) -> Attempt {
    let encoded = member.encoded();
    let bytes = set.bytes();
    if find(bytes, &encoded).is_some() {
        return Attempt::Done(false);
    }
    let fits = count(bytes) < packed_max(limits)
        && text_len <= limits.set_value_bytes
        && bytes.len() + text_len <= PACKED_BYTES_MAX;
    if !fits {
        return Attempt::Becomes(SetForm::Large);
    }
    append(set, &encoded);
    Attempt::Done(true)
}

/// What a set of integers becomes when this text comes, which is none.
fn form_beside(integers: &[u8], text: &[u8], limits: &Limits) -> SetForm {
    let members = intset::len(integers);
    let digits = |index: usize| Member::Int(intset::at(integers, index)).text_len();
    let longest = if members == 0 { 0 } else { digits(0).max(digits(members - 1)) };
    let fits = members < packed_max(limits)
        && text.len() <= limits.set_value_bytes
        && longest <= limits.set_value_bytes
        && members * (longest + 2) + text.len() <= PACKED_BYTES_MAX;
    if fits { SetForm::Packed } else { SetForm::Large }
}

#[cfg(test)]
mod tests;
