//! Commands that add and take elements at the ends of a list.

use super::{changes_of, end_of, find_list, pop_event, push_event, reply_item, reply_segments};
use crate::command::options::{Options, is};
use crate::commands::Context;
use crate::keyspace::events::EventClass;
use crate::keyspace::{Key, NewValue, ValueKind};
use crate::number::parse_integer;
use crate::outcome::{EffectCall, Outcome};
use crate::resp::{Args, CommandError, Reply};
use crate::value::list::{End, Item, ListMut, NewItem};

/// What `make` is where nothing is made.
pub(super) const ABSENT: Option<fn() -> NewValue<'static>> = None;

/// `LPUSH key element [element ...]`
pub fn lpush(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    push(ctx, args, reply, End::Head, true)
}

/// `RPUSH key element [element ...]`
pub fn rpush(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    push(ctx, args, reply, End::Tail, true)
}

/// `LPUSHX key element [element ...]`
pub fn lpushx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    push(ctx, args, reply, End::Head, false)
}

/// `RPUSHX key element [element ...]`
pub fn rpushx(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    push(ctx, args, reply, End::Tail, false)
}

#[inline]
fn push(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
    makes: bool,
) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    let (limits, elements) = (&ctx.rules.limits, args.len() - 2);
    let len = ctx.change(&key, ValueKind::List, makes.then_some(ListMut::make), |entry| {
        let mut list = ListMut::new(entry, limits);
        list.grow(args.iter_from(2).map(<[u8]>::len).sum(), elements);
        for index in 2..args.len() {
            let item = NewItem { shared: args.shared(index), ..NewItem::of(args.get(index)) };
            list.push(end, &item);
        }
        list.len()
    })?;
    let Some(len) = len else {
        reply.integer(0);
        return Ok(Outcome::unchanged());
    };
    reply.integer(len as i64);
    ctx.notify(EventClass::LIST, push_event(end), &key);
    ctx.note_filled(&key);
    Ok(Outcome::changed(elements as u32))
}

/// `LPOP key [count]`
pub fn lpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    pop(ctx, args, reply, End::Head)
}

/// `RPOP key [count]`
pub fn rpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    pop(ctx, args, reply, End::Tail)
}

#[inline]
fn pop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, end: End) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, 1);
    if args.len() > 2 {
        return pop_counted(ctx, args, &key, reply, end);
    }
    if pop_one(ctx, &key, end, |item| reply_item(reply, item))? {
        Ok(Outcome::changed(1))
    } else {
        reply.null();
        Ok(Outcome::unchanged())
    }
}

fn pop_counted(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    key: &Key<'_>,
    reply: &mut Reply<'_>,
    end: End,
) -> Result<Outcome, CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Arity(if end == End::Head { "lpop" } else { "rpop" }.into()));
    }
    let count = at_least(args.get(2), 0, "value is out of range, must be positive")?;
    if count == 0 {
        match find_list(ctx, key)? {
            true => reply.array(0),
            false => reply.null_array(),
        }
        return Ok(Outcome::unchanged());
    }
    match pop_several(ctx, key, end, count, reply, |_| {})? {
        Some(popped) => Ok(Outcome::changed(changes_of(popped))),
        None => {
            reply.null_array();
            Ok(Outcome::unchanged())
        }
    }
}

/// An integer of at least `min`; anything else is refused in these words.
pub(crate) fn at_least(text: &[u8], min: i64, refusal: &'static str) -> Result<usize, CommandError> {
    let number = parse_integer(text).filter(|&number| number >= min);
    number.map(|number| number as usize).ok_or(CommandError::text(refusal))
}

