//! Payloads exchanged with a real valkey-server, both ways, for values of every type and encoding: what one has dumped, the other
//! restores, as the same value in the same encoding. Where nothing is compressed and no table decides about the order, the
//! payloads are the same byte for byte.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::rng::Rng;
use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::{Client, Server};

fn start(kind: Kind, cores: usize) -> Server {
    Setup::of(kind).cores(cores).option("enable-debug-command", "yes").start()
}

/// Our server and the reference, if there is one.
fn pair(cores: usize) -> Option<(Server, Server)> {
    if peer("valkey-server").is_none() {
        skip("no valkey-server to exchange payloads with");
        return None;
    }
    Some((start(Kind::Ringkey, cores), start(Kind::Reference, 1)))
}

/// Commands that make values; the key is the second word.
fn makers() -> Vec<Vec<Vec<u8>>> {
    let mut rng = Rng::new(3);
    let mut all: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut add = |words: &[&str]| all.push(words.iter().map(|word| word.as_bytes().to_vec()).collect());
    for (key, value) in [("int8", "-5"), ("int16", "300"), ("int32", "-70000"), ("int64", "-3000000000"), ("empty", "")]
    {
        add(&["SET", key, value]);
    }
    add(&["SET", "text", "hello"]);
    add(&["SET", "run", &"a".repeat(1000)]);
    add(&["SET", "raw", &"0123456789".repeat(5)]);
    add(&["APPEND", "appended", "12"]);
    let noise: String = (0..40_000).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
    add(&["SET", "noise", &noise]);
    add(&["RPUSH", "list", "a", "1", "-70000", "bc"]);
    add(&["RPUSH", "list-plain", "a", &"y".repeat(10_000), "b", &noise]);
    add(&["SADD", "set16", "1", "-2", "300"]);
    add(&["SADD", "set32", "1", "-2", "70000"]);
    add(&["SADD", "set64", "1", "-2", "5000000000"]);
    add(&["SADD", "set-packed", "a", "1", "bcd"]);
    add(&["SADD", "set-long", "a", "1", &"z".repeat(70)]);
    add(&["ZADD", "zset", "1", "a", "2.5", "b", "-inf", "c", "inf", "d", "0.1", "e"]);
    add(&["ZADD", "zset-long", "1", "a", "2.5", &"z".repeat(70), "-inf", "c", "-0", "d"]);
    add(&["HSET", "hash", "a", "1", "b", "c", "1", ""]);
    add(&["HSET", "hash-long", "a", "1", "b", &"z".repeat(70)]);
    add(&["HSETEX", "hash-expiring", "PXAT", "9999999999999", "FIELDS", "2", "a", "1", "b", "c"]);
    add(&["HSET", "hash-expiring", "c", "7"]);
    add(&["PFADD", "hll", "a", "b", "c"]);
    for id in ["1-1", "1-2", "7-0", "9000000000-18446744073709551615"] {
        add(&["XADD", "stream", id, "a", "1", "name", "a value that is not short"]);
    }
    add(&["XADD", "stream", "9000000001-0", "other", "names"]);
    add(&["XDEL", "stream", "1-2"]);
    add(&["XGROUP", "CREATE", "stream", "group", "0"]);
    add(&["XREADGROUP", "GROUP", "group", "bob", "COUNT", "2", "STREAMS", "stream", ">"]);
    add(&["XGROUP", "CREATECONSUMER", "stream", "group", "idle"]);
    add(&["XGROUP", "CREATE", "stream", "late", "$"]);
    add(&["XGROUP", "CREATE", "stream-empty", "group", "5-5", "MKSTREAM"]);
    for number in 0..3000 {
        let (name, value) = (format!("name {number}"), format!("value {}", number * 31));
        add(&["RPUSH", "list-long", &value]);
        add(&["SADD", "set-large", &name]);
        add(&["HSET", "hash-large", &name, &value]);
        add(&["ZADD", "zset-large", &(f64::from(number) / 7.0).to_string(), &name]);
        add(&["XADD", "stream-long", &format!("{number}-1"), "field", &value]);
        add(&["PFADD", "hll-dense", &name]);
    }
    all
}

fn bulk(client: &mut Client, words: &[&[u8]]) -> Vec<u8> {
    client.command(words).bytes().to_vec()
}

fn digest(client: &mut Client, key: &[u8]) -> String {
    client.command(&[&b"DEBUG"[..], b"DIGEST-VALUE", key]).elements()[0].text()
}

fn encoding(client: &mut Client, key: &[u8]) -> String {
    client.command(&[&b"OBJECT"[..], b"ENCODING", key]).text()
}

fn keys(client: &mut Client) -> Vec<Vec<u8>> {
    let reply = client.run("KEYS *");
    let mut keys: Vec<Vec<u8>> = reply.elements().iter().map(|key| key.bytes().to_vec()).collect();
    keys.sort();
    keys
}

/// Dumps a key on the first server and restores it on both; the value must be the same, and become the same encoding.
fn carry(from: &mut Client, to: &mut Client, key: &[u8]) {
    let shown = key.escape_ascii().to_string();
    let payload = bulk(from, &[b"DUMP", key]);
    let expected = digest(from, key);
    let copy = [b"copy of ", key].concat();
    let encodings = [&mut *from, to].map(|client| {
        let reply = client.command(&[&b"RESTORE"[..], &copy, b"0", &payload, b"REPLACE"]);
        assert_eq!(reply.text(), "OK", "{shown}: {}", payload.escape_ascii());
        assert_eq!(digest(client, &copy), expected, "{shown}");
        encoding(client, &copy)
    });
    assert_eq!(encodings[0], encodings[1], "{shown}");
}

