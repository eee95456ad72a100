//! Payloads of FUNCTION DUMP and RESTORE: the sources of libraries as in a file, then version and checksum as DUMP writes
//! them.
//!
//! ```text
//! ([245][source as a string])* [version 2, little endian][CRC-64 of everything before it 8, little endian]
//! ```

use crate::dump::{close, open};
use crate::rdb::format::{FUNCTION, FUNCTION_EARLY};
use crate::rdb::read::Reader;
use crate::rdb::write::Strings;
use std::fmt;

/// Why a payload is refused, as clients hear it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Version or checksum are wrong.
    VersionOrChecksum,
    /// Written by a release candidate.
    Early,
    /// It holds something else.
    NotAFunction,
    /// A source is not one.
    Format,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VersionOrChecksum => "DUMP payload version or checksum are wrong",
            Self::Early => "Pre-GA function format not supported",
            Self::NotAFunction => "given type is not a function",
            Self::Format => "Failed loading library payload",
        })
    }
}

impl std::error::Error for Refused {}

/// Writes the payload that holds these sources. `compresses`: long ones are compressed where that helps.
pub fn dump<'a>(sources: impl Iterator<Item = &'a [u8]>, compresses: bool) -> Vec<u8> {
    let (mut out, mut strings) = (Vec::new(), Strings::new(compresses));
    for source in sources {
        out.push(FUNCTION);
        strings.string(&mut out, source);
    }
    close(&mut out, 0);
    out
}

/// The sources in a payload, one after the other; `take` may end it.
///
/// # Errors
/// The payload is wrong, or `take` refused. What stands before the place where it is wrong was taken.
pub fn restore<E: From<Refused>>(
    payload: &[u8],
    rules: Rules,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let sources = open(payload, rules.any_version, rules.skips_checksum).ok_or(Refused::VersionOrChecksum)?;
    let (mut reader, mut unpacked) = (Reader::new(sources), Vec::new());
    while let Ok(kind) = reader.byte() {
        match kind {
            FUNCTION => take(reader.blob(&mut unpacked).map_err(|_| Refused::Format)?)?,
            FUNCTION_EARLY => return Err(Refused::Early.into()),
            _ => return Err(Refused::NotAFunction.into()),
        }
    }
    Ok(())
}

/// What of the foot of a payload does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// `rdb-version-check relaxed`: are versions of the future tried as well?
    pub any_version: bool,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: is any checksum right?
    pub skips_checksum: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// As Valkey 9.1.2 writes it, with a version of its own.
    const FROM_VALKEY: &[u8] =
        b"\xf58#!lua name=x\nredis.register_function(\"b\",function() end)P\x00\xc8\x98\xfa\xce\x35\x94\x39\xb7";

    const SOURCE: &[u8] = b"#!lua name=x\nredis.register_function(\"b\",function() end)";

    fn sources(payload: &[u8]) -> Result<Vec<Vec<u8>>, Refused> {
        let mut found = Vec::new();
        restore(payload, Rules::default(), |source| {
            found.push(source.to_vec());
            Ok(())
        })
        .map(|()| found)
    }

    fn closed(bytes: &[u8]) -> Vec<u8> {
        let mut payload = bytes.to_vec();
        close(&mut payload, 0);
        payload
    }

    #[test]
    fn payloads_are_as_valkey_writes_them() {
        assert_eq!(dump([SOURCE].into_iter(), true), FROM_VALKEY);
        assert_eq!(sources(FROM_VALKEY).unwrap(), [SOURCE]);
        assert_eq!(sources(&dump([].into_iter(), true)).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_payload_that_is_wrong_is_refused() {
        for payload in [&b""[..], b"x", &FROM_VALKEY[1..], &FROM_VALKEY[..FROM_VALKEY.len() - 1]] {
            assert_eq!(sources(payload), Err(Refused::VersionOrChecksum));
        }
        for at in 0..FROM_VALKEY.len() {
            let mut payload = FROM_VALKEY.to_vec();
            payload[at] ^= 1;
            assert_eq!(sources(&payload), Err(Refused::VersionOrChecksum), "{at}");
        }
        assert_eq!(sources(&closed(b"\xf6\x01a")), Err(Refused::Early));
        assert_eq!(sources(&closed(b"\x00\x01a")), Err(Refused::NotAFunction));
        assert_eq!(sources(&closed(b"\xf5\x01a\xfa")), Err(Refused::NotAFunction));
        for source in
            [&b"\xf5"[..], b"\xf5\x02a", b"\xf5\xc3\x05", b"\xf5\x81\xff\xff\xff\xff\xff\xff\xff\xff", b"\xf5\xc4"]
        {
            assert_eq!(sources(&closed(source)), Err(Refused::Format));
        }
    }

    #[test]
    fn rules_let_pass_what_would_be_refused() {
        let count = |payload: &[u8], rules| {
            let mut count = 0;
            restore(payload, rules, |_| {
                count += 1;
                Ok::<_, Refused>(())
            })
            .map(|()| count)
        };
        let mut payload = FROM_VALKEY.to_vec();
        *payload.last_mut().unwrap() ^= 1;
        assert_eq!(count(&payload, Rules { skips_checksum: true, any_version: false }), Ok(1));
        let at = payload.len() - 10;
        payload[at] = 90;
        let rules = Rules { skips_checksum: true, any_version: false };
        assert_eq!(count(&payload, rules), Err(Refused::VersionOrChecksum));
        assert_eq!(count(&payload, Rules { any_version: true, ..rules }), Ok(1));
    }

    #[test]
    fn who_takes_may_refuse() {
        let payload = dump([SOURCE, SOURCE].into_iter(), false);
        let mut count = 0;
        let result = restore(&payload, Rules::default(), |_| {
            count += 1;
            Err(Refused::NotAFunction)
        });
        assert_eq!((result, count), (Err(Refused::NotAFunction), 1));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(all in proptest::collection::vec(proptest::collection::vec(0..4u8, 0..200), 0..5)) {
            for compresses in [false, true] {
                let payload = dump(all.iter().map(|source| &source[..]), compresses);
                prop_assert_eq!(&sources(&payload).unwrap(), &all);
            }
        }

        #[test]
        fn anything_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = sources(&bytes);
            let mut payload = vec![FUNCTION];
            payload.extend_from_slice(&bytes);
            let _ = sources(&closed(&payload));
        }
    }
}
