//! Hands what the fuzzer makes to the body of this target, which lies beside the library: it needs one more crate.
#![no_main]

#[path = "../src/restore.rs"]
mod restore;

libfuzzer_sys::fuzz_target!(|data: &[u8]| restore::run(data, || 0));
