//! Decides whether a history of concurrent operations is linearizable: whether there is one order of
//! all of them that respects real time and each client's own order, and in which every reply is right.
//!
//! The search is Wing and Gong's, with Lowe's memory of visited configurations. Every client issues its
//! operations one after the other (a pipeline too is a sequence), so what has been linearised is told by
//! one position per client, and a configuration is those positions and the state of the keys. An operation
//! that fits and, by its reply, is a mere look at the keys may always come at once: no order in which it comes later can do without
//! that, so there is no choice to try. Pure: histories come in as data, so known good and known bad ones are tested below.

use crate::operations::{Op, State};
use crate::reply::Reply;
use std::collections::HashSet;
use std::time::Duration;

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

/// What the clients of one round did, each in its program order.
pub type History = Vec<Vec<Event>>;

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

/// Judges the history. `keys` names the keys for the text of a refusal.
pub fn check(history: &History, keys: &[String]) -> Verdict {
    let mut search = Search {
        history,
        keys,
        visited: HashSet::new(),
        positions: vec![0; history.len()],
        order: Vec::new(),
        best: Vec::new(),
        best_state: State::empty(0),
    };
    let start = State::empty(keys.len());
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
            if event.op.only_looks(&event.reply) {
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
        for (key, value) in self.keys.iter().zip(self.best_state.values()) {
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
        let requests = event.op.requests(self.keys).iter().map(|words| words.join(" ")).collect::<Vec<_>>();
        let command = requests.join("; ");
        format!("  client {client} [{from:>7}..{to:>7} us] {command} -> {}\n", event.reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::{Key, bulk};
    use crate::units::How;

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
    fn unit(how: How, ops: Vec<Op>, replies: Vec<Reply>, from: u64, to: u64) -> Event {
        event(Op::Unit(how, ops), Reply::Array(replies), from, to)
    }

    #[test]
    fn a_torn_unit_is_refused() {
        let both = |how| unit(how, vec![Op::Set(0, "1".into()), Op::Incr(1)], vec![ok(), Reply::Integer(1)], 0, 10);
        for how in [How::Exec(0), How::Proven, How::Declared, How::Partly, How::Undeclared] {
            let mget = |a, b, from, to| event(Op::MGet(vec![0, 1]), Reply::Array(vec![bulk(a), bulk(b)]), from, to);
            let start = || vec![both(how)];
            assert!(accepts(vec![start(), vec![mget(None, None, 1, 2), mget(Some("1"), Some("1"), 3, 4)]]));
            assert!(!accepts(vec![start(), vec![mget(Some("1"), None, 1, 2)]]));
            let reads =
                |a, b, from, to| unit(How::Exec(1), vec![Op::Get(0), Op::Get(1)], vec![bulk(a), bulk(b)], from, to);
            assert!(accepts(vec![start(), vec![reads(None, None, 1, 2), reads(Some("1"), Some("1"), 3, 4)]]));
            assert!(!accepts(vec![start(), vec![reads(None, Some("1"), 1, 2)]]));
        }
    }

    #[test]
    fn what_is_watched_is_what_it_was() {
        let watch = |from, to| event(Op::Watch(1, vec![0]), ok(), from, to);
        let exec = |from, to| unit(How::Exec(1), vec![Op::Set(1, "2".into())], vec![ok()], from, to);
        let aborted =
            |from, to| event(Op::Unit(How::Exec(1), vec![Op::Set(1, "2".into())]), Reply::NullArray, from, to);
        let writer = |from, to| vec![set(0, "1", from, to)];
        assert!(accepts(vec![writer(0, 1), vec![watch(2, 3), exec(4, 5)]]));
        assert!(!accepts(vec![writer(0, 1), vec![watch(2, 3), aborted(4, 5)]]));
        assert!(accepts(vec![writer(4, 5), vec![watch(2, 3), aborted(6, 7)]]));
        assert!(!accepts(vec![writer(4, 5), vec![watch(2, 3), exec(6, 7)]]));
        // At the same time either may be.
        assert!(accepts(vec![writer(0, 9), vec![watch(2, 3), exec(6, 7)]]));
        assert!(accepts(vec![writer(0, 9), vec![watch(2, 3), aborted(6, 7)]]));
        // What was read under the watch still holds.
        let read = |value| vec![watch(2, 3), got(0, value, 4, 5), exec(6, 7), got(0, Some("1"), 10, 11)];
        assert!(accepts(vec![writer(0, 9), read(Some("1"))]));
        assert!(accepts(vec![writer(0, 9), read(None)]));
        assert!(!accepts(vec![writer(8, 9), read(Some("1"))]));
    }
}
