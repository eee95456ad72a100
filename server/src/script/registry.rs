//! What all cores share of scripts: their sources by name, which of them run and may be stopped, and what is counted.
//!
//! A core keeps what it has compiled and the [`Script`]s with it, and comes here for what it does not know. A use of a script
//! that it knows costs two loads: of [`Registry::epoch`], and of [`Script::is_gone`]. Whoever puts a script in or takes it
//! out does so under one lock, so all cores see it from the same moment on.

use super::functions::Shelf;
use crate::clock;
use ringkey_core::resp::CommandError;
use ringkey_core::script::declared;
use ringkey_core::script::source::{self, ScriptFlags, Sha};
use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Scripts that EVAL brought and that nobody loaded: of more, those are forgotten that were not used for the longest time.
pub const EVAL_SCRIPTS_MAX: usize = 500;

/// A use is written down if the last one was so long ago, in nanoseconds: cores that use one script should not fight for it.
const USE_NANOS_MIN: u64 = 20_000;

/// After so many forgotten scripts the epoch moves, so that cores let go of what they have compiled of them.
const EVICTIONS_PER_EPOCH: u64 = 100;

/// Functions of which it is counted how often they were begun anew.
const ESCALATED_FUNCTIONS_MAX: usize = 1000;

/// What a script takes besides its source, in bytes: itself, its counts and its place in the table.
const SCRIPT_BYTES: usize = size_of::<Script>() + 16 + size_of::<(Sha, Arc<Script>)>() * 8 / 7;

/// A script: its source, and what is known of it.
#[derive(Debug)]
pub struct Script {
    /// Its name.
    pub sha: Sha,
    /// Its source, with the first line that names engine and flags.
    pub body: Box<[u8]>,
    /// Has it such a line? One without is held to fewer rules.
    pub has_shebang: bool,
    /// The flags in it.
    pub flags: ScriptFlags,
    /// Is it certain that it touches only the keys that a call names ([`declared`])?
    pub is_proven: bool,
    /// Is it certain that it does not look at how many clients its messages reach?
    pub ignores_receivers: bool,
    code_at: usize,
    is_loaded: AtomicBool,
    is_gone: AtomicBool,
    used_ticks: AtomicU64,
    escalations: AtomicU64,
}

impl Script {
    /// Reads a source; whether it can be compiled is for the interpreter to say.
    ///
    /// # Errors
    /// Its first line is not understood.
    pub fn new(sha: Sha, body: &[u8]) -> Result<Self, CommandError> {
        let source = source::read(body)?;
        Ok(Self {
            sha,
            has_shebang: source.has_shebang,
            flags: source.flags,
            is_proven: declared::is_proven(source.code),
            ignores_receivers: declared::ignores_receivers(source.code),
            code_at: body.len() - source.code.len(),
            body: body.into(),
            is_loaded: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            used_ticks: AtomicU64::new(clock::ticks()),
            escalations: AtomicU64::new(0),
        })
    }

    /// What the interpreter gets; lines have their numbers.
    pub fn code(&self) -> &[u8] {
        &self.body[self.code_at..]
    }

    /// Is it no longer in the cache? Then a core that knows it must behave as if it did not.
    #[inline]
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Notes that it is used now; to be called at each use by name or by source.
    #[inline]
    pub fn touch(&self) {
        if !self.is_loaded.load(Ordering::Relaxed) {
            self.touch_at(clock::ticks());
        }
    }

    fn touch_at(&self, ticks: u64) {
        let last = self.used_ticks.load(Ordering::Relaxed);
        if ticks.saturating_sub(last) >= clock::ticks_of(USE_NANOS_MIN) {
            self.used_ticks.store(ticks, Ordering::Relaxed);
        }
    }

    /// How often it was begun anew over the data of all shards.
    #[inline]
    pub fn escalations(&self) -> u64 {
        self.escalations.load(Ordering::Relaxed)
    }

    /// Its memory in bytes.
    fn bytes(&self) -> usize {
        self.body.len() + SCRIPT_BYTES
    }
}

/// How a script came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// With EVAL: it may be forgotten.
    Eval,
    /// With SCRIPT LOAD: it stays until SCRIPT FLUSH.
    Load,
}

/// A script or a function that runs for so long that others may hear of it.
#[derive(Debug)]
pub struct Running {
    /// The name of the function, or the digits of the script's name.
    pub name: Box<[u8]>,
    /// The words of the call.
    pub words: Vec<Box<[u8]>>,
    /// Is it a function?
    pub is_function: bool,
    /// When it began.
    pub began: Instant,
    state: AtomicU8,
}

