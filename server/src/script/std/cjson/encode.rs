//! Values to JSON.

use super::super::number::{as_integer, general};
use super::super::scratch::{Level, Output, Scratch};
use super::super::stack::{Call, Kind, Raise, Stack};
use super::{Invalid, Settings};

/// What stands for a byte in a string of JSON; empty for itself.
static ESCAPES: [&[u8]; 256] = escapes();

const fn escapes() -> [&'static [u8]; 256] {
    let mut table: [&[u8]; 256] = [b""; 256];
    const CONTROLS: [&[u8; 6]; 32] = [
        b"\\u0000", b"\\u0001", b"\\u0002", b"\\u0003", b"\\u0004", b"\\u0005", b"\\u0006", b"\\u0007", b"\\u0008",
        b"\\u0009", b"\\u000a", b"\\u000b", b"\\u000c", b"\\u000d", b"\\u000e", b"\\u000f", b"\\u0010", b"\\u0011",
        b"\\u0012", b"\\u0013", b"\\u0014", b"\\u0015", b"\\u0016", b"\\u0017", b"\\u0018", b"\\u0019", b"\\u001a",
        b"\\u001b", b"\\u001c", b"\\u001d", b"\\u001e", b"\\u001f",
    ];
    let mut at = 0;
    while at < CONTROLS.len() {
        table[at] = CONTROLS[at];
        at += 1;
    }
    table[8] = b"\\b";
    table[9] = b"\\t";
    table[10] = b"\\n";
    table[12] = b"\\f";
    table[13] = b"\\r";
    table[b'"' as usize] = b"\\\"";
    table[b'/' as usize] = b"\\/";
    table[b'\\' as usize] = b"\\\\";
    table[127] = b"\\u007f";
    table
}

/// `cjson.encode(value)`.
pub(super) fn encode(call: &mut Call<'_>) -> Result<usize, Raise> {
    let stack = call.stack;
    if stack.top() != 1 {
        return Err(Raise::argument(1, "expected 1 argument"));
    }
    let settings = call.settings.get();
    let Scratch { out, levels } = &mut *call.scratch;
    loop {
        // On top lies the next value to write; it goes when it is written, unless it is all there is.
        if stack.kind(-1) == Kind::Table {
            open(stack, &settings, out, levels)?;
        } else {
            scalar(stack, &settings, out)?;
            if !levels.is_empty() {
                stack.set_top(-2);
            }
        }
        loop {
            let closing = match levels.last_mut() {
                None => {
                    stack.push_bytes(out.as_bytes());
                    return Ok(1);
                }
                Some(Level::Array { at, count }) if *at < *count => {
                    if *at > 0 {
                        out.byte(b',')?;
                    }
                    *at += 1;
                    stack.push_element(*at as i32);
                    break;
                }
                Some(Level::Map { pairs, .. }) if stack.next() => {
                    if *pairs > 0 {
                        out.byte(b',')?;
                    }
                    *pairs += 1;
                    key(stack, &settings, out)?;
                    break;
                }
                Some(Level::Array { .. }) => b']',
                Some(Level::Map { .. }) => b'}',
            };
            out.byte(closing)?;
            levels.pop();
            if !levels.is_empty() {
                stack.set_top(-2);
            }
        }
    }
}

/// Begins with the table on top.
fn open(stack: Stack<'_>, settings: &Settings, out: &mut Output, levels: &mut Vec<Level>) -> Result<(), Raise> {
    let depth = levels.len() + 1;
    if depth > settings.encode_depth as usize || !stack.has_room(3) {
        return Err(Raise::text(format!("Cannot serialise, excessive nesting ({depth})")));
    }
    match array_length(stack, settings)? {
        Some(count) => {
            // Every element takes two bytes at least.
            out.allow(count * 2)?;
            out.byte(b'[')?;
            levels.push(Level::Array { at: 0, count });
        }
        None => {
            out.byte(b'{')?;
            stack.push_nil();
            levels.push(Level::Map { pairs: 0, has_key: false });
        }
    }
    Ok(())
}

