//! Commands on the members of one set, and SMOVE.

use super::{ABSENT, read_set, reply_member};
use crate::commands::Context;
use crate::commands::element_scan::{ElementScan, reply_page};
use crate::commands::key::parse_cursor;
use crate::commands::long_reply::Walk;
use crate::keyspace::events::EventClass;
use crate::keyspace::{Cursor, ValueKind};
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::set::{Member, SetMut, SetRef};

/// `SADD key member [member ...]`
pub fn sadd(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let (limits, hasher) = (&ctx.rules.limits, ctx.shard.hasher.clone());
    let count = args.len() - 2;
    let make = || SetMut::fresh(args.get(2), count, limits, &hasher);
    let added = ctx.change(&key, ValueKind::Set, Some(make), |entry| {
        let mut set = SetMut::new(entry, limits, &hasher);
        set.expect(count);
        args.iter_from(2).filter(|member| set.insert(member)).count()
    })?;
    let added = added.unwrap_or_default();
    if added > 0 {
        ctx.notify(EventClass::SET, "sadd", &key);
    }
    reply.integer(added as i64);
    Ok(Outcome::changed(added as u32))
}

/// `SREM key member [member ...]`
pub fn srem(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let (limits, hasher) = (&ctx.rules.limits, ctx.shard.hasher.clone());
    let removed = ctx.change(&key, ValueKind::Set, ABSENT, |entry| {
        let mut set = SetMut::new(entry, limits, &hasher);
        args.iter_from(2).filter(|member| set.remove(member)).count()
    })?;
    let removed = removed.unwrap_or_default();
    if removed > 0 {
        ctx.notify_taken(EventClass::SET, "srem", &key);
    }
    reply.integer(removed as i64);
    Ok(Outcome::changed(removed as u32))
}

/// `SISMEMBER key member`
pub fn sismember(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let set = read_set(ctx, &key)?;
    reply.integer(set.is_some_and(|set| set.contains(args.get(2))).into());
    Ok(Outcome::unchanged())
}

/// `SMISMEMBER key member [member ...]`
pub fn smismember(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let set = read_set(ctx, &key)?;
    reply.array(args.len() - 2);
    let members = args.iter_from(2);
    match set {
        Some(SetRef::Large(set)) => set.members().find_each(members, |_, found| {
            reply.integer(found.is_some().into());
            true
        }),
        set => members.for_each(|member| reply.integer(set.is_some_and(|set| set.contains(member)).into())),
    }
    Ok(Outcome::unchanged())
}

/// `SCARD key`
pub fn scard(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let set = read_set(ctx, &key)?;
    reply.integer(set.map_or(0, SetRef::len) as i64);
    Ok(Outcome::unchanged())
}

/// `SMEMBERS key`
pub fn smembers(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (key, long_from) = (ctx.key(args, 1), ctx.long_from());
    let set = read_set(ctx, &key)?;
    if matches!(set, Some(SetRef::Large(set)) if set.len() >= long_from) {
        return Ok(ctx.put_off(Walk::Members(Cursor::default())));
    }
    reply.set(set.map_or(0, SetRef::len));
    if let Some(set) = set {
        set.iter().for_each(|member| reply_member(reply, member));
    }
    Ok(Outcome::unchanged())
}

/// `SMOVE source destination member`
pub fn smove(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let (source, destination, member) = (ctx.key(args, 1), ctx.key(args, 2), args.get(3));
    let kind = ctx.find(&source).map(|entry| entry.kind());
    let kind_there = ctx.find(&destination).map(|entry| entry.kind());
    if kind.is_none() {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    }
    if [kind, kind_there].into_iter().flatten().any(|kind| kind != ValueKind::Set) {
        return Err(CommandError::WrongType);
    }
    let (limits, hasher) = (&ctx.rules.limits, ctx.shard.hasher.clone());
    if source.bytes == destination.bytes {
        let is_member = ctx.find(&source).as_ref().and_then(SetRef::of).is_some_and(|set| set.contains(member));
        reply.integer(is_member.into());
        return Ok(Outcome::unchanged());
    }
    let remove = |entry: &mut _| SetMut::new(entry, limits, &hasher).remove(member);
    if ctx.change(&source, ValueKind::Set, ABSENT, remove)? != Some(true) {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    }
    ctx.notify_taken(EventClass::SET, "srem", &source);
    let make = || SetMut::fresh(member, 1, limits, &hasher);
    let add = |entry: &mut _| SetMut::new(entry, limits, &hasher).insert(member);
    let added = ctx.change(&destination, ValueKind::Set, Some(make), add)? == Some(true);
    ctx.touch(&source);
    if added {
        ctx.touch(&destination);
        ctx.notify(EventClass::SET, "sadd", &destination);
    }
    reply.integer(1);
    Ok(Outcome::changed(if added { 2 } else { 1 }))
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
///
/// A packed set is given whole, as in Valkey.
pub fn sscan(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let cursor = Cursor::from_raw(parse_cursor(args.get(2))?);
    let key = ctx.key(args, 1);
    let Some(set) = read_set(ctx, &key)? else {
        reply_page(reply, |_| (0, None));
        return Ok(Outcome::unchanged());
    };
    let options = ElementScan::parse(args, "sscan")?;
    reply_page(reply, |page| {
        let mut given = 0;
        let mut give = |member: Member<'_>| {
            if options.page.matches(member.text(&mut itoa::Buffer::new())) {
                reply_member(page, member);
                given += 1;
            }
        };
        let next = match set {
            SetRef::Large(set) => {
                set.members().scan(cursor, options.page.count, &mut |entry| give(Member::Bytes(entry.key())))
            }
            packed => {
                packed.iter().for_each(give);
                None
            }
        };
        (given, next)
    });
    Ok(Outcome::unchanged())
}
