//! Several sets side by side: reading them, and looking many members of one up in another.

use crate::commands::Context;
use crate::keyspace::{Key, KeyHash, KeyHasher, ValueKind};
use crate::resp::{Args, CommandError};
use crate::value::set::{Member, Members, SetRef};
use hashbrown::HashTable;
use smallvec::SmallVec;
use std::ops::Range;

/// How many members are looked up side by side.
const CHUNK: usize = 32;

/// The sets of several keys; absent ones are none.
pub(super) type Sets<'a> = SmallVec<[Option<SetRef<'a>>; 8]>;

/// The sets of these arguments. All are looked at, as in Valkey, before one of another type is complained about.
pub(super) fn read_sets<'c>(
    ctx: &'c mut Context<'_>,
    args: &Args<'_>,
    indexes: Range<usize>,
) -> Result<Sets<'c>, CommandError> {
    let mut keys: SmallVec<[Option<Key<'_>>; 8]> = SmallVec::with_capacity(indexes.len());
    for index in indexes {
        let key = ctx.key(args, index);
        match ctx.read(&key).map(|entry| entry.kind()) {
            Some(ValueKind::Set) => keys.push(Some(key)),
            Some(_) => return Err(CommandError::WrongType),
            None => keys.push(None),
        }
    }
    let database = ctx.shard.database(ctx.db);
    let set = |key: Option<Key<'_>>| SetRef::of(&database.find(&key?)?);
    Ok(keys.into_iter().map(set).collect())
}

/// A member and the hash of its text.
#[derive(Clone, Copy)]
pub(super) struct Hashed<'a> {
    pub member: Member<'a>,
    hash: KeyHash,
}

impl Hashed<'_> {
    fn is(&self, other: &Hashed<'_>) -> bool {
        match (self.member, other.member) {
            (Member::Int(one), Member::Int(two)) => one == two,
            (one, two) => one.text(&mut itoa::Buffer::new()) == two.text(&mut itoa::Buffer::new()),
        }
    }
}

/// Members of one set that are looked up in others.
pub(super) struct Chunk<'a> {
    pub members: SmallVec<[Hashed<'a>; CHUNK]>,
}

/// Shows the members of a set, chunk by chunk, until `visit` says no.
pub(super) fn chunks<'a>(set: SetRef<'a>, hasher: &KeyHasher, mut visit: impl FnMut(&mut Chunk<'a>) -> bool) {
    let mut members: Members<'a> = set.iter();
    let mut chunk = Chunk { members: SmallVec::new() };
    loop {
        chunk.members.clear();
        let hashed = |member: Member<'a>| {
            let hash = hasher.element(member.text(&mut itoa::Buffer::new()));
            Hashed { member, hash }
        };
        chunk.members.extend(members.by_ref().take(CHUNK).map(hashed));
        if chunk.members.is_empty() || !visit(&mut chunk) {
            return;
        }
    }
}

impl<'a> Chunk<'a> {
    /// Keeps the members that a set has, or those that it has not.
    pub fn keep(&mut self, set: SetRef<'_>, that_it_has: bool) {
        let SetRef::Large(large) = set else {
            return self.members.retain(|hashed| set.contains_member(hashed.member) == that_it_has);
        };
        let elements = large.members();
        self.members.iter_mut().for_each(|hashed| elements.prefetch_line(&mut hashed.hash));
        self.members.iter_mut().for_each(|hashed| elements.prefetch_entry(&mut hashed.hash));
        self.members.retain(|hashed| {
            let mut buffer = itoa::Buffer::new();
            let key = Key { bytes: hashed.member.text(&mut buffer), hash: hashed.hash };
            elements.find_key(&key).is_some() == that_it_has
        });
    }

    /// Keeps the members that were not seen yet, and notes all down.
    pub fn keep_unseen(&mut self, seen: &mut Seen<'a>) {
        self.members.retain(|hashed| {
            let entry = seen.0.entry(hashed.hash.hash, |other| other.is(hashed), |other| other.hash.hash);
            match entry {
                hashbrown::hash_table::Entry::Occupied(_) => false,
                hashbrown::hash_table::Entry::Vacant(vacant) => {
                    vacant.insert(*hashed);
                    true
                }
            }
        });
    }

    /// Keeps the members that were not seen.
    pub fn keep_absent(&mut self, seen: &Seen<'a>) {
        self.members.retain(|hashed| seen.0.find(hashed.hash.hash, |other| other.is(hashed)).is_none());
    }
}

/// Members that were seen, of however many sets.
#[derive(Default)]
pub(super) struct Seen<'a>(HashTable<Hashed<'a>>);
