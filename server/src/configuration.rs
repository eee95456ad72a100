//! The configuration as files on disk: read at start with everything it includes, and rewritten by CONFIG REWRITE.

use crate::boot::BootError;
use crate::listen::plain;
use ringkey_core::command::Names;
use ringkey_core::settings::{
    Applied, CommandLine, ConfigError, Directive, Extent, Setting, Settings, directives, rewrite,
};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Files that a configuration may include in one another.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Lines that all files of a configuration may have together: files that include one another several times would multiply.
const LINES_MAX: u64 = 1_000_000;

/// No configuration file is larger, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What a new configuration file may be read by, before the process's mask.
const NEW_FILE_MODE: u32 = 0o644;

/// What the process was started with.
#[derive(Debug)]
pub struct Configuration {
    /// The directives.
    pub settings: Settings,
    /// How commands are called.
    pub names: Names,
    /// The file; empty if there was none.
    pub file: PathBuf,
}

/// Reads the configuration file, the standard input and the options.
///
/// # Errors
/// The first line that is wrong, with its number.
pub fn read(line: &CommandLine) -> Result<Configuration, BootError> {
    let mut configuration = Configuration { settings: Settings::new(), names: Names::default(), file: PathBuf::new() };
    let mut text = Vec::new();
    if let Some(name) = &line.config_file {
        let name = Path::new(OsStr::from_bytes(name));
        let name = std::path::absolute(name).unwrap_or_else(|_| name.to_owned());
        text = read_file(&name).map_err(|error| {
            BootError::Other(format!("Fatal error, can't open config file '{}': {}", name.display(), plain(&error)))
        })?;
        configuration.file = std::fs::canonicalize(&name).unwrap_or(name);
    }
    let mut stdin = Vec::new();
    if line.stdin {
        std::io::stdin()
            .read_to_end(&mut stdin)
            .map_err(|error| BootError::Other(format!("cannot read the standard input: {error}")))?;
    }
    let mut reader = Reader { configuration, open: Vec::new(), lines: 0 };
    reader.open.extend((!reader.configuration.file.as_os_str().is_empty()).then(|| reader.configuration.file.clone()));
    reader.apply_text(&line.text(&text, &stdin))?;
    resolve_directory(&mut reader.configuration.settings);
    Ok(reader.configuration)
}

/// A configuration that is being read.
struct Reader {
    configuration: Configuration,
    /// The files that lead to the line at hand.
    open: Vec<PathBuf>,
    /// Lines read so far.
    lines: u64,
}

impl Reader {
    fn apply_text(&mut self, text: &[u8]) -> Result<(), BootError> {
        for directive in directives(text) {
            let directive = directive.map_err(BootError::Config)?;
            self.apply(&directive)?;
        }
        Ok(())
    }

    fn apply(&mut self, directive: &Directive) -> Result<(), BootError> {
        let refuse = |reason: String| BootError::Config(directive.error(reason));
        let settings = &mut self.configuration.settings;
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(refuse("the files that include one another have too many lines".to_owned()));
        }
        match settings.apply(directive).map_err(BootError::Config)? {
            Applied::Set(Setting::Dir) => {
                // Relative paths in later lines and at run time start from there.
                let path = Path::new(OsStr::from_bytes(settings.text(Setting::Dir))).to_owned();
                std::env::set_current_dir(&path).map_err(|error| refuse(plain(&error)))?;
                resolve_directory(settings);
                Ok(())
            }
            // Ignoring these two would leave the server more open than its file says.
            Applied::Set(Setting::AclFile) if !settings.text(Setting::AclFile).is_empty() => {
                Err(refuse("ACL files are not supported by this version, use requirepass".to_owned()))
            }
            Applied::User(_) => Err(refuse("ACL users are not supported by this version, use requirepass".to_owned())),
            Applied::Set(_) | Applied::Retired => Ok(()),
            Applied::Include(pattern) => self.include(&pattern, directive),
            Applied::RenameCommand { from, to } => {
                self.configuration.names.rename(&from, &to).map_err(|error| refuse(error.reason().to_owned()))
            }
        }
    }

    /// Reads the files that an `include` means.
    fn include(&mut self, pattern: &[u8], directive: &Directive) -> Result<(), BootError> {
        let refuse = |reason: String| BootError::Config(directive.error(reason));
        for path in expand(pattern) {
            let text = read_file(&path)
                .map_err(|error| refuse(format!("can't open config file '{}': {}", path.display(), plain(&error))))?;
            let file = std::fs::canonicalize(&path).unwrap_or(path);
            if self.open.contains(&file) {
                return Err(refuse(format!("the config file '{}' includes itself", file.display())));
            }
            if self.open.len() > INCLUDE_DEPTH_MAX {
                return Err(refuse("files include one another too deeply".to_owned()));
            }
            self.open.push(file);
            self.apply_text(&text)?;
            self.open.pop();
        }
        Ok(())
    }
}

/// A file, but no device or pipe that would never end.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)? as u64;
    if read > FILE_BYTES_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

/// The files that an include means: wildcards are allowed in its last part.
fn expand(pattern: &[u8]) -> Vec<PathBuf> {
    let path = Path::new(OsStr::from_bytes(pattern));
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    if !name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
        return vec![path.to_owned()];
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| ringkey_core::glob::glob_match(name, entry.file_name().as_bytes(), false))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Puts the absolute working directory into the settings, where CONFIG GET shows it.
pub fn resolve_directory(settings: &mut Settings) {
    if let Ok(path) = std::env::current_dir() {
        settings.set_text(Setting::Dir, path.as_os_str().as_bytes());
    }
}

/// Writes the settings in force into the configuration file: all of it or nothing.
///
/// # Errors
/// What failed; the file is as it was.
pub fn rewrite_file(path: &Path, settings: &Settings, extent: Extent) -> io::Result<()> {
    // Who has removed the file gets a new one.
    let (old, mode) = match File::open(path) {
        Ok(mut file) => {
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            (text, Some(file.metadata()?.permissions().mode()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
        Err(error) => return Err(error),
    };
    let mut new = path.to_owned().into_os_string();
    new.push(format!(".tmp-{}", std::process::id()));
    let new = PathBuf::from(new);
    // It may hold passwords: never more open than the old one, not even for a moment.
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode.map_or(NEW_FILE_MODE, |_| 0o600));
    let written = options.open(&new).and_then(|mut file| {
        if let Some(mode) = mode {
            file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
        }
        file.write_all(&rewrite(&old, settings, extent))?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
        return written;
    }
    // The new name is on the disk when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// An error of the whole configuration, which belongs to no line.
pub fn general(reason: String) -> BootError {
    BootError::Config(ConfigError::general(reason))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_rewritten_whole_and_stays_as_open_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conf");
        std::fs::write(&path, "# a\ntimeout 5\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        rewrite_file(&path, &Settings::new(), Extent::Changed).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# a\ntimeout 0\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        std::fs::remove_file(&path).unwrap();
        rewrite_file(&path, &Settings::new(), Extent::Changed).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        // A folder in the place of the file: the rename fails.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(rewrite_file(&path, &Settings::new(), Extent::Changed).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let gone = folder.path().join("gone/a.conf");
        assert_eq!(
            plain(&rewrite_file(&gone, &Settings::new(), Extent::Changed).unwrap_err()),
            "No such file or directory"
        );
    }
}
