//! The operations that histories are made of, and the model that says what each has to answer. Pure.

use crate::reply::Reply;
use crate::units::How;
use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

/// Number of a key in the round's list of keys.
pub type Key = usize;

/// The operations that the histories are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// `SET key value`
    Set(Key, String),
    /// `GET key`
    Get(Key),
    /// `GETSET key value`
    GetSet(Key, String),
    /// `INCR key`
    Incr(Key),
    /// `APPEND key value`
    Append(Key, String),
    /// `DEL key...`
    Del(Vec<Key>),
    /// `EXISTS key...`
    Exists(Vec<Key>),
    /// `MSET key value...`
    MSet(Vec<(Key, String)>),
    /// `MSETNX key value...`
    MSetNx(Vec<(Key, String)>),
    /// `MGET key...`
    MGet(Vec<Key>),
    /// `RENAME from to`
    Rename(Key, Key),
    /// `RENAMENX from to`
    RenameNx(Key, Key),
    /// `COPY from to REPLACE`
    Copy(Key, Key),
    /// `DBSIZE`
    DbSize,
    /// `RPUSH key value...`
    RPush(Key, Vec<String>),
    /// `LPOP key`
    LPop(Key),
    /// `LRANGE key 0 -1`
    LRange(Key),
    /// `LMOVE from to LEFT RIGHT`
    LMove(Key, Key),
    /// `BLPOP key... seconds`, a time so short that it may end in vain.
    BLPop(Vec<Key>, &'static str),
    /// `WATCH key...` of the client with this number.
    Watch(usize, Vec<Key>),
    /// Operations that are carried out as one; the reply has an element for each.
    Unit(How, Vec<Op>),
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A string.
    Text(String),
    /// A list, never empty.
    List(Vec<String>),
}

/// What a client watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Watched {
    keys: Vec<Key>,
    /// One of them was changed.
    dirty: bool,
}

/// Values by key number and who watches them; the state that every round starts from is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    values: Vec<Option<Value>>,
    watched: BTreeMap<usize, Watched>,
}

impl State {
    /// So many keys that hold nothing.
    pub fn empty(keys: usize) -> Self {
        Self { values: vec![None; keys], watched: BTreeMap::new() }
    }

    /// What the keys hold.
    pub fn values(&self) -> &[Option<Value>] {
        &self.values
    }

    /// Ends the watching of a client; true if a key that it watched was changed.
    pub fn unwatch(&mut self, client: usize) -> bool {
        self.watched.remove(&client).is_some_and(|watched| watched.dirty)
    }
}

impl Index<Key> for State {
    type Output = Option<Value>;

    fn index(&self, key: Key) -> &Option<Value> {
        &self.values[key]
    }
}

impl IndexMut<Key> for State {
    fn index_mut(&mut self, key: Key) -> &mut Option<Value> {
        &mut self.values[key]
    }
}

impl Op {
    /// The words of the command.
    pub fn args(&self, keys: &[String]) -> Vec<String> {
        let pairs = |name: &str, pairs: &[(Key, String)]| {
            let words = pairs.iter().flat_map(|(key, value)| [keys[*key].clone(), value.clone()]);
            std::iter::once(name.to_owned()).chain(words).collect()
        };
        let list = |name: &str, list: &[Key]| {
            std::iter::once(name.to_owned()).chain(list.iter().map(|key| keys[*key].clone())).collect()
        };
        let with_value = |name: &str, key: Key, value: &str| vec![name.to_owned(), keys[key].clone(), value.to_owned()];
        match self {
            Self::Set(key, value) => with_value("SET", *key, value),
            Self::GetSet(key, value) => with_value("GETSET", *key, value),
            Self::Append(key, value) => with_value("APPEND", *key, value),
            Self::Get(key) => list("GET", &[*key]),
            Self::Incr(key) => list("INCR", &[*key]),
            Self::Del(which) => list("DEL", which),
            Self::Exists(which) => list("EXISTS", which),
            Self::MGet(which) => list("MGET", which),
            Self::MSet(which) => pairs("MSET", which),
            Self::MSetNx(which) => pairs("MSETNX", which),
            Self::Rename(from, to) => list("RENAME", &[*from, *to]),
            Self::RenameNx(from, to) => list("RENAMENX", &[*from, *to]),
            Self::Copy(from, to) => vec!["COPY".into(), keys[*from].clone(), keys[*to].clone(), "REPLACE".into()],
            Self::DbSize => vec!["DBSIZE".to_owned()],
            Self::RPush(key, values) => [list("RPUSH", &[*key]), values.clone()].concat(),
            Self::LPop(key) => list("LPOP", &[*key]),
            Self::LRange(key) => [list("LRANGE", &[*key]), vec!["0".into(), "-1".into()]].concat(),
            Self::LMove(from, to) => [list("LMOVE", &[*from, *to]), vec!["LEFT".into(), "RIGHT".into()]].concat(),
            Self::BLPop(which, seconds) => [list("BLPOP", which), vec![(*seconds).to_owned()]].concat(),
            Self::Watch(_, which) => list("WATCH", which),
            Self::Unit(how, ops) => how.words(ops, keys),
        }
    }