/// Takes one element from an end of a list and shows it to `write`. Is there a list?
#[inline]
pub(crate) fn pop_one(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    end: End,
    write: impl FnOnce(&Item<'_>),
) -> Result<bool, CommandError> {
    let limits = &ctx.rules.limits;
    let popped = ctx.change(key, ValueKind::List, ABSENT, |entry| {
        let mut list = ListMut::new(entry, limits);
        if let Some(item) = list.end(end) {
            write(&item);
        }
        list.pop(end);
    })?;
    if popped.is_some() {
        ctx.notify_taken(EventClass::LIST, pop_event(end), key);
    }
    Ok(popped.is_some())
}

/// Takes at most `count` elements from an end of a list and replies with an array of them, the outermost first; `before`
/// writes what goes in front of the array. The answer: how many, if there is a list.
pub(crate) fn pop_several(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    end: End,
    count: usize,
    reply: &mut Reply<'_>,
    before: impl FnOnce(&mut Reply<'_>),
) -> Result<Option<usize>, CommandError> {
    let limits = &ctx.rules.limits;
    let popped = ctx.change(key, ValueKind::List, ABSENT, |entry| {
        let mut list = ListMut::new(entry, limits);
        let len = list.len();
        let count = count.min(len);
        before(reply);
        reply.array(count);
        let range = if end == End::Head { 0..count } else { len - count..len };
        reply_segments(reply, list.as_ref().segments(range, end == End::Tail));
        let gone = list.cut(end, count);
        list.shrink();
        (count, gone)
    })?;
    Ok(popped.map(|(count, gone)| {
        ctx.notify_taken(EventClass::LIST, pop_event(end), key);
        if let Some(gone) = gone {
            ctx.database().discard_part(gone);
        }
        count
    }))
}

/// What LMPOP and its blocking sister ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PopRequest {
    /// The arguments that are keys.
    pub keys: std::ops::Range<usize>,
    /// From where.
    pub end: End,
    /// At most so many.
    pub count: usize,
}

impl PopRequest {
    /// Reads `numkeys key [key ...] LEFT | RIGHT [COUNT count]` from argument `first` on.
    pub fn parse(args: &Args<'_>, first: usize) -> Result<Self, CommandError> {
        let keys = at_least(args.get(first), 1, "numkeys should be greater than 0")?;
        let side = first.checked_add(keys).and_then(|last| last.checked_add(1)).filter(|&side| side < args.len());
        let side = side.ok_or(CommandError::Syntax)?;
        let end = end_of(args.get(side))?;
        let mut count = None;
        let mut options = Options::new(args, side + 1);
        while let Some(word) = options.word() {
            if count.is_some() || !is(word, "COUNT") {
                return Err(CommandError::Syntax);
            }
            count = Some(at_least(options.value()?, 1, "count should be greater than 0")?);
        }
        Ok(Self { keys: first + 1..side, end, count: count.unwrap_or(1) })
    }
}

/// Replies with the name of a key and elements from an end of its list, which go. The answer: the outcome, if there is a
/// list.
pub(crate) fn pop_with_key(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    request: &PopRequest,
    reply: &mut Reply<'_>,
) -> Result<Option<Outcome>, CommandError> {
    let popped = pop_several(ctx, key, request.end, request.count, reply, |reply| {
        reply.array(2);
        reply.bulk(key.bytes);
    })?;
    Ok(popped.map(|popped| {
        ctx.touch(key);
        ctx.effect(changes_of(popped), || {
            let name = if request.end == End::Head { &b"LPOP"[..] } else { b"RPOP" };
            EffectCall::new([name, key.bytes, itoa::Buffer::new().format(popped).as_bytes()])
        })
    }))
}

/// `LMPOP numkeys key [key ...] LEFT | RIGHT [COUNT count]`
pub fn lmpop(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let request = PopRequest::parse(args, 1)?;
    for index in request.keys.clone() {
        let key = ctx.key(args, index);
        if let Some(outcome) = pop_with_key(ctx, &key, &request, reply)? {
            return Ok(outcome);
        }
    }
    reply.null_array();
    Ok(Outcome::unchanged())
}
