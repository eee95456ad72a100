//! Are these bytes one well-formed reply?

use ringkey_core::resp::Protocol;

/// Nothing that we answer is nested deeper.
const DEPTH_MAX: u32 = 8;

/// Panics unless `bytes` is exactly one reply of this protocol.
pub fn check(bytes: &[u8], protocol: Protocol) {
    match value_len(bytes, protocol, 0) {
        Some(len) if len == bytes.len() => {}
        Some(len) => panic!("{} bytes follow the reply in {}", bytes.len() - len, bytes.escape_ascii()),
        None => panic!("no reply: {}", bytes.escape_ascii()),
    }
}

/// The length of the value that `bytes` begins with.
fn value_len(bytes: &[u8], protocol: Protocol, depth: u32) -> Option<usize> {
    if depth > DEPTH_MAX {
        return None;
    }
    let head = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..head]);
    let (kind, behind) = (*bytes.first()?, head + 2);
    let text = bytes.get(1..head)?;
    if !matches!(kind, b'+' | b'-') && line.is_err() || text.contains(&b'\r') || text.contains(&b'\n') {
        return None;
    }
    let number = || std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    let is_new = matches!(kind, b'_' | b',' | b'#' | b'!' | b'=' | b'(' | b'%' | b'~' | b'>' | b'|');
    if is_new && protocol == Protocol::Resp2 {
        return None;
    }
    match kind {
        b'+' => Some(behind),
        // An error has a code of its own in front.
        b'-' => text.first().is_some_and(u8::is_ascii_uppercase).then_some(behind),
        b':' => number().map(|_| behind),
        b'$' | b'*' if text == b"-1" => (protocol == Protocol::Resp2).then_some(behind),
        b'$' | b'!' | b'=' => {
            let end = behind + usize::try_from(number()?).ok()?;
            (bytes.get(end..end + 2)? == b"\r\n").then_some(end + 2)
        }
        b'*' | b'~' | b'>' => items_len(bytes, behind, number()?, protocol, depth),
        b'%' => items_len(bytes, behind, number()?.checked_mul(2)?, protocol, depth),
        b'_' => text.is_empty().then_some(behind),
        b'#' => matches!(text, b"t" | b"f").then_some(behind),
        b',' => std::str::from_utf8(text).ok()?.parse::<f64>().ok().map(|_| behind),
        b'(' => text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-').then_some(behind),
        _ => None,
    }
}

fn items_len(bytes: &[u8], mut at: usize, count: i64, protocol: Protocol, depth: u32) -> Option<usize> {
    for _ in 0..u64::try_from(count).ok()? {
        at += value_len(&bytes[at..], protocol, depth + 1)?;
    }
    Some(at)
}
