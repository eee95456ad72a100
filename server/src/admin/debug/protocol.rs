//! DEBUG PROTOCOL: one reply of each type, for those who write clients.

use crate::session::Session;
use ringkey_core::resp::{CommandError, Reply};

/// Writes the reply of a type.
///
/// # Errors
/// There is no such type.
pub fn protocol(session: &mut Session, kind: &[u8]) -> Result<(), CommandError> {
    write(&mut Reply::new(&mut session.output.pending, session.protocol), kind)
}

/// The same for whoever has a reply to write.
///
/// # Errors
/// There is no such type.
pub fn write(reply: &mut Reply<'_>, kind: &[u8]) -> Result<(), CommandError> {
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double_text("3.141"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.integer(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.buffer().bytes.extend_from_slice(b"|1\r\n");
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"bignum" => {
            let digits = "1234567999999999999999999999999999999";
            if reply.is_resp3() {
                reply.buffer().bytes.extend_from_slice(format!("({digits}\r\n").as_bytes());
            } else {
                reply.bulk(digits.as_bytes());
            }
        }
        _ => {
            return Err(CommandError::text(
                "Wrong protocol type name. Please use one of the following: string|integer|double|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}
