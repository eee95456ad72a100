//! Values of directives: from words to a value, and back to the text that CONFIG GET shows.
//!
//! Both directions live here so that what is shown can always be read back. The texts of refusals are what clients
//! see, so they are part of the interface.

use super::row::{Check, Kind, Row};

/// A value as kept in `Settings`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `yes` is true.
    Flag(bool),
    /// A number, an amount of memory as the bits of an unsigned number, permissions, or the number of a name.
    Number(i64),
    /// A text or bytes.
    Text(Box<[u8]>),
    /// Several words.
    Words(Box<[Box<[u8]>]>),
    /// Several numbers.
    Numbers(Box<[i64]>),
    /// The limits of normal clients, replicas and subscribers.
    Limits([OutputLimit; 3]),
}

/// When a client that does not read its replies is closed; zero means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Closed at once above this many bytes.
    pub hard: u64,
    /// Closed when above this many bytes for `soft_seconds`.
    pub soft: u64,
    /// How long `soft` may be exceeded.
    pub soft_seconds: u32,
}

/// The classes of clients, in the order of `Value::Limits`.
pub(super) const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

const ADDRESSES_MAX: usize = 16;
const HOST_NAME_BYTES_MAX: usize = 255;
/// The reason for a refusal is cut at this length.
const REASON_BYTES_MAX: usize = 255;
const OOM_SCORES: std::ops::RangeInclusive<i64> = -2_000..=2_000;

const PORT_MAX: i64 = u16::MAX as i64;

const WRONG_ARGUMENTS: &str = "wrong number of arguments";

/// Reads the words given for a directive. `old` is the value so far: some directives change only a part of it.
pub(super) fn parse(row: &Row, words: &[&[u8]], old: Option<&Value>) -> Result<Value, String> {
    match row.kind {
        Kind::SavePoints => parse_save_points(words),
        Kind::Addresses => parse_addresses(words),
        Kind::OutputLimits => parse_output_limits(words, old),
        Kind::OomScores => parse_oom_scores(words),
        Kind::Primary => parse_primary(words),
        Kind::Percentiles => parse_percentiles(words),
        Kind::Choices(names) => parse_choices(names, words),
        Kind::YesNo
        | Kind::PortOrNo
        | Kind::Integer { .. }
        | Kind::Memory { .. }
        | Kind::MemoryOrPercent
        | Kind::Octal { .. }
        | Kind::Choice(_)
        | Kind::Text(_)
        | Kind::Binary => match words {
            [word] => parse_word(row, word),
            _ => Err(WRONG_ARGUMENTS.into()),
        },
    }
}

fn parse_word(row: &Row, word: &[u8]) -> Result<Value, String> {
    let text = until_nul(word);
    match row.kind {
        Kind::YesNo if text.eq_ignore_ascii_case(b"yes") => Ok(Value::Flag(true)),
        Kind::YesNo if text.eq_ignore_ascii_case(b"no") => Ok(Value::Flag(false)),
        Kind::YesNo => Err("argument must be 'yes' or 'no'".into()),
        Kind::PortOrNo if text.eq_ignore_ascii_case(b"no") => Ok(Value::Number(0)),
        Kind::PortOrNo => match parse_integer(word) {
            Some(port @ 1..=PORT_MAX) => Ok(Value::Number(port)),
            _ => Err("argument must be 'no' or a port from 1 to 65535".into()),
        },
        Kind::Integer { min, max } => {
            let number = parse_integer(word).ok_or("argument couldn't be parsed into an integer")?;
            Ok(Value::Number(clamp(row, within(number, min, max)?)))
        }
        Kind::Memory { min, plain_negative } => {
            let plain = || if plain_negative { parse_integer(word) } else { None };
            let bytes = parse_memory(text).map(|bytes| bytes as i64).or_else(plain);
            let bytes = bytes.ok_or("argument must be a memory value")?;
            Ok(Value::Number(clamp(row, within(bytes, min, i64::MAX)?)))
        }
        Kind::MemoryOrPercent => parse_memory_or_percent(word),
        Kind::Octal { max } => {
            let number = parse_octal(text).ok_or("argument couldn't be parsed as an octal number")?;
            if !(0..=max).contains(&number) {
                return Err(format!("argument must be between 0 and {max:o} inclusive"));
            }
            Ok(Value::Number(number))
        }
        Kind::Choice(names) => match named(names, text) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(must_be_one_of(names)),
        },
        // These two are checked to their end, so a NUL byte is refused instead of ending the text.
        Kind::Text(check @ (Check::NodeName | Check::AnnouncedAddress)) => {
            Ok(Value::Text(parse_text(row, check, word)?.into()))
        }
        Kind::Text(check) => Ok(Value::Text(parse_text(row, check, text)?.into())),
        _ => Ok(Value::Text(word.into())),
    }
}

