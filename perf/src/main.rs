//! The command line of the measuring instrument.

use clap::{Parser, Subcommand};
use ringkey_perf::{PerfError, run};
use std::io::Write as _;
use std::process::ExitCode;

/// Measures servers that speak RESP.
#[derive(Parser)]
#[command(name = "ringkey-perf", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make load and say what the server did with it
    Run(Box<run::RunArgs>),
}

fn carry_out(command: &Command) -> Result<(), PerfError> {
    let out = &mut std::io::stdout();
    match command {
        Command::Run(args) => run::run(args, out),
    }
}

fn main() -> ExitCode {
    match carry_out(&CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed output is the reader's choice.
            let _ = writeln!(std::io::stderr(), "ringkey-perf: {error}");
            ExitCode::FAILURE
        }
    }
}
