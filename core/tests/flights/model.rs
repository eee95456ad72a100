//! What the simulated clients ask for, what a single thread would answer, and the search for an order of all operations
//! in which every answer is right.

use ringkey_core::keyspace::{EntryRef, ValueKind};
use ringkey_core::resp::{Protocol, Request};
use ringkey_core::value::list::ListRef;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

/// Number of a key in the run's list of keys.
pub type Key = usize;

/// How many databases the simulated shards have.
pub const DATABASES: usize = 2;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Set(Key, Rc<[u8]>),
    /// SET with a time to live in milliseconds. The model has no clock: only for runs that are not judged by it.
    SetFor(Key, Rc<[u8]>, u32),
    Get(Key),
    GetDel(Key),
    Incr(Key),
    Append(Key, Rc<[u8]>),
    MSet(Vec<(Key, Rc<[u8]>)>),
    MGet(Vec<Key>),
    Del(Vec<Key>),
    Exists(Vec<Key>),
    MSetNx(Vec<(Key, Rc<[u8]>)>),
    Rename(Key, Key),
    RenameNx(Key, Key),
    /// COPY with REPLACE, to this database.
    Copy(Key, Key, usize),
    /// LCS with LEN.
    Lcs(Key, Key),
    DbSize,
    /// KEYS with a pattern for all.
    Keys,
    FlushAll,
    /// SADD of the names of all keys to their index, which is the last key.
    Index,
    /// SORT of the index, which gets the values of the keys that it names.
    Sort,
    /// The same, stored under this key.
    SortInto(Key),
    /// No command: a look at the whole of one shard, which has these keys, as SCAN takes one.
    Look(usize, Vec<Key>),
    RPush(Key, Vec<Rc<[u8]>>),
    LPop(Key),
    /// LRANGE of all.
    LRange(Key),
    /// LMOVE from the head of one list to the tail of another, or the same.
    LMove(Key, Key),
    /// BLPOP without an end: the simulation decides when its time is over.
    BLPop(Vec<Key>),
    /// BLMOVE, as LMOVE above.
    BLMove(Key, Key),
    /// A transaction of calls with one key each.
    Unit(Vec<Op>),
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A string.
    Text(Rc<[u8]>),
    /// A list, never empty.
    List(Vec<Rc<[u8]>>),
    /// The set with the names of all keys.
    Index,
}

/// What an entry of the shards holds.
pub fn value_of(entry: &EntryRef<'_>) -> Value {
    let mut number = itoa::Buffer::new();
    match ListRef::of(entry) {
        Some(list) => Value::List(list.items(0..list.len(), false).map(|item| item.text(&mut number).into()).collect()),
        None if entry.kind() == ValueKind::Set => Value::Index,
        None => Value::Text(entry.value().as_bytes(&mut number).into()),
    }
}

/// Values by database and key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State(pub Vec<Option<Value>>);

impl State {
    /// So many keys in each database, none of them there.
    pub fn empty(keys: usize) -> Self {
        Self(vec![None; keys * DATABASES])
    }

    fn keys(&self) -> usize {
        self.0.len() / DATABASES
    }
}

