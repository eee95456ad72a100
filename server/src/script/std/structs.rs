//! `struct`: values to the bytes of C's structures and back, by a format.

use std::ffi::CStr;

use super::number::{to_i64, to_u64};
use super::stack::{Call, Library, Native, Raise};

pub(super) static LIBRARY: Library = Library { name: c"struct", functions: FUNCTIONS, constants: &[] };

const FUNCTIONS: &[(&CStr, Native)] = &[(c"pack", pack), (c"unpack", unpack), (c"size", size)];

/// Bytes of the widest integer.
const WIDTH_MAX: usize = 32;

/// What `!` without a number aligns to.
const ALIGNMENT: usize = 8;

/// A format that is being read, and what it said so far.
struct Format<'f> {
    rest: &'f [u8],
    is_little: bool,
    alignment: usize,
}

impl<'f> Format<'f> {
    fn new(text: &'f [u8]) -> Self {
        // As a string of C it ends at the first NUL.
        let rest = text.split(|&byte| byte == 0).next().unwrap_or_default();
        Self { rest, is_little: cfg!(target_endian = "little"), alignment: 1 }
    }

    /// The next option and the bytes it takes; 0 for those that take none, or none that are known yet.
    fn next(&mut self) -> Option<Result<(u8, usize), Raise>> {
        let (&option, rest) = self.rest.split_first()?;
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => match self.number(1) {
                Ok(size) => size,
                Err(raise) => return Some(Err(raise)),
            },
            b'i' | b'I' => match self.number(4) {
                Ok(size) if size <= WIDTH_MAX => size,
                Ok(size) => {
                    let text = format!("integral size {size} is larger than limit of {WIDTH_MAX}");
                    return Some(Err(Raise::text(text)));
                }
                Err(raise) => return Some(Err(raise)),
            },
            _ => 0,
        };
        Some(Ok((option, size)))
    }

    /// The number that comes next, or `default` if none does.
    fn number(&mut self, default: usize) -> Result<usize, Raise> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if digits.is_empty() {
            return Ok(default);
        }
        let number = digits
            .iter()
            .try_fold(0_i32, |number, &digit| number.checked_mul(10)?.checked_add(i32::from(digit - b'0')));
        number.map(|number| number as usize).ok_or_else(|| Raise::text("integral size overflow"))
    }

    /// How many bytes are left free before an option at `at`. Sizes that are no powers of 2 get what C's masks make of them.
    fn padding(&self, at: usize, option: u8, size: usize) -> usize {
        let size = size.min(self.alignment);
        if size <= 1 || option == b'c' {
            return 0;
        }
        (size - (at & (size - 1))) & (size - 1)
    }

    /// Does what an option says that is no value.
    fn control(&mut self, option: u8) -> Result<(), Raise> {
        match option {
            b' ' => {}
            b'<' => self.is_little = true,
            b'>' => self.is_little = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    return Err(Raise::text(format!("alignment {alignment} is not a power of 2")));
                }
                self.alignment = alignment;
            }
            _ => return Err(Raise::argument(1, [b"invalid format option '", &[option][..], b"'"].concat())),
        }
        Ok(())
    }
}

/// `struct.pack(format, ...)`.
fn pack(call: &mut Call<'_>) -> Result<usize, Raise> {
    let stack = call.stack;
    let mut format = Format::new(stack.text_argument(1)?);
    // What is missing counts as nil.
    stack.push_nil();
    let mut argument = 2;
    let out = &mut call.scratch.out;
    while let Some(option) = format.next() {
        let (option, size) = option?;
        out.zeros(format.padding(out.as_bytes().len(), option, size))?;
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let bytes = wide(to_u64(stack.number_argument(argument)?));
                argument += 1;
                if format.is_little {
                    out.bytes(&bytes[..size])?;
                } else {
                    out.bytes(&reversed(bytes)[WIDTH_MAX - size..])?;
                }
            }
            b'x' => out.byte(0)?,
            b'f' => {
                let number = stack.number_argument(argument)? as f32;
                argument += 1;
                out.bytes(&if format.is_little { number.to_le_bytes() } else { number.to_be_bytes() })?;
            }
            b'd' => {
                let number = stack.number_argument(argument)?;
                argument += 1;
                out.bytes(&if format.is_little { number.to_le_bytes() } else { number.to_be_bytes() })?;
            }
            b'c' | b's' => {
                let text = stack.text_argument(argument)?;
                argument += 1;
                let size = if size == 0 { text.len() } else { size };
                // The argument that is named is the one behind.
                let text = text.get(..size).ok_or_else(|| Raise::argument(argument, "string too short"))?;
                out.bytes(text)?;
                if option == b's' {
                    out.byte(0)?;
                }
            }
            other => format.control(other)?,
        }
    }
    stack.push_bytes(out.as_bytes());
    Ok(1)
}