/// It may be stopped.
const HARMLESS: u8 = 0;
/// It has written and may not be stopped.
const HAS_WRITTEN: u8 = 1;
/// It is to stop.
const KILLED: u8 = 2;

impl Running {
    /// One that has begun.
    pub fn new(name: &[u8], words: Vec<Box<[u8]>>, is_function: bool, began: Instant, has_written: bool) -> Self {
        let state = AtomicU8::new(if has_written { HAS_WRITTEN } else { HARMLESS });
        Self { name: name.into(), words, is_function, began, state }
    }

    /// Is it to stop?
    #[inline]
    pub fn is_killed(&self) -> bool {
        self.state.load(Ordering::Acquire) == KILLED
    }

    /// To be asked before each write: from then on it cannot be stopped. `false` if it was stopped before.
    #[inline]
    pub fn may_write(&self) -> bool {
        self.state.compare_exchange(HARMLESS, HAS_WRITTEN, Ordering::AcqRel, Ordering::Acquire) != Err(KILLED)
    }

    /// Has it written?
    pub fn has_written(&self) -> bool {
        self.state.load(Ordering::Acquire) == HAS_WRITTEN
    }

    /// Has it stop if it has not written.
    fn kill(&self) -> bool {
        self.state.compare_exchange(HARMLESS, KILLED, Ordering::AcqRel, Ordering::Acquire) != Err(HAS_WRITTEN)
    }
}

/// What is counted of functions, by those who load them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FunctionFigures {
    /// Libraries.
    pub libraries: u64,
    /// Functions.
    pub functions: u64,
    /// Memory of libraries and functions, in bytes.
    pub bytes: u64,
}

/// What INFO tells of scripts and functions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Scripts in the cache.
    pub scripts: u64,
    /// Their memory in bytes.
    pub script_bytes: u64,
    /// Those of them of which it is certain that they touch only the keys that a call names.
    pub proven: u64,
    /// Those of them that SCRIPT LOAD brought.
    pub loaded: u64,
    /// Scripts that were forgotten because there were more than [`EVAL_SCRIPTS_MAX`].
    pub evicted: u64,
    /// Memory of the interpreters of all cores, in bytes.
    pub interpreter_bytes: u64,
    /// Calls of scripts and functions that were begun anew over the data of all shards.
    pub escalations: u64,
    /// Of functions.
    pub functions: FunctionFigures,
    /// Scripts and functions that run for long now.
    pub running: u64,
}

/// The names are hashes already.
#[derive(Default)]
pub struct ShaHasher(u64);

impl Hasher for ShaHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.is_empty(), "only names of scripts are hashed so");
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }
}

/// A table by names of scripts.
pub type ShaMap<V> = HashMap<Sha, V, BuildHasherDefault<ShaHasher>>;

#[derive(Default)]
struct Scripts {
    by_sha: ShaMap<Arc<Script>>,
    /// Those that EVAL brought, by the time of a use, which need not be the last, and a number that tells them apart.
    by_use: BTreeMap<(u64, u64), Arc<Script>>,
    next: u64,
    bytes: usize,
    proven: usize,
}

/// What all cores share.
#[derive(Default)]
pub struct Registry {
    scripts: RwLock<Scripts>,
    epoch: AtomicU64,
    running: Mutex<Vec<Arc<Running>>>,
    evicted: AtomicU64,
    escalations: AtomicU64,
    escalated_functions: Mutex<BTreeMap<Box<[u8]>, u64>>,
    interpreter_bytes: AtomicI64,
    functions: Mutex<FunctionFigures>,
    /// The libraries of functions.
    pub(super) shelf: Shelf,
}