impl Op {
    /// The call as a client sends it.
    pub fn request(&self, names: &[Vec<u8>]) -> Request {
        let name = |key: &Key| names[*key].as_slice();
        let many = |word: &'static [u8], keys: &[Key]| Request::new(std::iter::once(word).chain(keys.iter().map(name)));
        let pairs = |word: &'static [u8], pairs: &[(Key, Rc<[u8]>)]| {
            let words = pairs.iter().flat_map(|(key, value)| [name(key), value]);
            Request::new(std::iter::once(word).chain(words).collect::<Vec<_>>())
        };
        match self {
            Op::Set(key, value) => Request::new([b"SET", name(key), value]),
            Op::SetFor(key, value, ttl) => Request::new([b"SET", name(key), value, b"PX", ttl.to_string().as_bytes()]),
            Op::Get(key) => Request::new([b"GET", name(key)]),
            Op::GetDel(key) => Request::new([b"GETDEL", name(key)]),
            Op::Incr(key) => Request::new([b"INCR", name(key)]),
            Op::Append(key, value) => Request::new([b"APPEND", name(key), value]),
            Op::MSet(all) => pairs(b"MSET", all),
            Op::MSetNx(all) => pairs(b"MSETNX", all),
            Op::MGet(keys) => many(b"MGET", keys),
            Op::Del(keys) => many(b"DEL", keys),
            Op::Exists(keys) => many(b"EXISTS", keys),
            Op::Rename(from, to) => Request::new([b"RENAME", name(from), name(to)]),
            Op::RenameNx(from, to) => Request::new([b"RENAMENX", name(from), name(to)]),
            Op::Copy(from, to, db) => {
                Request::new([b"COPY", name(from), name(to), b"DB", db.to_string().as_bytes(), b"REPLACE"])
            }
            Op::Lcs(one, other) => Request::new([b"LCS", name(one), name(other), b"LEN"]),
            Op::DbSize => Request::new([&b"DBSIZE"[..]]),
            Op::Keys => Request::new([&b"KEYS"[..], b"*"]),
            Op::FlushAll => Request::new([&b"FLUSHALL"[..]]),
            Op::RPush(key, values) => {
                Request::new([&b"RPUSH"[..], name(key)].into_iter().chain(values.iter().map(|value| &**value)))
            }
            Op::LPop(key) => Request::new([b"LPOP", name(key)]),
            Op::LRange(key) => Request::new([b"LRANGE", name(key), b"0", b"-1"]),
            Op::LMove(from, to) => Request::new([b"LMOVE", name(from), name(to), b"LEFT", b"RIGHT"]),
            Op::BLMove(from, to) => Request::new([b"BLMOVE", name(from), name(to), b"LEFT", b"RIGHT", b"0"]),
            Op::BLPop(keys) => {
                let words = std::iter::once(&b"BLPOP"[..]).chain(keys.iter().map(name)).chain([&b"0"[..]]);
                Request::new(words.collect::<Vec<_>>())
            }
            Op::Index => {
                let (index, keys) = names.split_last().expect("there is an index");
                Request::new([&b"SADD"[..], index].into_iter().chain(keys.iter().map(Vec::as_slice)))
            }
            Op::Sort | Op::SortInto(_) => {
                let index = names.last().expect("there is an index").as_slice();
                let words = [b"SORT", index, b"BY", b"x_*", b"GET", b"*", b"ALPHA"];
                let target = if let Op::SortInto(key) = self { Some([b"STORE", name(key)]) } else { None };
                Request::new(words.into_iter().chain(target.into_iter().flatten()).collect::<Vec<_>>())
            }
            Op::Look(..) => unreachable!("a look is no command"),
            Op::Unit(_) => unreachable!("a transaction is several commands"),
        }
    }

    /// Carries the operation out and gives the reply, encoded. KEYS answers in the order of the key numbers.
    pub fn apply(&self, state: &mut State, names: &[Vec<u8>], db: usize, protocol: Protocol) -> Vec<u8> {
        let keys = state.keys();
        let at = |key: Key| db * keys + key;
        match self {
            Op::Set(key, value) | Op::SetFor(key, value, _) => {
                state.0[at(*key)] = text(value);
                b"+OK\r\n".to_vec()
            }
            Op::Get(key) | Op::GetDel(key) | Op::Incr(key) | Op::Append(key, _) if is_list(&state.0[at(*key)]) => {
                WRONG_TYPE.to_vec()
            }
            Op::Get(key) => bulk(text_of(&state.0[at(*key)]), protocol),
            Op::GetDel(key) => bulk(text_of(&state.0[at(*key)].take()), protocol),
            Op::Incr(key) => incr(&mut state.0[at(*key)]),
            Op::Append(key, value) => {
                let old = text_of(&state.0[at(*key)]).unwrap_or_default();
                let new = [old, value].concat();
                let len = new.len();
                state.0[at(*key)] = text(&new.into());
                integer(len)
            }
            Op::MSet(pairs) => {
                pairs.iter().for_each(|(key, value)| state.0[at(*key)] = text(value));
                b"+OK\r\n".to_vec()
            }
            Op::MSetNx(pairs) => {
                let is_free = pairs.iter().all(|(key, _)| state.0[at(*key)].is_none());
                if is_free {
                    pairs.iter().for_each(|(key, value)| state.0[at(*key)] = text(value));
                }
                integer(usize::from(is_free))
            }
            Op::MGet(some) => array(some.iter().map(|key| bulk(text_of(&state.0[at(*key)]), protocol)).collect()),
            Op::Del(some) => integer(some.iter().filter(|key| state.0[at(**key)].take().is_some()).count()),
            Op::Exists(some) => integer(some.iter().filter(|key| state.0[at(**key)].is_some()).count()),
            Op::Rename(..) | Op::RenameNx(..) | Op::Copy(..) => self.transfer(state, db),
            Op::Lcs(one, other) if [one, other].iter().any(|key| is_list(&state.0[at(**key)])) => {
                b"-ERR The specified keys must contain string values\r\n".to_vec()
            }
            Op::Lcs(one, other) => {
                let value = |key: Key| text_of(&state.0[at(key)]).unwrap_or_default();
                integer(common_len(value(*one), value(*other)))
            }
            Op::DbSize => integer(state.0[at(0)..at(keys)].iter().flatten().count()),
            Op::Keys => {
                let there = (0..keys).filter(|key| state.0[at(*key)].is_some());
                array(there.map(|key| bulk(Some(&names[key]), protocol)).collect())
            }
            Op::Look(_, some) => {
                let there = some.iter().filter(|key| state.0[at(**key)].is_some());
                array(there.map(|key| bulk(Some(&names[*key]), protocol)).collect())
            }
            Op::Unit(ops) => array(ops.iter().map(|op| op.apply(state, names, db, protocol)).collect()),
            Op::Index | Op::Sort | Op::SortInto(_) => self.apply_to_index(state, db, protocol),
            Op::FlushAll => {
                state.0.fill(None);
                b"+OK\r\n".to_vec()
            }
            _ => self.apply_to_lists(state, names, db, protocol),
        }
    }

    fn apply_to_index(&self, state: &mut State, db: usize, protocol: Protocol) -> Vec<u8> {
        let keys = state.keys() - 1;
        let (base, index) = (db * state.keys(), db * state.keys() + keys);
        let there = if state.0[index].is_some() { keys } else { 0 };
        match self {
            Op::Index => {
                state.0[index] = Some(Value::Index);
                integer(keys - there)
            }
            Op::Sort => array((0..there).map(|key| bulk(text_of(&state.0[base + key]), protocol)).collect()),
            Op::SortInto(target) => {
                let values = state.0[base..base + there].iter().map(|value| text_of(value).unwrap_or_default().into());
                let values: Vec<Rc<[u8]>> = values.collect();
                state.0[base + target] = (there > 0).then_some(Value::List(values));
                integer(there)
            }
            _ => unreachable!("only operations on the index come here"),
        }
    }

    fn apply_to_lists(&self, state: &mut State, names: &[Vec<u8>], db: usize, protocol: Protocol) -> Vec<u8> {
        let base = db * state.keys();
        match self {
            Op::RPush(key, values) => match state.0[base + key].get_or_insert_with(|| Value::List(Vec::new())) {
                Value::Text(_) | Value::Index => WRONG_TYPE.to_vec(),
                Value::List(list) => {
                    list.extend(values.iter().cloned());
                    integer(list.len())
                }
            },
            Op::LRange(key) => match &state.0[base + key] {
                Some(Value::Text(_) | Value::Index) => WRONG_TYPE.to_vec(),
                Some(Value::List(list)) => array(list.iter().map(|value| bulk(Some(value), protocol)).collect()),
                None => array(Vec::new()),
            },
            Op::LPop(key) => match pop(&mut state.0[base + key]) {
                Err(WrongType) => WRONG_TYPE.to_vec(),
                Ok(value) => bulk(value.as_deref(), protocol),
            },
            Op::BLPop(keys) => {
                for key in keys {
                    match pop(&mut state.0[base + key]) {
                        Err(WrongType) => return WRONG_TYPE.to_vec(),
                        Ok(Some(value)) => {
                            return array(vec![bulk(Some(&names[*key]), protocol), bulk(Some(&value), protocol)]);
                        }
                        Ok(None) => {}
                    }
                }
                nothing_came(protocol)
            }
            Op::LMove(from, to) | Op::BLMove(from, to) => {
                let is_filled = matches!(&state.0[base + from], Some(Value::List(_)));
                let is_refused = matches!(&state.0[base + to], Some(Value::Text(_)));
                let value = match pop(&mut state.0[base + from].clone()) {
                    Err(WrongType) => return WRONG_TYPE.to_vec(),
                    Ok(_) if is_filled && is_refused => return WRONG_TYPE.to_vec(),
                    Ok(None) if matches!(self, Op::BLMove(..)) => return nothing_came(protocol),
                    Ok(None) => return bulk(None, protocol),
                    Ok(Some(value)) => value,
                };
                let _moved = pop(&mut state.0[base + from]);
                Op::RPush(*to, vec![value.clone()]).apply_to_lists(state, names, db, protocol);
                bulk(Some(&value), protocol)
            }
            _ => unreachable!("only operations on lists come here"),
        }
    }

    fn transfer(&self, state: &mut State, db: usize) -> Vec<u8> {
        let keys = state.keys();
        let at = |key: Key| db * keys + key;
        match self {
            Op::Rename(from, to) => match state.0[at(*from)].take() {
                None => b"-ERR no such key\r\n".to_vec(),
                value => {
                    state.0[at(*to)] = value;
                    b"+OK\r\n".to_vec()
                }
            },
            Op::RenameNx(from, to) => {
                if state.0[at(*from)].is_none() {
                    return b"-ERR no such key\r\n".to_vec();
                }
                let is_free = state.0[at(*to)].is_none();
                if is_free {
                    state.0[at(*to)] = state.0[at(*from)].take();
                }
                integer(usize::from(is_free))
            }
            Op::Copy(from, to, other) => {
                let (from, to) = (at(*from), other * keys + to);
                if from == to {
                    return b"-ERR source and destination objects are the same\r\n".to_vec();
                }
                let value = state.0[from].clone();
                if value.is_some() {
                    state.0[to] = value.clone();
                }
                integer(usize::from(value.is_some()))
            }
            _ => unreachable!("only transfers come here"),
        }
    }

    /// Brings a reply into the form in which replies are compared.
    pub fn normal(&self, reply: Vec<u8>, names: &[Vec<u8>]) -> Vec<u8> {
        if !matches!(self, Op::Keys | Op::Look(..)) {
            return reply;
        }
        let mut items = split_replies(&reply[reply.iter().position(|byte| *byte == b'\n').unwrap() + 1..]);
        let number = |item: &Vec<u8>| names.iter().position(|name| bulk(Some(name), Protocol::Resp2) == *item);
        items.sort_by_key(number);
        array(items)
    }
}

