//! EVAL and EVALSHA: from the words of a call to a compiled script.

use super::registry::{self, Origin, Script, ShaMap};
use super::run::{self, Passing, Program};
use super::vm;
use ringkey_core::commands::Context;
use ringkey_core::commands::within::Unit;
use ringkey_core::number::parse_integer;
use ringkey_core::outcome::Outcome;
use ringkey_core::resp::{Args, CommandError, Protocol, Reply};
use ringkey_core::script::Entry;
use ringkey_core::script::source::{ScriptFlags, Sha};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::ops::Range;
use std::sync::Arc;

/// Sources that are longer are hashed each time.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// So many sources are remembered with their names.
const BODIES_MAX: usize = 1024;

/// A script that this core has compiled.
#[derive(Clone)]
struct Compiled {
    script: Arc<Script>,
    function: c_int,
}

/// What this core has compiled.
struct Cache {
    epoch: u64,
    by_sha: ShaMap<Compiled>,
    /// The names of sources, so that these need not be hashed by SHA1 each time.
    by_body: HashMap<Box<[u8]>, Sha, ahash::RandomState>,
    last: Option<Compiled>,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::new(Cache::new());
}

fn no_script() -> CommandError {
    CommandError::Coded("NOSCRIPT", "No matching script.".into())
}

impl Cache {
    fn new() -> Self {
        let seed = || fastrand::u64(..);
        let hasher = ahash::RandomState::with_seeds(seed(), seed(), seed(), seed());
        Self { epoch: 0, by_sha: ShaMap::default(), by_body: HashMap::with_hasher(hasher), last: None }
    }

    /// Drops what is no longer in the registry, if anything has changed there.
    #[inline]
    fn refresh(&mut self) {
        let epoch = registry::epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.drop_gone();
        }
    }

    #[cold]
    fn drop_gone(&mut self) {
        self.last = None;
        self.by_body.clear();
        self.by_sha.retain(|_, compiled| {
            let is_gone = compiled.script.is_gone();
            if is_gone {
                vm::forget(compiled.function);
            }
            !is_gone
        });
    }

    /// The script of this name, if this core has compiled it and it still exists.
    #[inline]
    fn known(&mut self, sha: &Sha) -> Option<&Compiled> {
        if self.last.as_ref().is_none_or(|last| last.script.sha != *sha) {
            self.last = Some(self.by_sha.get(sha)?.clone());
        }
        let last = self.last.as_ref().filter(|last| !last.script.is_gone());
        if last.is_none() {
            self.last = None;
            if let Some(gone) = self.by_sha.remove(sha) {
                vm::forget(gone.function);
            }
            return None;
        }
        self.last.as_ref()
    }

    fn by_sha(&mut self, word: &[u8]) -> Result<Compiled, CommandError> {
        let sha = Sha::parse(word).ok_or_else(no_script)?;
        if let Some(known) = self.known(&sha) {
            return Ok(known.clone());
        }
        let script = registry::find(&sha).ok_or_else(no_script)?;
        self.compile(script)
    }

    fn by_body(&mut self, body: &[u8]) -> Result<Compiled, CommandError> {
        let sha = self.sha_of(body);
        if let Some(known) = self.known(&sha) {
            return Ok(known.clone());
        }
        if let Some(script) = registry::find(&sha) {
            return self.compile(script);
        }
        let script = Script::new(sha, body)?;
        let function = compile(&script)?;
        let script = registry::insert(script, Origin::Eval);
        Ok(self.keep(Compiled { script, function }))
    }

    fn sha_of(&mut self, body: &[u8]) -> Sha {
        match self.by_body.get(body) {
            Some(sha) => *sha,
            None => self.name_of(body),
        }
    }

    #[cold]
    fn name_of(&mut self, body: &[u8]) -> Sha {
        let sha = Sha::of(body);
        if body.len() <= BODY_BYTES_MAX {
            if self.by_body.len() >= BODIES_MAX {
                self.by_body.clear();
            }
            self.by_body.insert(body.into(), sha);
        }
        sha
    }

    fn compile(&mut self, script: Arc<Script>) -> Result<Compiled, CommandError> {
        let function = compile(&script)?;
        Ok(self.keep(Compiled { script, function }))
    }

    fn keep(&mut self, compiled: Compiled) -> Compiled {
        if let Some(old) = self.by_sha.insert(compiled.script.sha, compiled.clone()) {
            vm::forget(old.function);
        }
        compiled
    }
}

