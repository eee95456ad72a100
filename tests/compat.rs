//! Plays `cases/*.txt` on our server, with one core and with four, and on a real Valkey.
//!
//! The same text runs on both, so a case that fails on the reference is a wrong case. New commands get
//! their replies from the reference: write the commands alone and run
//! `RINGKEY_BLESS=1 cargo test -p ringkey-tests --test compat reference`.
//! `RINGKEY_CASES=string` limits a run to the files whose name contains the word.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::transcript::Transcript;
use std::path::{Path, PathBuf};

/// Differences printed before the rest is only counted.
const SHOWN_MAX: usize = 60;

#[test]
fn ours_on_one_core() {
    judge(Kind::Ringkey, 1);
}

#[test]
fn ours_on_four_cores() {
    judge(Kind::Ringkey, 4);
}

#[test]
fn reference() {
    if peer("valkey-server").is_none() {
        skip("no valkey-server: fetch the peers to check the cases themselves");
        return;
    }
    judge(Kind::Reference, 1);
}

fn judge(kind: Kind, cores: usize) {
    let bless = kind == Kind::Reference && std::env::var_os("RINGKEY_BLESS").is_some();
    let mut compared = 0;
    let mut mismatches = Vec::new();
    for path in case_files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let transcript = Transcript::parse(&name, &std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut setup = Setup::of(kind).cores(cores).option("enable-debug-command", "yes");
        for (option, value) in transcript.options() {
            setup = setup.option(&option, &value);
        }
        let server = setup.start();
        let report = transcript.run(&server);
        compared += report.compared;
        if bless {
            std::fs::write(&path, report.recorded).unwrap();
        }
        mismatches.extend(report.mismatches);
    }
    assert!(compared > 0, "no case was played");
    if bless {
        return;
    }
    let shown: String = mismatches.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    let count = mismatches.len();
    assert!(count == 0, "{count} of {compared} replies differ ({kind:?}, {cores} cores)\n{shown}");
}

fn case_files() -> Vec<PathBuf> {
    let wanted = std::env::var("RINGKEY_CASES").unwrap_or_default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "txt"));
    files.retain(|path| path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains(&wanted)));
    files.sort();
    files
}