/// A number's bytes, the lowest first, zeros behind them: negative numbers wider than 8 bytes are not extended.
fn wide(number: u64) -> [u8; WIDTH_MAX] {
    let mut bytes = [0; WIDTH_MAX];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn reversed(mut bytes: [u8; WIDTH_MAX]) -> [u8; WIDTH_MAX] {
    bytes.reverse();
    bytes
}

/// `struct.unpack(format, data, position)`: the values, and the position behind the last.
fn unpack(call: &mut Call<'_>) -> Result<usize, Raise> {
    let stack = call.stack;
    let mut format = Format::new(stack.text_argument(1)?);
    let data = stack.text_argument(2)?;
    let position = if stack.is_absent_or_nil(3) { 1 } else { to_i64(stack.number_argument(3)?) };
    if position == 0 {
        return Err(Raise::argument(3, "offset must be 1 or greater"));
    }
    // Negative ones are taken for large ones, which no data reaches.
    let mut at = (position as usize).wrapping_sub(1);
    stack.set_top(2);
    let too_short = || Raise::argument(2, "data string too short");
    let mut results = 0;
    while let Some(option) = format.next() {
        let (option, mut size) = option?;
        at = at.wrapping_add(format.padding(at, option, size));
        let bytes = data.get(at..).and_then(|rest| rest.get(..size)).ok_or_else(too_short)?;
        if !stack.has_room(2) {
            return Err(Raise::overflow("too many results"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                stack.push_number(integer(bytes, format.is_little, option.is_ascii_lowercase()));
            }
            b'f' => stack.push_number(float(bytes, format.is_little)),
            b'd' => stack.push_number(double(bytes, format.is_little)),
            b'c' => {
                if size == 0 {
                    if results == 0 || !stack.is_number(-1) {
                        return Err(Raise::text("format 'c0' needs a previous size"));
                    }
                    size = to_u64(stack.number(-1)) as usize;
                    stack.set_top(-2);
                    results -= 1;
                }
                stack.push_bytes(data[at..].get(..size).ok_or_else(too_short)?);
            }
            b's' => {
                let Some(length) = data[at..].iter().position(|&byte| byte == 0) else {
                    return Err(Raise::text("unfinished string in data"));
                };
                size = length + 1;
                stack.push_bytes(&data[at..at + length]);
            }
            b'x' => {}
            other => format.control(other)?,
        }
        if option.is_ascii_alphabetic() && option != b'x' {
            results += 1;
        }
        at += size;
    }
    stack.push_number(at.wrapping_add(1) as isize as f64);
    Ok(results + 1)
}

fn integer(bytes: &[u8], is_little: bool, is_signed: bool) -> f64 {
    let join = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
    let value = if is_little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) };
    if !is_signed {
        return value as f64;
    }
    // The sign's bit and all above it; beyond 64 bits the shift begins anew, as the processor's does.
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32).wrapping_mul(8).wrapping_sub(1));
    (if value & sign != 0 { value | sign } else { value }) as i64 as f64
}

fn float(bytes: &[u8], is_little: bool) -> f64 {
    let bytes = bytes.try_into().expect("a float takes 4 bytes");
    (if is_little { f32::from_le_bytes(bytes) } else { f32::from_be_bytes(bytes) }).into()
}

fn double(bytes: &[u8], is_little: bool) -> f64 {
    let bytes = bytes.try_into().expect("a double takes 8 bytes");
    if is_little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) }
}

/// `struct.size(format)`.
fn size(call: &mut Call<'_>) -> Result<usize, Raise> {
    let mut format = Format::new(call.stack.text_argument(1)?);
    let mut total = 0_usize;
    while let Some(option) = format.next() {
        let (option, size) = option?;
        total += format.padding(total, option, size);
        match option {
            b's' => return Err(Raise::argument(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(Raise::argument(1, "option 'c0' has no fixed size")),
            // Unknown letters and digits are passed over.
            other if !other.is_ascii_alphanumeric() => format.control(other)?,
            _ => {}
        }
        total += size;
    }
    call.stack.push_number(total as f64);
    Ok(1)
}
