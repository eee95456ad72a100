//! Commands for strings as rows of bits.

pub mod rows;

mod combine;
mod field;
mod range;
mod single;
#[cfg(test)]
mod tests;

pub use combine::bitop;
pub use field::{bitfield, bitfield_ro};
pub use range::{bitcount, bitpos};
pub use single::{getbit, setbit};

use crate::commands::{Context, Expiry};
use crate::number::parse_integer;
use crate::resp::CommandError;

const OFFSET_OUT_OF_RANGE: CommandError = CommandError::text("bit offset is not an integer or out of range");

/// A count of bits before the one that is meant, times `unit`. The byte with that bit must be one that a string may have.
fn bit_offset(ctx: &Context<'_>, text: &[u8], unit: i64) -> Result<u64, CommandError> {
    // As in Valkey, what the unit carries beyond 64 bits is lost.
    let offset = parse_integer(text).ok_or(OFFSET_OUT_OF_RANGE)?.wrapping_mul(unit);
    // A call that was accepted elsewhere is bounded by what a string can be at all.
    let bytes_max = match ctx.expiry {
        Expiry::Ignore => i64::from(u32::MAX),
        Expiry::Remove | Expiry::Hide | Expiry::Show => ctx.rules.bulk_bytes_max,
    };
    if offset < 0 || offset >> 3 >= bytes_max { Err(OFFSET_OUT_OF_RANGE) } else { Ok(offset as u64) }
}
