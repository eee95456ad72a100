//! The debugger of scripts (SCRIPT DEBUG): a script stops before a line, and its client says how it is to go on.
//!
//! Here is what it knows and says; [`lua`] is called by the interpreter and carries orders out. A script that has stopped is one that was
//! interrupted: its stack is left, so its core serves others meanwhile, while the data of all shards stays with it. The dialogue is that of
//! Valkey's debugger, so that `valkey-cli --ldb` leads it: an order is a request, and the answer an array of lines as simple strings.

mod lua;
mod replies;
mod values;

use super::registry::Running;
use crate::clock;
pub use lua::{attach, begin, disable, enable, end, show, stop_next, tell_call, tell_error, tell_reply, with};
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Args, Request};
use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

/// So many breakpoints at most.
const BREAKPOINTS_MAX: usize = 64;

/// Values and replies are cut off behind so many bytes, until the client wishes otherwise.
const LIMIT_BYTES: usize = 256;

/// No limit is smaller.
const LIMIT_BYTES_MIN: usize = 60;

/// What is shown without a limit ends here, in bytes.
const UNLIMITED_BYTES: usize = 16 << 20;

/// So many lines are shown before and behind the one at which a script stands.
const LINES_AROUND: usize = 5;

/// So many lines are kept for the client; a script that runs on without stopping may write more.
const LOG_LINES_MAX: usize = 10_000;

/// And so many bytes, but one line at least.
const LOG_BYTES_MAX: usize = 64 << 20;

/// So many words of a call are shown.
const WORDS_SHOWN: usize = 10;

/// What becomes of what the script writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is undone at the end (YES).
    RolledBack,
    /// It stays (SYNC).
    Kept,
}

/// Why a script stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Step,
    Breakpoint,
    Called,
    Timeout,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Self::Step => "step over",
            Self::Breakpoint => "break point",
            Self::Called => "server.breakpoint() called",
            Self::Timeout => "timeout reached, infinite loop?",
        }
    }
}

/// What an order means for the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It stays where it is.
    Stay,
    /// It goes on.
    GoOn,
    /// It is to end with this error.
    End(&'static str),
    /// The interpreter is needed to carry it out.
    Lua(LuaOrder),
}

/// An order for which the interpreter is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LuaOrder {
    Locals,
    Variable,
    Trace,
    Eval,
    Call,
}

/// The debugger of one client.
#[derive(Debug)]
pub struct Debugger {
    mode: Mode,
    /// Is there a session: has the script been called?
    has_begun: bool,
    /// The source, without line ends.
    lines: Vec<Box<[u8]>>,
    /// Numbers of lines, in the order in which they were set.
    breakpoints: Vec<usize>,
    /// Does it stop at the next line, and tell of calls until then?
    is_stepping: bool,
    /// Did the script itself say that it is to stop?
    was_called: bool,
    /// The line at which the script is.
    line: usize,
    /// Where values and replies are cut off, in bytes; 0 for nowhere.
    limit: usize,
    /// Has the client been told of that?
    has_hinted: bool,
    /// Lines for the client that are still to be sent.
    log: Vec<Vec<u8>>,
    /// What they take, in bytes.
    log_bytes: usize,
    /// Lines that there was no room for.
    dropped: usize,
    /// What is to be sent, as replies.
    out: Vec<u8>,
    /// What the client wants.
    orders: VecDeque<Request>,
    /// The order that is being carried out.
    order: Request,
    /// A line that is being written.
    text: Vec<u8>,
    /// Does the script wait for an order?
    is_stopped: bool,
    /// Has the client left? Then the script runs to its end without another stop.
    is_gone: bool,
    /// Is the last stop because the script took too long?
    took_long: bool,
    /// It is to end because the client breaks the protocol.
    breach: bool,
    /// Whoever may stop it.
    running: Option<Arc<Running>>,
    /// When it last went on, in ticks.
    since: u64,
    /// After so many milliseconds without a stop it stops by itself.
    patience_ms: u64,
}