const WRONG_TYPE: &[u8] = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

fn text(value: &Rc<[u8]>) -> Option<Value> {
    Some(Value::Text(value.clone()))
}

fn text_of(value: &Option<Value>) -> Option<&[u8]> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn is_list(value: &Option<Value>) -> bool {
    matches!(value, Some(Value::List(_)))
}

/// A list was expected, and something else is there.
struct WrongType;

/// Takes the head of a list; a list that has become empty goes.
fn pop(value: &mut Option<Value>) -> Result<Option<Rc<[u8]>>, WrongType> {
    match value {
        None => Ok(None),
        Some(Value::Text(_) | Value::Index) => Err(WrongType),
        Some(Value::List(list)) => {
            let head = list.remove(0);
            if list.is_empty() {
                *value = None;
            }
            Ok(Some(head))
        }
    }
}

/// The reply to who has waited in vain.
fn nothing_came(protocol: Protocol) -> Vec<u8> {
    if protocol == Protocol::Resp2 { b"*-1\r\n".to_vec() } else { b"_\r\n".to_vec() }
}

fn integer(number: usize) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

fn bulk(value: Option<&[u8]>, protocol: Protocol) -> Vec<u8> {
    match value {
        Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
        None if protocol == Protocol::Resp2 => b"$-1\r\n".to_vec(),
        None => b"_\r\n".to_vec(),
    }
}

