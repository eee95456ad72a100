//! Threads that bring keys to other servers, so that no core waits for a connection. They come when there is something
//! to do and go when there has been nothing for a while; connections are kept for the next errand to the same server.
//!
//! Cores hand errands over under a lock that nobody holds while waiting for anything. What is done is fetched by core 0,
//! which watches the bell of [`Aside`](crate::aside::Aside) and passes it on.

use super::target::{Errand, Target};
use crate::sys::{self, process};
use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// More errands at once than this wait for each other.
const THREADS_MAX: usize = 64;

/// A connection that nobody uses is closed after so long.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// How often threads that have nothing to do look at the connections.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// No more connections than these are kept.
const KEPT_MAX: usize = 64;

/// Who asked: the core, and its ticket.
pub type Asker = (usize, u64);

/// The threads, as cores see them.
#[derive(Debug)]
pub struct Movers {
    desk: Mutex<Desk>,
    work: Condvar,
    /// Rings the bell of core 0.
    rope: UnixStream,
    processors: Vec<usize>,
    kept: AtomicUsize,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<(Asker, Box<Errand>)>,
    done: VecDeque<(Asker, Box<Errand>)>,
    threads: usize,
    idle: usize,
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    host: String,
    port: String,
    target: Target,
    since: Instant,
}

impl Movers {
    /// Without threads yet; they will run on the processors of the caller. `rope` is what makes core 0 look.
    pub fn new(rope: UnixStream) -> Arc<Self> {
        let (desk, work, processors, kept) = (Mutex::default(), Condvar::new(), sys::processors(), AtomicUsize::new(0));
        Arc::new(Self { desk, work, rope, processors, kept })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // What lies there is complete whenever nobody holds the lock.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an errand over.
    ///
    /// # Errors
    /// If there is no thread and none can be started; the errand is as it was.
    pub fn give(self: &Arc<Self>, asker: Asker, errand: Box<Errand>) -> Result<(), (io::Error, Box<Errand>)> {
        let mut desk = self.desk();
        desk.waiting.push_back((asker, errand));
        if desk.idle >= desk.waiting.len() || desk.threads == THREADS_MAX {
            drop(desk);
            self.work.notify_one();
            return Ok(());
        }
        desk.threads += 1;
        let movers = Arc::clone(self);
        let started = std::thread::Builder::new().name("mover".to_owned()).spawn(move || movers.work());
        if let Err(error) = started {
            desk.threads -= 1;
            if desk.threads == 0
                && let Some((_, errand)) = desk.waiting.pop_back()
            {
                return Err((error, errand));
            }
        }
        Ok(())
    }

    /// The next errand that was carried out.
    pub fn next_done(&self) -> Option<(Asker, Box<Errand>)> {
        self.desk().done.pop_front()
    }

    /// How many connections are kept.
    pub fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    fn work(&self) {
        // It was started by a core, which may be bound to a processor of its own.
        let _ = process::run_on(&self.processors);
        while let Some((asker, mut errand, kept)) = self.next_errand() {
            let target = errand.run(kept);
            let mut desk = self.desk();
            if let Some(target) = target
                && desk.kept.len() < KEPT_MAX
            {
                let (host, port, since) = (errand.host.clone(), errand.port.clone(), Instant::now());
                desk.kept.push(Kept { host, port, target, since });
                self.note_kept(&desk);
            }
            desk.done.push_back((asker, errand));
            drop(desk);
            // A bell that rings already need not be rung.
            let _ = (&self.rope).write(&[0]);
        }
    }

    /// Waits for something to do; none: this thread is not needed any more.
    fn next_errand(&self) -> Option<(Asker, Box<Errand>, Option<Target>)> {
        let mut desk = self.desk();
        let since = Instant::now();
        loop {
            if let Some((asker, errand)) = desk.waiting.pop_front() {
                let fits = |kept: &Kept| kept.host == errand.host && kept.port == errand.port;
                let place = desk.kept.iter().rposition(fits);
                let target = place.map(|place| desk.kept.swap_remove(place).target);
                self.note_kept(&desk);
                return Some((asker, errand, target));
            }
            desk.kept.retain(|kept| kept.since.elapsed() < KEPT_FOR);
            self.note_kept(&desk);
            let is_last = desk.threads == 1;
            if since.elapsed() >= KEPT_FOR && (desk.kept.is_empty() || !is_last) {
                desk.threads -= 1;
                return None;
            }
            desk.idle += 1;
            let waited = self.work.wait_timeout(desk, LOOKS_EVERY);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
            desk.idle -= 1;
        }
    }

    fn note_kept(&self, desk: &Desk) {
        self.kept.store(desk.kept.len(), Ordering::Relaxed);
    }
}
