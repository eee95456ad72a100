//! Random small scripts around commands of all families: replies of every type that go through Lua and back, in RESP2 and RESP3,
//! errors that end a script and errors that are caught, keys that are declared and keys that are not: every reply, and the
//! data at the end.

use crate::Pair;
use crate::agree::{Mode, shortened};
use crate::collections::known_templates;
use crate::rounds::{Difference, rounds, shown};
use crate::template::Template;
use crate::transactions::mode_of;
use crate::words::Words;
use ringkey_tests::{Client, Reply};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Scripts in a round, which begins with empty servers.
const SCRIPTS: usize = 60;

/// The most calls in a script.
const CALLS: usize = 4;

/// Commands that are shown before the script that differs.
const SHOWN: usize = 30;

/// What belongs to scripts more than to collections.
const OTHERS: &[&str] = &[
    "DBSIZE",
    "FLUSHDB",
    "SELECT ( 0 | 1 | x )",
    "KEYS *",
    "PING",
    "ECHO $v",
    "DEL { $k }",
    "EXISTS { $k }",
    "MSET { $w $v }",
    "MGET { $w }",
    "SET $w $v [ GET ]",
    "INCRBYFLOAT $w $float",
    "GETDEL $w",
    "RENAME $k $k",
    "COPY $k $k REPLACE",
    "RPOPLPUSH $l $l",
    "BLPOP $l $l 0",
    "BLMOVE $l $l LEFT RIGHT 0",
    "BZMPOP 0 1 $z MIN",
    "SMOVE $s $s $v",
    "CONFIG GET maxmemory-policy",
    "CLIENT GETNAME",
    "OBJECT ENCODING $k",
    "NOSUCH $k",
    "GET",
    "MULTI",
    "WATCH $k",
    "SUBSCRIBE $v",
    "EVAL return(1) 0",
    "AUTH $v",
];

/// Statements before the calls.
const STATEMENTS: &[&str] = &[
    "local t = {} for i = 1, #KEYS do t[i] = redis.call('TYPE', KEYS[i]).ok end",
    "local t = {} for i = 1, #ARGV do t[i] = ARGV[i] .. '!' end",
    "local t = redis.call('MGET', 'w:1', 'w:2', 'x1')",
    "redis.call('SET', 'x1', 12)",
    "redis.call('SET', 'x1', 3.25)",
    "redis.call('RPUSH', 'l1', 1, 2.5, 'three')",
    "redis.pcall('SET', 'x1', nil)",
    "redis.call('SET', 'x1', {})",
    "redis.call('SET', 'x1', true)",
    "redis.call()",
    "redis.setresp(4)",
    "redis.setresp()",
    "local x = redis.pcall() or 1",
    "if redis.call('EXISTS', 'x1') == 1 then redis.call('DEL', 'x1') else redis.call('SET', 'x1', ARGV[1] or 'none') end",
    "if #KEYS > 0 then redis.call('DEL', KEYS[#KEYS]) end",
    "local t = pcall(redis.call, 'LPUSH', 'h1', 'x')",
    "math.randomseed(7)",
    "undeclared = 1",
    "local t = undeclared",
    "KEYS[1] = 'h1'",
    "error('on purpose')",
    "error({err = 'MINE on purpose'})",
    "error({err = 'on purpose', ignore_error_stats_update = true})",
    "error()",
    "error({})",
    "error(nil)",
    "local function f(n) if n == 0 then error('deep') end f(n - 1) end f(3)",
    "local t = redis.call('HGETALL', 'h1')\nlocal u = #t\n\nif u > 6 then error('many') end",
];

