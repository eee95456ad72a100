//! What is called proven is run: programs drawn by lot are carried out by Lua with commands that only write down their keys.

use mlua::{HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Value, VmState};
use ringkey_core::script::declared::is_proven;
use std::cell::Cell;
use std::rc::Rc;

const PROGRAMS: usize = 10_000;
const INSTRUCTIONS_MAX: u32 = 20_000;

/// Draws programs: few names, so that they meet.
struct Author {
    random: fastrand::Rng,
    depth: u32,
}

impl Author {
    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.random.usize(..choices.len())]
    }

    fn name(&mut self) -> &'static str {
        let rare = self.random.u32(..12) == 0;
        if rare { self.pick(&["KEYS", "redis", "ipairs", "arg", "ARGV"]) } else { self.pick(&["a", "b", "k"]) }
    }

    fn key(&mut self) -> String {
        match self.random.u32(..12) {
            0..=4 => format!("KEYS[{}]", self.random.u32(1..4)),
            5..=8 => self.name().to_owned(),
            9 => format!("(KEYS[{}])", self.name()),
            10 => "KEYS[#KEYS]".to_owned(),
            _ => self.expression(),
        }
    }

    fn call(&mut self) -> String {
        let open = self.pick(&["redis.call(", "redis.call --[[(]] (", "server.pcall(", "redis.pcall( --(\n"]);
        let (first, second) = (self.key(), self.key());
        match self.random.u32(..6) {
            0..=2 => format!("{open}'get', {first})"),
            3 => format!("{open}'DEL', {first}, {second})"),
            4 => format!("{open}\"mset\", {first}, {}, {second}, 'v')", self.expression()),
            _ => format!("{open}[[set]], {first}, {})", self.expression()),
        }
    }

    fn expression(&mut self) -> String {
        self.depth += 1;
        let simple = self.depth > 4;
        let text = match self.random.u32(..if simple { 9 } else { 17 }) {
            0 => "'x'".to_owned(),
            1 => "[==[ ]] --]==]".to_owned(),
            2 => "nil".to_owned(),
            3 => "ARGV[1]".to_owned(),
            4 | 5 => self.name().to_owned(),
            6 => "1".to_owned(),
            7 => format!("KEYS[{}]", self.random.u32(1..4)),
            8 => "#KEYS".to_owned(),
            9 => self.call(),
            10 => format!("({})", self.expression()),
            11 => {
                let operator = self.pick(&["..", "or", "and", "==", "~="]);
                format!("{} {operator} {}", self.expression(), self.expression())
            }
            12 => format!("{{{}, k = {}, [1] = {}; {}}}", self.name(), self.name(), self.expression(), self.name()),
            13 => format!("function({}, {}) {} end", self.name(), self.name(), self.block()),
            14 => format!("function(...) {} end", self.block()),
            15 => format!("{}({}, {})", self.name(), self.expression(), self.expression()),
            _ => format!("not {}", self.expression()),
        };
        self.depth -= 1;
        text
    }

    fn block(&mut self) -> String {
        self.depth += 1;
        let statements = if self.depth > 4 { 1 } else { self.random.u32(0..4) };
        let text: Vec<String> = (0..statements).map(|_| self.statement()).collect();
        self.depth -= 1;
        text.join(self.pick(&[" ", "\n", "; ", "--\r", " --[[ ' ]] "]))
    }

    fn statement(&mut self) -> String {
        let (one, other) = (self.name(), self.name());
        match self.random.u32(..20) {
            0..=4 => self.call(),
            5 | 6 => format!("local {one} = {}", self.key()),
            7 => format!("local {one}, {other} = {}, {}", self.key(), self.key()),
            8 => format!("local {one}, {other} = {}", self.expression()),
            9 => format!("{one} = {}", self.expression()),
            10 => format!("{one}, {other} = {}, {}", self.key(), self.expression()),
            11 => format!("{one}[{}] = {}", self.expression(), self.expression()),
            12 => format!("a, {one}[1], b = 1, {}, 2", self.expression()),
            13 => format!(
                "for {one}, {other} in {}({}) do {} end",
                self.pick(&["ipairs", "pairs"]),
                self.pick(&["KEYS", "ARGV", "k"]),
                self.block()
            ),
            14 => format!("for {one} = 1, 2 do {} end", self.block()),
            15 => format!("do {} end", self.block()),
            16 => format!("local function {one}({other}) {} end", self.block()),
            17 => format!("function {one}({other}, ...) {} end", self.block()),
            18 => format!("if {} then {} else {} end", self.expression(), self.block(), self.block()),
            _ => format!("repeat {} until {}", self.block(), self.expression()),
        }
    }
}

