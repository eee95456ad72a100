//! A transaction as one call: what EXEC becomes where its calls are carried out over lent data. Its words hold the queued calls,
//! each behind a head that tells its row, its database and how many words it has.

use super::{Context, Unit, Within};
use crate::command::{Command, Flags, Group, Run, table};
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply, Request};
use crate::units::DbIndex;

/// The row of such a call. It is in no table: clients cannot call it.
pub static UNIT: Command = Command {
    name: "exec",
    arity: -1,
    flags: Flags::WRITE,
    group: Group::Transactions,
    run: Run::OnShard(run),
    ..Command::DEFAULT
};

/// Bytes of the head of a call: row, database, number of words.
const HEAD_BYTES: usize = 2 + 4 + 4;

/// The words of the call, to which calls are added.
pub fn request() -> Request {
    Request::new([&b"EXEC"[..]])
}

/// Adds a queued call.
pub fn push(request: &mut Request, row: &'static Command, db: DbIndex, args: &Args<'_>) {
    let mut head = [0; HEAD_BYTES];
    head[..2].copy_from_slice(&row.id.to_le_bytes());
    head[2..6].copy_from_slice(&db.0.to_le_bytes());
    head[6..].copy_from_slice(&(args.len() as u32).to_le_bytes());
    request.push(&head);
    for index in 0..args.len() {
        match args.shared(index) {
            Some(bytes) => request.push_shared(bytes.clone()),
            None => request.push(args.get(index)),
        }
    }
}

/// The queued calls: row, database and words.
fn calls<'a>(args: &Args<'a>) -> impl Iterator<Item = (&'static Command, DbIndex, Args<'a>)> + use<'a> {
    let args = *args;
    let mut at = 1;
    std::iter::from_fn(move || {
        let head: &[u8; HEAD_BYTES] = if at < args.len() { args.get(at).try_into().ok()? } else { return None };
        let number = |range: std::ops::Range<usize>| {
            head[range].iter().rev().fold(0u32, |number, byte| number << 8 | u32::from(*byte))
        };
        let (row, db, len) = (number(0..2), number(2..6), number(6..10) as usize);
        let words = args.skip(at + 1).first(len);
        at += 1 + len;
        Some((table::by_id(row as u16)?, DbIndex(db), words))
    })
}

/// Writes the replies of the calls one behind the other, without the head of an array around them.
fn run(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let mut unit = Unit::new(ctx.db, reply.protocol());
    // What it touches was known before it began: nothing is ever undone.
    unit.is_proven = true;
    let out = reply.buffer();
    for (row, db, words) in calls(args) {
        unit.db = db;
        match ctx.run_within(&mut unit, row, &words, out) {
            Within::Done { .. } => {}
            Within::Elsewhere | Within::Locked | Within::ByProcess => {
                debug_assert!(false, "all keys of {} were lent", row.name);
                ctx.fail(&unit, &CommandError::text("a key is not at hand"), out);
            }
        }
        debug_assert!(ctx.unfinished.is_none(), "nothing is interrupted in the midst of a transaction");
        ctx.unit_ends.push(out.mark());
    }
    Ok(ctx.end_unit(unit))
}
