//! All rows joined, and the finding of a row by its name.
//!
//! The index is made while compiling: an open-addressing table of the rows that exist. Each slot holds the first and the
//! last eight bytes of a name in lower case, so that a lookup compares two words instead of a text. Missing rows are not
//! in the index; they answer as unknown commands.

use super::names::Names;
use super::row::Command;
use crate::commands;
use crate::resp::{Args, CommandError};
use std::fmt::Write as _;

/// The rows of every family, missing ones included; subcommands are in the rows of their parents.
pub static FAMILIES: &[&[Command]] = &[
    commands::bitmap::rows::ROWS,
    commands::cluster::rows::ROWS,
    commands::connection::rows::ROWS,
    commands::geo::rows::ROWS,
    commands::hash::rows::ROWS,
    commands::hll::rows::ROWS,
    commands::key::rows::ROWS,
    commands::list::rows::ROWS,
    commands::pubsub::rows::ROWS,
    commands::script::rows::ROWS,
    commands::server::rows::ROWS,
    commands::set::rows::ROWS,
    commands::stream::rows::ROWS,
    commands::string::rows::ROWS,
    commands::transaction::rows::ROWS,
    commands::zset::rows::ROWS,
];

/// The row with this number.
pub fn by_id(id: u16) -> Option<&'static Command> {
    BY_ID.get(usize::from(id)).copied().flatten()
}

static BY_ID: [Option<&'static Command>; ROW_COUNT] = rows_by_id();

const fn rows_by_id() -> [Option<&'static Command>; ROW_COUNT] {
    let mut rows: [Option<&'static Command>; ROW_COUNT] = [None; ROW_COUNT];
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut at = 0;
        while at < FAMILIES[family].len() {
            let row = &FAMILIES[family][at];
            rows[row.id as usize] = Some(row);
            let mut child = 0;
            while child < row.subcommands.len() {
                rows[row.subcommands[child].id as usize] = Some(&row.subcommands[child]);
                child += 1;
            }
            at += 1;
        }
        family += 1;
    }
    rows
}

/// Slots of the index; a power of two, at least twice the number of commands.
const SLOTS: usize = 1024;

/// No command has a longer name.
const NAME_BYTES_MAX: usize = 32;

/// How many rows there are, with missing ones and subcommands; ids are smaller.
pub const ROW_COUNT: usize = count_rows();

static INDEX: [Slot; SLOTS] = build_index();

/// How many commands exist, without subcommands.
pub static EXISTING_COUNT: usize = count_existing();

const fn count_rows() -> usize {
    let (mut family, mut count) = (0, 0);
    while family < FAMILIES.len() {
        let mut row = 0;
        while row < FAMILIES[family].len() {
            count += 1 + FAMILIES[family][row].subcommands.len();
            row += 1;
        }
        family += 1;
    }
    count
}

/// A place in the index.
#[derive(Clone, Copy)]
struct Slot {
    key: NameKey,
    command: Option<&'static Command>,
}

const fn build_index() -> [Slot; SLOTS] {
    let mut index = [Slot { key: NameKey { head: 0, tail: 0, len: 0 }, command: None }; SLOTS];
    let (mut family, mut count) = (0, 0);
    while family < FAMILIES.len() {
        let mut row = 0;
        while row < FAMILIES[family].len() {
            let command = &FAMILIES[family][row];
            assert!(command.name.len() <= NAME_BYTES_MAX, "a name is longer than the index allows");
            if !command.is_missing() {
                let key = NameKey::of(command.name.as_bytes());
                let mut slot = key.slot();
                while index[slot].command.is_some() {
                    slot = (slot + 1) % SLOTS;
                }
                index[slot] = Slot { key, command: Some(command) };
                count += 1;
            }
            row += 1;
        }
        family += 1;
    }
    assert!(count * 2 <= SLOTS, "the index is too small for short probes");
    index
}

const fn count_existing() -> usize {
    let (mut slot, mut count) = (0, 0);
    while slot < SLOTS {
        count += INDEX[slot].command.is_some() as usize;
        slot += 1;
    }
    count
}

/// A name in lower case as two words that overlap: of up to 16 bytes nothing is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
struct NameKey {
    head: u64,
    tail: u64,
    len: u32,
}

impl NameKey {
    #[inline]
    const fn of(name: &[u8]) -> Self {
        let (head, tail) = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            // Up to three bytes: the first, the middle and the last tell all.
            _ if name.len() < 4 => (short_name(name), 0),
            (Some(first), Some(last)) if name.len() < 8 => {
                (u32::from_le_bytes(*first) as u64 | (u32::from_le_bytes(*last) as u64) << 32, 0)
            }
            _ => match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
                (Some(first), Some(last)) => (u64::from_le_bytes(*first), lower_case(u64::from_le_bytes(*last))),
                _ => (0, 0),
            },
        };
        Self { head: lower_case(head), tail, len: name.len() as u32 }
    }

    /// The first slot to look into.
    #[inline]
    const fn slot(self) -> usize {
        let mixed = self.head ^ self.tail.rotate_left(23) ^ self.len as u64;
        (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOTS.trailing_zeros())) as usize
    }
}

