//! Which scripts are *proven*: it is certain, from their source alone, that they touch only the keys that a call names.
//!
//! Such a script needs no way back: it never finds in its midst that it needs a key that is elsewhere. Most small scripts are
//! of this kind (limits, locks, counters), and they are what is called most often.
//!
//! The source is parsed as Lua 5.1, names are found in their scopes, and of each call of a command it is asked whether its
//! keys are elements of `KEYS`, or variables that hold nothing else. Wherever this is not certain the answer is no, and it
//! is no whenever the table `KEYS`, the table of commands or the environment could be had in any way that is not followed here.
//! The answer may be no for a script that is harmless; a yes must be true.

mod receivers;
mod tokens;

use crate::command::keys::{Begin, Find, KeyFlags, KeyRule};
use crate::command::{Command, Flags, Run, Spread, table};
pub use receivers::ignores_receivers;
use smallvec::SmallVec;
use tokens::{Token, Tokens, Word};

/// Longer sources are not looked at, in bytes.
const SOURCE_BYTES_MAX: usize = 64 << 10;

/// Nor such with deeper nesting: each level takes some of the stack.
const DEPTH_MAX: usize = 60;

/// Nor such where more variables are in scope at once.
const VISIBLE_MAX: usize = 200;

/// Global names that may be used in any way: nothing that they lead to knows keys or commands.
const HARMLESS: [&[u8]; 26] = [
    b"ARGV",
    b"assert",
    b"bit",
    b"cjson",
    b"cmsgpack",
    b"coroutine",
    b"error",
    b"getmetatable",
    b"ipairs",
    b"math",
    b"next",
    b"os",
    b"pairs",
    b"pcall",
    b"rawequal",
    b"rawget",
    b"select",
    b"setmetatable",
    b"string",
    b"struct",
    b"table",
    b"tonumber",
    b"tostring",
    b"type",
    b"unpack",
    b"xpcall",
];

/// What the table of commands has besides `call` and `pcall`.
const OTHER_FIELDS: [&[u8]; 10] = [
    b"acl_check_cmd",
    b"breakpoint",
    b"debug",
    b"error_reply",
    b"log",
    b"replicate_commands",
    b"set_repl",
    b"setresp",
    b"sha1hex",
    b"status_reply",
];

/// Constants of it begin so.
const CONSTANTS: [&[u8]; 5] = [b"LOG_", b"REPL_", b"SERVER_", b"VALKEY_", b"REDIS_"];

/// Commands without keys that touch none.
const KEYLESS: [&str; 4] = ["echo", "ping", "publish", "time"];

/// Commands that may touch more than their keys in the database at hand.
const WIDE: [&str; 2] = ["copy", "move"];

/// Is it certain that a script with this source touches only the keys that its calls name?
pub fn is_proven(code: &[u8]) -> bool {
    code.len() <= SOURCE_BYTES_MAX && Prover::new(code).and_then(Prover::run).is_some()
}

/// What is known of the value of an expression.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    /// An element of `KEYS`, or nil.
    Key,
    /// What a variable holds.
    Variable(usize),
    /// These bytes.
    Text(&'a [u8]),
    /// Nothing: as a key it is refused.
    Nil,
    /// Any value.
    Any,
    /// Any number of values: a call or `...`.
    Many,
}

type Values<'a> = SmallVec<[Value<'a>; 8]>;

/// What an expression is that may stand to the left of `=`.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// A variable.
    Variable(usize),
    /// A field of some table, which is not `KEYS`.
    Field,
    /// Nothing that can be assigned to.
    None,
    /// A call: a statement by itself.
    Call,
}

/// A pass over a source. Every step answers `None` when the script is not proven.
struct Prover<'a> {
    tokens: Tokens<'a>,
    token: Token<'a>,
    depth: usize,
    /// The variables in scope: name and number.
    visible: Vec<(&'a [u8], usize)>,
    /// Of each variable, in or out of scope: may it hold anything but keys?
    tainted: Vec<bool>,
    /// The first of each pair may hold what the second holds.
    flows: Vec<(usize, usize)>,
    /// Variables that were given for keys.
    wanted: Vec<usize>,
}

impl<'a> Prover<'a> {
    fn new(code: &'a [u8]) -> Option<Self> {
        let mut tokens = Tokens::new(code);
        let token = tokens.advance()?;
        Some(Self {
            tokens,
            token,
            depth: 0,
            visible: Vec::new(),
            tainted: Vec::new(),
            flows: Vec::new(),
            wanted: Vec::new(),
        })
    }

