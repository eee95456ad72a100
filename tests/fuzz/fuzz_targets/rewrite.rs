//! Hands what the fuzzer makes to the body of this target, which lies in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringkey_fuzz::rewrite::run(data));
