//! Going through all keys.

use crate::command::options::{Options, is};
use crate::commands::{Context, Expiry};
use crate::glob::glob_match;
use crate::keyspace::{Cursor, EntryRef, ValueKind};
use crate::outcome::Outcome;
use crate::resp::reply::Mark;
use crate::resp::{Args, CommandError, Reply, ReplyBuffer};

/// `DBSIZE`
pub fn dbsize(ctx: &mut Context<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    reply.integer(ctx.database().len() as i64);
    Ok(Outcome::unchanged())
}

/// `KEYS pattern`
pub fn keys(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let pattern = Pattern::new(args.get(1));
    let (now, shows) = (ctx.now, ctx.expiry.shows());
    // The number goes in front, but is known only at the end.
    let mut found = ReplyBuffer::default();
    let mut names = Reply::new(&mut found, reply.protocol());
    let mut count = 0;
    ctx.database().for_each(&mut |entry| {
        if pattern.matches(entry.key()) && (shows || !entry.is_expired(now)) {
            names.bulk(entry.key());
            count += 1;
        }
    });
    reply.array(count);
    let end = found.mark();
    reply.buffer().append_range(&found, Mark::default(), end);
    Ok(Outcome::unchanged())
}

/// A pattern, or none where it matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pattern(Option<Box<[u8]>>);

impl Pattern {
    pub(crate) fn new(text: &[u8]) -> Self {
        Self((text != b"*").then(|| text.into()))
    }

    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|pattern| glob_match(pattern, name, false))
    }
}

/// COUNT and MATCH, which the whole SCAN family takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOptions {
    /// COUNT: about how many keys or elements to look at, at least 1.
    pub count: usize,
    pattern: Pattern,
}

impl Default for PageOptions {
    fn default() -> Self {
        Self { count: 10, pattern: Pattern::default() }
    }
}

impl PageOptions {
    /// Reads the value of option `word`, if that is COUNT or MATCH. `false`: it is another one.
    pub(crate) fn take(&mut self, word: &[u8], options: &mut Options<'_>) -> Result<bool, CommandError> {
        if is(word, "COUNT") {
            let count = options.integer()?;
            self.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(CommandError::Syntax)?;
        } else if is(word, "MATCH") {
            self.pattern = Pattern::new(options.value()?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Is a key or an element of this name wanted?
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        self.pattern.matches(name)
    }
}

/// The options of SCAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOptions {
    /// COUNT and MATCH.
    pub page: PageOptions,
    kind: Option<ValueKind>,
}

impl ScanOptions {
    /// The options of `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`.
    pub fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut scan = Self { page: PageOptions::default(), kind: None };
        let mut options = Options::new(args, 2);
        while let Some(word) = options.word() {
            if scan.page.take(word, &mut options)? {
                continue;
            }
            if is(word, "TYPE") {
                let name = options.value()?;
                scan.kind = Some(kind_of(name).ok_or_else(|| {
                    CommandError::owned(format!("unknown type name '{}'", String::from_utf8_lossy(name)))
                })?);
            } else if is(word, "NOVALUES") {
                return Err(CommandError::text("NOVALUES option can only be used in HSCAN"));
            } else if is(word, "NOSCORES") {
                return Err(CommandError::text("NOSCORES option can only be used in ZSCAN"));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(scan)
    }

    fn wants(&self, entry: &EntryRef<'_>) -> bool {
        self.kind.is_none_or(|kind| entry.kind() == kind) && self.page.matches(entry.key())
    }
}

fn kind_of(name: &[u8]) -> Option<ValueKind> {
    use ValueKind::{Hash, List, Set, SortedSet, Stream, String};
    [String, List, Set, SortedSet, Hash, Stream].into_iter().find(|kind| is(name, kind.name()))
}

/// One page of a scan over the keys of this shard: adds keys to `out` and says where to go on, unless that was all.
/// Expired keys are left out; [`Context::settle`] removes them afterwards.
pub fn scan_page(
    ctx: &mut Context<'_>,
    cursor: Cursor,
    options: &ScanOptions,
    out: &mut Vec<Box<[u8]>>,
) -> Option<Cursor> {
    let (db, now, shows) = (ctx.db, ctx.now, ctx.expiry.shows());
    let mut expired = Vec::new();
    let next = ctx.database().scan(cursor, options.page.count, &mut |entry| {
        if options.wants(&entry) {
            let names = if !shows && entry.is_expired(now) { &mut expired } else { &mut *out };
            names.push(entry.key().into());
        }
    });
    if ctx.expiry == Expiry::Remove {
        expired.into_iter().for_each(|name| ctx.come_across_expired(db, name));
    }
    next
}

/// A random key of this shard; none if it has none whose time has not passed. [`Context::settle`] removes the expired
/// keys that were drawn.
pub fn random_key(ctx: &mut Context<'_>) -> Option<Box<[u8]>> {
    /// So many expired keys may be drawn before we give up on finding another.
    const TRIES_MAX: usize = 100;
    let (db, now) = (ctx.db, ctx.now);
    for _ in 0..TRIES_MAX {
        let entry = ctx.shard.random(db)?;
        let name = entry.key().into();
        if ctx.expiry.shows() || !entry.is_expired(now) {
            return Some(name);
        }
        if ctx.expiry == Expiry::Remove {
            ctx.come_across_expired(db, name);
        }
    }
    None
}

/// A cursor as clients send it: C's `strtoull` reads it, so leading zeros, blanks and `+` do no harm.
pub fn parse_cursor(text: &[u8]) -> Result<u64, CommandError> {
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let number = digits.iter().try_fold(0u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    });
    number.filter(|_| !digits.is_empty()).ok_or(CommandError::text("invalid cursor"))
}