/// The text that CONFIG GET shows.
pub(super) fn render(kind: Kind, value: &Value) -> Vec<u8> {
    match (kind, value) {
        (_, Value::Flag(flag)) => if *flag { "yes" } else { "no" }.into(),
        (Kind::PortOrNo, Value::Number(0)) => "no".into(),
        (Kind::Choice(names), Value::Number(number)) => name_of(names, *number).into(),
        (Kind::Choices(names), Value::Number(bits)) => render_choices(names, *bits),
        (Kind::Octal { .. }, Value::Number(number)) => format!("{number:o}").into(),
        (Kind::MemoryOrPercent, Value::Number(number @ ..=-1)) => format!("{}%", number.unsigned_abs()).into(),
        (Kind::Memory { plain_negative: false, .. }, Value::Number(bytes)) => (*bytes as u64).to_string().into(),
        (_, Value::Number(number)) => number.to_string().into(),
        (Kind::Text(Check::KeyEvents), Value::Text(text)) => shown_key_events(text),
        (_, Value::Text(text)) => text.to_vec(),
        (_, Value::Words(words)) => words.join(&b' '),
        (_, Value::Numbers(numbers)) => numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ").into_bytes(),
        (_, Value::Limits(limits)) => {
            let group = |(class, limit): (&&str, &OutputLimit)| {
                format!("{class} {} {} {}", limit.hard, limit.soft, limit.soft_seconds)
            };
            CLIENT_CLASSES.iter().zip(limits).map(group).collect::<Vec<_>>().join(" ").into_bytes()
        }
    }
}

fn until_nul(word: &[u8]) -> &[u8] {
    let end = word.iter().position(|byte| *byte == 0).unwrap_or(word.len());
    &word[..end]
}

fn within(number: i64, min: i64, max: i64) -> Result<i64, String> {
    if (min..=max).contains(&number) {
        return Ok(number);
    }
    Err(format!("argument must be between {min} and {max} inclusive"))
}

fn clamp(row: &Row, number: i64) -> i64 {
    row.clamped.map_or(number, |(min, max)| number.clamp(min, max))
}

/// A decimal number in its shortest form: no sign `+`, no leading zero, no `-0`, no blanks.
pub fn parse_integer(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// An amount of memory: digits and `b`, `k`, `kb`, `m`, `mb`, `g` or `gb`. No digits mean zero, and an amount beyond
/// 64 bits wraps around.
pub fn parse_memory(word: &[u8]) -> Option<u64> {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = word.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1_000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number = if number.is_empty() { 0 } else { std::str::from_utf8(number).ok()?.parse::<u64>().ok()? };
    Some(number.wrapping_mul(factor))
}

fn parse_memory_or_percent(word: &[u8]) -> Result<Value, String> {
    if let Some(bytes) = parse_memory(until_nul(word)) {
        // Amounts beyond 63 bits read as percentages, as everywhere in this protocol.
        return percent_within(bytes as i64);
    }
    match word.strip_suffix(b"%").and_then(parse_integer) {
        Some(percent @ 0..) => percent_within(-percent),
        _ => Err("argument must be a memory or percent value".into()),
    }
}

fn percent_within(number: i64) -> Result<Value, String> {
    if number < -100 {
        return Err("percentage argument must be less or equal to 100".into());
    }
    Ok(Value::Number(number))
}

fn parse_octal(text: &[u8]) -> Option<i64> {
    let (negative, digits) = signed_digits(text);
    if digits.is_empty() {
        return text.is_empty().then_some(0);
    }
    let number = digits.iter().try_fold(0_i64, |number, byte| match byte {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })?;
    Some(if negative { -number } else { number })
}

/// A number as the C library reads it: blanks and a sign may stand before it, none at all is zero, and one too large
/// becomes the largest.
fn parse_loose(text: &[u8]) -> Option<i64> {
    let text = until_nul(text);
    let (negative, digits) = signed_digits(text);
    if digits.is_empty() {
        return text.is_empty().then_some(0);
    }
    let end = if negative { i64::MIN } else { i64::MAX };
    let mut number = 0_i64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(byte - b'0');
        let next = number.checked_mul(10).and_then(|n| n.checked_add(if negative { -digit } else { digit }));
        number = next.unwrap_or(end);
        if number == end {
            return digits.iter().all(u8::is_ascii_digit).then_some(end);
        }
    }
    Some(number)
}

