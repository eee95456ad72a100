//! The process among others: who started it, how it goes into the background, what it is called, where it runs, what
//! the machine should know and be.

pub mod cpulist;
pub mod keeper;
pub mod machine;
pub mod oom;
pub mod supervise;
pub mod title;

use crate::listen::plain;
use ringkey_core::settings::{Setting, Settings};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The process id file of a server in the background that names none; Valkey's.
const DEFAULT_PID_FILE: &[u8] = b"/var/run/valkey.pid";

/// The file that holds the process id; removed when this is dropped.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file if the settings name one, or if the server went into the background. That it cannot be written
    /// is no reason not to serve.
    pub fn write(settings: &mut Settings, is_in_background: bool) -> Option<Self> {
        if is_in_background && settings.text(Setting::PidFile).is_empty() {
            settings.set_text(Setting::PidFile, DEFAULT_PID_FILE);
        }
        let path = PathBuf::from(OsStr::from_bytes(settings.text(Setting::PidFile)));
        if path.as_os_str().is_empty() {
            return None;
        }
        // Later changes of the directory must not lead to another file.
        let path = std::path::absolute(&path).unwrap_or(path);
        match std::fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                log::warn!("Failed to write PID file {}: {}", path.display(), plain(&error));
                None
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        log::info!("Removing the pid file.");
        let _ = std::fs::remove_file(&self.0);
    }
}
