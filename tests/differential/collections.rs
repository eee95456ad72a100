//! Random commands on collections, limits that change, and what must be the same meanwhile: replies, the encodings of all
//! keys, the digest of the data.

use crate::Pair;
use crate::agree::{Mode, shortened, special};
use crate::commands::templates;
use crate::rounds::{Difference, rounds, shown};
use crate::template::Template;
use crate::words::Words;
use ringkey_tests::client::encoded;
use ringkey_tests::{Client, Reply};
use std::time::{Duration, Instant};

/// Batches in a round, which begins with empty servers; commands in a batch.
const BATCHES: usize = 60;
const BATCH: usize = 12;

/// Commands about the same keys that are shown before the one that differs.
const SHOWN: usize = 40;

/// Settings that decide on encodings, with values among which commands of a round cross them.
const LIMITS: &[(&str, &[&str])] = &[
    ("hash-max-listpack-entries", &["0", "1", "2", "5", "16", "512"]),
    ("hash-max-listpack-value", &["0", "1", "4", "11", "64", "64"]),
    ("hll-sparse-max-bytes", &["0", "20", "60", "3000"]),
    ("list-max-listpack-size", &["1", "2", "5", "16", "128", "-1", "-2", "-2"]),
    ("set-max-intset-entries", &["0", "1", "4", "16", "512"]),
    ("set-max-listpack-entries", &["0", "1", "4", "16", "128"]),
    ("set-max-listpack-value", &["0", "1", "4", "11", "64", "64"]),
    ("stream-node-max-bytes", &["0", "100", "300", "1000", "4096"]),
    ("stream-node-max-entries", &["0", "1", "3", "10", "100"]),
    ("zset-max-listpack-entries", &["0", "1", "2", "5", "16", "128"]),
    ("zset-max-listpack-value", &["0", "1", "4", "11", "64", "64"]),
];

/// So many clients watch a key each.
const WATCHERS: usize = 6;

/// A round on its way.
struct Round<'a> {
    clients: [Client; 2],
    /// Clients who watch keys while commands are carried out one by one, of ours and of the reference.
    watchers: Option<[Vec<Client>; 2]>,
    templates: &'a [Template],
    words: &'a mut Words,
    history: Vec<Vec<String>>,
    compared: u64,
}

/// Compares for so long, and returns how many commands were compared.
pub fn compare(pair: &Pair, seed: u64, time: Duration) -> u64 {
    compare_rounds(pair, seed, time, false)
}

/// The same, and after each command also which keys it has changed for those who watch them.
pub fn compare_watched(pair: &Pair, seed: u64, time: Duration) -> u64 {
    compare_rounds(pair, seed, time, true)
}

fn compare_rounds(pair: &Pair, seed: u64, time: Duration, watches: bool) -> u64 {
    let templates = known_templates(&mut pair.clients()[0]);
    rounds(seed, time, |words, end| {
        let mut round = Round {
            clients: pair.clients(),
            watchers: watches.then(|| pair.groups(WATCHERS)),
            templates: &templates,
            words,
            history: Vec::new(),
            compared: 0,
        };
        let found = round.play(end);
        (round.compared, found)
    })
}

/// The templates of commands that ours has.
pub fn known_templates(ours: &mut Client) -> Vec<Template> {
    let mut all = templates();
    if let Ok(start) = std::env::var("RINGKEY_COMMANDS") {
        all.retain(|template| template.name.starts_with(&start));
    }
    all.retain(|template| !ours.command(&["COMMAND", "INFO", template.name]).elements()[0].is_null());
    all
}

