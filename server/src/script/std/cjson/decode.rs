//! JSON to values.

use std::ffi::CStr;

use super::super::scratch::{Level, Output, Scratch};
use super::super::stack::{Call, Raise, Stack, c_number};
use super::Settings;

/// A word of JSON.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Token<'t> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(&'t [u8]),
    /// A string with escapes, which lies in the reader's output without them.
    Unescaped,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// What is none of them, and why.
    Wrong(&'static str),
}

impl Token<'_> {
    /// What error texts call it.
    fn name(self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::Text(_) | Self::Unescaped => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Wrong(why) => why,
        }
    }
}

/// `cjson.decode(text)`.
pub(super) fn decode(call: &mut Call<'_>) -> Result<usize, Raise> {
    let stack = call.stack;
    if stack.top() != 1 {
        return Err(Raise::argument(1, "expected 1 argument"));
    }
    let text = stack.text_argument(1)?;
    if let [first, second, ..] = text
        && (*first == 0 || *second == 0)
    {
        return Err(Raise::text("JSON parser does not support UTF-16 or UTF-32"));
    }
    let settings = call.settings.get();
    let Scratch { out, levels } = &mut *call.scratch;
    let reader = &mut Reader { text, at: 0, begun: 0, reads_invalid: settings.decode_invalid, out };
    let mut token = reader.next()?;
    'value: loop {
        match begin(stack, reader, &settings, levels, token)? {
            Begun::Done => {}
            Begun::Inside(first) => {
                token = first;
                continue 'value;
            }
        }
        // A value is complete, and on top.
        loop {
            match levels.last_mut() {
                None => {
                    token = reader.next()?;
                    return if token == Token::End { Ok(1) } else { Err(reader.expected("the end", token)) };
                }
                Some(Level::Array { at, .. }) => {
                    *at += 1;
                    stack.set_element(*at as i32);
                    token = reader.next()?;
                    match token {
                        Token::ArrayEnd => {}
                        Token::Comma => {
                            token = reader.next()?;
                            continue 'value;
                        }
                        _ => return Err(reader.expected("comma or array end", token)),
                    }
                }
                Some(Level::Map { .. }) => {
                    stack.set_field();
                    token = reader.next()?;
                    match token {
                        Token::ObjectEnd => {}
                        Token::Comma => {
                            let name = reader.next()?;
                            token = key(stack, reader, name)?;
                            continue 'value;
                        }
                        _ => return Err(reader.expected("comma or object end", token)),
                    }
                }
            }
            levels.pop();
        }
    }
}

/// Where [`begin`] leaves off.
enum Begun<'t> {
    /// The value is on top.
    Done,
    /// A table is open on top, and this begins the first value in it.
    Inside(Token<'t>),
}

/// Pushes the value that a token is or begins.
fn begin<'t>(
    stack: Stack<'_>,
    reader: &mut Reader<'t, '_>,
    settings: &Settings,
    levels: &mut Vec<Level>,
    token: Token<'t>,
) -> Result<Begun<'t>, Raise> {
    match token {
        Token::Text(bytes) => stack.push_bytes(bytes),
        Token::Unescaped => stack.push_bytes(reader.out.as_bytes()),
        Token::Number(number) => stack.push_number(number),
        Token::Boolean(value) => stack.push_boolean(value),
        Token::Null => stack.push_null(),
        Token::ArrayBegin => {
            descend(stack, reader, settings, levels, 2)?;
            let first = reader.next()?;
            if first != Token::ArrayEnd {
                levels.push(Level::Array { at: 0, count: 0 });
                return Ok(Begun::Inside(first));
            }
        }
        Token::ObjectBegin => {
            descend(stack, reader, settings, levels, 3)?;
            let first = reader.next()?;
            if first != Token::ObjectEnd {
                levels.push(Level::Map { pairs: 0, has_key: true });
                return Ok(Begun::Inside(key(stack, reader, first)?));
            }
        }
        _ => return Err(reader.expected("value", token)),
    }
    Ok(Begun::Done)
}