fn array(items: Vec<Vec<u8>>) -> Vec<u8> {
    [format!("*{}\r\n", items.len()).into_bytes(), items.concat()].concat()
}

fn incr(value: &mut Option<Value>) -> Vec<u8> {
    let old = match text_of(value) {
        None => Some(0),
        Some(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()),
    };
    let Some(new) = old.and_then(|old| old.checked_add(1)) else {
        return b"-ERR value is not an integer or out of range\r\n".to_vec();
    };
    *value = text(&new.to_string().into_bytes().into());
    format!(":{new}\r\n").into_bytes()
}

fn common_len(one: &[u8], other: &[u8]) -> usize {
    let mut line = vec![0; other.len() + 1];
    for a in one {
        let mut corner = 0;
        for (at, b) in other.iter().enumerate() {
            let above = line[at + 1];
            line[at + 1] = if a == b { corner + 1 } else { above.max(line[at]) };
            corner = above;
        }
    }
    line[other.len()]
}

/// Cuts a stream of replies into single ones.
pub fn split_replies(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut replies = Vec::new();
    while !stream.is_empty() {
        let len = reply_len(stream);
        replies.push(stream[..len].to_vec());
        stream = &stream[len..];
    }
    replies
}

fn reply_len(stream: &[u8]) -> usize {
    let head = stream.windows(2).position(|pair| pair == b"\r\n").expect("a reply begins with a line") + 2;
    let number = || std::str::from_utf8(&stream[1..head - 2]).unwrap().parse::<i64>().unwrap();
    match stream[0] {
        b'$' if number() >= 0 => head + number() as usize + 2,
        b'*' => (0..number()).fold(head, |at, _| at + reply_len(&stream[at..])),
        _ => head,
    }
}

