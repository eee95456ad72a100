//! The comparing tools against real servers, as short as they can be: that they work, not what they find.
//!
//! Skipped where the peers (scripts/peers) are not; ours takes part where it has been built.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Peers and our server, where there are any.
struct Programs {
    peers: PathBuf,
    ringkey: Option<PathBuf>,
}

impl Programs {
    /// None, with a word on why, if there is nothing to compare with. Where nothing may be missing, that is a failure.
    fn find() -> Option<Self> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let peers = std::env::var_os("RINGKEY_PEERS").map_or_else(|| top.join(".peers/bin"), PathBuf::from);
        if !peers.join("valkey-server").is_file() {
            let reason = format!("no valkey-server in {}: run scripts/peers", peers.display());
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
            // A closed output is the reader's choice.
            let _ = writeln!(std::io::stderr(), "skipped: {reason}");
            return None;
        }
        let given = std::env::var_os("RINGKEY_SERVER").map(PathBuf::from);
        let built = || {
            // target/PROFILE/ringkey-perf
            let target = Path::new(env!("CARGO_BIN_EXE_ringkey-perf")).ancestors().nth(2)?;
            let paths = ["checked", "release", "debug"].map(|profile| target.join(profile).join("ringkey-server"));
            paths.into_iter().find(|path| path.is_file())
        };
        Some(Self { peers, ringkey: given.or_else(built) })
    }

    fn servers(&self) -> &'static str {
        if self.ringkey.is_some() { "valkey,ringkey" } else { "valkey" }
    }

    fn perf(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringkey-perf"));
        command.args(args).arg("--peers").arg(&self.peers);
        if let Some(ringkey) = &self.ringkey {
            command.arg("--ringkey").arg(ringkey);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

#[test]
fn servers_are_compared() {
    let Some(programs) = Programs::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("results.jsonl");
    let out = lines.to_str().unwrap();
    let args = ["compare", "--suite", "smoke", "--servers", programs.servers(), "--out", out];
    let report = String::from_utf8(programs.perf(&args).stdout).unwrap();
    for heading in ["### get-p1\n", "### get-p16\n", "### benchmark\n", "### idle\n", "### connections\n"] {
        assert!(report.contains(heading), "{report}");
    }
    assert!(!report.contains("### Not run"), "{report}");
    let records: Vec<Value> =
        std::fs::read_to_string(&lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let servers = programs.servers().split(',').count();
    assert_eq!(records.len(), 5 * servers);
    for record in &records {
        assert_eq!(record["raw"]["errors"], 0, "{record}");
        assert_eq!(record["raw"]["nulls"], 0, "every key was set before: {record}");
        if record["case"] == "get-p1" {
            assert!(record["figures"]["throughput"].as_f64().unwrap() > 100.0, "{record}");
            let cpu = record["figures"]["server_cpu"].as_f64().unwrap();
            assert!((0.5..1000.0).contains(&cpu), "{record}");
        }
    }
    // The file alone gives the same report.
    let again = programs.perf(&["compare", "--suite", "smoke", "--from", out]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), report);
}

#[test]
fn messages_are_counted() {
    let Some(programs) = Programs::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("results.jsonl");
    let out = lines.to_str().unwrap();
    let args = ["compare", "--suite", "messages", "--only", "publish-to-fifty,publish-to-many,tracked", "--quick"];
    let more =
        ["--rounds", "1", "--duration", "0.2", "--client-cpus", "all", "--servers", "valkey,valkey-io2", "--out", out];
    let report = String::from_utf8(programs.perf(&[&args[..], &more].concat()).stdout).unwrap();
    assert!(!report.contains("### Not run"), "{report}");
    for line in std::fs::read_to_string(&lines).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["raw"]["errors"], 0, "{record}");
        let each = match record["case"].as_str().unwrap() {
            "publish-to-fifty" => 50.0,
            "publish-to-many-channels" => 1.0,
            _ => continue,
        };
        let (delivered, published) = (&record["figures"]["delivered"], &record["figures"]["throughput"]);
        let each_message = delivered.as_f64().unwrap() / published.as_f64().unwrap();
        // Less where the last messages came late.
        assert!(each_message > each * 0.1 && each_message < each * 1.01, "{record}");
    }
}

#[test]
fn data_is_weighed() {
    let Some(programs) = Programs::find() else { return };
    let args = ["memory", "--count", "20000", "--rows", "string", "--json", "--servers", programs.servers()];
    let report: Value = serde_json::from_slice(&programs.perf(&args).stdout).unwrap();
    for server in report["rows"][0]["servers"].as_array().unwrap() {
        let used = server[1]["weighed"]["used"].as_f64().unwrap();
        assert!((80.0..300.0).contains(&used), "{server}");
    }
}

#[test]
fn stalls_are_felt() {
    let Some(programs) = Programs::find() else { return };
    let phases = "grow,overwrite,flush";
    let all = ["--server-cpus", "all", "--client-cpus", "all"];
    let args = ["stall", "--keys", "20000", "--json", "--servers", programs.servers(), "--phases", phases];
    let report: Value = serde_json::from_slice(&programs.perf(&[&args[..], &all].concat()).stdout).unwrap();
    let results = report["phases"].as_array().unwrap();
    assert_eq!(results.len(), 3 * programs.servers().split(',').count());
    for result in results {
        assert!(result["questions"].as_u64().unwrap() > 0, "{result}");
        assert!(!result["longest"].as_array().unwrap().is_empty(), "{result}");
    }
}
