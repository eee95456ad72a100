//! LCS: the longest common subsequence of two strings.

use super::{Text, string};
use crate::command::options::{Options, is};
use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};

/// What is asked for.
#[derive(Default)]
struct Request {
    len: bool,
    index: bool,
    match_len: bool,
    match_len_min: i64,
}

impl Request {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut request = Self::default();
        let mut options = Options::new(args, 3);
        while let Some(word) = options.word() {
            if is(word, "IDX") {
                request.index = true;
            } else if is(word, "LEN") {
                request.len = true;
            } else if is(word, "WITHMATCHLEN") {
                request.match_len = true;
            } else if is(word, "MINMATCHLEN") {
                request.match_len_min = options.integer()?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if request.len && request.index {
            return Err(CommandError::text("If you want both the length and indexes, please just use IDX."));
        }
        Ok(request)
    }
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]`
pub fn lcs(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let texts = [text_of(ctx, args, 1)?, text_of(ctx, args, 2)?];
    // The types of both keys are judged before either is refused, and before the options.
    let [Some(a), Some(b)] = texts else {
        return Err(CommandError::text("The specified keys must contain string values"));
    };
    let request = Request::parse(args)?;
    let table = Table::new(&a, &b, ctx.rules.bulk_bytes_max)?;
    if request.len {
        reply.integer(i64::from(table.len()));
    } else if request.index {
        reply_index(reply, &table, &request);
    } else {
        reply.bulk(&table.subsequence());
    }
    Ok(Outcome::unchanged())
}

/// The string of a key; empty if it is absent, `None` if it is of another type.
fn text_of(ctx: &mut Context<'_>, args: &Args<'_>, index: usize) -> Result<Option<Vec<u8>>, CommandError> {
    let key = ctx.key(args, index);
    Ok(match ctx.read(&key) {
        None => Some(Vec::new()),
        Some(entry) => string(&entry).ok().map(|value| Text::of(&value).to_vec()),
    })
}

fn reply_index(reply: &mut Reply<'_>, table: &Table<'_>, request: &Request) {
    let matches: Vec<Match> =
        table.matches().into_iter().filter(|found| i64::from(found.len) >= request.match_len_min).collect();
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for found in &matches {
        reply.array(if request.match_len { 3 } else { 2 });
        for start in [found.a, found.b] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer(start as i64 + i64::from(found.len) - 1);
        }
        if request.match_len {
            reply.integer(i64::from(found.len));
        }
    }
    reply.bulk(b"len");
    reply.integer(i64::from(table.len()));
}

/// A run of bytes that both strings have in common.
#[derive(Debug, Clone, Copy)]
struct Match {
    a: usize,
    b: usize,
    len: u32,
}

/// The lengths of the longest common subsequences of all pairs of prefixes.
struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    lengths: Vec<u32>,
}

impl<'a> Table<'a> {
    fn new(a: &'a [u8], b: &'a [u8], bytes_max: i64) -> Result<Self, CommandError> {
        if a.len().max(b.len()) >= u32::MAX as usize - 1 {
            return Err(CommandError::text("String too long for LCS"));
        }
        let width = b.len() + 1;
        let cells = (a.len() as u128 + 1) * width as u128;
        if cells * size_of::<u32>() as u128 > bytes_max.max(0) as u128 {
            return Err(CommandError::text(
                "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ));
        }
        let mut lengths = Vec::new();
        if lengths.try_reserve_exact(cells as usize).is_err() {
            return Err(CommandError::text("Insufficient memory, failed allocating transient memory for LCS"));
        }
        lengths.resize(cells as usize, 0u32);
        for (row, x) in a.iter().enumerate() {
            let (above, below) = lengths.split_at_mut((row + 1) * width);
            let above = &above[row * width..];
            for (column, y) in b.iter().enumerate() {
                below[column + 1] =
                    if x == y { above[column] + 1 } else { above[column + 1].max(below[column]) };
            }
        }
        Ok(Self { a, b, lengths })
    }

    fn at(&self, row: usize, column: usize) -> u32 {
        self.lengths[row * (self.b.len() + 1) + column]
    }

    fn len(&self) -> u32 {
        self.at(self.a.len(), self.b.len())
    }

    /// Walks back from the ends and visits each place where both strings go together.
    fn walk(&self, mut visit: impl FnMut(usize, usize)) {
        let (mut row, mut column) = (self.a.len(), self.b.len());
        while row > 0 && column > 0 {
            if self.a[row - 1] == self.b[column - 1] {
                (row, column) = (row - 1, column - 1);
                visit(row, column);
            } else if self.at(row - 1, column) > self.at(row, column - 1) {
                row -= 1;
            } else {
                column -= 1;
            }
        }
    }

    fn subsequence(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() as usize);
        self.walk(|row, _| bytes.push(self.a[row]));
        bytes.reverse();
        bytes
    }

    /// The runs, the last one first.
    fn matches(&self) -> Vec<Match> {
        let mut runs: Vec<Match> = Vec::new();
        self.walk(|a, b| match runs.last_mut() {
            Some(run) if (run.a, run.b) == (a + 1, b + 1) => *run = Match { a, b, len: run.len + 1 },
            _ => runs.push(Match { a, b, len: 1 }),
        });
        runs
    }
}