    /// The operation that these words ask for, if it is one of the rounds'.
    pub fn parse(args: &[String], keys: &[String]) -> Option<Self> {
        let key = |place: usize| keys.iter().position(|key| Some(key) == args.get(place));
        let value = |place: usize| args.get(place).cloned();
        let list = || (1..args.len()).map(key).collect::<Option<Vec<Key>>>();
        let pairs = || {
            let pair = |place| Some((key(place)?, value(place + 1)?));
            (1..args.len()).step_by(2).map(pair).collect::<Option<Vec<_>>>()
        };
        Some(match args.first()?.as_str() {
            "SET" => Self::Set(key(1)?, value(2)?),
            "GETSET" => Self::GetSet(key(1)?, value(2)?),
            "APPEND" => Self::Append(key(1)?, value(2)?),
            "GET" => Self::Get(key(1)?),
            "INCR" => Self::Incr(key(1)?),
            "DEL" => Self::Del(list()?),
            "EXISTS" => Self::Exists(list()?),
            "MGET" => Self::MGet(list()?),
            "MSET" => Self::MSet(pairs()?),
            "MSETNX" => Self::MSetNx(pairs()?),
            "RENAME" => Self::Rename(key(1)?, key(2)?),
            "RENAMENX" => Self::RenameNx(key(1)?, key(2)?),
            "COPY" => Self::Copy(key(1)?, key(2)?),
            "DBSIZE" => Self::DbSize,
            "RPUSH" => Self::RPush(key(1)?, args.get(2..)?.to_vec()),
            "LPOP" => Self::LPop(key(1)?),
            "LRANGE" => Self::LRange(key(1)?),
            "LMOVE" => Self::LMove(key(1)?, key(2)?),
            "WATCH" => Self::Watch(0, list()?),
            "EVAL" => How::parse(args, keys)?,
            "BLPOP" => Self::BLPop((1..args.len() - 1).map(key).collect::<Option<Vec<Key>>>()?, "0.001"),
            _ => return None,
        })
    }

    /// Performs the operation on the model and returns the reply that it must have got.
    pub fn apply(&self, state: &mut State) -> Reply {
        match self {
            Self::Watch(client, keys) => {
                state.watched.entry(*client).or_default().keys.extend(keys);
                return Reply::Simple(b"OK".to_vec());
            }
            Self::Unit(How::Exec(client), _) if state.unwatch(*client) => return Reply::NullArray,
            Self::Unit(_, ops) => return Reply::Array(ops.iter().map(|op| op.apply(state)).collect()),
            _ if state.watched.is_empty() => return self.apply_alone(state),
            _ => {}
        }
        let before = state.values.clone();
        let reply = self.apply_alone(state);
        let written = self.written(&reply);
        let is_touched = |key: Key| written.contains(&key) || before[key] != state.values[key];
        for watched in state.watched.values_mut() {
            watched.dirty |= watched.keys.iter().any(|key| is_touched(*key));
        }
        reply
    }

    /// Keys that count as changed although they may hold what they held before.
    fn written(&self, reply: &Reply) -> Vec<Key> {
        if reply.error().is_some() || *reply == Reply::Integer(0) {
            return Vec::new();
        }
        match self {
            Self::Set(key, _) | Self::GetSet(key, _) => vec![*key],
            Self::MSet(pairs) | Self::MSetNx(pairs) => pairs.iter().map(|(key, _)| *key).collect(),
            Self::Rename(_, to) | Self::RenameNx(_, to) | Self::Copy(_, to) => vec![*to],
            _ => Vec::new(),
        }
    }

    /// True if the reply tells that nothing was changed, wherever in the order the operation stood. A SET of
    /// the value that is there already is not such a one: elsewhere it would overwrite another. Nor is a WATCH.
    pub fn only_looks(&self, reply: &Reply) -> bool {
        match self {
            Op::Get(_) | Op::Exists(_) | Op::MGet(_) | Op::DbSize | Op::LRange(_) => true,
            Op::LPop(_) | Op::LMove(..) | Op::BLPop(..) if reply.is_null() => true,
            Op::Del(_) | Op::MSetNx(_) | Op::RenameNx(..) | Op::Copy(..) if *reply == Reply::Integer(0) => true,
            Op::Unit(..) if reply.is_null() => true,
            Op::Unit(_, ops) => match reply {
                Reply::Array(replies) => ops.iter().zip(replies).all(|(op, reply)| op.only_looks(reply)),
                _ => false,
            },
            _ => reply.error().is_some(),
        }
    }

