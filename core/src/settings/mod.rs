//! The settings of the server: one declarative row per directive, and from it everything else: reading files and the
//! command line, CONFIG GET and CONFIG SET with their error texts, and typed values for the code that uses them.
//!
//! Nothing here opens a file or listens on a port. The server reads the text, resolves `include`, changes its
//! directory and binds; what it cannot do it reports with the same error types.

mod command_line;
mod parse;
mod rewrite;
mod row;
mod rows;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::glob::glob_match;
use crate::words::split_words;

pub use command_line::{Action, CommandLine, parse_command_line};
pub use parse::{ConfigError, Directive, directives, parse_text};
pub use rewrite::{Extent, rewrite};
pub use row::{Check, Effect, Kind, Row};
pub use rows::{ROWS, Setting};
pub use value::{OutputLimit, Value, parse_integer, parse_memory};

/// Directives of the past that are read and forgotten when they have one argument.
const RETIRED: [&[u8]; 7] = [
    b"dynamic-hz",
    b"events-per-io-thread",
    b"io-threads-do-reads",
    b"list-max-ziplist-entries",
    b"list-max-ziplist-value",
    b"lua-replicate-commands",
    b"sanitize-dump-payload",
];

/// The values of all directives. A clone copies a few kilobytes, so every core may have its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    values: Vec<Value>,
    /// The first `save` of a file replaces the defaults, the following ones add to it.
    save_was_given: bool,
}

/// What a directive of a file asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The setting was set.
    Set(Setting),
    /// A directive of the past: nothing happened.
    Retired,
    /// Read this file now, or these if it has wildcards.
    Include(Vec<u8>),
    /// Give a command another name, or none.
    RenameCommand {
        /// The name so far.
        from: Vec<u8>,
        /// The new name; empty removes the command.
        to: Vec<u8>,
    },
    /// An ACL user and the rules for it.
    User(Vec<Vec<u8>>),
}

/// Who sends CONFIG SET, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// The connection comes from this machine.
    pub is_local: bool,
    /// The server is loading its data.
    pub while_loading: bool,
}

/// Why CONFIG SET was refused; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// There is no such directive.
    Unknown(Vec<u8>),
    /// This one cannot be set so.
    Refused {
        /// The directive as the client or the table names it.
        argument: Vec<u8>,
        /// The reason.
        reason: String,
    },
    /// It cannot be set while data is being loaded; the reply is the usual LOADING error.
    Loading,
}

impl SetError {
    /// The refusal of a setting that could not be put into effect.
    pub fn refused(setting: Setting, reason: impl Into<String>) -> Self {
        Self::Refused { argument: setting.row().name.into(), reason: reason.into() }
    }
}

