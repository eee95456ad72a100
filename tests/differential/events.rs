//! Keyspace events of random commands on keys of all types: what is told, in which order. On one core all must come in the order
//! of the reference, on several the events of each key; an event of one key may overtake one of another there.

use crate::Pair;
use crate::agree::Mode;
use crate::collections::retain_known;
use crate::commands::templates;
use crate::rounds::{Difference, rounds, shown};
use crate::template::Template;
use crate::words::Words;
use ringkey_tests::Client;
use ringkey_tests::client::{PATIENCE, encoded};
use ringkey_tests::hearing::message;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Commands in a round, which begins with empty servers, and those shown before one that differs.
const COMMANDS: usize = 400;
const SHOWN: usize = 25;

/// How long events are waited for that should come.
const MISSING: Duration = Duration::from_secs(1);

/// What a listener has heard up to this has been told before.
const FENCE: &str = "fence";

/// What the templates of collections leave out. `PEXPIRE key 1` is over before the next command.
const MORE: &[&str] = &[
    "SET ( $x | $k ) $v [ ( NX | XX ) ] [ GET ] [ ( EX 1000 | KEEPTTL | EXAT $at ) ]",
    "SET $x $near",
    "SETNX $x $v",
    "SETEX $x 1000 $v",
    "SETRANGE $x $near $v",
    "GETSET $x $v",
    "GETDEL ( $x | $k )",
    "GETEX $x [ ( EX 1000 | PERSIST | EXAT $at ) ]",
    "GET ( $x | $k )",
    "MGET { $k }",
    "MSET $x $v ( $k | $x ) $v",
    "MSETNX $x $v $x $v",
    "INCRBY $x $near",
    "INCRBYFLOAT $x $float",
    "DECR $x",
    "APPEND $x $v",
    "DELIFEQ $x $v",
    "LCS $x $x",
    "EXPIRE $k 1000 [ ( NX | XX | GT | LT ) ]",
    "EXPIRE $k ( 0 | -1 )",
    "PEXPIRE $k 1",
    "PEXPIRE $k 1",
    "PERSIST $k",
    "DEL { $k }",
    "UNLINK { $k }",
    "RENAME $k $k",
    "RENAMENX $k $k",
    "MOVE $k 1",
    "COPY $k $k DB 1 [ REPLACE ]",
    "COPY $k $k [ REPLACE ]",
    "HPEXPIRE $h 1 FIELDS 1 $f",
    "SPOP $s 1000",
    "TOUCH { $k }",
    "EXISTS { $k }",
    "OBJECT ENCODING $k",
    "STRLEN $k",
    "TTL $k",
];

/// Calls what its arguments say.
const SCRIPT: &str = "return redis.pcall(unpack(ARGV))";

type Told = (String, String);

struct Round<'a> {
    clients: [Client; 2],
    listeners: [Client; 2],
    templates: &'a [Template],
    words: &'a mut Words,
    by_key: bool,
    history: Vec<String>,
    compared: u64,
}

/// Compares all events in their order.
pub fn compare(pair: &Pair, seed: u64, time: Duration) -> u64 {
    compare_rounds(pair, seed, time, false)
}

/// Compares the events of each key in their order.
pub fn compare_by_key(pair: &Pair, seed: u64, time: Duration) -> u64 {
    compare_rounds(pair, seed, time, true)
}

fn compare_rounds(pair: &Pair, seed: u64, time: Duration, by_key: bool) -> u64 {
    let mut all = templates();
    all.extend(MORE.iter().chain(MORE).map(|text| Template::new(text)));
    retain_known(&mut all, &mut pair.clients()[0]);
    for client in &mut pair.clients() {
        assert_eq!(client.run("CONFIG SET notify-keyspace-events KEAmn").lines(), ["+OK"]);
    }
    rounds(seed, time, |words, end| {
        let (clients, listeners) = (pair.clients(), pair.clients());
        let mut round = Round { clients, listeners, templates: &all, words, by_key, history: Vec::new(), compared: 0 };
        let found = round.play(end);
        (round.compared, found)
    })
}