impl Round<'_> {
    fn play(&mut self, end: Instant) -> Result<(), Difference> {
        self.both(&["FLUSHALL"]);
        if self.words.rng.chance(50) {
            self.both(&["HELLO", "3"]);
        }
        for (name, _) in LIMITS {
            self.limit(name);
        }
        for batch in 0..BATCHES {
            if Instant::now() >= end {
                break;
            }
            if self.words.rng.chance(10) {
                let (name, _) = *self.words.rng.pick(LIMITS);
                self.limit(name);
            }
            self.batch()?;
            if batch % 3 == 2 {
                self.compare_encodings()?;
            }
        }
        self.compare_encodings()?;
        self.compare_digests()
    }

    fn both(&mut self, args: &[&str]) {
        self.clients.iter_mut().for_each(|client| drop(client.command(args)));
    }

    fn limit(&mut self, name: &str) {
        let values = LIMITS.iter().find(|limit| limit.0 == name).unwrap().1;
        let value = *self.words.rng.pick(values);
        let args = ["CONFIG", "SET", name, value];
        self.both(&args);
        self.history.push(args.map(str::to_owned).to_vec());
    }

    /// A command, now and then with an argument too few or too many.
    fn command(&mut self) -> Vec<String> {
        let template = self.words.rng.pick(self.templates);
        let mut args = template.fill(self.words);
        // One that blocks could get another timeout by that, and block for ever.
        if template.name.starts_with('B') {
            return args;
        }
        if self.words.rng.chance(1) && args.len() > 1 {
            args.pop();
        } else if self.words.rng.chance(1) {
            self.words.push("v", &mut args);
        }
        args
    }

    /// Some commands, those that can be sent together with others so.
    fn batch(&mut self) -> Result<(), Difference> {
        let batch: Vec<Vec<String>> = (0..1 + self.words.rng.below(BATCH)).map(|_| self.command()).collect();
        let is_watched = self.watchers.is_some();
        for run in batch.chunk_by(|a, b| !is_watched && Mode::of(a).is_plain() && Mode::of(b).is_plain()) {
            let mode = Mode::of(&run[0]);
            let watched = self.begin_watching(&run[0]);
            if mode.is_plain() {
                self.together(run)?;
            } else {
                special(mode, &run[0], &mut self.clients).map_err(|what| self.difference(&run[0], &what))?;
                self.done(&run[0]);
            }
            self.compare_watched(&run[0], &watched)?;
        }
        Ok(())
    }

    /// Each of those who watch begins to, most of them a key of the command. The keys, one for each.
    fn begin_watching(&mut self, args: &[String]) -> Vec<&'static str> {
        let Some(watchers) = &mut self.watchers else { return Vec::new() };
        let (mut keys, mut others): (Vec<&str>, Vec<&str>) =
            Words::all_keys().partition(|key| args.iter().any(|arg| arg == key));
        while keys.len() < WATCHERS {
            keys.push(others.swap_remove(self.words.rng.below(others.len())));
        }
        for group in watchers {
            for (watcher, key) in group.iter_mut().zip(&keys) {
                watcher.send(&encoded(&["WATCH", key])).unwrap();
            }
            group.iter_mut().for_each(|watcher| assert_eq!(watcher.read_reply().unwrap().lines(), ["+OK"]));
        }
        keys.truncate(WATCHERS);
        keys
    }

    /// Whose transaction is carried out, after a command? Some touch the key they watch, some another, some nothing.
    fn compare_watched(&mut self, args: &[String], watched: &[&'static str]) -> Result<(), Difference> {
        let Some(watchers) = &mut self.watchers else { return Ok(()) };
        let read: Vec<Option<&str>> = watched
            .iter()
            .map(|key| {
                let other = *self.words.rng.pick(watched);
                *self.words.rng.pick(&[None, Some(*key), Some(other)])
            })
            .collect();
        let changed = watchers.each_mut().map(|group| {
            for (watcher, key) in group.iter_mut().zip(&read) {
                let calls: &[Vec<&str>] = &match key {
                    None => vec![vec!["MULTI"], vec!["EXEC"]],
                    Some(key) => vec![vec!["MULTI"], vec!["TYPE", key], vec!["EXEC"]],
                };
                watcher.send(&calls.iter().flat_map(|call| encoded(call)).collect::<Vec<u8>>()).unwrap();
            }
            let replies = group.iter_mut().zip(&read).map(|(watcher, key)| {
                let last = if key.is_some() { 2 } else { 1 };
                (0..=last).map(|_| watcher.read_reply().unwrap()).last().is_some_and(|reply| reply.is_null())
            });
            replies.zip(watched).filter(|(is_changed, _)| *is_changed).map(|(_, key)| *key).collect::<Vec<_>>()
        });
        match changed {
            [ours, theirs] if ours == theirs => Ok(()),
            [ours, theirs] => {
                let what = format!("of the watched keys {watched:?} it has changed {ours:?}, should have {theirs:?}");
                Err(self.difference(args, &what))
            }
        }
    }

    fn done(&mut self, args: &[String]) {
        self.history.push(args.to_vec());
        self.compared += 1;
    }

    fn together(&mut self, run: &[Vec<String>]) -> Result<(), Difference> {
        let bytes: Vec<u8> = run.iter().flat_map(|args| encoded(args)).collect();
        self.clients.iter_mut().for_each(|client| client.send(&bytes).unwrap());
        let [ours, theirs] = self
            .clients
            .each_mut()
            .map(|client| run.iter().map(|_| client.read_reply().unwrap()).collect::<Vec<Reply>>());
        for (args, (ours, theirs)) in run.iter().zip(ours.iter().zip(&theirs)) {
            if !Mode::of(args).agree(args, ours, theirs) {
                let what = format!("ours:\n{}\nthe reference:\n{}", shortened(ours), shortened(theirs));
                return Err(self.difference(args, &what));
            }
            self.done(args);
        }
        Ok(())
    }

    fn compare_encodings(&mut self) -> Result<(), Difference> {
        for key in Words::all_keys() {
            let args = ["OBJECT", "ENCODING", key].map(str::to_owned);
            self.together(&[args.to_vec()])?;
        }
        Ok(())
    }

    fn compare_digests(&mut self) -> Result<(), Difference> {
        let [ours, theirs] = self.clients.each_mut().map(|client| client.run("DEBUG DIGEST"));
        if ours == theirs {
            return Ok(());
        }
        for key in Words::all_keys() {
            let args = ["DEBUG", "DIGEST-VALUE", key].map(str::to_owned);
            self.together(&[args.to_vec()])?;
        }
        Err(self.difference(&["DEBUG".to_owned(), "DIGEST".to_owned()], "the data differ, but no key's value does"))
    }

    /// What there is to say about a difference: the commands before it that have words in common with it, and limits.
    fn difference(&self, args: &[String], what: &str) -> Difference {
        let keys: Vec<&str> = Words::all_keys().filter(|key| args.iter().any(|arg| arg == key)).collect();
        let related =
            |before: &&Vec<String>| before[0] == "CONFIG" || before.iter().any(|arg| keys.contains(&arg.as_str()));
        let before: Vec<String> = self.history.iter().filter(related).map(|args| shown(args)).collect();
        let skipped = before.len().saturating_sub(SHOWN);
        let name = args[..args.len().min(if args[0] == "OBJECT" { 2 } else { 1 })].join(" ").to_uppercase();
        let text = format!(
            "{}\n{what}\nbefore it, about the same keys ({skipped} more before these):\n{}",
            shown(args),
            before[skipped..].join("\n")
        );
        (name, text)
    }
}