/// One finished operation. Times count the steps of the simulation.
#[derive(Debug, Clone)]
pub struct Event {
    /// What was asked.
    pub op: Op,
    /// What was answered.
    pub reply: Vec<u8>,
    /// When the request arrived.
    pub invoked: u64,
    /// When it was answered.
    pub answered: u64,
}

/// What one client did, in its program order.
#[derive(Debug)]
pub struct History {
    /// Its database.
    pub db: usize,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its operations.
    pub events: Vec<Event>,
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "a client of database {} with {:?}:", self.db, self.protocol)?;
        for Event { op, reply, invoked, answered } in &self.events {
            let reply = String::from_utf8_lossy(reply).replace("\r\n", " ");
            writeln!(f, "  {invoked:4}..{answered:4} {op:?} -> {:.200}", reply)?;
        }
        Ok(())
    }
}

/// The outcome of a search.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Serial,
    /// There is none.
    Broken,
    /// Too many orders to try.
    Undecided,
}

/// Configurations that are tried before a search is given up.
const TRIES_MAX: usize = 50_000;

/// The search for an order: Wing and Gong's, with a memory of what has failed.
#[derive(Debug)]
pub struct Search<'a> {
    histories: &'a [History],
    names: &'a [Vec<u8>],
    end: &'a State,
    failed: HashSet<(Vec<u16>, State), ahash::RandomState>,
    tries: usize,
}

impl<'a> Search<'a> {
    /// Is there an order from an empty state to `end` that respects each client's own order and real time?
    pub fn run(histories: &'a [History], names: &'a [Vec<u8>], end: &'a State) -> Verdict {
        let mut search = Self {
            histories,
            names,
            end,
            failed: HashSet::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)),
            tries: 0,
        };
        let found = search.go_on(vec![0; histories.len()], State::empty(names.len()));
        match found {
            true => Verdict::Serial,
            false if search.tries > TRIES_MAX => Verdict::Undecided,
            false => Verdict::Broken,
        }
    }

    fn go_on(&mut self, positions: Vec<u16>, state: State) -> bool {
        let histories = self.histories;
        let next = |client: usize| histories[client].events.get(positions[client] as usize);
        let mut candidates: Vec<usize> = (0..histories.len()).filter(|client| next(*client).is_some()).collect();
        if candidates.is_empty() {
            return state == *self.end;
        }
        self.tries += 1;
        if self.tries > TRIES_MAX || self.failed.contains(&(positions.clone(), state.clone())) {
            return false;
        }
        // Whoever was answered before another began has to come before it.
        let first_answer = candidates.iter().filter_map(|client| next(*client)).map(|event| event.answered).min();
        candidates.retain(|client| next(*client).is_some_and(|event| Some(event.invoked) <= first_answer));
        candidates.sort_by_key(|client| next(*client).map(|event| event.answered));
        for client in candidates {
            let History { db, protocol, events } = &histories[client];
            let event = &events[positions[client] as usize];
            let mut after = state.clone();
            if event.op.apply(&mut after, self.names, *db, *protocol) != event.reply {
                continue;
            }
            let mut moved = positions.clone();
            moved[client] += 1;
            if self.go_on(moved, after) {
                return true;
            }
        }
        self.failed.insert((positions, state));
        false
    }
}
