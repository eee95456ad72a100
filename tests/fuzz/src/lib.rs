//! The bodies of the fuzz targets: functions from bytes to nothing, which panic where a law is broken.
//!
//! They stand apart from the targets because two use them: the fuzzer, which needs the nightly toolchain, and a test of
//! the core (`core/tests/fuzz_bodies.rs`), which feeds them a few fixed and many seeded inputs on every run.

pub mod dispatch;
pub mod glob;
pub mod reply;
pub mod request;
pub mod rewrite;
pub mod settings;
