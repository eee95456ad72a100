//! Money moves between accounts on different cores, by transactions and by scripts, and tokens between purses, while
//! clients vanish at the worst moments and others are killed. Whoever counts, however they count, always finds the same
//! total; at the end it is still there, and nothing is stuck.
//!
//! `RINGKEY_SECONDS` makes it longer, `RINGKEY_SEED` replays a run's choices (never its timing),
//! `RINGKEY_TARGET=reference` shows that the test itself is right.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::encoded;
use ringkey_tests::rng::Rng;
use ringkey_tests::running::{info, wait_until};
use ringkey_tests::server::Setup;
use ringkey_tests::slot::key_on_core;
use ringkey_tests::{Client, Reply, Server};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

const CORES: usize = 4;

/// Accounts and purses; as many on each core.
const ACCOUNTS: usize = 8;
const PURSES: usize = 4;

/// What each account holds at first, and how many tokens there are in all purses.
const BALANCE: i64 = 1_000;
const TOKENS: usize = 40;

/// Of a hundred chances to leave without a word, so many are taken.
const LEAVING_PERCENT: usize = 4;

/// How often somebody is killed.
const KILLS_EVERY: Duration = Duration::from_millis(15);

/// How money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `MULTI`, two changes, `EXEC`.
    Blind,
    /// `WATCH`, two reads, two `SET` of what was computed.
    Watched,
    /// A script whose keys are declared.
    Declared,
    /// A script that is told its keys as arguments.
    Undeclared,
    /// A script that reads from a key which account comes second.
    Found,
    /// Tokens, by `BLMOVE`.
    Waiting,
    /// Tokens, by `LMOVE` in `MULTI`.
    Queued,
    /// Tokens, by a script.
    Scripted,
    /// Two commands, and everybody may look in between: what must be found out.
    Torn,
    /// The same with a token.
    TornToken,
}

/// All that are right. `RINGKEY_WAYS=Blind,Found` takes only some of them.
const WAYS: &[Way] =
    &[Way::Blind, Way::Watched, Way::Declared, Way::Undeclared, Way::Found, Way::Waiting, Way::Queued, Way::Scripted];

/// How totals are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// `MGET` of all accounts.
    MGet,
    /// A script whose keys are declared.
    Declared,
    /// A script that is told its keys as arguments.
    Undeclared,
    /// `MULTI` of `GET`s.
    Multi,
    /// `WATCH`, `GET`s one after the other, and a transaction that says whether they were of one moment.
    Watched,
    /// `MULTI` of `LLEN`s.
    Purses,
    /// Tokens by a script.
    PursesUndeclared,
}

const LOOKS: &[Look] =
    &[Look::MGet, Look::Declared, Look::Undeclared, Look::Multi, Look::Watched, Look::Purses, Look::PursesUndeclared];

impl Look {
    fn counts_tokens(self) -> bool {
        matches!(self, Self::Purses | Self::PursesUndeclared)
    }
}

const MOVES_DECLARED: &str = "redis.call('DECRBY', KEYS[1], ARGV[1]) return redis.call('INCRBY', KEYS[2], ARGV[1])";

/// Ends with an error now and then, after all has been written.
const MOVES_UNDECLARED: &str = "redis.call('DECRBY', ARGV[2], ARGV[1]) redis.call('INCRBY', ARGV[3], ARGV[1]) \
     if ARGV[4] == 'fail' then error('late') end return 1";

/// One account is declared, the other one is found.
const MOVES_FOUND: &str = "redis.call('DECRBY', KEYS[1], ARGV[1]) local other = redis.call('GET', ARGV[2]) \
     return redis.call('INCRBY', other, ARGV[1])";

const MOVES_TOKEN: &str = "return redis.call('RPOPLPUSH', ARGV[1], ARGV[2])";

const SUMS_DECLARED: &str =
    "local sum = 0 for i = 1, #KEYS do sum = sum + tonumber(redis.call('GET', KEYS[i])) end return sum";

const SUMS_UNDECLARED: &str =
    "local sum = 0 for i = 1, #ARGV do sum = sum + tonumber(redis.call('GET', ARGV[i])) end return sum";

const COUNTS_TOKENS: &str = "local sum = 0 for i = 1, #ARGV do sum = sum + redis.call('LLEN', ARGV[i]) end return sum";

/// The keys. None of them has a hash tag.
struct Bank {
    accounts: Vec<String>,
    purses: Vec<String>,
    /// Strings that hold the names of accounts.
    pointers: Vec<String>,
}

type Words = Vec<String>;

fn words<A: ToString>(parts: &[A]) -> Words {
    parts.iter().map(ToString::to_string).collect()
}

