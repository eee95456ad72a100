//! Applications as their users drive them: BullMQ, Celery and rq, some hundred jobs each. Every job is done exactly once, with
//! the right result. And ioredis with channels: everybody hears every message, in the order of who sent it.
//!
//! `scripts/apps install` brings them into `.apps/`, `RINGKEY_APPS` may name another folder; what is absent is skipped, except with `CI=true`.
//! The drivers are in `tests/apps/`; `scripts/apps` runs them with many jobs, beside Valkey.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::program::run;
use ringkey_tests::server::{Setup, repository, skip};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// For one application; the driver gives up before, and ends what it started.
const LIMIT: Duration = Duration::from_secs(150);
const DRIVER_LIMIT_SECONDS: u64 = 120;

fn apps() -> PathBuf {
    std::env::var_os("RINGKEY_APPS").map_or_else(|| repository().join(".apps"), PathBuf::from)
}

fn drive(name: &str, mut command: Command, jobs: usize) {
    let server = Setup::new().cores(4).start();
    command.args(["127.0.0.1", &server.port().to_string(), &jobs.to_string(), &DRIVER_LIMIT_SECONDS.to_string()]);
    command.env("NODE_PATH", apps().join("node_modules")).env("PYTHONDONTWRITEBYTECODE", "1");
    let text = run(command, b"", LIMIT).unwrap().or_fail(name);
    assert!(text.contains(&format!("{name}: {jobs} ")), "{text}");
    server.assert_alive();
}

fn python(name: &str, jobs: usize) {
    let python = apps().join("venv/bin/python");
    if !python.is_file() {
        return skip("no Python with the applications: scripts/apps install");
    }
    let mut command = Command::new(python);
    command.arg(repository().join(format!("tests/apps/{name}_driver.py")));
    drive(name, command, jobs);
}

fn node(name: &str, jobs: usize) {
    if !apps().join("node_modules").join(name).is_dir() {
        return skip("no Node.js with the applications: scripts/apps install");
    }
    let mut command = Command::new("node");
    command.arg(repository().join(format!("tests/apps/{name}_driver.cjs")));
    drive(name, command, jobs);
}

#[test]
fn bullmq() {
    node("bullmq", 500);
}

#[test]
fn ioredis() {
    node("ioredis", 20_000);
}

#[test]
fn celery() {
    python("celery", 150);
}

#[test]
fn rq() {
    python("rq", 200);
}
