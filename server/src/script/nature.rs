//! Where a script is to run: what its source proves, and what earlier runs have shown.
//!
//! A script that has touched keys of other shards, which its call did not name, had to be undone and begun anew over the data of
//! all shards. The next calls of it go there at once, but not for ever: what happens now and then should not stop all cores each
//! time. So it is tried again where its keys are, after ever more calls if it fails again.

use super::eval;
use super::registry::{self, Script, ShaMap};
use ringkey_core::command::Command;
use ringkey_core::resp::Args;
use ringkey_core::script::source::Sha;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// What is known of a script, which decides where it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// It touches no keys but those that its call names.
    Bound,
    /// Nothing: it may touch others.
    Unknown,
    /// It touches keys of shards that its call does not name.
    Roving,
}

/// So many calls go to all shards at once after the first one that had to be begun anew.
const CALLS_MIN: u32 = 16;

/// And so many at most.
const CALLS_MAX: u32 = 4096;

/// Scripts and functions that a core knows; with more it starts over.
const KNOWN_MAX: usize = 10_000;

/// What calls of a script have shown to this core.
#[derive(Debug, Default)]
struct Habit {
    script: Option<Arc<Script>>,
    /// So many more calls go to all shards at once.
    left: u32,
    /// So many were to go the last time.
    last: u32,
}

impl Habit {
    fn nature(&self) -> Nature {
        match &self.script {
            Some(script) if script.is_proven => Nature::Bound,
            _ if self.left > 0 => Nature::Roving,
            _ => Nature::Unknown,
        }
    }

    fn note_call(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    fn note_elsewhere(&mut self) {
        self.last = (self.last * 2).clamp(CALLS_MIN, CALLS_MAX);
        self.left = self.last;
    }
}

#[derive(Debug, Default)]
struct Habits {
    epoch: u64,
    scripts: ShaMap<Habit>,
    functions: HashMap<Box<[u8]>, Habit>,
}

impl Habits {
    /// What is known of the script or function of a call, if there is one.
    fn of(&mut self, row: &Command, args: &Args<'_>) -> Option<&mut Habit> {
        if args.len() < 2 {
            return None;
        }
        let epoch = registry::epoch();
        if self.epoch != epoch || self.scripts.len() + self.functions.len() > KNOWN_MAX {
            *self = Self { epoch, ..Self::default() };
        }
        let word = args.get(1);
        let sha = match row.name {
            "eval" | "eval_ro" => eval::sha_of(word),
            "evalsha" | "evalsha_ro" => Sha::parse(word)?,
            _ => return Some(self.functions.entry(word.into()).or_default()),
        };
        let habit = self.scripts.entry(sha).or_default();
        if habit.script.is_none() {
            // Of one that is not there yet nothing is known; it comes with its first call.
            habit.script = registry::find(&sha);
        }
        Some(habit)
    }
}

thread_local! {
    static HABITS: RefCell<Habits> = RefCell::default();
}

/// What is known of the script that a call of EVAL, EVALSHA or FCALL names.
pub fn nature_of(row: &Command, args: &Args<'_>) -> Nature {
    HABITS.with_borrow_mut(|habits| habits.of(row, args).map_or(Nature::Unknown, |habit| habit.nature()))
}

/// A script that touches keys of other shards is about to be called over the data of all.
pub fn note_call(row: &Command, args: &Args<'_>) {
    HABITS.with_borrow_mut(|habits| {
        if let Some(habit) = habits.of(row, args) {
            habit.note_call();
        }
    });
}

/// The call of a script has touched keys of other shards that it did not name.
pub fn note_elsewhere(row: &Command, args: &Args<'_>) {
    HABITS.with_borrow_mut(|habits| {
        let Some(habit) = habits.of(row, args) else { return };
        habit.note_elsewhere();
        match &habit.script {
            Some(script) => registry::with(|registry| registry.note_escalation(script)),
            None if row.name.starts_with("fcall") => {
                registry::with(|registry| registry.note_function_escalation(args.get(1)));
            }
            None => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_roves_is_tried_again_ever_later() {
        let mut habit = Habit::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            let mut calls = 0;
            while habit.nature() == Nature::Roving {
                habit.note_call();
                calls += 1;
            }
            waits.push(calls);
            habit.note_elsewhere();
        }
        assert_eq!(waits, [0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096]);
    }
}
