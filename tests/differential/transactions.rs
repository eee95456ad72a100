//! Random transactions of commands of all families, with errors when they are queued and when they run, over several keys and
//! databases, watched or not, while a second connection writes or does not: every reply, and the data at the end.

use crate::Pair;
use crate::agree::{Mode, shortened};
use crate::collections::{known_templates, retain_known};
use crate::rounds::{Difference, rounds, shown};
use crate::template::Template;
use crate::words::Words;
use ringkey_tests::client::encoded;
use ringkey_tests::{Client, Reply};
use std::time::{Duration, Instant};

/// Transactions in a round, which begins with empty servers.
const TRANSACTIONS: usize = 40;

/// The longest transaction.
const CALLS: usize = 8;

/// Lines that are shown before what differs.
const SHOWN: usize = 40;

/// What belongs to transactions more than to collections: databases, all keys, many keys, the process, refusals.
const OTHERS: &[&str] = &[
    "DBSIZE",
    "DBSIZE",
    "FLUSHALL [ ( SYNC | ASYNC | FOO ) ]",
    "FLUSHDB",
    "SELECT ( 0 | 0 | 0 | 1 | 99 | x )",
    "SELECT ( 0 | 1 )",
    "SWAPDB ( 0 | 1 ) ( 0 | 1 | x )",
    "MOVE $k ( 0 | 1 | x )",
    "KEYS ( * | l* | nothing )",
    "PING [ $v ]",
    "ECHO $v",
    "TOUCH { $k }",
    "DEL { $k }",
    "UNLINK { $k }",
    "EXISTS { $k }",
    "MSET { $w $v }",
    "MSETNX $w $v $w $v",
    "MGET { $w }",
    "SET $w $v [ GET ]",
    "INCR $w",
    "APPEND $x $v",
    "GETDEL $w",
    "RENAME $w $w",
    "COPY $k $k [ DB ( 0 | 1 ) ] [ REPLACE ]",
    "LCS $x $x",
    "RPOPLPUSH $l $l",
    "BLMOVE $l $l LEFT RIGHT 0",
    "BLPOP $l $l $l 0",
    "BLMPOP 0 2 $l $l LEFT",
    "BZPOPMIN $z $z 0",
    "SMOVE $s $s $v",
    "CLIENT SETNAME ( one | two )",
    "CLIENT GETNAME",
    "CONFIG GET maxmemory-policy",
    "OBJECT ENCODING $k",
    "WAIT 0 0",
    "COMMAND GETKEYS SET a b",
    "NOSUCH $k",
    "GET",
    "SET $x",
    "MULTI",
    "WATCH $k",
    "UNWATCH",
    "EVAL return{redis.call('SET',KEYS[1],ARGV[1]),redis.call('GET',KEYS[2])} 2 $w $w $v",
    "EVAL return{redis.call('SET',ARGV[2],ARGV[1]),redis.call('DBSIZE')} 0 $v $w",
    "EVAL return{redis.pcall('LPUSH',KEYS[1],ARGV[1]),redis.pcall('SADD',ARGV[2],ARGV[1])} 1 $k $v $k",
    "EVAL return(redis.call('INCR',KEYS[1])) 1 $k",
];

struct Round<'a> {
    /// The connections with transactions.
    clients: [Client; 2],
    /// Those that may come between.
    others: [Client; 2],
    templates: &'a [Template],
    words: &'a mut Words,
    history: Vec<String>,
    compared: u64,
}

/// Compares for so long, and returns how many commands were compared.
pub fn compare(pair: &Pair, seed: u64, time: Duration) -> u64 {
    let mut templates = known_templates(&mut pair.clients()[0]);
    // What the process answers runs before or behind what the keys answer: of the data it may tell another moment of the
    // transaction.
    templates.retain(|template| template.name != "DEBUG");
    // A third of the calls.
    for _ in 0..templates.len().div_ceil(OTHERS.len() * 2) {
        templates.extend(OTHERS.iter().map(|text| Template::new(text)));
    }
    retain_known(&mut templates, &mut pair.clients()[0]);
    rounds(seed, time, |words, end| {
        let (clients, others) = (pair.clients(), pair.clients());
        let mut round = Round { clients, others, templates: &templates, words, history: Vec::new(), compared: 0 };
        let found = round.play(end);
        (round.compared, found)
    })
}