/// The text of the error reply, behind its first word.
impl fmt::Display for SetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let name = String::from_utf8_lossy(name);
                write!(out, "Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            Self::Refused { argument, reason } => {
                let argument = String::from_utf8_lossy(argument);
                write!(out, "CONFIG SET failed (possibly related to argument '{argument}') - {reason}")
            }
            Self::Loading => out.write_str("the dataset is being loaded"),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl Settings {
    /// All directives at their defaults.
    pub fn new() -> Self {
        let values = ROWS.iter().map(default_value).collect();
        Self { values, save_was_given: false }
    }

    /// The value as it is kept.
    pub fn value(&self, setting: Setting) -> &Value {
        &self.values[setting as usize]
    }

    /// A number.
    pub fn int(&self, setting: Setting) -> i64 {
        let Value::Number(number) = self.value(setting) else { unreachable!("{setting:?} is no number") };
        *number
    }

    /// A `yes` or `no`.
    pub fn bool(&self, setting: Setting) -> bool {
        let Value::Flag(flag) = self.value(setting) else { unreachable!("{setting:?} is not yes or no") };
        *flag
    }

    /// A text, which may be empty and need not be UTF-8.
    pub fn text(&self, setting: Setting) -> &[u8] {
        let Value::Text(text) = self.value(setting) else { unreachable!("{setting:?} is no text") };
        text
    }

    /// An amount of memory in bytes.
    pub fn memory(&self, setting: Setting) -> u64 {
        self.int(setting) as u64
    }

    /// Several words.
    pub fn words(&self, setting: Setting) -> &[Box<[u8]>] {
        let Value::Words(words) = self.value(setting) else { unreachable!("{setting:?} is not several words") };
        words
    }

    /// Several numbers.
    pub fn numbers(&self, setting: Setting) -> &[i64] {
        let Value::Numbers(numbers) = self.value(setting) else { unreachable!("{setting:?} is not several numbers") };
        numbers
    }

    /// One of several names, such as the log level.
    pub fn choice(&self, setting: Setting) -> &'static str {
        let Kind::Choice(names) = setting.row().kind else { unreachable!("{setting:?} is not one of several names") };
        value::name_of(names, self.int(setting))
    }

    /// The output limits of normal clients, replicas and subscribers.
    pub fn output_limits(&self) -> [OutputLimit; 3] {
        let Value::Limits(limits) = self.value(Setting::ClientOutputBufferLimit) else {
            unreachable!("the row of client-output-buffer-limit says so")
        };
        *limits
    }

    /// The value as CONFIG GET shows it.
    pub fn render(&self, setting: Setting) -> Vec<u8> {
        value::render(setting.row().kind, self.value(setting))
    }

    /// Whether an action guarded by `setting` (`enable-debug-command` and the like) is open to this caller.
    pub fn allows(&self, setting: Setting, is_local: bool) -> bool {
        match self.choice(setting) {
            "yes" => true,
            "local" => is_local,
            _ => false,
        }
    }

    /// Puts a text in place that the server found out itself, such as the absolute directory.
    pub fn set_text(&mut self, setting: Setting, text: &[u8]) {
        assert!(matches!(self.value(setting), Value::Text(_)), "{setting:?} is no text");
        self.values[setting as usize] = Value::Text(text.into());
    }

    /// What to log about settings that differ from their defaults but have no effect.
    pub fn remarks(&self) -> Vec<String> {
        // `save ""` asks for what happens anyway.
        let is_met = |setting: &Setting| *setting == Setting::Save && self.numbers(*setting).is_empty();
        let changed = Setting::ALL
            .iter()
            .filter(|setting| *self.value(**setting) != default_value(setting.row()) && !is_met(setting));
        changed.filter_map(|setting| setting.row().remark()).collect()
    }

    /// Carries out one directive of a file or of the command line. A later one overrides an earlier one.
    pub fn apply(&mut self, directive: &Directive) -> Result<Applied, ConfigError> {
        match Setting::find(&directive.name) {
            Some((setting, _)) => {
                self.apply_setting(setting, &directive.args).map_err(|reason| directive.error(reason))?;
                Ok(Applied::Set(setting))
            }
            None => apply_other(directive).map_err(|reason| directive.error(reason)),
        }
    }

    fn apply_setting(&mut self, setting: Setting, args: &[Vec<u8>]) -> Result<(), String> {
        let row = setting.row();
        // Words may come as one quoted argument: `--save "900 1"`.
        let split = match args {
            [single] if row.kind.takes_words() && !single.is_empty() => {
                Some(split_words(single).ok_or("Unbalanced quotes in configuration line")?)
            }
            _ => None,
        };
        let words: Vec<&[u8]> = split.as_deref().unwrap_or(args).iter().map(Vec::as_slice).collect();
        let mut value = value::parse(row, &words, Some(self.value(setting)))?;
        if let Value::Numbers(points) = &mut value
            && setting == Setting::Save
        {
            // `save ""` forgets what came before; other lines add to it.
            if self.save_was_given && words != [b""] {
                *points = [self.numbers(setting), points].concat().into();
            }
            self.save_was_given = true;
        }
        self.values[setting as usize] = value;
        Ok(())
    }

    /// CONFIG GET: names and values that match any of the patterns, each name once, in the order of the table.
    ///
    /// A pattern matches older names too, and they are shown beside the newer ones. A name without wildcards is shown
    /// as the client wrote it.
    pub fn get<Pattern: AsRef<[u8]>>(&self, patterns: &[Pattern]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], setting: Setting| {
            if !found.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), self.render(setting)));
            }
        };
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if !pattern.iter().any(|byte| matches!(byte, b'[' | b'*' | b'?')) {
                if let Some((setting, _)) = Setting::find(pattern) {
                    add(pattern, setting);
                }
                continue;
            }
            for setting in Setting::ALL.iter().filter(|setting| !setting.row().hidden) {
                let row = setting.row();
                for name in [Some(row.name), row.alias].into_iter().flatten() {
                    if glob_match(pattern, name.as_bytes(), true) {
                        add(name.as_bytes(), *setting);
                    }
                }
            }
        }
        found
    }

    /// CONFIG SET: takes all pairs or none; gives the settings whose values changed.
    pub fn set_many<Text: AsRef<[u8]>>(
        &mut self,
        pairs: &[(Text, Text)],
        caller: Caller,
    ) -> Result<Vec<Setting>, SetError> {
        let named = self.admit(pairs, caller)?;
        let mut next = self.clone();
        for ((setting, name), (_, text)) in named.iter().zip(pairs) {
            next.set_one(*setting, text.as_ref())
                .map_err(|reason| SetError::Refused { argument: (*name).into(), reason })?;
        }
        let mut changed: Vec<Setting> = named.iter().map(|(setting, _)| *setting).collect();
        changed.sort_unstable();
        changed.dedup();
        changed.retain(|setting| self.value(*setting) != next.value(*setting));
        *self = next;
        Ok(changed)
    }

    /// Whether these names may be set at all. The first name that may not decides the answer.
    fn admit<Text: AsRef<[u8]>>(
        &self,
        pairs: &[(Text, Text)],
        caller: Caller,
    ) -> Result<Vec<(Setting, &'static str)>, SetError> {
        let mut named: Vec<(Setting, &'static str)> = Vec::with_capacity(pairs.len());
        for (written, _) in pairs {
            let written = written.as_ref();
            let Some((setting, name)) = Setting::find(written) else {
                return Err(SetError::Unknown(written.into()));
            };
            let row = setting.row();
            let refused = |reason: &str| SetError::Refused { argument: written.into(), reason: reason.into() };
            if row.at_start {
                return Err(refused("can't set immutable config"));
            }
            if row.protected && !self.allows(Setting::EnableProtectedConfigs, caller.is_local) {
                return Err(refused("can't set protected config"));
            }
            if row.not_while_loading && caller.while_loading {
                return Err(SetError::Loading);
            }
            // The older and the newer name of one setting may stand together, as in Valkey.
            if named.iter().any(|(_, other)| *other == name) {
                return Err(refused("duplicate parameter"));
            }
            named.push((setting, name));
        }
        Ok(named)
    }

    fn set_one(&mut self, setting: Setting, text: &[u8]) -> Result<(), String> {
        let row = setting.row();
        let words: Vec<&[u8]> = match row.kind.takes_words() {
            true if text.is_empty() => Vec::new(),
            true => text.split(|byte| *byte == b' ').collect(),
            false => vec![text],
        };
        self.values[setting as usize] = value::parse(row, &words, Some(self.value(setting)))?;
        Ok(())
    }
}