/// Nobody panics while holding one of these locks; if it happened, what it guards would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Moves whenever what was compiled may be out of date: with SCRIPT FLUSH, with changes of functions, and now and then
    /// when scripts were forgotten. Scripts that are still there are not [`Script::is_gone`] then.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Moves the epoch, so that all cores look at what they have compiled.
    pub fn move_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The script of this name.
    pub fn find(&self, sha: &Sha) -> Option<Arc<Script>> {
        self.scripts.read().unwrap_or_else(PoisonError::into_inner).by_sha.get(sha).cloned()
    }

    /// Has a script stay until SCRIPT FLUSH, as if SCRIPT LOAD had brought it. `false` if there is none of this name.
    pub fn keep(&self, sha: &Sha) -> bool {
        self.scripts.write().unwrap_or_else(PoisonError::into_inner).keep(sha).is_some()
    }

    /// Puts a script in that was compiled, and returns the one of this name, which may have been there before.
    pub fn insert(&self, script: Script, origin: Origin) -> Arc<Script> {
        let mut scripts = self.scripts.write().unwrap_or_else(PoisonError::into_inner);
        let known = match origin {
            Origin::Load => scripts.keep(&script.sha),
            Origin::Eval => scripts.by_sha.get(&script.sha).cloned(),
        };
        if let Some(known) = known {
            return known;
        }
        let script = Arc::new(script);
        script.is_loaded.store(origin == Origin::Load, Ordering::Relaxed);
        if origin == Origin::Eval {
            while scripts.by_use.len() >= EVAL_SCRIPTS_MAX && scripts.forget_one() {
                if self.evicted.fetch_add(1, Ordering::Relaxed) % EVICTIONS_PER_EPOCH == EVICTIONS_PER_EPOCH - 1 {
                    self.move_epoch();
                }
            }
            scripts.queue(Arc::clone(&script));
        }
        scripts.bytes += script.bytes();
        scripts.proven += usize::from(script.is_proven);
        scripts.by_sha.insert(script.sha, Arc::clone(&script));
        script
    }

    /// Forgets all scripts. Those that run go on.
    pub fn flush(&self) {
        let old = std::mem::take(&mut *self.scripts.write().unwrap_or_else(PoisonError::into_inner));
        old.by_sha.values().for_each(|script| script.is_gone.store(true, Ordering::Release));
        self.move_epoch();
    }

    /// Makes it known that a script takes long.
    pub fn begin(&self, running: Running) -> Arc<Running> {
        let running = Arc::new(running);
        lock(&self.running).push(Arc::clone(&running));
        running
    }

    /// It has ended.
    pub fn end(&self, running: &Arc<Running>) {
        lock(&self.running).retain(|other| !Arc::ptr_eq(other, running));
    }

    /// Those that take long, the longest first.
    pub fn running(&self) -> Vec<Arc<Running>> {
        let mut running = lock(&self.running).clone();
        running.sort_by_key(|running| running.began);
        running
    }

    /// Has scripts (or functions) stop: all that run for longer than `threshold`, or else the one that began first.
    ///
    /// # Errors
    /// None runs, or those that do have written.
    pub fn kill(&self, is_function: bool, threshold: Duration) -> Result<(), CommandError> {
        let running = self.running();
        if running.is_empty() {
            return Err(CommandError::Coded("NOTBUSY", "No scripts in execution right now.".into()));
        }
        let mut wanted: Vec<_> = running.iter().filter(|running| running.is_function == is_function).collect();
        if wanted.is_empty() {
            return Err(busy(!is_function));
        }
        let late = wanted.iter().take_while(|running| running.began.elapsed() >= threshold).count();
        wanted.truncate(late.max(1));
        // All of them are told, whatever the others say.
        match wanted.iter().filter(|running| running.kill()).count() {
            0 => Err(CommandError::Coded(
                "UNKILLABLE",
                "Sorry the script already executed write commands against the dataset. You can either wait the script \
                 termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
                    .into(),
            )),
            _ => Ok(()),
        }
    }

    /// Counts that a script was begun anew over the data of all shards.
    pub fn note_escalation(&self, script: &Script) {
        script.escalations.fetch_add(1, Ordering::Relaxed);
        self.escalations.fetch_add(1, Ordering::Relaxed);
    }

    /// The same for a function.
    pub fn note_function_escalation(&self, name: &[u8]) {
        self.escalations.fetch_add(1, Ordering::Relaxed);
        let mut counts = lock(&self.escalated_functions);
        if let Some(count) = counts.get_mut(name) {
            *count += 1;
        } else if counts.len() < ESCALATED_FUNCTIONS_MAX {
            counts.insert(name.into(), 1);
        }
    }

    /// The names of those scripts and functions that were begun anew most often, and how often; at most `most` of them.
    pub fn most_escalated(&self, most: usize) -> Vec<(String, u64)> {
        let mut counts: Vec<(String, u64)> = {
            let scripts = self.scripts.read().unwrap_or_else(PoisonError::into_inner);
            let counted = scripts.by_sha.values().filter(|script| script.escalations() > 0);
            counted.map(|script| (script.sha.to_string(), script.escalations())).collect()
        };
        let functions = lock(&self.escalated_functions);
        counts.extend(functions.iter().map(|(name, count)| (String::from_utf8_lossy(name).into_owned(), *count)));
        counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        counts.truncate(most);
        counts
    }

    /// Notes what is known of functions now.
    pub fn set_functions(&self, figures: FunctionFigures) {
        *lock(&self.functions) = figures;
    }

    /// What is counted.
    pub fn figures(&self) -> Figures {
        let running = lock(&self.running).len() as u64;
        let functions = *lock(&self.functions);
        let scripts = self.scripts.read().unwrap_or_else(PoisonError::into_inner);
        Figures {
            scripts: scripts.by_sha.len() as u64,
            script_bytes: scripts.bytes as u64,
            proven: scripts.proven as u64,
            loaded: (scripts.by_sha.len() - scripts.by_use.len()) as u64,
            evicted: self.evicted.load(Ordering::Relaxed),
            interpreter_bytes: self.interpreter_bytes.load(Ordering::Relaxed).max(0) as u64,
            escalations: self.escalations.load(Ordering::Relaxed),
            functions,
            running,
        }
    }

    /// Begins to count anew (CONFIG RESETSTAT).
    pub fn reset_counts(&self) {
        self.evicted.store(0, Ordering::Relaxed);
        self.escalations.store(0, Ordering::Relaxed);
    }
}