    fn apply_alone(&self, state: &mut State) -> Reply {
        let ok = || Reply::Simple(b"OK".to_vec());
        match self {
            Self::Set(key, value) => {
                state[*key] = text_value(value);
                ok()
            }
            Self::Get(key) | Self::GetSet(key, _) | Self::Incr(key) | Self::Append(key, _)
                if matches!(state[*key], Some(Value::List(_))) =>
            {
                wrong_type()
            }
            Self::Get(key) => bulk(text_of(&state[*key])),
            Self::GetSet(key, value) => bulk(text_of(&std::mem::replace(&mut state[*key], text_value(value)))),
            Self::Incr(key) => match text_of(&state[*key]).unwrap_or("0").parse::<i64>() {
                Ok(number) => {
                    state[*key] = text_value(&(number + 1).to_string());
                    Reply::Integer(number + 1)
                }
                Err(_) => Reply::Error(b"ERR value is not an integer or out of range".to_vec()),
            },
            Self::Append(key, value) => {
                let text = [text_of(&state[*key]).unwrap_or_default(), value].concat();
                state[*key] = text_value(&text);
                count(text.len())
            }
            Self::Del(which) => count(which.iter().filter(|key| state[**key].take().is_some()).count()),
            Self::Exists(which) => count(which.iter().filter(|key| state[**key].is_some()).count()),
            Self::MSet(which) => {
                which.iter().for_each(|(key, value)| state[*key] = text_value(value));
                ok()
            }
            Self::MSetNx(which) => {
                if which.iter().any(|(key, _)| state[*key].is_some()) {
                    return count(0);
                }
                which.iter().for_each(|(key, value)| state[*key] = text_value(value));
                count(1)
            }
            Self::MGet(which) => Reply::Array(which.iter().map(|key| bulk(text_of(&state[*key]))).collect()),
            Self::Rename(from, to) => match state[*from].take() {
                Some(value) => {
                    state[*to] = Some(value);
                    ok()
                }
                None => Reply::Error(b"ERR no such key".to_vec()),
            },
            Self::RenameNx(from, to) => match (&state[*from], &state[*to]) {
                (None, _) => Reply::Error(b"ERR no such key".to_vec()),
                (Some(_), Some(_)) => count(0),
                (Some(_), None) => {
                    state[*to] = state[*from].take();
                    count(1)
                }
            },
            Self::Copy(from, to) => match state[*from].clone() {
                Some(value) => {
                    state[*to] = Some(value);
                    count(1)
                }
                None => count(0),
            },
            Self::DbSize => count(state.values.iter().flatten().count()),
            Self::Watch(..) | Self::Unit(..) => unreachable!("these are no operations on keys"),
            Self::RPush(..) | Self::LPop(_) | Self::LRange(_) | Self::LMove(..) | Self::BLPop(..) => {
                self.apply_to_lists(state).unwrap_or_else(|WrongType| wrong_type())
            }
        }
    }

    fn apply_to_lists(&self, state: &mut State) -> Result<Reply, WrongType> {
        Ok(match self {
            Self::RPush(key, values) => match state[*key].get_or_insert_with(|| Value::List(Vec::new())) {
                Value::Text(_) => return Err(WrongType),
                Value::List(list) => {
                    list.extend(values.iter().cloned());
                    count(list.len())
                }
            },
            Self::LPop(key) => bulk(pop(&mut state[*key])?.as_deref()),
            Self::LRange(key) => match &state[*key] {
                None => Reply::Array(Vec::new()),
                Some(Value::Text(_)) => return Err(WrongType),
                Some(Value::List(list)) => Reply::Array(list.iter().map(|value| bulk(Some(value))).collect()),
            },
            Self::LMove(from, to) => {
                let Some(value) = pop(&mut state[*from].clone())? else { return Ok(Reply::NullBulk) };
                if matches!(state[*to], Some(Value::Text(_))) {
                    return Err(WrongType);
                }
                pop(&mut state[*from])?;
                Self::RPush(*to, vec![value.clone()]).apply_to_lists(state)?;
                bulk(Some(&value))
            }
            // The key that gave something is told apart by its element: values are unique in a round.
            Self::BLPop(which, _) => {
                for key in which {
                    if let Some(value) = pop(&mut state[*key])? {
                        return Ok(bulk(Some(&value)));
                    }
                }
                Reply::NullArray
            }
            _ => unreachable!("only operations on lists come here"),
        })
    }
}

/// A list was expected, and something else is there.
struct WrongType;