fn signed_digits(text: &[u8]) -> (bool, &[u8]) {
    let blanks = text.iter().take_while(|byte| crate::words::is_blank(**byte)).count();
    match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    }
}

fn named(names: &[(&str, i64)], word: &[u8]) -> Option<i64> {
    names.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word)).map(|(_, number)| *number)
}

pub(super) fn name_of(names: &'static [(&'static str, i64)], number: i64) -> &'static str {
    names.iter().find(|(_, other)| *other == number).map_or("unknown", |(name, _)| *name)
}

fn must_be_one_of(names: &[(&str, i64)]) -> String {
    let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    let mut reason = format!("argument(s) must be one of the following: {}", names.join(", "));
    reason.truncate(REASON_BYTES_MAX);
    reason
}

fn parse_choices(names: &[(&str, i64)], words: &[&[u8]]) -> Result<Value, String> {
    let bits = words.iter().try_fold(0, |bits, word| Some(bits | named(names, until_nul(word))?));
    let Some(bits) = bits.filter(|_| !words.is_empty()) else { return Err(must_be_one_of(names)) };
    let has = |name: &str| named(names, name.as_bytes()).is_some_and(|bit| bits & bit != 0);
    if has("save") && has("nosave") {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    Ok(Value::Number(bits))
}

fn render_choices(names: &'static [(&'static str, i64)], bits: i64) -> Vec<u8> {
    if bits == 0 {
        return name_of(names, 0).into();
    }
    let set: Vec<&str> = names.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name).collect();
    set.join(" ").into_bytes()
}

fn parse_text(row: &Row, check: Check, text: &[u8]) -> Result<Vec<u8>, String> {
    let name = row.name;
    let has_path = || text.iter().any(|byte| matches!(byte, b'/' | b'\\'));
    let is_address = |parses: bool| text.is_empty() || parses;
    let utf8 = || std::str::from_utf8(text).unwrap_or_default();
    let refuse = |reason: &str| Err(reason.to_owned());
    match check {
        Check::NotEmpty | Check::FileName | Check::DirectoryName if text.is_empty() => {
            Err(format!("{name} can't be empty"))
        }
        Check::FileName if has_path() => Err(format!("{name} can't be a path, just a filename")),
        Check::DirectoryName if has_path() => Err(format!("{name} can't be a path, just a dirname")),
        Check::Ipv4 if !is_address(utf8().parse::<core::net::Ipv4Addr>().is_ok()) => refuse("Invalid IPv4 address"),
        Check::Ipv6 if !is_address(utf8().parse::<core::net::Ipv6Addr>().is_ok()) => refuse("Invalid IPv6 address"),
        Check::HostName if text.len() > HOST_NAME_BYTES_MAX => refuse("Hostnames must be less than 256 characters"),
        Check::HostName if !text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) => {
            refuse("Hostnames may only contain alphanumeric characters, hyphens or dots")
        }
        Check::NodeName if !text.iter().all(|byte| is_plain(*byte)) => {
            refuse("Announced human node name contained invalid character")
        }
        Check::AnnouncedAddress if !text.iter().all(|byte| is_plain(*byte)) => {
            Err(format!("{name} contains invalid character"))
        }
        Check::TitleTemplate if !is_title_template(text) => {
            refuse("template format is invalid or contains unknown variables")
        }
        Check::KeyEvents => canonical_key_events(text),
        _ => Ok(text.to_vec()),
    }
}

/// Bytes that separate nothing in the cluster's own file.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'/' | b':' | b'_' | b'`' | 0x80..)
}

/// A template is good when every variable is known and it shows something even if those are empty that may be.
fn is_title_template(template: &[u8]) -> bool {
    let mut rest = template;
    let mut shows_something = false;
    loop {
        match rest {
            [] => return shows_something,
            [b'{', b'{', behind @ ..] => {
                shows_something = true;
                rest = behind;
            }
            [b'{', behind @ ..] => {
                let Some(end) = behind.iter().position(|byte| *byte == b'}') else { return false };
                match &behind[..end] {
                    b"listen-addr" | b"config-file" | b"port" | b"tls-port" => shows_something = true,
                    b"title" | b"server-mode" | b"unixsocket" => {}
                    _ => return false,
                }
                rest = &behind[end + 1..];
            }
            [byte, behind @ ..] => {
                shows_something |= *byte != b' ';
                rest = behind;
            }
        }
    }
}

