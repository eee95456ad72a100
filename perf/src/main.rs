//! The command line of the measuring instrument.

use clap::{Parser, Subcommand};
use ringkey_perf::{PerfError, compare, memory, run, stall};
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
    /// Start servers and compare them under the same load, interleaved over rounds
    Compare(Box<compare::Options>),
    /// Weigh data: bytes of memory an element, on several servers
    Memory(Box<memory::Options>),
    /// Feel for stalls while a table grows, shrinks and is flushed
    Stall(Box<stall::Options>),
}

fn carry_out(command: &Command) -> Result<(), PerfError> {
    let out = &mut std::io::stdout();
    match command {
        Command::Run(args) => run::run(args, out),
        Command::Compare(options) => print(out, &compare::run(options, &mut say)?),
        Command::Memory(options) => print(out, &memory::run(options, &mut say)?),
        Command::Stall(options) => print(out, &stall::run(options, &mut say)?),
    }
}

/// What goes on meanwhile, so that the output holds results alone.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print(out: &mut std::io::Stdout, text: &str) -> Result<(), PerfError> {
    out.write_all(text.as_bytes()).map_err(PerfError::system("writing the report"))
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