/// What is returned instead of the replies.
const EXPRESSIONS: &[&str] = &[
    "",
    "nil",
    "true",
    "false",
    "3.99",
    "-3.99",
    "1e15",
    "2^53",
    "''",
    "{}",
    "{1, 2, nil, 4}",
    "{1, {2, {3, {}}}, 'four'}",
    "{true, false}",
    "{a = 1}",
    "{ok = 'FINE'}",
    "{err = 'BAD thing'}",
    "{err = 'bad'}",
    "{err = ''}",
    "{ok = 1}",
    "{ok = 'two\\r\\nlines'}",
    "{err = 'two\\r\\nlines'}",
    "{double = 3.5}",
    "{double = 1e100}",
    "{double = 'x'}",
    "{map = {a = 1}}",
    "{set = {a = true}}",
    "{big_number = '12345678901234567890'}",
    "{big_number = '1\\r\\n2'}",
    "{verbatim_string = {string = 'text', format = 'txt'}}",
    "{1, {double = 0.1}, {map = {k = {ok = 'v'}}}, {err = 'E x'}}",
    "{push = {1}}",
    "function() end",
    "{function() end, 1}",
    "redis.status_reply('STATUS')",
    "redis.error_reply('ERROR reply')",
    "redis.error_reply('reply')",
    "redis.error_reply('-MINUS reply')",
    "redis.error_reply()",
    "redis.status_reply(1)",
    "redis.sha1hex('')",
    "redis.sha1hex(ARGV[1])",
    "redis.sha1hex()",
    "{#KEYS, #ARGV, KEYS[1], ARGV[1]}",
    "KEYS",
    "ARGV",
    "{type(KEYS), type(nil), type(redis.call), type(1.5)}",
    "{tostring(nil), tostring(1e15), tostring(0.1), tostring(-0)}",
    "{tonumber('0x10'), tonumber('10', 2), tonumber('1e2')}",
    "{string.format('%5.2f|%d|%s|%q', 3.14159, 42, 'x', 'a\\n'), ('x'):rep(3)}",
    "{string.byte('abc', 1, -1)}",
    "{unpack({1, 2, 3})}",
    "{math.floor(-3.5), math.max(1, 2), math.huge > 1}",
    "{select('#', 1, nil, nil), select(2, 'a', 'b', 'c')}",
    "{bit.band(255, 15), bit.bor(1, 2), bit.tohex(255), bit.lshift(1, 31)}",
    "cjson.encode({1, 2, {a = 'b'}, 'x\\n', 1.5, true})",
    "{cjson.decode('[1, 2.5, \"x\", null, {\"a\": [true]}]')[2]}",
    "cjson.decode('[1, [2, 3], \"x\"]')",
    "cjson.decode('{bad')",
    "{cmsgpack.unpack(cmsgpack.pack(1, 'x', {1, 2}, -5, 1.5))}",
    "struct.pack('>I2i4s', 1, -1, 'text')",
    "{struct.unpack('<I2', '\\1\\2')}",
    "{pcall(redis.call, 'LPUSH', 'h1', 'x')}",
    "{pcall(function() error('inner') end)}",
    "{pcall(function() error({err = 'inner'}) end)}",
    "select(2, pcall(redis.call, 'NOSUCH'))",
    "redis.pcall('NOSUCH').err",
    "redis.pcall('GET').err",
    "redis.call('SET', 'x1', 'y').ok",
    "loadstring('return ' .. (ARGV[1] or '1'))()",
    "loadstring('return 7')()",
    "{redis.REPL_ALL, redis.LOG_WARNING, redis.SERVER_NAME}",
    "rawget(_G, 'undeclared')",
    "setmetatable({}, {__index = function() return 1 end})",
    "table.concat({1, 2, 'x'}, '-')",
    "#redis.call('KEYS', '*')",
];

/// How the replies to a script are compared.
enum Returns {
    /// As they are.
    Expression,
    /// The reply to this call.
    One(Vec<String>),
    /// The replies to these calls.
    All(Vec<Vec<String>>),
}

struct Script {
    source: String,
    keys: Vec<String>,
    args: Vec<String>,
    returns: Returns,
    /// Whether replies reach it in RESP3.
    resp3: bool,
}

struct Round<'a> {
    clients: [Client; 2],
    templates: &'a [Template],
    words: &'a mut Words,
    history: Vec<String>,
    compared: u64,
}

/// Compares for so long, and returns how many commands were compared.
pub fn compare(pair: &Pair, seed: u64, time: Duration) -> u64 {
    let mut templates = known_templates(&mut pair.clients()[0]);
    // Who asks for maps in RESP3 gets them in the order of a table; sorted ones cannot be told from other arrays any more.
    templates.retain(|template| template.name != "XINFO");
    for _ in 0..templates.len().div_ceil(OTHERS.len() * 4) {
        templates.extend(OTHERS.iter().map(|text| Template::new(text)));
    }
    rounds(seed, time, |words, end| {
        let clients = pair.clients();
        let mut round = Round { clients, templates: &templates, words, history: Vec::new(), compared: 0 };
        let found = round.play(end);
        (round.compared, found)
    })
}

