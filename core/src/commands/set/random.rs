//! SPOP and SRANDMEMBER: members by chance, each as likely as any other.

use super::{ABSENT, changes_of, read_set, reply_member};
use crate::command::options::integer;
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, KeyHasher, Large, OwnedEntry, ValueKind};
use crate::number::parse_integer;
use crate::outcome::{EffectCall, Outcome};
use crate::prng::Prng;
use crate::resp::{Args, CommandError, Reply};
use crate::value::Limits;
use crate::value::set::{Member, SetForm, SetMut, SetRef};
use hashbrown::HashSet;

/// SPOP that leaves less than this part of a table puts together what is left, instead of taking out the rest.
const LEFT_OVER: usize = 5;

/// SRANDMEMBER of less than this part of a table draws members until enough are different.
const DRAWN: usize = 3;

/// No reply repeats members more often: it is held in memory as a whole.
const REPEATED_MAX: u64 = 1 << 28;

/// So many members are named in one SREM of the journal.
const MEMBERS_PER_EFFECT: usize = 1024;

/// `SPOP key [count]`
pub fn spop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    match args.len() {
        2 => spop_one(ctx, args, reply),
        3 => spop_several(ctx, args, reply),
        _ => Err(CommandError::Syntax),
    }
}

fn spop_one(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let (limits, hasher, journaling) = (&ctx.rules.limits, ctx.shard.hasher.clone(), ctx.shard.journaling);
    let mut prng = ctx.shard.prng.clone();
    let popped = ctx.change(&key, ValueKind::Set, ABSENT, |entry| {
        SetMut::new(entry, limits, &hasher).take_random(&mut prng, |member| {
            reply_member(reply, member);
            journaling.then(|| EffectCall::new([b"SREM", key.bytes, member.text(&mut itoa::Buffer::new())]))
        })
    })?;
    ctx.shard.prng = prng;
    let popped = popped.flatten();
    if popped.is_some() {
        ctx.notify_taken(EventClass::SET, "spop", &key);
    }
    match popped {
        Some(Some(effect)) => Ok(Outcome::rewritten(1, [effect])),
        Some(None) => Ok(Outcome::changed(1)),
        None => {
            reply.null();
            Ok(Outcome::unchanged())
        }
    }
}

fn spop_several(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let count = parse_integer(args.get(2)).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CommandError::text("value is out of range, must be positive"))?;
    let key = ctx.key(args, 1);
    let set = match ctx.find(&key) {
        Some(entry) => Some(SetRef::of(&entry).ok_or(CommandError::WrongType)?),
        None => None,
    };
    let Some(set) = set.filter(|_| count > 0) else {
        reply.set(0);
        return Ok(Outcome::unchanged());
    };
    let len = set.len();
    reply.set(count.min(len));
    if count < len {
        return Ok(spop_some(ctx, &key, count, reply));
    }
    set.iter().for_each(|member| reply_member(reply, member));
    ctx.delete(&key);
    ctx.notify(EventClass::SET, "spop", &key);
    ctx.notify_deleted(&key);
    let name: &[u8] = if ctx.shard.lazy_free.server_del { b"UNLINK" } else { b"DEL" };
    Ok(ctx.effect(changes_of(len), || EffectCall::new([name, key.bytes])))
}

/// Takes out fewer members than there are.
fn spop_some(ctx: &mut Context<'_>, key: &Key<'_>, count: usize, reply: &mut Reply<'_>) -> Outcome {
    let (limits, hasher, journaling) = (&ctx.rules.limits, ctx.shard.hasher.clone(), ctx.shard.journaling);
    let mut prng = ctx.shard.prng.clone();
    let mut taken: Vec<Box<[u8]>> = Vec::new();
    let mut give = |member: Member<'_>| {
        reply_member(reply, member);
        if journaling {
            taken.push(member.text(&mut itoa::Buffer::new()).into());
        }
    };
    let rest = ctx.change(key, ValueKind::Set, ABSENT, |entry| {
        let mut set = SetMut::new(entry, limits, &hasher);
        let left = set.as_ref().len() - count;
        let is_table = matches!(set.as_ref(), SetRef::Large(_));
        if is_table && left * LEFT_OVER <= count {
            return Some(keep_some(entry, left, limits, &hasher, &mut prng, &mut give));
        }
        if is_table {
            (0..count).for_each(|_| {
                set.take_random(&mut prng, &mut give);
            });
        } else {
            set.take_some(count, &mut prng, &mut give);
        }
        None
    });
    ctx.notify(EventClass::SET, "spop", key);
    if let Ok(Some(Some(rest))) = rest {
        ctx.database().discard_part(rest);
    }
    ctx.shard.prng = prng;
    let changes = changes_of(count);
    if !journaling {
        return Outcome::changed(changes);
    }
    let call = |members: &[Box<[u8]>]| {
        EffectCall::new([b"SREM", key.bytes].into_iter().chain(members.iter().map(|member| &**member)))
    };
    Outcome::rewritten(changes, taken.chunks(MEMBERS_PER_EFFECT).map(call))
}

