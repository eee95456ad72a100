//! What INFO says, as numbers.

use std::collections::BTreeMap;

/// The fields of an INFO.
#[derive(Clone, Debug, Default)]
pub struct Info {
    fields: BTreeMap<String, String>,
}

/// What our server counts on each core, added up; all zero for other servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CoreCounts {
    /// Commands executed.
    pub commands: u64,
    /// Messages with calls to other cores.
    pub hops_out: u64,
    /// Calls to other cores.
    pub calls_out: u64,
    /// Wake-ups sent to other cores.
    pub wakes: u64,
    /// Passes of the reactors.
    pub passes: u64,
}

impl CoreCounts {
    /// What has come to it since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            commands: self.commands.saturating_sub(earlier.commands),
            hops_out: self.hops_out.saturating_sub(earlier.hops_out),
            calls_out: self.calls_out.saturating_sub(earlier.calls_out),
            wakes: self.wakes.saturating_sub(earlier.wakes),
            passes: self.passes.saturating_sub(earlier.passes),
        }
    }
}

impl Info {
    /// Reads `name:value` lines; comments and empty lines pass.
    pub fn parse(text: &str) -> Self {
        let fields = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.trim().split_once(':'));
        Self { fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// A field as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// A field as a number.
    pub fn integer(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// `ringkey 0.1.0`, `valkey 9.1.2`, `redis 8.0.6`.
    pub fn version(&self) -> String {
        let named = [("ringkey", "ringkey_version"), ("valkey", "valkey_version"), ("redis", "redis_version")];
        let found = named.into_iter().find_map(|(name, field)| Some(format!("{name} {}", self.text(field)?)));
        found.unwrap_or_else(|| "unknown".to_owned())
    }

    /// The per-core counters, added up.
    pub fn cores(&self) -> CoreCounts {
        let sum = |name: &str| self.of_cores(name).iter().map(|(_, value)| value).sum();
        CoreCounts {
            commands: sum("commands"),
            hops_out: sum("hops_out"),
            calls_out: sum("calls_out"),
            wakes: sum("wakes"),
            passes: sum("passes"),
        }
    }

    /// Fields that tell of longest single steps, of a core (`core0.longest_pass_us`) or of the server.
    pub fn longest(&self) -> Vec<(String, String)> {
        let telling = |name: &str| name.contains("longest");
        let mut found = Vec::new();
        for (field, value) in &self.fields {
            if telling(field) {
                found.push((field.clone(), value.clone()));
            } else if is_core(field) {
                let parts = value.split(',').filter_map(|part| part.split_once('='));
                let told = parts.filter(|(name, _)| telling(name));
                found.extend(told.map(|(name, value)| (format!("{field}.{name}"), value.to_owned())));
            }
        }
        found
    }

    /// One counter of every core.
    fn of_cores(&self, name: &str) -> Vec<(&str, u64)> {
        let cores = self.fields.iter().filter(|(field, _)| is_core(field));
        let counter = |line: &str| {
            let value = line.split(',').filter_map(|part| part.split_once('=')).find(|(key, _)| *key == name)?.1;
            value.parse::<u64>().ok()
        };
        cores.filter_map(|(field, line)| Some((field.as_str(), counter(line)?))).collect()
    }
}

/// `core0`, `core17`
fn is_core(field: &str) -> bool {
    field.strip_prefix("core").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.1.2\r\nringkey_version:0.1.0\r\n\r\n\
        # Memory\r\nused_memory:9019184\r\nused_memory_human:8.60M\r\n# Cores\r\ncores:2\r\n\
        core0:connections=1,commands=7,hops_out=2,calls_out=5,passes=12,wakes=1,longest_pass_us=310\r\n\
        core1:connections=0,commands=3,hops_out=1,calls_out=1,passes=11,wakes=0,longest_pass_us=90\r\n";

    #[test]
    fn fields_are_read() {
        let info = Info::parse(TEXT);
        assert_eq!(info.integer("used_memory"), Some(9_019_184));
        assert_eq!(info.integer("used_memory_human"), None);
        assert_eq!(info.version(), "ringkey 0.1.0");
        assert_eq!(Info::parse("redis_version:7.2.4\r\nvalkey_version:9.1.2\r\n").version(), "valkey 9.1.2");
        assert_eq!(Info::parse("redis_version:8.0.6\r\n").version(), "redis 8.0.6");
    }

    #[test]
    fn cores_are_added_up() {
        let counts = Info::parse(TEXT).cores();
        assert_eq!(counts, CoreCounts { commands: 10, hops_out: 3, calls_out: 6, wakes: 1, passes: 23 });
        assert_eq!(Info::parse("used_memory:1").cores(), CoreCounts::default());
        let earlier = CoreCounts { commands: 4, ..CoreCounts::default() };
        assert_eq!(counts.since(earlier).commands, 6);
    }

    #[test]
    fn longest_steps_are_found() {
        let longest = Info::parse(TEXT).longest();
        let expected = [("core0.longest_pass_us", "310"), ("core1.longest_pass_us", "90")];
        assert_eq!(longest, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
