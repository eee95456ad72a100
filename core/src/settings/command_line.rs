//! The command line in Valkey's form: `server /path/conf --port 7000 --save '' --bind 127.0.0.1 ::1 -`.
//!
//! Options are turned into lines of a configuration text that follows the file and the standard input, so an option
//! overrides a file by coming later and an error names the same line as it does there.

use super::parse::{ConfigError, Directive, parse_text};
use crate::words::{quote, split_words};

/// What the process was started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve.
    Start,
    /// Print how to use the program.
    Help,
    /// Print the version.
    Version,
    /// Check the machine.
    CheckSystem,
    /// Test so many megabytes of memory; nothing when the amount is missing.
    TestMemory(Option<u64>),
}

/// The command line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// What to do.
    pub action: Action,
    /// The file to read first.
    pub config_file: Option<Vec<u8>>,
    /// Whether the standard input follows the file.
    pub stdin: bool,
    /// The options as lines of a configuration text.
    pub options: Vec<u8>,
}

impl CommandLine {
    /// The whole configuration text: the file, the standard input, the options.
    pub fn text(&self, file: &[u8], stdin: &[u8]) -> Vec<u8> {
        [file, stdin, b"\n", &self.options].concat()
    }

    /// The options alone, as directives.
    pub fn directives(&self) -> Result<Vec<Directive>, ConfigError> {
        parse_text(&self.text(b"", b""))
    }
}

/// Reads the arguments behind the name of the program.
pub fn parse_command_line<Arg: AsRef<[u8]>>(args: &[Arg]) -> CommandLine {
    let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
    let mut line = CommandLine { action: Action::Start, config_file: None, stdin: false, options: Vec::new() };
    line.action = match args.first() {
        Some(&b"-v" | &b"--version") => Action::Version,
        Some(&b"-h" | &b"--help") => Action::Help,
        Some(&b"--check-system") => Action::CheckSystem,
        Some(&b"--test-memory") => Action::TestMemory(if args.len() == 2 { megabytes(args[1]) } else { None }),
        _ => Action::Start,
    };
    if line.action != Action::Start {
        return line;
    }
    let mut first = 0;
    if let Some(file) = args.first().filter(|arg| arg.first() != Some(&b'-')) {
        line.config_file = Some(file.to_vec());
        first = 1;
    }
    read_options(&args, first, &mut line);
    line
}

fn megabytes(arg: &[u8]) -> Option<u64> {
    std::str::from_utf8(arg).ok()?.parse().ok()
}

fn read_options(args: &[&[u8]], first: usize, line: &mut CommandLine) {
    // An option without a value yet takes whatever comes next, even if it starts with `--`.
    let mut wants_value = false;
    for (index, arg) in args.iter().enumerate().skip(first) {
        let is_last = index + 1 == args.len();
        match arg.strip_prefix(b"--") {
            _ if *arg == b"-" && (index == 0 || is_last) => line.stdin = true,
            Some(option) if !wants_value => {
                if !line.options.is_empty() {
                    line.options.push(b'\n');
                }
                line.options.extend_from_slice(option);
                line.options.push(b' ');
                // `--port` still wants its value, `--port 7000` in one argument has it.
                let is_bare = split_words(arg).is_some_and(|words| words.len() == 1);
                wants_value = is_bare && !may_stand_alone(arg, args.get(index + 1).copied(), &mut line.options);
            }
            _ => {
                quote(arg, &mut line.options);
                line.options.push(b' ');
                wants_value = false;
            }
        }
    }
}

/// `--save` and `--sentinel` may come without a value: last of all, or before the next option.
fn may_stand_alone(arg: &[u8], next: Option<&[u8]>, options: &mut Vec<u8>) -> bool {
    if next.is_some_and(|next| !next.starts_with(b"--")) {
        return false;
    }
    let is_save = arg.eq_ignore_ascii_case(b"--save");
    if is_save {
        options.extend_from_slice(b"\"\"");
    }
    is_save || arg.eq_ignore_ascii_case(b"--sentinel")
}
