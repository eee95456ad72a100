//! The log: what comes through the `log` facade becomes lines as Valkey's configuration asks for them.
//!
//! While the server starts, lines are written where they arise. From then on a core only formats its line and puts it
//! into a queue, and a thread of its own writes: a core that waits for a slow disk, or for a pipe that nobody empties,
//! would keep all its clients waiting. The queue has an end. Lines for which there is no room are counted, and the next
//! line that is written says how many were lost. [`flush`] waits, for a bounded time, until everything is written; the
//! end of the process and a panic call it.
//!
//! A signal like SIGHUP is not needed for rotation: see [`super::sink`].

use super::line::{self, Format, Stamp};
use super::sink::{self, Line, Sink};
use crate::memory::{self, ThreadMemory};
use crate::sys::process::Syslog;
use crossbeam_channel::{Receiver, Sender, bounded};
use log::{Level, LevelFilter, Log, Metadata, Record};
use ringkey_core::settings::{Setting, Settings};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Lines that may wait to be written.
const LINES_MAX: usize = 4096;

/// Lines written at once.
const GROUP_MAX: usize = 64;

/// How long the end of the process waits for the log.
pub const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// What the writing thread is told.
enum Order {
    Write(Line),
    /// Answer when all before it has been written.
    Report(Sender<()>),
}

/// The logger of the process. Its choices are single words, so that any thread can read them without waiting.
struct Logger {
    format: AtomicU8,
    stamp: AtomicU8,
    hides_user_data: AtomicBool,
    has_system: AtomicBool,
    sink: Mutex<Option<Sink>>,
    queue: OnceLock<Sender<Order>>,
    /// Lines in the queue or being written.
    waiting: AtomicUsize,
    lost: AtomicU64,
    /// Where it writes; none: not started. An empty path: the standard output.
    path: OnceLock<PathBuf>,
}

static LOGGER: Logger = Logger {
    format: AtomicU8::new(0),
    stamp: AtomicU8::new(0),
    hides_user_data: AtomicBool::new(true),
    has_system: AtomicBool::new(false),
    sink: Mutex::new(None),
    queue: OnceLock::new(),
    waiting: AtomicUsize::new(0),
    lost: AtomicU64::new(0),
    path: OnceLock::new(),
};

const FORMATS: [Format; 3] = [Format::Legacy, Format::Logfmt, Format::Json];
const STAMPS: [Stamp; 3] = [Stamp::Legacy, Stamp::Iso8601, Stamp::Milliseconds];

/// Starts logging as the settings say; lines are written where they arise until [`write_in_background`].
///
/// # Errors
/// Where the file cannot be opened.
pub fn start(settings: &Settings) -> io::Result<()> {
    let path = PathBuf::from(OsStr::from_bytes(settings.text(Setting::LogFile)));
    let system = settings.bool(Setting::SyslogEnabled).then(|| {
        let ident = settings.text(Setting::SyslogIdent);
        Syslog::open(ident, settings.choice(Setting::SyslogFacility))
    });
    let sink = Sink::open(&path, system)?;
    LOGGER.has_system.store(sink.has_system(), Ordering::Relaxed);
    if let Ok(mut place) = LOGGER.sink.lock() {
        *place = Some(sink);
    }
    // A second start in one process (tests) finds the logger set already.
    let _ = LOGGER.path.set(path);
    let _ = log::set_logger(&LOGGER);
    adopt(settings);
    Ok(())
}

/// Takes over what CONFIG SET may change.
pub fn adopt(settings: &Settings) {
    let format = Format::named(settings.choice(Setting::LogFormat));
    let stamp = Stamp::named(settings.choice(Setting::LogTimestampFormat));
    LOGGER.format.store(format as u8, Ordering::Relaxed);
    LOGGER.stamp.store(stamp as u8, Ordering::Relaxed);
    LOGGER.hides_user_data.store(settings.bool(Setting::HideUserDataFromLog), Ordering::Relaxed);
    log::set_max_level(match settings.choice(Setting::LogLevel) {
        "debug" => LevelFilter::Trace,
        "verbose" => LevelFilter::Debug,
        "notice" => LevelFilter::Info,
        "nothing" => LevelFilter::Off,
        _ => LevelFilter::Warn,
    });
}

