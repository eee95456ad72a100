//! The load generator, the comparison with other servers, the capacity planner. **Nothing is here yet**: until then,
//! measure with valkey-benchmark as README.md shows.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let text = b"ringkey-perf measures nothing yet. Use valkey-benchmark: README.md shows how.\n";
    // A closed output is the reader's choice.
    let _ = std::io::stderr().write_all(text);
    ExitCode::FAILURE
}
