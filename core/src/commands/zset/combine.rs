//! Several sets at once: ZUNION, ZINTER, ZDIFF, their storing fellows, and ZINTERCARD. Sets count as sorted sets whose scores
//! are all one.

use super::{Name, reply_head, reply_pair, store};
use crate::command::options::{Options, integer, is};
use crate::commands::Context;
use crate::double::parse_double;
use crate::keyspace::{EntryRef, Key, KeyHasher, ValueKind};
use crate::number::parse_integer;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::Element;
use crate::value::set::SetRef;
use crate::value::zset::{Built, Score, SortedSetBuilder, SortedSetRef, order_of};
use smallvec::SmallVec;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the scores of a member that is in several sets.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Least,
    Greatest,
}

impl Aggregate {
    #[inline]
    fn join(self, one: f64, other: f64) -> f64 {
        match self {
            // Infinities of both signs make zero.
            Self::Sum => not_nan(one + other),
            Self::Least if other < one => other,
            Self::Greatest if other > one => other,
            Self::Least | Self::Greatest => one,
        }
    }
}

/// Zero times infinity is zero here.
#[inline]
fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// A call: which sets, and what to do with them.
struct Call<'a> {
    operation: Operation,
    /// The keys, in the order of the call.
    keys: SmallVec<[Key<'a>; 4]>,
    weights: SmallVec<[f64; 4]>,
    /// Which of the keys are there.
    found: SmallVec<[bool; 4]>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

/// Which commands have which options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Reply,
    Store,
    Count,
}