/// Classes of keyspace events in one order; `A` stands for all of the first group.
fn canonical_key_events(text: &[u8]) -> Result<Vec<u8>, String> {
    const ALL: &[u8] = b"g$lshzxetd";
    const OTHERS: &[u8] = b"nKEm";
    if !text.iter().all(|class| *class == b'A' || ALL.contains(class) || OTHERS.contains(class)) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into());
    }
    let all = text.contains(&b'A') || ALL.iter().all(|class| text.contains(class));
    let mut events: Vec<u8> = if all { vec![b'A'] } else { kept(ALL, text) };
    events.extend(kept(OTHERS, text));
    Ok(events)
}

/// The class of new keys is shown among the first group, so only where that is spelled out.
fn shown_key_events(text: &[u8]) -> Vec<u8> {
    let is_short = text.first() == Some(&b'A');
    text.iter().copied().filter(|class| !is_short || *class != b'n').collect()
}

fn kept(order: &[u8], text: &[u8]) -> Vec<u8> {
    order.iter().copied().filter(|class| text.contains(class)).collect()
}

fn parse_save_points(words: &[&[u8]]) -> Result<Value, String> {
    let words = if matches!(words, [b""]) { &[] } else { words };
    let invalid = || "Invalid save parameters".to_owned();
    if words.len() % 2 != 0 {
        return Err(invalid());
    }
    let mut numbers = Vec::with_capacity(words.len());
    for pair in words.chunks_exact(2) {
        let seconds = parse_loose(pair[0]).filter(|seconds| *seconds >= 1).ok_or_else(invalid)?;
        let changes = parse_loose(pair[1]).filter(|changes| *changes >= 0).ok_or_else(invalid)?;
        // The count of changes has 32 bits, and what is beyond them is lost.
        numbers.extend([seconds, i64::from(changes as i32)]);
    }
    Ok(Value::Numbers(numbers.into()))
}

fn parse_addresses(words: &[&[u8]]) -> Result<Value, String> {
    if words.len() > ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".into());
    }
    let words: Vec<&[u8]> = words.iter().map(|word| until_nul(word)).collect();
    let words: &[&[u8]] = if words == [b""] { &[] } else { &words };
    Ok(Value::Words(words.iter().map(|word| Box::from(*word)).collect()))
}

fn parse_output_limits(words: &[&[u8]], old: Option<&Value>) -> Result<Value, String> {
    let mut limits = if let Some(Value::Limits(limits)) = old { *limits } else { Default::default() };
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    for group in words.chunks_exact(4) {
        let class = match until_nul(group[0]).to_ascii_lowercase().as_slice() {
            b"normal" => 0,
            b"slave" | b"replica" => 1,
            b"pubsub" => 2,
            _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
        };
        let limit = (|| {
            // The seconds have 32 bits, and what is beyond them is lost.
            let soft_seconds = parse_loose(group[3])? as i32;
            Some(OutputLimit {
                hard: parse_memory(until_nul(group[1]))?,
                soft: parse_memory(until_nul(group[2]))?,
                soft_seconds: u32::try_from(soft_seconds).ok()?,
            })
        })();
        limits[class] = limit.ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
    }
    Ok(Value::Limits(limits))
}

fn parse_oom_scores(words: &[&[u8]]) -> Result<Value, String> {
    if words.len() != 3 {
        return Err(WRONG_ARGUMENTS.into());
    }
    let score = |word: &&[u8]| parse_loose(word).filter(|score| OOM_SCORES.contains(score));
    let scores: Option<Box<[i64]>> = words.iter().map(score).collect();
    let refusal = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
    Ok(Value::Numbers(scores.ok_or(refusal)?))
}

fn parse_primary(words: &[&[u8]]) -> Result<Value, String> {
    let [host, port] = words else { return Err(WRONG_ARGUMENTS.into()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Value::Words(Box::default()));
    }
    let port = parse_loose(port).filter(|port| (0..=65_535).contains(port)).ok_or("Invalid primary port")?;
    Ok(Value::Words([until_nul(host).into(), port.to_string().into_bytes().into()].into()))
}

fn parse_percentiles(words: &[&[u8]]) -> Result<Value, String> {
    let words = if matches!(words, [b""]) { &[] } else { words };
    let mut percentiles: Vec<Box<[u8]>> = Vec::with_capacity(words.len());
    for word in words {
        let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
        let Some(number) = number.filter(|number| !number.is_nan()) else {
            return Err("Invalid latency-tracking-info-percentiles parameters".into());
        };
        if !(0.0..=100.0).contains(&number) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
        }
        let text = format!("{number:.6}");
        percentiles.push(text.trim_end_matches('0').trim_end_matches('.').as_bytes().into());
    }
    Ok(Value::Words(percentiles.into()))
}
