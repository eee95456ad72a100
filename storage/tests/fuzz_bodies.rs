//! The body of the fuzz target `restore` (`tests/fuzz`), fed with values of each type and with distortions of them, while all that
//! is allocated is counted.
//!
//! `RINGKEY_FUZZ_ROUNDS=n` makes n inputs.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../tests/fuzz/src/restore.rs"]
mod restore;

use ringkey_core::prng::Prng;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How many bytes this thread has ever allocated.
fn allocated() -> u64 {
    tikv_jemalloc_ctl::thread::allocatedp::read().unwrap().get()
}

/// One value of each type: type and bytes, as hexadecimal digits.
const VALUES: &[&str] = &[
    "00c005",
    "00c10080",
    "00c200000080",
    "00c3094064016161e05700016161",
    "00023132",
    "008000000003616263",
    "00810000000000000003616263",
    "01030161c001026263",
    "0a151500000011000000030000016103c00500040137ff",
    "0e02151500000011000000030000016103c00500040137ff0e0e0000000a0000000100000178ff",
    "0e0112120000000d000000020000016103c00500ff",
    "1202020c0c00000002008161020501ff01036f6e65",
    "120101026162",
    "120101c005",
    "12020207070000000000ff020a0a0000000100816102ff",
    "0203c001c100100135",
    "020201610162",
    "0b0c0200000002000000fbff0700",
    "0b18080000000200000001000000000000000200000000000000",
    "140c0c00000002008161020501ff",
    "0202016140467a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a\
     7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a",
    "0402016101620163c007",
    "090e02016101006201630201646401ff",
    "0d181800000014000000040000016103c00500040162030137ff",
    "10121200000004008161020501816202817802ff",
    "160201610162ff9f724e180900000163c007ffffffffffffffff",
    "160101610162ffffffffffffffff",
    "160201610162010000000000000001630164ffffffffffffffff",
    "0303016103312e350162fe0163ff",
    "0502016200000000000004400161000000000000f0bf",
    "0c1a1a00000014000000040000016103c005000401620303372e35ff",
    "1114140000000400816102050181620283372e3504ff",
    "1118180000000400816202842d696e660581610283696e6604ff",
    "040101610162",
    "04020161016201630164",
    "02010161",
    "02010135",
    "050101620000000000000440",
    "0f011000000000000000050000000000000001404141000000180002010101010181610200010201000100018162020401030100010101\
     816302040100010201dfff0202018178020101817902846c6f6e67050801ff020700010567726f75700700010000000000000007000000\
     0000000000e803000000000000020103626f62d0070000000000000100000000000000070000000000000000",
    "13011000000000000000050000000000000001404141000000180002010101010181610200010201000100018162020401030100010101\
     816302040100010201dfff0202018178020101817902846c6f6e67050801ff0207000501050203010567726f7570070003010000000000\
     0000070000000000000000e803000000000000020103626f62d0070000000000000100000000000000070000000000000000",
    "15011000000000000000050000000000000001404141000000180002010101010181610200010201000100018162020401030100010101\
     816302040100010201dfff0202018178020101817902846c6f6e67050801ff0207000501050203010567726f7570070003010000000000\
     0000070000000000000000e803000000000000020103626f62d007000000000000b80b0000000000000100000000000000070000000000\
     000000",
    "1500000500000000000700",
];

/// Bytes that mean something to a decoder.
const LIKELY: &[u8] = &[0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xc1, 0xc2, 0xc3, 0xe0, 0xf0, 0xf4, 0xfe, 0xff];

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn distorted(seeds: &[Vec<u8>], prng: &mut Prng) -> Vec<u8> {
    let mut below = |bound: usize| prng.below(bound.max(1) as u64) as usize;
    let mut input = seeds[below(seeds.len())].clone();
    for _ in 0..below(5) {
        let at = below(input.len());
        match below(7) {
            0 => input.truncate(at),
            1 if !input.is_empty() => input[at] = below(256) as u8,
            2 if !input.is_empty() => input[at] = LIKELY[below(LIKELY.len())],
            3 if !input.is_empty() => input[at] ^= 1 << below(8),
            4 => input.insert(at, LIKELY[below(LIKELY.len())]),
            5 => {
                let other = &seeds[below(seeds.len())];
                let from = below(other.len());
                input.splice(at..at, other[from..].iter().copied());
            }
            _ => {
                let end = (at + below(20)).min(input.len());
                let piece = input[at.min(end)..end].to_vec();
                input.extend(piece);
            }
        }
    }
    // The flags: mostly a right checksum.
    input.insert(0, below(40) as u8 & 3);
    if input[0] & 1 == 1 && below(4) > 0 {
        input[0] &= 2;
    }
    input
}

#[test]
fn payloads() {
    let rounds = std::env::var("RINGKEY_FUZZ_ROUNDS").map_or(6_000, |text| text.parse().unwrap());
    let seeds: Vec<Vec<u8>> = VALUES.iter().map(|digits| bytes(digits)).collect();
    let try_one = |input: &[u8]| {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| restore::run(input, allocated))) {
            let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
            panic!("b\"{}\": {}", input.escape_ascii(), text.unwrap_or("it panicked"));
        }
    };
    for seed in &seeds {
        for flags in [0, 2] {
            try_one(&[&[flags], &seed[..]].concat());
        }
    }
    let mut prng = Prng::new(1);
    for _ in 0..rounds {
        try_one(&distorted(&seeds, &mut prng));
    }
}