/// How many elements the table on top has, holes included; `None` if it is to become an object.
fn array_length(stack: Stack<'_>, settings: &Settings) -> Result<Option<u64>, Raise> {
    let (mut longest, mut items) = (0_i32, 0_i32);
    stack.push_nil();
    while stack.next() {
        let key = if stack.kind(-2) == Kind::Number { stack.number(-2) } else { 0.0 };
        if !(key >= 1.0 && key.floor() == key) {
            stack.set_top(-3);
            return Ok(None);
        }
        if key > f64::from(longest) {
            // Valkey counts in 32 bits, and beyond them gets the lowest number there is.
            longest = if key <= f64::from(i32::MAX) { key as i32 } else { i32::MIN };
        }
        items = items.wrapping_add(1);
        stack.set_top(-2);
    }
    let too_sparse = settings.sparse_ratio > 0
        && longest > items.wrapping_mul(settings.sparse_ratio)
        && longest > settings.sparse_safe;
    if too_sparse && !settings.sparse_converts {
        return Err(refused("table", "excessively sparse array"));
    }
    Ok(u64::try_from(longest).ok().filter(|&length| length > 0 && !too_sparse))
}

fn refused(kind: &str, reason: &str) -> Raise {
    Raise::text(format!("Cannot serialise {kind}: {reason}"))
}

/// Writes the key that lies below the top.
fn key(stack: Stack<'_>, settings: &Settings, out: &mut Output) -> Result<(), Raise> {
    match stack.kind(-2) {
        Kind::Number => {
            out.byte(b'"')?;
            number(stack.number(-2), settings, out)?;
            out.bytes(b"\":")
        }
        Kind::Text => {
            text(stack.bytes(-2), out)?;
            out.byte(b':')
        }
        _ => Err(refused(stack.kind_name(-2), "table key must be a number or string")),
    }
}

/// Writes the value on top, which is no table.
fn scalar(stack: Stack<'_>, settings: &Settings, out: &mut Output) -> Result<(), Raise> {
    match stack.kind(-1) {
        Kind::Text => text(stack.bytes(-1), out),
        Kind::Number => number(stack.number(-1), settings, out),
        Kind::Boolean => out.bytes(if stack.boolean(-1) { b"true" } else { b"false" }),
        Kind::Nil => out.bytes(b"null"),
        Kind::LightUserdata if stack.is_null(-1) => out.bytes(b"null"),
        _ => Err(refused(stack.kind_name(-1), "type not supported")),
    }
}

fn number(value: f64, settings: &Settings, out: &mut Output) -> Result<(), Raise> {
    if !value.is_finite() {
        return match settings.encode_invalid {
            Invalid::Refused => Err(refused("number", "must not be NaN or Inf")),
            Invalid::Null => out.bytes(b"null"),
            Invalid::Written if value.is_nan() => out.bytes(b"nan"),
            Invalid::Written => out.bytes(general(value, 14).as_bytes()),
        };
    }
    let digits = settings.precision as u32;
    if let Some(integer) = as_integer(value)
        && integer.unsigned_abs() < 10_u64.pow(digits)
        && (integer != 0 || value.is_sign_positive())
    {
        return out.bytes(itoa::Buffer::new().format(integer).as_bytes());
    }
    out.bytes(general(value, digits as usize).as_bytes())
}

fn text(bytes: &[u8], out: &mut Output) -> Result<(), Raise> {
    out.byte(b'"')?;
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let escape = ESCAPES[first as usize];
        if escape.is_empty() {
            let (plain, behind) = rest.split_at(plain_length(rest));
            out.bytes(plain)?;
            rest = behind;
        } else {
            out.bytes(escape)?;
            rest = &rest[1..];
        }
    }
    out.byte(b'"')
}

/// How many bytes at the start stand for themselves.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The highest bit of each byte that is zero; of others above one, too, but never if none is.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut length = 0;
    while let Some(eight) = bytes[length..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = zeros(word ^ (ONES * u64::from(b'"')))
            | zeros(word ^ (ONES * u64::from(b'/')))
            | zeros(word ^ (ONES * u64::from(b'\\')))
            | zeros(word ^ (ONES * 0x7f));
        if controls | special != 0 {
            break;
        }
        length += 8;
    }
    let rest = bytes[length..].iter().position(|&byte| !ESCAPES[byte as usize].is_empty());
    rest.map_or(bytes.len(), |more| length + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_runs_end_where_an_escape_is_needed() {
        for byte in 0..=255_u8 {
            for before in 0..20 {
                let mut bytes = vec![b'x'; before];
                bytes.push(byte);
                bytes.extend_from_slice("ä 9-Z\u{80}".as_bytes());
                let expected = if ESCAPES[byte as usize].is_empty() { bytes.len() } else { before };
                assert_eq!(plain_length(&bytes), expected, "{byte} behind {before}");
            }
        }
    }
}
