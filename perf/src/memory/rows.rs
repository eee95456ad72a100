//! The kinds of data that are weighed, and what Ringkey promises for each.
//!
//! The promises are bytes of `used_memory` an element at a million elements; `stretch` is what would be better still.

use crate::client::Client;

/// A kind of data.
pub struct Row {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name in the table.
    pub about: &'static str,
    /// Bytes an element at most.
    pub target: f64,
    /// Bytes an element that would be better still.
    pub stretch: f64,
    /// Queues the commands that add the elements `first .. first + count`.
    pub queue: fn(&mut Client, u64, u64),
}

/// All of them. A key of a string is 16 bytes, one of a small hash 11.
pub const ROWS: &[Row] = &[
    Row { name: "string", about: "string, 16-byte key, 64-byte value", target: 106.0, stretch: 98.0, queue: string },
    Row { name: "string-ttl", about: "the same with a TTL", target: 108.0, stretch: 104.0, queue: string_ttl },
    Row { name: "integer", about: "16-byte key, small integer", target: 44.0, stretch: 38.0, queue: integer },
    Row { name: "hash", about: "hash of 10 fields, a field", target: 29.0, stretch: 27.0, queue: hash },
    Row { name: "big-hash", about: "one hash (16 + 16 bytes)", target: 58.0, stretch: 50.0, queue: big_hash },
    Row { name: "zset", about: "one sorted set (17 bytes)", target: 56.0, stretch: 48.0, queue: zset },
    Row { name: "set", about: "one set (17 bytes)", target: 43.0, stretch: 34.0, queue: set },
    Row { name: "list", about: "one list (18 bytes)", target: 20.2, stretch: 19.5, queue: list },
    Row { name: "stream", about: "one stream (2 small fields)", target: 15.8, stretch: 15.0, queue: stream },
];

/// Elements that one command adds where a command can add many.
const ELEMENTS_A_COMMAND: u64 = 100;

/// Fields of a small hash.
const FIELDS: u64 = 10;

/// A day and more, so that nothing expires while it is weighed.
const TTL_SECONDS: u64 = 100_000;

const VALUE: [u8; 64] = [b'v'; 64];

fn string(client: &mut Client, first: u64, count: u64) {
    for index in first..first + count {
        client.queue(&[b"SET", key(index).as_bytes(), &VALUE]);
    }
}

fn string_ttl(client: &mut Client, first: u64, count: u64) {
    for index in first..first + count {
        let seconds = (TTL_SECONDS + index % 1000).to_string();
        client.queue(&[b"SET", key(index).as_bytes(), &VALUE, b"EX", seconds.as_bytes()]);
    }
}

fn integer(client: &mut Client, first: u64, count: u64) {
    for index in first..first + count {
        client.queue(&["SET", &key(index), &index.to_string()]);
    }
}

fn hash(client: &mut Client, first: u64, count: u64) {
    for index in (first..first + count).step_by(FIELDS as usize) {
        let mut words = vec!["HSET".to_owned(), format!("hash:{:06}", index / FIELDS)];
        for field in index..(index + FIELDS).min(first + count) {
            words.extend([format!("field{}", field % FIELDS), format!("value:{field:07}")]);
        }
        client.queue(&words);
    }
}

fn big_hash(client: &mut Client, first: u64, count: u64) {
    many(client, &["HSET", "big"], first, count, |index| {
        vec![format!("field:{index:010}"), format!("value:{index:010}")]
    });
}

fn zset(client: &mut Client, first: u64, count: u64) {
    many(client, &["ZADD", "zset"], first, count, |index| vec![index.to_string(), format!("member:{index:010}")]);
}

fn set(client: &mut Client, first: u64, count: u64) {
    many(client, &["SADD", "set"], first, count, |index| vec![format!("member:{index:010}")]);
}

fn list(client: &mut Client, first: u64, count: u64) {
    many(client, &["RPUSH", "list"], first, count, |index| vec![format!("element:{index:010}")]);
}

fn stream(client: &mut Client, first: u64, count: u64) {
    for index in first..first + count {
        let value = (index % 1000).to_string();
        client.queue(&["XADD", "stream", "*", "a", &value, "b", &value]);
    }
}

/// Queues commands that begin with `head` and add up to [`ELEMENTS_A_COMMAND`] elements each.
fn many(client: &mut Client, head: &[&str], first: u64, count: u64, element: fn(u64) -> Vec<String>) {
    for start in (first..first + count).step_by(ELEMENTS_A_COMMAND as usize) {
        let mut words: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
        words.extend((start..(start + ELEMENTS_A_COMMAND).min(first + count)).flat_map(element));
        client.queue(&words);
    }
}

/// A key of 16 bytes.
fn key(index: u64) -> String {
    format!("key:{index:012}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    fn queued(row: &Row, count: u64) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::connect(listener.local_addr().unwrap()).unwrap();
        (row.queue)(&mut client, 0, count);
        String::from_utf8(client.take_queued()).unwrap()
    }

    #[test]
    fn sizes_are_what_the_table_says() {
        let row = |name: &str| ROWS.iter().find(|row| row.name == name).unwrap();
        assert!(queued(row("string"), 1).contains("$16\r\nkey:000000000000\r\n$64\r\n"));
        assert!(queued(row("string-ttl"), 1).contains("$2\r\nEX\r\n"));
        let hash = queued(row("hash"), 20);
        assert_eq!(hash.matches("HSET").count(), 2);
        assert!(hash.starts_with("*22\r\n") && hash.contains("$6\r\nfield9\r\n$13\r\nvalue:0000019\r\n"));
        assert!(queued(row("big-hash"), 200).matches("*202\r\n").count() == 2);
        assert!(queued(row("zset"), 3).contains("$17\r\nmember:"));
        assert!(queued(row("set"), 3).contains("$17\r\nmember:"));
        assert!(queued(row("list"), 3).contains("$18\r\nelement:"));
        assert_eq!(queued(row("stream"), 3).matches("XADD").count(), 3);
        assert!(ROWS.iter().all(|row| row.stretch < row.target));
    }
}