impl Round<'_> {
    fn play(&mut self, end: Instant) -> Result<(), Difference> {
        self.exchange(false, &[vec!["FLUSHALL".to_owned()]])?;
        if self.words.rng.chance(50) {
            self.clients.iter_mut().for_each(|client| drop(client.run("HELLO 3")));
        }
        for _ in 0..TRANSACTIONS {
            if Instant::now() >= end {
                break;
            }
            self.transaction()?;
        }
        for database in ["0", "1"] {
            let select = ["SELECT", database].map(str::to_owned).to_vec();
            let encoding = |key: &str| ["OBJECT", "ENCODING", key].map(str::to_owned).to_vec();
            let all: Vec<Vec<String>> = std::iter::once(select).chain(Words::all_keys().map(encoding)).collect();
            self.exchange(true, &all)?;
            for key in Words::all_keys() {
                self.exchange(true, &[["DEBUG", "DIGEST-VALUE", key].map(str::to_owned).to_vec()])?;
            }
        }
        self.exchange(true, &[["DEBUG", "DIGEST"].map(str::to_owned).to_vec()])
    }

    /// A command that can be compared whatever else is sent with it.
    fn command(&mut self) -> Vec<String> {
        loop {
            let template = self.words.rng.pick(self.templates);
            let mut args = template.fill(self.words);
            if !Mode::of(&args).is_plain() {
                continue;
            }
            let may_wait = template.name.starts_with('B');
            if self.words.rng.chance(1) && args.len() > 1 && !may_wait {
                args.pop();
            }
            return args;
        }
    }

    /// One that does not wait for ever where it may wait.
    fn command_outside(&mut self) -> Vec<String> {
        loop {
            let args = self.command();
            let waits = args[0].to_ascii_uppercase().starts_with('B') && args.iter().any(|arg| arg == "0");
            let begins = ["MULTI", "WATCH"].iter().any(|name| args[0].eq_ignore_ascii_case(name));
            if !waits && !begins {
                return args;
            }
        }
    }

    fn between(&mut self) -> Result<(), Difference> {
        for _ in 0..self.words.rng.below(3) {
            let args = self.command_outside();
            self.exchange(true, &[args])?;
        }
        Ok(())
    }

    fn transaction(&mut self) -> Result<(), Difference> {
        if self.words.rng.chance(40) {
            for _ in 0..1 + self.words.rng.below(2) {
                let keys: Vec<&str> = Words::all_keys().collect();
                let some = (0..1 + self.words.rng.below(4)).map(|_| (*self.words.rng.pick(&keys)).to_owned());
                let watch = std::iter::once("WATCH".to_owned()).chain(some).collect();
                self.exchange(false, &[watch])?;
            }
            if self.words.rng.chance(40) {
                self.between()?;
            }
        }
        for _ in 0..self.words.rng.below(3) {
            let args = self.command_outside();
            self.exchange(false, &[args])?;
        }
        let mut all = vec![vec!["MULTI".to_owned()]];
        all.extend((0..self.words.rng.below(CALLS + 1)).map(|_| self.command()));
        let end = ["EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "exec", "DISCARD"];
        all.push(vec![(*self.words.rng.pick(&end)).to_owned()]);
        if self.words.rng.chance(50) {
            let rest = all.split_off(1 + self.words.rng.below(all.len() - 1));
            self.exchange(false, &all)?;
            if self.words.rng.chance(40) {
                self.between()?;
            }
            all = rest;
        }
        self.exchange(false, &all)
    }

    /// Sends commands in one write to both, over the connections with transactions or over the others, and compares.
    fn exchange(&mut self, others: bool, commands: &[Vec<String>]) -> Result<(), Difference> {
        let bytes: Vec<u8> = commands.iter().flat_map(|args| encoded(args)).collect();
        let clients = if others { &mut self.others } else { &mut self.clients };
        clients.iter_mut().for_each(|client| client.send(&bytes).unwrap());
        let mut read =
            |which: usize| commands.iter().map(|_| clients[which].read_reply().unwrap()).collect::<Vec<Reply>>();
        let (ours, theirs) = (read(0), read(1));
        let who = if others { "other: " } else { "" };
        for (args, (ours, theirs)) in commands.iter().zip(ours.iter().zip(&theirs)) {
            if let Err((args, what)) = self.agree(args, ours, theirs) {
                return Err(self.difference(&args, &what));
            }
            let told = theirs.lines();
            let told = told[0].chars().take(60).collect::<String>();
            self.history.push(format!("{who}{} -> {told}", shown(args)));
            self.compared += 1;
        }
        Ok(())
    }

    /// Whether two replies agree; those to EXEC call by call. The calls are found in the history.
    fn agree(&self, args: &[String], ours: &Reply, theirs: &Reply) -> Result<(), (Vec<String>, String)> {
        let differ = || format!("ours:\n{}\nthe reference:\n{}", shortened(ours), shortened(theirs));
        match (ours, theirs) {
            (Reply::Array(ours), Reply::Array(theirs)) if args[0].eq_ignore_ascii_case("EXEC") => {
                if ours.len() != theirs.len() {
                    return Err((args.to_vec(), differ()));
                }
                let queued: Vec<&String> =
                    self.history.iter().rev().filter(|line| line.ends_with("-> +QUEUED")).take(ours.len()).collect();
                for ((line, ours), theirs) in queued.iter().rev().zip(ours).zip(theirs) {
                    let call = words_of(line);
                    if !mode_of(&call).agree(&call, ours, theirs) {
                        return Err((call, format!("in an EXEC, {}", differ())));
                    }
                }
                Ok(())
            }
            _ if mode_of(args).agree(args, ours, theirs) => Ok(()),
            _ => Err((args.to_vec(), differ())),
        }
    }

    fn difference(&self, args: &[String], what: &str) -> Difference {
        let skipped = self.history.len().saturating_sub(SHOWN);
        let before = self.history[skipped..].join("\n");
        (args[0].to_uppercase(), format!("{}\n{what}\nbefore it ({skipped} more before these):\n{before}", shown(args)))
    }
}

/// What replies to a command have in common here.
pub fn mode_of(args: &[String]) -> Mode {
    if args[0].eq_ignore_ascii_case("KEYS") { Mode::Unordered } else { Mode::of(args) }
}

/// Name and second word of a command as it was shown: enough to know how its replies are compared.
fn words_of(line: &str) -> Vec<String> {
    line.trim_start_matches("other: ").split(' ').map(|word| word.trim_matches('"').to_owned()).collect()
}
