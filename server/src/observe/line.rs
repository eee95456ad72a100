//! How a line of the log looks: the formats of `log-format` and `log-timestamp-format`, character by character as tools
//! that read Valkey's log expect them.

use crate::sys::LocalTime;
use log::Level;
use std::fmt::Write as _;

/// A longer message is cut, in bytes: the log is for people.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `log-format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// `pid:role time mark message`.
    Legacy,
    /// `key=value` pairs.
    Logfmt,
    /// An object a line.
    Json,
}

/// `log-timestamp-format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stamp {
    /// `21 Nov 2026 21:28:50.123`, local time.
    Legacy,
    /// `2026-11-21T21:28:50.123+00:00`, local time with its offset.
    Iso8601,
    /// Milliseconds since the Unix epoch.
    Milliseconds,
}

impl Format {
    /// The format of this name.
    pub fn named(name: &str) -> Self {
        match name {
            "logfmt" => Self::Logfmt,
            "json" => Self::Json,
            _ => Self::Legacy,
        }
    }
}

impl Stamp {
    /// The form of this name.
    pub fn named(name: &str) -> Self {
        match name {
            "iso8601" => Self::Iso8601,
            "milliseconds" => Self::Milliseconds,
            _ => Self::Legacy,
        }
    }

    /// A moment, given as milliseconds since the epoch and as the calendar shows it, in this form.
    pub fn text(self, millis: i64, time: &LocalTime) -> String {
        let LocalTime { year, day, hour, minute, second, .. } = time;
        let milli = millis.rem_euclid(1000);
        let month = usize::from(time.month).min(11);
        match self {
            Self::Legacy => {
                format!("{day:02} {} {year} {hour:02}:{minute:02}:{second:02}.{milli:03}", MONTHS[month])
            }
            Self::Iso8601 => {
                let sign = if time.offset_s < 0 { '-' } else { '+' };
                let minutes = time.offset_s.unsigned_abs() / 60;
                let (zone_hour, zone_minute) = (minutes / 60, minutes % 60);
                format!(
                    "{year}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}{sign}{zone_hour:02}:{zone_minute:02}",
                    month + 1
                )
            }
            Self::Milliseconds => millis.to_string(),
        }
    }
}

/// The name of a level in logfmt and JSON: what Valkey calls `verbose` in its configuration is `info` there.
fn name_of(level: Level) -> &'static str {
    match level {
        Level::Error | Level::Warn => "warning",
        Level::Info => "notice",
        Level::Debug => "info",
        Level::Trace => "debug",
    }
}

fn mark_of(level: Level) -> char {
    match level {
        Level::Error | Level::Warn => '#',
        Level::Info => '*',
        Level::Debug => '-',
        Level::Trace => '.',
    }
}

/// A line with its end.
pub fn write(format: Format, stamp: &str, process: u32, level: Level, message: &str) -> String {
    let message = cut(message);
    let name = name_of(level);
    match format {
        Format::Legacy => format!("{process}:M {stamp} {} {message}\n", mark_of(level)),
        Format::Logfmt => {
            let message = message.replace('"', "'").replace(['\n', '\r'], " ");
            format!("pid={process} role=primary timestamp=\"{stamp}\" level={name} message=\"{message}\"\n")
        }
        Format::Json => {
            let mut line = format!(
                "{{\"pid\":{process},\"role\":\"primary\",\"timestamp\":\"{stamp}\",\"level\":\"{name}\",\"message\":\""
            );
            escape(message, &mut line);
            line.push_str("\"}\n");
            line
        }
    }
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            low if u32::from(low) < 0x20 => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(low));
            }
            other => out.push(other),
        }
    }
}

/// A line about a client as CLIENT LIST shows it, without what the client chose itself.
pub fn redact(line: &str) -> String {
    let hidden = line.split(' ').map(|word| match word.split_once('=') {
        Some((field @ ("name" | "user"), _)) => format!("{field}=*redacted*"),
        _ => word.to_owned(),
    });
    hidden.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some time on the 2nd of March 2026, three and a half hours behind Greenwich.
    const TIME: LocalTime =
        LocalTime { year: 2026, month: 2, day: 2, hour: 3, minute: 4, second: 5, offset_s: -12_600 };

    #[test]
    fn timestamps() {
        let millis = 1_772_433_245_007;
        assert_eq!(Stamp::Legacy.text(millis, &TIME), "02 Mar 2026 03:04:05.007");
        assert_eq!(Stamp::Iso8601.text(millis, &TIME), "2026-03-02T03:04:05.007-03:30");
        assert_eq!(Stamp::Milliseconds.text(millis, &TIME), "1772433245007");
        let east = LocalTime { offset_s: 20_700, ..TIME };
        assert!(Stamp::Iso8601.text(millis, &east).ends_with("+05:45"));
    }

    #[test]
    fn formats() {
        let message = "a\"b\\c\nd\u{1}";
        let line = |format, level| write(format, "T", 7, level, message);
        assert_eq!(line(Format::Legacy, Level::Info), "7:M T * a\"b\\c\nd\u{1}\n");
        assert_eq!(
            line(Format::Logfmt, Level::Debug),
            "pid=7 role=primary timestamp=\"T\" level=info message=\"a'b\\c d\u{1}\"\n"
        );
        assert_eq!(
            line(Format::Json, Level::Trace),
            "{\"pid\":7,\"role\":\"primary\",\"timestamp\":\"T\",\"level\":\"debug\",\"message\":\"a\\\"b\\\\c\\nd\\u0001\"}\n"
        );
    }

    #[test]
    fn endless_messages_are_cut_between_characters() {
        let message = "é".repeat(MESSAGE_BYTES_MAX);
        let line = write(Format::Legacy, "T", 7, Level::Warn, &message);
        assert!(line.len() <= MESSAGE_BYTES_MAX + 10 && line.ends_with("é\n"));
    }

    #[test]
    fn what_clients_chose_is_hidden() {
        let line = "id=3 addr=1.2.3.4:5 name=bob age=0 cmd=set user=default lib-name=x core=0";
        let hidden = "id=3 addr=1.2.3.4:5 name=*redacted* age=0 cmd=set user=*redacted* lib-name=x core=0";
        assert_eq!(redact(line), hidden);
    }
}