impl Debugger {
    fn new(mode: Mode) -> Self {
        Self {
            mode,
            has_begun: false,
            lines: Vec::new(),
            breakpoints: Vec::new(),
            is_stepping: true,
            was_called: false,
            line: 0,
            limit: LIMIT_BYTES,
            has_hinted: false,
            log: Vec::new(),
            log_bytes: 0,
            dropped: 0,
            out: Vec::new(),
            orders: VecDeque::new(),
            order: Request::default(),
            text: Vec::new(),
            is_stopped: false,
            is_gone: false,
            took_long: false,
            breach: false,
            running: None,
            since: 0,
            patience_ms: 0,
        }
    }

    /// The script is called.
    pub fn start(&mut self, source: &[u8], patience_ms: u64) {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let len = source.iter().rposition(|byte| !is_end(byte)).map_or(0, |last| last + 1);
        self.lines = source[..len].split(|byte| *byte == b'\n').map(Box::from).collect();
        self.has_begun = true;
        self.patience_ms = patience_ms;
    }

    /// The session is over: the client hears it.
    pub fn finish(&mut self) {
        self.say_surely("<endsession>".to_owned());
        self.send();
        self.has_begun = false;
    }

    /// Is the script called?
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Is what it writes to be undone?
    pub fn is_rolled_back(&self) -> bool {
        self.mode == Mode::RolledBack
    }

    /// Does the script wait, and is there nothing for which it could go on?
    pub fn waits(&self) -> bool {
        let is_killed = self.running.as_ref().is_some_and(|running| running.is_killed());
        self.is_stopped && self.orders.is_empty() && !self.is_gone && !self.breach && !is_killed
    }

    /// The client wants this.
    pub fn order(&mut self, order: Request) {
        self.orders.push_back(order);
    }

    /// The client has left.
    pub fn leave(&mut self) {
        self.is_gone = true;
    }

    /// The client breaks the protocol.
    pub fn break_off(&mut self) {
        self.breach = true;
    }

    /// What is to be sent to the client.
    pub fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn say(&mut self, line: impl Into<Vec<u8>>) {
        if self.log.len() < LOG_LINES_MAX && self.log_bytes < LOG_BYTES_MAX {
            let line = line.into();
            self.log_bytes += line.len();
            self.log.push(line);
        } else {
            self.dropped += 1;
        }
    }

    /// Says what the client waits for, whatever the script has said.
    fn say_surely(&mut self, line: String) {
        self.tell_dropped();
        self.log.push(line.into_bytes());
    }