impl Scripts {
    fn keep(&mut self, sha: &Sha) -> Option<Arc<Script>> {
        let script = self.by_sha.get(sha).cloned()?;
        if !script.is_loaded.swap(true, Ordering::Relaxed) {
            self.by_use.retain(|_, other| !Arc::ptr_eq(other, &script));
        }
        Some(script)
    }

    fn queue(&mut self, script: Arc<Script>) {
        self.next += 1;
        self.by_use.insert((script.used_ticks.load(Ordering::Relaxed), self.next), script);
    }

    /// Forgets the script of EVAL that was not used for the longest time.
    fn forget_one(&mut self) -> bool {
        while let Some(((queued, _), script)) = self.by_use.pop_first() {
            if script.used_ticks.load(Ordering::Relaxed) > queued {
                // It was used since: its place is further behind.
                self.queue(script);
                continue;
            }
            script.is_gone.store(true, Ordering::Release);
            self.by_sha.remove(&script.sha);
            self.bytes -= script.bytes();
            self.proven -= usize::from(script.is_proven);
            return true;
        }
        false
    }
}

/// What is answered to clients who need what a script holds that takes long.
pub fn busy(by_function: bool) -> CommandError {
    CommandError::Coded(
        "BUSY",
        match by_function {
            true => "Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.".into(),
            false => "Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.".into(),
        },
    )
}

thread_local! {
    static SHARED: OnceCell<Arc<Registry>> = const { OnceCell::new() };
    static NOTED_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// Tells this thread what it shares with others; to be called once, before anything else of this module. A thread that nobody
/// tells has a registry of its own.
pub fn attach(registry: &Arc<Registry>) {
    SHARED.with(|shared| {
        let _ = shared.set(Arc::clone(registry));
    });
}

/// Calls `act` with what this thread shares with others.
#[inline]
pub fn with<T>(act: impl FnOnce(&Registry) -> T) -> T {
    SHARED.with(|shared| act(shared.get_or_init(Default::default)))
}

/// [`Registry::find`]
pub fn find(sha: &Sha) -> Option<Arc<Script>> {
    with(|registry| registry.find(sha))
}

/// [`Registry::insert`]
pub fn insert(script: Script, origin: Origin) -> Arc<Script> {
    with(|registry| registry.insert(script, origin))
}

/// [`Registry::epoch`]
#[inline]
pub fn epoch() -> u64 {
    with(Registry::epoch)
}

/// Notes how much memory the interpreter of this thread uses now, in bytes.
pub fn note_interpreter_memory(bytes: usize) {
    let bytes = bytes as i64;
    let more = bytes - NOTED_BYTES.replace(bytes);
    if more != 0 {
        with(|registry| registry.interpreter_bytes.fetch_add(more, Ordering::Relaxed));
    }
}

#[cfg(test)]
#[path = "registry/tests.rs"]
mod tests;