impl Round<'_> {
    fn play(&mut self, end: Instant) -> Result<(), Difference> {
        for client in &mut self.clients {
            client.run("FLUSHALL");
        }
        for listener in &mut self.listeners {
            listener.listen("SUBSCRIBE fence");
            listener.listen("PSUBSCRIBE __key*@*__:*");
        }
        for _ in 0..COMMANDS {
            if Instant::now() >= end {
                break;
            }
            self.step()?;
        }
        Ok(())
    }

    /// One command that both servers carry out alike.
    fn command(&mut self) -> Vec<String> {
        loop {
            let template = self.words.rng.pick(self.templates);
            let args = template.fill(self.words);
            let empties = args[0].eq_ignore_ascii_case("SPOP") && args.len() == 3 && args[2] == "1000";
            if empties || !matches!(Mode::of(&args), Mode::Pop | Mode::Dump) {
                return args;
            }
        }
    }

    /// A command, a transaction or a script, and what is told of it.
    fn step(&mut self) -> Result<(), Difference> {
        let group: Vec<Vec<String>> = match self.words.rng.below(10) {
            0 => {
                let commands = (0..3).map(|_| self.command()).collect();
                [vec![vec!["MULTI".to_owned()]], commands, vec![vec!["EXEC".to_owned()]]].concat()
            }
            1 => vec![[["EVAL", SCRIPT, "0"].map(str::to_owned).to_vec(), self.command()].concat()],
            _ => vec![self.command()],
        };
        let bytes: Vec<u8> = group.iter().flat_map(|args| encoded(args)).collect();
        for client in &mut self.clients {
            client.send(&bytes).unwrap();
            group.iter().for_each(|_| drop(client.read_reply().unwrap()));
            client.command(&["PUBLISH", FENCE, ""]);
        }
        let theirs = heard(&mut self.listeners[1], 0);
        let ours = heard(&mut self.listeners[0], theirs.len());
        let agree = match self.by_key {
            true => by_key(&ours) == by_key(&theirs),
            false => ours == theirs,
        };
        let text = group.iter().map(|args| shown(args)).collect::<Vec<_>>().join("; ");
        if !agree {
            return Err(self.difference(&group, &text, &ours, &theirs));
        }
        self.history.push(text);
        self.compared += group.len() as u64;
        if group.iter().flatten().any(|word| word.to_ascii_uppercase().ends_with("PEXPIRE")) {
            std::thread::sleep(Duration::from_millis(4));
        }
        Ok(())
    }

    fn difference(&self, group: &[Vec<String>], text: &str, ours: &[Told], theirs: &[Told]) -> Difference {
        let lines =
            |told: &[Told]| told.iter().map(|(channel, text)| format!("  {channel} {text}\n")).collect::<String>();
        let keys: Vec<&str> = Words::all_keys().filter(|key| group.iter().flatten().any(|word| word == key)).collect();
        let related = |before: &&String| keys.iter().any(|key| before.contains(&format!("\"{key}\"")));
        let before: Vec<&str> = self.history.iter().filter(related).map(String::as_str).collect();
        let skipped = before.len().saturating_sub(SHOWN);
        let told = format!(
            "{text}\nours tells:\n{}the reference tells:\n{}before it, about the same keys:\n{}",
            lines(ours),
            lines(theirs),
            before[skipped..].join("\n")
        );
        let name = group.iter().map(|args| args[0].to_uppercase()).collect::<Vec<_>>().join(" ");
        (name, told)
    }
}

/// What has been told up to the fence, and what else must come: messages are at least so many.
fn heard(listener: &mut Client, at_least: usize) -> Vec<Told> {
    let mut told = Vec::new();
    let mut is_fenced = false;
    while !is_fenced || told.len() < at_least {
        if is_fenced && listener.is_quiet_for(MISSING).unwrap() {
            break;
        }
        let reply = listener.read_reply().unwrap_or_else(|error| panic!("nothing within {PATIENCE:?}: {error}"));
        match message(&reply) {
            Some(fence) if fence.channel == FENCE => is_fenced = true,
            Some(event) => told.push((event.channel, event.text)),
            None => panic!("not a message: {reply}"),
        }
    }
    told
}

/// The events of each key, in both forms.
fn by_key(told: &[Told]) -> BTreeMap<&str, Vec<&Told>> {
    let mut keys: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for one in told {
        let (channel, text) = (one.0.as_str(), one.1.as_str());
        let key = match channel.split_once("__:") {
            Some((head, key)) if head.starts_with("__keyspace@") => key,
            _ => text,
        };
        keys.entry(key).or_default().push(one);
    }
    keys
}

#[test]
fn events_of_a_key_are_in_both_forms() {
    let told = |channel: &str, text: &str| (channel.to_owned(), text.to_owned());
    let all = [told("__keyspace@0__:k", "set"), told("__keyevent@0__:del", "j"), told("__keyevent@0__:set", "k")];
    let keys = by_key(&all);
    assert_eq!((keys["k"].len(), keys["j"].len()), (2, 1));
}