/// Pushes a table in the open ones, if it may be.
fn descend(
    stack: Stack<'_>,
    reader: &Reader<'_, '_>,
    settings: &Settings,
    levels: &[Level],
    places: usize,
) -> Result<(), Raise> {
    let depth = levels.len() + 1;
    if depth > settings.decode_depth as usize || !stack.has_room(places) {
        let at = reader.at;
        return Err(Raise::text(format!("Found too many nested data structures ({depth}) at character {at}")));
    }
    stack.push_table();
    Ok(())
}

/// Pushes a key and gives the token behind its colon.
fn key<'t>(stack: Stack<'_>, reader: &mut Reader<'t, '_>, token: Token<'t>) -> Result<Token<'t>, Raise> {
    match token {
        Token::Text(bytes) => stack.push_bytes(bytes),
        Token::Unescaped => stack.push_bytes(reader.out.as_bytes()),
        _ => return Err(reader.expected("object key string", token)),
    }
    match reader.next()? {
        Token::Colon => reader.next(),
        other => Err(reader.expected("colon", other)),
    }
}

struct Reader<'t, 'o> {
    text: &'t [u8],
    /// Where the next token may begin.
    at: usize,
    /// Where the last one began, or went wrong.
    begun: usize,
    reads_invalid: bool,
    /// The last string with escapes, without them.
    out: &'o mut Output,
}

impl<'t> Reader<'t, '_> {
    fn expected(&self, what: &str, found: Token<'_>) -> Raise {
        Raise::text(format!("Expected {what} but found {} at character {}", found.name(), self.begun + 1))
    }

    /// The byte at a place; 0 behind the end, which a 0 within the text is, too.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Result<Token<'t>, Raise> {
        let mut at = self.at;
        while matches!(self.byte(at), b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        self.begun = at;
        self.at = at + 1;
        Ok(match self.byte(at) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => return self.string(),
            0 => {
                self.at = at;
                Token::End
            }
            b'0'..=b'9' | b'-' if !self.reads_invalid && self.is_invalid_number() => Token::Wrong("invalid number"),
            b'0'..=b'9' | b'-' => return self.number(),
            _ => {
                let rest = &self.text[at..];
                let (token, length) = if rest.starts_with(b"true") {
                    (Token::Boolean(true), 4)
                } else if rest.starts_with(b"false") {
                    (Token::Boolean(false), 5)
                } else if rest.starts_with(b"null") {
                    (Token::Null, 4)
                } else if self.reads_invalid && self.is_invalid_number() {
                    return self.number();
                } else {
                    (Token::Wrong("invalid token"), 0)
                };
                self.at = at + length;
                token
            }
        })
    }

    /// Does what begins here look like a number that C knows and JSON does not?
    fn is_invalid_number(&self) -> bool {
        let mut rest = &self.text[self.begun..];
        match rest {
            [b'+', ..] => return true,
            [b'-', behind @ ..] => rest = behind,
            _ => {}
        }
        match rest {
            [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
            [a, b, c, ..] => {
                let word = [a, b, c].map(u8::to_ascii_lowercase);
                word == *b"inf" || word == *b"nan"
            }
            _ => false,
        }
    }

    fn number(&mut self) -> Result<Token<'t>, Raise> {
        let rest = &self.text[self.begun..];
        let signed = usize::from(matches!(rest, [b'-' | b'+', ..]));
        let digits = rest[signed..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let behind = rest.get(signed + digits).copied().unwrap_or(0) | 0x20;
        if (1..=15).contains(&digits) && !matches!(behind, b'.' | b'e' | b'x') {
            // Exact in a double. The point is there for the mask above: `.` has that bit.
            let whole =
                rest[signed..signed + digits].iter().fold(0_u64, |sum, &digit| sum * 10 + u64::from(digit - b'0'));
            self.at = self.begun + signed + digits;
            let number = whole as f64;
            return Ok(Token::Number(if rest[0] == b'-' { -number } else { number }));
        }
        let (number, length) = if digits == 0 && behind != b'.' || digits == 1 && behind == b'x' {
            self.foreign_number()?
        } else {
            decimal(rest, signed + digits)
        };
        if length == 0 {
            return Ok(Token::Wrong("invalid number"));
        }
        self.at = self.begun + length;
        Ok(Token::Number(number))
    }

    /// Hexadecimal numbers, infinities, NaNs.
    fn foreign_number(&mut self) -> Result<(f64, usize), Raise> {
        let rest = &self.text[self.begun..];
        let run = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-._()".contains(byte)).count();
        self.out.clear();
        self.out.bytes(&rest[..run])?;
        self.out.byte(0)?;
        let text = CStr::from_bytes_until_nul(self.out.as_bytes()).expect("it ends with a NUL");
        Ok(c_number(text))
    }

    fn string(&mut self) -> Result<Token<'t>, Raise> {
        let start = self.begun + 1;
        let mut at = start + plain_length(&self.text[start..]);
        if self.byte(at) == b'"' {
            self.at = at + 1;
            return Ok(Token::Text(&self.text[start..at]));
        }
        self.out.clear();
        self.out.bytes(&self.text[start..at])?;
        loop {
            match self.byte(at) {
                b'"' => break,
                b'\\' => match self.escape(at)? {
                    Ok(length) => at += length,
                    Err(why) => {
                        self.begun = at;
                        return Ok(Token::Wrong(why));
                    }
                },
                0 => {
                    self.begun = at;
                    return Ok(Token::Wrong("unexpected end of string"));
                }
                _ => {
                    let length = plain_length(&self.text[at..]);
                    self.out.bytes(&self.text[at..at + length])?;
                    at += length;
                }
            }
        }
        self.at = at + 1;
        Ok(Token::Unescaped)
    }

    /// Adds what the escape at a place stands for; gives its length, or what is wrong with it.
    fn escape(&mut self, at: usize) -> Result<Result<usize, &'static str>, Raise> {
        let plain = match self.byte(at + 1) {
            same @ (b'"' | b'\\' | b'/') => same,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => return self.code_point(at),
            _ => return Ok(Err("invalid escape code")),
        };
        self.out.byte(plain)?;
        Ok(Ok(2))
    }

    fn code_point(&mut self, at: usize) -> Result<Result<usize, &'static str>, Raise> {
        let first = self.four_digits(at);
        let (code, length) = match first {
            Some(high @ 0xd800..=0xdbff) => match self.four_digits(at + 6) {
                Some(low @ 0xdc00..=0xdfff) => (Some(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 12),
                _ => (None, 0),
            },
            other => (other, 6),
        };
        let Some(code) = code.and_then(char::from_u32) else { return Ok(Err("invalid unicode escape code")) };
        self.out.bytes(code.encode_utf8(&mut [0; 4]).as_bytes())?;
        Ok(Ok(length))
    }

    /// The value of `\uXXXX` at a place.
    fn four_digits(&self, at: usize) -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = self.text.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
    }
}

