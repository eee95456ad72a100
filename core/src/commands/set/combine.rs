//! Intersections, unions and differences of sets, as replies, as numbers, and stored.

use super::gather::{Chunk, Seen, Sets, chunks, read_sets};
use super::reply_member;
use crate::command::options::{Options, is};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, KeyHasher, OwnedEntry};
use crate::number::parse_integer;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::Limits;
use crate::value::set::{Member, SetForm, SetMut, SetRef};
use smallvec::SmallVec;

/// A union looks members up in the sets that came before, as long as that is at most so many lookups for each; beyond
/// that it remembers what it has seen.
const LOOKUPS_PER_MEMBER: usize = 3;

/// `SINTER key [key ...]`
pub fn sinter(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let hasher = ctx.shard.hasher.clone();
    let sets = read_sets(ctx, args, 1..args.len())?;
    let sets = smallest_first(&sets);
    let head = reply.unsettled(true, sets.first().map_or(0, |set| set.len()));
    let mut len = 0;
    intersect(&sets, &hasher, |member| {
        reply_member(reply, member);
        len += 1;
        true
    });
    reply.settle(head, len);
    Ok(Outcome::unchanged())
}

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`
pub fn sintercard(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let count = parse_integer(args.get(1)).filter(|count| *count > 0);
    let count = count.ok_or(CommandError::text("numkeys should be greater than 0"))?;
    if count > args.len() as i64 - 2 {
        return Err(CommandError::text("Number of keys can't be greater than number of args"));
    }
    let end = 2 + count as usize;
    let mut options = Options::new(args, end);
    let mut limit = 0;
    while let Some(word) = options.word() {
        if !is(word, "LIMIT") {
            return Err(CommandError::Syntax);
        }
        limit = parse_integer(options.value()?)
            .filter(|limit| *limit >= 0)
            .ok_or(CommandError::text("LIMIT can't be negative"))?;
    }
    let hasher = ctx.shard.hasher.clone();
    let sets = read_sets(ctx, args, 2..end)?;
    let mut len = 0;
    intersect(&smallest_first(&sets), &hasher, |_| {
        len += 1;
        len != limit
    });
    reply.integer(len);
    Ok(Outcome::unchanged())
}

/// `SUNION key [key ...]`
pub fn sunion(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let hasher = ctx.shard.hasher.clone();
    let sets = read_sets(ctx, args, 1..args.len())?;
    let sets: SmallVec<[SetRef<'_>; 8]> = sets.into_iter().flatten().collect();
    let head = reply.unsettled(true, sets.iter().map(|set| set.len()).sum());
    let mut len = 0;
    unite(&sets, &hasher, |member| {
        reply_member(reply, member);
        len += 1;
    });
    reply.settle(head, len);
    Ok(Outcome::unchanged())
}

/// `SDIFF key [key ...]`
pub fn sdiff(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let hasher = ctx.shard.hasher.clone();
    let sets = read_sets(ctx, args, 1..args.len())?;
    let difference = Difference::of(&sets, is_repeated(args, 1));
    let head = reply.unsettled(true, sets[0].map_or(0, SetRef::len));
    let mut len = 0;
    difference.for_each(&hasher, |member| {
        reply_member(reply, member);
        len += 1;
    });
    reply.settle(head, len);
    Ok(Outcome::unchanged())
}

/// `SINTERSTORE destination key [key ...]`
pub fn sinterstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (limits, hasher) = (&ctx.rules.limits, ctx.shard.hasher.clone());
    let sets = smallest_first(&read_sets(ctx, args, 2..args.len())?);
    let form = match sets.first() {
        Some(SetRef::Integers(_)) => SetForm::Integers,
        _ => SetForm::Packed,
    };
    let mut result = new_set(args.get(1), form, &hasher);
    let mut set = SetMut::new(&mut result, limits, &hasher);
    intersect(&sets, &hasher, |member| {
        set.insert_member(member);
        true
    });
    set.settle();
    drop(sets);
    Ok(store(ctx, args, result, "sinterstore", reply))
}

/// `SUNIONSTORE destination key [key ...]`
pub fn sunionstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (limits, hasher) = (&ctx.rules.limits, ctx.shard.hasher.clone());
    let sets = read_sets(ctx, args, 2..args.len())?;
    let mut result = new_set(args.get(1), SetForm::Integers, &hasher);
    let mut set = SetMut::new(&mut result, limits, &hasher);
    for member in sets.into_iter().flatten().flat_map(SetRef::iter) {
        set.insert_member(member);
    }
    Ok(store(ctx, args, result, "sunionstore", reply))
}

/// `SDIFFSTORE destination key [key ...]`
pub fn sdiffstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (limits, hasher) = (&ctx.rules.limits, ctx.shard.hasher.clone());
    let sets = read_sets(ctx, args, 2..args.len())?;
    let difference = Difference::of(&sets, is_repeated(args, 2));
    let mut result = new_set(args.get(1), difference.form(limits), &hasher);
    let mut set = SetMut::new(&mut result, limits, &hasher);
    difference.for_each(&hasher, |member| {
        set.insert_member(member);
    });
    drop((difference, sets));
    Ok(store(ctx, args, result, "sdiffstore", reply))
}

fn new_set(key: &[u8], form: SetForm, hasher: &KeyHasher) -> OwnedEntry {
    OwnedEntry::new(key, SetMut::empty(form, hasher), None)
}

/// Stores a set that was put together in place of what was there; an empty one takes its place, too.
fn store(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    mut set: OwnedEntry,
    event: &'static str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let destination: Key<'_> = ctx.key(args, 1);
    let len = SetRef::of(&set.as_ref()).map_or(0, SetRef::len);
    reply.integer(len as i64);
    if len == 0 {
        return Outcome::changed(ctx.store_nothing(&destination).into());
    }
    if ctx.must_look() {
        ctx.find(&destination);
    }
    SetMut::take_value(&mut set, |value| ctx.write(&destination, value, None));
    ctx.notify(EventClass::SET, event, &destination);
    Outcome::changed(1)
}

/// The sets, ready to be intersected; none if one of them is absent.
fn smallest_first<'a>(sets: &Sets<'a>) -> SmallVec<[SetRef<'a>; 8]> {
    let mut present: SmallVec<[SetRef<'a>; 8]> = sets.iter().flatten().copied().collect();
    if present.len() < sets.len() {
        present.clear();
    }
    present.sort_by_key(|set| set.len());
    present
}

/// Shows the members that all sets have, until `visit` says no.
fn intersect<'a>(sets: &[SetRef<'a>], hasher: &KeyHasher, mut visit: impl FnMut(Member<'a>) -> bool) {
    let Some((smallest, others)) = sets.split_first() else { return };
    if others.is_empty() {
        let _ = smallest.iter().all(visit);
        return;
    }
    chunks(*smallest, hasher, |chunk| {
        others.iter().for_each(|other| chunk.keep(*other, true));
        chunk.members.iter().all(|hashed| visit(hashed.member))
    });
}

/// Shows the members that any set has, each once.
fn unite<'a>(sets: &[SetRef<'a>], hasher: &KeyHasher, mut visit: impl FnMut(Member<'a>)) {
    let members: usize = sets.iter().map(|set| set.len()).sum();
    let lookups: usize = sets.iter().enumerate().map(|(before, set)| before * set.len()).sum();
    let mut seen = (lookups > LOOKUPS_PER_MEMBER * members).then(Seen::default);
    for (at, set) in sets.iter().enumerate() {
        if at == 0 && seen.is_none() {
            set.iter().for_each(&mut visit);
            continue;
        }
        chunks(*set, hasher, |chunk: &mut Chunk<'a>| {
            match &mut seen {
                Some(seen) => chunk.keep_unseen(seen),
                None => sets[..at].iter().for_each(|before| chunk.keep(*before, false)),
            }
            chunk.members.iter().for_each(|hashed| visit(hashed.member));
            true
        });
    }
}

/// Is the first of these keys named again?
fn is_repeated(args: &Args<'_>, first: usize) -> bool {
    args.iter_from(first + 1).any(|key| key == args.get(first))
}

/// The members of one set that no other set has.
struct Difference<'a> {
    from: Option<SetRef<'a>>,
    /// The largest first: it is the most likely one to have a member.
    others: SmallVec<[SetRef<'a>; 8]>,
    /// Are members of the others fewer than lookups in all of them?
    collects: bool,
}

impl<'a> Difference<'a> {
    fn of(sets: &Sets<'a>, is_repeated: bool) -> Self {
        let from = sets[0].filter(|_| !is_repeated);
        let mut others: SmallVec<[SetRef<'a>; 8]> = sets[1..].iter().flatten().copied().collect();
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        let len = from.map_or(0, SetRef::len);
        let lookups = len.saturating_mul(others.len() + 1) / 2;
        let members = len + others.iter().map(|set| set.len()).sum::<usize>();
        Self { from, others, collects: lookups > members }
    }

    /// The form in which Valkey would store it: where the others have few members, it takes them out of a copy.
    fn form(&self, limits: &Limits) -> SetForm {
        match self.from {
            Some(from) if self.collects => from.form_of_copy(limits),
            _ => SetForm::Integers,
        }
    }

    fn for_each(&self, hasher: &KeyHasher, mut visit: impl FnMut(Member<'a>)) {
        let Some(from) = self.from else { return };
        if self.others.is_empty() {
            return from.iter().for_each(visit);
        }
        let mut seen = Seen::default();
        if self.collects {
            for other in &self.others {
                chunks(*other, hasher, |chunk| {
                    chunk.keep_unseen(&mut seen);
                    true
                });
            }
        }
        chunks(from, hasher, |chunk| {
            if self.collects {
                chunk.keep_absent(&seen);
            } else {
                self.others.iter().for_each(|other| chunk.keep(*other, false));
            }
            chunk.members.iter().for_each(|hashed| visit(hashed.member));
            true
        });
    }
}
