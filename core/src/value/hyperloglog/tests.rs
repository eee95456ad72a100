//! Tests of HyperLogLogs beside naive models. Values that Valkey 9.1 left are compared byte for byte.

#![allow(clippy::unwrap_used)]

use super::dense::{pack_plainly, raise_plainly, register};
use super::estimate::{count_plainly, estimate, histogram};
use super::sparse::{Run, runs};
use super::*;
use crate::prng::Prng;
use proptest::prelude::*;

/// All registers, a byte each.
fn registers(value: &[u8], encoding: Encoding) -> Result<Vec<u8>, Corrupt> {
    let mut registers = Registers::new();
    registers.merge(value, encoding)?;
    Ok(registers.iter().collect())
}

/// The last run of the bits of a hash that is zeros and a one, bit by bit.
fn naive_rank(hash: u64) -> u8 {
    let mut rank = 1;
    for bit in 14..64 {
        if hash >> bit & 1 == 1 {
            return rank;
        }
        rank += 1;
    }
    rank
}

#[test]
fn hashes_are_those_of_the_reference() {
    // What `PFADD k a b c` left on Valkey 9.1.2.
    let mut draft = Draft::of(&EMPTY, Encoding::Sparse);
    for element in [b"a", b"b", b"c"] {
        assert_eq!(draft.observe(Observation::of(element), 3000), Ok(true));
    }
    draft.forget_count();
    assert_eq!(draft.bytes(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x60\xf3\x80\x50\xb1\x84\x4b\xfb\x80\x42\x5a");
    assert_eq!(count(draft.bytes(), Encoding::Sparse), Ok(3));
    assert_eq!(
        Observation::of(b""),
        Observation { index: 0, rank: naive_rank(murmur64(b"", 0xadc8_3b19)) }.at_hash(b"")
    );
}

impl Observation {
    /// The same with the register that the hash of an element names.
    fn at_hash(self, element: &[u8]) -> Self {
        Self { index: (murmur64(element, 0xadc8_3b19) & 0x3fff) as usize, ..self }
    }
}

#[test]
fn each_register_is_apart_from_its_neighbours() {
    let mut prng = Prng::new(5);
    let mut value = dense_of_nothing();
    let mut model = vec![0; REGISTERS];
    for step in 0..60_000 {
        let index = if step < 2 * REGISTERS { step % REGISTERS } else { prng.below(REGISTERS as u64) as usize };
        model[index] = prng.below(64) as u8;
        dense::put(&mut value, index, model[index]);
        assert_eq!(register(&value, index), model[index]);
    }
    assert_eq!(&value[..HEAD_BYTES], b"HYLL\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(registers(&value, Encoding::Dense), Ok(model.clone()));
    assert!((0..REGISTERS).all(|index| register(&value, index) == model[index]));
    let mut plain = [0; REGISTERS];
    raise_plainly(&mut plain, value.as_slice().try_into().unwrap());
    assert_eq!(plain.as_slice(), model);
    let mut packed = dense_of_nothing();
    let mut merged = Registers::new();
    merged.merge(&value, Encoding::Dense).unwrap();
    dense::pack(&merged, &mut packed);
    assert_eq!(packed, value);
    packed[HEAD_BYTES..].fill(0xff);
    pack_plainly(&merged, (&mut packed[HEAD_BYTES..]).try_into().unwrap());
    assert_eq!(packed, value);
    // Raising keeps what is larger.
    let mut higher = Registers([63; REGISTERS]);
    higher.merge(&value, Encoding::Dense).unwrap();
    assert_eq!(higher, Registers([63; REGISTERS]));
    let counts = histogram(&merged);
    assert_eq!(count_plainly(&merged), counts);
    assert!((0..64).all(|rank| counts[rank] as usize == model.iter().filter(|one| usize::from(**one) == rank).count()));
}

#[test]
fn estimates_are_near() {
    let mut dense = Draft::of(&dense_of_nothing(), Encoding::Dense);
    let mut sparse = Draft::of(&EMPTY, Encoding::Sparse);
    for number in 1..=50_000_u64 {
        let seen = Observation::of(&number.to_le_bytes());
        let is_news = dense.observe(seen, 3000).unwrap();
        assert_eq!(sparse.observe(seen, 3000), Ok(is_news));
        if number.is_power_of_two() || number == 50_000 {
            let estimate = count(dense.bytes(), Encoding::Dense).unwrap();
            assert_eq!(count(sparse.bytes(), sparse.encoding()), Ok(estimate));
            assert!(estimate.abs_diff(number) as f64 <= 1.0 + number as f64 * 0.03, "{number}: {estimate}");
        }
    }
    assert_eq!((sparse.encoding(), sparse.bytes()), (Encoding::Dense, dense.bytes()));
}

#[test]
fn estimates_at_the_ends() {
    let of = |rank: usize| {
        let mut histogram = [0; 64];
        histogram[rank] = REGISTERS as u32;
        estimate(&histogram)
    };
    assert_eq!(of(0), 0);
    // Beyond 63 bits; and registers that no hash leaves.
    assert_eq!([of(50), of(51), of(52), of(63)], [1 << 63; 4]);
    assert_eq!(of(1), 23_637);
}

#[test]
fn what_is_no_hyperloglog() {
    assert_eq!(Encoding::of(&EMPTY), Some(Encoding::Sparse));
    assert_eq!(Encoding::of(&dense_of_nothing()), Some(Encoding::Dense));
    assert_eq!(Encoding::of(&dense_of_nothing()[1..]), None);
    let mut value = EMPTY.to_vec();
    value[4] = 2;
    assert_eq!(Encoding::of(&value), None);
    assert_eq!(Encoding::of(b"HYLL"), None);
    assert_eq!(Encoding::of(b""), None);
}

#[test]
fn runs_that_do_not_make_up_all_registers() {
    let value = |runs: &[u8]| [&EMPTY[..HEAD_BYTES], runs].concat();
    for bad in [&b""[..], b"\x7f", b"\x7f\xfe", b"\x7f\xff\0", b"\x7f\xfe\x83", b"\x7f\xff\x7f", b"\x83\x7f\xff"] {
        let value = value(bad);
        assert_eq!(registers(&value, Encoding::Sparse), Err(Corrupt), "{bad:?}");
        assert_eq!(count(&value, Encoding::Sparse), Err(Corrupt));
        let last = Observation { index: REGISTERS - 1, rank: 33 };
        assert_eq!(Draft::of(&value, Encoding::Sparse).observe(last, 3000), Err(Corrupt));
    }
    // A register that is there can be raised all the same.
    let mut draft = Draft::of(&value(b"\x7f\xfe"), Encoding::Sparse);
    assert_eq!(draft.observe(Observation { index: 5, rank: 1 }, 3000), Ok(true));
    assert_eq!(draft.observe(Observation { index: REGISTERS - 1, rank: 1 }, 3000), Err(Corrupt));
}

/// The registers that were observed, and a value that is kept sparse.
struct Model {
    registers: Vec<u8>,
    draft: Draft,
}

impl Model {
    fn observe(&mut self, index: usize, rank: u8, sparse_bytes: usize) {
        let is_news = self.registers[index] < rank;
        self.registers[index] = self.registers[index].max(rank);
        assert_eq!(self.draft.observe(Observation { index, rank }, sparse_bytes), Ok(is_news));
        if self.draft.encoding() == Encoding::Sparse {
            assert!(self.draft.bytes().len() <= sparse_bytes.max(EMPTY.len()), "as large as it may be");
            let runs: Vec<Run> = runs(self.draft.bytes()).collect();
            assert!(runs.iter().all(|run| !run.is_long || run.len > 64 || run.len == REGISTERS), "{runs:?}");
        }
    }
}

/// Registers near each other and far apart, of few ranks, so that runs join.
fn observation() -> impl Strategy<Value = (usize, u8)> {
    let index = prop_oneof![0..20_usize, 300..420_usize, 16_300..REGISTERS, 0..REGISTERS];
    (index, prop_oneof![1..3_u8, 1..3_u8, 1..33_u8])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sparse_registers_are_as_observed(
        observations in proptest::collection::vec(observation(), 1..300),
        sparse_bytes in prop_oneof![Just(3000_usize), 0..300_usize],
    ) {
        let draft = Draft::of(&EMPTY, Encoding::Sparse);
        let mut model = Model { registers: vec![0; REGISTERS], draft };
        for (index, rank) in observations {
            model.observe(index, rank, sparse_bytes);
        }
        prop_assert_eq!(registers(model.draft.bytes(), model.draft.encoding()), Ok(model.registers.clone()));
        let mut dense = model.draft.clone();
        dense.make_dense().unwrap();
        prop_assert_eq!(registers(dense.bytes(), Encoding::Dense), Ok(model.registers));
    }

    #[test]
    fn ranks_are_those_of_the_bits(element in proptest::collection::vec(any::<u8>(), 0..40)) {
        let hash = murmur64(&element, 0xadc8_3b19);
        let seen = Observation::of(&element);
        prop_assert_eq!((seen.index, seen.rank), ((hash & 0x3fff) as usize, naive_rank(hash)));
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..100), index in 0..REGISTERS, rank in 1..52_u8) {
        let value = [&EMPTY[..HEAD_BYTES], &bytes].concat();
        let all = registers(&value, Encoding::Sparse);
        prop_assert_eq!(count(&value, Encoding::Sparse).is_ok(), all.is_ok());
        let mut draft = Draft::of(&value, Encoding::Sparse);
        // The register of a value that is too short is missing.
        let is_there = index < runs(&value).map(|run| run.len).sum();
        let answer = draft.observe(Observation { index, rank }, 3000);
        prop_assert_eq!(answer.is_ok(), if rank > 32 { all.is_ok() } else { is_there });
    }
}
