//! The report of a crash: what happened, on which core, during which command, where, and the facts of the process that
//! need no other core. It is made by the panic hook and, without allocation, by the handlers of [`crate::sys::crash`].
//!
//! Lines of a handler have the form that Valkey's handlers write, whatever `log-format` says: to ask for the calendar
//! or to escape text for JSON is too much for a program that has just broken.

use super::log as logger;
use crate::VERSION;
use crate::sys::crash::{self, Crash, Report, Reporters};
use crate::sys::{note, process};
use log::Level;
use ringkey_core::resp::Args;
use ringkey_core::settings::{Setting, Settings};
use std::ffi::CString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

pub use crate::sys::note::{batch_done, done, note_batch, note_command};

/// Words of a request that are shown, and bytes of each.
const WORDS_MAX: usize = 32;
const WORD_BYTES_MAX: usize = 128;

/// How long a dying process waits for the lines before its last, in milliseconds.
const DRAIN_LIMIT_MS: usize = 200;

/// Facts that a handler cannot find out any more.
struct Facts {
    process: u32,
    log_file: Option<CString>,
    executable: String,
    config_file: String,
    kernel: String,
    cores: u16,
    started_s: i64,
}

static FACTS: OnceLock<Facts> = OnceLock::new();
static IS_ENABLED: AtomicBool = AtomicBool::new(false);

/// Starts reporting, as `crash-log-enabled` says. A panic ends the process in any case: half a server is worse than none.
pub fn start(settings: &Settings, config_file: &str, kernel: &str, cores: u16) {
    let log_file = logger::file().and_then(|path| CString::new(path.as_os_str().as_bytes()).ok());
    let _ = FACTS.set(Facts {
        process: std::process::id(),
        log_file,
        executable: std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default(),
        config_file: config_file.to_owned(),
        kernel: kernel.to_owned(),
        cores,
        started_s: crash::now_s(),
    });
    std::panic::set_hook(Box::new(report_panic));
    adopt(settings);
}

/// Switches reports of signals on or off.
pub fn adopt(settings: &Settings) {
    let wanted = settings.bool(Setting::CrashLogEnabled);
    if IS_ENABLED.swap(wanted, Ordering::AcqRel) == wanted {
        return;
    }
    match wanted {
        true => crash::install(Reporters { crash: report_signal, alarm: report_alarm, asked: report_asked }),
        false => crash::uninstall(),
    }
}

/// This thread is a core from now on.
pub fn register(core: u16) {
    note::register(core);
    crash::prepare_thread();
}

fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    // A panic while this one is reported ends the process at once.
    crash::let_abort();
    let mut report = String::new();
    if IS_ENABLED.load(Ordering::Acquire) {
        let _ = write_thread(&mut report);
        let _ = write_doing(&mut report);
        let backtrace = std::backtrace::Backtrace::force_capture();
        let _ = write!(report, "\n------ STACK TRACE ------\n{backtrace}------ STACK TRACE DONE ------\n");
        let _ = write_facts(&mut report);
        let _ = write_end(&mut report);
    }
    let text =
        format!("=== RINGKEY BUG REPORT START: Cut & paste starting from here === Ringkey {VERSION} crashed: {panic}");
    logger::write_last_words(Level::Error, &text, &report);
    std::process::abort();
}

fn report_signal(crash: &Crash) {
    for _ in 0..DRAIN_LIMIT_MS {
        if logger::is_idle() {
            break;
        }
        crash::nap();
    }
    let Some(mut report) = open() else { return };
    // A report never fails to be written in any way that could be told.
    let _ = write_crash(&mut report, crash);
}

fn open() -> Option<Report> {
    let facts = FACTS.get()?;
    if log::max_level() == log::LevelFilter::Off {
        return None;
    }
    Report::open(facts.log_file.as_deref())
}

fn line(report: &mut impl Write) -> std::fmt::Result {
    write!(report, "{}:signal-handler ({}) ", FACTS.get().map_or(0, |facts| facts.process), crash::now_s())
}

