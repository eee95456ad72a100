//! Decides whether a history of concurrent operations is linearizable: whether there is one order of
//! all of them that respects real time and each client's own order, and in which every reply is right.
//!
//! The search is Wing and Gong's, with Lowe's memory of visited configurations. Every client issues its
//! operations one after the other (a pipeline too is a sequence), so what has been linearised is told by
//! one position per client, and a configuration is those positions and the state of the keys. An operation
//! that fits and, by its reply, is a mere look at the keys may always come at once: no order in which it comes later can do without
//! that, so there is no choice to try. Pure: histories come in as data, so known good and known bad ones are tested below.

use crate::reply::Reply;
use std::collections::HashSet;
use std::time::Duration;

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
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A string.
    Text(String),
    /// A list, never empty.
    List(Vec<String>),
}

/// One finished operation. Times count from the start of the round.
#[derive(Debug, Clone)]
pub struct Event {
    /// What was asked.
    pub op: Op,
    /// What was answered.
    pub reply: Reply,
    /// When the request was about to be written.
    pub invoked: Duration,
    /// When the reply had been read.
    pub responded: Duration,
}

impl Event {
    /// True if the reply tells that nothing was changed, wherever in the order the operation stood. A SET of
    /// the value that is there already is not such a one: elsewhere it would overwrite another.
    fn only_looks(&self) -> bool {
        match self.op {
            Op::Get(_) | Op::Exists(_) | Op::MGet(_) | Op::DbSize | Op::LRange(_) => true,
            Op::LPop(_) | Op::LMove(..) | Op::BLPop(..) if self.reply.is_null() => true,
            Op::Del(_) | Op::MSetNx(_) | Op::RenameNx(..) | Op::Copy(..) if self.reply == Reply::Integer(0) => true,
            _ => self.reply.error().is_some(),
        }
    }
}

/// What the clients of one round did, each in its program order.
pub type History = Vec<Vec<Event>>;

/// Values by key number; the state that every round starts from is empty.
pub type State = Vec<Option<Value>>;

/// Configurations that are visited before a history counts as too tangled to judge.
const VISITED_MAX: usize = 300_000;

/// What the search found.
#[derive(Debug)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// The search was given up; nothing is known.
    Undecided,
    /// There is none.
    Refused(Violation),
}

/// Why a history is refused: the longest order that was found, and what could not follow it.
#[derive(Debug)]
pub struct Violation {
    text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
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
            "BLPOP" => Self::BLPop((1..args.len() - 1).map(key).collect::<Option<Vec<Key>>>()?, "0.001"),
            _ => return None,
        })
    }

    /// Performs the operation on the model and returns the reply that it must have got.
    pub fn apply(&self, state: &mut State) -> Reply {
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
            Self::DbSize => count(state.iter().flatten().count()),
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

fn bulk(value: Option<&str>) -> Reply {
    value.map_or(Reply::NullBulk, |text| Reply::Bulk(text.as_bytes().to_vec()))
}

fn count(number: usize) -> Reply {
    Reply::Integer(i64::try_from(number).expect("a round has few keys and short values"))
}

/// Judges the history. `keys` names the keys for the text of a refusal.
pub fn check(history: &History, keys: &[String]) -> Verdict {
    let mut search = Search {
        history,
        keys,
        visited: HashSet::new(),
        positions: vec![0; history.len()],
        order: Vec::new(),
        best: Vec::new(),
        best_state: Vec::new(),
    };
    let start = vec![None; keys.len()];
    match search.run(&start) {
        true => Verdict::Linearizable,
        false if search.visited.len() >= VISITED_MAX => Verdict::Undecided,
        false => Verdict::Refused(search.violation()),
    }
}

struct Search<'a> {
    history: &'a History,
    keys: &'a [String],
    visited: HashSet<(Vec<usize>, State)>,
    /// How many operations of each client are linearised.
    positions: Vec<usize>,
    /// The clients in the order in which their operations were taken.
    order: Vec<usize>,
    best: Vec<usize>,
    best_state: State,
}