/// Is it a call that scripts may not make, and that changes what a connection is?
fn is_forbidden(call: &[String]) -> bool {
    ["MULTI", "WATCH", "SUBSCRIBE"].iter().any(|name| call[0].eq_ignore_ascii_case(name))
}

/// A Lua string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for byte in text.bytes() {
        match byte {
            b'\'' | b'\\' => write!(quoted, "\\{}", char::from(byte)).unwrap(),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => write!(quoted, "\\{byte:03}").unwrap(),
        }
    }
    quoted + "'"
}

impl Script {
    /// A word of a call, told in one of the ways that a script has.
    fn word(&mut self, word: &str, words: &mut Words) -> String {
        let is_key = Words::all_keys().any(|key| key == word) || word.starts_with("w:");
        let place = |list: &mut Vec<String>| {
            let at = list.iter().position(|known| known == word).unwrap_or_else(|| {
                list.push(word.to_owned());
                list.len() - 1
            });
            at + 1
        };
        match words.rng.below(10) {
            0..6 if is_key => format!("KEYS[{}]", place(&mut self.keys)),
            0..3 => format!("ARGV[{}]", place(&mut self.args)),
            3 if word.parse::<i32>().is_ok_and(|number| number.to_string() == word) => word.to_owned(),
            4 if word.len() > 1 && word.is_ascii() => format!("{}..{}", quoted(&word[..1]), quoted(&word[1..])),
            _ => quoted(word),
        }
    }
}

