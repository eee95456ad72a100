//! Replies of commands as a line for people.

use crate::script::convert::Cursor;
use ringkey_core::number::parse_integer;
use ringkey_core::resp::ReplyBuffer;
use ringkey_core::words::quote;

/// Writes a reply; `most`: about so many bytes are enough.
pub fn describe(reply: &ReplyBuffer, most: usize) -> Vec<u8> {
    let mut out = b"<reply> ".to_vec();
    write(&mut Cursor::of(reply), most, &mut out);
    out
}

fn write(from: &mut Cursor<'_>, most: usize, out: &mut Vec<u8>) {
    if out.len() > most {
        return;
    }
    let (kind, line) = from.line();
    let len = parse_integer(line);
    match kind {
        b':' | b'(' => out.extend_from_slice(line),
        b'$' | b'=' => match len {
            Some(len @ 0..) => quote(from.payload(len as usize), out),
            _ => out.extend_from_slice(b"NULL"),
        },
        b'+' | b'-' => quote(&[&[kind], line].concat(), out),
        b'*' | b'>' => match len {
            Some(len @ 0..) => write_all(from, len, 1, [b"[", b"]"], most, out),
            _ => out.extend_from_slice(b"NULL"),
        },
        b'~' => write_all(from, len.unwrap_or(0), 1, [b"~(", b")"], most, out),
        b'%' => write_all(from, len.unwrap_or(0), 2, [b"{", b"}"], most, out),
        b'_' => out.extend_from_slice(b"(null)"),
        b'#' => out.extend_from_slice(if line == b"t" { b"#true" } else { b"#false" }),
        b',' => {
            out.extend_from_slice(b"(double) ");
            out.extend_from_slice(line);
        }
        _ => {}
    }
}

/// Writes so many elements, each of one reply, or of two.
fn write_all(
    from: &mut Cursor<'_>,
    len: i64,
    replies: usize,
    [open, close]: [&'static [u8]; 2],
    most: usize,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(open);
    for index in 0..len {
        if out.len() > most {
            break;
        }
        if index > 0 {
            out.push(b',');
        }
        write(from, most, out);
        if replies == 2 {
            out.extend_from_slice(b" => ");
            write(from, most, out);
        }
    }
    out.extend_from_slice(close);
}
