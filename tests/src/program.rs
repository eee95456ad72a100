//! Runs a client program to its end, with a limit, and returns what it printed.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a program left behind.
#[derive(Debug)]
pub struct Printed {
    /// Whether it ended with status 0.
    pub success: bool,
    /// Standard output and standard error, as they came.
    pub text: String,
}

impl Printed {
    /// The text, if the program ended well; else the test fails and shows it.
    pub fn or_fail(self, what: &str) -> String {
        assert!(self.success, "{what} failed:\n{}", self.text);
        self.text
    }
}

/// Runs the command with `input` on its standard input. One that is still running at the limit is ended
/// and counts as failed.
pub fn run(mut command: Command, input: &[u8], limit: Duration) -> std::io::Result<Printed> {
    let dir = tempfile::tempdir()?;
    let (input_path, output_path) = (dir.path().join("input"), dir.path().join("output"));
    File::create(&input_path)?.write_all(input)?;
    let output = File::create(&output_path)?;
    command.stdin(File::open(&input_path)?).stderr(Stdio::from(output.try_clone()?)).stdout(output);
    let mut child = command.spawn()?;
    let end = Instant::now() + limit;
    let success = loop {
        if let Some(status) = child.try_wait()? {
            break status.success();
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            break false;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = String::from_utf8_lossy(&std::fs::read(&output_path)?).into_owned();
    Ok(Printed { success, text })
}
