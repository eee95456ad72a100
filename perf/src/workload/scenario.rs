//! Scenario files: workloads that are worth a name, as TOML.

use super::{Distribution, Workload, builtin};
use crate::PerfError;
use std::path::{Path, PathBuf};

/// Reads a scenario file; a name without a path is looked for beside the sources of this crate and in
/// `perf/scenarios`, and else taken as one of the built-in names.
///
/// # Errors
/// If there is no such scenario or it cannot be understood.
pub fn load_scenario(name: &str) -> Result<Workload, PerfError> {
    let Some(path) = find(name) else {
        return builtin(name).ok_or_else(|| PerfError::Usage(format!("there is no scenario {name:?}")));
    };
    let text = std::fs::read_to_string(&path).map_err(|source| PerfError::File { path: path.clone(), source })?;
    parse(&path, &text)
}

fn find(name: &str) -> Option<PathBuf> {
    let given = Path::new(name);
    if given.is_file() {
        return Some(given.to_path_buf());
    }
    let folders = [Path::new("perf/scenarios"), Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"))];
    folders.iter().map(|folder| folder.join(format!("{name}.toml"))).find(|path| path.is_file())
}

fn parse(path: &Path, text: &str) -> Result<Workload, PerfError> {
    let wrong = |why: String| PerfError::Scenario { path: path.to_path_buf(), why };
    toml::from_str(text).map_err(|error| wrong(error.to_string()))
}

/// Reads `uniform`, `sequential`, `zipf`, `zipf:EXPONENT`, `hot` or `hot:KEYS_FRACTION:REQUESTS_FRACTION`.
///
/// # Errors
/// Says which forms there are.
pub fn parse_distribution(text: &str) -> Result<Distribution, String> {
    let mut parts = text.split(':');
    let kind = parts.next().unwrap_or_default();
    let numbers: Result<Vec<f64>, _> = parts.map(str::parse).collect();
    match (kind, numbers.as_deref()) {
        ("uniform", Ok([])) => Ok(Distribution::Uniform),
        ("sequential", Ok([])) => Ok(Distribution::Sequential),
        ("zipf", Ok([])) => Ok(Distribution::Zipf { exponent: 0.99 }),
        ("zipf", Ok(&[exponent])) => Ok(Distribution::Zipf { exponent }),
        ("hot", Ok([])) => Ok(Distribution::HotSet { keys_fraction: 0.01, requests_fraction: 0.9 }),
        ("hot", Ok(&[keys_fraction, requests_fraction])) => {
            Ok(Distribution::HotSet { keys_fraction, requests_fraction })
        }
        _ => Err("one of uniform, sequential, zipf, zipf:EXPONENT, hot, hot:KEYS_FRACTION:REQUESTS_FRACTION".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{ValueSize, names};
    use super::*;

    #[test]
    fn every_scenario_file_is_understood() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let workload = load_scenario(path.to_str().unwrap()).unwrap();
            assert_eq!(Some(workload.name.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
            assert!(!workload.description.is_empty(), "{}", path.display());
            crate::load::check(&workload).unwrap();
            let text = toml::Value::try_from(&workload);
            assert!(text.is_ok(), "{text:?}");
            seen += 1;
        }
        assert!(seen >= 10);
        assert_eq!(load_scenario("get").unwrap().commands[0].command, "GET {key}");
    }

    #[test]
    fn names_of_tests_are_workloads() {
        for name in names() {
            crate::load::check(&builtin(name).unwrap()).unwrap();
        }
        assert!(load_scenario("no-such-thing").is_err());
    }

    #[test]
    fn fields_have_defaults_and_strangers_are_refused() {
        let path = Path::new("x.toml");
        let workload = parse(path, "name = 'x'\nvalue = { uniform = { min = 1, max = 9 } }\n").unwrap();
        assert_eq!(workload.value, ValueSize::Uniform { min: 1, max: 9 });
        assert_eq!(workload.keys.length, 16);
        let workload = parse(path, "keys = { distribution = { zipf = { exponent = 1.2 } } }").unwrap();
        assert_eq!(workload.keys.distribution, Distribution::Zipf { exponent: 1.2 });
        assert_eq!(parse(path, "keys = { distribution = 'sequential' }").unwrap().keys.count, 1);
        assert!(parse(path, "nmae = 'x'").is_err());
        assert!(parse(path, "keys = { cuont = 1 }").is_err());
    }

    #[test]
    fn distributions_are_read_from_flags() {
        assert_eq!(parse_distribution("zipf:1.1"), Ok(Distribution::Zipf { exponent: 1.1 }));
        assert_eq!(
            parse_distribution("hot:0.1:0.8"),
            Ok(Distribution::HotSet { keys_fraction: 0.1, requests_fraction: 0.8 })
        );
        for wrong in ["", "zipf:", "zipf:1:2", "hot:1", "uniform:1", "normal"] {
            assert!(parse_distribution(wrong).is_err(), "{wrong}");
        }
    }
}
