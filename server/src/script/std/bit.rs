//! `bit`: operations on numbers as 32 bits.

use std::ffi::{CStr, c_int};

use super::stack::{Call, Library, Native, Raise};

pub(super) static LIBRARY: Library = Library { name: c"bit", functions: FUNCTIONS, constants: &[] };

const FUNCTIONS: &[(&CStr, Native)] = &[
    (c"tobit", |call| each(call, |bits| bits)),
    (c"bnot", |call| each(call, |bits| !bits)),
    (c"bswap", |call| each(call, u32::swap_bytes)),
    (c"band", |call| all(call, |left, right| left & right)),
    (c"bor", |call| all(call, |left, right| left | right)),
    (c"bxor", |call| all(call, |left, right| left ^ right)),
    (c"lshift", |call| shift(call, u32::wrapping_shl)),
    (c"rshift", |call| shift(call, u32::wrapping_shr)),
    (c"arshift", |call| shift(call, |bits, by| (bits as i32).wrapping_shr(by) as u32)),
    (c"rol", |call| shift(call, |bits, by| bits.rotate_left(by & 31))),
    (c"ror", |call| shift(call, |bits, by| bits.rotate_right(by & 31))),
    (c"tohex", to_hex),
];

/// The bits of an argument: rounded to even, modulo 2^32. Adding 2^52 + 2^51 leaves them at the end of the mantissa, as long
/// as the number is below 2^51; what becomes of larger ones is the library's custom.
fn bits(call: &Call<'_>, index: c_int) -> Result<u32, Raise> {
    Ok((call.stack.number_argument(index)? + 6_755_399_441_055_744.0).to_bits() as u32)
}

fn give(call: &Call<'_>, bits: u32) -> usize {
    call.stack.push_number((bits as i32).into());
    1
}

fn each(call: &Call<'_>, change: impl Fn(u32) -> u32) -> Result<usize, Raise> {
    Ok(give(call, change(bits(call, 1)?)))
}

fn all(call: &Call<'_>, join: impl Fn(u32, u32) -> u32) -> Result<usize, Raise> {
    let mut sum = bits(call, 1)?;
    for index in 2..=call.stack.top() {
        sum = join(sum, bits(call, index)?);
    }
    Ok(give(call, sum))
}

fn shift(call: &Call<'_>, shift: impl Fn(u32, u32) -> u32) -> Result<usize, Raise> {
    let by = |call: &Call<'_>| bits(call, 2).map(|by| by & 31);
    Ok(give(call, shift(bits(call, 1)?, by(call)?)))
}

/// `bit.tohex(number, digits)`: the last 8 digits or fewer; capital letters if fewer than none are asked for.
fn to_hex(call: &mut Call<'_>) -> Result<usize, Raise> {
    let number = bits(call, 1)?;
    let digits = if call.stack.is_absent(2) { 8 } else { bits(call, 2)? as i32 };
    let text = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
    let kept = digits.unsigned_abs().min(8) as usize;
    call.stack.push_bytes(&text.as_bytes()[8 - kept..]);
    Ok(1)
}