/// Leaves `left` members of a table, in a set put together anew, gives all others, and hands the table over.
fn keep_some(
    entry: &mut OwnedEntry,
    left: usize,
    limits: &Limits,
    hasher: &KeyHasher,
    prng: &mut Prng,
    give: &mut impl FnMut(Member<'_>),
) -> Large {
    let mut kept = OwnedEntry::new(&[], SetMut::empty(SetForm::Packed, hasher), None);
    let mut kept_set = SetMut::new(&mut kept, limits, hasher);
    let mut set = SetMut::new(entry, limits, hasher);
    for _ in 0..left {
        set.take_random(prng, |member| kept_set.insert_member(member));
    }
    set.as_ref().iter().for_each(give);
    let rest = entry.take_large().expect("the set is a table");
    SetMut::take_value(&mut kept, |value| entry.set_value(value));
    rest
}

/// `SRANDMEMBER key [count]`
pub fn srandmember(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let count = match args.len() {
        2 => None,
        3 => Some(parse_count(args.get(2))?),
        _ => return Err(CommandError::Syntax),
    };
    let key = ctx.key(args, 1);
    let mut prng = ctx.shard.prng.clone();
    let set = read_set(ctx, &key)?;
    match (set, count) {
        (None, None) => reply.null(),
        (None, Some(_)) | (_, Some(0)) => reply.array(0),
        (Some(set), None) => {
            let member = set.random(&mut prng).expect("no set is empty");
            reply_member(reply, member);
        }
        (Some(set), Some(count @ ..=1)) => {
            reply.array(count.unsigned_abs() as usize);
            repeat(set, count.unsigned_abs(), &mut prng, reply);
        }
        (Some(set), Some(count)) => {
            let count = set.len().min(count as usize);
            reply.array(count);
            draw(set, count, &mut prng, &mut |member| reply_member(reply, member));
        }
    }
    ctx.shard.prng = prng;
    Ok(Outcome::unchanged())
}

fn parse_count(text: &[u8]) -> Result<i64, CommandError> {
    let count = integer(text)?;
    if count < -(REPEATED_MAX as i64) {
        let range = "value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        return Err(CommandError::text(range));
    }
    Ok(count)
}

/// Members that may be the same.
fn repeat(set: SetRef<'_>, count: u64, prng: &mut Prng, reply: &mut Reply<'_>) {
    match set {
        // Walking to each would take long.
        SetRef::Packed(_) if count > 2 => {
            let members: Vec<Member<'_>> = set.iter().collect();
            (0..count).for_each(|_| reply_member(reply, members[prng.below(members.len() as u64) as usize]));
        }
        set => {
            let drawn = (0..count).filter_map(|_| set.random(prng));
            drawn.for_each(|member| reply_member(reply, member));
        }
    }
}

/// So many different members, no more than there are.
fn draw(set: SetRef<'_>, count: usize, prng: &mut Prng, give: &mut impl FnMut(Member<'_>)) {
    if let SetRef::Large(large) = set
        && count * DRAWN <= large.len()
    {
        // A name lies nowhere but in its member.
        let mut drawn: HashSet<*const u8, ahash::RandomState> =
            HashSet::with_capacity_and_hasher(count, ahash::RandomState::with_seed(0));
        while drawn.len() < count {
            let member = large.members().random(prng).expect("the set has members").key();
            if drawn.insert(member.as_ptr()) {
                give(Member::Bytes(member));
            }
        }
        return;
    }
    let (mut needed, mut left) = (count, set.len());
    for member in set.iter() {
        if prng.below(left as u64) < needed as u64 {
            give(member);
            needed -= 1;
        }
        left -= 1;
    }
}