/// A decimal number whose sign and first digits are `whole` bytes, and its length; 0 if it is none.
fn decimal(text: &[u8], whole: usize) -> (f64, usize) {
    let digits_from = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = whole;
    if text.get(length) == Some(&b'.') {
        length += 1 + digits_from(length + 1);
    }
    if let Some(b'e' | b'E') = text.get(length) {
        let sign = usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        let digits = digits_from((length + 1 + sign).min(text.len()));
        if digits > 0 {
            length += 1 + sign + digits;
        }
    }
    // Without a digit before the exponent it reads as nothing.
    let number = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.parse().ok());
    number.map_or((0.0, 0), |number| (number, length))
}

/// How many bytes come before a quote, a backslash, a NUL or the end.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The highest bit of each byte that is zero; of others above one, too, but never if none is.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut length = 0;
    while let Some(eight) = bytes[length..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let special = zeros(word) | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if special != 0 {
            return length + special.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = bytes[length..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0));
    rest.map_or(bytes.len(), |more| length + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_runs_end_at_quotes_and_backslashes() {
        for byte in 0..=255_u8 {
            for before in 0..20 {
                let mut bytes = vec![b'x'; before];
                bytes.push(byte);
                bytes.extend_from_slice(b"\x01\x21\x23\x5b\x5d\x80\xffabc");
                let expected = if matches!(byte, b'"' | b'\\' | 0) { before } else { bytes.len() };
                assert_eq!(plain_length(&bytes), expected, "{byte} behind {before}");
            }
        }
    }
}
