//! SORT and SORT_RO.
//!
//! The elements are read into one run of bytes ([`texts`]), then what they are sorted by: small records of a rank, which is an
//! integer, and the element's number. Where ranks are equal, texts decide. Of a call with LIMIT only the part
//! that is wanted is put in order.
//!
//! Patterns name keys that no one knows before the elements are read. With several cores such a call runs over the
//! data of all of them ([`may_touch_any_key`]), and every lookup goes to its shard first. Lookups are made several at a time, so that
//! their cache misses overlap.

mod options;
#[cfg(test)]
mod tests;
mod texts;

pub use options::{may_touch_any_key, target};

use crate::commands::Context;
use crate::commands::list::changes_of;
use crate::commands::string::reply_value;
use crate::keyspace::events::EventClass;
use crate::keyspace::{EntryRef, Key, OwnedEntry, Value};
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::hash::HashRef;
use crate::value::list::{End, Item, ListMut, ListRef, NewItem};
use crate::value::set::SetRef;
use crate::value::zset::SortedSetRef;
use options::{Options, Pattern, up_to_zero};
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::ops::Range;
use texts::{Texts, rank_of_score, rank_of_text, score_of};

/// How many lookups go side by side.
const LOOKUPS: usize = 16;

/// With so many bytes of names, no more lookups join those that go side by side.
const NAMES_BYTES_MAX: usize = 64 * 1024;