    fn tell_dropped(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            self.log.push(format!("<hint> {dropped} more lines").into_bytes());
        }
    }

    /// Says what may be long.
    fn say_cut(&mut self, mut line: Vec<u8>) {
        let is_cut = self.limit > 0 && line.len() > self.limit;
        if is_cut {
            line.truncate(self.limit);
            line.extend_from_slice(b" ...");
        }
        self.say(line);
        if is_cut && !self.has_hinted {
            self.has_hinted = true;
            self.say("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
        }
    }

    /// What is shown of a value ends behind so many bytes.
    fn shown_bytes(&self) -> usize {
        if self.limit > 0 { self.limit + 1 } else { UNLIMITED_BYTES }
    }

    /// Hands over what was said, as an array.
    fn send(&mut self) {
        self.tell_dropped();
        self.log_bytes = 0;
        // Writing to a vector does not fail.
        let _ = write!(self.out, "*{}\r\n", self.log.len());
        for line in self.log.drain(..) {
            self.out.push(b'+');
            self.out.extend(line.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn say_line(&mut self, number: usize) {
        let is_breakpoint = self.breakpoints.contains(&number);
        let mark = match (number == self.line, is_breakpoint) {
            (true, true) => "->#",
            (true, false) => "-> ",
            (false, true) => "  #",
            (false, false) => "   ",
        };
        let source: &[u8] = match number.checked_sub(1).and_then(|index| self.lines.get(index)) {
            Some(source) => source,
            None => b"<out of range source code line>",
        };
        let line = [format!("{mark}{number:<3} ").as_bytes(), source].concat();
        self.say(line);
    }

    fn say_lines(&mut self, around: usize, context: usize) {
        for number in around.saturating_sub(context).max(1)..=around.saturating_add(context).min(self.lines.len()) {
            self.say_line(number);
        }
    }

    /// Says the line that was being written.
    fn say_text(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.say_cut(text);
    }

    /// Tells of a call that the script is about to make.
    fn say_call(&mut self, args: &Args<'_>) {
        let mut line = b"<command>".to_vec();
        for (index, word) in args.iter().enumerate() {
            if index == WORDS_SHOWN {
                line.extend_from_slice(format!(" ... ({} more)", args.len() - index - 1).as_bytes());
                break;
            }
            line.push(b' ');
            line.extend_from_slice(word);
        }
        self.say(line);
    }

    /// The script is at a line: does it stop? `is_count`: it is there for many steps of the interpreter.
    fn reach(&mut self, line: usize, is_count: bool) -> Option<Reason> {
        self.line = line;
        if self.is_gone {
            self.is_stepping = false;
            return None;
        }
        let reason = match (self.was_called, self.breakpoints.contains(&line)) {
            (true, _) => Reason::Called,
            (false, true) => Reason::Breakpoint,
            _ if self.is_stepping => Reason::Step,
            _ if !is_count => return None,
            _ => {
                let nanos = clock::nanos_of(clock::ticks().saturating_sub(self.since));
                if nanos / 1_000_000 < self.patience_ms {
                    return None;
                }
                Reason::Timeout
            }
        };
        (self.is_stepping, self.was_called) = (false, false);
        self.took_long = reason == Reason::Timeout;
        self.say_surely(format!("* Stopped at {line}, stop reason = {}", reason.text()));
        self.say_line(line);
        self.send();
        Some(reason)
    }

    /// Begins to carry out the next order, which is kept in `order`; none if there is nothing to be done before another comes.
    fn next(&mut self) -> Option<Next> {
        if self.is_gone {
            // The script goes on alone. One that seems never to end does not.
            self.breakpoints.clear();
            return Some(match self.took_long {
                true => Next::End("timeout during Lua debugging with client closing connection"),
                false => Next::GoOn,
            });
        }
        if let Some(order) = self.orders.pop_front() {
            self.order = order;
            return Some(self.heed());
        }
        self.breach.then_some(Next::End("protocol error"))
    }

    fn heed(&mut self) -> Next {
        const UNKNOWN: &str = "<error> Unknown debugger command or wrong number of arguments.";
        let order = std::mem::take(&mut self.order);
        let args = order.args();
        let name = if args.is_empty() { Vec::new() } else { args.get(0).to_ascii_lowercase() };
        let next = match (name.as_slice(), args.len()) {
            (b"h" | b"help", 1) => {
                HELP.iter().for_each(|line| self.say(*line));
                Next::Stay
            }
            (b"s" | b"step" | b"n" | b"next", 1) => {
                self.is_stepping = true;
                Next::GoOn
            }
            (b"c" | b"continue", 1) => Next::GoOn,
            (b"a" | b"abort", 1) => Next::End("script aborted for user request"),
            (b"t" | b"trace", 1) => Next::Lua(LuaOrder::Trace),
            (b"max" | b"maxlen", 1) => {
                self.say(format!("Current maxlen is {}", self.limit));
                Next::Stay
            }
            (b"max" | b"maxlen", 2) => {
                self.set_limit(args.get(1));
                Next::Stay
            }
            (b"b" | b"break", 1) => {
                self.say_breakpoints();
                Next::Stay
            }
            (b"b" | b"break", 2) => {
                self.set_breakpoint(args.get(1));
                Next::Stay
            }
            (b"l" | b"list", 1..=3) => {
                let number = |index| args.iter().nth(index).and_then(parse_integer);
                let around = number(1).filter(|line| *line > 0).map_or(self.line, |line| line as usize);
                let context = if args.len() > 2 { number(2).unwrap_or(0).max(0) as usize } else { LINES_AROUND };
                self.say_lines(around, context);
                Next::Stay
            }
            (b"w" | b"whole", 1) => {
                self.say_lines(1, usize::MAX);
                Next::Stay
            }
            (b"p" | b"print", 1) => Next::Lua(LuaOrder::Locals),
            (b"p" | b"print", 2) => Next::Lua(LuaOrder::Variable),
            (b"e" | b"eval", 2..) => Next::Lua(LuaOrder::Eval),
            (b"r" | b"redis" | b"v" | b"valkey" | b"server", 2..) => Next::Lua(LuaOrder::Call),
            _ => {
                self.say(UNKNOWN);
                Next::Stay
            }
        };
        self.order = order;
        next
    }

    fn set_limit(&mut self, word: &[u8]) {
        self.has_hinted = true;
        let Some(limit) = parse_integer(word).and_then(|limit| usize::try_from(limit).ok()) else {
            return self.say("<error> Invalid maxlen value.");
        };
        self.limit = if limit == 0 { 0 } else { limit.max(LIMIT_BYTES_MIN) };
        match self.limit {
            0 => self.say("<value> replies are not truncated."),
            limit => self.say(format!("<value> replies are truncated at {limit} bytes.")),
        }
    }

    fn say_breakpoints(&mut self) {
        if self.breakpoints.is_empty() {
            return self.say("No breakpoints set. Use 'b <line>' to add one.");
        }
        self.say(format!("{} breakpoints set:", self.breakpoints.len()));
        for line in self.breakpoints.clone() {
            self.say_line(line);
        }
    }

    fn set_breakpoint(&mut self, word: &[u8]) {
        let Some(line) = parse_integer(word) else {
            return self.say([b"Invalid argument:'", word, b"'"].concat());
        };
        let number = line.unsigned_abs() as usize;
        match line {
            0 => {
                self.breakpoints.clear();
                self.say("All breakpoints removed.");
            }
            ..0 => match self.breakpoints.iter().position(|known| *known == number) {
                Some(at) => {
                    self.breakpoints.remove(at);
                    self.say("Breakpoint removed.");
                }
                None => self.say("No breakpoint in the specified line."),
            },
            _ if self.breakpoints.len() == BREAKPOINTS_MAX => self.say("Too many breakpoints set."),
            _ if number > self.lines.len() => self.say("Wrong line number."),
            _ => {
                if !self.breakpoints.contains(&number) {
                    self.breakpoints.push(number);
                }
                self.say_lines(number, 1);
            }
        }
    }
}

const HELP: &[&str] = &[
    "The debugger of scripts understands:",
    "[h]elp               These lines.",
    "[s]tep, [n]ext       Go on to the next line that is reached.",
    "[c]ontinue           Go on to the next breakpoint, or to the end.",
    "[l]ist [line] [ctx]  Source lines, [ctx] (5) on both sides of [line] or",
    "                     of the current one.",
    "[w]hole              The whole source.",
    "[p]rint [var]        The value of a local variable, of KEYS or of ARGV;",
    "                     without [var] those of all locals.",
    "[b]reak [line]       Set a breakpoint, remove one (-line) or all (0);",
    "                     without [line] show all.",
    "[t]race              Which functions called each other to get here.",
    "[e]val <code>        Run a piece of Lua, which does not see the locals.",
    "[v]alkey <cmd>       Carry out a command, as the script would.",
    "[max]len [len]       After how many bytes values are cut off; 0: never.",
    "[a]bort              End the script here. With SYNC what it wrote stays.",
    "",
    "Scripts may call:",
    "server.debug(...)    Show values here.",
    "server.breakpoint()  Stop before the next line.",
];