impl<'a> Call<'a> {
    /// Reads the call and looks its keys up; `at` is the argument with the number of keys.
    fn parse(
        ctx: &mut Context<'_>,
        args: &Args<'a>,
        at: usize,
        operation: Operation,
        form: Form,
        name: &str,
    ) -> Result<Self, CommandError> {
        let count = integer(args.get(at))?;
        if count < 1 {
            return Err(CommandError::owned(format!("at least 1 input key is needed for '{name}' command")));
        }
        let Some(count) = usize::try_from(count).ok().filter(|count| *count < args.len() - at) else {
            return Err(CommandError::Syntax);
        };
        let mut call = Self {
            operation,
            keys: (at + 1..at + 1 + count).map(|index| ctx.key(args, index)).collect(),
            weights: SmallVec::from_elem(1.0, count),
            found: SmallVec::new(),
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        for key in &call.keys {
            let entry = ctx.read(key);
            if entry.is_some_and(|entry| !matches!(entry.kind(), ValueKind::SortedSet | ValueKind::Set)) {
                return Err(CommandError::WrongType);
            }
            call.found.push(entry.is_some());
        }
        call.parse_options(args, at + 1 + count, form)?;
        Ok(call)
    }

    fn parse_options(&mut self, args: &Args<'_>, first: usize, form: Form) -> Result<(), CommandError> {
        let weighs = self.operation != Operation::Difference && form != Form::Count;
        let mut options = Options::new(args, first);
        let mut left = args.len() - first;
        while let Some(word) = options.word() {
            left -= 1;
            if weighs && left >= self.keys.len() && is(word, "WEIGHTS") {
                for weight in &mut self.weights {
                    *weight =
                        parse_double(options.value()?).ok_or(CommandError::text("weight value is not a float"))?;
                    left -= 1;
                }
            } else if weighs && left >= 1 && is(word, "AGGREGATE") {
                self.aggregate = match options.value()? {
                    word if is(word, "SUM") => Aggregate::Sum,
                    word if is(word, "MIN") => Aggregate::Least,
                    word if is(word, "MAX") => Aggregate::Greatest,
                    _ => return Err(CommandError::Syntax),
                };
                left -= 1;
            } else if form == Form::Reply && is(word, "WITHSCORES") {
                self.with_scores = true;
            } else if form == Form::Count && left >= 1 && is(word, "LIMIT") {
                let limit = parse_integer(options.value()?).and_then(|limit| usize::try_from(limit).ok());
                self.limit = match limit.ok_or(CommandError::text("LIMIT can't be negative"))? {
                    0 => usize::MAX,
                    limit => limit,
                };
                left -= 1;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(())
    }

    /// The sets. Where the order does not matter they stand from the smallest to the largest.
    fn sources<'c>(&self, ctx: &'c Context<'_>) -> SmallVec<[Source<'c>; 4]> {
        let database = ctx.shard.database(ctx.db);
        let mut sources: SmallVec<[Source<'c>; 4]> = SmallVec::new();
        for (index, key) in self.keys.iter().enumerate() {
            let entry = if self.found[index] { database.find(key) } else { None };
            sources.push(Source { members: Members::of(entry), weight: self.weights[index] });
        }
        if self.operation != Operation::Difference {
            sources.sort_by_key(|source| source.members.len());
        }
        sources
    }

    fn union(&self, sources: &[Source<'_>], hasher: &KeyHasher) -> SortedSetBuilder {
        let most = sources.last().map_or(0, |source| source.members.len());
        let all = sources.iter().map(|source| source.members.len()).sum();
        // However often a large set is named, it is no more than that.
        let mut union = SortedSetBuilder::for_about(hasher.clone(), most.midpoint(all).min(2 * most));
        for source in sources {
            source.members.visit(&mut |member, score| {
                let score = not_nan(source.weight * score);
                union.join(member.text(&mut itoa::Buffer::new()), score, |one, other| self.aggregate.join(one, other));
            });
        }
        union
    }

    /// Gives the members that are in all sets as long as `give` says to go on.
    fn intersect<'c>(&self, sources: &[Source<'c>], give: &mut impl FnMut(Element<'c>, f64) -> bool) {
        let Some((smallest, others)) = sources.split_first() else { return };
        smallest.members.visit_while(&mut |member, own| {
            let mut digits = itoa::Buffer::new();
            let name = member.text(&mut digits);
            let mut score = not_nan(smallest.weight * own);
            for other in others {
                let Some(value) = other.members.score(name) else { return true };
                score = self.aggregate.join(score, value * other.weight);
            }
            give(member, score)
        });
    }

    /// Gives the members that are in the first set only.
    fn subtract<'c>(sources: &[Source<'c>], give: &mut impl FnMut(Element<'c>, f64)) {
        let Some((first, others)) = sources.split_first() else { return };
        first.members.visit_while(&mut |member, score| {
            let mut digits = itoa::Buffer::new();
            let name = member.text(&mut digits);
            if others.iter().all(|other| other.members.score(name).is_none()) {
                give(member, score);
            }
            true
        });
    }

    /// The members of an intersection or a difference, in order.
    fn members<'c>(&self, sources: &[Source<'c>]) -> Vec<(u64, f64, Name<'c>)> {
        let mut members = Vec::new();
        let mut take = |member, score| members.push((order_of(score), score, Name::of(member)));
        if self.operation == Operation::Intersection {
            self.intersect(sources, &mut |member, score| {
                take(member, score);
                true
            });
        } else {
            Self::subtract(sources, &mut take);
        }
        in_order(&mut members);
        members
    }

    fn reply(&self, ctx: &Context<'_>, reply: &mut Reply<'_>) {
        let sources = self.sources(ctx);
        if self.operation == Operation::Union {
            let mut union = self.union(&sources, &ctx.shard.hasher);
            union.sort();
            reply_head(reply, union.len(), self.with_scores);
            for (member, score) in union.iter() {
                reply_pair(reply, Element::Bytes(member), Score::Double(score), self.with_scores);
            }
        } else {
            let members = self.members(&sources);
            reply_head(reply, members.len(), self.with_scores);
            for (_, score, name) in &members {
                reply_pair(reply, Element::Bytes(name.as_bytes()), Score::Double(*score), self.with_scores);
            }
        }
    }