fn wrong_type() -> Reply {
    Reply::Error(b"WRONGTYPE Operation against a key holding the wrong kind of value".to_vec())
}

fn text_value(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

fn text_of(value: &Option<Value>) -> Option<&str> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// Takes the head of a list; a list that has become empty goes.
fn pop(value: &mut Option<Value>) -> Result<Option<String>, WrongType> {
    match value {
        None => Ok(None),
        Some(Value::Text(_)) => Err(WrongType),
        Some(Value::List(list)) => {
            let head = list.remove(0);
            if list.is_empty() {
                *value = None;
            }
            Ok(Some(head))
        }
    }
}

/// A string, or nothing.
pub fn bulk(value: Option<&str>) -> Reply {
    value.map_or(Reply::NullBulk, |text| Reply::Bulk(text.as_bytes().to_vec()))
}

fn count(number: usize) -> Reply {
    Reply::Integer(i64::try_from(number).expect("a round has few keys and short values"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Reply {
        bulk(Some(value))
    }

    #[test]
    fn the_other_operations_answer_as_the_server_does() {
        let state = &mut State::empty(3);
        assert_eq!(Op::MSetNx(vec![(0, "1".into()), (1, "2".into())]).apply(state), Reply::Integer(1));
        assert_eq!(Op::MSetNx(vec![(1, "1".into()), (2, "2".into())]).apply(state), Reply::Integer(0));
        assert_eq!(Op::Copy(1, 2).apply(state), Reply::Integer(1));
        assert_eq!(Op::DbSize.apply(state), Reply::Integer(3));
        assert_eq!(Op::Append(2, "x".into()).apply(state), Reply::Integer(2));
        assert_eq!(Op::Incr(2).apply(state).error().as_deref(), Some("ERR value is not an integer or out of range"));
        assert_eq!(Op::RenameNx(0, 1).apply(state), Reply::Integer(0));
        assert_eq!(Op::GetSet(0, "9".into()).apply(state), text("1"));
        assert_eq!(Op::Del(vec![0, 0, 1]).apply(state), Reply::Integer(2));
        assert_eq!(Op::Rename(0, 1).apply(state).error().as_deref(), Some("ERR no such key"));
        let push = |key: Key| Op::RPush(key, vec!["8".into(), "9".into()]);
        assert!(push(2).apply(state).error().is_some_and(|text| text.starts_with("WRONGTYPE")));
        assert_eq!(push(0).apply(state), Reply::Integer(2));
        assert!(Op::Get(0).apply(state).error().is_some_and(|text| text.starts_with("WRONGTYPE")));
        assert!(Op::LMove(0, 2).apply(state).error().is_some_and(|text| text.starts_with("WRONGTYPE")));
        assert_eq!(Op::LMove(0, 0).apply(state), text("8"));
        assert_eq!(Op::LRange(0).apply(state), Reply::Array(vec![text("9"), text("8")]));
        assert_eq!((Op::LPop(0).apply(state), Op::LPop(0).apply(state)), (text("9"), text("8")));
        assert_eq!((Op::LPop(0).apply(state), Op::Exists(vec![0]).apply(state)), (Reply::NullBulk, Reply::Integer(0)));
    }
    #[test]
    fn what_is_watched_and_what_counts_as_a_change() {
        let state = &mut State::empty(3);
        let mut exec = |first: Op, after_watch: Op| {
            first.apply(state);
            Op::Watch(7, vec![0, 1]).apply(state);
            after_watch.apply(state);
            Op::Unit(How::Exec(7), vec![Op::Get(2)]).apply(state)
        };
        let set = |key: Key| Op::Set(key, "1".into());
        let aborts = [
            (set(0), set(0)),
            (set(2), Op::Copy(2, 1)),
            (set(2), Op::Rename(2, 0)),
            (set(0), Op::Del(vec![2, 0])),
            (Op::Del(vec![0]), Op::RPush(0, vec!["1".into()])),
            (set(2), Op::Unit(How::Proven, vec![Op::Get(1), set(1)])),
        ];
        for (first, second) in aborts {
            assert_eq!(exec(first.clone(), second.clone()), Reply::NullArray, "{first:?} {second:?}");
        }
        let goes_on = [
            (set(0), set(2)),
            (Op::Del(vec![0]), Op::Del(vec![0])),
            (set(0), Op::RPush(0, vec!["1".into()])),
            (set(0), Op::MSetNx(vec![(0, "2".into()), (1, "2".into())])),
            (Op::Del(vec![2]), Op::Copy(2, 0)),
        ];
        for (first, second) in goes_on {
            assert_eq!(exec(first.clone(), second.clone()).elements().len(), 1, "{first:?} {second:?}");
        }
    }
}
