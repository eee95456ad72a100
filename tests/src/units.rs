//! Operations that are carried out as one, by a transaction or by a script: how that is asked for, what a script says, and
//! how a server that knows no Lua reads it again. Pure.

use crate::operations::{Key, Op};
use crate::reply::Reply;

/// How operations become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `MULTI`, the operations, `EXEC`, of the client with this number; its watches are its own.
    Exec(usize),
    /// A script whose calls name `KEYS[..]`.
    Proven,
    /// A script that declares its keys, and is told each call in its arguments.
    Declared,
    /// The same, but only the first key is declared.
    Partly,
    /// The same, but no key is declared.
    Undeclared,
}

/// All scripts.
pub const SCRIPTS: &[How] = &[How::Proven, How::Declared, How::Partly, How::Undeclared];

/// Carries out the calls in its arguments: how many words, the words, and so on.
const CARRIES_OUT: &str = "local replies, at = {}, 1 while at <= #ARGV do local count = tonumber(ARGV[at]) \
     replies[#replies + 1] = redis.pcall(unpack(ARGV, at + 1, at + count)) at = at + count + 1 end return replies";

/// What begins a call in a script that is proven.
const CALL: &str = "redis.pcall(";

impl How {
    /// The words of the command that carries out the operations; of a transaction the last one.
    pub fn words(self, ops: &[Op], keys: &[String]) -> Vec<String> {
        let mut declared: Vec<String> = Vec::new();
        for word in ops.iter().flat_map(|op| op.args(keys)) {
            if keys.contains(&word) && !declared.contains(&word) {
                declared.push(word);
            }
        }
        let calls = || {
            let words = ops.iter().map(|op| op.args(keys));
            words.flat_map(|words| [vec![words.len().to_string()], words].concat()).collect::<Vec<_>>()
        };
        let eval = |source: String, keys: &[String], args: Vec<String>| {
            [vec!["EVAL".to_owned(), source, keys.len().to_string()], keys.to_vec(), args].concat()
        };
        match self {
            Self::Exec(_) => vec!["EXEC".to_owned()],
            Self::Proven => {
                let (source, args) = proven(ops, keys, &declared);
                eval(source, &declared, args)
            }
            Self::Declared => eval(CARRIES_OUT.to_owned(), &declared, calls()),
            Self::Partly => eval(CARRIES_OUT.to_owned(), &declared[..declared.len().min(1)], calls()),
            Self::Undeclared => eval(CARRIES_OUT.to_owned(), &[], calls()),
        }
    }

    /// The unit that these words of an EVAL ask for.
    pub fn parse(args: &[String], keys: &[String]) -> Option<Op> {
        let source = args.get(1)?;
        let count: usize = args.get(2)?.parse().ok()?;
        let (declared, mut rest) = args.get(3..)?.split_at_checked(count)?;
        let mut ops = Vec::new();
        if source == CARRIES_OUT {
            while let Some((length, more)) = rest.split_first() {
                let (words, after) = more.split_at_checked(length.parse().ok()?)?;
                ops.push(Op::parse(words, keys)?);
                rest = after;
            }
            return Some(Op::Unit(Self::Declared, ops));
        }
        for call in source.split(CALL).skip(1) {
            let word = |text: &str| {
                let numbered = |name: &str, words: &[String]| {
                    let number: usize = text.strip_prefix(name)?.strip_suffix(']')?.parse().ok()?;
                    words.get(number.checked_sub(1)?).cloned()
                };
                let literal = || Some(text.strip_prefix('\'')?.strip_suffix('\'')?.to_owned());
                numbered("KEYS[", declared).or_else(|| numbered("ARGV[", rest)).or_else(literal)
            };
            let words = call.split(')').next()?.split(',').map(word).collect::<Option<Vec<_>>>()?;
            ops.push(Op::parse(&words, keys)?);
        }
        Some(Op::Unit(Self::Proven, ops))
    }
}