impl Search<'_> {
    fn run(&mut self, state: &State) -> bool {
        if self.order.len() >= self.best.len() {
            self.best.clone_from(&self.order);
            self.best_state.clone_from(state);
        }
        if self.next_events().next().is_none() {
            return true;
        }
        if self.visited.len() >= VISITED_MAX || !self.visited.insert((self.positions.clone(), state.clone())) {
            return false;
        }
        // Whatever comes next must have been invoked before the first of the open replies arrived.
        let deadline = self.next_events().map(|(_, event)| event.responded).min().unwrap_or_default();
        let mut choices = Vec::new();
        for (client, event) in self.next_events().filter(|(_, event)| event.invoked <= deadline) {
            let mut after = state.clone();
            if event.op.apply(&mut after) != event.reply {
                continue;
            }
            if event.only_looks() {
                choices = vec![(event.responded, client, after)];
                break;
            }
            choices.push((event.responded, client, after));
        }
        // What was answered first was most likely executed first.
        choices.sort_by_key(|(responded, ..)| *responded);
        for (_, client, after) in choices {
            self.positions[client] += 1;
            self.order.push(client);
            if self.run(&after) {
                return true;
            }
            self.order.pop();
            self.positions[client] -= 1;
        }
        false
    }

    fn next_events(&self) -> impl Iterator<Item = (usize, &Event)> {
        let next = |client: usize| self.history[client].get(self.positions[client]).map(|event| (client, event));
        (0..self.history.len()).filter_map(next)
    }

    fn violation(&self) -> Violation {
        let mut text = String::from("no order explains these replies; the longest that was found:\n");
        let mut positions = vec![0; self.history.len()];
        for &client in &self.best {
            text.push_str(&self.described(client, &self.history[client][positions[client]]));
            positions[client] += 1;
        }
        text.push_str("then the keys hold:\n");
        for (key, value) in self.keys.iter().zip(&self.best_state) {
            text.push_str(&format!("  {key} = {value:?}\n"));
        }
        text.push_str("and what is left cannot follow:\n");
        for (client, &position) in positions.iter().enumerate() {
            for event in &self.history[client][position..] {
                text.push_str(&self.described(client, event));
            }
        }
        Violation { text }
    }

    fn described(&self, client: usize, event: &Event) -> String {
        let (from, to) = (event.invoked.as_micros(), event.responded.as_micros());
        let command = event.op.args(self.keys).join(" ");
        format!("  client {client} [{from:>7}..{to:>7} us] {command} -> {}\n", event.reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(op: Op, reply: Reply, from: u64, to: u64) -> Event {
        Event { op, reply, invoked: Duration::from_micros(from), responded: Duration::from_micros(to) }
    }

    fn ok() -> Reply {
        Reply::Simple(b"OK".to_vec())
    }

    fn text(value: &str) -> Reply {
        bulk(Some(value))
    }

    fn set(key: Key, value: &str, from: u64, to: u64) -> Event {
        event(Op::Set(key, value.into()), ok(), from, to)
    }

    fn got(key: Key, value: Option<&str>, from: u64, to: u64) -> Event {
        event(Op::Get(key), bulk(value), from, to)
    }

    fn mset(value: &str, from: u64, to: u64) -> Event {
        event(Op::MSet(vec![(0, value.into()), (1, value.into())]), ok(), from, to)
    }

    fn accepts(history: History) -> bool {
        matches!(check(&history, &["a".into(), "b".into(), "c".into()]), Verdict::Linearizable)
    }

    #[test]
    fn sequential_histories() {
        assert!(accepts(vec![vec![set(0, "1", 0, 1), got(0, Some("1"), 2, 3), got(1, None, 4, 5)]]));
        assert!(!accepts(vec![vec![set(0, "1", 0, 1), got(0, None, 2, 3)]]));
    }

    #[test]
    fn a_read_beside_a_write_may_see_either() {
        for seen in [None, Some("1")] {
            assert!(accepts(vec![vec![set(0, "1", 0, 10)], vec![got(0, seen, 2, 3)]]));
        }
    }

    #[test]
    fn a_write_of_the_same_value_is_a_write() {
        // SET a 1, SET a 2, SET a 1: the last one may not be taken as done when the first one is.
        let rewrite = vec![set(0, "1", 0, 30)];
        let other = vec![set(0, "1", 0, 20), set(0, "2", 0, 21)];
        assert!(accepts(vec![rewrite, other, vec![got(0, Some("2"), 22, 23), got(0, Some("1"), 31, 32)]]));
    }

    #[test]
    fn a_stale_read_is_refused() {
        assert!(!accepts(vec![vec![set(0, "1", 0, 10)], vec![got(0, None, 11, 12)]]));
        // Once one reader has seen the new value, a later one may not see the old.
        assert!(!accepts(vec![vec![set(0, "1", 0, 10)], vec![got(0, Some("1"), 1, 2)], vec![got(0, None, 3, 4)]]));
    }

    #[test]
    fn a_lost_update_is_refused() {
        let incr = |number, from, to| event(Op::Incr(0), Reply::Integer(number), from, to);
        assert!(accepts(vec![vec![incr(1, 0, 9)], vec![incr(2, 1, 8)]]));
        assert!(!accepts(vec![vec![incr(1, 0, 9)], vec![incr(1, 1, 8)]]));
        assert!(!accepts(vec![vec![incr(2, 0, 1)], vec![incr(1, 2, 3)]]));
    }

    #[test]
    fn a_torn_mset_is_refused() {
        let mget = |a, b, from, to| event(Op::MGet(vec![0, 1]), Reply::Array(vec![bulk(a), bulk(b)]), from, to);
        assert!(accepts(vec![vec![mset("1", 0, 10)], vec![mget(None, None, 1, 2), mget(Some("1"), Some("1"), 3, 4)]]));
        assert!(!accepts(vec![vec![mset("1", 0, 10)], vec![mget(Some("1"), None, 1, 2)]]));
        // Two of them interleaved: each key has a value of its own.
        let last = mget(Some("1"), Some("2"), 20, 21);
        assert!(!accepts(vec![vec![mset("1", 0, 10)], vec![mset("2", 0, 10)], vec![last]]));
    }

    #[test]
    fn the_order_of_a_pipeline_is_kept() {
        // Both commands were written at once: only program order says which was first.
        let pipeline = vec![set(0, "1", 0, 10), set(1, "1", 0, 11)];
        let second_only = vec![got(1, Some("1"), 2, 3), got(0, None, 4, 5)];
        let both = vec![got(1, Some("1"), 2, 3), got(0, Some("1"), 4, 5)];
        assert!(!accepts(vec![pipeline.clone(), second_only]));
        assert!(accepts(vec![pipeline.clone(), both]));
        assert!(accepts(vec![pipeline, vec![got(0, Some("1"), 2, 3), got(1, None, 4, 5)]]));
    }

    #[test]
    fn a_pipeline_of_reads_is_ordered_too() {
        let reads = vec![got(1, Some("1"), 0, 20), got(0, None, 0, 21)];
        assert!(!accepts(vec![vec![set(0, "1", 0, 10), set(1, "1", 0, 11)], reads]));
    }

    #[test]
    fn renames_neither_lose_nor_double() {
        let rename = |from, to, start, end| event(Op::Rename(from, to), ok(), start, end);
        let exists = |number, from, to| event(Op::Exists(vec![0, 1]), Reply::Integer(number), from, to);
        let start = || vec![set(0, "1", 0, 1), rename(0, 1, 2, 20)];
        assert!(accepts(vec![start(), vec![exists(1, 3, 4), exists(1, 5, 6)]]));
        assert!(!accepts(vec![start(), vec![exists(0, 3, 4)]]));
        assert!(!accepts(vec![start(), vec![exists(2, 3, 4)]]));
    }

    #[test]
    fn an_element_goes_to_one_and_waiting_in_vain_is_true_of_some_moment() {
        let push = |from, to| event(Op::RPush(0, vec!["1".into()]), Reply::Integer(1), from, to);
        let waits = |reply, from, to| event(Op::BLPop(vec![1, 0], "0.001"), reply, from, to);
        let moves = |from, to| event(Op::LMove(0, 1), text("1"), from, to);
        assert!(accepts(vec![vec![push(0, 1)], vec![waits(text("1"), 2, 3)]]));
        assert!(accepts(vec![vec![push(2, 3)], vec![waits(text("1"), 0, 4)], vec![waits(Reply::NullArray, 1, 5)]]));
        assert!(!accepts(vec![vec![push(0, 1)], vec![waits(text("1"), 2, 3)], vec![waits(text("1"), 2, 3)]]));
        assert!(!accepts(vec![vec![push(0, 1)], vec![waits(Reply::NullArray, 2, 3)]]));
        // While it moves it is in one of them.
        assert!(accepts(vec![vec![push(0, 1), moves(2, 9)], vec![waits(text("1"), 3, 10)]]));
        assert!(!accepts(vec![vec![push(0, 1), moves(2, 9)], vec![waits(Reply::NullArray, 3, 8)]]));
    }

    #[test]
    fn the_other_operations_answer_as_the_server_does() {
        let state: &mut State = &mut vec![None, None, None];
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
}