const NO_SCORE: CommandError = CommandError::text("One or more scores can't be converted into double");

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE destination]`
pub fn sort(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let options = Options::parse(args, true, ctx.rules.is_clustered)?;
    let found = find(ctx, args, options)?;
    match found.options.store {
        None => found.tell(ctx, reply),
        Some(target) => return Ok(found.store(ctx, &ctx.key(args, target), reply)),
    }
    Ok(Outcome::unchanged())
}

/// `SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA]`
pub fn sort_ro(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let options = Options::parse(args, false, ctx.rules.is_clustered)?;
    find(ctx, args, options)?.tell(ctx, reply);
    Ok(Outcome::unchanged())
}

/// Elements in the order that was asked for.
struct Found<'a> {
    options: Options<'a>,
    elements: Texts,
    /// The numbers of those wanted, in order; none: all, as they are.
    order: Option<Vec<Record>>,
}

/// An element to be sorted.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// Says what comes first; equal ranks say nothing.
    rank: u64,
    index: usize,
}

/// Reads the elements and puts them in order.
fn find<'a>(ctx: &mut Context<'_>, args: &Args<'_>, mut options: Options<'a>) -> Result<Found<'a>, CommandError> {
    let key = ctx.key(args, 1);
    let mut elements = Texts::default();
    let mut len = 0;
    let mut is_complete = true;
    let must_be_certain = options.store.is_some() || ctx.is_in_script;
    if let Some(entry) = ctx.read(&key) {
        let source = Source::of(&entry).ok_or(CommandError::WrongType)?;
        if options.is_unsorted && must_be_certain && matches!(source, Source::Set(_)) {
            // What is stored must not depend on how a set happens to lie in memory.
            (options.is_unsorted, options.is_alpha, options.by) = (false, true, None);
        }
        len = source.len();
        is_complete = !options.is_unsorted;
        let range = if is_complete { 0..len } else { options.range(len) };
        elements = Texts::with_room(range.len());
        let mut buffer = itoa::Buffer::new();
        source.visit(range, options.is_descending && options.is_unsorted, &mut |item| {
            elements.push(item.text(&mut buffer));
        });
    }
    let mut found = Found { options, elements, order: None };
    if is_complete {
        let range = found.options.range(len);
        found.order = Some(found.sorted(ctx, range)?);
    }
    Ok(found)
}

/// A collection that can be sorted.
enum Source<'a> {
    List(ListRef<'a>),
    Set(SetRef<'a>),
    SortedSet(SortedSetRef<'a>),
}

impl<'a> Source<'a> {
    fn of(entry: &EntryRef<'a>) -> Option<Self> {
        None.or_else(|| ListRef::of(entry).map(Self::List))
            .or_else(|| SetRef::of(entry).map(Self::Set))
            .or_else(|| SortedSetRef::of(entry).map(Self::SortedSet))
    }

    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::SortedSet(set) => set.len(),
        }
    }

    /// Shows the elements of a range in the order of the collection, or in the opposite one if it has an order.
    fn visit(&self, range: Range<usize>, backwards: bool, visit: &mut impl FnMut(Item<'a>)) {
        match self {
            Self::List(list) => {
                let (start, end) = (range.start, range.end);
                let range = if backwards { list.len() - end..list.len() - start } else { range };
                list.items(range, backwards).for_each(visit);
            }
            Self::Set(set) => {
                let members = set.iter().skip(range.start).take(range.len());
                members.for_each(|member| visit(Item::Packed(member)));
            }
            Self::SortedSet(set) => {
                let from = if backwards { set.len() - range.end } else { range.start };
                set.visit(from, range.len(), backwards, &mut |member, _| visit(Item::Packed(member)));
            }
        }
    }
}

impl Found<'_> {
    /// Puts the elements of `range` in order.
    fn sorted(&self, ctx: &mut Context<'_>, range: Range<usize>) -> Result<Vec<Record>, CommandError> {
        let options = &self.options;
        // Valkey compares texts with `strcoll`, but for what is stored; under the locale C that is the order of bytes.
        let is_c_order = options.is_alpha && options.store.is_none();
        let mut values = Values::default();
        let mut records = match (options.is_alpha, options.sorts_by()) {
            (false, None) => self.by_own_score(),
            (false, Some(pattern)) => self.by_score(ctx, &pattern),
            (true, None) => Some(ranked_by_text(&self.elements, is_c_order)),
            (true, Some(pattern)) => {
                values = self.values(ctx, &pattern);
                Some(ranked_by_text(&values.texts, is_c_order))
            }
        }
        .ok_or(NO_SCORE)?;
        let is_by_value = options.is_alpha && options.sorts_by().is_some();
        let is_descending = options.is_descending;
        let texts = |one: usize, two: usize| match is_by_value {
            true => values.compare(one, two, is_c_order),
            false => compare_texts(self.elements.get(one), self.elements.get(two), is_c_order),
        };
        let order = |one: &Record, two: &Record| {
            let order = one.rank.cmp(&two.rank).then_with(|| texts(one.index, two.index));
            let order = if is_descending { order.reverse() } else { order };
            // What is equal stays in the order of the collection.
            order.then_with(|| one.index.cmp(&two.index))
        };
        select(&mut records, range, order);
        Ok(records)
    }

    /// The elements are the numbers.
    fn by_own_score(&self) -> Option<Vec<Record>> {
        let record = |index| Some(Record { rank: rank_of_score(score_of(self.elements.get(index))?), index });
        (0..self.elements.len()).map(record).collect()
    }

    /// The values that a pattern leads to are the numbers; a missing one is zero.
    fn by_score(&self, ctx: &mut Context<'_>, pattern: &Pattern<'_>) -> Option<Vec<Record>> {
        let mut records = Vec::with_capacity(self.elements.len());
        let mut are_numbers = true;
        let elements = 0..self.elements.len();
        look_up(ctx, elements.map(|index| (*pattern, self.elements.get(index))), &mut |value| {
            let score = match value {
                None => Some(0.0),
                Some(Value::Int(value)) => Some(value as f64),
                Some(value) => score_of(value.as_bytes(&mut itoa::Buffer::new())),
            };
            are_numbers &= score.is_some();
            records.push(Record { rank: rank_of_score(score.unwrap_or(0.0)), index: records.len() });
        });
        are_numbers.then_some(records)
    }

    fn values(&self, ctx: &mut Context<'_>, pattern: &Pattern<'_>) -> Values {
        let mut values = Values { texts: Texts::with_room(self.elements.len()), are_there: Vec::new() };
        let mut buffer = itoa::Buffer::new();
        let elements = 0..self.elements.len();
        look_up(ctx, elements.map(|index| (*pattern, self.elements.get(index))), &mut |value| {
            values.are_there.push(value.is_some());
            values.texts.push(value.as_ref().map_or(&[], |value| value.as_bytes(&mut buffer)));
        });
        values
    }

    /// How many elements are wanted.
    fn len(&self) -> usize {
        self.order.as_ref().map_or(self.elements.len(), Vec::len)
    }

    /// The elements wanted, in order.
    fn wanted(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.elements.get(self.order.as_ref().map_or(at, |order| order[at].index)))
    }

    /// Shows what is wanted of each element: what the GET patterns lead to, or itself.
    fn visit(&self, ctx: &mut Context<'_>, visit: &mut impl FnMut(Option<Value<'_>>)) {
        let gets = &self.options.gets;
        if gets.iter().all(|pattern| matches!(pattern, Pattern::Element)) {
            let times = gets.len().max(1);
            return self.wanted().for_each(|element| (0..times).for_each(|_| visit(Some(Value::Bytes(element)))));
        }
        look_up(ctx, self.wanted().flat_map(|element| gets.iter().map(move |pattern| (*pattern, element))), visit);
    }

    /// How many values are wanted.
    fn value_count(&self) -> usize {
        self.len() * self.options.gets.len().max(1)
    }

    fn tell(&self, ctx: &mut Context<'_>, reply: &mut Reply<'_>) {
        reply.array(self.value_count());
        self.visit(ctx, &mut |value| match value {
            Some(value) => reply_value(reply, &value),
            None => reply.null(),
        });
    }

    /// Makes a list of what is wanted and puts it in place of what was there; of nothing, no list is made.
    fn store(&self, ctx: &mut Context<'_>, target: &Key<'_>, reply: &mut Reply<'_>) -> Outcome {
        let count = self.value_count();
        reply.integer(count as i64);
        if count == 0 {
            ctx.go_to(target.hash);
            return Outcome::changed(ctx.store_nothing(target).into());
        }
        let limits = &ctx.rules.limits;
        let mut entry = OwnedEntry::new(target.bytes, ListMut::make_large_by(limits), None);
        let mut list = ListMut::new(&mut entry, limits);
        let mut buffer = itoa::Buffer::new();
        self.visit(ctx, &mut |value| {
            let shared = if let Some(Value::Shared(bytes)) = value { Some(bytes) } else { None };
            let text = value.as_ref().map_or(&[][..], |value| value.as_bytes(&mut buffer));
            list.push(End::Tail, &NewItem { shared, ..NewItem::of(text) });
        });
        list.settle();
        ctx.go_to(target.hash);
        // An expired one is noticed.
        ctx.find(target);
        ctx.make_room();
        entry.as_ref().touch(ctx.fresh_access());
        let existed = ctx.database().put(target, entry);
        ctx.free_unless(ctx.shard.lazy_free.server_del);
        ctx.note_filled(target);
        if !existed {
            ctx.notify_new(target);
        }
        ctx.notify(EventClass::LIST, "sortstore", target);
        Outcome::changed(changes_of(count))
    }
}

/// What BY leads to, as text.
#[derive(Default)]
struct Values {
    texts: Texts,
    are_there: Vec<bool>,
}

impl Values {
    /// A missing one comes before all others.
    fn compare(&self, one: usize, two: usize, is_c_order: bool) -> Ordering {
        let are_there = (self.are_there[one], self.are_there[two]);
        are_there.0.cmp(&are_there.1).then_with(|| compare_texts(self.texts.get(one), self.texts.get(two), is_c_order))
    }
}

fn ranked_by_text(texts: &Texts, is_c_order: bool) -> Vec<Record> {
    let rank = |text| rank_of_text(if is_c_order { up_to_zero(text) } else { text });
    (0..texts.len()).map(|index| Record { rank: rank(texts.get(index)), index }).collect()
}

/// Compares texts byte by byte, in the order of C only up to the first zero byte.
fn compare_texts(one: &[u8], two: &[u8], is_c_order: bool) -> Ordering {
    match is_c_order {
        true => up_to_zero(one).cmp(up_to_zero(two)),
        false => one.cmp(two),
    }
}

/// Leaves the records of `range` as the order has them.
fn select(records: &mut Vec<Record>, range: Range<usize>, order: impl Fn(&Record, &Record) -> Ordering) {
    if range.end < records.len() && !range.is_empty() {
        records.select_nth_unstable_by(range.end - 1, &order);
    }
    records.truncate(range.end);
    if range.start > 0 && range.start < records.len() {
        records.select_nth_unstable_by(range.start, &order);
    }
    records.drain(..range.start.min(records.len()));
    records.sort_unstable_by(order);
}

/// Shows what patterns lead to, in order. Lookups are made several at a time.
fn look_up<'p, 'e>(
    ctx: &mut Context<'_>,
    mut wanted: impl Iterator<Item = (Pattern<'p>, &'e [u8])>,
    visit: &mut impl FnMut(Option<Value<'_>>),
) {
    let mut names = Texts::default();
    let mut group: SmallVec<[(Pattern<'p>, &'e [u8]); LOOKUPS]> = SmallVec::new();
    loop {
        group.clear();
        names.clear();
        while group.len() < LOOKUPS
            && names.bytes_len() < NAMES_BYTES_MAX
            && let Some((pattern, element)) = wanted.next()
        {
            if let Pattern::Key { before, behind, .. } = pattern {
                names.push_joined([before, element, behind]);
            }
            group.push((pattern, element));
        }
        if group.is_empty() {
            return;
        }
        let mut keys: SmallVec<[Key<'_>; LOOKUPS]> = SmallVec::new();
        keys.extend((0..names.len()).map(|index| ctx.shard.key(names.get(index))));
        fetch(ctx, &mut keys);
        let mut keys = keys.iter();
        for (pattern, element) in &group {
            match pattern {
                Pattern::Element => visit(Some(Value::Bytes(element))),
                Pattern::Nothing => visit(None),
                Pattern::Key { field, .. } => {
                    let key = keys.next().expect("each pattern that names a key has one");
                    ctx.go_to(key.hash);
                    let now = ctx.field_time();
                    let entry = ctx.read(key);
                    visit(entry.and_then(|entry| value_of(&entry, *field, now)));
                }
            }
        }
    }
}

/// Has the entries of several keys fetched side by side.
fn fetch(ctx: &Context<'_>, keys: &mut [Key<'_>]) {
    for key in keys.iter_mut() {
        ctx.shard_with(key.hash.slot).database(ctx.db).prefetch_segment(&mut key.hash);
    }
    for key in keys.iter() {
        ctx.shard_with(key.hash.slot).database(ctx.db).prefetch_line(key.hash);
    }
    for key in keys.iter_mut() {
        ctx.shard_with(key.hash.slot).database(ctx.db).prefetch_entry(&mut key.hash);
    }
}

/// The string of an entry, or that of a field of its hash. Other types have none.
fn value_of<'e>(entry: &EntryRef<'e>, field: Option<&[u8]>, now: crate::units::Millis) -> Option<Value<'e>> {
    let value = entry.value();
    match field {
        Some(field) => HashRef::of(value)?.find(field, now).map(|field| field.value),
        None => matches!(value, Value::Int(_) | Value::Bytes(_) | Value::Shared(_)).then_some(value),
    }
}
