//! ZSCAN.

use super::{read, reply_member};
use crate::commands::Context;
use crate::commands::element_scan::{ElementScan, reply_page};
use crate::commands::key::parse_cursor;
use crate::double::DoubleText;
use crate::keyspace::Cursor;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::Element;
use crate::value::zset::{Score, SortedSetRef};

/// `ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]`
pub fn zscan(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let cursor = Cursor::from_raw(parse_cursor(args.get(2))?);
    let key = ctx.key(args, 1);
    let Some(set) = read(ctx, &key)? else {
        reply_page(reply, |_| (0, None));
        return Ok(Outcome::unchanged());
    };
    let scan = ElementScan::parse(args, "zscan")?;
    reply_page(reply, |page| {
        let mut count = 0;
        let mut give = |member: Element<'_>, score: Score<'_>| {
            if !scan.page.matches(member.text(&mut itoa::Buffer::new())) {
                return;
            }
            count += 1;
            reply_member(page, member);
            if !scan.names_only {
                count += 1;
                // A bulk string, in RESP3 too.
                match score {
                    Score::Double(score) => page.bulk(DoubleText::of(score).as_bytes()),
                    Score::Packed(text) => reply_member(page, text),
                }
            }
        };
        let next = match set {
            SortedSetRef::Packed(_) => {
                set.visit(0, set.len(), false, &mut give);
                None
            }
            SortedSetRef::Large(set) => set.scan(cursor, scan.page.count, &mut |entry| {
                give(Element::Bytes(entry.key()), Score::Double(entry.score()));
            }),
        };
        (count, next)
    });
    Ok(Outcome::unchanged())
}