/// Has a thread of its own write from now on.
///
/// # Errors
/// Where there can be no thread; then lines are written where they arise.
pub fn write_in_background() -> io::Result<()> {
    let (sender, receiver) = bounded(LINES_MAX);
    std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&receiver))?;
    let _ = LOGGER.queue.set(sender);
    Ok(())
}

/// Waits until everything that was logged so far is written, or until `limit` is over.
pub fn flush(limit: Duration) {
    let Some(queue) = LOGGER.queue.get() else { return };
    let (done, is_done) = bounded(1);
    if queue.send_timeout(Order::Report(done), limit).is_ok() {
        let _ = is_done.recv_timeout(limit);
    }
}

/// Are names, keys and arguments of clients kept out of the log?
pub fn hides_user_data() -> bool {
    LOGGER.hides_user_data.load(Ordering::Relaxed)
}

/// A line about a client as it may stand in the log.
pub fn client_line(line: String) -> String {
    if hides_user_data() { line::redact(&line) } else { line }
}

/// Is there nothing left to be written? For a dying process, which cannot wait for anybody properly.
pub fn is_idle() -> bool {
    LOGGER.waiting.load(Ordering::Acquire) == 0
}

/// The file of the log, if it is one.
pub fn file() -> Option<&'static Path> {
    LOGGER.path.get().map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty())
}

/// Writes last words at once, past the queue, after what waits there.
pub fn write_last_words(level: Level, message: &str, tail: &str) {
    if log::max_level() == LevelFilter::Off {
        return;
    }
    flush(FLUSH_LIMIT);
    let text = format!("{}{tail}", LOGGER.line(level, message).text);
    sink::write_past(file(), &text, FLUSH_LIMIT);
}

fn write_all(orders: &Receiver<Order>) {
    let mut lines = Vec::new();
    let memory = ThreadMemory::of_this_thread();
    while let Ok(order) = orders.recv() {
        let mut report = None;
        let mut next = Some(order);
        while let Some(order) = next {
            match order {
                Order::Write(line) => lines.push(line),
                Order::Report(done) => report = Some(done),
            }
            next = if lines.len() < GROUP_MAX && report.is_none() { orders.try_recv().ok() } else { None };
        }
        let written = lines.len();
        let lost = LOGGER.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            lines.push(LOGGER.line(Level::Warn, &format!("{lost} lines were lost: the log takes them too slowly.")));
        }
        LOGGER.write(&lines);
        lines.clear();
        LOGGER.waiting.fetch_sub(written, Ordering::Release);
        if let Some(memory) = &memory {
            memory::note_log(memory.balance());
        }
        if let Some(done) = report {
            // Who asked may have given up.
            let _ = done.send(());
        }
    }
}

impl Logger {
    fn line(&self, level: Level, message: &str) -> Line {
        let format = FORMATS[usize::from(self.format.load(Ordering::Relaxed))];
        let stamp = STAMPS[usize::from(self.stamp.load(Ordering::Relaxed))];
        let millis = crate::clock::now().0;
        let time = crate::sys::local_time(millis.div_euclid(1000));
        let text = line::write(format, &stamp.text(millis, &time), std::process::id(), level, message);
        let for_system = self.has_system.load(Ordering::Relaxed).then(|| (level, message.to_owned()));
        Line { text, for_system }
    }

    fn write(&self, lines: &[Line]) {
        if let Ok(mut sink) = self.sink.lock()
            && let Some(sink) = sink.as_mut()
        {
            sink.write(lines);
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries log for their own developers.
        metadata.target().starts_with("ringkey")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = match record.args().as_str() {
            Some(message) => self.line(record.level(), message),
            None => self.line(record.level(), &record.args().to_string()),
        };
        let Some(queue) = self.queue.get() else { return self.write(&[line]) };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if queue.try_send(Order::Write(line)).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        flush(FLUSH_LIMIT);
    }
}