fn default_value(row: &Row) -> Value {
    let words: Vec<&[u8]> = match row.kind {
        // These two cannot be given as nothing: the directory is where the process was started, and «no primary» has
        // words of its own.
        Kind::Text(_) if row.default.is_empty() => return Value::Text(Box::default()),
        Kind::Primary if row.default.is_empty() => return Value::Words(Box::default()),
        kind if kind.takes_words() && row.default.is_empty() => Vec::new(),
        kind if kind.takes_words() => row.default.as_bytes().split(|byte| *byte == b' ').collect(),
        _ => vec![row.default.as_bytes()],
    };
    value::parse(row, &words, None).expect("a test reads the default of every row")
}

/// Directives that are no settings.
fn apply_other(directive: &Directive) -> Result<Applied, String> {
    let args = &directive.args;
    match (directive.name.as_slice(), args.as_slice()) {
        (name, [_]) if RETIRED.contains(&name) => Ok(Applied::Retired),
        (b"include", [file]) => Ok(Applied::Include(file.clone())),
        (b"rename-command", [from, to]) => Ok(Applied::RenameCommand { from: from.clone(), to: to.clone() }),
        (b"user", [_, ..]) => Ok(Applied::User(args.clone())),
        (b"loadmodule", [_, ..]) => Err("Modules are not supported".into()),
        (b"sentinel", []) => Ok(Applied::Retired),
        (b"sentinel", _) => Err("sentinel directive while not in sentinel mode".into()),
        (name, []) if name.contains(&b'.') => Err("Module config specified without value".into()),
        (name, _) if name.contains(&b'.') => Err("Modules are not supported".into()),
        _ => Err("Bad directive or wrong number of arguments".into()),
    }
}
