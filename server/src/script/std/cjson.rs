//! `cjson`: values to JSON and back, and the settings of both ways. A script's changes of them stay, as they do in Valkey,
//! until the interpreter is made anew.

mod decode;
mod encode;

use std::ffi::c_int;

use super::number::to_i32;
use super::stack::{Call, Constant, Library, Native, Raise};

pub(super) static LIBRARY: Library = Library {
    name: c"cjson",
    functions: FUNCTIONS,
    constants: &[
        (c"_NAME", Constant::Text(c"cjson")),
        (c"_VERSION", Constant::Text(c"2.1.0")),
        (c"null", Constant::Null),
    ],
};

const FUNCTIONS: &[(&std::ffi::CStr, Native)] = &[
    (c"encode", encode::encode),
    (c"decode", decode::decode),
    (c"encode_sparse_array", encode_sparse_array),
    (c"encode_max_depth", encode_max_depth),
    (c"decode_max_depth", decode_max_depth),
    (c"encode_number_precision", encode_number_precision),
    (c"encode_keep_buffer", encode_keep_buffer),
    (c"encode_invalid_numbers", encode_invalid_numbers),
    (c"decode_invalid_numbers", decode_invalid_numbers),
    (c"new", new),
];

/// What becomes of NaN and infinity, which JSON does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Invalid {
    Refused,
    Written,
    Null,
}

/// What scripts can set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Is an array with too many holes written as an object? Else it is refused.
    sparse_converts: bool,
    /// So many times as many places as values are too many holes; 0 for never.
    sparse_ratio: i32,
    /// Arrays up to this length may have any number of holes.
    sparse_safe: i32,
    /// How many tables may lie in each other, on the way out and on the way in.
    encode_depth: i32,
    decode_depth: i32,
    /// Digits of a number, 1 to 14.
    precision: i32,
    /// Has no effect beyond being reported: what is kept of the buffer is bounded anyway.
    keeps_buffer: bool,
    encode_invalid: Invalid,
    /// Are numbers read that JSON does not have?
    decode_invalid: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_converts: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: 1000,
            decode_depth: 1000,
            precision: 14,
            keeps_buffer: true,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
        }
    }
}

/// Makes sure that there are `count` arguments, nil for those that were not given.
fn take_arguments(call: &Call<'_>, count: c_int) -> Result<(), Raise> {
    if call.stack.top() > count {
        return Err(Raise::argument(count + 1, "found too many arguments"));
    }
    call.stack.set_top(count);
    Ok(())
}

/// The new value of a setting that is a number: the argument's, or the present one if that is nil.
fn integer(call: &Call<'_>, index: c_int, present: i32, least: i32, most: i32) -> Result<i32, Raise> {
    if call.stack.is_absent_or_nil(index) {
        return Ok(present);
    }
    let value = to_i32(call.stack.number_argument(index)?);
    if value < least || value > most {
        // Whichever argument it is.
        return Err(Raise::argument(1, format!("expected integer between {least} and {most}")));
    }
    Ok(value)
}

/// The number that the first argument chooses among options, where "off" and "on" may be given as booleans.
fn choice(call: &Call<'_>, options: &[&str]) -> Result<Option<usize>, Raise> {
    let stack = call.stack;
    if stack.is_absent_or_nil(1) {
        return Ok(None);
    }
    if stack.kind(1) == super::stack::Kind::Boolean {
        return Ok(Some(stack.boolean(1).into()));
    }
    let text = stack.text_argument(1)?;
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let found = options.iter().position(|option| option.as_bytes() == text);
    match found {
        Some(found) => Ok(Some(found)),
        None => Err(Raise::argument(1, [b"invalid option '", text, b"'"].concat())),
    }
}

/// The new value of a setting that is on or off.
fn switch(call: &Call<'_>, present: bool) -> Result<bool, Raise> {
    Ok(choice(call, &["off", "on"])?.map_or(present, |chosen| chosen == 1))
}

fn change(call: &Call<'_>, change: impl FnOnce(&mut Settings)) {
    let mut settings = call.settings.get();
    change(&mut settings);
    call.settings.set(settings);
}

fn encode_sparse_array(call: &mut Call<'_>) -> Result<usize, Raise> {
    take_arguments(call, 3)?;
    // Each is set as it is read: what comes before a refused argument stays.
    let converts = switch(call, call.settings.get().sparse_converts)?;
    change(call, |settings| settings.sparse_converts = converts);
    let ratio = integer(call, 2, call.settings.get().sparse_ratio, 0, i32::MAX)?;
    change(call, |settings| settings.sparse_ratio = ratio);
    let safe = integer(call, 3, call.settings.get().sparse_safe, 0, i32::MAX)?;
    change(call, |settings| settings.sparse_safe = safe);
    call.stack.push_boolean(converts);
    call.stack.push_number(ratio.into());
    call.stack.push_number(safe.into());
    Ok(3)
}

fn encode_max_depth(call: &mut Call<'_>) -> Result<usize, Raise> {
    take_arguments(call, 1)?;
    let depth = integer(call, 1, call.settings.get().encode_depth, 1, i32::MAX)?;
    change(call, |settings| settings.encode_depth = depth);
    call.stack.push_number(depth.into());
    Ok(1)
}

fn decode_max_depth(call: &mut Call<'_>) -> Result<usize, Raise> {
    take_arguments(call, 1)?;
    let depth = integer(call, 1, call.settings.get().decode_depth, 1, i32::MAX)?;
    change(call, |settings| settings.decode_depth = depth);
    call.stack.push_number(depth.into());
    Ok(1)
}

fn encode_number_precision(call: &mut Call<'_>) -> Result<usize, Raise> {
    take_arguments(call, 1)?;
    let precision = integer(call, 1, call.settings.get().precision, 1, 14)?;
    change(call, |settings| settings.precision = precision);
    call.stack.push_number(precision.into());
    Ok(1)
}

fn encode_keep_buffer(call: &mut Call<'_>) -> Result<usize, Raise> {
    take_arguments(call, 1)?;
    let keeps = switch(call, call.settings.get().keeps_buffer)?;
    change(call, |settings| settings.keeps_buffer = keeps);
    call.stack.push_boolean(keeps);
    Ok(1)
}

fn encode_invalid_numbers(call: &mut Call<'_>) -> Result<usize, Raise> {
    take_arguments(call, 1)?;
    let chosen = choice(call, &["off", "on", "null"])?;
    let invalid = match chosen {
        None => call.settings.get().encode_invalid,
        Some(0) => Invalid::Refused,
        Some(1) => Invalid::Written,
        Some(_) => Invalid::Null,
    };
    change(call, |settings| settings.encode_invalid = invalid);
    match invalid {
        Invalid::Null => call.stack.push_bytes(b"null"),
        other => call.stack.push_boolean(other == Invalid::Written),
    }
    Ok(1)
}

fn decode_invalid_numbers(call: &mut Call<'_>) -> Result<usize, Raise> {
    take_arguments(call, 1)?;
    let reads = switch(call, call.settings.get().decode_invalid)?;
    change(call, |settings| settings.decode_invalid = reads);
    call.stack.push_boolean(reads);
    Ok(1)
}

/// Another `cjson`, with settings of its own.
fn new(call: &mut Call<'_>) -> Result<usize, Raise> {
    call.stack.push_library(&LIBRARY);
    Ok(1)
}