/// The name of a source.
pub fn sha_of(body: &[u8]) -> Sha {
    CACHE.with_borrow_mut(|cache| cache.sha_of(body))
}

fn compile(script: &Script) -> Result<c_int, CommandError> {
    vm::compile(script.code(), c"@user_script").map_err(|message| {
        CommandError::owned(format!("Error compiling script (new function): {}", String::from_utf8_lossy(&message)))
    })
}

/// Compiles a source to see whether that can be done, and what is to be said if not (SCRIPT LOAD).
///
/// # Errors
/// It cannot.
pub fn check(script: &Script) -> Result<(), CommandError> {
    let function = compile(script)?;
    vm::forget(function);
    Ok(())
}

/// Which words of a call of a script or a function are keys; `not_a_number` is said if their number is none.
///
/// # Errors
/// There are not so many words.
pub fn keys(args: &Args<'_>, not_a_number: CommandError) -> Result<Range<usize>, CommandError> {
    const FIRST: usize = 3;
    let count = parse_integer(args.get(2)).ok_or(not_a_number)?;
    if count > (args.len() - FIRST) as i64 {
        return Err(CommandError::text("Number of keys can't be greater than number of args"));
    }
    let count = usize::try_from(count).map_err(|_| CommandError::text("Number of keys can't be negative"))?;
    Ok(FIRST..FIRST + count)
}

/// What the calls of a script or a function may do. A script without flags may do what was allowed before there were any.
///
/// # Errors
/// Its flags do not go with this server, or with how it was called.
pub fn unit(context: &Context<'_>, flags: Option<ScriptFlags>, entry: Entry) -> Result<Unit, CommandError> {
    if let Some(flags) = flags {
        if context.rules.is_clustered && flags.has(ScriptFlags::NO_CLUSTER) {
            return Err(CommandError::text("Can not run script on cluster, 'no-cluster' flag is set."));
        }
        if entry.is_read_only() && !flags.has(ScriptFlags::NO_WRITES) {
            return Err(CommandError::text("Can not execute a script with write flag using *_ro command."));
        }
    }
    let has = |flag| flags.is_some_and(|flags| flags.has(flag));
    let mut unit = Unit::new(context.db, Protocol::Resp2);
    unit.is_script = true;
    unit.reads_only = entry.is_read_only() || has(ScriptFlags::NO_WRITES);
    unit.allows_oom = has(ScriptFlags::ALLOW_OOM);
    unit.allows_several_slots = flags.is_none() || has(ScriptFlags::ALLOW_CROSS_SLOT_KEYS);
    Ok(unit)
}

/// Runs the script of a call.
///
/// # Errors
/// The words are not understood, there is no such script, or it cannot be compiled.
pub fn run(
    context: &mut Context<'_>,
    entry: Entry,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Outcome, CommandError> {
    let by_name = matches!(entry, Entry::EvalSha | Entry::EvalShaRo);
    if by_name && args.get(1).len() != Sha::LEN {
        return Err(no_script());
    }
    let keys = keys(args, CommandError::NotAnInteger)?;
    let compiled = CACHE.with_borrow_mut(|cache| {
        cache.refresh();
        match by_name {
            true => cache.by_sha(args.get(1)),
            false => cache.by_body(args.get(1)),
        }
    })?;
    compiled.script.touch();
    let script = &compiled.script;
    let mut unit = unit(context, script.has_shebang.then_some(script.flags), entry)?;
    unit.is_proven = script.is_proven;
    let (name, passing) = (compiled.script.sha.as_bytes(), Passing::Globals);
    let program =
        Program { function: compiled.function, passing, name, keys, ignores_receivers: script.ignores_receivers };
    Ok(run::begin(context, &program, unit, args, reply)?.into_outcome())
}
