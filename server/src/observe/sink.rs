//! Where lines of the log go: a file, the standard output, the system's log.
//!
//! Valkey opens the file for every line, so that a file that was moved away is followed by a new one. Here the file stays
//! open, and before it is written to its path is looked up: does it still name this file? That is one call of the
//! system for a group of lines, on a thread that nobody waits for.

use crate::sys::process::{Syslog, write_within};
use log::Level;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A line on its way.
#[derive(Debug)]
pub struct Line {
    /// With everything before the message, and its end.
    pub text: String,
    /// Its level and message, if the system's log is to have them.
    pub for_system: Option<(Level, String)>,
}

/// Where lines go.
#[derive(Debug, Default)]
pub struct Sink {
    /// None: the standard output.
    path: Option<PathBuf>,
    file: Option<File>,
    system: Option<Syslog>,
}

impl Sink {
    /// An empty `path` means the standard output.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(path: &Path, system: Option<Syslog>) -> io::Result<Self> {
        if path.as_os_str().is_empty() {
            return Ok(Self { system, ..Self::default() });
        }
        let file = Some(append_to(path)?);
        Ok(Self { path: Some(path.to_owned()), file, system })
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Does the system's log get every line, too?
    pub fn has_system(&self) -> bool {
        self.system.is_some()
    }

    /// Writes lines. There is nowhere to report a log that cannot be written.
    pub fn write(&mut self, lines: &[Line]) {
        let text: String = lines.iter().map(|line| line.text.as_str()).collect();
        let _ = match &self.path {
            Some(path) => {
                if !self.file.as_ref().is_some_and(|file| is_still(path, file))
                    && let Ok(file) = append_to(path)
                {
                    self.file = Some(file);
                }
                self.file.as_mut().map_or(Ok(()), |file| file.write_all(text.as_bytes()))
            }
            None => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
        };
        let Some(system) = &self.system else { return };
        for (level, message) in lines.iter().filter_map(|line| line.for_system.as_ref()) {
            system.write(*level, message);
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Does `path` still name this file?
fn is_still(path: &Path, file: &File) -> bool {
    let (Ok(named), Ok(open)) = (std::fs::metadata(path), file.metadata()) else { return false };
    (named.dev(), named.ino()) == (open.dev(), open.ino())
}

/// Writes last words past whoever else may be writing, and waits for `limit` at most where nobody reads them.
pub fn write_past(path: Option<&Path>, text: &str, limit: Duration) {
    let file = path.and_then(|path| append_to(path).ok());
    let out = io::stdout();
    let fd = match (&file, path) {
        (Some(file), _) => file.as_raw_fd(),
        (None, Some(_)) => return,
        (None, None) => out.as_fd().as_raw_fd(),
    };
    write_within(fd, text.as_bytes(), limit);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(text: &str) -> [Line; 1] {
        [Line { text: text.to_owned(), for_system: None }]
    }

    #[test]
    fn a_file_that_was_moved_away_is_followed_by_a_new_one() {
        let folder = std::env::temp_dir().join(format!("ringkey-sink-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, moved) = (folder.join("log"), folder.join("log.1"));
        let mut sink = Sink::open(&path, None).unwrap();
        sink.write(&line("one\n"));
        std::fs::rename(&path, &moved).unwrap();
        sink.write(&line("two\n"));
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        std::fs::remove_file(&path).unwrap();
        sink.write(&line("three\n"));
        write_past(Some(&path), "last\n", Duration::from_secs(1));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\nlast\n");
        std::fs::remove_dir_all(&folder).unwrap();
        // No place for a new one: the lines go to the old one, and nothing fails.
        sink.write(&line("four\n"));
    }

    #[test]
    fn a_path_without_its_folder_is_refused() {
        let error = Sink::open(Path::new("/nonexistent/folder/log"), None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