fn line(text: &str) -> Words {
    text.split(' ').map(str::to_owned).collect()
}

/// A command over several keys.
fn over(head: &str, keys: &[String]) -> Words {
    [line(head), keys.to_vec()].concat()
}

/// A script with its keys and arguments.
fn eval(source: &str, keys: &[&String], args: &[String]) -> Words {
    let head = ["EVAL".to_owned(), source.to_owned(), keys.len().to_string()];
    head.into_iter().chain(keys.iter().map(|key| (*key).clone())).chain(args.iter().cloned()).collect()
}

impl Bank {
    fn new() -> Self {
        let named = |prefix: &str, count: usize| {
            (0..count).map(|number| key_on_core(prefix, number % CORES, CORES, number * 100)).collect()
        };
        Self { accounts: named("account", ACCOUNTS), purses: named("purse", PURSES), pointers: named("way", ACCOUNTS) }
    }

    fn open(&self, client: &mut Client) {
        assert_eq!(client.run("FLUSHALL").lines(), ["+OK"]);
        for (account, pointer) in self.accounts.iter().zip(&self.pointers) {
            client.command(&["SET", account, &BALANCE.to_string()]);
            client.command(&["SET", pointer, account]);
        }
        for token in 0..TOKENS {
            client.command(&["RPUSH", &self.purses[token % PURSES], &format!("token{token}")]);
        }
    }

    /// Two different ones.
    fn two<'a>(names: &'a [String], rng: &mut Rng) -> [&'a String; 2] {
        let first = rng.below(names.len());
        let second = (first + 1 + rng.below(names.len() - 1)) % names.len();
        [&names[first], &names[second]]
    }
}

/// The connection ended: what was asked last was done or not.
struct Gone;

/// Somebody whose connection may end at any moment, by their own will or because it is killed.
struct Customer<'a> {
    server: &'a Server,
    bank: &'a Bank,
    client: Client,
    rng: Rng,
    /// Chances to leave that are taken, of a hundred.
    leaving: usize,
}

impl<'a> Customer<'a> {
    fn new(server: &'a Server, bank: &'a Bank, rng: Rng, leaving: usize) -> Self {
        Self { server, bank, client: server.client(), rng, leaving }
    }

    /// Sends the commands in one write and reads their replies.
    fn ask(&mut self, commands: &[Words]) -> Result<Vec<Reply>, Gone> {
        self.send(commands)?;
        let mut replies = Vec::with_capacity(commands.len());
        for command in commands {
            match self.client.read_reply() {
                Ok(Reply::Closed) => return Err(self.come_back()),
                Ok(reply) => replies.push(reply),
                Err(error) => panic!("{}: {error}", command.join(" ")),
            }
        }
        Ok(replies)
    }

    fn send(&mut self, commands: &[Words]) -> Result<(), Gone> {
        let bytes: Vec<u8> = commands.iter().flat_map(|words| encoded(words)).collect();
        self.client.send(&bytes).map_err(|_| self.come_back())
    }

    fn come_back(&mut self) -> Gone {
        self.client = self.server.client();
        Gone
    }

    /// A moment at which a client may vanish.
    fn may_leave(&mut self) -> Result<(), Gone> {
        if self.rng.chance(self.leaving) { Err(self.come_back()) } else { Ok(()) }
    }

    /// Asks, or vanishes once all is sent.
    fn ask_or_leave(&mut self, commands: &[Words]) -> Result<Vec<Reply>, Gone> {
        if self.rng.chance(self.leaving) {
            self.send(commands)?;
            return Err(self.come_back());
        }
        self.ask(commands)
    }

    /// Sends a transaction in one write or in several; the reply to EXEC.
    fn transaction(&mut self, commands: Vec<Words>) -> Result<Reply, Gone> {
        let mut all = vec![line("MULTI")];
        all.extend(commands);
        if self.rng.chance(50) {
            self.may_leave()?;
            let cut = 1 + self.rng.below(all.len());
            let rest = all.split_off(cut);
            for part in [all, rest] {
                let replies = self.ask(&part)?;
                let fine = replies.iter().all(|reply| matches!(reply.text().as_str(), "OK" | "QUEUED"));
                assert!(fine, "{part:?}: {replies:?}");
                self.may_leave()?;
            }
            return Ok(self.ask_or_leave(&[line("EXEC")])?.remove(0));
        }
        all.push(line("EXEC"));
        Ok(self.ask_or_leave(&all)?.pop().unwrap())
    }