const fn short_name(name: &[u8]) -> u64 {
    match *name {
        [a] => a as u64 | (a as u64) << 8 | (a as u64) << 16,
        [a, b] => a as u64 | (b as u64) << 8 | (b as u64) << 16,
        [a, b, c] => a as u64 | (b as u64) << 8 | (c as u64) << 16,
        _ => 0,
    }
}

/// Eight bytes at once: `A` to `Z` become `a` to `z`, everything else stays.
#[inline]
const fn lower_case(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOP: u64 = 0x80 * ONES;
    // Without their top bits, bytes cannot carry into each other; the sums reach the top bit from `A`, and behind `Z`.
    let low = bytes & !TOP;
    let from_a = low + (0x80 - b'A' as u64) * ONES;
    let behind_z = low + (0x80 - b'Z' as u64 - 1) * ONES;
    let upper = from_a & !behind_z & !bytes & TOP;
    bytes | upper >> 2
}

/// The command of this name in any case, if it exists.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let key = NameKey::of(name);
    let mut slot = key.slot();
    // An empty slot ends the search; half of all slots are empty.
    while let Slot { key: there, command: Some(command) } = &INDEX[slot] {
        if *there == key && (name.len() <= 16 || command.name.as_bytes().eq_ignore_ascii_case(name)) {
            return Some(command);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// The subcommand of this name (without its parent's) in any case, if it exists.
pub fn lookup_subcommand(parent: &'static Command, name: &[u8]) -> Option<&'static Command> {
    let own = parent.name.len() + 1;
    parent
        .subcommands
        .iter()
        .find(|row| row.name.as_bytes()[own..].eq_ignore_ascii_case(name))
        .filter(|row| !row.is_missing())
}

/// The command or subcommand of this name, with `|` between parent and child, if it exists.
pub fn lookup_full(name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|byte| *byte == b'|') {
        None => lookup(name),
        Some(at) => lookup_subcommand(lookup(&name[..at])?, &name[at + 1..]),
    }
}

/// Every row, missing ones included; subcommands follow their parent.
pub fn all() -> impl Iterator<Item = &'static Command> {
    FAMILIES.iter().flat_map(|rows| rows.iter()).flat_map(|row| std::iter::once(row).chain(row.subcommands))
}

/// The commands that exist, without subcommands.
pub fn existing() -> impl Iterator<Item = &'static Command> + Clone {
    FAMILIES.iter().flat_map(|rows| rows.iter()).filter(|row| !row.is_missing())
}

/// The row of a call by the names of the table, with its arity checked.
///
/// # Errors
/// There is no such command or subcommand, or the number of words does not fit.
pub fn resolve(args: &Args<'_>) -> Result<&'static Command, CommandError> {
    Names::default().resolve(args)
}

/// Most bytes of the name, and of the arguments, that the answer to an unknown command repeats.
const REPEATED_BYTES_MAX: usize = 128;

/// The answer to a call of no command.
#[cold]
pub(crate) fn unknown(args: &Args<'_>, names: &Names) -> CommandError {
    if args.is_empty() {
        return CommandError::text("unknown command '', with args beginning with: ");
    }
    if names.lookup(args.get(0)).is_some() {
        let name = String::from_utf8_lossy(c_text(args.get(1), REPEATED_BYTES_MAX));
        let parent = String::from_utf8_lossy(args.get(0)).to_ascii_uppercase();
        return CommandError::owned(format!("unknown subcommand '{name}'. Try {parent} HELP."));
    }
    let name = String::from_utf8_lossy(c_text(args.get(0), REPEATED_BYTES_MAX));
    let mut text = format!("unknown command '{name}', with args beginning with: ");
    let mut used = 0;
    for arg in args.iter_from(1) {
        if used >= REPEATED_BYTES_MAX {
            break;
        }
        let arg = c_text(arg, REPEATED_BYTES_MAX - used);
        used += arg.len() + 3;
        // Writing to a String cannot fail.
        let _ = write!(text, "'{}' ", String::from_utf8_lossy(arg));
    }
    CommandError::owned(text)
}

/// At most `max` bytes, up to the first NUL, as C prints a text.
fn c_text(bytes: &[u8], max: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(max)];
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_near_their_first_slot() {
        // Over the rows that exist and those to come.
        let mut taken = [false; SLOTS];
        let mut probes = 0;
        for row in FAMILIES.iter().flat_map(|rows| rows.iter()) {
            let mut slot = NameKey::of(row.name.as_bytes()).slot();
            let mut own = 1;
            while std::mem::replace(&mut taken[slot], true) {
                slot = (slot + 1) % SLOTS;
                own += 1;
            }
            assert!(own <= 6, "{} is {own} slots away", row.name);
            probes += own;
        }
        let rows = FAMILIES.iter().map(|rows| rows.len()).sum::<usize>();
        assert!(probes * 4 <= rows * 5, "{probes} probes for {rows} names");
    }
}