    fn build(&self, ctx: &Context<'_>) -> Built {
        let sources = self.sources(ctx);
        let (limits, hasher) = (&ctx.rules.limits, &ctx.shard.hasher);
        if self.operation == Operation::Union {
            return Built::from_builder(self.union(&sources, hasher), limits, hasher);
        }
        let members = self.members(&sources);
        Built::from_sorted(members.iter().map(|(_, score, name)| (name.as_bytes(), *score)), limits, hasher)
    }
}

/// One of the sets.
struct Source<'a> {
    members: Members<'a>,
    weight: f64,
}

#[derive(Clone, Copy)]
enum Members<'a> {
    None,
    Sorted(SortedSetRef<'a>),
    Plain(SetRef<'a>),
}

impl<'a> Members<'a> {
    fn of(entry: Option<EntryRef<'a>>) -> Self {
        let Some(entry) = entry else { return Self::None };
        match (SortedSetRef::of(&entry), SetRef::of(&entry)) {
            (Some(set), _) => Self::Sorted(set),
            (_, Some(set)) => Self::Plain(set),
            _ => Self::None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Sorted(set) => set.len(),
            Self::Plain(set) => set.len(),
        }
    }

    /// The score of a member.
    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Sorted(set) => set.score(member).map(|score| score.value()),
            Self::Plain(set) => set.contains(member).then_some(1.0),
        }
    }

    /// Gives all members; those of a sorted set in their order.
    fn visit(&self, visit: &mut impl FnMut(Element<'a>, f64)) {
        match self {
            Self::None => {}
            Self::Sorted(set) => set.visit(0, set.len(), false, &mut |member, score| visit(member, score.value())),
            Self::Plain(set) => set.iter().for_each(|member| visit(member, 1.0)),
        }
    }

    /// Gives all members, in any order, as long as `visit` says to go on.
    fn visit_while(&self, visit: &mut impl FnMut(Element<'a>, f64) -> bool) {
        match self {
            Self::None => {}
            Self::Sorted(set) => set.visit_while(&mut |member, score| visit(member, score.value())),
            Self::Plain(set) => drop(set.iter().all(|member| visit(member, 1.0))),
        }
    }
}

/// Puts members in order.
fn in_order(members: &mut [(u64, f64, Name<'_>)]) {
    members.sort_unstable_by(|(order, _, name), (other_order, _, other)| {
        order.cmp(other_order).then_with(|| name.as_bytes().cmp(other.as_bytes()))
    });
}

fn answer(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    operation: Operation,
    name: &str,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    Call::parse(ctx, args, 1, operation, Form::Reply, name)?.reply(ctx, reply);
    Ok(Outcome::unchanged())
}

fn answer_stored(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    operation: Operation,
    name: &'static str,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let built = Call::parse(ctx, args, 2, operation, Form::Store, name)?.build(ctx);
    let destination = ctx.key(args, 1);
    Ok(store(ctx, &destination, built, name, reply))
}

/// `ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]`
pub fn zunion(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Operation::Union, "zunion", reply)
}

/// `ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]`
pub fn zinter(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Operation::Intersection, "zinter", reply)
}

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`
pub fn zdiff(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    answer(ctx, args, Operation::Difference, "zdiff", reply)
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]`
pub fn zunionstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    answer_stored(ctx, args, Operation::Union, "zunionstore", reply)
}

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]`
pub fn zinterstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    answer_stored(ctx, args, Operation::Intersection, "zinterstore", reply)
}

/// `ZDIFFSTORE destination numkeys key [key ...]`
pub fn zdiffstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    answer_stored(ctx, args, Operation::Difference, "zdiffstore", reply)
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`
pub fn zintercard(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let call = Call::parse(ctx, args, 1, Operation::Intersection, Form::Count, "zintercard")?;
    let mut count = 0;
    call.intersect(&call.sources(ctx), &mut |_, _| {
        count += 1;
        count < call.limit
    });
    reply.integer(count as i64);
    Ok(Outcome::unchanged())
}
