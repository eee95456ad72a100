//! What HSCAN, SSCAN and ZSCAN share: their options, and the reply of a cursor and a page.

use super::key::PageOptions;
use crate::command::options::{Options, is};
use crate::keyspace::Cursor;
use crate::resp::reply::Mark;
use crate::resp::{Args, CommandError, Reply, ReplyBuffer};

/// The words that leave something out of a page, and the command that knows each.
const SKIPS: [(&str, &str, CommandError); 2] = [
    ("NOVALUES", "hscan", CommandError::text("NOVALUES option can only be used in HSCAN")),
    ("NOSCORES", "zscan", CommandError::text("NOSCORES option can only be used in ZSCAN")),
];

/// The options of `HSCAN | SSCAN | ZSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES | NOSCORES]`
#[derive(Debug, Default)]
pub(crate) struct ElementScan {
    /// COUNT and MATCH.
    pub page: PageOptions,
    /// NOVALUES or NOSCORES: names alone.
    pub names_only: bool,
}

impl ElementScan {
    /// The options of the command of this name, in lower case.
    pub fn parse(args: &Args<'_>, command: &str) -> Result<Self, CommandError> {
        let mut scan = Self::default();
        let mut options = Options::new(args, 3);
        while let Some(word) = options.word() {
            if scan.page.take(word, &mut options)? {
                continue;
            }
            if let Some((_, knows, refusal)) = SKIPS.iter().find(|(skip, ..)| is(word, skip)) {
                if command != *knows {
                    return Err(refusal.clone());
                }
                scan.names_only = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(scan)
    }
}

/// Replies with a cursor and what `fill` writes; it tells how many elements those are and where to go on.
pub(crate) fn reply_page(reply: &mut Reply<'_>, fill: impl FnOnce(&mut Reply<'_>) -> (usize, Option<Cursor>)) {
    // The cursor goes in front, but is known only at the end.
    let mut page = ReplyBuffer::default();
    let (elements, next) = fill(&mut Reply::new(&mut page, reply.protocol()));
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next.map_or(0, Cursor::to_raw)).as_bytes());
    reply.array(elements);
    let end = page.mark();
    reply.buffer().append_range(&page, Mark::default(), end);
}
