//! Runs commands on a shard in tests, as text.

use super::{Context, Rules};
use crate::command::Handler;
use crate::command::row::Run;
use crate::keyspace::{KeyHasher, Shard};
use crate::outcome::{Outcome, Propagate};
use crate::resp::{Protocol, Reply, ReplyBuffer, Request};
use crate::units::{DbIndex, Millis};

/// A shard with a clock.
pub(crate) struct Bench {
    pub shard: Shard,
    pub db: DbIndex,
    pub now: i64,
    pub rules: Rules,
    pub protocol: Protocol,
    /// The outcome of the last command.
    pub last: Outcome,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            shard: Shard::scratch(16, KeyHasher::new([1, 2, 3, 4]), 5),
            db: DbIndex(0),
            now: 1_000_000,
            rules: Rules::default(),
            protocol: Protocol::Resp2,
            last: Outcome::default(),
        }
    }

    pub fn context(&mut self) -> Context<'_> {
        Context::new(&mut self.shard, self.db, Millis(self.now), &self.rules)
    }

    /// Runs a line, its words split as in configuration files, and gives the reply in a short notation.
    pub fn run(&mut self, line: &str) -> String {
        let words = crate::words::split_words(line.as_bytes()).expect("quotes match");
        self.run_words(&words.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    pub fn run_words(&mut self, words: &[&[u8]]) -> String {
        let request = Request::new(words.iter().copied());
        let mut out = ReplyBuffer::default();
        let protocol = self.protocol;
        let handler = handler(words);
        let (outcome, result) = self.context().run(handler, &request.args(), &mut Reply::new(&mut out, protocol));
        self.last = outcome;
        if let Err(error) = result {
            assert!(out.is_empty(), "a refused command has written no reply: {words:?}");
            return format!("{} {error}", error.code());
        }
        readable(&out.to_vec())
    }

    /// What the journal holds for the last command; the number of changes in front.
    pub fn journal(&self) -> String {
        let calls = match &self.last.propagate {
            Propagate::Nothing => String::new(),
            Propagate::AsGiven => "as given".into(),
            Propagate::Calls(calls) => {
                let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
                let call = |words: &[Box<[u8]>]| words.iter().map(|word| text(word)).collect::<Vec<_>>().join(" ");
                calls.iter().map(|one| call(&one.words)).collect::<Vec<_>>().join("; ")
            }
        };
        format!("{} {calls}", self.last.changes).trim_end().to_owned()
    }

    /// Runs lines and compares each reply.
    pub fn check(&mut self, lines: &[(&str, &str)]) {
        for (line, expected) in lines {
            assert_eq!(self.run(line), *expected, "{line}");
        }
    }

    /// Runs lines and compares what each leaves in the journal.
    pub fn check_journal(&mut self, lines: &[(&str, &str)]) {
        self.shard.journaling = true;
        for (line, expected) in lines {
            let reply = self.run(line);
            assert_eq!(self.journal(), *expected, "{line} -> {reply}");
        }
    }
}

/// Bulk strings without their heads, everything on one line; the rest of the protocol as it is.
fn readable(mut bytes: &[u8]) -> String {
    let mut words = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 2..];
        match line.strip_prefix('$').map(|len| len.parse::<usize>()) {
            Some(Ok(len)) => {
                words.push(format!("'{}'", bytes[..len].escape_ascii()));
                bytes = &bytes[len + 2..];
            }
            _ => words.push(line),
        }
    }
    words.join(" ")
}

/// The handler that a call names.
pub(crate) fn handler(words: &[&[u8]]) -> Handler {
    use super::{hash, key, list, string};
    let name = String::from_utf8_lossy(words[0]).to_ascii_lowercase();
    match name.as_str() {
        "append" => string::append,
        "decr" => string::decr,
        "decrby" => string::decrby,
        "delifeq" => string::delifeq,
        "get" => string::get,
        "getdel" => string::getdel,
        "getex" => string::getex,
        "getrange" => string::getrange,
        "getset" => string::getset,
        "incr" => string::incr,
        "incrby" => string::incrby,
        "incrbyfloat" => string::incrbyfloat,
        "lcs" => string::lcs,
        "mget" => string::mget,
        "mset" => string::mset,
        "msetex" => string::msetex,
        "msetnx" => string::msetnx,
        "psetex" => string::psetex,
        "set" => string::set,
        "setex" => string::setex,
        "setnx" => string::setnx,
        "setrange" => string::setrange,
        "strlen" => string::strlen,
        "substr" => string::substr,
        "hdel" => hash::hdel,
        "hexists" => hash::hexists,
        "hexpire" => hash::hexpire,
        "hexpireat" => hash::hexpireat,
        "hexpiretime" => hash::hexpiretime,
        "hget" => hash::hget,
        "hgetall" => hash::hgetall,
        "hgetdel" => hash::hgetdel,
        "hgetex" => hash::hgetex,
        "hincrby" => hash::hincrby,
        "hincrbyfloat" => hash::hincrbyfloat,
        "hkeys" => hash::hkeys,
        "hlen" => hash::hlen,
        "hmget" => hash::hmget,
        "hmset" => hash::hmset,
        "hpersist" => hash::hpersist,
        "hpexpire" => hash::hpexpire,
        "hpexpireat" => hash::hpexpireat,
        "hpexpiretime" => hash::hpexpiretime,
        "hpttl" => hash::hpttl,
        "hrandfield" => hash::hrandfield,
        "hscan" => hash::hscan,
        "hset" => hash::hset,
        "hsetex" => hash::hsetex,
        "hsetnx" => hash::hsetnx,
        "hstrlen" => hash::hstrlen,
        "httl" => hash::httl,
        "hvals" => hash::hvals,
        "copy" => key::copy,
        "dbsize" => key::dbsize,
        "del" => key::del,
        "exists" => key::exists,
        "expire" => key::expire,
        "expireat" => key::expireat,
        "expiretime" => key::expiretime,
        "flushall" => key::flushall,
        "flushdb" => key::flushdb,
        "keys" => key::keys,
        "move" => key::move_key,
        "object" => match words[1] {
            b"encoding" => key::object_encoding,
            b"freq" => key::object_freq,
            b"idletime" => key::object_idletime,
            _ => key::object_refcount,
        },
        "persist" => key::persist,
        "pexpire" => key::pexpire,
        "pexpireat" => key::pexpireat,
        "pexpiretime" => key::pexpiretime,
        "pttl" => key::pttl,
        "rename" => key::rename,
        "renamenx" => key::renamenx,
        "touch" => key::touch,
        "ttl" => key::ttl,
        "type" => key::key_type,
        "unlink" => key::unlink,
        "lindex" => list::lindex,
        "linsert" => list::linsert,
        "llen" => list::llen,
        "lmove" => list::lmove,
        "lmpop" => list::lmpop,
        "lpop" => list::lpop,
        "lpos" => list::lpos,
        "lpush" => list::lpush,
        "lpushx" => list::lpushx,
        "lrange" => list::lrange,
        "lrem" => list::lrem,
        "lset" => list::lset,
        "ltrim" => list::ltrim,
        "rpop" => list::rpop,
        "rpoplpush" => list::rpoplpush,
        "rpush" => list::rpush,
        "rpushx" => list::rpushx,
        // The families that need no list here: their rows name the handlers.
        _ => match crate::command::table::lookup(name.as_bytes()).map(|row| row.run) {
            Some(Run::OnShard(handler)) => handler,
            _ => panic!("no handler for {name}"),
        },
    }
}