fn write_crash(report: &mut Report, crash: &Crash) -> std::fmt::Result {
    let Crash { signal, code, .. } = crash;
    report.write_str("\n\n=== RINGKEY BUG REPORT START: Cut & paste starting from here ===\n")?;
    line(report)?;
    writeln!(report, "Ringkey {VERSION} crashed by signal: {signal} ({}), si_code: {code}", crash.name())?;
    line(report)?;
    match crash.sender {
        Some((process, user)) => writeln!(report, "Sent by PID: {process}, UID: {user}")?,
        None => writeln!(report, "Accessing address: {:#x}", crash.address)?,
    }
    line(report)?;
    writeln!(report, "Instruction: {:#x}, stack: {:#x}", crash.instruction, crash.stack)?;
    write_thread(report)?;
    write_doing(report)?;
    report.write_str("\n------ STACK TRACE ------\n")?;
    report.addresses();
    report.write_str("------ STACK TRACE DONE ------\n")?;
    write_facts(report)?;
    report.flush();
    // The rest allocates: if it fails, everything else is there.
    report.write_str("\n------ SYMBOLS ------\n")?;
    report.flush();
    let backtrace = std::backtrace::Backtrace::force_capture();
    write!(report, "{backtrace}")?;
    write_end(report)
}

fn write_thread(report: &mut impl Write) -> std::fmt::Result {
    match note::core() {
        Some(core) => writeln!(report, "\nThread: core-{core} ({})", process::thread_id()),
        None => writeln!(report, "\nThread: no core ({})", process::thread_id()),
    }
}

/// What this core, and what the others are doing.
fn write_doing(report: &mut impl Write) -> std::fmt::Result {
    report.write_str("\n------ COMMANDS UNDER WAY ------\n")?;
    for (core, thread) in note::threads() {
        let Some(doing) = note::of_core(core) else { continue };
        let name = doing.row.map_or("none", |row| row.name);
        match (doing.is_request, doing.calls) {
            (true, _) => writeln!(report, "core {core} ({thread}): {name}")?,
            (false, 0) => writeln!(report, "core {core} ({thread}): between commands, the last one was {name}")?,
            (false, calls) => {
                writeln!(report, "core {core} ({thread}): {calls} calls of core {}, the first is {name}", doing.home)?;
            }
        }
    }
    let mut result = Ok(());
    note::show_words(|words| result = write_words(report, words));
    result
}

fn write_words(report: &mut impl Write, words: &Args<'_>) -> std::fmt::Result {
    writeln!(report, "argc: {}", words.len())?;
    for (at, word) in words.iter_from(0).take(WORDS_MAX).enumerate() {
        if at > 0 && logger::hides_user_data() {
            return report.write_str("the other words are hidden by hide-user-data-from-log\n");
        }
        write!(report, "argv[{at}]: \"")?;
        for byte in word.iter().take(WORD_BYTES_MAX) {
            write!(report, "{}", byte.escape_ascii())?;
        }
        report.write_str(if word.len() > WORD_BYTES_MAX { "\"...\n" } else { "\"\n" })?;
    }
    Ok(())
}

fn write_facts(report: &mut impl Write) -> std::fmt::Result {
    let Some(facts) = FACTS.get() else { return Ok(()) };
    report.write_str("\n------ INFO OUTPUT ------\n")?;
    writeln!(report, "ringkey_version:{VERSION}\nos:{}\nprocess_id:{}", facts.kernel, facts.process)?;
    writeln!(report, "executable:{}\nconfig_file:{}\ncores:{}", facts.executable, facts.config_file, facts.cores)?;
    writeln!(report, "uptime_in_seconds:{}", crash::now_s() - facts.started_s)
}

fn write_end(report: &mut impl Write) -> std::fmt::Result {
    report.write_str(
        "\n=== RINGKEY BUG REPORT END. Please open an issue of Ringkey with everything from its START on. If the machine \
         itself may be to blame, test its memory (memtest86). ===\n\n",
    )
}

/// SIGALRM: tells what every core is doing and where; nothing ends.
fn report_alarm() {
    let Some(mut report) = open() else { return };
    let _ = write_alarm(&mut report);
}

fn write_alarm(report: &mut Report) -> std::fmt::Result {
    line(report)?;
    report.write_str("Received SIGALRM\n")?;
    write_doing(report)?;
    report.write_str("\n------ STACK TRACE ------\n")?;
    report.flush();
    let me = process::thread_id();
    for (_, thread) in note::threads() {
        if thread == me { write_asked(report)? } else { crash::ask_thread(thread) }
    }
    report.write_str("------ STACK TRACE DONE ------\n")
}

fn report_asked() {
    if let Some(mut report) = open() {
        let _ = write_asked(&mut report);
    }
}

fn write_asked(report: &mut Report) -> std::fmt::Result {
    writeln!(report, "{} core-{}", process::thread_id(), note::core().unwrap_or(u16::MAX))?;
    report.addresses();
    report.write_str("\n")
}