    /// Moves once; true if something moved.
    fn transfer(&mut self, way: Way) -> Result<bool, Gone> {
        let accounts = Bank::two(&self.bank.accounts, &mut self.rng);
        let purses = Bank::two(&self.bank.purses, &mut self.rng);
        let amount = (1 + self.rng.below(100)).to_string();
        let [from, to] = accounts;
        match way {
            Way::Blind => {
                let calls = vec![words(&["DECRBY", from, &amount]), words(&["INCRBY", to, &amount])];
                let reply = self.transaction(calls)?;
                Ok(all_numbers(&reply, 2))
            }
            Way::Watched => self.transfer_watched(accounts, amount.parse().unwrap()),
            Way::Declared => {
                let reply = self.ask_or_leave(&[eval(MOVES_DECLARED, &accounts, &[amount])])?.remove(0);
                Ok(number_of(&reply))
            }
            Way::Undeclared => {
                let fails = self.rng.chance(10);
                let last = if fails { "fail" } else { "go on" }.to_owned();
                // Now and then only one of them is declared.
                let declared: &[&String] = if self.rng.chance(30) { &accounts[..1] } else { &[] };
                let script = eval(MOVES_UNDECLARED, declared, &[amount, from.clone(), to.clone(), last]);
                let reply = self.ask_or_leave(&[script])?.remove(0);
                assert_eq!(reply.error().is_some_and(|text| text.contains("late")), fails, "{reply}");
                Ok(fails || number_of(&reply))
            }
            Way::Found => {
                let pointer = self.rng.pick(&self.bank.pointers).clone();
                let reply = self.ask_or_leave(&[eval(MOVES_FOUND, &[from], &[amount, pointer])])?.remove(0);
                Ok(number_of(&reply))
            }
            Way::Waiting => {
                let wait = *self.rng.pick(&["0.001", "0.01", "0.05"]);
                let reply = self.ask_or_leave(&[words(&["BLMOVE", purses[0], purses[1], "LEFT", "RIGHT", wait])])?;
                Ok(token_of(&reply[0]))
            }
            Way::Queued => {
                let name = *self.rng.pick(&["LMOVE", "BLMOVE"]);
                let mut call = words(&[name, purses[0], purses[1], "RIGHT", "LEFT"]);
                // In a transaction it does not wait.
                call.extend((name == "BLMOVE").then(|| "0".to_owned()));
                let reply = self.transaction(vec![call, words(&["LLEN", purses[1]])])?;
                Ok(token_of(&reply.elements()[0]))
            }
            Way::Scripted => {
                let script = eval(MOVES_TOKEN, &[], &[purses[0].clone(), purses[1].clone()]);
                Ok(token_of(&self.ask_or_leave(&[script])?[0]))
            }
            Way::Torn => {
                self.ask(&[words(&["DECRBY", from, &amount])])?;
                self.ask(&[words(&["INCRBY", to, &amount])])?;
                Ok(true)
            }
            Way::TornToken => {
                let token = self.ask(&[words(&["LPOP", purses[0]])])?.remove(0);
                if token_of(&token) {
                    self.ask(&[words(&["RPUSH", purses[1], &token.text()])])?;
                }
                Ok(true)
            }
        }
    }

    fn transfer_watched(&mut self, [from, to]: [&String; 2], amount: i64) -> Result<bool, Gone> {
        let watch = words(&["WATCH", from, to]);
        let read = [words(&["GET", from]), words(&["GET", to])];
        let replies = if self.rng.chance(50) {
            self.ask(&[watch])?;
            self.may_leave()?;
            self.ask(&read)?
        } else {
            self.ask(&[watch, read[0].clone(), read[1].clone()])?.split_off(1)
        };
        self.may_leave()?;
        let [less, more] = [balance(&replies[0]) - amount, balance(&replies[1]) + amount];
        let calls = vec![words(&["SET", from, &less.to_string()]), words(&["SET", to, &more.to_string()])];
        let reply = self.transaction(calls)?;
        assert!(reply.is_null() || reply.elements().len() == 2, "{reply}");
        Ok(!reply.is_null())
    }

