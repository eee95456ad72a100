//! A reply as a client sees it, and the one readable notation in which transcripts write it.
//!
//! | line | reply |
//! |---|---|
//! | `+OK`, `-ERR text`, `:5` | simple string, error, integer |
//! | `"text"` | bulk string; `\n`, `\r`, `\t`, `\"`, `\\` and `\xHH` as in valkey-cli |
//! | `(nil)`, `(nil array)`, `_` | RESP2 null bulk, RESP2 null array, RESP3 null |
//! | `*2`, `~2`, `>2` | array, set, push; the elements follow, two columns further in |
//! | `%1` | map; key and value follow in turn |
//! | `,3.5`, `#t`, `#f`, `(12` | double, booleans, big number |
//! | `=txt "text"`, `!"text"` | verbatim string, bulk error |
//! | `\|1` | attribute: its map, then the reply that it belongs to |
//! | `(closed)` | the server closed the connection instead of answering |

use std::fmt::Write as _;

/// One reply of the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    /// `+text`
    Simple(Vec<u8>),
    /// `-text`, first word included.
    Error(Vec<u8>),
    /// `:number`
    Integer(i64),
    /// `$length` and the bytes.
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`, RESP3's only null.
    Null,
    /// `*length`
    Array(Vec<Reply>),
    /// `~length`
    Set(Vec<Reply>),
    /// `>length`
    Push(Vec<Reply>),
    /// `%length`
    Map(Vec<(Reply, Reply)>),
    /// `,text`; kept as text, because the text is the behaviour.
    Double(Vec<u8>),
    /// `#t` or `#f`
    Boolean(bool),
    /// `(digits`
    BigNumber(Vec<u8>),
    /// `=length`, three letters of format, the bytes.
    Verbatim(Vec<u8>, Vec<u8>),
    /// `!length`
    BulkError(Vec<u8>),
    /// `|length`, then the reply it describes.
    Attribute(Vec<(Reply, Reply)>, Box<Reply>),
    /// Not a reply: the server closed the connection.
    Closed,
}

impl Reply {
    /// The text of an error, if this is one.
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Error(text) | Self::BulkError(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    /// The number of an integer reply.
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("expected an integer, got {other}"),
        }
    }

    /// The bytes of a string reply of any kind.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim(_, bytes) => bytes,
            other => panic!("expected a string, got {other}"),
        }
    }

    /// A string reply as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The elements of an array, set or push.
    pub fn elements(&self) -> &[Reply] {
        match self {
            Self::Array(elements) | Self::Set(elements) | Self::Push(elements) => elements,
            other => panic!("expected an array, got {other}"),
        }
    }

    /// True for each of the three nulls.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::NullBulk | Self::NullArray | Self::Null)
    }

    /// The reply in the notation of the transcripts, one line an element.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.write_lines(0, &mut lines);
        lines
    }

    fn write_lines(&self, indent: usize, lines: &mut Vec<String>) {
        let text = match self {
            Self::Simple(text) => format!("+{}", escaped(text)),
            Self::Error(text) => format!("-{}", escaped(text)),
            Self::Integer(number) => format!(":{number}"),
            Self::Bulk(bytes) => format!("\"{}\"", escaped(bytes)),
            Self::NullBulk => "(nil)".to_owned(),
            Self::NullArray => "(nil array)".to_owned(),
            Self::Null => "_".to_owned(),
            Self::Array(elements) => format!("*{}", elements.len()),
            Self::Set(elements) => format!("~{}", elements.len()),
            Self::Push(elements) => format!(">{}", elements.len()),
            Self::Map(pairs) => format!("%{}", pairs.len()),
            Self::Double(text) => format!(",{}", escaped(text)),
            Self::Boolean(true) => "#t".to_owned(),
            Self::Boolean(false) => "#f".to_owned(),
            Self::BigNumber(digits) => format!("({}", escaped(digits)),
            Self::Verbatim(format, bytes) => format!("={} \"{}\"", escaped(format), escaped(bytes)),
            Self::BulkError(text) => format!("!\"{}\"", escaped(text)),
            Self::Attribute(pairs, _) => format!("|{}", pairs.len()),
            Self::Closed => "(closed)".to_owned(),
        };
        lines.push(format!("{:indent$}{text}", ""));
        match self {
            Self::Array(elements) | Self::Set(elements) | Self::Push(elements) => {
                elements.iter().for_each(|element| element.write_lines(indent + 2, lines));
            }
            Self::Map(pairs) => write_pairs(pairs, indent + 2, lines),
            Self::Attribute(pairs, reply) => {
                write_pairs(pairs, indent + 2, lines);
                reply.write_lines(indent, lines);
            }
            _ => {}
        }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = self.lines().join(" ");
        if text.len() > 600 {
            let cut = (0..=600).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(cut);
            text.push_str("...");
        }
        f.write_str(&text)
    }
}

fn write_pairs(pairs: &[(Reply, Reply)], indent: usize, lines: &mut Vec<String>) {
    for (key, value) in pairs {
        key.write_lines(indent, lines);
        value.write_lines(indent, lines);
    }
}

/// Bytes as printable text, with the escapes of valkey-cli.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").expect("a String takes any text"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_replies_are_indented() {
        let reply = Reply::Array(vec![
            Reply::Bulk(b"a\r\n\"".to_vec()),
            Reply::Map(vec![(Reply::Simple(b"k".to_vec()), Reply::Array(vec![Reply::Null]))]),
        ]);
        assert_eq!(reply.lines(), ["*2", "  \"a\\r\\n\\\"\"", "  %1", "    +k", "    *1", "      _"]);
    }
}