    fn run(mut self) -> Option<()> {
        self.block()?;
        if self.token != Token::End {
            return None;
        }
        // What flows from anything but keys is anything: from one variable on to the next, until nothing changes.
        let mut targets = vec![SmallVec::<[usize; 2]>::new(); self.tainted.len()];
        self.flows.iter().for_each(|(target, source)| targets[*source].push(*target));
        let mut open: Vec<usize> = (0..self.tainted.len()).filter(|variable| self.tainted[*variable]).collect();
        while let Some(variable) = open.pop() {
            for target in &targets[variable] {
                if !std::mem::replace(&mut self.tainted[*target], true) {
                    open.push(*target);
                }
            }
        }
        self.wanted.iter().all(|variable| !self.tainted[*variable]).then_some(())
    }

    // Tokens.

    fn step(&mut self) -> Option<Token<'a>> {
        let next = self.tokens.advance()?;
        Some(std::mem::replace(&mut self.token, next))
    }

    fn is_sign(&self, sign: u8) -> bool {
        self.token == Token::Sign(sign, 0)
    }

    fn is_word(&self, word: Word) -> bool {
        self.token == Token::Word(word)
    }

    /// Takes this sign if it comes next.
    fn accept(&mut self, sign: u8) -> Option<bool> {
        let is_next = self.is_sign(sign);
        if is_next {
            self.step()?;
        }
        Some(is_next)
    }

    fn expect(&mut self, sign: u8) -> Option<()> {
        self.accept(sign)?.then_some(())
    }

    fn expect_word(&mut self, word: Word) -> Option<()> {
        let is_next = self.is_word(word);
        self.step()?;
        is_next.then_some(())
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        match self.step()? {
            Token::Name(name) => Some(name),
            _ => None,
        }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    // Variables.

    /// A variable that holds nothing yet and is not in scope yet.
    fn variable(&mut self) -> usize {
        self.tainted.push(false);
        self.tainted.len() - 1
    }

    fn show(&mut self, name: &'a [u8], variable: usize) -> Option<()> {
        self.visible.push((name, variable));
        (self.visible.len() <= VISIBLE_MAX).then_some(())
    }

    /// A variable in scope that may hold anything.
    fn show_any(&mut self, name: &'a [u8]) -> Option<()> {
        let variable = self.variable();
        self.tainted[variable] = true;
        self.show(name, variable)
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.visible.iter().rev().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }

    fn assign(&mut self, variable: usize, value: Value<'a>) {
        match value {
            Value::Key | Value::Nil => {}
            Value::Variable(source) => self.flows.push((variable, source)),
            Value::Text(_) | Value::Any | Value::Many => self.tainted[variable] = true,
        }
    }

    /// The value at this place of a list: one that is missing is nil unless a call may bring it.
    fn value_at(values: &Values<'a>, index: usize) -> Value<'a> {
        match (values.get(index), values.last()) {
            (Some(value), _) => *value,
            (None, Some(Value::Many)) => Value::Any,
            (None, _) => Value::Nil,
        }
    }

    // Statements.

    /// A block up to the word that ends it, which is not taken.
    fn block(&mut self) -> Option<()> {
        let outside = self.visible.len();
        self.open_block()?;
        self.visible.truncate(outside);
        Some(())
    }

    /// The same, and its variables stay in scope.
    fn open_block(&mut self) -> Option<()> {
        self.deeper(|this| {
            loop {
                match this.token {
                    Token::End | Token::Word(Word::End | Word::Else | Word::ElseIf | Word::Until) => return Some(()),
                    Token::Sign(b';', 0) => {
                        this.step()?;
                    }
                    _ => this.statement()?,
                }
            }
        })
    }

    fn statement(&mut self) -> Option<()> {
        let Token::Word(word) = self.token else { return self.assignment_or_call() };
        self.step()?;
        match word {
            Word::If => self.branches(),
            Word::While => {
                self.expression()?;
                self.loop_body()
            }
            Word::Do => {
                self.block()?;
                self.expect_word(Word::End)
            }
            Word::For => self.for_loop(),
            Word::Repeat => {
                let outside = self.visible.len();
                self.open_block()?;
                self.expect_word(Word::Until)?;
                self.expression()?;
                self.visible.truncate(outside);
                Some(())
            }
            Word::Function => self.function_statement(),
            Word::Local => self.local(),
            Word::Return => match self.token {
                Token::End
                | Token::Sign(b';', _)
                | Token::Word(Word::End | Word::Else | Word::ElseIf | Word::Until) => Some(()),
                _ => self.expressions().map(drop),
            },
            Word::Break => Some(()),
            _ => None,
        }
    }

    fn branches(&mut self) -> Option<()> {
        loop {
            self.expression()?;
            self.expect_word(Word::Then)?;
            self.block()?;
            match self.step()? {
                Token::Word(Word::ElseIf) => {}
                Token::Word(Word::Else) => {
                    self.block()?;
                    return self.expect_word(Word::End);
                }
                Token::Word(Word::End) => return Some(()),
                _ => return None,
            }
        }
    }

    fn loop_body(&mut self) -> Option<()> {
        self.expect_word(Word::Do)?;
        self.block()?;
        self.expect_word(Word::End)
    }

    fn for_loop(&mut self) -> Option<()> {
        let outside = self.visible.len();
        let mut names: SmallVec<[&'a [u8]; 4]> = SmallVec::new();
        names.push(self.name()?);
        if self.accept(b'=')? {
            self.expressions()?;
            self.show_any(names[0])?;
        } else {
            while self.accept(b',')? {
                names.push(self.name()?);
            }
            self.expect_word(Word::In)?;
            let over_keys = self.walk_over_keys()?;
            if !over_keys {
                self.expressions()?;
            }
            for (index, name) in names.into_iter().enumerate() {
                match over_keys && index > 0 {
                    true => {
                        let variable = self.variable();
                        self.show(name, variable)?;
                    }
                    false => self.show_any(name)?,
                }
            }
        }
        self.loop_body()?;
        self.visible.truncate(outside);
        Some(())
    }

    /// Takes `ipairs(KEYS)` or `pairs(KEYS)` if nothing else stands between `in` and `do`.
    fn walk_over_keys(&mut self) -> Option<bool> {
        let is_walk = matches!(self.token, Token::Name(b"ipairs" | b"pairs"));
        let are_global =
            self.find(b"ipairs").is_none() && self.find(b"pairs").is_none() && self.find(b"KEYS").is_none();
        let mut ahead = self.tokens;
        let mut follows = |expected: Token<'_>| ahead.advance() == Some(expected);
        let is_walk = is_walk
            && are_global
            && follows(Token::Sign(b'(', 0))
            && follows(Token::Name(b"KEYS"))
            && follows(Token::Sign(b')', 0))
            && follows(Token::Word(Word::Do));
        if is_walk {
            (0..4).try_for_each(|_| self.step().map(drop))?;
        }
        Some(is_walk)
    }

    fn function_statement(&mut self) -> Option<()> {
        let name = self.name()?;
        // Global functions are none of the script's business.
        let variable = self.find(name)?;
        let (mut is_field, mut is_method) = (false, false);
        while !is_method && (self.is_sign(b'.') || self.is_sign(b':')) {
            is_method = self.is_sign(b':');
            is_field = true;
            self.step()?;
            self.name()?;
        }
        if !is_field {
            self.assign(variable, Value::Any);
        }
        self.function_body(is_method)
    }

    fn local(&mut self) -> Option<()> {
        if self.is_word(Word::Function) {
            self.step()?;
            let name = self.name()?;
            self.show_any(name)?;
            return self.function_body(false);
        }
        let mut names: SmallVec<[&'a [u8]; 4]> = SmallVec::new();
        names.push(self.name()?);
        while self.accept(b',')? {
            names.push(self.name()?);
        }
        let values = if self.accept(b'=')? { self.expressions()? } else { Values::new() };
        for (index, name) in names.into_iter().enumerate() {
            let variable = self.variable();
            self.assign(variable, Self::value_at(&values, index));
            self.show(name, variable)?;
        }
        Some(())
    }

    fn assignment_or_call(&mut self) -> Option<()> {
        let mut places: SmallVec<[Place; 4]> = SmallVec::new();
        let (_, first) = self.suffixed()?;
        if let Place::Call = first {
            return Some(());
        }
        places.push(first);
        while self.accept(b',')? {
            places.push(self.suffixed()?.1);
        }
        self.expect(b'=')?;
        let values = self.expressions()?;
        for (index, place) in places.into_iter().enumerate() {
            match place {
                Place::Variable(variable) => self.assign(variable, Self::value_at(&values, index)),
                Place::Field => {}
                Place::None | Place::Call => return None,
            }
        }
        Some(())
    }

    // Expressions.

    fn expressions(&mut self) -> Option<Values<'a>> {
        let mut values = Values::new();
        loop {
            values.push(self.expression()?);
            if !self.accept(b',')? {
                break;
            }
        }
        // Only the last one brings more than one value.
        let last = values.len() - 1;
        for value in &mut values[..last] {
            if let Value::Many = value {
                *value = Value::Any;
            }
        }
        Some(values)
    }

    fn expression(&mut self) -> Option<Value<'a>> {
        self.deeper(Self::operands)
    }

    /// Operands with operators between and before them; how they bind does not matter.
    fn operands(&mut self) -> Option<Value<'a>> {
        let mut is_computed = false;
        loop {
            while self.is_word(Word::Not) || self.is_sign(b'-') || self.is_sign(b'#') {
                is_computed = true;
                if let Token::Sign(b'#', 0) = self.step()?
                    && self.token == Token::Name(b"KEYS")
                    && self.find(b"KEYS").is_none()
                {
                    // The number of keys; not of one of them.
                    let mut ahead = self.tokens;
                    if ahead.advance()? != Token::Sign(b'[', 0) {
                        self.token = Token::Number;
                    }
                }
            }
            let value = self.operand()?;
            let is_operator = matches!(
                self.token,
                Token::Sign(b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>', 0)
                    | Token::Sign(b'.', b'.')
                    | Token::Sign(b'=' | b'~' | b'<' | b'>', b'=')
                    | Token::Word(Word::And | Word::Or)
            );
            if !is_operator {
                return Some(if is_computed { Value::Any } else { value });
            }
            is_computed = true;
            self.step()?;
        }
    }

    fn operand(&mut self) -> Option<Value<'a>> {
        match self.token {
            Token::Number | Token::Word(Word::True | Word::False) => {
                self.step()?;
                Some(Value::Any)
            }
            Token::Word(Word::Nil) => {
                self.step()?;
                Some(Value::Nil)
            }
            Token::Text(text) => {
                self.step()?;
                Some(text.map_or(Value::Any, Value::Text))
            }
            Token::Dots => {
                self.step()?;
                Some(Value::Many)
            }
            Token::Sign(b'{', 0) => {
                self.constructor()?;
                Some(Value::Any)
            }
            Token::Word(Word::Function) => {
                self.step()?;
                self.function_body(false)?;
                Some(Value::Any)
            }
            _ => self.suffixed().map(|(value, _)| value),
        }
    }

    fn function_body(&mut self, is_method: bool) -> Option<()> {
        let outside = self.visible.len();
        if is_method {
            self.show_any(b"self")?;
        }
        self.expect(b'(')?;
        while !self.accept(b')')? {
            match self.step()? {
                Token::Name(name) => self.show_any(name)?,
                // Depending on how the interpreter was built, the table of further arguments is a variable.
                Token::Dots if self.find(b"arg").is_none() => self.show_any(b"arg")?,
                _ => return None,
            }
            if !self.accept(b',')? && !self.is_sign(b')') {
                return None;
            }
        }
        self.block()?;
        self.expect_word(Word::End)?;
        self.visible.truncate(outside);
        Some(())
    }

    fn constructor(&mut self) -> Option<()> {
        self.expect(b'{')?;
        while !self.accept(b'}')? {
            let mut ahead = self.tokens;
            if self.accept(b'[')? {
                self.expression()?;
                self.expect(b']')?;
                self.expect(b'=')?;
            } else if matches!(self.token, Token::Name(_)) && ahead.advance()? == Token::Sign(b'=', 0) {
                self.step()?;
                self.step()?;
            }
            self.expression()?;
            if !self.accept(b',')? && !self.accept(b';')? && !self.is_sign(b'}') {
                return None;
            }
        }
        Some(())
    }

    /// A name or an expression in parentheses, with all that hangs on it: fields, elements, calls.
    fn suffixed(&mut self) -> Option<(Value<'a>, Place)> {
        let (mut value, mut place) = match self.step()? {
            Token::Name(name) => self.named(name)?,
            Token::Sign(b'(', 0) => {
                let value = self.expression()?;
                self.expect(b')')?;
                (if let Value::Many = value { Value::Any } else { value }, Place::None)
            }
            _ => return None,
        };
        loop {
            match self.token {
                Token::Sign(b'.', 0) => {
                    self.step()?;
                    self.name()?;
                    (value, place) = (Value::Any, Place::Field);
                }
                Token::Sign(b'[', 0) => {
                    self.step()?;
                    self.expression()?;
                    self.expect(b']')?;
                    (value, place) = (Value::Any, Place::Field);
                }
                Token::Sign(b':', 0) => {
                    self.step()?;
                    self.name()?;
                    self.arguments()?;
                    (value, place) = (Value::Many, Place::Call);
                }
                Token::Sign(b'(' | b'{', 0) | Token::Text(_) => {
                    self.arguments()?;
                    (value, place) = (Value::Many, Place::Call);
                }
                _ => return Some((value, place)),
            }
        }
    }

    /// What a name stands for; it has been taken.
    fn named(&mut self, name: &'a [u8]) -> Option<(Value<'a>, Place)> {
        if let Some(variable) = self.find(name) {
            return Some((Value::Variable(variable), Place::Variable(variable)));
        }
        match name {
            b"KEYS" => {
                self.expect(b'[')?;
                self.expression()?;
                self.expect(b']')?;
                Some((Value::Key, Place::None))
            }
            b"redis" | b"server" => self.api(),
            _ => HARMLESS.contains(&name).then_some((Value::Any, Place::None)),
        }
    }

    /// A field of the table of commands.
    fn api(&mut self) -> Option<(Value<'a>, Place)> {
        self.expect(b'.')?;
        let field = self.name()?;
        if matches!(field, b"call" | b"pcall") {
            if !self.is_sign(b'(') {
                return None;
            }
            let values = self.arguments()?;
            self.check_call(&values)?;
            return Some((Value::Many, Place::Call));
        }
        let is_known = OTHER_FIELDS.contains(&field) || CONSTANTS.iter().any(|start| field.starts_with(start));
        is_known.then_some((Value::Any, Place::None))
    }

    fn arguments(&mut self) -> Option<Values<'a>> {
        match self.token {
            Token::Text(_) => {
                self.step()?;
                Some(Values::new())
            }
            Token::Sign(b'{', 0) => {
                self.constructor()?;
                Some(Values::new())
            }
            _ => {
                self.expect(b'(')?;
                if self.accept(b')')? {
                    return Some(Values::new());
                }
                let values = self.expressions()?;
                self.expect(b')')?;
                Some(values)
            }
        }
    }

    // Commands.

    /// Are all keys of a call of a command declared ones?
    fn check_call(&mut self, values: &Values<'a>) -> Option<()> {
        let Some(Value::Text(name)) = values.first() else { return None };
        let mut row = table::lookup(name)?;
        if let Run::Container = row.run {
            let Some(Value::Text(name)) = values.get(1) else { return None };
            row = row.existing_subcommands().find(|row| row.own_name().as_bytes().eq_ignore_ascii_case(name))?;
        }
        if !is_plain(row) {
            return None;
        }
        let has_end = !matches!(values.last(), Some(Value::Many));
        let known = values.len() - usize::from(!has_end);
        for spec in row.keys {
            let (Begin::Index(first), Find::Range { last, step, limit: 0 | 1 }) = (spec.begin, spec.find) else {
                return None;
            };
            if spec.flags.has(KeyFlags::INCOMPLETE) || last < 0 && !has_end {
                return None;
            }
            let first = usize::from(first);
            let last = match usize::try_from(last) {
                Ok(last) => first + last,
                Err(_) => known.checked_sub(usize::from(last.unsigned_abs()))?,
            };
            for index in (first..=last).step_by(usize::from(step).max(1)) {
                match values.get(index) {
                    _ if index >= known && !has_end => return None,
                    Some(Value::Variable(variable)) => self.wanted.push(*variable),
                    // Too few words, or nil: the call will be refused.
                    Some(Value::Key | Value::Nil) | None => {}
                    Some(Value::Text(_) | Value::Any | Value::Many) => return None,
                }
            }
        }
        Some(())
    }
}

/// Do the specifications tell which keys the command touches, and are those of the database at hand all that it touches?
fn is_plain(row: &Command) -> bool {
    let follows_specs = matches!(row.key_rule, KeyRule::Specs | KeyRule::Set | KeyRule::Bitfield);
    let runs_by_keys =
        matches!(row.run, Run::OnShard(_)) && matches!(row.spread, Spread::Gather | Spread::EachKey { .. });
    match row.keys {
        [] => KEYLESS.contains(&row.name),
        _ => follows_specs && runs_by_keys && !row.flags.has(Flags::NOSCRIPT) && !WIDE.contains(&row.name),
    }
}

#[cfg(test)]
mod tests;