    /// Counts once; nothing if it was not of one moment.
    fn count(&mut self, look: Look) -> Result<Option<i64>, Gone> {
        let bank = self.bank;
        let gets: Vec<Words> = bank.accounts.iter().map(|account| words(&["GET", account])).collect();
        let sum = |replies: &[Reply]| replies.iter().map(balance).sum::<i64>();
        Ok(match look {
            Look::MGet => Some(sum(self.ask(&[over("MGET", &bank.accounts)])?[0].elements())),
            Look::Declared => {
                let keys: Vec<&String> = bank.accounts.iter().collect();
                Some(self.ask(&[eval(SUMS_DECLARED, &keys, &[])])?[0].integer())
            }
            Look::Undeclared => Some(self.ask(&[eval(SUMS_UNDECLARED, &[], &bank.accounts)])?[0].integer()),
            Look::Multi => Some(sum(self.transaction(gets)?.elements())),
            Look::Watched => {
                let commands =
                    [vec![over("WATCH", &bank.accounts)], gets, vec![line("MULTI"), line("PING"), line("EXEC")]];
                let commands = commands.concat();
                let replies = self.ask(&commands)?;
                let (last, values) = (&replies[replies.len() - 1], &replies[1..=ACCOUNTS]);
                (!last.is_null()).then(|| sum(values))
            }
            Look::Purses => {
                let lengths = bank.purses.iter().map(|purse| words(&["LLEN", purse])).collect();
                Some(self.transaction(lengths)?.elements().iter().map(Reply::integer).sum())
            }
            Look::PursesUndeclared => Some(self.ask(&[eval(COUNTS_TOKENS, &[], &bank.purses)])?[0].integer()),
        })
    }
}

fn balance(reply: &Reply) -> i64 {
    reply.text().parse().unwrap()
}

fn number_of(reply: &Reply) -> bool {
    reply.integer() > i64::MIN
}

fn all_numbers(reply: &Reply, count: usize) -> bool {
    assert_eq!(reply.elements().len(), count, "{reply}");
    reply.elements().iter().all(number_of)
}

/// Has a token moved, or was there none?
fn token_of(reply: &Reply) -> bool {
    assert!(reply.is_null() || reply.text().starts_with("token"), "{reply}");
    !reply.is_null()
}

/// What goes on at the same time.
struct Day<'a> {
    server: &'a Server,
    bank: &'a Bank,
    end: Instant,
    finding: Mutex<Option<String>>,
    is_over: AtomicBool,
}

