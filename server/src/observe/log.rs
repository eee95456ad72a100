//! The log in Valkey's form, so that people and tools find what they are used to:
//! `pid:role date time level message`, with `.`, `-`, `*`, `#` for debug, verbose, notice, warning.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes records to a file or to the standard output, one write a line.
struct Logger {
    /// `None`: the standard output.
    file: Mutex<Option<File>>,
}

static LOGGER: Logger = Logger { file: Mutex::new(None) };

/// Starts logging; an empty `path` means the standard output.
///
/// # Errors
/// Where the file cannot be opened.
pub fn start(path: &Path, level: &str) -> io::Result<()> {
    let file = match path.as_os_str().is_empty() {
        true => None,
        false => Some(OpenOptions::new().create(true).append(true).open(path)?),
    };
    if let Ok(mut place) = LOGGER.file.lock() {
        *place = file;
    }
    // A second start in one process (tests) finds the logger set already.
    let _ = log::set_logger(&LOGGER);
    set_level(level);
    Ok(())
}

/// Sets the level by its name in the configuration.
pub fn set_level(level: &str) {
    log::set_max_level(match level {
        "debug" => LevelFilter::Trace,
        "verbose" => LevelFilter::Debug,
        "notice" => LevelFilter::Info,
        "nothing" => LevelFilter::Off,
        _ => LevelFilter::Warn,
    });
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
        let mark = match record.level() {
            Level::Error | Level::Warn => '#',
            Level::Info => '*',
            Level::Debug => '-',
            Level::Trace => '.',
        };
        let line = format!("{}:M {} {mark} {}\n", std::process::id(), timestamp(), record.args());
        let Ok(mut file) = self.file.lock() else { return };
        // There is nowhere to report a log that cannot be written.
        let _ = match file.as_mut() {
            Some(file) => file.write_all(line.as_bytes()),
            None => {
                let mut out = io::stdout().lock();
                out.write_all(line.as_bytes()).and_then(|()| out.flush())
            }
        };
    }

    fn flush(&self) {}
}

/// `21 Nov 2026 21:28:50.123` in local time.
fn timestamp() -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = crate::sys::local_time(now.as_secs());
    format!(
        "{:02} {} {} {:02}:{:02}:{:02}.{:03}",
        time.day,
        MONTHS[usize::from(time.month).min(11)],
        time.year,
        time.hour,
        time.minute,
        time.second,
        now.subsec_millis()
    )
}