/// Which words of a call are keys, for the commands that are drawn.
fn keys_of(words: &[Value]) -> Vec<&Value> {
    let name = match words.first() {
        Some(Value::String(name)) => name.to_string_lossy().to_lowercase(),
        _ => return Vec::new(),
    };
    match name.as_str() {
        "get" | "set" => words.iter().skip(1).take(1).collect(),
        "mset" => words.iter().skip(1).step_by(2).collect(),
        _ => words.iter().skip(1).collect(),
    }
}

/// Runs a program: how many commands it called, and whether all keys were declared ones. Nothing if it is no Lua.
fn run(program: &str) -> Option<(u32, bool)> {
    let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, LuaOptions::new()).unwrap();
    let seen = Rc::new(Cell::new((0, true)));
    let note = Rc::clone(&seen);
    // What is no text or number is refused before anything is touched.
    let call = lua.create_function(move |_, words: MultiValue| {
        let words: Vec<Value> = words.into_iter().collect();
        if words.iter().any(|word| !matches!(word, Value::String(_) | Value::Integer(_) | Value::Number(_))) {
            return Err(mlua::Error::runtime("words must be strings or integers"));
        }
        let is_declared =
            |key: &Value| matches!(key, Value::String(key) if ["key1", "key2"].contains(&&*key.to_string_lossy()));
        let (calls, all) = note.get();
        note.set((calls + 1, all && keys_of(&words).into_iter().all(is_declared)));
        Ok("result")
    });
    let call = call.unwrap();
    let commands = lua.create_table().unwrap();
    commands.set("call", call.clone()).unwrap();
    commands.set("pcall", call).unwrap();
    let globals = lua.globals();
    globals.set("redis", commands.clone()).unwrap();
    globals.set("server", commands).unwrap();
    globals.set("KEYS", lua.create_sequence_from(["key1", "key2"]).unwrap()).unwrap();
    globals.set("ARGV", lua.create_sequence_from(["argument"]).unwrap()).unwrap();
    let steps = Cell::new(0);
    lua.set_hook(HookTriggers::new().every_nth_instruction(1000), move |_, _| {
        steps.set(steps.get() + 1000);
        if steps.get() > INSTRUCTIONS_MAX { Err(mlua::Error::runtime("too long")) } else { Ok(VmState::Continue) }
    })
    .unwrap();
    let function = lua.load(program).set_name("@program").into_function().ok()?;
    let _ = function.call::<()>(());
    Some(seen.get())
}

#[test]
fn what_is_proven_touches_declared_keys_only() {
    let (mut compiled, mut proven, mut calls, mut strayed) = (0, 0, 0, 0);
    for seed in 0..PROGRAMS {
        let mut author = Author { random: fastrand::Rng::with_seed(seed as u64), depth: 0 };
        let statements = author.random.usize(1..6);
        let program = (0..statements).map(|_| author.statement()).collect::<Vec<_>>().join("\n");
        let is_proven = is_proven(program.as_bytes());
        let Some((count, all_declared)) = run(&program) else { continue };
        compiled += 1;
        strayed += usize::from(!all_declared);
        if is_proven {
            proven += 1;
            calls += count;
            assert!(all_declared, "{program}");
        }
    }
    let figures =
        format!("{compiled} programs, {strayed} with other keys; {proven} proven, which called {calls} commands");
    assert!(compiled > PROGRAMS / 2 && strayed > 200 && proven > 200 && calls > 200, "{figures}");
}