impl Day<'_> {
    fn goes_on(&self) -> bool {
        Instant::now() < self.end && !self.is_over.load(Ordering::Relaxed)
    }

    fn found(&self, what: String) {
        self.finding.lock().unwrap().get_or_insert(what);
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Runs something on a thread; if it fails, the others end.
    fn run(&self, part: impl FnOnce()) {
        if let Err(cause) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(part)) {
            let text = cause.downcast_ref::<String>().cloned();
            self.found(text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default());
        }
    }

    fn moves(&self, way: Way, rng: Rng, leaving: usize, done: &AtomicU64) {
        let mut customer = Customer::new(self.server, self.bank, rng, leaving);
        while self.goes_on() {
            if let Ok(true) = customer.transfer(way) {
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn looks(&self, look: Look, rng: Rng, leaving: usize, done: &AtomicU64) {
        let mut customer = Customer::new(self.server, self.bank, rng, leaving);
        while self.goes_on() {
            let Ok(Some(sum)) = customer.count(look) else { continue };
            if let Err(what) = judged(look, sum) {
                return self.found(what);
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn kills(&self, mut rng: Rng) {
        let mut client = self.server.client();
        let own = client.run("CLIENT ID").integer();
        while self.goes_on() {
            std::thread::sleep(KILLS_EVERY);
            let list = client.run("CLIENT LIST TYPE normal").text();
            let ids = list.lines().filter_map(|line| line.strip_prefix("id=")?.split(' ').next()?.parse::<i64>().ok());
            let ids: Vec<i64> = ids.filter(|id| *id != own).collect();
            if let Some(id) = (!ids.is_empty()).then(|| *rng.pick(&ids)) {
                client.command(&["CLIENT", "KILL", "ID", &id.to_string()]);
            }
        }
    }
}

fn judged(look: Look, sum: i64) -> Result<(), String> {
    let total = if look.counts_tokens() { TOKENS as i64 } else { ACCOUNTS as i64 * BALANCE };
    if sum == total { Ok(()) } else { Err(format!("{look:?} counted {sum} instead of {total}")) }
}

/// Moves and counts for a while; how often each way moved and each look counted, or what was wrong.
fn play(server: &Server, bank: &Bank, ways: &[Way], looks: &[Look], time: Duration) -> Result<String, String> {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var("RINGKEY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(clock);
    bank.open(&mut server.client());
    let is_right = ways.iter().all(|way| WAYS.contains(way));
    // Where half a transfer is what is to be found, it must not come from somebody who has left in between.
    let leaving = if is_right { LEAVING_PERCENT } else { 0 };
    let day =
        Day { server, bank, end: Instant::now() + time, finding: Mutex::new(None), is_over: AtomicBool::new(false) };
    let done: Vec<AtomicU64> = (0..ways.len() + looks.len()).map(|_| AtomicU64::new(0)).collect();
    let (moved, counted) = done.split_at(ways.len());
    std::thread::scope(|scope| {
        let day = &day;
        let mut seeds = Rng::new(seed);
        for (way, done) in ways.iter().zip(moved) {
            let rng = Rng::new(seeds.next_u64());
            scope.spawn(move || day.run(|| day.moves(*way, rng, leaving, done)));
        }
        for (look, done) in looks.iter().zip(counted) {
            let rng = Rng::new(seeds.next_u64());
            scope.spawn(move || day.run(|| day.looks(*look, rng, leaving, done)));
        }
        let rng = Rng::new(seeds.next_u64());
        if is_right {
            scope.spawn(move || day.run(|| day.kills(rng)));
        }
    });
    if let Some(what) = day.finding.into_inner().unwrap() {
        return Err(format!("seed {seed}: {what}"));
    }
    let times = |done: &[AtomicU64]| done.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    for (way, count) in ways.iter().zip(times(moved)) {
        assert!(count >= 10, "seed {seed}: {way:?} moved only {count} times");
    }
    for (look, count) in looks.iter().zip(times(counted)) {
        // Watched accounts may be too busy for ever coming through.
        assert!(count >= 10 || *look == Look::Watched, "seed {seed}: {look:?} counted only {count} times");
    }
    Ok(format!("seed {seed}: {ways:?} moved {:?} times, {looks:?} counted {:?} times", times(moved), times(counted)))
}

/// All is there, and everything answers.
fn assert_nothing_is_lost_or_stuck(server: &Server, bank: &Bank) {
    let mut customer = Customer::new(server, bank, Rng::new(0), 0);
    for look in LOOKS {
        let Ok(Some(sum)) = customer.count(*look) else { panic!("{look:?} does not count in peace") };
        judged(*look, sum).unwrap();
    }
    let mut client = server.client();
    let mut tokens = BTreeSet::new();
    for purse in &bank.purses {
        tokens.extend(client.command(&["LRANGE", purse, "0", "-1"]).elements().iter().map(Reply::text));
    }
    assert_eq!(tokens.len(), TOKENS, "{tokens:?}");
    for account in &bank.accounts {
        assert!(client.command(&["INCRBY", account, "0"]).integer() > i64::MIN);
    }
    // A purse may be empty.
    let mut there = 0;
    for key in bank.accounts.iter().chain(&bank.purses).chain(&bank.pointers) {
        assert_eq!(client.command(&["WATCH", key]).lines(), ["+OK"]);
        assert_eq!(client.command(&["PERSIST", key]).integer(), 0);
        there += client.command(&["EVAL", "return redis.call('EXISTS', ARGV[1])", "0", key]).integer();
    }
    assert_eq!(client.run("UNWATCH").lines(), ["+OK"]);
    drop(customer);
    wait_until("nobody waits or watches any more", || {
        info(&mut client, "blocked_clients") == 0 && info(&mut client, "watching_clients") == 0
    });
    assert_eq!(client.run("DBSIZE").integer(), there);
    assert_eq!(client.run("FLUSHALL").lines(), ["+OK"]);
    assert_eq!(client.run("DBSIZE").integer(), 0);
}

#[test]
fn the_total_is_always_the_same() {
    let seconds = std::env::var("RINGKEY_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8.0);
    let server = Setup::new().cores(CORES).start();
    let bank = Bank::new();
    let chosen = |name: String| match std::env::var("RINGKEY_WAYS") {
        Ok(names) => names.split(',').any(|one| one == name),
        Err(_) => true,
    };
    let ways: Vec<Way> = WAYS.iter().copied().filter(|way| chosen(format!("{way:?}"))).collect();
    let told = play(&server, &bank, &ways, LOOKS, Duration::from_secs_f64(seconds)).unwrap();
    let _ = writeln!(std::io::stderr(), "{told}");
    assert_nothing_is_lost_or_stuck(&server, &bank);
    server.assert_alive();
}

/// Each way of counting finds out who moves in two steps.
#[test]
fn half_a_transfer_is_found() {
    let server = Setup::new().cores(CORES).start();
    let bank = Bank::new();
    for look in LOOKS {
        let torn = if look.counts_tokens() { Way::TornToken } else { Way::Torn };
        let result = play(&server, &bank, &[torn, torn], &[*look], Duration::from_secs(20));
        let refusal = result.expect_err("somebody counted while half was moved");
        assert!(refusal.contains("counted"), "{look:?}: {refusal}");
    }
}