#[test]
fn every_encoding_goes_both_ways() {
    for cores in [1, 4] {
        let Some((ours, theirs)) = pair(cores) else { return };
        let (mut our, mut their) = (ours.client(), theirs.client());
        for words in makers() {
            let (one, other) = (our.command(&words), their.command(&words));
            assert_eq!(one.error(), other.error(), "{words:?}");
        }
        let all = keys(&mut our);
        assert_eq!(all, keys(&mut their));
        assert!(all.len() > 30);
        for key in &all {
            assert_eq!(digest(&mut our, key), digest(&mut their, key), "{}", key.escape_ascii());
            assert_eq!(encoding(&mut our, key), encoding(&mut their, key), "{}", key.escape_ascii());
            carry(&mut our, &mut their, key);
            carry(&mut their, &mut our, key);
        }
    }
}

#[test]
fn payloads_are_the_same_bytes() {
    let Some((ours, theirs)) = pair(2) else { return };
    let (mut our, mut their) = (ours.client(), theirs.client());
    for client in [&mut our, &mut their] {
        assert_eq!(client.run("CONFIG SET rdbcompression no").text(), "OK");
    }
    // Where tables decide, or a clock.
    let leaves_order = |key: &[u8]| {
        let tables: [&[u8]; 6] = [b"hash-large", b"hash-long", b"hash-expiring", b"set-large", b"set-long", b"stream"];
        !tables.contains(&key)
    };
    for words in makers() {
        our.command(&words);
        their.command(&words);
    }
    let mut compared = 0;
    for key in keys(&mut our).iter().filter(|key| leaves_order(key)) {
        let (one, other) = (bulk(&mut our, &[b"DUMP", key]), bulk(&mut their, &[b"DUMP", key]));
        assert!(one == other, "{}: {} {}", key.escape_ascii(), one.escape_ascii(), other.escape_ascii());
        compared += 1;
    }
    assert!(compared > 20);
}

#[test]
fn limits_of_the_one_who_restores_decide() {
    let Some((ours, theirs)) = pair(2) else { return };
    let (mut our, mut their) = (ours.client(), theirs.client());
    let narrow = "CONFIG SET hash-max-listpack-entries 2 hash-max-listpack-value 3 set-max-intset-entries 2 \
                  set-max-listpack-entries 2 set-max-listpack-value 3 zset-max-listpack-entries 2 \
                  zset-max-listpack-value 3 list-max-listpack-size 2";
    for words in makers() {
        our.command(&words);
    }
    let payloads: Vec<(Vec<u8>, Vec<u8>)> =
        keys(&mut our).into_iter().map(|key| (bulk(&mut our, &[b"DUMP", &key]), key)).collect();
    for client in [&mut our, &mut their] {
        assert_eq!(client.run(narrow).text(), "OK");
    }
    for (payload, key) in &payloads {
        let seen = [&mut our, &mut their].map(|client| {
            let reply = client.command(&[&b"RESTORE"[..], key, b"0", payload, b"REPLACE"]);
            assert_eq!(reply.text(), "OK");
            (encoding(client, key), digest(client, key))
        });
        assert_eq!(seen[0], seen[1], "{}", key.escape_ascii());
    }
}

/// Payloads with an error here and there and a right checksum: neither server may fall, and what ours accepts it dumps again.
#[test]
fn damage_is_survived() {
    let mut rng = Rng::new(11);
    let server = start(Kind::Ringkey, 2);
    let mut client = server.client();
    for words in makers() {
        client.command(&words);
    }
    let mut accepted = 0;
    for key in keys(&mut client) {
        let payload = bulk(&mut client, &[b"DUMP", &key]);
        let whole = &payload[..payload.len() - 8];
        for _ in 0..200 {
            let mut damaged = whole.to_vec();
            for _ in 0..=rng.below(3) {
                let at = rng.below((damaged.len() - 2).min(400));
                damaged[at] ^= 1 << rng.below(8);
            }
            let checksum = crc64(&damaged);
            damaged.extend_from_slice(&checksum.to_le_bytes());
            let reply = client.command(&[&b"RESTORE"[..], b"damaged", b"0", &damaged, b"REPLACE"]);
            match reply.error() {
                Some(error) => assert_eq!(error, "ERR Bad data format"),
                None => {
                    accepted += 1;
                    assert!(!bulk(&mut client, &[b"DUMP", b"damaged"]).is_empty());
                    digest(&mut client, b"damaged");
                }
            }
        }
    }
    assert!(accepted > 0, "what changes a text is no damage");
}

/// The checksum by its definition.
fn crc64(bytes: &[u8]) -> u64 {
    let polynomial = 0xad93_d235_94c9_35a9_u64.reverse_bits();
    let table: Vec<u64> = (0..256)
        .map(|byte| (0..8).fold(byte, |crc, _| (crc >> 1) ^ if crc & 1 == 1 { polynomial } else { 0 }))
        .collect();
    bytes.iter().fold(0, |crc, byte| table[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}