impl Round<'_> {
    fn play(&mut self, end: Instant) -> Result<(), Difference> {
        self.run(&["FLUSHALL".to_owned()], &Returns::Expression, false)?;
        if self.words.rng.chance(50) {
            self.clients.iter_mut().for_each(|client| drop(client.run("HELLO 3")));
        }
        for _ in 0..SCRIPTS {
            if Instant::now() >= end {
                break;
            }
            for _ in 0..self.words.rng.below(4) {
                let call = self.call();
                let waits = call[0].to_ascii_uppercase().starts_with('B');
                if !waits && !is_forbidden(&call) && mode_of(&call) == Mode::Same {
                    self.run(&call, &Returns::Expression, false)?;
                }
            }
            self.script()?;
        }
        for key in Words::all_keys() {
            self.run(&["OBJECT", "ENCODING", key].map(str::to_owned), &Returns::Expression, false)?;
            self.run(&["DEBUG", "DIGEST-VALUE", key].map(str::to_owned), &Returns::Expression, false)?;
        }
        self.run(&["DEBUG", "DIGEST"].map(str::to_owned), &Returns::Expression, false)
    }

    fn call(&mut self) -> Vec<String> {
        loop {
            let args = self.words.rng.pick(self.templates).fill(self.words);
            if mode_of(&args).is_plain() && (!is_forbidden(&args) || self.words.rng.chance(30)) {
                return args;
            }
        }
    }

    fn draw(&mut self) -> Script {
        let mut script = Script {
            source: String::new(),
            keys: Vec::new(),
            args: Vec::new(),
            returns: Returns::Expression,
            resp3: self.words.rng.chance(35),
        };
        if self.words.rng.chance(10) {
            let head = [
                "#!lua",
                "#!lua flags=no-writes",
                "#!lua flags=allow-cross-slot-keys",
                "#!lua flags=no-such",
                "#!lua x=y",
            ];
            script.source += *self.words.rng.pick(&head);
            script.source += "\n";
        }
        if script.resp3 {
            script.source += "redis.setresp(3)\n";
        }
        if self.words.rng.chance(25) {
            script.source += *self.words.rng.pick(STATEMENTS);
            script.source += "\n";
        }
        let mut calls = Vec::new();
        for number in 1..=1 + self.words.rng.below(CALLS) {
            let call = self.call();
            let told: Vec<String> = call.iter().map(|word| script.word(word, self.words)).collect();
            let api = *self.words.rng.pick(&["redis", "redis", "server"]);
            let how = *self.words.rng.pick(&["call", "pcall", "pcall"]);
            writeln!(script.source, "local r{number} = {api}.{how}({})", told.join(", ")).unwrap();
            calls.push(call);
        }
        match self.words.rng.below(10) {
            0..3 => {
                script.source += "return r1";
                script.returns = Returns::One(calls.swap_remove(0));
            }
            3..8 => {
                let all: Vec<String> = (1..=calls.len()).map(|number| format!("r{number}")).collect();
                write!(script.source, "return {{{}}}", all.join(", ")).unwrap();
                script.returns = Returns::All(calls);
            }
            _ => write!(script.source, "return {}", self.words.rng.pick(EXPRESSIONS)).unwrap(),
        }
        script
    }

    fn script(&mut self) -> Result<(), Difference> {
        let script = self.draw();
        let read_only = self.words.rng.chance(10);
        let mut command = vec![if read_only { "EVAL_RO" } else { "EVAL" }.to_owned(), script.source];
        command.push(script.keys.len().to_string());
        command.extend(script.keys);
        command.extend(script.args);
        self.run(&command, &script.returns, script.resp3)?;
        // Once more, by its name.
        if self.words.rng.chance(20) {
            let loaded = self.clients[1].command(&["EVAL", "return redis.sha1hex(ARGV[1])", "0", &command[1]]);
            command[0] = if read_only { "EVALSHA_RO" } else { "EVALSHA" }.to_owned();
            command[1] = loaded.text();
            self.run(&command, &script.returns, script.resp3)?;
        }
        Ok(())
    }

    /// Runs a command on both and compares.
    fn run(&mut self, args: &[String], returns: &Returns, resp3: bool) -> Result<(), Difference> {
        let [ours, theirs] = self.clients.each_mut().map(|client| client.command(args));
        let agree = match (returns, &ours, &theirs) {
            (Returns::One(call), ours, theirs) => agree(call, ours, theirs, resp3),
            (Returns::All(calls), Reply::Array(ours), Reply::Array(theirs)) => {
                let pairs = || calls.iter().zip(ours.iter().zip(theirs));
                ours.len() == theirs.len() && pairs().all(|(call, (ours, theirs))| agree(call, ours, theirs, resp3))
            }
            _ => in_order(&ours) == in_order(&theirs),
        };
        if agree {
            let told = theirs.lines()[0].chars().take(60).collect::<String>();
            self.history.push(format!("{} -> {told}", shown(args)));
            self.compared += 1;
            return Ok(());
        }
        let skipped = self.history.len().saturating_sub(SHOWN);
        let before = self.history[skipped..].join("\n");
        let (ours, theirs) = (shortened(&ours), shortened(&theirs));
        let name = match returns {
            Returns::One(call) => format!("a script with {}", call[0].to_uppercase()),
            // The first word of what differs tells most.
            _ => ours
                .lines()
                .zip(theirs.lines())
                .find(|(a, b)| a != b)
                .map_or_else(|| args[0].clone(), |(ours, theirs)| format!("{} {ours} {theirs}", args[0])),
        };
        let source = args.get(1).map_or("", String::as_str);
        Err((
            name,
            format!(
                "{}\nthe script:\n{source}\nours:\n{ours}\nthe reference:\n{theirs}\nbefore it ({skipped} more before):\n{before}",
                shown(args)
            ),
        ))
    }
}

/// Whether replies to a call, as a script returns them, agree.
fn agree(call: &[String], ours: &Reply, theirs: &Reply, resp3: bool) -> bool {
    let has_map = ["XREAD", "XREADGROUP", "CONFIG"].iter().any(|name| call[0].eq_ignore_ascii_case(name));
    let mode = if resp3 && has_map { Mode::Pairs } else { mode_of(call) };
    mode.agree(call, &in_order(ours), &in_order(theirs))
}

/// A reply with the elements of maps and sets, which Lua keeps in the order of its tables, in one order.
fn in_order(reply: &Reply) -> Reply {
    let all = |elements: &[Reply]| elements.iter().map(in_order).collect::<Vec<_>>();
    match reply {
        Reply::Array(elements) => Reply::Array(all(elements)),
        Reply::Set(elements) => {
            let mut elements = all(elements);
            elements.sort_by_key(Reply::lines);
            Reply::Set(elements)
        }
        Reply::Map(pairs) => {
            let mut pairs: Vec<_> = pairs.iter().map(|(key, value)| (in_order(key), in_order(value))).collect();
            pairs.sort_by_key(|(key, _)| key.lines());
            Reply::Map(pairs)
        }
        other => other.clone(),
    }
}
