//! What each core is doing, noted down for the case that it crashes: plain stores to memory of the core's own, which
//! only a report ever reads - on the same thread, or on another one while the process is ending anyway.

#![allow(unsafe_code)]

use ringkey_core::command::Command;
use ringkey_core::resp::Args;
use std::cell::Cell;
use std::ptr::null;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// Cores whose notes can be found.
const CORES_MAX: usize = 256;

/// The notes of a thread.
struct Note {
    core: Cell<Option<u16>>,
    row: Cell<Option<&'static Command>>,
    /// The words of the request, while it is carried out.
    words: Cell<*const Args<'static>>,
    /// Calls of the batch under way, 0: none.
    calls: Cell<u32>,
    /// The core that sent it.
    home: Cell<u16>,
}

thread_local! {
    static NOTE: Note = const {
        Note { core: Cell::new(None), row: Cell::new(None), words: Cell::new(null()), calls: Cell::new(0), home: Cell::new(0) }
    };
}

static NOTES: [AtomicPtr<Note>; CORES_MAX] = [const { AtomicPtr::new(std::ptr::null_mut()) }; CORES_MAX];
static THREADS: [AtomicI32; CORES_MAX] = [const { AtomicI32::new(0) }; CORES_MAX];

/// Notes that a command is carried out on this core, until [`done`].
#[inline]
pub fn note_command(row: &'static Command, words: &Args<'_>) {
    NOTE.with(|note| {
        note.row.set(Some(row));
        note.words.set(std::ptr::from_ref(words).cast());
    });
}

/// The request is over; its words may go.
#[inline]
pub fn done() {
    NOTE.with(|note| note.words.set(null()));
}

/// Notes that calls of another core are carried out.
#[inline]
pub fn note_batch(first: Option<&'static Command>, calls: usize, home: u16) {
    NOTE.with(|note| {
        note.row.set(first);
        note.calls.set(calls as u32);
        note.home.set(home);
    });
}

/// The batch is over.
#[inline]
pub fn batch_done() {
    NOTE.with(|note| note.calls.set(0));
}

/// This thread is core `core`.
pub fn register(core: u16) {
    NOTE.with(|note| {
        note.core.set(Some(core));
        if let (Some(place), Some(thread)) = (NOTES.get(usize::from(core)), THREADS.get(usize::from(core))) {
            place.store(std::ptr::from_ref(note).cast_mut(), Ordering::Release);
            thread.store(super::process::thread_id(), Ordering::Release);
        }
    });
}

/// The core stops; its thread, and with it its notes, will be gone.
pub fn unregister() {
    if let Some(core) = core()
        && let Some(place) = NOTES.get(usize::from(core))
    {
        place.store(std::ptr::null_mut(), Ordering::Release);
        THREADS[usize::from(core)].store(0, Ordering::Release);
    }
}

/// The core of this thread.
pub fn core() -> Option<u16> {
    NOTE.with(|note| note.core.get())
}

/// The cores that run, and the kernel's numbers of their threads.
pub fn threads() -> impl Iterator<Item = (usize, i32)> {
    THREADS.iter().map(|thread| thread.load(Ordering::Acquire)).enumerate().filter(|(_, thread)| *thread != 0)
}

/// What a core is doing.
#[derive(Clone, Copy, Debug)]
pub struct Doing {
    /// The command that was begun last.
    pub row: Option<&'static Command>,
    /// Is it a request that is being carried out right now?
    pub is_request: bool,
    /// Calls of the batch under way.
    pub calls: u32,
    /// The core that sent the batch.
    pub home: u16,
}

/// What `core` is doing, read while it may go on doing it: for reports only.
pub fn of_core(core: usize) -> Option<Doing> {
    let note = NOTES.get(core)?.load(Ordering::Acquire);
    if note.is_null() {
        return None;
    }
    // SAFETY: a core takes its notes from the list before its thread ends. Each field is at most one word, which the
    // core stores whole; every value that it ever holds is valid.
    unsafe {
        Some(Doing {
            row: (&raw const (*note).row).cast::<Option<&'static Command>>().read_volatile(),
            is_request: !(&raw const (*note).words).cast::<*const Args<'static>>().read_volatile().is_null(),
            calls: (&raw const (*note).calls).cast::<u32>().read_volatile(),
            home: (&raw const (*note).home).cast::<u16>().read_volatile(),
        })
    }
}

/// Shows the words of the request that this thread is carrying out.
pub fn show_words(show: impl FnOnce(&Args<'_>)) {
    let words = NOTE.with(|note| note.words.get());
    // SAFETY: the pointer is set while its request is carried out, by a frame further up on this thread's stack, and
    // cleared before that frame lets go of the request.
    if let Some(words) = unsafe { words.as_ref() } {
        show(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringkey_core::resp::Request;

    #[test]
    fn notes_are_found_while_they_hold() {
        register(200);
        let request = Request::new([b"GET".as_slice(), b"key"]);
        let args = request.args();
        let row = ringkey_core::command::table::lookup(b"GET");
        if let Some(row) = row {
            note_command(row, &args);
        }
        let mut seen = 0;
        show_words(|words| seen = words.len());
        assert_eq!(seen, 2);
        let doing = of_core(200);
        assert!(doing.is_some_and(|doing| doing.is_request && doing.row.is_some_and(|row| row.name == "get")));
        done();
        show_words(|_| seen = 0);
        assert_eq!(seen, 2);
        assert!(threads().any(|(core, _)| core == 200));
        unregister();
        assert!(of_core(200).is_none());
    }
}
