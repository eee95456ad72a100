//! `ringkey-server`: reads the command line and the configuration, and serves.

use ringkey_core::settings::{Action, CommandLine, parse_command_line};
use ringkey_server::boot::{self, BootError};
use ringkey_server::configuration;
use ringkey_server::observe::log::FLUSH_LIMIT;
use ringkey_server::self_check::memory::{self, Failure};
use ringkey_server::self_check::system::{self, Verdict};
use ringkey_server::{COMPATIBLE_VERSION, VERSION};
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const USAGE: &str = "\
Usage: ringkey-server [/path/to/ringkey.conf] [options] [-]
       ringkey-server - (read the configuration from the standard input)
       ringkey-server -v or --version
       ringkey-server -h or --help
       ringkey-server --check-system (what the machine lacks, a line each; ends with 1 if anything)
       ringkey-server --test-memory <megabytes> (ends with 1 at the first error)

Every directive of the configuration file is an option, too:
       ringkey-server                               (the defaults: port 6379, all cores)
       ringkey-server --port 7777 --cores 4
       ringkey-server /etc/ringkey/ringkey.conf --loglevel verbose --bind 127.0.0.1 ::1
";

fn main() -> ExitCode {
    let args: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    let line = parse_command_line(&args);
    match line.action {
        Action::Start => start(&line),
        Action::Help => print(USAGE),
        Action::Version => print(&format!(
            "Ringkey server v={VERSION} compatible with Valkey {COMPATIBLE_VERSION} malloc=jemalloc bits=64\n"
        )),
        Action::CheckSystem => check_system(),
        Action::TestMemory(Some(megabytes)) => test_memory(megabytes),
        Action::TestMemory(None) => {
            fail("How much memory is to be tested, in megabytes?\nExample: ringkey-server --test-memory 4096\n")
        }
    }
}

fn check_system() -> ExitCode {
    let findings = system::check();
    findings.iter().for_each(|finding| {
        print(&format!("{finding}\n"));
    });
    let is_good = findings.iter().all(|finding| matches!(finding.verdict, Verdict::Good(_)));
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn test_memory(megabytes: u64) -> ExitCode {
    let tested = memory::test(megabytes, |line| {
        print(&format!("{line}\n"));
    });
    match tested {
        Ok(()) => print("No error was found. What runs below all programs, such as memtest86, tests more.\n"),
        Err(failure @ Failure::NoMemory) => fail(&format!("{megabytes} MiB: {failure}\n")),
        Err(failure) => fail(&format!("THE MEMORY IS FAULTY: {failure}\n")),
    }
}

fn start(line: &CommandLine) -> ExitCode {
    let configuration = match configuration::read(line) {
        Ok(configuration) => configuration,
        Err(error) => return refuse(error),
    };
    let status = match boot::run(configuration) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(error),
    };
    ringkey_server::observe::log::flush(FLUSH_LIMIT);
    status
}

/// Says why the server does not start: configuration errors on the error output, what happens later in the log.
fn refuse(error: BootError) -> ExitCode {
    match error {
        BootError::Config(error) => return fail(&error.block(VERSION)),
        BootError::Listen(error) => log::warn!("{}", error.0),
        BootError::Missing(missing) => log::warn!("{missing}"),
        BootError::Other(text) if log::max_level() == log::LevelFilter::Off => return fail(&format!("{text}\n")),
        BootError::Other(text) => log::warn!("{text}"),
    }
    ExitCode::FAILURE
}

fn print(text: &str) -> ExitCode {
    // A closed output is the reader's choice.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(text: &str) -> ExitCode {
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}
