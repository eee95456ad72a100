//! Searching for places: GEOSEARCH, GEOSEARCHSTORE and the older GEORADIUS family.

use super::order::{Ranked, key, sort_first};
use super::query::{Form, Order, Query};
use super::scan::{Found, Search};
use super::text::{reply_distance, reply_position};
use crate::commands::Context;
use crate::commands::zset::{hasher, read, reply_member, store};
use crate::keyspace::KeyHasher;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::Limits;
use crate::value::geohash::{Position, Shape};
use crate::value::zset::{Built, SortedSetRef, order_of};

/// What was found, and which of it is wanted in which order.
struct Finding<'a> {
    found: Vec<Found<'a>>,
    ranked: Option<Vec<Ranked>>,
    count: usize,
    /// Metres of the unit in which distances are told.
    unit: f64,
}

impl<'a> Finding<'a> {
    fn of(set: SortedSetRef<'a>, query: &Query, shape: &Shape) -> Self {
        // Some of many are the nearest of them, unless any will do.
        let nearest = (query.count.is_some() && !query.any).then_some(Order::Ascending);
        let order = query.order.or(nearest);
        let search = Search {
            shape,
            measures: order.is_some() || query.with_distance || query.stores_distance,
            enough: if query.any { query.count.unwrap_or(usize::MAX) } else { usize::MAX },
        };
        let found = search.run(set);
        let count = query.count.map_or(found.len(), |count| count.min(found.len()));
        let ranked = order.map(|order| {
            let descends = order == Order::Descending;
            let mut ranked: Vec<Ranked> = found.iter().map(|one| key(one.distance, descends)).zip(0..).collect();
            sort_first(&mut ranked, count);
            ranked
        });
        Self { found, ranked, count, unit: shape.unit() }
    }

    /// Those that are wanted.
    fn iter(&self) -> impl Iterator<Item = &Found<'a>> {
        (0..self.count).map(|at| match &self.ranked {
            Some(ranked) => &self.found[ranked[at].1 as usize],
            None => &self.found[at],
        })
    }

    fn reply(&self, query: &Query, reply: &mut Reply<'_>) {
        let details =
            usize::from(query.with_distance) + usize::from(query.with_hash) + usize::from(query.with_position);
        reply.array(self.count);
        for one in self.iter() {
            if details > 0 {
                reply.array(1 + details);
            }
            reply_member(reply, one.member);
            if query.with_distance {
                reply_distance(reply, one.distance / self.unit);
            }
            if query.with_hash {
                reply.integer(one.score as i64);
            }
            if query.with_position {
                reply_position(reply, Position::of_score(one.score));
            }
        }
    }

    /// A sorted set of them.
    fn build(&self, by_distance: bool, limits: &Limits, hasher: &KeyHasher) -> Built {
        let mut digits: Vec<_> = self.iter().map(|_| itoa::Buffer::new()).collect();
        let score = |one: &Found<'_>| if by_distance { one.distance / self.unit } else { one.score };
        let mut members: Vec<(u64, &[u8], f64)> = self
            .iter()
            .zip(&mut digits)
            .map(|(one, digits)| (order_of(score(one)), one.member.text(digits), score(one)))
            .collect();
        members.sort_unstable_by(|(order, member, _), (other_order, other, _)| {
            order.cmp(other_order).then_with(|| member.cmp(other))
        });
        Built::from_sorted(members.iter().map(|(_, member, score)| (*member, *score)), limits, hasher)
    }
}

fn search(ctx: &mut Context<'_>, args: &Args<'_>, form: Form, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args, form.source());
    let (limits, hasher) = (ctx.rules.limits, hasher(ctx));
    let set = read(ctx, &key)?;
    let mut query = Query::parse(args, form, set)?;
    let finding = set.zip(query.take_shape()).map(|(set, shape)| Finding::of(set, &query, &shape));
    let Some(target) = query.target else {
        match finding {
            Some(finding) => finding.reply(&query, reply),
            None => reply.array(0),
        }
        return Ok(Outcome::unchanged());
    };
    let built = match finding {
        Some(finding) => finding.build(query.stores_distance, &limits, &hasher),
        None => Built::from_sorted(std::iter::empty(), &limits, &hasher),
    };
    let count = built.len();
    let event = if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" };
    let outcome = store(ctx, &ctx.key(args, target), built, event, reply);
    Ok(if count == 0 { outcome } else { Outcome::changed(u32::try_from(count).unwrap_or(u32::MAX)) })
}

/// `GEORADIUS key longitude latitude radius unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]
/// [STORE key | STOREDIST key]`
pub fn georadius(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    search(ctx, args, Form::Radius { stores: true }, reply)
}

/// GEORADIUS, which stores nothing.
pub fn georadius_ro(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    search(ctx, args, Form::Radius { stores: false }, reply)
}

/// `GEORADIUSBYMEMBER key member radius unit ...`: the options are those of GEORADIUS.
pub fn georadiusbymember(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    search(ctx, args, Form::RadiusByMember { stores: true }, reply)
}

/// GEORADIUSBYMEMBER, which stores nothing.
pub fn georadiusbymember_ro(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    search(ctx, args, Form::RadiusByMember { stores: false }, reply)
}

/// `GEOSEARCH key FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius unit | BYBOX width height unit |
/// BYPOLYGON count longitude latitude [...] [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`
pub fn geosearch(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    search(ctx, args, Form::Search, reply)
}

/// `GEOSEARCHSTORE destination source ... [STOREDIST]`: the rest is that of GEOSEARCH.
pub fn geosearchstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    search(ctx, args, Form::SearchStore, reply)
}