/// A script in which every key is one of `KEYS`, and its arguments.
fn proven(ops: &[Op], keys: &[String], declared: &[String]) -> (String, Vec<String>) {
    let mut args = Vec::new();
    let mut call = |op: &Op| {
        let mut words = op.args(keys).into_iter();
        let name = words.next().unwrap_or_default();
        let told = words.map(|word| match declared.iter().position(|key| *key == word) {
            Some(place) => format!(",KEYS[{}]", place + 1),
            None => {
                args.push(word);
                format!(",ARGV[{}]", args.len())
            }
        });
        format!("{CALL}'{name}'{})", told.collect::<String>())
    };
    let calls: Vec<String> = ops.iter().map(&mut call).collect();
    (format!("return {{{}}}", calls.join(",")), args)
}

impl Op {
    /// The requests that carry out the operation: one, or those of a transaction. The last one's reply counts.
    pub fn requests(&self, keys: &[String]) -> Vec<Vec<String>> {
        match self {
            Self::Unit(How::Exec(_), ops) => {
                let mut requests = vec![vec!["MULTI".to_owned()]];
                requests.extend(ops.iter().map(|op| op.args(keys)));
                requests.push(self.args(keys));
                requests
            }
            _ => vec![self.args(keys)],
        }
    }

    /// A reply as the model gives it: an element that was popped says whose it was; and a script knows only one kind of
    /// nothing.
    pub fn told(&self, reply: Reply) -> Reply {
        match (self, reply) {
            (Self::BLPop(..), Reply::Array(mut pair)) => pair.pop().expect("a key and an element"),
            (Self::BLPop(..), Reply::NullBulk) => Reply::NullArray,
            (Self::Unit(_, ops), Reply::Array(replies)) if ops.len() == replies.len() => {
                Reply::Array(ops.iter().zip(replies).map(|(op, reply)| op.told(reply)).collect())
            }
            (_, reply) => reply,
        }
    }

    /// True of the replies that must come before the one that counts.
    pub fn is_queued(reply: &Reply) -> bool {
        matches!(reply, Reply::Simple(text) if text == b"OK" || text == b"QUEUED")
    }
}

/// Keys that are the same for all the operations that a unit is drawn from.
pub fn one_key(op: Op, key: Key) -> Option<Op> {
    Some(match op {
        Op::Set(_, value) => Op::Set(key, value),
        Op::GetSet(_, value) => Op::GetSet(key, value),
        Op::Append(_, value) => Op::Append(key, value),
        Op::Get(_) => Op::Get(key),
        Op::Incr(_) => Op::Incr(key),
        Op::Del(_) => Op::Del(vec![key]),
        Op::Exists(_) => Op::Exists(vec![key]),
        Op::MGet(_) => Op::MGet(vec![key]),
        Op::MSet(mut pairs) => Op::MSet(vec![(key, pairs.pop()?.1)]),
        Op::RPush(_, values) => Op::RPush(key, values),
        Op::LPop(_) => Op::LPop(key),
        Op::LRange(_) => Op::LRange(key),
        Op::BLPop(_, seconds) => Op::BLPop(vec![key], seconds),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_as_a_script_is_read_again() {
        let keys: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let ops = vec![
            Op::Set(1, "7".into()),
            Op::MGet(vec![1, 0]),
            Op::DbSize,
            Op::LRange(2),
            Op::RPush(0, vec!["1".into(), "2".into()]),
        ];
        for how in SCRIPTS {
            let words = Op::Unit(*how, ops.clone()).args(&keys);
            let Some(Op::Unit(_, read)) = Op::parse(&words, &keys) else { panic!("{words:?}") };
            assert_eq!(read, ops);
        }
        let proven = How::Proven.words(&ops, &keys);
        assert_eq!(proven[2..6], ["3", "b", "a", "c"]);
        let first =
            "return {redis.pcall('SET',KEYS[1],ARGV[1]),redis.pcall('MGET',KEYS[1],KEYS[2]),redis.pcall('DBSIZE')";
        assert!(proven[1].starts_with(first), "{}", proven[1]);
        assert_eq!(How::Partly.words(&ops, &keys)[2..4], ["1", "b"]);
    }

    #[test]
    fn a_transaction_is_several_requests() {
        let keys = ["a".to_owned()];
        let requests = Op::Unit(How::Exec(0), vec![Op::Get(0)]).requests(&keys);
        assert_eq!(requests, [vec!["MULTI"], vec!["GET", "a"], vec!["EXEC"]]);
    }
}
